/** What the list shows of a conversation, as a device would know it. */

import type { ListRow, Marker, MessageView, Summary } from "../port.ts"
import type { Chat } from "./chats.ts"
import { CHANNEL, ME } from "./team.ts"

/** The list's row. */
export function listRow(chat: Chat): ListRow {
  const newest = chat.messages.reduceRight((found, { lsn }) => (found > 0 ? found : (lsn ?? 0)), 0)
  return {
    conversation: { id: chat.id, customer: chat.customer, service: CHANNEL, assigned: [...chat.assigned], keep: null },
    newest,
    markers: markers(chat),
    labels: [...chat.labels].sort(),
    summary: summary(chat),
  }
}

/** Read positions in order of member. */
export function markers(chat: Chat): Marker[] {
  return [...chat.read]
    .sort(([one], [other]) => one - other)
    .map(([member, message]) => ({ member, message: message.id, read: message.lsn ?? 0 }))
}

function summary(chat: Chat): Summary {
  const last = chat.messages.at(-1)
  const readId = chat.read.get(ME)?.id ?? ""
  const isHeld = ({ state }: MessageView): boolean => state.type === "Held"
  let unread = 0
  for (let at = chat.messages.length - 1; at >= 0; at--) {
    const { id, dir } = chat.messages[at] as MessageView
    if (id <= readId) break
    if (dir === "in") unread++
  }
  const recent = chat.messages.slice(-400)
  return {
    last:
      last === undefined
        ? null
        : {
            id: last.id,
            by: last.by,
            dir: last.dir,
            kind: last.kind,
            text: last.retracted !== null || last.sensitive.length > 0 ? "" : last.body.slice(0, 120),
            retracted: last.retracted !== null,
            sensitive: last.sensitive.length > 0,
            timeMs: last.timeMs,
          },
    unread,
    unreadMore: false,
    held: recent.filter((message) => isHeld(message) && message.by === ME).length,
    waiting: recent.findLast((message) => message.dir !== "note" && !isHeld(message))?.dir === "in",
  }
}

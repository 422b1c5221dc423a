/** The demo's forty conversations: a few told by hand that show every state, the rest drawn. */

import type { ConversationId, Member, MessageId, MessageView } from "../port.ts"
import { Chance, conversationId, message, messageId } from "./message.ts"
import { LANGUAGES, PHRASES } from "./phrases.ts"
import { CHANNEL, ME } from "./team.ts"

/** A conversation of the demo. Messages before `from` of a long one are made when they are wanted. */
export interface Chat {
  readonly id: ConversationId
  readonly customer: string
  assigned: number[]
  /** All that is made, in order of id. */
  messages: MessageView[]
  /** Messages that are older than those made. */
  hidden: number
  fields: Map<string, string>
  labels: Set<string>
  /** The newest message that each member has read. */
  read: Map<number, MessageView>
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** Messages of the long conversation. */
export const LONG_MESSAGES = 100_000
/** Messages that come at once from its past. */
export const SEGMENT = 384
/** Number of the long conversation. */
export const LONG = 4

/** All of them at a time. `loadAll` makes all messages of the long one at once. */
export function makeChats(nowMs: number, loadAll: boolean): Chat[] {
  const chats: Chat[] = []
  for (let number = 0; number < 40; number++) {
    if (number === 0) chats.push(everything(number, nowMs))
    else if (number === LONG) chats.push(long(number, nowMs, loadAll))
    else chats.push(drawn(number, nowMs))
  }
  return chats
}

function chat(number: number, customer: string, assigned: number[], messages: MessageView[]): Chat {
  return {
    id: conversationId(number),
    customer,
    assigned,
    messages,
    hidden: 0,
    fields: new Map([
      ["phone", `+66 2 555 01${String(number).padStart(2, "0")}`],
      ["city", ["Bangkok", "Berlin", "दिल्ली", "上海", "دبي"][number % 5] as string],
    ]),
    labels: new Set(number % 5 === 0 ? ["vip"] : number % 7 === 3 ? ["shipping"] : []),
    read: new Map(),
  }
}

/** Every state that a message can be in, in one conversation. */
function everything(number: number, nowMs: number): Chat {
  const messages: MessageView[] = []
  const at = (agoMs: number): MessageId => messageId(nowMs - agoMs, messages.length)
  let lsn = 900_000
  const say = (agoMs: number, by: number, dir: "in" | "out" | "note", body: string, more: Partial<MessageView> = {}): MessageView => {
    const made = message(at(agoMs), by, dir, body, ++lsn, more)
    messages.push(made)
    return made
  }
  say(2 * DAY, CHANNEL, "in", "Hello, I ordered the walnut desk three weeks ago (order 20418).")
  say(2 * DAY - 4 * MINUTE, 4, "out", "Hello Olivia, thank you for waiting. I'll ask our workshop right away.")
  say(2 * DAY - 5 * MINUTE, 4, "note", "Workshop says the oak was out, walnut ships on Thursday. @Maya please confirm the date with her.")
  const offer = say(DAY + 3 * HOUR, ME, "out", "Your desk leaves our workshop on Thursday. Would Saturday morning suit you?", {
    edited: true,
    reactions: [[2, "👍"], [4, "👍"], [5, "🎉"]],
  })
  say(DAY + 2 * HOUR, CHANNEL, "in", "Saturday is perfect, thank you so much!", { re: offer.id })
  say(DAY + 2 * HOUR - 2 * MINUTE, 2, "out", "Wonderful, see you then.", { retracted: "wrong customer" })
  say(5 * HOUR, CHANNEL, "in", "One more thing: can I pay the rest by card? 4539 1488 0343 6467, 09/28.", { sensitive: ["payment"] })
  say(5 * HOUR - MINUTE, 3, "out", "Please don't send card numbers here. I'll mail you a secure payment link.", { delivery: "sent" })
  say(4 * HOUR, CHANNEL, "in", "", {
    kind: "image",
    media: { hash: "ab".repeat(32) as never, mediaType: "image/jpeg", name: "doorway-width.jpg", size: 1_482_113 },
  })
  const question = say(9 * MINUTE, CHANNEL, "in", "Will two people carry it up? We live on the third floor, no lift.")
  const winner = say(8 * MINUTE, 2, "out", "Yes, two of our drivers bring it to your door.")
  say(8 * MINUTE - 2_000, ME, "out", "Yes! Carrying it to the third floor is included.", {
    re: question.id,
    delivery: null,
    state: { type: "Held", collision: { cause: "window", winner: winner.id, by: 2 } },
  })
  say(6 * MINUTE, CHANNEL, "in", "Great, that helps. And do you take the old desk with you?")
  const made = chat(number, "Olivia Berg", [ME], messages)
  made.read.set(ME, messages[messages.length - 2] as MessageView)
  for (const member of [2, 4]) made.read.set(member, messages[messages.length - 1] as MessageView)
  made.fields.set("order", "20418")
  made.fields.set("email", "olivia.berg@example.org")
  return made
}

function drawn(number: number, nowMs: number): Chat {
  const chance = new Chance(number)
  const phrases = PHRASES[LANGUAGES[number % LANGUAGES.length] as keyof typeof PHRASES]
  const customer = phrases.names[Math.floor(number / LANGUAGES.length + number) % phrases.names.length] as string
  const assigned = number % 3 === 0 ? [ME] : number % 3 === 1 ? [] : [2 + (number % 4)]
  const messages: MessageView[] = []
  const count = 6 + chance.below(50)
  // The newest lies the longer back the higher the number; the customer has the last word in one of three.
  const lastMs = nowMs - number * number * 1.4 * MINUTE - 3 * MINUTE
  const endsIn = chance.below(3) === 0
  let agoMs = 0
  for (let at = 0; at < count; at++) {
    const dir = (at % 2 === 0) === endsIn ? "in" : "out"
    const body = dir === "in" ? chance.pick(at > count - 2 ? phrases.asks : [...phrases.asks, ...phrases.thanks]) : chance.pick(phrases.answers)
    const by = dir === "in" ? CHANNEL : (assigned[0] ?? 2 + chance.below(4))
    const isNote = dir === "out" && chance.below(9) === 0
    const id = messageId(lastMs - agoMs, 1000 - at)
    messages.unshift(message(id, by, isNote ? "note" : dir, isNote ? "Asked the warehouse, waiting." : body, 800_000 - number * 1_000 - at))
    agoMs += (chance.below(6) === 0 ? 9 * HOUR : 0) + (1 + chance.below(30)) * MINUTE
  }
  const made = chat(number, customer, assigned, messages)
  const unread = endsIn && number < 16 ? 1 + (number % 3) : 0
  made.read.set(ME, messages[messages.length - 1 - Math.min(unread * 2, count - 1)] as MessageView)
  return made
}

function long(number: number, nowMs: number, loadAll: boolean): Chat {
  const made = chat(number, "陈静", [ME, 4], [])
  made.hidden = LONG_MESSAGES
  extend(made, nowMs, loadAll ? LONG_MESSAGES : SEGMENT)
  made.read.set(ME, made.messages[made.messages.length - 1] as MessageView)
  return made
}

/** Makes the next older messages of a long conversation. Answers how many. */
export function extend(made: Chat, nowMs: number, count: number): number {
  const phrases = PHRASES.zh
  const take = Math.min(count, made.hidden)
  const older: MessageView[] = []
  for (let index = made.hidden - take; index < made.hidden; index++) {
    // One about every six minutes, back over more than a year.
    const id = messageId(nowMs - 40 * MINUTE - (LONG_MESSAGES - index) * 6 * MINUTE, index)
    const isIn = index % 3 !== 1
    const list = isIn ? (index % 6 === 0 ? phrases.asks : phrases.thanks) : phrases.answers
    const body = `${list[index % list.length] as string} (${index + 1})`
    older.push(message(id, isIn ? CHANNEL : 1 + (index % 5), isIn ? "in" : "out", body, 100_000 + index))
  }
  made.hidden -= take
  made.messages = older.concat(made.messages)
  return take
}

/** A member by number. */
export function memberName(members: readonly Member[], id: number): string {
  return members.find((member) => member.id === id)?.name ?? `#${id}`
}

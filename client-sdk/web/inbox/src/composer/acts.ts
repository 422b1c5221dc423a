/** What fills a composer from elsewhere: a quoted message, one to be rewritten. */

import type { ConversationId, MessageView } from "../client/port.ts"
import type { Drafts } from "../state/drafts.ts"
import { Store } from "../state/store.ts"

/** Counted up when the composer should have the keyboard. */
export const wantFocus = new Store(0)

/** The next message answers this one. */
export function beginReply(drafts: Drafts, conversation: ConversationId, message: MessageView): void {
  drafts.change(conversation, { re: message.id, tab: message.dir === "note" ? "note" : "reply", editing: null })
  focusSoon()
}

/** An own message is rewritten; a begun draft stays beside it. */
export function beginEdit(drafts: Drafts, conversation: ConversationId, message: MessageView): void {
  drafts.change(conversation, { editing: message.id, edit: message.body, tab: message.dir === "note" ? "note" : "reply" })
  focusSoon()
}

/** After the menu that asked for it has given the keyboard back. */
function focusSoon(): void {
  setTimeout(() => wantFocus.update((count) => count + 1), 60)
}

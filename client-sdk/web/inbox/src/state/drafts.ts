/** Drafts: what a person began to write, kept per conversation in this browser until it is sent. */

import type { ConversationId, MessageId } from "../client/port.ts"
import { Store } from "./store.ts"

/** Where a text goes. */
export type Tab = "reply" | "note"

/** What stands in a conversation's composer. */
export interface DraftText {
  readonly tab: Tab
  readonly reply: string
  readonly note: string
  /** The message that it quotes. */
  readonly re: MessageId | null
  /** The own message that is being rewritten, and its text so far: beside the draft, which stays. */
  readonly editing: MessageId | null
  readonly edit: string
}

/** Nothing. */
export const NO_DRAFT: DraftText = { tab: "reply", reply: "", note: "", re: null, editing: null, edit: "" }

const PREFIX = "lockstep-draft-"

/** The part of `localStorage` that is used. */
export type Shelf = Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">

/** All drafts. */
export class Drafts {
  /** Conversations with a text in them, for the list. */
  readonly begun: Store<ReadonlySet<ConversationId>>
  private readonly shelf: Shelf
  private readonly stores = new Map<ConversationId, Store<DraftText>>()

  constructor(shelf: Shelf) {
    this.shelf = shelf
    this.begun = new Store<ReadonlySet<ConversationId>>(new Set(this.kept()))
  }

  /** A conversation's draft, to be followed. */
  of(conversation: ConversationId): Store<DraftText> {
    let store = this.stores.get(conversation)
    if (store === undefined) {
      store = new Store(this.read(conversation))
      this.stores.set(conversation, store)
    }
    return store
  }

  /** Changes a draft, and keeps it. */
  change(conversation: ConversationId, change: Partial<DraftText>): void {
    const store = this.of(conversation)
    const draft = { ...store.get(), ...change }
    store.set(draft)
    const isBegun = draft.reply.trim() !== "" || draft.note.trim() !== ""
    try {
      if (isBegun || draft.editing !== null) this.shelf.setItem(PREFIX + conversation, JSON.stringify(draft))
      else this.shelf.removeItem(PREFIX + conversation)
    } catch {
      // A full or forbidden store: the draft lives as long as the page.
    }
    if (this.begun.get().has(conversation) === isBegun) return
    const begun = new Set(this.begun.get())
    if (isBegun) begun.add(conversation)
    else begun.delete(conversation)
    this.begun.set(begun)
  }

  /** Deletes all of them. */
  clear(): void {
    for (const conversation of this.kept()) this.shelf.removeItem(PREFIX + conversation)
    for (const store of this.stores.values()) store.set(NO_DRAFT)
    this.begun.set(new Set())
  }

  private kept(): ConversationId[] {
    const found: ConversationId[] = []
    for (let at = 0; at < this.shelf.length; at++) {
      const key = this.shelf.key(at)
      if (key?.startsWith(PREFIX) === true) found.push(key.slice(PREFIX.length) as ConversationId)
    }
    return found
  }

  private read(conversation: ConversationId): DraftText {
    try {
      const text = this.shelf.getItem(PREFIX + conversation)
      return text === null ? NO_DRAFT : { ...NO_DRAFT, ...(JSON.parse(text) as Partial<DraftText>) }
    } catch {
      return NO_DRAFT
    }
  }
}

/** Facts that the hub has not confirmed, in the order in which they were written. */

import { subjectOf, targetOf } from "../protocol/fact.ts"
import {
  type ActorId,
  type ConversationId,
  type DocumentId,
  type MessageId,
  conversationOf,
  kindOf,
} from "../protocol/id.ts"
import type { Ticket } from "./effect.ts"
import { OrderedMap } from "./ordered.ts"
import type { OutboxRow } from "./row.ts"

/** Most facts that may wait; beyond, an act is answered `Busy`. */
export const OUTBOX_MAX = 65_536

interface Waiting {
  readonly row: OutboxRow
  readonly ticket: Ticket
}

/** The outbox: all of it is in memory, as it is bounded. */
export class Outbox {
  private readonly byOrder = new OrderedMap<number, Waiting>()
  private readonly byDocument = new Map<DocumentId, OrderedMap<number, Waiting>>()
  private readonly holders = new Map<MessageId, DocumentId>()

  insert(row: OutboxRow, ticket: Ticket): void {
    this.remove(row.order)
    const waiting = { row, ticket }
    if (row.fact.type === "Message") this.holders.set(row.fact.message.id, row.document)
    let orders = this.byDocument.get(row.document)
    if (orders === undefined) this.byDocument.set(row.document, (orders = new OrderedMap<number, Waiting>()))
    orders.set(row.order, waiting)
    this.byOrder.set(row.order, waiting)
  }

  remove(order: number): OutboxRow | null {
    const waiting = this.byOrder.get(order)
    if (waiting === undefined) return null
    const { row } = waiting
    this.byOrder.delete(order)
    if (row.fact.type === "Message") this.holders.delete(row.fact.message.id)
    const orders = this.byDocument.get(row.document)
    orders?.delete(order)
    if (orders?.size === 0) this.byDocument.delete(row.document)
    return row
  }

  get size(): number {
    return this.byOrder.size
  }

  /** Rows in order. */
  rows(): OutboxRow[] {
    return this.byOrder.values().map(({ row }) => row)
  }

  /** Rows of a document, in order. */
  of(document: DocumentId): OutboxRow[] {
    return (
      this.byDocument
        .get(document)
        ?.values()
        .map(({ row }) => row) ?? []
    )
  }

  /** Rows of a conversation, document by document. */
  ofConversation(conversation: ConversationId): OutboxRow[] {
    const documents = [...this.byDocument.keys()].filter((document) => conversationOf(document) === conversation)
    return documents.sort().flatMap((document) => this.of(document))
  }

  /** Rows of a conversation's cards. */
  ofCards(conversation: ConversationId): OutboxRow[] {
    return this.ofConversation(conversation).filter((row) => kindOf(row.document) === "card")
  }

  /** A conversation's rows that are a message, or about it. */
  about(conversation: ConversationId, message: MessageId): OutboxRow[] {
    return this.ofConversation(conversation).filter((row) => subjectOf(row.fact) === message)
  }

  /** Rows of a document in one chain, in order of seq. */
  chain(document: DocumentId, actor: ActorId): Waiting[] {
    const rows =
      this.byDocument
        .get(document)
        ?.values()
        .filter(({ row }) => row.actor === actor) ?? []
    return rows.sort((one, other) => one.row.seq - other.row.seq)
  }

  /** The row at a place of a chain. */
  at(document: DocumentId, actor: ActorId, seq: number): OutboxRow | null {
    return this.of(document).find((row) => row.actor === actor && row.seq === seq) ?? null
  }

  /** Documents with rows, that with the oldest row first. */
  documents(): DocumentId[] {
    const firsts = [...this.byDocument].map(([document, orders]) => [orders.first() ?? 0, document] as const)
    return firsts.sort(([one], [other]) => one - other).map(([, document]) => document)
  }

  /** Whether a row of a document stands in its chain before the message that it is about. */
  isOvertaken(document: DocumentId): boolean {
    const seqs = new Map<MessageId, number>()
    for (const { fact, seq } of this.of(document)) if (fact.type === "Message") seqs.set(fact.message.id, seq)
    return this.of(document).some(({ fact, seq }) => seq < (seqs.get(targetOf(fact) ?? ("" as MessageId)) ?? 0))
  }

  /** The document that a pending message waits for. */
  documentOf(message: MessageId): DocumentId | null {
    return this.holders.get(message) ?? null
  }
}

/** A device's rows in memory: what a store must do with each write. */

import {
  type EventRow,
  EMPTY_META,
  type FactRow,
  type Stored,
  type Write,
  eventDocument,
  eventKey,
} from "../../src/core/row.ts"
import type { ConversationId, DocumentId } from "../../src/protocol/id.ts"

/** See the module. */
export class Rows {
  private tables = new Map<string, Map<string | number, unknown>>()

  private table<T>(name: string): Map<string | number, T> {
    let table = this.tables.get(name)
    if (table === undefined) this.tables.set(name, (table = new Map()))
    return table as Map<string | number, T>
  }

  write(write: Write): void {
    const within = (name: string, prefix: string): void => {
      for (const key of this.table(name).keys()) if (String(key).startsWith(prefix)) this.table(name).delete(key)
    }
    switch (write.type) {
      case "Meta":
      case "Team":
        return void this.table("state").set(write.type, write.row)
      case "Conversation":
        return void this.table("conversations").set(write.row.conversation.id, write.row)
      case "Document":
        return void this.table("documents").set(write.row.document, write.row)
      case "DocumentGone":
        return ["documents", "facts", "events"].forEach((name) => within(name, write.document))
      case "Fact":
        return void this.table("facts").set(
          `${write.row.placed.document}/${write.row.placed.actor}/${write.row.placed.seq}`,
          write.row,
        )
      case "Event":
        return void this.table("events").set(`${eventDocument(write.row.body)}/${eventKey(write.row.body)}`, write.row)
      case "Outbox":
        return void this.table("outbox").set(write.row.order, write.row)
      case "OutboxGone":
        return void this.table("outbox").delete(write.order)
      case "Resolve":
        return void this.table("resolves").set(write.row.order, write.row)
      case "ResolveGone":
        return void this.table("resolves").delete(write.order)
      case "Offer":
        return void this.table("offers").set(write.row.key, write.row)
      case "OfferGone":
        return void this.table("offers").delete(write.key)
      case "Backfill":
        return void this.table("backfills").set(write.row.conversation, write.row)
      case "BackfillGone":
        return void this.table("backfills").delete(write.conversation)
      case "NotSent":
        return void this.table("notSent").set(write.row.order, write.row)
      case "NotSentGone":
        return void this.table("notSent").delete(write.order)
      case "Forget":
        ;["documents", "facts", "events"].forEach((name) => within(name, write.conversation))
        this.table("conversations").delete(write.conversation)
        this.table("backfills").delete(write.conversation)
    }
  }

  load(document: DocumentId): { facts: FactRow[]; events: EventRow[] } {
    const of = <T>(name: string): T[] =>
      [...this.table<T>(name)].filter(([key]) => String(key).startsWith(document)).map(([, row]) => row)
    return { facts: of("facts"), events: of("events") }
  }

  /** Whatever is held of a conversation, what its author is told beside. */
  about(conversation: ConversationId): unknown[] {
    const tables = [...this.tables].filter(([name]) => name !== "notSent" && name !== "state")
    return tables.flatMap(([, table]) =>
      [...table.values()].filter((row) => JSON.stringify(row).includes(conversation)),
    )
  }

  stored(): Stored {
    const all = <T>(name: string): T[] =>
      [...this.table<T>(name)].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, row]) => row)
    const state = this.table<never>("state")
    return {
      meta: state.get("Meta") ?? EMPTY_META,
      team: state.get("Team") ?? null,
      conversations: all("conversations"),
      documents: all("documents"),
      outbox: all("outbox"),
      resolves: all("resolves"),
      offers: all("offers"),
      backfills: all("backfills"),
      notSent: all("notSent"),
    }
  }
}

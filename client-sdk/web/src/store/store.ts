/**
 * What a device keeps, in IndexedDB.
 *
 * One transaction of the core is written in one transaction of the database, several waiting ones in one, so that a
 * device never finds half of something. Documents are kept as one packed record each, and single rows for what came
 * since; a document that grew many of them is packed anew when it is read.
 */

import { type DBSchema, type IDBPDatabase, type IDBPTransaction, deleteDB, openDB } from "idb"

import type { Team } from "../protocol/frame.ts"
import type { ConversationId, DocumentId } from "../protocol/id.ts"
import {
  type BackfillRow,
  type ConversationRow,
  type DocumentRow,
  EMPTY_META,
  type EventRow,
  type FactRow,
  type Meta,
  type NotSentRow,
  type OfferRow,
  type OutboxRow,
  type ResolveRow,
  type Stored,
  type Write,
  eventDocument,
  eventKey,
} from "../core/row.ts"
import type { Identity } from "../identity.ts"
import { type DocumentRows, pack, unpack } from "./pack.ts"

/** Format of the database; see {@link Store.open}. */
const VERSION = 1
/** Single rows of a document beyond which it is packed anew. */
const LOOSE_ROWS_MAX = 96

/** Something that was typed and not sent. */
export interface KeptDraft {
  /** The text. */
  readonly body: string
  /** What it would be: a reply or a note. */
  readonly dir: "out" | "note"
  /** The message that it answers. */
  readonly re: string | null
}

interface Schema extends DBSchema {
  state: { key: "meta" | "team" | "identity"; value: Meta | Team | Identity }
  conversations: { key: string; value: ConversationRow }
  documents: { key: string; value: DocumentRow }
  packs: { key: string; value: Uint8Array }
  facts: { key: string; value: FactRow }
  events: { key: string; value: EventRow }
  outbox: { key: number; value: OutboxRow }
  resolves: { key: number; value: ResolveRow }
  offers: { key: string; value: OfferRow }
  backfills: { key: string; value: BackfillRow }
  notSent: { key: number; value: NotSentRow }
  drafts: { key: string; value: KeptDraft }
}

const TABLES = [
  "state",
  "conversations",
  "documents",
  "packs",
  "facts",
  "events",
  "outbox",
  "resolves",
  "offers",
  "backfills",
  "notSent",
  "drafts",
] as const
type Table = (typeof TABLES)[number]
type Writing = IDBPTransaction<Schema, Table[], "readwrite">

/** Why the store cannot be written: no room is left, or something else. */
export type StoreTrouble = "full" | "failed"

/** What an error of the database means. */
export function storeTrouble(error: unknown): StoreTrouble {
  return error instanceof Error && error.name === "QuotaExceededError" ? "full" : "failed"
}

/** The rows of one device. */
export class Store {
  private constructor(private readonly database: IDBPDatabase<Schema>) {}

  /** Opens the device's database, made if there is none. Only one device may have it open. */
  static async open(name: string, lost: () => void): Promise<Store> {
    const database = await openDB<Schema>(`lockstep-${name}`, VERSION, {
      upgrade(fresh) {
        for (const table of TABLES) fresh.createObjectStore(table)
      },
      // Another version of the page wants to upgrade or delete it.
      blocking: () => {
        database.close()
        lost()
      },
      terminated: lost,
    })
    return new Store(database)
  }

  /** Deletes a device's database with everything in it. */
  static async wipe(name: string): Promise<void> {
    await deleteDB(`lockstep-${name}`)
  }

  close(): void {
    this.database.close()
  }

  /** Key and hub of this device; null before it was enrolled. */
  async identity(): Promise<Identity | null> {
    return ((await this.database.get("state", "identity")) as Identity | undefined) ?? null
  }

  async setIdentity(identity: Identity): Promise<void> {
    const transaction = this.database.transaction("state", "readwrite", { durability: "strict" })
    await Promise.all([transaction.store.put(identity, "identity"), transaction.done])
  }

  /**
   * Deletes everything but what the member wrote and the hub has not confirmed, and whose that is: for a device that
   * its hub does not know any more.
   */
  async lock(): Promise<void> {
    const transaction = this.database.transaction(TABLES, "readwrite", { durability: "strict" })
    const state = transaction.objectStore("state")
    const [identity, known] = await Promise.all([
      state.get("identity") as Promise<Identity | undefined>,
      state.get("meta") as Promise<Meta | undefined>,
    ])
    const { hub, member, clockMs, nextOrder } = known ?? EMPTY_META
    const carried = member === null ? null : { hub, member }
    const meta: Meta = { ...EMPTY_META, clockMs, nextOrder, carried }
    const kept: readonly Table[] = ["state", "outbox", "resolves", "notSent", "drafts"]
    await Promise.all([
      ...TABLES.filter((table) => !kept.includes(table)).map((table) => transaction.objectStore(table).clear()),
      state.delete("team"),
      state.put(meta, "meta"),
      ...(identity === undefined ? [] : [state.put({ ...identity, spent: true } satisfies Identity, "identity")]),
      transaction.done,
    ])
  }

  /** Deletes every draft. */
  async clearDrafts(): Promise<void> {
    await this.database.clear("drafts")
  }

  /** Everything that the device starts from. */
  async stored(): Promise<Stored> {
    const transaction = this.database.transaction(TABLES)
    const all = <T extends Table>(table: T): Promise<Schema[T]["value"][]> =>
      transaction.objectStore(table).getAll() as Promise<Schema[T]["value"][]>
    const state = transaction.objectStore("state")
    const [meta, team, conversations, documents, outbox, resolves, offers, backfills, notSent] = await Promise.all([
      state.get("meta") as Promise<Meta | undefined>,
      state.get("team") as Promise<Team | undefined>,
      all("conversations"),
      all("documents"),
      all("outbox"),
      all("resolves"),
      all("offers"),
      all("backfills"),
      all("notSent"),
    ])
    return {
      meta: meta ?? EMPTY_META,
      team: team ?? null,
      conversations,
      documents,
      outbox,
      resolves,
      offers,
      backfills,
      notSent,
    }
  }

  /** Rows of one document; throws if they cannot be read. */
  async load(document: DocumentId): Promise<DocumentRows> {
    const transaction = this.database.transaction(["packs", "facts", "events"])
    const loose = within(document)
    const [packed, facts, events] = await Promise.all([
      transaction.objectStore("packs").get(document),
      transaction.objectStore("facts").getAll(loose),
      transaction.objectStore("events").getAll(loose),
    ])
    const rows: DocumentRows = packed === undefined ? { facts: [], events: [] } : unpack(packed)
    rows.facts.push(...facts)
    rows.events.push(...events)
    if (facts.length + events.length > LOOSE_ROWS_MAX) await this.repack(document)
    return rows
  }

  /** Puts a document's single rows into its packed record. What was written meanwhile is in them. */
  private async repack(document: DocumentId): Promise<void> {
    const transaction = this.database.transaction(["packs", "facts", "events"], "readwrite")
    const [packs, looseFacts, looseEvents] = [
      transaction.objectStore("packs"),
      transaction.objectStore("facts"),
      transaction.objectStore("events"),
    ]
    const loose = within(document)
    const [packed, facts, events] = await Promise.all([
      packs.get(document),
      looseFacts.getAll(loose),
      looseEvents.getAll(loose),
    ])
    const known: DocumentRows = packed === undefined ? { facts: [], events: [] } : unpack(packed)
    const renewed = new Set(events.map((row) => eventKey(row.body)))
    const kept = known.events.filter((row) => !renewed.has(eventKey(row.body)))
    const rows = { facts: [...known.facts, ...facts], events: [...kept, ...events] }
    await Promise.all([
      packs.put(pack(rows), document),
      looseFacts.delete(loose),
      looseEvents.delete(loose),
      transaction.done,
    ])
  }

  /** Writes rows in order, all or none. Throws: see {@link storeTrouble}. */
  async write(writes: readonly Write[]): Promise<void> {
    // What a member wrote must survive a loss of power; what the hub can send again need not.
    const own = writes.some(({ type }) => type === "Outbox" || type === "Resolve" || type === "NotSent")
    const transaction = this.database.transaction(TABLES, "readwrite", { durability: own ? "strict" : "relaxed" })
    const done = transaction.done
    try {
      const packs = new Map<DocumentId, DocumentRows>()
      for (const write of writes) put(transaction, packs, write)
      for (const [document, rows] of packs)
        void transaction.objectStore("packs").put(pack(rows), document).catch(ignored)
      transaction.commit()
    } catch (error) {
      // A request that throws at once (no room for its copy, say) must not leave half of the rows.
      done.catch(ignored)
      transaction.abort()
      throw error
    }
    await done
  }

  /** Every draft, by conversation. */
  async drafts(): Promise<Map<ConversationId, KeptDraft>> {
    const transaction = this.database.transaction("drafts")
    const [keys, values] = await Promise.all([transaction.store.getAllKeys(), transaction.store.getAll()])
    return new Map(keys.map((key, at) => [key as ConversationId, values[at] as KeptDraft]))
  }

  /** Keeps a draft; null deletes it. */
  async setDraft(conversation: ConversationId, draft: KeptDraft | null): Promise<void> {
    if (draft === null) await this.database.delete("drafts", conversation)
    else await this.database.put("drafts", draft, conversation)
  }
}

// A request's own error is the transaction's, too, and is told by that.
function ignored(): void {}

/** Keys of the rows of a document, or of all documents of a conversation. */
function within(prefix: string): IDBKeyRange {
  return IDBKeyRange.bound(prefix, `${prefix}\uffff`)
}

function put(transaction: Writing, packs: Map<DocumentId, DocumentRows>, write: Write): void {
  const request = (promise: Promise<unknown>): void => void promise.catch(ignored)
  const table = <T extends Table>(name: T) => transaction.objectStore(name)
  switch (write.type) {
    case "Meta":
      return request(table("state").put(write.row, "meta"))
    case "Team":
      return request(table("state").put(write.row, "team"))
    case "Conversation":
      return request(table("conversations").put(write.row, write.row.conversation.id))
    case "Document":
      return request(table("documents").put(write.row, write.row.document))
    case "DocumentGone":
      for (const name of ["documents", "packs"] as const) request(table(name).delete(write.document))
      for (const name of ["facts", "events"] as const) request(table(name).delete(within(write.document)))
      packs.set(write.document, { facts: [], events: [] })
      return
    case "Fact": {
      const { document, actor, seq } = write.row.placed
      const packed = packs.get(document)
      if (packed !== undefined) packed.facts.push(write.row)
      else request(table("facts").put(write.row, `${document}/${actor}/${seq.toString(16).padStart(8, "0")}`))
      return
    }
    case "Event": {
      const document = eventDocument(write.row.body)
      if (document === null) return
      const packed = packs.get(document)
      if (packed !== undefined) packed.events.push(write.row)
      else request(table("events").put(write.row, `${document}/${eventKey(write.row.body)}`))
      return
    }
    case "Outbox":
      return request(table("outbox").put(write.row, write.row.order))
    case "OutboxGone":
      return request(table("outbox").delete(write.order))
    case "Resolve":
      return request(table("resolves").put(write.row, write.row.order))
    case "ResolveGone":
      return request(table("resolves").delete(write.order))
    case "Offer":
      return request(table("offers").put(write.row, write.row.key))
    case "OfferGone":
      return request(table("offers").delete(write.key))
    case "Backfill":
      return request(table("backfills").put(write.row, write.row.conversation))
    case "BackfillGone":
      return request(table("backfills").delete(write.conversation))
    case "NotSent":
      return request(table("notSent").put(write.row, write.row.order))
    case "NotSentGone":
      return request(table("notSent").delete(write.order))
    case "Forget": {
      const { conversation } = write
      for (const name of ["documents", "packs", "facts", "events"] as const)
        request(table(name).delete(within(conversation)))
      for (const name of ["conversations", "backfills", "drafts"] as const) request(table(name).delete(conversation))
      for (const document of packs.keys()) if (document.startsWith(conversation)) packs.delete(document)
    }
  }
}

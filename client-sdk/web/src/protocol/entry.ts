/** Entries of the log, and the tables of snapshots. PROTOCOL.md, "Entries and stamps" and "Snapshots". */

import { CborWriter } from "./cbor.ts"
import { type TypeOf, choice, encode, fixed, list, optional, struct, tryDecode, u32, u53, variant } from "./codec.ts"
import { directoryEventCodec } from "./directory.ts"
import { factCodec } from "./fact.ts"
import {
  type ActorId,
  type ConversationId,
  type DeviceId,
  type DocumentDigest,
  type DocumentId,
  type Epoch,
  type HashPrefix,
  type ImportId,
  type MessageId,
  type Nonce,
  conversationOf,
  documentIdCodec,
} from "./id.ts"
import { stampCodec } from "./stamp.ts"

const messageId = fixed<MessageId>(16)

/** A fact at its place in a chain. */
export const placedFactCodec = struct({
  /** The document. */
  document: documentIdCodec,
  /** The chain. */
  actor: fixed<ActorId>(16),
  /** Place in the chain, from 1. */
  seq: u32,
  /** The first 8 bytes of the derived change's hash. */
  hash: fixed<HashPrefix>(8),
  /** The fact. */
  fact: factCodec,
  /** At seq 1: who opened the chain. */
  opening: optional(struct({ device: fixed<DeviceId>(16), nonce: fixed<Nonce>(16) })),
  /** Re-admitted facts: where it stood before. */
  origin: optional(struct({ epoch: fixed<Epoch>(16), lsn: u53 })),
})
/** See {@link placedFactCodec}. */
export type PlacedFact = TypeOf<typeof placedFactCodec>

/** What an author does with a held reply. */
export const resolutionCodec = choice("send", "discard")
/** See {@link resolutionCodec}. */
export type Resolution = TypeOf<typeof resolutionCodec>

/** How far a channel connector got with an accepted reply. */
export const deliveryCodec = choice("sending", "sent", "failed", "unknown")
/** See {@link deliveryCodec}. */
export type Delivery = TypeOf<typeof deliveryCodec>

/** What a sensitive message is about. */
export const categoryCodec = choice("contract", "payment", "bank", "identity", "password")
/** See {@link categoryCodec}. */
export type Category = TypeOf<typeof categoryCodec>

const importedCodec = struct({
  document: documentIdCodec,
  import: fixed<ImportId>(16),
  facts: u32,
  messages: u32,
  first: optional(messageId),
  last: optional(messageId),
  digest: fixed<DocumentDigest>(16),
})
/** A segment of facts from elsewhere, taken in as one whole. */
export type Imported = TypeOf<typeof importedCodec>

/** What happened. */
export const entryBodyCodec = variant({
  Fact: { placed: placedFactCodec },
  Opened: { document: documentIdCodec },
  Resolved: { document: documentIdCodec, message: messageId, resolution: resolutionCodec },
  Delivered: { document: documentIdCodec, message: messageId, delivery: deliveryCodec },
  Marked: { conversation: fixed<ConversationId>(16), message: messageId, read: u53 },
  Directory: { event: directoryEventCodec },
  Imported: { imported: importedCodec },
  Sensitive: { document: documentIdCodec, message: messageId, category: categoryCodec },
})
/** See {@link entryBodyCodec}. */
export type EntryBody = TypeOf<typeof entryBodyCodec>

/** One entry of the log. */
export const entryCodec = struct({ stamp: stampCodec, body: entryBodyCodec })
/** See {@link entryCodec}. */
export type Entry = TypeOf<typeof entryCodec>

/** An entry from its bytes; null for one that this version does not understand. */
export function readEntry(bytes: Uint8Array): Entry | null {
  return tryDecode(entryCodec, bytes)
}

/** The document that an entry is about, if it is about one. */
export function documentOf(body: EntryBody): DocumentId | null {
  switch (body.type) {
    case "Fact":
      return body.placed.document
    case "Opened":
    case "Resolved":
    case "Delivered":
    case "Sensitive":
      return body.document
    case "Imported":
      return body.imported.document
    case "Marked":
    case "Directory":
      return null
  }
}

/** The conversation that an entry is about, if it is about one. */
export function entryConversation(body: EntryBody): ConversationId | null {
  if (body.type === "Marked") return body.conversation
  if (body.type !== "Directory") {
    const document = documentOf(body)
    return document === null ? null : conversationOf(document)
  }
  const { event } = body
  switch (event.type) {
    case "ConversationOpened":
      return event.conversation.id
    case "Assigned":
    case "Unassigned":
    case "KeepChanged":
    case "ConversationShredded":
      return event.conversation
    case "ImportUndone":
    case "Expired":
      return conversationOf(event.document)
    default:
      return null
  }
}

/** The bytes of a body that its stamp's MAC and a document's digest are over. */
export function macBytes(body: EntryBody): Uint8Array {
  if (body.type !== "Fact") return encode(entryBodyCodec, body)
  const { document, actor, seq, fact } = body.placed
  const writer = new CborWriter()
  writer.array(4)
  writer.hexItem(document)
  writer.hexItem(actor)
  writer.uint(seq)
  factCodec.write(writer, fact)
  return writer.take()
}

/** What the hub decided about everything in a snapshot. */
export const tableCodec = struct({
  /** The epochs that rows refer to. */
  epochs: list(fixed<Epoch>(16)),
  /** One row a fact, in order of LSN. */
  facts: list(struct({ actor: fixed<ActorId>(16), seq: u32, epoch: u32, stamp: stampCodec })),
  /** Resolutions, deliveries and marks, in order of LSN; of an imported segment its announcement. */
  events: list(struct({ epoch: u32, stamp: stampCodec, body: entryBodyCodec })),
})
/** See {@link tableCodec}. */
export type Table = TypeOf<typeof tableCodec>

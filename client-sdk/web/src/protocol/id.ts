/**
 * Ids. In memory all of them are small hexadecimal digits: they compare as the bytes do, are keys of maps and of the
 * store, and pass between threads as they are.
 */

import { type Codec, fixed } from "./codec.ts"
import { fromHex, toHex } from "./cbor.ts"
import { deriveKey, hash } from "./hash.ts"

declare const brand: unique symbol
/** A string that is an id of one sort. */
export type Id<Sort extends string> = string & { readonly [brand]: Sort }

/** The hub. 16 bytes. */
export type HubId = Id<"Hub">
/** A conversation. 16 bytes. */
export type ConversationId = Id<"Conversation">
/** One life of the hub's log. 16 bytes. */
export type Epoch = Id<"Epoch">
/** 16 random bytes. */
export type Nonce = Id<"Nonce">
/** A device. 16 bytes. */
export type DeviceId = Id<"Device">
/** A chain's author. 16 bytes. */
export type ActorId = Id<"Actor">
/** A message: a ULID, 16 bytes. */
export type MessageId = Id<"Message">
/** Another fact: a ULID, 16 bytes. */
export type FactId = Id<"Fact">
/** A document: conversation, kind and number, 21 bytes. */
export type DocumentId = Id<"Document">
/** A run of an import. 16 bytes. */
export type ImportId = Id<"Import">
/** A change's hash. 32 bytes. */
export type ChangeHash = Id<"ChangeHash">
/** Its first 8 bytes. */
export type HashPrefix = Id<"HashPrefix">
/** An attachment's hash. 32 bytes. */
export type MediaHash = Id<"Media">
/** An Ed25519 key. 32 bytes. */
export type PublicKey = Id<"PublicKey">
/** An Ed25519 signature. 64 bytes. */
export type Signature = Id<"Signature">
/** SHA-256 of the hub's certificate key. 32 bytes. */
export type PinnedKeyHash = Id<"PinnedKeyHash">
/** A one-time code. 16 bytes. */
export type InviteCode = Id<"InviteCode">
/** The hub's proof of a cursor. 16 bytes. */
export type CursorTag = Id<"CursorTag">
/** Digest of a document. 16 bytes. */
export type DocumentDigest = Id<"DocumentDigest">
/** A stamp's MAC. 8 bytes. */
export type Mac = Id<"Mac">
/** A staff number; 0 is the hub. */
export type MemberId = number
/** A place in the log, from 1; 0 is before the first entry. */
export type Lsn = number

/** What a document is. */
export type DocumentKind = "segment" | "card" | "imported"

const KINDS: readonly DocumentKind[] = ["segment", "card", "imported"]

/** A document's id from its parts. */
export function documentId(conversation: ConversationId, kind: DocumentKind, number: number): DocumentId {
  return `${conversation}0${KINDS.indexOf(kind)}${number.toString(16).padStart(8, "0")}` as DocumentId
}

/** The conversation of a document. */
export function conversationOf(document: DocumentId): ConversationId {
  return document.slice(0, 32) as ConversationId
}

/** The kind of a document. */
export function kindOf(document: DocumentId): DocumentKind {
  return KINDS[document.charCodeAt(33) - 0x30] as DocumentKind
}

/** The number of a document among those of its kind. */
export function numberOf(document: DocumentId): number {
  return Number.parseInt(document.slice(34), 16)
}

/** Greatest number of a document. */
export const NUMBER_MAX = 0xffff_ffff

const document21 = fixed<DocumentId>(21)

/** A document's id; an unknown kind is refused. */
export const documentIdCodec: Codec<DocumentId> = {
  write: document21.write,
  read(reader) {
    const id = document21.read(reader)
    return id[32] === "0" && KINDS[id.charCodeAt(33) - 0x30] !== undefined ? id : reader.fail()
  },
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

/** The time in a ULID, milliseconds since 1970. */
export function ulidTime(id: MessageId | FactId): number {
  return Number.parseInt(id.slice(0, 12), 16)
}

/** A ULID from a time, milliseconds since 1970, and at least 10 random bytes of which the last are taken. */
export function makeUlid(timeMs: number, random: string): string {
  return timeMs.toString(16).padStart(12, "0") + random.slice(-20)
}

/** A ULID's 26 characters, as they stand in keys of documents. */
export function ulidText(id: MessageId | FactId): string {
  // 128 bits are 26 groups of five, the first of which has three.
  let text = ""
  let [bits, held] = [0, 2]
  for (let at = 0; at < 32; at++) {
    bits = (bits << 4) | Number.parseInt(id[at] as string, 16)
    held += 4
    if (held >= 5) {
      held -= 5
      text += CROCKFORD[(bits >> held) & 31]
      bits &= (1 << held) - 1
    }
  }
  return text
}

/** A ULID from its 26 characters; null for any other spelling. */
export function parseUlid(text: string): string | null {
  if (text.length !== 26) return null
  let id = ""
  let [bits, held] = [0, 0]
  for (let at = 0; at < 26; at++) {
    const value = CROCKFORD.indexOf(text[at] as string)
    if (value < 0 || (at === 0 && value > 7)) return null
    bits = (bits << 5) | value
    held += at === 0 ? 3 : 5
    while (held >= 4) {
      held -= 4
      id += ((bits >> held) & 15).toString(16)
      bits &= (1 << held) - 1
    }
  }
  return id
}

/** The first bytes of a hash, as facts carry them. */
export function prefixOf(full: ChangeHash): HashPrefix {
  return full.slice(0, 16) as HashPrefix
}

/** The id of the device with a public key. */
export function deviceIdOf(key: PublicKey): DeviceId {
  return toHex(deriveKey("lockstep device id 1", fromHex(key)), 0, 16) as DeviceId
}

/** The actor of a device's chain in a document. */
export function actorOf(key: PublicKey, nonce: Nonce, document: DocumentId): ActorId {
  return hash(16, fromHex(key), fromHex(nonce), fromHex(document)) as ActorId
}

/** The actor of the hub's own chain in a document: of an epoch for what it re-admits, of an import for what it takes in. */
export function hubActorOf(hub: HubId, of: Epoch | ImportId, document: DocumentId): ActorId {
  return hash(16, fromHex(hub), fromHex(of), fromHex(document)) as ActorId
}

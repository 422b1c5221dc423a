/** Facts: the small typed records that devices write. PROTOCOL.md, "Facts", "Keys" and "Checks of a fact by itself". */

import { toHex, toUtf8, utf8Length } from "./cbor.ts"
import { type TypeOf, bool, choice, encode, fixed, optional, struct, text, u32, u53, variant } from "./codec.ts"
import { deriveKey, hash } from "./hash.ts"
import { type DocumentKind, type FactId, type MediaHash, type MessageId, ulidText, ulidTime } from "./id.ts"
import * as limits from "./limits.ts"
import type { RefusalCode } from "./refusal.ts"

/** Which way a message goes: from the customer, to the customer, or for the team only. */
export const directionCodec = choice("in", "out", "note")
/** See {@link directionCodec}. */
export type Direction = TypeOf<typeof directionCodec>

const mediaCodec = struct({
  /** The blob's hash. */
  hash: fixed<MediaHash>(32),
  /** Media type, as `image/jpeg`. */
  mediaType: text,
  /** File name. */
  name: text,
  /** Size in bytes. */
  size: u53,
})
/** An attachment named by a message. */
export type Media = TypeOf<typeof mediaCodec>

const messageId = fixed<MessageId>(16)
const factId = fixed<FactId>(16)

/** A message. Its time is its id's. */
export const messageCodec = struct({
  /** Its id; display order is by it. */
  id: messageId,
  /** Its author. */
  by: u32,
  /** Which way it goes. */
  dir: directionCodec,
  /** What it is: `text`, `image`, … */
  kind: text,
  /** Its text. */
  body: text,
  /** Replies only: the newest accepted reply on the author's screen when they pressed send. */
  seen: optional(messageId),
  /** The message that it answers or quotes. */
  re: optional(messageId),
  /** Its attachment. */
  media: optional(mediaCodec),
  /** Imports only: where it came from. */
  src: optional(text),
})
/** See {@link messageCodec}. */
export type Message = TypeOf<typeof messageCodec>

/** One typed record by one device. */
export const factCodec = variant({
  Message: { message: messageCodec },
  Edit: { message: messageId, id: factId, body: text },
  Retraction: { message: messageId, id: factId, reason: text },
  Reaction: { message: messageId, by: u32, id: factId, emoji: text },
  Field: { name: text, id: factId, value: text },
  Label: { label: text, id: factId, on: bool },
})
/** See {@link factCodec}. */
export type Fact = TypeOf<typeof factCodec>

/** The map of a document that a fact writes into. */
export type Container = "messages" | "edits" | "retractions" | "reactions" | "fields" | "labels"

const CONTAINERS: Readonly<Record<Fact["type"], Container>> = {
  Message: "messages",
  Edit: "edits",
  Retraction: "retractions",
  Reaction: "reactions",
  Field: "fields",
  Label: "labels",
}

/** A document's containers, in the order of their numbers, which count from 1. */
export function containersOf(kind: DocumentKind): readonly Container[] {
  return kind === "card" ? ["fields", "labels"] : ["messages", "edits", "retractions", "reactions"]
}

/** The container of a fact. */
export function containerOf(fact: Fact): Container {
  return CONTAINERS[fact.type]
}

/** The key that a fact writes in its container. */
export function keyOf(fact: Fact): string {
  switch (fact.type) {
    case "Message":
      return ulidText(fact.message.id)
    case "Edit":
    case "Retraction":
      return `${ulidText(fact.message)}/${ulidText(fact.id)}`
    case "Reaction":
      return `${ulidText(fact.message)}/${fact.by}/${ulidText(fact.id)}`
    case "Field":
      return `${fact.name}/${ulidText(fact.id)}`
    case "Label":
      return `${fact.label}/${ulidText(fact.id)}`
  }
}

/** A key's short name, 16 bytes. */
export function shortKey(fact: Fact): string {
  if (fact.type === "Message") return fact.message.id
  return toHex(deriveKey("lockstep fact key 1", toUtf8(`${containerOf(fact)}/${keyOf(fact)}`)), 0, 16)
}

/** What tells one fact from every other of its conversation. */
export function nameOf(fact: Fact): string {
  return fact.type === "Message" ? fact.message.id : `${fact.type}/${keyOf(fact)}`
}

/** Tells one content from another, 8 bytes. */
export function contentDigest(fact: Fact): string {
  return hash(8, encode(factCodec, fact))
}

/** The fact's own ULID. */
export function factUlid(fact: Fact): MessageId | FactId {
  return fact.type === "Message" ? fact.message.id : fact.id
}

/** The time in the fact's ULID, milliseconds since 1970. */
export function factTime(fact: Fact): number {
  return ulidTime(factUlid(fact))
}

/** The message that an edit, retraction or reaction is about. */
export function targetOf(fact: Fact): MessageId | null {
  return fact.type === "Edit" || fact.type === "Retraction" || fact.type === "Reaction" ? fact.message : null
}

/** The message that a fact is, or is about. */
export function subjectOf(fact: Fact): MessageId | null {
  return fact.type === "Message" ? fact.message.id : targetOf(fact)
}

/** UTF-8 bytes of free text in a fact. */
export function textBytes(fact: Fact): number {
  switch (fact.type) {
    case "Message":
      return utf8Length(fact.message.body) + (fact.message.media === null ? 0 : utf8Length(fact.message.media.name))
    case "Edit":
      return utf8Length(fact.body)
    case "Retraction":
      return utf8Length(fact.reason)
    case "Reaction":
      return utf8Length(fact.emoji)
    case "Field":
      return utf8Length(fact.value)
    case "Label":
      return utf8Length(fact.label)
  }
}

const CONTROL = /\p{Cc}/u
const OUTER_SPACE = /^\p{White_Space}|\p{White_Space}$/u
const WORD = /^[a-z][a-z0-9_]*$/
const VISIBLE = /^[\x21-\x7e]*$/

/** The first rule of a fact by itself that it breaks in a document of this kind; null if it breaks none. */
export function checkFact(fact: Fact, kind: DocumentKind): RefusalCode | null {
  const isOfCard = fact.type === "Field" || fact.type === "Label"
  if (isOfCard !== (kind === "card")) return "WrongDocument"
  if (factTime(fact) < limits.ULID_TIME_MS_MIN) return "TimeTooOld"
  switch (fact.type) {
    case "Message":
      return holds(kind !== "imported" || fact.message.seen === null) ?? checkMessage(fact.message)
    case "Edit":
      return sized(fact.body, 1, limits.BODY_BYTES_MAX)
    case "Retraction":
      return sized(fact.reason, 0, limits.REASON_BYTES_MAX)
    case "Reaction":
      return sized(fact.emoji, 0, limits.EMOJI_BYTES_MAX) ?? holds(!CONTROL.test(fact.emoji))
    case "Field":
      return word(fact.name, limits.FIELD_NAME_BYTES_MAX) ?? sized(fact.value, 0, limits.FIELD_VALUE_BYTES_MAX)
    case "Label":
      return (
        sized(fact.label, 1, limits.LABEL_BYTES_MAX) ??
        holds(!CONTROL.test(fact.label) && !fact.label.includes("/") && !OUTER_SPACE.test(fact.label))
      )
  }
}

function checkMessage(message: Message): RefusalCode | null {
  const { kind, body, dir, seen, media, src } = message
  return (
    word(kind, limits.KIND_BYTES_MAX) ??
    sized(body, 0, limits.BODY_BYTES_MAX) ??
    holds(body !== "" || media !== null || kind !== "text") ??
    holds(seen === null || dir === "out") ??
    (media === null ? null : checkMedia(media)) ??
    (src === null ? null : sized(src, 1, limits.SRC_BYTES_MAX))
  )
}

function checkMedia({ mediaType, name, size }: Media): RefusalCode | null {
  return (
    sized(mediaType, 1, limits.MEDIA_TYPE_BYTES_MAX) ??
    holds(VISIBLE.test(mediaType)) ??
    sized(name, 0, limits.MEDIA_NAME_BYTES_MAX) ??
    holds(!CONTROL.test(name) && !name.includes("/") && !name.includes("\\")) ??
    (size > limits.MEDIA_SIZE_BYTES_MAX ? "TooLarge" : null)
  )
}

function word(value: string, bytesMax: number): RefusalCode | null {
  return sized(value, 1, bytesMax) ?? holds(WORD.test(value))
}

function sized(value: string, bytesMin: number, bytesMax: number): RefusalCode | null {
  const length = utf8Length(value)
  if (length > bytesMax) return "TooLarge"
  return holds(length >= bytesMin)
}

function holds(rule: boolean): RefusalCode | null {
  return rule ? null : "FieldInvalid"
}

/** A media hash as documents write it; null for another spelling. */
export function parseMediaHash(digits: string): MediaHash | null {
  return /^[0-9a-f]{64}$/.test(digits) ? (digits as MediaHash) : null
}

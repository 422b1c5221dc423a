/**
 * Shapes of the protocol's values: a struct is an array, an enum with fields a flat array, an absent field null or left
 * off at the end. PROTOCOL.md, "Conventions".
 */

import { CborReader, CborWriter, DecodeError } from "./cbor.ts"

/** One type's way to bytes and back. */
export interface Codec<T> {
  /** Whether null is a value of it. */
  readonly optional?: true
  /** Appends a value. */
  write(writer: CborWriter, value: T): void
  /** Reads a value; throws {@link DecodeError}. */
  read(reader: CborReader): T
}

/** What a codec reads and writes. */
export type TypeOf<C> = C extends Codec<infer T> ? T : never

/** Fields in the order of their indexes. */
export type Fields = Readonly<Record<string, Codec<unknown>>>

type Flat<T> = { [K in keyof T]: T[K] }

/** What a struct of these fields holds. */
export type StructOf<F extends Fields> = { -readonly [K in keyof F]: TypeOf<F[K]> }

/** What a variant of these cases holds: one object a case, told apart by `type`. */
export type VariantOf<C extends Readonly<Record<string, Fields>>> = {
  [N in keyof C]: Flat<{ type: N } & StructOf<C[N]>>
}[keyof C]

/** An unsigned integer of 32 bits. */
export const u32: Codec<number> = {
  write: (writer, value) => writer.uint(value),
  read: (reader) => reader.uint(0xffff_ffff),
}

/** An unsigned integer of 16 bits. */
export const u16: Codec<number> = {
  write: (writer, value) => writer.uint(value),
  read: (reader) => reader.uint(0xffff),
}

/** An unsigned integer of up to 53 bits: log places, times, sizes and tags. A greater one is refused. */
export const u53: Codec<number> = {
  write: (writer, value) => writer.uint(value),
  read: (reader) => reader.uint(),
}

/** An unsigned integer of 64 bits whose every bit counts. */
export const u64: Codec<bigint> = {
  write: (writer, value) => writer.bigUint(value),
  read: (reader) => reader.bigUint(),
}

/** Text. */
export const text: Codec<string> = {
  write: (writer, value) => writer.text(value),
  read: (reader) => reader.text(),
}

/** A boolean. */
export const bool: Codec<boolean> = {
  write: (writer, value) => writer.bool(value),
  read: (reader) => reader.bool(),
}

/** Bytes of any length. */
export const bytes: Codec<Uint8Array> = {
  write: (writer, value) => writer.bytesItem(value),
  read: (reader) => reader.bytesItem().slice(),
}

/** Exactly `length` bytes, held as hexadecimal digits. */
export function fixed<T extends string>(length: number): Codec<T> {
  return {
    write: (writer, value) => writer.hexItem(value),
    // What has the length is an id, digest or MAC: they have no other grammar.
    read: (reader) => reader.hexItem(length) as T,
  }
}

/** A value or null. */
export function optional<T>(codec: Codec<T>): Codec<T | null> {
  return {
    optional: true,
    write: (writer, value) => (value === null ? writer.null() : codec.write(writer, value)),
    read: (reader) => (reader.isNull() ? null : codec.read(reader)),
  }
}

/** A list of at most `max` items; a longer one is refused as `TooLarge`. */
export function list<T>(codec: Codec<T>, max = Number.POSITIVE_INFINITY): Codec<T[]> {
  return {
    write(writer, value) {
      writer.array(value.length)
      for (const item of value) codec.write(writer, item)
    },
    read(reader) {
      const length = reader.array()
      const items: T[] = []
      while (!reader.ends(length, items.length)) {
        if (items.length === max) throw new DecodeError("TooLarge", reader.at)
        items.push(codec.read(reader))
      }
      return items
    },
  }
}

/** An enum without fields: its number on the wire, its name in memory. */
export function choice<const N extends readonly string[]>(...names: N): Codec<N[number]> {
  const numbers = new Map<string, number>(names.map((name, number) => [name, number]))
  return {
    write: (writer, value) => writer.uint(numbers.get(value) as number),
    read(reader) {
      const name = names[reader.uint(0xffff_ffff)]
      return name === undefined ? reader.fail() : name
    },
  }
}

/** A struct. */
export function struct<const F extends Fields>(fields: F): Codec<StructOf<F>> {
  const entries = Object.entries(fields)
  return {
    write(writer, value) {
      const values = value as Readonly<Record<string, unknown>>
      const count = present(entries, values)
      writer.array(count)
      writeFields(writer, entries, values, count)
    },
    read: (reader) => readFields(reader, entries, {}, reader.array(), 0) as StructOf<F>,
  }
}

/** An enum with fields: `[number, field 0, …]`; a case's number is its place. */
export function variant<const C extends Readonly<Record<string, Fields>>>(cases: C): Codec<VariantOf<C>> {
  const known = Object.entries(cases).map(([name, fields]) => ({ name, entries: Object.entries(fields) }))
  const numbers = new Map(known.map((one, number) => [one.name, number]))
  return {
    write(writer, value) {
      const number = numbers.get(value.type as string) as number
      const { entries } = known[number] as (typeof known)[number]
      const values = value as unknown as Readonly<Record<string, unknown>>
      const count = present(entries, values)
      writer.array(count + 1)
      writer.uint(number)
      writeFields(writer, entries, values, count)
    },
    read(reader) {
      const length = reader.array()
      if (reader.ends(length, 0)) return reader.fail()
      const one = known[reader.uint(0xffff_ffff)]
      if (one === undefined) return reader.fail()
      return readFields(reader, one.entries, { type: one.name }, length, 1) as VariantOf<C>
    },
  }
}

type Entries = readonly (readonly [string, Codec<unknown>])[]

/** How many fields are written: those behind are all absent. */
function present(entries: Entries, values: Readonly<Record<string, unknown>>): number {
  let count = entries.length
  while (count > 0) {
    const [name, codec] = entries[count - 1] as Entries[number]
    if (codec.optional !== true || values[name] !== null) break
    count--
  }
  return count
}

function writeFields(
  writer: CborWriter,
  entries: Entries,
  values: Readonly<Record<string, unknown>>,
  count: number,
): void {
  for (let index = 0; index < count; index++) {
    const [name, codec] = entries[index] as Entries[number]
    codec.write(writer, values[name])
  }
}

function readFields(
  reader: CborReader,
  entries: Entries,
  into: Record<string, unknown>,
  length: number,
  skipped: number,
): Record<string, unknown> {
  let read = skipped
  let ended = false
  for (const [name, codec] of entries) {
    ended ||= reader.ends(length, read)
    if (!ended) {
      into[name] = codec.read(reader)
      read++
    } else if (codec.optional === true) {
      into[name] = null
    } else {
      reader.fail()
    }
  }
  // What a newer peer added.
  while (!ended && !(ended = reader.ends(length, read))) {
    reader.skip()
    read++
  }
  return into
}

/** A value's bytes. */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const writer = new CborWriter()
  codec.write(writer, value)
  return writer.take()
}

/** One whole value from bytes; throws {@link DecodeError} for another shape, or for more behind it. */
export function decode<T>(codec: Codec<T>, input: Uint8Array): T {
  const reader = new CborReader(input)
  const value = codec.read(reader)
  reader.end()
  return value
}

/** One whole value from bytes; null where they are none. */
export function tryDecode<T>(codec: Codec<T>, input: Uint8Array): T | null {
  try {
    return decode(codec, input)
  } catch (error) {
    if (error instanceof DecodeError) return null
    throw error
  }
}

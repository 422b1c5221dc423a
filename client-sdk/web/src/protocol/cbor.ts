/** CBOR (RFC 8949) as the protocol uses it: integers, byte and text strings, arrays, booleans and null. */

/** Why bytes are not what they should be. */
export class DecodeError extends Error {
  override readonly name = "DecodeError"
  /**
   * @param code `Malformed`: not of the expected shape. `TooLarge`: beyond a limit.
   * @param at Position in the bytes.
   */
  constructor(
    readonly code: "Malformed" | "TooLarge",
    readonly at: number,
  ) {
    super(`${code} at byte ${at}`)
  }
}

const encoder = new TextEncoder()
// Without `ignoreBOM` a byte order mark at the beginning of a text would be lost, and with it the hash.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

/** Bytes as small hexadecimal digits. */
export function toHex(bytes: Uint8Array, from = 0, to = bytes.length): string {
  let text = ""
  for (let at = from; at < to; at++) text += HEX[bytes[at] as number]
  return text
}

/** Hexadecimal digits as bytes; the caller knows that they are valid. */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length >> 1)
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(text.slice(2 * at, 2 * at + 2), 16)
  return bytes
}

/** A text's UTF-8 bytes. */
export function toUtf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** UTF-8 bytes as text; throws a `TypeError` where they are invalid. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/** How many bytes a text takes in UTF-8. */
export function utf8Length(text: string): number {
  let length = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    // A surrogate pair is two units and four bytes.
    if (unit >= 0x800 && (unit < 0xd800 || unit > 0xdfff)) length += 2
    else if (unit >= 0x80) length += 1
  }
  return length
}

/** Grows as it is written to. */
export class ByteWriter {
  private bytes: Uint8Array
  private at = 0

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity)
  }

  /** Bytes written so far. */
  get length(): number {
    return this.at
  }

  private reserve(more: number): void {
    if (this.at + more <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(2 * this.bytes.length, this.at + more))
    grown.set(this.bytes.subarray(0, this.at))
    this.bytes = grown
  }

  /** One byte. */
  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.at++] = value
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.at)
    this.at += bytes.length
  }

  /** Bytes given as hexadecimal digits. */
  hex(text: string): void {
    this.reserve(text.length >> 1)
    for (let at = 0; at + 1 < text.length; at += 2) {
      this.bytes[this.at++] = (digit(text.charCodeAt(at)) << 4) | digit(text.charCodeAt(at + 1))
    }
  }

  /** A text's UTF-8; answers how many bytes it took. */
  utf8(text: string): number {
    this.reserve(3 * text.length)
    const { written } = encoder.encodeInto(text, this.bytes.subarray(this.at))
    this.at += written
    return written
  }

  /** An unsigned LEB128 number. */
  leb(value: number): void {
    this.reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.bytes[this.at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.bytes[this.at++] = rest
  }

  /** A signed LEB128 number of at most 31 bits. */
  signedLeb(value: number): void {
    this.reserve(5)
    let rest = value
    for (;;) {
      const low = rest & 0x7f
      rest >>= 7
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.bytes[this.at++] = low
        return
      }
      this.bytes[this.at++] = low | 0x80
    }
  }

  /** What was written: a view, valid until the next write or clear. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.at)
  }

  /** What was written: a copy. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.at)
  }

  /** Begins again, in the same memory. */
  clear(): void {
    this.at = 0
  }
}

function digit(unit: number): number {
  return unit <= 0x39 ? unit - 0x30 : (unit | 0x20) - 0x57
}

/** Writes CBOR: definite lengths, the shortest form of every integer. */
export class CborWriter extends ByteWriter {
  /** The head of an item: its major type and its argument. */
  head(major: number, argument: number): void {
    const type = major << 5
    if (argument < 24) {
      this.byte(type | argument)
    } else if (argument < 0x100) {
      this.byte(type | 24)
      this.byte(argument)
    } else if (argument < 0x1_0000) {
      this.byte(type | 25)
      this.byte(argument >>> 8)
      this.byte(argument & 0xff)
    } else if (argument < 0x1_0000_0000) {
      this.byte(type | 26)
      this.u32(argument)
    } else {
      this.byte(type | 27)
      this.u32(Math.floor(argument / 0x1_0000_0000))
      this.u32(argument % 0x1_0000_0000)
    }
  }

  private u32(value: number): void {
    this.byte(value >>> 24)
    this.byte((value >>> 16) & 0xff)
    this.byte((value >>> 8) & 0xff)
    this.byte(value & 0xff)
  }

  /** An unsigned integer of up to 53 bits. */
  uint(value: number): void {
    this.head(0, value)
  }

  /** An unsigned integer of up to 64 bits. */
  bigUint(value: bigint): void {
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.uint(Number(value))
    } else {
      this.byte(27)
      this.u32(Number(value >> 32n))
      this.u32(Number(value & 0xffff_ffffn))
    }
  }

  /** The head of an array. */
  array(length: number): void {
    this.head(4, length)
  }

  /** A byte string. */
  bytesItem(bytes: Uint8Array): void {
    this.head(2, bytes.length)
    this.raw(bytes)
  }

  /** A byte string given as hexadecimal digits. */
  hexItem(text: string): void {
    this.head(2, text.length >> 1)
    this.hex(text)
  }

  /** A text string. */
  text(text: string): void {
    this.head(3, utf8Length(text))
    this.utf8(text)
  }

  /** A boolean. */
  bool(value: boolean): void {
    this.byte(value ? 0xf5 : 0xf4)
  }

  /** Null. */
  null(): void {
    this.byte(0xf6)
  }
}

const MAX_HIGH = 0x20_0000

/** Reads CBOR. Every method throws {@link DecodeError} where the bytes are something else. */
export class CborReader {
  /** Position of the next item. */
  at = 0

  constructor(readonly bytes: Uint8Array) {}

  /** Refuses what is here. */
  fail(): never {
    throw new DecodeError("Malformed", this.at)
  }

  private next(): number {
    const byte = this.bytes[this.at]
    if (byte === undefined) this.fail()
    this.at++
    return byte
  }

  private argument(info: number): number {
    if (info < 24) return info
    if (info === 24) return this.next()
    if (info === 25) return this.next() * 0x100 + this.next()
    if (info === 26) return this.u32()
    if (info !== 27) this.fail()
    const high = this.u32()
    const low = this.u32()
    if (high >= MAX_HIGH) this.fail()
    return high * 0x1_0000_0000 + low
  }

  private u32(): number {
    return ((this.next() << 24) | (this.next() << 16) | (this.next() << 8) | this.next()) >>> 0
  }

  private expect(major: number): number {
    const byte = this.bytes[this.at]
    if (byte === undefined || byte >> 5 !== major) this.fail()
    this.at++
    return this.argument(byte & 0x1f)
  }

  /** An unsigned integer of at most `max`. */
  uint(max = Number.MAX_SAFE_INTEGER): number {
    const begin = this.at
    const value = this.expect(0)
    if (value > max) {
      this.at = begin
      this.fail()
    }
    return value
  }

  /** An unsigned integer of up to 64 bits. */
  bigUint(): bigint {
    if (this.bytes[this.at] !== 27) return BigInt(this.expect(0))
    this.at++
    const high = this.u32()
    return (BigInt(high) << 32n) | BigInt(this.u32())
  }

  /** Length of an array; -1 of one of indefinite length, which {@link CborReader.ends} finds the end of. */
  array(): number {
    if (this.bytes[this.at] === 0x9f) {
      this.at++
      return -1
    }
    return this.expect(4)
  }

  /** Whether an array has ended of which `read` items were read; takes the break of an indefinite one. */
  ends(length: number, read: number): boolean {
    if (length >= 0) return read >= length
    if (this.bytes[this.at] !== 0xff) return false
    this.at++
    return true
  }

  private slice(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) this.fail()
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  /** A byte string: a view into the input. */
  bytesItem(): Uint8Array {
    return this.slice(this.expect(2))
  }

  /** A byte string of exactly `length` bytes, as hexadecimal digits. */
  hexItem(length: number): string {
    const bytes = this.bytesItem()
    if (bytes.length !== length) this.fail()
    return toHex(bytes)
  }

  /** A text string. */
  text(): string {
    const bytes = this.slice(this.expect(3))
    try {
      return decoder.decode(bytes)
    } catch {
      return this.fail()
    }
  }

  /** A boolean. */
  bool(): boolean {
    const byte = this.next()
    if (byte !== 0xf4 && byte !== 0xf5) this.fail()
    return byte === 0xf5
  }

  /** Whether null is next; takes it. */
  isNull(): boolean {
    if (this.bytes[this.at] !== 0xf6) return false
    this.at++
    return true
  }

  /** Passes over one item of whatever type. */
  skip(): void {
    // Items still to be passed over, by nesting; -1 where only a break tells. No recursion: input may be nested deeply.
    const open: number[] = [1]
    while (open.length > 0) {
      const left = open.pop() as number
      if (left === 0) continue
      if (left < 0 && this.bytes[this.at] === 0xff) {
        this.at++
        continue
      }
      open.push(left < 0 ? left : left - 1)
      const byte = this.next()
      const [major, info] = [byte >> 5, byte & 0x1f]
      if (info === 31) {
        if (major < 2 || major > 5) this.fail()
        open.push(-1)
      } else if (major === 7) {
        if (info > 27) this.fail()
        if (info >= 24) this.slice(1 << (info - 24))
      } else if (major <= 1 || major === 6) {
        if (info > 27) this.fail()
        if (info >= 24) this.slice(1 << (info - 24))
        if (major === 6) open.push(1)
      } else {
        const length = this.argument(info)
        if (major <= 3) this.slice(length)
        else open.push(major === 5 ? 2 * length : length)
      }
    }
  }

  /** Refuses bytes behind what was read. */
  end(): void {
    if (this.at !== this.bytes.length) this.fail()
  }
}

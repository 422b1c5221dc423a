/** What the demo's other people do by themselves: a customer writes, colleagues type and answer. */

import type { Chat } from "./chats.ts"
import type { FakeDevice } from "./fake-device.ts"
import { Chance } from "./message.ts"
import { PHRASES } from "./phrases.ts"
import { CHANNEL } from "./team.ts"

/** The demo's pulse, milliseconds. */
const BEAT_MS = 7_000

/** The people outside this browser. */
export class Life {
  private readonly device: FakeDevice
  private readonly chance = new Chance(Date.now())
  private beat: ReturnType<typeof setInterval> | null = null

  constructor(device: FakeDevice) {
    this.device = device
  }

  start(): void {
    this.beat = setInterval(() => this.happen(), BEAT_MS)
  }

  stop(): void {
    if (this.beat !== null) clearInterval(this.beat)
  }

  /** A customer writes. */
  customer(chat: Chat, body?: string): void {
    this.device.arrive(chat, CHANNEL, "in", body ?? this.chance.pick(PHRASES.en.asks))
  }

  /** A colleague types for a while, then answers. */
  colleague(chat: Chat, member: number, typingMs: number, body?: string): void {
    this.device.lease(chat, member, Math.min(typingMs + 500, 5_000))
    setTimeout(() => {
      this.device.lease(chat, null, 0)
      this.device.arrive(chat, member, "out", body ?? this.chance.pick(PHRASES.en.answers))
    }, typingMs)
  }

  private happen(): void {
    const chats = this.device.chats
    const chat = chats[this.chance.below(8)] as Chat
    if (this.chance.below(2) === 0) this.customer(chat)
    else this.colleague(chat, 2 + this.chance.below(4), 4_000)
  }
}

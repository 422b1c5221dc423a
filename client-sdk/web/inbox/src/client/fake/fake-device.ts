/** The demo's device and hub in one: acts, verdicts, events. */

import { REFUSAL_NUMBERS, type RefusalCode } from "../../../../src/protocol/refusal.ts"
import type {
  ActOutcome, Answer, Command, ConversationId, Direction, Draft, Fact, Invitation, LeaseView, ListedDevice, Member, MemberId,
  MessageId, MessageView, NotSent, Pairing, Phase, Policy, Port, PortEvent, Refusal, Resolution, Role, Status, ViewEvent,
} from "../port.ts"
import { type Chat, LONG, SEGMENT, extend, makeChats } from "./chats.ts"
import { message, messageId } from "./message.ts"
import { listRow, markers } from "./summary.ts"
import { ME, MEMBERS, MY_DEVICE, POLICY, listDevices } from "./team.ts"

const DONE: ActOutcome = { type: "Done" }
/** How long the demo's hub takes to answer, milliseconds. */
const HUB_MS = 350
/** After an accepted reply another member's collides for this long, milliseconds. */
const WINDOW_MS = 5_000

/** The port, in memory. */
export class FakeDevice implements Port {
  chats: Chat[]
  members: Member[] = MEMBERS.map((member) => ({ ...member }))
  private policy: Policy = POLICY
  private list: ListedDevice[]
  private readonly listeners = new Set<(event: PortEvent) => void>()
  private readonly opened = new Set<ConversationId>()
  private readonly leases = new Map<ConversationId, { holder: MemberId; untilMs: number; timer: ReturnType<typeof setTimeout> }>()
  private readonly outbox: { chat: Chat; id: MessageId }[] = []
  private notSent: NotSent[] = []
  private status: Status
  private lsn = 1_000_000
  private count = 0

  constructor(nowMs: number, words: ReadonlySet<string>) {
    this.chats = makeChats(nowMs, words.has("all"))
    this.list = listDevices(nowMs)
    const phases: Phase[] = ["starting", "fresh", "revoked", "stopped", "outdated", "wrong-hub", "store-failed"]
    const phase = phases.find((name) => words.has(name)) ?? "ready"
    if (words.has("agent")) this.setRole("agent")
    if (words.has("auditor")) this.setRole("auditor")
    if (words.has("empty")) this.chats = []
    const isIn = phase === "ready"
    this.status = {
      phase,
      stopped: phase === "stopped" ? "SessionsFull" : null,
      member: phase === "fresh" ? null : ME,
      device: phase === "fresh" ? null : MY_DEVICE,
      online: isIn && !words.has("offline"),
      caughtUp: isIn && !words.has("syncing"),
      progress: words.has("syncing") ? { done: 1_312, total: 4_800 } : null,
      waiting: 0,
    }
    if (words.has("typing")) for (const at of [0, 2]) this.lease(this.chats[at] as Chat, 3, 600_000)
  }

  subscribe(listener: (event: PortEvent) => void): () => void {
    this.listeners.add(listener)
    queueMicrotask(() => {
      listener({ type: "Status", status: this.status })
      if (this.status.phase !== "ready") return
      listener(this.teamEvent())
      listener({ type: "Conversations", rows: this.chats.map(listRow), gone: [], all: true })
      listener({ type: "NotSent", items: this.notSent })
      for (const [conversation] of this.leases) listener({ type: "View", event: this.leaseEvent(conversation) })
    })
    return () => this.listeners.delete(listener)
  }

  // Enrolment and connection

  enrol({ code }: Pairing, _name: string): Promise<ActOutcome> {
    this.set({ phase: "enrolling", stopped: null })
    setTimeout(() => {
      if (code.startsWith("00")) this.set({ phase: "fresh", stopped: "CodeInvalid" })
      else {
        this.set({ phase: "ready", member: ME, device: MY_DEVICE, online: true, caughtUp: true })
        this.emit(this.teamEvent())
        this.emit({ type: "Conversations", rows: this.chats.map(listRow), gone: [], all: true })
      }
    }, HUB_MS)
    return this.done()
  }

  connect(): Promise<ActOutcome> {
    this.setOnline(true)
    return this.done()
  }

  /** The network goes or comes. */
  setOnline(online: boolean): void {
    this.set({ online, phase: this.status.phase === "stopped" ? "ready" : this.status.phase })
    if (!online) for (const id of [...this.leases.keys()]) this.dropLease(id)
    else for (const { chat, id } of this.outbox.splice(0)) this.judge(chat, id)
    this.count = this.outbox.length
    this.set({ waiting: this.count })
  }

  /** The hub revokes this device. */
  revokeThis(): void {
    this.chats = []
    this.set({ phase: "revoked", online: false, member: null, device: null })
  }

  // Views

  open(id: ConversationId): Promise<ActOutcome> {
    const chat = this.find(id)
    if (chat === undefined) return this.done({ type: "Rejected", code: "ConversationUnknown" })
    this.opened.add(id)
    this.view({ type: "Opened", conversation: id, messages: [...chat.messages] })
    this.view({ type: "Markers", conversation: id, markers: markers(chat) })
    this.view(cardEvent(chat))
    this.view(this.leaseEvent(id))
    this.view({ type: "Older", conversation: id, older: chat.hidden > 0 ? "more" : "none" })
    return this.done()
  }

  showOlder(id: ConversationId): Promise<ActOutcome> {
    const chat = this.find(id)
    if (chat === undefined || chat.hidden === 0) return this.done()
    this.view({ type: "Older", conversation: id, older: "loading" })
    setTimeout(() => {
      const taken = extend(chat, Date.now(), SEGMENT)
      this.view({ type: "Inserted", conversation: id, at: 0, messages: chat.messages.slice(0, taken) })
      this.view({ type: "Older", conversation: id, older: chat.hidden > 0 ? "more" : "none" })
    }, HUB_MS)
    return this.done()
  }

  close(id: ConversationId): Promise<ActOutcome> {
    this.opened.delete(id)
    return this.done()
  }

  // Acts

  write(draft: Draft): Promise<ActOutcome> {
    const chat = this.find(draft.conversation)
    if (chat === undefined) return this.done({ type: "Rejected", code: "ConversationUnknown" })
    const id = messageId(Date.now(), 0xf00000 + this.lsn++)
    this.insert(chat, message(id, ME, draft.dir, draft.body, null, { re: draft.re, kind: draft.kind }))
    this.outbox.push({ chat, id })
    this.set({ waiting: this.outbox.length })
    if (this.status.online) this.deliver(chat, id, draft.body)
    return this.done({ type: "Written", message: id })
  }

  edit(conversation: ConversationId, id: MessageId, body: string): Promise<ActOutcome> {
    const held = this.message(conversation, id)
    if (held?.state.type === "Held") {
      void this.resolve(conversation, id, "discard")
      return this.write({ conversation, dir: "out", kind: "text", body, re: held.re, media: null, id: null })
    }
    this.change(conversation, id, { body, edited: true })
    return this.done()
  }

  retract(conversation: ConversationId, id: MessageId, reason: string): Promise<ActOutcome> {
    this.change(conversation, id, { retracted: reason })
    return this.done()
  }

  react(conversation: ConversationId, id: MessageId, emoji: string): Promise<ActOutcome> {
    const others = this.message(conversation, id)?.reactions.filter(([member]) => member !== ME) ?? []
    const reactions = emoji === "" ? others : [[ME, emoji] as const, ...others]
    this.change(conversation, id, { reactions })
    return this.done()
  }

  setField(conversation: ConversationId, name: string, value: string): Promise<ActOutcome> {
    const chat = this.find(conversation)
    if (value === "") chat?.fields.delete(name)
    else chat?.fields.set(name, value)
    if (chat !== undefined) this.view(cardEvent(chat))
    return this.done()
  }

  setLabel(conversation: ConversationId, label: string, on: boolean): Promise<ActOutcome> {
    const chat = this.find(conversation)
    if (chat === undefined) return this.done()
    if (on) chat.labels.add(label)
    else chat.labels.delete(label)
    this.view(cardEvent(chat))
    this.listed(chat)
    return this.done()
  }

  markRead(conversation: ConversationId, id: MessageId): Promise<ActOutcome> {
    const chat = this.find(conversation)
    const read = this.message(conversation, id)
    const before = chat?.read.get(ME)
    if (chat === undefined || read === undefined || (before !== undefined && before.id >= id)) return this.done()
    chat.read.set(ME, read)
    this.view({ type: "Markers", conversation, markers: markers(chat) })
    this.listed(chat)
    return this.done()
  }

  type(): Promise<ActOutcome> {
    return this.done()
  }

  resolve(conversation: ConversationId, id: MessageId, resolution: Resolution): Promise<ActOutcome> {
    this.change(conversation, id, { resolving: true })
    setTimeout(() => {
      const state = resolution === "send" ? ({ type: "SentAnyway" } as const) : ({ type: "Discarded" } as const)
      this.change(conversation, id, { resolving: false, state, delivery: resolution === "send" ? "sending" : null })
      if (resolution === "send") setTimeout(() => this.change(conversation, id, { delivery: "sent" }), HUB_MS)
    }, HUB_MS)
    return this.done()
  }

  async command(command: Command): Promise<ActOutcome> {
    if (!this.status.online) return { type: "Offline" }
    await new Promise((resume) => setTimeout(resume, 150))
    const refused = this.carryOut(command)
    if (refused !== null) return { type: "Answered", outcome: { type: "Refused", refusal: refusal(refused) } }
    return { type: "Answered", outcome: { type: "Done", lsn: ++this.lsn } }
  }

  async invite(member: MemberId): Promise<Answer<Invitation>> {
    if (!this.status.online) return { type: "Offline" }
    const code = `a7${member.toString(16).padStart(6, "0")}${"5c3e9b01".repeat(3)}`
    const host = location.hostname || "hub.local"
    return { type: "Answered", value: { link: `lockstep://${host}:${location.port || 443}/${"7f3a".repeat(16)}/${code}`, forMs: 600_000 } }
  }

  async devices(): Promise<Answer<readonly ListedDevice[]>> {
    if (!this.status.online) return { type: "Offline" }
    await new Promise((resume) => setTimeout(resume, 100))
    return { type: "Answered", value: [...this.list] }
  }

  dismiss(item: number): Promise<ActOutcome> {
    this.notSent = this.notSent.filter((one) => one.item !== item)
    this.emit({ type: "NotSent", items: this.notSent })
    return this.done()
  }

  wipe(): Promise<void> {
    this.chats = []
    this.set({ phase: "fresh", member: null, device: null, online: false, stopped: null, waiting: 0 })
    return Promise.resolve()
  }

  // What others do

  /** A message of somebody else comes. */
  arrive(chat: Chat, by: MemberId, dir: Direction, body: string, more: Partial<MessageView> = {}, agoMs = 0): MessageId | null {
    if (!this.status.online) return null
    const id = messageId(Date.now() - agoMs, this.lsn)
    this.insert(chat, message(id, by, dir, body, ++this.lsn, more))
    if (dir === "in") this.emit({ type: "Notice", notice: { type: "Incoming", conversation: chat.id, message: id } })
    return id
  }

  /** Somebody else types a reply, or has stopped. */
  lease(chat: Chat, holder: MemberId | null, forMs: number): void {
    this.dropLease(chat.id)
    if (holder === null || this.status?.online === false) return
    const timer = setTimeout(() => this.dropLease(chat.id), forMs)
    this.leases.set(chat.id, { holder, untilMs: Date.now() + forMs, timer })
    this.view(this.leaseEvent(chat.id))
  }

  /** The hub changes this member's role. */
  setRole(role: Role): void {
    this.members = this.members.map((member) => (member.id === ME ? { ...member, role } : member))
    this.emit(this.teamEvent())
  }

  /** The chat with 100,000 messages. */
  get longChat(): Chat {
    return this.chats[LONG] as Chat
  }

  // Inner works

  private deliver(chat: Chat, id: MessageId, body: string): void {
    const slow = body.startsWith("slow:")
    setTimeout(() => {
      const at = this.outbox.findIndex((waiting) => waiting.id === id)
      if (at < 0 || !this.status.online) return
      this.outbox.splice(at, 1)
      this.set({ waiting: this.outbox.length })
      this.judge(chat, id)
    }, slow ? 5_000 : HUB_MS)
  }

  /** The hub's verdict on an own message. */
  private judge(chat: Chat, id: MessageId): void {
    const own = chat.messages.find((one) => one.id === id)
    if (own === undefined) return
    if (own.body.startsWith("refuse:")) return this.refuse(chat, own)
    const lsn = ++this.lsn
    const lease = this.leases.get(chat.id)
    const winner = chat.messages.findLast((one) => one.dir === "out" && one.by !== ME && one.state.type === "Sent")
    const isLate = winner !== undefined && Date.now() - winner.timeMs < WINDOW_MS
    if (own.dir === "out" && (lease !== undefined || isLate)) {
      const collision = lease !== undefined
        ? { cause: "lease" as const, winner: null, by: lease.holder }
        : { cause: "window" as const, winner: winner?.id ?? null, by: winner?.by ?? 0 }
      this.change(chat.id, id, { lsn, state: { type: "Held", collision } })
      this.emit({ type: "Notice", notice: { type: "Collided", conversation: chat.id, message: id, cause: collision.cause } })
      return
    }
    this.change(chat.id, id, { lsn, state: { type: "Sent" }, delivery: own.dir === "out" ? "sending" : null })
    if (own.dir === "out") setTimeout(() => this.change(chat.id, id, { delivery: "sent" }), HUB_MS * 2)
  }

  private refuse(chat: Chat, own: MessageView): void {
    const at = chat.messages.indexOf(own)
    chat.messages.splice(at, 1)
    this.view({ type: "Removed", conversation: chat.id, at, count: 1 })
    const { id, by, dir, kind, body, re } = own
    const fact: Fact = { type: "Message", message: { id, by, dir, kind, body, re, seen: null, media: null, src: null } }
    const item = ++this.lsn
    this.notSent = [...this.notSent, { item, conversation: chat.id, fact, code: REFUSAL_NUMBERS.WriteForbidden, atMs: Date.now() }]
    this.emit({ type: "NotSent", items: this.notSent })
    this.emit({ type: "Notice", notice: { type: "NotSent", item } })
    this.listed(chat)
  }

  private carryOut(command: Command): RefusalCode | null {
    switch (command.type) {
      case "Assign":
      case "Unassign": {
        const chat = this.find(command.conversation)
        if (chat === undefined) return "ConversationUnknown"
        const others = chat.assigned.filter((member) => member !== command.member)
        chat.assigned = command.type === "Assign" ? [...others, command.member].sort((one, other) => one - other) : others
        this.listed(chat)
        return null
      }
      case "MemberAdd":
        if (this.members.some(({ id }) => id === command.member.id)) return "AlreadyExists"
        this.members = [...this.members, command.member]
        break
      case "MemberRole":
        if (command.member === ME && command.role !== "owner") return "LastOwner"
        this.members = this.members.map((one) => (one.id === command.member ? { ...one, role: command.role } : one))
        break
      case "MemberRemove":
        if (command.member === ME) return "LastOwner"
        this.members = this.members.map((one) => (one.id === command.member ? { ...one, role: "former" } : one))
        break
      case "DeviceRevoke":
        if (command.device === MY_DEVICE) this.revokeThis()
        this.list = this.list.filter(({ device }) => device !== command.device)
        return null
      case "PolicySet":
        this.policy = command.policy
        break
      default:
        return "NotPermitted"
    }
    this.emit(this.teamEvent())
    return null
  }

  private insert(chat: Chat, made: MessageView): void {
    const after = chat.messages.findLastIndex(({ id }) => id < made.id)
    chat.messages.splice(after + 1, 0, made)
    this.view({ type: "Inserted", conversation: chat.id, at: after + 1, messages: [made] })
    this.listed(chat)
  }

  private change(conversation: ConversationId, id: MessageId, fields: Partial<MessageView>): void {
    const chat = this.find(conversation)
    const at = chat?.messages.findIndex((one) => one.id === id) ?? -1
    if (chat === undefined || at < 0) return
    const changed = { ...(chat.messages[at] as MessageView), ...fields }
    chat.messages[at] = changed
    this.view({ type: "Changed", conversation, at, message: changed })
    this.listed(chat)
  }

  private find(id: ConversationId): Chat | undefined {
    return this.chats.find((chat) => chat.id === id)
  }

  private message(conversation: ConversationId, id: MessageId): MessageView | undefined {
    return this.find(conversation)?.messages.find((one) => one.id === id)
  }

  private dropLease(id: ConversationId): void {
    const live = this.leases.get(id)
    if (live === undefined) return
    clearTimeout(live.timer)
    this.leases.delete(id)
    this.view(this.leaseEvent(id))
  }

  private leaseEvent(conversation: ConversationId): ViewEvent {
    const live = this.leases.get(conversation)
    const lease: LeaseView | null = live === undefined ? null : { holder: live.holder, forMs: live.untilMs - Date.now() }
    return { type: "Lease", conversation, lease }
  }

  private teamEvent(): PortEvent {
    const role = this.members.find(({ id }) => id === ME)?.role ?? "agent"
    return { type: "Team", team: { members: this.members, policy: this.policy, role } }
  }

  private listed(chat: Chat): void {
    this.emit({ type: "Conversations", rows: [listRow(chat)], gone: [], all: false })
  }

  private view(event: ViewEvent): void {
    if (event.type === "Lease" || this.opened.has(event.conversation)) this.emit({ type: "View", event })
  }

  private set(change: Partial<Status>): void {
    this.status = { ...this.status, ...change }
    this.emit({ type: "Status", status: this.status })
  }

  private emit(event: PortEvent): void {
    // As a worker would hand it over; a very long list is as immutable, and slow to copy here for nothing.
    const isLong = event.type === "View" && event.event.type === "Opened" && event.event.messages.length > 2_000
    const copy = isLong ? event : structuredClone(event)
    for (const listener of this.listeners) listener(copy)
  }

  private done(outcome: ActOutcome = DONE): Promise<ActOutcome> {
    return Promise.resolve(outcome)
  }
}

function cardEvent({ id, fields, labels }: Chat): ViewEvent {
  const sorted = [...fields].sort(([one], [other]) => (one < other ? -1 : 1))
  return { type: "Card", conversation: id, fields: sorted, labels: [...labels].sort() }
}

function refusal(code: RefusalCode): Refusal {
  return {
    code: REFUSAL_NUMBERS[code], message: code, retryAfterMs: null, next: null, hash: null, open: null, nowMs: null,
    document: null, stamp: null, by: null,
  }
}

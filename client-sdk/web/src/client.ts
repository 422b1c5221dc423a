/**
 * The page's side of a device. What is to be shown is there as {@link Live} values; what a member does are methods that
 * answer when it is durable in this browser. The hub's verdict comes through the thread.
 */

import type { ActOutcome, Notice } from "./core/effect.ts"
import type { Act, Draft } from "./core/input.ts"
import type { NotSentRow } from "./core/row.ts"
import type { ViewEvent } from "./core/view.ts"
import type { Enrolment } from "./driver.ts"
import { type Live, LiveValue } from "./live.ts"
import type { Call, HostEvent, HostState, ToHost, ToPage } from "./messages.ts"
import { type Keep, type Policy, type Role, isKeep } from "./protocol/directory.ts"
import type { Media } from "./protocol/fact.ts"
import type { Command, ListedDevice } from "./protocol/frame.ts"
import type { ConversationId, DeviceId, InviteCode, MemberId, MessageId } from "./protocol/id.ts"
import { type Link, SYNC_PATH, authority, formatLink, parseLink } from "./protocol/link.ts"
import { type Refusal, type RefusalCode, refusalCode } from "./protocol/refusal.ts"
import { type ConversationItem, INITIAL_STATUS, type Status, type TeamView } from "./status.ts"
import type { KeptDraft } from "./store/store.ts"
import { type Lease, Thread, leaseOf } from "./thread.ts"

/** A line to the device's host: a worker's port, or the host itself in tests. */
export interface Channel {
  post(message: ToHost): void
  /** Calls back with what the host tells. `again`: another host has taken over, the page must attach anew. */
  listen(message: (message: ToPage) => void, again: () => void): void
  /** A Web Lock that the page holds as long as it lives; null where there are none. */
  readonly lock: string | null
  close(): void
}

/** Why something was not done. */
export type Failure =
  /** A rule that the device knows forbids it, or the hub refused it. */
  | { readonly type: "Rejected"; readonly code: RefusalCode | null; readonly refusal: Refusal | null }
  /** It needs a connection, and there is none. */
  | { readonly type: "Offline" }
  /** The connection, or the worker, broke before the answer: it may have happened or not. */
  | { readonly type: "Interrupted" }
  /** Too much waits already; try again. */
  | { readonly type: "Busy" }
  /** The store cannot be written. */
  | { readonly type: "StoreFailed" }

/** What methods of {@link Client} are rejected with. */
export class LockstepError extends Error {
  override readonly name = "LockstepError"
  constructor(readonly failure: Failure) {
    super(
      failure.type === "Rejected" ? `rejected: ${failure.code ?? failure.refusal?.message ?? "unknown"}` : failure.type,
    )
  }
}

/** A one-time code for a new device. */
export interface Invitation {
  readonly code: InviteCode
  /** The pairing link to show as a QR code: it names the hub as this device reaches it. */
  readonly link: string
  /** Milliseconds that it lives. */
  readonly forMs: number
}

/** A call that waits for its answer. */
interface Asked {
  readonly call: Call
  readonly answer: (outcome: ActOutcome) => void
  /** Whether the present host has it. */
  posted: boolean
}

/** See the module. */
export class Client {
  private readonly statusValue = new LiveValue<Status>(INITIAL_STATUS)
  private readonly conversationsValue = new LiveValue<readonly ConversationItem[]>([])
  private readonly teamValue = new LiveValue<TeamView | null>(null)
  private readonly notSentValue = new LiveValue<readonly NotSentRow[]>([])
  private readonly draftsValue = new LiveValue<ReadonlyMap<ConversationId, KeptDraft>>(new Map())
  private readonly leasesValue = new LiveValue<ReadonlyMap<ConversationId, Lease>>(new Map())
  private readonly attachedValue = new LiveValue(false)
  private readonly threads = new Map<ConversationId, Set<Thread>>()
  private readonly listeners = new Set<(notice: Notice) => void>()
  private readonly asked = new Map<number, Asked>()
  private nextId = 1

  /** Whether the device's host has answered: before that, the values below are empty. */
  readonly attached: Live<boolean> = this.attachedValue
  /** How the device stands. */
  readonly status: Live<Status> = this.statusValue
  /** Conversations, the one with the newest entry first. Items that did not change stay the same objects. */
  readonly conversations: Live<readonly ConversationItem[]> = this.conversationsValue
  /** Members, policy, own role; null until it is known. */
  readonly team: Live<TeamView | null> = this.teamValue
  /** "Not sent, because …", oldest first. */
  readonly notSent: Live<readonly NotSentRow[]> = this.notSentValue
  /** What was typed and not sent, by conversation. */
  readonly drafts: Live<ReadonlyMap<ConversationId, KeptDraft>> = this.draftsValue
  /** Who replies to which conversation. A lease ends at its time even if nothing more is told. */
  readonly leases: Live<ReadonlyMap<ConversationId, Lease>> = this.leasesValue

  /** @param channel The line to the host; `connectClient` makes the usual one. */
  constructor(private readonly channel: Channel) {
    channel.listen(
      (message) => this.take(message),
      () => this.attach(),
    )
    this.attach()
  }

  /** Calls back with what a person or program should know; answers how to stop. */
  onNotice(listener: (notice: Notice) => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** The page is done with it. The device goes on for other pages. */
  close(): void {
    this.channel.post({ type: "Detach" })
    this.channel.close()
    this.interrupt({ type: "Interrupted" }, () => true)
  }

  // The device

  /**
   * Enrols this browser with a pairing link (`lockstep://…`) or what it says; `name` is the device's shown name.
   * Resolves when the code is on its way: `status.phase` and notices (`Online`, `Refused`, `Stopped`) tell the rest.
   * `url` overrides where the hub's WebSocket is, as behind a proxy. A locked device is enrolled anew: what was not sent
   * goes on if hub and member are the same, and is deleted else.
   */
  async enrol(link: string | Link, name: string, url?: string): Promise<void> {
    const parsed = typeof link === "string" ? parseLink(link) : link
    if (typeof parsed === "string") throw new LockstepError({ type: "Rejected", code: "CodeInvalid", refusal: null })
    const { host, port, pinned, code } = parsed
    const enrolment: Enrolment = { url: url ?? `wss://${authority(host, port)}${SYNC_PATH}`, pinned, code, name }
    done(await this.call({ type: "Enrol", enrolment }))
  }

  /** Connects now instead of waiting, also after a refusal that stopped it. */
  async connect(): Promise<void> {
    done(await this.act({ type: "Connect" }))
  }

  /** Starts the device anew after its store failed. */
  async restart(): Promise<void> {
    done(await this.call({ type: "Restart" }))
  }

  /** Deletes everything that this browser keeps of the device: messages, outbox, drafts, its key. */
  async wipe(): Promise<void> {
    done(await this.call({ type: "Wipe" }))
  }

  // Reading

  /** Opens a conversation; close it when it is not shown any more. Twice opened, it is shown twice. */
  open(conversation: ConversationId): Thread {
    const ask = (what: "ShowOlder" | "ShowNewer" | "ShowNewest" | "Close"): void => {
      if (what === "Close" && !this.forgetThread(conversation, thread)) return
      void this.act({ type: what, conversation })
    }
    const thread = new Thread(conversation, ask)
    const others = this.threads.get(conversation)
    if (others === undefined) this.threads.set(conversation, new Set([thread]))
    else others.add(thread)
    if (this.attached.current) this.askOpen(conversation)
    return thread
  }

  /** Has read up to a message. */
  async markRead(conversation: ConversationId, message: MessageId): Promise<void> {
    done(await this.act({ type: "MarkRead", conversation, message }))
  }

  // Writing. Every method resolves when it is durable in this browser, offline too.

  /** Writes a reply to the customer; `re` is the message that it quotes. */
  send(conversation: ConversationId, body: string, re: MessageId | null = null): Promise<MessageId> {
    return this.write({ conversation, dir: "out", kind: "text", body, re, media: null, id: null })
  }

  /** Writes an internal note. */
  note(conversation: ConversationId, body: string, re: MessageId | null = null): Promise<MessageId> {
    return this.write({ conversation, dir: "note", kind: "text", body, re, media: null, id: null })
  }

  /** Writes what the customer sent; for the service account of the conversation's channel. */
  receive(conversation: ConversationId, body: string, id: MessageId | null = null): Promise<MessageId> {
    return this.write({ conversation, dir: "in", kind: "text", body, re: null, media: null, id })
  }

  /** Writes a message with an attachment that the hub knows. */
  sendMedia(conversation: ConversationId, kind: string, media: Media, body = ""): Promise<MessageId> {
    return this.write({ conversation, dir: "out", kind, body, re: null, media, id: null })
  }

  /** Writes any message. */
  async write(draft: Draft): Promise<MessageId> {
    // A lone surrogate cannot be written as UTF-8.
    const outcome = await this.act({ type: "Write", draft: { ...draft, body: wellFormed(draft.body) } })
    return outcome.type === "Written" ? outcome.message : fail(outcome)
  }

  /**
   * Writes a new body for one's own message. A reply that is held back is discarded and written anew: then this answers
   * the new reply's id, else the message's.
   */
  async edit(conversation: ConversationId, message: MessageId, body: string): Promise<MessageId> {
    const outcome = await this.act({ type: "Edit", conversation, message, body: wellFormed(body) })
    if (outcome.type === "Written") return outcome.message
    done(outcome)
    return message
  }

  /** Retracts a message; the reason may be empty. */
  async retract(conversation: ConversationId, message: MessageId, reason = ""): Promise<void> {
    done(await this.act({ type: "Retract", conversation, message, reason: wellFormed(reason) }))
  }

  /** Reacts to a message; an empty emoji takes it back. */
  async react(conversation: ConversationId, message: MessageId, emoji: string): Promise<void> {
    done(await this.act({ type: "React", conversation, message, emoji: wellFormed(emoji) }))
  }

  /** Decides about one's own held reply: send it anyway, or never. */
  async resolve(conversation: ConversationId, message: MessageId, resolution: "send" | "discard"): Promise<void> {
    done(await this.act({ type: "Resolve", conversation, message, resolution }))
  }

  /** Sets a field of the conversation's card (`[a-z][a-z0-9_]{0,31}`). */
  async setField(conversation: ConversationId, name: string, value: string): Promise<void> {
    done(await this.act({ type: "SetField", conversation, name, value: wellFormed(value) }))
  }

  /** Sets or takes away a label. */
  async setLabel(conversation: ConversationId, label: string, on: boolean): Promise<void> {
    done(await this.act({ type: "SetLabel", conversation, label: wellFormed(label), on }))
  }

  /** Types a reply: takes or renews the right to reply, so that others see it. Call it at every key. */
  typing(conversation: ConversationId): void {
    void this.act({ type: "Type", conversation })
  }

  /** Keeps what was typed and not sent, in every tab; null deletes it. */
  async setDraft(conversation: ConversationId, draft: KeptDraft | null): Promise<void> {
    done(await this.call({ type: "Draft", conversation, draft }))
  }

  /** Removes an item of "not sent, because …". */
  async dismiss(item: number): Promise<void> {
    done(await this.act({ type: "Dismiss", item }))
  }

  // The directory. Each needs a connection, and rejects with the hub's refusal where the role does not allow it.

  /** Adds a member. */
  addMember(id: MemberId, name: string, role: Role): Promise<void> {
    return this.command({ type: "MemberAdd", member: { id, name, role } })
  }

  /** Changes a role. */
  setRole(member: MemberId, role: Role): Promise<void> {
    return this.command({ type: "MemberRole", member, role })
  }

  /** Removes a member and revokes their devices. */
  removeMember(member: MemberId): Promise<void> {
    return this.command({ type: "MemberRemove", member })
  }

  /** Makes a one-time code for a device of a member. */
  async invite(member: MemberId): Promise<Invitation> {
    const answer = await this.ask({ type: "Invite", member })
    const { hub } = this.status.current
    if (answer.type === "Invited" && hub !== null) {
      const { code, forMs } = answer
      const { hostname, port, protocol } = new URL(hub.url)
      const host = hostname.replace(/^\[(.*)\]$/, "$1")
      const link = formatLink({
        host,
        port: Number(port) || (protocol === "wss:" ? 443 : 80),
        pinned: hub.pinned,
        code,
      })
      return { code, link, forMs }
    }
    throw new LockstepError({ type: "Interrupted" })
  }

  /** Every device that one may revoke. */
  async devices(): Promise<ListedDevice[]> {
    const all: ListedDevice[] = []
    for (let after: DeviceId | null = null; ;) {
      const answer = await this.ask({ type: "DeviceList", after })
      const listed: ListedDevice[] = answer.type === "Devices" ? answer.devices : []
      all.push(...listed)
      after = listed[listed.length - 1]?.device ?? null
      if (after === null || listed.length < 1024) return all
    }
  }

  /** Revokes a device. */
  revoke(device: DeviceId): Promise<void> {
    return this.command({ type: "DeviceRevoke", device })
  }

  /** Sets the team's policy. */
  setPolicy(policy: Policy): Promise<void> {
    return this.command({ type: "PolicySet", policy })
  }

  /**
   * Sets how long messages are kept in conversations without a keep time of their own: 0 for ever, else 7 to 36,500
   * days. Owners.
   */
  async setTeamKeep(days: Keep): Promise<void> {
    const { current: team } = this.team
    if (team === null) throw new LockstepError({ type: "Offline" })
    await this.setPolicy({ ...team.policy, keep: kept(days) })
  }

  /**
   * Sets how long a conversation's messages are kept: 0 for ever, else 7 to 36,500 days; null for as long as the team's
   * policy says. Owners and managers.
   */
  async setKeep(conversation: ConversationId, days: Keep | null): Promise<void> {
    await this.command({ type: "ConversationKeep", conversation, keep: days === null ? null : kept(days) })
  }

  /** Opens a conversation with a customer. */
  async openConversation(
    customer: string,
    assigned: readonly MemberId[] = [],
    service: MemberId | null = null,
    keep: Keep | null = null,
  ): Promise<ConversationId> {
    const random = crypto.getRandomValues(new Uint8Array(16))
    const id = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("") as ConversationId
    const conversation = { id, customer, service, assigned: [...assigned], keep }
    await this.command({ type: "ConversationOpen", conversation })
    return id
  }

  /** Assigns a member to a conversation. */
  assign(conversation: ConversationId, member: MemberId): Promise<void> {
    return this.command({ type: "Assign", conversation, member })
  }

  /** Takes a member off a conversation. */
  unassign(conversation: ConversationId, member: MemberId): Promise<void> {
    return this.command({ type: "Unassign", conversation, member })
  }

  // Inside

  private async command(command: Command): Promise<void> {
    await this.ask(command)
  }

  private async ask(command: Command) {
    const outcome = await this.act({ type: "Command", command })
    if (outcome.type !== "Answered") return fail(outcome)
    const answer = outcome.outcome
    if (answer.type !== "Refused") return answer
    const { refusal } = answer
    throw new LockstepError({ type: "Rejected", code: refusalCode(refusal.code), refusal })
  }

  private act(act: Act): Promise<ActOutcome> {
    return this.call({ type: "Act", act })
  }

  private call(call: Call): Promise<ActOutcome> {
    const id = this.nextId++
    return new Promise((resolve) => {
      const posted = this.attached.current
      this.asked.set(id, { call, answer: resolve, posted })
      if (posted) this.channel.post({ type: "Call", id, call })
    })
  }

  /** Also when another host has taken over: what does no harm twice is asked again there. */
  private attach(): void {
    for (const asked of this.asked.values()) if (isRepeatable(asked.call)) asked.posted = false
    this.interrupt({ type: "Interrupted" }, ({ posted }) => posted)
    this.attachedValue.set(false)
    this.channel.post({ type: "Attach", lock: this.channel.lock })
  }

  private interrupt(outcome: ActOutcome, which: (asked: Asked) => boolean): void {
    for (const [id, asked] of [...this.asked]) {
      if (!which(asked)) continue
      this.asked.delete(id)
      asked.answer(outcome)
    }
  }

  private askOpen(conversation: ConversationId): void {
    void this.act({ type: "Open", conversation }).then((outcome) => {
      if (outcome.type !== "Rejected") return
      for (const thread of this.threads.get(conversation) ?? []) thread.take([{ type: "Closed", conversation }])
    })
  }

  /** Whether it was the last one of its conversation. */
  private forgetThread(conversation: ConversationId, thread: Thread): boolean {
    const others = this.threads.get(conversation)
    others?.delete(thread)
    if (others === undefined || others.size > 0) return false
    return this.threads.delete(conversation)
  }

  private take(message: ToPage): void {
    switch (message.type) {
      case "Attached":
        this.takeState(message.state)
        return
      case "Answer":
        this.asked.get(message.id)?.answer(message.outcome)
        this.asked.delete(message.id)
        return
      case "Events":
        this.takeEvents(message.events)
        return
      case "Failed":
        this.statusValue.set({ ...this.statusValue.current, store: "failed" })
        this.attachedValue.set(true)
        this.interrupt({ type: "StoreFailed" }, () => true)
    }
  }

  private takeState(state: HostState): void {
    this.statusValue.set(state.status)
    this.conversationsValue.set([...state.conversations].sort(newestFirst))
    this.teamValue.set(state.team)
    this.notSentValue.set(state.notSent)
    this.draftsValue.set(state.drafts)
    this.leasesValue.set(new Map([...state.leases].map(([id, lease]) => [id, leaseOf(lease)])))
    this.attachedValue.set(true)
    for (const [id, asked] of this.asked) {
      if (!asked.posted) this.channel.post({ type: "Call", id, call: asked.call })
      asked.posted = true
    }
    for (const conversation of this.threads.keys()) this.askOpen(conversation)
  }

  private takeEvents(events: readonly HostEvent[]): void {
    const views = new Map<ConversationId, Exclude<ViewEvent, { type: "Lease" }>[]>()
    const notices: Notice[] = []
    for (const event of events) {
      switch (event.type) {
        case "Status":
          this.statusValue.set(event.status)
          break
        case "Conversations":
          this.conversationsValue.set(merged(this.conversationsValue.current, event.changed, event.gone))
          break
        case "Team":
          this.teamValue.set(event.team)
          break
        case "NotSent":
          this.notSentValue.set(event.rows)
          break
        case "Draft": {
          const drafts = new Map(this.draftsValue.current)
          if (event.draft === null) drafts.delete(event.conversation)
          else drafts.set(event.conversation, event.draft)
          this.draftsValue.set(drafts)
          break
        }
        case "Notice":
          notices.push(event.notice)
          break
        case "View":
          if (event.event.type === "Lease") {
            const leases = new Map(this.leasesValue.current)
            if (event.event.lease === null) leases.delete(event.event.conversation)
            else leases.set(event.event.conversation, leaseOf(event.event.lease))
            this.leasesValue.set(leases)
          } else {
            const { conversation } = event.event
            const known = views.get(conversation)
            if (known === undefined) views.set(conversation, [event.event])
            else known.push(event.event)
          }
      }
    }
    for (const [conversation, changes] of views) {
      for (const thread of this.threads.get(conversation) ?? []) thread.take(changes)
    }
    for (const notice of notices) for (const listener of [...this.listeners]) listener(notice)
  }
}

function newestFirst(one: ConversationItem, other: ConversationItem): number {
  return other.newest - one.newest || (one.id < other.id ? -1 : 1)
}

/** Whether a call does no harm if it is carried out twice. */
function isRepeatable(call: Call): boolean {
  if (call.type !== "Act") return call.type === "Draft"
  return ["MarkRead", "Type", "Dismiss", "Connect"].includes(call.act.type)
}

/** Changes beyond which a list is sorted anew. */
const MERGED_MAX = 64

/** A sorted list after a change. */
function merged(
  list: readonly ConversationItem[],
  changed: readonly ConversationItem[],
  gone: readonly ConversationId[],
): readonly ConversationItem[] {
  const touched = new Set<ConversationId>([...changed.map(({ id }) => id), ...gone])
  const next = list.filter(({ id }) => !touched.has(id))
  if (changed.length > MERGED_MAX) return [...next, ...changed].sort(newestFirst)
  for (const item of changed) {
    let [low, high] = [0, next.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (newestFirst(next[middle] as ConversationItem, item) < 0) low = middle + 1
      else high = middle
    }
    next.splice(low, 0, item)
  }
  return next
}

/** The hub would drop the whole connection over a number that is no keep time. */
function kept(days: number): Keep {
  if (!isKeep(days)) throw new LockstepError({ type: "Rejected", code: "FieldInvalid", refusal: null })
  return days
}

function done(outcome: ActOutcome): void {
  if (outcome.type !== "Done" && outcome.type !== "Written") fail(outcome)
}

function fail(outcome: ActOutcome): never {
  switch (outcome.type) {
    case "Rejected":
      throw new LockstepError({ type: "Rejected", code: outcome.code, refusal: null })
    case "Offline":
    case "Busy":
    case "StoreFailed":
      throw new LockstepError({ type: outcome.type })
    default:
      throw new LockstepError({ type: "Interrupted" })
  }
}

function wellFormed(text: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text))
}

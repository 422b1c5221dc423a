/** The device of this browser, by the SDK: what its client holds as values is told on as events, one way. */

import { Client, LockstepError, connectClient } from "../../../src/index.ts"
import type { Status as DeviceStatus } from "../../../src/index.ts"
import type {
  ActOutcome, Answer, Command, Connect, ConversationId, Draft, Invitation, ListRow, ListedDevice, MemberId, MessageId, Pairing,
  Phase, PinnedKeyHash, Port, PortEvent, Resolution, Status,
} from "./port.ts"

type OpenThread = ReturnType<Client["open"]>
type Item = Client["conversations"]["current"][number]

/** Where a hub tells the hash of its certificate's key, 64 hexadecimal digits. */
const PINNED_PATH = "/v1/pinned"
const DONE: ActOutcome = { type: "Done" }

/** The port over the SDK's client. */
class Device implements Port {
  private readonly listeners = new Set<(event: PortEvent) => void>()
  private readonly threads = new Map<ConversationId, { readonly thread: OpenThread; readonly stop: () => void }>()
  /** Labels of conversations that were open since the page was loaded: the client's list does not have them. */
  private readonly labels = new Map<ConversationId, readonly string[]>()
  private items = new Map<ConversationId, Item>()
  private leases: Client["leases"]["current"] = new Map()

  constructor(private readonly client: Client) {
    client.status.subscribe(() => this.emit(this.statusEvent()))
    client.attached.subscribe(() => this.emit(this.statusEvent()))
    client.team.subscribe(() => this.emit(this.teamEvent()))
    client.notSent.subscribe(() => this.emit(this.notSentEvent()))
    client.conversations.subscribe(() => this.tellConversations())
    client.leases.subscribe(() => this.tellLeases())
    client.onNotice((notice) => this.emit({ type: "Notice", notice }))
  }

  subscribe(listener: (event: PortEvent) => void): () => void {
    this.listeners.add(listener)
    queueMicrotask(() => {
      listener(this.statusEvent())
      listener(this.teamEvent())
      listener(this.notSentEvent())
      // A list that is not known yet is not an empty one.
      if (this.client.attached.current) this.tellConversations(true)
      this.tellLeases()
    })
    return () => this.listeners.delete(listener)
  }

  async enrol({ code, pinned: named }: Pairing, name: string): Promise<ActOutcome> {
    // The hub is recognised by its key. A typed code does not say it: then the page's own origin does, if it can.
    const pinned = named ?? (await pinnedHere())
    if (pinned === null) return { type: "Rejected", code: "FieldInvalid" }
    const port = Number(location.port) || (location.protocol === "https:" ? 443 : 80)
    const host = location.hostname.replace(/^\[|\]$/g, "")
    return outcome(this.client.enrol({ host, port, pinned, code }, name))
  }

  connect(): Promise<ActOutcome> {
    return outcome(this.client.connect())
  }

  open(conversation: ConversationId): Promise<ActOutcome> {
    if (this.threads.has(conversation)) return Promise.resolve(DONE)
    const thread = this.client.open(conversation)
    let told = thread.current
    const stop = thread.subscribe(() => {
      const before = told
      told = thread.current
      this.tellThread(conversation, before, told)
    })
    this.threads.set(conversation, { thread, stop })
    return Promise.resolve(DONE)
  }

  showOlder(conversation: ConversationId): Promise<ActOutcome> {
    this.threads.get(conversation)?.thread.loadOlder()
    return Promise.resolve(DONE)
  }

  close(conversation: ConversationId): Promise<ActOutcome> {
    const open = this.threads.get(conversation)
    this.threads.delete(conversation)
    open?.stop()
    open?.thread.close()
    return Promise.resolve(DONE)
  }

  async write(draft: Draft): Promise<ActOutcome> {
    try {
      return { type: "Written", message: await this.client.write(draft) }
    } catch (error) {
      return failed(error)
    }
  }

  edit(conversation: ConversationId, message: MessageId, body: string): Promise<ActOutcome> {
    return outcome(this.client.edit(conversation, message, body))
  }

  retract(conversation: ConversationId, message: MessageId, reason: string): Promise<ActOutcome> {
    return outcome(this.client.retract(conversation, message, reason))
  }

  react(conversation: ConversationId, message: MessageId, emoji: string): Promise<ActOutcome> {
    return outcome(this.client.react(conversation, message, emoji))
  }

  setField(conversation: ConversationId, name: string, value: string): Promise<ActOutcome> {
    return outcome(this.client.setField(conversation, name, value))
  }

  setLabel(conversation: ConversationId, label: string, on: boolean): Promise<ActOutcome> {
    return outcome(this.client.setLabel(conversation, label, on))
  }

  markRead(conversation: ConversationId, message: MessageId): Promise<ActOutcome> {
    return outcome(this.client.markRead(conversation, message))
  }

  type(conversation: ConversationId): Promise<ActOutcome> {
    this.client.typing(conversation)
    return Promise.resolve(DONE)
  }

  resolve(conversation: ConversationId, message: MessageId, resolution: Resolution): Promise<ActOutcome> {
    return outcome(this.client.resolve(conversation, message, resolution))
  }

  command(command: Command): Promise<ActOutcome> {
    const { client } = this
    switch (command.type) {
      case "MemberAdd":
        return outcome(client.addMember(command.member.id, command.member.name, command.member.role))
      case "MemberRole":
        return outcome(client.setRole(command.member, command.role))
      case "MemberRemove":
        return outcome(client.removeMember(command.member))
      case "DeviceRevoke":
        return outcome(client.revoke(command.device))
      case "PolicySet":
        return outcome(client.setPolicy(command.policy))
      case "Assign":
        return outcome(client.assign(command.conversation, command.member))
      case "Unassign":
        return outcome(client.unassign(command.conversation, command.member))
      default:
        return Promise.resolve({ type: "Rejected", code: "NotPermitted" })
    }
  }

  invite(member: MemberId): Promise<Answer<Invitation>> {
    return answer(this.client.invite(member))
  }

  devices(): Promise<Answer<readonly ListedDevice[]>> {
    return answer(this.client.devices())
  }

  dismiss(item: number): Promise<ActOutcome> {
    return outcome(this.client.dismiss(item))
  }

  async wipe(): Promise<void> {
    for (const conversation of [...this.threads.keys()]) void this.close(conversation)
    await this.client.wipe()
  }

  // What the client holds, told on

  private statusEvent(): PortEvent {
    return { type: "Status", status: statusOf(this.client.status.current, this.client.attached.current) }
  }

  private teamEvent(): PortEvent {
    const team = this.client.team.current
    return { type: "Team", team: team === null ? null : { ...team, members: [...team.members] } }
  }

  private notSentEvent(): PortEvent {
    const items = this.client.notSent.current.map(({ order, conversation, fact, code, atMs }) => ({ item: order, conversation, fact, code, atMs }))
    return { type: "NotSent", items }
  }

  /** Items that did not change are the same objects. */
  private tellConversations(all = false): void {
    const now = new Map(this.client.conversations.current.map((item) => [item.id, item]))
    const changed = all ? [...now.values()] : [...now.values()].filter((item) => this.items.get(item.id) !== item)
    const gone = [...this.items.keys()].filter((id) => !now.has(id))
    const isFirst = all || this.items.size === 0
    this.items = now
    this.emit({ type: "Conversations", rows: changed.map((item) => this.rowOf(item)), gone, all: isFirst })
  }

  private rowOf({ id, customer, service, assigned, keep, newest, markers, summary }: Item): ListRow {
    return { conversation: { id, customer, service, assigned: [...assigned], keep }, newest, markers, labels: this.labels.get(id) ?? [], summary }
  }

  private tellLeases(): void {
    const before = this.leases
    this.leases = this.client.leases.current
    for (const conversation of before.keys()) {
      if (!this.leases.has(conversation)) this.emit({ type: "View", event: { type: "Lease", conversation, lease: null } })
    }
    for (const [conversation, lease] of this.leases) {
      if (before.get(conversation) === lease) continue
      const forMs = Math.max(0, lease.untilMs - performance.now())
      this.emit({ type: "View", event: { type: "Lease", conversation, lease: { holder: lease.holder, forMs } } })
    }
  }

  private tellThread(conversation: ConversationId, before: OpenThread["current"], now: OpenThread["current"]): void {
    const view = (event: Extract<PortEvent, { type: "View" }>["event"]): void => this.emit({ type: "View", event })
    if (now.gone) return view({ type: "Closed", conversation })
    // Before the messages: the unread line stands where one had read to.
    if (now.markers !== before.markers) view({ type: "Markers", conversation, markers: now.markers })
    if (now.loaded && (now.messages !== before.messages || !before.loaded)) view({ type: "Opened", conversation, messages: now.messages })
    if (now.older !== before.older) view({ type: "Older", conversation, older: now.older })
    if (now.card === before.card) return
    const { fields, labels } = now.card
    view({ type: "Card", conversation, fields, labels })
    this.labels.set(conversation, labels)
    const item = this.items.get(conversation)
    if (item !== undefined) this.emit({ type: "Conversations", rows: [this.rowOf(item)], gone: [], all: false })
  }

  private emit(event: PortEvent): void {
    for (const listener of this.listeners) listener(event)
  }
}

/** The SDK's device for this origin. */
export const connect: Connect = () => Promise.resolve(new Device(connectClient()))

function statusOf(status: DeviceStatus, isAttached: boolean): Status {
  const { member, device, online, caughtUp, outbox, stopped, refused } = status
  const phase = isAttached ? phaseOf(status) : "starting"
  return { phase, stopped: phase === "fresh" ? (refused ?? stopped) : stopped, member, device, online, caughtUp, progress: null, waiting: outbox }
}

function phaseOf({ phase, store, wrongHub, updateNeeded, stopped }: DeviceStatus): Phase {
  if (store !== "ok") return "store-failed"
  if (stopped === "DeviceRevoked") return "revoked"
  if (phase === "enrolling") return "enrolling"
  // A locked one is to be enrolled again, too: what was not sent goes on then.
  if (phase !== "enrolled") return "fresh"
  if (wrongHub) return "wrong-hub"
  if (updateNeeded) return "outdated"
  return stopped === null ? "ready" : "stopped"
}

/** The key of the hub that served this page, where the hub tells it. */
async function pinnedHere(): Promise<PinnedKeyHash | null> {
  try {
    const answer = await fetch(PINNED_PATH)
    const text = answer.ok ? (await answer.text()).trim() : ""
    return /^[0-9a-f]{64}$/.test(text) ? (text as PinnedKeyHash) : null
  } catch {
    return null
  }
}

async function outcome(act: Promise<unknown>): Promise<ActOutcome> {
  try {
    await act
    return DONE
  } catch (error) {
    return failed(error)
  }
}

async function answer<T>(question: Promise<T>): Promise<Answer<T>> {
  try {
    return { type: "Answered", value: await question }
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    const { failure } = error
    if (failure.type === "Rejected" && failure.refusal !== null) return { type: "Refused", refusal: failure.refusal }
    return failure.type === "Offline" ? { type: "Offline" } : { type: "Interrupted" }
  }
}

function failed(error: unknown): ActOutcome {
  if (!(error instanceof LockstepError)) throw error
  const { failure } = error
  if (failure.type !== "Rejected") return { type: failure.type }
  if (failure.refusal !== null) return { type: "Answered", outcome: { type: "Refused", refusal: failure.refusal } }
  return { type: "Rejected", code: failure.code ?? "NotPermitted" }
}

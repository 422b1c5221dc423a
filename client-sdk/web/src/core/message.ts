/** A message as it is shown: from every fact and event about it, stamped or pending. */

import type { Category, Delivery, Resolution } from "../protocol/entry.ts"
import { type Fact, type Message, targetOf } from "../protocol/fact.ts"
import { type Lsn, type MemberId, type MessageId, ulidTime } from "../protocol/id.ts"
import type { Replica } from "./replica.ts"
import type { FactRow, OutboxRow, ResolveRow } from "./row.ts"
import type { MessageState, MessageView } from "./view.ts"

/** One message, from the documents of its conversation that are at hand; null if none of them holds it. */
export function messageView(
  replicas: readonly Replica[],
  pending: Iterable<OutboxRow>,
  resolves: Iterable<ResolveRow>,
  id: MessageId,
): MessageView | null {
  let stamped: { message: Message; row: FactRow } | null = null
  let waiting: Message | null = null
  const layers = new Layers()
  for (const replica of replicas) {
    for (const { row } of replica.about(id)) {
      const { fact } = row.placed
      if (fact.type === "Message") stamped ??= { message: fact.message, row }
      else layers.add(fact)
    }
  }
  for (const { fact } of pending) {
    if (fact.type === "Message") {
      if (fact.message.id === id) waiting ??= fact.message
    } else if (targetOf(fact) === id) layers.add(fact)
  }
  const message = stamped?.message ?? waiting
  if (message === null) return null
  let resolution: { lsn: Lsn; chosen: Resolution } | null = null
  let delivery: { lsn: Lsn; got: Delivery } | null = null
  const sensitive = new Set<Category>()
  for (const replica of replicas) {
    for (const { stamp, body } of replica.eventsAbout(id)) {
      if (body.type === "Resolved") {
        if (resolution === null || stamp.lsn < resolution.lsn) resolution = { lsn: stamp.lsn, chosen: body.resolution }
      } else if (body.type === "Delivered") {
        if (delivery === null || stamp.lsn >= delivery.lsn) delivery = { lsn: stamp.lsn, got: body.delivery }
      } else if (body.type === "Sensitive") sensitive.add(body.category)
    }
  }
  let resolving = false
  for (const row of resolves) resolving ||= row.message === id
  return {
    id,
    by: message.by,
    dir: message.dir,
    kind: message.kind,
    body: layers.edit?.text ?? message.body,
    edited: layers.edit !== null,
    retracted: layers.retraction?.text ?? null,
    reactions: layers.reactionsNow(),
    state: stateOf(message, stamped?.row ?? null, resolution?.chosen ?? null),
    resolving,
    delivery: delivery?.got ?? null,
    media: message.media,
    re: message.re,
    sensitive: [...sensitive].sort(),
    timeMs: ulidTime(id),
    lsn: stamped?.row.stamp.lsn ?? null,
  }
}

/** Every message that some documents of one conversation, and the outbox rows of that conversation, hold, in order. */
export function messageViews(
  replicas: readonly Replica[],
  pending: readonly OutboxRow[],
  resolves: readonly ResolveRow[],
): MessageView[] {
  const ids = new Set<MessageId>()
  for (const replica of replicas) for (const id of replica.messageIds()) ids.add(id)
  const about = new Map<MessageId, OutboxRow[]>()
  for (const row of pending) {
    if (row.fact.type === "Message") ids.add(row.fact.message.id)
    const id = row.fact.type === "Message" ? row.fact.message.id : targetOf(row.fact)
    if (id !== null) about.set(id, [...(about.get(id) ?? []), row])
  }
  const views: MessageView[] = []
  for (const id of [...ids].sort()) {
    const view = messageView(replicas, about.get(id) ?? [], resolves, id)
    if (view !== null) views.push(view)
  }
  return views
}

/** Whether two views of a message say the same. */
export function sameView(one: MessageView, other: MessageView): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

function stateOf(message: Message, stamped: FactRow | null, resolution: Resolution | null): MessageState {
  if (stamped === null) return { type: "Pending" }
  if (stamped.placed.document.slice(32, 34) === "02") return { type: "Imported" }
  const { verdict } = stamped.stamp
  if (verdict.type === "Flagged") return { type: "Flagged", collision: verdict.collision }
  if (verdict.type !== "Held") return { type: "Sent" }
  if (resolution === "send") return { type: "SentAnyway" }
  if (resolution === "discard") return { type: "Discarded" }
  return message.dir === "out" ? { type: "Held", collision: verdict.collision } : { type: "Sent" }
}

interface Layer {
  readonly id: string
  readonly text: string
}

/** What lies over a message: of each kind the highest ULID. */
class Layers {
  edit: Layer | null = null
  retraction: Layer | null = null
  private readonly reactions = new Map<MemberId, Layer>()

  add(fact: Fact): void {
    if (fact.type === "Edit") this.edit = newest(this.edit, { id: fact.id, text: fact.body })
    else if (fact.type === "Retraction") this.retraction = newest(this.retraction, { id: fact.id, text: fact.reason })
    else if (fact.type === "Reaction") {
      const layer = { id: fact.id, text: fact.emoji }
      this.reactions.set(fact.by, newest(this.reactions.get(fact.by) ?? null, layer))
    }
  }

  reactionsNow(): [MemberId, string][] {
    const now = [...this.reactions].filter(([, { text }]) => text !== "")
    return now.map(([member, { text }]): [MemberId, string] => [member, text]).sort(([one], [other]) => one - other)
  }
}

function newest(known: Layer | null, layer: Layer): Layer {
  return known === null || known.id < layer.id || (known.id === layer.id && known.text < layer.text) ? layer : known
}

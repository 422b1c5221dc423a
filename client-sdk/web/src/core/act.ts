/** What a member does: facts are written at once, offline too. */

import { EMPTY_DIGEST } from "../protocol/digest.ts"
import type { Resolution } from "../protocol/entry.ts"
import { type Fact, checkFact } from "../protocol/fact.ts"
import type { Command } from "../protocol/frame.ts"
import {
  type ConversationId,
  type DocumentId,
  type FactId,
  type MemberId,
  type MessageId,
  NUMBER_MAX,
  documentId,
  kindOf,
} from "../protocol/id.ts"
import type { RefusalCode } from "../protocol/refusal.ts"
import type { Device } from "./device.ts"
import type { ActOutcome } from "./effect.ts"
import { documentsOf, markRead } from "./entries.ts"
import type { Act, Draft, Request } from "./input.ts"
import { absentFrom, isAbsent } from "./job.ts"
import { typeIn } from "./lease.ts"
import { messageView } from "./message.ts"
import { OUTBOX_MAX } from "./outbox.ts"
import { laterReply } from "./replica.ts"
import { append, newUlid, nextOrder, openDocument } from "./rewrite.ts"
import type { AcceptedReply } from "./row.ts"
import {
  closeView,
  nextNewer,
  nextOlder,
  oldestShown,
  openView,
  showNewer,
  showNewest,
  showOlder,
  touch,
} from "./screen.ts"
import { connectNow, enrol, send } from "./session.ts"
import { write } from "./transaction.ts"
import type { MessageView } from "./view.ts"

/** Commands that may wait for the hub's answer. */
const COMMANDS_MAX = 64

/** A rule that the device knows forbids an act. */
class Rejection extends Error {
  override readonly name = "Rejection"
  constructor(readonly code: RefusalCode) {
    super(code)
  }
}

function reject(code: RefusalCode): never {
  throw new Rejection(code)
}

/** Does an act whose documents are in memory. */
export function act(d: Device, request: Request, what: Act): void {
  let outcome: ActOutcome | null
  try {
    outcome = isWriting(what) && d.outbox.size >= OUTBOX_MAX ? { type: "Busy" } : tryAct(d, request, what)
  } catch (error) {
    if (!(error instanceof Rejection)) throw error
    outcome = { type: "Rejected", code: error.code }
  }
  if (outcome === null) return
  if (outcome.type === "Written" || outcome.type === "Done") {
    d.done.push({ ticket: d.pending.isEmpty ? d.persisted : d.nextTicket, request, outcome })
  } else {
    d.out.push({ type: "ActDone", request, outcome })
  }
}

const DONE: ActOutcome = { type: "Done" }

/** Whether an act writes a fact. */
function isWriting({ type }: Act): boolean {
  return ["Write", "Edit", "Retract", "React", "SetField", "SetLabel"].includes(type)
}

/** Null: the answer comes later. */
function tryAct(d: Device, request: Request, what: Act): ActOutcome | null {
  switch (what.type) {
    case "Write":
      return { type: "Written", message: writeDraft(d, what.draft) }
    case "Edit":
      return edit(d, what.conversation, what.message, what.body)
    case "Retract": {
      const { message, reason } = what
      return about(d, what.conversation, message, (id) => ({ type: "Retraction", message, id, reason }))
    }
    case "React": {
      const { message, emoji } = what
      return about(d, what.conversation, message, (id, by) => ({ type: "Reaction", message, by, id, emoji }))
    }
    case "SetField":
      return card(d, what.conversation, (id) => ({ type: "Field", name: what.name, id, value: what.value }))
    case "SetLabel":
      return card(d, what.conversation, (id) => ({ type: "Label", label: what.label, id, on: what.on }))
    case "MarkRead":
      return markRead(d, what.conversation, what.message) ? DONE : reject("ConversationUnknown")
    case "Type":
      typeIn(d, what.conversation)
      return DONE
    case "Resolve":
      return resolve(d, what.conversation, what.message, what.resolution)
    case "Command":
      return command(d, request, what.command)
    case "Open":
      visible(d, what.conversation)
      openView(d, what.conversation)
      return DONE
    case "ShowOlder":
      showOlder(d, what.conversation)
      return DONE
    case "ShowNewer":
      showNewer(d, what.conversation)
      return DONE
    case "ShowNewest":
      showNewest(d, what.conversation)
      return DONE
    case "Close":
      closeView(d, what.conversation)
      return DONE
    case "Dismiss":
      if (d.notSent.delete(what.item)) write(d, { type: "NotSentGone", order: what.item })
      return DONE
    case "Enrol":
      enrol(d, what.code, what.name)
      return DONE
    case "Connect":
      connectNow(d)
      return DONE
  }
}

function isVisible(d: Device, conversation: ConversationId): boolean {
  return d.conversations.get(conversation)?.lost === false
}

function visible(d: Device, conversation: ConversationId): void {
  if (!isVisible(d, conversation)) reject("ConversationUnknown")
}

function memberOf(d: Device): MemberId {
  return d.member ?? reject("DeviceUnknown")
}

function writeDraft(d: Device, draft: Draft): MessageId {
  const { conversation, dir, kind, body, re, media } = draft
  visible(d, conversation)
  const by = memberOf(d)
  const seen = dir === "out" ? newestReply(d, conversation) : null
  const id = draft.id ?? (newUlid(d) as MessageId)
  const fact: Fact = { type: "Message", message: { id, by, dir, kind, body, seen, re, media, src: null } }
  writeFact(d, openDocument(d, conversation, "segment"), fact)
  return id
}

function writeFact(d: Device, document: DocumentId, fact: Fact): ActOutcome {
  const broken = checkFact(fact, kindOf(document))
  if (broken !== null) reject(broken)
  append(d, document, fact, nextOrder(d))
  return DONE
}

/** The newest accepted reply on this device, by anyone, in order of acceptance. */
function newestReply(d: Device, conversation: ConversationId): MessageId | null {
  let newest: AcceptedReply | null = null
  for (const row of d.documents.values(...segments(conversation))) {
    if (row.newestReply !== null) newest = laterReply(newest, row.newestReply)
  }
  return newest?.message ?? null
}

function segments(conversation: ConversationId): [DocumentId, DocumentId] {
  return [documentId(conversation, "segment", 0), documentId(conversation, "segment", NUMBER_MAX)]
}

function edit(d: Device, conversation: ConversationId, message: MessageId, body: string): ActOutcome {
  visible(d, conversation)
  const view = viewOf(d, conversation, message) ?? reject("TargetUnknown")
  if (view.by !== memberOf(d)) reject("TargetForbidden")
  if (view.state.type !== "Held") return about(d, conversation, message, (id) => ({ type: "Edit", message, id, body }))
  // A held reply cannot be edited: it is discarded, and the new text is a new reply.
  const { dir, kind, re, media } = view
  const written = writeDraft(d, { conversation, dir, kind, body, re, media, id: null })
  addResolve(d, conversation, message, "discard")
  return { type: "Written", message: written }
}

/** Writes a fact about a message into the document that holds it. */
function about(
  d: Device,
  conversation: ConversationId,
  message: MessageId,
  fact: (id: FactId, by: MemberId) => Fact,
): ActOutcome {
  visible(d, conversation)
  const by = memberOf(d)
  const holder = holderOf(d, conversation, message) ?? reject("TargetUnknown")
  // Nobody writes into an imported segment any more.
  const document = kindOf(holder) === "imported" ? openDocument(d, conversation, "segment") : holder
  return writeFact(d, document, fact(newUlid(d) as FactId, by))
}

function card(d: Device, conversation: ConversationId, fact: (id: FactId) => Fact): ActOutcome {
  visible(d, conversation)
  memberOf(d)
  return writeFact(d, openDocument(d, conversation, "card"), fact(newUlid(d) as FactId))
}

function resolve(d: Device, conversation: ConversationId, message: MessageId, resolution: Resolution): ActOutcome {
  visible(d, conversation)
  const view = viewOf(d, conversation, message) ?? reject("TargetUnknown")
  if (view.by !== memberOf(d)) reject("TargetForbidden")
  if (view.state.type === "SentAnyway" || view.state.type === "Discarded") reject("AlreadyResolved")
  if (view.state.type !== "Held") reject("NotHeld")
  addResolve(d, conversation, message, resolution)
  return DONE
}

function addResolve(d: Device, conversation: ConversationId, message: MessageId, resolution: Resolution): void {
  const seen = resolution === "send" ? newestReply(d, conversation) : null
  const order = nextOrder(d)
  const row = { order, conversation, message, resolution, seen }
  write(d, { type: "Resolve", row })
  d.resolves.set(order, { row, ticket: d.nextTicket })
  touch(d, documentId(conversation, "segment", 0), message)
}

function command(d: Device, request: Request, what: Command): ActOutcome | null {
  if (!d.session.online) return { type: "Offline" }
  const waiting = [...d.questions.values()].filter(({ type }) => type === "Command").length
  if (waiting >= COMMANDS_MAX) return { type: "Busy" }
  const tag = d.tag()
  d.questions.set(tag, { type: "Command", request })
  send(d, { type: "Command", tag, command: what })
  return null
}

/** The segment that holds a message, pending or stamped, among those in memory. */
function holderOf(d: Device, conversation: ConversationId, message: MessageId): DocumentId | null {
  const pending = d.outbox.documentOf(message)
  if (pending?.startsWith(conversation) === true) return pending
  const documents = documentsOf(d, conversation).reverse()
  return documents.find((id) => d.replicas.get(id)?.replica.hasMessage(message) === true) ?? null
}

/** The document that an act must wait for: the message that it is about is searched for, newest segments first. */
export function actMisses(d: Device, what: Act): DocumentId | null {
  switch (what.type) {
    case "Edit":
    case "Retract":
    case "React":
    case "Resolve": {
      const { conversation, message } = what
      if (!isVisible(d, conversation) || holderOf(d, conversation, message) !== null) return null
      const imported = documentsOf(d, conversation).filter((id) => kindOf(id) === "imported")
      const held = imported.filter((id) => d.documents.get(id)?.digest !== EMPTY_DIGEST)
      const searched = [...d.documents.keys(...segments(conversation)).reverse(), ...held.reverse()]
      return searched.find((id) => isAbsent(d, id)) ?? null
    }
    case "Open":
      return isVisible(d, what.conversation)
        ? absentFrom(d, what.conversation, oldestShown(d, what.conversation))
        : null
    case "ShowOlder": {
      const next = nextOlder(d, what.conversation)
      return next !== null && isAbsent(d, next) ? next : null
    }
    case "ShowNewer": {
      const next = nextNewer(d, what.conversation)
      return next !== null && isAbsent(d, next) ? next : null
    }
    default:
      return null
  }
}

/** One message as it is to be shown, from the documents in memory. */
function viewOf(d: Device, conversation: ConversationId, message: MessageId): MessageView | null {
  const replicas = documentsOf(d, conversation).flatMap((id) => d.replicas.get(id)?.replica ?? [])
  const resolves = d.resolves.values().map(({ row }) => row)
  return messageView(replicas, d.outbox.about(conversation, message), resolves, message)
}

/** The directory: members, devices, conversations and policy, as the hub decides them. */

import {
  type Codec,
  type TypeOf,
  bool,
  choice,
  fixed,
  list,
  optional,
  struct,
  text,
  u32,
  u53,
  variant,
} from "./codec.ts"
import { type ConversationId, type DeviceId, type ImportId, type PublicKey, documentIdCodec } from "./id.ts"
import { ASSIGNED_MAX, KEEP_DAYS_MAX, KEEP_DAYS_MIN } from "./limits.ts"

/** What a member may do. `former` members left: they are names in history. */
export const roleCodec = choice("owner", "manager", "agent", "auditor", "service", "former")
/** See {@link roleCodec}. */
export type Role = TypeOf<typeof roleCodec>

/** A person on the team, or a service account. */
export const memberCodec = struct({
  /** Staff number. */
  id: u32,
  /** Shown name. */
  name: text,
  /** Role. */
  role: roleCodec,
})
/** See {@link memberCodec}. */
export type Member = TypeOf<typeof memberCodec>

const deviceCodec = struct({ key: fixed<PublicKey>(32), member: u32, name: text })

/** How long messages are kept, days; 0 for ever. */
export type Keep = number

/** Whether a number is a keep time: 0, or a number of days within its bounds. */
export function isKeep(days: number): days is Keep {
  return days === 0 || (Number.isInteger(days) && days >= KEEP_DAYS_MIN && days <= KEEP_DAYS_MAX)
}

/** A keep time. Another number is refused. */
export const keepCodec: Codec<Keep> = {
  write: (writer, value) => u32.write(writer, value),
  read: (reader) => {
    const days = u32.read(reader)
    return isKeep(days) ? days : reader.fail()
  },
}

/** The team's choices. */
export const policyCodec = struct({
  /** What happens to a collided reply: kept back until its author decides, or sent but marked. */
  collision: choice("hold", "flag"),
  /** Whether agents see conversations that nobody is assigned to. */
  agentsSeeUnassigned: bool,
  /** Whether service accounts take and meet the lock as members do. */
  servicesLock: bool,
  /** Devices that one member may have enrolled at once; null or 0 for no limit. */
  devicesMax: optional(u32),
  /** How long messages are kept, in conversations without a keep time of their own; null for ever. */
  keep: optional(keepCodec),
})
/** See {@link policyCodec}. */
export type Policy = TypeOf<typeof policyCodec>

const conversation = fixed<ConversationId>(16)

/** A conversation as the directory knows it. */
export const conversationCodec = struct({
  /** Its id. */
  id: conversation,
  /** The customer's shown name. */
  customer: text,
  /** The service account of its channel, if one carries it. */
  service: optional(u32),
  /** The members assigned to it, ascending. */
  assigned: list(u32, ASSIGNED_MAX),
  /** How long its messages are kept; null for as long as the policy says. */
  keep: optional(keepCodec),
})
/** See {@link conversationCodec}. */
export type Conversation = TypeOf<typeof conversationCodec>

/** A change of the directory. */
export const directoryEventCodec = variant({
  MemberAdded: { member: memberCodec },
  RoleChanged: { member: u32, role: roleCodec },
  MemberRemoved: { member: u32 },
  DeviceAdded: { device: deviceCodec },
  DeviceRevoked: { device: fixed<DeviceId>(16) },
  PolicyChanged: { policy: policyCodec },
  ConversationOpened: { conversation: conversationCodec },
  Assigned: { conversation, member: u32 },
  Unassigned: { conversation, member: u32 },
  ImportUndone: { document: documentIdCodec, import: fixed<ImportId>(16) },
  KeepChanged: { conversation, keep: optional(keepCodec) },
  Expired: { document: documentIdCodec, newestMs: u53 },
  ConversationShredded: { conversation },
})
/** See {@link directoryEventCodec}. */
export type DirectoryEvent = TypeOf<typeof directoryEventCodec>

/** How long a conversation's messages are kept. */
export function keepUnder(conversation: Pick<Conversation, "keep">, policy: Policy): Keep {
  return conversation.keep ?? policy.keep ?? 0
}

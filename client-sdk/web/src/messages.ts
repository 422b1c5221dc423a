/** What pages and the device's host tell each other. Plain data, so that it passes between threads. */

import type { ActOutcome, Notice } from "./core/effect.ts"
import type { Act } from "./core/input.ts"
import type { NotSentRow } from "./core/row.ts"
import type { LeaseView, ViewEvent } from "./core/view.ts"
import type { Enrolment } from "./driver.ts"
import type { ConversationId } from "./protocol/id.ts"
import type { ConversationItem, Status, TeamView } from "./status.ts"
import type { KeptDraft } from "./store/store.ts"

/** Something that a page wants; answered once. */
export type Call =
  | { readonly type: "Act"; readonly act: Act }
  | { readonly type: "Enrol"; readonly enrolment: Enrolment }
  /** Null deletes it. */
  | { readonly type: "Draft"; readonly conversation: ConversationId; readonly draft: KeptDraft | null }
  /** Deletes everything of this device in this browser. */
  | { readonly type: "Wipe" }
  /** Starts the device anew after its store failed. */
  | { readonly type: "Restart" }

/** From a page. */
export type ToHost =
  /** First message; also when another host takes over. `lock` is a Web Lock that the page holds as long as it lives. */
  | { readonly type: "Attach"; readonly lock: string | null }
  | { readonly type: "Call"; readonly id: number; readonly call: Call }
  | { readonly type: "Detach" }

/** Something that changed. */
export type HostEvent =
  | { readonly type: "Status"; readonly status: Status }
  | {
      readonly type: "Conversations"
      readonly changed: readonly ConversationItem[]
      readonly gone: readonly ConversationId[]
    }
  | { readonly type: "Team"; readonly team: TeamView | null }
  | { readonly type: "NotSent"; readonly rows: readonly NotSentRow[] }
  | { readonly type: "Draft"; readonly conversation: ConversationId; readonly draft: KeptDraft | null }
  | { readonly type: "View"; readonly event: ViewEvent }
  | { readonly type: "Notice"; readonly notice: Notice }

/** Everything that a page starts from. */
export interface HostState {
  readonly status: Status
  readonly conversations: readonly ConversationItem[]
  readonly team: TeamView | null
  readonly notSent: readonly NotSentRow[]
  readonly drafts: ReadonlyMap<ConversationId, KeptDraft>
  readonly leases: ReadonlyMap<ConversationId, LeaseView>
}

/** To a page. */
export type ToPage =
  | { readonly type: "Attached"; readonly state: HostState }
  | { readonly type: "Answer"; readonly id: number; readonly outcome: ActOutcome }
  /** What changed in one turn of the device. */
  | { readonly type: "Events"; readonly events: readonly HostEvent[] }
  /** The device could not be started at all. */
  | { readonly type: "Failed"; readonly reason: string }

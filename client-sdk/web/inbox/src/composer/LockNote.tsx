/** Who else is replying, and for how long: seen before one types. */

import { Avatar } from "../parts/Avatar.tsx"
import type { ConversationId } from "../client/port.ts"
import { useApp, useMembers, useSecondsLeft } from "../app/context.tsx"
import type { LiveLease } from "../state/inbox.ts"
import { useStore } from "../state/store.ts"

/** See the module. */
export function LockNote({ conversation }: { readonly conversation: ConversationId }) {
  const { inbox, speaker } = useApp()
  const lease = useStore(inbox.leases, (leases) => leases.get(conversation))
  const { name } = useMembers()
  return (
    <>
      {/* Said once, without the seconds. */}
      <span className="sr-only" role="status">
        {lease === undefined ? "" : speaker.t("lock.said", { name: name(lease.holder) })}
      </span>
      {lease !== undefined && <Lock lease={lease} />}
    </>
  )
}

function Lock({ lease }: { readonly lease: LiveLease }) {
  const { t } = useApp().speaker
  const { name } = useMembers()
  const seconds = useSecondsLeft(lease.untilMs)
  const holder = name(lease.holder)
  return (
    <div className="lock">
      <Avatar name={holder} team size="small" />
      <p>
        <strong>{t("lock.replying", { name: holder, count: seconds })}</strong> <span>{t("lock.advice")}</span>
      </p>
    </div>
  )
}

/** A conversation in the list. */

import { PencilLine, ShieldAlert, TriangleAlert, User } from "lucide-react"
import { memo } from "react"
import type { ConversationId, ListRow } from "../client/port.ts"
import { useApp, useMembers, useSecondsLeft } from "../app/context.tsx"
import { Avatar } from "../parts/Avatar.tsx"
import type { LiveLease } from "../state/inbox.ts"
import { useStore } from "../state/store.ts"
import { useSwipe } from "./swipe.tsx"

interface Props {
  readonly row: ListRow
  readonly isSelected: boolean
  readonly onOpen: (id: ConversationId) => void
  readonly onDrag: ((id: ConversationId | null) => void) | null
}

/** See the module. */
export const Row = memo(function Row({ row, isSelected, onOpen, onDrag }: Props) {
  const { inbox, drafts, speaker, layout } = useApp()
  const { t } = speaker
  const { id, customer, assigned } = row.conversation
  const { name } = useMembers()
  const lease = useStore(inbox.leases, (leases) => leases.get(id))
  const hasDraft = useStore(drafts.begun, (begun) => begun.has(id)) && !isSelected
  const unread = row.summary?.unread ?? 0
  const held = row.summary?.held ?? 0
  const nowMs = Date.now()
  const swipe = useSwipe(row, layout === "phone")
  const owner = assigned[0]
  return (
    <div role="listitem" className="row-item" {...swipe.area}>
      {swipe.under}
      <button
        type="button"
        className={`row ${isSelected ? "selected" : ""} ${unread > 0 ? "unread" : ""}`}
        aria-current={isSelected ? "true" : undefined}
        draggable={onDrag !== null}
        onDragStart={(event) => {
          event.dataTransfer.setData("text/plain", customer)
          event.dataTransfer.effectAllowed = "link"
          // After the browser took its picture of the row.
          setTimeout(() => onDrag?.(id))
        }}
        onDragEnd={() => onDrag?.(null)}
        onClick={() => onOpen(id)}
        style={swipe.style}
      >
        <Avatar name={customer} />
        <span className="row-main">
          <span className="row-line">
            <bdi className="row-name ellipsis">{customer}</bdi>
            {row.summary?.last != null && <time className="row-time">{speaker.brief(row.summary.last.timeMs, nowMs)}</time>}
          </span>
          <span className="row-line">
            {lease !== undefined ? <Replying lease={lease} /> : <Preview row={row} hasDraft={hasDraft} />}
            {held > 0 && (
              <span className="row-held" title={t("list.held", { count: held })}>
                <TriangleAlert size={14} aria-hidden="true" />
                <span className="sr-only">{t("list.held", { count: held })}</span>
              </span>
            )}
            {unread > 0 && (
              <span className="row-unread">
                <span aria-hidden="true">{speaker.number(unread)}{row.summary?.unreadMore === true ? "+" : ""}</span>
                <span className="sr-only">{t("list.unread", { count: unread })}</span>
              </span>
            )}
          </span>
          <span className="row-line row-owner">
            {owner === undefined ? (
              <span className="row-unassigned">{t("list.unassigned")}</span>
            ) : (
              <><User size={13} aria-hidden="true" /><bdi className="ellipsis">{owner === inbox.me() ? t("list.you") : name(owner)}{assigned.length > 1 ? ` +${speaker.number(assigned.length - 1)}` : ""}</bdi></>
            )}
            {row.labels.filter((label) => label !== "closed").slice(0, 2).map((label) => (
              <bdi key={label} className="row-label ellipsis">{label}</bdi>
            ))}
          </span>
        </span>
      </button>
    </div>
  )
})

function Preview({ row, hasDraft }: { readonly row: ListRow; readonly hasDraft: boolean }) {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const { name } = useMembers()
  const last = row.summary?.last
  if (hasDraft) {
    return (
      <span className="row-text row-draft ellipsis">
        <PencilLine size={14} aria-hidden="true" /> {t("list.draft")}
      </span>
    )
  }
  if (last == null) return <span className="row-text" />
  const who = last.dir === "in" ? null : last.by === inbox.me() ? t("list.you") : name(last.by)
  return (
    <span className="row-text ellipsis" dir="auto">
      {last.dir === "note" && <span className="row-note">{t("list.note")}</span>}
      {who !== null && <><bdi>{who}</bdi>: </>}
      {last.sensitive ? (
        <><ShieldAlert size={14} aria-hidden="true" /> {t("list.sensitive")}</>
      ) : last.retracted ? (
        t("list.retracted")
      ) : last.text === "" ? (
        t("list.attachment")
      ) : (
        <bdi>{last.text}</bdi>
      )}
    </span>
  )
}

function Replying({ lease }: { readonly lease: LiveLease }) {
  const { t } = useApp().speaker
  const { name } = useMembers()
  const seconds = useSecondsLeft(lease.untilMs)
  return (
    <>
      <span className="row-text row-replying ellipsis">
        <PencilLine size={14} aria-hidden="true" /> {t("list.replying", { name: name(lease.holder) })}
      </span>
      <span className="row-seconds">{t("list.seconds", { count: seconds })}</span>
    </>
  )
}

/** What a person must know above everything: offline, loading, what the hub said. Nothing while all is well. */

import { CloudOff, Info, X } from "lucide-react"
import type { Notice } from "../client/port.ts"
import { IconButton } from "../parts/IconButton.tsx"
import { useStore } from "../state/store.ts"
import type { Speaker } from "../text/text.ts"
import { useApp, useDelayed } from "./context.tsx"
import { refusalNumber } from "./outcome.ts"
import "./banners.css"

/** See the module. */
export function Banners() {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const { phase, online, caughtUp, progress, waiting } = useStore(inbox.status)
  const alerts = useStore(inbox.alerts)
  const isOffline = useDelayed(phase === "ready" && !online, 1_000)
  const isLoading = useDelayed(phase === "ready" && online && !caughtUp, 400)
  return (
    <>
      <div role="status" className="banners">
        {isOffline && (
          <div className="banner offline">
            <CloudOff size={18} aria-hidden="true" />
            <span className="grow">
              <strong>{t("offline.title")}</strong>{" "}
              {waiting === 0 ? t("offline.nothing") : t("offline.waiting", { count: waiting })}
            </span>
            <button type="button" className="button small" onClick={() => void inbox.port.connect()}>
              {t("offline.retry")}
            </button>
          </div>
        )}
        {isLoading && (
          <div className="banner loading">
            <span className="grow">
              {progress === null ? t("sync.loading") : t("sync.progress", { done: progress.done, total: progress.total })}
            </span>
            {progress !== null && <progress value={progress.done} max={progress.total} aria-label={t("sync.loading")} />}
          </div>
        )}
      </div>
      {alerts.length > 0 && (
        <div role="status" className="banners">
          {alerts.map(({ number, notice }) => (
            <div key={number} className="banner alert">
              <Info size={18} aria-hidden="true" />
              <span className="grow">{alertText(notice, speaker)}</span>
              <IconButton className="small" label={t("alert.close")} onClick={() => inbox.putAway(number)}>
                <X size={18} />
              </IconButton>
            </div>
          ))}
        </div>
      )}
    </>
  )
}

function alertText(notice: Notice, speaker: Speaker): string {
  switch (notice.type) {
    case "EpochChanged":
      return speaker.t("alert.EpochChanged")
    case "RoleChanged":
      return speaker.t("alert.RoleChanged", { role: speaker.t(`role.${notice.role}`) })
    case "ConversationGone":
      return speaker.t("alert.ConversationGone")
    case "ResolveRefused":
      return speaker.t("alert.ResolveRefused", { reason: refusalNumber(notice.refusal.code, speaker) })
    default:
      return speaker.t("alert.store")
  }
}

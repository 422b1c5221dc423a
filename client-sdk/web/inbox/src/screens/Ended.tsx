/** The device is not in: revoked, refused, outdated, at another hub, without a store. Says what to do next. */

import { CircleSlash, CloudAlert, HardDrive, RefreshCw, ShieldX } from "lucide-react"
import type { ReactNode } from "react"
import type { Phase } from "../client/port.ts"
import { useApp } from "../app/context.tsx"
import { refusalText } from "../app/outcome.ts"
import { Empty } from "../parts/Empty.tsx"
import { Confirm } from "../parts/Confirm.tsx"
import { useStore } from "../state/store.ts"

/** See the module. */
export function Ended({ phase }: { readonly phase: Phase }) {
  const { inbox, drafts, speaker } = useApp()
  const { t } = speaker
  const stopped = useStore(inbox.status, (status) => status.stopped)
  const reload = <button type="button" className="button primary" onClick={() => location.reload()}>{t("ended.reload")}</button>
  const forget = async (): Promise<void> => {
    await inbox.port.wipe()
    drafts.clear()
  }
  const screen = (icon: ReactNode, title: string, text: string, act: ReactNode): ReactNode => (
    <main className="screen ended">
      <Empty level="h1" icon={icon} title={title} text={text}>{act}</Empty>
    </main>
  )
  switch (phase) {
    case "revoked":
      return screen(
        <ShieldX size={26} />, t("ended.revokedTitle"), t("ended.revoked"),
        <button type="button" className="button primary" onClick={() => void forget()}>{t("ended.pair")}</button>,
      )
    case "stopped":
      return screen(
        <CircleSlash size={26} />, t("ended.stoppedTitle"), refusalText(stopped, null, speaker),
        <button type="button" className="button primary" onClick={() => void inbox.port.connect()}>{t("ended.retry")}</button>,
      )
    case "outdated":
      return screen(<RefreshCw size={26} />, t("ended.outdatedTitle"), t("ended.outdated"), reload)
    case "wrong-hub":
      return screen(
        <CloudAlert size={26} />, t("ended.wrongHubTitle"), t("ended.wrongHub"),
        <Confirm
          trigger={<button type="button" className="button danger">{t("ended.forget")}</button>}
          title={t("ended.forget")}
          text={t("ended.forgetText")}
          act={t("ended.forget")}
          onAct={forget}
        />,
      )
    default:
      return screen(<HardDrive size={26} />, t("ended.storeTitle"), t("ended.store"), reload)
  }
}

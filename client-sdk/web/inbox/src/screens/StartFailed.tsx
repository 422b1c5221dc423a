/** The inbox could not even open its device. */

import { CloudAlert } from "lucide-react"
import { Empty } from "../parts/Empty.tsx"
import type { Speaker } from "../text/text.ts"
import "../app/shell.css"
import "./enrol.css"

/** See the module. */
export function StartFailed({ speaker: { t } }: { readonly speaker: Speaker }) {
  return (
    <main className="screen ended">
      <Empty level="h1" icon={<CloudAlert size={26} />} title={t("ended.failedTitle")} text={t("ended.failed")}>
        <button type="button" className="button primary" onClick={() => location.reload()}>{t("ended.reload")}</button>
      </Empty>
    </main>
  )
}

/** What the hub refused for good: why, and what its author can do with it. */

import { CircleAlert } from "lucide-react"
import { useState } from "react"
import type { NotSent } from "../client/port.ts"
import { useApp } from "../app/context.tsx"
import { refusalNumber, troubleOf } from "../app/outcome.ts"

/** See the module. */
export function NotSentBubble({ item }: { readonly item: NotSent }) {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const [trouble, setTrouble] = useState<string | null>(null)
  const { fact, conversation } = item
  const text = fact.type === "Message" ? fact.message.body : fact.type === "Edit" ? fact.body : t("notSent.edit")
  const retry = async (): Promise<void> => {
    if (fact.type !== "Message") return
    const { dir, kind, body, re, media } = fact.message
    const outcome = await inbox.port.write({ conversation, dir, kind, body, re, media, id: null })
    const problem = troubleOf(outcome, speaker)
    setTrouble(problem)
    if (problem === null) await inbox.port.dismiss(item.item)
  }
  return (
    <article className="message mine not-sent first last">
      <div className="message-column">
        <div className="bubble">
          <div className="bubble-failed">
            <CircleAlert size={16} aria-hidden="true" />
            <strong>{t("notSent.title")}</strong>
          </div>
          <p className="bubble-text" dir="auto">{text}</p>
          <p className="bubble-why">{refusalNumber(item.code, speaker)}</p>
          {trouble !== null && <p className="trouble" role="alert">{trouble}</p>}
          <div className="clash-acts">
            {fact.type === "Message" && <button type="button" className="button small" onClick={() => void retry()}>{t("notSent.retry")}</button>}
            <button type="button" className="button small" onClick={() => void navigator.clipboard.writeText(text)}>{t("notSent.copy")}</button>
            <button type="button" className="button small" onClick={() => void inbox.port.dismiss(item.item)}>{t("notSent.discard")}</button>
          </div>
        </div>
      </div>
    </article>
  )
}

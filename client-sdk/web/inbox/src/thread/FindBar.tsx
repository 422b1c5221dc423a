/** Finds a text in what is loaded of a conversation. */

import { ChevronDown, ChevronUp, X } from "lucide-react"
import { useEffect, useMemo, useState } from "react"
import type { MessageId } from "../client/port.ts"
import { useApp } from "../app/context.tsx"
import { type ThreadRow, findRows } from "../logic/rows.ts"
import { IconButton } from "../parts/IconButton.tsx"

/** See the module. */
export function FindBar({ rows, onGo, onClose }: { readonly rows: readonly ThreadRow[]; readonly onGo: (id: MessageId) => void; readonly onClose: () => void }) {
  const { t } = useApp().speaker
  const [text, setText] = useState("")
  const [at, setAt] = useState(0)
  const hits = useMemo(() => findRows(rows, text), [rows, text])
  const go = (index: number): void => {
    const row = rows[hits[index] ?? -1]
    if (row?.type !== "message") return
    setAt(index)
    onGo(row.key)
  }
  // The newest hit first: that is where one is.
  useEffect(() => go(hits.length - 1), [text])
  const step = (by: number): void => go((at + by + hits.length) % Math.max(1, hits.length))
  return (
    <div className="find" role="search">
      <input
        autoFocus
        type="search"
        className="field"
        dir="auto"
        aria-label={t("thread.find")}
        placeholder={t("thread.find")}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") onClose()
          if (event.key === "Enter") step(event.shiftKey ? 1 : -1)
        }}
      />
      <span className="find-count" role="status">
        {text === "" ? "" : hits.length === 0 ? t("thread.findNone") : t("thread.findHits", { at: hits.length - at, count: hits.length })}
      </span>
      <IconButton className="small" label={t("thread.findUp")} disabled={hits.length === 0} onClick={() => step(-1)}>
        <ChevronUp size={18} />
      </IconButton>
      <IconButton className="small" label={t("thread.findDown")} disabled={hits.length === 0} onClick={() => step(1)}>
        <ChevronDown size={18} />
      </IconButton>
      <IconButton className="small" label={t("thread.findClose")} onClick={onClose}>
        <X size={18} />
      </IconButton>
    </div>
  )
}

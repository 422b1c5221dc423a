/** How a message stands: an icon and, for a screen reader and a pointer that rests, the words. */

import { Check, CheckCheck, Clock, CircleAlert, CircleHelp, Download, TriangleAlert, X } from "lucide-react"
import type { ReactNode } from "react"
import type { MessageView } from "../client/port.ts"
import { useApp, useMembers } from "../app/context.tsx"

/** See the module. Others' messages show their delivery only if it failed. */
export function StateMark({ message, isMine }: { readonly message: MessageView; readonly isMine: boolean }) {
  const { t } = useApp().speaker
  const { name } = useMembers()
  const { state, delivery, resolving, dir } = message
  const mark = (kind: string, icon: ReactNode, text: string, isShown = false): ReactNode => (
    <span className={`mark ${kind}`} title={text}>
      {icon}
      <span className={isShown ? "" : "sr-only"}>{text}</span>
    </span>
  )
  if (state.type === "Imported") return mark("dim", <Download size={14} />, t("message.imported"))
  if (resolving) return mark("dim", <Clock size={15} />, t("state.resolving"))
  if (state.type === "Discarded") return mark("dim", <X size={15} />, t("state.discarded"), true)
  if (state.type === "Held") return null
  if (state.type === "Flagged") return mark("warn", <TriangleAlert size={15} />, t("state.flagged", { name: name(state.collision.by) }))
  if (dir === "out" && delivery === "failed") return mark("bad", <CircleAlert size={15} />, t("state.undelivered"), true)
  if (dir === "out" && delivery === "unknown") return mark("bad", <CircleHelp size={15} />, t("state.unknown"), true)
  if (!isMine) return null
  if (state.type === "Pending") return mark("dim", <Clock size={15} />, t("state.pending"))
  if (dir === "out" && delivery === "sent") return mark("good", <CheckCheck size={16} />, t(state.type === "SentAnyway" ? "state.anyway" : "state.delivered"))
  if (dir === "out" && delivery === "sending") return mark("good", <Check size={16} />, t("state.sending"))
  return mark("good", <Check size={16} />, t(state.type === "SentAnyway" ? "state.anyway" : "state.sent"))
}

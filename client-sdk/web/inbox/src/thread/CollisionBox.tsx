/** A reply that lost, opened in its place: who won, what they wrote, what the author can do. */

import type { ConversationId, MessageView } from "../client/port.ts"
import { useState } from "react"
import { useApp, useMembers } from "../app/context.tsx"
import { troubleOf } from "../app/outcome.ts"
import { beginEdit } from "../composer/acts.ts"
import { collisionText } from "../logic/collision.ts"

interface Props {
  readonly message: MessageView
  readonly winner: MessageView | undefined
  readonly isMine: boolean
  readonly conversation: ConversationId
}

/** See the module. */
export function CollisionBox({ message, winner, isMine, conversation }: Props) {
  const { inbox, drafts, speaker } = useApp()
  const { t } = speaker
  const { name } = useMembers()
  const [trouble, setTrouble] = useState<string | null>(null)
  const { state } = message
  if (state.type !== "Held" && state.type !== "Flagged") return null
  const winnerName = name(state.collision.by)
  const isHeld = state.type === "Held"
  const decide = async (resolution: "send" | "discard"): Promise<void> => {
    setTrouble(troubleOf(await inbox.port.resolve(conversation, message.id, resolution), speaker))
  }
  const { key, count } = collisionText(state.collision.cause, message.timeMs, winner?.timeMs)
  return (
    <div className="clash-box">
      <p>
        {isMine ? t(key, { name: winnerName, count }) : t("collision.other", { name: winnerName, author: name(message.by) })}
        {isMine && isHeld && <> {t("collision.held")}</>}
      </p>
      {winner !== undefined && winner.retracted === null && (
        <blockquote>
          <span>{t("collision.theirs", { name: winnerName })}</span>
          <p dir="auto">{winner.body}</p>
        </blockquote>
      )}
      {trouble !== null && <p className="trouble" role="alert">{trouble}</p>}
      {isMine && isHeld && (
        <div className="clash-acts">
          <button type="button" className="button small" disabled={message.resolving} onClick={() => void decide("send")}>
            {t("collision.send")}
          </button>
          <button type="button" className="button small" disabled={message.resolving} onClick={() => beginEdit(drafts, conversation, message)}>
            {t("collision.edit")}
          </button>
          <button type="button" className="button small" disabled={message.resolving} onClick={() => void decide("discard")}>
            {t("collision.discard")}
          </button>
        </div>
      )}
    </div>
  )
}

/** One message. */

import { Ellipsis, FileText, ShieldAlert, TriangleAlert } from "lucide-react"
import { type MouseEvent, type ReactNode, memo } from "react"
import type { ConversationId, MessageId, MessageView } from "../client/port.ts"
import { useApp, useMembers } from "../app/context.tsx"
import type { ThreadRow } from "../logic/rows.ts"
import { Avatar } from "../parts/Avatar.tsx"
import { CollisionBox } from "./CollisionBox.tsx"
import { StateMark } from "./StateMark.tsx"
import "./bubble.css"

const touch = matchMedia("(hover: none)")

interface Props {
  readonly row: Extract<ThreadRow, { type: "message" }>
  readonly customer: string
  readonly conversation: ConversationId
  readonly isMarked: boolean
  readonly quoted: MessageView | undefined
  readonly winner: MessageView | undefined
  readonly onMenu: (message: MessageView, anchor: HTMLElement) => void
  readonly onGo: (id: MessageId) => void
}

/** See the module. */
export const Bubble = memo(function Bubble({ row, customer, conversation, isMarked, quoted, winner, onMenu, onGo }: Props) {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const { name } = useMembers()
  const { message, first, last, late } = row
  const isMine = message.by === inbox.me()
  const who = message.dir === "in" ? customer : isMine ? t("message.you") : name(message.by)
  const isHeld = message.state.type === "Held" || message.state.type === "Flagged"
  const side = message.dir === "in" ? "in" : message.dir === "note" ? "note" : isMine ? "mine" : "out"
  const classes = ["message", side, first ? "first" : "", last ? "last" : "", isHeld ? "clash" : "", isMarked ? "marked" : ""]
  const isGone = message.retracted !== null
  // A finger has no pointer that rests on a bubble: it touches it.
  const tapped = (event: MouseEvent<HTMLElement>): void => {
    const isOther = (event.target as HTMLElement).closest("a, button") !== null || !(getSelection()?.isCollapsed ?? true)
    if (touch.matches && !isOther) onMenu(message, event.currentTarget)
  }
  return (
    <article className={classes.join(" ")} id={`message-${message.id}`} data-message={message.id} tabIndex={-1} aria-label={`${who}, ${speaker.time(message.timeMs)}`}>
      {side === "in" && <span className="message-side">{first && <Avatar name={customer} size="small" />}</span>}
      <div className="message-column">
        {first && side !== "mine" && (
          <header className="message-who">
            {side === "note" && <span className="message-tag" title={t("message.noteHint")}>{t("message.note")}</span>}
            <bdi>{who}</bdi>
            {message.dir !== "in" && message.by > 0 && <span className="message-staff">{t("message.staff", { number: message.by })}</span>}
          </header>
        )}
        <div className="message-row">
          <div className="bubble" onClick={tapped}>
            {isHeld && (
              <div className="bubble-clash">
                <TriangleAlert size={16} aria-hidden="true" />
                <strong>{t("collision.word")}</strong>
              </div>
            )}
            {message.sensitive.length > 0 && !isGone && (
              <div className="bubble-sensitive">
                <ShieldAlert size={15} aria-hidden="true" />
                {t("message.sensitive", { what: message.sensitive.map((one) => t(`category.${one}`)).join(", ") })}
              </div>
            )}
            {message.re !== null && !isGone && <Quote id={message.re} quoted={quoted} customer={customer} onGo={onGo} />}
            {message.media !== null && !isGone && <MediaChip media={message.media} />}
            {/* The direction of the text is that of its first letter; its foot keeps the page's. */}
            <div className="bubble-body" dir="auto">
              {isGone ? (
                <span className="bubble-gone">
                  {message.retracted === "" ? t("message.retracted", { name: who }) : t("message.retractedWhy", { name: who, reason: message.retracted ?? "" })}
                </span>
              ) : (
                <span className="bubble-text">{linked(message.body)}</span>
              )}
              <footer className="bubble-foot"><span dir={speaker.direction}>
                {late && <span className="bubble-late" title={t("message.lateHint")}>{t("message.late")}</span>}
                {message.edited && !isGone && <span>{t("message.edited")}</span>}
                <time title={speaker.moment(message.timeMs)}>{speaker.time(message.timeMs)}</time>
                <StateMark message={message} isMine={isMine} />
              </span></footer>
            </div>
          </div>
          <button
            type="button"
            tabIndex={-1}
            className="message-acts"
            aria-label={t("message.actions")}
            onClick={(event) => onMenu(message, event.currentTarget)}
          >
            <Ellipsis size={18} />
          </button>
        </div>
        {isHeld && <CollisionBox message={message} winner={winner} isMine={isMine} conversation={conversation} />}
        {message.reactions.length > 0 && !isGone && <Reactions message={message} conversation={conversation} />}
      </div>
    </article>
  )
})

function Quote({ id, quoted, customer, onGo }: {
  readonly id: MessageId
  readonly quoted: MessageView | undefined
  readonly customer: string
  readonly onGo: (id: MessageId) => void
}) {
  const { inbox, speaker } = useApp()
  const { name } = useMembers()
  const { t } = speaker
  if (quoted === undefined) return <div className="quote"><span className="quote-text">{t("message.quoteGone")}</span></div>
  const who = quoted.dir === "in" ? customer : quoted.by === inbox.me() ? t("message.you") : name(quoted.by)
  const text = quoted.retracted !== null ? t("list.retracted") : quoted.body === "" ? t("list.attachment") : quoted.body
  return (
    <button type="button" className="quote" tabIndex={-1} onClick={() => onGo(id)}>
      <bdi className="quote-who">{who}</bdi>
      <span className="quote-text" dir="auto">{text}</span>
    </button>
  )
}

function MediaChip({ media }: { readonly media: NonNullable<MessageView["media"]> }) {
  const { bytes, t } = useApp().speaker
  return (
    <div className="media">
      <FileText size={20} aria-hidden="true" />
      <span>
        <bdi className="media-name">{media.name === "" ? t("message.unknownFile") : media.name}</bdi>
        <span className="media-size">{bytes(media.size)}</span>
      </span>
    </div>
  )
}

function Reactions({ message, conversation }: { readonly message: MessageView; readonly conversation: ConversationId }) {
  const { inbox, speaker } = useApp()
  const { name } = useMembers()
  const groups = Map.groupBy(message.reactions, ([, emoji]) => emoji)
  return (
    <div className="reactions">
      {[...groups].map(([emoji, all]) => {
        const isMine = all.some(([member]) => member === inbox.me())
        const names = all.map(([member]) => name(member)).join(", ")
        return (
          <button
            key={emoji}
            type="button"
            tabIndex={-1}
            className={`reaction ${isMine ? "own" : ""}`}
            aria-pressed={isMine}
            title={names}
            onClick={() => void inbox.port.react(conversation, message.id, isMine ? "" : emoji)}
          >
            {emoji} {all.length > 1 && <span>{speaker.number(all.length)}</span>}
            <span className="sr-only">{names}</span>
          </button>
        )
      })}
    </div>
  )
}

/** A text with its web addresses as links; nothing else in it means anything. */
function linked(text: string): ReactNode[] {
  return text.split(/(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]])/).map((part, at) =>
    at % 2 === 1 ? (
      <a key={at} href={part} target="_blank" rel="noopener noreferrer">
        {part}
      </a>
    ) : (
      part
    ),
  )
}

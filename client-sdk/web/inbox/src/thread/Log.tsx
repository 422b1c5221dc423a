/** The messages of a conversation: only what is in sight is rendered, and the place is kept while older ones load. */

import { ArrowDown } from "lucide-react"
import { type KeyboardEvent, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react"
import { Virtualizer, type VirtualizerHandle } from "virtua"
import type { ConversationId, MessageId, MessageView } from "../client/port.ts"
import { useApp, useDelayed, useMembers } from "../app/context.tsx"
import { type ThreadRow, buildRows, messageOf, rowOf } from "../logic/rows.ts"
import { useStore } from "../state/store.ts"
import type { Thread, ThreadState } from "../state/thread.ts"
import { Bubble } from "./Bubble.tsx"
import { FindBar } from "./FindBar.tsx"
import { type MenuTarget, MessageMenu } from "./MessageMenu.tsx"
import { NotSentBubble } from "./NotSentBubble.tsx"

/** Nearer to the end than this counts as being there, CSS pixels. */
const END_PX_MAX = 64
/** Nearer to the beginning than this, older messages are asked for, CSS pixels. */
const OLDER_PX_MAX = 1_200

/** How much of what was read stays above the unread line, CSS pixels. */
const LINE_PX = 160

/** So often at most a sight is put right, each time after two frames. */
const SETTLE_MAX = 12

/** Where a thread was left: the row at the top and how far it was scrolled past; none: at the end. */
const places = new Map<ConversationId, { readonly key: string; readonly pastPx: number }>()

interface Props {
  readonly thread: Thread
  readonly state: ThreadState & { readonly messages: readonly MessageView[] }
  readonly customer: string
  readonly isFinding: boolean
  readonly onFound: () => void
}

/** See the module. */
export function Log({ thread, state, customer, isFinding, onFound }: Props) {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const { conversation } = thread
  const allNotSent = useStore(inbox.notSent)
  const me = inbox.me()
  const notSent = useMemo(() => allNotSent.filter((item) => item.conversation === conversation), [allNotSent, conversation])
  const { messages, readUpTo, older } = state
  const rows = useMemo(() => buildRows({ messages, notSent, me, readUpTo }), [messages, notSent, me, readUpTo])
  const scroller = useRef<HTMLDivElement>(null)
  const list = useRef<VirtualizerHandle>(null)
  const [isAtEnd, setAtEnd] = useState(true)
  const atEnd = useRef(false)
  const lastTop = useRef(0)
  /** Whether a person has begun to move: from then on nothing is put right any more. */
  const hasMoved = useRef(false)
  const [menu, setMenu] = useState<MenuTarget | null>(null)
  const [marked, setMarked] = useState<MessageId | null>(null)
  const active = useRef<MessageId | null>(null)

  // Rows that came at the beginning leave the sight where it is.
  const before = useRef<readonly ThreadRow[]>([])
  const isPrepended =
    before.current.length > 0 && rows.length > before.current.length && rows.at(-1)?.key === before.current.at(-1)?.key && firstMessage(rows) !== firstMessage(before.current)
  const lastKey = rows.at(-1)?.key

  // The first sight: where one left off, else the unread line, else the end.
  const isPlaced = useRef(false)
  const isReady = useRef(false)
  useLayoutEffect(() => {
    before.current = rows
    if (isPlaced.current || rows.length === 0 || list.current === null) return
    isPlaced.current = true
    const handle = list.current
    const place = places.get(conversation)
    const at = place === undefined ? -1 : rows.findIndex(({ key }) => key === place.key)
    const line = rows.findIndex(({ type }) => type === "unread")
    const show = (): void => {
      if (at >= 0) handle.scrollToIndex(at, { align: "start", offset: place?.pastPx ?? 0 })
      // A little of what was read stays above the line; where little is new, this is the end.
      else if (line >= 0) handle.scrollToIndex(line, { align: "start", offset: -LINE_PX })
      else {
        atEnd.current = true
        handle.scrollToIndex(rows.length - 1, { align: "end" })
      }
    }
    settle(handle, show, () => hasMoved.current, () => {
      isReady.current = true
      scrolled()
    })
  }, [rows, conversation])

  // At the end one stays at the end; what one writes oneself is seen.
  const lastRow = rows.at(-1)
  const isOwnNew = lastRow?.type === "notSent" || (lastRow?.type === "message" && lastRow.message.state.type === "Pending")
  useEffect(() => {
    const box = scroller.current
    if (!isPlaced.current || box === null || !(atEnd.current || isOwnNew)) return
    // Rows that are yet to be measured make it grow: the observer below follows.
    atEnd.current = true
    box.scrollTop = box.scrollHeight
    lastTop.current = box.scrollTop
  }, [lastKey, rows.length])
  useEffect(() => {
    const box = scroller.current
    if (box === null) return
    const observer = new ResizeObserver(() => {
      // Not against who has just gone up, which is told a moment later.
      if (!atEnd.current || box.scrollTop < lastTop.current - 1) return
      box.scrollTop = box.scrollHeight
      lastTop.current = box.scrollTop
    })
    observer.observe(box)
    // A row that grows, by a reaction for one, moves the end too.
    if (box.lastElementChild !== null) observer.observe(box.lastElementChild)
    return () => observer.disconnect()
  }, [])

  const scrolled = useCallback(() => {
    const handle = list.current
    if (handle === null) return
    const { scrollOffset, scrollSize, viewportSize } = handle
    const isThere = scrollSize - scrollOffset - viewportSize < END_PX_MAX
    // Who was there and has not gone up is still there: rows grew.
    const top = scroller.current?.scrollTop ?? 0
    const isNow = isThere || (atEnd.current && top >= lastTop.current - 1)
    lastTop.current = top
    atEnd.current = isNow
    setAtEnd(isNow)
    if (isReady.current && scrollOffset < OLDER_PX_MAX && thread.state.get().older === "more") void inbox.port.showOlder(conversation)
    const first = handle.findItemIndex(scrollOffset)
    const key = before.current[first]?.key
    if (isNow || key === undefined) places.delete(conversation)
    else places.set(conversation, { key, pastPx: scrollOffset - handle.getItemOffset(first) })
  }, [conversation, inbox, thread])
  useEffect(scrolled, [older, rows.length, scrolled])
  const moves = (): void => {
    hasMoved.current = true
    // Nothing holds them at the end now; whether they are there still is seen when they have moved.
    atEnd.current = false
    requestAnimationFrame(() => requestAnimationFrame(scrolled))
  }

  useMarkRead(conversation, messages, isAtEnd)
  const unseen = useUnseen(messages, isAtEnd, me)

  const goTo = useCallback((id: MessageId) => {
    const at = rowOf(before.current, id)
    if (at < 0) return
    list.current?.scrollToIndex(at, { align: "center" })
    setMarked(id)
  }, [])
  useEffect(() => {
    if (marked === null) return
    const timer = setTimeout(() => setMarked(null), 2_000)
    return () => clearTimeout(timer)
  }, [marked])

  const openMenu = useCallback((message: MessageView, anchor: HTMLElement) => {
    if (message.retracted === null) setMenu({ message, anchor })
  }, [])
  const pressed = (event: KeyboardEvent<HTMLDivElement>): void => {
    moves()
    if (event.altKey || event.ctrlKey || event.metaKey) return
    // Buttons within a bubble keep their own keys.
    const isButton = (event.target as HTMLElement).closest("button, a") !== null
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault()
      move(event.key === "ArrowUp" ? -1 : 1)
    } else if (!isButton && (event.key === "m" || event.key === "M" || event.key === "Enter" || event.key === "ContextMenu")) {
      const id = active.current
      const anchor = id === null ? null : document.getElementById(`message-${id}`)
      const message = id === null ? undefined : messageOf(messages, id)
      if (anchor === null || message === undefined) return
      event.preventDefault()
      openMenu(message, anchor)
    }
  }
  const move = (by: number): void => {
    let at = active.current === null ? rows.length - (by < 0 ? 0 : 1) : rowOf(rows, active.current)
    do at += by
    while (rows[at] !== undefined && rows[at]?.type !== "message")
    const row = rows[at]
    if (row?.type !== "message") return
    active.current = row.key
    list.current?.scrollToIndex(at, { align: "nearest" })
    // Once it is rendered.
    requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById(`message-${row.key}`)?.focus({ preventScroll: true })))
  }

  const isLoadingOlder = useDelayed(older === "loading")
  return (
    <div className="log-frame">
      {isFinding && <FindBar rows={rows} onGo={goTo} onClose={onFound} />}
      {isLoadingOlder && <div className="log-older" role="status">{t("thread.older")}</div>}
      <div
        ref={scroller}
        className="log"
        role="log"
        // What is new is told below: rows that come and go by scrolling are not news.
        aria-live="off"
        aria-label={t("thread.label", { name: customer })}
        tabIndex={0}
        onKeyDown={pressed}
        onWheel={moves}
        onTouchMove={moves}
        onPointerDown={moves}
        onFocus={(event) => {
          const id = (event.target as HTMLElement).dataset["message"]
          if (id !== undefined) active.current = id as MessageId
        }}
      >
        <div className="log-space">
          {older === "none" && messages.length > 0 && <p className="log-begin">{t("thread.begin")}</p>}
          {rows.length === 0 && <p className="log-begin">{t("empty.messagesTitle")}. {t("empty.messages")}</p>}
        </div>
        <Virtualizer ref={list} data={rows} shift={isPrepended} scrollRef={scroller} itemSize={72} onScroll={scrolled}>
          {(row) => <LogRow key={row.key} row={row} customer={customer} conversation={conversation} isMarked={marked === row.key} messages={messages} onMenu={openMenu} onGo={goTo} />}
        </Virtualizer>
      </div>
      {!isAtEnd && rows.length > 0 && (
        <button
          type="button"
          className="log-latest"
          onClick={() => {
            places.delete(conversation)
            list.current?.scrollToIndex(rows.length - 1, { align: "end" })
          }}
        >
          <ArrowDown size={18} aria-hidden="true" />
          {unseen > 0 ? t("thread.latestCount", { count: unseen }) : <span className="sr-only">{t("thread.latest")}</span>}
        </button>
      )}
      <Announcer messages={messages} customer={customer} />
      <MessageMenu target={menu} conversation={conversation} onClose={() => setMenu(null)} />
    </div>
  )
}

interface LogRowProps {
  readonly row: ThreadRow
  readonly customer: string
  readonly conversation: ConversationId
  readonly isMarked: boolean
  readonly messages: readonly MessageView[]
  readonly onMenu: (message: MessageView, anchor: HTMLElement) => void
  readonly onGo: (id: MessageId) => void
}

function LogRow({ row, customer, conversation, isMarked, messages, onMenu, onGo }: LogRowProps) {
  const { t, day } = useApp().speaker
  switch (row.type) {
    case "day":
      return <h2 className="log-day"><span>{day(row.dayMs, Date.now())}</span></h2>
    case "unread":
      return <div className="log-line"><span>{t("thread.unread")}</span></div>
    case "notSent":
      return <NotSentBubble item={row.item} />
    case "message":
      return (
        <Bubble
          row={row}
          customer={customer}
          conversation={conversation}
          isMarked={isMarked}
          quoted={row.message.re === null ? undefined : messageOf(messages, row.message.re)}
          winner={winnerOf(row.message, messages)}
          onMenu={onMenu}
          onGo={onGo}
        />
      )
  }
}

function winnerOf({ state }: MessageView, messages: readonly MessageView[]): MessageView | undefined {
  const id = state.type === "Held" || state.type === "Flagged" ? state.collision.winner : null
  return id === null ? undefined : messageOf(messages, id)
}

/** Rows have their heights only once they are in sight: scrolls again until nothing moves any more. */
function settle(handle: VirtualizerHandle, show: () => void, isOver: () => boolean, done: () => void): void {
  let [left, sizePx] = [SETTLE_MAX, -1]
  const step = (): void => {
    if (isOver() || sizePx === handle.scrollSize || left-- === 0) return done()
    sizePx = handle.scrollSize
    show()
    requestAnimationFrame(() => requestAnimationFrame(step))
  }
  step()
}

function firstMessage(rows: readonly ThreadRow[]): string | undefined {
  return rows.find(({ type }) => type === "message")?.key
}

/** What is in sight at the end is read, once somebody looks. */
function useMarkRead(conversation: ConversationId, messages: readonly MessageView[], isAtEnd: boolean): void {
  const { inbox } = useApp()
  const newest = messages.findLast(({ lsn }) => lsn !== null)?.id
  useEffect(() => {
    if (!isAtEnd || newest === undefined) return
    const mark = (): void => {
      if (document.visibilityState === "visible" && document.hasFocus()) void inbox.port.markRead(conversation, newest)
    }
    const timer = setTimeout(mark, 400)
    addEventListener("focus", mark)
    return () => {
      clearTimeout(timer)
      removeEventListener("focus", mark)
    }
  }, [conversation, inbox, isAtEnd, newest])
}

/** How many messages of others came below what is in sight. */
function useUnseen(messages: readonly MessageView[], isAtEnd: boolean, me: number): number {
  const seen = useRef<MessageId | null>(null)
  const last = messages.at(-1)?.id ?? null
  if (isAtEnd || seen.current === null) seen.current = last
  let count = 0
  for (let at = messages.length - 1; at >= 0; at--) {
    const message = messages[at] as MessageView
    if (seen.current === null || message.id <= seen.current) break
    if (message.by !== me) count++
  }
  return count
}

/** Says new messages of others to a screen reader. */
function Announcer({ messages, customer }: { readonly messages: readonly MessageView[]; readonly customer: string }) {
  const { inbox, speaker } = useApp()
  const { name } = useMembers()
  const told = useRef(messages.at(-1)?.id ?? null)
  const [said, say] = useState("")
  const last = messages.at(-1)
  useEffect(() => {
    if (last === undefined || last.id === told.current) return
    const isNewer = told.current === null || last.id > told.current
    told.current = last.id
    if (isNewer && last.by !== inbox.me()) {
      say(speaker.t("thread.said", { name: last.dir === "in" ? customer : name(last.by), text: last.body || speaker.t("list.attachment") }))
    }
  }, [last, customer, inbox, name, speaker])
  return <div className="sr-only" aria-live="polite">{said}</div>
}

/** A conversation: its heading, its messages, its composer. */

import { ArrowLeft, CheckCheck, Ellipsis, MessageSquare, PanelRight, RotateCcw, Search, UserPlus } from "lucide-react"
import { Menu } from "@base-ui/react/menu"
import { useCallback, useEffect, useState } from "react"
import type { ConversationId, MessageView } from "../client/port.ts"
import { useShortcut } from "../app/Keyboard.tsx"
import { go, useApp, useDelayed, useMembers, useRights } from "../app/context.tsx"
import { Composer } from "../composer/Composer.tsx"
import { type Box, CLOSED_LABEL, isClosed } from "../logic/filter.ts"
import { AssignMenu } from "../parts/AssignMenu.tsx"
import { Avatar } from "../parts/Avatar.tsx"
import { Empty } from "../parts/Empty.tsx"
import { IconButton } from "../parts/IconButton.tsx"
import { choose, settings } from "../state/settings.ts"
import { useStore } from "../state/store.ts"
import type { ThreadState } from "../state/thread.ts"
import { Log } from "./Log.tsx"
import "./thread.css"

interface Props {
  readonly conversation: ConversationId
  readonly box: Box
}

/** See the module. */
export function ThreadPane({ conversation, box }: Props) {
  const { inbox, speaker, layout } = useApp()
  const { t } = speaker
  const [thread] = useState(() => inbox.thread(conversation))
  const state = useStore(thread.state)
  useStore(inbox.rows)
  const row = inbox.row(conversation)
  const customer = row?.conversation.customer ?? ""
  const [isFinding, setFinding] = useState(false)
  const { canWrite } = useRights()
  const isClosedNow = row !== undefined && isClosed(row)

  // Coming back later, the line stands before what is new then.
  useEffect(() => () => thread.forgetLine(), [thread])
  const toggleClosed = useCallback(() => {
    if (canWrite) void inbox.port.setLabel(conversation, CLOSED_LABEL, !isClosedNow)
  }, [inbox, conversation, isClosedNow, canWrite])
  useShortcut("close", toggleClosed)
  useShortcut("find", useCallback(() => setFinding(true), []))
  useEffect(() => {
    document.title = customer === "" ? t("app.name") : `${customer} · ${t("app.name")}`
  }, [customer, t])

  if (state.closed || (row === undefined && inbox.rows.get() !== null)) {
    return (
      <main className="thread" id="main">
        <Empty level="h1" icon={<MessageSquare size={26} />} title={t("thread.gone")} text={t("thread.gonePart")}>
          <button type="button" className="button" onClick={() => go({ type: "box", box, conversation: null, panel: false })}>
            {t("empty.showAll")}
          </button>
        </Empty>
      </main>
    )
  }
  return (
    <main className="thread" id="main">
      <header className="thread-head">
        {layout === "phone" && (
          <IconButton label={t("nav.back")} onClick={() => go({ type: "box", box, conversation: null, panel: false })}>
            <ArrowLeft size={22} className="flips" />
          </IconButton>
        )}
        <Avatar name={customer} />
        <div className="thread-title">
          <h1 className="ellipsis"><bdi>{customer}</bdi></h1>
          <Handlers assigned={row?.conversation.assigned ?? []} />
        </div>
        <ThreadActs conversation={conversation} box={box} isClosedNow={isClosedNow} onClose={toggleClosed} onFind={() => setFinding(!isFinding)} />
      </header>
      {state.messages === null ? (
        <ThreadSkeleton />
      ) : (
        <Log
          thread={thread}
          state={state as ThreadState & { readonly messages: readonly MessageView[] }}
          customer={customer}
          isFinding={isFinding}
          onFound={() => setFinding(false)}
        />
      )}
      <Composer conversation={conversation} customer={customer} messages={state.messages ?? []} />
    </main>
  )
}

function Handlers({ assigned }: { readonly assigned: readonly number[] }) {
  const { t } = useApp().speaker
  const { name } = useMembers()
  if (assigned.length === 0) return <p className="thread-handlers">{t("list.unassigned")}</p>
  return (
    <p className="thread-handlers ellipsis">
      {assigned.map((member, at) => (
        <span key={member}>
          {at > 0 && " · "}
          <bdi>{name(member)}</bdi>
        </span>
      ))}
    </p>
  )
}

function ThreadActs({ conversation, box, isClosedNow, onClose, onFind }: {
  readonly conversation: ConversationId
  readonly box: Box
  readonly isClosedNow: boolean
  readonly onClose: () => void
  readonly onFind: () => void
}) {
  const { inbox, speaker, layout } = useApp()
  const { t } = speaker
  const { canWrite, canManage } = useRights()
  const hasPanel = useStore(settings, (chosen) => chosen.panel)
  const [isAssigning, setAssigning] = useState(false)
  useShortcut("assign", useCallback(() => setAssigning(true), []))
  const assigned = inbox.row(conversation)?.conversation.assigned ?? []
  const showPanel = (): void => {
    if (layout === "desktop") choose({ panel: !hasPanel })
    else go({ type: "box", box, conversation, panel: true })
  }
  const panel = (
    <IconButton label={t("thread.panel")} aria-pressed={layout === "desktop" && hasPanel} onClick={showPanel}>
      <PanelRight size={20} className="flips" />
    </IconButton>
  )
  const assign = canManage && (
    <AssignMenu
      conversation={conversation}
      assigned={assigned}
      open={isAssigning}
      onOpenChange={setAssigning}
      trigger={<IconButton label={t("customer.assign")}><UserPlus size={20} /></IconButton>}
    />
  )
  const closeText = t(isClosedNow ? "thread.reopen" : "thread.close")
  const closeIcon = isClosedNow ? <RotateCcw size={20} /> : <CheckCheck size={20} />
  if (layout === "phone") {
    return (
      <>
        {assign}
        <Menu.Root>
          <Menu.Trigger render={<IconButton label={t("thread.more")} />}>
            <Ellipsis size={22} />
          </Menu.Trigger>
          <Menu.Portal>
            <Menu.Positioner align="end" sideOffset={4}>
              <Menu.Popup className="menu">
                <Menu.Item className="menu-item" onClick={showPanel}><PanelRight size={18} />{t("thread.panel")}</Menu.Item>
                <Menu.Item className="menu-item" onClick={onFind}><Search size={18} />{t("thread.find")}</Menu.Item>
                {canWrite && <Menu.Item className="menu-item" onClick={onClose}>{closeIcon}{closeText}</Menu.Item>}
              </Menu.Popup>
            </Menu.Positioner>
          </Menu.Portal>
        </Menu.Root>
      </>
    )
  }
  return (
    <>
      <IconButton label={t("thread.find")} onClick={onFind}>
        <Search size={20} />
      </IconButton>
      {assign}
      {canWrite && <IconButton label={closeText} onClick={onClose}>{closeIcon}</IconButton>}
      {panel}
    </>
  )
}

/** No conversation is chosen. */
export function NoThread() {
  const { t } = useApp().speaker
  return (
    <main className="thread" id="main">
      <Empty level="h1" icon={<MessageSquare size={26} />} title={t("empty.threadTitle")} text={t("empty.thread")} />
    </main>
  )
}

function ThreadSkeleton() {
  const { t } = useApp().speaker
  const isLong = useDelayed(true)
  return (
    <div className="log-frame" role="status" aria-label={t("thread.loading")}>
      {isLong && (
        <div className="thread-skeleton">
          {[60, 40, 70, 50].map((width, at) => (
            <span key={at} className={`skeleton ${at % 2 === 0 ? "" : "end"}`} style={{ width: `${width}%` }} />
          ))}
        </div>
      )}
    </div>
  )
}

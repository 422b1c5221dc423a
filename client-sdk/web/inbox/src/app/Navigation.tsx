/** The ways through the inbox: a rail beside it where there is room, a bar below it on a phone. */

import { CircleHelp, Inbox as InboxIcon, MonitorSmartphone, Search, Settings, User, UserCheck, Users } from "lucide-react"
import type { ReactNode } from "react"
import { countAll } from "../logic/filter.ts"
import { type Route, formatRoute } from "../logic/route.ts"
import { Avatar } from "../parts/Avatar.tsx"
import { IconButton } from "../parts/IconButton.tsx"
import { Tooltip } from "@base-ui/react/tooltip"
import { useStore } from "../state/store.ts"
import { showKeys } from "./Keyboard.tsx"
import { go, useApp, useMembers } from "./context.tsx"
import "./navigation.css"

type BoxRoute = Extract<Route, { type: "box" }>

function Way({ to, current, label, icon, badge = 0, named = false }: {
  readonly to: Route
  readonly current: boolean
  readonly label: string
  readonly icon: ReactNode
  readonly badge?: number
  readonly named?: boolean
}) {
  const { speaker } = useApp()
  const link = (
    <a
      className="way"
      href={formatRoute(to)}
      aria-current={current ? "page" : undefined}
      aria-label={named ? undefined : badge > 0 ? `${label}, ${speaker.t("list.unread", { count: badge })}` : label}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey) return
        event.preventDefault()
        go(to)
      }}
    />
  )
  const inside = (
    <>
      <span className="way-icon">
        {icon}
        {badge > 0 && <span className="way-badge" aria-hidden="true">{speaker.number(badge)}</span>}
      </span>
      {named && <span className="way-name">{label}</span>}
      {named && badge > 0 && <span className="sr-only">{speaker.t("list.unread", { count: badge })}</span>}
    </>
  )
  if (named) return <li>{<a {...link.props}>{inside}</a>}</li>
  return (
    <li>
      <Tooltip.Root>
        <Tooltip.Trigger render={link}>{inside}</Tooltip.Trigger>
        <Tooltip.Portal>
          <Tooltip.Positioner side="inline-end" sideOffset={6}>
            <Tooltip.Popup className="tooltip">{label}</Tooltip.Popup>
          </Tooltip.Positioner>
        </Tooltip.Portal>
      </Tooltip.Root>
    </li>
  )
}

function useUnread() {
  const { inbox } = useApp()
  const rows = useStore(inbox.rows)
  const counts = countAll(rows ?? [], inbox.me())
  return { mine: counts.mine.unread, all: counts.all.unread }
}

/** Beside the list. */
export function Rail({ route, box }: { readonly route: Route; readonly box: BoxRoute }) {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const { name } = useMembers()
  const me = useStore(inbox.status, (status) => status.member)
  const unread = useUnread()
  const isInbox = route.type === "box" || route.type === "search"
  return (
    <nav className="rail" aria-label={t("nav.main")}>
      <img className="rail-logo" src="/icons/icon.svg" alt="" width="32" height="32" />
      <ul>
        <Way to={box} current={isInbox} label={t("nav.inbox")} icon={<InboxIcon size={22} />} badge={unread.all} />
        <Way to={{ type: "team" }} current={route.type === "team"} label={t("nav.team")} icon={<Users size={22} />} />
        <Way to={{ type: "devices" }} current={route.type === "devices"} label={t("nav.devices")} icon={<MonitorSmartphone size={22} />} />
        <Way to={{ type: "me" }} current={route.type === "me"} label={t("nav.settings")} icon={<Settings size={22} />} />
      </ul>
      <div className="rail-end">
        <IconButton label={t("nav.keys")} onClick={() => showKeys.set(true)}>
          <CircleHelp size={22} />
        </IconButton>
        {me !== null && <Avatar name={name(me)} team />}
      </div>
    </nav>
  )
}

/** Below the pane, on a phone. */
export function BottomBar({ route }: { readonly route: Route }) {
  const { t } = useApp().speaker
  const unread = useUnread()
  const box = route.type === "box" ? route.box : null
  const isMe = route.type === "me" || route.type === "team" || route.type === "devices"
  return (
    <nav className="bottom-bar" aria-label={t("nav.main")}>
      <ul>
        <Way named to={{ type: "box", box: "all", conversation: null, panel: false }} current={box === "all" || box === "unassigned"} label={t("nav.inbox")} icon={<InboxIcon size={22} />} badge={unread.all} />
        <Way named to={{ type: "box", box: "mine", conversation: null, panel: false }} current={box === "mine"} label={t("nav.mine")} icon={<UserCheck size={22} />} badge={unread.mine} />
        <Way named to={{ type: "search" }} current={route.type === "search"} label={t("nav.search")} icon={<Search size={22} />} />
        <Way named to={{ type: "me" }} current={isMe} label={t("nav.me")} icon={<User size={22} />} />
      </ul>
    </nav>
  )
}

/** The inbox's frame: one pane, two or three, and what leads to the others. */

import { useEffect, useRef } from "react"
import { CustomerPanel } from "../customer/CustomerPanel.tsx"
import { CustomerDrawer } from "../customer/CustomerDrawer.tsx"
import { ListPane } from "../list/ListPane.tsx"
import { Devices } from "../screens/Devices.tsx"
import { Me } from "../screens/Me.tsx"
import { Team } from "../screens/Team.tsx"
import { settings } from "../state/settings.ts"
import { useStore } from "../state/store.ts"
import { NoThread, ThreadPane } from "../thread/ThreadPane.tsx"
import { Banners } from "./Banners.tsx"
import { BottomBar, Rail } from "./Navigation.tsx"
import { Keyboard } from "./Keyboard.tsx"
import { START, type Route } from "../logic/route.ts"
import { useApp, useRoute } from "./context.tsx"
import "./shell.css"

type BoxRoute = Extract<Route, { type: "box" }>

/** See the module. */
export function Shell() {
  const { layout, speaker } = useApp()
  const route = useRoute()
  const isPhone = layout === "phone"
  const lastBox = useRef<BoxRoute>(START as BoxRoute)
  if (route.type === "box") lastBox.current = route
  const isThread = route.type === "box" && route.conversation !== null
  useEffect(() => {
    document.title = speaker.t("app.name")
  }, [speaker])

  return (
    <div className={`shell ${layout}`}>
      {!isPhone && (
        <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); document.querySelector<HTMLElement>("[data-composer], .log")?.focus() }}>
          {speaker.t("nav.skip")}
        </a>
      )}
      {!isPhone && <Rail route={route} box={lastBox.current} />}
      <div className="stage">
        <Banners />
        {isPhone ? <PhonePane route={route} /> : <WidePanes route={route} />}
      </div>
      {isPhone && !isThread && <BottomBar route={route} />}
      <Keyboard />
    </div>
  )
}

function PhonePane({ route }: { readonly route: Route }) {
  switch (route.type) {
    case "team":
      return <Team />
    case "devices":
      return <Devices />
    case "me":
      return <Me />
    case "search":
      return <ListPane box="all" selected={null} isSearch />
    default: {
      const box = route.type === "box" ? route : (START as BoxRoute)
      if (box.conversation === null) return <ListPane box={box.box} selected={null} />
      if (box.panel) return <main id="main" className="panes"><CustomerPanel conversation={box.conversation} onClose={() => history.back()} /></main>
      return <ThreadPane key={box.conversation} conversation={box.conversation} box={box.box} />
    }
  }
}

function WidePanes({ route }: { readonly route: Route }) {
  const { layout } = useApp()
  const hasPanel = useStore(settings, (chosen) => chosen.panel)
  if (route.type === "team") return <Team />
  if (route.type === "devices") return <Devices />
  if (route.type === "me") return <Me />
  const box = route.type === "box" ? route : (START as BoxRoute)
  const { conversation } = box
  return (
    <div className="panes">
      <ListPane box={box.box} selected={conversation} isSearch={route.type === "search"} />
      {conversation === null ? <NoThread /> : <ThreadPane key={conversation} conversation={conversation} box={box.box} />}
      {conversation !== null && layout === "desktop" && hasPanel && <CustomerPanel key={`panel ${conversation}`} conversation={conversation} />}
      {conversation !== null && layout === "tablet" && <CustomerDrawer conversation={conversation} open={box.panel} />}
    </div>
  )
}

/** What every component may use: state, texts, drafts, the shape of the screen. */

import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react"
import type { Member, MemberId } from "../client/port.ts"
import { type Route, formatRoute, parseRoute } from "../logic/route.ts"
import type { Drafts } from "../state/drafts.ts"
import type { Inbox } from "../state/inbox.ts"
import { Store, useStore } from "../state/store.ts"
import type { Speaker } from "../text/text.ts"

/** How much room there is: one pane, two, or all. */
export type Layout = "phone" | "tablet" | "desktop"

/** Below this width there is one pane, CSS pixels. The style sheets say the same. */
const PHONE_MAX = 639
/** Up to this width the customer panel is a drawer. */
const TABLET_MAX = 1100

/** See the module. */
export interface App {
  readonly inbox: Inbox
  readonly drafts: Drafts
  readonly speaker: Speaker
  readonly layout: Layout
}

/** Filled by `App`. */
export const AppContext = createContext<App | null>(null)

/** What every component may use. */
export function useApp(): App {
  const app = useContext(AppContext)
  if (app === null) throw new Error("used outside of the app")
  return app
}

/** The present language's texts. */
export function useSpeaker(): Speaker {
  return useApp().speaker
}

const phone = matchMedia(`(max-width: ${PHONE_MAX}px)`)
const narrow = matchMedia(`(max-width: ${TABLET_MAX}px)`)

/** The shape of the screen, as it changes. */
export function useLayout(): Layout {
  return useSyncExternalStore(
    (changed) => {
      phone.addEventListener("change", changed)
      narrow.addEventListener("change", changed)
      return () => {
        phone.removeEventListener("change", changed)
        narrow.removeEventListener("change", changed)
      }
    },
    () => (phone.matches ? "phone" : narrow.matches ? "tablet" : "desktop"),
  )
}

const place = new Store<Route>(parseRoute(location.hash))
addEventListener("hashchange", () => place.set(parseRoute(location.hash)))

/** Where in the inbox one is. */
export function useRoute(): Route {
  return useStore(place)
}

/** Goes somewhere. `replace`: without a way back. */
export function go(route: Route, replace = false): void {
  const hash = formatRoute(route)
  if (hash === location.hash) return
  if (replace) history.replaceState(null, "", hash)
  else history.pushState(null, "", hash)
  place.set(route)
}
addEventListener("popstate", () => place.set(parseRoute(location.hash)))

/** Members by staff number, and how to name one. */
export function useMembers(): { readonly members: readonly Member[]; readonly name: (id: MemberId) => string } {
  const { inbox, speaker } = useApp()
  const members = useStore(inbox.team)?.members ?? []
  return { members, name: (id) => members.find((member) => member.id === id)?.name ?? speaker.t("message.nobody") }
}

/** What this member's role permits. */
export function useRights(): { readonly canWrite: boolean; readonly canManage: boolean } {
  const role = useStore(useApp().inbox.team)?.role
  return { canWrite: role !== "auditor" && role !== "former", canManage: role === "owner" || role === "manager" }
}

/** Seconds until a time by `performance.now()`, counting down; 0 when it is over. */
export function useSecondsLeft(untilMs: number): number {
  const left = (): number => Math.max(0, Math.ceil((untilMs - performance.now()) / 1_000))
  const [seconds, setSeconds] = useState(left)
  useEffect(() => {
    setSeconds(left())
    const timer = setInterval(() => setSeconds(left()), 250)
    return () => clearInterval(timer)
  }, [untilMs])
  return seconds
}

/** True only after a while: what is fast shows no waiting. */
export function useDelayed(isWaiting: boolean, delayMs = 200): boolean {
  const [isLong, setLong] = useState(false)
  useEffect(() => {
    setLong(false)
    if (!isWaiting) return
    const timer = setTimeout(() => setLong(true), delayMs)
    return () => clearTimeout(timer)
  }, [isWaiting, delayMs])
  return isWaiting && isLong
}

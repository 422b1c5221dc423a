/** Notifications of the system, while the page is open behind something else. They name who wrote, never what. */

import { useEffect } from "react"
import type { Notice } from "../client/port.ts"
import { formatRoute } from "../logic/route.ts"
import { settings } from "../state/settings.ts"
import { go, useApp } from "./context.tsx"
import { parseRoute } from "../logic/route.ts"

/** See the module. */
export function Notifications() {
  const { inbox, speaker } = useApp()
  useEffect(() => {
    const told = (notice: Notice): void => {
      if (notice.type !== "Incoming" && notice.type !== "Collided") return
      if (!settings.get().notify || document.hasFocus() || !("Notification" in globalThis) || Notification.permission !== "granted") return
      const row = inbox.row(notice.conversation)
      if (row === undefined) return
      const { customer } = row.conversation
      const last = row.summary?.last
      // The body is the hub's to seal: a message that may be sensitive is announced without it, and so is every other.
      const title = notice.type === "Collided" ? speaker.t("notify.collided") : last?.sensitive === true ? speaker.t("notify.incoming") : speaker.t("notify.from", { name: customer })
      const hash = formatRoute({ type: "box", box: "all", conversation: notice.conversation, panel: false })
      void show(title, { tag: notice.conversation, icon: "/icons/icon-192.png", lang: speaker.language, dir: speaker.direction, data: { hash } }, hash)
    }
    return inbox.onNotice(told)
  }, [inbox, speaker])
  useEffect(() => {
    if (!("serviceWorker" in navigator)) return
    const asked = (event: MessageEvent<{ type?: string; hash?: string }>): void => {
      if (event.data?.type === "Show" && event.data.hash !== undefined) go(parseRoute(event.data.hash))
    }
    navigator.serviceWorker.addEventListener("message", asked)
    return () => navigator.serviceWorker.removeEventListener("message", asked)
  }, [])
  return null
}

/** By the service worker where there is one: phones allow no other way. */
async function show(title: string, options: NotificationOptions, hash: string): Promise<void> {
  const registration = await navigator.serviceWorker?.getRegistration()
  if (registration !== undefined) return registration.showNotification(title, options)
  const notification = new Notification(title, options)
  notification.onclick = () => {
    focus()
    go(parseRoute(hash))
  }
}

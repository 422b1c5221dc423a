/** Registers the service worker, and asks before a new version takes over. */

import { useEffect, useState } from "react"
import { useApp } from "./context.tsx"
import "./update.css"

/** How often a page that stays open looks for a new version, milliseconds. */
const LOOK_MS = 60 * 60_000

/** See the module. */
export function UpdatePrompt() {
  const { t } = useApp().speaker
  const [waiting, setWaiting] = useState<ServiceWorker | null>(null)
  useEffect(() => {
    if (!("serviceWorker" in navigator) || import.meta.env.DEV) return
    let timer: ReturnType<typeof setInterval> | undefined
    const watch = (registration: ServiceWorkerRegistration | undefined): void => {
      // Where workers are blocked, registering answers nothing.
      if (registration === undefined) return
      const check = (): void => {
        // The first worker takes its place by itself: it is no update.
        if (registration.waiting !== null && navigator.serviceWorker.controller !== null) setWaiting(registration.waiting)
      }
      check()
      registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", check))
      timer = setInterval(() => void registration.update().catch(() => undefined), LOOK_MS)
    }
    // Without a trusted certificate there is none: the inbox works, but not without the hub.
    navigator.serviceWorker.register("/service-worker.js").then(watch, () => undefined)
    return () => clearInterval(timer)
  }, [])
  if (waiting === null) return null
  const use = (): void => {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true })
    waiting.postMessage("take-over")
  }
  return (
    <div className="update" role="status">
      <span>{t("update.title")}</span>
      <button type="button" className="button small primary" onClick={use}>{t("update.reload")}</button>
    </div>
  )
}

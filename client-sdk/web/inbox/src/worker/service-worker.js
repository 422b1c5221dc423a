/**
 * The service worker: the inbox opens without the hub. It keeps the files of the page, never what the hub answers
 * otherwise; chats are in the device's own store. The build fills the two constants in.
 */

const VERSION = "VERSION"
const SHELL = ["SHELL"].flat()
const CACHE = `lockstep-shell-${VERSION}`

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)))
})

// A new version waits until the page says so: no file changes under a page that is open.
self.addEventListener("message", (event) => {
  if (event.data === "take-over") self.skipWaiting()
})

self.addEventListener("activate", (event) => {
  const isOld = (name) => name.startsWith("lockstep-shell-") && name !== CACHE
  const clear = async () => {
    const names = await caches.keys()
    await Promise.all(names.filter(isOld).map((name) => caches.delete(name)))
    await self.clients.claim()
  }
  event.waitUntil(clear())
})

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url)
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return
  const isPage = event.request.mode === "navigate" && url.pathname === "/"
  const isFile = /^\/(?:assets|icons)\//.test(url.pathname) || SHELL.includes(url.pathname)
  if (isPage) event.respondWith(answer(new Request("/"), false))
  else if (isFile) event.respondWith(answer(event.request, url.pathname.startsWith("/assets/")))
})

async function answer(request, keep) {
  const cache = await caches.open(CACHE)
  const held = await cache.match(request, { ignoreSearch: true })
  if (held !== undefined) return held
  const fresh = await fetch(request)
  if (keep && fresh.ok) await cache.put(request, fresh.clone())
  return fresh
}

// A notification brings its conversation to the front.
self.addEventListener("notificationclick", (event) => {
  event.notification.close()
  const target = event.notification.data?.hash ?? "#/all"
  const show = async () => {
    const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true })
    const page = pages[0]
    if (page === undefined) return self.clients.openWindow(`/${target}`)
    page.postMessage({ type: "Show", hash: target })
    return page.focus()
  }
  event.waitUntil(show())
})

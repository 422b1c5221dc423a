/**
 * The page's line to the device's host: a SharedWorker where there is one, so that all tabs talk to the same; else a
 * worker of this tab, of which one leads (see `worker.ts`).
 */

import { type Channel, Client } from "./client.ts"
import type { ToHost, ToPage } from "./messages.ts"

/** What a worker tells beside the host's messages. */
export type FromWorker = ToPage | { readonly type: "Again" }

/** Connects the page to the device `name` of this origin, which is made if there is none. */
export function connectClient(name = "device"): Client {
  return new Client(openChannel(name))
}

function openChannel(name: string): Channel {
  // Bundlers look for exactly these expressions.
  if (typeof SharedWorker !== "undefined") {
    const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module", name })
    worker.port.start()
    return overPort(worker.port, () => worker.port.close())
  }
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name })
  return overPort(worker, () => worker.terminate())
}

/** A channel over a port or a worker. The page's lock tells the host that it still lives. */
export function overPort(port: Pick<MessagePort, "postMessage" | "addEventListener">, close: () => void): Channel {
  const lock = holdLock()
  return {
    lock: lock?.name ?? null,
    // Not before the page holds its lock: whoever could have it would take the page for gone.
    post: (message: ToHost) => void (lock?.held ?? Promise.resolve()).then(() => port.postMessage(message)),
    listen(message, again) {
      port.addEventListener("message", (event) => {
        const told = (event as MessageEvent<FromWorker>).data
        if (told.type === "Again") again()
        else message(told)
      })
    },
    close() {
      void (lock?.held ?? Promise.resolve()).then(() => {
        lock?.release()
        close()
      })
    },
  }
}

/** A lock of a name of its own, which its holder gives back when it is done, and the browser when the page is gone. */
function holdLock(): { name: string; held: Promise<void>; release: () => void } | null {
  if (typeof navigator === "undefined" || navigator.locks === undefined) return null
  const name = `lockstep page ${crypto.randomUUID()}`
  let release: () => void = () => {}
  const over = new Promise<void>((resolve) => (release = resolve))
  const held = new Promise<void>((granted) => {
    void navigator.locks.request(name, () => {
      granted()
      return over
    })
  })
  return { name, held, release: () => release() }
}

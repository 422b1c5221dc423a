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
    const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module", name: `lockstep ${name}` })
    worker.port.start()
    return overPort(worker.port, () => worker.port.close())
  }
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: `lockstep ${name}` })
  return overPort(worker, () => worker.terminate())
}

/** A channel over a port or a worker. The page's lock tells the host that it still lives. */
export function overPort(
  port: Pick<MessagePort, "postMessage" | "addEventListener">,
  close: () => void,
): Channel {
  const lock = holdLock()
  return {
    lock: lock?.name ?? null,
    post: (message: ToHost) => port.postMessage(message),
    listen(message, again) {
      port.addEventListener("message", (event) => {
        const told = (event as MessageEvent<FromWorker>).data
        if (told.type === "Again") again()
        else message(told)
      })
    },
    close() {
      lock?.release()
      close()
    },
  }
}

function holdLock(): { name: string; release: () => void } | null {
  if (typeof navigator === "undefined" || navigator.locks === undefined) return null
  const name = `lockstep page ${crypto.randomUUID()}`
  let release: () => void = () => {}
  const held = new Promise<void>((resolve) => (release = resolve))
  void navigator.locks.request(name, () => held)
  return { name, release: () => release() }
}

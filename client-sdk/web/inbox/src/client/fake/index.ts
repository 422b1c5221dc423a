/** The demo device: everything that the port promises, in memory, with a team that is alive. */

import type { Connect } from "../port.ts"
import { FakeDevice } from "./fake-device.ts"
import { Life } from "./life.ts"

declare global {
  /** How tests and the curious steer the demo. */
  var lockstepDemo: { device: FakeDevice; life: Life } | undefined
}

/** Reads `?fake=calm,offline,fresh,agent,all,typing` from the address. */
export const connect: Connect = () => {
  const words = new Set((new URLSearchParams(location.search).get("fake") ?? "").split(","))
  const device = new FakeDevice(Date.now(), words)
  const life = new Life(device)
  if (!words.has("calm")) life.start()
  globalThis.lockstepDemo = { device, life }
  return Promise.resolve(device)
}

/** The demo's team, its devices and policy. */

import type { DeviceId, ListedDevice, Member, Policy } from "../port.ts"

/** Whose device the demo is. */
export const ME = 1
/** The channel's service account. */
export const CHANNEL = 90

/** People of several scripts, and the channel. */
export const MEMBERS: readonly Member[] = [
  { id: 1, name: "Maya Fischer", role: "owner" },
  { id: 2, name: "สมชาย ใจดี", role: "agent" },
  { id: 3, name: "अनिता शर्मा", role: "agent" },
  { id: 4, name: "王丽", role: "manager" },
  { id: 5, name: "ليلى حداد", role: "agent" },
  { id: CHANNEL, name: "Demo channel", role: "service" },
]

/** The team's choices. */
export const POLICY: Policy = { collision: "hold", agentsSeeUnassigned: true, servicesLock: false, devicesMax: 5, keep: null }

/** The device of the demo itself. */
export const MY_DEVICE = "d0".repeat(16) as DeviceId

/** Devices as the hub lists them. */
export function listDevices(nowMs: number): ListedDevice[] {
  const row = (digit: string, member: number, name: string, minutes: number | null): ListedDevice => ({
    device: digit.repeat(32) as DeviceId,
    member,
    name,
    seenMs: minutes === null ? null : nowMs - minutes * 60_000,
  })
  return [
    { device: MY_DEVICE, member: ME, name: "Firefox on Linux", seenMs: nowMs },
    row("a", 1, "Pixel 9", 12),
    row("b", 2, "iPhone", 3),
    row("c", 3, "Edge on Windows", 60 * 26),
    row("e", 4, "iPad", 60 * 24 * 9),
    row("f", 5, "Galaxy Tab", null),
  ]
}

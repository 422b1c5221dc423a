/** Devices with when they were last seen; pairs another, revokes a lost one. */

import { Laptop, Plus, Smartphone } from "lucide-react"
import { useCallback, useEffect, useState } from "react"
import { useApp, useDelayed, useMembers } from "../app/context.tsx"
import { troubleOf } from "../app/outcome.ts"
import type { ListedDevice, MemberId } from "../client/port.ts"
import { Confirm } from "../parts/Confirm.tsx"
import { useStore } from "../state/store.ts"
import { PairDialog } from "./PairDialog.tsx"
import { Screen } from "./Screen.tsx"

/** Heard of within this, it counts as online, milliseconds. */
const ONLINE_MS = 90_000

/** See the module. */
export function Devices() {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const [devices, setDevices] = useState<readonly ListedDevice[] | null>(null)
  const [trouble, setTrouble] = useState<string | null>(null)
  const [pairing, setPairing] = useState<MemberId | null>(null)
  const online = useStore(inbox.status, (status) => status.online)
  const { members } = useMembers()
  const load = useCallback(async () => {
    const answer = await inbox.port.devices()
    if (answer.type === "Answered") setDevices(answer.value)
    setTrouble(answer.type === "Offline" ? t("devices.offline") : troubleOf(answer, speaker))
  }, [inbox, speaker, t])
  useEffect(() => void load(), [load, online])
  const isLoading = useDelayed(devices === null && trouble === null)
  const owners = members.filter(({ id }) => devices?.some(({ member }) => member === id) === true)
  const me = inbox.me()
  owners.sort((one, other) => Number(other.id === me) - Number(one.id === me))
  return (
    <Screen
      title={t("nav.devices")}
      intro={t("devices.intro")}
      isBehindMe
      act={
        <button type="button" className="button primary" onClick={() => setPairing(me)}>
          <Plus size={18} /> {t("devices.pair")}
        </button>
      }
    >
      {trouble !== null && (
        <div className="card card-row">
          <p className="grow">{trouble}</p>
          <button type="button" className="button small" onClick={() => void load()}>{t("devices.retry")}</button>
        </div>
      )}
      {isLoading && <div className="card card-row" role="status">{t("devices.loading")}</div>}
      {owners.map(({ id, name }) => (
        <section key={id} className="card" aria-label={name}>
          <h2><bdi>{name}</bdi></h2>
          {devices?.filter(({ member }) => member === id).map((device) => (
            <DeviceRow key={device.device} device={device} onRevoked={load} />
          ))}
        </section>
      ))}
      <PairDialog member={pairing} onClose={() => { setPairing(null); void load() }} />
    </Screen>
  )
}

function DeviceRow({ device, onRevoked }: { readonly device: ListedDevice; readonly onRevoked: () => Promise<void> }) {
  const { inbox, drafts, speaker } = useApp()
  const { t } = speaker
  const isThis = useStore(inbox.status, (status) => status.device) === device.device
  const nowMs = Date.now()
  const { seenMs } = device
  const seen = seenMs === null ? t("devices.never") : nowMs - seenMs < ONLINE_MS ? t("devices.now") : t("devices.seen", { when: speaker.ago(seenMs, nowMs) })
  const revoke = async (): Promise<string | null> => {
    const trouble = troubleOf(await inbox.port.command({ type: "DeviceRevoke", device: device.device }), speaker)
    if (trouble === null && isThis) drafts.clear()
    if (trouble === null) await onRevoked()
    return trouble
  }
  return (
    <div className="card-row">
      {/phone|pixel|galaxy|android|ipad|tab/i.test(device.name) ? <Smartphone size={22} aria-hidden="true" /> : <Laptop size={22} aria-hidden="true" />}
      <div className="grow">
        <div className="ellipsis"><bdi>{device.name}</bdi>{isThis && <span className="badge">{t("devices.this")}</span>}</div>
        <div className="hint">{seen}</div>
      </div>
      <Confirm
        trigger={<button type="button" className="button small danger" aria-label={t("devices.revokeOf", { name: device.name })}>{t("devices.revoke")}</button>}
        title={t("devices.revokeTitle", { name: device.name })}
        text={t(isThis ? "devices.revokeThisText" : "devices.revokeText")}
        act={t("devices.revoke")}
        onAct={revoke}
      />
    </div>
  )
}

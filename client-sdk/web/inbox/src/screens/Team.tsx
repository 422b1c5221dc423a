/** Members and their roles; whoever manages adds, changes, removes and pairs. */

import { Menu } from "@base-ui/react/menu"
import { Dialog } from "@base-ui/react/dialog"
import { Ellipsis, Plus } from "lucide-react"
import { type FormEvent, useState } from "react"
import { useApp, useMembers, useRights } from "../app/context.tsx"
import { troubleOf } from "../app/outcome.ts"
import type { Command, Member, MemberId, Role } from "../client/port.ts"
import { Avatar } from "../parts/Avatar.tsx"
import { Confirm } from "../parts/Confirm.tsx"
import { IconButton } from "../parts/IconButton.tsx"
import { Toggle } from "../parts/Toggle.tsx"
import { useStore } from "../state/store.ts"
import { PairDialog } from "./PairDialog.tsx"
import { Screen } from "./Screen.tsx"
import "./team.css"

const ROLES: readonly Role[] = ["owner", "manager", "agent", "auditor"]

/** See the module. */
export function Team() {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const { members } = useMembers()
  const policy = useStore(inbox.team)?.policy
  const { canManage } = useRights()
  const [pairing, setPairing] = useState<MemberId | null>(null)
  const [isAdding, setAdding] = useState(false)
  const [trouble, setTrouble] = useState<string | null>(null)
  const command = async (wanted: Command): Promise<string | null> => {
    const problem = troubleOf(await inbox.port.command(wanted), speaker)
    setTrouble(problem)
    return problem
  }
  const people = members.filter(({ role }) => role !== "service" && role !== "former")
  const services = members.filter(({ role }) => role === "service")
  const former = members.filter(({ role }) => role === "former")
  return (
    <Screen
      title={t("team.title")}
      intro={t("team.intro")}
      isBehindMe
      act={canManage && (
        <button type="button" className="button primary" onClick={() => setAdding(true)}>
          <Plus size={18} /> {t("team.add")}
        </button>
      )}
    >
      {trouble !== null && <p className="trouble team-trouble" role="alert">{trouble}</p>}
      <section className="card" aria-label={t("team.title")}>
        {people.map((member) => (
          <MemberRow key={member.id} member={member} canManage={canManage} onCommand={command} onPair={setPairing} />
        ))}
      </section>
      {services.length > 0 && (
        <section className="card" aria-label={t("team.services")}>
          <h2>{t("team.services")}</h2>
          {services.map((member) => <MemberRow key={member.id} member={member} canManage={false} onCommand={command} onPair={setPairing} />)}
        </section>
      )}
      {canManage && policy !== undefined && (
        <section className="card" aria-label={t("team.policy")}>
          <h2>{t("team.policy")}</h2>
          <Toggle
            label={t("team.hold")}
            hint={t("team.holdHint")}
            checked={policy.collision === "hold"}
            onChange={(on) => void command({ type: "PolicySet", policy: { ...policy, collision: on ? "hold" : "flag" } })}
          />
          <Toggle
            label={t("team.unassigned")}
            checked={policy.agentsSeeUnassigned}
            onChange={(on) => void command({ type: "PolicySet", policy: { ...policy, agentsSeeUnassigned: on } })}
          />
        </section>
      )}
      {former.length > 0 && (
        <section className="card" aria-label={t("team.former")}>
          <h2>{t("team.former")}</h2>
          {former.map((member) => <MemberRow key={member.id} member={member} canManage={false} onCommand={command} onPair={setPairing} />)}
        </section>
      )}
      <PairDialog member={pairing} onClose={() => setPairing(null)} />
      <AddDialog open={isAdding} members={members} onClose={() => setAdding(false)} onCommand={command} onAdded={setPairing} />
    </Screen>
  )
}

function MemberRow({ member, canManage, onCommand, onPair }: {
  readonly member: Member
  readonly canManage: boolean
  readonly onCommand: (command: Command) => Promise<string | null>
  readonly onPair: (member: MemberId) => void
}) {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const { id, name, role } = member
  const [isRemoving, setRemoving] = useState(false)
  const isMe = id === inbox.me()
  return (
    <div className="card-row">
      <Avatar name={name} team />
      <div className="grow">
        <div className="ellipsis"><bdi>{name}</bdi>{isMe && <span className="badge">{t("team.you")}</span>}</div>
        <div className="hint">{t("message.staff", { number: id })}</div>
      </div>
      {canManage ? (
        <select
          className="field role-select"
          aria-label={t("team.roleOf", { name })}
          value={role}
          onChange={(event) => void onCommand({ type: "MemberRole", member: id, role: event.target.value as Role })}
        >
          {ROLES.map((one) => <option key={one} value={one}>{t(`role.${one}`)}</option>)}
        </select>
      ) : (
        <span className="hint">{t(`role.${role}`)}</span>
      )}
      {canManage && (
        <Menu.Root>
          <Menu.Trigger render={<IconButton label={t("team.actions", { name })} />}>
            <Ellipsis size={20} />
          </Menu.Trigger>
          <Menu.Portal>
            <Menu.Positioner sideOffset={4} align="end">
              <Menu.Popup className="menu">
                <Menu.Item className="menu-item" onClick={() => onPair(id)}>{t("team.pair")}</Menu.Item>
                <Menu.Item className="menu-item bad" onClick={() => setRemoving(true)}>{t("team.remove")}</Menu.Item>
              </Menu.Popup>
            </Menu.Positioner>
          </Menu.Portal>
        </Menu.Root>
      )}
      <Confirm
        open={isRemoving}
        onOpenChange={setRemoving}
        title={t("team.removeTitle", { name })}
        text={t("team.removeText", { name })}
        act={t("team.remove")}
        onAct={() => onCommand({ type: "MemberRemove", member: id })}
      />
    </div>
  )
}

function AddDialog({ open, members, onClose, onCommand, onAdded }: {
  readonly open: boolean
  readonly members: readonly Member[]
  readonly onClose: () => void
  readonly onCommand: (command: Command) => Promise<string | null>
  readonly onAdded: (member: MemberId) => void
}) {
  const { t } = useApp().speaker
  const [trouble, setTrouble] = useState<string | null>(null)
  const free = Math.max(0, ...members.filter(({ role }) => role !== "service").map(({ id }) => id)) + 1
  const add = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault()
    const data = new FormData(event.currentTarget)
    const id = Number(data.get("id"))
    const member = { id, name: String(data.get("name")).trim(), role: String(data.get("role")) as Role }
    const problem = await onCommand({ type: "MemberAdd", member })
    setTrouble(problem)
    if (problem !== null) return
    onClose()
    onAdded(id)
  }
  return (
    <Dialog.Root open={open} onOpenChange={(isOpen) => { setTrouble(null); if (!isOpen) onClose() }}>
      <Dialog.Portal>
        <Dialog.Backdrop className="veil" />
        <Dialog.Popup className="dialog">
          <div className="dialog-head"><Dialog.Title>{t("team.add")}</Dialog.Title></div>
          <form onSubmit={(event) => void add(event)}>
            <div className="form-row">
              <label className="label" htmlFor="add-name">{t("team.name")}</label>
              <input id="add-name" className="field" name="name" dir="auto" required maxLength={60} autoComplete="off" />
            </div>
            <div className="form-row">
              <label className="label" htmlFor="add-id">{t("team.number")}</label>
              <input id="add-id" className="field" name="id" type="number" min={1} max={4_294_967_295} required defaultValue={free} />
            </div>
            <div className="form-row">
              <label className="label" htmlFor="add-role">{t("team.role")}</label>
              <select id="add-role" className="field" name="role" defaultValue="agent">
                {ROLES.map((one) => <option key={one} value={one}>{t(`role.${one}`)}</option>)}
              </select>
            </div>
            {trouble !== null && <p className="trouble" role="alert">{trouble}</p>}
            <div className="dialog-acts">
              <Dialog.Close render={<button type="button" className="button" />}>{t("team.cancel")}</Dialog.Close>
              <button type="submit" className="button primary">{t("team.add")}</button>
            </div>
          </form>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

/** What the team knows of a customer: who handles them, details, labels, who has read. */

import { Pencil, Plus, X } from "lucide-react"
import { type FormEvent, useState } from "react"
import type { ConversationId } from "../client/port.ts"
import { useApp, useMembers, useRights } from "../app/context.tsx"
import { troubleOf } from "../app/outcome.ts"
import { CLOSED_LABEL } from "../logic/filter.ts"
import { AssignMenu, useAssign } from "../parts/AssignMenu.tsx"
import { Avatar } from "../parts/Avatar.tsx"
import { IconButton } from "../parts/IconButton.tsx"
import { useStore } from "../state/store.ts"
import english from "../text/en.json"
import type { Speaker, TextKey } from "../text/text.ts"
import "./customer.css"

/** See the module. */
export function CustomerPanel({ conversation, onClose }: { readonly conversation: ConversationId; readonly onClose?: () => void }) {
  const { inbox, speaker, layout } = useApp()
  const { t } = speaker
  const [thread] = useState(() => inbox.thread(conversation))
  const { fields, labels, markers, messages } = useStore(thread.state)
  useStore(inbox.rows)
  const row = inbox.row(conversation)
  const { name, members } = useMembers()
  const { canWrite, canManage } = useRights()
  const assign = useAssign()
  const [trouble, setTrouble] = useState<string | null>(null)
  const assigned = row?.conversation.assigned ?? []
  const customer = row?.conversation.customer ?? ""
  const last = messages?.findLast(({ lsn }) => lsn !== null)?.id ?? ""
  const readers = markers.filter(({ member, message }) => message >= last && member !== inbox.me() && members.some(({ id, role }) => id === member && role !== "service"))
  return (
    <aside className="customer" aria-label={t("customer.title")}>
      {/* On a phone the panel is the whole page. */}
      {layout === "phone" && <h1 className="sr-only">{t("customer.title")}</h1>}
      <header className="customer-head">
        <Avatar name={customer} />
        <h2 className="ellipsis"><bdi>{customer}</bdi></h2>
        {onClose !== undefined && (
          <IconButton label={t("customer.close")} onClick={onClose}>
            <X size={20} />
          </IconButton>
        )}
      </header>
      {trouble !== null && <p className="trouble" role="alert">{trouble}</p>}
      <section>
        <h3>{t("customer.assigned")}</h3>
        {assigned.length === 0 && <p className="hint">{t("customer.nobody")}</p>}
        <ul className="people">
          {assigned.map((member) => (
            <li key={member}>
              <Avatar name={name(member)} team size="small" />
              <bdi className="grow ellipsis">{name(member)}</bdi>
              {(canManage || member === inbox.me()) && canWrite && (
                <IconButton className="small" label={t("customer.unassign", { name: name(member) })} onClick={() => void assign(conversation, member, false).then(setTrouble)}>
                  <X size={16} />
                </IconButton>
              )}
            </li>
          ))}
        </ul>
        <div className="customer-acts">
          {canWrite && !assigned.includes(inbox.me()) && (
            <button type="button" className="button small" onClick={() => void assign(conversation, inbox.me(), true).then(setTrouble)}>
              {t("customer.take")}
            </button>
          )}
          {canManage && (
            <AssignMenu conversation={conversation} assigned={assigned} trigger={<button type="button" className="button small">{t("customer.assign")}</button>} />
          )}
        </div>
      </section>
      <Fields conversation={conversation} fields={fields} canWrite={canWrite} onTrouble={setTrouble} />
      <Labels conversation={conversation} labels={labels} canWrite={canWrite} />
      {readers.length > 0 && (
        <section>
          <h3>{t("customer.readBy")}</h3>
          <ul className="people">
            {readers.map(({ member }) => (
              <li key={member}>
                <Avatar name={name(member)} team size="small" />
                <bdi className="grow ellipsis">{name(member)}</bdi>
              </li>
            ))}
          </ul>
        </section>
      )}
    </aside>
  )
}

function Fields({ conversation, fields, canWrite, onTrouble }: {
  readonly conversation: ConversationId
  readonly fields: readonly (readonly [string, string])[]
  readonly canWrite: boolean
  readonly onTrouble: (trouble: string | null) => void
}) {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const [editing, setEditing] = useState<string | null>(null)
  const shown = fields.filter(([, value]) => value !== "")
  const save = async (name: string, value: string): Promise<void> => {
    onTrouble(troubleOf(await inbox.port.setField(conversation, name, value), speaker))
    setEditing(null)
  }
  return (
    <section>
      <h3>{t("customer.fields")}</h3>
      {shown.length === 0 && editing === null && <p className="hint">{t("customer.noFields")}</p>}
      <dl className="fields">
        {shown.map(([name, value]) =>
          editing === name ? (
            <FieldForm key={name} name={name} value={value} onSave={save} onCancel={() => setEditing(null)} />
          ) : (
            <div key={name} className="field-row">
              <dt>{fieldName(name, speaker)}</dt>
              <dd><bdi>{value}</bdi></dd>
              {canWrite && (
                <dd className="field-edit">
                  <IconButton className="small" label={t("customer.edit", { name: fieldName(name, speaker) })} onClick={() => setEditing(name)}>
                    <Pencil size={15} />
                  </IconButton>
                </dd>
              )}
            </div>
          ),
        )}
        {editing === "" && <FieldForm name="" value="" onSave={save} onCancel={() => setEditing(null)} />}
      </dl>
      {canWrite && editing === null && (
        <button type="button" className="button small quiet" onClick={() => setEditing("")}>
          <Plus size={16} /> {t("customer.addField")}
        </button>
      )}
    </section>
  )
}

function FieldForm({ name, value, onSave, onCancel }: {
  readonly name: string
  readonly value: string
  readonly onSave: (name: string, value: string) => Promise<void>
  readonly onCancel: () => void
}) {
  const { t } = useApp().speaker
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault()
    const data = new FormData(event.currentTarget)
    // The protocol's grammar of a name: a small letter, then small letters, digits, underscores.
    const typed = name === "" ? String(data.get("name")).trim().toLowerCase().replace(/[^a-z0-9_]+/g, "_").replace(/^[^a-z]+/, "") : name
    if (typed !== "") void onSave(typed, String(data.get("value")).trim())
  }
  return (
    <form className="field-form" onSubmit={submit} onKeyDown={(event) => event.key === "Escape" && onCancel()}>
      {name === "" && <input className="field" name="name" autoFocus required pattern="[A-Za-z][A-Za-z0-9_ ]*" aria-label={t("customer.fieldName")} placeholder={t("customer.fieldName")} />}
      <input className="field" name="value" dir="auto" autoFocus={name !== ""} defaultValue={value} aria-label={t("customer.fieldValue")} placeholder={t("customer.fieldValue")} />
      <div className="customer-acts">
        <button type="submit" className="button small primary">{t("customer.save")}</button>
        <button type="button" className="button small" onClick={onCancel}>{t("composer.cancel")}</button>
      </div>
    </form>
  )
}

function Labels({ conversation, labels, canWrite }: { readonly conversation: ConversationId; readonly labels: readonly string[]; readonly canWrite: boolean }) {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const shown = labels.filter((label) => label !== CLOSED_LABEL)
  const add = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault()
    const form = event.currentTarget
    const label = String(new FormData(form).get("label")).trim().replaceAll("/", "-")
    if (label !== "") void inbox.port.setLabel(conversation, label, true)
    form.reset()
  }
  return (
    <section>
      <h3>{t("customer.labels")}</h3>
      {shown.length > 0 && (
        <ul className="labels">
          {shown.map((label) => (
            <li key={label}>
              <bdi>{label}</bdi>
              {canWrite && (
                <button type="button" aria-label={t("customer.removeLabel", { name: label })} onClick={() => void inbox.port.setLabel(conversation, label, false)}>
                  <X size={14} />
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      {canWrite && (
        <form onSubmit={add}>
          <input className="field" name="label" dir="auto" maxLength={40} aria-label={t("customer.addLabel")} placeholder={t("customer.addLabel")} />
        </form>
      )}
    </section>
  )
}

/** A detail's name in the present language, where it is a usual one. */
function fieldName(name: string, { t }: Speaker): string {
  const key = `field.${name}`
  return key in english ? t(key as TextKey) : name.replaceAll("_", " ")
}

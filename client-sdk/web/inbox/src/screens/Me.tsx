/** One's own choices: language, look, writing, notifications; on a phone the way to team and devices. */

import { ChevronRight, CircleHelp, MonitorSmartphone, Plus, ShieldCheck, Trash2, Users } from "lucide-react"
import { useState } from "react"
import { showKeys } from "../app/Keyboard.tsx"
import { go, useApp, useMembers } from "../app/context.tsx"
import { quickReplies } from "../composer/Suggestions.tsx"
import { Avatar } from "../parts/Avatar.tsx"
import { IconButton } from "../parts/IconButton.tsx"
import { Toggle } from "../parts/Toggle.tsx"
import { type QuickReply, type Settings, choose, settings } from "../state/settings.ts"
import { useStore } from "../state/store.ts"
import { LANGUAGES, LANGUAGE_NAMES, type Language } from "../text/text.ts"
import { Screen } from "./Screen.tsx"
import "./me.css"

/** See the module. */
export function Me() {
  const { inbox, speaker, layout } = useApp()
  const { t } = speaker
  const chosen = useStore(settings)
  const { name } = useMembers()
  const me = useStore(inbox.status, (status) => status.member)
  const role = useStore(inbox.team)?.role
  return (
    <Screen title={t(layout === "phone" ? "me.title" : "nav.settings")}>
      {me !== null && (
        <section className="card">
          <div className="card-row">
            <Avatar name={name(me)} team />
            <div className="grow">
              <bdi>{name(me)}</bdi>
              {role !== undefined && <div className="hint">{t("me.signedIn", { role: t(`role.${role}`), number: me })}</div>}
            </div>
          </div>
          {layout === "phone" && (
            <>
              <a className="card-row card-link" href="#/team" onClick={(event) => { event.preventDefault(); go({ type: "team" }) }}>
                <Users size={22} /><span className="grow">{t("nav.team")}</span><ChevronRight size={18} className="flips" />
              </a>
              <a className="card-row card-link" href="#/devices" onClick={(event) => { event.preventDefault(); go({ type: "devices" }) }}>
                <MonitorSmartphone size={22} /><span className="grow">{t("nav.devices")}</span><ChevronRight size={18} className="flips" />
              </a>
            </>
          )}
        </section>
      )}
      <section className="card" aria-label={t("me.look")}>
        <div className="card-row">
          <label className="grow" htmlFor="me-language">{t("me.language")}</label>
          <select id="me-language" className="field role-select" value={chosen.language ?? ""} onChange={(event) => choose({ language: event.target.value === "" ? null : (event.target.value as Language) })}>
            <option value="">{t("me.languageSystem")}</option>
            {LANGUAGES.map((one) => <option key={one} value={one} lang={one}>{LANGUAGE_NAMES[one]}</option>)}
          </select>
        </div>
        <div className="card-row">
          <label className="grow" htmlFor="me-theme">{t("me.theme")}</label>
          <select id="me-theme" className="field role-select" value={chosen.theme} onChange={(event) => choose({ theme: event.target.value as Settings["theme"] })}>
            <option value="system">{t("me.themeSystem")}</option>
            <option value="light">{t("me.themeLight")}</option>
            <option value="dark">{t("me.themeDark")}</option>
          </select>
        </div>
      </section>
      <section className="card" aria-label={t("me.writing")}>
        <Toggle label={t("me.enter")} hint={t("me.enterHint")} checked={chosen.enterSends} onChange={(enterSends) => choose({ enterSends })} />
        <NotifyRow />
      </section>
      <QuickReplies />
      <section className="card" aria-label={t("me.helpSection")}>
        <button type="button" className="card-row card-link" onClick={() => showKeys.set(true)}>
          <CircleHelp size={22} /><span className="grow">{t("me.keys")}</span>
        </button>
        <a className="card-row card-link" href="/trust">
          <ShieldCheck size={22} /><span className="grow">{t("me.trust")}</span>
        </a>
      </section>
    </Screen>
  )
}

function NotifyRow() {
  const { t } = useApp().speaker
  const chosen = useStore(settings)
  const [isDenied, setDenied] = useState("Notification" in globalThis && Notification.permission === "denied")
  const change = async (on: boolean): Promise<void> => {
    if (!on) return choose({ notify: false })
    if (!("Notification" in globalThis)) return setDenied(true)
    const permission = await Notification.requestPermission()
    setDenied(permission === "denied")
    choose({ notify: permission === "granted" })
  }
  return <Toggle label={t("me.notify")} hint={t(isDenied ? "me.notifyDenied" : "me.notifyHint")} checked={chosen.notify && !isDenied} onChange={(on) => void change(on)} />
}

function QuickReplies() {
  const { speaker } = useApp()
  const { t } = speaker
  const kept = useStore(settings, (chosen) => chosen.quickReplies)
  const rows = quickReplies(kept, speaker)
  const change = (at: number, part: Partial<QuickReply>): void =>
    choose({ quickReplies: rows.map((row, index) => (index === at ? { ...row, ...part } : row)) })
  return (
    <section className="card" aria-label={t("me.quick")}>
      <h2>{t("me.quick")}</h2>
      <p className="quick-hint hint">{t("me.quickHint")}</p>
      {rows.map(({ name, text }, at) => (
        <div key={at} className="quick">
          <span className="quick-slash" aria-hidden="true">/</span>
          <input className="field quick-name" dir="auto" aria-label={t("me.quickName")} value={name} onChange={(event) => change(at, { name: event.target.value.replace(/\s/g, "-") })} />
          <textarea className="field" dir="auto" rows={2} aria-label={t("me.quickText")} value={text} onChange={(event) => change(at, { text: event.target.value })} />
          <IconButton label={t("me.quickRemove", { name })} onClick={() => choose({ quickReplies: rows.filter((_, index) => index !== at) })}>
            <Trash2 size={18} />
          </IconButton>
        </div>
      ))}
      <div className="quick-add">
        <button type="button" className="button small" onClick={() => choose({ quickReplies: [...rows, { name: "", text: "" }] })}>
          <Plus size={16} /> {t("me.quickAdd")}
        </button>
      </div>
    </section>
  )
}

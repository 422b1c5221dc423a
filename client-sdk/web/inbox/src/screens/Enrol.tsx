/** First use: this browser becomes one of a member's devices. */

import { ScanLine } from "lucide-react"
import { type FormEvent, useCallback, useEffect, useState } from "react"
import { go, useApp, useDelayed, useRoute } from "../app/context.tsx"
import { refusalText, troubleOf } from "../app/outcome.ts"
import { deviceName } from "../logic/device-name.ts"
import { readPairing } from "../logic/pairing.ts"
import { START } from "../logic/route.ts"
import { LANGUAGES, LANGUAGE_NAMES, type Language } from "../text/text.ts"
import { choose } from "../state/settings.ts"
import { useStore } from "../state/store.ts"
import { Scanner } from "./Scanner.tsx"
import "./enrol.css"

/** After this without an answer the form is given back, milliseconds. */
const SLOW_MS = 8_000

/** See the module. */
export function Enrol() {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const route = useRoute()
  const { phase, stopped } = useStore(inbox.status)
  const [text, setText] = useState("")
  const [name, setName] = useState(() => deviceName(navigator.userAgent))
  const [isScanning, setScanning] = useState(false)
  const [trouble, setTrouble] = useState<string | null>(null)
  const [elsewhere, setElsewhere] = useState<string | null>(null)
  const isWorking = phase === "enrolling"

  // Who followed a link finds the code filled in; the address bar keeps no copy of it.
  useEffect(() => {
    if (route.type !== "pair") return
    setText(`https://${location.host}/#/pair/${route.pinned}/${route.code}`)
    go(START, true)
  }, [route])

  const submit = async (typed: string): Promise<void> => {
    setElsewhere(null)
    const read = readPairing(typed, location)
    if (read.type === "Unreadable") return setTrouble(t("enrol.unreadable"))
    if (read.type === "Elsewhere") {
      setTrouble(t("enrol.elsewhere"))
      return setElsewhere(read.url)
    }
    setTrouble(null)
    const outcome = await inbox.port.enrol(read.pairing, name.trim() || deviceName(navigator.userAgent))
    const isLinkNeeded = outcome.type === "Rejected" && outcome.code === "FieldInvalid"
    setTrouble(isLinkNeeded ? t("enrol.needLink") : troubleOf(outcome, speaker))
  }
  const scanned = useCallback((found: string): boolean => {
    if (readPairing(found, location).type === "Unreadable") return false
    setText(found)
    setScanning(false)
    return true
  }, [])
  const refused = stopped === null ? null : refusalText(stopped, null, speaker)
  // A hub that cannot be reached does not answer: one may try again, or something else.
  const isSlow = useDelayed(isWorking, SLOW_MS)
  const shown = trouble ?? (isSlow ? t("outcome.offline") : isWorking ? null : refused)
  return (
    <main className="enrol">
      <div className="enrol-card">
        <img src="/icons/icon.svg" alt="" width="48" height="48" />
        <h1>{t("enrol.title")}</h1>
        <p className="screen-intro">{t("enrol.intro")}</p>
        {isScanning ? (
          <Scanner onText={scanned} onStop={() => setScanning(false)} />
        ) : (
          <>
            <button type="button" className="button enrol-scan" onClick={() => setScanning(true)}>
              <ScanLine size={20} aria-hidden="true" /> {t("enrol.scan")}
            </button>
            <p className="enrol-or"><span>{t("enrol.or")}</span></p>
          </>
        )}
        <form
          onSubmit={(event: FormEvent) => {
            event.preventDefault()
            void submit(text)
          }}
        >
          <div className="form-row">
            <label className="label" htmlFor="enrol-code">{t("enrol.code")}</label>
            <input
              id="enrol-code" className="field" dir="ltr" required autoCapitalize="none" autoComplete="off" spellCheck={false}
              aria-describedby="enrol-hint" aria-invalid={shown !== null} value={text} onChange={(event) => setText(event.target.value)}
            />
            <p id="enrol-hint" className="hint">{t("enrol.codeHint")}</p>
          </div>
          <div className="form-row">
            <label className="label" htmlFor="enrol-name">{t("enrol.name")}</label>
            <input id="enrol-name" className="field" dir="auto" maxLength={60} value={name} onChange={(event) => setName(event.target.value)} />
          </div>
          {shown !== null && (
            <p className="trouble" role="alert">
              {shown} {elsewhere !== null && <a href={elsewhere}>{t("enrol.goThere")}</a>}
            </p>
          )}
          <button type="submit" className="button primary enrol-submit" disabled={isWorking && !isSlow}>
            {t(isWorking ? "enrol.working" : "enrol.submit")}
          </button>
        </form>
      </div>
      <p className="enrol-trust">
        {t("enrol.trust")} <a href="/trust">{t("enrol.trustLink")}</a>
      </p>
      <select className="enrol-language" aria-label={t("me.language")} value={speaker.language} onChange={(event) => choose({ language: event.target.value as Language })}>
        {LANGUAGES.map((one) => (
          <option key={one} value={one} lang={one}>{LANGUAGE_NAMES[one]}</option>
        ))}
      </select>
    </main>
  )
}

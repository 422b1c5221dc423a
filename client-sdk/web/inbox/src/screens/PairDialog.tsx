/** A one-time code for another device: as a QR code, to be typed, to be copied. */

import { Dialog } from "@base-ui/react/dialog"
import { Copy, RefreshCw } from "lucide-react"
import { useCallback, useEffect, useState } from "react"
import { useApp, useMembers, useSecondsLeft } from "../app/context.tsx"
import { troubleOf } from "../app/outcome.ts"
import type { MemberId } from "../client/port.ts"
import { groupCode, toWeb } from "../logic/pairing.ts"
import { Qr } from "../parts/Qr.tsx"
import "./pair.css"

interface Made {
  readonly link: string
  readonly untilMs: number
}

/** See the module. */
export function PairDialog({ member, onClose }: { readonly member: MemberId | null; readonly onClose: () => void }) {
  const { t } = useApp().speaker
  const { name } = useMembers()
  return (
    <Dialog.Root open={member !== null} onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="veil" />
        <Dialog.Popup className="dialog pair">
          <div className="dialog-head">
            <Dialog.Title>{member === null ? "" : t("pair.title", { name: name(member) })}</Dialog.Title>
          </div>
          {member !== null && <Code member={member} />}
          <div className="dialog-acts">
            <Dialog.Close render={<button type="button" className="button" />}>{t("pair.done")}</Dialog.Close>
          </div>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

function Code({ member }: { readonly member: MemberId }) {
  const { inbox, speaker } = useApp()
  const { t } = speaker
  const [made, setMade] = useState<Made | null>(null)
  const [trouble, setTrouble] = useState<string | null>(null)
  const make = useCallback(async () => {
    setMade(null)
    const answer = await inbox.port.invite(member)
    setTrouble(troubleOf(answer, speaker))
    if (answer.type === "Answered") setMade({ link: answer.value.link, untilMs: performance.now() + answer.value.forMs })
  }, [inbox, member, speaker])
  useEffect(() => void make(), [make])
  if (trouble !== null) {
    return (
      <>
        <p className="trouble" role="alert">{trouble}</p>
        <button type="button" className="button" onClick={() => void make()}>{t("devices.retry")}</button>
      </>
    )
  }
  if (made === null) return <div className="pair-space" role="status" aria-label={t("pair.making")} />
  return <Shown made={made} onAgain={() => void make()} />
}

function Shown({ made, onAgain }: { readonly made: Made; readonly onAgain: () => void }) {
  const { t, language } = useApp().speaker
  const seconds = useSecondsLeft(made.untilMs)
  const [isCopied, setCopied] = useState(false)
  const web = toWeb(made.link) ?? made.link
  const code = made.link.split("/").at(-1) ?? ""
  const time = new Intl.DateTimeFormat(language, { minute: "numeric", second: "2-digit", timeZone: "UTC" }).format(seconds * 1_000)
  if (seconds === 0) {
    return (
      <>
        <p>{t("pair.expired")}</p>
        <button type="button" className="button primary" onClick={onAgain}><RefreshCw size={18} />{t("pair.again")}</button>
      </>
    )
  }
  return (
    <>
      <p>{t("pair.scan")}</p>
      <Qr text={web} label={t("pair.qr")} />
      <p className="pair-type">{t("pair.type")}</p>
      <code className="pair-code" dir="ltr">{groupCode(code)}</code>
      <div className="pair-foot">
        <span className="hint">{t("pair.left", { time })}</span>
        <button type="button" className="button small" onClick={() => void navigator.clipboard.writeText(web).then(() => setCopied(true))}>
          <Copy size={16} /> {t(isCopied ? "pair.copied" : "pair.copy")}
        </button>
      </div>
    </>
  )
}

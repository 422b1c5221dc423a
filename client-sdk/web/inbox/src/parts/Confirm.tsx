/** Asks before something that cannot be taken back. */

import { AlertDialog } from "@base-ui/react/alert-dialog"
import { type ReactElement, useState } from "react"
import { useApp } from "../app/context.tsx"

interface Props {
  readonly title: string
  readonly text: string
  readonly act: string
  /** Answers what went wrong, if anything did. */
  readonly onAct: () => Promise<string | null | void>
  readonly trigger?: ReactElement
  readonly open?: boolean
  readonly onOpenChange?: (open: boolean) => void
}

/** See the module. */
export function Confirm({ title, text, act, onAct, trigger, open, onOpenChange }: Props) {
  const { t } = useApp().speaker
  const [isOpenHere, setOpenHere] = useState(false)
  const [trouble, setTrouble] = useState<string | null>(null)
  const isOpen = open ?? isOpenHere
  const setOpen = onOpenChange ?? setOpenHere
  const run = async (): Promise<void> => {
    const problem = (await onAct()) ?? null
    setTrouble(problem)
    if (problem === null) setOpen(false)
  }
  return (
    <AlertDialog.Root open={isOpen} onOpenChange={(next) => { setTrouble(null); setOpen(next) }}>
      {trigger !== undefined && <AlertDialog.Trigger render={trigger} />}
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="veil" />
        <AlertDialog.Popup className="dialog">
          <div className="dialog-head">
            <AlertDialog.Title>{title}</AlertDialog.Title>
          </div>
          <AlertDialog.Description>{text}</AlertDialog.Description>
          {trouble !== null && <div className="trouble" role="alert">{trouble}</div>}
          <div className="dialog-acts">
            <AlertDialog.Close render={<button type="button" className="button" />}>{t("team.cancel")}</AlertDialog.Close>
            <button type="button" className="button danger" onClick={() => void run()}>{act}</button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}

/** Keys of the whole inbox, and the dialog that shows them. */

import { Dialog } from "@base-ui/react/dialog"
import { X } from "lucide-react"
import { useEffect } from "react"
import { KEYS, type Shortcut, shortcutOf } from "../logic/shortcuts.ts"
import "../parts/button.css"
import { settings } from "../state/settings.ts"
import { Store, useStore } from "../state/store.ts"
import type { TextKey } from "../text/text.ts"
import { useApp } from "./context.tsx"
import "./keyboard.css"

/** Whether the help is open. */
export const showKeys = new Store(false)

const handlers = new Map<Shortcut, Set<() => void>>()

/** Does something when a key asks for it, while the component is there. */
export function useShortcut(act: Shortcut, handler: () => void): void {
  useEffect(() => {
    const all = handlers.get(act) ?? new Set()
    handlers.set(act, all.add(handler))
    return () => void all.delete(handler)
  }, [act, handler])
}

/** Does what a key would do; whether anything took it. */
export function runShortcut(act: Shortcut): boolean {
  const all = handlers.get(act)
  if (all === undefined || all.size === 0) return false
  for (const handler of all) handler()
  return true
}

const TEXTS: Readonly<Record<Shortcut, TextKey>> = {
  next: "keys.next", previous: "keys.previous", reply: "keys.reply", note: "keys.note", close: "keys.closeConversation",
  search: "keys.search", find: "keys.find", assign: "keys.assign", help: "keys.help",
}

/** See the module. */
export function Keyboard() {
  const { t } = useApp().speaker
  const isOpen = useStore(showKeys)
  const { enterSends } = useStore(settings)

  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement
      const act = shortcutOf(event, target.matches("input, textarea, select, [contenteditable]"))
      if (act === null) return
      // A dialog has the keyboard to itself.
      if (document.querySelector("[role=dialog], [role=alertdialog]") !== null && act !== "help") return
      event.preventDefault()
      if (act === "help") showKeys.set(true)
      else runShortcut(act)
    }
    addEventListener("keydown", pressed)
    return () => removeEventListener("keydown", pressed)
  }, [])

  const rows: readonly (readonly [TextKey, readonly string[]])[] = [
    ...KEYS.map((row) => [TEXTS[row.act], row.shown] as const),
    ["keys.enter", enterSends ? ["Enter"] : ["Ctrl", "Enter"]],
    ["keys.break", enterSends ? ["Shift", "Enter"] : ["Enter"]],
    ["keys.quick", ["/"]],
    ["keys.mention", ["@"]],
    ["keys.arrows", ["↑", "↓"]],
    ["keys.menu", ["M"]],
  ]
  return (
    <Dialog.Root open={isOpen} onOpenChange={(open) => showKeys.set(open)}>
      <Dialog.Portal>
        <Dialog.Backdrop className="veil" />
        <Dialog.Popup className="dialog">
          <div className="dialog-head">
            <Dialog.Title>{t("keys.title")}</Dialog.Title>
            {/* No tooltip: Escape is for the dialog. */}
            <Dialog.Close className="icon-button" aria-label={t("keys.close")}>
              <X size={20} />
            </Dialog.Close>
          </div>
          <dl className="keys">
            {rows.map(([text, keys]) => (
              <div key={text}>
                <dt>{t(text)}</dt>
                <dd dir="ltr">
                  {keys.map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </dd>
              </div>
            ))}
          </dl>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

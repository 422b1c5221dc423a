/** The customer panel where there is no room for it beside the thread. */

import { Dialog } from "@base-ui/react/dialog"
import { useRef } from "react"
import type { ConversationId } from "../client/port.ts"
import { useApp } from "../app/context.tsx"
import { CustomerPanel } from "./CustomerPanel.tsx"

/** See the module. Back closes it: it has a place of its own. */
export function CustomerDrawer({ conversation, open }: { readonly conversation: ConversationId; readonly open: boolean }) {
  const { t } = useApp().speaker
  // The panel as a whole gets the keyboard: its first button is the one that closes it.
  const popup = useRef<HTMLDivElement>(null)
  return (
    <Dialog.Root open={open} onOpenChange={(isOpen) => !isOpen && open && history.back()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="veil" />
        <Dialog.Popup ref={popup} initialFocus={popup} className="drawer" aria-label={t("thread.panel")}>
          <CustomerPanel conversation={conversation} onClose={() => history.back()} />
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

/** The customer panel where there is no room for it beside the thread. */

import { Dialog } from "@base-ui/react/dialog"
import type { ConversationId } from "../client/port.ts"
import { useApp } from "../app/context.tsx"
import { CustomerPanel } from "./CustomerPanel.tsx"

/** See the module. Back closes it: it has a place of its own. */
export function CustomerDrawer({ conversation, open }: { readonly conversation: ConversationId; readonly open: boolean }) {
  const { t } = useApp().speaker
  return (
    <Dialog.Root open={open} onOpenChange={(isOpen) => !isOpen && open && history.back()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="veil" />
        <Dialog.Popup className="drawer" aria-label={t("thread.panel")}>
          <CustomerPanel conversation={conversation} onClose={() => history.back()} />
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  )
}

/** What can be done with a message. One menu for the whole thread. */

import { Menu } from "@base-ui/react/menu"
import { Copy, CornerUpLeft, PencilLine, Undo2 } from "lucide-react"
import type { ConversationId, MessageView } from "../client/port.ts"
import { useApp, useRights } from "../app/context.tsx"
import { beginEdit, beginReply } from "../composer/acts.ts"
import "../parts/menu.css"

/** Which message, and where its menu opens. */
export interface MenuTarget {
  readonly message: MessageView
  readonly anchor: HTMLElement
}

const EMOJIS = ["👍", "❤️", "😀", "🎉", "👀", "✅"]

/** See the module. */
export function MessageMenu({ target, conversation, onClose }: { readonly target: MenuTarget | null; readonly conversation: ConversationId; readonly onClose: () => void }) {
  const { inbox, drafts, speaker } = useApp()
  const { t } = speaker
  const { canWrite, canManage } = useRights()
  const message = target?.message
  const isMine = message?.by === inbox.me()
  const isThere = message !== undefined && message.retracted === null
  const own = message?.reactions.find(([member]) => member === inbox.me())?.[1]
  return (
    <Menu.Root open={target !== null} onOpenChange={(open) => !open && onClose()}>
      <Menu.Portal>
        <Menu.Positioner anchor={target?.anchor ?? null} sideOffset={4} align="center" className="menu-place">
          <Menu.Popup className="menu" finalFocus={() => target?.anchor ?? null} aria-label={t("message.actions")}>
            {message !== undefined && isThere && canWrite && (
              <>
                <div className="menu-emojis" role="group" aria-label={t("message.react")}>
                  {EMOJIS.map((emoji) => (
                    <Menu.Item key={emoji} className="menu-item" label={emoji} onClick={() => void inbox.port.react(conversation, message.id, own === emoji ? "" : emoji)}>
                      {emoji}
                    </Menu.Item>
                  ))}
                </div>
                <div className="menu-line" role="separator" />
                {message.state.type !== "Held" && (
                  <Menu.Item className="menu-item" onClick={() => beginReply(drafts, conversation, message)}>
                    <CornerUpLeft size={18} className="flips" />
                    {t("message.reply")}
                  </Menu.Item>
                )}
              </>
            )}
            {message !== undefined && isThere && message.body !== "" && (
              <Menu.Item className="menu-item" onClick={() => void navigator.clipboard.writeText(message.body)}>
                <Copy size={18} />
                {t("message.copy")}
              </Menu.Item>
            )}
            {message !== undefined && isThere && isMine && canWrite && (
              <Menu.Item className="menu-item" onClick={() => beginEdit(drafts, conversation, message)}>
                <PencilLine size={18} />
                {t("message.edit")}
              </Menu.Item>
            )}
            {message !== undefined && isThere && canWrite && (isMine || canManage) && (
              <Menu.Item className="menu-item bad" onClick={() => void inbox.port.retract(conversation, message.id, "")}>
                <Undo2 size={18} />
                {t("message.retract")}
              </Menu.Item>
            )}
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  )
}

/** While a conversation is dragged: the members it can be dropped on. The menu in the customer panel does the same. */

import { useState } from "react"
import type { ConversationId, MemberId } from "../client/port.ts"
import { useApp, useMembers } from "../app/context.tsx"
import { assignable, useAssign } from "../parts/AssignMenu.tsx"
import { Avatar } from "../parts/Avatar.tsx"

/** See the module. */
export function DropStrip({ conversation, onDone }: { readonly conversation: ConversationId; readonly onDone: () => void }) {
  const { t } = useApp().speaker
  const { members } = useMembers()
  const assign = useAssign()
  const [over, setOver] = useState<MemberId | null>(null)
  return (
    <div className="drop-strip">
      <p>{t("list.dropTitle")}</p>
      <ul>
        {assignable(members).map(({ id, name }) => (
          <li
            key={id}
            className={over === id ? "over" : ""}
            onDragOver={(event) => {
              event.preventDefault()
              setOver(id)
            }}
            onDragLeave={() => setOver(null)}
            onDrop={(event) => {
              event.preventDefault()
              void assign(conversation, id, true)
              onDone()
            }}
          >
            <Avatar name={name} team size="small" />
            <bdi className="ellipsis">{name}</bdi>
          </li>
        ))}
      </ul>
    </div>
  )
}

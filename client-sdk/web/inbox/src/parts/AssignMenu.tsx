/** Who handles a conversation: a menu of the team, several may be ticked. */

import { Menu } from "@base-ui/react/menu"
import { Check } from "lucide-react"
import { type ReactElement, useState } from "react"
import type { ConversationId, Member, MemberId } from "../client/port.ts"
import { troubleOf } from "../app/outcome.ts"
import { useApp, useMembers } from "../app/context.tsx"
import { Avatar } from "./Avatar.tsx"
import "./menu.css"

/** Those to whom a conversation can be given. */
export function assignable(members: readonly Member[]): Member[] {
  return members.filter(({ role }) => role === "owner" || role === "manager" || role === "agent")
}

/** Gives a conversation to a member, or takes it off them; answers what went wrong. */
export function useAssign(): (conversation: ConversationId, member: MemberId, on: boolean) => Promise<string | null> {
  const { inbox, speaker } = useApp()
  return async (conversation, member, on) => {
    const type = on ? "Assign" : "Unassign"
    return troubleOf(await inbox.port.command({ type, conversation, member }), speaker)
  }
}

interface Props {
  readonly conversation: ConversationId
  readonly assigned: readonly MemberId[]
  readonly trigger: ReactElement
  readonly open?: boolean
  readonly onOpenChange?: (open: boolean) => void
}

/** See the module. */
export function AssignMenu({ conversation, assigned, trigger, open, onOpenChange }: Props) {
  const { inbox, speaker } = useApp()
  const { members } = useMembers()
  const assign = useAssign()
  const [trouble, setTrouble] = useState<string | null>(null)
  const me = inbox.me()
  const people = assignable(members).sort((one, other) => Number(other.id === me) - Number(one.id === me))
  return (
    <Menu.Root {...(open === undefined ? {} : { open })} {...(onOpenChange === undefined ? {} : { onOpenChange })}>
      <Menu.Trigger render={trigger} />
      <Menu.Portal>
        <Menu.Positioner sideOffset={4} align="start" className="menu-place">
          <Menu.Popup className="menu" aria-label={speaker.t("customer.assign")}>
            {trouble !== null && <p className="trouble" role="alert">{trouble}</p>}
            {people.map(({ id, name }) => (
              <Menu.CheckboxItem
                key={id}
                className="menu-item"
                checked={assigned.includes(id)}
                closeOnClick={false}
                onCheckedChange={(on) => void assign(conversation, id, on).then(setTrouble)}
              >
                <Avatar name={name} team size="small" />
                <bdi className="grow ellipsis">{name}</bdi>
                {id === me && <span className="hint">{speaker.t("team.you")}</span>}
                <Menu.CheckboxItemIndicator>
                  <Check size={18} />
                </Menu.CheckboxItemIndicator>
              </Menu.CheckboxItem>
            ))}
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  )
}

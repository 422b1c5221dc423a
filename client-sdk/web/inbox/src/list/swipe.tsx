/** A finger drawn across a row: from the start takes the conversation, from the end marks it read. */

import { CheckCheck, UserPlus } from "lucide-react"
import { type CSSProperties, type HTMLAttributes, type ReactNode, useRef, useState } from "react"
import type { ListRow } from "../client/port.ts"
import { useApp } from "../app/context.tsx"
import { useAssign } from "../parts/AssignMenu.tsx"

/** From here on letting go does it, CSS pixels. */
const PULL_PX_MIN = 88

/** What a row needs to be swiped. */
export interface Swipe {
  readonly area: HTMLAttributes<HTMLDivElement>
  readonly style: CSSProperties | undefined
  readonly under: ReactNode
}

/** See the module. Every act of it is a menu's or the thread's too. */
export function useSwipe(row: ListRow, isOn: boolean): Swipe {
  const { inbox, speaker } = useApp()
  const assign = useAssign()
  const [pull, setPull] = useState(0)
  const from = useRef<{ x: number; y: number } | null>(null)
  const sign = speaker.direction === "rtl" ? -1 : 1
  if (!isOn) return { area: {}, style: undefined, under: null }
  const { id } = row.conversation
  const end = (): void => {
    if (pull > PULL_PX_MIN) void assign(id, inbox.me(), true)
    const last = row.summary?.last
    if (pull < -PULL_PX_MIN && last != null) void inbox.port.markRead(id, last.id)
    from.current = null
    setPull(0)
  }
  const area: HTMLAttributes<HTMLDivElement> = {
    onTouchStart: ({ touches }) => {
      const touch = touches[0]
      if (touch !== undefined) from.current = { x: touch.clientX, y: touch.clientY }
    },
    onTouchMove: ({ touches }) => {
      const touch = touches[0]
      if (touch === undefined || from.current === null) return
      const across = (touch.clientX - from.current.x) * sign
      // Who scrolls does not swipe.
      if (pull === 0 && Math.abs(across) < 2 * Math.abs(touch.clientY - from.current.y)) return
      if (Math.abs(across) > 12) setPull(Math.max(-140, Math.min(140, across)))
    },
    onTouchEnd: end,
    onTouchCancel: () => setPull(0),
  }
  const isFar = Math.abs(pull) > PULL_PX_MIN
  const under = pull === 0 ? null : (
    <span className={`row-under ${pull > 0 ? "start" : "end"} ${isFar ? "far" : ""}`} aria-hidden="true">
      {pull > 0 ? <UserPlus size={20} /> : <CheckCheck size={20} />}
      {speaker.t(pull > 0 ? "list.assignMine" : "list.markRead")}
    </span>
  )
  return { area, style: pull === 0 ? undefined : { transform: `translateX(${pull * sign}px)` }, under }
}

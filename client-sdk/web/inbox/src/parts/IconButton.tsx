/** A button that shows a sign, and says its name to a pointer that rests and to a screen reader. */

import { Tooltip } from "@base-ui/react/tooltip"
import type { ButtonHTMLAttributes, ReactNode, Ref } from "react"
import "./button.css"

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly label: string
  readonly children?: ReactNode
  readonly ref?: Ref<HTMLButtonElement>
}

/** See the module. */
export function IconButton({ label, children, className = "", ...rest }: Props) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger render={<button type="button" aria-label={label} className={`icon-button ${className}`} {...rest} />}>
        {children}
      </Tooltip.Trigger>
      <Tooltip.Portal>
        <Tooltip.Positioner sideOffset={6}>
          <Tooltip.Popup className="tooltip">{label}</Tooltip.Popup>
        </Tooltip.Positioner>
      </Tooltip.Portal>
    </Tooltip.Root>
  )
}

/** A choice that is on or off, with its name and what it means. */

import { Switch } from "@base-ui/react/switch"
import { useId } from "react"
import "./toggle.css"

interface Props {
  readonly label: string
  readonly hint?: string
  readonly checked: boolean
  readonly onChange: (on: boolean) => void
}

/** See the module. */
export function Toggle({ label, hint, checked, onChange }: Props) {
  const id = useId()
  return (
    <div className="card-row">
      <div className="grow">
        <div id={id}>{label}</div>
        {hint !== undefined && <div className="hint" id={`${id}-hint`}>{hint}</div>}
      </div>
      <Switch.Root className="switch" checked={checked} onCheckedChange={onChange} aria-labelledby={id} aria-describedby={hint === undefined ? undefined : `${id}-hint`}>
        <Switch.Thumb className="switch-thumb" />
      </Switch.Root>
    </div>
  )
}

/** A screen or pane with nothing in it: says why, and what to do next. */

import type { ReactNode } from "react"
import "./empty.css"

/** See the module. */
export function Empty({ icon, title, text, children }: { readonly icon: ReactNode; readonly title: string; readonly text: string; readonly children?: ReactNode }) {
  return (
    <div className="empty">
      <div className="empty-icon">{icon}</div>
      <h2>{title}</h2>
      <p>{text}</p>
      {children !== undefined && <div className="empty-acts">{children}</div>}
    </div>
  )
}

/** A screen or pane with nothing in it: says why, and what to do next. */

import type { ReactNode } from "react"
import "./empty.css"

interface Props {
  readonly icon: ReactNode
  readonly title: string
  readonly text: string
  /** What its title is in the page's outline: the first one where it is all there is. */
  readonly level?: "h1" | "h2"
  readonly children?: ReactNode
}

/** See the module. */
export function Empty({ icon, title, text, level: Heading = "h2", children }: Props) {
  return (
    <div className="empty">
      <div className="empty-icon">{icon}</div>
      <Heading>{title}</Heading>
      <p>{text}</p>
      {children !== undefined && <div className="empty-acts">{children}</div>}
    </div>
  )
}

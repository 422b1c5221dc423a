/** A screen beside the inbox: heading, what it is about, its parts. */

import { ArrowLeft } from "lucide-react"
import type { ReactNode } from "react"
import { go, useApp } from "../app/context.tsx"
import { IconButton } from "../parts/IconButton.tsx"

interface Props {
  readonly title: string
  readonly intro?: string
  readonly act?: ReactNode
  /** On a phone it lies behind Me. */
  readonly isBehindMe?: boolean
  readonly children: ReactNode
}

/** See the module. */
export function Screen({ title, intro, act, isBehindMe = false, children }: Props) {
  const { layout, speaker } = useApp()
  return (
    <main className="screen" id="main">
      <div className="screen-inner">
        <header className="screen-head">
          {isBehindMe && layout === "phone" && (
            <IconButton label={speaker.t("nav.back")} onClick={() => go({ type: "me" })}>
              <ArrowLeft size={22} className="flips" />
            </IconButton>
          )}
          <h1>{title}</h1>
          {act}
        </header>
        {intro !== undefined && <p className="screen-intro">{intro}</p>}
        {children}
      </div>
    </main>
  )
}

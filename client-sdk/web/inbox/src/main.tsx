/** Starts the inbox: settings, device, first screen. */

import { connect } from "#client"
import type { ReactNode } from "react"
import { createRoot } from "react-dom/client"
import "./app/tokens.css"
import "./app/base.css"
import "./parts/button.css"
import { App } from "./app/App.tsx"
import { StartFailed } from "./screens/StartFailed.tsx"
import { Drafts } from "./state/drafts.ts"
import { Inbox } from "./state/inbox.ts"
import { language, settings } from "./state/settings.ts"
import { Speaker, loadTexts } from "./text/text.ts"

async function first(): Promise<ReactNode> {
  try {
    return <App inbox={new Inbox(await connect())} drafts={new Drafts(localStorage)} />
  } catch {
    const spoken = language(settings.get())
    return <StartFailed speaker={new Speaker(spoken, await loadTexts(spoken))} />
  }
}

createRoot(document.getElementById("root") as HTMLElement).render(await first())

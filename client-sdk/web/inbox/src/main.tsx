/** Starts the inbox: settings, device, first screen. */

import { connect } from "#client"
import { createRoot } from "react-dom/client"
import "./app/tokens.css"
import "./app/base.css"
import { App } from "./app/App.tsx"
import { Drafts } from "./state/drafts.ts"
import { Inbox } from "./state/inbox.ts"

const inbox = new Inbox(await connect())
createRoot(document.getElementById("root") as HTMLElement).render(<App inbox={inbox} drafts={new Drafts(localStorage)} />)

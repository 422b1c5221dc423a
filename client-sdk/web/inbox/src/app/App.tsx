/** The whole page: language and theme, then the screen that the device's phase calls for. */

import { CSPProvider } from "@base-ui/react/csp-provider"
import { DirectionProvider } from "@base-ui/react/direction-provider"
import { Tooltip } from "@base-ui/react/tooltip"
import { useEffect, useMemo, useState } from "react"
import type { Phase } from "../client/port.ts"
import { Ended } from "../screens/Ended.tsx"
import { Enrol } from "../screens/Enrol.tsx"
import type { Drafts } from "../state/drafts.ts"
import type { Inbox } from "../state/inbox.ts"
import { language, settings } from "../state/settings.ts"
import { useStore } from "../state/store.ts"
import { Speaker, loadTexts } from "../text/text.ts"
import { AppContext, useLayout } from "./context.tsx"
import { Notifications } from "./notifications.tsx"
import { Shell } from "./Shell.tsx"
import { UpdatePrompt } from "./UpdatePrompt.tsx"

/** See the module. */
export function App({ inbox, drafts }: { readonly inbox: Inbox; readonly drafts: Drafts }) {
  const chosen = useStore(settings)
  const layout = useLayout()
  const phase = useStore(inbox.status, (status) => status.phase)
  const wanted = language(chosen)
  const [speaker, setSpeaker] = useState<Speaker | null>(null)

  useEffect(() => {
    let isWanted = true
    void loadTexts(wanted).then((texts) => isWanted && setSpeaker(new Speaker(wanted, texts)))
    return () => {
      isWanted = false
    }
  }, [wanted])

  useEffect(() => {
    if (speaker === null) return
    document.documentElement.lang = speaker.language
    document.documentElement.dir = speaker.direction
  }, [speaker])

  useEffect(() => {
    const { dataset } = document.documentElement
    if (chosen.theme === "system") delete dataset["theme"]
    else dataset["theme"] = chosen.theme
  }, [chosen.theme])

  // A wiped device keeps nothing, drafts included.
  useEffect(() => {
    if (phase === "revoked") drafts.clear()
  }, [phase, drafts])

  const app = useMemo(() => (speaker === null ? null : { inbox, drafts, speaker, layout }), [inbox, drafts, speaker, layout])
  if (app === null) return null
  return (
    <CSPProvider disableStyleElements>
      <DirectionProvider direction={app.speaker.direction}>
        <Tooltip.Provider delay={400}>
          <AppContext value={app}>
            <Screen phase={phase} />
            <Notifications />
            <UpdatePrompt />
          </AppContext>
        </Tooltip.Provider>
      </DirectionProvider>
    </CSPProvider>
  )
}

/** What the device's phase calls for. */
function Screen({ phase }: { readonly phase: Phase }) {
  if (phase === "ready" || phase === "starting") return <Shell />
  return phase === "fresh" || phase === "enrolling" ? <Enrol /> : <Ended phase={phase} />
}

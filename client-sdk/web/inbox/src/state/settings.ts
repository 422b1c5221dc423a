/** This browser's choices. */

import { LANGUAGES, type Language } from "../text/text.ts"
import { Store } from "./store.ts"

/** A short text that `/` brings. */
export interface QuickReply {
  readonly name: string
  readonly text: string
}

/** What a person chose here. */
export interface Settings {
  /** Null: as the browser says. */
  readonly language: Language | null
  readonly theme: "system" | "light" | "dark"
  readonly enterSends: boolean
  readonly notify: boolean
  /** Whether the customer panel stands open on a wide screen. */
  readonly panel: boolean
  /** Null: those that come with the language. */
  readonly quickReplies: readonly QuickReply[] | null
}

const DEFAULTS: Settings = { language: null, theme: "system", enterSends: true, notify: false, panel: true, quickReplies: null }
const KEY = "lockstep-settings"

/** The choices, to be followed. */
export const settings = new Store<Settings>(read())

/** Changes some of them, and keeps them. */
export function choose(change: Partial<Settings>): void {
  settings.update((before) => ({ ...before, ...change }))
  try {
    localStorage.setItem(KEY, JSON.stringify(settings.get()))
  } catch {
    // A full or forbidden store: the choice lives as long as the page.
  }
}

/** The language that counts now. */
export function language({ language: chosen }: Settings): Language {
  if (chosen !== null) return chosen
  for (const tag of navigator.languages) {
    const found = LANGUAGES.find((one) => tag.toLowerCase().split("-")[0] === one)
    if (found !== undefined) return found
  }
  return "en"
}

function read(): Settings {
  try {
    return { ...DEFAULTS, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Settings>) }
  } catch {
    return DEFAULTS
  }
}

/** The keys of the inbox: one table for the handler and for the help. */

/** What a key does. */
export type Shortcut = "next" | "previous" | "reply" | "note" | "close" | "search" | "find" | "assign" | "help"

/** A key and where it counts. */
export interface KeyRow {
  readonly act: Shortcut
  /** Position of the key, as `KeyboardEvent.code`; layouts and Alt change the letter, not the place. */
  readonly code: string | null
  /** The letter itself, where a text cannot be meant. */
  readonly key: string | null
  readonly alt: boolean
  /** As it is written in the help. */
  readonly shown: readonly string[]
}

/** All of them, in the order of the help. */
export const KEYS: readonly KeyRow[] = [
  { act: "next", code: "KeyJ", key: null, alt: true, shown: ["Alt", "J"] },
  { act: "previous", code: "KeyK", key: null, alt: true, shown: ["Alt", "K"] },
  { act: "reply", code: "KeyL", key: null, alt: true, shown: ["Alt", "L"] },
  { act: "note", code: "KeyP", key: null, alt: true, shown: ["Alt", "P"] },
  { act: "close", code: "KeyE", key: null, alt: true, shown: ["Alt", "E"] },
  { act: "assign", code: "KeyA", key: null, alt: true, shown: ["Alt", "A"] },
  { act: "find", code: "KeyF", key: null, alt: true, shown: ["Alt", "F"] },
  { act: "search", code: "KeyS", key: null, alt: true, shown: ["Alt", "S"] },
  { act: "help", code: null, key: "?", alt: false, shown: ["?"] },
]

/** What of a keyboard event counts. */
export interface Pressed {
  readonly code: string
  readonly key: string
  readonly altKey: boolean
  readonly ctrlKey: boolean
  readonly metaKey: boolean
}

/** What an event asks for; null for nothing. `inText`: whether it goes into a field. */
export function shortcutOf({ code, key, altKey, ctrlKey, metaKey }: Pressed, inText: boolean): Shortcut | null {
  // AltGr is Control and Alt at once: it writes letters.
  if (ctrlKey || metaKey) return null
  const row = KEYS.find((one) => (one.alt ? altKey && one.code === code : !altKey && !inText && one.key === key))
  return row?.act ?? null
}

/** Whether Enter, as pressed in the composer, sends. */
export function sends(event: { key: string; shiftKey: boolean; ctrlKey: boolean; metaKey: boolean; isComposing: boolean }, enterSends: boolean): boolean {
  // While an input method composes, Enter takes its suggestion.
  if (event.key !== "Enter" || event.isComposing) return false
  if (event.ctrlKey || event.metaKey) return true
  return enterSends && !event.shiftKey
}

/** What is being asked for where the caret stands: `/` a quick reply, `@` a member. */

/** A trigger and what was typed behind it. */
export interface Trigger {
  readonly sign: "/" | "@"
  readonly typed: string
  /** Where the sign stands. */
  readonly from: number
}

/** The trigger before the caret; null if there is none. */
export function triggerAt(text: string, caret: number, isNote: boolean): Trigger | null {
  const before = text.slice(0, caret)
  if (isNote) {
    const found = /(?:^|\s)@([^\s@]{0,32})$/u.exec(before)
    if (found !== null) return { sign: "@", typed: found[1] ?? "", from: caret - (found[1] ?? "").length - 1 }
  }
  // Quick replies are for an answer that begins: a slash within a text is a slash.
  const found = /^\/([^\n]{0,32})$/u.exec(before)
  return found === null ? null : { sign: "/", typed: found[1] ?? "", from: 0 }
}

/** The text with the trigger replaced, and where the caret then stands. */
export function fill(text: string, caret: number, trigger: Trigger, insert: string): { text: string; caret: number } {
  const head = text.slice(0, trigger.from) + insert
  return { text: head + text.slice(caret), caret: head.length }
}

/** A person's first letters in a circle. Always beside their name, so it says nothing to a screen reader. */

import "./avatar.css"

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" })

/** See the module. */
export function Avatar({ name, team = false, size = "normal" }: { readonly name: string; readonly team?: boolean; readonly size?: "normal" | "small" }) {
  return (
    <span className={`avatar ${team ? "team" : ""} ${size}`} aria-hidden="true">
      {initials(name)}
    </span>
  )
}

/** The first letters of the first two words; of scripts without capitals one is enough. */
export function initials(name: string): string {
  const words = name.split(/\s+/u).filter((word) => /^\p{L}/u.test(word))
  const first = words.map((word) => [...segmenter.segment(word)][0]?.segment ?? "")
  const isCased = /^[\p{Lu}\p{Ll}]/u.test(first[0] ?? "")
  return (isCased ? first.slice(0, 2) : first.slice(0, 1)).join("").toLocaleUpperCase() || "?"
}

/** What `/` and `@` offer, above the text. The keyboard stays in the text: the list is followed by `aria-activedescendant`. */

import { useMemo } from "react"
import { useApp, useMembers } from "../app/context.tsx"
import { fold } from "../logic/rows.ts"
import type { Trigger } from "../logic/trigger.ts"
import { assignable } from "../parts/AssignMenu.tsx"
import { type QuickReply, settings } from "../state/settings.ts"
import { useStore } from "../state/store.ts"
import type { Speaker } from "../text/text.ts"

/** Most that are offered at once. */
const SHOWN_MAX = 6

/** One offer. */
export interface Suggestion {
  readonly key: string
  readonly title: string
  readonly detail: string
  readonly insert: string
}

/** A person's quick replies, or those that come with the language. */
export function quickReplies(kept: readonly QuickReply[] | null, { t }: Speaker): readonly QuickReply[] {
  if (kept !== null) return kept
  return (["greeting", "moment", "thanks"] as const).map((one) => ({ name: t(`quick.${one}.name`), text: t(`quick.${one}.text`) }))
}

/** What fits a trigger. */
export function useSuggestions(trigger: Trigger | null): readonly Suggestion[] {
  const { inbox, speaker } = useApp()
  const { members } = useMembers()
  const kept = useStore(settings, (chosen) => chosen.quickReplies)
  return useMemo(() => {
    if (trigger === null) return []
    const needle = fold(trigger.typed)
    const all: Suggestion[] =
      trigger.sign === "/"
        ? quickReplies(kept, speaker).map(({ name, text }) => ({ key: name, title: `/${name}`, detail: text, insert: text }))
        : assignable(members)
            .filter(({ id }) => id !== inbox.me())
            .map(({ id, name, role }) => ({ key: String(id), title: name, detail: speaker.t(`role.${role}`), insert: `@${name} ` }))
    return all.filter(({ title }) => fold(title).includes(needle)).slice(0, SHOWN_MAX)
  }, [trigger, kept, speaker, members, inbox])
}

interface Props {
  readonly id: string
  readonly sign: "/" | "@"
  readonly rows: readonly Suggestion[]
  readonly chosen: number
  readonly onTake: (row: Suggestion) => void
}

/** See the module. */
export function Suggestions({ id, sign, rows, chosen, onTake }: Props) {
  const { t } = useApp().speaker
  if (rows.length === 0) {
    return sign === "/" ? <div className="suggestions"><p className="hint" id={id}>{t("composer.noQuick")}</p></div> : null
  }
  return (
    <div className="suggestions">
      <ul role="listbox" id={id} aria-label={t("composer.suggestions")}>
        {rows.map((row, at) => (
          <li
            key={row.key}
            id={`${id}-${at}`}
            role="option"
            aria-selected={at === chosen}
            // The text keeps the keyboard.
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => onTake(row)}
          >
            <bdi className="suggestion-title">{row.title}</bdi>
            <bdi className="suggestion-detail ellipsis">{row.detail}</bdi>
          </li>
        ))}
      </ul>
    </div>
  )
}

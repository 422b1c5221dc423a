/** Where one writes: a reply to the customer, or a note for the team. */

import { Tabs } from "@base-ui/react/tabs"
import { SendHorizontal, X, Zap } from "lucide-react"
import { type KeyboardEvent, useCallback, useEffect, useId, useLayoutEffect, useRef, useState } from "react"
import type { ActOutcome, ConversationId, MessageView } from "../client/port.ts"
import { useShortcut } from "../app/Keyboard.tsx"
import { useApp, useMembers, useRights } from "../app/context.tsx"
import { troubleOf } from "../app/outcome.ts"
import { messageOf } from "../logic/rows.ts"
import { sends } from "../logic/shortcuts.ts"
import { type Trigger, fill, triggerAt } from "../logic/trigger.ts"
import { IconButton } from "../parts/IconButton.tsx"
import type { Tab } from "../state/drafts.ts"
import { settings } from "../state/settings.ts"
import { useStore } from "../state/store.ts"
import { LockNote } from "./LockNote.tsx"
import { type Suggestion, Suggestions, useSuggestions } from "./Suggestions.tsx"
import { wantFocus } from "./acts.ts"
import "./composer.css"

interface Props {
  readonly conversation: ConversationId
  readonly customer: string
  readonly messages: readonly MessageView[]
}

/** See the module. */
export function Composer({ conversation, customer, messages }: Props) {
  const { inbox, drafts, speaker } = useApp()
  const { t } = speaker
  const draft = useStore(drafts.of(conversation))
  const { enterSends } = useStore(settings)
  const { canWrite } = useRights()
  const { name } = useMembers()
  const [trouble, setTrouble] = useState<string | null>(null)
  const [trigger, setTrigger] = useState<Trigger | null>(null)
  const [chosen, setChosen] = useState(0)
  const area = useRef<HTMLTextAreaElement>(null)
  const isSending = useRef(false)
  const listId = useId()
  const suggestions = useSuggestions(trigger)
  const isEditing = draft.editing !== null
  const isNote = draft.tab === "note"
  const text = isEditing ? draft.edit : draft[draft.tab]

  const focus = useCallback((tab: Tab | null) => {
    if (tab !== null) drafts.change(conversation, { tab })
    requestAnimationFrame(() => area.current?.focus())
  }, [drafts, conversation])
  useShortcut("reply", useCallback(() => focus("reply"), [focus]))
  useShortcut("note", useCallback(() => focus("note"), [focus]))
  const wanted = useStore(wantFocus)
  const answered = useRef(wanted)
  useEffect(() => {
    if (wanted === answered.current) return
    answered.current = wanted
    focus(null)
  }, [wanted, focus])

  // As high as its text, up to what the style sheet allows.
  useLayoutEffect(() => {
    const box = area.current
    if (box === null) return
    box.style.height = "auto"
    box.style.height = `${box.scrollHeight + 2}px`
  }, [text, draft.tab, isEditing])

  if (!canWrite) return <footer className="composer"><p className="composer-only">{t("composer.readOnly")}</p></footer>

  const change = (value: string): void => {
    drafts.change(conversation, isEditing ? { edit: value } : { [draft.tab]: value })
    setTrouble(null)
    if (!isNote && !isEditing && value !== "") void inbox.port.type(conversation)
    look(value)
  }
  const look = (value: string): void => {
    setTrigger(isEditing ? null : triggerAt(value, area.current?.selectionStart ?? value.length, isNote))
    setChosen(0)
  }
  const take = ({ insert }: Suggestion): void => {
    const box = area.current
    if (box === null || trigger === null) return
    const filled = fill(text, box.selectionStart, trigger, insert)
    drafts.change(conversation, { [draft.tab]: filled.text })
    setTrigger(null)
    requestAnimationFrame(() => {
      box.focus()
      box.setSelectionRange(filled.caret, filled.caret)
    })
  }
  const send = async (): Promise<void> => {
    const body = text.trim()
    if (body === "" || isSending.current) return
    isSending.current = true
    let outcome: ActOutcome
    if (draft.editing !== null) outcome = await inbox.port.edit(conversation, draft.editing, body)
    else {
      const dir = isNote ? "note" : "out"
      outcome = await inbox.port.write({ conversation, dir, kind: "text", body, re: draft.re, media: null, id: null })
    }
    isSending.current = false
    const problem = troubleOf(outcome, speaker)
    setTrouble(problem)
    // What could not be kept stays in the composer.
    if (problem !== null) return
    drafts.change(conversation, isEditing ? { editing: null, edit: "" } : { [draft.tab]: "", re: null })
    area.current?.focus()
  }
  const pressed = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    if (trigger !== null && suggestions.length > 0) {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault()
        setChosen((chosen + (event.key === "ArrowDown" ? 1 : -1) + suggestions.length) % suggestions.length)
        return
      }
      if (event.key === "Enter" || event.key === "Tab") {
        event.preventDefault()
        take(suggestions[chosen] as Suggestion)
        return
      }
    }
    if (event.key === "Escape") {
      if (trigger !== null) setTrigger(null)
      else if (isEditing) drafts.change(conversation, { editing: null, edit: "" })
      else if (draft.re !== null) drafts.change(conversation, { re: null })
      return
    }
    if (!sends({ ...pick(event), isComposing: event.nativeEvent.isComposing }, enterSends)) return
    event.preventDefault()
    void send()
  }

  const quoted = draft.re === null || isEditing ? undefined : messageOf(messages, draft.re)
  const isOpen = trigger !== null
  const placeholder = isNote ? t("composer.noteHint") : t("composer.replyHint", { name: customer })
  return (
    <footer className={`composer ${isNote ? "is-note" : ""}`}>
      <LockNote conversation={conversation} />
      {trouble !== null && <p className="trouble" role="alert">{trouble}</p>}
      {isEditing && <Above title={t("composer.editing")} text="" onCancel={() => drafts.change(conversation, { editing: null, edit: "" })} />}
      {quoted !== undefined && (
        <Above
          title={t("composer.quoting", { name: quoted.dir === "in" ? customer : name(quoted.by) })}
          text={quoted.body}
          onCancel={() => drafts.change(conversation, { re: null })}
        />
      )}
      <div className="composer-frame">
        {isOpen && <Suggestions id={listId} sign={trigger.sign} rows={suggestions} chosen={chosen} onTake={take} />}
        {!isEditing && (
          <Tabs.Root value={draft.tab} onValueChange={(value) => focus(value as Tab)}>
            <Tabs.List className="composer-tabs" aria-label={t("composer.tabs")} activateOnFocus={false}>
              <Tabs.Tab value="reply" className="composer-tab">{t("composer.reply")}</Tabs.Tab>
              <Tabs.Tab value="note" className="composer-tab note">{t("composer.note")}</Tabs.Tab>
            </Tabs.List>
          </Tabs.Root>
        )}
        <textarea
          ref={area}
          data-composer
          rows={1}
          dir="auto"
          value={text}
          aria-label={isNote ? t("composer.noteLabel") : t("composer.label", { name: customer })}
          aria-autocomplete="list"
          aria-controls={isOpen ? listId : undefined}
          aria-activedescendant={isOpen && suggestions.length > 0 ? `${listId}-${chosen}` : undefined}
          placeholder={placeholder}
          enterKeyHint={enterSends ? "send" : "enter"}
          onChange={(event) => change(event.target.value)}
          onSelect={() => trigger !== null && look(text)}
          onBlur={() => setTrigger(null)}
          onKeyDown={pressed}
        />
        <div className="composer-foot">
          {!isNote && !isEditing && text === "" && (
            <IconButton className="small" label={t("composer.emoji")} onMouseDown={(event) => event.preventDefault()} onClick={() => { change("/"); focus(null); setTrigger({ sign: "/", typed: "", from: 0 }) }}>
              <Zap size={18} />
            </IconButton>
          )}
          <span className="composer-hint">{t(enterSends ? "composer.enter" : "composer.ctrlEnter")}</span>
          <button type="button" className="button primary small send" disabled={text.trim() === ""} onClick={() => void send()}>
            <span>{t(isEditing ? "composer.saveEdit" : isNote ? "composer.save" : "composer.send")}</span>
            <SendHorizontal size={18} className="flips" aria-hidden="true" />
          </button>
        </div>
      </div>
    </footer>
  )
}

function Above({ title, text, onCancel }: { readonly title: string; readonly text: string; readonly onCancel: () => void }) {
  const { t } = useApp().speaker
  return (
    <div className="composer-above">
      <div className="grow">
        <strong>{title}</strong>
        {text !== "" && <p className="ellipsis" dir="auto">{text}</p>}
      </div>
      <IconButton className="small" label={t("composer.cancel")} onClick={onCancel}>
        <X size={18} />
      </IconButton>
    </div>
  )
}

function pick({ key, shiftKey, ctrlKey, metaKey }: KeyboardEvent) {
  return { key, shiftKey, ctrlKey, metaKey }
}

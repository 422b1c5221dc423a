/** The list of conversations with its boxes and its filter. */

import { Menu } from "@base-ui/react/menu"
import { Tabs } from "@base-ui/react/tabs"
import { Check, Inbox as InboxIcon, ListFilter, Search, UserCheck, X } from "lucide-react"
import { useCallback, useEffect, useMemo, useRef, useState } from "react"
import { Virtualizer, type VirtualizerHandle } from "virtua"
import type { ConversationId, ListRow } from "../client/port.ts"
import { BOXES, type Box, type Filter, NO_FILTER, countAll, select } from "../logic/filter.ts"
import { useShortcut } from "../app/Keyboard.tsx"
import { go, useApp, useDelayed, useRights } from "../app/context.tsx"
import { Empty } from "../parts/Empty.tsx"
import { IconButton } from "../parts/IconButton.tsx"
import { useStore } from "../state/store.ts"
import { DropStrip } from "./DropStrip.tsx"
import { Row } from "./Row.tsx"
import "./list.css"

interface Props {
  readonly box: Box
  readonly selected: ConversationId | null
  readonly isSearch?: boolean
}

/** See the module. */
export function ListPane({ box, selected, isSearch = false }: Props) {
  const { inbox, speaker, layout } = useApp()
  const { t } = speaker
  const rows = useStore(inbox.rows)
  const me = useStore(inbox.status, (status) => status.member) ?? 0
  const [filter, setFilter] = useState<Filter>(NO_FILTER)
  const [dragged, setDragged] = useState<ConversationId | null>(null)
  const field = useRef<HTMLInputElement>(null)
  const shown = useMemo(() => select(rows ?? [], box, me, filter), [rows, box, me, filter])
  const counts = useMemo(() => countAll(rows ?? [], me), [rows, me])
  const isPhone = layout === "phone"
  const { canManage } = useRights()

  useEffect(() => {
    if (isSearch) field.current?.focus()
  }, [isSearch])
  useShortcut("search", useCallback(() => field.current?.focus(), []))
  const open = useCallback((id: ConversationId) => go({ type: "box", box, conversation: id, panel: false }), [box])
  const step = (by: number): void => {
    const at = shown.findIndex((row) => row.conversation.id === selected)
    const next = shown[at < 0 ? (by > 0 ? 0 : shown.length - 1) : at + by]
    if (next !== undefined) open(next.conversation.id)
  }
  useShortcut("next", useCallback(() => step(1), [shown, selected, open]))
  useShortcut("previous", useCallback(() => step(-1), [shown, selected, open]))

  const boxes = isPhone ? (["unassigned", "all"] as const).toReversed() : BOXES
  const hasTabs = !isSearch && !(isPhone && box === "mine")
  const Pane = isPhone ? "main" : "section"
  return (
    <Pane className="list-pane" aria-label={t("list.label")}>
      <header className="list-head">
        {isPhone && <h1>{isSearch ? t("nav.search") : box === "mine" ? t("nav.mine") : t("nav.inbox")}</h1>}
        {hasTabs && (
          <Tabs.Root value={box} onValueChange={(value) => go({ type: "box", box: value as Box, conversation: selected, panel: false })}>
            <Tabs.List className="tabs" aria-label={t("box.label")}>
              {boxes.map((one) => (
                <Tabs.Tab key={one} value={one} className="tab">
                  {t(`box.${one}`)} <span className="tab-count">{speaker.number(counts[one].open)}</span>
                </Tabs.Tab>
              ))}
            </Tabs.List>
          </Tabs.Root>
        )}
        <div className="list-filter">
          <Search size={18} aria-hidden="true" />
          <input
            ref={field}
            type="search"
            enterKeyHint="search"
            className="field"
            aria-label={t("list.filter")}
            placeholder={t("list.filter")}
            value={filter.text}
            dir="auto"
            onChange={(event) => setFilter({ ...filter, text: event.target.value })}
            onKeyDown={(event) => event.key === "Escape" && setFilter({ ...filter, text: "" })}
          />
          {filter.text !== "" && (
            <IconButton className="small" label={t("list.clear")} onClick={() => setFilter({ ...filter, text: "" })}>
              <X size={16} />
            </IconButton>
          )}
          <FilterMenu filter={filter} onChange={setFilter} />
        </div>
      </header>
      {dragged !== null && canManage && <DropStrip conversation={dragged} onDone={() => setDragged(null)} />}
      {rows === null ? (
        <Skeletons />
      ) : shown.length === 0 ? (
        <NoRows box={box} isFiltered={filter !== NO_FILTER && (filter.text !== "" || filter.unread || filter.closed)} onClear={() => setFilter(NO_FILTER)} />
      ) : (
        <Rows rows={shown} selected={selected} onOpen={open} onDrag={canManage && !isPhone ? setDragged : null} />
      )}
    </Pane>
  )
}

function FilterMenu({ filter, onChange }: { readonly filter: Filter; readonly onChange: (filter: Filter) => void }) {
  const { t } = useApp().speaker
  const rows = [["unread", t("list.unreadOnly")], ["closed", t("list.closed")]] as const
  const isOn = filter.unread || filter.closed
  return (
    <Menu.Root>
      <Menu.Trigger render={<IconButton className="small" label={t("list.options")} aria-pressed={isOn} />}>
        <ListFilter size={18} />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner sideOffset={4} align="end">
          <Menu.Popup className="menu">
            {rows.map(([key, text]) => (
              <Menu.CheckboxItem key={key} className="menu-item" checked={filter[key]} onCheckedChange={(on) => onChange({ ...filter, [key]: on })}>
                <span className="grow">{text}</span>
                <Menu.CheckboxItemIndicator>
                  <Check size={18} />
                </Menu.CheckboxItemIndicator>
              </Menu.CheckboxItem>
            ))}
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  )
}

function Rows({ rows, selected, onOpen, onDrag }: {
  readonly rows: readonly ListRow[]
  readonly selected: ConversationId | null
  readonly onOpen: (id: ConversationId) => void
  readonly onDrag: ((id: ConversationId | null) => void) | null
}) {
  const { t } = useApp().speaker
  const list = useRef<VirtualizerHandle>(null)
  const at = rows.findIndex((row) => row.conversation.id === selected)
  // Only the step by key brings the row into sight: a list that moves under the pointer is a nuisance.
  useEffect(() => {
    if (at >= 0) list.current?.scrollToIndex(at, { align: "nearest" })
  }, [selected])
  return (
    <div className="list" role="list" aria-label={t("list.label")}>
      <Virtualizer ref={list} data={rows} itemSize={76} keepMounted={at >= 0 ? [at] : []}>
        {(row) => (
          <Row key={row.conversation.id} row={row} isSelected={row.conversation.id === selected} onOpen={onOpen} onDrag={onDrag} />
        )}
      </Virtualizer>
    </div>
  )
}

function NoRows({ box, isFiltered, onClear }: { readonly box: Box; readonly isFiltered: boolean; readonly onClear: () => void }) {
  const { t } = useApp().speaker
  const { canManage } = useRights()
  if (isFiltered) {
    return (
      <Empty icon={<Search size={26} />} title={t("empty.foundTitle")} text={t("empty.found")}>
        <button type="button" className="button" onClick={onClear}>{t("list.clear")}</button>
      </Empty>
    )
  }
  if (box === "all") {
    return (
      <Empty icon={<InboxIcon size={26} />} title={t("empty.allTitle")} text={t("empty.all")}>
        <button type="button" className="button" onClick={() => go({ type: "devices" })}>{t("empty.pair")}</button>
        {canManage && <button type="button" className="button" onClick={() => go({ type: "team" })}>{t("empty.invite")}</button>}
      </Empty>
    )
  }
  return (
    <Empty icon={<UserCheck size={26} />} title={t(`empty.${box}Title`)} text={t(`empty.${box}`)}>
      <button type="button" className="button" onClick={() => go({ type: "box", box: box === "mine" ? "unassigned" : "all", conversation: null, panel: false })}>
        {t(box === "mine" ? "box.unassigned" : "empty.showAll")}
      </button>
    </Empty>
  )
}

function Skeletons() {
  const { t } = useApp().speaker
  if (!useDelayed(true)) return <div className="list" />
  return (
    <div className="list" role="status" aria-label={t("list.loading")}>
      {Array.from({ length: 8 }, (_, at) => (
        <div key={at} className="row-skeleton">
          <span className="skeleton round" />
          <span className="skeleton line" />
          <span className="skeleton line short" />
        </div>
      ))}
    </div>
  )
}

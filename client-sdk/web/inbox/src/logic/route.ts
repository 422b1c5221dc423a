/** Where in the inbox one is: all of it in the fragment, which the hub never sees. */

import type { ConversationId } from "../client/port.ts"
import { BOXES, type Box } from "./filter.ts"

/** A place. */
export type Route =
  | { readonly type: "box"; readonly box: Box; readonly conversation: ConversationId | null; readonly panel: boolean }
  | { readonly type: "search" }
  | { readonly type: "me" }
  | { readonly type: "team" }
  | { readonly type: "devices" }
  | { readonly type: "pair"; readonly pinned: string; readonly code: string }

/** Where it begins. */
export const START: Route = { type: "box", box: "all", conversation: null, panel: false }

/** Reads a fragment; an unknown one is the start. */
export function parseRoute(hash: string): Route {
  const [first = "", second = "", third = ""] = hash.replace(/^#\/?/, "").split("/")
  if ((BOXES as readonly string[]).includes(first)) {
    const conversation = /^[0-9a-f]{32}$/.test(second) ? (second as ConversationId) : null
    return { type: "box", box: first as Box, conversation, panel: conversation !== null && third === "customer" }
  }
  if (first === "search" || first === "me" || first === "team" || first === "devices") return { type: first }
  if (first === "pair" && second !== "" && third !== "") return { type: "pair", pinned: second, code: third }
  return START
}

/** The fragment of a place. */
export function formatRoute(route: Route): string {
  if (route.type === "box") {
    const parts = [route.box, ...(route.conversation === null ? [] : [route.conversation]), ...(route.panel ? ["customer"] : [])]
    return `#/${parts.join("/")}`
  }
  return route.type === "pair" ? `#/pair/${route.pinned}/${route.code}` : `#/${route.type}`
}

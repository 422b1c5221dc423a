/** Imported segments: known by their entries and listings, held only once somebody wanted to see them. */

import { EMPTY_DIGEST } from "../protocol/digest.ts"
import type { Imported } from "../protocol/entry.ts"
import type { ListedConversation } from "../protocol/frame.ts"
import { type DocumentDigest, type DocumentId, type Lsn, conversationOf, kindOf } from "../protocol/id.ts"
import type { Device } from "./device.ts"
import { conversationRow, describeAgain, documentsOf, setConversation } from "./entries.ts"
import { importStands } from "./offer.ts"
import type { Replica } from "./replica.ts"
import { shows, touchAll } from "./screen.ts"
import { noteNewest, setDocument, write } from "./transaction.ts"

/** The log says that a segment was imported. */
export function takeImported(d: Device, imported: Imported, lsn: Lsn): void {
  const conversation = conversationOf(imported.document)
  if (conversationRow(d, conversation).described === 0) describeAgain(d, conversation, lsn)
  else setConversation(d, conversation, { described: lsn })
  noteNewest(d, conversation, lsn)
  importListed(d, imported.document, imported.digest)
  d.notice({ type: "ConversationChanged", conversation })
}

/** What the hub lists of a conversation's imported segments is all that there is. */
export function takeImports(d: Device, { conversation, documents }: ListedConversation): void {
  const listed = documents.filter(({ document }) => kindOf(document) === "imported")
  for (const { document, digest } of listed) importListed(d, document, digest)
  const known = documentsOf(d, conversation.id).filter((document) => kindOf(document) === "imported")
  for (const document of known) if (!listed.some((row) => row.document === document)) importGone(d, document)
}

/**
 * An imported segment stands at the hub, with this digest. Another one under its number, of before a restore, is
 * deleted.
 */
export function importListed(d: Device, document: DocumentId, digest: DocumentDigest): void {
  const known = d.documents.get(document)
  if (known?.listed === digest) return
  if (known !== undefined && known.digest !== EMPTY_DIGEST && known.digest !== digest) importGone(d, document)
  setDocument(d, document, { listed: digest })
  importStands(d, conversationOf(document))
  if (shows(d, document)) want(d, document)
}

/** An imported segment was taken back, or lost by a restore. */
export function importGone(d: Device, document: DocumentId): void {
  d.wanted.delete(document)
  d.unreadable.delete(document)
  if (!d.documents.delete(document)) return
  d.replicas.delete(document)
  write(d, { type: "DocumentGone", document })
  touchAll(d, document)
}

/** Somebody wants to see an imported segment: it is asked for unless it is held. */
export function want(d: Device, document: DocumentId): void {
  const row = d.documents.get(document)
  if (row === undefined || row.listed === null || row.listed === row.digest) return
  d.unreadable.delete(document)
  d.wanted.add(document)
}

/** Whether a document that came is what was announced; others than imported segments always are. */
export function isAsListed(d: Device, replica: Replica): boolean {
  return replica.kind !== "imported" || d.documents.get(replica.document)?.listed === replica.digest
}

//! The catalogue: what the device may see, compared with what it holds.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::frame::{CatalogueConversation, Team};
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind};
use lockstep_protocol::refusal::RefusalCode;
use lockstep_protocol::snapshot::DocumentDigest;

use crate::device::Device;
use crate::effect::Notice;
use crate::row::{BackfillRow, Write};

impl Device {
    /// The whole catalogue is there: rows, deletions, backfills and the cursor become durable together.
    pub(crate) fn take_catalogue(
        &mut self,
        conversations: Vec<CatalogueConversation>,
        team: Option<Team>,
        end: Cursor,
        shredded: Vec<ConversationId>,
    ) {
        if end.epoch != self.epoch() {
            self.session.broken = true;
            return;
        }
        for conversation in shredded {
            self.shredded(conversation);
        }
        let changed = self.meta.cursor.is_some_and(|cursor| cursor.epoch != end.epoch);
        let listed: BTreeSet<ConversationId> = conversations.iter().map(|row| row.conversation.id).collect();
        let unlisted = self.conversations.iter().filter(|(id, _)| !listed.contains(id));
        for (conversation, lost) in unlisted.map(|(id, row)| (*id, row.lost)).collect::<Vec<_>>() {
            if changed {
                self.lose(conversation);
            } else if !lost {
                // What an epoch change took away stays until its stamped entries are offers.
                self.forget(conversation, RefusalCode::ConversationUnknown);
                self.notice(Notice::ConversationGone(conversation));
            }
        }
        for row in &conversations {
            self.reset_markers(row.conversation.id, &row.markers);
            self.take_listing(row, true);
            self.compare(row, end, changed);
        }
        if let Some(team) = team {
            let role = self.team.as_ref().map(|known| known.role);
            if role.is_some_and(|role| role != team.role) {
                self.notice(Notice::RoleChanged(team.role));
            }
            self.team = Some(team);
            self.pending.team = true;
            self.notice(Notice::TeamChanged);
        }
        self.offers.reopen();
        self.meta.cursor = Some(end);
        self.witness(end);
        self.pending.meta = true;
        self.catalogue_taken();
    }

    /// What the hub says of a conversation.
    pub(crate) fn take_listing(&mut self, listed: &CatalogueConversation, whole: bool) {
        let row = self.conversation_row(listed.conversation.id);
        // The page was read before what this session may have been told since: only the whole catalogue goes back.
        if whole || listed.newest >= row.described {
            row.conversation = listed.conversation.clone();
            row.described = listed.newest;
            self.take_imports(listed);
        }
        let row = self.conversation_row(listed.conversation.id);
        if whole {
            (row.open_segment, row.open_card) = (0, 0);
        }
        row.open_segment = row.open_segment.max(listed.open_segment);
        row.open_card = row.open_card.max(listed.open_card);
        row.newest = row.newest.max(listed.newest);
        row.lost = false;
        for marker in &listed.markers {
            self.marked(listed.conversation.id, *marker);
        }
        self.show_from(DocumentId::segment(listed.conversation.id, listed.open_segment));
        self.notice(Notice::ConversationChanged(listed.conversation.id));
    }

    /// Documents that equal the hub's stand in the present epoch's log, with their LSNs.
    fn rank_replies(&mut self, documents: Vec<DocumentId>) {
        let generation = self.generation(&self.epoch());
        for document in documents {
            if let Some(row) = self.documents.get_mut(&document)
                && let Some(reply) = row.newest_reply.as_mut().filter(|reply| reply.generation != generation)
            {
                reply.generation = generation;
                self.pending.documents.insert(document);
            }
        }
    }

    /// Starts a backfill if any document differs.
    fn compare(&mut self, listed: &CatalogueConversation, end: Cursor, changed: bool) {
        let conversation = listed.conversation.id;
        // Imported segments apart: they are fetched when somebody wants to see them.
        let streamed = listed.documents.iter().filter(|row| row.document.kind != DocumentKind::Imported);
        let theirs: BTreeMap<_, _> = streamed.map(|row| (row.document, row.digest)).collect();
        let range = DocumentId::segment(conversation, 0)..=DocumentId::card(conversation, u32::MAX);
        let ours: BTreeMap<_, _> = self.documents.range(range).map(|(id, row)| (*id, row.digest)).collect();
        let digest = |of: &BTreeMap<DocumentId, DocumentDigest>, id| of.get(id).copied().unwrap_or_default();
        let differing: Vec<DocumentId> =
            theirs.keys().chain(ours.keys()).filter(|id| digest(&theirs, id) != digest(&ours, id)).copied().collect();
        self.rank_replies(ours.keys().filter(|id| !differing.contains(id)).copied().collect());
        // A hub that cannot vouch for this device's place may have lost what is held here. What is written about that
        // waits until it is offered.
        let doubtful = differing.iter().any(|id| digest(&ours, id) != DocumentDigest::default());
        let before_this = self.backfills.get(&conversation).is_some_and(|row| row.changed);
        if differing.is_empty() {
            if self.backfills.remove(&conversation).is_some() {
                self.write(Write::BackfillGone(conversation));
            }
            return;
        }
        let segments = differing.iter().filter(|id| id.kind == DocumentKind::Segment).map(|id| id.number);
        let top = segments.clone().max();
        let cards = differing.iter().any(|id| id.kind == DocumentKind::Card);
        let beyond = top.is_some_and(|top| top >= listed.open_segment);
        self.begin_backfill(BackfillRow {
            conversation,
            grant: end.lsn,
            before: if cards || beyond { None } else { top.map(|top| top + 1) },
            floor: segments.min().unwrap_or(u32::MAX),
            changed: changed || doubtful || before_this,
        });
    }
}

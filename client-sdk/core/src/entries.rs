//! Ranges of the log: everything in one, and the new cursor, become durable together.

use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::directory::{Conversation, DirectoryEvent, Member, Role};
use lockstep_protocol::entry::{Entry, EntryBody, PlacedFact, Stamp};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::frame::Marker;
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, Lsn, MessageId};
use lockstep_protocol::refusal::RefusalCode;

use crate::device::Device;
use crate::effect::{Effect, Notice};
use crate::job::Range;
use crate::planted::ClientBug;
use crate::row::{BackfillRow, ConversationRow, EventRow, FactRow, Write};
use crate::view::ViewEvent;

impl Device {
    /// Takes a range if it begins at the cursor.
    pub(crate) fn take_range(&mut self, range: Range) {
        let Range { from, cursor, entries, granted, revoked } = range;
        let at = self.cursor_lsn();
        let fits = at == Some(from) || (self.bug(ClientBug::EntriesOverHole) && at.is_some());
        if !fits {
            // A range that was sent before and covers nothing new does no harm; any other means a lost frame.
            self.session.broken |= at.is_none_or(|at| cursor.lsn > at);
            return;
        }
        if self.bug(ClientBug::CursorSavedBeforeApply) {
            self.meta.cursor = Some(cursor);
            self.pending.meta = true;
            self.commit();
        }
        for entry in entries {
            self.take_entry(entry);
        }
        for conversation in revoked {
            self.forget(conversation, RefusalCode::ConversationUnknown);
            self.notice(Notice::ConversationGone(conversation));
        }
        for grant in granted {
            self.begin_conversation(grant.conversation);
            self.unofferable.remove(&grant.conversation);
            let changed = self.backfills.get(&grant.conversation).is_some_and(|row| row.changed);
            self.begin_backfill(BackfillRow {
                conversation: grant.conversation,
                grant: grant.lsn,
                before: None,
                floor: 0,
                changed,
            });
            self.notice(Notice::ConversationChanged(grant.conversation));
        }
        self.meta.cursor = Some(cursor);
        self.witness(cursor);
        self.pending.meta = true;
        self.forget_taken();
    }

    /// A conversation is visible from here on; what the directory says of it comes with its documents.
    fn begin_conversation(&mut self, conversation: ConversationId) {
        let row = self.conversation_row(conversation);
        if row.lost {
            (row.lost, row.described) = (false, Lsn::ZERO);
        }
    }

    /// Keeps the farthest proof.
    pub(crate) fn witness(&mut self, proof: Cursor) {
        let behind = |known: &Cursor| known.epoch != proof.epoch || known.lsn < proof.lsn;
        if proof.epoch == self.epoch() && self.meta.witness.as_ref().is_none_or(behind) {
            self.meta.witness = Some(proof);
            self.pending.meta = true;
        }
    }

    fn take_entry(&mut self, entry: Entry) {
        let Entry { stamp, body } = entry;
        let visible = |id: &ConversationId| self.conversations.get(id).is_some_and(|row| !row.lost);
        match body.conversation().filter(|id| !visible(id)) {
            Some(_) if matches!(body, EntryBody::Marked { .. }) => return,
            Some(conversation) if !matches!(body, EntryBody::Directory(_)) => {
                // Visible without a grant, in a range that was taken: fetch it like one.
                self.begin_conversation(conversation);
                let grant = stamp.lsn;
                self.begin_backfill(BackfillRow { conversation, grant, before: None, floor: 0, changed: false });
            }
            _ => {}
        }
        match body {
            EntryBody::Fact(placed) => self.take_placed(stamp, placed),
            EntryBody::Opened { document } => self.opened(document),
            EntryBody::Resolved { .. } | EntryBody::Delivered { .. } | EntryBody::Sensitive { .. } => {
                let epoch = self.epoch();
                self.take_event(EventRow { epoch, stamp, body });
            }
            EntryBody::Marked { conversation, message, read } => {
                self.marked(conversation, Marker { member: stamp.member, message, read });
            }
            EntryBody::Directory(event) => self.take_directory(event, stamp.lsn),
            EntryBody::Imported(imported) => self.take_imported(&imported, stamp.lsn),
        }
    }

    /// A fact of the log: new, one's own that is thereby confirmed, or proof that one's own chain was forked.
    fn take_placed(&mut self, stamp: Stamp, placed: PlacedFact) {
        let document = placed.document;
        let known =
            self.replicas.get(&document).is_some_and(|row| row.replica.fact(placed.actor, placed.seq).is_some());
        if known {
            return;
        }
        if let Some(row) = self.outbox.at(document, placed.actor, placed.seq) {
            if row.hash == placed.hash {
                let order = row.order;
                self.confirm(order, stamp, Some(placed));
                return;
            }
            self.forked(document);
        } else if self.is_own(document, &placed) {
            self.forked(document);
        }
        self.note_if_pending(&placed.fact, document, &stamp);
        let epoch = self.epoch();
        self.take_fact(FactRow { epoch, stamp, placed });
    }

    /// The log or a snapshot brings a message that still waits here, by a chain that was abandoned.
    pub(crate) fn note_if_pending(&mut self, fact: &Fact, document: DocumentId, stamp: &Stamp) {
        if let Fact::Message(message) = fact
            && self.outbox.document_of(message.id).is_some_and(|holder| holder.conversation == document.conversation)
        {
            self.note_collision(document.conversation, fact, stamp);
        }
    }

    fn is_own(&self, document: DocumentId, placed: &PlacedFact) -> bool {
        self.documents.get(&document).and_then(|row| row.own).is_some_and(|own| own.actor == placed.actor)
    }

    /// The hub writes into this segment or card from now on.
    pub(crate) fn opened(&mut self, document: DocumentId) {
        let row = self.conversation_row(document.conversation);
        match document.kind {
            DocumentKind::Segment => row.open_segment = row.open_segment.max(document.number),
            DocumentKind::Card => row.open_card = row.open_card.max(document.number),
            DocumentKind::Imported => {}
        }
    }

    /// The row of a conversation, made if there is none.
    pub(crate) fn conversation_row(&mut self, id: ConversationId) -> &mut ConversationRow {
        self.pending.conversations.insert(id);
        self.conversations.entry(id).or_insert_with(|| ConversationRow {
            conversation: Conversation { id, customer: String::new(), service: None, assigned: Vec::new(), keep: None },
            open_segment: 0,
            open_card: 0,
            newest: Lsn::ZERO,
            described: Lsn::ZERO,
            markers: Vec::new(),
            unsent_mark: None,
            lost: false,
        })
    }

    /// A read position: a max-register by LSN.
    pub(crate) fn marked(&mut self, conversation: ConversationId, marker: Marker) {
        let own = self.meta.member == Some(marker.member);
        let row = self.conversation_row(conversation);
        let known = row.markers.binary_search_by_key(&marker.member, |known| known.member);
        let place = |marker: &Marker| (marker.read, marker.message);
        let newer = known.map_or(true, |at| place(&row.markers[at]) < place(&marker));
        match known {
            Ok(at) if newer => row.markers[at] = marker,
            Ok(_) => {}
            Err(at) => row.markers.insert(at, marker),
        }
        if own && row.unsent_mark.is_some_and(|message| message <= marker.message) {
            row.unsent_mark = None;
        }
        if newer {
            self.show_markers(conversation);
        }
    }

    fn show_markers(&mut self, conversation: ConversationId) {
        if let Some(row) = self.conversations.get(&conversation).filter(|_| self.screen.is_open(conversation)) {
            let markers = row.markers.clone();
            self.out.push(Effect::View(ViewEvent::Markers { conversation, markers }));
        }
    }

    /// A catalogue's read positions: what it does not have counts no more, but one's own is told to the hub again.
    pub(crate) fn reset_markers(&mut self, conversation: ConversationId, markers: &[Marker]) {
        let member = self.meta.member;
        let own = |markers: &[Marker]| markers.iter().find(|row| Some(row.member) == member).map(|row| row.message);
        let row = self.conversation_row(conversation);
        let lost = own(&row.markers).filter(|message| own(markers).is_none_or(|known| known < *message));
        row.unsent_mark = row.unsent_mark.max(lost);
        row.markers = markers.to_vec();
        if row.unsent_mark.is_some() {
            self.marks.insert(conversation);
        }
        self.show_markers(conversation);
    }

    /// The member has read up to a message.
    pub(crate) fn mark_read(&mut self, conversation: ConversationId, message: MessageId) -> bool {
        if self.conversations.get(&conversation).is_none_or(|row| row.lost) {
            return false;
        }
        let member = self.meta.member;
        let row = self.conversation_row(conversation);
        let read = row.markers.iter().find(|marker| Some(marker.member) == member);
        let newer = read.is_none_or(|marker| marker.message < message);
        if newer && row.unsent_mark.is_none_or(|unsent| unsent < message) {
            row.unsent_mark = Some(message);
            self.marks.insert(conversation);
        }
        true
    }

    fn take_directory(&mut self, event: DirectoryEvent, lsn: Lsn) {
        if let DirectoryEvent::ConversationShredded { conversation } = event {
            return self.shredded(conversation);
        }
        if let Some(conversation) = event.conversation() {
            if let DirectoryEvent::Expired { document, .. } = event {
                self.expired(document, lsn);
            }
            if let DirectoryEvent::ImportUndone { document, .. } = event
                && !self.planted.is(ClientBug::UndoneKept)
            {
                self.import_gone(document);
            }
            if let DirectoryEvent::ConversationOpened(info) = event {
                let row = self.conversation_row(conversation);
                row.conversation = info;
                row.described = lsn;
            } else if let Some(row) = self.conversations.get_mut(&conversation).filter(|row| !row.lost) {
                if row.described == Lsn::ZERO {
                    // A change of what is not described yet: whoever describes it must know of the change.
                    self.describe_again(conversation, lsn);
                    return;
                }
                row.described = lsn;
                let assigned = &mut row.conversation.assigned;
                match event {
                    DirectoryEvent::Assigned { member, .. } => {
                        if let Err(at) = assigned.binary_search(&member) {
                            assigned.insert(at, member);
                        }
                    }
                    DirectoryEvent::Unassigned { member, .. } => assigned.retain(|other| *other != member),
                    DirectoryEvent::KeepChanged { keep, .. } => row.conversation.keep = keep,
                    _ => {}
                }
                self.pending.conversations.insert(conversation);
            }
            self.notice(Notice::ConversationChanged(conversation));
            return;
        }
        let own = self.meta.member;
        let Some(team) = &mut self.team else { return };
        let mut role = team.role;
        match event {
            DirectoryEvent::MemberAdded(member) => put_member(&mut team.members, member),
            DirectoryEvent::RoleChanged { member, role: new } => {
                team.members.iter_mut().filter(|known| known.id == member).for_each(|known| known.role = new);
                role = if own == Some(member) { new } else { role };
            }
            // The row stays: what they wrote and handled keeps their name.
            DirectoryEvent::MemberRemoved { member } => {
                team.members.iter_mut().filter(|known| known.id == member).for_each(|known| known.role = Role::Former);
                role = if own == Some(member) { Role::Former } else { role };
            }
            DirectoryEvent::PolicyChanged(policy) => team.policy = policy,
            _ => return,
        }
        let promoted = team.role != role;
        team.role = role;
        self.pending.team = true;
        self.notice(Notice::TeamChanged);
        if promoted {
            self.notice(Notice::RoleChanged(role));
        }
    }

    /// The backfill under way starts over: its answer may have been read before the change at `lsn`.
    pub(crate) fn describe_again(&mut self, conversation: ConversationId, lsn: Lsn) {
        let changed = self.backfills.get(&conversation).is_some_and(|row| row.changed);
        self.begin_backfill(BackfillRow { conversation, grant: lsn, before: None, floor: 0, changed });
    }

    /// Deletes the local copy of a conversation; what was written here and not sent moves to "not sent".
    pub(crate) fn forget(&mut self, conversation: ConversationId, code: RefusalCode) {
        self.drop_unsent(conversation, code.number());
        self.conversations.remove(&conversation);
        self.backfills.remove(&conversation);
        self.stale.remove(&conversation);
        self.wanted.retain(|document| document.conversation != conversation);
        let documents: Vec<_> = self.documents.range(DocumentId::all_of(conversation)).map(|(id, _)| *id).collect();
        for document in documents {
            self.documents.remove(&document);
            self.replicas.remove(&document);
        }
        self.drop_offers(conversation);
        self.write(Write::Forget(conversation));
        self.close_view(conversation);
    }

    /// A conversation was destroyed: whatever is held of it goes, offers too.
    pub(crate) fn shredded(&mut self, conversation: ConversationId) {
        let known = self.conversations.contains_key(&conversation);
        if self.bug(ClientBug::ShredIgnored) || !(known || self.offers.holds(conversation)) {
            return;
        }
        self.forget(conversation, RefusalCode::ConversationUnknown);
        self.notice(Notice::ConversationGone(conversation));
    }

    /// Everything in a document was older than the keep time. What was written into it here and is not sent moves to the
    /// open one.
    fn expired(&mut self, document: DocumentId, lsn: Lsn) {
        if self.bug(ClientBug::ExpiredKept) {
            return;
        }
        self.fetched_before(document, lsn);
        if document.kind == DocumentKind::Imported {
            return self.import_gone(document);
        }
        // Only what is closed expires, and this device may not know yet of any that is open.
        self.opened(DocumentId { number: document.number.saturating_add(1), ..document });
        self.move_pending(document);
        self.unreadable.remove(&document);
        self.replicas.remove(&document);
        if self.documents.remove(&document).is_some() {
            self.pending.documents.remove(&document);
            self.write(Write::DocumentGone(document));
        }
        self.touch_all(document);
        self.drop_live(document);
    }

    /// Moves everything unsent of a conversation to "not sent".
    pub(crate) fn drop_unsent(&mut self, conversation: ConversationId, code: u16) {
        let orders: Vec<u64> = self.outbox.of_conversation(conversation).map(|row| row.order).collect();
        for order in orders {
            self.give_up(order, code);
        }
        let resolves = self.resolves.values().filter(|(row, _)| row.conversation == conversation);
        for order in resolves.map(|(row, _)| row.order).collect::<Vec<_>>() {
            self.resolves.remove(&order);
            self.write(Write::ResolveGone(order));
        }
    }
}

fn put_member(members: &mut Vec<Member>, member: Member) {
    match members.binary_search_by_key(&member.id, |known| known.id) {
        Ok(at) => members[at] = member,
        Err(at) => members.insert(at, member),
    }
}

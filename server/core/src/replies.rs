//! What is said about messages besides facts: typing, read markers, resolutions of held replies, deliveries, uploads.

use lockstep_protocol::entry::{Delivery, EntryBody, Resolution, Verdict};
use lockstep_protocol::frame::{HubFrame, Marker, Outcome, Resolve, Tag};
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, Lsn, MediaHash, MemberId, MessageId};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::audit::Asked;
use crate::conversation::Slot;
use crate::effect::Effect;
use crate::hub::{Hub, refused};
use crate::input::SessionId;
use crate::lock::Typed;
use crate::log::{Author, Draft};
use crate::planted::HubBug;
use crate::push::target_of;
use crate::row::{IndexRow, Write};

impl Hub {
    /// A member types: the lease. Sending takes none.
    pub(crate) fn typing(
        &mut self,
        id: ConversationId,
        slot: &mut Slot,
        session: SessionId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = self.seeing_member(slot, session).filter(|member| self.access.may_write(*member)) else {
            self.audit_access_alone(session, Asked::Type, id, RefusalCode::WriteForbidden, effects);
            return self.send(session, &refused(None, RefusalCode::WriteForbidden.into()), effects);
        };
        if self.is_service(member) && !self.access.sequenced.policy.services_lock {
            return;
        }
        let now_ms = self.now.mono_ms;
        let tell_ms = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
        let lease = |holder, for_ms| HubFrame::Lease { conversation: id, holder, for_ms: tell_ms(for_ms) };
        let held = self.leases.entry(member).or_default();
        held.retain(|_, until_ms| now_ms < *until_ms);
        let is_holder = slot.lock.lease(now_ms).is_some_and(|lease| lease.holder == member);
        if !is_holder && slot.lock.lease(now_ms).is_none() && held.len() >= limits::LEASES_PER_MEMBER_MAX {
            return self.send(session, &refused(None, RefusalCode::LeasesFull.into()), effects);
        }
        match slot.lock.typed(member, now_ms) {
            Typed::Held { for_ms, tell } => {
                self.leases.entry(member).or_default().insert(id, now_ms + for_ms);
                if tell {
                    self.tell_seeing(slot, &lease(Some(member), for_ms), effects);
                }
            }
            Typed::Taken { by, for_ms } => self.send(session, &lease(Some(by), for_ms), effects),
            Typed::Rest => self.send(session, &lease(None, 0), effects),
        }
    }

    /// Sends a frame to every session whose member may see the conversation.
    fn tell_seeing(&mut self, slot: &Slot, frame: &HubFrame, effects: &mut Vec<Effect>) {
        let bytes: bytes::Bytes = lockstep_protocol::codec::encode(frame).into();
        for session in self.open_sessions() {
            let has_credit = self
                .sessions
                .get(&session)
                .is_some_and(|session| session.unsent_bytes < self.config.session_queue_bytes_max);
            // A lease is worth nothing late: a session without credit is not told.
            let sees = self.seeing_member(slot, session).is_some() || self.planted.is(HubBug::LeaseToldToAll);
            if has_credit && sees {
                self.send_bytes(session, bytes.clone(), effects);
            }
        }
    }

    /// Drops the lease of a member who lost the right to it.
    pub(crate) fn drop_lease(
        &mut self,
        id: ConversationId,
        slot: &mut Slot,
        member: MemberId,
        effects: &mut Vec<Effect>,
    ) {
        if slot.lock.drop_lease(member) {
            if let Some(held) = self.leases.get_mut(&member) {
                held.remove(&id);
            }
            self.tell_seeing(slot, &HubFrame::Lease { conversation: id, holder: None, for_ms: 0 }, effects);
        }
    }

    /// A read marker: a max-register by the LSN of a known message. An older one is done already.
    pub(crate) fn mark(
        &mut self,
        id: ConversationId,
        slot: &mut Slot,
        session: SessionId,
        tag: Tag,
        message: MessageId,
        effects: &mut Vec<Effect>,
    ) {
        let mut draft = Draft::default();
        let outcome = match self.try_mark(id, slot, &mut draft, session, message) {
            Ok(lsn) => Outcome::Done(lsn),
            Err(code) => {
                self.audit_access(&mut draft, session, Asked::Mark, Some(id), Some(code));
                Outcome::Refused(code.into())
            }
        };
        let ticket = self.log.commit(draft, effects);
        self.ack_after(ticket, session, tag, vec![outcome], effects);
    }

    fn try_mark(
        &mut self,
        id: ConversationId,
        slot: &mut Slot,
        draft: &mut Draft,
        session: SessionId,
        message: MessageId,
    ) -> Result<Lsn, RefusalCode> {
        let member = self.seeing_member(slot, session).ok_or(RefusalCode::ConversationUnknown)?;
        let known = target_of(slot, &message)?.0;
        // Whatever came by the log is newer than what was imported.
        let read = if known.document.kind == DocumentKind::Imported { Lsn::ZERO } else { known.stamp.lsn };
        let row = slot.row_mut().ok_or(RefusalCode::ConversationUnknown)?;
        let marker = Marker { member, message, read };
        match row.markers.binary_search_by_key(&member, |marker| marker.member) {
            Ok(at) if (row.markers[at].read, row.markers[at].message) >= (read, message) => return Ok(row.newest),
            Ok(at) => row.markers[at] = marker,
            Err(at) => row.markers.insert(at, marker),
        }
        let body = EntryBody::Marked { conversation: id, message, read };
        Ok(self.append_to(slot, draft, Author::new(member), body).lsn)
    }

    /// The author of a held reply decides: send anyway, judged again, or discard. The first resolution wins.
    pub(crate) fn resolve(
        &mut self,
        slot: &mut Slot,
        session: SessionId,
        resolve: &Resolve,
        effects: &mut Vec<Effect>,
    ) {
        let mut draft = Draft::default();
        let outcome = match self.judge_resolution(slot, session, resolve) {
            Ok((member, document)) => {
                let (message, resolution) = (resolve.message, resolve.resolution);
                Outcome::Done(self.write_resolution(
                    slot,
                    &mut draft,
                    Author::new(member),
                    document,
                    message,
                    resolution,
                ))
            }
            Err(refusal) => {
                let conversation = Some(resolve.conversation);
                self.audit_access(&mut draft, session, Asked::Resolve, conversation, refusal.known());
                Outcome::Refused(*refusal)
            }
        };
        let ticket = self.log.commit(draft, effects);
        self.ack_after(ticket, session, resolve.tag, vec![outcome], effects);
    }

    fn judge_resolution(
        &self,
        slot: &Slot,
        session: SessionId,
        resolve: &Resolve,
    ) -> Result<(MemberId, DocumentId), Box<Refusal>> {
        let no = |code: RefusalCode| Err(Box::new(Refusal::from(code)));
        let Some(member) = self.seeing_member(slot, session) else { return no(RefusalCode::ConversationUnknown) };
        if !self.access.may_write(member) {
            return no(RefusalCode::WriteForbidden);
        }
        let (row, message) = target_of(slot, &resolve.message).map_err(|code| Box::new(Refusal::from(code)))?;
        if row.stamp.member != member {
            return no(RefusalCode::TargetForbidden);
        }
        if !matches!(row.stamp.verdict, Verdict::Held(_)) {
            return no(RefusalCode::NotHeld);
        }
        if message.resolution.is_some() {
            return no(RefusalCode::AlreadyResolved);
        }
        if resolve.resolution == Resolution::Send
            && let Verdict::Held(collision) | Verdict::Flagged(collision) =
                self.lock_verdict(slot, member, resolve.seen)
        {
            let refusal = Refusal::from(RefusalCode::StillCollides);
            return Err(Box::new(Refusal { by: Some(collision.by), ..refusal }));
        }
        Ok((member, row.document))
    }

    /// Writes a resolution; a reply sent anyway counts as accepted from here.
    pub(crate) fn write_resolution(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        author: Author,
        document: DocumentId,
        message: MessageId,
        resolution: Resolution,
    ) -> Lsn {
        let body = EntryBody::Resolved { document, message, resolution };
        let stamp = self.append_event(slot, draft, author, document, body);
        self.update_message(slot, draft, message, |row| {
            row.resolution = Some(resolution);
            if resolution == Resolution::Send {
                row.accepted = Some(stamp.lsn);
            }
        });
        if resolution == Resolution::Send {
            self.reply_accepted(slot, message, &stamp, stamp.lsn);
            slot.store_replies();
            if let Some(row) = slot.row() {
                draft.write(Write::Conversation(Box::new(row.clone())));
            }
        }
        stamp.lsn
    }

    /// A channel connector reports on a reply. Only accepted replies are delivered, and none that was retracted before
    /// the durable `sending`.
    pub(crate) fn deliver(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        member: MemberId,
        message: MessageId,
        delivery: Delivery,
    ) -> Result<Lsn, RefusalCode> {
        if slot.row().is_none_or(|row| row.conversation.service != Some(member)) {
            return Err(RefusalCode::NotPermitted);
        }
        let (row, state) = target_of(slot, &message)?;
        let document = row.document;
        // A report may have been lost with a restore: what was accepted before the current epoch and never reported on
        // has an unknown outcome, and is never sent again unasked. DESIGN section 6.
        let before = state.readmitted || state.accepted.is_some_and(|accepted| accepted <= self.log.epoch_start());
        let known = state.delivery.or(before.then_some(Delivery::Unknown));
        let deliverable = state.accepted.is_some() && (state.retracted_by.is_empty() || state.delivery.is_some());
        let follows = match known {
            None => delivery == Delivery::Sending,
            Some(Delivery::Sending) => delivery != Delivery::Sending,
            Some(Delivery::Unknown) => matches!(delivery, Delivery::Sent | Delivery::Failed),
            Some(Delivery::Sent | Delivery::Failed) => false,
        };
        if !deliverable || !follows {
            return Err(RefusalCode::TargetForbidden);
        }
        Ok(self.write_delivery(slot, draft, Author::new(member), document, message, delivery))
    }

    pub(crate) fn write_delivery(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        author: Author,
        document: DocumentId,
        message: MessageId,
        delivery: Delivery,
    ) -> Lsn {
        let body = EntryBody::Delivered { document, message, delivery };
        let stamp = self.append_event(slot, draft, author, document, body);
        self.update_message(slot, draft, message, |row| row.delivery = Some(delivery));
        stamp.lsn
    }

    /// Appends an entry that changes a document's table.
    pub(crate) fn append_event(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        author: Author,
        document: DocumentId,
        body: EntryBody,
    ) -> lockstep_protocol::entry::Stamp {
        let mut row = slot.document(document).map(|state| state.row).unwrap_or_default();
        let stamp = self.append_to(slot, draft, author, body.clone());
        row.digest.toggle_event(&body, &stamp.mac);
        row.newest = stamp.lsn;
        row.tail += 1;
        if let Some(state) = slot.document_mut(document) {
            state.row = row;
        }
        draft.write(Write::Document(document, row));
        stamp
    }

    /// Appends an entry of the conversation and stores the conversation's row with it.
    pub(crate) fn append_to(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        author: Author,
        body: EntryBody,
    ) -> lockstep_protocol::entry::Stamp {
        let stamp = self.log.append(draft, self.now.wall_ms, author, body);
        slot.newest = stamp.lsn;
        if let Some(row) = slot.row_mut() {
            row.newest = stamp.lsn;
            draft.write(Write::Conversation(Box::new(row.clone())));
        }
        stamp
    }

    /// A blob was uploaded: its uploader may name it in this conversation.
    pub(crate) fn uploaded(
        &mut self,
        _id: ConversationId,
        slot: &mut Slot,
        member: MemberId,
        media: &MediaHash,
        effects: &mut Vec<Effect>,
    ) {
        if !self.sees(slot, member) {
            return;
        }
        let key = self.log.key.media_key(media);
        let mut row = Self::media_row(slot, &key).unwrap_or_default();
        let Err(at) = row.uploaded_by.binary_search(&member) else { return };
        row.uploaded_by.insert(at, member);
        let mut draft = Draft::default();
        self.write_index(slot, &mut draft, key, IndexRow::Media(row));
        self.log.commit(draft, effects);
    }
}

//! Re-admission: after a restore, what returning devices still hold is written again, with its old author, time and
//! verdict, by the hub's own recovery actor. DESIGN section 6.

use lockstep_protocol::change::{self, ChainHead};
use lockstep_protocol::entry::{Delivery, EntryBody, Origin, PlacedFact, Verdict};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::frame::{OfferedEntry, Outcome, Tag};
use lockstep_protocol::id::{ActorId, ConversationId, DeviceId, DocumentId, DocumentKind, Lsn};
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::audit::Asked;
use crate::conversation::{Slot, Work};
use crate::effect::Effect;
use crate::hub::Hub;
use crate::input::SessionId;
use crate::log::{Author, Draft};
use crate::planted::HubBug;
use crate::push::{Place, open_number, target_of};

/// An Offer whose entries lie in several conversations: its Ack waits for all of them.
#[derive(Debug)]
pub(crate) struct OfferJob {
    results: Vec<Option<Outcome>>,
}

impl Hub {
    /// A device offers stamped entries of an earlier epoch.
    pub(crate) fn offered(&mut self, id: SessionId, tag: Tag, entries: Vec<OfferedEntry>, effects: &mut Vec<Effect>) {
        if entries.is_empty() {
            return self.ack_now(id, tag, Vec::new(), effects);
        }
        if self.offers.contains_key(&(id, tag)) {
            return self.refuse_session(id, RefusalCode::FrameUnexpected.into(), effects);
        }
        self.offers.insert((id, tag), OfferJob { results: vec![None; entries.len()] });
        let mut by_conversation: Vec<(ConversationId, Vec<(usize, OfferedEntry)>)> = Vec::new();
        let mut refused = Vec::new();
        for (place, offered) in entries.into_iter().enumerate() {
            match offered.body.document().map(|document| document.conversation) {
                Some(conversation) => match by_conversation.iter_mut().find(|(id, _)| *id == conversation) {
                    Some((_, group)) => group.push((place, offered)),
                    None => by_conversation.push((conversation, vec![(place, offered)])),
                },
                // Directory entries are not re-admitted.
                None => refused.push((place, Outcome::Refused(RefusalCode::WrongDocument.into()))),
            }
        }
        self.offer_results(id, tag, refused, effects);
        for (conversation, group) in by_conversation {
            self.park(conversation, Work::Offer(id, tag, group), effects);
        }
    }

    /// Some of an Offer's results are there; the Ack goes out with the last, once all is durable.
    pub(crate) fn offer_results(
        &mut self,
        id: SessionId,
        tag: Tag,
        results: Vec<(usize, Outcome)>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(job) = self.offers.get_mut(&(id, tag)) else { return };
        for (place, outcome) in results {
            if let Some(result) = job.results.get_mut(place) {
                *result = Some(outcome);
            }
        }
        if job.results.iter().all(Option::is_some)
            && let Some(job) = self.offers.remove(&(id, tag))
        {
            let results = job.results.into_iter().flatten().collect();
            self.ack_after(self.log.last_ticket(), id, tag, results, effects);
        }
    }

    /// Re-admits the entries of an Offer that belong to one conversation.
    pub(crate) fn readmit(
        &mut self,
        slot: &mut Slot,
        id: SessionId,
        tag: Tag,
        entries: Vec<(usize, OfferedEntry)>,
        effects: &mut Vec<Effect>,
    ) {
        let mut draft = Draft::default();
        let mut results = Vec::with_capacity(entries.len());
        for (place, offered) in entries {
            let outcome = match self.readmit_one(slot, &mut draft, id, offered) {
                Ok(outcome) => outcome,
                Err(code) => {
                    let conversation = slot.row().map(|row| row.conversation.id);
                    self.audit_access(&mut draft, id, Asked::Offer, conversation, Some(code));
                    Outcome::Refused(Refusal::from(code))
                }
            };
            results.push((place, outcome));
        }
        self.log.commit(draft, effects);
        self.offer_results(id, tag, results, effects);
    }

    fn readmit_one(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        id: SessionId,
        offered: OfferedEntry,
    ) -> Result<Outcome, RefusalCode> {
        // A permitted device: it may see the conversation. What it returns, the hub itself once accepted.
        self.seeing_member(slot, id).ok_or(RefusalCode::ConversationUnknown)?;
        let OfferedEntry { epoch, stamp, body } = offered;
        let is_ours = stamp.verify(&self.log.key, &epoch, &body.mac_bytes());
        if !is_ours && !self.planted.is(HubBug::StampBelieved) {
            return Err(RefusalCode::StampInvalid);
        }
        let author = Author { verdict: stamp.verdict, at_ms: Some(stamp.at_ms), ..Author::new(stamp.member) };
        match body {
            EntryBody::Fact(placed) => {
                if slot.fact_row(&placed.fact.key_id()).is_some() {
                    return Ok(Outcome::Known);
                }
                self.readmit_fact(slot, draft, author, placed, Origin { epoch, lsn: stamp.lsn })
                    .map(Outcome::Readmitted)
            }
            EntryBody::Resolved { message, resolution, .. } => {
                let (row, state) = target_of(slot, &message)?;
                if state.resolution.is_some() || !matches!(row.stamp.verdict, Verdict::Held(_)) {
                    return Ok(Outcome::Known);
                }
                let document = row.document;
                let author = Author { verdict: Verdict::Accepted, ..author };
                Ok(Outcome::Readmitted(self.write_resolution(slot, draft, author, document, message, resolution)))
            }
            EntryBody::Delivered { message, delivery, .. } => {
                let (row, state) = target_of(slot, &message)?;
                if state.delivery.is_some_and(|known| certainty(known) >= certainty(delivery)) {
                    return Ok(Outcome::Known);
                }
                let document = row.document;
                Ok(Outcome::Readmitted(self.write_delivery(slot, draft, author, document, message, delivery)))
            }
            // Its message was marked again when it came back, by the list as it is now.
            EntryBody::Sensitive { .. } => Ok(Outcome::Known),
            EntryBody::Opened { .. } | EntryBody::Marked { .. } | EntryBody::Directory(_) | EntryBody::Imported(_) => {
                Err(RefusalCode::WrongDocument)
            }
        }
    }

    fn readmit_fact(
        &mut self,
        slot: &mut Slot,
        draft: &mut Draft,
        author: Author,
        placed: PlacedFact,
        origin: Origin,
    ) -> Result<Lsn, RefusalCode> {
        let PlacedFact { document, fact, .. } = placed;
        if document.kind == DocumentKind::Imported {
            return Err(RefusalCode::WrongDocument);
        }
        fact.check(document.kind)?;
        // Its target was known once, the stamp says so. If it was an imported message, the restore may have taken it
        // until the import is run again; what members made of it must not go with it.
        let Some(row) = slot.row() else { return Err(RefusalCode::ConversationUnknown) };
        let open = DocumentId { number: open_number(row, document.kind), ..document };
        let keep_ms = row.conversation.keep_under(&self.access.sequenced.policy).ms();
        let is_over = keep_ms.zip(author.at_ms).is_some_and(|(ms, at)| at.saturating_add(ms) <= self.now.wall_ms);
        // Also what went with its document before the keep time was made longer.
        let is_expired = is_over || self.is_gone(slot, document);
        if is_expired && document.kind == DocumentKind::Segment && !self.planted.is(HubBug::ExpiredReadmitted) {
            return Err(RefusalCode::Expired);
        }
        // Into the document where it stood, unless the restored hub does not know it or it is full now.
        let state = slot.document(document).map(|state| state.row).unwrap_or_default();
        let stands = document.number < open.number && state.ops > 0 && self.fits(&state, false, true, &fact);
        let document = if stands { document } else { open };
        let actor = ActorId::recovery(&self.id, &self.log.epoch, document);
        let chain = slot.document(document).and_then(|state| state.chains.get(&actor));
        let mut head = chain.map_or_else(|| ChainHead::empty(document.kind), |chain| chain.head);
        if self.planted.is(HubBug::HoleInRecoveryChain) && head.seq == 1 {
            head.seq += 1;
        }
        let after = change::derive(&actor, &head, &fact);
        let verdict = match (&fact, self.planted.is(HubBug::ReadmissionJudgedAgain)) {
            (Fact::Message(message), true) if message.dir == lockstep_protocol::fact::Direction::Out => {
                self.lock_verdict(slot, author.member, message.seen)
            }
            _ => author.verdict,
        };
        let place = Place {
            document,
            actor,
            seq: after.seq,
            head: after,
            device: DeviceId::default(),
            opening: None,
            origin: Some(origin),
        };
        Ok(self.place(slot, draft, Author { verdict, ..author }, place, fact).lsn)
    }
}

/// How much is known of a delivery: a report is re-admitted only over one that says less, so none is written twice.
const fn certainty(delivery: Delivery) -> u8 {
    match delivery {
        Delivery::Sending => 1,
        Delivery::Unknown => 2,
        Delivery::Sent | Delivery::Failed => 3,
    }
}

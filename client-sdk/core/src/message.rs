//! A message as it is shown: from every fact and event about it, stamped or pending.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::entry::{Delivery, EntryBody, Resolution, Verdict};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::id::{DocumentKind, Lsn, MemberId, MessageId};

use crate::replica::Replica;
use crate::row::{FactRow, OutboxRow, ResolveRow};
use crate::view::{MessageState, MessageView};

/// One message, from the documents of its conversation that are at hand; none if none of them holds it.
#[must_use]
pub fn message<'a>(
    replicas: &[&'a Replica],
    pending: impl IntoIterator<Item = &'a OutboxRow>,
    resolves: impl IntoIterator<Item = &'a ResolveRow>,
    id: MessageId,
) -> Option<MessageView> {
    let mut stamped: Option<(&Message, &FactRow)> = None;
    let mut waiting: Option<&Message> = None;
    let mut layers = Layers::default();
    for row in replicas.iter().flat_map(|replica| replica.about(id)) {
        match &row.placed.fact {
            Fact::Message(message) => stamped = stamped.or(Some((message, row))),
            fact => layers.add(fact),
        }
    }
    for row in pending {
        match &row.fact {
            Fact::Message(message) if message.id == id => waiting = waiting.or(Some(message)),
            fact if fact.target() == Some(id) => layers.add(fact),
            _ => {}
        }
    }
    let message = stamped.map(|(message, _)| message).or(waiting)?;
    let mut resolution: Option<(Lsn, Resolution)> = None;
    let mut delivery: Option<(Lsn, Delivery)> = None;
    let mut sensitive = BTreeSet::new();
    for row in replicas.iter().flat_map(|replica| replica.events_about(id)) {
        match row.body {
            EntryBody::Resolved { resolution: chosen, .. } => {
                let first = resolution.is_none_or(|(lsn, _)| row.stamp.lsn < lsn);
                resolution = if first { Some((row.stamp.lsn, chosen)) } else { resolution };
            }
            EntryBody::Delivered { delivery: got, .. } => {
                delivery = delivery.max(Some((row.stamp.lsn, got)));
            }
            EntryBody::Sensitive { category, .. } => {
                sensitive.insert(category);
            }
            _ => {}
        }
    }
    Some(MessageView {
        id,
        by: message.by,
        dir: message.dir,
        kind: message.kind.clone(),
        body: layers.edit.map_or(&message.body, |(_, body)| body).clone(),
        edited: layers.edit.is_some(),
        retracted: layers.retraction.map(|(_, reason)| reason.clone()),
        reactions: layers
            .reactions
            .into_iter()
            .filter(|(_, (_, emoji))| !emoji.is_empty())
            .map(|(member, (_, emoji))| (member, emoji.clone()))
            .collect(),
        state: state(message, stamped.map(|(_, row)| row), resolution.map(|(_, chosen)| chosen)),
        resolving: resolves.into_iter().any(|row| row.message == id),
        delivery: delivery.map(|(_, got)| got),
        media: message.media.clone(),
        re: message.re,
        sensitive: sensitive.into_iter().collect(),
    })
}

/// Every message that some documents of one conversation, and the outbox rows of that conversation, hold, in order.
#[must_use]
pub fn messages(replicas: &[&Replica], pending: &[&OutboxRow], resolves: &[&ResolveRow]) -> Vec<MessageView> {
    let mut ids: BTreeSet<MessageId> = replicas.iter().flat_map(|replica| replica.message_ids()).collect();
    ids.extend(pending.iter().filter_map(|row| match &row.fact {
        Fact::Message(message) => Some(message.id),
        _ => None,
    }));
    let view = |id| message(replicas, pending.iter().copied(), resolves.iter().copied(), id);
    ids.into_iter().filter_map(view).collect()
}

fn state(message: &Message, stamped: Option<&FactRow>, resolution: Option<Resolution>) -> MessageState {
    let Some(row) = stamped else { return MessageState::Pending };
    if row.placed.document.kind == DocumentKind::Imported {
        return MessageState::Imported;
    }
    match (row.stamp.verdict, resolution) {
        (Verdict::Held(_), Some(Resolution::Send)) => MessageState::SentAnyway,
        (Verdict::Held(_), Some(Resolution::Discard)) => MessageState::Discarded,
        (Verdict::Held(collision), None) if message.dir == Direction::Out => MessageState::Held(collision),
        (Verdict::Flagged(collision), _) => MessageState::Flagged(collision),
        (Verdict::Accepted | Verdict::Held(_), _) => MessageState::Sent,
    }
}

/// What lies over a message: of each kind the highest ULID.
#[derive(Default)]
struct Layers<'a> {
    edit: Option<([u8; 16], &'a String)>,
    retraction: Option<([u8; 16], &'a String)>,
    reactions: BTreeMap<MemberId, ([u8; 16], &'a String)>,
}

impl<'a> Layers<'a> {
    fn add(&mut self, fact: &'a Fact) {
        match fact {
            Fact::Edit { id, body, .. } => self.edit = self.edit.max(Some((id.0, body))),
            Fact::Retraction { id, reason, .. } => self.retraction = self.retraction.max(Some((id.0, reason))),
            Fact::Reaction { by, id, emoji, .. } => {
                let newest = self.reactions.entry(*by).or_insert((id.0, emoji));
                *newest = (*newest).max((id.0, emoji));
            }
            Fact::Message(_) | Fact::Field { .. } | Fact::Label { .. } => {}
        }
    }
}

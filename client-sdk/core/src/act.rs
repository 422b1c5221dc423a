//! What a member does: facts are written at once, offline too.

use lockstep_protocol::entry::{Resolution, Verdict};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, DeviceFrame};
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, FactId, MemberId, MessageId};
use lockstep_protocol::refusal::RefusalCode;
use lockstep_protocol::snapshot::DocumentDigest;

use crate::device::Device;
use crate::effect::{ActOutcome, Effect};
use crate::input::{Act, Draft, Request};
use crate::message::message;
use crate::outbox::OUTBOX_MAX;
use crate::planted::ClientBug;
use crate::push::Question;
use crate::row::{ResolveRow, Write};
use crate::view::MessageState;

/// Commands that may wait for the hub's answer.
const COMMANDS_MAX: usize = 64;

impl Device {
    /// Does an act whose documents are in memory.
    pub(crate) fn act(&mut self, request: Request, act: Act) {
        match self.try_act(request, act) {
            Some(ActOutcome::Written(id)) => self.done.push_back((self.ticket(), request, ActOutcome::Written(id))),
            Some(ActOutcome::Done) => {
                let empty = self.pending.writes.is_empty() && !self.pending.meta && self.pending.documents.is_empty();
                let ticket =
                    if empty && self.pending.conversations.is_empty() { self.persisted } else { self.ticket() };
                self.done.push_back((ticket, request, ActOutcome::Done));
            }
            Some(outcome) => self.out.push(Effect::ActDone { request, outcome }),
            None => {}
        }
    }

    fn try_act(&mut self, request: Request, act: Act) -> Option<ActOutcome> {
        if self.outbox.len() >= OUTBOX_MAX && writes(&act) {
            return Some(ActOutcome::Busy);
        }
        let outcome = match act {
            Act::Write(draft) => self.write_draft(draft).map(ActOutcome::Written),
            Act::Edit { conversation, message, body } => self.edit(conversation, message, body),
            Act::Retract { conversation, message, reason } => {
                self.about(conversation, message, |id, _| Fact::Retraction { message, id, reason })
            }
            Act::React { conversation, message, emoji } => {
                self.about(conversation, message, |id, by| Fact::Reaction { message, by, id, emoji })
            }
            Act::SetField { conversation, name, value } => {
                self.card(conversation, |id| Fact::Field { name, id, value })
            }
            Act::SetLabel { conversation, label, on } => self.card(conversation, |id| Fact::Label { label, id, on }),
            Act::MarkRead { conversation, message } => match self.mark_read(conversation, message) {
                true => Ok(ActOutcome::Done),
                false => Err(RefusalCode::ConversationUnknown),
            },
            Act::Type { conversation } => {
                self.type_in(conversation);
                Ok(ActOutcome::Done)
            }
            Act::Resolve { conversation, message, resolution } => self.resolve(conversation, message, resolution),
            Act::Command(command) => return self.command(request, command),
            Act::Open { conversation } => self.visible(conversation).map(|()| {
                self.open_view(conversation);
                ActOutcome::Done
            }),
            Act::ShowOlder { conversation } => {
                self.show_older(conversation);
                Ok(ActOutcome::Done)
            }
            Act::Close { conversation } => {
                self.close_view(conversation);
                Ok(ActOutcome::Done)
            }
            Act::Dismiss { item } => {
                if self.not_sent.remove(&item).is_some() {
                    self.write(Write::NotSentGone(item));
                }
                Ok(ActOutcome::Done)
            }
            Act::Enrol { code, name } => {
                self.enrol(code, name);
                Ok(ActOutcome::Done)
            }
            Act::Connect => {
                self.connect_now();
                Ok(ActOutcome::Done)
            }
        };
        Some(outcome.unwrap_or_else(ActOutcome::Rejected))
    }

    fn visible(&self, conversation: ConversationId) -> Result<(), RefusalCode> {
        let known = self.conversations.get(&conversation).is_some_and(|row| !row.lost);
        if known { Ok(()) } else { Err(RefusalCode::ConversationUnknown) }
    }

    fn member(&self) -> Result<MemberId, RefusalCode> {
        self.meta.member.ok_or(RefusalCode::DeviceUnknown)
    }

    fn write_draft(&mut self, draft: Draft) -> Result<MessageId, RefusalCode> {
        let Draft { conversation, dir, kind, body, re, media, id } = draft;
        self.visible(conversation)?;
        let by = self.member()?;
        let seen = if dir == Direction::Out { self.seen(conversation) } else { None };
        let id = id.unwrap_or_else(|| MessageId(self.ulid()));
        let fact = Fact::Message(Message { id, by, dir, kind, body, seen, re, media, src: None });
        self.write_fact(self.open_document(conversation, DocumentKind::Segment), fact)?;
        Ok(id)
    }

    fn write_fact(&mut self, document: DocumentId, fact: Fact) -> Result<ActOutcome, RefusalCode> {
        fact.check(document.kind)?;
        let order = self.order();
        self.append(document, fact, order);
        Ok(ActOutcome::Done)
    }

    /// The newest accepted reply on this device, by anyone, in order of acceptance.
    pub(crate) fn seen(&self, conversation: ConversationId) -> Option<MessageId> {
        if self.bug(ClientBug::SeenIsNone) {
            return None;
        }
        let segments = DocumentId::segment(conversation, 0)..=DocumentId::segment(conversation, u32::MAX);
        let replies = self.documents.range(segments).filter_map(|(_, row)| row.newest_reply);
        replies.max().map(|reply| reply.message)
    }

    fn edit(&mut self, conversation: ConversationId, id: MessageId, body: String) -> Result<ActOutcome, RefusalCode> {
        self.visible(conversation)?;
        let view = self.message_view(conversation, id).ok_or(RefusalCode::TargetUnknown)?;
        if view.by != self.member()? {
            return Err(RefusalCode::TargetForbidden);
        }
        if !matches!(view.state, MessageState::Held(_)) {
            return self.about(conversation, id, |fact, _| Fact::Edit { message: id, id: fact, body });
        }
        // A held reply cannot be edited: it is discarded, and the new text is a new reply.
        let (dir, kind, re, media) = (view.dir, view.kind, view.re, view.media);
        let draft = Draft { conversation, dir, kind, body, re, media, id: None };
        let written = self.write_draft(draft)?;
        self.add_resolve(conversation, id, Resolution::Discard);
        Ok(ActOutcome::Written(written))
    }

    /// Writes a fact about a message into the document that holds it.
    fn about(
        &mut self,
        conversation: ConversationId,
        id: MessageId,
        fact: impl FnOnce(FactId, MemberId) -> Fact,
    ) -> Result<ActOutcome, RefusalCode> {
        self.visible(conversation)?;
        let by = self.member()?;
        let mut document = self.holder(conversation, id).ok_or(RefusalCode::TargetUnknown)?;
        if document.kind == DocumentKind::Imported {
            // Nobody writes into it any more.
            document = self.open_document(conversation, DocumentKind::Segment);
        }
        let own = FactId(self.ulid());
        self.write_fact(document, fact(own, by))
    }

    fn card(
        &mut self,
        conversation: ConversationId,
        fact: impl FnOnce(FactId) -> Fact,
    ) -> Result<ActOutcome, RefusalCode> {
        self.visible(conversation)?;
        self.member()?;
        let id = FactId(self.ulid());
        self.write_fact(self.open_document(conversation, DocumentKind::Card), fact(id))
    }

    fn resolve(
        &mut self,
        conversation: ConversationId,
        id: MessageId,
        resolution: Resolution,
    ) -> Result<ActOutcome, RefusalCode> {
        self.visible(conversation)?;
        let view = self.message_view(conversation, id).ok_or(RefusalCode::TargetUnknown)?;
        if view.by != self.member()? {
            return Err(RefusalCode::TargetForbidden);
        }
        match view.state {
            MessageState::Held(_) => {}
            MessageState::SentAnyway | MessageState::Discarded => return Err(RefusalCode::AlreadyResolved),
            _ => return Err(RefusalCode::NotHeld),
        }
        self.add_resolve(conversation, id, resolution);
        Ok(ActOutcome::Done)
    }

    fn add_resolve(&mut self, conversation: ConversationId, message: MessageId, resolution: Resolution) {
        let seen = if resolution == Resolution::Send { self.seen(conversation) } else { None };
        let order = self.order();
        let row = ResolveRow { order, conversation, message, resolution, seen };
        self.write(Write::Resolve(Box::new(row.clone())));
        let ticket = self.ticket();
        self.resolves.insert(order, (row, ticket));
        self.touch(DocumentId::segment(conversation, 0), Some(message));
    }

    fn command(&mut self, request: Request, command: Command) -> Option<ActOutcome> {
        if !self.session.online() {
            return Some(ActOutcome::Offline);
        }
        let waiting = self.questions.values().filter(|question| matches!(question, Question::Command(_))).count();
        if waiting >= COMMANDS_MAX {
            return Some(ActOutcome::Busy);
        }
        let tag = self.tag();
        self.questions.insert(tag, Question::Command(request));
        self.send(&DeviceFrame::Command { tag, command });
        None
    }

    /// The segment that holds a message, pending or stamped, among those in memory.
    fn holder(&self, conversation: ConversationId, id: MessageId) -> Option<DocumentId> {
        let stamped = || {
            self.replicas
                .range(DocumentId::all_of(conversation))
                .rev()
                .find(|(_, loaded)| loaded.replica.has_message(id))
        };
        let pending = self.outbox.document_of(id).filter(|document| document.conversation == conversation);
        pending.or_else(|| stamped().map(|(document, _)| *document))
    }

    /// The document that an act must wait for: the message that it is about is searched for, newest segments first.
    pub(crate) fn act_misses(&self, act: &Act) -> Option<DocumentId> {
        match act {
            Act::Edit { conversation, message, .. }
            | Act::Retract { conversation, message, .. }
            | Act::React { conversation, message, .. }
            | Act::Resolve { conversation, message, .. } => {
                if self.visible(*conversation).is_err() || self.holder(*conversation, *message).is_some() {
                    return None;
                }
                let segments = DocumentId::segment(*conversation, 0)..=DocumentId::segment(*conversation, u32::MAX);
                let imported = self.documents.range(DocumentId::all_imported(*conversation)).rev();
                let imported = imported.filter(|(_, row)| row.digest != DocumentDigest::default());
                let searched = self.documents.range(segments).rev().chain(imported);
                searched.map(|(id, _)| *id).find(|id| self.absent(*id))
            }
            Act::Open { conversation } => {
                self.visible(*conversation).ok()?;
                self.absent_from(*conversation, self.oldest_shown(*conversation))
            }
            Act::ShowOlder { conversation } => self.next_older(*conversation).filter(|document| self.absent(*document)),
            _ => None,
        }
    }

    /// One message as it is to be shown, from the documents in memory.
    #[must_use]
    pub fn message_view(&self, conversation: ConversationId, id: MessageId) -> Option<crate::view::MessageView> {
        let replicas = self.replicas.range(DocumentId::all_of(conversation));
        let replicas: Vec<_> = replicas.map(|(_, loaded)| &loaded.replica).collect();
        let resolves = self.resolves.values().map(|(row, _)| row);
        message(&replicas, self.outbox.about(conversation, id), resolves, id)
    }

    /// How the hub judged a stamped message, for callers that decide by it.
    #[must_use]
    pub fn verdict(&self, document: DocumentId, id: MessageId) -> Option<Verdict> {
        let replica = &self.replicas.get(&document)?.replica;
        let message = replica.about(id).find(|row| matches!(row.placed.fact, Fact::Message(_)));
        message.map(|row| row.stamp.verdict)
    }
}

/// Whether an act writes a fact.
const fn writes(act: &Act) -> bool {
    matches!(
        act,
        Act::Write(_)
            | Act::Edit { .. }
            | Act::Retract { .. }
            | Act::React { .. }
            | Act::SetField { .. }
            | Act::SetLabel { .. }
    )
}

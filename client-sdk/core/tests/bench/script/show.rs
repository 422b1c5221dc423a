//! Effects and rows as short text.

use std::fmt::Write as _;

use super::*;

impl Bench {
    pub(super) fn note_effect(&mut self, effect: &Effect) {
        if let Effect::Persist(transaction) = effect {
            for write in &transaction.writes {
                use lockstep_client_core::row::Write;
                if let Write::Outbox(row) = write
                    && let Fact::Message(message) = &row.fact
                {
                    self.messages.insert(message.body.clone(), message.id);
                }
            }
        }
        if self.quiet {
            return;
        }
        let line = match effect {
            Effect::Connect { .. } => "connect".to_owned(),
            Effect::Disconnect { .. } => "disconnect".to_owned(),
            Effect::Persist(Transaction { ticket: Ticket(_), writes }) => format!("persist {}", writes.len()),
            Effect::Load(Query::Document(document)) => format!("load {}", document_name(*document)),
            Effect::Apply(Apply::Parse { document, .. }) => format!("parse {}", document_name(*document)),
            Effect::Apply(Apply::Build { document, facts, .. }) => {
                format!("build {} {}", document_name(*document), facts.len())
            }
            Effect::Apply(Apply::Extend { document, facts, .. }) => {
                format!("extend {} {}", document_name(*document), facts.len())
            }
            Effect::Apply(Apply::Drop { document }) => format!("drop {}", document_name(*document)),
            Effect::ActDone { outcome: ActOutcome::Written(_), .. } => "done".to_owned(),
            Effect::ActDone { outcome, .. } => format!("done {outcome:?}"),
            Effect::Notice(Notice::Online { .. }) => "online".to_owned(),
            Effect::Notice(Notice::ConversationChanged(_)) => return,
            Effect::Notice(notice) => {
                let text = format!("{notice:?}");
                text.split(['(', ' ']).next().unwrap_or_default().to_lowercase()
            }
            Effect::Send { bytes, .. } => match decode_device(bytes).expect("a device frame").expect("known") {
                DeviceFrame::Push(push) => format!("push {}", self.push_text(&push)),
                DeviceFrame::Hello(hello) => format!(
                    "hello cursor={} witness={}",
                    hello.cursor.map_or(0, |cursor| cursor.lsn.0),
                    hello.witness.map_or(0, |cursor| cursor.lsn.0)
                ),
                DeviceFrame::Offer { entries, .. } => {
                    let lsns: Vec<_> = entries.iter().map(|entry| entry.stamp.lsn).collect();
                    format!("offer {lsns:?}")
                }
                DeviceFrame::Fetch(fetch) if fetch.imported => format!("fetch imported before={:?}", fetch.before),
                DeviceFrame::Fetch(fetch) => format!("fetch before={:?}", fetch.before),
                DeviceFrame::Resolve(resolve) => {
                    format!("resolve {:?} seen={}", resolve.resolution, self.name(resolve.seen))
                }
                DeviceFrame::Mark { message, .. } => format!("mark {}", self.name(Some(message))),
                DeviceFrame::Enrol(enrol) => format!("enrol {}", enrol.name),
                DeviceFrame::Typing { .. } => "typing".to_owned(),
                DeviceFrame::Ping {} => "ping".to_owned(),
                other => format!("{other:?}"),
            },
            Effect::View(event) => view_text(event),
        };
        let _ = writeln!(self.log, "  {line}");
    }

    pub(super) fn name(&self, id: Option<MessageId>) -> String {
        let Some(id) = id else { return "-".to_owned() };
        self.messages.iter().find(|(_, known)| **known == id).map_or("?".to_owned(), |(name, _)| name.clone())
    }

    pub(super) fn push_text(&self, push: &Push) -> String {
        let nonce = if push.nonce.is_some() { " opening" } else { "" };
        let facts: Vec<_> = push.facts.iter().map(|fact| self.fact_text(&fact.fact)).collect();
        format!("{}#{}{nonce} {}", document_name(push.document), push.seq, facts.join(" "))
    }

    pub(super) fn fact_text(&self, fact: &Fact) -> String {
        match fact {
            Fact::Message(message) if message.dir == Direction::Out => {
                format!("{}(seen {})", message.body, self.name(message.seen))
            }
            Fact::Message(message) => message.body.clone(),
            Fact::Edit { message, body, .. } => format!("{}>{body}", self.name(Some(*message))),
            Fact::Retraction { message, .. } => format!("!{}", self.name(Some(*message))),
            Fact::Reaction { message, emoji, .. } => format!("{}{emoji}", self.name(Some(*message))),
            other => format!("{other:?}"),
        }
    }

    /// The store's rows in short, and the messages that they mean.
    pub(super) fn show_rows(&mut self) {
        let rows = &self.rows;
        let mut line = String::new();
        let cursor = rows.meta.cursor.map_or(0, |cursor| cursor.lsn.0);
        let witness = rows.meta.witness.map_or(0, |cursor| cursor.lsn.0);
        let _ = write!(line, "  cursor={cursor} witness={witness} facts={}", rows.facts.len());
        for (name, count) in [
            ("outbox", rows.outbox.len()),
            ("resolves", rows.resolves.len()),
            ("offers", rows.offers.len()),
            ("backfills", rows.backfills.len()),
            ("conversations", rows.conversations.len()),
        ] {
            if count > 0 {
                let _ = write!(line, " {name}={count}");
            }
        }
        for row in rows.conversations.values().filter(|row| row.conversation.assigned != [ME]) {
            let _ = write!(line, " assigned:{:?}", row.conversation.assigned);
        }
        for row in rows.not_sent.values() {
            let _ = write!(line, " not-sent:{}:{}", row.code, self.fact_text(&row.fact));
        }
        let documents: Vec<_> = rows.documents.keys().copied().collect();
        let replicas: Vec<Replica> = documents
            .iter()
            .map(|document| {
                let lockstep_client_core::query::Answer::Document { facts, events } =
                    rows.load(&Query::Document(*document));
                Replica::from_rows(*document, facts, events)
            })
            .collect();
        for replica in &replicas {
            assert_eq!(replica.digest(), rows.documents[&replica.document()].digest, "the stored digest fits the rows");
        }
        let pending: Vec<_> = rows.outbox.values().collect();
        for replica in &replicas {
            if let Some(own) = rows.documents[&replica.document()].own.filter(|own| own.head.seq > 0) {
                let head = replica.heads(pending.iter().copied()).get(&own.actor).copied();
                assert_eq!(head, Some(own.head), "the own chain's head fits the facts and the outbox");
            }
        }
        let resolves: Vec<_> = rows.resolves.values().collect();
        let messages =
            lockstep_client_core::message::messages(&replicas.iter().collect::<Vec<_>>(), &pending, &resolves);
        let shown: Vec<_> = messages.iter().map(message_text).collect();
        let _ = writeln!(self.log, "{line} [{}]", shown.join(", "));
    }
}

fn message_text(message: &MessageView) -> String {
    let state = match message.state {
        MessageState::Pending => "pending",
        MessageState::Sent => "sent",
        MessageState::Held(_) => "held",
        MessageState::Flagged(_) => "flagged",
        MessageState::SentAnyway => "sent-anyway",
        MessageState::Discarded => "discarded",
        MessageState::Imported => "imported",
    };
    let mut text = format!("{} {state}", message.body);
    if message.edited {
        text.push_str(" edited");
    }
    if message.retracted.is_some() {
        text.push_str(" retracted");
    }
    if message.resolving {
        text.push_str(" resolving");
    }
    for (member, emoji) in &message.reactions {
        let _ = write!(text, " {member}{emoji}");
    }
    text
}

fn view_text(event: &ViewEvent) -> String {
    match event {
        ViewEvent::Opened { messages, .. } => {
            format!("view [{}]", messages.iter().map(message_text).collect::<Vec<_>>().join(", "))
        }
        ViewEvent::Inserted { at, message, .. } => format!("view +{at} {}", message_text(message)),
        ViewEvent::Changed { at, message, .. } => format!("view ={at} {}", message_text(message)),
        ViewEvent::Removed { at, .. } => format!("view -{at}"),
        ViewEvent::Lease { holder, .. } => format!("view lease {holder:?}"),
        ViewEvent::Markers { markers, .. } => format!("view markers {}", markers.len()),
        ViewEvent::Card { fields, labels, .. } => format!("view card {fields:?} {labels:?}"),
        ViewEvent::Closed { .. } => "view closed".to_owned(),
    }
}

//! How a device's things look, for people and as JSON.

use std::path::Path;

use lockstep_client::{Conversation, ExportedDocument, MessageState, MessageView, Status, ViewEvent};
use lockstep_protocol::entry::{Category, Collision, CollisionCause};
use lockstep_protocol::fact::Direction;
use serde::Serialize;

use super::super::exit::Failed;
use super::super::output;

/// A conversation in a list.
#[derive(Debug, Serialize)]
pub(super) struct ConversationLine {
    id: String,
    customer: String,
    assigned: Vec<u32>,
    service: Option<u32>,
    newest_lsn: u64,
}

impl ConversationLine {
    pub(super) fn new(row: &Conversation) -> Self {
        Self {
            id: row.id.to_string(),
            customer: row.customer.clone(),
            assigned: row.assigned.iter().map(|member| member.0).collect(),
            service: row.service.map(|member| member.0),
            newest_lsn: row.newest.0,
        }
    }
}

/// A message as it stands.
#[derive(Debug, Serialize)]
pub(super) struct MessageLine {
    id: String,
    at_ms: u64,
    by: u32,
    direction: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    collision: Option<CollisionLine>,
    kind: String,
    body: String,
    edited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retracted: Option<String>,
    reactions: Vec<(u32, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    re: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sensitive: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct CollisionLine {
    cause: &'static str,
    by: u32,
    winner: Option<String>,
}

impl CollisionLine {
    fn new(collision: &Collision) -> Self {
        let cause = match collision.cause {
            CollisionCause::Lease => "lease",
            CollisionCause::Window => "window",
            CollisionCause::Stale => "stale",
        };
        Self { cause, by: collision.by.0, winner: collision.winner.map(|winner| winner.to_string()) }
    }

    fn words(&self) -> String {
        match self.cause {
            "lease" => format!("member {} was typing a reply", self.by),
            "window" => format!("member {} had just replied", self.by),
            _ => format!("member {} had replied, unseen by the author", self.by),
        }
    }
}

impl MessageLine {
    pub(super) fn new(message: &MessageView) -> Self {
        let (state, collision) = match &message.state {
            MessageState::Pending => ("pending", None),
            MessageState::Sent => ("sent", None),
            MessageState::Held(collision) => ("held", Some(collision)),
            MessageState::Flagged(collision) => ("flagged", Some(collision)),
            MessageState::SentAnyway => ("sent-anyway", None),
            MessageState::Discarded => ("discarded", None),
            MessageState::Imported => ("imported", None),
        };
        Self {
            id: message.id.to_string(),
            at_ms: message.id.time_ms(),
            by: message.by.0,
            direction: match message.dir {
                Direction::In => "in",
                Direction::Out => "out",
                Direction::Note => "note",
            },
            state,
            collision: collision.map(CollisionLine::new),
            kind: message.kind.clone(),
            body: message.body.clone(),
            edited: message.edited,
            retracted: message.retracted.clone(),
            reactions: message.reactions.iter().map(|(member, emoji)| (member.0, emoji.clone())).collect(),
            media: message.media.as_ref().map(|media| media.name.clone()),
            re: message.re.map(|re| re.to_string()),
            sensitive: message.sensitive.iter().map(|category| category_name(*category)).collect(),
        }
    }

    /// Icon and word, never colour alone.
    fn mark(&self) -> &'static str {
        match self.state {
            "pending" => "… pending",
            "sent" => "✓ sent",
            "held" => "! held",
            "flagged" => "! flagged",
            "sent-anyway" => "✓ sent anyway",
            "imported" => "✓ imported",
            _ => "✗ discarded",
        }
    }

    fn text(&self) -> String {
        let arrow = match self.direction {
            "in" => "←",
            "out" => "→",
            _ => "✎",
        };
        let mut text = format!("{} {} {arrow} {:>4}  {:<14}", self.id, clock(self.at_ms), self.by, self.mark());
        match &self.retracted {
            Some(_) => text.push_str("(taken back)"),
            None => text.push_str(&self.body.replace('\n', "\n    ")),
        }
        if self.edited {
            text.push_str(" (edited)");
        }
        if let Some(name) = &self.media {
            text.push_str(&format!(" [{name}]"));
        }
        for (member, emoji) in &self.reactions {
            text.push_str(&format!(" {emoji} {member}"));
        }
        if !self.sensitive.is_empty() {
            text.push_str(&format!("  🔒 sensitive: {}", self.sensitive.join(", ")));
        }
        if let Some(collision) = &self.collision {
            text.push_str(&format!("  ({})", collision.words()));
        }
        text
    }
}

const fn category_name(category: Category) -> &'static str {
    match category {
        Category::Contract => "contract",
        Category::Payment => "payment",
        Category::Bank => "bank",
        Category::Identity => "identity",
        Category::Password => "password",
    }
}

fn clock(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|at_ms| jiff::Timestamp::from_millisecond(at_ms).ok());
    at.map_or_else(|| at_ms.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Printed<'a> {
    Done,
    Status { member: Option<u32>, online: bool, caught_up: bool, synced: bool, outbox: usize, not_sent: usize },
    Conversations { conversations: Vec<ConversationLine> },
    Message(&'a MessageLine),
    Removed { at: usize },
    Typing { member: Option<u32> },
    Export { files: Vec<File> },
    Closed,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    facts: usize,
    heads: Vec<String>,
}

pub(super) fn done(json: bool) -> Result<(), Failed> {
    if json { output::json(&Printed::Done) } else { output::line("done") }
}

pub(super) fn enrolled(now: &Status, json: bool) -> Result<(), Failed> {
    if json {
        return status(now, true);
    }
    let member = now.member.map_or_else(String::new, |member| format!(" as a device of member {}", member.0));
    output::line(&format!("enrolled{member}"))
}

pub(super) fn status(status: &Status, json: bool) -> Result<(), Failed> {
    let printed = Printed::Status {
        member: status.member.map(|member| member.0),
        online: status.online,
        caught_up: status.caught_up,
        synced: status.synced,
        outbox: status.outbox,
        not_sent: status.not_sent,
    };
    if json {
        return output::json(&printed);
    }
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    output::line(&format!("online      {}", yes(status.online)))?;
    output::line(&format!("caught up   {}", yes(status.caught_up)))?;
    output::line(&format!("waiting     {} to be sent", status.outbox))?;
    output::line(&format!("not sent    {}", status.not_sent))?;
    if let Some(code) = status.stopped {
        output::line(&format!("stopped     {code}"))?;
    }
    if let Some(trouble) = &status.trouble {
        output::line(&format!("trouble     {trouble}"))?;
    }
    Ok(())
}

pub(super) fn conversations(conversations: Vec<ConversationLine>, json: bool) -> Result<(), Failed> {
    if json {
        return output::json(&Printed::Conversations { conversations });
    }
    let list = |members: &[u32]| members.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let rows = conversations.iter().map(|row| vec![row.id.clone(), row.customer.clone(), list(&row.assigned)]);
    output::table(&["conversation", "customer", "assigned"], &rows.collect::<Vec<_>>())
}

pub(super) fn message(message: &MessageLine, json: bool) -> Result<(), Failed> {
    if json { output::json(&Printed::Message(message)) } else { output::line(&message.text()) }
}

/// A change of an open view.
pub(super) fn event(event: &ViewEvent, messages: &[MessageView], json: bool) -> Result<(), Failed> {
    match event {
        ViewEvent::Inserted { message: view, .. } | ViewEvent::Changed { message: view, .. } => {
            message(&MessageLine::new(view), json)
        }
        ViewEvent::Reset(_) => messages.iter().try_for_each(|view| message(&MessageLine::new(view), json)),
        ViewEvent::Removed { at } if json => output::json(&Printed::Removed { at: *at }),
        ViewEvent::Typing(member) => {
            let member = member.map(|member| member.0);
            match (json, member) {
                (true, _) => output::json(&Printed::Typing { member }),
                (false, Some(member)) => output::line(&format!("member {member} types …")),
                (false, None) => output::line("nobody types"),
            }
        }
        ViewEvent::Closed if json => output::json(&Printed::Closed),
        ViewEvent::Closed => output::line("the conversation is gone"),
        _ => Ok(()),
    }
}

/// Writes documents as files, and says which.
pub(super) fn export(documents: &[ExportedDocument], folder: &Path, json: bool) -> Result<(), Failed> {
    let mut files = Vec::new();
    for exported in documents {
        let id = exported.document;
        let name = format!("{}-{:?}-{}.automerge", id.conversation, id.kind, id.number).to_lowercase();
        let path = folder.join(name);
        std::fs::write(&path, &exported.bytes)?;
        let heads = exported.heads.iter().map(ToString::to_string).collect();
        files.push(File { path: path.display().to_string(), facts: exported.facts, heads });
    }
    if json {
        return output::json(&Printed::Export { files });
    }
    files.iter().try_for_each(|file| output::line(&format!("{}  {} facts", file.path, file.facts)))
}

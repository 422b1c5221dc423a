//! Frames in a line of a trace.

use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::frame::{DeviceFrame, HubFrame};

fn body(body: &EntryBody) -> String {
    match body {
        EntryBody::Fact(placed) => format!(
            "{:?}{} {:?}/{} {}",
            placed.document.kind,
            placed.document.number,
            placed.actor,
            placed.seq,
            fact(&placed.fact)
        ),
        other => format!("{other:?}"),
    }
}

/// A fact in few words.
#[must_use]
pub fn fact(fact: &lockstep_protocol::fact::Fact) -> String {
    use lockstep_protocol::fact::Fact;
    match fact {
        Fact::Message(message) => {
            format!("message {} {:?} by {} seen {:?}", message.id, message.dir, message.by, message.seen)
        }
        Fact::Edit { message, .. } => format!("edit of {message}"),
        Fact::Retraction { message, .. } => format!("retraction of {message}"),
        Fact::Reaction { message, by, .. } => format!("reaction to {message} by {by}"),
        Fact::Field { name, .. } => format!("field {name}"),
        Fact::Label { label, .. } => format!("label {label}"),
    }
}

/// An entry in a line.
#[must_use]
pub fn entry(bytes: &[u8]) -> String {
    Entry::from_bytes(bytes).map_or_else(
        || "?".into(),
        |entry| {
            format!("{:?} {:?} {:?} {}", entry.stamp.lsn, entry.stamp.member, entry.stamp.verdict, body(&entry.body))
        },
    )
}

/// A hub's frame in a line.
#[must_use]
pub fn hub_frame(frame: &HubFrame) -> String {
    match frame {
        HubFrame::Entries(entries) => {
            let list: Vec<String> = entries.entries.iter().map(|bytes| entry(&bytes.0)).collect();
            format!(
                "Entries ({:?}, {:?}] granted {:?} revoked {:?} {list:#?}",
                entries.from, entries.upto, entries.granted, entries.revoked
            )
        }
        HubFrame::Snapshot(snapshot) => format!(
            "Snapshot {:?} upto {:?} part {} last {} {} bytes, {} rows, tail {:?}",
            snapshot.document,
            snapshot.upto,
            snapshot.part,
            snapshot.last,
            snapshot.bytes.len(),
            snapshot.table.facts.len(),
            snapshot.tail.iter().map(|tail| entry(&tail.entry.0)).collect::<Vec<_>>()
        ),
        other => format!("{other:?}"),
    }
}

/// A device's frame in a line.
#[must_use]
pub fn device_frame(frame: &DeviceFrame) -> String {
    match frame {
        DeviceFrame::Push(push) => format!(
            "Push tag {} {:?} {:?} seq {} {:?}",
            push.tag,
            push.document,
            push.actor,
            push.seq,
            push.facts.iter().map(|pushed| fact(&pushed.fact)).collect::<Vec<_>>()
        ),
        DeviceFrame::Offer { tag, entries } => format!(
            "Offer tag {tag} {:?}",
            entries
                .iter()
                .map(|offered| format!("{:?} {}", offered.stamp.lsn, body(&offered.body)))
                .collect::<Vec<_>>()
        ),
        other => format!("{other:?}"),
    }
}

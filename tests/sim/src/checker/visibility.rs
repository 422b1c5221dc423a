//! Nothing leaves the hub that is not durable, and nothing reaches a device that its member may not see.

use lockstep_protocol::directory::DirectoryEvent;
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::frame::{HubFrame, Outcome};
use lockstep_protocol::id::{ConversationId, DeviceId, Lsn, MemberId};

use super::{Checker, Violation};

impl Checker {
    pub(super) fn check_durable(&self, frame: &HubFrame) -> Result<(), Violation> {
        let head = self.model.head();
        let durable = |what: &str, lsn: Lsn| {
            if lsn <= head {
                return Ok(());
            }
            Violation::fail("durable-then-visible", format!("{what} {lsn:?} leaves while only {head:?} is synced"))
        };
        match frame {
            HubFrame::Ack { results, witness, .. } => {
                durable("witness", witness.lsn)?;
                results.iter().try_for_each(|result| match result {
                    Outcome::Placed { hash, stamp } => {
                        durable("ack", stamp.lsn)?;
                        let recorded = self.model.entries.get(stamp.lsn.0 as usize - 1);
                        let placed = recorded.map(|recorded| (&recorded.entry.body, recorded.entry.stamp));
                        match placed {
                            Some((EntryBody::Fact(placed), known)) if placed.hash == *hash && known == *stamp => Ok(()),
                            // A known fact that was re-admitted stands under another hash.
                            Some((EntryBody::Fact(placed), known)) if placed.origin.is_some() && known == *stamp => {
                                Ok(())
                            }
                            other => Violation::fail(
                                "ack",
                                format!("{hash:?} {stamp:?} is acknowledged, the log has {other:?}"),
                            ),
                        }
                    }
                    Outcome::Readmitted(lsn) | Outcome::Done(lsn) => durable("ack", *lsn),
                    Outcome::Refused(refusal) => refusal.stamp.map_or(Ok(()), |stamp| {
                        // StillCollides tells the verdict that a resolution would have had; it has no place.
                        if refusal.document.is_some() { durable("duplicate", stamp.lsn) } else { Ok(()) }
                    }),
                    Outcome::Known | Outcome::Invited { .. } | Outcome::Devices(_) => Ok(()),
                })
            }
            HubFrame::Entries(entries) => {
                durable("range", entries.upto)?;
                entries.entries.iter().try_for_each(|bytes| match Entry::from_bytes(&bytes.0) {
                    Some(entry) => durable("entry", entry.stamp.lsn),
                    None => Violation::fail("durable-then-visible", "an entry does not decode"),
                })
            }
            HubFrame::Snapshot(snapshot) => durable("snapshot", snapshot.upto),
            HubFrame::Catalogue(catalogue) => match catalogue.end {
                Some(end) => durable("catalogue end", end.lsn),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// A device that is not, or no longer, enrolled is told why, and nothing else.
    pub(super) fn check_known(&self, device: DeviceId, frame: &HubFrame) -> Result<(), Violation> {
        let says_nothing = matches!(
            frame,
            HubFrame::Challenge { .. } | HubFrame::Refusal { .. } | HubFrame::Draining {} | HubFrame::Pong {}
        );
        if says_nothing || self.model.directory().devices.contains_key(&device) {
            return Ok(());
        }
        let head = self.model.head();
        Violation::fail("revoked", format!("{device:?} is not enrolled at {head:?} and is sent {frame:?}"))
    }

    /// Judged as of sending: whatever the log was when something was read, the member must see it in the log as it is
    /// durable now.
    pub(super) fn check_visible(&self, member: MemberId, frame: &HubFrame) -> Result<(), Violation> {
        let head = self.model.head();
        let sees = |what: &str, conversation: ConversationId| {
            if self.model.directory().sees(member, conversation) {
                return Ok(());
            }
            Violation::fail(
                "visibility",
                format!("{what} of {conversation:?} goes to {member:?}, who does not see it at {head:?}"),
            )
        };
        match frame {
            HubFrame::Entries(entries) => {
                for bytes in &entries.entries {
                    let Some(entry) = Entry::from_bytes(&bytes.0) else { continue };
                    let lsn = entry.stamp.lsn;
                    if !(entries.from < lsn && lsn <= entries.upto) {
                        return Violation::fail(
                            "entries-range",
                            format!("entry {lsn:?} outside ({:?}, {:?}]", entries.from, entries.upto),
                        );
                    }
                    let own_loss = matches!(
                        &entry.body,
                        EntryBody::Directory(DirectoryEvent::Unassigned { member: lost, .. }) if *lost == member
                    );
                    if let Some(conversation) = entry.body.conversation()
                        && !own_loss
                    {
                        sees("an entry", conversation)?;
                    }
                    self.check_same_as_log(&entry, &bytes.0)?;
                }
                for grant in &entries.granted {
                    sees("a grant", grant.conversation)?;
                }
                Ok(())
            }
            HubFrame::Snapshot(snapshot) => sees("a snapshot", snapshot.document.conversation),
            HubFrame::Catalogue(catalogue) => {
                catalogue.conversations.iter().try_for_each(|listed| sees("a catalogue row", listed.conversation.id))
            }
            HubFrame::Lease { conversation, .. } => sees("a lease", *conversation),
            _ => Ok(()),
        }
    }

    /// What is sent as an entry is what the log holds.
    fn check_same_as_log(&self, entry: &Entry, bytes: &[u8]) -> Result<(), Violation> {
        let at = usize::try_from(entry.stamp.lsn.0).unwrap_or(usize::MAX).wrapping_sub(1);
        match self.model.entries.get(at) {
            Some(recorded) if recorded.bytes == bytes => Ok(()),
            _ => Violation::fail("entry-differs", format!("{:?} as sent is not what the log holds", entry.stamp.lsn)),
        }
    }
}

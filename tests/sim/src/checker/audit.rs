//! The audit log: an unbroken chain, a row for every change of the directory, in the batch that makes it durable.

use lockstep_core::audit::{Act, AuditHead, AuditRow};
use lockstep_core::effect::Batch;
use lockstep_core::row::Write;
use lockstep_protocol::entry::{Entry, EntryBody};

use super::{Checker, Violation};

impl Checker {
    /// The rows of a batch that became durable.
    pub(super) fn check_audit(&mut self, batch: &Batch) -> Result<(), Violation> {
        let mut acts = Vec::new();
        let mut told = None;
        for write in &batch.writes {
            match write {
                Write::Audit(entry) => {
                    let AuditHead { sequence, at_ms, chain } = self.audit;
                    let Some(row) = AuditRow::from_bytes(&entry.bytes) else {
                        return Violation::fail("audit", format!("row {} does not decode", entry.sequence));
                    };
                    if (row.sequence, entry.sequence) != (sequence + 1, sequence + 1) {
                        return Violation::fail("audit-order", format!("{row:?} follows row {sequence}"));
                    }
                    if chain.after(&self.key, &entry.bytes) != entry.chain {
                        return Violation::fail("audit-chain", format!("the chain breaks at {row:?}"));
                    }
                    if row.at_ms < at_ms || row.epoch != self.model.epoch() {
                        return Violation::fail("audit", format!("{row:?} has a wrong time or epoch"));
                    }
                    self.audit = AuditHead { sequence: row.sequence, at_ms: row.at_ms, chain: entry.chain };
                    acts.push(row.act);
                }
                Write::AuditHead(head) => told = Some(*head),
                _ => {}
            }
        }
        let expected = (!acts.is_empty()).then_some(self.audit);
        if told != expected {
            return Violation::fail("audit-head", format!("the end is told as {told:?}, it is {expected:?}"));
        }
        for logged in &batch.entries {
            let Some(Entry { body, .. }) = Entry::from_bytes(&logged.bytes) else { continue };
            let wanted = match &body {
                EntryBody::Directory(event) => Act::of(event),
                EntryBody::Imported(imported) => Act::Imported { document: imported.document, import: imported.import },
                _ => continue,
            };
            let Some(at) = acts.iter().position(|act| *act == wanted) else {
                return Violation::fail("audit-missing", format!("{:?} has no row: {body:?}", logged.lsn));
            };
            acts.remove(at);
        }
        // Nor is anything told that did not happen.
        let invented = acts.iter().find(|act| {
            matches!(
                act,
                Act::Enrolled
                    | Act::MemberAdded { .. }
                    | Act::RoleChanged { .. }
                    | Act::MemberRemoved { .. }
                    | Act::DeviceRevoked { .. }
                    | Act::PolicyChanged(_)
                    | Act::ConversationOpened { .. }
                    | Act::Assigned { .. }
                    | Act::Unassigned { .. }
                    | Act::Imported { .. }
                    | Act::ImportUndone { .. }
                    | Act::KeepChanged { .. }
                    | Act::Expired { .. }
            )
        });
        match invented {
            Some(act) => Violation::fail("audit-invented", format!("{act:?} has a row and no entry")),
            None => Ok(()),
        }
    }
}

//! The end of a seed: faults stop, everyone comes online, everything drains; then the final checks.

use lockstep_client_core::input::Act;
use lockstep_protocol::fact::KeyId;
use lockstep_protocol::id::{ConversationId, DocumentKind, Lsn};
use lockstep_protocol::refusal::RefusalCode;

use super::{Event, MS, World};
use crate::checker::Violation;

/// A fact that a device held when the hub's disk went back behind it.
#[derive(Debug)]
pub(super) struct Held {
    device: usize,
    conversation: ConversationId,
    key: KeyId,
    /// The restored head.
    since: Lsn,
}

/// Longest time that draining may take, milliseconds of virtual time.
const DRAIN_MS_MAX: u64 = 900_000;
/// Conversations that compaction may still keep in memory on a drained hub, bytes.
const COMPACTING_BYTES: usize = 64 * 1024;
/// Nothing moves for this long: it is drained, milliseconds.
const STILL_MS: u64 = 12_000;

impl World {
    /// Notes what devices hold and the disk is about to lose.
    pub(super) fn note_held(&mut self) {
        let Some((_, model, _)) = &self.hub.backup else { return };
        let since = model.head();
        // What an earlier return was to bring back counts as far as a device still holds it.
        self.held.clear();
        for (at, device) in self.devices.iter_mut().enumerate() {
            if device.hostile.is_some() {
                continue;
            }
            device.restored = false;
            let offers = device.rows.offers.values().filter_map(|offer| match &offer.entry.body {
                lockstep_protocol::entry::EntryBody::Fact(placed) => Some(placed),
                _ => None,
            });
            for placed in device.rows.facts.values().map(|row| &row.placed).chain(offers) {
                // What a restore takes of these comes back by importing again.
                if placed.document.kind == DocumentKind::Imported {
                    continue;
                }
                let (conversation, key) = (placed.document.conversation, placed.fact.key_id());
                if !model.keys.contains_key(&(conversation, key)) {
                    self.held.push(Held { device: at, conversation, key, since });
                }
            }
        }
    }

    pub(super) fn quiesce(&mut self) -> Result<(), Violation> {
        self.say(|| "quiescence begins".into());
        self.hub.skew_ms = 0;
        let sessions: Vec<_> = self.links.keys().copied().collect();
        for session in sessions {
            self.links.get_mut(&session).expect("just listed").heal();
        }
        self.scenario.faults.quality.us_a_byte = 0;
        self.scenario.faults.quality.latency_us_max = self.scenario.faults.quality.latency_us_max.min(50_000);
        self.scenario.faults.quality.notice_us_max = self.scenario.faults.quality.notice_us_max.min(1_000_000);
        self.scenario.faults.sync_us_max = self.scenario.faults.sync_us_max.min(10_000);
        for at in 0..self.devices.len() {
            self.devices[at].skew_ms = 0;
            self.devices[at].offline_until_us = 0;
            if self.devices[at].hostile.is_some() {
                self.break_link(at);
            } else {
                self.device_act(at, Act::Connect)?;
            }
        }
        let mut still_ms = 0;
        let mut before = self.fingerprint();
        let mut waited_ms = 0;
        while still_ms < STILL_MS || !self.is_drained() || !self.imports_rerun()? {
            if waited_ms > DRAIN_MS_MAX {
                return Violation::fail("drain", format!("it does not drain: {}", self.leftovers()));
            }
            if self.hub.core.is_none() && !self.hub.booting {
                self.at(self.now_us, Event::HubBoot);
                self.hub.booting = true;
            }
            self.run_until(self.now_us + 2_000 * MS)?;
            waited_ms += 2_000;
            let now = self.fingerprint();
            still_ms = if now == before && self.is_drained() { still_ms + 2_000 } else { 0 };
            before = now;
        }
        self.final_checks()
    }

    fn fingerprint(&self) -> Vec<u64> {
        let mut print = vec![self.checker.model.head().0, self.hub.store.unsynced() as u64];
        for device in &self.devices {
            let rows = &device.rows;
            print.extend([
                rows.meta.cursor.map_or(0, |cursor| cursor.lsn.0),
                rows.outbox.len() as u64,
                rows.resolves.len() as u64,
                rows.offers.len() as u64,
                rows.backfills.len() as u64,
                rows.facts.len() as u64,
                rows.events.len() as u64,
            ]);
        }
        print
    }

    /// Whether a device is expected to reach the hub's state.
    fn takes_part(&self, at: usize) -> bool {
        let device = &self.devices[at];
        device.hostile.is_none() && self.checker.model.directory().devices.contains_key(&device.id)
    }

    fn is_drained(&self) -> bool {
        self.hub.core.is_some()
            && self.hub.store.unsynced() == 0
            && self.imports.is_idle()
            && self
                .devices
                .iter()
                .enumerate()
                .all(|(at, device)| self.takes_part(at) || device.hostile.is_some() || device.stopped.is_some())
            && (0..self.devices.len()).filter(|at| self.takes_part(*at)).all(|at| {
                let (device, rows) = (&self.devices[at], &self.devices[at].rows);
                let link = device.session().and_then(|session| self.links.get(&session));
                device.is_settled()
                    && link.is_some_and(|link| {
                        link.hub_open && link.device_open && !link.broken && link.up.is_empty() && link.down.is_empty()
                    })
                    && device.core.as_ref().is_some_and(lockstep_client_core::device::Device::online)
                    && rows.outbox.is_empty()
                    && rows.resolves.is_empty()
                    && rows.backfills.is_empty()
            })
    }

    fn leftovers(&self) -> String {
        let mut text = format!("hub up {}, unsynced {}", self.hub.core.is_some(), self.hub.store.unsynced());
        for at in (0..self.devices.len()).filter(|at| self.takes_part(*at)) {
            let (device, rows) = (&self.devices[at], &self.devices[at].rows);
            let online = device.core.as_ref().is_some_and(lockstep_client_core::device::Device::online);
            let marks = rows.conversations.values().filter(|row| row.unsent_mark.is_some()).count();
            if online && rows.outbox.is_empty() && rows.resolves.is_empty() && rows.backfills.is_empty() && marks == 0 {
                continue;
            }
            text += &format!(
                "; d{at} online {online} stopped {:?} outbox {:?} resolves {} backfills {:?} marks {marks}",
                device.stopped,
                rows.outbox.values().next(),
                rows.resolves.len(),
                rows.backfills.values().next(),
            );
        }
        text
    }

    fn final_checks(&self) -> Result<(), Violation> {
        self.checker.check_rows(&self.hub.store.disk)?;
        self.checker.check_kept(&self.hub.store.disk, self.true_wall_ms())?;
        self.checker.check_acknowledged()?;
        for at in 0..self.devices.len() {
            let device = &self.devices[at];
            if device.hostile.is_some() {
                continue;
            }
            if !self.takes_part(at) {
                let told = matches!(
                    device.stopped,
                    Some(RefusalCode::DeviceRevoked | RefusalCode::DeviceUnknown | RefusalCode::ProofInvalid)
                );
                // One that is revoked must hear so, however long ago it was: it deletes its copy then.
                let is_revoked = self.checker.model.directory().revoked.contains(&device.id);
                if !told || is_revoked && device.stopped == Some(RefusalCode::DeviceUnknown) {
                    return Violation::fail("revoked", format!("d{at} was revoked and told {:?}", device.stopped));
                }
                continue;
            }
            self.checker.check_replica(at, device.member, &device.rows)?;
            if device.open_requests > 0 {
                return Violation::fail("acts", format!("d{at} left {} acts unanswered", device.open_requests));
            }
        }
        self.check_held()?;
        self.check_marks()?;
        self.check_not_sent()?;
        let held = self.hub.core.as_ref().map_or(0, lockstep_core::hub::Hub::conversations_bytes);
        let bound = self.scenario.config.conversations_bytes_max;
        // Compaction may go on for a while.
        if held > bound + COMPACTING_BYTES {
            return Violation::fail("bounded", format!("conversations of the idle hub take {held} bytes of {bound}"));
        }
        Ok(())
    }

    /// Read positions have reached the hub, or the device knows that they need not.
    fn check_marks(&self) -> Result<(), Violation> {
        for (at, device) in self.devices.iter().enumerate().filter(|(at, _)| self.takes_part(*at)) {
            let unsent =
                device.rows.conversations.values().find_map(|row| Some((row.conversation.id, row.unsent_mark?)));
            if let Some((conversation, message)) = unsent {
                return Violation::fail("marks", format!("d{at} still waits to mark {message} of {conversation:?}"));
            }
        }
        Ok(())
    }

    /// Nothing was given up for want of a message that the same device had written, and that stands.
    fn check_not_sent(&self) -> Result<(), Violation> {
        for (at, device) in self.devices.iter().enumerate().filter(|(at, _)| self.takes_part(*at)) {
            for item in device.rows.not_sent.values() {
                let Some(target) = item.fact.target() else { continue };
                let Some(model) = self.checker.model.messages.get(&(item.conversation, target)) else { continue };
                // An imported target may have been taken back, and imported again since; one that expired came back with
                // an older disk.
                let went = model.document.kind == DocumentKind::Imported
                    || self.checker.expired_once.contains(&model.document);
                if item.code == RefusalCode::TargetUnknown.number() && model.member == device.member && !went {
                    return Violation::fail("not-sent", format!("d{at} gave up {:?}, whose target stands", item.fact));
                }
            }
        }
        Ok(())
    }

    /// After a return to an older disk nothing is lost that a returning, permitted device held.
    fn check_held(&self) -> Result<(), Violation> {
        // What is older than the keep time does not come back.
        for held in self.held.iter().filter(|_| !self.scenario.keeps) {
            let device = &self.devices[held.device];
            if device.restored
                || !self.takes_part(held.device)
                || !self.checker.always_sees(device.member, held.conversation, held.since)
            {
                continue;
            }
            if !self.checker.model.keys.contains_key(&(held.conversation, held.key)) {
                return Violation::fail(
                    "held-lost",
                    format!("d{} held {:?} of {:?}, which is gone", held.device, held.key, held.conversation),
                );
            }
        }
        Ok(())
    }
}

//! When devices were last seen: known at once, written lazily. Nothing on the hot path waits for it, or writes it.

use std::collections::BTreeMap;

use lockstep_protocol::directory::Role;
use lockstep_protocol::frame::ListedDevice;
use lockstep_protocol::id::{DeviceId, MemberId};
use lockstep_protocol::limits;

use crate::access::manages;
use crate::audit::{Act, Actor, SIGN_IN_EVERY_MS};
use crate::effect::Effect;
use crate::hub::Hub;
use crate::input::SessionId;
use crate::log::Draft;
use crate::row::Write;

/// How often open connections are looked through for what is to be written, milliseconds.
const LOOK_EVERY_MS: u64 = 60_000;

/// One device.
#[derive(Clone, Copy, Debug, Default)]
struct Trace {
    /// Milliseconds since 1970; 0 for never.
    at_ms: u64,
    /// What the store says.
    written_ms: u64,
    /// Monotonic milliseconds of its last sign-in that has a row in the audit log.
    audited_ms: Option<u64>,
    /// Sign-ins since then.
    again: u32,
}

/// All devices that were ever seen.
#[derive(Debug)]
pub(crate) struct LastSeen {
    devices: BTreeMap<DeviceId, Trace>,
    /// Monotonic milliseconds of the last look through the open connections.
    looked_ms: u64,
}

impl LastSeen {
    pub(crate) fn new(stored: BTreeMap<DeviceId, u64>) -> Self {
        let trace = |at_ms| Trace { at_ms, written_ms: at_ms, ..Trace::default() };
        Self { devices: stored.into_iter().map(|(device, at_ms)| (device, trace(at_ms))).collect(), looked_ms: 0 }
    }

    /// The device is there at this time.
    pub(crate) fn now(&mut self, device: DeviceId, wall_ms: u64) {
        self.devices.entry(device).or_default().at_ms = wall_ms;
    }

    pub(crate) fn forget(&mut self, device: &DeviceId) {
        self.devices.remove(device);
    }

    fn at_ms(&self, device: &DeviceId) -> Option<u64> {
        self.devices.get(device).map(|trace| trace.at_ms).filter(|at_ms| *at_ms > 0)
    }

    /// A sign-in: how many had no row before this one, or none if this one gets none either.
    fn signed_in(&mut self, device: DeviceId, wall_ms: u64, mono_ms: u64) -> Option<u32> {
        let trace = self.devices.entry(device).or_default();
        trace.at_ms = wall_ms;
        if trace.audited_ms.is_some_and(|audited| mono_ms < audited + SIGN_IN_EVERY_MS) {
            trace.again += 1;
            return None;
        }
        trace.audited_ms = Some(mono_ms);
        Some(std::mem::take(&mut trace.again))
    }

    /// What is to be written: what the store has is too old, or, if all is wanted, different.
    fn due(&mut self, all: bool) -> Vec<(DeviceId, u64)> {
        let mut due = Vec::new();
        for (device, trace) in &mut self.devices {
            // The wall clock may have gone back.
            let behind_ms = trace.at_ms.abs_diff(trace.written_ms);
            if behind_ms >= limits::SEEN_WRITE_MS_MIN || (all && behind_ms > 0) {
                trace.written_ms = trace.at_ms;
                due.push((*device, trace.at_ms));
            }
        }
        due
    }
}

impl Hub {
    /// A device was let in with a proof.
    pub(crate) fn signed_in(&mut self, device: DeviceId, member: MemberId, effects: &mut Vec<Effect>) {
        let Some(again) = self.seen.signed_in(device, self.now.wall_ms, self.now.mono_ms) else { return };
        let mut draft = Draft::by(Actor::Device { member, device });
        self.audit(&mut draft, Act::SignedIn { again });
        self.log.commit(draft, effects);
    }

    /// Takes note of when a session's device was last heard.
    pub(crate) fn note_seen(&mut self, session: SessionId) {
        let Some(session) = self.sessions.get(&session) else { return };
        let Some(device) = session.open().map(|open| open.device) else { return };
        let silent_ms = self.now.mono_ms.saturating_sub(session.heard_ms);
        if self.access.sequenced.devices.contains_key(&device) {
            self.seen.now(device, self.now.wall_ms.saturating_sub(silent_ms));
        }
    }

    /// Writes when devices were last seen, where the store is a quarter of an hour behind; everything at the end.
    pub(crate) fn write_seen(&mut self, is_last: bool, effects: &mut Vec<Effect>) {
        if !is_last && self.now.mono_ms < self.seen.looked_ms + LOOK_EVERY_MS {
            return;
        }
        self.seen.looked_ms = self.now.mono_ms;
        for session in self.open_sessions() {
            self.note_seen(session);
        }
        let mut draft = Draft::default();
        for (device, at_ms) in self.seen.due(is_last) {
            draft.write(Write::Seen(device, Some(at_ms)));
        }
        self.log.commit(draft, effects);
    }

    /// The devices that a member of this role may revoke: their own, and those of whom they manage.
    pub(crate) fn list_devices(&mut self, by: Role, member: MemberId, after: Option<DeviceId>) -> Vec<ListedDevice> {
        for session in self.open_sessions() {
            self.note_seen(session);
        }
        let directory = &self.access.committed;
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let rows = directory.devices.range((from, std::ops::Bound::Unbounded));
        let may_revoke =
            |owner: MemberId| owner == member || directory.role(owner).is_some_and(|role| manages(by, role));
        rows.filter(|(_, row)| may_revoke(row.member))
            .take(limits::DEVICES_LISTED_MAX)
            .map(|(id, row)| ListedDevice {
                device: *id,
                member: row.member,
                name: row.name.clone(),
                seen_ms: self.seen.at_ms(id),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId([4; 16]);
    const QUARTER_MS: u64 = limits::SEEN_WRITE_MS_MIN;

    #[test]
    fn the_store_learns_of_a_device_once_a_quarter_of_an_hour() {
        let mut seen = LastSeen::new([(DEVICE, 1_000_000)].into());
        for (at_ms, all, expected) in [
            (1_000_000, true, None),
            (1_000_000 + QUARTER_MS - 1, false, None),
            (1_000_000 + QUARTER_MS, false, Some(1_000_000 + QUARTER_MS)),
            (1_000_001 + QUARTER_MS, false, None),
            (1_000_001 + QUARTER_MS, true, Some(1_000_001 + QUARTER_MS)),
            // The clock was put back.
            (500, false, Some(500)),
        ] {
            seen.now(DEVICE, at_ms);
            assert_eq!(seen.due(all), expected.map(|at_ms| (DEVICE, at_ms)).into_iter().collect::<Vec<_>>(), "{at_ms}");
        }
        seen.forget(&DEVICE);
        assert_eq!((seen.due(true), seen.at_ms(&DEVICE)), (Vec::new(), None));
    }

    #[test]
    fn a_flapping_device_has_a_row_a_minute() {
        let mut seen = LastSeen::new(BTreeMap::new());
        let rows: Vec<Option<u32>> =
            [0, 1, 59_999, 60_000, 60_001, 200_000].into_iter().map(|ms| seen.signed_in(DEVICE, 1, ms)).collect();
        assert_eq!(rows, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}

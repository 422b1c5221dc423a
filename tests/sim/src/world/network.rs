//! Devices on the network: connections that stand, break and are told of late, and frames that arrive.

use bytes::Bytes;
use lockstep_client_core::input::{Act, ConnectionId, Input};
use lockstep_core::input::SessionId;
use lockstep_protocol::codec;
use lockstep_protocol::frame::{DeviceFrame, HubFrame, Outcome};

use super::{Event, MS, World};
use crate::checker::Violation;
use crate::link::Link;

impl World {
    pub(super) fn device_connects(&mut self, at: usize, connection: ConnectionId) {
        let delay_us = self.rng.skewed(200, self.scenario.faults.quality.latency_us_max);
        let run = self.devices[at].run;
        self.after(delay_us, Event::DeviceConnected { device: at, run, connection });
    }

    pub(super) fn device_connected(&mut self, at: usize, run: u64, connection: ConnectionId) -> Result<(), Violation> {
        if run != self.devices[at].run || self.devices[at].core.is_none() {
            return Ok(());
        }
        if self.hub.core.is_none() || self.now_us < self.devices[at].offline_until_us {
            return self.device_input(at, Input::Disconnected { connection });
        }
        let session = self.new_link(at);
        self.devices[at].connection = Some((connection, session));
        self.device_input(at, Input::Connected { connection })
    }

    pub(super) fn new_link(&mut self, at: usize) -> SessionId {
        self.next_session += 1;
        let session = SessionId(self.next_session);
        self.links.insert(session, Link::new(at));
        self.after(10, Event::HubAccepts { session });
        session
    }

    pub(super) fn device_refused(&mut self, at: usize, run: u64, connection: ConnectionId) -> Result<(), Violation> {
        if run != self.devices[at].run {
            return Ok(());
        }
        if self.devices[at].hostile.is_some() {
            self.hostile_connects(at);
            return Ok(());
        }
        self.device_input(at, Input::Disconnected { connection })
    }

    /// What is told to the hub is durable first.
    pub(super) fn check_told(&self, at: usize, bytes: &[u8]) -> Result<(), Violation> {
        let Ok(Some(DeviceFrame::Push(push))) = codec::decode_device(bytes) else { return Ok(()) };
        let rows = &self.devices[at].rows;
        for (offset, pushed) in push.facts.iter().enumerate() {
            let place = (push.actor, push.seq + u32::try_from(offset).unwrap_or(u32::MAX));
            let pending = rows.outbox.values().any(|row| (row.actor, row.seq) == place && row.fact == pushed.fact);
            // Confirmed on disk, while the core has not heard of it yet: pushed once more, known to the hub.
            let durable = pending || rows.facts.values().any(|row| row.placed.fact == pushed.fact);
            if !durable {
                return Violation::fail(
                    "told-first",
                    format!(
                        "d{at} pushes {:?} at {place:?} before it is durable; the disk has {:?}",
                        pushed.fact,
                        rows.outbox.values().map(|row| (row.order, row.actor, row.seq)).collect::<Vec<_>>()
                    ),
                );
            }
        }
        Ok(())
    }

    pub(super) fn device_sends(&mut self, at: usize, connection: ConnectionId, bytes: Bytes) {
        let Some((current, session)) = self.devices[at].connection else { return };
        if current == connection {
            self.send_up(session, bytes);
        }
    }

    pub(super) fn send_up(&mut self, session: SessionId, bytes: Bytes) {
        let quality = self.scenario.faults.quality;
        let Some(link) = self.links.get_mut(&session).filter(|link| link.device_open && !link.broken) else { return };
        let arrives_us = link.send_up(self.now_us, bytes, &quality, &mut self.rng);
        self.at(arrives_us, Event::Up { session });
    }

    pub(super) fn device_closes(&mut self, at: usize, connection: ConnectionId) {
        let Some((current, session)) = self.devices[at].connection else { return };
        if current != connection {
            return;
        }
        self.devices[at].connection = None;
        self.send_up(session, Bytes::new());
        self.device_end_closed(session);
    }

    /// The device's end is closed; the link goes when the hub's is too.
    pub(super) fn device_end_closed(&mut self, session: SessionId) {
        let Some(link) = self.links.get_mut(&session) else { return };
        link.device_open = false;
        if !link.hub_open {
            self.links.remove(&session);
        } else if link.broken {
            let notice_us = self.rng.skewed(100, self.scenario.faults.quality.notice_us_max);
            self.after(notice_us, Event::HubLearns { session });
        }
    }

    /// A frame arrives at a device.
    pub(super) fn down(&mut self, session: SessionId) -> Result<(), Violation> {
        let now_us = self.now_us;
        let Some(link) = self.links.get_mut(&session).filter(|link| link.device_open && !link.broken) else {
            return Ok(());
        };
        let at = link.device;
        let bytes = match link.down.take(now_us) {
            Err(again_us) => {
                self.at(again_us, Event::Down { session });
                return Ok(());
            }
            Ok(None) => return Ok(()),
            Ok(Some(bytes)) => bytes,
        };
        if bytes.is_empty() {
            return self.device_learns(session);
        }
        let frame = match codec::decode_hub(&bytes) {
            Ok(Some(frame)) => frame,
            other => return Violation::fail("frame", format!("a device receives {other:?}")),
        };
        if let HubFrame::Ack { results, .. } = &frame {
            for result in results {
                if let Outcome::Placed { hash, stamp } = result {
                    self.checker.acknowledge(*hash, stamp);
                }
            }
        }
        if self.devices[at].hostile.is_some() {
            return self.hostile_hears(at, session, frame);
        }
        let Some((connection, current)) = self.devices[at].connection else { return Ok(()) };
        if current != session {
            return Ok(());
        }
        self.device_input(at, Input::FrameReceived { connection, frame: Ok(frame) })
    }

    /// A device learns that its connection is gone.
    pub(super) fn device_learns(&mut self, session: SessionId) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(&session).filter(|link| link.device_open) else { return Ok(()) };
        let at = link.device;
        self.device_end_closed(session);
        if self.devices[at].hostile.is_some() {
            self.devices[at].connection = None;
            let run = self.devices[at].run;
            let delay_us = self.rng.between(500 * MS, 5_000 * MS);
            if !self.calm {
                self.after(delay_us, Event::DeviceRefused { device: at, run, connection: ConnectionId(0) });
            }
            return Ok(());
        }
        match self.devices[at].connection {
            Some((connection, current)) if current == session => {
                self.devices[at].connection = None;
                self.device_input(at, Input::Disconnected { connection })
            }
            _ => Ok(()),
        }
    }

    /// The connection breaks; each end learns it at its own time.
    pub(super) fn break_link(&mut self, at: usize) {
        let Some(session) = self.devices[at].session() else { return };
        let Some(link) = self.links.get_mut(&session) else { return };
        link.broken = true;
        let notice_us_max = self.scenario.faults.quality.notice_us_max;
        let (hub_us, device_us) = (self.rng.skewed(100, notice_us_max), self.rng.skewed(100, notice_us_max));
        self.after(hub_us, Event::HubLearns { session });
        self.after(device_us, Event::DeviceLearns { session });
    }

    pub(super) fn device_offline(&mut self, at: usize, for_ms: u64) -> Result<(), Violation> {
        self.devices[at].offline_until_us = self.now_us + for_ms * MS;
        self.break_link(at);
        self.after(for_ms * MS, Event::DeviceOnline { device: at });
        Ok(())
    }

    pub(super) fn device_online(&mut self, at: usize) -> Result<(), Violation> {
        // Platforms tell when the network is back; half of these devices have such a one.
        if self.now_us >= self.devices[at].offline_until_us
            && at.is_multiple_of(2)
            && self.devices[at].hostile.is_none()
        {
            return self.device_act(at, Act::Connect);
        }
        Ok(())
    }
}

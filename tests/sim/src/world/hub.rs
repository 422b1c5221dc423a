//! The hub's driver in the simulator: carries out effects, and the faults of its machine.

use bytes::Bytes;
use lockstep_client_core::input::ConnectionId;
use lockstep_client_core::planted::ClientBug;
use lockstep_core::effect::{Apply, Effect, Scan};
use lockstep_core::hub::Hub;
use lockstep_core::input::{ApplyFailure, Input, Now, SessionId};
use lockstep_core::query::{Answer, LoadFailure, Query};
use lockstep_protocol::codec;
use lockstep_protocol::directory::Policy;
use lockstep_protocol::frame::{Command, DeviceFrame, HubFrame};
use lockstep_protocol::id::ConversationId;
use lockstep_protocol::keep::Keep;
use lockstep_protocol::limits::FRAME_BYTES_MAX;

use super::{Bug, EFFECTS_MAX, Event, MS, WALL_MS, World};
use crate::checker::Violation;

impl World {
    /// What a right clock shows, milliseconds since 1970.
    pub(super) const fn true_wall_ms(&self) -> u64 {
        WALL_MS + self.leap_ms + self.now_us / MS
    }

    fn hub_now(&self) -> Now {
        Now {
            wall_ms: self.true_wall_ms().saturating_add_signed(self.hub.skew_ms),
            mono_ms: self.now_us / MS - self.hub.started_us / MS,
        }
    }

    pub(super) fn hub_boot(&mut self) -> Result<(), Violation> {
        let restored = self.hub.restore_open;
        if self.hub.core.is_some() {
            return Ok(());
        }
        self.hub.booting = false;
        self.hub.draining = false;
        self.hub.run += 1;
        self.hub.started_us = self.now_us;
        self.checker.replaying = restored;
        self.checker.run += 1;
        self.checker.started_ms = self.now_us / MS;
        self.checker.started_wall_ms = self.hub_now().wall_ms;
        let entropy = self.rng.bytes();
        let boot = self.hub.store.boot(&self.hub.identity, restored, entropy);
        self.say(|| format!("hub starts, head {:?}, restored {restored}", boot.head));
        let mut effects = Vec::new();
        self.hub.core = Some(Hub::new(boot, self.hub_now(), &mut effects));
        self.hub_effects(effects)?;
        self.arm_hub();
        Ok(())
    }

    /// Tells the hub that something happened.
    pub(super) fn hub_input(&mut self, input: Input) -> Result<(), Violation> {
        let now = self.hub_now();
        let Some(hub) = &mut self.hub.core else { return Ok(()) };
        let mut effects = Vec::new();
        hub.handle(now, input, &mut effects);
        if effects.len() > EFFECTS_MAX {
            return Violation::fail("bounded", format!("one input has {} effects at the hub", effects.len()));
        }
        self.hub_effects(effects)?;
        self.arm_hub();
        Ok(())
    }

    fn arm_hub(&mut self) {
        let Some(wake_ms) = self.hub.core.as_ref().and_then(Hub::next_wake) else { return };
        let at_us = (self.hub.started_us / MS + wake_ms) * MS;
        if self.hub.tick_us <= self.now_us || at_us < self.hub.tick_us {
            self.hub.tick_us = at_us.max(self.now_us + 1);
            let run = self.hub.run;
            self.at(self.hub.tick_us, Event::HubTick { run });
        }
    }

    pub(super) fn hub_tick(&mut self, run: u64) -> Result<(), Violation> {
        if run == self.hub.run { self.hub_input(Input::Ticked) } else { Ok(()) }
    }

    fn hub_effects(&mut self, effects: Vec<Effect>) -> Result<(), Violation> {
        for effect in effects {
            match effect {
                Effect::Send { session, bytes } => self.hub_sends(session, bytes)?,
                Effect::Close { session, reason } => {
                    self.say(|| format!("hub closes {session:?}: {reason:?}"));
                    self.hub_closes(session);
                }
                Effect::Commit(batch) => {
                    let wall_ms = self.hub_now().wall_ms;
                    self.say(|| format!("hub commits {:?}", batch.entries.iter().map(|e| e.lsn).collect::<Vec<_>>()));
                    self.checker.sequenced(self.now_us / MS, wall_ms, &batch);
                    if self.hub.store.write(batch) {
                        self.start_sync();
                    }
                }
                Effect::Load(query) => {
                    let delay_us = self.rng.skewed(10, self.scenario.faults.load_us_max);
                    let run = self.hub.run;
                    self.after(delay_us, Event::LoadRead { run, query });
                }
                Effect::Apply(apply) => {
                    let delay_us = self.rng.skewed(100, 500 * MS);
                    let run = self.hub.run;
                    self.after(delay_us, Event::ApplyDone { run, apply });
                }
                Effect::Scan(scan) => {
                    let delay_us = self.rng.skewed(100, 500 * MS);
                    let run = self.hub.run;
                    self.after(delay_us, Event::ScanDone { run, scan });
                }
                Effect::Answer { request, outcome } => {
                    if !self.import_answered(request, &outcome)? {
                        self.answers.insert(request, outcome);
                    }
                }
                Effect::Shred(conversation) => {
                    let delay_us = self.rng.skewed(100, 900 * MS);
                    let run = self.hub.run;
                    self.after(delay_us, Event::ShredDone { run, conversation });
                }
                Effect::ImportPlanned { request, outcome } => self.import_planned(request, outcome)?,
                Effect::Report(report) => self.say(|| format!("hub reports {report:?}")),
                Effect::Drained => {
                    let run = self.hub.run;
                    self.after(0, Event::HubStop { run, down_ms: 500 });
                }
                Effect::Stop => {
                    let run = self.hub.run;
                    self.after(0, Event::HubStop { run, down_ms: 200 });
                }
            }
        }
        Ok(())
    }

    fn start_sync(&mut self) {
        let delay_us = self.rng.skewed(100, self.scenario.faults.sync_us_max);
        let run = self.hub.run;
        self.after(delay_us, Event::Synced { run });
    }

    pub(super) fn hub_synced(&mut self, run: u64) -> Result<(), Violation> {
        if run != self.hub.run || self.hub.core.is_none() {
            return Ok(());
        }
        let batches = self.hub.store.synced();
        for batch in &batches {
            self.checker.durable(batch)?;
        }
        if let Some(last) = batches.last() {
            self.hub_input(Input::Committed { ticket: last.ticket })?;
        }
        if self.hub.store.needs_sync() {
            self.start_sync();
        }
        Ok(())
    }

    pub(super) fn hub_read(&mut self, run: u64, query: Query) -> Result<(), Violation> {
        if run != self.hub.run {
            return Ok(());
        }
        let fails = !self.calm && self.rng.chance(self.scenario.faults.load_failures);
        let outcome: Result<Answer, LoadFailure> =
            if fails { Err(LoadFailure) } else { Ok(self.hub.store.disk.answer(&query)) };
        // What was read travels for a while, and newer commits may overtake it.
        let delay_us = self.rng.skewed(10, self.scenario.faults.load_us_max);
        self.after(delay_us, Event::LoadDone { run, query, outcome });
        Ok(())
    }

    pub(super) fn hub_loaded(
        &mut self,
        run: u64,
        query: Query,
        outcome: Result<Answer, LoadFailure>,
    ) -> Result<(), Violation> {
        if run == self.hub.run { self.hub_input(Input::Loaded { query, outcome }) } else { Ok(()) }
    }

    pub(super) fn hub_applied(&mut self, run: u64, apply: &Apply) -> Result<(), Violation> {
        if run != self.hub.run {
            return Ok(());
        }
        let fails = !self.calm && self.rng.chance(self.scenario.faults.apply_failures);
        let outcome = if fails && !apply.rebuild {
            Err(if self.rng.chance(500) { ApplyFailure::BaseDamaged } else { ApplyFailure::Failed })
        } else {
            self.scenario.worker.apply(&self.hub.store.disk, apply)
        };
        self.say(|| format!("worker compacts {:?} to {:?}: {:?}", apply.document, apply.upto, outcome.as_ref().err()));
        self.hub_input(Input::Applied { document: apply.document, outcome })
    }

    pub(super) fn hub_scanned(&mut self, run: u64, scan: &Scan) -> Result<(), Violation> {
        if run != self.hub.run {
            return Ok(());
        }
        let fails = !self.calm && self.rng.chance(self.scenario.faults.apply_failures);
        let hits = if fails { None } else { self.scenario.worker.scan(&self.hub.store.disk, scan) };
        self.hub_input(Input::Scanned { document: scan.document, hits })
    }

    /// The bodies of a shredded conversation's entries are erased, and its keys destroyed.
    pub(super) fn hub_shredded(&mut self, run: u64, conversation: ConversationId) -> Result<(), Violation> {
        if run != self.hub.run {
            return Ok(());
        }
        let fails = !self.calm && self.rng.chance(200);
        if !fails {
            self.hub.store.disk.erase(conversation);
        }
        self.say(|| format!("{conversation:?} is erased: {}", !fails));
        self.hub_input(Input::Shredded { conversation, done: !fails })
    }

    /// Somebody on the hub's machine sets a keep time.
    pub(super) fn set_keep(&mut self, keep: Option<Keep>, pick: u64) -> Result<(), Violation> {
        let policy = self.checker.model.directory().policy;
        let command = match pick % 2 {
            0 => Command::PolicySet(Policy { keep, ..policy }),
            _ => {
                let conversation = self.conversations[(pick >> 32) as usize % self.conversations.len()];
                Command::ConversationKeep { conversation, keep }
            }
        };
        self.next_request += 1;
        let (request, entropy) = (self.next_request, self.rng.bytes());
        self.hub_input(Input::Administered { request, command, entropy })
    }

    /// Somebody on the hub's machine destroys a conversation.
    pub(super) fn shred(&mut self, pick: u64) -> Result<(), Violation> {
        let conversation = self.conversations[pick as usize % self.conversations.len()];
        self.next_request += 1;
        self.hub_input(Input::ShredAsked { request: self.next_request, conversation })
    }

    fn hub_sends(&mut self, session: SessionId, bytes: Bytes) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(&session) else { return Ok(()) };
        if bytes.len() > FRAME_BYTES_MAX {
            return Violation::fail("bounded", format!("a frame of {} bytes leaves the hub", bytes.len()));
        }
        let frame = match codec::decode_hub(&bytes) {
            Ok(Some(frame)) => frame,
            other => return Violation::fail("frame", format!("the hub sends {other:?}")),
        };
        if let HubFrame::Welcome(_) = frame {
            // Nobody is let in before the new epoch and the losses are durable.
            self.hub.restore_open = false;
            self.checker.replaying = false;
        }
        let device = link.device;
        let (id, member) = (self.devices[device].id, self.devices[device].member);
        if self.trace {
            self.say(|| format!("hub → d{device} {session:?}: {}", crate::trace::hub_frame(&frame)));
        }
        self.checker.sent(self.now_us / MS, id, member, &frame)?;
        self.checker.bounds.frame_bytes = self.checker.bounds.frame_bytes.max(bytes.len());
        self.told(session, &frame)?;
        let link = self.links.get_mut(&session).expect("it was just there");
        if let HubFrame::Entries(_) = frame {
            self.checker.bounds.queued(link.unsent_bytes, self.scenario.config.session_queue_bytes_max)?;
        }
        if link.broken || !link.hub_open {
            link.unsent_bytes += bytes.len();
            return Ok(());
        }
        let len = bytes.len();
        let quality = self.scenario.faults.quality;
        let (leaves_us, arrives_us) = link.send_down(self.now_us, bytes, &quality, &mut self.rng);
        self.at(leaves_us, Event::Left { session, bytes: len });
        self.at(arrives_us, Event::Down { session });
        Ok(())
    }

    /// Ranges of the log follow each other without a gap in every session.
    fn told(&mut self, session: SessionId, frame: &HubFrame) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(&session) else { return Ok(()) };
        match frame {
            HubFrame::Entries(entries) => {
                let gap = link.told.is_some_and(|told| told != entries.from);
                if gap && self.bug != Some(Bug::Client(ClientBug::EntriesOverHole)) {
                    let (told, from) = (link.told, entries.from);
                    return Violation::fail("hole", format!("{session:?} was told up to {told:?}, now from {from:?}"));
                }
                link.told = Some(entries.upto);
            }
            HubFrame::Catalogue(catalogue) => link.told = catalogue.end.map(|end| end.lsn).or(link.told),
            _ => {}
        }
        Ok(())
    }

    fn hub_closes(&mut self, session: SessionId) {
        let Some(link) = self.links.get_mut(&session) else { return };
        if !link.hub_open {
            return;
        }
        link.hub_open = false;
        let quality = self.scenario.faults.quality;
        if !link.broken {
            // An empty frame stands for the end of the stream: it comes after what was sent before.
            let (_, arrives_us) = link.send_down(self.now_us, Bytes::new(), &quality, &mut self.rng);
            self.at(arrives_us, Event::Down { session });
        }
        let delay_us = self.rng.skewed(10, 50 * MS);
        self.after(delay_us, Event::HubLearns { session });
    }

    pub(super) fn hub_accepts(&mut self, session: SessionId) -> Result<(), Violation> {
        if !self.links.get(&session).is_some_and(|link| link.hub_open) || self.hub.core.is_none() {
            return Ok(());
        }
        let entropy = self.rng.bytes();
        self.hub_input(Input::Connected { session, entropy })
    }

    /// A frame arrives at the hub.
    pub(super) fn up(&mut self, session: SessionId) -> Result<(), Violation> {
        let now_us = self.now_us;
        let Some(link) = self.links.get_mut(&session).filter(|link| link.hub_open && !link.broken) else {
            return Ok(());
        };
        let device = link.device;
        let bytes = match link.up.take(now_us) {
            Err(again_us) => {
                self.at(again_us, Event::Up { session });
                return Ok(());
            }
            Ok(None) => return Ok(()),
            Ok(Some(bytes)) => bytes,
        };
        if bytes.is_empty() {
            return self.hub_learns(session);
        }
        let frame = match codec::decode_device(&bytes) {
            Ok(None) => return Ok(()),
            Ok(Some(frame)) => {
                if self.trace {
                    self.say(|| format!("hub ← d{device} {session:?}: {}", crate::trace::device_frame(&frame)));
                }
                self.checker.heard(&frame);
                Ok(frame)
            }
            Err(error) => Err(error),
        };
        let is_hello = matches!(frame, Ok(DeviceFrame::Hello(_)));
        self.hub_input(Input::FrameReceived { session, frame })?;
        if is_hello && std::mem::take(&mut self.devices[device].lost_at_hello) {
            let command = Command::DeviceRevoke { device: self.devices[device].id };
            self.next_request += 1;
            let (request, entropy) = (self.next_request, self.rng.bytes());
            self.say(|| format!("the hub's machine revokes d{device}"));
            self.hub_input(Input::Administered { request, command, entropy })?;
        }
        Ok(())
    }

    /// Bytes left the hub for the socket.
    pub(super) fn left(&mut self, session: SessionId, bytes: usize) -> Result<(), Violation> {
        let now_us = self.now_us;
        let Some(link) = self.links.get_mut(&session).filter(|link| link.hub_open && !link.broken) else {
            return Ok(());
        };
        if let Some(again_us) = link.stalled_down_until(now_us) {
            self.at(again_us, Event::Left { session, bytes });
            return Ok(());
        }
        link.unsent_bytes = link.unsent_bytes.saturating_sub(bytes);
        self.hub_input(Input::Sent { session, bytes })
    }

    /// The hub learns that a connection is gone.
    pub(super) fn hub_learns(&mut self, session: SessionId) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(&session) else { return Ok(()) };
        link.hub_open = false;
        if link.device_open && !link.broken {
            // The end travels to the device too; a closing hub has sent it already.
        } else if !link.device_open {
            self.links.remove(&session);
        }
        self.hub_input(Input::Disconnected { session })
    }

    fn hub_dies(&mut self) {
        self.hub.core = None;
        self.hub.run += 1;
        // The next one arms its own.
        self.hub.tick_us = 0;
        self.hub.draining = false;
        self.checker.hub_stopped();
        self.imports.hub_stopped();
        let sessions: Vec<SessionId> = self.links.keys().copied().collect();
        for session in sessions {
            let notice_us = self.rng.skewed(100, self.scenario.faults.quality.notice_us_max);
            let link = self.links.get_mut(&session).expect("it was just listed");
            link.hub_open = false;
            link.broken = true;
            if link.device_open {
                self.after(notice_us, Event::DeviceLearns { session });
            } else {
                self.links.remove(&session);
            }
        }
    }

    pub(super) fn hub_crash(&mut self, down_ms: u64) -> Result<(), Violation> {
        if self.hub.core.is_none() {
            return Ok(());
        }
        if self.hub.store.unsynced() > 0 && self.rng.chance(200) {
            // The disk refuses the sync: the hub must stop by itself and say nothing more.
            self.hub_input(Input::CommitFailed)?;
        }
        let survivors = self.hub.store.crash(&mut self.rng);
        self.say(|| format!("hub crashes, {} unsynced batches survive", survivors.len()));
        for batch in &survivors {
            self.checker.durable(batch)?;
        }
        self.hub_dies();
        self.checker.check_rows(&self.hub.store.disk)?;
        self.boot_later(down_ms);
        Ok(())
    }

    fn boot_later(&mut self, down_ms: u64) {
        self.hub.booting = true;
        self.after(down_ms * MS, Event::HubBoot);
    }

    pub(super) fn hub_drain(&mut self, down_ms: u64) -> Result<(), Violation> {
        if self.hub.core.is_none() || self.hub.draining {
            return Ok(());
        }
        self.hub.draining = true;
        self.hub_input(Input::DrainRequested)?;
        // A grace deadline, as every orderly stop has one.
        let run = self.hub.run;
        self.after(10_000 * MS, Event::HubStop { run, down_ms });
        Ok(())
    }

    pub(super) fn hub_stop(&mut self, run: u64, down_ms: u64) -> Result<(), Violation> {
        if run != self.hub.run || self.hub.core.is_none() {
            return Ok(());
        }
        self.hub_crash(down_ms)
    }

    pub(super) fn hub_backup(&mut self) {
        let store = &self.hub.store;
        self.hub.backup = Some((store.disk.clone(), self.checker.model.clone(), store.outside.clone()));
    }

    /// The disk becomes what it was at the backup: by a restore, which is told, or silently.
    pub(super) fn hub_back(&mut self, restored: bool) -> Result<(), Violation> {
        let Some((disk, model, outside)) = self.hub.backup.clone() else { return Ok(()) };
        if self.hub.core.is_some() {
            self.hub_crash(0)?;
        }
        self.note_held();
        self.say(|| format!("the disk goes back to {:?}, restored {restored}", disk.head));
        self.hub.store.disk = disk;
        if !restored {
            self.hub.store.outside = outside;
        }
        let audit = self.hub.store.disk.audit_head;
        self.checker.disk_replaced(model, audit);
        self.queue.retain(|_, event| !matches!(event, Event::HubBoot));
        self.hub.restore_open = restored;
        let down_ms = self.rng.skewed(10, 3_000);
        self.boot_later(down_ms);
        Ok(())
    }

    pub(super) fn attack(&mut self, at: usize, pick: u64) -> Result<(), Violation> {
        let wall_ms = self.true_wall_ms();
        let Some(session) = self.devices[at].session() else { return Ok(()) };
        let Some(hostile) = &mut self.devices[at].hostile else { return Ok(()) };
        if !hostile.welcomed {
            return Ok(());
        }
        match hostile.attacks(wall_ms, &self.conversations, pick, &mut self.rng) {
            Some(frames) => frames.into_iter().for_each(|bytes| self.send_up(session, bytes)),
            None => self.break_link(at),
        }
        Ok(())
    }

    pub(super) fn hostile_connects(&mut self, at: usize) {
        if self.devices[at].connection.is_none() && self.hub.core.is_some() {
            let session = self.new_link(at);
            self.devices[at].connection = Some((ConnectionId(0), session));
        } else if !self.calm {
            let run = self.devices[at].run;
            self.after(1_000 * MS, Event::DeviceRefused { device: at, run, connection: ConnectionId(0) });
        }
    }

    pub(super) fn hostile_hears(&mut self, at: usize, session: SessionId, frame: HubFrame) -> Result<(), Violation> {
        let pinned = self.hub.identity.pinned;
        let Some(hostile) = &mut self.devices[at].hostile else { return Ok(()) };
        let frames = hostile.hears(frame, pinned, &mut self.rng);
        frames.into_iter().for_each(|bytes| self.send_up(session, bytes));
        Ok(())
    }
}

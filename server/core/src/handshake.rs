//! From a connection to a welcomed session: challenge, proof, enrolment, and the cursor held against the log.

use lockstep_protocol::auth::Transcript;
use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::directory::{Device, DirectoryEvent};
use lockstep_protocol::entry::LogChain;
use lockstep_protocol::frame::{Enrol, Hello, HubFrame, Welcome};
use lockstep_protocol::id::{ConversationId, DeviceId, Lsn, MemberId, Nonce};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::{Refusal, RefusalCode};

use crate::audit::{Act, Actor};
use crate::effect::{Effect, Report};
use crate::hub::{Hub, Waiter};
use crate::input::SessionId;
use crate::log::Draft;
use crate::planted::HubBug;
use crate::query::Query;
use crate::session::{Mode, Open, Phase, Proving, Reading, Session};

impl Hub {
    pub(crate) fn connected(&mut self, id: SessionId, entropy: &[u8; 32], effects: &mut Vec<Effect>) {
        let mut nonce = Nonce::default();
        nonce.0.copy_from_slice(&blake3::derive_key("lockstep challenge 1", entropy)[..16]);
        let secret = blake3::derive_key("lockstep session secret 1", entropy);
        self.sessions.insert(id, Session::new(id, nonce, secret, self.now.mono_ms));
        self.send(id, &HubFrame::Challenge { nonce, hub: self.id }, effects);
    }

    pub(crate) fn hello(&mut self, id: SessionId, hello: &Hello, effects: &mut Vec<Effect>) {
        if let Err(refusal) = self.admit(hello.version) {
            return self.refuse_session(id, *refusal, effects);
        }
        let Some(transcript) = self.transcript(id, hello.device) else { return };
        let refused = match self.access.device(&hello.device) {
            None if self.access.is_revoked(&hello.device) && !self.planted.is(HubBug::RevocationForgotten) => {
                Some(RefusalCode::DeviceRevoked)
            }
            None => Some(RefusalCode::DeviceUnknown),
            Some(device) if !transcript.verify_hello(&device.key, &hello.proof) => Some(RefusalCode::ProofInvalid),
            Some(_) => None,
        };
        if let Some(code) = refused {
            self.audit_stranger(hello.device, Act::SignInRefused, code, effects);
            return self.refuse_session(id, code.into(), effects);
        }
        let Some(member) = self.access.device(&hello.device).map(|device| device.member) else { return };
        // A cursor that the hub did not make sends just this device through the catalogue; it proves nothing.
        let ours = |cursor: &Option<Cursor>| {
            cursor.filter(|cursor| cursor.verify(&self.log.key) || self.planted.is(HubBug::ForgedCursorBelieved))
        };
        let (cursor, witness) = (ours(&hello.cursor), ours(&hello.witness));
        let mut unproven = Vec::new();
        for claim in [cursor, witness].into_iter().flatten() {
            let is_current = claim.epoch == self.log.epoch;
            let is_beyond =
                if is_current { claim.lsn > self.log.committed } else { !self.log.knows_epoch(&claim.epoch) };
            if is_beyond && !self.planted.is(HubBug::RollbackNotNoticed) {
                return self.rolled_back(id, claim, effects);
            }
            if is_current && !is_beyond {
                unproven.push(claim);
            }
        }
        let cursor = cursor.filter(|cursor| cursor.epoch == self.log.epoch && cursor.lsn <= self.log.committed);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.phase = Phase::Proving(Proving { device: hello.device, member, cursor, unproven });
        }
        self.prove(id, effects);
    }

    /// Holds the next claimed place against the log; welcomes the device when all have held.
    fn prove(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        let (committed, committed_chain) = (self.log.committed, self.log.committed_chain);
        let Some(Session { phase: Phase::Proving(proving), .. }) = self.sessions.get_mut(&id) else { return };
        let Some(claim) = proving.unproven.last() else {
            let (device, cursor) = (proving.device, proving.cursor);
            // Revoked while it was proving itself?
            let known = self.access.device(&device).map(|device| device.member);
            let planted = self.planted.is(HubBug::DeviceNotLookedUpAgain).then_some(proving.member);
            let Some(member) = known.or(planted) else {
                self.audit_stranger(device, Act::SignInRefused, RefusalCode::DeviceRevoked, effects);
                return self.refuse_session(id, RefusalCode::DeviceRevoked.into(), effects);
            };
            if self.welcome(id, device, member, cursor.map(|cursor| cursor.lsn), effects) {
                self.signed_in(device, member, effects);
            }
            return;
        };
        let lsn = claim.lsn;
        if lsn == committed {
            self.proven(id, lsn, Some(committed_chain), effects);
        } else if lsn == Lsn::ZERO {
            self.proven(id, lsn, Some(LogChain::default()), effects);
        } else {
            effects.push(Effect::Load(Query::Chain { session: id, lsn }));
        }
    }

    /// The log chain at a claimed place is known; none if the log does not reach there any more.
    pub(crate) fn proven(&mut self, id: SessionId, lsn: Lsn, chain: Option<LogChain>, effects: &mut Vec<Effect>) {
        let Some(Session { phase: Phase::Proving(proving), .. }) = self.sessions.get_mut(&id) else { return };
        let Some(claim) = proving.unproven.pop_if(|claim| claim.lsn == lsn) else { return };
        match chain {
            Some(chain) if claim.lies_on(&chain) => {}
            Some(_) if self.planted.is(HubBug::RollbackNotNoticed) => {}
            Some(_) => return self.rolled_back(id, claim, effects),
            None => proving.cursor = None,
        }
        self.prove(id, effects);
    }

    /// A device holds a validly signed place that this log does not have: the disk is a copy or was rolled back.
    fn rolled_back(&mut self, id: SessionId, claim: Cursor, effects: &mut Vec<Effect>) {
        self.report(Report::RollbackFound { lsn: claim.lsn }, effects);
        let Some(entropy) = self.sessions.get_mut(&id).map(Session::draw) else { return };
        // An epoch that this disk has lost is remembered as known and empty, or each Hello from it would begin another.
        let lost = (!self.log.knows_epoch(&claim.epoch)).then_some(claim.epoch);
        self.begin_epoch(lost, &entropy, effects);
    }

    pub(crate) fn enrol(&mut self, id: SessionId, enrol: Enrol, effects: &mut Vec<Effect>) {
        if let Err(refusal) = self.admit(enrol.version).and_then(|()| self.admit_code()) {
            return self.refuse_session(id, *refusal, effects);
        }
        let device = Device { key: enrol.key, member: MemberId::HUB, name: enrol.name };
        let device_id = device.id();
        let Some(transcript) = self.transcript(id, device_id) else { return };
        // Found by its keyed hash: how long that takes tells nothing of any code.
        let code = self.log.key.code_hash(&enrol.code);
        let judged = match self.invites.get(&code).filter(|invite| self.now.mono_ms < invite.until_ms).copied() {
            None => Err(RefusalCode::CodeInvalid),
            Some(_) if !transcript.verify_enrol(&device.key, &enrol.code, &enrol.proof) => {
                Err(RefusalCode::ProofInvalid)
            }
            Some(invite) => self.judge_enrolment(&device, invite.member).map(|()| invite.member),
        };
        let member = match judged {
            Ok(member) => member,
            Err(refused) => {
                self.wrong_codes.1 += u32::from(refused == RefusalCode::CodeInvalid);
                self.audit_stranger(device_id, Act::EnrolmentRefused, refused, effects);
                return self.refuse_session(id, refused.into(), effects);
            }
        };
        self.invites.remove(&code);
        let device = Device { member, ..device };
        let mut draft = Draft::by(Actor::Device { member, device: device_id });
        self.sequence_event(&mut draft, member, DirectoryEvent::DeviceAdded(device));
        let ticket = self.log.commit(draft, effects);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.phase = Phase::Enrolling;
        }
        self.waiters.push((ticket, Waiter::Enrolled(id, device_id, member)));
    }

    /// Whether a member may have this device too.
    fn judge_enrolment(&self, device: &Device, member: MemberId) -> Result<(), RefusalCode> {
        let directory = &self.access.sequenced;
        if device.name.len() > limits::NAME_BYTES_MAX {
            return Err(RefusalCode::TooLarge);
        }
        if directory.devices.contains_key(&device.id()) {
            return Err(RefusalCode::AlreadyExists);
        }
        if directory.role(member).is_none() {
            return Err(RefusalCode::CodeInvalid);
        }
        if !directory.policy.has_room(directory.devices_of(member)) {
            return Err(RefusalCode::DevicesFull);
        }
        Ok(())
    }

    /// Whether a code may be looked at: guessing is bounded over all connections, whatever address it comes from.
    fn admit_code(&mut self) -> Result<(), Box<Refusal>> {
        let minute = self.now.mono_ms / 60_000;
        if self.wrong_codes.0 != minute {
            self.wrong_codes = (minute, 0);
        }
        if self.wrong_codes.1 < limits::CODES_PER_MINUTE_MAX {
            return Ok(());
        }
        let left_ms = 60_000 - self.now.mono_ms % 60_000;
        let retry_after_ms = Some(u32::try_from(left_ms).unwrap_or(u32::MAX));
        Err(Box::new(Refusal { retry_after_ms, ..Refusal::from(RefusalCode::RateLimited) }))
    }

    /// What comes before any signature check.
    fn admit(&mut self, version: u32) -> Result<(), Box<Refusal>> {
        let busy = |code: RefusalCode| Box::new(Refusal { retry_after_ms: Some(250), ..Refusal::from(code) });
        if version != limits::PROTOCOL_VERSION {
            return Err(Box::new(RefusalCode::VersionUnsupported.into()));
        }
        if self.draining {
            return Err(busy(RefusalCode::Draining));
        }
        if !self.is_ready() {
            return Err(busy(RefusalCode::Busy));
        }
        let second = self.now.mono_ms / 1000;
        if self.hellos.0 != second {
            self.hellos = (second, 0);
        }
        self.hellos.1 += 1;
        if self.hellos.1 > limits::HELLOS_PER_SECOND_MAX { Err(busy(RefusalCode::RateLimited)) } else { Ok(()) }
    }

    fn transcript(&self, id: SessionId, device: DeviceId) -> Option<Transcript> {
        let Phase::Challenged { nonce, .. } = self.sessions.get(&id)?.phase else { return None };
        Some(Transcript { hub: self.id, pinned: self.pinned, nonce, device, version: limits::PROTOCOL_VERSION })
    }

    fn sessions_of(&self, member: MemberId) -> usize {
        self.sessions.values().filter(|session| session.open().is_some_and(|open| open.member == member)).count()
    }

    /// Lets a device in, and says whether it did. From here on it is subscribed: what is committed later reaches it, so catch-up has no gap.
    pub(crate) fn welcome(
        &mut self,
        id: SessionId,
        device: DeviceId,
        member: MemberId,
        cursor: Option<Lsn>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        // Revoked while it was proving itself or enrolling.
        let is_known = self.access.device(&device).is_some() || self.planted.is(HubBug::DeviceNotLookedUpAgain);
        let refused = match self.access.committed.role(member).filter(|_| is_known) {
            None => Err(RefusalCode::DeviceRevoked),
            Some(_) if self.sessions_of(member) >= limits::SESSIONS_PER_MEMBER_MAX => Err(RefusalCode::SessionsFull),
            Some(role) => Ok(role),
        };
        let role = match refused {
            Ok(role) => role,
            Err(code) => {
                self.audit_stranger(device, Act::SignInRefused, code, effects);
                self.refuse_session(id, code.into(), effects);
                return false;
            }
        };
        let cursor = cursor.filter(|lsn| *lsn >= self.floor);
        let mode = Mode::Reading(Reading::default());
        let seen_at_start: Option<Vec<ConversationId>> = None;
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        session.phase = Phase::Open(Box::new(Open {
            device,
            member,
            mode,
            position: cursor.unwrap_or(Lsn::ZERO),
            parked_bytes: 0,
            fetches: std::collections::VecDeque::new(),
            seen_at_start,
        }));
        let welcome = Welcome {
            session: id.0,
            epoch: self.log.epoch,
            now_ms: self.now.wall_ms,
            member,
            role,
            policy: self.access.committed.policy,
            catalogue: cursor.is_none(),
            head: self.log.committed,
        };
        self.send(id, &HubFrame::Welcome(welcome), effects);
        if cursor.is_none() {
            self.start_catalogue(id, effects);
        }
        self.pump(id, effects);
        true
    }
}

//! Who is let in and stays in: one-time codes, limits of devices, those who left, lists of devices, and what of all that
//! the audit log tells. DESIGN sections 6 and 7.

use lockstep_core::audit::{Act, Actor, AuditChain, AuditRow, Deed};
use lockstep_core::hub::HubConfig;
use lockstep_core::input::Input;
use lockstep_protocol::auth::{DeviceKey, Transcript};
use lockstep_protocol::directory::{Conversation, Member, Policy, Role};
use lockstep_protocol::entry::HubKey;
use lockstep_protocol::frame::{Command, DeviceFrame, Enrol, Fetch, Hello, HubFrame, Outcome};
use lockstep_protocol::id::{
    ConversationId, DeviceId, HubId, InviteCode, MemberId, PinnedKeyHash, PublicKey, Signature,
};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::RefusalCode;
use lockstep_sim::local::{LocalDevice, LocalHub};

const TALK: ConversationId = ConversationId([0xc1; 16]);
const MANAGER: u32 = 2;
const AGENT: u32 = 3;
const OTHER: u32 = 4;

fn hub() -> LocalHub {
    let mut hub = LocalHub::new(HubConfig { compact_tail: 1_000_000, ..HubConfig::default() });
    for (member, role) in [(MANAGER, Role::Manager), (AGENT, Role::Agent), (OTHER, Role::Agent)] {
        hub.add_member(member, role);
    }
    hub
}

fn invite(hub: &mut LocalHub, member: u32) -> InviteCode {
    match hub.administer(Command::Invite { member: MemberId(member) }) {
        Outcome::Invited { code, .. } => code,
        other => panic!("an invitation was expected: {other:?}"),
    }
}

/// Tries to enrol a device with a code; none if it is let in.
fn enrol(hub: &mut LocalHub, code: InviteCode, secret: u8) -> Option<RefusalCode> {
    let key = DeviceKey::new(&[secret; 32]);
    let (session, nonce) = hub.connect();
    let (version, device) = (limits::PROTOCOL_VERSION, DeviceId::of(&key.public()));
    let transcript = Transcript { hub: HubId([7; 16]), pinned: PinnedKeyHash([9; 32]), nonce, device, version };
    let proof = transcript.sign_enrol(&key, &code);
    let enrol = Enrol { version, code, key: key.public(), name: format!("device {secret}"), proof };
    refusal(&hub.send(session, &DeviceFrame::Enrol(enrol)))
}

fn refusal(frames: &[HubFrame]) -> Option<RefusalCode> {
    frames.iter().find_map(|frame| match frame {
        HubFrame::Refusal { refusal, .. } => refusal.known(),
        HubFrame::Ack { results, .. } => match results.as_slice() {
            [Outcome::Refused(refusal)] => refusal.known(),
            _ => None,
        },
        _ => None,
    })
}

fn refused(outcome: &Outcome) -> Option<RefusalCode> {
    match outcome {
        Outcome::Refused(refusal) => refusal.known(),
        _ => None,
    }
}

#[test]
fn a_code_is_good_once_and_for_ten_minutes() {
    let mut hub = hub();
    let code = invite(&mut hub, AGENT);
    assert_eq!(enrol(&mut hub, code, 10), None);
    assert_eq!(enrol(&mut hub, code, 11), Some(RefusalCode::CodeInvalid), "a second time");
    for (ms, expected) in [(limits::INVITE_MS_MAX - 1, None), (limits::INVITE_MS_MAX, Some(RefusalCode::CodeInvalid))] {
        let code = invite(&mut hub, AGENT);
        hub.advance(ms);
        assert_eq!(enrol(&mut hub, code, 12), expected, "after {ms} ms");
        let device = DeviceId::of(&DeviceKey::new(&[12; 32]).public());
        hub.administer(Command::DeviceRevoke { device });
    }
    // A code does not outlive the right that it was made for.
    for command in [
        Command::MemberRole { member: MemberId(AGENT), role: Role::Auditor },
        Command::MemberRemove { member: MemberId(AGENT) },
    ] {
        let code = invite(&mut hub, AGENT);
        hub.administer(command.clone());
        assert_eq!(enrol(&mut hub, code, 13), Some(RefusalCode::CodeInvalid), "{command:?}");
    }
}

#[test]
fn guessing_codes_is_bounded_over_all_connections() {
    let mut hub = hub();
    let code = invite(&mut hub, AGENT);
    // To the beginning of a minute.
    hub.advance(60_000 - hub.now.mono_ms % 60_000);
    for guess in 0..limits::CODES_PER_MINUTE_MAX {
        let mut wrong = InviteCode([0xee; 16]);
        wrong.0[..4].copy_from_slice(&guess.to_be_bytes());
        assert_eq!(enrol(&mut hub, wrong, 20), Some(RefusalCode::CodeInvalid), "guess {guess}");
    }
    assert_eq!(enrol(&mut hub, code, 21), Some(RefusalCode::RateLimited), "the right one is not even looked at");
    hub.advance(59_000);
    assert_eq!(enrol(&mut hub, code, 21), Some(RefusalCode::RateLimited));
    hub.advance(1_000);
    assert_eq!(enrol(&mut hub, code, 21), None);
    // What could be written of it is bounded too, and nothing is lost from the count.
    hub.advance(61_000);
    let rows = rows(&hub);
    let of_kind = |kind: &str| rows.iter().filter(|row| row.act.kind() == kind).count() as u32;
    let counted: u32 = rows.iter().map(|row| if let Act::More { refusals } = row.act { refusals } else { 0 }).sum();
    assert!(of_kind("enrolment-refused") < limits::CODES_PER_MINUTE_MAX);
    assert_eq!(of_kind("enrolment-refused") + counted, limits::CODES_PER_MINUTE_MAX);
}

#[test]
fn a_policy_bounds_the_devices_of_a_member() {
    let mut hub = hub();
    for (max, devices, expected) in [
        (None, 3, [None, None, None]),
        (Some(0), 3, [None, None, None]),
        (Some(2), 3, [None, None, Some(RefusalCode::DevicesFull)]),
        (Some(1), 3, [None, Some(RefusalCode::DevicesFull), Some(RefusalCode::DevicesFull)]),
    ] {
        let policy = Policy { devices_max: max, ..Policy::default() };
        hub.administer(Command::PolicySet(policy));
        let mut outcomes = Vec::new();
        for secret in 30..30 + devices {
            let code = invite(&mut hub, AGENT);
            outcomes.push(enrol(&mut hub, code, secret));
        }
        assert_eq!(outcomes, expected, "{max:?}");
        for secret in 30..30 + devices {
            let device = DeviceId::of(&DeviceKey::new(&[secret; 32]).public());
            hub.administer(Command::DeviceRevoke { device });
        }
    }
    // A refused code is not used up.
    let code = {
        let first = invite(&mut hub, AGENT);
        assert_eq!(enrol(&mut hub, first, 40), None);
        let code = invite(&mut hub, AGENT);
        assert_eq!(enrol(&mut hub, code, 41), Some(RefusalCode::DevicesFull));
        code
    };
    hub.administer(Command::PolicySet(Policy { devices_max: Some(2), ..Policy::default() }));
    assert_eq!(enrol(&mut hub, code, 41), None);
}

#[test]
fn whoever_leaves_stays_by_name_and_number_and_nothing_else() {
    let mut hub = hub();
    let conversation =
        Conversation { id: TALK, customer: "Ana".into(), service: None, assigned: vec![MemberId(AGENT)], keep: None };
    hub.administer(Command::ConversationOpen(conversation));
    let mut owner = hub.enrol(1, 1);
    let mut agent = hub.enrol(AGENT, 3);
    hub.administer(Command::MemberRemove { member: MemberId(AGENT) });
    let team = |frames: Vec<HubFrame>| {
        frames.into_iter().find_map(|frame| match frame {
            HubFrame::Catalogue(page) => page.team,
            _ => None,
        })
    };
    let members = team(hub.hello(&mut owner, None, None)).expect("a team").members;
    let former = members.iter().find(|member| member.id == MemberId(AGENT)).expect("the row stays");
    assert_eq!((former.role, former.name.as_str()), (Role::Former, "Member 3"));
    assert_eq!(refusal(&hub.hello(&mut agent, None, None)), Some(RefusalCode::DeviceRevoked));
    let member = MemberId(AGENT);
    let again = Member { id: member, name: "Somebody else".into(), role: Role::Agent };
    for (command, expected) in [
        (Command::MemberAdd(again.clone()), Some(RefusalCode::AlreadyExists)),
        (Command::MemberAdd(Member { id: MemberId(50), role: Role::Former, ..again }), Some(RefusalCode::FieldInvalid)),
        (Command::MemberRole { member, role: Role::Agent }, Some(RefusalCode::MemberUnknown)),
        (Command::MemberRole { member: MemberId(OTHER), role: Role::Former }, Some(RefusalCode::FieldInvalid)),
        (Command::MemberRemove { member }, Some(RefusalCode::MemberUnknown)),
        (Command::Invite { member }, Some(RefusalCode::MemberUnknown)),
        (Command::Assign { conversation: TALK, member }, Some(RefusalCode::MemberUnknown)),
        (Command::Unassign { conversation: TALK, member }, None),
        (Command::Assign { conversation: TALK, member }, Some(RefusalCode::MemberUnknown)),
    ] {
        assert_eq!(refused(&hub.administer(command.clone())), expected, "{command:?}");
    }
}

fn listed(hub: &mut LocalHub, device: &LocalDevice) -> Vec<(u32, Option<u64>)> {
    let command = Command::DeviceList { after: None };
    let frames = hub.send(device.session, &DeviceFrame::Command { tag: 9, command });
    let devices = frames.into_iter().find_map(|frame| match frame {
        HubFrame::Ack { mut results, .. } => match results.pop() {
            Some(Outcome::Devices(devices)) => Some(devices),
            other => panic!("devices were expected: {other:?}"),
        },
        _ => None,
    });
    let mut devices: Vec<_> =
        devices.expect("an Ack").into_iter().map(|listed| (listed.member.0, listed.seen_ms)).collect();
    devices.sort_unstable();
    devices
}

#[test]
fn devices_are_listed_to_who_may_revoke_them_with_when_they_were_last_seen() {
    let mut hub = hub();
    let began_ms = hub.now.wall_ms;
    let [owner, manager, agent, other] =
        [(1, 1), (MANAGER, 2), (AGENT, 3), (OTHER, 4)].map(|(member, secret)| hub.enrol(member, secret));
    hub.input(Input::Disconnected { session: other.session });
    hub.now.wall_ms += 5_000;
    hub.now.mono_ms += 5_000;
    let (left, now) = (Some(began_ms), Some(began_ms + 5_000));
    for device in [&owner, &manager, &agent] {
        hub.send(device.session, &DeviceFrame::Ping {});
    }
    assert_eq!(listed(&mut hub, &agent), [(AGENT, now)]);
    assert_eq!(listed(&mut hub, &manager), [(MANAGER, now), (AGENT, now), (OTHER, left)]);
    assert_eq!(listed(&mut hub, &owner), [(1, now), (MANAGER, now), (AGENT, now), (OTHER, left)]);
}

/// The rows of the audit log, proven to be one chain that ends where the store says.
fn rows(hub: &LocalHub) -> Vec<AuditRow> {
    let (key, disk) = (HubKey::new(&[8; 32]), &hub.store.disk);
    let mut chain = AuditChain::default();
    let rows: Vec<AuditRow> = disk
        .audit
        .iter()
        .map(|entry| {
            chain = chain.after(&key, &entry.bytes);
            assert_eq!(chain, entry.chain);
            AuditRow::from_bytes(&entry.bytes).expect("a row")
        })
        .collect();
    assert_eq!((disk.audit_head.sequence, disk.audit_head.chain), (rows.len() as u64, chain));
    rows
}

#[test]
fn the_audit_log_tells_who_did_what_and_who_was_refused_what() {
    let mut hub = hub();
    let owner = hub.enrol(1, 1);
    let mut agent = hub.enrol(AGENT, 3);
    let before = rows(&hub).len();
    let conversation =
        Conversation { id: TALK, customer: "Ana".into(), service: None, assigned: Vec::new(), keep: None };
    let command = |hub: &mut LocalHub, device: &LocalDevice, command: Command| {
        hub.send(device.session, &DeviceFrame::Command { tag: 4, command });
    };
    let member = MemberId(AGENT);
    command(&mut hub, &owner, Command::ConversationOpen(conversation));
    command(&mut hub, &agent, Command::MemberRole { member, role: Role::Owner });
    command(&mut hub, &agent, Command::Assign { conversation: TALK, member });
    let fetch = Fetch { tag: 5, conversation: TALK, before: None, limit: 1, imported: false };
    hub.send(agent.session, &DeviceFrame::Fetch(fetch));
    hub.send(agent.session, &DeviceFrame::Typing { conversation: TALK });
    command(&mut hub, &owner, Command::Assign { conversation: TALK, member });
    // So already: nothing happens, and nothing is told.
    command(&mut hub, &owner, Command::Assign { conversation: TALK, member });
    hub.hello(&mut agent, None, None);
    hub.hello(&mut agent, None, None);
    hub.input(Input::Acted { request: 3, deed: Deed::Exported { conversation: Some(TALK) } });
    // A stranger, and somebody with a wrong proof.
    let (version, proof) = (limits::PROTOCOL_VERSION, Signature([1; 64]));
    let stranger = DeviceId::of(&PublicKey([9; 32]));
    for device in [stranger, owner.id()] {
        let (session, _) = hub.connect();
        let hello = Hello { version, device, proof, cursor: None, witness: None, capabilities: 0 };
        hub.send(session, &DeviceFrame::Hello(hello));
    }
    command(&mut hub, &owner, Command::DeviceRevoke { device: agent.id() });
    hub.administer(Command::MemberRemove { member });
    let by = |device: &LocalDevice| Actor::Device { member: device.member, device: device.id() };
    let asked = |row: &AuditRow| match row.act {
        Act::AccessRefused { asked, conversation } => format!(" {asked:?} {}", conversation.is_some()),
        Act::SignedIn { again } => format!(" {again}"),
        _ => String::new(),
    };
    let told: Vec<(Actor, String, u16)> = rows(&hub)[before..]
        .iter()
        .map(|row| (row.actor, format!("{}{}", row.act.kind(), asked(row)), row.code))
        .collect();
    let number = |code: RefusalCode| code.number();
    let expected = [
        (by(&owner), "conversation-opened", 0),
        (by(&agent), "access-refused Command false", number(RefusalCode::NotPermitted)),
        (by(&agent), "access-refused Command true", number(RefusalCode::ConversationUnknown)),
        (by(&agent), "access-refused Fetch true", number(RefusalCode::ConversationUnknown)),
        (by(&agent), "access-refused Type true", number(RefusalCode::WriteForbidden)),
        (by(&owner), "assigned", 0),
        (by(&agent), "sign-in 0", 0),
        (Actor::Machine, "exported", 0),
        (Actor::Claimed { device: stranger }, "sign-in-refused", number(RefusalCode::DeviceUnknown)),
        (Actor::Claimed { device: owner.id() }, "sign-in-refused", number(RefusalCode::ProofInvalid)),
        (by(&owner), "device-revoked", 0),
        (Actor::Machine, "member-removed", 0),
    ];
    assert_eq!(told, expected.map(|(actor, what, code)| (actor, what.to_owned(), code)));
}

#[test]
fn when_a_device_was_seen_is_written_once_a_quarter_of_an_hour() {
    let mut hub = hub();
    let agent = hub.enrol(AGENT, 3);
    let written = |hub: &LocalHub| {
        let writes = hub.committed.iter().flat_map(|batch| &batch.writes);
        writes.filter(|write| matches!(write, lockstep_core::row::Write::Seen(_, Some(_)))).count()
    };
    // Ninety minutes in steps of ten seconds, with a sign of life at each.
    for _ in 0..540 {
        hub.advance(10_000);
        hub.send(agent.session, &DeviceFrame::Ping {});
    }
    let count = written(&hub);
    assert!((5..=7).contains(&count), "{count} writes in ninety minutes");
    hub.input(Input::DrainRequested);
    assert_eq!(written(&hub), count + 1, "an orderly stop writes what is known");
}

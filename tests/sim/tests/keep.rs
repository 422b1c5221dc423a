//! Keep times and shredding, rule by rule: what goes, when, what is refused, and who is told.

use lockstep_core::audit::{Act, AuditRow, Deed};
use lockstep_core::hub::{Hub, HubConfig, SegmentLimits};
use lockstep_core::input::{Input, Now};
use lockstep_protocol::directory::{Conversation, DirectoryEvent, Policy, Role};
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, Fetch, HubFrame, OfferedEntry, Outcome};
use lockstep_protocol::id::{ConversationId, DocumentId, FactId, ImportId, MemberId, MessageId};
use lockstep_protocol::keep::Keep;
use lockstep_protocol::refusal::RefusalCode;
use lockstep_sim::local::{LocalDevice, LocalHub};

const TALK: ConversationId = ConversationId([0xc1; 16]);
const MANAGER: u32 = 2;
const AGENT: u32 = 3;
const STRANGER: u32 = 4;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

struct Stage {
    hub: LocalHub,
    agent: LocalDevice,
    drawn: u32,
    /// The newest message.
    newest: MessageId,
    /// What was refused, in order.
    refused: Vec<RefusalCode>,
}

impl Stage {
    fn new() -> Self {
        Self::holding(0)
    }

    /// Of a hub that lets nothing expire for so long once its clock was found far ahead.
    fn holding(keep_hold_ms: u64) -> Self {
        let segment = SegmentLimits { open_messages: 8, late_message_ops: 60, ..SegmentLimits::default() };
        let config = HubConfig {
            compact_tail: 1_000_000,
            keep_look_ms: 1_000,
            keep_hold_ms,
            retention_ms: u64::MAX,
            segment,
            ..HubConfig::default()
        };
        let mut hub = LocalHub::new(config);
        for (member, role) in [(MANAGER, Role::Manager), (AGENT, Role::Agent), (STRANGER, Role::Agent)] {
            hub.add_member(member, role);
        }
        let assigned = vec![MemberId(AGENT)];
        let conversation = Conversation { id: TALK, customer: "Ana".into(), service: None, assigned, keep: None };
        assert!(matches!(hub.administer(Command::ConversationOpen(conversation)), Outcome::Done(_)));
        let agent = hub.enrol(AGENT, 3);
        Self { hub, agent, drawn: 0, newest: MessageId::default(), refused: Vec::new() }
    }

    fn id(&mut self) -> FactId {
        self.drawn += 1;
        FactId::from_parts(self.hub.now.wall_ms, u128::from(self.drawn))
    }

    fn message(&mut self, at_ms: u64) -> Fact {
        self.drawn += 1;
        let id = MessageId::from_parts(at_ms, u128::from(self.drawn));
        let (by, dir, kind, body) = (MemberId(AGENT), Direction::Note, "text".to_owned(), "line".to_owned());
        Fact::Message(Message { id, by, dir, kind, body, seen: None, re: None, media: None, src: None })
    }

    /// Pushes a fact in a chain of its own.
    fn push(&mut self, number: u32, fact: &Fact) -> Outcome {
        self.drawn += 1;
        let nonce = u8::try_from(self.drawn).expect("few facts");
        self.agent.chain(DocumentId::segment(TALK, number), nonce).push(&mut self.hub, fact)
    }

    fn open(&self) -> u32 {
        self.hub.store.disk.conversation(TALK).expect("it is there").open_segment
    }

    /// Days pass, and the hub looks.
    fn pass(&mut self, days: u64) {
        self.hub.now.wall_ms += days * DAY_MS;
        for _ in 0..6 {
            self.hub.advance(1_000);
            self.hub.send(self.agent.session, &DeviceFrame::Ping {});
        }
    }

    fn act(&mut self, act: &str) {
        let words: Vec<&str> = act.split_whitespace().collect();
        let keep = |text: &str| if text == "team" { None } else { Some(text.parse::<Keep>().expect("a keep time")) };
        let outcome = match words[..] {
            ["keep", time] => self.hub.administer(Command::ConversationKeep { conversation: TALK, keep: keep(time) }),
            ["team", time] => self.hub.administer(Command::PolicySet(Policy { keep: keep(time), ..Policy::default() })),
            ["write"] => {
                let fact = self.message(self.hub.now.wall_ms);
                self.newest = fact.target_or_own();
                self.push(self.open(), &fact)
            }
            ["late", number] => {
                let fact = self.message(self.hub.now.wall_ms);
                self.push(number.parse().expect("a number"), &fact)
            }
            ["written", days, "ago"] => {
                let days: u64 = days.parse().expect("days");
                let fact = self.message(self.hub.now.wall_ms - days * DAY_MS);
                self.push(self.open(), &fact)
            }
            ["edit", number] => {
                let fact = Fact::Edit { message: self.newest, id: self.id(), body: "better".into() };
                self.push(number.parse().expect("a number"), &fact)
            }
            ["retract", number] => {
                let fact = Fact::Retraction { message: self.newest, id: self.id(), reason: String::new() };
                self.push(number.parse().expect("a number"), &fact)
            }
            ["import", days, "old"] => {
                let days: u64 = days.parse().expect("days");
                let number = self.hub.store.disk.conversation(TALK).expect("it is there").imported;
                let Fact::Message(message) = self.message(self.hub.now.wall_ms - days * DAY_MS) else { panic!() };
                let facts = [Fact::Message(Message { src: Some("chat.txt#1".into()), ..message })];
                self.hub.import(DocumentId::imported(TALK, number), ImportId([1; 16]), &facts)
            }
            [days] => {
                self.pass(days.strip_suffix('d').expect("days").parse().expect("a number"));
                return;
            }
            _ => panic!("{act}"),
        };
        if let Outcome::Refused(refusal) = outcome {
            self.refused.extend(refusal.known());
        }
    }

    /// Messages in each segment up to the open one, and in the imported segments; what went is a dash.
    fn show(&self) -> String {
        let disk = &self.hub.store.disk;
        let one = |document: DocumentId| match disk.document(document).map(|state| state.row.messages) {
            None => "-".to_owned(),
            Some(messages) => messages.to_string(),
        };
        let row = disk.conversation(TALK).expect("it is there");
        let mut parts: Vec<String> =
            (0..=row.open_segment).map(|number| one(DocumentId::segment(TALK, number))).collect();
        parts.extend((0..row.imported).map(|number| format!("i{}", one(DocumentId::imported(TALK, number)))));
        parts.extend(self.refused.iter().map(|code| format!("{code:?}")));
        parts.join(" ")
    }
}

trait Subject {
    fn target_or_own(&self) -> MessageId;
}

impl Subject for Fact {
    fn target_or_own(&self) -> MessageId {
        match self {
            Fact::Message(message) => message.id,
            other => other.target().expect("it is about a message"),
        }
    }
}

#[test]
fn segments_close_young_and_go_when_they_are_old() {
    for (script, expected) in [
        // Nothing goes unasked, and nothing is closed.
        ("write | 400d | write", "2"),
        ("team forever | write | 400d | write", "2"),
        // A segment takes facts for an eighth of the time, a day at least; it goes a keep time after its newest.
        ("team 7d | write | 0d | write", "2"),
        ("team 7d | write | 1d | write", "1 1"),
        ("team 7d | write | 1d | 5d", "1 -"),
        ("team 7d | write | 1d | 6d", "- -"),
        ("team 80d | write | 9d | write | 1d | write", "2 1"),
        ("team 80d | write | 9d | write | 1d | 78d", "2 -"),
        ("team 80d | write | 9d | write | 1d | 79d", "- -"),
        // Idle ones too, at once if the hub has not looked for long.
        ("team 7d | write | 30d", "- -"),
        ("team 7d | write | 30d | write | 30d | write", "- - 1"),
        // A conversation's own time counts before the team's.
        ("team 7d | keep forever | write | 30d", "1"),
        ("team forever | keep 7d | write | 30d", "- -"),
        ("keep 7d | keep team | write | 30d", "1"),
        ("keep 30d | write | 4d | write | 20d | keep 7d | 0d", "- - -"),
        // What was written when everything was kept for ever.
        ("write | 100d | team 90d | 0d", "- -"),
        // Late facts do not keep an old segment young: they belong into the open one.
        ("team 7d | write | 1d | late 0", "1 - SegmentFull"),
        ("team 7d | write | 1d | edit 0", "1 - SegmentFull"),
        ("team 7d | write | 1d | edit 1", "1 0"),
        ("team 7d | write | 1d | retract 0", "1 -"),
        ("team 7d | write | 3d | retract 0 | 4d", "- -"),
        // What went takes nothing any more, and is no target.
        ("team 7d | write | 8d | late 0", "- - SegmentFull"),
        ("team 7d | write | 8d | retract 0", "- - SegmentFull"),
        ("team 7d | write | 8d | retract 1", "- - TargetUnknown"),
        ("team 7d | write | 8d | team forever | late 0", "- - SegmentFull"),
        // Nor is what was written longer ago accepted: it may be what went.
        ("team 7d | written 6 ago | written 7 ago", "1 Expired"),
        ("written 700 ago", "1"),
        // Of what is imported the messages' own times count.
        ("import 30 old | import 3 old | team 7d | 0d", "0 i- i1"),
        ("import 30 old | import 3 old | team 7d | 3d", "0 i- i1"),
        ("import 30 old | import 3 old | team 7d | 4d", "0 i- i-"),
    ] {
        let mut stage = Stage::new();
        for act in script.split('|') {
            stage.act(act.trim());
        }
        assert_eq!(stage.show(), expected, "{script}");
    }
}

#[test]
fn who_may_set_a_keep_time() {
    for (member, expected) in [
        (1, None),
        (MANAGER, None),
        (AGENT, Some(RefusalCode::NotPermitted)),
        (STRANGER, Some(RefusalCode::ConversationUnknown)),
    ] {
        let mut stage = Stage::new();
        let device = stage.hub.enrol(member, 40);
        let command = Command::ConversationKeep { conversation: TALK, keep: Keep::days(30) };
        let frames = stage.hub.send(device.session, &DeviceFrame::Command { tag: 1, command });
        let outcome = frames.iter().find_map(|frame| match frame {
            HubFrame::Ack { results, .. } => results.first().cloned(),
            _ => None,
        });
        let code = match outcome.expect("an answer") {
            Outcome::Refused(refusal) => refusal.known(),
            _ => None,
        };
        assert_eq!(code, expected, "member {member}");
        let keep = stage.hub.store.disk.conversation(TALK).expect("it is there").conversation.keep;
        assert_eq!(keep.is_some(), expected.is_none(), "member {member}");
    }
}

/// Events that a session is told.
fn events(frames: &[HubFrame]) -> Vec<DirectoryEvent> {
    let entries = frames.iter().flat_map(|frame| match frame {
        HubFrame::Entries(entries) => entries.entries.clone(),
        _ => Vec::new(),
    });
    let bodies = entries.filter_map(|bytes| Entry::from_bytes(&bytes.0));
    let event = |entry: Entry| match entry.body {
        EntryBody::Directory(event) => Some(event),
        _ => None,
    };
    bodies.filter_map(event).collect()
}

#[test]
fn whoever_saw_it_is_told_what_went_and_nobody_else() {
    let mut stage = Stage::new();
    let stranger = stage.hub.enrol(STRANGER, 4);
    for act in ["keep 7d", "write", "1d"] {
        stage.act(act);
    }
    for session in [stage.agent.session, stranger.session] {
        stage.hub.take(session);
    }
    stage.hub.now.wall_ms += 6 * DAY_MS;
    stage.hub.advance(1_000);
    stage.hub.advance(1_000);
    let told = events(&stage.hub.take(stage.agent.session));
    let of = |document| matches!(told[..], [DirectoryEvent::Expired { document: went, .. }] if went == document);
    assert!(of(DocumentId::segment(TALK, 0)), "{told:?}");
    assert_eq!(events(&stage.hub.take(stranger.session)), []);
    // A shredded one everybody learns: who saw it once cannot be known any more.
    assert!(matches!(stage.hub.shred(TALK), Outcome::Done(_)));
    let shredded = DirectoryEvent::ConversationShredded { conversation: TALK };
    for session in [stage.agent.session, stranger.session] {
        assert_eq!(events(&stage.hub.take(session)), std::slice::from_ref(&shredded));
    }
    let rows: Vec<Act> = stage
        .hub
        .store
        .disk
        .audit
        .iter()
        .filter_map(|entry| AuditRow::from_bytes(&entry.bytes))
        .map(|row| row.act)
        .collect();
    for act in [
        Act::KeepChanged { conversation: TALK, keep: Keep::days(7) },
        Act::Expired { document: DocumentId::segment(TALK, 0) },
        Act::Done(Deed::Shredded { conversation: TALK }),
    ] {
        assert_eq!(rows.iter().filter(|row| **row == act).count(), 1, "{act:?}");
    }
}

#[test]
fn nothing_can_be_done_in_a_shredded_conversation() {
    let mut stage = Stage::new();
    stage.act("write");
    let entries: Vec<OfferedEntry> = stage
        .hub
        .store
        .disk
        .log
        .values()
        .filter_map(|logged| Entry::from_bytes(&logged.bytes))
        .filter(|entry| matches!(entry.body, EntryBody::Fact(_)))
        .map(|entry| OfferedEntry { epoch: stage.hub.hub.epoch(), stamp: entry.stamp, body: entry.body })
        .collect();
    assert_eq!(entries.len(), 1);
    assert!(matches!(stage.hub.shred(TALK), Outcome::Done(_)));
    assert_eq!(stage.hub.shredded, [TALK]);
    let disk = &stage.hub.store.disk;
    assert!(!disk.holds_any_in(TALK) && disk.facts() == 0);
    let message = stage.newest;
    let mut push = stage.agent.chain(DocumentId::segment(TALK, 0), 99);
    let fact = stage.message(stage.hub.now.wall_ms);
    let outcome = push.push(&mut stage.hub, &fact);
    let fetch = Fetch { tag: 7, conversation: TALK, before: None, limit: 1, imported: false };
    let mut told = vec![outcome];
    for frame in [
        DeviceFrame::Fetch(fetch),
        DeviceFrame::Mark { tag: 8, conversation: TALK, message },
        DeviceFrame::Offer { tag: 9, entries },
    ] {
        for answer in stage.hub.send(stage.agent.session, &frame) {
            match answer {
                HubFrame::Ack { results, .. } => told.extend(results),
                HubFrame::Refusal { refusal, .. } => told.push(Outcome::Refused(refusal)),
                other => panic!("{frame:?} is answered {other:?}"),
            }
        }
    }
    let again = Conversation { id: TALK, customer: "Ana".into(), service: None, assigned: Vec::new(), keep: None };
    told.push(stage.hub.shred(TALK));
    told.push(stage.hub.administer(Command::ConversationKeep { conversation: TALK, keep: None }));
    told.push(stage.hub.administer(Command::ConversationOpen(again)));
    let codes: Vec<_> = told
        .iter()
        .map(|outcome| match outcome {
            Outcome::Refused(refusal) => refusal.known(),
            other => panic!("{other:?}"),
        })
        .collect();
    let unknown = Some(RefusalCode::ConversationUnknown);
    let taken = Some(RefusalCode::AlreadyExists);
    assert_eq!(codes, [unknown, unknown, unknown, unknown, unknown, unknown, taken]);
    // Who comes with an old copy learns it from the catalogue.
    let frames = stage.hub.hello(&mut stage.agent, None, None);
    let listed = frames.iter().find_map(|frame| match frame {
        HubFrame::Catalogue(page) => page.shredded.clone(),
        _ => None,
    });
    assert_eq!(listed, Some(vec![TALK]));
}

#[test]
fn a_hub_that_stopped_before_the_keys_were_destroyed_goes_on() {
    let mut stage = Stage::new();
    stage.act("write");
    stage.hub.holds = true;
    stage.hub.input(Input::ShredAsked { request: 1, conversation: TALK });
    // The batch is durable, the keys are not destroyed.
    let synced = stage.hub.store.synced();
    assert_eq!(synced.len(), 1);
    assert!(stage.hub.shredded.is_empty());
    let boot = stage.hub.boot(false);
    let now = Now { wall_ms: stage.hub.now.wall_ms, mono_ms: 0 };
    let mut effects = Vec::new();
    let mut hub = Hub::new(boot, now, &mut effects);
    let mut now = now;
    for done in [false, true] {
        let mut effects = Vec::new();
        hub.handle(now, Input::Ticked, &mut effects);
        let shreds = |effects: &[lockstep_core::effect::Effect]| {
            effects.iter().filter(|effect| format!("{effect:?}").starts_with("Shred")).count()
        };
        assert_eq!(shreds(&effects), 1, "it is asked for once, and again when it failed");
        effects.clear();
        hub.handle(now, Input::Ticked, &mut effects);
        assert_eq!(shreds(&effects), 0, "while it is under way");
        hub.handle(now, Input::Shredded { conversation: TALK, done }, &mut effects);
        now.mono_ms += 10_000;
    }
    let mut effects = Vec::new();
    hub.handle(now, Input::Ticked, &mut effects);
    assert!(!format!("{effects:?}").contains("Shred("), "{effects:?}");
}

/// A hub whose clock went wrong, as one without a battery does, must not delete what it holds before anybody can set it
/// right.
#[test]
fn nothing_expires_by_a_clock_that_has_just_gone_far_ahead() {
    const HOLD_MS: u64 = 60_000;
    let held = |clock: &mut dyn FnMut(&mut Stage)| {
        let mut stage = Stage::holding(HOLD_MS);
        stage.act("keep 7d");
        stage.act("write");
        clock(&mut stage);
        for _ in 0..6 {
            stage.hub.advance(1_000);
            stage.hub.send(stage.agent.session, &DeviceFrame::Ping {});
        }
        let before = stage.show();
        for _ in 0..60 {
            stage.hub.advance(2_000);
            stage.hub.send(stage.agent.session, &DeviceFrame::Ping {});
        }
        (before, stage.show())
    };
    // It jumps while the hub runs.
    let jumps = held(&mut |stage| stage.hub.now.wall_ms += 300 * DAY_MS);
    assert_eq!(jumps, ("1".to_owned(), "- -".to_owned()));
    // It is far ahead of the newest entry when the hub starts.
    let starts = held(&mut |stage| {
        stage.hub.now.wall_ms += 300 * DAY_MS;
        let boot = stage.hub.boot(false);
        let mut effects = Vec::new();
        stage.hub.hub = Hub::new(boot, stage.hub.now, &mut effects);
        assert!(format!("{effects:?}").contains("ClockAhead"), "{effects:?}");
    });
    assert_eq!(starts.0, "1");
    // Some days without a message are no reason.
    let days = held(&mut |stage| {
        for _ in 0..4 {
            stage.hub.now.wall_ms += 2 * DAY_MS;
            stage.hub.advance(1_000);
        }
    });
    assert_eq!(days.0, "- -");
}

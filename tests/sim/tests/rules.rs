//! The hub's rules of acceptance, one forged fact each: everything is right but one thing, and the code names it.
//! DESIGN sections 4 and 5.

use lockstep_core::hub::{HubConfig, SegmentLimits};
use lockstep_core::input::Input;
use lockstep_protocol::directory::{CollisionPolicy, Conversation, Policy, Role};
use lockstep_protocol::entry::{CollisionCause, Resolution, Verdict};
use lockstep_protocol::fact::{Direction, Fact, Media, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, HubFrame, Outcome, Push, Resolve};
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId, FactId, HashPrefix, MediaHash, MemberId, MessageId};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::RefusalCode;
use lockstep_sim::local::{LocalChain, LocalDevice, LocalHub};

const TALK: ConversationId = ConversationId([0xc1; 16]);
const OTHER_TALK: ConversationId = ConversationId([0xc2; 16]);

const AGENT: u32 = 2;
const COLLEAGUE: u32 = 3;
const AUDITOR: u32 = 4;
const SERVICE: u32 = 5;
const OUTSIDER: u32 = 6;
const MANAGER: u32 = 7;

fn config() -> HubConfig {
    HubConfig {
        compact_tail: 1_000_000,
        segment: SegmentLimits {
            open_messages: 8,
            open_ops: 60,
            open_text_bytes: 4_096,
            late_message_ops: 80,
            late_edit_ops: 100,
        },
        ..HubConfig::default()
    }
}

/// A hub with a team, two conversations that the agent, the colleague and the auditor see, and some messages.
struct Stage {
    hub: LocalHub,
    agent: LocalDevice,
    colleague: LocalDevice,
    auditor: LocalDevice,
    service: LocalDevice,
    outsider: LocalDevice,
    manager: LocalDevice,
    /// A message of the customer, a note and a reply of the agent, a held reply of the colleague.
    incoming: MessageId,
    note: MessageId,
    reply: MessageId,
    held: MessageId,
    drawn: u128,
}

impl Stage {
    fn new() -> Self {
        let mut hub = LocalHub::new(config());
        for (member, role) in [
            (AGENT, Role::Agent),
            (COLLEAGUE, Role::Agent),
            (AUDITOR, Role::Auditor),
            (SERVICE, Role::Service),
            (OUTSIDER, Role::Agent),
            (MANAGER, Role::Manager),
        ] {
            hub.add_member(member, role);
        }
        for id in [TALK, OTHER_TALK] {
            let assigned = vec![MemberId(AGENT), MemberId(COLLEAGUE)];
            let conversation = Conversation {
                id,
                customer: "Café Lumière".into(),
                service: Some(MemberId(SERVICE)),
                assigned,
                keep: None,
            };
            assert!(matches!(hub.administer(Command::ConversationOpen(conversation)), Outcome::Done(_)));
        }
        let [agent, colleague, auditor, service, outsider, manager] =
            [AGENT, COLLEAGUE, AUDITOR, SERVICE, OUTSIDER, MANAGER].map(|member| hub.enrol(member, member as u8));
        let mut stage = Self {
            hub,
            agent,
            colleague,
            auditor,
            service,
            outsider,
            manager,
            incoming: MessageId::default(),
            note: MessageId::default(),
            reply: MessageId::default(),
            held: MessageId::default(),
            drawn: 0,
        };
        let open = DocumentId::segment(TALK, 0);
        let incoming = stage.message(SERVICE, Direction::In);
        let note = stage.message(AGENT, Direction::Note);
        let reply = stage.message(AGENT, Direction::Out);
        let held = stage.message(COLLEAGUE, Direction::Out);
        for (device, message) in
            [(&stage.service, &incoming), (&stage.agent, &note), (&stage.agent, &reply), (&stage.colleague, &held)]
        {
            let mut chain = device.chain(open, 0xf0 | message.id.0[15]);
            let outcome = chain.push(&mut stage.hub, &Fact::Message(message.clone()));
            assert!(matches!(outcome, Outcome::Placed { .. }), "{outcome:?}");
        }
        (stage.incoming, stage.note, stage.reply, stage.held) = (incoming.id, note.id, reply.id, held.id);
        stage
    }

    fn ulid(&mut self) -> u128 {
        self.drawn += 1;
        self.drawn
    }

    fn message(&mut self, by: u32, dir: Direction) -> Message {
        let random = self.ulid();
        let id = MessageId::from_parts(self.hub.now.wall_ms, random);
        let (kind, body) = ("text".into(), format!("message {random}"));
        Message { id, by: MemberId(by), dir, kind, body, seen: None, re: None, media: None, src: None }
    }

    fn fact_id(&mut self) -> FactId {
        let random = self.ulid();
        FactId::from_parts(self.hub.now.wall_ms, random)
    }

    fn reaction(&mut self, by: u32, message: MessageId) -> Fact {
        let id = self.fact_id();
        Fact::Reaction { message, by: MemberId(by), id, emoji: "👍".into() }
    }

    fn edit(&mut self, message: MessageId) -> Fact {
        let id = self.fact_id();
        Fact::Edit { message, id, body: "better".into() }
    }

    fn retraction(&mut self, message: MessageId) -> Fact {
        let id = self.fact_id();
        Fact::Retraction { message, id, reason: String::new() }
    }

    fn note_by(&mut self, by: u32) -> Fact {
        Fact::Message(self.message(by, Direction::Note))
    }

    /// The agent's fresh chain in the open segment.
    fn chain(&self) -> LocalChain {
        self.agent.chain(DocumentId::segment(TALK, 0), 1)
    }
}

/// What a row expects of its last push.
fn code(outcomes: &[Outcome]) -> Option<RefusalCode> {
    match outcomes.last() {
        Some(Outcome::Refused(refusal)) => Some(refusal.known().expect("a known code")),
        _ => None,
    }
}

fn one(stage: &mut Stage, mut chain: LocalChain, fact: &Fact) -> Vec<Outcome> {
    vec![chain.push(&mut stage.hub, fact)]
}

type Row = (&'static str, Option<RefusalCode>, fn(&mut Stage) -> Vec<Outcome>);

#[test]
fn each_rule_alone_refuses_with_its_code() {
    use RefusalCode as Code;
    let rows: &[Row] = &[
        ("an honest note", None, |stage| {
            let (chain, fact) = (stage.chain(), stage.note_by(AGENT));
            one(stage, chain, &fact)
        }),
        ("a hole in the chain", Some(Code::Gap), |stage| {
            let (mut chain, fact) = (stage.chain(), stage.note_by(AGENT));
            let push = Push { seq: 3, ..chain.push_of(&[fact]) };
            chain.push_raw(&mut stage.hub, push)
        }),
        ("another fact at a taken place", Some(Code::Forked), |stage| {
            let (mut chain, first, second) = (stage.chain(), stage.note_by(AGENT), stage.note_by(AGENT));
            let fork = chain.push_of(&[second]);
            chain.push(&mut stage.hub, &first);
            chain.push_raw(&mut stage.hub, fork)
        }),
        ("an actor that is not the formula's", Some(Code::ActorForged), |stage| {
            let (mut chain, fact) = (stage.chain(), stage.note_by(AGENT));
            chain.actor = ActorId([5; 16]);
            one(stage, chain, &fact)
        }),
        ("a nonce that is missing", Some(Code::ActorForged), |stage| {
            let (mut chain, fact) = (stage.chain(), stage.note_by(AGENT));
            let push = Push { nonce: None, ..chain.push_of(&[fact]) };
            chain.push_raw(&mut stage.hub, push)
        }),
        ("another device's chain", Some(Code::ActorForged), |stage| {
            let (mut chain, fact) = (stage.chain(), stage.note_by(AGENT));
            chain.push(&mut stage.hub, &fact);
            chain.session = stage.colleague.session;
            let fact = stage.note_by(COLLEAGUE);
            one(stage, chain, &fact)
        }),
        ("a hash that is not the derived one", Some(Code::HashDiffers), |stage| {
            let (mut chain, fact) = (stage.chain(), stage.note_by(AGENT));
            let mut push = chain.push_of(&[fact]);
            push.facts[0].hash = HashPrefix([1; 8]);
            chain.push_raw(&mut stage.hub, push)
        }),
        ("a segment that does not exist", Some(Code::DocumentUnknown), |stage| {
            let fact = stage.note_by(AGENT);
            let chain = stage.agent.chain(DocumentId::segment(TALK, 1), 1);
            one(stage, chain, &fact)
        }),
        ("a conversation that does not exist", Some(Code::ConversationUnknown), |stage| {
            let fact = stage.note_by(AGENT);
            let chain = stage.agent.chain(DocumentId::segment(ConversationId([9; 16]), 0), 1);
            one(stage, chain, &fact)
        }),
        ("a member who may not see it", Some(Code::ConversationUnknown), |stage| {
            let fact = stage.note_by(OUTSIDER);
            let chain = stage.outsider.chain(DocumentId::segment(TALK, 0), 1);
            one(stage, chain, &fact)
        }),
        ("a member who only reads", Some(Code::WriteForbidden), |stage| {
            let fact = stage.note_by(AUDITOR);
            let chain = stage.auditor.chain(DocumentId::segment(TALK, 0), 1);
            one(stage, chain, &fact)
        }),
        ("a field in a segment", Some(Code::WrongDocument), |stage| {
            let (chain, id) = (stage.chain(), stage.fact_id());
            one(stage, chain, &Fact::Field { name: "city".into(), id, value: "Porto".into() })
        }),
        ("a note in a card", Some(Code::WrongDocument), |stage| {
            let fact = stage.note_by(AGENT);
            let chain = stage.agent.chain(DocumentId::card(TALK, 0), 1);
            one(stage, chain, &fact)
        }),
        ("a body that is too long", Some(Code::TooLarge), |stage| {
            let chain = stage.chain();
            let body = "x".repeat(limits::BODY_BYTES_MAX + 1);
            let message = Message { body, ..stage.message(AGENT, Direction::Note) };
            one(stage, chain, &Fact::Message(message))
        }),
        ("a kind that breaks its grammar", Some(Code::FieldInvalid), |stage| {
            let chain = stage.chain();
            let message = Message { kind: "Text".into(), ..stage.message(AGENT, Direction::Note) };
            one(stage, chain, &Fact::Message(message))
        }),
        ("a time before 1990", Some(Code::TimeTooOld), |stage| {
            let chain = stage.chain();
            let id = MessageId::from_parts(limits::ULID_TIME_MS_MIN - 1, 1);
            let message = Message { id, ..stage.message(AGENT, Direction::Note) };
            one(stage, chain, &Fact::Message(message))
        }),
        ("a time five minutes ahead", None, |stage| {
            let chain = stage.chain();
            let id = MessageId::from_parts(stage.hub.now.wall_ms + limits::CLOCK_AHEAD_MS_MAX, 1);
            let message = Message { id, ..stage.message(AGENT, Direction::Note) };
            one(stage, chain, &Fact::Message(message))
        }),
        ("a time more than five minutes ahead", Some(Code::ClockAhead), |stage| {
            let chain = stage.chain();
            let id = MessageId::from_parts(stage.hub.now.wall_ms + limits::CLOCK_AHEAD_MS_MAX + 1, 1);
            let message = Message { id, ..stage.message(AGENT, Direction::Note) };
            one(stage, chain, &Fact::Message(message))
        }),
        ("one's own message once more in another chain", Some(Code::Duplicate), |stage| {
            let (mut chain, fact) = (stage.chain(), stage.note_by(AGENT));
            chain.push(&mut stage.hub, &fact);
            let again = stage.agent.chain(chain.document, 2);
            one(stage, again, &fact)
        }),
        ("one's own message id with other words", Some(Code::MessageIdTaken), |stage| {
            let chain = stage.chain();
            let message = Message { id: stage.note, ..stage.message(AGENT, Direction::Note) };
            one(stage, chain, &Fact::Message(message))
        }),
        ("another's message id", Some(Code::MessageIdTaken), |stage| {
            let chain = stage.chain();
            let message = Message { id: stage.incoming, ..stage.message(AGENT, Direction::Note) };
            one(stage, chain, &Fact::Message(message))
        }),
        ("an edit's key with other words", Some(Code::KeyTaken), |stage| {
            let (mut chain, id, message) = (stage.chain(), stage.fact_id(), stage.note);
            chain.push(&mut stage.hub, &Fact::Edit { message, id, body: "one".into() });
            one(stage, chain, &Fact::Edit { message, id, body: "two".into() })
        }),
        ("another author", Some(Code::AuthorForged), |stage| {
            let (chain, fact) = (stage.chain(), stage.note_by(COLLEAGUE));
            one(stage, chain, &fact)
        }),
        ("a reaction in another's name", Some(Code::AuthorForged), |stage| {
            let (chain, message) = (stage.chain(), stage.incoming);
            let fact = stage.reaction(COLLEAGUE, message);
            one(stage, chain, &fact)
        }),
        ("an incoming message that the channel did not write", Some(Code::DirectionForbidden), |stage| {
            let (chain, message) = (stage.chain(), stage.message(AGENT, Direction::In));
            one(stage, chain, &Fact::Message(message))
        }),
        ("a source outside an import", Some(Code::SourceForbidden), |stage| {
            let chain = stage.chain();
            let message = Message { src: Some("export.txt:1".into()), ..stage.message(AGENT, Direction::Note) };
            one(stage, chain, &Fact::Message(message))
        }),
        ("an attachment that nobody uploaded", Some(Code::MediaUnknown), |stage| {
            let chain = stage.chain();
            let message = with_media(stage.message(AGENT, Direction::Note));
            one(stage, chain, &Fact::Message(message))
        }),
        ("an attachment that another uploaded and nobody has shown", Some(Code::MediaUnknown), |stage| {
            let (conversation, member, media) = (TALK, MemberId(COLLEAGUE), MediaHash([3; 32]));
            stage.hub.input(Input::Uploaded { conversation, member, media });
            let chain = stage.chain();
            let message = with_media(stage.message(AGENT, Direction::Note));
            one(stage, chain, &Fact::Message(message))
        }),
        ("an attachment that one uploaded", None, |stage| {
            let (conversation, member, media) = (TALK, MemberId(AGENT), MediaHash([3; 32]));
            stage.hub.input(Input::Uploaded { conversation, member, media });
            let chain = stage.chain();
            let message = with_media(stage.message(AGENT, Direction::Note));
            one(stage, chain, &Fact::Message(message))
        }),
        ("an attachment uploaded to another conversation", Some(Code::MediaUnknown), |stage| {
            let (conversation, member, media) = (OTHER_TALK, MemberId(AGENT), MediaHash([3; 32]));
            stage.hub.input(Input::Uploaded { conversation, member, media });
            let chain = stage.chain();
            let message = with_media(stage.message(AGENT, Direction::Note));
            one(stage, chain, &Fact::Message(message))
        }),
        ("an attachment that a message here shows", None, |stage| {
            let (conversation, member, media) = (TALK, MemberId(COLLEAGUE), MediaHash([3; 32]));
            stage.hub.input(Input::Uploaded { conversation, member, media });
            let mut shown = stage.colleague.chain(DocumentId::segment(TALK, 0), 1);
            let message = with_media(stage.message(COLLEAGUE, Direction::Note));
            shown.push(&mut stage.hub, &Fact::Message(message));
            let chain = stage.chain();
            let message = with_media(stage.message(AGENT, Direction::Note));
            one(stage, chain, &Fact::Message(message))
        }),
        ("an edit of nothing", Some(Code::TargetUnknown), |stage| {
            let chain = stage.chain();
            let fact = stage.edit(MessageId::from_parts(1_790_000_000_000, 999));
            one(stage, chain, &fact)
        }),
        ("an edit of a message of another conversation", Some(Code::TargetUnknown), |stage| {
            let chain = stage.agent.chain(DocumentId::segment(OTHER_TALK, 0), 1);
            let message = stage.note;
            let fact = stage.edit(message);
            one(stage, chain, &fact)
        }),
        ("an edit of another's message", Some(Code::TargetForbidden), |stage| {
            let (chain, message) = (stage.chain(), stage.incoming);
            let fact = stage.edit(message);
            one(stage, chain, &fact)
        }),
        ("an edit of one's accepted reply", None, |stage| {
            let (chain, message) = (stage.chain(), stage.reply);
            let fact = stage.edit(message);
            one(stage, chain, &fact)
        }),
        ("an edit of one's held reply", Some(Code::ReplyHeld), |stage| {
            let (chain, message) = (stage.colleague.chain(DocumentId::segment(TALK, 0), 1), stage.held);
            let fact = stage.edit(message);
            one(stage, chain, &fact)
        }),
        ("a retraction of another's message", Some(Code::TargetForbidden), |stage| {
            let (chain, message) = (stage.chain(), stage.held);
            let fact = stage.retraction(message);
            one(stage, chain, &fact)
        }),
        ("a manager's retraction of another's message", None, |stage| {
            let (chain, message) = (stage.manager.chain(DocumentId::segment(TALK, 0), 1), stage.held);
            let fact = stage.retraction(message);
            one(stage, chain, &fact)
        }),
        ("a second retraction", Some(Code::KeyTaken), |stage| {
            let (mut chain, message) = (stage.chain(), stage.note);
            let first = stage.retraction(message);
            chain.push(&mut stage.hub, &first);
            let second = stage.retraction(message);
            one(stage, chain, &second)
        }),
        ("a reaction to nothing", Some(Code::TargetUnknown), |stage| {
            let chain = stage.chain();
            let fact = stage.reaction(AGENT, MessageId::from_parts(1_790_000_000_000, 999));
            one(stage, chain, &fact)
        }),
        ("the last reaction that fits", None, |stage| react(stage, limits::REACTIONS_MAX)),
        ("one reaction more", Some(Code::ReactionsFull), |stage| react(stage, limits::REACTIONS_MAX + 1)),
        ("a field in the card", None, |stage| {
            let (chain, id) = (stage.agent.chain(DocumentId::card(TALK, 0), 1), stage.fact_id());
            one(stage, chain, &Fact::Field { name: "city".into(), id, value: "Porto".into() })
        }),
        ("a late message in a closed segment", None, |stage| fill(stage, 8, 0)),
        ("a late message beyond the hard cap", Some(Code::SegmentFull), |stage| fill(stage, 16, 0)),
        ("a late edit beyond the messages' cap", None, |stage| fill(stage, 16, 1)),
        ("a late edit beyond the edits' cap", Some(Code::SegmentFull), |stage| fill(stage, 16, 60)),
    ];
    for (name, expected, row) in rows {
        let outcomes = row(&mut Stage::new());
        assert_eq!(code(&outcomes), *expected, "{name}: {outcomes:?}");
    }
}

fn with_media(message: Message) -> Message {
    let media = Media { hash: MediaHash([3; 32]), media_type: "image/jpeg".into(), name: "a.jpg".into(), size: 1 };
    Message { media: Some(media), ..message }
}

/// Reacts so often to one message, in documents that hold so many; answers the last outcome.
fn react(stage: &mut Stage, times: u32) -> Vec<Outcome> {
    let mut chain = stage.chain();
    let message = stage.incoming;
    let mut outcomes = Vec::new();
    for _ in 0..times {
        let fact = stage.reaction(AGENT, message);
        outcomes.push(chain.push(&mut stage.hub, &fact));
    }
    outcomes
}

/// Writes notes into segment 0 until it holds so many late ones, then edits one of them so often.
fn fill(stage: &mut Stage, notes: u32, edits: u32) -> Vec<Outcome> {
    let mut chain = stage.chain();
    let mut outcomes = Vec::new();
    for _ in 0..notes {
        let fact = stage.note_by(AGENT);
        outcomes.push(chain.push(&mut stage.hub, &fact));
    }
    let message = stage.note;
    for _ in 0..edits {
        let fact = stage.edit(message);
        outcomes.push(chain.push(&mut stage.hub, &fact));
    }
    outcomes
}

#[test]
fn a_push_is_taken_as_a_prefix() {
    let mut stage = Stage::new();
    let mut chain = stage.chain();
    let facts = [stage.note_by(AGENT), stage.note_by(COLLEAGUE), stage.note_by(AGENT)];
    let outcomes = chain.push_raw(&mut stage.hub, chain.push_of(&facts));
    assert!(matches!(outcomes.as_slice(), [Outcome::Placed { .. }, Outcome::Refused(_)]), "{outcomes:?}");
}

#[test]
fn a_known_push_gets_its_first_answer_even_when_the_right_is_gone() {
    let mut stage = Stage::new();
    let mut chain = stage.chain();
    let fact = stage.note_by(AGENT);
    let push = chain.push_of(&[fact]);
    let first = chain.push_raw(&mut stage.hub, push.clone());
    stage.hub.administer(Command::Unassign { conversation: TALK, member: MemberId(AGENT) });
    let again = chain.push_raw(&mut stage.hub, push);
    assert_eq!(first, again);
    let more = stage.note_by(AGENT);
    chain.head = lockstep_protocol::change::derive(&chain.actor, &chain.head, &more);
    let outcomes = chain.push_raw(&mut stage.hub, chain.push_of(&[more]));
    assert_eq!(code(&outcomes), Some(RefusalCode::ConversationUnknown), "{outcomes:?}");
}

fn reply(stage: &mut Stage, by: u32, seen: Option<MessageId>) -> (MessageId, Verdict) {
    let message = Message { seen, ..stage.message(by, Direction::Out) };
    let id = message.id;
    let device = if by == AGENT { &stage.agent } else { &stage.colleague };
    let mut chain = device.chain(DocumentId::segment(OTHER_TALK, 0), id.0[15]);
    match chain.push(&mut stage.hub, &Fact::Message(message)) {
        Outcome::Placed { stamp, .. } => (id, stamp.verdict),
        other => panic!("{other:?}"),
    }
}

fn cause(verdict: Verdict) -> Option<CollisionCause> {
    match verdict {
        Verdict::Accepted => None,
        Verdict::Held(collision) | Verdict::Flagged(collision) => Some(collision.cause),
    }
}

#[test]
fn the_first_writer_wins_and_the_other_decides() {
    let mut stage = Stage::new();
    let (first, verdict) = reply(&mut stage, AGENT, None);
    assert_eq!(verdict, Verdict::Accepted);
    stage.hub.advance(2_000);
    let (lost, verdict) = reply(&mut stage, COLLEAGUE, Some(first));
    assert_eq!(cause(verdict), Some(CollisionCause::Window));
    assert!(matches!(verdict, Verdict::Held(collision) if collision.winner == Some(first)));

    let resolve = |stage: &mut Stage, by: u32, seen, resolution| {
        let session = if by == AGENT { stage.agent.session } else { stage.colleague.session };
        let resolve = Resolve { tag: 77, conversation: OTHER_TALK, message: lost, resolution, seen };
        let frames = stage.hub.send(session, &DeviceFrame::Resolve(resolve));
        frames.into_iter().find_map(|frame| match frame {
            HubFrame::Ack { tag: 77, results, .. } => results.into_iter().next(),
            _ => None,
        })
    };
    let refused = |outcome: Option<Outcome>| code(outcome.as_slice());
    use Resolution::{Discard, Send};
    let early = resolve(&mut stage, COLLEAGUE, Some(first), Send);
    assert_eq!(refused(early), Some(RefusalCode::StillCollides), "still within the window");
    stage.hub.advance(3_000);
    let blind = resolve(&mut stage, COLLEAGUE, None, Send);
    assert_eq!(refused(blind), Some(RefusalCode::StillCollides), "the winner was not seen");
    let stranger = resolve(&mut stage, AGENT, Some(first), Send);
    assert_eq!(refused(stranger), Some(RefusalCode::TargetForbidden), "only its author resolves");
    assert!(matches!(resolve(&mut stage, COLLEAGUE, Some(first), Send), Some(Outcome::Done(_))));
    let late = resolve(&mut stage, COLLEAGUE, Some(first), Discard);
    assert_eq!(refused(late), Some(RefusalCode::AlreadyResolved), "the first resolution wins");

    // Sent anyway, it counts from its resolution: the agent has not seen it.
    stage.hub.advance(60_000);
    let (_, verdict) = reply(&mut stage, AGENT, Some(first));
    assert_eq!(cause(verdict), Some(CollisionCause::Stale));
    let (_, verdict) = reply(&mut stage, AGENT, Some(lost));
    assert_eq!(verdict, Verdict::Accepted);
}

#[test]
fn a_lease_holds_others_back_and_policy_flags() {
    let mut stage = Stage::new();
    let session = stage.colleague.session;
    let frames = stage.hub.send(session, &DeviceFrame::Typing { conversation: OTHER_TALK });
    assert!(
        frames.iter().any(|frame| matches!(frame, HubFrame::Lease { holder: Some(MemberId(COLLEAGUE)), .. })),
        "{frames:?}"
    );
    let (_, verdict) = reply(&mut stage, AGENT, None);
    assert_eq!(cause(verdict), Some(CollisionCause::Lease));
    stage.hub.advance(limits::LEASE_IDLE_MS);
    let (first, verdict) = reply(&mut stage, AGENT, None);
    assert_eq!(verdict, Verdict::Accepted);

    let policy = Policy { collision: CollisionPolicy::Flag, ..Policy::default() };
    stage.hub.administer(Command::PolicySet(policy));
    let (flagged, verdict) = reply(&mut stage, COLLEAGUE, None);
    assert!(matches!(verdict, Verdict::Flagged(collision) if collision.winner == Some(first)));
    stage.hub.advance(6_000);
    let (_, verdict) = reply(&mut stage, AGENT, Some(first));
    assert!(matches!(verdict, Verdict::Flagged(collision) if collision.winner == Some(flagged)), "it became R0");
}

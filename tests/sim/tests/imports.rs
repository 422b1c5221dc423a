//! The hub's rules of imports, one forged segment each, and what members may do with what was imported. DESIGN
//! section 4.

use bytes::Bytes;
use lockstep_core::hub::{HubConfig, SegmentLimits};
use lockstep_core::input::{IMPORT_KEYS_MAX, ImportSegment, Input};
use lockstep_protocol::change::ChainHead;
use lockstep_protocol::directory::{Conversation, Role};
use lockstep_protocol::entry::{Resolution, Verdict};
use lockstep_protocol::fact::{Direction, Fact, KeyId, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, Fetch, HubFrame, Outcome, Resolve};
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, FactId, ImportId, Lsn, MemberId, MessageId};
use lockstep_protocol::import::Known;
use lockstep_protocol::limits;
use lockstep_protocol::refusal::RefusalCode;
use lockstep_sim::local::{LocalDevice, LocalHub};

const TALK: ConversationId = ConversationId([0xc1; 16]);
const RUN: ImportId = ImportId([0xe1; 16]);
const AGENT: u32 = 2;
const COLLEAGUE: u32 = 3;
const PAST_MS: u64 = 1_600_000_000_000;

struct Stage {
    hub: LocalHub,
    agent: LocalDevice,
    colleague: LocalDevice,
    drawn: u64,
}

fn imported(number: u32) -> DocumentId {
    DocumentId::imported(TALK, number)
}

fn past(number: u64) -> MessageId {
    MessageId::from_parts(PAST_MS + number, 1)
}

fn message(number: u64, by: u32, dir: Direction) -> Message {
    let (kind, body, src) = ("text".into(), format!("line {number}"), Some(format!("chat.txt#{number}")));
    Message { id: past(number), by: MemberId(by), dir, kind, body, seen: None, re: None, media: None, src }
}

/// A question of the customer, the agent's reply, a colleague's reaction to it.
fn facts() -> Vec<Fact> {
    vec![
        Fact::Message(message(1, 0, Direction::In)),
        Fact::Message(message(2, AGENT, Direction::Out)),
        Fact::Reaction { message: past(2), by: MemberId(COLLEAGUE), id: FactId(past(3).0), emoji: "👍".into() },
    ]
}

impl Stage {
    fn new() -> Self {
        let segment = SegmentLimits {
            open_messages: 8,
            open_ops: 60,
            open_text_bytes: 4_096,
            late_message_ops: 80,
            late_edit_ops: 100,
        };
        let mut hub = LocalHub::new(HubConfig { compact_tail: 1_000_000, segment, ..HubConfig::default() });
        hub.add_member(AGENT, Role::Agent);
        hub.add_member(COLLEAGUE, Role::Agent);
        let assigned = vec![MemberId(AGENT), MemberId(COLLEAGUE)];
        let conversation =
            Conversation { id: TALK, customer: "Café Lumière".into(), service: None, assigned, keep: None };
        assert!(matches!(hub.administer(Command::ConversationOpen(conversation)), Outcome::Done(_)));
        let [agent, colleague] = [AGENT, COLLEAGUE].map(|member| hub.enrol(member, member as u8));
        Self { hub, agent, colleague, drawn: 0 }
    }

    /// A stage with an imported segment.
    fn imported() -> Self {
        let mut stage = Self::new();
        let outcome = stage.hub.import(imported(0), RUN, &facts());
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        stage
    }

    fn fact_id(&mut self) -> FactId {
        self.drawn += 1;
        FactId::from_parts(self.hub.now.wall_ms, u128::from(self.drawn))
    }

    fn reply(&mut self, by: u32, seen: Option<MessageId>) -> Fact {
        let id = MessageId(self.fact_id().0);
        Fact::Message(Message { id, seen, src: None, ..message(9, by, Direction::Out) })
    }

    /// Pushes one fact in a fresh chain into a document.
    fn push_into(&mut self, by: u32, document: DocumentId, fact: &Fact) -> Outcome {
        self.drawn += 1;
        let device = if by == AGENT { &self.agent } else { &self.colleague };
        device.chain(document, self.drawn as u8).push(&mut self.hub, fact)
    }

    fn push(&mut self, by: u32, fact: &Fact) -> Outcome {
        self.push_into(by, DocumentId::segment(TALK, 0), fact)
    }

    fn known(&mut self) -> Vec<Known> {
        let mut known = self.hub.plan_import(TALK, &facts()).expect("a plan").known;
        known.dedup();
        known
    }
}

fn code(outcome: &Outcome) -> Option<RefusalCode> {
    match outcome {
        Outcome::Refused(refusal) => refusal.known(),
        _ => None,
    }
}

type Row = (&'static str, Option<RefusalCode>, fn(&mut Stage) -> Outcome);

#[test]
fn a_segment_is_taken_whole_or_refused_with_its_code() {
    use RefusalCode as Code;
    let rows: &[Row] = &[
        ("an honest segment", None, |stage| {
            stage.hub.import(imported(1), RUN, &[Fact::Message(message(7, 99, Direction::Out))])
        }),
        ("the same again", Some(Code::MessageIdTaken), |stage| stage.hub.import(imported(1), RUN, &facts())),
        ("a reaction that stands", Some(Code::KeyTaken), |stage| stage.hub.import(imported(1), RUN, &facts()[2..])),
        ("a number that is taken", Some(Code::DocumentUnknown), |stage| {
            stage.hub.import(imported(0), RUN, &[Fact::Message(message(7, 0, Direction::In))])
        }),
        ("a number that is not the next", Some(Code::DocumentUnknown), |stage| {
            stage.hub.import(imported(2), RUN, &[Fact::Message(message(7, 0, Direction::In))])
        }),
        ("an ordinary segment", Some(Code::DocumentUnknown), |stage| {
            stage.hub.import(DocumentId::segment(TALK, 0), RUN, &[Fact::Message(message(7, 0, Direction::In))])
        }),
        ("a conversation that does not exist", Some(Code::ConversationUnknown), |stage| {
            let document = DocumentId::imported(ConversationId([9; 16]), 0);
            stage.hub.import(document, RUN, &facts())
        }),
        ("no facts", Some(Code::FieldInvalid), |stage| stage.hub.import(imported(1), RUN, &[])),
        ("a head that is not the facts'", Some(Code::HashDiffers), |stage| {
            let facts = vec![Fact::Message(message(7, 0, Direction::In))];
            let head = ChainHead::empty(DocumentKind::Imported);
            let bytes = Bytes::from_static(b"-");
            stage.hub.import_segment(ImportSegment { document: imported(1), import: RUN, facts, head, bytes })
        }),
        ("a time to come", Some(Code::ClockAhead), |stage| {
            let id = MessageId::from_parts(stage.hub.now.wall_ms + limits::CLOCK_AHEAD_MS_MAX + 1, 1);
            stage.hub.import(imported(1), RUN, &[Fact::Message(Message { id, ..message(7, 0, Direction::In) })])
        }),
        ("an edit of nothing", Some(Code::TargetUnknown), |stage| {
            let edit = Fact::Edit { message: past(50), id: FactId(past(51).0), body: "better".into() };
            stage.hub.import(imported(1), RUN, &[edit])
        }),
        ("an edit of an earlier segment's message", None, |stage| {
            let edit = Fact::Edit { message: past(2), id: FactId(past(51).0), body: "better".into() };
            stage.hub.import(imported(1), RUN, &[edit])
        }),
        ("an edit of a member's message", Some(Code::TargetForbidden), |stage| {
            let reply = stage.reply(AGENT, None);
            let Fact::Message(written) = &reply else { panic!("a message") };
            let edit = Fact::Edit { message: written.id, id: FactId(past(51).0), body: "worse".into() };
            stage.push(AGENT, &reply);
            stage.hub.import(imported(1), RUN, &[edit])
        }),
        ("what an undone segment said leaves nothing behind", None, |stage| {
            let other = ImportId([0xe2; 16]);
            let retraction = Fact::Retraction { message: past(2), id: FactId(past(60).0), reason: String::new() };
            stage.hub.import(imported(1), other, std::slice::from_ref(&retraction));
            stage.hub.undo_import(TALK, other);
            stage.hub.import(imported(2), RUN, &[retraction])
        }),
        ("a reaction too many", Some(Code::ReactionsFull), |stage| {
            let reaction = |number: u64| Fact::Reaction {
                message: past(50),
                by: MemberId(COLLEAGUE),
                id: FactId(past(100 + number).0),
                emoji: "👍".into(),
            };
            let message = Fact::Message(message(50, 0, Direction::In));
            let facts: Vec<Fact> = (0..=u64::from(limits::REACTIONS_MAX)).map(reaction).collect();
            stage.hub.import(imported(1), RUN, &[vec![message], facts].concat())
        }),
    ];
    for (name, expected, act) in rows {
        let mut stage = Stage::imported();
        let (facts, committed) = (stage.hub.store.disk.facts(), stage.hub.hub.committed());
        let outcome = act(&mut stage);
        assert_eq!(code(&outcome), *expected, "{name}: {outcome:?}");
        let moved = stage.hub.hub.committed().0 - committed.0;
        if expected.is_some() {
            let written = moved - u64::from(*name == "an edit of a member's message");
            assert_eq!(written, 0, "{name}: nothing of it is stored");
        } else {
            let before = 2 * u64::from(name.starts_with("what an undone"));
            assert_eq!(moved - before, 1, "{name}: one entry, however many facts");
            assert!(stage.hub.store.disk.facts() > facts, "{name}");
        }
        if let Outcome::Refused(refusal) = &outcome
            && refusal.known() == Some(Code::DocumentUnknown)
        {
            assert_eq!(refusal.open.map(|open| open.number), Some(1), "{name}: it says which comes next");
        }
    }
}

#[test]
fn members_go_on_from_what_was_imported() {
    use RefusalCode as Code;
    let rows: &[Row] = &[
        ("the author edits an imported reply", None, |stage| {
            let id = stage.fact_id();
            stage.push(AGENT, &Fact::Edit { message: past(2), id, body: "better".into() })
        }),
        ("another edits it", Some(Code::TargetForbidden), |stage| {
            let id = stage.fact_id();
            stage.push(COLLEAGUE, &Fact::Edit { message: past(2), id, body: "worse".into() })
        }),
        ("nobody edits the customer", Some(Code::TargetForbidden), |stage| {
            let id = stage.fact_id();
            stage.push(AGENT, &Fact::Edit { message: past(1), id, body: "worse".into() })
        }),
        ("the author retracts it", None, |stage| {
            let id = stage.fact_id();
            stage.push(AGENT, &Fact::Retraction { message: past(2), id, reason: String::new() })
        }),
        ("anyone reacts", None, |stage| {
            let (id, by) = (stage.fact_id(), MemberId(COLLEAGUE));
            stage.push(COLLEAGUE, &Fact::Reaction { message: past(1), by, id, emoji: "👍".into() })
        }),
        ("nobody writes into it", Some(Code::WrongDocument), |stage| {
            let note = stage.reply(AGENT, None);
            stage.push_into(AGENT, imported(0), &note)
        }),
        ("its ids are taken, also for the same words", Some(Code::MessageIdTaken), |stage| {
            stage.push(AGENT, &Fact::Message(Message { src: None, ..message(2, AGENT, Direction::Out) }))
        }),
        ("nobody but an import names a source", Some(Code::SourceForbidden), |stage| {
            stage.push(AGENT, &Fact::Message(message(20, AGENT, Direction::Out)))
        }),
        ("it cannot be resolved", Some(Code::NotHeld), |stage| {
            let (message, resolution) = (past(2), Resolution::Send);
            let resolve = Resolve { tag: 1, conversation: TALK, message, resolution, seen: None };
            ack(stage.hub.send(stage.agent.session, &DeviceFrame::Resolve(resolve)))
        }),
    ];
    for (name, expected, act) in rows {
        let mut stage = Stage::imported();
        let outcome = act(&mut stage);
        assert_eq!(code(&outcome), *expected, "{name}: {outcome:?}");
    }
}

fn ack(frames: Vec<HubFrame>) -> Outcome {
    let results = frames.into_iter().find_map(|frame| match frame {
        HubFrame::Ack { results, .. } => Some(results),
        _ => None,
    });
    results.expect("an Ack").remove(0)
}

#[test]
fn imported_replies_do_not_count_for_the_lock() {
    let mut stage = Stage::imported();
    let first = stage.reply(COLLEAGUE, None);
    let Outcome::Placed { stamp, .. } = stage.push(COLLEAGUE, &first) else { panic!("it is placed") };
    assert_eq!(stamp.verdict, Verdict::Accepted, "the agent's imported reply is none");
    stage.hub.advance(limits::REPLY_WINDOW_MS + 1);
    let second = stage.reply(AGENT, Some(past(2)));
    let Outcome::Placed { stamp, .. } = stage.push(AGENT, &second) else { panic!("it is placed") };
    assert!(matches!(stamp.verdict, Verdict::Held(_)), "who has seen an imported reply has seen nothing: {stamp:?}");
}

#[test]
fn a_mark_on_imported_messages_never_hides_newer_ones() {
    let mut stage = Stage::imported();
    let mark = |stage: &mut Stage, message| {
        let frame = DeviceFrame::Mark { tag: 3, conversation: TALK, message };
        assert!(matches!(ack(stage.hub.send(stage.agent.session, &frame)), Outcome::Done(_)));
        let row = stage.hub.store.disk.conversation(TALK).expect("a row");
        row.markers.iter().map(|marker| (marker.message, marker.read)).collect::<Vec<_>>()
    };
    assert_eq!(mark(&mut stage, past(1)), [(past(1), Lsn::ZERO)]);
    assert_eq!(mark(&mut stage, past(2)), [(past(2), Lsn::ZERO)]);
    assert_eq!(mark(&mut stage, past(1)), [(past(2), Lsn::ZERO)]);
    let reply = stage.reply(AGENT, None);
    let Outcome::Placed { stamp, .. } = stage.push(AGENT, &reply) else { panic!("it is placed") };
    let Fact::Message(reply) = reply else { panic!("a message") };
    assert_eq!(mark(&mut stage, reply.id), [(reply.id, stamp.lsn)]);
    assert_eq!(mark(&mut stage, past(2)), [(reply.id, stamp.lsn)]);
}

#[test]
fn a_rerun_adds_nothing_and_an_undone_run_can_be_repeated() {
    let mut stage = Stage::new();
    assert_eq!(stage.known(), [Known::Nothing]);
    stage.hub.import(imported(0), RUN, &facts());
    assert_eq!(stage.known(), [Known::Imported]);
    let other = ImportId([0xe2; 16]);
    stage.hub.import(imported(1), other, &[Fact::Message(message(7, 0, Direction::In))]);
    let facts_of_both = stage.hub.store.disk.facts();
    assert!(matches!(stage.hub.undo_import(TALK, RUN), Outcome::Done(_)));
    assert_eq!(stage.hub.store.disk.facts(), facts_of_both - facts().len(), "the other run's stand");
    assert!(
        stage.hub.store.disk.snapshot(imported(0)).is_none() && stage.hub.store.disk.snapshot(imported(1)).is_some()
    );
    assert_eq!(stage.known(), [Known::Nothing]);
    let id = stage.fact_id();
    let edit = Fact::Edit { message: past(2), id, body: "better".into() };
    assert_eq!(code(&stage.push(AGENT, &edit)), Some(RefusalCode::TargetUnknown));
    let committed = stage.hub.hub.committed();
    assert!(matches!(stage.hub.undo_import(TALK, RUN), Outcome::Done(_)), "once more does nothing");
    assert_eq!(stage.hub.hub.committed(), committed);
    let plan = stage.hub.plan_import(TALK, &[]).expect("a plan");
    assert_eq!(plan.document, imported(2), "numbers are not given again");
    assert!(matches!(stage.hub.import(plan.document, RUN, &facts()), Outcome::Done(_)));
    assert!(matches!(stage.push(AGENT, &edit), Outcome::Placed { .. }));
}

#[test]
fn a_plan_asks_for_so_many_keys_at_most() {
    for (count, expected) in [(IMPORT_KEYS_MAX, None), (IMPORT_KEYS_MAX + 1, Some(RefusalCode::TooLarge))] {
        let mut stage = Stage::new();
        let keys = (0..count as u128).map(|number| KeyId(number.to_be_bytes())).collect();
        stage.hub.input(Input::ImportAsked { request: 0, conversation: TALK, keys });
        let refused = stage.hub.take_plan().err().and_then(|refusal| refusal.known());
        assert_eq!(refused, expected, "{count} keys");
    }
}

#[test]
fn a_device_learns_of_a_segment_by_one_entry_and_fetches_it() {
    let mut stage = Stage::imported();
    let entries = |frames: Vec<HubFrame>| {
        let frames = frames.into_iter().filter_map(|frame| match frame {
            HubFrame::Entries(entries) => Some(entries.entries.len()),
            _ => None,
        });
        frames.sum::<usize>()
    };
    let session = stage.agent.session;
    assert_eq!(entries(stage.hub.take(session)), 2, "the colleague's enrolment and the import");
    let fetch = |before, imported| Fetch { tag: 5, conversation: TALK, before, limit: 4, imported };
    for (fetch, segments) in
        [(fetch(None, true), 1), (fetch(Some(1), true), 1), (fetch(Some(0), true), 0), (fetch(None, false), 0)]
    {
        let frames = stage.hub.send(session, &DeviceFrame::Fetch(fetch));
        let listed = frames.iter().find_map(|frame| match frame {
            HubFrame::Catalogue(page) => Some(page.conversations[0].documents.clone()),
            _ => None,
        });
        let listed: Vec<DocumentId> = listed.expect("a page").iter().map(|row| row.document).collect();
        assert_eq!(listed, [imported(0)], "{fetch:?}");
        let sent = frames.iter().filter_map(|frame| match frame {
            HubFrame::Snapshot(part) if part.document.kind == DocumentKind::Imported => Some(part),
            _ => None,
        });
        let sent: Vec<_> = sent.collect();
        assert_eq!(sent.len(), segments, "{fetch:?}");
        assert!(sent.iter().all(|part| part.table.facts.is_empty() && part.table.events.len() == 1), "{fetch:?}");
        assert!(matches!(frames.last(), Some(HubFrame::Fetched { before: None, .. })), "{fetch:?}");
    }
}

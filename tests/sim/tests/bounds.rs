//! What the hub keeps in memory is bounded in bytes: frames that wait for rows, conversations that nobody uses.

use lockstep_core::effect::Effect;
use lockstep_core::hub::HubConfig;
use lockstep_core::input::Input;
use lockstep_protocol::codec;
use lockstep_protocol::directory::Conversation;
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::frame::{Command, DeviceFrame, HubFrame, Outcome};
use lockstep_protocol::id::{ConversationId, DocumentId, MemberId, MessageId};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::RefusalCode;
use lockstep_sim::local::{LocalDevice, LocalHub};

const OWNER: u32 = 1;

fn stage(conversations_bytes_max: usize) -> (LocalHub, LocalDevice) {
    let mut hub = LocalHub::new(HubConfig { conversations_bytes_max, ..HubConfig::default() });
    let device = hub.enrol(OWNER, 1);
    (hub, device)
}

fn note(hub: &LocalHub, random: u128, body_bytes: usize) -> Fact {
    let id = MessageId::from_parts(hub.now.wall_ms, random);
    let (by, dir, kind, body) = (MemberId(OWNER), Direction::Note, "text".into(), "x".repeat(body_bytes));
    Fact::Message(Message { id, by, dir, kind, body, seen: None, re: None, media: None, src: None })
}

/// How many pushes of so many notes wait for a conversation whose row never comes, before one is refused as busy.
fn parked(notes: u128, body_bytes: usize) -> usize {
    let (mut hub, device) = stage(usize::MAX);
    let chain = device.chain(DocumentId::segment(ConversationId([0xc1; 16]), 0), 1);
    for parked in 0.. {
        let facts: Vec<Fact> = (0..notes).map(|random| note(&hub, random, body_bytes)).collect();
        let frame = codec::encode(&DeviceFrame::Push(chain.push_of(&facts)));
        assert!(frame.len() <= limits::FRAME_BYTES_MAX);
        let frame = codec::decode_device(&frame).transpose().expect("a known frame");
        let mut effects = Vec::new();
        hub.hub.handle(hub.now, Input::FrameReceived { session: device.session, frame }, &mut effects);
        for effect in effects {
            if let Effect::Send { bytes, .. } = effect {
                let frame = codec::decode_hub(&bytes).expect("well formed").expect("known");
                let HubFrame::Ack { results, .. } = frame else { panic!("{frame:?}") };
                let [Outcome::Refused(refusal)] = &results[..] else { panic!("{results:?}") };
                assert_eq!(refusal.known(), Some(RefusalCode::Busy));
                assert!(refusal.retry_after_ms.is_some());
                return parked;
            }
        }
    }
    unreachable!("the loop ends by returning")
}

#[test]
fn frames_that_wait_for_rows_are_bounded_in_bytes() {
    for (notes, body_bytes) in [(1, 1), (1, 1_000), (1, limits::BODY_BYTES_MAX), (60, limits::BODY_BYTES_MAX)] {
        let text_bytes = parked(notes, body_bytes) * notes as usize * body_bytes;
        assert!(text_bytes <= limits::PARKED_BYTES_MAX, "{notes} × {body_bytes}: {text_bytes} bytes wait");
        if body_bytes >= 1_000 {
            assert!(text_bytes > limits::PARKED_BYTES_MAX / 3, "{notes} × {body_bytes}: only {text_bytes} bytes may");
        }
    }
    // Small frames are charged for more than their text.
    assert!(parked(1, 1) < limits::PARKED_BYTES_MAX / 100);
}

#[test]
fn conversations_in_memory_are_bounded_in_bytes() {
    const BYTES_MAX: usize = 100_000;
    let (mut hub, device) = stage(BYTES_MAX);
    let conversations: Vec<ConversationId> = (1..=60).map(|n| ConversationId([n; 16])).collect();
    let mut most = 0;
    for id in &conversations {
        let conversation =
            Conversation { id: *id, customer: "Casa".into(), service: None, assigned: Vec::new(), keep: None };
        assert!(matches!(hub.administer(Command::ConversationOpen(conversation)), Outcome::Done(_)));
        let mut chain = device.chain(DocumentId::segment(*id, 0), 1);
        for random in 0..20 {
            let fact = note(&hub, random, 10);
            assert!(matches!(chain.push(&mut hub, &fact), Outcome::Placed { .. }));
        }
        most = most.max(hub.hub.conversations_bytes());
        assert!(hub.hub.conversations_bytes() <= BYTES_MAX);
    }
    assert!(most > BYTES_MAX / 2, "only {most} bytes were ever in use");
    let held = hub.hub.conversations_in_memory();
    assert!((2..conversations.len()).contains(&held), "{held} conversations in memory");
    // Those that were dropped are read again when they are needed.
    let mut chain = device.chain(DocumentId::segment(conversations[0], 0), 2);
    let fact = note(&hub, 99, 10);
    assert!(matches!(chain.push(&mut hub, &fact), Outcome::Placed { .. }));
}

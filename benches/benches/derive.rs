//! Cost of judging a fact by itself and deriving its change: what the hub pays for every fact it takes, on one core.
//!
//! Goal: 12 µs for a message of 100 bytes.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lockstep_protocol::change::{ChainHead, derive_into};
use lockstep_protocol::codec;
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::id::{ActorId, DocumentKind, FactId, MemberId, MessageId};

const TIME_MS: u64 = 1_790_000_000_000;

fn message(body_bytes: usize) -> Fact {
    Fact::Message(Message {
        id: MessageId::from_parts(TIME_MS, 7),
        by: MemberId(12),
        dir: Direction::Out,
        kind: "text".into(),
        body: "x".repeat(body_bytes),
        seen: Some(MessageId::from_parts(TIME_MS - 1, 7)),
        re: None,
        media: None,
        src: None,
    })
}

fn derive(c: &mut Criterion) {
    let kind = DocumentKind::Segment;
    let actor = ActorId([7; 16]);
    let reaction = Fact::Reaction {
        message: MessageId::from_parts(TIME_MS, 7),
        by: MemberId(12),
        id: FactId::from_parts(TIME_MS, 8),
        emoji: "👍".into(),
    };
    let rows =
        [("message of 100 bytes", message(100)), ("message of 16 KiB", message(16 * 1024)), ("reaction", reaction)];
    let mut group = c.benchmark_group("derive");
    for (name, fact) in &rows {
        let head = ChainHead { seq: 200, max_op: 1_500, ..ChainHead::empty(kind) };
        let mut chunk = Vec::new();
        group.bench_function(format!("check and derive a {name}"), |b| {
            b.iter(|| {
                black_box(fact).check(kind).expect("a good fact");
                derive_into(&actor, &head, black_box(fact), &mut chunk)
            });
        });
    }
    let encoded = codec::encode(&rows[0].1);
    group.bench_function("decode a message of 100 bytes", |b| {
        b.iter(|| codec::decode_value::<Fact>(black_box(&encoded)).expect("a fact"));
    });
    group.finish();
}

criterion_group!(benches, derive);
criterion_main!(benches);

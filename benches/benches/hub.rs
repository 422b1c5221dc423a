//! `Hub::handle`: what one push costs from its frame to ten other sessions' sockets, at 1,000 and at 1,000,000 messages
//! of history in the conversation. Goal: at most 10 µs beyond checking and deriving the fact, flat in history.
//!
//! The store answers nothing here because nothing is asked: that is part of the claim. `Effect::Load` after the start
//! fails the bench.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use lockstep_benches::hub_stage::HubStage;

/// Messages in the conversation before the measurement.
const HISTORIES: [(&str, u32); 2] = [("1k", 1_000), ("1M", 1_000_000)];

fn push_to_ten(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub push fanned out to 10 sessions");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    for (name, history) in HISTORIES {
        let mut stage = HubStage::new(10);
        stage.write(history);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|pushes| {
                let frames = stage.prepare(u32::try_from(pushes).expect("criterion asks for few"));
                let start = Instant::now();
                for frame in frames {
                    black_box(stage.handle(frame));
                }
                start.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, push_to_ten);
criterion_main!(benches);

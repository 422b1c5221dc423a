//! How fast the matcher reads ordinary chat: `cargo run --release -p lockstep-words --features corpus --example speed`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures")]

use std::time::Instant;

use lockstep_words::corpus::{entries, sample};
use lockstep_words::{Folder, Matcher};

/// Seconds that this thread has had a core: on a busy machine the wall clock tells of the others.
fn cpu_seconds() -> Option<f64> {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(spent.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

fn main() {
    let started = Instant::now();
    let now = || cpu_seconds().unwrap_or_else(|| started.elapsed().as_secs_f64());
    let before = now();
    let matcher = Matcher::new(&entries(5_000, 1)).expect("the entries make a matcher");
    println!("built in {:.0} ms", (now() - before) * 1e3);
    let folding_only = Matcher::new(&[]).expect("an empty list");
    let text = sample(8 << 20, 2);
    let messages: Vec<&str> = text.lines().collect();
    let ascii: Vec<&str> = messages.iter().copied().filter(|message| message.is_ascii()).collect();
    for (name, messages) in [("twelve languages", messages), ("ASCII only", ascii)] {
        let bytes: usize = messages.iter().map(|message| message.len()).sum();
        let mut folder = Folder::new();
        for (what, matcher) in [("folding", &folding_only), ("5,000 entries", &matcher)] {
            let (mut best, mut hits) = (f64::MAX, 0);
            for _ in 0..7 {
                let before = now();
                let found = |message: &&&str| !matcher.categories_with(&mut folder, message).is_empty();
                hits = messages.iter().filter(found).count();
                best = best.min(now() - before);
            }
            let rate = bytes as f64 / best / 1e6;
            println!("{name}, {what}: {rate:.1} MB/s, {hits} of {} messages are hits", messages.len());
        }
    }
}

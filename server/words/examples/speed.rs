//! How fast the matcher reads ordinary chat: `cargo run --release -p lockstep-words --features corpus --example speed`.
#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::time::Instant;

use lockstep_words::corpus::{entries, sample};
use lockstep_words::{Folder, Matcher};

fn main() {
    let matcher = Matcher::new(&entries(5_000, 1)).expect("the entries make a matcher");
    let text = sample(16 << 20, 2);
    let messages: Vec<&str> = text.lines().collect();
    let ascii: Vec<&str> = messages.iter().copied().filter(|message| message.is_ascii()).collect();
    for (name, messages) in [("twelve languages", messages), ("ASCII only", ascii)] {
        let bytes: usize = messages.iter().map(|message| message.len()).sum();
        let mut folder = Folder::new();
        let mut best = f64::MAX;
        let mut hits = 0;
        for _ in 0..5 {
            let started = Instant::now();
            let found = |message: &&&str| !matcher.categories_with(&mut folder, message).is_empty();
            hits = messages.iter().filter(found).count();
            best = best.min(started.elapsed().as_secs_f64());
        }
        println!("{name}: {:.1} MB/s, {} messages, {hits} hits", bytes as f64 / best / 1e6, messages.len());
    }
}

//! `words`: how fast the matcher reads ordinary chat in twelve languages, on one core. The floor only makes the same text
//! lower-case, as the simplest list of words would have to.

use std::hint::black_box;
use std::time::Duration;

use clap::Args;
use lockstep_words::corpus::{entries, sample};
use lockstep_words::{Folder, Matcher};
use serde_json::json;

use crate::Common;
use crate::machine;
use crate::report::{Bound, Report, Rounds};

#[derive(Args)]
pub(crate) struct Words {
    /// Entries of the list
    #[arg(long, default_value_t = 5_000)]
    entries: usize,
    /// Text, MiB
    #[arg(long, default_value_t = 32)]
    mib: usize,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// CPU time of this thread: another's load does not count.
fn timed(run: impl FnOnce() -> usize) -> anyhow::Result<(Duration, usize)> {
    let before = machine::own_cpu_time()?;
    let count = run();
    Ok((machine::own_cpu_time()? - before, count))
}

pub(crate) fn measure(words: &Words) -> anyhow::Result<Report> {
    let rounds = if words.common.quick { 3 } else { words.rounds };
    let mib = if words.common.quick { 4 } else { words.mib };
    let entries = entries(words.entries, 1);
    let matcher = Matcher::new(&entries)?;
    // A matcher that finds nothing is fast.
    for entry in &entries {
        anyhow::ensure!(!matcher.categories(&entry.text).is_empty(), "`{}` is not found", entry.text);
    }
    let text = sample(mib << 20, 2);
    let messages: Vec<&str> = text.lines().collect();
    let bytes: usize = messages.iter().map(|message| message.len()).sum();
    let rate = |spent: Duration| bytes as f64 / spent.as_secs_f64() / 1e6;
    let mut folder = Folder::new();
    let (mut gathered, mut found) = (Rounds::default(), 0);
    for round in 0..=rounds {
        let hit = |message: &&&str| !matcher.categories_with(&mut folder, message).is_empty();
        let (ours, hits) = timed(|| messages.iter().filter(hit).count())?;
        let (floor, _) = timed(|| messages.iter().map(|message| black_box(message.to_lowercase()).len()).sum())?;
        found = hits;
        if round > 0 {
            gathered.against("mb_a_second", rate(ours), rate(floor));
        }
    }
    let settings = json!({ "entries": words.entries, "mib": mib, "rounds": rounds, "messages": messages.len(),
        "messages_with_words": found });
    let report = gathered.report("words", Some("str::to_lowercase"), settings, &[]);
    Ok(report.own_goal("mb_a_second", Bound::AtLeast(50.0)))
}

//! Every planted bug is caught by some checker within a bounded number of seeds.

use lockstep_sim::planted;
use lockstep_sim::seed::{Outcome, run_seed};

/// Most seeds that one bug may need. Most need fewer than ten, the rarest (a push judged by what is durable) 302.
const SEEDS_MAX: u64 = 1_000;

#[test]
fn every_planted_bug_is_caught() {
    let bugs = planted::all();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let missed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let name = planted::name(*bug);
                    let caught = (0..SEEDS_MAX).find_map(|seed| match run_seed(seed, false, Some(*bug), false) {
                        Outcome::Passed(_) => None,
                        Outcome::Failed(violation) => Some((seed, violation.checker)),
                    });
                    println!("{name}: {caught:?}");
                    if caught.is_none() {
                        missed.lock().expect("no thread panics with it").push(name);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().expect("no thread panicked with it");
    assert!(missed.is_empty(), "not caught within {SEEDS_MAX} seeds: {missed:?}");
}

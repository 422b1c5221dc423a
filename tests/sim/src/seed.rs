//! One seed, run with panics caught.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::checker::Violation;
use crate::scenario::Scenario;
use crate::world::{Bug, Summary, World};

/// What came of a seed.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Every invariant held.
    Passed(Summary),
    /// One did not.
    Failed(Violation),
}

thread_local! {
    static PANIC: std::cell::RefCell<Option<String>> = const { std::cell::RefCell::new(None) };
}

/// Runs a scenario to its end.
#[must_use]
pub fn run_scenario(scenario: Scenario, bug: Option<Bug>, trace: bool) -> Outcome {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|info| PANIC.with(|last| *last.borrow_mut() = Some(info.to_string()))));
    });
    let run = catch_unwind(AssertUnwindSafe(|| World::new(scenario, bug, trace).run()));
    match run {
        Ok(Ok(summary)) => Outcome::Passed(summary),
        Ok(Err(violation)) => Outcome::Failed(violation),
        Err(_) => {
            let what = PANIC.with(|last| last.borrow_mut().take()).unwrap_or_else(|| "unknown".into());
            Outcome::Failed(Violation { checker: "panic", what })
        }
    }
}

/// Draws and runs a seed.
#[must_use]
pub fn run_seed(seed: u64, automerge: bool, bug: Option<Bug>, trace: bool) -> Outcome {
    run_scenario(Scenario::draw(seed, automerge), bug, trace)
}

//! Makes a failing seed's list of steps shorter while the same checker still fails.

use crate::checker::Violation;
use crate::scenario::Scenario;
use crate::seed::{Outcome, run_scenario};
use crate::world::Bug;

/// Drops chunks of steps, halves first, as long as the same checker fails; at most `runs_max` runs.
#[must_use]
pub fn shrink(scenario: Scenario, violation: Violation, bug: Option<Bug>, runs_max: usize) -> (Scenario, Violation) {
    let (mut best, mut seen) = (scenario, violation);
    let mut runs = 0;
    let mut chunk = best.steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut dropped = false;
        while at < best.steps.len() && runs < runs_max {
            let mut shorter = best.clone();
            shorter.steps.drain(at..(at + chunk).min(best.steps.len()));
            runs += 1;
            match run_scenario(shorter.clone(), bug, false) {
                Outcome::Failed(violation) if violation.checker == seen.checker => {
                    (best, seen, dropped) = (shorter, violation, true);
                }
                _ => at += chunk,
            }
        }
        if runs >= runs_max || (chunk == 1 && !dropped) {
            return (best, seen);
        }
        if !dropped || chunk > 1 {
            chunk = (chunk / 2).max(1);
        }
    }
}

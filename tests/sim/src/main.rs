//! `lockstep-sim`: runs seeds, prints figures, shrinks and replays failures.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use lockstep_sim::checker::Violation;
use lockstep_sim::scenario::Scenario;
use lockstep_sim::seed::{Outcome, run_scenario};
use lockstep_sim::shrink::shrink;
use lockstep_sim::world::Bug;

/// Runs seeds of the Lockstep simulator.
#[derive(Parser, Clone, Debug)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Figures as JSON.
    #[arg(long)]
    json: bool,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
    /// Real Automerge documents in every seed, not in every 16th.
    #[arg(long)]
    automerge: bool,
    /// Plant a bug, by its name in `HubBug` or `ClientBug`.
    #[arg(long)]
    bug: Option<String>,
    /// Go on after failures and count them by checker; nothing is shrunk.
    #[arg(long)]
    survey: bool,
    /// Most runs for shrinking.
    #[arg(long, default_value_t = 300)]
    shrink_runs: usize,
}

#[derive(Debug, Default)]
struct Totals {
    seeds: u64,
    virtual_ms: u64,
    entries: u64,
    events: u64,
    accepted: u64,
    collided: u64,
    readmitted: u64,
    epochs: u64,
    failures: Vec<(u64, Violation)>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let bug = arguments.bug.as_deref().map(lockstep_sim::planted::find).transpose()?;
    let started = Instant::now();
    let next = AtomicU64::new(arguments.from);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| work(&arguments, bug, &next, &totals));
        }
    });
    let mut totals = totals.into_inner().map_err(|_| anyhow::anyhow!("a worker thread panicked"))?;
    totals.failures.sort_by_key(|(seed, _)| *seed);
    report(&arguments, &totals, started.elapsed().as_secs_f64());
    if let Some((seed, violation)) = totals.failures.first() {
        explain(&arguments, bug, *seed, violation.clone());
        std::process::exit(1);
    }
    Ok(())
}

fn work(arguments: &Arguments, bug: Option<Bug>, next: &AtomicU64, totals: &Mutex<Totals>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= arguments.from + arguments.seeds {
            return;
        }
        let outcome = run_scenario(Scenario::draw(seed, arguments.automerge), bug, arguments.trace);
        let Ok(mut totals) = totals.lock() else { return };
        totals.seeds += 1;
        match outcome {
            Outcome::Passed(summary) => {
                totals.virtual_ms += summary.virtual_ms;
                totals.entries += summary.entries;
                totals.events += summary.events;
                totals.accepted += summary.accepted;
                totals.collided += summary.collided;
                totals.readmitted += summary.readmitted;
                totals.epochs += summary.epochs;
            }
            Outcome::Failed(violation) => {
                totals.failures.push((seed, violation));
                if !arguments.survey {
                    next.store(u64::MAX / 2, Ordering::Relaxed);
                }
            }
        }
    }
}

fn report(arguments: &Arguments, totals: &Totals, seconds: f64) {
    let hours = totals.virtual_ms as f64 / 3_600_000.0;
    let (seeds_a_second, hours_a_second) = (totals.seeds as f64 / seconds, hours / seconds);
    if arguments.json {
        let figures = serde_json::json!({
            "seeds": totals.seeds,
            "failures": totals.failures.len(),
            "seconds": seconds,
            "seeds_a_second": seeds_a_second,
            "simulated_hours": hours,
            "simulated_hours_a_second": hours_a_second,
            "events": totals.events,
            "entries": totals.entries,
            "accepted_replies": totals.accepted,
            "collided_replies": totals.collided,
            "readmitted_facts": totals.readmitted,
            "epochs": totals.epochs,
        });
        println!("{figures}");
        return;
    }
    println!(
        "{} seeds, {} failures, {seconds:.1} s: {seeds_a_second:.1} seeds/s, {hours:.1} simulated hours, \
         {hours_a_second:.2} hours/s; {} events, {} entries, {} accepted, {} collided, {} re-admitted, {} epochs",
        totals.seeds,
        totals.failures.len(),
        totals.events,
        totals.entries,
        totals.accepted,
        totals.collided,
        totals.readmitted,
        totals.epochs,
    );
    if arguments.survey {
        let mut by_checker = std::collections::BTreeMap::<&str, Vec<&(u64, Violation)>>::new();
        for failure in &totals.failures {
            by_checker.entry(failure.1.checker).or_default().push(failure);
        }
        for (checker, failures) in by_checker {
            println!("{:>6} {checker}", failures.len());
            for (seed, violation) in failures.iter().take(6) {
                let what: String = violation.what.chars().take(300).collect();
                println!("         seed {seed}: {what}");
            }
        }
    }
}

fn explain(arguments: &Arguments, bug: Option<Bug>, seed: u64, violation: Violation) {
    let planted = arguments.bug.as_ref().map_or(String::new(), |bug| format!(" --bug {bug}"));
    let automerge = if arguments.automerge { " --automerge" } else { "" };
    println!("seed {seed} fails: {}: {}", violation.checker, violation.what);
    println!("replay: cargo run --release -p lockstep-sim -- --from {seed} --seeds 1 --trace{automerge}{planted}");
    if arguments.trace || arguments.survey {
        return;
    }
    let scenario = Scenario::draw(seed, arguments.automerge);
    let all = scenario.steps.len();
    let (short, violation) = shrink(scenario, violation, bug, arguments.shrink_runs);
    println!("shrunk from {all} to {} steps, {}: {}", short.steps.len(), violation.checker, violation.what);
    println!(
        "{:?}, devices {:?}, conversations {:?}, policy {:?}",
        short.members, short.devices, short.conversations, short.policy
    );
    for step in &short.steps {
        println!("{:>9} ms {:?}", step.at_ms, step.what);
    }
    println!("trace of the short run:");
    let _ = run_scenario(short, bug, true);
}

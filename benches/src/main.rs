//! Figures that anyone can measure again: `cargo run --release -p lockstep-benches -- NAME [--quick] [--json]`.
//!
//! Every figure is a ratio to a floor of the same run, interleaved over several rounds; a run counts only if every
//! device ended with the same messages. Build the program first: `cargo build --release -p lockstep-server`.

mod device;
mod latency;
mod relay;
mod summary;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Durable send to the last device, against a relay that appends and syncs every record
    Latency(latency::Latency),
    /// The floor's process; started by the benches
    #[command(hide = true)]
    Relay(relay::Relay),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench {
        Bench::Latency(latency) => latency::run(&latency),
        Bench::Relay(relay) => relay::run(&relay),
    }
}

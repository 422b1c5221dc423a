//! Figures that anyone can measure again: `cargo run --release -p lockstep-benches -- NAME [--quick] [--json]`.
//!
//! Every figure is a ratio to a floor of the same run, interleaved over several rounds; a run counts only if every
//! device ended with the same messages. Build the program first: `cargo build --release -p lockstep-server`.

mod bootstrap;
mod catchup;
mod corpus;
mod depth_device;
mod device;
mod fanout;
mod floor;
mod latency;
mod live;
mod load;
mod machine;
mod million;
mod proxy;
mod report;
mod sdk;
mod stage;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use report::Report;

/// A step that has not happened by then ends the run.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Parser)]
#[command(about = "Measures Lockstep against floors and peers of the same run")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

/// What every bench knows.
#[derive(Args)]
pub(crate) struct Common {
    /// Few and short rounds
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Prints every bench with what it measures
    List,
    /// Runs every bench and writes benches/RESULTS.md
    Report(Common),
    #[command(flatten)]
    Bench(Bench),
    #[command(flatten)]
    Floor(Floor),
}

#[derive(Subcommand)]
enum Bench {
    /// Durable send to the last device, against a relay that appends and syncs every record
    Latency(latency::Latency),
    /// Deliveries to 100 devices a CPU second, against a loop that writes ready frames, and a naive broadcast
    Fanout(fanout::Fanout),
    /// What a live message costs a device, with 100k messages in its conversation against 1k
    DepthDevice(depth_device::DepthDevice),
    /// A device catches up with 100k messages, against reading, sending and opening the same ones
    Catchup(catchup::Catchup),
    /// A new device behind a slow line until the newest chats can be read
    Bootstrap(bootstrap::Bootstrap),
    /// A device with a million messages of history: opening a conversation, memory, applying a live message
    Device(million::Million),
}

/// Servers that the benches start.
#[derive(Subcommand)]
#[command(hide = true)]
enum Floor {
    #[command(hide = true)]
    Relay(floor::relay::Relay),
    #[command(hide = true, name = "fanout-floor")]
    Fanout(floor::fanout::Fanout),
    #[command(hide = true)]
    CatchupFloor(floor::catchup::CatchupFloor),
    #[command(hide = true)]
    Sdk(sdk::Sdk),
}

/// What `report` runs.
const ALL: &[&[&str]] = &[
    &["latency", "--devices", "4"],
    &["latency", "--devices", "10"],
    &["latency", "--devices", "100"],
    &["fanout"],
    &["depth-device"],
    &["catchup"],
    &["bootstrap"],
    &["device"],
];

fn main() -> anyhow::Result<()> {
    match Arguments::parse().verb {
        Verb::List => {
            let benches = Bench::augment_subcommands(clap::Command::new("benches"));
            for bench in benches.get_subcommands() {
                println!("{:<10} {}", bench.get_name(), bench.get_about().map(ToString::to_string).unwrap_or_default());
            }
            Ok(())
        }
        Verb::Report(common) => report_all(&common),
        Verb::Floor(Floor::Relay(relay)) => floor::relay::run(&relay),
        Verb::Floor(Floor::Fanout(fanout)) => floor::fanout::run(&fanout),
        Verb::Floor(Floor::CatchupFloor(catchup)) => floor::catchup::run(&catchup),
        Verb::Floor(Floor::Sdk(sdk)) => sdk::run(&sdk),
        Verb::Bench(bench) => {
            let json = bench.common().json;
            let report = measure(bench)?;
            if json {
                println!("{}", serde_json::to_string(&report)?);
            } else {
                print!("{report}");
            }
            Ok(())
        }
    }
}

impl Bench {
    const fn common(&self) -> &Common {
        match self {
            Self::Latency(bench) => &bench.common,
            Self::Fanout(bench) => &bench.common,
            Self::DepthDevice(bench) => &bench.common,
            Self::Catchup(bench) => &bench.common,
            Self::Bootstrap(bench) => &bench.common,
            Self::Device(bench) => &bench.common,
        }
    }
}

fn measure(bench: Bench) -> anyhow::Result<Report> {
    machine::pin(std::process::id(), machine::LOAD_CORE)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async move {
        match bench {
            Bench::Latency(bench) => latency::measure(&bench).await,
            Bench::Fanout(bench) => fanout::measure(&bench).await,
            Bench::DepthDevice(bench) => depth_device::measure(&bench).await,
            Bench::Catchup(bench) => catchup::measure(&bench).await,
            Bench::Bootstrap(bench) => bootstrap::measure(&bench).await,
            Bench::Device(bench) => million::measure(&bench).await,
        }
    })
}

fn report_all(common: &Common) -> anyhow::Result<()> {
    let mut text = format!("{}\n", report::HEAD);
    for arguments in ALL {
        let mut line = vec!["lockstep-benches"];
        line.extend_from_slice(arguments);
        if common.quick {
            line.push("--quick");
        }
        let Verb::Bench(bench) = Arguments::try_parse_from(line)?.verb else { unreachable!("every one is a bench") };
        eprintln!("{}", arguments.join(" "));
        let report = measure(bench)?;
        eprint!("{report}");
        text.push_str(&report.to_markdown());
        text.push('\n');
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");
    std::fs::write(path, text)?;
    println!("{path}");
    Ok(())
}

//! Figures that anyone can measure again: `cargo run --release -p lockstep-benches -- NAME [--quick] [--json]`.
//!
//! Every figure is a ratio to a floor of the same run, interleaved over several rounds; a run counts only if every
//! device ended with the same messages. Build the program first: `cargo build --release -p lockstep-server`.

mod bootstrap;
mod capacity;
mod catchup;
mod commit;
mod corpus;
mod depth;
mod depth_device;
mod device;
mod fanout;
mod floor;
mod idle;
mod latency;
mod live;
mod live_device;
mod load;
mod machine;
mod million;
mod peers;
mod permission;
mod proxy;
mod report;
mod sdk;
mod sealing;
mod size;
mod stage;
mod stall;
mod start;
mod words;

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

/// What `report` is to measure.
#[derive(Args)]
struct Selection {
    /// Benches; none for all
    names: Vec<String>,
    /// Few and short rounds
    #[arg(long)]
    quick: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Prints every bench with what it measures
    List,
    /// Runs every bench, or those that are named, and writes benches/RESULTS.md
    Report(Selection),
    #[command(flatten)]
    Bench(Bench),
    #[command(flatten)]
    Floor(Floor),
}

#[derive(Subcommand)]
enum Bench {
    /// Durable send to the last device, against a relay that appends and syncs every record
    Latency(latency::Latency),
    /// From an assignment's change until the last of 100 open devices has it, against a relay that syncs every record
    Permission(permission::Permission),
    /// Deliveries to 100 devices a CPU second, against a loop that writes ready frames, and a naive broadcast
    Fanout(fanout::Fanout),
    /// Durable acknowledgements a second at saturation, against writing and syncing as many bytes
    Commit(commit::Commit),
    /// CPU time a durable message with everything sealed, against sealing what is sensitive only
    Sealing(sealing::Sealing),
    /// Text a second that is searched for 5,000 sensitive words, against making it lower-case
    Words(words::Words),
    /// What an append costs in a conversation of 100,000 messages, against one of 1,000
    Depth(depth::Depth),
    /// One device stops reading; what the others notice, and what the hub keeps for it
    Stall(stall::Stall),
    /// Memory and CPU time of a connected device that says nothing
    Idle(idle::Idle),
    /// From exec to the first device in sync, with a million messages and with none
    Start(start::Start),
    /// Bytes a message on disk, against JSON lines under zstd, and on the wire
    Size(size::Size),
    /// The highest rate at which every device gets every message within 200 ms
    Capacity(capacity::Capacity),
    /// Appends of one writer until they stand on four devices, against servers that people use for the same
    Peers(peers::Peers),
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
    &["permission"],
    &["fanout"],
    &["commit"],
    &["sealing"],
    &["words"],
    &["depth"],
    &["start"],
    &["size"],
    &["idle"],
    &["stall"],
    &["capacity"],
    &["peers"],
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
        Verb::Report(selection) => report_all(&selection),
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
            Self::Permission(bench) => &bench.common,
            Self::Fanout(bench) => &bench.common,
            Self::Commit(bench) => &bench.common,
            Self::Sealing(bench) => &bench.common,
            Self::Words(bench) => &bench.common,
            Self::Depth(bench) => &bench.common,
            Self::Start(bench) => &bench.common,
            Self::Size(bench) => &bench.common,
            Self::Capacity(bench) => &bench.common,
            Self::Idle(bench) => &bench.common,
            Self::Stall(bench) => &bench.common,
            Self::Peers(bench) => &bench.common,
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
            Bench::Permission(bench) => permission::measure(&bench).await,
            Bench::Fanout(bench) => fanout::measure(&bench).await,
            Bench::Commit(bench) => commit::measure(&bench).await,
            Bench::Sealing(bench) => sealing::measure(&bench).await,
            Bench::Words(bench) => words::measure(&bench),
            Bench::Depth(bench) => depth::measure(&bench).await,
            Bench::Start(bench) => start::measure(&bench).await,
            Bench::Size(bench) => size::measure(&bench).await,
            Bench::Capacity(bench) => capacity::measure(&bench).await,
            Bench::Idle(bench) => idle::measure(&bench).await,
            Bench::Stall(bench) => stall::measure(&bench).await,
            Bench::Peers(bench) => peers::measure(&bench).await,
            Bench::DepthDevice(bench) => depth_device::measure(&bench).await,
            Bench::Catchup(bench) => catchup::measure(&bench).await,
            Bench::Bootstrap(bench) => bootstrap::measure(&bench).await,
            Bench::Device(bench) => million::measure(&bench).await,
        }
    })
}

/// Measures those of [`ALL`] that are named, or all, and puts their parts into RESULTS.md; parts of others stay.
fn report_all(selection: &Selection) -> anyhow::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");
    let before = std::fs::read_to_string(path).unwrap_or_default();
    let mut parts: Vec<(String, String)> = ALL.iter().map(|arguments| (arguments.join(" "), String::new())).collect();
    for (title, part) in &mut parts {
        let old = before.split("\n## ").skip(1).find(|old| old.lines().next() == Some(title));
        *part = old.map_or_else(String::new, |old| format!("## {}\n", old.trim_end()));
    }
    let head = report::head()?;
    for (at, arguments) in ALL.iter().enumerate() {
        if !selection.names.is_empty() && !selection.names.iter().any(|name| name == arguments[0]) {
            continue;
        }
        let quick = selection.quick.then_some("--quick");
        let line = ["lockstep-benches"].into_iter().chain(arguments.iter().copied()).chain(quick);
        let Verb::Bench(bench) = Arguments::try_parse_from(line)?.verb else { unreachable!("every one is a bench") };
        match measure(bench) {
            Ok(report) => {
                eprint!("{report}");
                parts[at].1 = report.to_markdown(&parts[at].0);
            }
            // The others are worth their time all the same.
            Err(error) => {
                eprintln!("{}: {error:#}", parts[at].0);
                parts[at].1 = format!("## {}\n\nNot valid: {error:#}\n", parts[at].0);
            }
        }
        let text = parts.iter().filter(|(_, part)| !part.is_empty()).map(|(_, part)| part.as_str());
        std::fs::write(path, format!("{head}\n{}", text.collect::<Vec<_>>().join("\n")))?;
    }
    println!("{path}");
    Ok(())
}

//! `peers`: appends of one writer until they stand on four devices, against servers that people use for the same.
//!
//! Ours and every peer through its own client library, the writer and three readers in one process on the load's core,
//! the server on the other. Every round starts every server anew, and connects the clients before the clock starts. A
//! peer is a driver in `benches/peers`, installed by `benches/peers/install`; one that is not is skipped.

use std::collections::BTreeSet;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use futures_util::{StreamExt, TryStreamExt};
use lockstep_client::{ConversationList, Device, MessageState, View};
use lockstep_protocol::directory::Role;
use lockstep_protocol::fact::Fact;
use lockstep_protocol::frame::HubFrame;
use lockstep_protocol::id::{ConversationId, Lsn};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::device::{facts, placed};
use crate::floor::Server;
use crate::floor::relay::HEADER_BYTES;
use crate::machine::SERVER_CORE;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use crate::{Common, PATIENCE};

#[derive(Args)]
pub(crate) struct Peers {
    /// Messages, each an append of its own
    #[arg(long)]
    messages: Option<usize>,
    /// Interleaved rounds of each
    #[arg(long)]
    rounds: Option<usize>,
    /// Only this peer (may be given several times)
    #[arg(long)]
    only: Vec<String>,
    /// A peer that needs longer is ended, and its figure is a lower bound, seconds
    #[arg(long, default_value_t = 600)]
    patience: u64,
    /// Where the peers are installed [default: lockstep/peers in the user's cache folder]
    #[arg(long, env = "LOCKSTEP_PEERS")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

const READERS: usize = 3;
/// Bytes of a body.
const BODY_BYTES: usize = 80;
/// Writes that wait for the device's own store at once: its disk always has work.
const WRITES_MAX: usize = 1_024;
/// A peer that needed longer is not run again.
const SLOW: Duration = Duration::from_secs(60);

/// A program that measures a peer.
struct Peer {
    name: &'static str,
    /// What `install` calls it, if not by its name.
    of: &'static str,
    figure: &'static str,
    driver: &'static str,
    arguments: &'static [&'static str],
    /// How many times faster ours is to be.
    goal: Option<f64>,
}

const fn peer(name: &'static str, figure: &'static str, driver: &'static str, goal: f64) -> Peer {
    Peer { name, of: name, figure, driver, arguments: &[], goal: Some(goal) }
}

const PEERS: [Peer; 8] = [
    peer("automerge-repo", "seconds_automerge_repo", "automerge-repo.mjs", 30.0),
    Peer {
        of: "automerge-repo",
        arguments: &["--undelayed"],
        ..peer("automerge-repo-undelayed", "seconds_automerge_repo_undelayed", "automerge-repo.mjs", 30.0)
    },
    Peer {
        of: "automerge-repo",
        arguments: &["--burst"],
        goal: None,
        ..peer("automerge-repo-burst", "seconds_automerge_repo_burst", "automerge-repo.mjs", 0.0)
    },
    peer("samod", "seconds_samod", "samod/release/lockstep-peer-samod", 3.0),
    peer("hocuspocus", "seconds_hocuspocus", "hocuspocus.mjs", 2.0),
    peer("y-websocket", "seconds_y_websocket", "y-websocket.mjs", 2.0),
    peer("nats", "seconds_nats", "nats.mjs", 1.5),
    peer("prosody", "seconds_prosody", "prosody.mjs", 5.0),
];

/// What a driver prints.
#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    valid: bool,
    /// SHA-256 of all bodies in order, a line each.
    hash: String,
    version: String,
    caveats: Vec<String>,
}

/// How a run of a peer ended.
enum Ending {
    Converged(Answer),
    TooSlow,
}

pub(crate) async fn measure(peers: &Peers) -> anyhow::Result<Report> {
    let rounds = peers.rounds.unwrap_or(if peers.common.quick { 1 } else { 3 });
    let messages = peers.messages.unwrap_or(if peers.common.quick { 2_000 } else { 10_000 });
    let bodies: Vec<String> =
        (0..messages).map(|number| format!("{:x<BODY_BYTES$}", format!("message {number} "))).collect();
    let wanted = |peer: &&Peer| peers.only.is_empty() || peers.only.iter().any(|only| only == peer.name);
    let (mut gathered, mut notes) = (Rounds::default(), Vec::new());
    let folder = install_folder(peers.folder.as_deref())?;
    let mut left: Vec<&Peer> = Vec::new();
    for peer in PEERS.iter().filter(wanted) {
        match skipped(&folder, peer) {
            Some(why) => notes.push(format!("{}: skipped: {why}", peer.name)),
            None => left.push(peer),
        }
    }
    copy_drivers(&folder)?;
    let (mut told, mut screens_follow) = (BTreeSet::new(), true);
    for round in 0..rounds {
        let ours = sdk_round(&bodies, Screens::Closed).await?;
        gathered.against("seconds_relay", ours, tokio::task::block_in_place(|| relay_round(&bodies))?);
        gathered.alone("seconds_without_client_library", protocol_round(&bodies).await?);
        let mut again = Vec::new();
        for peer in left {
            eprintln!("  round {round}: {}", peer.name);
            let (seconds, note) = match tokio::task::block_in_place(|| run(&folder, peer, &bodies, peers.patience)) {
                Ok(Ending::Converged(answer)) => {
                    let note = format!("{}: {}: {}.", peer.name, answer.version, answer.caveats.join("; "));
                    (answer.seconds, note)
                }
                Ok(Ending::TooSlow) => {
                    let limit = peers.patience;
                    (
                        limit as f64,
                        format!("{}: not there after {limit} s: time and ratio are at least this.", peer.name),
                    )
                }
                // Neither beaten nor an error of the others.
                Err(error) => {
                    notes.push(format!("{}: failed in round {round}: {error:#}", peer.name));
                    continue;
                }
            };
            gathered.peer(peer.figure, ours, seconds);
            if told.insert(note.clone()) {
                notes.push(note);
            }
            if seconds <= SLOW.as_secs_f64() {
                again.push(peer);
            } else if round + 1 < rounds {
                notes.push(format!("{}: slower than {} s, so not run again.", peer.name, SLOW.as_secs()));
            }
        }
        left = again;
        // Last, so that devices which did not get there do not keep the core from others.
        if screens_follow {
            match sdk_round(&bodies, Screens::Open).await {
                Ok(seconds) => gathered.alone("seconds_with_open_views", seconds),
                Err(error) => {
                    screens_follow = false;
                    notes.push(format!("with_open_views: failed in round {round}, so not run again: {error:#}"));
                }
            }
        }
    }
    let settings = json!({ "devices": READERS + 1, "writers": 1, "messages": messages, "rounds": rounds,
        "body_bytes": BODY_BYTES });
    let goals = PEERS.iter().filter_map(|peer| Some((peer.figure, Bound::AtLeast(peer.goal?))));
    let goals: Vec<_> = goals.chain([("seconds_relay", Bound::AtMost(1.5))]).collect();
    let report = gathered.report("peers", Some("relay / peer"), settings, &goals).note(
        "Seconds from the first append to equal content (count, order, bytes) on all devices. The ratio to the relay is \
         ours / relay, to a peer peer / ours.",
    );
    let report = report.note(
        "ours: fsync before ack on the hub; each device keeps and syncs everything in a store of its own; TLS. Devices \
         of peers keep nothing on disk, and those with documents hold them open, as ours do in `with_open_views` only. \
         `without_client_library` is the same hub with devices that keep nothing.",
    );
    Ok(notes.into_iter().fold(report, Report::note))
}

/// What the four devices of ours do while they take the messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Screens {
    /// Each shows the conversation, live.
    Open,
    /// They only keep it.
    Closed,
}

/// One round of ours: four devices with stores of their own.
async fn sdk_round(bodies: &[String], screens: Screens) -> anyhow::Result<f64> {
    let mut stage = Stage::new(&[]).await?;
    let conversation = stage.conversation().await?;
    let mut devices = Vec::new();
    for at in 0..=READERS {
        let (home, link) = (stage.folder().join(format!("device{at}")), stage.link(Role::Manager).await?);
        devices.push(Device::enrol(&home, &link, "peer").await?);
    }
    let hub = stage.without_owner().await?;
    let mut views = Vec::new();
    for device in &devices {
        device.synced().await?;
        if screens == Screens::Open {
            views.push(device.open_conversation(conversation).await?);
        }
    }
    let begun = Instant::now();
    let count = bodies.len();
    let tasks: Vec<_> = views
        .into_iter()
        .map(|view| tokio::spawn(async move { tokio::time::timeout(PATIENCE, settled(view, count)).await }))
        .collect();
    let writes = futures_util::stream::iter(bodies).map(|body| devices[0].note(conversation, body));
    let writes = writes.buffered(WRITES_MAX).try_for_each(|_| std::future::ready(Ok(())));
    // A write that tokio made yield would be overtaken by the next ones.
    tokio::task::unconstrained(writes).await?;
    let mut views = Vec::new();
    if screens == Screens::Open {
        for task in tasks {
            views.push(task.await?.context("a message did not arrive")??);
        }
    } else {
        devices[0].synced().await?;
        let newest = devices[0].conversation(conversation).await?.newest;
        for device in &devices {
            let held = tokio::time::timeout(PATIENCE, holds(device, conversation, newest)).await;
            held.context("a message did not arrive")??;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    if screens == Screens::Closed {
        for device in &devices {
            let view = device.open_conversation(conversation).await?;
            while device.has_older(conversation).await? {
                device.show_older(conversation).await?;
            }
            views.push(tokio::time::timeout(PATIENCE, settled(view, count)).await.context("a message is missing")??);
        }
    }
    for view in views {
        let equal = view.messages().iter().map(|message| &message.body).eq(bodies);
        anyhow::ensure!(equal, "a device shows something else than was written");
    }
    for device in devices {
        device.close().await;
    }
    drop(hub);
    Ok(seconds)
}

/// Reads until so many messages are shown and the hub has confirmed each.
async fn settled(mut view: View, count: usize) -> anyhow::Result<View> {
    // From the newest: as long as that one waits, this looks no further.
    view.until(|shown| {
        shown.messages.len() == count && shown.messages.iter().rev().all(|message| message.state == MessageState::Sent)
    })
    .await?;
    Ok(view)
}

/// Waits until a device holds a conversation up to an entry.
async fn holds(device: &Device, conversation: ConversationId, newest: Lsn) -> anyhow::Result<()> {
    let mut list = device.watch_conversations();
    let held = |list: &ConversationList| list.iter().any(|row| row.id == conversation && row.newest >= newest);
    let mut now = list.current();
    while !held(&now) {
        now = list.changed().await.context("the device was closed")?;
    }
    Ok(())
}

/// One round of our hub with devices that speak the protocol and keep nothing; each message is a push of its own.
async fn protocol_round(bodies: &[String]) -> anyhow::Result<f64> {
    let mut stage = Stage::new(&[]).await?;
    let conversation: ConversationId = stage.conversation().await?;
    let mut writer = stage.device().await?;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(stage.device().await?.into_reader());
    }
    let hub = stage.without_owner().await?;
    let begun = Instant::now();
    let count = bodies.len();
    let tasks: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            tokio::spawn(tokio::time::timeout(PATIENCE, async move {
                let mut content = Vec::with_capacity(count);
                while content.len() < count {
                    for fact in facts(&reader.next().await?)? {
                        if let Fact::Message(message) = fact.fact {
                            content.push(message.body);
                        }
                    }
                }
                // Connected until all are there.
                anyhow::Ok((content, reader))
            }))
        })
        .collect();
    let mut reader = writer.reader;
    let acknowledged = tokio::spawn(tokio::time::timeout(PATIENCE, async move {
        let mut acknowledged = 0;
        while acknowledged < count {
            if let HubFrame::Ack { results, .. } = reader.next().await? {
                acknowledged += placed(&results)?;
            }
        }
        anyhow::Ok(reader)
    }));
    let mut thread = writer.author.thread(conversation)?;
    for body in bodies {
        writer.author.notes(&mut thread, vec![body.clone()]).await?;
    }
    let reader = acknowledged.await?.context("an ack did not come")??;
    let mut contents = Vec::new();
    for task in tasks {
        contents.push(task.await?.context("a message did not arrive")??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    anyhow::ensure!(contents.iter().all(|(content, _)| content == bodies), "a device holds something else");
    drop((hub, reader));
    Ok(seconds)
}

/// One round of the floor, with records of the size of a push.
fn relay_round(bodies: &[String]) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let (file, devices) = (folder.path().join("relay"), (READERS + 1).to_string());
    let relay = Server::start(&["relay", "--devices", &devices, "--file", &file.to_string_lossy()])?;
    let mut author = relay.connect()?;
    let record_bytes = BODY_BYTES + 120;
    let header = u32::try_from(record_bytes)?.to_le_bytes();
    let records: Vec<Vec<u8>> = bodies
        .iter()
        .map(|body| [&header[..], body.as_bytes(), &vec![b'x'; record_bytes - body.len()]].concat())
        .collect();
    let mut streams = Vec::new();
    for _ in 0..READERS {
        streams.push(BufReader::new(relay.connect()?));
    }
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let readers: Vec<_> = streams
            .into_iter()
            .map(|mut stream| {
                let records = &records;
                scope.spawn(move || -> anyhow::Result<()> {
                    let mut framed = vec![0; HEADER_BYTES + record_bytes];
                    for record in records {
                        stream.read_exact(&mut framed)?;
                        anyhow::ensure!(framed == *record, "a device got something else");
                    }
                    Ok(())
                })
            })
            .collect();
        for record in &records {
            author.write_all(record)?;
        }
        readers.into_iter().try_for_each(|reader| reader.join().map_err(|_| anyhow::anyhow!("a reader panicked"))?)
    })?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Where the peers are installed, as `benches/peers/install` decides it.
fn install_folder(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(folder) = given {
        return Ok(folder.to_owned());
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).context("HOME is not set")?;
    Ok(cache.join("lockstep/peers"))
}

/// Puts the drivers beside the packages that they import; there are none if nothing is installed.
fn copy_drivers(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/peers"))? {
            let file = file?.path();
            if let (Some("mjs"), Some(name)) =
                (file.extension().and_then(|extension| extension.to_str()), file.file_name())
            {
                std::fs::copy(&file, folder.join(name))?;
            }
        }
    }
    Ok(())
}

/// Why a peer cannot be measured, if it cannot: `install` leaves a file for each that it tried.
fn skipped(folder: &Path, peer: &Peer) -> Option<String> {
    if folder.join("ready").join(peer.of).exists() {
        return None;
    }
    let why = std::fs::read_to_string(folder.join("skipped").join(peer.of));
    Some(why.map_or_else(|_| "not installed, see benches/peers/README.md".to_owned(), |why| why.trim().to_owned()))
}

/// Runs a peer's driver in a new folder.
fn run(folder: &Path, peer: &Peer, bodies: &[String], patience: u64) -> anyhow::Result<Ending> {
    let data = tempfile::tempdir()?;
    // Ends everything that the driver started, too.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &patience.to_string()]);
    if peer.driver.ends_with(".mjs") {
        command.arg("node");
    }
    command.arg(folder.join(peer.driver)).arg(data.path()).arg(bodies.len().to_string()).args(peer.arguments);
    command.env("PEER_SERVER_PREFIX", format!("taskset -c {SERVER_CORE}"));
    let log = std::fs::File::create(data.path().join("driver.log"))?;
    let done = command.stdin(Stdio::null()).stderr(log).output().context("`timeout` (coreutils) and `node`")?;
    // See the manual of `timeout`.
    if matches!(done.status.code(), Some(124 | 137)) {
        return Ok(Ending::TooSlow);
    }
    let said = String::from_utf8_lossy(&done.stdout);
    let last = said.lines().next_back().and_then(|line| serde_json::from_str::<Answer>(line).ok());
    let Some(answer) = last else {
        let log = std::fs::read_to_string(data.path().join("driver.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        anyhow::bail!("{}: {}", done.status, lines[lines.len().saturating_sub(5)..].join(" / "));
    };
    let mut expected = Sha256::new();
    bodies.iter().for_each(|body| expected.update(format!("{body}\n")));
    let expected: String = expected.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    anyhow::ensure!(answer.valid && answer.hash == expected, "its devices ended with different content");
    Ok(Ending::Converged(answer))
}

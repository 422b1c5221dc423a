//! `catchup`: a device that missed many messages, from its start until it holds the same documents as everybody.
//!
//! The floor reads the same entries from a file, sends them over TCP, decodes them and builds the same documents; it
//! has no TLS, no rules, and keeps nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use lockstep_protocol::directory::Role;
use lockstep_protocol::document::{self, ChainFact};
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::frame::HubFrame;
use lockstep_protocol::id::{DocumentId, DocumentKind, Lsn};
use serde_json::json;
use tokio::time::timeout;

use crate::Common;
use crate::corpus::Corpus;
use crate::device::Reader;
use crate::floor::Server;
use crate::floor::relay::HEADER_BYTES;
use crate::report::{Bound, Report, Rounds};
use crate::sdk::{Heads, SdkDevice, segment_name};
use crate::stage::Stage;

#[derive(Args)]
pub(crate) struct Catchup {
    /// Messages missed
    #[arg(long)]
    messages: Option<usize>,
    /// Conversations that they are in
    #[arg(long, default_value_t = 50)]
    conversations: usize,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The hub sends nothing new for so long: everything has come.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) async fn measure(catchup: &Catchup) -> anyhow::Result<Report> {
    let rounds = if catchup.common.quick { 3 } else { catchup.rounds };
    let messages = catchup.messages.unwrap_or(if catchup.common.quick { 20_000 } else { 100_000 });
    let each = messages / catchup.conversations;
    let messages = each * catchup.conversations;
    let mut stage = Stage::new(&[]).await?;
    let mut corpus = Corpus::new(1);
    let mut conversations = Vec::new();
    for _ in 0..catchup.conversations {
        conversations.push(stage.conversation().await?);
    }
    let home = stage.folder().join("device");
    let mut device = SdkDevice::start(&home)?;
    device.enrol(&stage.link(Role::Manager).await?)?;
    device.synced()?;
    device.close()?;

    let (file, reader) = (stage.folder().join("entries"), stage.device().await?.into_reader());
    let gathering = tokio::spawn(timeout(PATIENCE, gather(reader, file.clone(), messages)));
    stage.history(&conversations, each, &mut corpus).await?;
    let newest = gathering.await?.context("the entries did not come")??;
    let expected = stage.expected();
    let floor = Server::start(&["catchup-floor", "--file", &file.to_string_lossy()])?;

    let mut gathered = Rounds::default();
    for round in 0..=rounds {
        // Each round starts from the same folder.
        let copy = stage.folder().join(format!("round-{round}"));
        copy_folder(&home, &copy)?;
        let (synced, built, cpu) = tokio::task::block_in_place(|| our_round(&copy, newest, &expected))?;
        fs::remove_dir_all(&copy)?;
        let floor = tokio::task::block_in_place(|| floor_round(&floor, messages, &expected))?;
        // The first round warms up.
        if round > 0 {
            gathered.against("synced_ms", synced, floor);
            gathered.against("built_ms", built, floor);
            gathered.alone("cpu_us_a_message", cpu / messages as f64);
        }
    }
    let settings = json!({ "messages": messages, "conversations": catchup.conversations, "rounds": rounds });
    let goals = [("synced_ms", Bound::AtMost(1.5))];
    let report = gathered.report("catchup", Some("read, send, decode, build"), settings, &goals);
    Ok(report.note(
        "synced: every entry is checked, derived, digested and durable on the device, whose documents have the heads \
         that the hub knows. A device builds a document when it shows it; built: after that every document is exported \
         too, from the store.",
    ))
}

/// Writes the entries with messages that come to a file, each after its length; answers the newest.
async fn gather(mut reader: Reader, file: std::path::PathBuf, messages: usize) -> anyhow::Result<Lsn> {
    let (mut bytes, mut count, mut newest) = (Vec::new(), 0, Lsn::ZERO);
    while count < messages {
        let HubFrame::Entries(entries) = reader.next().await? else { continue };
        for entry in entries.entries {
            if let Some(Entry { stamp, body: EntryBody::Fact(_) }) = Entry::from_bytes(&entry.0) {
                bytes.extend_from_slice(&u32::try_from(entry.0.len())?.to_le_bytes());
                bytes.extend_from_slice(&entry.0);
                (count, newest) = (count + 1, stamp.lsn);
            }
        }
    }
    fs::write(file, bytes)?;
    Ok(newest)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

/// Milliseconds until the device holds everything, and until all its documents are built; CPU time until the former,
/// microseconds.
fn our_round(home: &Path, newest: Lsn, expected: &Heads) -> anyhow::Result<(f64, f64, f64)> {
    let mut device = SdkDevice::start(home)?;
    let before = device.usage()?.cpu_ns;
    device.open()?;
    let synced = device.reached(newest)?;
    let cpu = (device.usage()?.cpu_ns - before) as f64 / 1000.0;
    let begin = Instant::now();
    let heads = device.heads()?;
    let built = synced + begin.elapsed().as_secs_f64() * 1000.0;
    ensure!(heads == *expected, "the device holds something else than was written");
    device.close()?;
    Ok((synced, built, cpu))
}

/// Milliseconds of the floor.
fn floor_round(floor: &Server, messages: usize, expected: &Heads) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let mut stream = BufReader::with_capacity(64 * 1024, floor.connect()?);
    let mut documents: BTreeMap<DocumentId, Vec<ChainFact>> = BTreeMap::new();
    let mut built = BTreeMap::new();
    let mut entry = Vec::new();
    for _ in 0..messages {
        let mut header = [0; HEADER_BYTES];
        stream.read_exact(&mut header)?;
        entry.resize(u32::from_le_bytes(header) as usize, 0);
        stream.read_exact(&mut entry)?;
        let Some(Entry { body: EntryBody::Fact(placed), .. }) = Entry::from_bytes(&entry) else {
            anyhow::bail!("an entry without a fact");
        };
        documents.entry(placed.document).or_default().push(ChainFact {
            actor: placed.actor,
            seq: placed.seq,
            fact: placed.fact,
        });
    }
    // One batch a document: a segment ends before it has 512 messages.
    for (document, facts) in documents {
        built.insert(document, document::build(DocumentKind::Segment, facts)?);
    }
    let took = begin.elapsed().as_secs_f64() * 1000.0;
    let heads = built.iter().map(|(document, built)| {
        let heads = built.automerge_heads().iter().map(ToString::to_string).collect();
        (segment_name(document.conversation, document.number), heads)
    });
    ensure!(heads.collect::<Heads>() == *expected, "the floor built something else");
    Ok(took)
}

//! `size`: bytes on disk a message once everything is compacted, against the same messages as JSON lines under zstd, and
//! bytes on the wire of a live message.

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Args;
use lockstep_core::query::{Answer, Query};
use lockstep_e2e::raw;
use lockstep_protocol::id::{ConversationId, DocumentId, MessageId};
use lockstep_protocol::limits;
use lockstep_server::keychain::SealConfig;
use lockstep_server::store::keys::Family;
use lockstep_server::store::{Store, StoreConfig};
use serde_json::json;

use crate::corpus::Corpus;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use crate::{Common, PATIENCE};

#[derive(Args)]
pub(crate) struct Size {
    /// Conversations
    #[arg(long, default_value_t = 50)]
    conversations: usize,
    /// Messages of each
    #[arg(long, default_value_t = 4_000)]
    messages: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

const SEED: u64 = 1;
/// A live message whose bytes on the wire are counted.
const WIRE_BODY_BYTES: usize = 200;
/// What TLS 1.3 adds to a record (RFC 8446 section 5.2), and the header of a WebSocket frame of 126 bytes or more.
const RECORD_BYTES: u64 = 5 + 1 + 16;
const FRAME_HEADER_BYTES: u64 = 4;

pub(crate) async fn measure(size: &Size) -> anyhow::Result<Report> {
    let (count, messages) = if size.common.quick { (10, 1_200) } else { (size.conversations, size.messages) };
    let mut stage = Stage::new(&[]).await?;
    let mut conversations = Vec::new();
    for _ in 0..count {
        conversations.push(stage.conversation().await?);
    }
    let live = stage.conversation().await?;
    stage.history(&conversations, messages, &mut Corpus::new(SEED)).await?;
    settled(&stage).await?;
    let wire_bytes = wire_bytes(&mut stage, live).await?;
    let folder = stage.hub.folder().to_owned();
    let kept = tokio::task::block_in_place(|| stage.stop());
    let store = Store::open(&folder, &StoreConfig::default(), &SealConfig::default())?;
    let segments = messages / limits::SEGMENT_OPEN_MESSAGES as usize;
    for conversation in &conversations {
        for number in 0..u32::try_from(segments)? {
            let query = Query::Document(DocumentId::segment(*conversation, number));
            let Answer::Document(Some(state)) = store.reader().answer(&query)? else {
                anyhow::bail!("no such segment")
            };
            anyhow::ensure!(state.row.covered == state.row.newest, "a closed segment is not compacted");
        }
    }
    store.settle()?;
    let total = (count * messages) as f64;
    let bytes =
        |families: &[Family]| families.iter().map(|family| store.family_bytes(*family)).sum::<u64>() as f64 / total;
    let jsonl = json_lines(count, messages)? as f64 / total;
    let documents = [Family::Snapshots, Family::Documents, Family::Chains, Family::Conversations];
    let mut gathered = Rounds::default();
    gathered.against("documents_bytes", bytes(&documents), jsonl);
    gathered.against("with_index_bytes", bytes(&documents) + bytes(&[Family::Keys]), jsonl);
    gathered.alone("snapshot_bytes", bytes(&[Family::Snapshots]));
    gathered.alone("index_bytes", bytes(&[Family::Keys]));
    gathered.alone("retained_entries_bytes", bytes(&[Family::Log, Family::Tails]));
    gathered.alone("wire_bytes", wire_bytes as f64);
    drop(store);
    drop(kept);
    let settings = json!({ "conversations": count, "messages": messages, "wire_body_bytes": WIRE_BODY_BYTES });
    let goals = [
        ("documents_bytes", Bound::AtMost(1.3)),
        ("with_index_bytes", Bound::AtMost(1.8)),
        ("wire_bytes", Bound::AtMost(300.0)),
    ];
    let report = gathered.report("size", Some("JSONL + zstd-3"), settings, &goals);
    Ok(report.note("Bytes a message, after every closed segment was compacted and the store merged. Wire bytes: WebSocket frame and TLS record included."))
}

/// Waits until the hub has made no snapshot for a while; what it must have made is checked in the store afterwards.
async fn settled(stage: &Stage) -> anyhow::Result<()> {
    const QUIET: Duration = Duration::from_secs(3);
    let (mut seen, mut since) = (-1.0, Instant::now());
    let end = Instant::now() + PATIENCE;
    while since.elapsed() < QUIET {
        anyhow::ensure!(Instant::now() < end, "the hub does not come to rest");
        let made = raw::metrics(&stage.hub.address()).await["lockstep_documents_compacted_total"];
        if made != seen {
            (seen, since) = (made, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}

/// Bytes that one other device receives for a live message.
async fn wire_bytes(stage: &mut Stage, conversation: ConversationId) -> anyhow::Result<u64> {
    let mut reader = stage.device().await?.into_reader();
    let mut thread = stage.owner.author.thread(conversation)?;
    let mut bytes = 0;
    // The first one opens the chain; the later ones are what every message costs.
    for _ in 0..3 {
        let before = reader.bytes;
        stage.owner.author.notes(&mut thread, vec!["x".repeat(WIRE_BODY_BYTES)]).await?;
        stage.owner.reader.acknowledged().await?;
        while crate::device::facts(&reader.next().await?)?.is_empty() {}
        bytes = reader.bytes - before + RECORD_BYTES + FRAME_HEADER_BYTES;
    }
    Ok(bytes)
}

/// Bytes of the same messages as JSON lines in one zstd stream of level 3.
fn json_lines(conversations: usize, messages: usize) -> anyhow::Result<usize> {
    let mut corpus = Corpus::new(SEED);
    let mut encoder = zstd::Encoder::new(Vec::new(), 3)?;
    let mut random = fastrand::Rng::with_seed(SEED);
    for conversation in 0..conversations {
        for message in 0..messages {
            // The load's own ids hold a counter; an app's hold ten random bytes.
            let id = MessageId::from_parts(1_790_000_000_000 + message as u64, random.u128(..) >> 48);
            let line = json!({ "id": id.to_string(), "conversation": conversation, "by": 1, "dir": "note",
                "kind": "text", "body": corpus.body() });
            writeln!(encoder, "{line}")?;
        }
    }
    Ok(encoder.finish()?.len())
}

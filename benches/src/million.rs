//! `device`: a device that holds a long history of many conversations.

use std::path::Path;

use anyhow::ensure;
use clap::Args;
use lockstep_protocol::directory::Role;
use lockstep_protocol::link::Link;
use serde_json::json;

use crate::Common;
use crate::corpus::Corpus;
use crate::live_device::Live;
use crate::load::Load;
use crate::report::{Bound, Report, Rounds};
use crate::sdk::{Heads, SdkDevice, Usage};
use crate::stage::Stage;

#[derive(Args)]
pub(crate) struct Million {
    /// Messages of history
    #[arg(long)]
    messages: Option<usize>,
    /// Conversations that hold them
    #[arg(long)]
    conversations: Option<usize>,
    /// Conversations that are opened, one after another
    #[arg(long, default_value_t = 30)]
    opened: usize,
    /// Live messages
    #[arg(long, default_value_t = 500)]
    live: usize,
    /// Live messages a second
    #[arg(long, default_value_t = 100)]
    rate: u32,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) async fn measure(million: &Million) -> anyhow::Result<Report> {
    let messages = million.messages.unwrap_or(if million.common.quick { 100_000 } else { 1_000_000 });
    let count = million.conversations.unwrap_or(messages / 2_000).max(million.opened + 1);
    let each = messages / count;
    let mut stage = Stage::new(&[]).await?;
    let mut corpus = Corpus::new(1);
    let mut conversations = Vec::new();
    for _ in 0..=count {
        conversations.push(stage.conversation().await?);
    }
    let talk = conversations.pop().expect("one more than was counted");
    stage.history(&conversations, each, &mut corpus).await?;
    let mut live = Live::begin(&stage, talk)?;
    live.write(&mut stage, 50).await?;
    let home = stage.folder().join("device");
    let mut gathered = Rounds::default();
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);

    // The process that fetches the history is not the one that is measured.
    let link = stage.link(Role::Manager).await?;
    let expected: Heads = stage.expected().into_iter().chain(live.expected()).collect();
    let folder = home.clone();
    let (synced_ms, usage) = stage.meanwhile(move || fetch(&folder, &link, &expected)).await?;
    gathered.alone("sync_messages_per_s", messages as f64 / synced_ms * 1000.0);
    gathered.alone("sync_cpu_us_a_message", usage.cpu_ns as f64 / 1000.0 / messages as f64);
    gathered.alone("sync_peak_mib", mib(usage.peak_bytes));

    let mut device = SdkDevice::start(&home)?;
    gathered.alone("start_ms", device.open()?);
    gathered.alone("start_synced_ms", device.synced()?);
    let mut resident = device.usage()?.resident_bytes;
    gathered.alone("idle_mib", mib(resident));
    for number in 0..million.opened {
        let (took, shown) = device.view(conversations[(number * 17) % conversations.len()])?;
        ensure!(shown > 0, "a conversation opened without messages");
        gathered.alone("open_ms", took);
        device.unview()?;
        resident = resident.max(device.usage()?.resident_bytes);
    }
    device.view(talk)?;
    let load = Load { messages: million.live, rate: million.rate };
    let round = live.round(&mut stage, &mut device, load).await?;
    gathered.alone("apply_cpu_ms", round.cpu_ms);
    gathered.alone("live_p50_ms", round.p50_ms);
    gathered.alone("live_p99_ms", round.p99_ms);
    let usage = device.usage()?;
    gathered.alone("resident_mib", mib(resident.max(usage.resident_bytes)));
    gathered.alone("peak_mib", mib(usage.peak_bytes));

    let settings = json!({ "messages": each * count, "conversations": count, "opened": million.opened,
        "live": million.live, "rate": million.rate });
    let goals =
        [("open_ms", Bound::AtMost(50.0)), ("resident_mib", Bound::AtMost(64.0)), ("apply_cpu_ms", Bound::AtMost(1.0))];
    let report = gathered.report("device", None, settings, &goals);
    Ok(report.note(
        "apply_cpu_ms is all CPU time of the process a live message: TLS, decoding, rules, view, Automerge, and the \
         store's transaction with its sync. live_ms runs from when a message was to leave its author to the view's event.",
    ))
}

/// A new device fetches everything: milliseconds until then, and what its process took. What it holds is looked at by
/// another process.
fn fetch(home: &Path, link: &Link, expected: &Heads) -> anyhow::Result<(f64, Usage)> {
    let mut device = SdkDevice::start(home)?;
    device.enrol(link)?;
    let synced_ms = device.synced()?;
    let usage = device.usage()?;
    device.close()?;
    let mut device = SdkDevice::start(home)?;
    device.open()?;
    ensure!(device.heads()? == *expected, "the device holds something else than was written");
    device.close()?;
    Ok((synced_ms, usage))
}

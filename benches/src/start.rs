//! `start`: from exec to the first device in sync, on a store of a million messages and on an empty one.

use std::process::Command;
use std::time::Instant;

use clap::Args;
use lockstep_e2e::{Hub, program};
use serde_json::json;

use crate::Common;
use crate::corpus::Corpus;
use crate::device::Device;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;

#[derive(Args)]
pub(crate) struct Start {
    /// Messages in the store
    #[arg(long, default_value_t = 1_000_000)]
    messages: usize,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Messages of a conversation.
const CONVERSATION: usize = 2_000;

pub(crate) async fn measure(start: &Start) -> anyhow::Result<Report> {
    let (messages, rounds) = if start.common.quick { (20_000, 3) } else { (start.messages, start.rounds) };
    let (mut full, mut empty) = (Stage::new(&[]).await?, Stage::new(&[]).await?);
    let mut conversations = Vec::new();
    for _ in 0..messages / CONVERSATION {
        conversations.push(full.conversation().await?);
    }
    full.history(&conversations, CONVERSATION, &mut Corpus::new(1)).await?;
    // A device that has missed one message: it is in sync when it has that.
    let mut sides = Vec::new();
    for stage in [&mut full, &mut empty] {
        let mut device = stage.device().await?;
        device.author.close().await?;
        let missed = stage.conversation().await?;
        stage.history(&[missed], 1, &mut Corpus::new(2)).await?;
        sides.push((device.identity, stage.hub.folder().to_owned(), stage.hub.address()));
    }
    let _folders = tokio::task::block_in_place(|| [full, empty].map(Stage::stop));
    let mut gathered = Rounds::default();
    for round in 0..=rounds {
        let mut figures = Vec::new();
        for (identity, folder, address) in &sides {
            let begin = Instant::now();
            let hub = tokio::task::block_in_place(|| {
                Hub::start_through_at(Command::new(program("lockstep")), folder, address, &[])
            });
            let hub = hub.map_err(|stopped| anyhow::anyhow!("the hub does not start: {}", stopped.log))?;
            Device::sync(address, identity).await?;
            figures.push(begin.elapsed().as_secs_f64() * 1000.0);
            drop(tokio::task::block_in_place(|| hub.stop()));
        }
        if round > 0 {
            gathered.against("first_sync_ms", figures[0], figures[1]);
        }
    }
    let settings = json!({ "messages": messages, "rounds": rounds });
    let report = gathered.report("start", Some("empty store"), settings, &[("first_sync_ms", Bound::AtMost(2.0))]);
    Ok(report.own_goal("first_sync_ms", Bound::AtMost(150.0)))
}

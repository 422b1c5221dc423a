//! `bootstrap`: a new device behind a slow line, from its first packet until the newest chats can be read.
//!
//! TCP, TLS, WebSocket, enrolment, catalogue and the first documents are all in it. Held against the same with little
//! history: in both the newest chats end in the same way, behind them lies more or less.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use lockstep_protocol::directory::Role;
use lockstep_protocol::limits::SEGMENT_OPEN_MESSAGES;
use lockstep_protocol::link::Link;
use serde_json::json;

use crate::Common;
use crate::corpus::Corpus;
use crate::proxy::{Line, Proxy};
use crate::report::{Bound, Report, Rounds};
use crate::sdk::{Readable, SdkDevice};
use crate::stage::Stage;

#[derive(Args)]
pub(crate) struct Bootstrap {
    /// Messages of history
    #[arg(long)]
    messages: Option<usize>,
    /// Messages of the history that it is held against
    #[arg(long, default_value_t = 10_000)]
    little: usize,
    /// Round trip, milliseconds
    #[arg(long, default_value_t = 40)]
    round_trip: u64,
    /// Line, Mbit/s
    #[arg(long, default_value_t = 100.0)]
    line: f64,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Chats that must be readable.
const CHATS: usize = 20;
/// Newest messages of each.
const NEWEST: usize = 50;
/// Messages of a usual chat.
const CHAT_MESSAGES: usize = 2_000;

pub(crate) async fn measure(bootstrap: &Bootstrap) -> anyhow::Result<Report> {
    let quick = bootstrap.common.quick;
    let messages = bootstrap.messages.unwrap_or(if quick { 100_000 } else { 1_000_000 });
    let rounds = if quick { 3 } else { bootstrap.rounds };
    let delay = Duration::from_millis(bootstrap.round_trip) / 2;
    let line = Line { delay, bits_per_second: bootstrap.line * 1e6 };
    let mut much = Side::new(messages, line).await?;
    let mut little = Side::new(bootstrap.little, line).await?;
    let mut gathered = Rounds::default();
    for round in 0..=rounds {
        let [ours, floor] = [much.round(round, false).await?, little.round(round, false).await?];
        // The first round warms up.
        if round > 0 {
            gathered.against("readable_ms", ours.all, floor.all);
            gathered.alone("enrolled_ms", ours.enrolled);
            gathered.alone("listed_ms", ours.listed);
            gathered.alone("first_chat_ms", ours.first);
        }
    }
    // The shorter one first: no owner is silent for long before it is needed.
    little.round(rounds + 1, true).await?;
    much.round(rounds + 1, true).await?;
    let settings = json!({ "messages": messages, "little": bootstrap.little, "chats": CHATS, "newest": NEWEST,
        "round_trip_ms": bootstrap.round_trip, "line_mbit_s": bootstrap.line, "rounds": rounds });
    let report = gathered.report("bootstrap", Some("little history"), settings, &[("readable_ms", Bound::AtMost(1.1))]);
    let report = report.own_goal("readable_ms", Bound::AtMost(500.0));
    Ok(report.note("The line loses nothing and knows no slow start. Time runs from the call that enrols a new device."))
}

struct Side {
    stage: Stage,
    proxy: Proxy,
}

impl Side {
    async fn new(messages: usize, line: Line) -> anyhow::Result<Self> {
        let mut stage = Stage::new(&[]).await?;
        let mut corpus = Corpus::new(1);
        let mut left = messages;
        let chats = (messages / CHAT_MESSAGES).max(CHATS);
        for number in 0..chats {
            let conversation = stage.conversation().await?;
            // The newest ones come last, and their open segments are filled as it happens: evenly.
            let from_last = chats - 1 - number;
            let fill = if from_last < CHATS { 10 + from_last * 19 } else { 200 };
            let whole = (left / (from_last + 1)).saturating_sub(fill) / SEGMENT_OPEN_MESSAGES as usize;
            let count = (whole * SEGMENT_OPEN_MESSAGES as usize + fill).max(NEWEST);
            stage.history(&[conversation], count, &mut corpus).await?;
            left = left.saturating_sub(count);
        }
        let proxy = Proxy::start(&stage.hub.address(), line).await?;
        Ok(Self { stage, proxy })
    }

    /// When a new device can read the newest chats. If `whole`, it goes on until it holds everything, which must be
    /// what was written.
    async fn round(&mut self, round: usize, whole: bool) -> anyhow::Result<Readable> {
        let link = self.stage.link(Role::Manager).await?;
        let link = Link { port: self.proxy.port, ..link };
        let home = self.stage.folder().join(format!("device-{round}"));
        let expected = whole.then(|| self.stage.expected());
        // The proxy goes on meanwhile.
        let waiting = move || {
            let mut device = SdkDevice::start_anywhere(&home)?;
            device.enrol(&link)?;
            let readable = device.readable(CHATS, NEWEST)?;
            if let Some(expected) = expected {
                device.synced()?;
                ensure!(device.heads()? == expected, "the device holds something else than was written");
            }
            Ok(readable)
        };
        self.stage.meanwhile(waiting).await
    }
}

//! `depth`: what an append costs in a conversation of 100,000 messages, against one of 1,000, in the same hub.

use clap::Args;
use serde_json::json;

use crate::Common;
use crate::corpus::Corpus;
use crate::live::Room;
use crate::load::Load;
use crate::machine;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;

#[derive(Args)]
pub(crate) struct Depth {
    /// Messages in the long conversation
    #[arg(long, default_value_t = 100_000)]
    long: usize,
    /// Messages in the short one
    #[arg(long, default_value_t = 1_000)]
    short: usize,
    /// Messages a round
    #[arg(long, default_value_t = 1_500)]
    messages: usize,
    /// Messages a second
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) async fn measure(depth: &Depth) -> anyhow::Result<Report> {
    let quick = depth.common.quick;
    let (rounds, long) = if quick { (3, 20_000) } else { (depth.rounds, depth.long) };
    let load = Load { messages: if quick { 500 } else { depth.messages }, rate: depth.rate };
    let mut stage = Stage::new(&[]).await?;
    let mut corpus = Corpus::new(1);
    let (short, other) = (stage.conversation().await?, stage.conversation().await?);
    let (mut short_threads, _) = stage.history(&[short], depth.short, &mut corpus).await?;
    let (mut long_threads, _) = stage.history(&[other], long, &mut corpus).await?;
    let reader = stage.device().await?.into_reader();
    let Stage { hub, owner, .. } = stage;
    let mut room = Room { authors: vec![owner], readers: vec![reader] };
    let mut gathered = Rounds::default();
    for round in 0..=rounds {
        let mut figures = Vec::new();
        for threads in [&mut short_threads, &mut long_threads] {
            let before = machine::cpu_time(hub.process_id())?;
            let (begin, arrived) = room.round(threads, load).await?;
            let cpu = machine::cpu_time(hub.process_id())? - before;
            let (_, p99_ms) = load.percentiles(begin, &arrived);
            figures.push((cpu.as_secs_f64() * 1e6 / load.messages as f64, p99_ms));
        }
        let [(short_us, short_ms), (long_us, long_ms)] = figures[..] else { unreachable!("two conversations") };
        if round > 0 {
            gathered.against("cpu_us_an_append", long_us, short_us);
            gathered.against("p99_ms", long_ms, short_ms);
        }
    }
    let settings = json!({ "long": long, "short": depth.short, "messages": load.messages, "rate": load.rate,
        "rounds": rounds });
    let goals = [("cpu_us_an_append", Bound::AtMost(1.2)), ("p99_ms", Bound::AtMost(1.2))];
    Ok(gathered.report("depth", Some("short conversation"), settings, &goals))
}

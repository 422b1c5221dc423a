//! `sealing`: CPU time a durable message costs a hub that seals everything, against one that seals what is sensitive only.
//!
//! The threads that judge, seal, write and answer count; the compaction does not: it is not waited for, and how much of it
//! falls into a round is chance.

use clap::Args;
use serde_json::json;

use crate::Common;
use crate::commit::{cast, saturate};
use crate::machine;
use crate::report::{Bound, Report, Rounds};

#[derive(Args)]
pub(crate) struct Sealing {
    /// Devices that write, each into a conversation of its own
    #[arg(long, default_value_t = 8)]
    devices: usize,
    /// Messages a device and round, one a push
    #[arg(long, default_value_t = 3_000)]
    messages: usize,
    /// Pushes of a device that may wait for their Ack
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Threads of the hub that a message does not wait for begin so.
const BESIDE: &[&str] = &["compact", "rocksdb"];

pub(crate) async fn measure(sealing: &Sealing) -> anyhow::Result<Report> {
    let rounds = if sealing.common.quick { 3 } else { sealing.rounds };
    let messages = if sealing.common.quick { 500 } else { sealing.messages };
    let mut sides = Vec::new();
    for mode in ["all", "sensitive"] {
        let setting = format!("seal.mode={mode}");
        let (stage, devices, conversations) = cast(&[&setting], sealing.devices, rounds + 1).await?;
        sides.push((stage, devices, conversations.into_iter()));
    }
    let mut gathered = Rounds::default();
    for round in 0..=rounds {
        let mut cpu_us = Vec::new();
        for (stage, devices, conversations) in &mut sides {
            let Some(own) = conversations.next() else { anyhow::bail!("no conversations for round {round}") };
            let before = machine::cpu_time_but(stage.process_id(), BESIDE)?;
            *devices = saturate(std::mem::take(devices), own, messages, sealing.in_flight).await?;
            let spent = machine::cpu_time_but(stage.process_id(), BESIDE)? - before;
            cpu_us.push(spent.as_secs_f64() * 1e6 / (messages * sealing.devices) as f64);
        }
        if round > 0 {
            gathered.against("cpu_us_a_message", cpu_us[0], cpu_us[1]);
        }
    }
    let settings = json!({ "devices": sealing.devices, "messages": messages, "in_flight": sealing.in_flight,
        "rounds": rounds });
    let goals = [("cpu_us_a_message", Bound::AtMost(1.3))];
    Ok(gathered.report("sealing", Some("seal.mode = \"sensitive\""), settings, &goals))
}

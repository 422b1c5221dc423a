//! `depth-device`: what a live message costs a device, with a long history in its conversation and with a short one.

use anyhow::ensure;
use clap::Args;
use lockstep_protocol::directory::Role;
use lockstep_protocol::limits::SEGMENT_OPEN_MESSAGES;
use serde_json::json;

use crate::Common;
use crate::live_device::Live;
use crate::load::Load;
use crate::report::{Bound, Report, Rounds};
use crate::sdk::SdkDevice;
use crate::stage::Stage;

#[derive(Args)]
pub(crate) struct DepthDevice {
    /// Messages of the long history, about
    #[arg(long, default_value_t = 100_000)]
    messages: u32,
    /// Messages of the short one
    #[arg(long, default_value_t = 1_000)]
    short: u32,
    /// Live messages a round
    #[arg(long, default_value_t = 500)]
    live: usize,
    /// Live messages a second
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Interleaved rounds of each
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) async fn measure(depth: &DepthDevice) -> anyhow::Result<Report> {
    let rounds = if depth.common.quick { 3 } else { depth.rounds };
    let load = Load { messages: if depth.common.quick { 300 } else { depth.live }, rate: depth.rate };
    // Both open segments are filled alike: what a message costs depends on that.
    let short = depth.short;
    let long = depth.messages - depth.messages % SEGMENT_OPEN_MESSAGES + short % SEGMENT_OPEN_MESSAGES;
    let (mut deep, mut shallow) = (Side::new(long).await?, Side::new(short).await?);
    let mut gathered = Rounds::default();
    for round in 0..=rounds {
        let ours = deep.live.round(&mut deep.stage, &mut deep.device, load).await?;
        let floor = shallow.live.round(&mut shallow.stage, &mut shallow.device, load).await?;
        // The first round warms up.
        if round > 0 {
            gathered.against("cpu_ms", ours.cpu_ms, floor.cpu_ms);
            gathered.against("p50_ms", ours.p50_ms, floor.p50_ms);
            gathered.against("p99_ms", ours.p99_ms, floor.p99_ms);
        }
    }
    for side in [&mut deep, &mut shallow] {
        side.device.unview()?;
        let expected = side.live.expected();
        ensure!(side.device.heads()? == expected, "a device holds something else than was written");
    }
    let settings = json!({ "messages": long, "short": short, "live": load.messages, "rate": depth.rate,
        "rounds": rounds });
    let goals = [("cpu_ms", Bound::AtMost(1.2)), ("p99_ms", Bound::AtMost(1.2))];
    Ok(gathered.report("depth-device", Some("short history"), settings, &goals))
}

struct Side {
    stage: Stage,
    live: Live,
    device: SdkDevice,
}

impl Side {
    async fn new(messages: u32) -> anyhow::Result<Self> {
        let mut stage = Stage::new(&[]).await?;
        let talk = stage.conversation().await?;
        let mut live = Live::begin(&stage, talk)?;
        live.write(&mut stage, messages as usize).await?;
        let mut device = SdkDevice::start(&stage.folder().join("device"))?;
        device.enrol(&stage.link(Role::Manager).await?)?;
        device.synced()?;
        device.view(talk)?;
        Ok(Self { stage, live, device })
    }
}

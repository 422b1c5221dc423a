//! `idle`: memory and CPU time of a device that is connected and says nothing.

use std::time::{Duration, Instant};

use clap::Args;
use lockstep_protocol::directory::Role;
use serde_json::json;

use crate::Common;
use crate::device::Device;
use crate::machine;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;

#[derive(Args)]
pub(crate) struct Idle {
    /// Connected devices; every process may have 20,000 open files here
    #[arg(long, default_value_t = 15_000)]
    sockets: usize,
    /// How long they say nothing, seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

pub(crate) async fn measure(idle: &Idle) -> anyhow::Result<Report> {
    let (sockets, seconds) = if idle.common.quick { (1_000, 5) } else { (idle.sockets, idle.seconds) };
    let connections = format!("listen.connections_max={}", sockets + 16);
    let mut stage = Stage::new(&[&connections]).await?;
    let hub = stage.hub.process_id();
    // Those before are what the first connections cost once: buffers, code, directory.
    let mut devices = Vec::new();
    for _ in 0..WARM {
        devices.push(Device::enrol(&stage.link(Role::Agent).await?).await?);
    }
    let before = machine::resident_bytes(hub)?;
    let begin = Instant::now();
    while devices.len() < sockets {
        devices.push(Device::enrol(&stage.link(Role::Agent).await?).await?);
        // A device that says nothing for 90 s is closed: at so many, the first ones need to say something meanwhile.
        if devices.len().is_multiple_of(1_000) && begin.elapsed() > Duration::from_secs(20) {
            alive(&mut devices).await?;
        }
    }
    let bytes = machine::resident_bytes(hub)?.saturating_sub(before) as f64 / (sockets - WARM) as f64;
    alive(&mut devices).await?;
    let (from, cpu) = (Instant::now(), machine::cpu_time(hub)?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = (machine::cpu_time(hub)? - cpu).as_secs_f64() / from.elapsed().as_secs_f64();
    alive(&mut devices).await?;
    let mut gathered = Rounds::default();
    gathered.alone("tls_bytes_a_device", bytes);
    gathered.alone("cpu_us_a_second_and_device", used * 1e6 / sockets as f64);
    let settings = json!({ "sockets": sockets, "seconds": seconds });
    let goals =
        [("tls_bytes_a_device", Bound::AtMost(20.0 * 1024.0)), ("cpu_us_a_second_and_device", Bound::AtMost(3.0))];
    Ok(gathered.report("idle", None, settings, &goals))
}

/// Every device hears from the hub.
async fn alive(devices: &mut [Device]) -> anyhow::Result<()> {
    for device in devices.iter_mut() {
        device.author.ping().await?;
    }
    for device in devices {
        device.reader.pong().await?;
    }
    Ok(())
}

/// Devices that are there before memory is looked at.
const WARM: usize = 200;

//! `idle`: memory and CPU time of a device that is connected and says nothing.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use clap::Args;
use lockstep_e2e::{Hub, program};
use lockstep_protocol::directory::Role;
use lockstep_protocol::limits;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior};

use crate::Common;
use crate::device::{Device, Identity, Way};
use crate::machine::{self, SERVER_CORE};
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
    let mut stage = Stage::new(&[]).await?;
    // Enrolled one by one and gone again: each one's arrival is told to everybody who is there.
    let mut identities = Vec::new();
    let mut pace = pace();
    while identities.len() < sockets {
        let mut device = Device::enrol(&stage.link(Role::Agent).await?).await?;
        device.author.close().await?;
        identities.push(device.identity);
        pace.tick().await;
    }
    let (folder, tls) = (stage.hub.folder().to_owned(), stage.hub.address());
    let _kept = tokio::task::block_in_place(|| stage.stop());
    let mut gathered = Rounds::default();
    for (way, bytes, cpu) in [
        (Way::Tls, "tls_bytes_a_device", "cpu_us_a_second_and_device"),
        (Way::Plain, "plain_bytes_a_device", "plain_cpu_us_a_second_and_device"),
    ] {
        let plain = free_address()?;
        let settings = [format!("listen.connections_max={}", sockets + 16), format!("listen.plain={plain}")];
        let hub = tokio::task::block_in_place(|| {
            let command = machine::on_core(&program("lockstep"), SERVER_CORE)?;
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            Hub::start_through_at(command, &folder, &tls, &settings)
                .map_err(|stopped| anyhow::anyhow!("the hub does not start: {}", stopped.log))
        })?;
        let address = if way == Way::Tls { &tls } else { &plain };
        let figures = one_way(hub.process_id(), address, way, &identities, seconds).await?;
        gathered.alone(bytes, figures.0);
        gathered.alone(cpu, figures.1);
        drop(tokio::task::block_in_place(|| hub.stop()));
    }
    let settings = json!({ "sockets": sockets, "seconds": seconds });
    let goals = [
        ("tls_bytes_a_device", Bound::AtMost(20.0 * 1024.0)),
        ("plain_bytes_a_device", Bound::AtMost(6.0 * 1024.0)),
        ("cpu_us_a_second_and_device", Bound::AtMost(3.0)),
        ("plain_cpu_us_a_second_and_device", Bound::AtMost(3.0)),
    ];
    Ok(gathered.report("idle", None, settings, &goals).note(
        "Growth of the hub's resident memory a device, after the first 200. Plain is the port for a proxy on the hub's \
         machine, which speaks TLS in its place.",
    ))
}

/// All devices connect, are silent, and are still there: bytes a device, microseconds of CPU a second and device.
async fn one_way(
    hub: u32,
    address: &str,
    way: Way,
    identities: &[Identity],
    seconds: u64,
) -> anyhow::Result<(f64, f64)> {
    let mut devices = Vec::new();
    let mut before = 0;
    let (begin, mut pace) = (Instant::now(), pace());
    for identity in identities {
        // Those before are what the first connections cost once: buffers, code, directory.
        if devices.len() == WARM {
            before = machine::resident_bytes(hub)?;
        }
        devices.push(Device::open(address, way, identity).await?);
        // A device that says nothing for 90 s is closed: at so many, the first ones need to say something meanwhile.
        if devices.len().is_multiple_of(1_000) && begin.elapsed() > Duration::from_secs(20) {
            alive(&mut devices).await?;
        }
        pace.tick().await;
    }
    let bytes = machine::resident_bytes(hub)?.saturating_sub(before) as f64 / (devices.len() - WARM) as f64;
    alive(&mut devices).await?;
    let (from, cpu) = (Instant::now(), machine::cpu_time(hub)?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = (machine::cpu_time(hub)? - cpu).as_secs_f64() / from.elapsed().as_secs_f64();
    alive(&mut devices).await?;
    Ok((bytes, used * 1e6 / devices.len() as f64))
}

/// As often as the hub lets somebody in.
fn pace() -> Interval {
    let mut pace = tokio::time::interval(HELLO_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
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

/// The hub lets in [`limits::HELLOS_PER_SECOND_MAX`] a second.
const HELLO_EVERY: Duration = Duration::from_micros(1_200_000 / limits::HELLOS_PER_SECOND_MAX as u64);

/// Devices that are there before memory is looked at.
const WARM: usize = 200;

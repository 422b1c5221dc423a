//! `permission`: a member is assigned to a conversation and taken off again; from the owner's socket write until the last
//! of all open devices has it: a grant or a revocation for the member's own devices, the entry for those who see
//! everything. Durable in between. The floor is `relay`, with as many devices.

use std::time::Instant;

use anyhow::Context;
use clap::Args;
use futures_util::future::{join_all, try_join3};
use lockstep_protocol::directory::Role;
use lockstep_protocol::frame::{Command, DeviceFrame, HubFrame, Outcome};
use lockstep_protocol::id::{ConversationId, Lsn, MemberId};
use lockstep_protocol::limits;
use serde_json::json;

use crate::device::{Device, Reader};
use crate::latency::relay_round;
use crate::load::Load;
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use crate::{Common, PATIENCE};

#[derive(Args)]
pub(crate) struct Permission {
    /// Open devices: a third of them the member's own, at most as many as one may have, the others of managers
    #[arg(long, default_value_t = 100)]
    devices: usize,
    /// Changes a round
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// Changes a second
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Interleaved rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// A device that only listens, and whether it is the member's own.
struct Listener {
    reader: Reader,
    is_own: bool,
}

pub(crate) async fn measure(permission: &Permission) -> anyhow::Result<Report> {
    let rounds = if permission.common.quick { 2 } else { permission.rounds };
    let changes = if permission.common.quick { 60 } else { permission.changes };
    let devices = permission.devices.max(3);
    let own = (devices / 3).clamp(1, limits::SESSIONS_PER_MEMBER_MAX);
    let load = Load { messages: changes, rate: permission.rate };
    let mut stage = Stage::new(&[]).await?;
    let mut listeners = Vec::new();
    for _ in own..devices {
        listeners.push(Listener { reader: stage.device().await?.into_reader(), is_own: false });
    }
    let first = stage.agent_device().await?;
    let member = first.author.member;
    listeners.push(Listener { reader: first.into_reader(), is_own: true });
    for _ in 1..own {
        let device = Device::enrol(&stage.link(Role::Agent).await?).await?;
        anyhow::ensure!(device.author.member == member, "one member's devices");
        listeners.push(Listener { reader: device.into_reader(), is_own: true });
    }
    let conversation = stage.conversation().await?;
    let file = stage.folder().join("relay");
    let mut gathered = Rounds::default();
    for round in 0..=rounds {
        for listener in &mut listeners {
            listener.reader.stay().await?;
        }
        let (begin, arrived) = changed(&mut stage, &mut listeners, conversation, member, load).await?;
        let (p50, p99) = load.percentiles(begin, &arrived);
        let (floor_p50, floor_p99) = tokio::task::block_in_place(|| relay_round(&file, devices + 1, load))?;
        // The first round warms up.
        if round > 0 {
            gathered.against("p50_ms", p50, floor_p50);
            gathered.against("p99_ms", p99, floor_p99);
        }
    }
    let settings = json!({ "devices": devices, "own_devices": own, "changes": changes, "rate": permission.rate,
        "rounds": rounds });
    let report = gathered.report("permission", Some("relay"), settings, &[("p99_ms", Bound::AtMost(3.0))]);
    let note =
        "Time runs from the owner's socket write, so the commit is in it. Devices decode the change and keep nothing.";
    Ok(report.own_goal("p99_ms", Bound::AtMost(100.0)).note(note))
}

/// One round: the member is assigned, unassigned and so on; answers when each change was everywhere.
async fn changed(
    stage: &mut Stage,
    listeners: &mut [Listener],
    conversation: ConversationId,
    member: MemberId,
    load: Load,
) -> anyhow::Result<(Instant, Vec<Instant>)> {
    // So that the first change is one, and tells where the log stands.
    stage.owner.command(Command::Assign { conversation, member }).await?;
    let Outcome::Done(base) = stage.owner.command(Command::Unassign { conversation, member }).await? else {
        anyhow::bail!("no place in the log");
    };
    let begin = Instant::now() + std::time::Duration::from_millis(50);
    let Device { author, reader, .. } = &mut stage.owner;
    let write = async {
        let mut ticks = load.ticks(begin);
        while let Some(number) = ticks.recv().await {
            let command = match number % 2 {
                0 => Command::Assign { conversation, member },
                _ => Command::Unassign { conversation, member },
            };
            author.send(&DeviceFrame::Command { tag: number as u64, command }).await?;
        }
        Ok(())
    };
    let acknowledge = async {
        let mut done = 0;
        while done < load.messages {
            if let HubFrame::Ack { results, .. } = reader.next().await? {
                anyhow::ensure!(matches!(results[..], [Outcome::Done(_)]), "a change was refused: {results:?}");
                done += 1;
            }
        }
        Ok(())
    };
    let read = async {
        let all = listeners.iter_mut().map(|listener| arrivals(listener, base, conversation, load.messages));
        join_all(all).await.into_iter().collect::<anyhow::Result<Vec<_>>>()
    };
    let all = tokio::time::timeout(PATIENCE, try_join3(write, acknowledge, read)).await;
    let ((), (), arrived) = all.context("a change did not arrive")??;
    let mut last = vec![begin; load.messages];
    for times in arrived {
        for (number, at) in times.into_iter().enumerate() {
            last[number] = last[number].max(at);
        }
    }
    Ok((begin, last))
}

/// Reads until the last change has come; answers when each did. Nothing else is written meanwhile, so every entry after
/// `base` is one change.
async fn arrivals(
    listener: &mut Listener,
    base: Lsn,
    conversation: ConversationId,
    changes: usize,
) -> anyhow::Result<Vec<Instant>> {
    let mut arrived = Vec::with_capacity(changes);
    while arrived.len() < changes {
        let HubFrame::Entries(entries) = listener.reader.next().await? else { continue };
        let now = Instant::now();
        let came = usize::try_from(entries.upto.0.saturating_sub(base.0))?.min(changes);
        if came <= arrived.len() {
            continue;
        }
        if listener.is_own {
            // The newest change of the range counts: even ones, from 0, assign.
            let is_granted = entries.granted.iter().any(|grant| grant.conversation == conversation);
            let is_revoked = entries.revoked.contains(&conversation);
            anyhow::ensure!((is_granted, is_revoked) == (came % 2 == 1, came % 2 == 0), "the wrong right arrived");
        } else {
            anyhow::ensure!(!entries.entries.is_empty(), "an entry is missing");
        }
        arrived.resize(came, now);
    }
    Ok(arrived)
}

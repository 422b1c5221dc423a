//! How long a message takes from its author to the other screens.

use std::time::{Duration, Instant};

use lockstep_protocol::id::ConversationId;

use super::super::exit::Failed;
use super::super::output;
use super::{Seat, patient};

/// Sends notes one after the other and measures until each other device shows it, and until its author sees that the
/// hub has it on disk.
pub(super) async fn measure(seats: &mut [Seat], conversation: ConversationId, count: usize) -> Result<(), Failed> {
    let (mut shown, mut confirmed) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let Some((author, others)) = seats.split_first_mut() else { return Ok(()) };
    for number in 0..count {
        let started = Instant::now();
        let id = author.device.note(conversation, &format!("note {number}")).await?;
        for other in others.iter_mut() {
            patient(other.view.until(|shown| shown.message(id).is_some())).await??;
        }
        shown.push(started.elapsed());
        let settled = author.view.until(|shown| {
            shown.message(id).is_some_and(|message| message.state == lockstep_client::MessageState::Sent)
        });
        patient(settled).await??;
        confirmed.push(started.elapsed());
    }
    output::line(&format!("  {count} notes, {} devices, one machine", others.len() + 1))?;
    line("shown on the last device", &mut shown)?;
    line("confirmed to the author ", &mut confirmed)
}

fn line(what: &str, times: &mut [Duration]) -> Result<(), Failed> {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    output::line(&format!(
        "  {what}   median {:.1} ms   99 % within {:.1} ms   slowest {:.1} ms",
        ms(at(50)),
        ms(at(99)),
        ms(times.last())
    ))
}

//! How long to wait before trying again.

use std::collections::BTreeMap;

use lockstep_protocol::id::{ConversationId, DocumentId};

use crate::random::Random;

/// First delay, milliseconds.
pub(crate) const DELAY_MS_MIN: u64 = 250;
/// Longest delay, milliseconds.
pub(crate) const DELAY_MS_MAX: u64 = 30_000;

/// Exponential delay with jitter: half to the whole of 250 ms × 2ⁿ, at most 30 s.
pub(crate) fn delay_ms(attempt: u32, random: &mut Random) -> u64 {
    let whole = DELAY_MS_MIN.saturating_mul(1 << attempt.min(20)).min(DELAY_MS_MAX);
    whole / 2 + random.below(whole / 2 + 1)
}

/// What may be told to wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Waiter {
    /// Pushes of a document.
    Push(DocumentId),
    /// A resolution, by order.
    Resolve(u64),
    /// A conversation's read position.
    Mark(ConversationId),
    /// Offers.
    Offer,
    /// A conversation's backfill.
    Fetch(ConversationId),
}

/// Who waits until when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses(BTreeMap<Waiter, (u64, u32)>);

impl Pauses {
    /// Lets `waiter` wait: at least `at_least_ms`, longer each time.
    pub(crate) fn pause(&mut self, waiter: Waiter, now_ms: u64, at_least_ms: Option<u32>, random: &mut Random) {
        let (until_ms, attempts) = self.0.entry(waiter).or_default();
        *until_ms = now_ms + delay_ms(*attempts, random).max(u64::from(at_least_ms.unwrap_or(0)));
        *attempts += 1;
    }

    /// Whether it still waits.
    pub(crate) fn waits(&self, waiter: &Waiter, now_ms: u64) -> bool {
        self.0.get(waiter).is_some_and(|(until_ms, _)| *until_ms > now_ms)
    }

    /// It got through: the next delay is short again.
    pub(crate) fn clear(&mut self, waiter: &Waiter) {
        self.0.remove(waiter);
    }

    /// A new session: everybody may try.
    pub(crate) fn clear_all(&mut self) {
        self.0.clear();
    }

    /// The next end of a pause that is still to come.
    pub(crate) fn next_ms(&self, now_ms: u64) -> Option<u64> {
        self.0.values().map(|(until_ms, _)| *until_ms).filter(|until_ms| *until_ms > now_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute_with_jitter() {
        let mut random = Random::new(&[1; 32]);
        for attempt in 0..40 {
            let whole = (250_u64 << attempt.min(20)).min(30_000);
            let delay = delay_ms(attempt, &mut random);
            assert!((whole / 2..=whole).contains(&delay), "attempt {attempt}: {delay}");
        }
    }
}

//! Rights that are taken from members in the middle of what they do.

use lockstep_protocol::directory::Role;

use super::{Act, Scenario, Step, What};
use crate::rng::Rng;

/// A right that a device's member loses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// They are unassigned from a conversation that the device shows.
    Conversation,
    /// They read on and write no more.
    Pen,
    /// They see only what is assigned to them.
    Overview,
    /// The device is revoked.
    Device,
    /// The device is revoked by the hub's own machine while the hub looks at its next Hello.
    Handshake,
    /// The member leaves.
    Place,
}

impl Scenario {
    /// Rights are taken while pushes, fetches, leases and handshakes of those who lose them are under way. Drawn from a
    /// stream of their own, and only in some seeds.
    pub(super) fn draw_losses(&mut self) {
        let rng = &mut Rng::new(self.seed, 5);
        if !rng.chance(500) {
            return;
        }
        if rng.chance(300) {
            // A busy disk: what is read for a fetch or a handshake is long on its way.
            self.faults.load_us_max = self.faults.load_us_max.max(rng.skewed(200_000, 3_000_000));
        }
        for _ in 0..rng.between(1, 5) {
            let device = rng.index(self.devices.len());
            // The first member stays: somebody must take and give.
            if self.devices[device].hostile || self.devices[device].member == 0 {
                continue;
            }
            let (at_ms, topic) = (rng.below(self.duration_ms), rng.any() & 0xffff_ffff);
            let around = |rng: &mut Rng, ms: u64| (at_ms + rng.below(2 * ms)).saturating_sub(ms);
            let role = self.members[self.devices[device].member];
            for _ in 0..rng.between(4, 14) {
                let act = match role {
                    Role::Service => rng.weighted(&[(4, Act::Incoming), (2, Act::Reply), (2, Act::Fetch)]),
                    _ => rng.weighted(&[
                        (4, Act::Note),
                        (3, Act::Reply),
                        (4, Act::Fetch),
                        (4, Act::Type),
                        (1, Act::Mark),
                    ]),
                };
                let what = What::Act { device, act, pick: topic | rng.any() << 32 };
                self.steps.push(Step { at_ms: around(rng, 400), what });
            }
            let loss = rng.weighted(&[
                (5, Loss::Conversation),
                (2, Loss::Pen),
                (2, Loss::Overview),
                (3, Loss::Device),
                (2, Loss::Handshake),
                (2, Loss::Place),
            ]);
            // A device whose line breaks is back with a Hello at some moment around the loss.
            if matches!(loss, Loss::Device | Loss::Place) || rng.chance(300) {
                for _ in 0..rng.between(2, 9) {
                    self.steps.push(Step { at_ms: around(rng, 3_000), what: What::Break { device } });
                }
            }
            let pick = topic | rng.any() << 32;
            self.steps.push(Step { at_ms, what: What::Lose { device, loss, pick } });
            if matches!(loss, Loss::Pen | Loss::Overview) && rng.chance(500) {
                let pick = rng.any();
                let what = What::Act { device: 0, act: Act::Role, pick };
                self.steps.push(Step { at_ms: at_ms + rng.skewed(5, 3_000), what });
            }
        }
    }
}

//! Keep times, days that pass, and conversations that are destroyed.

use lockstep_protocol::keep::Keep;

use super::{Act, Scenario, Step, What};
use crate::rng::Rng;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Scenario {
    /// Keep times change while days pass over what was written, and conversations are destroyed while people write into
    /// them. Drawn from a stream of their own, and only in some seeds.
    pub(super) fn draw_keep(&mut self) {
        let rng = &mut Rng::new(self.seed, 6);
        self.config.keep_look_ms = rng.between(1_000, 6_000);
        if rng.chance(350) {
            self.keeps = true;
            self.draw_ageing(rng);
        }
        if rng.chance(350) {
            for _ in 0..rng.between(1, 3) {
                self.draw_shred(rng);
            }
        }
    }

    fn draw_ageing(&mut self, rng: &mut Rng) {
        if rng.chance(500) {
            // Entries of what goes are still in the log then.
            self.config.retention_ms = rng.between(20, 60) * DAY_MS;
        }
        if rng.chance(500) {
            // What is read for a fetch is long on its way.
            self.faults.load_us_max = self.faults.load_us_max.max(rng.skewed(200_000, 3_000_000));
        }
        for _ in 0..rng.between(2, 6) {
            let at_ms = rng.below(self.duration_ms / 2);
            let keep = rng.weighted(&[(5, Keep::days(7)), (2, Keep::days(16)), (1, Some(Keep::FOREVER)), (1, None)]);
            self.steps.push(Step { at_ms, what: What::Keep { keep, pick: rng.any() } });
        }
        for _ in 0..rng.between(3, 9) {
            let at_ms = rng.below(self.duration_ms);
            let days = rng.weighted(&[(3, 1), (2, 2), (2, 6), (3, 8), (1, 20)]);
            self.steps.push(Step { at_ms, what: What::Leap { days } });
            // Some are away while it happens, and some speak of what is about to go.
            for _ in 0..rng.between(0, 3) {
                let device = rng.index(self.devices.len());
                let offline = Step {
                    at_ms: (at_ms + rng.below(4_000)).saturating_sub(3_000),
                    what: What::DeviceOffline { device, for_ms: rng.skewed(500, 30_000) },
                };
                self.steps.push(offline);
            }
            if rng.chance(500) {
                self.draw_readers(rng, at_ms);
            }
            for _ in 0..rng.between(0, 6) {
                let device = rng.index(self.devices.len());
                let act = rng.weighted(&[(3, Act::React), (3, Act::Edit), (2, Act::Reply), (3, Act::Fetch)]);
                if !self.devices[device].hostile {
                    let at_ms = (at_ms + rng.below(8_000)).saturating_sub(4_000);
                    self.steps.push(Step { at_ms, what: What::Act { device, act, pick: rng.any() } });
                }
            }
        }
    }

    /// Devices fetch what is about to go: it was just granted to them, or an old copy of their store lacks it.
    fn draw_readers(&mut self, rng: &mut Rng, at_ms: u64) {
        let soon = |rng: &mut Rng| at_ms + rng.below(self.config.keep_look_ms + 2_000);
        let mut steps = Vec::new();
        for _ in 0..rng.between(1, 5) {
            let pick = (((rng.any() >> 32) / 3 * 3 + 1) << 32) | (rng.any() & 0xffff_ffff);
            let at_ms = soon(rng);
            for (gap_ms, act) in [(0, Act::Unassign), (rng.skewed(5, 400), Act::Assign)] {
                steps.push(Step { at_ms: at_ms + gap_ms, what: What::Act { device: 0, act, pick } });
            }
        }
        for _ in 0..rng.between(0, 3) {
            let device = rng.index(self.devices.len());
            steps.push(Step { at_ms: rng.below(at_ms / 2 + 1), what: What::DeviceBackup { device } });
            steps.push(Step { at_ms: soon(rng), what: What::DeviceRestore { device } });
        }
        self.steps.extend(steps);
    }

    fn draw_shred(&mut self, rng: &mut Rng) {
        let (at_ms, topic) = (rng.below(self.duration_ms), rng.any() & 0xffff_ffff);
        let around = |rng: &mut Rng, ms: u64| (at_ms + rng.below(2 * ms)).saturating_sub(ms);
        for _ in 0..rng.between(2, 10) {
            let device = rng.index(self.devices.len());
            let acts = [(4, Act::Note), (4, Act::Reply), (3, Act::Fetch), (2, Act::Type), (1, Act::Mark)];
            if !self.devices[device].hostile {
                let (act, pick) = (rng.weighted(&acts), topic | rng.any() << 32);
                self.steps.push(Step { at_ms: around(rng, 800), what: What::Act { device, act, pick } });
            }
        }
        if rng.chance(400) {
            let device = rng.index(self.devices.len());
            let what = What::DeviceOffline { device, for_ms: rng.skewed(500, 60_000) };
            self.steps.push(Step { at_ms: at_ms.saturating_sub(rng.below(2_000)), what });
        }
        self.steps.push(Step { at_ms, what: What::Shred { pick: topic } });
        for _ in 0..rng.between(0, 2) {
            let what = What::HubCrash { down_ms: rng.skewed(10, 2_000) };
            self.steps.push(Step { at_ms: at_ms + rng.skewed(1, 1_000), what });
        }
    }
}

//! What a seed draws up front: the team, the hub's limits, how bad the world is, and a list of steps. Shrinking drops
//! steps from that list.

mod keep;
mod losses;

use lockstep_core::hub::{HubConfig, SegmentLimits};
use lockstep_protocol::directory::{CollisionPolicy, Policy, Role};
use lockstep_protocol::keep::Keep;
use lockstep_protocol::limits::INVITES_PER_MEMBER_MAX;

pub use self::losses::Loss;
use crate::link::Quality;
use crate::rng::Rng;
use crate::worker::Worker;

/// One device of the team.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceSpec {
    /// Index of its member.
    pub member: usize,
    /// Its frames are hand-made.
    pub hostile: bool,
}

/// One conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConversationSpec {
    /// Whether the service account carries it.
    pub service: bool,
    /// Indices of assigned members.
    pub assigned: Vec<usize>,
}

/// What a user (or the world) does at one moment. Numbers are drawn up front and read modulo what there is then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// A reply to the customer.
    Reply,
    /// An internal note.
    Note,
    /// A customer's message; service accounts only.
    Incoming,
    /// An edit of an own message.
    Edit,
    /// A reaction.
    React,
    /// A retraction.
    Retract,
    /// A card field.
    Field,
    /// A label.
    Label,
    /// Typing.
    Type,
    /// Send a held reply anyway.
    ResolveSend,
    /// Discard a held reply.
    ResolveDiscard,
    /// Read up to some message.
    Mark,
    /// Report on a reply; service accounts only.
    Deliver,
    /// Ask for older history.
    Fetch,
    /// Assign someone.
    Assign,
    /// Unassign someone.
    Unassign,
    /// Change someone's role.
    Role,
    /// Change the policy.
    Policy,
    /// Open one more conversation.
    Open,
    /// Revoke a device.
    RevokeDevice,
}

/// What happens at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A device's user acts.
    Act {
        /// Which device.
        device: usize,
        /// What.
        act: Act,
        /// Chooses conversation and object.
        pick: u64,
    },
    /// A hostile device sends something.
    Attack {
        /// Which device.
        device: usize,
        /// Chooses what.
        pick: u64,
    },
    /// The first owner takes something from a device's member.
    Lose {
        /// Which device.
        device: usize,
        /// What.
        loss: Loss,
        /// Chooses the conversation, as acts do.
        pick: u64,
    },
    /// The hub's process dies.
    HubCrash {
        /// How long it is down, milliseconds.
        down_ms: u64,
    },
    /// The hub is stopped in good order and started again.
    HubDrain {
        /// How long it is down, milliseconds.
        down_ms: u64,
    },
    /// A copy of the hub's disk is taken.
    HubBackup,
    /// The hub is restored from its copy, into a new epoch.
    HubRestore,
    /// The hub's disk silently becomes the copy.
    HubRollback,
    /// Somebody on the hub's machine imports a conversation's past, or a part of it.
    Import {
        /// Chooses conversation and part.
        pick: u64,
    },
    /// Somebody takes an import back.
    ImportUndo {
        /// Chooses which.
        pick: u64,
    },
    /// Somebody on the hub's machine sets a keep time: the team's, or a conversation's.
    Keep {
        /// Which.
        keep: Option<Keep>,
        /// Chooses whose.
        pick: u64,
    },
    /// Days pass, for everyone.
    Leap {
        /// How many.
        days: u64,
    },
    /// Somebody on the hub's machine destroys a conversation.
    Shred {
        /// Chooses which.
        pick: u64,
    },
    /// The hub's wall clock jumps.
    HubJump {
        /// New skew, milliseconds.
        skew_ms: i64,
    },
    /// A device's process dies.
    DeviceCrash {
        /// Which.
        device: usize,
        /// How long it is down, milliseconds.
        down_ms: u64,
    },
    /// A device has no network.
    DeviceOffline {
        /// Which.
        device: usize,
        /// How long, milliseconds.
        for_ms: u64,
    },
    /// A copy of a device's store is taken.
    DeviceBackup {
        /// Which.
        device: usize,
    },
    /// A device comes back with its old copy.
    DeviceRestore {
        /// Which.
        device: usize,
    },
    /// A device's wall clock jumps.
    DeviceJump {
        /// Which.
        device: usize,
        /// New skew, milliseconds.
        skew_ms: i64,
    },
    /// A device's connection breaks.
    Break {
        /// Which.
        device: usize,
    },
    /// Nothing moves in one direction.
    Stall {
        /// Which.
        device: usize,
        /// Towards the device.
        down: bool,
        /// How long, milliseconds.
        for_ms: u64,
    },
    /// A device reads slowly.
    Slow {
        /// Which.
        device: usize,
        /// By what factor.
        factor: u64,
    },
}

/// A thing to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// When, milliseconds of true time since the set-up ended.
    pub at_ms: u64,
    /// What.
    pub what: What,
}

/// Chances of small faults, and delays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Faults {
    /// Connections.
    pub quality: Quality,
    /// Longest time of a sync, microseconds.
    pub sync_us_max: u64,
    /// Longest time of a read, microseconds.
    pub load_us_max: u64,
    /// Reads that fail, in a thousand.
    pub load_failures: u64,
    /// Compactions that fail, in a thousand.
    pub apply_failures: u64,
}

/// Everything drawn for a seed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// Roles of members; the first is an owner.
    pub members: Vec<Role>,
    /// Devices.
    pub devices: Vec<DeviceSpec>,
    /// Conversations.
    pub conversations: Vec<ConversationSpec>,
    /// The hub's choices.
    pub config: HubConfig,
    /// The team's choices.
    pub policy: Policy,
    /// How bad the world is.
    pub faults: Faults,
    /// Keep times end in this seed.
    pub keeps: bool,
    /// What documents are made of.
    pub worker: Worker,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
    /// How long, milliseconds of true time after the set-up.
    pub duration_ms: u64,
}

impl Scenario {
    /// Draws the scenario of a seed.
    #[must_use]
    pub fn draw(seed: u64, automerge: bool) -> Self {
        let rng = &mut Rng::new(seed, 1);
        let wildness = rng.weighted(&[(2, 0), (3, 1), (3, 2)]);
        let service = rng.chance(600);
        let members = members(rng, service);
        let devices = devices(rng, &members);
        let conversations = conversations(rng, &members, service);
        let faults = faults(rng, wildness);
        let policy = Policy {
            collision: if rng.chance(200) { CollisionPolicy::Flag } else { CollisionPolicy::Hold },
            agents_see_unassigned: rng.chance(400),
            services_lock: rng.chance(100),
            devices_max: None,
            keep: None,
        };
        let duration_ms = rng.skewed(40_000, 500_000);
        let worker = if automerge || seed % 16 == 15 { Worker::Automerge } else { Worker::Facts };
        let config = config(rng);
        let mut scenario = Self {
            seed,
            members,
            devices,
            conversations,
            config,
            policy,
            faults,
            keeps: false,
            worker,
            steps: Vec::new(),
            duration_ms,
        };
        scenario.draw_steps(rng, wildness);
        scenario
    }

    fn draw_steps(&mut self, rng: &mut Rng, wildness: u64) {
        let bursts = rng.between(10, 45);
        for _ in 0..bursts {
            self.draw_burst(rng);
        }
        for _ in 0..rng.between(0, 4) {
            self.draw_flip(rng);
        }
        if wildness > 0 {
            for _ in 0..rng.between(3, 12 * wildness) {
                self.draw_fault(rng, wildness);
            }
        }
        for device in 0..self.devices.len() {
            if self.devices[device].hostile {
                for _ in 0..rng.between(10, 40) {
                    let (at_ms, pick) = (rng.below(self.duration_ms), rng.any());
                    self.steps.push(Step { at_ms, what: What::Attack { device, pick } });
                }
            }
        }
        self.draw_imports();
        self.draw_losses();
        self.draw_keep();
        self.steps.sort_by_key(|step| step.at_ms);
    }

    /// Imports, repeated and taken back. Drawn from a stream of their own, and only in some seeds.
    fn draw_imports(&mut self) {
        let rng = &mut Rng::new(self.seed, 4);
        if !rng.chance(400) {
            return;
        }
        let topic = rng.any();
        for _ in 0..rng.between(1, 6) {
            // The low half chooses the conversation: mostly the same, so that runs meet.
            let pick = if rng.chance(600) { topic & 0xffff_ffff | rng.any() << 32 } else { rng.any() };
            let at_ms = rng.below(self.duration_ms);
            self.steps.push(Step { at_ms, what: What::Import { pick } });
            if rng.chance(350) {
                let at_ms = (at_ms + rng.skewed(20, 60_000)).min(self.duration_ms);
                self.steps.push(Step { at_ms, what: What::ImportUndo { pick: rng.any() } });
            }
            for _ in 0..rng.between(0, 4) {
                let device = rng.index(self.devices.len());
                let at_ms = (at_ms + rng.skewed(50, 40_000)).min(self.duration_ms);
                let act = rng.weighted(&[(4, Act::Fetch), (2, Act::Edit), (3, Act::React), (2, Act::Retract)]);
                if !self.devices[device].hostile {
                    let pick = pick & 0xffff_ffff | rng.any() << 32;
                    self.steps.push(Step { at_ms, what: What::Act { device, act, pick } });
                }
            }
        }
    }

    /// People act together: a few acts within seconds, often about the same conversation.
    fn draw_burst(&mut self, rng: &mut Rng) {
        let base_ms = rng.below(self.duration_ms);
        let topic = rng.any();
        let pace_ms = rng.skewed(200, 12_000);
        for _ in 0..rng.between(2, 10) {
            let device = rng.index(self.devices.len());
            if self.devices[device].hostile {
                continue;
            }
            let role = self.members[self.devices[device].member];
            let act = rng.weighted(match role {
                Role::Service => SERVICE_ACTS,
                Role::Owner | Role::Manager => MANAGER_ACTS,
                Role::Agent | Role::Auditor | Role::Former => AGENT_ACTS,
            });
            // The low half chooses the conversation, the high half the object.
            let pick = if rng.chance(750) { topic & 0xffff_ffff | rng.any() << 32 } else { rng.any() };
            let at_ms = base_ms + rng.below(pace_ms);
            self.steps.push(Step { at_ms, what: What::Act { device, act, pick } });
        }
    }

    fn draw_fault(&mut self, rng: &mut Rng, wildness: u64) {
        let at_ms = rng.below(self.duration_ms);
        let device = rng.index(self.devices.len());
        let down_ms = rng.skewed(50, 20_000);
        let jump = |rng: &mut Rng| rng.between(0, 2_000_000).cast_signed() * if rng.chance(500) { 1 } else { -1 } / 8;
        let what = match rng.weighted(if wildness > 1 { WILD_FAULTS } else { MILD_FAULTS }) {
            Fault::HubCrash => What::HubCrash { down_ms: down_ms / 2 },
            Fault::HubDrain => What::HubDrain { down_ms: down_ms / 2 },
            Fault::HubRestore => {
                self.draw_return(rng, What::HubBackup, What::HubRestore);
                return self.draw_changes(rng);
            }
            Fault::HubRollback => return self.draw_return(rng, What::HubBackup, What::HubRollback),
            Fault::HubJump => What::HubJump { skew_ms: jump(rng) },
            Fault::DeviceCrash => What::DeviceCrash { device, down_ms },
            Fault::DeviceOffline => What::DeviceOffline { device, for_ms: down_ms * 4 },
            Fault::DeviceRestore => {
                self.draw_return(rng, What::DeviceBackup { device }, What::DeviceRestore { device });
                return self.draw_writing(rng, device);
            }
            Fault::DeviceJump => What::DeviceJump { device, skew_ms: jump(rng) },
            Fault::Break => What::Break { device },
            Fault::Stall => What::Stall { device, down: rng.chance(600), for_ms: rng.skewed(100, 60_000) },
            Fault::Slow => What::Slow { device, factor: rng.between(10, 3_000) },
        };
        self.steps.push(Step { at_ms, what });
    }

    /// A device whose store goes back writes around that, in one conversation.
    fn draw_writing(&mut self, rng: &mut Rng, device: usize) {
        let back = self.steps.iter().rev().take(2).map(|step| step.at_ms).max().unwrap_or_default();
        let topic = rng.any();
        for _ in 0..6 {
            let at_ms = (back + rng.below(8_000)).saturating_sub(4_000);
            let pick = topic & 0xffff_ffff | rng.any() << 32;
            self.steps.push(Step { at_ms, what: What::Act { device, act: Act::Note, pick } });
        }
    }

    /// Roles and assignments change between a copy and the return to it.
    fn draw_changes(&mut self, rng: &mut Rng) {
        let [copy, back] = [2, 1].map(|last| self.steps[self.steps.len() - last].at_ms);
        for _ in 0..rng.between(1, 4) {
            let act = rng.weighted(&[(4, Act::Role), (1, Act::Unassign), (1, Act::Assign), (1, Act::Policy)]);
            let (at_ms, pick) = (rng.between(copy, back), rng.any());
            self.steps.push(Step { at_ms, what: What::Act { device: 0, act, pick } });
        }
    }

    /// A right is taken and given back within moments, while what it brought is still on its way.
    fn draw_flip(&mut self, rng: &mut Rng) {
        let at_ms = rng.below(self.duration_ms);
        // The high half must not send the commands to another conversation than the notes, see `World::command`.
        let pick = (((rng.any() >> 32) / 3 * 3 + 1) << 32) | (rng.any() & 0xffff_ffff);
        let gap_ms = rng.skewed(5, 1_500);
        let acts = [
            Act::Assign,
            Act::Note,
            Act::Unassign,
            Act::Note,
            Act::Assign,
            Act::Note,
            Act::Unassign,
            Act::Note,
            Act::Assign,
        ];
        for (place, act) in acts.into_iter().enumerate() {
            let at_ms = at_ms + gap_ms * place as u64;
            self.steps.push(Step { at_ms, what: What::Act { device: 0, act, pick } });
        }
    }

    /// A copy, and later the return to it.
    fn draw_return(&mut self, rng: &mut Rng, copy: What, back: What) {
        let at_ms = rng.below(self.duration_ms);
        let later_ms = at_ms + rng.skewed(500, 60_000);
        self.steps.push(Step { at_ms, what: copy });
        self.steps.push(Step { at_ms: later_ms.min(self.duration_ms), what: back });
    }
}

#[derive(Clone, Copy)]
enum Fault {
    HubCrash,
    HubDrain,
    HubRestore,
    HubRollback,
    HubJump,
    DeviceCrash,
    DeviceOffline,
    DeviceRestore,
    DeviceJump,
    Break,
    Stall,
    Slow,
}

const MILD_FAULTS: &[(u32, Fault)] = &[
    (2, Fault::HubCrash),
    (1, Fault::HubDrain),
    (3, Fault::DeviceCrash),
    (5, Fault::DeviceOffline),
    (1, Fault::DeviceJump),
    (5, Fault::Break),
    (3, Fault::Stall),
    (2, Fault::Slow),
];

const WILD_FAULTS: &[(u32, Fault)] = &[
    (6, Fault::HubCrash),
    (1, Fault::HubDrain),
    (2, Fault::HubRestore),
    (2, Fault::HubRollback),
    (2, Fault::HubJump),
    (5, Fault::DeviceCrash),
    (6, Fault::DeviceOffline),
    (4, Fault::DeviceRestore),
    (2, Fault::DeviceJump),
    (6, Fault::Break),
    (4, Fault::Stall),
    (3, Fault::Slow),
];

const AGENT_ACTS: &[(u32, Act)] = &[
    (10, Act::Reply),
    (6, Act::Note),
    (3, Act::Edit),
    (3, Act::React),
    (2, Act::Retract),
    (2, Act::Field),
    (2, Act::Label),
    (4, Act::Type),
    (2, Act::ResolveSend),
    (1, Act::ResolveDiscard),
    (2, Act::Mark),
    (1, Act::Fetch),
];

const MANAGER_ACTS: &[(u32, Act)] = &[
    (10, Act::Reply),
    (5, Act::Note),
    (3, Act::Edit),
    (3, Act::React),
    (2, Act::Retract),
    (2, Act::Field),
    (2, Act::Label),
    (4, Act::Type),
    (2, Act::ResolveSend),
    (1, Act::ResolveDiscard),
    (2, Act::Mark),
    (1, Act::Fetch),
    (3, Act::Assign),
    (3, Act::Unassign),
    (2, Act::Role),
    (1, Act::Policy),
    (1, Act::Open),
    (1, Act::RevokeDevice),
];

const SERVICE_ACTS: &[(u32, Act)] =
    &[(10, Act::Incoming), (2, Act::Reply), (4, Act::Deliver), (1, Act::Note), (1, Act::React), (1, Act::Mark)];

fn members(rng: &mut Rng, service: bool) -> Vec<Role> {
    let mut members = vec![Role::Owner];
    for _ in 0..rng.between(1, 4) {
        members.push(rng.weighted(&[(2, Role::Manager), (6, Role::Agent), (1, Role::Auditor), (1, Role::Owner)]));
    }
    if service {
        members.push(Role::Service);
    }
    members
}

fn devices(rng: &mut Rng, members: &[Role]) -> Vec<DeviceSpec> {
    let mut devices: Vec<DeviceSpec> = (0..members.len()).map(|member| DeviceSpec { member, hostile: false }).collect();
    let more = rng.skewed(1, 8);
    for _ in 0..more {
        let member = rng.index(members.len());
        // One code each is open at once during the set-up.
        if devices.iter().filter(|device| device.member == member).count() + 1 < INVITES_PER_MEMBER_MAX {
            devices.push(DeviceSpec { member, hostile: false });
        }
    }
    if rng.chance(400) {
        devices.push(DeviceSpec { member: rng.index(members.len() - 1) + 1, hostile: true });
    }
    devices
}

fn conversations(rng: &mut Rng, members: &[Role], service: bool) -> Vec<ConversationSpec> {
    let count = rng.skewed(1, 5);
    let conversation = |rng: &mut Rng| {
        let mut assigned: Vec<usize> = (1..members.len()).filter(|_| rng.chance(500)).collect();
        assigned.retain(|member| members[*member] != Role::Service);
        ConversationSpec { service: service && rng.chance(700), assigned }
    };
    (0..count).map(|_| conversation(rng)).collect()
}

fn config(rng: &mut Rng) -> HubConfig {
    let open_messages = rng.between(4, 40) as u32;
    let open_ops = rng.between(30, 300) as u32;
    let late_message_ops = open_ops + rng.between(0, 80) as u32;
    HubConfig {
        retention_ms: rng.skewed(3_000, 120_000),
        keep_look_ms: 5_000,
        keep_hold_ms: 0,
        session_queue_bytes_max: rng.between(1_000, 16_000) as usize,
        log_read_bytes_max: rng.between(300, 4_000) as usize,
        conversations_bytes_max: rng.between(1, 6) as usize * 8_192,
        compact_tail: rng.between(2, 20) as u32,
        segment: SegmentLimits {
            open_messages,
            open_ops,
            open_text_bytes: rng.between(400, 8_000) as u32,
            late_message_ops,
            late_edit_ops: late_message_ops + rng.between(0, 40) as u32,
        },
    }
}

fn faults(rng: &mut Rng, wildness: u64) -> Faults {
    let quality = match wildness {
        0 => Quality { latency_us_min: 200, latency_us_max: 5_000, us_a_byte: 0, notice_us_max: 100_000 },
        1 => Quality { latency_us_min: 500, latency_us_max: 200_000, us_a_byte: 1, notice_us_max: 3_000_000 },
        _ => Quality {
            latency_us_min: 1_000,
            latency_us_max: rng.skewed(100_000, 3_000_000),
            us_a_byte: rng.below(30),
            notice_us_max: 60_000_000,
        },
    };
    Faults {
        quality,
        sync_us_max: if wildness == 0 { 5_000 } else { rng.skewed(5_000, 400_000) },
        load_us_max: if wildness == 0 { 2_000 } else { rng.skewed(2_000, 200_000) },
        load_failures: if wildness > 1 && rng.chance(300) { 10 } else { 0 },
        apply_failures: if wildness > 1 && rng.chance(300) { 100 } else { 0 },
    }
}

//! The user model: turns a drawn act into what a person would do with what is on this device's screen.

use lockstep_client_core::input::{Act as DeviceAct, Draft};
use lockstep_client_core::store::Rows;
use lockstep_protocol::directory::{CollisionPolicy, Conversation, Policy, Role};
use lockstep_protocol::entry::{Delivery, Resolution, Verdict};
use lockstep_protocol::fact::{Direction, Fact};
use lockstep_protocol::frame::Command;
use lockstep_protocol::id::{ConversationId, DocumentKind, MemberId, MessageId};

use super::World;
use crate::checker::Violation;
use crate::scenario::{Act, Loss};

/// Drawn numbers, taken apart as they are needed.
struct Pick(u64);

impl Pick {
    fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        let choice = self.0 % bound;
        self.0 = (self.0 / bound) ^ self.0.rotate_left(17);
        choice as usize
    }
}

impl World {
    pub(super) fn act(&mut self, at: usize, act: Act, pick: u64) -> Result<(), Violation> {
        let device = &self.devices[at];
        if device.core.is_none() || device.hostile.is_some() {
            return Ok(());
        }
        // The low half chooses the conversation, so that a burst's acts meet; the high half all else.
        let shown: Vec<ConversationId> =
            device.rows.conversations.values().filter(|row| !row.lost).map(|row| row.conversation.id).collect();
        let conversation = shown.get((pick & 0xffff_ffff) as usize % shown.len().max(1)).copied();
        let pick = &mut Pick(pick >> 32);
        let acts = match conversation {
            Some(conversation) => self.acts_in(at, act, conversation, pick),
            None => self.command(at, act, None, pick),
        };
        if act == Act::Reply
            && let Some(conversation) = conversation
            && sees_reply(&self.devices[at].rows, conversation)
        {
            let request = self.devices[at].requests + 1;
            self.devices[at].replies_seeing.insert(request, conversation);
        }
        acts.into_iter().try_for_each(|act| self.device_act(at, act))
    }

    /// The first owner's first device takes something from another device's member.
    pub(super) fn lose(&mut self, at: usize, loss: Loss, pick: u64) -> Result<(), Violation> {
        let (device, member) = (self.devices[at].id, self.devices[at].member);
        let shown: Vec<ConversationId> =
            self.devices[at].rows.conversations.values().map(|row| row.conversation.id).collect();
        let conversation = shown.get((pick & 0xffff_ffff) as usize % shown.len().max(1)).copied();
        let command = match (loss, conversation) {
            (Loss::Conversation, Some(conversation)) => Command::Unassign { conversation, member },
            (Loss::Conversation, None) => return Ok(()),
            (Loss::Pen, _) => Command::MemberRole { member, role: Role::Auditor },
            (Loss::Overview, _) => Command::MemberRole { member, role: Role::Agent },
            (Loss::Device, _) => Command::DeviceRevoke { device },
            (Loss::Handshake, _) => {
                self.devices[at].lost_at_hello = true;
                self.break_link(at);
                return Ok(());
            }
            (Loss::Place, _) => Command::MemberRemove { member },
        };
        self.device_act(0, DeviceAct::Command(command))
    }

    fn acts_in(&self, at: usize, act: Act, conversation: ConversationId, pick: &mut Pick) -> Vec<DeviceAct> {
        let rows = &self.devices[at].rows;
        let member = self.devices[at].member;
        let message = |pick: &mut Pick, wanted: &dyn Fn(&Shown) -> bool| -> Option<MessageId> {
            let shown: Vec<MessageId> =
                messages(rows, conversation).into_iter().filter(wanted).map(|shown| shown.id).collect();
            // Mostly recent ones.
            let recent = if pick.below(4) == 0 { shown.len() } else { shown.len().min(4) };
            shown.get(shown.len().wrapping_sub(1 + pick.below(recent))).copied()
        };
        let draft = |pick: &mut Pick, dir| {
            let text = body(pick);
            DeviceAct::Write(Draft::text(conversation, dir, &text))
        };
        match act {
            Act::Reply => vec![draft(pick, Direction::Out)],
            Act::Note => vec![draft(pick, Direction::Note)],
            Act::Incoming => vec![draft(pick, Direction::In)],
            Act::Edit => message(pick, &|shown| shown.member == member)
                .map(|message| DeviceAct::Edit { conversation, message, body: body(pick) })
                .into_iter()
                .collect(),
            Act::React => message(pick, &|_| true)
                .map(|message| {
                    let emoji = ["👍", "", "🎉"][pick.below(3)].to_owned();
                    DeviceAct::React { conversation, message, emoji }
                })
                .into_iter()
                .collect(),
            Act::Retract => message(pick, &|shown| shown.member == member || shown.id.0[15] % 4 == 0)
                .map(|message| DeviceAct::Retract { conversation, message, reason: "typo".into() })
                .into_iter()
                .collect(),
            Act::Field => {
                let name = ["city", "plan", "language"][pick.below(3)].to_owned();
                vec![DeviceAct::SetField { conversation, name, value: body(pick) }]
            }
            Act::Label => {
                let label = ["vip", "late", "ร้องเรียน"][pick.below(3)].to_owned();
                vec![DeviceAct::SetLabel { conversation, label, on: pick.below(2) == 0 }]
            }
            Act::Type => vec![DeviceAct::Type { conversation }],
            Act::ResolveSend | Act::ResolveDiscard => {
                let resolution = if act == Act::ResolveSend { Resolution::Send } else { Resolution::Discard };
                message(pick, &|shown| shown.member == member && shown.held)
                    .map(|message| DeviceAct::Resolve { conversation, message, resolution })
                    .into_iter()
                    .collect()
            }
            Act::Mark => message(pick, &|_| true)
                .map(|message| DeviceAct::MarkRead { conversation, message })
                .into_iter()
                .collect(),
            Act::Deliver => message(pick, &|shown| shown.dir == Direction::Out && !shown.held)
                .map(|message| {
                    let delivery = [Delivery::Sending, Delivery::Sent, Delivery::Failed][pick.below(3)];
                    DeviceAct::Command(Command::Deliver { conversation, message, delivery })
                })
                .into_iter()
                .collect(),
            Act::Fetch => {
                let open = DeviceAct::Open { conversation };
                match pick.below(4) {
                    0 => vec![DeviceAct::Close { conversation }],
                    1 => vec![open, DeviceAct::ShowOlder { conversation }],
                    _ => vec![open],
                }
            }
            _ => self.command(at, act, Some(conversation), pick),
        }
    }

    fn command(&self, at: usize, act: Act, conversation: Option<ConversationId>, pick: &mut Pick) -> Vec<DeviceAct> {
        let members = self.scenario.members.len();
        let someone = |pick: &mut Pick| MemberId(pick.below(members) as u32 + 1);
        let conversation = conversation
            .filter(|_| pick.below(3) > 0)
            .or_else(|| self.conversations.get(pick.below(self.conversations.len())).copied());
        let command = match (act, conversation) {
            (Act::Assign, Some(conversation)) => Command::Assign { conversation, member: someone(pick) },
            (Act::Unassign, Some(conversation)) => Command::Unassign { conversation, member: someone(pick) },
            (Act::Role, _) => {
                let role = [Role::Agent, Role::Agent, Role::Manager, Role::Auditor][pick.below(4)];
                // The first member stays an owner, so that someone can always give rights back.
                let member = MemberId(2 + pick.below(members.max(2) - 1) as u32);
                Command::MemberRole { member, role }
            }
            (Act::Policy, _) => Command::PolicySet(Policy {
                collision: if pick.below(3) == 0 { CollisionPolicy::Flag } else { CollisionPolicy::Hold },
                agents_see_unassigned: pick.below(2) == 0,
                services_lock: pick.below(4) == 0,
                devices_max: None,
                keep: self.checker.model.directory().policy.keep,
            }),
            (Act::Open, _) => {
                let mut id = ConversationId::default();
                id.0[..8].copy_from_slice(&pick.0.to_be_bytes());
                id.0[8..].copy_from_slice(&self.now_us.to_be_bytes());
                let conversation =
                    Conversation { id, customer: "walk-in".into(), service: None, assigned: Vec::new(), keep: None };
                Command::ConversationOpen(conversation)
            }
            (Act::RevokeDevice, _) => {
                let device = pick.below(self.devices.len());
                if device == 0 || pick.below(3) > 0 {
                    return Vec::new();
                }
                Command::DeviceRevoke { device: self.devices[device].id }
            }
            _ => return Vec::new(),
        };
        let _ = at;
        vec![DeviceAct::Command(command)]
    }
}

/// A message on a device's screen.
struct Shown {
    id: MessageId,
    member: MemberId,
    dir: Direction,
    held: bool,
}

/// Whether an accepted reply is certainly on the screen: held, not on offer, and not about to be fetched anew.
pub(super) fn sees_reply(rows: &Rows, conversation: ConversationId) -> bool {
    rows.offers.is_empty()
        && !rows.backfills.contains_key(&conversation)
        && rows.documents.values().any(|row| row.document.conversation == conversation && row.newest_reply.is_some())
}

/// What a device shows of a conversation, in order of id.
fn messages(rows: &Rows, conversation: ConversationId) -> Vec<Shown> {
    let stamped = rows.facts.values().filter(|row| row.placed.document.conversation == conversation);
    let mut shown: Vec<Shown> = stamped
        .filter_map(|row| match &row.placed.fact {
            Fact::Message(message) => Some(Shown {
                id: message.id,
                member: if row.placed.document.kind == DocumentKind::Imported { message.by } else { row.stamp.member },
                dir: message.dir,
                held: matches!(row.stamp.verdict, Verdict::Held(_)),
            }),
            _ => None,
        })
        .collect();
    let pending = rows.outbox.values().filter(|row| row.document.conversation == conversation);
    shown.extend(pending.filter_map(|row| match &row.fact {
        Fact::Message(message) => Some(Shown { id: message.id, member: message.by, dir: message.dir, held: false }),
        _ => None,
    }));
    shown.sort_by_key(|shown| shown.id);
    shown
}

fn body(pick: &mut Pick) -> String {
    let len = match pick.below(12) {
        0 => 200 + pick.below(900),
        1 => 40 + pick.below(100),
        _ => 3 + pick.below(20),
    };
    let letters = b"abcdefghij klmnopqrst";
    let text: String =
        (0..len).map(|at| char::from(letters[(at * 7 + len + pick.0 as usize % 5) % letters.len()])).collect();
    // Words of the list, whole or in two messages.
    match pick.0 % 16 {
        0 => text + " secret",
        1 => text + " my iban",
        2 => text + " sec",
        3 => "ret ".to_owned() + &text,
        _ => text,
    }
}

//! What the admin socket answers; `--json` prints the same.

use std::fmt;

use lockstep_core::row::ConversationRow;
use lockstep_protocol::directory::{Member, Policy};
use lockstep_protocol::frame::ListedDevice;
use lockstep_protocol::refusal::{Refusal, RefusalCode};
use serde::{Deserialize, Serialize};

use super::request::{CollisionName, KeepText, RoleName};
use crate::audit::{self, AuditPage, AuditVerdict};
use crate::keychain::KeyStatus;
use crate::verify::VerifyReport;

/// An answer, tagged by its kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Answer {
    /// Done, and durable.
    Done,
    /// How the hub is.
    Status(Box<Status>),
    /// How its keys are.
    Keys(KeyStatus),
    /// The secret from which ids of imported messages are derived.
    ImportKey {
        /// 32 bytes, hex.
        key: String,
    },
    /// What a look at everything found.
    Verified(VerifyReport),
    /// The certificate's private key, for a proxy.
    CertificateKey {
        /// PEM.
        key: String,
    },
    /// A member was added.
    Member {
        /// Staff number.
        id: u32,
    },
    /// All members.
    Members {
        /// In order of number.
        members: Vec<MemberInfo>,
    },
    /// A link for one new device.
    Pairing(Pairing),
    /// All devices.
    Devices {
        /// In order of id.
        devices: Vec<DeviceInfo>,
    },
    /// The team's choices.
    Policy(PolicyInfo),
    /// Rows of the audit log.
    Audit(AuditPage),
    /// What the walk along the audit log's chain found.
    AuditVerified(AuditVerdict),
    /// A conversation was opened.
    Conversation {
        /// Its id, hex.
        id: String,
    },
    /// A conversation was destroyed.
    Shredded(ShredReport),
    /// Facts were imported.
    Imported {
        /// What became of them.
        report: ImportReport,
    },
    /// The list of sensitive words.
    Words {
        /// In the list's order: shipped, then added.
        words: Vec<WordInfo>,
        /// How far the look at everything stored got with this list.
        scan: ScanInfo,
    },
    /// What was found in a text.
    Found {
        /// In order of place.
        hits: Vec<HitInfo>,
    },
    /// All conversations.
    Conversations {
        /// In order of id.
        conversations: Vec<ConversationInfo>,
    },
}

/// How the hub is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Id of the hub, hex.
    pub hub: String,
    /// Where it listens.
    pub address: String,
    /// Names and addresses by which devices reach it.
    pub names: Vec<String>,
    /// What devices pin, hex.
    pub pinned_key: String,
    /// Whether devices are let in.
    pub ready: bool,
    /// Since its start.
    pub uptime_seconds: u64,
    /// Of the log, hex.
    pub epoch: String,
    /// The newest durable entry.
    pub newest_lsn: u64,
    /// Open WebSockets.
    pub connections: u64,
    /// Conversations whose state is in memory.
    pub conversations_in_memory: usize,
    /// Table files on disk.
    pub store_bytes: u64,
    /// Until the certificate expires; none if it has.
    pub certificate_days_left: Option<u64>,
    /// SHA-256 of the certificate of the hub's own authority, in pairs of digits, as browsers show it; none with a
    /// certificate of the operator's.
    pub authority: Option<String>,
    /// How its keys are.
    pub keys: KeyStatus,
}

/// A member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Staff number.
    pub id: u32,
    /// Shown name.
    pub name: String,
    /// Role.
    pub role: RoleName,
    /// Devices enrolled.
    pub devices: usize,
}

impl MemberInfo {
    pub(super) fn new(member: &Member, devices: usize) -> Self {
        Self { id: member.id.0, name: member.name.clone(), role: member.role.into(), devices }
    }
}

/// An entry of the list of sensitive words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WordInfo {
    /// Word or phrase.
    pub text: String,
    /// What it is about.
    pub category: String,
    /// Whether the team added it.
    pub added: bool,
}

/// How far the look at everything stored got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScanInfo {
    /// Whether nothing is left.
    pub done: bool,
    /// Documents looked at.
    pub documents: u64,
    /// Facts in them that hold words.
    pub found: u64,
    /// Documents that could not be read.
    pub failed: u64,
}

/// A word found in a text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HitInfo {
    /// The entry.
    pub word: String,
    /// What it is about.
    pub category: String,
    /// Where it begins, bytes.
    pub from: usize,
    /// Where it ends, bytes.
    pub to: usize,
}

/// A link for one new device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pairing {
    /// `lockstep://…`: a secret until it is used.
    pub link: String,
    /// The same for a browser, `https://…`.
    pub page: String,
    /// It can be used for so long, once.
    pub for_seconds: u32,
}

/// A device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Id, hex.
    pub id: String,
    /// Staff number of its member.
    pub member: u32,
    /// Shown name.
    pub name: String,
    /// When the hub last heard of it; none if it never has.
    pub last_seen: Option<String>,
}

impl DeviceInfo {
    pub(crate) fn new(listed: &ListedDevice) -> Self {
        let ListedDevice { device, member, name, seen_ms } = listed;
        let last_seen = seen_ms.map(audit::time_text);
        Self { id: device.to_string(), member: member.0, name: name.clone(), last_seen }
    }
}

/// The team's choices.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PolicyInfo {
    /// What becomes of a collided reply.
    pub collision: CollisionName,
    /// Whether agents see conversations that nobody is assigned to.
    pub agents_see_unassigned: bool,
    /// Whether service accounts take and meet the lock.
    pub services_lock: bool,
    /// Devices that a member may have at once; 0 for no limit.
    pub devices_max: u32,
    /// How long messages are kept: `forever`, or a number of days as `90d`.
    pub keep: KeepText,
}

impl From<Policy> for PolicyInfo {
    fn from(policy: Policy) -> Self {
        let Policy { collision, agents_see_unassigned, services_lock, devices_max, keep } = policy;
        let devices_max = devices_max.unwrap_or(0);
        let keep = KeepText(keep.unwrap_or_default());
        Self { collision: collision.into(), agents_see_unassigned, services_lock, devices_max, keep }
    }
}

/// A conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConversationInfo {
    /// Id, hex.
    pub id: String,
    /// The customer's shown name.
    pub customer: String,
    /// Service account of its channel.
    pub service: Option<u32>,
    /// Members assigned to it.
    pub assigned: Vec<u32>,
    /// Its newest entry.
    pub newest_lsn: u64,
    /// How long its messages are kept; none for as long as the policy says.
    pub keep: Option<KeepText>,
}

impl ConversationInfo {
    pub(super) fn new(row: &ConversationRow) -> Self {
        let conversation = &row.conversation;
        Self {
            id: conversation.id.to_string(),
            customer: conversation.customer.clone(),
            service: conversation.service.map(|member| member.0),
            assigned: conversation.assigned.iter().map(|member| member.0).collect(),
            newest_lsn: row.newest.0,
            keep: conversation.keep.map(KeepText),
        }
    }
}

/// What was destroyed of a conversation, and what it could not reach.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShredReport {
    /// Id, hex.
    pub conversation: String,
    /// Messages.
    pub messages: u64,
    /// Documents with facts.
    pub documents: u64,
    /// Data keys.
    pub keys: usize,
    /// Devices that are not connected: whatever they hold of it goes when they next connect.
    pub devices_away: Vec<DeviceInfo>,
}

/// What became of the facts of an import.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ImportReport {
    /// In the conversation now because of it.
    pub kept: u64,
    /// There before.
    pub known: u64,
    /// Messages among these, by id: whoever keeps a ledger of lines counts theirs as duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_messages: Vec<String>,
    /// Segments written.
    pub segments: u64,
    /// Can never stand, by why.
    pub refused: std::collections::BTreeMap<String, u64>,
}

impl ImportReport {
    /// Takes in what became of further facts.
    pub fn add(&mut self, part: Self) {
        self.kept += part.kept;
        self.known += part.known;
        self.known_messages.extend(part.known_messages);
        self.segments += part.segments;
        for (why, count) in part.refused {
            *self.refused.entry(why).or_default() += count;
        }
    }
}

/// Why not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// For programs; stable.
    pub code: String,
    /// For people: what to do.
    pub message: String,
}

impl Failure {
    /// With a code and a text.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    pub(super) fn refused(refusal: &Refusal) -> Self {
        let code = RefusalCode::from_number(refusal.code);
        let message = match code {
            Some(RefusalCode::MemberUnknown) => "there is no such member; `lockstep member list` shows all",
            Some(RefusalCode::ConversationUnknown) => {
                "there is no such conversation; `lockstep conversation list` shows all"
            }
            Some(RefusalCode::DeviceUnknown) => "there is no such device; `lockstep device list` shows all",
            Some(RefusalCode::AlreadyExists) => "this number or id is taken; numbers of former members stay taken",
            Some(RefusalCode::LastOwner) => "this would leave the team without an owner; make someone else owner first",
            Some(RefusalCode::FieldInvalid | RefusalCode::TooLarge) => "a value is empty, too long or not allowed",
            Some(RefusalCode::DevicesFull) => "this member has as many devices as the policy allows",
            Some(RefusalCode::ListFull) => "a list is at its limit",
            Some(RefusalCode::Draining) => "the hub is stopping",
            _ => "the hub refused",
        };
        let name = code.map_or_else(|| refusal.code.to_string(), |code| format!("{code:?}"));
        Self { code: snake_case(&name), message: format!("{message} ({name})") }
    }
}

/// A refusal's name as a code of JSON.
pub(crate) fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

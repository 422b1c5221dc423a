//! Verbs that a running hub does, over its admin socket.

use super::exit::{Exit, Failed};
use super::{ConversationVerb, DeviceVerb, KeyVerb, MemberVerb, Options, PolicyVerb, WordsVerb, output};
use crate::admin::{AdminClient, Answer, Request, ScanInfo};
use crate::keychain::KeyStatus;

/// What the hub is asked.
pub(super) enum Task {
    Status,
    ReloadCertificate,
    Words {
        /// Only what the team added.
        added: bool,
    },
    Pair {
        member: u32,
        qr: bool,
    },
    Ask(Request),
    /// A request with an id that is not one.
    Unusable(String),
}

impl From<MemberVerb> for Task {
    fn from(verb: MemberVerb) -> Self {
        Self::Ask(match verb {
            MemberVerb::Add { name, role, id } => Request::MemberAdd { id, name, role },
            MemberVerb::List => Request::MemberList,
            MemberVerb::Role { member, role } => Request::MemberRole { id: member, role },
            MemberVerb::Remove { member } => Request::MemberRemove { id: member },
        })
    }
}

impl From<KeyVerb> for Task {
    fn from(verb: KeyVerb) -> Self {
        Self::Ask(match verb {
            KeyVerb::Status => Request::KeyStatus,
            KeyVerb::Rotate => Request::KeyRotate,
        })
    }
}

impl From<DeviceVerb> for Task {
    fn from(verb: DeviceVerb) -> Self {
        match verb {
            DeviceVerb::List => Self::Ask(Request::DeviceList),
            DeviceVerb::Revoke { device } => {
                device.parse().map_or_else(Self::Unusable, |device| Self::Ask(Request::DeviceRevoke { device }))
            }
        }
    }
}

impl From<PolicyVerb> for Task {
    fn from(verb: PolicyVerb) -> Self {
        Self::Ask(match verb {
            PolicyVerb::Show => Request::PolicyShow,
            PolicyVerb::Set(change) => Request::PolicySet(change),
        })
    }
}

impl From<ConversationVerb> for Task {
    fn from(verb: ConversationVerb) -> Self {
        match verb {
            ConversationVerb::New { customer, service, assign } => {
                Self::Ask(Request::ConversationNew { customer, service, assigned: assign })
            }
            ConversationVerb::List => Self::Ask(Request::ConversationList),
            ConversationVerb::Assign { conversation, member } => conversation
                .parse()
                .map_or_else(Self::Unusable, |conversation| Self::Ask(Request::Assign { conversation, member })),
            ConversationVerb::Unassign { conversation, member } => conversation
                .parse()
                .map_or_else(Self::Unusable, |conversation| Self::Ask(Request::Unassign { conversation, member })),
            ConversationVerb::Keep { conversation, keep } => {
                let ask = |conversation| Self::Ask(Request::ConversationKeep { conversation, keep: keep.0 });
                conversation.parse().map_or_else(Self::Unusable, ask)
            }
        }
    }
}

impl From<WordsVerb> for Task {
    fn from(verb: WordsVerb) -> Self {
        match verb {
            WordsVerb::List { added } => Self::Words { added },
            WordsVerb::Add { category, words } => Self::Ask(Request::WordsAdd { words, category }),
            WordsVerb::Remove { words } => Self::Ask(Request::WordsRemove { words }),
            WordsVerb::Test { text } => Self::Ask(Request::WordsTest { text }),
        }
    }
}

/// Asks the hub and prints its answer.
pub(super) fn run(options: &Options, task: Task) -> Result<(), Failed> {
    let folder = options.config()?.folder;
    let only_added = matches!(task, Task::Words { added: true });
    let (request, qr) = match task {
        Task::Status => (Request::Status, false),
        Task::ReloadCertificate => (Request::RefreshCertificate, false),
        Task::Words { .. } => (Request::WordsList, false),
        Task::Pair { member, qr } => (Request::Pair { id: member }, qr),
        Task::Ask(request) => (request, false),
        Task::Unusable(what) => return Err(Failed::new(Exit::Usage, "usage", what)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { AdminClient::connect(&folder).await?.ask(&request).await })?;
    let answer = match answer {
        Answer::Words { mut words, scan } => {
            words.retain(|word| word.added || !only_added);
            Answer::Words { words, scan }
        }
        other => other,
    };
    if options.json { output::json(&answer) } else { print(&answer, qr) }
}

/// Prints an answer for people.
pub(super) fn print(answer: &Answer, qr: bool) -> Result<(), Failed> {
    match answer {
        Answer::Done => output::line("done"),
        Answer::Shredded(report) => super::shred::print(report),
        Answer::Imported { report } => output::line(&format!("{} kept, {} there before", report.kept, report.known)),
        Answer::Member { id } => output::line(&format!("member {id}")),
        Answer::Conversation { id } => output::line(id),
        Answer::Pairing(pairing) => {
            if qr {
                output::line(&output::qr(&pairing.page)?)?;
            }
            output::line(&pairing.page)?;
            output::line(&pairing.link)?;
            output::line(&format!(
                "for a browser, or an app; good for one device, for {} minutes",
                pairing.for_seconds / 60
            ))
        }
        Answer::Members { members } => {
            let rows = members.iter().map(|member| {
                vec![member.id.to_string(), member.name.clone(), member.role.to_string(), member.devices.to_string()]
            });
            output::table(&["number", "name", "role", "devices"], &rows.collect::<Vec<_>>())
        }
        Answer::Words { words, scan } => {
            let rows = words.iter().map(|word| {
                let origin = if word.added { "added" } else { "shipped" };
                vec![word.category.clone(), origin.to_owned(), word.text.clone()]
            });
            output::table(&["category", "from", "word"], &rows.collect::<Vec<_>>())?;
            let ScanInfo { documents, found, failed, .. } = scan;
            let how = if scan.done { "everything stored was looked at" } else { "what is stored is being looked at" };
            let failed = if *failed > 0 { format!(", {failed} could not be read") } else { String::new() };
            output::line(&format!("{how}: {documents} documents, {found} facts with words{failed}"))
        }
        Answer::Found { hits } if hits.is_empty() => output::line("nothing"),
        Answer::Found { hits } => {
            let rows =
                hits.iter().map(|hit| vec![hit.category.clone(), hit.word.clone(), format!("{}–{}", hit.from, hit.to)]);
            output::table(&["category", "word", "bytes"], &rows.collect::<Vec<_>>())
        }
        Answer::Devices { devices } => {
            let rows = devices.iter().map(|device| {
                let last_seen = device.last_seen.clone().unwrap_or_else(|| "never".into());
                vec![device.id.clone(), device.member.to_string(), device.name.clone(), last_seen]
            });
            output::table(&["device", "member", "name", "last seen"], &rows.collect::<Vec<_>>())
        }
        Answer::Conversations { conversations } => {
            let list = |members: &[u32]| members.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let rows = conversations.iter().map(|row| {
                let service = row.service.map_or(String::new(), |service| service.to_string());
                let keep = row.keep.map_or_else(|| "team".to_owned(), |keep| keep.0.to_string());
                vec![row.id.clone(), row.customer.clone(), list(&row.assigned), service, keep]
            });
            output::table(&["conversation", "customer", "assigned", "service", "keep"], &rows.collect::<Vec<_>>())
        }
        Answer::ImportKey { key } => output::line(key),
        Answer::Verified(report) => super::verify::print(report),
        Answer::CertificateKey { key } => output::line(key.trim_end()),
        Answer::Keys(keys) => {
            let rows = [
                ("root key", keys.root.clone()),
                ("sealed", sealed(keys)),
                ("generation", keys.generation.to_string()),
                ("data keys", format!("{}, {} of them spare, {} destroyed", keys.keys, keys.spare, keys.destroyed)),
            ];
            rows.iter().try_for_each(|(name, value)| output::line(&format!("{name:<13} {value}")))
        }
        Answer::Policy(policy) => {
            let limit = match policy.devices_max {
                0 => "no limit".to_owned(),
                max => max.to_string(),
            };
            let rows = [
                ("collision", format!("{:?}", policy.collision).to_lowercase()),
                ("agents see unassigned", policy.agents_see_unassigned.to_string()),
                ("services lock", policy.services_lock.to_string()),
                ("devices a member", limit),
                ("messages are kept", policy.keep.0.to_string()),
            ];
            rows.iter().try_for_each(|(name, value)| output::line(&format!("{name:<21} {value}")))
        }
        Answer::Audit(page) => super::audit::print(&page.rows),
        Answer::AuditVerified(verdict) => super::audit::print_verdict(verdict),
        Answer::Status(status) => {
            let days = status.certificate_days_left.map_or("expired".into(), |days| format!("{days} days left"));
            let rows = [
                ("ready", if status.ready { "yes" } else { "no" }.to_owned()),
                ("version", status.version.clone()),
                ("hub", status.hub.clone()),
                ("listens on", status.address.clone()),
                ("reached as", status.names.join(", ")),
                ("pinned key", status.pinned_key.clone()),
                ("certificate", days),
                ("authority", status.authority.clone().unwrap_or_else(|| "the operator's".into())),
                ("up for", format!("{} s", status.uptime_seconds)),
                ("connections", status.connections.to_string()),
                ("newest entry", status.newest_lsn.to_string()),
                ("epoch", status.epoch.clone()),
                ("in memory", format!("{} conversations", status.conversations_in_memory)),
                ("sealed", sealed(&status.keys)),
                ("root key", status.keys.root.clone()),
                ("on disk", format!("{} bytes in table files", status.store_bytes)),
            ];
            rows.iter().try_for_each(|(name, value)| output::line(&format!("{name:<13} {value}")))
        }
    }
}

/// What is sealed, for people.
pub(super) fn sealed(keys: &KeyStatus) -> String {
    match (keys.mode.as_str(), keys.complete) {
        ("all", true) => "everything".into(),
        ("all", false) => "what is new; rows from before are being sealed".into(),
        _ => "the vault class alone (seal.mode)".into(),
    }
}

//! Who is who: the customer, the members, and those whom nobody named.

use std::collections::BTreeMap;

use lockstep_protocol::id::MemberId;
use lockstep_protocol::limits::NAME_BYTES_MAX;

use super::{PlanError, PlanOptions};
use crate::glyph::{head, plain};
use crate::whatsapp::{Reading, customer_in};

/// What a sender is to the team.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// The customer: `in`.
    Customer,
    /// A member: `out`.
    Member(MemberId),
    /// Speaks for the team, but nobody said who it is: `out`, by the importing member.
    Unnamed,
}

/// One sender of the export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SenderPlan {
    /// The shown name.
    pub name: String,
    /// What they are.
    pub role: Role,
    /// How many messages they have.
    pub messages: u64,
}

/// For comparing names: no marks, plain spaces, lowercase, no `~` of unsaved contacts.
pub(super) fn fold(name: &str) -> String {
    let name = plain(name).to_lowercase();
    name.strip_prefix('~').map_or(name.clone(), |rest| rest.trim_start().to_owned())
}

/// The customer's name: as given, else as a file's name has it, else the file's name itself unless it says nothing.
pub(super) fn customer_name(file_names: &[String], options: &PlanOptions) -> Option<String> {
    let stem = |name: &String| {
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).trim().to_owned();
        (!stem.is_empty() && !stem.starts_with('_')).then_some(stem)
    };
    let given = options.customer.as_ref().map(|name| plain(name)).filter(|name| !name.is_empty());
    let found = given
        .or_else(|| file_names.iter().find_map(|name| customer_in(name)))
        .or_else(|| file_names.iter().rev().find_map(stem))?;
    let clean: String = found.chars().filter(|c| !c.is_control()).collect();
    let cut = head(&clean, NAME_BYTES_MAX).trim().to_owned();
    (!cut.is_empty()).then_some(cut)
}

/// The role of every sender, by folded name, and the same for a person to read.
pub(super) fn roles(
    reading: &Reading,
    customer: &str,
    options: &PlanOptions,
) -> Result<(BTreeMap<String, Role>, Vec<SenderPlan>), PlanError> {
    let mut senders: BTreeMap<String, (String, u64)> = BTreeMap::new();
    for from in reading.records.iter().filter_map(|record| record.from.as_ref()) {
        senders.entry(fold(from)).or_insert_with(|| (from.clone(), 0)).1 += 1;
    }
    let mut roles: BTreeMap<String, Role> = BTreeMap::new();
    let members = options.members.iter().map(|(name, member)| (name, Role::Member(*member)));
    let customers = options.customer_senders.iter().map(|name| (name, Role::Customer));
    for (name, role) in members.chain(customers) {
        let folded = fold(name);
        if !senders.contains_key(&folded) {
            return Err(PlanError::SenderUnknown { name: name.clone() });
        }
        if roles.insert(folded, role).is_some_and(|before| before != role) {
            return Err(PlanError::SenderTwice { name: name.clone() });
        }
    }
    if options.customer_senders.is_empty() {
        let unnamed: Vec<&String> = senders.keys().filter(|name| !roles.contains_key(*name)).collect();
        let alike = unnamed.iter().copied().find(|name| **name == fold(customer));
        // With all members named, the one who is left is the customer.
        let left = if let [only] = unnamed[..] { Some(only).filter(|_| !roles.is_empty()) } else { None };
        let Some(found) = alike.or(left) else {
            let mut names: Vec<(String, u64)> = senders.into_values().collect();
            names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            return Err(PlanError::CustomerUnknown { senders: names.into_iter().map(|(name, _)| name).collect() });
        };
        roles.insert(found.clone(), Role::Customer);
    }
    let mut shown = Vec::new();
    for (folded, (name, messages)) in senders {
        let role = *roles.entry(folded).or_insert(Role::Unnamed);
        shown.push(SenderPlan { name, role, messages });
    }
    shown.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| a.name.cmp(&b.name)));
    Ok((roles, shown))
}

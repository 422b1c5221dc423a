//! `lockstep verify`: a look at everything that the hub holds, and what it found, as programs and people read it.

use lockstep_protocol::entry::HubKey;
use serde::{Deserialize, Serialize};

use crate::audit;
use crate::store::keys::Family;
use crate::store::{Store, StoreError};

/// What a look at everything found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Rows of the store that were opened and read.
    pub rows: u64,
    /// Entries whose place in the log's chain is proven.
    pub entries: u64,
    /// Rows whose place in the audit log's chain is proven.
    pub audit_rows: u64,
    /// Entries whose body was erased, because of its age or with its conversation: their places are not proven.
    pub erased: u64,
    /// Rows whose data key was destroyed: nobody can read them, and nobody should.
    pub shredded: u64,
    /// Damaged or missing rows.
    pub damaged: u64,
    /// The first of them.
    pub damage: Vec<DamageInfo>,
}

/// A damaged or missing row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DamageInfo {
    /// Its column family, or the file that it is of.
    pub family: String,
    /// Its key, hex.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

/// Looks at everything; `progress` hears the number of rows now and then.
///
/// # Errors
/// `Engine`: the disk, not what is on it.
pub fn verify(store: &Store, key: &HubKey, progress: &mut dyn FnMut(u64)) -> Result<VerifyReport, StoreError> {
    let reader = store.reader();
    let found = reader.verify(Some(key), progress)?;
    let mut report = VerifyReport {
        rows: found.rows,
        entries: found.entries,
        erased: found.erased,
        shredded: found.shredded,
        damaged: found.damaged,
        damage: found.damage.iter().filter_map(DamageInfo::of).collect(),
        ..VerifyReport::default()
    };
    match audit::verify(&reader, key) {
        Ok(verdict) => {
            report.audit_rows = verdict.rows;
            if let Some(bad) = verdict.bad {
                let key = hex::encode(bad.sequence.to_be_bytes());
                report.add(DamageInfo { family: Family::Audit.name().into(), key, what: bad.why });
            }
        }
        // A row that does not open: it is in the list.
        Err(StoreError::Corrupt { .. }) if report.damaged > 0 => {}
        Err(error) => return Err(error),
    }
    if let Err(error) = store.outside() {
        report.add(DamageInfo { family: "revocations.log".into(), key: String::new(), what: error.to_string() });
    }
    Ok(report)
}

impl VerifyReport {
    fn add(&mut self, damage: DamageInfo) {
        let is_known = |known: &DamageInfo| (&known.family, &known.key) == (&damage.family, &damage.key);
        if !self.damage.iter().any(is_known) {
            self.damaged += 1;
            self.damage.push(damage);
        }
    }
}

impl DamageInfo {
    fn of(error: &StoreError) -> Option<Self> {
        match error {
            StoreError::Corrupt { family, key, what } => {
                Some(Self { family: (*family).into(), key: key.clone(), what: (*what).into() })
            }
            _ => None,
        }
    }
}

//! Whoever can write to the closed store changes, cuts, moves, removes and puts back what they like: all of it is found
//! and named, nothing is read as something else, and nothing panics.

#[path = "support/course.rs"]
mod course;

use std::path::Path;

use lockstep_protocol::entry::HubKey;
use lockstep_seal::Class;
use lockstep_server::keychain::{KeyError, Keychain, SealMode};
use lockstep_server::store::keys::{self, Family, Meta};
use lockstep_server::store::seal::{self, Place};
use lockstep_server::store::{Store, StoreConfig, StoreError};
use lockstep_server::verify::{self, DamageInfo};

use course::{ONE, OTHER, Raw, Row, Texts};

const TEXTS: Texts = Texts {
    customer: "Palisade Mango GmbH",
    member: "Marigold Quince",
    bodies: ["the secret of the orchard", "a plain word about pears", "the iban of the cider press", "nothing else"],
    edit: "another word about pears",
    reason: "said twice",
    emoji: "🍐",
    field: "street",
    value: "Orchard Road 7",
    label: "cider",
    media_name: "pears.jpg",
    media_hash: [0x5a; 32],
};

/// The key of the stamps and the log's chain.
fn hub_key() -> HubKey {
    HubKey::new(&[8; 32])
}

impl Raw {
    fn put(&self, family: Family, key: &[u8], value: Option<&[u8]>) {
        let family = self.0.cf_handle(family.name()).unwrap();
        match value {
            Some(value) => self.0.put_cf(family, key, value).unwrap(),
            None => self.0.delete_cf(family, key).unwrap(),
        }
    }
}

/// Copies a folder with all that is in it.
fn copy_folder(from: &Path, to: &Path) {
    for path in course::files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(path, target).unwrap();
    }
}

fn open(folder: &Path) -> Result<Store, KeyError> {
    Store::open(&folder.join("hub"), &StoreConfig::default(), &course::seal(folder, SealMode::All))
}

fn written(removals: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).unwrap().commit(&course::batches(TEXTS, removals)).unwrap();
    folder
}

/// What is said of the closed store: when it is opened, or by a look at everything.
fn damage(folder: &Path) -> Vec<DamageInfo> {
    let of = |error: StoreError| match error {
        StoreError::Corrupt { family, key, what } => DamageInfo { family: family.into(), key, what: what.into() },
        error => panic!("{error}"),
    };
    match open(folder) {
        Ok(store) => verify::verify(&store, &hub_key(), &mut |_| {}).unwrap().damage,
        Err(KeyError::Store(error @ StoreError::OtherHub(_))) => {
            let (family, key) = (Family::Meta.name().into(), hex::encode(Meta::Hub.key()));
            vec![DamageInfo { family, key, what: error.to_string() }]
        }
        Err(KeyError::Store(error)) => vec![of(error)],
        Err(error) => panic!("{error}"),
    }
}

fn names(damage: &[DamageInfo], family: Family, key: &[u8]) -> bool {
    damage.iter().any(|damage| damage.family == family.name() && damage.key == hex::encode(key))
}

/// Sealed rows of each family, of each class that it has.
fn sealed_rows(raw: &Raw) -> Vec<(Family, Row)> {
    let mut found = Vec::new();
    for family in Family::ALL {
        for class in Class::ALL {
            let rows = raw.rows(family);
            let is_of = |row: &&Row| row.1.first() == Some(&2) && row.1[1] == class.number();
            found.extend(rows.iter().rfind(is_of).map(|row| (family, row.clone())));
        }
    }
    found
}

#[test]
fn what_nobody_touched_is_whole() {
    let folder = written(2);
    let store = open(folder.path()).unwrap();
    let mut heard = 0;
    let report = verify::verify(&store, &hub_key(), &mut |_| heard += 1).unwrap();
    assert_eq!((report.damaged, report.shredded, heard), (0, 0, 0), "{report:?}");
    assert_eq!(report.entries, store.reader().stored().unwrap().head.lsn.0);
    assert!(report.rows > 100 && report.audit_rows > 10, "{report:?}");
    // What is shredded is no damage.
    assert!(store.destroy_keys(ONE).unwrap() > 1);
    let report = verify::verify(&store, &hub_key(), &mut |_| {}).unwrap();
    assert!(report.damaged == 0 && report.shredded > 20, "{report:?}");
}

#[test]
fn every_byte_and_every_length_of_a_sealed_row_of_each_class_counts() {
    let folder = written(1);
    let raw = Raw::open(folder.path());
    let keychain = Keychain::open(&folder.path().join("hub"), &course::seal(folder.path(), SealMode::All)).unwrap();
    let rows = sealed_rows(&raw);
    let has = |family, class: Class| rows.iter().any(|(of, row)| *of == family && row.1[1] == class.number());
    for family in [Family::Log, Family::Snapshots, Family::Keys] {
        assert!(has(family, Class::Vault), "{family:?}");
    }
    let normal = Family::ALL.into_iter().filter(|family| !matches!(family, Family::Tails | Family::DataKeys));
    assert!(normal.clone().all(|family| has(family, Class::Normal)));
    for (family, (key, stored)) in &rows {
        let place = Place { family: *family, key };
        seal::unpack(&keychain, place, stored).unwrap();
        let check = |spoilt: &[u8], what: &dyn std::fmt::Debug| match seal::unpack(&keychain, place, spoilt) {
            Err(StoreError::Corrupt { family: found, key: named, .. }) => {
                assert_eq!((found, named), (family.name(), hex::encode(key)));
            }
            other => panic!("{family:?}, {what:?}: {other:?}"),
        };
        for at in 0..stored.len() {
            for bits in [1 << (at % 8), 0xff] {
                let mut spoilt = stored.clone();
                spoilt[at] ^= bits;
                check(&spoilt, &at);
            }
            check(&stored[..at], &at);
        }
        check(&[&stored[..], &[0]].concat(), &"longer");
        check(&[1, 0, 0x80], &"in the clear");
    }
    // Into every other place that is, and the same place of another family.
    for (from, (_, stored)) in &rows {
        for (to, (key, own)) in &rows {
            if stored != own {
                let place = Place { family: *to, key };
                let moved = seal::unpack(&keychain, place, stored);
                assert!(matches!(moved, Err(StoreError::Corrupt { .. })), "{from:?} to {to:?}: {moved:?}");
            }
        }
    }
}

/// In the clear are an index row's place, keys of tails, names of data keys, format and hub: what is changed there is
/// found too, by what it is held against.
#[test]
fn every_bit_of_what_is_not_sealed_is_held_against_what_is() {
    let folder = written(1);
    let raw = Raw::open(folder.path());
    let bare = |family| raw.rows(family).into_iter().rfind(|(_, stored)| stored.first() == Some(&1));
    let delivered = raw.rows(Family::Keys).into_iter().find(|(_, stored)| stored[0] == 1 && stored[2] >= 1 << 2);
    let mut rows: Vec<(Family, Row)> = Vec::new();
    rows.extend(bare(Family::Keys).map(|row| (Family::Keys, row)));
    rows.extend(delivered.map(|row| (Family::Keys, row)));
    for key in
        [keys::data_key(seal::Owner::Hub, Class::Normal), keys::data_key(seal::Owner::Conversation(ONE), Class::Vault)]
    {
        rows.extend(raw.rows(Family::DataKeys).into_iter().find(|row| row.0 == key).map(|row| (Family::DataKeys, row)));
    }
    let tails = raw.rows(Family::Tails);
    rows.extend(tails.last().map(|row| (Family::Tails, row.clone())));
    let hub = raw.rows(Family::Meta).into_iter().find(|row| row.0 == Meta::Hub.key());
    rows.extend(hub.map(|row| (Family::Meta, row)));
    assert_eq!(rows.len(), 6);
    drop(raw);
    let check = |family: Family, key: &[u8], spoilt: Option<&[u8]>, stored: &[u8], what: &str| {
        Raw::open(folder.path()).put(family, key, spoilt);
        assert!(!damage(folder.path()).is_empty(), "{family:?}, {what} of {stored:02x?}");
        Raw::open(folder.path()).put(family, key, Some(stored));
    };
    for (family, (key, stored)) in &rows {
        for at in 0..stored.len() {
            let mut spoilt = stored.clone();
            spoilt[at] ^= 1 << (at % 8);
            check(*family, key, Some(&spoilt), stored, &format!("byte {at}"));
        }
        if !stored.is_empty() {
            check(*family, key, Some(&stored[..stored.len() - 1]), stored, "one byte less");
        }
        // A hub without its own id is a new one, which the keys beside it are not for: they are.
        if *family != Family::Meta {
            check(*family, key, None, stored, "removal");
        }
    }
    assert_eq!(damage(folder.path()), []);
}

#[test]
fn rows_that_are_removed_moved_or_put_back_are_named() {
    // The same hub, some entries later: what is taken from `before` was true once.
    let all = course::batches(TEXTS, 1);
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let talks: Vec<usize> =
        (0..all.len()).filter(|at| all[*at].entries.iter().any(|entry| entry.conversation == Some(ONE))).collect();
    let middle = talks[talks.len() / 2];
    store.commit(&all[..middle]).unwrap();
    drop(store);
    let raw = Raw::open(folder.path());
    let before: Vec<(Family, Vec<Row>)> = Family::ALL.into_iter().map(|family| (family, raw.rows(family))).collect();
    drop(raw);
    open(folder.path()).unwrap().commit(&all[middle..]).unwrap();
    assert_eq!(damage(folder.path()), []);

    let raw = Raw::open(folder.path());
    let now: Vec<(Family, Vec<Row>)> = Family::ALL.into_iter().map(|family| (family, raw.rows(family))).collect();
    drop(raw);
    let of = |rows: &[(Family, Vec<Row>)], family: Family| rows.iter().find(|(of, _)| *of == family).unwrap().1.clone();
    type Change = (Family, Vec<u8>, Option<Vec<u8>>);
    let mut changes: Vec<(String, Vec<Change>)> = Vec::new();
    // Removed: the first, one in the middle, the last.
    for family in Family::ALL.into_iter().filter(|family| !matches!(family, Family::Meta | Family::Directory)) {
        let rows = of(&now, family);
        for at in [0, rows.len() / 2, rows.len() - 1] {
            changes.push((format!("{family:?} {at} removed"), vec![(family, rows[at].0.clone(), None)]));
        }
    }
    // Exchanged, within a family.
    for family in Family::ALL.into_iter().filter(|family| *family != Family::Tails) {
        let rows = of(&now, family);
        for (one, two) in [(0, 1), (rows.len() - 2, rows.len() - 1)] {
            let pair = [(&rows[one].0, &rows[two].1), (&rows[two].0, &rows[one].1)];
            let pair = pair.map(|(key, value)| (family, key.clone(), Some(value.clone())));
            changes.push((format!("{family:?} {one} and {two} exchanged"), pair.to_vec()));
        }
    }
    // Between the same places of two conversations.
    for family in [Family::Conversations, Family::Documents, Family::Snapshots, Family::DataKeys] {
        let rows = of(&now, family);
        let moved = rows.iter().find_map(|(key, value)| {
            let twin = [&OTHER.0[..], key.strip_prefix(&ONE.0[..])?].concat();
            rows.iter().any(|row| row.0 == twin).then(|| (family, twin, Some(value.clone())))
        });
        changes.push((format!("{family:?} of another conversation"), vec![moved.unwrap()]));
    }
    // An older version put back, of a row that the log tells of.
    for family in [Family::Conversations, Family::Documents, Family::Chains, Family::Snapshots] {
        let rows = of(&now, family);
        let old = of(&before, family).into_iter().find(|old| rows.iter().any(|row| row.0 == old.0 && row.1 != old.1));
        if let Some((key, value)) = old {
            changes.push((format!("{family:?} older"), vec![(family, key, Some(value))]));
        }
    }
    // The newest entries gone with the head, but nothing else.
    let (log, meta) = (of(&now, Family::Log), of(&before, Family::Meta));
    let head = |rows: &[Row]| rows.iter().find(|row| row.0 == Meta::Head.key()).unwrap().clone();
    let length = of(&before, Family::Log).len();
    let mut gone: Vec<Change> = log[length..].iter().map(|row| (Family::Log, row.0.clone(), None)).collect();
    let (key, value) = head(&meta);
    gone.push((Family::Meta, key, Some(value)));
    changes.push(("the end of the log, and the head before it".into(), gone));
    assert!(changes.len() > 50, "{}", changes.len());

    for (what, change) in changes {
        let raw = Raw::open(folder.path());
        change.iter().for_each(|(family, key, value)| raw.put(*family, key, value.as_deref()));
        drop(raw);
        let found = damage(folder.path());
        assert!(!found.is_empty(), "{what}: not found");
        // Which of two that were exchanged, or what hangs on a removed one, is a matter of order; the log names its own.
        let named = change.iter().any(|(family, key, _)| names(&found, *family, key));
        let is_told_by_others = change[0].0 == Family::DataKeys || change.len() > 2;
        assert!(named || is_told_by_others, "{what}: {found:?}");
        let raw = Raw::open(folder.path());
        for (family, key, _) in &change {
            let row = of(&now, *family).into_iter().find(|row| row.0 == *key);
            raw.put(*family, key, row.as_ref().map(|row| &row.1[..]));
        }
    }
    assert_eq!(damage(folder.path()), []);
}

/// An entry of the same number from another past of the hub opens, as it was sealed for that place: the chain tells.
#[test]
fn an_entry_from_another_past_is_found() {
    let all = course::batches(TEXTS, 0);
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).unwrap().commit(&all).unwrap();
    let past = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), past.path());
    // Restored from a copy that was made at the start, the hub lived another life, with the same keys.
    let bodies = ["a secret of somebody else", "nothing of pears", "the iban of somebody else", "nothing at all"];
    let others = course::batches(Texts { bodies, customer: "Somebody Else", ..TEXTS }, 0);
    open(past.path()).unwrap().commit(&others).unwrap();
    let (raw, other) = (Raw::open(folder.path()), Raw::open(past.path()));
    let (now, before) = (raw.rows(Family::Log), other.rows(Family::Log));
    assert_eq!(raw.rows(Family::DataKeys), other.rows(Family::DataKeys));
    drop(other);
    let places = || (12..now.len() - 1).step_by(5);
    for at in places() {
        raw.put(Family::Log, &now[at].0, Some(&before[at].1));
    }
    drop(raw);
    open(folder.path()).unwrap().check().unwrap();
    let found = damage(folder.path());
    assert!(places().all(|at| names(&found, Family::Log, &now[at].0)), "{found:?}");
}

/// That everything was put back to what it was once no hub can see by itself: devices can. So it says nothing.
#[test]
fn a_whole_store_of_yesterday_is_whole() {
    let all = course::batches(TEXTS, 1);
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).unwrap().commit(&all[..all.len() / 2]).unwrap();
    let old = tempfile::tempdir().unwrap();
    copy_folder(&folder.path().join("hub/store"), old.path());
    open(folder.path()).unwrap().commit(&all[all.len() / 2..]).unwrap();
    std::fs::remove_dir_all(folder.path().join("hub/store")).unwrap();
    copy_folder(old.path(), &folder.path().join("hub/store"));
    assert_eq!(damage(folder.path()), []);
}

#[test]
fn the_files_beside_the_store_are_whole_or_refused() {
    let folder = written(3);
    let hub = folder.path().join("hub");
    let refused = |what: &dyn std::fmt::Debug| match open(folder.path()) {
        Ok(_) => panic!("{what:?}: it opened"),
        Err(error) => error.to_string(),
    };
    for name in ["keys/data.keys", "revocations.log"] {
        let path = hub.join(name);
        let whole = std::fs::read(&path).unwrap();
        let few = if whole.len() > 4_096 { 2_999 } else { 29 };
        let places = (0..whole.len()).filter(|at| at % few == 0 || *at + 4 > whole.len());
        for at in places {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 1 << (at % 8);
            std::fs::write(&path, spoilt).unwrap();
            let said = refused(&(name, "byte", at));
            assert!(said.contains(name.rsplit('/').next().unwrap()), "{said}");
            std::fs::write(&path, &whole[..at]).unwrap();
            refused(&(name, "length", at));
        }
        std::fs::write(&path, &whole).unwrap();
    }
    // A list that is gone begins anew; one that is older than what the store knows does not.
    let path = hub.join("revocations.log");
    let whole = std::fs::read(&path).unwrap();
    let first = 12 + usize::try_from(u32::from_be_bytes(*whole.first_chunk().unwrap())).unwrap();
    std::fs::write(&path, &whole[..first]).unwrap();
    assert!(refused(&"older").contains("holds 1 whole records, the store knows of"));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(open(folder.path()).unwrap().outside().unwrap(), []);
    assert_eq!(open(folder.path()).unwrap().outside().unwrap(), []);

    // An older file of keys: what was sealed under newer keys is not read, and says why.
    let keys = hub.join("keys/data.keys");
    let fresh = tempfile::tempdir().unwrap();
    let seal = course::seal(fresh.path(), SealMode::All);
    let keychain = Keychain::open(&fresh.path().join("hub"), &seal).unwrap();
    let old = std::fs::read(fresh.path().join("hub/keys/data.keys")).unwrap();
    keychain.rotate().unwrap();
    drop(keychain);
    open(fresh.path()).unwrap().commit(&course::batches(TEXTS, 0)).unwrap();
    // Before the rotation: the same data keys in other wrapping.
    std::fs::write(fresh.path().join("hub/keys/data.keys"), &old).unwrap();
    assert_eq!(damage(fresh.path()), []);
    // Of another hub, under another root key.
    std::fs::write(&keys, &old).unwrap();
    assert!(refused(&"another hub's").contains("root.key"));
}

//! The guarded worker beside the cores: builds, saves and loads documents.
//!
//! Most seeds use a plain list of facts in place of an Automerge document: the cores treat both as opaque bytes. Some
//! seeds use the real one.

use std::collections::BTreeMap;

use bytes::Bytes;
use lockstep_core::effect::{Apply, Scan};
use lockstep_core::input::ApplyFailure;
use lockstep_core::row::SnapshotRow;
use lockstep_core::scan::{self, Hit};
use lockstep_protocol::change::{ChainHead, derive};
use lockstep_protocol::codec;
use lockstep_protocol::document::{self, ChainFact, Document};
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::id::{ActorId, DocumentKind, Lsn};
use lockstep_protocol::snapshot::{Table, TableEvent, TableFact};

use crate::store::Disk;

/// What documents are made of in this seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Worker {
    /// A list of facts.
    Facts,
    /// Automerge.
    Automerge,
}

type Listed = (ActorId, u32, Fact);

impl Worker {
    /// The saved document that `base` and `facts` make; none if the chains do not fit or are not `expect`.
    #[must_use]
    pub fn save(
        self,
        kind: DocumentKind,
        base: Option<&[u8]>,
        facts: Vec<ChainFact>,
        expect: Option<&BTreeMap<ActorId, ChainHead>>,
    ) -> Option<Vec<u8>> {
        let mut all = match base {
            Some(bytes) if !bytes.is_empty() => self.facts(kind, bytes)?,
            _ => Vec::new(),
        };
        all.extend(facts);
        let heads = heads(kind, &all)?;
        if expect.is_some_and(|expect| *expect != heads) {
            return None;
        }
        match self {
            Self::Facts => {
                let list: Vec<Listed> = all.into_iter().map(|placed| (placed.actor, placed.seq, placed.fact)).collect();
                Some(codec::encode(&list))
            }
            Self::Automerge => document::compact(kind, None, all, &heads).ok(),
        }
    }

    /// The facts of a saved document, each chain in order.
    #[must_use]
    pub fn facts(self, kind: DocumentKind, bytes: &[u8]) -> Option<Vec<ChainFact>> {
        match self {
            Self::Facts => {
                let list: Vec<Listed> = minicbor_list(bytes)?;
                Some(list.into_iter().map(|(actor, seq, fact)| ChainFact { actor, seq, fact }).collect())
            }
            Self::Automerge => Document::load(kind, bytes).ok()?.facts().ok(),
        }
    }

    /// Looks for a hub's sensitive words in its committed disk; none if a document cannot be read.
    #[must_use]
    pub fn scan(self, disk: &Disk, scan: &Scan) -> Option<Vec<Hit>> {
        let document = scan.document;
        let base = disk.snapshot(document);
        let after = base.map_or(Lsn::ZERO, |row| row.upto);
        let mut facts = Vec::new();
        if let Some(row) = base {
            let announced = row.table.events.first().map(|event| event.stamp.lsn);
            for placed in self.facts(document.kind, &row.bytes)? {
                let is_it = |fact: &&TableFact| (fact.actor, fact.seq) == (placed.actor, placed.seq);
                let lsn = row.table.facts.iter().find(is_it).map(|fact| fact.stamp.lsn).or(announced)?;
                facts.push((lsn, placed.fact));
            }
        }
        for logged in disk.tail(document, after) {
            if let EntryBody::Fact(placed) = Entry::from_bytes(&logged.bytes)?.body {
                facts.push((logged.lsn, placed.fact));
            }
        }
        Some(scan::hits(&*scan.words, facts.iter().map(|(lsn, fact)| (*lsn, fact))))
    }

    /// Carries out a hub's compaction from its committed disk.
    ///
    /// # Errors
    /// As the hub expects them.
    pub fn apply(self, disk: &Disk, apply: &Apply) -> Result<SnapshotRow, ApplyFailure> {
        let kind = apply.document.kind;
        let base = disk.snapshot(apply.document).filter(|_| !apply.rebuild);
        let after = base.map_or(Lsn::ZERO, |row| row.upto);
        let mut table = base.map_or_else(Table::default, |row| row.table.clone());
        let mut facts = Vec::new();
        for logged in disk.tail(apply.document, after).filter(|logged| logged.lsn <= apply.upto) {
            let entry = Entry::from_bytes(&logged.bytes).ok_or(ApplyFailure::Unreadable)?;
            let epoch = table.epoch_index(disk.epoch(logged.lsn));
            match entry.body {
                EntryBody::Fact(placed) => {
                    let (actor, seq) = (placed.actor, placed.seq);
                    table.facts.push(TableFact { actor, seq, epoch, stamp: entry.stamp });
                    facts.push(ChainFact { actor, seq, fact: placed.fact });
                }
                body => table.events.push(TableEvent { epoch, stamp: entry.stamp, body }),
            }
        }
        let bytes = self.save(kind, base.map(|row| &row.bytes[..]), facts, Some(&apply.heads));
        let bytes = bytes.ok_or(ApplyFailure::Failed)?;
        Ok(SnapshotRow { upto: apply.upto, bytes: Bytes::from(bytes), table })
    }
}

/// The heads that facts give; none for a hole in a chain.
#[must_use]
pub fn heads(kind: DocumentKind, facts: &[ChainFact]) -> Option<BTreeMap<ActorId, ChainHead>> {
    let mut heads: BTreeMap<ActorId, ChainHead> = BTreeMap::new();
    for placed in facts {
        let head = heads.entry(placed.actor).or_insert_with(|| ChainHead::empty(kind));
        if placed.seq != head.seq + 1 {
            return None;
        }
        *head = derive(&placed.actor, head, &placed.fact);
    }
    Some(heads)
}

fn minicbor_list(bytes: &[u8]) -> Option<Vec<Listed>> {
    minicbor::decode(bytes).ok()
}

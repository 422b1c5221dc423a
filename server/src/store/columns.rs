//! A snapshot's table by columns. Row by row it took 25 bytes a message after compression, most of them an actor that is
//! the same as before and numbers that are one more than before; by columns little more than the MACs remains.

use lockstep_protocol::entry::{Mac, Stamp, Verdict};
use lockstep_protocol::id::{ActorId, Epoch, Lsn, MemberId};
use lockstep_protocol::snapshot::{Table, TableEvent, TableFact};
use minicbor::{Decode, Encode};

/// [`Table`], one list a field. Numbers are differences to the row before; of the place in a chain, to the chain's row
/// before.
#[derive(Encode, Decode)]
pub(super) struct Columns {
    #[n(0)]
    epochs: Vec<Epoch>,
    /// Every chain once, in order of its first row.
    #[n(1)]
    chains: Vec<ActorId>,
    /// Index of each row's chain.
    #[n(2)]
    chain: Vec<u32>,
    #[n(3)]
    seq: Vec<i64>,
    #[n(4)]
    epoch: Vec<i64>,
    #[n(5)]
    lsn: Vec<i64>,
    #[n(6)]
    at_ms: Vec<i64>,
    #[n(7)]
    member: Vec<i64>,
    /// Rows that were not simply accepted.
    #[n(8)]
    verdicts: Vec<(u32, Verdict)>,
    /// One MAC behind another.
    #[cbor(n(9), with = "minicbor::bytes")]
    macs: Vec<u8>,
    #[n(10)]
    events: Vec<TableEvent>,
}

/// A number that the last one tells most of.
#[derive(Clone, Copy, Default)]
struct Running(i64);

impl Running {
    fn difference(&mut self, value: u64) -> i64 {
        let value = value.cast_signed();
        value.wrapping_sub(std::mem::replace(&mut self.0, value))
    }

    fn value(&mut self, difference: i64) -> u64 {
        self.0 = self.0.wrapping_add(difference);
        self.0.cast_unsigned()
    }
}

impl Columns {
    /// From rows.
    pub(super) fn of(table: &Table) -> Self {
        let rows = table.facts.len();
        let column = || Vec::with_capacity(rows);
        let mut columns = Self {
            epochs: table.epochs.clone(),
            chains: Vec::new(),
            chain: Vec::with_capacity(rows),
            seq: column(),
            epoch: column(),
            lsn: column(),
            at_ms: column(),
            member: column(),
            verdicts: Vec::new(),
            macs: Vec::with_capacity(rows * size_of::<Mac>()),
            events: table.events.clone(),
        };
        let [mut epoch, mut lsn, mut at_ms, mut member] = [Running::default(); 4];
        let mut seqs: Vec<Running> = Vec::new();
        for (row, fact) in (0..).zip(&table.facts) {
            let known = columns.chains.iter().position(|actor| *actor == fact.actor);
            let chain = known.unwrap_or_else(|| {
                columns.chains.push(fact.actor);
                seqs.push(Running::default());
                seqs.len() - 1
            });
            columns.chain.push(u32::try_from(chain).expect("a document has fewer chains than facts"));
            columns.seq.push(seqs[chain].difference(fact.seq.into()));
            columns.epoch.push(epoch.difference(fact.epoch.into()));
            columns.lsn.push(lsn.difference(fact.stamp.lsn.0));
            columns.at_ms.push(at_ms.difference(fact.stamp.at_ms));
            columns.member.push(member.difference(fact.stamp.member.0.into()));
            if fact.stamp.verdict != Verdict::Accepted {
                columns.verdicts.push((row, fact.stamp.verdict));
            }
            columns.macs.extend_from_slice(&fact.stamp.mac.0);
        }
        columns
    }

    /// To rows; none if the columns do not fit each other.
    pub(super) fn table(self) -> Option<Table> {
        let rows = self.chain.len();
        let lengths = [&self.seq, &self.epoch, &self.lsn, &self.at_ms, &self.member].map(Vec::len);
        if lengths.iter().any(|length| *length != rows) || self.macs.len() != rows * size_of::<Mac>() {
            return None;
        }
        let [mut epoch, mut lsn, mut at_ms, mut member] = [Running::default(); 4];
        let mut seqs = vec![Running::default(); self.chains.len()];
        let mut facts = Vec::with_capacity(rows);
        for (row, mac) in self.macs.chunks_exact(size_of::<Mac>()).enumerate() {
            let chain = self.chain[row] as usize;
            let stamp = Stamp {
                lsn: Lsn(lsn.value(self.lsn[row])),
                at_ms: at_ms.value(self.at_ms[row]),
                member: MemberId(u32::try_from(member.value(self.member[row])).ok()?),
                verdict: Verdict::Accepted,
                mac: Mac(mac.try_into().ok()?),
            };
            facts.push(TableFact {
                actor: *self.chains.get(chain)?,
                seq: u32::try_from(seqs.get_mut(chain)?.value(self.seq[row])).ok()?,
                epoch: u32::try_from(epoch.value(self.epoch[row])).ok()?,
                stamp,
            });
        }
        for (row, verdict) in self.verdicts {
            facts.get_mut(row as usize)?.stamp.verdict = verdict;
        }
        Some(Table { epochs: self.epochs, facts, events: self.events })
    }
}

#[cfg(test)]
mod tests {
    use lockstep_protocol::entry::{Collision, CollisionCause};

    use super::*;

    #[test]
    fn rows_come_back_and_columns_must_fit() {
        let collision = Collision { cause: CollisionCause::Window, winner: None, by: MemberId(3) };
        let fact = |n: u32| TableFact {
            actor: ActorId([u8::try_from(n % 3).unwrap(); 16]),
            seq: 1 + n / 3,
            epoch: n % 2,
            stamp: Stamp {
                lsn: Lsn(u64::from(n) * 7 + u64::from(n == 5) * (1 << 62)),
                at_ms: 1_790_000_000_000 + u64::from(n),
                member: MemberId(u32::MAX - n),
                verdict: if n == 4 { Verdict::Held(collision) } else { Verdict::Accepted },
                mac: Mac(u64::from(n).to_be_bytes()),
            },
        };
        let table =
            Table { epochs: vec![Epoch([1; 16]), Epoch([2; 16])], facts: (0..20).map(fact).collect(), events: vec![] };
        assert_eq!(Columns::of(&table).table(), Some(table.clone()));
        assert_eq!(Columns::of(&Table::default()).table(), Some(Table::default()));
        let spoilt: [fn(&mut Columns); 6] = [
            |columns| columns.seq.truncate(19),
            |columns| columns.macs.truncate(19),
            |columns| columns.chain[3] = 9,
            |columns| columns.member[0] = -1,
            |columns| columns.verdicts[0].0 = 20,
            |columns| columns.chains.truncate(2),
        ];
        for (at, spoil) in spoilt.iter().enumerate() {
            let mut columns = Columns::of(&table);
            spoil(&mut columns);
            assert_eq!(columns.table(), None, "{at}");
        }
    }
}

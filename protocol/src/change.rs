//! From a fact and its place in a chain to the one Automerge change that it means, byte for byte.
//!
//! The bytes are those that Automerge 0.12 itself authors for the same operations (property tests hold this). They are
//! written here because the hub derives a change for every fact on its hot path, and because the form is normative:
//! PROTOCOL.md, section "Changes".

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

use crate::fact::Fact;
use crate::genesis::{GENESIS_ACTOR, Genesis};
use crate::id::{ActorId, ChangeHash, DocumentKind};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const CHUNK_CHANGE: u8 = 1;
/// Index of the genesis actor in a change's actor table; 0 is the author's own.
const GENESIS_INDEX: u64 = 1;
const OWN_INDEX: u64 = 0;
const ACTION_MAKE_MAP: u64 = 0;
const ACTION_SET: u64 = 1;
const VALUE_STRING: u64 = 6;
const VALUE_UINT: u64 = 3;

/// The end of a chain: what the next change of its actor builds on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ChainHead {
    /// Sequence number of the newest change; 0 when the chain is empty.
    #[n(0)]
    pub seq: u32,
    /// Its last operation's counter.
    #[n(1)]
    pub max_op: u32,
    /// Its hash; the genesis change's when the chain is empty.
    #[n(2)]
    pub hash: ChangeHash,
}

impl ChainHead {
    /// An empty chain in a document of this kind.
    #[must_use]
    pub fn empty(kind: DocumentKind) -> Self {
        let genesis = Genesis::of(kind);
        Self { seq: 0, max_op: genesis.ops, hash: genesis.hash }
    }
}

/// Derives the change of `fact` at the place after `head`, writes its chunk into `chunk` (cleared first) and answers
/// the chain's new head. `fact` must have passed [`Fact::check`].
///
/// # Panics
/// If the chain's operation counter leaves 32 bits, which the document limits exclude.
pub fn derive_into(actor: &ActorId, head: &ChainHead, fact: &Fact, chunk: &mut Vec<u8>) -> ChainHead {
    let start_op = head.max_op.checked_add(1).expect("document limits bound operation counters");
    let mut key = String::with_capacity(64);
    fact.write_key(&mut key);

    let container_op = fact.container().op();
    let columns = match fact {
        Fact::Message(message) => {
            let mut columns = Columns::make_map(start_op, container_op, &key);
            columns.put_uint("by", u64::from(message.by.0));
            columns.put_str("dir", message.dir.as_str());
            columns.put_str("kind", &message.kind);
            columns.put_str("body", &message.body);
            if let Some(seen) = &message.seen {
                columns.put_str("seen", &seen.to_string());
            }
            if let Some(re) = &message.re {
                columns.put_str("re", &re.to_string());
            }
            if let Some(media) = &message.media {
                columns.put_str("media", &media.hash.to_string());
                columns.put_str("media_type", &media.media_type);
                columns.put_str("media_name", &media.name);
                columns.put_uint("media_size", media.size);
            }
            if let Some(src) = &message.src {
                columns.put_str("src", src);
            }
            columns
        }
        Fact::Edit { body: value, .. }
        | Fact::Retraction { reason: value, .. }
        | Fact::Reaction { emoji: value, .. }
        | Fact::Field { value, .. } => Columns::set(start_op, container_op, &key, value),
        Fact::Label { on, .. } => Columns::set(start_op, container_op, &key, if *on { "on" } else { "off" }),
    };

    let ops = columns.ops();
    let seq = head.seq + 1;
    let mut data = Vec::with_capacity(192 + columns.raw.len());
    data.push(1);
    data.extend_from_slice(&head.hash.0);
    bytes(&mut data, &actor.0);
    uleb(&mut data, u64::from(seq));
    uleb(&mut data, u64::from(start_op));
    data.push(0); // time
    data.push(0); // message
    data.push(1); // other actors
    bytes(&mut data, &GENESIS_ACTOR.0);
    columns.write(&mut data);

    let hash = write_chunk(&data, chunk);
    ChainHead { seq, max_op: start_op + ops - 1, hash }
}

/// As [`derive_into`], for callers who need only the chain's new head.
#[must_use]
pub fn derive(actor: &ActorId, head: &ChainHead, fact: &Fact) -> ChainHead {
    derive_into(actor, head, fact, &mut Vec::with_capacity(512))
}

fn write_chunk(data: &[u8], chunk: &mut Vec<u8>) -> ChangeHash {
    chunk.clear();
    chunk.reserve(data.len() + 16);
    chunk.extend_from_slice(&MAGIC);
    chunk.extend_from_slice(&[0; 4]);
    chunk.push(CHUNK_CHANGE);
    uleb(chunk, data.len() as u64);
    chunk.extend_from_slice(data);
    let hash: [u8; 32] = Sha256::digest(&chunk[8..]).into();
    chunk[4..8].copy_from_slice(&hash[..4]);
    ChangeHash(hash)
}

/// Operations of the largest fact: a message with every field.
pub(crate) const OPS_MAX: usize = 12;

/// The operations of one change, by column. The first sets a key of a container of the genesis; those that follow set
/// fields of the map that it made. Every key is fresh, so there are no predecessors.
struct Columns<'a> {
    container_op: u64,
    start_op: u64,
    first_action: u64,
    keys: Vec<&'a str>,
    meta: Vec<u64>,
    raw: Vec<u8>,
}

impl<'a> Columns<'a> {
    fn make_map(start_op: u32, container_op: u64, key: &'a str) -> Self {
        let mut columns = Self::new(start_op, container_op, ACTION_MAKE_MAP);
        columns.keys.push(key);
        columns.meta.push(0);
        columns
    }

    fn set(start_op: u32, container_op: u64, key: &'a str, value: &str) -> Self {
        let mut columns = Self::new(start_op, container_op, ACTION_SET);
        columns.put_str(key, value);
        columns
    }

    fn new(start_op: u32, container_op: u64, first_action: u64) -> Self {
        Self {
            container_op,
            start_op: u64::from(start_op),
            first_action,
            keys: Vec::with_capacity(OPS_MAX),
            meta: Vec::with_capacity(OPS_MAX),
            raw: Vec::with_capacity(256),
        }
    }

    fn ops(&self) -> u32 {
        u32::try_from(self.keys.len()).expect("a fact has at most OPS_MAX operations")
    }

    fn put_str(&mut self, key: &'a str, value: &str) {
        self.raw.extend_from_slice(value.as_bytes());
        self.keys.push(key);
        self.meta.push((value.len() as u64) << 4 | VALUE_STRING);
    }

    fn put_uint(&mut self, key: &'a str, value: u64) {
        let before = self.raw.len();
        uleb(&mut self.raw, value);
        self.keys.push(key);
        self.meta.push(((self.raw.len() - before) as u64) << 4 | VALUE_UINT);
    }

    fn write(&self, data: &mut Vec<u8>) {
        let ops = self.keys.len();
        let numbers = |out: &mut Vec<u8>, first: u64, rest: u64| {
            let mut values = [rest; OPS_MAX];
            values[0] = first;
            rle(out, &values[..ops], |out, value| uleb(out, *value));
        };
        let mut bodies = Vec::with_capacity(192 + self.raw.len());
        let mut index = [(0, 0); 8];
        let mut columns = 0;
        let mut column = |id: u64, write: &dyn Fn(&mut Vec<u8>)| {
            let before = bodies.len();
            write(&mut bodies);
            if bodies.len() > before {
                index[columns] = (id, bodies.len() - before);
                columns += 1;
            }
        };
        column(0x01, &|out| numbers(out, GENESIS_INDEX, OWN_INDEX));
        column(0x02, &|out| numbers(out, self.container_op, self.start_op));
        column(0x15, &|out| rle(out, &self.keys, |out, key| bytes(out, key.as_bytes())));
        column(0x34, &|out| uleb(out, ops as u64));
        column(0x42, &|out| numbers(out, self.first_action, ACTION_SET));
        column(0x56, &|out| rle(out, &self.meta, |out, value| uleb(out, *value)));
        column(0x57, &|out| out.extend_from_slice(&self.raw));
        column(0x70, &|out| numbers(out, 0, 0));

        uleb(data, columns as u64);
        for (id, len) in &index[..columns] {
            uleb(data, *id);
            uleb(data, *len as u64);
        }
        data.extend_from_slice(&bodies);
    }
}

/// Run-length encoding: n ≥ 2 and one value repeated n times, or −n and n literal values.
fn rle<T: PartialEq>(out: &mut Vec<u8>, values: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    let run_at = |at: usize| values[at..].iter().take_while(|value| **value == values[at]).count();
    let mut at = 0;
    while at < values.len() {
        let run = run_at(at);
        if run >= 2 {
            sleb(out, run as i64);
            write(out, &values[at]);
            at += run;
            continue;
        }
        let mut end = at + 1;
        while end < values.len() && run_at(end) < 2 {
            end += 1;
        }
        sleb(out, -((end - at) as i64));
        for value in &values[at..end] {
            write(out, value);
        }
        at = end;
    }
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    uleb(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn uleb(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn sleb(out: &mut Vec<u8>, mut value: i64) {
    loop {
        let byte = value as u8 & 0x7f;
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

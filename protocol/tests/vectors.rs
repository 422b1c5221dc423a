//! Golden vectors: the files in `vectors/` say what this crate encodes, and decode to what it means.
//!
//! `UPDATE_VECTORS=1 cargo test -p lockstep-protocol --features documents --test vectors` writes them anew.
#![cfg(feature = "documents")]
#![allow(clippy::disallowed_methods, reason = "tests read files and their number of cases; the crate does not")]

#[allow(dead_code, reason = "shared with the fuzz targets and the other tests, each of which uses a part")]
mod support {
    pub(crate) mod golden;
    pub(crate) mod samples;
}

use std::collections::BTreeMap;

use lockstep_protocol::auth::{DeviceKey, Transcript};
use lockstep_protocol::change::{ChainHead, derive_into};
use lockstep_protocol::codec;
use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::document::{ChainFact, Document, build, build_import};
use lockstep_protocol::entry::{Entry, EntryBody, HubKey, LogChain, Mac, Stamp, Verdict};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::genesis::{GENESIS_ACTOR, Genesis};
use lockstep_protocol::id::{ActorId, ChangeHash, DeviceId, DocumentId, DocumentKind, Lsn};
use lockstep_protocol::import::ImportPlace;
use lockstep_protocol::snapshot::DocumentDigest;
use support::golden::Golden;
use support::samples;

#[test]
fn device_frames() {
    let mut golden = Golden::new(
        "frames_device.txt",
        "Frames from a device to the hub, one a line: name, space, the frame's bytes in hex.",
    );
    for (name, frame) in samples::device_frames() {
        golden.line(name, &codec::encode(&frame), |bytes| {
            assert_eq!(codec::decode_device(bytes), Ok(Some(frame.clone())), "{name}");
        });
    }
    golden.finish();
}

#[test]
fn hub_frames() {
    let mut golden = Golden::new(
        "frames_hub.txt",
        "Frames from the hub to a device, one a line: name, space, the frame's bytes in hex.",
    );
    for (name, frame) in samples::hub_frames() {
        golden.line(name, &codec::encode(&frame), |bytes| {
            assert_eq!(codec::decode_hub(bytes), Ok(Some(frame.clone())), "{name}");
        });
    }
    golden.finish();
}

#[test]
fn entries() {
    let mut golden =
        Golden::new("entries.txt", "Entries of the log, one a line: name, space, the entry's CBOR in hex.");
    for (name, entry) in samples::entries() {
        golden
            .line(name, &entry.to_bytes(), |bytes| assert_eq!(Entry::from_bytes(bytes), Some(entry.clone()), "{name}"));
    }
    golden.finish();
}

#[test]
fn geneses() {
    let mut golden = Golden::new(
        "geneses.txt",
        "The two constant first changes. Blocks of `key hex`, a blank line between blocks.\n\
         kind: 00 segment, 01 card. actor: the genesis actor. change: the whole chunk. hash: its hash.\n\
         ops: how many maps it makes, one byte.",
    );
    for (kind, number) in [(DocumentKind::Segment, 0), (DocumentKind::Card, 1)] {
        let genesis = Genesis::of(kind);
        golden.line("kind", &[number], |_| {});
        golden.line("actor", &GENESIS_ACTOR.0, |_| {});
        golden.line("change", genesis.bytes, |bytes| {
            let document = Document::load(kind, bytes).expect("a genesis is an empty document");
            assert_eq!(document.automerge_heads(), [genesis.hash]);
            assert!(document.heads().is_empty());
        });
        golden.line("hash", &genesis.hash.0, |_| {});
        golden.line("ops", &[genesis.ops as u8], |_| {});
        golden.blank();
    }
    golden.finish();
}

#[test]
fn changes() {
    let mut golden = Golden::new(
        "changes.txt",
        "Facts and the changes that they mean. Blocks, a blank line between blocks; the first line names the case.\n\
         kind: 00 segment, 01 card. actor: 16 bytes. seq, start_op, max_op: big-endian, 4 bytes. previous: hash of the\n\
         change that this one builds on (the genesis at seq 1). fact: its CBOR. change: the chunk that must come out.\n\
         hash: the change's hash. content: content digest. key: short name of its key.",
    );
    for kind in [DocumentKind::Segment, DocumentKind::Card] {
        for (name, actor, facts) in samples::chains(kind) {
            let mut head = ChainHead::empty(kind);
            let mut document = Genesis::of(kind).bytes.to_vec();
            for (step, fact) in facts.iter().enumerate() {
                assert_eq!(fact.check(kind), Ok(()), "{name}");
                let mut change = Vec::new();
                let next = derive_into(&actor, &head, fact, &mut change);
                golden.name(&format!("{name}-{}", step + 1));
                golden.line("kind", &[u8::from(kind == DocumentKind::Card)], |_| {});
                golden.line("actor", &actor.0, |_| {});
                golden.line("seq", &next.seq.to_be_bytes(), |_| {});
                golden.line("start_op", &(head.max_op + 1).to_be_bytes(), |_| {});
                golden.line("max_op", &next.max_op.to_be_bytes(), |_| {});
                golden.line("previous", &head.hash.0, |_| {});
                golden.line("fact", &codec::encode(fact), |bytes| {
                    assert_eq!(codec::decode_value::<Fact>(bytes).as_ref(), Some(fact), "{name}");
                });
                // A document of the chunks up to this one, read from the file, has this fact as its newest.
                golden.line("change", &change, |bytes| {
                    document.extend_from_slice(bytes);
                    let loaded = Document::load(kind, &document).expect("the chain's chunks are a document");
                    let newest = ChainFact { actor, seq: next.seq, fact: fact.clone() };
                    assert_eq!(loaded.facts().expect("readable").last(), Some(&newest), "{name}");
                    assert_eq!(loaded.automerge_heads(), [next.hash], "{name}");
                });
                golden.line("hash", &next.hash.0, |_| {});
                golden.line("content", &fact.content_digest().0, |_| {});
                golden.line("key", &fact.key_id().0, |_| {});
                golden.blank();
                head = next;
            }
        }
    }
    golden.finish();
}

#[test]
fn documents() {
    let mut golden = Golden::new(
        "documents.txt",
        "Histories of one document by several actors. Blocks, a blank line between blocks.\n\
         kind: 00 segment, 01 card. fact: actor (16 bytes), seq (4 bytes, big-endian), the fact's CBOR.\n\
         chain: actor, seq, max op (4 bytes each), hash of a chain's head. heads: the document's heads in ascending\n\
         order, joined. digest: the document digest of the facts alone.",
    );
    for kind in [DocumentKind::Segment, DocumentKind::Card] {
        let facts = samples::history(kind);
        golden.line("kind", &[u8::from(kind == DocumentKind::Card)], |_| {});
        let mut read = Vec::new();
        let mut chains = BTreeMap::<ActorId, ChainHead>::new();
        let mut digest = DocumentDigest::default();
        for placed in &facts {
            let head = chains.entry(placed.actor).or_insert_with(|| ChainHead::empty(kind));
            *head = derive_into(&placed.actor, head, &placed.fact, &mut Vec::new());
            digest.toggle_fact(&head.hash, &Mac(placed.seq.to_be_bytes().repeat(2).try_into().expect("8 bytes")));
            let line = [&placed.actor.0[..], &placed.seq.to_be_bytes(), &codec::encode(&placed.fact)].concat();
            golden.line("fact", &line, |bytes| {
                let actor = ActorId(bytes[..16].try_into().expect("16 bytes"));
                let seq = u32::from_be_bytes(bytes[16..20].try_into().expect("4 bytes"));
                read.push(ChainFact { actor, seq, fact: codec::decode_value(&bytes[20..]).expect("a fact") });
            });
        }
        assert_eq!(read, facts);
        let document = build(kind, read).expect("it builds");
        assert_eq!(document.heads(), chains);
        for (actor, head) in &chains {
            let line = [&actor.0[..], &head.seq.to_be_bytes(), &head.max_op.to_be_bytes(), &head.hash.0].concat();
            golden.line("chain", &line, |_| {});
        }
        let heads: Vec<u8> = document.automerge_heads().iter().flat_map(|hash| hash.0).collect();
        golden.line("heads", &heads, |bytes| {
            let heads: Vec<ChangeHash> =
                bytes.chunks(32).map(|hash| ChangeHash(hash.try_into().expect("32 bytes"))).collect();
            assert_eq!(Document::load(kind, &document.save()).expect("it loads").automerge_heads(), heads);
        });
        golden.line("digest", &digest.0, |_| {});
        golden.blank();
    }
    golden.finish();
}

#[test]
fn imports() {
    let mut golden = Golden::new(
        "imports.txt",
        "Imported segments. Blocks of `key hex`. hub, import: 16 bytes. document: 21 bytes. actor: the import actor.\n\
         fact: a fact's CBOR, in chain order. hash: the change's hash prefix of each. head: seq, max op (4 bytes each,\n\
         big-endian), hash of the chain's head. entry: CBOR of the body that announces the segment.",
    );
    let place = ImportPlace { hub: samples::HUB, import: samples::IMPORT, document: samples::IMPORTED };
    golden.line("hub", &place.hub.0, |_| {});
    golden.line("import", &place.import.0, |_| {});
    golden.line("document", &place.document.to_bytes(), |bytes| {
        assert_eq!(DocumentId::from_bytes(bytes), Some(place.document));
    });
    golden.line("actor", &place.actor().0, |_| {});
    let mut facts = Vec::new();
    for fact in samples::import_facts() {
        golden.line("fact", &codec::encode(&fact), |bytes| {
            facts.push(codec::decode_value::<Fact>(bytes).expect("a fact"));
        });
    }
    let built = build_import(place, facts).expect("it builds");
    for hash in &built.derived.hashes {
        golden.line("hash", &hash.0, |_| {});
    }
    let head = built.derived.head;
    golden.line("head", &[&head.seq.to_be_bytes(), &head.max_op.to_be_bytes(), &head.hash.0[..]].concat(), |_| {});
    let body = EntryBody::Imported(built.derived.imported);
    golden.line("entry", &codec::encode(&body), |bytes| {
        assert_eq!(codec::decode_value::<EntryBody>(bytes), Some(body.clone()));
    });
    let loaded = Document::load(DocumentKind::Imported, &built.bytes).expect("it loads");
    assert_eq!(loaded.heads(), BTreeMap::from([(place.actor(), head)]));
    assert_eq!(loaded.facts().expect("readable").len(), built.facts.len());
    golden.finish();
}

#[test]
fn keys_and_proofs() {
    let mut golden = Golden::new(
        "proofs.txt",
        "Formulas with keys. Blocks of `key hex`, a blank line between blocks; the first line names the case.\n\
         Numbers are big-endian: version and member 4 bytes, lsn and at_ms 8 bytes.",
    );
    let secret = samples::sequence(0x40);
    let key = DeviceKey::new(&secret);
    let device = DeviceId::of(&key.public());
    golden.name("device");
    golden.line("secret", &secret, |_| {});
    golden.line("public", &key.public().0, |_| {});
    golden.line("device", &device.0, |_| {});
    golden.blank();

    for (name, document) in [
        ("segment", DocumentId::segment(samples::CONVERSATION, 7)),
        ("card", DocumentId::card(samples::CONVERSATION, 0)),
    ] {
        golden.name(&format!("actor-{name}"));
        golden.line("public", &key.public().0, |_| {});
        golden.line("nonce", &samples::NONCE.0, |_| {});
        golden
            .line("document", &document.to_bytes(), |bytes| assert_eq!(DocumentId::from_bytes(bytes), Some(document)));
        golden.line("actor", &ActorId::derive(&key.public(), &samples::NONCE, document).0, |_| {});
        golden.line("hub", &samples::HUB.0, |_| {});
        golden.line("epoch", &samples::EPOCH.0, |_| {});
        golden.line("recovery_actor", &ActorId::recovery(&samples::HUB, &samples::EPOCH, document).0, |_| {});
        golden.blank();
    }

    let transcript = Transcript {
        hub: samples::HUB,
        pinned: samples::PINNED,
        nonce: samples::NONCE,
        device,
        version: lockstep_protocol::limits::PROTOCOL_VERSION,
    };
    golden.name("handshake");
    golden.line("secret", &secret, |_| {});
    golden.line("hub", &transcript.hub.0, |_| {});
    golden.line("pinned", &transcript.pinned.0, |_| {});
    golden.line("nonce", &transcript.nonce.0, |_| {});
    golden.line("device", &device.0, |_| {});
    golden.line("version", &transcript.version.to_be_bytes(), |_| {});
    golden.line("hello_proof", &transcript.sign_hello(&key).0, |bytes| {
        assert!(
            transcript.verify_hello(&key.public(), &lockstep_protocol::id::Signature(bytes.try_into().expect("64")))
        );
    });
    golden.line("code", &samples::CODE.0, |_| {});
    golden.line("enrol_proof", &transcript.sign_enrol(&key, &samples::CODE).0, |bytes| {
        let proof = lockstep_protocol::id::Signature(bytes.try_into().expect("64"));
        assert!(transcript.verify_enrol(&key.public(), &samples::CODE, &proof));
    });
    golden.blank();

    let hub_secret = samples::sequence(0x60);
    let hub_key = HubKey::new(&hub_secret);
    let mut chain = LogChain::default();
    for (number, (name, entry)) in samples::entries().into_iter().enumerate() {
        let lsn = Lsn(number as u64 + 1);
        let Stamp { at_ms, member, verdict, .. } = entry.stamp;
        let mac_bytes = entry.body.mac_bytes();
        let stamp = Stamp::sign(&hub_key, &samples::EPOCH, lsn, at_ms, member, verdict, &mac_bytes);
        let entry = Entry { stamp, body: entry.body };
        golden.name(&format!("stamp-{name}"));
        golden.line("hub_secret", &hub_secret, |_| {});
        golden.line("epoch", &samples::EPOCH.0, |_| {});
        golden.line("lsn", &lsn.0.to_be_bytes(), |_| {});
        golden.line("at_ms", &at_ms.to_be_bytes(), |_| {});
        golden.line("member", &member.0.to_be_bytes(), |_| {});
        golden.line("verdict", &codec::encode(&verdict), |bytes| {
            assert_eq!(codec::decode_value::<Verdict>(bytes), Some(verdict));
        });
        golden.line("mac_bytes", &mac_bytes, |_| {});
        golden.line("mac", &stamp.mac.0, |_| assert!(stamp.verify(&hub_key, &samples::EPOCH, &mac_bytes)));
        golden.line("chain_before", &chain.0, |_| {});
        golden.line("entry", &entry.to_bytes(), |bytes| assert_eq!(Entry::from_bytes(bytes).as_ref(), Some(&entry)));
        chain = chain.after(&hub_key, &entry.to_bytes());
        golden.line("chain", &chain.0, |_| {});
        let cursor = Cursor::sign(&hub_key, samples::EPOCH, lsn, &chain);
        golden.line("cursor", &codec::encode(&cursor), |bytes| {
            let read = codec::decode_value::<Cursor>(bytes).expect("a cursor");
            assert!(read == cursor && read.verify(&hub_key) && read.lies_on(&chain));
        });
        if matches!(entry.body, EntryBody::Resolved { .. } | EntryBody::Delivered { .. } | EntryBody::Sensitive { .. })
        {
            let mut digest = DocumentDigest::default();
            digest.toggle_event(&entry.body, &entry.stamp.mac);
            golden.line("digest", &digest.0, |_| {});
        }
        golden.blank();
    }
    golden.finish();
}

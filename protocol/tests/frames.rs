//! Frames: round trips, mutilated bytes, limits at, below and above; the fuzz corpus of frames.
#![allow(clippy::disallowed_methods, reason = "tests read files and their number of cases; the crate does not")]

#[allow(dead_code, reason = "shared with the fuzz targets and the other tests, each of which uses a part")]
mod support {
    pub(crate) mod corpus;
    pub(crate) mod frames;
    pub(crate) mod source;
}

use lockstep_protocol::codec::{self, DecodeError};
use lockstep_protocol::directory::Conversation;
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::frame::{
    Catalogue, CatalogueConversation, Command, DeviceFrame, Entries, Fetch, HubFrame, Outcome, Push, Snapshot,
};
use lockstep_protocol::id::{ConversationId, MemberId};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::RefusalCode;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use support::frames::frame_decode;
use support::source::{Any, Source};

/// `PROPTEST_CASES` runs more than what fits an ordinary test run.
fn cases(count: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(count);
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as Box<_>);
    ProptestConfig { cases, failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn frames_come_back_as_they_went(bytes in vec(any::<u8>(), 0..600)) {
        let mut source = Source::new(&bytes);
        let frame: DeviceFrame = source.any();
        prop_assert_eq!(codec::decode_device(&codec::encode(&frame)), Ok(Some(frame)));
        let frame: HubFrame = source.any();
        prop_assert_eq!(codec::decode_hub(&codec::encode(&frame)), Ok(Some(frame)));
        let entry: Entry = source.any();
        prop_assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
    }

    #[test]
    fn mutilated_frames_do_no_harm(bytes in vec(any::<u8>(), 0..600), cut in any::<u16>(), bits in vec(any::<u32>(), 1..4)) {
        let mut source = Source::new(&bytes);
        for encoded in [codec::encode::<DeviceFrame>(&source.any()), codec::encode::<HubFrame>(&source.any())] {
            let cut = usize::from(cut) % encoded.len();
            prop_assert!(codec::decode_device(&encoded[..cut]).is_err());
            prop_assert!(codec::decode_hub(&encoded[..cut]).is_err());
            let mut longer = encoded.clone();
            longer.push(0);
            prop_assert!(codec::decode_device(&longer).is_err());
            prop_assert!(codec::decode_hub(&longer).is_err());
            let mut flipped = encoded;
            for bit in &bits {
                let bit = *bit as usize % (flipped.len() * 8);
                flipped[bit / 8] ^= 1 << (bit % 8);
            }
            frame_decode(&flipped);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..400), number in 0..12_u8) {
        frame_decode(&bytes);
        // Most random bytes fail at the first; these get past it.
        let mut framed = vec![0x82, number];
        framed.extend_from_slice(&bytes);
        frame_decode(&framed);
    }
}

/// Adds a field of every CBOR type behind a frame's own.
fn with_later_fields(encoded: &[u8]) -> Vec<u8> {
    assert!((0x80..0x97).contains(&encoded[0]), "a short array");
    let later = [0x18, 0x2a, 0x38, 0x2a, 0x42, 1, 2, 0x61, 0x78, 0x82, 0xf6, 0xf5, 0xa1, 0x01, 0x80, 0xc1, 0x00];
    let mut bytes = vec![0x98, encoded[0] - 0x80 + 7];
    bytes.extend_from_slice(&encoded[1..]);
    bytes.extend_from_slice(&later);
    bytes
}

#[test]
fn what_a_later_version_adds_is_skipped() {
    let frame = DeviceFrame::Typing { conversation: ConversationId([7; 16]) };
    assert_eq!(codec::decode_device(&with_later_fields(&codec::encode(&frame))), Ok(Some(frame)));
    let inner = DeviceFrame::Fetch(Fetch {
        tag: 1,
        conversation: ConversationId([7; 16]),
        before: None,
        limit: 1,
        imported: false,
    });
    let encoded = codec::encode(&inner);
    let mut later = encoded[..2].to_vec();
    later.extend(with_later_fields(&encoded[2..]));
    assert_eq!(codec::decode_device(&later), Ok(Some(inner)));
    for unknown in [&[0x82, 0x18, 200, 1][..], &[0x81, 0x0a], &[0x82, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xa1, 0x01, 0x80]] {
        assert_eq!(codec::decode_device(unknown), Ok(None), "{unknown:?}");
    }
    for unknown in [&[0x82, 0x18, 200, 1][..], &[0x81, 0x0b]] {
        assert_eq!(codec::decode_hub(unknown), Ok(None), "{unknown:?}");
    }
}

#[test]
fn malformed_frames_are_refused() {
    let rows: &[(&str, &[u8])] = &[
        ("nothing", &[]),
        ("an empty array", &[0x80]),
        ("no array", &[0x09]),
        ("a map", &[0xa1, 0x09, 0x00]),
        ("an array of open length", &[0x9f, 0x09, 0xff]),
        ("a name for a number", &[0x81, 0x61, 0x78]),
        ("a negative number", &[0x81, 0x29]),
        ("a number beyond 32 bits", &[0x81, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0]),
        ("a required field is missing", &[0x82, 0x03, 0x50]),
        ("a null for a required field", &[0x83, 0x03, 0xf6, 0xf6]),
        ("an id too short", &[0x82, 0x04, 0x41, 0x00]),
        ("more than one frame", &[0x81, 0x09, 0x81, 0x09]),
        ("an unknown frame cut short", &[0x82, 0x18, 200]),
        ("a list that claims 2^64 items", &[0x83, 0x06, 0x00, 0x9b, 255, 255, 255, 255, 255, 255, 255, 255]),
        ("bytes that claim 2^64", &[0x82, 0x04, 0x5b, 255, 255, 255, 255, 255, 255, 255, 255]),
        (
            "a push without facts",
            &{
                let mut push = [0; 49];
                push[..6].copy_from_slice(&[0x82, 0x02, 0x86, 0x00, 0x55, 0x00]);
                push[26] = 0x50;
                push[43..46].copy_from_slice(&[0xf6, 0x01, 0x80]);
                push
            }[..46],
        ),
    ];
    for (name, bytes) in rows {
        let error = codec::decode_device(bytes).expect_err(name);
        assert!(matches!(error, DecodeError::Malformed(_)), "{name}: {error:?}");
        assert_eq!(RefusalCode::from(error), RefusalCode::Malformed, "{name}");
    }
}

fn zeros<T: Any>() -> T {
    Source::new(&[]).any()
}

/// Whether a frame of `count` items is read, which its limit alone decides.
fn check_limit(
    name: &str,
    max: usize,
    encoded: impl Fn(usize) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> Result<(), DecodeError>,
) {
    for (count, fits) in [(max - 1, true), (max, true), (max + 1, false)] {
        let outcome = decode(&encoded(count));
        if fits {
            assert_eq!(outcome, Ok(()), "{name}: {count} of {max}");
        } else {
            let error = outcome.expect_err(name);
            assert!(matches!(error, DecodeError::TooLarge(_) | DecodeError::ListTooLong), "{name}: {error:?}");
            assert_eq!(RefusalCode::from(error), RefusalCode::TooLarge, "{name}");
        }
    }
}

#[test]
fn limits_hold_at_below_and_above() {
    let device = |bytes: &[u8]| codec::decode_device(bytes).map(|frame| assert!(frame.is_some()));
    let hub = |bytes: &[u8]| codec::decode_hub(bytes).map(|frame| assert!(frame.is_some()));
    let push = |count| codec::encode(&DeviceFrame::Push(Push { facts: vec![zeros(); count], ..zeros() }));
    check_limit("PUSH_FACTS_MAX", limits::PUSH_FACTS_MAX, push, device);
    let offer = |count| codec::encode(&DeviceFrame::Offer { tag: 0, entries: vec![zeros(); count] });
    check_limit("OFFER_ENTRIES_MAX", limits::OFFER_ENTRIES_MAX, offer, device);
    let fetch = |limit| codec::encode(&DeviceFrame::Fetch(Fetch { limit: limit as u32, ..zeros() }));
    check_limit("FETCH_SEGMENTS_MAX", limits::FETCH_SEGMENTS_MAX as usize, fetch, device);
    let assigned = |count| {
        let conversation = Conversation { assigned: vec![MemberId(1); count], ..zeros() };
        codec::encode(&DeviceFrame::Command { tag: 0, command: Command::ConversationOpen(conversation) })
    };
    check_limit("ASSIGNED_MAX", limits::ASSIGNED_MAX, assigned, device);
    let ack = |count| codec::encode(&HubFrame::Ack { tag: 0, results: vec![Outcome::Known; count], witness: zeros() });
    check_limit("ACK_RESULTS_MAX", limits::ACK_RESULTS_MAX, ack, hub);
    let entries = |count| codec::encode(&HubFrame::Entries(Entries { entries: vec![zeros(); count], ..zeros() }));
    check_limit("ENTRIES_MAX", limits::ENTRIES_MAX, entries, hub);
    let catalogue = |count| {
        let conversations = vec![zeros::<CatalogueConversation>(); count];
        codec::encode(&HubFrame::Catalogue(Catalogue { conversations, ..zeros() }))
    };
    check_limit("CATALOGUE_CONVERSATIONS_MAX", limits::CATALOGUE_CONVERSATIONS_MAX, catalogue, hub);
    let empty = codec::encode(&HubFrame::Snapshot(Snapshot { bytes: vec![0; 100_000], ..zeros() })).len() - 100_000;
    let snapshot = |length| codec::encode(&HubFrame::Snapshot(Snapshot { bytes: vec![0; length - empty], ..zeros() }));
    assert_eq!(snapshot(limits::FRAME_BYTES_MAX).len(), limits::FRAME_BYTES_MAX);
    check_limit("FRAME_BYTES_MAX", limits::FRAME_BYTES_MAX, snapshot, hub);
    let padded = |length| {
        let mut frame = vec![0x82, 0x09, 0x5a];
        frame.extend_from_slice(&(length as u32 - 7).to_be_bytes());
        frame.resize(length, 0);
        frame
    };
    check_limit("FRAME_BYTES_MAX", limits::FRAME_BYTES_MAX, padded, device);
}

#[test]
fn entries_are_read_whole_or_not_at_all() {
    let entry = Entry { stamp: zeros(), body: EntryBody::Opened { document: zeros() } };
    let bytes = entry.to_bytes().to_vec();
    assert_eq!(Entry::from_bytes(&bytes), Some(entry));
    for length in 0..bytes.len() {
        assert_eq!(Entry::from_bytes(&bytes[..length]), None, "{length}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(Entry::from_bytes(&longer), None);
}

#[test]
fn the_fuzz_corpus_does_no_harm() {
    support::corpus::replay("frame_decode", frame_decode);
}

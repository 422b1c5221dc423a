//! Decoding allocates no more than a small multiple of its input, whatever the input claims.

#[allow(dead_code, reason = "shared with the fuzz targets and the other tests, each of which uses a part")]
mod support {
    pub(crate) mod frames;
    pub(crate) mod source;
}

use lockstep_protocol::codec;
use lockstep_protocol::entry::Entry;
use lockstep_protocol::frame::{DeviceFrame, HubFrame};
use lockstep_protocol::limits;
use proptest::collection::vec;
use proptest::prelude::*;
use support::source::Source;

/// Most bytes alive at once while decoding, beyond the input: this many times its length …
const MULTIPLE: usize = 32;
/// … and the lists that are bounded by number: an Ack's results are the largest.
const LISTS: usize = 256 * 1024;

fn peak(bytes: &[u8]) -> usize {
    let measure = |decode: &dyn Fn()| allocation_counter::measure(decode).bytes_max as usize;
    let device = measure(&|| drop(codec::decode_device(bytes)));
    let hub = measure(&|| drop(codec::decode_hub(bytes)));
    let entry = measure(&|| drop(Entry::from_bytes(bytes)));
    device.max(hub).max(entry)
}

fn check(name: &str, bytes: &[u8]) {
    let (peak, bound) = (peak(bytes), MULTIPLE * bytes.len() + LISTS);
    assert!(peak <= bound, "{name}: {peak} bytes for a frame of {}: more than {bound}", bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn frames_and_mutilated_frames(bytes in vec(any::<u8>(), 0..1000), bits in vec(any::<u32>(), 0..4)) {
        let mut source = Source::new(&bytes);
        for mut encoded in [codec::encode::<DeviceFrame>(&source.any()), codec::encode::<HubFrame>(&source.any())] {
            for bit in &bits {
                let bit = *bit as usize % (encoded.len() * 8);
                encoded[bit / 8] ^= 1 << (bit % 8);
            }
            check("a mutilated frame", &encoded);
        }
        check("random bytes", &bytes);
    }
}

/// Lists of the items that are smallest on the wire against their size in memory, as long as a frame can be, and frames
/// that nest as deep as they can.
#[test]
fn the_worst_frames() {
    let full = |head: &[u8], item: &[u8], tail: &[u8]| {
        let count = (limits::FRAME_BYTES_MAX - head.len() - tail.len() - 5) / item.len();
        let mut frame = head.to_vec();
        frame.push(0x9a);
        frame.extend_from_slice(&(count as u32).to_be_bytes());
        frame.extend(item.iter().copied().cycle().take(count * item.len()));
        frame.extend_from_slice(tail);
        frame
    };
    let document = {
        let mut bytes = [0; 22];
        bytes[0] = 0x55;
        bytes
    };
    let snapshot = |before: &[u8]| {
        let mut head = vec![0x82, 0x04, 0x88, 0x00];
        head.extend_from_slice(&document);
        head.extend_from_slice(&[0x00, 0x00, 0xf5, 0x40]);
        head.extend_from_slice(before);
        head
    };
    let event = {
        // Epoch, stamp, `Opened`.
        let mut bytes = vec![0x83, 0x00, 0x85, 0x00, 0x00, 0x00, 0x81, 0x00, 0x48];
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&[0x82, 0x01]);
        bytes.extend_from_slice(&document);
        bytes
    };
    let mut label = vec![0x82, 0x48];
    label.extend_from_slice(&[0; 8]);
    label.extend_from_slice(&[0x84, 0x05, 0x60, 0x50]);
    label.extend_from_slice(&[0; 16]);
    label.push(0xf4);
    let mut push = vec![0x82, 0x02, 0x86, 0x00];
    push.extend_from_slice(&document);
    push.push(0x50);
    push.extend_from_slice(&[0; 16]);
    push.extend_from_slice(&[0xf6, 0x01]);
    let mut grants = vec![0x82, 0x03, 0x86, 0x00, 0x00, 0x50];
    grants.extend_from_slice(&[0; 16]);
    grants.extend_from_slice(&[0x80]);
    let mut grant = vec![0x82, 0x50];
    grant.extend_from_slice(&[0; 16]);
    grant.push(0);
    let rows = [
        ("a push of labels", full(&push, &label, &[])),
        ("results `Known`", full(&[0x84, 0x05, 0x00], &[0x81, 0x02], &[])),
        ("results `Refused`", full(&[0x84, 0x05, 0x00], &[0x82, 0x05, 0x82, 0x00, 0x60], &[])),
        ("empty tail entries", full(&snapshot(&[0x83, 0x80, 0x80, 0x80]), &[0x82, 0x00, 0x40], &[])),
        ("table events", full(&snapshot(&[0x83, 0x80, 0x80]), &event, &[0x80])),
        ("team members", full(&[0x82, 0x02, 0x84, 0xf6, 0x00, 0x80, 0x83], &[0x83, 0x00, 0x60, 0x00], &[])),
        ("grants", full(&grants, &grant, &[0x80])),
        ("an unknown frame of nested arrays", full(&[0x82, 0x18, 0xff], &[0x81], &[])),
        ("a known frame with a field of nested open arrays", full(&[0x82, 0x09], &[0x82, 0x9f], &[])),
        ("nested open maps", full(&[0x82, 0x09], &[0xbf, 0x82], &[])),
        ("a claim of 2^32 items", full(&[0x83, 0x06, 0x00, 0x9b, 0, 0, 0, 1], &[0x80], &[])),
    ];
    for (name, frame) in &rows {
        assert!(frame.len() <= limits::FRAME_BYTES_MAX, "{name}");
        println!("{name}: {} bytes of {}", peak(frame), frame.len());
        check(name, frame);
    }
}

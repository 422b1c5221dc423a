//! The one point through which every stored value passes on its way to the disk and back.
//!
//! A stored value is `version (1) ‖ form (1) ‖ payload`. The form says how the payload is packed; sealing (AES-256-GCM
//! under a data key, DESIGN section 8) will be further forms, with the place of the row as associated data. That is
//! why [`pack`] and [`unpack`] are told the place although plain forms do not need it.

use std::borrow::Cow;

use super::keys::Family;

/// Version of the envelope.
const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const ENVELOPE_BYTES: usize = 2;

/// Values shorter than this are not compressed, bytes: a frame header would eat what is won.
const COMPRESS_BYTES_MIN: usize = 512;
/// zstd's level: the first that packs text, ids and MACs of one document each in its own way; against 12 it saves 9 % of
/// what documents take, and costs 7 milliseconds a full segment where 12 costs 4. Snapshots are made off the hot path.
const ZSTD_LEVEL: i32 = 14;
/// No value unpacks to more, bytes: a damaged length must not allocate without bound.
const UNPACKED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where a value lies: its column family and whole key.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Column family.
    pub family: Family,
    /// Key.
    pub key: &'a [u8],
}

/// Packs the value that `encode` appends, for its place, into `stored`, which is emptied first: one buffer serves a
/// whole write.
pub fn pack(place: Place<'_>, stored: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    stored.clear();
    stored.extend_from_slice(&[VERSION, PLAIN]);
    encode(stored);
    let value = &stored[ENVELOPE_BYTES..];
    // Entries and small rows stay plain: RocksDB compresses their blocks; only snapshots are worth a frame of their own.
    if place.family == Family::Snapshots
        && value.len() >= COMPRESS_BYTES_MIN
        && let Ok(compressed) = zstd::bulk::compress(value, ZSTD_LEVEL)
    {
        stored.clear();
        stored.extend_from_slice(&[VERSION, ZSTD]);
        stored.extend_from_slice(&compressed);
    }
}

/// Unpacks a value; none for one that was not packed for this place, or is damaged.
#[must_use]
pub fn unpack<'a>(_place: Place<'_>, stored: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    match stored {
        [VERSION, PLAIN, value @ ..] => Some(Cow::Borrowed(value)),
        [VERSION, ZSTD, compressed @ ..] => {
            let bytes_max = zstd::zstd_safe::get_frame_content_size(compressed).ok()??;
            let bytes_max = usize::try_from(bytes_max).ok().filter(|bytes| *bytes <= UNPACKED_BYTES_MAX)?;
            zstd::bulk::decompress(compressed, bytes_max).ok().map(Cow::Owned)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(place: Place<'_>, value: &[u8]) -> Vec<u8> {
        let mut stored = b"what was there before".to_vec();
        pack(place, &mut stored, |bytes| bytes.extend_from_slice(value));
        stored
    }

    #[test]
    fn values_come_back_and_damage_is_seen() {
        let long: Vec<u8> = (0..4_000u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
        for family in [Family::Log, Family::Snapshots] {
            let place = Place { family, key: b"k" };
            for value in [&b""[..], b"short", &long] {
                let packed = packed(place, value);
                assert_eq!(unpack(place, &packed).as_deref(), Some(value));
            }
        }
        let place = Place { family: Family::Snapshots, key: b"k" };
        let packed = packed(place, &long);
        assert!(packed.len() < long.len() / 2);
        assert!(unpack(place, &packed[..packed.len() - 1]).is_none());
        assert!(unpack(place, &[]).is_none());
        assert!(unpack(place, &[VERSION + 1, PLAIN]).is_none());
        assert!(unpack(place, &[VERSION, 99, 1]).is_none());
    }
}

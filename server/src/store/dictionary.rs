//! Small values packed before they are sealed, as nothing packs them afterwards: zstd with a dictionary that was trained on
//! made-up entries (`server/tests/dictionary.rs`) and comes with the program. A dictionary is a form of its own: stores
//! were written with it.

use std::cell::RefCell;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::CParameter;

const DICTIONARY: &[u8] = include_bytes!("entries.dict");
/// Of zstd's fast ones: these rows are packed on the commit thread. Rows are 1 % longer than by its default, 3, which
/// takes 2 microseconds more each.
const LEVEL: i32 = -1;
/// What every frame begins with: left out.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Shorter values are not tried, bytes.
const BYTES_MIN: usize = 64;
/// Longer ones neither: none that is packed so unpacks to more.
const BYTES_MAX: usize = 64 * 1024;

static ENCODER: LazyLock<EncoderDictionary<'static>> = LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

thread_local! {
    /// Contexts take memory once a thread, not once a row.
    static PACKING: RefCell<Option<(Compressor<'static>, Vec<u8>)>> = RefCell::new(compressor());
    static UNPACKING: RefCell<Option<Decompressor<'static>>> =
        RefCell::new(Decompressor::with_prepared_dictionary(&DECODER).ok());
}

fn compressor() -> Option<(Compressor<'static>, Vec<u8>)> {
    let mut compressor = Compressor::with_prepared_dictionary(&ENCODER).ok()?;
    compressor.set_parameter(CParameter::DictIdFlag(false)).ok()?;
    Some((compressor, Vec::with_capacity(zstd::zstd_safe::compress_bound(BYTES_MAX))))
}

/// Packs the value behind the first `from` bytes in place; false, and nothing changes, if nothing is won.
pub(super) fn pack(bytes: &mut Vec<u8>, from: usize) -> bool {
    if !(BYTES_MIN..=BYTES_MAX).contains(&(bytes.len() - from)) {
        return false;
    }
    PACKING.with_borrow_mut(|packing| {
        let Some((compressor, packed)) = packing else { return false };
        let value = &bytes[from..];
        packed.clear();
        let written = compressor.compress_to_buffer(value, packed);
        let Some(packed) = written.ok().and_then(|_| packed.strip_prefix(&MAGIC)) else { return false };
        if packed.len() >= value.len() {
            return false;
        }
        bytes.truncate(from);
        bytes.extend_from_slice(packed);
        true
    })
}

/// Unpacks a value; none for bytes that are not one.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let frame = [&MAGIC, packed].concat();
    let bytes = zstd::zstd_safe::get_frame_content_size(&frame).ok()??;
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= BYTES_MAX)?;
    UNPACKING.with_borrow_mut(|unpacking| unpacking.as_mut()?.decompress(&frame, bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_what_does_not_shrink_stays() {
        let text = "thank you, the order is confirmed for Monday before noon ".repeat(3);
        let mut bytes = [b"head", text.as_bytes()].concat();
        assert!(pack(&mut bytes, 4));
        assert!(bytes.starts_with(b"head") && bytes.len() < 4 + text.len() / 2);
        assert_eq!(unpack(&bytes[4..]).unwrap(), text.as_bytes());
        assert!((4..bytes.len()).all(|end| unpack(&bytes[4..end]).is_none()));
        let random = blake3::hash(b"1").as_bytes().to_vec();
        for value in [&b""[..], &[7; BYTES_MIN - 1], &random, &[7; BYTES_MAX + 1]] {
            let mut bytes = value.to_vec();
            assert!(!pack(&mut bytes, 0));
            assert_eq!(bytes, value);
        }
    }
}

//! Frames to bytes and back: CBOR (RFC 8949), one array `[frame number, field 0, field 1, …]` a WebSocket message.
//!
//! Fields are arrays whose position is the field's index; a reader skips positions and frames that it does not know.
//! Absent optional fields are null or left off at the end.

use minicbor::decode::Decoder;
use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::frame::{DeviceFrame, Fetch, HubFrame};
use crate::limits;
use crate::refusal::RefusalCode;

/// Why bytes are not a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DecodeError {
    /// Longer than `FRAME_BYTES_MAX`.
    #[error("frame of {0} bytes is longer than {max}", max = limits::FRAME_BYTES_MAX)]
    TooLarge(usize),
    /// Not CBOR of a known shape.
    #[error("malformed frame at byte {0}")]
    Malformed(usize),
    /// A list with more items than its limit, or a request for more.
    #[error("a list is longer than its limit")]
    ListTooLong,
}

impl From<DecodeError> for RefusalCode {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed(_) => Self::Malformed,
            DecodeError::TooLarge(_) | DecodeError::ListTooLong => Self::TooLarge,
        }
    }
}

/// Encodes a frame or any other value of the protocol.
#[must_use]
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("encoding into memory cannot fail")
}

/// Encodes a value behind what `bytes` already holds.
pub fn encode_into<T: Encode<()>>(value: &T, bytes: &mut Vec<u8>) {
    minicbor::encode(value, bytes).expect("encoding into memory cannot fail");
}

/// Decodes a frame from a device; `None` for a frame number that this version does not know.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_device(bytes: &[u8]) -> Result<Option<DeviceFrame>, DecodeError> {
    let frame = decode::<DeviceFrame>(bytes, DEVICE_FRAMES)?;
    match &frame {
        Some(DeviceFrame::Push(push)) if push.facts.is_empty() => Err(DecodeError::Malformed(bytes.len())),
        Some(DeviceFrame::Fetch(Fetch { limit: 0, .. })) => Err(DecodeError::Malformed(bytes.len())),
        Some(DeviceFrame::Fetch(fetch)) if fetch.limit > limits::FETCH_SEGMENTS_MAX => Err(DecodeError::ListTooLong),
        _ => Ok(frame),
    }
}

/// Decodes a frame from the hub; `None` for a frame number that this version does not know.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_hub(bytes: &[u8]) -> Result<Option<HubFrame>, DecodeError> {
    decode(bytes, HUB_FRAMES)
}

/// Decodes one whole value; `None` for bytes of another shape, or with more after it.
#[must_use]
pub fn decode_value<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Option<T> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.decode().ok()?;
    (decoder.position() == bytes.len()).then_some(value)
}

/// A list of at most `MAX` items. A longer one is refused as soon as that shows: items of two bytes on the wire can be
/// large in memory, so lists are bounded by number, not only by their frame's length.
pub(crate) fn list<'b, C, T: Decode<'b, C>, const MAX: usize>(
    decoder: &mut Decoder<'b>,
    context: &mut C,
) -> Result<Vec<T>, minicbor::decode::Error> {
    let mut list = Vec::new();
    for item in decoder.array_iter_with(context)? {
        if list.len() == MAX {
            return Err(minicbor::decode::Error::custom(DecodeError::ListTooLong));
        }
        list.push(item?);
    }
    Ok(list)
}

/// Frame numbers below these are known.
const DEVICE_FRAMES: u32 = 10;
const HUB_FRAMES: u32 = 11;

fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8], known: u32) -> Result<Option<T>, DecodeError> {
    if bytes.len() > limits::FRAME_BYTES_MAX {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    let mut decoder = Decoder::new(bytes);
    let malformed = |decoder: &Decoder<'_>| DecodeError::Malformed(decoder.position());
    let number = {
        let mut probe = decoder.probe();
        match (probe.array(), probe.u32()) {
            (Ok(Some(1..)), Ok(number)) => number,
            _ => return Err(DecodeError::Malformed(0)),
        }
    };
    let frame = if number < known {
        // Only `list` makes custom errors.
        Some(
            T::decode(&mut decoder, &mut ())
                .map_err(|error| if error.is_custom() { DecodeError::ListTooLong } else { malformed(&decoder) })?,
        )
    } else {
        decoder.skip().map_err(|_| malformed(&decoder))?;
        None
    };
    if decoder.position() == bytes.len() { Ok(frame) } else { Err(malformed(&decoder)) }
}

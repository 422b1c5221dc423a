//! Keep times: how long messages stay.

use core::fmt;
use core::str::FromStr;

use minicbor::decode::{Decoder, Error as DecodeError};
use minicbor::encode::{Encoder, Error as EncodeError, Write};
use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::limits::{KEEP_DAYS_MAX, KEEP_DAYS_MIN};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A segment is written into for this part of the keep time.
const SEGMENT_PART: u64 = 8;

/// How long messages are kept: for ever, or between [`KEEP_DAYS_MIN`] and [`KEEP_DAYS_MAX`] days. On the wire a number of
/// days, 0 for ever; any other number is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Keep(u32);

impl Keep {
    /// Nothing is ever deleted because of its age.
    pub const FOREVER: Self = Self(0);

    /// So many days; none below [`KEEP_DAYS_MIN`] or above [`KEEP_DAYS_MAX`].
    #[must_use]
    pub const fn days(days: u32) -> Option<Self> {
        if days >= KEEP_DAYS_MIN && days <= KEEP_DAYS_MAX { Some(Self(days)) } else { None }
    }

    /// Milliseconds; none for ever.
    #[must_use]
    pub const fn ms(self) -> Option<u64> {
        if self.0 == 0 { None } else { Some(self.0 as u64 * DAY_MS) }
    }

    /// For so many milliseconds after its first fact a segment is written into: a segment goes as a whole, once its newest
    /// fact is old enough, so no fact is kept longer than this and the keep time together. None for ever.
    #[must_use]
    pub const fn segment_ms(self) -> Option<u64> {
        match self.ms() {
            Some(ms) if ms / SEGMENT_PART < DAY_MS => Some(DAY_MS),
            Some(ms) => Some(ms / SEGMENT_PART),
            None => None,
        }
    }

    /// The shorter of two.
    #[must_use]
    pub const fn shorter(self, other: Self) -> Self {
        match (self.0, other.0) {
            (0, _) => other,
            (_, 0) => self,
            (own, others) if own <= others => self,
            _ => other,
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("forever"),
            days => write!(f, "{days}d"),
        }
    }
}

/// A text that is no keep time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a keep time is `forever`, or a number of days from {KEEP_DAYS_MIN} to {KEEP_DAYS_MAX}, as 90d")]
pub struct KeepMalformed;

impl FromStr for Keep {
    type Err = KeepMalformed;

    fn from_str(text: &str) -> Result<Self, KeepMalformed> {
        if text == "forever" {
            return Ok(Self::FOREVER);
        }
        let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
        days.and_then(Self::days).ok_or(KeepMalformed)
    }
}

impl<C> Encode<C> for Keep {
    fn encode<W: Write>(&self, encoder: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        encoder.u32(self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Keep {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let at = decoder.position();
        match decoder.u32()? {
            0 => Ok(Self::FOREVER),
            days => Self::days(days).ok_or_else(|| DecodeError::message("no keep time").at(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn keep_times_are_bounded_in_text_and_on_the_wire() {
        for (text, days) in [
            ("forever", Some(0)),
            ("7d", Some(7)),
            ("90d", Some(90)),
            ("36500d", Some(36_500)),
            ("6d", None),
            ("0d", None),
            ("36501d", None),
            ("90", None),
            ("d", None),
            ("-7d", None),
            ("", None),
        ] {
            let keep = text.parse::<Keep>();
            assert_eq!(keep.ok().map(|keep| keep.0), days, "{text}");
            if let Ok(keep) = keep {
                assert_eq!(keep.to_string(), text);
                assert_eq!(codec::decode_value(&codec::encode(&keep)), Some(keep));
            }
        }
        for days in [1u32, 6, 36_501, u32::MAX] {
            assert_eq!(codec::decode_value::<Keep>(&codec::encode(&days)), None, "{days}");
        }
    }

    #[test]
    fn segments_are_short_against_their_keep_time() {
        for (keep, segment_days) in [(7, 1), (8, 1), (16, 2), (80, 10)] {
            assert_eq!(Keep::days(keep).and_then(Keep::segment_ms), Some(segment_days * DAY_MS));
        }
        assert_eq!(Keep::FOREVER.segment_ms(), None);
        let (week, month) = (Keep::days(7).expect("a week"), Keep::days(30).expect("a month"));
        for (one, other, shorter) in [(week, month, week), (Keep::FOREVER, month, month), (week, Keep::FOREVER, week)] {
            assert_eq!((one.shorter(other), other.shorter(one)), (shorter, shorter));
        }
        assert_eq!(Keep::FOREVER.shorter(Keep::FOREVER), Keep::FOREVER);
    }
}

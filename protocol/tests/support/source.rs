//! Protocol values out of bytes: one generator for property tests, fuzz targets and corpora.
//!
//! Every byte string gives some value; when the bytes run out, zeros follow, so short inputs give small values.

use lockstep_protocol::fact::{Direction, Fact, Media, Message};
use lockstep_protocol::id::{
    ActorId, ChangeHash, ConversationId, DeviceId, DocumentId, DocumentKind, Epoch, FactId, HashPrefix, HubId,
    ImportId, InviteCode, Lsn, MediaHash, MemberId, MessageId, Nonce, PinnedKeyHash, PublicKey, Signature,
};
use lockstep_protocol::limits;

/// Text that breaks naive code: NUL, controls, bidi overrides, combining marks, surrogate neighbours, non-characters,
/// families with skin tones, scripts without spaces, look-alikes of keys.
pub(crate) const NASTY: &[&str] = &[
    "\0",
    "a\0b",
    "\u{202e}evil\u{202c}",
    "\u{2066}\u{2069}",
    "e\u{301}\u{323}\u{35c}",
    "\u{d7ff}\u{e000}",
    "\u{fffe}\u{ffff}\u{10ffff}",
    "👩🏽‍👩🏿‍👧🏻‍👦🏾",
    "🇹🇭",
    "สวัสดีครับ",
    "नमस्ते",
    "مرحبا بالعالم",
    "你好，世界",
    "\r\n\t",
    "messages/01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "\u{feff}",
    "ſK",
    "text",
    "on",
];

/// Bytes, read from the front.
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
    /// Length of the text made last: equal neighbours make runs in the encoder's columns.
    last: usize,
}

impl<'a> Source<'a> {
    /// Reads from the start of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, last: 4 }
    }

    /// Whether only zeros follow.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((&first, rest)) => {
                self.bytes = rest;
                first
            }
            None => 0,
        }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.byte())
    }

    /// A number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let number =
            if bound <= 256 { usize::from(self.byte()) } else { usize::from(u16::from_le_bytes(self.array())) };
        number % bound
    }

    /// One of a list.
    pub(crate) fn pick<'b, T>(&mut self, list: &'b [T]) -> &'b T {
        &list[self.below(list.len())]
    }

    /// A value of a type.
    pub(crate) fn any<T: Any>(&mut self) -> T {
        T::any(self)
    }

    /// A number of any width, often at the edges of one.
    pub(crate) fn number(&mut self, max: u64) -> u64 {
        let number = match self.byte() % 8 {
            0 => 0,
            1 => 1,
            2 => max,
            3 => max - 1,
            4 => u64::from(self.byte()),
            5 => 1 << (self.byte() % 64),
            6 => (1_u64 << (self.byte() % 64)) - 1,
            _ => u64::from_le_bytes(self.array()),
        };
        if number <= max { number } else { number % max }
    }

    /// Text of `min` to `max` bytes whose characters pass `allowed`; `x` must.
    pub(crate) fn text(&mut self, min: usize, max: usize, allowed: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        match self.byte() % 8 {
            0 => {}
            1 => text.push_str(NASTY[self.below(NASTY.len())]),
            2 => text.push_str(&"x".repeat(self.last)),
            3 => text = "x".repeat(max),
            4 => {
                let c = self.char();
                let count = max / c.len_utf8();
                text.extend(core::iter::repeat_n(c, count));
            }
            5 => {
                let length = self.below(300);
                text = "x".repeat(length);
            }
            _ => {
                let length = self.below(24);
                text.extend((0..length).map(|_| self.char()));
            }
        }
        text.retain(allowed);
        while text.len() > max {
            text.pop();
        }
        while text.len() < min {
            text.push('x');
        }
        self.last = text.len();
        text
    }

    fn char(&mut self) -> char {
        match self.byte() {
            byte @ 0..=0x7f => char::from(byte),
            0x80..=0xbf => NASTY[self.below(NASTY.len())].chars().last().unwrap_or('x'),
            _ => char::from_u32(u32::from_le_bytes(self.array()) % 0x11_0000).unwrap_or('\u{fffd}'),
        }
    }

    /// `[a-z][a-z0-9_]*`.
    pub(crate) fn word(&mut self, max: usize) -> String {
        let mut word = self.text(1, max, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !word.starts_with(|c: char| c.is_ascii_lowercase()) {
            word.replace_range(..1, "x");
        }
        word
    }

    /// A ULID's bytes with a time that a fact may carry.
    pub(crate) fn ulid(&mut self) -> [u8; 16] {
        let time_ms = match self.byte() % 4 {
            0 => limits::ULID_TIME_MS_MIN,
            1 => (1 << 48) - 1,
            _ => 1_790_000_000_000 + u64::from(u16::from_le_bytes(self.array())),
        };
        let random = u128::from(u64::from_le_bytes(self.array())) << (self.byte() % 17);
        MessageId::from_parts(time_ms, random).0
    }

    /// A fact that passes the checks, about one of `known` messages or any other.
    pub(crate) fn fact(&mut self, kind: DocumentKind, known: &[MessageId]) -> Fact {
        let choice = self.byte();
        let id = FactId(self.ulid());
        if kind == DocumentKind::Card {
            let label_char = |c: char| !c.is_control() && c != '/' && !c.is_whitespace();
            return if choice.is_multiple_of(2) {
                let value = self.text(0, limits::FIELD_VALUE_BYTES_MAX, |_| true);
                Fact::Field { name: self.word(limits::FIELD_NAME_BYTES_MAX), id, value }
            } else {
                Fact::Label { label: self.text(1, limits::LABEL_BYTES_MAX, label_char), id, on: self.any() }
            };
        }
        let message = if known.is_empty() || self.byte() == 0 { MessageId(self.ulid()) } else { *self.pick(known) };
        match choice % 8 {
            0 => Fact::Edit { message, id, body: self.text(1, limits::BODY_BYTES_MAX, |_| true) },
            1 => Fact::Retraction { message, id, reason: self.text(0, limits::REASON_BYTES_MAX, |_| true) },
            2 => {
                let emoji = self.text(0, limits::EMOJI_BYTES_MAX, |c| !c.is_control());
                Fact::Reaction { message, by: self.any(), id, emoji }
            }
            _ => Fact::Message(self.message(MessageId(id.0), message)),
        }
    }

    fn message(&mut self, id: MessageId, other: MessageId) -> Message {
        let dir = *self.pick(&[Direction::Out, Direction::In, Direction::Note]);
        let kind = if self.byte() < 192 { "text".to_owned() } else { self.word(limits::KIND_BYTES_MAX) };
        let options = self.byte();
        let name_char = |c: char| !c.is_control() && c != '/' && c != '\\';
        let media = (options & 1 != 0).then(|| Media {
            hash: self.any(),
            media_type: self.text(1, limits::MEDIA_TYPE_BYTES_MAX, |c| c.is_ascii_graphic()),
            name: self.text(0, limits::MEDIA_NAME_BYTES_MAX, name_char),
            size: self.number(limits::MEDIA_SIZE_BYTES_MAX),
        });
        let body_min = usize::from(media.is_none() && kind == "text");
        Message {
            id,
            by: self.any(),
            dir,
            kind,
            body: self.text(body_min, limits::BODY_BYTES_MAX, |_| true),
            seen: (options & 2 != 0 && dir == Direction::Out).then_some(other),
            re: (options & 4 != 0).then_some(other),
            media,
            src: (options & 8 != 0).then(|| self.text(1, limits::SRC_BYTES_MAX, |_| true)),
        }
    }
}

/// A type that bytes can choose a value of.
pub(crate) trait Any: Sized {
    /// The value that the next bytes choose.
    fn any(source: &mut Source<'_>) -> Self;
}

impl Any for bool {
    fn any(source: &mut Source<'_>) -> Self {
        source.byte() & 1 != 0
    }
}

impl Any for u16 {
    fn any(source: &mut Source<'_>) -> Self {
        source.number(u64::from(Self::MAX)) as Self
    }
}

impl Any for u32 {
    fn any(source: &mut Source<'_>) -> Self {
        source.number(u64::from(Self::MAX)) as Self
    }
}

impl Any for u64 {
    fn any(source: &mut Source<'_>) -> Self {
        source.number(Self::MAX)
    }
}

impl Any for String {
    fn any(source: &mut Source<'_>) -> Self {
        source.text(0, 400, |_| true)
    }
}

impl<T: Any> Any for Option<T> {
    fn any(source: &mut Source<'_>) -> Self {
        source.any::<bool>().then(|| source.any())
    }
}

impl<T: Any> Any for Vec<T> {
    fn any(source: &mut Source<'_>) -> Self {
        let length = source.below(5);
        (0..length).map(|_| source.any()).collect()
    }
}

macro_rules! any_bytes {
    ($($name:ident)*) => {
        $(impl Any for $name {
            fn any(source: &mut Source<'_>) -> Self {
                // One byte repeated is enough to tell ids apart, and leaves bytes for what matters.
                let first = source.byte();
                if first < 0xf0 { Self([first; _]) } else { Self(source.array()) }
            }
        })*
    };
}
any_bytes!(ActorId ChangeHash ConversationId DeviceId Epoch FactId HashPrefix HubId InviteCode MediaHash MessageId);
any_bytes!(ImportId Nonce PinnedKeyHash PublicKey Signature);

impl Any for Lsn {
    fn any(source: &mut Source<'_>) -> Self {
        Self(source.any())
    }
}

impl Any for MemberId {
    fn any(source: &mut Source<'_>) -> Self {
        Self(source.any())
    }
}

impl Any for DocumentId {
    fn any(source: &mut Source<'_>) -> Self {
        let kind = *source.pick(&[DocumentKind::Segment, DocumentKind::Card, DocumentKind::Imported]);
        Self { conversation: source.any(), kind, number: source.any() }
    }
}

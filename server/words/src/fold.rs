//! Folding: what is left of a text when everything is taken away by which a word can be made to look different.

mod script;
mod table;

pub(crate) use script::{Group, STROKE, TEH_MARBUTA, TONES, VIETNAMESE};
use table::{Folding, TABLE, Table, of_digit};

/// A separator stands before this letter, one that may stand within a word.
pub(crate) const GAP_SOFT: u8 = 1;
/// White space or the like stands before this letter.
pub(crate) const GAP_HARD: u8 = 2;
/// Any separator.
pub(crate) const GAP: u8 = GAP_SOFT | GAP_HARD;
/// This letter is the second half of one, or a vowel sign: no word begins with it.
pub(crate) const JOINED: u8 = 4;
/// This letter was a digit, or a sign that is taken for a letter.
pub(crate) const DIGIT: u8 = 8;
/// This was a small i, which does not look like an l.
pub(crate) const SMALL_I: u8 = 16;
/// This was a small l, which looks like an i among capitals only.
pub(crate) const SMALL_L: u8 = 32;
/// This was a capital L, which does not look like an i.
pub(crate) const CAPITAL_L: u8 = 64;
/// This was a capital.
pub(crate) const CAPITAL: u8 = 128;

/// Texts longer than this (4 GiB) are seen up to here: offsets are 32 bits wide.
const TEXT_BYTES_MAX: usize = u32::MAX as usize;

const VIRAMA: char = '\u{94D}';
const ANUSVARA: char = '\u{902}';

/// Where a byte of folded text comes from. The bytes of a character share it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Byte offsets of what it comes from in the original text.
    pub start: u32,
    pub end: u32,
    /// Accents and tone marks that stood on the letter.
    pub marks: u16,
    pub flags: u8,
}

/// Folds texts into memory that it keeps: one folder serves any number of texts without allocating for each.
#[derive(Default, Debug)]
pub struct Folder {
    pub(crate) text: String,
    /// One for each byte of `text`.
    pub(crate) places: Vec<Place>,
    /// A separator that was met since the last letter.
    gap: u8,
    /// Where the last character begins, and the last that is a letter by itself.
    last: usize,
    base: usize,
    /// What is before this belongs to another text.
    floor: usize,
}

/// The folded text with one space wherever something separates letters. Folding it again gives the same.
///
/// What comes out is for comparing, not for showing: `m` is `rn`, digits are letters.
pub fn fold(text: &str) -> String {
    let mut folder = Folder::default();
    folder.push(text);
    let mut spaced = String::with_capacity(folder.text.len());
    for (at, letter) in folder.text.char_indices() {
        if at > 0 && folder.places[at].flags & GAP != 0 {
            spaced.push(' ');
        }
        spaced.push(letter);
    }
    spaced
}

/// What an ASCII character folds to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ascii {
    /// With flags.
    Letter(u8, u8),
    /// Two letters that stand for one.
    Pair(u8, u8, u8),
    Digit(u8),
    /// A letter if one follows, a separator else.
    Sign(u8),
    /// An i between letters, a separator else.
    Between(u8),
    Soft,
    Hard,
    Ignored,
}

const fn ascii_table() -> [Ascii; 128] {
    let mut table = [Ascii::Soft; 128];
    let mut code = 0;
    while code < 128 {
        table[code as usize] = match code {
            b'i' => Ascii::Letter(b'i', SMALL_I),
            b'l' => Ascii::Letter(b'i', SMALL_L),
            b'L' => Ascii::Letter(b'i', CAPITAL_L | CAPITAL),
            b'm' | b'M' => Ascii::Pair(b'r', b'n', if code == b'M' { CAPITAL } else { 0 }),
            b'w' | b'W' => Ascii::Pair(b'v', b'v', if code == b'W' { CAPITAL } else { 0 }),
            b'a'..=b'z' => Ascii::Letter(code, 0),
            b'A'..=b'Z' => Ascii::Letter(code + 32, CAPITAL),
            b'0'..=b'9' => Ascii::Digit(of_digit(code - b'0') as u8),
            b'@' => Ascii::Sign(b'a'),
            b'$' => Ascii::Sign(b's'),
            b'!' | b'|' => Ascii::Between(code),
            b' ' | b'\t'..=b'\r' | b',' | b';' | b':' | b'?' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' => {
                Ascii::Hard
            }
            0..=8 | 14..=31 | 127 => Ascii::Ignored,
            _ => Ascii::Soft,
        };
        code += 1;
    }
    table
}

const ASCII: [Ascii; 128] = ascii_table();

/// The ASCII character that this one is, be it of full width.
const fn narrow(sign: char) -> Option<u8> {
    match sign as u32 {
        code @ 0..=0x7F => Some(code as u8),
        code @ 0xFF01..=0xFF5E => Some((code - 0xFEE0) as u8),
        _ => None,
    }
}

impl Folder {
    /// Memory to fold into.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the texts, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
        (self.gap, self.last, self.base, self.floor) = (0, 0, 0, 0);
    }

    /// A hard separator between the texts before and after.
    pub(crate) fn separate(&mut self) {
        self.gap |= GAP_HARD;
    }

    /// Folds one more text, as if it went on where the last ended. Offsets are those within this text.
    pub(crate) fn push(&mut self, text: &str) {
        let mut seen = text.len().min(TEXT_BYTES_MAX);
        while !text.is_char_boundary(seen) {
            seen -= 1;
        }
        let text = &text[..seen];
        self.floor = self.text.len();
        self.text.reserve(text.len());
        self.places.reserve(text.len());
        let table: &Table = &TABLE;
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if *byte < 0x80 {
                self.ascii(*byte, text, at, 1);
                at += 1;
                continue;
            }
            let sign = text[at..].chars().next().expect("there is a byte");
            let len = sign.len_utf8();
            match narrow(sign) {
                Some(byte) => self.ascii(byte, text, at, len),
                None => self.other(table, sign, text, at),
            }
            at += len;
        }
    }

    #[inline]
    fn ascii(&mut self, byte: u8, text: &str, at: usize, len: usize) {
        match ASCII[usize::from(byte)] {
            Ascii::Letter(letter, flags) => self.simple(letter, flags, at, len),
            Ascii::Hard => self.gap |= GAP_HARD,
            Ascii::Pair(first, second, flags) => {
                self.simple(first, flags, at, len);
                let base = self.base;
                self.simple(second, JOINED | flags, at, len);
                self.base = base;
            }
            Ascii::Digit(letter) => self.simple(letter, DIGIT, at, len),
            Ascii::Soft => self.gap |= GAP_SOFT,
            Ascii::Sign(letter) => match is_letter_at(text, at + len, self.is_within()) {
                true => self.simple(letter, DIGIT, at, len),
                false => self.gap |= GAP_SOFT,
            },
            Ascii::Between(sign) => {
                let (before, after) = (self.is_within(), is_letter_at(text, at + len, true));
                // A bar may stand for the first and the last letter too; an exclamation mark ends a sentence.
                match before && after || sign == b'|' && (before || is_letter_at(text, at + len, false)) {
                    true => self.simple(b'i', DIGIT, at, len),
                    false => self.gap |= GAP_HARD,
                }
            }
            Ascii::Ignored => {}
        }
    }

    /// Whether a letter of the same text has just gone before.
    fn is_within(&self) -> bool {
        self.gap == 0 && self.text.len() > self.floor
    }

    /// Adds an ASCII letter.
    #[inline]
    fn simple(&mut self, letter: u8, flags: u8, at: usize, len: usize) {
        self.last = self.text.len();
        self.base = self.last;
        self.text.push(char::from(letter));
        let flags = flags | std::mem::take(&mut self.gap);
        self.places.push(Place { start: at as u32, end: (at + len) as u32, marks: 0, flags });
    }

    fn other(&mut self, table: &Table, sign: char, text: &str, at: usize) {
        let end = at + sign.len_utf8();
        match table.folding(sign) {
            Folding::Itself => self.letter(sign, 0, 0, at, end),
            Folding::Ignored => {}
            Folding::Separator { .. } if script::sign(sign).is_some() && is_letter_at(text, end, self.is_within()) => {
                let letter = script::sign(sign).expect("it is one");
                self.letter(letter, 0, DIGIT, at, end);
            }
            Folding::Separator { hard } => self.gap |= if hard { GAP_HARD } else { GAP_SOFT },
            Folding::Marks(marks) => self.mark(marks, end),
            Folding::Units(units) => {
                for unit in units {
                    if unit.letter == ' ' {
                        self.gap |= GAP_SOFT;
                        continue;
                    }
                    let flags = [(unit.joined, JOINED), (unit.digit, DIGIT), (unit.capital, CAPITAL)];
                    let flags = flags.iter().map(|(is, flag)| u8::from(*is) * flag).sum();
                    let letter = match sign {
                        // Small ones among Latin letters look like others than their capitals do.
                        'ν' | 'υ' | 'η' if !is_in_greek_word(text, at, end) => match sign {
                            'ν' => 'v',
                            'υ' => 'u',
                            _ => 'n',
                        },
                        _ => unit.letter,
                    };
                    self.letter(letter, unit.marks, flags, at, end);
                }
            }
        }
    }

    fn mark(&mut self, marks: u16, end: usize) {
        if self.is_within() {
            for place in &mut self.places[self.last..] {
                place.end = end as u32;
            }
            let len = char_at(&self.text, self.base).map_or(0, char::len_utf8);
            for place in &mut self.places[self.base..self.base + len] {
                place.marks |= marks;
            }
        }
    }

    /// Adds any letter.
    fn letter(&mut self, letter: char, marks: u16, mut flags: u8, at: usize, end: usize) {
        if self.is_within() {
            let before = char_at(&self.text, self.last).expect("it is not empty");
            // A consonant that hangs on the virama before it.
            if before == VIRAMA && matches!(letter, '\u{915}'..='\u{939}') && !self.nasal() {
                flags |= JOINED;
            }
            match (before, letter) {
                // A vowel sign twice looks like one.
                (before, letter) if before == letter && flags & JOINED != 0 && !letter.is_ascii() => {
                    return self.mark(marks, end);
                }
                // Sara e twice looks like sara ae.
                ('\u{E40}', '\u{E40}') => return self.change_last('\u{E41}', end),
                ('\u{EC0}', '\u{EC0}') => return self.change_last('\u{EC1}', end),
                // The second half of sara am.
                ('\u{E4D}', '\u{E32}') | ('\u{ECD}', '\u{EB2}') => flags |= JOINED,
                _ => {}
            }
        }
        let from = self.text.len();
        self.text.push(letter);
        flags |= std::mem::take(&mut self.gap);
        self.last = from;
        if flags & JOINED == 0 || from == self.floor {
            self.base = from;
        }
        let place = Place { start: at as u32, end: end as u32, marks, flags };
        self.places.resize(self.text.len(), place);
    }

    fn change_last(&mut self, letter: char, end: usize) {
        let place = Place { end: end as u32, ..self.places[self.last] };
        self.text.truncate(self.last);
        self.places.truncate(self.last);
        self.text.push(letter);
        self.places.resize(self.text.len(), place);
    }

    /// A nasal before a consonant may be written as anusvara: it is, if one stands before the virama. Whether one did.
    fn nasal(&mut self) -> bool {
        let Some(nasal) = char_before(&self.text, self.last).filter(|letter| "ङञणनम".contains(*letter))
        else {
            return false;
        };
        let from = self.last - nasal.len_utf8();
        if from < self.floor || self.places[self.last].flags & GAP != 0 {
            return false;
        }
        let virama = self.places[self.last];
        self.text.truncate(self.last);
        self.places.truncate(self.last);
        self.last = from;
        if self.places[from].flags & GAP == 0 && from > self.floor && char_before(&self.text, from) == Some(ANUSVARA) {
            self.text.truncate(from);
            self.places.truncate(from);
            self.last = from - ANUSVARA.len_utf8();
        } else {
            self.change_last(ANUSVARA, virama.end as usize);
            for place in &mut self.places[from..] {
                place.flags |= JOINED;
            }
        }
        self.base = self.last;
        true
    }
}

/// The character that begins there.
pub(crate) fn char_at(text: &str, at: usize) -> Option<char> {
    text[at..].chars().next()
}

/// The character that ends there.
pub(crate) fn char_before(text: &str, at: usize) -> Option<char> {
    text[..at].chars().next_back()
}

/// Whether a letter, or a sign in the place of one, begins there; or a digit, where digits count.
fn is_letter_at(text: &str, at: usize, digits: bool) -> bool {
    // One or two of the signs that are also punctuation may follow one another, no more.
    let mut between = 0;
    for sign in text[at..].chars() {
        match narrow(sign).map(|byte| ASCII[usize::from(byte)]) {
            Some(Ascii::Letter(..) | Ascii::Pair(..)) => return true,
            Some(Ascii::Sign(_)) => return between == 0,
            Some(Ascii::Digit(_)) => return digits,
            Some(Ascii::Between(_)) if digits && between < 2 => between += 1,
            Some(Ascii::Ignored) => {}
            Some(_) => return false,
            None if script::is_ignored(sign) || script::mark(sign).is_some() => {}
            None => {
                let stands_for_one = script::sign(sign).is_some() || script::boxed(sign).is_some();
                return sign.is_alphabetic() || stands_for_one || digits && sign.is_numeric();
            }
        }
    }
    false
}

/// How far a word is looked through, in characters to either side.
const WORD_SEEN_MAX: usize = 24;

/// Whether the letter there stands among Greek ones only, one at least.
fn is_in_greek_word(text: &str, at: usize, end: usize) -> bool {
    let is_greek = |sign: char| matches!(sign as u32, 0x370..=0x3FF | 0x1F00..=0x1FFF);
    let is_word = |sign: &char| sign.is_alphabetic() || script::is_ignored(*sign) || script::mark(*sign).is_some();
    let before = text[..at].chars().rev().take_while(is_word).take(WORD_SEEN_MAX);
    let after = text[end..].chars().take_while(is_word).take(WORD_SEEN_MAX);
    let mut letters = before.chain(after).filter(|sign| sign.is_alphabetic() && !script::is_ignored(*sign)).peekable();
    letters.peek().is_some() && letters.all(is_greek)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fold_to() {
        let rows = [
            ("Pass-Word, PASSWORD", "pass vvord passvvord"),
            ("PIN: 4711!", "pin atii"),
            ("p@$$w0rd", "passvvord"),
            ("5 $ @ a! b", "s a b"),
            ("Straße STRASSE", "strasse strasse"),
            ("İmza ımza", "irnza irnza"),
            ("mật khẩu", "rnat khau"),
            ("ma\u{323}\u{302}t", "rnat"),
            ("pаssword", "passvvord"),
            ("ｐａｓｓ＠ｗｏｒｄ", "passavvord"),
            ("s\u{200b}w\u{ad}ift", "svvift"),
            ("น้ำ นํ้า", "นํา นํา"),
            ("เเก แก", "แก แก"),
            ("अनुबन्ध अनुबंध अनुबँध", "अनुबंध अनुबंध अनुबंध"),
            ("क़र्ज कर्ज", "कर्ज कर्ज"),
            ("العَقْد العـــقد", "العقد العقد"),
            ("إتفاقیة", "اتفاقيه"),
            ("ДОГОВОР", "дorobop"),
            ("", ""),
            ("\u{301}", ""),
            (" . ", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(fold(text), expected, "{text}");
            assert_eq!(fold(expected), expected, "{text} again");
        }
    }

    #[test]
    fn places_lead_back() {
        let mut folder = Folder::new();
        for text in ["Maß", "e\u{301}a", "ﷺ", "น้ำ", "अनुबन्ध", "x\u{200b}y z", "Ａ！ｂ", "แม่เเก"]
        {
            folder.clear();
            folder.push(text);
            assert_eq!(folder.text.len(), folder.places.len(), "{text}");
            let mut before = 0;
            for place in &folder.places {
                let range = place.start as usize..place.end as usize;
                assert!(text.get(range.clone()).is_some_and(|part| !part.is_empty()), "{text} {range:?}");
                assert!(range.start >= before, "{text} {range:?}");
                before = range.start;
            }
        }
    }
}

//! What each character folds to: worked out once, from Unicode's data and [`script`].

use std::sync::LazyLock;

use unicode_normalization::char::{decompose_compatible, is_combining_mark};
use unicode_security::confusable_detection::skeleton;

use super::script;

/// The table of all characters. The same on every run: it depends on nothing but this program.
pub(crate) static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

/// What a character folds to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Folding<'a> {
    /// Itself, a letter.
    Itself,
    /// Nothing at all.
    Ignored,
    /// The end of a word, as a dash is; hard if it ends more than that.
    Separator {
        /// See [`script::is_hard`].
        hard: bool,
    },
    /// Marks on the letter before.
    Marks(u16),
    /// Letters, and separators among them.
    Units(&'a [Unit]),
}

/// One of the characters that a character folds to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unit {
    /// The folded letter, or a space for a separator.
    pub letter: char,
    /// Accents that it had.
    pub marks: u16,
    /// It was a digit.
    pub digit: bool,
    /// It is part of the letter before, and no letter by itself.
    pub joined: bool,
    /// It was a capital.
    pub capital: bool,
}

impl Unit {
    const SEPARATOR: Self = Self { letter: ' ', marks: 0, digit: false, joined: false, capital: false };
}

/// Two stages: a page for every 256 code points, equal pages shared; a word of each page says what a character folds to.
pub(crate) struct Table {
    page_of: Vec<u16>,
    pages: Vec<[u32; 256]>,
    units: Vec<Unit>,
}

/// Words of the table: a kind, or'ed with what it needs above bit 8.
const ITSELF: u32 = 0;
const IGNORED: u32 = 1;
const SEPARATOR: u32 = 2;
const MARKS: u32 = 3;
const UNITS: u32 = 4;

/// Above this no character has a decomposition or a case.
const CODES: u32 = 0x2_FB00;
/// Han characters and private ones: nothing to work out.
const PLAIN: [std::ops::Range<u32>; 4] = [0x3400..0x4D00, 0x4E00..0x9F00, 0xD800..0xF900, 0x2_0000..0x2_F800];

impl Table {
    fn new() -> Self {
        let mut table = Self { page_of: Vec::new(), pages: vec![[ITSELF; 256]], units: Vec::new() };
        let mut units = Vec::new();
        for first in (0..CODES).step_by(256) {
            let mut page = [ITSELF; 256];
            if !PLAIN.iter().any(|range| range.contains(&first)) {
                for (code, word) in (first..).zip(&mut page) {
                    let Some(sign) = char::from_u32(code) else { continue };
                    *word = table.word(sign, &mut units);
                }
            }
            let number = table.pages.iter().position(|other| *other == page).unwrap_or(table.pages.len());
            if number == table.pages.len() {
                table.pages.push(page);
            }
            table.page_of.push(number as u16);
        }
        table
    }

    fn word(&mut self, sign: char, units: &mut Vec<Unit>) -> u32 {
        units.clear();
        if script::is_ignored(sign) {
            return IGNORED;
        }
        // Marks with nothing to stand on: those of the letter before.
        let mut leading = None;
        decompose_compatible(script::boxed(sign).unwrap_or(sign), |part| {
            match (script::mark(part), units.last_mut()) {
                _ if script::is_ignored(part) => {}
                (Some(marks), Some(unit)) => unit.marks |= marks,
                (Some(marks), None) => leading = Some(leading.unwrap_or(0) | marks),
                (None, _) => unit_of(part, units),
            }
        });
        match units.as_slice() {
            [] => leading.map_or(IGNORED, |marks| MARKS | u32::from(marks) << 8),
            [Unit { letter: ' ', .. }] => SEPARATOR | u32::from(script::is_hard(sign)) << 8,
            [Unit { letter, marks: 0, digit: false, joined: false, capital: false }] if *letter == sign => ITSELF,
            _ => {
                let (at, count) = (self.units.len() as u32, units.len() as u32);
                assert!(count < 32 && at < 1 << 19, "a word holds the place and number of its units");
                self.units.append(units);
                UNITS | count << 8 | at << 13
            }
        }
    }

    /// What a character folds to.
    pub(crate) fn folding(&self, sign: char) -> Folding<'_> {
        let code = sign as u32;
        let Some(page) = self.page_of.get(code as usize >> 8) else {
            return match sign {
                _ if script::is_ignored(sign) => Folding::Ignored,
                _ if sign.is_alphanumeric() => Folding::Itself,
                _ => Folding::Separator { hard: false },
            };
        };
        let word = self.pages[usize::from(*page)][code as usize & 0xFF];
        match word & 0xFF {
            ITSELF => Folding::Itself,
            IGNORED => Folding::Ignored,
            SEPARATOR => Folding::Separator { hard: word >> 8 != 0 },
            MARKS => Folding::Marks((word >> 8) as u16),
            _ => {
                let (at, count) = ((word >> 13) as usize, (word >> 8 & 0x1F) as usize);
                Folding::Units(&self.units[at..at + count])
            }
        }
    }
}

/// Whether words are made of it.
fn is_word(sign: char) -> bool {
    // Modifier letters that are left after decomposition look like apostrophes and primes.
    !matches!(sign as u32, 0x2B9..=0x2FF) && (sign.is_alphanumeric() || is_combining_mark(sign))
}

/// Adds what a character that is decomposed folds to.
fn unit_of(part: char, units: &mut Vec<Unit>) {
    if let Some(value) = script::digit(part) {
        units.push(Unit { letter: of_digit(value), marks: 0, digit: true, joined: false, capital: false });
        return;
    }
    if !is_word(part) {
        units.push(Unit::SEPARATOR);
        return;
    }
    let (mut letters, capital) = (String::new(), part.is_uppercase());
    for lower in part.to_lowercase() {
        // A capital may have a small letter that is decomposed: the Turkish dotted I.
        if let Some(bits) = script::mark(lower) {
            units.last_mut().expect("a mark follows its letter").marks |= bits;
            continue;
        }
        letters.clear();
        let marks = class(lower, &mut letters);
        let sign = is_combining_mark(lower) || matches!(lower as u32, 0x1160..=0x11FF);
        for (index, letter) in letters.chars().enumerate() {
            let marks = if index == 0 { marks } else { 0 };
            units.push(Unit { letter, marks, digit: false, joined: sign || index > 0, capital });
        }
    }
}

/// The letter that a digit is taken for, or the digit itself in ASCII.
pub(crate) const fn of_digit(value: u8) -> char {
    [b'o', b'i', b'2', b'e', b'a', b's', b'6', b't', b'b', b'9'][value as usize] as char
}

/// The letters that stand for all that look like a small letter. Adds at least one; gives the marks it leaves.
fn class(letter: char, letters: &mut String) -> u16 {
    if let Some((own, marks)) = script::own(letter) {
        own.chars().for_each(|letter| ascii(letter, letters));
        return marks;
    }
    if letter.is_ascii() {
        ascii(letter, letters);
        return 0;
    }
    if script::may_look_latin(letter) {
        // The small letter first, and only then the capital: so both fold to the same.
        for form in [Some(letter), letter.to_uppercase().next()].into_iter().flatten() {
            let mut found = String::new();
            for like in skeleton(form.encode_utf8(&mut [0; 4])) {
                let like = like.to_lowercase().next().unwrap_or(like);
                match script::own(like) {
                    Some((own, _)) => found.push_str(own),
                    None if script::mark(like).is_some() => {}
                    None => found.push(like),
                }
            }
            if !found.is_empty() && found.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                found.chars().for_each(|letter| ascii(letter, letters));
                return 0;
            }
        }
    }
    letters.push(letter);
    0
}

/// Latin letters that look alike become one: i and l; m is r and n, w is v twice, as in UTS #39.
fn ascii(letter: char, letters: &mut String) {
    match letter {
        'l' => letters.push('i'),
        'm' => letters.push_str("rn"),
        'w' => letters.push_str("vv"),
        _ => letters.push(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sign: char) -> String {
        match TABLE.folding(sign) {
            Folding::Itself => sign.to_string(),
            Folding::Ignored => "-".to_owned(),
            Folding::Separator { hard: false } => ".".to_owned(),
            Folding::Separator { hard: true } => "_".to_owned(),
            Folding::Marks(bits) => format!("+{bits}"),
            Folding::Units(units) => units.iter().map(|unit| unit.letter).collect(),
        }
    }

    #[test]
    fn each_character_folds_to() {
        let rows = "A a|z z|L i|m rn|W vv|0 o|9 9|ß ss|ẞ ss|İ i|ı i|ﬁ fi|Ａ a|𝐛 b|Ⓒ c|🅿 p|🇩 d|é e|Ế e|đ d|ø o|ё e|Й и|В b\
                    |в b|Ч ч|Ν n|Ꭺ a|ᴀ a|ℓ i|５ s|٣ e|۴ a|४ a|๗ t|أ ا|ى ي|ة ه|ک ك|ﷲ الله|ـ -|ّ +0|क़ क|़ +0|ँ ं|ำ ํา|ก ก|่ +8192\
                    |合 合|㈱  株 |ϲ c|Ϲ c|ㄱ \u{1100}|각 \u{1100}\u{1161}\u{11a8}|. .|, _|- .|😀 .|\u{200d} -|\u{e0041} -|_ .|ʼ .";
        for row in rows.split('|') {
            let (sign, expected) = row.split_once(' ').expect("a character and what it folds to");
            let sign = sign.chars().next().expect("a character");
            assert_eq!(shown(sign), expected, "{sign} {:x}", sign as u32);
        }
        assert_eq!(shown(' '), "_");
        assert_eq!(shown('\u{a0}'), "_");
    }

    /// Else folding twice would differ from folding once.
    #[test]
    fn what_is_folded_stays() {
        let table = &*TABLE;
        for unit in &table.units {
            assert!(
                unit.letter == ' '
                    || table.folding(unit.letter) == Folding::Itself
                    || matches!(table.folding(unit.letter), Folding::Units([same]) if same.letter == unit.letter),
                "{:?}: {:?}",
                unit,
                table.folding(unit.letter)
            );
        }
    }

    #[test]
    fn case_does_not_matter() {
        for code in 0..CODES {
            let Some(sign) = char::from_u32(code) else { continue };
            let mut lower = sign.to_lowercase();
            if lower.len() == 1
                && let Some(lower) = lower.next()
            {
                assert_eq!(shown(sign), shown(lower), "{sign} {code:x}");
            }
        }
    }
}

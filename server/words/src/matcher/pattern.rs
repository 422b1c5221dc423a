//! An entry as it is looked for, and whether a place that reads like it is it.

use std::ops::Range;

use super::border;
use crate::category::Category;
use crate::fold::{
    CAPITAL, CAPITAL_L, DIGIT, Folder, GAP, GAP_HARD, Group, JOINED, Place, SMALL_I, SMALL_L, STROKE, TONES, VIETNAMESE,
};

/// Words of this many letters may be broken by something other than white space.
const SOFT_LETTERS_MIN: usize = 5;
/// Words of this many letters may be broken into pieces of two letters.
const PAIRS_LETTERS_MIN: usize = 6;
/// Words of this many letters may be spelled out: shorter ones are too often the small words of another language.
const SPELLED_LETTERS_MIN: usize = 3;

/// Entries up to this length are told from words that fold alike and do not look alike: cult and CUIT.
const CLOSE_LETTERS_MAX: usize = 6;
/// Entries up to this length are told from Vietnamese syllables by the accents of these.
const BARE_LETTERS_MAX: usize = 8;

/// One spelling of an entry.
#[derive(Debug)]
pub(super) struct Pattern {
    pub entry: u32,
    pub category: Category,
    letters: Vec<Letter>,
    digits: usize,
    words: usize,
    /// It is short and has no accents: a syllable or two of Vietnamese may read like it.
    bare: bool,
    /// Its accents are those of Vietnamese: others make other words.
    vietnamese: bool,
}

/// A letter of an entry.
#[derive(Debug)]
struct Letter {
    marks: u16,
    /// A word of the phrase begins with it.
    begins: bool,
    /// It is the second half of one: n of m, which r and n look like. Nobody takes one letter for two.
    joined: bool,
    /// It is an l, not an i.
    ell: bool,
}

impl Letter {
    /// Whether what folds to the same looks the same too. `capitals`: there are some in the word.
    const fn looks_like(&self, flags: u8, capitals: bool) -> bool {
        let unlike = if self.ell { SMALL_I } else { CAPITAL_L | if capitals { 0 } else { SMALL_L } };
        (self.joined || flags & JOINED == 0) && flags & unlike == 0
    }
}

impl Pattern {
    pub(super) fn new(entry: u32, category: Category, folder: &Folder) -> Self {
        let mut pattern =
            Self { entry, category, letters: Vec::new(), digits: 0, words: 0, bare: false, vietnamese: false };
        for (at, _) in folder.text.char_indices() {
            let place = &folder.places[at];
            let begins = at == 0 || place.flags & GAP != 0;
            let (joined, ell) = (place.flags & JOINED != 0, place.flags & (SMALL_L | CAPITAL_L) != 0);
            pattern.letters.push(Letter { marks: place.marks, begins, joined, ell });
            pattern.digits += usize::from(place.flags & DIGIT != 0);
            pattern.words += usize::from(begins);
            pattern.vietnamese |= is_vietnamese(place.marks);
        }
        pattern.bare =
            pattern.letters.len() <= BARE_LETTERS_MAX && pattern.letters.iter().all(|letter| letter.marks == 0);
        pattern
    }

    /// Whether the folded text in that range, which reads like this pattern, is a hit.
    pub(super) fn holds(&self, folder: &Folder, range: Range<usize>) -> bool {
        // Most of what reads like a pattern begins within another word.
        if !border::begins(folder, range.start) || !border::ends(folder, range.end) {
            return false;
        }
        let bounded = border::is_apart(folder, range.start) && border::is_apart(folder, range.end);
        let close = self.letters.len() <= CLOSE_LETTERS_MAX;
        let capitals = close && folder.places[range.clone()].iter().any(|place| place.flags & CAPITAL != 0);
        let (mut digits, mut count) = (0, 0);
        let mut word = Word::default();
        for ((at, sign), letter) in folder.text[range.clone()].char_indices().zip(&self.letters) {
            let place = &folder.places[range.start + at];
            let group = Group::of(sign);
            if !self.marks_agree(place.marks, letter.marks, group) || close && !letter.looks_like(place.flags, capitals)
            {
                return false;
            }
            digits += usize::from(place.flags & DIGIT != 0);
            count += usize::from(place.flags & JOINED == 0);
            if letter.begins {
                if !word.holds(bounded, self.words) {
                    return false;
                }
                word = Word::default();
            }
            word.add(place, group, letter.begins);
        }
        word.holds(bounded, self.words) && self.digits_agree(digits, count)
    }

    /// Marks may be missing in the text. Tones must be those of the entry; and accents, where they make other words.
    fn marks_agree(&self, text: u16, entry: u16, group: Group) -> bool {
        if group == Group::Unspaced && text & TONES & !entry != 0 {
            return false;
        }
        if !is_vietnamese(text) && !self.vietnamese {
            return true;
        }
        let (text_accents, entry_accents) = (text & !TONES & !STROKE, entry & !TONES & !STROKE);
        !(self.bare && is_vietnamese(text)) && (entry_accents == 0 || text_accents & !entry_accents == 0)
    }

    /// Digits are taken for letters, but a number is not a word: some letters of it must be letters.
    fn digits_agree(&self, digits: usize, count: usize) -> bool {
        let needed = if count >= SOFT_LETTERS_MIN { 2 } else { count.saturating_sub(1) };
        digits >= self.digits && count.saturating_sub(digits) >= needed.min(count.saturating_sub(self.digits))
    }
}

/// Whether the accents are those of Vietnamese, and not of most others. More than two are no language's.
const fn is_vietnamese(marks: u16) -> bool {
    let accents = marks & !TONES;
    accents & VIETNAMESE != 0 && accents.count_ones() <= 2 || accents.count_ones() == 2
}

/// How a word of an entry is broken into pieces.
#[derive(Default)]
struct Word {
    letters: usize,
    piece: usize,
    piece_max: usize,
    broken: bool,
    hard: bool,
    unspaced: bool,
}

impl Word {
    fn add(&mut self, place: &Place, group: Group, begins: bool) {
        if place.flags & GAP != 0 && !begins {
            self.broken = true;
            self.hard |= place.flags & GAP_HARD != 0;
            self.piece = 0;
        }
        if place.flags & JOINED == 0 {
            self.letters += 1;
            self.piece += 1;
            self.piece_max = self.piece_max.max(self.piece);
        }
        self.unspaced |= group == Group::Unspaced;
    }

    /// Whether it may be broken as it is. `bounded`: something separates the hit from what is before and after.
    fn holds(&self, bounded: bool, words: usize) -> bool {
        if !self.broken {
            return true;
        }
        if self.unspaced {
            let pieces = self.piece_max <= 1 || self.piece_max == 2 && self.letters >= PAIRS_LETTERS_MIN;
            return !self.hard || pieces && bounded;
        }
        match self.piece_max {
            0 | 1 if self.letters >= SPELLED_LETTERS_MIN || words > 1 => true,
            2 if self.letters >= PAIRS_LETTERS_MIN => true,
            _ => !self.hard && self.letters >= SOFT_LETTERS_MIN,
        }
    }
}

/// The spellings under which an entry is looked for, its own first.
pub(super) fn spellings(text: &str) -> Vec<String> {
    let mut spellings = vec![text.to_owned()];
    let mut add = |spelling: String| {
        if spelling != text {
            spellings.push(spelling);
        }
    };
    // German without umlauts.
    const UMLAUTS: [(char, &str); 6] = [('ä', "ae"), ('ö', "oe"), ('ü', "ue"), ('Ä', "ae"), ('Ö', "oe"), ('Ü', "ue")];
    add(UMLAUTS.iter().fold(text.to_owned(), |text, (umlaut, pair)| text.replace(*umlaut, pair)));
    // Arabic: before a pronoun the ending of feminine words is a teh; the article of the last word may be missing.
    if let Some(stem) = text.strip_suffix('ة') {
        add(format!("{stem}ت"));
    }
    if let Some((first, last)) = text.rsplit_once(' ')
        && let Some(bare) = last.strip_prefix("ال")
        && bare.chars().count() >= 3
    {
        add(format!("{first} {bare}"));
        if let Some(stem) = bare.strip_suffix('ة') {
            add(format!("{first} {stem}ت"));
        }
    }
    // Hindi: the masculine ending gives way to those of case and number.
    if let Some(stem) = text.strip_suffix('ा')
        && stem.chars().rev().take_while(|letter| Group::of(*letter) == Group::Indic).count() >= 2
    {
        add(stem.to_owned());
    }
    spellings
}

//! Where words begin and end in folded text.

use crate::fold::{CAPITAL, DIGIT, Folder, GAP, Group, JOINED, TEH_MARBUTA, char_at, char_before};

/// What Arabic writes at the beginning of a word: "and", "so", "with", "like", "for", "the".
const ARABIC_PREFIXES: &[&str] = &[
    "و", "ف", "ب", "ك", "ل", "ال", "لل", "وال", "فال", "بال", "كال", "ولل", "فلل", "وب", "فب", "ول", "فل", "وك",
    "وبال", "فبال", "وكال",
];

/// What Arabic writes at the end of a word, folded: pronouns, number, case.
const ARABIC_SUFFIXES: &[&str] = &[
    "ه", "ها", "هم", "هما", "هن", "ك", "كم", "كما", "كن", "نا", "ي", "ني", "ين", "ون", "ان", "ات", "ا", "اتي", "اتك",
    "اته", "اتها", "اتهم", "اتنا", "اتكم", "تي", "تك", "ته", "تها", "تهم", "تنا", "تكم",
];

/// The endings of case and number in Hindi, folded.
const HINDI_SUFFIXES: &[&str] = &["ा", "े", "ी", "ो", "ों", "ें", "ियां", "ियों", "यां", "यों", "एं", "ओं"];

/// The longest of them, in letters.
const AFFIX_LETTERS_MAX: usize = 5;

/// Whether something other than a letter stands before the letter there, or it is the end of the text.
pub(super) fn is_apart(folder: &Folder, at: usize) -> bool {
    at == 0 || folder.places.get(at).is_none_or(|place| place.flags & GAP != 0)
}

/// Whether a word may begin there.
pub(super) fn begins(folder: &Folder, at: usize) -> bool {
    if is_apart(folder, at) {
        return true;
    }
    let Some(place) = folder.places.get(at).filter(|place| place.flags & JOINED == 0) else { return false };
    let Some(letter) = char_at(&folder.text, at) else { return false };
    is_change(folder, at, letter, place.flags)
        || Group::of(letter) == Group::Arabic && ARABIC_PREFIXES.contains(&before(folder, at))
}

/// Whether a word may end there.
pub(super) fn ends(folder: &Folder, at: usize) -> bool {
    if is_apart(folder, at) {
        return true;
    }
    let (Some(place), Some(letter)) = (folder.places.get(at), char_at(&folder.text, at)) else { return true };
    let before = char_before(&folder.text, at).map(Group::of);
    if before == Some(Group::Indic) && HINDI_SUFFIXES.contains(&after(folder, at)) {
        return true;
    }
    if place.flags & JOINED != 0 {
        return false;
    }
    if is_change(folder, at, letter, place.flags) {
        return true;
    }
    if before != Some(Group::Arabic) {
        return false;
    }
    let suffix = after(folder, at);
    // A teh marbuta makes another word, unlike the pronoun that reads like it.
    ARABIC_SUFFIXES.contains(&suffix) && folder.places[at + suffix.len() - 1].marks & TEH_MARBUTA == 0
}

/// Whether what is before and after are of different kinds, or of scripts that do not separate words.
fn is_change(folder: &Folder, at: usize, letter: char, flags: u8) -> bool {
    let Some(before) = char_before(&folder.text, at) else { return true };
    let (group, group_before) = (Group::of(letter), Group::of(before));
    let digits = (flags & DIGIT, folder.places[at - 1].flags & DIGIT);
    // A capital after a small letter begins a word in the names of files.
    let hump = flags & CAPITAL != 0 && folder.places[at - 1].flags & CAPITAL == 0;
    // The digits of all scripts are Latin letters by now.
    hump || group == Group::Unspaced || group_before == Group::Unspaced || digits.0 != digits.1 || group != group_before
}

/// What stands before, from the beginning of the word; empty if that is too far.
fn before(folder: &Folder, at: usize) -> &str {
    for (count, (start, _)) in folder.text[..at].char_indices().rev().enumerate() {
        if count >= AFFIX_LETTERS_MAX {
            return "";
        }
        if is_apart(folder, start) {
            return &folder.text[start..at];
        }
    }
    ""
}

/// What stands after, to the end of the word; empty if that is too far.
fn after(folder: &Folder, at: usize) -> &str {
    let rest = &folder.text[at..];
    for (count, (length, letter)) in rest.char_indices().enumerate() {
        let end = at + length + letter.len_utf8();
        if count >= AFFIX_LETTERS_MAX {
            return "";
        }
        if is_apart(folder, end) {
            return &folder.text[at..end];
        }
    }
    ""
}

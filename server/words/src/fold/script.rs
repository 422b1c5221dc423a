//! What this crate knows of scripts by itself: which write without spaces, digits, marks that may be left out.

/// Scripts that meet at a border of words, whether or not something stands between them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    /// Latin, Cyrillic, Greek and whatever else puts spaces between words: mixed within a word by those who disguise it.
    Spaced,
    /// Arabic and Hebrew.
    Arabic,
    /// The scripts of India that put spaces between words.
    Indic,
    /// Thai, Lao, Khmer, Burmese, Tibetan, Han, kana, Hangul: no spaces, or particles attached, so words are found
    /// anywhere.
    Unspaced,
}

impl Group {
    pub(crate) const fn of(letter: char) -> Self {
        match letter as u32 {
            0x0590..=0x08FF => Self::Arabic,
            0x0900..=0x0DFF => Self::Indic,
            0x0E00..=0x109F
            | 0x1100..=0x11FF
            | 0x1780..=0x17FF
            | 0x1950..=0x19FF
            | 0x1A20..=0x1AAF
            | 0x2E80..=0xA4CF
            | 0xA960..=0xA97F
            | 0xA9E0..=0xA9FF
            | 0xAA60..=0xAADF
            | 0xAC00..=0xD7FF
            | 0xF900..=0xFAFF
            | 0x1B000..=0x1B16F
            | 0x20000..=0x3FFFF => Self::Unspaced,
            _ => Self::Spaced,
        }
    }
}

/// The digit of ten that follow one another from each of these (general category Nd, Unicode 16).
const ZEROS: &[u32] = &[
    0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0,
    0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620,
    0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136,
    0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0,
    0x11C50, 0x11D50, 0x11DA0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1CCF0, 0x1D7CE, 0x1D7D8,
    0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0,
];

/// One to nine in a circle: not decimal digits for Unicode, but read as such.
const ONES: &[u32] = &[0x24F5, 0x2776, 0x2780, 0x278A];

/// The value of a decimal digit of any script.
pub(crate) fn digit(sign: char) -> Option<u8> {
    let code = sign as u32;
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= code)].last()?;
    if code - zero < 10 {
        return Some((code - zero) as u8);
    }
    ONES.iter().find(|one| (**one..**one + 9).contains(&code)).map(|one| (code - one + 1) as u8)
}

/// Letters whose decomposition is not what they look like, or that have none: those in boxes, circles and flags.
pub(crate) fn boxed(sign: char) -> Option<char> {
    // Lunate sigma and yot decompose to letters that look like nothing.
    match sign {
        'ϲ' | 'Ϲ' => return Some('c'),
        'ϳ' | 'Ϳ' => return Some('j'),
        _ => {}
    }
    let code = sign as u32;
    let first = [0x1F150, 0x1F170, 0x1F1E6].into_iter().find(|first| (*first..*first + 26).contains(&code))?;
    char::from_u32(u32::from('a') + code - first)
}

/// Signs that are written for letters: the letter, if one stands beside them.
pub(crate) const fn sign(sign: char) -> Option<char> {
    match sign {
        '¢' | '©' => Some('c'),
        '€' => Some('e'),
        '£' => Some('i'),
        '®' => Some('r'),
        '§' => Some('s'),
        '¥' => Some('y'),
        _ => None,
    }
}

/// Characters that show nothing (Default_Ignorable_Code_Point), other controls, and those that only draw a word out.
pub(crate) fn is_ignored(sign: char) -> bool {
    matches!(sign as u32,
        0x00..=0x08 | 0x0E..=0x1F | 0x7F..=0x84 | 0x86..=0x9F
        | 0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x202A..=0x202E
        | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFF8 | 0x1BCA0..=0x1BCA3
        | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF
        // Tatweel, and the Nko and Mongolian signs like it.
        | 0x640 | 0x7FA | 0x180A)
}

/// Whether a separator ends a part of speech, so that a word hardly goes on after it.
pub(crate) fn is_hard(sign: char) -> bool {
    sign.is_whitespace()
        || matches!(
            sign,
            ',' | ';' | ':' | '!' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '“' | '”' | '„' | '«' | '»'
        )
        || matches!(
            sign,
            '。' | '，' | '、' | '！' | '？' | '；' | '：' | '…' | '—' | '（' | '）' | '「' | '」' | '《' | '》'
        )
        || matches!(sign, '،' | '؛' | '؟' | '।' | '॥')
}

/// The stroke through d, o and the like. It may be there or not, but for [`VIETNAMESE`].
pub(crate) const STROKE: u16 = 1 << 11;
/// Of an Arabic heh: that it was a teh marbuta.
pub(crate) const TEH_MARBUTA: u16 = 1 << 12;
/// Hook above, dot below, horn, stroke: accents that few languages but Vietnamese have.
pub(crate) const VIETNAMESE: u16 = 1 << 5 | 1 << 7 | 1 << 8 | STROKE;
/// Tone marks: these must be those of the entry, or be missing.
pub(crate) const TONES: u16 = 0b111 << 13;

/// What a mark leaves on the letter that it stands on. `None`: it is a sign of its own. Zero: it leaves nothing.
pub(crate) fn mark(sign: char) -> Option<u16> {
    let bits = match sign as u32 {
        0x300 | 0x340 => 1,
        0x301 | 0x341 => 1 << 1,
        0x302 => 1 << 2,
        0x303 => 1 << 3,
        0x308 => 1 << 4,
        0x309 => 1 << 5,
        0x306 => 1 << 6,
        0x323 => 1 << 7,
        0x31B => 1 << 8,
        0x326..=0x328 => 1 << 9,
        0x304 | 0x30A..=0x30C => 1 << 10,
        // Thai and Lao: mai ek, mai tho, mai tri with mai chattawa, and the mark of silence, which nobody misses.
        0xE48 | 0xEC8 => 1 << 13,
        0xE49 | 0xEC9 => 1 << 14,
        0xE4A | 0xE4B | 0xECA | 0xECB => 1 << 15,
        0xE4C | 0xECC => 0,
        // Marks that combine with letters of any script, Cyrillic titla, Hebrew points, Arabic vowels, nuktas.
        0x300..=0x36F
        | 0x483..=0x489
        | 0x591..=0x5BD
        | 0x5BF
        | 0x5C1..=0x5C7
        | 0x610..=0x61A
        | 0x64B..=0x65F
        | 0x670
        | 0x6D6..=0x6DC
        | 0x6DF..=0x6E4
        | 0x6E7..=0x6E8
        | 0x6EA..=0x6ED
        | 0x898..=0x89F
        | 0x8CA..=0x8E1
        | 0x8E3..=0x8FF
        | 0x93C
        | 0x9BC
        | 0xA3C
        | 0xABC
        | 0xB3C
        | 0xC3C
        | 0xCBC
        | 0x1AB0..=0x1AFF
        | 0x1DC0..=0x1DFF
        | 0x20D0..=0x20FF
        | 0xA66F..=0xA67D
        | 0xFE20..=0xFE2F => 0,
        _ => return None,
    };
    Some(bits)
}

/// Letters that this crate folds by its own choice, given in lower case: to what, and which marks they leave.
pub(crate) fn own(letter: char) -> Option<(&'static str, u16)> {
    let plain = |to| Some((to, 0));
    match letter {
        // Latin letters that have no decomposition.
        'ß' => plain("ss"),
        'æ' => plain("ae"),
        'œ' => plain("oe"),
        'þ' => plain("th"),
        'ı' | 'ɩ' => plain("i"),
        'ø' | 'ɵ' => Some(("o", STROKE)),
        'đ' | 'ð' | 'ɖ' | 'ɗ' => Some(("d", STROKE)),
        'ł' | 'ƚ' | 'ɫ' => Some(("l", STROKE)),
        'ħ' => Some(("h", STROKE)),
        'ŧ' | 'ƭ' => Some(("t", STROKE)),
        'ƀ' | 'ɓ' => Some(("b", STROKE)),
        'ŋ' | 'ɲ' | 'ƞ' => plain("n"),
        'ĸ' | 'ƙ' => plain("k"),
        'ə' | 'ǝ' | 'ɛ' => plain("e"),
        'ɑ' => plain("a"),
        'ɡ' | 'ɢ' => plain("g"),
        'ƒ' | 'ꜰ' => plain("f"),
        // Small capitals.
        'ᴀ' => plain("a"),
        'ʙ' => plain("b"),
        'ᴄ' => plain("c"),
        'ᴅ' => plain("d"),
        'ᴇ' => plain("e"),
        'ʜ' => plain("h"),
        'ɪ' | 'ʟ' => plain("i"),
        'ᴊ' => plain("j"),
        'ᴋ' => plain("k"),
        'ᴍ' | 'ʍ' => plain("m"),
        'ɴ' => plain("n"),
        'ᴏ' => plain("o"),
        'ᴘ' => plain("p"),
        'ʀ' => plain("r"),
        'ꜱ' => plain("s"),
        'ᴛ' => plain("t"),
        'ᴜ' | 'ʋ' => plain("u"),
        'ᴠ' => plain("v"),
        'ᴡ' => plain("w"),
        'ʏ' => plain("y"),
        'ᴢ' => plain("z"),
        // Cyrillic, by the look of either case: the look of capitals too, so that case does not matter.
        'а' => plain("a"),
        'в' => plain("b"),
        'с' => plain("c"),
        'ԁ' => plain("d"),
        'е' | 'є' => plain("e"),
        'г' | 'ґ' => plain("r"),
        'һ' | 'н' | 'ћ' => plain("h"),
        'і' | 'ӏ' => plain("i"),
        'ј' => plain("j"),
        'к' | 'қ' | 'ҡ' => plain("k"),
        'м' => plain("m"),
        'о' => plain("o"),
        'р' => plain("p"),
        'ԛ' => plain("q"),
        'ѕ' => plain("s"),
        'т' => plain("t"),
        'у' | 'ү' => plain("y"),
        'ѵ' => plain("v"),
        'ԝ' => plain("w"),
        'х' | 'ҳ' => plain("x"),
        // Of the other Cyrillic letters what looks like a digit or two letters stays what it is.
        'а'..='ѿ' => plain_cyrillic(letter),
        // Greek, by capitals. Small eta, nu and upsilon look like others: see `Folder`.
        'α' => plain("a"),
        'β' => plain("b"),
        'ε' => plain("e"),
        'ζ' => plain("z"),
        'η' => plain("h"),
        'ι' => plain("i"),
        'κ' => plain("k"),
        'μ' => plain("m"),
        'ν' => plain("n"),
        'ο' => plain("o"),
        'ρ' => plain("p"),
        'σ' | 'ς' => plain("o"),
        'τ' => plain("t"),
        'υ' => plain("y"),
        'χ' => plain("x"),
        'ω' => plain("w"),
        // Arabic: forms of alef, yeh, heh and kaf, those of Persian and Urdu among them.
        'ٱ' | 'ٲ' | 'ٳ' => plain("ا"),
        'ى' | 'ی' | 'ې' | 'ے' | 'ۍ' | 'ێ' => plain("ي"),
        'ة' | 'ۃ' => Some(("ه", TEH_MARBUTA)),
        'ہ' | 'ھ' | 'ە' => plain("ه"),
        'ک' | 'ڪ' | 'ګ' => plain("ك"),
        // Devanagari: chandrabindu and the vowels for English sounds.
        'ँ' => plain("ं"),
        'ऑ' => plain("आ"),
        'ॉ' => plain("ा"),
        'ऍ' | 'ॲ' => plain("ए"),
        'ॅ' => plain("े"),
        _ => None,
    }
}

/// A Cyrillic letter that stays itself, as a string that lives for ever.
fn plain_cyrillic(letter: char) -> Option<(&'static str, u16)> {
    const BASIC: &str = "бджзийлпфцчшщъыьэюя";
    let at = BASIC.find(letter)?;
    Some((&BASIC[at..at + letter.len_utf8()], 0))
}

/// Scripts of which the data of UTS #39 tells what looks like Latin. Not those whose own words are matched: their letters
/// that look like Latin ones (alef like l, the Chinese one like a dash) must stay apart from them.
pub(crate) const fn may_look_latin(letter: char) -> bool {
    matches!(letter as u32,
        0x80..=0x58F | 0x10A0..=0x10FF | 0x13A0..=0x16FF | 0x1C80..=0x1CBF | 0x1D00..=0x1FFF | 0x2100..=0x214F
        | 0x2C00..=0x2DDF | 0xA4D0..=0xA4FF | 0xA640..=0xA69F | 0xA700..=0xA7FF | 0xAB30..=0xABBF | 0x10280..=0x1057F
        | 0x118A0..=0x118FF | 0x16F00..=0x16F9F | 0x1D400..=0x1D7FF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_every_script() {
        for (sign, value) in
            [('0', 0), ('9', 9), ('٣', 3), ('۷', 7), ('४', 4), ('๕', 5), ('໖', 6), ('８', 8), ('𝟗', 9), ('❶', 1)]
        {
            assert_eq!(digit(sign), Some(value), "{sign}");
        }
        for sign in ['a', '/', ':', 'ก', '๚', '➔', '\u{0}'] {
            assert_eq!(digit(sign), None, "{sign}");
        }
        assert!(ZEROS.is_sorted());
    }
}

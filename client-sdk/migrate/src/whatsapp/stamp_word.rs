//! Words that stand in the date and time of a line's header, in the languages of phones.

/// What a word in a stamp means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Word {
    /// Before noon.
    Am,
    /// After noon.
    Pm,
    /// Around noon: 11, 12 and 1 to 3 o'clock.
    Noon,
    /// A month by name, 1–12.
    Month(u8),
    /// Before a year: adds this to it.
    Era(i32),
    /// After a year: that number is the year.
    Year,
    /// After a month or a day of the month, in dates written with such signs.
    Unit,
    /// Says nothing: "at", "o'clock", "AD".
    Filler,
}

use Word::{Am, Era, Filler, Noon, Pm, Unit, Year};

/// Lowercase; a space stands for any kind of space. The longest that fits wins. From CLDR's day periods, eras and
/// date-time glue; months are in [`MONTHS`].
const WORDS: &[(&str, Word)] = &[
    ("am", Am),
    ("a.m.", Am),
    ("a. m.", Am),
    ("a.m", Am),
    ("pm", Pm),
    ("p.m.", Pm),
    ("p. m.", Pm),
    ("p.m", Pm),
    ("ص", Am),
    ("م", Pm),
    ("صباحا", Am),
    ("مساء", Pm),
    ("ق.ظ.", Am),
    ("ب.ظ.", Pm),
    ("قبل‌ازظهر", Am),
    ("بعدازظهر", Pm),
    ("上午", Am),
    ("凌晨", Am),
    ("清晨", Am),
    ("早上", Am),
    ("中午", Noon),
    ("下午", Pm),
    ("傍晚", Pm),
    ("晚上", Pm),
    ("午前", Am),
    ("午後", Pm),
    ("오전", Am),
    ("오후", Pm),
    ("sa", Am),
    ("ch", Pm),
    ("π.μ.", Am),
    ("μ.μ.", Pm),
    ("πμ", Am),
    ("μμ", Pm),
    ("ก่อนเที่ยง", Am),
    ("หลังเที่ยง", Pm),
    ("पूर्वाह्न", Am),
    ("अपराह्न", Pm),
    ("पूर्व", Am),
    ("अप", Pm),
    ("म.पू.", Am),
    ("म.उ.", Pm),
    ("পূর্বাহ্ণ", Am),
    ("অপরাহ্ণ", Pm),
    ("முற்பகல்", Am),
    ("பிற்பகல்", Pm),
    ("öö", Am),
    ("ös", Pm),
    ("dop.", Am),
    ("odp.", Pm),
    ("de.", Am),
    ("du.", Pm),
    ("fm", Am),
    ("em", Pm),
    ("f.m.", Am),
    ("e.m.", Pm),
    ("ip.", Pm),
    ("ap.", Am),
    ("pd", Am),
    ("md", Pm),
    ("pg", Am),
    ("ptg", Pm),
    ("priekšpusdienā", Am),
    ("pēcpusdienā", Pm),
    // Eras that stand before the year. The Buddhist era is seen by the size of the year.
    ("r", Era(2018)),
    ("h", Era(1988)),
    ("令和", Era(2018)),
    ("平成", Era(1988)),
    ("民國", Era(1911)),
    ("be", Filler),
    ("ad", Filler),
    ("ce", Filler),
    ("พ.ศ.", Filler),
    ("ค.ศ.", Filler),
    ("公元", Filler),
    ("年", Year),
    ("년", Year),
    ("月", Unit),
    ("월", Unit),
    ("日", Unit),
    ("일", Unit),
    ("klo", Filler),
    ("kl.", Filler),
    ("kl", Filler),
    ("um", Filler),
    ("uhr", Filler),
    ("à", Filler),
    ("at", Filler),
    ("às", Filler),
    ("a las", Filler),
    ("alle", Filler),
    ("ore", Filler),
    ("om", Filler),
    ("o", Filler),
    ("u", Filler),
    ("pukul", Filler),
    ("lúc", Filler),
    ("в", Filler),
    ("г.", Filler),
    ("г", Filler),
    ("ч.", Filler),
    ("ч", Filler),
    ("เวลา", Filler),
    ("น.", Filler),
    ("de", Filler),
    ("del", Filler),
    ("को", Filler),
    ("बजे", Filler),
];

/// Names and short names of the months, January first; a `.` after a name is read by the stamp.
const MONTHS: &[[&str; 12]] = &[
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    ["janv", "févr", "mars", "avr", "mai", "juin", "juil", "août", "sept", "oct", "nov", "déc"],
    [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
    ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"],
    [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
    ["jan", "fev", "mar", "abr", "mai", "jun", "jul", "ago", "set", "out", "nov", "dez"],
    ["gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic"],
    ["jan", "feb", "mär", "apr", "mai", "juni", "juli", "aug", "sept", "okt", "nov", "dez"],
    [
        "januar",
        "februar",
        "märz",
        "april",
        "mai",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "dezember",
    ],
    ["jan", "feb", "mrt", "apr", "mei", "jun", "jul", "agu", "sep", "okt", "nov", "des"],
    ["янв", "февр", "мар", "апр", "мая", "июн", "июл", "авг", "сент", "окт", "нояб", "дек"],
    ["oca", "şub", "mar", "nis", "may", "haz", "tem", "ağu", "eyl", "eki", "kas", "ara"],
    ["ม.ค.", "ก.พ.", "มี.ค.", "เม.ย.", "พ.ค.", "มิ.ย.", "ก.ค.", "ส.ค.", "ก.ย.", "ต.ค.", "พ.ย.", "ธ.ค."],
    ["जन", "फ़र", "मार्च", "अप्रैल", "मई", "जून", "जुल", "अग", "सित", "अक्तू", "नव", "दिस"],
    ["يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر"],
];

/// Whether words of the script of `c` are written without spaces, so that one may follow another at once.
const fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}')
}

/// The longest known word at the start of `text` (lowercase, plain spaces), and its length in characters.
pub(crate) fn word_at(text: &[char]) -> Option<(Word, usize)> {
    let months = MONTHS.iter().flat_map(|names| (1_u8..).zip(names)).map(|(month, name)| (*name, Word::Month(month)));
    let mut best: Option<(Word, usize)> = None;
    for (name, word) in WORDS.iter().copied().chain(months) {
        let length = name.chars().count();
        let longer = best.is_none_or(|(_, best)| length > best);
        if longer && length <= text.len() && name.chars().eq(text[..length].iter().copied()) {
            let whole = match (text[length - 1], text.get(length)) {
                (last, Some(next)) => !next.is_alphabetic() || !last.is_alphabetic() || is_unspaced(last),
                (_, None) => true,
            };
            if whole {
                best = Some((word, length));
            }
        }
    }
    best
}

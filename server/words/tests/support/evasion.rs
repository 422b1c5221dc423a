//! Ways in which a word is dressed up so that a plain search misses it.
//!
//! The tables here are those of somebody who evades, written down by themselves: they know nothing of how this crate
//! folds, else the tests would prove nothing.

use lockstep_words::corpus::Dice;
use unicode_normalization::UnicodeNormalization;

/// A way to dress up a word: `None` if it has nothing to work on in that one.
pub(crate) type Evasion = fn(&str, &mut Dice) -> Option<String>;

/// The ways that work on a language's words, by name.
pub(crate) fn evasions(language: &str) -> Vec<(&'static str, Evasion)> {
    let mut ways: Vec<(&'static str, Evasion)> = vec![
        ("as it is", |word, _| Some(word.to_owned())),
        ("zero width", zero_width),
        ("spelled out", spelled_out),
        ("broken", broken),
        ("words joined", words_joined),
        ("words apart", words_apart),
        ("upper case", |word, _| changed(word, word.to_uppercase())),
        ("mixed case", mixed_case),
        ("full width", full_width),
        ("letters as symbols", symbols),
    ];
    let latin: &[(&'static str, Evasion)] = &[
        ("lookalikes", |word, dice| swapped(word, dice, LATIN_LOOKALIKES)),
        ("digits for letters", digits_for_letters),
        ("foreign digits for letters", foreign_digits),
        ("accents dropped", accents_dropped),
        ("accents added", accents_added),
        ("decomposed", |word, _| changed(word, word.nfd().collect())),
    ];
    let own: &[(&'static str, Evasion)] = match language {
        "thai" => &[
            ("tones dropped", |word, _| changed(word, without(word, TONES))),
            ("sara am in two", |word, _| changed(word, word.replace('ำ', "ํา"))),
            ("tone after nikhahit", tone_after_nikhahit),
            ("sara e twice", |word, _| changed(word, word.replace('แ', "เเ"))),
        ],
        "hindi" => &[
            ("nukta", |word, dice| swapped(word, dice, NUKTA)),
            ("joiner after virama", joiner_after_virama),
            ("nasal and anusvara", nasal_and_anusvara),
            ("chandrabindu", |word, _| changed(word, word.replace('ं', "ँ"))),
            ("candra o", |word, _| changed(word, word.replace('ॉ', "ा"))),
        ],
        "arabic" => &[
            ("tatweel", tatweel),
            ("vowel points", vowel_points),
            ("letter variants", |word, dice| swapped(word, dice, ARABIC_VARIANTS)),
            ("presentation forms", |word, dice| swapped(word, dice, ARABIC_FORMS)),
            ("and", |word, _| Some(format!("و{word}"))),
        ],
        "russian" => &[
            ("lookalikes", |word, dice| swapped(word, dice, CYRILLIC_LOOKALIKES)),
            ("yo for e", |word, dice| swapped(word, dice, &[('е', "ё"), ('е', "е\u{308}")])),
            ("zero for o", |word, dice| swapped(word, dice, &[('о', "0")])),
        ],
        "chinese" => &[("variation selectors", |word, _| changed(word, between(word, "\u{fe00}")))],
        "german" => &[("umlauts as two letters", umlauts)],
        _ => &[],
    };
    if !matches!(language, "thai" | "hindi" | "arabic" | "russian" | "chinese") {
        ways.extend_from_slice(latin);
    }
    ways.extend_from_slice(own);
    ways
}

/// A word in two or three pieces, none of them empty; never before a mark.
pub(crate) fn pieces(word: &str, dice: &mut Dice) -> Option<Vec<String>> {
    let letters = clusters(word);
    if letters.len() < 3 {
        return (letters.len() == 2).then_some(letters);
    }
    let first = 1 + dice.roll(letters.len() - 2);
    let mut pieces = vec![letters[..first].concat()];
    if dice.roll(2) == 0 {
        let second = first + 1 + dice.roll(letters.len() - first - 1);
        pieces.push(letters[first..second].concat());
        pieces.push(letters[second..].concat());
    } else {
        pieces.push(letters[first..].concat());
    }
    Some(pieces)
}

const TONES: &str = "่้๊๋์";

const LATIN_LOOKALIKES: &[(char, &str)] = &[
    ('a', "а"),
    ('a', "ɑ"),
    ('a', "α"),
    ('c', "с"),
    ('c', "ϲ"),
    ('d', "ԁ"),
    ('e', "е"),
    ('g', "ɡ"),
    ('h', "һ"),
    ('i', "і"),
    ('i', "ı"),
    ('j', "ј"),
    ('k', "κ"),
    ('l', "I"),
    ('l', "ӏ"),
    ('n', "ո"),
    ('o', "о"),
    ('o', "ο"),
    ('p', "р"),
    ('p', "ρ"),
    ('q', "ԛ"),
    ('s', "ѕ"),
    ('u', "υ"),
    ('u', "ս"),
    ('v', "ν"),
    ('v', "ѵ"),
    ('w', "ԝ"),
    ('x', "х"),
    ('y', "у"),
    ('A', "А"),
    ('A', "Α"),
    ('B', "В"),
    ('B', "Β"),
    ('C', "С"),
    ('E', "Е"),
    ('E', "Ε"),
    ('H', "Н"),
    ('H', "Η"),
    ('I', "І"),
    ('I', "Ι"),
    ('I', "l"),
    ('I', "|"),
    ('K', "К"),
    ('K', "Κ"),
    ('M', "М"),
    ('M', "Μ"),
    ('N', "Ν"),
    ('O', "О"),
    ('O', "Ο"),
    ('P', "Р"),
    ('P', "Ρ"),
    ('S', "Ѕ"),
    ('T', "Т"),
    ('T', "Τ"),
    ('X', "Х"),
    ('Y', "Υ"),
    ('Z', "Ζ"),
    ('V', "Ꮩ"),
    ('D', "Ꭰ"),
    ('m', "rn"),
    ('b', "ʙ"),
    ('t', "ᴛ"),
    ('r', "ʀ"),
];

const CYRILLIC_LOOKALIKES: &[(char, &str)] = &[
    ('а', "a"),
    ('е', "e"),
    ('о', "o"),
    ('р', "p"),
    ('с', "c"),
    ('у', "y"),
    ('х', "x"),
    ('к', "k"),
    ('т', "T"),
    ('н', "H"),
    ('в', "B"),
    ('м', "M"),
    ('К', "K"),
    ('М', "M"),
    ('О', "O"),
    ('С', "C"),
    ('Н', "H"),
    ('Т', "T"),
];

const NUKTA: &[(char, &str)] =
    &[('क', "क़"), ('क', "\u{958}"), ('ख', "ख़"), ('ग', "ग़"), ('ज', "ज़"), ('ज', "\u{95b}"), ('फ', "फ़"), ('फ', "\u{95e}")];

const ARABIC_VARIANTS: &[(char, &str)] = &[
    ('ا', "أ"),
    ('ا', "إ"),
    ('ا', "ٱ"),
    ('أ', "ا"),
    ('إ', "ا"),
    ('آ', "ا"),
    ('ي', "ى"),
    ('ي', "ی"),
    ('ة', "ه"),
    ('ك', "ک"),
    ('ه', "ہ"),
];

const ARABIC_FORMS: &[(char, &str)] = &[
    ('ا', "ﺎ"),
    ('ب', "ﺒ"),
    ('ت', "ﺘ"),
    ('ح', "ﺤ"),
    ('د', "ﺪ"),
    ('ر', "ﺮ"),
    ('س', "ﺴ"),
    ('ع', "ﻌ"),
    ('ف', "ﻔ"),
    ('ق', "ﻘ"),
    ('ك', "ﻜ"),
    ('ل', "ﻠ"),
    ('م', "ﻤ"),
    ('ن', "ﻨ"),
    ('ه', "ﻬ"),
    ('و', "ﻮ"),
    ('ي', "ﻴ"),
];

/// The word if it differs.
fn changed(word: &str, into: String) -> Option<String> {
    (into != word).then_some(into)
}

fn without(word: &str, signs: &str) -> String {
    word.chars().filter(|letter| !signs.contains(*letter)).collect()
}

/// Swaps letters that the table has, each with even odds; one at least.
fn swapped(word: &str, dice: &mut Dice, table: &[(char, &str)]) -> Option<String> {
    for _ in 0..8 {
        let mut into = String::new();
        for letter in word.chars() {
            let like: Vec<&str> = table.iter().filter(|row| row.0 == letter).map(|row| row.1).collect();
            if like.is_empty() || dice.roll(2) == 0 {
                into.push(letter);
            } else {
                into.push_str(dice.pick(&like));
            }
        }
        if into != word {
            return Some(into);
        }
    }
    None
}

/// Letters with the marks on them; in Hindi with what hangs on their virama.
fn clusters(word: &str) -> Vec<String> {
    let mut clusters: Vec<String> = Vec::new();
    for letter in word.chars() {
        let hangs = matches!(letter as u32,
            0x300..=0x36F | 0x900..=0x903 | 0x93A..=0x93C | 0x93E..=0x94F | 0x64B..=0x652
            | 0xE31 | 0xE33..=0xE3A | 0xE47..=0xE4E);
        match clusters.last_mut() {
            Some(last) if hangs || last.ends_with('\u{94d}') => last.push(letter),
            _ => clusters.push(letter.to_string()),
        }
    }
    clusters
}

fn between(word: &str, sign: &str) -> String {
    word.chars().map(|letter| format!("{letter}{sign}")).collect()
}

fn zero_width(word: &str, dice: &mut Dice) -> Option<String> {
    let signs =
        ["\u{200b}", "\u{200c}", "\u{200d}", "\u{2060}", "\u{feff}", "\u{ad}", "\u{34f}", "\u{200e}", "\u{e0061}"];
    let mut into = String::new();
    for letter in word.chars() {
        into.push(letter);
        if dice.roll(2) == 0 {
            into.push_str(dice.pick(&signs));
        }
    }
    changed(word, into)
}

fn is_separated(letter: &str) -> bool {
    letter.chars().all(|letter| !letter.is_alphanumeric())
}

fn spelled_out(word: &str, dice: &mut Dice) -> Option<String> {
    let separators = [".", "-", "_", "*", " ", "·", "/", "😀", "~", "•", " - ", "🔥"];
    let separator = dice.pick(&separators);
    let letters: Vec<String> = clusters(word).into_iter().filter(|letter| !is_separated(letter)).collect();
    let blank = separator.contains(' ');
    // Two letters with a space between are no spelling anybody would see through; and so with a word of one.
    if letters.len() < 3 && blank || letters.len() < 2 || letters.len() > 24 {
        return None;
    }
    let spelled = letters.join(separator);
    Some(if blank { format!(" {spelled} ") } else { spelled })
}

/// Something that is no white space within a word of six letters or more, or two Chinese ones.
fn broken(word: &str, dice: &mut Dice) -> Option<String> {
    let mut words: Vec<String> = word.split(' ').map(str::to_owned).collect();
    let at = dice.roll(words.len());
    let letters = clusters(&words[at]);
    let han = letters.iter().all(|letter| matches!(letter.chars().next(), Some('\u{4e00}'..='\u{9fff}')));
    let least = if han { 1 } else { 3 };
    if letters.len() < 2 * least || letters.iter().any(|letter| is_separated(letter)) {
        return None;
    }
    let cut = least + dice.roll(letters.len() - 2 * least + 1);
    let separator = dice.pick(&[".", "-", "_", "*", "~", "/", "😀", "·", "\u{2011}"]);
    words[at] = format!("{}{separator}{}", letters[..cut].concat(), letters[cut..].concat());
    Some(words.join(" "))
}

fn words_joined(word: &str, _: &mut Dice) -> Option<String> {
    changed(word, word.replace(' ', ""))
}

fn words_apart(word: &str, dice: &mut Dice) -> Option<String> {
    changed(word, word.replace(' ', dice.pick(&["  ", " - ", "\n", "...", "_", " / ", "\u{a0}", "-", ": ", " 👉 "])))
}

fn mixed_case(word: &str, dice: &mut Dice) -> Option<String> {
    let mut any = |letter: char| match dice.roll(2) {
        0 => letter.to_uppercase().collect::<String>(),
        _ => letter.to_lowercase().collect(),
    };
    changed(word, word.chars().map(&mut any).collect())
}

fn full_width(word: &str, _: &mut Dice) -> Option<String> {
    let wide = |letter: char| match letter {
        '!'..='~' => char::from_u32(letter as u32 + 0xFEE0).expect("a full-width form"),
        ' ' => '\u{3000}',
        _ => letter,
    };
    changed(word, word.chars().map(wide).collect())
}

/// Mathematical, circled, boxed and raised letters.
fn symbols(word: &str, dice: &mut Dice) -> Option<String> {
    // Where capital A and small a are; boxes have capitals only.
    let (upper, lower) = dice.pick(&[
        (0x1D400, 0x1D41A),
        (0x1D5D4, 0x1D5EE),
        (0x1D670, 0x1D68A),
        (0x1D63C, 0x1D656),
        (0x24B6, 0x24D0),
        (0x1F130, 0x1F130),
        (0x1F150, 0x1F150),
        (0x1F170, 0x1F170),
        (0x1F1E6, 0x1F1E6),
    ]);
    let symbol = |letter: char| match letter {
        'A'..='Z' => char::from_u32(upper + letter as u32 - 0x41).expect("a symbol"),
        'a'..='z' => char::from_u32(lower + letter as u32 - 0x61).expect("a symbol"),
        _ => letter,
    };
    changed(word, word.chars().map(symbol).collect())
}

const LEET: &[(char, &[char])] = &[
    ('o', &['0']),
    ('i', &['1', '!']),
    ('l', &['1', '|']),
    ('e', &['3']),
    ('a', &['4', '@']),
    ('s', &['5', '$']),
    ('t', &['7']),
];

/// Up to two fifths of the letters.
fn leet(word: &str, dice: &mut Dice, digit: impl Fn(char, &mut Dice) -> char) -> Option<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut left = letters.iter().filter(|letter| letter.is_alphabetic()).count() * 2 / 5;
    let mut into = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let inside = index > 0
            && letters[index - 1].is_alphabetic()
            && letters.get(index + 1).is_some_and(|next| next.is_alphabetic());
        match LEET.iter().find(|row| row.0 == letter.to_ascii_lowercase()) {
            Some((_, like)) if left > 0 && inside && dice.roll(2) == 0 => {
                left -= 1;
                let like = dice.pick(like);
                into.push(digit(like, dice));
            }
            _ => into.push(*letter),
        }
    }
    changed(word, into)
}

fn digits_for_letters(word: &str, dice: &mut Dice) -> Option<String> {
    leet(word, dice, |like, _| like)
}

fn foreign_digits(word: &str, dice: &mut Dice) -> Option<String> {
    leet(word, dice, |like, dice| {
        let Some(value) = like.to_digit(10) else { return like };
        let zero = dice.pick(&[0x660, 0x6F0, 0x966, 0xE50, 0xFF10, 0x1D7CE, 0x1D7F6]);
        char::from_u32(zero + value).expect("a digit")
    })
}

fn accents_dropped(word: &str, _: &mut Dice) -> Option<String> {
    let bare = word.nfd().filter(|letter| !matches!(letter, '\u{300}'..='\u{36f}'));
    changed(
        word,
        bare.map(|letter| match letter {
            'đ' => 'd',
            'Đ' => 'D',
            _ => letter,
        })
        .collect(),
    )
}

/// On letters that have none; lines through any.
fn accents_added(word: &str, dice: &mut Dice) -> Option<String> {
    let decomposed: Vec<char> = word.nfd().collect();
    let mut into = String::new();
    for (index, letter) in decomposed.iter().enumerate() {
        into.push(*letter);
        let bare = !decomposed.get(index + 1).is_some_and(|next| matches!(next, '\u{300}'..='\u{36f}'));
        if letter.is_alphabetic() && dice.roll(2) == 0 {
            into.push(if bare {
                dice.pick(&['\u{301}', '\u{308}', '\u{302}', '\u{336}', '\u{30a}'])
            } else {
                '\u{336}'
            });
        }
    }
    changed(word, into)
}

fn umlauts(word: &str, _: &mut Dice) -> Option<String> {
    let two = [('ä', "ae"), ('ö', "oe"), ('ü', "ue"), ('Ü', "Ue"), ('Ä', "Ae"), ('Ö', "Oe"), ('ß', "ss")];
    changed(word, two.iter().fold(word.to_owned(), |word, (umlaut, two)| word.replace(*umlaut, two)))
}

fn tone_after_nikhahit(word: &str, _: &mut Dice) -> Option<String> {
    let mut into = word.to_owned();
    for tone in ["่", "้"] {
        into = into.replace(&format!("{tone}ำ"), &format!("ํ{tone}า"));
    }
    changed(word, into)
}

fn joiner_after_virama(word: &str, dice: &mut Dice) -> Option<String> {
    changed(word, word.replace('\u{94d}', dice.pick(&["\u{94d}\u{200d}", "\u{94d}\u{200c}"])))
}

/// Anusvara before a consonant as the nasal of its row, and back.
fn nasal_and_anusvara(word: &str, _: &mut Dice) -> Option<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut into = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let nasal = match letters.get(index + 1) {
            Some('क'..='घ') => 'ङ',
            Some('च'..='झ') => 'ञ',
            Some('ट'..='ढ') => 'ण',
            Some('त'..='ध') => 'न',
            Some('प'..='भ') => 'म',
            _ => '\0',
        };
        match letter {
            'ं' if nasal != '\0' => into.extend([nasal, '\u{94d}']),
            _ => into.push(*letter),
        }
    }
    changed(word, into)
}

fn tatweel(word: &str, dice: &mut Dice) -> Option<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut into = String::new();
    for (index, letter) in letters.iter().enumerate() {
        into.push(*letter);
        let next = letters.get(index + 1).is_some_and(|next| next.is_alphabetic());
        if next && !"اأإآدذرزوة ".contains(*letter) && letter.is_alphabetic() {
            into.push_str(&"ـ".repeat(dice.roll(4)));
        }
    }
    changed(word, into)
}

fn vowel_points(word: &str, dice: &mut Dice) -> Option<String> {
    let mut into = String::new();
    for letter in word.chars() {
        into.push(letter);
        if letter.is_alphabetic() && dice.roll(2) == 0 {
            into.push(dice.pick(&['َ', 'ُ', 'ِ', 'ْ', 'ّ']));
        }
    }
    changed(word, into)
}

//! Ordinary chat of twelve languages, made from sentences with slots: what tests and benches match against.

use std::collections::BTreeMap;

/// The sentences of each language that lists ship for.
const SENTENCES: [(&str, &str); 12] = [
    ("arabic", include_str!("../corpus/arabic.txt")),
    ("chinese", include_str!("../corpus/chinese.txt")),
    ("english", include_str!("../corpus/english.txt")),
    ("french", include_str!("../corpus/french.txt")),
    ("german", include_str!("../corpus/german.txt")),
    ("hindi", include_str!("../corpus/hindi.txt")),
    ("indonesian", include_str!("../corpus/indonesian.txt")),
    ("portuguese", include_str!("../corpus/portuguese.txt")),
    ("russian", include_str!("../corpus/russian.txt")),
    ("spanish", include_str!("../corpus/spanish.txt")),
    ("thai", include_str!("../corpus/thai.txt")),
    ("vietnamese", include_str!("../corpus/vietnamese.txt")),
];

/// Numbers that follow from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Equal seeds give equal numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`, which is not zero.
    pub const fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

/// The sentences of a language.
#[derive(Debug)]
pub struct Corpus {
    /// The language's name, as that of its list.
    pub language: &'static str,
    /// Sentences with `{}` for a word or a phrase.
    carriers: Vec<&'static str>,
    ordinary: Vec<&'static str>,
    slots: BTreeMap<&'static str, Vec<&'static str>>,
}

impl Corpus {
    /// The corpora of all languages, in the order of [`LANGUAGES`](crate::LANGUAGES).
    pub fn all() -> Vec<Self> {
        SENTENCES.iter().map(|(language, text)| Self::parse(language, text)).collect()
    }

    fn parse(language: &'static str, text: &'static str) -> Self {
        let mut corpus = Self { language, carriers: Vec::new(), ordinary: Vec::new(), slots: BTreeMap::new() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(carrier) = line.strip_prefix("+ ") {
                corpus.carriers.push(carrier);
            } else if let Some(sentence) = line.strip_prefix("- ") {
                corpus.ordinary.push(sentence);
            } else {
                let (name, fillings) = line.split_once(':').expect("a slot has a name and fillings");
                corpus.slots.insert(name, fillings.split('|').map(str::trim).collect());
            }
        }
        corpus
    }

    /// How many ordinary sentences there are, apart from what fills their slots.
    pub const fn sentences(&self) -> usize {
        self.ordinary.len()
    }

    /// An ordinary message. No word of the lists is meant to be in it.
    pub fn ordinary(&self, dice: &mut Dice) -> String {
        let sentence = dice.pick(&self.ordinary);
        self.filled(sentence, dice)
    }

    /// What stands before and after a word or a phrase in some message.
    pub fn carrier(&self, dice: &mut Dice) -> (String, String) {
        let carrier = dice.pick(&self.carriers);
        let (before, after) = carrier.split_once("{}").expect("a carrier has a place");
        (self.filled(before, dice), self.filled(after, dice))
    }

    fn filled(&self, sentence: &str, dice: &mut Dice) -> String {
        let mut filled = String::new();
        let mut rest = sentence;
        while let Some((before, slot)) = rest.split_once('{') {
            let (name, after) = slot.split_once('}').expect("a slot ends");
            filled.push_str(before);
            match self.slots.get(name) {
                Some(fillings) => filled.push_str(dice.pick(fillings)),
                None => filled.push_str(&(2 + dice.roll(98)).to_string()),
            }
            rest = after;
        }
        filled + rest
    }
}

/// Ordinary chat of all languages, at least that many bytes of UTF-8, a line for each message.
pub fn sample(bytes: usize, seed: u64) -> String {
    let (corpora, mut dice) = (Corpus::all(), Dice::new(seed));
    let mut text = String::with_capacity(bytes + 512);
    while text.len() < bytes {
        let corpus = dice.roll(corpora.len());
        text.push_str(&corpora[corpus].ordinary(&mut dice));
        text.push('\n');
    }
    text
}

/// A list of that many entries: the shipped ones, then made-up words and phrases of the corpora's words.
pub fn entries(count: usize, seed: u64) -> Vec<crate::Entry> {
    let mut entries = crate::shipped();
    entries.truncate(count);
    let (corpora, mut dice) = (Corpus::all(), Dice::new(seed));
    while entries.len() < count {
        let corpus = dice.roll(corpora.len());
        let message = corpora[corpus].ordinary(&mut dice);
        let is_long = |word: &&str| word.chars().count() > 3 && word.chars().all(char::is_alphabetic);
        let words: Vec<&str> = message.split_whitespace().filter(is_long).collect();
        if words.is_empty() {
            continue;
        }
        // Turned around, so that they begin like what is in texts and hardly ever are.
        let turned: String = dice.pick(&words).chars().rev().collect();
        let text = format!("{} {turned}", dice.pick(&words));
        entries.push(crate::Entry { text, category: dice.pick(&crate::Category::ALL) });
    }
    entries
}

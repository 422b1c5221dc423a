//! How many evasions are found, and how many ordinary messages are taken for something they are not.

mod support {
    pub(crate) mod evasion;
}

use std::collections::BTreeMap;

use lockstep_words::corpus::{Corpus, Dice};
use lockstep_words::{Entry, LANGUAGES, Matcher, parse, shipped};
use support::evasion::{evasions, pieces};

const SEED: u64 = 0x10C5;
/// Evasions of each kind in each language.
const EACH: usize = 20;
/// Over all languages together.
const EVASIONS_MIN: usize = 2_000;
/// Over all languages; a single one may miss twice as much.
const RECALL_MIN: f64 = 0.995;
const FALSE_MAX: f64 = 0.01;

fn matcher() -> Matcher {
    Matcher::new(&shipped()).expect("the lists make a matcher")
}

/// What was tried and what went wrong, of one language.
#[derive(Default)]
struct Tally {
    evasions: usize,
    missed: usize,
    ordinary: usize,
    false_hits: usize,
}

/// Whether a hit of the entry's category lies on the word.
fn is_found(matcher: &Matcher, text: &str, entry: &Entry, from: usize, to: usize) -> bool {
    let mut hits = matcher.find(text).into_iter();
    hits.any(|hit| hit.category == entry.category && hit.range.start < to && hit.range.end > from)
}

fn try_evasions(matcher: &Matcher, corpus: &Corpus, entries: &[Entry], tally: &mut Tally, dice: &mut Dice) {
    for (name, evasion) in evasions(corpus.language) {
        let mut tried = 0;
        for _ in 0..EACH * 20 {
            if tried == EACH {
                break;
            }
            let entry = &entries[dice.roll(entries.len())];
            let Some(word) = evasion(&entry.text, dice) else { continue };
            let (before, after) = corpus.carrier(dice);
            let text = format!("{before}{word}{after}");
            tried += 1;
            if !is_found(matcher, &text, entry, before.len(), before.len() + word.len()) {
                println!("{}: {name}: missed {:?} in {text:?}", corpus.language, entry.text);
                tally.missed += 1;
            }
        }
        tally.evasions += tried;
    }
    // Two ways at once; only those that leave letters for the other to work on.
    let ways = evasions(corpus.language);
    for _ in 0..EACH * 2 {
        let entry = &entries[dice.roll(entries.len())];
        let (first, second) = (dice.pick(&ways), dice.pick(&ways));
        if first.0 == second.0 {
            continue;
        }
        let Some(word) = first.1(&entry.text, dice).and_then(|word| second.1(&word, dice)) else { continue };
        let (before, after) = corpus.carrier(dice);
        let text = format!("{before}{word}{after}");
        tally.evasions += 1;
        if !is_found(matcher, &text, entry, before.len(), before.len() + word.len()) {
            println!("{}: {} and {}: missed {:?} in {text:?}", corpus.language, first.0, second.0, entry.text);
            tally.missed += 1;
        }
    }
    for _ in 0..EACH * 2 {
        let entry = &entries[dice.roll(entries.len())];
        let Some(mut messages) = pieces(&entry.text, dice) else { continue };
        let (before, after) = corpus.carrier(dice);
        messages[0] = before + &messages[0];
        messages.last_mut().expect("there are two").push_str(&after);
        let texts: Vec<&str> = messages.iter().map(String::as_str).collect();
        tally.evasions += 1;
        if !matcher.categories_across(&texts).contains(entry.category) {
            println!("{}: split: missed {:?} in {texts:?}", corpus.language, entry.text);
            tally.missed += 1;
        }
    }
}

fn try_ordinary(matcher: &Matcher, corpus: &Corpus, tally: &mut Tally, dice: &mut Dice) {
    let mut last = ["".to_owned(), "".to_owned(), "".to_owned()];
    let mut said = BTreeMap::new();
    for _ in 0..tally.evasions {
        let message = corpus.ordinary(dice);
        last.rotate_left(1);
        last[2].clone_from(&message);
        let texts: Vec<&str> = last.iter().map(String::as_str).collect();
        let (within, across) = (matcher.find(&message), matcher.categories_across(&texts));
        tally.ordinary += 1;
        if !within.is_empty() || !across.is_empty() {
            tally.false_hits += 1;
            let entry = within.first().map(|hit| matcher.entries()[hit.entry].text.clone());
            said.entry(entry).or_insert(if within.is_empty() { texts.join(" | ") } else { message });
        }
    }
    for (entry, message) in said {
        println!("{}: false hit of {entry:?} in {message:?}", corpus.language);
    }
}

#[test]
fn evasions_are_found_and_ordinary_chat_is_not() {
    let matcher = matcher();
    let mut dice = Dice::new(SEED);
    let mut all = Tally::default();
    let mut lines = Vec::new();
    for (corpus, (language, list)) in Corpus::all().iter().zip(LANGUAGES) {
        assert_eq!(corpus.language, language);
        assert!(corpus.sentences() >= 25, "{language}: too few sentences");
        let entries = parse(list).expect("a list");
        let mut tally = Tally::default();
        try_evasions(&matcher, corpus, &entries, &mut tally, &mut dice);
        try_ordinary(&matcher, corpus, &mut tally, &mut dice);
        lines.push(format!("{language:>11}: {}", shown(&tally)));
        assert!(share(tally.missed, tally.evasions) <= 2.0 * (1.0 - RECALL_MIN), "{}", lines.join("\n"));
        assert!(share(tally.false_hits, tally.ordinary) <= FALSE_MAX, "{}", lines.join("\n"));
        all.evasions += tally.evasions;
        all.missed += tally.missed;
        all.ordinary += tally.ordinary;
        all.false_hits += tally.false_hits;
    }
    println!("{}\n{:>11}: {}", lines.join("\n"), "all", shown(&all));
    assert!(all.evasions >= EVASIONS_MIN && all.ordinary >= all.evasions);
    assert!(share(all.missed, all.evasions) <= 1.0 - RECALL_MIN, "too many evasions are missed");
    assert!(share(all.false_hits, all.ordinary) <= FALSE_MAX, "too many ordinary messages are hits");
}

fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

fn shown(tally: &Tally) -> String {
    format!(
        "recall {:6.2} % of {:4} evasions, false hits {:5.2} % of {:4} ordinary messages",
        100.0 * (1.0 - share(tally.missed, tally.evasions)),
        tally.evasions,
        100.0 * share(tally.false_hits, tally.ordinary),
        tally.ordinary,
    )
}

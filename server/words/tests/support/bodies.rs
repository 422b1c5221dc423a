//! What holds for any text: shared by the fuzz target and the tests.

use lockstep_words::{Category, Entry, Matcher, fold, shipped};

/// Bytes as two texts, an entry and what it is looked for in: the first line is the entry.
pub(crate) fn words_fold(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (entry, rest) = text.split_once('\n').unwrap_or(("", &text));
    folding_settles(entry);
    folding_settles(rest);
    let pieces: Vec<&str> = rest.split('\n').collect();
    SHIPPED.with(|matcher| {
        check_hits(matcher, rest);
        // Any answer will do: it must only be one.
        matcher.categories_across(&pieces);
    });
    finds_itself(entry, rest);
}

thread_local! {
    static SHIPPED: Matcher = Matcher::new(&shipped()).expect("the lists make a matcher");
}

/// Folding twice is folding once.
pub(crate) fn folding_settles(text: &str) {
    let once = fold(text);
    assert_eq!(fold(&once), once, "{text:?}");
}

/// Hits lie on borders of characters, in order, and make up the categories.
pub(crate) fn check_hits(matcher: &Matcher, text: &str) -> usize {
    let hits = matcher.find(text);
    assert!(hits.is_sorted_by_key(|hit| hit.range.start), "{text:?}: {hits:?}");
    for hit in &hits {
        assert!(text.get(hit.range.clone()).is_some_and(|part| !part.is_empty()), "{text:?}: {hit:?}");
        assert_eq!(matcher.entries()[hit.entry].category, hit.category);
    }
    let categories = hits.iter().map(|hit| hit.category).collect();
    assert_eq!(matcher.categories(text), categories, "{text:?}");
    hits.len()
}

/// Whatever can be an entry is found, alone and with spaces around it.
pub(crate) fn finds_itself(entry: &str, other: &str) {
    let entries = [Entry { text: entry.to_owned(), category: Category::Bank }];
    let Ok(matcher) = Matcher::new(&entries) else { return };
    assert!(check_hits(&matcher, entry) > 0, "{entry:?} does not find itself");
    let text = format!("- {entry} -");
    assert!(check_hits(&matcher, &text) > 0, "{entry:?} is not found in {text:?}");
    check_hits(&matcher, other);
}

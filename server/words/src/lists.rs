//! The lists that ship, and the form they are written in.

use crate::category::Category;
use crate::matcher::Entry;

/// The languages that lists ship for, and the lists as text. See [`parse`].
pub const LANGUAGES: [(&str, &str); 12] = [
    ("arabic", include_str!("../lists/arabic.txt")),
    ("chinese", include_str!("../lists/chinese.txt")),
    ("english", include_str!("../lists/english.txt")),
    ("french", include_str!("../lists/french.txt")),
    ("german", include_str!("../lists/german.txt")),
    ("hindi", include_str!("../lists/hindi.txt")),
    ("indonesian", include_str!("../lists/indonesian.txt")),
    ("portuguese", include_str!("../lists/portuguese.txt")),
    ("russian", include_str!("../lists/russian.txt")),
    ("spanish", include_str!("../lists/spanish.txt")),
    ("thai", include_str!("../lists/thai.txt")),
    ("vietnamese", include_str!("../lists/vietnamese.txt")),
];

/// A line that is no entry. Lines are counted from one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListError {
    /// It is not `category: word or phrase`.
    #[error("line {line}: an entry is a category, a colon and a word or phrase")]
    Form {
        /// The line.
        line: usize,
    },
    /// What stands before the colon is no category.
    #[error("line {line}: {name:?} is no category: contract, payment, bank, identity, password")]
    Category {
        /// The line.
        line: usize,
        /// What stands there.
        name: String,
    },
}

/// Reads a list: on each line a category, a colon and a word or phrase. Empty lines and those that begin with `#` are
/// passed over.
///
/// # Errors
/// A [`ListError`] for the first line that is no entry.
pub fn parse(list: &str) -> Result<Vec<Entry>, ListError> {
    let mut entries = Vec::new();
    for (index, content) in list.lines().enumerate() {
        let (line, content) = (index + 1, content.trim());
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (name, text) = content.split_once(':').ok_or(ListError::Form { line })?;
        let (name, text) = (name.trim(), text.trim());
        if text.is_empty() {
            return Err(ListError::Form { line });
        }
        let category: Category = name.parse().map_err(|_| ListError::Category { line, name: name.to_owned() })?;
        entries.push(Entry { text: text.to_owned(), category });
    }
    Ok(entries)
}

/// The entries of all shipped lists, language by language. A word that two languages share is there twice.
pub fn shipped() -> Vec<Entry> {
    LANGUAGES.iter().flat_map(|(_, list)| parse(list).expect("a test holds that each parses")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::category::Categories;
    use crate::fold::fold;
    use crate::matcher::Matcher;

    #[test]
    fn shipped_lists_are_in_order() {
        for (language, list) in LANGUAGES {
            let entries = parse(list).unwrap_or_else(|error| panic!("{language}: {error}"));
            assert!((55..=160).contains(&entries.len()), "{language}: {} entries", entries.len());
            let categories: Categories = entries.iter().map(|entry| entry.category).collect();
            assert_eq!(categories, Categories::ALL, "{language}");
            let mut seen = BTreeMap::new();
            for entry in &entries {
                if let Some(other) = seen.insert(fold(&entry.text), &entry.text) {
                    panic!("{language}: {:?} and {other:?} are the same", entry.text);
                }
            }
            assert!(list.starts_with("# "), "{language}: a comment says what the list is");
        }
        Matcher::new(&shipped()).expect("the lists make a matcher");
    }

    #[test]
    fn lines_read_as() {
        let entry = |text: &str, category| Entry { text: text.to_owned(), category };
        assert_eq!(
            parse("# a list\n\n bank : account number \r\ncontract:NDA"),
            Ok(vec![entry("account number", Category::Bank), entry("NDA", Category::Contract)])
        );
        for list in ["\nbank", "\nbank:", "\nbank: "] {
            assert_eq!(parse(list).map_err(|error| error.to_string()).unwrap_err().split(':').next(), Some("line 2"));
        }
        assert_eq!(parse("Bank: x"), Err(ListError::Category { line: 1, name: "Bank".to_owned() }));
    }
}

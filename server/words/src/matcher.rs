//! Finding entries in texts.

mod border;
mod pattern;

use std::cmp::Reverse;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::category::{Categories, Category};
use crate::fold::Folder;
use pattern::Pattern;

/// The most bytes of UTF-8 in an entry's text.
pub const ENTRY_BYTES_MAX: usize = 256;
/// The most entries of a matcher.
pub const ENTRIES_MAX: usize = 20_000;

/// A word or a phrase and what it is about. The words of a phrase may stand apart in any way, or not at all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, minicbor::Encode, minicbor::Decode)]
pub struct Entry {
    /// Written as an editor would write it: with its accents, without tricks.
    #[n(0)]
    pub text: String,
    /// What it is about.
    #[n(1)]
    pub category: Category,
}

/// Why entries make no matcher.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BuildError {
    /// It would be found everywhere.
    #[error("entry {index}: {text:?} has no letter or digit")]
    Empty {
        /// The entry's place in the list.
        index: usize,
        /// Its text.
        text: String,
    },
    /// It is no word or phrase.
    #[error("entry {index}: it has {bytes} bytes, the most is {ENTRY_BYTES_MAX}")]
    TooLong {
        /// The entry's place in the list.
        index: usize,
        /// Its length in bytes.
        bytes: usize,
    },
    /// There are more than [`ENTRIES_MAX`].
    #[error("{entries} entries, the most is {ENTRIES_MAX}")]
    TooMany {
        /// How many there are.
        entries: usize,
    },
    /// The automaton of the entries would be too large.
    #[error("the entries make too large an automaton")]
    TooLarge,
}

/// An entry found in a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hit {
    /// What the entry is about.
    pub category: Category,
    /// Where it is, in bytes of the text; on borders of characters.
    pub range: Range<usize>,
    /// The entry's place in the list that the matcher was built from.
    pub entry: usize,
}

/// Finds entries in texts. Built once for a list, then shared.
#[derive(Debug)]
pub struct Matcher {
    automaton: AhoCorasick,
    patterns: Vec<Pattern>,
    entries: Vec<Entry>,
}

impl Matcher {
    /// A matcher of these entries; of none, it finds nothing.
    ///
    /// # Errors
    /// See [`BuildError`]: an entry without letters, too long a one, too many.
    pub fn new(entries: &[Entry]) -> Result<Self, BuildError> {
        if entries.len() > ENTRIES_MAX {
            return Err(BuildError::TooMany { entries: entries.len() });
        }
        let mut folder = Folder::new();
        let mut patterns = Vec::with_capacity(entries.len());
        let mut folded = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            if entry.text.len() > ENTRY_BYTES_MAX {
                return Err(BuildError::TooLong { index, bytes: entry.text.len() });
            }
            for text in pattern::spellings(&entry.text) {
                folder.clear();
                folder.push(&text);
                if folder.text.is_empty() {
                    return Err(BuildError::Empty { index, text: entry.text.clone() });
                }
                folded.push(folder.text.clone());
                patterns.push(Pattern::new(index as u32, entry.category, &folder));
            }
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            // Of 5,000 entries it has 0.6 MB. The dense one has 17 MB, misses the caches and is slower (examples/speed.rs).
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            // Candidates are everywhere: spaces are gone.
            .prefilter(false)
            .build(&folded)
            .map_err(|_| BuildError::TooLarge)?;
        Ok(Self { automaton, patterns, entries: entries.to_vec() })
    }

    /// The entries it was built from.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What a text is about.
    pub fn categories(&self, text: &str) -> Categories {
        self.categories_with(&mut Folder::new(), text)
    }

    /// [`categories`](Self::categories), without allocating for each text.
    pub fn categories_with(&self, folder: &mut Folder, text: &str) -> Categories {
        folder.clear();
        folder.push(text);
        let mut found = Categories::NONE;
        self.each(folder, |pattern, range| {
            if !found.contains(pattern.category) && pattern.holds(folder, range) {
                found.insert(pattern.category);
            }
            found != Categories::ALL
        });
        found
    }

    /// Every entry in a text, by where it begins; entries may overlap.
    pub fn find(&self, text: &str) -> Vec<Hit> {
        let mut folder = Folder::new();
        folder.push(text);
        let mut hits = Vec::new();
        self.each(&folder, |pattern, range| {
            if pattern.holds(&folder, range.clone()) {
                let (first, last) = (folder.places[range.start], folder.places[range.end - 1]);
                let range = first.start as usize..last.end as usize;
                hits.push(Hit { category: pattern.category, range, entry: pattern.entry as usize });
            }
            true
        });
        // Spellings of one entry may be found within one another: the longest counts.
        hits.sort_by_key(|hit| (hit.entry, hit.range.start, Reverse(hit.range.end)));
        hits.dedup_by(|next, kept| next.entry == kept.entry && next.range.end <= kept.range.end);
        hits.sort_by_key(|hit| (hit.range.start, hit.range.end, hit.entry));
        hits
    }

    /// What texts sent one after the other are about together and none of them alone: an entry counts if it goes on from
    /// one of them to the next. They are read as if nothing and as if a space stood between them.
    pub fn categories_across(&self, texts: &[&str]) -> Categories {
        let mut found = Categories::NONE;
        let mut folder = Folder::new();
        let mut borders = Vec::new();
        for apart in [false, true] {
            folder.clear();
            borders.clear();
            for text in texts {
                borders.push(folder.text.len());
                if apart {
                    folder.separate();
                }
                folder.push(text);
            }
            self.each(&folder, |pattern, range| {
                if !found.contains(pattern.category)
                    && borders.iter().any(|border| (range.start + 1..range.end).contains(border))
                    && pattern.holds(&folder, range)
                {
                    found.insert(pattern.category);
                }
                found != Categories::ALL
            });
        }
        found
    }

    /// Each place in folded text that reads like a pattern, until `go_on` says no.
    fn each(&self, folder: &Folder, mut go_on: impl FnMut(&Pattern, Range<usize>) -> bool) {
        for found in self.automaton.find_overlapping_iter(&folder.text) {
            if !go_on(&self.patterns[found.pattern().as_usize()], found.range()) {
                break;
            }
        }
    }
}

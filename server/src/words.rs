//! The team's list of sensitive words: what is shipped, less what the team took out, with what it added.

use std::collections::BTreeSet;

use lockstep_core::sensitive::Words;
use lockstep_protocol::codec;
use lockstep_protocol::entry;
use lockstep_words::{BuildError, Category, Entry, Matcher, fold, shipped};
use minicbor::{Decode, Encode};

/// What the team changed in the shipped list, as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct WordList {
    /// Added: folded text, text, number of the category.
    #[n(0)]
    added: Vec<(String, String, u8)>,
    /// Taken out of the shipped list, folded.
    #[n(1)]
    removed: Vec<String>,
}

/// The list as the hub's core uses it.
#[derive(Debug)]
pub struct TeamWords(Matcher);

impl WordList {
    /// From the store's bytes; none for bytes that are no list.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        codec::decode_value(bytes)
    }

    /// To bytes for the store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Adds a word or phrase, or gives it another category; true if that changes anything.
    pub fn add(&mut self, text: &str, category: Category) -> bool {
        let folded = fold(text);
        let before = self.clone();
        self.removed.retain(|removed| *removed != folded);
        self.added.retain(|(known, ..)| *known != folded);
        if !is_shipped(&folded, category) {
            self.added.push((folded, text.trim().to_owned(), category as u8));
            self.added.sort_unstable();
        }
        *self != before
    }

    /// Takes a word or phrase out; true if it was there.
    pub fn remove(&mut self, text: &str) -> bool {
        let folded = fold(text);
        let before = self.clone();
        self.added.retain(|(known, ..)| *known != folded);
        if shipped().iter().any(|entry| fold(&entry.text) == folded) && !self.removed.contains(&folded) {
            self.removed.push(folded);
            self.removed.sort_unstable();
        }
        *self != before
    }

    /// How many entries this list has that the other has not, and the other way round.
    #[must_use]
    pub fn difference(&self, other: &Self) -> (u32, u32) {
        let entries = |list: &Self| list.entries().into_iter().map(|(entry, _)| entry).collect::<BTreeSet<_>>();
        let (ours, others) = (entries(self), entries(other));
        let count = |entries: usize| u32::try_from(entries).unwrap_or(u32::MAX);
        (count(ours.difference(&others).count()), count(others.difference(&ours).count()))
    }

    /// Every entry, and whether the team added it.
    #[must_use]
    pub fn entries(&self) -> Vec<(Entry, bool)> {
        let gone: BTreeSet<&str> =
            self.removed.iter().chain(self.added.iter().map(|(folded, ..)| folded)).map(|text| &text[..]).collect();
        let kept = shipped().into_iter().filter(|entry| !gone.contains(&fold(&entry.text)[..]));
        let added = self.added.iter().filter_map(|(_, text, number)| {
            let category = Category::ALL.into_iter().find(|category| *category as u8 == *number)?;
            Some(Entry { text: text.clone(), category })
        });
        kept.map(|entry| (entry, false)).chain(added.map(|entry| (entry, true))).collect()
    }

    /// The list for use.
    ///
    /// # Errors
    /// An entry without letters or too long, too many of them.
    pub fn matcher(&self) -> Result<TeamWords, BuildError> {
        let entries: Vec<Entry> = self.entries().into_iter().map(|(entry, _)| entry).collect();
        Matcher::new(&entries).map(TeamWords)
    }
}

fn is_shipped(folded: &str, category: Category) -> bool {
    shipped().iter().any(|entry| entry.category == category && fold(&entry.text) == folded)
}

impl TeamWords {
    /// The matcher.
    #[must_use]
    pub const fn matcher(&self) -> &Matcher {
        &self.0
    }
}

impl Words for TeamWords {
    fn categories(&self, text: &str) -> BTreeSet<entry::Category> {
        self.0.categories(text).iter().map(category).collect()
    }

    fn categories_across(&self, texts: &[&str]) -> BTreeSet<entry::Category> {
        self.0.categories_across(texts).iter().map(category).collect()
    }
}

/// As the log has it.
const fn category(category: Category) -> entry::Category {
    match category {
        Category::Contract => entry::Category::Contract,
        Category::Payment => entry::Category::Payment,
        Category::Bank => entry::Category::Bank,
        Category::Identity => entry::Category::Identity,
        Category::Password => entry::Category::Password,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_team_changes_lies_over_what_is_shipped() {
        let mut list = WordList::default();
        let first = shipped().into_iter().next().expect("the shipped list has entries");
        let finds = |list: &WordList, text: &str| !list.matcher().unwrap().categories(text).is_empty();
        assert!(finds(&list, &first.text) && !finds(&list, "project bluebird"));
        assert!(list.add("Project  Bluebird", Category::Contract));
        assert_eq!(list.difference(&WordList::default()), (1, 0));
        assert!(
            !list.add("project bluebird", Category::Contract)
                || list.entries().iter().filter(|(_, added)| *added).count() == 1
        );
        assert!(finds(&list, "about PROJECT bluebird, please"));
        assert!(list.remove(&first.text) && !list.remove(&first.text));
        assert!(!list.entries().iter().any(|(entry, _)| fold(&entry.text) == fold(&first.text)));
        assert!(list.remove("project bluebird") && !finds(&list, "project bluebird"));
        assert!(list.add(&first.text, first.category) && finds(&list, &first.text));
        assert_eq!(WordList::from_bytes(&list.to_bytes()), Some(list));
        assert_eq!(WordList::from_bytes(b"no list"), None);
    }
}

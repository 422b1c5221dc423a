//! The list of sensitive words of simulated hubs.

use std::collections::BTreeSet;

use lockstep_core::sensitive::Words;
use lockstep_protocol::entry::Category;

/// Two words, found wherever they stand.
#[derive(Clone, Copy, Debug)]
pub struct SimWords;

/// The words.
pub const WORDS: [(&str, Category); 2] = [("secret", Category::Password), ("iban", Category::Bank)];

impl Words for SimWords {
    fn categories(&self, text: &str) -> BTreeSet<Category> {
        WORDS.iter().filter(|(word, _)| text.contains(word)).map(|(_, category)| *category).collect()
    }

    fn categories_across(&self, texts: &[&str]) -> BTreeSet<Category> {
        let alone: BTreeSet<Category> = texts.iter().flat_map(|text| self.categories(text)).collect();
        &self.categories(&texts.concat()) - &alone
    }
}

//! Sensitive words: which messages are about contracts, payments, bank accounts, identity papers or passwords.
//!
//! A [`Matcher`] is built from [`Entry`]s, words and phrases with a [`Category`] each, and says of a text which
//! [`Categories`] it touches and where. Text and entries pass through the same folding ([`fold()`]), so a word is found
//! however it is dressed: in capitals or full width, in letters of another script that look alike, with invisible
//! characters, accents, vowel points or elongations added or left out, with dots or emoji between its letters, with
//! digits for letters, in digits of another script. [`shipped`] gives the lists that come with Lockstep.
//!
//! ```
//! use lockstep_words::{Category, Matcher, shipped};
//!
//! let matcher = Matcher::new(&shipped())?;
//! assert!(matcher.categories("My p@ssw0rd is…").contains(Category::Password));
//! assert!(matcher.categories_across(&["send me the con", "tract"]).contains(Category::Contract));
//! assert!(matcher.find("When do you open?").is_empty());
//! # Ok::<(), lockstep_words::BuildError>(())
//! ```
//!
//! # What is promised, and what is not
//!
//! The matcher is a net for what people write in passing and for plain attempts to slip a word through. It knows words,
//! not meanings: **a determined person who paraphrases, misspells on purpose, invents a code word, writes in another
//! romanisation or sends a picture or a voice message is not found.** Nothing may depend on a hit for secrecy: every
//! record is sealed anyway, and a hit chooses the stricter class of it. In particular:
//!
//! * Inflected forms are found only if they are listed. Exceptions: the attached articles, conjunctions, prepositions
//!   and pronouns of Arabic, and the case endings of Hindi.
//! * Accents and Thai or Lao tone marks may be missing from the text. If they are there, they must not contradict those
//!   of the entry (Vietnamese `thẻ` is not `thể`); an entry without accents is found with any.
//! * A word in pieces is found if something other than white space stands between its pieces (`con.tract`, five letters
//!   or more), or if it is spelled out (`p i n`, `pa ss wo rd`). White space alone within a word is taken for the border
//!   of words, as it nearly always is.
//! * Letters drawn out (`passsword`) and letters left out are not found.
//! * Scripts without spaces have no borders of words: an entry is found also where two words happen to make it up
//!   (`配合同事` holds `合同`).
//! * The words of a phrase are found across the end of a sentence.
//! * A short entry that is an everyday word in some language without its accents will be found there.
//!
//! Invariants of this crate: no input or output, no clock, no randomness, no unordered map; it never panics on any text.

mod category;
#[cfg(feature = "corpus")]
pub mod corpus;
mod fold;
mod lists;
mod matcher;

pub use category::{Categories, Category};
pub use fold::{Folder, fold};
pub use lists::{LANGUAGES, ListError, parse, shipped};
pub use matcher::{BuildError, ENTRIES_MAX, ENTRY_BYTES_MAX, Entry, Hit, Matcher};

//! Scripts that drive one device by hand: each word is an input, each line of the answer what the device wanted.
//!
//! The hub here knows no rules: the script says what it answers. Documents are `s0`, `s1` …, `c0` and (imported) `i0`; messages go by
//! their text. `;` separates steps.

mod script;

mod epoch;
mod imported;
mod keep;
mod online;
mod planted;
mod random;
mod refusals;
mod repair;
mod session;

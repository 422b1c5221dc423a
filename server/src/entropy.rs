//! Random bytes from the operating system.

/// Fresh random bytes.
///
/// # Panics
/// If the system has no source of randomness: nothing that this hub does is safe without one.
#[must_use]
pub(crate) fn fresh<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has a source of randomness");
    bytes
}

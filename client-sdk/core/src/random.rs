//! Numbers that nobody can guess, from the seed that the driver drew at the start.

/// BLAKE3 in keyed counter mode.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    seed: [u8; 32],
    counter: u64,
}

impl Random {
    /// `seed` must be new at each start: a repeated one would repeat nonces and ids.
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self { seed: blake3::derive_key("lockstep device random 1", seed), counter: 0 }
    }

    /// The next 16 bytes.
    pub(crate) fn bytes_16(&mut self) -> [u8; 16] {
        self.counter += 1;
        let hash = blake3::keyed_hash(&self.seed, &self.counter.to_be_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        bytes
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let number = u128::from_be_bytes(self.bytes_16()) % u128::from(bound);
        u64::try_from(number).expect("below a u64")
    }
}

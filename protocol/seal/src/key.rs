//! Data keys: what records are sealed under, one a conversation and class, named by random ids.

use std::fmt;

use zeroize::Zeroizing;

/// Length of every key, bytes.
pub(crate) const KEY_BYTES: usize = 32;
/// Random bytes that a fresh data key is made of: its id, and the key.
pub const FRESH_KEY_BYTES: usize = DataKeyId::LEN + KEY_BYTES;

/// How strictly a record is kept. Each class has key-encryption keys of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Class {
    /// What everything is, if nothing else is said.
    #[default]
    Normal,
    /// Sensitive: in no index, log, notification or plain export.
    Vault,
}

impl Class {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Normal, Self::Vault];

    /// As it is stored.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::Vault => 1,
        }
    }

    /// From its number; none for a number that no class has.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Normal),
            1 => Some(Self::Vault),
            _ => None,
        }
    }
}

/// Names a data key. Random: tells nothing of what is sealed under it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataKeyId(pub [u8; Self::LEN]);

impl DataKeyId {
    /// Length in bytes.
    pub const LEN: usize = 8;
    /// Of the key that comes from the root key itself, and seals the owner's other secrets.
    pub const ROOT: Self = Self([0; Self::LEN]);
}

impl fmt::Debug for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A data key in the clear: in memory only, wiped when dropped.
#[derive(Clone)]
pub struct DataKey {
    pub(crate) id: DataKeyId,
    pub(crate) class: Class,
    pub(crate) secret: Zeroizing<[u8; KEY_BYTES]>,
}

impl DataKey {
    /// Of fresh random bytes; none if they spell the one id that is not random.
    #[must_use]
    pub fn new(class: Class, random: &[u8; FRESH_KEY_BYTES]) -> Option<Self> {
        let (id, secret) = random.split_first_chunk::<{ DataKeyId::LEN }>()?;
        let secret = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(secret).ok()?);
        let id = DataKeyId(*id);
        (id != DataKeyId::ROOT).then_some(Self { id, class, secret })
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> DataKeyId {
        self.id
    }

    /// Its class.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({}, {:?}, secret)", self.id, self.class)
    }
}

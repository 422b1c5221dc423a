//! What a sensitive word is about, and sets of that.

use std::fmt;
use std::str::FromStr;

use minicbor::decode::{Decode, Decoder, Error};
use minicbor::encode::{Encode, Encoder, Write};

/// What a sensitive word is about. The numbers are stable: they are stored and sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, minicbor::Encode, minicbor::Decode)]
#[repr(u8)]
#[cbor(index_only)]
pub enum Category {
    /// Agreements, their signing and their end.
    #[n(0)]
    Contract = 0,
    /// Paying, cards, invoices that are due.
    #[n(1)]
    Payment = 1,
    /// Accounts, their numbers, transfers.
    #[n(2)]
    Bank = 2,
    /// Papers and numbers that say who somebody is.
    #[n(3)]
    Identity = 3,
    /// What opens an account: passwords, one-time codes, keys.
    #[n(4)]
    Password = 4,
}

impl Category {
    /// All categories, by number.
    pub const ALL: [Self; 5] = [Self::Contract, Self::Payment, Self::Bank, Self::Identity, Self::Password];

    /// The name in lists and on the command line, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Payment => "payment",
            Self::Bank => "bank",
            Self::Identity => "identity",
            Self::Password => "password",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Category {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that is no category's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no such category: it is contract, payment, bank, identity or password")]
pub struct UnknownCategory;

impl FromStr for Category {
    type Err = UnknownCategory;

    fn from_str(name: &str) -> Result<Self, UnknownCategory> {
        Self::ALL.into_iter().find(|category| category.name() == name).ok_or(UnknownCategory)
    }
}

/// A set of categories: in CBOR an unsigned integer, bit n for the category of number n.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Categories(u8);

impl Categories {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// All categories.
    pub const ALL: Self = Self(0b1_1111);

    /// The set with these bits, or nothing if a bit is no category's.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }

    /// Bit n for the category of number n.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the category is one of these.
    pub const fn contains(self, category: Category) -> bool {
        self.0 & category.bit() != 0
    }

    /// Adds one.
    pub const fn insert(&mut self, category: Category) {
        self.0 |= category.bit();
    }

    /// Those of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The categories, by number.
    pub fn iter(self) -> impl Iterator<Item = Category> {
        Category::ALL.into_iter().filter(move |category| self.contains(*category))
    }
}

impl From<Category> for Categories {
    fn from(category: Category) -> Self {
        Self(category.bit())
    }
}

impl FromIterator<Category> for Categories {
    fn from_iter<I: IntoIterator<Item = Category>>(categories: I) -> Self {
        let mut set = Self::NONE;
        categories.into_iter().for_each(|category| set.insert(category));
        set
    }
}

impl fmt::Display for Categories {
    /// Names with commas between, `-` for none.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.write_str("-");
        }
        for (index, category) in self.iter().enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            formatter.write_str(category.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Categories {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Categories({self})")
    }
}

impl<C> Encode<C> for Categories {
    fn encode<W: Write>(&self, encoder: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.u8(self.0)?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Categories {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        Self::from_bits(decoder.u8()?).ok_or_else(|| Error::message("a category that does not exist"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_stable() {
        let names: Vec<_> = Category::ALL.iter().map(|category| (*category as u8, category.name())).collect();
        assert_eq!(names, [(0, "contract"), (1, "payment"), (2, "bank"), (3, "identity"), (4, "password")]);
        for category in Category::ALL {
            assert_eq!(category.name().parse(), Ok(category));
            let encoded = minicbor::to_vec(category).expect("a category");
            assert_eq!(encoded, [category as u8]);
            assert_eq!(minicbor::decode(&encoded).ok(), Some(category));
        }
        assert_eq!("Bank".parse::<Category>(), Err(UnknownCategory));
    }

    #[test]
    fn sets_travel_as_one_number() {
        for bits in 0..=u8::MAX {
            let encoded = minicbor::to_vec(bits).expect("a number");
            let decoded = minicbor::decode::<Categories>(&encoded);
            assert_eq!(decoded.is_ok(), bits < 32, "{bits}");
            if let Ok(set) = decoded {
                assert_eq!(minicbor::to_vec(set).expect("a set"), encoded);
                assert_eq!(set.iter().collect::<Categories>(), set);
            }
        }
        let set: Categories = [Category::Password, Category::Payment].into_iter().collect();
        assert_eq!((set.to_string().as_str(), set.bits()), ("payment,password", 0b1_0010));
        assert_eq!(Categories::NONE.to_string(), "-");
    }
}

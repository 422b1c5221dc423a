//! Rows and keys as bytes: one encode and one decode for every row type.

use lockstep_client_core::row::{
    BackfillRow, ConversationRow, DocumentRow, EventKey, EventRow, FactRow, Meta, NotSentRow, OfferKey, OfferRow,
    OutboxRow, ResolveRow,
};
use lockstep_protocol::codec;
use lockstep_protocol::entry::{Category, Delivery, Resolution};
use lockstep_protocol::frame::Team;
use minicbor::{Decode, Encode};
use redb::TableDefinition;

use super::seal::{Salts, Sealer};
use super::{Identity, StoreError, corrupt};

/// A table: its keys and values are bytes.
pub(crate) type TableOf = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The table of single rows.
pub(crate) const META: TableOf = TableDefinition::new(META_NAME);

/// Its name.
pub(crate) const META_NAME: &str = "meta";

/// The key in [`META`] of an empty value, sealed when the store was made: it tells a wrong key from damage.
pub(crate) const PROBE_KEY: &[u8] = b"key";

/// The key of the format's version in [`META`].
pub(crate) const FORMAT_KEY: &[u8] = b"format";

/// Longest key, bytes: that of a fact.
pub(crate) const KEY_BYTES_MAX: usize = 21 + 16 + 4;

/// Length of the check before a row in format 1, bytes.
const CHECK_BYTES: usize = 8;

/// Room for most values, bytes.
const VALUE_BYTES_USUAL: usize = 512;

/// A row that the store keeps: where, and under which key. Its CBOR is derived beside its type.
pub(crate) trait Row: Encode<()> + for<'b> Decode<'b, ()> {
    /// Its table.
    const TABLE: TableOf;
    /// The table's name, for errors.
    const NAME: &'static str;

    /// Its key.
    fn key(&self) -> Vec<u8>;
}

/// A row's key and value, sealed.
///
/// # Errors
/// If the system gives no random numbers.
pub(crate) fn encode<R: Row>(sealer: &Sealer, salts: &mut Salts, row: &R) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    let key = row.key();
    let mut value = Vec::with_capacity(VALUE_BYTES_USUAL);
    Sealer::begin(&mut value);
    codec::encode_into(row, &mut value);
    sealer.seal(R::NAME, &key, salts, &mut value)?;
    Ok((key, value))
}

/// The row of a key and value.
///
/// # Errors
/// `Corrupt` if it is not what [`encode`] made of a row with this key.
pub(crate) fn decode<R: Row>(sealer: &Sealer, key: &[u8], value: &[u8]) -> Result<R, StoreError> {
    let damaged = || corrupt(R::NAME, key);
    let plain = sealer.unseal(R::NAME, key, value).ok_or_else(damaged)?;
    let row: R = codec::decode_value(&plain).ok_or_else(damaged)?;
    if row.key() == key { Ok(row) } else { Err(damaged()) }
}

/// The row's CBOR of a value of format 1.
///
/// # Errors
/// `Corrupt` if its check is wrong.
pub(crate) fn plain_of_format_1<'v>(table: &'static str, key: &[u8], value: &'v [u8]) -> Result<&'v [u8], StoreError> {
    let (seal, bytes) = value.split_first_chunk::<CHECK_BYTES>().ok_or_else(|| corrupt(table, key))?;
    if *seal == check_of_format_1(table, key, bytes) { Ok(bytes) } else { Err(corrupt(table, key)) }
}

/// What stood before a row in format 1.
pub(crate) fn check_of_format_1(table: &str, key: &[u8], row: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(table.as_bytes()).update(&[0, key.len() as u8]).update(key).update(row);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}

/// Every table with its name.
pub(crate) const TABLES: &[(TableOf, &str)] = &[
    (META, META_NAME),
    (ConversationRow::TABLE, ConversationRow::NAME),
    (DocumentRow::TABLE, DocumentRow::NAME),
    (FactRow::TABLE, FactRow::NAME),
    (EventRow::TABLE, EventRow::NAME),
    (OutboxRow::TABLE, OutboxRow::NAME),
    (ResolveRow::TABLE, ResolveRow::NAME),
    (OfferRow::TABLE, OfferRow::NAME),
    (BackfillRow::TABLE, BackfillRow::NAME),
    (NotSentRow::TABLE, NotSentRow::NAME),
];

macro_rules! rows {
    ($($row:ty, $table:literal, |$this:ident| $key:expr;)*) => {
        $(impl Row for $row {
            const TABLE: TableOf = TableDefinition::new($table);
            const NAME: &'static str = $table;

            fn key(&self) -> Vec<u8> {
                let $this = self;
                $key
            }
        })*
    };
}

rows! {
    Identity, "meta", |_row| Self::ONE.to_vec();
    Meta, "meta", |_row| Self::ONE.to_vec();
    Team, "meta", |_row| Self::ONE.to_vec();
    ConversationRow, "conversations", |row| row.conversation.id.0.to_vec();
    DocumentRow, "documents", |row| row.document.to_bytes().to_vec();
    FactRow, "facts", |row| {
        let placed = &row.placed;
        [&placed.document.to_bytes()[..], &placed.actor.0, &placed.seq.to_be_bytes()].concat()
    };
    EventRow, "events", |row| event_key(row);
    OutboxRow, "outbox", |row| order_key(row.order).to_vec();
    ResolveRow, "resolves", |row| order_key(row.order).to_vec();
    OfferRow, "offers", |row| offer_key(&row.key);
    BackfillRow, "backfills", |row| row.conversation.0.to_vec();
    NotSentRow, "not_sent", |row| order_key(row.order).to_vec();
}

/// A row type of which there is one row.
pub(crate) trait Single: Row {
    /// Its key in [`META`].
    const ONE: &'static [u8];
}

impl Single for Identity {
    const ONE: &'static [u8] = b"identity";
}

impl Single for Meta {
    const ONE: &'static [u8] = b"state";
}

impl Single for Team {
    const ONE: &'static [u8] = b"team";
}

/// The key of what is numbered by order.
pub(crate) const fn order_key(order: u64) -> [u8; 8] {
    order.to_be_bytes()
}

/// An offer's key.
pub(crate) fn offer_key(key: &OfferKey) -> Vec<u8> {
    [&key.generation.to_be_bytes()[..], &key.lsn.0.to_be_bytes(), &key.epoch.0].concat()
}

/// An event's key; empty for a row that is no event, which is never written.
fn event_key(row: &EventRow) -> Vec<u8> {
    let Some((document, key)) = row.key() else { return Vec::new() };
    let (kind, message, which) = match key {
        EventKey::Resolved(message, resolution) => (0, message, resolution_byte(resolution)),
        EventKey::Delivered(message, delivery) => (1, message, delivery_byte(delivery)),
        EventKey::Sensitive(message, category) => (2, message, category_byte(category)),
    };
    [&document.to_bytes()[..], &[kind], &message.0, &[which]].concat()
}

const fn resolution_byte(resolution: Resolution) -> u8 {
    match resolution {
        Resolution::Send => 0,
        Resolution::Discard => 1,
    }
}

const fn category_byte(category: Category) -> u8 {
    match category {
        Category::Contract => 0,
        Category::Payment => 1,
        Category::Bank => 2,
        Category::Identity => 3,
        Category::Password => 4,
    }
}

const fn delivery_byte(delivery: Delivery) -> u8 {
    match delivery {
        Delivery::Sending => 0,
        Delivery::Sent => 1,
        Delivery::Failed => 2,
        Delivery::Unknown => 3,
    }
}

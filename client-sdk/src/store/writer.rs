//! A transaction of the store that is being written: its tables, each opened once.

use std::collections::BTreeMap;

use lockstep_client_core::row::{
    BackfillRow, ConversationRow, DocumentRow, EventRow, FactRow, NotSentRow, OfferRow, OutboxRow, ResolveRow, Write,
};
use lockstep_protocol::id::{ConversationId, DocumentId};
use redb::{Table, WriteTransaction};

use super::row::{Row, encode, offer_key, order_key};
use super::seal::{Salts, Sealer};
use super::{StoreError, last_with};

type OpenTable<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// See the module. It must be dropped before the transaction is committed.
pub(super) struct Writer<'t> {
    transaction: &'t WriteTransaction,
    /// By name: opening a table costs as much as writing a row.
    tables: BTreeMap<&'static str, OpenTable<'t>>,
    sealer: &'t Sealer,
    salts: Salts,
}

impl<'t> Writer<'t> {
    pub(super) const fn new(transaction: &'t WriteTransaction, sealer: &'t Sealer) -> Self {
        Self { transaction, tables: BTreeMap::new(), sealer, salts: Salts::new() }
    }

    pub(super) fn carry_out(&mut self, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Meta(row) => self.put(&*row),
            Write::Team(row) => self.put(&*row),
            Write::Conversation(row) => self.put(&*row),
            Write::Document(row) => self.put(&*row),
            Write::DocumentGone(document) => self.forget_document(document),
            Write::Fact(row) => self.put(&*row),
            Write::Event(row) => match row.key() {
                Some(_) => self.put(&*row),
                None => Ok(()),
            },
            Write::Outbox(row) => self.put(&*row),
            Write::OutboxGone(order) => self.delete::<OutboxRow>(&order_key(order)),
            Write::Resolve(row) => self.put(&*row),
            Write::ResolveGone(order) => self.delete::<ResolveRow>(&order_key(order)),
            Write::Offer(row) => self.put(&*row),
            Write::OfferGone(key) => self.delete::<OfferRow>(&offer_key(&key)),
            Write::Backfill(row) => self.put(&row),
            Write::BackfillGone(conversation) => self.delete::<BackfillRow>(&conversation.0),
            Write::NotSent(row) => self.put(&*row),
            Write::NotSentGone(order) => self.delete::<NotSentRow>(&order_key(order)),
            Write::Forget(conversation) => self.forget(conversation),
        }
    }

    pub(super) fn put<R: Row>(&mut self, row: &R) -> Result<(), StoreError> {
        let (key, value) = encode(self.sealer, &mut self.salts, row)?;
        self.table::<R>()?.insert(&key[..], &value[..])?;
        Ok(())
    }

    fn forget_document(&mut self, document: DocumentId) -> Result<(), StoreError> {
        let key = document.to_bytes();
        self.delete::<DocumentRow>(&key)?;
        self.delete_all::<FactRow>(&key)?;
        self.delete_all::<EventRow>(&key)
    }

    fn forget(&mut self, conversation: ConversationId) -> Result<(), StoreError> {
        let key = conversation.0;
        self.delete::<ConversationRow>(&key)?;
        self.delete::<BackfillRow>(&key)?;
        self.delete_all::<DocumentRow>(&key)?;
        self.delete_all::<FactRow>(&key)?;
        self.delete_all::<EventRow>(&key)
    }

    fn delete<R: Row>(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.table::<R>()?.remove(key)?;
        Ok(())
    }

    fn delete_all<R: Row>(&mut self, prefix: &[u8]) -> Result<(), StoreError> {
        let last = last_with(prefix);
        self.table::<R>()?.retain_in::<&[u8], _>(prefix..=&last[..], |_, _| false)?;
        Ok(())
    }

    fn table<R: Row>(&mut self) -> Result<&mut OpenTable<'t>, StoreError> {
        use std::collections::btree_map::Entry;
        match self.tables.entry(R::NAME) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(self.transaction.open_table(R::TABLE)?)),
        }
    }
}

//! Imported segments: known by their entries and listings, held only once somebody wanted to see them.

use lockstep_protocol::entry::Imported;
use lockstep_protocol::frame::CatalogueConversation;
use lockstep_protocol::id::{DocumentId, DocumentKind, Lsn};
use lockstep_protocol::snapshot::DocumentDigest;

use crate::device::Device;
use crate::effect::Notice;
use crate::replica::Replica;
use crate::row::Write;

impl Device {
    /// The log says that a segment was imported.
    pub(crate) fn take_imported(&mut self, imported: &Imported, lsn: Lsn) {
        let conversation = imported.document.conversation;
        let row = self.conversation_row(conversation);
        if row.described == Lsn::ZERO {
            self.describe_again(conversation, lsn);
        } else {
            row.described = lsn;
        }
        self.newest(conversation, lsn);
        self.import_listed(imported.document, imported.digest);
        self.notice(Notice::ConversationChanged(conversation));
    }

    /// What the hub lists of a conversation's imported segments is all that there is.
    pub(crate) fn take_imports(&mut self, listed: &CatalogueConversation) {
        let conversation = listed.conversation.id;
        let rows = listed.documents.iter().filter(|row| row.document.kind == DocumentKind::Imported);
        for row in rows.clone() {
            self.import_listed(row.document, row.digest);
        }
        let known = self.documents.range(DocumentId::all_imported(conversation)).map(|(id, _)| *id);
        let gone = known.filter(|known| !rows.clone().any(|row| row.document == *known));
        for document in gone.collect::<Vec<_>>() {
            self.import_gone(document);
        }
    }

    /// An imported segment stands at the hub, with this digest. Another one under its number, of before a restore, is
    /// deleted.
    pub(crate) fn import_listed(&mut self, document: DocumentId, digest: DocumentDigest) {
        let known = self.documents.get(&document).copied();
        if known.is_some_and(|row| row.listed == Some(digest)) {
            return;
        }
        if known.is_some_and(|row| row.digest != DocumentDigest::default() && row.digest != digest) {
            self.import_gone(document);
        }
        self.document(document).listed = Some(digest);
        self.offers.import_stands(document.conversation);
        if self.shows(document) {
            self.want(document);
        }
    }

    /// An imported segment was taken back, or lost by a restore.
    pub(crate) fn import_gone(&mut self, document: DocumentId) {
        self.wanted.remove(&document);
        self.unreadable.remove(&document);
        if self.documents.remove(&document).is_none() {
            return;
        }
        self.replicas.remove(&document);
        self.write(Write::DocumentGone(document));
        self.touch_all(document);
        self.drop_live(document);
    }

    /// Somebody wants to see an imported segment: it is asked for unless it is held.
    pub(crate) fn want(&mut self, document: DocumentId) {
        if self.documents.get(&document).is_some_and(|row| row.listed.is_some_and(|listed| listed != row.digest)) {
            self.unreadable.remove(&document);
            self.wanted.insert(document);
        }
    }

    /// Whether a document that came is what was announced; others than imported segments always are.
    pub(crate) fn is_as_listed(&self, replica: &Replica) -> bool {
        let row = self.documents.get(&replica.document());
        replica.document().kind != DocumentKind::Imported || row.is_some_and(|row| row.listed == Some(replica.digest()))
    }
}

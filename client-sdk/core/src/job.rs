//! Work that may need documents in memory: done in the order in which it came, one at a time, each as a whole.

use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::entry::{Entry, EntryBody};
use lockstep_protocol::frame::{CatalogueConversation, Grant, Outcome, Tag, Team};
use lockstep_protocol::id::{ConversationId, DocumentId, DocumentKind, Lsn};
use lockstep_protocol::refusal::Refusal;

use crate::backfill::{READS_MAX, WholeSnapshot};
use crate::device::{Device, Loaded};
use crate::effect::{ActOutcome, Effect, Notice};
use crate::input::{Act, Request};
use crate::push::Question;
use crate::query::{Answer, LoadFailure, Query};
use crate::replica::Replica;
use crate::row::Write;

/// Rows that could not be read are asked for again after this long.
const LOAD_AGAIN_MS: u64 = 1_000;

/// Acts whose transactions may be on their way into the store; beyond, an act is answered `Busy`.
const UNDURABLE_MAX: usize = 4_096;

/// One piece of work.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// A member did something.
    Act(Request, Act),
    /// A range of the log came.
    Entries(Range),
    /// An Ack came.
    Ack { tag: Tag, results: Vec<Outcome>, witness: Cursor },
    /// The last page of the catalogue came.
    Catalogue {
        conversations: Vec<CatalogueConversation>,
        team: Option<Team>,
        end: Cursor,
        shredded: Vec<ConversationId>,
    },
    /// A document came, and its bytes are read.
    Replace { tag: Tag, snapshot: Box<WholeSnapshot> },
    /// All documents of a Fetch came and are replaced.
    Fetched { tag: Tag, before: Option<u32> },
    /// An open view begins with an older segment than before: it and those after it are loaded. Of imported segments
    /// that one.
    Show(DocumentId),
}

/// A decoded Entries frame.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) from: Lsn,
    pub(crate) cursor: Cursor,
    pub(crate) entries: Vec<Entry>,
    pub(crate) granted: Vec<Grant>,
    pub(crate) revoked: Vec<ConversationId>,
}

impl Device {
    /// A member did something: it waits behind what came before.
    pub(crate) fn acted(&mut self, request: Request, act: Act) {
        let waiting = self.jobs.iter().filter(|job| matches!(job, Job::Act(..))).count();
        if waiting >= self.config.waiting_max || self.done.len() >= UNDURABLE_MAX {
            self.out.push(Effect::ActDone { request, outcome: ActOutcome::Busy });
        } else {
            self.jobs.push_back(Job::Act(request, act));
        }
    }

    /// Queues work of this session; too much of it means that the store is far behind, and drops the connection.
    pub(crate) fn queue(&mut self, job: Job) {
        let waiting = self.jobs.iter().filter(|job| !matches!(job, Job::Act(..) | Job::Show(_))).count();
        if waiting >= 2 * self.config.waiting_max {
            self.session.broken = true;
        } else {
            self.jobs.push_back(job);
        }
    }

    /// The session is gone, and with it what it brought that is not done yet.
    pub(crate) fn drop_session_jobs(&mut self) {
        self.jobs.retain(|job| matches!(job, Job::Act(..) | Job::Show(_)));
    }

    /// Does work until a document is missing.
    pub(crate) fn run_jobs(&mut self) {
        if self.load_again_ms.is_some_and(|at_ms| at_ms <= self.now.mono_ms) {
            self.load_again_ms = None;
            self.loading = None;
        }
        loop {
            if self.session.broken {
                // What follows may rest on what went wrong; the next session brings it again.
                self.drop_session_jobs();
            }
            let missing = match (self.jobs.front(), self.lost.front()) {
                (Some(job), _) => self.missing(job),
                (None, Some(document)) => Some(*document).filter(|document| self.absent(*document)),
                (None, None) => return,
            };
            if let Some(document) = missing {
                if self.loading != Some(document) {
                    self.loading = Some(document);
                    self.load_again_ms = None;
                    self.out.push(Effect::Load(Query::Document(document)));
                }
                return;
            }
            self.uses += 1;
            let Some(job) = self.jobs.pop_front() else {
                if let Some(document) = self.lost.pop_front() {
                    self.take_lost(document);
                }
                self.commit();
                continue;
            };
            match job {
                Job::Act(request, act) => self.act(request, act),
                Job::Entries(range) => self.take_range(range),
                Job::Ack { tag, results, witness } => self.take_ack(tag, results, witness),
                Job::Catalogue { conversations, team, end, shredded } => {
                    self.take_catalogue(conversations, team, end, shredded);
                }
                Job::Replace { tag, snapshot } => self.take_snapshot(tag, *snapshot),
                Job::Fetched { tag, before } => self.take_fetched(tag, before),
                Job::Show(_) => {}
            }
            self.commit();
        }
    }

    /// The first document that a job needs and that is not in memory.
    fn missing(&self, job: &Job) -> Option<DocumentId> {
        let absent = |document: &DocumentId| self.absent(*document);
        match job {
            Job::Act(_, act) => self.act_misses(act),
            Job::Entries(range) => range.entries.iter().filter_map(entry_document).find(absent),
            Job::Ack { tag, results, .. } => match self.questions.get(tag) {
                Some(Question::Push(push)) => {
                    let elsewhere = results.iter().filter_map(|result| match result {
                        Outcome::Refused(Refusal { document, .. }) => *document,
                        _ => None,
                    });
                    core::iter::once(push.document).chain(elsewhere).find(absent)
                }
                _ => None,
            },
            Job::Catalogue { .. } => None,
            Job::Replace { snapshot, .. } => Some(snapshot.document).filter(absent),
            Job::Fetched { tag, before } => self.unanswered(*tag, *before).into_iter().find(absent),
            Job::Show(segment) if !self.shows(*segment) => None,
            Job::Show(imported) if imported.kind == DocumentKind::Imported => Some(*imported).filter(absent),
            Job::Show(segment) => self.absent_from(segment.conversation, segment.number),
        }
    }

    /// Whether a job is about a document, so that it must not be evicted.
    pub(crate) fn names(&self, job: &Job, document: DocumentId) -> bool {
        match job {
            Job::Act(..) | Job::Show(_) => true,
            Job::Entries(range) => range.entries.iter().filter_map(entry_document).any(|named| named == document),
            Job::Ack { .. } | Job::Catalogue { .. } | Job::Fetched { .. } => true,
            Job::Replace { snapshot, .. } => snapshot.document == document,
        }
    }

    /// Whether the store holds rows of a document that is not in memory.
    pub(crate) fn absent(&self, document: DocumentId) -> bool {
        self.documents.contains_key(&document) && !self.replicas.contains_key(&document)
    }

    /// Rows came from the store.
    pub(crate) fn loaded(&mut self, query: Query, outcome: Result<Answer, LoadFailure>) {
        let Query::Document(document) = query;
        if self.loading != Some(document) {
            return;
        }
        match outcome {
            Ok(Answer::Document { facts, events }) => {
                self.loading = None;
                self.unloadable.remove(&document);
                if self.absent(document) {
                    let replica = Replica::from_rows(document, facts, events);
                    if replica.differs() {
                        self.stop_pushing();
                    }
                    let ticket = crate::effect::Ticket(0);
                    self.replicas.insert(document, Loaded { replica, ticket, used: self.uses });
                    self.touch_arrived(document);
                }
            }
            Err(LoadFailure) => {
                self.notice(Notice::Unreadable(document));
                let failures = self.unloadable.entry(document).or_default();
                *failures += 1;
                if *failures < READS_MAX {
                    self.load_again_ms = Some(self.now.mono_ms + LOAD_AGAIN_MS);
                } else {
                    self.loading = None;
                    self.unloadable.remove(&document);
                    self.lose_rows(document);
                }
            }
        }
    }

    /// The rows of a document cannot be read: they are deleted, and the hub is asked for it. What waits in the outbox
    /// is written again under a new chain.
    fn lose_rows(&mut self, document: DocumentId) {
        let Some(row) = self.documents.remove(&document) else { return };
        self.write(Write::DocumentGone(document));
        if let Some(digest) = row.listed {
            return self.import_listed(document, digest);
        }
        self.document(document);
        if self.conversations.get(&document.conversation).is_some_and(|row| !row.lost) {
            self.backfill_document(document);
        }
        self.rewrite_all(document);
        self.touch_all(document);
    }
}

fn entry_document(entry: &Entry) -> Option<DocumentId> {
    match &entry.body {
        EntryBody::Fact(_) | EntryBody::Resolved { .. } | EntryBody::Delivered { .. } | EntryBody::Sensitive { .. } => {
            entry.body.document()
        }
        EntryBody::Opened { .. } | EntryBody::Marked { .. } | EntryBody::Directory(_) | EntryBody::Imported(_) => None,
    }
}

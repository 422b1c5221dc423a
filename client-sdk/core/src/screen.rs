//! Open views: what changed is worked out once a turn, message by message, and told as positions in an ordered list.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_protocol::change::ChainHead;
use lockstep_protocol::content::Content;
use lockstep_protocol::fact::Fact;
use lockstep_protocol::id::{ActorId, ConversationId, DocumentId, DocumentKind, MessageId};

use crate::device::Device;
use crate::effect::{Apply, Effect, JobId, Notice};
use crate::input::ApplyFailure;
use crate::job::Job;
use crate::planted::ClientBug;
use crate::replica::Replica;
use crate::view::{MessageView, ViewEvent};

/// A materialised document is extended so often at most: a job costs much the same for one change as for fifty, and
/// nothing that is shown waits for it.
const EXTEND_MS: u64 = 100;

/// What is shown, and what may have changed since it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Screen {
    views: BTreeMap<ConversationId, OpenView>,
    touched: BTreeMap<ConversationId, Touched>,
}

#[derive(Clone, Debug, Default)]
struct Touched {
    messages: BTreeSet<MessageId>,
    documents: BTreeSet<DocumentId>,
    /// Documents that came into memory or into view: each message that one holds something about is looked at.
    arrived: BTreeSet<DocumentId>,
    /// Messages may have gone with a document: every one is looked at.
    all: bool,
}

/// One open view.
#[derive(Clone, Debug)]
struct OpenView {
    /// The oldest segment shown.
    oldest: u32,
    /// The oldest imported segment shown; those are older than every segment.
    imported: Option<u32>,
    shown: BTreeMap<MessageId, MessageView>,
    card: (Vec<(String, String)>, Vec<String>),
    live: BTreeMap<DocumentId, Live>,
}

/// A materialised document, as the worker has it.
#[derive(Clone, Debug, Default)]
struct Live {
    heads: BTreeMap<ActorId, ChainHead>,
    /// The worker is at it.
    job: Option<JobId>,
    /// More came meanwhile: the next job takes all of it at once.
    behind: bool,
    /// The next job may begin at this time, monotonic milliseconds.
    next_ms: u64,
    /// It could not be built even from its facts.
    broken: bool,
}

impl Screen {
    pub(crate) fn is_open(&self, conversation: ConversationId) -> bool {
        self.views.contains_key(&conversation)
    }

    /// The oldest segment that an open view shows.
    pub(crate) fn oldest(&self, conversation: ConversationId) -> Option<u32> {
        self.views.get(&conversation).map(|view| view.oldest)
    }

    /// When a materialised document that is behind may be extended.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        let live = self.views.values().flat_map(|view| view.live.values());
        live.filter(|live| live.behind && live.job.is_none()).map(|live| live.next_ms).min()
    }
}

impl Device {
    /// A fact or event of a document came, changed or went: what it says is about one message, or about the card.
    pub(crate) fn touch(&mut self, document: DocumentId, message: Option<MessageId>) {
        if let Some(touched) = self.touched(document) {
            touched.messages.extend(message);
        }
    }

    /// A document came into memory or into view.
    pub(crate) fn touch_arrived(&mut self, document: DocumentId) {
        let misses = self.bug(ClientBug::ArrivalNotShown);
        if let Some(touched) = self.touched(document)
            && !misses
        {
            touched.arrived.insert(document);
        }
    }

    /// A document went, or the view's range changed: anything may be otherwise.
    pub(crate) fn touch_all(&mut self, document: DocumentId) {
        if let Some(touched) = self.touched(document) {
            touched.all = true;
        }
    }

    /// What is noted of the document's conversation, if it is open; the document is noted already.
    fn touched(&mut self, document: DocumentId) -> Option<&mut Touched> {
        if !self.screen.is_open(document.conversation) {
            return None;
        }
        let touched = self.screen.touched.entry(document.conversation).or_default();
        touched.documents.insert(document);
        Some(touched)
    }

    /// Whether a view shows a document.
    pub(crate) fn shows(&self, document: DocumentId) -> bool {
        self.screen.views.get(&document.conversation).is_some_and(|view| match document.kind {
            DocumentKind::Segment => document.number >= view.oldest,
            DocumentKind::Card => true,
            DocumentKind::Imported => view.imported.is_some_and(|oldest| document.number >= oldest),
        })
    }

    /// The oldest segment that a view shows when it is opened: the open one, or an older one with a pending message.
    pub(crate) fn oldest_shown(&self, conversation: ConversationId) -> u32 {
        let open = self.open_document(conversation, DocumentKind::Segment).number;
        let messages = self.outbox.of_conversation(conversation).filter(|row| matches!(row.fact, Fact::Message(_)));
        let view = self.screen.views.get(&conversation).map(|view| view.oldest);
        messages.map(|row| row.document.number).chain(view).fold(open, u32::min)
    }

    /// A document that a view from segment `oldest` on needs and that is not in memory: segments and every card.
    pub(crate) fn absent_from(&self, conversation: ConversationId, oldest: u32) -> Option<DocumentId> {
        let shown = DocumentId::segment(conversation, oldest)..=DocumentId::card(conversation, u32::MAX);
        self.documents.range(shown).map(|(id, _)| *id).find(|id| self.absent(*id))
    }

    /// Lets an open view begin with this segment if it began later: a message that it shows lies there now.
    pub(crate) fn show_from(&mut self, segment: DocumentId) {
        if let Some(view) = self.screen.views.get_mut(&segment.conversation)
            && segment.kind == DocumentKind::Segment
            && segment.number < view.oldest
        {
            view.oldest = segment.number;
            self.touch_all(segment);
            self.jobs.push_back(Job::Show(segment));
        }
    }

    pub(crate) fn open_view(&mut self, conversation: ConversationId) {
        let oldest = self.oldest_shown(conversation);
        let view = OpenView {
            oldest,
            imported: None,
            shown: BTreeMap::new(),
            card: Default::default(),
            live: BTreeMap::new(),
        };
        self.screen.views.entry(conversation).or_insert(view).oldest = oldest;
        let shown: BTreeMap<_, _> =
            self.shown_anew(conversation).into_iter().map(|message| (message.id, message)).collect();
        let messages = shown.values().cloned().collect();
        if let Some(view) = self.screen.views.get_mut(&conversation) {
            view.shown = shown;
            view.card = Default::default();
        }
        self.out.push(Effect::View(ViewEvent::Opened { conversation, messages }));
        let markers = self.conversations.get(&conversation).map(|row| row.markers.clone()).unwrap_or_default();
        if !markers.is_empty() {
            self.out.push(Effect::View(ViewEvent::Markers { conversation, markers }));
        }
        if let Some(holder) = self.lease(conversation) {
            self.out.push(Effect::View(ViewEvent::Lease { conversation, holder: Some(holder) }));
        }
        self.touch_all(DocumentId::card(conversation, 0));
    }

    pub(crate) fn close_view(&mut self, conversation: ConversationId) {
        self.wanted.retain(|document| document.conversation != conversation);
        self.screen.touched.remove(&conversation);
        if let Some(view) = self.screen.views.remove(&conversation) {
            for document in view.live.into_keys() {
                self.out.push(Effect::Apply(Apply::Drop { document }));
            }
            self.out.push(Effect::View(ViewEvent::Closed { conversation }));
        }
    }

    /// The next older document of an open view: a segment that is held here; before the first of them, an imported
    /// segment, held or not.
    pub(crate) fn next_older(&self, conversation: ConversationId) -> Option<DocumentId> {
        let view = self.screen.views.get(&conversation)?;
        let older = DocumentId::segment(conversation, 0)..DocumentId::segment(conversation, view.oldest);
        let segment = self.documents.range(older).next_back().map(|(id, _)| *id);
        if segment.is_some() || (view.oldest > 0 && self.backfills.contains_key(&conversation)) {
            return segment;
        }
        let end = DocumentId::imported(conversation, view.imported.unwrap_or(u32::MAX));
        self.documents.range(DocumentId::imported(conversation, 0)..end).next_back().map(|(id, _)| *id)
    }

    /// Shows one older segment. What is not held here yet comes with the conversation's backfill, which an open view
    /// puts first; an imported segment is asked for now.
    pub(crate) fn show_older(&mut self, conversation: ConversationId) {
        let next = self.next_older(conversation);
        let Some(view) = self.screen.views.get_mut(&conversation) else { return };
        match next {
            Some(document) if document.kind == DocumentKind::Imported => {
                (view.oldest, view.imported) = (0, Some(document.number));
                self.want(document);
                self.touch_arrived(document);
            }
            Some(document) => view.oldest = document.number,
            None => view.oldest = view.oldest.saturating_sub(1),
        }
        if let Some(view) = self.screen.views.get(&conversation) {
            self.touch_arrived(DocumentId::segment(conversation, view.oldest));
        }
    }

    /// Whether an open view could show more than it does: [`Act::ShowOlder`](crate::input::Act::ShowOlder) would.
    #[must_use]
    pub fn has_older(&self, conversation: ConversationId) -> bool {
        let waits = self.screen.views.contains_key(&conversation) && self.backfills.contains_key(&conversation);
        waits || self.next_older(conversation).is_some()
    }

    /// An open view without any message goes back in time by itself: a conversation that was only imported shows its
    /// newest imported segment.
    pub(crate) fn reach_back(&mut self) {
        let mut loads = false;
        for conversation in self.screen.views.keys().copied().collect::<Vec<_>>() {
            while self.shows_nothing(conversation)
                && let Some(next) = self.next_older(conversation)
            {
                self.show_older(conversation);
                if self.absent(next) {
                    self.jobs.push_back(Job::Show(next));
                    loads = true;
                }
            }
        }
        if loads {
            self.run_jobs();
        }
    }

    /// Whether an open view has no message, and nothing is on its way that may bring one.
    fn shows_nothing(&self, conversation: ConversationId) -> bool {
        let is_empty = self.screen.views.get(&conversation).is_some_and(|view| view.shown.is_empty());
        is_empty
            && self.jobs.is_empty()
            && !self.backfills.contains_key(&conversation)
            && !self.wanted.iter().any(|document| document.conversation == conversation)
            && self.shown_anew(conversation).is_empty()
    }

    fn shown_replicas(&self, view: &OpenView, conversation: ConversationId) -> Vec<&Replica> {
        let segments = DocumentId::segment(conversation, view.oldest)..=DocumentId::segment(conversation, u32::MAX);
        let imported = DocumentId::imported(conversation, view.imported.unwrap_or(u32::MAX));
        let imported = self.replicas.range(imported..=DocumentId::imported(conversation, u32::MAX));
        self.replicas.range(segments).chain(imported).map(|(_, loaded)| &loaded.replica).collect()
    }

    /// What an open view shows, worked out anew from everything that is in memory. A user interface applies the events
    /// of [`ViewEvent`]; this is what they must add up to.
    #[must_use]
    pub fn shown_anew(&self, conversation: ConversationId) -> Vec<MessageView> {
        let Some(view) = self.screen.views.get(&conversation) else { return Vec::new() };
        let replicas = self.shown_replicas(view, conversation);
        let pending: Vec<_> = self.outbox.of_conversation(conversation).collect();
        let resolves: Vec<_> = self.resolves.values().map(|(row, _)| row).collect();
        crate::message::messages(&replicas, &pending, &resolves)
    }

    /// Tells open views what changed in this turn.
    pub(crate) fn paint(&mut self) {
        for (conversation, touched) in core::mem::take(&mut self.screen.touched) {
            self.paint_messages(conversation, &touched);
            self.paint_card(conversation);
            self.materialise(conversation, &touched);
        }
    }

    fn paint_messages(&mut self, conversation: ConversationId, touched: &Touched) {
        let Some(view) = self.screen.views.get(&conversation) else { return };
        let mut changes: BTreeMap<MessageId, Option<MessageView>> = BTreeMap::new();
        if touched.all {
            changes.extend(view.shown.keys().map(|id| (*id, None)));
            changes.extend(self.shown_anew(conversation).into_iter().map(|message| (message.id, Some(message))));
        }
        let replicas = self.shown_replicas(view, conversation);
        let arrived = touched.arrived.iter().filter_map(|document| self.replicas.get(document));
        let arrived = arrived.flat_map(|loaded| loaded.replica.subjects());
        for id in arrived.chain(touched.messages.iter().copied()) {
            changes.entry(id).or_insert_with(|| {
                let resolves = self.resolves.values().map(|(row, _)| row);
                crate::message::message(&replicas, self.outbox.about(conversation, id), resolves, id)
            });
        }
        let Some(view) = self.screen.views.get_mut(&conversation) else { return };
        // Changes come in order of id, so each is counted from the one before; the first from the end, where most are.
        let mut before: Option<(MessageId, usize)> = None;
        for (id, message) in changes {
            let at = match before {
                Some((from, at)) => at + view.shown.range(from..id).count(),
                None => view.shown.len() - view.shown.range(id..).count(),
            };
            before = Some((id, at));
            let event = match (message, view.shown.contains_key(&id)) {
                (Some(message), true) if view.shown[&id] == message => continue,
                (Some(message), known) => {
                    view.shown.insert(id, message.clone());
                    if known {
                        ViewEvent::Changed { conversation, at, message }
                    } else {
                        ViewEvent::Inserted { conversation, at, message }
                    }
                }
                (None, true) => {
                    view.shown.remove(&id);
                    ViewEvent::Removed { conversation, at }
                }
                (None, false) => continue,
            };
            self.out.push(Effect::View(event));
        }
    }

    fn paint_card(&mut self, conversation: ConversationId) {
        let mut content = Content::default();
        let cards = DocumentId::card(conversation, 0)..=DocumentId::card(conversation, u32::MAX);
        for (_, loaded) in self.replicas.range(cards) {
            loaded.replica.facts().for_each(|held| content.add(&held.row.placed.fact));
        }
        self.outbox.of_cards(conversation).for_each(|row| content.add(&row.fact));
        let fields: Vec<_> = content.fields.into_iter().map(|(name, (_, value))| (name, value)).collect();
        let labels: Vec<_> = content.labels.into_iter().filter(|(_, (_, on))| *on).map(|(label, _)| label).collect();
        let Some(view) = self.screen.views.get_mut(&conversation) else { return };
        if view.card != (fields.clone(), labels.clone()) {
            view.card = (fields.clone(), labels.clone());
            self.out.push(Effect::View(ViewEvent::Card { conversation, fields, labels }));
        }
    }

    /// Keeps the materialised documents of an open view up to date: new facts are added, any other change means to
    /// build anew.
    fn materialise(&mut self, conversation: ConversationId, touched: &Touched) {
        let shown = self.replicas.keys().filter(|id| id.conversation == conversation && self.shows(**id));
        let shown: Vec<DocumentId> = shown.filter(|id| !self.wanted.contains(id)).copied().collect();
        for document in shown {
            if touched.all || touched.documents.contains(&document) {
                self.materialise_document(document, false);
            }
        }
    }

    /// Extends materialised documents that are behind and whose time has come.
    pub(crate) fn tick_live(&mut self) {
        let now_ms = self.now.mono_ms;
        if self.screen.next_ms().is_none_or(|at_ms| at_ms > now_ms) {
            return;
        }
        let mut due = Vec::new();
        for (document, live) in self.screen.views.values_mut().flat_map(|view| &mut view.live) {
            if live.behind && live.job.is_none() && live.next_ms <= now_ms {
                live.behind = false;
                due.push(*document);
            }
        }
        for document in due {
            if self.replicas.contains_key(&document) {
                self.materialise_document(document, false);
            }
        }
    }

    fn materialise_document(&mut self, document: DocumentId, anew: bool) {
        let now_ms = self.now.mono_ms;
        if let Some(view) = self.screen.views.get_mut(&document.conversation)
            && let Some(live) = view.live.get_mut(&document)
            && (live.job.is_some() || now_ms < live.next_ms)
            && !anew
        {
            live.behind = true;
            return;
        }
        let replica = &self.replicas[&document].replica;
        let heads = replica.heads(self.outbox.of(document));
        let Some(view) = self.screen.views.get(&document.conversation) else { return };
        let live = view.live.get(&document);
        if live.is_some_and(|live| live.heads == heads) && !anew {
            return;
        }
        let known = live.filter(|_| !anew).map(|live| &live.heads);
        let fresh = known.and_then(|known| replica.facts_beyond(known, self.outbox.of(document)));
        let extended = fresh.is_some();
        let all = || replica.facts_beyond(&BTreeMap::new(), self.outbox.of(document));
        let facts = fresh.or_else(all).unwrap_or_default();
        let job = self.job();
        let live =
            Live { heads: heads.clone(), job: Some(job), behind: false, next_ms: now_ms + EXTEND_MS, broken: anew };
        if let Some(view) = self.screen.views.get_mut(&document.conversation) {
            view.live.insert(document, live);
        }
        let apply = if extended {
            Apply::Extend { job, document, facts, heads }
        } else {
            Apply::Build { job, document, facts, heads }
        };
        self.out.push(Effect::Apply(apply));
    }

    /// The materialised document is that of a segment that is gone.
    pub(crate) fn drop_live(&mut self, document: DocumentId) {
        let view = self.screen.views.get_mut(&document.conversation);
        if view.is_some_and(|view| view.live.remove(&document).is_some()) {
            self.out.push(Effect::Apply(Apply::Drop { document }));
        }
    }

    /// A worker built or extended a materialised document, or could not: then it is built anew, once.
    pub(crate) fn live_applied(
        &mut self,
        job: JobId,
        document: DocumentId,
        outcome: Result<BTreeMap<ActorId, ChainHead>, ApplyFailure>,
    ) {
        let view = self.screen.views.get_mut(&document.conversation);
        let Some(live) = view.and_then(|view| view.live.get_mut(&document)) else { return };
        if live.job != Some(job) {
            return;
        }
        live.job = None;
        if outcome.is_ok_and(|heads| heads == live.heads) {
            live.broken = false;
        } else if live.broken || !self.replicas.contains_key(&document) {
            self.notice(Notice::DocumentBroken(document));
        } else {
            self.materialise_document(document, true);
        }
    }
}

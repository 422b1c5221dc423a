//! One connection: its phase, its place in the log, and the credit it has for being sent to.

use std::collections::{BTreeSet, VecDeque};

use lockstep_protocol::cursor::Cursor;
use lockstep_protocol::entry::LogChain;
use lockstep_protocol::frame::Tag;
use lockstep_protocol::id::{ConversationId, DeviceId, DocumentId, Lsn, MemberId, Nonce};

use crate::input::SessionId;
use crate::query::StoredEntry;

/// A connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) phase: Phase,
    /// Bytes handed to the driver that have not left yet.
    pub(crate) unsent_bytes: usize,
    /// Monotonic milliseconds of the last frame heard.
    pub(crate) heard_ms: u64,
    /// Secret of this session: codes and epochs drawn on its behalf are derived from it.
    pub(crate) secret: [u8; 32],
    /// Codes drawn so far.
    pub(crate) draws: u64,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The challenge is out.
    Challenged {
        /// The challenge.
        nonce: Nonce,
        /// Monotonic milliseconds.
        since_ms: u64,
    },
    /// The device has proved itself; its cursors are being held against the log.
    Proving(Proving),
    /// The device's enrolment is being made durable.
    Enrolling,
    /// Welcomed.
    Open(Box<Open>),
    /// Told to close; waits for the driver to say that it is gone.
    Closed,
}

/// Cursors that wait for the log chain at their LSN.
#[derive(Debug)]
pub(crate) struct Proving {
    pub(crate) device: DeviceId,
    /// Its member when it said Hello; only a planted bug looks at it.
    pub(crate) member: MemberId,
    /// The cursor to catch up from, if it holds.
    pub(crate) cursor: Option<Cursor>,
    /// Those still to be held against the log.
    pub(crate) unproven: Vec<Cursor>,
}

/// A welcomed session.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) device: DeviceId,
    pub(crate) member: MemberId,
    pub(crate) mode: Mode,
    /// Everything up to here that the device may see was sent.
    pub(crate) position: Lsn,
    /// Memory of its frames that wait for rows.
    pub(crate) parked_bytes: usize,
    pub(crate) fetches: VecDeque<FetchJob>,
    /// Conversations visible when the session began; only a planted bug looks at it.
    pub(crate) seen_at_start: Option<Vec<ConversationId>>,
}

/// How a session learns of new entries.
#[derive(Debug)]
pub(crate) enum Mode {
    /// It is sent every commit.
    Live,
    /// It reads the log at its own speed.
    Reading(Reading),
    /// It is sent the catalogue; the log follows after that.
    Catalogue(CatalogueJob),
}

/// A session's reading of the log.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// A read is under way.
    pub(crate) loading: bool,
    /// A page that waits for conversations to be loaded; these are pinned.
    pub(crate) page: Option<Page>,
}

/// A read part of the log.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<StoredEntry>,
    pub(crate) upto: Lsn,
    pub(crate) chain: LogChain,
    /// The end of the log when it was read.
    pub(crate) read_at: Lsn,
    pub(crate) pinned: BTreeSet<ConversationId>,
    /// Conversations that are still being loaded.
    pub(crate) waiting: usize,
}

/// A catalogue under way.
#[derive(Debug)]
pub(crate) struct CatalogueJob {
    pub(crate) page: u32,
    pub(crate) after: Option<ConversationId>,
    pub(crate) loading: bool,
    /// State of access when the read under way began; a page read across a change is read again.
    pub(crate) access_version: u64,
    /// The cursor that the last page carries.
    pub(crate) end: Cursor,
}

/// A Fetch under way. Its conversation is pinned.
#[derive(Debug)]
pub(crate) struct FetchJob {
    pub(crate) tag: Tag,
    pub(crate) conversation: ConversationId,
    pub(crate) documents: VecDeque<DocumentId>,
    pub(crate) before: Option<u32>,
    pub(crate) announced: bool,
    pub(crate) loading: bool,
}

impl Session {
    pub(crate) const fn new(id: SessionId, nonce: Nonce, secret: [u8; 32], now_ms: u64) -> Self {
        let phase = Phase::Challenged { nonce, since_ms: now_ms };
        Self { id, phase, unsent_bytes: 0, heard_ms: now_ms, secret, draws: 0 }
    }

    pub(crate) fn open(&self) -> Option<&Open> {
        match &self.phase {
            Phase::Open(open) => Some(open),
            _ => None,
        }
    }

    pub(crate) fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.phase {
            Phase::Open(open) => Some(open),
            _ => None,
        }
    }

    /// 32 bytes that nobody else knows, new at each call.
    pub(crate) fn draw(&mut self) -> [u8; 32] {
        self.draws += 1;
        *blake3::keyed_hash(&self.secret, &self.draws.to_be_bytes()).as_bytes()
    }
}

impl Open {
    /// The conversations that this session pins, given back.
    pub(crate) fn take_pins(&mut self) -> Vec<ConversationId> {
        let mut pins: Vec<ConversationId> = self.fetches.drain(..).map(|job| job.conversation).collect();
        if let Mode::Reading(Reading { page: Some(page), .. }) = &mut self.mode {
            pins.extend(std::mem::take(&mut page.pinned));
        }
        pins
    }
}

//! The ledger of one import: every line of the input counted once, under one heading.

use core::fmt;

use serde::Serialize;

/// Rejects that are kept one by one; all are counted.
pub const REJECTS_KEPT_MAX: usize = 10_000;

/// Lines of one export by what became of them. `lines` is counted apart from the others, so that a line lost or counted
/// twice shows.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Ledger {
    /// Lines of the input.
    pub lines: u64,
    /// First lines of messages that are kept.
    pub message: u64,
    /// First lines of what the app itself says ("… changed the group's name").
    pub system: u64,
    /// Further lines of kept messages and of what the app says.
    pub continuation: u64,
    /// Lines whose message the hub holds already.
    pub duplicate: u64,
    /// Lines that could not be taken, each with a reason.
    pub rejected: u64,
}

impl Ledger {
    /// The headings and their numbers.
    #[must_use]
    pub const fn rows(&self) -> [(&'static str, u64); 5] {
        [
            ("message", self.message),
            ("system", self.system),
            ("continuation", self.continuation),
            ("duplicate", self.duplicate),
            ("rejected", self.rejected),
        ]
    }

    /// Sum of the headings.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.rows().iter().map(|(_, lines)| lines).sum()
    }

    /// Whether every line stands under exactly one heading.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.sum() == self.lines
    }

    /// Takes a record's lines from where they were counted.
    fn take(&mut self, origin: Origin) -> u64 {
        let first = if origin.system { &mut self.system } else { &mut self.message };
        *first -= 1;
        let further = u64::from(origin.lines) - 1;
        self.continuation -= further;
        further + 1
    }

    /// A record that was counted as kept is rejected after all.
    pub(crate) fn reject(&mut self, origin: Origin) {
        self.rejected += self.take(origin);
    }

    /// A record that was counted as kept is in the hub already.
    pub(crate) fn duplicate(&mut self, origin: Origin) {
        self.duplicate += self.take(origin);
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, lines) in self.rows() {
            writeln!(f, "{name:<14}{lines:>10}")?;
        }
        let verdict = if self.balances() { "balances" } else { "DOES NOT BALANCE" };
        write!(f, "{:<14}{:>10}  of {} lines: {verdict}", "sum", self.sum(), self.lines)
    }
}

/// Which lines a record came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Origin {
    /// Its first line, counted from 1.
    pub line: u64,
    /// How many lines it has, at least 1.
    pub lines: u32,
    /// Whether it is what the app says.
    pub system: bool,
}

/// Why a line or a record was not taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// It stands before the first header, so nobody is known to have said it.
    NoHeader,
    /// It is not UTF-8.
    NotUtf8,
    /// Its header names a day or time that does not exist.
    DateInvalid,
    /// Its year lies outside 1990–2199 (or is of a calendar that is not known here).
    YearOutOfRange,
    /// Its header names no year and none was given.
    YearMissing,
    /// It belongs to a message whose header was rejected.
    AfterRejected,
    /// Its time does not exist in the time zone's rules, or lies before 1990.
    TimeOutOfRange,
    /// More than 65,536 messages have the same time.
    MomentFull,
}

impl RejectReason {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoHeader => "stands before the first message",
            Self::NotUtf8 => "is not UTF-8",
            Self::DateInvalid => "names a day or time that does not exist",
            Self::YearOutOfRange => "names a year outside 1990–2199",
            Self::YearMissing => "names no year; give one",
            Self::AfterRejected => "belongs to a rejected message",
            Self::TimeOutOfRange => "has a time that the time zone's rules cannot place",
            Self::MomentFull => "is one of more than 65,536 messages of the same time",
        }
    }
}

/// One rejected line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Reject {
    /// Its number in the file, counted from 1.
    pub line: u64,
    /// Why.
    pub reason: RejectReason,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} {}", self.line, self.reason.as_str())
    }
}

//! WhatsApp's "Export chat" text: bytes in, records and rejects out.
//!
//! The header's form comes from the phone's locale, so it is read by structure: the first line says which form the
//! export has, and lines in another form are text that someone pasted. Which number is the day is decided over the
//! whole file. No clock and no randomness: equal bytes give equal records.

mod app_words;
mod body;
mod file_name;
mod header;
mod order;
mod stamp;
mod stamp_word;

use std::collections::BTreeMap;

use jiff::civil::DateTime;

pub use self::file_name::customer_in;
pub use self::header::{Form, Wrap};
pub use self::order::{OrderFound, OrderReason};
pub use self::stamp::{DateOrder, Shape};

use self::header::Header;
use crate::glyph::{is_mark, plain};
use crate::ledger::{Ledger, Origin, REJECTS_KEPT_MAX, Reject, RejectReason};
use crate::record::{Content, Kind, Record};
use crate::source::Files;

/// Longest shown name of a sender, characters; what is longer before a colon is text of the app's.
const SENDER_CHARS_MAX: usize = 100;
/// Stamps that an inspection shows.
const SAMPLES: usize = 3;

/// What a person may say about an export that it does not say itself.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ReadOptions {
    /// Which number is the day; decided by the file where not given.
    pub date_order: Option<DateOrder>,
    /// The year of stamps without one.
    pub year: Option<i16>,
}

/// Everything that one export's text says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The form of its headers; `None` if it has none.
    pub form: Option<Form>,
    /// The date order and why.
    pub order: OrderFound,
    /// Stamps as written, first, middle and last, with what they were read as.
    pub samples: Vec<(String, DateTime)>,
    /// Its messages, in order of lines.
    pub records: Vec<Record>,
    /// The first [`REJECTS_KEPT_MAX`] lines that could not be read.
    pub rejects: Vec<Reject>,
    /// Every line counted.
    pub ledger: Ledger,
    /// Lines that look like headers of another form; they are text of the message before.
    pub foreign_headers: u64,
}

/// The lines of a file with their numbers from 1. `\r\n` ends a line as `\n` does.
fn lines(text: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let none = text.is_empty();
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    (1..)
        .zip(text.split(|byte| *byte == b'\n'))
        .filter(move |_| !none)
        .map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line)))
}

/// Reads an export's text. `files` are those of its archive, empty for a bare `.txt`. Never fails: what cannot be read
/// is rejected line by line.
#[must_use]
pub fn read(text: &[u8], files: &Files, options: &ReadOptions) -> Reading {
    let mut headers: Vec<(u64, Header<'_>)> = Vec::new();
    for (number, line) in lines(text) {
        if let Some(header) = str::from_utf8(line).ok().and_then(Header::parse) {
            headers.push((number, header));
        }
    }
    let form = form_of(&headers);
    let all = headers.len();
    headers.retain(|(_, header)| Some(header.form) == form);
    let stamps: Vec<_> = headers.iter().map(|(number, header)| (*number, &header.stamp)).collect();
    let order = order::decide(&stamps, options.date_order, options.year);
    let mut reader = Reader {
        files,
        open: Open::Nothing,
        reading: Reading {
            form,
            samples: Vec::new(),
            records: Vec::new(),
            rejects: Vec::new(),
            ledger: Ledger::default(),
            foreign_headers: (all - headers.len()) as u64,
            order,
        },
    };
    let mut next = headers.into_iter().peekable();
    for (number, line) in lines(text) {
        reader.reading.ledger.lines += 1;
        match (str::from_utf8(line), next.next_if(|(at, _)| *at == number)) {
            (_, Some((_, header))) => reader.head(number, &header, options),
            (Ok(line), None) => reader.further(number, line),
            (Err(_), None) => reader.reject(number, RejectReason::NotUtf8),
        }
    }
    reader.close();
    let Reader { mut reading, .. } = reader;
    reading.samples = samples(text, &reading.records);
    reading
}

/// An export begins with a header: if the first line is one, it says the form. Else (a part of an export)
/// the form that most lines have, the earliest of those.
fn form_of(headers: &[(u64, Header<'_>)]) -> Option<Form> {
    let (number, first) = headers.first()?;
    if *number == 1 {
        return Some(first.form);
    }
    let mut counts: BTreeMap<Form, (u64, core::cmp::Reverse<u64>)> = BTreeMap::new();
    for (number, header) in headers {
        counts.entry(header.form).or_insert((0, core::cmp::Reverse(*number))).0 += 1;
    }
    counts.into_iter().max_by_key(|(_, rank)| *rank).map(|(form, _)| form)
}

/// Stamps of the first, the middle and the last record, as written: no names, no text.
fn samples(text: &[u8], records: &[Record]) -> Vec<(String, DateTime)> {
    let last = records.len().saturating_sub(1);
    let mut at: Vec<usize> = (0..SAMPLES).map(|part| last * part / (SAMPLES - 1)).collect();
    at.dedup();
    let wanted: BTreeMap<u64, DateTime> =
        at.iter().filter_map(|at| records.get(*at)).map(|record| (record.origin.line, record.at)).collect();
    let stamp = |line: &[u8]| {
        let line = str::from_utf8(line).ok()?;
        let rest = Header::parse(line)?.rest.len();
        Some(line[..line.len() - rest].trim_matches(|c: char| is_mark(c) || c.is_whitespace()).to_owned())
    };
    lines(text).filter_map(|(number, line)| Some((stamp(line)?, *wanted.get(&number)?))).collect()
}

/// What a further line belongs to.
enum Open {
    /// Nothing was said yet.
    Nothing,
    /// A message whose header could not be taken.
    Rejected,
    /// A message, its text so far.
    Message { origin: Origin, at: DateTime, from: Option<String>, text: String },
}

struct Reader<'a> {
    files: &'a Files,
    open: Open,
    reading: Reading,
}

impl Reader<'_> {
    fn reject(&mut self, line: u64, reason: RejectReason) {
        self.reading.ledger.rejected += 1;
        if self.reading.rejects.len() < REJECTS_KEPT_MAX {
            self.reading.rejects.push(Reject { line, reason });
        }
    }

    fn head(&mut self, line: u64, header: &Header<'_>, options: &ReadOptions) {
        self.close();
        let at = match header.stamp.at(self.reading.order.order, options.year) {
            Ok(at) => at,
            Err(reason) => {
                self.open = Open::Rejected;
                return self.reject(line, reason);
            }
        };
        let (from, text) = match sender(header.rest) {
            Some((from, text)) => (Some(from), text),
            None => (None, header.rest),
        };
        self.open = Open::Message { origin: Origin { line, lines: 1, system: false }, at, from, text: text.to_owned() };
    }

    fn further(&mut self, number: u64, line: &str) {
        match &mut self.open {
            Open::Nothing => self.reject(number, RejectReason::NoHeader),
            Open::Rejected => self.reject(number, RejectReason::AfterRejected),
            Open::Message { origin, text, .. } => {
                // A line that was rejected in between (bad bytes) is not counted as this message's.
                origin.lines += 1;
                text.push('\n');
                text.push_str(line);
                self.reading.ledger.continuation += 1;
            }
        }
    }

    fn close(&mut self) {
        let Open::Message { mut origin, at, from, text } = core::mem::replace(&mut self.open, Open::Nothing) else {
            return;
        };
        let content = match &from {
            Some(_) => body::content(&text, self.files),
            None => Content::of(Kind::System, crate::glyph::trim_marks(&text)),
        };
        origin.system = content.kind == Kind::System;
        let first = if origin.system { &mut self.reading.ledger.system } else { &mut self.reading.ledger.message };
        *first += 1;
        let from = from.filter(|_| !origin.system);
        self.reading.records.push(Record { origin, at, from, content });
    }
}

/// The sender's shown name and what follows; `None` for what the app says.
fn sender(rest: &str) -> Option<(String, &str)> {
    let (name, text) = match rest.split_once(": ") {
        Some(found) => found,
        // An empty message, its last space cut.
        None => (rest.trim_end_matches(is_mark).strip_suffix(':')?, ""),
    };
    let name = plain(name);
    let name = name.strip_prefix('~').map_or(name.as_str(), str::trim_start);
    // "Ana changed the group's name to “Tiles: May”" has a colon within quotes.
    let quotes = name.chars().filter(|c| matches!(c, '"' | '“' | '”' | '„' | '«' | '»')).count();
    if name.is_empty() || name.chars().count() > SENDER_CHARS_MAX || quotes % 2 == 1 {
        return None;
    }
    Some((name.to_owned(), text))
}

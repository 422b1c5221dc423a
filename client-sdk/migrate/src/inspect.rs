//! What an import would do, for a person to read before it does it.

use core::fmt;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::ledger::{Ledger, Reject};
use crate::record::Kind;
use crate::source::{Skipped, Source};
use crate::whatsapp::{Form, OrderFound, Reading, customer_in};

/// Rejects that are printed one by one.
const REJECTS_SHOWN_MAX: usize = 20;

/// A summary of one export: numbers, senders' names, no texts. Serialises for `--json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Summary {
    /// The customer's name in the file's name.
    pub customer: Option<String>,
    /// The form of the headers, as a sample, `None` if there is none.
    pub form: Option<String>,
    /// The same in parts.
    pub form_parts: Option<Form>,
    /// The date order, in words.
    pub order: String,
    /// The same in parts.
    pub order_parts: OrderFound,
    /// Stamps as written and as read: first, middle, last.
    pub samples: Vec<Sample>,
    /// Time of the earliest record, on the phone's wall clock.
    pub first: Option<String>,
    /// Time of the latest.
    pub last: Option<String>,
    /// How often time runs backwards from one record to the next.
    pub inversions: u64,
    /// Records equal to an earlier one in time, sender and text; they are kept.
    pub repeated: u64,
    /// Senders, most messages first.
    pub senders: Vec<Sender>,
    /// Records by kind, in the order of [`Kind::ALL`], none with zero.
    pub kinds: Vec<KindCount>,
    /// Records that the app marks as edited.
    pub edited: u64,
    /// Media left out of the export.
    pub omitted: u64,
    /// Attachments named, and of these the ones whose file is missing.
    pub attachments: u64,
    /// Attachments whose file is missing.
    pub attachments_missing: u64,
    /// Media files in the archive.
    pub files: usize,
    /// Their size unpacked, bytes.
    pub files_bytes: u64,
    /// Media files in the archive that no message names.
    pub files_unnamed: usize,
    /// Files of the archive that were not taken.
    pub skipped: Vec<Skipped>,
    /// Lines that look like headers of another form, taken as text.
    pub foreign_headers: u64,
    /// Every line counted.
    pub ledger: Ledger,
    /// The lines that could not be read (the first ten thousand).
    pub rejects: Vec<Reject>,
}

/// A stamp as written and as read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sample {
    /// As written.
    pub written: String,
    /// As read.
    pub read: String,
}

/// A sender.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sender {
    /// The shown name.
    pub name: String,
    /// How many messages.
    pub messages: u64,
}

/// How many records are of a kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KindCount {
    /// The kind.
    pub kind: &'static str,
    /// How many.
    pub records: u64,
}

impl Summary {
    /// Of an open export and what was read from it.
    #[must_use]
    pub fn new(source: &Source, reading: &Reading) -> Self {
        let records = &reading.records;
        let mut senders: BTreeMap<&str, u64> = BTreeMap::new();
        let mut kinds: BTreeMap<Kind, u64> = BTreeMap::new();
        let mut seen = BTreeMap::new();
        let mut named = BTreeMap::new();
        for record in records {
            *kinds.entry(record.content.kind).or_default() += 1;
            if let Some(from) = &record.from {
                *senders.entry(from).or_default() += 1;
            }
            *seen.entry((record.at, &record.from, &record.content.body, record.content.kind)).or_insert(0_u64) += 1;
            if let Some(attachment) = &record.content.attachment {
                *named.entry(attachment.name.as_str()).or_insert(0_u64) += 1;
            }
        }
        let count =
            |of: &dyn Fn(&crate::record::Record) -> bool| records.iter().filter(|record| of(record)).count() as u64;
        let mut senders: Vec<Sender> =
            senders.into_iter().map(|(name, messages)| Sender { name: name.to_owned(), messages }).collect();
        senders.sort_by_key(|sender| core::cmp::Reverse(sender.messages));
        let attachment = |record: &crate::record::Record| record.content.attachment.clone();
        Self {
            customer: source.names.iter().find_map(|name| customer_in(name)),
            form: reading.form.map(|form| form.to_string()),
            form_parts: reading.form,
            order: reading.order.to_string(),
            order_parts: reading.order.clone(),
            samples: (reading.samples.iter())
                .map(|(written, read)| Sample { written: written.clone(), read: read.to_string() })
                .collect(),
            first: records.iter().map(|record| record.at).min().map(|at| at.to_string()),
            last: records.iter().map(|record| record.at).max().map(|at| at.to_string()),
            inversions: records.windows(2).filter(|pair| pair[1].at < pair[0].at).count() as u64,
            repeated: seen.values().map(|times| times - 1).sum(),
            senders,
            kinds: kinds.into_iter().map(|(kind, records)| KindCount { kind: kind.as_str(), records }).collect(),
            edited: count(&|record| record.content.edited),
            omitted: count(&|record| record.content.omitted),
            attachments: count(&|record| record.content.attachment.is_some()),
            attachments_missing: count(&|record| attachment(record).is_some_and(|named| named.file.is_none())),
            files: source.files.len(),
            files_bytes: source.files.values().map(|file| file.size).sum(),
            files_unnamed: source.files.keys().filter(|name| !named.contains_key(name.as_str())).count(),
            skipped: source.skipped.clone(),
            foreign_headers: reading.foreign_headers,
            ledger: reading.ledger,
            rejects: reading.rejects.clone(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, text: &dyn fmt::Display| writeln!(f, "{name:<14}{text}");
        let optional = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        line(f, "customer", &optional(&self.customer))?;
        line(f, "form", &optional(&self.form))?;
        line(f, "date order", &self.order)?;
        for sample in &self.samples {
            line(f, "", &format_args!("{}  is  {}", sample.written, sample.read))?;
        }
        line(f, "first", &optional(&self.first))?;
        line(f, "last", &optional(&self.last))?;
        line(f, "backwards", &format_args!("{} times", self.inversions))?;
        line(f, "repeated", &format_args!("{} (kept)", self.repeated))?;
        writeln!(f, "senders")?;
        for sender in &self.senders {
            writeln!(f, "{:>14}  {}", sender.messages, sender.name)?;
        }
        writeln!(f, "kinds")?;
        for count in &self.kinds {
            writeln!(f, "{:>14}  {}", count.records, count.kind)?;
        }
        line(f, "edited", &self.edited)?;
        line(
            f,
            "media",
            &format_args!(
                "{} named ({} missing), {} left out; {} files, {} bytes, {} that nobody names",
                self.attachments,
                self.attachments_missing,
                self.omitted,
                self.files,
                self.files_bytes,
                self.files_unnamed
            ),
        )?;
        if !self.skipped.is_empty() {
            line(f, "not taken", &format_args!("{} files of the archive", self.skipped.len()))?;
        }
        if self.foreign_headers > 0 {
            line(f, "pasted", &format_args!("{} lines look like headers of another form", self.foreign_headers))?;
        }
        writeln!(f, "lines")?;
        writeln!(f, "{}", self.ledger)?;
        for reject in self.rejects.iter().take(REJECTS_SHOWN_MAX) {
            writeln!(f, "{reject}")?;
        }
        if self.rejects.len() > REJECTS_SHOWN_MAX {
            writeln!(f, "… and {} more", self.ledger.rejected - REJECTS_SHOWN_MAX as u64)?;
        }
        Ok(())
    }
}

//! What holds for any bytes taken as an export: shared by the fuzz target and the tests.

use std::collections::BTreeSet;

use lockstep_migrate::inspect::Summary;
use lockstep_migrate::plan::{PlanOptions, TimeZone, plan, segments};
use lockstep_migrate::source::{MediaReading, Source};
use lockstep_migrate::whatsapp::{DateOrder, ReadOptions, Reading, read};
use lockstep_protocol::fact::Fact;
use lockstep_protocol::id::MemberId;
use lockstep_protocol::limits;

/// Bytes as a file: text or archive.
pub(crate) fn whatsapp(bytes: &[u8]) {
    if let Ok(source) = Source::from_bytes("WhatsApp Chat with Ana.txt", bytes, MediaReading::Hash) {
        whatsapp_source(&source);
    }
}

/// An open export: the ledger balances, ids grow, facts pass the checks that need nothing else, a rerun adds nothing.
pub(crate) fn whatsapp_source(source: &Source) {
    let undecided = read(&source.text, &source.files, &ReadOptions::default());
    check_reading(source, &undecided);
    let options = ReadOptions { date_order: Some(DateOrder::DayFirst), year: Some(2020) };
    let reading = read(&source.text, &source.files, &options);
    check_reading(source, &reading);
    let Some(customer) = reading.records.iter().find_map(|record| record.from.clone()) else { return };
    let mut options = PlanOptions::new([7; 32], TimeZone::UTC, MemberId(9));
    options.customer_senders.insert(customer);
    let planned = plan(&reading, &source.names, &options).expect("order and customer are given");
    assert!(planned.ledger.balances(), "{}", planned.ledger);
    let ids: Vec<_> = planned.message_ids().collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "ids grow");
    for fact in &planned.facts {
        fact.check(fact.document_kind()).unwrap_or_else(|code| panic!("{code:?}: {fact:?}"));
    }
    let mut count = 0;
    for segment in segments(&planned.facts) {
        let messages = segment.iter().filter(|fact| matches!(fact, Fact::Message(_))).count();
        assert!(matches!(segment[0], Fact::Message(_)) && messages <= limits::SEGMENT_OPEN_MESSAGES as usize);
        assert!(segment.iter().map(Fact::text_bytes).sum::<u32>() <= limits::SEGMENT_OPEN_TEXT_BYTES);
        assert!(segment.iter().map(Fact::ops).sum::<u32>() <= limits::SEGMENT_OPEN_OPS);
        count += segment.len();
    }
    assert_eq!(count, planned.facts.len());
    options.known = ids.iter().copied().collect();
    let again = plan(&reading, &source.names, &options).expect("as before");
    assert_eq!(again.facts, planned.facts);
    let (fresh, ledger) = again.fresh(&options.known);
    assert!(fresh.is_empty() && ledger.balances() && ledger.message == 0, "a rerun adds nothing: {ledger}");
    let (all, ledger) = again.fresh(&BTreeSet::new());
    assert!(all == planned.facts && ledger == planned.ledger);
}

fn check_reading(source: &Source, reading: &Reading) {
    assert!(reading.ledger.balances(), "{}", reading.ledger);
    let lines: u64 = reading.records.iter().map(|record| u64::from(record.origin.lines)).sum();
    assert_eq!(lines + reading.ledger.rejected, reading.ledger.lines);
    let summary = Summary::new(source, reading).to_string();
    assert!(summary.contains("balances") && !summary.contains("DOES NOT"));
}

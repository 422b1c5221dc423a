//! Each planted bug changes what a device does; without one the same script keeps its promise.
#![cfg(feature = "planted")]

use lockstep_client_core::planted::{ClientBug, Planted};

use crate::script::{Bench, run};

/// Bug, and a script in which it shows.
const SCRIPTS: &[(ClientBug, &str)] = &[
    (ClientBug::CursorMovedByAck, "online; write a; persist; ack ok; persist; rows"),
    (ClientBug::CursorSavedBeforeApply, "online; entries +a; persist; rows"),
    (ClientBug::SeqReuseAfterCrash, "online; write a; persist; crash; rows"),
    (ClientBug::OutboxReorder, "online; note a; edit a>b; persist; ack forked; persist"),
    (ClientBug::BackfillForgottenAfterCrash, "online; entries grant; persist; crash; rows"),
    (ClientBug::PushBeforePersist, "online; write a"),
    (ClientBug::OwnForkIgnored, "online; note a; persist; ack ok; persist; entries forked; note b; persist"),
    (ClientBug::RevokeKeepsCopy, "online; entries +a; entries revoke; persist; rows"),
    (
        ClientBug::OfferForgotten,
        "online; entries +a; persist; offline; epoch 2; catalogue; page differs; snapshot +b; fetched none; persist; rows",
    ),
    (
        ClientBug::EpochKeepsNonces,
        "online; note a; persist; ack ok; persist; offline; epoch 2; catalogue; page same; note b; persist",
    ),
    (ClientBug::NeverRefusalRetriedForever, "online; note a; persist; ack never; persist; rows"),
    (ClientBug::DuplicateNotConfirmed, "online; note a; persist; ack dup:5; persist"),
    (ClientBug::SeenIsNone, "online; entries +a; write b; persist"),
    (
        ClientBug::SnapshotDropsLiveFacts,
        "online; entries grant; lsn 40; entries +live; lsn 20; snapshot +old; fetched none; persist; rows",
    ),
    (ClientBug::OldGrantBelieved, "online; entries grant; entries grant; snapshot +stale; fetched none; persist; rows"),
    (ClientBug::EntriesOverHole, "online; entries +a; lsn 20; entries from=15 +b; persist; rows"),
    (
        ClientBug::UndoneKept,
        "online; entries import0:<a; open; snapshot-imported 0; parsed; fetched none; entries undo0; persist; rows",
    ),
    (ClientBug::ExpiredKept, "online; entries +a opened1; entries expired0; persist; rows"),
    (ClientBug::ShredIgnored, "online; entries +a; entries shredded; persist; rows"),
    (ClientBug::ArrivalNotShown, "online; entries s0+a; entries opened1 s1+b; persist; open; older"),
    (ClientBug::CaughtUpAtOnce, "behind; entries +a; persist"),
];

#[test]
fn every_bug_shows_in_its_script() {
    assert_eq!(SCRIPTS.len(), ClientBug::ALL.len());
    for (bug, script) in SCRIPTS {
        let mut bench = Bench::new(Planted::with(*bug));
        bench.script(script);
        assert_ne!(bench.log(), run(script), "{bug:?}");
    }
}

//! Damage and rare orders: unreadable rows and documents, rollbacks, restamped events, lost answers.

use expect_test::expect;
use lockstep_client_core::replica::Replica;
use lockstep_client_core::row::EventRow;
use lockstep_protocol::entry::{EntryBody, Mac, Resolution, Stamp, Verdict};
use lockstep_protocol::id::{DocumentId, Epoch, Lsn, MemberId, MessageId};

use crate::script::{CONVERSATION, run};

#[test]
fn a_new_stamp_of_an_event_replaces_the_old_one() {
    let document = DocumentId::segment(CONVERSATION, 0);
    let row = |epoch: u8, lsn: u64| EventRow {
        epoch: Epoch([epoch; 16]),
        stamp: Stamp { lsn: Lsn(lsn), at_ms: 1, member: MemberId(1), verdict: Verdict::Accepted, mac: Mac::default() },
        body: EntryBody::Resolved { document, message: MessageId([7; 16]), resolution: Resolution::Send },
    };
    let mut replica = Replica::empty(document);
    for (epoch, lsn, news) in [(1, 9, true), (1, 9, false), (2, 7, true), (2, 7, false)] {
        assert_eq!(replica.add_event(row(epoch, lsn)), news, "epoch {epoch} lsn {lsn}");
        assert_eq!(replica.digest(), Replica::from_rows(document, [], [row(1, 9)]).digest());
        assert_eq!(replica.events().collect::<Vec<_>>(), [&row(epoch, lsn)]);
    }
}

#[test]
fn nothing_of_a_broken_session_is_taken() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        note a
          persist 3
        persist
          push s0#1 opening a
          done
        ack ok
          persist 5
        persist
        note b
          persist 3
        persist
          push s0#2 b
          done
        ack gap:1
          persist 2
          disconnect
          offline
        persist
        online
          hello cursor=10 witness=11
          online
          push s0#1 opening b
          caughtup
    "#]]
    .assert_eq(&run("online; note a; persist; ack ok; persist; note b; persist; ack gap:1; persist; online"));
}

#[test]
fn a_push_acknowledged_after_a_new_grant_is_fetched() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        note a
          persist 3
        persist
          push s0#1 opening a
          done
        entries revoke grant
          notsent
          conversationgone
          persist 6
          fetch before=None
        ack ok
          persist 2
          fetch before=None
        persist
        snapshot +before
        fetched
        snapshot +after
          persist 4
        fetched
          persist 1
        persist
        rows
          cursor=12 witness=13 facts=1 conversations=1 assigned:[] not-sent:54:a [after sent]
    "#]]
    .assert_eq(&run(
        "online; note a; persist; entries revoke grant; ack ok; persist; snapshot +before; fetched; snapshot +after; \
         fetched; persist; rows",
    ));
}

#[test]
fn a_read_position_waits_for_its_message_and_is_tried_again() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        note a
          persist 3
        read a
          persist 1
        persist
          push s0#1 opening a
          done
          done Done
        ack ok
          persist 5
          mark a
        done busy
        wait 1000
          mark a
        done ok
          persist 1
    "#]]
    .assert_eq(&run("online; note a; read a; persist; ack ok; done busy; wait 1000; done ok"));
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        note a
          persist 3
        read a
          persist 1
        persist
          push s0#1 opening a
          done
          done Done
        ack never
          notsent
          persist 5
        persist
        offline
          offline
        online
          hello cursor=10 witness=10
          online
          caughtup
    "#]]
    .assert_eq(&run("online; note a; read a; persist; ack never; persist; offline; online"));
    expect![[r#"
        wall 3600000
        note a
          persist 3
        read a
          persist 1
        persist
          done
          done Done
        wall 0
        online
          hello cursor=10 witness=0
          online
          push s0#1 opening a
          caughtup
        ack ahead:0
          persist 4
        persist
          push s0#1 opening a
        ack ok
          persist 5
          mark a
    "#]]
    .assert_eq(&run("wall 3600000; note a; read a; persist; wall 0; online; ack ahead:0; persist; ack ok"));
}

#[test]
fn after_a_clock_ahead_the_newest_edit_stays_the_newest() {
    expect![[r#"
        wall 240000
        note a
          persist 3
        edit a>b
          persist 3
        persist
          done
          done Done
        online
          hello cursor=10 witness=0
          online
          push s0#1 opening a a>b
          caughtup
        ack ok ok
          persist 7
        edit a>c
          persist 3
        persist
          push s0#3 a>c
          done Done
        ack ahead:0
          persist 3
        persist
          push s0#1 opening a>c
        ack ok
          persist 5
        persist
        rows
          cursor=10 witness=13 facts=3 conversations=1 [c sent edited]
    "#]].assert_eq(&run("wall 240000; note a; edit a>b; persist; online; ack ok ok; edit a>c; persist; ack ahead:0; persist; ack ok; persist; rows"));
}

#[test]
fn a_view_goes_on_showing_a_message_of_an_older_segment() {
    expect![[r#"
        small
          connect
        online
          hello cursor=10 witness=0
          online
          caughtup
        note a
          persist 3
        persist
          push s0#1 opening a
          done
        entries opened1
          persist 2
        open
          load s0
          view [a pending]
          build s0 1
          done Done
        ack ok
          persist 5
          view =0 a sent
        persist
    "#]]
    .assert_eq(&run("small; online; note a; persist; entries opened1; open; ack ok; persist"));
}

#[test]
fn a_fetched_document_that_cannot_be_read_stops_nothing_else() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries grant
          persist 3
          fetch before=None
        persist
        snapshot bytes +x
          parse s0
        fetched none
        unparsed
          documentbroken
        wait 500
          fetch before=None
        snapshot bytes +x
          parse s0
        fetched none
        unparsed
          documentbroken
        wait 1000
          fetch before=None
        snapshot bytes +x
          parse s0
        fetched none
        unparsed
          documentbroken
        wait 2000
          fetch before=None
        snapshot bytes +x
          parse s0
        fetched none
        unparsed
          documentbroken
          persist 1
        persist
        rows
          cursor=11 witness=11 facts=0 conversations=1 []
    "#]]
    .assert_eq(&run(
        "online; entries grant; persist; snapshot bytes +x; fetched none; unparsed; wait 500; snapshot bytes +x; \
         fetched none; unparsed; wait 1000; snapshot bytes +x; fetched none; unparsed; wait 2000; snapshot bytes +x; \
         fetched none; unparsed; persist; rows",
    ));
}

#[test]
fn unreadable_rows_are_fetched_again() {
    expect![[r#"
        small
          connect
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries s0+a
          persist 4
        persist
        wait 0
        unreadable
        open
          load s0
          unreadable
        wait 1000
          load s0
          unreadable
        wait 1000
          load s0
          unreadable
        wait 1000
          load s0
          unreadable
          view []
          persist 3
          fetch before=Some(1)
          build s0 0
        persist
          done Done
        rows
          cursor=11 witness=11 facts=0 backfills=1 conversations=1 []
    "#]].assert_eq(&run(
        "small; online; entries s0+a; persist; wait 0; unreadable; open; wait 1000; wait 1000; wait 1000; persist; rows",
    ));
}

#[test]
fn an_enrolment_that_is_refused_ends() {
    expect![[r#"
        fresh
        enrol
          connect
          done Done
        challenge
          enrol phone
        refuse exists
          refused
          disconnect
        wait 300
          connect
        challenge
          hello cursor=0 witness=0
    "#]]
    .assert_eq(&run("fresh; enrol; challenge; refuse exists; wait 300; challenge"));
    expect![[r#"
        fresh
        enrol
          connect
          done Done
        challenge
          enrol phone
        refuse full-list
          refused
          disconnect
          stopped
        wait 60000
    "#]]
    .assert_eq(&run("fresh; enrol; challenge; refuse full-list; wait 60000"));
}

#[test]
fn a_silent_hub_is_noticed_while_typing() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        wait 20000
        type
          typing
          done Done
        wait 10000
          ping
        wait 20000
        type
          typing
          done Done
        wait 10000
          ping
        wait 20000
        type
          typing
          done Done
        wait 10000
          disconnect
          offline
    "#]]
    .assert_eq(&run(
        "online; wait 20000; type; wait 10000; wait 20000; type; wait 10000; wait 20000; type; wait 10000",
    ));
}

#[test]
fn what_describes_a_new_conversation_is_as_new_as_the_changes_that_came() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries revoke
          conversationgone
          persist 2
        entries assign:1 grant
          persist 3
          fetch before=None
        entries unassign:2
          persist 2
          fetch before=None
        described 12 1,2,3
        fetched none
        described 14 1,3
          persist 1
        snapshot
          persist 3
        fetched none
          persist 1
        persist
        rows
          cursor=14 witness=14 facts=0 conversations=1 assigned:[m1, m3] []
        entries assign:4
          persist 2
        persist
        rows
          cursor=15 witness=15 facts=0 conversations=1 assigned:[m1, m3, m4] []
    "#]].assert_eq(&run("online; entries revoke; entries assign:1 grant; entries unassign:2; described 12 1,2,3; fetched none; described 14 1,3; snapshot; fetched none; persist; rows; entries assign:4; persist; rows"));
}

//! What expired or was shredded goes from the device, at once or when it learns of it.

use expect_test::expect;

use crate::script::run;

#[test]
fn a_document_that_expired_goes_and_the_rest_stays() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +a s1+b opened1
          persist 6
        persist
        open
          view [b sent]
          build s1 1
          done Done
        rows
          cursor=13 witness=13 facts=2 conversations=1 [a sent, b sent]
        entries expired0
          persist 3
        persist
        rows
          cursor=14 witness=14 facts=1 conversations=1 [b sent]
        write new
          persist 3
          view +1 new pending
        persist
          push s1#1 opening new(seen b)
          done
        ack ok
          persist 5
          view =1 new sent
        persist
        rows
          cursor=14 witness=15 facts=2 conversations=1 [b sent, new sent]
    "#]].assert_eq(&run(
        "online; entries +a s1+b opened1; persist; open; rows; entries expired0; persist; rows; write new; persist; ack ok; \
         persist; rows",
    ));
}

#[test]
fn what_waits_for_a_document_that_expired_is_written_into_the_open_one() {
    expect![[r#"
        write mine
          persist 3
        persist
          done
        online
          hello cursor=10 witness=0
          online
          push s0#1 opening mine(seen -)
          caughtup
        entries +a opened1 expired0
          persist 6
          disconnect
          offline
        persist
        rows
          cursor=13 witness=13 facts=0 outbox=1 conversations=1 [mine pending]
    "#]]
    .assert_eq(&run("write mine; persist; online; entries +a opened1 expired0; persist; rows"));
    // Also where it is not known yet which one that is.
    expect![[r#"
        write mine
          persist 3
        persist
          done
        online
          hello cursor=10 witness=0
          online
          push s0#1 opening mine(seen -)
          caughtup
        entries expired0
          persist 5
          disconnect
          offline
        persist
        online
          hello cursor=11 witness=11
          online
          push s1#1 opening mine(seen -)
          caughtup
        entries opened3
          persist 2
        persist
        rows
          cursor=12 witness=12 facts=0 outbox=1 conversations=1 [mine pending]
    "#]]
    .assert_eq(&run("write mine; persist; online; entries expired0; persist; online; entries opened3; persist; rows"));
}

#[test]
fn what_was_read_before_it_expired_does_not_bring_it_back() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries grant
          persist 3
          fetch before=None
        persist
        snapshot bytes +a
          parse s0
        entries opened1 expired0
          persist 2
        persist
        parsed
        fetched none
          persist 1
        persist
        rows
          cursor=14 witness=14 facts=0 conversations=1 []
    "#]].assert_eq(&run(
        "online; entries grant; persist; snapshot bytes +a; entries opened1 expired0; persist; parsed; fetched none; persist; \
         rows",
    ));
}

#[test]
fn an_imported_segment_that_expired_is_gone_as_if_it_were_undone() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries import0:<a,b
          persist 3
        open
          view []
          fetch imported before=Some(1)
          done Done
        snapshot-imported 0
          parse i0
        parsed
          persist 5
          view +0 a imported
          view +1 b imported
          build i0 2
        fetched none
        persist
        entries old-import0
          drop i0
          persist 3
          view -0
          view -0
        persist
        rows
          cursor=12 witness=12 facts=0 conversations=1 []
    "#]].assert_eq(&run(
        "online; entries import0:<a,b; open; snapshot-imported 0; parsed; fetched none; persist; entries old-import0; persist; \
         rows",
    ));
}

#[test]
fn a_shredded_conversation_goes_with_what_is_not_sent() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +a
          persist 4
        persist
        write mine
          persist 3
        entries shredded
          notsent
          conversationgone
          persist 4
        persist
          done
        rows
          cursor=12 witness=12 facts=0 not-sent:54:mine(seen a) []
    "#]]
    .assert_eq(&run("online; entries +a; persist; write mine; entries shredded; persist; rows"));
}

#[test]
fn offers_of_a_shredded_conversation_go_with_the_catalogue_that_says_so() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +a
          persist 4
        persist
        offline
          offline
        epoch 2
        lsn 30
        catalogue
          hello cursor=11 witness=11
          epochchanged
          online
          persist 1
        page none
          conversationgone
          persist 2
          persist 3
          caughtup
        persist
        rows
          cursor=30 witness=30 facts=0 offers=1 []
        page shredded
          conversationgone
          persist 3
        persist
        rows
          cursor=30 witness=30 facts=0 []
    "#]]
    .assert_eq(&run("online; entries +a; persist; offline; epoch 2; lsn 30; catalogue; page none; persist; rows; \
         page shredded; persist; rows"));
}

//! Enrolment, loading and eviction, and a store that fails.

use expect_test::expect;

use crate::script::run;

#[test]
fn a_new_device_enrols_and_takes_the_catalogue() {
    expect![[r#"
        fresh
        write no
          done Rejected(ConversationUnknown)
        enrol
          connect
          done Done
        catalogue
          enrol phone
          online
          persist 1
        page differs
          persist 3
          fetch before=None
        snapshot bytes +old
          parse s0
        parsed
          persist 4
        fetched none
          persist 1
          caughtup
        persist
        rows
          cursor=10 witness=10 facts=1 conversations=1 [old sent]
        write hello
          persist 3
        persist
          push s0#1 opening hello(seen old)
          done
    "#]].assert_eq(&run("fresh; write no; enrol; catalogue; page differs; snapshot bytes +old; parsed; fetched none; persist; rows; write hello; persist"));
}

#[test]
fn a_lost_welcome_after_enrolling_is_made_up_for_by_hello() {
    expect![[r#"
        fresh
        enrol
          connect
          done Done
        challenge
          enrol phone
        offline
        wait 300
          connect
        challenge
          enrol phone
        refuse code
          refused
          disconnect
        wait 600
          connect
        challenge
          hello cursor=0 witness=0
    "#]]
    .assert_eq(&run("fresh; enrol; challenge; offline; wait 300; challenge; refuse code; wait 600; challenge"));
    expect![[r#"
        fresh
        enrol
          connect
          done Done
        challenge
          enrol phone
        refuse code
          refused
          disconnect
        wait 300
          connect
        challenge
          hello cursor=0 witness=0
        refuse device
          disconnect
          stopped
        wait 60000
    "#]]
    .assert_eq(&run("fresh; enrol; challenge; refuse code; wait 300; challenge; refuse device; wait 60000"));
}

#[test]
fn documents_are_loaded_when_needed_and_forgotten_when_durable() {
    expect![[r#"
        small
          connect
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries s0+a
          persist 4
        entries opened1 s1+b
          persist 4
        persist
        react a>x
          load s1
          load s0
          persist 3
        write c
          persist 3
        persist
          push s0#1 opening ax
          push s1#1 opening c(seen b)
          done Done
          done
        entries s0+d
          load s0
          persist 4
        persist
        open
          load s1
          view [b sent, c pending]
          build s1 2
          done Done
        older
          load s0
          view +0 a sent 1x
          view +2 d sent
          build s0 3
          done Done
        rows
          cursor=14 witness=14 facts=3 outbox=2 conversations=1 [a sent 1x, b sent, d sent, c pending]
    "#]].assert_eq(&run("small; online; entries s0+a; entries opened1 s1+b; persist; react a>x; write c; persist; entries s0+d; persist; open; older; rows"));
}

#[test]
fn a_store_that_fails_stops_the_device() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        write a
          persist 3
        store-fails
          disconnect
          offline
          done StoreFailed
        write b
          done StoreFailed
        wait 60000
    "#]]
    .assert_eq(&run("online; write a; store-fails; write b; wait 60000"));
}

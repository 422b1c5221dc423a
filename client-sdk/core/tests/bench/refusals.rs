//! The three classes of refusal.

use expect_test::expect;

use crate::script::run;

#[test]
fn again_sends_the_same_bytes_later() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        write a
          persist 3
        persist
          push s0#1 opening a(seen -)
          done
        ack busy
          persist 1
        wait 1000
          push s0#1 opening a(seen -)
        ack ok
          persist 5
        write b
          persist 3
        persist
          push s0#2 b(seen a)
          done
        ack gap:1
          persist 2
          disconnect
          offline
    "#]]
    .assert_eq(&run("online; write a; persist; ack busy; wait 1000; ack ok; write b; persist; ack gap:1"));
}

#[test]
fn a_fact_that_can_never_stand_takes_only_what_is_about_it_along() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        note a
          persist 3
        note b
          persist 3
        edit b>c
          persist 3
        note d
          persist 3
        persist
          push s0#1 opening a b b>c d
          done
          done
          done Done
          done
        ack ok
          persist 5
          push s0#2 b b>c d
        persist
        ack never
          notsent
          notsent
          persist 7
        persist
          push s0#1 opening d
        ack ok
          persist 5
        persist
        rows
          cursor=10 witness=12 facts=2 conversations=1 not-sent:51:b not-sent:51:b>c [a sent, d sent]
    "#]]
    .assert_eq(&run(
        "online; note a; note b; edit b>c; note d; persist; ack ok; persist; ack never; persist; ack ok; persist; rows",
    ));
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        note a
          persist 3
        note b
          persist 3
        persist
          push s0#1 opening a b
          done
          done
        ack forbidden
          notsent
          notsent
          persist 6
        persist
        rows
          cursor=10 witness=10 facts=0 conversations=1 not-sent:53:a not-sent:53:b []
    "#]]
    .assert_eq(&run("online; note a; note b; persist; ack forbidden; persist; rows"));
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
        retract a>x
          persist 3
        persist
          push s0#2 !a
          done Done
        ack key
          persist 2
        persist
        rows
          cursor=10 witness=11 facts=1 conversations=1 [a sent]
    "#]]
    .assert_eq(&run("online; note a; persist; ack ok; retract a>x; persist; ack key; persist; rows"));
}

#[test]
fn a_full_segment_moves_messages_and_what_is_about_them() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
        react hey>x
          persist 3
        note a
          persist 3
        edit a>b
          persist 3
        persist
          push s0#1 opening heyx a a>b
          done Done
          done
          done Done
        ack ok full:1
          persist 8
        persist
          push s1#1 opening a a>b
        ack ok ok
          persist 7
        persist
        rows
          cursor=11 witness=14 facts=4 conversations=1 [hey sent 1x, b sent edited]
    "#]].assert_eq(&run("online; entries +hey; react hey>x; note a; edit a>b; persist; ack ok full:1; persist; ack ok ok; persist; rows"));
}

#[test]
fn what_is_about_a_message_follows_it_into_the_open_segment() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
        react hey>x
          persist 3
        note a
          persist 3
        react a>y
          persist 3
        persist
          push s0#1 opening heyx a ay
          done Done
          done
          done Done
        ack full:1
          persist 6
        persist
          push s1#1 opening heyx
          push s0#1 opening a
        ack ok
          persist 5
        ack full:1
          persist 6
        persist
          push s1#1 opening a ay
        ack ok ok
          persist 7
        persist
        rows
          cursor=11 witness=14 facts=4 conversations=1 [hey sent 1x, a sent 1y]
    "#]]
    .assert_eq(&run(
        "online; entries +hey; react hey>x; note a; react a>y; persist; ack full:1; persist; ack ok; ack full:1; \
         persist; ack ok ok; persist; rows",
    ));
}

#[test]
fn a_fork_takes_a_new_chain() {
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
        ack forked
          persist 3
        persist
          push s0#1 opening a
        ack ok
          persist 5
        persist
        rows
          cursor=10 witness=11 facts=1 conversations=1 [a sent]
    "#]]
    .assert_eq(&run("online; note a; persist; ack forked; persist; ack ok; persist; rows"));
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
        entries forked
          chainforked
          persist 4
        note b
          persist 3
        persist
          push s0#1 opening b
          done
        ack ok
          persist 5
        persist
        rows
          cursor=12 witness=13 facts=3 conversations=1 [a sent, other-life sent, b sent]
    "#]]
    .assert_eq(&run(
        "online; note a; persist; ack ok; persist; entries forked; note b; persist; ack ok; persist; rows",
    ));
}

#[test]
fn a_fork_while_a_push_is_in_flight_asks_the_log_of_a_new_session() {
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
        entries forked
          chainforked
          persist 5
          disconnect
          offline
        persist
        online
          hello cursor=12 witness=12
          online
          push s0#1 opening b
          caughtup
        ack ok
          persist 5
        persist
        rows
          cursor=12 witness=13 facts=3 conversations=1 [a sent, b sent, other-life sent]
    "#]].assert_eq(&run("online; note a; persist; ack ok; persist; note b; persist; entries forked; persist; online; ack ok; persist; rows"));
}

#[test]
fn a_clock_ahead_gets_new_ids_with_references() {
    expect![[r#"
        wall 3600000
        note a
          persist 3
        edit a>b
          persist 3
        persist
          done
          done Done
        wall 0
        online
          hello cursor=10 witness=0
          online
          push s0#1 opening a a>b
          caughtup
        ack ahead:0
          persist 4
        persist
          push s0#1 opening a a>b
        ack ok ok
          persist 7
        persist
        rows
          cursor=10 witness=12 facts=2 conversations=1 [b sent edited]
    "#]]
    .assert_eq(&run(
        "wall 3600000; note a; edit a>b; persist; wall 0; online; ack ahead:0; persist; ack ok ok; persist; rows",
    ));
}

#[test]
fn a_duplicate_is_confirmed_and_fetched_if_it_is_not_here() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        note a
          persist 3
        note b
          persist 3
        persist
          push s0#1 opening a b
          done
          done
        ack dup:5
          persist 5
          fetch before=Some(1)
        persist
          push s0#1 opening b
        rows
          cursor=10 witness=11 facts=0 outbox=1 backfills=1 conversations=1 [b pending]
    "#]]
    .assert_eq(&run("online; note a; note b; persist; ack dup:5; persist; rows"));
}

#[test]
fn a_different_derivation_stops_pushing() {
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
        ack differs
          updateneeded
          persist 1
        note b
          persist 3
        persist
          done
        rows
          cursor=10 witness=10 facts=0 outbox=2 conversations=1 [a pending, b pending]
    "#]]
    .assert_eq(&run("online; note a; persist; ack differs; note b; persist; rows"));
}

#[test]
fn a_revoked_device_stops() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        refuse revoked
          disconnect
          offline
          stopped
        wait 60000
    "#]]
    .assert_eq(&run("online; refuse revoked; wait 60000"));
}

#[test]
fn an_act_is_answered_with_the_id_that_its_message_has_when_it_is_durable() {
    expect![[r#"
        wall 3600000
        online
          hello cursor=10 witness=0
          online
          caughtup
        note one
          persist 3
        persist
          push s0#1 opening one
          done
        note two
          persist 3
        ack ahead:0
          persist 4
        persist
          push s0#1 opening one two
          done
        rows
          cursor=10 witness=10 facts=0 outbox=2 conversations=1 [one pending, two pending]
    "#]]
    .assert_eq(&run("wall 3600000; online; note one; persist; note two; ack ahead:0; persist; rows"));
}

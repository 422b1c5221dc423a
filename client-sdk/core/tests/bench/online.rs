//! Writing, acks, entries, grants and views.

use expect_test::expect;

use crate::script::run;

#[test]
fn a_fact_is_durable_before_it_is_sent_and_stamped_once() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        write hello
          persist 3
        persist
          push s0#1 opening hello(seen -)
          done
        ack ok
          persist 5
        persist
        rows
          cursor=10 witness=11 facts=1 conversations=1 [hello sent]
        entries +hey
          persist 4
        persist
        write again
          persist 3
        persist
          push s0#2 again(seen hey)
          done
        rows
          cursor=12 witness=12 facts=2 outbox=1 conversations=1 [hello sent, hey sent, again pending]
    "#]]
    .assert_eq(&run(
        "online; write hello; persist; ack ok; persist; rows; entries +hey; persist; write again; persist; rows",
    ));
}

#[test]
fn caught_up_means_that_what_was_missed_has_come() {
    expect![[r#"
        behind
          hello cursor=10 witness=0
          online
        write hello
          persist 3
        persist
          push s0#1 opening hello(seen -)
          done
        ack ok
          persist 5
        entries +hey
          persist 4
          caughtup
        persist
        offline
          offline
        online
          hello cursor=12 witness=12
          online
          caughtup
    "#]]
    .assert_eq(&run("behind; write hello; persist; ack ok; entries +hey; persist; offline; online"));
}

#[test]
fn what_was_written_offline_is_sent_in_order() {
    expect![[r#"
        write one
          persist 3
        note two
          persist 3
        edit one>uno
          persist 3
        persist
          done
          done
          done Done
        online
          hello cursor=10 witness=0
          online
          push s0#1 opening one(seen -) two one>uno
          caughtup
        persist
        ack ok ok ok
          persist 9
        persist
        rows
          cursor=10 witness=13 facts=3 conversations=1 [uno sent edited, two sent]
    "#]]
    .assert_eq(&run("write one; note two; edit one>uno; persist; online; persist; ack ok ok ok; persist; rows"));
}

#[test]
fn a_crash_before_persisted_loses_only_what_was_never_sent() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        write lost
          persist 3
        crash
          connect
        persist
        rows
          cursor=10 witness=0 facts=0 conversations=1 []
        online
          hello cursor=10 witness=0
          online
          caughtup
        write kept
          persist 3
        persist
          push s0#1 opening kept(seen -)
          done
        crash
          connect
        online
          hello cursor=10 witness=0
          online
          push s0#1 opening kept(seen -)
          caughtup
        entries pushed
          load s0
          persist 5
        persist
        rows
          cursor=11 witness=11 facts=1 conversations=1 [kept sent]
    "#]].assert_eq(&run("online; write lost; crash; persist; rows; online; write kept; persist; crash; online; entries pushed; persist; rows"));
}

#[test]
fn a_lost_ack_is_made_up_for_by_the_log() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        write hello
          persist 3
        persist
          push s0#1 opening hello(seen -)
          done
        offline
          offline
        online
          hello cursor=10 witness=0
          online
          push s0#1 opening hello(seen -)
          caughtup
        entries pushed
          persist 5
        persist
        rows
          cursor=11 witness=11 facts=1 conversations=1 [hello sent]
    "#]]
    .assert_eq(&run("online; write hello; persist; offline; online; entries pushed; persist; rows"));
}

#[test]
fn entries_are_taken_only_at_the_cursor() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +a
          persist 4
        entries from=9 +b
          disconnect
          offline
        lsn 20
        online
          hello cursor=11 witness=11
          online
          caughtup
        entries from=15 +c
          disconnect
          offline
        persist
        rows
          cursor=11 witness=11 facts=1 conversations=1 [a sent]
    "#]]
    .assert_eq(&run("online; entries +a; entries from=9 +b; lsn 20; online; entries from=15 +c; persist; rows"));
}

#[test]
fn a_crash_between_entries_and_their_transaction_repeats_them() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +a
          persist 4
        crash
          connect
        rows
          cursor=10 witness=0 facts=0 conversations=1 []
        online
          hello cursor=10 witness=0
          online
          caughtup
        persist
        rows
          cursor=10 witness=0 facts=0 conversations=1 []
    "#]]
    .assert_eq(&run("online; entries +a; crash; rows; online; persist; rows"));
}

#[test]
fn a_view_shows_what_changes() {
    expect![[r#"
        open
          view []
          done Done
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
          view +0 hey sent
          build s0 1
        write hello
          persist 3
          view +1 hello pending
        persist
          push s0#1 opening hello(seen hey)
          done
        ack held
          collided
          persist 5
          view =1 hello held
        react hey>x
          persist 3
          view =0 hey sent 1x
        lease
          view lease Some(m2)
        wait 5000
          view lease None
        discard hello
          persist 2
          view =1 hello held resolving
        persist
          resolve Discard seen=-
          push s0#2 heyx
          done Done
          done Done
        done ok
          persist 1
          view =1 hello held
        persist
        rows
          cursor=11 witness=12 facts=2 outbox=1 conversations=1 [hey sent 1x, hello held]
    "#]].assert_eq(&run("open; online; entries +hey; write hello; persist; ack held; react hey>x; lease; wait 5000; discard hello; persist; done ok; persist; rows"));
}

#[test]
fn what_comes_while_the_worker_is_busy_or_soon_after_goes_into_one_job() {
    expect![[r#"
        open
          view []
          done Done
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +a
          persist 4
          view +0 a sent
          build s0 1
        entries +b
          persist 4
          view +1 b sent
        built
        entries +c
          persist 4
          view +2 c sent
        wait 100
          extend s0 2
        entries +d
          persist 4
          view +3 d sent
        built
        wait 100
          extend s0 1
        built
        wait 100
        entries +e
          persist 4
          view +4 e sent
          extend s0 1
        built
    "#]]
    .assert_eq(&run(
        "open; online; entries +a; entries +b; built; entries +c; wait 100; entries +d; built; wait 100; \
                     built; wait 100; entries +e; built",
    ));
}

#[test]
fn a_held_reply_is_sent_anyway_or_written_anew() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
        write one
          persist 3
        persist
          push s0#1 opening one(seen hey)
          done
        ack held
          collided
          persist 5
        write two
          persist 3
        persist
          push s0#2 two(seen hey)
          done
        ack held
          collided
          persist 5
        send-anyway one
          persist 2
        persist
          resolve Send seen=hey
          done Done
        done ok
          persist 1
        entries sent-anyway:one
          persist 4
        edit two>three
          persist 4
        persist
          resolve Discard seen=-
          push s0#3 three(seen one)
          done
        rows
          cursor=14 witness=14 facts=3 outbox=1 resolves=1 conversations=1 [hey sent, one sent-anyway, two held resolving, three pending]
    "#]].assert_eq(&run("online; entries +hey; write one; persist; ack held; write two; persist; ack held; send-anyway one; persist; done ok; entries sent-anyway:one; edit two>three; persist; rows"));
}

#[test]
fn a_refused_resolution_stays_or_ends() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        write one
          persist 3
        persist
          push s0#1 opening one(seen -)
          done
        ack held
          collided
          persist 5
        send-anyway one
          persist 2
        persist
          resolve Send seen=-
          done Done
        done busy
        wait 1000
          resolve Send seen=-
        done collides
          resolverefused
          persist 1
        persist
        rows
          cursor=10 witness=11 facts=1 conversations=1 [one held]
        discard one
          persist 2
        persist
          resolve Discard seen=-
          done Done
        done resolved
          persist 1
        persist
        rows
          cursor=10 witness=11 facts=1 conversations=1 [one held]
    "#]].assert_eq(&run("online; write one; persist; ack held; send-anyway one; persist; done busy; wait 1000; done collides; persist; rows; discard one; persist; done resolved; persist; rows"));
}

#[test]
fn a_grant_is_backfilled_and_a_newer_grant_supersedes_it() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries grant
          persist 3
          fetch before=None
        snapshot +old
          persist 4
        entries +live
          persist 4
        fetched 0
          persist 1
        persist
        rows
          cursor=13 witness=13 facts=2 conversations=1 [old sent, live sent]
    "#]]
    .assert_eq(&run("online; entries grant; snapshot +old; entries +live; fetched 0; persist; rows"));
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries grant
          persist 3
          fetch before=None
        entries grant
          persist 3
          fetch before=None
        snapshot +stale
        fetched none
        persist
        rows
          cursor=12 witness=12 facts=0 backfills=1 conversations=1 []
        snapshot bytes +fresh
          parse s0
        fetched none
        parsed
          persist 4
          persist 1
        persist
        rows
          cursor=12 witness=12 facts=1 conversations=1 [fresh sent]
    "#]].assert_eq(&run("online; entries grant; entries grant; snapshot +stale; fetched none; persist; rows; snapshot bytes +fresh; fetched none; parsed; persist; rows"));
}

#[test]
fn a_backfill_resumes_after_a_crash() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries grant
          persist 3
          fetch before=None
        persist
        crash
          connect
        online
          hello cursor=11 witness=11
          online
          fetch before=None
        snapshot +old
          persist 4
        persist
        fetched 7
          persist 1
          fetch before=Some(7)
        persist
        crash
          connect
        rows
          cursor=11 witness=11 facts=1 backfills=1 conversations=1 [old sent]
        online
          hello cursor=11 witness=11
          online
          fetch before=Some(7)
    "#]].assert_eq(&run("online; entries grant; persist; crash; online; snapshot +old; persist; fetched 7; persist; crash; rows; online"));
}

#[test]
fn a_revocation_deletes_the_copy_and_keeps_unsent_text() {
    expect![[r#"
        open
          view []
          done Done
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
          view +0 hey sent
          build s0 1
        write unsent
          persist 3
          view +1 unsent pending
        entries revoke
          notsent
          drop s0
          view closed
          conversationgone
          persist 4
        persist
          done
        rows
          cursor=12 witness=12 facts=0 not-sent:54:unsent(seen hey) []
    "#]]
    .assert_eq(&run("open; online; entries +hey; write unsent; entries revoke; persist; rows"));
}

#[test]
fn typing_is_told_rarely_and_reading_once_a_session() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
        type
          typing
          done Done
        wait 1000
        type
          done Done
        wait 1000
        type
          typing
          done Done
        read hey
          persist 1
          mark hey
        persist
          done Done
        offline
          offline
        online
          hello cursor=11 witness=11
          online
          mark hey
          caughtup
    "#]]
    .assert_eq(&run(
        "online; entries +hey; type; wait 1000; type; wait 1000; type; read hey; persist; offline; online",
    ));
}

#[test]
fn a_silent_connection_is_dropped_after_two_pings() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        wait 30000
          ping
        wait 30000
          ping
        wait 30000
          disconnect
          offline
        wait 30000
          connect
    "#]]
    .assert_eq(&run("online; wait 30000; wait 30000; wait 30000; wait 30000"));
}

//! Catalogues and epoch changes.

use expect_test::expect;

use crate::script::run;

#[test]
fn a_catalogue_deletes_what_it_does_not_list_and_fetches_what_differs() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
        write unsent
          persist 3
        persist
          push s0#1 opening unsent(seen hey)
          done
        offline
          offline
        lsn 30
        catalogue
          hello cursor=11 witness=11
          online
        page none
          notsent
          conversationgone
          persist 4
          caughtup
        persist
        rows
          cursor=30 witness=30 facts=0 not-sent:54:unsent(seen hey) []
    "#]]
    .assert_eq(&run(
        "online; entries +hey; write unsent; persist; offline; lsn 30; catalogue; page none; persist; rows",
    ));
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
        persist
        offline
          offline
        lsn 30
        catalogue
          hello cursor=11 witness=11
          online
        page same
          persist 2
          caughtup
        persist
        rows
          cursor=30 witness=30 facts=1 conversations=1 [hey sent]
    "#]]
    .assert_eq(&run("online; entries +hey; persist; offline; lsn 30; catalogue; page same; persist; rows"));
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        lsn 30
        offline
          offline
        catalogue
          hello cursor=10 witness=0
          online
        write now
          persist 3
        persist
          done
        page differs
          persist 3
          fetch before=None
          push s0#1 opening now(seen -)
        snapshot bytes +old
          parse s0
        parsed
          persist 4
        fetched none
          persist 1
          caughtup
        persist
        rows
          cursor=30 witness=30 facts=1 outbox=1 conversations=1 [now pending, old sent]
    "#]].assert_eq(&run("online; lsn 30; offline; catalogue; write now; persist; page differs; snapshot bytes +old; parsed; fetched none; persist; rows"));
}

#[test]
fn a_new_epoch_offers_what_the_hub_lost_and_writes_the_rest_again() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey +lost
          persist 5
        note mine
          persist 3
        persist
          push s0#1 opening mine
          done
        ack ok
          persist 5
        note pending
          persist 3
        persist
          push s0#2 pending
          done
        offline
          offline
        epoch 2
        lsn 11
        catalogue
          hello cursor=12 witness=13
          epochchanged
          online
          persist 2
        page differs
          persist 3
          fetch before=None
        persist
        snapshot +old
          persist 7
        fetched none
          persist 1
          offer [#11, #12, #13]
          caughtup
        persist
        rows
          cursor=11 witness=11 facts=1 outbox=1 offers=3 conversations=1 [old sent, pending pending]
        done known readmitted readmitted
          persist 1
          persist 2
        persist
          push s0#1 opening pending
        rows
          cursor=11 witness=12 facts=1 outbox=1 offers=3 conversations=1 [old sent, pending pending]
        entries +more
          persist 6
        persist
        rows
          cursor=13 witness=13 facts=2 outbox=1 conversations=1 [old sent, more sent, pending pending]
    "#]].assert_eq(&run("online; entries +hey +lost; note mine; persist; ack ok; note pending; persist; offline; epoch 2; lsn 11; catalogue; page differs; persist; snapshot +old; fetched none; persist; rows; done known readmitted readmitted; persist; rows; entries +more; persist; rows"));
}

#[test]
fn a_crash_in_an_epoch_change_resumes_it() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
        note pending
          persist 3
        persist
          push s0#1 opening pending
          done
        offline
          offline
        epoch 2
        lsn 11
        catalogue
          hello cursor=11 witness=11
          epochchanged
          online
          persist 2
        persist
        crash
          connect
        catalogue
          hello cursor=11 witness=11
          online
        page differs
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
          load s0
          persist 5
        fetched none
          persist 1
          offer [#11]
          caughtup
        persist
        crash
          connect
        rows
          cursor=11 witness=11 facts=1 outbox=1 offers=1 conversations=1 [old sent, pending pending]
        online
          hello cursor=11 witness=11
          online
          offer [#11]
          caughtup
        done known
          persist 1
          persist 2
        persist
          push s0#1 opening pending
        rows
          cursor=11 witness=12 facts=1 outbox=1 offers=1 conversations=1 [old sent, pending pending]
    "#]].assert_eq(&run("online; entries +hey; note pending; persist; offline; epoch 2; lsn 11; catalogue; persist; crash; catalogue; page differs; persist; crash; online; snapshot +old; fetched none; persist; crash; rows; online; done known; persist; rows"));
}

#[test]
fn a_conversation_that_the_restored_hub_lacks_is_kept_as_offers() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
        note pending
          persist 3
        persist
          push s0#1 opening pending
          done
        offline
          offline
        epoch 2
        lsn 11
        catalogue
          hello cursor=11 witness=11
          epochchanged
          online
          persist 2
        page none
          notsent
          conversationgone
          persist 4
          persist 3
          caughtup
        persist
        rows
          cursor=11 witness=11 facts=0 offers=1 not-sent:54:pending []
    "#]]
    .assert_eq(&run(
        "online; entries +hey; note pending; persist; offline; epoch 2; lsn 11; catalogue; page none; persist; rows",
    ));
}

#[test]
fn facts_behind_a_hole_of_a_lost_log_become_offers() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries grant
          persist 3
          fetch before=None
        entries missed+a +b
          persist 4
        persist
        offline
          offline
        epoch 2
        lsn 11
        catalogue
          hello cursor=13 witness=13
          epochchanged
          online
          persist 1
        page bare
          persist 3
          fetch before=None
        persist
        fetched none
          persist 5
          offer [#13]
          caughtup
        persist
        rows
          cursor=11 witness=11 facts=0 offers=1 conversations=1 []
    "#]].assert_eq(&run("online; entries grant; entries missed+a +b; persist; offline; epoch 2; lsn 11; catalogue; page bare; persist; fetched none; persist; rows"));
}

#[test]
fn an_offer_about_a_message_that_is_not_back_yet_waits_for_it() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        note mine
          persist 3
        edit mine>edited
          persist 3
        persist
          push s0#1 opening mine mine>edited
          done
          done Done
        ack ok ok
          persist 7
        persist
        offline
          offline
        epoch 2
        lsn 10
        catalogue
          hello cursor=10 witness=12
          epochchanged
          online
          persist 2
        page bare
          persist 3
          fetch before=None
        persist
        fetched none
          persist 6
          offer [#11, #12]
          caughtup
        persist
        done known target
          persist 1
        note on
          persist 3
        persist
          push s0#1 opening on
          done
        rows
          cursor=10 witness=10 facts=0 outbox=1 offers=1 conversations=1 [on pending]
        entries back+mine
          persist 3
          offer [#12]
        persist
        rows
          cursor=11 witness=11 facts=1 outbox=1 offers=1 conversations=1 [mine sent, on pending]
    "#]].assert_eq(&run("online; note mine; edit mine>edited; persist; ack ok ok; persist; offline; epoch 2; lsn 10; catalogue; page bare; persist; fetched none; persist; done known target; note on; persist; rows; entries back+mine; persist; rows"));
}

#[test]
fn a_hub_that_cannot_vouch_for_the_cursor_is_offered_what_it_lacks_before_anything_is_pushed() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries +hey
          persist 4
        persist
        offline
          offline
        lsn 30
        catalogue
          hello cursor=11 witness=11
          online
        page differs
          persist 3
          fetch before=None
        write now
          persist 3
        persist
          done
        snapshot +old
          persist 5
        fetched none
          persist 1
          offer [#11]
          caughtup
        done readmitted
          persist 1
          push s0#1 opening now(seen hey)
        persist
        rows
          cursor=30 witness=31 facts=1 outbox=1 offers=1 conversations=1 [now pending, old sent]
    "#]].assert_eq(&run("online; entries +hey; persist; offline; lsn 30; catalogue; page differs; write now; persist; snapshot +old; fetched none; done readmitted; persist; rows"));
}

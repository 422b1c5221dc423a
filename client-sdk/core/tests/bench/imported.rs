//! Imported segments: known at once, held when somebody wants to see them, never written into.

use expect_test::expect;

use crate::script::run;

#[test]
fn a_conversation_that_was_only_imported_shows_its_newest_segment() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries import0:<a,b import1:<c,d
          persist 4
        persist
        rows
          cursor=12 witness=12 facts=0 conversations=1 []
        open
          view []
          fetch imported before=Some(2)
          done Done
        snapshot-imported 1
          parse i1
        parsed
          persist 5
          view +0 c imported
          view +1 d imported
          build i1 2
        fetched 1
        persist
        rows
          cursor=12 witness=12 facts=2 conversations=1 [c imported, d imported]
        older
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
        rows
          cursor=12 witness=12 facts=4 conversations=1 [a imported, b imported, c imported, d imported]
        older
          done Done
    "#]]
    .assert_eq(&run(
        "online; entries import0:<a,b import1:<c,d; persist; rows; open; snapshot-imported 1; parsed; fetched 1; \
         persist; rows; older; snapshot-imported 0; parsed; fetched none; persist; rows; older",
    ));
}

#[test]
fn what_members_make_of_imported_messages_goes_into_the_open_segment() {
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
        react a>+
          persist 3
          view =0 a imported 1+
          build s0 1
        edit b>better
          persist 3
          view =1 better imported edited
        retract b>wrong
          persist 3
          view =1 better imported edited retracted
        edit a>mine
          done Rejected(TargetForbidden)
        write new
          persist 3
          view +2 new pending
        persist
          push s0#1 opening a+ b>better !b new(seen -)
          done Done
          done Done
          done Done
          done
        ack ok ok ok ok
          persist 11
          view =2 new sent
        persist
        read a
          persist 1
          mark a
        persist
          done Done
        rows
          cursor=11 witness=15 facts=6 conversations=1 [a imported 1+, better imported edited retracted, new sent]
    "#]].assert_eq(&run(
        "online; entries import0:<a,b; open; snapshot-imported 0; parsed; fetched none; persist; react a>+; \
         edit b>better; retract b>wrong; edit a>mine; write new; persist; ack ok ok ok ok; persist; read a; persist; rows",
    ));
}

#[test]
fn an_undone_import_is_gone_with_what_was_held_of_it() {
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
        rows
          cursor=11 witness=11 facts=2 conversations=1 [a imported, b imported]
        entries undo0
          drop i0
          persist 3
          view -0
          view -0
        persist
        rows
          cursor=12 witness=12 facts=0 conversations=1 []
        entries import1:<a,b
          persist 3
          fetch imported before=Some(2)
        snapshot-imported 1
          parse i1
        parsed
          persist 5
          view +0 a imported
          view +1 b imported
          build i1 2
        fetched none
        persist
        rows
          cursor=13 witness=13 facts=2 conversations=1 [a imported, b imported]
    "#]].assert_eq(&run(
        "online; entries import0:<a,b; open; snapshot-imported 0; parsed; fetched none; persist; rows; \
         entries undo0; persist; rows; entries import1:<a,b; snapshot-imported 1; parsed; fetched none; persist; rows",
    ));
}

#[test]
fn a_document_that_is_not_what_was_announced_is_not_taken() {
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
        snapshot-imported 0 other
          parse i0
        parsed
          documentbroken
        fetched none
        persist
        rows
          cursor=11 witness=11 facts=0 conversations=1 []
        wait 5000
          fetch imported before=Some(1)
        snapshot-imported 0
          parse i0
        parsed
          persist 5
          view +0 a imported
          view +1 b imported
          build i0 2
        fetched none
        persist
        rows
          cursor=11 witness=11 facts=2 conversations=1 [a imported, b imported]
    "#]].assert_eq(&run(
        "online; entries import0:<a,b; open; snapshot-imported 0 other; parsed; fetched none; persist; rows; wait 5000; \
         snapshot-imported 0; parsed; fetched none; persist; rows",
    ));
}

#[test]
fn a_grant_and_a_catalogue_bring_the_list() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries import0:<a import1:<b
          persist 4
        persist
        entries grant
          persist 3
          fetch before=None
        persist
        listing 1
          persist 2
        fetched none
          persist 1
        persist
        rows
          cursor=13 witness=13 facts=0 conversations=1 []
        open
          view []
          fetch imported before=Some(2)
          done Done
        snapshot-imported 1
          parse i1
        parsed
          persist 4
          view +0 b imported
          build i1 1
        fetched none
        persist
        rows
          cursor=13 witness=13 facts=1 conversations=1 [b imported]
        offline
          offline
        catalogue
          hello cursor=13 witness=13
          online
        page same
          view markers 0
          persist 2
          caughtup
        persist
        rows
          cursor=13 witness=13 facts=1 conversations=1 [b imported]
        offline
          offline
        epoch 2
        catalogue
          hello cursor=13 witness=13
          epochchanged
          online
          persist 1
        page differs
          view markers 0
          drop i1
          persist 4
          fetch before=None
          view -0
        persist
        rows
          cursor=13 witness=13 facts=0 backfills=1 conversations=1 []
    "#]].assert_eq(&run(
        "online; entries import0:<a import1:<b; persist; entries grant; persist; listing 1; fetched none; persist; rows; \
         open; snapshot-imported 1; parsed; fetched none; persist; rows; offline; catalogue; page same; persist; rows; \
         offline; epoch 2; catalogue; page differs; persist; rows",
    ));
}

#[test]
fn an_import_into_a_conversation_that_is_not_described_yet_leaves_it_to_be_described() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries revoke
          conversationgone
          persist 2
        entries grant
          persist 3
          fetch before=None
        entries import0:<a import1:<b
          persist 6
          fetch before=None
        entries undo1
          persist 3
          fetch before=None
        described 12 1,2
        fetched none
        described 14 1,2
        fetched none
        persist
        listing 0
          persist 1
        fetched none
          persist 1
        persist
        rows
          cursor=15 witness=15 facts=0 conversations=1 []
        open
          view []
          fetch imported before=Some(1)
          done Done
        snapshot-imported 0
          parse i0
        parsed
          persist 4
          view +0 a imported
          build i0 1
        persist
        rows
          cursor=15 witness=15 facts=1 conversations=1 [a imported]
    "#]]
    .assert_eq(&run(
        "online; entries revoke; entries grant; entries import0:<a import1:<b; entries undo1; described 12 1,2; \
         fetched none; described 14 1,2; fetched none; persist; listing 0; fetched none; persist; rows; \
         open; snapshot-imported 0; parsed; persist; rows",
    ));
}

#[test]
fn what_is_about_an_imported_message_is_offered_again_once_that_is_imported_again() {
    expect![[r#"
        online
          hello cursor=10 witness=0
          online
          caughtup
        entries import0:<a
          persist 3
        open
          view []
          fetch imported before=Some(1)
          done Done
        snapshot-imported 0
          parse i0
        parsed
          persist 4
          view +0 a imported
          build i0 1
        fetched none
        persist
        react a>+
          persist 3
          view =0 a imported 1+
          build s0 1
        persist
          push s0#1 opening a+
          done Done
        ack ok
          persist 5
        persist
        offline
          offline
        epoch 2
        catalogue
          hello cursor=11 witness=12
          epochchanged
          online
          persist 2
        page bare
          view markers 0
          drop i0
          persist 4
          fetch before=None
          view -0
        persist
        fetched none
          persist 5
          offer [#12]
          caughtup
        persist
        done target
        entries +b
          persist 4
          view +0 b sent
        entries import0:<a
          persist 3
          fetch imported before=Some(1)
          offer [#12]
        persist
    "#]]
    .assert_eq(&run(
        "online; entries import0:<a; open; snapshot-imported 0; parsed; fetched none; persist; react a>+; persist; \
         ack ok; persist; offline; epoch 2; catalogue; page bare; persist; fetched none; persist; done target; \
         entries +b; entries import0:<a; persist",
    ));
}

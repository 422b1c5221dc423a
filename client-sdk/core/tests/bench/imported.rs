//! Imported segments: known at once, held when somebody wants to see them, never written into.

use expect_test::expect;

use crate::script::run;

#[test]
fn a_conversation_that_was_only_imported_shows_its_newest_segment() {
    expect![[""]].assert_eq(&run(
        "online; entries import0:<a,b import1:<c,d; persist; rows; open; snapshot-imported 1; parsed; fetched 1; \
         persist; rows; older; snapshot-imported 0; parsed; fetched none; persist; rows; older",
    ));
}

#[test]
fn what_members_make_of_imported_messages_goes_into_the_open_segment() {
    expect![[""]].assert_eq(&run(
        "online; entries import0:<a,b; open; snapshot-imported 0; parsed; fetched none; persist; react a>+; \
         edit b>better; retract b>wrong; edit a>mine; write new; persist; ack ok ok ok ok; persist; read a; persist; rows",
    ));
}

#[test]
fn an_undone_import_is_gone_with_what_was_held_of_it() {
    expect![[""]].assert_eq(&run(
        "online; entries import0:<a,b; open; snapshot-imported 0; parsed; fetched none; persist; rows; \
         entries undo0; persist; rows; entries import1:<a,b; snapshot-imported 1; parsed; fetched none; persist; rows",
    ));
}

#[test]
fn a_document_that_is_not_what_was_announced_is_not_taken() {
    expect![[""]].assert_eq(&run(
        "online; entries import0:<a,b; open; snapshot-imported 0 other; parsed; persist; rows; wait 60000; \
         snapshot-imported 0; parsed; fetched none; persist; rows",
    ));
}

#[test]
fn a_grant_and_a_catalogue_bring_the_list() {
    expect![[""]].assert_eq(&run(
        "online; entries import0:<a import1:<b; persist; entries grant; persist; listing 1; fetched none; persist; rows; \
         open; snapshot-imported 1; parsed; fetched none; persist; rows; offline; catalogue; page same; persist; rows; \
         offline; epoch 2; catalogue; page differs; persist; rows",
    ));
}

//! The bodies of the fuzz targets: the very files with which ordinary tests replay the corpora.
#![allow(dead_code, reason = "shared with the protocol's tests, each of which uses a part")]

#[path = "../../../protocol/tests/support/bodies.rs"]
mod bodies;
#[path = "../../../protocol/tests/support/frames.rs"]
mod frames;
#[path = "../../../protocol/tests/support/history.rs"]
mod history;
#[path = "../../../client-sdk/migrate/tests/support/bodies.rs"]
mod migrate;
#[path = "../../../protocol/tests/support/source.rs"]
mod source;
#[path = "../../../server/words/tests/support/bodies.rs"]
mod words;

/// See `frame_decode` in the protocol's `tests/support/frames.rs`.
pub fn frame_decode(bytes: &[u8]) {
    frames::frame_decode(bytes);
}

/// See `fact_apply` in the protocol's `tests/support/bodies.rs`.
pub fn fact_apply(bytes: &[u8]) {
    bodies::fact_apply(bytes);
}

/// See `whatsapp` in the migration's `tests/support/bodies.rs`.
pub fn whatsapp(bytes: &[u8]) {
    migrate::whatsapp(bytes);
}

/// See `words_fold` in the words' `tests/support/bodies.rs`.
pub fn words_fold(bytes: &[u8]) {
    words::words_fold(bytes);
}

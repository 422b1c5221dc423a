//! PROTOCOL.md says what the code does: its tables are those of the source, to the last word.
//!
//! `UPDATE_VECTORS=1 cargo test -p lockstep-protocol --features documents --test protocol_text` writes them anew.
#![cfg(feature = "documents")]
#![allow(clippy::disallowed_methods, reason = "tests read files and their number of cases; the crate does not")]

#[allow(dead_code, reason = "shared with the fuzz targets and the other tests, each of which uses a part")]
mod support {
    pub(crate) mod samples;
    pub(crate) mod tables;
}

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::path::PathBuf;

use lockstep_protocol::codec;
use lockstep_protocol::refusal::RefusalCode;
use support::samples;
use support::tables::{Item, items, limits};

const FROM: &str = "<!-- From here on: written by tests/protocol_text.rs from the source. -->\n";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("PROTOCOL.md")
}

fn text() -> String {
    std::fs::read_to_string(path()).expect("PROTOCOL.md is there")
}

/// The tables as the source has them.
fn tables() -> String {
    let mut text = String::new();
    let items = items();
    let parts: [(&str, &[&str]); 3] = [
        ("Table 1: frames from a device", &["DeviceFrame"]),
        ("Table 2: frames from the hub", &["HubFrame"]),
        ("Table 3: what frames are made of", &[]),
    ];
    for (title, enums) in parts {
        writeln!(text, "\n## {title}").expect("writing to a string cannot fail");
        for item in items.iter().filter(|item| enums.contains(&item.name()) || (enums.is_empty() && !item.is_frame())) {
            item.write(&mut text);
        }
    }
    text.push_str("\n## Table 4: refusal codes\n\n| number | name | class | meaning |\n|---|---|---|---|\n");
    for code in RefusalCode::ALL {
        writeln!(text, "| {} | {code:?} | {:?} | {code} |", code.number(), code.class())
            .expect("writing to a string cannot fail");
    }
    text.push_str("\n## Table 5: limits\n\n| name | value | meaning |\n|---|---|---|\n");
    for (name, value, meaning) in limits() {
        writeln!(text, "| {name} | {value} | {meaning} |").expect("writing to a string cannot fail");
    }
    text
}

#[test]
fn tables_are_those_of_the_source() {
    let text = text();
    let (prose, stored) = text.split_once(FROM).expect("PROTOCOL.md has the line from which it is written");
    let tables = tables();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(path(), format!("{prose}{FROM}{tables}")).expect("PROTOCOL.md can be written");
        return;
    }
    for (stored, line) in stored.lines().zip(tables.lines()) {
        assert_eq!(stored, line, "PROTOCOL.md is not what the source says");
    }
    assert_eq!(stored.len(), tables.len(), "PROTOCOL.md is not what the source says");
}

/// Rows of the table below a heading, as cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = tables();
    let (_, below) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let rows = below.lines().skip_while(|line| !line.starts_with('|')).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The tables come from the source's text; this holds them against what the compiled code does.
#[test]
fn tables_are_those_of_the_code() {
    fn used<T: Debug>(frames: Vec<(&'static str, T)>, encode: impl Fn(&T) -> Vec<u8>) -> BTreeSet<Vec<String>> {
        let rows = frames.iter().map(|(_, frame)| {
            let name = format!("{frame:?}");
            let name = name.split(|c: char| !c.is_alphanumeric()).next().expect("a name").to_owned();
            vec![encode(frame)[1].to_string(), name]
        });
        rows.collect()
    }
    let told = |heading| rows(heading).into_iter().map(|row| row[..2].to_vec()).collect::<BTreeSet<_>>();
    assert_eq!(told("### DeviceFrame"), used(samples::device_frames(), codec::encode));
    assert_eq!(told("### HubFrame"), used(samples::hub_frames(), codec::encode));
    let entries = samples::entries().into_iter().map(|(name, entry)| (name, entry.body)).collect();
    assert_eq!(told("### EntryBody"), used(entries, codec::encode));

    let codes: BTreeMap<u16, Vec<String>> =
        rows("## Table 4: refusal codes").into_iter().map(|row| (row[0].parse().expect("a number"), row)).collect();
    assert_eq!(codes.len(), RefusalCode::ALL.len());
    for code in RefusalCode::ALL {
        let row = &codes[&code.number()];
        assert_eq!((&row[1], &row[2]), (&format!("{code:?}"), &format!("{:?}", code.class())));
    }
    // The evaluator of `limits.rs` is checked by a few that the compiler evaluated.
    let limits: BTreeMap<String, String> =
        rows("## Table 5: limits").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    use lockstep_protocol::limits as l;
    for (name, value) in [
        ("FRAME_BYTES_MAX", l::FRAME_BYTES_MAX as u64),
        ("SESSION_QUEUE_BYTES_MAX", l::SESSION_QUEUE_BYTES_MAX as u64),
        ("ACK_RESULTS_MAX", l::ACK_RESULTS_MAX as u64),
        ("MEDIA_SIZE_BYTES_MAX", l::MEDIA_SIZE_BYTES_MAX),
        ("ULID_TIME_MS_MIN", l::ULID_TIME_MS_MIN),
        ("PROTOCOL_VERSION", u64::from(l::PROTOCOL_VERSION)),
    ] {
        assert_eq!(limits[name], value.to_string(), "{name}");
    }
}

#[test]
fn every_number_is_given_once() {
    for item in items() {
        let numbers: Vec<u32> = match &item {
            Item::Struct { fields, .. } => fields.iter().map(|field| field.number).collect(),
            Item::Enum { variants, .. } => variants.iter().map(|variant| variant.number).collect(),
        };
        assert!(numbers.iter().copied().eq(0..numbers.len() as u32), "{}: {numbers:?}", item.name());
    }
}

#[test]
fn the_annotated_change_is_the_first_vector() {
    let text = text();
    let (_, block) = text.split_once("```change\n").expect("the block is there");
    let (block, _) = block.split_once("\n```").expect("the block ends");
    let told: String = block.lines().map(|line| line.split(' ').next().expect("a first word")).collect();
    let vectors = include_str!("../vectors/changes.txt");
    let stored = vectors.lines().find_map(|line| line.strip_prefix("change ")).expect("a first change");
    assert_eq!(told, stored);
}

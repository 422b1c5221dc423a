//! From records to facts: ids that come out equal, who is who, archives, limits, the bundled sample.

mod support {
    pub(crate) mod bodies;
}

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};

use expect_test::expect;
use lockstep_migrate::inspect::Summary;
use lockstep_migrate::plan::{
    MEDIA_MISSING, Plan, PlanError, PlanOptions, Role, SystemLines, TimeZone, plan, segments,
};
use lockstep_migrate::source::{self, MediaReading, SkipReason, Source, SourceError, time_zone};
use lockstep_migrate::whatsapp::{ReadOptions, Reading, read};
use lockstep_migrate::{SAMPLE, SAMPLE_NAME};
use lockstep_protocol::fact::{Direction, Fact, Message};
use lockstep_protocol::id::{MemberId, MessageId};
use lockstep_protocol::limits;
use zip::write::SimpleFileOptions;

const IMPORTER: MemberId = MemberId(9);

fn options() -> PlanOptions {
    PlanOptions::new([7; 32], time_zone(Some("Asia/Bangkok")).expect("a zone"), IMPORTER)
}

fn reading(text: &str) -> Reading {
    read(text.as_bytes(), &source::Files::new(), &ReadOptions::default())
}

fn planned(text: &str, file: &str, change: impl FnOnce(&mut PlanOptions)) -> Result<Plan, PlanError> {
    let mut options = options();
    change(&mut options);
    let plan = plan(&reading(text), &[file.to_owned()], &options);
    if let Ok(plan) = &plan {
        assert!(plan.ledger.balances(), "{}", plan.ledger);
    }
    plan
}

fn ana(text: &str) -> Plan {
    planned(text, "WhatsApp Chat with Ana.txt", |_| {}).expect("a plan")
}

fn messages(plan: &Plan) -> Vec<&Message> {
    plan.facts.iter().filter_map(|fact| if let Fact::Message(message) = fact { Some(message) } else { None }).collect()
}

fn ids(plan: &Plan) -> Vec<MessageId> {
    plan.message_ids().collect()
}

const CHAT: &str = "\
28/12/23, 09:00 - Ana: one
28/12/23, 09:00 - Bo: two
28/12/23, 09:00 - Ana: one
28/12/23, 08:59 - Bo: late
28/12/23, 09:01 - Ana: three
";

#[test]
fn ids_follow_time_then_lines() {
    let plan = ana(CHAT);
    let bodies: Vec<&str> = messages(&plan).iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, ["late", "one", "two", "one", "three"]);
    let ids = ids(&plan);
    assert!(ids.is_sorted_by(|a, b| a < b));
    // 09:00 in Bangkok is 02:00 UTC.
    assert_eq!(ids[1].time_ms(), 1_703_728_800_000);
    assert_eq!(ids[1].time_ms(), ids[3].time_ms());
}

#[test]
fn equal_messages_have_equal_ids() {
    let first = ana(CHAT);
    assert_eq!(ana(CHAT), first, "a rerun");
    assert_eq!(ana(&CHAT.replace('\n', "\r\n")).facts, first.facts, "other line ends");
    let longer = ana(&format!("{CHAT}28/12/23, 09:01 - Bo: four\n29/12/23, 10:00 - Ana: five\n"));
    assert_eq!(longer.facts[..5], first.facts[..], "a longer, later export");
    let other = planned(CHAT, "WhatsApp Chat - ANA (2).zip", |_| {}).expect("a plan");
    assert_eq!(other.conversation, first.conversation, "another file of the same chat");
    assert_eq!(ids(&other), ids(&first));
    let other = planned(CHAT, "WhatsApp Chat with Ana.txt", |options| options.key = [8; 32]).expect("a plan");
    assert_ne!(ids(&other), ids(&first), "another hub");
    // With and without media, the caption is what counts.
    let with = ana("28/12/23, 09:00 - Ana: IMG-20231228-WA0001.jpg (file attached)\nsee\n");
    let without = ana("28/12/23, 09:00 - Ana: <Media omitted>\nsee\n");
    assert_eq!(ids(&with), ids(&without));
}

#[test]
fn an_export_that_begins_within_a_minute_finds_what_the_hub_holds() {
    let first = ana(CHAT);
    let cut: String = CHAT.lines().skip(1).map(|line| format!("{line}\n")).collect();
    let held: BTreeSet<MessageId> = ids(&first).into_iter().collect();
    let alone = ana(&cut);
    assert!(!ids(&alone).iter().all(|id| held.contains(id)), "its ranks are others");
    let knowing = planned(&cut, "WhatsApp Chat with Ana.txt", |options| options.known = held.clone()).expect("a plan");
    let (fresh, ledger) = knowing.fresh(&held);
    assert!(fresh.is_empty());
    assert_eq!((ledger.duplicate, ledger.message, ledger.balances()), (4, 0, true));
}

#[test]
fn a_rerun_adds_only_what_is_new() {
    let first = ana(CHAT);
    let held: BTreeSet<MessageId> = ids(&first).into_iter().collect();
    let longer = ana(&format!("{CHAT}29/12/23, 10:00 - Ana: five\nlines\n"));
    let (fresh, ledger) = longer.fresh(&held);
    assert_eq!(fresh.len(), 1);
    assert_eq!(ledger.rows().map(|(_, lines)| lines), [1, 0, 1, 5, 0]);
    assert!(ledger.balances());
}

/// A file's name, what the options say, and what comes of it.
type Row = (&'static str, fn(&mut PlanOptions), &'static str);

#[test]
fn who_is_who() {
    let roles = |plan: Result<Plan, PlanError>| match plan {
        Ok(plan) => {
            let roles: Vec<String> =
                plan.senders.iter().map(|sender| format!("{}={:?}", sender.name, sender.role)).collect();
            format!("{}: {}", plan.customer, roles.join(" "))
        }
        Err(error) => error.to_string(),
    };
    let rows: [Row; 9] = [
        ("WhatsApp Chat with ana.txt", |_| {}, "ana: Ana=Customer Bo=Unnamed"),
        (
            "WhatsApp Chat with Ana.txt",
            |options| {
                options.members.insert("~ BO".to_owned(), MemberId(3));
            },
            "Ana: Ana=Customer Bo=Member(m3)",
        ),
        (
            "WhatsApp Chat with Tiles.txt",
            |_| {},
            "no sender is named like the customer: say which of the 2 senders are, or name all members",
        ),
        (
            "WhatsApp Chat with Tiles.txt",
            |options| {
                options.members.insert("Bo".to_owned(), MemberId(3));
            },
            "Tiles: Ana=Customer Bo=Member(m3)",
        ),
        (
            "WhatsApp Chat with Tiles.txt",
            |options| {
                options.customer_senders.insert("Bo".to_owned());
            },
            "Tiles: Ana=Unnamed Bo=Customer",
        ),
        ("_chat.txt", |_| {}, "the file's name does not say who the customer is: give the customer's name"),
        ("_chat.txt", |options| options.customer = Some(" Bo ".to_owned()), "Bo: Ana=Unnamed Bo=Customer"),
        (
            "WhatsApp Chat with Ana.txt",
            |options| {
                options.members.insert("Cleo".to_owned(), MemberId(3));
            },
            "a sender named in an option is not in the file; names are compared without marks and case",
        ),
        (
            "WhatsApp Chat with Ana.txt",
            |options| {
                options.members.insert("Bo".to_owned(), MemberId(3));
                options.customer_senders.insert("bo".to_owned());
            },
            "a sender is named both as a member and as the customer",
        ),
    ];
    for (file, change, expect) in rows {
        assert_eq!(roles(planned(CHAT, file, change)), expect, "{file}");
    }
    let plan = ana("28/12/23, 09:00 - Bo joined\n28/12/23, 09:00 - Ana: hi\n28/12/23, 09:01 - Bo: hi\n");
    let found: Vec<_> =
        messages(&plan).iter().map(|message| (message.dir, message.by, message.kind.as_str())).collect();
    let importer = IMPORTER;
    let expect =
        [(Direction::Note, importer, "system"), (Direction::In, importer, "text"), (Direction::Out, importer, "text")];
    assert_eq!(found, expect);
    assert_eq!(messages(&plan)[1].src.as_deref(), Some("whatsapp at=2023-12-28T09:00:00 tz=Asia/Bangkok from=Ana"));
}

#[test]
fn what_cannot_be_planned_says_so() {
    let error = |text| planned(text, "WhatsApp Chat with Ana.txt", |_| {}).expect_err("refused").to_string();
    assert_eq!(
        error("01/02/2023, 09:00 - Ana: hi"),
        "the dates may be read in more than one order (dmy, mdy): give the date order"
    );
    assert_eq!(error("hello"), "no message was found in the file; is it a chat export?");
}

#[test]
fn edits_and_retractions_follow_their_message() {
    let plan = ana(
        "28/12/23, 09:00 - Ana: at 5 <This message was edited>\n28/12/23, 09:00 - Ana: This message was deleted\n28/12/23, 09:00 - Ana: \n",
    );
    let shown: Vec<String> = (plan.facts.iter())
        .map(|fact| match fact {
            Fact::Message(message) => format!("{} {}", message.kind, message.body),
            Fact::Edit { body, .. } => format!("edit {body}"),
            Fact::Retraction { .. } => "retraction".to_owned(),
            _ => "else".to_owned(),
        })
        .collect();
    assert_eq!(shown, ["text at 5", "edit at 5", "deleted This message was deleted", "retraction", "empty "]);
    assert_eq!(plan.facts[1].target(), Some(ids(&plan)[0]));
}

#[test]
fn a_body_beyond_the_limit_becomes_several_messages() {
    let words = "กาแฟ ".repeat(3 * limits::BODY_BYTES_MAX / 13);
    let one = "x".repeat(limits::BODY_BYTES_MAX + 1);
    let plan =
        ana(&format!("28/12/23, 09:00 - Ana: {words}\n28/12/23, 09:00 - Ana: {one}\n28/12/23, 09:00 - Ana: end\n"));
    let messages = messages(&plan);
    let joined: String = messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(joined, format!("{words}{one}end"));
    assert!(messages.iter().all(|message| message.body.len() <= limits::BODY_BYTES_MAX));
    assert_eq!((plan.split, messages.len()), (2, 6));
    let (fresh, ledger) = plan.fresh(&ids(&plan).into_iter().collect());
    assert!(fresh.is_empty() && ledger.balances() && ledger.duplicate == 3);
}

#[test]
fn one_moment_holds_only_so_many() {
    let text = "28/12/23, 09:00 - Ana: x\n".repeat(65_537);
    let plan = ana(&text);
    assert_eq!((plan.facts.len(), plan.ledger.rejected), (65_536, 1));
    assert_eq!(plan.rejects[0].line, 65_537);
    assert!(ids(&plan).is_sorted_by(|a, b| a < b));
    assert_eq!(segments(&plan.facts).map(<[Fact]>::len).max(), Some(limits::SEGMENT_OPEN_MESSAGES as usize));
}

#[test]
fn hours_that_the_clock_skips_or_repeats_are_counted() {
    let text = "31/03/24, 02:30 - Ana: skipped\n27/10/24, 02:30 - Ana: twice\n28/10/24, 02:30 - Ana: once\n";
    let plan = planned(text, "WhatsApp Chat with Ana.txt", |options| {
        options.time_zone = TimeZone::get("Europe/Berlin").expect("a zone");
    });
    assert_eq!(plan.expect("a plan").unclear_times, 2);
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).expect("a file");
        zip.write_all(bytes).expect("bytes");
    }
    zip.finish().expect("an archive").into_inner()
}

const IPHONE: &str = "\
[28.12.23, 09:00:00] Ana: \u{200E}Messages and calls are end-to-end encrypted.
\u{200E}[28.12.23, 09:00:05] Ana: the hall \u{200E}<attached: 00000001-PHOTO-2023-12-28-09-00-05.jpg>
\u{200E}[28.12.23, 09:00:09] Bo: \u{200E}<Anhang: 00000002-AUDIO-2023-12-28-09-00-09.opus>
[28.12.23, 09:01:00] Bo: fine
";

#[test]
fn an_archive_of_an_iphone() {
    let photo: &[u8] = b"not really a photo";
    let bytes = zipped(&[
        ("_chat.txt", IPHONE.as_bytes()),
        ("00000001-PHOTO-2023-12-28-09-00-05.jpg", photo),
        ("unnamed.txt", b"a text that someone sent"),
    ]);
    let file = tempfile::tempdir().expect("a folder");
    let path = file.path().join("WhatsApp Chat - Ana.zip");
    std::fs::write(&path, &bytes).expect("written");
    let source = Source::open(&path, MediaReading::Hash).expect("opens");
    assert_eq!(std::fs::read(&path).expect("still there"), bytes, "the source is untouched");
    let reading = read(&source.text, &source.files, &ReadOptions::default());
    let plan = plan(&reading, &source.names, &options()).expect("a plan");
    assert_eq!((plan.customer.as_str(), plan.media_missing), ("Ana", 1));
    let media: Vec<_> = messages(&plan).into_iter().filter_map(|message| message.media.clone()).collect();
    assert_eq!(media[0].hash.0, *blake3::hash(photo).as_bytes());
    assert_eq!((media[0].size, media[0].media_type.as_str()), (photo.len() as u64, "image/jpeg"));
    assert_eq!((media[1].size, media[1].hash, media[1].media_type.as_str()), (0, MEDIA_MISSING, "audio/ogg"));
    assert_eq!(messages(&plan)[1].body, "the hall");
    let summary = Summary::new(&source, &reading);
    assert_eq!((summary.attachments_missing, summary.files, summary.files_unnamed), (1, 2, 1));
    support::bodies::whatsapp_source(&source);
}

#[test]
fn hostile_archives() {
    let chat = ("_chat.txt", IPHONE.as_bytes());
    let zeros = vec![0; 4 * 1024 * 1024];
    let open = |files: &[(&str, &[u8])]| Source::from_bytes("x.zip", &zipped(files), MediaReading::Hash);
    let source = open(&[chat, ("../../up.jpg", b"x"), ("/root.jpg", b"x"), ("a\\b.jpg", b"x"), ("bomb.jpg", &zeros)]);
    let source = source.expect("opens");
    assert!(source.files.is_empty());
    let reasons: Vec<_> = source.skipped.iter().map(|skipped| (skipped.index, skipped.reason)).collect();
    let unsafe_name = SkipReason::UnsafeName;
    assert_eq!(reasons, [(1, unsafe_name), (2, unsafe_name), (3, unsafe_name), (4, SkipReason::TooLarge)]);
    assert!(matches!(open(&[("a.jpg", b"x")]), Err(SourceError::NoChat)));
    assert!(matches!(open(&[("a.txt", b"x"), ("b.txt", b"y")]), Err(SourceError::ManyChats(2))));
    let within = open(&[("WhatsApp Chat - Ana/_chat.txt", chat.1), ("WhatsApp Chat - Ana/a.jpg", b"x")]);
    assert_eq!(within.expect("opens").files.len(), 1);
    let bomb = vec![b' '; usize::try_from(source::TEXT_BYTES_MAX).expect("fits") + 1];
    assert!(matches!(open(&[("_chat.txt", &bomb)]), Err(SourceError::TextTooLong)));
    let text = Source::from_bytes("x.txt", b"\xFF\xFEh\0i\0", MediaReading::List);
    assert!(matches!(text, Err(SourceError::Utf16)));
    // Cut or flipped anywhere: an error, or something that is read without harm.
    let whole = zipped(&[chat, ("00000001-PHOTO-2023-12-28-09-00-05.jpg", b"photo")]);
    for at in 0..whole.len() {
        support::bodies::whatsapp(&whole[..at]);
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        support::bodies::whatsapp(&flipped);
    }
}

#[test]
fn the_sample() {
    let source = Source::from_bytes(SAMPLE_NAME, SAMPLE.as_bytes(), MediaReading::List).expect("opens");
    let reading = read(&source.text, &source.files, &ReadOptions::default());
    let summary = Summary::new(&source, &reading);
    expect![[r#"
        customer      Hotel Baan Suan
        form          Android: 31/12/23, 21:41 - Name: text
        date order    day first (line 1 allows nothing else)
                      13/03/24, 09:02 -  is  2024-03-13T09:02:00
                      01/04/24, 10:52 -  is  2024-04-01T10:52:00
                      03/06/24, 09:41 -  is  2024-06-03T09:41:00
        first         2024-03-13T09:02:00
        last          2024-06-03T09:41:00
        backwards     0 times
        repeated      3 (kept)
        senders
                   140  Hotel Baan Suan
                    64  Arjun
                    48  Mei Lin
                    45  Nok
        kinds
                   267  text
                     9  image
                     8  document
                     8  media
                     1  location
                     1  poll
                     1  view_once
                     2  deleted
                     7  system
        edited        1
        media         17 named (17 missing), 8 left out; 0 files, 0 bytes, 0 that nobody names
        lines
        message              297
        system                 7
        continuation          30
        duplicate              0
        rejected               0
        sum                  334  of 334 lines: balances
    "#]]
    .assert_eq(&summary.to_string());
    let json = serde_json::to_value(&summary).expect("serialises");
    assert_eq!(json["ledger"]["lines"], SAMPLE.lines().count());
    let mut options = options();
    for (name, member) in [("Nok", 2), ("Arjun", 3), ("Mei Lin", 4)] {
        options.members.insert(name.to_owned(), MemberId(member));
    }
    let plan = plan(&reading, &source.names, &options).expect("a plan");
    assert!(plan.senders.iter().all(|sender| sender.role != Role::Unnamed));
    let sizes: Vec<usize> = segments(&plan.facts).map(<[Fact]>::len).collect();
    expect!["Hotel Baan Suan [307] 17"].assert_eq(&format!("{} {sizes:?} {}", plan.customer, plan.media_missing));
    options.system_lines = SystemLines::Skip;
    let without = lockstep_migrate::plan::plan(&reading, &source.names, &options).expect("a plan");
    assert_eq!(without.ledger, plan.ledger);
    assert!(messages(&without).iter().all(|message| message.kind != "system"));
    support::bodies::whatsapp_source(&source);
}

//! Reading exports: a row for every trap, random chats in every form, mutilated bytes, the fuzz corpus.

mod support {
    pub(crate) mod bodies;
    pub(crate) mod corpus;
}

use lockstep_migrate::SAMPLE;
use lockstep_migrate::source::Files;
use lockstep_migrate::whatsapp::{DateOrder, ReadOptions, Reading, read};
use proptest::prelude::*;

/// Records one a line: `line+lines time sender kind body`, then rejects, then the ledger's numbers.
fn shown(reading: &Reading) -> String {
    let mut out = String::new();
    for record in &reading.records {
        let from = record.from.as_deref().unwrap_or("-");
        let (kind, body) = (record.content.kind.as_str(), &record.content.body);
        let origin = record.origin;
        out += &format!("{}+{} {} {from} {kind} {body:?}\n", origin.line, origin.lines, record.at);
    }
    for reject in &reading.rejects {
        out += &format!("{reject}\n");
    }
    out + &reading.ledger.rows().map(|(_, lines)| lines.to_string()).join(" ")
}

fn check(text: impl AsRef<[u8]>, expect: &str) {
    let reading = read(text.as_ref(), &Files::new(), &ReadOptions::default());
    assert!(reading.ledger.balances(), "{}", reading.ledger);
    assert_eq!(shown(&reading), expect, "{}", String::from_utf8_lossy(text.as_ref()));
}

#[test]
fn traps() {
    // CRLF, a byte order mark, several lines, a blank line within.
    check(
        "\u{FEFF}31/12/23, 21:41 - Ana: one\r\ntwo\r\n\r\nthree\r\n31/12/23, 21:42 - Bo: four\r\n",
        "1+4 2023-12-31T21:41:00 Ana text \"one\\ntwo\\n\\nthree\"\n5+1 2023-12-31T21:42:00 Bo text \"four\"\n2 0 3 0 0",
    );
    // The app's lines: without a sender, with a colon within quotes, and an iPhone's under a sender's name.
    check(
        "31/12/23, 21:41 - Messages are encrypted.\n31/12/23, 21:41 - Ana changed the group name to “Tiles: May”\n31/12/23, 21:42 - Ana: ok",
        "1+1 2023-12-31T21:41:00 - system \"Messages are encrypted.\"\n2+1 2023-12-31T21:41:00 - system \"Ana changed the group name to “Tiles: May”\"\n3+1 2023-12-31T21:42:00 Ana text \"ok\"\n1 2 0 0 0",
    );
    check(
        "[31.12.23, 21:41:00] Ana: \u{200E}Messages and calls are end-to-end encrypted.\n\u{200E}[31.12.23, 21:41:07] ~\u{A0}Ana: \u{200E}image omitted",
        "1+1 2023-12-31T21:41:00 - system \"Messages and calls are end-to-end encrypted.\"\n2+1 2023-12-31T21:41:07 Ana image \"\"\n1 1 0 0 0",
    );
    // A body line that looks like a header of another form, or holds " - " and ": ".
    check(
        "31/12/23, 21:41 - Ana: see\n[30.12.23, 20:00:00] Bo: pasted\n2023-12-30, 20:00 - Bo: pasted\nprice - per box: 5\n31/12/23, 21:42 - Bo: ok - fine: yes",
        "1+4 2023-12-31T21:41:00 Ana text \"see\\n[30.12.23, 20:00:00] Bo: pasted\\n2023-12-30, 20:00 - Bo: pasted\\nprice - per box: 5\"\n5+1 2023-12-31T21:42:00 Bo text \"ok - fine: yes\"\n2 0 3 0 0",
    );
    // Lines before the first header, a day that does not exist with its further line, bytes that are no text.
    check(
        b"lost\n31/12/23, 21:41 - Ana: one\n\xFF\xFE\ntwo\n31/02/23, 21:42 - Bo: never\nsaid\n31/12/23, 21:43 - Bo: three",
        "2+2 2023-12-31T21:41:00 Ana text \"one\\ntwo\"\n7+1 2023-12-31T21:43:00 Bo text \"three\"\nline 1 stands before the first message\nline 3 is not UTF-8\nline 5 names a day or time that does not exist\nline 6 belongs to a rejected message\n2 0 1 0 4",
    );
    // Phone numbers in direction marks; an empty message; one whose last space was cut.
    check(
        "31/12/23, 21:41 - \u{202A}+66\u{A0}81 234 5678\u{202C}: hi\n31/12/23, 21:41 - Ana: \n31/12/23, 21:41 - Ana:",
        "1+1 2023-12-31T21:41:00 +66 81 234 5678 text \"hi\"\n2+1 2023-12-31T21:41:00 Ana text \"\"\n3+1 2023-12-31T21:41:00 Ana text \"\"\n3 0 0 0 0",
    );
    // No year, and nobody says which.
    check("Mar 5, 8:11 PM - Ana: hi", "line 1 names no year; give one\n0 0 0 0 1");
    // Not an export at all.
    check(
        "Dear team,\nall the best",
        "line 1 stands before the first message\nline 2 stands before the first message\n0 0 0 0 2",
    );
    check("", "0 0 0 0 0");
    check("\n", "line 1 stands before the first message\n0 0 0 0 1");
    check("\r\n", "line 1 stands before the first message\n0 0 0 0 1");
}

#[test]
fn options_say_what_the_file_does_not() {
    let read_as =
        |text: &str, date_order, year| shown(&read(text.as_bytes(), &Files::new(), &ReadOptions { date_order, year }));
    let text = "1/2/23, 10:00 - Ana: hi";
    for (order, expect) in [(DateOrder::DayFirst, "2023-02-01"), (DateOrder::MonthFirst, "2023-01-02")] {
        assert!(read_as(text, Some(order), None).contains(expect));
    }
    assert!(read(text.as_bytes(), &Files::new(), &ReadOptions::default()).order.is_undecided());
    assert!(read_as("Mar 5, 8:11 PM - Ana: hi", None, Some(2014)).contains("2014-03-05T20:11:00"));
}

/// How a phone writes a stamp of (year, month, day, hour, minute, second).
struct Form {
    seconds: bool,
    order: DateOrder,
    write: fn([u32; 6]) -> String,
}

fn half(hour: u32) -> (u32, &'static str) {
    (if hour.is_multiple_of(12) { 12 } else { hour % 12 }, if hour < 12 { "AM" } else { "PM" })
}

fn digits(text: String, zero: u32) -> String {
    let other = |c: char| c.to_digit(10).and_then(|digit| char::from_u32(zero + digit)).unwrap_or(c);
    text.chars().map(other).collect()
}

const FORMS: &[Form] = &[
    Form {
        seconds: false,
        order: DateOrder::MonthFirst,
        write: |[y, mo, d, h, mi, _]| {
            let (h, half) = half(h);
            format!("{mo}/{d}/{:02}, {h}:{mi:02}\u{202F}{half} - ", y % 100)
        },
    },
    Form {
        seconds: false,
        order: DateOrder::DayFirst,
        write: |[y, mo, d, h, mi, _]| format!("{d:02}/{mo:02}/{y}, {h:02}:{mi:02} - "),
    },
    Form {
        seconds: false,
        order: DateOrder::YearFirst,
        write: |[y, mo, d, h, mi, _]| format!("{y}-{mo:02}-{d:02} {h:02}:{mi:02} - "),
    },
    Form {
        seconds: true,
        order: DateOrder::DayFirst,
        write: |[y, mo, d, h, mi, s]| format!("\u{200E}[{d:02}.{mo:02}.{:02}, {h:02}:{mi:02}:{s:02}] ", y % 100),
    },
    Form {
        seconds: true,
        order: DateOrder::MonthFirst,
        write: |[y, mo, d, h, mi, s]| {
            let (h, half) = half(h);
            format!("[{mo}/{d}/{:02}, {h}:{mi:02}:{s:02}\u{A0}{half}] ", y % 100)
        },
    },
    Form {
        seconds: true,
        order: DateOrder::DayFirst,
        write: |[y, mo, d, h, mi, s]| {
            let (h, half) = half(h);
            let half = if half == "AM" { "ص" } else { "م" };
            digits(format!("[{d}\u{200F}/{mo}\u{200F}/{y}، {h}:{mi:02}:{s:02} {half}] "), 0x660)
        },
    },
    Form {
        seconds: false,
        order: DateOrder::DayFirst,
        write: |[y, mo, d, h, mi, _]| digits(format!("{d}/{mo}/{} {h:02}:{mi:02} - ", y + 543), 0xE50),
    },
    Form {
        seconds: false,
        order: DateOrder::YearFirst,
        write: |[y, mo, d, h, mi, _]| {
            let (h, half) = half(h);
            format!("{y}年{mo}月{d}日 {}{h}:{mi:02} - ", if half == "AM" { "上午" } else { "下午" })
        },
    },
    Form {
        seconds: true,
        order: DateOrder::MonthFirst,
        write: |[y, mo, d, h, mi, s]| format!("[{mo}/{d}/R{}, {h}:{mi:02}:{s:02}] ", y - 2018),
    },
    Form {
        seconds: true,
        order: DateOrder::DayFirst,
        write: |[y, mo, d, h, mi, s]| format!("[{d}.{mo}.{y} klo {h}.{mi:02}.{s:02}] "),
    },
    Form {
        seconds: false,
        order: DateOrder::DayFirst,
        write: |[y, mo, d, h, mi, _]| {
            let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            format!("{h:02}:{mi:02}, {d} {} {y} - ", names[mo as usize - 1])
        },
    },
];

fn chat() -> impl Strategy<Value = Vec<([u32; 6], String, String)>> {
    let time = (2020..2025_u32, 1..13_u32, 1..29_u32, 0..24_u32, 0..60_u32, 0..60_u32);
    let name = prop::sample::select(vec!["Ana", "สมชาย ใจดี", "+66 81 234 5678", "李梅", "Ayşe (Tiles)", "خالد"]);
    // No line of these can be a header: they hold no digits.
    let line = "[a-zA-Zก-ฮ一-三ا-ي .,:!?'()<>*/-]{0,30}";
    // What ends so may name an attachment, in any language: rows of `body.rs`.
    let may_attach = |body: &str| body.trim_end().ends_with('>') && body.contains(':');
    let body = prop::collection::vec(line, 1..4).prop_map(|lines| lines.join("\n"));
    let body = body.prop_filter("it may name an attachment", move |body| !may_attach(body));
    let message =
        (time, name, body).prop_map(|((y, mo, d, h, mi, s), name, body)| ([y, mo, d, h, mi, s], name.to_owned(), body));
    prop::collection::vec(message, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_in_any_form_is_read_back(chat in chat(), crlf: bool) {
        for (number, form) in FORMS.iter().enumerate() {
            let mut text = String::new();
            let mut expect = Vec::new();
            for (time, name, body) in &chat {
                let [y, mo, d, h, mi, s] = *time;
                text += &format!("{}{name}: {body}\n", (form.write)(*time));
                let s = if form.seconds { s } else { 0 };
                expect.push((format!("{y}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}"), name.clone(), body.clone()));
            }
            if crlf {
                text = text.replace('\n', "\r\n");
            }
            let options = ReadOptions { date_order: Some(form.order), year: None };
            let reading = read(text.as_bytes(), &Files::new(), &options);
            prop_assert!(reading.ledger.balances() && reading.rejects.is_empty(), "form {}: {}", number, text);
            let found: Vec<_> = (reading.records.iter())
                .map(|record| (record.at.to_string(), record.from.clone().unwrap_or_default(), record.content.body.clone()))
                .collect();
            prop_assert_eq!(&found, &expect, "form {}", number);
            // Undecided or not, an order that was found out by itself is the right one.
            let alone = read(text.as_bytes(), &Files::new(), &ReadOptions::default());
            if matches!(alone.order.reason, lockstep_migrate::whatsapp::OrderReason::Numbers { .. }) {
                prop_assert_eq!(&alone.records, &reading.records, "form {}", number);
            }
        }
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        support::bodies::whatsapp(&bytes);
    }

    #[test]
    fn a_mutilated_export_does_no_harm(start in 0..SAMPLE.len(), length in 0..2_000_usize, flips in prop::collection::vec((0..2_000_usize, 0..8_u8), 0..20)) {
        let mut bytes = SAMPLE.as_bytes()[start..(start + length).min(SAMPLE.len())].to_vec();
        for (at, bit) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        support::bodies::whatsapp(&bytes);
    }
}

#[test]
fn the_fuzz_corpus_does_no_harm() {
    support::corpus::replay("whatsapp", support::bodies::whatsapp);
}

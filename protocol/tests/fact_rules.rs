//! Every rule of `Fact::check` and every limit in it: at, below and above, with the code that it must give.

use lockstep_protocol::codec;
use lockstep_protocol::fact::{Direction, Fact, Media, Message};
use lockstep_protocol::id::{DocumentKind, FactId, MediaHash, MemberId, MessageId};
use lockstep_protocol::limits;
use lockstep_protocol::refusal::RefusalCode::{self, FieldInvalid, TimeTooOld, TooLarge, WrongDocument};

const TIME_MS: u64 = 1_790_000_000_000;

fn id() -> FactId {
    FactId::from_parts(TIME_MS, 1)
}

fn target() -> MessageId {
    MessageId::from_parts(TIME_MS, 2)
}

fn text() -> Message {
    Message {
        id: MessageId::from_parts(TIME_MS, 3),
        by: MemberId(1),
        dir: Direction::Out,
        kind: "text".into(),
        body: "hello".into(),
        seen: None,
        re: None,
        media: None,
        src: None,
    }
}

fn media() -> Media {
    Media { hash: MediaHash([1; 32]), media_type: "image/jpeg".into(), name: "cat.jpg".into(), size: 1_000 }
}

fn message(change: impl FnOnce(&mut Message)) -> Fact {
    let mut message = text();
    change(&mut message);
    Fact::Message(message)
}

fn with_media(change: impl FnOnce(&mut Media)) -> Fact {
    let mut media = media();
    change(&mut media);
    message(|message| message.media = Some(media))
}

fn kind(text: &str) -> Fact {
    message(|message| message.kind = text.into())
}

fn edit(body: &str) -> Fact {
    Fact::Edit { message: target(), id: id(), body: body.into() }
}

fn retraction(reason: &str) -> Fact {
    Fact::Retraction { message: target(), id: id(), reason: reason.into() }
}

fn reaction(emoji: &str) -> Fact {
    Fact::Reaction { message: target(), by: MemberId(1), id: id(), emoji: emoji.into() }
}

fn field(name: &str, value: &str) -> Fact {
    Fact::Field { name: name.into(), id: id(), value: value.into() }
}

fn label(label: &str) -> Fact {
    Fact::Label { label: label.into(), id: id(), on: true }
}

fn check(rows: &[(&str, Fact, Result<(), RefusalCode>)]) {
    for (name, fact, expected) in rows {
        assert_eq!(fact.check(fact.document_kind()), *expected, "{name}");
    }
}

#[test]
fn rules() {
    let body = |text: &str| message(|message| message.body = text.into());
    let media_type = |text: &str| with_media(|media| media.media_type = text.into());
    let name = |text: &str| with_media(|media| media.name = text.into());
    check(&[
        ("a plain reply", message(|_| {}), Ok(())),
        ("every field", with_media(|_| {}), Ok(())),
        ("text without a body", body(""), Err(FieldInvalid)),
        ("text without a body, with media", message(|m| (m.body, m.media) = (String::new(), Some(media()))), Ok(())),
        ("no text, no body", message(|m| (m.body, m.kind) = (String::new(), "call".into())), Ok(())),
        ("any character in a body", body("\0\u{202e}\u{fffe}\r\n👩🏽‍👩🏿‍👧🏻‍👦🏾e\u{301}"), Ok(())),
        ("a reply with seen", message(|m| m.seen = Some(target())), Ok(())),
        (
            "an incoming one with seen",
            message(|m| (m.dir, m.seen) = (Direction::In, Some(target()))),
            Err(FieldInvalid),
        ),
        ("a note with seen", message(|m| (m.dir, m.seen) = (Direction::Note, Some(target()))), Err(FieldInvalid)),
        ("an incoming one", message(|m| m.dir = Direction::In), Ok(())),
        ("any direction with re", message(|m| (m.dir, m.re) = (Direction::Note, Some(target()))), Ok(())),
        ("kind: a word", kind("voice_note2"), Ok(())),
        ("kind: empty", kind(""), Err(FieldInvalid)),
        ("kind: capitals", kind("Text"), Err(FieldInvalid)),
        ("kind: a digit first", kind("2text"), Err(FieldInvalid)),
        ("kind: an underline first", kind("_text"), Err(FieldInvalid)),
        ("kind: a hyphen", kind("voice-note"), Err(FieldInvalid)),
        ("kind: another script", kind("текст"), Err(FieldInvalid)),
        ("kind: a space", kind("text "), Err(FieldInvalid)),
        ("media type: empty", media_type(""), Err(FieldInvalid)),
        ("media type: a space", media_type("image /png"), Err(FieldInvalid)),
        ("media type: a control", media_type("image/png\n"), Err(FieldInvalid)),
        ("media type: beyond ASCII", media_type("image/é"), Err(FieldInvalid)),
        ("media name: empty", name(""), Ok(())),
        ("media name: any script", name("สัญญา 合同.pdf"), Ok(())),
        ("media name: a slash", name("../etc/passwd"), Err(FieldInvalid)),
        ("media name: a backslash", name("..\\boot"), Err(FieldInvalid)),
        ("media name: a NUL", name("a\0.pdf"), Err(FieldInvalid)),
        ("media name: a C1 control", name("a\u{85}.pdf"), Err(FieldInvalid)),
        ("src: empty", message(|m| m.src = Some(String::new())), Err(FieldInvalid)),
        ("src: one byte", message(|m| m.src = Some("x".into())), Ok(())),
        ("edit: empty", edit(""), Err(FieldInvalid)),
        ("edit: one byte", edit("x"), Ok(())),
        ("retraction: no reason", retraction(""), Ok(())),
        ("reaction: taken back", reaction(""), Ok(())),
        ("reaction: a family", reaction("👩🏽‍👩🏿‍👧🏻‍👦🏾"), Ok(())),
        ("reaction: a control", reaction("\u{7}"), Err(FieldInvalid)),
        ("field name: a word", field("phone_2", ""), Ok(())),
        ("field name: empty", field("", "x"), Err(FieldInvalid)),
        ("field name: a slash", field("a/b", "x"), Err(FieldInvalid)),
        ("field name: capitals", field("Phone", "x"), Err(FieldInvalid)),
        ("label: any script", label("ลูกค้าสำคัญ"), Ok(())),
        ("label: a space inside", label("very important"), Ok(())),
        ("label: empty", label(""), Err(FieldInvalid)),
        ("label: a slash", label("a/b"), Err(FieldInvalid)),
        ("label: a space first", label(" vip"), Err(FieldInvalid)),
        ("label: a space last", label("vip\u{3000}"), Err(FieldInvalid)),
        ("label: only a space", label(" "), Err(FieldInvalid)),
        ("label: a control", label("v\u{1b}ip"), Err(FieldInvalid)),
    ]);
}

#[test]
fn sizes() {
    type Make = fn(usize) -> Fact;
    let rows: &[(&str, usize, Make)] = &[
        ("BODY_BYTES_MAX", limits::BODY_BYTES_MAX, |n| message(|m| m.body = "x".repeat(n))),
        ("BODY_BYTES_MAX of an edit", limits::BODY_BYTES_MAX, |n| edit(&"x".repeat(n))),
        ("KIND_BYTES_MAX", limits::KIND_BYTES_MAX, |n| kind(&"x".repeat(n))),
        ("REASON_BYTES_MAX", limits::REASON_BYTES_MAX, |n| retraction(&"x".repeat(n))),
        ("EMOJI_BYTES_MAX", limits::EMOJI_BYTES_MAX, |n| reaction(&"x".repeat(n))),
        ("FIELD_NAME_BYTES_MAX", limits::FIELD_NAME_BYTES_MAX, |n| field(&"x".repeat(n), "")),
        ("FIELD_VALUE_BYTES_MAX", limits::FIELD_VALUE_BYTES_MAX, |n| field("x", &"x".repeat(n))),
        ("LABEL_BYTES_MAX", limits::LABEL_BYTES_MAX, |n| label(&"x".repeat(n))),
        ("MEDIA_TYPE_BYTES_MAX", limits::MEDIA_TYPE_BYTES_MAX, |n| with_media(|m| m.media_type = "x".repeat(n))),
        ("MEDIA_NAME_BYTES_MAX", limits::MEDIA_NAME_BYTES_MAX, |n| with_media(|m| m.name = "x".repeat(n))),
        ("MEDIA_SIZE_BYTES_MAX", limits::MEDIA_SIZE_BYTES_MAX as usize, |n| with_media(|m| m.size = n as u64)),
        ("SRC_BYTES_MAX", limits::SRC_BYTES_MAX, |n| message(|m| m.src = Some("x".repeat(n)))),
    ];
    for (name, max, make) in rows {
        check(&[(name, make(max - 1), Ok(())), (name, make(*max), Ok(())), (name, make(max + 1), Err(TooLarge))]);
    }
    // Sizes are bytes, not characters.
    check(&[
        ("characters of three bytes", label(&"ก".repeat(limits::LABEL_BYTES_MAX / 3)), Ok(())),
        ("one too many", label(&"ก".repeat(limits::LABEL_BYTES_MAX / 3 + 1)), Err(TooLarge)),
    ]);
}

#[test]
fn times() {
    let oldest = limits::ULID_TIME_MS_MIN;
    for (time_ms, expected) in [
        (0, Err(TimeTooOld)),
        (oldest - 1, Err(TimeTooOld)),
        (oldest, Ok(())),
        (oldest + 1, Ok(())),
        ((1 << 48) - 1, Ok(())),
    ] {
        let id = FactId::from_parts(time_ms, u128::MAX >> 48);
        check(&[
            ("message", message(|message| message.id = MessageId(id.0)), expected),
            ("edit", Fact::Edit { message: target(), id, body: "x".into() }, expected),
            ("retraction", Fact::Retraction { message: target(), id, reason: String::new() }, expected),
            ("reaction", Fact::Reaction { message: target(), by: MemberId(1), id, emoji: String::new() }, expected),
            ("field", Fact::Field { name: "x".into(), id, value: String::new() }, expected),
            ("label", Fact::Label { label: "x".into(), id, on: false }, expected),
        ]);
    }
}

#[test]
fn kinds_of_documents() {
    let segment = [message(|_| {}), edit("x"), retraction(""), reaction("x")];
    let card = [field("x", ""), label("x")];
    for fact in &segment {
        assert_eq!(fact.check(DocumentKind::Segment), Ok(()), "{fact:?}");
        assert_eq!(fact.check(DocumentKind::Card), Err(WrongDocument), "{fact:?}");
    }
    for fact in &card {
        assert_eq!(fact.check(DocumentKind::Card), Ok(()), "{fact:?}");
        assert_eq!(fact.check(DocumentKind::Segment), Err(WrongDocument), "{fact:?}");
    }
}

/// The limit of a whole fact needs no check of its own: fields at their limits stay within it.
#[test]
fn the_largest_fact_is_within_the_limit() {
    let largest = message(|message| {
        *message = Message {
            id: MessageId([255; 16]),
            by: MemberId(u32::MAX),
            dir: Direction::Out,
            kind: "x".repeat(limits::KIND_BYTES_MAX),
            body: "x".repeat(limits::BODY_BYTES_MAX),
            seen: Some(MessageId([255; 16])),
            re: Some(MessageId([255; 16])),
            media: Some(Media {
                hash: MediaHash([255; 32]),
                media_type: "x".repeat(limits::MEDIA_TYPE_BYTES_MAX),
                name: "x".repeat(limits::MEDIA_NAME_BYTES_MAX),
                size: limits::MEDIA_SIZE_BYTES_MAX,
            }),
            src: Some("x".repeat(limits::SRC_BYTES_MAX)),
        }
    });
    assert_eq!(largest.check(DocumentKind::Segment), Ok(()));
    assert!(codec::encode(&largest).len() <= limits::FACT_BYTES_MAX);
}

#[test]
fn ids_have_one_spelling() {
    let id = MessageId::from_parts(TIME_MS, 0x1234);
    let text = id.to_string();
    assert_eq!(MessageId::parse(&text), Some(id));
    for other in [
        text.to_lowercase(),
        format!(" {text}"),
        text[1..].to_owned(),
        format!("{text}0"),
        text.replacen('0', "O", 1),
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ".to_owned(),
        String::new(),
    ] {
        assert_eq!(MessageId::parse(&other), None, "{other:?}");
    }
}

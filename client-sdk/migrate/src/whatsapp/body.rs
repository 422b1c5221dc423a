//! What a message is: text, an attachment, omitted media, a place, a poll; deleted or edited.

use super::app_words::{
    ATTACHED, CALLS, DELETED, EDITED, MAPS, MEDIA_OMITTED, NOTICES, OMITTED, OMITTED_KINDS, PREFIXES,
};
use crate::glyph::{head, is_mark, plain, trim_marks};
use crate::media;
use crate::record::{Attachment, Content, Kind};
use crate::source::Files;

/// The mark that the app puts before its own words.
const APP_MARK: char = '\u{200E}';
/// Longest file name that is looked for in a line, bytes.
const NAME_BYTES_MAX: usize = 512;

/// Takes a message's text (all its lines) apart.
pub(crate) fn content(text: &str, files: &Files) -> Content {
    let marked = text.starts_with(APP_MARK);
    let own = normal(text);
    if DELETED.contains(&own.as_str()) || own.starts_with("this message was deleted by admin") {
        return Content { deleted: true, ..Content::of(Kind::Deleted, trim_marks(text).trim()) };
    }
    if marked && NOTICES.iter().any(|notice| own.starts_with(notice)) {
        return Content::of(Kind::System, trim_marks(text).trim());
    }
    let (text, edited) = without_edit_mark(text);
    let mut content =
        attached(text, files).or_else(|| omitted(text)).unwrap_or_else(|| Content::of(said(text, marked), text));
    content.edited = edited;
    content
}

/// For comparing with the app's words: no marks, plain spaces, lowercase, no full stop.
fn normal(text: &str) -> String {
    const LONGEST: usize = 200;
    let text = plain(head(text, LONGEST)).to_lowercase();
    text.trim_end_matches(['.', '。']).to_owned()
}

fn without_edit_mark(text: &str) -> (&str, bool) {
    let trimmed = text.trim_end();
    let Some(open) = trimmed.rfind('<').filter(|_| trimmed.ends_with('>')) else { return (text, false) };
    let (before, mark) = (&trimmed[..open], &trimmed[open + 1..trimmed.len() - 1]);
    if before.is_empty() || !EDITED.contains(&normal(mark).as_str()) {
        return (text, false);
    }
    let before = before.trim_end_matches(|c| is_mark(c) || c == ' ' || c == '\u{A0}');
    (before, !before.is_empty())
}

/// `<attached: NAME>` at the end, or `NAME (file attached)` at the start. Where the archive holds the file, in any
/// language.
fn attached(text: &str, files: &Files) -> Option<Content> {
    let trimmed = text.trim_end_matches(|c| is_mark(c) || c.is_whitespace());
    if let Some(open) = trimmed.rfind('<').filter(|_| trimmed.ends_with('>')) {
        let (before, inner) = (&trimmed[..open], &trimmed[open + 1..trimmed.len() - 1]);
        if let Some((word, name)) = inner.split_once(':') {
            let name = trim_marks(name.trim());
            let alone = before.chars().all(is_mark);
            let known = files.get(name).is_some();
            let is_word = (1..=24).contains(&word.trim().chars().count()) && !word.contains("http");
            let said = (alone || before.ends_with(APP_MARK)) && is_word;
            if (known || said && media::has_ending(name)) && name.len() <= NAME_BYTES_MAX {
                return Some(Content::attached(attachment(name, files), caption(before)));
            }
        }
    }
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let first = trim_marks(first.trim_end());
    let open = first.rfind(" (").filter(|_| first.ends_with(')'))?;
    let (name, word) = (trim_marks(first[..open].trim()), normal(&first[open + 2..first.len() - 1]));
    let known = files.get(name).is_some();
    let said = ATTACHED.contains(&word.as_str()) || media::is_app_name(name);
    if name.len() > NAME_BYTES_MAX || !(known || said && media::has_ending(name)) {
        return None;
    }
    Some(Content::attached(attachment(name, files), rest.to_owned()))
}

fn attachment(name: &str, files: &Files) -> Attachment {
    Attachment { name: name.to_owned(), file: files.get(name).copied() }
}

fn caption(text: &str) -> String {
    text.trim_end_matches(|c| is_mark(c) || c == ' ').chars().filter(|c| *c != APP_MARK).collect()
}

/// `<Media omitted>`, or an iPhone's `image omitted` behind a direction mark.
fn omitted(text: &str) -> Option<Content> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let line = trim_marks(first.trim());
    let inner = line.strip_prefix(['<', '‹']).and_then(|line| line.strip_suffix(['>', '›']));
    if inner.is_some_and(|inner| MEDIA_OMITTED.contains(&normal(inner).as_str())) {
        return Some(Content { omitted: true, ..Content::of(Kind::Media, rest) });
    }
    if !rest.is_empty() {
        return None;
    }
    let (before, words) = first.trim_end().rsplit_once(APP_MARK)?;
    let words = normal(words);
    let last = words.split(' ').next_back()?;
    let kind = OMITTED_KINDS.iter().find(|(name, _)| words.starts_with(name)).map(|(_, kind)| *kind);
    if !OMITTED.contains(&last) || words.split(' ').count() > 4 {
        return None;
    }
    let kind = kind.and_then(Kind::parse).unwrap_or(Kind::Media);
    Some(Content { omitted: true, ..Content::of(kind, &caption(before)) })
}

/// What a text without attachment is.
fn said(text: &str, marked: bool) -> Kind {
    let text = trim_marks(text);
    let first = text.lines().next().unwrap_or_default();
    if text == "null" {
        return Kind::ViewOnce;
    }
    if let Some((_, kind)) = PREFIXES.iter().find(|(prefix, _)| first.starts_with(prefix)) {
        return Kind::parse(kind).unwrap_or(Kind::Text);
    }
    let place = first.split_once(": ").is_some_and(|(word, link)| {
        word.chars().count() <= 24 && MAPS.iter().any(|map| link.trim_start_matches(is_mark).starts_with(map))
    });
    if place {
        return Kind::Location;
    }
    let own = if marked { normal(first) } else { String::new() };
    if CALLS.iter().any(|call| own.starts_with(call)) { Kind::Call } else { Kind::Text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileEntry;

    #[test]
    fn messages_of_every_kind() {
        let entry = FileEntry { size: 5, hash: None };
        let files: Files = ["IMG-1.jpg", "00000007-PHOTO-2023.jpg", "Ponuda (2).pdf", "list.vcf"]
            .map(|name| (name.to_owned(), entry))
            .into_iter()
            .collect();
        let rows: &[(&str, &str)] = &[
            ("hello", "text 'hello'"),
            ("\u{200E}hello", "text '\u{200E}hello'"),
            ("IMG-1.jpg (file attached)", "image IMG-1.jpg here ''"),
            ("\u{200E}IMG-1.jpg (Datei angehängt)\nUnser Lager", "image IMG-1.jpg here 'Unser Lager'"),
            ("IMG-1.jpg (so any words do)", "image IMG-1.jpg here ''"),
            ("Ponuda (2).pdf (datoteka priložena)", "document Ponuda (2).pdf here ''"),
            ("IMG-20230102-WA0003.jpg (a tongue unknown)", "image IMG-20230102-WA0003.jpg missing ''"),
            ("price list.xlsx (file attached)", "document price list.xlsx missing ''"),
            ("price list.xlsx (I sent it)", "text 'price list.xlsx (I sent it)'"),
            ("list.vcf (archivo adjunto)", "contact list.vcf here ''"),
            ("\u{200E}<attached: 00000007-PHOTO-2023.jpg>", "image 00000007-PHOTO-2023.jpg here ''"),
            ("\u{200E}<Anhang: 00000008-AUDIO-2023.opus>", "audio 00000008-AUDIO-2023.opus missing ''"),
            (
                "two lines\nof caption \u{200E}<attached: 00000007-PHOTO-2023.jpg>",
                "image 00000007-PHOTO-2023.jpg here 'two lines\nof caption'",
            ),
            (
                "Invoice 7.pdf • \u{200E}3 pages \u{200E}<attached: 00000009-Invoice 7.pdf>",
                "document 00000009-Invoice 7.pdf missing 'Invoice 7.pdf • 3 pages'",
            ),
            ("see <https://a.example/b.pdf>", "text 'see <https://a.example/b.pdf>'"),
            ("<Media omitted>", "media omitted ''"),
            ("<Medien ausgeschlossen>\nUnser Lager", "media omitted 'Unser Lager'"),
            ("‹Mídia oculta>", "media omitted ''"),
            ("‹تم استبعاد الوسائط>", "media omitted ''"),
            ("<some words>", "text '<some words>'"),
            ("\u{200E}image omitted", "image omitted ''"),
            ("\u{200E}Audio weggelassen", "audio omitted ''"),
            ("Offer.pdf • \u{200E}2 pages \u{200E}document omitted", "document omitted 'Offer.pdf • 2 pages'"),
            ("two boxes omitted", "text 'two boxes omitted'"),
            ("null", "view_once 'null'"),
            ("POLL:\nWhich day?\nOPTION: Mon (2 votes)", "poll 'POLL:\nWhich day?\nOPTION: Mon (2 votes)'"),
            (
                "location: https://maps.google.com/?q=13.7,100.5",
                "location 'location: https://maps.google.com/?q=13.7,100.5'",
            ),
            (
                "\u{200E}Ubicación: https://maps.google.com/?q=1,2",
                "location '\u{200E}Ubicación: https://maps.google.com/?q=1,2'",
            ),
            ("at 5 <This message was edited>", "text edited 'at 5'"),
            ("at 5 \u{200E}<This message was edited>", "text edited 'at 5'"),
            ("a las 5 <Se editó este mensaje.>", "text edited 'a las 5'"),
            ("<This message was edited>", "text '<This message was edited>'"),
            ("This message was deleted", "deleted deleted 'This message was deleted'"),
            ("\u{200E}You deleted this message.", "deleted deleted 'You deleted this message.'"),
            ("ข้อความนี้ถูกลบแล้ว", "deleted deleted 'ข้อความนี้ถูกลบแล้ว'"),
            ("\u{200E}Missed voice call", "call '\u{200E}Missed voice call'"),
            ("Missed voice call from you?", "text 'Missed voice call from you?'"),
            (
                "\u{200E}Messages and calls are end-to-end encrypted. No one else can read them.",
                "system 'Messages and calls are end-to-end encrypted. No one else can read them.'",
            ),
            ("", "text ''"),
            ("<", "text '<'"),
            (">", "text '>'"),
            ("<>", "text '<>'"),
            ("<:A.jpg>", "text '<:A.jpg>'"),
            (" ()", "text ' ()'"),
        ];
        for (text, expect) in rows {
            let found = content(text, &files);
            let mut shown = found.kind.as_str().to_owned();
            if let Some(attachment) = &found.attachment {
                let state = if attachment.file.is_some() { "here" } else { "missing" };
                shown += &format!(" {} {state}", attachment.name);
            }
            for (word, holds) in [("omitted", found.omitted), ("edited", found.edited), ("deleted", found.deleted)] {
                if holds {
                    shown += &format!(" {word}");
                }
            }
            assert_eq!(format!("{shown} '{}'", found.body), *expect, "{text:?}");
        }
    }
}

//! File names of attachments: media types, kinds, and names that are safe to show.

use lockstep_protocol::limits::MEDIA_NAME_BYTES_MAX;

use crate::glyph::head;
use crate::record::Kind;

const TYPES: &[(&str, &str, Kind)] = &[
    ("jpg", "image/jpeg", Kind::Image),
    ("jpeg", "image/jpeg", Kind::Image),
    ("png", "image/png", Kind::Image),
    ("heic", "image/heic", Kind::Image),
    ("webp", "image/webp", Kind::Sticker),
    ("gif", "image/gif", Kind::Gif),
    ("mp4", "video/mp4", Kind::Video),
    ("mov", "video/quicktime", Kind::Video),
    ("3gp", "video/3gpp", Kind::Video),
    ("mkv", "video/x-matroska", Kind::Video),
    ("opus", "audio/ogg", Kind::Audio),
    ("ogg", "audio/ogg", Kind::Audio),
    ("m4a", "audio/mp4", Kind::Audio),
    ("mp3", "audio/mpeg", Kind::Audio),
    ("aac", "audio/aac", Kind::Audio),
    ("amr", "audio/amr", Kind::Audio),
    ("wav", "audio/wav", Kind::Audio),
    ("vcf", "text/vcard", Kind::Contact),
    ("pdf", "application/pdf", Kind::Document),
    ("txt", "text/plain", Kind::Document),
    ("csv", "text/csv", Kind::Document),
    ("zip", "application/zip", Kind::Document),
    ("doc", "application/msword", Kind::Document),
    ("xls", "application/vnd.ms-excel", Kind::Document),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", Kind::Document),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Kind::Document),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", Kind::Document),
];

fn ending(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once('.')?;
    let fits = !stem.is_empty() && (1..=5).contains(&ending.len()) && ending.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then_some(ending)
}

/// Whether a name ends like a file's.
pub(crate) fn has_ending(name: &str) -> bool {
    ending(name).is_some()
}

/// Names that the app itself gives: `IMG-20231231-WA0001.jpg`, `00000012-PHOTO-2023-….jpg`.
pub(crate) fn is_app_name(name: &str) -> bool {
    let android = ["IMG-", "VID-", "AUD-", "PTT-", "STK-", "DOC-"];
    android.iter().any(|start| name.starts_with(start)) && name.contains("-WA") && has_ending(name)
}

/// Media type by the name's ending; `application/octet-stream` for an unknown one.
pub(crate) fn media_type(name: &str) -> &'static str {
    known(name).map_or("application/octet-stream", |(_, media_type, _)| media_type)
}

/// Kind of message by the name's ending.
pub(crate) fn kind(name: &str) -> Kind {
    known(name).map_or(Kind::Document, |(_, _, kind)| *kind)
}

fn known(name: &str) -> Option<&'static (&'static str, &'static str, Kind)> {
    let ending = ending(name)?;
    TYPES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(ending))
}

/// As a message may carry it: no control characters, no separators of paths, at most 255 bytes with its ending kept.
pub(crate) fn safe_name(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c }).collect();
    if clean.len() <= MEDIA_NAME_BYTES_MAX {
        return clean;
    }
    let tail = ending(&clean).map(|ending| format!(".{ending}")).unwrap_or_default();
    format!("{}{tail}", head(&clean, MEDIA_NAME_BYTES_MAX - tail.len()))
}

//! The customer's name, as an export's file name holds it.

use super::app_words::FILE_NAMES;
use crate::glyph::plain;

/// The name in `WhatsApp Chat with NAME.txt` or `WhatsApp Chat - NAME.zip`, in any known language; `None` if the file
/// is not named like that.
#[must_use]
pub fn customer_in(file_name: &str) -> Option<String> {
    let name = plain(file_name);
    let mut stem = name.as_str();
    while let Some(shorter) = [".zip", ".txt"].iter().find_map(|ending| strip_end(stem, ending)) {
        stem = shorter;
    }
    // A download's copy: "… (1)".
    if let Some((before, copy)) = stem.rsplit_once(" (")
        && copy
            .strip_suffix(')')
            .is_some_and(|digits| !digits.is_empty() && digits.len() < 3 && digits.bytes().all(|b| b.is_ascii_digit()))
    {
        stem = before;
    }
    FILE_NAMES.iter().find_map(|(start, end)| {
        let rest = strip_end(strip_start(stem, start)?, end)?.trim();
        (!rest.is_empty()).then(|| rest.to_owned())
    })
}

/// Without `start` (lowercase) whatever the case; lowercase letters may be of other lengths.
fn strip_start<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let mut rest = text.chars();
    let same = start.chars().all(|c| rest.next().is_some_and(|given| given.to_lowercase().eq(core::iter::once(c))));
    same.then_some(rest.as_str())
}

fn strip_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let mut rest = text.chars();
    let same =
        end.chars().rev().all(|c| rest.next_back().is_some_and(|given| given.to_lowercase().eq(core::iter::once(c))));
    same.then_some(rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_file_names() {
        for (file, expect) in [
            ("WhatsApp Chat with Hotel Baan Suan.txt", Some("Hotel Baan Suan")),
            ("WhatsApp Chat with +66 81 234 5678.txt", Some("+66 81 234 5678")),
            ("WhatsApp Chat - Ayşe Yılmaz.zip", Some("Ayşe Yılmaz")),
            ("WhatsApp Chat - Ana (1).zip", Some("Ana")),
            ("WhatsApp Chat with Ana (Tiles).txt", Some("Ana (Tiles)")),
            ("Chat de WhatsApp con José.txt.zip", Some("José")),
            ("WhatsApp-Chat mit Jürgen.TXT", Some("Jürgen")),
            ("สมชาย.txt", None),
            ("_chat.txt", None),
            ("", None),
            ("WhatsApp Chat with .txt", None),
        ] {
            assert_eq!(customer_in(file).as_deref(), expect, "{file}");
        }
    }
}

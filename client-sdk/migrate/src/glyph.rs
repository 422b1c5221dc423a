//! Characters that an export holds beside its text: direction marks, digits of other scripts, kinds of space.

/// A mark that shows nothing: byte order mark and the direction marks that apps put around names and dates.
pub(crate) const fn is_mark(c: char) -> bool {
    matches!(
        c,
        '\u{FEFF}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    )
}

/// First digits of the blocks of ten decimal digits (Unicode category Nd) that a phone's locale may choose.
const ZEROS: [u32; 21] = [
    0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50, 0xED0, 0xF20,
    0x1040, 0x17E0, 0x1810, 0xFF10, 0x1E950,
];

/// The value of a decimal digit of any script in [`ZEROS`].
pub(crate) fn digit(c: char) -> Option<u32> {
    let code = c as u32;
    ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|value| *value < 10))
}

/// The first `bytes_max` bytes, or up to three fewer where that would cut a character.
pub(crate) fn head(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Without the marks at either end.
pub(crate) fn trim_marks(text: &str) -> &str {
    text.trim_matches(is_mark)
}

/// Without any mark, trimmed, every run of spaces one plain space.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !is_mark(*c)) {
        if !c.is_whitespace() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_every_script_count() {
        for (text, expect) in
            [("0189", 189), ("٢٠٢٢", 2022), ("۲۰۲۱", 2021), ("२०२३", 2023), ("๒๕๖๕", 2565), ("１２", 12)]
        {
            assert_eq!(text.chars().fold(0, |n, c| n * 10 + digit(c).expect("a digit")), expect, "{text}");
        }
        assert_eq!(['a', '/', '年', '²', '½'].map(digit), [None; 5]);
    }

    #[test]
    fn plain_text_has_no_marks() {
        for (text, expect) in
            [("\u{202A}+66\u{A0}81 234\u{202C}", "+66 81 234"), ("  ~\u{202F}Name ", "~ Name"), ("\u{200E}", "")]
        {
            assert_eq!(plain(text), expect);
        }
    }
}

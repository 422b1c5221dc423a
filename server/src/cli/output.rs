//! What verbs print: JSON as it came, or a table for people.

use std::fmt::Write;

use serde::Serialize;

use super::exit::Failed;

/// Prints one JSON value a line.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failed> {
    let text = serde_json::to_string(value).map_err(std::io::Error::other)?;
    line(&text)
}

/// Prints a line; a reader that has gone is no failure.
pub(crate) fn line(text: &str) -> Result<(), Failed> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Prints rows under their headings, as wide as they need.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failed> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let headings: Vec<String> = headings.iter().map(|heading| heading.to_uppercase()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = width.saturating_sub(cell.chars().count());
            write!(text, "{cell}{:padding$}  ", "").expect("writing into a string cannot fail");
        }
        line(text.trim_end())?;
    }
    Ok(())
}

/// Prints why a verb failed, to standard error.
pub(crate) fn failure(failed: &Failed, json: bool) {
    if json {
        eprintln!("{}", serde_json::json!({ "error": { "code": failed.code, "message": failed.message } }));
    } else {
        eprintln!("lockstep: {}", failed.message);
    }
}

/// A link as a QR code of half blocks, with the quiet zone that scanners need.
pub(crate) fn qr(text: &str) -> Result<String, Failed> {
    let code = qrcode::QrCode::new(text).map_err(std::io::Error::other)?;
    Ok(code.render::<qrcode::render::unicode::Dense1x2>().quiet_zone(true).build())
}

//! What each device shows, side by side.

use std::io::IsTerminal;

use lockstep_client::{Direction, MessageState, MessageView};

use super::super::exit::Failed;
use super::super::output;
use super::Seat;

/// Messages shown of each device.
const ROWS: usize = 6;
/// Letters of a column.
const WIDTH: usize = 38;

/// How columns look.
pub(super) struct Columns {
    titles: Vec<String>,
    names: Vec<(u32, String)>,
    colour: bool,
}

impl Columns {
    pub(super) fn new(titles: &[&str], names: &[(u32, &str)]) -> Self {
        Self {
            titles: titles.iter().map(|title| (*title).to_owned()).collect(),
            names: names.iter().map(|(id, name)| (*id, (*name).to_owned())).collect(),
            colour: std::io::stdout().is_terminal(),
        }
    }

    /// Prints the newest messages of each device.
    pub(super) fn show(&self, seats: &[Seat]) -> Result<(), Failed> {
        let columns: Vec<Vec<(String, &'static str)>> = seats.iter().map(|seat| self.column(seat)).collect();
        let title = |(title, seat): (&String, &Seat)| {
            let state = if seat.device.status().online { "" } else { "  (offline)" };
            fit(&format!("{title}{state}"))
        };
        output::line(&format!("  {}", self.titles.iter().zip(seats).map(title).collect::<Vec<_>>().join(" │ ")))?;
        output::line(&format!("  {}", vec!["─".repeat(WIDTH); seats.len()].join("─┼─")))?;
        for row in 0..ROWS {
            let cells = columns.iter().map(|column| match column.get(row) {
                Some((text, colour)) if self.colour && !colour.is_empty() => format!("{colour}{}\x1b[0m", fit(text)),
                Some((text, _)) => fit(text),
                None => fit(""),
            });
            output::line(&format!("  {}", cells.collect::<Vec<_>>().join(" │ ")))?;
        }
        Ok(())
    }

    fn column(&self, seat: &Seat) -> Vec<(String, &'static str)> {
        let messages = seat.view.messages();
        let newest = &messages[messages.len().saturating_sub(ROWS)..];
        newest.iter().map(|message| self.cell(message)).collect()
    }

    /// Icon and word, never colour alone.
    fn cell(&self, message: &MessageView) -> (String, &'static str) {
        let (mark, colour) = match (&message.state, message.dir) {
            (MessageState::Pending, _) => ("… waiting", "\x1b[90m"),
            (MessageState::Held(_), _) => ("! HELD BACK", "\x1b[33m"),
            (MessageState::Flagged(_), _) => ("! flagged", "\x1b[33m"),
            (MessageState::Discarded, _) => ("✗ dropped", "\x1b[90m"),
            (_, Direction::In) => ("←", ""),
            (_, Direction::Note) => ("✎", ""),
            (_, Direction::Out) => ("✓", "\x1b[32m"),
        };
        let name = self.names.iter().find(|(id, _)| *id == message.by.0).map_or("", |(_, name)| name);
        let name = if message.dir == Direction::In { "customer" } else { name };
        (format!("{mark} {name}: {}", message.body.replace('\n', " ")), colour)
    }
}

/// Cut or padded to a column's width, by letters that take room.
fn fit(text: &str) -> String {
    let mut fitted = String::new();
    let mut width = 0;
    for letter in text.chars() {
        let letter_width = letter_width(letter);
        if width + letter_width > WIDTH {
            break;
        }
        fitted.push(letter);
        width += letter_width;
    }
    fitted.extend(std::iter::repeat_n(' ', WIDTH - width));
    fitted
}

/// Columns of a terminal that a letter takes: none for marks, two for wide scripts and emoji.
const fn letter_width(letter: char) -> usize {
    match letter as u32 {
        0x0300..=0x036f
        | 0x0610..=0x061a
        | 0x064b..=0x065f
        | 0x0900..=0x0902
        | 0x093a
        | 0x093c
        | 0x0941..=0x0948
        | 0x094d
        | 0x0e31
        | 0x0e34..=0x0e3a
        | 0x0e47..=0x0e4e
        | 0x200b..=0x200f
        | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xff00..=0xff60 | 0x1f300..=0x1faff => {
            2
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_equally_wide() {
        for text in ["", "short", &"long ".repeat(20), "สวัสดีค่ะ", "你好你好你好你好你好你好你好你好你好你好你好", "🙏🙏"]
        {
            let width: usize = fit(text).chars().map(letter_width).sum();
            assert_eq!(width, WIDTH, "{text}");
        }
    }
}

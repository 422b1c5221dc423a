//! The head of a line: where the stamp ends and what follows it.

use core::fmt;

use serde::Serialize;

use super::stamp::{Shape, Stamp};
use crate::glyph::{self, is_mark};

/// How far into a line a stamp may end, bytes.
const HEADER_BYTES_MAX: usize = 160;

/// What sets the stamp apart from the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrap {
    /// `[stamp] Name: text`, of iPhones.
    Brackets,
    /// `stamp - Name: text`, of Android phones.
    Dash,
    /// `stamp: Name: text`, of iPhones before 2018.
    Colon,
}

/// The form of an export's headers; one export has one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Form {
    /// What sets the stamp apart.
    pub wrap: Wrap,
    /// The stamp itself.
    pub shape: Shape,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { time_first, date_separator, month_named, time_separator, seconds, twelve_hours } = self.shape;
        let date = match (month_named, date_separator) {
            (true, _) => "31 Dec 23".to_owned(),
            (false, '年' | '月') => "2023年12月31日".to_owned(),
            (false, sign) => format!("31{sign}12{sign}23"),
        };
        let second = if seconds { format!("{time_separator}00") } else { String::new() };
        let time = match twelve_hours {
            true => format!("9{time_separator}41{second} PM"),
            false => format!("21{time_separator}41{second}"),
        };
        let stamp = if time_first { format!("{time}, {date}") } else { format!("{date}, {time}") };
        match self.wrap {
            Wrap::Brackets => write!(f, "iPhone: [{stamp}] Name: text"),
            Wrap::Dash => write!(f, "Android: {stamp} - Name: text"),
            Wrap::Colon => write!(f, "older iPhone: {stamp}: Name: text"),
        }
    }
}

/// A line that begins with a stamp.
#[derive(Clone, Debug)]
pub(crate) struct Header<'a> {
    pub(crate) form: Form,
    pub(crate) stamp: Stamp,
    /// What follows: `Name: text`, or the app's words.
    pub(crate) rest: &'a str,
}

impl<'a> Header<'a> {
    /// Reads a line; `None` where it does not begin with a stamp.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim_start_matches(is_mark);
        if let Some(inner) = line.strip_prefix('[') {
            let end = head(inner).find(']')?;
            let rest = &inner[end + 1..];
            let rest = rest.strip_prefix(char::is_whitespace).unwrap_or(rest);
            return Self::made(Wrap::Brackets, &inner[..end], rest);
        }
        let head = head(line);
        // Most lines of a body are told apart here: a stamp holds a digit, and begins with one or with a month's name.
        if !head.chars().any(|c| glyph::digit(c).is_some()) {
            return None;
        }
        let mut before = ' ';
        for (at, c) in head.char_indices() {
            let after = &line[at + c.len_utf8()..];
            let spaced = after.is_empty() || after.starts_with(char::is_whitespace);
            let rest = after.strip_prefix(char::is_whitespace).unwrap_or(after);
            let found = match c {
                '-' | '–' if spaced && before.is_whitespace() => Self::made(Wrap::Dash, line[..at].trim_end(), rest),
                ':' if spaced && !before.is_whitespace() => Self::made(Wrap::Colon, &line[..at], rest),
                _ => None,
            };
            if found.is_some() {
                return found;
            }
            before = c;
        }
        None
    }

    fn made(wrap: Wrap, stamp: &str, rest: &'a str) -> Option<Self> {
        let stamp = Stamp::parse(stamp)?;
        Some(Self { form: Form { wrap, shape: stamp.shape }, stamp, rest })
    }
}

/// The part of a line that a stamp may lie in.
fn head(line: &str) -> &str {
    glyph::head(line, HEADER_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;

    use super::super::stamp::DateOrder::{self, DayFirst, MonthFirst, YearFirst};
    use super::*;

    fn at(line: &str, order: DateOrder) -> String {
        let Some(header) = Header::parse(line) else { return "no header".to_owned() };
        let time = header.stamp.at(order, Some(2016));
        format!(
            "{} | {}",
            time.map_or_else(|reason| reason.as_str().to_owned(), |at: DateTime| at.to_string()),
            header.rest
        )
    }

    #[test]
    fn headers_of_every_form() {
        const EVENING: &str = "2023-12-31T21:41:00 | Name: text";
        let rows: &[(&str, DateOrder, &str)] = &[
            ("12/31/23, 9:41 PM - Name: text", MonthFirst, EVENING),
            ("12/31/23, 9:41\u{202F}PM - Name: text", MonthFirst, EVENING),
            ("12/31/23, 9:41\u{A0}pm - Name: text", MonthFirst, EVENING),
            ("\u{FEFF}31/12/2023, 21:41 - Name: text", DayFirst, EVENING),
            ("31/12/23 21:41 - Name: text", DayFirst, EVENING),
            ("31.12.23, 21:41 - Name: text", DayFirst, EVENING),
            ("31-12-2023 21:41 - Name: text", DayFirst, EVENING),
            ("2023-12-31 21:41 - Name: text", DayFirst, EVENING),
            ("2023-12-31, 9:41 p. m. - Name: text", YearFirst, EVENING),
            ("31/12/23 9:41 p.\u{A0}m. - Name: text", DayFirst, EVENING),
            ("23/12/31 21:41 - Name: text", YearFirst, EVENING),
            ("31/12/2023 à 21:41 - Name: text", DayFirst, EVENING),
            ("31 déc. 2023 à 21 h 41 - Name: text", DayFirst, EVENING),
            ("Dec 31, 2023, 9:41 PM - Name: text", DayFirst, EVENING),
            ("31. 12. 2023 21:41 - Name: text", DayFirst, EVENING),
            ("2023年12月31日 下午9:41 - Name: text", DayFirst, EVENING),
            ("2023/12/31 下午9:41 - Name: text", DayFirst, EVENING),
            ("2023/12/31 晚上9:41 - Name: text", DayFirst, EVENING),
            ("2023. 12. 31. 오후 9:41 - Name: text", DayFirst, EVENING),
            ("2023년 12월 31일 오후 9:41 - Name: text", DayFirst, EVENING),
            ("31/12/23, 9:41 م - Name: text", DayFirst, EVENING),
            ("31/12/2566 21:41 - Name: text", DayFirst, EVENING),
            ("31/12/66 21:41 - Name: text", DayFirst, EVENING),
            ("31.12.23 klo 21.41 - Name: text", DayFirst, EVENING),
            ("31/12/23 21.41 - Name: text", DayFirst, EVENING),
            ("21:41, 31 Dec 2023 - Name: text", DayFirst, EVENING),
            ("[31.12.23, 21:41:00] Name: text", DayFirst, EVENING),
            ("\u{200E}[31.12.23, 21:41:00] Name: text", DayFirst, EVENING),
            ("[12/31/23, 9:41:00\u{202F}PM] Name: text", MonthFirst, EVENING),
            ("12/31/23, 9:41:00 PM: Name: text", MonthFirst, EVENING),
            ("[١٨\u{200F}/٣\u{200F}/٢٠٢٢، ٢:٥٦:٠٠ م] Name: text", DayFirst, "2022-03-18T14:56:00 | Name: text"),
            ("۲۰۲۱/۵/۳۰، ۱۸:۴۴ - Name: text", DayFirst, "2021-05-30T18:44:00 | Name: text"),
            ("[14:56:01, 3/18/22] Name: text", MonthFirst, "2022-03-18T14:56:01 | Name: text"),
            ("[3/18/R4, 14:56:01] Name: text", MonthFirst, "2022-03-18T14:56:01 | Name: text"),
            ("[令和4年3月18日 14:56:01] Name: text", DayFirst, "2022-03-18T14:56:01 | Name: text"),
            ("[3/18/2565 BE, 14:56:01] Name: text", MonthFirst, "2022-03-18T14:56:01 | Name: text"),
            ("[13.6.2018 klo 21.25.15] Name: text", DayFirst, "2018-06-13T21:25:15 | Name: text"),
            ("02.05.18 à 18:00 - Name: text", DayFirst, "2018-05-02T18:00:00 | Name: text"),
            ("19:23, 28 Aug 2013 - Name: text", DayFirst, "2013-08-28T19:23:00 | Name: text"),
            ("Mar 5, 8:11 PM - Name: text", DayFirst, "2016-03-05T20:11:00 | Name: text"),
            ("18 Mar 12:14 - Name: text", DayFirst, "2016-03-18T12:14:00 | Name: text"),
            ("[\u{FEFF}29.01.18, 12:24:03 PM] Name: text", DayFirst, "2018-01-29T12:24:03 | Name: text"),
            ("29.01.18, 12:24 AM - Name: text", DayFirst, "2018-01-29T00:24:00 | Name: text"),
            ("29.01.18, 24:05 - Name: text", DayFirst, "2018-01-29T00:05:00 | Name: text"),
            ("29/01/18, 中午12:24 - Name: text", DayFirst, "2018-01-29T12:24:00 | Name: text"),
            ("20231231 21:41 - Name: text", DayFirst, EVENING),
            ("31/02/23, 21:41 - Name: text", DayFirst, "names a day or time that does not exist | Name: text"),
            ("3/9/1400, 21:41 - Name: text", DayFirst, "names a year outside 1990–2199 | Name: text"),
        ];
        for (line, order, expect) in rows {
            assert_eq!(at(line, *order), *expect, "{line:?}");
        }
    }

    #[test]
    fn text_is_no_header() {
        for line in [
            "",
            "-",
            "ok - see you",
            "3 - 4 boxes",
            "Meet me 3/4 at 5 - please",
            "10:30 - truck leaves",
            "1. tiles - 20 boxes",
            "12/31 - see list",
            "[note] 12/31/23, 9:41 PM",
            "total: 1:2 - 3",
            "12/31/23 61:41 - Name: text",
            "12/31/23, 9:99 PM - Name: text",
            "Invoice 31/12/23, paid 21:41 - Name: text",
            "31 12 23 21:41 - Name: text",
            "1:2:3:4 1/1/23 - x",
            "31/12/23, AM PM 9:41 - x",
        ] {
            assert_eq!(at(line, DayFirst), "no header", "{line:?}");
        }
    }

    #[test]
    fn a_form_shows_itself() {
        for (line, expect) in [
            ("31/12/23, 21:41 - N: t", "Android: 31/12/23, 21:41 - Name: text"),
            ("[12.31.23, 9:41:00 PM] N: t", "iPhone: [31.12.23, 9:41:00 PM] Name: text"),
            ("21.25, 28 Aug 2013 - N: t", "Android: 21.41, 31 Dec 23 - Name: text"),
        ] {
            assert_eq!(Header::parse(line).expect("a header").form.to_string(), expect);
        }
    }
}

//! The date and time at the head of a line, read by structure and not by a list of locales.

use jiff::civil::{Date, DateTime, Time};
use serde::Serialize;

use super::stamp_word::{Word, word_at};
use crate::glyph::{digit, is_mark};
use crate::ledger::RejectReason;

/// Longest stamp, characters: the longest real one seen has 41.
const STAMP_CHARS_MAX: usize = 64;
/// First year that a message can have (the app is of 2009; the hub takes nothing before 1990).
const YEAR_MIN: i32 = 1990;
/// Last year that a message can have.
const YEAR_MAX: i32 = 2199;
/// Two-digit years from here on are of the Buddhist era (2552 was 2009).
const TWO_DIGIT_BUDDHIST_MIN: i32 = 52;

/// Which number of an all-digit date is which.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// 31/12/23.
    DayFirst,
    /// 12/31/23.
    MonthFirst,
    /// 23/12/31 or 2023-12-31.
    YearFirst,
}

impl DateOrder {
    /// Every order, the likelier ones first.
    pub const ALL: [Self; 3] = [Self::DayFirst, Self::MonthFirst, Self::YearFirst];

    /// As the option spells it: `dmy`, `mdy`, `ymd`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DayFirst => "dmy",
            Self::MonthFirst => "mdy",
            Self::YearFirst => "ymd",
        }
    }

    /// Reads [`DateOrder::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == text)
    }
}

/// A header's form, as far as it stays the same through one export.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Shape {
    /// The time stands before the date.
    pub time_first: bool,
    /// The first sign between the date's numbers; a space when the month is a name.
    pub date_separator: char,
    /// The month is a name.
    pub month_named: bool,
    /// The sign between hour and minute.
    pub time_separator: char,
    /// Seconds are given.
    pub seconds: bool,
    /// Twelve hours with a word for the half of the day.
    pub twelve_hours: bool,
}

/// A stamp taken apart; which number is the day may still be open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    pub(crate) shape: Shape,
    numbers: Vec<Number>,
    month: Option<u8>,
    /// Which number is known to be the year, and what is added to it.
    year: Option<(usize, i32)>,
    hour: u32,
    minute: u32,
    second: u32,
    half: Option<Word>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Number {
    value: u32,
    digits: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Number(Number),
    Word(Word),
    Sign(char),
    Space,
}

impl Stamp {
    /// Reads a whole stamp; `None` if any part of `text` cannot belong to one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let (start, end) = time_at(&tokens)?;
        let clock: Vec<u32> = tokens[start..end].iter().filter_map(Token::number).map(|number| number.value).collect();
        let (hour, minute, second) = (clock[0], clock[1], clock.get(2).copied());
        let is_number = |token: &Token| matches!(token, Token::Number(_));
        let time_first = !tokens[..start].iter().any(is_number);
        let (date, other) =
            if time_first { (&tokens[end..], &tokens[..start]) } else { (&tokens[..start], &tokens[end..]) };
        if other.iter().any(is_number) || hour > 24 || minute > 59 || second.unwrap_or(0) > 60 {
            return None;
        }
        let halves: Vec<Word> = tokens.iter().filter_map(Token::half).collect();
        if halves.len() > 1 || clock.len() > 3 {
            return None;
        }
        let Token::Sign(time_separator) = tokens[start + 1] else { return None };
        let mut stamp = Self {
            shape: Shape {
                time_first,
                date_separator: ' ',
                month_named: false,
                time_separator,
                seconds: second.is_some(),
                twelve_hours: !halves.is_empty(),
            },
            numbers: Vec::new(),
            month: None,
            year: None,
            hour,
            minute,
            second: second.unwrap_or(0),
            half: halves.first().copied(),
        };
        stamp.read_date(date).then_some(stamp)
    }

    fn read_date(&mut self, tokens: &[Token]) -> bool {
        let mut era = None;
        let mut joined = false;
        let mut gaps_joined = true;
        for token in tokens {
            match *token {
                Token::Number(number) => {
                    if !self.numbers.is_empty() {
                        gaps_joined &= joined;
                    }
                    if let Some(offset) = era.take() {
                        self.year = Some((self.numbers.len(), offset));
                    }
                    joined = false;
                    self.numbers.push(number);
                }
                Token::Word(Word::Month(month)) => {
                    if self.month.replace(month).is_some() {
                        return false;
                    }
                }
                Token::Word(Word::Era(offset)) => era = Some(offset),
                Token::Word(Word::Year) => {
                    let Some(last) = self.numbers.len().checked_sub(1) else { return false };
                    self.year.get_or_insert((last, 0));
                    self.separate('年');
                    joined = true;
                }
                Token::Word(Word::Unit) => {
                    self.separate('月');
                    joined = true;
                }
                Token::Sign(sign @ ('/' | '.' | '-')) if !self.numbers.is_empty() => {
                    self.separate(sign);
                    joined = true;
                }
                Token::Sign(':') => return false,
                Token::Sign(_) | Token::Space | Token::Word(_) => {}
            }
        }
        if let [only] = self.numbers[..]
            && only.digits == 8
        {
            let part = |value, digits| Number { value, digits };
            let year = part(only.value / 10_000, 4);
            self.numbers = vec![year, part(only.value / 100 % 100, 2), part(only.value % 100, 2)];
        }
        self.shape.month_named = self.month.is_some();
        if self.month.is_some() {
            self.shape.date_separator = ' ';
            return era.is_none() && matches!(self.numbers.len(), 1 | 2);
        }
        era.is_none() && gaps_joined && matches!(self.numbers.len(), 2 | 3)
    }

    fn separate(&mut self, sign: char) {
        if self.shape.date_separator == ' ' {
            self.shape.date_separator = sign;
        }
    }

    /// Whether the order of the numbers matters at all.
    pub(crate) const fn is_numeric(&self) -> bool {
        self.month.is_none()
    }

    /// Whether the first number can only be a year.
    pub(crate) fn year_leads(&self) -> bool {
        self.numbers.len() == 3 && (self.numbers[0].digits > 2 || self.year.is_some_and(|(at, _)| at == 0))
    }

    /// Year, month and day by an order; the year is `None` where the stamp gives none.
    fn fields(&self, order: DateOrder) -> Option<(Option<i32>, u32, u32)> {
        let numbers = &self.numbers[..];
        let is_year = |at: usize| {
            self.year.is_some_and(|(year, _)| year == at) || numbers[at].digits > 2 || numbers[at].value > 31
        };
        let year = |at: usize| {
            let (number, given) = (numbers[at], self.year.filter(|(year, _)| *year == at));
            let value = i32::try_from(number.value).ok()?;
            let year = match (given, number.digits) {
                (Some((_, offset)), _) if offset != 0 => value.checked_add(offset)?,
                (_, 1 | 2) if value >= TWO_DIGIT_BUDDHIST_MIN => value + 2500,
                (_, 1 | 2) => value + 2000,
                _ => value,
            };
            // The Buddhist era, with or without its name.
            Some(if year > 2400 { year - 543 } else { year })
        };
        if let Some(month) = self.month {
            return match numbers {
                [day] => Some((None, month.into(), day.value)),
                [_, _] if is_year(0) => Some((Some(year(0)?), month.into(), numbers[1].value)),
                [day, _] => Some((Some(year(1)?), month.into(), day.value)),
                _ => None,
            };
        }
        match (numbers, order) {
            ([a, b], DateOrder::DayFirst) => Some((None, b.value, a.value)),
            ([a, b], _) => Some((None, a.value, b.value)),
            ([_, b, c], _) if is_year(0) => Some((Some(year(0)?), b.value, c.value)),
            ([_, b, c], DateOrder::YearFirst) if !is_year(2) => Some((Some(year(0)?), b.value, c.value)),
            ([a, b, _], DateOrder::DayFirst) => Some((Some(year(2)?), b.value, a.value)),
            ([a, b, _], DateOrder::MonthFirst) => Some((Some(year(2)?), a.value, b.value)),
            _ => None,
        }
    }

    /// The instant on the phone's wall clock. `year` stands in where the stamp names none.
    pub(crate) fn at(&self, order: DateOrder, year: Option<i16>) -> Result<DateTime, RejectReason> {
        let (given, month, day) = self.fields(order).ok_or(RejectReason::DateInvalid)?;
        let year = match given {
            Some(year) if (YEAR_MIN..=YEAR_MAX).contains(&year) => {
                i16::try_from(year).map_err(|_| RejectReason::YearOutOfRange)?
            }
            Some(_) => return Err(RejectReason::YearOutOfRange),
            None => year.ok_or(RejectReason::YearMissing)?,
        };
        let small = |value: u32| i8::try_from(value).map_err(|_| RejectReason::DateInvalid);
        let date = Date::new(year, small(month)?, small(day)?).map_err(|_| RejectReason::DateInvalid)?;
        let hour = match self.half {
            None => self.hour % 24,
            Some(_) if self.hour > 12 => self.hour % 24,
            Some(Word::Am) => self.hour % 12,
            Some(Word::Noon) if self.hour >= 10 => self.hour,
            Some(_) => self.hour % 12 + 12,
        };
        let time = Time::new(small(hour)?, small(self.minute)?, small(self.second.min(59))?, 0)
            .map_err(|_| RejectReason::DateInvalid)?;
        Ok(DateTime::from_parts(date, time))
    }
}

impl Token {
    const fn number(&self) -> Option<Number> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    const fn half(&self) -> Option<Word> {
        match self {
            Self::Word(word @ (Word::Am | Word::Pm | Word::Noon)) => Some(*word),
            _ => None,
        }
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let plain = |c: char| match c {
        _ if c.is_whitespace() => ' ',
        '،' | '，' | '、' => ',',
        '．' => '.',
        '：' => ':',
        '／' => '/',
        '‐' | '‑' | '−' => '-',
        _ => c,
    };
    let chars: Vec<char> = text
        .chars()
        .filter(|c| !is_mark(*c))
        .take(STAMP_CHARS_MAX + 1)
        .flat_map(char::to_lowercase)
        .map(plain)
        .collect();
    if chars.len() > STAMP_CHARS_MAX {
        return None;
    }
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if digit(c).is_some() {
            let run: Vec<u32> = chars[at..].iter().map_while(|c| digit(*c)).collect();
            if run.len() > 8 {
                return None;
            }
            let value = run.iter().fold(0, |value, digit| value * 10 + digit);
            tokens.push(Token::Number(Number { value, digits: u8::try_from(run.len()).ok()? }));
            at += run.len();
        } else if matches!(c, '/' | '.' | '-' | ':' | ',') {
            tokens.push(Token::Sign(c));
            at += 1;
        } else if c == ' ' {
            tokens.push(Token::Space);
            at += 1;
        } else if c == 'h' && hour_sign(&mut tokens, &chars[at + 1..]) {
            // "21 h 41": as if it were 21:41.
            at += 1 + chars[at + 1..].iter().take_while(|c| **c == ' ').count();
        } else {
            let (word, length) = word_at(&chars[at..])?;
            tokens.push(Token::Word(word));
            at += length;
        }
    }
    Some(tokens)
}

/// Whether an `h` stands between an hour and a minute; then a `:` is put in its place.
fn hour_sign(tokens: &mut Vec<Token>, rest: &[char]) -> bool {
    let before = tokens.iter().rposition(|token| *token != Token::Space);
    let Some(before) = before.filter(|at| tokens[*at].number().is_some()) else { return false };
    if rest.iter().find(|c| **c != ' ').is_none_or(|c| digit(*c).is_none()) {
        return false;
    }
    tokens.truncate(before + 1);
    tokens.push(Token::Sign(':'));
    true
}

/// Where the time of day stands: from its first number to after its last.
fn time_at(tokens: &[Token]) -> Option<(usize, usize)> {
    let runs_of = |sign: char| {
        let mut runs = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let mut end = at + 1;
            if tokens[at].number().is_some() {
                while tokens.get(end) == Some(&Token::Sign(sign))
                    && tokens.get(end + 1).is_some_and(|token| token.number().is_some())
                {
                    end += 2;
                }
                if end > at + 1 {
                    runs.push((at, end));
                }
            }
            at = end;
        }
        runs
    };
    match runs_of(':')[..] {
        [only] => return Some(only),
        [] => {}
        _ => return None,
    }
    // Times like 21.25: the run of dots that is not the date.
    match runs_of('.')[..] {
        [only] => Some(only),
        [first, second] if second.1 - second.0 > first.1 - first.0 => Some(first),
        [_, second] => Some(second),
        _ => None,
    }
}

//! Which number is the day: decided by the whole file, or not at all.

use core::fmt;

use jiff::civil::DateTime;
use serde::Serialize;

use super::stamp::{DateOrder, Stamp};

/// The app's first year: an order that needs an earlier one has that against it.
const APP_YEAR: i16 = 2009;

/// The order that a file is read by, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OrderFound {
    /// The order.
    pub order: DateOrder,
    /// Why this one.
    pub reason: OrderReason,
}

/// What decided the order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderReason {
    /// No line leaves a choice: months are names, or there are no messages.
    NoChoice,
    /// An option said so.
    Given,
    /// The numbers allow no other; this line is the first to say so.
    Numbers {
        /// Its number, from 1.
        line: u64,
    },
    /// Read so, time runs backwards least often.
    Time {
        /// How often it does.
        inversions: u64,
        /// How often by the next best order.
        inversions_else: u64,
    },
    /// Every order gives the same days.
    Same,
    /// Read so, the file spreads over the fewest years; where as few, the year is not in front.
    Years,
    /// Nothing decides: someone has to say. The order is a guess and nothing may be imported by it.
    Undecided {
        /// What it may be.
        candidates: Vec<DateOrder>,
    },
}

impl OrderFound {
    /// Whether someone has to say which order it is.
    #[must_use]
    pub const fn is_undecided(&self) -> bool {
        matches!(self.reason, OrderReason::Undecided { .. })
    }
}

impl fmt::Display for OrderFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order {
            DateOrder::DayFirst => "day first",
            DateOrder::MonthFirst => "month first",
            DateOrder::YearFirst => "year first",
        };
        match &self.reason {
            OrderReason::NoChoice => write!(f, "{order} (the dates leave no choice)"),
            OrderReason::Given => write!(f, "{order} (as given)"),
            OrderReason::Numbers { line } => write!(f, "{order} (line {line} allows nothing else)"),
            OrderReason::Time { inversions, inversions_else } => {
                write!(f, "{order} (time runs backwards {inversions} times, else {inversions_else})")
            }
            OrderReason::Same => write!(f, "{order} (any other order says the same)"),
            OrderReason::Years => write!(f, "{order} (read so, the file spreads over the fewest years)"),
            OrderReason::Undecided { candidates } => {
                let names: Vec<&str> = candidates.iter().map(|order| order.as_str()).collect();
                write!(f, "UNDECIDED between {}: give the date order", names.join(" and "))
            }
        }
    }
}

struct Candidate {
    order: DateOrder,
    times: Vec<Option<DateTime>>,
    invalid: usize,
    inversions: u64,
    years: usize,
}

impl Candidate {
    fn new(order: DateOrder, stamps: &[(u64, &Stamp)], year: i16) -> Self {
        let all: Vec<Option<DateTime>> = stamps.iter().map(|(_, stamp)| stamp.at(order, Some(year)).ok()).collect();
        let mut years: Vec<i16> = all.iter().flatten().map(|at| at.year()).collect();
        let likely = |at: &DateTime| at.year() >= APP_YEAR;
        let times: Vec<Option<DateTime>> = all.into_iter().map(|at| at.filter(likely)).collect();
        let valid: Vec<DateTime> = times.iter().flatten().copied().collect();
        let inversions = valid.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
        years.sort_unstable();
        years.dedup();
        Self { order, invalid: times.len() - valid.len(), inversions, years: years.len(), times }
    }
}

/// Decides over all stamps of a file: the numbers first, then the fewest steps back in time, then an option, else
/// nobody. `year` is only for stamps without one.
pub(crate) fn decide(stamps: &[(u64, &Stamp)], given: Option<DateOrder>, year: Option<i16>) -> OrderFound {
    if let Some(order) = given {
        return OrderFound { order, reason: OrderReason::Given };
    }
    // Of a leap year, so that 29 February is a day.
    let year = year.unwrap_or(2016);
    let mut candidates: Vec<Candidate> =
        DateOrder::ALL.iter().map(|order| Candidate::new(*order, stamps, year)).collect();
    let found = |order, reason| OrderFound { order, reason };
    if !stamps.iter().any(|(_, stamp)| stamp.is_numeric()) {
        return found(DateOrder::DayFirst, OrderReason::NoChoice);
    }
    let year_leads = stamps.iter().any(|(_, stamp)| stamp.year_leads());
    if candidates.iter().all(|candidate| candidate.times == candidates[0].times) {
        let order = if year_leads { DateOrder::YearFirst } else { DateOrder::DayFirst };
        return found(order, OrderReason::Same);
    }
    candidates.sort_by_key(|candidate| candidate.invalid);
    // A year of two digits is in front in few places, and almost any date can be read so: a nonsense line or two must
    // not decide for it.
    if !year_leads {
        let usual = candidates.iter().find(|candidate| candidate.order != DateOrder::YearFirst);
        let (invalid, years) = usual.map_or((0, 0), |usual| (usual.invalid, usual.years));
        let few = invalid <= (stamps.len() / 10).max(1);
        candidates.retain(|candidate| candidate.order != DateOrder::YearFirst || !few || candidate.years < years);
    }
    let (best, next) = (&candidates[0], &candidates[1]);
    if best.invalid < next.invalid {
        let telling = (0..stamps.len()).find(|at| best.times[*at].is_some() && next.times[*at].is_none());
        return found(best.order, OrderReason::Numbers { line: telling.map_or(0, |at| stamps[at].0) });
    }
    let invalid = best.invalid;
    candidates.retain(|candidate| candidate.invalid == invalid);
    candidates.sort_by_key(|candidate| (candidate.inversions, candidate.years));
    let (best, next) = (&candidates[0], &candidates[1]);
    if best.inversions < next.inversions {
        let (inversions, inversions_else) = (best.inversions, next.inversions);
        return found(best.order, OrderReason::Time { inversions, inversions_else });
    }
    let rank = (best.inversions, best.years);
    candidates.retain(|candidate| (candidate.inversions, candidate.years) == rank);
    candidates.sort_by_key(|candidate| candidate.order);
    match &candidates[..] {
        [only] => found(only.order, OrderReason::Years),
        [first, rest @ ..] if rest.iter().all(|other| other.times == first.times) => {
            found(first.order, OrderReason::Same)
        }
        all => found(
            all[0].order,
            OrderReason::Undecided { candidates: all.iter().map(|candidate| candidate.order).collect() },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::Header;
    use super::*;

    fn check(dates: &[&str], expect: &str) {
        let lines: Vec<String> = dates.iter().map(|date| format!("{date}, 10:00 - N: t")).collect();
        let headers: Vec<Header<'_>> = lines.iter().map(|line| Header::parse(line).expect("a header")).collect();
        let stamps: Vec<(u64, &Stamp)> = (1..).zip(headers.iter().map(|header| &header.stamp)).collect();
        assert_eq!(decide(&stamps, None, None).to_string(), expect, "{dates:?}");
    }

    #[test]
    fn the_whole_file_decides() {
        check(&["01/02/23", "03/02/23", "13/02/23"], "day first (line 3 allows nothing else)");
        check(&["01/02/23", "02/03/23", "02/13/23"], "month first (line 3 allows nothing else)");
        check(&["23/12/30", "23/12/31", "24/01/01"], "year first (line 3 allows nothing else)");
        check(&["2023-02-03", "2023-03-01"], "year first (any other order says the same)");
        check(&["28 Feb 2023", "1 Mar 2023"], "day first (the dates leave no choice)");
        check(
            &["10/01/2023", "11/01/2023", "02/02/2023", "03/02/2023"],
            "day first (time runs backwards 0 times, else 1)",
        );
        check(&["1/10/23", "1/11/23", "2/2/23", "2/3/23"], "month first (time runs backwards 0 times, else 1)");
        check(&["01/02/2023", "02/03/2023"], "UNDECIDED between dmy and mdy: give the date order");
        check(&["05/05/2023"], "day first (any other order says the same)");
        check(&["31/12/23"], "day first (line 1 allows nothing else)");
        check(&["31/12/23", "31/02/23", "31/12/23"], "day first (line 1 allows nothing else)");
        check(&["23/12/10", "23/12/11", "23/12/12"], "year first (read so, the file spreads over the fewest years)");
        // One line that is nonsense by every order does not decide.
        check(&["10/01/2023", "45/45/2023", "02/02/2023"], "day first (time runs backwards 0 times, else 1)");
        check(&[], "day first (the dates leave no choice)");
    }
}

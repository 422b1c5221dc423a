//! What a bench answers: figures over interleaved rounds, their ratios, and whether they reach the goal.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// A figure over several rounds: median of the rounds, and their range.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Figure {
    pub(crate) fn over(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |index: usize| rounds.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(rounds.len() / 2), min: at(0), max: at(rounds.len().saturating_sub(1)) }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.max.abs() < 10.0 { 2 } else { 1 };
        write!(f, "{:.digits$}", self.median)?;
        if self.min < self.max { write!(f, " ({:.digits$} to {:.digits$})", self.min, self.max) } else { Ok(()) }
    }
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

/// A goal: of the ratio to the floor or peer if there is one, else of our own figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Goal {
    figure: &'static str,
    #[serde(flatten)]
    bound: Bound,
    met: bool,
}

/// What a bench found. It exists only if every device ended with the same messages: a run in which one did not has
/// ended with an error.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) name: &'static str,
    valid: bool,
    pub(crate) settings: Value,
    ours: BTreeMap<&'static str, Figure>,
    /// What ours is held against: a floor (what the machine can do at best), or the same with something left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    floor: BTreeMap<&'static str, Figure>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    ratio: BTreeMap<&'static str, Figure>,
    goals: Vec<Goal>,
    /// What a reader must know to read the figures right.
    pub(crate) notes: Vec<String>,
}

/// Figures of several rounds while they are gathered.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    ours: BTreeMap<&'static str, Vec<f64>>,
    floor: BTreeMap<&'static str, Vec<f64>>,
    ratio: BTreeMap<&'static str, Vec<f64>>,
}

impl Rounds {
    /// A figure of one round that stands for itself.
    pub(crate) fn alone(&mut self, figure: &'static str, ours: f64) {
        self.ours.entry(figure).or_default().push(ours);
    }

    /// A figure of one round and its floor in the same round.
    pub(crate) fn against(&mut self, figure: &'static str, ours: f64, floor: f64) {
        self.alone(figure, ours);
        self.floor.entry(figure).or_default().push(floor);
        self.ratio.entry(figure).or_default().push(ours / floor);
    }

    /// A figure of one round and a peer's in the same round, where less is better: the ratio is how many times ours is
    /// better.
    pub(crate) fn peer(&mut self, figure: &'static str, ours: f64, peer: f64) {
        self.alone(figure, ours);
        self.floor.entry(figure).or_default().push(peer);
        self.ratio.entry(figure).or_default().push(peer / ours);
    }

    /// The report; `goals` are of ratios where there is one.
    pub(crate) fn report(
        self,
        name: &'static str,
        against: Option<&'static str>,
        settings: Value,
        goals: &[(&'static str, Bound)],
    ) -> Report {
        let over = |rounds: BTreeMap<&'static str, Vec<f64>>| -> BTreeMap<_, _> {
            rounds.into_iter().map(|(figure, rounds)| (figure, Figure::over(rounds))).collect()
        };
        let (ours, floor, ratio) = (over(self.ours), over(self.floor), over(self.ratio));
        let goals = goals.iter().filter_map(|(figure, bound)| {
            let median = ratio.get(figure).or_else(|| ours.get(figure))?.median;
            Some(Goal { figure, bound: *bound, met: bound.holds(median) })
        });
        let goals = goals.collect();
        Report { name, valid: true, settings, ours, against, floor, ratio, goals, notes: Vec::new() }
    }
}

impl Report {
    /// A goal of our own figure, also where there is a ratio.
    pub(crate) fn own_goal(mut self, figure: &'static str, bound: Bound) -> Self {
        let met = self.ours.get(figure).is_some_and(|ours| bound.holds(ours.median));
        self.goals.push(Goal { figure, bound, met });
        self
    }

    /// Adds what a reader must know.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Rows of figure, ours, what it is held against, ratio, goal; empty where there is none.
    fn rows(&self) -> Vec<[String; 5]> {
        let text =
            |figures: &BTreeMap<&str, Figure>, key: &str| figures.get(key).map_or_else(String::new, Figure::to_string);
        self.ours
            .keys()
            .map(|figure| {
                let goals = self.goals.iter().filter(|goal| goal.figure == *figure).map(|goal| {
                    let (sign, bound) = match goal.bound {
                        Bound::AtMost(most) => ("≤", most),
                        Bound::AtLeast(least) => ("≥", least),
                    };
                    format!("{sign} {bound} {}", if goal.met { "met" } else { "MISSED" })
                });
                [
                    (*figure).to_owned(),
                    text(&self.ours, figure),
                    text(&self.floor, figure),
                    text(&self.ratio, figure),
                    goals.collect::<Vec<_>>().join(", "),
                ]
            })
            .collect()
    }

    /// The report as a part of a Markdown file.
    pub(crate) fn to_markdown(&self, title: &str) -> String {
        let against = self.against.unwrap_or("–");
        let mut text = format!(
            "## {title}\n\n`{}`\n\n| figure | ours | {against} | ratio | goal |\n|---|---|---|---|---|\n",
            self.settings
        );
        for [figure, ours, floor, ratio, goal] in self.rows() {
            text.push_str(&format!("| {figure} | {ours} | {floor} | {ratio} | {goal} |\n"));
        }
        for note in &self.notes {
            text.push_str(&format!("\n{note}\n"));
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  {}", self.name, self.settings)?;
        let head = ["", "ours", self.against.unwrap_or(""), if self.ratio.is_empty() { "" } else { "ratio" }, "goal"];
        let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(self.rows()).collect();
        let widths: [usize; 5] =
            std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
        for row in &rows {
            let line =
                row.iter().zip(widths).fold("  ".to_owned(), |line, (cell, width)| format!("{line}{cell:<width$}  "));
            writeln!(f, "{}", line.trim_end())?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
    }
}

/// The beginning of RESULTS.md: how the figures came about, and on which machine.
pub(crate) fn head() -> anyhow::Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(':'));
        line.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism()?;
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease");
    let (kernel, load) = (kernel.trim(), read("/proc/loadavg"));
    let load = load.split_whitespace().next().unwrap_or("unknown");
    Ok(format!(
        "# Figures\n\n\
         Written by `cargo run --release -p lockstep-benches -- report`; do not edit. {cores} cores of {processor}, \
         {memory}, Linux {kernel}; load average at the beginning {load}.\n\n\
         Each figure is the median over interleaved rounds of one run, with the range behind it; the first round warms \
         up and is not counted. Ratios are taken within a round. The server under test, ours or another, runs on core 0, \
         the load on core 1. Ours is always the real program: TLS, WebSocket, the rules, RocksDB with one sync before \
         anything is acknowledged or shown. Load is open: a message's time runs from when it was to leave. A run counts \
         only if every device ended with the same messages; one that did not has no entry here. Absolute times are those \
         of one machine on one day; ratios are what to compare.\n"
    ))
}

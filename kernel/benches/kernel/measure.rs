//! Clocks, medians and the list of figures.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};

/// Times of one thing, seconds, one per round.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<f64>);

impl Times {
    pub fn push(&mut self, seconds: f64) {
        self.0.push(seconds);
    }

    pub fn time<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let result = black_box(work());
        self.push(began.elapsed().as_secs_f64());
        result
    }

    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The fastest round: what a busy machine disturbs least.
    pub fn fastest(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Median over the rounds of how much faster this was than `other` in the same round.
    pub fn speed_of(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(own, other)| other / own).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What a ratio should come to.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// One line of the report.
#[derive(Debug)]
pub struct Figure<'a> {
    /// Section, and what was worked on.
    pub part: &'a str,
    pub case: &'a str,
    /// Who did it.
    pub who: &'a str,
    pub threads: usize,
    pub median: f64,
    pub fastest: f64,
    pub unit: &'a str,
    /// Against what, and how many times as fast (or as long, where the target says at most).
    pub ratio: Option<(&'a str, f64)>,
    /// Of the ratio if there is one, else of the median.
    pub target: Option<Target>,
}

impl Figure<'_> {
    /// Whether the target is reached; nothing without one.
    fn reached(&self) -> Option<bool> {
        let value = self.ratio.map_or(self.median, |(_, ratio)| ratio);
        match self.target? {
            Target::AtLeast(least) => Some(value >= least),
            Target::AtMost(most) => Some(value <= most),
        }
    }
}

/// Figures as they come, printed and kept.
#[derive(Debug, Default)]
pub struct Report(Vec<Value>);

impl Report {
    pub fn push(&mut self, figure: &Figure<'_>) {
        let (ratio, of) = figure.ratio.map_or((None, None), |(of, ratio)| (Some(ratio), Some(of)));
        let target = match figure.target {
            None => String::new(),
            Some(Target::AtLeast(least)) => format!(">= {least}"),
            Some(Target::AtMost(most)) => format!("<= {most}"),
        };
        let against = of.map(|of| format!("{:>6.2} x {of}", ratio.unwrap_or(f64::NAN))).unwrap_or_default();
        println!(
            "{:10} {:14} {:34} {:>2} {:>12.2} {:8} {against:34} {target:10} {}",
            figure.part,
            figure.case,
            figure.who,
            figure.threads,
            figure.median,
            figure.unit,
            match figure.reached() {
                None => "",
                Some(true) => "reached",
                Some(false) => "missed",
            }
        );
        self.0.push(json!({
            "part": figure.part, "case": figure.case, "who": figure.who, "threads": figure.threads,
            "median": figure.median, "fastest": figure.fastest, "unit": figure.unit,
            "ratio": ratio, "of": of, "target": target, "reached": figure.reached(),
        }));
    }

    /// All figures.
    pub fn into_json(self) -> Value {
        Value::Array(self.0)
    }
}

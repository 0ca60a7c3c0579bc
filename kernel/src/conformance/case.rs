//! What every kind of public test has in common: options, results, and the reasons for which a case may be skipped.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::eip3155::Parts;
use crate::error::{InputError, InputResult};
use crate::exec::schedule::Runner;

/// Why a case is not decided: the only reasons there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// A block must be refused and nothing but its proof-of-work seal is wrong.
    Seal,
    /// The case begins with a parent that no chain can have.
    Parent,
    /// The case has a value by a draft that no fork released.
    Draft,
    /// A transaction offers more wei per gas than 128 bits hold.
    Price,
}

/// Every reason, in the order of reports.
pub const SKIPS: [Skip; 4] = [Skip::Seal, Skip::Parent, Skip::Draft, Skip::Price];

impl Skip {
    /// Name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Parent => "parent",
            Self::Draft => "draft",
            Self::Price => "price",
        }
    }

    /// What the reason means.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Seal => {
                "a block must be refused for its Ethash seal alone: seals of proof of work are not checked by Hansa"
            }
            Self::Parent => {
                "a formula on a parent that no chain has: a difficulty below 131072, more gas than the block's limit"
            }
            Self::Draft => "a base fee rounded by a draft of EIP-1559 that no fork released",
            Self::Price => "more wei per gas than 2^128 - 1, which nobody can pay: the kernel refuses the transaction",
        }
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// What was expected and what came.
    Failed(String),
    Skipped(Skip),
}

/// One case of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    pub name: String,
    /// Fork or network; empty where the case has none.
    pub fork: String,
    pub outcome: Outcome,
    /// The trace that was asked for: a line a step and one at the end; else empty.
    pub trace: String,
}

impl CaseResult {
    /// A case without a trace.
    #[must_use]
    pub fn new(name: impl Into<String>, fork: impl Into<String>, outcome: Outcome) -> Self {
        Self { name: name.into(), fork: fork.into(), outcome, trace: String::new() }
    }
}

/// Names of the runners that a block test may ask for.
pub const RUNNERS: [&str; 4] = ["sequential", "window", "stm", "access-list"];

/// The runner of that name.
///
/// # Errors
/// Names `runner` when there is none.
pub fn runner_of(name: &str) -> InputResult<Runner> {
    let known = RUNNERS.contains(&name).then(|| Runner::from_name(name)).flatten();
    known.ok_or_else(|| InputError::new("runner", RUNNERS.join(", "), name))
}

/// How cases are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only this fork or network.
    pub fork: Option<String>,
    pub runner: Runner,
    /// Begin without any value of the state, so that everything is asked for.
    pub cold: bool,
    /// Only cases with a block of at least so many transactions.
    pub transactions_min: usize,
    /// Trace state tests step by step (EIP-3155).
    pub trace: Option<Parts>,
}

impl Default for Options {
    fn default() -> Self {
        Self { fork: None, runner: Runner::Sequential, cold: false, transactions_min: 0, trace: None }
    }
}

impl Options {
    /// Whether cases of that fork are wanted. Forks are compared by meaning: "Merge" is "Paris".
    #[must_use]
    pub fn wants(&self, fork: &str) -> bool {
        use crate::spec::Fork;
        self.fork.as_deref().is_none_or(|wanted| {
            wanted.eq_ignore_ascii_case(fork)
                || Fork::from_name(wanted).is_some_and(|wanted| Fork::from_name(fork) == Some(wanted))
        })
    }
}

/// Decide one case: errors and panics of the kernel are failures with a text.
pub fn decide(work: impl FnOnce() -> InputResult<Outcome>) -> Outcome {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Failed(error.to_string()),
        Err(panic) => Outcome::Failed(format!("the kernel panicked: {}", panic_text(&*panic))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

/// Passed when nothing failed.
#[must_use]
pub fn outcome_of(failures: &[String]) -> Outcome {
    if failures.is_empty() { Outcome::Passed } else { Outcome::Failed(failures.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_its_text() {
        let outcome = decide(|| panic!("boom"));
        assert_eq!(outcome, Outcome::Failed("the kernel panicked: boom".to_owned()));
    }

    #[test]
    fn forks_are_wanted_by_meaning() {
        let options = Options { fork: Some("merge".to_owned()), ..Options::default() };
        assert!(!options.wants("London"));
        let options = Options { fork: Some("Merge".to_owned()), ..Options::default() };
        assert!(options.wants("Paris") && !options.wants("Shanghai"));
        assert!(Options::default().wants("anything"));
    }

    #[test]
    fn an_unknown_runner_is_refused_by_name() {
        assert_eq!(runner_of("stm"), Ok(Runner::Stm));
        assert_eq!(runner_of("quantum").expect_err("unknown").field, "runner");
    }
}

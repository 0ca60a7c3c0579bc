//! What was recorded of one transaction as JSON, in its tracer's shape.

use revm::context::result::{ExecutionResult, HaltReason};
use revm::state::EvmState;
use revm_inspectors::tracing::FourByteInspector;

use super::calls::{decimal, string};
use super::config::Tracer;
use super::flat::{self, Place, Style};
use super::parity::{self, Output};
use super::recorder::Recorder;
use crate::evm;
use crate::exec::state::JobState;
use crate::views::array;

/// geth's text of a run that failed.
#[must_use]
pub fn error_text(result: &ExecutionResult) -> Option<String> {
    match result {
        ExecutionResult::Success { .. } => None,
        ExecutionResult::Revert { .. } => Some("execution reverted".to_owned()),
        ExecutionResult::Halt { reason, .. } => Some(match reason {
            HaltReason::OpcodeNotFound => "invalid opcode".to_owned(),
            other => evm::halt_text(other).to_owned(),
        }),
    }
}

/// A transaction that has been run under a recorder, and is not yet folded into the state.
pub struct Rendering<'r> {
    pub state: &'r mut JobState,
    pub recorder: &'r mut Recorder,
    pub result: &'r ExecutionResult,
    pub after: &'r EvmState,
    pub place: Place,
}

impl Rendering<'_> {
    fn output(&self) -> &[u8] {
        match self.result {
            ExecutionResult::Halt { .. } => &[],
            other => other.output().map_or(&[], AsRef::as_ref),
        }
    }

    /// `None` when the state lacks a value, which is then wanted.
    pub fn render(&mut self, tracer: &Tracer, out: &mut Vec<u8>) -> Option<()> {
        match tracer {
            Tracer::StructLogs(_) => {
                if let Some(steps) = &self.recorder.steps {
                    steps.render(self.result.tx_gas_used(), !self.result.is_success(), self.output(), out);
                }
            }
            Tracer::Calls(options) => {
                if let Some(calls) = &self.recorder.calls {
                    calls.render(*options, out);
                }
            }
            Tracer::Flat(options) => {
                if let Some(calls) = &self.recorder.calls {
                    flat::render(calls, Style::Geth(*options), self.place, out);
                }
            }
            Tracer::Prestate(options) => {
                if let Some(touched) = &self.recorder.touched {
                    touched.render(*options, self.state, self.after, out)?;
                }
            }
            Tracer::Selectors => self.selectors(out),
            Tracer::Noop | Tracer::AccessList => out.extend_from_slice(b"{}"),
            Tracer::Mux(parts) => {
                out.push(b'{');
                for (index, (name, tracer)) in parts.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    string(out, name);
                    out.push(b':');
                    self.render(tracer, out)?;
                }
                out.push(b'}');
            }
            Tracer::Parity(options) => {
                let bytes = self.output().to_vec();
                let output = match self.result {
                    ExecutionResult::Revert { .. } => Output::Reverted(&bytes),
                    _ => Output::Returned(&bytes),
                };
                parity::render(*options, self.recorder, self.state, self.after, self.place, output, out)?;
            }
        }
        Some(())
    }

    fn selectors(&self, out: &mut Vec<u8>) {
        let found = self.recorder.selectors.as_ref().map(FourByteInspector::inner);
        let mut found: Vec<_> = found.into_iter().flatten().collect();
        found.sort_unstable();
        let mut items = Vec::new();
        array(&mut items, found, |out, ((selector, size), count)| {
            string(out, &format!("{selector}-{size}"));
            out.push(b':');
            decimal(out, *count);
        });
        out.push(b'{');
        out.extend_from_slice(items.get(1..items.len() - 1).unwrap_or_default());
        out.push(b'}');
    }
}

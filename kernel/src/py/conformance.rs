//! Public tests at the border.

use alloy_primitives::{Address, Bytes, U256};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::base::{heavy_checked, light_checked};
use crate::conformance::eip3155::Parts;
use crate::conformance::run::{self, Ran, RunRequest};
use crate::conformance::t8n::{Transition, transition};
use crate::conformance::{self, CaseResult, Kind, Options, Outcome, RUNNERS, SKIPS, runner_of};
use crate::error::InputResult;
use crate::pack;

fn parts(trace: Option<Vec<String>>) -> InputResult<Option<Parts>> {
    trace.map(|names| Parts::from_names(&names)).transpose()
}

/// Outcome of one case of a public test.
#[pyclass(frozen, name = "CaseResult", module = "hansa_kernel")]
pub struct PyCaseResult(CaseResult);

#[pymethods]
impl PyCaseResult {
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn fork(&self) -> &str {
        &self.0.fork
    }

    #[getter]
    fn passed(&self) -> bool {
        self.0.outcome == Outcome::Passed
    }

    #[getter]
    fn skipped(&self) -> Option<&'static str> {
        match self.0.outcome {
            Outcome::Skipped(reason) => Some(reason.name()),
            Outcome::Passed | Outcome::Failed(_) => None,
        }
    }

    #[getter]
    fn trace(&self) -> &str {
        &self.0.trace
    }

    #[getter]
    fn error(&self) -> &str {
        match &self.0.outcome {
            Outcome::Failed(text) => text,
            Outcome::Passed | Outcome::Skipped(_) => "",
        }
    }
}

#[pyfunction]
#[pyo3(signature = (kind, name, json, *, fork=None, runner="sequential", cold=false, transactions_min=0, trace=None))]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of one call")]
fn run_conformance(
    py: Python<'_>,
    kind: &str,
    name: &str,
    json: &[u8],
    fork: Option<String>,
    runner: &str,
    cold: bool,
    transactions_min: usize,
    trace: Option<Vec<String>>,
) -> PyResult<Vec<PyCaseResult>> {
    let options = light_checked(py, || {
        Ok(Options { fork, runner: runner_of(runner)?, cold, transactions_min, trace: parts(trace)? })
    })?;
    let kind = light_checked(py, || Kind::from_name(kind))?;
    let results = heavy_checked(py, || conformance::run(kind, name, json, &options))?;
    Ok(results.into_iter().map(PyCaseResult).collect())
}

#[pyfunction]
#[pyo3(signature = (alloc, env, txs, fork, chain_id, reward_wei, *, trace=None))]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of one call")]
fn state_transition<'py>(
    py: Python<'py>,
    alloc: &[u8],
    env: &[u8],
    txs: &[u8],
    fork: &str,
    chain_id: u64,
    reward_wei: Option<u128>,
    trace: Option<Vec<String>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let reward = reward_wei.map(U256::from);
    let output = heavy_checked(py, || {
        transition(&Transition { alloc, env, txs, fork, chain_id, reward, trace: parts(trace)? })
    })?;
    Ok(PyBytes::new(py, &output))
}

/// What became of code that was run alone.
#[pyclass(frozen, name = "Ran", module = "hansa_kernel")]
pub struct PyRan(Ran);

#[pymethods]
impl PyRan {
    #[getter]
    fn summary(&self) -> &str {
        &self.0.summary
    }

    #[getter]
    fn trace(&self) -> &str {
        &self.0.trace
    }

    #[getter]
    fn output<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.output)
    }

    #[getter]
    fn error(&self) -> &str {
        &self.0.error
    }

    #[getter]
    fn dump(&self) -> &str {
        &self.0.dump
    }
}

#[pyfunction]
#[pyo3(signature = (
    prestate, fork, code, input, gas, price_wei, value_wei, sender, receiver,
    *, create=false, trace=None,
))]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of one call")]
fn run_code(
    py: Python<'_>,
    prestate: &[u8],
    fork: &str,
    code: &[u8],
    input: &[u8],
    gas: u64,
    price_wei: u128,
    value_wei: &[u8],
    sender: &[u8],
    receiver: &[u8],
    create: bool,
    trace: Option<Vec<String>>,
) -> PyResult<PyRan> {
    let ran = heavy_checked(py, || {
        run::run_code(&RunRequest {
            prestate: prestate.to_vec(),
            fork: fork.to_owned(),
            code: Bytes::copy_from_slice(code),
            input: Bytes::copy_from_slice(input),
            gas,
            price: price_wei,
            value: U256::from_be_bytes(pack::exact::<32>("value_wei", value_wei)?),
            sender: Address::from(pack::exact::<20>("sender", sender)?),
            receiver: Address::from(pack::exact::<20>("receiver", receiver)?),
            create,
            trace: parts(trace)?,
        })
    })?;
    Ok(PyRan(ran))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyCaseResult>()?;
    module.add_class::<PyRan>()?;
    module.add_function(wrap_pyfunction!(run_code, module)?)?;
    module.add("CONFORMANCE_RUNNERS", RUNNERS)?;
    module.add("CONFORMANCE_SKIPS", SKIPS.map(|skip| (skip.name(), skip.text())))?;
    module.add_function(wrap_pyfunction!(run_conformance, module)?)?;
    module.add_function(wrap_pyfunction!(state_transition, module)?)
}

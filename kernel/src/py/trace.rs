//! Tracing and simulation at the border.

use std::sync::Mutex;

use alloy_primitives::B256;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use serde_json::Value;

use super::base::{alone, input_error, light, light_checked};
use super::call::Cancelled;
use super::exec::{PyNeed, PyProgress, PyStateCache, PyValues, cache_view, locked};
use super::header::PyBlockEnv;
use super::spec::PySpec;
use super::tx::PyTxBatch;
use crate::error::{InputError, InputResult};
use crate::evm::CancelFlag;
use crate::header::Header;
use crate::pack;
use crate::trace::args::CallArgs;
use crate::trace::job::{OUTPUT_BYTES_MAX, TraceError, TracedCall};
use crate::trace::simulate::{Options, SimulateError, SimulateJob, SimulateRequest, SimulateStep};
use crate::trace::{TraceJob, TraceRequest, TraceStep, Traced, Tracer};

create_exception!(hansa_kernel, TraceRefused, PyException, "What was to be run cannot be: `code`, `message`.");

fn refused(py: Python<'_>, code: i32, message: &str) -> PyErr {
    let exception = TraceRefused::new_err(message.to_owned());
    let value = exception.value(py);
    if let Err(failed) = value.setattr("code", code).and_then(|()| value.setattr("message", message)) {
        return failed;
    }
    exception
}

/// geth's code for errors that have none of their own.
const SERVER_ERROR: i32 = -32_000;
/// More was asked for than a limit allows.
const LIMIT_EXCEEDED: i32 = -32_005;

/// The answers of a trace.
#[pyclass(frozen, name = "TraceResult", module = "hansa_kernel")]
pub struct PyTraceResult(Vec<Traced>);

#[pymethods]
impl PyTraceResult {
    #[getter]
    fn traces<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.0.iter().map(|traced| PyBytes::new(py, &traced.json)))
    }

    #[getter]
    fn gas_used(&self) -> Vec<u64> {
        self.0.iter().map(|traced| traced.gas_used).collect()
    }
}

/// Traces transactions of a block, or calls on one. Runs on the caller's thread.
#[pyclass(frozen, name = "TraceJob", module = "hansa_kernel")]
pub struct PyTraceJob {
    job: Mutex<TraceJob>,
    cancel: CancelFlag,
}

fn traced_calls(bytes: &[u8]) -> InputResult<Vec<TracedCall>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let value: Value = crate::spec::json::parse("calls", bytes)?;
    let list = value.as_array().ok_or_else(|| InputError::new("calls", "an array", &value))?;
    list.iter()
        .map(|item| match item.as_array().map(Vec::as_slice) {
            Some([args, config]) => Ok(TracedCall {
                args: CallArgs::read(args)?,
                tracer: if config.is_null() { None } else { Some(Tracer::read(config)?) },
            }),
            _ => Err(InputError::new("calls", "pairs of a call and its config", item)),
        })
        .collect()
}

#[pymethods]
impl PyTraceJob {
    #[new]
    #[pyo3(signature = (
        spec, env, batch, *, first, config, calls = None, gas_max, system_calls, block_hash = None,
        state_overrides = None, block_overrides = None, cache = None, parent_hash = None, output_bytes_max = OUTPUT_BYTES_MAX
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        spec: &Bound<'_, PySpec>,
        env: &Bound<'_, PyBlockEnv>,
        batch: &Bound<'_, PyTxBatch>,
        first: usize,
        config: &[u8],
        calls: Option<&[u8]>,
        gas_max: u64,
        system_calls: bool,
        block_hash: Option<&[u8]>,
        state_overrides: Option<&[u8]>,
        block_overrides: Option<&[u8]>,
        cache: Option<&Bound<'_, PyStateCache>>,
        parent_hash: Option<&[u8]>,
        output_bytes_max: usize,
    ) -> PyResult<Self> {
        let cancel = CancelFlag::default();
        let job = light_checked(py, || {
            let block_hash = match block_hash.unwrap_or_default() {
                [] => None,
                bytes => Some(B256::from(pack::exact::<32>("block_hash", bytes)?)),
            };
            let request = TraceRequest {
                spec: spec.get().0.clone(),
                env: env.get().0.clone(),
                block_hash,
                batch: batch.get().0.clone(),
                first,
                system_calls,
                calls: traced_calls(calls.unwrap_or_default())?,
                gas_max,
                tracer: Tracer::parse(config)?,
                state_overrides: state_overrides.unwrap_or_default().to_vec(),
                block_overrides: block_overrides.unwrap_or_default().to_vec(),
                cache: cache_view(cache, parent_hash.unwrap_or_default())?,
                output_bytes_max: output_bytes_max.min(OUTPUT_BYTES_MAX),
            };
            TraceJob::new(request, cancel.clone())
        })?;
        Ok(Self { job: Mutex::new(job), cancel })
    }

    #[pyo3(signature = (values = None))]
    fn step<'py>(&self, py: Python<'py>, values: Option<&Bound<'py, PyValues>>) -> PyResult<Bound<'py, PyAny>> {
        let raw = values.map(|values| values.get().raw());
        match alone(py, || locked(&self.job).step(raw.as_ref()))? {
            Ok(TraceStep::Need(keys)) => Ok(Bound::new(py, PyNeed::new(py, &keys))?.into_any()),
            Ok(TraceStep::Progress) => Ok(Bound::new(py, PyProgress)?.into_any()),
            Ok(TraceStep::Done(traced)) => Ok(Bound::new(py, PyTraceResult(traced))?.into_any()),
            Err(TraceError::Input(error)) => Err(input_error(py, &error)),
            Err(TraceError::Cancelled) => Err(Cancelled::new_err("the trace was cancelled")),
            Err(error @ TraceError::Invalid(_)) => Err(refused(py, SERVER_ERROR, &error.to_string())),
            Err(error @ TraceError::TooLarge(_)) => Err(refused(py, LIMIT_EXCEEDED, &error.to_string())),
        }
    }

    fn cancel(&self) {
        self.cancel.set();
    }
}

/// Blocks, simulated.
#[pyclass(frozen, name = "SimulateResult", module = "hansa_kernel")]
pub struct PySimulateResult(Vec<u8>);

#[pymethods]
impl PySimulateResult {
    #[getter]
    fn json<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0)
    }
}

/// A simulated block that waits for its state root.
#[pyclass(frozen, name = "Unsealed", module = "hansa_kernel")]
pub struct PyUnsealed(Vec<u8>);

#[pymethods]
impl PyUnsealed {
    #[getter]
    fn write_set<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0)
    }
}

/// `eth_simulateV1`. Runs on the caller's thread.
#[pyclass(frozen, name = "SimulateJob", module = "hansa_kernel")]
pub struct PySimulateJob {
    job: Mutex<SimulateJob>,
    cancel: CancelFlag,
}

fn simulate_error(py: Python<'_>, error: &SimulateError) -> PyErr {
    match error {
        SimulateError::Input(error) => input_error(py, error),
        SimulateError::Cancelled => Cancelled::new_err("the simulation was cancelled"),
        SimulateError::Refused { code, message } => refused(py, *code, message),
        SimulateError::TooLarge(_) => refused(py, LIMIT_EXCEEDED, &error.to_string()),
    }
}

#[pymethods]
impl PySimulateJob {
    #[new]
    #[pyo3(signature = (spec, base_header, *, options, gas_max, cache = None))]
    fn new(
        py: Python<'_>,
        spec: &Bound<'_, PySpec>,
        base_header: &[u8],
        options: &[u8],
        gas_max: u64,
        cache: Option<&Bound<'_, PyStateCache>>,
    ) -> PyResult<Self> {
        let cancel = CancelFlag::default();
        let request = light_checked(py, || {
            let base = Header::decode("base_header", base_header)?;
            let view = cache_view(cache, base.hash.as_slice())?;
            Ok(SimulateRequest {
                spec: spec.get().0.clone(),
                base,
                options: Options::parse(options)?,
                gas_max,
                cache: view,
            })
        })?;
        let job = light(|| SimulateJob::new(request, cancel.clone()))?.map_err(|error| simulate_error(py, &error))?;
        Ok(Self { job: Mutex::new(job), cancel })
    }

    #[pyo3(signature = (values = None))]
    fn step<'py>(&self, py: Python<'py>, values: Option<&Bound<'py, PyValues>>) -> PyResult<Bound<'py, PyAny>> {
        let raw = values.map(|values| values.get().raw());
        match alone(py, || locked(&self.job).step(raw.as_ref()))? {
            Ok(SimulateStep::Need(keys)) => Ok(Bound::new(py, PyNeed::new(py, &keys))?.into_any()),
            Ok(SimulateStep::Progress) => Ok(Bound::new(py, PyProgress)?.into_any()),
            Ok(SimulateStep::Seal(writes)) => Ok(Bound::new(py, PyUnsealed(writes.encode()))?.into_any()),
            Ok(SimulateStep::Done(json)) => Ok(Bound::new(py, PySimulateResult(json))?.into_any()),
            Err(error) => Err(simulate_error(py, &error)),
        }
    }

    fn seal(&self, py: Python<'_>, state_root: &[u8]) -> PyResult<()> {
        light_checked(py, || locked(&self.job).seal(B256::from(pack::exact::<32>("state_root", state_root)?)))
    }

    fn cancel(&self) {
        self.cancel.set();
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("TraceRefused", module.py().get_type::<TraceRefused>())?;
    module.add_class::<PyTraceResult>()?;
    module.add_class::<PyTraceJob>()?;
    module.add_class::<PySimulateResult>()?;
    module.add_class::<PyUnsealed>()?;
    module.add_class::<PySimulateJob>()
}

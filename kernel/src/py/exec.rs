//! Execution of blocks at the border.

use std::sync::{Mutex, MutexGuard};

use alloy_primitives::B256;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::base::{heavy, heavy_checked, heavy_on, input_error, light, light_checked};
use super::header::PyBlockEnv;
use super::spec::PySpec;
use super::tx::{PyTxBatch, PyTxError};
use crate::error::{InputError, InputResult};
use crate::exec::block_job::{self, BlockJob, BlockRequest, BlockResult, JobError, ROUNDS_MAX, Step};
use crate::exec::cache::{CacheView, StateCache};
use crate::exec::need::{Keys, RawValues};
use crate::exec::schedule::{Runner, Running};
use crate::exec::sequential::BlockInvalid;
use crate::exec::write_set::WriteSet;
use crate::header::Attached;
use crate::pack;

create_exception!(hansa_kernel, PyBlockInvalid, PyException, "The block breaks a rule: `code`, `index`, `message`.");

/// A broken rule as the Python exception with its three fields.
pub fn block_invalid(py: Python<'_>, invalid: &BlockInvalid) -> PyErr {
    let text = match invalid.index {
        Some(index) => format!("transaction {index}: {}", invalid.message),
        None => invalid.message.clone(),
    };
    let exception = PyBlockInvalid::new_err(text);
    let value = exception.value(py);
    let set = || {
        value.setattr("code", invalid.code)?;
        value.setattr("index", invalid.index)?;
        value.setattr("message", &invalid.message)
    };
    set().err().unwrap_or(exception)
}

/// Keys that a job lacks.
#[pyclass(frozen, name = "Need", module = "hansa_kernel")]
pub struct PyNeed {
    #[pyo3(get)]
    accounts: Py<PyBytes>,
    #[pyo3(get)]
    slots: Py<PyBytes>,
    #[pyo3(get)]
    codes: Py<PyBytes>,
    #[pyo3(get)]
    blocks: Py<PyBytes>,
}

impl PyNeed {
    pub fn new(py: Python<'_>, keys: &Keys) -> Self {
        let [accounts, slots, codes, blocks] = keys.arrays().map(|array| PyBytes::new(py, &array).unbind());
        Self { accounts, slots, codes, blocks }
    }
}

#[pymethods]
impl PyNeed {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let count = |array: &Py<PyBytes>, width: usize| array.bind(py).len().map(|length| length / width);
        Ok(format!(
            "Need(accounts={}, slots={}, codes={}, blocks={})",
            count(&self.accounts, 20)?,
            count(&self.slots, 52)?,
            count(&self.codes, 32)?,
            count(&self.blocks, 8)?
        ))
    }
}

/// The answer to a need.
#[pyclass(frozen, name = "Values", module = "hansa_kernel")]
pub struct PyValues {
    accounts: PyBackedBytes,
    slots: PyBackedBytes,
    codes: PyBackedBytes,
    blocks: PyBackedBytes,
    account_codes: Option<PyBackedBytes>,
}

impl PyValues {
    pub fn raw(&self) -> RawValues<'_> {
        RawValues {
            accounts: &self.accounts,
            slots: &self.slots,
            codes: &self.codes,
            blocks: &self.blocks,
            account_codes: self.account_codes.as_deref().unwrap_or_default(),
        }
    }
}

#[pymethods]
impl PyValues {
    #[new]
    #[pyo3(signature = (*, accounts, slots, codes, blocks, account_codes = None))]
    fn new(
        accounts: PyBackedBytes,
        slots: PyBackedBytes,
        codes: PyBackedBytes,
        blocks: PyBackedBytes,
        account_codes: Option<PyBackedBytes>,
    ) -> Self {
        Self { accounts, slots, codes, blocks, account_codes }
    }
}

/// The step's work limit was reached.
#[pyclass(frozen, name = "Progress", module = "hansa_kernel")]
pub struct PyProgress;

/// Committed values under overlays of staged blocks.
#[pyclass(frozen, name = "StateCache", module = "hansa_kernel")]
pub struct PyStateCache(StateCache);

/// The view of a job at `parent_hash`, which is only looked at with a cache.
pub fn cache_view(cache: Option<&Bound<'_, PyStateCache>>, parent_hash: &[u8]) -> InputResult<Option<CacheView>> {
    match cache {
        None => Ok(None),
        Some(cache) => Ok(cache.get().0.view(pack::exact::<32>("parent_hash", parent_hash)?.into())),
    }
}

#[pymethods]
impl PyStateCache {
    #[new]
    #[pyo3(signature = (*, entries_max = 500_000, overlays_max = 64))]
    fn new(py: Python<'_>, entries_max: usize, overlays_max: usize) -> PyResult<Self> {
        light_checked(py, || {
            if entries_max == 0 || overlays_max == 0 {
                return Err(InputError::new("entries_max, overlays_max", "at least 1", "0"));
            }
            Ok(Self(StateCache::new(entries_max, overlays_max)))
        })
    }

    fn reset(&self, py: Python<'_>, head_hash: &[u8]) -> PyResult<()> {
        light_checked(py, || {
            self.0.reset(pack::exact::<32>("head_hash", head_hash)?.into());
            Ok(())
        })
    }

    fn stage(
        &self,
        py: Python<'_>,
        parent_hash: &[u8],
        block_hash: &[u8],
        result: &Bound<'_, PyBlockResult>,
    ) -> PyResult<()> {
        let result = result.get();
        heavy_checked(py, || {
            let parent = pack::exact::<32>("parent_hash", parent_hash)?;
            let hash = pack::exact::<32>("block_hash", block_hash)?;
            self.0.stage(parent.into(), hash.into(), &result.inner.write_set);
            Ok(())
        })
    }

    fn commit(&self, py: Python<'_>, block_hash: &[u8]) -> PyResult<bool> {
        heavy_checked(py, || Ok(self.0.commit(pack::exact::<32>("block_hash", block_hash)?.into())))
    }

    fn holds(&self, py: Python<'_>, block_hash: &[u8]) -> PyResult<bool> {
        light_checked(py, || Ok(self.0.holds(pack::exact::<32>("block_hash", block_hash)?.into())))
    }
}

/// An executed block.
#[pyclass(frozen, name = "BlockResult", module = "hansa_kernel")]
pub struct PyBlockResult {
    pub inner: BlockResult,
    /// Encoded once, since it goes to storage and to the trie.
    write_set: Py<PyBytes>,
    receipts: Py<PyBytes>,
}

fn bytes(py: Python<'_>, data: impl AsRef<[u8]>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, data.as_ref())
}

impl PyBlockResult {
    fn new(py: Python<'_>, inner: BlockResult) -> PyResult<Self> {
        let encoded = heavy(py, || inner.write_set.encode())?;
        let write_set = PyBytes::new(py, &encoded).unbind();
        let receipts = PyBytes::new(py, &inner.receipts).unbind();
        Ok(Self { inner: BlockResult { receipts: Vec::new(), ..inner }, write_set, receipts })
    }
}

#[pymethods]
impl PyBlockResult {
    #[getter]
    fn gas_used(&self) -> u64 {
        self.inner.gas_used
    }

    #[getter]
    fn receipts(&self, py: Python<'_>) -> Py<PyBytes> {
        self.receipts.clone_ref(py)
    }

    #[getter]
    fn write_set(&self, py: Python<'_>) -> Py<PyBytes> {
        self.write_set.clone_ref(py)
    }

    #[getter]
    fn transactions_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes(py, self.inner.transactions_root)
    }

    #[getter]
    fn receipts_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes(py, self.inner.receipts_root)
    }

    #[getter]
    fn logs_bloom<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes(py, self.inner.logs_bloom)
    }

    #[getter]
    fn ommers_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes(py, self.inner.ommers_hash)
    }

    #[getter]
    fn states<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let encoded = heavy(py, || self.inner.states.iter().map(WriteSet::encode).collect::<Vec<_>>())?;
        PyList::new(py, encoded.into_iter().map(|writes| bytes(py, writes)))
    }

    fn with_state_roots(&self, py: Python<'_>, roots: &[u8]) -> PyResult<Self> {
        let inner = heavy_checked(py, || {
            let roots: Vec<B256> = pack::fixed::<32>("roots", roots)?.iter().map(B256::from).collect();
            self.inner.clone().with_state_roots(&roots)
        })?;
        Self::new(py, inner)
    }

    #[getter]
    fn requests_hash<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.requests_hash.map(|hash| bytes(py, hash))
    }

    #[getter]
    fn withdrawals_root<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.withdrawals_root.map(|root| bytes(py, root))
    }

    #[getter]
    fn blob_gas_used(&self) -> Option<u64> {
        self.inner.blob_gas_used
    }

    #[getter]
    fn included<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let indices: Vec<u8> = self
            .inner
            .included
            .iter()
            .flat_map(|index| u32::try_from(*index).unwrap_or(u32::MAX).to_be_bytes())
            .collect();
        bytes(py, indices)
    }

    #[getter]
    fn dropped<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let pairs: Vec<(usize, Py<PyTxError>)> = self
            .inner
            .dropped
            .iter()
            .map(|(index, error)| Ok((*index, Py::new(py, PyTxError(error.clone()))?)))
            .collect::<PyResult<_>>()?;
        PyList::new(py, pairs)
    }

    #[getter]
    fn access_list<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes(py, &self.inner.access_list)
    }

    #[getter]
    fn account_updates<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes(py, &self.inner.account_updates)
    }

    #[getter]
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.inner.stats;
        let dict = PyDict::new(py);
        dict.set_item("rounds", stats.rounds)?;
        dict.set_item("misses", stats.misses)?;
        dict.set_item("reexecutions", stats.reexecutions)?;
        dict.set_item("steps", stats.steps)?;
        dict.set_item("hints_ignored", stats.hints_ignored)?;
        dict.set_item("hints_wrong", stats.hints_wrong)?;
        dict.set_item("apart", stats.parallel.apart)?;
        dict.set_item("conflicts", stats.parallel.conflicts)?;
        dict.set_item("repeated", stats.parallel.repeated)?;
        dict.set_item("windows", stats.parallel.windows)?;
        Ok(dict)
    }
}

/// Executes one block behind the miss protocol.
#[pyclass(frozen, name = "BlockJob", module = "hansa_kernel")]
pub struct PyBlockJob(Mutex<BlockJob>);

/// A job whose step panicked is not used again: `KernelBug` once more. Only taken outside the pool: a worker that waits for
/// the rest of one step may take up another step of the same job, and would wait for itself.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("an earlier step of this job panicked")
}

#[pymethods]
impl PyBlockJob {
    #[new]
    #[pyo3(signature = (
        spec, env, batch, *, ommers = None, withdrawals = None, cache = None, parent_hash = None, building = false,
        hints = None, system_calls = true, rounds_max = ROUNDS_MAX, runner = "auto"
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        spec: &Bound<'_, PySpec>,
        env: &Bound<'_, PyBlockEnv>,
        batch: &Bound<'_, PyTxBatch>,
        ommers: Option<&[u8]>,
        withdrawals: Option<&[u8]>,
        cache: Option<&Bound<'_, PyStateCache>>,
        parent_hash: Option<&[u8]>,
        building: bool,
        hints: Option<&[u8]>,
        system_calls: bool,
        rounds_max: u32,
        runner: &str,
    ) -> PyResult<Self> {
        let runner = light_checked(py, || {
            let names = "auto, sequential, window, stm or access-list";
            Runner::from_name(runner).ok_or_else(|| InputError::new("runner", names, runner))
        })?;
        let cache = light_checked(py, || cache_view(cache, parent_hash.unwrap_or_default()))?;
        let (spec, env, batch) = (spec.get(), env.get(), batch.get());
        let job = heavy_checked(py, || {
            BlockJob::new(BlockRequest {
                spec: spec.0.clone(),
                env: env.0.clone(),
                batch: batch.0.clone(),
                attached: Attached::read(ommers.unwrap_or_default(), withdrawals)?,
                cache,
                building,
                hints: hints.unwrap_or_default().to_vec(),
                system_calls,
                rounds_max,
                running: Running { runner, ..Running::default() },
            })
        })?;
        Ok(Self(Mutex::new(job)))
    }

    #[pyo3(signature = (values = None))]
    fn step<'py>(&self, py: Python<'py>, values: Option<&Bound<'py, PyValues>>) -> PyResult<Bound<'py, PyAny>> {
        let raw = values.map(|values| values.get().raw());
        match heavy_on(py, || locked(&self.0), |job| job.step(raw.as_ref()))? {
            Ok(Step::Need(keys)) => Ok(Bound::new(py, PyNeed::new(py, &keys))?.into_any()),
            Ok(Step::Progress) => Ok(Bound::new(py, PyProgress)?.into_any()),
            Ok(Step::Done(result)) => Ok(Bound::new(py, PyBlockResult::new(py, *result)?)?.into_any()),
            Err(JobError::Input(error)) => Err(input_error(py, &error)),
            Err(JobError::Invalid(invalid)) => Err(block_invalid(py, &invalid)),
        }
    }
}

#[pyfunction]
fn build_header<'py>(
    py: Python<'py>,
    env: &Bound<'py, PyBlockEnv>,
    result: &Bound<'py, PyBlockResult>,
    spec: &Bound<'py, PySpec>,
    state_root: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let root = light_checked(py, || pack::exact::<32>("state_root", state_root))?;
    let header = light(|| block_job::build_header(&env.get().0, &result.get().inner, &spec.get().0, root.into()))?;
    Ok(PyBytes::new(py, &header.rlp))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("BlockInvalid", module.py().get_type::<PyBlockInvalid>())?;
    module.add_class::<PyNeed>()?;
    module.add_class::<PyValues>()?;
    module.add_class::<PyProgress>()?;
    module.add_class::<PyStateCache>()?;
    module.add_class::<PyBlockResult>()?;
    module.add_class::<PyBlockJob>()?;
    module.add_function(wrap_pyfunction!(build_header, module)?)
}

//! Tries at the border.

#![expect(clippy::needless_pass_by_value, reason = "what PyO3 extracts of a sequence is owned")]

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::B256;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList};
use pyo3::{create_exception, intern};

use super::base::{heavy, heavy_checked, heavy_on, input_error, light_checked};
use crate::pack;
use crate::trie::{self, ProofStep, TrieAsk, TrieError, TrieStep};

create_exception!(hansa_kernel, CorruptState, PyException, "A stored trie node is not what its parent says; `path`.");

/// Most nodes that a cache takes.
const NODES_MAX: usize = 100_000_000;

fn trie_error(py: Python<'_>, error: &TrieError) -> PyErr {
    match error {
        TrieError::Input(error) => input_error(py, error),
        TrieError::Corrupt(path) => {
            let exception = CorruptState::new_err(error.to_string());
            match exception.value(py).setattr(intern!(py, "path"), PyBytes::new(py, path)) {
                Ok(()) => exception,
                Err(failed) => failed,
            }
        }
    }
}

fn word(py: Python<'_>, field: &str, bytes: &[u8]) -> PyResult<B256> {
    pack::exact::<32>(field, bytes).map(B256::from).map_err(|error| input_error(py, &error))
}

fn borrow(nodes: &[Option<PyBackedBytes>]) -> Vec<Option<&[u8]>> {
    nodes.iter().map(|node| node.as_deref()).collect()
}

#[pyclass(frozen, name = "TrieNeed", module = "hansa_kernel")]
pub struct TrieNeed {
    #[pyo3(get)]
    paths: Py<PyBytes>,
    #[pyo3(get)]
    wiped: Py<PyBytes>,
}

impl TrieNeed {
    pub fn new(py: Python<'_>, ask: &TrieAsk) -> Self {
        Self { paths: PyBytes::new(py, &ask.paths).unbind(), wiped: PyBytes::new(py, &ask.wiped).unbind() }
    }
}

#[pyclass(frozen, name = "TrieResult", module = "hansa_kernel")]
pub struct TrieResult {
    #[pyo3(get)]
    root: Py<PyBytes>,
    #[pyo3(get)]
    node_writes: Py<PyBytes>,
    #[pyo3(get)]
    node_deletes: Py<PyBytes>,
    #[pyo3(get)]
    node_old: Py<PyBytes>,
    #[pyo3(get)]
    storage_roots: Py<PyBytes>,
    #[pyo3(get)]
    stats: Py<PyDict>,
}

impl TrieResult {
    fn new(py: Python<'_>, outcome: &trie::TrieOutcome) -> PyResult<Self> {
        let stats = PyDict::new(py);
        let counts = outcome.stats;
        for (name, count) in [
            ("rounds", counts.rounds),
            ("asked", counts.asked),
            ("revealed", counts.revealed),
            ("cache_hits", counts.cache_hits),
            ("written", counts.written),
            ("deleted", counts.deleted),
            ("tries", counts.tries),
            ("leaves", counts.leaves),
        ] {
            stats.set_item(name, count)?;
        }
        Ok(Self {
            root: PyBytes::new(py, outcome.root.as_slice()).unbind(),
            node_writes: PyBytes::new(py, &outcome.node_writes).unbind(),
            node_deletes: PyBytes::new(py, &outcome.node_deletes).unbind(),
            node_old: PyBytes::new(py, &outcome.node_old).unbind(),
            storage_roots: PyBytes::new(py, &outcome.storage_roots).unbind(),
            stats: stats.unbind(),
        })
    }
}

#[pyclass(frozen, name = "TrieCache", module = "hansa_kernel")]
pub struct TrieCache(Arc<trie::TrieCache>);

#[pymethods]
impl TrieCache {
    #[new]
    #[pyo3(signature = (*, nodes_max = 200_000))]
    fn new(nodes_max: usize) -> Self {
        Self(Arc::new(trie::TrieCache::new(nodes_max.min(NODES_MAX))))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

#[pyclass(frozen, name = "TrieJob", module = "hansa_kernel")]
pub struct TrieJob(Mutex<trie::TrieJob>);

#[pymethods]
impl TrieJob {
    #[new]
    #[pyo3(signature = (parent_root, write_set, accounts, *, cache = None))]
    fn new(
        py: Python<'_>,
        parent_root: &[u8],
        write_set: &[u8],
        accounts: &[u8],
        cache: Option<&Bound<'_, TrieCache>>,
    ) -> PyResult<Self> {
        let root = word(py, "parent_root", parent_root)?;
        let cache = cache.map(|cache| cache.get().0.clone());
        let job = heavy_checked(py, || trie::TrieJob::new(root, write_set, accounts, cache))?;
        Ok(Self(Mutex::new(job)))
    }

    #[pyo3(signature = (nodes = None, wiped = None))]
    fn step<'py>(
        &self,
        py: Python<'py>,
        nodes: Option<Vec<Option<PyBackedBytes>>>,
        wiped: Option<Vec<PyBackedBytes>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let nodes = nodes.unwrap_or_default();
        let wiped = wiped.unwrap_or_default();
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let step = heavy_on(py, lock, |job| {
            let wiped: Vec<&[u8]> = wiped.iter().map(|listing| &**listing).collect();
            job.step(&borrow(&nodes), &wiped)
        })?;
        match step.map_err(|error| trie_error(py, &error))? {
            TrieStep::Need(ask) => Ok(Bound::new(py, TrieNeed::new(py, &ask))?.into_any()),
            TrieStep::Done(outcome) => Ok(Bound::new(py, TrieResult::new(py, &outcome)?)?.into_any()),
        }
    }
}

#[pyclass(frozen, name = "ProofResult", module = "hansa_kernel")]
pub struct ProofResult {
    #[pyo3(get)]
    account_proof: Py<PyList>,
    #[pyo3(get)]
    storage_proofs: Py<PyList>,
}

#[pyclass(frozen, name = "ProofJob", module = "hansa_kernel")]
pub struct ProofJob(Mutex<trie::ProofJob>);

#[pymethods]
impl ProofJob {
    #[new]
    #[pyo3(signature = (root, address, slots, *, storage_root))]
    fn new(py: Python<'_>, root: &[u8], address: &[u8], slots: &[u8], storage_root: &[u8]) -> PyResult<Self> {
        let (root, storage_root) = (word(py, "root", root)?, word(py, "storage_root", storage_root)?);
        let job =
            light_checked(py, || trie::ProofJob::new(root, pack::exact("address", address)?, slots, storage_root))?;
        Ok(Self(Mutex::new(job)))
    }

    #[pyo3(signature = (nodes = None))]
    fn step<'py>(&self, py: Python<'py>, nodes: Option<Vec<Option<PyBackedBytes>>>) -> PyResult<Bound<'py, PyAny>> {
        let nodes = nodes.unwrap_or_default();
        let step = heavy(py, || self.0.lock().unwrap_or_else(PoisonError::into_inner).step(&borrow(&nodes)))?;
        let list = |proof: &Vec<Vec<u8>>| PyList::new(py, proof.iter().map(|node| PyBytes::new(py, node)));
        match step.map_err(|error| trie_error(py, &error))? {
            ProofStep::Need(ask) => Ok(Bound::new(py, TrieNeed::new(py, &ask))?.into_any()),
            ProofStep::Done(outcome) => {
                let storage = outcome.storage_proofs.iter().map(list).collect::<PyResult<Vec<_>>>()?;
                let result = ProofResult {
                    account_proof: list(&outcome.account_proof)?.unbind(),
                    storage_proofs: PyList::new(py, storage)?.unbind(),
                };
                Ok(Bound::new(py, result)?.into_any())
            }
        }
    }
}

#[pyfunction]
#[pyo3(signature = (root, key, value, nodes))]
fn verify_proof(
    py: Python<'_>,
    root: &[u8],
    key: &[u8],
    value: Option<&[u8]>,
    nodes: Vec<PyBackedBytes>,
) -> PyResult<bool> {
    let root = word(py, "root", root)?;
    let nodes: Vec<&[u8]> = nodes.iter().map(|node| &**node).collect();
    heavy(py, || trie::verify_proof(root, key, value, &nodes))
}

#[pyfunction]
fn trie_root<'py>(py: Python<'py>, items: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, heavy_checked(py, || trie::trie_root(items))?.as_slice()))
}

#[pyfunction]
fn ordered_root<'py>(py: Python<'py>, items: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let root = heavy_checked(py, || Ok(trie::ordered_root(&pack::read_packed("items", items)?)))?;
    Ok(PyBytes::new(py, root.as_slice()))
}

#[pyfunction]
fn write_set_keys<'py>(py: Python<'py>, write_set: &[u8]) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let (addresses, slots) = light_checked(py, || trie::write_set::keys(write_set))?;
    Ok((PyBytes::new(py, &addresses), PyBytes::new(py, &slots)))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add(intern!(py, "EMPTY_ROOT"), PyBytes::new(py, trie::EMPTY_ROOT.as_slice()))?;
    module.add(intern!(py, "EMPTY_CODE_HASH"), PyBytes::new(py, trie::EMPTY_CODE_HASH.as_slice()))?;
    module.add(intern!(py, "CorruptState"), py.get_type::<CorruptState>())?;
    module.add_class::<TrieNeed>()?;
    module.add_class::<TrieResult>()?;
    module.add_class::<TrieCache>()?;
    module.add_class::<TrieJob>()?;
    module.add_class::<ProofResult>()?;
    module.add_class::<ProofJob>()?;
    module.add_function(wrap_pyfunction!(verify_proof, module)?)?;
    module.add_function(wrap_pyfunction!(trie_root, module)?)?;
    module.add_function(wrap_pyfunction!(ordered_root, module)?)?;
    module.add_function(wrap_pyfunction!(write_set_keys, module)?)
}

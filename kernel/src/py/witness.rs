//! Block witnesses at the border.

#![expect(clippy::needless_pass_by_value, reason = "what PyO3 extracts of a sequence is owned")]

use std::sync::Mutex;

use alloy_primitives::B256;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use pyo3::{create_exception, intern};

use super::base::{heavy, heavy_checked, input_error, light_checked};
use super::exec::{PyBlockResult, PyNeed, PyValues, block_invalid, locked};
use super::header::PyHeader;
use super::spec::PySpec;
use super::trie::TrieNeed;
use super::tx::PyTxBatch;
use crate::header::{Attached, Header};
use crate::pack;
use crate::witness::{self, Missing, Trust, WitnessError, WitnessRequest, WitnessStep};

create_exception!(hansa_kernel, WitnessIncomplete, PyException, "A witness lacks something: `kind`, `path`.");
create_exception!(hansa_kernel, WitnessDiffers, PyException, "The header is not what execution gives: `field`.");

fn witness_error(py: Python<'_>, error: &WitnessError) -> PyErr {
    let with = |exception: PyErr, fields: &[(&str, Bound<'_, PyAny>)]| {
        let value = exception.value(py);
        let set = fields.iter().try_for_each(|(name, field)| value.setattr(*name, field));
        set.err().unwrap_or(exception)
    };
    let text = |text: &str| pyo3::types::PyString::new(py, text).into_any();
    match error {
        WitnessError::Input(error) => input_error(py, error),
        WitnessError::Invalid(invalid) => block_invalid(py, invalid),
        WitnessError::Missing(missing) => {
            let (kind, path) = match missing {
                Missing::Node(path) => ("node", path.clone()),
                Missing::Code(hash) => ("code", hash.to_vec()),
                Missing::Header(number) => ("header", number.to_be_bytes().to_vec()),
            };
            let path = PyBytes::new(py, &path).into_any();
            with(WitnessIncomplete::new_err(error.to_string()), &[("kind", text(kind)), ("path", path)])
        }
        WitnessError::Differs { field, expected, got } => with(
            WitnessDiffers::new_err(error.to_string()),
            &[("field", text(field)), ("expected", text(expected)), ("got", text(got))],
        ),
    }
}

/// What a checked witness showed.
#[pyclass(frozen, name = "VerifiedBlock", module = "hansa_kernel")]
pub struct PyVerifiedBlock {
    #[pyo3(get)]
    header: Py<PyHeader>,
    #[pyo3(get)]
    parent: Py<PyHeader>,
    #[pyo3(get)]
    receipts: Py<PyBytes>,
    #[pyo3(get)]
    transactions: usize,
    #[pyo3(get)]
    headers: usize,
    #[pyo3(get)]
    codes: usize,
    #[pyo3(get)]
    nodes: usize,
}

fn hash(field: &str, bytes: Option<&[u8]>) -> Result<Option<B256>, crate::error::InputError> {
    bytes.map(|bytes| pack::exact::<32>(field, bytes).map(B256::from)).transpose()
}

#[pyfunction]
#[pyo3(signature = (spec, witness, *, genesis_hash, trusted_header_hash = None, trusted_parent_hash = None))]
fn verify_block(
    py: Python<'_>,
    spec: &Bound<'_, PySpec>,
    witness: &[u8],
    genesis_hash: &[u8],
    trusted_header_hash: Option<&[u8]>,
    trusted_parent_hash: Option<&[u8]>,
) -> PyResult<PyVerifiedBlock> {
    let (genesis, trust) = light_checked(py, || {
        let genesis = B256::from(pack::exact::<32>("genesis_hash", genesis_hash)?);
        let block_hash = hash("trusted_header_hash", trusted_header_hash)?;
        Ok((genesis, Trust { block_hash, parent_hash: hash("trusted_parent_hash", trusted_parent_hash)? }))
    })?;
    let spec = spec.get();
    let verified = heavy(py, || witness::verify_block(&spec.0, genesis, witness, trust))?
        .map_err(|error| witness_error(py, &error))?;
    Ok(PyVerifiedBlock {
        header: Py::new(py, PyHeader(verified.header))?,
        parent: Py::new(py, PyHeader(verified.parent))?,
        receipts: PyBytes::new(py, &verified.result.receipts).unbind(),
        transactions: verified.transactions,
        headers: verified.headers,
        codes: verified.codes,
        nodes: verified.nodes,
    })
}

/// Makes the witness of an executed block.
#[pyclass(frozen, name = "WitnessJob", module = "hansa_kernel")]
pub struct PyWitnessJob(Mutex<witness::WitnessJob>);

fn step_of(py: Python<'_>, step: Result<WitnessStep, WitnessError>) -> PyResult<Bound<'_, PyAny>> {
    match step.map_err(|error| witness_error(py, &error))? {
        WitnessStep::Need(ask) => Ok(Bound::new(py, TrieNeed::new(py, &ask))?.into_any()),
        WitnessStep::Done(bytes) => Ok(PyBytes::new(py, &bytes).into_any()),
    }
}

#[pymethods]
impl PyWitnessJob {
    #[new]
    #[pyo3(signature = (spec, header, batch, result, *, genesis_hash, ommers = None, withdrawals = None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        spec: &Bound<'_, PySpec>,
        header: &[u8],
        batch: &Bound<'_, PyTxBatch>,
        result: &Bound<'_, PyBlockResult>,
        genesis_hash: &[u8],
        ommers: Option<&[u8]>,
        withdrawals: Option<&[u8]>,
    ) -> PyResult<Self> {
        let (spec, batch, result) = (spec.get(), batch.get(), result.get());
        let job = heavy_checked(py, || {
            witness::WitnessJob::new(WitnessRequest {
                spec: spec.0.clone(),
                genesis_hash: pack::exact::<32>("genesis_hash", genesis_hash)?.into(),
                header: Header::decode("header", header)?,
                batch: batch.0.clone(),
                attached: Attached::read(ommers.unwrap_or_default(), withdrawals)?,
                result: &result.inner,
            })
        })?;
        Ok(Self(Mutex::new(job)))
    }

    #[getter]
    fn need(&self, py: Python<'_>) -> PyNeed {
        PyNeed::new(py, locked(&self.0).need())
    }

    #[getter]
    fn headers_from(&self) -> u64 {
        locked(&self.0).headers_from()
    }

    fn begin<'py>(
        &self,
        py: Python<'py>,
        values: &Bound<'py, PyValues>,
        headers: Vec<PyBackedBytes>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let raw = values.get().raw();
        let step = heavy(py, || {
            let headers: Vec<&[u8]> = headers.iter().map(|header| &**header).collect();
            locked(&self.0).begin(&raw, &headers)
        })?;
        step_of(py, step)
    }

    fn step<'py>(&self, py: Python<'py>, nodes: Vec<Option<PyBackedBytes>>) -> PyResult<Bound<'py, PyAny>> {
        let step = heavy(py, || {
            let nodes: Vec<Option<&[u8]>> = nodes.iter().map(|node| node.as_deref()).collect();
            locked(&self.0).step(&nodes)
        })?;
        step_of(py, step)
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add(intern!(py, "WitnessIncomplete"), py.get_type::<WitnessIncomplete>())?;
    module.add(intern!(py, "WitnessDiffers"), py.get_type::<WitnessDiffers>())?;
    module.add_class::<PyVerifiedBlock>()?;
    module.add_class::<PyWitnessJob>()?;
    module.add_function(wrap_pyfunction!(verify_block, module)?)
}

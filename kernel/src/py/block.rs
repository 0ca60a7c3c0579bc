//! Blocks of other chains at the border: taking them apart, and the rules between a block and its ancestors.

use alloy_primitives::{B256, U256};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::base::{heavy_checked, input_error, light};
use super::exec::block_invalid;
use super::header::u256_of;
use super::spec::PySpec;
use super::tx::int_of;
use crate::error::InputError;
use crate::exec::sequential::BlockInvalid;
use crate::header::rules::{self, Ancestor};
use crate::header::{Header, RawBlock};
use crate::pack;
use crate::spec::PowParent;

/// A block taken apart.
#[pyclass(frozen, name = "RawBlock", module = "hansa_kernel")]
pub struct PyRawBlock(RawBlock);

#[pymethods]
impl PyRawBlock {
    #[staticmethod]
    fn decode(py: Python<'_>, rlp: &[u8]) -> PyResult<Self> {
        heavy_checked(py, || RawBlock::decode(rlp)).map(Self)
    }

    #[getter]
    fn header<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.header.rlp)
    }

    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.header.hash.as_slice())
    }

    #[getter]
    fn transactions<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.transactions)
    }

    #[getter]
    fn ommers<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut packed = Vec::new();
        for ommer in &self.0.attached.ommers {
            pack::push_packed(&mut packed, &ommer.rlp);
        }
        PyBytes::new(py, &packed)
    }

    #[getter]
    fn withdrawals<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.withdrawals_rlp.as_deref().map(|rlp| PyBytes::new(py, rlp))
    }

    fn __repr__(&self) -> String {
        format!("RawBlock(number={}, hash={})", self.0.header.inner.number, self.0.header.hash)
    }
}

enum Refused {
    Input(InputError),
    Invalid(BlockInvalid),
}

impl From<InputError> for Refused {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl From<BlockInvalid> for Refused {
    fn from(invalid: BlockInvalid) -> Self {
        Self::Invalid(invalid)
    }
}

fn raised(py: Python<'_>, refused: Refused) -> PyErr {
    match refused {
        Refused::Input(error) => input_error(py, &error),
        Refused::Invalid(invalid) => block_invalid(py, &invalid),
    }
}

#[pyfunction]
#[pyo3(signature = (spec, header, parent_header, *, parent_total_difficulty = None))]
fn check_header(
    py: Python<'_>,
    spec: &Bound<'_, PySpec>,
    header: &[u8],
    parent_header: &[u8],
    parent_total_difficulty: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let total: Option<U256> =
        parent_total_difficulty.map(|value| u256_of("parent_total_difficulty", value)).transpose()?;
    let check = || -> Result<(), Refused> {
        let header = Header::decode("header", header)?;
        let parent = Header::decode("parent_header", parent_header)?;
        Ok(rules::check_header(&spec.get().0, &header, &parent, total)?)
    };
    light(check)?.map_err(|refused| raised(py, refused))
}

#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // Python's list is converted
fn check_block_body(
    py: Python<'_>,
    spec: &Bound<'_, PySpec>,
    block: &Bound<'_, PyRawBlock>,
    ancestors: Vec<(PyBackedBytes, PyBackedBytes)>,
) -> PyResult<()> {
    let (spec, block) = (&spec.get().0, &block.get().0);
    let check = || -> Result<(), Refused> {
        rules::check_attached(spec, &block.header, &block.attached, block.bytes)?;
        let ancestors = ancestors
            .iter()
            .map(|(header, ommers)| {
                let ommers = pack::fixed::<32>("ancestors", ommers)?.iter().map(B256::from).collect();
                Ok(Ancestor { header: Header::decode("ancestors", header)?, ommers })
            })
            .collect::<Result<Vec<_>, InputError>>()?;
        Ok(rules::check_ommers(spec, &block.header, &block.attached.ommers, &ancestors)?)
    };
    light(check)?.map_err(|refused| raised(py, refused))
}

#[pyfunction]
fn next_difficulty<'py>(
    py: Python<'py>,
    spec: &Bound<'py, PySpec>,
    parent_header: &[u8],
    timestamp: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let parent = light(|| Header::decode("parent_header", parent_header))?.map_err(|error| input_error(py, &error))?;
    int_of(py, spec.get().0.next_difficulty(&PowParent::from(&parent.inner), timestamp))
}

#[pyfunction]
fn next_excess_blob_gas(
    py: Python<'_>,
    spec: &Bound<'_, PySpec>,
    parent_header: &[u8],
    timestamp: u64,
) -> PyResult<Option<u64>> {
    let parent = light(|| Header::decode("parent_header", parent_header))?.map_err(|error| input_error(py, &error))?;
    Ok(spec.get().0.next_excess_blob_gas(&parent, timestamp))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyRawBlock>()?;
    module.add_function(wrap_pyfunction!(check_header, module)?)?;
    module.add_function(wrap_pyfunction!(check_block_body, module)?)?;
    module.add_function(wrap_pyfunction!(next_difficulty, module)?)?;
    module.add_function(wrap_pyfunction!(next_excess_blob_gas, module)?)
}

//! Headers and block environments at the border.

use alloy_primitives::U256;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::base::{input_error, light_checked};
use super::tx::int_of;
use crate::error::InputError;
use crate::header::{BlockEnv, Header};
use crate::pack;

/// Python's int as a 256-bit number; `KernelInputError` naming `field` when it does not fit.
pub fn u256_of(field: &str, value: &Bound<'_, PyAny>) -> PyResult<U256> {
    if let Ok(small) = value.extract::<u128>() {
        return Ok(U256::from(small));
    }
    let kwargs = PyDict::new(value.py());
    kwargs.set_item("signed", false)?;
    let bytes = value
        .call_method("to_bytes", (32, "big"), Some(&kwargs))
        .map_err(|_| input_error(value.py(), &InputError::new(field, "an integer from 0 to 2^256 - 1", value)))?;
    Ok(U256::from_be_slice(bytes.cast::<PyBytes>()?.as_bytes()))
}

/// Python's int as a 128-bit number (prices, wei); `KernelInputError` naming `field` when it does not fit.
pub fn u128_of(field: &str, value: &Bound<'_, PyAny>) -> PyResult<u128> {
    let wide = u256_of(field, value)?;
    u128::try_from(wide)
        .map_err(|_| input_error(value.py(), &InputError::new(field, "an integer from 0 to 2^128 - 1", wide)))
}

/// A decoded header.
#[pyclass(frozen, name = "Header", module = "hansa_kernel")]
pub struct PyHeader(pub Header);

fn optional(py: Python<'_>, word: Option<alloy_primitives::B256>) -> Option<Bound<'_, PyBytes>> {
    word.map(|word| PyBytes::new(py, word.as_slice()))
}

#[pymethods]
impl PyHeader {
    #[staticmethod]
    fn decode(py: Python<'_>, rlp: &[u8]) -> PyResult<Self> {
        light_checked(py, || Header::decode("rlp", rlp)).map(Self)
    }

    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.hash.as_slice())
    }

    #[getter]
    fn rlp<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.rlp)
    }

    #[getter]
    fn extra_data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.inner.extra_data)
    }

    #[getter]
    fn parent_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.inner.parent_hash.as_slice())
    }

    #[getter]
    fn ommers_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.inner.ommers_hash.as_slice())
    }

    #[getter]
    fn beneficiary<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.inner.beneficiary.as_slice())
    }

    #[getter]
    fn state_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.inner.state_root.as_slice())
    }

    #[getter]
    fn transactions_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.inner.transactions_root.as_slice())
    }

    #[getter]
    fn receipts_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.inner.receipts_root.as_slice())
    }

    #[getter]
    fn logs_bloom<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.inner.logs_bloom.as_slice())
    }

    #[getter]
    fn mix_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.inner.mix_hash.as_slice())
    }

    #[getter]
    fn nonce<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.inner.nonce.as_slice())
    }

    #[getter]
    fn difficulty<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        int_of(py, self.0.inner.difficulty)
    }

    #[getter]
    fn number(&self) -> u64 {
        self.0.inner.number
    }

    #[getter]
    fn gas_limit(&self) -> u64 {
        self.0.inner.gas_limit
    }

    #[getter]
    fn gas_used(&self) -> u64 {
        self.0.inner.gas_used
    }

    #[getter]
    fn timestamp(&self) -> u64 {
        self.0.inner.timestamp
    }

    #[getter]
    fn base_fee_per_gas(&self) -> Option<u64> {
        self.0.inner.base_fee_per_gas
    }

    #[getter]
    fn withdrawals_root<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        optional(py, self.0.inner.withdrawals_root)
    }

    #[getter]
    fn blob_gas_used(&self) -> Option<u64> {
        self.0.inner.blob_gas_used
    }

    #[getter]
    fn excess_blob_gas(&self) -> Option<u64> {
        self.0.inner.excess_blob_gas
    }

    #[getter]
    fn parent_beacon_block_root<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        optional(py, self.0.inner.parent_beacon_block_root)
    }

    #[getter]
    fn requests_hash<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        optional(py, self.0.inner.requests_hash)
    }

    fn __repr__(&self) -> String {
        format!("Header(number={}, hash={})", self.0.inner.number, self.0.hash)
    }
}

/// What a block is executed in.
#[pyclass(frozen, name = "BlockEnv", module = "hansa_kernel")]
pub struct PyBlockEnv(pub BlockEnv);

#[pymethods]
impl PyBlockEnv {
    #[new]
    #[pyo3(signature = (
        *, parent_hash, number, timestamp, gas_limit, base_fee_per_gas, beneficiary, prev_randao,
        parent_beacon_block_root = None, extra_data = None, difficulty = None, excess_blob_gas = 0,
        nonce = None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        parent_hash: &[u8],
        number: u64,
        timestamp: u64,
        gas_limit: u64,
        base_fee_per_gas: u64,
        beneficiary: &[u8],
        prev_randao: &[u8],
        parent_beacon_block_root: Option<&[u8]>,
        extra_data: Option<&[u8]>,
        difficulty: Option<&Bound<'_, PyAny>>,
        excess_blob_gas: u64,
        nonce: Option<&[u8]>,
    ) -> PyResult<Self> {
        let difficulty = difficulty.map(|value| u256_of("difficulty", value)).transpose()?.unwrap_or_default();
        light_checked(py, || {
            Ok(Self(BlockEnv {
                parent_hash: pack::exact::<32>("parent_hash", parent_hash)?.into(),
                number,
                timestamp,
                gas_limit,
                base_fee_per_gas,
                beneficiary: pack::exact::<20>("beneficiary", beneficiary)?.into(),
                prev_randao: pack::exact::<32>("prev_randao", prev_randao)?.into(),
                parent_beacon_block_root: match parent_beacon_block_root {
                    Some(root) => pack::exact::<32>("parent_beacon_block_root", root)?.into(),
                    None => alloy_primitives::B256::ZERO,
                },
                extra_data: alloy_primitives::Bytes::copy_from_slice(extra_data.unwrap_or_default()),
                difficulty,
                excess_blob_gas,
                nonce: match nonce {
                    Some(nonce) => pack::exact::<8>("nonce", nonce)?.into(),
                    None => alloy_primitives::B64::ZERO,
                },
            }))
        })
    }

    #[staticmethod]
    fn from_header(py: Python<'_>, rlp: &[u8]) -> PyResult<Self> {
        light_checked(py, || BlockEnv::from_header(rlp)).map(Self)
    }
}

#[pyfunction]
fn seal_header<'py>(
    py: Python<'py>,
    template: &[u8],
    state_root: &[u8],
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let sealed = light_checked(py, || {
        let root = pack::exact::<32>("state_root", state_root)?;
        Ok(Header::decode("template", template)?.sealed(root.into()))
    })?;
    Ok((PyBytes::new(py, &sealed.rlp), PyBytes::new(py, sealed.hash.as_slice())))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyHeader>()?;
    module.add_class::<PyBlockEnv>()?;
    module.add_function(wrap_pyfunction!(seal_header, module)?)
}

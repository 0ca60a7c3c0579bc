//! Transactions at the border.

use std::borrow::Cow;

use alloy_primitives::U256;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList};

use super::base::{heavy_checked, light_checked};
use super::spec::PySpec;
use crate::tx::schemes::{self, SchemePrice};
use crate::tx::{self, SignRequest, TxBatch, TxError, TxRules};

/// A 256-bit number as Python's int.
pub fn int_of(py: Python<'_>, value: U256) -> PyResult<Bound<'_, PyAny>> {
    if let Ok(small) = u128::try_from(value) {
        return Ok(small.into_pyobject(py)?.into_any());
    }
    let bytes = PyBytes::new(py, &value.to_be_bytes::<32>());
    py.get_type::<PyInt>().call_method1("from_bytes", (bytes, "big"))
}

/// Why one transaction is refused.
#[pyclass(frozen, name = "TxError", module = "hansa_kernel")]
pub struct PyTxError(pub TxError);

#[pymethods]
impl PyTxError {
    #[getter]
    fn code(&self) -> &'static str {
        self.0.code.as_str()
    }

    #[getter]
    fn message(&self) -> &str {
        &self.0.message
    }

    #[getter]
    fn expected<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.expected.map(|value| int_of(py, value)).transpose()
    }

    #[getter]
    fn got<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.got.map(|value| int_of(py, value)).transpose()
    }

    fn __repr__(&self) -> String {
        format!("TxError(code={:?}, message={:?})", self.code(), self.0.message)
    }
}

/// One verdict per transaction as a list; None where there is no error.
pub fn verdicts(py: Python<'_>, errors: impl ExactSizeIterator<Item = Option<TxError>>) -> PyResult<Bound<'_, PyList>> {
    let items = errors.map(|error| error.map(|error| Py::new(py, PyTxError(error))).transpose());
    PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)
}

/// Decoded transactions with their senders.
#[pyclass(frozen, name = "TxBatch", module = "hansa_kernel")]
pub struct PyTxBatch(pub TxBatch);

#[pymethods]
impl PyTxBatch {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn slice(&self, py: Python<'_>, start: usize, stop: usize) -> PyResult<Self> {
        light_checked(py, || self.0.slice(start, stop).map(Self))
    }

    #[allow(clippy::needless_pass_by_value, reason = "a Python sequence is extracted into a vector")]
    fn select(&self, py: Python<'_>, indices: Vec<usize>) -> PyResult<Self> {
        light_checked(py, || self.0.select(&indices).map(Self))
    }

    #[staticmethod]
    #[allow(clippy::needless_pass_by_value, reason = "a Python sequence is extracted into a vector")]
    fn concat(batches: Vec<Bound<'_, Self>>) -> Self {
        Self(TxBatch::concat(batches.iter().map(|batch| &batch.get().0)))
    }

    fn hashes(&self) -> Cow<'_, [u8]> {
        self.0.hashes().into()
    }

    fn senders(&self) -> Cow<'_, [u8]> {
        self.0.senders().into()
    }

    fn packed(&self) -> Cow<'_, [u8]> {
        self.0.packed().into()
    }

    fn nonces(&self) -> Cow<'_, [u8]> {
        self.0.nonces().into()
    }

    fn errors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let errors: Vec<_> = self.0.errors().map(Option::<&TxError>::cloned).collect();
        verdicts(py, errors.into_iter())
    }

    fn all_valid(&self) -> bool {
        self.0.all_valid()
    }
}

#[pyfunction]
#[pyo3(signature = (packed, *, spec, number, timestamp))]
fn decode_transactions(
    py: Python<'_>,
    packed: &[u8],
    spec: &Bound<'_, PySpec>,
    number: u64,
    timestamp: u64,
) -> PyResult<PyTxBatch> {
    let rules = TxRules::of(&spec.get().0, number, timestamp);
    heavy_checked(py, || tx::decode_transactions(packed, &rules)).map(PyTxBatch)
}

#[pyfunction]
#[pyo3(signature = (packed, senders, *, spec, number, timestamp))]
fn attach_senders(
    py: Python<'_>,
    packed: &[u8],
    senders: &[u8],
    spec: &Bound<'_, PySpec>,
    number: u64,
    timestamp: u64,
) -> PyResult<PyTxBatch> {
    let rules = TxRules::of(&spec.get().0, number, timestamp);
    heavy_checked(py, || tx::attach_senders(packed, senders, &rules)).map(PyTxBatch)
}

#[pyfunction]
#[pyo3(signature = (
    *, chain_id, secret_keys, nonces, to, values_wei, data, gas_limit, max_fee_per_gas, max_priority_fee_per_gas
))]
#[allow(clippy::too_many_arguments, reason = "the border's keyword arguments")]
fn sign_transactions<'py>(
    py: Python<'py>,
    chain_id: u64,
    secret_keys: &[u8],
    nonces: &[u8],
    to: &[u8],
    values_wei: &[u8],
    data: &[u8],
    gas_limit: u64,
    max_fee_per_gas: u128,
    max_priority_fee_per_gas: u128,
) -> PyResult<Bound<'py, PyBytes>> {
    let request = SignRequest {
        chain_id,
        secret_keys,
        nonces,
        to,
        values_wei,
        data,
        gas_limit,
        max_fee_per_gas,
        max_priority_fee_per_gas,
    };
    Ok(PyBytes::new(py, &heavy_checked(py, || tx::sign_transactions(&request))?))
}

#[pyfunction]
fn address_of_secret_keys<'py>(py: Python<'py>, secret_keys: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &heavy_checked(py, || tx::address_of_secret_keys(secret_keys))?))
}

/// (name, gas beside 21,000 at the default prices) of every scheme that is built in, by identifier.
#[pyfunction]
fn signature_schemes() -> Vec<(&'static str, u64)> {
    schemes::all().iter().map(|scheme| (scheme.name(), SchemePrice::of(*scheme).gas(*scheme))).collect()
}

#[pyfunction]
fn scheme_public_key<'py>(py: Python<'py>, scheme: &str, secret_key: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &heavy_checked(py, || tx::sign::scheme_public_key(scheme, secret_key))?))
}

#[pyfunction]
fn scheme_address<'py>(py: Python<'py>, scheme: &str, public_key: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let address = light_checked(py, || tx::sign::scheme_address(scheme, public_key))?;
    Ok(PyBytes::new(py, address.as_slice()))
}

#[pyfunction]
#[pyo3(signature = (
    *, scheme, secret_key, chain_id, nonce, to, value_wei, data, gas_limit, max_fee_per_gas, max_priority_fee_per_gas,
    address_ranges
))]
#[allow(clippy::too_many_arguments, reason = "the border's keyword arguments")]
fn sign_account_transaction<'py>(
    py: Python<'py>,
    scheme: &str,
    secret_key: &[u8],
    chain_id: u64,
    nonce: u64,
    to: &[u8],
    value_wei: &[u8],
    data: &[u8],
    gas_limit: u64,
    max_fee_per_gas: u128,
    max_priority_fee_per_gas: u128,
    address_ranges: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let request = tx::sign::EnvelopeRequest {
        scheme,
        secret_key,
        chain_id,
        nonce,
        to,
        value_wei,
        data,
        gas_limit,
        max_fee_per_gas,
        max_priority_fee_per_gas,
        address_ranges,
    };
    Ok(PyBytes::new(py, &heavy_checked(py, || tx::sign::sign_envelope(&request))?))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyTxError>()?;
    module.add_class::<PyTxBatch>()?;
    module.add_function(wrap_pyfunction!(decode_transactions, module)?)?;
    module.add_function(wrap_pyfunction!(attach_senders, module)?)?;
    module.add_function(wrap_pyfunction!(sign_transactions, module)?)?;
    module.add_function(wrap_pyfunction!(signature_schemes, module)?)?;
    module.add_function(wrap_pyfunction!(scheme_public_key, module)?)?;
    module.add_function(wrap_pyfunction!(scheme_address, module)?)?;
    module.add_function(wrap_pyfunction!(sign_account_transaction, module)?)?;
    module.add_function(wrap_pyfunction!(address_of_secret_keys, module)?)
}

//! Views of blocks as JSON at the border.

#![expect(clippy::needless_pass_by_value, reason = "what PyO3 extracts of a sequence is owned")]

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::base::{heavy_checked, light_checked};
use crate::views::{self, Filter};

#[pyfunction]
#[pyo3(signature = (header, transactions, senders, hashes, *, full, ommers = None, withdrawals = None))]
#[allow(clippy::too_many_arguments, reason = "the border's keyword arguments")]
fn block_json<'py>(
    py: Python<'py>,
    header: &[u8],
    transactions: &[u8],
    senders: &[u8],
    hashes: &[u8],
    full: bool,
    ommers: Option<&[u8]>,
    withdrawals: Option<&[u8]>,
) -> PyResult<Bound<'py, PyBytes>> {
    let attached = views::Attached { ommers: ommers.unwrap_or_default(), withdrawals: withdrawals.unwrap_or_default() };
    let json = heavy_checked(py, || views::block_json(header, transactions, senders, hashes, attached, full))?;
    Ok(PyBytes::new(py, &json))
}

#[pyfunction]
fn ommer_json<'py>(py: Python<'py>, header: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let json = light_checked(py, || views::ommer_json(header))?;
    Ok(PyBytes::new(py, &json))
}

#[pyfunction]
fn transaction_json<'py>(
    py: Python<'py>,
    header: &[u8],
    transactions: &[u8],
    senders: &[u8],
    index: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let json = light_checked(py, || views::transaction_json(header, transactions, senders, index))?;
    Ok(PyBytes::new(py, &json))
}

#[pyfunction]
#[pyo3(signature = (header, transactions, senders, receipts, index, *, blob_gas_price = None))]
fn receipts_json<'py>(
    py: Python<'py>,
    header: &[u8],
    transactions: &[u8],
    senders: &[u8],
    receipts: &[u8],
    index: Option<usize>,
    blob_gas_price: Option<u128>,
) -> PyResult<Bound<'py, PyBytes>> {
    let json =
        heavy_checked(py, || views::receipts_json(header, transactions, senders, receipts, index, blob_gas_price))?;
    Ok(PyBytes::new(py, &json))
}

fn borrow(topics: &[PyBackedBytes]) -> Vec<&[u8]> {
    topics.iter().map(|topic| &**topic).collect()
}

#[pyfunction]
#[pyo3(signature = (header, hashes, receipts, *, addresses, topics, limit))]
fn logs_json<'py>(
    py: Python<'py>,
    header: &[u8],
    hashes: &[u8],
    receipts: &[u8],
    addresses: &[u8],
    topics: Vec<PyBackedBytes>,
    limit: usize,
) -> PyResult<(usize, Bound<'py, PyBytes>)> {
    let (count, json) = heavy_checked(py, || {
        views::logs_json(header, hashes, receipts, &Filter::read(addresses, &borrow(&topics))?, limit)
    })?;
    Ok((count, PyBytes::new(py, &json)))
}

#[pyfunction]
fn raw_receipts<'py>(py: Python<'py>, transactions: &[u8], receipts: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &heavy_checked(py, || views::raw_receipts(transactions, receipts))?))
}

#[pyfunction]
fn bloom_matches(py: Python<'_>, bloom: &[u8], addresses: &[u8], topics: Vec<PyBackedBytes>) -> PyResult<bool> {
    light_checked(py, || Filter::read(addresses, &borrow(&topics))?.may_match_bytes(bloom))
}

#[pyfunction]
fn log_terms<'py>(py: Python<'py>, receipts: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &heavy_checked(py, || views::log_terms(receipts))?))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(block_json, module)?)?;
    module.add_function(wrap_pyfunction!(ommer_json, module)?)?;
    module.add_function(wrap_pyfunction!(transaction_json, module)?)?;
    module.add_function(wrap_pyfunction!(receipts_json, module)?)?;
    module.add_function(wrap_pyfunction!(logs_json, module)?)?;
    module.add_function(wrap_pyfunction!(raw_receipts, module)?)?;
    module.add_function(wrap_pyfunction!(bloom_matches, module)?)?;
    module.add_function(wrap_pyfunction!(log_terms, module)?)
}

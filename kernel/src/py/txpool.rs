//! The pool at the border: a mutex, and the interpreter lock released around it.

use std::sync::Mutex;

use alloy_primitives::{Address, B256};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::base::{detached_checked, input_error};
use super::spec::PySpec;
use super::tx::{PyTxBatch, verdicts};
use crate::error::{InputError, InputResult};
use crate::pack;
use crate::txpool::{NextBlock, PayloadLimits, PoolConfig, TxPool, read_accounts, transactions_json};

/// The pool of one member's shard.
#[pyclass(frozen, name = "TxPool", module = "hansa_kernel")]
pub struct PyTxPool {
    /// Poisoned by a panic: every later call then panics too, since the state may be half changed.
    pool: Mutex<TxPool>,
}

impl PyTxPool {
    /// Run `work` on the pool without the interpreter lock (it may wait for another thread's call).
    fn with<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut TxPool) -> InputResult<R> + Send) -> PyResult<R> {
        detached_checked(py, || work(&mut self.pool.lock().expect("an earlier call on this pool panicked")))
    }
}

#[pymethods]
impl PyTxPool {
    #[new]
    #[pyo3(signature = (
        spec, *, transactions_max = 100_000, executable_per_sender_max = 4_096, gapped_per_sender_max = 64,
        bytes_max = 536_870_912, life_ms = 10_800_000
    ))]
    fn new(
        py: Python<'_>,
        spec: &Bound<'_, PySpec>,
        transactions_max: usize,
        executable_per_sender_max: usize,
        gapped_per_sender_max: usize,
        bytes_max: usize,
        life_ms: u64,
    ) -> PyResult<Self> {
        // The pool judges by fields that decoding under the spec has checked; the spec itself is the batch's business.
        let _ = spec;
        for (field, value) in
            [("transactions_max", transactions_max), ("executable_per_sender_max", executable_per_sender_max)]
        {
            if value == 0 {
                return Err(input_error(py, &InputError::new(field, "at least 1", value)));
            }
        }
        let config =
            PoolConfig { transactions_max, executable_per_sender_max, gapped_per_sender_max, bytes_max, life_ms };
        Ok(Self { pool: Mutex::new(TxPool::new(config)) })
    }

    fn unknown_senders<'py>(&self, py: Python<'py>, batch: &Bound<'_, PyTxBatch>) -> PyResult<Bound<'py, PyBytes>> {
        let batch = &batch.get().0;
        let senders = self.with(py, |pool| Ok(flat(&pool.unknown_senders(batch))))?;
        Ok(PyBytes::new(py, &senders))
    }

    #[pyo3(signature = (batch, *, addresses, accounts, number, gas_limit, base_fee, now_ms, local))]
    #[allow(clippy::too_many_arguments, reason = "the border's keyword arguments")]
    fn add<'py>(
        &self,
        py: Python<'py>,
        batch: &Bound<'_, PyTxBatch>,
        addresses: &[u8],
        accounts: &[u8],
        number: u64,
        gas_limit: u64,
        base_fee: u128,
        now_ms: u64,
        local: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let batch = &batch.get().0;
        let errors = self.with(py, |pool| {
            let accounts = read_accounts(addresses, accounts)?;
            Ok(pool.add(batch, &accounts, NextBlock { number, gas_limit, base_fee }, now_ms, local))
        })?;
        verdicts(py, errors.into_iter())
    }

    #[pyo3(signature = (*, gas_limit, base_fee, bytes_max, count_max, in_flight = None, sender_gas_max = None))]
    #[allow(clippy::too_many_arguments, reason = "the border's keyword arguments")]
    fn payload(
        &self,
        py: Python<'_>,
        gas_limit: u64,
        base_fee: u128,
        bytes_max: usize,
        count_max: usize,
        in_flight: Option<&[u8]>,
        sender_gas_max: Option<u64>,
    ) -> PyResult<PyTxBatch> {
        let limits = PayloadLimits {
            gas_limit,
            base_fee,
            bytes_max,
            count_max,
            sender_gas_max: sender_gas_max.unwrap_or(gas_limit),
        };
        self.with(py, |pool| Ok(pool.payload(limits, &hashes_of("in_flight", in_flight.unwrap_or_default())?)))
            .map(PyTxBatch)
    }

    fn get<'py>(&self, py: Python<'py>, hashes: &[u8]) -> PyResult<(PyTxBatch, Bound<'py, PyBytes>)> {
        let (found, missing) = self.with(py, |pool| Ok(pool.get(&hashes_of("hashes", hashes)?)))?;
        Ok((PyTxBatch(found), PyBytes::new(py, &flat(&missing))))
    }

    fn contains(&self, py: Python<'_>, hash: &[u8]) -> PyResult<bool> {
        self.with(py, |pool| Ok(pool.contains(&B256::from(pack::exact::<32>("hash", hash)?))))
    }

    #[pyo3(signature = (*, number, hashes, addresses, accounts, now_ms))]
    fn on_block<'py>(
        &self,
        py: Python<'py>,
        number: u64,
        hashes: &[u8],
        addresses: &[u8],
        accounts: &[u8],
        now_ms: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let stale = self.with(py, |pool| {
            let accounts = read_accounts(addresses, accounts)?;
            Ok(flat(&pool.on_block(number, &hashes_of("hashes", hashes)?, &accounts, now_ms)))
        })?;
        Ok(PyBytes::new(py, &stale))
    }

    fn drop(&self, py: Python<'_>, hashes: &[u8]) -> PyResult<()> {
        self.with(py, |pool| {
            pool.drop_invalid(&hashes_of("hashes", hashes)?);
            Ok(())
        })
    }

    fn expire<'py>(&self, py: Python<'py>, now_ms: u64) -> PyResult<Bound<'py, PyBytes>> {
        let expired = self.with(py, |pool| Ok(flat(&pool.expire(now_ms))))?;
        Ok(PyBytes::new(py, &expired))
    }

    fn take_dropped<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let dropped = self.with(py, |pool| Ok(flat(&pool.take_dropped())))?;
        Ok(PyBytes::new(py, &dropped))
    }

    fn local_older_than(&self, py: Python<'_>, number: u64, limit: usize) -> PyResult<PyTxBatch> {
        self.with(py, |pool| Ok(pool.local_older_than(number, limit))).map(PyTxBatch)
    }

    fn next_nonce(&self, py: Python<'_>, address: &[u8]) -> PyResult<Option<u64>> {
        self.with(py, |pool| Ok(pool.next_nonce(&address_of("address", address)?)))
    }

    fn counts(&self, py: Python<'_>) -> PyResult<(usize, usize, usize, usize)> {
        let counts = self.with(py, |pool| Ok(pool.counts()))?;
        Ok((counts.executable, counts.gapped, counts.bytes, counts.local))
    }

    fn content_json<'py>(&self, py: Python<'py>, sender: Option<&[u8]>, limit: usize) -> PyResult<Bound<'py, PyBytes>> {
        let content = self.with(py, |pool| {
            let sender = sender.map(|sender| address_of("sender", sender)).transpose()?;
            Ok(pool.content(sender.as_ref(), limit))
        })?;
        Ok(PyBytes::new(py, &detached_checked(py, || Ok(content.to_json()))?))
    }

    fn transactions_json<'py>(&self, py: Python<'py>, hashes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let found = self.with(py, |pool| Ok(pool.find(&hashes_of("hashes", hashes)?)))?;
        Ok(PyBytes::new(py, &detached_checked(py, || Ok(transactions_json(&found)))?))
    }
}

fn hashes_of(field: &str, bytes: &[u8]) -> InputResult<Vec<B256>> {
    Ok(pack::fixed::<32>(field, bytes)?.iter().map(|hash| B256::from(*hash)).collect())
}

fn address_of(field: &str, bytes: &[u8]) -> InputResult<Address> {
    Ok(Address::from(pack::exact::<20>(field, bytes)?))
}

fn flat(items: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        out.extend_from_slice(item.as_ref());
    }
    out
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyTxPool>()
}

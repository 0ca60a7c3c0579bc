//! Calls at the border.

use std::sync::Mutex;

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::base::{alone, input_error, light_checked};
use super::exec::{PyNeed, PyProgress, PyStateCache, PyValues, cache_view, locked};
use super::header::{PyBlockEnv, u128_of, u256_of};
use super::spec::PySpec;
use crate::evm::CancelFlag;
use crate::exec::call_job::{CallError, CallJob, CallRequest, CallResult, CallStep};
use crate::pack;

/// An account with the slots that a transaction announces.
type ListedAccount = (Vec<u8>, Vec<Vec<u8>>);

create_exception!(hansa_kernel, Cancelled, PyException, "The call was cancelled.");

/// What a call came to.
#[pyclass(frozen, name = "CallResult", module = "hansa_kernel")]
pub struct PyCallResult(CallResult);

#[pymethods]
impl PyCallResult {
    #[getter]
    fn status(&self) -> &'static str {
        self.0.status.as_str()
    }

    #[getter]
    fn output<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.output)
    }

    #[getter]
    fn gas_used(&self) -> u64 {
        self.0.gas_used
    }

    #[getter]
    fn error(&self) -> &str {
        &self.0.error
    }

    #[getter]
    fn logs<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.logs)
    }

    #[getter]
    fn estimate(&self) -> Option<u64> {
        self.0.estimate
    }

    fn __repr__(&self) -> String {
        format!("CallResult(status={:?}, gas_used={}, error={:?})", self.status(), self.0.gas_used, self.0.error)
    }
}

/// One `eth_call` or `eth_estimateGas`. Runs on the caller's thread, so that calls never wait for blocks in the
/// kernel's pool, nor blocks for calls.
#[pyclass(frozen, name = "CallJob", module = "hansa_kernel")]
pub struct PyCallJob {
    job: Mutex<CallJob>,
    cancel: CancelFlag,
}

#[pymethods]
impl PyCallJob {
    #[new]
    #[pyo3(signature = (
        spec, env, *, sender, to, gas, gas_price = None, max_fee_per_gas = None, max_priority_fee_per_gas = None,
        value_wei = None, data = None, nonce = None, access_list = None, authorizations = None, state_overrides = None,
        block_overrides = None, cache = None, parent_hash = None, estimate = false, address_ranges = None,
        signature_scheme = None, blob_hashes = None, max_fee_per_blob_gas = None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        spec: &Bound<'_, PySpec>,
        env: &Bound<'_, PyBlockEnv>,
        sender: &[u8],
        to: Option<&[u8]>,
        gas: u64,
        gas_price: Option<&Bound<'_, PyAny>>,
        max_fee_per_gas: Option<&Bound<'_, PyAny>>,
        max_priority_fee_per_gas: Option<&Bound<'_, PyAny>>,
        value_wei: Option<&Bound<'_, PyAny>>,
        data: Option<&[u8]>,
        nonce: Option<u64>,
        access_list: Option<Vec<ListedAccount>>,
        authorizations: Option<&[u8]>,
        state_overrides: Option<&[u8]>,
        block_overrides: Option<&[u8]>,
        cache: Option<&Bound<'_, PyStateCache>>,
        parent_hash: Option<&[u8]>,
        estimate: bool,
        address_ranges: Option<&[u8]>,
        signature_scheme: Option<&str>,
        blob_hashes: Option<&[u8]>,
        max_fee_per_blob_gas: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let value = value_wei.map(|value| u256_of("value_wei", value)).transpose()?.unwrap_or_default();
        let price =
            |field: &str, value: Option<&Bound<'_, PyAny>>| value.map(|value| u128_of(field, value)).transpose();
        let gas_price = price("gas_price", gas_price)?;
        let max_fee_per_gas = price("max_fee_per_gas", max_fee_per_gas)?;
        let max_priority_fee_per_gas = price("max_priority_fee_per_gas", max_priority_fee_per_gas)?;
        let max_fee_per_blob_gas = price("max_fee_per_blob_gas", max_fee_per_blob_gas)?;
        let cancel = CancelFlag::default();
        let job = light_checked(py, || {
            let mut items = Vec::new();
            for (address, keys) in access_list.unwrap_or_default() {
                items.push(AccessListItem {
                    address: Address::from(pack::exact::<20>("access_list", &address)?),
                    storage_keys: keys
                        .iter()
                        .map(|key| Ok(B256::from(pack::exact::<32>("access_list", key)?)))
                        .collect::<Result<_, crate::error::InputError>>()?,
                });
            }
            let request = CallRequest {
                spec: spec.get().0.clone(),
                env: env.get().0.clone(),
                sender: pack::exact::<20>("sender", sender)?.into(),
                to: to.map(|to| pack::exact::<20>("to", to)).transpose()?.map(Address::from),
                gas,
                gas_price,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                blob_hashes: blob_hashes
                    .map(|hashes| pack::fixed::<32>("blob_hashes", hashes))
                    .transpose()?
                    .map(|hashes| hashes.iter().map(B256::from).collect()),
                max_fee_per_blob_gas,
                value,
                data: Bytes::copy_from_slice(data.unwrap_or_default()),
                nonce,
                access_list: AccessList(items),
                authorizations: authorizations.unwrap_or_default().to_vec(),
                state_overrides: state_overrides.unwrap_or_default().to_vec(),
                block_overrides: block_overrides.unwrap_or_default().to_vec(),
                cache: cache_view(cache, parent_hash.unwrap_or_default())?,
                estimate,
                address_ranges: address_ranges.unwrap_or_default().to_vec(),
                signature_scheme: signature_scheme.unwrap_or_default().to_owned(),
            };
            CallJob::new(request, cancel.clone())
        })?;
        Ok(Self { job: Mutex::new(job), cancel })
    }

    #[pyo3(signature = (values = None))]
    fn step<'py>(&self, py: Python<'py>, values: Option<&Bound<'py, PyValues>>) -> PyResult<Bound<'py, PyAny>> {
        let raw = values.map(|values| values.get().raw());
        match alone(py, || locked(&self.job).step(raw.as_ref()))? {
            Ok(CallStep::Need(keys)) => Ok(Bound::new(py, PyNeed::new(py, &keys))?.into_any()),
            Ok(CallStep::Progress) => Ok(Bound::new(py, PyProgress)?.into_any()),
            Ok(CallStep::Done(result)) => Ok(Bound::new(py, PyCallResult(*result))?.into_any()),
            Err(CallError::Input(error)) => Err(input_error(py, &error)),
            Err(CallError::Cancelled) => Err(Cancelled::new_err("the call was cancelled")),
        }
    }

    fn cancel(&self) {
        self.cancel.set();
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("Cancelled", module.py().get_type::<Cancelled>())?;
    module.add_class::<PyCallResult>()?;
    module.add_class::<PyCallJob>()
}

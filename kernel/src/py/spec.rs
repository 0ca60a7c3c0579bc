//! Chain rules at the border.

use alloy_primitives::{Address, U256};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::base::{heavy, light, light_checked};
use super::tx::int_of;
use crate::exec::protocol::rewards;
use crate::header::{Attached, BlockEnv, Header};
use crate::pack;
use crate::spec::{Engine, Fork, Spec};

/// Rules of one chain.
#[pyclass(frozen, name = "Spec", module = "hansa_kernel")]
pub struct PySpec(pub Spec);

#[pymethods]
impl PySpec {
    #[new]
    fn new(py: Python<'_>, chain_spec: &[u8]) -> PyResult<Self> {
        light_checked(py, || Spec::parse(chain_spec)).map(Self)
    }

    #[getter]
    fn chain_id(&self) -> u64 {
        self.0.chain_id()
    }

    #[getter]
    fn zero_base_fee(&self) -> bool {
        self.0.zero_base_fee()
    }

    #[getter]
    fn max_code_size(&self) -> usize {
        self.0.max_code_size()
    }

    #[getter]
    fn engine(&self) -> &'static str {
        match self.0.engine() {
            Engine::Ethash => "ethash",
            Engine::Clique => "clique",
            Engine::Authority => "authority",
        }
    }

    #[getter]
    fn terminal_total_difficulty<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.terminal_total_difficulty().map(|total| int_of(py, total)).transpose()
    }

    fn fork(&self, number: u64, timestamp: u64) -> &'static str {
        self.0.fork(number, timestamp).name()
    }

    fn genesis_write_set<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = heavy(py, || self.0.genesis().write_set().encode())?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn genesis_header<'py>(&self, py: Python<'py>, state_root: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let root = light_checked(py, || pack::exact::<32>("state_root", state_root))?;
        let header = light(|| self.0.genesis().header(&self.0, root.into()))?;
        Ok(PyBytes::new(py, &header.rlp))
    }

    fn genesis_hash<'py>(&self, py: Python<'py>, state_root: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let root = light_checked(py, || pack::exact::<32>("state_root", state_root))?;
        let header = light(|| self.0.genesis().header(&self.0, root.into()))?;
        Ok(PyBytes::new(py, header.hash.as_slice()))
    }

    #[getter]
    fn genesis_gas_limit(&self) -> u64 {
        self.0.genesis().gas_limit()
    }

    #[getter]
    fn genesis_timestamp(&self) -> u64 {
        self.0.genesis().timestamp()
    }

    fn next_base_fee(&self, py: Python<'_>, parent_header: &[u8]) -> PyResult<u64> {
        light_checked(py, || self.0.next_base_fee(&Header::decode("parent_header", parent_header)?))
    }

    #[pyo3(signature = (header, ommers = None))]
    fn rewards<'py>(
        &self,
        py: Python<'py>,
        header: &[u8],
        ommers: Option<&[u8]>,
    ) -> PyResult<Vec<(Bound<'py, PyBytes>, Bound<'py, PyAny>)>> {
        let found = light_checked(py, || {
            let env = BlockEnv::from_header(header)?;
            if env.fork(&self.0) >= Fork::Paris {
                return Ok(Vec::new());
            }
            rewards(&self.0, &env, &Attached::read(ommers.unwrap_or_default(), None)?)
        })?;
        let pair = |(address, wei): (Address, U256)| Ok((PyBytes::new(py, address.as_slice()), int_of(py, wei)?));
        found.into_iter().map(pair).collect()
    }

    fn blob_rules(&self, timestamp: u64) -> Option<(u64, u64, u64)> {
        self.0.blob_rules(timestamp).map(|rules| (rules.target, rules.max, rules.update_fraction))
    }

    fn blob_base_fees<'py>(&self, py: Python<'py>, header: &[u8]) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let (fee, next) = light_checked(py, || Ok(self.0.blob_base_fees(&Header::decode("header", header)?)))?;
        Ok((int_of(py, fee)?, int_of(py, next)?))
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PySpec>()
}

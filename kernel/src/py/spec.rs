//! Chain rules at the border.

use pyo3::prelude::*;

use super::base::light_checked;
use crate::spec::Spec;

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

    fn fork(&self, number: u64, timestamp: u64) -> &'static str {
        self.0.fork(number, timestamp).name()
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PySpec>()
}

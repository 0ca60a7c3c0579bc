//! Public tests at the border.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::base::heavy_checked;
use crate::conformance::statetest::{self, StateTestResult};

/// Outcome of one entry of a state test.
#[pyclass(frozen, name = "StateTestResult", module = "hansa_kernel")]
pub struct PyStateTestResult(StateTestResult);

#[pymethods]
impl PyStateTestResult {
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn fork(&self) -> &str {
        &self.0.fork
    }

    #[getter]
    fn index(&self) -> usize {
        self.0.index
    }

    #[getter]
    fn passed(&self) -> bool {
        self.0.passed
    }

    #[getter]
    fn state_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.state_root.as_slice())
    }

    #[getter]
    fn error(&self) -> &str {
        &self.0.error
    }
}

#[pyfunction]
fn state_test(py: Python<'_>, json: &[u8], fork: &str) -> PyResult<Vec<PyStateTestResult>> {
    let results = heavy_checked(py, || statetest::state_test(json, fork))?;
    Ok(results.into_iter().map(PyStateTestResult).collect())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyStateTestResult>()?;
    module.add_function(wrap_pyfunction!(state_test, module)?)
}

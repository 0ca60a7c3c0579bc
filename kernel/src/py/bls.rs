//! Group signatures at the border.

#![expect(clippy::needless_pass_by_value, reason = "what PyO3 extracts of a sequence is owned")]

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::base::{heavy, heavy_checked, light_checked};
use crate::bls::{self, CertificateClaim, Vote};

fn borrow(items: &[PyBackedBytes]) -> Vec<&[u8]> {
    items.iter().map(|item| &**item).collect()
}

#[pyfunction]
fn bls_secret_key<'py>(py: Python<'py>, seed: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &light_checked(py, || bls::secret_key(seed))?))
}

#[pyfunction]
fn bls_public_key<'py>(py: Python<'py>, secret_key: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &heavy_checked(py, || bls::public_key(secret_key))?))
}

#[pyfunction]
fn bls_sign<'py>(py: Python<'py>, secret_key: &[u8], message: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &heavy_checked(py, || bls::sign(secret_key, message))?))
}

#[pyfunction]
fn bls_verify(py: Python<'_>, public_key: &[u8], message: &[u8], signature: &[u8]) -> PyResult<bool> {
    heavy(py, || bls::verify(public_key, message, signature))
}

#[pyfunction]
fn bls_prove_possession<'py>(py: Python<'py>, secret_key: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &heavy_checked(py, || bls::prove_possession(secret_key))?))
}

#[pyfunction]
fn bls_verify_possession(py: Python<'_>, public_key: &[u8], proof: &[u8]) -> PyResult<bool> {
    heavy(py, || bls::verify_possession(public_key, proof))
}

#[pyfunction]
fn bls_aggregate(py: Python<'_>, signatures: Vec<PyBackedBytes>) -> PyResult<Bound<'_, PyBytes>> {
    Ok(PyBytes::new(py, &heavy_checked(py, || bls::aggregate(&borrow(&signatures)))?))
}

#[pyclass(frozen, name = "ValidatorKeys", module = "hansa_kernel")]
pub struct ValidatorKeys(bls::ValidatorKeys);

#[pymethods]
impl ValidatorKeys {
    #[new]
    fn new(py: Python<'_>, public_keys: Vec<PyBackedBytes>) -> PyResult<Self> {
        heavy_checked(py, || bls::ValidatorKeys::new(&borrow(&public_keys))).map(Self)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn verify_votes(
        &self,
        py: Python<'_>,
        signers: Vec<usize>,
        message: &[u8],
        signatures: Vec<PyBackedBytes>,
    ) -> PyResult<Vec<bool>> {
        heavy_checked(py, || self.0.verify_votes(&signers, message, &borrow(&signatures)))
    }

    fn verify_certificate(&self, py: Python<'_>, bitmap: &[u8], message: &[u8], signature: &[u8]) -> PyResult<bool> {
        heavy(py, || self.0.verify_certificate(&CertificateClaim { bitmap, message, signature }))
    }

    fn verify_certificates(
        &self,
        py: Python<'_>,
        items: Vec<(PyBackedBytes, PyBackedBytes, PyBackedBytes)>,
    ) -> PyResult<bool> {
        heavy(py, || {
            let claims: Vec<CertificateClaim<'_>> = items
                .iter()
                .map(|(bitmap, message, signature)| CertificateClaim { bitmap, message, signature })
                .collect();
            self.0.verify_certificates(&claims)
        })
    }
}

#[pyfunction]
fn bitmap_of(py: Python<'_>, signers: Vec<usize>, validators: usize) -> PyResult<Bound<'_, PyBytes>> {
    Ok(PyBytes::new(py, &light_checked(py, || bls::bitmap_of(&signers, validators))?))
}

#[pyfunction]
fn signers_of(py: Python<'_>, bitmap: &[u8], validators: usize) -> PyResult<Vec<usize>> {
    light_checked(py, || bls::signers_of(bitmap, validators))
}

#[pyfunction]
#[pyo3(signature = (
    *, genesis_hash, shard, epoch, level, phase, from_hash, from_height, to_hash, to_height, view, next_set_hash = None
))]
#[expect(clippy::too_many_arguments, reason = "one keyword per field of the signed list")]
fn vote_message<'py>(
    py: Python<'py>,
    genesis_hash: &[u8],
    shard: u64,
    epoch: u64,
    level: u64,
    phase: &str,
    from_hash: &[u8],
    from_height: u64,
    to_hash: &[u8],
    to_height: u64,
    view: u64,
    next_set_hash: Option<&[u8]>,
) -> PyResult<Bound<'py, PyBytes>> {
    let next_set_hash = next_set_hash.unwrap_or_default();
    let vote = Vote {
        genesis_hash,
        shard,
        epoch,
        level,
        phase,
        from_hash,
        from_height,
        to_hash,
        to_height,
        view,
        next_set_hash,
    };
    Ok(PyBytes::new(py, &light_checked(py, || bls::vote_message(&vote))?))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add(intern!(py, "VOTE_DST"), PyBytes::new(py, bls::VOTE_DST))?;
    module.add(intern!(py, "POSSESSION_DST"), PyBytes::new(py, bls::POSSESSION_DST))?;
    module.add_class::<ValidatorKeys>()?;
    module.add_function(wrap_pyfunction!(bls_secret_key, module)?)?;
    module.add_function(wrap_pyfunction!(bls_public_key, module)?)?;
    module.add_function(wrap_pyfunction!(bls_sign, module)?)?;
    module.add_function(wrap_pyfunction!(bls_verify, module)?)?;
    module.add_function(wrap_pyfunction!(bls_prove_possession, module)?)?;
    module.add_function(wrap_pyfunction!(bls_verify_possession, module)?)?;
    module.add_function(wrap_pyfunction!(bls_aggregate, module)?)?;
    module.add_function(wrap_pyfunction!(bitmap_of, module)?)?;
    module.add_function(wrap_pyfunction!(signers_of, module)?)?;
    module.add_function(wrap_pyfunction!(vote_message, module)?)
}

//! Errors, panics, threads and hashing at the border.

use std::any::Any;
use std::ops::DerefMut;
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::{KECCAK256_EMPTY, keccak256};
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{create_exception, intern};

use crate::error::InputError;
use crate::{pack, threads};

create_exception!(hansa_kernel, KernelInputError, PyValueError, "Bad input: `field`, `expected`, `got`.");
create_exception!(hansa_kernel, KernelBug, PyException, "The kernel panicked; the call had no effect.");

/// An input error as the Python exception with its three fields.
pub fn input_error(py: Python<'_>, error: &InputError) -> PyErr {
    let exception = KernelInputError::new_err(error.to_string());
    let value = exception.value(py);
    for (name, text) in [("field", &error.field), ("expected", &error.expected), ("got", &error.got)] {
        if let Err(failed) = value.setattr(name, text) {
            return failed;
        }
    }
    exception
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a text".to_owned())
}

/// Run `work` on the kernel's pool without the interpreter lock; a panic becomes `KernelBug`.
pub fn heavy<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    py.detach(|| catch_unwind(AssertUnwindSafe(|| threads::install(work))))
        .map_err(|panic| KernelBug::new_err(panic_text(&*panic)))
}

/// Run `work` on the kernel's pool without the interpreter lock, on what `lock` gives. The lock is taken and held by the
/// calling thread, never by one of the pool, which could otherwise come to wait for itself.
pub fn heavy_on<G: DerefMut<Target: Send>, R: Send>(
    py: Python<'_>,
    lock: impl FnOnce() -> G + Send,
    work: impl FnOnce(&mut G::Target) -> R + Send,
) -> PyResult<R> {
    alone(py, || {
        let mut guard = lock();
        let target = &mut *guard;
        threads::install(|| work(target))
    })
}

/// Run `work` on the calling thread without the interpreter lock; a panic becomes `KernelBug`.
pub fn alone<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    py.detach(|| catch_unwind(AssertUnwindSafe(work))).map_err(|panic| KernelBug::new_err(panic_text(&*panic)))
}

/// Run small `work` with the lock held; a panic becomes `KernelBug`.
pub fn light<R>(work: impl FnOnce() -> R) -> PyResult<R> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| KernelBug::new_err(panic_text(&*panic)))
}

/// `heavy` for work that can refuse its input.
pub fn heavy_checked<R: Send>(py: Python<'_>, work: impl FnOnce() -> Result<R, InputError> + Send) -> PyResult<R> {
    heavy(py, work)?.map_err(|error| input_error(py, &error))
}

/// Run `work` on the calling thread without the interpreter lock, for short work that may wait for another thread.
pub fn detached_checked<R: Send>(py: Python<'_>, work: impl FnOnce() -> Result<R, InputError> + Send) -> PyResult<R> {
    py.detach(|| catch_unwind(AssertUnwindSafe(work)))
        .map_err(|panic| KernelBug::new_err(panic_text(&*panic)))?
        .map_err(|error| input_error(py, &error))
}

/// `light` for work that can refuse its input.
pub fn light_checked<R>(py: Python<'_>, work: impl FnOnce() -> Result<R, InputError>) -> PyResult<R> {
    light(work)?.map_err(|error| input_error(py, &error))
}

#[pyfunction]
fn configure(py: Python<'_>, kernel_threads: usize) -> PyResult<()> {
    light_checked(py, || threads::configure(kernel_threads))
}

#[pyfunction]
fn keccak<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, keccak256(data).as_slice())
}

#[pyfunction]
fn keccak_batch<'py>(py: Python<'py>, items: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let hashes = heavy_checked(py, || {
        Ok(pack::read_packed("items", items)?.into_iter().flat_map(|item| keccak256(item).0).collect::<Vec<u8>>())
    })?;
    Ok(PyBytes::new(py, &hashes))
}

/// q = n - f with f = (n - 1) div 3.
#[pyfunction]
fn quorum(py: Python<'_>, validators: usize) -> PyResult<usize> {
    light_checked(py, || match validators.checked_sub(1) {
        Some(others) => Ok(validators - others / 3),
        None => Err(InputError::new("validators", "at least 1", 0)),
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add(intern!(py, "VERSION"), env!("CARGO_PKG_VERSION"))?;
    module.add(intern!(py, "EMPTY_ROOT"), PyBytes::new(py, EMPTY_ROOT_HASH.as_slice()))?;
    module.add(intern!(py, "EMPTY_CODE_HASH"), PyBytes::new(py, KECCAK256_EMPTY.as_slice()))?;
    module.add(intern!(py, "KernelInputError"), py.get_type::<KernelInputError>())?;
    module.add(intern!(py, "KernelBug"), py.get_type::<KernelBug>())?;
    module.add_function(wrap_pyfunction!(configure, module)?)?;
    module.add_function(wrap_pyfunction!(keccak, module)?)?;
    module.add_function(wrap_pyfunction!(keccak_batch, module)?)?;
    module.add_function(wrap_pyfunction!(quorum, module)?)
}

//! The only place that knows Python: convert, release the interpreter lock, map errors. No logic.

mod base;
mod trie;

use pyo3::prelude::*;

/// The extension module `hansa_kernel._kernel`.
#[pymodule(name = "_kernel")]
fn kernel(module: &Bound<'_, PyModule>) -> PyResult<()> {
    base::register(module)?;
    trie::register(module)
}

//! The only place that knows Python: convert, release the interpreter lock, map errors. No logic.

mod base;
mod block;
mod bls;
mod call;
mod conformance;
mod exec;
mod header;
mod spec;
mod trace;
mod trie;
mod tx;
mod txpool;
mod views;
mod witness;

use pyo3::prelude::*;

/// The extension module `hansa_kernel._kernel`.
#[pymodule(name = "_kernel")]
fn kernel(module: &Bound<'_, PyModule>) -> PyResult<()> {
    base::register(module)?;
    bls::register(module)?;
    spec::register(module)?;
    header::register(module)?;
    exec::register(module)?;
    block::register(module)?;
    call::register(module)?;
    trace::register(module)?;
    conformance::register(module)?;
    tx::register(module)?;
    txpool::register(module)?;
    views::register(module)?;
    trie::register(module)?;
    witness::register(module)
}

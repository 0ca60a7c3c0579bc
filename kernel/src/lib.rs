//! Hansa's kernel: everything that costs CPU, on whole batches, without I/O, clock or randomness.
//!
//! Topics know nothing of Python; `py/` is the only place that does. Layouts of the byte strings that cross the border
//! are described in `python/hansa_kernel/_kernel.pyi`.

pub mod bls;
pub mod conformance;
pub mod error;
pub mod evm;
pub mod exec;
pub mod header;
pub mod keccak;
pub mod pack;
pub mod spec;
pub mod threads;
pub mod trace;
pub mod trie;
pub mod tx;
pub mod txpool;
pub mod views;
pub mod witness;

mod py;

//! Runners of the public Ethereum tests, for our own tests and for `hansa evm`.

pub mod full_state;
pub mod statetest;

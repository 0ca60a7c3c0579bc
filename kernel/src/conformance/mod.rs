//! Runners of the public Ethereum tests, for our own tests and for `hansa evm`.

pub mod answers;
pub mod blocktest;
pub mod chain;
pub mod full_state;
pub mod statetest;

//! Execution of blocks and calls behind the miss protocol.

pub mod cache;
pub mod need;
pub mod state;
pub mod write_set;

//! Execution of blocks and calls behind the miss protocol.

pub mod write_set;

//! Execution of blocks and calls behind the miss protocol.

pub mod block_job;
pub mod cache;
pub mod call_job;
pub mod estimate;
pub mod exchange;
pub mod need;
pub mod overrides;
pub mod receipts;
pub mod sequential;
pub mod state;
pub mod write_set;

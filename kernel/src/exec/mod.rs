//! Execution of blocks and calls behind the miss protocol.

pub mod access_list;
pub mod block_job;
pub mod cache;
pub mod call_job;
pub mod commit;
pub mod estimate;
pub mod exchange;
mod growth;
pub mod jitter;
pub mod lanes;
pub mod need;
pub mod overrides;
pub mod prefetch;
pub mod protocol;
pub mod receipts;
pub mod schedule;
pub mod sequential;
pub mod state;
pub mod stm;
pub mod view;
pub mod window;
pub mod write_set;

//! Tracing: transactions and calls run again under inspectors, in the shapes of geth (`debug_`) and `OpenEthereum`
//! (`trace_`).
//!
//! A [`job::TraceJob`] replays a block's earlier transactions behind the miss protocol, runs the wanted ones under a
//! [`recorder::Recorder`], and renders JSON. What a recorder keeps is bounded in bytes; what a job returns is, too.

pub mod args;
pub mod calls;
pub mod config;
pub mod flat;
pub mod job;
pub mod parity;
pub mod prestate;
pub mod recorder;
pub mod render;
pub mod simulate;
pub mod struct_logs;
#[cfg(test)]
mod tests;
mod text;

pub use config::Tracer;
pub use job::{TraceJob, TraceRequest, TraceStep, Traced};

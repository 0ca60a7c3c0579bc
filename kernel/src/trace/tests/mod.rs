//! geth's recorded traces and simulations (public JSON-RPC vectors), and bounds.

mod besu;
mod bounds;
mod chain;
mod parity;
mod public;
mod simulations;

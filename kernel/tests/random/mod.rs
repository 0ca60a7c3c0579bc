//! Random blocks and a state to run them on.
//!
//! Transfers, calls of contracts that conflict in every way, creations, self-destructions, delegations (EIP-7702), blobs,
//! deposits and other requests, chains of one sender, nonces that do not fit, senders that cannot pay, with and without
//! fees; on every fork of Ethereum, and on a chain with account signatures, address ranges and privileged opcodes.
//!
//! Everything follows from the seed of proptest's generator.

#![allow(dead_code, unused_imports)] // each test crate uses its part

pub mod chain;
mod drive;
mod plan;
mod world;

pub use drive::{Choices, HEAD, Runner, block_hash, cache, request, request_of, without_stats};
pub use plan::{Plan, batch, batch_after, plan};
pub use world::{ACTORS, CONTRACTS, Rules, actor, beneficiary, chain_of, contract, secret, someone, world, world_of};

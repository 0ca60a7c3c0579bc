//! The only place that touches revm's set-up: context, rules, transactions, system calls, and what its errors are called.

mod cancel;
mod fork_opcodes;
pub mod genesis;
mod in_block;
pub mod opcodes;
mod precompile;
pub mod precompiles;
mod prices;
pub mod ranges;
mod redirect;
mod set_up;
pub mod system;
mod text;
mod transaction;
mod tx_env;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use cancel::CancelFlag;
pub use in_block::{Aside, aside, run_in_block};
pub use precompile::run_precompile;
pub use redirect::Redirect;
pub use set_up::{
    Evm, EvmContext, Outcome, Purpose, Recorded, block_of, build, cfg_of, is_precompile, run_exact, run_guessing,
    run_inspected, run_system, set_blob_base_fee, set_checks, state_of, undefined_opcode,
};
pub use text::{halt_text, invalid_call_text, invalid_transaction};
pub use transaction::{Body, Tx};
pub use tx_env::{authorities, recovered_authorizations, target, tx_env};

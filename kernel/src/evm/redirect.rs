//! Precompiles that a call pretends to lie elsewhere, or to be gone (`movePrecompileToAddress`, code overrides).

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, address};
use revm::Inspector;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{CallInputs, CallOutcome};

use super::set_up::EvmContext;

/// Where no precompile lies: code called under this address runs as code.
const NOWHERE: Address = address!("fffffffffffffffffffffffffffffffffffffffe");

/// The changes. revm has resolved the code of a call before it looks for a precompile at its address, so changing the
/// address alone decides which of the two runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirect {
    /// New address to the precompile's own.
    pub moved: BTreeMap<Address, Address>,
    /// Addresses that are no precompiles any more.
    pub gone: BTreeSet<Address>,
}

impl Redirect {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moved.is_empty() && self.gone.is_empty()
    }

    /// Change where a call looks for a precompile.
    pub fn apply(&self, inputs: &mut CallInputs) {
        if let Some(own) = self.moved.get(&inputs.bytecode_address) {
            inputs.bytecode_address = *own;
        } else if self.gone.contains(&inputs.bytecode_address) {
            inputs.bytecode_address = NOWHERE;
        }
    }
}

impl<'a> Inspector<EvmContext<'a>, EthInterpreter> for Redirect {
    fn call(&mut self, _: &mut EvmContext<'a>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.apply(inputs);
        None
    }
}

//! The door through which revm finds precompiles: Ethereum's, then the chain's.

use alloy_primitives::map::AddressSet;
use revm::context_interface::{ContextTr, JournalTr, LocalContextTr};
use revm::handler::{EthPrecompiles, PrecompileProvider, precompile_output_to_interpreter_result};
use revm::interpreter::{CallInputs, InterpreterResult};
use revm::precompile::{PrecompileHalt, PrecompileOutput};
use revm::primitives::Address;
use revm::primitives::hardfork::SpecId;

use super::{BadInput, Declared, DeclaredSet};
use crate::evm::ranges;
use crate::evm::set_up::{EvmContext, Recorded};

/// Ethereum's precompiles and those that the chain spec declares. All are warm (EIP-2929).
#[derive(Debug, Clone)]
pub struct ChainPrecompiles {
    ethereum: EthPrecompiles,
    declared: DeclaredSet,
    /// Of both; empty where the chain declares none, and Ethereum's own set serves.
    warm: AddressSet,
}

impl ChainPrecompiles {
    #[must_use]
    pub fn new(spec: SpecId, declared: DeclaredSet) -> Self {
        let mut provider = Self { ethereum: EthPrecompiles::new(spec), declared, warm: AddressSet::default() };
        provider.fill();
        provider
    }

    fn fill(&mut self) {
        if !self.declared.by_address().is_empty() {
            self.warm = self.ethereum.warm_addresses().clone();
            self.warm.extend(self.declared.by_address().keys());
        }
    }

    /// Whether something other than code answers calls of that address.
    #[must_use]
    pub fn is_precompile(&self, address: &Address) -> bool {
        self.ethereum.contains(address) || self.declared.by_address().contains_key(address)
    }
}

fn output(set: &DeclaredSet, declared: &Declared, input: &[u8], inputs: &CallInputs) -> PrecompileOutput {
    let gas = declared.gas.of(input, (declared.precompile.items)(input));
    if gas > inputs.gas_limit {
        return PrecompileOutput::halt(PrecompileHalt::OutOfGas, inputs.reservoir);
    }
    match set.results().run(declared.precompile, input) {
        Ok(bytes) => PrecompileOutput::new(gas, bytes, inputs.reservoir),
        Err(BadInput(reason)) => PrecompileOutput::halt(PrecompileHalt::other_static(reason), inputs.reservoir),
    }
}

impl<'a, D: Recorded> PrecompileProvider<EvmContext<'a, D>> for ChainPrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        let changed = <EthPrecompiles as PrecompileProvider<EvmContext<'a, D>>>::set_spec(&mut self.ethereum, spec);
        if changed {
            self.fill();
        }
        changed
    }

    fn run(
        &mut self,
        context: &mut EvmContext<'a, D>,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        // Every call passes here before its code runs.
        if let Some(result) = ranges::refuse_delegation(context, inputs) {
            return Ok(Some(result));
        }
        let Some(declared) = self.declared.by_address().get(&inputs.bytecode_address) else {
            return self.ethereum.run(context, inputs);
        };
        let output = output(&self.declared, declared, &inputs.input.as_bytes(context), inputs);
        // As for Ethereum's: a call from outside learns why it failed.
        if let Some(reason) = output.halt_reason()
            && !reason.is_oog()
            && context.journal().depth() == 1
        {
            let reason = reason.to_string();
            context.local_mut().set_precompile_error_context(reason);
        }
        Ok(Some(precompile_output_to_interpreter_result(output, inputs.gas_limit)))
    }

    fn warm_addresses(&self) -> &AddressSet {
        if self.warm.is_empty() { self.ethereum.warm_addresses() } else { &self.warm }
    }
}

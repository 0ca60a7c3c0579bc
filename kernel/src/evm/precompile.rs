//! Calling a precompiled contract alone.

use alloy_primitives::{Address, Bytes};
use revm::precompile::{PrecompileSpecId, PrecompileStatus, Precompiles};

use crate::spec::Fork;

/// Output and gas of the precompile at `address` on the rules of `fork`; `None` when there is none.
///
/// # Errors
/// Why it refuses the input, out of gas included.
#[must_use]
pub fn run_precompile(fork: Fork, address: Address, input: &[u8], gas: u64) -> Option<Result<(Bytes, u64), String>> {
    let precompile = Precompiles::new(PrecompileSpecId::from_spec_id(fork.spec_id())).get(&address)?;
    Some(match precompile.execute(input, gas, 0) {
        Ok(output) => match output.status {
            PrecompileStatus::Success => Ok((output.bytes, output.gas_used)),
            PrecompileStatus::Revert => Err("reverted".to_owned()),
            PrecompileStatus::Halt(reason) => Err(format!("{reason:?}")),
        },
        Err(error) => Err(format!("{error:?}")),
    })
}

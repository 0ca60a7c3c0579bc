//! The chain's own prices of reads and of growth of the state (`config.hansa.vm.gas`) in revm's tables.

use revm::bytecode::opcode::{
    BALANCE, CALL, CALLCODE, DELEGATECALL, EXTCODECOPY, EXTCODEHASH, EXTCODESIZE, SLOAD, STATICCALL,
};
use revm::context_interface::cfg::GasParams;
use revm::context_interface::cfg::gas_params::GasId;
use revm::interpreter::GasTable;
use revm::primitives::hardfork::SpecId;

use crate::spec::GasPrices;

/// Opcodes whose price is that of a read, before reads were told apart in cold and warm ones (EIP-2929).
const READS: [u8; 9] =
    [SLOAD, BALANCE, EXTCODESIZE, EXTCODECOPY, EXTCODEHASH, CALL, CALLCODE, DELEGATECALL, STATICCALL];

/// Prices that are for growth of the state alone.
const GROWTH: [fn() -> GasId; 12] = [
    GasId::new_account_cost,
    GasId::new_account_cost_for_selfdestruct,
    GasId::create,
    GasId::tx_create_cost,
    GasId::code_deposit_cost,
    GasId::sstore_set_without_load_cost,
    // A slot that goes back to zero gives back what it was charged.
    GasId::sstore_set_refund,
    GasId::sstore_set_state_gas,
    GasId::new_account_state_gas,
    GasId::code_deposit_state_gas,
    GasId::create_state_gas,
    GasId::tx_eip7702_state_gas_bytecode,
];

/// Multiply the prices that code and transactions pay.
///
/// A cold read's price is what it costs as a whole: 2,600 for an account, 2,100 for a slot. An entry of an access list is
/// a read paid before.
pub fn scale(params: &mut GasParams, prices: GasPrices) {
    if prices.are_plain() {
        return;
    }
    let warm = params.get(GasId::warm_storage_read_cost());
    let cold = |id: GasId| (id, prices.read(params.get(id) + warm).saturating_sub(warm));
    let read = |id: GasId| (id, prices.read(params.get(id)));
    let (authorization, refund) = (GasId::tx_eip7702_regular_gas(), GasId::tx_eip7702_regular_refund());
    let authorizations = match params.get(authorization) {
        0 => (0, 0),
        gas => prices.authorization(gas, params.get(refund)),
    };
    let mut scaled = vec![
        cold(GasId::cold_account_additional_cost()),
        cold(GasId::cold_storage_additional_cost()),
        read(GasId::cold_storage_cost()),
        read(GasId::tx_access_list_address_cost()),
        read(GasId::tx_access_list_storage_key_cost()),
        (authorization, authorizations.0),
        (refund, authorizations.1),
    ];
    scaled.extend(GROWTH.iter().map(|id| (id(), prices.growth(params.get(id())))));
    params.override_gas(scaled);
}

/// Multiply what reads cost whatever they meet, before Berlin.
pub fn scale_static(table: &mut GasTable, prices: GasPrices, rules: SpecId) {
    if prices.are_plain() || rules.is_enabled_in(SpecId::BERLIN) {
        return;
    }
    for opcode in READS {
        let gas = &mut table[usize::from(opcode)];
        *gas = u16::try_from(prices.read(u64::from(*gas))).unwrap_or(u16::MAX);
    }
}

#[cfg(test)]
mod tests;

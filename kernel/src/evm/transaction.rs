//! The transaction as our EVM takes it: Ethereum's, and what the chain's own envelope adds.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use revm::context::TxEnv;
use revm::context_interface::Transaction;
use revm::context_interface::cfg::gas_params::GasId;
use revm::handler::system_call::SystemCallTx;

use super::set_up::{EvmContext, Recorded};
use crate::tx::AddressRanges;

/// A transaction to run, shared: an EVM takes what it runs, and most runs are not the last of their transaction. Fields
/// of Ethereum's are reached through it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tx(Arc<Body>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    pub ethereum: TxEnv,
    /// EIP-2718 type as in the block. The EVM applies Ethereum's nearest one to the chain's own.
    pub envelope_type: u8,
    /// Gas beside Ethereum's intrinsic gas, paid whatever happens: verification of the account's signature.
    pub extra_gas: u64,
    /// Addresses that it may touch.
    pub ranges: AddressRanges,
}

impl From<TxEnv> for Tx {
    fn from(ethereum: TxEnv) -> Self {
        Body { envelope_type: ethereum.tx_type, ethereum, ..Body::default() }.into()
    }
}

impl From<Body> for Tx {
    fn from(body: Body) -> Self {
        Self(Arc::new(body))
    }
}

impl Deref for Tx {
    type Target = Body;

    fn deref(&self) -> &Body {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Body {
        Arc::make_mut(&mut self.0)
    }
}

impl Deref for Body {
    type Target = TxEnv;

    fn deref(&self) -> &TxEnv {
        &self.ethereum
    }
}

impl DerefMut for Body {
    fn deref_mut(&mut self) -> &mut TxEnv {
        &mut self.ethereum
    }
}

impl SystemCallTx for Tx {
    fn new_system_tx_with_caller(caller: Address, contract: Address, data: Bytes) -> Self {
        TxEnv::new_system_tx_with_caller(caller, contract, data).into()
    }
}

/// Everything as Ethereum's transaction has it.
impl Transaction for Tx {
    type AccessListItem<'a> = <TxEnv as Transaction>::AccessListItem<'a>;
    type Authorization<'a> = <TxEnv as Transaction>::Authorization<'a>;

    fn tx_type(&self) -> u8 {
        self.ethereum.tx_type()
    }

    fn caller(&self) -> Address {
        self.ethereum.caller()
    }

    fn gas_limit(&self) -> u64 {
        self.ethereum.gas_limit()
    }

    fn value(&self) -> U256 {
        self.ethereum.value()
    }

    fn input(&self) -> &Bytes {
        self.ethereum.input()
    }

    fn nonce(&self) -> u64 {
        self.ethereum.nonce()
    }

    fn kind(&self) -> TxKind {
        self.ethereum.kind()
    }

    fn chain_id(&self) -> Option<u64> {
        self.ethereum.chain_id()
    }

    fn gas_price(&self) -> u128 {
        self.ethereum.gas_price()
    }

    fn access_list(&self) -> Option<impl Iterator<Item = Self::AccessListItem<'_>>> {
        self.ethereum.access_list()
    }

    fn blob_versioned_hashes(&self) -> &[B256] {
        self.ethereum.blob_versioned_hashes()
    }

    fn max_fee_per_blob_gas(&self) -> u128 {
        self.ethereum.max_fee_per_blob_gas()
    }

    fn authorization_list_len(&self) -> usize {
        self.ethereum.authorization_list_len()
    }

    fn authorization_list(&self) -> impl Iterator<Item = Self::Authorization<'_>> {
        self.ethereum.authorization_list()
    }

    fn max_priority_fee_per_gas(&self) -> Option<u128> {
        self.ethereum.max_priority_fee_per_gas()
    }
}

/// Set the context to the transaction's own rules, before it runs.
pub fn prepare<D: Recorded>(context: &mut EvmContext<'_, D>, tx: &Tx) {
    context.chain.out_of_range = None;
    if context.chain.extra_gas == tx.extra_gas {
        return;
    }
    let block = context.chain.block_prices.get_or_insert_with(|| context.cfg.gas_params.clone()).clone();
    let mut prices = block.clone();
    // The floor of EIP-7623 prices calldata; the signature is paid on top of it.
    let base = block.get(GasId::tx_base_stipend()).saturating_add(tx.extra_gas);
    let floor = block.get(GasId::tx_floor_cost_base_gas()).saturating_add(tx.extra_gas);
    prices.override_gas([(GasId::tx_base_stipend(), base), (GasId::tx_floor_cost_base_gas(), floor)]);
    context.cfg.gas_params = prices;
    context.chain.extra_gas = tx.extra_gas;
}

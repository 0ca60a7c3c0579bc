//! What a block is executed in.

use alloy_primitives::{Address, B64, B256, Bytes, U256};

use super::Header;
use crate::error::InputResult;
use crate::spec::{Fork, Spec};

/// Consensus fields of a block that are known before it is executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockEnv {
    pub parent_hash: B256,
    pub number: u64,
    pub timestamp: u64,
    pub gas_limit: u64,
    /// Wei; 0 before London.
    pub base_fee_per_gas: u64,
    pub beneficiary: Address,
    pub prev_randao: B256,
    pub parent_beacon_block_root: B256,
    pub extra_data: Bytes,
    pub difficulty: U256,
    pub excess_blob_gas: u64,
    /// Part of the seal before the merge, 0 after it; goes into the header as it is.
    pub nonce: B64,
}

impl BlockEnv {
    /// Environment of the block with that header.
    ///
    /// # Errors
    /// As [`Header::decode`].
    pub fn from_header(rlp: &[u8]) -> InputResult<Self> {
        Ok(Self::of(&Header::decode("rlp", rlp)?.inner))
    }

    /// Environment of a decoded header.
    #[must_use]
    pub fn of(header: &alloy_consensus::Header) -> Self {
        Self {
            parent_hash: header.parent_hash,
            number: header.number,
            timestamp: header.timestamp,
            gas_limit: header.gas_limit,
            base_fee_per_gas: header.base_fee_per_gas.unwrap_or_default(),
            beneficiary: header.beneficiary,
            prev_randao: header.mix_hash,
            parent_beacon_block_root: header.parent_beacon_block_root.unwrap_or_default(),
            extra_data: header.extra_data.clone(),
            difficulty: header.difficulty,
            excess_blob_gas: header.excess_blob_gas.unwrap_or_default(),
            nonce: header.nonce,
        }
    }
}

impl BlockEnv {
    /// The fork of this block. A London block without difficulty is past the merge, as in geth.
    #[must_use]
    pub fn fork(&self, spec: &Spec) -> Fork {
        let fork = spec.fork(self.number, self.timestamp);
        if fork == Fork::London && self.difficulty.is_zero() { Fork::Paris } else { fork }
    }
}

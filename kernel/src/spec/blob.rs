//! Price and supply of blob gas (EIP-4844, EIP-7691, EIP-7840, EIP-7892, EIP-7918).

use alloy_primitives::U256;

use super::{BlobRules, Fork, Spec};
use crate::header::Header;

/// Gas of one blob (EIP-4844).
pub const GAS_PER_BLOB: u64 = 131_072;
/// Execution gas at whose price a blob is priced at least (EIP-7918).
const BLOB_BASE_COST: u64 = 8_192;
/// A price beyond this is not told apart: no sender can hold as much.
const PRICE_MAX: U256 = U256::from_limbs([0, 0, 1, 0]);

impl BlobRules {
    /// Most blob gas of a block.
    #[must_use]
    pub fn gas_max(&self) -> u64 {
        self.max.saturating_mul(GAS_PER_BLOB)
    }

    /// Wei per blob gas, `e^(excess / update_fraction)` by EIP-4844's series; at most 2^128.
    #[must_use]
    pub fn price(&self, excess: u64) -> U256 {
        let (excess, fraction) = (U256::from(excess), U256::from(self.update_fraction));
        let (mut sum, mut term, mut index) = (U256::ZERO, fraction, U256::from(1));
        while !term.is_zero() {
            sum = sum.saturating_add(term);
            if sum / fraction >= PRICE_MAX {
                return PRICE_MAX;
            }
            term = term.saturating_mul(excess) / fraction.saturating_mul(index);
            index += U256::from(1);
        }
        sum / fraction
    }
}

impl Spec {
    /// Blob base fees in wei: of the block, and of the next one as far as its time is known; 0 before Cancun.
    #[must_use]
    pub fn blob_base_fees(&self, header: &Header) -> (U256, U256) {
        let time = header.inner.timestamp;
        let (Some(rules), Some(excess)) = (self.blob_rules(time), header.inner.excess_blob_gas) else {
            return (U256::ZERO, U256::ZERO);
        };
        let next = self.next_excess_blob_gas(header, time).unwrap_or_default();
        (rules.price(excess), rules.price(next))
    }

    /// `excess_blob_gas` of the block after `parent` at `timestamp`; None before Cancun.
    #[must_use]
    pub fn next_excess_blob_gas(&self, parent: &Header, timestamp: u64) -> Option<u64> {
        let parent = &parent.inner;
        let fork = self.fork(parent.number.saturating_add(1), timestamp);
        if fork < Fork::Cancun {
            return None;
        }
        let rules = self.blob_rules(timestamp)?;
        // The first block of Cancun follows one without blob gas.
        let excess = parent.excess_blob_gas.unwrap_or_default();
        let used = parent.blob_gas_used.unwrap_or_default();
        let target = rules.target.saturating_mul(GAS_PER_BLOB);
        let sum = excess.saturating_add(used);
        if sum < target {
            return Some(0);
        }
        // EIP-7918: while execution gas costs more than the blob, the excess does not fall.
        let reserve = U256::from(BLOB_BASE_COST) * U256::from(parent.base_fee_per_gas.unwrap_or_default());
        if fork >= Fork::Osaka && rules.max > 0 && reserve > U256::from(GAS_PER_BLOB) * rules.price(excess) {
            let part = u128::from(used) * u128::from(rules.max.saturating_sub(rules.target)) / u128::from(rules.max);
            return Some(excess.saturating_add(u64::try_from(part).unwrap_or(u64::MAX)));
        }
        Some(sum - target)
    }
}

//! What verification costs on a chain, and which schemes it takes.

use super::{AccountScheme, SCHEMES};
use crate::tx::schemes;

/// Gas per byte of key and signature where the chain spec sets none: as of calldata that is not zero (EIP-2028).
pub const BYTE_GAS: u64 = 16;

/// Gas of a declared range: its 40 bytes, as calldata.
const RANGE_GAS: u64 = 40 * BYTE_GAS;

/// Price of one verification, gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemePrice {
    pub base: u64,
    /// Per byte of key and signature.
    pub per_byte: u64,
}

impl SchemePrice {
    #[must_use]
    pub fn of(scheme: &dyn AccountScheme) -> Self {
        Self { base: scheme.gas(), per_byte: BYTE_GAS }
    }

    /// Gas of a transaction of that scheme, beside Ethereum's intrinsic gas.
    #[must_use]
    pub fn gas(&self, scheme: &dyn AccountScheme) -> u64 {
        let bytes = (scheme.key_bytes() + scheme.signature_bytes()) as u64;
        self.base.saturating_add(self.per_byte.saturating_mul(bytes))
    }
}

/// Prices by identifier; a scheme without one is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchemePrices([Option<SchemePrice>; SCHEMES as usize]);

impl SchemePrices {
    /// Turn a scheme on.
    pub fn set(&mut self, scheme: &dyn AccountScheme, price: SchemePrice) {
        if let Some(place) = self.0.get_mut(usize::from(scheme.id())) {
            *place = Some(price);
        }
    }

    /// `None` where the scheme is off.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<SchemePrice> {
        self.0.get(usize::from(id)).copied().flatten()
    }

    /// What an envelope of a scheme with that many ranges costs beside Ethereum's intrinsic gas.
    #[must_use]
    pub fn envelope_gas(&self, id: u8, ranges: usize) -> u64 {
        let signature = match (schemes::by_id(id), self.get(id)) {
            (Some(scheme), Some(price)) => price.gas(scheme),
            _ => 0,
        };
        signature.saturating_add(RANGE_GAS.saturating_mul(ranges as u64))
    }

    /// Whether every scheme is off.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

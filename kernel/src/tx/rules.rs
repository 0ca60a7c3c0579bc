//! What a transaction must satisfy whatever the state is.

use alloy_consensus::{Transaction, TxType};
use alloy_primitives::{Signature, U256, uint};

use super::envelope::{ACCOUNT_TX_TYPE, Envelope, SignedAccountTx};
use super::error::{TxCode, TxError};
use super::schemes::{self, SECP256K1, SchemePrices};
use crate::spec::{Fork, GasPrices, Spec};

/// Longest raw transaction, in bytes: geth's pool bound, so that one transaction is no denial of service.
pub const RAW_BYTES_MAX: usize = 128 * 1024;
/// Most access list entries (addresses plus storage keys): bounds what one transaction can make a member read.
pub const ACCESS_LIST_ENTRIES_MAX: usize = 4_096;
/// Most EIP-7702 authorisations: each costs a signature recovery when executed.
pub const AUTHORIZATIONS_MAX: usize = 64;

/// Half of the order of secp256k1: larger `s` are refused since Homestead (EIP-2).
const HALF_ORDER: U256 = uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

// Gas constants, by the EIP that set them.
const TX_GAS: u64 = 21_000;
const TX_CREATE_GAS: u64 = 32_000; // EIP-2
const DATA_ZERO_GAS: u64 = 4;
const DATA_NONZERO_GAS_FRONTIER: u64 = 68;
const DATA_NONZERO_GAS: u64 = 16; // EIP-2028
const ACCESS_LIST_ADDRESS_GAS: u64 = 2_400; // EIP-2930
const ACCESS_LIST_KEY_GAS: u64 = 1_900; // EIP-2930
const INITCODE_WORD_GAS: u64 = 2; // EIP-3860
const AUTHORIZATION_GAS: u64 = 25_000; // EIP-7702
const AUTHORIZATION_REFUND: u64 = 12_500; // EIP-7702, for an account that is there
const FLOOR_TOKEN_GAS: u64 = 10; // EIP-7623
const TOKENS_PER_NONZERO_BYTE: u64 = 4; // EIP-7623

/// The rules of one block of one chain, as far as they concern a transaction alone.
///
/// A legacy transaction without chain id (before EIP-155) is accepted on every fork: consensus allows it, and the
/// usual CREATE2 deployer is published by exactly such a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is an independent rule of a fork")]
pub struct TxRules {
    pub chain_id: u64,
    pub homestead: bool,
    pub eip155: bool,
    pub istanbul: bool,
    pub berlin: bool,
    pub london: bool,
    pub shanghai: bool,
    pub prague: bool,
    /// Blob transactions may occur. Never on Hansa chains: nobody there keeps sidecars.
    pub blobs: bool,
    /// Bytes; twice `max_code_size` (EIP-3860), from Shanghai.
    pub max_initcode_size: usize,
    /// EIP-7825, from Osaka.
    pub gas_limit_cap: Option<u64>,
    /// Whether [`RAW_BYTES_MAX`], [`ACCESS_LIST_ENTRIES_MAX`] and [`AUTHORIZATIONS_MAX`] hold.
    pub bounded: bool,
    /// Account signatures that the chain takes, with their prices.
    pub schemes: SchemePrices,
    /// Transactions may declare ranges of addresses.
    pub address_ranges: bool,
    /// There is no ether: no transaction sends any.
    pub no_ether: bool,
    /// What reads and growth of the state cost.
    pub prices: GasPrices,
}

impl TxRules {
    /// Rules of the block with that number and timestamp, with Hansa's bounds.
    #[must_use]
    pub fn of(spec: &Spec, number: u64, timestamp: u64) -> Self {
        let fork = spec.fork(number, timestamp);
        Self {
            chain_id: spec.chain_id(),
            homestead: fork >= Fork::Homestead,
            eip155: fork >= Fork::SpuriousDragon,
            istanbul: fork >= Fork::Istanbul,
            berlin: fork >= Fork::Berlin,
            london: fork >= Fork::London,
            shanghai: fork >= Fork::Shanghai,
            prague: fork >= Fork::Prague,
            blobs: fork >= Fork::Cancun && !spec.is_hansa(),
            max_initcode_size: spec.max_code_size().saturating_mul(2),
            gas_limit_cap: spec.tx_gas_limit_cap(number, timestamp),
            bounded: true,
            schemes: spec.vm().schemes,
            address_ranges: spec.vm().address_ranges,
            no_ether: spec.vm().no_ether,
            prices: spec.vm().prices,
        }
    }

    /// Rules for a block of another Ethereum chain: consensus knows none of Hansa's bounds.
    #[must_use]
    pub fn unbounded(spec: &Spec, number: u64, timestamp: u64) -> Self {
        Self { bounded: false, ..Self::of(spec, number, timestamp) }
    }

    /// Type, fields and gas; not the signature. Well under a microsecond without calldata.
    ///
    /// # Errors
    /// The first rule that the transaction breaks.
    pub fn check(&self, tx: &Envelope) -> Result<(), TxError> {
        match tx {
            Envelope::Ethereum(tx) => self.check_type(tx.tx_type())?,
            Envelope::Account(tx) => self.check_account(tx)?,
        }
        self.check_chain_id(tx.chain_id())?;
        if tx.nonce() == u64::MAX {
            return Err(TxError::new(TxCode::NonceMax, format!("nonce has max value: nonce: {}", u64::MAX)));
        }
        if let Some(tip) = tx.max_priority_fee_per_gas() {
            check_fees(tip, tx.max_fee_per_gas())?;
        }
        check_authorizations(tx)?;
        if self.bounded {
            check_bounds(tx)?;
        }
        if self.no_ether && !tx.value().is_zero() {
            let message = "value not allowed: this chain has no ether";
            return Err(TxError::with(TxCode::NoEther, message, U256::ZERO, tx.value()));
        }
        if self.shanghai && tx.is_create() && tx.input().len() > self.max_initcode_size {
            let (size, limit) = (tx.input().len(), self.max_initcode_size);
            return Err(TxError::with(
                TxCode::InitcodeSize,
                format!("max initcode size exceeded: code size {size}, limit {limit}"),
                U256::from(limit),
                U256::from(size),
            ));
        }
        self.check_gas(tx)
    }

    fn check_type(&self, kind: TxType) -> Result<(), TxError> {
        let allowed = match kind {
            TxType::Legacy => true,
            TxType::Eip2930 => self.berlin,
            TxType::Eip1559 => self.london,
            TxType::Eip4844 => self.blobs,
            TxType::Eip7702 => self.prague,
        };
        if allowed { Ok(()) } else { Err(type_not_supported(kind.into())) }
    }

    /// What the chain allows an envelope to carry.
    fn check_account(&self, account: &SignedAccountTx) -> Result<(), TxError> {
        if !self.london || (self.schemes.is_empty() && !self.address_ranges) {
            return Err(type_not_supported(ACCOUNT_TX_TYPE));
        }
        let tx = &account.tx;
        if tx.scheme != SECP256K1 && (self.schemes.get(tx.scheme).is_none() || schemes::by_id(tx.scheme).is_none()) {
            let name = schemes::name_of(tx.scheme);
            return Err(TxError::with(
                TxCode::SchemeNotSupported,
                format!("signature scheme not supported: scheme {} ({name})", tx.scheme),
                None,
                U256::from(tx.scheme),
            ));
        }
        if !tx.ranges.is_empty() && !self.address_ranges {
            return Err(TxError::new(TxCode::AddressRanges, "address ranges are not supported by this chain"));
        }
        Ok(())
    }

    fn check_chain_id(&self, chain_id: Option<u64>) -> Result<(), TxError> {
        match chain_id {
            None => Ok(()),
            Some(_) if !self.eip155 => Err(invalid_signature()),
            Some(id) if id == self.chain_id => Ok(()),
            Some(id) => Err(TxError::with(
                TxCode::ChainId,
                format!("invalid chain id for signer: have {id} want {}", self.chain_id),
                U256::from(self.chain_id),
                U256::from(id),
            )),
        }
    }

    fn check_gas(&self, tx: &Envelope) -> Result<(), TxError> {
        let limit = tx.gas_limit();
        if let Some(cap) = self.gas_limit_cap
            && limit > cap
        {
            return Err(TxError::with(
                TxCode::GasLimitTooHigh,
                format!("transaction gas limit too high (cap: {cap}, tx: {limit})"),
                U256::from(cap),
                U256::from(limit),
            ));
        }
        let (intrinsic, floor) = self.intrinsic_gas(tx);
        if limit < intrinsic {
            return Err(TxError::with(
                TxCode::IntrinsicGas,
                format!("intrinsic gas too low: gas {limit}, minimum needed {intrinsic}"),
                U256::from(intrinsic),
                U256::from(limit),
            ));
        }
        if limit < floor {
            return Err(TxError::with(
                TxCode::FloorDataGas,
                format!("insufficient gas for floor data gas cost: gas {limit}, minimum needed {floor}"),
                U256::from(floor),
                U256::from(limit),
            ));
        }
        Ok(())
    }

    /// (intrinsic gas, EIP-7623 floor or 0): the yellow paper's g0 with EIPs 2, 2028, 2930, 3860, 7702 and 7623.
    #[must_use]
    pub fn intrinsic_gas(&self, tx: &Envelope) -> (u64, u64) {
        // Every count is bounded by the raw size, so these sums stay far below 2^64.
        let zeros: u64 = tx.input().iter().map(|byte| u64::from(*byte == 0)).sum();
        let nonzeros = tx.input().len() as u64 - zeros;
        let nonzero_gas = if self.istanbul { DATA_NONZERO_GAS } else { DATA_NONZERO_GAS_FRONTIER };
        let mut gas = TX_GAS + zeros * DATA_ZERO_GAS + nonzeros * nonzero_gas;
        if tx.is_create() {
            if self.homestead {
                gas += self.prices.growth(TX_CREATE_GAS);
            }
            if self.shanghai {
                gas += INITCODE_WORD_GAS * tx.input().len().div_ceil(32) as u64;
            }
        }
        if let Some(list) = tx.access_list() {
            gas += self.prices.read(ACCESS_LIST_ADDRESS_GAS) * list.len() as u64;
            gas += self.prices.read(ACCESS_LIST_KEY_GAS) * list.storage_keys_count() as u64;
        }
        let (authorization, _) = self.prices.authorization(AUTHORIZATION_GAS, AUTHORIZATION_REFUND);
        gas += authorization * tx.authorization_list().map_or(0, <[_]>::len) as u64;
        let floor =
            if self.prague { TX_GAS + FLOOR_TOKEN_GAS * (zeros + nonzeros * TOKENS_PER_NONZERO_BYTE) } else { 0 };
        // The floor prices calldata; what an envelope adds is paid on top of both.
        let extra = self.extra_gas(tx);
        (gas.saturating_add(extra), if self.prague { floor.saturating_add(extra) } else { 0 })
    }

    /// What an envelope costs beside Ethereum's intrinsic gas: verification of its signature, and its ranges.
    #[must_use]
    pub fn extra_gas(&self, tx: &Envelope) -> u64 {
        let Some(account) = tx.as_account() else { return 0 };
        self.schemes.envelope_gas(account.tx.scheme, account.tx.ranges.as_slice().len())
    }

    /// Ranges of r and s (yellow paper, appendix F; EIP-2 for the lower half).
    pub(super) fn check_signature(&self, signature: &Signature) -> Result<(), TxError> {
        let s_max = if self.homestead { HALF_ORDER } else { ORDER - U256::ONE };
        let valid = (U256::ONE..ORDER).contains(&signature.r()) && (U256::ONE..=s_max).contains(&signature.s());
        if valid { Ok(()) } else { Err(invalid_signature()) }
    }
}

fn check_bounds(tx: &Envelope) -> Result<(), TxError> {
    let entries = tx.access_list().map_or(0, |list| list.len() + list.storage_keys_count());
    if entries > ACCESS_LIST_ENTRIES_MAX {
        return Err(TxError::with(
            TxCode::AccessListSize,
            format!("access list too large: {entries} entries, limit {ACCESS_LIST_ENTRIES_MAX}"),
            U256::from(ACCESS_LIST_ENTRIES_MAX),
            U256::from(entries),
        ));
    }
    let authorizations = tx.authorization_list().map_or(0, <[_]>::len);
    if authorizations > AUTHORIZATIONS_MAX {
        return Err(TxError::with(
            TxCode::AuthorizationListSize,
            format!("authorization list too large: {authorizations} authorizations, limit {AUTHORIZATIONS_MAX}"),
            U256::from(AUTHORIZATIONS_MAX),
            U256::from(authorizations),
        ));
    }
    Ok(())
}

fn check_authorizations(tx: &Envelope) -> Result<(), TxError> {
    if tx.authorization_list().is_some_and(<[_]>::is_empty) {
        let message = "set code tx must have at least one authorization tuple";
        return Err(TxError::new(TxCode::AuthorizationListEmpty, message));
    }
    Ok(())
}

fn check_fees(tip: u128, fee_cap: u128) -> Result<(), TxError> {
    if tip <= fee_cap {
        return Ok(());
    }
    Err(TxError::with(
        TxCode::TipAboveFeeCap,
        format!(
            "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, maxFeePerGas: {fee_cap}"
        ),
        U256::from(fee_cap),
        U256::from(tip),
    ))
}

pub(super) fn invalid_signature() -> TxError {
    TxError::new(TxCode::Signature, "invalid transaction v, r, s values")
}

pub(super) fn type_not_supported(kind: u8) -> TxError {
    TxError::new(
        TxCode::TypeNotSupported,
        format!("transaction type not supported: tx type {kind} not supported by this pool"),
    )
}

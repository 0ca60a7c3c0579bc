//! Why a transaction is refused: a stable code for machines, geth's words for people and client libraries.

use alloy_primitives::{Address, U256};
use thiserror::Error;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// Stable names of refusals (`spec/apis.md` 2.3). Names never change once released.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum TxCode { $($(#[$doc])* $name,)* }

        impl TxCode {
            /// The `snake_case` name that crosses every border.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// Not the RLP of a transaction.
    Malformed => "malformed_transaction",
    /// More raw bytes than a transaction may have.
    Oversized => "oversized_data",
    /// The fork, or Hansa, does not know this type.
    TypeNotSupported => "transaction_type_not_supported",
    ChainId => "invalid_chain_id",
    /// v, r or s out of range (EIP-2 included).
    Signature => "invalid_signature",
    /// The signature is well formed but recovers to no key.
    Sender => "invalid_sender",
    /// The chain does not take this signature scheme.
    SchemeNotSupported => "signature_scheme_not_supported",
    /// Address ranges that the chain does not take, or that leave out what the transaction touches anyway.
    AddressRanges => "address_ranges",
    /// The chain has no ether to send.
    NoEther => "value_not_allowed",
    /// Nonce 2^64 - 1 (EIP-2681).
    NonceMax => "nonce_max",
    IntrinsicGas => "intrinsic_gas_too_low",
    /// Below EIP-7623's floor.
    FloorDataGas => "floor_data_gas_too_low",
    /// Above EIP-7825's cap.
    GasLimitTooHigh => "gas_limit_too_high",
    /// EIP-3860.
    InitcodeSize => "max_initcode_size_exceeded",
    TipAboveFeeCap => "tip_above_fee_cap",
    AccessListSize => "access_list_too_large",
    AuthorizationListSize => "authorization_list_too_large",
    AuthorizationListEmpty => "authorization_list_empty",
    AlreadyKnown => "already_known",
    NonceTooLow => "nonce_too_low",
    NonceTooHigh => "nonce_too_high",
    ReplacementUnderpriced => "replacement_underpriced",
    InsufficientFunds => "insufficient_funds",
    BlockGasLimit => "exceeds_block_gas_limit",
    /// More new state than the chain lets a transaction, a sender or a block add.
    StateGrowth => "state_growth_too_large",
    FeeCapTooLow => "fee_cap_too_low",
    PoolFull => "pool_full",
    /// This sender has as many transactions in the pool as one sender may.
    AccountLimit => "account_limit_exceeded",
    /// The caller gave no account for this sender: read it and add again.
    AccountUnknown => "account_unknown",
    /// The sender's account has code (EIP-3607).
    SenderNotEoa => "sender_not_eoa",
    SenderNotPermitted => "sender_not_permitted",
    /// Found invalid for another reason while a block was built.
    Invalid => "invalid_transaction",
}

/// Why one transaction is refused. `message` begins with geth's text, since client libraries match on it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct TxError {
    pub code: TxCode,
    pub message: String,
    /// The bound or value wanted, where a single number says it.
    pub expected: Option<U256>,
    /// The value seen.
    pub got: Option<U256>,
}

impl TxError {
    #[must_use]
    pub fn new(code: TxCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), expected: None, got: None }
    }

    /// With the numbers wanted and seen.
    #[must_use]
    pub fn with(
        code: TxCode,
        message: impl Into<String>,
        expected: impl Into<Option<U256>>,
        got: impl Into<Option<U256>>,
    ) -> Self {
        Self { code, message: message.into(), expected: expected.into(), got: got.into() }
    }

    #[must_use]
    pub fn nonce_too_low(next: u64, nonce: u64) -> Self {
        Self::with(
            TxCode::NonceTooLow,
            format!("nonce too low: next nonce {next}, tx nonce {nonce}"),
            U256::from(next),
            U256::from(nonce),
        )
    }

    #[must_use]
    pub fn already_known() -> Self {
        Self::new(TxCode::AlreadyKnown, "already known")
    }

    #[must_use]
    pub fn exceeds_block_gas_limit(limit: u64, gas: u64) -> Self {
        Self::with(
            TxCode::BlockGasLimit,
            format!("exceeds block gas limit: tx gas limit {gas}, block gas limit {limit}"),
            U256::from(limit),
            U256::from(gas),
        )
    }

    #[must_use]
    pub fn fee_cap_too_low(sender: Address, fee_cap: u128, base_fee: u128) -> Self {
        Self::with(
            TxCode::FeeCapTooLow,
            format!(
                "max fee per gas less than block base fee: address {sender}, maxFeePerGas: {fee_cap}, baseFee: {base_fee}"
            ),
            U256::from(base_fee),
            U256::from(fee_cap),
        )
    }

    /// `queued` is what the sender's earlier transactions already cost (zero when it is alone).
    #[must_use]
    pub fn insufficient_funds(balance: U256, queued: U256, cost: U256) -> Self {
        let total = queued.saturating_add(cost);
        let over = total.saturating_sub(balance);
        let head = "insufficient funds for gas * price + value";
        let message = if queued.is_zero() {
            format!("{head}: balance {balance}, tx cost {cost}, overshot {over}")
        } else {
            format!("{head}: balance {balance}, queued cost {queued}, tx cost {cost}, overshot {over}")
        };
        Self::with(TxCode::InsufficientFunds, message, total, balance)
    }
}

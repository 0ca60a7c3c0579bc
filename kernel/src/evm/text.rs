//! What revm's errors are called: geth's words, which client libraries match on.

use alloy_eips::eip4844::VERSIONED_HASH_VERSION_KZG;
use alloy_primitives::U256;
use revm::context::TxEnv;
use revm::context::result::{HaltReason, InvalidTransaction};

use super::ranges;
use crate::spec::Spec;
use crate::tx::{Decoded, TxCode, TxError};
use alloy_consensus::Transaction;

/// geth's text of a run that ended by an error of the EVM.
#[must_use]
pub fn halt_text(reason: &HaltReason) -> &'static str {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        reason if ranges::out_of_range_text(reason).is_some() => ranges::OUT_OF_RANGE,
        HaltReason::PrecompileError | HaltReason::PrecompileErrorWithContext(_) => "precompile error",
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => "write protection",
        HaltReason::OverflowPayment | HaltReason::OutOfFunds => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
    }
}

/// Why a transaction must not be in the block.
#[must_use]
pub fn invalid_transaction(error: &InvalidTransaction, tx: &Decoded, base_fee: u64) -> TxError {
    use InvalidTransaction as I;
    match error {
        I::NonceTooLow { tx, state } => TxError::nonce_too_low(*state, *tx),
        I::NonceTooHigh { tx, state } => TxError::with(
            TxCode::NonceTooHigh,
            format!("nonce too high: next nonce {state}, tx nonce {tx}"),
            U256::from(*state),
            U256::from(*tx),
        ),
        I::NonceOverflowInTransaction => TxError::new(TxCode::NonceMax, "nonce has max value"),
        I::LackOfFundForMaxFee { fee, balance } => TxError::insufficient_funds(**balance, U256::ZERO, **fee),
        I::OverflowPaymentInTransaction => {
            TxError::new(TxCode::InsufficientFunds, "insufficient funds for gas * price + value: cost above 2^256")
        }
        I::GasPriceLessThanBasefee => {
            TxError::fee_cap_too_low(tx.sender, tx.tx.max_fee_per_gas(), u128::from(base_fee))
        }
        I::CallerGasLimitMoreThanBlock => TxError::new(TxCode::BlockGasLimit, "exceeds block gas limit"),
        I::RejectCallerWithCode => {
            TxError::new(TxCode::SenderNotEoa, format!("sender not an eoa: address {}, has code", tx.sender))
        }
        other => {
            let (code, text) = plain(other);
            TxError::new(code, text)
        }
    }
}

fn plain(error: &InvalidTransaction) -> (TxCode, String) {
    use InvalidTransaction as I;
    match error {
        I::PriorityFeeGreaterThanMaxFee => {
            (TxCode::TipAboveFeeCap, "max priority fee per gas higher than max fee per gas".into())
        }
        I::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            (TxCode::IntrinsicGas, format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}"))
        }
        I::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => (
            TxCode::FloorDataGas,
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}"),
        ),
        I::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            (TxCode::GasLimitTooHigh, format!("transaction gas limit too high (cap: {cap}, tx: {gas_limit})"))
        }
        I::CreateInitCodeSizeLimit => (TxCode::InitcodeSize, "max initcode size exceeded".into()),
        I::InvalidChainId | I::MissingChainId => (TxCode::ChainId, "invalid chain id for signer".into()),
        I::EmptyAuthorizationList => {
            (TxCode::AuthorizationListEmpty, "EIP-7702 transaction with empty auth list".into())
        }
        I::AccessListNotSupported
        | I::MaxFeePerBlobGasNotSupported
        | I::BlobVersionedHashesNotSupported
        | I::AuthorizationListNotSupported
        | I::Eip2930NotSupported
        | I::Eip1559NotSupported
        | I::Eip4844NotSupported
        | I::Eip7702NotSupported
        | I::Eip7873NotSupported => (TxCode::TypeNotSupported, "transaction type not supported".into()),
        other => (TxCode::Invalid, other.to_string()),
    }
}

/// geth's text of a call that could not begin, in a block of this base fee.
#[must_use]
pub fn invalid_call_text(error: &InvalidTransaction, tx: &TxEnv, spec: &Spec, base_fee: u64) -> String {
    use InvalidTransaction as I;
    let (sender, fee_cap) = (tx.caller, tx.gas_price);
    match error {
        I::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: address {sender} have {balance} want {fee}")
        }
        I::OverflowPaymentInTransaction => {
            format!("insufficient funds for gas * price + value: address {sender} required balance exceeds 256 bits")
        }
        I::GasPriceLessThanBasefee => format!(
            "max fee per gas less than block base fee: address {sender}, maxFeePerGas: {fee_cap}, baseFee: {base_fee}"
        ),
        I::PriorityFeeGreaterThanMaxFee => format!(
            "max priority fee per gas higher than max fee per gas: address {sender}, maxPriorityFeePerGas: {}, \
             maxFeePerGas: {fee_cap}",
            tx.gas_priority_fee.unwrap_or_default()
        ),
        I::BlobGasPriceGreaterThanMax { block_blob_gas_price, tx_max_fee_per_blob_gas } => format!(
            "max fee per blob gas less than block blob gas fee: address {sender} blobGasFeeCap: \
             {tx_max_fee_per_blob_gas}, blobBaseFee: {block_blob_gas_price}"
        ),
        I::CreateInitCodeSizeLimit => {
            let limit = spec.max_code_size().saturating_mul(2);
            format!("max initcode size exceeded: code size {} limit {limit}", tx.data.len())
        }
        I::EmptyBlobs => "blob transaction missing blob hashes".into(),
        I::BlobCreateTransaction => "blob transaction of type create".into(),
        I::TooManyBlobs { .. } => "blob transaction has too many blobs".into(),
        I::BlobVersionNotSupported => {
            let index = tx.blob_hashes.iter().position(|hash| hash[0] != VERSIONED_HASH_VERSION_KZG);
            format!("blob {} has invalid hash version", index.unwrap_or_default())
        }
        I::AuthorizationListInvalidFields => {
            format!("EIP-7702 transaction cannot be used to create contract (sender {sender})")
        }
        I::EmptyAuthorizationList => format!("{} (sender {sender})", plain(error).1),
        other => plain(other).1,
    }
}

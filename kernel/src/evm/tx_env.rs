//! Decoded transactions as revm takes them.

use alloy_consensus::{Transaction, TxType, Typed2718};
use alloy_eips::eip7702::{RecoveredAuthority, RecoveredAuthorization, SignedAuthorization};
use alloy_primitives::{Address, TxKind, U256};
use revm::context::TxEnv;
use revm::context_interface::either::Either;

use super::transaction::{Body, Tx};
use crate::tx::{Decoded, Envelope, recover_signer};

/// Half of the order of secp256k1: a larger `s` is refused (EIP-2, EIP-7702).
const S_MAX: U256 = U256::from_limbs([0xdfe9_2f46_681b_20a0, 0x5d57_6e73_57a4_501d, u64::MAX, 0x7fff_ffff_ffff_ffff]);

/// The transaction for revm. Authorisations are recovered here, so build it once per transaction and clone.
#[must_use]
pub fn tx_env(decoded: &Decoded) -> Tx {
    let tx = &decoded.tx;
    let dynamic = tx.is_dynamic_fee();
    let ethereum = TxEnv {
        tx_type: tx_type(tx),
        caller: decoded.sender,
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: if dynamic { tx.max_priority_fee_per_gas() } else { None },
        blob_hashes: tx.blob_versioned_hashes().map(<[_]>::to_vec).unwrap_or_default(),
        max_fee_per_blob_gas: tx.max_fee_per_blob_gas().unwrap_or_default(),
        authorization_list: tx.authorization_list().map(recovered_authorizations).unwrap_or_default(),
    };
    let ranges = tx.as_account().map(|account| account.tx.ranges.clone()).unwrap_or_default();
    Body { ethereum, envelope_type: tx.ty(), extra_gas: decoded.extra_gas, ranges }.into()
}

/// The type whose rules revm applies: the chain's envelope follows EIP-1559.
fn tx_type(tx: &Envelope) -> u8 {
    match tx {
        Envelope::Ethereum(tx) => tx.ty(),
        Envelope::Account(_) => TxType::Eip1559.into(),
    }
}

/// Recover who signed each authorisation; bad signatures stay in place without an authority.
#[must_use]
pub fn recovered_authorizations(
    list: &[SignedAuthorization],
) -> Vec<Either<SignedAuthorization, RecoveredAuthorization>> {
    list.iter()
        .map(|signed| {
            let authority = authority(signed).map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
            Either::Right(RecoveredAuthorization::new_unchecked(signed.inner().clone(), authority))
        })
        .collect()
}

fn authority(signed: &SignedAuthorization) -> Option<Address> {
    if signed.s() > S_MAX || signed.r().is_zero() || signed.s().is_zero() {
        return None;
    }
    let signature = signed.signature().ok()?;
    recover_signer(signed.signature_hash(), &signature)
}

/// Accounts whose keys a transaction names before it runs: sender, recipient or new contract, access list, authorities
/// and the addresses they delegate to.
pub fn authorities(tx: &TxEnv) -> impl Iterator<Item = (Address, Address)> {
    tx.authorization_list.iter().filter_map(|item| match item {
        Either::Right(recovered) => recovered.authority().map(|authority| (authority, recovered.address)),
        Either::Left(_) => None,
    })
}

/// The account a transaction calls or creates.
#[must_use]
pub fn target(tx: &TxEnv) -> Address {
    match tx.kind {
        TxKind::Call(to) => to,
        TxKind::Create => tx.caller.create(tx.nonce),
    }
}

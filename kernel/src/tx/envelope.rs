//! Transactions as they stand in a block: Ethereum's, and the chain's own envelope.
//!
//! The envelope is EIP-2718 type [`ACCOUNT_TX_TYPE`]:
//!
//! ```text
//! 0x48 || RLP[chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, to, value, input, access_list,
//!             ranges, scheme, public_key, signature]
//! ```
//!
//! The first nine are those of EIP-1559, with its rules. `ranges` is a list of `[first, last]` (see `ranges.rs`),
//! `scheme` the identifier of a signature scheme. What is signed is the Keccak hash of 0x48 and the RLP list without the
//! signature, so scheme and key are signed, too. With scheme 0 (secp256k1) the key is empty and the signature is r, s
//! and y parity, 65 bytes.

use alloy_consensus::transaction::{RlpEcdsaDecodableTx, RlpEcdsaEncodableTx};
use alloy_consensus::{
    Signed, Transaction, TxEip1559, TxEip2930, TxEip4844, TxEip4844Variant, TxEip7702, TxEnvelope, TxLegacy, Typed2718,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{B256, Bytes, ChainId, TxKind, U256, keccak256};
use alloy_rlp::{BufMut, Decodable, Encodable, Header};

use super::error::{TxCode, TxError};
use super::ranges::AddressRanges;
use super::rules::{invalid_signature, type_not_supported};

/// EIP-2718 type of the chain's envelope: "H". Ethereum counts its types up from 0, rollups use 0x64 to 0x7e.
pub const ACCOUNT_TX_TYPE: u8 = 0x48;

/// What an account of any scheme signs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountTx {
    /// The fields of Ethereum's.
    pub ethereum: TxEip1559,
    pub ranges: AddressRanges,
    pub scheme: u8,
    /// Empty for secp256k1.
    pub public_key: Bytes,
}

impl AccountTx {
    fn fields(&self) -> [&dyn Encodable; 12] {
        let tx = &self.ethereum;
        [
            &tx.chain_id,
            &tx.nonce,
            &tx.max_priority_fee_per_gas,
            &tx.max_fee_per_gas,
            &tx.gas_limit,
            &tx.to,
            &tx.value,
            &tx.input,
            &tx.access_list,
            &self.ranges,
            &self.scheme,
            &self.public_key,
        ]
    }

    fn encode(&self, signature: Option<&Bytes>, out: &mut Vec<u8>) {
        let fields = self.fields();
        let payload_length = fields.iter().map(|field| Encodable::length(*field)).sum::<usize>()
            + signature.map_or(0, Encodable::length);
        out.put_u8(ACCOUNT_TX_TYPE);
        Header { list: true, payload_length }.encode(out);
        for field in fields {
            field.encode(out);
        }
        if let Some(signature) = signature {
            signature.encode(out);
        }
    }

    /// What the account signs.
    #[must_use]
    pub fn signing_hash(&self) -> B256 {
        let mut bytes = Vec::with_capacity(self.ethereum.input.len() + self.public_key.len() + 256);
        self.encode(None, &mut bytes);
        keccak256(bytes)
    }

    /// EIP-2718 bytes with that signature.
    #[must_use]
    pub fn signed(&self, signature: Vec<u8>) -> Vec<u8> {
        let signature = Bytes::from(signature);
        let length = self.ethereum.input.len() + self.public_key.len() + signature.len() + 256;
        let mut bytes = Vec::with_capacity(length);
        self.encode(Some(&signature), &mut bytes);
        bytes
    }
}

/// The envelope with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAccountTx {
    pub tx: AccountTx,
    pub signature: Bytes,
    /// Keccak of the EIP-2718 bytes.
    pub hash: B256,
}

impl SignedAccountTx {
    /// Decode all of `raw`, which begins with the type.
    fn decode(raw: &[u8], hash: B256) -> alloy_rlp::Result<Self> {
        let mut rest = raw.get(1..).unwrap_or_default();
        let mut list = Header::decode_bytes(&mut rest, true)?;
        if !rest.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength);
        }
        let fields = &mut list;
        let ethereum = TxEip1559 {
            chain_id: Decodable::decode(fields)?,
            nonce: Decodable::decode(fields)?,
            max_priority_fee_per_gas: Decodable::decode(fields)?,
            max_fee_per_gas: Decodable::decode(fields)?,
            gas_limit: Decodable::decode(fields)?,
            to: Decodable::decode(fields)?,
            value: Decodable::decode(fields)?,
            input: Decodable::decode(fields)?,
            access_list: Decodable::decode(fields)?,
        };
        let tx = AccountTx {
            ethereum,
            ranges: Decodable::decode(fields)?,
            scheme: Decodable::decode(fields)?,
            public_key: Decodable::decode(fields)?,
        };
        let signature = Decodable::decode(fields)?;
        if fields.is_empty() { Ok(Self { tx, signature, hash }) } else { Err(alloy_rlp::Error::UnexpectedLength) }
    }
}

/// A transaction of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly all transactions are of the large one")]
pub enum Envelope {
    Ethereum(TxEnvelope),
    /// Boxed: it is several times as large, and rare.
    Account(Box<SignedAccountTx>),
}

impl From<TxEnvelope> for Envelope {
    fn from(tx: TxEnvelope) -> Self {
        Self::Ethereum(tx)
    }
}

impl Envelope {
    /// Decode all of `raw`, the EIP-2718 form only: a list is a legacy transaction, anything else begins with its type.
    /// `hash` is its Keccak hash; every form that is not canonical is refused.
    ///
    /// # Errors
    /// What is malformed, or the type that nobody knows.
    pub fn decode(raw: &[u8], hash: B256) -> Result<Self, TxError> {
        Ok(Self::Ethereum(match raw {
            [] => return Err(TxError::new(TxCode::Malformed, "typed transaction too short")),
            [0xc0..=0xff, ..] => TxEnvelope::Legacy(signed::<TxLegacy>(raw, hash)?),
            [1, ..] => TxEnvelope::Eip2930(signed::<TxEip2930>(raw, hash)?),
            [2, ..] => TxEnvelope::Eip1559(signed::<TxEip1559>(raw, hash)?),
            [3, ..] => TxEnvelope::Eip4844(signed::<TxEip4844>(raw, hash)?.map(TxEip4844Variant::TxEip4844)),
            [4, ..] => TxEnvelope::Eip7702(signed::<TxEip7702>(raw, hash)?),
            [ACCOUNT_TX_TYPE, ..] => {
                let tx = SignedAccountTx::decode(raw, hash)
                    .map_err(|error| TxError::new(TxCode::Malformed, format!("rlp: {error}")))?;
                return Ok(Self::Account(Box::new(tx)));
            }
            [kind @ ..0x80, ..] => return Err(type_not_supported(*kind)),
            [..] => return Err(TxError::new(TxCode::Malformed, "rlp: expected input list for a transaction")),
        }))
    }

    /// Ethereum's transaction, unless it is the chain's envelope.
    #[must_use]
    pub fn as_ethereum(&self) -> Option<&TxEnvelope> {
        match self {
            Self::Ethereum(tx) => Some(tx),
            Self::Account(_) => None,
        }
    }

    /// The chain's envelope, if it is one.
    #[must_use]
    pub fn as_account(&self) -> Option<&SignedAccountTx> {
        match self {
            Self::Ethereum(_) => None,
            Self::Account(tx) => Some(tx),
        }
    }

    /// EIP-2718 bytes.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Ethereum(tx) => tx.encoded_2718(),
            Self::Account(tx) => tx.tx.signed(tx.signature.to_vec()),
        }
    }

    /// Keccak of the EIP-2718 bytes.
    #[must_use]
    pub fn hash(&self) -> B256 {
        match self {
            Self::Ethereum(tx) => *tx.tx_hash(),
            Self::Account(tx) => tx.hash,
        }
    }

    fn fields(&self) -> &dyn Transaction {
        match self {
            Self::Ethereum(tx) => tx,
            Self::Account(tx) => &tx.tx.ethereum,
        }
    }
}

fn signed<T: RlpEcdsaDecodableTx + RlpEcdsaEncodableTx>(raw: &[u8], hash: B256) -> Result<Signed<T>, TxError> {
    // A legacy transaction has no type byte.
    let mut rest = if raw.first().is_some_and(|byte| *byte >= 0xc0) { raw } else { raw.get(1..).unwrap_or_default() };
    match T::rlp_decode_with_signature(&mut rest) {
        Ok((tx, signature)) if rest.is_empty() => Ok(Signed::new_unchecked(tx, signature, hash)),
        Ok(_) => Err(TxError::new(TxCode::Malformed, format!("rlp: {} bytes after the transaction", rest.len()))),
        // The only custom error of these decoders is a `v` that no rule allows.
        Err(alloy_rlp::Error::Custom(_)) => Err(invalid_signature()),
        Err(error) => Err(TxError::new(TxCode::Malformed, format!("rlp: {error}"))),
    }
}

impl Typed2718 for Envelope {
    fn ty(&self) -> u8 {
        match self {
            Self::Ethereum(tx) => tx.ty(),
            Self::Account(_) => ACCOUNT_TX_TYPE,
        }
    }
}

/// The envelope's fields of Ethereum's are those of EIP-1559.
impl Transaction for Envelope {
    fn chain_id(&self) -> Option<ChainId> {
        self.fields().chain_id()
    }

    fn nonce(&self) -> u64 {
        self.fields().nonce()
    }

    fn gas_limit(&self) -> u64 {
        self.fields().gas_limit()
    }

    fn gas_price(&self) -> Option<u128> {
        self.fields().gas_price()
    }

    fn max_fee_per_gas(&self) -> u128 {
        self.fields().max_fee_per_gas()
    }

    fn max_priority_fee_per_gas(&self) -> Option<u128> {
        self.fields().max_priority_fee_per_gas()
    }

    fn max_fee_per_blob_gas(&self) -> Option<u128> {
        self.fields().max_fee_per_blob_gas()
    }

    fn priority_fee_or_price(&self) -> u128 {
        self.fields().priority_fee_or_price()
    }

    fn effective_gas_price(&self, base_fee: Option<u64>) -> u128 {
        self.fields().effective_gas_price(base_fee)
    }

    fn is_dynamic_fee(&self) -> bool {
        self.fields().is_dynamic_fee()
    }

    fn kind(&self) -> TxKind {
        self.fields().kind()
    }

    fn is_create(&self) -> bool {
        self.fields().is_create()
    }

    fn value(&self) -> U256 {
        self.fields().value()
    }

    fn input(&self) -> &Bytes {
        self.fields().input()
    }

    fn access_list(&self) -> Option<&AccessList> {
        self.fields().access_list()
    }

    fn blob_versioned_hashes(&self) -> Option<&[B256]> {
        self.fields().blob_versioned_hashes()
    }

    fn authorization_list(&self) -> Option<&[SignedAuthorization]> {
        self.fields().authorization_list()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_transaction_is_malformed() {
        assert_eq!(Envelope::decode(&[], B256::ZERO).expect_err("empty").code, TxCode::Malformed);
    }
}

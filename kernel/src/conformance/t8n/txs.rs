//! Transactions as state transition tools are given them: signed or to be signed, in JSON, or as an RLP list.

use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_rlp::Header;
use secp256k1::SecretKey;
use serde_json::{Map, Value};

use super::super::tx_json::{access_list, authorization};
use crate::error::{InputError, InputResult};
use crate::spec::json;
use crate::tx::sign_hash;

/// `v` of a legacy signature without a chain id.
const V_UNPROTECTED: u64 = 27;
/// `v` of EIP-155: this plus twice the chain id.
const V_PROTECTED: u64 = 35;

/// Raw transactions of `value`: a list of objects, or a text with the RLP of a list. `eip155`: whether unsigned legacy
/// transactions are signed with the chain id.
///
/// # Errors
/// Names the transaction or member that is malformed.
pub fn raw_transactions(value: &Value, chain_id: u64, eip155: bool) -> InputResult<Vec<Bytes>> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(_) => from_rlp(&json::bytes("txs", value)?),
        Value::Array(txs) => txs.iter().map(|tx| from_json(json::object("txs", tx)?, chain_id, eip155)).collect(),
        other => Err(InputError::new("txs", "a list of transactions, or the RLP of one", other)),
    }
}

/// The items of a block's list: legacy transactions are lists, others texts.
fn from_rlp(bytes: &[u8]) -> InputResult<Vec<Bytes>> {
    let bad = |error: alloy_rlp::Error| InputError::new("txs.rlp", "the RLP of a list", error);
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut rest = bytes;
    let mut list = Header::decode_bytes(&mut rest, true).map_err(bad)?;
    let mut raws = Vec::new();
    while !list.is_empty() {
        let whole = list;
        let header = Header::decode(&mut list).map_err(bad)?;
        let (payload, after) =
            list.split_at_checked(header.payload_length).ok_or_else(|| bad(alloy_rlp::Error::InputTooShort))?;
        raws.push(Bytes::copy_from_slice(if header.list { &whole[..whole.len() - after.len()] } else { payload }));
        list = after;
    }
    Ok(raws)
}

/// Members of one transaction.
struct Fields<'v>(&'v Map<String, Value>);

impl Fields<'_> {
    fn number(&self, key: &str) -> InputResult<u64> {
        json::member(self.0, key).map_or(Ok(0), |value| json::u64(key, value))
    }

    fn big(&self, key: &str) -> InputResult<U256> {
        json::member(self.0, key).map_or(Ok(U256::ZERO), |value| json::u256(key, value))
    }

    fn price(&self, key: &str) -> InputResult<u128> {
        let price = self.big(key)?;
        price.try_into().map_err(|_| InputError::new(key, "below 2^128", price))
    }

    fn to(&self) -> InputResult<Option<Address>> {
        match json::member(self.0, "to").and_then(Value::as_str) {
            None | Some("") => Ok(None),
            Some(text) => json::address("to", text).map(Some),
        }
    }

    fn recipient(&self) -> InputResult<Address> {
        self.to()?.ok_or_else(|| InputError::new("to", "an address, in this type of transaction", "nothing"))
    }

    fn kind(&self) -> InputResult<TxKind> {
        Ok(self.to()?.map_or(TxKind::Create, TxKind::Call))
    }

    fn data(&self) -> InputResult<Bytes> {
        let data = json::member(self.0, "input").or_else(|| json::member(self.0, "data"));
        data.map_or(Ok(Bytes::new()), |value| json::bytes("input", value))
    }

    fn access_list(&self) -> InputResult<AccessList> {
        json::member(self.0, "accessList").map_or(Ok(AccessList::default()), access_list)
    }

    fn listed<T>(&self, key: &str, read: impl Fn(&Value) -> InputResult<T>) -> InputResult<Vec<T>> {
        json::member(self.0, key).and_then(Value::as_array).into_iter().flatten().map(read).collect()
    }
}

fn from_json(tx: &Map<String, Value>, chain_id: u64, eip155: bool) -> InputResult<Bytes> {
    let fields = Fields(tx);
    let signer = Signer::of(&fields)?;
    let own_chain_id = || match fields.number("chainId")? {
        0 => Ok(chain_id),
        id => Ok(id),
    };
    let hash = |value: &Value| json::word("blobVersionedHashes", value.as_str().unwrap_or_default());
    match fields.number("type")? {
        0 => {
            let protected = tx.get("protected").and_then(Value::as_bool).unwrap_or(true);
            let chain_id = match &signer {
                Signer::Key(_) => (eip155 && protected).then(own_chain_id).transpose()?,
                Signer::Signed { v, .. } => v.checked_sub(V_PROTECTED).map(|twice| twice / 2),
            };
            Ok(signer.sign(&TxLegacy {
                chain_id,
                nonce: fields.number("nonce")?,
                gas_price: fields.price("gasPrice")?,
                gas_limit: fields.number("gas")?,
                to: fields.kind()?,
                value: fields.big("value")?,
                input: fields.data()?,
            }))
        }
        1 => Ok(signer.sign(&TxEip2930 {
            chain_id: own_chain_id()?,
            nonce: fields.number("nonce")?,
            gas_price: fields.price("gasPrice")?,
            gas_limit: fields.number("gas")?,
            to: fields.kind()?,
            value: fields.big("value")?,
            access_list: fields.access_list()?,
            input: fields.data()?,
        })),
        2 => Ok(signer.sign(&TxEip1559 {
            chain_id: own_chain_id()?,
            nonce: fields.number("nonce")?,
            gas_limit: fields.number("gas")?,
            max_fee_per_gas: fields.price("maxFeePerGas")?,
            max_priority_fee_per_gas: fields.price("maxPriorityFeePerGas")?,
            to: fields.kind()?,
            value: fields.big("value")?,
            access_list: fields.access_list()?,
            input: fields.data()?,
        })),
        3 => Ok(signer.sign(&TxEip4844 {
            chain_id: own_chain_id()?,
            nonce: fields.number("nonce")?,
            gas_limit: fields.number("gas")?,
            max_fee_per_gas: fields.price("maxFeePerGas")?,
            max_priority_fee_per_gas: fields.price("maxPriorityFeePerGas")?,
            to: fields.recipient()?,
            value: fields.big("value")?,
            access_list: fields.access_list()?,
            blob_versioned_hashes: fields.listed("blobVersionedHashes", hash)?,
            max_fee_per_blob_gas: fields.price("maxFeePerBlobGas")?,
            input: fields.data()?,
        })),
        4 => Ok(signer.sign(&TxEip7702 {
            chain_id: own_chain_id()?,
            nonce: fields.number("nonce")?,
            gas_limit: fields.number("gas")?,
            max_fee_per_gas: fields.price("maxFeePerGas")?,
            max_priority_fee_per_gas: fields.price("maxPriorityFeePerGas")?,
            to: fields.recipient()?,
            value: fields.big("value")?,
            access_list: fields.access_list()?,
            authorization_list: fields.listed("authorizationList", authorization)?,
            input: fields.data()?,
        })),
        other => Err(InputError::new("type", "0 to 4", other)),
    }
}

/// Who signs a transaction, or its signature.
enum Signer {
    Key(SecretKey),
    Signed { v: u64, signature: Signature },
}

impl Signer {
    /// A key signs only what has no signature yet.
    fn of(fields: &Fields<'_>) -> InputResult<Self> {
        let (r, s) = (fields.big("r")?, fields.big("s")?);
        let v = match json::member(fields.0, "v") {
            Some(value) => json::u64("v", value)?,
            None => fields.number("yParity")?,
        };
        if let Some(Value::String(key)) = json::member(fields.0, "secretKey")
            && r.is_zero()
            && s.is_zero()
            && v == 0
        {
            let key: B256 = json::word("secretKey", key)?;
            // Never the key itself in an error.
            let bad = |_| InputError::new("secretKey", "a secp256k1 key (1 to n-1)", "another number");
            return SecretKey::from_byte_array(key.0).map(Self::Key).map_err(bad);
        }
        let odd = match v {
            0 | 1 => v == 1,
            V_UNPROTECTED | 28 => v == 28,
            _ => v.saturating_sub(V_PROTECTED) % 2 == 1,
        };
        Ok(Self::Signed { v, signature: Signature::new(r, s, odd) })
    }

    fn sign<T: SignableTransaction<Signature> + RlpEcdsaEncodableTx>(&self, tx: &T) -> Bytes {
        let signature = match self {
            Self::Key(key) => sign_hash(key, tx.signature_hash().0),
            Self::Signed { signature, .. } => *signature,
        };
        let mut raw = Vec::with_capacity(tx.eip2718_encoded_length(&signature));
        tx.eip2718_encode(&signature, &mut raw);
        raw.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::networks::spec_of;
    use crate::tx::{TxRules, decode_one};
    use serde_json::json;

    #[test]
    fn what_is_signed_here_comes_from_the_keys_account() {
        let rules = TxRules::unbounded(&spec_of("Prague", None).expect("a network"), 0, 0);
        for kind in 0..3 {
            let tx = json!([{ "type": kind, "nonce": "0x1", "gas": "0x84d0", "gasPrice": "0xfa0", "maxFeePerGas": "0xfa0",
                "to": "0x1111111111111111111111111111111111111111", "value": "0x1", "input": "0x",
                "v": "0x0", "r": "0x0", "s": "0x0",
                "secretKey": "0x41f6e321b31e72173f8ff2e292359e1862f24fba42fe6f97efaf641980eff298" }]);
            let raw = raw_transactions(&tx, 1, true).expect("a transaction").remove(0);
            let decoded = decode_one(&raw, &rules, None).expect("a valid one");
            assert_eq!(decoded.sender.to_string(), "0xd02d72E067e77158444ef2020Ff2d325f929B363");
        }
    }

    #[test]
    fn an_rlp_list_holds_legacy_lists_and_typed_texts() {
        let raws = raw_transactions(&json!("0xc6c20102820200"), 1, true).expect("a list");
        assert_eq!(raws, [Bytes::from_static(&[0xc2, 1, 2]), Bytes::from_static(&[2, 0])]);
        assert_eq!(raw_transactions(&json!("0xf852"), 1, true).expect_err("cut").field, "txs.rlp");
    }
}

//! Headers in JSON, with the names of the tests (`uncleHash`, `coinbase`, ...) or those of JSON-RPC (`sha3Uncles`, ...).

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH};
use alloy_consensus::{Block, BlockBody, Header, TxEnvelope};
use alloy_primitives::{Address, B64, B256, Bloom};
use alloy_rlp::Encodable;
use serde_json::{Map, Value};

use crate::error::{InputError, InputResult};
use crate::spec::json;

/// The fields of one header.
struct Fields<'v>(&'v Map<String, Value>);

impl Fields<'_> {
    fn any(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| json::member(self.0, name))
    }

    fn number(&self, name: &str) -> InputResult<Option<u64>> {
        self.any(&[name]).map(|value| json::u64(name, value)).transpose()
    }

    fn word(&self, names: &[&str]) -> InputResult<Option<B256>> {
        let read = |value: &Value| {
            let text = value.as_str().ok_or_else(|| InputError::new(names[0], "hex text", value))?;
            json::word(names[0], text)
        };
        self.any(names).map(read).transpose()
    }

    fn fixed<const N: usize>(&self, names: &[&str]) -> InputResult<Option<[u8; N]>> {
        let Some(value) = self.any(names) else { return Ok(None) };
        let bytes = json::bytes(names[0], value)?;
        let fixed = <[u8; N]>::try_from(bytes.as_ref());
        fixed.map(Some).map_err(|_| InputError::new(names[0], format!("{N} bytes"), bytes.len()))
    }
}

/// Read a header. Absent members have the values of an empty block.
///
/// # Errors
/// Names the member that is malformed.
pub fn header(field: &str, value: &Value) -> InputResult<Header> {
    let fields = Fields(json::object(field, value)?);
    Ok(Header {
        parent_hash: fields.word(&["parentHash"])?.unwrap_or_default(),
        ommers_hash: fields.word(&["uncleHash", "sha3Uncles"])?.unwrap_or(EMPTY_OMMER_ROOT_HASH),
        beneficiary: fields.fixed(&["coinbase", "miner"])?.map(Address::new).unwrap_or_default(),
        state_root: fields.word(&["stateRoot"])?.unwrap_or_default(),
        transactions_root: fields.word(&["transactionsTrie", "transactionsRoot"])?.unwrap_or(EMPTY_ROOT_HASH),
        receipts_root: fields.word(&["receiptTrie", "receiptsRoot"])?.unwrap_or(EMPTY_ROOT_HASH),
        logs_bloom: fields.fixed(&["bloom", "logsBloom"])?.map(Bloom::new).unwrap_or_default(),
        difficulty: fields
            .any(&["difficulty"])
            .map(|value| json::u256("difficulty", value))
            .transpose()?
            .unwrap_or_default(),
        number: fields.number("number")?.unwrap_or_default(),
        gas_limit: fields.number("gasLimit")?.unwrap_or_default(),
        gas_used: fields.number("gasUsed")?.unwrap_or_default(),
        timestamp: fields.number("timestamp")?.unwrap_or_default(),
        extra_data: fields
            .any(&["extraData"])
            .map(|value| json::bytes("extraData", value))
            .transpose()?
            .unwrap_or_default(),
        mix_hash: fields.word(&["mixHash"])?.unwrap_or_default(),
        nonce: fields.fixed(&["nonce"])?.map(B64::new).unwrap_or_default(),
        base_fee_per_gas: fields.number("baseFeePerGas")?,
        withdrawals_root: fields.word(&["withdrawalsRoot"])?,
        blob_gas_used: fields.number("blobGasUsed")?,
        excess_blob_gas: fields.number("excessBlobGas")?,
        parent_beacon_block_root: fields.word(&["parentBeaconBlockRoot"])?,
        requests_hash: fields.word(&["requestsHash"])?,
        ..Header::default()
    })
}

/// RLP of a block without transactions whose header is given.
///
/// # Errors
/// As [`header`].
pub fn genesis_block(field: &str, value: &Value) -> InputResult<Vec<u8>> {
    let header = header(field, value)?;
    let body =
        BlockBody::<TxEnvelope> { withdrawals: header.withdrawals_root.map(|_| <_>::default()), ..<_>::default() };
    let mut rlp = Vec::new();
    Block { header, body }.encode(&mut rlp);
    Ok(rlp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_spellings_of_names_are_read() {
        let tests =
            json!({ "uncleHash": "0x01", "coinbase": "0x1111111111111111111111111111111111111111", "number": "0x05" });
        let rpc =
            json!({ "sha3Uncles": "0x01", "miner": "0x1111111111111111111111111111111111111111", "number": "0x5" });
        assert_eq!(header("h", &tests), header("h", &rpc));
        assert_eq!(header("h", &rpc).expect("a header").number, 5);
    }

    #[test]
    fn a_member_of_the_wrong_length_is_named() {
        let short = json!({ "coinbase": "0x11" });
        assert_eq!(header("h", &short).expect_err("short").field, "coinbase");
    }
}

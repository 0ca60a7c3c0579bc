//! A transaction that is in no block yet, as Ethereum JSON.

use alloy_consensus::Transaction;
use serde_json::{Map, Value};

use super::batch::Decoded;

/// geth's `RPCTransaction` of a pending transaction: block fields null, `gasPrice` the fee cap.
#[must_use]
pub fn pending_json(tx: &Decoded) -> Value {
    // Serialising these types to a value cannot fail: they hold no maps and no floats.
    let mut fields = match serde_json::to_value(&tx.tx) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for absent in ["blockHash", "blockNumber", "blockTimestamp", "transactionIndex"] {
        fields.insert(absent.to_owned(), Value::Null);
    }
    let mut set = |name: &str, text: String| fields.insert(name.to_owned(), Value::String(text));
    set("from", tx.sender.to_string().to_lowercase());
    set("gasPrice", format!("{:#x}", tx.tx.max_fee_per_gas()));
    set("hash", tx.hash.to_string());
    if let Some(to) = tx.tx.to() {
        set("to", to.to_string().to_lowercase());
    } else {
        fields.insert("to".to_owned(), Value::Null);
    }
    Value::Object(fields)
}

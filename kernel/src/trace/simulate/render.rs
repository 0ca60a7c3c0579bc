//! Simulated blocks as JSON: geth's block object with `calls`.

use alloy_primitives::{Log, U256};

use super::block::{Building, Simulated};
use crate::header::Header;
use crate::trace::calls::string;
use crate::views::{Object, block_size, data, write_authorizations, write_header, write_withdrawal};

/// What geth makes of a legacy transaction without a signature: (0 - 35) / 2 in 64 bits.
const UNSIGNED_CHAIN_ID: u64 = u64::MAX.wrapping_sub(34) / 2;

pub fn block(building: &Building, header: &Header, full: bool, out: &mut Vec<u8>) {
    Object::write(out, |object| {
        write_header(object, header);
        let raws: Vec<&[u8]> = building.done.iter().map(|call| call.raw.as_ref()).collect();
        let withdrawals = building.attached.withdrawals.as_ref().map(alloy_rlp::encode).unwrap_or_default();
        object.quantity("size", block_size(header, &raws, &[], &withdrawals));
        object.array("transactions", building.done.iter().enumerate(), |out, (index, call)| {
            if full {
                transaction(call, index, building, header, out);
            } else {
                data(out, call.hash.as_slice());
            }
        });
        object.array("uncles", [(); 0], |_, ()| {});
        if header.inner.withdrawals_root.is_some() {
            object.array("withdrawals", building.attached.withdrawals.iter().flatten(), write_withdrawal);
        }
        object.array("calls", building.done.iter().enumerate(), |out, (index, call)| {
            self::call(call, index, header, out);
        });
    });
}

fn call(call: &Simulated, index: usize, header: &Header, out: &mut Vec<u8>) {
    Object::write(out, |object| {
        object.data("returnData", &call.output);
        object.array("logs", &call.logs, |out, (place, log)| self::log(log, *place, call, index, header, out));
        object.quantity("gasUsed", call.gas_used);
        object.quantity("maxUsedGas", call.gas_peak);
        object.quantity("status", u8::from(call.error.is_none()));
        if let Some(error) = &call.error {
            object.value("error", |out| {
                Object::write(out, |object| {
                    object.value("message", |out| string(out, &error.message));
                    object.value("code", |out| out.extend_from_slice(error.code.to_string().as_bytes()));
                    object.data_if("data", error.data.as_ref());
                });
            });
        }
    });
}

fn log(log: &Log, place: usize, call: &Simulated, index: usize, header: &Header, out: &mut Vec<u8>) {
    Object::write(out, |object| {
        object.data("address", log.address);
        object.array("topics", log.topics(), |out, topic| data(out, topic.as_slice()));
        object.data("data", &log.data.data);
        object.quantity("blockNumber", header.inner.number);
        object.data("transactionHash", call.hash);
        object.quantity("transactionIndex", index);
        object.data("blockHash", header.hash);
        object.quantity("blockTimestamp", header.inner.timestamp);
        object.quantity("logIndex", place);
        object.boolean("removed", false);
    });
}

fn transaction(call: &Simulated, index: usize, building: &Building, header: &Header, out: &mut Vec<u8>) {
    let args = &call.args;
    let base_fee = u128::from(building.env.base_fee_per_gas);
    let tip = args.max_priority_fee_per_gas.unwrap_or_default();
    let price = if call.tx_type < 2 { args.fee_cap() } else { args.fee_cap().min(base_fee.saturating_add(tip)) };
    Object::write(out, |object| {
        object.data("blockHash", header.hash);
        object.quantity("blockNumber", header.inner.number);
        object.quantity("blockTimestamp", header.inner.timestamp);
        object.data("from", call.sender);
        object.quantity("gas", call.gas);
        object.quantity("gasPrice", price);
        if call.tx_type >= 2 {
            object.quantity("maxFeePerGas", args.fee_cap());
            object.quantity("maxPriorityFeePerGas", tip);
        }
        object.data("hash", call.hash);
        object.data("input", &args.data);
        object.quantity("nonce", call.nonce);
        object.data_or_null("to", call.kind.to());
        object.quantity("transactionIndex", index);
        object.quantity("value", args.value.unwrap_or_default());
        object.quantity("type", call.tx_type);
        if call.tx_type > 0 {
            object.array("accessList", args.access_list.iter().flat_map(|list| list.iter()), |out, item| {
                Object::write(out, |object| {
                    object.data("address", item.address);
                    object.array("storageKeys", &item.storage_keys, |out, key| data(out, key.as_slice()));
                });
            });
            object.quantity("chainId", building.chain_id);
        } else {
            // geth derives it from the signature, which is zeros here.
            object.quantity("chainId", UNSIGNED_CHAIN_ID);
        }
        if call.tx_type == 3 {
            object.quantity("maxFeePerBlobGas", args.max_fee_per_blob_gas.unwrap_or_default());
            object.array("blobVersionedHashes", args.blob_hashes.iter().flatten(), |out, hash| {
                data(out, hash.as_slice());
            });
        }
        if call.tx_type == 4 {
            object.value("authorizationList", |out| write_authorizations(out, &args.authorizations));
        }
        for name in ["v", "r", "s"] {
            object.quantity(name, U256::ZERO);
        }
        if call.tx_type > 0 {
            object.quantity("yParity", 0_u8);
        }
    });
}

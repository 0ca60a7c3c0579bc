//! The views against answers of other clients.

use std::path::{Path, PathBuf};
use std::process::Command;

use alloy_consensus::TxEnvelope;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bloom, Bytes, U256, hex, keccak256};
use alloy_rlp::Header as RlpHeader;
use serde_json::{Value, json};

use super::stored::parse;
use super::*;
use crate::pack::{push_packed, read_packed};
use crate::trie::ordered_root;

/// Nothing beside the transactions.
const NONE: Attached<'_> = Attached { ommers: &[], withdrawals: &[] };

/// Unpack one member folder of a public archive, or `None` (said aloud) when it is not there.
fn vectors(archive: &str, member: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HANSA_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"), PathBuf::from);
    let file = folder.join(format!("{archive}.tar.xz"));
    if !file.is_file() {
        eprintln!("SKIPPED: public vectors {} are absent (set HANSA_VECTORS)", file.display());
        return None;
    }
    let tag = keccak256(member);
    let target = std::env::temp_dir().join(format!("hansa-views-{}-{}", std::process::id(), hex::encode(&tag[..4])));
    std::fs::create_dir_all(&target).unwrap();
    let status =
        Command::new("tar").arg("-xJf").arg(&file).arg("-C").arg(&target).arg(format!("{archive}/{member}")).status();
    assert!(status.unwrap().success());
    Some(target.join(archive).join(member))
}

fn read_json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}

fn number(value: &Value) -> u64 {
    let text = value.as_str().unwrap();
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().unwrap().parse().unwrap()
}

/// A block as its views take it.
#[derive(Default)]
struct Sample {
    header: Vec<u8>,
    transactions: Vec<u8>,
    senders: Vec<u8>,
    hashes: Vec<u8>,
}

impl Sample {
    fn push(&mut self, raw: &[u8], hash: B256, sender: Address) {
        push_packed(&mut self.transactions, raw);
        self.hashes.extend_from_slice(hash.as_slice());
        self.senders.extend_from_slice(sender.as_slice());
    }

    fn block(&self, full: bool) -> InputResult<Vec<u8>> {
        block_json(&self.header, &self.transactions, &self.senders, &self.hashes, NONE, full)
    }
}

/// Stored receipts, made of receipt objects.
fn stored(receipts: &[Value]) -> Vec<u8> {
    let list = |items: &[Vec<u8>]| {
        let payload: Vec<u8> = items.concat();
        let mut out = Vec::new();
        RlpHeader { list: true, payload_length: payload.len() }.encode(&mut out);
        out.extend_from_slice(&payload);
        out
    };
    let one = |receipt: &Value| {
        let outcome = receipt.get("root").map_or_else(
            || alloy_rlp::encode(number(&receipt["status"]) == 1),
            |root| alloy_rlp::encode(B256::from_slice(&bytes(root))),
        );
        let log = |log: &Value| {
            let topics: Vec<Vec<u8>> =
                log["topics"].as_array().unwrap().iter().map(|topic| alloy_rlp::encode(bytes(topic))).collect();
            list(&[alloy_rlp::encode(bytes(&log["address"])), list(&topics), alloy_rlp::encode(bytes(&log["data"]))])
        };
        let logs: Vec<Vec<u8>> = receipt["logs"].as_array().unwrap().iter().map(log).collect();
        list(&[
            alloy_rlp::encode(number(&receipt["type"])),
            outcome,
            alloy_rlp::encode(number(&receipt["cumulativeGasUsed"])),
            list(&logs),
        ])
    };
    list(&receipts.iter().map(one).collect::<Vec<_>>())
}

/// Blocks of a file of concatenated RLP, without ommers and withdrawals.
fn chain(file: &Path) -> Vec<(Sample, bool)> {
    let data = std::fs::read(file).unwrap();
    let mut rest = data.as_slice();
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let mut fields = RlpHeader::decode_bytes(&mut rest, true).unwrap();
        let start = fields;
        RlpHeader::decode_bytes(&mut fields, true).unwrap();
        let mut sample = Sample { header: start[..start.len() - fields.len()].to_vec(), ..Sample::default() };
        let mut list = RlpHeader::decode_bytes(&mut fields, true).unwrap();
        while !list.is_empty() {
            let start = list;
            let is_typed = list[0] < 0xc0;
            let payload = RlpHeader::decode_bytes(&mut list, !is_typed).unwrap();
            let raw = if is_typed { payload } else { &start[..start.len() - list.len()] };
            let transaction = TxEnvelope::decode_2718(&mut &raw[..]).unwrap();
            let sender = crate::tx::recover_signer(transaction.signature_hash(), transaction.signature()).unwrap();
            sample.push(raw, keccak256(raw), sender);
        }
        // Ommers, then withdrawals if there is such a list.
        let plain = fields.iter().all(|byte| *byte == 0xc0);
        blocks.push((sample, plain));
    }
    blocks
}

#[test]
fn public_chain_gives_the_published_blocks_and_transactions() {
    let Some(folder) = vectors("jsonrpc", "execution-apis") else { return };
    let blocks = chain(&folder.join("chain/chain.rlp"));
    let (mut block_cases, mut transaction_cases, mut skipped) = (0, 0, 0);
    for method in ["eth_getBlockByNumber", "eth_getTransactionByHash", "eth_getTransactionByBlockNumberAndIndex"] {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder.join("tests").join(method)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let line =
                |mark: &str| text.lines().find_map(|line| line.strip_prefix(mark)).map(|json| parsed(json.as_bytes()));
            let (Some(request), Some(response)) = (line(">> "), line("<< ")) else { continue };
            let expected = &response["result"];
            if expected.is_null() || expected.is_string() {
                continue;
            }
            let height = number(expected.get("blockNumber").unwrap_or(&expected["number"]));
            let Some((sample, plain)) = height.checked_sub(1).and_then(|place| blocks.get(place as usize)) else {
                skipped += 1; // The genesis block is not in the file.
                continue;
            };
            if method == "eth_getBlockByNumber" {
                let full = request["params"][1].as_bool().unwrap();
                if *plain {
                    assert_eq!(&parsed(&sample.block(full).unwrap()), expected, "{}", file.display());
                    block_cases += 1;
                } else {
                    assert_eq!(sample.block(full).unwrap_err().field, "withdrawals");
                    skipped += 1;
                }
            } else {
                let index = number(&expected["transactionIndex"]) as usize;
                let json = transaction_json(&sample.header, &sample.transactions, &sample.senders, index).unwrap();
                assert_eq!(&parsed(&json), expected, "{}", file.display());
                transaction_cases += 1;
            }
        }
    }
    println!("execution-apis: {block_cases} blocks, {transaction_cases} transactions, {skipped} without a plain body");
    assert!(block_cases >= 4 && transaction_cases >= 7);
}

#[test]
fn receipts_of_another_client_come_out_field_by_field() {
    let Some(folder) = vectors("jsonrpc", "besu") else { return };
    let blocks = chain(&folder.join("chain-data/hive/testBlockchain.blocks"));
    let find = |number: u64| {
        let of = |sample: &Sample| Header::decode("header", &sample.header).unwrap().inner.number == number;
        &blocks.iter().find(|(sample, _)| of(sample)).unwrap().0
    };
    let mut cases = 0;
    for (name, is_list) in [
        ("eth_getBlockReceiptsByNumber_32", true),
        ("eth_getBlockReceiptsByTag_latest", true),
        ("eth_getTransactionReceipt_contractAddress", false),
        ("eth_getTransactionReceipt_nullContractAddress", false),
        ("eth_getTransactionReceipt_logs", false),
    ] {
        let expected = &read_json(&folder.join(format!("eth/{name}.json")))["response"]["result"];
        let all = if is_list { expected.as_array().unwrap().clone() } else { vec![expected.clone()] };
        let sample = find(number(&all[0]["blockNumber"]));
        let receipts = stored(&all);
        let index = (!is_list).then_some(0);
        let json =
            receipts_json(&sample.header, &sample.transactions, &sample.senders, &receipts, index, None).unwrap();
        assert_eq!(&parsed(&json), expected, "{name}");
        let raw = raw_receipts(&sample.transactions, &receipts).unwrap();
        let root = Header::decode("header", &sample.header).unwrap().inner.receipts_root;
        assert_eq!(ordered_root(&read_packed("raw", &raw).unwrap()), root, "{name}");
        cases += 1;
    }
    println!("besu: {cases} receipts");
}

#[test]
fn a_real_block_gives_the_published_transactions_receipts_and_root() {
    let Some(folder) = vectors("chains", "blocks/trin") else { return };
    let block = &read_json(&folder.join("mainnet/block_19433902_value.json"))["result"];
    let answers = read_json(&folder.join("infura_batch/receipts-19433902.json"));
    let answer = if answers.is_array() { &answers[0] } else { &answers };
    let expected = answer["result"].as_array().unwrap();
    let header: alloy_consensus::Header = serde_json::from_value(block.clone()).unwrap();
    let mut sample = Sample { header: alloy_rlp::encode(&header), ..Sample::default() };
    for object in block["transactions"].as_array().unwrap() {
        let transaction: TxEnvelope = serde_json::from_value(object.clone()).unwrap();
        sample.push(
            &transaction.encoded_2718(),
            B256::from_slice(&bytes(&object["hash"])),
            Address::from_slice(&bytes(&object["from"])),
        );
    }
    let without = |value: &Value, names: &[&str]| {
        let mut fields = value.as_object().unwrap().clone();
        for name in names {
            fields.remove(*name);
        }
        Value::Object(fields)
    };
    // The answers are older than `blockTimestamp`, and one provider adds fields of its own.
    for (index, object) in block["transactions"].as_array().unwrap().iter().enumerate() {
        let json = transaction_json(&sample.header, &sample.transactions, &sample.senders, index).unwrap();
        assert_eq!(without(&parsed(&json), &["blockTimestamp"]), without(object, &["blockTimestamp"]), "{index}");
    }
    let receipts = stored(expected);
    let json = receipts_json(&sample.header, &sample.transactions, &sample.senders, &receipts, None, None).unwrap();
    for (index, (ours, theirs)) in parsed(&json).as_array().unwrap().iter().zip(expected).enumerate() {
        let mut ours = ours.clone();
        for log in ours["logs"].as_array_mut().unwrap() {
            log.as_object_mut().unwrap().remove("blockTimestamp");
        }
        assert_eq!(&ours, theirs, "receipt {index}");
    }
    let raw = raw_receipts(&sample.transactions, &receipts).unwrap();
    assert_eq!(ordered_root(&read_packed("raw", &raw).unwrap()), header.receipts_root);

    let all = Filter::read(&[], &[]).unwrap();
    let (count, json) = logs_json(&sample.header, &sample.hashes, &receipts, &all, usize::MAX).unwrap();
    let logs = parsed(&json);
    assert_eq!(logs.as_array().unwrap().len(), count);
    let published: Vec<&Value> = expected.iter().flat_map(|receipt| receipt["logs"].as_array().unwrap()).collect();
    assert_eq!(published.len(), count);
    for (ours, theirs) in logs.as_array().unwrap().iter().zip(published) {
        assert_eq!(&without(ours, &["blockTimestamp"]), theirs);
    }
    println!("mainnet block 19433902: {} receipts, {count} logs", expected.len());
    filters_agree_with_a_plain_search(&sample, &receipts, &logs);
}

fn filters_agree_with_a_plain_search(sample: &Sample, receipts: &[u8], logs: &Value) {
    let logs = logs.as_array().unwrap();
    let bloom = Header::decode("header", &sample.header).unwrap().inner.logs_bloom;
    for log in logs.iter().step_by(17) {
        let address = bytes(&log["address"]);
        let topics: Vec<Bytes> = log["topics"].as_array().unwrap().iter().map(bytes).collect();
        for places in 0..=topics.len() {
            let wanted: Vec<&[u8]> =
                (0..places).map(|place| if place % 2 == 1 { &[][..] } else { &topics[place][..] }).collect();
            let filter = Filter::read(&address, &wanted).unwrap();
            assert!(filter.may_match(&bloom));
            let (count, json) = logs_json(&sample.header, &sample.hashes, receipts, &filter, 3).unwrap();
            let plain: Vec<&Value> = logs
                .iter()
                .filter(|other| {
                    let theirs = other["topics"].as_array().unwrap();
                    other["address"] == log["address"]
                        && theirs.len() >= places
                        && (0..places).all(|place| place % 2 == 1 || theirs[place] == log["topics"][place])
                })
                .collect();
            assert_eq!(count, plain.len());
            assert_eq!(parsed(&json), json!(plain.into_iter().take(3).collect::<Vec<_>>()));
        }
    }
    let terms = log_terms(receipts).unwrap();
    let terms = terms.as_chunks::<33>().0;
    assert!(terms.windows(2).all(|pair| pair[0] < pair[1]));
    for log in logs {
        let mut term = [0; 33];
        term[13..].copy_from_slice(&bytes(&log["address"]));
        assert!(terms.binary_search(&term).is_ok());
        for (place, topic) in (1_u8..).zip(log["topics"].as_array().unwrap()) {
            let term = [&[place][..], &bytes(topic)].concat();
            assert!(terms.iter().any(|held| held[..] == term[..]));
        }
    }
}

#[test]
fn a_filter_with_more_places_than_a_log_has_topics_does_not_match() {
    let topic = [7; 32];
    let log = json!({"address": format!("0x{}", "11".repeat(20)), "topics": [format!("0x{}", "07".repeat(32))], "data": "0x"});
    let receipt = json!({"type": "0x0", "status": "0x1", "cumulativeGasUsed": "0x5208", "logs": [log]});
    let receipts = stored(&[receipt]);
    let bloom: Bloom = parse(&receipts).unwrap()[0].bloom();
    let header = Header::new(alloy_consensus::Header { logs_bloom: bloom, ..Default::default() }).rlp;
    let count = |addresses: &[u8], topics: &[&[u8]], limit| {
        let filter = Filter::read(addresses, topics).unwrap();
        logs_json(&header, &[1; 32], &receipts, &filter, limit).unwrap()
    };
    assert_eq!(count(&[], &[&topic], 9).0, 1);
    assert_eq!(count(&[0x11; 20], &[&[]], 9).0, 1);
    assert_eq!(count(&[], &[&topic, &[]], 9).0, 0);
    assert_eq!(count(&[], &[&[8; 32]], 9), (0, b"[]".to_vec()));
    assert_eq!(count(&[], &[&[topic, [8; 32]].concat()], 9).0, 1);
    assert_eq!(count(&[], &[], 0), (1, b"[]".to_vec()));
    assert_eq!(Filter::read(&[], &[&[][..]; 5]).unwrap_err().field, "topics");
    assert_eq!(Filter::read(&[], &[&[1]]).unwrap_err().field, "topics");
    assert_eq!(Filter::read(&[1], &[]).unwrap_err().field, "addresses");
}

#[test]
fn malformed_blocks_are_refused_by_name() {
    let header = Header::new(alloy_consensus::Header::default()).rlp;
    let mut one = Vec::new();
    push_packed(&mut one, &[2, 0xc0]);
    let cases: [(InputResult<Vec<u8>>, &str); 8] = [
        (block_json(&[1], &[], &[], &[], NONE, false), "header"),
        (block_json(&header, &[0, 0, 0, 9], &[], &[], NONE, false), "transactions"),
        (block_json(&header, &one, &[], &[], NONE, false), "senders"),
        (block_json(&header, &one, &[0; 20], &[], NONE, false), "hashes"),
        (block_json(&header, &one, &[0; 20], &[0; 32], NONE, true), "transactions"),
        (transaction_json(&header, &[], &[], 0), "index"),
        (receipts_json(&header, &[], &[], &[0xc0], Some(0), None), "index"),
        (receipts_json(&header, &[], &[], &[0xc1, 0x80], None, None), "receipts"),
    ];
    for (place, (case, field)) in cases.into_iter().enumerate() {
        assert_eq!(case.unwrap_err().field, field, "case {place}");
    }
    assert_eq!(receipts_json(&header, &[], &[], &[0xc0], None, None).unwrap(), b"[]");
    let block = parsed(&block_json(&header, &[], &[], &[], NONE, true).unwrap());
    assert_eq!((&block["transactions"], &block["uncles"], block.get("withdrawals")), (&json!([]), &json!([]), None));
}

/// A block as a public chain has it: with one ommer, and with one withdrawal.
#[test]
fn ommers_and_withdrawals_are_shown_and_must_be_those_of_the_header() {
    let ommer = Header::new(alloy_consensus::Header { number: 4, ..Default::default() });
    let mut ommers = Vec::new();
    push_packed(&mut ommers, &ommer.rlp);
    let withdrawal = alloy_eips::eip4895::Withdrawal {
        index: 7,
        validator_index: 9,
        address: alloy_primitives::Address::repeat_byte(0xaa),
        amount: 17,
    };
    let withdrawals = alloy_rlp::encode(vec![withdrawal]);
    let named = B256::repeat_byte(1);
    let with_ommers = Header::new(alloy_consensus::Header { ommers_hash: named, ..Default::default() }).rlp;
    let with_withdrawals = Header::new(alloy_consensus::Header {
        base_fee_per_gas: Some(1),
        withdrawals_root: Some(named),
        ..Default::default()
    })
    .rlp;

    let show = |header: &[u8], attached| block_json(header, &[], &[], &[], attached, false);
    let attached = Attached { ommers: &ommers, withdrawals: &[] };
    let block = parsed(&show(&with_ommers, attached).unwrap());
    assert_eq!(block["uncles"], json!([hex::encode_prefixed(ommer.hash)]));
    let size = U256::from_str_radix(&block["size"].as_str().unwrap()[2..], 16).unwrap();
    let empty = 3 + with_ommers.len() + 1; // its own prefix, header, no transactions
    assert_eq!(size.to::<usize>(), empty + 3 + ommer.rlp.len());
    assert_eq!(show(&with_ommers, Attached::default()).unwrap_err().field, "ommers");

    let attached = Attached { ommers: &[], withdrawals: &withdrawals };
    let block = parsed(&show(&with_withdrawals, attached).unwrap());
    let shown = json!([{
        "index": "0x7", "validatorIndex": "0x9", "address": format!("0x{}", "aa".repeat(20)), "amount": "0x11"
    }]);
    assert_eq!(block["withdrawals"], shown);
    assert_eq!(show(&with_withdrawals, Attached::default()).unwrap_err().field, "withdrawals");
    let cut = Attached { ommers: &[], withdrawals: &withdrawals[..withdrawals.len() - 1] };
    assert_eq!(show(&with_withdrawals, cut).unwrap_err().field, "withdrawals");

    let alone = parsed(&ommer_json(&with_ommers).unwrap());
    assert_eq!((&alone["uncles"], alone.get("transactions")), (&json!([]), None));
    assert_eq!(alone["sha3Uncles"], json!(hex::encode_prefixed(named)));
}

#[test]
fn arbitrary_receipts_never_panic() {
    let topics: Vec<String> = (0..4).map(|place| format!("0x{}", format!("{place:02x}").repeat(32))).collect();
    let log = json!({"address": format!("0x{}", "11".repeat(20)), "topics": topics, "data": "0x0102"});
    let receipt = json!({"type": "0x2", "status": "0x1", "cumulativeGasUsed": "0x5208", "logs": [log, log]});
    let good = stored(&[receipt.clone(), receipt]);
    let mut seed = U256::from(1);
    for _ in 0..20_000 {
        seed = U256::from_be_bytes(keccak256(seed.to_be_bytes::<32>()).0);
        let mut bad = good.clone();
        let random = seed.as_limbs();
        let length = bad.len() as u64;
        bad[(random[0] % length) as usize] = random[1] as u8;
        bad[(random[2] % length) as usize] ^= random[3] as u8;
        let _ = log_terms(&bad);
        let _ = log_terms(&bad[..(random[1] % length) as usize]);
    }
    assert_eq!(log_terms(&good).unwrap().len(), 5 * 33);
}

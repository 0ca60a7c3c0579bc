//! Bytes and documents: any, good ones with something spoilt, and such as are little but structure.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use hansa_kernel::exec::need::Keys;
use hansa_kernel::exec::write_set::{AccountWrite, WriteSet};
use hansa_kernel::header::Header;
use hansa_kernel::pack;
use hansa_kernel::tx::sign::{EnvelopeRequest, sign_envelope};
use hansa_kernel::tx::{SignRequest, sign_transactions};
use hansa_kernel::witness::{MAGIC, VERSION, VERSION_ATTACHED, Witness};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::list::packed;

const INPUT_BYTES_MAX: usize = 40_000;
const JSON_BYTES_MAX: usize = 400_000;

/// A chain with everything that Hansa adds.
pub const CHAIN: &str = r#"{"config":{"chainId":1,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,
    "byzantiumBlock":0,"constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0,
    "terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":0,
    "blobSchedule":{"cancun":{"target":3,"max":6,"baseFeeUpdateFraction":3338477}},
    "hansa":{"vm":{"addressRanges":true,"privilegedOpcodes":true,"txGasLimit":30000000,
    "precompiles":[{"address":"0x400","name":"sha3_256","gas":{"base":50,"perWord":1}}],
    "signatureSchemes":[{"name":"ed25519"},{"name":"ml-dsa-65","gas":15000,"gasPerByte":10}]}}},
    "gasLimit":"0x3938700","difficulty":"0x0","timestamp":"0x1","alloc":{
    "1111111111111111111111111111111111111111":{"balance":"0x1","nonce":"2","code":"0x6000","storage":{"0x01":"0x02"}}}}"#;
pub const T8N_ENV: &str = r#"{"currentCoinbase":"0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba","currentGasLimit":"0x1c9c380",
    "currentNumber":"1","currentTimestamp":"1000","currentRandom":"0x1","currentBaseFee":"7","withdrawals":[],
    "parentBeaconBlockRoot":"0x0000000000000000000000000000000000000000000000000000000000000001",
    "currentExcessBlobGas":"0","blockHashes":{"0":"0x0000000000000000000000000000000000000000000000000000000000000002"}}"#;
const ALLOC: &str = r#"{"0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b":{"balance":"0x5ffd4878be161d74","code":"0x6001",
    "nonce":"0xac","storage":{"0x00":"0x01"}}}"#;
const T8N_TXS: &str = r#"[{"gas":"0x5208","gasPrice":"0x7","input":"0x","nonce":"0x0","type":"0x1","chainId":"0x1",
    "accessList":[{"address":"0x095e7baea6a6c7c4c2dfeb977efac326af552d87","storageKeys":["0x01"]}],
    "to":"0x095e7baea6a6c7c4c2dfeb977efac326af552d87","value":"0x1","v":"0x0","r":"0x0","s":"0x0",
    "secretKey":"0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"}]"#;
const STATE_OVERRIDES: &str = r#"{"0x1111111111111111111111111111111111111111":{"balance":"0x1","nonce":"0x2",
    "code":"0x6000","stateDiff":{"0x0000000000000000000000000000000000000000000000000000000000000001":
    "0x0000000000000000000000000000000000000000000000000000000000000002"},
    "movePrecompileToAddress":"0x2222222222222222222222222222222222222222"}}"#;
const BLOCK_OVERRIDES: &str = r#"{"number":"0x1","time":"0x2","gasLimit":"0x3","baseFeePerGas":"0x4","blobBaseFee":"0x5",
    "feeRecipient":"0x2222222222222222222222222222222222222222"}"#;
const TRACE: &str = r#"{"tracer":"callTracer","tracerConfig":{"withLog":true,"onlyTopCall":false},"timeout":"5s"}"#;
const MUX: &str = r#"{"tracer":"muxTracer","tracerConfig":{"callTracer":{},"prestateTracer":{"diffMode":true}}}"#;
const PARITY: &str = r#"{"parity":["trace","stateDiff","vmTrace"]}"#;
const SIMULATION: &str = r#"{"blockStateCalls":[{"blockOverrides":{"number":"0x2"},"stateOverrides":{},"calls":[
    {"from":"0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b","to":"0x1111111111111111111111111111111111111111",
    "gas":"0x5208","input":"0x00","value":"0x1","accessList":[]}]}],"validation":true,"traceTransfers":true}"#;
const STATE_TEST: &str = r#"{"case":{"env":{"currentCoinbase":"0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba",
    "currentGasLimit":"0x10000","currentNumber":"0x1","currentTimestamp":"0x3e8","currentRandom":"0x1","currentBaseFee":"0x7"},
    "pre":{"0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b":{"balance":"0x5ffd4878be161d74","code":"0x","nonce":"0x0",
    "storage":{}}},"transaction":{"data":["0x"],"gasLimit":["0x7530"],"gasPrice":"0x0a","nonce":"0x0",
    "to":"0x095e7baea6a6c7c4c2dfeb977efac326af552d87","value":["0x1"],
    "secretKey":"0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"},"post":{"Shanghai":[
    {"hash":"0x0000000000000000000000000000000000000000000000000000000000000001",
    "logs":"0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "indexes":{"data":0,"gas":0,"value":0}}]}}}"#;
const BLOCK_TEST: &str = r#"{"case":{"network":"Cancun","genesisRLP":"0xc0","pre":{},"blocks":[{"rlp":"0xc0"}],
    "lastblockhash":"0x0000000000000000000000000000000000000000000000000000000000000001"}}"#;
const SMALL_TESTS: [&str; 6] = [
    r#"{"case":{"txbytes":"0xf86103","result":{"London":{"exception":"TR_Invalid"}}}}"#,
    r##"{"case":{"in":["cat",["puppy","#123"],1],"out":"0xc88363617483"}}"##,
    r#"{"case":{"in":[["do","verb"],["horse",null]],"root":"0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"}}"#,
    r#"{"difficulty":{"_info":{},"Frontier":{"case":{"parentTimestamp":"0x01","parentUncles":"0x00",
        "parentDifficulty":"0x20000","currentTimestamp":"0x02","currentBlockNumber":"0x02","currentDifficulty":"0x20040"}}}}"#,
    r#"{"case":{"blockNumber":1,"parentBaseFee":7,"parentGasUsed":1,"parentGasLimit":2,"expectedBaseFee":7}}"#,
    r#"[{"Input":"00","Expected":"00","Gas":15,"Name":"case","NoBenchmark":true}]"#,
];
/// What is put somewhere into a document.
const TOKENS: [&str; 13] = [
    "null",
    "{}",
    "[]",
    "\"0x\"",
    "-1",
    "1e999",
    "18446744073709551616",
    "0.5",
    "\"\\u0000\"",
    "true",
    ",",
    "\"",
    "\"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"",
];

pub fn account_write(byte: u8) -> AccountWrite {
    let code = Bytes::from_static(b"\x60\x00");
    AccountWrite {
        address: Address::repeat_byte(byte),
        deleted: false,
        wiped: false,
        nonce: 7,
        balance: U256::MAX,
        code_hash: keccak256(&code),
        code: Some(code),
        slots: (0..5).map(|slot| (U256::from(slot), U256::from(slot))).collect(),
    }
}

/// A signed transaction of type 2.
pub fn transaction() -> Vec<u8> {
    let data = packed(&[&[9; 300]]);
    let signed = sign_transactions(&SignRequest {
        chain_id: 1,
        secret_keys: &[1; 32],
        nonces: &[0; 8],
        to: &[2; 20],
        values_wei: &[0; 32],
        data: &data,
        gas_limit: 100_000,
        max_fee_per_gas: 9,
        max_priority_fee_per_gas: 1,
    });
    signed.unwrap()[4..].to_vec()
}

/// A signed transaction of type 0x48.
fn account_transaction() -> Vec<u8> {
    sign_envelope(&EnvelopeRequest {
        scheme: "ed25519",
        secret_key: &[1; 32],
        chain_id: 1,
        nonce: 0,
        to: &[2; 20],
        value_wei: &[0; 32],
        data: &[9; 40],
        gas_limit: 100_000,
        max_fee_per_gas: 9,
        max_priority_fee_per_gas: 1,
        address_ranges: &[[0; 20], [0xff; 20]].concat(),
    })
    .unwrap()
}

fn list(items: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    alloy_rlp::Header { list: true, payload_length: items.iter().map(|item| item.len()).sum() }.encode(&mut out);
    for item in items {
        out.extend_from_slice(item);
    }
    out
}

/// Good bytes of each kind, to be spoilt.
fn samples() -> Vec<Vec<u8>> {
    let writes = WriteSet { accounts: (1..4).map(account_write).collect() };
    let raw = transaction();
    let header = Header::new(alloy_consensus::Header { number: 1, ..Default::default() });
    let node = [7_u8; 200];
    let witness = Witness {
        genesis_hash: B256::ZERO,
        block_hash: header.hash,
        header: &header.rlp,
        transactions: &packed(&[&raw]),
        headers: vec![header.rlp.as_slice()],
        codes: vec![&[0x60, 0]],
        nodes: vec![node.as_slice()],
        ommers: &[],
        withdrawals: &[],
    };
    let ommers = packed(&[&header.rlp]);
    let attached = Witness { ommers: &ommers, withdrawals: &[0xc2, 0xc1, 0x80], ..witness.clone() };
    let keys = Keys { accounts: [Address::ZERO].into(), blocks: [1, 2].into(), ..Keys::default() };
    let withdrawal = alloy_rlp::encode(vec![alloy_eips::eip4895::Withdrawal::default()]);
    let transactions = list(&[&alloy_rlp::encode(raw.as_slice())]);
    let block = list(&[&header.rlp, &transactions, &list(&[&header.rlp]), &withdrawal]);
    // A log: address, topics, data; a receipt: type, status, gas, logs.
    let log = list(&[&alloy_rlp::encode([7_u8; 20]), &list(&[&alloy_rlp::encode([8_u8; 32])]), &[0x80]]);
    let receipts = list(&[&list(&[&[2], &[1], &[0x82, 0x52, 0x08], &list(&[&log])])]);
    let leaf = list(&[&[0x20], &alloy_rlp::encode(header.rlp.as_slice())]);
    let branch = list(&[[0xa0].as_slice(), &[7; 32], &[0x80; 16]]);
    let links = packed(&[keys.pack().as_slice(), &[0, 0, 0, 1]]);
    vec![
        writes.encode(),
        raw.clone(),
        account_transaction(),
        packed(&[&raw, &account_transaction()]),
        witness.encode(),
        attached.encode(),
        keys.pack(),
        header.rlp,
        block,
        withdrawal,
        receipts,
        leaf,
        branch,
        links,
        vec![0xc0],
        vec![1; 105],
        vec![0xb0; 48],
        vec![0x0f],
    ]
}

/// A sample with some of its bytes changed, cut, or repeated.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let samples = samples();
    (0..samples.len(), vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), any::<prop::sample::Index>(), 0..3_u8)
        .prop_map(move |(which, changes, at, how)| {
            let mut bytes = samples[which].clone();
            for (index, value) in changes {
                let place = index.index(bytes.len());
                bytes[place] = value;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_within(at..),
                _ => {}
            }
            bytes
        })
}

/// The witness's fixed part before other bytes, so that these are looked at.
fn in_a_witness() -> impl Strategy<Value = Vec<u8>> {
    (vec(vec(vec(any::<u8>(), 0..40), 0..60), 0..8), any::<bool>()).prop_map(|(lists, attached)| {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(if attached { VERSION_ATTACHED } else { VERSION }.to_be_bytes());
        bytes.extend([0; 64]);
        for list in lists {
            let items: Vec<&[u8]> = list.iter().map(Vec::as_slice).collect();
            pack::push_packed(&mut bytes, &packed(&items));
        }
        bytes
    })
}

/// Little but lengths and list headers, at times behind a type byte or inside a list: what makes decoders allocate.
fn dense() -> impl Strategy<Value = Vec<u8>> {
    let unit = prop_oneof![
        Just(vec![0_u8; 4]),
        Just(vec![0xc0]),
        Just(vec![0xc1, 0xc0]),
        Just(vec![0xc2, 0x80, 0xc0]),
        Just(vec![0x80]),
        Just(vec![0, 0, 0, 1, 7]),
        Just(vec![0xff; 4]),
        Just(vec![0xf9, 0xff, 0xff]),
    ];
    (vec(unit, 1..3), 1..6_000_usize, 0..4_u8).prop_map(|(units, times, how)| {
        let mut bytes = units.concat().repeat(times);
        bytes.truncate(INPUT_BYTES_MAX);
        match how {
            0 => list(&[&bytes]),
            1 => [[0x48].as_slice(), &list(&[&bytes])].concat(),
            _ => bytes,
        }
    })
}

/// Inputs of decoders of bytes.
pub fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..600), spoilt(), spoilt(), in_a_witness(), dense()]
}

fn documents() -> Vec<&'static str> {
    let mut all =
        vec![CHAIN, T8N_ENV, ALLOC, T8N_TXS, STATE_OVERRIDES, BLOCK_OVERRIDES, TRACE, MUX, PARITY, SIMULATION];
    all.extend([STATE_TEST, BLOCK_TEST]);
    all.extend(SMALL_TESTS);
    all
}

/// A document with tokens in places where others stood, or none; cut, or with a part twice.
fn spoilt_json() -> impl Strategy<Value = Vec<u8>> {
    let documents = documents();
    let change = (any::<prop::sample::Index>(), 0..TOKENS.len(), 0..20_usize);
    (0..documents.len(), vec(change, 0..4), any::<prop::sample::Index>(), 0..6_u8).prop_map(
        move |(which, changes, at, how)| {
            let mut bytes = documents[which].as_bytes().to_vec();
            for (index, token, gone) in changes {
                // From one place between values to another.
                let places: Vec<usize> = (0..bytes.len()).filter(|at| b":,[]{}".contains(&bytes[*at])).collect();
                let from = index.get(&places) + 1;
                let to = places.iter().copied().find(|place| *place >= from + gone % 3).unwrap_or(from);
                bytes.splice(from..to, TOKENS[token].bytes());
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes.truncate(at),
                1 => bytes.extend_from_within(at..),
                _ => {}
            }
            bytes
        },
    )
}

/// Lists and objects with as little else as may be, up to the limit and beyond, at times inside a good document.
fn dense_json() -> impl Strategy<Value = Vec<u8>> {
    let unit = prop_oneof![Just("[],"), Just("{},"), Just("1,"), Just("\"\","), Just("[1],"), Just("{\"a\":1},")];
    (unit, 0..90_usize, 1..200_000_usize, 0..3_u8).prop_map(|(unit, padding, times, how)| {
        let unit = format!("{unit}\"{}\",", "x".repeat(padding));
        let times = times.min(JSON_BYTES_MAX / unit.len());
        let list = format!("[{}0]", unit.repeat(times));
        let text = match how {
            0 => list,
            1 => format!("{{\"blockStateCalls\":{list}}}"),
            _ => format!("{{\"a\":{{\"in\":{list},\"out\":\"0xc0\",\"txbytes\":{list}}}}}"),
        };
        text.into_bytes()
    })
}

/// Inputs of decoders of JSON.
pub fn json() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => spoilt_json(), 1 => vec(any::<u8>(), 0..200), 1 => dense_json()]
}

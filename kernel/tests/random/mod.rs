//! Random blocks and a state to run them on.
//!
//! Transfers, calls of contracts that conflict in every way, creations, self-destructions, delegations (EIP-7702), chains
//! of one sender, nonces that do not fit, senders that cannot pay, with and without fees.

#![allow(dead_code)] // each test crate uses its part

use alloy_consensus::{Signed, TxEip1559, TxEip7702, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use hansa_kernel::conformance::full_state::FullState;
use hansa_kernel::exec::block_job::{BlockJob, BlockRequest, BlockResult, JobError, Stats, Step};
use hansa_kernel::exec::cache::StateCache;
use hansa_kernel::exec::need::{Keys, RawValues, Record};
use hansa_kernel::exec::schedule::Running;
use hansa_kernel::exec::state::bytecode;
use hansa_kernel::header::{Attached, BlockEnv};
use hansa_kernel::pack;
use hansa_kernel::spec::{Alloc, Fork, Spec};
use hansa_kernel::tx::{Decoded, TxBatch};
use proptest::prelude::*;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

pub const HEAD: B256 = B256::repeat_byte(0x77);
pub const ACTORS: u8 = 6;

/// (what it does, code). Calldata words choose addresses and slots.
pub const CONTRACTS: [(&str, &str); 10] = [
    (
        "token: moves one unit from the caller to word 0, or reverts",
        "33548015601e57 600190033355 5f35805460010190555f3560015f5fa200 5b5f5ffd",
    ),
    ("creates a contract from word 0, stores its address", "5f355f52 60205f5ff0 5f5500"),
    ("destroys itself in favour of word 0", "5f35ff"),
    (
        "calls word 0 with word 1 wei and word 2 as data, stores whether it went well",
        "6040355f525f5f60205f6020355f355af15f5500",
    ),
    ("stores the hash of block number - word 0", "5f354303405f5500"),
    ("follows a chain of three slots from slot word 0, stores the end", "5f35 545454 60075500"),
    ("stores the code hash and size of word 0", "5f353f5f555f353b60015500"),
    ("stores the beneficiary's balance", "41315f5500"),
    ("writes slot word 0, then reverts", "60015f35555f5ffd"),
    ("clears slot word 0", "5f5f355500"),
];

pub fn contract(index: u8) -> Address {
    Address::repeat_byte(0xc0 + index)
}

pub fn secret(actor: u8) -> SecretKey {
    SecretKey::from_byte_array([actor + 1; 32]).expect("in range")
}

pub fn actor(actor: u8) -> Address {
    let key = PublicKey::from_secret_key(SECP256K1, &secret(actor)).serialize_uncompressed();
    Address::from_slice(&keccak256(&key[1..])[12..])
}

pub fn word(address: Address) -> [u8; 32] {
    address.into_word().0
}

/// An account by a small number: actors, contracts, one that does not exist, the beneficiary.
pub fn someone(number: u8) -> Address {
    match number % 20 {
        n @ 0..6 => actor(n),
        n @ 6..16 => contract(n - 6),
        16 => Address::repeat_byte(0xee),
        17 => beneficiary(),
        18 => Address::with_last_byte(2),
        _ => actor(0).create(0),
    }
}

pub fn beneficiary() -> Address {
    actor(5)
}

pub fn world() -> FullState {
    let mut accounts = std::collections::BTreeMap::new();
    for number in 0..ACTORS {
        let balance = if number == 4 { U256::from(30_000) } else { U256::from(10).pow(U256::from(20)) };
        accounts.insert(actor(number), Alloc { balance, ..Alloc::default() });
    }
    for (index, (_, code)) in (0u8..).zip(CONTRACTS) {
        let mut account = Alloc {
            nonce: 1,
            balance: U256::from(u64::from(index) * 1_000),
            code: hex::decode(code.replace(' ', "")).expect("hex").into(),
            ..Alloc::default()
        };
        for number in 0..ACTORS {
            account.storage.insert(U256::from_be_bytes(word(actor(number))), U256::from(2));
        }
        for slot in 1..8u64 {
            account.storage.insert(U256::from(slot), U256::from(slot + 1));
        }
        accounts.insert(contract(index), account);
    }
    for call in [hex!("000f3df6d732807ef1319fb7b8bb8522d0beac02"), hex!("0000f90827f1c53a10cb7a02335b175320002935")] {
        let code = Bytes::from_static(&hex!("5f35435500"));
        accounts.insert(Address::from(call), Alloc { nonce: 1, code, ..Alloc::default() });
    }
    for call in [hex!("00000961ef480eb55e80d19ad83579a64c007002"), hex!("0000bbddc7ce488642fb579f8b00f3a590007251")] {
        accounts.insert(Address::from(call), Alloc { nonce: 1, code: Bytes::from_static(&[0]), ..Alloc::default() });
    }
    FullState(accounts)
}

/// One random transaction as numbers.
#[derive(Debug, Clone)]
pub struct Plan {
    sender: u8,
    kind: u8,
    to: u8,
    words: [u8; 3],
    value: u16,
    price: u8,
    gas: u32,
    skew: u8,
}

pub fn plan() -> impl Strategy<Value = Plan> {
    (0..ACTORS, 0..8u8, any::<u8>(), any::<[u8; 3]>(), 0..2_000u16, 0..3u8, 20_000..400_000u32, 0..20u8).prop_map(
        |(sender, kind, to, words, value, price, gas, skew)| Plan { sender, kind, to, words, value, price, gas, skew },
    )
}

pub fn batch(plans: &[Plan]) -> TxBatch {
    let mut nonces = [0u64; ACTORS as usize];
    let transactions = plans.iter().map(|plan| {
        let next = &mut nonces[usize::from(plan.sender)];
        // Now and then a nonce that does not fit.
        let nonce = if plan.skew == 0 { *next + 1 } else { *next };
        *next += u64::from(plan.skew != 0);
        Ok(std::sync::Arc::new(transaction(plan, nonce)))
    });
    transactions.collect()
}

pub fn transaction(plan: &Plan, nonce: u64) -> Decoded {
    let signature = Signature::new(U256::from(1), U256::from(1), false);
    let to = someone(plan.to);
    let mut data = Vec::new();
    data.extend_from_slice(&word(someone(plan.words[0])));
    data.extend_from_slice(&[[0; 31].as_slice(), &[plan.words[1]]].concat());
    data.extend_from_slice(&word(someone(plan.words[2])));
    if plan.words[1].is_multiple_of(2) {
        // A small number instead of an address: a slot.
        data[..31].fill(0);
        data[31] = plan.words[0] % 9;
    }
    let price = u128::from(plan.price);
    let value = U256::from(plan.value);
    let gas_limit = u64::from(plan.gas);
    let tx = match plan.kind {
        0 => {
            // Initcode that returns one of the contracts' code, or garbage.
            let (_, code) = CONTRACTS[usize::from(plan.words[0]) % CONTRACTS.len()];
            let code = hex::decode(code.replace(' ', "")).expect("hex");
            let mut input =
                vec![0x60, u8::try_from(code.len()).expect("short"), 0x80, 0x60, 0x0a, 0x5f, 0x39, 0x5f, 0xf3, 0x00];
            input.extend_from_slice(&code);
            TxEnvelope::Legacy(Signed::new_unhashed(
                TxLegacy {
                    chain_id: Some(1),
                    nonce,
                    gas_price: price,
                    gas_limit,
                    to: TxKind::Create,
                    value,
                    input: input.into(),
                },
                signature,
            ))
        }
        1 => {
            let authorization = Authorization {
                chain_id: U256::from(plan.words[2] % 2),
                address: someone(plan.words[1]),
                nonce: u64::from(plan.words[0] % 3),
            };
            let key = secret(plan.words[2] % ACTORS);
            let digest = Message::from_digest(authorization.signature_hash().0);
            let (recovery, bytes) = SECP256K1.sign_ecdsa_recoverable(digest, &key).serialize_compact();
            let signed = authorization.into_signed(Signature::from_bytes_and_parity(&bytes, i32::from(recovery) == 1));
            TxEnvelope::Eip7702(Signed::new_unhashed(
                TxEip7702 {
                    chain_id: 1,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: price,
                    to,
                    value,
                    access_list: AccessList::default(),
                    authorization_list: vec![signed],
                    input: data.into(),
                },
                signature,
            ))
        }
        2 | 3 => TxEnvelope::Legacy(Signed::new_unhashed(
            TxLegacy {
                chain_id: Some(1),
                nonce,
                gas_price: price,
                gas_limit,
                to: to.into(),
                value,
                input: Bytes::new(),
            },
            signature,
        )),
        _ => TxEnvelope::Eip1559(Signed::new_unhashed(
            TxEip1559 {
                chain_id: 1,
                nonce,
                gas_limit,
                max_fee_per_gas: price,
                max_priority_fee_per_gas: price.min(1),
                to: TxKind::Call(contract(plan.to % 10)),
                value: if plan.to.is_multiple_of(4) { value } else { U256::ZERO },
                access_list: AccessList(if plan.kind == 7 {
                    let storage_keys = vec![B256::with_last_byte(plan.words[2] % 9)];
                    vec![AccessListItem { address: someone(plan.words[2]), storage_keys }]
                } else {
                    vec![]
                }),
                input: data.into(),
            },
            signature,
        )),
    };
    let raw: Bytes = tx.encoded_2718().into();
    Decoded { sender: actor(plan.sender), hash: keccak256(&raw), raw, tx: tx.into(), extra_gas: 0 }
}

/// Random choices of one run, from a seed.
pub struct Choices(pub u64);

impl Choices {
    pub fn yes(&mut self) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) & 1 == 1
    }

    pub fn part(&mut self, keys: &Keys) -> Keys {
        Keys {
            accounts: keys.accounts.iter().copied().filter(|_| self.yes()).collect(),
            slots: keys.slots.iter().copied().filter(|_| self.yes()).collect(),
            codes: keys.codes.iter().copied().filter(|_| self.yes()).collect(),
            blocks: keys.blocks.iter().copied().filter(|_| self.yes()).collect(),
        }
    }
}

pub struct Runner<'w> {
    pub world: &'w FullState,
    pub asked: Keys,
    pub advice: bool,
}

impl Runner<'_> {
    fn code(&self, hash: B256) -> Bytes {
        self.world
            .0
            .values()
            .map(|account| &account.code)
            .find(|code| keccak256(code) == hash)
            .cloned()
            .unwrap_or_default()
    }

    fn answer(&mut self, job: &mut BlockJob, need: &Keys) -> Result<Step, JobError> {
        let before = self.asked.len();
        self.asked.accounts.extend(&need.accounts);
        self.asked.slots.extend(&need.slots);
        self.asked.codes.extend(&need.codes);
        self.asked.blocks.extend(&need.blocks);
        assert_eq!(self.asked.len(), before + need.len(), "a key was asked for twice");
        let records: Vec<Option<Record>> = need.accounts.iter().map(|address| self.world.record(*address)).collect();
        let accounts: Vec<u8> = records.iter().flat_map(|record| Record::encode(record.as_ref())).collect();
        let slots: Vec<u8> = need
            .slots
            .iter()
            .flat_map(|(address, slot)| self.world.slot(*address, *slot).to_be_bytes::<32>())
            .collect();
        let mut codes = Vec::new();
        for hash in &need.codes {
            pack::push_packed(&mut codes, &self.code(*hash));
        }
        let mut account_codes = Vec::new();
        for record in records.iter().flatten().filter(|_| self.advice) {
            pack::push_packed(&mut account_codes, &self.code(record.code_hash));
        }
        let blocks: Vec<u8> = need.blocks.iter().flat_map(|number| block_hash(*number).0).collect();
        job.step(Some(&RawValues {
            accounts: &accounts,
            slots: &slots,
            codes: &codes,
            blocks: &blocks,
            account_codes: &account_codes,
        }))
    }

    pub fn run(&mut self, request: BlockRequest) -> Result<BlockResult, JobError> {
        let mut job = BlockJob::new(request).map_err(JobError::Input)?;
        let mut step = job.step(None)?;
        loop {
            step = match step {
                Step::Done(result) => return Ok(*result),
                Step::Progress => job.step(None)?,
                Step::Need(need) => self.answer(&mut job, &need)?,
            };
        }
    }
}

pub fn block_hash(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

pub fn request(batch: &TxBatch, building: bool) -> BlockRequest {
    request_of(batch, building, Fork::Osaka, beneficiary())
}

/// The same block under the rules of `fork`, with fees for `beneficiary`.
pub fn request_of(batch: &TxBatch, building: bool, fork: Fork, beneficiary: Address) -> BlockRequest {
    BlockRequest {
        spec: Spec::of_fork(fork, 1),
        env: BlockEnv {
            parent_hash: block_hash(999),
            number: 1_000,
            timestamp: 1_000,
            gas_limit: 60_000_000,
            base_fee_per_gas: 0,
            beneficiary,
            prev_randao: B256::ZERO,
            parent_beacon_block_root: B256::repeat_byte(3),
            extra_data: Bytes::new(),
            difficulty: U256::ZERO,
            excess_blob_gas: 0,
            ..BlockEnv::default()
        },
        batch: batch.clone(),
        attached: Attached::default(),
        cache: None,
        building,
        hints: Vec::new(),
        system_calls: true,
        rounds_max: 64,
        running: Running::default(),
    }
}

/// A chain of every fork with that `config.hansa.vm` (JSON).
pub fn chain_of(vm: &str) -> Spec {
    let forks = r#""homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,"byzantiumBlock":0,
        "constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0,
        "terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":0"#;
    let text = format!(r#"{{"config":{{"chainId":1,{forks},"hansa":{{"vm":{vm}}}}},"gasLimit":"0x3938700"}}"#);
    Spec::parse(text.as_bytes()).expect("a good spec")
}

/// A chain with dear reads and growth, and with caps that random blocks often reach.
pub fn priced() -> Spec {
    let gas = r#"{"stateReadPercent":150,"stateGrowthPercent":130}"#;
    chain_of(&format!(r#"{{"gas":{gas},"stateGrowth":{{"blockItemsMax":14,"senderItemsMax":5}}}}"#))
}

/// A cache at `HEAD` that holds exactly `keys`.
pub fn cache(world: &FullState, keys: &Keys) -> StateCache {
    let cache = StateCache::new(10_000, 4);
    cache.reset(HEAD);
    let view = cache.view(HEAD).expect("the head is held");
    let code = |hash: &B256| {
        let account = world.0.values().find(|account| keccak256(&account.code) == *hash);
        account.map(|account| (*hash, bytecode(account.code.clone())))
    };
    view.keep(
        keys.accounts.iter().map(|address| (*address, world.record(*address))),
        keys.slots.iter().map(|(address, slot)| ((*address, *slot), world.slot(*address, *slot))),
        keys.codes.iter().filter_map(code),
    );
    cache
}

pub fn without_stats(result: BlockResult) -> BlockResult {
    BlockResult { stats: Stats::default(), ..result }
}

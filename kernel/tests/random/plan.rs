//! Transactions from random numbers.

use std::sync::Arc;

use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip4844Variant, TxEip7702, TxEnvelope, TxLegacy,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use hansa_kernel::spec::Fork;
use hansa_kernel::tx::schemes::AccountScheme;
use hansa_kernel::tx::sign::{EnvelopeRequest, sign_envelope};
use hansa_kernel::tx::{Decoded, Envelope, TxBatch, TxRules};
use proptest::prelude::*;
use secp256k1::{Message, SECP256K1};

use super::world::{
    ACTORS, CONTRACTS, Rules, actor, code, contract, scheme_actor, secret, signing_schemes, someone, word,
};

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
    (0..ACTORS, 0..14u8, any::<u8>(), any::<[u8; 3]>(), 0..2_000u16, 0..3u8, 20_000..400_000u32, 0..20u8).prop_map(
        |(sender, kind, to, words, value, price, gas, skew)| Plan { sender, kind, to, words, value, price, gas, skew },
    )
}

/// What a transaction is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Delegate,
    Transfer,
    Blob,
    Listed,
    Account,
    /// EIP-1559, with or without an access list.
    Call(bool),
    Legacy,
}

impl Plan {
    /// A call of a contract by an actor, in the chain's envelope, which promises to stay with the two.
    pub fn promised(sender: u8, contract: u8) -> Self {
        Self { sender, kind: 6, to: ACTORS + contract, words: [0, 0, 104], value: 0, price: 1, gas: 300_000, skew: 3 }
    }

    /// The kind of this plan, or the plain one where the fork does not know it yet.
    fn kind(&self, rules: Rules) -> Kind {
        let (kind, first) = match self.kind {
            // Now and then one that promises nothing.
            0..13 if rules == Rules::Lanes => (Kind::Account, Fork::Osaka),
            0 => (Kind::Create, Fork::Frontier),
            1 => (Kind::Delegate, Fork::Prague),
            2 | 3 => (Kind::Transfer, Fork::Frontier),
            4 => (Kind::Blob, Fork::Cancun),
            5 => (Kind::Listed, Fork::Berlin),
            6 | 7 if rules == Rules::Hansa => (Kind::Account, Fork::Osaka),
            kind => (Kind::Call(kind == 13), Fork::London),
        };
        // Now and then a type that is not known yet.
        if rules.fork() >= first || self.skew == 1 { kind } else { Kind::Legacy }
    }

    fn data(&self) -> Bytes {
        let mut data = Vec::new();
        data.extend_from_slice(&word(someone(self.words[0])));
        data.extend_from_slice(&[[0; 31].as_slice(), &[self.words[1]]].concat());
        data.extend_from_slice(&word(someone(self.words[2])));
        if self.words[1].is_multiple_of(2) {
            // A small number instead of an address: a slot.
            data[..31].fill(0);
            data[31] = self.words[0] % 9;
        }
        data.into()
    }

    /// Initcode that returns one of the contracts' code.
    fn initcode(&self, fork: Fork) -> Bytes {
        let (_, text) = CONTRACTS[usize::from(self.words[0]) % CONTRACTS.len()];
        let code = code(text, fork);
        let length = u8::try_from(code.len()).expect("short");
        let copy = [0x60, length, 0x80, 0x60, 12, 0x60, 0, 0x39, 0x60, 0, 0xf3, 0];
        [&copy, code.as_slice()].concat().into()
    }

    fn list(&self) -> AccessList {
        let storage_keys = vec![B256::with_last_byte(self.words[2] % 9)];
        AccessList(vec![AccessListItem { address: someone(self.words[2]), storage_keys }])
    }

    fn target(&self) -> Address {
        if self.kind == 12 {
            return someone(self.to);
        }
        contract(self.to % u8::try_from(CONTRACTS.len()).expect("few"))
    }

    fn value(&self) -> U256 {
        if self.to.is_multiple_of(4) { U256::from(self.value) } else { U256::ZERO }
    }
}

/// Transactions of those plans from a state where nobody has sent any.
pub fn batch(plans: &[Plan], rules: Rules) -> TxBatch {
    batch_after(plans, rules, 0, |_| 0)
}

/// The same where `nonce_of` gives an account's next nonce, and most pay the base fee.
pub fn batch_after(plans: &[Plan], rules: Rules, base_fee: u64, nonce_of: impl Fn(Address) -> u64) -> TxBatch {
    let mut nonces = std::collections::BTreeMap::new();
    let tx_rules = TxRules::unbounded(&rules.spec(), 1, 1);
    let transactions = plans.iter().map(|plan| {
        let sender = sender(plan, rules);
        let next = nonces.entry(sender).or_insert_with(|| nonce_of(sender));
        // Now and then a nonce that does not fit.
        let nonce = if plan.skew == 0 { *next + 1 } else { *next };
        *next += u64::from(plan.skew != 0);
        let raw = Bytes::from(raw(plan, rules, base_fee, nonce));
        let hash = keccak256(&raw);
        let tx = Envelope::decode(&raw, hash).expect("a transaction");
        let extra_gas = tx_rules.extra_gas(&tx);
        Ok(Arc::new(Decoded { tx, sender, hash, raw, extra_gas }))
    });
    transactions.collect()
}

/// Which scheme signs a transaction of the chain's own type.
fn scheme(plan: &Plan) -> Option<&'static str> {
    signing_schemes().nth(usize::from(plan.words[2]) % 5).map(AccountScheme::name)
}

fn sender(plan: &Plan, rules: Rules) -> Address {
    let scheme = scheme(plan).filter(|_| plan.kind(rules) == Kind::Account);
    scheme.map_or_else(|| actor(plan.sender), |scheme| scheme_actor(scheme, plan.sender))
}

/// EIP-2718 bytes, signed.
fn raw(plan: &Plan, rules: Rules, base_fee: u64, nonce: u64) -> Vec<u8> {
    let fork = rules.fork();
    // Now and then less than the base fee.
    let price = u128::from(plan.price) + if plan.skew == 2 { 0 } else { u128::from(base_fee) };
    let (gas_limit, value) = (u64::from(plan.gas), plan.value());
    // EIP-155 is for those who want it.
    let chain_id = (fork >= Fork::SpuriousDragon && plan.words[1] > 20).then_some(1);
    let legacy = |to, value, input| {
        signed(TxLegacy { chain_id, nonce, gas_price: price, gas_limit, to, value, input }, plan.sender)
    };
    let dynamic = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit,
        max_fee_per_gas: price,
        max_priority_fee_per_gas: price.min(1),
        to: TxKind::Call(plan.target()),
        value,
        access_list: AccessList::default(),
        input: plan.data(),
    };
    match plan.kind(rules) {
        Kind::Create => legacy(TxKind::Create, U256::from(plan.value), plan.initcode(fork)),
        Kind::Transfer => legacy(someone(plan.to).into(), U256::from(plan.value), Bytes::new()),
        Kind::Legacy => legacy(plan.target().into(), value, plan.data()),
        Kind::Call(listed) => {
            let access_list = if listed { plan.list() } else { AccessList::default() };
            signed(TxEip1559 { access_list, ..dynamic }, plan.sender)
        }
        Kind::Listed => {
            let to = plan.target().into();
            let (access_list, input) = (plan.list(), plan.data());
            let tx = TxEip2930 { chain_id: 1, nonce, gas_price: price, gas_limit, to, value, access_list, input };
            signed(tx, plan.sender)
        }
        Kind::Blob => {
            let hash =
                |byte| B256::from([[1].as_slice(), &[byte; 31]].concat().as_slice().try_into().unwrap_or([0; 32]));
            let tx = TxEip4844 {
                chain_id: 1,
                nonce,
                gas_limit,
                max_fee_per_gas: price,
                max_priority_fee_per_gas: price.min(1),
                to: plan.target(),
                value,
                access_list: AccessList::default(),
                blob_versioned_hashes: (0..=plan.words[0] % 2).map(hash).collect(),
                max_fee_per_blob_gas: 3 - u128::from(plan.price),
                input: plan.data(),
            };
            signed::<TxEip4844Variant>(tx.into(), plan.sender)
        }
        Kind::Delegate => {
            let authorization = Authorization {
                chain_id: U256::from(plan.words[2] % 2),
                address: someone(plan.words[1]),
                nonce: u64::from(plan.words[0] % 3),
            };
            let signature = sign(authorization.signature_hash(), plan.words[2] % ACTORS);
            let tx = TxEip7702 {
                chain_id: 1,
                nonce,
                gas_limit,
                max_fee_per_gas: price,
                max_priority_fee_per_gas: price,
                to: someone(plan.to),
                value: U256::from(plan.value),
                access_list: AccessList::default(),
                authorization_list: vec![authorization.into_signed(signature)],
                input: plan.data(),
            };
            signed(tx, plan.sender)
        }
        Kind::Account => account(plan, rules, nonce),
    }
}

/// A transaction in the chain's envelope: an account of any scheme, with or without ranges.
fn account(plan: &Plan, rules: Rules, nonce: u64) -> Vec<u8> {
    let create = plan.to.is_multiple_of(16);
    let (from, to) = (sender(plan, rules), someone(plan.to));
    // The two that must lie inside, and at times some that are called, or all that follows.
    let mut inside = vec![from, if create { from.create(nonce) } else { to }];
    let lanes = rules == Rules::Lanes;
    inside.extend(
        (0..plan.words[1] % if lanes { 3 } else { 8 }).map(|number| someone(plan.words[0].wrapping_add(number))),
    );
    inside.sort_unstable();
    inside.dedup();
    let mut ranges: Vec<[Address; 2]> = inside.into_iter().map(|address| [address; 2]).collect();
    if let Some(last) = ranges.last_mut().filter(|_| !lanes && plan.words[0] > 200) {
        last[1] = Address::repeat_byte(0xff);
    }
    let ranges = if lanes || plan.words[2] > 100 { ranges.as_flattened().concat() } else { Vec::new() };
    let data = if create { plan.initcode(rules.fork()) } else { plan.data() };
    let price = u128::from(plan.price);
    sign_envelope(&EnvelopeRequest {
        scheme: scheme(plan).unwrap_or("secp256k1"),
        secret_key: &secret(plan.sender).secret_bytes(),
        chain_id: 1,
        nonce,
        to: if create { &[] } else { to.as_slice() },
        value_wei: &plan.value().to_be_bytes::<32>(),
        data: &data,
        gas_limit: u64::from(plan.gas) + 100_000,
        max_fee_per_gas: price,
        max_priority_fee_per_gas: price.min(1),
        address_ranges: &ranges,
    })
    .expect("a secret of every scheme")
}

fn sign(hash: B256, by: u8) -> Signature {
    let (recovery, bytes) =
        SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), &secret(by)).serialize_compact();
    Signature::from_bytes_and_parity(&bytes, i32::from(recovery) == 1)
}

fn signed<T: SignableTransaction<Signature>>(tx: T, by: u8) -> Vec<u8>
where
    TxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let signature = sign(tx.signature_hash(), by);
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718()
}

//! Every decoder that is given a stranger's bytes: peers' blocks, transactions, witnesses and proofs, storage's answers,
//! files, and requests.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};
use hansa_kernel::conformance::run::{RunRequest, run_code};
use hansa_kernel::conformance::t8n::{Transition, transition};
use hansa_kernel::conformance::{self, Kind, Options, Outcome};
use hansa_kernel::evm::{precompiles, run_precompile};
use hansa_kernel::exec::access_list::read_list;
use hansa_kernel::exec::need::{Keys, RawValues, Values};
use hansa_kernel::exec::overrides::{BlockOverrides, StateOverrides};
use hansa_kernel::exec::write_set::WriteSet;
use hansa_kernel::header::{Attached, BlockEnv, Header, RawBlock};
use hansa_kernel::spec::{Fork, Spec};
use hansa_kernel::trace::{Tracer, simulate};
use hansa_kernel::trie::{self, MultiproofJob, NodeSet, ProofJob, ProofStep, TrieJob, TrieStep};
use hansa_kernel::tx::{AddressRanges, TxRules, attach_senders, decode_one, decode_transactions};
use hansa_kernel::witness::{Trust, verify_block};
use hansa_kernel::{bls, pack, txpool, views};

use crate::inputs;

type Run = Box<dyn Fn(&[u8]) -> Result<(), String>>;

pub struct Decoder {
    pub name: &'static str,
    /// The error as its user reads it.
    pub run: Run,
    /// Bytes that each refused item of a packed list may take beside.
    pub item_bytes: usize,
}

fn decoder(name: &'static str, run: impl Fn(&[u8]) -> Result<(), String> + 'static) -> Decoder {
    Decoder { name, run: Box::new(run), item_bytes: 0 }
}

/// One of lists of transactions: the error of each stands in its place, and there are at most `BATCH_COUNT_MAX`.
fn in_place(decoder: Decoder) -> Decoder {
    Decoder { item_bytes: 512, ..decoder }
}

/// What was read does not matter, the error does.
fn told<T, E: ToString>(result: Result<T, E>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

fn holds(verdict: bool) -> Result<(), String> {
    if verdict { Ok(()) } else { Err("refused".to_owned()) }
}

/// Osaka with everything that Hansa adds, for transactions of type 0x48.
pub fn everything() -> Spec {
    Spec::parse(inputs::CHAIN.as_bytes()).expect("a good spec")
}

fn spec() -> Spec {
    Spec::of_fork(Fork::Osaka, 1)
}

pub fn packed(items: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        pack::push_packed(&mut out, item);
    }
    out
}

pub fn of_bytes() -> Vec<Decoder> {
    let mut all = transactions_and_blocks();
    all.extend(state_and_proofs());
    all.extend(views_and_votes());
    all
}

fn transactions_and_blocks() -> Vec<Decoder> {
    let rules = TxRules::of(&spec(), 1, 1);
    let ours = TxRules::of(&everything(), 1, 1);
    vec![
        decoder("packed list", |bytes| told(pack::read_packed("field", bytes))),
        decoder("transaction", move |bytes| told(decode_one(bytes, &rules, None))),
        decoder("transaction of a chain with schemes and ranges", move |bytes| told(decode_one(bytes, &ours, None))),
        decoder("transactions", move |bytes| told(decode_transactions(&packed(&[bytes]), &rules))),
        in_place(decoder("packed transactions", move |bytes| told(decode_transactions(bytes, &rules)))),
        decoder("senders", move |bytes| told(attach_senders(&packed(&[&[0xc0]]), bytes, &rules))),
        decoder("address ranges", |bytes| told(AddressRanges::from_packed(bytes))),
        decoder("header", |bytes| told(Header::decode("header", bytes))),
        decoder("block environment", |bytes| told(BlockEnv::from_header(bytes))),
        decoder("block", |bytes| told(RawBlock::decode(bytes))),
        decoder("ommers", |bytes| told(Attached::read(bytes, None))),
        decoder("withdrawals", |bytes| told(Attached::read(&[], Some(bytes)))),
        decoder("access list", |bytes| told(read_list("access_list", bytes))),
        decoder("witness", |bytes| told(verify_block(&spec(), B256::ZERO, bytes, Trust::default()))),
        decoder("precompiles of Ethereum", |bytes| {
            for number in (1..=0x11).chain([0x100]) {
                let _ = run_precompile(Fork::Osaka, Address::from_word(U256::from(number).into()), bytes, 100_000);
            }
            Ok(())
        }),
        decoder("precompile: state proof", |bytes| precompile("stateProofVerify", bytes)),
        decoder("precompile: BLS certificate", |bytes| precompile("blsCertificateVerify", bytes)),
    ]
}

fn precompile(name: &str, bytes: &[u8]) -> Result<(), String> {
    let precompile = precompiles::by_name(name).expect("one of the registry");
    let _ = (precompile.items)(bytes);
    (precompile.run)(bytes).map(drop).map_err(|error| error.0.to_owned())
}

fn state_and_proofs() -> Vec<Decoder> {
    let asked = Keys {
        accounts: [Address::ZERO].into(),
        slots: [(Address::ZERO, U256::ZERO)].into(),
        codes: [B256::ZERO].into(),
        blocks: [1].into(),
    };
    let (for_records, for_slots, for_codes) = (asked.clone(), asked.clone(), asked);
    let whole =
        RawValues { accounts: &[0; 105], slots: &[0; 32], codes: &[0; 4], blocks: &[0; 32], account_codes: &[] };
    vec![
        decoder("keys", |bytes| told(Keys::unpack("keys", bytes))),
        decoder("answer: accounts", move |bytes| {
            told(Values::read(&for_records, &RawValues { accounts: bytes, ..whole }))
        }),
        decoder("answer: slots and blocks", move |bytes| {
            told(Values::read(&for_slots, &RawValues { slots: bytes, blocks: bytes, ..whole }))
        }),
        decoder("answer: codes", move |bytes| {
            told(Values::read(&for_codes, &RawValues { codes: bytes, account_codes: bytes, ..whole }))
        }),
        decoder("write set", |bytes| told(WriteSet::decode(bytes))),
        decoder("write set of the trie", |bytes| told(trie::write_set::parse(bytes))),
        decoder("keys of a write set", |bytes| told(trie::write_set::keys(bytes))),
        decoder("node of a proof", |bytes| holds(trie::verify_proof(keccak256(bytes), &[7; 32], Some(&[1]), &[bytes]))),
        decoder("node of a set", |bytes| {
            let found = NodeSet::new(&[bytes]).value(None, keccak256(bytes), &B256::repeat_byte(7));
            found.map(drop).map_err(|_| "refused".to_owned())
        }),
        decoder("node for a root", |bytes| {
            let writes = WriteSet { accounts: (1..4).map(inputs::account_write).collect() }.encode();
            let mut job = TrieJob::new(keccak256(bytes), &writes, &[0; 105 * 3], None).map_err(text)?;
            let TrieStep::Need(need) = job.step(&[], &[]).map_err(text)? else { return Ok(()) };
            told(job.step(&vec![Some(bytes); count(&need.paths)], &[]))
        }),
        decoder("node for a proof", |bytes| {
            let mut job = ProofJob::new(keccak256(bytes), [7; 20], &[1; 64], B256::ZERO).map_err(text)?;
            let ProofStep::Need(need) = job.step(&[]).map_err(text)? else { return Ok(()) };
            told(job.step(&vec![Some(bytes); count(&need.paths)]))
        }),
        decoder("node for a multiproof", |bytes| {
            let accounts = BTreeMap::from([(Address::repeat_byte(1), (keccak256(bytes), vec![U256::ZERO, U256::MAX]))]);
            let mut job = MultiproofJob::new(keccak256(bytes), &accounts);
            let Some(need) = job.step(&[]).map_err(text)? else { return Ok(()) };
            told(job.step(&vec![Some(bytes); count(&need.paths)]))
        }),
        decoder("full trie", |bytes| told(trie::trie_root(bytes))),
    ]
}

#[allow(clippy::needless_pass_by_value)] // what `map_err` hands over
fn text(error: impl ToString) -> String {
    error.to_string()
}

/// How many nodes a job asks for.
fn count(paths: &[u8]) -> usize {
    pack::read_packed("paths", paths).expect("the kernel's own list").len()
}

fn views_and_votes() -> Vec<Decoder> {
    let header = Header::new(alloy_consensus::Header { number: 1, ..Default::default() }).rlp;
    let raw = packed(&[&inputs::transaction()]);
    let (for_block, for_receipts, transactions) = (header.clone(), header.clone(), raw.clone());
    vec![
        decoder("receipts", |bytes| told(views::log_terms(bytes))),
        decoder("receipts of a block", move |bytes| {
            told(views::receipts_json(&for_receipts, &transactions, &[7; 20], bytes, None, None))
        }),
        decoder("raw receipts", move |bytes| told(views::raw_receipts(&raw, bytes))),
        decoder("view of an ommer", |bytes| told(views::ommer_json(bytes))),
        decoder("view of a transaction", move |bytes| {
            told(views::transaction_json(&header, &packed(&[bytes]), &[7; 20], 0))
        }),
        decoder("view of a block", move |bytes| {
            let attached = views::Attached { ommers: bytes, withdrawals: &[] };
            told(views::block_json(&for_block, &packed(&[bytes]), &[7; 20], &[7; 32], attached, true))
        }),
        decoder("bloom", |bytes| {
            told(views::Filter::read(&[7; 20], &[]).and_then(|filter| filter.may_match_bytes(bytes)))
        }),
        decoder("log filter", |bytes| told(views::Filter::read(bytes, &[bytes]))),
        decoder("records of the pool", |bytes| told(txpool::read_accounts(&[7; 20], bytes))),
        decoder("signers' bitmap", |bytes| told(bls::signers_of(bytes, 4))),
        decoder("group signature", |bytes| {
            let key = bls::public_key(&bls::secret_key(&[7; 32]).expect("a seed")).expect("a key");
            holds(bls::verify(&key, b"message", bytes))
        }),
        decoder("signatures to aggregate", |bytes| told(bls::aggregate(&[bytes, bytes]))),
        decoder("keys of validators", |bytes| told(bls::ValidatorKeys::new(&[bytes, bytes]))),
        decoder("proof of possession", |bytes| holds(bls::verify_possession(bytes, bytes))),
    ]
}

/// A test file of one kind; a case that fails is an error, too.
fn test_file(kind: Kind, bytes: &[u8]) -> Result<(), String> {
    let cases = conformance::run(kind, "name", bytes, &Options::default()).map_err(text)?;
    let failed = cases.into_iter().find_map(|case| match case.outcome {
        Outcome::Failed(error) => Some(error),
        Outcome::Passed | Outcome::Skipped(_) => None,
    });
    failed.map_or(Ok(()), Err)
}

fn transits(alloc: &[u8], env: &[u8], txs: &[u8]) -> Result<(), String> {
    told(transition(&Transition { alloc, env, txs, fork: "Cancun", chain_id: 1, reward: None, trace: None }))
}

pub fn of_json() -> Vec<Decoder> {
    vec![
        decoder("chain spec", |bytes| told(Spec::parse(bytes))),
        decoder("state overrides", |bytes| told(StateOverrides::parse(bytes))),
        decoder("block overrides", |bytes| told(BlockOverrides::apply(bytes, &mut BlockEnv::default()))),
        decoder("trace configuration", |bytes| told(Tracer::parse(bytes))),
        decoder("simulation", |bytes| told(simulate::Options::parse(bytes))),
        decoder("state test", |bytes| test_file(Kind::State, bytes)),
        decoder("block test", |bytes| test_file(Kind::Block, bytes)),
        decoder("transaction test", |bytes| test_file(Kind::Transaction, bytes)),
        decoder("RLP test", |bytes| test_file(Kind::Rlp, bytes)),
        decoder("trie test", |bytes| test_file(Kind::Trie, bytes)),
        decoder("difficulty test", |bytes| test_file(Kind::Difficulty, bytes)),
        decoder("base fee test", |bytes| test_file(Kind::BaseFee, bytes)),
        decoder("precompile test", |bytes| test_file(Kind::Precompile, bytes)),
        decoder("t8n: alloc", |bytes| transits(bytes, inputs::T8N_ENV.as_bytes(), b"[]")),
        decoder("t8n: env", |bytes| transits(b"{}", bytes, b"[]")),
        decoder("t8n: txs", |bytes| transits(b"{}", inputs::T8N_ENV.as_bytes(), bytes)),
        decoder("run: prestate", |bytes| {
            told(run_code(&RunRequest {
                prestate: bytes.to_vec(),
                fork: "Cancun".to_owned(),
                code: vec![0x60, 0x00, 0x54].into(),
                input: vec![].into(),
                gas: 100_000,
                price: 0,
                value: U256::ZERO,
                sender: Address::ZERO,
                receiver: Address::repeat_byte(1),
                create: false,
                trace: None,
            }))
        }),
    ]
}

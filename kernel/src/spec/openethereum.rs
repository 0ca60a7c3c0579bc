//! Parity's chain specifications: `engine`, `params`, `genesis`, `accounts`, as `OpenEthereum` and
//! Nethermind have them.
//!
//! Forks are given EIP by EIP; the one that tells a fork from the one before stands for all of it.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, U256};
use serde_json::{Map, Value};

use super::genesis::{Alloc, Genesis, Seal, parse_account};
use super::pow::{Engine, Pow};
use super::schedule::{BLOB_SCHEDULE, blob_rules};
use super::{BlobRules, Fork, MAX_CODE_SIZE, Rules, Spec, VmRules, json};
use crate::error::{InputError, InputResult};
use crate::evm::genesis::construct;

/// Keys of `params` that stand for forks by block number, and whether a missing one means block 0.
const BY_NUMBER: [(Fork, &[&str], bool); 8] = [
    (Fork::TangerineWhistle, &["eip150Transition"], true),
    (Fork::SpuriousDragon, &["eip161abcTransition", "eip158Transition", "eip160Transition", "eip155Transition"], true),
    (Fork::Byzantium, &["eip140Transition", "eip658Transition"], false),
    (Fork::Constantinople, &["eip145Transition", "eip1014Transition", "eip1052Transition"], false),
    (Fork::Petersburg, &["eip1283DisableTransition"], false),
    (Fork::Istanbul, &["eip1884Transition", "eip1344Transition", "eip2028Transition"], false),
    (Fork::Berlin, &["eip2929Transition", "eip2930Transition"], false),
    (Fork::London, &["eip1559Transition"], false),
];

/// The same by timestamp.
const BY_TIME: [(Fork, &str); 4] = [
    (Fork::Shanghai, "eip4895TransitionTimestamp"),
    (Fork::Cancun, "eip4844TransitionTimestamp"),
    (Fork::Prague, "eip7702TransitionTimestamp"),
    (Fork::Osaka, "eip7825TransitionTimestamp"),
];

/// Transition numbers beyond this mean never.
const NEVER: U256 = U256::from_limbs([1 << 48, 0, 0, 0]);

/// Whether a file is of this kind.
pub(super) fn is_one(root: &Map<String, Value>) -> bool {
    root.contains_key("engine") && root.contains_key("params") && root.contains_key("genesis")
}

/// Rules and first block of such a file.
pub(super) fn parse(root: &Map<String, Value>) -> InputResult<Spec> {
    let section = |key: &str| json::object(key, json::member(root, key).unwrap_or(&Value::Null));
    let (params, genesis) = (section("params")?, section("genesis")?);
    let (name, engine) = engine(section("engine")?)?;
    let chain_id = json::member(params, "chainID")
        .or_else(|| json::member(params, "networkID"))
        .ok_or_else(|| InputError::new("params.networkID", "a chain or network id", "nothing"))
        .and_then(|value| json::u64("params.networkID", value))?;
    let (accounts, constructors) = accounts(section("accounts")?)?;
    let pow = pow(name, &engine, json::member(params, "terminalTotalDifficulty"))?;
    let by_time = by_time(params)?;
    let rules = |genesis| -> InputResult<Spec> {
        Ok(Spec(std::sync::Arc::new(Rules {
            chain_id,
            by_number: by_number(params, &engine, &pow)?,
            by_time: by_time.clone(),
            blobs: blobs(params, &by_time)?,
            pow: pow.clone(),
            zero_base_fee: false,
            max_code_size: match json::member(params, "maxCodeSize") {
                Some(value) => usize::try_from(json::u64("params.maxCodeSize", value)?).unwrap_or(MAX_CODE_SIZE),
                None => MAX_CODE_SIZE,
            },
            hansa: false,
            deposit_contract: match json::member(params, "depositContractAddress") {
                Some(Value::String(text)) => Some(json::address("params.depositContractAddress", text)?),
                _ => None,
            },
            vm: VmRules::default(),
            genesis,
        })))
    };
    let first = Genesis::of_open_ethereum(genesis, seal(genesis)?, accounts)?;
    let spec = rules(first.clone())?;
    if constructors.is_empty() {
        return Ok(spec);
    }
    // Contracts of the first block are made by their constructors, in the order of their addresses.
    let mut alloc = first.alloc().clone();
    let env = first.env(&spec);
    // Their caller is the zero address, which that leaves behind as an empty account.
    alloc.entry(Address::ZERO).or_default();
    for (address, code) in constructors {
        construct(&spec, &env, &mut alloc, address, &code)?;
    }
    rules(first.with_alloc(alloc))
}

/// Name and parameters of the only member of `engine`.
fn engine(object: &Map<String, Value>) -> InputResult<(&str, Map<String, Value>)> {
    let mut members = object.iter();
    let (Some((name, value)), None) = (members.next(), members.next()) else {
        return Err(InputError::new("engine", "one engine", object.len()));
    };
    let params = value.get("params").and_then(Value::as_object).cloned().unwrap_or_default();
    Ok((name, params))
}

/// A block number, None where it lies beyond any chain.
fn transition(field: &str, value: &Value) -> InputResult<Option<u64>> {
    let number = json::u256(field, value)?;
    Ok((number < NEVER).then(|| number.saturating_to()))
}

fn by_number(params: &Map<String, Value>, engine: &Map<String, Value>, pow: &Pow) -> InputResult<Vec<(u64, Fork)>> {
    let homestead = match json::member(engine, "homesteadTransition") {
        Some(value) => transition("engine.homesteadTransition", value)?,
        None => Some(0),
    };
    let mut forks: Vec<(u64, Fork)> = homestead.map(|first| (first, Fork::Homestead)).into_iter().collect();
    for (fork, keys, from_the_start) in BY_NUMBER {
        let found = keys.iter().find_map(|key| json::member(params, key).map(|value| (key, value)));
        let first = match found {
            Some((key, value)) => transition(&format!("params.{key}"), value)?,
            None => from_the_start.then_some(0),
        };
        // Without EIP-1283 Constantinople's other rules are Petersburg's.
        let without_1283 = fork == Fork::Constantinople && json::member(params, "eip1283Transition").is_none();
        if let Some(first) = first {
            forks.push((first, if without_1283 { Fork::Petersburg } else { fork }));
        }
    }
    if pow.terminal_total_difficulty.is_some_and(|terminal| terminal.is_zero()) {
        let london = forks.iter().find(|(_, fork)| *fork == Fork::London).map(|(first, _)| *first);
        forks.extend(london.map(|first| (first, Fork::Paris)));
    }
    Ok(forks)
}

fn by_time(params: &Map<String, Value>) -> InputResult<Vec<(u64, Fork)>> {
    let mut forks = Vec::new();
    for (fork, key) in BY_TIME {
        if let Some(value) = json::member(params, key)
            && let Some(first) = transition(&format!("params.{key}"), value)?
        {
            forks.push((first, fork));
        }
    }
    Ok(forks)
}

fn blobs(params: &Map<String, Value>, by_time: &[(u64, Fork)]) -> InputResult<Vec<(u64, BlobRules)>> {
    let mut blobs = Vec::new();
    // Nethermind gives the schedule as a list of timestamps; geth's names are looked for as well.
    if let Some(Value::Array(entries)) = json::member(params, "blobSchedule") {
        for entry in entries {
            let entry = json::object("params.blobSchedule", entry)?;
            let number = |key: &str| {
                let field = format!("params.blobSchedule.{key}");
                let value = json::member(entry, key).ok_or_else(|| InputError::new(&field, "a number", "nothing"))?;
                json::u64(&field, value)
            };
            let rules = BlobRules {
                target: number("target")?,
                max: number("max")?,
                update_fraction: number("baseFeeUpdateFraction")?.max(1),
            };
            blobs.push((number("timestamp")?, rules));
        }
    }
    let no_list = Map::new();
    let names = if blobs.is_empty() { params } else { &no_list };
    for (fork, (_, name, defaults)) in [Fork::Cancun, Fork::Prague, Fork::Osaka].into_iter().zip(BLOB_SCHEDULE) {
        if let Some((first, _)) = by_time.iter().find(|(_, other)| *other == fork)
            && !blobs.iter().any(|(time, _)| time == first)
        {
            let given = if names.is_empty() { None } else { blob_rules(names, name)? };
            blobs.push((*first, given.unwrap_or(defaults)));
        }
    }
    blobs.sort_by_key(|(first, _)| *first);
    Ok(blobs)
}

fn pow(name: &str, engine: &Map<String, Value>, terminal: Option<&Value>) -> InputResult<Pow> {
    let mut pow = Pow {
        engine: match name.to_ascii_lowercase().as_str() {
            "ethash" | "null" => Engine::Ethash,
            "clique" => Engine::Clique,
            "authorityround" | "basicauthority" | "instantseal" => Engine::Authority,
            _ => return Err(InputError::new("engine", "Ethash, clique, authorityRound, basicAuthority", name)),
        },
        terminal_total_difficulty: terminal
            .map(|value| json::u256("params.terminalTotalDifficulty", value))
            .transpose()?,
        ..Pow::default()
    };
    if let Some(value) = json::member(engine, "blockReward") {
        pow.rewards =
            steps("engine.blockReward", value)?.into_iter().filter_map(|(first, wei)| Some((first?, wei))).collect();
    }
    if let Some(value) = json::member(engine, "difficultyBombDelays") {
        // Each entry adds to those before.
        let mut sum = 0u64;
        for (first, delay) in steps("engine.difficultyBombDelays", value)? {
            sum = sum.saturating_add(delay.saturating_to());
            pow.bomb_delays.extend(first.map(|first| (first, sum)));
        }
    }
    if let Some(value) = json::member(engine, "daoHardforkTransition") {
        pow.dao_block = transition("engine.daoHardforkTransition", value)?;
    }
    pow.contract_rewards = ["blockRewardContractAddress", "blockRewardContractCode", "blockRewardContractTransitions"]
        .iter()
        .any(|key| json::member(engine, key).is_some());
    Ok(pow)
}

/// A number, or an object of numbers by block; ascending.
fn steps(field: &str, value: &Value) -> InputResult<Vec<(Option<u64>, U256)>> {
    let Some(object) = value.as_object() else {
        return Ok(vec![(Some(0), json::u256(field, value)?)]);
    };
    let mut steps = Vec::new();
    for (first, value) in object {
        steps.push((transition(field, &Value::String(first.clone()))?, json::u256(field, value)?));
    }
    steps.sort_by_key(|(first, _)| first.unwrap_or(u64::MAX));
    Ok(steps)
}

fn seal(genesis: &Map<String, Value>) -> InputResult<Seal> {
    let seal = json::object("genesis.seal", json::member(genesis, "seal").unwrap_or(&Value::Null))?;
    if let Some(ethereum) = json::member(seal, "ethereum") {
        let ethereum = json::object("genesis.seal.ethereum", ethereum)?;
        let mix_hash = match json::member(ethereum, "mixHash") {
            Some(Value::String(text)) => json::word("genesis.seal.ethereum.mixHash", text)?,
            _ => return Err(InputError::new("genesis.seal.ethereum.mixHash", "32 bytes of hex", "nothing")),
        };
        let nonce = json::member(ethereum, "nonce").unwrap_or(&Value::Null);
        return Ok(Seal::Ethereum(mix_hash, json::u64("genesis.seal.ethereum.nonce", nonce)?));
    }
    if let Some(aura) = json::member(seal, "authorityRound") {
        let aura = json::object("genesis.seal.authorityRound", aura)?;
        let step = json::member(aura, "step").unwrap_or(&Value::Null);
        let step = json::u64("genesis.seal.authorityRound.step", step)?;
        let signature = json::member(aura, "signature").unwrap_or(&Value::Null);
        let signature = json::bytes("genesis.seal.authorityRound.signature", signature)?;
        return Ok(Seal::Fields([alloy_rlp::encode(step), alloy_rlp::encode(&signature)].concat()));
    }
    let generic = json::member(seal, "generic").unwrap_or(&Value::Null);
    let rlp = json::bytes("genesis.seal.generic", generic)?;
    let fields = alloy_rlp::Header::decode_bytes(&mut &rlp[..], true)
        .map_err(|error| InputError::new("genesis.seal.generic", "the RLP list of seal fields", error))?;
    Ok(Seal::Fields(fields.to_vec()))
}

type Accounts = (BTreeMap<Address, Alloc>, BTreeMap<Address, Bytes>);

/// Accounts with any field of a state, and constructors. A builtin alone is no account.
fn accounts(object: &Map<String, Value>) -> InputResult<Accounts> {
    let (mut accounts, mut constructors) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in object {
        let address = json::address("accounts", key)?;
        let entry = json::object(&format!("accounts.{key}"), value)?;
        if let Some(code) = json::member(entry, "constructor") {
            constructors.insert(address, json::bytes(&format!("accounts.{key}.constructor"), code)?);
        }
        if ["balance", "wei", "nonce", "code", "storage"].iter().any(|field| json::member(entry, field).is_some()) {
            accounts.insert(address, parse_account(key, value)?);
        }
    }
    Ok((accounts, constructors))
}

//! When which fork begins: geth's and Besu's keys in `config`.

use alloy_primitives::U256;
use serde_json::{Map, Value};

use super::pow::{BOMB_DELAYS, Engine, Pow, REWARDS};
use super::{BlobRules, Fork, json};
use crate::error::{InputError, InputResult};

/// Forks that begin at a block number, by their keys in `config`, with the other spelling of Besu's files.
const BY_NUMBER: [(&str, Option<&str>, Fork); 9] = [
    ("homesteadBlock", None, Fork::Homestead),
    ("eip150Block", None, Fork::TangerineWhistle),
    ("eip158Block", Some("eip155Block"), Fork::SpuriousDragon),
    ("byzantiumBlock", None, Fork::Byzantium),
    ("constantinopleBlock", None, Fork::Constantinople),
    ("petersburgBlock", Some("constantinopleFixBlock"), Fork::Petersburg),
    ("istanbulBlock", None, Fork::Istanbul),
    ("berlinBlock", None, Fork::Berlin),
    ("londonBlock", None, Fork::London),
];

/// Forks that begin at a timestamp.
pub(super) const BY_TIME: [(&str, Fork); 5] = [
    ("shanghaiTime", Fork::Shanghai),
    ("cancunTime", Fork::Cancun),
    ("pragueTime", Fork::Prague),
    ("osakaTime", Fork::Osaka),
    (AMSTERDAM, Fork::Amsterdam),
];

/// Key of the fork that is not released: only in files with `config.hansa`, since headers of other chains have fields from
/// then on that this kernel does not know.
const AMSTERDAM: &str = "amsterdamTime";

/// Names of forks that are no released fork of Ethereum's main network, and what they are.
const UNKNOWN_FORKS: [(&str, &str); 11] = [
    ("futureEipsTime", "Besu's future EIPs"),
    ("experimentalEipsTime", "Besu's experimental EIPs"),
    ("verkleTime", "Verkle"),
    ("classicForkBlock", "Ethereum Classic"),
    ("ecip1015Block", "Ethereum Classic"),
    ("dieHardBlock", "Ethereum Classic"),
    ("gothamBlock", "Ethereum Classic"),
    ("atlantisBlock", "Ethereum Classic"),
    ("aghartaBlock", "Ethereum Classic"),
    ("phoenixBlock", "Ethereum Classic"),
    ("thanosBlock", "Ethereum Classic"),
];

/// Blob schedule entries: key in `config`, key in `config.blobSchedule`, defaults (target, max, update fraction). BPO1
/// and BPO2 are those of EIP-7892's main network schedule; the later ones have no default there.
pub(super) const BLOB_SCHEDULE: [(&str, &str, BlobRules); 8] = [
    ("cancunTime", "cancun", BlobRules { target: 3, max: 6, update_fraction: 3_338_477 }),
    ("pragueTime", "prague", BlobRules { target: 6, max: 9, update_fraction: 5_007_716 }),
    ("osakaTime", "osaka", BlobRules { target: 6, max: 9, update_fraction: 5_007_716 }),
    ("bpo1Time", "bpo1", BlobRules { target: 10, max: 15, update_fraction: 8_346_193 }),
    ("bpo2Time", "bpo2", BlobRules { target: 14, max: 21, update_fraction: 11_684_671 }),
    ("bpo3Time", "bpo3", BlobRules { target: 21, max: 32, update_fraction: 20_609_697 }),
    ("bpo4Time", "bpo4", BlobRules { target: 14, max: 21, update_fraction: 13_739_630 }),
    ("bpo5Time", "bpo5", BlobRules { target: 14, max: 21, update_fraction: 13_739_630 }),
];

/// Engines that keep signers by rules of their own, by their keys in `config` (Besu's and Quorum's).
const AUTHORITY_ENGINES: [&str; 6] = ["ibft", "ibft2", "qbft", "istanbul", "raft", "isQuorum"];

/// The first block or timestamp of `key`, if it is set.
pub(super) fn activation(config: &Map<String, Value>, key: &str) -> InputResult<Option<u64>> {
    json::member(config, key).map(|value| json::u64(&format!("config.{key}"), value)).transpose()
}

/// Refuse files with forks that this kernel does not have, naming the key.
pub(super) fn refuse_unknown_forks(config: &Map<String, Value>) -> InputResult<()> {
    let amsterdam = (AMSTERDAM, "Amsterdam");
    for (key, name) in UNKNOWN_FORKS.into_iter().chain([amsterdam]) {
        let experiment = key == AMSTERDAM && json::member(config, "hansa").is_some();
        if json::member(config, key).is_some() && !experiment {
            return Err(InputError::new(format!("config.{key}"), "no fork after Osaka or of another network", name));
        }
    }
    Ok(())
}

/// (first block, fork), ascending.
pub(super) fn forks_by_number(config: &Map<String, Value>, terminal: Option<U256>) -> InputResult<Vec<(u64, Fork)>> {
    let mut forks = Vec::new();
    for (key, other, fork) in BY_NUMBER {
        let mut first = activation(config, key)?;
        if let (None, Some(other)) = (first, other) {
            first = activation(config, other)?;
        }
        if let Some(first) = first {
            forks.push((first, fork));
        }
    }
    // The merge happens by total difficulty, which a header does not carry. Where it is not 0, blocks without difficulty
    // are those after it (`BlockEnv::fork`); a netsplit block names one by which it has happened.
    let london = forks.iter().find(|(_, fork)| *fork == Fork::London).map(|(first, _)| *first);
    if let Some(london) = london {
        if terminal.is_some_and(|terminal| terminal.is_zero()) {
            forks.push((london, Fork::Paris));
        } else {
            for key in ["mergeNetsplitBlock", "preMergeForkBlock"] {
                if let Some(first) = activation(config, key)? {
                    forks.push((first.max(london), Fork::Paris));
                    break;
                }
            }
        }
    }
    // geth's rule: a later fork may not begin before an earlier one.
    if let Some(pair) = forks.windows(2).find(|pair| pair[0].0 > pair[1].0) {
        return Err(InputError::new(
            "config",
            format!("{} not before {}", pair[1].1.name(), pair[0].1.name()),
            format!("blocks {} and {}", pair[1].0, pair[0].0),
        ));
    }
    Ok(forks)
}

/// (first timestamp, fork), ascending. With `complete`, as in a consortium's file, no fork may be left out.
pub(super) fn forks_by_time(config: &Map<String, Value>, complete: bool) -> InputResult<Vec<(u64, Fork)>> {
    let mut forks: Vec<(u64, Fork)> = Vec::new();
    let mut missing = None;
    for (key, fork) in BY_TIME {
        let Some(first) = activation(config, key)? else {
            missing = Some(key);
            continue;
        };
        if let Some(missing) = missing
            && complete
        {
            return Err(InputError::new(format!("config.{missing}"), format!("a time, since {key} is set"), "nothing"));
        }
        if forks.last().is_some_and(|(last, _)| *last > first) {
            return Err(InputError::new(format!("config.{key}"), "a time not before the previous fork's", first));
        }
        forks.push((first, fork));
    }
    Ok(forks)
}

/// (first timestamp, rules), ascending.
pub(super) fn blob_schedule(config: &Map<String, Value>) -> InputResult<Vec<(u64, BlobRules)>> {
    let mut entries = Vec::new();
    for (time_key, name, defaults) in BLOB_SCHEDULE {
        let Some(first) = activation(config, time_key)? else { continue };
        entries.push((first, blob_rules(config, name)?.unwrap_or(defaults)));
    }
    entries.sort_by_key(|(first, _)| *first);
    Ok(entries)
}

/// The entry called `name` of `config.blobSchedule`, if there is one.
pub(super) fn blob_rules(config: &Map<String, Value>, name: &str) -> InputResult<Option<BlobRules>> {
    let Some(schedule) = json::member(config, "blobSchedule") else { return Ok(None) };
    let Some(value) = json::member(json::object("config.blobSchedule", schedule)?, name) else { return Ok(None) };
    let field = format!("config.blobSchedule.{name}");
    let entry = json::object(&field, value)?;
    let number = |key: &str| {
        json::member(entry, key)
            .ok_or_else(|| InputError::new(format!("{field}.{key}"), "a number", "nothing"))
            .and_then(|value| json::u64(&format!("{field}.{key}"), value))
    };
    let rules =
        BlobRules { target: number("target")?, max: number("max")?, update_fraction: number("baseFeeUpdateFraction")? };
    if rules.update_fraction == 0 {
        return Err(InputError::new(format!("{field}.baseFeeUpdateFraction"), "above 0", 0));
    }
    Ok(Some(rules))
}

/// Total difficulty after which proof of stake begins. geth writes it as a number beyond 2^64 that JSON readers in
/// general cannot hold; whatever has passed it at genesis is written as 0.
pub(super) fn terminal_total_difficulty(config: &Map<String, Value>) -> InputResult<Option<U256>> {
    json::member(config, "terminalTotalDifficulty")
        .map(|value| json::u256("config.terminalTotalDifficulty", value))
        .transpose()
}

/// Rules of blocks before the merge.
pub(super) fn pow(
    config: &Map<String, Value>,
    chain_id: u64,
    terminal: Option<U256>,
    by_number: &[(u64, Fork)],
) -> InputResult<Pow> {
    let engine = match () {
        () if json::member(config, "clique").is_some() => Engine::Clique,
        () if AUTHORITY_ENGINES.iter().any(|key| json::member(config, key).is_some()) => Engine::Authority,
        () => Engine::Ethash,
    };
    let mut pow =
        Pow { engine, dao_block: dao_block(config, chain_id)?, terminal_total_difficulty: terminal, ..Pow::default() };
    // A later fork brings what the earlier ones did: Besu's files may name it alone.
    let began = |wanted| by_number.iter().filter(|(_, fork)| *fork >= wanted).map(|(first, _)| *first).min();
    for (key, delay) in BOMB_DELAYS {
        let first = match key {
            "byzantiumBlock" => began(Fork::Byzantium),
            "constantinopleBlock" => began(Fork::Constantinople),
            "londonBlock" => began(Fork::London),
            glacier => activation(config, glacier)?,
        };
        pow.bomb_delays.extend(first.map(|first| (first, delay)));
    }
    match engine {
        Engine::Ethash => {
            pow.rewards = rewards(began(Fork::Byzantium), began(Fork::Constantinople));
            if let Some(ethash) = json::member(config, "ethash").and_then(Value::as_object)
                // Besu reads keys in any case, and its own files have both.
                && let Some(fixed) =
                    json::member(ethash, "fixedDifficulty").or_else(|| json::member(ethash, "fixeddifficulty"))
            {
                pow.fixed_difficulty = Some(json::u256("config.ethash.fixedDifficulty", fixed)?);
            }
        }
        Engine::Clique => {}
        Engine::Authority => {
            for key in ["qbft", "ibft2"] {
                let Some(part) = json::member(config, key).and_then(Value::as_object) else { continue };
                if let Some(reward) = json::member(part, "blockReward") {
                    pow.rewards = vec![(0, json::u256(&format!("config.{key}.blockReward"), reward)?)];
                }
                if let Some(Value::String(to)) = json::member(part, "miningBeneficiary") {
                    pow.reward_to = Some(json::address(&format!("config.{key}.miningBeneficiary"), to)?);
                }
            }
        }
    }
    Ok(pow)
}

/// Ethereum's rewards, given when Byzantium and Constantinople begin.
pub(super) fn rewards(byzantium: Option<u64>, constantinople: Option<u64>) -> Vec<(u64, U256)> {
    let firsts = [Some(0), byzantium, constantinople];
    let mut rewards: Vec<(u64, U256)> = Vec::new();
    for (first, (_, wei)) in firsts.into_iter().zip(REWARDS) {
        if let Some(first) = first {
            rewards.push((first, U256::from(wei)));
        }
    }
    rewards
}

/// geth says with `daoForkSupport` whether a chain made the change; Besu's files of main network leave it out.
fn dao_block(config: &Map<String, Value>, chain_id: u64) -> InputResult<Option<u64>> {
    let first = activation(config, "daoForkBlock")?;
    let support = match json::member(config, "daoForkSupport") {
        None => chain_id == 1,
        Some(Value::Bool(support)) => *support,
        Some(other) => return Err(InputError::new("config.daoForkSupport", "true or false", other)),
    };
    Ok(first.filter(|_| support))
}

//! Chains of the public tests by name: one fork from block 0 on, or a change from one to another.

use alloy_primitives::U256;
use serde_json::{Map, Value};

use super::pow::Pow;
use super::schedule::{BLOB_SCHEDULE, blob_rules, rewards};
use super::{BlobRules, FORKS, Fork, Spec};
use crate::error::{InputError, InputResult};

/// One side of a change: the rules that begin there.
#[derive(Debug, Clone, Copy)]
struct Stage {
    fork: Fork,
    /// Blob-parameter-only forks after Osaka (EIP-7892).
    blob_forks: usize,
    /// Blocks by which the bomb is late, where a glacier says so.
    delay: u64,
    dao: bool,
}

/// When the second stage of a change begins.
#[derive(Debug, Clone, Copy)]
enum Change {
    Block(u64),
    Time(u64),
    Difficulty(U256),
}

impl Stage {
    fn parse(name: &str) -> Option<Self> {
        let stage = |fork, blob_forks, delay| Some(Self { fork, blob_forks, delay, dao: false });
        match name {
            "Dao" => Some(Self { fork: Fork::Homestead, blob_forks: 0, delay: 0, dao: true }),
            "MuirGlacier" => stage(Fork::Istanbul, 0, 9_000_000),
            "ArrowGlacier" => stage(Fork::London, 0, 10_700_000),
            "GrayGlacier" => stage(Fork::London, 0, 11_400_000),
            _ => {
                if let Some(number) = name.strip_prefix("BPO").and_then(|text| text.parse().ok()) {
                    return (1..=5).contains(&number).then_some(()).and_then(|()| stage(Fork::Osaka, number, 0));
                }
                let fork = Fork::from_name(name)?;
                let delays = [
                    (Fork::London, 9_700_000),
                    (Fork::Berlin, 9_000_000),
                    (Fork::Constantinople, 5_000_000),
                    (Fork::Byzantium, 3_000_000),
                ];
                let delay = delays.iter().find(|(first, _)| *first <= fork).map_or(0, |(_, delay)| *delay);
                stage(fork, 0, delay)
            }
        }
    }
}

fn parse(name: &str) -> Option<(Stage, Option<(Stage, Change)>)> {
    if let Some(stage) = Stage::parse(name) {
        return Some((stage, None));
    }
    let (from, rest) = name.split_once("To")?;
    let (to, at) = rest.rsplit_once("At")?;
    let change = if let Some(time) = at.strip_prefix("Time") {
        let thousands: u64 = time.strip_suffix('k')?.parse().ok()?;
        Change::Time(thousands.checked_mul(1_000)?)
    } else if let Some(difficulty) = at.strip_prefix("Diff") {
        Change::Difficulty(U256::from_str_radix(difficulty, 16).ok()?)
    } else {
        Change::Block(at.parse().ok()?)
    };
    Some((Stage::parse(from)?, Some((Stage::parse(to)?, change))))
}

impl Spec {
    /// Rules of a network of the public tests, such as `Osaka`, `BerlinToLondonAt5`, `ParisToShanghaiAtTime15k`,
    /// `ArrowGlacierToParisAtDiffC0000`. `config` may hold the blob schedule of the test.
    ///
    /// # Errors
    /// Names `network` when there is none of that name, or the part of the blob schedule that is malformed.
    pub fn of_network(name: &str, chain_id: u64, config: Option<&Map<String, Value>>) -> InputResult<Self> {
        let (first, change) = parse(name).ok_or_else(|| InputError::new("network", "a network's name", name))?;
        let (mut by_number, mut by_time) = (Vec::new(), Vec::new());
        for fork in FORKS.into_iter().skip(1).chain([Fork::Amsterdam]) {
            let second = change.filter(|(stage, _)| fork > first.fork && fork <= stage.fork).map(|(_, change)| change);
            match (fork <= first.fork, second) {
                (true, _) if fork <= Fork::Paris => by_number.push((0, fork)),
                (true, _) => by_time.push((0, fork)),
                (false, Some(Change::Block(block))) => by_number.push((block, fork)),
                (false, Some(Change::Time(time))) => by_time.push((time, fork)),
                (false, _) => {}
            }
        }
        let mut pow = Pow { bomb_delays: vec![(0, first.delay)], ..Pow::default() };
        if let Some((second, Change::Block(block))) = change {
            pow.bomb_delays.push((block, second.delay));
            pow.dao_block = second.dao.then_some(block);
        }
        pow.terminal_total_difficulty = match change {
            Some((_, Change::Difficulty(terminal))) => Some(terminal),
            _ if first.fork >= Fork::Paris => Some(U256::ZERO),
            _ => None,
        };
        let began = |wanted| by_number.iter().find(|(_, fork)| *fork == wanted).map(|(block, _)| *block);
        pow.rewards = rewards(began(Fork::Byzantium), began(Fork::Constantinople));
        let blobs = blobs(first, change, config.unwrap_or(&Map::new()))?;
        Ok(Self::of_parts(chain_id, by_number, by_time, blobs, pow))
    }

    /// Every fork up to `fork` from block 0 on: for the public tests.
    ///
    /// # Panics
    /// Never: every fork is a network.
    #[must_use]
    pub fn of_fork(fork: Fork, chain_id: u64) -> Self {
        Self::of_network(fork.name(), chain_id, None).expect("every fork is a network")
    }
}

fn blobs(
    first: Stage,
    change: Option<(Stage, Change)>,
    config: &Map<String, Value>,
) -> InputResult<Vec<(u64, BlobRules)>> {
    // How many entries of the schedule a stage has.
    let entries = |stage: Stage| match stage.fork {
        Fork::Osaka | Fork::Amsterdam => 3 + stage.blob_forks,
        Fork::Prague => 2,
        Fork::Cancun => 1,
        _ => 0,
    };
    let at_once = entries(first);
    let (last, time) = match change {
        Some((second, Change::Time(time))) => (entries(second), time),
        _ => (at_once, 0),
    };
    let mut rules = Vec::new();
    for (index, (_, name, defaults)) in BLOB_SCHEDULE.into_iter().enumerate().take(last) {
        rules.push((if index < at_once { 0 } else { time }, blob_rules(config, name)?.unwrap_or(defaults)));
    }
    Ok(rules)
}

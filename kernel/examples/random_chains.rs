//! Random blocks as a file of Ethereum's `blockchain_test` format: what other implementations replay to be compared.
//!
//! ```sh
//! cargo run --profile kernel-dev --example random_chains -- BLOCKS SEED > chains.json
//! ```
//!
//! Chains of four blocks each, on every fork, the same for the same seed.

use std::io::Write;
use std::process::ExitCode;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[path = "../tests/random/mod.rs"]
mod random;

const BLOCKS_PER_CHAIN: u64 = 4;

fn main() -> ExitCode {
    let arguments: Vec<u64> = std::env::args().skip(1).map_while(|text| text.parse().ok()).collect();
    let &[blocks, seed] = arguments.as_slice() else {
        eprintln!("usage: random_chains BLOCKS SEED");
        return ExitCode::from(2);
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let mut source = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let strategy = random::chain::chain_plan();
    let mut cases = serde_json::Map::new();
    for number in 0..blocks.div_ceil(BLOCKS_PER_CHAIN) {
        let plan = strategy.new_tree(&mut source).expect("a chain").current();
        cases.insert(format!("random-{seed}-{number:04}"), random::chain::case(&plan));
    }
    match writeln!(std::io::stdout(), "{}", serde_json::Value::Object(cases)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

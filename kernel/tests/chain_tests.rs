//! Small public chains of other clients: every block is taken from their files, by header, ommers and execution.
//!
//! Without the data (`vectors`) a test says that it is skipped and passes.

mod vectors;

use std::fs;
use std::path::Path;

use alloy_primitives::B256;
use hansa_kernel::conformance::chain::TestChain;
use hansa_kernel::conformance::full_state::FullState;
use hansa_kernel::exec::schedule::Runner;
use hansa_kernel::spec::Spec;

/// The chain of a genesis file after the blocks of an RLP file, and how many there were.
fn follow(genesis: &Path, blocks: &Path, limit: usize) -> (TestChain, Vec<B256>) {
    let spec = Spec::parse(&fs::read(genesis).expect("genesis file")).expect("a chain spec");
    let state = FullState(spec.genesis().alloc().clone());
    let header = spec.genesis().header(&spec, state.root().expect("a root"));
    let (genesis_hash, genesis_number) = (header.hash, header.inner.number);
    let mut chain = TestChain::new(spec, header, state);
    let bytes = fs::read(blocks).expect("block file");
    let mut rest = bytes.as_slice();
    let mut hashes = vec![genesis_hash];
    while !rest.is_empty() && hashes.len() <= limit {
        let start = rest;
        let header = alloy_rlp::Header::decode(&mut rest).expect("a list");
        let length = start.len() - rest.len() + header.payload_length;
        rest = &start[length..];
        let number = genesis_number + hashes.len() as u64;
        match chain.import(&start[..length], Runner::Auto) {
            Ok(hash) => hashes.push(hash),
            // Some files begin with block 0.
            Err(text) if hashes.len() == 1 && text.starts_with("unknown_parent") => {}
            Err(text) => panic!("{}: block {number}: {text}", blocks.display()),
        }
    }
    (chain, hashes)
}

#[test]
fn a_chain_from_frontier_to_prague_is_followed_to_its_head() {
    let Some(folder) = vectors::folder("chains") else { return };
    let folder = folder.join("chain/geth-ethtest");
    let (chain, hashes) = follow(&folder.join("genesis.json"), &folder.join("chain.rlp"), usize::MAX);
    let head: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("headblock.json")).expect("file")).expect("JSON");
    assert_eq!(hashes.len(), 601);
    assert_eq!(head["hash"].as_str(), Some(chain.head().to_string().as_str()));
}

#[test]
fn a_chain_with_withdrawals_and_one_across_london_are_followed() {
    let Some(folder) = vectors::folder("chains") else { return };
    let folder = folder.join("chain");
    let snap = folder.join("besu-snap");
    let (_, hashes) = follow(&snap.join("snapGenesis.json"), &snap.join("testBlockchain.blocks"), usize::MAX);
    assert!(hashes.len() >= 501, "{} blocks", hashes.len());
    let london = folder.join("besu-fork-london");
    let (_, hashes) =
        follow(&london.join("testLondonGenesis.json"), &london.join("testLondonBlockchain.blocks"), usize::MAX);
    assert!(hashes.len() > 2, "{} blocks", hashes.len());
}

#[test]
fn the_first_blocks_of_main_network_pay_their_rewards() {
    let Some(folder) = vectors::folder("chains") else { return };
    let genesis = folder.join("genesis/eth-clients-mainnet/genesis.json");
    let (_, hashes) = follow(&genesis, &folder.join("blocks/mainnet-first-1000/1000.blocks"), 60);
    assert_eq!(hashes.len(), 61);
}

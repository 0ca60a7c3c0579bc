use alloy_primitives::B256;

use super::*;
use crate::header::Header;

const FORKS_BY_NUMBER: &str = r#""homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,"byzantiumBlock":0,
"constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0"#;

fn spec(config: &str) -> InputResult<Spec> {
    Spec::parse(format!(r#"{{"config":{{"chainId":7,{config}}},"gasLimit":"0x1c9c380"}}"#).as_bytes())
}

fn refused(config: &str) -> String {
    spec(config).expect_err("refused").field
}

fn parent(gas_limit: u64, gas_used: u64, base_fee: u64) -> Header {
    Header::new(alloy_consensus::Header {
        number: 1,
        gas_limit,
        gas_used,
        base_fee_per_gas: Some(base_fee),
        ..Default::default()
    })
}

#[test]
fn forks_begin_at_their_block_or_time() {
    let spec = spec(&format!(
        r#"{FORKS_BY_NUMBER},"terminalTotalDifficulty":0,"shanghaiTime":10,"cancunTime":20,"pragueTime":20,"osakaTime":"0x1e""#
    ))
    .expect("a good spec");
    for (timestamp, name) in [(9, "Paris"), (10, "Shanghai"), (19, "Shanghai"), (20, "Prague"), (30, "Osaka")] {
        assert_eq!(spec.fork(5, timestamp).name(), name);
    }
    assert_eq!(spec.tx_gas_limit_cap(5, 29), None);
    assert_eq!(spec.tx_gas_limit_cap(5, 30), Some(TX_GAS_LIMIT_CAP));
    assert_eq!(spec.blob_rules(19), None);
    assert_eq!(spec.blob_rules(25).map(|rules| rules.max), Some(9));
}

#[test]
fn amsterdam_begins_only_where_a_consortium_s_file_says_so() {
    let times = r#""terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":0"#;
    let experiment =
        spec(&format!(r#"{FORKS_BY_NUMBER},{times},"amsterdamTime":5,"hansa":{{}}"#)).expect("a good spec");
    assert_eq!([4, 5].map(|timestamp| experiment.fork(1, timestamp)), [Fork::Osaka, Fork::Amsterdam]);
    let default = spec(&format!(r#"{FORKS_BY_NUMBER},{times},"hansa":{{}}"#)).expect("a good spec");
    assert_eq!(default.fork(1, u64::MAX), Fork::Osaka);
    assert!(!FORKS.contains(&Fork::Amsterdam));
    assert_eq!(Spec::of_fork(Fork::Amsterdam, 1).fork(1, 1), Fork::Amsterdam);
}

#[test]
fn contradictions_are_refused_by_the_name_of_the_key() {
    assert_eq!(Spec::parse(b"{").expect_err("not JSON").field, "chain_spec");
    assert_eq!(Spec::parse(br#"{"config":{}}"#).expect_err("no id").field, "config.chainId");
    assert_eq!(refused(r#""homesteadBlock":5,"eip150Block":4"#), "config");
    assert_eq!(refused(r#""cancunTime":5,"hansa":{}"#), "config.shanghaiTime");
    assert_eq!(refused(r#""shanghaiTime":5,"cancunTime":4"#), "config.cancunTime");
    assert_eq!(refused(r#""homesteadBlock":-1"#), "config.homesteadBlock");
    assert_eq!(refused(r#""amsterdamTime":1"#), "config.amsterdamTime");
    assert_eq!(refused(r#""hansa":{},"amsterdamTime":1"#), "config.osakaTime");
    assert_eq!(refused(r#""contractSizeLimit":0"#), "config.contractSizeLimit");
    assert_eq!(refused(r#""zeroBaseFee":"yes""#), "config.zeroBaseFee");
    let alloc = br#"{"config":{"chainId":1},"alloc":{"0x01":{}}}"#;
    assert_eq!(Spec::parse(alloc).expect_err("short address").field, "alloc");
}

#[test]
fn the_base_fee_follows_eip_1559() {
    let spec = spec(FORKS_BY_NUMBER).expect("a good spec");
    let next = |used, fee| spec.next_base_fee(&parent(20_000_000, used, fee)).expect("a fee");
    assert_eq!(next(10_000_000, 1_000_000_000), 1_000_000_000);
    assert_eq!(next(20_000_000, 1_000_000_000), 1_125_000_000);
    assert_eq!(next(0, 1_000_000_000), 875_000_000);
    assert_eq!(next(10_000_001, 7), 8);
    assert_eq!(next(0, 7), 7);
    assert_eq!(next(20_000_000, 0), 1);
}

#[test]
fn a_chain_without_base_fee_keeps_it_at_zero() {
    let spec = spec(&format!(r#"{FORKS_BY_NUMBER},"hansa":{{"fees":{{"zeroBaseFee":true}}}}"#)).expect("a good spec");
    assert!(spec.is_hansa() && spec.zero_base_fee());
    assert_eq!(spec.next_base_fee(&parent(20_000_000, 20_000_000, 0)), Ok(0));
}

#[test]
fn the_first_block_of_london_has_the_initial_base_fee() {
    let config = FORKS_BY_NUMBER.replace(r#""londonBlock":0"#, r#""londonBlock":2"#);
    let spec = spec(&config).expect("a good spec");
    assert_eq!(spec.next_base_fee(&parent(20_000_000, 0, 5)), Ok(INITIAL_BASE_FEE));
}

#[test]
fn the_genesis_header_has_the_fields_of_its_forks() {
    let old = spec(r#""homesteadBlock":0"#).expect("a good spec");
    assert_eq!(old.genesis().header(&old, B256::ZERO).inner.base_fee_per_gas, None);
    let new = spec(&format!(
        r#"{FORKS_BY_NUMBER},"terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":0"#
    ))
    .expect("a good spec");
    let header = new.genesis().header(&new, B256::ZERO).inner;
    assert_eq!(header.base_fee_per_gas, Some(INITIAL_BASE_FEE));
    assert!(header.withdrawals_root.is_some() && header.blob_gas_used == Some(0));
    assert!(header.parent_beacon_block_root.is_some() && header.requests_hash.is_some());
}

#[test]
fn a_terminal_total_difficulty_reached_later_keeps_the_forks_before_it() {
    let mainnet = spec(
        r#""homesteadBlock":1150000,"byzantiumBlock":4370000,"petersburgBlock":7280000,"londonBlock":12965000,
        "terminalTotalDifficulty":58750000000000000000000,"terminalTotalDifficultyPassed":true,"shanghaiTime":1681338455"#,
    )
    .expect("a good spec");
    assert_eq!(
        mainnet.terminal_total_difficulty().map(|total| total.to_string()).as_deref(),
        Some("58750000000000000000000")
    );
    assert_eq!(mainnet.fork(0, 0), Fork::Frontier);
    assert_eq!(mainnet.fork(12_965_000, 1_650_000_000), Fork::London);
    assert_eq!(mainnet.fork(17_000_000, 1_681_338_455), Fork::Shanghai);
    // Besu names Petersburg alone; rewards and bomb follow Constantinople.
    assert_eq!(mainnet.block_reward(7_280_000), U256::from(2_000_000_000_000_000_000u64));
    assert_eq!(mainnet.block_reward(4_370_000), U256::from(3_000_000_000_000_000_000u64));
    assert_eq!(mainnet.block_reward(4_369_999), U256::from(5_000_000_000_000_000_000u64));
    let from_the_start = spec(&format!(r#"{FORKS_BY_NUMBER},"terminalTotalDifficulty":"0x0""#)).expect("a good spec");
    assert_eq!(from_the_start.fork(0, 0), Fork::Paris);
}

#[test]
fn spellings_of_besu_and_quorum_are_read() {
    let text =
        br#"{"config":{"chainID":1337,"constantinoplefixblock":0,"qbft":{"blockreward":"5"}},"extradata":"0x01"}"#;
    let spec = Spec::parse(text).expect("a good spec");
    assert_eq!((spec.chain_id(), spec.fork(0, 0), spec.engine()), (1_337, Fork::Petersburg, Engine::Authority));
    assert_eq!(spec.block_reward(1), U256::from(5));
    assert_eq!(spec.genesis().header(&spec, B256::ZERO).inner.extra_data[..], [1]);
    assert_eq!(refused(r#""classicForkBlock":5"#), "config.classicForkBlock");
    assert_eq!(refused(r#""futureEipsTime":5"#), "config.futureEipsTime");
}

#[test]
fn the_dao_fork_is_taken_where_the_file_says_so() {
    assert_eq!(spec(r#""daoForkBlock":5,"daoForkSupport":true"#).expect("good").dao_block(), Some(5));
    assert_eq!(spec(r#""daoForkBlock":5,"daoForkSupport":false"#).expect("good").dao_block(), None);
    assert_eq!(refused(r#""daoForkSupport":"yes""#), "config.daoForkSupport");
}

#[test]
fn an_open_ethereum_file_gives_its_rules() {
    let text = br#"{"name":"x","engine":{"Ethash":{"params":{"homesteadTransition":"0x5","blockReward":{"0":"0x7","9":"0x3"}}}},
    "params":{"networkID":"0x3","eip150Transition":"0x7","eip161abcTransition":"0x8","eip140Transition":"0x9",
    "eip1559Transition":"0x7fffffffffffff"},"genesis":{"seal":{"generic":"0xc180"},"difficulty":"0x1","gasLimit":"0x10"},
    "accounts":{"0000000000000000000000000000000000000001":{"builtin":{}},"00000000000000000000000000000000000000ff":
    {"balance":"1","constructor":"60035f55602a5f5360015ff3"}}}"#;
    let text = String::from_utf8_lossy(text).replace("5f", "6000");
    let spec = Spec::parse(text.as_bytes()).expect("a good spec");
    for (number, name) in [(4, "Frontier"), (5, "Homestead"), (7, "EIP150"), (8, "EIP158"), (9, "Byzantium")] {
        assert_eq!(spec.fork(number, 0).name(), name);
    }
    assert_eq!((spec.block_reward(8), spec.block_reward(9)), (U256::from(7), U256::from(3)));
    // A builtin is no account; a constructor leaves code and storage.
    let alloc: Vec<_> = spec.genesis().alloc().values().cloned().collect();
    assert_eq!((alloc.len(), &alloc[0]), (2, &Alloc::default()), "the caller is an account, too");
    assert_eq!((alloc[1].balance, alloc[1].code.to_vec()), (U256::from(1), vec![0x2a]));
    assert_eq!(alloc[1].storage.get(&U256::ZERO), Some(&U256::from(3)));
    let header = spec.genesis().header(&spec, B256::ZERO);
    assert_eq!(header.rlp.last(), Some(&0x80), "the seal is one empty field");
}

#[test]
fn blob_gas_costs_more_the_more_is_in_excess() {
    let rules = BlobRules { target: 3, max: 6, update_fraction: 3_338_477 };
    assert_eq!(rules.price(0), U256::from(1));
    assert_eq!(rules.price(2_314_057), U256::from(1));
    assert_eq!(rules.price(2_314_058), U256::from(2));
    assert_eq!(rules.price(10 * 1024 * 1024), U256::from(23));
    assert_eq!(rules.price(u64::MAX), U256::from(1u8) << 128);
}

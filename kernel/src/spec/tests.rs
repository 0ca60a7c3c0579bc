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
fn contradictions_are_refused_by_the_name_of_the_key() {
    assert_eq!(Spec::parse(b"{").expect_err("not JSON").field, "chain_spec");
    assert_eq!(Spec::parse(br#"{"config":{}}"#).expect_err("no id").field, "config.chainId");
    assert_eq!(refused(r#""homesteadBlock":5,"eip150Block":4"#), "config");
    assert_eq!(refused(r#""cancunTime":5"#), "config.shanghaiTime");
    assert_eq!(refused(r#""shanghaiTime":5,"cancunTime":4"#), "config.cancunTime");
    assert_eq!(refused(r#""homesteadBlock":-1"#), "config.homesteadBlock");
    assert_eq!(refused(r#""amsterdamTime":1"#), "config.amsterdamTime");
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

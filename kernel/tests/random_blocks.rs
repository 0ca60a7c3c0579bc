//! Random blocks give the same bytes however the state reaches the job: all at once, from a cache that knows a random
//! part, with random hints, with and without advice; built and verified.

mod random;

use std::collections::BTreeSet;

use alloy_primitives::U256;
use hansa_kernel::exec::block_job::{BlockRequest, BlockResult};
use hansa_kernel::exec::need::Keys;
use hansa_kernel::spec::Fork;
use hansa_kernel::tx::{SignRequest, TxRules, decode_transactions, sign_transactions};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use random::{Choices, HEAD, Rules, Runner, batch, cache, plan, request, request_of, without_stats, world};

const RULES: Rules = Rules::Fork(Fork::Osaka);

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_withheld_keys_gives_the_same_bytes(
        plans in proptest::collection::vec(plan(), 1..24),
        seeds in proptest::collection::vec(any::<u64>(), 6),
    ) {
        let world = world();
        let batch = batch(&plans, RULES);
        let mut plain = Runner { world: &world, asked: Keys::default(), advice: true };
        let built = without_stats(plain.run(request(&batch, true)).expect("building never fails"));
        let everything = plain.asked;
        let accepted = batch.select(&built.included).expect("indices of the batch");
        for seed in seeds {
            let mut choices = Choices(seed);
            let mut runner = Runner { world: &world, asked: Keys::default(), advice: choices.yes() };
            let cache = cache(&world, &choices.part(&everything));
            let hints = if choices.yes() { choices.part(&everything).pack() } else { Vec::new() };
            let building = choices.yes();
            let request = BlockRequest {
                cache: cache.view(HEAD),
                hints,
                ..request(if building { &batch } else { &accepted }, building)
            };
            let result = without_stats(runner.run(request).expect("the same block"));
            if building {
                prop_assert_eq!(&result, &built);
            } else {
                let all = (0..accepted.len()).collect();
                prop_assert_eq!(result, BlockResult { included: all, dropped: Vec::new(), ..built.clone() });
            }
        }
        // The proposer's list is all that a validator needs.
        let mut validator = Runner { world: &world, asked: Keys::default(), advice: false };
        let hinted = BlockRequest { hints: built.access_list.clone(), ..request(&accepted, false) };
        let result = validator.run(hinted).expect("the same block");
        prop_assert!(result.stats.rounds <= 1, "{} rounds", result.stats.rounds);
    }
}

#[test]
fn a_transfer_is_logged_by_amsterdam_s_rules_and_no_others() {
    let raw = sign_transactions(&SignRequest {
        chain_id: 1,
        secret_keys: &random::secret(0).secret_bytes(),
        nonces: &[0; 8],
        to: &[0x99; 20],
        values_wei: &U256::ONE.to_be_bytes::<32>(),
        data: &[0; 4],
        gas_limit: 1_000_000,
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
    });
    let world = world();
    for (fork, logged) in [(Fork::Osaka, false), (Fork::Amsterdam, true)] {
        let rules = TxRules::of(&Rules::Fork(fork).spec(), 1_000, 1_000);
        let batch = decode_transactions(raw.as_ref().expect("signed"), &rules).expect("a batch");
        let mut plain = Runner { world: &world, asked: Keys::default(), advice: true };
        let result = plain.run(request_of(&batch, false, fork, random::beneficiary())).expect("a valid block");
        assert_eq!(!result.logs_bloom.is_zero(), logged, "{fork:?}");
    }
}

#[test]
fn the_random_blocks_are_not_trivial() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut gas, mut logs, mut codes) = (0, 0, BTreeSet::new());
    let world = world();
    for _ in 0..64 {
        let plans = proptest::collection::vec(plan(), 20).new_tree(&mut runner).expect("a plan").current();
        let mut plain = Runner { world: &world, asked: Keys::default(), advice: true };
        let built = plain.run(request(&batch(&plans, RULES), true)).expect("building never fails");
        gas += built.gas_used;
        logs += usize::from(!built.logs_bloom.is_zero());
        for write in &built.write_set.accounts {
            codes.extend(write.code.as_ref().map(|_| write.code_hash));
        }
    }
    println!("gas {gas}, blocks with logs {logs}, codes {}", codes.len());
    assert!(gas > 20_000_000 && logs > 10 && codes.len() > 15);
}

//! Random blocks give the same bytes by every runner, on any number of threads, from any cache, under any schedule.

mod random;

use std::sync::LazyLock;

use alloy_primitives::Address;
use hansa_kernel::exec::block_job::{BlockRequest, BlockResult};
use hansa_kernel::exec::jitter::Jitter;
use hansa_kernel::exec::need::Keys;
use hansa_kernel::exec::schedule::{Counts, Runner as How, Running};
use hansa_kernel::spec::Fork;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rayon::{ThreadPool, ThreadPoolBuilder};

use random::{Choices, HEAD, Plan, Rules, Runner, batch, cache, plan, request_of, someone, without_stats, world_of};

const RUNNERS: [How; 5] = [How::Auto, How::Window, How::Stm, How::AccessList, How::Lanes];
/// A quarter of the blocks is by our own rules, the newest forks come more often than the others.
const RULES: [Rules; 14] = [
    Rules::Hansa,
    Rules::Hansa,
    Rules::Lanes,
    Rules::Lanes,
    Rules::Fork(Fork::Osaka),
    Rules::Fork(Fork::Osaka),
    Rules::Fork(Fork::Prague),
    Rules::Fork(Fork::Cancun),
    Rules::Fork(Fork::Shanghai),
    Rules::Fork(Fork::London),
    Rules::Fork(Fork::Istanbul),
    Rules::Fork(Fork::Petersburg),
    Rules::Fork(Fork::SpuriousDragon),
    Rules::Fork(Fork::Amsterdam),
];

/// Pools of one, two and eight threads.
static POOLS: LazyLock<Vec<ThreadPool>> = LazyLock::new(|| {
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
    [1, 2, 8].map(pool).into()
});

#[derive(Debug, Clone)]
struct Block {
    plans: Vec<Plan>,
    rules: Rules,
    beneficiary: Address,
    seed: u64,
}

fn block() -> impl Strategy<Value = Block> {
    (proptest::collection::vec(plan(), 1..72), 0..RULES.len(), any::<u8>(), any::<u64>()).prop_map(
        |(plans, rules, number, seed)| Block { plans, rules: RULES[rules], beneficiary: someone(number), seed },
    )
}

/// Run the block in order, then in every way; panics at the first difference. What ran at once.
fn check(block: &Block) -> Counts {
    let world = world_of(block.rules);
    let transactions = batch(&block.plans, block.rules);
    let request = |batch, building| request_of(batch, building, block.rules, block.beneficiary);
    let in_order = Running { runner: How::Sequential, ..Running::default() };
    let mut plain = Runner { world: &world, asked: Keys::default(), advice: true };
    let built = plain.run(BlockRequest { running: in_order, ..request(&transactions, true) }).expect("building");
    let built = without_stats(built);
    let everything = plain.asked;
    let accepted = transactions.select(&built.included).expect("indices of the batch");
    let verified = BlockResult { included: (0..accepted.len()).collect(), dropped: Vec::new(), ..built.clone() };
    let mut choices = Choices(block.seed);
    let mut counts = Counts::default();
    for runner in RUNNERS {
        for pool in POOLS.iter() {
            let building = choices.yes();
            let known = match (choices.yes(), choices.yes()) {
                (false, false) => Keys::default(),
                (true, true) => everything.clone(),
                _ => choices.part(&everything),
            };
            let hints = match (choices.yes(), runner) {
                (_, How::AccessList) | (true, _) => built.access_list.clone(),
                _ => choices.part(&everything).pack(),
            };
            let jitter = Jitter(choices.yes().then_some(block.seed));
            let cache = cache(&world, &known);
            let listed = hints == built.access_list && !building;
            let request = BlockRequest {
                cache: cache.view(HEAD),
                hints,
                running: Running { runner, jitter },
                ..request(if building { &transactions } else { &accepted }, building)
            };
            let mut driver = Runner { world: &world, asked: Keys::default(), advice: choices.yes() };
            let result = pool.install(|| driver.run(request)).expect("the same block");
            let about = format!("{runner:?}, {} threads, {block:?}", pool.current_num_threads());
            assert_eq!(result.stats.hints_wrong, 0, "{about}");
            if listed {
                assert!(result.stats.rounds <= 1, "{} rounds, {about}", result.stats.rounds);
            }
            counts.apart += result.stats.parallel.apart;
            counts.conflicts += result.stats.parallel.conflicts;
            counts.repeated += result.stats.parallel.repeated;
            counts.windows += result.stats.parallel.windows;
            let want = if building { &built } else { &verified };
            assert_eq!(&without_stats(result), want, "{about}");
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_runner_gives_the_bytes_of_sequential_execution(block in block()) {
        check(&block);
    }

    #[test]
    fn prices_and_caps_of_the_chain_are_the_same_by_every_runner(block in block()) {
        check(&Block { rules: Rules::Priced, ..block });
    }

    #[test]
    fn a_wrong_list_costs_no_correctness_and_is_counted(block in block(), gone in any::<prop::sample::Index>()) {
        let world = world_of(block.rules);
        let request = |batch, building| request_of(batch, building, block.rules, block.beneficiary);
        let run = |request: BlockRequest| {
            let mut driver = Runner { world: &world, asked: Keys::default(), advice: true };
            POOLS[1].install(|| driver.run(request)).expect("a block")
        };
        let transactions = batch(&block.plans, block.rules);
        let built = run(request(&transactions, true));
        let accepted = transactions.select(&built.included).expect("indices of the batch");
        // The list of the block less one transaction: places and values are off from there on.
        let mut fewer = block.plans.clone();
        fewer.remove(gone.index(fewer.len()));
        let fewer = batch(&fewer, block.rules);
        let other = run(request(&fewer, true)).access_list;
        let wrong = other != built.access_list;
        for runner in [How::Auto, How::AccessList] {
            let running = Running { runner, ..Running::default() };
            let result = run(BlockRequest { hints: other.clone(), running, ..request(&accepted, false) });
            prop_assert_eq!(result.stats.hints_wrong, u64::from(wrong));
            prop_assert_eq!(&result.access_list, &built.access_list);
            prop_assert_eq!(&result.write_set, &built.write_set);
            prop_assert_eq!(&result.receipts, &built.receipts);
        }
    }
}

#[test]
fn transactions_in_disjoint_ranges_run_apart_without_a_conflict() {
    // Two lanes; in each, what one transaction writes the next one reads.
    let plans: Vec<Plan> = (0..40).map(|number| Plan::promised(number % 2, 4 + number % 2)).collect();
    let world = world_of(Rules::Lanes);
    let run = |runner, known: &Keys| {
        let cache = cache(&world, known);
        let request = BlockRequest {
            cache: cache.view(HEAD),
            running: Running { runner, ..Running::default() },
            ..request_of(&batch(&plans, Rules::Lanes), false, Rules::Lanes, Address::repeat_byte(0xbe))
        };
        let mut driver = Runner { world: &world, asked: Keys::default(), advice: true };
        let result = POOLS[1].install(|| driver.run(request)).expect("a block");
        (result, driver.asked)
    };
    let (in_order, known) = run(How::Sequential, &Keys::default());
    let [lanes, auto, windows] = [How::Lanes, How::Auto, How::Window].map(|runner| run(runner, &known).0);
    for by_lanes in [&lanes, &auto] {
        let counts = by_lanes.stats.parallel;
        assert_eq!((counts.apart, counts.conflicts, by_lanes.included.len()), (40, 0, 40), "{counts:?}");
    }
    assert!(windows.stats.parallel.conflicts > 0, "{:?}", windows.stats.parallel);
    assert_eq!(without_stats(lanes), without_stats(in_order));
}

/// Long: `cargo test --release --test random_runners -- --ignored --nocapture`.
#[test]
#[ignore = "minutes: 10,000 blocks, each in fifteen ways"]
fn ten_thousand_random_blocks_are_the_same_by_every_runner() {
    let mut source = proptest::test_runner::TestRunner::deterministic();
    let (mut counts, strategy) = (Counts::default(), block());
    for number in 1..=10_000 {
        let block = strategy.new_tree(&mut source).expect("a block").current();
        let one = check(&block);
        counts.apart += one.apart;
        counts.conflicts += one.conflicts;
        counts.repeated += one.repeated;
        counts.windows += one.windows;
        if number % 1_000 == 0 {
            println!("{number} blocks equal, {counts:?}");
        }
    }
    assert!(counts.apart > 1_000_000 && counts.conflicts > 100_000, "{counts:?}");
}

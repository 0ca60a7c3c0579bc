//! Senders of signed transactions.

use std::hint::black_box;

use hansa_kernel::pack::read_packed;
use hansa_kernel::tx::{TxRules, decode_one, decode_transactions};

use crate::Options;
use crate::measure::{Figure, Report, Target, Times};
use crate::world::{self, Kind, World};

/// Recovered on one thread and on the kernel's threads, in turns.
pub fn bench(world: &World, options: &Options, report: &mut Report) {
    let raw = world.raw(Kind::Transfer);
    let items = read_packed("raw", &raw).expect("our own list");
    let env = world::env();
    let rules = TxRules::of(&world::spec(), env.number, env.timestamp);
    let (mut one, mut all) = (Times::default(), Times::default());
    for _ in 0..options.runs {
        one.time(|| {
            for item in &items {
                black_box(decode_one(item, &rules, None).expect("a signed transaction"));
            }
        });
        let batch = all.time(|| decode_transactions(&raw, &rules).expect("our own list"));
        assert!(batch.all_valid());
    }
    let per_second = |seconds: f64| f64::from(options.count) / seconds;
    for (times, threads) in [(&one, 1), (&all, 2)] {
        report.push(&Figure {
            part: "recover",
            case: "secp256k1",
            who: "decoded, sender recovered, checked",
            threads,
            median: per_second(times.median()),
            fastest: per_second(times.fastest()),
            unit: "/s",
            ratio: None,
            target: (threads == 2).then_some(Target::AtLeast(55_000.0)),
        });
    }
}

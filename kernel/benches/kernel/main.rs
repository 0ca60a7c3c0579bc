//! What the kernel costs, beside bare revm in the same run: medians and ratios.
//!
//! `make bench-kernel`, or `cargo bench --bench kernel -- [--count N] [--runs N] [--part NAME] [--case NAME]
//! [--runner NAME] [--json FILE]`. Everything that is compared runs in turns, so that a busy machine hits all alike;
//! ratios are medians over the turns. Nothing is asserted of times: machines differ.
//!
//! `execute` is the part that bare revm does, too; `block` goes from decoded transactions to receipts, roots of transactions
//! and receipts, bloom, write set and access list; `whole` from raw bytes to the state root.

mod bare;
mod execute;
mod forest;
mod measure;
mod recover;
mod roots;
mod whole;
mod world;

use hansa_kernel::threads;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde_json::json;

use crate::measure::Report;
use crate::world::World;

/// Threads of the kernel's pool: the machine that the targets are for has two cores.
const THREADS: usize = 2;

struct Options {
    /// Transactions of a block.
    count: u32,
    runs: usize,
    part: Option<String>,
    case: Option<String>,
    runner: Option<String>,
    json: Option<String>,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { count: 1_000, runs: 15, part: None, case: None, runner: None, json: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().and_then(|value| value.parse::<u32>().ok()).expect("a number");
            match argument.as_str() {
                "--count" => options.count = number(),
                "--runs" => options.runs = number() as usize,
                "--part" => options.part = arguments.next(),
                "--case" => options.case = arguments.next(),
                "--runner" => options.runner = arguments.next(),
                "--json" => options.json = arguments.next(),
                _ => {}
            }
        }
        options
    }

    fn wants_part(&self, name: &str) -> bool {
        self.part.as_ref().is_none_or(|part| part == name)
    }

    fn wants_case(&self, name: &str) -> bool {
        self.case.as_ref().is_none_or(|case| case == name)
    }

    fn wants_runner(&self, name: &str) -> bool {
        self.runner.as_ref().is_none_or(|runner| runner == name)
    }
}

fn main() {
    let options = Options::read();
    threads::configure(THREADS).expect("the pool is not in use yet");
    let pools: Vec<ThreadPool> = (1..=THREADS)
        .map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started"))
        .collect();
    let world = World::new(options.count as usize);
    let mut report = Report::default();
    if options.wants_part("execute") || options.wants_part("block") {
        for (name, kind) in world::KINDS.into_iter().filter(|(name, _)| options.wants_case(name)) {
            execute::bench(name, kind, &world, &pools, &options, &mut report);
        }
    }
    if options.wants_part("recover") {
        recover::bench(&world, &options, &mut report);
    }
    if options.wants_part("whole") {
        whole::bench(&world, &options, &mut report);
    }
    if options.wants_part("root") {
        roots::bench(&options, &mut report);
    }
    if let Some(path) = options.json {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = json!({ "cores": cores, "architecture": std::env::consts::ARCH });
        let whole = json!({
            "machine": machine, "transactions": options.count, "rounds": options.runs, "figures": report.into_json(),
        });
        std::fs::write(&path, format!("{whole:#}\n")).expect("the report can be written");
        println!("\nwritten to {path}");
    }
}

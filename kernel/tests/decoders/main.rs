//! Every decoder survives any bytes: no panic, and no more memory than 16 times the input. What once was, or looks
//! dangerous, is kept in `corpus/` with the error that it must end in.
//!
//! The tests take turns, so that the counting allocator sees one decoder at a time.
#![allow(clippy::unwrap_used, unsafe_code)]

mod corpus;
mod inputs;
mod list;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use hansa_kernel::tx::BATCH_COUNT_MAX;
use list::Decoder;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static TURN: Mutex<()> = Mutex::new(());

/// Memory that a decoder may take for each byte of input.
const TIMES_MAX: usize = 16;
/// What it may take beside: error texts, a hash table's first slots, the parts of a parallel loop.
const BESIDE_BYTES: usize = 48 << 10;
/// The same for JSON: documents up to 16 KiB are parsed whatever they hold.
const JSON_BESIDE_BYTES: usize = 4 << 20;
const CASES: u32 = 2_000;
const JSON_CASES: u32 = 1_000;

/// Run every decoder on `bytes`; the first that takes too much memory.
fn all_of(decoders: &[Decoder], bytes: &[u8], beside: usize) -> Result<(), TestCaseError> {
    for decoder in decoders {
        let before = HELD.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let _ = (decoder.run)(bytes);
        let taken = MOST.load(Ordering::Relaxed).saturating_sub(before);
        let items = (bytes.len() / 4).min(BATCH_COUNT_MAX);
        let allowed = TIMES_MAX * bytes.len() + beside + items * decoder.item_bytes;
        let name = decoder.name;
        prop_assert!(taken <= allowed, "{name}: {taken} bytes for {} bytes of input", bytes.len());
    }
    Ok(())
}

fn survive(decoders: &[Decoder], inputs: &impl Strategy<Value = Vec<u8>>, cases: u32, beside: usize) {
    let _turn = TURN.lock();
    for decoder in decoders {
        let _ = (decoder.run)(&[0; 64]); // what is made once: threads, tables
    }
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(inputs, |bytes| all_of(decoders, &bytes, beside)).unwrap();
}

#[test]
fn no_bytes_make_a_decoder_panic_or_take_much_memory() {
    survive(&list::of_bytes(), &inputs::bytes(), CASES, BESIDE_BYTES);
}

#[test]
fn no_json_makes_a_decoder_panic_or_take_much_memory() {
    survive(&list::of_json(), &inputs::json(), JSON_CASES, JSON_BESIDE_BYTES);
}

#[test]
fn what_is_kept_ends_in_the_error_that_stands_beside_it() {
    let _turn = TURN.lock();
    let mut wrong = Vec::new();
    let entries = corpus::entries();
    for decoder in list::of_bytes().iter().chain(&list::of_json()) {
        let own: Vec<_> = entries.iter().filter(|entry| entry.decoder == decoder.name).collect();
        assert!(!own.is_empty(), "nothing is kept for {}", decoder.name);
        for entry in own {
            let got = (decoder.run)(&entry.bytes).err().unwrap_or_else(|| "accepted".to_owned());
            if got != entry.expected {
                wrong.push(format!("{}: {} | got: {got}", decoder.name, entry.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let known: Vec<&str> = list::of_bytes().iter().chain(&list::of_json()).map(|decoder| decoder.name).collect();
    assert!(entries.iter().all(|entry| known.contains(&entry.decoder.as_str())), "an entry of an unknown decoder");
}

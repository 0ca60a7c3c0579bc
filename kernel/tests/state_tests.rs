//! The public state tests of every fork, from the shared test data.
//!
//! A fixed part of the files is run; `make conformance` runs all of them. Without the data (`vectors`) a test says that
//! it is skipped and passes.

mod vectors;

use hansa_kernel::conformance::Kind;

#[test]
fn state_tests_of_all_forks_end_in_their_roots() {
    vectors::expect_part("state-tests-eest", "", Kind::State, 4, 2_000);
}

#[test]
fn state_tests_of_older_fills_end_in_their_roots() {
    vectors::expect_part("state-tests-legacy", "", Kind::State, 20, 2_000);
}

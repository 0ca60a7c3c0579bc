//! The public blockchain tests of every fork and every change of forks: blocks must give their own headers again, and
//! bad ones must be refused.
//!
//! A fixed part of the files is run; `make conformance` runs all of them. Without the data (`vectors`) a test says that
//! it is skipped and passes.

mod vectors;

use hansa_kernel::conformance::Kind;

#[test]
fn blocks_of_all_forks_give_their_headers_again() {
    vectors::expect_part("blockchain-tests", "/eest/", Kind::Block, 2, 1_000);
}

#[test]
fn blocks_of_older_fills_give_their_headers_again() {
    vectors::expect_part("blockchain-tests", "/legacy/", Kind::Block, 4, 300);
}

#[test]
fn classic_state_tests_as_blocks_give_their_headers_again() {
    vectors::expect_part("blockchain-tests-static", "", Kind::Block, 16, 200);
}

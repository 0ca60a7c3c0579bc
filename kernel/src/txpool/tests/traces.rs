//! One situation and its outcome per test.

use super::super::transactions_json;
use super::*;

const NONE: [B256; 0] = [];

/// A pool that knows senders 1 to 9, all rich, and what it says to `wishes`: code names, "" when accepted.
fn add(pool: &mut TxPool, wishes: &[Wish]) -> Vec<&'static str> {
    let accounts: Vec<_> = (1..10).map(|index| (sender(index), RICH)).collect();
    add_with(pool, wishes, &accounts)
}

fn add_with(pool: &mut TxPool, wishes: &[Wish], accounts: &[(Address, Account)]) -> Vec<&'static str> {
    let verdicts = pool.add(&batch(wishes), accounts, NEXT, 0, false);
    pool.check();
    verdicts.iter().map(|verdict| verdict.as_ref().map_or("", |error| error.code.as_str())).collect()
}

fn message(pool: &mut TxPool, wish: Wish, account: Account, next: NextBlock) -> String {
    let verdicts = pool.add(&batch(&[wish]), &[(sender(wish.sender), account)], next, 0, false);
    verdicts[0].as_ref().map_or_else(String::new, ToString::to_string)
}

fn pool(config: PoolConfig) -> TxPool {
    TxPool::new(config)
}

fn with_nonce(nonce: u64) -> Wish {
    Wish { nonce, ..TRANSFER }
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn a_gapless_run_is_executable_and_a_gap_waits() {
    let mut pool = pool(PoolConfig::default());
    assert_eq!(add(&mut pool, &[with_nonce(0), with_nonce(1), with_nonce(3)]), ["", "", ""]);
    assert_eq!((pool.counts().executable, pool.counts().gapped), (2, 1));
    assert_eq!(pool.next_nonce(&sender(1)), Some(2));
    assert_eq!(order(&pool.payload(ALL, &[])), [(1, 0), (1, 1)]);
}

#[test]
fn filling_the_gap_makes_what_waited_executable() {
    let mut pool = pool(PoolConfig::default());
    add(&mut pool, &[with_nonce(2), with_nonce(1), with_nonce(0)]);
    assert_eq!((pool.counts().executable, pool.counts().gapped), (3, 0));
    assert_eq!(order(&pool.payload(ALL, &[])), [(1, 0), (1, 1), (1, 2)]);
}

#[test]
fn refusals_speak_geths_words() {
    let account = Account { nonce: 7, balance: U256::from(100_000) };
    let mut pool = pool(PoolConfig::default());
    let mut says = |wish: Wish, next: NextBlock| message(&mut pool, wish, account, next);
    let fits = Wish { nonce: 7, fee_cap: 2, ..TRANSFER };
    assert_eq!(says(with_nonce(4), NEXT), "nonce too low: next nonce 7, tx nonce 4");
    assert_eq!(
        says(Wish { nonce: 7, fee_cap: 10, ..TRANSFER }, NEXT),
        "insufficient funds for gas * price + value: balance 100000, tx cost 210000, overshot 110000"
    );
    assert!(says(Wish { gas: 30_000_001, ..fits }, NEXT).starts_with("exceeds block gas limit"));
    assert_eq!(
        says(fits, NextBlock { base_fee: 3, ..NEXT }),
        format!("max fee per gas less than block base fee: address {}, maxFeePerGas: 2, baseFee: 3", sender(1))
    );
    assert_eq!(says(fits, NEXT), "");
    assert_eq!(says(fits, NEXT), "already known");
    assert_eq!(
        says(Wish { nonce: 8, fee_cap: 3, ..TRANSFER }, NEXT),
        "insufficient funds for gas * price + value: balance 100000, queued cost 42000, tx cost 63000, overshot 5000"
    );
    assert!(says(Wish { value: 1, ..fits }, NEXT).starts_with("replacement transaction underpriced"));
}

#[test]
fn a_sender_without_an_account_is_named_by_unknown_senders_and_refused_until_read() {
    let mut pool = pool(PoolConfig::default());
    let both = [Wish { sender: 2, ..TRANSFER }, TRANSFER];
    assert_eq!(pool.unknown_senders(&batch(&both)), [sender(1), sender(2)]);
    assert_eq!(add_with(&mut pool, &both, &[(sender(1), RICH)]), ["account_unknown", ""]);
    assert_eq!(pool.unknown_senders(&batch(&both)), [sender(2)]);
}

#[test]
fn accounts_read_before_the_last_block_are_not_believed() {
    let mut pool = pool(PoolConfig::default());
    pool.on_block(1, &[], &[], 0);
    assert_eq!(add(&mut pool, &[TRANSFER]), ["account_unknown"]);
    let next = NextBlock { number: 2, ..NEXT };
    assert!(pool.add(&batch(&[TRANSFER]), &[(sender(1), RICH)], next, 0, false)[0].is_none());
}

#[test]
fn replacement_needs_ten_percent_more_of_both_fees() {
    let mut pool = pool(PoolConfig::default());
    let old = Wish { fee_cap: 100, tip_cap: 20, ..TRANSFER };
    let tries = [
        old,
        Wish { fee_cap: 110, tip_cap: 21, ..old },
        Wish { fee_cap: 109, tip_cap: 22, ..old },
        Wish { fee_cap: 110, tip_cap: 22, ..old },
    ];
    let refused = "replacement_underpriced";
    assert_eq!(add(&mut pool, &tries), ["", refused, refused, ""]);
    assert_eq!(pool.counts().executable, 1);
    assert!(!pool.contains(&hash(old)) && pool.contains(&hash(tries[3])));
}

#[test]
fn a_replacement_at_price_zero_is_refused() {
    let mut pool = pool(PoolConfig::default());
    let free = Wish { fee_cap: 0, tip_cap: 0, ..TRANSFER };
    assert_eq!(add(&mut pool, &[free, Wish { value: 1, ..free }]), ["", "replacement_underpriced"]);
}

#[test]
fn payload_takes_the_better_tip_first_but_never_against_a_senders_nonces() {
    let mut pool = pool(PoolConfig::default());
    let from = |sender: u8, nonce: u64, tip_cap: u128| Wish { sender, nonce, tip_cap, fee_cap: 100, ..TRANSFER };
    add(&mut pool, &[from(1, 0, 1), from(1, 1, 90), from(2, 0, 5), from(3, 0, 5), from(2, 1, 1)]);
    assert_eq!(order(&pool.payload(ALL, &[])), [(2, 0), (3, 0), (1, 0), (1, 1), (2, 1)]);
}

#[test]
fn the_fee_cap_bounds_the_effective_tip() {
    let mut pool = pool(PoolConfig::default());
    let from = |sender: u8, fee_cap: u128, tip_cap: u128| Wish { sender, fee_cap, tip_cap, ..TRANSFER };
    add(&mut pool, &[from(1, 12, 9), from(2, 15, 4), from(3, 9, 9)]);
    let order_at = |base_fee: u128| order(&pool.payload(PayloadLimits { base_fee, ..ALL }, &[]));
    assert_eq!(order_at(0), [(1, 0), (3, 0), (2, 0)]);
    assert_eq!(order_at(10), [(2, 0), (1, 0)], "3 cannot pay the base fee");
}

#[test]
fn payload_keeps_its_limits_and_passes_over_what_does_not_fit() {
    let mut pool = pool(PoolConfig::default());
    let heavy = Wish { sender: 1, gas: 900_000, tip_cap: 9, ..TRANSFER };
    add(&mut pool, &[heavy, Wish { nonce: 1, ..heavy }, Wish { sender: 2, ..TRANSFER }]);
    let limits = PayloadLimits { gas_limit: 1_000_000, ..ALL };
    assert_eq!(order(&pool.payload(limits, &[])), [(1, 0), (2, 0)]);
    assert_eq!(order(&pool.payload(PayloadLimits { count_max: 1, ..ALL }, &[])), [(1, 0)]);
    assert!(pool.payload(PayloadLimits { bytes_max: 10, ..ALL }, &[]).is_empty());
}

#[test]
fn one_sender_gets_its_share_of_a_block_only() {
    let mut pool = pool(PoolConfig::default());
    add(&mut pool, &[with_nonce(0), with_nonce(1), with_nonce(2), Wish { sender: 2, ..TRANSFER }]);
    let limits = PayloadLimits { sender_gas_max: 42_000, ..ALL };
    assert_eq!(order(&pool.payload(limits, &[])), [(1, 0), (1, 1), (2, 0)]);
}

#[test]
fn payload_passes_over_what_is_in_flight() {
    let mut pool = pool(PoolConfig::default());
    let other = Wish { sender: 2, ..TRANSFER };
    add(&mut pool, &[with_nonce(0), with_nonce(1), with_nonce(2), other]);
    let staged = [hash(with_nonce(0)), hash(with_nonce(1)), hash(other), B256::ZERO];
    assert_eq!(order(&pool.payload(ALL, &staged)), [(1, 2)]);
}

#[test]
fn a_committed_block_removes_its_transactions_and_reports_only_the_stale() {
    let mut pool = pool(PoolConfig::default());
    add(&mut pool, &[with_nonce(0), with_nonce(1), with_nonce(2)]);
    let used = Account { nonce: 2, balance: U256::MAX };
    let stale = pool.on_block(1, &[hash(with_nonce(0))], &[(sender(1), used)], 0);
    pool.check();
    assert_eq!(stale, [hash(with_nonce(1))], "another transaction used nonce 1");
    assert_eq!(order(&pool.payload(ALL, &[])), [(1, 2)]);
}

#[test]
fn a_committed_transaction_uses_its_nonce_without_an_account_given() {
    let mut pool = pool(PoolConfig::default());
    add(&mut pool, &[with_nonce(0), with_nonce(1)]);
    assert_eq!(pool.on_block(1, &[hash(with_nonce(0))], &[], 0), NONE);
    assert_eq!(order(&pool.payload(ALL, &[])), [(1, 1)]);
}

#[test]
fn a_fallen_balance_makes_the_end_of_the_run_wait_and_a_risen_one_brings_it_back() {
    let mut pool = pool(PoolConfig::default());
    add(&mut pool, &[with_nonce(0), with_nonce(1), with_nonce(2)]);
    let balance = |balance: u64| [(sender(1), Account { nonce: 0, balance: U256::from(balance) })];
    assert_eq!(pool.on_block(1, &[], &balance(420_000), 0), NONE);
    pool.check();
    assert_eq!((pool.counts().executable, pool.counts().gapped), (2, 1));
    pool.on_block(2, &[], &balance(630_000), 0);
    pool.check();
    assert_eq!((pool.counts().executable, pool.counts().gapped), (3, 0));
}

#[test]
fn a_dropped_transaction_makes_the_senders_later_ones_wait_and_its_account_unknown() {
    let mut pool = pool(PoolConfig::default());
    add(&mut pool, &[with_nonce(0), with_nonce(1), with_nonce(2)]);
    pool.drop_invalid(&[hash(with_nonce(0))]);
    pool.check();
    assert_eq!((pool.counts().executable, pool.counts().gapped), (0, 2));
    let later = [with_nonce(5)];
    assert_eq!(pool.unknown_senders(&batch(&later)), [sender(1)]);
    add_with(&mut pool, &later, &[(sender(1), Account { nonce: 2, balance: U256::MAX })]);
    assert_eq!(pool.take_dropped(), [hash(with_nonce(1))], "stale under the account read again");
    assert_eq!(order(&pool.payload(ALL, &[])), [(1, 2)]);
}

#[test]
fn a_full_pool_refuses_unless_a_cheaper_waiting_transaction_can_go() {
    let mut pool = pool(PoolConfig { transactions_max: 3, ..PoolConfig::default() });
    let waiting = Wish { sender: 2, nonce: 5, tip_cap: 1, ..TRANSFER };
    add(&mut pool, &[TRANSFER, waiting, Wish { sender: 3, tip_cap: 4, ..TRANSFER }]);
    let cheap = Wish { sender: 4, nonce: 9, ..waiting };
    assert_eq!(add(&mut pool, &[cheap]), ["pool_full"], "not cheaper than the one that waits");
    assert_eq!(add(&mut pool, &[Wish { tip_cap: 2, ..cheap }]), [""]);
    assert_eq!(pool.take_dropped(), [hash(waiting)]);
    assert_eq!(add(&mut pool, &[Wish { sender: 5, tip_cap: 2, ..TRANSFER }]), [""], "executable beats equal price");
    assert_eq!(add(&mut pool, &[Wish { sender: 6, tip_cap: 10, ..TRANSFER }]), ["pool_full"], "all are executable");
}

#[test]
fn a_promised_transaction_is_not_evicted() {
    let mut pool = pool(PoolConfig { transactions_max: 1, ..PoolConfig::default() });
    let waiting = Wish { nonce: 5, ..TRANSFER };
    pool.add(&batch(&[waiting]), &[(sender(1), RICH)], NEXT, 0, true);
    assert_eq!(add(&mut pool, &[Wish { sender: 2, tip_cap: 9, ..TRANSFER }]), ["pool_full"]);
    assert_eq!(pool.counts().local, 1);
}

#[test]
fn adding_a_known_transaction_as_local_makes_it_promised() {
    let mut pool = pool(PoolConfig { transactions_max: 1, ..PoolConfig::default() });
    let waiting = Wish { nonce: 5, ..TRANSFER };
    add(&mut pool, &[waiting]);
    let verdicts = pool.add(&batch(&[waiting]), &[], NEXT, 0, true);
    assert_eq!(verdicts[0].as_ref().map(|error| error.code.as_str()), Some("already_known"));
    pool.check();
    assert_eq!(pool.counts().local, 1);
    assert_eq!(add(&mut pool, &[Wish { sender: 2, tip_cap: 9, ..TRANSFER }]), ["pool_full"]);
}

#[test]
fn one_sender_has_bounds_of_its_own() {
    let mut pool = pool(PoolConfig { executable_per_sender_max: 2, gapped_per_sender_max: 1, ..PoolConfig::default() });
    let wishes = [with_nonce(0), with_nonce(1), with_nonce(2), with_nonce(4), with_nonce(5)];
    let limit = "account_limit_exceeded";
    assert_eq!(add(&mut pool, &wishes), ["", "", limit, "", limit]);
}

#[test]
fn bytes_are_bounded() {
    let size = tx(TRANSFER).raw.len();
    let mut pool = pool(PoolConfig { bytes_max: size + 10, ..PoolConfig::default() });
    assert_eq!(add(&mut pool, &[TRANSFER, Wish { sender: 2, ..TRANSFER }]), ["", "pool_full"]);
    assert_eq!(pool.counts().bytes, size);
}

#[test]
fn old_transactions_expire_oldest_first() {
    let mut pool = pool(PoolConfig { life_ms: 100, ..PoolConfig::default() });
    for (at, nonce) in [(0, 0), (0, 1), (50, 2)] {
        pool.add(&batch(&[with_nonce(nonce)]), &[(sender(1), RICH)], NEXT, at, false);
    }
    assert_eq!(pool.expire(99), NONE);
    assert_eq!(pool.expire(100), [hash(with_nonce(0)), hash(with_nonce(1))]);
    pool.check();
    assert_eq!((pool.counts().executable, pool.counts().gapped), (0, 1));
}

#[test]
fn local_transactions_are_listed_for_sending_again() {
    let mut pool = pool(PoolConfig::default());
    for number in [1, 5, 9] {
        let next = NextBlock { number, ..NEXT };
        pool.add(&batch(&[with_nonce(number)]), &[(sender(1), RICH)], next, 0, number != 5);
    }
    assert_eq!(order(&pool.local_older_than(9, 10)), [(1, 1)]);
    assert_eq!(order(&pool.local_older_than(10, 10)), [(1, 1), (1, 9)]);
    assert_eq!(order(&pool.local_older_than(10, 1)), [(1, 1)]);
}

#[test]
fn get_answers_in_the_order_asked() {
    let mut pool = pool(PoolConfig::default());
    add(&mut pool, &[with_nonce(0), with_nonce(1)]);
    let (found, missing) = pool.get(&[hash(with_nonce(1)), B256::ZERO, hash(with_nonce(0))]);
    assert_eq!((order(&found), missing), (vec![(1, 1), (1, 0)], vec![B256::ZERO]));
}

#[test]
fn content_lists_executable_and_waiting_transactions_by_sender_and_nonce() {
    let mut pool = pool(PoolConfig::default());
    add(&mut pool, &[with_nonce(0), with_nonce(3), Wish { sender: 2, ..TRANSFER }]);
    let content = json(&pool.content(Some(&sender(1)), 10).to_json());
    let address = sender(1).to_checksum(None);
    assert_eq!(content["pending"][&address]["0"]["nonce"], "0x0");
    assert_eq!(content["queued"][&address]["3"]["from"], sender(1).to_string().to_lowercase());
    assert_eq!(json(&pool.content(None, 1).to_json())["queued"], serde_json::json!({}), "the limit counts both");
    let listed = json(&transactions_json(&pool.find(&[B256::ZERO, hash(TRANSFER)])));
    assert!(listed[0].is_null());
    assert_eq!(listed[1]["hash"], hash(TRANSFER).to_string());
}

#[test]
fn a_sender_that_has_nothing_more_here_stays_known() {
    let mut pool = pool(PoolConfig::default());
    add(&mut pool, &[TRANSFER]);
    pool.on_block(1, &[hash(TRANSFER)], &[(sender(1), Account { nonce: 1, balance: U256::MAX })], 0);
    assert_eq!(pool.next_nonce(&sender(1)), Some(1));
    assert_eq!(pool.unknown_senders(&batch(&[TRANSFER])), [] as [Address; 0]);
}

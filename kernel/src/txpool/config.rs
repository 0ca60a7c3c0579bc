//! Bounds of the pool, each with its reason.

/// A replacement must raise both fee fields to this share of the old ones: re-gossip must cost its sender something.
pub const REPLACEMENT_PERCENT: u64 = 110;

/// Accounts kept although the sender has nothing in the pool: saves a state read for who sends one by one. About
/// 16 MiB.
pub const IDLE_ACCOUNTS_MAX: usize = 65_536;

/// Bounds that a member may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolConfig {
    /// Transactions of both kinds.
    pub transactions_max: usize,
    /// Executable ones of one sender.
    pub executable_per_sender_max: usize,
    /// Waiting ones of one sender that `add` accepts.
    pub gapped_per_sender_max: usize,
    /// Sum of raw sizes.
    pub bytes_max: usize,
    /// Age at which a transaction is dropped.
    pub life_ms: u64,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            transactions_max: 100_000,
            executable_per_sender_max: 4_096,
            gapped_per_sender_max: 64,
            bytes_max: 512 << 20,
            life_ms: 3 * 60 * 60 * 1_000,
        }
    }
}

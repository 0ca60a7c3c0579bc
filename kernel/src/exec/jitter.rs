//! Scheduling seeds of tests: at chosen points a worker lets others go first, as a busy machine would.

/// Off unless a test gives a seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Jitter(pub Option<u64>);

impl Jitter {
    /// A point on the way; `at` and `point` say which.
    pub fn pause(self, at: u64, point: u64) {
        let Some(seed) = self.0 else { return };
        let mixed = (seed ^ at.rotate_left(32) ^ point).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 56;
        for _ in 0..mixed.saturating_sub(192) {
            std::thread::yield_now();
        }
    }
}

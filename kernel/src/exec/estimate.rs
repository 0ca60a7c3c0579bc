//! The search for the smallest gas limit with which a call succeeds, as geth's `eth/gasestimator` does it, so that
//! wallets see the figures they are used to. It decides only which limit to try next.

/// Gas of a plain transfer.
pub const TRANSFER_GAS: u64 = 21_000;
/// Gas that a value transfer adds to the callee (geth: `params.CallStipend`).
const CALL_STIPEND: u64 = 2_300;
/// The search ends when the bounds are this close, in thousandths of the upper one (geth: 0.015).
const TOLERANCE_PER_MILLE: u64 = 15;

/// What one run showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Gas charged, and the most that was in use before refunds.
    Success { gas_used: u64, gas_peak: u64 },
    /// Failed, or the limit was below what the transaction costs before it runs.
    Failure,
}

/// What to do after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Run with this limit.
    Try(u64),
    /// This limit is enough.
    Found(u64),
    /// The highest limit is not enough.
    Hopeless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Transfer,
    Highest,
    Optimistic(u64),
    Between(u64),
}

/// One search.
#[derive(Debug, Clone)]
pub struct Search {
    low: u64,
    high: u64,
    stage: Stage,
}

impl Search {
    /// Search up to `high`; `plain` when the call has no data and its recipient no code.
    #[must_use]
    pub fn new(high: u64, plain: bool) -> Self {
        Self { low: 0, high, stage: if plain { Stage::Transfer } else { Stage::Highest } }
    }

    /// The highest limit that may be tried.
    #[must_use]
    pub fn high(&self) -> u64 {
        self.high
    }

    /// Whether a failure of the run now due ends the search, so that its reason matters.
    #[must_use]
    pub fn at_highest(&self) -> bool {
        self.stage == Stage::Highest
    }

    /// The limit to try now.
    #[must_use]
    pub fn limit(&self) -> u64 {
        match self.stage {
            Stage::Transfer => TRANSFER_GAS,
            Stage::Highest => self.high,
            Stage::Optimistic(limit) | Stage::Between(limit) => limit,
        }
    }

    /// Take what the run with [`Self::limit`] showed.
    pub fn take(&mut self, trial: Trial) -> Next {
        match (self.stage, trial) {
            (Stage::Transfer, Trial::Success { .. }) => return Next::Found(TRANSFER_GAS),
            (Stage::Transfer, Trial::Failure) => {
                self.stage = Stage::Highest;
                return Next::Try(self.high);
            }
            (Stage::Highest, Trial::Failure) => return Next::Hopeless,
            (Stage::Highest, Trial::Success { gas_used, gas_peak }) => {
                self.low = gas_used.saturating_sub(1);
                let optimistic = gas_peak.saturating_add(CALL_STIPEND).saturating_mul(64) / 63;
                if optimistic < self.high {
                    self.stage = Stage::Optimistic(optimistic);
                    return Next::Try(optimistic);
                }
            }
            (Stage::Optimistic(limit) | Stage::Between(limit), Trial::Success { .. }) => self.high = limit,
            (Stage::Optimistic(limit) | Stage::Between(limit), Trial::Failure) => self.low = limit,
        }
        let gap = self.high.saturating_sub(self.low);
        let close = u128::from(gap) * 1_000 < u128::from(self.high) * u128::from(TOLERANCE_PER_MILLE);
        if gap <= 1 || close {
            return Next::Found(self.high);
        }
        // Most calls need little more than they use: look near the lower bound first.
        let middle = (self.low + gap / 2).min(self.low.saturating_mul(2)).max(self.low + 1);
        self.stage = Stage::Between(middle);
        Next::Try(middle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(needed: u64, used: u64, high: u64) -> (u64, u32) {
        let mut search = Search::new(high, false);
        for tries in 1..100 {
            let trial = if search.limit() >= needed {
                Trial::Success { gas_used: used, gas_peak: used }
            } else {
                Trial::Failure
            };
            if let Next::Found(limit) = search.take(trial) {
                return (limit, tries);
            }
        }
        panic!("the search does not end");
    }

    #[test]
    fn the_limit_found_is_enough_and_close() {
        for needed in [21_001, 53_000, 120_000, 3_000_000, 16_000_000] {
            for used in [needed, needed * 3 / 4, needed / 2] {
                let (limit, tries) = search(needed, used, 16_777_216);
                assert!(limit >= needed && limit <= needed + needed / 50 + 3_000, "{needed} {used} {limit}");
                assert!(tries < 20);
            }
        }
    }

    #[test]
    fn a_plain_transfer_is_tried_first() {
        let mut search = Search::new(1_000_000, true);
        assert_eq!(search.limit(), TRANSFER_GAS);
        assert_eq!(search.take(Trial::Success { gas_used: 21_000, gas_peak: 21_000 }), Next::Found(21_000));
    }
}

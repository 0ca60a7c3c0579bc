//! How far a guessed run looks ahead.
//!
//! Usually a transaction lacks a handful of keys, and what a guess finds beyond them is of no use. One that reads
//! thousands of slots in a row (a flood) would take a round for each few dozen of them, and begin again each time: as
//! long as what was guessed is read next, the next guess may find twice as many.

/// New keys that a guessed run may find when nothing is known of the transaction.
pub const GUESSED_KEYS_MAX: usize = 64;
/// The most that it may ever find.
const GUESSED_KEYS_LIMIT: usize = 4_096;

/// What the runs of a job have shown.
#[derive(Debug)]
pub struct Lookahead {
    /// Values that the current run has read.
    reads: usize,
    /// The same of the last exact run that missed, when it did.
    reads_at_miss: usize,
    /// Keys asked for since.
    asked: usize,
    width: usize,
    /// The transaction that missed is guessed first; others know nothing of the width.
    due: bool,
    /// The last exact run read what had been guessed.
    came_further: bool,
}

impl Default for Lookahead {
    fn default() -> Self {
        Self { reads: 0, reads_at_miss: 0, asked: 0, width: GUESSED_KEYS_MAX, due: false, came_further: false }
    }
}

impl Lookahead {
    /// A run begins.
    pub fn begin(&mut self) {
        self.reads = 0;
    }

    /// The run reads a value.
    pub fn read(&mut self) {
        self.reads += 1;
    }

    /// An exact run lacks a value.
    pub fn missed(&mut self) {
        let further = self.reads.saturating_sub(self.reads_at_miss);
        // A guess may end for want of gas before it has found all that it might.
        self.came_further = self.asked >= GUESSED_KEYS_MAX / 2 && further >= self.asked / 2;
        self.width = if self.came_further { (self.width * 2).min(GUESSED_KEYS_LIMIT) } else { GUESSED_KEYS_MAX };
        self.reads_at_miss = self.reads;
        self.due = true;
    }

    /// Whether the last exact run that missed had read what was guessed before it.
    #[must_use]
    pub fn came_further(&self) -> bool {
        self.came_further
    }

    /// Keys were asked for.
    pub fn ask(&mut self, keys: usize) {
        self.asked = keys;
    }

    /// New keys that the guessed run that begins now may find.
    pub fn take(&mut self) -> usize {
        if std::mem::replace(&mut self.due, false) { self.width } else { GUESSED_KEYS_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that reads so many values before it misses; what it may guess, all of which is asked for.
    fn round(lookahead: &mut Lookahead, reads: usize) -> usize {
        lookahead.begin();
        (0..reads).for_each(|_| lookahead.read());
        lookahead.missed();
        let width = lookahead.take();
        lookahead.ask(width);
        width
    }

    #[test]
    fn a_flood_is_guessed_twice_as_far_each_time() {
        let mut lookahead = Lookahead::default();
        let (mut read, mut widths) = (3, Vec::new());
        for _ in 0..9 {
            let width = round(&mut lookahead, read);
            read += width;
            widths.push(width);
        }
        assert_eq!(widths, [64, 128, 256, 512, 1_024, 2_048, 4_096, 4_096, 4_096]);
        assert_eq!(lookahead.take(), GUESSED_KEYS_MAX, "another transaction");
    }

    #[test]
    fn a_guess_that_ran_out_of_gas_counts_as_far_as_it_came() {
        let mut lookahead = Lookahead::default();
        let mut read = 3;
        for found in [64, 128, 200, 200, 200] {
            round(&mut lookahead, read);
            lookahead.ask(found);
            read += found;
        }
        round(&mut lookahead, read);
        assert!(lookahead.came_further());
    }

    #[test]
    fn a_walk_is_never_guessed_far() {
        let mut lookahead = Lookahead::default();
        assert!((1..100).all(|read| round(&mut lookahead, read) == GUESSED_KEYS_MAX));
    }

    #[test]
    fn the_end_of_a_flood_ends_the_wide_guesses() {
        let mut lookahead = Lookahead::default();
        assert_eq!([round(&mut lookahead, 1), round(&mut lookahead, 65), round(&mut lookahead, 193)], [64, 128, 256]);
        assert_eq!(round(&mut lookahead, 194), GUESSED_KEYS_MAX);
    }
}

//! Who runs and who checks which transaction next: the scheduler of Block-STM (Gelashvili et al. 2022, algorithms 4 and 5).
//!
//! Two counters go over the stretch, one handing out runs and one handing out checks; an abort moves them back. The stretch
//! is done when both are past the end, nothing is in work, and no counter moved back meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Run { at: usize, incarnation: u32 },
    Check { at: usize, incarnation: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Running,
    Ran,
    /// Will be ready once its versions are marked, or once the one it waits for has run.
    Aborting,
}

#[derive(Debug)]
struct Status {
    incarnation: u32,
    state: State,
    /// Transactions that wait for this one.
    waiting: Vec<usize>,
}

/// Shared by all workers on a stretch.
#[derive(Debug)]
pub struct Tasks {
    next_run: AtomicUsize,
    next_check: AtomicUsize,
    moves_back: AtomicUsize,
    in_work: AtomicUsize,
    done: AtomicBool,
    statuses: Vec<Mutex<Status>>,
}

impl Tasks {
    #[must_use]
    pub fn new(length: usize) -> Self {
        let ready = || Mutex::new(Status { incarnation: 0, state: State::Ready, waiting: Vec::new() });
        Self {
            next_run: AtomicUsize::new(0),
            next_check: AtomicUsize::new(0),
            moves_back: AtomicUsize::new(0),
            in_work: AtomicUsize::new(0),
            done: AtomicBool::new(length == 0),
            statuses: (0..length).map(|_| ready()).collect(),
        }
    }

    fn status(&self, at: usize) -> MutexGuard<'_, Status> {
        self.statuses[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is left to do, or the stretch was given up.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    /// Give the stretch up: what has not run will not.
    pub fn stop(&self) {
        self.done.store(true, Ordering::SeqCst);
    }

    fn move_back(&self, counter: &AtomicUsize, to: usize) {
        counter.fetch_min(to, Ordering::SeqCst);
        self.moves_back.fetch_add(1, Ordering::SeqCst);
    }

    fn check_done(&self) {
        let seen = self.moves_back.load(Ordering::SeqCst);
        let ends = self.next_run.load(Ordering::SeqCst).min(self.next_check.load(Ordering::SeqCst));
        if ends >= self.statuses.len()
            && self.in_work.load(Ordering::SeqCst) == 0
            && seen == self.moves_back.load(Ordering::SeqCst)
        {
            self.stop();
        }
    }

    /// The next piece of work, if there is one at the moment.
    pub fn next(&self) -> Option<Task> {
        if self.next_check.load(Ordering::SeqCst) < self.next_run.load(Ordering::SeqCst) {
            self.take(&self.next_check, |at| {
                let status = self.status(at);
                (status.state == State::Ran).then_some(Task::Check { at, incarnation: status.incarnation })
            })
        } else {
            self.take(&self.next_run, |at| self.try_begin(at))
        }
    }

    fn take(&self, counter: &AtomicUsize, task: impl Fn(usize) -> Option<Task>) -> Option<Task> {
        if counter.load(Ordering::SeqCst) >= self.statuses.len() {
            self.check_done();
            return None;
        }
        self.in_work.fetch_add(1, Ordering::SeqCst);
        let at = counter.fetch_add(1, Ordering::SeqCst);
        let task = if at < self.statuses.len() { task(at) } else { None };
        if task.is_none() {
            self.in_work.fetch_sub(1, Ordering::SeqCst);
        }
        task
    }

    fn try_begin(&self, at: usize) -> Option<Task> {
        let mut status = self.status(at);
        if status.state != State::Ready {
            return None;
        }
        status.state = State::Running;
        Some(Task::Run { at, incarnation: status.incarnation })
    }

    /// The run of `at` has to wait for `on`. False if that has run meanwhile: then run again at once.
    #[must_use]
    pub fn wait(&self, at: usize, on: usize) -> bool {
        // Always the earlier one first, so that two threads never wait for each other.
        let mut earlier = self.status(on);
        if earlier.state == State::Ran {
            return false;
        }
        self.status(at).state = State::Aborting;
        earlier.waiting.push(at);
        drop(earlier);
        self.in_work.fetch_sub(1, Ordering::SeqCst);
        true
    }

    fn make_ready(&self, at: usize) {
        let mut status = self.status(at);
        status.incarnation += 1;
        status.state = State::Ready;
    }

    /// The run is over and its versions are in the memory. With `wider`, it wrote a key that its last run did not.
    pub fn ran(&self, at: usize, incarnation: u32, wider: bool) -> Option<Task> {
        let waiting = {
            let mut status = self.status(at);
            status.state = State::Ran;
            std::mem::take(&mut status.waiting)
        };
        for one in &waiting {
            self.make_ready(*one);
        }
        if let Some(first) = waiting.into_iter().min() {
            self.move_back(&self.next_run, first);
        }
        if self.next_check.load(Ordering::SeqCst) > at {
            if !wider {
                return Some(Task::Check { at, incarnation });
            }
            self.move_back(&self.next_check, at);
        }
        self.in_work.fetch_sub(1, Ordering::SeqCst);
        None
    }

    /// A check failed. True for the one that gets to abort this run.
    #[must_use]
    pub fn try_abort(&self, at: usize, incarnation: u32) -> bool {
        let mut status = self.status(at);
        let first = status.incarnation == incarnation && status.state == State::Ran;
        if first {
            status.state = State::Aborting;
        }
        first
    }

    /// The check is over; after an abort, the versions are estimates by now.
    pub fn checked(&self, at: usize, aborted: bool) -> Option<Task> {
        if aborted {
            self.make_ready(at);
            self.move_back(&self.next_check, at + 1);
            if self.next_run.load(Ordering::SeqCst) > at
                && let Some(task) = self.try_begin(at)
            {
                return Some(task);
            }
        }
        self.in_work.fetch_sub(1, Ordering::SeqCst);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_alone_finishes_a_stretch_with_an_abort_and_a_wait() {
        let tasks = Tasks::new(3);
        let (mut runs, mut task, mut aborted, mut waited) = (Vec::new(), None, false, false);
        while !tasks.done() {
            task = match task.or_else(|| tasks.next()) {
                Some(Task::Run { at, incarnation }) => {
                    if at == 2 && !waited && tasks.wait(2, 1) {
                        waited = true;
                        None
                    } else {
                        runs.push((at, incarnation));
                        tasks.ran(at, incarnation, incarnation == 0)
                    }
                }
                Some(Task::Check { at, incarnation }) => {
                    let abort = at == 1 && !aborted && tasks.try_abort(at, incarnation);
                    aborted |= abort;
                    tasks.checked(at, abort)
                }
                None => None,
            };
        }
        runs.sort_unstable();
        assert!(aborted);
        assert_eq!(runs.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1, 1, 2]);
        assert!(runs.contains(&(1, 1)));
    }

    #[test]
    fn a_stretch_that_was_given_up_is_done() {
        let tasks = Tasks::new(2);
        assert!(!tasks.done());
        tasks.stop();
        assert!(tasks.done());
        assert!(Tasks::new(0).done());
    }
}

//! The kernel's own thread pool: built on first use, never rayon's global one, never before a fork.

use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{InputError, InputResult};

/// Most threads that `configure` takes.
pub const THREADS_MAX: usize = 256;

static CONFIGURED: Mutex<Option<usize>> = Mutex::new(None);
static POOL: OnceLock<ThreadPool> = OnceLock::new();

/// Set the size of the pool, before its first use.
///
/// # Errors
/// Out of range, or another size is in use.
pub fn configure(threads: usize) -> InputResult<()> {
    if !(1..=THREADS_MAX).contains(&threads) {
        return Err(InputError::new("kernel_threads", format!("1 to {THREADS_MAX}"), threads));
    }
    if let Some(pool) = POOL.get() {
        if pool.current_num_threads() == threads {
            return Ok(());
        }
        return Err(InputError::new("kernel_threads", "to be set before the pool's first use", threads));
    }
    *CONFIGURED.lock().unwrap_or_else(PoisonError::into_inner) = Some(threads);
    Ok(())
}

/// Run `work` on the pool.
///
/// # Panics
/// When the operating system gives no threads.
pub fn install<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    POOL.get_or_init(|| {
        let threads = CONFIGURED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("kernel-{index}"))
            .build()
            .expect("threads can be started")
    })
    .install(work)
}

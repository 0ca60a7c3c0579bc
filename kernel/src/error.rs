//! Errors of the kernel. Bad input is always a value here, never a panic.

use thiserror::Error;

/// Longest text that an error keeps of what it was given, in characters.
pub const GOT_CHARS_MAX: usize = 200;

/// What a caller, a peer or a stored file got wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: expected {expected}, got {got}")]
pub struct InputError {
    /// Name of the parameter or field, as the caller knows it.
    pub field: String,
    pub expected: String,
    pub got: String,
}

impl InputError {
    /// Build one; `got` is cut to [`GOT_CHARS_MAX`].
    #[allow(clippy::needless_pass_by_value)] // callers hand over literals, numbers and errors alike
    pub fn new(field: impl Into<String>, expected: impl Into<String>, got: impl ToString) -> Self {
        let got: String = got.to_string().chars().take(GOT_CHARS_MAX).collect();
        Self { field: field.into(), expected: expected.into(), got }
    }
}

/// Result of everything that reads bytes from outside.
pub type InputResult<T> = Result<T, InputError>;

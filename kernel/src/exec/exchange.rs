//! The hand-over between a job and its caller: what was asked, and that the answer comes next.

use super::need::{Keys, RawValues, Values};
use super::state::JobState;
use crate::error::{InputError, InputResult};

/// Where a job stands between two steps.
#[derive(Debug, Default)]
pub enum Exchange {
    /// Nothing is asked.
    #[default]
    Free,
    /// Waiting for the answer.
    Asked(Keys),
    /// The job has ended.
    Over,
}

impl Exchange {
    /// What a step begins with: fold in the answer to what was asked. After an error the right answer may still be given.
    ///
    /// # Errors
    /// An answer without a question, a question without an answer, a malformed answer, or a job that has ended.
    pub fn take_up(&mut self, state: &mut JobState, values: Option<&RawValues<'_>>) -> InputResult<()> {
        match (&*self, values) {
            (Self::Asked(asked), Some(raw)) => {
                let values = Values::read(asked, raw)?;
                state.accept(asked, values);
                *self = Self::Free;
                Ok(())
            }
            (Self::Free, None) => Ok(()),
            (Self::Asked(_), None) => Err(InputError::new("values", "the answer to the last need", "nothing")),
            (Self::Over, _) => Err(InputError::new("step", "a job that has not ended", "an ended one")),
            (Self::Free, Some(_)) => Err(InputError::new("values", "nothing, since nothing was asked", "values")),
        }
    }

    /// Ask for what the state wants.
    pub fn ask(&mut self, state: &mut JobState) -> Keys {
        let asked = state.take_wanted();
        *self = Self::Asked(asked.clone());
        asked
    }

    /// No step follows.
    pub fn end(&mut self) {
        *self = Self::Over;
    }
}

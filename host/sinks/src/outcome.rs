//! What became of a message, and how the other side's words about it are told.

use std::time::Duration;

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Accepted,
    /// This message was not taken, and may be tried again.
    Retry {
        /// Why.
        reason: String,
        /// How long the sink asks to be left alone with it.
        after: Option<Duration>,
    },
    /// The sink could not be asked, or takes nothing at all now. Nobody knows whether it took this message; it may be tried
    /// again, and says nothing against the message.
    Unavailable {
        /// Why.
        reason: String,
        /// How long the sink asks to be left alone.
        after: Option<Duration>,
    },
    /// It will never be taken as it is.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    pub(crate) fn retry(reason: impl Into<String>) -> Self {
        Self::Retry {
            reason: reason.into(),
            after: None,
        }
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable {
            reason: reason.into(),
            after: None,
        }
    }

    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into() }
    }
}

/// Words of the other side as they may be told: one line, and not without end.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().map(printable).take(chars_max).collect()
}

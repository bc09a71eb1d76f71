//! A script: a JSON list of commands, done one after the other.
//!
//! Two steps are of scripts alone, for a script cannot do what a test does between its calls:
//! `{"do": "wait_until_read"}` waits until all records there are have been read, and
//! `{"do": "wait", "milliseconds": 500}` waits by the wall clock.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::command::{Command, CommandError};
use crate::simulator::Simulator;

/// A list of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Command(Box<Command>),
    Wait(Wait),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Wait {
    WaitUntilRead {},
    Wait { milliseconds: u64 },
}

/// Why a script cannot be done, or no further. Steps are counted from 1; those before were done.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is not a list of JSON objects.
    #[error("the script is not a JSON list")]
    List(#[source] serde_json::Error),
    /// A step cannot be understood. No step was done.
    #[error("step {step} of the script cannot be understood")]
    Step {
        /// Which.
        step: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A step failed.
    #[error("step {step} of the script failed")]
    Command {
        /// Which.
        step: usize,
        /// Why.
        #[source]
        source: CommandError,
    },
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// It is no list, or one of its steps is none.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let values: Vec<Value> = serde_json::from_str(text).map_err(ScriptError::List)?;
        let steps = values.into_iter().zip(1..).map(|(value, step)| {
            let parsed = Step::parse(value);
            parsed.map_err(|source| ScriptError::Step { step, source })
        });
        Ok(Self {
            steps: steps.collect::<Result<_, _>>()?,
        })
    }

    /// Does its steps.
    ///
    /// # Errors
    ///
    /// A step failed.
    pub async fn run(self, simulator: &Simulator) -> Result<(), ScriptError> {
        for (step, number) in self.steps.into_iter().zip(1..) {
            match step {
                Step::Command(command) => {
                    let done = simulator.apply(*command);
                    done.map_err(|source| ScriptError::Command { step: number, source })?;
                }
                Step::Wait(Wait::WaitUntilRead {}) => simulator.all_read().await,
                Step::Wait(Wait::Wait { milliseconds }) => {
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                }
            }
        }
        Ok(())
    }
}

impl Step {
    fn parse(value: Value) -> Result<Self, serde_json::Error> {
        match value["do"].as_str() {
            Some("wait_until_read" | "wait") => serde_json::from_value(value).map(Self::Wait),
            _ => serde_json::from_value(value).map(|command| Self::Command(Box::new(command))),
        }
    }
}

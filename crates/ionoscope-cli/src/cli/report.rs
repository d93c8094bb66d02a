//! `ionoscope report`: draws a report again from its answers.

use serde_json::Value;

use super::{delivery::Delivery, shared::Shared};
use ionoscope::{
    Result,
    questions::{Report, Task},
};

/// Draws the report of a folder again from its saved answers; computes nothing
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    task: Report,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let answer = self.task.run(&shared.watch)?;
        Delivery::default().deliver(&answer, &Value::Null, shared)
    }
}

//! `ionoscope reproduce`: a paper, end to end, into one report.

use serde_json::Value;

use super::{delivery::Delivery, shared::Shared};
use ionoscope::{
    Result,
    questions::{Reproduce, Task},
};

/// Reproduces a paper, end to end, into one report
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    task: Reproduce,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let answer = self.task.run(&shared.watch)?;
        Delivery::default().deliver(&answer, &Value::Null, shared)
    }
}

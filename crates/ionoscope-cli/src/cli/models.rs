//! `ionoscope models`: what there is, and what one model says of itself.

use serde_json::Value;

use super::{delivery::Delivery, shared::Shared};
use ionoscope::{
    Result,
    questions::{Models, Task},
};

/// Lists the models, or shows variables, parameters, units and citation of one
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    task: Models,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let answer = self.task.run(&shared.watch)?;
        Delivery::default().deliver(&answer, &Value::Null, shared)
    }
}

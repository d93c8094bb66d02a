//! `ionoscope evaluate`: how far a surrogate is from the responses of a dataset.

use serde_json::Value;

use super::{delivery::Delivery, shared::Shared};
use ionoscope::{
    Result,
    questions::{Evaluate, Task},
};

/// Measures a Fourier neural operator, or a map that takes a stimulus, on a dataset: normalized and physical errors, spikes, by variable and class of stimulus
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  ionoscope evaluate out/fhn/surrogate.safetensors out/fhn/responses.safetensors\n  \
                        ionoscope evaluate out/fhn/surrogate.safetensors out/fhn/responses.safetensors --set validation --json\n  \
                        ionoscope evaluate pretrained/hh-fno.safetensors mine/responses.safetensors --calibrate mine/hh-fno.safetensors"
)]
pub struct Arguments {
    #[command(flatten)]
    task: Evaluate,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let answer = self.task.run(&shared.watch)?;
        Delivery::default().deliver(&answer, &Value::Null, shared)
    }
}

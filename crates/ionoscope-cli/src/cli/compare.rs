//! `ionoscope compare`: two systems side by side in one report.

use std::path::PathBuf;

use ionoscope_dynamics::protocol::Step;
use serde_json::Value;

use super::{arguments::SystemArguments, delivery::Delivery, shared::Shared};
use ionoscope::{
    Result, options,
    questions::{Compare, Task},
};

/// Compares two systems, equations or networks: one report of tables and figures
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope compare stankevich-2017 pretrained/stankevich-2017-dt0.005.safetensors -o out/compare
  ionoscope compare sherman-1988 stankevich-2017 --over v_s=-40:-30 --quick -o out/forms
  ionoscope compare hodgkin-huxley-1952 pretrained/hh-map.safetensors --over i_stim=0:20 -o out/currents")]
pub struct Arguments {
    #[command(flatten)]
    task: Compare,
    /// A constant stimulus as the other verbs take it, I from 0 on
    #[arg(long, value_name = "I:START:DURATION", value_parser = options::stimulus, allow_hyphen_values = true, conflicts_with = "protocol")]
    stimulus: Vec<Step>,
    /// A constant stimulus in a protocol (.toml, .csv)
    #[arg(long, value_name = "FILE")]
    protocol: Option<PathBuf>,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let mut task = self.task.clone();
        if !self.stimulus.is_empty() || self.protocol.is_some() {
            let reference = SystemArguments {
                system: task.a.clone(),
                preset: None,
                parameters: Vec::new(),
                x0: Vec::new(),
                i_stim: None,
                stimulus: self.stimulus.clone(),
                protocol: self.protocol.clone(),
            };
            task.i_stim = Some(reference.open(shared)?.constant_stimulus()?);
        }
        let answer = task.run(&shared.watch)?;
        Delivery::default().deliver(&answer, &Value::Null, shared)
    }
}

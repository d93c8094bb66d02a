//! The system that a verb asks about, with all that can be set of it.

use std::path::PathBuf;

use clap::Args;
use ionoscope_dynamics::protocol::{Protocol, Step, Stimulus};

use super::shared::Shared;
use ionoscope::{
    Result,
    options::{name_value, number, stimulus},
    protocol_file,
    subject::{Settings, Subject},
};

/// A system with all that is set of it: preset, parameters, start and stimulus. Every verb that asks about a system takes these.
#[derive(Args, Clone, Debug)]
pub struct SystemArguments {
    /// Identifier of a model (see `ionoscope models`) or path to a surrogate (.safetensors)
    #[arg(value_name = "SYSTEM")]
    pub system: String,
    /// A named alternative to the default start and parameters (see `ionoscope models SYSTEM`); --param and --x0 change it further
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// A parameter other than its default; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = name_value, value_delimiter = ',')]
    pub parameters: Vec<(String, f64)>,
    /// A start other than the default; may be repeated. What is conserved, such as a cell's charge, stays at its value there
    #[arg(long = "x0", value_name = "NAME=VALUE", value_parser = name_value, value_delimiter = ',')]
    pub x0: Vec<(String, f64)>,
    /// A constant stimulus; positive depolarizes [default: none]
    #[arg(long, value_name = "I", value_parser = number, allow_negative_numbers = true, conflicts_with_all = ["stimulus", "protocol"])]
    pub i_stim: Option<f64>,
    /// A stimulus I[:START[:DURATION]] from START (default: 0) for DURATION (default: for ever), in the system's units; may be repeated
    #[arg(long, value_name = "I:START:DURATION", value_parser = stimulus, allow_hyphen_values = true, conflicts_with = "protocol")]
    pub stimulus: Vec<Step>,
    /// Stimulus protocol (.toml), or a sampled current with columns time,current (.csv)
    #[arg(long, value_name = "FILE")]
    pub protocol: Option<PathBuf>,
}

impl SystemArguments {
    /// The subject, which stops its work when the process should.
    ///
    /// # Errors
    /// An unknown system, preset, parameter or variable; a value outside its range; a file that
    /// holds no stimulus, or one in another unit than the system's.
    pub fn open(&self, shared: &Shared) -> Result<Subject> {
        Subject::open(&self.system, &self.settings()?, &shared.watch)
    }

    /// What is set of the system.
    ///
    /// # Errors
    /// A file that holds no stimulus.
    pub fn settings(&self) -> Result<Settings> {
        let lasting = self.stimulus.iter().filter(|s| s.duration != Some(0.0));
        let protocol = match &self.protocol {
            Some(path) => protocol_file::read(path)?,
            None => Protocol {
                stimuli: lasting.cloned().map(Stimulus::Step).collect(),
                ..Protocol::none()
            },
        };
        Ok(Settings {
            preset: self.preset.clone(),
            parameters: self.parameters.clone(),
            x0: self.x0.clone(),
            i_stim: self.i_stim,
            protocol,
        })
    }
}

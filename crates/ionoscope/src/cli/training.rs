//! What `dataset` and `train` share: their configuration, the data in the folder, the stop.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use indicatif::{ProgressBar, ProgressStyle};
use ionoscope_learn::train::Device;

use super::Shared;
use crate::{
    Error, Result,
    config::{self, AnyConfiguration},
    pipeline::{self, Data, Watch},
};

/// A configuration, what replaces single values of it, and the folder of the results.
#[derive(clap::Args, Debug)]
pub struct ConfigurationArguments {
    /// Configuration file (TOML): sections [dataset] and [train] for a map, [responses] and [operator] for a Fourier neural operator
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// Replaces one value of the configuration, such as train.hidden=50; may be repeated
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    changes: Vec<String>,
    /// Seed of data and training, in place of the configuration's
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Folder for the results; made if it is not there
    #[arg(short, long = "output", value_name = "DIR")]
    pub output: PathBuf,
}

/// Where to train.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub enum On {
    /// All cores of this machine
    Cpu,
    /// The first NVIDIA GPU (CUDA_VISIBLE_DEVICES chooses); operators only
    Cuda,
}

impl From<On> for Device {
    fn from(on: On) -> Self {
        match on {
            On::Cpu => Device::Cpu,
            On::Cuda => Device::Cuda,
        }
    }
}

impl ConfigurationArguments {
    /// The configuration with its replacements.
    ///
    /// # Errors
    /// A file that cannot be read, a key that does not exist, a value that makes no sense.
    pub fn load(&self) -> Result<AnyConfiguration> {
        let mut configuration = config::load_any(&self.config, &self.changes)?;
        if let Some(seed) = self.seed {
            match &mut configuration {
                AnyConfiguration::Map(c) => (c.dataset.seed, c.train.seed) = (seed, seed),
                AnyConfiguration::Operator(c) => (c.responses.seed, c.operator.seed) = (seed, seed),
            }
        }
        Ok(configuration)
    }

    /// The data in the folder, or new ones, as of [`pipeline::data_in`], with a progress bar.
    ///
    /// # Errors
    /// As there.
    pub fn data(&self, configuration: &AnyConfiguration, stop: &Arc<AtomicBool>, shared: &Shared) -> Result<(Data, PathBuf)> {
        let visible = !shared.quiet && io::stderr().is_terminal();
        let bar = if visible { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len}, {eta} left") {
            bar.set_style(style);
        }
        let made = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let found = pipeline::data_in(&self.output, configuration, &Watch { tell: &|m| shared.tell(m), made: &made, stop: stop.clone() });
        bar.finish_and_clear();
        found
    }
}

/// A flag that Ctrl-C raises; a second Ctrl-C ends the process at once.
///
/// # Errors
/// The signal cannot be watched.
pub fn interrupt() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    let handler = move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        let _ = writeln!(io::stderr(), "stopping at the next step; Ctrl-C again stops at once");
    };
    ctrlc::set_handler(handler).map_err(|e| Error::Failed(format!("cannot watch for Ctrl-C: {e}")))?;
    Ok(flag)
}

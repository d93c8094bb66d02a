//! What `dataset` and `train` share: their configuration and the data in the folder.

use std::path::PathBuf;

use super::shared::Shared;
use ionoscope::{
    Result,
    config::{self, AnyConfiguration},
    pipeline::{self, Data},
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

    /// The data in the folder, or new ones, as of [`pipeline::data_in`].
    ///
    /// # Errors
    /// As there.
    pub fn data(
        &self,
        configuration: &AnyConfiguration,
        shared: &Shared,
    ) -> Result<(Data, PathBuf)> {
        pipeline::data_in(&self.output, configuration, &shared.watch)
    }
}

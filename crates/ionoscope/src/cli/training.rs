//! What `dataset` and `train` share: their configuration, the data, the folder.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ionoscope_learn::dataset::{Dataset, DatasetConfig};
use serde::Serialize;

use super::Shared;
use crate::{
    Error, Result, artifact,
    config::{self, AnyConfiguration, Configuration},
    pipeline,
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

    /// The dataset in the folder, which must have been made by the same configuration, or a new one, which is then saved there.
    ///
    /// # Errors
    /// A dataset in the folder that is damaged or another one; a dataset that cannot be made or saved.
    pub fn dataset(&self, config: &DatasetConfig, shared: &Shared) -> Result<(Dataset, PathBuf)> {
        artifact::check_folder(&self.output)?;
        std::fs::create_dir_all(&self.output).map_err(|e| Error::write(&self.output, e))?;
        let path = self.output.join("dataset.safetensors");
        if path.exists() {
            let data = Dataset::load(&path)?;
            config::same("dataset", &data.config, config).map_err(|difference| {
                let path = path.display();
                Error::Input(format!("{path} was made by another configuration: {difference}; choose another folder, or remove it"))
            })?;
            shared.tell(&format!("{}: found, made by the same configuration", path.display()));
            return Ok((data, path));
        }
        let chunks = config.chunks.saturating_add(config.new_chunks);
        shared.tell(&format!("sampling {chunks} trajectories of {}", config.model));
        let data = pipeline::sample(config)?;
        data.save(&path)?;
        Ok((data, path))
    }

    /// Keeps the resolved configuration beside the results.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn keep(&self, configuration: &Configuration) -> Result<()> {
        let text = toml::to_string(configuration).map_err(|e| Error::Failed(format!("the configuration cannot be written: {e}")))?;
        Ok(artifact::write_atomic(&self.output.join("config.toml"), |w| w.write_all(text.as_bytes()))?)
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

/// What a set of pairs is, for people and for JSON.
#[derive(Serialize)]
pub struct DatasetAnswer<'a> {
    file: &'a Path,
    model: &'a str,
    pairs: [usize; 3],
    redrawn: ionoscope_learn::dataset::Redrawn,
    hash: String,
}

impl<'a> DatasetAnswer<'a> {
    /// The answer for a dataset in a file.
    pub fn new(file: &'a Path, data: &'a Dataset) -> Self {
        DatasetAnswer {
            file,
            model: &data.config.model,
            pairs: [data.training.len(), data.validation.len(), data.new_chunks.len()],
            redrawn: data.redrawn,
            hash: format!("{:016x}", data.hash()),
        }
    }

    /// A line for people.
    pub fn line(&self) -> String {
        let [training, validation, new] = self.pairs;
        format!(
            "{}: {training} pairs to train on, {validation} for validation, {new} of new chunks; {} chunks drawn again",
            self.file.display(),
            self.redrawn.on_fixed_point + self.redrawn.failed
        )
    }
}

//! A paper, end to end, into one report.

use std::{path::PathBuf, time::Instant};

use ionoscope_dynamics::watch::{Watch, Watcher};
use ionoscope_learn::train::Device;
use serde::Deserialize;
use serde_json::json;

use super::question::Task;
use crate::{
    Error, Result,
    answer::Answer,
    artifact,
    reproduce::{kuptsov_2023, pellegrini_2025},
};

/// Reproduces a paper, end to end, into one report
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Reproduce {
    /// Which paper
    #[cfg_attr(feature = "clap", arg(value_enum))]
    pub paper: Paper,
    /// Fewer networks, data and steps: minutes instead of hours
    #[cfg_attr(feature = "clap", arg(long))]
    #[serde(default)]
    pub quick: bool,
    /// Which cells of pellegrini-2025 [default: fhn]
    #[cfg_attr(feature = "clap", arg(long, value_enum))]
    #[serde(default)]
    pub model: Option<Model>,
    /// Train the networks of pellegrini-2025 without a limit on their size too (8 to 13 million weights: for a GPU)
    #[cfg_attr(feature = "clap", arg(long))]
    #[serde(default)]
    pub free: bool,
    /// Where to train the networks of pellegrini-2025 [default: cpu]
    #[cfg_attr(feature = "clap", arg(long, value_enum))]
    #[serde(default)]
    pub device: Option<On>,
    /// Number of repetitions of kuptsov-2023, each with its own seed [default: 1]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000), allow_negative_numbers = true))]
    #[serde(default)]
    pub seeds: Option<u64>,
    /// The first seed
    #[cfg_attr(feature = "clap", arg(
        long,
        value_name = "N",
        default_value_t = first_seed(),
        allow_negative_numbers = true
    ))]
    #[serde(default = "first_seed")]
    pub seed: u64,
    /// Use what an earlier run with the same configuration left in the folder
    #[cfg_attr(feature = "clap", arg(long))]
    #[serde(default)]
    pub resume: bool,
    /// Folder for the report and everything else; made if it is not there
    #[cfg_attr(feature = "clap", arg(short, long = "output", value_name = "DIR"))]
    pub output: PathBuf,
}

fn first_seed() -> u64 {
    1
}

/// A paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Paper {
    /// Kuptsov, Stankevich, Bagautdinova 2023: neural maps of the pancreatic beta-cell
    #[cfg_attr(feature = "clap", value(name = "kuptsov-2023"))]
    #[serde(rename = "kuptsov-2023")]
    Kuptsov2023,
    /// Pellegrini, Ghiotto, Centofanti, Pavarino 2025: Fourier neural operators from a stimulus to all variables of a cell
    #[cfg_attr(feature = "clap", value(name = "pellegrini-2025"))]
    #[serde(rename = "pellegrini-2025")]
    Pellegrini2025,
}

/// The cells of Pellegrini et al.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// FitzHugh-Nagumo
    Fhn,
    /// Hodgkin-Huxley
    Hh,
    /// O'Hara-Rudy
    Ord,
    /// All three
    All,
}

/// Where to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
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

/// Says beside each line how long the whole has taken.
struct Timed {
    start: Instant,
    watch: Watcher,
}

impl Watch for Timed {
    fn stopped(&self) -> bool {
        self.watch.stopped()
    }

    fn progress(&self, done: usize, of: usize, what: &str) {
        self.watch.progress(done, of, what);
    }

    fn tell(&self, text: &str) {
        self.watch.tell(&format!(
            "[{:7.1} s] {text}",
            self.start.elapsed().as_secs_f64()
        ));
    }
}

impl Task for Reproduce {
    fn run(&self, watch: &Watcher) -> Result<Answer> {
        artifact::check_folder(&self.output)?;
        let watch = Watcher::new(Timed {
            start: Instant::now(),
            watch: watch.clone(),
        });
        let (quick, seed, resume, dir) = (self.quick, self.seed, self.resume, self.output.clone());
        match self.paper {
            Paper::Kuptsov2023 if self.model.is_some() => {
                return Err(Error::Input(
                    "--model belongs to pellegrini-2025; kuptsov-2023 has its two cells".into(),
                ));
            }
            Paper::Kuptsov2023 if self.free || self.device.is_some() => {
                return Err(Error::Input(
                    "--free and --device belong to pellegrini-2025".into(),
                ));
            }
            Paper::Kuptsov2023 => {
                let options = kuptsov_2023::Options {
                    quick,
                    seeds: self.seeds.unwrap_or(1),
                    seed,
                    resume,
                    dir,
                };
                kuptsov_2023::run(&options, &watch)?;
            }
            Paper::Pellegrini2025 if self.seeds.is_some() => {
                return Err(Error::Input(
                    "--seeds belongs to kuptsov-2023; for pellegrini-2025 give --seed, run by run"
                        .into(),
                ));
            }
            Paper::Pellegrini2025 => {
                use pellegrini_2025::cells::{ALL, FHN, HH, ORD};
                let cells = match self.model.unwrap_or(Model::Fhn) {
                    Model::Fhn => vec![&FHN],
                    Model::Hh => vec![&HH],
                    Model::Ord => vec![&ORD],
                    Model::All => ALL.to_vec(),
                };
                let (free, device) = (self.free, self.device.map_or(Device::Cpu, Device::from));
                let options = pellegrini_2025::Options {
                    cells,
                    quick,
                    free,
                    device,
                    seed,
                    resume,
                    dir,
                    pretrained: "pretrained".into(),
                };
                pellegrini_2025::run(&options, &watch)?;
            }
        }
        let page = self.output.join("report.html").display().to_string();
        let mut answer = Answer::new(json!({ "report": page }));
        answer.line(page);
        Ok(answer)
    }
}

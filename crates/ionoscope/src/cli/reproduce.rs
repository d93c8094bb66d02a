//! `ionoscope reproduce`: a paper, end to end, into one report.

use std::{path::PathBuf, time::Instant};

use ionoscope_dynamics::watch::{Watch, Watcher};
use ionoscope_learn::train::Device;

use super::{Shared, print, training::On};
use crate::{
    Error, Result, artifact,
    reproduce::{kuptsov_2023, pellegrini_2025},
};

/// Reproduces a paper, end to end, into one report
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Which paper
    #[arg(value_enum)]
    paper: Paper,
    /// Fewer networks, data and steps: minutes instead of hours
    #[arg(long)]
    quick: bool,
    /// Which cells of pellegrini-2025 [default: fhn]
    #[arg(long, value_enum)]
    model: Option<Model>,
    /// Train the networks of pellegrini-2025 without a limit on their size too (8 to 13 million weights: for a GPU)
    #[arg(long)]
    free: bool,
    /// Where to train the networks of pellegrini-2025 [default: cpu]
    #[arg(long, value_enum)]
    device: Option<On>,
    /// Number of repetitions of kuptsov-2023, each with its own seed [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000), allow_negative_numbers = true)]
    seeds: Option<u64>,
    /// The first seed
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    seed: u64,
    /// Use what an earlier run with the same configuration left in the folder
    #[arg(long)]
    resume: bool,
    /// Folder for the report and everything else; made if it is not there
    #[arg(short, long = "output", value_name = "DIR")]
    output: PathBuf,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Paper {
    /// Kuptsov, Stankevich, Bagautdinova 2023: neural maps of the pancreatic beta-cell
    #[value(name = "kuptsov-2023")]
    Kuptsov2023,
    /// Pellegrini, Ghiotto, Centofanti, Pavarino 2025: Fourier neural operators from a stimulus to all variables of a cell
    #[value(name = "pellegrini-2025")]
    Pellegrini2025,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Model {
    /// FitzHugh-Nagumo
    Fhn,
    /// Hodgkin-Huxley
    Hh,
    /// O'Hara-Rudy
    Ord,
    /// All three
    All,
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

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        artifact::check_folder(&self.output)?;
        let watch = Watcher::new(Timed {
            start: Instant::now(),
            watch: shared.watch.clone(),
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
        print(|w| writeln!(w, "{}", self.output.join("report.html").display()))
    }
}

//! `ionoscope reproduce`: a paper, end to end, into one report.

use std::{path::PathBuf, time::Instant};

use super::{Shared, print, training::interrupt};
use crate::{Result, artifact, reproduce::kuptsov_2023};

/// Reproduces a paper, end to end, into one report
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Which paper
    #[arg(value_enum)]
    paper: Paper,
    /// Fewer networks, data and steps: minutes instead of the better part of an hour
    #[arg(long)]
    quick: bool,
    /// Number of repetitions, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000), allow_negative_numbers = true)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
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
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let Paper::Kuptsov2023 = self.paper;
        let options =
            kuptsov_2023::Options { quick: self.quick, seeds: self.seeds, seed: self.seed, resume: self.resume, dir: self.output.clone() };
        artifact::check_folder(&options.dir)?;
        let start = Instant::now();
        let say = |message: &str| shared.tell(&format!("[{:7.1} s] {message}", start.elapsed().as_secs_f64()));
        kuptsov_2023::run(&options, &interrupt()?, &say)?;
        print(|w| writeln!(w, "{}", self.output.join("report.html").display()))
    }
}

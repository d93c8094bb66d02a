//! Pellegrini, Ghiotto, Centofanti, Pavarino (2025), arXiv 2505.14039: Fourier neural operators from a stimulus to all variables of a cell. The
//! paper's networks of fixed size and ours with at most as many weights, on the same stimuli, judged by what users care about.

use std::{path::PathBuf, time::Instant};

use ionoscope_dynamics::{models, trajectory::SolveOptions, watch::Watcher};
use ionoscope_learn::{
    architectures::fno::Fno,
    responses::{ResponseConfig, ResponseData, respond},
    train::{Device, operator::check_device},
};
use serde_json::json;

use crate::{
    Result,
    artifact::{write_atomic, write_json},
    evaluation::{Evaluation, evaluate},
    report::store,
};
use cells::PaperCell;
use networks::{NetworkTrainer, TrainedNetwork};

pub mod cells;
mod figures;
mod networks;
mod report;

/// Test sets that are drawn anew, besides that of the dataset, and how many samples each has.
const DRAWS: u64 = 3;
const SAMPLES: usize = 375;

/// Names of networks: what is trained here by our rules, and what was before.
const OURS: &str = "ours";
const COMES_ALONG: &str = "comes along";

/// What the user can choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cells, in order.
    pub cells: Vec<&'static PaperCell>,
    /// Short trainings, for a first look.
    pub quick: bool,
    /// The paper's networks without a limit on their size too.
    pub free: bool,
    /// Where to train.
    pub device: Device,
    /// Seed of data and networks.
    pub seed: u64,
    /// Go on with what an earlier run with the same configuration left in the folder.
    pub resume: bool,
    /// Folder of the run.
    pub dir: PathBuf,
    /// Folder with the networks that come along, `fhn-fno.safetensors` and so on; those that are there are judged too.
    pub pretrained: PathBuf,
}

/// A network and how it did on every draw.
pub(crate) struct Judged {
    pub made: TrainedNetwork,
    /// Of each draw.
    pub evaluations: Vec<Evaluation>,
    /// Seconds for the traces of one draw.
    pub inference: f64,
}

/// A cell with its networks.
pub(crate) struct Findings {
    pub cell: &'static PaperCell,
    pub data: ResponseData,
    /// Test sets.
    pub draws: Vec<ResponseData>,
    pub networks: Vec<Judged>,
    /// Seconds that the equations take for the traces of one draw.
    pub solver: f64,
}

/// Runs everything and writes the folder: `report.html`, `summary.json`, `figures/`, `tables/`, `answers/`, `networks/`.
///
/// `watch` is told how far it is, and stops it, with checkpoints.
///
/// # Errors
/// A folder that cannot be written, a training that fails or is interrupted.
pub fn run(options: &Options, watch: &Watcher) -> Result<()> {
    super::unless_stopped(run_all(options, watch), watch)
}

fn run_all(options: &Options, watch: &Watcher) -> Result<()> {
    let start = Instant::now();
    check_device(options.device)?;
    for folder in ["", "networks"] {
        store::make(&options.dir.join(folder))?;
    }
    let outcomes = options
        .cells
        .iter()
        .map(|cell| one(cell, options, watch))
        .collect::<Result<Vec<_>>>()?;
    watch.tell("report");
    let summary: Vec<_> = outcomes.iter().map(report::summary).collect();
    write_json(
        &options.dir.join("summary.json"),
        &json!({ "cells": summary, "quick": options.quick, "seed": options.seed }),
    )?;
    let (heading, sections) = report::report(options, &outcomes, start.elapsed().as_secs_f64());
    store::save(&options.dir, &heading, &sections)?;
    store::draw(&options.dir)?;
    write_atomic(&options.dir.join("README.txt"), |w| {
        w.write_all(FOLDER.as_bytes())
    })?;
    Ok(())
}

const FOLDER: &str = "report.html     everything, one page; `ionoscope report DIR` draws it again from answers/\n\
summary.json    errors of every network on every test set\n\
networks/       every network with its configuration and learning curve, stage by stage\n\
figures/        every figure as SVG, and its data as CSV\n\
tables/         every table as CSV\n\
answers/        what the report is drawn from\n";

/// Test sets of a cell by the paper's recipe, each under a seed of its own.
fn draws(cell: &PaperCell, seed: u64, watch: &Watcher) -> Result<Vec<ResponseData>> {
    let system = models::find(cell.model)?;
    let draw = |k: u64| {
        let config = ResponseConfig {
            samples: [1, 1, SAMPLES],
            seed: seed.wrapping_add(1000 + k),
            ..cell.responses(seed)
        };
        Ok(respond(&*system, &config, &watch.silent())?)
    };
    (1..=DRAWS).map(draw).collect()
}

fn one(cell: &'static PaperCell, options: &Options, watch: &Watcher) -> Result<Findings> {
    let workshop = NetworkTrainer { options, watch };
    let draws = draws(cell, options.seed, watch)?;
    let (mut all, data) = workshop.train(cell)?;
    let path = options
        .pretrained
        .join(format!("{}-fno.safetensors", cell.name));
    if path.is_file() {
        let fno = Fno::load(&path)?;
        all.push(TrainedNetwork {
            name: COMES_ALONG.into(),
            about: path.display().to_string(),
            fno,
            curve: Vec::new(),
            seconds: None,
        });
    }
    let judge = |made: TrainedNetwork| {
        watch.tell(&format!(
            "{}: {} on {DRAWS} test sets",
            cell.name, made.name
        ));
        let mut seconds = f64::INFINITY;
        let mut evaluations = Vec::new();
        for draw in &draws {
            evaluations.push(evaluate(&made.fno, draw, &draw.test, &watch.silent())?);
            let conditions = draw.test.conditions();
            let begin = Instant::now();
            made.fno.respond(&conditions, draw.test.points)?;
            seconds = seconds.min(begin.elapsed().as_secs_f64());
        }
        Ok(Judged {
            made,
            evaluations,
            inference: seconds,
        })
    };
    let networks = all.into_iter().map(judge).collect::<Result<Vec<_>>>()?;
    let solver = solver_seconds(cell, options.seed, watch)?;
    Ok(Findings {
        cell,
        data,
        draws,
        networks,
        solver,
    })
}

/// How long the equations take for the traces of a test set, at tolerances whose errors are far below those of any network.
fn solver_seconds(cell: &PaperCell, seed: u64, watch: &Watcher) -> Result<f64> {
    let system = models::find(cell.model)?;
    let options = SolveOptions::default();
    let config = ResponseConfig {
        samples: [0, 0, SAMPLES],
        rtol: options.rtol,
        atol: options.atol,
        ..cell.responses(seed)
    };
    let begin = Instant::now();
    respond(&*system, &config, &watch.silent())?;
    Ok(begin.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::watch::StopFlag;

    use super::*;

    /// Networks far too small to be any good: whatever they do, there is a report, and it is the same when resumed.
    #[test]
    fn a_tiny_run_writes_its_report_and_resumes() {
        let dir = std::env::temp_dir().join(format!("ionoscope-pellegrini-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let options = |resume| Options {
            cells: vec![&cells::TINY],
            quick: true,
            free: true,
            device: Device::Cpu,
            seed: 1,
            resume,
            dir: dir.clone(),
            pretrained: "nowhere".into(),
        };
        let errors = |dir: &std::path::Path| {
            let summary: serde_json::Value =
                serde_json::from_str(&std::fs::read_to_string(dir.join("summary.json")).unwrap())
                    .unwrap();
            assert_eq!(summary["cells"][0]["networks"].as_array().unwrap().len(), 3);
            summary["cells"][0]["networks"][1]["error"].clone()
        };
        // A raised flag ends the training, and the folder can be gone on with.
        let raised = StopFlag::default();
        raised.raise();
        let stopped = run(&options(false), &Watcher::new(raised)).unwrap_err();
        assert!(
            !stopped.is_input() && stopped.to_string().contains("--resume"),
            "{stopped}"
        );
        run(&options(true), &Watcher::default()).unwrap();
        let first = errors(&dir);
        for file in [
            "report.html",
            "figures/fhn-worst.svg",
            "tables/fhn-errors.csv",
            "networks/fhn-paper-1/surrogate.safetensors",
        ] {
            assert!(dir.join(file).is_file(), "{file}");
        }
        run(&options(true), &Watcher::default()).unwrap();
        assert_eq!(errors(&dir), first);
        // Without --resume another training is not overwritten.
        assert!(run(&options(false), &Watcher::default()).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

//! `dataset` and `train` for Fourier neural operators: responses to random stimuli, and a network trained on them.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use ionoscope_dynamics::models;
use ionoscope_learn::{
    architectures::fno::Fno,
    checkpoint,
    responses::{Parts, ResponseConfig, ResponseData, respond_in_parts},
    train::{
        Ending, Existing, Record, Run,
        operator::{OperatorConfig, train_operator},
    },
};
use serde::Serialize;

use super::{Shared, print, print_json, training::interrupt};
use crate::{
    Error, Result, artifact,
    config::{self, OperatorConfiguration},
    memory,
};

/// The responses in the folder, which must have been made by the same configuration, or new ones, which are then saved there. A raised `stop` ends
/// that; the next call goes on with what was made.
///
/// # Errors
/// A dataset in the folder that is damaged or another one; one that cannot be made or saved.
pub fn responses(output: &Path, config: &ResponseConfig, stop: &AtomicBool, shared: &Shared) -> Result<(ResponseData, PathBuf)> {
    artifact::check_folder(output)?;
    std::fs::create_dir_all(output).map_err(|e| Error::write(output, e))?;
    let path = output.join("responses.safetensors");
    if path.exists() {
        let data = ResponseData::load(&path)?;
        config::same("responses", &data.config, config).map_err(|difference| {
            Error::Input(format!("{} was made by another configuration: {difference}; choose another folder, or remove it", path.display()))
        })?;
        shared.tell(&format!("{}: found, made by the same configuration", path.display()));
        return Ok((data, path));
    }
    let system = models::find(&config.model)?;
    let needed = config.bytes(system.spec().variables.len()).saturating_mul(3);
    memory::check("making and writing these responses", needed, "take fewer responses.samples or responses.points")?;
    let all = config.samples.iter().sum::<usize>();
    shared.tell(&format!("{all} responses of {}", config.model));
    let visible = !shared.quiet && std::io::stderr().is_terminal();
    let bar = if visible { ProgressBar::new(all as u64) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len}, {eta} left") {
        bar.set_style(style);
    }
    let parts = Parts::open(&output.join("responses.parts"), config)?;
    let data = respond_in_parts(&*system, config, Some(&parts), &|done, _| {
        bar.set_position(done as u64);
        !stop.load(Ordering::Relaxed)
    })?;
    bar.finish_and_clear();
    data.save(&path)?;
    parts.remove()?;
    Ok((data, path))
}

#[derive(Serialize)]
struct DatasetAnswer<'a> {
    file: &'a Path,
    model: &'a str,
    samples: [usize; 3],
    points: usize,
    variables: usize,
}

/// The verb `dataset`.
///
/// # Errors
/// As [`responses`].
pub fn dataset(output: &Path, configuration: &OperatorConfiguration, shared: &Shared) -> Result<()> {
    let (data, file) = responses(output, &configuration.responses, &*interrupt()?, shared)?;
    keep(output, configuration)?;
    let samples = [&data.training, &data.validation, &data.test].map(|s| s.len());
    let answer =
        DatasetAnswer { file: &file, model: &data.config.model, samples, points: data.config.points, variables: data.spec.variables.len() };
    if shared.json {
        return print_json(&answer);
    }
    let [training, validation, test] = samples;
    print(|w| {
        writeln!(
            w,
            "{}: {training} responses to train on, {validation} for validation, {test} for the test, at {} times",
            file.display(),
            data.config.points
        )
    })
}

/// Keeps the resolved configuration beside the results.
fn keep(output: &Path, configuration: &OperatorConfiguration) -> Result<()> {
    let text = toml::to_string(configuration).map_err(|e| Error::Failed(format!("the configuration cannot be written: {e}")))?;
    Ok(artifact::write_atomic(&output.join("config.toml"), |w| w.write_all(text.as_bytes()))?)
}

#[derive(Serialize)]
struct TrainAnswer {
    surrogate: PathBuf,
    ending: Ending,
    seconds: f64,
    weights: usize,
    epochs: usize,
    validation: Option<f64>,
    validation_epoch: Option<u64>,
}

/// How a training is run.
pub struct Circumstances {
    /// Go on from the folder's checkpoint.
    pub resume: bool,
    /// Weights to start from.
    pub from: Option<PathBuf>,
    /// Stop after this time.
    pub time_limit: Option<Duration>,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
}

/// The verb `train`.
///
/// # Errors
/// As [`responses`] and [`train_operator`]; a surrogate that cannot be written; an interruption.
pub fn train(output: &Path, configuration: &OperatorConfiguration, how: &Circumstances, shared: &Shared) -> Result<()> {
    let from = how.from.as_deref().map(Fno::load).transpose()?;
    let stop = interrupt()?;
    let (data, _) = responses(output, &configuration.responses, &stop, shared)?;
    if !checkpoint::exists(output) {
        keep(output, configuration)?;
    }
    let config: &OperatorConfig = &configuration.operator;
    let weights = config.weight_count(data.spec.variables.len(), data.config.windows > 0);
    let needed = config.bytes(&data.config, data.spec.variables.len(), rayon::current_num_threads());
    memory::check("this training", needed, "take fewer samples or points, a smaller network, or fewer --threads")?;
    shared.tell(&format!("{weights} weights"));
    let mut progress = |record: &Record| {
        let Record::Adam(r) = record else { return };
        if r.validation.is_some() || r.epoch == 1 {
            let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
            let validation = r.validation.as_ref().map_or(String::new(), |v| format!(", validation {:.3} %", 100.0 * mean(v)));
            shared.tell(&format!(
                "epoch {} of {}: training {:.3} %{validation}, {:.0} samples/s, {:.0} s left",
                r.epoch,
                config.adam.epochs,
                100.0 * mean(&r.training),
                r.samples_per_second,
                r.seconds_left
            ));
        }
    };
    let run = &mut Run {
        directory: Some(output),
        existing: if how.resume { Existing::Resume } else { Existing::Refuse },
        from: from.as_ref(),
        time_limit: how.time_limit,
        checkpoint_every: how.checkpoint_every,
        interrupt: Some(stop),
        progress: Some(&mut progress),
    };
    let trained = train_operator(&data, config, run)?;
    let surrogate = output.join("surrogate.safetensors");
    trained.fno.save(&surrogate)?;
    let answer = TrainAnswer {
        surrogate,
        ending: trained.ending,
        seconds: trained.seconds,
        weights,
        epochs: trained.history.len(),
        validation: trained.validation.map(|v| v.0),
        validation_epoch: trained.validation.map(|v| v.1),
    };
    if shared.json {
        print_json(&answer)?;
    } else {
        let error = trained.validation.map_or("not measured".into(), |(e, epoch)| format!("{:.3} % (epoch {epoch})", 100.0 * e));
        print(|w| writeln!(w, "{}: {weights} weights, normalised error on the validation set {error}", answer.surrogate.display()))?;
    }
    match answer.ending {
        Ending::Completed | Ending::TimeLimit => Ok(()),
        Ending::Interrupted => Err(Error::Failed("interrupted; the same command with --resume goes on from here".into())),
    }
}

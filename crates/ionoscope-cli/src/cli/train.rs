//! `ionoscope train`: a dataset and a surrogate trained on it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ionoscope_learn::train::{Ending, Existing, Record, StepErrors};
use serde::Serialize;

use super::{
    shared::{Shared, print, print_json},
    training::ConfigurationArguments,
};
use ionoscope::{
    Error, Result,
    config::AnyConfiguration,
    options::positive,
    pipeline::{self, Data, Learned, Measured, Surrogate, TrainingOptions},
    questions::reproduce::On,
};

/// Trains a surrogate, on the dataset in the folder or a new one
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  ionoscope train examples/beta-cell.toml -o out/cell\n  \
                        ionoscope train examples/beta-cell.toml -o out/cell --resume\n  \
                        ionoscope train examples/fhn-fno.toml -o out/fhn --time-limit 600\n  \
                        ionoscope train examples/beta-cell.toml -o out/finer --set dataset.dt=0.001 --time-limit 600"
)]
pub struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationArguments,
    /// Go on from the folder's checkpoint; begins where there is none
    #[arg(long)]
    resume: bool,
    /// Start from the weights of this surrogate, which is kept where training makes nothing better
    #[arg(long, value_name = "FILE.safetensors")]
    from: Option<PathBuf>,
    /// Stop after so many seconds, with a checkpoint from which --resume goes on
    #[arg(long, value_name = "SECONDS", value_parser = positive, allow_negative_numbers = true)]
    time_limit: Option<f64>,
    /// Time between two checkpoints
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = positive, allow_negative_numbers = true)]
    checkpoint_every: f64,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = On::Cpu)]
    device: On,
}

#[derive(Serialize)]
struct Answer<'a> {
    surrogate: &'a Path,
    ending: Ending,
    seconds: f64,
    weights: usize,
    #[serde(flatten)]
    measured: &'a Measured,
    warnings: &'a [String],
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let time_limit = self
            .time_limit
            .map(|s| duration("--time-limit", s))
            .transpose()?;
        let checkpoint_every = duration("--checkpoint-every", self.checkpoint_every)?;
        let configuration = self.configuration.load()?;
        let from = self.from.as_deref().map(Surrogate::load).transpose()?;
        pipeline::check_training(&configuration, from.as_ref(), self.device.into())?;
        let (data, _) = self.configuration.data(&configuration, shared)?;
        let output = &self.configuration.output;
        let how = TrainingOptions {
            folder: Some(output),
            existing: if self.resume {
                Existing::Resume
            } else {
                Existing::Refuse
            },
            from: from.as_ref(),
            time_limit,
            checkpoint_every,
            watch: shared.watch.clone(),
            device: self.device.into(),
        };
        // Once the folder is this training's own: until then another one may be at work there.
        let mut kept = false;
        let mut progress = |record: &Record| {
            kept = kept || pipeline::keep(output, &configuration).is_ok();
            let line = match &configuration {
                AnyConfiguration::Map(c) => pipeline::progress_line(record, &c.train),
                AnyConfiguration::Operator(c) => {
                    pipeline::operator_line(record, c.operator.adam.epochs)
                }
            };
            if let Some(line) = line {
                shared.tell(&line);
            }
            if let Record::Warning(w) = record {
                shared.warn(&w.message);
            }
        };
        if let (AnyConfiguration::Operator(c), Data::Responses(data)) = (&configuration, &data) {
            shared.tell(&format!(
                "{} weights",
                c.operator
                    .weight_count(data.spec.variables.len(), &data.config)
            ));
        }
        let learned = pipeline::learn(&configuration, &data, &how, &mut progress)?;
        let surrogate = output.join("surrogate.safetensors");
        pipeline::keep(output, &configuration)?;
        learned.surrogate.save(&surrogate)?;
        tell(&learned, &surrogate, shared)
    }
}

/// Says what came out of a training, and how it ended.
fn tell(learned: &Learned, surrogate: &Path, shared: &Shared) -> Result<()> {
    if shared.json {
        print_json(&Answer {
            surrogate,
            ending: learned.ending,
            seconds: learned.seconds,
            weights: learned.weights,
            measured: &learned.measured,
            warnings: &learned.warnings,
        })?;
    } else {
        let error = errors(&learned.measured, learned.weights);
        print(|w| writeln!(w, "{}: {error}", surrogate.display()))?;
    }
    match learned.ending {
        Ending::Completed => Ok(()),
        Ending::TimeLimit => {
            shared
                .tell("stopped by --time-limit; the same command with --resume goes on from here");
            Ok(())
        }
        Ending::Interrupted => Err(Error::Failed(
            "interrupted; the same command with --resume goes on from here".into(),
        )),
    }
}

/// The errors of a surrogate in words.
fn errors(measured: &Measured, weights: usize) -> String {
    let mse = |e: &Option<StepErrors>| {
        e.as_ref()
            .map_or("not measured".into(), |e| format!("{:.2e}", e.mse))
    };
    match measured {
        Measured::Map {
            validation,
            new_chunks,
            start,
            kept_from_the_start: kept,
        } => {
            let start = start
                .as_ref()
                .map_or(String::new(), |e| format!(" (at the start {:.2e})", e.mse));
            let kept = if kept.is_empty() {
                String::new()
            } else {
                format!(
                    "; no better than at the start, and kept from there: {}",
                    kept.join(", ")
                )
            };
            format!(
                "validation MSE {}{start}, on new chunks {}{kept}",
                mse(validation),
                mse(new_chunks)
            )
        }
        Measured::Operator {
            validation: Some(e),
            validation_epoch: Some(epoch),
            start,
            ..
        } => {
            let of = match (start, epoch) {
                (Some(_), 0) => {
                    "epoch 0: no epoch was better than the start, which is kept".to_owned()
                }
                (Some(s), _) => format!("epoch {epoch}; at the start {:.3} %", 100.0 * s),
                _ => format!("epoch {epoch}"),
            };
            format!(
                "{weights} weights, normalized error on the validation set {:.3} % ({of})",
                100.0 * e
            )
        }
        Measured::Operator { .. } => {
            format!("{weights} weights, normalized error on the validation set not measured")
        }
    }
}

fn duration(option: &str, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|e| Error::Input(format!("{option} {seconds:e}: {e}; expected seconds")))
}

//! `ionoscope train`: a dataset and a surrogate trained on it.

use std::{path::PathBuf, time::Duration};

use ionoscope_learn::{
    architectures::neural_map::NeuralMap,
    checkpoint,
    train::{Ending, Existing, Run, StepErrors, train},
};
use serde::Serialize;

use super::{
    Shared,
    arguments::positive,
    operator, print, print_json,
    training::{ConfigurationArguments, interrupt},
};
use crate::{Error, Result, config::AnyConfiguration, pipeline};

/// Trains a surrogate, on the dataset in the folder or a new one
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  ionoscope train examples/beta-cell.toml -o out/cell\n  \
                        ionoscope train examples/beta-cell.toml -o out/cell --resume\n  \
                        ionoscope train examples/fhn-fno.toml -o out/fhn --time-limit 600\n  \
                        ionoscope train examples/beta-cell.toml -o out/finer --set dataset.dt=0.001 --time-limit 600")]
pub struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationArguments,
    /// Go on from the folder's checkpoint; begins where there is none
    #[arg(long)]
    resume: bool,
    /// Start from the weights of this surrogate
    #[arg(long, value_name = "FILE.safetensors")]
    from: Option<PathBuf>,
    /// Stop after so many seconds, with a checkpoint from which --resume goes on
    #[arg(long, value_name = "SECONDS", value_parser = positive, allow_negative_numbers = true)]
    time_limit: Option<f64>,
    /// Time between two checkpoints
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = positive, allow_negative_numbers = true)]
    checkpoint_every: f64,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    device: Device,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    /// All cores of this machine
    Cpu,
    /// Not for neural maps: they are too small to gain
    Cuda,
}

#[derive(Serialize)]
struct Answer {
    surrogate: PathBuf,
    ending: Ending,
    seconds: f64,
    weights: usize,
    validation: Option<StepErrors>,
    new_chunks: Option<StepErrors>,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        if self.device == Device::Cuda {
            return Err(Error::Input("this version trains on the CPU only; leave out --device cuda".into()));
        }
        let time_limit = self.time_limit.map(|s| duration("--time-limit", s)).transpose()?;
        let checkpoint_every = duration("--checkpoint-every", self.checkpoint_every)?;
        let configuration = match self.configuration.load()? {
            AnyConfiguration::Operator(c) => {
                let how = operator::Circumstances { resume: self.resume, from: self.from.clone(), time_limit, checkpoint_every };
                return operator::train(&self.configuration.output, &c, &how, shared);
            }
            AnyConfiguration::Map(c) => *c,
        };
        let from = self.from.as_deref().map(NeuralMap::load).transpose()?;
        let (data, _) = self.configuration.dataset(&configuration.dataset, shared)?;
        let output = &self.configuration.output;
        // Beside a checkpoint stands the configuration that made it; another one is refused below.
        if !checkpoint::exists(output) {
            self.configuration.keep(&configuration)?;
        }
        let mut progress = |record: &_| {
            if let Some(line) = pipeline::progress_line(record, &configuration.train) {
                shared.tell(&line);
            }
        };
        let run = &mut Run {
            directory: Some(output),
            existing: if self.resume { Existing::Resume } else { Existing::Refuse },
            from: from.as_ref(),
            time_limit,
            checkpoint_every,
            interrupt: Some(interrupt()?),
            progress: Some(&mut progress),
        };
        let trained = train(&data, &configuration.train, run)?;
        let surrogate = output.join("surrogate.safetensors");
        trained.map.save(&surrogate)?;
        let answer = Answer {
            surrogate,
            ending: trained.ending,
            seconds: trained.seconds,
            weights: trained.map.weight_count(),
            validation: trained.validation,
            new_chunks: trained.new_chunks,
        };
        if shared.json {
            print_json(&answer)?;
        } else {
            print(|w| {
                let error = |e: &Option<StepErrors>| e.as_ref().map_or("not measured".into(), |e| format!("{:.2e}", e.mse));
                writeln!(
                    w,
                    "{}: validation MSE {}, on new chunks {}",
                    answer.surrogate.display(),
                    error(&answer.validation),
                    error(&answer.new_chunks)
                )
            })?;
        }
        match answer.ending {
            Ending::Completed | Ending::TimeLimit => Ok(()),
            Ending::Interrupted => Err(Error::Failed("interrupted; the same command with --resume goes on from here".into())),
        }
    }
}

fn duration(option: &str, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|e| Error::Input(format!("{option} {seconds:e}: {e}; expected seconds")))
}

//! Stages that the verbs, the tuning, the Python package and the reproductions of papers share: data made or found in a folder, and a surrogate
//! trained on them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ionoscope_analysis::fixed_points::{FixedPointOptions, fixed_points};
use ionoscope_dynamics::{models, watch::Watcher, watched::Watched};
use ionoscope_learn::{
    dataset::{self, Dataset, DatasetConfig},
    responses::{Parts, ResponseConfig, ResponseData, respond, respond_in_parts, respond_shard},
    train::{
        self, Device, Ending, Existing, Record, Run, StepErrors, TrainConfig,
        operator::train_operator,
    },
};
use serde::Serialize;

use crate::{
    Error, Result, artifact,
    config::{self, AnyConfiguration},
    document::Document,
    memory,
    shard::Shard,
};

mod before;
mod surrogate;

pub use before::check_training;
pub use surrogate::{Surrogate, check_device};

/// What a surrogate is trained on.
pub enum Data {
    /// Responses to random stimuli, for a Fourier neural operator.
    Responses(ResponseData),
    /// Pairs of states one step apart, for a neural map.
    Pairs(Dataset),
}

/// Samples a dataset of a model, away from the model's fixed points.
///
/// # Errors
/// An unknown model, a configuration that does not fit it, trajectories that fail however often they are drawn; being stopped.
pub fn sample(config: &DatasetConfig, watch: &Watcher) -> Result<Dataset> {
    let system = Watched::shared(models::find(&config.model)?, watch);
    // Where the search fails, nothing is known to keep away from.
    let known = |start: &[f64], p: &[f64]| {
        let options = FixedPointOptions {
            starts: 16,
            start: Some(start.to_vec()),
            ..FixedPointOptions::default()
        };
        fixed_points(&*system, 0.0, p, &options)
            .map(|f| f.into_iter().map(|f| f.x).collect())
            .unwrap_or_default()
    };
    let made = dataset::sample(&*system, config, &known);
    watch.check()?;
    Ok(made?)
}

/// The data of a configuration, in memory.
///
/// # Errors
/// An unknown model, a configuration that does not fit it, solves that fail.
pub fn make(configuration: &AnyConfiguration, watch: &Watcher) -> Result<Data> {
    configuration.check()?;
    Ok(match configuration {
        AnyConfiguration::Operator(c) => {
            watch.tell(&counted(&c.responses));
            Data::Responses(respond(
                &*models::find(&c.responses.model)?,
                &c.responses,
                watch,
            )?)
        }
        AnyConfiguration::Map(c) => {
            watch.tell(&format!(
                "{} chunks of {}",
                c.dataset.chunks.saturating_add(c.dataset.new_chunks),
                c.dataset.model
            ));
            Data::Pairs(sample(&c.dataset, watch)?)
        }
    })
}

fn counted(config: &ResponseConfig) -> String {
    format!(
        "{} responses of {}",
        config.samples.iter().sum::<usize>(),
        config.model
    )
}

fn other(path: &Path, difference: &str) -> Error {
    let path = path.display();
    Error::Input(format!(
        "{path} was made by another configuration: {difference}; choose another folder, or remove it"
    ))
}

/// The data in a folder, which must have been made by the same configuration, or new ones, which are then saved there; and their file. Of responses
/// the next call goes on with what was made before a stop.
///
/// # Errors
/// Data in the folder that are damaged or others; such as cannot be made or saved.
pub fn data_in(
    folder: &Path,
    configuration: &AnyConfiguration,
    watch: &Watcher,
) -> Result<(Data, PathBuf)> {
    configuration.check()?;
    artifact::check_folder(folder)?;
    std::fs::create_dir_all(folder).map_err(|e| Error::write(folder, e))?;
    let found = |path: &Path| {
        watch.tell(&format!(
            "{}: found, made by the same configuration",
            path.display()
        ))
    };
    match configuration {
        AnyConfiguration::Map(c) => {
            let path = folder.join("dataset.safetensors");
            if path.exists() {
                let data = Dataset::load(&path)?;
                config::same("dataset", &data.config, &c.dataset).map_err(|d| other(&path, &d))?;
                found(&path);
                return Ok((Data::Pairs(data), path));
            }
            let data = make(configuration, watch)?;
            if let Data::Pairs(data) = &data {
                data.save(&path)?;
            }
            Ok((data, path))
        }
        AnyConfiguration::Operator(c) => {
            let (config, path) = (&c.responses, folder.join("responses.safetensors"));
            if path.exists() {
                let data = ResponseData::load(&path)?;
                config::same("responses", &data.config, config).map_err(|d| other(&path, &d))?;
                found(&path);
                return Ok((Data::Responses(data), path));
            }
            let system = models::find(&config.model)?;
            let needed = config
                .bytes(system.spec().variables.len())
                .saturating_mul(3);
            memory::check(
                "making and writing these responses",
                needed,
                "take fewer responses.samples or responses.points",
            )?;
            watch.tell(&counted(config));
            let parts = Parts::open(&folder.join("responses.parts"), config)?;
            let data = respond_in_parts(&*system, config, Some(&parts), watch)?;
            data.save(&path)?;
            parts.remove()?;
            Ok((Data::Responses(data), path))
        }
    }
}

/// Makes a share of the responses of a configuration in a folder, beside other processes that make the rest; [`data_in`] then takes all of them
/// together.
///
/// # Errors
/// Pairs, which are made by one process; as [`data_in`].
pub fn shard_in(
    folder: &Path,
    configuration: &AnyConfiguration,
    shard: Shard,
    watch: &Watcher,
) -> Result<()> {
    let AnyConfiguration::Operator(c) = configuration else {
        return Err(Error::Input(
            "--shard is for responses; pairs are made by one process, in moments".into(),
        ));
    };
    configuration.check()?;
    artifact::check_folder(folder)?;
    std::fs::create_dir_all(folder).map_err(|e| Error::write(folder, e))?;
    let whole = folder.join("responses.safetensors");
    if whole.exists() {
        config::same(
            "responses",
            &ResponseData::load(&whole)?.config,
            &c.responses,
        )
        .map_err(|d| other(&whole, &d))?;
        watch.tell("the responses are there already");
        return Ok(());
    }
    let (config, Shard { index, of }) = (&c.responses, shard);
    watch.tell(&format!("shard {index} of {of} of {}", counted(config)));
    let parts = Parts::open(&folder.join("responses.parts"), config)?;
    Ok(respond_shard(
        &*models::find(&config.model)?,
        config,
        &parts,
        [index, of],
        watch,
    )?)
}

/// Keeps the resolved configuration beside the results, as `config.toml`.
///
/// # Errors
/// A file that cannot be written.
pub fn keep(folder: &Path, configuration: &AnyConfiguration) -> Result<()> {
    write_configuration(&folder.join("config.toml"), configuration)
}

/// Writes a configuration.
///
/// # Errors
/// A file that cannot be written; a configuration that could not be read again.
pub fn write_configuration(path: &Path, configuration: &AnyConfiguration) -> Result<()> {
    let text = toml::to_string(configuration)
        .map_err(|e| Error::Failed(format!("the configuration cannot be written: {e}")))?;
    // The numbers of a trial may make no sense; they are written as they are.
    if config::either(&Document::parse(&text, &[])?)? != *configuration {
        return Err(Error::Failed(format!(
            "{}: the configuration would not be the same when it is read again",
            path.display()
        )));
    }
    Ok(artifact::write_atomic(path, |w| {
        w.write_all(text.as_bytes())
    })?)
}

/// How a training is run, which does not change what comes out; a GPU changes it by rounding.
pub struct TrainingOptions<'a> {
    /// Folder for progress, events and checkpoints; without one nothing is written.
    pub folder: Option<&'a Path>,
    /// What to do with a training that the folder already holds.
    pub existing: Existing,
    /// A surrogate from whose weights to start.
    pub from: Option<&'a Surrogate>,
    /// Stop after this time.
    pub time_limit: Option<Duration>,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Who may stop it.
    pub watch: Watcher,
    /// Where to compute.
    pub device: Device,
}

/// What was measured of a surrogate at the end of its training.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Measured {
    /// Of a map: errors of single steps on the validation pairs, and on chunks of which nothing was trained on.
    Map {
        /// None without validation pairs.
        validation: Option<StepErrors>,
        /// None without such chunks.
        new_chunks: Option<StepErrors>,
        /// The first of the map that was given to start from.
        start: Option<StepErrors>,
        /// Variables whose networks are still those of that map, since training made them worse.
        kept_from_the_start: Vec<String>,
    },
    /// Of an operator.
    Operator {
        /// Epochs done.
        epochs: u64,
        /// Smallest normalized error on the validation set, none without one.
        validation: Option<f64>,
        /// The epoch after which it was reached: 0 where it is that of the network that was given to start from.
        validation_epoch: Option<u64>,
        /// That of the network that was given to start from.
        start: Option<f64>,
    },
}

/// A training that came to an end.
pub struct Learned {
    /// The surrogate.
    pub surrogate: Surrogate,
    /// Why it ended.
    pub ending: Ending,
    /// Seconds it took, interruptions left out.
    pub seconds: f64,
    /// Number of trainable weights.
    pub weights: usize,
    /// Its errors.
    pub measured: Measured,
    /// What whoever trains should know, such as a learning rate that is too high.
    pub warnings: Vec<String>,
}

impl Learned {
    /// The error by which trainings are compared: of an operator the normalized error on the validation set, of a map the validation MSE.
    pub fn value(&self) -> Option<f64> {
        match &self.measured {
            Measured::Map { validation, .. } => validation.as_ref().map(|v| v.mse),
            Measured::Operator { validation, .. } => *validation,
        }
    }
}

/// Trains what a configuration says.
///
/// # Errors
/// Too little memory, data of another kind, a surrogate to start from that cannot be read or does not fit, and those of the trainings themselves.
pub fn learn(
    configuration: &AnyConfiguration,
    data: &Data,
    how: &TrainingOptions,
    progress: &mut (dyn FnMut(&Record) + Send),
) -> Result<Learned> {
    learn_again(configuration, data, how, &mut |_| (), progress)
}

/// As [`learn`]; `before` is told, where a training goes on, of all records before its interruption.
///
/// # Errors
/// As [`learn`].
pub fn learn_again(
    configuration: &AnyConfiguration,
    data: &Data,
    how: &TrainingOptions,
    before: &mut (dyn FnMut(&[Record]) + Send),
    progress: &mut (dyn FnMut(&Record) + Send),
) -> Result<Learned> {
    let TrainingOptions {
        folder: directory,
        existing,
        time_limit,
        checkpoint_every,
        device,
        ..
    } = *how;
    check_device(configuration, device)?;
    let watch = how.watch.clone();
    let (mut before, mut progress) = (|r: &[Record]| before(r), |r: &Record| progress(r));
    match (configuration, data) {
        (AnyConfiguration::Operator(c), Data::Responses(data)) => {
            let config = &c.operator;
            before::check_memory(config, &data.config, data.spec.variables.len())?;
            let from = before::operator_of(how.from)?;
            let progress: Option<&mut (dyn FnMut(&Record) + Send)> = Some(&mut progress);
            let before: Option<train::Listener> = Some(&mut before);
            let run = &mut Run {
                directory,
                existing,
                from,
                time_limit,
                checkpoint_every,
                watch,
                device,
                before,
                progress,
            };
            let trained = train_operator(data, config, run)?;
            let (validation, validation_epoch) = trained.validation.unzip();
            Ok(Learned {
                weights: trained.fno.weights.len(),
                surrogate: Surrogate::Operator(trained.fno),
                ending: trained.ending,
                seconds: trained.seconds,
                measured: Measured::Operator {
                    epochs: trained.epochs,
                    validation,
                    validation_epoch,
                    start: trained.start,
                },
                warnings: trained.warnings,
            })
        }
        (AnyConfiguration::Map(c), Data::Pairs(data)) => {
            let from = before::map_of(how.from)?;
            let progress: Option<&mut (dyn FnMut(&Record) + Send)> = Some(&mut progress);
            let before: Option<train::Listener> = Some(&mut before);
            let run = &mut Run {
                directory,
                existing,
                from,
                time_limit,
                checkpoint_every,
                watch,
                device,
                before,
                progress,
            };
            let trained = train::train(data, &c.train, run)?;
            Ok(Learned {
                weights: trained.map.weight_count(),
                surrogate: Surrogate::Map(trained.map),
                ending: trained.ending,
                seconds: trained.seconds,
                measured: Measured::Map {
                    validation: trained.validation,
                    new_chunks: trained.new_chunks,
                    start: trained.start,
                    kept_from_the_start: trained.kept,
                },
                warnings: trained.warnings,
            })
        }
        _ => Err(Error::Input(
            "data of another kind than the configuration".into(),
        )),
    }
}

/// Every tenth record of a map's training as a line for people.
pub fn progress_line(record: &Record, config: &TrainConfig) -> Option<String> {
    Some(match record {
        Record::Start(r) => {
            let errors: Vec<String> = r.validation.iter().map(|e| format!("{e:.2e}")).collect();
            format!(
                "the map to start from: validation increment MSE {}",
                errors.join(" ")
            )
        }
        Record::Adam(r) if r.epoch.is_multiple_of(10) => {
            let errors: Vec<String> = r.training.iter().map(|e| format!("{e:.2e}")).collect();
            format!(
                "epoch {} of {}, increment MSE {}, {:.1} million samples/s, {:.0} s left",
                r.epoch,
                config.adam.epochs,
                errors.join(" "),
                1e-6 * r.samples_per_second,
                r.seconds_left
            )
        }
        Record::SecondOrder(r) if r.iteration.is_multiple_of(10) => format!(
            "{} step {} of {}, increment MSE {:.2e}, {:.0} s left",
            r.variable, r.iteration, config.second_order.iterations, r.training, r.seconds_left
        ),
        _ => return None,
    })
}

/// Records of an operator's training with a validation error as a line for people.
pub fn operator_line(record: &Record, epochs: u64) -> Option<String> {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    if let Record::Start(r) = record {
        return Some(format!(
            "the network to start from: validation {:.3} %",
            100.0 * mean(&r.validation)
        ));
    }
    let Record::Adam(r) = record else { return None };
    let validation = r.validation.as_ref().map_or(String::new(), |v| {
        format!(", validation {:.3} %", 100.0 * mean(v))
    });
    (r.validation.is_some() || r.epoch == 1).then(|| {
        format!(
            "epoch {} of {epochs}: training {:.3} %{validation}, {:.0} samples/s, {:.0} s left",
            r.epoch,
            100.0 * mean(&r.training),
            r.samples_per_second,
            r.seconds_left
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn starts_keep_away_from_the_rest_of_their_own_level() {
        let config = DatasetConfig {
            model: "ten-tusscher-panfilov-2006".into(),
            control: BTreeMap::from([("g_k1".into(), [5.0, 6.0])]),
            start: BTreeMap::from([("v".into(), [-95.0, -60.0]), ("k_i".into(), [125.0, 145.0])]),
            chunks: 4,
            pairs_per_chunk: 3,
            dt: 0.5,
            transient: 1.0,
            new_chunks: 0,
            validation_share: 0.0,
            rtol: 1e-9,
            atol: 1e-11,
            ..DatasetConfig::default()
        };
        let pairs = sample(&config, &Watcher::default()).unwrap().training;
        let model = models::find(&config.model).unwrap();
        let n = pairs.dimension;
        for (k, x) in pairs.u.chunks_exact(n).enumerate() {
            // The motion stays on its level: the rest of the start is the rest of every state of its chunk.
            let p = model
                .spec()
                .parameters_with([("g_k1", pairs.p[k])])
                .unwrap();
            let options = FixedPointOptions {
                starts: 16,
                start: Some(x.to_vec()),
                ..FixedPointOptions::default()
            };
            let rest = fixed_points(&*model, 0.0, &p, &options).unwrap();
            let away = |f: &[f64]| {
                x.iter()
                    .zip(f)
                    .map(|(a, b)| (a - b).powi(2))
                    .sum::<f64>()
                    .sqrt()
            };
            let distance = rest
                .iter()
                .map(|f| away(&f.x))
                .fold(f64::INFINITY, f64::min);
            assert!(
                (pairs.distance[k] - distance).abs() < 1e-5 * distance,
                "{} {distance}",
                pairs.distance[k]
            );
        }
        assert_eq!(pairs.len(), 12);
    }
}

//! Training a neural map on a dataset: Adam on all sub-networks at once, then a second-order stage for one after the other, with progress
//! and checkpoints. Interrupted and resumed, a training gives the same bits as one that ran through.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ionoscope_dynamics::{spec::Spec, system::DynamicalSystem, watch::Watcher};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    adam::Adam,
    architectures::{Network, neural_map::NeuralMap},
    checkpoint::{Checkpoint, Identity, NetworkState, fingerprint},
    dataset::{Dataset, Pairs},
    kernels::Backend,
    second_order::SecondOrder,
};

mod config;
mod directory;
mod epoch;
mod muon;
pub mod operator;
mod pairs;
mod record;
mod rise;

use directory::Directory;
use epoch::{Learner, Trainees};
use pairs::{Batches, Rows, Shuffled};

pub use config::{InitialWeights, TrainConfig};
pub use directory::Existing;
use record::warnings;
pub use record::{AdamRecord, Record, SecondOrderRecord, StartRecord, WarningRecord};
use rise::Rise;

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// All its stages are done.
    Completed,
    /// Whoever watches stopped it.
    Interrupted,
    /// The time was up.
    TimeLimit,
}

/// Where a training computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Device {
    /// All cores of this machine.
    #[default]
    Cpu,
    /// The first GPU that CUDA shows; operators only.
    Cuda,
}

/// Who is told of records in the course of a training.
pub type Listener<'a> = &'a mut (dyn FnMut(&[Record]) + Send);

/// The circumstances of a training, which do not change its result beyond rounding.
pub struct Run<'a, M = NeuralMap> {
    /// Folder for progress, events and checkpoints; without one nothing is written.
    pub directory: Option<&'a Path>,
    /// What to do with a training that the folder already holds.
    pub existing: Existing,
    /// Weights to start from instead of random ones; their sizes must be those of the configuration.
    pub from: Option<&'a M>,
    /// Stop, as if interrupted, after this time.
    pub time_limit: Option<Duration>,
    /// Who may stop the training.
    pub watch: Watcher,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Where to compute; a training begun on one device may go on on another.
    pub device: Device,
    /// Told, where a training goes on, of all records before its interruption.
    pub before: Option<Listener<'a>>,
    /// Told of every record.
    pub progress: Option<&'a mut (dyn FnMut(&Record) + Send)>,
}

impl<M> Default for Run<'_, M> {
    fn default() -> Self {
        Run {
            directory: None,
            existing: Existing::Refuse,
            from: None,
            time_limit: None,
            watch: Watcher::default(),
            checkpoint_every: Duration::from_secs(60),
            device: Device::default(),
            before: None,
            progress: None,
        }
    }
}

/// Errors of a map, in single steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepErrors {
    /// Mean squared error by variable in units of the increment's variance.
    pub increment_mse: Vec<f64>,
    /// Mean squared error by variable in units of the state's variance.
    pub mse_by_variable: Vec<f64>,
    /// Mean of the latter over the variables: the validation MSE of Kuptsov et al.
    pub mse: f64,
}

impl StepErrors {
    /// The errors of a map's networks on pairs; `None` where there are no pairs.
    pub fn of(networks: &[Network], dataset: &Dataset, pairs: &Pairs) -> Option<Self> {
        (!pairs.is_empty()).then(|| {
            let increment_mse: Vec<f64> = networks
                .iter()
                .flat_map(|n| dataset.increment_mse(n, pairs))
                .collect();
            let mse_by_variable: Vec<f64> = increment_mse
                .iter()
                .enumerate()
                .map(|(i, e)| dataset.state_mse(i, *e))
                .collect();
            StepErrors {
                mse: mse_by_variable.iter().sum::<f64>() / mse_by_variable.len() as f64,
                increment_mse,
                mse_by_variable,
            }
        })
    }
}

/// A trained map.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The map with its weights at the end.
    pub map: NeuralMap,
    /// One record an epoch, one a second-order step.
    pub history: Vec<Record>,
    /// Why it ended.
    pub ending: Ending,
    /// Seconds it took, interruptions left out.
    pub seconds: f64,
    /// Errors on the validation pairs, `None` where there are none.
    pub validation: Option<StepErrors>,
    /// Errors on chunks of which nothing was trained on, `None` where there are none.
    pub new_chunks: Option<StepErrors>,
    /// Errors on the validation pairs of the map that was given to start from.
    pub start: Option<StepErrors>,
    /// Variables whose networks are those of the map that was given to start from, since training made them worse on the validation pairs.
    pub kept: Vec<String>,
    /// What whoever trains should know.
    pub warnings: Vec<String>,
}

/// Pairs over which the training's losses are averaged before a rise is seen in them: the errors of a good map are very uneven.
const WINDOW: usize = 512;

/// Trains a neural map. Where it starts from a given one, each network of the result is the better of the given and the trained one, by its error on the
/// validation pairs.
///
/// # Errors
/// A configuration that does not fit the dataset; a folder that holds another training, or a damaged one; files that cannot be written;
/// weights that are no longer finite.
pub fn train(dataset: &Dataset, config: &TrainConfig, run: &mut Run) -> Result<Trained> {
    let mut training = Training::begin(dataset, config, run)?;
    let ending = match training.adam()? {
        Ending::Completed => training.second_order()?,
        stopped => stopped,
    };
    training.checkpoint()?;
    training.finish(ending)
}

/// A training in progress.
struct Training<'t, 'r> {
    dataset: &'t Dataset,
    config: &'t TrainConfig,
    run: &'t mut Run<'r>,
    identity: Identity,
    directory: Option<Directory>,
    variables: Vec<String>,
    /// The networks; their weights are those of the last checkpoint or of the end of a stage.
    networks: Vec<Network>,
    /// Those that were given to start from.
    given: Option<Vec<Network>>,
    /// Moments of Adam, as of the same moment.
    moments: Vec<Adam>,
    /// Second-order stages that have begun.
    second_order: Vec<Option<SecondOrder>>,
    epoch: u64,
    history: Vec<Record>,
    clock: Instant,
    /// Seconds trained before this run.
    before: f64,
    saved: Instant,
}

impl<'t, 'r> Training<'t, 'r> {
    fn begin(dataset: &'t Dataset, config: &'t TrainConfig, run: &'t mut Run<'r>) -> Result<Self> {
        let hidden = config.networks(&dataset.spec, dataset.normalizer.parameter_sd.len())?;
        let configuration = serde_json::to_value(config)
            .map_err(|e| Error::Invalid(format!("the configuration: {e}")))?;
        let networks = match run.from {
            Some(map) => {
                let networks = start_from(map, dataset, config, &hidden)?;
                if StepErrors::of(&networks, dataset, &dataset.validation)
                    .is_some_and(|e| !e.mse.is_finite())
                {
                    return Err(Error::Invalid(
                        "what the map to start from gives for the validation pairs is not finite; start from another".into(),
                    ));
                }
                networks
            }
            None => config.initial_networks(dataset, &hidden),
        };
        let from = run
            .from
            .map(|_| fingerprint(networks.iter().flat_map(Network::weights)));
        let identity = Identity {
            configuration,
            dataset: format!("{:016x}", dataset.hash()),
            from,
        };
        let (directory, found) = match run.directory {
            Some(path) => {
                Directory::open(path, run.existing, &identity).map(|(d, found)| (Some(d), found))?
            }
            None => (None, None),
        };
        let now = Instant::now();
        let mut training = Training {
            given: run.from.map(|_| networks.clone()),
            moments: networks
                .iter()
                .map(|n| Adam::new(n.weight_count()))
                .collect(),
            second_order: vec![None; networks.len()],
            variables: dataset
                .spec
                .variables
                .iter()
                .map(|q| q.name.clone())
                .collect(),
            dataset,
            config,
            run,
            identity,
            directory,
            networks,
            epoch: 0,
            history: Vec::new(),
            clock: now,
            before: 0.0,
            saved: now,
        };
        if let Some((checkpoint, history)) = found {
            training.restore(checkpoint)?;
            if let Some(before) = &mut training.run.before {
                before(&history);
            }
            training.history = history;
        }
        let scored = training
            .history
            .iter()
            .any(|r| matches!(r, Record::Start(_)));
        if let (Some(start), false) = (training.start(), scored) {
            training.record(Record::Start(StartRecord {
                epoch: 0,
                validation: start.increment_mse,
            }))?;
        }
        Ok(training)
    }

    /// The errors of the networks that were given, on the validation pairs.
    fn start(&self) -> Option<StepErrors> {
        StepErrors::of(self.given.as_ref()?, self.dataset, &self.dataset.validation)
    }

    fn restore(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let misfit = || {
            Error::Invalid("the checkpoint's sub-networks are of another size than the configuration's; start anew".into())
        };
        if checkpoint.networks.len() != self.networks.len() {
            return Err(misfit());
        }
        for (i, state) in checkpoint.networks.into_iter().enumerate() {
            let count = self.networks[i].weight_count();
            if [&state.weights, &state.first, &state.second]
                .iter()
                .any(|v| v.len() != count)
            {
                return Err(misfit());
            }
            self.networks[i].set_weights(&state.weights);
            self.moments[i] = Adam {
                first: state.first,
                second: state.second,
                steps: state.steps,
            };
            self.second_order[i] = state
                .second_order
                .map(|n| SecondOrder::from_numbers(&self.networks[i], &n))
                .transpose()?;
        }
        self.epoch = checkpoint.epoch;
        self.before = checkpoint.seconds;
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.before + self.clock.elapsed().as_secs_f64()
    }

    /// Whether to stop now, and why.
    fn stop(&self) -> Option<Ending> {
        if self.run.watch.stopped() {
            return Some(Ending::Interrupted);
        }
        self.run
            .time_limit
            .is_some_and(|limit| self.clock.elapsed() >= limit)
            .then_some(Ending::TimeLimit)
    }

    fn checkpoint_is_due(&self) -> bool {
        self.directory.is_some() && self.saved.elapsed() >= self.run.checkpoint_every
    }

    fn checkpoint(&mut self) -> Result<()> {
        let seconds = self.seconds();
        let Some(directory) = &mut self.directory else {
            return Ok(());
        };
        let networks = self
            .networks
            .iter()
            .zip(&self.moments)
            .zip(&self.second_order)
            .map(|((net, adam), second_order)| NetworkState {
                weights: net.weights(),
                first: adam.first.clone(),
                second: adam.second.clone(),
                steps: adam.steps,
                second_order: second_order.as_ref().map(SecondOrder::to_numbers),
            });
        let (identity, epoch) = (self.identity.clone(), self.epoch);
        directory.checkpoint(Checkpoint {
            identity,
            epoch,
            seconds,
            progress_bytes: 0,
            event_bytes: 0,
            networks: networks.collect(),
        })?;
        self.saved = Instant::now();
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<()> {
        if let Some(directory) = &mut self.directory {
            directory.record(&record, &self.variables)?;
        }
        if let Some(progress) = &mut self.run.progress {
            progress(&record);
        }
        self.history.push(record);
        Ok(())
    }

    /// The first stage, from the present epoch on.
    fn adam(&mut self) -> Result<Ending> {
        let config = &self.config.adam;
        if self.epoch >= config.epochs {
            return Ok(Ending::Completed);
        }
        let rows = Rows::new(self.dataset, &self.dataset.training);
        let validation = (!self.dataset.validation.is_empty())
            .then(|| Rows::new(self.dataset, &self.dataset.validation));
        let hidden: Vec<usize> = self.networks.iter().map(Network::hidden).collect();
        let weights = self.networks.iter().map(Network::weights);
        let learners = weights.zip(&self.moments).map(|(weights, adam)| Learner {
            weights,
            adam: adam.clone(),
        });
        let learners = rows.shapes(&hidden).into_iter().zip(learners).collect();
        let batches = Batches::new(rows.len(), config.batch)?;
        let mut trainees = Trainees::new(Backend::detect(), config, batches, learners);
        let mut shuffled = Shuffled::new(rows, self.config.seed);
        let samples = (shuffled.rows.len() * self.networks.len()) as f64;
        let steps = trainees.batches() as u64;
        let (began, first) = (Instant::now(), self.epoch);
        let ending = loop {
            if self.epoch == config.epochs {
                break Ending::Completed;
            }
            if let Some(ending) = self.stop() {
                break ending;
            }
            if self.checkpoint_is_due() {
                self.take(trainees.learners());
                self.checkpoint()?;
            }
            let start = Instant::now();
            shuffled.arrange(self.epoch);
            let before = trainees.learners();
            let Some(training) = trainees.epoch(&shuffled.rows, &self.run.watch)? else {
                // In its midst: it is made again, from where it began.
                self.take(before);
                return Ok(Ending::Interrupted);
            };
            self.epoch += 1;
            if let Some(i) = training.iter().position(|t| !t.is_finite()) {
                return Err(self.diverged(i, self.epoch));
            }
            let samples_per_second = samples / start.elapsed().as_secs_f64().max(1e-9);
            let due = self.epoch.is_multiple_of(self.config.validate_every)
                || self.epoch == config.epochs;
            let validation = match &validation {
                Some(rows) if due => Some(trainees.evaluate(rows)?),
                _ => None,
            };
            if let Some(i) = validation
                .as_ref()
                .and_then(|v| v.iter().position(|v| !v.is_finite()))
            {
                return Err(self.diverged(i, self.epoch));
            }
            let by_batch: Vec<Vec<(usize, f64)>> = (0..self.networks.len())
                .map(|i| trainees.by_batch(i))
                .collect();
            self.record(Record::Adam(AdamRecord {
                epoch: self.epoch,
                training,
                first_batch: (self.epoch == 1).then(|| by_batch.iter().map(|b| b[0].1).collect()),
                validation,
                learning_rate: config.rate(self.epoch * steps - 1, steps),
                samples_per_second,
                seconds: self.seconds(),
                seconds_left: began.elapsed().as_secs_f64() / (self.epoch - first) as f64
                    * (config.epochs - self.epoch) as f64,
            }))?;
            let rise = Rise::new(&self.history, WINDOW, config.learning_rate);
            let told = |(i, batches): (usize, &Vec<(usize, f64)>)| {
                rise.told(self.epoch, Some((i, &self.variables[i])), batches)
            };
            if let Some(warning) = by_batch.iter().enumerate().find_map(told) {
                self.record(warning)?;
            }
        };
        self.take(trainees.learners());
        Ok(ending)
    }

    fn diverged(&self, i: usize, epoch: u64) -> Error {
        Error::Failed(format!(
            "the training of '{}' diverged in epoch {epoch}; lower adam.learning_rate",
            self.variables[i]
        ))
    }

    fn take(&mut self, learners: Vec<Learner>) {
        for (i, learner) in learners.into_iter().enumerate() {
            self.networks[i].set_weights(&learner.weights);
            self.moments[i] = learner.adam;
        }
    }

    /// What network `i` learns, by name.
    fn learned(&self, i: usize) -> String {
        self.variables[self.networks[i].outputs()].join(", ")
    }

    /// The second stage, from where it stands.
    fn second_order(&mut self) -> Result<Ending> {
        let config = &self.config.second_order;
        let iterations = config.iterations as u64;
        if iterations == 0 {
            return Ok(Ending::Completed);
        }
        let done = |s: &Option<SecondOrder>| {
            s.as_ref().map_or(0, |s| {
                if s.converged() {
                    iterations
                } else {
                    s.steps() as u64
                }
            })
        };
        let (began, first) = (
            Instant::now(),
            self.second_order.iter().map(done).sum::<u64>(),
        );
        for i in 0..self.networks.len() {
            if done(&self.second_order[i]) >= iterations {
                continue;
            }
            let mut design = self
                .dataset
                .design(self.networks[i].outputs(), &self.dataset.training);
            design.truncate(config.pairs);
            let mut state = match self.second_order[i].take() {
                Some(state) => state,
                None if self.config.adam.epochs == 0 && self.run.from.is_none() => {
                    SecondOrder::from_prior(&self.networks[i], &design, config, self.config.seed)
                }
                None => SecondOrder::from_network(&self.networks[i], &design, config),
            };
            while (state.steps() as u64) < iterations && !state.converged() {
                let (stop, due) = (self.stop(), self.checkpoint_is_due());
                if stop.is_some() || due {
                    self.networks[i] = state.network();
                    self.second_order[i] = Some(state.clone());
                }
                if let Some(ending) = stop {
                    return Ok(ending);
                }
                if due {
                    self.checkpoint()?;
                }
                let report = state.step(&design, config);
                if !(report.mse.is_finite() && report.lambda.is_finite()) {
                    let name = self.learned(i);
                    return Err(Error::Failed(format!(
                        "the second-order training of '{name}' gave numbers that are not finite"
                    )));
                }
                let iteration = report.steps as u64;
                let last = iteration == iterations || report.converged;
                let due = (iteration.is_multiple_of(self.config.validate_every) || last)
                    && !self.dataset.validation.is_empty();
                let validation = due.then(|| {
                    let errors = self
                        .dataset
                        .increment_mse(&state.network(), &self.dataset.validation);
                    errors.iter().sum::<f64>() / errors.len() as f64
                });
                let all = iterations * self.networks.len() as u64;
                let so_far = iterations * i as u64 + if last { iterations } else { iteration };
                self.record(Record::SecondOrder(SecondOrderRecord {
                    variable: self.learned(i),
                    iteration,
                    training: report.mse,
                    validation,
                    damping: report.lambda,
                    seconds: self.seconds(),
                    seconds_left: began.elapsed().as_secs_f64() / (so_far - first).max(1) as f64
                        * (all - so_far) as f64,
                }))?;
            }
            self.networks[i] = state.network();
            self.second_order[i] = Some(state);
        }
        Ok(Ending::Completed)
    }

    fn finish(self, ending: Ending) -> Result<Trained> {
        let (seconds, start) = (self.seconds(), self.start());
        let Training {
            dataset,
            mut networks,
            identity,
            history,
            variables,
            given,
            ..
        } = self;
        let mut validation = StepErrors::of(&networks, dataset, &dataset.validation);
        let mut kept = Vec::new();
        if let (Some(given), Some(start), Some(end)) = (given, &start, &validation) {
            for (now, then) in networks.iter_mut().zip(given) {
                let error = |e: &StepErrors| e.mse_by_variable[now.outputs()].iter().sum::<f64>();
                // What is not finite is not smaller.
                if error(start) < error(end) || !error(end).is_finite() {
                    kept.extend_from_slice(&variables[now.outputs()]);
                    *now = then;
                }
            }
            validation = StepErrors::of(&networks, dataset, &dataset.validation);
        }
        let new_chunks = StepErrors::of(&networks, dataset, &dataset.new_chunks);
        if [&validation, &new_chunks]
            .into_iter()
            .flatten()
            .any(|e| !e.mse.is_finite())
        {
            return Err(Error::Failed("the training came to nothing: what the map gives is not finite; lower adam.learning_rate".into()));
        }
        let warnings = warnings(&history);
        let provenance = serde_json::json!({
            "training": identity.configuration,
            "dataset": dataset.config,
            "dataset_hash": identity.dataset,
            "instructions": Backend::detect().name(),
            "version": env!("CARGO_PKG_VERSION"),
            "ending": ending,
            "validation": validation,
            "new_chunks": new_chunks,
            "start": start,
            "kept_from_the_start": kept,
            "warnings": warnings,
        });
        let map = NeuralMap::new(
            dataset.spec.clone(),
            dataset.config.dt,
            dataset.normalizer.clone(),
            networks,
            provenance,
        )?;
        Ok(Trained {
            map,
            history,
            ending,
            seconds,
            validation,
            new_chunks,
            start,
            kept,
            warnings,
        })
    }
}

/// The networks of a given map, if they fit the dataset and the configuration.
fn start_from(
    map: &NeuralMap,
    dataset: &Dataset,
    config: &TrainConfig,
    hidden: &[usize],
) -> Result<Vec<Network>> {
    let names = |spec: &Spec| {
        spec.variables
            .iter()
            .chain(&spec.parameters)
            .map(|q| q.name.clone())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (given, wanted) = (names(map.spec()), names(&dataset.spec));
    if given != wanted {
        return Err(Error::Invalid(format!(
            "the map to start from has the variables and parameters {given}; the dataset has {wanted}"
        )));
    }
    if map.architecture() != config.architecture {
        let (given, wanted) = (map.architecture().name(), config.architecture.name());
        return Err(Error::Invalid(format!(
            "the map to start from is a {given}; the configuration asks for a {wanted}"
        )));
    }
    let sizes: Vec<usize> = map.networks().iter().map(Network::hidden).collect();
    if sizes != hidden {
        return Err(Error::Invalid(format!(
            "the map to start from has {sizes:?} hidden units; the configuration asks for {hidden:?}"
        )));
    }
    if map.normalizer() != &dataset.normalizer {
        return Err(Error::Invalid(
            "the map to start from has another normalizer; give the dataset it was trained on"
                .into(),
        ));
    }
    Ok(map.networks().to_vec())
}

#[cfg(test)]
mod tests;

//! Training a neural map on a dataset: Adam on all sub-networks, then the second-order finish, with progress.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    adam::{Adam, AdamConfig},
    architectures::neural_map::{NeuralMap, SubNetwork},
    dataset::Dataset,
    kernels::Backend,
    sampling::{normal, stream},
};

mod epoch;
mod pairs;

use epoch::{Learner, Trainees};
use pairs::{Batches, Rows, Shuffled};

/// Standard deviations of the normal numbers from which the weights start; gamma starts at 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InitialWeights {
    /// Inner weights A and B.
    pub inner: f64,
    /// Inner offsets beta.
    pub beta: f64,
    /// Weights a of the own variable.
    pub a: f64,
    /// Outer offsets alpha.
    pub alpha: f64,
    /// Output weights b, in units of the increment's standard deviation.
    pub b: f64,
}

impl Default for InitialWeights {
    fn default() -> Self {
        InitialWeights { inner: 0.2, beta: 0.2, a: 0.2, alpha: 0.2, b: 0.2 }
    }
}

/// How a neural map is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Hidden units N_h of each sub-network.
    pub hidden: usize,
    /// Hidden units of the sub-networks of single variables, by name, where they differ.
    pub hidden_of: BTreeMap<String, usize>,
    /// Where the weights start.
    pub initial: InitialWeights,
    /// The first stage.
    pub adam: AdamConfig,
    /// The validation error is computed after every so many epochs.
    pub validate_every: u64,
    /// Seed of the initial weights and of the order of the pairs.
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            hidden: 100,
            hidden_of: BTreeMap::new(),
            initial: InitialWeights::default(),
            adam: AdamConfig::default(),
            validate_every: 10,
            seed: 1,
        }
    }
}

impl TrainConfig {
    /// Checks every number, and the names against the variables of `dataset`; the hidden units of each variable.
    fn check(&self, dataset: &Dataset) -> Result<Vec<usize>> {
        self.adam.check()?;
        for (name, value) in [
            ("inner", self.initial.inner),
            ("beta", self.initial.beta),
            ("a", self.initial.a),
            ("alpha", self.initial.alpha),
            ("b", self.initial.b),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::Invalid(format!("initial.{name} = {value}; expected 0 or more")));
            }
        }
        let mut hidden = vec![self.hidden; dataset.spec.variables.len()];
        for (name, n) in &self.hidden_of {
            hidden[dataset.spec.variable_index(name)?] = *n;
        }
        if hidden.contains(&0) || self.validate_every == 0 {
            return Err(Error::Invalid("hidden, hidden_of and validate_every must be at least 1".into()));
        }
        Ok(hidden)
    }

    /// Random sub-networks for a dataset.
    fn initial_networks(&self, dataset: &Dataset, hidden: &[usize]) -> Vec<SubNetwork> {
        let inputs = dataset.spec.variables.len() + dataset.spec.parameters.len();
        let networks = hidden.iter().enumerate().map(|(own, &hidden)| {
            let mut rng = stream(self.seed, "initial weights", own as u64);
            let mut net = SubNetwork::zeros(own, inputs, hidden);
            let s = &self.initial;
            let sds = std::iter::repeat_n(s.inner, inputs - 1).chain([s.beta, s.a, s.alpha, s.b, 0.0]);
            for (group, sd) in net.groups_mut().into_iter().zip(sds) {
                group.iter_mut().for_each(|w| *w = sd * normal(&mut rng));
            }
            net
        });
        networks.collect()
    }
}

/// What happened since the last record: one line of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Epochs of Adam done.
    pub epoch: u64,
    /// Mean squared error over the training pairs on the way through the epoch, by variable, in units of the increment's variance.
    pub training: Vec<f64>,
    /// The same on the validation pairs after the epoch, where it was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Vec<f64>>,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Seconds since the training began, interruptions left out.
    pub seconds: f64,
    /// Samples a second; one sample is forward, backward and its share of the step of one sub-network.
    pub samples_per_second: f64,
    /// Seconds to the end of this stage at the present speed.
    pub seconds_left: f64,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// All its stages are done.
    Completed,
    /// The interrupt flag was raised.
    Interrupted,
    /// The time was up.
    TimeLimit,
}

/// The circumstances of a training, which do not change its result.
#[derive(Default)]
pub struct Run<'a> {
    /// Weights to start from instead of random ones; their sizes must be those of the configuration.
    pub from: Option<&'a NeuralMap>,
    /// Stop, as if interrupted, after this time.
    pub time_limit: Option<Duration>,
    /// Raised by whoever wants the training to stop soon.
    pub interrupt: Option<Arc<AtomicBool>>,
    /// Told of every record.
    pub progress: Option<&'a mut dyn FnMut(&Record)>,
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

/// A trained map.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The map with its weights at the end.
    pub map: NeuralMap,
    /// One record an epoch.
    pub history: Vec<Record>,
    /// Why it ended.
    pub ending: Ending,
    /// Seconds it took, interruptions left out.
    pub seconds: f64,
    /// Errors on the validation pairs, `None` where there are none.
    pub validation: Option<StepErrors>,
    /// Errors on chunks of which nothing was trained on, `None` where there are none.
    pub new_chunks: Option<StepErrors>,
}

/// Trains a neural map.
///
/// # Errors
/// A configuration that does not fit the dataset; weights that are no longer finite.
pub fn train(dataset: &Dataset, config: &TrainConfig, run: &mut Run) -> Result<Trained> {
    let hidden = config.check(dataset)?;
    let clock = Instant::now();
    let mut networks = match run.from {
        Some(map) => start_from(map, dataset, &hidden)?,
        None => config.initial_networks(dataset, &hidden),
    };
    let rows = Rows::new(dataset, &dataset.training);
    let validation = (!dataset.validation.is_empty()).then(|| Rows::new(dataset, &dataset.validation));
    let shapes = rows.shapes(&hidden);
    let learners = networks.iter_mut().map(|n| n.groups_mut().concat());
    let learners = learners.map(|weights| Learner { adam: Adam::new(weights.len()), weights }).zip(shapes).map(|(l, s)| (s, l));
    let batches = Batches::new(rows.len(), config.adam.batch)?;
    let mut trainees = Trainees::new(Backend::detect(), &config.adam, batches, learners.collect());
    let mut shuffled = Shuffled::new(rows, config.seed);
    let mut history: Vec<Record> = Vec::new();
    let mut ending = Ending::Completed;
    for epoch in 0..config.adam.epochs {
        if run.interrupt.as_ref().is_some_and(|i| i.load(Ordering::Relaxed)) {
            ending = Ending::Interrupted;
            break;
        }
        if run.time_limit.is_some_and(|limit| clock.elapsed() >= limit) {
            ending = Ending::TimeLimit;
            break;
        }
        let began = Instant::now();
        shuffled.arrange(epoch);
        let training = trainees.epoch(&shuffled.rows)?;
        if let Some(i) = training.iter().position(|t| !t.is_finite()) {
            let name = &dataset.spec.variables[i].name;
            return Err(Error::Failed(format!("the training of '{name}' diverged in epoch {}; lower adam.learning_rate", epoch + 1)));
        }
        let samples = (shuffled.rows.len() * hidden.len()) as f64;
        let samples_per_second = samples / began.elapsed().as_secs_f64();
        let done = epoch + 1;
        let due = done % config.validate_every == 0 || done == config.adam.epochs;
        let validation = match &validation {
            Some(rows) if due => Some(trainees.evaluate(rows)?),
            _ => None,
        };
        let seconds = clock.elapsed().as_secs_f64();
        let steps = trainees.batches() as u64;
        let record = Record {
            epoch: done,
            training,
            validation,
            learning_rate: config.adam.rate(done * steps - 1, steps),
            seconds,
            samples_per_second,
            seconds_left: seconds / done as f64 * (config.adam.epochs - done) as f64,
        };
        if let Some(progress) = &mut run.progress {
            progress(&record);
        }
        history.push(record);
    }
    for (net, learner) in networks.iter_mut().zip(trainees.learners()) {
        set_weights(net, &learner.weights);
    }
    let seconds = clock.elapsed().as_secs_f64();
    let errors = |pairs: &crate::dataset::Pairs| {
        (!pairs.is_empty()).then(|| {
            let increment_mse: Vec<f64> = networks.iter().map(|n| dataset.increment_mse(n, pairs)).collect();
            let mse_by_variable: Vec<f64> = increment_mse.iter().enumerate().map(|(i, e)| dataset.state_mse(i, *e)).collect();
            StepErrors { mse: mse_by_variable.iter().sum::<f64>() / mse_by_variable.len() as f64, increment_mse, mse_by_variable }
        })
    };
    let (validation, new_chunks) = (errors(&dataset.validation), errors(&dataset.new_chunks));
    let provenance = serde_json::json!({
        "training": config,
        "dataset": dataset.config,
        "dataset_hash": format!("{:016x}", dataset.hash()),
        "validation": validation,
        "new_chunks": new_chunks,
    });
    let map = NeuralMap::new(dataset.spec.clone(), dataset.config.dt, dataset.normalizer.clone(), networks, provenance)?;
    Ok(Trained { map, history, ending, seconds, validation, new_chunks })
}

/// The sub-networks of a given map, if they fit the dataset and the configuration.
fn start_from(map: &NeuralMap, dataset: &Dataset, hidden: &[usize]) -> Result<Vec<SubNetwork>> {
    use ionoscope_dynamics::system::DynamicalSystem;
    let names = |spec: &ionoscope_dynamics::spec::Spec| {
        spec.variables.iter().chain(&spec.parameters).map(|q| q.name.clone()).collect::<Vec<_>>().join(", ")
    };
    let (given, wanted) = (names(map.spec()), names(&dataset.spec));
    if given != wanted {
        return Err(Error::Invalid(format!("the map to start from has the variables and parameters {given}; the dataset has {wanted}")));
    }
    let sizes: Vec<usize> = map.networks().iter().map(SubNetwork::hidden).collect();
    if sizes != hidden {
        return Err(Error::Invalid(format!("the map to start from has {sizes:?} hidden units; the configuration asks for {hidden:?}")));
    }
    if map.normalizer() != &dataset.normalizer {
        return Err(Error::Invalid(
            "the map to start from has another normalizer than the dataset; train it on the dataset it was made for".into(),
        ));
    }
    Ok(map.networks().to_vec())
}

fn set_weights(net: &mut SubNetwork, weights: &[f64]) {
    let mut left = weights;
    for group in net.groups_mut() {
        let (now, rest) = left.split_at(group.len());
        group.copy_from_slice(now);
        left = rest;
    }
}

#[cfg(test)]
mod tests;

//! Training a Fourier neural operator on responses, on all cores or a GPU, in single precision with weights in double.
//!
//! The loss of a sample and variable is, where the configuration says nothing else, `||p - x||_s / ||x - mean||_s` over the grid, where every time
//! is divided by s(t), the standard deviation over the training samples at that time but at least [`FLOOR`] of that over all times: what
//! networks are judged by. It is averaged over variables and samples. Interrupted and resumed, a training gives the same bits as one that ran through.

use std::time::{Duration, Instant};

use ionoscope_dynamics::{
    sampling::{permutation, stream},
    watch::Watcher,
};

pub use config::{FLOOR, LossConfig, Normalization, OperatorConfig, Optimizer};
use engine::{Cpu, Engine, Epoch, Moving};
use loss::Problem;
pub use loss::{overall_sd, time_statistics};

use super::{
    AdamRecord, Device, Directory, Ending, Record, Run,
    record::{StartRecord, warnings},
    rise::Rise,
};
use crate::{
    Error, Result,
    adam::Adam,
    architectures::fno::{Bands, Fno, Seen},
    checkpoint::{self, Checkpoint, Identity, NetworkState, fingerprint},
    responses::ResponseData,
};

mod config;
#[cfg(feature = "cuda")]
mod cuda;
mod engine;
mod loss;

/// Share of the validation set's values within the band around what a network gives.
pub const BAND: f64 = 0.9;

/// A trained operator.
#[derive(Debug, Clone)]
pub struct TrainedOperator {
    /// The network with the smallest validation error.
    pub fno: Fno,
    /// One record an epoch.
    pub history: Vec<Record>,
    /// Why it ended.
    pub ending: Ending,
    /// Seconds it took, interruptions left out.
    pub seconds: f64,
    /// Smallest validation error (the normalized error, whatever the loss), and the epoch after which it was reached: 0 where it is that of the
    /// network that was given to start from.
    pub validation: Option<(f64, u64)>,
    /// Validation error of the network that was given to start from.
    pub start: Option<f64>,
    /// Epochs done.
    pub epochs: u64,
    /// What whoever trains should know.
    pub warnings: Vec<String>,
}

/// Samples over which the training's losses are averaged before a rise is seen in them: several trajectories of every class.
const WINDOW: usize = 32;

fn mean(errors: &[f64]) -> f64 {
    errors.iter().sum::<f64>() / errors.len() as f64
}

/// Where a training stands.
struct State {
    moving: Moving,
    best: Option<(f64, u64, Vec<f64>)>,
    epoch: u64,
    /// Of an epoch that is not over: the losses `[sample][variable]` of the batches that are done, in its order.
    losses: Vec<f64>,
    history: Vec<Record>,
    /// Seconds before this run.
    before: f64,
}

impl State {
    fn checkpoint(&self, identity: &Identity, seconds: f64) -> Checkpoint {
        let plain = |weights: &[f64], numbers: Vec<f64>| NetworkState {
            weights: weights.to_vec(),
            first: numbers,
            second: Vec::new(),
            steps: 0,
            second_order: None,
        };
        let Moving {
            weights,
            adam,
            average,
        } = &self.moving;
        let own = NetworkState {
            weights: weights.clone(),
            first: adam.first.clone(),
            second: adam.second.clone(),
            steps: adam.steps,
            second_order: None,
        };
        let mut networks = vec![own, plain(average, Vec::new())];
        networks.extend(
            self.best
                .as_ref()
                .map(|(error, epoch, weights)| plain(weights, vec![*error, *epoch as f64])),
        );
        networks.extend((!self.losses.is_empty()).then(|| plain(&self.losses, Vec::new())));
        Checkpoint {
            identity: identity.clone(),
            epoch: self.epoch,
            seconds,
            progress_bytes: 0,
            event_bytes: 0,
            networks,
        }
    }

    /// Takes up what a checkpoint holds; an epoch has so many losses.
    fn restore(
        &mut self,
        checkpoint: Checkpoint,
        history: Vec<Record>,
        most_losses: usize,
    ) -> Result<()> {
        let count = self.moving.weights.len();
        let mut networks = checkpoint.networks.into_iter();
        let misfit = || {
            Error::Invalid(
                "the checkpoint is of another size than the configuration's network; start anew"
                    .into(),
            )
        };
        let (own, average) = (
            networks.next().ok_or_else(misfit)?,
            networks.next().ok_or_else(misfit)?,
        );
        if [&own.weights, &own.first, &own.second, &average.weights]
            .iter()
            .any(|v| v.len() != count)
        {
            return Err(misfit());
        }
        let adam = Adam {
            first: own.first,
            second: own.second,
            steps: own.steps,
        };
        self.moving = Moving {
            weights: own.weights,
            adam,
            average: average.weights,
        };
        let mut next = networks.next();
        if let Some(best) = next.take_if(|n| n.first.len() == 2) {
            self.best = Some((best.first[0], best.first[1] as u64, best.weights))
                .filter(|b| b.2.len() == count);
            if self.best.is_none() {
                return Err(misfit());
            }
            next = networks.next();
        }
        self.losses = next.map(|n| n.weights).unwrap_or_default();
        if self.losses.len() > most_losses || networks.next().is_some() {
            return Err(misfit());
        }
        (self.epoch, self.before, self.history) = (checkpoint.epoch, checkpoint.seconds, history);
        Ok(())
    }
}

#[cfg(not(feature = "cuda"))]
fn without_cuda() -> Error {
    Error::Invalid("--device cuda: this program was built without the feature cuda; train on the CPU with --device cpu".into())
}

/// Whether a device is there.
///
/// # Errors
/// No driver, no run-time compiler, no GPU; a program that was built without the feature `cuda`.
pub fn check_device(device: Device) -> Result<()> {
    match device {
        Device::Cpu => Ok(()),
        #[cfg(feature = "cuda")]
        Device::Cuda => cuda::check(),
        #[cfg(not(feature = "cuda"))]
        Device::Cuda => Err(without_cuda()),
    }
}

/// Trains a Fourier neural operator; the network that comes back is that with the smallest validation error (the last, where there is no
/// validation set).
///
/// # Errors
/// A configuration that does not fit the data; a folder that holds another training, or a damaged one; files that cannot be written; a loss that
/// is no longer finite, with the epoch.
pub fn train_operator(
    data: &ResponseData,
    config: &OperatorConfig,
    run: &mut Run<Fno>,
) -> Result<TrainedOperator> {
    config.check_for(&data.config)?;
    if data.training.is_empty() {
        return Err(Error::Invalid("the dataset has no training samples".into()));
    }
    if let Some(fno) = run.from {
        check_start(fno, data, config)?;
    }
    let problem = Problem::new(data, config, run.from)?;
    let mut training = Training::begin(data, config, run, &problem)?;
    training.score_start()?;
    let ending = training.epochs()?;
    training.finish(ending)
}

/// Checks that a network can be started from: its sizes, inputs and scales are those of the configuration and the data.
fn check_start(fno: &Fno, data: &ResponseData, config: &OperatorConfig) -> Result<()> {
    let network = &config.network;
    let inputs = |charge: bool, start: bool, parameters: Vec<&String>| {
        let fixed = ["the current", "its charge", "the start"]
            .into_iter()
            .zip([true, charge, start]);
        let fixed = fixed.filter(|i| i.1).map(|i| i.0);
        fixed
            .chain(parameters.into_iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let given = inputs(
        fno.scaling.charge.is_some(),
        fno.takes_start(),
        fno.scaling.parameters.keys().collect(),
    );
    let windows = data.config.windows > 0;
    let wanted = inputs(config.charge, windows, data.config.vary.keys().collect());
    if fno.config != *network || fno.spec.id != data.spec.id || given != wanted {
        return Err(Error::Invalid(format!(
            "the network to start from is of {} with {:?} and takes {given}; the configuration asks for {} with {network:?}, taking {wanted}",
            fno.spec.id, fno.config, data.spec.id
        )));
    }
    if fno.scaling.per_point.is_some() != (config.normalization == Normalization::PerPoint) {
        return Err(Error::Invalid(
            "the network to start from has another normalization than the configuration".into(),
        ));
    }
    if fno.scaling.per_point.is_some() && fno.points != data.config.points {
        return Err(Error::Invalid(format!(
            "the network to start from is scaled at each of {} times, the data have {}; with normalization = \"per_point\" both need the same responses.points",
            fno.points, data.config.points
        )));
    }
    Ok(())
}

/// What a training belongs to: its configuration, and fingerprints of all numbers that it sees and starts from.
fn identify(
    data: &ResponseData,
    config: &OperatorConfig,
    given: Option<&[f64]>,
) -> Result<Identity> {
    let configuration = serde_json::to_value(config)
        .map_err(|e| Error::Invalid(format!("the configuration: {e}")))?;
    let numbers = [&data.training, &data.validation]
        .into_iter()
        .flat_map(|s| s.input.iter().chain(&s.x))
        .map(|v| f64::from(*v));
    let varied = if data.config.vary.is_empty() {
        [].iter()
    } else {
        data.training.p.iter()
    };
    Ok(Identity {
        configuration,
        dataset: fingerprint(numbers.chain(varied.copied())),
        from: given.map(|weights| fingerprint(weights.iter().copied())),
    })
}

/// When a training is interrupted, and when it is kept.
struct Pace {
    watch: Watcher,
    time_limit: Option<Duration>,
    /// Time between two checkpoints; none without a folder.
    every: Option<Duration>,
    clock: Instant,
    saved: Instant,
}

impl Pace {
    fn stopped(&self) -> Option<Ending> {
        match self.time_limit {
            _ if self.watch.stopped() => Some(Ending::Interrupted),
            Some(limit) if self.clock.elapsed() >= limit => Some(Ending::TimeLimit),
            _ => None,
        }
    }

    /// Whether a checkpoint is due.
    fn due(&self) -> bool {
        self.every.is_some_and(|t| self.saved.elapsed() >= t)
    }
}

/// A training in progress.
struct Training<'t, 'r> {
    data: &'t ResponseData,
    config: &'t OperatorConfig,
    run: &'t mut Run<'r, Fno>,
    problem: &'t Problem,
    engine: Box<dyn Engine + 't>,
    identity: Identity,
    directory: Option<Directory>,
    variables: Vec<String>,
    state: State,
    /// Validation error of the network that was given to start from.
    start: Option<f64>,
    pace: Pace,
    /// Epochs before this run.
    first: u64,
}

impl<'t, 'r> Training<'t, 'r> {
    fn begin(
        data: &'t ResponseData,
        config: &'t OperatorConfig,
        run: &'t mut Run<'r, Fno>,
        problem: &'t Problem,
    ) -> Result<Self> {
        let weights: Vec<f64> = match run.from {
            Some(fno) => fno.weights.iter().map(|w| f64::from(*w)).collect(),
            None => config.network.initial_weights(
                problem.scaling.inputs(),
                data.spec.variables.len(),
                config.seed,
            ),
        };
        let identity = identify(data, config, run.from.map(|_| &weights[..]))?;
        let mut state = State {
            moving: Moving::new(weights),
            best: None,
            epoch: 0,
            losses: Vec::new(),
            history: Vec::new(),
            before: 0.0,
        };
        let mut directory = None;
        if let Some(path) = run.directory {
            let (opened, found) = Directory::open(path, run.existing, &identity)?;
            directory = Some(opened);
            if let Some((checkpoint, history)) = found {
                let most = data.training.len() * data.spec.variables.len();
                state.restore(checkpoint, history, most)?;
            }
        }
        let (training, validation) = (problem.set(&data.training), problem.set(&data.validation));
        let engine: Box<dyn Engine + 't> = match run.device {
            Device::Cpu => Box::new(Cpu::new(problem, config, training, validation)),
            #[cfg(feature = "cuda")]
            Device::Cuda => Box::new(cuda::Cuda::new(problem, config, &training, &validation)?),
            #[cfg(not(feature = "cuda"))]
            Device::Cuda => return Err(without_cuda()),
        };
        if let (Some(before), false) = (&mut run.before, state.history.is_empty()) {
            before(&state.history);
        }
        let pace = Pace {
            watch: run.watch.clone(),
            time_limit: run.time_limit,
            every: directory.is_some().then_some(run.checkpoint_every),
            clock: Instant::now(),
            saved: Instant::now(),
        };
        let scored = |r: &Record| match r {
            Record::Start(r) => Some(mean(&r.validation)),
            _ => None,
        };
        Ok(Training {
            data,
            config,
            run,
            problem,
            engine,
            identity,
            directory,
            variables: data.spec.variables.iter().map(|q| q.name.clone()).collect(),
            start: state.history.iter().find_map(scored),
            first: state.epoch,
            state,
            pace,
        })
    }

    /// Seconds trained, interruptions left out.
    fn seconds(&self) -> f64 {
        self.state.before + self.pace.clock.elapsed().as_secs_f64()
    }

    fn record(&mut self, record: Record) -> Result<()> {
        if let Some(directory) = &mut self.directory {
            directory.record(&record, &self.variables)?;
        }
        if let Some(progress) = &mut self.run.progress {
            progress(&record);
        }
        self.state.history.push(record);
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        let seconds = self.seconds();
        if let Some(directory) = &mut self.directory {
            directory.checkpoint(self.state.checkpoint(&self.identity, seconds))?;
            self.pace.saved = Instant::now();
        }
        Ok(())
    }

    fn diverged(&self, epoch: u64, place: &str) -> Error {
        let kept = if self.run.directory.is_some_and(checkpoint::exists) {
            "; the last checkpoint stays in the folder"
        } else {
            ""
        };
        Error::Failed(format!(
            "the training diverged in epoch {epoch}{place}{kept}; begin anew with a lower adam.learning_rate"
        ))
    }

    /// The network that was given is one of those to choose from.
    fn score_start(&mut self) -> Result<()> {
        let (Some(fno), None, false) = (self.run.from, self.start, self.data.validation.is_empty())
        else {
            return Ok(());
        };
        let weights: Vec<f64> = fno.weights.iter().map(|w| f64::from(*w)).collect();
        let validation = self.engine.evaluate(&weights)?;
        let error = mean(&validation);
        if !error.is_finite() {
            return Err(Error::Invalid(
                "what the network to start from gives for the validation set is not finite; start from another, or from random weights"
                    .into(),
            ));
        }
        self.start = Some(error);
        if self.state.best.as_ref().is_none_or(|b| error < b.0) {
            self.state.best = Some((error, 0, weights));
        }
        self.record(Record::Start(StartRecord {
            epoch: 0,
            validation,
        }))
    }

    /// Epoch after epoch, until all are done, the validation error no longer falls, or the training is stopped.
    fn epochs(&mut self) -> Result<Ending> {
        let config = self.config;
        loop {
            let state = &self.state;
            let stale = state
                .best
                .as_ref()
                .is_some_and(|b| state.epoch - b.1 >= config.patience * config.validate_every);
            if state.epoch == config.adam.epochs || (config.patience > 0 && stale) {
                return Ok(Ending::Completed);
            }
            if let Some(ending) = self.pace.stopped() {
                return Ok(ending);
            }
            if self.pace.due() {
                self.checkpoint()?;
            }
            self.epoch()?;
        }
    }

    /// One epoch, or what is left of it; perhaps only up to a batch behind which it was to stop.
    fn epoch(&mut self) -> Result<()> {
        let (samples, outputs) = (self.data.training.len(), self.variables.len());
        let start = Instant::now();
        let order = permutation(
            &mut stream(self.config.seed, "operator order", self.state.epoch),
            samples,
        );
        let begun = self.state.losses.len() / outputs;
        let (state, pace) = (&mut self.state, &self.pace);
        let stop = || pace.stopped().is_some() || pace.due();
        match self
            .engine
            .epoch(&mut state.moving, &order, &mut state.losses, &stop)?
        {
            Epoch::Done => {}
            // Behind a batch: it is kept, and the epoch goes on.
            Epoch::Stopped => return Ok(()),
            Epoch::Diverged(batch) => {
                return Err(self.diverged(self.state.epoch + 1, &format!(", batch {batch}")));
            }
        }
        let losses = std::mem::take(&mut self.state.losses);
        self.state.epoch += 1;
        let moving = &self.state.moving;
        // Weights are used in single precision.
        let finite = |weights: &[f64]| weights.iter().all(|w| (*w as f32).is_finite());
        if losses.iter().any(|l| !l.is_finite())
            || !finite(&moving.weights)
            || !finite(&moving.average)
        {
            return Err(self.diverged(self.state.epoch, ""));
        }
        let validation = self.validate()?;
        let per_second = (samples - begun) as f64 / start.elapsed().as_secs_f64().max(1e-9);
        self.report(&losses, validation, per_second)
    }

    /// The validation error by variable, where it is due; the best weights are kept.
    fn validate(&mut self) -> Result<Option<Vec<f64>>> {
        let (config, epoch) = (self.config, self.state.epoch);
        let due = epoch.is_multiple_of(config.validate_every) || epoch == config.adam.epochs;
        if !due || self.data.validation.is_empty() {
            return Ok(None);
        }
        let errors = self.engine.evaluate(&self.state.moving.average)?;
        let error = mean(&errors);
        if !error.is_finite() {
            return Err(self.diverged(epoch, ", its validation error is not finite"));
        }
        if self.state.best.as_ref().is_none_or(|b| error < b.0) {
            self.state.best = Some((error, epoch, self.state.moving.average.clone()));
        }
        Ok(Some(errors))
    }

    /// Records of an epoch that is over: its errors, and a warning where they rose.
    fn report(
        &mut self,
        losses: &[f64],
        validation: Option<Vec<f64>>,
        samples_per_second: f64,
    ) -> Result<()> {
        let (config, epoch) = (self.config, self.state.epoch);
        let (samples, outputs) = (self.data.training.len(), self.variables.len());
        let batches = engine::batches(samples, config);
        let of_batch = |b: usize| engine::batch(b, batches, samples);
        let elapsed = self.pace.clock.elapsed().as_secs_f64();
        self.record(Record::Adam(AdamRecord {
            epoch,
            training: engine::means(losses, outputs),
            first_batch: (epoch == 1)
                .then(|| engine::means(&losses[..of_batch(0).end * outputs], outputs)),
            validation,
            learning_rate: config.adam.rate(epoch * batches as u64 - 1, batches as u64),
            samples_per_second,
            seconds: self.seconds(),
            seconds_left: elapsed / (epoch - self.first) as f64
                * (config.adam.epochs - epoch) as f64,
        }))?;
        let of_batches: Vec<(usize, f64)> = (0..batches)
            .map(|b| {
                let batch = of_batch(b);
                let of_samples = &losses[batch.start * outputs..batch.end * outputs];
                (batch.len(), mean(of_samples))
            })
            .collect();
        let rise = Rise::new(&self.state.history, WINDOW, config.adam.learning_rate);
        match rise.told(epoch, None, &of_batches) {
            Some(warning) => self.record(warning),
            None => Ok(()),
        }
    }

    fn finish(mut self, ending: Ending) -> Result<TrainedOperator> {
        let seconds = self.seconds();
        self.checkpoint()?;
        let (data, state) = (self.data, self.state);
        let best = state.best.as_ref().map_or(&state.moving.average, |b| &b.2);
        let validation = state.best.as_ref().map(|b| (b.0, b.1));
        let provenance = serde_json::json!({
            "training": self.identity.configuration,
            "dataset": data.config,
            "dataset_hash": self.identity.dataset,
            "instructions": self.engine.name(),
            "version": env!("CARGO_PKG_VERSION"),
            "ending": ending,
            "epochs": state.epoch,
            "validation": validation.map(|v| v.0),
            "validation_epoch": validation.map(|v| v.1),
            "start": self.start,
            "warnings": warnings(&state.history),
        });
        let mut fno = Fno {
            spec: data.spec.clone(),
            config: self.config.network.clone(),
            t_end: data.config.t_end,
            points: data.config.points,
            scaling: self.problem.scaling.clone(),
            seen: Seen::of(&data.training, &data.config),
            bands: None,
            weights: best.iter().map(|w| *w as f32).collect(),
            provenance,
        };
        if data.config.windows == 0 {
            fno.bands = Bands::calibrate(&fno, &data.validation, BAND)?;
        }
        check_trained(&fno, data)?;
        Ok(TrainedOperator {
            fno,
            warnings: warnings(&state.history),
            history: state.history,
            ending,
            seconds,
            validation,
            start: self.start,
            epochs: state.epoch,
        })
    }
}

/// Checks that a trained network can be used: its weights, its band and what it gives for some of the samples are finite.
fn check_trained(fno: &Fno, data: &ResponseData) -> Result<()> {
    const LOOKED_AT: usize = 16;
    let unusable = |what: &str| {
        Error::Failed(format!(
            "the training came to nothing: {what} of the network is not finite, so that it is not kept; begin anew with a lower adam.learning_rate"
        ))
    };
    if fno.weights.iter().any(|w| !w.is_finite()) {
        return Err(unusable("a weight"));
    }
    if fno.bands.as_ref().is_some_and(|b| !b.is_finite()) {
        return Err(unusable("the band around what is given by and the output"));
    }
    let set = if data.validation.is_empty() {
        &data.training
    } else {
        &data.validation
    };
    let some: Vec<_> = (0..set.len().min(LOOKED_AT))
        .map(|k| set.condition(k))
        .collect();
    if fno
        .respond(&some, set.points)?
        .iter()
        .flatten()
        .any(|v| !v.is_finite())
    {
        return Err(unusable("the output"));
    }
    // What else a reader asks for.
    fno.check().map_err(|e| {
        Error::Failed(format!(
            "the training came to nothing: {e}; begin anew with a lower adam.learning_rate"
        ))
    })
}

#[cfg(test)]
mod tests;

//! Datasets of pairs (p, u(t), u(t + dt)) on the attractors of a system, by the recipe of Kuptsov et al. (2023), section 5: chunks of
//! trajectories at random control parameters and starts, after a transient, never at the fixed point.

use std::{collections::BTreeMap, ops::Range};

use ionoscope_dynamics::{
    protocol::{Protocol, ProtocolFamily},
    sampling::{Generator, permutation, stream, uniform},
    spec::{Spec, TrainingRange},
    system::DynamicalSystem,
    trajectory::{Experiment, FailureReason, Outcome, SolveOptions, TimeGrid, Trajectory},
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    architectures::Network,
    normalizer::Normalizer,
    responses::{FamilySource, member},
};

mod file;

/// Steps of the integrator after which a chunk is given up.
const MOST_STEPS: u64 = 10_000_000;
/// Runs under stimuli at once.
const RUNS: usize = 256;
/// Most pairs of all chunks, by memory and by the 32 bits of their numbers.
const MOST_PAIRS: usize = 1 << 30;

/// How a dataset is made. Times, states and parameters in the units of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetConfig {
    /// Identifier of the model.
    pub model: String,
    /// Values of parameters that differ from the model's defaults and stay fixed.
    pub parameters: BTreeMap<String, f64>,
    /// Control parameters and the ranges from which a chunk's values are drawn.
    pub control: BTreeMap<String, [f64; 2]>,
    /// Ranges of the starts, by variable.
    pub start: BTreeMap<String, [f64; 2]>,
    /// Protocols under which the system runs, where the map is to take a stimulus. A chunk is then one run of a member from its start to its end,
    /// of which pairs are taken at random times after the transient, and fixed points are not kept away from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stimulus: Option<FamilySource>,
    /// Time step of the pairs.
    pub dt: f64,
    /// Number of chunks C for training and validation. Many short chunks cover the control range and the phases of a burst better than few long
    /// ones; the paper leaves both numbers open.
    pub chunks: usize,
    /// Pairs S of a chunk.
    pub pairs_per_chunk: usize,
    /// Transient dropped at the beginning of each chunk.
    pub transient: f64,
    /// A start nearer than this to the fixed point is drawn again, in standard deviations of the start box.
    pub distance_of_start: f64,
    /// Share of the pairs kept for validation; the split is by pair.
    pub validation_share: f64,
    /// Number of further chunks for the second validation set, of which nothing is in the training set.
    pub new_chunks: usize,
    /// Relative tolerance of the integration.
    pub rtol: f64,
    /// Absolute tolerance of the integration.
    pub atol: f64,
    /// Seed of everything that is random here.
    pub seed: u64,
}

impl Default for DatasetConfig {
    fn default() -> Self {
        DatasetConfig {
            model: "sherman-1988".into(),
            parameters: BTreeMap::new(),
            control: BTreeMap::from([("v_s".into(), [-40.0, -30.0])]),
            start: BTreeMap::from([
                ("v".into(), [-70.0, -10.0]),
                ("n".into(), [0.0, 0.12]),
                ("s".into(), [0.17, 0.2]),
            ]),
            stimulus: None,
            dt: 0.005,
            chunks: 2000,
            pairs_per_chunk: 20,
            transient: 100.0,
            distance_of_start: 0.5,
            validation_share: 0.1,
            new_chunks: 200,
            rtol: 1e-9,
            atol: 1e-11,
            seed: 1,
        }
    }
}

/// Pairs of states one step apart, in physical units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    /// Number of state variables D_u.
    pub dimension: usize,
    /// Number of control parameters D_p.
    pub parameters: usize,
    /// Control parameters, `[pair][D_p]`; the last is the mean stimulus over the step, where there is one.
    pub p: Vec<f64>,
    /// States, `[pair][D_u]`.
    pub u: Vec<f64>,
    /// States one step later, `[pair][D_u]`.
    pub next: Vec<f64>,
    /// Euclidean distance of the state to the nearest fixed point in raw units, NaN where none is known, `[pair]`.
    pub distance: Vec<f64>,
}

impl Pairs {
    fn new(dimension: usize, parameters: usize) -> Self {
        Pairs {
            dimension,
            parameters,
            ..Pairs::default()
        }
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.distance.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.distance.is_empty()
    }

    /// Control parameters of pair `k`.
    pub fn p(&self, k: usize) -> &[f64] {
        &self.p[k * self.parameters..(k + 1) * self.parameters]
    }

    /// State of pair `k`.
    pub fn u(&self, k: usize) -> &[f64] {
        &self.u[k * self.dimension..(k + 1) * self.dimension]
    }

    /// Next state of pair `k`.
    pub fn next(&self, k: usize) -> &[f64] {
        &self.next[k * self.dimension..(k + 1) * self.dimension]
    }

    fn push_from(&mut self, other: &Pairs, k: usize) {
        self.p.extend_from_slice(other.p(k));
        self.u.extend_from_slice(other.u(k));
        self.next.extend_from_slice(other.next(k));
        self.distance.push(other.distance[k]);
    }
}

/// How many chunks had to be drawn again, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrawn {
    /// The start was too near to the fixed point.
    pub near_fixed_point: u64,
    /// The trajectory ended on a fixed point.
    pub on_fixed_point: u64,
    /// The trajectory could not be completed.
    pub failed: u64,
}

/// A sampled dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// How it was made.
    pub config: DatasetConfig,
    /// Names, units and ranges of the variables and of the control parameters, with the training ranges.
    pub spec: Spec,
    /// Means and standard deviations of the training pairs.
    pub normalizer: Normalizer,
    /// Pairs to train on.
    pub training: Pairs,
    /// Pairs of the same chunks, kept apart for validation.
    pub validation: Pairs,
    /// Pairs of other chunks.
    pub new_chunks: Pairs,
    /// Chunks that were drawn again.
    pub redrawn: Redrawn,
}

/// One network's regression problem, standardised, structure of arrays.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// D_u + D_p rows, each one value a pair: standardised state, then standardised control parameters.
    pub inputs: Vec<Vec<f64>>,
    /// One row a variable to be learned: its increment in units of the increment's standard deviation, one a pair.
    pub targets: Vec<Vec<f64>>,
    /// For each input the share of its range that one standard deviation of the data covers: the range of a variable is that of its
    /// [`Spec`], the range of a control parameter the one that was sampled.
    pub coverage: Vec<f64>,
}

impl Design {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.targets[0].len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the first `n` pairs.
    pub fn truncate(&mut self, n: usize) {
        self.inputs
            .iter_mut()
            .chain(&mut self.targets)
            .for_each(|row| row.truncate(n));
    }
}

/// Fixed points of the sampled system to which a start may lead, at given parameters (all of them, in order): states are kept away from
/// these. The start matters where quantities are conserved, since fixed points lie on its level.
pub type FixedPoints<'a> = &'a (dyn Fn(&[f64], &[f64]) -> Vec<Vec<f64>> + Sync);

impl Dataset {
    /// The regression problem of the variables `outputs`.
    pub fn design(&self, outputs: Range<usize>, pairs: &Pairs) -> Design {
        let n = &self.normalizer;
        let state = (0..pairs.dimension).map(|k| {
            (0..pairs.len())
                .map(|j| n.state(k, pairs.u(j)[k]))
                .collect()
        });
        let control = (0..pairs.parameters).map(|l| {
            (0..pairs.len())
                .map(|j| n.parameter(l, pairs.p(j)[l]))
                .collect()
        });
        let increment = |i: usize| {
            (0..pairs.len())
                .map(move |j| (pairs.next(j)[i] - pairs.u(j)[i]) / n.increment_sd[i])
                .collect()
        };
        let width = |[low, high]: [f64; 2]| if high > low { high - low } else { 1.0 };
        let sampled = self
            .spec
            .trained_on
            .iter()
            .flat_map(|t| t.parameters.iter().chain(&t.stimulus));
        let ranges = self
            .spec
            .variables
            .iter()
            .map(|q| width(q.range))
            .chain(sampled.map(|r| width(*r)));
        let coverage = n
            .state_sd
            .iter()
            .chain(&n.parameter_sd)
            .zip(ranges)
            .map(|(sd, width)| sd / width)
            .collect();
        Design {
            inputs: state.chain(control).collect(),
            targets: outputs.map(increment).collect(),
            coverage,
        }
    }

    /// Mean squared error of a network on pairs, for each variable whose increment it gives, in units of the increment's standard deviation.
    pub fn increment_mse(&self, network: &Network, pairs: &Pairs) -> Vec<f64> {
        let design = self.design(network.outputs(), pairs);
        let (outputs, inputs) = (design.targets.len(), design.inputs.len());
        let (mut input, mut out, mut gradients) = (
            vec![0.0; inputs],
            vec![0.0; outputs],
            vec![0.0; outputs * inputs],
        );
        let mut sums = vec![0.0; outputs];
        for k in 0..pairs.len() {
            for (x, row) in input.iter_mut().zip(&design.inputs) {
                *x = row[k];
            }
            network.increments(&input, &mut out, &mut gradients);
            for ((sum, out), target) in sums.iter_mut().zip(&out).zip(&design.targets) {
                *sum += (out - target[k]).powi(2);
            }
        }
        sums.iter().map(|s| s / pairs.len() as f64).collect()
    }

    /// Turns an increment MSE of variable `i` into units of the state's variance: the validation MSE of Kuptsov et al.
    pub fn state_mse(&self, i: usize, increment_mse: f64) -> f64 {
        increment_mse * (self.normalizer.increment_sd[i] / self.normalizer.state_sd[i]).powi(2)
    }

    /// A fingerprint of all numbers that training sees.
    pub fn hash(&self) -> u64 {
        let parts = [&self.training, &self.validation, &self.new_chunks];
        let numbers = parts
            .into_iter()
            .flat_map(|s| s.p.iter().chain(&s.u).chain(&s.next));
        numbers.fold(0xcbf2_9ce4_8422_2325, |h: u64, v| {
            (h ^ v.to_bits())
                .wrapping_mul(0x0000_0100_0000_01b3)
                .rotate_left(23)
        })
    }
}

/// A chunk's experiment, and the fixed points at its parameters.
struct Drawn {
    experiment: Experiment,
    fixed_points: Vec<Vec<f64>>,
}

/// What all chunks of a dataset have in common, checked.
struct Sampler<'a> {
    system: &'a dyn DynamicalSystem,
    config: &'a DatasetConfig,
    fixed_points: FixedPoints<'a>,
    /// Parameters before the control parameters are set.
    base: Vec<f64>,
    /// Index among the system's parameters, and range, of each control parameter.
    control: Vec<(usize, [f64; 2])>,
    /// Range of each variable's start.
    start: Vec<[f64; 2]>,
    /// Standard deviation of a start, by which distances to the fixed point are measured before any data is there.
    scale: Vec<f64>,
    times: TimeGrid,
    stimuli: Option<ProtocolFamily>,
}

impl<'a> Sampler<'a> {
    fn new(
        system: &'a dyn DynamicalSystem,
        config: &'a DatasetConfig,
        fixed_points: FixedPoints<'a>,
    ) -> Result<Self> {
        let spec = system.spec();
        if config.model != spec.id {
            return Err(Error::Invalid(format!(
                "the dataset is configured for '{}', not for '{}'",
                config.model, spec.id
            )));
        }
        let range = |what: &str, name: &str, [low, high]: [f64; 2]| {
            if low.is_finite() && high.is_finite() && low <= high {
                return Ok([low, high]);
            }
            Err(Error::Invalid(format!(
                "the {what} range of '{name}' is [{low}, {high}]; expected two finite numbers, the smaller first"
            )))
        };
        let base = spec.parameters_with(config.parameters.iter().map(|(n, v)| (n.as_str(), *v)))?;
        let mut control = Vec::new();
        for (name, r) in &config.control {
            let i = spec.parameter_index(name)?;
            for end in range("control", name, *r)? {
                spec.parameters_with([(name.as_str(), end)])?;
            }
            control.push((i, *r));
        }
        control.sort_by_key(|c| c.0);
        if control.is_empty() && config.stimulus.is_none() {
            return Err(Error::Invalid("the dataset has no control parameter; expected at least one in [control], or a stimulus".into()));
        }
        let mut start: Vec<[f64; 2]> = spec.variables.iter().map(|q| [q.default; 2]).collect();
        for (name, r) in &config.start {
            start[spec.variable_index(name)?] = range("start", name, *r)?;
        }
        for (what, count) in [
            ("chunks", config.chunks),
            ("pairs_per_chunk", config.pairs_per_chunk),
        ] {
            if count == 0 {
                return Err(Error::Invalid(format!("{what} = 0; expected at least 1")));
            }
        }
        let chunks = config.chunks.saturating_add(config.new_chunks);
        if chunks.saturating_mul(config.pairs_per_chunk) > MOST_PAIRS {
            return Err(Error::Invalid(format!(
                "{chunks} chunks of {} pairs do not fit in memory; expected at most {MOST_PAIRS} pairs",
                config.pairs_per_chunk
            )));
        }
        if !(config.distance_of_start >= 0.0 && config.distance_of_start.is_finite()) {
            return Err(Error::Invalid(format!(
                "distance_of_start = {}; expected 0 or more",
                config.distance_of_start
            )));
        }
        if !(config.validation_share >= 0.0 && config.validation_share < 1.0) {
            return Err(Error::Invalid(format!(
                "validation_share = {}; expected a number in [0, 1)",
                config.validation_share
            )));
        }
        // The standard deviation of a uniform number is its range over sqrt(12); a start without spread is measured by its own size.
        let scale = start
            .iter()
            .map(|[l, h]| {
                if h > l {
                    (h - l) / 12f64.sqrt()
                } else {
                    l.abs().max(1.0)
                }
            })
            .collect();
        let times = TimeGrid::new(config.transient, config.dt, config.pairs_per_chunk + 1)?;
        let stimuli = config
            .stimulus
            .as_ref()
            .map(FamilySource::family)
            .transpose()?;
        Ok(Sampler {
            system,
            config,
            fixed_points,
            base,
            control,
            start,
            scale,
            times,
            stimuli,
        })
    }

    /// The next experiment of a chunk, from the chunk's own generator.
    fn draw(&self, rng: &mut Generator, redrawn: &mut Redrawn) -> Result<Drawn> {
        let mut p = self.base.clone();
        for (i, range) in &self.control {
            p[*i] = uniform(rng, *range);
        }
        let conserves = !self.system.conserved().is_empty();
        let mut fixed_points = if conserves {
            Vec::new()
        } else {
            (self.fixed_points)(&self.system.spec().default_state(), &p)
        };
        for _ in 0..10_000 {
            let x0: Vec<f64> = self.start.iter().map(|r| uniform(rng, *r)).collect();
            if conserves {
                fixed_points = (self.fixed_points)(&x0, &p);
            }
            let distance = |f: &Vec<f64>| {
                x0.iter()
                    .zip(f)
                    .zip(&self.scale)
                    .map(|((a, b), s)| ((a - b) / s).powi(2))
                    .sum::<f64>()
                    .sqrt()
            };
            if fixed_points
                .iter()
                .all(|f| distance(f) >= self.config.distance_of_start)
            {
                return Ok(Drawn {
                    experiment: Experiment {
                        x0,
                        p,
                        protocol: Protocol::none(),
                        times: self.times,
                    },
                    fixed_points,
                });
            }
            redrawn.near_fixed_point += 1;
        }
        Err(Error::Invalid("10 000 starts in a row lay next to a fixed point; widen [start] or lower distance_of_start".into()))
    }

    /// Whether a trajectory has come to rest: every derivative below 1e-3 standard deviations per unit of time.
    fn at_rest(&self, e: &Experiment, t: &Trajectory) -> bool {
        let mut f = vec![0.0; self.scale.len()];
        t.last().is_some_and(|x| {
            self.system.rule(x, 0.0, &e.p, &mut f);
            f.iter().zip(&self.scale).all(|(f, s)| f.abs() < 1e-3 * s)
        })
    }

    /// `count` good chunks; the stream of random numbers of chunk k depends on the seed, `name` and k alone.
    fn chunks(
        &self,
        name: &str,
        count: usize,
        redrawn: &mut Redrawn,
    ) -> Result<Vec<(Drawn, Trajectory)>> {
        let options = SolveOptions {
            rtol: self.config.rtol,
            atol: self.config.atol,
            max_steps: MOST_STEPS,
            ..SolveOptions::default()
        };
        let mut rngs: Vec<Generator> = (0..count)
            .map(|k| stream(self.config.seed, name, k as u64))
            .collect();
        let mut done: Vec<Option<(Drawn, Trajectory)>> = (0..count).map(|_| None).collect();
        for round in 0.. {
            let open: Vec<usize> = (0..count).filter(|k| done[*k].is_none()).collect();
            if open.is_empty() {
                break;
            }
            if round == 100 {
                let n = open.len();
                return Err(Error::Failed(format!(
                    "{n} chunks were drawn 100 times and always failed or came to rest; widen [start] or [control]"
                )));
            }
            let drawn = open
                .iter()
                .map(|k| self.draw(&mut rngs[*k], redrawn))
                .collect::<Result<Vec<_>>>()?;
            let batch: Vec<Experiment> = drawn.iter().map(|d| d.experiment.clone()).collect();
            let trajectories = self.system.solve_ensemble(&batch, &options)?;
            for ((k, d), t) in open.into_iter().zip(drawn).zip(trajectories) {
                if let Outcome::Failed {
                    time,
                    reason: reason @ FailureReason::TooManySteps { .. },
                } = &t.outcome
                {
                    // Another start would take as long.
                    let end = d.experiment.times.end();
                    return Err(Error::Failed(format!(
                        "a chunk came to t = {time:e} of {end:e}: {reason}; or shorten transient, dt or pairs_per_chunk"
                    )));
                } else if t.outcome != Outcome::Completed {
                    redrawn.failed += 1;
                } else if self.at_rest(&d.experiment, &t) {
                    redrawn.on_fixed_point += 1;
                } else {
                    done[k] = Some((d, t));
                }
            }
        }
        Ok(done.into_iter().flatten().collect())
    }

    fn pairs(&self, chunks: &[(Drawn, Trajectory)]) -> Pairs {
        let mut pairs = Pairs::new(self.scale.len(), self.control.len());
        for (
            Drawn {
                experiment: e,
                fixed_points,
            },
            t,
        ) in chunks
        {
            for k in 0..self.config.pairs_per_chunk {
                pairs.p.extend(self.control.iter().map(|(i, _)| e.p[*i]));
                pairs.u.extend_from_slice(t.state(k));
                pairs.next.extend_from_slice(t.state(k + 1));
                let distance = |f: &Vec<f64>| {
                    t.state(k)
                        .iter()
                        .zip(f)
                        .map(|(a, b)| (a - b).powi(2))
                        .sum::<f64>()
                        .sqrt()
                };
                pairs
                    .distance
                    .push(fixed_points.iter().map(distance).fold(f64::NAN, f64::min));
            }
        }
        pairs
    }

    /// Pairs of `count` runs of members of the family of stimuli, at random steps.
    fn pairs_under(
        &self,
        family: &ProtocolFamily,
        name: &str,
        count: usize,
        redrawn: &mut Redrawn,
    ) -> Result<Pairs> {
        let options = SolveOptions {
            rtol: self.config.rtol,
            atol: self.config.atol,
            max_steps: MOST_STEPS,
            ..SolveOptions::default()
        };
        let draw = family.len().unwrap_or(count as u64).max(1);
        // Another stream of members for each name.
        let seed = name.bytes().fold(self.config.seed, |h, b| {
            h.wrapping_mul(0x0100_0000_01b3) ^ u64::from(b)
        });
        let dt = self.config.dt;
        let mut pairs = Pairs::new(self.scale.len(), self.control.len() + 1);
        for first in (0..count).step_by(RUNS) {
            let mut rngs = Vec::new();
            let mut batch = Vec::new();
            for k in first..(first + RUNS).min(count) {
                let m = member(family, seed, draw, k as u64, count as u64)?;
                let mut rng = stream(self.config.seed, name, k as u64);
                let mut p = self.base.clone();
                for (i, range) in &self.control {
                    p[*i] = uniform(&mut rng, *range);
                }
                let x0 = self.start.iter().map(|r| uniform(&mut rng, *r)).collect();
                let steps = ((m.t_end - self.config.transient) / dt).round();
                if steps.is_nan() || steps < 1.0 {
                    return Err(Error::Invalid(format!(
                        "a run of family '{}' ends at {}, before transient + dt = {}",
                        family.name,
                        m.t_end,
                        self.config.transient + dt
                    )));
                }
                let times = TimeGrid::new(self.config.transient, dt, steps as usize + 1)?;
                batch.push(Experiment {
                    x0,
                    p,
                    protocol: m.protocol,
                    times,
                });
                rngs.push(rng);
            }
            for ((e, t), rng) in batch
                .iter()
                .zip(self.system.solve_ensemble(&batch, &options)?)
                .zip(&mut rngs)
            {
                if t.outcome != Outcome::Completed {
                    redrawn.failed += 1;
                    continue;
                }
                let signal = e.protocol.signal(e.times.end());
                for _ in 0..self.config.pairs_per_chunk {
                    let k = ((uniform(rng, [0.0, 1.0]) * (t.len() - 1) as f64) as usize)
                        .min(t.len() - 2);
                    let at = |k: usize| e.times.start + k as f64 * dt;
                    pairs.p.extend(self.control.iter().map(|(i, _)| e.p[*i]));
                    pairs.p.push(signal.mean(at(k), at(k + 1)));
                    pairs.u.extend_from_slice(t.state(k));
                    pairs.next.extend_from_slice(t.state(k + 1));
                    pairs.distance.push(f64::NAN);
                }
            }
        }
        Ok(pairs)
    }

    /// The spec of a surrogate trained on these pairs: the model's variables, only the control parameters, the ranges covered.
    fn spec(&self, pairs: &Pairs) -> Spec {
        let model = self.system.spec();
        let covered = |rows: &[f64], width: usize, i: usize| {
            rows.iter()
                .skip(i)
                .step_by(width)
                .fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], v| {
                    [l.min(*v), h.max(*v)]
                })
        };
        let is_control = |i: &usize| self.control.iter().any(|(c, _)| c == i);
        Spec {
            id: format!("{}-map-dt{}", model.id, self.config.dt),
            title: format!("neural map of: {}", model.title),
            parameters: self
                .control
                .iter()
                .map(|(i, _)| model.parameters[*i].clone())
                .collect(),
            // A preset may set what is now fixed.
            presets: Vec::new(),
            trained_on: Some(TrainingRange {
                model: model.id.clone(),
                fixed: (0..self.base.len())
                    .filter(|i| !is_control(i))
                    .map(|i| (model.parameters[i].name.clone(), self.base[i]))
                    .collect(),
                state: (0..pairs.dimension)
                    .map(|i| covered(&pairs.u, pairs.dimension, i))
                    .collect(),
                // The range that was sampled, not the outermost draws: its ends belong to it.
                parameters: self.control.iter().map(|(_, r)| *r).collect(),
                stimulus: self
                    .stimuli
                    .as_ref()
                    .map(|_| covered(&pairs.p, pairs.parameters, pairs.parameters - 1)),
            }),
            ..model.clone()
        }
    }
}

/// Samples a dataset. The same configuration gives the same numbers for any number of threads.
///
/// # Errors
/// A configuration that does not fit the system; chunks that fail or come to rest however often they are drawn.
pub fn sample(
    system: &dyn DynamicalSystem,
    config: &DatasetConfig,
    fixed_points: FixedPoints,
) -> Result<Dataset> {
    let sampler = Sampler::new(system, config, fixed_points)?;
    let mut redrawn = Redrawn::default();
    let mut set = |name: &str, count: usize| match &sampler.stimuli {
        Some(family) => sampler.pairs_under(family, name, count, &mut redrawn),
        None => Ok(sampler.pairs(&sampler.chunks(name, count, &mut redrawn)?)),
    };
    let (all, new_chunks) = (
        set("chunk", config.chunks)?,
        set("new chunk", config.new_chunks)?,
    );
    let order = permutation(&mut stream(config.seed, "split", 0), all.len());
    let held_out = (config.validation_share * all.len() as f64).round() as usize;
    let select = |indices: &[u32]| {
        let mut set = Pairs::new(all.dimension, all.parameters);
        indices
            .iter()
            .for_each(|k| set.push_from(&all, *k as usize));
        set
    };
    let (validation, training) = (select(&order[..held_out]), select(&order[held_out..]));
    let normalizer = Normalizer::fit(&training)?;
    Ok(Dataset {
        config: config.clone(),
        spec: sampler.spec(&training),
        normalizer,
        training,
        validation,
        new_chunks,
        redrawn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ionoscope_dynamics::models;

    fn small() -> DatasetConfig {
        DatasetConfig {
            chunks: 6,
            pairs_per_chunk: 20,
            transient: 2.0,
            new_chunks: 2,
            validation_share: 0.25,
            rtol: 1e-8,
            atol: 1e-10,
            ..DatasetConfig::default()
        }
    }

    #[test]
    fn pairs_are_one_step_apart_and_split_without_loss() {
        let system = models::find("sherman-1988").unwrap();
        let data = sample(&*system, &small(), &|_, _| vec![]).unwrap();
        assert_eq!(
            (
                data.training.len(),
                data.validation.len(),
                data.new_chunks.len()
            ),
            (90, 30, 40)
        );
        let e = |k: usize| {
            let p = system
                .spec()
                .parameters_with([("v_s", data.training.p(k)[0])])
                .unwrap();
            Experiment {
                x0: data.training.u(k).to_vec(),
                p,
                protocol: Protocol::none(),
                times: TimeGrid::new(0.005, 0.005, 1).unwrap(),
            }
        };
        for k in [0, 41, 89] {
            let again = system
                .simulate(&e(k), &SolveOptions::with_rtol(1e-10))
                .unwrap();
            for (a, b) in again.state(0).iter().zip(data.training.next(k)) {
                assert!((a - b).abs() < 1e-5 * (1.0 + a.abs()), "{a} {b}");
            }
        }
        let trained = data.spec.trained_on.as_ref().unwrap();
        assert_eq!(
            (trained.parameters.as_slice(), data.spec.parameters.len()),
            ([[-40.0, -30.0]].as_slice(), 1)
        );
    }

    #[test]
    fn pairs_under_a_stimulus_are_steps_of_the_system_with_it() {
        let system = models::find("hodgkin-huxley-1952").unwrap();
        let config = DatasetConfig {
            model: "hodgkin-huxley-1952".into(),
            control: BTreeMap::new(),
            start: BTreeMap::new(),
            stimulus: Some(FamilySource::Named("hodgkin-huxley-train".into())),
            dt: 0.1,
            transient: 0.0,
            chunks: 30,
            ..small()
        };
        let data = sample(&*system, &config, &|_, _| vec![]).unwrap();
        assert_eq!(
            (
                data.training.len(),
                data.validation.len(),
                data.new_chunks.len()
            ),
            (450, 150, 40)
        );
        assert_eq!(
            (data.spec.parameters.len(), data.training.parameters),
            (0, 1)
        );
        let [low, high] = data.spec.trained_stimulus().unwrap();
        assert!(low == 0.0 && high > 2.0);
        let again = Dataset::from_bytes(&data.to_bytes().unwrap()).unwrap();
        assert!(
            again.training.u == data.training.u
                && again.training.p == data.training.p
                && again.spec == data.spec
        );
        for k in 0..450 {
            let e = Experiment {
                x0: data.training.u(k).to_vec(),
                p: system.spec().default_parameters(),
                protocol: Protocol::constant(data.training.p(k)[0]),
                times: TimeGrid::new(0.1, 0.1, 1).unwrap(),
            };
            // Where the stimulus ends within the step, its mean is not all there is to say.
            let x = system
                .simulate(&e, &SolveOptions::with_rtol(1e-10))
                .unwrap();
            let off = x
                .state(0)
                .iter()
                .zip(data.training.next(k))
                .map(|(a, b)| (a - b).abs() / (1.0 + b.abs()))
                .fold(0.0, f64::max);
            assert!(
                off < 1e-5 || (data.training.p(k)[0] != 0.0 && off < 1e-2),
                "{k}: {off}"
            );
        }
    }

    #[test]
    fn starts_keep_their_distance_and_resting_chunks_are_counted() {
        let system = models::find("stankevich-2017").unwrap();
        // At v_s = -36 the fixed point is stable; these starts lie in its basin, those above do not.
        let near = DatasetConfig {
            model: "stankevich-2017".into(),
            control: BTreeMap::from([("v_s".into(), [-36.0, -36.0])]),
            start: BTreeMap::from([
                ("v".into(), [-70.0, -50.6]),
                ("n".into(), [0.002, 0.0021]),
                ("s".into(), [0.187, 0.188]),
            ]),
            transient: 150.0,
            distance_of_start: 0.0,
            ..small()
        };
        let data = sample(&*system, &near, &|_, _| {
            vec![vec![-50.636, 2.056e-3, 0.18792]]
        })
        .unwrap();
        assert!(data.redrawn.on_fixed_point > 0, "{:?}", data.redrawn);
        assert!(data.training.distance.iter().all(|d| *d > 0.1));
    }

    #[test]
    fn wrong_configurations_are_refused_by_name() {
        let system = models::find("sherman-1988").unwrap();
        let refuse = |change: &dyn Fn(&mut DatasetConfig)| {
            let mut c = small();
            change(&mut c);
            sample(&*system, &c, &|_, _| vec![])
                .unwrap_err()
                .to_string()
        };
        assert!(refuse(&|c| c.model = "stankevich-2017".into()).contains("stankevich-2017"));
        assert!(
            refuse(&|c| c.control = BTreeMap::from([("vs".into(), [0.0, 1.0])]))
                .contains("did you mean 'v_s'")
        );
        assert!(
            refuse(&|c| c.control = BTreeMap::from([("v_s".into(), [-30.0, -40.0])]))
                .contains("smaller first")
        );
        assert!(refuse(&|c| c.dt = f64::NAN).contains("dt is NaN"));
        assert!(refuse(&|c| c.chunks = 0).contains("chunks"));
    }
}

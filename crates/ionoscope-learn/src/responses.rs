//! Datasets of responses: what a model does under random protocols, on one grid of times, from its default start.
//!
//! Time i of a grid of N is `i T / N`. The input of cell i is the mean of the current over [t_i, t_(i+1)), so that a switch between two times is
//! seen to its digit. Validation members are drawn from the training family under another seed, in the same proportions; test members under a third one
//! where both families are the same, so that no set holds a sample of another.

use std::collections::BTreeMap;

use ionoscope_dynamics::{
    Error as DynamicsError,
    protocol::{Member, ProtocolFamily},
    sampling::{stream, uniform},
    spec::Spec,
    system::DynamicalSystem,
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
    watch::Watcher,
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod file;
mod parts;

pub use parts::Parts;

/// Experiments solved at once.
const BATCH: usize = 256;
/// What makes a third seed of one.
const THIRD: u64 = 0x7465_7374_5f73_6574;
/// Most numbers of a dataset.
const MOST_NUMBERS: usize = 1 << 32;

/// A family of protocols: one that comes along, by its name, or one of the user's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FamilySource {
    /// Its name.
    Named(String),
    /// The family itself.
    Own(Box<ProtocolFamily>),
}

impl FamilySource {
    /// The family.
    ///
    /// # Errors
    /// An unknown name, with the nearest; a family that makes no sense.
    pub fn family(&self) -> Result<ProtocolFamily> {
        let family = match self {
            FamilySource::Named(name) => ProtocolFamily::find(name)?,
            FamilySource::Own(family) => *family.clone(),
        };
        family.check()?;
        Ok(family)
    }
}

/// How responses are made. Times and currents in the units of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseConfig {
    /// Identifier of the model.
    pub model: String,
    /// Values of parameters that differ from the model's defaults.
    pub parameters: BTreeMap<String, f64>,
    /// Ranges of parameters that are drawn uniformly for every run, for a network that has them as inputs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vary: BTreeMap<String, [f64; 2]>,
    /// Protocols of the training and of the validation set.
    pub training_family: FamilySource,
    /// Protocols of the test set.
    pub test_family: FamilySource,
    /// Numbers of samples for training, validation and test. A family with a number of members of its own is drawn as often as that takes.
    pub samples: [usize; 3],
    /// End T of the grid.
    pub t_end: f64,
    /// Times N of the grid.
    pub points: usize,
    /// 0: a sample is the beginning of a run, from the model's start. Otherwise so many windows of length T are cut from every run at random
    /// times, for a network that has the start as an input.
    pub windows: usize,
    /// Relative tolerance of the integration.
    pub rtol: f64,
    /// Absolute tolerance of the integration.
    pub atol: f64,
    /// Seed of everything that is random here.
    pub seed: u64,
}

impl Default for ResponseConfig {
    fn default() -> Self {
        ResponseConfig {
            model: "fitzhugh-nagumo-1961".into(),
            parameters: BTreeMap::new(),
            vary: BTreeMap::new(),
            training_family: FamilySource::Named("fitzhugh-nagumo-train".into()),
            test_family: FamilySource::Named("fitzhugh-nagumo-test".into()),
            samples: [3000, 375, 375],
            t_end: 100.0,
            points: 1260,
            windows: 0,
            rtol: 1e-9,
            atol: 1e-11,
            seed: 1,
        }
    }
}

/// Samples of one set, in single precision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Responses {
    /// Times of the grid.
    pub points: usize,
    /// Variables.
    pub variables: usize,
    /// Mean current of every cell, `[sample][point]`.
    pub input: Vec<f32>,
    /// States, `[sample][variable][point]`.
    pub x: Vec<f32>,
    /// Index of each sample's class in its family.
    pub class: Vec<u32>,
    /// Parameters.
    pub parameters: usize,
    /// Their values, `[sample][parameter]`.
    pub p: Vec<f64>,
}

/// What a response follows from.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Mean current of every cell of the grid.
    pub current: Vec<f64>,
    /// State at the first time.
    pub start: Vec<f64>,
    /// Parameters, all of the model's.
    pub p: Vec<f64>,
}

impl Responses {
    /// What sample `k` follows from.
    pub fn condition(&self, k: usize) -> Condition {
        let current = self.input(k).iter().map(|v| f64::from(*v)).collect();
        Condition {
            current,
            start: self.start(k),
            p: self.p[k * self.parameters..(k + 1) * self.parameters].to_vec(),
        }
    }

    /// What each sample follows from.
    pub fn conditions(&self) -> Vec<Condition> {
        (0..self.len()).map(|k| self.condition(k)).collect()
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.class.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.class.is_empty()
    }

    /// Input of sample `k`, `[point]`.
    pub fn input(&self, k: usize) -> &[f32] {
        &self.input[k * self.points..(k + 1) * self.points]
    }

    /// State of sample `k` at the first time.
    pub fn start(&self, k: usize) -> Vec<f64> {
        self.x(k)
            .chunks_exact(self.points)
            .map(|row| f64::from(row[0]))
            .collect()
    }

    /// States of sample `k`, `[variable][point]`.
    pub fn x(&self, k: usize) -> &[f32] {
        let n = self.points * self.variables;
        &self.x[k * n..(k + 1) * n]
    }
}

/// A dataset of responses.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseData {
    /// How it was made.
    pub config: ResponseConfig,
    /// The model, its parameters as they were set.
    pub spec: Spec,
    /// Names of the classes of the training and of the test family.
    pub classes: [Vec<String>; 2],
    /// To train on.
    pub training: Responses,
    /// To choose networks by.
    pub validation: Responses,
    /// To report errors on.
    pub test: Responses,
}

impl ResponseConfig {
    /// Start of the grid's cells, one more than there are: the last ends at `t_end`.
    fn edge(&self, i: usize) -> f64 {
        self.t_end * i as f64 / self.points as f64
    }

    /// Bytes that a dataset of a model with so many variables takes, and three times as many while it is written.
    pub fn bytes(&self, variables: usize) -> u64 {
        let numbers = self
            .samples
            .iter()
            .map(|n| *n as u64)
            .sum::<u64>()
            .saturating_mul(self.points as u64);
        numbers.saturating_mul(4 * (variables as u64 + 1))
    }

    fn check(&self) -> Result<()> {
        if !(self.t_end > 0.0 && self.t_end.is_finite()) || self.points < 2 {
            let (t_end, points) = (self.t_end, self.points);
            return Err(Error::Invalid(format!(
                "t_end = {t_end}, points = {points}; expected a finite time larger than 0 and at least 2 points"
            )));
        }
        Ok(())
    }

    /// Places of the varied parameters in the model's list, and their ranges.
    fn varied(&self, spec: &Spec) -> Result<Vec<(usize, [f64; 2])>> {
        let one = |(name, range): (&String, &[f64; 2])| {
            let index = spec.parameter_index(name)?;
            if !(range[0].is_finite() && range[1].is_finite() && range[0] < range[1])
                || self.parameters.contains_key(name)
            {
                let [low, high] = range;
                return Err(Error::Invalid(format!(
                    "vary.{name} = [{low}, {high}]; expected two finite numbers, the second larger, of a parameter that is not set too"
                )));
            }
            // Both ends must be values that the model takes.
            range
                .iter()
                .try_for_each(|v| spec.parameters_with([(name.as_str(), *v)]).map(|_| ()))?;
            Ok((index, *range))
        };
        self.vary.iter().map(one).collect()
    }
}

/// The mean current of every cell of a grid of `points` over [0, t_end] under a protocol.
pub fn cell_means(
    protocol: &ionoscope_dynamics::protocol::Protocol,
    t_end: f64,
    points: usize,
) -> Vec<f64> {
    let signal = protocol.signal(t_end);
    let edge = |i: usize| t_end * i as f64 / points as f64;
    (0..points)
        .map(|i| signal.mean(edge(i), edge(i + 1)))
        .collect()
}

/// Sample `k` of `count`: a family of a set size is drawn as often as needed, each time with another seed, the last time in part; evenly over its
/// members, whose classes follow one another.
pub(crate) fn member(
    family: &ProtocolFamily,
    seed: u64,
    draw: u64,
    k: u64,
    count: u64,
) -> ionoscope_dynamics::Result<Member> {
    let (round, k) = (k / draw, k % draw);
    let here = draw.min(count - round * draw);
    let index = (u128::from(k) * u128::from(draw) / u128::from(here)) as u64;
    family.member(
        seed.wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        index,
    )
}

/// Makes a dataset. The same configuration gives the same numbers for any number of threads. `watch` hears how many of all samples are done.
///
/// # Errors
/// A configuration that does not fit the system; a family whose runs end before the grid; an experiment that fails, by its class and member;
/// being stopped.
pub fn respond(
    system: &dyn DynamicalSystem,
    config: &ResponseConfig,
    watch: &Watcher,
) -> Result<ResponseData> {
    respond_in_parts(system, config, None, watch)
}

/// As [`respond`]; batches that stand in `parts` are taken from there, and new ones are kept there.
///
/// # Errors
/// As [`respond`]; a part that cannot be written.
pub fn respond_in_parts(
    system: &dyn DynamicalSystem,
    config: &ResponseConfig,
    parts: Option<&Parts>,
    watch: &Watcher,
) -> Result<ResponseData> {
    make(system, config, parts, None, watch)
}

/// Makes every `of`-th batch, from number `index` on, and keeps it in `parts`: several processes share the work so, and
/// [`respond_in_parts`] takes everything from there.
///
/// # Errors
/// As [`respond_in_parts`].
pub fn respond_shard(
    system: &dyn DynamicalSystem,
    config: &ResponseConfig,
    parts: &Parts,
    [index, of]: [usize; 2],
    watch: &Watcher,
) -> Result<()> {
    make(system, config, Some(parts), Some([index, of]), watch).map(|_| ())
}

fn make(
    system: &dyn DynamicalSystem,
    config: &ResponseConfig,
    parts: Option<&Parts>,
    shard: Option<[usize; 2]>,
    watch: &Watcher,
) -> Result<ResponseData> {
    config.check()?;
    let mut spec = system.spec().clone();
    let p = spec.parameters_with(config.parameters.iter().map(|(n, v)| (n.as_str(), *v)))?;
    spec.parameters
        .iter_mut()
        .zip(&p)
        .for_each(|(q, v)| q.default = *v);
    let varied = config.varied(&spec)?;
    let numbers = config
        .samples
        .iter()
        .sum::<usize>()
        .saturating_mul(config.points)
        .saturating_mul(spec.variables.len());
    if numbers > MOST_NUMBERS {
        return Err(Error::Invalid(format!(
            "{numbers} numbers of responses; expected at most {MOST_NUMBERS}: take fewer samples or points"
        )));
    }
    let [training, test] = [
        config.training_family.family()?,
        config.test_family.family()?,
    ];
    let all = config.samples.iter().sum();
    let interrupted = || {
        let kept = if parts.is_some() {
            "the same command goes on from here"
        } else {
            "nothing was written"
        };
        Error::Failed(format!("interrupted; {kept}"))
    };
    let mut done = 0;
    let mut batches = 0..;
    // Members are drawn under `seed`, all else that is random under `other`.
    let mut set = |name: &str,
                   family: &ProtocolFamily,
                   count: usize,
                   [seed, other]: [u64; 2]|
     -> Result<Responses> {
        let windows = config.windows.max(1);
        let runs = count.div_ceil(windows);
        let draw = family.len().unwrap_or(runs as u64).max(1);
        let mut set = Responses {
            points: config.points,
            variables: spec.variables.len(),
            parameters: spec.parameters.len(),
            ..Responses::default()
        };
        // The last run may give fewer windows.
        let wanted_of = |run: usize| count - run * windows;
        for first in (0..runs).step_by(BATCH) {
            let (part, expected) = (
                format!("{name}-{first}"),
                (BATCH * windows).min(count - first * windows),
            );
            let number: usize = batches.next().unwrap_or_default();
            if let Some([index, of]) = shard {
                // What is in the parts is not wanted here.
                [&mut set.input, &mut set.x]
                    .into_iter()
                    .for_each(Vec::clear);
                set.class.clear();
                set.p.clear();
                if number % of != index {
                    continue;
                }
            }
            let before = set.len();
            if parts.is_some_and(|parts| parts.load(&part, expected, &mut set)) {
                done += expected;
                continue;
            }
            let wanted = first as u64..(first + BATCH).min(runs) as u64;
            let members: Vec<_> = wanted
                .map(|k| member(family, seed, draw, k, runs as u64))
                .collect::<ionoscope_dynamics::Result<_>>()?;
            if let Some(short) = members
                .iter()
                .find(|m| m.t_end < config.t_end * (1.0 - 1e-12))
            {
                return Err(Error::Invalid(format!(
                    "family '{}' ends at {}, before t_end = {}; expected a grid within it",
                    family.name, short.t_end, config.t_end
                )));
            }
            let dt = config.edge(1);
            // Windows lie anywhere in the run.
            let count = |m: &Member| {
                if config.windows == 0 {
                    config.points
                } else {
                    (m.t_end / dt * (1.0 + 1e-12)).floor() as usize
                }
            };
            let x0 = spec.default_state();
            let one = |(r, m): (usize, &Member)| {
                let times = TimeGrid::new(0.0, dt, count(m))?;
                let (mut p, mut rng) = (p.clone(), stream(other, "parameters", (first + r) as u64));
                varied
                    .iter()
                    .for_each(|(i, range)| p[*i] = uniform(&mut rng, *range));
                Ok(Experiment {
                    x0: x0.clone(),
                    p,
                    protocol: m.protocol.clone(),
                    times,
                })
            };
            let batch: Vec<Experiment> =
                members.iter().enumerate().map(one).collect::<Result<_>>()?;
            let options = SolveOptions {
                rtol: config.rtol,
                atol: config.atol,
                watch: watch.silent(),
                ..SolveOptions::default()
            };
            let runs = system.solve_ensemble(&batch, &options).map_err(|e| {
                if e == DynamicsError::Interrupted {
                    interrupted()
                } else {
                    e.into()
                }
            })?;
            for (r, (member, run)) in members.iter().zip(runs).enumerate() {
                let run: Trajectory = run.completed()?;
                let mut rng = stream(other, "window", (first + r) as u64);
                let signal = member.protocol.signal(member.t_end);
                for _ in 0..windows.min(wanted_of(first + r)) {
                    let latest = (run.len() - config.points) as f64;
                    let begin = if config.windows == 0 {
                        0
                    } else {
                        uniform(&mut rng, [0.0, latest + 1.0]).floor().min(latest) as usize
                    };
                    let edge = |i: usize| config.edge(begin + i);
                    set.input.extend(
                        (0..config.points).map(|i| signal.mean(edge(i), edge(i + 1)) as f32),
                    );
                    for i in 0..set.variables {
                        set.x.extend(
                            run.variable(i)
                                .skip(begin)
                                .take(config.points)
                                .map(|v| v as f32),
                        );
                    }
                    set.class.push(member.class as u32);
                    set.p.extend(&batch[r].p);
                }
            }
            if let Some(parts) = parts {
                parts.save(&part, before, &set)?;
            }
            done += set.len() - before;
            watch.progress(done, all, "responses");
            if watch.stopped() {
                return Err(interrupted());
            }
        }
        Ok(set)
    };
    let [many, some, few] = config.samples;
    // Families of different names are drawn apart under any seed.
    let (third, apart) = (
        config.seed.rotate_left(32) ^ THIRD,
        training.name != test.name,
    );
    let sets = [
        set("training", &training, many, [config.seed; 2])?,
        set("validation", &training, some, [!config.seed; 2])?,
        set(
            "test",
            &test,
            few,
            [if apart { config.seed } else { third }, third],
        )?,
    ];
    let names = |f: &ProtocolFamily| f.classes.iter().map(|c| c.name.clone()).collect();
    let classes = [names(&training), names(&test)];
    let [training, validation, test] = sets;
    Ok(ResponseData {
        config: config.clone(),
        spec,
        classes,
        training,
        validation,
        test,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ionoscope_dynamics::{
        models,
        protocol::Protocol,
        watch::{StopFlag, Watch},
    };

    use super::*;

    fn small() -> ResponseConfig {
        ResponseConfig {
            samples: [30, 10, 10],
            points: 120,
            ..ResponseConfig::default()
        }
    }

    #[test]
    fn inputs_are_means_over_cells_and_states_those_of_single_runs() {
        let means = cell_means(&Protocol::step(0.0, 2.5, 3.0), 10.0, 10);
        assert_eq!(means, [3.0, 3.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        let data = respond(&*model, &small(), &Watcher::default()).unwrap();
        assert_eq!(
            (data.training.len(), data.validation.len(), data.test.len()),
            (30, 10, 10)
        );
        // The published trajectory at I = 1 for 50 of 100, by the same path.
        let reference = Protocol::step(0.0, 50.0, 1.0);
        let e = Experiment {
            protocol: reference,
            ..Experiment::from_defaults(model.spec(), TimeGrid::new(10.0, 1.0, 1).unwrap())
        };
        let x = model.simulate(&e, &SolveOptions::with_rtol(1e-10)).unwrap();
        assert!((x.state(0)[0] - 1.019835).abs() < 1e-6 && (x.state(0)[1] - 0.923067).abs() < 1e-6);
        assert!(data.training.x(0)[0] == 0.0 && data.training.x.iter().all(|v| v.is_finite()));
        // All classes occur, in order, in training and validation.
        assert!(data.training.class.is_sorted() && data.training.class.contains(&1));
        assert!(data.validation.input != data.training.input[..data.validation.input.len()]);
    }

    #[test]
    fn no_set_holds_a_sample_of_another() {
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        let name = model.spec().parameters[0].name.clone();
        let family = FamilySource::Named("fitzhugh-nagumo-train".into());
        for test_family in [family.clone(), ResponseConfig::default().test_family] {
            let vary = [(name.clone(), [0.5, 0.9])].into();
            let config = ResponseConfig {
                samples: [40; 3],
                points: 20,
                vary,
                training_family: family.clone(),
                test_family,
                ..small()
            };
            let data = respond(&*model, &config, &Watcher::default()).unwrap();
            let sets = [&data.training, &data.validation, &data.test];
            for (a, b) in [(0, 1), (0, 2), (1, 2)].map(|(a, b)| (sets[a], sets[b])) {
                let stimulated = |s: &Responses, k: usize| s.input(k).iter().any(|v| *v != 0.0);
                for (i, j) in (0..40).flat_map(|i| (0..40).map(move |j| (i, j))) {
                    assert!(a.input(i) != b.input(j) || !stimulated(a, i), "{i} {j}");
                    assert!(a.condition(i).p != b.condition(j).p, "{i} {j}");
                }
            }
        }
    }

    #[test]
    fn what_no_reader_takes_is_not_written() {
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        let vary = [(model.spec().parameters[0].name.clone(), [0.5, 0.9])].into();
        let data = respond(
            &*model,
            &ResponseConfig {
                points: 20,
                vary,
                ..small()
            },
            &Watcher::default(),
        )
        .unwrap();
        let bytes = data.to_bytes().unwrap();
        assert_eq!(ResponseData::from_bytes(&bytes).unwrap(), data);
        let message = |spoil: &dyn Fn(&mut ResponseData)| {
            let mut data = data.clone();
            spoil(&mut data);
            data.to_bytes().unwrap_err().to_string()
        };
        assert!(
            message(&|d| d.training.input[3] = f32::NAN).contains("the set 'training' holds NaN")
        );
        assert!(
            message(&|d| d.validation.x[5] = f32::NEG_INFINITY)
                .contains("the set 'validation' holds -inf")
        );
        assert!(message(&|d| d.test.p[0] = f64::INFINITY).contains("the set 'test' holds inf"));
        // What is refused in writing is refused in reading: parameters, in double precision, come first after the header.
        let at = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for bad in [f64::NAN, f64::INFINITY] {
            let damaged = [&bytes[..at], &bad.to_le_bytes(), &bytes[at + 8..]].concat();
            let message = ResponseData::from_bytes(&damaged).unwrap_err();
            assert!(message.contains(&format!("holds {bad}")), "{message}");
        }
    }

    /// Notes what is done, and stops where that is so much.
    #[derive(Default)]
    struct Notes {
        told: Mutex<Vec<usize>>,
        stop_at: usize,
    }

    impl Watch for Notes {
        fn stopped(&self) -> bool {
            self.told
                .lock()
                .unwrap()
                .last()
                .is_some_and(|done| *done >= self.stop_at)
        }

        fn progress(&self, done: usize, _of: usize, _what: &str) {
            self.told.lock().unwrap().push(done);
        }
    }

    #[test]
    fn what_was_made_before_an_interruption_is_not_made_again() {
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        let config = ResponseConfig {
            samples: [600, 10, 10],
            points: 20,
            windows: 2,
            t_end: 20.0,
            ..ResponseConfig::default()
        };
        let whole = respond(&*model, &config, &Watcher::default()).unwrap();
        let dir = std::env::temp_dir().join(format!("ionoscope-parts-{}", std::process::id()));
        let parts = Parts::open(&dir, &config).unwrap();
        let stopped = respond_in_parts(
            &*model,
            &config,
            Some(&parts),
            &Watcher::new(Notes {
                stop_at: 500,
                ..Notes::default()
            }),
        )
        .unwrap_err();
        assert!(stopped.to_string().contains("goes on from here"));
        // One of the parts was cut short: it is made again.
        std::fs::write(dir.join("training-0"), [0; 7]).unwrap();
        let notes = Arc::new(Notes {
            stop_at: usize::MAX,
            ..Notes::default()
        });
        let (told, note) = (&notes.told, Watcher::new(notes.clone()));
        let parts = Parts::open(&dir, &config).unwrap();
        assert_eq!(
            respond_in_parts(&*model, &config, Some(&parts), &note).unwrap(),
            whole
        );
        assert_eq!(*told.lock().unwrap(), [512, 600, 610, 620]);
        // So is one in which a bit changed.
        told.lock().unwrap().clear();
        let mut bytes = std::fs::read(dir.join("training-256")).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(dir.join("training-256"), bytes).unwrap();
        assert_eq!(
            respond_in_parts(&*model, &config, Some(&parts), &note).unwrap(),
            whole
        );
        assert_eq!(*told.lock().unwrap(), [600]);
        // Everything is there now; another configuration is refused.
        told.lock().unwrap().clear();
        assert_eq!(
            respond_in_parts(&*model, &config, Some(&parts), &note).unwrap(),
            whole
        );
        assert!(told.lock().unwrap().is_empty());
        let other = ResponseConfig { seed: 2, ..config };
        assert!(
            Parts::open(&dir, &other)
                .err()
                .unwrap()
                .to_string()
                .contains("other responses")
        );
        parts.remove().unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn windows_are_pieces_of_runs() {
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        let config = ResponseConfig {
            samples: [50, 10, 10],
            t_end: 20.0,
            points: 40,
            windows: 3,
            ..ResponseConfig::default()
        };
        let data = respond(&*model, &config, &Watcher::default()).unwrap();
        assert_eq!(
            (data.training.len(), data.validation.len(), data.test.len()),
            (50, 10, 10)
        );
        assert_eq!(
            ResponseData::from_bytes(&data.to_bytes().unwrap()).unwrap(),
            data
        );
        let mut moved = 0;
        for k in 0..50 {
            let x0 = data.training.start(k);
            moved += usize::from(x0[0].abs() > 0.01);
            // The current is constant over the window: from its start the equations give it again.
            let input = data.training.input(k);
            if input.iter().any(|v| *v != input[0]) {
                continue;
            }
            let times = TimeGrid::new(0.0, 0.5, 40).unwrap();
            let e = Experiment {
                x0,
                protocol: Protocol::constant(f64::from(input[0])),
                ..Experiment::from_defaults(model.spec(), times)
            };
            let run = model.simulate(&e, &SolveOptions::default()).unwrap();
            assert!(
                run.variable(0)
                    .zip(data.training.x(k))
                    .all(|(a, b)| (a - f64::from(*b)).abs() < 1e-3),
                "{k}"
            );
        }
        assert!(moved > 10, "{moved}");
    }

    #[test]
    fn a_file_holds_every_bit_and_wrong_configurations_are_refused() {
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        let data = respond(&*model, &small(), &Watcher::default()).unwrap();
        let bytes = data.to_bytes().unwrap();
        assert_eq!(ResponseData::from_bytes(&bytes).unwrap(), data);
        for cut in [0, 100, bytes.len() / 2, bytes.len() - 1] {
            assert!(ResponseData::from_bytes(&bytes[..cut]).is_err());
        }
        let refuse = |change: &dyn Fn(&mut ResponseConfig)| {
            let mut c = small();
            change(&mut c);
            respond(&*model, &c, &Watcher::default())
                .unwrap_err()
                .to_string()
        };
        let stopped = StopFlag::default();
        stopped.raise();
        assert!(refuse(&|c| c.t_end = 200.0).contains("ends at 100"));
        assert!(
            refuse(&|c| c.training_family = FamilySource::Named("fitzhugh-nagumo-trian".into()))
                .contains("did you mean")
        );
        assert!(refuse(&|c| c.points = 1).contains("at least 2 points"));
        assert!(
            respond(&*model, &small(), &Watcher::new(stopped))
                .unwrap_err()
                .to_string()
                .contains("interrupted")
        );
    }
}

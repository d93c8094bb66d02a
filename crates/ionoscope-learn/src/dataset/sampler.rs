//! Sampling of pairs: chunks of trajectories on attractors, or runs under stimuli.

use ionoscope_dynamics::{
    protocol::{Protocol, ProtocolFamily},
    sampling::{Generator, permutation, stream, uniform},
    spec::{Spec, TrainingRange},
    system::DynamicalSystem,
    trajectory::{Experiment, FailureReason, Outcome, SolveOptions, TimeGrid, Trajectory},
};

use super::{
    config::DatasetConfig,
    set::{Dataset, Redrawn},
};
use crate::{
    Error, Result, hash,
    normalizer::Normalizer,
    pairs::Pairs,
    responses::{FamilySource, member},
};

/// Steps of the integrator after which a chunk is given up.
const MOST_STEPS: u64 = 10_000_000;
/// Runs under stimuli at once.
const RUNS: usize = 256;

/// Fixed points of the sampled system to which a start may lead, at given parameters (all of them, in order): states are kept away from
/// these. The start matters where quantities are conserved, since fixed points lie on its level.
pub type FixedPoints<'a> = &'a (dyn Fn(&[f64], &[f64]) -> Vec<Vec<f64>> + Sync);

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
        config.check_for(spec)?;
        let start = config.starts(spec)?;
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
        let stimuli = config
            .stimulus
            .as_ref()
            .map(FamilySource::family)
            .transpose()?;
        Ok(Sampler {
            system,
            config,
            fixed_points,
            base: config.fixed(spec)?,
            control: config.controlled(spec)?,
            start,
            scale,
            times: config.times()?,
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
            h.wrapping_mul(hash::PRIME) ^ u64::from(b)
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

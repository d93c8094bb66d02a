//! Where a system goes that is left to itself: a steady state or a limit cycle.
//!
//! A limit cycle is followed by its returns to a section, the upward crossings of the middle of what the membrane potential (or else the
//! variable that varies most) spans; a return is compared by its state and by the time since the one before. Of a flow the crossing is found
//! by the solver itself; of a map, which has no states between its steps, by cubic interpolation, so that its tolerance should be looser.

use ionoscope_dynamics::{
    spec::Spec,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, TimeGrid, Trajectory},
};

use super::{
    answer::{Paced, PacingOptions, check_times, constant, within},
    convergence::{Convergence, Scale},
};
use crate::{Error, Result};

/// Newton steps towards a crossing.
const MOST_STEPS: usize = 20;

/// Follows a system with a constant stimulus to its steady state or limit cycle, window after window. `experiment.times` is one window, from 0;
/// it should hold at least one oscillation, and its output times several a spike.
///
/// # Errors
/// A stimulus that changes; otherwise as [`super::pace`].
pub fn settle(
    system: &dyn DynamicalSystem,
    experiment: &Experiment,
    options: &PacingOptions,
) -> Result<Paced> {
    options.check()?;
    check_times(experiment)?;
    let window = experiment.times.end();
    let i_stim = constant(
        &experiment
            .protocol
            .signal(options.most_periods as f64 * window),
    )
    .ok_or_else(|| {
        Error::Invalid(
            "the stimulus changes over time; give the period after which it repeats".into(),
        )
    })?;
    let spec = system.spec();
    let mut experiment = experiment.clone();
    let mut rest = Convergence::new(options.tolerance, 1);
    let mut returns = Convergence::new(options.tolerance, options.most_crossings);
    let mut section: Option<Section> = None;
    let mut crossings: Vec<f64> = Vec::new();
    let mut at_rest = None;
    // A window may be shorter than an oscillation: the longer, the more often the section was moved.
    let (mut silent, mut patience) = (0, 1);
    for k in 1..=options.most_periods {
        let trajectory = system.simulate(&experiment, &options.solve)?;
        let scale = Scale::of(spec, &trajectory.x);
        let begin = (k - 1) as f64 * window;
        let seen = match &section {
            None => Vec::new(),
            Some(section) => {
                section.crossings(system, i_stim, &experiment, &trajectory, options)?
            }
        };
        for (t, x) in &seen {
            let since = crossings.last().map(|last| begin + t - last);
            crossings.push(begin + t);
            let Some(since) = since else { continue };
            let mut point = x.clone();
            point.push(since);
            if let Some(found) = returns.push(point, &scale.clone().with(since)) {
                let period = begin + t - crossings[crossings.len() - 1 - found.multiplicity];
                return Ok(Paced {
                    state: x.clone(),
                    periods: k,
                    converged: true,
                    multiplicity: Some(found.multiplicity),
                    period: Some(period),
                    steady: false,
                    residual: found.residual,
                    remaining: found.remaining,
                });
            }
        }
        silent = if seen.is_empty() { silent + 1 } else { 0 };
        if silent == patience {
            // A damped oscillation has left the level, or this is the first window.
            section = Some(Section::through(spec, &trajectory, &scale));
            crossings.clear();
            returns.restart();
            (silent, patience) = (0, 2 * patience);
        }
        experiment.x0 = trajectory.state(trajectory.len() - 1).to_vec();
        let steady = within(&trajectory, &scale) <= options.tolerance;
        let found = rest.push(trajectory.x, &scale);
        if let Some(found) = found.filter(|_| steady) {
            at_rest = Some(found);
        }
        if at_rest.is_some() || k == options.most_periods {
            let now = at_rest.unwrap_or_else(|| rest.judge(1, &scale));
            return Ok(Paced {
                state: experiment.x0,
                periods: k,
                converged: at_rest.is_some(),
                multiplicity: at_rest.map(|_| 1),
                period: None,
                steady: at_rest.is_some(),
                residual: now.residual,
                remaining: now.remaining,
            });
        }
    }
    unreachable!("at least one window is simulated, and the last one returns")
}

/// A value of one variable, crossed upwards.
struct Section {
    variable: usize,
    level: f64,
}

impl Section {
    fn through(spec: &Spec, t: &Trajectory, scale: &Scale) -> Self {
        let span = |i: usize| {
            t.variable(i)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                    (a.min(v), b.max(v))
                })
        };
        let relative = |i: usize| {
            let (low, high) = span(i);
            (high - low) / scale.unit(i)
        };
        let variable = spec
            .membrane_potential_index()
            .or_else(|| (0..t.dimension).max_by(|a, b| relative(*a).total_cmp(&relative(*b))))
            .unwrap_or(0);
        let (low, high) = span(variable);
        Section {
            variable,
            level: 0.5 * (low + high),
        }
    }

    /// Time and state of each crossing in a window.
    fn crossings(
        &self,
        system: &dyn DynamicalSystem,
        i_stim: f64,
        experiment: &Experiment,
        trajectory: &Trajectory,
        options: &PacingOptions,
    ) -> Result<Vec<(f64, Vec<f64>)>> {
        let value = |k: usize| trajectory.state(k)[self.variable];
        let upward = (0..trajectory.len() - 1)
            .filter(|&k| value(k) < self.level && value(k + 1) >= self.level);
        upward
            .map(|k| match system.time() {
                Time::Continuous => {
                    self.of_flow(system, i_stim, experiment, trajectory, k, options)
                }
                Time::Discrete { .. } => Ok(self.of_map(trajectory, k)),
            })
            .collect()
    }

    /// Safeguarded Newton iterations for the time, each with a state from the solver.
    fn of_flow(
        &self,
        system: &dyn DynamicalSystem,
        i_stim: f64,
        experiment: &Experiment,
        trajectory: &Trajectory,
        k: usize,
        options: &PacingOptions,
    ) -> Result<(f64, Vec<f64>)> {
        let dt = trajectory.times.dt;
        let (a, b) = (
            trajectory.state(k)[self.variable],
            trajectory.state(k + 1)[self.variable],
        );
        let (mut low, mut high, mut t) = (0.0, dt, dt * (self.level - a) / (b - a));
        let mut dx = vec![0.0; trajectory.dimension];
        let mut x = trajectory.state(k).to_vec();
        for _ in 0..MOST_STEPS {
            let times = TimeGrid::new(t, dt, 1)?;
            let e = Experiment {
                x0: trajectory.state(k).to_vec(),
                times,
                ..experiment.clone()
            };
            x = system.simulate(&e, &options.solve)?.x;
            let above = x[self.variable] - self.level;
            if above < 0.0 {
                low = t
            } else {
                high = t
            }
            system.rule(&x, i_stim, &experiment.p, &mut dx);
            let newton = t - above / dx[self.variable];
            let next = if newton > low && newton < high {
                newton
            } else {
                0.5 * (low + high)
            };
            let done = (next - t).abs() <= 1e-12 * dt.max(t);
            t = next;
            if done {
                break;
            }
        }
        Ok((trajectory.times.time(k) + t, x))
    }

    /// The cubic through the four nearest steps, at the time at which this variable's crosses.
    fn of_map(&self, trajectory: &Trajectory, k: usize) -> (f64, Vec<f64>) {
        let first = k.saturating_sub(1).min(trajectory.len().saturating_sub(4));
        let nodes = 4.min(trajectory.len());
        let at = |i: usize, s: f64| -> f64 {
            let weight = |j: usize| {
                (0..nodes)
                    .filter(|m| *m != j)
                    .map(|m| (s - m as f64) / (j as f64 - m as f64))
                    .product::<f64>()
            };
            (0..nodes)
                .map(|j| trajectory.state(first + j)[i] * weight(j))
                .sum()
        };
        let (mut low, mut high) = ((k - first) as f64, (k - first + 1) as f64);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if at(self.variable, middle) < self.level {
                low = middle
            } else {
                high = middle
            }
        }
        let t = trajectory.times.time(first) + high * trajectory.times.dt;
        (t, (0..trajectory.dimension).map(|i| at(i, high)).collect())
    }
}

//! Lyapunov spectra of flows and maps.
//!
//! Small disturbances of a trajectory obey Q' = J(x(t)) Q (a flow) or Q(t + dt) = J(x(t)) Q(t) (a map). The exponents are the mean rates
//! of growth of the columns of an orthonormal Q that is orthonormalised again after every step (Benettin, Galgani, Giorgilli, Strelcyn,
//! Meccanica 15 (1980) 9, doi 10.1007/BF02128236): lambda_k is the mean of ln r_kk per unit of time, with Q R the decomposition after the step.
//! Jacobians are exact. Along a flow the states come from the integrator at tight tolerance, and Q is carried by Magnus' expansion of
//! order 4 (see `tangent.rs`), which takes a stiff decay as it is; its step is halved until the exponents of a trial no longer change.
//!
//! Several trajectories, taken one after another from a long one, so that all of them are on the same attractor, run side by side until
//! the standard errors of all exponents, from the spread between the trajectories, are small enough.

use ionoscope_dynamics::{
    protocol::Protocol,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod tangent;
#[cfg(test)]
mod tests;

use tangent::Frame;

/// Steps of the tangent flow a segment at most: with more the states of a segment no longer fit in memory beside each other.
const MOST_STEPS: usize = 1 << 20;

/// Numerical knobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LyapunovOptions {
    /// Number of exponents, the largest first; all when `None`.
    pub count: Option<usize>,
    /// Time before anything is counted.
    pub transient: f64,
    /// Time between two looks at the errors, and the distance between the starts of two trajectories.
    pub segment: f64,
    /// Trajectories side by side.
    pub trajectories: usize,
    /// Standard error, per unit of time, at which to stop.
    pub accuracy: f64,
    /// Time of each trajectory after which to stop in any case.
    pub longest: f64,
    /// Tolerances of a flow's trajectories.
    pub solve: SolveOptions,
}

impl Default for LyapunovOptions {
    fn default() -> Self {
        let solve = SolveOptions { rtol: 1e-9, atol: 1e-11, ..SolveOptions::default() };
        LyapunovOptions { count: None, transient: 100.0, segment: 100.0, trajectories: 16, accuracy: 1e-3, longest: 2e4, solve }
    }
}

impl LyapunovOptions {
    fn check(&self, system: &dyn DynamicalSystem) -> Result<()> {
        let n = system.dimension();
        let positive = [("segment", self.segment), ("accuracy", self.accuracy), ("longest time", self.longest)];
        if let Some((name, value)) = positive.iter().find(|(_, v)| !(*v > 0.0 && v.is_finite())) {
            return Err(Error::Invalid(format!("the {name} is {value}; expected a finite number larger than 0")));
        }
        if !(self.transient >= 0.0 && self.transient.is_finite()) {
            return Err(Error::Invalid(format!("the transient is {}; expected a finite number, 0 or larger", self.transient)));
        }
        if !(2..=1024).contains(&self.trajectories) {
            return Err(Error::Invalid(format!(
                "{} trajectories; expected 2 to 1024, from whose spread the errors follow",
                self.trajectories
            )));
        }
        if let Some(count) = self.count.filter(|c| !(1..=n).contains(c)) {
            return Err(Error::Invalid(format!(
                "{count} exponents of {}; expected 1 to {n}, the number of its variables",
                system.spec().id
            )));
        }
        Ok(())
    }
}

/// A spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LyapunovSpectrum {
    /// Exponents per unit of time, descending.
    pub exponents: Vec<f64>,
    /// Their standard errors.
    pub errors: Vec<f64>,
    /// Whether all of them are within the accuracy that was asked for.
    pub reached: bool,
    /// Mean divergence per unit of time: what all exponents sum up to.
    pub divergence: f64,
    /// Dimension of the attractor after Kaplan and Yorke; `None` where the exponents that were computed do not decide it.
    pub kaplan_yorke_dimension: Option<f64>,
    /// Time that was averaged over, all trajectories together.
    pub time: f64,
    /// Step of the tangent flow, or of the map.
    pub step: f64,
    /// Exponents after each segment.
    pub convergence: Vec<Vec<f64>>,
    /// Whether a surrogate left what it was trained on; never for equations.
    pub extrapolated: bool,
}

/// The spectrum along the trajectory that begins at `x0`, under a constant stimulus.
///
/// # Errors
/// Options that make no sense; a trajectory that fails or escapes, with the time; a Jacobian that is not finite.
pub fn lyapunov(system: &dyn DynamicalSystem, x0: &[f64], i_stim: f64, p: &[f64], options: &LyapunovOptions) -> Result<LyapunovSpectrum> {
    options.check(system)?;
    let n = system.dimension();
    let count = options.count.unwrap_or(n);
    let run = Run { system, i_stim, p, options, count };
    let (segment, mut steps) = run.steps()?;
    let starts = run.starts(x0, segment)?;
    let mut threads: Vec<Thread> = starts.into_iter().map(|x| Thread::new(x, count)).collect();
    if system.time() == Time::Continuous {
        steps = run.resolve(&threads, segment, steps)?;
    }
    // The frames turn into the directions of the exponents.
    run.segment(&mut threads, segment, steps)?;
    threads.iter_mut().for_each(Thread::forget);

    let mut convergence = Vec::new();
    loop {
        run.segment(&mut threads, segment, steps)?;
        let time = (convergence.len() + 1) as f64 * segment;
        let (exponents, errors) = statistics(&threads, time);
        convergence.push(exponents.clone());
        let reached = errors.iter().all(|e| *e <= options.accuracy);
        // The spread of a single segment is itself uncertain.
        if (reached && convergence.len() >= 4) || time + 0.5 * segment > options.longest {
            let divergence = threads.iter().map(|t| t.divergence).sum::<f64>() / (time * threads.len() as f64);
            return Ok(LyapunovSpectrum {
                kaplan_yorke_dimension: kaplan_yorke(&exponents, count == n),
                exponents,
                errors,
                reached,
                divergence,
                time: time * threads.len() as f64,
                step: segment / steps as f64,
                convergence,
                extrapolated: threads.iter().any(|t| t.extrapolated),
            });
        }
    }
}

/// One of the trajectories.
#[derive(Clone)]
struct Thread {
    x: Vec<f64>,
    frame: Vec<f64>,
    /// Sum of ln r_kk, and integral of the divergence.
    growth: Vec<f64>,
    divergence: f64,
    extrapolated: bool,
}

impl Thread {
    fn new(x: Vec<f64>, count: usize) -> Self {
        let n = x.len();
        let frame = (0..n * count).map(|k| f64::from(u8::from(k / count == k % count))).collect();
        Thread { x, frame, growth: vec![0.0; count], divergence: 0.0, extrapolated: false }
    }

    fn forget(&mut self) {
        self.growth.fill(0.0);
        self.divergence = 0.0;
    }
}

struct Run<'a> {
    system: &'a dyn DynamicalSystem,
    i_stim: f64,
    p: &'a [f64],
    options: &'a LyapunovOptions,
    count: usize,
}

impl Run<'_> {
    /// Length of a segment, and its steps: those of a map, or a first guess.
    fn steps(&self) -> Result<(f64, usize)> {
        match self.system.time() {
            Time::Continuous => Ok((self.options.segment, 64)),
            Time::Discrete { dt } => {
                let steps = (self.options.segment / dt).round().max(1.0);
                if steps > MOST_STEPS as f64 {
                    let most = MOST_STEPS as f64 * dt;
                    return Err(Error::Invalid(format!(
                        "a segment of {} is {steps} steps of the map; expected {most} at most",
                        self.options.segment
                    )));
                }
                Ok((steps * dt, steps as usize))
            }
        }
    }

    fn experiment(&self, x: &[f64], times: TimeGrid) -> Experiment {
        let protocol = if self.i_stim == 0.0 { Protocol::none() } else { Protocol::step(0.0, 2.0 * times.end() + 1.0, self.i_stim) };
        Experiment { x0: x.to_vec(), p: self.p.to_vec(), protocol, times }
    }

    /// States that follow each other along one trajectory, behind the transient.
    fn starts(&self, x0: &[f64], segment: f64) -> Result<Vec<Vec<f64>>> {
        let transient = match self.system.time() {
            Time::Continuous => self.options.transient,
            Time::Discrete { dt } => (self.options.transient / dt).round() * dt,
        };
        let times = TimeGrid::new(transient, segment, self.options.trajectories)?;
        let all = self.system.simulate(&self.experiment(x0, times), &self.options.solve)?;
        Ok((0..all.len()).map(|k| all.state(k).to_vec()).collect())
    }

    /// States of all trajectories over a segment: of a flow at both ends and in the middle of every step, of a map at every step.
    fn states(&self, threads: &[Thread], segment: f64, steps: usize) -> Result<Vec<Trajectory>> {
        let intervals = if self.system.time() == Time::Continuous { 2 * steps } else { steps };
        let times = match self.system.time() {
            Time::Continuous => TimeGrid::new(0.0, segment / intervals as f64, intervals + 1)?,
            Time::Discrete { dt } => TimeGrid::new(0.0, dt, intervals + 1)?,
        };
        let batch: Vec<Experiment> = threads.iter().map(|t| self.experiment(&t.x, times)).collect();
        let all = self.system.solve_ensemble(&batch, &self.options.solve)?;
        Ok(all.into_iter().map(Trajectory::completed).collect::<ionoscope_dynamics::Result<_>>()?)
    }

    /// Moves all trajectories and frames on by a segment.
    fn segment(&self, threads: &mut [Thread], segment: f64, steps: usize) -> Result<()> {
        let states = self.states(threads, segment, steps)?;
        threads.par_iter_mut().zip(states).try_for_each(|(thread, states)| {
            self.carry(thread, &states, segment, steps)?;
            let last = states.len() - 1;
            thread.x.copy_from_slice(states.state(last));
            thread.extrapolated |= (0..=last).any(|k| self.system.spec().extrapolates(states.state(k), self.p));
            Ok(())
        })
    }

    /// Carries a frame along the states of a segment.
    fn carry(&self, thread: &mut Thread, states: &Trajectory, segment: f64, steps: usize) -> Result<()> {
        let mut frame = Frame::new(self.system.dimension(), self.count);
        let jacobian = |k: usize, out: &mut [f64]| self.system.jacobian(states.state(k), self.i_stim, self.p, out);
        let sound = match self.system.time() {
            Time::Continuous => {
                frame.flow(&mut thread.frame, &mut thread.growth, &mut thread.divergence, jacobian, segment / steps as f64, steps)
            }
            Time::Discrete { .. } => frame.map(&mut thread.frame, &mut thread.growth, &mut thread.divergence, jacobian, steps),
        };
        if sound {
            Ok(())
        } else {
            Err(Error::Invalid("the Jacobian along the trajectory is not finite, or a direction of the tangent space was lost".into()))
        }
    }

    /// The number of steps a segment at which the exponents of a trial over a segment differ from those at half the steps by at most the
    /// accuracy, or 2e-5 of themselves; what is left, of order 4, is then a fifteenth of that.
    fn resolve(&self, threads: &[Thread], segment: f64, mut steps: usize) -> Result<usize> {
        let few = &threads[..threads.len().min(4)];
        let mut before: Option<Vec<f64>> = None;
        loop {
            let states = self.states(few, segment, steps)?;
            let mut trial = few.to_vec();
            let carried: Vec<Result<()>> = trial.par_iter_mut().zip(&states).map(|(t, s)| self.carry(t, s, segment, steps)).collect();
            // With too long a step the matrices may overflow.
            let now = carried.into_iter().all(|c| c.is_ok()).then(|| statistics(&trial, segment).0);
            if let (Some(now), Some(before)) = (&now, &before) {
                let near = |(a, b): (&f64, &f64)| (a - b).abs() <= self.options.accuracy.max(2e-5 * a.abs());
                if now.iter().zip(before).all(near) {
                    return Ok(steps);
                }
            }
            if 2 * steps > MOST_STEPS {
                let message =
                    format!("the tangent flow is not resolved by {steps} steps in a segment of {segment}; take a shorter segment");
                return Err(Error::Invalid(message));
            }
            (before, steps) = (now, 2 * steps);
        }
    }
}

/// Mean exponents and their standard errors from the spread between the trajectories.
fn statistics(threads: &[Thread], time: f64) -> (Vec<f64>, Vec<f64>) {
    let n = threads.len() as f64;
    (0..threads[0].growth.len())
        .map(|k| {
            let mean = threads.iter().map(|t| t.growth[k] / time).sum::<f64>() / n;
            let square = threads.iter().map(|t| (t.growth[k] / time - mean).powi(2)).sum::<f64>();
            (mean, (square / ((n - 1.0) * n)).sqrt())
        })
        .unzip()
}

/// j + (lambda_1 + .. + lambda_j) / |lambda_(j + 1)| for the largest j whose sum is not negative (Kaplan, Yorke 1979).
fn kaplan_yorke(exponents: &[f64], complete: bool) -> Option<f64> {
    let mut sum = 0.0;
    for (j, lambda) in exponents.iter().enumerate() {
        if sum + lambda < 0.0 {
            return Some(j as f64 + sum / lambda.abs());
        }
        sum += lambda;
    }
    complete.then_some(exponents.len() as f64)
}

//! Diagrams of what a system does over a parameter, by simulation.
//!
//! A **sweep** goes from value to value; where it inherits, a column starts from the state in which its neighbour ended, so that a branch of
//! attractors is followed as long as it lasts. Of each column a transient is dropped and a window is kept. The **raster diagram** of
//! Kuptsov et al. (Chaos, Solitons & Fractals 167 (2023) 113027, figures 3, 5 and 9) shows the membrane potential over time as shade, a
//! column for every value; of a window twice as long as is shown, the part is taken that is nearest (by Euclidean distance) to the column
//! before, so that bursts stand in line. The **orbit diagram** shows the local maxima, the intervals between spikes or a Poincare
//! section.

use ionoscope_dynamics::{
    protocol::Protocol,
    system::{DynamicalSystem, Input, Time},
    trajectory::{Experiment, Outcome, SolveOptions, TimeGrid, Trajectory},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod orbit;
mod raster;
#[cfg(test)]
mod tests;

pub use orbit::{Mark, Section, orbit_marks};
pub use raster::{Raster, raster};

/// From where a column starts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inherit {
    /// From the end of the column before, from the first value to the last.
    Forward,
    /// From the end of the column behind, from the last value to the first.
    Backward,
    /// From the value nearest to this one both ways.
    Outwards(f64),
    /// All from the same start.
    None,
}

/// Numerical knobs of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepOptions {
    /// From where a column starts.
    pub inherit: Inherit,
    /// Time dropped of each column.
    pub transient: f64,
    /// Time kept of each column.
    pub window: f64,
    /// Time between two states that are kept; of a map a multiple of its step.
    pub dt: f64,
    /// Tolerances of a flow.
    pub solve: SolveOptions,
}

impl Default for SweepOptions {
    fn default() -> Self {
        let solve = SolveOptions { rtol: 1e-6, atol: 1e-8, ..SolveOptions::default() };
        SweepOptions { inherit: Inherit::Forward, transient: 100.0, window: 30.0, dt: 0.005, solve }
    }
}

/// One value of the parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The value.
    pub parameter: f64,
    /// States over the window; fewer than asked for where the trajectory failed.
    pub window: Trajectory,
    /// Whether it left what a surrogate was trained on; never for equations.
    pub extrapolated: bool,
}

impl Column {
    /// Why it is not complete.
    pub fn failure(&self) -> Option<String> {
        match &self.window.outcome {
            Outcome::Completed => None,
            Outcome::Failed { time, reason } => Some(format!("at t = {time}: {reason}")),
        }
    }
}

/// What is swept.
#[derive(Clone, Copy)]
pub struct Sweep<'a> {
    /// The system.
    pub system: &'a dyn DynamicalSystem,
    /// What is varied.
    pub over: Input,
    /// Its values, in order.
    pub values: &'a [f64],
    /// Start of the first column, or of all.
    pub x0: &'a [f64],
    /// Stimulus and parameters beside what is varied.
    pub i_stim: f64,
    /// See `i_stim`.
    pub p: &'a [f64],
}

impl Sweep<'_> {
    fn experiment(&self, value: f64, x0: &[f64], times: TimeGrid) -> Experiment {
        let (mut p, mut i_stim) = (self.p.to_vec(), self.i_stim);
        match self.over {
            Input::Parameter(k) => p[k] = value,
            Input::Stimulus => i_stim = value,
        }
        let protocol = if i_stim == 0.0 { Protocol::none() } else { Protocol::step(0.0, 2.0 * times.end() + 1.0, i_stim) };
        Experiment { x0: x0.to_vec(), p, protocol, times }
    }

    fn column(&self, value: f64, window: Trajectory, p: &[f64]) -> Column {
        let extrapolated = (0..window.len()).step_by(8).any(|k| self.system.spec().extrapolates(window.state(k), p));
        Column { parameter: value, window, extrapolated }
    }
}

/// All columns of a sweep, in the order of the values. `progress` is told of each one that is done.
///
/// # Errors
/// No values, options that make no sense, times that a map does not reach. A trajectory that fails is no error: its column says so, and the
/// next one begins where the last complete one ended.
pub fn sweep(task: Sweep, options: &SweepOptions, progress: &(dyn Fn() + Sync)) -> Result<Vec<Column>> {
    let n = task.values.len();
    if n == 0 {
        return Err(Error::Invalid("no value of the parameter was given; expected at least one".into()));
    }
    for (name, value, least) in
        [("window", options.window, options.dt), ("step dt", options.dt, 0.0), ("transient", options.transient, 0.0)]
    {
        if !(value >= least && value.is_finite()) || (value == 0.0 && name != "transient") {
            return Err(Error::Invalid(format!("the {name} is {value}; expected a finite number larger than {least}")));
        }
    }
    let whole = |t: f64| if let Time::Discrete { dt } = task.system.time() { (t / dt).round() * dt } else { t };
    let dt = whole(options.dt).max(if let Time::Discrete { dt } = task.system.time() { dt } else { 0.0 });
    let times = TimeGrid::new(whole(options.transient), dt, (options.window / dt).round().max(1.0) as usize + 1)?;
    let run = |k: usize, x0: &[f64]| -> Result<(Column, Option<Vec<f64>>)> {
        let e = task.experiment(task.values[k], x0, times);
        let mut all = task.system.solve_ensemble(std::slice::from_ref(&e), &options.solve)?;
        let window = all.pop().ok_or_else(|| Error::Invalid("an ensemble of one came back empty".into()))?;
        progress();
        let end = if window.outcome == Outcome::Completed { window.last().map(<[f64]>::to_vec) } else { None };
        Ok((task.column(task.values[k], window, &e.p), end))
    };
    let follow = |order: Vec<usize>| -> Result<Vec<Column>> {
        let mut x = task.x0.to_vec();
        let mut columns = Vec::new();
        for k in order {
            let (column, end) = run(k, &x)?;
            columns.push(column);
            x = end.unwrap_or(x);
        }
        Ok(columns)
    };
    match options.inherit {
        Inherit::Forward => follow((0..n).collect()),
        Inherit::Backward => follow((0..n).rev().collect()).map(|mut c| {
            c.reverse();
            c
        }),
        Inherit::Outwards(value) => {
            let near = |k: &usize| (task.values[*k] - value).abs();
            let middle = (0..n).min_by(|a, b| near(a).total_cmp(&near(b))).unwrap_or(0);
            let (down, up) = rayon::join(|| follow((0..=middle).rev().collect()), || follow((middle..n).collect()));
            let mut columns = down?;
            columns.reverse();
            columns.extend(up?.into_iter().skip(1));
            Ok(columns)
        }
        Inherit::None => {
            // As an ensemble, in parts that fit in memory.
            let part = (1 << 25) / (times.count * task.x0.len()).max(1);
            let mut columns = Vec::new();
            for values in task.values.chunks(part.max(1)) {
                let batch: Vec<Experiment> = values.iter().map(|v| task.experiment(*v, task.x0, times)).collect();
                let windows = task.system.solve_ensemble(&batch, &options.solve)?;
                let made: Vec<Column> = (windows, &batch, values).into_par_iter().map(|(w, e, v)| task.column(*v, w, &e.p)).collect();
                made.iter().for_each(|_| progress());
                columns.extend(made);
            }
            Ok(columns)
        }
    }
}

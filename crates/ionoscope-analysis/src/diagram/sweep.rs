//! A sweep: a window of the motion for every value of a parameter, in line with each other or each from the same start.

use std::sync::atomic::{AtomicUsize, Ordering};

use ionoscope_dynamics::{
    protocol::Protocol,
    spec::Quantity,
    system::{DynamicalSystem, Input, Time},
    trajectory::{Experiment, Outcome, SolveOptions, TimeGrid, Trajectory},
    watch::Watcher,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    fixed_points::refine,
    returns::{Motion, extent},
    settling::{SETTLING, Several},
    time_scales::{TimeScales, time_scales},
};

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

/// Values at which time scales are measured.
const MEASURED: usize = 7;
/// Window: periods, and decays where everything rests.
const SHOWN: f64 = 3.5;
/// States in the fastest crossing of a motion's extent; in a window at least and at most.
const RESOLVED: f64 = 3.0;
const STATES: [f64; 2] = [2000.0, 65_536.0];
/// Most states of a transient and window of a map, all columns one after another: what a sweep has patience for.
const MOST_ITERATES: f64 = 1e7;
/// Pieces of a transient that are looked at, in windows; how near returns are, in shares of the extent, and a state is to a stable fixed point,
/// in shares of the ranges, where a transient ends; and how near returns are in a window that has settled.
const PIECE: f64 = 2.0;
const ENDS: f64 = 1e-3;
const AT_REST: f64 = 1e-5;
const SETTLED: f64 = 1e-2;
/// Halves of a window whose extents differ by more than this share have not settled, or do not show enough of it.
const HALVES_AGREE: f64 = 0.25;
/// The least extent that counts, as a share of a variable's range.
const LEAST_EXTENT: f64 = 1e-3;

/// Numerical knobs of a sweep. Times that are `None` follow from the system's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepOptions {
    /// From where a column starts.
    pub inherit: Inherit,
    /// Time dropped of each column.
    pub transient: Option<f64>,
    /// Whether a transient that is given may end where the motion is seen to rest or to repeat itself, as one that is not given does. Not so
    /// where all columns have the same start.
    #[serde(default)]
    pub early: bool,
    /// Time kept of each column.
    pub window: Option<f64>,
    /// Time between two states that are kept; of a map a multiple of its step.
    pub dt: Option<f64>,
    /// Tolerances of a flow.
    pub solve: SolveOptions,
}

impl Default for SweepOptions {
    fn default() -> Self {
        let solve = SolveOptions::with_rtol(1e-6);
        SweepOptions {
            inherit: Inherit::Forward,
            transient: None,
            early: false,
            window: None,
            dt: None,
            solve,
        }
    }
}

/// Times of a sweep, in the system's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepTimes {
    /// Time dropped of each column.
    pub transient: f64,
    /// Time kept of each column.
    pub window: f64,
    /// Time between two states that are kept.
    pub dt: f64,
    /// Whether the system settled at all values at which its time scales were measured; true where all times were given.
    pub settled: bool,
}

/// The times that are given, and the others from the system's time scales at some of the values. Of a map they are whole steps.
///
/// # Errors
/// No values; times that make no sense; whatever the solver refuses.
pub fn sweep_times(task: Sweep, options: &SweepOptions) -> Result<SweepTimes> {
    let n = task.values.len();
    if n == 0 {
        return Err(Error::Invalid(
            "no value of the parameter was given; expected at least one".into(),
        ));
    }
    for (name, value) in [
        ("window", options.window),
        ("step dt", options.dt),
        ("transient", options.transient),
    ] {
        if let Some(value) =
            value.filter(|v| !(v.is_finite() && *v >= 0.0 && (*v > 0.0 || name == "transient")))
        {
            return Err(Error::Invalid(format!(
                "the {name} is {value}; expected a finite number larger than 0"
            )));
        }
    }
    let own = if let Time::Discrete { dt } = task.system.time() {
        dt
    } else {
        0.0
    };
    let mut times = SweepTimes {
        transient: options.transient.unwrap_or(0.0),
        window: options.window.unwrap_or(0.0),
        dt: options.dt.unwrap_or(own),
        settled: true,
    };
    if options.transient.is_none()
        || options.window.is_none()
        || (options.dt.is_none() && own == 0.0)
    {
        let solve = options.solve.at_most(1e-6);
        let count = n.min(MEASURED);
        let measured: Vec<Result<TimeScales>> = (0..count)
            .into_par_iter()
            .map(|k| {
                let (p, i_stim) = task.inputs(
                    task.values[if count > 1 {
                        k * (n - 1) / (count - 1)
                    } else {
                        0
                    }],
                );
                time_scales(task.system, task.x0, i_stim, &p, &solve)
            })
            .collect();
        let measured: Vec<TimeScales> = measured.into_iter().collect::<Result<_>>()?;
        let several = Several::of(&measured);
        times.settled = several.settled();
        times.transient = options.transient.unwrap_or_else(|| {
            several
                .slowest()
                .map_or_else(|| several.followed(), |t| SETTLING * t)
        });
        times.window = options.window.unwrap_or_else(|| SHOWN * several.length());
        if options.dt.is_none() && own == 0.0 {
            let fastest = several.fastest().map_or(f64::INFINITY, |t| t / RESOLVED);
            times.dt = fastest
                .min(times.window / STATES[0])
                .max(times.window / STATES[1]);
        }
        // A map is iterated step by step; where it is slow, a shorter transient is said to be one.
        if own > 0.0 && options.transient.is_none() {
            let most = (MOST_ITERATES / n as f64).max(1e4) * own;
            times.settled &= times.transient <= most;
            times.transient = times.transient.min(most);
        }
    }
    if times.window < times.dt {
        let (window, dt) = (times.window, times.dt);
        return Err(Error::Invalid(format!(
            "the window is {window}; expected at least one step of {dt}"
        )));
    }
    if own > 0.0 {
        times.transient = (times.transient / own).round() * own;
        times.dt = (times.dt / own).round().max(1.0) * own;
    }
    Ok(times)
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
    /// Whether it rests or repeats itself or, where it does neither, both halves of the window span the same values, to a quarter: otherwise it has
    /// not settled, or the window is too short to tell.
    pub settled: bool,
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
    /// Parameters and stimulus at a value.
    pub(super) fn inputs(&self, value: f64) -> (Vec<f64>, f64) {
        let (mut p, mut i_stim) = (self.p.to_vec(), self.i_stim);
        match self.over {
            Input::Parameter(k) => p[k] = value,
            Input::Stimulus => i_stim = value,
        }
        (p, i_stim)
    }

    fn experiment(&self, value: f64, x0: &[f64], times: TimeGrid) -> Experiment {
        let (p, i_stim) = self.inputs(value);
        Experiment {
            x0: x0.to_vec(),
            p,
            protocol: Protocol::constant(i_stim),
            times,
        }
    }

    fn column(&self, value: f64, window: Trajectory, p: &[f64]) -> Column {
        let extrapolated = (0..window.len())
            .step_by(8)
            .any(|k| self.system.spec().extrapolates(window.state(k), p));
        Column {
            parameter: value,
            extrapolated,
            settled: self.settled(value, &window),
            window,
        }
    }

    /// The state after the transient of a column, or after the part of it at whose end the motion rests or repeats itself; none where it fails.
    fn led_in(
        &self,
        value: f64,
        x0: &[f64],
        times: &SweepTimes,
        solve: &SolveOptions,
    ) -> Result<Option<Vec<f64>>> {
        let run = |x: &[f64], times: TimeGrid| -> Result<Option<Trajectory>> {
            let found = self
                .system
                .solve_ensemble(&[self.experiment(value, x, times)], solve)?
                .pop();
            Ok(found.filter(|t| t.outcome == Outcome::Completed))
        };
        let count = (PIECE * times.window / times.dt).round().max(1.0) as usize;
        let (mut x, mut left) = (x0.to_vec(), times.transient);
        let piece = TimeGrid::new(0.0, times.dt, count + 1)?;
        while left > piece.end() {
            let Some(trajectory) = run(&x, piece)? else {
                return Ok(None);
            };
            left -= piece.end();
            x.copy_from_slice(trajectory.state(count));
            if self.rests(value, &x)
                || self
                    .cycle(value, &trajectory, ENDS)
                    .is_some_and(|left| left <= 3.0 * ENDS)
            {
                return Ok(Some(x));
            }
        }
        if left <= 0.0 {
            return Ok(Some(x));
        }
        Ok(run(&x, TimeGrid::new(left, left, 1)?)?.and_then(|t| t.last().map(<[f64]>::to_vec)))
    }

    /// Whether a state is at a stable fixed point.
    pub(super) fn rests(&self, value: f64, x: &[f64]) -> bool {
        let (p, i_stim) = self.inputs(value);
        let Some(point) = refine(self.system, x, i_stim, &p)
            .ok()
            .flatten()
            .filter(|point| point.stable)
        else {
            return false;
        };
        let near = |((a, b), q): ((&f64, &f64), &Quantity)| {
            (a - b).abs() <= AT_REST * (q.range[1] - q.range[0])
        };
        point
            .x
            .iter()
            .zip(x)
            .zip(&self.system.spec().variables)
            .all(near)
    }

    /// How far the returns of a motion that repeats itself to the share `same` are from where they lead.
    fn cycle(&self, value: f64, t: &Trajectory, same: f64) -> Option<f64> {
        let (p, i_stim) = self.inputs(value);
        Some(Motion::of(self.system, i_stim, &p, t).cycle(same)?.left)
    }

    fn settled(&self, value: f64, window: &Trajectory) -> bool {
        let (n, half) = (window.dimension, window.len() / 2 * window.dimension);
        if window.outcome != Outcome::Completed || half == 0 {
            return false;
        }
        if let Some(left) = self.cycle(value, window, SETTLED) {
            return left <= SETTLED;
        }
        let [early, late] = [extent(&window.x[..half], n), extent(&window.x[half..], n)];
        early
            .iter()
            .zip(&late)
            .zip(&self.system.spec().variables)
            .all(|(([a, b], [c, d]), q)| {
                let allowed = HALVES_AGREE
                    * (b.max(*d) - a.min(*c)).max(LEAST_EXTENT * (q.range[1] - q.range[0]));
                (a - c).abs() <= allowed && (b - d).abs() <= allowed
            })
    }
}

/// All columns of a sweep, in the order of the values. `watch` hears how many are done.
///
/// # Errors
/// No values, options that make no sense, times that a map does not reach. A trajectory that fails is no error: its column says so, and the
/// next one begins where the last complete one ended.
pub fn sweep(task: Sweep, options: &SweepOptions, watch: &Watcher) -> Result<Vec<Column>> {
    let (n, done) = (task.values.len(), AtomicUsize::new(0));
    let chosen = sweep_times(task, options)?;
    let count = (chosen.window / chosen.dt).round().max(1.0) as usize + 1;
    let times = TimeGrid::new(chosen.transient, chosen.dt, count)?;
    let early = (options.early || options.transient.is_none()) && chosen.transient > 0.0;
    let run = |k: usize, x0: &[f64]| -> Result<(Column, Option<Vec<f64>>)> {
        let value = task.values[k];
        let one = |e: &Experiment| -> Result<Trajectory> {
            let mut all = task
                .system
                .solve_ensemble(std::slice::from_ref(e), &options.solve)?;
            all.pop()
                .ok_or_else(|| Error::Invalid("an ensemble of one came back empty".into()))
        };
        let led_in = if early {
            task.led_in(value, x0, &chosen, &options.solve)?
        } else {
            None
        };
        let e = task.experiment(value, x0, times);
        let mut window = None;
        if let Some(x) = led_in {
            let after = task.experiment(value, &x, TimeGrid::new(0.0, chosen.dt, count)?);
            window = Some(one(&after)?).filter(|w| w.outcome == Outcome::Completed);
        }
        // In one piece where it fails, so that the time of the failure counts from the start.
        let window = window.map_or_else(|| one(&e), Ok)?;
        // Outwards, the middle is run twice.
        watch.progress(
            (done.fetch_add(1, Ordering::Relaxed) + 1).min(n),
            n,
            "columns",
        );
        let end = if window.outcome == Outcome::Completed {
            window.last().map(<[f64]>::to_vec)
        } else {
            None
        };
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
            let middle = (0..n)
                .min_by(|a, b| near(a).total_cmp(&near(b)))
                .unwrap_or(0);
            let (down, up) = rayon::join(
                || follow((0..=middle).rev().collect()),
                || follow((middle..n).collect()),
            );
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
                let batch: Vec<Experiment> = values
                    .iter()
                    .map(|v| task.experiment(*v, task.x0, times))
                    .collect();
                let windows = task.system.solve_ensemble(&batch, &options.solve)?;
                let made: Vec<Column> = (windows, &batch, values)
                    .into_par_iter()
                    .map(|(w, e, v)| task.column(*v, w, &e.p))
                    .collect();
                columns.extend(made);
                watch.progress(columns.len(), n, "columns");
            }
            Ok(columns)
        }
    }
}

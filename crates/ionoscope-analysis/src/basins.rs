//! Basins of attraction: which share of starts ends on which attractor.
//!
//! A few trajectories are run to the end first. What they end on makes the attractors: stable fixed points come from the fixed-point
//! search, everything else is told apart by the extent of its motion in each variable. All other trajectories then stop as soon as they are
//! known to be on one of them (see `attractors.rs`): inside a neighbourhood of a fixed point from which test trajectories all came to it, or
//! for some time among the cells that an oscillation visits, as in the method of recurrences of Datseris and Wagemakers (Chaos 32 (2022)
//! 023104, doi 10.1063/5.0076568). What is still undecided at the end is compared with the attractors, and where it is like none of
//! them becomes a new one.

use ionoscope_dynamics::{
    protocol::Protocol,
    sampling::{stream, uniform},
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod attractors;
#[cfg(test)]
mod tests;

use attractors::{Extent, Known};

/// Trajectories in memory at once.
const CHUNK: usize = 8192;
/// A state so many ranges away has escaped.
const ESCAPED: f64 = 1e3;
/// More starts than this are a slip of the keyboard.
const MOST_STARTS: usize = 100_000_000;

/// Where trajectories start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Starts {
    /// Uniform in the box.
    Random {
        /// Their number.
        count: usize,
        /// Their seed; start k does not depend on their number.
        seed: u64,
    },
    /// On a grid over some variables, the last one fastest, with both ends of the box; all others stay at one value.
    Grid {
        /// Index of a variable, and number of points.
        axes: Vec<(usize, usize)>,
        /// The state of which the other variables are taken.
        at: Vec<f64>,
    },
}

impl Starts {
    /// Number of starts.
    pub fn count(&self) -> usize {
        match self {
            Starts::Random { count, .. } => *count,
            Starts::Grid { axes, .. } => axes.iter().fold(1, |n, a| n.saturating_mul(a.1)),
        }
    }

    /// Start `k` in a box.
    pub fn state(&self, k: usize, bounds: &[[f64; 2]]) -> Vec<f64> {
        match self {
            Starts::Random { seed, .. } => {
                let mut random = stream(*seed, "basins", k as u64);
                bounds.iter().map(|b| uniform(&mut random, *b)).collect()
            }
            Starts::Grid { axes, at } => {
                let (mut x, mut k) = (at.clone(), k);
                for (variable, points) in axes.iter().rev() {
                    let [low, high] = bounds[*variable];
                    let share = if *points > 1 { (k % points) as f64 / (points - 1) as f64 } else { 0.5 };
                    x[*variable] = low + share * (high - low);
                    k /= points;
                }
                x
            }
        }
    }
}

/// Numerical knobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BasinOptions {
    /// Box `[low, high]` for each variable.
    pub bounds: Vec<[f64; 2]>,
    /// Where trajectories start.
    pub starts: Starts,
    /// Time after which every trajectory is judged.
    pub longest: f64,
    /// Time at the end over which the extent of a motion is taken: several periods.
    pub window: f64,
    /// Time between two looks at a state.
    pub sample: f64,
    /// Time that a state has to stay among an oscillation's cells to count as on it; `None` runs every trajectory to the end.
    pub settle: Option<f64>,
    /// Trajectories that are run to the end first.
    pub pilots: usize,
    /// Tolerances of a flow.
    pub solve: SolveOptions,
}

impl BasinOptions {
    /// Defaults for a box and starts.
    pub fn new(bounds: Vec<[f64; 2]>, starts: Starts) -> Self {
        let solve = SolveOptions { rtol: 1e-4, atol: 1e-6, ..SolveOptions::default() };
        BasinOptions { bounds, starts, longest: 200.0, window: 30.0, sample: 0.05, settle: Some(1.0), pilots: 200, solve }
    }

    fn check(&self, system: &dyn DynamicalSystem) -> Result<()> {
        let (n, count) = (system.dimension(), self.starts.count());
        if self.bounds.len() != n {
            return Err(Error::Invalid(format!("the box has {} sides; {} has {n} variables", self.bounds.len(), system.spec().id)));
        }
        for ([low, high], q) in self.bounds.iter().zip(&system.spec().variables) {
            if !(low <= high && low.is_finite() && high.is_finite()) {
                return Err(Error::Invalid(format!("the box [{low}, {high}] of {} is empty; expected finite LOW <= HIGH", q.name)));
            }
        }
        if !(1..=MOST_STARTS).contains(&count) {
            return Err(Error::Invalid(format!("{count} starts; expected 1 to {MOST_STARTS}")));
        }
        let dt = if let Time::Discrete { dt } = system.time() { dt } else { 0.0 };
        for (name, value, least) in
            [("sample", self.sample, dt), ("window", self.window, self.sample), ("longest time", self.longest, self.window)]
        {
            if !(value > 0.0 && value >= least && value.is_finite()) {
                return Err(Error::Invalid(format!("the {name} is {value}; expected a finite number larger than 0, at least {least}")));
            }
        }
        Ok(())
    }
}

/// What trajectories end on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttractorKind {
    /// A stable fixed point.
    FixedPoint,
    /// Motion that comes back to where it was.
    Periodic,
    /// Motion that does not, within the window.
    Aperiodic,
    /// Away from all that makes sense, or to a state that is not finite.
    Escaped,
}

/// An attractor and its basin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attractor {
    /// What it is.
    pub kind: AttractorKind,
    /// Starts that reached it, their share of all, and that share's interval (Wilson's, 95 %).
    pub count: u64,
    /// Share.
    pub share: f64,
    /// Interval of the share.
    pub interval: [f64; 2],
    /// The fixed point, or one state of the motion; `None` where trajectories escaped.
    pub x: Option<Vec<f64>>,
    /// Smallest and largest value of each variable.
    pub extent: Vec<[f64; 2]>,
    /// Period of a periodic motion.
    pub period: Option<f64>,
}

/// Basins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Basins {
    /// Fixed points first, then motions in the order in which they were met, then escapes.
    pub attractors: Vec<Attractor>,
    /// Index of the attractor of each start.
    #[serde(skip)]
    pub of_start: Vec<u16>,
    /// Mean time for which a trajectory was followed.
    pub mean_time: f64,
    /// Whether a surrogate left what it was trained on; never for equations.
    pub extrapolated: bool,
}

/// The basins of all attractors that the starts reach, under a constant stimulus. `progress` is told the number of starts decided so far.
/// The same for any number of threads.
///
/// # Errors
/// Options that make no sense; the errors of the fixed-point search.
pub fn basins(system: &dyn DynamicalSystem, i_stim: f64, p: &[f64], options: &BasinOptions, progress: &dyn Fn(usize)) -> Result<Basins> {
    options.check(system)?;
    let run = Run::new(system, i_stim, p, options);
    let mut known = Known::fixed_points(&run)?;
    let count = options.starts.count();
    let start = |k: usize| options.starts.state(k, &options.bounds);

    // Pilots are spread over all starts, which matters for a grid.
    let pilots = options.pilots.clamp(1, count);
    let spread: Vec<Vec<f64>> = (0..pilots).map(|k| start(k * count / pilots)).collect();
    let ended = run.follow(&spread, &known, false)?;
    known.learn(&run, &ended.into_iter().filter_map(|e| e.undecided()).collect::<Vec<_>>())?;

    let (mut of_start, mut time, mut extrapolated) = (Vec::with_capacity(count), 0.0, false);
    let mut late: Vec<(usize, Extent)> = Vec::new();
    for first in (0..count).step_by(CHUNK) {
        let x: Vec<Vec<f64>> = (first..(first + CHUNK).min(count)).map(start).collect();
        for (k, end) in run.follow(&x, &known, options.settle.is_some())?.into_iter().enumerate() {
            time += end.time;
            extrapolated |= end.extrapolated;
            of_start.push(end.label.unwrap_or(attractors::UNDECIDED));
            late.extend(end.undecided().map(|extent| (first + k, extent)));
        }
        progress(of_start.len());
    }
    for (k, extent) in late {
        of_start[k] = known.label_or_learn(&run, &extent)?;
    }
    Ok(Basins { attractors: known.described(&mut of_start), of_start, mean_time: time / count as f64, extrapolated })
}

/// How a trajectory ended.
struct End {
    /// Attractor, where it is known.
    label: Option<u16>,
    time: f64,
    /// The last window, where the trajectory was run to the end.
    extent: Option<Extent>,
    extrapolated: bool,
}

impl End {
    fn undecided(&self) -> Option<Extent> {
        if self.label.is_none() { self.extent.clone() } else { None }
    }
}

/// A trajectory on its way.
struct Traveller {
    x: Vec<f64>,
    /// Motion among whose cells it is, and for how many looks.
    streak: (u16, usize),
    end: End,
}

pub(crate) struct Run<'a> {
    system: &'a dyn DynamicalSystem,
    i_stim: f64,
    p: &'a [f64],
    options: &'a BasinOptions,
    /// Time between two looks, in whole steps of a map; looks a segment; segments; looks in the last window, which is looked at more closely.
    sample: f64,
    looks: usize,
    segments: usize,
    fine: f64,
}

impl<'a> Run<'a> {
    fn new(system: &'a dyn DynamicalSystem, i_stim: f64, p: &'a [f64], options: &'a BasinOptions) -> Self {
        let whole = |t: f64| if let Time::Discrete { dt } = system.time() { (t / dt).round().max(1.0) * dt } else { t };
        let (sample, fine) = (whole(options.sample), whole(options.sample / 8.0));
        let looks = (options.settle.unwrap_or(1.0) / sample).round().clamp(1.0, 1e4) as usize;
        let segments = ((options.longest - options.window) / (looks as f64 * sample)).ceil().max(1.0) as usize;
        Run { system, i_stim, p, options, sample, looks, segments, fine }
    }

    fn experiment(&self, x: &[f64], times: TimeGrid) -> Experiment {
        let protocol = if self.i_stim == 0.0 { Protocol::none() } else { Protocol::step(0.0, 2.0 * times.end() + 1.0, self.i_stim) };
        Experiment { x0: x.to_vec(), p: self.p.to_vec(), protocol, times }
    }

    /// Trajectories from several states at `count` times `dt`, 2 `dt`, ..
    fn trajectories<'x>(&self, states: impl Iterator<Item = &'x [f64]>, dt: f64, count: usize) -> Result<Vec<Trajectory>> {
        let times = TimeGrid::new(dt, dt, count)?;
        let batch: Vec<Experiment> = states.map(|x| self.experiment(x, times)).collect();
        Ok(self.system.solve_ensemble(&batch, &self.options.solve)?)
    }

    /// Whether a state is beyond all that makes sense.
    fn escaped(&self, x: &[f64]) -> bool {
        let far = |(x, q): (&f64, &ionoscope_dynamics::spec::Quantity)| {
            let [low, high] = q.range;
            !((low - ESCAPED * (high - low))..=(high + ESCAPED * (high - low))).contains(x)
        };
        x.iter().zip(&self.system.spec().variables).any(far)
    }

    /// Follows trajectories until they are known to be on an attractor, with `early`, or to the end.
    fn follow(&self, starts: &[Vec<f64>], known: &Known, early: bool) -> Result<Vec<End>> {
        let end = || End { label: None, time: 0.0, extent: None, extrapolated: false };
        let mut all: Vec<Traveller> = starts.iter().map(|x| Traveller { x: x.clone(), streak: (0, 0), end: end() }).collect();
        let enough = (self.options.settle.unwrap_or(f64::INFINITY) / self.sample).ceil().max(1.0) as usize;
        for _ in 0..self.segments {
            let mut going: Vec<&mut Traveller> = all.iter_mut().filter(|t| t.end.label.is_none()).collect();
            if going.is_empty() {
                break;
            }
            let trajectories = self.trajectories(going.iter().map(|t| &t.x[..]), self.sample, self.looks)?;
            going.par_iter_mut().zip(trajectories).for_each(|(t, trajectory)| t.look(self, known, &trajectory, early, enough));
        }
        let mut going: Vec<&mut Traveller> = all.iter_mut().filter(|t| t.end.label.is_none()).collect();
        // The window in parts: looked at closely, it is long.
        let looks = (self.options.window / self.fine).round().max(1.0) as usize;
        let mut extents = vec![Extent::default(); going.len()];
        for part in 0..looks.div_ceil(self.looks) {
            let count = self.looks.min(looks - part * self.looks);
            let trajectories = self.trajectories(going.iter().map(|t| &t.x[..]), self.fine, count)?;
            for ((t, extent), trajectory) in going.iter_mut().zip(&mut extents).zip(trajectories) {
                let failed = trajectory.clone().completed().is_err();
                (0..trajectory.len()).for_each(|k| extent.add(trajectory.state(k)));
                t.x = trajectory.last().map_or_else(|| t.x.clone(), <[f64]>::to_vec);
                if failed || self.escaped(&t.x) {
                    t.end.label = Some(attractors::ESCAPED);
                }
            }
        }
        for (t, mut extent) in going.into_iter().zip(extents) {
            t.end.time = self.options.longest;
            if t.end.label.is_none() {
                extent.last.clone_from(&t.x);
                t.end.label = known.label(self, &extent);
                t.end.extent = Some(extent);
            }
        }
        Ok(all.into_iter().map(|t| t.end).collect())
    }
}

impl Traveller {
    /// Looks at the states of a segment.
    fn look(&mut self, run: &Run, known: &Known, trajectory: &Trajectory, early: bool, enough: usize) {
        for k in 0..trajectory.len() {
            let x = trajectory.state(k);
            self.end.time += run.sample;
            self.end.extrapolated |= run.system.spec().extrapolates(x, run.p);
            if !early {
                continue;
            }
            if let Some(label) = known.trapped(x) {
                self.end.label = Some(label);
                return;
            }
            self.streak = match known.visited(x, self.streak.0) {
                Some(motion) if motion == self.streak.0 => (motion, self.streak.1 + 1),
                Some(motion) => (motion, 1),
                None => (0, 0),
            };
            if self.streak.1 >= enough {
                self.end.label = Some(self.streak.0);
                return;
            }
        }
        if let Some(last) = trajectory.last() {
            self.x.copy_from_slice(last);
        }
        if trajectory.len() < run.looks || run.escaped(&self.x) {
            self.end.label = Some(attractors::ESCAPED);
        }
    }
}

/// The 95 % interval of a share (Wilson 1927).
pub fn wilson_interval(count: u64, of: u64) -> [f64; 2] {
    let (n, z2) = (of as f64, 1.959_963_984_540_054f64.powi(2));
    let share = count as f64 / n;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = (z2 * (share * (1.0 - share) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

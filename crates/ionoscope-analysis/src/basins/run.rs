//! A search for basins on its way: the system, its inputs and times, and what trajectories are seen to do.

use ionoscope_dynamics::{
    protocol::Protocol,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};

use super::answer::{BasinOptions, Starts, Times};
use crate::{Result, conserved::Laws, fixed_points::FixedPoint};

/// States of a window that is judged.
pub const SAMPLES: usize = 4096;
/// Relative tolerance at which windows are judged, at most.
const TIGHT: f64 = 1e-7;
/// Variables along which there are cells: beside each cell lie 3^n - 1 others.
pub const MOST_VARIABLES: usize = 4;
/// The least extent of a variable, in units of its range: below, errors are compared.
pub const LEAST_EXTENT: f64 = 1e-4;

/// What a trajectory was seen to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// On an attractor that is known.
    Known(u16),
    /// At a stable fixed point.
    Point(FixedPoint),
    /// At rest where rest is not isolated.
    Still(Vec<f64>),
    /// At an unstable one: it started there, or where exactly that leads to.
    Saddle(FixedPoint),
    /// It goes on in the same way.
    Motion(Seen),
    /// It left all that makes sense.
    Escaped,
    /// None of these up to the last time.
    NotSettled,
}

/// A motion that goes on in the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The period; of an irregular motion none.
    pub period: Option<f64>,
    /// Whether small disturbances grow; of a periodic motion they do not.
    pub grows: bool,
    /// Smallest and largest value of every variable.
    pub range: Vec<[f64; 2]>,
    /// States of the window in which it was seen, and the time between them.
    pub states: Vec<f64>,
    pub dt: f64,
}

impl Seen {
    /// The last state.
    pub fn last(&self) -> &[f64] {
        &self.states[self.states.len() - self.range.len()..]
    }
}

/// What basins are sought of.
pub struct Run<'a> {
    pub system: &'a dyn DynamicalSystem,
    pub i_stim: f64,
    pub p: &'a [f64],
    pub options: &'a BasinOptions,
    pub times: Times,
    pub widths: Vec<f64>,
    /// What is conserved, the values at the start, and the box in which states are moved to them.
    pub laws: Laws<'a>,
    pub level: Vec<f64>,
    pub free: Vec<[f64; 2]>,
    /// Looks a segment.
    pub looks: usize,
}

/// An experiment with a constant stimulus.
pub fn experiment(x: &[f64], i_stim: f64, p: &[f64], times: TimeGrid) -> Experiment {
    let protocol = Protocol::constant(i_stim);
    Experiment {
        x0: x.to_vec(),
        p: p.to_vec(),
        protocol,
        times,
    }
}

/// A time in whole steps of a map, at least one.
pub fn whole(system: &dyn DynamicalSystem, t: f64) -> f64 {
    if let Time::Discrete { dt } = system.time() {
        (t / dt).round().max(1.0) * dt
    } else {
        t
    }
}

impl<'a> Run<'a> {
    pub fn new(
        system: &'a dyn DynamicalSystem,
        i_stim: f64,
        p: &'a [f64],
        options: &'a BasinOptions,
        laws: Laws<'a>,
        times: Times,
    ) -> Self {
        let widths = system
            .spec()
            .variables
            .iter()
            .map(|q| (q.range[1] - q.range[0]).max(f64::MIN_POSITIVE))
            .collect();
        let start = options
            .level
            .clone()
            .unwrap_or_else(|| system.spec().default_state());
        let level = if laws.is_empty() {
            Vec::new()
        } else {
            laws.values(&start, p)
        };
        // Variables on a grid stay where they are.
        let mut free = options.bounds.clone();
        if let Starts::Grid { axes, .. } = &options.starts {
            free = system.spec().variables.iter().map(|q| q.range).collect();
            axes.iter().for_each(|(i, _)| free[*i] = [0.0, 0.0]);
        }
        let mut run = Run {
            system,
            i_stim,
            p,
            options,
            times: times.clone(),
            widths,
            laws,
            level,
            free,
            looks: 1,
        };
        run.set_times(times);
        run
    }

    /// Takes times.
    pub fn set_times(&mut self, times: Times) {
        self.looks = (times.settle / times.sample).round().clamp(1.0, 1e4) as usize;
        self.times = times;
    }

    /// The time between two states of a flow, at least a map's step, of a window that is judged.
    pub fn window_step(&self, window: f64) -> f64 {
        whole(self.system, window / SAMPLES as f64)
    }

    pub fn tight(&self) -> SolveOptions {
        let rtol = self.options.solve.rtol.min(TIGHT);
        self.options.solve.at_most(rtol)
    }

    /// Trajectories from several states at 0, `dt`, 2 `dt`, .., `count` `dt`.
    pub fn trajectories<'x>(
        &self,
        states: impl Iterator<Item = &'x [f64]>,
        dt: f64,
        count: usize,
        solve: &SolveOptions,
    ) -> Result<Vec<Trajectory>> {
        let times = TimeGrid::new(0.0, dt, count + 1)?;
        let batch: Vec<Experiment> = states
            .map(|x| experiment(x, self.i_stim, self.p, times))
            .collect();
        Ok(self.system.solve_ensemble(&batch, solve)?)
    }

    /// Widths of a motion, at least a small share of the variables' ranges.
    pub fn least_extents(&self, range: &[[f64; 2]]) -> Vec<f64> {
        range
            .iter()
            .zip(&self.widths)
            .map(|([low, high], width)| (high - low).max(LEAST_EXTENT * width))
            .collect()
    }

    /// Whether an extent is inside another, but for a share of that: a map's window in longer steps than its own may show less of it.
    pub fn within(&self, a: &[[f64; 2]], b: &[[f64; 2]], share: f64) -> bool {
        let wide = self.least_extents(b);
        (0..a.len())
            .all(|i| a[i][0] >= b[i][0] - share * wide[i] && a[i][1] <= b[i][1] + share * wide[i])
    }

    /// Whether two extents are the same to a share of the larger.
    pub fn near(&self, a: &[[f64; 2]], b: &[[f64; 2]], share: f64) -> bool {
        let (wide, other) = (self.least_extents(a), self.least_extents(b));
        (0..a.len()).all(|i| {
            let allowed = share * wide[i].max(other[i]);
            (a[i][0] - b[i][0]).abs() <= allowed && (a[i][1] - b[i][1]).abs() <= allowed
        })
    }
}

impl Run<'_> {
    /// A state moved to the level of the start, where quantities are conserved and that is possible.
    pub fn on_level(&self, x: &[f64]) -> Option<Vec<f64>> {
        if self.laws.is_empty() {
            None
        } else {
            self.laws.move_to(x, self.p, &self.level, &self.free)
        }
    }

    /// Whether a state is on the level of the start.
    pub fn is_on_level(&self, x: &[f64]) -> bool {
        let free: Vec<[f64; 2]> = x.iter().map(|x| [*x, *x]).collect();
        self.laws.move_to(x, self.p, &self.level, &free).is_some()
    }

    /// Unit vectors, in units of the ranges, orthogonal to the plane in which conserved quantities stay what they are at a state.
    pub fn plane(&self, x: &[f64]) -> Vec<Vec<f64>> {
        let n = x.len();
        let mut normals: Vec<Vec<f64>> = Vec::new();
        for w in self.laws.gradients(x, self.p).chunks_exact(n) {
            let mut w: Vec<f64> = w
                .iter()
                .zip(&self.widths)
                .map(|(w, width)| w * width)
                .collect();
            for other in &normals {
                let along: f64 = w.iter().zip(other).map(|(a, b)| a * b).sum();
                w.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
            let length = w.iter().map(|v| v * v).sum::<f64>().sqrt();
            if length > 0.0 {
                normals.push(w.into_iter().map(|v| v / length).collect());
            }
        }
        normals
    }
}

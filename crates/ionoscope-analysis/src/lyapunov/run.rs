//! A search for exponents on its way: the system, its inputs, and motions from a state on.

use ionoscope_dynamics::{
    protocol::Protocol,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, TimeGrid, Trajectory},
};

use super::answer::{LyapunovOptions, RELATIVE};
use crate::{Result, conserved::Laws};

/// Steps of the tangent flow in a block, or a period, at most: with more, the states no longer fit in memory beside each other.
pub const MOST_STEPS: usize = 1 << 20;
/// Blocks before the first decision: the spread of fewer is itself uncertain.
pub const LEAST_BLOCKS: usize = 16;
/// Error that is asked for by default, in 1 / time of a turn (at a rest in 1 / slowest decay time).
const ACCURACY: f64 = 5e-3;
/// Work after which to stop by default: steps of all trajectories times the variables' third power.
pub const MOST_WORK: f64 = 2e9;
/// What a step costs beside the third power: of a flow, and of a map, which may be a network.
const STEP_WORK: f64 = 100.0;
const MAP_WORK: f64 = 1000.0;

/// A search.
pub struct Run<'a> {
    pub system: &'a dyn DynamicalSystem,
    pub i_stim: f64,
    pub p: &'a [f64],
    pub options: &'a LyapunovOptions,
    pub count: usize,
    /// Widths of the variables' ranges.
    pub widths: Vec<f64>,
    /// What is conserved.
    pub laws: Laws<'a>,
}

impl Run<'_> {
    /// Step of a map; 0 of a flow.
    pub fn own_step(&self) -> f64 {
        if let Time::Discrete { dt } = self.system.time() {
            dt
        } else {
            0.0
        }
    }

    /// A time as a whole number of the map's steps, no fewer than one unless it is zero.
    pub fn whole_steps(&self, time: f64) -> f64 {
        match self.system.time() {
            Time::Discrete { dt } if time > 0.0 => (time / dt).round().max(1.0) * dt,
            _ => time,
        }
    }

    pub fn experiment(&self, x: &[f64], times: TimeGrid) -> Experiment {
        Experiment {
            x0: x.to_vec(),
            p: self.p.to_vec(),
            protocol: Protocol::constant(self.i_stim),
            times,
        }
    }

    /// States from `x` on, `dt` apart.
    pub fn states(&self, x: &[f64], dt: f64, count: usize) -> Result<Trajectory> {
        Ok(self.system.simulate(
            &self.experiment(x, TimeGrid::new(0.0, dt, count)?),
            &self.options.solve,
        )?)
    }

    /// The state a time later.
    pub fn advance(&self, x: &[f64], time: f64) -> Result<Vec<f64>> {
        if time <= 0.0 {
            return Ok(x.to_vec());
        }
        let times = TimeGrid::new(time, time, 1)?;
        let end = self
            .system
            .simulate(&self.experiment(x, times), &self.options.solve)?;
        Ok(end.state(0).to_vec())
    }

    /// What a step of a frame costs.
    pub fn step_work(&self) -> f64 {
        let own = if self.own_step() > 0.0 {
            MAP_WORK
        } else {
            STEP_WORK
        };
        (self.count * self.widths.len().pow(2)) as f64 + own
    }

    /// The accuracy that is asked for, where a turn takes the time `scale`.
    pub fn accuracy(&self, scale: f64) -> f64 {
        self.options.accuracy.unwrap_or(if scale.is_finite() {
            ACCURACY / scale
        } else {
            ACCURACY
        })
    }

    /// The error that an exponent may have.
    pub fn within(&self, accuracy: f64, exponent: f64) -> f64 {
        if self.options.accuracy.is_some() {
            accuracy
        } else {
            accuracy.max(RELATIVE * exponent.abs())
        }
    }

    pub fn extrapolates(&self, x: &[f64]) -> bool {
        self.system.spec().extrapolates(x, self.p)
    }
}

//! What is asked of a continuation of cycles, and its answer.

use ionoscope_dynamics::{system::Time, trajectory::SolveOptions};
use serde::{Deserialize, Serialize};

use super::super::answer::{Bifurcation, Stop};
use crate::spectrum::Complex;

/// Numerical knobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleOptions {
    /// Box `[low, high]` for each variable; cycles may leave it by half its width. `None` takes the variables' ranges.
    pub bounds: Option<Vec<[f64; 2]>>,
    /// Values of the parameter, evenly over its interval, at which the system is simulated to find cycles.
    pub searches: usize,
    /// Values of the parameter at which whole cycles are wanted.
    pub at: Vec<f64>,
    /// Error of the curve to which the mesh is adapted, in variables scaled by their box. `None` takes 1e-9 for a flow, and 1e-6 for a map,
    /// whose embedding flow is hardly better than that.
    pub accuracy: Option<f64>,
    /// Most intervals of the mesh.
    pub most_intervals: usize,
    /// Longest step, in scaled arclength.
    pub longest_step: f64,
    /// Steps of a branch in each direction.
    pub most_steps: usize,
    /// A branch ends where the period has grown by this factor since its start.
    pub longest_period: f64,
    /// Solver of the simulations.
    pub solve: SolveOptions,
}

impl Default for CycleOptions {
    fn default() -> Self {
        CycleOptions {
            bounds: None,
            searches: 7,
            at: Vec::new(),
            accuracy: None,
            most_intervals: 600,
            longest_step: 0.02,
            most_steps: 2000,
            longest_period: 30.0,
            solve: SolveOptions::default(),
        }
    }
}

impl CycleOptions {
    pub(super) fn accuracy(&self, time: Time) -> f64 {
        self.accuracy
            .unwrap_or(if time == Time::Continuous { 1e-9 } else { 1e-6 })
    }
}

/// Where a branch of cycles was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// At the Hopf or Neimark-Sacker point with this value of the parameter.
    Hopf(f64),
    /// By simulation at this value.
    Simulation(f64),
}

/// A cycle on a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CyclePoint {
    /// Value of the parameter.
    pub parameter: f64,
    /// Period, in units of time.
    pub period: f64,
    /// Smallest value of each variable.
    pub min: Vec<f64>,
    /// Largest value of each variable.
    pub max: Vec<f64>,
    /// Floquet multipliers but for the one that is 1 along the cycle, by descending absolute value.
    pub multipliers: Vec<Complex>,
    /// Distance from 1 of the multiplier along the cycle: a measure of the error.
    pub trivial_error: f64,
    /// Whether small disturbances decay.
    pub stable: bool,
}

/// A bifurcation of cycles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleSpecialPoint {
    /// Which.
    pub kind: Bifurcation,
    /// The cycle there.
    #[serde(flatten)]
    pub cycle: CyclePoint,
}

/// A whole cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// What is said of it.
    #[serde(flatten)]
    pub cycle: CyclePoint,
    /// Times over one period, both ends included.
    pub t: Vec<f64>,
    /// States at these times.
    pub x: Vec<Vec<f64>>,
}

/// A branch of cycles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleBranch {
    /// Where it was found.
    pub started_from: Origin,
    /// Its cycles, in order.
    pub points: Vec<CyclePoint>,
    /// Bifurcations, in order. Where a branch is vertical to ten times the accuracy, in intervals, as in a canard explosion, its turns there
    /// are the mesh's and count at most once.
    pub special_points: Vec<CycleSpecialPoint>,
    /// Cycles at the values that were asked for.
    pub at: Vec<Profile>,
    /// Why it begins and ends where it does.
    pub stopped: [Stop; 2],
}

impl CycleBranch {
    /// Whether it was followed to both of its ends; see [`Stop::complete`].
    pub fn complete(&self) -> bool {
        self.stopped.iter().all(Stop::complete)
    }
}

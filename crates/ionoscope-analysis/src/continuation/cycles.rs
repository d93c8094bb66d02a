//! Branches of periodic orbits (cycles) of flows over one parameter or the stimulus, with Floquet multipliers and their bifurcations.
//!
//! Cycles are found where they are born, at Hopf points, and by simulation at several values of the parameter, and followed by
//! pseudo-arclength continuation of their collocation equations. What passes the unit circle tells the bifurcation: +1 with a turn of the
//! branch a saddle-node of cycles, +1 without one a branch point, -1 a period doubling, a complex pair a torus (Neimark-Sacker).
//!
//! The invariant closed curves of a map that steps a flow are followed in the same way, as cycles of the flow that embeds the map; that
//! flow is as good as the motion over a step is smooth ([`CyclePoint::trivial_error`] does not show this error; a comparison with the
//! equations does).

use ionoscope_dynamics::{
    system::{DynamicalSystem, Input, Time},
    trajectory::SolveOptions,
};
use serde::{Deserialize, Serialize};

use super::{Bifurcation, Branch, Stop, branch::Problem};
use crate::{Error, Result, spectrum::Complex};

mod collocation;
mod field;
pub(crate) mod floquet;
mod start;
mod stiff;
#[cfg(test)]
mod tests;
mod trace;

use field::Field;
use start::FIRST_AMPLITUDE;

/// A curve that a simulation closes nearly and a cycle this near, in scaled variables and the logarithm of the period, are one.
const SEEN: f64 = 0.05;

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
    fn accuracy(&self, time: Time) -> f64 {
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

/// All branches of cycles that start from the Hopf (Neimark-Sacker) points of `fixed`, the branches of fixed points over the same
/// interval, or are found by simulation. The same for any number of threads.
///
/// # Errors
/// Options that make no sense; values of `at` outside the interval.
pub fn cycles(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    over: Input,
    interval: [f64; 2],
    fixed: &[Branch],
    options: &CycleOptions,
) -> Result<Vec<CycleBranch>> {
    let problem = Problem::new(system, i_stim, p, over, interval, options.bounds.as_deref())?;
    let positive = [
        options.accuracy(system.time()),
        options.longest_step,
        options.longest_period - 1.0,
    ]
    .iter()
    .all(|v| *v > 0.0 && v.is_finite());
    if !positive || options.most_steps == 0 || options.most_intervals < 20 {
        return Err(Error::Invalid(
            "accuracy and longest step must be positive, the longest period above 1, steps at least 1 and intervals at least 20".into(),
        ));
    }
    let wanted: Vec<f64> = options
        .at
        .iter()
        .map(|v| (v - interval[0]) / problem.span())
        .collect();
    if let Some(k) = wanted.iter().position(|s| !(0.0..=1.0).contains(s)) {
        let [from, to] = interval;
        return Err(Error::Invalid(format!(
            "a cycle is wanted at {}, outside the interval {from}:{to}",
            options.at[k]
        )));
    }
    if system.dimension() < 2 {
        return Ok(Vec::new());
    }
    if !problem.laws.is_empty() {
        let names: Vec<String> = problem
            .laws
            .held(&problem.start, p)
            .into_iter()
            .map(|h| h.quantity.name)
            .collect();
        return Err(Error::Invalid(format!(
            "{} conserves {}: its cycles form families, one on each level, which are not followed; its fixed points are, without cycles",
            system.spec().id,
            names.join(" and ")
        )));
    }
    let field = Field::new(&problem);
    let tracer = trace::Tracer {
        field: &field,
        options,
        accuracy: options.accuracy(system.time()),
        wanted: &wanted,
    };
    let mut found: Vec<(Origin, trace::Raw)> = Vec::new();
    for s in fixed.iter().flat_map(|b| &b.special_points) {
        if !matches!(s.kind, Bifurcation::Hopf | Bifurcation::NeimarkSacker) {
            continue;
        }
        let start = |share: f64| start::at_hopf(&problem, s, share * FIRST_AMPLITUDE);
        if start(1.0).is_some_and(|(orbit, _)| found.iter().any(|(_, raw)| raw.ends_at(&orbit))) {
            continue;
        }
        // Where cycles are harmonic only very near the point, smaller ones.
        let first = [1.0, 0.1, 0.01].into_iter().find_map(|share| {
            let (orbit, along) = start(share)?;
            tracer.first(&orbit, &orbit, &along, 0.5 * share * FIRST_AMPLITUDE)
        });
        let raw = first.map_or_else(
            || trace::Raw::not_started(s.parameter),
            |first| tracer.trace_from_hopf(first),
        );
        found.push((Origin::Hopf(s.parameter), raw));
    }
    let mut lost: Vec<collocation::Orbit> = Vec::new();
    for k in 0..options.searches {
        // Off the ends, and off round values.
        let s = (k as f64 + 0.487) / options.searches as f64;
        for orbit in start::by_simulation(&problem, s, options)? {
            let across = orbit.parameter_direction();
            let Some(first) = tracer.first(&orbit, &orbit, &across, 0.5 * FIRST_AMPLITUDE) else {
                lost.push(orbit);
                continue;
            };
            if !found.iter().any(|(_, raw)| raw.passes(&first)) {
                found.push((Origin::Simulation(problem.value(s)), tracer.trace(first)));
            }
        }
    }
    // What simulations saw and no branch has is said too.
    for orbit in lost {
        let at = problem.value(orbit.s);
        let said = |origin: &Origin| *origin == Origin::Simulation(at);
        let known = |(origin, raw): &(Origin, trace::Raw)| {
            raw.passes_by(orbit.s, &orbit.extent(), orbit.log_period, SEEN)
                || (raw.is_empty() && said(origin))
        };
        if !found.iter().any(known) {
            found.push((Origin::Simulation(at), trace::Raw::not_started(at)));
        }
    }
    Ok(found
        .into_iter()
        .map(|(origin, raw)| raw.describe(&field, tracer.accuracy, origin))
        .collect())
}

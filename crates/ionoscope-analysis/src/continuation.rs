//! Branches of fixed points of flows and maps over one parameter or the stimulus, and their bifurcations.
//!
//! Pseudo-arclength continuation (Keller 1977; Kuznetsov, Elements of Applied Bifurcation Theory (3rd edition 2004), chapter 10) in
//! variables scaled by their ranges and the parameter scaled by the interval that is asked for. Branches start from a search for fixed
//! points at several values of the parameter, so that none has to be guessed and separate branches are found.
//!
//! | bifurcation | test function, zero there | of |
//! |---|---|---|
//! | saddle-node | the parameter's component of the tangent | flows, maps |
//! | branch point | determinant of the Jacobian bordered by the tangent | flows, maps |
//! | Hopf, Neimark-Sacker | growth rate of the complex pair that changes sides | flows; maps |
//! | period doubling | growth rate of the multiplier that passes -1 | maps |
//!
//! Growth rates are those of [`crate::spectrum`], where flows and maps differ. A neutral saddle, two real eigenvalues with the sum zero,
//! changes no number of unstable directions and is not mistaken for a Hopf point.

use ionoscope_dynamics::system::{DynamicalSystem, Input, Time};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    fixed_points::{FixedPointOptions, fixed_points},
    spectrum::Complex,
};

mod branch;
pub mod curves;
pub mod cycles;
pub mod map_cycles;
mod normal_form;
#[cfg(test)]
mod tests;

use branch::Problem;

/// A point of a search that lies so near a known branch, in scaled variables, is on it.
const ON_BRANCH: f64 = 1e-5;

/// Numerical knobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContinuationOptions {
    /// Box `[low, high]` for each variable, which branches may not leave; `None` takes the variables' ranges.
    pub bounds: Option<Vec<[f64; 2]>>,
    /// Values of the parameter, evenly over its interval, at which fixed points are sought to start from.
    pub searches: usize,
    /// Starts of each search.
    pub starts: usize,
    /// Seed of the starts.
    pub seed: u64,
    /// Longest step, in scaled arclength.
    pub longest_step: f64,
    /// Steps of a branch in each direction.
    pub most_steps: usize,
}

impl Default for ContinuationOptions {
    fn default() -> Self {
        ContinuationOptions { bounds: None, searches: 7, starts: 128, seed: 1, longest_step: 0.01, most_steps: 20_000 }
    }
}

/// Which bifurcation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bifurcation {
    /// Two fixed points meet: the branch turns back.
    SaddleNode,
    /// Another branch crosses.
    BranchPoint,
    /// A complex pair passes the imaginary axis.
    Hopf,
    /// A multiplier passes -1.
    PeriodDoubling,
    /// A complex pair of multipliers passes the unit circle.
    NeimarkSacker,
}

/// A bifurcation on a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecialPoint {
    /// Which.
    pub kind: Bifurcation,
    /// Value of the parameter.
    pub parameter: f64,
    /// State, in the order of the variables.
    pub x: Vec<f64>,
    /// Eigenvalues per unit of time.
    pub eigenvalues: Vec<Complex>,
    /// Of a Hopf point: angular frequency, per unit of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency: Option<f64>,
    /// Of a Hopf point: negative where stable cycles are born (Kuznetsov's equation (3.20), with the eigenvector of length 1 in the
    /// model's units).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_lyapunov_coefficient: Option<f64>,
    /// Whether state or parameters lie outside what a surrogate was trained on.
    pub extrapolated: bool,
}

/// A point of a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BranchPoint {
    /// Value of the parameter.
    pub parameter: f64,
    /// State.
    pub x: Vec<f64>,
    /// Eigenvalues per unit of time, by descending real part.
    pub eigenvalues: Vec<Complex>,
    /// Whether small disturbances decay.
    pub stable: bool,
    /// Whether state or parameters lie outside what a surrogate was trained on.
    pub extrapolated: bool,
}

/// Why a branch went no further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The end of the parameter's interval.
    EndOfRange,
    /// This variable left the box.
    LeftBox(String),
    /// It came back to where it began.
    Closed,
    /// No further point was found by the shortest step.
    NoConvergence,
    /// As many steps as were allowed.
    TooManySteps,
    /// Cycles shrank to a fixed point: a Hopf or Neimark-Sacker point.
    FixedPoint,
    /// The period grew beyond its limit: a homoclinic orbit or a saddle-node on the cycle is near.
    LongPeriod,
    /// Cycles need a finer mesh than is allowed.
    TooManyIntervals,
    /// Cycles of a map join a fixed point or a cycle of fewer steps, which doubles or multiplies its period there.
    SmallerPeriod,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::EndOfRange => f.write_str("the end of the parameter's interval"),
            Stop::LeftBox(name) => write!(f, "{name} left the box; a wider --box goes on"),
            Stop::Closed => f.write_str("the branch is closed"),
            Stop::NoConvergence => {
                f.write_str("no further point by the shortest step: the branch may end, or the system is not smooth there")
            }
            Stop::TooManySteps => f.write_str("the limit on the number of steps was reached"),
            Stop::FixedPoint => f.write_str("the cycles shrink to a fixed point"),
            Stop::LongPeriod => f.write_str("the period grows beyond its limit, as it does near a homoclinic orbit"),
            Stop::SmallerPeriod => f.write_str("it joins a fixed point or a cycle of fewer steps, which multiplies its period there"),
            Stop::TooManyIntervals => f.write_str("the cycles need a finer mesh than is allowed"),
        }
    }
}

/// A branch of fixed points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// Its points, in order.
    pub points: Vec<BranchPoint>,
    /// Bifurcations, in order.
    pub special_points: Vec<SpecialPoint>,
    /// Why it begins and ends where it does.
    pub stopped: [Stop; 2],
}

/// All branches of fixed points that pass through what the searches find. `p` and `i_stim` give the values of what is not varied.
/// The same for any number of threads.
///
/// # Errors
/// An interval that is empty; options that make no sense; no fixed point at any of the values that are searched.
pub fn branches(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    over: Input,
    interval: [f64; 2],
    options: &ContinuationOptions,
) -> Result<Vec<Branch>> {
    let problem = Problem::new(system, i_stim, p, over, interval, options.bounds.as_deref())?;
    let starts = starting_points(&problem, options)?;
    if starts.is_empty() {
        let (spec, [from, to]) = (system.spec(), interval);
        return Err(Error::Invalid(format!(
            "no fixed point of {} was found in the box at any of {} values from {from} to {to}; widen the box or search at more values",
            spec.id, options.searches
        )));
    }
    let found = trace_from(&problem, starts, options, &|y, branch| branch.passes(y, ON_BRANCH));
    let mut all = found.into_par_iter().map(|raw| describe(&problem, raw)).collect::<Result<Vec<Branch>>>()?;
    // A bifurcation that two branches share, such as a branch point, is listed with the first of them.
    for k in 1..all.len() {
        let (before, rest) = all.split_at_mut(k);
        let known = |s: &SpecialPoint| {
            before
                .iter()
                .flat_map(|b| &b.special_points)
                .any(|o| o.kind == s.kind && problem.apart((&o.x, o.parameter), (&s.x, s.parameter)) < 1e-4)
        };
        rest[0].special_points.retain(|s| !known(s));
    }
    Ok(all)
}

/// Fixed points at several values of the parameter, scaled.
fn starting_points(problem: &Problem, options: &ContinuationOptions) -> Result<Vec<Vec<f64>>> {
    let [from, to] = [problem.value(0.0), problem.value(1.0)];
    if !(from != to && from.is_finite() && to.is_finite()) {
        return Err(Error::Invalid(format!("the interval {from}:{to} of the parameter is empty; expected two different, finite ends")));
    }
    if options.searches == 0 || options.most_steps == 0 || !(options.longest_step > 0.0 && options.longest_step <= 1.0) {
        return Err(Error::Invalid("searches and steps must be at least 1, and the longest step in (0, 1]".into()));
    }
    let search = FixedPointOptions { bounds: options.bounds.clone(), starts: options.starts, seed: options.seed };
    let mut starts = Vec::new();
    for k in 0..options.searches {
        // Off the ends, and off round values, at which models like to have their symmetries.
        let s = (k as f64 + 0.487) / options.searches as f64;
        let (i_stim, p) = problem.inputs(s);
        starts.extend(fixed_points(problem.system, i_stim, &p, &search)?.into_iter().map(|f| problem.scaled(&f.x, s)));
    }
    Ok(starts)
}

/// The branches through all of `starts`, each once: `on` tells whether a start is on a branch that is known.
fn trace_from(
    problem: &Problem,
    starts: Vec<Vec<f64>>,
    options: &ContinuationOptions,
    on: &dyn Fn(&[f64], &branch::Raw) -> bool,
) -> Vec<branch::Raw> {
    let mut found: Vec<branch::Raw> = Vec::new();
    for start in starts {
        if !found.iter().any(|b| on(&start, b)) {
            found.push(branch::trace(problem, &start, options));
        }
    }
    found
}

fn describe(problem: &Problem, raw: branch::Raw) -> Result<Branch> {
    let points = raw.points.iter().map(|q| problem.point(&q.y)).collect::<Result<Vec<_>>>()?;
    let special_points = raw
        .special
        .iter()
        .map(|(kind, y)| {
            let point = problem.point(y)?;
            let (mut frequency, mut coefficient) = (None, None);
            if *kind == Bifurcation::Hopf {
                let (i_stim, p) = problem.inputs(y[y.len() - 1]);
                let omega = critical(&point.eigenvalues);
                frequency = Some(omega);
                coefficient = normal_form::first_lyapunov_coefficient(problem.system, &point.x, i_stim, &p, omega, &problem.width);
            }
            Ok(SpecialPoint {
                kind: *kind,
                parameter: point.parameter,
                x: point.x,
                eigenvalues: point.eigenvalues,
                frequency,
                first_lyapunov_coefficient: coefficient,
                extrapolated: point.extrapolated,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Branch { points, special_points, stopped: raw.stopped })
}

/// Imaginary part of the complex pair nearest the imaginary axis.
fn critical(eigenvalues: &[Complex]) -> f64 {
    let pairs = eigenvalues.iter().filter(|m| m.im > 0.0);
    pairs.min_by(|a, b| a.re.abs().total_cmp(&b.re.abs())).map_or(f64::NAN, |m| m.im)
}

/// The kind of bifurcation by which the eigenvalue `mu` passes the border of stability, saddle-nodes and branch points apart.
fn crossing(time: Time, mu: Complex) -> Option<Bifurcation> {
    match time {
        Time::Continuous if mu.im != 0.0 => Some(Bifurcation::Hopf),
        Time::Discrete { dt } if mu.im != 0.0 => {
            let half = (mu.im.abs() * dt - std::f64::consts::PI).abs() < 1e-9;
            Some(if half { Bifurcation::PeriodDoubling } else { Bifurcation::NeimarkSacker })
        }
        _ => None,
    }
}

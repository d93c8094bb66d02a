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
//! Where quantities are conserved (see [`crate::conserved`]), fixed points are followed on one level: that of a start, at each value of the
//! parameter. A parameter that enters a quantity, such as the amount of a buffer, thus moves the level: a branch shows where a cell rests
//! that begins at the start, with that value of the parameter.
//!
//! Growth rates are those of [`crate::spectrum`], where flows and maps differ. A neutral saddle, two real eigenvalues with the sum zero,
//! changes no number of unstable directions and is not mistaken for a Hopf point.

use ionoscope_dynamics::system::{DynamicalSystem, Input, Time};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    conserved::Held,
    fixed_points::{self, FixedPointOptions},
    spectrum::Complex,
};

mod branch;
pub mod curves;
pub mod cycles;
#[cfg(test)]
mod ends_tests;
pub mod map_cycles;
mod normal_form;
mod passed;
#[cfg(test)]
mod tests;

use branch::Problem;

/// A point of a search that lies so near a known branch, in scaled variables, is on it.
const ON_BRANCH: f64 = 1e-5;

/// From this ratio of its ends on an interval is searched by orders of magnitude too; the smallest that is, in units of the parameter's own
/// value.
const WIDE: f64 = 30.0;
const SMALLEST_ORDER: f64 = 0.01;
/// Share of the interval by which a search at one of its ends lies inside.
const NEXT_TO_END: f64 = 1e-6;

/// Numerical knobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContinuationOptions {
    /// Box `[low, high]` for each variable, which branches may not leave; `None` takes the variables' ranges.
    pub bounds: Option<Vec<[f64; 2]>>,
    /// Values of the parameter, evenly over its interval, at which fixed points are sought to start from, beside its ends and the value
    /// where it is not varied; over orders of magnitude as many again evenly in the logarithm.
    pub searches: usize,
    /// Starts of each search.
    pub starts: usize,
    /// Seed of the starts.
    pub seed: u64,
    /// Longest step, in scaled arclength.
    pub longest_step: f64,
    /// Steps of a branch in each direction.
    pub most_steps: usize,
    /// The state at whose values conserved quantities are held; `None` takes the default start. Of no effect where nothing is conserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Vec<f64>>,
}

impl Default for ContinuationOptions {
    fn default() -> Self {
        ContinuationOptions {
            bounds: None,
            searches: 7,
            starts: 128,
            seed: 1,
            longest_step: 0.01,
            most_steps: 20_000,
            start: None,
        }
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

/// Why a branch went no further. Each is only said where it was verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The end of the parameter's interval, exactly.
    EndOfRange,
    /// The end of the parameter's interval, where the Jacobian is singular or nothing is finite: followed to it by ever shorter steps.
    SingularEnd {
        /// How far from it, in the parameter's unit, the equations were still solved.
        within: f64,
    },
    /// This variable left the box.
    LeftBox(String),
    /// It came back to where it began.
    Closed,
    /// Newton's corrections found no further point by the shortest step.
    NoConvergence,
    /// The branch changes its direction within the shortest step.
    NotSmooth,
    /// Equations or Jacobian are not finite within the shortest step.
    NotFinite,
    /// As many steps as were allowed.
    TooManySteps,
    /// The first point, at this value of the parameter, could not be solved for, so that nothing was followed.
    NotStarted {
        /// Where.
        parameter: f64,
    },
    /// Cycles shrank to a fixed point: a Hopf or Neimark-Sacker point.
    FixedPoint,
    /// The period grows without bound while the parameter stands still: a homoclinic orbit or a saddle-node on the cycle is near.
    LongPeriod,
    /// The period grew beyond its limit, and the parameter with it.
    PeriodLimit,
    /// Cycles need a finer mesh than is allowed.
    TooManyIntervals,
    /// Cycles join a fixed point of a map or a cycle of a smaller period, which doubles or multiplies its period there.
    SmallerPeriod,
}

impl Stop {
    /// Whether the branch was followed to an end of its own or one that was asked for. Otherwise it broke off: it may go on.
    pub fn complete(&self) -> bool {
        match self {
            Stop::EndOfRange | Stop::SingularEnd { .. } | Stop::LeftBox(_) | Stop::Closed => true,
            Stop::FixedPoint | Stop::LongPeriod | Stop::SmallerPeriod => true,
            Stop::NoConvergence | Stop::NotSmooth | Stop::NotFinite | Stop::NotStarted { .. } => {
                false
            }
            Stop::TooManySteps | Stop::PeriodLimit | Stop::TooManyIntervals => false,
        }
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::EndOfRange => f.write_str("the end of the parameter's interval"),
            Stop::SingularEnd { within } => write!(
                f,
                "the end of the parameter's interval, where the equations have no unique solution; followed to within {within:.1e} of it"
            ),
            Stop::LeftBox(name) => write!(f, "{name} left the box; a wider --box goes on"),
            Stop::Closed => f.write_str("the branch is closed"),
            Stop::NoConvergence => f.write_str("Newton's corrections find no further point, down to the shortest step"),
            Stop::NotSmooth => {
                f.write_str("the direction of the branch jumps within the shortest step, as where the equations are not smooth")
            }
            Stop::NotFinite => f.write_str("the equations are not finite just beyond"),
            Stop::TooManySteps => f.write_str("the limit on the number of steps was reached"),
            Stop::NotStarted { .. } => f.write_str("what was found could not be followed in any direction"),
            Stop::FixedPoint => f.write_str("the cycles shrink to a fixed point"),
            Stop::LongPeriod => f.write_str("the period grows without bound at this value, as it does near a homoclinic orbit"),
            Stop::PeriodLimit => f.write_str("the period grew beyond its limit"),
            Stop::SmallerPeriod => f.write_str("it joins a fixed point or a cycle of a smaller period, which multiplies its period there"),
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

impl Branch {
    /// Whether it was followed to both of its ends; see [`Stop::complete`].
    pub fn complete(&self) -> bool {
        self.stopped.iter().all(Stop::complete)
    }
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
    let problem = Problem::new(system, i_stim, p, over, interval, options.bounds.as_deref())?
        .held_at(options.start.as_deref())?;
    let starts = starting_points(&problem, options)?;
    if starts.is_empty() {
        let (spec, [from, to]) = (system.spec(), interval);
        return Err(Error::Invalid(format!(
            "no fixed point of {} was found in the box at any of {} values from {from} to {to}, from {} starts each, which does not prove that \
             there is none; widen the box, search at more values or from more starts",
            spec.id,
            searched(&problem, options.searches).len(),
            options.starts
        )));
    }
    let found = trace_from(&problem, starts, options, &|y, branch| {
        branch.passes(y, ON_BRANCH)
    });
    let mut all = found
        .into_par_iter()
        .map(|raw| describe(&problem, raw))
        .collect::<Result<Vec<Branch>>>()?;
    // A bifurcation that two branches share, such as a branch point, is listed with the first of them.
    for k in 1..all.len() {
        let (before, rest) = all.split_at_mut(k);
        let known = |s: &SpecialPoint| {
            before.iter().flat_map(|b| &b.special_points).any(|o| {
                o.kind == s.kind && problem.apart((&o.x, o.parameter), (&s.x, s.parameter)) < 1e-4
            })
        };
        rest[0].special_points.retain(|s| !known(s));
    }
    Ok(all)
}

/// The conserved quantities that [`branches`] holds, with their values at both ends of the interval: those of the start there.
///
/// # Errors
/// A start, parameters or a box of a wrong length.
pub fn held(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    over: Input,
    interval: [f64; 2],
    options: &ContinuationOptions,
) -> Result<[Vec<Held>; 2]> {
    let problem = Problem::new(system, i_stim, p, over, interval, options.bounds.as_deref())?
        .held_at(options.start.as_deref())?;
    Ok([0.0, 1.0].map(|s| problem.laws.held(&problem.start, &problem.inputs(s).1)))
}

/// Fixed points at several values of the parameter, scaled.
fn starting_points(problem: &Problem, options: &ContinuationOptions) -> Result<Vec<Vec<f64>>> {
    let [from, to] = [problem.value(0.0), problem.value(1.0)];
    if !(from != to && from.is_finite() && to.is_finite()) {
        return Err(Error::Invalid(format!(
            "the interval {from}:{to} of the parameter is empty; expected two different, finite ends"
        )));
    }
    if options.searches == 0
        || options.most_steps == 0
        || !(options.longest_step > 0.0 && options.longest_step <= 1.0)
    {
        return Err(Error::Invalid(
            "searches and steps must be at least 1, and the longest step in (0, 1]".into(),
        ));
    }
    let start = Some(problem.start.clone());
    let search = FixedPointOptions {
        bounds: options.bounds.clone(),
        starts: options.starts,
        seed: options.seed,
        start,
    };
    let mut starts = Vec::new();
    for s in searched(problem, options.searches) {
        let (i_stim, p) = problem.inputs(s);
        let found = fixed_points::search(problem.system, i_stim, &p, &search)?;
        if found.unexplained > 0 && !found.fixed_points.is_empty() {
            return Err(Error::Invalid(format!(
                "fixed points of {} are not isolated at {}: they form families in {} direction(s), and no conserved quantity is known that \
                 tells their members apart, so that there is no branch to follow; fixed-points gives the one to which the start leads",
                problem.system.spec().id,
                problem.value(s),
                found.unexplained
            )));
        }
        starts.extend(
            found
                .fixed_points
                .into_iter()
                .map(|f| problem.scaled(&f.x, s)),
        );
    }
    Ok(starts)
}

/// Scaled values of the parameter at which fixed points are sought: next to both ends, through one of which every branch goes that is
/// neither closed nor leaves the box; at the value where the parameter is not varied; `count` evenly over the interval and, where it goes
/// over orders of magnitude, as many again evenly in the logarithm, of both signs where it has both, so that what happens at small values
/// is found in a wide interval too.
fn searched(problem: &Problem, count: usize) -> Vec<f64> {
    // Off the ends, and off round values, at which models like to have their symmetries.
    let shares = (0..count).map(|k| (k as f64 + 0.487) / count as f64);
    let mut all: Vec<f64> = shares
        .clone()
        .chain([NEXT_TO_END, 1.0 - NEXT_TO_END])
        .collect();
    let ends = [problem.value(0.0), problem.value(1.0)];
    let own = problem.own();
    let inside = |s: &f64| (NEXT_TO_END..=1.0 - NEXT_TO_END).contains(s);
    let scaled = |v: f64| (v - ends[0]) / problem.span();
    all.extend(Some(scaled(own)).filter(inside));
    for sign in [-1.0, 1.0] {
        let [low, high] = [
            (sign * ends[0]).min(sign * ends[1]),
            (sign * ends[0]).max(sign * ends[1]),
        ];
        // An interval that holds zero has no smallest order: a hundredth of the parameter's own value or, without one, of its interval.
        let least = low.max(SMALLEST_ORDER * if own == 0.0 { 0.1 * high } else { own.abs() });
        if high > WIDE * least {
            all.extend(
                shares
                    .clone()
                    .map(|share| scaled(sign * least * (high / least).powf(share)))
                    .filter(inside),
            );
        }
    }
    all
}

/// The branches through all of `starts`, each once: `on` tells whether a start is on a branch that is known.
fn trace_from(
    problem: &Problem,
    starts: Vec<Vec<f64>>,
    options: &ContinuationOptions,
    on: &dyn Fn(&[f64], &branch::Raw) -> bool,
) -> Vec<branch::Raw> {
    let mut found: Vec<branch::Raw> = Vec::new();
    let mut lost: Vec<Vec<f64>> = Vec::new();
    for start in starts {
        if !found.iter().any(|b| on(&start, b)) {
            match branch::trace(problem, &start, options) {
                Some(raw) => found.push(raw),
                None => lost.push(start),
            }
        }
    }
    // What could not be followed and is on no branch that was found later is said, each once.
    for start in lost {
        if !found.iter().any(|b| on(&start, b)) {
            found.push(branch::Raw::not_started(problem, &start));
        }
    }
    found
}

fn describe(problem: &Problem, raw: branch::Raw) -> Result<Branch> {
    let points = raw
        .points
        .iter()
        .map(|q| problem.point(&q.y))
        .collect::<Result<Vec<_>>>()?;
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
                coefficient = normal_form::first_lyapunov_coefficient(
                    &problem.laws,
                    problem.system,
                    &point.x,
                    i_stim,
                    &p,
                    omega,
                    &problem.width,
                );
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
    Ok(Branch {
        points,
        special_points,
        stopped: raw.stopped,
    })
}

/// Imaginary part of the complex pair nearest the imaginary axis.
fn critical(eigenvalues: &[Complex]) -> f64 {
    let pairs = eigenvalues.iter().filter(|m| m.im > 0.0);
    pairs
        .min_by(|a, b| a.re.abs().total_cmp(&b.re.abs()))
        .map_or(f64::NAN, |m| m.im)
}

/// The kind of bifurcation by which the eigenvalue `mu` passes the border of stability, saddle-nodes and branch points apart.
fn crossing(time: Time, mu: Complex) -> Option<Bifurcation> {
    match time {
        Time::Continuous if mu.im != 0.0 => Some(Bifurcation::Hopf),
        Time::Discrete { dt } if mu.im != 0.0 => {
            let half = (mu.im.abs() * dt - std::f64::consts::PI).abs() < 1e-9;
            Some(if half {
                Bifurcation::PeriodDoubling
            } else {
                Bifurcation::NeimarkSacker
            })
        }
        _ => None,
    }
}

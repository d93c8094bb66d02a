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

use ionoscope_dynamics::system::{DynamicalSystem, Input};
use rayon::prelude::*;

use crate::{
    Error, Result,
    conserved::Held,
    fixed_points::{self, FixedPointOptions},
    spectrum::Complex,
};

mod answer;
mod branch;
pub mod curves;
pub mod cycles;
#[cfg(test)]
mod ends_tests;
pub mod map_cycles;
mod normal_form;
mod passed;
mod problem;
#[cfg(test)]
mod tests;

pub use answer::{Bifurcation, Branch, BranchPoint, ContinuationOptions, SpecialPoint, Stop};
use problem::Problem;

/// A point of a search that lies so near a known branch, in scaled variables, is on it.
const ON_BRANCH: f64 = 1e-5;

/// From this ratio of its ends on an interval is searched by orders of magnitude too; the smallest that is, in units of the parameter's own
/// value.
const WIDE: f64 = 30.0;
const SMALLEST_ORDER: f64 = 0.01;
/// Share of the interval by which a search at one of its ends lies inside.
const NEXT_TO_END: f64 = 1e-6;

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

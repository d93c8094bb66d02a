//! Branches of periodic orbits (cycles) of flows over one parameter or the stimulus, with Floquet multipliers and their bifurcations.
//!
//! Cycles are found where they are born, at Hopf points, and by simulation at several values of the parameter, and followed by
//! pseudo-arclength continuation of their collocation equations. What passes the unit circle tells the bifurcation: +1 with a turn of the
//! branch a saddle-node of cycles, +1 without one a branch point, -1 a period doubling, a complex pair a torus (Neimark-Sacker).
//!
//! The invariant closed curves of a map that steps a flow are followed in the same way, as cycles of the flow that embeds the map; that
//! flow is as good as the motion over a step is smooth ([`CyclePoint::trivial_error`] does not show this error; a comparison with the
//! equations does).

use ionoscope_dynamics::system::{DynamicalSystem, Input};

use super::{
    answer::{Bifurcation, Branch},
    problem::Problem,
};
use crate::{Error, Result};

mod answer;
mod collocation;
mod field;
pub(crate) mod floquet;
mod start;
mod stiff;
#[cfg(test)]
mod tests;
mod trace;

pub use answer::{CycleBranch, CycleOptions, CyclePoint, CycleSpecialPoint, Origin, Profile};
use field::Field;
use start::FIRST_AMPLITUDE;

/// A curve that a simulation closes nearly and a cycle this near, in scaled variables and the logarithm of the period, are one.
const SEEN: f64 = 0.05;

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

//! Tracing one branch.
//!
//! Three things keep a bifurcation from being stepped over. A step moves the parameter by no more than a share of its own size, so that
//! an interval over orders of magnitude is gone through by orders of magnitude. Every step is looked at once more in its middle (see
//! `passed.rs`). And the end of an interval is looked past, since a bifurcation there belongs to the interval.

use super::{
    answer::{ContinuationOptions, Stop},
    passed::{Special, bifurcations, zero},
    problem::{LEAST_COSINE, Problem, Traced, difference, dot, norm},
};
use crate::spectrum::spectrum_within;

/// Shortest step, in scaled arclength; the first one.
const SHORTEST: f64 = 1e-9;
const FIRST: f64 = 1e-3;
/// How near, in scaled parameter, a branch is followed to an end at which the equations cannot be solved.
const NEAREST: f64 = 1e-12;
/// Arclength by which the end of the interval is looked past, and scaled parameter within which a bifurcation there is at the end.
const PAST: f64 = 1e-7;
const AT_END: f64 = 1e-9;
/// Points that are spent on looking closer at one step.
const CLOSER_LOOKS: usize = 400;
/// Least cosine of the angle by which the tangent may turn in a step at a corner of a rule that is not smooth, and the step below which a turn
/// that no step makes smaller is a corner.
const LEAST_COSINE_CORNER: f64 = 0.2;
const CORNER: f64 = 1e-7;

/// Why there is no next point.
enum Failure {
    /// Equations or Jacobian are not finite at the guess.
    NotFinite,
    /// Newton's corrections do not converge.
    NoConvergence,
    /// They converge to a place where the branch runs in another direction.
    Corner,
}

/// A branch before it is described.
pub struct Raw {
    pub points: Vec<Traced>,
    pub special: Special,
    pub stopped: [Stop; 2],
}

impl Raw {
    /// What was found at a point and could not be followed in any direction.
    pub fn not_started(problem: &Problem, start: &[f64]) -> Self {
        let stop = Stop::NotStarted {
            parameter: problem.value(start[start.len() - 1]),
        };
        Raw {
            points: Vec::new(),
            special: Vec::new(),
            stopped: [stop.clone(), stop],
        }
    }

    /// Whether the branch passes within `near` of a point.
    pub fn passes(&self, y: &[f64], near: f64) -> bool {
        self.points.windows(2).any(|pair| {
            let [a, b] = [&pair[0], &pair[1]];
            // Cubic between two points with their tangents, at the share nearest to the point.
            let chord: Vec<f64> = (0..y.len()).map(|k| b.y[k] - a.y[k]).collect();
            let length = norm(&chord);
            let share = (0..y.len())
                .map(|k| (y[k] - a.y[k]) * chord[k])
                .sum::<f64>()
                / (length * length);
            if !(-0.01..=1.01).contains(&share) {
                return false;
            }
            let u = 1.0 - share;
            let at = |k: usize| {
                u * u * (1.0 + 2.0 * share) * a.y[k]
                    + share * share * (3.0 - 2.0 * share) * b.y[k]
                    + length * (share * u * u * a.tangent[k] - share * share * u * b.tangent[k])
            };
            norm(&(0..y.len()).map(|k| y[k] - at(k)).collect::<Vec<_>>()) < near.max(0.02 * length)
        })
    }
}

/// The branch through a point, both ways; none where the equations have no unique solution there.
pub fn trace(problem: &Problem, start: &[f64], options: &ContinuationOptions) -> Option<Raw> {
    let mut along = vec![0.0; start.len()];
    along[start.len() - 1] = 1.0;
    let first = problem
        .correct(start, &along)
        .and_then(|(y, _)| problem.traced(y, &along))?;
    let mut back = first.clone();
    back.tangent.iter_mut().for_each(|t| *t = -*t);
    back.orientation = -back.orientation;
    let (mut points, mut special, begin) = one_way(problem, back, options);
    points.reverse();
    special.reverse();
    // Tangents of the way back point the other way.
    points
        .iter_mut()
        .for_each(|q| q.tangent.iter_mut().for_each(|t| *t = -*t));
    if begin == Stop::Closed {
        return Some(Raw {
            points,
            special,
            stopped: [Stop::Closed, Stop::Closed],
        });
    }
    points.pop();
    let (ahead, more, end) = one_way(problem, first, options);
    points.extend(ahead);
    special.extend(more);
    Some(Raw {
        points,
        special,
        stopped: [begin, end],
    })
}

type Way = (Vec<Traced>, Special, Stop);

/// A step that was made.
struct Step {
    next: Traced,
    corrections: usize,
    special: Special,
    /// Whether it ends on the end of the interval.
    landed: bool,
}

fn one_way(problem: &Problem, first: Traced, options: &ContinuationOptions) -> Way {
    let (mut points, mut special) = (vec![first.clone()], Vec::new());
    let mut h = FIRST.min(options.longest_step);
    let mut length = 0.0;
    let mut here = first.clone();
    for _ in 0..options.most_steps {
        h = h.min(problem.longest(
            here.s(),
            here.tangent[here.y.len() - 1],
            options.longest_step,
        ));
        let made = match step(problem, &here, h) {
            Ok(made) => made,
            Err(failure) => {
                h *= 0.5;
                // Towards an end that cannot be reached steps shrink with the way that is left.
                let left =
                    towards(&here).map(|(end, arclength)| ((end - here.s()).abs(), arclength));
                if let Some((near, arclength)) = left
                    && near <= NEAREST
                {
                    special.extend(past_the_end(problem, &here));
                    let stop = Stop::SingularEnd {
                        within: near * problem.span().abs(),
                    };
                    points.extend(limit(problem, &here, arclength));
                    return (points, special, stop);
                }
                let shortest =
                    left.map_or(SHORTEST, |(_, arclength)| SHORTEST.min(0.1 * arclength));
                if h < shortest {
                    let stop = match failure {
                        Failure::NotFinite => Stop::NotFinite,
                        Failure::NoConvergence => Stop::NoConvergence,
                        Failure::Corner => Stop::NotSmooth,
                    };
                    return (points, special, stop);
                }
                continue;
            }
        };
        let left = problem.outside(&made.next.y);
        let made = match left {
            Some((k, face)) if problem.outside(&here.y).is_none() => {
                onto_the_face(problem, &here, made, k, face)
            }
            _ => made,
        };
        let Step {
            next,
            corrections,
            special: more,
            landed,
        } = made;
        special.extend(more);
        let gone = norm(&difference(&next.y, &here.y));
        length += gone;
        points.push(next.clone());
        if let Some((k, _)) = left {
            return (
                points,
                special,
                Stop::LeftBox(problem.system.spec().variables[k].name.clone()),
            );
        }
        if landed {
            special.extend(past_the_end(problem, &next));
            return (points, special, Stop::EndOfRange);
        }
        if length > 4.0 * gone && returned(problem, &next, &first, gone) {
            return (points, special, Stop::Closed);
        }
        here = next;
        h = if corrections <= 3 {
            1.4 * h
        } else if corrections > 5 {
            0.6 * h
        } else {
            h
        };
        h = h.min(options.longest_step);
    }
    (points, special, Stop::TooManySteps)
}

/// A step out of the box cut off at the face through which variable `k` leaves; the step itself where that point is not found.
fn onto_the_face(problem: &Problem, here: &Traced, made: Step, k: usize, face: f64) -> Step {
    let advance = dot(&difference(&made.next.y, &here.y), &here.tangent);
    let nearest =
        |a: &Traced, b: &Traced, share: f64| if share < 0.5 { a.clone() } else { b.clone() };
    let found = zero(
        &|h| Some(problem.at(here, h)?.0),
        here,
        &made.next,
        advance,
        &|q| q.y[k] - face,
        &nearest,
    );
    match found {
        Some((at, next)) if at > 0.0 => {
            let special = bifurcations(problem, here, &next, at, &mut CLOSER_LOOKS.clone());
            Step {
                next,
                special,
                landed: false,
                ..made
            }
        }
        _ => made,
    }
}

/// The end of the interval that a branch heads for, and the arclength to it along the tangent.
fn towards(here: &Traced) -> Option<(f64, f64)> {
    let slope = here.tangent[here.y.len() - 1];
    let end = if slope > 0.0 { 1.0 } else { 0.0 };
    let arclength = (end - here.s()) / slope;
    (arclength.is_finite() && arclength >= 0.0).then_some((end, arclength))
}

/// One step of arclength `h`, or onto the end of the interval where it would go beyond.
fn step(problem: &Problem, here: &Traced, h: f64) -> std::result::Result<Step, Failure> {
    let n = here.y.len() - 1;
    let inside = |s: f64| (0.0..=1.0).contains(&s);
    let turns = |q: &Traced| {
        let cosine = dot(&q.tangent, &here.tangent);
        let least = if h < CORNER {
            LEAST_COSINE_CORNER
        } else {
            LEAST_COSINE
        };
        cosine <= least
    };
    let checked = |next: Traced, corrections: usize, landed: bool| {
        let advance = dot(&difference(&next.y, &here.y), &here.tangent);
        let special = bifurcations(problem, here, &next, advance, &mut CLOSER_LOOKS.clone());
        // A branch that turned back beyond the end was not inside all the way.
        let beyond = special
            .iter()
            .any(|(_, y)| !(-AT_END..=1.0 + AT_END).contains(&y[n]));
        (!beyond).then_some(Step {
            next,
            corrections,
            special,
            landed,
        })
    };
    let ordinary = problem.at(here, h);
    if let Some((next, corrections)) = &ordinary
        && inside(next.s())
    {
        if turns(next) {
            return Err(Failure::Corner);
        }
        if let Some(made) = checked(next.clone(), *corrections, false) {
            return Ok(made);
        }
    }
    // Exactly onto the end of the interval: from between the points on both sides of it, or along the tangent.
    if let Some((end, arclength)) = towards(here)
        && (arclength <= h || ordinary.as_ref().is_some_and(|(q, _)| !inside(q.s())))
    {
        let mut guess: Vec<f64> = match &ordinary {
            Some((q, _)) if !inside(q.s()) => {
                let share = (end - here.s()) / (q.s() - here.s());
                here.y
                    .iter()
                    .zip(&q.y)
                    .map(|(a, b)| a + share * (b - a))
                    .collect()
            }
            _ => here
                .y
                .iter()
                .zip(&here.tangent)
                .map(|(y, t)| y + arclength * t)
                .collect(),
        };
        guess[n] = end;
        let mut across = vec![0.0; n + 1];
        across[n] = 1.0;
        let landing = problem
            .correct(&guess, &across)
            .and_then(|(mut y, corrections)| {
                y[n] = end;
                let near = norm(&difference(&y, &guess)) <= 0.1 * h;
                near.then(|| problem.traced(y, &here.tangent))
                    .flatten()
                    .map(|q| (q, corrections))
            });
        if let Some((next, corrections)) = landing
            && !turns(&next)
            && let Some(made) = checked(next, corrections, true)
        {
            return Ok(made);
        }
    }
    let guess: Vec<f64> = here
        .y
        .iter()
        .zip(&here.tangent)
        .map(|(y, t)| y + h * t)
        .collect();
    let (f, matrix) = problem.bordered(&guess, &here.tangent);
    let finite = f.iter().all(|f| f.is_finite())
        && (0..n).all(|i| (0..=n).all(|j| matrix[(i, j)].is_finite()));
    Err(if finite {
        Failure::NoConvergence
    } else {
        Failure::NotFinite
    })
}

/// The point at the end of the interval as the limit of what leads there, where it has one.
fn limit(problem: &Problem, here: &Traced, arclength: f64) -> Option<Traced> {
    let n = here.y.len() - 1;
    let end = if here.tangent[n] > 0.0 { 1.0 } else { 0.0 };
    // Along a tangent over so short a way nothing is lost; where the state itself runs away, or nothing is finite, there is no limit.
    (arclength < 1e3 * NEAREST).then_some(())?;
    let mut y: Vec<f64> = here
        .y
        .iter()
        .zip(&here.tangent)
        .map(|(y, t)| y + arclength * t)
        .collect();
    y[n] = end;
    let (i_stim, p) = problem.inputs(end);
    let eigenvalues = spectrum_within(
        &problem.laws,
        problem.system,
        &problem.state(&y),
        i_stim,
        &p,
        0,
    )
    .ok()?
    .eigenvalues;
    Some(Traced {
        y,
        tangent: here.tangent.clone(),
        orientation: here.orientation,
        eigenvalues,
    })
}

/// The bifurcations that lie on the end of the interval itself, which a step a little past it finds.
fn past_the_end(problem: &Problem, here: &Traced) -> Special {
    let n = here.y.len() - 1;
    let end = if here.tangent[n] > 0.0 { 1.0 } else { 0.0 };
    let Some((next, _)) = problem.at(here, PAST) else {
        return Vec::new();
    };
    if !problem.defined(next.s()) || dot(&next.tangent, &here.tangent) < LEAST_COSINE {
        return Vec::new();
    }
    let mut found = bifurcations(problem, here, &next, PAST, &mut CLOSER_LOOKS.clone());
    found.retain(|(_, y)| (y[n] - end).abs() <= AT_END);
    found.iter_mut().for_each(|(_, y)| y[n] = end);
    found
}

/// Whether a branch that came near its first point, in a step of length `gone`, is at it: the step that ends beside it ends on it.
fn returned(problem: &Problem, here: &Traced, first: &Traced, gone: f64) -> bool {
    let home = difference(&first.y, &here.y);
    if norm(&home) >= gone || dot(&here.tangent, &first.tangent) <= 0.9 {
        return false;
    }
    let Some((q, _)) = problem.at(here, dot(&home, &here.tangent)) else {
        return false;
    };
    norm(&difference(&q.y, &first.y)) < 1e-6 + 1e-3 * gone
}

//! Tracing one branch of cycles.

use super::{
    super::{
        answer::{Bifurcation, Stop},
        passed::zero,
    },
    answer::{CycleBranch, CycleOptions, CyclePoint, CycleSpecialPoint, Origin, Profile},
    collocation::{Orbit, solve},
    field::Field,
    start::FIRST_AMPLITUDE,
    stiff,
};
use crate::spectrum::Complex;
use rayon::prelude::*;

/// Shortest step and the first one, in scaled arclength.
const SHORTEST: f64 = 1e-8;
const FIRST: f64 = 1e-3;
/// Newton corrections a step, of a start from a simulation, and their length at which they end.
const MOST_CORRECTIONS: usize = 8;
const MOST_FIRST_CORRECTIONS: usize = 20;
const CONVERGED: f64 = 1e-9;
const ROUNDING: f64 = 1e-7;
/// Least cosine of the angle by which the tangent may turn in a step.
const LEAST_COSINE: f64 = 0.96;
/// Steps after which the mesh is fitted anew.
const MESH_LASTS: usize = 3;
/// Widths of the box by which cycles may leave it.
const MARGIN: f64 = 0.5;
/// How near its place a multiplier must be that is said to pass there.
const PASSES: f64 = 1e-3;
/// Arclength within which two bifurcations are not told apart.
const CLOSEST: f64 = 1e-5;
/// Scaled parameters that the mesh does not tell apart, in accuracies of the curve.
const VERTICAL: f64 = 10.0;
/// Scaled differences below which two cycles are the same.
const SAME: f64 = 0.01;
/// How near, in scaled parameter, a branch is followed to an end at which its equations cannot be solved.
const NEAREST: f64 = 1e-9;
/// Points that are spent on looking closer at one step; the logarithm of a multiplier's absolute value below which it is not looked at.
const CLOSER_LOOKS: usize = 12;
const FORGOTTEN: f64 = -14.0;
/// A branch closes where it passes its first cycle by less than this share of the step.
const PASSES_BY: f64 = 0.05;
/// Share of its own size that the parameter moves, at most, while the period grows e-fold, where the period grows without bound.
const STANDS_STILL: f64 = 0.1;
/// Factor by which the period has grown on a branch that breaks off because of it.
const GROWN: f64 = 4.0;
/// Height of cycles, in heights of a first one, below which they end at a fixed point or break off.
const NO_HEIGHT: f64 = 0.01;
/// How well frequency and growth rate of a fixed point agree with cycles that shrink to it, relative to the frequency.
const AGREES: f64 = 0.1;

#[derive(Clone)]
pub struct Traced {
    orbit: Orbit,
    tangent: Orbit,
    extent: [Vec<f64>; 2],
    /// By descending absolute value, without the one next to 1, whose distance from it stands beside.
    multipliers: Vec<Complex>,
    trivial_error: f64,
}

impl Traced {
    fn unstable(&self) -> usize {
        self.multipliers
            .iter()
            .filter(|m| m.modulus() > 1.0)
            .count()
    }

    /// The bifurcation by which the k-th multiplier passes the unit circle here; none where it does not pass, but jumps.
    fn passing(&self, k: usize) -> Option<Bifurcation> {
        let mu = self.multipliers[k];
        ((mu.modulus() - 1.0).abs() < PASSES).then_some(())?;
        // Next to a turn the one along the cycle and the one that passes are both next to 1, and rounding may make a pair of them.
        Some(match (mu.im.abs() > PASSES, mu.re < 0.0) {
            (true, _) => Bifurcation::NeimarkSacker,
            (false, true) => Bifurcation::PeriodDoubling,
            (false, false) => Bifurcation::BranchPoint,
        })
    }

    fn height(&self) -> f64 {
        let [low, high] = &self.extent;
        low.iter().zip(high).map(|(a, b)| b - a).fold(0.0, f64::max)
    }
}

pub struct Raw {
    points: Vec<Traced>,
    special: Vec<(Bifurcation, Traced)>,
    at: Vec<Traced>,
    stopped: [Stop; 2],
}

fn apart(a: &Traced, b: &Traced, share: f64, other: (&[Vec<f64>; 2], f64)) -> f64 {
    let mix = |a: f64, b: f64| a + share * (b - a);
    let period = (mix(a.orbit.log_period, b.orbit.log_period) - other.1).abs();
    (0..2)
        .flat_map(|k| (0..a.extent[k].len()).map(move |i| (k, i)))
        .map(|(k, i)| (mix(a.extent[k][i], b.extent[k][i]) - other.0[k][i]).abs())
        .fold(period, f64::max)
}

impl Raw {
    /// Whether the branch has this cycle.
    pub fn passes(&self, cycle: &Traced) -> bool {
        self.passes_by(cycle.orbit.s, &cycle.extent, cycle.orbit.log_period, SAME)
    }

    /// Whether the branch comes within `same` of a curve at the scaled parameter `s`.
    pub fn passes_by(&self, s: f64, extent: &[Vec<f64>; 2], log_period: f64, same: f64) -> bool {
        self.points.windows(2).any(|pair| {
            let [a, b] = [&pair[0], &pair[1]];
            let share = (s - a.orbit.s) / (b.orbit.s - a.orbit.s);
            (-0.01..=1.01).contains(&share) && apart(a, b, share, (extent, log_period)) < same
        })
    }

    /// Whether one of its ends shrinks to the Hopf point about which `orbit` lies: the square of the height goes straight to zero there.
    pub fn ends_at(&self, orbit: &Orbit) -> bool {
        let (extent, count) = (orbit.extent(), self.points.len());
        (0..2)
            .filter(|k| count > 1 && self.stopped[*k] == Stop::FixedPoint)
            .any(|k| {
                let [last, before] = if k == 0 {
                    [0, 1]
                } else {
                    [count - 1, count - 2]
                }
                .map(|i| &self.points[i]);
                let [small, large] = [last, before].map(|q| q.height() * q.height());
                let left = small / (large - small) * (last.orbit.s - before.orbit.s);
                let off = last.orbit.s + left - orbit.s;
                off.abs() < 0.5 * left.abs() + 1e-6
                    && apart(last, last, 0.0, (&extent, last.orbit.log_period)) < SAME
            })
    }

    /// Whether nothing was followed.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// A branch of which not even the first cycle was found.
    pub fn not_started(parameter: f64) -> Self {
        let stop = Stop::NotStarted { parameter };
        Raw {
            points: Vec::new(),
            special: Vec::new(),
            at: Vec::new(),
            stopped: [stop.clone(), stop],
        }
    }

    pub fn describe(self, field: &Field, accuracy: f64, started_from: Origin) -> CycleBranch {
        let problem = field.problem;
        let point = |q: &Traced| {
            let multipliers = stiff::multipliers(field, &q.orbit, &q.multipliers, accuracy);
            CyclePoint {
                parameter: problem.value(q.orbit.s),
                period: q.orbit.log_period.exp(),
                min: problem.state(&q.extent[0]),
                max: problem.state(&q.extent[1]),
                stable: multipliers.iter().all(|m| m.modulus() <= 1.0),
                multipliers,
                trivial_error: q.trivial_error,
            }
        };
        let profile = |q: &Traced| {
            let period = q.orbit.log_period.exp();
            let taus: Vec<f64> = q
                .orbit
                .mesh
                .windows(2)
                .flat_map(|w| (0..4).map(|k| w[0] + 0.25 * f64::from(k) * (w[1] - w[0])))
                .chain([1.0])
                .collect();
            Profile {
                cycle: point(q),
                x: taus
                    .iter()
                    .map(|t| problem.state(&q.orbit.at(*t)))
                    .collect(),
                t: taus.into_iter().map(|t| t * period).collect(),
            }
        };
        CycleBranch {
            started_from,
            points: self.points.par_iter().map(point).collect(),
            special_points: self
                .special
                .iter()
                .map(|(kind, q)| CycleSpecialPoint {
                    kind: *kind,
                    cycle: point(q),
                })
                .collect(),
            at: self.at.iter().map(profile).collect(),
            stopped: self.stopped,
        }
    }
}

/// Without pairs of turns at the same parameter, and what lies between them: a vertical branch makes them by rounding and by changes of mesh.
fn without_vertical(all: Vec<(Bifurcation, Traced)>, same: f64) -> Vec<(Bifurcation, Traced)> {
    let mut kept: Vec<(Bifurcation, Traced)> = Vec::new();
    for (kind, q) in all {
        let near = |(_, o): &&(Bifurcation, Traced)| (o.orbit.s - q.orbit.s).abs() < same;
        let back = kept
            .iter()
            .rev()
            .take_while(near)
            .position(|(k, _)| *k == Bifurcation::SaddleNode);
        match back {
            Some(back) if kind == Bifurcation::SaddleNode => kept.truncate(kept.len() - 1 - back),
            _ => kept.push((kind, q)),
        }
    }
    kept
}

/// Whether a multiplier may pass the unit circle unseen between the last two of three neighbors, each with its arclength: whether the
/// logarithm of its absolute value, as a parabola through the three, comes near zero there and keeps its sign at both ends.
fn unsure(three: [(&Traced, f64); 3]) -> bool {
    let [x0, x1, x2] = three.map(|q| q.1);
    (0..three[2].0.multipliers.len()).any(|k| {
        let [a, b, c] = three.map(|q| q.0.multipliers[k].modulus().ln().max(FORGOTTEN));
        let second = ((c - b) / (x2 - x1) - (b - a) / (x1 - x0)) / (x2 - x0);
        // The farthest that the parabola is from its chord over the longer of both steps.
        let longer = (x2 - x1).max(x1 - x0);
        let bend = 0.25 * second.abs() * longer * longer;
        b * c > 0.0 && b.abs().min(c.abs()) < 2.0 * bend && b.max(c) > FORGOTTEN
    })
}

/// Whether the step between two neighbors passes the first cycle of the branch.
fn returned(here: &Traced, next: &Traced, first: &Traced, h: f64) -> bool {
    let passed = |share: f64| {
        let s = here.orbit.s + share * (next.orbit.s - here.orbit.s);
        apart(here, next, share, (&first.extent, first.orbit.log_period))
            .max((s - first.orbit.s).abs())
    };
    (0..=40)
        .map(|k| passed(0.05 * f64::from(k) - 0.5))
        .fold(f64::INFINITY, f64::min)
        < PASSES_BY * h
}

pub struct Tracer<'a> {
    pub field: &'a Field<'a>,
    pub options: &'a CycleOptions,
    pub accuracy: f64,
    /// Scaled parameters at which cycles are wanted.
    pub wanted: &'a [f64],
}

type Way = (Vec<Traced>, Vec<(Bifurcation, Traced)>, Vec<Traced>, Stop);

impl Tracer<'_> {
    /// The cycle in the plane across `across` through `guess`, its phase that of `reference`; and the corrections it took.
    fn correct(
        &self,
        guess: &Orbit,
        reference: &Orbit,
        across: &Orbit,
        most: usize,
    ) -> Option<(Traced, usize)> {
        let (mut orbit, mut before) = (guess.clone(), f64::INFINITY);
        for k in 0..most {
            let solved = solve(self.field, &orbit, reference, guess, across)?;
            let length = solved.correction.norm();
            if !length.is_finite() || length > 0.5 {
                return None;
            }
            orbit = orbit.plus(1.0, &solved.correction);
            if length < CONVERGED || (length < ROUNDING && length > 0.5 * before) {
                return Some((self.traced(orbit, reference, across)?, k + 1));
            }
            before = length;
        }
        None
    }

    fn traced(&self, orbit: Orbit, reference: &Orbit, across: &Orbit) -> Option<Traced> {
        let solved = solve(self.field, &orbit, reference, &orbit, across)?;
        let mut all = solved.multipliers()?;
        let distance = |m: &Complex| (m.re - 1.0).hypot(m.im);
        let trivial =
            (0..all.len()).min_by(|&a, &b| distance(&all[a]).total_cmp(&distance(&all[b])))?;
        let trivial_error = distance(&all.remove(trivial));
        let length = solved.direction.norm();
        let tangent = solved.direction.times(1.0 / length);
        let extent = orbit.extent();
        Some(Traced {
            orbit,
            tangent,
            extent,
            multipliers: all,
            trivial_error,
        })
    }

    /// The first cycle of a branch, at least so high.
    pub fn first(
        &self,
        guess: &Orbit,
        reference: &Orbit,
        across: &Orbit,
        least_height: f64,
    ) -> Option<Traced> {
        let (first, _) = self.correct(guess, reference, across, MOST_FIRST_CORRECTIONS)?;
        // A fixed point solves the equations too.
        (first.height() > least_height).then_some(())?;
        let once = first.orbit.once();
        if once.log_period < first.orbit.log_period {
            let across = once.parameter_direction();
            return self.refitted(
                &self
                    .correct(&once, &once, &across, MOST_FIRST_CORRECTIONS)?
                    .0,
            );
        }
        self.refitted(&first)
    }

    /// The same cycle on a mesh that fits it; none where that would be too fine.
    fn refitted(&self, q: &Traced) -> Option<Traced> {
        let wanted = q.orbit.wanted(self.accuracy);
        if wanted > self.options.most_intervals {
            return None;
        }
        // Some more than is needed, so that growth does not ask for a new mesh at each step.
        let mesh = q
            .orbit
            .fitted_mesh((wanted + wanted / 5).min(self.options.most_intervals));
        let (orbit, mut tangent) = (q.orbit.on(&mesh), q.tangent.on(&mesh));
        let length = tangent.norm();
        tangent = tangent.times(1.0 / length);
        self.correct(&orbit, &orbit, &tangent, MOST_CORRECTIONS)
            .map(|(q, _)| q)
    }

    /// The cycle at arclength `h` along the tangent of another.
    fn at(&self, from: &Traced, h: f64) -> Option<(Traced, usize)> {
        let guess = from.orbit.plus(h, &from.tangent);
        self.correct(&guess, &from.orbit, &from.tangent, MOST_CORRECTIONS)
    }

    /// The cycle at the scaled parameter `s`, between two neighbors.
    fn at_parameter(&self, a: &Traced, b: &Traced, s: f64) -> Option<Traced> {
        let share = (s - a.orbit.s) / (b.orbit.s - a.orbit.s);
        let mut guess = a.orbit.plus(share, &b.orbit.plus(-1.0, &a.orbit));
        guess.s = s;
        let (mut q, _) = self.correct(
            &guess,
            &a.orbit,
            &guess.parameter_direction(),
            MOST_CORRECTIONS,
        )?;
        q.orbit.s = s;
        if q.tangent.inner(&a.tangent) < 0.0 {
            q.tangent = q.tangent.times(-1.0);
        }
        Some(q)
    }

    /// The branch that grows out of a fixed point.
    pub fn trace_from_hopf(&self, first: Traced) -> Raw {
        let (points, special, at, end) = self.one_way(first);
        Raw {
            points,
            special: without_vertical(special, VERTICAL * self.accuracy),
            at,
            stopped: [Stop::FixedPoint, end],
        }
    }

    /// The branch through a cycle, both ways.
    pub fn trace(&self, first: Traced) -> Raw {
        let mut back = first.clone();
        back.tangent = back.tangent.times(-1.0);
        let (mut points, mut special, mut at, begin) = self.one_way(back);
        points.reverse();
        special.reverse();
        at.reverse();
        points.pop();
        let (ahead, more, also, end) = self.one_way(first);
        points.extend(ahead);
        special.extend(more);
        at.extend(also);
        Raw {
            points,
            special: without_vertical(special, VERTICAL * self.accuracy),
            at,
            stopped: [begin, end],
        }
    }

    fn one_way(&self, first: Traced) -> Way {
        let (mut points, mut special, mut at) = (vec![first.clone()], Vec::new(), Vec::new());
        let mut h = FIRST.min(self.options.longest_step);
        let longest = first.orbit.log_period + self.options.longest_period.ln();
        let (mut here, mut mesh_age) = (first, 0);
        let mut before: Option<(Traced, f64)> = None;
        for _ in 0..self.options.most_steps {
            // Next to a fixed point no step over it, where the same cycles come again, half a period later.
            let [low, high] = here.tangent.extent();
            let growth = low
                .iter()
                .zip(&high)
                .map(|(a, b)| b - a)
                .fold(0.0, f64::max);
            h = h
                .min(0.3 * here.height() / growth)
                .min(self.field.problem.longest(
                    here.orbit.s,
                    here.tangent.s,
                    self.options.longest_step,
                ));
            let Some((next, corrections, landed)) = self.step(&here, h) else {
                h *= 0.5;
                let end = if here.tangent.s > 0.0 { 1.0 } else { 0.0 };
                let left = (end - here.orbit.s) / here.tangent.s;
                let shortest = if left >= 0.0 {
                    SHORTEST.min(0.1 * left)
                } else {
                    SHORTEST
                };
                if (end - here.orbit.s).abs() <= NEAREST {
                    let within = (end - here.orbit.s).abs() * self.field.problem.span().abs();
                    return (points, special, at, Stop::SingularEnd { within });
                }
                if h < shortest {
                    let long = here.orbit.log_period > points[0].orbit.log_period + GROWN.ln()
                        && self.stands_still(&here);
                    return (
                        points,
                        special,
                        at,
                        if long {
                            Stop::LongPeriod
                        } else {
                            Stop::NoConvergence
                        },
                    );
                }
                continue;
            };
            let advance = next.orbit.plus(-1.0, &here.orbit).inner(&here.tangent);
            let suspect = before.as_ref().is_some_and(|(q, gone)| {
                q.multipliers.len() == next.multipliers.len() && {
                    unsure([(q, -gone), (&here, 0.0), (&next, advance)])
                }
            });
            let mut passed =
                self.bifurcations(&here, &next, advance, suspect, &mut CLOSER_LOOKS.clone());
            // Where a doubled cycle turns back as one gone round twice, it began: beyond, the same cycles come again, half a period later.
            let joins = |(kind, q): &(Bifurcation, Traced)| {
                *kind == Bifurcation::SaddleNode && q.orbit.once().log_period < q.orbit.log_period
            };
            if let Some(k) = passed.iter().position(joins) {
                let (_, last) = passed.swap_remove(k);
                passed.truncate(k);
                passed.retain(|(kind, _)| *kind != Bifurcation::BranchPoint);
                special.append(&mut passed);
                points.push(last);
                return (points, special, at, Stop::SmallerPeriod);
            }
            special.append(&mut passed);
            for s in self.wanted {
                if (here.orbit.s - s) * (next.orbit.s - s) <= 0.0 && here.orbit.s != *s {
                    at.extend(self.at_parameter(&here, &next, *s));
                }
            }
            points.push(next.clone());
            let stop = if next.height() < 2.0 * FIRST_AMPLITUDE
                && next.height() < here.height()
                && self.shrinks_to_a_fixed_point(&next)
            {
                Some(Stop::FixedPoint)
            } else if next.height() < NO_HEIGHT * FIRST_AMPLITUDE {
                Some(Stop::NoConvergence)
            } else if next.orbit.log_period > longest {
                Some(if self.stands_still(&next) {
                    Stop::LongPeriod
                } else {
                    Stop::PeriodLimit
                })
            } else if let Some(k) = (0..self.field.dimension())
                .find(|&k| next.extent[0][k] < -MARGIN || next.extent[1][k] > 1.0 + MARGIN)
            {
                Some(Stop::LeftBox(
                    self.field.problem.system.spec().variables[k].name.clone(),
                ))
            } else {
                landed.then_some(Stop::EndOfRange)
            };
            if let Some(stop) = stop {
                return (points, special, at, stop);
            }
            if points.len() > 10
                && next.tangent.s * points[0].tangent.s > 0.0
                && returned(&here, &next, &points[0], h)
            {
                return (points, special, at, Stop::Closed);
            }
            h = if corrections <= 4 {
                (1.4 * h).min(self.options.longest_step)
            } else if corrections > 6 {
                0.6 * h
            } else {
                h
            };
            before = Some((std::mem::replace(&mut here, next), advance));
            mesh_age += 1;
            if mesh_age >= MESH_LASTS || here.orbit.wanted(self.accuracy) > here.orbit.intervals() {
                mesh_age = 0;
                let old = here.tangent.clone();
                match self.refitted(&here) {
                    Some(q) => here = q,
                    None if here.orbit.wanted(self.accuracy) > self.options.most_intervals => {
                        let long = here.orbit.log_period > points[0].orbit.log_period + GROWN.ln()
                            && self.stands_still(&here);
                        return (
                            points,
                            special,
                            at,
                            if long {
                                Stop::LongPeriod
                            } else {
                                Stop::TooManyIntervals
                            },
                        );
                    }
                    None => {}
                }
                if here.tangent.inner(&old.on(&here.orbit.mesh)) < 0.0 {
                    here.tangent = here.tangent.times(-1.0);
                }
            }
        }
        (points, special, at, Stop::TooManySteps)
    }

    /// The next cycle at arclength `h`, or that at the end of the interval where it would be beyond; how many corrections it took, and
    /// whether it is the end.
    fn step(&self, here: &Traced, h: f64) -> Option<(Traced, usize, bool)> {
        let close = |q: &Traced| q.tangent.inner(&here.tangent) > LEAST_COSINE;
        let ordinary = self.at(here, h).filter(|(q, _)| close(q));
        if let Some((next, corrections)) = &ordinary
            && (0.0..=1.0).contains(&next.orbit.s)
        {
            return Some((next.clone(), *corrections, false));
        }
        let end = if here.tangent.s > 0.0 { 1.0 } else { 0.0 };
        let arclength = (end - here.orbit.s) / here.tangent.s;
        // From between the cycles on both sides of the end or, where there is none beyond, along the tangent.
        let landed = match &ordinary {
            Some((next, _)) => {
                self.at_parameter(here, next, if next.orbit.s < 0.0 { 0.0 } else { 1.0 })
            }
            None if arclength >= 0.0 && arclength <= h => {
                let ahead = Traced {
                    orbit: here.orbit.plus(arclength, &here.tangent),
                    ..here.clone()
                };
                self.at_parameter(here, &ahead, end)
            }
            None => None,
        };
        landed.filter(close).map(|q| (q, 0, true))
    }

    /// Whether cycles so small lie about a fixed point at which a pair passes the border of stability with their frequency.
    fn shrinks_to_a_fixed_point(&self, q: &Traced) -> bool {
        let problem = self.field.problem;
        let middle: Vec<f64> = q.extent[0]
            .iter()
            .zip(&q.extent[1])
            .map(|(a, b)| 0.5 * (a + b))
            .collect();
        let (i_stim, p) = problem.inputs(q.orbit.s);
        let Ok(Some(point)) =
            crate::fixed_points::refine(problem.system, &problem.state(&middle), i_stim, &p)
        else {
            return false;
        };
        let near =
            problem.apart((&point.x, 0.0), (&problem.state(&middle), 0.0)) < 10.0 * FIRST_AMPLITUDE;
        let frequency = std::f64::consts::TAU / q.orbit.log_period.exp();
        near && point.eigenvalues.iter().any(|m| {
            m.re.abs() < AGREES * frequency && (m.im.abs() - frequency).abs() < AGREES * frequency
        })
    }

    /// Whether the period grows and the parameter does not move.
    fn stands_still(&self, q: &Traced) -> bool {
        let problem = self.field.problem;
        let moved = (q.tangent.s * problem.span()).abs() / problem.size(q.orbit.s);
        moved < STANDS_STILL * q.tangent.log_period.abs()
    }

    fn bifurcations(
        &self,
        here: &Traced,
        next: &Traced,
        h: f64,
        suspect: bool,
        looks: &mut usize,
    ) -> Vec<(Bifurcation, Traced)> {
        let turned = here.tangent.s * next.tangent.s < 0.0;
        let (before, after) = (here.unstable(), next.unstable());
        let more = if after > before { next } else { here };
        // A turn takes one multiplier through 1, and half of a complex pair does not pass; where the numbers say otherwise, another
        // bifurcation, or the meeting of two multipliers, is in the same step: look closer.
        let changed = before.abs_diff(after);
        let half = changed == 1 && more.multipliers[before.min(after)].im != 0.0;
        let several = changed > 1 || half || (turned && changed == 0);
        if (several || (suspect && *looks > 0)) && h > CLOSEST {
            *looks = looks.saturating_sub(1);
            if let Some((middle, _)) = self.at(here, 0.5 * h) {
                let rest = next.orbit.plus(-1.0, &middle.orbit).inner(&middle.tangent);
                let bent = unsure([(here, 0.0), (&middle, 0.5 * h), (next, h)]);
                if several || bent {
                    let mut both = self.bifurcations(here, &middle, 0.5 * h, bent, looks);
                    both.extend(self.bifurcations(&middle, next, rest, bent, looks));
                    return both;
                }
            }
        }
        let mut found: Vec<(f64, Bifurcation, Traced)> = Vec::new();
        let nearest =
            |a: &Traced, b: &Traced, share: f64| if share < 0.5 { a.clone() } else { b.clone() };
        let locate = |test: &dyn Fn(&Traced) -> f64| {
            zero(
                &|h| Some(self.at(here, h)?.0),
                here,
                next,
                h,
                test,
                &nearest,
            )
        };
        if turned {
            found.extend(locate(&|q| q.tangent.s).map(|(at, q)| (at, Bifurcation::SaddleNode, q)));
        }
        let mut k = before.min(after);
        while k < before.max(after) {
            // By absolute value the k-th is continuous along the branch; what it is, is seen where it passes.
            let kind = locate(&|q| q.multipliers[k].modulus().ln())
                .and_then(|(at, q)| Some((at, q.passing(k)?, q)));
            k += if matches!(kind, Some((_, Bifurcation::NeimarkSacker, _))) {
                2
            } else {
                1
            };
            found
                .extend(kind.filter(|(_, kind, _)| !(turned && *kind == Bifurcation::BranchPoint)));
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.into_iter().map(|(_, kind, q)| (kind, q)).collect()
    }
}

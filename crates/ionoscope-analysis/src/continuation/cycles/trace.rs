//! Tracing one branch of cycles.

use super::{
    super::{
        Bifurcation, Stop,
        branch::{Problem, zero},
    },
    CycleBranch, CycleOptions, CyclePoint, CycleSpecialPoint, Origin, Profile,
    collocation::{Orbit, solve},
    field::Field,
    start::FIRST_AMPLITUDE,
};
use crate::spectrum::Complex;

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
        self.multipliers.iter().filter(|m| m.modulus() > 1.0).count()
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
        let s = cycle.orbit.s;
        self.points.windows(2).any(|pair| {
            let [a, b] = [&pair[0], &pair[1]];
            let share = (s - a.orbit.s) / (b.orbit.s - a.orbit.s);
            (-0.01..=1.01).contains(&share) && apart(a, b, share, (&cycle.extent, cycle.orbit.log_period)) < SAME
        })
    }

    /// Whether one of its ends shrinks to the fixed point about which `orbit` lies.
    pub fn ends_at(&self, orbit: &Orbit) -> bool {
        let extent = orbit.extent();
        let ends = [self.points.first(), self.points.last()];
        ends.iter().flatten().zip(&self.stopped).any(|(q, stop)| {
            *stop == Stop::FixedPoint && (q.orbit.s - orbit.s).abs() < SAME && apart(q, q, 0.0, (&extent, orbit.log_period)) < SAME
        })
    }

    pub fn describe(self, problem: &Problem, started_from: Origin) -> CycleBranch {
        let point = |q: &Traced| CyclePoint {
            parameter: problem.value(q.orbit.s),
            period: q.orbit.log_period.exp(),
            min: problem.state(&q.extent[0]),
            max: problem.state(&q.extent[1]),
            multipliers: q.multipliers.clone(),
            trivial_error: q.trivial_error,
            stable: q.unstable() == 0,
        };
        let profile = |q: &Traced| {
            let period = q.orbit.log_period.exp();
            let taus: Vec<f64> =
                q.orbit.mesh.windows(2).flat_map(|w| (0..4).map(|k| w[0] + 0.25 * f64::from(k) * (w[1] - w[0]))).chain([1.0]).collect();
            Profile {
                cycle: point(q),
                x: taus.iter().map(|t| problem.state(&q.orbit.at(*t))).collect(),
                t: taus.into_iter().map(|t| t * period).collect(),
            }
        };
        CycleBranch {
            started_from,
            points: self.points.iter().map(point).collect(),
            special_points: self.special.iter().map(|(kind, q)| CycleSpecialPoint { kind: *kind, cycle: point(q) }).collect(),
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
        let back = kept.iter().rev().take_while(near).position(|(k, _)| *k == Bifurcation::SaddleNode);
        match back {
            Some(back) if kind == Bifurcation::SaddleNode => kept.truncate(kept.len() - 1 - back),
            _ => kept.push((kind, q)),
        }
    }
    kept
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
    fn correct(&self, guess: &Orbit, reference: &Orbit, across: &Orbit, most: usize) -> Option<(Traced, usize)> {
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
        let trivial = (0..all.len()).min_by(|&a, &b| distance(&all[a]).total_cmp(&distance(&all[b])))?;
        let trivial_error = distance(&all.remove(trivial));
        let length = solved.direction.norm();
        let tangent = solved.direction.times(1.0 / length);
        let extent = orbit.extent();
        Some(Traced { orbit, tangent, extent, multipliers: all, trivial_error })
    }

    /// The first cycle of a branch.
    pub fn first(&self, guess: &Orbit, reference: &Orbit, across: &Orbit) -> Option<Traced> {
        let (first, _) = self.correct(guess, reference, across, MOST_FIRST_CORRECTIONS)?;
        // A fixed point solves the equations too.
        (first.height() > 0.5 * FIRST_AMPLITUDE).then_some(())?;
        let once = first.orbit.once();
        if once.log_period < first.orbit.log_period {
            let across = once.parameter_direction();
            return self.refitted(&self.correct(&once, &once, &across, MOST_FIRST_CORRECTIONS)?.0);
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
        let mesh = q.orbit.fitted_mesh((wanted + wanted / 5).min(self.options.most_intervals));
        let (orbit, mut tangent) = (q.orbit.on(&mesh), q.tangent.on(&mesh));
        let length = tangent.norm();
        tangent = tangent.times(1.0 / length);
        self.correct(&orbit, &orbit, &tangent, MOST_CORRECTIONS).map(|(q, _)| q)
    }

    /// The cycle at arclength `h` along the tangent of another.
    fn at(&self, from: &Traced, h: f64) -> Option<(Traced, usize)> {
        let guess = from.orbit.plus(h, &from.tangent);
        self.correct(&guess, &from.orbit, &from.tangent, MOST_CORRECTIONS)
    }

    /// The cycle at the scaled parameter `s`, between two neighbours.
    fn at_parameter(&self, a: &Traced, b: &Traced, s: f64) -> Option<Traced> {
        let share = (s - a.orbit.s) / (b.orbit.s - a.orbit.s);
        let mut guess = a.orbit.plus(share, &b.orbit.plus(-1.0, &a.orbit));
        guess.s = s;
        let (mut q, _) = self.correct(&guess, &a.orbit, &guess.parameter_direction(), MOST_CORRECTIONS)?;
        q.orbit.s = s;
        if q.tangent.inner(&a.tangent) < 0.0 {
            q.tangent = q.tangent.times(-1.0);
        }
        Some(q)
    }

    /// The branch that grows out of a fixed point.
    pub fn trace_from_hopf(&self, first: Traced) -> Raw {
        let (points, special, at, end) = self.one_way(first);
        Raw { points, special: without_vertical(special, VERTICAL * self.accuracy), at, stopped: [Stop::FixedPoint, end] }
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
        Raw { points, special: without_vertical(special, VERTICAL * self.accuracy), at, stopped: [begin, end] }
    }

    fn one_way(&self, first: Traced) -> Way {
        let (mut points, mut special, mut at) = (vec![first.clone()], Vec::new(), Vec::new());
        let mut h = FIRST.min(self.options.longest_step);
        let longest = first.orbit.log_period + self.options.longest_period.ln();
        let (mut here, mut mesh_age) = (first, 0);
        for _ in 0..self.options.most_steps {
            // Next to a fixed point no step over it, where the same cycles come again, half a period later.
            h = h.min(0.3 * here.height());
            let Some((mut next, corrections)) = self.at(&here, h).filter(|(q, _)| q.tangent.inner(&here.tangent) > LEAST_COSINE) else {
                h *= 0.5;
                if h < SHORTEST {
                    return (points, special, at, Stop::NoConvergence);
                }
                continue;
            };
            let mut ended = None;
            if !(0.0..=1.0).contains(&next.orbit.s) {
                let end = if next.orbit.s < 0.0 { 0.0 } else { 1.0 };
                match self.at_parameter(&here, &next, end) {
                    Some(q) => next = q,
                    None => return (points, special, at, Stop::EndOfRange),
                }
                ended = Some(Stop::EndOfRange);
            }
            let advance = next.orbit.plus(-1.0, &here.orbit).inner(&here.tangent);
            special.extend(self.bifurcations(&here, &next, advance));
            for s in self.wanted {
                if (here.orbit.s - s) * (next.orbit.s - s) <= 0.0 && here.orbit.s != *s {
                    at.extend(self.at_parameter(&here, &next, *s));
                }
            }
            if next.height() < 2.0 * FIRST_AMPLITUDE && next.height() < here.height() {
                ended = Some(Stop::FixedPoint);
            } else if next.orbit.log_period > longest {
                ended = Some(Stop::LongPeriod);
            } else if let Some(k) = (0..self.field.dimension()).find(|&k| next.extent[0][k] < -MARGIN || next.extent[1][k] > 1.0 + MARGIN) {
                ended = Some(Stop::LeftBox(self.field.problem.system.spec().variables[k].name.clone()));
            }
            points.push(next.clone());
            if let Some(stop) = ended {
                return (points, special, at, stop);
            }
            let home =
                apart(&next, &next, 0.0, (&points[0].extent, points[0].orbit.log_period)).max((next.orbit.s - points[0].orbit.s).abs());
            if points.len() > 10 && home < 0.5 * h && (next.tangent.s * points[0].tangent.s > 0.0) {
                return (points, special, at, Stop::Closed);
            }
            h = if corrections <= 4 {
                (1.4 * h).min(self.options.longest_step)
            } else if corrections > 6 {
                0.6 * h
            } else {
                h
            };
            here = next;
            mesh_age += 1;
            if mesh_age >= MESH_LASTS || here.orbit.wanted(self.accuracy) > here.orbit.intervals() {
                mesh_age = 0;
                let old = here.tangent.clone();
                match self.refitted(&here) {
                    Some(q) => here = q,
                    None if here.orbit.wanted(self.accuracy) > self.options.most_intervals => {
                        return (points, special, at, Stop::TooManyIntervals);
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

    fn bifurcations(&self, here: &Traced, next: &Traced, h: f64) -> Vec<(Bifurcation, Traced)> {
        let turned = here.tangent.s * next.tangent.s < 0.0;
        let (before, after) = (here.unstable(), next.unstable());
        let more = if after > before { next } else { here };
        // A turn takes one multiplier through 1, and half of a complex pair does not pass; where the numbers say otherwise, another
        // bifurcation, or the meeting of two multipliers, is in the same step: look closer.
        let changed = before.abs_diff(after);
        let half = changed == 1 && more.multipliers[before.min(after)].im != 0.0;
        if changed > 1 || half || (turned && changed == 0) {
            let middle = if h > CLOSEST { self.at(here, 0.5 * h) } else { None };
            if let Some((middle, _)) = middle {
                let rest = next.orbit.plus(-1.0, &middle.orbit).inner(&middle.tangent);
                let mut both = self.bifurcations(here, &middle, 0.5 * h);
                both.extend(self.bifurcations(&middle, next, rest));
                return both;
            }
        }
        let mut found: Vec<(f64, Bifurcation, Traced)> = Vec::new();
        let locate = |test: &dyn Fn(&Traced) -> f64| zero(&|h| Some(self.at(here, h)?.0), here, next, h, test);
        if turned {
            found.extend(locate(&|q| q.tangent.s).map(|(at, q)| (at, Bifurcation::SaddleNode, q)));
        }
        let mut k = before.min(after);
        while k < before.max(after) {
            // By absolute value the k-th is continuous along the branch; what it is, is seen where it passes.
            let kind = locate(&|q| q.multipliers[k].modulus().ln()).and_then(|(at, q)| Some((at, q.passing(k)?, q)));
            k += if matches!(kind, Some((_, Bifurcation::NeimarkSacker, _))) { 2 } else { 1 };
            found.extend(kind.filter(|(_, kind, _)| !(turned && *kind == Bifurcation::BranchPoint)));
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.into_iter().map(|(_, kind, q)| (kind, q)).collect()
    }
}

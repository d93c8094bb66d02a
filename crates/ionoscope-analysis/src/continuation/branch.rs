//! Tracing one branch.
//!
//! Three things keep a bifurcation from being stepped over. A step moves the parameter by no more than a share of its own size, so that
//! an interval over orders of magnitude is gone through by orders of magnitude. Every step is looked at once more in its middle (see
//! `passed.rs`). And the end of an interval is looked past, since a bifurcation there belongs to the interval.

use faer::{Mat, linalg::solvers::Solve};
use ionoscope_dynamics::system::{DynamicalSystem, Input};

use super::{
    BranchPoint, ContinuationOptions, Stop,
    passed::{Special, bifurcations, zero},
};
use crate::{
    Error, Result,
    conserved::Laws,
    newton,
    residual::{residual, residual_jacobian},
    spectrum::{Complex, spectrum_within},
};

/// Shortest step, in scaled arclength; the first one; how far outside the box, in its units, a branch may go.
const SHORTEST: f64 = 1e-9;
const FIRST: f64 = 1e-3;
const MARGIN: f64 = 1e-6;
/// Share of its own size by which a step may move the parameter, and the size, in units of the value where it is not varied, below which
/// it counts as that.
pub const LARGEST_SHARE: f64 = 0.05;
pub const SMALL: f64 = 0.1;
/// How near, in scaled parameter, a branch is followed to an end at which the equations cannot be solved.
const NEAREST: f64 = 1e-12;
/// Arclength by which the end of the interval is looked past, and scaled parameter within which a bifurcation there is at the end.
const PAST: f64 = 1e-7;
const AT_END: f64 = 1e-9;
/// Points that are spent on looking closer at one step.
const CLOSER_LOOKS: usize = 400;
/// Newton corrections a step, and their length at which they end.
const MOST_CORRECTIONS: usize = 8;
const CONVERGED: f64 = 1e-12;
const ROUNDING: f64 = 1e-9;
/// Least cosine of the angle by which the tangent may turn in a step; at a corner of a rule that is not smooth, and the step below which a
/// turn that no step makes smaller is a corner.
pub const LEAST_COSINE: f64 = 0.995;
const LEAST_COSINE_CORNER: f64 = 0.2;
const CORNER: f64 = 1e-7;

/// Fixed points over a parameter: y = (state, parameter), each scaled to its range.
pub struct Problem<'a> {
    pub system: &'a dyn DynamicalSystem,
    i_stim: f64,
    p: &'a [f64],
    pub over: Input,
    interval: [f64; 2],
    low: Vec<f64>,
    pub width: Vec<f64>,
    /// What is conserved all over the interval.
    pub laws: Laws<'a>,
    /// The state whose level is that of the branches.
    pub start: Vec<f64>,
}

/// A point, the unit tangent there, and what tells bifurcations.
#[derive(Clone)]
pub struct Traced {
    pub y: Vec<f64>,
    pub tangent: Vec<f64>,
    /// Determinant of the Jacobian bordered by the tangent, or its sign where it is beyond all numbers.
    pub orientation: f64,
    pub eigenvalues: Vec<Complex>,
}

impl Traced {
    pub fn unstable(&self) -> usize {
        self.eigenvalues.iter().filter(|m| m.re > 0.0).count()
    }

    fn s(&self) -> f64 {
        self.y[self.y.len() - 1]
    }
}

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

fn norm(a: &[f64]) -> f64 {
    a.iter().map(|v| v * v).sum::<f64>().sqrt()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl<'a> Problem<'a> {
    pub fn new(
        system: &'a dyn DynamicalSystem,
        i_stim: f64,
        p: &'a [f64],
        over: Input,
        interval: [f64; 2],
        bounds: Option<&[[f64; 2]]>,
    ) -> Result<Self> {
        let spec = system.spec();
        if p.len() != spec.parameters.len() {
            return Err(Error::Invalid(format!(
                "{} parameters; {} has {}",
                p.len(),
                spec.id,
                spec.parameters.len()
            )));
        }
        let ranges: Vec<[f64; 2]> = bounds.map_or_else(
            || spec.variables.iter().map(|q| q.range).collect(),
            <[_]>::to_vec,
        );
        if ranges.len() != spec.variables.len() {
            return Err(Error::Invalid(format!(
                "the box has {} sides; {} has {} variables",
                ranges.len(),
                spec.id,
                spec.variables.len()
            )));
        }
        let width = ranges.iter().map(|r| r[1] - r[0]).collect();
        let low = ranges.iter().map(|r| r[0]).collect();
        let mut problem = Problem {
            system,
            i_stim,
            p,
            over,
            interval,
            low,
            width,
            laws: Laws::stated(system),
            start: spec.default_state(),
        };
        problem.laws = Laws::find(
            system,
            &[0.0, 0.487, 1.0].map(|s| problem.inputs(s)),
            &ranges,
        );
        Ok(problem)
    }

    /// With another start than the default one.
    pub fn held_at(self, start: Option<&[f64]>) -> Result<Self> {
        let Some(start) = start else { return Ok(self) };
        let (n, id) = (self.width.len(), &self.system.spec().id);
        if start.len() != n || start.iter().any(|v| !v.is_finite()) {
            return Err(Error::Invalid(format!(
                "the start {start:?}; expected {n} finite numbers for {id}"
            )));
        }
        Ok(Problem {
            start: start.to_vec(),
            ..self
        })
    }

    /// Length of the parameter's interval, with its sign.
    pub fn span(&self) -> f64 {
        self.interval[1] - self.interval[0]
    }

    /// The parameter at its scaled value `s`.
    pub fn value(&self, s: f64) -> f64 {
        // The ends exactly.
        let [from, to] = self.interval;
        if s == 1.0 { to } else { from + s * (to - from) }
    }

    /// What is varied where it is not varied.
    pub fn own(&self) -> f64 {
        match self.over {
            Input::Parameter(k) => self.p[k],
            Input::Stimulus => self.i_stim,
        }
    }

    /// Whether the model is defined at a scaled value of the parameter, as far as its range says.
    fn defined(&self, s: f64) -> bool {
        match self.over {
            Input::Parameter(k) => {
                let [low, high] = self.system.spec().parameters[k].range;
                (low..=high).contains(&self.value(s))
            }
            Input::Stimulus => true,
        }
    }

    /// Size of the parameter at a scaled value of it, for what is small beside it. With no value of its own to measure by, where it is
    /// zero, that is the length of the interval.
    pub fn size(&self, s: f64) -> f64 {
        let own = self.own().abs();
        if own == 0.0 {
            self.span().abs()
        } else {
            self.value(s).abs().max(SMALL * own)
        }
    }

    /// The longest arclength that may be gone from the scaled value `s` with the component `slope` of the tangent, `most` at most: see
    /// [`LARGEST_SHARE`].
    pub fn longest(&self, s: f64, slope: f64, most: f64) -> f64 {
        (LARGEST_SHARE * self.size(s) / (self.span() * slope).abs()).min(most)
    }

    /// Stimulus and parameters at a scaled value of what is varied.
    pub fn inputs(&self, s: f64) -> (f64, Vec<f64>) {
        let mut p = self.p.to_vec();
        match self.over {
            Input::Parameter(k) => p[k] = self.value(s),
            Input::Stimulus => return (self.value(s), p),
        }
        (self.i_stim, p)
    }

    pub fn scaled(&self, x: &[f64], s: f64) -> Vec<f64> {
        x.iter()
            .zip(&self.low)
            .zip(&self.width)
            .map(|((x, l), w)| (x - l) / w)
            .chain([s])
            .collect()
    }

    /// The state, in the model's units.
    pub fn state(&self, y: &[f64]) -> Vec<f64> {
        y.iter()
            .zip(&self.low)
            .zip(&self.width)
            .map(|((y, l), w)| l + w * y)
            .collect()
    }

    /// Scaled distance between two points.
    pub fn apart(&self, (a, pa): (&[f64], f64), (b, pb): (&[f64], f64)) -> f64 {
        let sum: f64 = a
            .iter()
            .zip(b)
            .zip(&self.width)
            .map(|((a, b), w)| ((a - b) / w).powi(2))
            .sum();
        (sum + ((pa - pb) / self.span()).powi(2)).sqrt()
    }

    /// What is said of a point.
    pub fn point(&self, y: &[f64]) -> Result<BranchPoint> {
        let (s, x) = (y[y.len() - 1], self.state(y));
        let (i_stim, p) = self.inputs(s);
        let spectrum = spectrum_within(&self.laws, self.system, &x, i_stim, &p, 0)?;
        let extrapolated = self.system.spec().extrapolates(&x, &p);
        Ok(BranchPoint {
            parameter: self.value(s),
            x,
            eigenvalues: spectrum.eigenvalues,
            stable: spectrum.stable,
            extrapolated,
        })
    }

    /// Residual and its Jacobian by y, bordered from below by `border`, and where quantities are conserved by their level, with as many more
    /// unknowns (see [`newton`](crate::newton)); y is the first unknowns.
    fn bordered(&self, y: &[f64], border: &[f64]) -> (Vec<f64>, Mat<f64>) {
        let n = y.len() - 1;
        let x = self.state(y);
        let (i_stim, p) = self.inputs(y[n]);
        let (mut f, mut jacobian, mut by) = (vec![0.0; n], vec![0.0; n * n], vec![0.0; n]);
        residual(self.system, &x, i_stim, &p, &mut f);
        residual_jacobian(self.system, &x, i_stim, &p, &mut jacobian);
        self.system
            .derivative_by(self.over, &x, i_stim, &p, &mut by);
        let span = self.span();
        if !self.laws.is_empty() {
            return self.on_level(y, border, (f, jacobian, by));
        }
        let rows: Vec<f64> = (0..n)
            .map(|i| {
                (0..n)
                    .map(|j| (jacobian[i * n + j] * self.width[j]).abs())
                    .fold((by[i] * span).abs(), f64::max)
                    .max(f64::MIN_POSITIVE)
            })
            .collect();
        let matrix = Mat::from_fn(n + 1, n + 1, |i, j| match (i < n, j < n) {
            (true, true) => jacobian[i * n + j] * self.width[j] / rows[i],
            (true, false) => by[i] * span / rows[i],
            (false, _) => border[j],
        });
        f.iter_mut().zip(&rows).for_each(|(f, row)| *f /= row);
        (f, matrix)
    }

    /// As [`Problem::bordered`] on the level of the start, from the residual and its derivatives by state and parameter.
    fn on_level(
        &self,
        y: &[f64],
        border: &[f64],
        (f, jacobian, by): (Vec<f64>, Vec<f64>, Vec<f64>),
    ) -> (Vec<f64>, Mat<f64>) {
        let (n, k) = (y.len() - 1, self.laws.len());
        let x = self.state(y);
        let (_, p) = self.inputs(y[n]);
        let w = self.laws.gradients(&x, &p);
        let by_scaled = |all: &[f64]| {
            all.iter()
                .enumerate()
                .map(|(e, v)| v * self.width[e % n])
                .collect::<Vec<f64>>()
        };
        let inner = newton::bordered(&by_scaled(&jacobian), &by_scaled(&w), &w, n);
        let [level, value] =
            [&self.start, &x].map(|x| (self.laws.values(x, &p), self.laws.by(self.over, x, &p)));
        let off: Vec<f64> = (0..k).map(|a| value.0[a] - level.0[a]).collect();
        let by: Vec<f64> = by
            .into_iter()
            .chain((0..k).map(|a| value.1[a] - level.1[a]))
            .map(|v| v * self.span())
            .collect();
        // Unknowns: state, parameter, then what borders the state.
        let size: Vec<f64> = (0..n + k).map(|i| inner.rows[i].max(by[i].abs())).collect();
        let matrix = Mat::from_fn(n + k + 1, n + k + 1, |i, j| {
            let row = |i: usize| match j {
                j if j < n => inner.matrix[(i, j)] * inner.rows[i] / size[i],
                j if j == n => by[i] / size[i],
                _ => inner.matrix[(i, j - 1)] * inner.rows[i] / size[i],
            };
            // The border stays below the residual, as without conserved quantities.
            match i {
                i if i < n => row(i),
                i if i == n => border.get(j).copied().unwrap_or(0.0),
                _ => row(i - 1),
            }
        });
        let mut f: Vec<f64> = f.iter().zip(&size).map(|(f, s)| f / s).collect();
        f.extend(off.iter().zip(&size[n..]).map(|(f, s)| f / s));
        (f, matrix)
    }

    /// Unknowns of the bordered system for a right-hand side: minus the residual, `across` in the border's row.
    fn solve(matrix: &Mat<f64>, f: Option<&[f64]>, across: f64, n: usize) -> Vec<f64> {
        let rhs = |i: usize| match i {
            i if i == n => across,
            i => f.map_or(0.0, |f| -f[if i < n { i } else { i - 1 }]),
        };
        let solution = matrix
            .partial_piv_lu()
            .solve(Mat::from_fn(matrix.nrows(), 1, |i, _| rhs(i)));
        solution.col(0).iter().take(n + 1).copied().collect()
    }

    /// Newton corrections from `y` in the plane across `tangent` through it; none where they do not converge.
    fn correct(&self, y: &[f64], tangent: &[f64]) -> Option<(Vec<f64>, usize)> {
        let n = y.len() - 1;
        let (mut z, mut before) = (y.to_vec(), f64::INFINITY);
        for k in 0..MOST_CORRECTIONS {
            let (f, matrix) = self.bordered(&z, tangent);
            let off: f64 = (0..=n).map(|i| tangent[i] * (z[i] - y[i])).sum();
            let step = Self::solve(&matrix, Some(&f), -off, n);
            let length = norm(&step);
            if !length.is_finite() || length > 0.5 {
                return None;
            }
            z.iter_mut().zip(&step).for_each(|(z, d)| *z += d);
            if length < CONVERGED || (length < ROUNDING && length > 0.5 * before) {
                return Some((z, k + 1));
            }
            before = length;
        }
        None
    }

    /// Tangent, in the direction of `along`, and eigenvalues at a point of the branch.
    fn traced(&self, y: Vec<f64>, along: &[f64]) -> Option<Traced> {
        let n = y.len() - 1;
        let (_, matrix) = self.bordered(&y, along);
        let mut tangent = Self::solve(&matrix, None, 1.0, n);
        let length = norm(&tangent);
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        tangent.iter_mut().for_each(|t| *t /= length);
        let determinant = self.bordered(&y, &tangent).1.determinant();
        let orientation = if determinant.is_normal() {
            determinant
        } else {
            determinant.signum()
        };
        let (i_stim, p) = self.inputs(y[n]);
        let eigenvalues = spectrum_within(&self.laws, self.system, &self.state(&y), i_stim, &p, 0)
            .ok()?
            .eigenvalues;
        Some(Traced {
            y,
            tangent,
            orientation,
            eigenvalues,
        })
    }

    /// The point of the branch at arclength `h` along the tangent of another.
    pub fn at(&self, from: &Traced, h: f64) -> Option<(Traced, usize)> {
        let guess: Vec<f64> = from
            .y
            .iter()
            .zip(&from.tangent)
            .map(|(y, t)| y + h * t)
            .collect();
        let (y, corrections) = self.correct(&guess, &from.tangent)?;
        Some((self.traced(y, &from.tangent)?, corrections))
    }

    /// The variable that is outside the box, and the face of the box on that side.
    fn outside(&self, y: &[f64]) -> Option<(usize, f64)> {
        let k = y[..y.len() - 1]
            .iter()
            .position(|v| !(-MARGIN..=1.0 + MARGIN).contains(v))?;
        Some((k, if y[k] < 0.0 { -MARGIN } else { 1.0 + MARGIN }))
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

pub fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
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

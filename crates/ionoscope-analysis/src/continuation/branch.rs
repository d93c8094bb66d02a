//! Tracing one branch.

use faer::{Mat, linalg::solvers::Solve};
use ionoscope_dynamics::system::{DynamicalSystem, Input};

use super::{Bifurcation, BranchPoint, ContinuationOptions, Stop, crossing};
use crate::{
    Error, Result,
    spectrum::{Complex, residual, residual_jacobian, spectrum},
};

/// Shortest step, in scaled arclength; the first one; how far outside the box, in its units, a branch may go.
const SHORTEST: f64 = 1e-9;
const FIRST: f64 = 1e-3;
const MARGIN: f64 = 1e-6;
/// Arclength within which two eigenvalues that change sides are not told apart.
const CLOSEST: f64 = 1e-7;
/// Newton corrections a step, and their length at which they end.
const MOST_CORRECTIONS: usize = 8;
const CONVERGED: f64 = 1e-12;
const ROUNDING: f64 = 1e-9;
/// Least cosine of the angle by which the tangent may turn in a step.
const LEAST_COSINE: f64 = 0.995;

/// Fixed points over a parameter: y = (state, parameter), each scaled to its range.
pub struct Problem<'a> {
    pub system: &'a dyn DynamicalSystem,
    i_stim: f64,
    p: &'a [f64],
    pub over: Input,
    interval: [f64; 2],
    low: Vec<f64>,
    pub width: Vec<f64>,
}

/// A point, the unit tangent there, and what tells bifurcations.
#[derive(Clone)]
pub struct Traced {
    pub y: Vec<f64>,
    tangent: Vec<f64>,
    /// Sign of the determinant of the Jacobian bordered by the tangent.
    orientation: f64,
    eigenvalues: Vec<Complex>,
}

impl Traced {
    fn unstable(&self) -> usize {
        self.eigenvalues.iter().filter(|m| m.re > 0.0).count()
    }
}

/// A branch before it is described.
pub struct Raw {
    pub points: Vec<Traced>,
    pub special: Vec<(Bifurcation, Vec<f64>)>,
    pub stopped: [Stop; 2],
}

impl Raw {
    /// Whether the branch passes within `near` of a point.
    pub fn passes(&self, y: &[f64], near: f64) -> bool {
        self.points.windows(2).any(|pair| {
            let [a, b] = [&pair[0], &pair[1]];
            // Cubic between two points with their tangents, at the share nearest to the point.
            let chord: Vec<f64> = (0..y.len()).map(|k| b.y[k] - a.y[k]).collect();
            let length = norm(&chord);
            let share = (0..y.len()).map(|k| (y[k] - a.y[k]) * chord[k]).sum::<f64>() / (length * length);
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

fn dot(a: &[f64], b: &[f64]) -> f64 {
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
            return Err(Error::Invalid(format!("{} parameters; {} has {}", p.len(), spec.id, spec.parameters.len())));
        }
        let ranges: Vec<[f64; 2]> = bounds.map_or_else(|| spec.variables.iter().map(|q| q.range).collect(), <[_]>::to_vec);
        let width = ranges.iter().map(|r| r[1] - r[0]).collect();
        Ok(Problem { system, i_stim, p, over, interval, low: ranges.iter().map(|r| r[0]).collect(), width })
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
        x.iter().zip(&self.low).zip(&self.width).map(|((x, l), w)| (x - l) / w).chain([s]).collect()
    }

    /// The state, in the model's units.
    pub fn state(&self, y: &[f64]) -> Vec<f64> {
        y.iter().zip(&self.low).zip(&self.width).map(|((y, l), w)| l + w * y).collect()
    }

    /// Scaled distance between two points.
    pub fn apart(&self, (a, pa): (&[f64], f64), (b, pb): (&[f64], f64)) -> f64 {
        let sum: f64 = a.iter().zip(b).zip(&self.width).map(|((a, b), w)| ((a - b) / w).powi(2)).sum();
        (sum + ((pa - pb) / self.span()).powi(2)).sqrt()
    }

    /// What is said of a point.
    pub fn point(&self, y: &[f64]) -> Result<BranchPoint> {
        let (s, x) = (y[y.len() - 1], self.state(y));
        let (i_stim, p) = self.inputs(s);
        let spectrum = spectrum(self.system, &x, i_stim, &p)?;
        let extrapolated = self.system.spec().extrapolates(&x, &p);
        Ok(BranchPoint { parameter: self.value(s), x, eigenvalues: spectrum.eigenvalues, stable: spectrum.stable, extrapolated })
    }

    /// Residual and its Jacobian by y, bordered from below by `border`.
    fn bordered(&self, y: &[f64], border: &[f64]) -> (Vec<f64>, Mat<f64>) {
        let n = y.len() - 1;
        let x = self.state(y);
        let (i_stim, p) = self.inputs(y[n]);
        let (mut f, mut jacobian, mut by) = (vec![0.0; n], vec![0.0; n * n], vec![0.0; n]);
        residual(self.system, &x, i_stim, &p, &mut f);
        residual_jacobian(self.system, &x, i_stim, &p, &mut jacobian);
        self.system.derivative_by(self.over, &x, i_stim, &p, &mut by);
        let span = self.span();
        let rows: Vec<f64> = (0..n)
            .map(|i| {
                (0..n).map(|j| (jacobian[i * n + j] * self.width[j]).abs()).fold((by[i] * span).abs(), f64::max).max(f64::MIN_POSITIVE)
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

    /// Newton corrections from `y` in the plane across `tangent` through it; none where they do not converge.
    fn correct(&self, y: &[f64], tangent: &[f64]) -> Option<(Vec<f64>, usize)> {
        let n = y.len() - 1;
        let (mut z, mut before) = (y.to_vec(), f64::INFINITY);
        for k in 0..MOST_CORRECTIONS {
            let (f, matrix) = self.bordered(&z, tangent);
            let off: f64 = (0..=n).map(|i| tangent[i] * (z[i] - y[i])).sum();
            let step = matrix.partial_piv_lu().solve(Mat::from_fn(n + 1, 1, |i, _| if i < n { -f[i] } else { -off }));
            let step: Vec<f64> = step.col(0).iter().copied().collect();
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
        let solution = matrix.partial_piv_lu().solve(Mat::from_fn(n + 1, 1, |i, _| if i < n { 0.0 } else { 1.0 }));
        let mut tangent: Vec<f64> = solution.col(0).iter().copied().collect();
        let length = norm(&tangent);
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        tangent.iter_mut().for_each(|t| *t /= length);
        let orientation = self.bordered(&y, &tangent).1.determinant().signum();
        let (i_stim, p) = self.inputs(y[n]);
        let eigenvalues = spectrum(self.system, &self.state(&y), i_stim, &p).ok()?.eigenvalues;
        Some(Traced { y, tangent, orientation, eigenvalues })
    }

    /// The point of the branch at arclength `h` along the tangent of another.
    fn at(&self, from: &Traced, h: f64) -> Option<(Traced, usize)> {
        let guess: Vec<f64> = from.y.iter().zip(&from.tangent).map(|(y, t)| y + h * t).collect();
        let (y, corrections) = self.correct(&guess, &from.tangent)?;
        Some((self.traced(y, &from.tangent)?, corrections))
    }

    /// The variable that is outside the box.
    fn outside(&self, y: &[f64]) -> Option<String> {
        let k = y[..y.len() - 1].iter().position(|v| !(-MARGIN..=1.0 + MARGIN).contains(v))?;
        Some(self.system.spec().variables[k].name.clone())
    }
}

/// The branch through a point, both ways.
pub fn trace(problem: &Problem, start: &[f64], options: &ContinuationOptions) -> Raw {
    let mut along = vec![0.0; start.len()];
    along[start.len() - 1] = 1.0;
    let Some(first) = problem.correct(start, &along).and_then(|(y, _)| problem.traced(y, &along)) else {
        return Raw { points: Vec::new(), special: Vec::new(), stopped: [Stop::NoConvergence, Stop::NoConvergence] };
    };
    let mut back = first.clone();
    back.tangent.iter_mut().for_each(|t| *t = -*t);
    back.orientation = -back.orientation;
    let (mut points, mut special, begin) = one_way(problem, back, options);
    points.reverse();
    special.reverse();
    // Tangents of the way back point the other way.
    points.iter_mut().for_each(|q| q.tangent.iter_mut().for_each(|t| *t = -*t));
    if begin == Stop::Closed {
        return Raw { points, special, stopped: [Stop::Closed, Stop::Closed] };
    }
    points.pop();
    let (ahead, more, end) = one_way(problem, first, options);
    points.extend(ahead);
    special.extend(more);
    Raw { points, special, stopped: [begin, end] }
}

type Way = (Vec<Traced>, Vec<(Bifurcation, Vec<f64>)>, Stop);

fn one_way(problem: &Problem, first: Traced, options: &ContinuationOptions) -> Way {
    let n = first.y.len() - 1;
    let (mut points, mut special) = (vec![first.clone()], Vec::new());
    let mut h = FIRST.min(options.longest_step);
    let mut length = 0.0;
    let mut here = first.clone();
    for _ in 0..options.most_steps {
        let Some((mut next, corrections)) = problem.at(&here, h).filter(|(q, _)| dot(&q.tangent, &here.tangent) > LEAST_COSINE) else {
            h *= 0.5;
            if h < SHORTEST {
                return (points, special, Stop::NoConvergence);
            }
            continue;
        };
        let mut ended = None;
        if !(0.0..=1.0).contains(&next.y[n]) {
            // Exactly onto the end of the interval.
            let end = if next.y[n] < 0.0 { 0.0 } else { 1.0 };
            let share = (end - here.y[n]) / (next.y[n] - here.y[n]);
            let mut guess: Vec<f64> = here.y.iter().zip(&next.y).map(|(a, b)| a + share * (b - a)).collect();
            guess[n] = end;
            let mut across = vec![0.0; n + 1];
            across[n] = 1.0;
            match problem.correct(&guess, &across).and_then(|(mut y, _)| {
                y[n] = end;
                problem.traced(y, &here.tangent)
            }) {
                Some(q) => next = q,
                None => return (points, special, Stop::EndOfRange),
            }
            ended = Some(Stop::EndOfRange);
        }
        let step: Vec<f64> = here.y.iter().zip(&next.y).map(|(a, b)| b - a).collect();
        let advance = dot(&step, &here.tangent);
        special.extend(bifurcations(problem, &here, &next, advance));
        length += norm(&step);
        if let Some(name) = problem.outside(&next.y) {
            ended = Some(Stop::LeftBox(name));
        }
        let home: Vec<f64> = first.y.iter().zip(&next.y).map(|(a, b)| b - a).collect();
        if ended.is_none() && length > 4.0 * norm(&step) && norm(&home) < norm(&step) && dot(&next.tangent, &first.tangent) > 0.9 {
            points.push(next);
            return (points, special, Stop::Closed);
        }
        points.push(next.clone());
        if let Some(stop) = ended {
            return (points, special, stop);
        }
        here = next;
        h = if corrections <= 3 {
            (1.4 * h).min(options.longest_step)
        } else if corrections > 5 {
            0.6 * h
        } else {
            h
        };
    }
    (points, special, Stop::TooManySteps)
}

/// The bifurcations between two neighbouring points, in order, each located along the branch.
fn bifurcations(problem: &Problem, here: &Traced, next: &Traced, h: f64) -> Vec<(Bifurcation, Vec<f64>)> {
    let n = here.y.len() - 1;
    let (before, after) = (here.unstable(), next.unstable());
    // Two real eigenvalues on one side of zero at one end and on the other at the other end may have met, passed as a complex pair and parted
    // again between: look closer until the pair is seen, or one of them passes alone.
    let more = if after > before { next } else { here };
    let real = |k: usize| crossing(problem.system.time(), more.eigenvalues[k]).is_none();
    if before.abs_diff(after) > 1
        && (before.min(after)..before.max(after)).any(real)
        && h > CLOSEST
        && let Some((middle, _)) = problem.at(here, 0.5 * h)
    {
        let step: Vec<f64> = middle.y.iter().zip(&next.y).map(|(a, b)| b - a).collect();
        let mut both = bifurcations(problem, here, &middle, 0.5 * h);
        both.extend(bifurcations(problem, &middle, next, dot(&step, &middle.tangent)));
        return both;
    }
    let mut found: Vec<(f64, Bifurcation, Vec<f64>)> = Vec::new();
    let mut locate = |kind, test: &dyn Fn(&Traced) -> f64| {
        if let Some((at, q)) = zero(&|h| Some(problem.at(here, h)?.0), here, next, h, test) {
            found.push((at, kind, q.y));
        }
    };
    let turned = here.tangent[n] * next.tangent[n] < 0.0;
    if turned {
        locate(Bifurcation::SaddleNode, &|q| q.tangent[n]);
    }
    if here.orientation * next.orientation < 0.0 {
        locate(Bifurcation::BranchPoint, &|q| q.orientation * here.orientation);
    }
    // The eigenvalue that becomes the last unstable one, or the first stable one.
    if before != after {
        let (low, high) = (before.min(after), before.max(after));
        let mut k = low;
        while k < high {
            let mu = more.eigenvalues[k];
            if let Some(kind) = crossing(problem.system.time(), mu) {
                // Eigenvalues are sorted by their real parts: the k-th is continuous along the branch, and zero where it passes.
                locate(kind, &|q| q.eigenvalues[k].re);
                k += if kind == Bifurcation::PeriodDoubling { 1 } else { 2 };
            } else {
                k += 1;
            }
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Where another branch crosses, the one through it may turn back as well; that is no saddle-node.
    let crossings: Vec<f64> = found.iter().filter(|f| f.1 == Bifurcation::BranchPoint).map(|f| f.0).collect();
    found.retain(|f| f.1 != Bifurcation::SaddleNode || crossings.iter().all(|c| (c - f.0).abs() > 1e-6));
    found.into_iter().map(|(_, kind, y)| (kind, y)).collect()
}

/// Where a test function is zero between two points of a branch, `here` and `next` at arclength `h` from it: bisection, sped up by the
/// secant (Illinois). `at` gives the point at an arclength.
pub fn zero<Q: Clone>(at: &dyn Fn(f64) -> Option<Q>, here: &Q, next: &Q, h: f64, test: &dyn Fn(&Q) -> f64) -> Option<(f64, Q)> {
    let (mut a, mut b) = ((0.0, test(here)), (h, test(next)));
    if a.1 * b.1 > 0.0 {
        return None;
    }
    let mut best = if a.1.abs() < b.1.abs() { here.clone() } else { next.clone() };
    let mut side = 0;
    for k in 0..200 {
        let secant = (a.0 * b.1 - b.0 * a.1) / (b.1 - a.1);
        let middle = if k % 4 == 3 || !secant.is_finite() { 0.5 * (a.0 + b.0) } else { secant };
        let q = at(middle)?;
        let value = test(&q);
        best = q;
        if value == 0.0 || (b.0 - a.0).abs() < 1e-13 {
            return Some((middle, best));
        }
        if value * a.1 > 0.0 {
            a = (middle, value);
            if side == 1 {
                b.1 *= 0.5;
            }
            side = 1;
        } else {
            b = (middle, value);
            if side == 2 {
                a.1 *= 0.5;
            }
            side = 2;
        }
    }
    Some((0.5 * (a.0 + b.0), best))
}

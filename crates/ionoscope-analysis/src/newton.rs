//! Newton's method, made global: for a zero of the residual, in variables scaled by the widths of a box.
//!
//! Steps are damped by the error-oriented ("natural") monotonicity test of Deuflhard, Newton Methods for Nonlinear Problems (2004),
//! algorithm NLEQ-ERR: progress is measured by |J^-1 r|, an estimate of the distance to the zero, and not by |r|. The residual of a
//! map with a small time step is tiny in its slow variables everywhere, far from a fixed point too; its Newton step is not.
//!
//! Zeros that are known already can be deflated (Farrell, Birkisson, Funke 2015, SIAM J. Sci. Comput. 37, A2026): the residual times
//! m(z) = prod (1 + 1/|z - root|^2) has the other zeros only.
//!
//! Where quantities Q are conserved, the residual's components are not independent, w(x) . r = 0 with w = grad Q, and zeros are sought on
//! a level of Q: the system is bordered,
//! ```text
//! | J   B | | step |   |  -r         |
//! | W   0 | |  mu  | = | level - Q   |
//! ```
//! with W the gradients and B their transpose, rows measured by their largest entries. At a zero of the bordered system w . (r + B mu) = 0
//! leaves mu = 0: nothing is added to the residual. Steps do not depend on the mu before, so that the monotonicity test is on z alone.

use faer::{
    Mat,
    linalg::solvers::{PartialPivLu, Solve},
};
use ionoscope_dynamics::system::DynamicalSystem;

use crate::{
    conserved::Laws,
    residual::{residual, residual_jacobian},
};

/// Largest Newton step at which a point counts as a zero, in units of the box.
const CONVERGED: f64 = 1e-12;
/// Where the steps stop shrinking by rounding, a step below this is accepted too.
const ROUNDING: f64 = 1e-9;
const MAX_ITERATIONS: usize = 100;
/// Longest step, in units of the box, and how far outside the box an iterate may go before it is given up.
const LONGEST_STEP: f64 = 0.25;
const MARGIN: f64 = 0.5;
const LEAST_DAMPING: f64 = 1e-5;

/// A system at fixed parameters, its states scaled to z = (x - low) / width.
pub(crate) struct Scaled<'a> {
    pub system: &'a dyn DynamicalSystem,
    pub i_stim: f64,
    pub p: &'a [f64],
    pub low: Vec<f64>,
    pub width: Vec<f64>,
    pub laws: Laws<'a>,
    /// Values at which the conserved quantities are held.
    pub level: Vec<f64>,
}

/// A matrix bordered by the gradients of conserved quantities, with what its rows are measured by.
pub(crate) struct Bordered {
    pub matrix: Mat<f64>,
    /// Sizes of all rows, those of the gradients last.
    pub rows: Vec<f64>,
}

/// Borders the residual's Jacobian, `jacobian` by scaled variables, by the gradients `w` of conserved quantities, by scaled variables too.
pub(crate) fn bordered(jacobian: &[f64], w: &[f64], w_residual: &[f64], n: usize) -> Bordered {
    let k = w.len() / n;
    let size = |row: &[f64]| {
        let largest = row.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        if largest > 0.0 { largest } else { 1.0 }
    };
    let rows: Vec<f64> = jacobian
        .chunks_exact(n)
        .chain(w.chunks_exact(n))
        .map(size)
        .collect();
    // w . r = 0 in measured rows: the left null vectors of the Jacobian at a zero.
    let left: Vec<f64> = (0..k * n).map(|e| w_residual[e] * rows[e % n]).collect();
    let lengths: Vec<f64> = left.chunks_exact(n).map(size).collect();
    let matrix = Mat::from_fn(n + k, n + k, |i, j| match (i < n, j < n) {
        (true, true) => jacobian[i * n + j] / rows[i],
        (true, false) => left[(j - n) * n + i] / lengths[j - n],
        (false, true) => w[(i - n) * n + j] / rows[i],
        (false, false) => 0.0,
    });
    Bordered { matrix, rows }
}

/// A residual and the factors of its Jacobian at one point.
struct Linearized {
    lu: PartialPivLu<f64>,
    /// Sizes of the rows, where the system is bordered.
    rows: Option<Vec<f64>>,
    /// -J^-1 r.
    step: Vec<f64>,
}

impl Scaled<'_> {
    pub fn state(&self, z: &[f64]) -> Vec<f64> {
        z.iter()
            .zip(&self.low)
            .zip(&self.width)
            .map(|((z, l), w)| l + w * z)
            .collect()
    }

    pub fn scaled(&self, x: &[f64]) -> Vec<f64> {
        x.iter()
            .zip(&self.low)
            .zip(&self.width)
            .map(|((x, l), w)| (x - l) / w)
            .collect()
    }

    /// The residual, then how far the conserved quantities are off their level.
    fn residual(&self, z: &[f64]) -> Vec<f64> {
        let x = self.state(z);
        let mut out = vec![0.0; z.len()];
        residual(self.system, &x, self.i_stim, self.p, &mut out);
        if !self.laws.is_empty() {
            out.extend(
                self.laws
                    .values(&x, self.p)
                    .iter()
                    .zip(&self.level)
                    .map(|(q, level)| q - level),
            );
        }
        out
    }

    fn linearize(&self, z: &[f64]) -> Option<Linearized> {
        let n = z.len();
        let mut jacobian = vec![0.0; n * n];
        let x = self.state(z);
        residual_jacobian(self.system, &x, self.i_stim, self.p, &mut jacobian);
        let residual = self.residual(z);
        // Factors would take long to say the same.
        if jacobian.iter().chain(&residual).any(|v| !v.is_finite()) {
            return None;
        }
        let (lu, rows) = if self.laws.is_empty() {
            (
                Mat::from_fn(n, n, |i, j| jacobian[i * n + j] * self.width[j]).partial_piv_lu(),
                None,
            )
        } else {
            let w = self.laws.gradients(&x, self.p);
            let by_scaled = |all: &[f64]| {
                all.iter()
                    .enumerate()
                    .map(|(e, v)| v * self.width[e % n])
                    .collect::<Vec<f64>>()
            };
            let b = bordered(&by_scaled(&jacobian), &by_scaled(&w), &w, n);
            (b.matrix.partial_piv_lu(), Some(b.rows))
        };
        let mut here = Linearized {
            lu,
            rows,
            step: Vec::new(),
        };
        here.step = here.solve(&residual, -1.0, n);
        here.step.iter().all(|d| d.is_finite()).then_some(here)
    }
}

impl Linearized {
    /// `factor` times the first `n` unknowns of the linear system.
    fn solve(&self, rhs: &[f64], factor: f64, n: usize) -> Vec<f64> {
        let size = |i: usize| self.rows.as_ref().map_or(1.0, |rows| rows[i]);
        let solution = self
            .lu
            .solve(Mat::from_fn(rhs.len(), 1, |i, _| factor * rhs[i] / size(i)));
        solution.col(0).iter().take(n).copied().collect()
    }
}

fn norm(z: &[f64]) -> f64 {
    z.iter().map(|z| z * z).sum::<f64>().sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn combine(a: &[f64], factor: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + factor * b).collect()
}

/// m(z) and the gradient of ln m for the deflation of `roots`.
fn deflation(z: &[f64], roots: &[Vec<f64>]) -> (f64, Vec<f64>) {
    let (mut m, mut slope) = (1.0, vec![0.0; z.len()]);
    for root in roots {
        let away = combine(z, -1.0, root);
        let square = dot(&away, &away);
        m *= 1.0 + 1.0 / square;
        slope = combine(&slope, -2.0 / (square * (1.0 + square)), &away);
    }
    (m, slope)
}

/// The zero that damped Newton steps from `start` lead to, in scaled variables; `None` when they lead to none near the box.
pub(crate) fn newton(problem: &Scaled, start: &[f64], roots: &[Vec<f64>]) -> Option<Vec<f64>> {
    let mut z = start.to_vec();
    let mut damping: f64 = 1.0;
    // |step| and the simplified step at the end of the last iteration, with the damping used.
    let mut last: Option<(f64, Vec<f64>, f64)> = None;
    for _ in 0..MAX_ITERATIONS {
        let here = problem.linearize(&z)?;
        let (m, slope) = deflation(&z, roots);
        let share = 1.0 / (1.0 - dot(&slope, &here.step));
        let step: Vec<f64> = here.step.iter().map(|d| d * share).collect();
        let length = norm(&step);
        if !length.is_finite() {
            return None;
        }
        let stalled = last
            .as_ref()
            .is_some_and(|(before, ..)| length > 0.5 * before);
        // Undamped and undeflated, so that a short step means a near zero.
        if norm(&here.step) <= CONVERGED || (norm(&here.step) <= ROUNDING && stalled) {
            return Some(if roots.is_empty() {
                combine(&z, 1.0, &here.step)
            } else {
                z
            });
        }
        if let Some((before, simplified, used)) = &last {
            let curvature = norm(&combine(simplified, -1.0, &step));
            damping = (before * norm(simplified) / (curvature * length) * used).min(1.0);
        }
        damping = damping.min(LONGEST_STEP / length);
        loop {
            if damping.is_nan() || damping < LEAST_DAMPING {
                return None;
            }
            let trial = combine(&z, damping, &step);
            let (m_trial, _) = deflation(&trial, roots);
            // The simplified Newton step: the old (deflated) Jacobian, the new residual.
            let plain = here.solve(&problem.residual(&trial), -m_trial / m, z.len());
            let simplified = combine(&plain, share * dot(&slope, &plain), &here.step);
            let shrunk = norm(&simplified);
            if shrunk.is_finite() && shrunk <= (1.0 - damping / 4.0) * length {
                last = Some((length, simplified, damping));
                z = trial;
                break;
            }
            let curvature = norm(&combine(&simplified, damping - 1.0, &step));
            let predicted = 0.5 * length * damping * damping / curvature;
            damping = if predicted.is_finite() {
                predicted.min(0.5 * damping)
            } else {
                0.5 * damping
            };
        }
        if z.iter().any(|z| !(-MARGIN..=1.0 + MARGIN).contains(z)) {
            return None;
        }
    }
    None
}

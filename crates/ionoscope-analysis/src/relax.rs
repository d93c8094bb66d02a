//! Ways to rest for Newton's method where its quasi-random starts fail or where zeros are not isolated: the motion itself.

use faer::{Mat, linalg::solvers::Solve};
use ionoscope_dynamics::{
    protocol::Protocol,
    system::Time,
    trajectory::{Experiment, Outcome, SolveOptions, TimeGrid},
};

use crate::{
    newton::{Scaled, bordered},
    residual::{residual, residual_jacobian},
};

/// Steps of pseudo-transient continuation; the longest, in units of the box, and the one at which it is at rest.
const MOST_STEPS: usize = 400;
const LONGEST: f64 = 0.1;
const AT_REST: f64 = 1e-10;
/// Pieces of a simulation, each four times as long as all before, the steps of each, and the change over one, in units of the box, at which
/// it has come to rest.
const PIECES: usize = 24;
const MOST_SOLVER_STEPS: u64 = 20_000;
const SETTLED: f64 = 1e-7;
/// Singular values below this share of the largest are zero.
pub(crate) const SINGULAR: f64 = 1e-11;
/// The same before a point is known to the last digit.
const NEARLY_SINGULAR: f64 = 1e-7;

/// Residual and Jacobian in scaled variables, per unit of time or, of a map, per step.
fn linearized(problem: &Scaled, z: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let (n, x) = (z.len(), problem.state(z));
    let (mut f, mut jacobian) = (vec![0.0; n], vec![0.0; n * n]);
    residual(problem.system, &x, problem.i_stim, problem.p, &mut f);
    residual_jacobian(problem.system, &x, problem.i_stim, problem.p, &mut jacobian);
    f.iter_mut().zip(&problem.width).for_each(|(f, w)| *f /= w);
    jacobian
        .iter_mut()
        .enumerate()
        .for_each(|(e, v)| *v *= problem.width[e % n] / problem.width[e / n]);
    f.iter()
        .chain(&jacobian)
        .all(|v| v.is_finite())
        .then_some((f, jacobian))
}

/// Where implicit Euler steps of growing length lead from `start` (pseudo-transient continuation; Kelley, Keyes 1998, SIAM J. Numer. Anal.
/// 35, 508): at first along the motion, at last Newton's method. No matter how stiff the system and how slow its last approach.
pub(crate) fn pseudo_transient(problem: &Scaled, start: &[f64]) -> Option<Vec<f64>> {
    let n = start.len();
    let mut z = start.to_vec();
    let (mut f, mut jacobian) = linearized(problem, &z)?;
    let fastest = f.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let mut h = if fastest > 0.0 { 0.01 / fastest } else { 1.0 };
    for _ in 0..MOST_STEPS {
        let matrix = Mat::from_fn(n, n, |i, j| {
            f64::from(u8::from(i == j)) - h * jacobian[i * n + j]
        });
        let step = matrix
            .partial_piv_lu()
            .solve(Mat::from_fn(n, 1, |i, _| h * f[i]));
        let size = (0..n)
            .map(|i| step[(i, 0)].abs())
            .fold(0.0, |m: f64, v| if v > m || v.is_nan() { v } else { m });
        let moved: Vec<f64> = (0..n).map(|i| z[i] + step[(i, 0)]).collect();
        let next = if size <= LONGEST {
            linearized(problem, &moved)
        } else {
            None
        };
        let Some((next_f, next_jacobian)) = next else {
            h *= 0.25;
            if h * fastest.max(f64::MIN_POSITIVE) < 1e-12 {
                return None;
            }
            continue;
        };
        (z, f, jacobian) = (moved, next_f, next_jacobian);
        if size < AT_REST && h * norm(&jacobian) > 1e6 {
            break;
        }
        if size < 0.3 * LONGEST {
            h *= 2.0;
        }
    }
    Some(z)
}

fn norm(matrix: &[f64]) -> f64 {
    matrix.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// Where the motion from `start` comes to rest, in scaled variables; `None` where it does not within a bounded number of steps.
pub(crate) fn simulated(problem: &Scaled, start: &[f64]) -> Option<Vec<f64>> {
    let (_, jacobian) = linearized(problem, start)?;
    let fastest = norm(&jacobian).max(f64::MIN_POSITIVE);
    let mut length = match problem.system.time() {
        Time::Continuous => 10.0 / fastest,
        Time::Discrete { dt } => 64.0 * dt,
    };
    let options = SolveOptions {
        rtol: 1e-8,
        atol: 1e-12,
        max_steps: MOST_SOLVER_STEPS,
        ..SolveOptions::default()
    };
    let protocol = Protocol::constant(problem.i_stim);
    let mut z = start.to_vec();
    for _ in 0..PIECES {
        let times = TimeGrid::new(length, length, 1).ok()?;
        let e = Experiment {
            x0: problem.state(&z),
            p: problem.p.to_vec(),
            protocol: protocol.clone(),
            times,
        };
        let all = problem.system.solve_ensemble(&[e], &options).ok()?;
        let end = all.first().filter(|t| t.outcome == Outcome::Completed)?;
        let next = problem.scaled(end.last()?);
        let moved = z
            .iter()
            .zip(&next)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        z = next;
        if moved < SETTLED {
            return Some(z);
        }
        length *= 4.0;
    }
    None
}

/// A zero of the residual that is one of a family: Newton steps from `guess`, near one, across the family's directions. The zero, with the
/// number of these directions, which may be given; `None` where the Jacobian is regular or steps do not converge.
///
/// The left null vectors w of the Jacobian are the gradients of what tells the members apart: steps with w . step = 0 stay on the level of
/// the guess, up to the square of its distance.
pub(crate) fn polish(
    problem: &Scaled,
    guess: &[f64],
    directions: Option<usize>,
) -> Option<(Vec<f64>, usize)> {
    let n = guess.len();
    let mut z = guess.to_vec();
    let mut last = f64::INFINITY;
    for _ in 0..12 {
        let x = problem.state(&z);
        let (mut f, mut jacobian) = (vec![0.0; n], vec![0.0; n * n]);
        residual(problem.system, &x, problem.i_stim, problem.p, &mut f);
        residual_jacobian(problem.system, &x, problem.i_stim, problem.p, &mut jacobian);
        jacobian
            .iter_mut()
            .enumerate()
            .for_each(|(e, v)| *v *= problem.width[e % n]);
        let (left, _) = null_vectors(&jacobian, n, NEARLY_SINGULAR, directions)?;
        if left.is_empty() {
            return None;
        }
        let w = left.concat();
        let by_scaled: Vec<f64> = w
            .iter()
            .enumerate()
            .map(|(e, v)| v * problem.width[e % n])
            .collect();
        let b = bordered(&jacobian, &by_scaled, &w, n);
        let k = left.len();
        let solution = b
            .matrix
            .partial_piv_lu()
            .solve(Mat::from_fn(n + k, 1, |i, _| {
                if i < n { -f[i] / b.rows[i] } else { 0.0 }
            }));
        let length = (0..n).map(|i| solution[(i, 0)].powi(2)).sum::<f64>().sqrt();
        if !length.is_finite() || length > 0.1 {
            return None;
        }
        (0..n).for_each(|i| z[i] += solution[(i, 0)]);
        if length < 1e-12 || (length < 1e-9 && length > 0.5 * last) {
            return Some((z, k));
        }
        last = length;
    }
    None
}

/// Vectors, one after the other.
type Vectors = Vec<Vec<f64>>;

/// Left null vectors of a residual's Jacobian by scaled variables, as weights of the residual's components, and right ones: those of
/// singular values below `share` of the largest, or of the `count` smallest.
pub(crate) fn null_vectors(
    jacobian: &[f64],
    n: usize,
    share: f64,
    count: Option<usize>,
) -> Option<(Vectors, Vectors)> {
    let rows: Vec<f64> = jacobian
        .chunks_exact(n)
        .map(|row| {
            let largest = norm(row);
            if largest > 0.0 { largest } else { 1.0 }
        })
        .collect();
    if jacobian.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let svd = Mat::from_fn(n, n, |i, j| jacobian[i * n + j] / rows[i])
        .svd()
        .ok()?;
    let (values, u, v) = (svd.S().column_vector(), svd.U(), svd.V());
    let null: Vec<usize> = (0..n)
        .filter(|k| count.map_or(values[*k] <= share * values[0], |count| k + count >= n))
        .collect();
    let left = null
        .iter()
        .map(|k| (0..n).map(|i| u[(i, *k)] / rows[i]).collect())
        .collect();
    let right = null
        .iter()
        .map(|k| (0..n).map(|i| v[(i, *k)]).collect())
        .collect();
    Some((left, right))
}

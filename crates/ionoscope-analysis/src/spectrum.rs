//! Linear stability; with `residual.rs` the one place that knows the difference between flows and maps.
//!
//! | | flow dx/dt = f(x) | map x(t + dt) = F(x) |
//! |---|---|---|
//! | residual, zero at a fixed point | f(x) | F(x) - x |
//! | eigenvalue per unit of time | mu | mu = ln(lambda) / dt |
//! | stable | Re mu < 0 for all | abs lambda < 1 for all |
//!
//! Where quantities are conserved, as many eigenvalues are zero and say nothing of stability: the others are those of the linearization
//! within a level of these quantities, in which as many variables follow from the rest. They are computed there, so that no zero has to be
//! told from a small eigenvalue.
//!
//! With J the Jacobian of the residual, lambda = 1 + nu for the eigenvalues nu of J; mu is taken from nu directly, so that a slow
//! direction (lambda next to 1) keeps its digits.

use faer::Mat;
use ionoscope_dynamics::system::{DynamicalSystem, Time};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, conserved::Laws, matrix, residual::residual_jacobian};

/// A complex number; `{"re": .., "im": ..}` in files.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Complex {
    /// Real part.
    pub re: f64,
    /// Imaginary part.
    pub im: f64,
}

impl Complex {
    /// Absolute value.
    pub fn modulus(self) -> f64 {
        self.re.hypot(self.im)
    }

    fn distance(self, other: Self) -> f64 {
        (self.re - other.re).hypot(self.im - other.im)
    }
}

/// Eigenvalues at a point and what they say.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Eigenvalues per unit of time, by descending real part, then descending imaginary part; after them, exactly zero, those that are so
    /// because fixed points are not isolated.
    pub eigenvalues: Vec<Complex>,
    /// For a map its multipliers lambda = exp(mu dt), in the order of `eigenvalues`.
    pub multipliers: Option<Vec<Complex>>,
    /// How many eigenvalues, the last ones, are zero because a quantity is conserved.
    pub neutral: usize,
    /// Whether small disturbances decay: those that change no conserved quantity.
    pub stable: bool,
}

/// The spectrum of the linearization at `x` (meaningful at a fixed point), within the level of what the system states to be conserved.
///
/// # Errors
/// [`Error::Eigenvalues`] where the Jacobian is not finite.
pub fn spectrum(
    system: &dyn DynamicalSystem,
    x: &[f64],
    i_stim: f64,
    p: &[f64],
) -> Result<Spectrum> {
    spectrum_within(&Laws::stated(system), system, x, i_stim, p, 0)
}

/// The spectrum within the level of `laws`. Of what is left, `unexplained` eigenvalues, the nearest to zero, are taken as zero too: those of
/// directions in which fixed points are not isolated.
///
/// # Errors
/// As [`spectrum`].
pub fn spectrum_within(
    laws: &Laws,
    system: &dyn DynamicalSystem,
    x: &[f64],
    i_stim: f64,
    p: &[f64],
    unexplained: usize,
) -> Result<Spectrum> {
    let n = x.len();
    let mut jacobian = vec![0.0; n * n];
    residual_jacobian(system, x, i_stim, p, &mut jacobian);
    let failed = || Error::Eigenvalues { x: x.to_vec() };
    if jacobian.iter().any(|j| !j.is_finite()) {
        return Err(failed());
    }
    let size: Vec<f64> = system
        .spec()
        .variables
        .iter()
        .map(|q| q.range[1] - q.range[0])
        .collect();
    let (mut jacobian, m) = within_level(jacobian, laws.gradients(x, p), &size);
    balance(&mut jacobian, m);
    let mut nu: Vec<_> = if m == 0 {
        Vec::new()
    } else {
        Mat::from_fn(m, m, |i, j| jacobian[i * m + j])
            .eigenvalues()
            .map_err(|_| failed())?
    };
    if unexplained > 0 {
        nu.sort_by(|a, b| b.re.hypot(b.im).total_cmp(&a.re.hypot(a.im)));
        nu.truncate(m - unexplained.min(m));
    }
    let neutral = n - nu.len();
    let mut pairs: Vec<(Complex, Complex)> = nu
        .iter()
        .map(|z| both(system.time(), z.re, z.im + 0.0))
        .collect();
    pairs.sort_by(|(a, _), (b, _)| b.re.total_cmp(&a.re).then(b.im.total_cmp(&a.im)));
    // For a map Re mu < 0 and abs lambda < 1 are the same; mu has the digits.
    let stable = pairs.iter().all(|(m, _)| m.re < 0.0);
    pairs.resize_with(n, || both(system.time(), 0.0, 0.0));
    let (eigenvalues, multipliers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let multipliers = (system.time() != Time::Continuous).then_some(multipliers);
    Ok(Spectrum {
        eigenvalues,
        multipliers,
        neutral,
        stable,
    })
}

/// A Jacobian on a level of quantities with the gradients `w`, and its size: each quantity gives one variable, that of its largest weight
/// where variables are measured by `size`, as a function of the others. What is conserved at no first order (w = 0) gives none.
fn within_level(mut jacobian: Vec<f64>, mut w: Vec<f64>, size: &[f64]) -> (Vec<f64>, usize) {
    let n = size.len();
    let mut kept: Vec<usize> = (0..n).collect();
    for a in 0..w.len() / n {
        let weight = |j: &usize| (w[a * n + j] * size[*j]).abs();
        let Some(&r) = kept.iter().max_by(|i, j| weight(i).total_cmp(&weight(j))) else {
            break;
        };
        let pivot = w[a * n + r];
        if !(pivot != 0.0 && pivot.is_finite()) {
            continue;
        }
        kept.retain(|j| *j != r);
        // x_r = (Q - sum w_j x_j) / w_r
        let shares: Vec<f64> = (0..n).map(|j| w[a * n + j] / pivot).collect();
        for row in jacobian.chunks_exact_mut(n).chain(w.chunks_exact_mut(n)) {
            let by_r = row[r];
            kept.iter().for_each(|j| row[*j] -= by_r * shares[*j]);
        }
    }
    let m = kept.len();
    (
        kept.iter()
            .flat_map(|&i| kept.iter().map(move |&j| (i, j)))
            .map(|(i, j)| jacobian[i * n + j])
            .collect(),
        m,
    )
}

/// The linearization of the motion over a time `t` near a fixed point at `x`, row-major: exp(t J) of a flow, J^k of a map, k = t / dt rounded.
pub fn step_matrix(
    system: &dyn DynamicalSystem,
    x: &[f64],
    i_stim: f64,
    p: &[f64],
    t: f64,
) -> Vec<f64> {
    let n = x.len();
    let mut jacobian = vec![0.0; n * n];
    system.jacobian(x, i_stim, p, &mut jacobian);
    match system.time() {
        Time::Continuous => {
            matrix::exponential(&jacobian.iter().map(|j| j * t).collect::<Vec<_>>(), n)
        }
        Time::Discrete { dt } => {
            let mut power = jacobian.clone();
            for _ in 1..(t / dt).round() as u64 {
                power = matrix::product(&power, &jacobian, n);
            }
            power
        }
    }
}

/// Eigenvalue per unit of time and multiplier from an eigenvalue `re + i im` of the residual's Jacobian.
fn both(time: Time, re: f64, im: f64) -> (Complex, Complex) {
    match time {
        Time::Continuous => (Complex { re, im }, Complex { re, im }),
        Time::Discrete { dt } => {
            // ln abs(1 + nu) = ln(1 + 2 re + re^2 + im^2) / 2. A multiplier of zero counts as the smallest positive number, so that
            // mu stays finite.
            let growth = (re.mul_add(re, im * im) + 2.0 * re).max(-1.0);
            let log_modulus = if growth > -0.5 {
                0.5 * growth.ln_1p()
            } else {
                (1.0 + re).hypot(im).max(f64::MIN_POSITIVE).ln()
            };
            (
                Complex {
                    re: log_modulus / dt,
                    im: im.atan2(1.0 + re) / dt,
                },
                Complex { re: 1.0 + re, im },
            )
        }
    }
}

/// Scales rows and columns by powers of two until their sizes agree (Parlett and Reinsch 1969): a similarity, without rounding. The
/// variables' units differ by orders of magnitude (mV beside gates), and the QR iteration's error is relative to the largest entry.
fn balance(a: &mut [f64], n: usize) {
    for _ in 0..100 {
        let mut changed = false;
        for i in 0..n {
            let off = |f: &dyn Fn(usize) -> f64| {
                (0..n).filter(|&j| j != i).map(|j| f(j).abs()).sum::<f64>()
            };
            let (row, column) = (off(&|j| a[i * n + j]), off(&|j| a[j * n + i]));
            if row == 0.0 || column == 0.0 {
                continue;
            }
            let factor = 2f64.powi((0.5 * (row / column).log2()).round() as i32);
            if column * factor + row / factor < 0.95 * (column + row) {
                changed = true;
                for j in 0..n {
                    a[i * n + j] /= factor;
                    a[j * n + i] *= factor;
                }
            }
        }
        if !changed {
            break;
        }
    }
}

/// Largest relative difference of two spectra: max abs(mu - mu') / max(1, abs mu), mu of `reference` and mu' of `other`, under the
/// pairing that minimizes the sum of these terms.
///
/// # Errors
/// Spectra of different sizes.
pub fn eigenvalue_error(reference: &[Complex], other: &[Complex]) -> Result<f64> {
    if reference.len() != other.len() {
        return Err(Error::Invalid(format!(
            "a spectrum of {} eigenvalues cannot be paired with one of {}",
            reference.len(),
            other.len()
        )));
    }
    let cost =
        |i: usize, j: usize| reference[i].distance(other[j]) / reference[i].modulus().max(1.0);
    Ok(assignment(reference.len(), cost)
        .into_iter()
        .enumerate()
        .map(|(i, j)| cost(i, j))
        .fold(0.0, f64::max))
}

/// For each of n rows its column under the one-to-one assignment of least total cost: the Hungarian method in its form with shortest
/// augmenting paths (Jonker, Volgenant 1987), O(n^3).
fn assignment(n: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    // Column n is a virtual one that holds the row being placed.
    let (mut row_price, mut column_price) = (vec![0.0; n], vec![0.0; n + 1]);
    let mut row_of: Vec<Option<usize>> = vec![None; n + 1];
    for row in 0..n {
        row_of[n] = Some(row);
        let mut slack = vec![f64::INFINITY; n];
        let mut before = vec![n; n];
        let mut visited = vec![false; n + 1];
        let mut column = n;
        while let Some(r) = row_of[column] {
            visited[column] = true;
            let (mut next, mut least) = (n, f64::INFINITY);
            for j in (0..n).filter(|&j| !visited[j]) {
                let reduced = cost(r, j) - row_price[r] - column_price[j];
                if reduced < slack[j] {
                    (slack[j], before[j]) = (reduced, column);
                }
                if slack[j] < least {
                    (next, least) = (j, slack[j]);
                }
            }
            if next == n {
                break; // Only for costs that are not numbers.
            }
            for j in 0..=n {
                match row_of[j] {
                    Some(r) if visited[j] => {
                        row_price[r] += least;
                        column_price[j] -= least;
                    }
                    _ if j < n => slack[j] -= least,
                    _ => {}
                }
            }
            column = next;
        }
        while column != n {
            row_of[column] = row_of[before[column]];
            column = before[column];
        }
    }
    let mut column_of: Vec<usize> = (0..n).collect();
    for (j, r) in row_of[..n].iter().enumerate() {
        if let Some(r) = r {
            column_of[*r] = j;
        }
    }
    column_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestSystem;
    use rand::{RngExt, SeedableRng};

    fn z(re: f64, im: f64) -> Complex {
        Complex { re, im }
    }

    #[test]
    fn the_assignment_is_the_best_of_all_permutations() {
        fn best(n: usize, row: usize, used: &mut Vec<bool>, cost: &[f64]) -> f64 {
            if row == n {
                return 0.0;
            }
            let mut least = f64::INFINITY;
            for j in 0..n {
                if !used[j] {
                    used[j] = true;
                    least = least.min(cost[row * n + j] + best(n, row + 1, used, cost));
                    used[j] = false;
                }
            }
            least
        }
        let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
        for n in 1..7 {
            for _ in 0..50 {
                let cost: Vec<f64> = (0..n * n).map(|_| random.random()).collect();
                let columns = assignment(n, |i, j| cost[i * n + j]);
                let mut sorted = columns.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..n).collect::<Vec<_>>());
                let total: f64 = columns
                    .iter()
                    .enumerate()
                    .map(|(i, j)| cost[i * n + j])
                    .sum();
                let oracle = best(n, 0, &mut vec![false; n], &cost);
                assert!(
                    (total - oracle).abs() < 1e-12,
                    "{n}: {total} against {oracle}"
                );
            }
        }
    }

    #[test]
    fn the_error_is_relative_to_the_reference_and_blind_to_order() {
        let reference = [z(20.0, 0.0), z(0.1, 0.0), z(-40.0, 0.0)];
        let other = [z(-41.0, 0.0), z(20.2, 0.0), z(0.13, 0.0)];
        let error = eigenvalue_error(&reference, &other).unwrap();
        assert!((error - 0.03).abs() < 1e-12, "{error}");
        assert!(
            eigenvalue_error(&reference, &other[..2])
                .unwrap_err()
                .to_string()
                .contains("3 eigenvalues")
        );
    }

    #[test]
    fn a_pairing_that_minimizes_the_sum_may_have_a_larger_maximum() {
        // Sums: identity 0 + 3 = 3; swapped 2 + 2 = 4 (maximum 2).
        let cost = [[0.0, 2.0], [2.0, 3.0]];
        assert_eq!(assignment(2, |i, j| cost[i][j]), [0, 1]);
    }

    #[test]
    fn the_exact_map_of_a_linear_flow_has_its_eigenvalues() {
        // A slow, a fast and a rotating direction, mixed by a matrix that is far from orthogonal.
        let blocks = [
            [-0.03, 0.0, 0.0, 0.0],
            [0.0, -42.0, 0.0, 0.0],
            [0.0, 0.0, 1.5, -12.0],
            [0.0, 0.0, 12.0, 1.5],
        ];
        let flow = TestSystem::linear(&blocks, None);
        let expected = [z(1.5, 12.0), z(1.5, -12.0), z(-0.03, 0.0), z(-42.0, 0.0)];
        for dt in [0.005, 0.001] {
            let map = TestSystem::linear(&blocks, Some(dt));
            for (system, multipliers) in [(&flow, false), (&map, true)] {
                let found = spectrum(system, &[0.3; 4], 0.0, &[]).unwrap();
                for (f, e) in found.eigenvalues.iter().zip(expected) {
                    assert!(f.distance(e) < 1e-10, "{f:?} {e:?}");
                }
                assert!(!found.stable);
                assert_eq!(found.multipliers.is_some(), multipliers);
                if let Some(m) = found.multipliers {
                    assert!((m[0].modulus() - (1.5 * dt).exp()).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn multipliers_that_are_negative_or_zero() {
        let (mu, lambda) = both(Time::Discrete { dt: 0.5 }, -1.5, 0.0);
        assert_eq!(lambda, z(-0.5, 0.0));
        assert_eq!(mu, z(0.5f64.ln() / 0.5, std::f64::consts::PI / 0.5));
        let (mu, _) = both(Time::Discrete { dt: 1.0 }, -1.0, 0.0);
        assert!(mu.re < -700.0 && mu.re.is_finite());
    }

    #[test]
    fn a_jacobian_that_is_not_finite_is_refused() {
        let error =
            spectrum(&TestSystem::linear(&[[f64::NAN]], None), &[1.0], 0.0, &[]).unwrap_err();
        assert!(
            !error.is_input() && error.to_string().contains("[1.0]"),
            "{error}"
        );
    }
}

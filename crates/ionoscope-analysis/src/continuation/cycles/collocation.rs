//! Periodic orbits by orthogonal collocation (de Boor, Swartz 1973; Doedel 1981): piecewise polynomials of degree 4 that satisfy
//! du/dtau = T f(u) at the Gauss points of each interval of a mesh over one period, tau in [0, 1].
//!
//! Inside an interval the equations give all nodes from its first one; between intervals orthogonal elimination keeps growing and decaying
//! directions apart (Ascher, Mattheij, Russell 1995, chapter 7), so that neither a long cycle nor a stiff one loses digits.

use faer::{Mat, linalg::solvers::Solve};
use rayon::prelude::*;

use super::{field::Field, floquet};
use crate::spectrum::Complex;

/// Degree of the polynomials; nodes of an interval, its ends included, number one more.
pub const DEGREE: usize = 4;
/// Weights of the closed Newton-Cotes formula on the nodes (Boole).
const QUADRATURE: [f64; DEGREE + 1] = [
    7.0 / 90.0,
    32.0 / 90.0,
    12.0 / 90.0,
    32.0 / 90.0,
    7.0 / 90.0,
];
/// Weight of the logarithm of the period beside state and parameter.
const PERIOD_WEIGHT: f64 = 0.1;
/// Constant of the interpolation error, h^5 abs(u^(5)) times this.
const ERROR_CONSTANT: f64 = 3e-5;
/// Scaled distance between rounds that are the same.
const ROUND_AGAIN: f64 = 1e-5;
/// Fewest intervals.
const FEWEST: usize = 20;

/// A closed curve, its period and the parameter; or a direction in their space.
#[derive(Clone)]
pub struct Orbit {
    /// Borders of the intervals, from 0 to 1.
    pub mesh: Vec<f64>,
    /// Scaled states `[node][variable]`; the last node repeats the first.
    pub u: Vec<f64>,
    /// Natural logarithm of the period.
    pub log_period: f64,
    /// Scaled parameter.
    pub s: f64,
}

/// Lagrange's polynomials on the nodes 0, 1/4, .. 1 at `c`: values and slopes.
fn basis(c: f64) -> ([f64; DEGREE + 1], [f64; DEGREE + 1]) {
    let node = |k: usize| k as f64 / DEGREE as f64;
    let product = |k: usize, but: usize| {
        (0..=DEGREE)
            .filter(|&j| j != k && j != but)
            .map(|j| c - node(j))
            .product::<f64>()
    };
    let scale = |k: usize| {
        (0..=DEGREE)
            .filter(|&j| j != k)
            .map(|j| node(k) - node(j))
            .product::<f64>()
    };
    let value = std::array::from_fn(|k| product(k, k) / scale(k));
    let slope = std::array::from_fn(|k| {
        (0..=DEGREE)
            .filter(|&j| j != k)
            .map(|j| product(k, j))
            .sum::<f64>()
            / scale(k)
    });
    (value, slope)
}

fn gauss_points() -> [f64; DEGREE] {
    let [a, b] = [0.339_981_043_584_856_26, 0.861_136_311_594_052_6];
    [-b, -a, a, b].map(|x| 0.5 + 0.5 * x)
}

impl Orbit {
    pub fn intervals(&self) -> usize {
        self.mesh.len() - 1
    }

    pub fn dimension(&self) -> usize {
        self.u.len() / (self.intervals() * DEGREE + 1)
    }

    /// A curve through `at(tau)` on `mesh`.
    pub fn through(
        mesh: Vec<f64>,
        log_period: f64,
        s: f64,
        mut at: impl FnMut(f64) -> Vec<f64>,
    ) -> Self {
        let taus = nodes(&mesh);
        let mut u: Vec<f64> = taus[..taus.len() - 1].iter().flat_map(|&t| at(t)).collect();
        let n = u.len() / (taus.len() - 1);
        u.extend_from_within(..n);
        Orbit {
            mesh,
            u,
            log_period,
            s,
        }
    }

    fn node(&self, interval: usize, k: usize) -> &[f64] {
        let n = self.dimension();
        let at = (interval * DEGREE + k) * n;
        &self.u[at..at + n]
    }

    /// The curve at `tau` in [0, 1].
    pub fn at(&self, tau: f64) -> Vec<f64> {
        let j = self
            .mesh
            .partition_point(|&t| t <= tau)
            .clamp(1, self.intervals())
            - 1;
        let (value, _) = basis((tau - self.mesh[j]) / (self.mesh[j + 1] - self.mesh[j]));
        (0..self.dimension())
            .map(|i| (0..=DEGREE).map(|k| value[k] * self.node(j, k)[i]).sum())
            .collect()
    }

    /// sum of the curves' scalar products over one period, of the logarithms of the periods and of the parameters.
    pub fn inner(&self, other: &Orbit) -> f64 {
        let curves: f64 = (0..self.intervals())
            .map(|j| {
                let sum = (0..=DEGREE)
                    .map(|k| QUADRATURE[k] * dot(self.node(j, k), other.node(j, k)))
                    .sum::<f64>();
                sum * (self.mesh[j + 1] - self.mesh[j])
            })
            .sum();
        curves + PERIOD_WEIGHT * self.log_period * other.log_period + self.s * other.s
    }

    pub fn norm(&self) -> f64 {
        self.inner(self).sqrt()
    }

    /// self + h other, on the same mesh.
    pub fn plus(&self, h: f64, other: &Orbit) -> Orbit {
        Orbit {
            mesh: self.mesh.clone(),
            u: self
                .u
                .iter()
                .zip(&other.u)
                .map(|(a, b)| a + h * b)
                .collect(),
            log_period: self.log_period + h * other.log_period,
            s: self.s + h * other.s,
        }
    }

    pub fn times(mut self, factor: f64) -> Orbit {
        self.u.iter_mut().for_each(|u| *u *= factor);
        self.log_period *= factor;
        self.s *= factor;
        self
    }

    /// The direction of the parameter alone.
    pub fn parameter_direction(&self) -> Orbit {
        Orbit {
            mesh: self.mesh.clone(),
            u: vec![0.0; self.u.len()],
            log_period: 0.0,
            s: 1.0,
        }
    }

    /// Smallest and largest value of each variable.
    pub fn extent(&self) -> [Vec<f64>; 2] {
        let (n, count) = (self.dimension(), self.u.len() / self.dimension());
        let extreme = |i: usize, sign: f64| {
            let best = (0..count)
                .max_by(|&a, &b| (sign * self.u[a * n + i]).total_cmp(&(sign * self.u[b * n + i])))
                .unwrap_or(0);
            let taus = |k: usize| {
                let j = (k / DEGREE).min(self.intervals() - 1);
                self.mesh[j]
                    + (self.mesh[j + 1] - self.mesh[j]) * (k - j * DEGREE) as f64 / DEGREE as f64
            };
            // Between the neighbors of the best node, where the curve has one hump.
            let (mut a, mut b) = (
                taus(best.saturating_sub(1)),
                taus((best + 1).min(count - 1)),
            );
            for _ in 0..40 {
                let (l, r) = (a + (b - a) / 3.0, b - (b - a) / 3.0);
                if sign * self.at(l)[i] < sign * self.at(r)[i] {
                    a = l
                } else {
                    b = r
                }
            }
            sign * (sign * self.at(0.5 * (a + b))[i]).max(sign * self.u[best * n + i])
        };
        [-1.0, 1.0].map(|sign| (0..n).map(|i| extreme(i, sign)).collect())
    }

    /// Density of the mesh that equidistributes the interpolation error, one value an interval, and its integral.
    fn density(&self) -> (Vec<f64>, f64) {
        let (n, count) = (self.dimension(), self.intervals());
        let h: Vec<f64> = self.mesh.windows(2).map(|w| w[1] - w[0]).collect();
        // The derivative of order 4 is constant in an interval; its jumps give the one of order 5.
        let differences = [1.0, -4.0, 6.0, -4.0, 1.0];
        let fourth = |j: usize, i: usize| {
            (0..=DEGREE)
                .map(|k| differences[k] * self.node(j, k)[i])
                .sum::<f64>()
                * (DEGREE as f64 / h[j]).powi(DEGREE as i32)
        };
        let fifth = |j: usize| {
            let before = (j + count - 1) % count;
            let jump: f64 = (0..n)
                .map(|i| (fourth(j, i) - fourth(before, i)).powi(2))
                .sum::<f64>()
                .sqrt();
            (jump / (0.5 * (h[j] + h[before]))).powf(1.0 / (DEGREE + 1) as f64)
        };
        let borders: Vec<f64> = (0..count).map(fifth).collect();
        let density: Vec<f64> = (0..count)
            .map(|j| 0.5 * (borders[j] + borders[(j + 1) % count]))
            .collect();
        let integral = density.iter().zip(&h).map(|(d, h)| d * h).sum();
        (density, integral)
    }

    /// Intervals that an interpolation error of `accuracy` needs.
    pub fn wanted(&self, accuracy: f64) -> usize {
        let (_, integral) = self.density();
        ((integral * (ERROR_CONSTANT / accuracy).powf(1.0 / (DEGREE + 1) as f64)).ceil() as usize)
            .max(FEWEST)
    }

    /// A mesh of `count` intervals fit to this curve.
    pub fn fitted_mesh(&self, count: usize) -> Vec<f64> {
        let (density, integral) = self.density();
        // A share of the mean everywhere, so that quiet parts keep some intervals.
        let weights: Vec<f64> = density
            .iter()
            .zip(self.mesh.windows(2))
            .map(|(d, w)| (d + 0.1 * integral + 1e-12) * (w[1] - w[0]))
            .collect();
        let total: f64 = weights.iter().sum();
        let mut mesh = vec![0.0];
        let (mut j, mut sum) = (0, 0.0);
        for k in 1..count {
            let goal = total * k as f64 / count as f64;
            while j + 1 < weights.len() && sum + weights[j] < goal {
                sum += weights[j];
                j += 1;
            }
            mesh.push(
                self.mesh[j]
                    + (self.mesh[j + 1] - self.mesh[j])
                        * ((goal - sum) / weights[j]).clamp(0.0, 1.0),
            );
        }
        mesh.push(1.0);
        mesh
    }

    /// The curve once round, where this one goes round several times.
    pub fn once(&self) -> Orbit {
        let same = |parts: usize| {
            let mut taus = (0..200).map(|k| f64::from(k) / 200.0);
            taus.all(|t| {
                let (a, b) = (self.at(t), self.at((t + 1.0 / parts as f64).fract()));
                a.iter().zip(&b).all(|(a, b)| (a - b).abs() < ROUND_AGAIN)
            })
        };
        let Some(parts) = (2..=12).rev().find(|&parts| same(parts)) else {
            return self.clone();
        };
        let count = (self.intervals() / parts).max(FEWEST);
        let mesh = (0..=count).map(|k| k as f64 / count as f64).collect();
        Orbit::through(mesh, self.log_period - (parts as f64).ln(), self.s, |t| {
            self.at(t / parts as f64)
        })
    }

    /// The same curve on another mesh.
    pub fn on(&self, mesh: &[f64]) -> Orbit {
        Orbit::through(mesh.to_vec(), self.log_period, self.s, |t| self.at(t))
    }
}

fn nodes(mesh: &[f64]) -> Vec<f64> {
    let mut all: Vec<f64> = mesh
        .windows(2)
        .flat_map(|w| (0..DEGREE).map(move |k| w[0] + (w[1] - w[0]) * k as f64 / DEGREE as f64))
        .collect();
    all.push(1.0);
    all
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What one linear system gives.
pub struct Solved {
    /// Newton's correction.
    pub correction: Orbit,
    /// A direction along the branch, not normalized.
    pub direction: Orbit,
    /// Linearized motion over each interval.
    steps: Vec<Vec<f64>>,
}

/// Of one interval: `u_k = a[k] u_0 + by[k] (log_period, s) + g[k]` for its nodes k = 1 .. DEGREE, row-major with n + 3 columns.
fn condense(
    field: &Field,
    orbit: &Orbit,
    j: usize,
    points: &[([f64; DEGREE + 1], [f64; DEGREE + 1]); DEGREE],
) -> Vec<f64> {
    let n = orbit.dimension();
    let (h, period) = (orbit.mesh[j + 1] - orbit.mesh[j], orbit.log_period.exp());
    let size = DEGREE * n;
    let mut matrix = Mat::<f64>::zeros(size, size);
    let mut right = Mat::<f64>::zeros(size, n + 3);
    for (i, (value, slope)) in points.iter().enumerate() {
        let at = |v: usize, weights: &[f64; DEGREE + 1]| {
            (0..=DEGREE)
                .map(|k| weights[k] * orbit.node(j, k)[v])
                .sum::<f64>()
        };
        let u: Vec<f64> = (0..n).map(|v| at(v, value)).collect();
        let local = field.at(&u, orbit.s);
        for v in 0..n {
            let row = i * n + v;
            for w in 0..n {
                let jacobian = h * period * local.jacobian[v * n + w];
                let entry = |k: usize| {
                    if v == w {
                        slope[k] - value[k] * jacobian
                    } else {
                        -value[k] * jacobian
                    }
                };
                right[(row, w)] = -entry(0);
                (1..=DEGREE).for_each(|k| matrix[(row, (k - 1) * n + w)] = entry(k));
            }
            right[(row, n)] = h * period * local.f[v];
            right[(row, n + 1)] = h * period * local.by[v];
            right[(row, n + 2)] = h * period * local.f[v] - at(v, slope);
        }
    }
    let solution = matrix.partial_piv_lu().solve(right);
    (0..size * (n + 3))
        .map(|k| solution[(k / (n + 3), k % (n + 3))])
        .collect()
}

/// Householder reduction of the first `pivots` columns of a row-major matrix to upper triangular form, in place.
fn triangularize(a: &mut [f64], rows: usize, columns: usize, pivots: usize) {
    for k in 0..pivots {
        let norm = (k..rows)
            .map(|i| a[i * columns + k].powi(2))
            .sum::<f64>()
            .sqrt();
        if norm == 0.0 {
            continue;
        }
        let alpha = if a[k * columns + k] > 0.0 {
            -norm
        } else {
            norm
        };
        let mut v: Vec<f64> = (k..rows).map(|i| a[i * columns + k]).collect();
        v[0] -= alpha;
        let scale = 2.0 / v.iter().map(|v| v * v).sum::<f64>();
        for c in k..columns {
            let product = scale
                * (k..rows)
                    .map(|i| v[i - k] * a[i * columns + c])
                    .sum::<f64>();
            (k..rows).for_each(|i| a[i * columns + c] -= product * v[i - k]);
        }
    }
}

/// Newton's correction at `orbit` for a periodic orbit in the plane across `across` through `guess`, with the phase of `reference`, and the
/// direction along the branch; none where the system is singular or not finite.
pub fn solve(
    field: &Field,
    orbit: &Orbit,
    reference: &Orbit,
    guess: &Orbit,
    across: &Orbit,
) -> Option<Solved> {
    let (n, count) = (orbit.dimension(), orbit.intervals());
    let points = gauss_points().map(basis);
    let blocks: Vec<Vec<f64>> = (0..count)
        .into_par_iter()
        .map(|j| condense(field, orbit, j, &points))
        .collect();
    // The two border rows: phase, integral of (u - reference) . reference' = 0; and the plane.
    let ends: [([f64; DEGREE + 1], [f64; DEGREE + 1]); DEGREE + 1] =
        std::array::from_fn(|k| basis(k as f64 / DEGREE as f64));
    let off = orbit.plus(-1.0, guess);
    let mut border = vec![[0.0; 2]; count * n];
    let mut corner = [
        [0.0, 0.0, 0.0],
        [PERIOD_WEIGHT * across.log_period, across.s, 0.0],
    ];
    let mut constants = [0.0, -off.inner(across)];
    let columns = n + 3;
    for (j, block) in blocks.iter().enumerate() {
        let h = orbit.mesh[j + 1] - orbit.mesh[j];
        for k in 0..=DEGREE {
            for v in 0..n {
                let slope: f64 = (0..=DEGREE)
                    .map(|l| ends[k].1[l] * reference.node(j, l)[v])
                    .sum::<f64>()
                    / h;
                let weights = [
                    h * QUADRATURE[k] * slope,
                    h * QUADRATURE[k] * across.node(j, k)[v],
                ];
                constants[0] -= weights[0] * (orbit.node(j, k)[v] - reference.node(j, k)[v]);
                if k == 0 {
                    (0..2).for_each(|r| border[j * n + v][r] += weights[r]);
                    continue;
                }
                let row = &block[((k - 1) * n + v) * columns..][..columns];
                for r in 0..2 {
                    (0..n).for_each(|w| border[j * n + w][r] += weights[r] * row[w]);
                    (0..3).for_each(|c| corner[r][c] += weights[r] * row[n + c]);
                }
            }
        }
    }
    (0..2).for_each(|r| constants[r] -= corner[r][2]);

    // Elimination: rows E u_0 + F u_j + L (log_period, s) = g, as [F | E | L g], then with interval j [.. | u_{j+1} | ..].
    let wide = 3 * n + 3;
    let last = |j: usize, v: usize| &blocks[j][((DEGREE - 1) * n + v) * columns..][..columns];
    let mut relation = vec![0.0; n * (2 * n + 3)];
    let narrow = 2 * n + 3;
    for v in 0..n {
        let row = last(0, v);
        relation[v * narrow + v] = 1.0;
        (0..n).for_each(|w| relation[v * narrow + n + w] = -row[w]);
        (0..2).for_each(|c| relation[v * narrow + 2 * n + c] = -row[n + c]);
        relation[v * narrow + 2 * n + 2] = row[n + 2];
    }
    let mut tops = Vec::with_capacity(count);
    for j in 1..count {
        // Columns: u_j, u_0, u_{j+1}, log_period, s, g.
        let mut stack = vec![0.0; 2 * n * wide];
        for v in 0..n {
            let old = &relation[v * narrow..][..narrow];
            stack[v * wide..][..2 * n].copy_from_slice(&old[..2 * n]);
            stack[v * wide + 3 * n..][..3].copy_from_slice(&old[2 * n..]);
            let (row, new) = (last(j, v), &mut stack[(n + v) * wide..][..wide]);
            (0..n).for_each(|w| new[w] = -row[w]);
            new[2 * n + v] = 1.0;
            (0..2).for_each(|c| new[3 * n + c] = -row[n + c]);
            new[3 * n + 2] = row[n + 2];
        }
        triangularize(&mut stack, 2 * n, wide, n);
        for v in 0..n {
            let new = &stack[(n + v) * wide..][..wide];
            let row = &mut relation[v * narrow..][..narrow];
            row[..n].copy_from_slice(&new[2 * n..3 * n]);
            row[n..2 * n].copy_from_slice(&new[n..2 * n]);
            row[2 * n..].copy_from_slice(&new[3 * n..]);
        }
        stack.truncate(n * wide);
        // Out of the border rows too: x R = border_j.
        for r in 0..2 {
            let mut x = vec![0.0; n];
            for w in 0..n {
                let sum: f64 = (0..w).map(|v| x[v] * stack[v * wide + w]).sum();
                x[w] = (border[j * n + w][r] - sum) / stack[w * wide + w];
            }
            for v in 0..n {
                let top = &stack[v * wide..][..wide];
                let next = if j + 1 == count { 0 } else { j + 1 };
                (0..n).for_each(|w| border[w][r] -= x[v] * top[n + w]);
                (0..n).for_each(|w| border[next * n + w][r] -= x[v] * top[2 * n + w]);
                (0..2).for_each(|c| corner[r][c] -= x[v] * top[3 * n + c]);
                constants[r] -= x[v] * top[3 * n + 2];
            }
        }
        tops.push(stack);
    }
    let matrix = Mat::from_fn(n + 2, n + 2, |i, k| match (i < n, k < n) {
        (true, true) => relation[i * narrow + k] + relation[i * narrow + n + k],
        (true, false) => relation[i * narrow + n + k],
        (false, true) => border[k][i - n],
        (false, false) => corner[i - n][k - n],
    });
    let right = Mat::from_fn(n + 2, 2, |i, c| match (i < n, c) {
        (true, 0) => relation[i * narrow + 2 * n + 2],
        (false, 0) => constants[i - n],
        (_, _) => f64::from(u8::from(i == n + 1)),
    });
    let solution = matrix.partial_piv_lu().solve(right);
    let expand = |c: usize| {
        // Interval 0 and the constants of the correction alone carry g.
        let g = if c == 0 { 1.0 } else { 0.0 };
        let (log_period, s) = (solution[(n, c)], solution[(n + 1, c)]);
        let mut firsts = vec![0.0; (count + 1) * n];
        for w in 0..n {
            firsts[w] = solution[(w, c)];
            firsts[count * n + w] = solution[(w, c)];
        }
        for j in (1..count).rev() {
            let top = &tops[j - 1];
            for v in (0..n).rev() {
                let row = &top[v * wide..][..wide];
                let mut sum = g * row[3 * n + 2] - row[3 * n] * log_period - row[3 * n + 1] * s;
                sum -= dot(&row[n..2 * n], &firsts[..n])
                    + dot(&row[2 * n..3 * n], &firsts[(j + 1) * n..(j + 2) * n]);
                sum -= dot(&row[v + 1..n], &firsts[j * n + v + 1..(j + 1) * n]);
                firsts[j * n + v] = sum / row[v];
            }
        }
        let mut u = Vec::with_capacity(orbit.u.len());
        for (j, block) in blocks.iter().enumerate() {
            let first = &firsts[j * n..(j + 1) * n];
            u.extend_from_slice(first);
            u.extend(
                block[..(DEGREE - 1) * n * columns]
                    .chunks_exact(columns)
                    .map(|row| {
                        dot(&row[..n], first)
                            + row[n] * log_period
                            + row[n + 1] * s
                            + g * row[n + 2]
                    }),
            );
        }
        u.extend_from_within(..n);
        Orbit {
            mesh: orbit.mesh.clone(),
            u,
            log_period,
            s,
        }
    };
    let (correction, direction) = (expand(0), expand(1));
    let finite = |o: &Orbit| {
        o.u.iter().all(|u| u.is_finite()) && o.log_period.is_finite() && o.s.is_finite()
    };
    let steps = (0..count)
        .map(|j| (0..n).flat_map(|v| last(j, v)[..n].to_vec()).collect())
        .collect();
    (finite(&correction) && finite(&direction)).then_some(Solved {
        correction,
        direction,
        steps,
    })
}

impl Solved {
    /// Floquet multipliers, by descending absolute value.
    pub fn multipliers(&self) -> Option<Vec<Complex>> {
        floquet::multipliers(&self.steps, self.steps[0].len().isqrt())
    }
}

//! The first Lyapunov coefficient of a Hopf point (Kuznetsov, Elements of Applied Bifurcation Theory (3rd edition 2004), equation (5.62)):
//!
//! ```text
//! l_1 = 1/(2 w) Re[<p, C(q, q, q*)> - 2 <p, B(q, A^-1 B(q, q*))> + <p, B(q*, (2 i w - A)^-1 B(q, q))>]
//! A q = i w q,  A' p = -i w p,  <q, q> = <p, q> = 1
//! ```
//! with B and C the second and third derivatives of the right-hand side, which are taken from the exact Jacobian by central differences of
//! order 4 along real directions: B(u, v) = d/de J(x + e u) v and C(u, u, v) = d^2/de^2 J(x + e u) v.
//!
//! Where quantities Q with gradients w are conserved, A is singular, and the mean shift y of the oscillation stays on its level,
//! ```text
//! A y + w' mu = -B(q, q*),  w y = -H(q, q*)
//! ```
//! with H the second derivative of Q, in the place of y = -A^-1 B(q, q*).

use faer::{Mat, c64, linalg::solvers::Solve};
use ionoscope_dynamics::system::DynamicalSystem;

use crate::conserved::Laws;

/// Step of the differences, as a share of the variables' ranges.
const STEP: f64 = 1e-3;

type Vector = Vec<c64>;

struct Derivatives<'a> {
    laws: &'a Laws<'a>,
    system: &'a dyn DynamicalSystem,
    x: &'a [f64],
    i_stim: f64,
    p: &'a [f64],
    width: &'a [f64],
}

impl Derivatives<'_> {
    /// Jacobians at x + k h u for k = -2 .. 2, and h.
    fn along(&self, u: &[f64]) -> ([Vec<f64>; 5], f64) {
        let n = u.len();
        let longest = u
            .iter()
            .zip(self.width)
            .map(|(u, w)| (u / w).abs())
            .fold(0.0, f64::max);
        let h = STEP / longest.max(f64::MIN_POSITIVE);
        let at = |k: f64| {
            let x: Vec<f64> = self.x.iter().zip(u).map(|(x, u)| x + k * h * u).collect();
            let mut out = vec![0.0; n * n];
            self.system.jacobian(&x, self.i_stim, self.p, &mut out);
            out
        };
        ([-2.0, -1.0, 0.0, 1.0, 2.0].map(at), h)
    }

    /// sum_k weights[k] J_k v for several v.
    fn apply(jacobians: &[Vec<f64>; 5], weights: [f64; 5], v: &[f64]) -> Vec<f64> {
        let n = v.len();
        (0..n)
            .map(|i| {
                (0..n)
                    .map(|j| {
                        (0..5)
                            .map(|k| weights[k] * jacobians[k][i * n + j])
                            .sum::<f64>()
                            * v[j]
                    })
                    .sum()
            })
            .collect()
    }

    fn b(&self, u: &[f64], v: &[f64]) -> Vec<f64> {
        if u.iter().all(|u| *u == 0.0) {
            return vec![0.0; u.len()];
        }
        let (jacobians, h) = self.along(u);
        Self::apply(
            &jacobians,
            [1.0, -8.0, 0.0, 8.0, -1.0].map(|w| w / (12.0 * h)),
            v,
        )
    }

    /// C(u, u, v).
    fn c(&self, u: &[f64], v: &[f64]) -> Vec<f64> {
        if u.iter().all(|u| *u == 0.0) {
            return vec![0.0; u.len()];
        }
        let (jacobians, h) = self.along(u);
        Self::apply(
            &jacobians,
            [-1.0, 16.0, -30.0, 16.0, -1.0].map(|w| w / (12.0 * h * h)),
            v,
        )
    }

    /// H(u, u) of each conserved quantity.
    fn h(&self, u: &[f64]) -> Vec<f64> {
        let longest = u
            .iter()
            .zip(self.width)
            .map(|(u, w)| (u / w).abs())
            .fold(0.0, f64::max);
        let (n, h) = (u.len(), STEP / longest.max(f64::MIN_POSITIVE));
        let along = |k: f64| {
            let x: Vec<f64> = self.x.iter().zip(u).map(|(x, u)| x + k * h * u).collect();
            let w = self.laws.gradients(&x, self.p);
            w.chunks_exact(n)
                .map(|w| w.iter().zip(u).map(|(w, u)| w * u).sum())
                .collect::<Vec<f64>>()
        };
        let [a, b, c, d] = [-2.0, -1.0, 1.0, 2.0].map(along);
        (0..a.len())
            .map(|k| (a[k] - 8.0 * b[k] + 8.0 * c[k] - d[k]) / (12.0 * h))
            .collect()
    }

    /// -A^-1 B(q, q*) for q = u + i v, on the level of what is conserved.
    fn mean(&self, a: &[f64], u: &[f64], v: &[f64], b: &[c64]) -> Vector {
        let (n, k) = (u.len(), self.laws.len());
        if k == 0 {
            return solve(a, c64::new(0.0, 0.0), b);
        }
        let w = self.laws.gradients(self.x, self.p);
        // H(q, q*) = H(u, u) + H(v, v).
        let second: Vec<f64> = self
            .h(u)
            .iter()
            .zip(self.h(v))
            .map(|(a, b)| a + b)
            .collect();
        let scaled = |all: &[f64]| {
            all.iter()
                .enumerate()
                .map(|(e, v)| v * self.width[e % n])
                .collect::<Vec<f64>>()
        };
        let bordered = crate::newton::bordered(&scaled(a), &scaled(&w), &w, n);
        let rhs = Mat::from_fn(
            n + k,
            1,
            |i, _| if i < n { -b[i].re } else { -second[i - n] } / bordered.rows[i],
        );
        let solution = bordered.matrix.partial_piv_lu().solve(rhs);
        (0..n)
            .map(|j| c64::new(solution[(j, 0)] * self.width[j], 0.0))
            .collect()
    }

    /// B of complex vectors, bilinear.
    fn b_complex(&self, u: &[c64], v: &[c64]) -> Vector {
        let [ur, ui, vr, vi] = [parts(u).0, parts(u).1, parts(v).0, parts(v).1];
        let [rr, ii, ri, ir] = [
            self.b(&ur, &vr),
            self.b(&ui, &vi),
            self.b(&ur, &vi),
            self.b(&ui, &vr),
        ];
        (0..u.len())
            .map(|k| c64::new(rr[k] - ii[k], ri[k] + ir[k]))
            .collect()
    }
}

fn parts(v: &[c64]) -> (Vec<f64>, Vec<f64>) {
    v.iter().map(|z| (z.re, z.im)).unzip()
}

/// sum conj(p_k) v_k.
fn inner(p: &[c64], v: &[c64]) -> c64 {
    p.iter()
        .zip(v)
        .map(|(p, v)| p.conj() * v)
        .fold(c64::new(0.0, 0.0), |a, b| a + b)
}

/// (shift - matrix)^-1 rhs.
fn solve(matrix: &[f64], shift: c64, rhs: &[c64]) -> Vector {
    let n = rhs.len();
    let m = Mat::from_fn(n, n, |i, j| {
        (if i == j { shift } else { c64::new(0.0, 0.0) }) - c64::new(matrix[i * n + j], 0.0)
    });
    let solution = m.partial_piv_lu().solve(Mat::from_fn(n, 1, |i, _| rhs[i]));
    (0..n).map(|i| solution[(i, 0)]).collect()
}

/// The eigenvector for `shift` by inverse iteration, of length 1.
pub fn eigenvector(matrix: &[f64], shift: c64, n: usize) -> Option<Vector> {
    // Beside the eigenvalue, so that the matrix can be inverted.
    let beside = shift + c64::new(1e-9 * shift.im.abs().max(1e-12), 0.0);
    let mut v: Vector = (0..n).map(|k| c64::new(1.0, 0.3 * k as f64)).collect();
    for _ in 0..6 {
        v = solve(matrix, beside, &v);
        let length = v
            .iter()
            .map(|z| z.re * z.re + z.im * z.im)
            .sum::<f64>()
            .sqrt();
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        v.iter_mut().for_each(|z| *z /= c64::new(length, 0.0));
    }
    Some(v)
}

/// l_1 at a Hopf point with angular frequency `omega`; none where the eigenvectors cannot be found. `width` scales the differences.
pub fn first_lyapunov_coefficient(
    laws: &Laws,
    system: &dyn DynamicalSystem,
    x: &[f64],
    i_stim: f64,
    p: &[f64],
    omega: f64,
    width: &[f64],
) -> Option<f64> {
    let n = x.len();
    let mut a = vec![0.0; n * n];
    system.jacobian(x, i_stim, p, &mut a);
    let transposed: Vec<f64> = (0..n * n).map(|k| a[k % n * n + k / n]).collect();
    let q = eigenvector(&a, c64::new(0.0, omega), n)?;
    let mut adjoint = eigenvector(&transposed, c64::new(0.0, -omega), n)?;
    let product = inner(&adjoint, &q);
    adjoint.iter_mut().for_each(|z| *z /= product.conj());

    let f = Derivatives {
        laws,
        system,
        x,
        i_stim,
        p,
        width,
    };
    let conjugate: Vector = q.iter().map(|z| z.conj()).collect();
    let (qr, qi) = parts(&q);
    // (a + i b)^2 (a - i b) = a^3 + a b^2 + i (a^2 b + b^3).
    let [aaa, bba, aab, bbb] = [f.c(&qr, &qr), f.c(&qi, &qr), f.c(&qr, &qi), f.c(&qi, &qi)];
    let cubic: Vector = (0..n)
        .map(|k| c64::new(aaa[k] + bba[k], aab[k] + bbb[k]))
        .collect();
    let mean = f.mean(&a, &qr, &qi, &f.b_complex(&q, &conjugate));
    let double = solve(&a, c64::new(0.0, 2.0 * omega), &f.b_complex(&q, &q));
    let sum = inner(&adjoint, &cubic)
        + inner(&adjoint, &f.b_complex(&q, &mean)) * c64::new(2.0, 0.0)
        + inner(&adjoint, &f.b_complex(&conjugate, &double));
    let coefficient = sum.re / (2.0 * omega);
    coefficient.is_finite().then_some(coefficient)
}

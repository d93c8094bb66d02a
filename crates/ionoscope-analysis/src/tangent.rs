//! Carrying an orthonormal frame along a trajectory.
//!
//! Over a step h of a flow, with A_0, A_1, A_2 the Jacobians at its beginning, middle and end, the frame is multiplied by exp(Omega),
//!
//! ```text
//! Omega = h/6 (A_0 + 4 A_1 + A_2) - h^2/12 (A_0 A_2 - A_2 A_0)
//! ```
//! Magnus' expansion with Simpson's rule, of order 4 (Blanes, Casas, Oteo, Ros, Physics Reports 470 (2009) 151, section 5.4,
//! doi 10.1016/j.physrep.2008.11.001).

use crate::matrix::{Exponential, multiply};

/// Logarithm of the size up to which propagators are multiplied.
const WELL_CONDITIONED: f64 = 3.0;

/// Work space for frames of `count` columns in `n` dimensions, row-major `[variable][column]`.
pub struct Frame {
    n: usize,
    count: usize,
    a: [Vec<f64>; 3],
    omega: Vec<f64>,
    exponential: Exponential,
    work: Vec<f64>,
    next: Vec<f64>,
}

impl Frame {
    pub fn new(n: usize, count: usize) -> Self {
        let square = || vec![0.0; n * n];
        Frame {
            n,
            count,
            a: [square(), square(), square()],
            omega: square(),
            exponential: Exponential::new(n),
            work: square(),
            next: vec![0.0; n * count],
        }
    }

    /// Carries `q` over `steps` steps of length `h`. `jacobian(k, out)` gives that at time k h/2. Adds ln r_kk to `growth` and the integral
    /// of the trace to `divergence`. False where something is not finite.
    pub fn flow(
        &mut self,
        q: &mut [f64],
        growth: &mut [f64],
        divergence: &mut f64,
        jacobian: impl Fn(usize, &mut [f64]),
        h: f64,
        steps: usize,
    ) -> bool {
        let n = self.n;
        jacobian(0, &mut self.a[2]);
        for step in 0..steps {
            self.a.swap(0, 2);
            jacobian(2 * step + 1, &mut self.a[1]);
            jacobian(2 * step + 2, &mut self.a[2]);
            let Some(trace) = self.propagator(h) else {
                return false;
            };
            *divergence += trace;
            multiply(&self.exponential.value, q, &mut self.next, n, self.count);
            q.copy_from_slice(&self.next);
            if !orthonormalize(q, growth, n, self.count) {
                return false;
            }
        }
        true
    }

    /// exp(Omega) over a step `h` into `exponential.value`, from the Jacobians in `a`; gives the trace of Omega. None where it is not finite.
    fn propagator(&mut self, h: f64) -> Option<f64> {
        let n = self.n;
        let [a, b, c] = &self.a;
        for (k, o) in self.omega.iter_mut().enumerate() {
            *o = h / 6.0 * (a[k] + 4.0 * b[k] + c[k]);
        }
        let trace = self.omega.iter().step_by(n + 1).sum::<f64>();
        multiply(a, c, &mut self.work, n, n);
        let share = -h * h / 12.0;
        for (o, w) in self.omega.iter_mut().zip(&self.work) {
            *o += share * w;
        }
        multiply(c, a, &mut self.work, n, n);
        for (o, w) in self.omega.iter_mut().zip(&self.work) {
            *o -= share * w;
        }
        self.exponential.of(&mut self.omega).then_some(trace)
    }

    /// The propagators over `steps` steps of length `h`, of which `jacobian(k, out)` gives that at time k h/2, consecutive ones multiplied
    /// while the product stays well conditioned, and the integral of the trace. None where something is not finite.
    pub fn factors(
        &mut self,
        jacobian: impl Fn(usize, &mut [f64]),
        h: f64,
        steps: usize,
    ) -> Option<(Vec<Vec<f64>>, f64)> {
        let n = self.n;
        let (mut all, mut divergence, mut size) = (Vec::<Vec<f64>>::new(), 0.0, f64::INFINITY);
        jacobian(0, &mut self.a[2]);
        for step in 0..steps {
            self.a.swap(0, 2);
            jacobian(2 * step + 1, &mut self.a[1]);
            jacobian(2 * step + 2, &mut self.a[2]);
            // |exp(Omega)| and that of its inverse are at most exp(|Omega|).
            let norm = h * self.a[1]
                .chunks_exact(n)
                .map(|row| row.iter().map(|v| v.abs()).sum::<f64>())
                .fold(0.0, f64::max);
            divergence += self.propagator(h)?;
            match all.last_mut().filter(|_| size + norm <= WELL_CONDITIONED) {
                Some(last) => {
                    multiply(&self.exponential.value, last, &mut self.work, n, n);
                    last.copy_from_slice(&self.work);
                    size += norm;
                }
                None => {
                    all.push(self.exponential.value.clone());
                    size = norm;
                }
            }
        }
        all.iter()
            .flatten()
            .all(|v| v.is_finite())
            .then_some((all, divergence))
    }

    /// Carries `q` over `steps` steps of a map; otherwise as [`Frame::flow`], with ln |det J| for the trace.
    pub fn map(
        &mut self,
        q: &mut [f64],
        growth: &mut [f64],
        divergence: &mut f64,
        jacobian: impl Fn(usize, &mut [f64]),
        steps: usize,
    ) -> bool {
        for step in 0..steps {
            jacobian(step, &mut self.omega);
            *divergence += log_determinant(&self.omega, &mut self.work, self.n);
            multiply(&self.omega, q, &mut self.next, self.n, self.count);
            q.copy_from_slice(&self.next);
            if !orthonormalize(q, growth, self.n, self.count) {
                return false;
            }
        }
        true
    }
}

/// Gram and Schmidt's orthonormalization of the columns, in the modified form, whose errors stay small because the frame is never far
/// from orthonormal. False where a column is lost.
fn orthonormalize(q: &mut [f64], growth: &mut [f64], n: usize, count: usize) -> bool {
    for k in 0..count {
        for j in 0..k {
            let along: f64 = (0..n).map(|i| q[i * count + j] * q[i * count + k]).sum();
            (0..n).for_each(|i| q[i * count + k] -= along * q[i * count + j]);
        }
        let length = (0..n).map(|i| q[i * count + k].powi(2)).sum::<f64>().sqrt();
        if !(length > 0.0 && length.is_finite()) {
            return false;
        }
        growth[k] += length.ln();
        (0..n).for_each(|i| q[i * count + k] /= length);
    }
    true
}

/// ln |det a| by elimination with row pivots.
fn log_determinant(a: &[f64], work: &mut [f64], n: usize) -> f64 {
    work.copy_from_slice(a);
    let mut sum = 0.0;
    for k in 0..n {
        let pivot = (k..n)
            .max_by(|i, j| work[i * n + k].abs().total_cmp(&work[j * n + k].abs()))
            .unwrap_or(k);
        (k..n).for_each(|j| work.swap(k * n + j, pivot * n + j));
        sum += work[k * n + k].abs().ln();
        for i in k + 1..n {
            let factor = work[i * n + k] / work[k * n + k];
            (k..n).for_each(|j| work[i * n + j] -= factor * work[k * n + j]);
        }
    }
    sum
}

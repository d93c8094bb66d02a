//! The vector field whose cycles are sought, in scaled variables and parameter.

use ionoscope_dynamics::system::Time;

use super::super::problem::Problem;

/// Iterates behind the embedding flow of a map.
const ITERATES: usize = 10;

/// The flow, or the flow that embeds a map.
///
/// A map that learned a flow, x(t + dt) = F(x), is the flow's to all orders of the series f = ln(F) / dt, of which the differences of
/// K iterates give `f = (1/dt) sum_{k=1..K} (-1)^(k+1) / k Delta^k x` (the logarithm of the shift operator 1 + Delta). Where motion over
/// a step is smooth the terms fall fast, and an invariant closed curve of the map is a cycle of f.
pub struct Field<'a> {
    pub problem: &'a Problem<'a>,
    weights: Vec<f64>,
}

/// Value, Jacobian (row-major) and derivative by the parameter, all scaled.
pub struct Linearized {
    pub f: Vec<f64>,
    pub jacobian: Vec<f64>,
    pub by: Vec<f64>,
}

impl<'a> Field<'a> {
    pub fn new(problem: &'a Problem<'a>) -> Self {
        // f = sum_j weights[j] x_j, from Delta^k x = sum_j (-1)^(k-j) binomial(k, j) x_j.
        let mut weights = vec![0.0; ITERATES + 1];
        if let Time::Discrete { dt } = problem.system.time() {
            for k in 1..=ITERATES {
                let mut binomial = 1.0;
                for (j, weight) in weights.iter_mut().enumerate().take(k + 1) {
                    let sign = if (k - j + k + 1) % 2 == 0 { 1.0 } else { -1.0 };
                    *weight += sign * binomial / (k as f64 * dt);
                    binomial *= (k - j) as f64 / (j + 1) as f64;
                }
            }
        }
        Field { problem, weights }
    }

    pub fn dimension(&self) -> usize {
        self.problem.width.len()
    }

    /// Jacobian of a map's own step at a scaled state `u` and parameter `s`, row-major, scaled.
    pub fn step(&self, u: &[f64], s: f64) -> Vec<f64> {
        let Problem { system, width, .. } = self.problem;
        let n = u.len();
        let (i_stim, p) = self.problem.inputs(s);
        let mut jacobian = vec![0.0; n * n];
        system.jacobian(&self.problem.state(u), i_stim, &p, &mut jacobian);
        jacobian
            .iter_mut()
            .enumerate()
            .for_each(|(k, j)| *j *= width[k % n] / width[k / n]);
        jacobian
    }

    /// The field at a scaled state `u` and parameter `s`.
    pub fn at(&self, u: &[f64], s: f64) -> Linearized {
        let Problem {
            system,
            over,
            width,
            ..
        } = self.problem;
        let n = u.len();
        let x = self.problem.state(u);
        let (i_stim, p) = self.problem.inputs(s);
        let (mut f, mut jacobian, mut by) = (vec![0.0; n], vec![0.0; n * n], vec![0.0; n]);
        if system.time() == Time::Continuous {
            system.rule(&x, i_stim, &p, &mut f);
            system.jacobian(&x, i_stim, &p, &mut jacobian);
            system.derivative_by(*over, &x, i_stim, &p, &mut by);
        } else {
            // Iterates with their derivatives by the first state and by the parameter.
            let (mut x, mut dx, mut dp) = (x, vec![0.0; n * n], vec![0.0; n]);
            (0..n).for_each(|i| dx[i * n + i] = 1.0);
            let (mut next, mut matrix, mut own) = (vec![0.0; n], vec![0.0; n * n], vec![0.0; n]);
            for (k, weight) in self.weights.iter().enumerate() {
                f.iter_mut().zip(&x).for_each(|(f, x)| *f += weight * x);
                jacobian
                    .iter_mut()
                    .zip(&dx)
                    .for_each(|(j, d)| *j += weight * d);
                by.iter_mut().zip(&dp).for_each(|(b, d)| *b += weight * d);
                if k + 1 == self.weights.len() {
                    break;
                }
                system.rule(&x, i_stim, &p, &mut next);
                system.jacobian(&x, i_stim, &p, &mut matrix);
                system.derivative_by(*over, &x, i_stim, &p, &mut own);
                dp = (0..n)
                    .map(|i| own[i] + (0..n).map(|j| matrix[i * n + j] * dp[j]).sum::<f64>())
                    .collect();
                dx = crate::matrix::product(&matrix, &dx, n);
                std::mem::swap(&mut x, &mut next);
            }
        }
        let span = self.problem.span();
        for i in 0..n {
            f[i] /= width[i];
            by[i] *= span / width[i];
            (0..n).for_each(|j| jacobian[i * n + j] *= width[j] / width[i]);
        }
        Linearized { f, jacobian, by }
    }
}

//! Second-order training of one network: Levenberg-Marquardt with geodesic acceleration under a Gaussian prior on each group of weights,
//! whose precisions come from the evidence.
//!
//! Minimized is `beta/2 sum_k r_k^2 + 1/2 sum_g alpha_g |w_g|^2` over the weights w, with residuals r, the noise precision beta and one
//! precision alpha_g a group (for a sub-network: each input's row of inner weights, beta, a, alpha, b, gamma). A step solves
//! `(beta J'J + (1 + lambda) diag(alpha)) v = -gradient`: the damping is measured by the prior, not by diag(J'J) as Marquardt did, so that
//! weights without effect on the data do not run away. Geodesic acceleration adds half the second-order correction along v
//! (Transtrum, Sethna 2012, arXiv:1201.5885). Every few steps alpha and beta are re-estimated (MacKay 1992, Neural Computation 4:415;
//! Foresee, Hagan 1997): `gamma_g = N_g - alpha_g tr_g(H^-1)`, `alpha_g = gamma_g / |w_g|^2`, `beta = (N - sum gamma) / sum r^2`.
//!
//! The prior is what finds the unseen fixed point. It lies outside the data, so it is reached by extrapolation, and a network that makes
//! needless use of an input extrapolates badly along it. The evidence prunes such use input by input (automatic relevance determination):
//! it learns from the data alone that the fast variables hardly depend on the control parameter, say.

use std::sync::Arc;

use ionoscope_dynamics::sampling::{normal, stream};

use crate::{Error, Result, architectures::Network, dataset::Design};

mod config;
mod layout;
mod linear_algebra;
mod normal_equations;
mod residuals;
mod shared;

pub use config::SecondOrderConfig;
use layout::Layout;
use linear_algebra::Factor;
use normal_equations::NormalEquations;

/// Where the training of one sub-network stands; enough to go on from it to the bit.
#[derive(Debug, Clone, PartialEq)]
pub struct SecondOrder {
    layout: Layout,
    /// Weights, by group.
    w: Vec<f64>,
    /// Precision of each group of weights.
    alpha: Vec<f64>,
    /// Precision of the data.
    beta: f64,
    /// Damping, in units of the prior's precision, and the factor by which the next rejection raises it.
    lambda: f64,
    rise: f64,
    /// Accepted steps.
    steps: usize,
    /// No step lowers the objective any more, or the error asked for is reached.
    converged: bool,
    cache: Cache,
}

/// The normal equations at the present weights, if they are known; says nothing about where the training stands.
#[derive(Clone, Default)]
struct Cache(Option<Arc<NormalEquations>>);

impl PartialEq for Cache {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "known" } else { "unknown" })
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Accepted steps so far.
    pub steps: usize,
    /// Mean squared error after the step on the training pairs, in units of the increment's variance.
    pub mse: f64,
    /// Precision of the data.
    pub beta: f64,
    /// Damping.
    pub lambda: f64,
    /// No step lowers the objective any more, or the error asked for is reached.
    pub converged: bool,
}

/// Numbers of a state before its precisions and weights.
const HEAD: usize = 5;
/// Largest damping that is tried before the training is called converged.
const LAMBDA_MAX: f64 = 1e15;
/// Geodesic acceleration is left out where it is longer than this share of the step (Transtrum, Sethna: 0.75).
const ACCELERATION_MAX: f64 = 0.75;

impl SecondOrder {
    /// Training that starts from random weights drawn from the prior.
    /// `network` gives the sizes.
    pub fn from_prior(
        network: &Network,
        design: &Design,
        config: &SecondOrderConfig,
        seed: u64,
    ) -> Self {
        let layout = Layout::of(network);
        let sd = layout.prior_sd(design, config);
        let mut rng = stream(seed, "initial weights", network.outputs().start as u64);
        let mut w = Vec::with_capacity(layout.count());
        for (group, sd) in layout.groups().zip(&sd) {
            // The output's offset starts at zero: increments have zero mean up to the drift of the data.
            w.extend(group.map(|_| normal(&mut rng) * if sd.is_finite() { *sd } else { 0.0 }));
        }
        Self::start(layout, w, &sd, design)
    }

    /// Training that goes on from given weights, such as those of a first-order method, under the same prior.
    pub fn from_network(network: &Network, design: &Design, config: &SecondOrderConfig) -> Self {
        let layout = Layout::of(network);
        let sd = layout.prior_sd(design, config);
        Self::start(layout, network.weights(), &sd, design)
    }

    fn start(layout: Layout, w: Vec<f64>, sd: &[f64], design: &Design) -> Self {
        let beta = residual_count(design) / layout.squared_error(&w, design).max(f64::MIN_POSITIVE);
        let alpha = sd
            .iter()
            .map(|sd| if sd.is_finite() { sd.powi(-2) } else { 1.0 })
            .collect();
        SecondOrder {
            layout,
            w,
            alpha,
            beta,
            lambda: 1e3,
            rise: 2.0,
            steps: 0,
            converged: false,
            cache: Cache::default(),
        }
    }

    /// The network as it stands.
    pub fn network(&self) -> Network {
        let mut network = self.layout.zeros();
        network.set_weights(&self.w);
        network
    }

    /// Accepted steps so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Whether no step lowers the objective any more, or the error asked for is reached.
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// Precision of each group of weights, in the order of [`Network::groups_mut`].
    pub fn precisions(&self) -> &[f64] {
        &self.alpha
    }

    /// The whole state as numbers, for a checkpoint.
    pub fn to_numbers(&self) -> Vec<f64> {
        let head = [
            self.beta,
            self.lambda,
            self.rise,
            self.steps as f64,
            f64::from(u8::from(self.converged)),
        ];
        head.iter()
            .chain(&self.alpha)
            .chain(&self.w)
            .copied()
            .collect()
    }

    /// The state from its numbers; `network` gives the sizes.
    ///
    /// # Errors
    /// A list of another length than this network's.
    pub fn from_numbers(network: &Network, numbers: &[f64]) -> Result<Self> {
        let layout = Layout::of(network);
        let groups = layout.groups().count();
        let want = HEAD + groups + layout.count();
        if numbers.len() != want {
            return Err(Error::Invalid(format!(
                "a second-order state of {} numbers; this network has {want}",
                numbers.len()
            )));
        }
        let (head, rest) = numbers.split_at(HEAD);
        let (alpha, w) = rest.split_at(groups);
        Ok(SecondOrder {
            layout,
            w: w.to_vec(),
            alpha: alpha.to_vec(),
            beta: head[0],
            lambda: head[1],
            rise: head[2],
            steps: head[3] as usize,
            converged: head[4] != 0.0,
            cache: Cache::default(),
        })
    }

    /// One accepted step, or the finding that there is none.
    pub fn step(&mut self, design: &Design, config: &SecondOrderConfig) -> StepReport {
        let n = residual_count(design);
        let normal = self.normal_equations(design);
        let precision = self.layout.spread(&self.alpha);
        let prior = |w: &[f64]| {
            0.5 * w
                .iter()
                .zip(&precision)
                .map(|(w, a)| a * w * w)
                .sum::<f64>()
        };
        let objective = 0.5 * self.beta * normal.squared_error + prior(&self.w);
        let gradient: Vec<f64> = (0..self.w.len())
            .map(|i| self.beta * normal.gradient[i] + precision[i] * self.w[i])
            .collect();
        let mut mse = normal.squared_error / n;
        loop {
            if self.converged || self.lambda > LAMBDA_MAX {
                self.converged = true;
                break;
            }
            let damping: Vec<f64> = precision.iter().map(|a| self.lambda * a).collect();
            let diagonal: Vec<f64> = precision.iter().zip(&damping).map(|(a, d)| a + d).collect();
            let trial = Factor::new(&normal.jtj, self.beta, &diagonal).map(|factor| {
                let v: Vec<f64> = factor.solve(&gradient).iter().map(|v| -v).collect();
                let bend = self.layout.acceleration(&self.w, &v, design);
                let correction: Vec<f64> = factor
                    .solve(&bend)
                    .iter()
                    .map(|a| -0.5 * self.beta * a)
                    .collect();
                let length = |d: &[f64]| {
                    d.iter()
                        .zip(&diagonal)
                        .map(|(d, m)| m * d * d)
                        .sum::<f64>()
                        .sqrt()
                };
                let accelerate = length(&correction) <= ACCELERATION_MAX * length(&v);
                let w: Vec<f64> = (0..v.len())
                    .map(|i| self.w[i] + v[i] + if accelerate { correction[i] } else { 0.0 })
                    .collect();
                // Decrease that the quadratic model promises for v.
                let promised: f64 = (0..v.len())
                    .map(|i| 0.5 * v[i] * (damping[i] * v[i] - gradient[i]))
                    .sum();
                let error = self.layout.squared_error(&w, design);
                let gain = (objective - 0.5 * self.beta * error - prior(&w)) / promised;
                (w, error, gain)
            });
            match trial {
                // A gain that is not a number fails the comparison and is rejected.
                Some((w, error, gain)) if gain > 1e-4 => {
                    self.w = w;
                    self.cache = Cache::default();
                    mse = error / n;
                    // Nielsen 1999: a smooth decrease for good steps.
                    self.lambda = (self.lambda
                        * (1.0 - (2.0 * gain - 1.0).powi(3)).clamp(0.1, 2.0))
                    .max(1e-12);
                    self.rise = 2.0;
                    self.steps += 1;
                    self.converged = mse < config.target_mse;
                    if self.steps >= config.evidence_from
                        && self.steps.is_multiple_of(config.evidence_every)
                    {
                        self.estimate_precisions(design);
                    }
                    break;
                }
                _ => {
                    self.lambda = (self.lambda * self.rise).max(1e-15);
                    self.rise *= 2.0;
                }
            }
        }
        StepReport {
            steps: self.steps,
            mse,
            beta: self.beta,
            lambda: self.lambda,
            converged: self.converged(),
        }
    }

    fn normal_equations(&mut self, design: &Design) -> Arc<NormalEquations> {
        self.cache
            .0
            .get_or_insert_with(|| Arc::new(self.layout.normal_equations(&self.w, design)))
            .clone()
    }

    /// Evidence: precisions of the groups and of the data from the curvature at the present weights.
    fn estimate_precisions(&mut self, design: &Design) {
        let normal = self.normal_equations(design);
        let precision = self.layout.spread(&self.alpha);
        // At small errors beta J'J loses its smallest eigenvalues to rounding; the least jitter that makes it definite stands for them.
        let largest = (0..precision.len())
            .map(|i| normal.jtj[(i, i)])
            .fold(0.0, f64::max);
        let factor = [0.0]
            .into_iter()
            .chain((0..6).map(|k| 1e-15 * 10f64.powi(k)))
            .find_map(|jitter| {
                let diagonal: Vec<f64> = precision
                    .iter()
                    .map(|a| a + jitter * self.beta * largest)
                    .collect();
                Factor::new(&normal.jtj, self.beta, &diagonal)
            });
        let Some(inverse_diagonal) = factor.map(|f| f.inverse_diagonal()) else {
            return; // Nothing can be said at present: the precisions stay.
        };
        let mut determined = 0.0;
        let output_offset = self.alpha.len() - 1;
        for (g, group) in self.layout.groups().enumerate() {
            let count = group.len() as f64;
            let trace: f64 = inverse_diagonal[group.clone()].iter().sum();
            let gamma = (count - self.alpha[g] * trace).clamp(1e-3 * count, count);
            let size: f64 = self.w[group].iter().map(|w| w * w).sum();
            // The geometric mean with the old value damps the alternation of weights and precisions.
            self.alpha[g] = (self.alpha[g] * (gamma / size.max(1e-30)).min(1e14)).sqrt();
            determined += gamma;
        }
        // A single offset should not be held back.
        self.alpha[output_offset] = self.alpha[output_offset].min(1.0);
        self.beta = (residual_count(design) - determined).max(1.0)
            / normal.squared_error.max(f64::MIN_POSITIVE);
    }
}

/// Number of residuals: one a pair and variable.
fn residual_count(design: &Design) -> f64 {
    (design.len() * design.targets.len()) as f64
}

#[cfg(test)]
mod tests;

//! The earlier map of the same authors: a plain network of two layers, whose hidden units serve all variables,
//!
//! ```text
//! u(t + dt) = u(t) + tanh(u A + q B + beta) C + gamma
//! ```
//! with u the standardized state (row vector of D_u entries), q the standardized control parameters (D_p) and N_h hidden units. Kuptsov, Kuptsova,
//! Stankevich, Russ. J. Nonlinear Dyn. 17 (2021) 5, doi 10.20537/nd210102, arXiv 2104.05402, show that it learns the Lorenz, Rossler and Hindmarsh-Rose
//! systems (with the logistic function in the place of tanh, which gives the same maps: 2 s(2 x) = 1 + tanh x); by Kuptsov et al. (2023),
//! section 1, bursting with two time scales asks for more, which holds for their training, not for ours (docs/results). `C` and `gamma` are kept in units of the
//! increment's standard deviation, as in [`neural_map`](super::neural_map).

use ionoscope_dynamics::real::Real;

/// The weights of a two-layer map; inputs and outputs are standardized.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoLayerNetwork {
    /// Inner weights, D_u + D_p rows of `[N_h]`: the rows of A, then those of B.
    pub inner: Vec<Vec<f64>>,
    /// Offsets of the hidden layer, `[N_h]`.
    pub beta: Vec<f64>,
    /// Output weights, the columns of C: D_u rows of `[N_h]`, in units of the increments' standard deviations.
    pub output: Vec<Vec<f64>>,
    /// Output offsets `[D_u]`, in the same units.
    pub gamma: Vec<f64>,
}

impl TwoLayerNetwork {
    /// A network of `hidden` units with all weights zero, for `inputs` = D_u + D_p and `outputs` = D_u.
    pub fn zeros(inputs: usize, hidden: usize, outputs: usize) -> Self {
        let z = vec![0.0; hidden];
        TwoLayerNetwork {
            inner: vec![z.clone(); inputs],
            beta: z.clone(),
            output: vec![z; outputs],
            gamma: vec![0.0; outputs],
        }
    }

    /// Number of hidden units N_h.
    pub fn hidden(&self) -> usize {
        self.beta.len()
    }

    /// Number of trainable weights: N_h (2 D_u + D_p + 1) + D_u.
    pub fn weight_count(&self) -> usize {
        self.hidden() * (self.inner.len() + self.output.len() + 1) + self.gamma.len()
    }

    /// The weights as groups: the rows of A, the rows of B, beta, the columns of C, gamma.
    pub fn groups_mut(&mut self) -> Vec<&mut [f64]> {
        let TwoLayerNetwork {
            inner,
            beta,
            output,
            gamma,
        } = self;
        let rows = inner
            .iter_mut()
            .chain(std::iter::once(beta))
            .chain(output.iter_mut());
        rows.chain(std::iter::once(gamma))
            .map(Vec::as_mut_slice)
            .collect()
    }

    /// The increments in units of their standard deviations, into `out`, and their derivatives by the inputs, into `gradients` (row-major), for
    /// standardized `input` (state, then control).
    pub fn increments(&self, input: &[f64], out: &mut [f64], gradients: &mut [f64]) {
        let m = self.inner.len();
        out.copy_from_slice(&self.gamma);
        gradients.fill(0.0);
        for j in 0..self.hidden() {
            let y: f64 = self.beta[j]
                + input
                    .iter()
                    .zip(&self.inner)
                    .map(|(u, row)| u * row[j])
                    .sum::<f64>();
            let h = Real::tanh(y);
            for (i, c) in self.output.iter().enumerate() {
                out[i] += h * c[j];
                let slope = (1.0 - h * h) * c[j];
                for (g, row) in gradients[i * m..(i + 1) * m].iter_mut().zip(&self.inner) {
                    *g += slope * row[j];
                }
            }
        }
    }
}

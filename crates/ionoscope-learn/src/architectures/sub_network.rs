//! The sub-network of a [neural map](super::neural_map) for one state variable.

use ionoscope_dynamics::real::Real;

/// The weights of one sub-network with N_h hidden units; inputs and output are standardized.
#[derive(Debug, Clone, PartialEq)]
pub struct SubNetwork {
    /// Index of the variable whose increment it gives.
    pub own: usize,
    /// Weights of that variable, `[N_h]`.
    pub a: Vec<f64>,
    /// Offsets of the outer layer, `[N_h]`.
    pub alpha: Vec<f64>,
    /// Output weights, `[N_h]`, in units of the increment's standard deviation.
    pub b: Vec<f64>,
    /// Offsets of the inner layer, `[N_h]`.
    pub beta: Vec<f64>,
    /// Inner weights, D_u + D_p rows of `[N_h]`: the rows of A_i (row `own` zero), then those of B_i.
    pub inner: Vec<Vec<f64>>,
    /// Output offset, in units of the increment's standard deviation.
    pub gamma: f64,
}

impl SubNetwork {
    /// A sub-network of `hidden` units with all weights zero, for `inputs` = D_u + D_p.
    pub fn zeros(own: usize, inputs: usize, hidden: usize) -> Self {
        let z = vec![0.0; hidden];
        SubNetwork {
            own,
            a: z.clone(),
            alpha: z.clone(),
            b: z.clone(),
            beta: z.clone(),
            inner: vec![z; inputs],
            gamma: 0.0,
        }
    }

    /// Number of hidden units N_h.
    pub fn hidden(&self) -> usize {
        self.a.len()
    }

    /// Number of trainable weights: N_h (D_u + D_p + 3) + 1, since row `own` of A_i is not one.
    pub fn weight_count(&self) -> usize {
        self.hidden() * (self.inner.len() - 1 + 4) + 1
    }

    /// The weights as groups, in the order in which trainers lay them out: the rows of A_i without row `own`, the rows of B_i, beta, a,
    /// alpha, b, gamma.
    pub fn groups_mut(&mut self) -> Vec<&mut [f64]> {
        let own = self.own;
        let inner = self
            .inner
            .iter_mut()
            .enumerate()
            .filter(move |(k, _)| *k != own)
            .map(|(_, r)| r.as_mut_slice());
        let mut groups: Vec<&mut [f64]> = inner.collect();
        groups.extend([
            &mut self.beta[..],
            &mut self.a,
            &mut self.alpha,
            &mut self.b,
            std::slice::from_mut(&mut self.gamma),
        ]);
        groups
    }

    /// The increment in units of its standard deviation, and its derivatives by the inputs, for standardized `input` (state, then control).
    pub fn increment_and_gradient(&self, input: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let mut out = self.gamma;
        for j in 0..self.hidden() {
            let y: f64 = self.beta[j]
                + input
                    .iter()
                    .zip(&self.inner)
                    .map(|(u, row)| u * row[j])
                    .sum::<f64>();
            let h = Real::tanh(y);
            let f = Real::tanh(input[self.own] * self.a[j] + self.alpha[j] + h);
            out += f * self.b[j];
            let slope = (1.0 - f * f) * self.b[j];
            let inner_slope = slope * (1.0 - h * h);
            for (k, row) in self.inner.iter().enumerate() {
                gradient[k] += if k == self.own {
                    slope * self.a[j]
                } else {
                    inner_slope * row[j]
                };
            }
        }
        out
    }
}

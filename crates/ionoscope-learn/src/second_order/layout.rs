//! What the second-order method asks of a family of networks: where its weights stand in a flat list, their prior, and its residuals.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    config::SecondOrderConfig, linear_algebra::Factor, normal_equations::NormalEquations,
    residuals, shared,
};
use crate::{
    architectures::{Network, sub_network::SubNetwork, two_layer_map::TwoLayerNetwork},
    dataset::Design,
};

/// The sizes of a network, for each family; the weights stand in the order of [`Network::groups_mut`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Layout {
    Own(residuals::OwnLayout),
    Shared(shared::SharedLayout),
}

impl Layout {
    pub fn of(network: &Network) -> Self {
        match network {
            Network::Own(n) => Layout::Own(residuals::OwnLayout {
                own: n.own,
                inputs: n.inner.len(),
                hidden: n.hidden(),
            }),
            Network::Shared(n) => Layout::Shared(shared::SharedLayout {
                inputs: n.inner.len(),
                hidden: n.hidden(),
                outputs: n.gamma.len(),
            }),
        }
    }

    /// The network with all weights zero.
    pub fn zeros(&self) -> Network {
        match self {
            Layout::Own(l) => SubNetwork::zeros(l.own, l.inputs, l.hidden).into(),
            Layout::Shared(l) => TwoLayerNetwork::zeros(l.inputs, l.hidden, l.outputs).into(),
        }
    }

    /// Number of weights.
    pub fn count(&self) -> usize {
        match self {
            Layout::Own(l) => l.count(),
            Layout::Shared(l) => l.count(),
        }
    }

    /// Ranges of the groups of weights: rows of hidden units, then the output's offsets.
    pub fn groups(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (h, outputs) = match self {
            Layout::Own(l) => (l.hidden, 1),
            Layout::Shared(l) => (l.hidden, l.outputs),
        };
        let offsets = self.count() - outputs;
        (0..offsets / h)
            .map(move |g| g * h..(g + 1) * h)
            .chain(std::iter::once(offsets..offsets + outputs))
    }

    /// One value a group, repeated for each of its weights.
    pub fn spread(&self, by_group: &[f64]) -> Vec<f64> {
        self.groups()
            .zip(by_group)
            .flat_map(|(g, v)| g.map(|_| *v))
            .collect()
    }

    /// Standard deviation of the prior of each group; infinite for the output's offsets, which are free.
    pub fn prior_sd(&self, design: &Design, config: &SecondOrderConfig) -> Vec<f64> {
        let reach: Vec<f64> = design
            .coverage
            .iter()
            .map(|c| (config.reach * c).min(1.0))
            .collect();
        match self {
            Layout::Own(l) => {
                let relevance = linear_relevance(design);
                let largest = l
                    .inner()
                    .map(|k| relevance[k])
                    .fold(f64::MIN_POSITIVE, f64::max);
                let share =
                    |k: usize| reach[k].min((relevance[k] / largest).max(config.least_relevance));
                let mut sd: Vec<f64> = l.inner().map(|k| config.inner_sd * share(k)).collect();
                sd.extend([
                    config.beta_sd,
                    config.a_sd * reach[l.own],
                    config.alpha_sd,
                    config.b_sd,
                    f64::INFINITY,
                ]);
                sd
            }
            // Every input matters to some variable, most through products with others, of which a linear fit sees nothing.
            Layout::Shared(l) => {
                let mut sd: Vec<f64> = reach.iter().map(|r| config.inner_sd * r).collect();
                sd.push(config.beta_sd);
                sd.extend(std::iter::repeat_n(config.b_sd, l.outputs).chain([f64::INFINITY]));
                sd
            }
        }
    }

    /// r'r at the weights `w`.
    pub fn squared_error(&self, w: &[f64], design: &Design) -> f64 {
        match self {
            Layout::Own(l) => residuals::squared_error(l, w, design),
            Layout::Shared(l) => shared::squared_error(l, w, design),
        }
    }

    /// The normal equations at the weights `w`.
    pub fn normal_equations(&self, w: &[f64], design: &Design) -> NormalEquations {
        match self {
            Layout::Own(l) => residuals::normal_equations(l, w, design),
            Layout::Shared(l) => shared::normal_equations(l, w, design),
        }
    }

    /// J' r_vv, with r_vv the second derivative of the residuals along `v`: the right-hand side of geodesic acceleration.
    pub fn acceleration(&self, w: &[f64], v: &[f64], design: &Design) -> Vec<f64> {
        match self {
            Layout::Own(l) => residuals::acceleration(l, w, v, design),
            Layout::Shared(l) => shared::acceleration(l, w, v, design),
        }
    }
}

/// Absolute coefficients of a linear least-squares fit of the (first) target by the standardized inputs.
fn linear_relevance(design: &Design) -> Vec<f64> {
    let m = design.inputs.len();
    let n = design.len() as f64;
    let dot = |a: &[f64], b: &[f64]| {
        a.par_iter()
            .zip(b)
            .with_min_len(usize::MAX)
            .map(|(a, b)| a * b)
            .sum::<f64>()
            / n
    };
    let mut gram = faer::Mat::from_fn(m, m, |i, j| dot(&design.inputs[i], &design.inputs[j]));
    let right: Vec<f64> = design
        .inputs
        .iter()
        .map(|row| dot(row, &design.targets[0]))
        .collect();
    // An input that does not vary gets a zero coefficient instead of a singular matrix.
    (0..m).for_each(|i| gram[(i, i)] += 1e-9);
    Factor::new(&gram, 1.0, &vec![0.0; m]).map_or_else(
        || vec![1.0; m],
        |f| f.solve(&right).iter().map(|c| c.abs()).collect(),
    )
}

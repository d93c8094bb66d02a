//! Networks of any family, and what the trainers and the maps made of them ask of each.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{sub_network::SubNetwork, two_layer_map::TwoLayerNetwork};
use crate::{Error, Result};

/// The families of maps u(t + dt) = u(t) + F(u, p).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// One sub-network a variable, [`neural_map`](super::neural_map).
    #[default]
    NeuralMap,
    /// One hidden layer for all variables, [`two_layer_map`](super::two_layer_map).
    TwoLayerMap,
}

impl Architecture {
    /// Left out of configurations, which are then those of the time when there was one family, and older checkpoints fit.
    pub(crate) fn is_default(&self) -> bool {
        *self == Architecture::default()
    }

    /// Its name in configurations and files.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::NeuralMap => "neural_map",
            Architecture::TwoLayerMap => "two_layer_map",
        }
    }
}

/// What is trained by itself: the weights behind the increments of one variable or of all.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    /// A sub-network of a neural map.
    Own(SubNetwork),
    /// The whole of a two-layer map.
    Shared(TwoLayerNetwork),
}

impl From<SubNetwork> for Network {
    fn from(n: SubNetwork) -> Self {
        Network::Own(n)
    }
}

impl From<TwoLayerNetwork> for Network {
    fn from(n: TwoLayerNetwork) -> Self {
        Network::Shared(n)
    }
}

impl Network {
    /// The family it belongs to.
    pub fn architecture(&self) -> Architecture {
        match self {
            Network::Own(_) => Architecture::NeuralMap,
            Network::Shared(_) => Architecture::TwoLayerMap,
        }
    }

    /// Indices of the variables whose increments it gives.
    pub fn outputs(&self) -> Range<usize> {
        match self {
            Network::Own(n) => n.own..n.own + 1,
            Network::Shared(n) => 0..n.gamma.len(),
        }
    }

    /// Number of hidden units N_h.
    pub fn hidden(&self) -> usize {
        match self {
            Network::Own(n) => n.hidden(),
            Network::Shared(n) => n.hidden(),
        }
    }

    /// Number of trainable weights.
    pub fn weight_count(&self) -> usize {
        match self {
            Network::Own(n) => n.weight_count(),
            Network::Shared(n) => n.weight_count(),
        }
    }

    /// The weights as groups, in the order in which trainers lay them out.
    pub fn groups_mut(&mut self) -> Vec<&mut [f64]> {
        match self {
            Network::Own(n) => n.groups_mut(),
            Network::Shared(n) => n.groups_mut(),
        }
    }

    /// All weights, in the order of the groups.
    pub fn weights(&self) -> Vec<f64> {
        self.clone().groups_mut().concat()
    }

    /// Sets all weights, in the order of the groups; `weights` holds [`weight_count`](Self::weight_count) numbers.
    pub fn set_weights(&mut self, weights: &[f64]) {
        let mut left = weights;
        for group in self.groups_mut() {
            let (now, rest) = left.split_at(group.len());
            group.copy_from_slice(now);
            left = rest;
        }
    }

    /// The increments of its variables in units of their standard deviations, into `out`, and their derivatives by the inputs, into
    /// `gradients` (row-major, one row of D_u + D_p an increment), for standardized `input` (state, then control).
    pub fn increments(&self, input: &[f64], out: &mut [f64], gradients: &mut [f64]) {
        match self {
            Network::Own(n) => out[0] = n.increment_and_gradient(input, gradients),
            Network::Shared(n) => n.increments(input, out, gradients),
        }
    }

    /// Checks the sizes for `d` variables and `p` control parameters, and that all weights are finite.
    fn check(&self, i: usize, names: &[&str], p: usize) -> Result<()> {
        let d = names.len();
        let fail = |message: String| Err(Error::Invalid(message));
        let (rows, what) = match self {
            Network::Own(n) => {
                let name = names[i];
                if n.own != i || n.inner.len() != d + p {
                    return fail(format!(
                        "sub-network '{name}' is not that of variable {i} with {} rows of inner weights",
                        d + p
                    ));
                }
                if n.inner[i].iter().any(|w| *w != 0.0) {
                    return fail(format!(
                        "row {i} of A of sub-network '{name}' must be zero: the variable enters through a alone"
                    ));
                }
                let rows: Vec<&Vec<f64>> = [&n.a, &n.alpha, &n.b, &n.beta]
                    .into_iter()
                    .chain(&n.inner)
                    .collect();
                (rows, format!("sub-network '{name}'"))
            }
            Network::Shared(n) => {
                if n.inner.len() != d + p || n.output.len() != d || n.gamma.len() != d {
                    return fail(format!(
                        "the two-layer network does not have {} rows of inner weights and {d} of output weights",
                        d + p
                    ));
                }
                let rows: Vec<&Vec<f64>> = [&n.beta]
                    .into_iter()
                    .chain(&n.inner)
                    .chain(&n.output)
                    .collect();
                (rows, "the two-layer network".to_owned())
            }
        };
        let hidden = self.hidden();
        if hidden == 0 || rows.iter().any(|r| r.len() != hidden) {
            return fail(format!(
                "the weights of {what} do not have one size N_h = {hidden}"
            ));
        }
        if self.weights().iter().any(|w| !w.is_finite()) {
            return fail(format!("the weights of {what} are not all finite"));
        }
        Ok(())
    }
}

/// Checks that networks make up one map of the variables `names` with `p` control parameters.
pub(super) fn check_networks(networks: &[Network], names: &[&str], p: usize) -> Result<()> {
    let shared = networks
        .first()
        .is_some_and(|n| n.architecture() == Architecture::TwoLayerMap);
    let expected = if shared { 1 } else { names.len() };
    if networks.len() != expected
        || networks
            .iter()
            .any(|n| n.architecture() != networks[0].architecture())
    {
        return Err(Error::Invalid(format!(
            "{} networks; expected one of two layers, or {} of one variable each",
            networks.len(),
            names.len()
        )));
    }
    networks
        .iter()
        .enumerate()
        .try_for_each(|(i, n)| n.check(i, names, p))
}

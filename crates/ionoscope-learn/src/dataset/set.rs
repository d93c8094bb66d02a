//! A sampled dataset, and the regression problems that networks are trained on.

use std::ops::Range;

use ionoscope_dynamics::spec::Spec;
use serde::{Deserialize, Serialize};

use super::config::DatasetConfig;
use crate::{architectures::network::Network, hash, normalizer::Normalizer, pairs::Pairs};

/// How many chunks had to be drawn again, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrawn {
    /// The start was too near to the fixed point.
    pub near_fixed_point: u64,
    /// The trajectory ended on a fixed point.
    pub on_fixed_point: u64,
    /// The trajectory could not be completed.
    pub failed: u64,
}

/// A sampled dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// How it was made.
    pub config: DatasetConfig,
    /// Names, units and ranges of the variables and of the control parameters, with the training ranges.
    pub spec: Spec,
    /// Means and standard deviations of the training pairs.
    pub normalizer: Normalizer,
    /// Pairs to train on.
    pub training: Pairs,
    /// Pairs of the same chunks, kept apart for validation.
    pub validation: Pairs,
    /// Pairs of other chunks.
    pub new_chunks: Pairs,
    /// Chunks that were drawn again.
    pub redrawn: Redrawn,
}

/// One network's regression problem, standardized, structure of arrays.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// D_u + D_p rows, each one value a pair: standardized state, then standardized control parameters.
    pub inputs: Vec<Vec<f64>>,
    /// One row a variable to be learned: its increment in units of the increment's standard deviation, one a pair.
    pub targets: Vec<Vec<f64>>,
    /// For each input the share of its range that one standard deviation of the data covers: the range of a variable is that of its
    /// [`Spec`], the range of a control parameter the one that was sampled.
    pub coverage: Vec<f64>,
}

impl Design {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.targets[0].len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the first `n` pairs.
    pub fn truncate(&mut self, n: usize) {
        self.inputs
            .iter_mut()
            .chain(&mut self.targets)
            .for_each(|row| row.truncate(n));
    }
}

impl Dataset {
    /// The regression problem of the variables `outputs`.
    pub fn design(&self, outputs: Range<usize>, pairs: &Pairs) -> Design {
        let n = &self.normalizer;
        let state = (0..pairs.dimension).map(|k| {
            (0..pairs.len())
                .map(|j| n.state(k, pairs.u(j)[k]))
                .collect()
        });
        let control = (0..pairs.parameters).map(|l| {
            (0..pairs.len())
                .map(|j| n.parameter(l, pairs.p(j)[l]))
                .collect()
        });
        let increment = |i: usize| {
            (0..pairs.len())
                .map(move |j| (pairs.next(j)[i] - pairs.u(j)[i]) / n.increment_sd[i])
                .collect()
        };
        let width = |[low, high]: [f64; 2]| if high > low { high - low } else { 1.0 };
        let sampled = self
            .spec
            .trained_on
            .iter()
            .flat_map(|t| t.parameters.iter().chain(&t.stimulus));
        let ranges = self
            .spec
            .variables
            .iter()
            .map(|q| width(q.range))
            .chain(sampled.map(|r| width(*r)));
        let coverage = n
            .state_sd
            .iter()
            .chain(&n.parameter_sd)
            .zip(ranges)
            .map(|(sd, width)| sd / width)
            .collect();
        Design {
            inputs: state.chain(control).collect(),
            targets: outputs.map(increment).collect(),
            coverage,
        }
    }

    /// Mean squared error of a network on pairs, for each variable whose increment it gives, in units of the increment's standard deviation.
    pub fn increment_mse(&self, network: &Network, pairs: &Pairs) -> Vec<f64> {
        let design = self.design(network.outputs(), pairs);
        let (outputs, inputs) = (design.targets.len(), design.inputs.len());
        let (mut input, mut out, mut gradients) = (
            vec![0.0; inputs],
            vec![0.0; outputs],
            vec![0.0; outputs * inputs],
        );
        let mut sums = vec![0.0; outputs];
        for k in 0..pairs.len() {
            for (x, row) in input.iter_mut().zip(&design.inputs) {
                *x = row[k];
            }
            network.increments(&input, &mut out, &mut gradients);
            for ((sum, out), target) in sums.iter_mut().zip(&out).zip(&design.targets) {
                *sum += (out - target[k]).powi(2);
            }
        }
        sums.iter().map(|s| s / pairs.len() as f64).collect()
    }

    /// Turns an increment MSE of variable `i` into units of the state's variance: the validation MSE of Kuptsov et al.
    pub fn state_mse(&self, i: usize, increment_mse: f64) -> f64 {
        increment_mse * (self.normalizer.increment_sd[i] / self.normalizer.state_sd[i]).powi(2)
    }

    /// A fingerprint of all numbers that training sees.
    pub fn hash(&self) -> u64 {
        let parts = [&self.training, &self.validation, &self.new_chunks];
        let numbers = parts
            .into_iter()
            .flat_map(|s| s.p.iter().chain(&s.u).chain(&s.next));
        hash::of_numbers(numbers.copied())
    }
}

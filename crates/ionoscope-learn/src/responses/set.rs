//! Datasets of responses in memory.

use ionoscope_dynamics::{protocol::Protocol, spec::Spec};

use super::config::ResponseConfig;

/// Samples of one set, in single precision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Responses {
    /// Times of the grid.
    pub points: usize,
    /// Variables.
    pub variables: usize,
    /// Mean current of every cell, `[sample][point]`.
    pub input: Vec<f32>,
    /// States, `[sample][variable][point]`.
    pub x: Vec<f32>,
    /// Index of each sample's class in its family.
    pub class: Vec<u32>,
    /// Parameters.
    pub parameters: usize,
    /// Their values, `[sample][parameter]`.
    pub p: Vec<f64>,
}

/// What a response follows from.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Mean current of every cell of the grid.
    pub current: Vec<f64>,
    /// State at the first time.
    pub start: Vec<f64>,
    /// Parameters, all of the model's.
    pub p: Vec<f64>,
}

impl Responses {
    /// What sample `k` follows from.
    pub fn condition(&self, k: usize) -> Condition {
        let current = self.input(k).iter().map(|v| f64::from(*v)).collect();
        Condition {
            current,
            start: self.start(k),
            p: self.p[k * self.parameters..(k + 1) * self.parameters].to_vec(),
        }
    }

    /// What each sample follows from.
    pub fn conditions(&self) -> Vec<Condition> {
        (0..self.len()).map(|k| self.condition(k)).collect()
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.class.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.class.is_empty()
    }

    /// Input of sample `k`, `[point]`.
    pub fn input(&self, k: usize) -> &[f32] {
        &self.input[k * self.points..(k + 1) * self.points]
    }

    /// State of sample `k` at the first time.
    pub fn start(&self, k: usize) -> Vec<f64> {
        self.x(k)
            .chunks_exact(self.points)
            .map(|row| f64::from(row[0]))
            .collect()
    }

    /// States of sample `k`, `[variable][point]`.
    pub fn x(&self, k: usize) -> &[f32] {
        let n = self.points * self.variables;
        &self.x[k * n..(k + 1) * n]
    }
}

/// A dataset of responses.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseData {
    /// How it was made.
    pub config: ResponseConfig,
    /// The model, its parameters as they were set.
    pub spec: Spec,
    /// Names of the classes of the training and of the test family.
    pub classes: [Vec<String>; 2],
    /// To train on.
    pub training: Responses,
    /// To choose networks by.
    pub validation: Responses,
    /// To report errors on.
    pub test: Responses,
}

/// The mean current of every cell of a grid of `points` over [0, t_end] under a protocol.
pub fn cell_means(protocol: &Protocol, t_end: f64, points: usize) -> Vec<f64> {
    let signal = protocol.signal(t_end);
    let edge = |i: usize| t_end * i as f64 / points as f64;
    (0..points)
        .map(|i| signal.mean(edge(i), edge(i + 1)))
        .collect()
}

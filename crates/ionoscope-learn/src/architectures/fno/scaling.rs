//! What turns the numbers of a network into those of the model, and those of the model into its inputs.

use std::collections::BTreeMap;

use ionoscope_dynamics::spec::Spec;
use serde::{Deserialize, Serialize};

use crate::responses::Condition;

/// Input channels of every network: time over T, and the current.
pub(super) const CHANNELS: usize = 2;

/// Integral of the current from t = 0 to each time of a grid, from its means over the cells: the same on any grid.
pub(crate) fn charges(current: &[f64], dt: f64) -> impl Iterator<Item = f64> {
    current.iter().scan(0.0, move |sum, v| {
        let before = *sum;
        *sum += v * dt;
        Some(before)
    })
}

/// What turns the network's numbers into those of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// What currents are divided by.
    pub input: f64,
    /// What the charge, the integral of the current from t = 0, is divided by, where it is an input: at any time it tells what came before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<f64>,
    /// What outputs are multiplied by: the standard deviation of each variable over all times and training samples.
    pub state: Vec<f64>,
    /// Time constant of the start, as a fraction of T: an output is the start plus (1 - exp(-t / (ramp T))) times what the network gives, so that
    /// it is exact at t = 0.
    pub ramp: f64,
    /// Mean and standard deviation of each variable of the start, where the start is an input of the network: it then advances any state by T, and
    /// again from there. Where it is none, the network knows the one start of its [`Spec`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Vec<[f64; 2]>>,
    /// Where outputs are scaled time by time, as Pellegrini et al. do: an output is then this mean plus this standard deviation times what the network
    /// gives, and `state` and `ramp` are not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_point: Option<PerPoint>,
    /// Mean and standard deviation of the parameters that are inputs of the network, by name. Others are those of its [`Spec`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, [f64; 2]>,
}

/// Mean and standard deviation over the training samples at every time of the training's grid, `[variable][point]`, the latter not zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerPoint {
    /// Mean.
    pub mean: Vec<Vec<f32>>,
    /// Standard deviation.
    pub sd: Vec<Vec<f32>>,
}

/// What turns the network's numbers into states on a grid: x = base + gain y, `[variable][point]`, where the base is the start unless it is given.
pub(crate) struct Frame {
    pub base: Option<Vec<f32>>,
    pub gain: Vec<f32>,
}

impl Frame {
    /// The base of the value at `at`, an index into `[variable][point]`, for a start of its variable.
    pub fn base(&self, at: usize, start: f64) -> f64 {
        self.base.as_ref().map_or(start, |b| f64::from(b[at]))
    }
}

impl Scaling {
    /// The frame on a grid of `points` times, of a network scaled time by time those of its training.
    pub(crate) fn frame(&self, points: usize) -> Frame {
        let Some(PerPoint { mean, sd }) = &self.per_point else {
            // 1 - exp(-t / (ramp T))
            let ramp: Vec<f64> = (0..points)
                .map(|i| -(-(i as f64) / (points as f64 * self.ramp)).exp_m1())
                .collect();
            let gain = self
                .state
                .iter()
                .flat_map(|sd| ramp.iter().map(move |r| (r * sd) as f32))
                .collect();
            return Frame { base: None, gain };
        };
        let rows = |rows: &[Vec<f32>]| rows.concat();
        Frame {
            base: Some(rows(mean)),
            gain: rows(sd),
        }
    }

    /// Number of input channels: time over T, the current and, where they are inputs, the charge, the start and parameters, each of them a constant.
    pub(crate) fn inputs(&self) -> usize {
        CHANNELS
            + usize::from(self.charge.is_some())
            + self.start.as_ref().map_or(0, Vec::len)
            + self.parameters.len()
    }

    /// The input of the network under a condition on a grid of step `dt`.
    pub(crate) fn channels(&self, spec: &Spec, condition: &Condition, dt: f64) -> Vec<f32> {
        let Condition { current, start, p } = condition;
        let points = current.len();
        let mut channels: Vec<f32> = (0..points).map(|i| i as f32 / points as f32).collect();
        channels.extend(current.iter().map(|v| (v / self.input) as f32));
        if let Some(scale) = self.charge {
            channels.extend(charges(current, dt).map(|q| (q / scale) as f32));
        }
        for ([mean, sd], x) in self.start.iter().flatten().zip(start) {
            channels.extend(std::iter::repeat_n(((x - mean) / sd) as f32, points));
        }
        for (q, p) in spec.parameters.iter().zip(p) {
            if let Some([mean, sd]) = self.parameters.get(&q.name) {
                channels.extend(std::iter::repeat_n(((p - mean) / sd) as f32, points));
            }
        }
        channels
    }
}

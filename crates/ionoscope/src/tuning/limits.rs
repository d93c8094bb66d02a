//! What the trials of a study may cost.

use ionoscope_learn::Error as LearnError;
use serde::{Deserialize, Serialize};

use crate::Result;

/// A budget that every trial of a study must meet: one of `weights`, `flops`, `bytes` and `latency`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Most trainable weights, all of them counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<f64>,
    /// Most floating-point operations of a pass forward ([`FnoConfig::flops`](ionoscope_learn::architectures::fno::FnoConfig::flops)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flops: Option<f64>,
    /// Most bytes of weights in the surrogate's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<f64>,
    /// Most seconds for one response, measured on this machine with the trial's threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<f64>,
    /// Least share of it that a trial must use: .97 where nothing is said, of a latency .8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<f64>,
    /// The key that is set as large as the budget allows, such as `operator.network.modes`; it is not in the space. Without it, draws outside the
    /// budget are drawn again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solve: Option<String>,
}

impl Budget {
    /// What is limited, the most and the least of it.
    ///
    /// # Errors
    /// None or several limits; numbers that make no sense.
    pub fn limits(&self) -> Result<(Cost, [f64; 2])> {
        let all = [
            (Cost::Weights, self.weights, 0.97),
            (Cost::Flops, self.flops, 0.97),
            (Cost::Bytes, self.bytes, 0.97),
            (Cost::Latency, self.latency, 0.8),
        ];
        let given: Vec<_> = all
            .into_iter()
            .filter_map(|(cost, most, least)| Some((cost, most?, self.least.unwrap_or(least))))
            .collect();
        let [(cost, most, least)] = given[..] else {
            let problem = format!(
                "{} limits; expected one of weights, flops, bytes, latency",
                given.len()
            );
            return Err(LearnError::of_setting("budget", problem).into());
        };
        if !(most > 0.0 && most.is_finite() && (0.0..=1.0).contains(&least)) {
            let problem = format!(
                "{} = {most}, least = {least}; expected a positive number, and a share",
                cost.name()
            );
            return Err(LearnError::of_setting("budget", problem).into());
        }
        Ok((cost, [least * most, most]))
    }
}

/// What a surrogate costs its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Trainable weights.
    Weights,
    /// Floating-point operations of a pass forward.
    Flops,
    /// Bytes of weights in the file.
    Bytes,
    /// Seconds of one response.
    Latency,
}

impl Cost {
    /// All of them.
    pub const ALL: [Cost; 4] = [Cost::Weights, Cost::Flops, Cost::Bytes, Cost::Latency];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Cost::Weights => "weights",
            Cost::Flops => "flops",
            Cost::Bytes => "bytes",
            Cost::Latency => "latency",
        }
    }
}

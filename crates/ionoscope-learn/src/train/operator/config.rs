//! How an operator is trained.

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    adam::{AdamConfig, Schedule},
    architectures::fno::{FnoConfig, HIDDEN, grid::Grid},
    responses::ResponseConfig,
};

/// Smallest standard deviation at a time, relative to that over all times.
pub const FLOOR: f64 = 0.05;
/// Chunks of a batch, whose gradients are summed in order: fixed, so that sums do not depend on the number of threads.
pub(super) const CHUNKS: usize = 8;

/// Weights of the parts of the loss, each relative and averaged over variables and samples. Networks are chosen by the normalized error alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// `||p - x||_s / ||x - mean||_s`, every time divided by s(t): what networks are judged by.
    pub normalized: f64,
    /// `||p - x|| / ||x||` in physical units; the size of what is hardly there counts as a twentieth of the variable's standard deviation.
    pub physical: f64,
    /// The same of the derivatives, whose size counts as at least one standard deviation over T: with it the loss is one in H1.
    pub slope: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig {
            normalized: 1.0,
            physical: 0.0,
            slope: 0.0,
        }
    }
}

/// How weights are moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Adam, with decoupled weight decay.
    Adam,
    /// The matrices between hidden channels along their orthogonalized mean gradients, all else by Adam.
    #[default]
    Muon,
}

/// What the network's outputs are scaled by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// One number a variable, and exact at the start.
    #[default]
    PerChannel,
    /// Mean and standard deviation at every time, as Pellegrini et al. do, for comparison; the normalized loss is then in their form, where each time is
    /// divided by the standard deviation there plus 1e-5, not floored.
    PerPoint,
}

impl Normalization {
    fn is_default(&self) -> bool {
        *self == Normalization::default()
    }
}

/// How an operator is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OperatorConfig {
    /// The network.
    pub network: FnoConfig,
    /// How the weights are moved.
    pub optimizer: Optimizer,
    /// Epochs, batch, learning rate and its schedule, weight decay.
    pub adam: AdamConfig,
    /// What is made small.
    pub loss: LossConfig,
    /// Longest gradient of a step; a longer one is shortened to it. 0: as it is.
    pub clip: f64,
    /// Decay a step of the running mean of the weights, which is what is judged and kept; while there were fewer than ten times as many steps as it goes
    /// back, the mean is over about the last tenth of them. 0: the weights themselves.
    pub average: f64,
    /// See [`Scaling::ramp`](crate::architectures::fno::Scaling::ramp).
    pub ramp: f64,
    /// What outputs are scaled by; older configurations call it `normaliser`.
    #[serde(
        skip_serializing_if = "Normalization::is_default",
        alias = "normaliser"
    )]
    pub normalization: Normalization,
    /// Whether the network is also given the charge, the integral of the current.
    pub charge: bool,
    /// The validation error is computed after every so many epochs, and at the end.
    pub validate_every: u64,
    /// Validations without a new smallest error after which the training ends. 0: it never does.
    pub patience: u64,
    /// Seed of the initial weights and of the order of the samples.
    pub seed: u64,
}

impl Default for OperatorConfig {
    fn default() -> Self {
        OperatorConfig {
            network: FnoConfig::default(),
            optimizer: Optimizer::default(),
            adam: AdamConfig {
                epochs: 200,
                batch: 32,
                learning_rate: 2e-3,
                schedule: Schedule::Cosine {
                    warm_up: 0.02,
                    end: 1e-3,
                },
                weight_decay: 1e-4,
                epsilon: 1e-8,
                ..AdamConfig::default()
            },
            loss: LossConfig::default(),
            clip: 1.0,
            average: 0.999,
            ramp: 0.005,
            normalization: Normalization::default(),
            charge: true,
            validate_every: 5,
            patience: 0,
            seed: 1,
        }
    }
}

impl OperatorConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first that makes no sense.
    pub fn check(&self) -> Result<()> {
        self.network.check().map_err(|e| e.within("network"))?;
        self.adam.check().map_err(|e| e.within("adam"))?;
        let require = |ok: bool, name: &str, value: f64, expected: &str| {
            if ok {
                Ok(())
            } else {
                Err(Error::setting(name, value, expected))
            }
        };
        require(
            self.clip >= 0.0 && self.clip.is_finite(),
            "clip",
            self.clip,
            "0 or more",
        )?;
        require(
            (0.0..1.0).contains(&self.average),
            "average",
            self.average,
            "a number in [0, 1)",
        )?;
        let parts = [
            ("normalized", self.loss.normalized),
            ("physical", self.loss.physical),
            ("slope", self.loss.slope),
        ];
        for (name, weight) in parts {
            require(
                weight >= 0.0 && weight.is_finite(),
                &format!("loss.{name}"),
                weight,
                "0 or more",
            )?;
        }
        require(
            parts.iter().any(|p| p.1 > 0.0),
            "loss",
            0.0,
            "at least one part with a weight",
        )?;
        require(
            self.ramp > 0.0 && self.ramp <= 1.0,
            "ramp",
            self.ramp,
            "a number in (0, 1]",
        )?;
        require(
            self.validate_every > 0,
            "validate_every",
            self.validate_every as f64,
            "at least 1",
        )?;
        require(
            self.adam.epochs > 0,
            "adam.epochs",
            self.adam.epochs as f64,
            "at least 1",
        )
    }
}

impl OperatorConfig {
    /// Checks every number, also against those of the data: worth asking before these are made.
    ///
    /// # Errors
    /// As [`check`](Self::check); a grid too coarse for the modes; windows with scales by time.
    pub fn check_for(&self, data: &ResponseConfig) -> Result<()> {
        self.check()?;
        if data.windows > 0 && self.normalization == Normalization::PerPoint {
            let expected =
                "per_channel, or no responses.windows: it is for responses from one start";
            return Err(Error::setting("normalization", "\"per_point\"", expected));
        }
        Grid::<f32>::new(data.points, self.network.padding, self.network.modes)
            .map(|_| ())
            .map_err(|e| Error::of_setting("network.modes", e))
    }

    /// Bytes that a training takes besides its data, with so many threads: inputs, what each thread keeps for the way back, weights and moments.
    pub fn bytes(&self, data: &ResponseConfig, variables: usize, threads: usize) -> u64 {
        let (points, count) = (
            data.points as u64,
            self.weight_count(variables, data) as u64,
        );
        let n = &self.network;
        let full = (n.width as f64 * points as f64 * (1.0 + n.padding)) as u64;
        let kept =
            full * (5 * n.layers as u64 + 4) + points * (5 * HIDDEN as u64 + variables as u64);
        let channels = 1 + self.inputs(variables, data) as u64;
        let inputs =
            data.samples.iter().take(2).map(|s| *s as u64).sum::<u64>() * points * channels;
        4 * (inputs + kept * threads as u64 + count * CHUNKS as u64) + 8 * 7 * count
    }

    /// Input channels: time, the current, perhaps its charge, of windows the start, and the parameters that vary.
    pub fn inputs(&self, variables: usize, data: &ResponseConfig) -> usize {
        2 + usize::from(self.charge)
            + if data.windows > 0 { variables } else { 0 }
            + data.vary.len()
    }

    /// Exact number of trainable weights for a model of so many variables.
    pub fn weight_count(&self, variables: usize, data: &ResponseConfig) -> usize {
        self.network
            .weight_count(self.inputs(variables, data), variables)
    }
}

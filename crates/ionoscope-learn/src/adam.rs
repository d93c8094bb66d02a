//! Adam with schedules of the learning rate.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    kernels::{AdamStep, Backend},
    tagged::exactly,
};

/// How the learning rate changes over a training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", try_from = "Written")]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// Rises linearly during `warm_up` (a share of all steps), then falls as half a cosine to `end` times the learning rate.
    Cosine {
        /// Share of all steps in which the rate rises.
        warm_up: f64,
        /// Rate of the last step relative to the highest.
        end: f64,
    },
    /// Rises as half a cosine from `start` times the learning rate during `warm_up` (a share of all steps), then falls as half a cosine to `end`
    /// times it.
    OneCycle {
        /// Rate of the first step relative to the highest.
        start: f64,
        /// Share of all steps in which the rate rises.
        warm_up: f64,
        /// Rate of the last step relative to the highest.
        end: f64,
    },
    /// Multiplied by `factor` after every `every` epochs.
    Steps {
        /// What it is multiplied by.
        factor: f64,
        /// Epochs between two changes.
        every: u64,
    },
}

/// A [`Schedule`] as it stands in files: read so, errors name the key within it.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { kind = \"constant\" }"
)]
struct Written {
    kind: Kind,
    start: Option<f64>,
    warm_up: Option<f64>,
    end: Option<f64>,
    factor: Option<f64>,
    every: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Constant,
    Cosine,
    OneCycle,
    Steps,
}

impl TryFrom<Written> for Schedule {
    type Error = String;

    fn try_from(w: Written) -> std::result::Result<Self, String> {
        let given = [
            ("start", w.start),
            ("warm_up", w.warm_up),
            ("end", w.end),
            ("factor", w.factor),
            ("every", w.every.map(|n| n as f64)),
        ];
        Ok(match w.kind {
            Kind::Constant => {
                let [] = exactly("constant", [], &given)?;
                Schedule::Constant
            }
            Kind::Cosine => {
                let [warm_up, end] = exactly("cosine", ["warm_up", "end"], &given)?;
                Schedule::Cosine { warm_up, end }
            }
            Kind::OneCycle => {
                let [start, warm_up, end] =
                    exactly("one-cycle", ["start", "warm_up", "end"], &given)?;
                Schedule::OneCycle {
                    start,
                    warm_up,
                    end,
                }
            }
            Kind::Steps => {
                let [factor, every] = exactly("steps", ["factor", "every"], &given)?;
                Schedule::Steps {
                    factor,
                    every: every as u64,
                }
            }
        })
    }
}

/// The settings of Adam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Passes over the training pairs; 0 leaves everything to the second-order finish.
    pub epochs: u64,
    /// Most pairs a step; batches are made equally large.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// Added to the root of the mean squared gradient. Near the end gradients are small, so that 1e-8 would already slow them down.
    pub epsilon: f64,
    /// Decoupled weight decay, relative to the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        AdamConfig {
            epochs: 2000,
            // Both beta-cells, three seeds each with data of their own, 2000 epochs: validation MSE at most 1.01e-8; with 3e-3 at most 1.5e-8.
            batch: 50,
            learning_rate: 5e-3,
            schedule: Schedule::Cosine {
                warm_up: 0.01,
                end: 1e-3,
            },
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-12,
            weight_decay: 0.0,
        }
    }
}

impl AdamConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first that makes no sense.
    pub fn check(&self) -> Result<()> {
        let require = |ok: bool, name: &str, value: f64, expected: &str| {
            if ok {
                Ok(())
            } else {
                Err(Error::setting(name, value, expected))
            }
        };
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let positive = |v: f64| v.is_finite() && v > 0.0;
        require(self.batch > 0, "batch", self.batch as f64, "at least 1")?;
        require(
            positive(self.learning_rate),
            "learning_rate",
            self.learning_rate,
            "a positive number",
        )?;
        require(
            (0.0..1.0).contains(&self.beta1),
            "beta1",
            self.beta1,
            "a number in [0, 1)",
        )?;
        require(
            (0.0..1.0).contains(&self.beta2),
            "beta2",
            self.beta2,
            "a number in [0, 1)",
        )?;
        require(
            positive(self.epsilon),
            "epsilon",
            self.epsilon,
            "a positive number",
        )?;
        require(
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            "weight_decay",
            self.weight_decay,
            "0 or more",
        )?;
        match self.schedule {
            Schedule::Constant => Ok(()),
            Schedule::Cosine { warm_up, end } => {
                require(
                    share(warm_up),
                    "schedule.warm_up",
                    warm_up,
                    "a number in [0, 1]",
                )?;
                require(share(end), "schedule.end", end, "a number in [0, 1]")
            }
            Schedule::OneCycle {
                start,
                warm_up,
                end,
            } => {
                require(share(start), "schedule.start", start, "a number in [0, 1]")?;
                require(
                    share(warm_up),
                    "schedule.warm_up",
                    warm_up,
                    "a number in [0, 1]",
                )?;
                require(share(end), "schedule.end", end, "a number in [0, 1]")
            }
            Schedule::Steps { factor, every } => {
                require(
                    positive(factor) && factor <= 1.0,
                    "schedule.factor",
                    factor,
                    "a number in (0, 1]",
                )?;
                require(every > 0, "schedule.every", every as f64, "at least 1")
            }
        }
    }

    /// The share of all steps that step `step` is at.
    fn share(&self, step: u64, per_epoch: u64) -> f64 {
        (step as f64 + 0.5) / (self.epochs.max(1) * per_epoch) as f64
    }

    /// The learning rate of step `step` (from 0), with `per_epoch` steps an epoch.
    pub fn rate(&self, step: u64, per_epoch: u64) -> f64 {
        let factor = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine { warm_up, end } => {
                let t = self.share(step, per_epoch);
                if t < warm_up {
                    t / warm_up
                } else {
                    fall(t, warm_up, end)
                }
            }
            Schedule::OneCycle {
                start,
                warm_up,
                end,
            } => {
                let t = self.share(step, per_epoch);
                if t < warm_up {
                    start + (1.0 - start) * 0.5 * (1.0 - (std::f64::consts::PI * t / warm_up).cos())
                } else {
                    fall(t, warm_up, end)
                }
            }
            Schedule::Steps { factor, every } => factor.powf((step / per_epoch / every) as f64),
        };
        self.learning_rate * factor
    }

    /// What step `step` (from 0) multiplies with.
    pub(crate) fn step(&self, step: u64, per_epoch: u64) -> AdamStep {
        let t = (step + 1) as f64;
        AdamStep {
            rate: self.rate(step, per_epoch),
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            correction1: 1.0 - self.beta1.powf(t),
            correction2: 1.0 - self.beta2.powf(t),
        }
    }
}

/// Half a cosine from 1 at `warm_up` to `end` at 1.
fn fall(t: f64, warm_up: f64, end: f64) -> f64 {
    let fallen = ((t - warm_up) / (1.0 - warm_up).max(f64::MIN_POSITIVE)).min(1.0);
    end + (1.0 - end) * 0.5 * (1.0 + (std::f64::consts::PI * fallen).cos())
}

/// The moments of the gradient of one sub-network.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Decaying mean of the gradient, `[weights]`.
    pub first: Vec<f64>,
    /// Decaying mean of its square, `[weights]`.
    pub second: Vec<f64>,
    /// Steps made.
    pub steps: u64,
}

impl Adam {
    /// No step made yet.
    pub fn new(weights: usize) -> Self {
        Adam {
            first: vec![0.0; weights],
            second: vec![0.0; weights],
            steps: 0,
        }
    }

    /// Moves `weights` by one step against `gradient`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn step(
        &mut self,
        backend: Backend,
        config: &AdamConfig,
        per_epoch: u64,
        weights: &mut [f64],
        gradient: &[f64],
    ) {
        self.step_parts(
            backend,
            config,
            per_epoch,
            weights,
            gradient,
            std::slice::from_ref(&(0..weights.len())),
        );
    }

    /// The same for the weights in `parts` only.
    pub(crate) fn step_parts(
        &mut self,
        backend: Backend,
        config: &AdamConfig,
        per_epoch: u64,
        weights: &mut [f64],
        gradient: &[f64],
        parts: &[Range<usize>],
    ) {
        let step = config.step(self.steps, per_epoch);
        self.steps += 1;
        for part in parts {
            let at = part.clone();
            let [first, second] = [&mut self.first[at.clone()], &mut self.second[at.clone()]];
            backend.adam(
                &step,
                &mut weights[at.clone()],
                first,
                second,
                &gradient[at],
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_steps_are_those_of_the_paper() {
        // On a constant gradient the corrected moments are g and g^2: every step is rate * sign(g).
        let config = AdamConfig {
            schedule: Schedule::Constant,
            learning_rate: 0.1,
            epsilon: 1e-300,
            ..AdamConfig::default()
        };
        for backend in Backend::available() {
            let mut adam = Adam::new(9);
            let mut w = vec![1.0; 9];
            let g: Vec<f64> = (0..9)
                .map(|i| 10f64.powi(i - 4) * if i % 2 == 0 { 1.0 } else { -1.0 })
                .collect();
            for _ in 0..3 {
                adam.step(backend, &config, 1, &mut w, &g);
            }
            for (w, g) in w.iter().zip(&g) {
                assert!((w - (1.0 - 0.3 * g.signum())).abs() < 1e-12, "{w} {g}");
            }
        }
    }

    #[test]
    fn schedules_rise_and_fall_as_they_say() {
        let c = |schedule| AdamConfig {
            epochs: 100,
            learning_rate: 1.0,
            schedule,
            ..AdamConfig::default()
        };
        let cosine = c(Schedule::Cosine {
            warm_up: 0.1,
            end: 0.01,
        });
        assert!((cosine.rate(49, 10) - 0.495).abs() < 1e-12);
        assert!((cosine.rate(549, 10) - (0.01 + 0.99 * 0.5)).abs() < 2e-3);
        assert!((cosine.rate(999, 10) - 0.01).abs() < 1e-5);
        let cycle = c(Schedule::OneCycle {
            start: 0.04,
            warm_up: 0.3,
            end: 0.01,
        });
        assert!(
            (cycle.rate(0, 10) - 0.04).abs() < 1e-5 && (cycle.rate(999, 10) - 0.01).abs() < 1e-5
        );
        assert!(
            (cycle.rate(149, 10) - 0.52).abs() < 3e-3 && (cycle.rate(299, 10) - 1.0).abs() < 1e-4
        );
        let steps = c(Schedule::Steps {
            factor: 0.5,
            every: 30,
        });
        assert_eq!(
            [0, 299, 300, 900].map(|s| steps.rate(s, 10)),
            [1.0, 1.0, 0.5, 0.125]
        );
        assert_eq!(c(Schedule::Constant).rate(5, 10), 1.0);
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        let bad = AdamConfig {
            learning_rate: f64::NAN,
            ..AdamConfig::default()
        };
        assert!(
            bad.check()
                .unwrap_err()
                .to_string()
                .contains("learning_rate")
        );
        let bad = AdamConfig {
            schedule: Schedule::Steps {
                factor: 0.5,
                every: 0,
            },
            ..AdamConfig::default()
        };
        assert!(
            bad.check()
                .unwrap_err()
                .to_string()
                .contains("schedule.every")
        );
        assert!(AdamConfig::default().check().is_ok());
    }
}

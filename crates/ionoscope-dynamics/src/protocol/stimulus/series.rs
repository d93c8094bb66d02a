//! Currents given value by value: colored noise, and values at some times.

use serde::{Deserialize, Serialize};

use super::fields::{end, fail, finite, not_negative, positive, steps_in};
use crate::{
    Result,
    protocol::signal::Stretch,
    sampling::{normal, stream},
};

/// Ornstein-Uhlenbeck noise, sampled every `dt` and held between.
///
/// Sample k holds on [start + k dt, start + (k + 1) dt): mean + z_k with z_0 = sd xi_0 and the exact transition
/// z_(k+1) = a z_k + sd sqrt(1 - a^2) xi_(k+1), a = exp(-dt / correlation_time) (Gillespie 1996, doi 10.1103/PhysRevE.54.2084), so that every
/// sample has standard deviation sd and two that are t apart have correlation exp(-t / correlation_time). A longer run has the same samples
/// and more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// When it begins.
    #[serde(default)]
    pub start: f64,
    /// How long it lasts; for ever where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Mean current.
    #[serde(default)]
    pub mean: f64,
    /// Standard deviation of the current.
    pub sd: f64,
    /// Correlation time; 0 for samples that do not depend on each other.
    pub correlation_time: f64,
    /// Sampling step.
    pub dt: f64,
    /// Seed; the same one gives the same noise. At most 2^63 - 1, the largest whole number in TOML.
    pub seed: u64,
}

/// What a sampled current does between its times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// It keeps the last value.
    #[default]
    Hold,
    /// It runs straight from value to value.
    Linear,
}

/// A current given by its values at some times; 0 before the first time. The last value is kept for ever, unless `duration` ends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// Added to all times.
    #[serde(default)]
    pub start: f64,
    /// How long after its first time it ends; never where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// What it does between the times.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Times, each after the one before.
    pub times: Vec<f64>,
    /// The current at each time.
    pub values: Vec<f64>,
}

impl Noise {
    pub(super) fn check(&self) -> Result<()> {
        not_negative("start", self.start)?;
        not_negative("duration", self.duration.unwrap_or(0.0))?;
        finite("mean", self.mean)?;
        not_negative("sd", self.sd)?;
        not_negative("correlation_time", self.correlation_time)?;
        positive("dt", self.dt)?;
        if self.seed > i64::MAX as u64 {
            return fail(format!(
                "its seed is {}; expected at most {}",
                self.seed,
                i64::MAX
            ));
        }
        Ok(())
    }

    pub(super) fn stretches(&self, end: f64, t_end: f64) -> Vec<Stretch> {
        let mut rng = stream(self.seed, "noise", 0);
        let decay = (-self.dt / self.correlation_time).exp();
        // sqrt(1 - decay^2) without losing its digits for steps far below the correlation time.
        let kick = self.sd * (-(-2.0 * self.dt / self.correlation_time).exp_m1()).sqrt();
        let mut z = self.sd * normal(&mut rng);
        let mut all = Vec::new();
        for k in 0..steps_in(end.min(t_end) - self.start, self.dt) as u64 {
            let [from, to] = [k, k + 1].map(|k| self.start + k as f64 * self.dt);
            if !(from < end && from <= t_end) {
                break;
            }
            all.push(Stretch::constant(from, to.min(end), self.mean + z));
            z = decay * z + kick * normal(&mut rng);
        }
        all
    }
}

impl Sampled {
    pub(super) fn check(&self) -> Result<()> {
        let (times, values) = (&self.times, &self.values);
        finite("start", self.start)?;
        not_negative("duration", self.duration.unwrap_or(0.0))?;
        if times.is_empty() {
            return fail("it has no times; expected at least one, with its value".into());
        }
        if times.len() != values.len() {
            return fail(format!(
                "it has {} times and {} values; expected as many of one as of the other",
                times.len(),
                values.len()
            ));
        }
        for (what, list) in [("time", times), ("value", values)] {
            if let Some((k, bad)) = list.iter().enumerate().find(|(_, v)| !v.is_finite()) {
                return fail(format!(
                    "{what} {} is {bad}; expected a finite number",
                    k + 1
                ));
            }
        }
        not_negative("first time", self.time(0))?;
        for k in 1..times.len() {
            let [before, after] = [self.time(k - 1), self.time(k)];
            if before >= after {
                return fail(format!(
                    "time {} is {} after {}; expected times that increase",
                    k + 1,
                    times[k],
                    times[k - 1]
                ));
            }
            let slope = (values[k] - values[k - 1]) / (after - before);
            if self.interpolation == Interpolation::Linear && !slope.is_finite() {
                return fail(format!(
                    "value {} is too far from the one before for a straight line",
                    k + 1
                ));
            }
        }
        finite("last time", self.time(times.len() - 1))
    }

    fn time(&self, k: usize) -> f64 {
        self.start + self.times[k]
    }

    pub(super) fn span(&self) -> [f64; 2] {
        let Some(last) = self.times.len().checked_sub(1) else {
            return [0.0; 2];
        };
        let stop = end(self.time(0), self.duration);
        // A last value of 0 is no current and may overlap anything.
        [
            self.time(0),
            if self.values.get(last) == Some(&0.0) {
                stop.min(self.time(last))
            } else {
                stop
            },
        ]
    }

    pub(super) fn stretches(&self, end: f64, t_end: f64) -> Vec<Stretch> {
        let n = self.times.len();
        let all = (0..n).map(|k| {
            let (from, offset) = (self.time(k), self.values[k]);
            let to = if k + 1 < n {
                self.time(k + 1)
            } else {
                f64::INFINITY
            };
            let slope = match self.interpolation {
                Interpolation::Linear if k + 1 < n => (self.values[k + 1] - offset) / (to - from),
                _ => 0.0,
            };
            Stretch {
                slope,
                ..Stretch::constant(from, to.min(end), offset)
            }
        });
        all.take_while(|s| s.start < end && s.start <= t_end)
            .collect()
    }
}

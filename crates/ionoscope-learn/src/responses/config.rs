//! How responses are made.

use std::collections::BTreeMap;

use ionoscope_dynamics::spec::Spec;
use serde::{Deserialize, Serialize};

use super::family::FamilySource;
use crate::{Error, Result};

/// Most numbers of a dataset.
const MOST_NUMBERS: usize = 1 << 32;

/// How responses are made. Times and currents in the units of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseConfig {
    /// Identifier of the model.
    pub model: String,
    /// Values of parameters that differ from the model's defaults.
    pub parameters: BTreeMap<String, f64>,
    /// Ranges of parameters that are drawn uniformly for every run, for a network that has them as inputs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vary: BTreeMap<String, [f64; 2]>,
    /// Protocols of the training and of the validation set.
    pub training_family: FamilySource,
    /// Protocols of the test set.
    pub test_family: FamilySource,
    /// Numbers of samples for training, validation and test. A family with a number of members of its own is drawn as often as that takes.
    pub samples: [usize; 3],
    /// End T of the grid.
    pub t_end: f64,
    /// Times N of the grid.
    pub points: usize,
    /// 0: a sample is the beginning of a run, from the model's start. Otherwise so many windows of length T are cut from every run at random
    /// times, for a network that has the start as an input.
    pub windows: usize,
    /// Relative tolerance of the integration.
    pub rtol: f64,
    /// Absolute tolerance of the integration.
    pub atol: f64,
    /// Seed of everything that is random here.
    pub seed: u64,
}

impl Default for ResponseConfig {
    fn default() -> Self {
        ResponseConfig {
            model: "fitzhugh-nagumo-1961".into(),
            parameters: BTreeMap::new(),
            vary: BTreeMap::new(),
            training_family: FamilySource::Named("fitzhugh-nagumo-train".into()),
            test_family: FamilySource::Named("fitzhugh-nagumo-test".into()),
            samples: [3000, 375, 375],
            t_end: 100.0,
            points: 1260,
            windows: 0,
            rtol: 1e-9,
            atol: 1e-11,
            seed: 1,
        }
    }
}

impl ResponseConfig {
    /// Start of the grid's cells, one more than there are: the last ends at `t_end`.
    pub(super) fn edge(&self, i: usize) -> f64 {
        self.t_end * i as f64 / self.points as f64
    }

    /// Bytes that a dataset of a model with so many variables takes, and three times as many while it is written.
    pub fn bytes(&self, variables: usize) -> u64 {
        let numbers = self
            .samples
            .iter()
            .map(|n| *n as u64)
            .sum::<u64>()
            .saturating_mul(self.points as u64);
        numbers.saturating_mul(4 * (variables as u64 + 1))
    }

    /// Checks every number, and the names against those of the model.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn check_for(&self, spec: &Spec) -> Result<()> {
        if !(self.t_end > 0.0 && self.t_end.is_finite()) {
            return Err(Error::setting(
                "t_end",
                self.t_end,
                "a finite time larger than 0",
            ));
        }
        if self.points < 2 {
            return Err(Error::setting("points", self.points, "at least 2"));
        }
        set_parameters(spec, &self.parameters)?;
        self.varied(spec)?;
        let numbers = self
            .samples
            .iter()
            .fold(0usize, |sum, n| sum.saturating_add(*n))
            .saturating_mul(self.points)
            .saturating_mul(spec.variables.len());
        if numbers > MOST_NUMBERS {
            let problem = format!(
                "{numbers} numbers of responses; expected at most {MOST_NUMBERS}: take fewer samples or points"
            );
            return Err(Error::of_setting("samples", problem));
        }
        for (key, source) in [
            ("training_family", &self.training_family),
            ("test_family", &self.test_family),
        ] {
            source.family().map_err(|e| Error::of_setting(key, e))?;
        }
        Ok(())
    }

    /// Places of the varied parameters in the model's list, and their ranges.
    pub(super) fn varied(&self, spec: &Spec) -> Result<Vec<(usize, [f64; 2])>> {
        let one = |(name, range): (&String, &[f64; 2])| {
            let key = format!("vary.{name}");
            let of_key = |e| Error::of_setting(&key, e);
            let index = spec.parameter_index(name).map_err(of_key)?;
            if !(range[0].is_finite() && range[1].is_finite() && range[0] < range[1])
                || self.parameters.contains_key(name)
            {
                let [low, high] = range;
                return Err(Error::setting(
                    &key,
                    format!("[{low}, {high}]"),
                    "two finite numbers, the second larger, of a parameter that is not set too",
                ));
            }
            // Both ends must be values that the model takes.
            range.iter().try_for_each(|v| {
                spec.parameters_with([(name.as_str(), *v)])
                    .map(|_| ())
                    .map_err(of_key)
            })?;
            Ok((index, *range))
        };
        self.vary.iter().map(one).collect()
    }
}

/// All parameters of a model, some of them set by a configuration's `parameters`.
pub(crate) fn set_parameters(spec: &Spec, parameters: &BTreeMap<String, f64>) -> Result<Vec<f64>> {
    for (name, value) in parameters {
        spec.parameters_with([(name.as_str(), *value)])
            .map_err(|e| Error::of_setting(&format!("parameters.{name}"), e))?;
    }
    let values = parameters.iter().map(|(n, v)| (n.as_str(), *v));
    spec.parameters_with(values)
        .map_err(|e| Error::of_setting("parameters", e))
}

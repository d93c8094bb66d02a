//! Standardization: mean 0 and standard deviation 1 for states and control parameters, standard deviation 1 for increments.

use serde::{Deserialize, Serialize};

use crate::{Error, Result, pairs::Pairs};

/// Means and standard deviations of a training set, in physical units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalizer {
    /// Mean of each variable.
    pub state_mean: Vec<f64>,
    /// Standard deviation of each variable.
    pub state_sd: Vec<f64>,
    /// Mean of each control parameter.
    pub parameter_mean: Vec<f64>,
    /// Standard deviation of each control parameter.
    pub parameter_sd: Vec<f64>,
    /// Standard deviation of the increment of each variable over one step.
    pub increment_sd: Vec<f64>,
}

impl Normalizer {
    /// The normalizer of a set of pairs.
    ///
    /// # Errors
    /// An empty set; a quantity that does not vary, so that it cannot be scaled.
    pub fn fit(pairs: &Pairs) -> Result<Self> {
        if pairs.is_empty() {
            return Err(Error::Invalid(
                "the dataset has no training pairs; expected at least two".into(),
            ));
        }
        let state = columns(&pairs.u, pairs.dimension)
            .map(|c| moments(&c))
            .collect::<Vec<_>>();
        let parameter = columns(&pairs.p, pairs.parameters)
            .map(|c| moments(&c))
            .collect::<Vec<_>>();
        let increments: Vec<f64> = pairs
            .next
            .iter()
            .zip(&pairs.u)
            .map(|(v, u)| v - u)
            .collect();
        let increment_sd: Vec<f64> = columns(&increments, pairs.dimension)
            .map(|c| moments(&c).1)
            .collect();
        let normalizer = Normalizer {
            state_mean: state.iter().map(|m| m.0).collect(),
            state_sd: state.iter().map(|m| m.1).collect(),
            parameter_mean: parameter.iter().map(|m| m.0).collect(),
            // A single control value is legitimate (a map for one parameter); its scale does not matter.
            parameter_sd: parameter
                .iter()
                .map(|m| if m.1 > 0.0 { m.1 } else { 1.0 })
                .collect(),
            increment_sd,
        };
        normalizer.check()?;
        Ok(normalizer)
    }

    /// Checks that every number is finite and every scale positive.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self) -> Result<()> {
        for (what, values) in [
            ("state mean", &self.state_mean),
            ("parameter mean", &self.parameter_mean),
        ] {
            if let Some(i) = values.iter().position(|v| !v.is_finite()) {
                return Err(Error::Invalid(format!(
                    "the {what} of entry {i} is {}; expected a finite number",
                    values[i]
                )));
            }
        }
        for (what, values) in [
            ("state", &self.state_sd),
            ("parameter", &self.parameter_sd),
            ("increment", &self.increment_sd),
        ] {
            if let Some(i) = values.iter().position(|v| !(v.is_finite() && *v > 0.0)) {
                return Err(Error::Invalid(format!(
                    "the standard deviation of {what} {i} is {}; expected a positive number (does the data vary?)",
                    values[i]
                )));
            }
        }
        Ok(())
    }

    /// Variable `i` in standardized units.
    pub fn state(&self, i: usize, x: f64) -> f64 {
        (x - self.state_mean[i]) / self.state_sd[i]
    }

    /// Control parameter `l` in standardized units.
    pub fn parameter(&self, l: usize, p: f64) -> f64 {
        (p - self.parameter_mean[l]) / self.parameter_sd[l]
    }

    /// Euclidean distance of two states in standardized units.
    pub fn distance(&self, x: &[f64], y: &[f64]) -> f64 {
        x.iter()
            .zip(y)
            .zip(&self.state_sd)
            .map(|((a, b), sd)| ((a - b) / sd).powi(2))
            .sum::<f64>()
            .sqrt()
    }
}

fn columns(rows: &[f64], width: usize) -> impl Iterator<Item = Vec<f64>> + '_ {
    (0..width).map(move |i| rows.iter().skip(i).step_by(width).copied().collect())
}

/// Mean and standard deviation, in two passes.
fn moments(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    (
        mean,
        (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt(),
    )
}

//! The settings of the second-order training.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Knobs of the second-order training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecondOrderConfig {
    /// Accepted steps a sub-network.
    pub iterations: usize,
    /// Training pairs used, from the first of the dataset's (shuffled) ones; all where there are fewer. Seventeen a weight suffice: the data are free of noise.
    pub pairs: usize,
    /// Training ends early where the mean squared error on these pairs, in units of the increment's variance, falls below this.
    pub target_mse: f64,
    /// Standard deviation of the prior, and of the initial weights: inner weights of an input that matters and whose range the data cover.
    pub inner_sd: f64,
    /// Smallest share of `inner_sd` that an input gets, however little a linear regression of the increments makes of it.
    pub least_relevance: f64,
    /// How far a hidden unit's argument moves over an input's whole range, in units of `inner_sd` (`a_sd` for the own variable): where the data
    /// cover the share c of the range (one standard deviation over the range's width), the weights start with at most `reach * c` of it. At about
    /// one the network is far from saturation wherever it may be asked to extrapolate.
    pub reach: f64,
    /// The same for the offsets beta of the inner layer.
    pub beta_sd: f64,
    /// The same for the own variable's weights a.
    pub a_sd: f64,
    /// The same for the offsets alpha of the outer layer.
    pub alpha_sd: f64,
    /// The same for the output weights b.
    pub b_sd: f64,
    /// Accepted steps between two re-estimates of the precisions.
    pub evidence_every: usize,
    /// Accepted steps before the first re-estimate.
    pub evidence_from: usize,
}

impl Default for SecondOrderConfig {
    fn default() -> Self {
        SecondOrderConfig {
            iterations: 400,
            pairs: 12_000,
            target_mse: 2e-14,
            inner_sd: 0.5,
            least_relevance: 0.004,
            reach: 1.0,
            beta_sd: 0.5,
            a_sd: 1.0,
            alpha_sd: 1.0,
            b_sd: 0.1,
            evidence_every: 2,
            evidence_from: 5,
        }
    }
}

impl SecondOrderConfig {
    /// Checks that the numbers make sense.
    ///
    /// # Errors
    /// A standard deviation that is not positive and finite; an interval of zero steps.
    pub fn check(&self) -> Result<()> {
        for (name, sd) in [
            ("inner_sd", self.inner_sd),
            ("least_relevance", self.least_relevance),
            ("reach", self.reach),
            ("beta_sd", self.beta_sd),
            ("a_sd", self.a_sd),
            ("alpha_sd", self.alpha_sd),
            ("b_sd", self.b_sd),
        ] {
            if !(sd.is_finite() && sd > 0.0) {
                return Err(Error::setting(name, sd, "a positive number"));
            }
        }
        if self.pairs == 0 {
            return Err(Error::setting("pairs", 0, "at least 1"));
        }
        if self.evidence_every == 0 {
            return Err(Error::setting("evidence_every", 0, "at least 1"));
        }
        Ok(())
    }
}

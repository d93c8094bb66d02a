//! Bands around what an operator gives, calibrated on responses that it was not trained on so that a wanted share of all values lies inside (split
//! conformal prediction: Papadopoulos et al. 2002, doi 10.1007/3-540-36755-1_29).
//!
//! The half-width of variable i at time t is `factor[i][bin of t] ramp(t) (SIZE sd_i + SHIFT T |dp_i/dt|)`: what is steep is uncertain because it may come a little
//! sooner or later. A factor is the smallest with which the wanted share of the values of its bin, over all calibration samples, lies inside, and a
//! little more: what a new sample, exchangeable with those n, is expected to hold is n / (n + 1) of it.
//!
//! Stimuli of different classes are of different difficulty. Where the network knows the classes of its training ([`Seen`](super::Seen)), each that has samples
//! enough has factors of its own, so that the share holds class by class.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Bins of the time axis.
pub(super) const BINS: usize = 20;
/// Factors of the half-width, `[variable][bin]`; bins divide [0, T] evenly.
pub(super) type Factors = Vec<Vec<f64>>;

/// A calibrated band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bands {
    /// Share of the values inside.
    pub level: f64,
    /// Factors of the half-width, `[variable][bin]`; bins divide [0, T] evenly.
    pub factor: Factors,
    /// Those of each class of the training that has its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Option<Factors>>,
}

impl Bands {
    /// Whether all its factors are finite.
    pub fn is_finite(&self) -> bool {
        let finite = |factor: &Factors| factor.iter().flatten().all(|v| v.is_finite());
        finite(&self.factor) && self.classes.iter().flatten().all(finite)
    }

    /// Checks that it fits a network of so many variables.
    pub(super) fn check(&self, variables: usize) -> Result<()> {
        let fits = |factor: &Factors| {
            factor.len() == variables
                && factor
                    .iter()
                    .all(|f| f.len() == BINS && f.iter().all(|v| v.is_finite() && *v >= 0.0))
        };
        if !(fits(&self.factor)
            && self.classes.iter().flatten().all(fits)
            && self.level > 0.0
            && self.level < 1.0)
        {
            return Err(Error::Invalid(format!(
                "its band does not fit; expected {BINS} finite factors for each of {variables} variables"
            )));
        }
        Ok(())
    }
}

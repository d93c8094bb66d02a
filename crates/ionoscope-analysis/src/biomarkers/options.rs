//! What can be set of the definitions.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// From when an action potential's duration is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upstroke {
    /// The time of the steepest rise between rest and peak.
    SteepestRise,
    /// The spike: the upward crossing of the threshold.
    Crossing,
}

/// Definitions that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BiomarkerOptions {
    /// A spike is an upward crossing of this potential.
    pub threshold: f64,
    /// A burst ends where an interval exceeds so many usual ones: the longest of the shorter half of all, which is the median or the one before it.
    pub pause: f64,
    /// From when durations of action potentials are counted.
    pub upstroke: Upstroke,
}

impl BiomarkerOptions {
    /// The defaults at a threshold: a pause of three median intervals, durations from the steepest rise.
    pub fn at(threshold: f64) -> Self {
        BiomarkerOptions {
            threshold,
            pause: 3.0,
            upstroke: Upstroke::SteepestRise,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if !self.threshold.is_finite() {
            return Err(Error::Invalid(format!(
                "the threshold of a spike is {}; expected a finite number",
                self.threshold
            )));
        }
        if !(self.pause >= 1.0 && self.pause.is_finite()) {
            return Err(Error::Invalid(format!(
                "a pause of {} median intervals; expected a finite number, 1 or larger",
                self.pause
            )));
        }
        Ok(())
    }
}

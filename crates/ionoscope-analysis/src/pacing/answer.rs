//! What is asked of pacing, its answer, and what both ways of pacing check.

use ionoscope_dynamics::{
    protocol::Signal,
    trajectory::{Experiment, SolveOptions, Trajectory},
};
use serde::{Deserialize, Serialize};

use super::convergence::Scale;
use crate::{Error, Result};

/// Numerical knobs of pacing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PacingOptions {
    /// Largest distance to the periodic orbit that is left (relative, see the module); not below what the solver errs by.
    pub tolerance: f64,
    /// Periods (of [`settle`](super::settle): windows) after which pacing is given up.
    pub most_periods: usize,
    /// Largest number of periods after which the answer may repeat.
    pub largest_multiplicity: usize,
    /// Of [`settle`](super::settle): largest number of upward crossings of the section in one period of a limit cycle (a burst has one a spike).
    pub most_crossings: usize,
    /// Of the solver.
    pub solve: SolveOptions,
}

impl Default for PacingOptions {
    fn default() -> Self {
        PacingOptions {
            tolerance: 1e-6,
            most_periods: 10_000,
            largest_multiplicity: 4,
            most_crossings: 64,
            solve: SolveOptions::default(),
        }
    }
}

impl PacingOptions {
    pub(super) fn check(&self) -> Result<()> {
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return Err(Error::Invalid(format!(
                "the pacing tolerance is {}; expected a number between 0 and 1",
                self.tolerance
            )));
        }
        let counts = [
            ("periods", self.most_periods),
            ("multiplicity", self.largest_multiplicity),
            ("crossings", self.most_crossings),
        ];
        for (what, count) in counts {
            if !(1..=1 << 30).contains(&count) || (what != "periods" && count > 1000) {
                return Err(Error::Invalid(format!(
                    "the largest number of {what} is {count}; expected at least 1, and not beyond reason"
                )));
            }
        }
        Ok(())
    }
}

/// Where pacing ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paced {
    /// The last state: at the end of a period; on a limit cycle on its section.
    pub state: Vec<f64>,
    /// Periods (of [`settle`](super::settle): windows) that were simulated.
    pub periods: usize,
    /// Whether the tolerance was met. Where not, the fields below say how far it was for multiplicity 1.
    pub converged: bool,
    /// After how many periods the answer repeats (2: alternans); of a limit cycle the crossings of its section in one period.
    pub multiplicity: Option<usize>,
    /// The time after which everything repeats, multiplicity included; none for a steady state.
    pub period: Option<f64>,
    /// Whether nothing changes within a period: a steady state.
    pub steady: bool,
    /// Change over the last `multiplicity` periods (relative, see the module).
    pub residual: f64,
    /// Estimated distance from the periodic orbit that is left; `None` where changes do not shrink, or are beyond the tolerance themselves.
    pub remaining: Option<f64>,
}

/// Largest difference of a state of a trajectory from its first.
pub(super) fn within(t: &Trajectory, scale: &Scale) -> f64 {
    (1..t.len())
        .map(|k| scale.distance(t.state(0), t.state(k)))
        .fold(0.0, f64::max)
}

pub(super) fn check_times(e: &Experiment) -> Result<()> {
    if e.times.start == 0.0 && e.times.count >= 3 {
        return Ok(());
    }
    let (start, count) = (e.times.start, e.times.count);
    Err(Error::Invalid(format!(
        "a period with {count} output times from {start}; expected at least 3, the first at 0, the last at its end"
    )))
}

/// The current where it never changes.
pub(super) fn constant(signal: &Signal) -> Option<f64> {
    let [only] = &signal.pieces[..] else {
        return None;
    };
    (only.slope == 0.0 && only.waves.is_empty()).then_some(only.offset)
}

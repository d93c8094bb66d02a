//! What is asked of Lyapunov exponents, and the answer with its judgement.

use ionoscope_dynamics::{
    system::{DynamicalSystem, Time},
    trajectory::SolveOptions,
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Error that is asked for by default, relative to the exponent, where that is more.
pub(super) const RELATIVE: f64 = 1e-5;
/// Standard errors on either side of an exponent that make its interval.
pub const INTERVAL: f64 = 3.0;

/// Numerical knobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LyapunovOptions {
    /// Number of exponents, the largest first; all when `None`.
    pub count: Option<usize>,
    /// Time before anything is counted, at least. `None`: until the trajectory has settled, as far as its time scales show.
    pub transient: Option<f64>,
    /// Time between two looks at the errors, rounded up to whole turns of the motion, at most a sixteenth of the longest time. `None`: four
    /// turns.
    pub segment: Option<f64>,
    /// Trajectories side by side.
    pub trajectories: usize,
    /// Error, per unit of time, at which to stop. `None`: 0.005 / time of a turn (at a rest, / time of the slowest decay), or 1e-5 of the
    /// exponent where that is more.
    pub accuracy: Option<f64>,
    /// Time of each trajectory after which to stop in any case. `None`: 8000 turns, or some minutes' work.
    pub longest: Option<f64>,
    /// Tolerances of a flow's trajectories.
    pub solve: SolveOptions,
}

impl Default for LyapunovOptions {
    fn default() -> Self {
        let solve = SolveOptions {
            rtol: 1e-9,
            atol: 1e-11,
            ..SolveOptions::default()
        };
        LyapunovOptions {
            count: None,
            transient: None,
            segment: None,
            trajectories: 16,
            accuracy: None,
            longest: None,
            solve,
        }
    }
}

impl LyapunovOptions {
    pub(super) fn check(&self, system: &dyn DynamicalSystem) -> Result<()> {
        let n = system.dimension();
        let positive = [
            ("segment", self.segment),
            ("accuracy", self.accuracy),
            ("longest time", self.longest),
        ];
        if let Some((name, value)) = positive
            .iter()
            .find_map(|(n, v)| Some((n, v.filter(|v| !(*v > 0.0 && v.is_finite()))?)))
        {
            return Err(Error::Invalid(format!(
                "the {name} is {value}; expected a finite number larger than 0"
            )));
        }
        if let Some(transient) = self.transient.filter(|t| !(*t >= 0.0 && t.is_finite())) {
            return Err(Error::Invalid(format!(
                "the transient is {transient}; expected a finite number, 0 or larger"
            )));
        }
        if !(2..=1024).contains(&self.trajectories) {
            return Err(Error::Invalid(format!(
                "{} trajectories; expected 2 to 1024, from whose spread the errors follow",
                self.trajectories
            )));
        }
        if let Some(count) = self.count.filter(|c| !(1..=n).contains(c)) {
            return Err(Error::Invalid(format!(
                "{count} exponents of {}; expected 1 to {n}, the number of its variables",
                system.spec().id
            )));
        }
        Ok(())
    }
}

/// Where the trajectory went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Motion {
    /// To a fixed point.
    Rest {
        /// The state there.
        x: Vec<f64>,
        /// Whether small disturbances decay. Where not, the start is on the point, and the exponents are not those of an attractor.
        stable: bool,
        /// How many eigenvalues are zero: as many as quantities are conserved, or one more at a bifurcation.
        neutral: usize,
    },
    /// To a cycle.
    Cycle {
        /// A state on it.
        x: Vec<f64>,
        /// Its period.
        period: f64,
        /// Whether small disturbances decay.
        stable: bool,
    },
    /// To neither: averages over time.
    Other,
}

/// What an error consists of: for each exponent, per unit of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorParts {
    /// Standard error from the spread between the trajectories.
    pub spread: Vec<f64>,
    /// What frames that began with other directions differ by.
    pub alignment: Vec<f64>,
    /// What twice the step makes different; at a rest what rounding does.
    pub step: Vec<f64>,
    /// What the halves of the time differ by beyond accident; on a cycle how far its phase's exponent is from zero.
    pub settling: Vec<f64>,
}

impl ErrorParts {
    pub(super) fn all(&self) -> [(&'static str, &Vec<f64>); 4] {
        [
            ("the spread between the trajectories", &self.spread),
            ("the alignment of the frames", &self.alignment),
            ("the step of the tangent flow", &self.step),
            (
                "the way to the attractor, which is not over",
                &self.settling,
            ),
        ]
    }

    pub(super) fn sum(&self, k: usize) -> f64 {
        self.all().iter().map(|(_, part)| part[k]).sum()
    }

    pub(super) fn sums(&self) -> Vec<f64> {
        (0..self.spread.len()).map(|k| self.sum(k)).collect()
    }

    /// Applies an order of the exponents.
    pub(super) fn reordered(&self, order: &[usize]) -> Self {
        let of = |part: &Vec<f64>| order.iter().map(|k| part[*k]).collect();
        ErrorParts {
            spread: of(&self.spread),
            alignment: of(&self.alignment),
            step: of(&self.step),
            settling: of(&self.settling),
        }
    }
}

/// A spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LyapunovSpectrum {
    /// Exponents per unit of time, descending.
    pub exponents: Vec<f64>,
    /// Their errors: the sums of the parts.
    pub errors: Vec<f64>,
    /// Parts of the errors.
    pub error_parts: ErrorParts,
    /// Whether all errors are within the accuracy and nothing speaks against the answer.
    pub reached: bool,
    /// What is too large or speaks against the answer, and what to do; empty where it is reached.
    pub not_reached_because: Vec<String>,
    /// Where the trajectory went.
    pub motion: Motion,
    /// Mean divergence per unit of time: what all exponents sum up to.
    pub divergence: f64,
    /// Dimension of the attractor after Kaplan and Yorke; an exponent whose interval of three errors holds zero counts as zero. `None` where
    /// it is not decided.
    pub kaplan_yorke_dimension: Option<f64>,
    /// Why the dimension is not decided.
    pub dimension_undecided_because: Option<String>,
    /// Error that was asked for.
    pub accuracy: f64,
    /// Time that was averaged over, all trajectories together; 0 at a rest and, on a cycle, its period.
    pub time: f64,
    /// Time before anything was counted.
    pub transient: f64,
    /// Time between two looks at the errors.
    pub segment: f64,
    /// The period of the motion, or the mean time of its turns; none at a rest.
    pub period: Option<f64>,
    /// Step of the tangent flow, or of the map; none at a flow's rest.
    pub step: Option<f64>,
    /// Exponents after each segment.
    pub convergence: Vec<Vec<f64>>,
    /// Whether a surrogate left what it was trained on; never for equations.
    pub extrapolated: bool,
}

impl LyapunovSpectrum {
    /// Judges the errors.
    pub(super) fn judge(&mut self, within: impl Fn(f64) -> f64) {
        self.reached = self
            .exponents
            .iter()
            .zip(&self.errors)
            .all(|(exponent, error)| *error <= within(*exponent));
        if self.reached {
            return;
        }
        // Of the exponent that is farthest from it.
        let excess = |k: &usize| self.errors[*k] / within(self.exponents[*k]);
        let Some(worst) = (0..self.errors.len()).max_by(|a, b| excess(a).total_cmp(&excess(b)))
        else {
            return;
        };
        let mut parts: Vec<(&str, f64)> = self
            .error_parts
            .all()
            .iter()
            .map(|(name, part)| (*name, part[worst]))
            .collect();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1));
        let advice = match (&self.motion, parts[0].0) {
            (Motion::Rest { .. } | Motion::Cycle { .. }, _) => "lower --rtol, or accept the error",
            (Motion::Other, "the step of the tangent flow") => {
                "no shorter step is worth its time; accept the error"
            }
            (Motion::Other, "the way to the attractor, which is not over") => "raise --transient",
            (Motion::Other, _) => "raise --t-end",
        };
        let (part, size, asked, worst) = (
            parts[0].0,
            parts[0].1,
            within(self.exponents[worst]),
            worst + 1,
        );
        let because = format!(
            "{part} makes an error of {size:.1e} in exponent {worst}, {asked:.1e} was asked for; {advice}"
        );
        self.not_reached_because.push(because);
    }

    pub(super) fn object(&mut self, because: String) {
        self.reached = false;
        self.not_reached_because.push(because);
    }

    /// All exponents together make the mean divergence, which is found without them.
    pub(super) fn check_sum(&mut self, total: Option<f64>) {
        let Some(total) = total else { return };
        let allowed = self.errors.iter().sum::<f64>()
            + 1e-9 * total.abs()
            + self.accuracy.max(RELATIVE * total.abs());
        let agree = (total - self.divergence).abs() <= allowed;
        if !agree {
            self.object(format!(
                "the exponents sum up to {total:.6}, the mean divergence is {:.6}; lower --rtol",
                self.divergence
            ));
        }
    }

    /// A flow that does not rest has an exponent of zero, that of its phase.
    pub(super) fn check_phase(&mut self, time: Time, complete: bool) {
        if time != Time::Continuous || !complete {
            return;
        }
        let zero = |(e, error): (&f64, &f64)| e.abs() <= INTERVAL * error.max(self.accuracy);
        if !self.exponents.iter().zip(&self.errors).any(zero) {
            self.object("no exponent is zero, although the flow does not rest: it has not settled; raise --transient".into());
        }
    }
}

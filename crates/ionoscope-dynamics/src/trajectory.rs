//! Experiments and what they give: start, parameters and times in, states over time out.

use serde::{Deserialize, Serialize};

use crate::{Error, Result, protocol::Protocol, spec::Spec, watch::Watcher};

/// Output times `start + k dt` for k = 0 .. count - 1. The integration itself always begins at t = 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TimeGrid {
    /// First output time; what lies before it is integrated and not kept (a transient).
    pub start: f64,
    /// Spacing.
    pub dt: f64,
    /// Number of output times.
    pub count: usize,
}

impl TimeGrid {
    /// A grid of `count` times.
    ///
    /// # Errors
    /// `start` negative, `dt` not positive, either not finite, or no time at all.
    pub fn new(start: f64, dt: f64, count: usize) -> Result<Self> {
        if !(start >= 0.0 && start.is_finite()) {
            return Err(Error::Invalid(format!(
                "the first output time is {start}; expected a finite number, 0 or larger"
            )));
        }
        if !(dt > 0.0 && dt.is_finite()) {
            return Err(Error::Invalid(format!(
                "the output step dt is {dt}; expected a finite number larger than 0"
            )));
        }
        if count == 0 {
            return Err(Error::Invalid(
                "no output time was asked for; expected at least one".into(),
            ));
        }
        Ok(TimeGrid { start, dt, count })
    }

    /// Times 0, dt, .., `t_end`, which has to be a whole number of steps to 1e-6 of a step.
    ///
    /// # Errors
    /// As [`TimeGrid::new`]; `t_end` negative, not finite or more than 2^40 steps away; `t_end` between two steps: the error names both, and a
    /// step that fits.
    pub fn until(t_end: f64, dt: f64) -> Result<Self> {
        let times = TimeGrid::within(t_end, dt)?;
        let steps = t_end / dt;
        if is_whole(steps) {
            return Ok(times);
        }
        // The longest step that fits and has few digits, or any.
        let whole = steps.ceil();
        let fits = (0..1000)
            .map(|k| t_end / (whole + f64::from(k)))
            .find(|dt| (few_digits(*dt) / dt - 1.0).abs() < 1e-15);
        let fits = fits.unwrap_or(t_end / whole);
        Err(between(
            t_end,
            dt,
            &format!("; or take dt = {}", few_digits_or_all(fits)),
        ))
    }

    /// [`TimeGrid::until`] for a map of step `own`, of which `dt` has to be a multiple.
    ///
    /// # Errors
    /// As [`TimeGrid::until`]; `dt` that is no multiple of `own`.
    pub fn until_of_map(t_end: f64, dt: f64, own: f64) -> Result<Self> {
        let every = (dt / own).round();
        if every < 1.0 || !is_whole(dt / own) {
            let (below, above) = ((dt / own).floor() * own, ((dt / own).floor() + 1.0) * own);
            let below = if below > 0.0 {
                format!("{} or ", few_digits_or_all(below))
            } else {
                String::new()
            };
            let above = few_digits_or_all(above);
            return Err(Error::Invalid(format!(
                "the output step dt = {dt} is no multiple of the map's step {own}; take {below}{above}"
            )));
        }
        let dt = every * own;
        let times = TimeGrid::within(t_end, dt)?;
        if is_whole(t_end / dt) {
            return Ok(times);
        }
        let steps = t_end / own;
        let advice = if is_whole(steps) && steps >= 1.0 {
            // The map's own step fits, if no longer one.
            let fits = (1..=every as u64)
                .rev()
                .take(1 << 20)
                .find(|k| is_whole(steps / *k as f64))
                .unwrap_or(1);
            format!("; or take dt = {}", few_digits_or_all(fits as f64 * own))
        } else {
            format!(", in steps of {}", few_digits_or_all(dt))
        };
        Err(between(t_end, dt, &advice))
    }

    /// Times 0, dt, .. that are not after `t_end`, whether it is one of them or not.
    ///
    /// # Errors
    /// As [`TimeGrid::new`], and `t_end` negative, not finite or more than 2^40 steps away.
    pub fn within(t_end: f64, dt: f64) -> Result<Self> {
        if !(t_end >= 0.0 && t_end.is_finite()) {
            return Err(Error::Invalid(format!(
                "t_end is {t_end}; expected a finite number, 0 or larger"
            )));
        }
        TimeGrid::new(0.0, dt, 1)?;
        let steps = (t_end / dt + WHOLE).floor();
        if steps > (1u64 << 40) as f64 {
            return Err(Error::Invalid(format!(
                "t_end / dt = {steps:e} output times do not fit in memory; take a larger dt"
            )));
        }
        TimeGrid::new(0.0, dt, steps as usize + 1)
    }

    /// The k-th output time.
    #[inline]
    pub fn time(&self, k: usize) -> f64 {
        self.start + k as f64 * self.dt
    }

    /// Number of output times that are not after `t`.
    pub fn reached(&self, t: f64) -> usize {
        // The division may round either way; the times themselves decide.
        let mut k = (((t - self.start) / self.dt) as usize).min(self.count);
        while k < self.count && self.time(k) <= t {
            k += 1;
        }
        while k > 0 && self.time(k - 1) > t {
            k -= 1;
        }
        k
    }

    /// The last output time.
    pub fn end(&self) -> f64 {
        self.time(self.count - 1)
    }
}

/// How far from a whole number a number of steps may be.
const WHOLE: f64 = 1e-6;

/// Whether a number of steps is whole to 1e-6 of one, or to what the rounding of the quotient leaves.
pub fn is_whole(steps: f64) -> bool {
    (steps - steps.round()).abs() <= WHOLE.max(4.0 * f64::EPSILON * steps)
}

/// The number with at most 12 digits that is next to `v`.
fn few_digits(v: f64) -> f64 {
    format!("{v:.11e}").parse().unwrap_or(v)
}

/// As short as it may be without changing what it means to 1e-12: 3 x 0.3 is 0.9, a third has all its digits.
fn few_digits_or_all(v: f64) -> f64 {
    let few = few_digits(v);
    if (few / v - 1.0).abs() < 1e-14 {
        few
    } else {
        v
    }
}

/// The error for an end between two steps.
fn between(t_end: f64, dt: f64, advice: &str) -> Error {
    let below = (t_end / dt).floor();
    let [low, high] = [below * dt, (below + 1.0) * dt].map(few_digits_or_all);
    let ends = if below > 0.0 {
        format!("the nearest ends are t_end = {low} and {high}")
    } else {
        format!("the first end is t_end = {high}")
    };
    let dt = few_digits_or_all(dt);
    Error::Invalid(format!(
        "t_end = {t_end} is no multiple of the output step dt = {dt}; {ends}{advice}"
    ))
}

/// One run of a system: start, parameters, stimulus protocol and the output times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// State at t = 0, in the order of the [`Spec`].
    pub x0: Vec<f64>,
    /// Parameters, in the order of the [`Spec`].
    pub p: Vec<f64>,
    /// Stimulus current over time; positive depolarizes.
    pub protocol: Protocol,
    /// When the state is wanted.
    pub times: TimeGrid,
}

impl Experiment {
    /// The default start and parameters, without a stimulus.
    pub fn from_defaults(spec: &Spec, times: TimeGrid) -> Self {
        Experiment {
            x0: spec.default_state(),
            p: spec.default_parameters(),
            protocol: Protocol::none(),
            times,
        }
    }
}

/// Which integrator runs a flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The explicit one; a trajectory for which stability, not accuracy, limits its step goes on with the stiff one. Large models
    /// (those that are `OutOfLine`) begin with the stiff one.
    #[default]
    Auto,
    /// Runge-Kutta of order 8 (Dormand and Prince).
    Explicit,
    /// Rosenbrock of order 5 (Rodas5P) with the exact Jacobian.
    Stiff,
    /// Rush and Larsen's, of order 1 with the fixed step [`SolveOptions::step`]: no error control, the tolerances are not used.
    RushLarsen,
}

/// Numerical knobs of a solve. Maps have a step of their own and ignore them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SolveOptions {
    /// Relative tolerance.
    pub rtol: f64,
    /// Absolute tolerance, the same for all variables.
    pub atol: f64,
    /// Which integrator to use.
    #[serde(default)]
    pub method: Method,
    /// Step of a method with a fixed step, in the system's unit of time.
    #[serde(default)]
    pub step: Option<f64>,
    /// Whether each step of a method with a fixed step is made in two halves: of a method of order 1, that halves the error, wherever
    /// switches of the stimulus or the end cut a step short.
    #[serde(default)]
    pub halved: bool,
    /// Steps (accepted and rejected) after which a trajectory is given up. It is given up earlier where the way to the next switch
    /// of the stimulus, or to the end, would take ten times as many at the pace of the last 131 072 steps, or more at the pace of 8 million.
    pub max_steps: u64,
    /// Who is told of progress and may stop the work; nobody by default, and not saved.
    #[serde(skip)]
    pub watch: Watcher,
}

impl Default for SolveOptions {
    fn default() -> Self {
        SolveOptions {
            rtol: 1e-8,
            atol: 1e-10,
            method: Method::Auto,
            step: None,
            halved: false,
            max_steps: 100_000_000,
            watch: Watcher::default(),
        }
    }
}

impl SolveOptions {
    /// The defaults with another relative tolerance, and an absolute one of a hundredth of it: variables of order 0.01 have both alike.
    pub fn with_rtol(rtol: f64) -> Self {
        SolveOptions {
            rtol,
            atol: 0.01 * rtol,
            ..SolveOptions::default()
        }
    }

    /// The same with tolerances that are at least as tight as those of [`SolveOptions::with_rtol`].
    pub fn at_most(&self, rtol: f64) -> Self {
        SolveOptions {
            rtol: self.rtol.min(rtol),
            atol: self.atol.min(0.01 * rtol),
            ..self.clone()
        }
    }

    /// Checks that the numbers make sense.
    ///
    /// # Errors
    /// A tolerance that is not finite, not positive or beyond what double precision can hold.
    pub fn check(&self) -> Result<()> {
        if !(self.rtol >= 1e-14 && self.rtol <= 0.1) {
            return Err(Error::OutOfRange {
                name: "rtol".into(),
                value: self.rtol,
                low: 1e-14,
                high: 0.1,
            });
        }
        if !(self.atol > 0.0 && self.atol.is_finite()) {
            return Err(Error::Invalid(format!(
                "atol is {}; expected a finite number larger than 0",
                self.atol
            )));
        }
        match (self.method, self.step) {
            (Method::RushLarsen, Some(step)) if step > 0.0 && step.is_finite() => Ok(()),
            (Method::RushLarsen, step) => {
                let got = step.map_or("none was given".into(), |h| format!("{h} was given"));
                Err(Error::Invalid(format!(
                    "the method rush-larsen has a fixed step, and {got}; expected a finite number larger than 0"
                )))
            }
            (_, Some(step)) => Err(Error::Invalid(format!(
                "a fixed step of {step} is for the method rush-larsen; others find their own"
            ))),
            (_, None) => Ok(()),
        }
    }
}

/// How a trajectory ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// All output times were reached.
    Completed,
    /// It stopped early; states after `time` are missing.
    Failed {
        /// Time of the last accepted state.
        time: f64,
        /// Why.
        reason: FailureReason,
    },
}

/// Why a trajectory stopped early.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FailureReason {
    /// A state or derivative became infinite or not a number.
    NotFinite {
        /// Which of them, where it is known.
        quantity: Option<String>,
    },
    /// The step became too small beside the time since the start or the last switch of the stimulus: a singularity, or a tolerance too tight.
    StepTooSmall {
        /// The fastest time scale at the last state: one over the largest magnitude of an eigenvalue of the Jacobian.
        fastest: Option<f64>,
    },
    /// The limit on the number of steps, [`SolveOptions::max_steps`], was reached, or is far from enough.
    TooManySteps {
        /// Steps that were tried, accepted or not.
        steps: u64,
        /// The limit.
        limit: u64,
        /// As of [`FailureReason::StepTooSmall`].
        fastest: Option<f64>,
    },
}

impl std::fmt::Display for FailureReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scale = |fastest: &Option<f64>| {
            fastest
                .map(|t| format!(", where the fastest time scale is {t:.1e}"))
                .unwrap_or_default()
        };
        match self {
            FailureReason::NotFinite { quantity } => {
                let what = quantity.as_deref().unwrap_or("the state");
                write!(
                    f,
                    "{what} is no longer finite; check start, parameters and stimulus"
                )
            }
            FailureReason::StepTooSmall { fastest } => write!(
                f,
                "the step became too small to go on{}; check start, parameters and stimulus, or loosen the tolerances",
                scale(fastest)
            ),
            FailureReason::TooManySteps {
                steps,
                limit,
                fastest,
            } => {
                if steps >= limit {
                    write!(
                        f,
                        "the limit of {limit} steps was reached{}",
                        scale(fastest)
                    )?;
                } else {
                    write!(
                        f,
                        "after {steps} steps, at whose pace the rest would take more than the limit of {limit}{}",
                        scale(fastest)
                    )?;
                }
                f.write_str("; check start and parameters, take a method for stiff equations, loosen the tolerances, or raise the limit")
            }
        }
    }
}

/// The work that a trajectory took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Accepted steps (for a map: iterations).
    pub accepted: u64,
    /// Rejected steps.
    pub rejected: u64,
    /// Evaluations of the right-hand side.
    pub evaluations: u64,
    /// Evaluations of the Jacobian.
    pub jacobians: u64,
    /// Time from which the stiff method ran; none where it did not.
    pub stiff_from: Option<f64>,
    /// Whether stability, not accuracy, limited the step for long: the problem is stiff at this tolerance.
    pub stiff: bool,
}

/// States at the output times, with how the run ended and the work it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// The times asked for.
    pub times: TimeGrid,
    /// Number of state variables.
    pub dimension: usize,
    /// States, `[time][variable]`, for the times that were reached.
    pub x: Vec<f64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The work it took.
    pub statistics: Statistics,
}

impl Trajectory {
    /// Number of output times that were reached.
    pub fn len(&self) -> usize {
        self.x.len() / self.dimension
    }

    /// Whether no output time was reached.
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    /// State at the k-th output time.
    pub fn state(&self, k: usize) -> &[f64] {
        &self.x[k * self.dimension..(k + 1) * self.dimension]
    }

    /// The last state that was reached.
    pub fn last(&self) -> Option<&[f64]> {
        self.x.chunks_exact(self.dimension).last()
    }

    /// One variable over time.
    pub fn variable(&self, i: usize) -> impl Iterator<Item = f64> + '_ {
        self.x.iter().skip(i).step_by(self.dimension).copied()
    }

    /// The trajectory itself if it was completed.
    ///
    /// # Errors
    /// The time and reason where it was not.
    pub fn completed(self) -> Result<Self> {
        match &self.outcome {
            Outcome::Completed => Ok(self),
            Outcome::Failed { time, reason } => Err(Error::Failed {
                time: *time,
                reason: reason.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reached_are_those_not_after() {
        for times in [
            TimeGrid::new(0.0, 0.1, 1000).unwrap(),
            TimeGrid::new(3.7, 1.0 / 3.0, 50).unwrap(),
            TimeGrid::new(0.0, 1e-3, 1).unwrap(),
        ] {
            for k in 0..times.count {
                let t = times.time(k);
                assert_eq!(
                    [
                        times.reached(t.next_down()),
                        times.reached(t),
                        times.reached(t.next_up())
                    ],
                    [k, k + 1, k + 1]
                );
            }
            assert_eq!(
                [
                    times.reached(-1.0),
                    times.reached(1e300),
                    times.reached(f64::INFINITY)
                ],
                [0, times.count, times.count]
            );
        }
    }
}

//! Pacing: the same stimulus period after period, until the cell answers in the same way.
//!
//! [`pace`] repeats an experiment of one period T from where it ended; [`settle`] does the same for a system whose stimulus does not change,
//! period unknown: it ends in a steady state or on a limit cycle. Neither takes a cycle for a fixed point or a slow drift for an end:
//!
//! - Whole periods are compared, at all output times, not only their ends.
//! - Period k is compared with period k - m for m = 1, 2, .. (alternans is m = 2); the smallest m that has converged is the multiplicity,
//!   and a larger one counts only where the orbits in between differ by more than could vanish.
//! - Not the last change decides but the distance that remains. With D the change of a variable over the last [`LAG`] m periods and q its
//!   ratio to the change over as many periods before, that is the rest of the geometric series, D q / (1 - q); a drift of constant speed
//!   has q = 1 and never ends. Where the changes of both stretches do not all have one sign they are what the solver errs by, or
//!   alternate, and the largest of them is the distance.
//! - The change over both stretches is within the tolerance, and all this holds for [`LAG`] m periods in a row, so that a fast decay does
//!   not hide a slow one. (One that is still smaller in every variable than the fast one's last change cannot be seen by anybody.)
//!
//! A difference of two periods is, of each variable, the largest over the output times, in units of its largest magnitude over the period
//! and at least of a thousandth of the width of its range; the largest over the variables counts.
//!
//! To simulate from the paced state:
//! ```
//! use ionoscope_analysis::pacing::{PacingOptions, pace};
//! use ionoscope_dynamics::{models, protocol::Protocol, trajectory::{Experiment, TimeGrid}};
//!
//! let cell = models::find("sherman-1988")?;
//! let period = 0.5;
//! let mut experiment = Experiment::from_defaults(cell.spec(), TimeGrid::until(period, period / 100.0)?);
//! experiment.p = cell.spec().parameters_with([("v_s", -45.0)])?;
//! experiment.protocol = Protocol::step(0.0, 0.05, 10.0);
//! let paced = pace(&*cell, &experiment, &PacingOptions { most_periods: 20, ..PacingOptions::default() })?;
//! assert!(!paced.converged && paced.periods == 20);
//! experiment.x0 = paced.state;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use ionoscope_dynamics::{
    protocol::Signal,
    system::DynamicalSystem,
    trajectory::{Experiment, SolveOptions, Trajectory},
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod convergence;
mod settle;
#[cfg(test)]
mod tests;

pub use convergence::LAG;
use convergence::{Convergence, Scale};
pub use settle::settle;

/// Numerical knobs of pacing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PacingOptions {
    /// Largest distance to the periodic orbit that is left (relative, see the module); not below what the solver errs by.
    pub tolerance: f64,
    /// Periods (of [`settle`]: windows) after which pacing is given up.
    pub most_periods: usize,
    /// Largest number of periods after which the answer may repeat.
    pub largest_multiplicity: usize,
    /// Of [`settle`]: largest number of upward crossings of the section in one period of a limit cycle (a burst has one a spike).
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
    fn check(&self) -> Result<()> {
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
    /// Periods (of [`settle`]: windows) that were simulated.
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

/// Repeats an experiment of one period, each from the end of the last, until it gives a periodic orbit. `experiment.times` goes from 0 to
/// the period T; its output times are those at which periods are compared. The protocol is over by T, or repeats itself with period T.
///
/// # Errors
/// Options or times that make no sense, a protocol that goes on beyond T in another way, whatever the solver refuses or fails at. Not
/// having converged is no error.
pub fn pace(
    system: &dyn DynamicalSystem,
    experiment: &Experiment,
    options: &PacingOptions,
) -> Result<Paced> {
    options.check()?;
    check_times(experiment)?;
    check_protocol(experiment)?;
    let mut experiment = experiment.clone();
    let mut convergence = Convergence::new(options.tolerance, options.largest_multiplicity);
    for k in 1..=options.most_periods {
        let beat = system.simulate(&experiment, &options.solve)?;
        experiment.x0 = beat.state(beat.len() - 1).to_vec();
        let scale = Scale::of(system.spec(), &beat.x);
        let steady = within(&beat, &scale) <= options.tolerance;
        let found = convergence.push(beat.x, &scale);
        if found.is_some() || k == options.most_periods {
            let state = experiment.x0;
            let now = found.unwrap_or_else(|| convergence.judge(1, &scale));
            let period = experiment.times.end() * now.multiplicity as f64;
            return Ok(Paced {
                state,
                periods: k,
                converged: found.is_some(),
                multiplicity: found.map(|f| f.multiplicity),
                period: (found.is_some() && !steady).then_some(period),
                steady: found.is_some() && steady,
                residual: now.residual,
                remaining: now.remaining,
            });
        }
    }
    unreachable!("at least one period is simulated, and the last one returns")
}

/// Largest difference of a state of a trajectory from its first.
fn within(t: &Trajectory, scale: &Scale) -> f64 {
    (1..t.len())
        .map(|k| scale.distance(t.state(0), t.state(k)))
        .fold(0.0, f64::max)
}

fn check_times(e: &Experiment) -> Result<()> {
    if e.times.start == 0.0 && e.times.count >= 3 {
        return Ok(());
    }
    let (start, count) = (e.times.start, e.times.count);
    Err(Error::Invalid(format!(
        "a period with {count} output times from {start}; expected at least 3, the first at 0, the last at its end"
    )))
}

/// That what comes after the period is nothing, or the same again.
fn check_protocol(e: &Experiment) -> Result<()> {
    let period = e.times.end();
    let signal = e.protocol.signal(2.0 * period);
    let middles = (0..e.times.count - 1).map(|k| e.times.time(k) + 0.5 * e.times.dt);
    let starts = signal.pieces.iter().map(|p| p.start.rem_euclid(period));
    let times: Vec<f64> = middles.chain(starts).collect();
    // A rounding error to the right of a switch is still the same piece.
    let later = |t: &f64| signal.value(t + period * (1.0 + 1e-12));
    let largest = times
        .iter()
        .map(|t| signal.value(*t).abs())
        .fold(0.0, f64::max);
    if times.iter().all(|t| later(t) == 0.0)
        || times
            .iter()
            .all(|t| (later(t) - signal.value(*t)).abs() <= 1e-9 * largest)
    {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the protocol goes on after the period of {period} and does not repeat itself; expected one that is over by then, or has this period"
    )))
}

/// The current where it never changes.
fn constant(signal: &Signal) -> Option<f64> {
    let [only] = &signal.pieces[..] else {
        return None;
    };
    (only.slope == 0.0 && only.waves.is_empty()).then_some(only.offset)
}

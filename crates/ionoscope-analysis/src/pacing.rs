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

use ionoscope_dynamics::{system::DynamicalSystem, trajectory::Experiment};

use crate::{Error, Result};

mod answer;
mod convergence;
mod settle;
#[cfg(test)]
mod tests;

pub use answer::{Paced, PacingOptions};
use answer::{check_times, within};
pub use convergence::LAG;
use convergence::{Convergence, Scale};
pub use settle::settle;

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

//! Pacing: from where the cell answers the same way again and again.

use ionoscope_analysis::pacing::{Paced, PacingOptions, pace, settle};
use ionoscope_dynamics::{
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, SolveOptions, TimeGrid},
};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{Error, Result, options};

/// Output times of a period of a flow, at which periods are compared.
const TIMES_OF_PERIOD: f64 = 1000.0;
/// Pacing cannot come nearer than the solver errs, which this times its tolerance leaves room for.
const ROOM: f64 = 10.0;

/// The period after which a protocol is repeated, if one is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Period {
    /// The stimulus does not change: a steady state or a limit cycle.
    Unknown,
    /// The stimulus is repeated with this period.
    Given(f64),
}

/// A number, or the text `free`.
impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(d)?;
        let text = value.as_str().map_or(value.to_string(), str::to_owned);
        period(&text).map_err(D::Error::custom)
    }
}

/// Parses a period, or `free`.
pub fn period(text: &str) -> std::result::Result<Period, String> {
    if text == "free" {
        Ok(Period::Unknown)
    } else {
        options::positive(text).map(Period::Given)
    }
}

/// Moves the start of `experiment` to where pacing ends; a warning says when it did not converge.
///
/// # Errors
/// As [`pace`] and [`settle`].
pub fn from_orbit(
    system: &dyn DynamicalSystem,
    experiment: &mut Experiment,
    period: Period,
    options: &SolveOptions,
    warnings: &mut Vec<String>,
) -> Result<Paced> {
    let default = PacingOptions::default();
    let tolerance = default.tolerance.max(ROOM * options.rtol).min(0.1);
    let options = PacingOptions {
        tolerance,
        solve: options.clone(),
        ..default
    };
    let paced = match period {
        Period::Unknown => settle(system, experiment, &options)?,
        Period::Given(period) => {
            let times = match system.time() {
                Time::Continuous => TimeGrid::until(period, period / TIMES_OF_PERIOD)?,
                Time::Discrete { dt } => TimeGrid::until_of_map(period, dt, dt).map_err(|e| {
                    Error::Input(format!(
                        "--pace {period}, of a map with a step of {dt}: {e}"
                    ))
                })?,
            };
            pace(
                system,
                &Experiment {
                    times,
                    ..experiment.clone()
                },
                &options,
            )?
        }
    };
    if !paced.converged {
        let (periods, residual) = (paced.periods, paced.residual);
        warnings.push(format!("pacing has not ended after {periods} periods; the last one changed the orbit by {residual:.1e} (relative)"));
    }
    experiment.x0.clone_from(&paced.state);
    Ok(paced)
}

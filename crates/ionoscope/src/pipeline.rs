//! Stages that the verbs and the reproductions of papers share.

use ionoscope_analysis::fixed_points::{FixedPointOptions, fixed_points};
use ionoscope_dynamics::models;
use ionoscope_learn::{
    dataset::{self, Dataset, DatasetConfig},
    train::{Record, TrainConfig},
};

use crate::Result;

/// Samples a dataset of a model, away from the model's fixed points.
///
/// # Errors
/// An unknown model, a configuration that does not fit it, trajectories that fail however often they are drawn.
pub fn sample(config: &DatasetConfig) -> Result<Dataset> {
    let system = models::find(&config.model)?;
    let options = FixedPointOptions { starts: 16, ..FixedPointOptions::default() };
    // Where the search fails, nothing is known to keep away from.
    let known = |p: &[f64]| fixed_points(&*system, 0.0, p, &options).map(|f| f.into_iter().map(|f| f.x).collect()).unwrap_or_default();
    Ok(dataset::sample(&*system, config, &known)?)
}

/// Every tenth record of a training as a line for people.
pub fn progress_line(record: &Record, config: &TrainConfig) -> Option<String> {
    Some(match record {
        Record::Adam(r) if r.epoch.is_multiple_of(10) => {
            let errors: Vec<String> = r.training.iter().map(|e| format!("{e:.2e}")).collect();
            format!(
                "epoch {} of {}, increment MSE {}, {:.1} million samples/s, {:.0} s left",
                r.epoch,
                config.adam.epochs,
                errors.join(" "),
                1e-6 * r.samples_per_second,
                r.seconds_left
            )
        }
        Record::SecondOrder(r) if r.iteration.is_multiple_of(10) => format!(
            "{} step {} of {}, increment MSE {:.2e}, {:.0} s left",
            r.variable, r.iteration, config.second_order.iterations, r.training, r.seconds_left
        ),
        _ => return None,
    })
}

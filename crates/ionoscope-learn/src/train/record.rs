//! What a training reports of itself while it runs.

use serde::{Deserialize, Serialize};

/// One line of the history of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Record {
    /// What the weights that were given to start from are worth, before any step.
    Start(StartRecord),
    /// An epoch of Adam, all variables together.
    Adam(AdamRecord),
    /// Something that whoever trains should know.
    Warning(WarningRecord),
    /// A step of the second-order stage, one variable after the other.
    SecondOrder(SecondOrderRecord),
}

/// What the weights that were given to start from are worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartRecord {
    /// Epochs done: none.
    pub epoch: u64,
    /// Their validation errors, as those of the epochs.
    pub validation: Vec<f64>,
}

/// Something that whoever trains should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WarningRecord {
    /// Epochs done.
    pub epoch: u64,
    /// What it is, and what to do.
    pub message: String,
}

/// An epoch of Adam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdamRecord {
    /// Epochs done.
    pub epoch: u64,
    /// Mean squared error over the training pairs on the way through the epoch, by variable, in units of the increment's variance.
    pub training: Vec<f64>,
    /// The same over the first batch alone, before any step was made: of the first epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_batch: Option<Vec<f64>>,
    /// The same on the validation pairs after the epoch, where it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Vec<f64>>,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Samples a second; one sample is forward, backward and its share of the step of one sub-network.
    pub samples_per_second: f64,
    /// Seconds since the training began, interruptions left out.
    pub seconds: f64,
    /// Seconds to the end of the stage at the present speed.
    pub seconds_left: f64,
}

/// A step of the second-order stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondOrderRecord {
    /// Name of the variable whose sub-network is trained, or of all that the network gives.
    pub variable: String,
    /// Accepted steps of this sub-network.
    pub iteration: u64,
    /// Mean squared error on all training pairs after the step, in units of the increment's variance.
    pub training: f64,
    /// The same on the validation pairs, where it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
    /// Damping.
    pub damping: f64,
    /// Seconds since the training began, interruptions left out.
    pub seconds: f64,
    /// Seconds to the end of the stage, all variables, at the present speed.
    pub seconds_left: f64,
}

impl Record {
    /// Step and named numbers for TensorBoard.
    pub(super) fn scalars(&self, variables: &[String]) -> (u64, Vec<(String, f64)>) {
        let named = |kind: &'static str, values: &[f64]| -> Vec<(String, f64)> {
            variables
                .iter()
                .zip(values)
                .map(|(name, v)| (format!("adam/{kind}/{name}"), *v))
                .collect()
        };
        match self {
            Record::Start(r) => (r.epoch, named("validation", &r.validation)),
            Record::Warning(r) => (r.epoch, Vec::new()),
            Record::Adam(r) => {
                let mut values = named("training", &r.training);
                values.extend(named("validation", r.validation.as_deref().unwrap_or(&[])));
                values.push(("adam/learning_rate".into(), r.learning_rate));
                values.push(("adam/samples_per_second".into(), r.samples_per_second));
                (r.epoch, values)
            }
            Record::SecondOrder(r) => {
                let named = |kind: &str, v: f64| (format!("second_order/{kind}/{}", r.variable), v);
                let mut values = vec![named("training", r.training), named("damping", r.damping)];
                values.extend(r.validation.map(|v| named("validation", v)));
                (r.iteration, values)
            }
        }
    }
}

/// The warnings among records.
pub(super) fn warnings(history: &[Record]) -> Vec<String> {
    let message = |r: &Record| {
        if let Record::Warning(w) = r {
            Some(w.message.clone())
        } else {
            None
        }
    };
    history.iter().filter_map(message).collect()
}

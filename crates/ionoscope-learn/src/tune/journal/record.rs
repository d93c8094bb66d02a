//! What the lines of a journal say: operations, what is kept of a trial, and how a record changes it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Operations, by their numbers in the file.
pub(super) mod operation {
    pub const CREATE_STUDY: u64 = 0;
    pub const DELETE_STUDY: u64 = 1;
    pub const STUDY_ATTRIBUTE: u64 = 2;
    pub const STUDY_SYSTEM_ATTRIBUTE: u64 = 3;
    pub const CREATE_TRIAL: u64 = 4;
    pub const PARAMETER: u64 = 5;
    pub const STATE: u64 = 6;
    pub const REPORT: u64 = 7;
    pub const ATTRIBUTE: u64 = 8;
    pub const SYSTEM_ATTRIBUTE: u64 = 9;
    pub const DISCARD: u64 = 10;
}

/// Attributes of trials that we write beside Optuna's.
pub(in crate::tune) mod attribute {
    pub const WORKER: &str = "worker";
    pub const ALIVE: &str = "alive";
    pub const ABANDONED: &str = "abandoned";
    pub const RETRY: &str = "retry_of";
    pub const FITTED: &str = "fitted";
    pub const PROBLEM: &str = "problem";
}

/// How the names of our workers begin.
pub(super) const WORKER_PREFIX: &str = "ionoscope-";

/// What became of a trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// At work, or left behind by a worker that is no more.
    #[default]
    Running,
    /// Done.
    Complete,
    /// Given up for the others.
    Pruned,
    /// It could not be done.
    Failed,
    /// Not begun.
    Waiting,
}

impl State {
    pub(super) const ALL: [State; 5] = [
        State::Running,
        State::Complete,
        State::Pruned,
        State::Failed,
        State::Waiting,
    ];

    /// Whether nothing more will come.
    pub fn finished(self) -> bool {
        matches!(self, State::Complete | State::Pruned | State::Failed)
    }

    pub(super) fn number(self) -> usize {
        State::ALL.iter().position(|s| *s == self).unwrap_or(0)
    }
}

/// A trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trial {
    /// Its number in the study, from 0.
    pub number: usize,
    /// What became of it.
    pub state: State,
    /// Values by key.
    pub values: BTreeMap<String, Value>,
    /// What it was worth.
    pub value: Option<f64>,
    /// What it was worth by the further objectives of a study that has several.
    pub further: Vec<f64>,
    /// What it was worth on the way, by step.
    pub reported: BTreeMap<u64, f64>,
    /// What else is kept of it.
    pub attributes: BTreeMap<String, Value>,
    /// Number over all studies of the file.
    pub(in crate::tune) id: usize,
}

impl Trial {
    /// The number under which it was first begun: what was left behind is begun again under another.
    pub fn origin(&self) -> usize {
        self.attributes
            .get(attribute::RETRY)
            .and_then(Value::as_u64)
            .map_or(self.number, |n| n as usize)
    }

    /// Whether an older version ended it because its worker was no more.
    pub fn left_behind(&self) -> bool {
        self.state == State::Failed && self.attributes.contains_key(attribute::ABANDONED)
    }

    /// Values that follow from its own, to meet a budget.
    pub fn fitted(&self) -> BTreeMap<String, Value> {
        self.attributes
            .get(attribute::FITTED)
            .and_then(Value::as_object)
            .map(|o| o.clone().into_iter().collect())
            .unwrap_or_default()
    }

    /// Why it failed.
    pub fn problem(&self) -> Option<&str> {
        self.attributes
            .get(attribute::PROBLEM)
            .and_then(Value::as_str)
    }

    /// By all objectives; empty where it was not measured.
    pub fn objectives(&self) -> Vec<f64> {
        self.value
            .into_iter()
            .chain(self.further.iter().copied())
            .collect()
    }

    /// The last report.
    pub fn last(&self) -> Option<(u64, f64)> {
        self.reported.last_key_value().map(|(s, v)| (*s, *v))
    }
}

/// A line as a record. Python writes numbers that are not finite without quotes, which JSON has not.
pub(super) fn parse(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok().or_else(|| {
        let text = std::str::from_utf8(line).ok()?;
        let plain = ["NaN", "-Infinity", "Infinity"]
            .iter()
            .fold(text.to_owned(), |t, word| {
                t.replace(&format!(":{word}"), ":null")
                    .replace(&format!("[{word}"), "[null")
                    .replace(&format!(",{word}"), ",null")
            });
        serde_json::from_str(&plain).ok()
    })
}

/// The value for the inner number of a distribution as Optuna writes it.
pub(super) fn outer(distribution: &str, inner: &Value) -> Value {
    let Ok(d) = serde_json::from_str::<Value>(distribution) else {
        return inner.clone();
    };
    match d["name"].as_str() {
        Some("CategoricalDistribution") => {
            d["attributes"]["choices"][inner.as_f64().unwrap_or(0.0) as usize].clone()
        }
        Some("IntDistribution") => json!(inner.as_f64().unwrap_or(0.0) as i64),
        _ => inner.clone(),
    }
}

/// What a record of this operation says of a trial.
pub(super) fn change(trial: &mut Trial, code: u64, record: &Value) {
    match code {
        operation::PARAMETER => {
            if let (Some(key), Some(distribution)) = (
                record["param_name"].as_str(),
                record["distribution"].as_str(),
            ) {
                trial.values.insert(
                    key.to_owned(),
                    outer(distribution, &record["param_value_internal"]),
                );
            }
        }
        operation::STATE => {
            trial.state = record["state"]
                .as_u64()
                .and_then(|s| State::ALL.get(s as usize).copied())
                .unwrap_or(trial.state);
            // What Optuna took up from among those that wait is its own.
            if trial.state == State::Running
                && !record["worker_id"]
                    .as_str()
                    .is_some_and(|w| w.starts_with(WORKER_PREFIX))
            {
                trial.attributes.remove(attribute::WORKER);
                trial.reported.clear();
            }
            if let Some(values) = record["values"].as_array() {
                trial.value = values.first().and_then(Value::as_f64);
                trial.further = values.iter().skip(1).filter_map(Value::as_f64).collect();
            }
        }
        operation::REPORT => {
            if let (Some(step), Some(value)) = (
                record["step"].as_u64(),
                record["intermediate_value"].as_f64(),
            ) {
                trial.reported.insert(step, value);
            }
        }
        _ => {
            if let Some(more) = record["user_attr"].as_object() {
                // Another worker begins it again: what the one before had reported is not known to this one.
                if more.contains_key(attribute::WORKER) {
                    trial.reported.clear();
                    trial.attributes.remove(attribute::PROBLEM);
                }
                trial.attributes.extend(more.clone());
            }
        }
    }
}

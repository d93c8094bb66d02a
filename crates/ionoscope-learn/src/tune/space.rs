//! Search spaces: for keys of a configuration the values that they may take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Error, Result};

/// Values that a parameter may take.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Domain {
    /// One of some values.
    Choice {
        /// The values.
        choice: Vec<Value>,
    },
    /// Whole numbers from the first to the second.
    Integer {
        /// Both ends.
        integer: [i64; 2],
        /// Distance between two of them.
        step: i64,
    },
    /// Whole numbers, evenly over their logarithms.
    LogInteger {
        /// Both ends.
        log_integer: [i64; 2],
    },
    /// Real numbers.
    Real {
        /// Both ends.
        real: [f64; 2],
    },
    /// Real numbers, evenly over their logarithms.
    Log {
        /// Both ends.
        log: [f64; 2],
    },
}

/// A key of the configuration, with its values and perhaps a condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Parameter {
    /// What it may be.
    #[serde(flatten)]
    pub domain: Domain,
    /// Only where these other parameters have one of these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, Vec<Value>>,
}

/// A [`Parameter`] as it stands in files: read so, errors name the key within it.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { real = [0, 1] } or { choice = [1, 2] }"
)]
struct Written {
    choice: Option<Vec<Value>>,
    integer: Option<[i64; 2]>,
    step: Option<i64>,
    log_integer: Option<[i64; 2]>,
    real: Option<[f64; 2]>,
    log: Option<[f64; 2]>,
    #[serde(default)]
    when: BTreeMap<String, Vec<Value>>,
}

impl TryFrom<Written> for Parameter {
    type Error = String;

    fn try_from(w: Written) -> std::result::Result<Self, String> {
        let step = w.step.unwrap_or(1);
        let mut domains = [
            w.choice.map(|choice| Domain::Choice { choice }),
            w.integer.map(|integer| Domain::Integer { integer, step }),
            w.log_integer
                .map(|log_integer| Domain::LogInteger { log_integer }),
            w.real.map(|real| Domain::Real { real }),
            w.log.map(|log| Domain::Log { log }),
        ]
        .into_iter()
        .flatten();
        let (Some(domain), None) = (domains.next(), domains.next()) else {
            return Err(
                "expected exactly one of choice, integer, log_integer, real and log".into(),
            );
        };
        if w.step.is_some() && !matches!(domain, Domain::Integer { .. }) {
            return Err("step is for integer; leave it out".into());
        }
        Ok(Parameter {
            domain,
            when: w.when,
        })
    }
}

/// Parameters by key; those with a condition come after those that they depend on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space(pub BTreeMap<String, Parameter>);

/// The key of a parameter in a study's file.
pub fn key_of(key: &str) -> String {
    format!("space.\"{key}\"")
}

/// The inner scale of a domain, on which samplers work: an interval, perhaps logarithmic, perhaps in steps; or a number of choices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    Line {
        low: f64,
        high: f64,
        log: bool,
        step: Option<f64>,
    },
    Choices(usize),
}

impl Domain {
    pub(super) fn scale(&self) -> Scale {
        match self {
            Domain::Choice { choice } => Scale::Choices(choice.len()),
            Domain::Integer {
                integer: [l, h],
                step,
            } => {
                // The last step that fits.
                let high = l + (h - l) / step * step;
                Scale::Line {
                    low: *l as f64,
                    high: high as f64,
                    log: false,
                    step: Some(*step as f64),
                }
            }
            Domain::LogInteger {
                log_integer: [l, h],
            } => Scale::Line {
                low: *l as f64,
                high: *h as f64,
                log: true,
                step: Some(1.0),
            },
            Domain::Real { real: [low, high] } => Scale::Line {
                low: *low,
                high: *high,
                log: false,
                step: None,
            },
            Domain::Log { log: [low, high] } => Scale::Line {
                low: *low,
                high: *high,
                log: true,
                step: None,
            },
        }
    }

    /// The value for a number on the inner scale: the index of a choice, or the number itself.
    pub(super) fn value(&self, inner: f64) -> Value {
        match self {
            Domain::Choice { choice } => {
                choice[(inner.max(0.0) as usize).min(choice.len() - 1)].clone()
            }
            Domain::Integer { .. } | Domain::LogInteger { .. } => json!(inner.round() as i64),
            Domain::Real { .. } | Domain::Log { .. } => json!(inner),
        }
    }

    /// The number on the inner scale of a value; none where it is not in the domain.
    pub fn inner(&self, value: &Value) -> Option<f64> {
        match self.scale() {
            Scale::Choices(_) => {
                let Domain::Choice { choice } = self else {
                    return None;
                };
                // 1 and 1.0 are the same choice.
                let same = |c: &Value| {
                    c == value || c.as_f64().zip(value.as_f64()).is_some_and(|(a, b)| a == b)
                };
                choice.iter().position(same).map(|k| k as f64)
            }
            Scale::Line { low, high, .. } => value.as_f64().filter(|v| (low..=high).contains(v)),
        }
    }

    /// The values at the ends of the domain; of choices all.
    pub fn ends(&self) -> Vec<Value> {
        match self.scale() {
            Scale::Choices(n) => (0..n).map(|k| self.value(k as f64)).collect(),
            Scale::Line { low, high, .. } => vec![self.value(low), self.value(high)],
        }
    }

    /// As Optuna writes a distribution.
    pub(super) fn distribution(&self) -> Value {
        match (self, self.scale()) {
            (Domain::Choice { choice }, _) => {
                json!({"name": "CategoricalDistribution", "attributes": {"choices": choice}})
            }
            (
                _,
                Scale::Line {
                    low,
                    high,
                    log,
                    step: Some(step),
                },
            ) => {
                let attributes = json!({"log": log, "step": step as i64, "low": low as i64, "high": high as i64});
                json!({"name": "IntDistribution", "attributes": attributes})
            }
            (_, Scale::Line { low, high, log, .. }) => {
                json!({"name": "FloatDistribution", "attributes": {"step": null, "low": low, "high": high, "log": log}})
            }
            _ => Value::Null,
        }
    }

    fn check(&self, key: &str) -> Result<()> {
        let fail = |message: String| Err(Error::of_setting(&key_of(key), message));
        match self {
            Domain::Choice { choice } if choice.is_empty() => {
                fail("no choice; expected at least one".into())
            }
            Domain::Choice { choice }
                if (1..choice.len()).any(|k| choice[..k].contains(&choice[k])) =>
            {
                fail("a choice given twice".into())
            }
            Domain::Choice { choice } if choice.iter().any(|c| c.is_array() || c.is_object()) => {
                fail(
                    "a choice is a list or a table; expected numbers, words, or true and false"
                        .into(),
                )
            }
            Domain::Choice { .. } => Ok(()),
            Domain::Integer { step, .. } if *step < 1 => {
                fail(format!("step = {step}; expected 1 or more"))
            }
            Domain::Integer {
                integer: [l, h], ..
            } if l > h => fail(format!("integer = [{l}, {h}]; expected the smaller first")),
            Domain::LogInteger {
                log_integer: [l, h],
            } if *l < 1 || l > h => fail(format!(
                "log_integer = [{l}, {h}]; expected two whole numbers from 1 on, the smaller first"
            )),
            Domain::Real { real: [l, h] } if !(l.is_finite() && h.is_finite() && l <= h) => fail(
                format!("real = [{l}, {h}]; expected two finite numbers, the smaller first"),
            ),
            Domain::Log { log: [l, h] } if !(*l > 0.0 && h.is_finite() && l <= h) => fail(format!(
                "log = [{l}, {h}]; expected two positive numbers, the smaller first"
            )),
            _ => Ok(()),
        }
    }
}

impl Space {
    /// Checks ranges and conditions.
    ///
    /// # Errors
    /// Names the first parameter that makes no sense.
    pub fn check(&self) -> Result<()> {
        if self.0.is_empty() {
            let problem =
                "it is empty; expected at least one key of the configuration with its values";
            return Err(Error::of_setting("space", problem));
        }
        for (key, parameter) in &self.0 {
            parameter.domain.check(key)?;
            for (other, values) in &parameter.when {
                let Some(on) = self.0.get(other) else {
                    let problem = format!("when names '{other}', which is not in the space");
                    return Err(Error::of_setting(&key_of(key), problem));
                };
                if let Some(v) = values.iter().find(|v| on.domain.inner(v).is_none()) {
                    let problem = format!("when asks for '{other}' = {v}, which it never is");
                    return Err(Error::of_setting(&key_of(key), problem));
                }
            }
        }
        if self.order().len() < self.0.len() {
            let problem = "conditions depend on one another in a circle";
            return Err(Error::of_setting("space", problem));
        }
        Ok(())
    }

    /// Keys so that those with a condition follow what they depend on; those in a circle are left out.
    pub(super) fn order(&self) -> Vec<&String> {
        let mut order: Vec<&String> = Vec::new();
        while let Some(next) = self
            .0
            .iter()
            .find(|(k, p)| !order.contains(k) && p.when.keys().all(|on| order.contains(&on)))
        {
            order.push(next.0);
        }
        order
    }

    /// Whether a parameter is there, given the values so far.
    pub(super) fn applies(&self, key: &str, values: &BTreeMap<String, Value>) -> bool {
        let holds = |(on, wanted): (&String, &Vec<Value>)| {
            let domain = &self.0[on].domain;
            values
                .get(on)
                .is_some_and(|v| wanted.iter().any(|w| domain.inner(w) == domain.inner(v)))
        };
        self.0[key].when.iter().all(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(text: &str) -> Space {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn spaces_are_read_checked_and_ordered() {
        let s = space(
            r#"{"a": {"integer": [1, 9], "step": 4, "when": {"kind": ["x"]}}, "kind": {"choice": ["x", "y"]}, "rate": {"log": [1e-4, 1e-2]}, "k": {"log_integer": [1, 64]}, "p": {"real": [0, 1]}}"#,
        );
        s.check().unwrap();
        assert_eq!(
            serde_json::from_str::<Space>(&serde_json::to_string(&s).unwrap()).unwrap(),
            s
        );
        let order = s.order();
        assert!(order.iter().position(|k| *k == "kind") < order.iter().position(|k| *k == "a"));
        let with = |kind: &str| BTreeMap::from([("kind".to_owned(), json!(kind))]);
        assert!(
            s.applies("a", &with("x"))
                && !s.applies("a", &with("y"))
                && s.applies("rate", &BTreeMap::new())
        );
        let Parameter { domain, .. } = &s.0["a"];
        assert_eq!(
            (
                domain.value(5.2),
                domain.inner(&json!(9)),
                domain.inner(&json!(10))
            ),
            (json!(5), Some(9.0), None)
        );
        for (text, part) in [
            ("{}", "empty"),
            (r#"{"a": {"integer": [3, 1]}}"#, "smaller first"),
            (r#"{"a": {"log": [0, 1]}}"#, "positive"),
            (r#"{"a": {"choice": []}}"#, "at least one"),
            (
                r#"{"a": {"real": [0, 1], "when": {"b": [1]}}}"#,
                "not in the space",
            ),
            (
                r#"{"a": {"real": [0, 1], "when": {"b": [7]}}, "b": {"integer": [1, 2]}}"#,
                "never is",
            ),
            (
                r#"{"a": {"choice": [1], "when": {"b": [1]}}, "b": {"choice": [1], "when": {"a": [1]}}}"#,
                "circle",
            ),
        ] {
            assert!(
                space(text).check().unwrap_err().to_string().contains(part),
                "{text}"
            );
        }
    }
}

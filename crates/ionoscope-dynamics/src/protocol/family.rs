//! Random families of protocols, from which datasets are drawn.
//!
//! A [`ProtocolFamily`] has classes; each is a protocol whose fields may be ranges. Member k under a seed depends on the family's name, the
//! seed and k alone: every field has a random stream of its own, so neither threads nor the choice of members change one, and two families
//! (a training and a test set, say) share none.

use std::collections::BTreeMap;

use rand::RngExt;
use serde::{Deserialize, Serialize, de::value};

use super::{
    stimulus::Stimulus,
    sum::{Overlap, Protocol},
};
use crate::{
    Error, Result,
    sampling::{Generator, stream, uniform},
};

mod field;

pub use field::{Draw, Field, Range, Scale};

/// A random family of protocols.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolFamily {
    /// Its name, which tells its random numbers from those of other families.
    pub name: String,
    /// What it is and where its ranges come from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// End T of the runs, in the unit of time of the system.
    pub t_end: f64,
    /// Unit of the currents, to be checked against that of a system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Unit of the times, to be checked against that of a system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<String>,
    /// Its classes: all with a count, or all with a weight.
    #[serde(rename = "class")]
    pub classes: Vec<Class>,
}

/// Members of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// How many members of the family are of this class. They follow those of the class before, so the family has an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How likely a member is of this class, relative to the other classes' weights. The family has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// End T of the runs of this class, where it is not the family's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t_end: Option<f64>,
    /// Whether the stimuli of a member may overlap.
    #[serde(default, skip_serializing_if = "Overlap::is_default")]
    pub overlap: Overlap,
    /// The stimuli: the fields of [`Stimulus`] as in files, each a value or a [`Range`]. The seed of noise may be left out: every member then
    /// has one of its own.
    #[serde(default)]
    pub stimulus: Vec<BTreeMap<String, Field>>,
}

/// One protocol of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Index of its class.
    pub class: usize,
    /// End T of its run.
    pub t_end: f64,
    /// The protocol.
    pub protocol: Protocol,
}

/// Where in its range a field is.
enum At {
    Low,
    High,
    Random { seed: u64, member: u64 },
}

impl ProtocolFamily {
    /// Checks names, counts and weights, and that the protocols at both ends of all ranges make sense.
    ///
    /// # Errors
    /// The class, stimulus and field that make none.
    pub fn check(&self) -> Result<()> {
        let fail = |message: String| Err(Error::Invalid(message));
        let positive = |v: f64| v > 0.0 && v.is_finite();
        if self.classes.is_empty() {
            return fail(format!(
                "family '{}' has no class; expected at least one",
                self.name
            ));
        }
        let counted = self.classes[0].count.is_some();
        for (k, class) in self.classes.iter().enumerate() {
            let wrong = |message: String| fail(format!("class '{}': {message}", class.name));
            if class.name.is_empty()
                || self.classes[..k]
                    .iter()
                    .any(|earlier| earlier.name == class.name)
            {
                return fail(format!(
                    "the name '{}' of class {} is empty or given twice; expected names that differ",
                    class.name,
                    k + 1
                ));
            }
            let t_end = class.t_end.unwrap_or(self.t_end);
            if !positive(t_end) {
                return wrong(format!(
                    "its t_end is {t_end}; expected a finite number larger than 0"
                ));
            }
            match (class.count, class.weight) {
                (Some(_), None) if counted => {}
                (None, Some(w)) if !counted && positive(w) => {}
                (None, Some(w)) if !counted => {
                    return wrong(format!(
                        "its weight is {w}; expected a finite number larger than 0"
                    ));
                }
                _ => {
                    return wrong(
                        "expected either a count in every class, or a weight in every class".into(),
                    );
                }
            }
            for at in [At::Low, At::High] {
                self.build(k, &at)?
                    .protocol
                    .check_until(t_end)
                    .map_err(|e| Error::Invalid(format!("class '{}': {e}", class.name)))?;
            }
        }
        if self.len().is_some_and(|n| n == 0 || n > i64::MAX as u64) {
            return fail(format!(
                "family '{}' has {} members; expected 1 or more",
                self.name,
                self.len().unwrap_or(0)
            ));
        }
        Ok(())
    }

    /// Number of members; none where the classes have weights and it has no end.
    pub fn len(&self) -> Option<u64> {
        self.classes
            .iter()
            .try_fold(0u64, |n, class| Some(n.saturating_add(class.count?)))
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0) || self.classes.is_empty()
    }

    /// Member `k` under a seed.
    ///
    /// # Errors
    /// A member beyond the last; a protocol that makes no sense.
    pub fn member(&self, seed: u64, k: u64) -> Result<Member> {
        let class = match self.len() {
            Some(n) if k < n => {
                let mut end = 0;
                self.classes.iter().position(|class| {
                    end += class.count.unwrap_or(0);
                    k < end
                })
            }
            Some(n) => {
                return Err(Error::Invalid(format!(
                    "family '{}' has {n} members; there is no member {k}",
                    self.name
                )));
            }
            None => {
                let weight = |class: &Class| class.weight.unwrap_or(0.0);
                let total: f64 = self.classes.iter().map(weight).sum();
                let mut left = uniform(&mut self.stream(seed, "class", k), [0.0, total]);
                let found = self.classes.iter().position(|class| {
                    left -= weight(class);
                    left < 0.0
                });
                // Rounding may leave the last class not quite reached.
                found.or(self.classes.len().checked_sub(1))
            }
        };
        let class = class.ok_or_else(|| {
            Error::Invalid(format!(
                "family '{}' has no class; expected at least one",
                self.name
            ))
        })?;
        let member = self.build(class, &At::Random { seed, member: k })?;
        let checked = member.protocol.check_until(member.t_end);
        checked.map_err(|e| {
            Error::Invalid(format!(
                "member {k} of class '{}': {e}",
                self.classes[class].name
            ))
        })?;
        Ok(member)
    }

    fn stream(&self, seed: u64, what: &str, k: u64) -> Generator {
        stream(seed, &format!("protocol family/{}/{what}", self.name), k)
    }

    fn build(&self, index: usize, at: &At) -> Result<Member> {
        let class = &self.classes[index];
        let t_end = class.t_end.unwrap_or(self.t_end);
        let stimuli = class.stimulus.iter().enumerate().map(|(j, template)| {
            let wrong = |message: String| {
                Error::Invalid(format!(
                    "class '{}', stimulus {}: {message}",
                    class.name,
                    j + 1
                ))
            };
            let shape = match template.get("shape") {
                Some(Field::Text(shape)) if Stimulus::SHAPES.contains(&shape.as_str()) => {
                    shape.as_str()
                }
                Some(Field::Text(shape)) => {
                    return Err(wrong(
                        Error::unknown("shape", shape, Stimulus::SHAPES).to_string(),
                    ));
                }
                _ => {
                    return Err(wrong(format!(
                        "it has no shape; expected one of {}",
                        Stimulus::SHAPES.join(", ")
                    )));
                }
            };
            let mut fields = Vec::with_capacity(template.len() + 1);
            let random = |name: &str| match at {
                At::Random { seed, member } => {
                    Some(self.stream(*seed, &format!("{}/{j}/{name}", class.name), *member))
                }
                At::Low | At::High => None,
            };
            for (name, field) in template {
                field
                    .check()
                    .map_err(|e| wrong(format!("its {name} {e}")))?;
                let value = match (field, at) {
                    (Field::Range(range), At::Low) => range.at(0.0, t_end),
                    (Field::Range(range), At::High) => range.at(1.0, t_end),
                    (Field::Range(range), At::Random { .. }) => range.at(
                        random(name).map_or(0.0, |mut rng| uniform(&mut rng, [0.0, 1.0])),
                        t_end,
                    ),
                    (other, _) => other.clone(),
                };
                fields.push((name.as_str(), value));
            }
            if shape == "noise" && !template.contains_key("seed") {
                // 53 bits: every reader of JSON and TOML keeps them.
                fields.push((
                    "seed",
                    Field::Whole(random("seed").map_or(0, |mut rng| rng.random::<u64>() >> 11)),
                ));
            }
            let map = value::MapDeserializer::<_, value::Error>::new(fields.into_iter());
            Stimulus::deserialize(map).map_err(|e| wrong(e.to_string()))
        });
        let stimuli = stimuli.collect::<Result<Vec<_>>>()?;
        let protocol = Protocol {
            overlap: class.overlap,
            unit: self.unit.clone(),
            time_unit: self.time_unit.clone(),
            stimuli,
        };
        Ok(Member {
            class: index,
            t_end,
            protocol,
        })
    }
}

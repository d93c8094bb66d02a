//! What a system says of itself: names, units, defaults, ranges and source.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A named quantity with its unit, default value and the interval in which it makes sense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// Short name in lower case, as used in files and on the command line.
    pub name: String,
    /// Unit, `1` where there is none.
    pub unit: String,
    /// What it is, in a few words.
    pub description: String,
    /// Value where none is given: the start of a variable, the published value of a parameter.
    pub default: f64,
    /// Smallest and largest value that make sense. For a variable also the box searched for fixed points.
    pub range: [f64; 2],
}

impl Quantity {
    /// A quantity from its parts.
    pub fn new(name: &str, unit: &str, description: &str, default: f64, range: [f64; 2]) -> Self {
        Quantity {
            name: name.into(),
            unit: unit.into(),
            description: description.into(),
            default,
            range,
        }
    }
}

/// A quantity that a system's rule conserves, whatever the stimulus and the parameters: a closed cell's charge, say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conserved {
    /// Short name in lower case.
    pub name: String,
    /// Unit, `1` where there is none.
    pub unit: String,
    /// What it is, in a few words.
    pub description: String,
}

impl Conserved {
    /// A conserved quantity from its parts.
    pub fn new(name: &str, unit: &str, description: &str) -> Self {
        Conserved {
            name: name.into(),
            unit: unit.into(),
            description: description.into(),
        }
    }
}

/// A named alternative to the defaults: another start, other parameters, or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preset {
    /// Name on the command line (`--preset NAME`).
    pub name: String,
    /// What it is and where its numbers come from.
    pub description: String,
    /// Variables whose start differs from the default: name and value.
    pub x0: Vec<(String, f64)>,
    /// Parameters that differ from the default: name and value.
    pub parameters: Vec<(String, f64)>,
    /// Spike threshold, where it differs from the default.
    #[serde(default)]
    pub spike_threshold: Option<f64>,
}

/// What the data of a surrogate covered, in physical units and in the order of the [`Spec`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRange {
    /// Identifier of the model that made the data.
    pub model: String,
    /// Values of the model's other parameters, held fixed in the data: name and value.
    pub fixed: Vec<(String, f64)>,
    /// Smallest and largest value of each variable in the data.
    pub state: Vec<[f64; 2]>,
    /// Smallest and largest value of each control parameter in the data.
    pub parameters: Vec<[f64; 2]>,
    /// Smallest and largest stimulus in the data, as means over the surrogate's time step; none where there was no stimulus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stimulus: Option<[f64; 2]>,
}

/// Names, units, defaults, ranges and source of a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Identifier on the command line, such as `sherman-1988`.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// Whom to cite, with DOI.
    pub citation: String,
    /// Unit of time.
    pub time_unit: String,
    /// Unit of a stimulus current; positive depolarizes.
    pub stimulus_unit: String,
    /// State variables, in order.
    pub variables: Vec<Quantity>,
    /// Parameters, in order.
    pub parameters: Vec<Quantity>,
    /// Name of the variable that is the membrane potential.
    pub membrane_potential: Option<String>,
    /// A spike is an upward crossing of this value of the membrane potential, in its unit.
    #[serde(default)]
    pub spike_threshold: Option<f64>,
    /// Named alternatives to the defaults.
    #[serde(default)]
    pub presets: Vec<Preset>,
    /// What a surrogate was trained on; `None` for equations.
    pub trained_on: Option<TrainingRange>,
}

impl Spec {
    /// Checks what a file says of a system: names that can be told apart, finite numbers, ranges the right way round, lengths that fit.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn check(&self) -> Result<()> {
        let fail = |message: String| Err(Error::Invalid(message));
        if self.variables.is_empty() {
            return fail(format!(
                "'{}' has no variables; expected at least one",
                self.id
            ));
        }
        let ordered = |[low, high]: &[f64; 2]| low.is_finite() && high.is_finite() && low <= high;
        for (kind, list) in [
            ("variable", &self.variables),
            ("parameter", &self.parameters),
        ] {
            for (i, q) in list.iter().enumerate() {
                if q.name.is_empty() || list[..i].iter().any(|earlier| earlier.name == q.name) {
                    return fail(format!(
                        "the name '{}' of {kind} {i} is empty or given twice; expected names that differ",
                        q.name
                    ));
                }
                if !q.default.is_finite() || !ordered(&q.range) {
                    let (name, default, [low, high]) = (&q.name, q.default, q.range);
                    return fail(format!(
                        "{kind} '{name}' has default {default:?} and range [{low:?}, {high:?}]; expected finite numbers, the smaller end first"
                    ));
                }
            }
        }
        if let Some(name) = self
            .membrane_potential
            .as_ref()
            .filter(|name| self.variables.iter().all(|q| q.name != **name))
        {
            return fail(format!(
                "the membrane potential '{name}' is none of the variables"
            ));
        }
        for (i, preset) in self.presets.iter().enumerate() {
            if preset.name.is_empty()
                || self.presets[..i]
                    .iter()
                    .any(|earlier| earlier.name == preset.name)
            {
                return fail(format!(
                    "the name '{}' of preset {i} is empty or given twice; expected names that differ",
                    preset.name
                ));
            }
            self.with_preset(&preset.name)?;
        }
        if let Some(t) = &self.trained_on {
            let (sizes, wanted) = (
                [t.state.len(), t.parameters.len()],
                [self.variables.len(), self.parameters.len()],
            );
            if sizes != wanted
                || !t
                    .state
                    .iter()
                    .chain(&t.parameters)
                    .chain(&t.stimulus)
                    .all(ordered)
            {
                return fail(format!(
                    "{sizes:?} training ranges; expected {wanted:?}, each of finite numbers, the smaller first"
                ));
            }
        }
        Ok(())
    }

    /// Default start, in the order of the variables.
    pub fn default_state(&self) -> Vec<f64> {
        self.variables.iter().map(|q| q.default).collect()
    }

    /// Default parameters, in order.
    pub fn default_parameters(&self) -> Vec<f64> {
        self.parameters.iter().map(|q| q.default).collect()
    }

    /// Index of a variable.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn variable_index(&self, name: &str) -> Result<usize> {
        index("variable", &self.variables, name)
    }

    /// Index of the membrane potential; none where there is none.
    pub fn membrane_potential_index(&self) -> Option<usize> {
        self.variable_index(self.membrane_potential.as_deref()?)
            .ok()
    }

    /// Index of a parameter.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn parameter_index(&self, name: &str) -> Result<usize> {
        index("parameter", &self.parameters, name)
    }

    /// The spec with a preset's values as its defaults.
    ///
    /// # Errors
    /// An unknown preset, with the nearest known one; a preset that names what the spec does not hold.
    pub fn with_preset(&self, name: &str) -> Result<Spec> {
        let known = || self.presets.iter().map(|q| q.name.as_str());
        let preset = self
            .presets
            .iter()
            .find(|q| q.name == name)
            .ok_or_else(|| Error::unknown("preset", name, known()))?;
        let x0 = self.state_with(preset.x0.iter().map(|(n, v)| (n.as_str(), *v)))?;
        let p = self.parameters_with(preset.parameters.iter().map(|(n, v)| (n.as_str(), *v)))?;
        let mut spec = self.clone();
        for (q, value) in spec
            .variables
            .iter_mut()
            .zip(x0)
            .chain(spec.parameters.iter_mut().zip(p))
        {
            q.default = value;
        }
        spec.spike_threshold = preset.spike_threshold.or(spec.spike_threshold);
        Ok(spec)
    }

    /// The default parameters with some replaced.
    ///
    /// # Errors
    /// An unknown name; a value that is not finite or outside the range that makes sense.
    pub fn parameters_with<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<Vec<f64>> {
        replace(self.default_parameters(), &self.parameters, changes, |n| {
            self.parameter_index(n)
        })
    }

    /// The default start with some variables replaced.
    ///
    /// # Errors
    /// An unknown name; a value that is not finite or outside the range that makes sense.
    pub fn state_with<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<Vec<f64>> {
        replace(self.default_state(), &self.variables, changes, |n| {
            self.variable_index(n)
        })
    }

    /// The stimulus that a surrogate was trained on, where it takes one.
    pub fn trained_stimulus(&self) -> Option<[f64; 2]> {
        self.trained_on.as_ref()?.stimulus
    }

    /// Whether a state and parameters lie outside what a surrogate was trained on; never for equations.
    pub fn extrapolates(&self, x: &[f64], p: &[f64]) -> bool {
        let outside = |values: &[f64], ranges: &[[f64; 2]]| {
            values
                .iter()
                .zip(ranges)
                .any(|(v, r)| !(r[0]..=r[1]).contains(v))
        };
        self.trained_on
            .as_ref()
            .is_some_and(|t| outside(x, &t.state) || outside(p, &t.parameters))
    }
}

fn index(kind: &'static str, list: &[Quantity], name: &str) -> Result<usize> {
    list.iter()
        .position(|q| q.name == name)
        .ok_or_else(|| Error::unknown(kind, name, list.iter().map(|q| q.name.as_str())))
}

fn replace<'a>(
    mut values: Vec<f64>,
    list: &[Quantity],
    changes: impl IntoIterator<Item = (&'a str, f64)>,
    find: impl Fn(&str) -> Result<usize>,
) -> Result<Vec<f64>> {
    for (name, value) in changes {
        let i = find(name)?;
        let [low, high] = list[i].range;
        if !(low..=high).contains(&value) {
            return Err(Error::OutOfRange {
                name: name.to_owned(),
                value,
                low,
                high,
            });
        }
        values[i] = value;
    }
    Ok(values)
}

//! Run configurations: TOML files with single values replaced on the command line.

use std::{collections::BTreeMap, path::Path};

use ionoscope_dynamics::{Error as DynamicsError, models};
use ionoscope_learn::{
    architectures::Architecture,
    checkpoint::differences,
    dataset::DatasetConfig,
    responses::ResponseConfig,
    train::{TrainConfig, operator::OperatorConfig},
    tune::StudyConfig,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use crate::{Error, Result, artifact::read_text, tuning::objective::Objective};

/// A configuration file: `[dataset]` and `[train]`, each value with a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configuration {
    /// How the data are made.
    pub dataset: DatasetConfig,
    /// How the network is trained.
    pub train: TrainConfig,
}

impl Configuration {
    /// Checks the numbers of `[train]`, but for the limits on sizes, which the training itself knows.
    ///
    /// # Errors
    /// Names the first that makes no sense.
    fn check(&self) -> Result<()> {
        let train = &self.train;
        train.adam.check()?;
        train.second_order.check()?;
        let model = models::find(&self.dataset.model)?;
        let variables = &model.spec().variables;
        for name in train.hidden_of.keys() {
            model.spec().variable_index(name)?;
        }
        // A number that no variable takes may be anything.
        let own = variables
            .iter()
            .all(|q| train.hidden_of.contains_key(&q.name));
        let hidden_of = train
            .hidden_of
            .iter()
            .map(|(name, n)| (format!("hidden_of.{name}"), *n as u64));
        let hidden = (!own).then(|| ("hidden".to_owned(), train.hidden as u64));
        let counts = hidden
            .into_iter()
            .chain(hidden_of)
            .chain([("validate_every".to_owned(), train.validate_every)]);
        for (name, n) in counts {
            if n == 0 {
                return Err(Error::Input(format!(
                    "train.{name} = 0; expected at least 1"
                )));
            }
        }
        let i = &train.initial;
        for (name, sd) in [
            ("inner", i.inner),
            ("beta", i.beta),
            ("a", i.a),
            ("alpha", i.alpha),
            ("b", i.b),
        ] {
            if !(sd.is_finite() && sd >= 0.0) {
                return Err(Error::Input(format!(
                    "train.initial.{name} = {sd}; expected 0 or more"
                )));
            }
        }
        if train.architecture == Architecture::TwoLayerMap
            && (train.adam.epochs > 0 || !train.hidden_of.is_empty())
        {
            return Err(Error::Input(
                "a two_layer_map has one hidden layer for all variables and trains by the second-order stage alone; leave out train.hidden_of \
                 and set train.adam.epochs = 0"
                    .into(),
            ));
        }
        Ok(())
    }
}

/// A configuration file of a Fourier neural operator: `[responses]` and `[operator]`, each value with a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OperatorConfiguration {
    /// How the data are made.
    pub responses: ResponseConfig,
    /// How the network is trained.
    pub operator: OperatorConfig,
}

/// A configuration of either kind, told by its sections.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AnyConfiguration {
    /// Of a map.
    Map(Box<Configuration>),
    /// Of a Fourier neural operator.
    Operator(Box<OperatorConfiguration>),
}

impl AnyConfiguration {
    /// Sets the seed of the training.
    pub fn set_training_seed(&mut self, seed: u64) {
        match self {
            AnyConfiguration::Map(c) => c.train.seed = seed,
            AnyConfiguration::Operator(c) => c.operator.seed = seed,
        }
    }

    /// Checks the training's numbers, as far as that can be done without data.
    ///
    /// # Errors
    /// Names the first that makes no sense.
    pub fn check(&self) -> Result<()> {
        match self {
            AnyConfiguration::Map(c) => c.check(),
            AnyConfiguration::Operator(c) => Ok(c.operator.check_for(&c.responses)?),
        }
    }
}

/// Reads a configuration of either kind, as [`load`] does.
///
/// # Errors
/// As [`load`].
pub fn load_any(path: &Path, changes: &[String]) -> Result<AnyConfiguration> {
    parse_any(&read_text(path)?, changes)
        .map_err(|e| Error::Input(format!("{}: {e}", path.display())))
}

/// The configuration of either kind in a text.
///
/// # Errors
/// As [`load`].
pub fn parse_any(text: &str, changes: &[String]) -> Result<AnyConfiguration> {
    let operator = text
        .parse::<Table>()
        .is_ok_and(|t| t.contains_key("responses") || t.contains_key("operator"));
    Ok(if operator {
        AnyConfiguration::Operator(Box::new(parse(text, changes)?))
    } else {
        AnyConfiguration::Map(Box::new(parse(text, changes)?))
    })
}

/// Reads a configuration; each of `changes` is `key.path=value` and replaces or adds one value, before the whole is checked.
///
/// # Errors
/// A file that cannot be read or is no TOML; a change that is not `key.path=value`; a key or value that `T` does not accept.
pub fn load<T: DeserializeOwned>(path: &Path, changes: &[String]) -> Result<T> {
    parse(&read_text(path)?, changes).map_err(|e| Error::Input(format!("{}: {e}", path.display())))
}

/// The configuration in a text, as [`load`] reads it from a file.
///
/// # Errors
/// As [`load`].
pub fn parse<T: DeserializeOwned>(text: &str, changes: &[String]) -> Result<T> {
    let wrong = |e: toml::de::Error| Error::Input(advice(&e.to_string()));
    let mut table: Table = text.parse().map_err(wrong)?;
    for change in changes {
        replace(&mut table, change)?;
    }
    Value::Table(table).try_into().map_err(wrong)
}

/// A parser's message with the nearest known key, and without the names of Rust's types.
pub(crate) fn advice(message: &str) -> String {
    let message = ["usize", "u64"]
        .iter()
        .fold(message.trim_end().replace('\n', " "), |m, t| {
            m.replace(
                &format!("expected {t}"),
                "expected a whole number, 0 or larger",
            )
        });
    let message = message.replace("expected f64", "expected a number");
    let quoted = |text: &str| {
        text.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let Some((given, known)) = message
        .split_once(", expected ")
        .filter(|(given, _)| given.contains("unknown field"))
    else {
        return message;
    };
    let (given, known) = (
        quoted(given),
        quoted(known.split(" in `").next().unwrap_or(known)),
    );
    match given
        .last()
        .map(|given| DynamicsError::unknown("key", given, known.iter().map(String::as_str)))
    {
        Some(DynamicsError::UnknownName {
            nearest: Some(nearest),
            ..
        }) => format!("{message}; did you mean `{nearest}`?"),
        _ => message,
    }
}

/// A budget that every trial of a study must meet: one of `weights`, `flops`, `bytes` and `latency`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Most trainable weights, all of them counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<f64>,
    /// Most floating-point operations of a pass forward ([`FnoConfig::flops`](ionoscope_learn::architectures::fno::FnoConfig::flops)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flops: Option<f64>,
    /// Most bytes of weights in the surrogate's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<f64>,
    /// Most seconds for one response, measured on this machine with the trial's threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<f64>,
    /// Least share of it that a trial must use: .97 where nothing is said, of a latency .8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<f64>,
    /// The key that is set as large as the budget allows, such as `operator.network.modes`; it is not in the space. Without it, draws outside the
    /// budget are drawn again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solve: Option<String>,
}

impl Budget {
    /// What is limited, the most and the least of it.
    ///
    /// # Errors
    /// None or several limits; numbers that make no sense.
    pub fn limits(&self) -> Result<(Cost, [f64; 2])> {
        let all = [
            (Cost::Weights, self.weights, 0.97),
            (Cost::Flops, self.flops, 0.97),
            (Cost::Bytes, self.bytes, 0.97),
            (Cost::Latency, self.latency, 0.8),
        ];
        let given: Vec<_> = all
            .into_iter()
            .filter_map(|(cost, most, least)| Some((cost, most?, self.least.unwrap_or(least))))
            .collect();
        let [(cost, most, least)] = given[..] else {
            return Err(Error::Input(format!(
                "budget: {} limits; expected one of weights, flops, bytes, latency",
                given.len()
            )));
        };
        if !(most > 0.0 && most.is_finite() && (0.0..=1.0).contains(&least)) {
            return Err(Error::Input(format!(
                "budget: {} = {most}, least = {least}; expected a positive number, and a share",
                cost.name()
            )));
        }
        Ok((cost, [least * most, most]))
    }
}

/// What a surrogate costs its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Trainable weights.
    Weights,
    /// Floating-point operations of a pass forward.
    Flops,
    /// Bytes of weights in the file.
    Bytes,
    /// Seconds of one response.
    Latency,
}

impl Cost {
    /// All of them.
    pub const ALL: [Cost; 4] = [Cost::Weights, Cost::Flops, Cost::Bytes, Cost::Latency];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Cost::Weights => "weights",
            Cost::Flops => "flops",
            Cost::Bytes => "bytes",
            Cost::Latency => "latency",
        }
    }
}

/// A study's file: the study at its top, `[space]`, perhaps `[budget]`, and the sections of the configuration that is tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyFile {
    /// The study.
    pub study: StudyConfig,
    /// What every trial must meet.
    pub budget: Option<Budget>,
    /// The sections of the configuration.
    base: Table,
}

/// Reads a study's file, as [`load`] reads a configuration.
///
/// # Errors
/// As [`load`]; a study or a budget that makes no sense.
pub fn load_study(path: &Path, changes: &[String]) -> Result<StudyFile> {
    let at = |e: Error| Error::Input(format!("{}: {e}", path.display()));
    parse_study(&read_text(path)?, changes).map_err(at)
}

/// The study in a text.
///
/// # Errors
/// As [`load_study`].
pub fn parse_study(text: &str, changes: &[String]) -> Result<StudyFile> {
    let wrong = |e: toml::de::Error| Error::Input(advice(&e.to_string()));
    let mut table: Table = text.parse().map_err(wrong)?;
    changes
        .iter()
        .try_for_each(|change| replace(&mut table, change))?;
    let sections = ["responses", "operator", "dataset", "train"];
    let base: Table = sections
        .iter()
        .filter_map(|s| Some(((*s).to_owned(), table.remove(*s)?)))
        .collect();
    let budget: Option<Budget> = table
        .remove("budget")
        .map(|b| b.try_into().map_err(wrong))
        .transpose()?;
    let study: StudyConfig = Value::Table(table).try_into().map_err(wrong)?;
    study.check()?;
    let file = StudyFile {
        study,
        budget,
        base,
    };
    // Every key must be one of the configuration, and every end of its values make sense there.
    let first = file.configuration(&[])?;
    for (key, parameter) in &file.study.space.0 {
        for value in parameter.domain.ends() {
            file.configuration(&[(key.clone(), value)])?
                .check()
                .map_err(|e| Error::Input(format!("space.\"{key}\": {e}")))?;
        }
    }
    if let Some(budget) = &file.budget {
        let (cost, _) = budget.limits()?;
        if matches!(first, AnyConfiguration::Map(_)) && !matches!(cost, Cost::Weights | Cost::Bytes)
        {
            return Err(Error::Input(format!(
                "budget: {} is for operators; a map has weights or bytes",
                cost.name()
            )));
        }
        if let Some(key) = &budget.solve {
            if file.study.space.0.contains_key(key) {
                return Err(Error::Input(format!(
                    "budget.solve = '{key}', which is in the space too; leave it out there"
                )));
            }
            let known: &[&str] = match first {
                AnyConfiguration::Operator(_) => {
                    &["operator.network.modes", "operator.network.width"]
                }
                AnyConfiguration::Map(_) => &["train.hidden"],
            };
            if !known.contains(&key.as_str()) {
                return Err(Error::Input(format!(
                    "budget.solve = '{key}'; expected {}",
                    known.join(" or ")
                )));
            }
        }
    }
    first.check()?;
    for name in &file.study.objectives {
        Objective::find(name, &first)?;
    }
    Ok(file)
}

impl StudyFile {
    /// The configuration with these values.
    ///
    /// # Errors
    /// A key or value that the configuration does not accept.
    pub fn configuration<'a>(
        &self,
        values: impl IntoIterator<Item = &'a (String, serde_json::Value)>,
    ) -> Result<AnyConfiguration> {
        let mut table = self.base.clone();
        for (key, value) in values {
            replace(&mut table, &format!("{key}={value}"))?;
        }
        let wrong = |e: toml::de::Error| Error::Input(advice(&e.to_string()));
        let map = ["dataset", "train"]
            .iter()
            .any(|s| self.base.contains_key(*s));
        Ok(if map {
            AnyConfiguration::Map(Box::new(Value::Table(table).try_into().map_err(wrong)?))
        } else {
            AnyConfiguration::Operator(Box::new(Value::Table(table).try_into().map_err(wrong)?))
        })
    }

    /// The configuration's own values of the keys of the space.
    ///
    /// # Errors
    /// A configuration that makes no sense.
    pub fn defaults(&self) -> Result<BTreeMap<String, serde_json::Value>> {
        let whole = serde_json::to_value(self.configuration(&[])?).unwrap_or_default();
        let of = |key: &String| {
            whole
                .pointer(&format!("/{}", key.replace('.', "/")))
                .cloned()
        };
        Ok(self
            .study
            .space
            .0
            .keys()
            .filter_map(|k| Some((k.clone(), of(k)?)))
            .collect())
    }
}

/// Whether two settings of a section are the same; what differs, by key.
///
/// # Errors
/// The differences, as a text.
pub fn same<T: Serialize + PartialEq>(
    section: &str,
    then: &T,
    now: &T,
) -> std::result::Result<(), String> {
    if then == now {
        return Ok(());
    }
    let json = |value: &T| serde_json::to_value(value).unwrap_or_default();
    Err(differences(section, &json(then), &json(now)).join("; "))
}

/// Sections within sections, and length of a value, that a change may have: deeper ones would only exhaust the stack.
const MOST_KEYS: usize = 8;
const MOST_TEXT: usize = 4096;

/// Replaces one value: `train.epochs=20`. What does not read as a TOML value is taken as a string.
fn replace(table: &mut Table, change: &str) -> Result<()> {
    let malformed = || {
        Error::Input(format!(
            "'{change}': expected key.path=value, such as train.epochs=20"
        ))
    };
    let (keys, text) = change.split_once('=').ok_or_else(malformed)?;
    if text.len() > MOST_TEXT {
        return Err(malformed());
    }
    let value = format!("x = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut t| t.remove("x"))
        .unwrap_or_else(|| text.into());
    let mut keys: Vec<&str> = keys.split('.').map(str::trim).collect();
    if keys.len() > MOST_KEYS {
        return Err(malformed());
    }
    let last = keys.pop().filter(|k| !k.is_empty()).ok_or_else(malformed)?;
    let mut place = table;
    for key in keys {
        let next = place
            .entry(key)
            .or_insert_with(|| Value::Table(Table::new()));
        place = next
            .as_table_mut()
            .ok_or_else(|| Error::Input(format!("'{change}': {key} is a value, not a section")))?;
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, change: &str) -> Result<Table> {
        let mut table: Table = text.parse().unwrap();
        replace(&mut table, change)?;
        Ok(table)
    }

    #[test]
    fn single_values_are_replaced_and_added() {
        let text = "seed = 1\n[train]\nepochs = 5\n";
        assert_eq!(
            changed(text, "train.epochs=20").unwrap()["train"]["epochs"],
            Value::Integer(20)
        );
        assert_eq!(
            changed(text, "train.rate=1e-3").unwrap()["train"]["rate"],
            Value::Float(1e-3)
        );
        assert_eq!(
            changed(text, "new.name=adam").unwrap()["new"]["name"],
            Value::String("adam".into())
        );
        assert_eq!(
            changed(text, "v_s=[-40, -30]").unwrap()["v_s"]
                .as_array()
                .map(Vec::len),
            Some(2)
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_one() {
        let message = |text: &str| parse::<Configuration>(text, &[]).unwrap_err().to_string();
        for (text, parts) in [
            (
                "[dataset]\nchunkss = 3",
                ["unknown field `chunkss`", "did you mean `chunks`?"],
            ),
            (
                "[datset]\nchunks = 3",
                ["unknown field `datset`", "did you mean `dataset`?"],
            ),
            (
                "[train.adam]\nlearningrate = 3",
                [
                    "unknown field `learningrate`",
                    "did you mean `learning_rate`?",
                ],
            ),
            (
                "[dataset]\nchunks = -3",
                ["dataset", "expected a whole number, 0 or larger"],
            ),
        ] {
            parts
                .iter()
                .for_each(|part| assert!(message(text).contains(part), "{}", message(text)));
        }
    }

    #[test]
    fn a_study_file_is_read_and_what_makes_no_sense_named() {
        let text = "trials = 4\n[space]\n\"operator.network.width\" = { integer = [8, 16], step = 8 }\n\"operator.network.kind\" = { choice = [\"classic\", \"zongyi\"] }\n[operator.network]\nmodes = 5\n";
        let file = parse_study(text, &["trials=6".into()]).unwrap();
        assert_eq!(
            (
                file.study.trials,
                file.defaults().unwrap()["operator.network.width"].as_u64()
            ),
            (6, Some(64))
        );
        let AnyConfiguration::Operator(set) = file
            .configuration(&[("operator.network.kind".into(), "classic".into())])
            .unwrap()
        else {
            panic!("an operator")
        };
        assert_eq!(
            (set.operator.network.kind, set.operator.network.modes),
            (ionoscope_learn::architectures::fno::LayerKind::Classic, 5)
        );
        for (change, part) in [
            (
                "space.\"operator.network.wdith\"={ integer = [1, 2] }",
                "operator",
            ),
            ("space.x={ real = [2, 1] }", "smaller first"),
            ("budget={ weights = 0 }", "weights = 0"),
            (
                "budget={ weights = 9, solve = \"operator.network.width\" }",
                "in the space too",
            ),
            (
                "budget={ weights = 9, solve = \"operator.network.layers\" }",
                "expected operator.network.modes",
            ),
            ("sampler=\"tep\"", "tep"),
            ("trialls=3", "did you mean `trials`"),
        ] {
            let message = parse_study(text, &[change.into()]).unwrap_err().to_string();
            assert!(message.contains(part), "{change}: {message}");
        }
        let wrong = text.replace("operator.network.width", "operator.network.wdith");
        assert!(
            parse_study(&wrong, &[])
                .unwrap_err()
                .to_string()
                .contains("did you mean `width`")
        );
        let wide = text.replace("[8, 16], step = 8", "[0, 16]");
        assert!(
            parse_study(&wide, &[])
                .unwrap_err()
                .to_string()
                .contains("network.width = 0")
        );
    }

    #[test]
    fn a_malformed_change_is_named() {
        assert!(
            changed("", "epochs")
                .unwrap_err()
                .to_string()
                .contains("'epochs': expected key.path=value")
        );
        assert!(
            changed("seed = 1", "seed.x=2")
                .unwrap_err()
                .to_string()
                .contains("seed is a value")
        );
    }
}

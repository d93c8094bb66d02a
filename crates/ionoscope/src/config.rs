//! Run configurations: TOML files with single values replaced on the command line.

use std::path::Path;

use ionoscope_dynamics::Error as DynamicsError;
use ionoscope_learn::{
    checkpoint::differences,
    dataset::DatasetConfig,
    responses::ResponseConfig,
    train::{TrainConfig, operator::OperatorConfig},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use crate::{Error, Result, artifact::read_text};

/// A configuration file: `[dataset]` and `[train]`, each value with a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configuration {
    /// How the data are made.
    pub dataset: DatasetConfig,
    /// How the network is trained.
    pub train: TrainConfig,
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
#[derive(Debug, Clone, PartialEq)]
pub enum AnyConfiguration {
    /// Of a map.
    Map(Box<Configuration>),
    /// Of a Fourier neural operator.
    Operator(Box<OperatorConfiguration>),
}

/// Reads a configuration of either kind, as [`load`] does.
///
/// # Errors
/// As [`load`].
pub fn load_any(path: &Path, changes: &[String]) -> Result<AnyConfiguration> {
    let operator = read_text(path)?.parse::<Table>().is_ok_and(|t| t.contains_key("responses") || t.contains_key("operator"));
    Ok(if operator {
        AnyConfiguration::Operator(Box::new(load(path, changes)?))
    } else {
        AnyConfiguration::Map(Box::new(load(path, changes)?))
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
        .fold(message.trim_end().replace('\n', " "), |m, t| m.replace(&format!("expected {t}"), "expected a whole number, 0 or larger"));
    let message = message.replace("expected f64", "expected a number");
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let Some((given, known)) = message.split_once(", expected ").filter(|(given, _)| given.contains("unknown field")) else {
        return message;
    };
    let (given, known) = (quoted(given), quoted(known.split(" in `").next().unwrap_or(known)));
    match given.last().map(|given| DynamicsError::unknown("key", given, known.iter().map(String::as_str))) {
        Some(DynamicsError::UnknownName { nearest: Some(nearest), .. }) => format!("{message}; did you mean `{nearest}`?"),
        _ => message,
    }
}

/// Whether two settings of a section are the same; what differs, by key.
///
/// # Errors
/// The differences, as a text.
pub fn same<T: Serialize + PartialEq>(section: &str, then: &T, now: &T) -> std::result::Result<(), String> {
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
    let malformed = || Error::Input(format!("'{change}': expected key.path=value, such as train.epochs=20"));
    let (keys, text) = change.split_once('=').ok_or_else(malformed)?;
    if text.len() > MOST_TEXT {
        return Err(malformed());
    }
    let value = format!("x = {text}").parse::<Table>().ok().and_then(|mut t| t.remove("x")).unwrap_or_else(|| text.into());
    let mut keys: Vec<&str> = keys.split('.').map(str::trim).collect();
    if keys.len() > MOST_KEYS {
        return Err(malformed());
    }
    let last = keys.pop().filter(|k| !k.is_empty()).ok_or_else(malformed)?;
    let mut place = table;
    for key in keys {
        let next = place.entry(key).or_insert_with(|| Value::Table(Table::new()));
        place = next.as_table_mut().ok_or_else(|| Error::Input(format!("'{change}': {key} is a value, not a section")))?;
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
        assert_eq!(changed(text, "train.epochs=20").unwrap()["train"]["epochs"], Value::Integer(20));
        assert_eq!(changed(text, "train.rate=1e-3").unwrap()["train"]["rate"], Value::Float(1e-3));
        assert_eq!(changed(text, "new.name=adam").unwrap()["new"]["name"], Value::String("adam".into()));
        assert_eq!(changed(text, "v_s=[-40, -30]").unwrap()["v_s"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_one() {
        let message = |text: &str| parse::<Configuration>(text, &[]).unwrap_err().to_string();
        for (text, parts) in [
            ("[dataset]\nchunkss = 3", ["unknown field `chunkss`", "did you mean `chunks`?"]),
            ("[datset]\nchunks = 3", ["unknown field `datset`", "did you mean `dataset`?"]),
            ("[train.adam]\nlearningrate = 3", ["unknown field `learningrate`", "did you mean `learning_rate`?"]),
            ("[dataset]\nchunks = -3", ["dataset", "expected a whole number, 0 or larger"]),
        ] {
            parts.iter().for_each(|part| assert!(message(text).contains(part), "{}", message(text)));
        }
    }

    #[test]
    fn a_malformed_change_is_named() {
        assert!(changed("", "epochs").unwrap_err().to_string().contains("'epochs': expected key.path=value"));
        assert!(changed("seed = 1", "seed.x=2").unwrap_err().to_string().contains("seed is a value"));
    }
}

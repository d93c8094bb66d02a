//! Run configurations: TOML files with single values replaced on the command line.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::{Error, Result, artifact::read_text};

/// Reads a configuration; each of `changes` is `key.path=value` and replaces or adds one value, before the whole is checked.
///
/// # Errors
/// A file that cannot be read or is no TOML; a change that is not `key.path=value`; a key or value that `T` does not accept.
pub fn load<T: DeserializeOwned>(path: &Path, changes: &[String]) -> Result<T> {
    let wrong = |e: &dyn std::fmt::Display| Error::Input(format!("{}: {e}", path.display()));
    let mut table: Table = read_text(path)?.parse().map_err(|e: toml::de::Error| wrong(&e))?;
    for change in changes {
        replace(&mut table, change)?;
    }
    Value::Table(table).try_into().map_err(|e| wrong(&e))
}

/// Replaces one value: `train.epochs=20`. What does not read as a TOML value is taken as a string.
fn replace(table: &mut Table, change: &str) -> Result<()> {
    let malformed = || Error::Input(format!("'{change}': expected key.path=value, such as train.epochs=20"));
    let (keys, text) = change.split_once('=').ok_or_else(malformed)?;
    let value = format!("x = {text}").parse::<Table>().ok().and_then(|mut t| t.remove("x")).unwrap_or_else(|| text.into());
    let mut keys: Vec<&str> = keys.split('.').map(str::trim).collect();
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
    fn a_malformed_change_is_named() {
        assert!(changed("", "epochs").unwrap_err().to_string().contains("'epochs': expected key.path=value"));
        assert!(changed("seed = 1", "seed.x=2").unwrap_err().to_string().contains("seed is a value"));
    }
}

//! TOML documents with single values replaced on the command line. Errors name the key by its whole path, the line or the replacement that it comes from,
//! what was got and what was expected.

use ionoscope_dynamics::Error as DynamicsError;
use ionoscope_learn::Error as LearnError;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use crate::{Error, Result};

/// A document and its replacements.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    text: String,
    changes: Vec<String>,
    /// The text with the replacements.
    table: Table,
}

/// A step of a path into a document.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Document {
    /// The document in a text; each of `changes` is `key.path=value`.
    ///
    /// # Errors
    /// A text that is no TOML; a change that is none.
    pub fn parse(text: &str, changes: &[String]) -> Result<Self> {
        let mut table: Table = text.parse().map_err(|e: toml::de::Error| {
            let place = e
                .span()
                .map_or(String::new(), |s| place(text, s.start) + ": ");
            Error::Input(format!("{place}{}", advice(e.message())))
        })?;
        changes
            .iter()
            .try_for_each(|change| replace(&mut table, change))?;
        Ok(Document {
            text: text.to_owned(),
            changes: changes.to_vec(),
            table,
        })
    }

    /// Whether it has a section.
    pub fn has(&self, section: &str) -> bool {
        self.table.contains_key(section)
    }

    /// The same document with these sections only.
    #[must_use]
    pub fn of(&self, sections: &[&str]) -> Self {
        self.filtered(|key| sections.contains(&key))
    }

    /// The same document without these sections.
    #[must_use]
    pub fn without(&self, sections: &[&str]) -> Self {
        self.filtered(|key| !sections.contains(&key))
    }

    fn filtered(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let mut part = self.clone();
        part.table.retain(|key, _| wanted(key));
        part
    }

    /// The same document with one more value in its place.
    ///
    /// # Errors
    /// A key that leads through a value.
    pub fn with(mut self, key: &str, value: &serde_json::Value) -> Result<Self> {
        replace(&mut self.table, &format!("{key}={value}"))?;
        Ok(self)
    }

    /// What stands in the document.
    ///
    /// # Errors
    /// An unknown or missing key, or a value of another kind: a setting, to be [`located`](Self::located).
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        let (path, message) = match read::<T>(&self.table) {
            Ok(value) => return Ok(value),
            Err(problem) => problem,
        };
        let message = advice(&self.with_choices::<T>(&path, message));
        if path.is_empty() {
            return Err(Error::Input(message));
        }
        Err(LearnError::of_setting(&shown(&path), message).into())
    }

    /// A message with what was expected, where it does not say so: of an enum a value that is no word, of a key that is missing. Asked for by putting an
    /// empty word in its place.
    fn with_choices<T: DeserializeOwned>(&self, path: &[Step], message: String) -> String {
        let missing = message
            .strip_prefix("missing field `")
            .map(|m| m.trim_end_matches('`').to_owned());
        let place: Vec<Step> = path
            .iter()
            .cloned()
            .chain(missing.clone().map(Step::Key))
            .collect();
        let mut table = self.table.clone();
        if !put(&mut table, &place, Value::String(String::new())) {
            return message;
        }
        let Err((at, second)) = read::<T>(&table) else {
            return match missing {
                Some(_) => format!("{message}, expected a word"),
                None => message,
            };
        };
        let Some((problem, expected)) = second.split_once(", expected ") else {
            return message;
        };
        let of_enum = problem.starts_with("unknown variant");
        match message.split_once(", expected ") {
            _ if at != place => message,
            Some((got, _)) if of_enum && got.starts_with("invalid type") => {
                let got = get(&self.table, path).map_or("it".into(), Value::to_string);
                format!("{got} is no choice, expected {expected}")
            }
            None if missing.is_some() => format!("{message}, expected {expected}"),
            _ => message,
        }
    }

    /// The error with the place of its setting: the line, or the replacement that it comes from. Of a default it says that it is one.
    pub fn located(&self, error: Error) -> Error {
        let Error::Learn(LearnError::Setting { key, problem }) = error else {
            return error;
        };
        let path = steps(&key);
        let touches = |change: &&String| {
            let (name, _) = change.split_once('=').unwrap_or((change, ""));
            let name = steps(name);
            name.starts_with(&path) || path.starts_with(&name)
        };
        if let Some(change) = self.changes.iter().rev().find(touches) {
            return Error::Input(format!("--set {change}: {key}{problem}"));
        }
        let (found, byte) = self.find(&path);
        let line = match byte {
            Some(byte) => format!("line {}: ", line(&self.text, byte)),
            None => String::new(),
        };
        let missing = path.get(..=found).map_or(String::new(), |missing| {
            let missing = shown(missing);
            format!(" (a default: {missing} is not given)")
        });
        Error::Input(format!("{line}{key}{problem}{missing}"))
    }

    /// How many steps of a path the text has, and where the last of these stands.
    fn find(&self, path: &[Step]) -> (usize, Option<usize>) {
        let Ok(root) = DeTable::parse(&self.text) else {
            return (0, None);
        };
        let (mut found, mut byte) = (0, None);
        let mut here: Option<&Spanned<DeValue>> = None;
        for step in path {
            let table = match here {
                None => Some(root.get_ref()),
                Some(value) => value.get_ref().as_table(),
            };
            let next = match step {
                Step::Key(key) => table
                    .and_then(|t| t.iter().find(|(k, _)| k.get_ref() == key))
                    .map(|(k, v)| (k.span().start, v)),
                Step::Index(i) => here
                    .and_then(|v| v.get_ref().as_array()?.get(*i))
                    .map(|v| (v.span().start, v)),
            };
            let Some((at, value)) = next else { break };
            (found, byte, here) = (found + 1, Some(at), Some(value));
        }
        (found, byte)
    }
}

/// What a table holds, or where it does not, and why.
fn read<T: DeserializeOwned>(table: &Table) -> std::result::Result<T, (Vec<Step>, String)> {
    serde_path_to_error::deserialize(Value::Table(table.clone())).map_err(|e| {
        let step = |s: &Segment| match s {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        let path = e.path().iter().filter_map(step).collect();
        (path, e.inner().message().to_owned())
    })
}

/// The value at a path.
fn get<'a>(table: &'a Table, path: &[Step]) -> Option<&'a Value> {
    let [Step::Key(first), rest @ ..] = path else {
        return None;
    };
    rest.iter()
        .try_fold(table.get(first)?, |here, step| match step {
            Step::Key(key) => here.get(key),
            Step::Index(i) => here.get(*i),
        })
}

/// Puts a value at a path whose tables are there.
fn put(table: &mut Table, path: &[Step], value: Value) -> bool {
    let [Step::Key(first), rest @ ..] = path else {
        return false;
    };
    if rest.is_empty() {
        table.insert(first.clone(), value);
        return true;
    }
    let Some(mut here) = table.get_mut(first) else {
        return false;
    };
    let [between @ .., Step::Key(last)] = rest else {
        return false;
    };
    for step in between {
        let next = match step {
            Step::Key(key) => here.get_mut(key),
            Step::Index(i) => here.get_mut(*i),
        };
        match next {
            Some(next) => here = next,
            None => return false,
        }
    }
    match here.as_table_mut() {
        Some(table) => {
            table.insert(last.clone(), value);
            true
        }
        None => false,
    }
}

/// A path as it is written: `train.adam.batch`, `space."train.hidden"`, `class[0].name`.
fn shown(path: &[Step]) -> String {
    let bare = |key: &str| {
        !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    path.iter().fold(String::new(), |text, step| {
        let dot = if text.is_empty() { "" } else { "." };
        match step {
            Step::Key(key) if bare(key) => format!("{text}{dot}{key}"),
            Step::Key(key) => format!("{text}{dot}{key:?}"),
            Step::Index(i) => format!("{text}[{i}]"),
        }
    })
}

/// The steps of a path as it is written.
fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut key = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' | '[' if !quoted => {
                if !key.is_empty() {
                    steps.push(Step::Key(std::mem::take(&mut key)));
                }
            }
            ']' if !quoted => {
                let index = std::mem::take(&mut key);
                steps.push(index.parse().map_or(Step::Key(index), Step::Index));
            }
            c if c.is_whitespace() && !quoted => {}
            c => key.push(c),
        }
    }
    if !key.is_empty() {
        steps.push(Step::Key(key));
    }
    steps
}

/// The number of the line in which a byte stands, from 1.
fn line(text: &str, byte: usize) -> usize {
    text.get(..byte).unwrap_or(text).matches('\n').count() + 1
}

/// Line and column of a byte.
pub(crate) fn place(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("line {}, column {column}", line(text, byte))
}

/// What serde and TOML call kinds of values, and what people call them.
const KINDS: [(&str, &str); 12] = [
    ("expected usize", "expected a whole number, 0 or larger"),
    ("expected u64", "expected a whole number, 0 or larger"),
    ("expected u32", "expected a whole number, 0 or larger"),
    ("expected i64", "expected a whole number"),
    ("expected f64", "expected a number"),
    ("expected a boolean", "expected true or false"),
    ("expected a sequence", "expected a list"),
    ("expected a map", "expected a table"),
    (
        "expected an array of length",
        "expected a list of the length",
    ),
    (
        "expected fewer elements in array",
        "expected a list of fewer values",
    ),
    ("invalid type: sequence", "invalid type: list"),
    ("invalid type: map", "invalid type: table"),
];

/// A parser's message with the nearest known key or choice, and without the names of Rust's types.
pub(crate) fn advice(message: &str) -> String {
    let message = message.trim_end().replace('\n', " ");
    let mut message = KINDS
        .iter()
        .fold(message, |m, (theirs, ours)| m.replace(theirs, ours));
    if let Some((before, of)) = message.split_once("expected struct ") {
        let after = of.trim_start_matches(|c: char| c.is_alphanumeric());
        message = format!("{before}expected a table{after}");
    }
    let quoted = |text: &str| {
        text.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let Some((given, known)) = message
        .split_once(", expected ")
        .filter(|(given, _)| given.contains("unknown field") || given.contains("unknown variant"))
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
    let (keys_text, text) = change.split_once('=').ok_or_else(malformed)?;
    if text.len() > MOST_TEXT {
        return Err(malformed());
    }
    let value = format!("x = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut t| t.remove("x"))
        .unwrap_or_else(|| text.into());
    let mut keys: Vec<String> = Vec::new();
    for step in steps(keys_text) {
        match step {
            Step::Key(key) => keys.push(key),
            Step::Index(_) => return Err(malformed()),
        }
    }
    if keys.len() > MOST_KEYS {
        return Err(malformed());
    }
    let last = keys.pop().ok_or_else(malformed)?;
    let mut place = table;
    for key in keys {
        let next = place
            .entry(key.as_str())
            .or_insert_with(|| Value::Table(Table::new()));
        place = next
            .as_table_mut()
            .ok_or_else(|| Error::Input(format!("'{change}': {key} is a value, not a section")))?;
    }
    place.insert(last, value);
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

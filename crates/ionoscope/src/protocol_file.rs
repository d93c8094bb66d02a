//! Stimulus protocols and their random families in files: TOML for every shape, CSV for a sampled current.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use ionoscope_dynamics::{
    Error as DynamicsError,
    protocol::{MOST_PIECES, Overlap, Protocol, ProtocolFamily, Sampled, Stimulus},
};
use serde::{Deserialize, de::DeserializeOwned};
use toml::{Spanned, Table, Value};

use crate::{
    Error, Result,
    artifact::read_text,
    document::{advice, place},
};

/// The columns of a CSV file.
const COLUMNS: [&str; 2] = ["time", "current"];

/// A [`Protocol`] before its stimuli are looked into, so that errors can tell where each stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    overlap: Overlap,
    unit: Option<String>,
    time_unit: Option<String>,
    #[serde(default)]
    stimulus: Vec<Spanned<Table>>,
}

/// Reads and checks a protocol: `.toml`, as [`parse`] reads it, or `.csv` with the columns `time,current`, whose values are held from each
/// time to the next and the last one for ever.
///
/// # Errors
/// A file that cannot be read or is neither; whatever is wrong in it, with the line.
pub fn read(path: &Path) -> Result<Protocol> {
    let in_file = |e: Error| match e {
        Error::Read { .. } => e,
        e => Error::Input(format!("{}: {e}", path.display())),
    };
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("csv") => read_csv(path).map(|s| Stimulus::Sampled(s).into()),
        Some("toml") => parse(
            &read_text(path)?,
            Some(path.parent().unwrap_or(Path::new(""))),
        )
        .map_err(in_file),
        _ => Err(Error::Input(format!(
            "{}: cannot read this kind of protocol; supported: .toml, .csv",
            path.display()
        ))),
    }
}

/// The protocol in a TOML text. In place of its times and values a sampled stimulus may name a CSV file relative to `folder`.
///
/// # Errors
/// What is wrong, with its line: a text that is no TOML, an unknown shape or field, a number that makes no sense, stimuli that overlap, none
/// at all.
pub fn parse(text: &str, folder: Option<&Path>) -> Result<Protocol> {
    single_table(text, "stimulus")?;
    let raw: Raw = from_toml(text)?;
    if raw.stimulus.is_empty() {
        return Err(Error::Input("it has no stimulus; write at least one [[stimulus]] with its shape, or leave the protocol out".into()));
    }
    let mut stimuli = Vec::with_capacity(raw.stimulus.len());
    for (k, table) in raw.stimulus.into_iter().enumerate() {
        let line = place(text, table.span().start);
        let shape = table
            .get_ref()
            .get("shape")
            .and_then(Value::as_str)
            .map(|s| format!(" ({s})"))
            .unwrap_or_default();
        let stimulus = stimulus(table.into_inner(), folder)
            .map_err(|e| Error::Input(format!("{line}: stimulus {}{shape}: {e}", k + 1)))?;
        stimuli.push(stimulus);
    }
    let protocol = Protocol {
        overlap: raw.overlap,
        unit: raw.unit,
        time_unit: raw.time_unit,
        stimuli,
    };
    protocol.check()?;
    Ok(protocol)
}

/// Reads and checks a random family of protocols: the fields of [`ProtocolFamily`], in TOML.
///
/// # Errors
/// A file that cannot be read; whatever is wrong in it.
pub fn read_family(path: &Path) -> Result<ProtocolFamily> {
    parse_family(&read_text(path)?).map_err(|e| Error::Input(format!("{}: {e}", path.display())))
}

/// The family of protocols in a text, as [`read_family`] reads it from a file.
///
/// # Errors
/// As [`read_family`].
pub fn parse_family(text: &str) -> Result<ProtocolFamily> {
    single_table(text, "class")?;
    single_table(text, "class.stimulus")?;
    let family: ProtocolFamily = from_toml(text)?;
    family
        .check()
        .map_err(|e| Error::Input(advice(&e.to_string())))?;
    Ok(family)
}

fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        let place = e
            .span()
            .map(|s| format!("{}: ", place(text, s.start)))
            .unwrap_or_default();
        Error::Input(format!("{place}{}", advice(e.message())))
    })
}

/// Refuses a section in single brackets where there may be several.
fn single_table(text: &str, name: &str) -> Result<()> {
    let header = format!("[{name}]");
    let line = text
        .lines()
        .position(|l| l.split('#').next().is_some_and(|l| l.trim() == header));
    match line {
        Some(line) => Err(Error::Input(format!(
            "line {}: {header} in single brackets; write [[{name}]]",
            line + 1
        ))),
        None => Ok(()),
    }
}

/// The fields of a table whose value is the one that a parser's message speaks of: of a stimulus it does not name the field.
fn fields_of(table: &Table, message: &str) -> Vec<String> {
    let spoken_of = |v: &Value| match v {
        Value::String(s) => message.contains(&format!("string {s:?}")),
        Value::Boolean(b) => message.contains(&format!("boolean `{b}`")),
        Value::Integer(n) => message.contains(&format!("integer `{n}`")),
        Value::Float(x) => message.contains(&format!("floating point `{x:?}`")),
        Value::Array(_) => message.contains("type: sequence"),
        Value::Table(_) => message.contains("type: map"),
        Value::Datetime(_) => false,
    };
    table
        .iter()
        .filter(|(key, v)| key.as_str() != "shape" && spoken_of(v))
        .map(|(key, _)| key.clone())
        .collect()
}

fn stimulus(mut table: Table, folder: Option<&Path>) -> Result<Stimulus> {
    match table.get("shape") {
        Some(Value::String(shape)) if Stimulus::SHAPES.contains(&shape.as_str()) => {}
        Some(Value::String(shape)) => {
            return Err(DynamicsError::unknown("shape", shape, Stimulus::SHAPES).into());
        }
        Some(other) => {
            return Err(Error::Input(format!(
                "its shape is {other}; expected one of {}",
                Stimulus::SHAPES.join(", ")
            )));
        }
        None => {
            return Err(Error::Input(format!(
                "it has no shape; expected one of {}",
                Stimulus::SHAPES.join(", ")
            )));
        }
    }
    let sampled = table["shape"].as_str() == Some("sampled");
    let file = if sampled { table.remove("file") } else { None };
    if file.is_some() {
        for key in ["times", "values"] {
            if table.insert(key.into(), Value::Array(Vec::new())).is_some() {
                return Err(Error::Input(format!(
                    "it has both file and {key}; give one of them"
                )));
            }
        }
    } else if sampled && !(table.contains_key("times") && table.contains_key("values")) {
        return Err(Error::Input("it needs either times and values, or file, the name of a CSV file with columns time,current".into()));
    }
    let fields = |message: &str| match &fields_of(&table, message)[..] {
        [] => String::new(),
        fields => format!("{}: ", fields.join(" or ")),
    };
    let wrong = |e: toml::de::Error| {
        Error::Input(format!("{}{}", fields(e.message()), advice(e.message())))
    };
    let mut stimulus: Stimulus = Value::Table(table.clone()).try_into().map_err(wrong)?;
    if let (Stimulus::Sampled(s), Some(file)) = (&mut stimulus, file) {
        let Some(name) = file.as_str() else {
            return Err(Error::Input(format!(
                "its file is {file}; expected the name of a CSV file"
            )));
        };
        let folder = folder.ok_or_else(|| {
            Error::Input(format!(
                "its file '{name}' cannot be found from here; give times and values"
            ))
        })?;
        let read = read_csv(&folder.join(name))?;
        (s.times, s.values) = (read.times, read.values);
    }
    stimulus.check()?;
    Ok(stimulus)
}

fn read_csv(path: &Path) -> Result<Sampled> {
    let file = File::open(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    parse_csv(BufReader::new(file)).map_err(|e| Error::Input(format!("{}: {e}", path.display())))
}

/// The sampled current in a CSV text: a header `time,current`, then one row a sample. Empty lines and lines that begin with `#` are passed
/// over.
///
/// # Errors
/// What is wrong, with its line: a header with other columns, a row that is not two finite numbers, times that do not increase, no row.
pub fn parse_csv(text: impl BufRead) -> Result<Sampled> {
    let mut sampled = Sampled {
        start: 0.0,
        duration: None,
        interpolation: Default::default(),
        times: Vec::new(),
        values: Vec::new(),
    };
    let mut header = false;
    for (k, line) in text.lines().enumerate() {
        let wrong = |message: String| Error::Input(format!("line {}: {message}", k + 1));
        let line =
            line.map_err(|e| wrong(format!("it cannot be read ({e}); expected a text in UTF-8")))?;
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if !header {
            check_header(&cells).map_err(|e| wrong(e.to_string()))?;
            header = true;
            continue;
        }
        let &[time, current] = cells.as_slice() else {
            return Err(wrong(format!(
                "it has {} entries; expected two, time and current",
                cells.len()
            )));
        };
        let number = |name: &str, cell: &str| match cell.parse::<f64>() {
            Ok(v) if v.is_finite() => Ok(v),
            _ => Err(wrong(format!(
                "the {name} is '{cell}'; expected a finite number"
            ))),
        };
        let (time, current) = (number(COLUMNS[0], time)?, number(COLUMNS[1], current)?);
        if let Some(before) = sampled.times.last().filter(|before| **before >= time) {
            return Err(wrong(format!(
                "the time {time} comes after {before}; expected times that increase"
            )));
        }
        if sampled.times.len() == MOST_PIECES {
            return Err(wrong(format!(
                "more than {MOST_PIECES} rows are not kept in memory; sample the current more coarsely"
            )));
        }
        sampled.times.push(time);
        sampled.values.push(current);
    }
    if !header {
        return Err(Error::Input(format!(
            "it is empty; expected a header {} and rows",
            COLUMNS.join(",")
        )));
    }
    Stimulus::Sampled(sampled.clone()).check()?;
    Ok(sampled)
}

fn check_header(cells: &[&str]) -> Result<()> {
    if let Some(unknown) = cells.iter().find(|c| !COLUMNS.contains(c)) {
        if cells.iter().all(|c| c.parse::<f64>().is_ok()) {
            return Err(Error::Input(format!(
                "the header is missing; expected {}",
                COLUMNS.join(",")
            )));
        }
        return Err(DynamicsError::unknown("column", unknown, COLUMNS).into());
    }
    if cells != COLUMNS {
        return Err(Error::Input(format!(
            "the header is {}; expected {}",
            cells.join(","),
            COLUMNS.join(",")
        )));
    }
    Ok(())
}

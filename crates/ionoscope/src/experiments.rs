//! Tables of experiments: a CSV file with one row an experiment, read as a stream.
//!
//! The columns are `stim_start`, `stim_duration` and `stim_amplitude` (all three or none), and any `param:NAME` and `x0:NAME`; what has no
//! column keeps the value of a base experiment. Cells hold numbers alone, so a row is a line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use ionoscope_dynamics::{
    Error as DynamicsError,
    protocol::Protocol,
    simulator::{Simulator, admit},
    spec::Spec,
    trajectory::{Experiment, SolveOptions, TimeGrid},
};

use crate::{Error, Result, artifact::Fingerprint};

/// The columns of a stimulus, in the order of [`Protocol::step`].
const STIMULUS: [&str; 3] = ["stim_start", "stim_duration", "stim_amplitude"];
/// Longest line: what has no line ends is not read into memory as a whole.
const LONGEST_LINE: u64 = 1 << 20;

/// What a column replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Stimulus(usize),
    Parameter(usize),
    Start(usize),
}

/// Reads experiments row by row.
#[derive(Debug)]
pub struct Reader<'a, R> {
    lines: Lines<R>,
    spec: &'a Spec,
    base: &'a Experiment,
    names: Vec<String>,
    columns: Vec<Column>,
}

impl<'a> Reader<'a, BufReader<File>> {
    /// Opens a file.
    ///
    /// # Errors
    /// A file that cannot be read; otherwise as [`Reader::new`].
    pub fn open(path: &Path, spec: &'a Spec, base: &'a Experiment) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Reader::new(BufReader::with_capacity(1 << 16, file), spec, base).map_err(|e| at(path, e))
    }
}

impl<'a, R: BufRead> Reader<'a, R> {
    /// Reads the header.
    ///
    /// # Errors
    /// No header; an unknown column, with the nearest name; a column given twice; a stimulus that is not complete, or beside that of `base`.
    pub fn new(input: R, spec: &'a Spec, base: &'a Experiment) -> Result<Self> {
        let mut reader = Reader {
            lines: Lines::new(input),
            spec,
            base,
            names: Vec::new(),
            columns: Vec::new(),
        };
        if !reader.lines.next()? {
            return Err(Error::Input(
                "it is empty; expected a header such as param:NAME,x0:NAME and rows of numbers"
                    .into(),
            ));
        }
        let (line, header) = (reader.lines.number, reader.lines.text()?);
        let names: Vec<&str> = cells(header).collect();
        if names.iter().all(|n| n.parse::<f64>().is_ok()) {
            return Err(wrong(
                line,
                "the header is missing; expected names of columns, such as param:NAME, x0:NAME or stim_start",
            ));
        }
        for (k, name) in names.iter().enumerate() {
            let column = find(name, spec).map_err(|e| wrong(line, &e.to_string()))?;
            if reader.columns.contains(&column) {
                return Err(wrong(
                    line,
                    &format!("column {} is '{name}' again; give every column once", k + 1),
                ));
            }
            reader.columns.push(column);
        }
        reader.names = names.into_iter().map(str::to_owned).collect();
        let missing: Vec<&str> = (0..3)
            .filter(|k| !reader.columns.contains(&Column::Stimulus(*k)))
            .map(|k| STIMULUS[k])
            .collect();
        if missing.len() == 3 {
            return Ok(reader);
        }
        if let [first, ..] = missing[..] {
            return Err(wrong(
                line,
                &format!(
                    "there is no column {first}; a stimulus needs {}",
                    STIMULUS.join(", ")
                ),
            ));
        }
        if !base.protocol.is_none() {
            let message = "the table has stimuli, and another one is given for all experiments; leave one of them out";
            return Err(wrong(line, message));
        }
        Ok(reader)
    }

    /// Names of the columns, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Fingerprint of all bytes up to the end of the row that was read last; after the last row, of the file.
    pub fn read_so_far(&self) -> Fingerprint {
        self.lines.read
    }

    /// Reads the next experiment; none after the last.
    ///
    /// # Errors
    /// By its line: a row with another number of cells; a cell that is no finite number or outside its quantity's range; a stimulus that
    /// begins or lasts less than 0.
    pub fn read(&mut self) -> Result<Option<Experiment>> {
        if !self.lines.next()? {
            return Ok(None);
        }
        let (line, text) = (self.lines.number, self.lines.text()?);
        let mut experiment = self.base.clone();
        let mut stimulus = None;
        let mut count = 0;
        for (k, cell) in cells(text).enumerate() {
            count = k + 1;
            let Some((name, column)) = self.names.get(k).zip(self.columns.get(k)) else {
                continue;
            };
            let value = match cell.parse::<f64>() {
                Ok(v) if v.is_finite() => v,
                _ => {
                    return Err(wrong(
                        line,
                        &format!("{name} is '{cell}'; expected a finite number"),
                    ));
                }
            };
            let (quantity, place) = match *column {
                Column::Stimulus(k) => {
                    stimulus.get_or_insert([0.0; 3])[k] = value;
                    if k < 2 && value < 0.0 {
                        return Err(wrong(
                            line,
                            &format!("{name} is {value}; expected 0 or larger"),
                        ));
                    }
                    continue;
                }
                Column::Parameter(i) => (&self.spec.parameters[i], &mut experiment.p[i]),
                Column::Start(i) => (&self.spec.variables[i], &mut experiment.x0[i]),
            };
            let [low, high] = quantity.range;
            if !(low..=high).contains(&value) {
                return Err(wrong(
                    line,
                    &DynamicsError::OutOfRange {
                        name: name.clone(),
                        value,
                        low,
                        high,
                    }
                    .to_string(),
                ));
            }
            *place = value;
        }
        if count != self.names.len() {
            let (one, wanted) = (
                if count == 1 { "entry" } else { "entries" },
                self.names.len(),
            );
            return Err(wrong(
                line,
                &format!("it has {count} {one}; expected {wanted}, one a column"),
            ));
        }
        if let Some([start, duration, amplitude]) = stimulus {
            experiment.protocol = if duration == 0.0 {
                Protocol::none()
            } else {
                Protocol::step(start, duration, amplitude)
            };
            experiment
                .protocol
                .check()
                .map_err(|e| wrong(line, &e.to_string()))?;
        }
        Ok(Some(experiment))
    }
}

/// What a table holds, after a look at every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// Number of experiments.
    pub rows: usize,
    /// Names of the columns, in order.
    pub columns: Vec<String>,
    /// Fingerprint of the bytes that were looked at: those of the whole file.
    pub hash: String,
}

/// Looks at every row before any work begins.
///
/// # Errors
/// As [`Reader::new`] and [`Reader::read`]; no row at all; what the simulator does not take, or,
/// unless it is to `extrapolate`, was not trained on.
pub fn survey(
    path: &Path,
    simulator: &dyn Simulator,
    base: &Experiment,
    options: &SolveOptions,
    extrapolate: bool,
) -> Result<Survey> {
    let meta = path.metadata().map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    if !meta.is_file() {
        return Err(Error::Input(format!(
            "{} is no regular file; the table is read twice, so save it first",
            path.display()
        )));
    }
    takes(simulator, base, options)?;
    let mut reader = Reader::open(path, simulator.spec(), base)?;
    let mut rows = 0;
    let mut stimulated = !base.protocol.is_none();
    while let Some(experiment) = reader.read().map_err(|e| at(path, e))? {
        let line = reader.lines.number;
        let refused = |why: &str| at(path, wrong(line, why));
        admit(simulator, std::slice::from_ref(&experiment), extrapolate)
            .map_err(|(_, why)| refused(&why))?;
        if !stimulated && !experiment.protocol.is_none() {
            takes(simulator, &experiment, options).map_err(|e| refused(&e.to_string()))?;
            stimulated = true;
        }
        rows += 1;
    }
    if rows == 0 {
        return Err(at(
            path,
            Error::Input("it has a header and no row; expected one row an experiment".into()),
        ));
    }
    Ok(Survey {
        rows,
        hash: reader.read_so_far().to_string(),
        columns: reader.names,
    })
}

/// Whether a system takes such an experiment: its start alone, without any work.
fn takes(simulator: &dyn Simulator, experiment: &Experiment, options: &SolveOptions) -> Result<()> {
    let Some(system) = simulator.system() else {
        return Ok(());
    };
    let times = TimeGrid::new(0.0, experiment.times.dt, 1)?;
    let start = Experiment {
        times,
        ..experiment.clone()
    };
    system
        .solve_ensemble(&[start], options)
        .map(drop)
        .map_err(Error::from)
}

/// The fingerprint of a table up to the end of each chunk of so many rows, and of the whole file.
///
/// # Errors
/// As [`Reader::new`], as far as lines are concerned.
pub fn marks(path: &Path, chunk: usize) -> Result<(Vec<Fingerprint>, Fingerprint)> {
    let file = File::open(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let (mut lines, mut rows, mut marks) = (
        Lines::new(BufReader::with_capacity(1 << 16, file)),
        0,
        Vec::new(),
    );
    let mut header = true;
    while lines.next().map_err(|e| at(path, e))? {
        if !std::mem::take(&mut header) {
            rows += 1;
            if usize::is_multiple_of(rows, chunk) {
                marks.push(lines.read);
            }
        }
    }
    Ok((marks, lines.read))
}

/// An error with the file in front.
pub fn at(path: &Path, error: Error) -> Error {
    if error.is_input() && !matches!(error, Error::Read { .. }) {
        Error::Input(format!("{}: {error}", path.display()))
    } else {
        error
    }
}

fn wrong(line: u64, message: &str) -> Error {
    Error::Input(format!("line {line}: {message}"))
}

fn find(name: &str, spec: &Spec) -> std::result::Result<Column, DynamicsError> {
    if let Some(name) = name.strip_prefix("param:") {
        return spec.parameter_index(name).map(Column::Parameter);
    }
    if let Some(name) = name.strip_prefix("x0:") {
        return spec.variable_index(name).map(Column::Start);
    }
    let place = STIMULUS
        .iter()
        .position(|known| *known == name)
        .map(Column::Stimulus);
    place.ok_or_else(|| {
        let parameters = spec.parameters.iter().map(|q| format!("param:{}", q.name));
        let starts = spec.variables.iter().map(|q| format!("x0:{}", q.name));
        let known: Vec<String> = STIMULUS
            .iter()
            .map(|s| (*s).to_owned())
            .chain(parameters)
            .chain(starts)
            .collect();
        let mut error = DynamicsError::unknown("column", name, known.iter().map(String::as_str));
        if let DynamicsError::UnknownName { nearest, known, .. } = &mut error
            && let Some(with_prefix) = known
                .iter()
                .find(|k| k.split_once(':').is_some_and(|(_, bare)| bare == name))
        {
            *nearest = Some(with_prefix.clone());
        }
        error
    })
}

/// The cells of a line, without blanks and quotes around them.
fn cells(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|cell| {
        let cell = cell.trim();
        cell.strip_prefix('"')
            .and_then(|c| c.strip_suffix('"'))
            .unwrap_or(cell)
    })
}

/// Lines that hold something, with their numbers in the file; those that begin with `#` are passed over.
#[derive(Debug)]
struct Lines<R> {
    input: R,
    /// Number of the current line, from 1.
    number: u64,
    buffer: Vec<u8>,
    /// Of all bytes up to the end of the current line.
    read: Fingerprint,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Lines {
            input,
            number: 0,
            buffer: Vec::new(),
            read: Fingerprint::default(),
        }
    }

    /// Goes to the next line that holds something; whether there is one.
    fn next(&mut self) -> Result<bool> {
        loop {
            self.buffer.clear();
            let read = (&mut self.input)
                .take(LONGEST_LINE + 1)
                .read_until(b'\n', &mut self.buffer);
            let read = read.map_err(|e: io::Error| {
                Error::Failed(format!("the table cannot be read on: {e}"))
            })?;
            if read == 0 {
                return Ok(false);
            }
            self.read.add(&self.buffer);
            self.number += 1;
            if read as u64 > LONGEST_LINE {
                return Err(wrong(
                    self.number,
                    "it is longer than a row of numbers can be; is this a CSV file?",
                ));
            }
            if self.number == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if self
                .buffer
                .iter()
                .find(|b| !b.is_ascii_whitespace())
                .is_some_and(|b| *b != b'#')
            {
                return Ok(true);
            }
        }
    }

    fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.buffer).map_err(|_| {
            wrong(
                self.number,
                "it is not UTF-8; save the table as a text in UTF-8",
            )
        })
    }
}

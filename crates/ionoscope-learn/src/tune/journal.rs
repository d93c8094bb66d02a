//! A study on the disk: Optuna's journal, one JSON record a line, appended under a lock that Optuna's own workers respect (a symbolic link beside
//! the file, `FILE.lock`), so that `optuna.load_study` and dashboards open it and workers of both kinds share it.
//!
//! Every record of one step is written at once, and what is written survives the process. It is forced to the disk once a second, and at the end: when the
//! power fails, what was written since, or what the system had not yet written by itself, may be lost.
//! A last line that was cut short is removed by the next writer; whatever it was about did not happen.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::space::Space;
use crate::{Error, Result};

/// How long a lock may stay without anything being written before it counts as left behind, as in Optuna.
const STALE: Duration = Duration::from_secs(30);

/// How often the file is forced to the disk while it is written to.
const FORCED: Duration = Duration::from_secs(1);

/// Operations, by their numbers in the file.
mod operation {
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
pub(super) mod attribute {
    pub const WORKER: &str = "worker";
    pub const ALIVE: &str = "alive";
    pub const ABANDONED: &str = "abandoned";
    pub const RETRY: &str = "retry_of";
    pub const FITTED: &str = "fitted";
    pub const PROBLEM: &str = "problem";
}

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
    const ALL: [State; 5] = [State::Running, State::Complete, State::Pruned, State::Failed, State::Waiting];

    /// Whether nothing more will come.
    pub fn finished(self) -> bool {
        matches!(self, State::Complete | State::Pruned | State::Failed)
    }

    fn number(self) -> usize {
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
    pub(super) id: usize,
}

impl Trial {
    /// The number under which it was first begun: what was left behind is begun again under another.
    pub fn origin(&self) -> usize {
        self.attributes.get(attribute::RETRY).and_then(Value::as_u64).map_or(self.number, |n| n as usize)
    }

    /// Whether an older version ended it because its worker was no more.
    pub fn left_behind(&self) -> bool {
        self.state == State::Failed && self.attributes.contains_key(attribute::ABANDONED)
    }

    /// Values that follow from its own, to meet a budget.
    pub fn fitted(&self) -> BTreeMap<String, Value> {
        self.attributes.get(attribute::FITTED).and_then(Value::as_object).map(|o| o.clone().into_iter().collect()).unwrap_or_default()
    }

    /// Why it failed.
    pub fn problem(&self) -> Option<&str> {
        self.attributes.get(attribute::PROBLEM).and_then(Value::as_str)
    }

    /// By all objectives; empty where it was not measured.
    pub fn objectives(&self) -> Vec<f64> {
        self.value.into_iter().chain(self.further.iter().copied()).collect()
    }

    /// The last report.
    pub fn last(&self) -> Option<(u64, f64)> {
        self.reported.last_key_value().map(|(s, v)| (*s, *v))
    }
}

/// A new trial, as far as the journal is concerned.
pub struct NewTrial {
    /// Values by key.
    pub values: BTreeMap<String, Value>,
    /// What else is kept of it.
    pub attributes: BTreeMap<String, Value>,
}

/// What a worker begins with.
pub enum Begin {
    /// A trial that was not there before.
    New(NewTrial),
    /// One that was interrupted and waits: it keeps its number and values, and what it had reported is forgotten, since whoever takes it reports anew.
    Again {
        /// Its number.
        number: usize,
        /// What is new of it: who works on it now.
        attributes: BTreeMap<String, Value>,
    },
}

/// An open journal, looking at one of its studies.
pub struct Journal {
    /// None: nothing is kept beyond the process, and nobody else sees it.
    path: Option<PathBuf>,
    name: String,
    worker: String,
    /// Nobody else writes, and no locks are taken.
    alone: bool,
    /// When the file was last forced to the disk, and whether anything was written since.
    forced: Option<Instant>,
    open_end: bool,
    /// Bytes that were read.
    read: u64,
    /// Studies so far, deleted ones too: names, and attributes.
    studies: Vec<(String, BTreeMap<String, Value>)>,
    /// Study and, in ours, index of each trial of the file.
    all: Vec<(usize, Option<usize>)>,
    study: Option<usize>,
    trials: Vec<Trial>,
}

impl Journal {
    /// Opens or makes a file, and in it the study of this name, which must have these attributes where it is there. It is made with as many objectives
    /// as the attribute `objectives` lists, or one.
    ///
    /// # Errors
    /// A file that cannot be read or written, or is no journal; a study of the same name with other attributes; a folder in which locks do not
    /// work.
    pub fn open(path: &Path, name: &str, attributes: &BTreeMap<String, Value>) -> Result<Self> {
        Journal::open_as(path, name, attributes, false)
    }

    /// As [`open`](Self::open); `alone` takes no locks, for a folder that has none that work: nobody else may write then.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as(path: &Path, name: &str, attributes: &BTreeMap<String, Value>, alone: bool) -> Result<Self> {
        let mut journal = Journal::new(Some(path.to_owned()), name, alone);
        OpenOptions::new().append(true).create(true).open(path).map_err(|e| journal.write_error(e))?;
        let lock = journal.lock()?;
        if !alone && journal.try_lock()? {
            return Err(journal.no_locks("a lock can be taken twice"));
        }
        journal.sync()?;
        if journal.study.is_none() {
            let records = journal.creation(attributes);
            journal.append(&lock, records)?;
        }
        drop(lock);
        let there = journal.study.map(|s| &journal.studies[s].1);
        for (key, value) in attributes {
            if let Some(other) = there.and_then(|a| a.get(key)).filter(|other| *other != value) {
                return Err(Error::Invalid(format!(
                    "{} holds a study '{name}' whose {key} is {other}; this one's is {value}: choose another folder or another name",
                    path.display()
                )));
            }
        }
        Ok(journal)
    }

    /// A study that is kept in memory alone.
    ///
    /// # Errors
    /// None that are known.
    pub fn in_memory(name: &str, attributes: &BTreeMap<String, Value>) -> Result<Self> {
        let mut journal = Journal::new(None, name, true);
        let records = journal.creation(attributes);
        journal.append(&Lock { path: None }, records)?;
        Ok(journal)
    }

    fn new(path: Option<PathBuf>, name: &str, alone: bool) -> Self {
        Journal {
            path,
            name: name.to_owned(),
            worker: worker(),
            alone,
            forced: None,
            open_end: false,
            read: 0,
            studies: Vec::new(),
            all: Vec::new(),
            study: None,
            trials: Vec::new(),
        }
    }

    /// The records that make the study.
    fn creation(&self, attributes: &BTreeMap<String, Value>) -> Vec<Value> {
        let objectives = attributes.get("objectives").and_then(Value::as_array).map_or(1, Vec::len);
        let directions = vec![1; objectives];
        let mut records = vec![json!({"op_code": operation::CREATE_STUDY, "study_name": self.name, "directions": directions})];
        let study_id = self.studies.len();
        for (key, value) in attributes {
            records.push(json!({"op_code": operation::STUDY_ATTRIBUTE, "study_id": study_id, "user_attr": {key: value}}));
        }
        records
    }

    /// All trials, when nothing more is to come.
    pub fn into_trials(mut self) -> Vec<Trial> {
        std::mem::take(&mut self.trials)
    }

    /// Trials of the study, as far as was read.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Who this is in the file.
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// Begins a trial: `make` gets the number of a new one and the trials so far, and may say that there is to be none.
    ///
    /// A new trial is one record, as Optuna writes those that come with values: whenever the process ends, it is there with all its values or not at all.
    ///
    /// # Errors
    /// The file cannot be read or written; an error of `make`.
    pub fn start(&mut self, space: &Space, make: impl FnOnce(usize, &[Trial]) -> Result<Option<Begin>>) -> Result<Option<usize>> {
        let lock = self.lock()?;
        self.sync()?;
        let number = self.trials.len();
        let new = match make(number, &self.trials)? {
            None => return Ok(None),
            Some(Begin::New(new)) => new,
            Some(Begin::Again { number, attributes }) => {
                let id = self.trials[number].id;
                let attribute =
                    |(key, value): (&String, &Value)| json!({"op_code": operation::ATTRIBUTE, "trial_id": id, "user_attr": {key: value}});
                let mut records: Vec<Value> = attributes.iter().map(attribute).collect();
                // Last: until it is written, the trial waits.
                let state = State::Running.number();
                records.push(json!({"op_code": operation::STATE, "trial_id": id, "state": state, "values": null, "datetime_start": now()}));
                self.append(&lock, records)?;
                return Ok(Some(number));
            }
        };
        let study = self.study.ok_or_else(|| self.damaged("the study is gone"))?;
        let (mut params, mut distributions) = (serde_json::Map::new(), serde_json::Map::new());
        for (key, value) in &new.values {
            let domain = &space.0[key].domain;
            let inner = domain.inner(value).ok_or_else(|| Error::Failed(format!("{key} = {value} is outside its space")))?;
            params.insert(key.clone(), json!(inner));
            distributions.insert(key.clone(), json!(domain.distribution().to_string()));
        }
        let record = json!({
            "op_code": operation::CREATE_TRIAL, "study_id": study, "datetime_start": now(), "state": State::Running.number(),
            "params": params, "distributions": distributions, "user_attrs": new.attributes,
        });
        self.append(&lock, vec![record])?;
        Ok(Some(number))
    }

    /// Lets go of a running trial, which then waits to be begun again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn release(&mut self, number: usize) -> Result<()> {
        let id = self.trials[number].id;
        self.record(json!({"op_code": operation::STATE, "trial_id": id, "state": State::Waiting.number(), "values": null}))
    }

    /// Ends a trial that cannot be done, with the reason.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn fail(&mut self, number: usize, problem: &str) -> Result<()> {
        let (id, state) = (self.trials[number].id, State::Failed.number());
        let lock = self.lock()?;
        self.sync()?;
        let why = json!({"op_code": operation::ATTRIBUTE, "trial_id": id, "user_attr": {attribute::PROBLEM: problem}});
        let ended = json!({"op_code": operation::STATE, "trial_id": id, "state": state, "values": null, "datetime_complete": now()});
        self.append(&lock, vec![why, ended])
    }

    /// Says what a running trial is worth after a step; numbers that are not finite are not written.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn report(&mut self, number: usize, step: u64, value: f64) -> Result<()> {
        if !value.is_finite() {
            return Ok(());
        }
        let id = self.trials[number].id;
        self.record(json!({"op_code": operation::REPORT, "trial_id": id, "step": step, "intermediate_value": value}))
    }

    /// Keeps something of a running trial.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn attribute(&mut self, number: usize, key: &str, value: &Value) -> Result<()> {
        let id = self.trials[number].id;
        self.record(json!({"op_code": operation::ATTRIBUTE, "trial_id": id, "user_attr": {key: value}}))
    }

    /// Ends a trial, with what it was worth where it was measured.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(&mut self, number: usize, state: State, values: &[f64]) -> Result<()> {
        let id = self.trials[number].id;
        let values = (!values.is_empty() && values.iter().all(|v| v.is_finite())).then_some(values);
        let state = state.number();
        self.record(json!({"op_code": operation::STATE, "trial_id": id, "state": state, "values": values, "datetime_complete": now()}))
    }

    fn record(&mut self, record: Value) -> Result<()> {
        let lock = self.lock()?;
        self.sync()?;
        self.append(&lock, vec![record])
    }

    /// Reads what others have written.
    ///
    /// # Errors
    /// The file cannot be read or is damaged before its last line.
    pub fn sync(&mut self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut file = File::open(path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let mut text = Vec::new();
        let read = file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read_to_end(&mut text));
        read.map_err(|source| Error::Read { path: path.clone(), source })?;
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |k| k + 1);
        for line in text[..whole].split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let record = parse(line).ok_or_else(|| self.damaged("a line is no record"))?;
            self.apply(&record)?;
        }
        self.read += whole as u64;
        Ok(())
    }

    fn damaged(&self, what: &str) -> Error {
        Error::file(self.shown(), format!("{what}; expected a journal of a study, written by ionoscope or Optuna"))
    }

    fn shown(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("the study in memory"))
    }

    fn write_error(&self, source: std::io::Error) -> Error {
        Error::Write { path: self.shown().to_owned(), source }
    }

    fn apply(&mut self, record: &Value) -> Result<()> {
        let number = |key: &str| record[key].as_u64().map(|v| v as usize);
        let code = record["op_code"].as_u64().ok_or_else(|| self.damaged("a record has no op_code"))?;
        match code {
            operation::CREATE_STUDY => {
                let name = record["study_name"].as_str().ok_or_else(|| self.damaged("a study has no name"))?.to_owned();
                // As in Optuna, the first of a name counts.
                if self.studies.iter().any(|s| s.0 == name) {
                    return Ok(());
                }
                if name == self.name {
                    self.study = Some(self.studies.len());
                }
                self.studies.push((name, BTreeMap::new()));
            }
            operation::DELETE_STUDY => {
                if let Some(s) = number("study_id").filter(|s| *s < self.studies.len()) {
                    self.studies[s].0.clear();
                    if self.study == Some(s) {
                        (self.study, self.trials) = (None, Vec::new());
                    }
                }
            }
            operation::STUDY_ATTRIBUTE => {
                if let (Some(s), Some(more)) = (number("study_id").filter(|s| *s < self.studies.len()), record["user_attr"].as_object()) {
                    self.studies[s].1.extend(more.clone());
                }
            }
            operation::CREATE_TRIAL => self.create(record, number("study_id").unwrap_or(usize::MAX)),
            operation::STUDY_SYSTEM_ATTRIBUTE | operation::SYSTEM_ATTRIBUTE | operation::DISCARD => {}
            operation::PARAMETER | operation::STATE | operation::REPORT | operation::ATTRIBUTE => {
                let index = number("trial_id").and_then(|id| self.all.get(id)?.1);
                // As in Optuna, a finished trial stays as it is.
                if let Some(trial) = index.map(|k| &mut self.trials[k]).filter(|t| !t.state.finished()) {
                    change(trial, code, record);
                }
            }
            _ => return Err(self.damaged(&format!("operation {code} is unknown: it was written by a newer version"))),
        }
        Ok(())
    }

    fn create(&mut self, record: &Value, study: usize) {
        if study >= self.studies.len() || self.studies[study].0.is_empty() {
            return;
        }
        let id = self.all.len();
        let ours = self.study == Some(study);
        self.all.push((study, ours.then_some(self.trials.len())));
        if !ours {
            return;
        }
        let mut trial = Trial { number: self.trials.len(), id, ..Trial::default() };
        let object = |key: &str| record[key].as_object().cloned().unwrap_or_default();
        for (key, inner) in object("params") {
            let distribution = &record["distributions"][&key];
            trial.values.insert(key, outer(distribution.as_str().unwrap_or_default(), &inner));
        }
        trial.attributes = object("user_attrs").into_iter().collect();
        trial.reported = object("intermediate_values").iter().filter_map(|(s, v)| Some((s.parse().ok()?, v.as_f64()?))).collect();
        trial.value = record["value"].as_f64().or(record["values"][0].as_f64());
        trial.further = record["values"].as_array().map_or(Vec::new(), |v| v.iter().skip(1).filter_map(Value::as_f64).collect());
        trial.state = record["state"].as_u64().and_then(|s| State::ALL.get(s as usize).copied()).unwrap_or_default();
        self.trials.push(trial);
    }

    fn append(&mut self, _lock: &Lock, records: Vec<Value>) -> Result<()> {
        let Some(path) = &self.path else { return records.iter().try_for_each(|r| self.apply(r)) };
        let mut text = String::new();
        for mut record in records {
            record["worker_id"] = self.worker.clone().into();
            text += &record.to_string();
            text.push('\n');
        }
        let mut file = OpenOptions::new().write(true).open(path).map_err(|e| self.write_error(e))?;
        let end = file.metadata().map_err(|e| self.write_error(e))?.len();
        // Everything up to `read` is whole lines, so what follows was cut short.
        if end > self.read {
            file.set_len(self.read).map_err(|e| self.write_error(e))?;
        }
        let written = file.seek(SeekFrom::Start(self.read)).and_then(|_| file.write_all(text.as_bytes()));
        if let Err(e) = written {
            // A full disk may have taken a part of it: none of it is to stay, so that the file ends with whole steps.
            let _ = file.set_len(self.read);
            return Err(self.write_error(e));
        }
        self.open_end = self.forced.is_some_and(|t| t.elapsed() < FORCED);
        if !self.open_end {
            file.sync_data().map_err(|e| self.write_error(e))?;
            self.forced = Some(Instant::now());
        }
        self.sync()
    }

    fn lock_path(&self) -> PathBuf {
        let mut name = self.shown().as_os_str().to_owned();
        name.push(".lock");
        name.into()
    }

    /// Takes the lock if it is free.
    fn try_lock(&self) -> Result<bool> {
        #[cfg(unix)]
        let made = std::os::unix::fs::symlink(self.shown(), self.lock_path());
        #[cfg(not(unix))]
        let made = OpenOptions::new().write(true).create_new(true).open(self.lock_path()).map(drop);
        match made {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            // What folders without symbolic links say; anything else is no matter of locks.
            Err(e) if matches!(e.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::Unsupported) => {
                Err(self.no_locks(&e.to_string()))
            }
            Err(e) => Err(self.write_error(e)),
        }
    }

    fn no_locks(&self, why: &str) -> Error {
        Error::Failed(format!(
            "{}: locks do not work in this folder ({why}), so that several workers would spoil the file; choose a folder on a local disk, or work on it \
             alone: --single-writer",
            self.shown().display()
        ))
    }

    fn lock(&self) -> Result<Lock> {
        if self.alone {
            return Ok(Lock { path: None });
        }
        let (path, mut pause) = (self.lock_path(), Duration::from_millis(1));
        let touched = || fs::metadata(&path).and_then(|m| m.modified()).ok();
        let (mut since, mut last) = (Instant::now(), touched());
        while !self.try_lock()? {
            std::thread::sleep(pause);
            pause = (2 * pause).min(Duration::from_secs(1));
            let now = touched();
            if now != last {
                (since, last) = (Instant::now(), now);
            }
            if since.elapsed() > STALE {
                // Whoever held it is no more. Renaming first makes sure that only one of several takes it away.
                let aside = path.with_extension(format!("lock{}.rename", self.worker));
                if fs::rename(&path, &aside).is_ok() {
                    let _ = fs::remove_file(&aside);
                }
                since = Instant::now();
            }
        }
        Ok(Lock { path: Some(path) })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let (true, Some(path)) = (self.open_end, &self.path) {
            // Whoever drops it has no use for an error; what was written stands in the file all the same.
            let _ = File::open(path).and_then(|file| file.sync_data());
        }
    }
}

/// A held lock.
struct Lock {
    path: Option<PathBuf>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// A line as a record. Python writes numbers that are not finite without quotes, which JSON has not.
fn parse(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok().or_else(|| {
        let text = std::str::from_utf8(line).ok()?;
        let plain = ["NaN", "-Infinity", "Infinity"].iter().fold(text.to_owned(), |t, word| {
            t.replace(&format!(":{word}"), ":null").replace(&format!("[{word}"), "[null").replace(&format!(",{word}"), ",null")
        });
        serde_json::from_str(&plain).ok()
    })
}

/// The value for the inner number of a distribution as Optuna writes it.
fn outer(distribution: &str, inner: &Value) -> Value {
    let Ok(d) = serde_json::from_str::<Value>(distribution) else { return inner.clone() };
    match d["name"].as_str() {
        Some("CategoricalDistribution") => d["attributes"]["choices"][inner.as_f64().unwrap_or(0.0) as usize].clone(),
        Some("IntDistribution") => json!(inner.as_f64().unwrap_or(0.0) as i64),
        _ => inner.clone(),
    }
}

fn change(trial: &mut Trial, code: u64, record: &Value) {
    match code {
        operation::PARAMETER => {
            if let (Some(key), Some(distribution)) = (record["param_name"].as_str(), record["distribution"].as_str()) {
                trial.values.insert(key.to_owned(), outer(distribution, &record["param_value_internal"]));
            }
        }
        operation::STATE => {
            trial.state = record["state"].as_u64().and_then(|s| State::ALL.get(s as usize).copied()).unwrap_or(trial.state);
            // What Optuna took up from among those that wait is its own.
            if trial.state == State::Running && !record["worker_id"].as_str().is_some_and(|w| w.starts_with(WORKER_PREFIX)) {
                trial.attributes.remove(attribute::WORKER);
                trial.reported.clear();
            }
            if let Some(values) = record["values"].as_array() {
                trial.value = values.first().and_then(Value::as_f64);
                trial.further = values.iter().skip(1).filter_map(Value::as_f64).collect();
            }
        }
        operation::REPORT => {
            if let (Some(step), Some(value)) = (record["step"].as_u64(), record["intermediate_value"].as_f64()) {
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

/// How the names of our workers begin.
const WORKER_PREFIX: &str = "ionoscope-";

/// A name that no other worker has.
fn worker() -> String {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{WORKER_PREFIX}{}-{random:016x}", std::process::id())
}

/// The time, in UTC, as `2026-11-27T03:41:00.123456+00:00`.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (since.as_secs(), since.subsec_micros());
    let (days, of_day) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Days from the first of March of a year divisible by 400 (Hinnant, "chrono-compatible low-level date algorithms").
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}+00:00", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ionoscope-journal-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn space() -> Space {
        serde_json::from_str(r#"{"n": {"integer": [1, 9]}, "c": {"choice": ["a", "b"]}, "r": {"log": [1e-4, 1]}}"#).unwrap()
    }

    fn new(n: i64) -> Result<Option<Begin>> {
        let values = BTreeMap::from([("n".to_owned(), json!(n)), ("c".to_owned(), json!("b")), ("r".to_owned(), json!(0.01))]);
        Ok(Some(Begin::New(NewTrial { values, attributes: BTreeMap::from([("seed".to_owned(), json!(7))]) })))
    }

    #[test]
    fn what_is_written_is_read_by_another_worker_also_after_a_cut() {
        let dir = folder("cut");
        let path = dir.join("journal.log");
        let about = BTreeMap::from([("space".to_owned(), json!({"n": 1}))]);
        let mut a = Journal::open(&path, "study", &about).unwrap();
        let mut b = Journal::open(&path, "study", &about).unwrap();
        assert_eq!(a.start(&space(), |_, _| new(3)).unwrap(), Some(0));
        a.report(0, 1, 0.5).unwrap();
        a.report(0, 2, f64::NAN).unwrap();
        assert_eq!(
            b.start(&space(), |n, known| {
                assert_eq!((n, known[0].last()), (1, Some((1, 0.5))));
                new(4)
            })
            .unwrap(),
            Some(1)
        );
        a.finish(0, State::Complete, &[0.25]).unwrap();
        b.sync().unwrap();
        let first = &b.trials()[0];
        assert_eq!(
            (first.state, first.value, first.values["n"].as_i64(), &first.values["c"]),
            (State::Complete, Some(0.25), Some(3), &json!("b"))
        );
        assert_eq!(first.attributes["seed"], 7);
        // The last line is cut short: what it said did not happen, and the next writer goes on.
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let mut c = Journal::open(&path, "study", &about).unwrap();
        assert_eq!(c.trials()[0].state, State::Running);
        c.finish(0, State::Pruned, &[]).unwrap();
        let d = Journal::open(&path, "study", &about).unwrap();
        assert_eq!((d.trials()[0].state, d.trials().len()), (State::Pruned, 2));
        assert!(fs::read_to_string(&path).unwrap().lines().all(|l| serde_json::from_str::<Value>(l).is_ok()));
        // A finished trial stays as it is; another study of the file has trials of its own.
        c.finish(0, State::Complete, &[1.0]).unwrap();
        assert_eq!(c.trials()[0].state, State::Pruned);
        let mut other = Journal::open(&path, "other", &about).unwrap();
        assert_eq!(other.start(&space(), |_, _| new(1)).unwrap(), Some(0));
        c.sync().unwrap();
        assert_eq!((c.trials().len(), other.trials().len()), (2, 1));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn other_studies_newer_files_and_no_journals_are_refused() {
        let dir = folder("refused");
        let path = dir.join("journal.log");
        Journal::open(&path, "study", &BTreeMap::from([("space".to_owned(), json!(1))])).unwrap();
        let message =
            |name: &str| Journal::open(&path, name, &BTreeMap::from([("space".to_owned(), json!(2))])).err().map(|e| e.to_string());
        assert!(message("study").unwrap().contains("whose space is 1"));
        assert!(message("new").is_none());
        fs::write(&path, "{\"op_code\": 11}\n").unwrap();
        assert!(message("study").unwrap().contains("newer version"));
        fs::write(&path, "hello\nyou\n").unwrap();
        assert!(message("study").unwrap().contains("no record"));
        fs::remove_dir_all(&dir).unwrap();
    }

    /// Written by Optuna 4.5: a study of two trials, one pruned, one with a value that is no number.
    #[test]
    fn what_optuna_writes_is_read() {
        let dir = folder("optuna");
        let path = dir.join("journal.log");
        fs::write(&path, include_bytes!("../../tests/data/optuna-journal.log")).unwrap();
        let journal = Journal::open(&path, "from-optuna", &BTreeMap::new()).unwrap();
        let states: Vec<State> = journal.trials().iter().map(|t| t.state).collect();
        assert_eq!(states, [State::Complete, State::Pruned, State::Failed]);
        let first = &journal.trials()[0];
        assert_eq!((first.values["n"].as_i64(), &first.values["kind"], first.value), (Some(5), &json!("zongyi"), Some(0.5)));
        assert_eq!((first.values["rate"].as_f64(), first.reported[&1], &first.attributes["note"]), (Some(0.01), 0.75, &json!("hello")));
        assert_eq!(journal.trials()[1].last(), Some((1, 2.0)));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn without_locks_one_may_write_and_several_objectives_are_kept() {
        let dir = folder("alone");
        let path = dir.join("journal.log");
        let about = BTreeMap::from([("objectives".to_owned(), json!(["error", "weights"]))]);
        // Where the lock would stand there is a folder that nobody removes: with locks this would wait.
        fs::create_dir_all(dir.join("journal.log.lock")).unwrap();
        let mut alone = Journal::open_as(&path, "study", &about, true).unwrap();
        assert_eq!(alone.start(&space(), |_, _| new(3)).unwrap(), Some(0));
        alone.finish(0, State::Complete, &[0.5, 7.0]).unwrap();
        let again = Journal::open_as(&path, "study", &about, true).unwrap();
        assert_eq!((again.trials()[0].value, again.trials()[0].objectives()), (Some(0.5), vec![0.5, 7.0]));
        assert!(fs::read_to_string(&path).unwrap().contains(r#""directions":[1,1]"#));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn many_writers_lose_nothing() {
        let dir = folder("many");
        let path = dir.join("journal.log");
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let mut journal = Journal::open(&path, "study", &BTreeMap::new()).unwrap();
                    for _ in 0..25 {
                        let number = journal.start(&space(), |n, _| new(1 + n as i64 % 9)).unwrap().unwrap();
                        journal.finish(number, State::Complete, &[number as f64]).unwrap();
                    }
                });
            }
        });
        let journal = Journal::open(&path, "study", &BTreeMap::new()).unwrap();
        assert!(journal.trials().len() == 100 && journal.trials().iter().all(|t| t.value == Some(t.number as f64)));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let text = now();
        assert_eq!((text.len(), &text[4..5], &text[10..11], &text[26..]), (32, "-", "T", "+00:00"));
        assert!(text.as_str() > "2026-01-01");
    }
}

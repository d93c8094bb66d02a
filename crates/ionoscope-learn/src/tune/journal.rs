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

pub(super) use record::attribute;
pub use record::{State, Trial};
use record::{WORKER_PREFIX, change, operation, outer, parse};

use super::space::Space;
use crate::{Error, Result, checkpoint::differences};

mod record;

/// How long a lock may stay without anything being written before it counts as left behind, as in Optuna.
const STALE: Duration = Duration::from_secs(30);

/// How often the file is forced to the disk while it is written to.
const FORCED: Duration = Duration::from_secs(1);
/// Differences that are named of two studies.
const MOST_NAMED: usize = 5;

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
    /// [`STALE`].
    stale: Duration,
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
    pub fn open_as(
        path: &Path,
        name: &str,
        attributes: &BTreeMap<String, Value>,
        alone: bool,
    ) -> Result<Self> {
        let mut journal = Journal::new(Some(path.to_owned()), name, alone);
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|e| journal.write_error(e))?;
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
            if let Some(other) = there
                .and_then(|a| a.get(key))
                .filter(|other| *other != value)
            {
                let all = differences(key, other, value);
                return Err(Error::Invalid(format!(
                    "{} holds a study '{name}' of another kind: {}; give what it was begun with, all its replacements included, to go on with it, or \
                     choose another folder or another name",
                    path.display(),
                    all[..all.len().min(MOST_NAMED)].join(", ")
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
            stale: STALE,
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
        let objectives = attributes
            .get("objectives")
            .and_then(Value::as_array)
            .map_or(1, Vec::len);
        let directions = vec![1; objectives];
        let mut records = vec![
            json!({"op_code": operation::CREATE_STUDY, "study_name": self.name, "directions": directions}),
        ];
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
    pub fn start(
        &mut self,
        space: &Space,
        make: impl FnOnce(usize, &[Trial]) -> Result<Option<Begin>>,
    ) -> Result<Option<usize>> {
        let lock = self.lock()?;
        self.sync()?;
        let number = self.trials.len();
        let new = match make(number, &self.trials)? {
            None => return Ok(None),
            Some(Begin::New(new)) => new,
            Some(Begin::Again { number, attributes }) => {
                let id = self.trials[number].id;
                let attribute = |(key, value): (&String, &Value)| json!({"op_code": operation::ATTRIBUTE, "trial_id": id, "user_attr": {key: value}});
                let mut records: Vec<Value> = attributes.iter().map(attribute).collect();
                // Last: until it is written, the trial waits.
                let state = State::Running.number();
                records.push(json!({"op_code": operation::STATE, "trial_id": id, "state": state, "values": null, "datetime_start": now()}));
                self.append(&lock, records)?;
                return Ok(Some(number));
            }
        };
        let study = self
            .study
            .ok_or_else(|| self.damaged("the study is gone"))?;
        let (mut params, mut distributions) = (serde_json::Map::new(), serde_json::Map::new());
        for (key, value) in &new.values {
            let domain = &space.0[key].domain;
            let inner = domain
                .inner(value)
                .ok_or_else(|| Error::Failed(format!("{key} = {value} is outside its space")))?;
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

    /// Lets go of trials, which then wait to be begun again: of those of which `theirs` holds when nobody else can write. What was read before that may be
    /// old, and another may long have begun them again.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn release(&mut self, theirs: impl Fn(&Trial) -> bool) -> Result<()> {
        let lock = self.lock()?;
        self.sync()?;
        let waits = |t: &Trial| json!({"op_code": operation::STATE, "trial_id": t.id, "state": State::Waiting.number(), "values": null});
        let records: Vec<Value> = self
            .trials
            .iter()
            .filter(|t| theirs(t))
            .map(waits)
            .collect();
        if records.is_empty() {
            Ok(())
        } else {
            self.append(&lock, records)
        }
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
        self.record(
            json!({"op_code": operation::ATTRIBUTE, "trial_id": id, "user_attr": {key: value}}),
        )
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
        let Some(path) = &self.path else {
            return Ok(());
        };
        let mut file = File::open(path).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        let mut text = Vec::new();
        let read = file
            .seek(SeekFrom::Start(self.read))
            .and_then(|_| file.read_to_end(&mut text));
        read.map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |k| k + 1);
        for line in text[..whole]
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
        {
            let record = parse(line).ok_or_else(|| self.damaged("a line is no record"))?;
            self.apply(&record)?;
        }
        self.read += whole as u64;
        Ok(())
    }

    fn damaged(&self, what: &str) -> Error {
        Error::file(
            self.shown(),
            format!("{what}; expected a journal of a study, written by ionoscope or Optuna"),
        )
    }

    fn shown(&self) -> &Path {
        self.path
            .as_deref()
            .unwrap_or(Path::new("the study in memory"))
    }

    fn write_error(&self, source: std::io::Error) -> Error {
        Error::Write {
            path: self.shown().to_owned(),
            source,
        }
    }

    fn apply(&mut self, record: &Value) -> Result<()> {
        let number = |key: &str| record[key].as_u64().map(|v| v as usize);
        let code = record["op_code"]
            .as_u64()
            .ok_or_else(|| self.damaged("a record has no op_code"))?;
        match code {
            operation::CREATE_STUDY => {
                let name = record["study_name"]
                    .as_str()
                    .ok_or_else(|| self.damaged("a study has no name"))?
                    .to_owned();
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
                if let (Some(s), Some(more)) = (
                    number("study_id").filter(|s| *s < self.studies.len()),
                    record["user_attr"].as_object(),
                ) {
                    self.studies[s].1.extend(more.clone());
                }
            }
            operation::CREATE_TRIAL => {
                self.create(record, number("study_id").unwrap_or(usize::MAX))
            }
            operation::STUDY_SYSTEM_ATTRIBUTE
            | operation::SYSTEM_ATTRIBUTE
            | operation::DISCARD => {}
            operation::PARAMETER | operation::STATE | operation::REPORT | operation::ATTRIBUTE => {
                let index = number("trial_id").and_then(|id| self.all.get(id)?.1);
                // As in Optuna, a finished trial stays as it is.
                if let Some(trial) = index
                    .map(|k| &mut self.trials[k])
                    .filter(|t| !t.state.finished())
                {
                    change(trial, code, record);
                }
            }
            _ => {
                return Err(self.damaged(&format!(
                    "operation {code} is unknown: it was written by a newer version"
                )));
            }
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
        let mut trial = Trial {
            number: self.trials.len(),
            id,
            ..Trial::default()
        };
        let object = |key: &str| record[key].as_object().cloned().unwrap_or_default();
        for (key, inner) in object("params") {
            let distribution = &record["distributions"][&key];
            trial.values.insert(
                key,
                outer(distribution.as_str().unwrap_or_default(), &inner),
            );
        }
        trial.attributes = object("user_attrs").into_iter().collect();
        trial.reported = object("intermediate_values")
            .iter()
            .filter_map(|(s, v)| Some((s.parse().ok()?, v.as_f64()?)))
            .collect();
        trial.value = record["value"].as_f64().or(record["values"][0].as_f64());
        trial.further = record["values"].as_array().map_or(Vec::new(), |v| {
            v.iter().skip(1).filter_map(Value::as_f64).collect()
        });
        trial.state = record["state"]
            .as_u64()
            .and_then(|s| State::ALL.get(s as usize).copied())
            .unwrap_or_default();
        self.trials.push(trial);
    }

    fn append(&mut self, _lock: &Lock, records: Vec<Value>) -> Result<()> {
        let Some(path) = &self.path else {
            return records.iter().try_for_each(|r| self.apply(r));
        };
        let mut text = String::new();
        for mut record in records {
            record["worker_id"] = self.worker.clone().into();
            text += &record.to_string();
            text.push('\n');
        }
        let mut file = OpenOptions::new()
            .write(true)
            .open(path)
            .map_err(|e| self.write_error(e))?;
        let end = file.metadata().map_err(|e| self.write_error(e))?.len();
        // Everything up to `read` is whole lines, so what follows was cut short.
        if end > self.read {
            file.set_len(self.read).map_err(|e| self.write_error(e))?;
        }
        let written = file
            .seek(SeekFrom::Start(self.read))
            .and_then(|_| file.write_all(text.as_bytes()));
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
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(self.lock_path())
            .map(drop);
        match made {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            // What folders without symbolic links say; anything else is no matter of locks.
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::Unsupported
                ) =>
            {
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
            if since.elapsed() > self.stale {
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

/// A name that no other worker has.
fn worker() -> String {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    format!("{WORKER_PREFIX}{}-{random:016x}", std::process::id())
}

/// The time, in UTC, as `2026-11-27T03:41:00.123456+00:00`.
fn now() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let (seconds, micros) = (since.as_secs(), since.subsec_micros());
    let (days, of_day) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Days from the first of March of a year divisible by 400 (Hinnant, "chrono-compatible low-level date algorithms").
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (
        doy - (153 * mp + 2) / 5 + 1,
        if mp < 10 { mp + 3 } else { mp - 9 },
    );
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}+00:00",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests;

//! Runs a study: draws trials, hands them to workers, ends what is hopeless, and begins again what a worker that is no more left behind.
//!
//! A trial that is interrupted, by whatever, waits under its number until a worker takes it again, with its values, its seed and what its folder
//! holds. Draws follow numbers, and numbers do not move: what one worker tries and finds does not depend on interruptions.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use ionoscope_dynamics::watch::Watcher;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    journal::{
        Begin, Journal, NewTrial, State, Trial,
        attribute::{ALIVE, FITTED, RETRY, WORKER},
    },
    pruner::Pruner,
    sampler::Sampler,
    space::Space,
};
use crate::{Error, Result};

/// Draws after which no values within the budget are there to be found.
const MOST_DRAWS: usize = 1000;

/// A study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StudyConfig {
    /// Its name in the journal.
    pub name: String,
    /// Trials to finish; those that failed do not count.
    pub trials: usize,
    /// Seed of all trials.
    pub seed: u64,
    /// How values are drawn.
    pub sampler: Sampler,
    /// When a trial is given up, by what it reports on the way, its validation error; with several objectives none is.
    pub pruner: Pruner,
    /// What is made small: names that whoever does the trials understands.
    pub objectives: Vec<String>,
    /// Whether the first trial is the configuration as it stands.
    pub default_first: bool,
    /// Seconds without a sign after which a worker on another machine counts as gone.
    pub grace: u64,
    /// Keys of the configuration and their values.
    pub space: Space,
}

impl Default for StudyConfig {
    fn default() -> Self {
        StudyConfig {
            name: "study".into(),
            trials: 20,
            seed: 1,
            sampler: Sampler::default(),
            pruner: Pruner::default(),
            objectives: vec!["validation".into()],
            default_first: true,
            grace: 600,
            space: Space::default(),
        }
    }
}

impl StudyConfig {
    /// Checks every number and the space.
    ///
    /// # Errors
    /// Names the first that makes no sense.
    pub fn check(&self) -> Result<()> {
        if self.trials == 0 {
            return Err(Error::setting("trials", 0, "at least one"));
        }
        if self.name.is_empty() {
            return Err(Error::setting("name", "\"\"", "a name"));
        }
        let several = self
            .objectives
            .iter()
            .enumerate()
            .any(|(k, o)| self.objectives[..k].contains(o));
        if self.objectives.is_empty() || several {
            return Err(Error::setting(
                "objectives",
                format!("{:?}", self.objectives),
                "at least one, none of them twice",
            ));
        }
        self.pruner.check()?;
        self.space.check()
    }
}

/// What a trial is to try.
pub struct Suggestion<'a> {
    /// Its number.
    pub number: usize,
    /// The number under which it was first begun: its folder may hold a checkpoint.
    pub origin: usize,
    /// Values by key.
    pub values: &'a BTreeMap<String, Value>,
    /// Values that follow from these, to meet a budget.
    pub fitted: &'a BTreeMap<String, Value>,
    /// Its seed.
    pub seed: u64,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub enum TrialOutcome {
    /// With a value for each objective.
    Complete(Vec<f64>),
    /// Given up, because its reporter said so.
    Pruned,
    /// It cannot be done, with the reason.
    Failed(String),
    /// The whole study is being stopped: it is to be begun again.
    Interrupted,
}

/// What the study tells of a trial.
pub enum StudyEvent<'a> {
    /// It begins.
    Begun(&'a Trial),
    /// It ended.
    Ended(&'a Trial),
}

/// The seed of a trial: of the study's seed and the number it was first begun under, within the whole numbers of a TOML file.
pub fn seed_of(study: u64, origin: usize) -> u64 {
    use rand::RngExt;
    ionoscope_dynamics::sampling::stream(study, "seed of a trial", origin as u64).random::<u64>()
        >> 2
}

/// Values that follow from those of a trial, so that a budget is met; none where it cannot be.
pub type Fit<'a> = dyn Fn(&BTreeMap<String, Value>) -> Option<BTreeMap<String, Value>> + Sync + 'a;
/// Takes a step and a value, and says whether to go on.
pub type Reporter<'a> = &'a mut dyn FnMut(u64, f64) -> Result<bool>;
/// Does a trial.
pub type Objective<'a> = dyn Fn(&Suggestion, Reporter) -> Result<TrialOutcome> + Sync + 'a;

/// What the closures of a study do.
pub struct Work<'a> {
    /// The values of the configuration as it stands, for the first trial.
    pub defaults: BTreeMap<String, Value>,
    /// Meets the budget.
    pub fit: &'a Fit<'a>,
    /// Does a trial.
    pub objective: &'a Objective<'a>,
    /// Hears of every trial.
    pub tell: &'a (dyn Fn(StudyEvent) + Sync),
    /// Nobody else works on the study, and the journal takes no locks.
    pub alone: bool,
}

/// Works on the study in a journal, or where there is no file in memory and with one worker, with so many workers until its trials are done, alone or beside others; the trials.
///
/// # Errors
/// A configuration that makes no sense; a journal that cannot be used; a budget that nothing meets; an error of the objective.
pub fn run(
    path: Option<&Path>,
    config: &StudyConfig,
    attributes: &BTreeMap<String, Value>,
    workers: usize,
    watch: &Watcher,
    work: &Work,
) -> Result<Vec<Trial>> {
    config.check()?;
    if (work.alone || path.is_none()) && workers > 1 {
        return Err(Error::Invalid(format!(
            "{workers} workers, and a journal that only one may write; take one, with more threads"
        )));
    }
    let Some(path) = path else {
        let (mut journal, problem) = (
            Journal::in_memory(&config.name, attributes)?,
            Mutex::new(None),
        );
        worker(&mut journal, config, watch, &problem, work)?;
        return Ok(journal.into_trials());
    };
    let open = || Journal::open_as(path, &config.name, attributes, work.alone);
    abandon(&mut open()?, config)?;
    let problem = Mutex::new(None);
    std::thread::scope(|s| {
        for _ in 0..workers.max(1) {
            s.spawn(|| {
                let done = open().and_then(|mut j| worker(&mut j, config, watch, &problem, work));
                if let Err(e) = done {
                    problem
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get_or_insert(e);
                }
            });
        }
    });
    if let Some(error) = problem.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    Ok(open()?.trials().to_vec())
}

fn worker(
    journal: &mut Journal,
    config: &StudyConfig,
    watch: &Watcher,
    problem: &Mutex<Option<Error>>,
    work: &Work,
) -> Result<()> {
    let me = Me::new();
    loop {
        let broken = problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        if watch.stopped() || broken {
            return Ok(());
        }
        let Some(number) = journal.start(&config.space, |number, known| {
            next(config, number, known, &me, work)
        })?
        else {
            return Ok(());
        };
        let trial = journal.trials()[number].clone();
        (work.tell)(StudyEvent::Begun(&trial));
        let ended = attempt(journal, config, &trial, &me, work);
        if !matches!(ended, Ok(true)) {
            // It waits for whoever comes next, unless it is in other hands by now. Where the journal itself cannot be written, it is found to be left
            // behind.
            let released = journal.release(|t| me.has(t));
            if ended.is_ok() {
                released?;
            }
        }
        (work.tell)(StudyEvent::Ended(&journal.trials()[number]));
        if !ended? {
            return Ok(());
        }
    }
}

/// Does a trial; whether it came to an end of its own.
fn attempt(
    journal: &mut Journal,
    config: &StudyConfig,
    trial: &Trial,
    me: &Me,
    work: &Work,
) -> Result<bool> {
    let (number, fitted, origin) = (trial.number, trial.fitted(), trial.origin());
    let suggestion = Suggestion {
        number,
        origin,
        values: &trial.values,
        fitted: &fitted,
        seed: seed_of(config.seed, origin),
    };
    let mut report = |step: u64, value: f64| {
        journal.sync()?;
        me.check(&journal.trials()[number], config.grace)?;
        journal.report(number, step, value)?;
        journal.attribute(number, ALIVE, &json!(seconds()))?;
        let mut now = journal.trials()[number].clone();
        // What is no number is not written, and ends it all the same.
        if !value.is_finite() {
            now.reported.insert(step, value);
        }
        Ok(config.objectives.len() > 1 && value.is_finite()
            || !config.pruner.prunes(&now, journal.trials()))
    };
    let outcome = (work.objective)(&suggestion, &mut report)?;
    journal.sync()?;
    me.check(&journal.trials()[number], config.grace)?;
    match outcome {
        TrialOutcome::Complete(values) if values.len() != config.objectives.len() => {
            let count = config.objectives.len();
            return Err(Error::Failed(format!(
                "{} values of a trial; the study has {count} objectives",
                values.len()
            )));
        }
        TrialOutcome::Complete(values) if values.iter().all(|v| v.is_finite()) => {
            journal.finish(number, State::Complete, &values)?
        }
        TrialOutcome::Complete(values) => {
            journal.fail(number, &format!("its value is {values:?}"))?
        }
        TrialOutcome::Pruned => {
            let last: Vec<f64> = journal.trials()[number]
                .last()
                .map(|l| l.1)
                .into_iter()
                .collect();
            journal.finish(number, State::Pruned, &last)?;
        }
        TrialOutcome::Failed(reason) => journal.fail(number, &reason)?,
        TrialOutcome::Interrupted => return Ok(false),
    }
    Ok(true)
}

/// The next trial, if there is one.
fn next(
    config: &StudyConfig,
    number: usize,
    known: &[Trial],
    me: &Me,
    work: &Work,
) -> Result<Option<Begin>> {
    let mut attributes = BTreeMap::from([
        (WORKER.to_owned(), me.0.clone()),
        (ALIVE.to_owned(), json!(seconds())),
    ]);
    // What was left behind comes first. What waits without a worker's name was put there by Optuna, for its own.
    if let Some(left) = known
        .iter()
        .find(|t| t.state == State::Waiting && t.attributes.contains_key(WORKER))
    {
        return Ok(Some(Begin::Again {
            number: left.number,
            attributes,
        }));
    }
    let counts = |t: &&Trial| t.state != State::Failed;
    if known.iter().filter(counts).count() >= config.trials {
        return Ok(None);
    }
    // Older versions ended what was left behind, and began it again under another number.
    let open = |t: &&Trial| {
        t.left_behind()
            && !known.iter().any(|u| {
                u.number > t.number && u.attributes.contains_key(RETRY) && u.origin() == t.origin()
            })
    };
    if let Some(left) = known.iter().find(open) {
        attributes.insert(RETRY.into(), json!(left.origin()));
        attributes.extend(
            left.attributes
                .get(FITTED)
                .map(|f| (FITTED.to_owned(), f.clone())),
        );
        return Ok(Some(Begin::New(NewTrial {
            values: left.values.clone(),
            attributes,
        })));
    }
    // Failures that would come again and again end the study.
    let failed = known
        .iter()
        .filter(|t| t.state == State::Failed && !t.left_behind())
        .count();
    if failed >= 10 * config.trials + 10 {
        return Err(Error::Failed(format!(
            "{failed} of {} trials failed; see what 'problem' says of them in the journal",
            known.len()
        )));
    }
    for draw in 0..MOST_DRAWS {
        // A rejected draw is replaced by one of another stream, so that it does not move those of later trials.
        let seed = if draw == 0 {
            config.seed
        } else {
            seed_of(config.seed ^ draw as u64, number)
        };
        let mut values = config.sampler.sample(&config.space, seed, number, known);
        if number == 0 && config.default_first && draw == 0 {
            let fits = |(k, v): &(&String, &Value)| {
                values.contains_key(*k) && config.space.0[*k].domain.inner(v).is_some()
            };
            let first: Vec<(String, Value)> = work
                .defaults
                .iter()
                .filter(fits)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            values.extend(first);
            // Conditions may hold otherwise now.
            let there: Vec<String> = values
                .keys()
                .filter(|k| config.space.applies(k, &values))
                .cloned()
                .collect();
            values.retain(|k, _| there.contains(k));
        }
        if let Some(fitted) = (work.fit)(&values) {
            if !fitted.is_empty() {
                attributes.insert(FITTED.into(), json!(fitted));
            }
            return Ok(Some(Begin::New(NewTrial { values, attributes })));
        }
    }
    Err(Error::Invalid(format!(
        "{MOST_DRAWS} draws in a row could not meet the budget; widen the space or the budget"
    )))
}

/// Lets go of what workers that are no more have left running.
fn abandon(journal: &mut Journal, config: &StudyConfig) -> Result<()> {
    journal.release(|t| {
        t.state == State::Running
            && t.attributes
                .get(WORKER)
                .is_some_and(|w| !lives(w, t, config.grace))
    })
}

fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Workers of this process that are at work.
static WORKERS: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

fn workers() -> std::sync::MutexGuard<'static, BTreeSet<u64>> {
    WORKERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A worker, as its trials name it, so that others can tell whether it is still there.
struct Me(Value);

impl Me {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        workers().insert(number);
        let pid = std::process::id();
        Me(json!({"host": host(), "pid": pid, "began": began(pid), "worker": number}))
    }

    /// Whether a trial is this one's to go on with.
    fn has(&self, trial: &Trial) -> bool {
        trial.state == State::Running && trial.attributes.get(WORKER) == Some(&self.0)
    }

    fn check(&self, trial: &Trial, grace: u64) -> Result<()> {
        if self.has(trial) {
            return Ok(());
        }
        Err(Error::Failed(format!(
            "trial {} is in other hands, since nothing was heard of this worker for {grace} seconds; raise grace where an epoch takes longer",
            trial.number
        )))
    }
}

impl Drop for Me {
    fn drop(&mut self) {
        workers().retain(|n| self.0["worker"] != *n);
    }
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// When a process began, in ticks since the machine did: its number alone may be given again.
fn began(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

fn lives(worker: &Value, trial: &Trial, grace: u64) -> bool {
    let same_host =
        worker["host"].as_str() == Some(&host()) && Path::new("/proc/self/stat").exists();
    match worker["pid"].as_u64().filter(|_| same_host) {
        Some(pid) => {
            let there =
                began(pid as u32).is_some() && began(pid as u32) == worker["began"].as_u64();
            // Of this very process: a worker that has ended.
            there
                && (pid != u64::from(std::process::id())
                    || worker["worker"]
                        .as_u64()
                        .is_none_or(|n| workers().contains(&n)))
        }
        None => trial
            .attributes
            .get(ALIVE)
            .and_then(Value::as_u64)
            .is_some_and(|t| seconds().saturating_sub(t) < grace),
    }
}

#[cfg(test)]
mod tests;

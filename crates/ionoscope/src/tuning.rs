//! Tuning: what a trial is, what it costs, and what is kept of a study.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use ionoscope_dynamics::watch::{StopFlag, Watcher};
use ionoscope_learn::{
    train::{Device, Ending, Existing, Record},
    tune::{
        Reporter, StudyEvent, Suggestion, TrialOutcome, Work,
        journal::{Journal, State, Trial},
        run, seed_of,
    },
};
use serde_json::{Value, json};

use objective::Objective;

use crate::{
    Error, Result, artifact,
    config::AnyConfiguration,
    pipeline::{self, Data, Learned, TrainingOptions},
};

mod budget;
mod limits;
pub mod objective;
mod ranking;
mod report;
mod study_file;

pub use limits::{Budget, Cost};
pub use ranking::{best, front};
pub use study_file::{StudyFile, load_study, parse_study};

/// The journal's name in a study's folder.
pub const JOURNAL: &str = "journal.log";

/// A study in its folder.
pub struct Tuning<'a> {
    /// Its file.
    pub file: &'a StudyFile,
    /// Its folder.
    pub dir: &'a Path,
    /// Trials at once; the threads are shared out among them.
    pub workers: usize,
    /// Told how far it is, and may stop it, with checkpoints.
    pub watch: Watcher,
    /// Nobody else works on the study: no locks are taken.
    pub single_writer: bool,
}

/// Trains what a configuration says; from the checkpoint in the folder, if there is one, whose records `before` is told of.
fn train(
    configuration: &AnyConfiguration,
    data: &Data,
    folder: Option<&Path>,
    watch: Watcher,
    before: &mut (dyn FnMut(&[Record]) + Send),
    progress: &mut (dyn FnMut(&Record) + Send),
) -> Result<Learned> {
    let (existing, checkpoint_every) = (Existing::Resume, Duration::from_secs(30));
    let how = TrainingOptions {
        folder,
        existing,
        from: None,
        time_limit: None,
        checkpoint_every,
        watch,
        device: Device::Cpu,
    };
    pipeline::learn_again(configuration, data, &how, before, progress)
}

/// The mean validation error of a record that has one, with its epoch.
fn validated(record: &Record) -> Option<(u64, f64)> {
    let Record::Adam(r) = record else { return None };
    r.validation
        .as_ref()
        .map(|v| (r.epoch, v.iter().sum::<f64>() / v.len() as f64))
}

/// What a training asks of the one who reports: an epoch with its error, whether a "no" ends the trial, and where the answer is awaited.
type Question = (u64, f64, bool, std::sync::mpsc::Sender<bool>);

fn ask(
    send: &std::sync::mpsc::Sender<Question>,
    (epoch, error): (u64, f64),
    binding: bool,
) -> bool {
    let (answer, wait) = std::sync::mpsc::channel();
    send.send((epoch, error, binding, answer)).is_ok() && wait.recv().unwrap_or(false)
}

/// What a rerun found.
pub struct Rerun {
    /// The surrogate that it made.
    pub surrogate: PathBuf,
    /// Its first objective, and that in the journal.
    pub values: [Option<f64>; 2],
    /// Whether it is the trial's surrogate to the bit; none where that is no longer there.
    pub same: Option<bool>,
}

impl Tuning<'_> {
    /// What stands in the journal of the study itself: another study of its name must agree with it.
    fn attributes(&self) -> Result<BTreeMap<String, Value>> {
        let study = &self.file.study;
        let mut about = BTreeMap::from([
            ("space".to_owned(), json!(study.space)),
            ("seed".to_owned(), json!(study.seed)),
        ]);
        about.insert("configuration".into(), json!(self.file.configuration(&[])?));
        about.insert("budget".into(), json!(self.file.budget));
        about.insert("objectives".into(), json!(study.objectives));
        Ok(about)
    }

    /// The configuration of a trial.
    fn configuration(
        &self,
        values: &BTreeMap<String, Value>,
        fitted: &BTreeMap<String, Value>,
        seed: u64,
    ) -> Result<AnyConfiguration> {
        let all: Vec<(String, Value)> = values
            .iter()
            .chain(fitted)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let mut configuration = self.file.configuration(&all)?;
        configuration.set_training_seed(seed);
        Ok(configuration)
    }

    /// Works on the study until its trials are done; all trials.
    ///
    /// # Errors
    /// Data that cannot be made, a budget that nothing meets, a journal or a training that fails; an interruption.
    pub fn run(&self) -> Result<Vec<Trial>> {
        artifact::check_folder(self.dir)?;
        std::fs::create_dir_all(self.dir.join("trials")).map_err(|e| Error::write(self.dir, e))?;
        // Unless the space says how the data are made, they are the same for all.
        let own_data = self
            .file
            .study
            .space
            .0
            .keys()
            .any(|k| k.starts_with("responses.") || k.starts_with("dataset."));
        let base = self.file.configuration(&[])?;
        let common = (!own_data).then(|| self.data(&base)).transpose()?;
        let spec = budget::spec(&base)?;
        let objectives = self.objectives(&base)?;
        let threads = (rayon::current_num_threads() / self.workers.max(1)).max(1);
        // Costs are measured on as many threads as a trial has.
        let measuring = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let measuring =
            measuring.map_err(|e| Error::Failed(format!("no threads for a trial: {e}")))?;
        let fit = |values: &BTreeMap<String, Value>| {
            let whole =
                |fitted: &BTreeMap<String, Value>| self.configuration(values, fitted, 0).ok();
            measuring
                .install(|| budget::fit(self.file.budget.as_ref(), &spec, whole))
                .ok()
                .flatten()
        };
        let objective =
            |s: &Suggestion, report: Reporter| -> ionoscope_learn::Result<TrialOutcome> {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                let pool = pool.map_err(|e| {
                    ionoscope_learn::Error::Failed(format!("no threads for a trial: {e}"))
                })?;
                self.trial(s, common.as_ref(), &objectives, report, &pool)
            };
        let tell = |told: StudyEvent| self.watch.tell(&line(&told));
        let work = Work {
            defaults: self.file.defaults()?,
            fit: &fit,
            objective: &objective,
            tell: &tell,
            alone: self.single_writer,
        };
        let trials = run(
            Some(&self.dir.join(JOURNAL)),
            &self.file.study,
            &self.attributes()?,
            self.workers,
            &self.watch,
            &work,
        )?;
        if self.watch.stopped() {
            return Err(Error::Failed(
                "interrupted; the same command with --resume goes on from here".into(),
            ));
        }
        self.keep(&trials)?;
        Ok(trials)
    }

    fn data(&self, configuration: &AnyConfiguration) -> Result<Data> {
        pipeline::make(configuration, &self.watch)
    }

    fn trial(
        &self,
        s: &Suggestion,
        common: Option<&Data>,
        objectives: &[Objective],
        report: Reporter,
        pool: &rayon::ThreadPool,
    ) -> ionoscope_learn::Result<TrialOutcome> {
        let failed = |e: Error| ionoscope_learn::Error::Failed(e.to_string());
        let configuration = self
            .configuration(s.values, s.fitted, s.seed)
            .map_err(failed)?;
        let own = match common {
            Some(_) => None,
            None => Some(self.data(&configuration).map_err(failed)?),
        };
        let Some(data) = common.or(own.as_ref()) else {
            return Ok(TrialOutcome::Interrupted);
        };
        let configuration = &configuration;
        let dir = self.folder(s.origin);
        std::fs::create_dir_all(&dir).map_err(|e| failed(Error::write(&dir, e)))?;
        pipeline::write_configuration(&dir.join("config.toml"), configuration).map_err(failed)?;
        let flag = StopFlag::default();
        let (mut pruned, mut problem) = (false, None);
        // The reporter stays on this thread; the training asks it, and waits for the answer.
        let (send, receive) = std::sync::mpsc::channel::<Question>();
        let trained = std::thread::scope(|scope| {
            let (watch, dir) = (self.watch.silent_or(flag.clone()), &dir);
            let training = scope.spawn(move || {
                let (raised, raised_before, send_before) = (flag.clone(), flag, send.clone());
                // What was reported before an interruption is reported again, so that the trial and those after it are judged as without one. That
                // it went on after all but the last of these is decided; whether it does after the last may not have been heard.
                let mut before = move |records: &[Record]| {
                    let last = records
                        .iter()
                        .rposition(|r| matches!(r, Record::Adam(_) | Record::SecondOrder(_)));
                    for (k, error) in records
                        .iter()
                        .enumerate()
                        .filter_map(|(k, r)| Some((k, validated(r)?)))
                    {
                        let binding = Some(k) == last;
                        if !ask(&send_before, error, binding) && binding {
                            raised_before.raise();
                        }
                    }
                };
                let mut progress = move |record: &Record| {
                    let go_on = validated(record).is_none_or(|error| ask(&send, error, true));
                    if !go_on {
                        raised.raise();
                    }
                };
                pool.install(|| {
                    train(
                        configuration,
                        data,
                        Some(dir),
                        watch,
                        &mut before,
                        &mut progress,
                    )
                })
            });
            for (epoch, value, binding, answer) in receive {
                let go_on = report(epoch, value).unwrap_or_else(|e| {
                    problem = Some(e);
                    false
                });
                pruned |= !go_on && binding && problem.is_none();
                let _ = answer.send(go_on);
            }
            training.join()
        });
        if let Some(problem) = problem {
            return Err(problem);
        }
        let trained = match trained {
            Ok(Ok(trained)) => trained,
            // A disk that is full, files that cannot be opened: no fault of the trial, which is done when that is mended.
            Ok(Err(e)) if e.is_of_files() => {
                return Err(failed(Error::Failed(format!(
                    "trial {} stopped, and the study with it: {e}; when that is mended, the same command with --resume goes on from here",
                    s.number
                ))));
            }
            // A loss that is no longer finite, a network too large for the grid: this trial's fault alone.
            Ok(Err(e)) => return Ok(TrialOutcome::Failed(e.to_string())),
            Err(_) => return Ok(TrialOutcome::Failed("the training panicked".into())),
        };
        trained
            .surrogate
            .save(&dir.join("surrogate.safetensors"))
            .map_err(failed)?;
        Ok(match trained.ending {
            _ if pruned => TrialOutcome::Pruned,
            Ending::Interrupted => TrialOutcome::Interrupted,
            _ => match pool
                .install(|| objective::measure(objectives, configuration, data, &trained))
            {
                Ok(values) => TrialOutcome::Complete(values),
                Err(e) => TrialOutcome::Failed(e.to_string()),
            },
        })
    }

    fn objectives(&self, configuration: &AnyConfiguration) -> Result<Vec<Objective>> {
        self.file
            .study
            .objectives
            .iter()
            .map(|name| Objective::find(name, configuration))
            .collect()
    }

    fn folder(&self, origin: usize) -> PathBuf {
        self.dir.join("trials").join(format!("{origin:04}"))
    }

    /// The best configuration, ready for `train`, a table of all trials, and the report.
    fn keep(&self, trials: &[Trial]) -> Result<()> {
        let Some(best) = best(trials) else {
            // The last of several workers has more to say.
            return match trials.iter().any(|t| t.state == State::Running) {
                true => Ok(()),
                false => Err(Error::Failed(
                    "no trial was completed; see what 'problem' says of them in the journal".into(),
                )),
            };
        };
        let fitted = best.fitted();
        let configuration = self.configuration(
            &best.values,
            &fitted,
            seed_of(self.file.study.seed, best.origin()),
        )?;
        pipeline::write_configuration(&self.dir.join("best.toml"), &configuration)?;
        if self.file.study.objectives.len() > 1 {
            let folder = self.dir.join("front");
            std::fs::create_dir_all(&folder).map_err(|e| Error::write(&folder, e))?;
            for t in front(trials) {
                let configuration = self.configuration(
                    &t.values,
                    &t.fitted(),
                    seed_of(self.file.study.seed, t.origin()),
                )?;
                pipeline::write_configuration(
                    &folder.join(format!("{:04}.toml", t.number)),
                    &configuration,
                )?;
            }
        }
        let keys: Vec<&String> = self.file.study.space.0.keys().collect();
        let solved = self.file.budget.as_ref().and_then(|b| b.solve.clone());
        let objectives = &self.file.study.objectives;
        let cell = |v: Option<&Value>| {
            v.map_or(String::new(), |v| {
                v.as_str().map_or_else(|| v.to_string(), str::to_owned)
            })
        };
        let row = |t: &Trial| {
            let values = keys.iter().map(|k| cell(t.values.get(*k)));
            let more = solved.iter().map(|k| cell(t.fitted().get(k)));
            // As in the report: of a given-up trial only the validation error is known.
            let measured = t.state == State::Complete || objectives[0] == "validation";
            let found = (0..objectives.len()).map(|k| {
                t.objectives()
                    .get(k)
                    .filter(|_| measured)
                    .map_or(String::new(), f64::to_string)
            });
            let state = format!("{:?}", t.state).to_lowercase();
            [t.number.to_string(), state]
                .into_iter()
                .chain(found)
                .chain(values)
                .chain(more)
                .collect::<Vec<_>>()
                .join(",")
        };
        let header = ["trial", "state"]
            .into_iter()
            .chain(objectives.iter().map(String::as_str));
        let header = header
            .chain(keys.iter().map(|k| k.as_str()))
            .chain(solved.as_deref());
        let mut text = header.collect::<Vec<_>>().join(",") + "\n";
        trials.iter().for_each(|t| text += &(row(t) + "\n"));
        artifact::write_atomic(&self.dir.join("trials.csv"), |w| {
            w.write_all(text.as_bytes())
        })?;
        report::write(self.dir, self.file, trials)
    }

    /// Trains a trial again, from its values and seed in the journal.
    ///
    /// # Errors
    /// No such trial; a training that fails.
    pub fn rerun(&self, number: usize) -> Result<Rerun> {
        let path = self.dir.join(JOURNAL);
        if !path.is_file() {
            return Err(Error::Input(format!(
                "{} has no {JOURNAL}; give the folder of a study",
                self.dir.display()
            )));
        }
        let journal = Journal::open_as(
            &path,
            &self.file.study.name,
            &self.attributes()?,
            self.single_writer,
        )?;
        let Some(trial) = journal.trials().get(number) else {
            return Err(Error::Input(format!(
                "the study has {} trials, from 0; there is no trial {number}",
                journal.trials().len()
            )));
        };
        let configuration = self.configuration(
            &trial.values,
            &trial.fitted(),
            seed_of(self.file.study.seed, trial.origin()),
        )?;
        let data = self.data(&configuration)?;
        // A trial that was given up is trained as far as it came.
        let last = trial.last().map_or(u64::MAX, |l| l.0);
        let flag = StopFlag::default();
        let mut progress = |record: &Record| {
            if matches!(record, Record::Adam(r) if trial.state == State::Pruned && r.epoch >= last)
            {
                flag.raise();
            }
        };
        let trained = train(
            &configuration,
            &data,
            None,
            self.watch.silent_or(flag.clone()),
            &mut |_| (),
            &mut progress,
        )?;
        let first = &self.objectives(&configuration)?[..1];
        if self.watch.stopped() {
            return Err(Error::Failed("interrupted; nothing was written".into()));
        }
        let dir = self.dir.join("reruns");
        std::fs::create_dir_all(&dir).map_err(|e| Error::write(&dir, e))?;
        let surrogate = dir.join(format!("{number:04}.safetensors"));
        trained.surrogate.save(&surrogate)?;
        let before = std::fs::read(self.folder(trial.origin()).join("surrogate.safetensors")).ok();
        let same = before.and_then(|bytes| Some(bytes == std::fs::read(&surrogate).ok()?));
        // One that was given up was measured on its way only.
        let value = if trial.state == State::Pruned {
            trained.value()
        } else {
            Some(objective::measure(first, &configuration, &data, &trained)?[0])
        };
        Ok(Rerun {
            surrogate,
            values: [value, trial.value],
            same,
        })
    }
}

/// A line for people.
fn line(told: &StudyEvent) -> String {
    let values = |t: &Trial| {
        let fitted = t.fitted();
        let all = t.values.iter().chain(&fitted);
        all.map(|(k, v)| format!("{}={v}", k.rsplit('.').next().unwrap_or(k)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    match told {
        StudyEvent::Begun(t) => format!("trial {}: {}", t.number, values(t)),
        StudyEvent::Ended(t) => {
            let value = t.value.map_or(String::new(), |v| format!(", {v:.5}"));
            let problem = t.problem().map_or(String::new(), |p| format!(": {p}"));
            format!(
                "trial {}: {}{value}{problem}",
                t.number,
                format!("{:?}", t.state).to_lowercase()
            )
        }
    }
}

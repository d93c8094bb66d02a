//! `ionoscope tune`: the best configuration of a space, found by trying.

use std::path::PathBuf;

use ionoscope_learn::tune::journal::{State, Trial};
use serde_json::{Value, json};

use super::shared::{Shared, print, print_json};
use ionoscope::{
    Error, Result,
    shard::has_rank,
    text::{short, write_cells},
    tuning::{JOURNAL, StudyFile, Tuning, best, front, load_study},
};

/// Trials in the table at the end.
const SHOWN: usize = 10;

/// Searches for good hyperparameters of a Fourier neural operator, freely or under an exact budget of weights
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  ionoscope tune examples/tune-fhn-quick.toml -o out/tune\n  \
                        ionoscope tune examples/tune-fhn-quick.toml --set trials=40 --workers 2 --resume -o out/tune\n  \
                        ionoscope tune examples/tune-fhn-quick.toml --rerun 3 -o out/tune\n\n\
                        Optuna opens the study: optuna.load_study(study_name=\"study\", storage=JournalStorage(JournalFileBackend(\"out/tune/journal.log\")))"
)]
pub struct Arguments {
    /// The study (TOML): trials, sampler, [pruner], [space], perhaps [budget], and the sections [responses] and [operator] that are tuned
    #[arg(value_name = "STUDY.toml")]
    study: PathBuf,
    /// Replaces one value of the file, such as trials=40; may be repeated
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    changes: Vec<String>,
    /// Seed of the study, in place of the file's
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Trials at once, which share the threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024), allow_negative_numbers = true)]
    workers: u16,
    /// Go on with the folder's study, or join others that work on it; understood where a scheduler says that this is one of several
    #[arg(long)]
    resume: bool,
    /// Train this trial of the folder's study again, and say whether it comes out the same
    #[arg(long, value_name = "TRIAL", conflicts_with = "resume")]
    rerun: Option<usize>,
    /// Take no locks, where a folder has none that work: nobody else may work on the study then
    #[arg(long, conflicts_with = "workers")]
    single_writer: bool,
    /// Folder of the study; made if it is not there
    #[arg(short, long = "output", value_name = "DIR")]
    output: PathBuf,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let mut file = load_study(&self.study, &self.changes)?;
        file.study.seed = self.seed.unwrap_or(file.study.seed);
        let journal = self.output.join(JOURNAL);
        // One of several workers that a scheduler started together: whoever comes first begins the study.
        if journal.exists() && !self.resume && !has_rank() && self.rerun.is_none() {
            return Err(Error::Input(format!(
                "{} holds a study already; --resume goes on with it, or choose another folder",
                self.output.display()
            )));
        }
        let tuning = Tuning {
            file: &file,
            dir: &self.output,
            workers: usize::from(self.workers),
            watch: shared.watch.clone(),
            single_writer: self.single_writer,
        };
        if let Some(number) = self.rerun {
            return rerun(&tuning, number, shared);
        }
        let trials = tuning.run()?;
        let Some(best) = best(&trials) else {
            shared.tell("nothing is left to begin, and others are still at work");
            return Ok(());
        };
        if shared.json {
            return print_json(&json!({
                "journal": journal,
                "best": {"trial": best.number, "value": best.value, "values": best.values, "configuration": self.output.join("best.toml")},
                "objectives": file.study.objectives,
                "front": (file.study.objectives.len() > 1).then(|| front(&trials).iter().map(|t| t.number).collect::<Vec<_>>()),
                "trials": trials.iter().map(document).collect::<Vec<_>>(),
            }));
        }
        let rows = rows(&file, &trials);
        let count = |state: State| trials.iter().filter(|t| t.state == state).count();
        let objectives = &file.study.objectives;
        print(|w| {
            write_cells(w, &rows)?;
            writeln!(
                w,
                "\n{} complete, {} given up early, {} failed; the best configuration{} is {}",
                count(State::Complete),
                count(State::Pruned),
                count(State::Failed),
                if objectives.len() > 1 {
                    format!(" by {}", objectives[0])
                } else {
                    String::new()
                },
                self.output.join("best.toml").display()
            )
        })
    }
}

/// Trains a trial again, and says whether it comes out the same.
fn rerun(tuning: &Tuning, number: usize, shared: &Shared) -> Result<()> {
    let again = tuning.rerun(number)?;
    let same = again.same;
    if shared.json {
        print_json(
            &json!({"surrogate": again.surrogate, "value": again.values[0], "value_in_the_journal": again.values[1], "same": same}),
        )?;
    } else {
        let text = |v: Option<f64>| v.map_or("-".into(), |v| v.to_string());
        let word = match same {
            Some(true) => "the same to the bit",
            Some(false) => "not the same",
            None => "the trial's own surrogate is no longer there",
        };
        print(|w| {
            writeln!(
                w,
                "{}: {word}; value {}, in the journal {}",
                again.surrogate.display(),
                text(again.values[0]),
                text(again.values[1])
            )
        })?;
    }
    match same {
        Some(false) => Err(Error::Failed("the rerun differs from the trial".into())),
        _ => Ok(()),
    }
}

/// The best trials as a table with a header: of several objectives the front.
fn rows(file: &StudyFile, trials: &[Trial]) -> Vec<Vec<String>> {
    let objectives = &file.study.objectives;
    let done = if objectives.len() > 1 {
        front(trials)
    } else {
        let mut done: Vec<&Trial> = trials
            .iter()
            .filter(|t| t.state == State::Complete)
            .collect();
        let value = |t: &Trial| t.value.unwrap_or(f64::INFINITY);
        done.sort_by(|a, b| value(a).total_cmp(&value(b)));
        done
    };
    let keys: Vec<&String> = file.study.space.0.keys().collect();
    let last = |k: &str| k.rsplit('.').next().unwrap_or(k).to_owned();
    let header = ["trial".to_owned()]
        .into_iter()
        .chain(objectives.iter().cloned())
        .chain(keys.iter().map(|k| last(k)));
    let mut rows = vec![header.collect::<Vec<_>>()];
    for t in done.iter().take(SHOWN) {
        let value = |k: &&String| {
            t.values.get(*k).map_or(String::new(), |v| {
                // Whole numbers are shown whole.
                let plain = || v.as_str().map_or(v.to_string(), str::to_owned);
                v.as_f64()
                    .filter(|_| !v.is_i64() && !v.is_u64())
                    .map_or_else(plain, short)
            })
        };
        let found = t.objectives().into_iter().map(short);
        rows.push(
            [t.number.to_string()]
                .into_iter()
                .chain(found)
                .chain(keys.iter().map(value))
                .collect(),
        );
    }
    rows
}

fn document(t: &Trial) -> Value {
    json!({
        "trial": t.number,
        "state": format!("{:?}", t.state).to_lowercase(),
        "value": t.value,
        "objectives": t.objectives(),
        "values": t.values,
        "fitted": (!t.fitted().is_empty()).then(|| t.fitted()),
        "reported": t.reported,
        "problem": t.problem(),
    })
}

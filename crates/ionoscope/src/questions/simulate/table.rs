//! Many experiments: one trajectory for each row of a table, into one file of arrays.

use std::path::Path;

use ionoscope_analysis::step_errors::{StepErrors, step_errors};
use ionoscope_dynamics::{
    Error as DynamicsError,
    trajectory::{Experiment, Method, SolveOptions},
    watch::Watcher,
};
use serde_json::{Value, json};

use super::{Simulate, extend, told_errors};
use crate::{
    Error, Result,
    answer::Answer,
    arrays::{
        Layout, Precision,
        zarr::{self, Existing},
    },
    artifact,
    batch::{Job, Output, Summary, changed, chunk_for},
    experiments::{Reader, survey},
    shard::Shard,
    subject::Subject,
};

/// Experiments of a table from which the error of a method without error control is judged.
const HALVED: usize = 16;

/// A table of experiments, and the file of their trajectories.
#[derive(Debug, Clone)]
pub struct Files<'a> {
    /// The table: a CSV file with a row an experiment.
    pub table: &'a Path,
    /// The file to write: .npz, .zarr or .parquet.
    pub output: &'a Path,
    /// Width of the states in it.
    pub precision: Precision,
    /// Whether to go on with an unfinished .zarr.
    pub resume: bool,
    /// Which chunks of a .zarr to do, beside others that do the rest.
    pub shard: Option<Shard>,
    /// Experiments a chunk.
    pub chunk: Option<usize>,
}

impl Files<'_> {
    /// What happens to a file that is there already.
    ///
    /// # Errors
    /// What only a .zarr can do, asked of another kind; a name that cannot be written.
    fn existing(&self) -> Result<Existing> {
        let is_zarr = self
            .output
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("zarr"));
        let wrong = |message: &str| Err(Error::Input(message.into()));
        match (self.resume, self.shard.is_some(), is_zarr) {
            (_, true, false) => {
                return wrong("--shard is for .zarr; other files are written by one process");
            }
            (true, _, false) => {
                return wrong("--resume is for .zarr; other files are written whole or not at all");
            }
            (_, _, false) => artifact::check_destination(self.output)?,
            _ => artifact::check_folder(self.output.parent().unwrap_or(Path::new("")))?,
        }
        Ok(match (self.resume, self.shard.is_some()) {
            (_, true) => Existing::Share,
            (true, _) => Existing::Resume,
            _ => Existing::Refuse,
        })
    }
}

impl Simulate {
    /// Runs all experiments of a table. The document of the answer is the description of the file.
    ///
    /// # Errors
    /// Options that make no sense; a wrong row, by its line; an interruption, with what was kept.
    pub fn run_table(&self, subject: &Subject, files: &Files, watch: &Watcher) -> Result<Answer> {
        if self.pace.is_some() {
            return Err(Error::Input(
                "--pace is for one trajectory; leave it out, or --experiments".into(),
            ));
        }
        let existing = files.existing()?;
        let simulator = self.simulator(subject)?;
        let (base, mut options) = self.experiment(subject, &*simulator)?;
        let survey = survey(files.table, &*simulator, &base, &options, self.extrapolate)?;
        let layout = Layout::new(simulator.spec(), base.times, survey.rows, files.precision);
        let chunk = files
            .chunk
            .map_or_else(|| chunk_for(&layout), |n| n.min(survey.rows));
        let mut document = self.configuration(subject, &base, &options);
        let more = json!({
            "precision": files.precision,
            "system_hash": subject.hash,
            "experiments": {"file": files.table, "hash": survey.hash, "rows": survey.rows, "columns": survey.columns},
            "chunk": chunk,
        });
        extend(&mut document, more);
        if existing != Existing::Refuse && zarr::is_complete(files.output, &document)? {
            watch.tell(&format!("{} is complete", files.output.display()));
            return Ok(Answer::new(document));
        }
        let output = Output::create(files.output, &layout, chunk, &document, existing)?;
        options.watch = watch.clone();
        let job = Job {
            simulator: &*simulator,
            base: &base,
            table: files.table,
            survey: &survey,
            options: &options,
            layout: &layout,
            chunk,
            shard: files.shard,
        };
        let (output, summary) = job.run(output).map_err(|e| interrupted(e, files.output))?;
        let configuration = document.clone();
        extend(&mut document, json!({"result": summary}));
        if let Some(Shard { index, of }) = files.shard {
            watch.tell(&format!(
                "shard {index} of {of} is done; when all are, the same command with --resume in place of --shard completes the file"
            ));
            extend(&mut document, json!({"shard": [index, of]}));
            return Ok(complaining(document, &summary));
        }
        options.watch = watch.silent();
        let few = Few {
            table: files.table,
            hash: &survey.hash,
            base: &base,
        };
        extend(&mut document, few.errors(subject, &options, watch)?);
        if let Some(file) = output.finish(&configuration, &summary)? {
            let beside = artifact::describe(&file, &document)?;
            file.commit()?;
            beside.commit()?;
        }
        Ok(complaining(document, &summary))
    }
}

/// The first experiments of a table: all of them would make a batch many times as long.
struct Few<'a> {
    table: &'a Path,
    hash: &'a str,
    base: &'a Experiment,
}

impl Few<'_> {
    /// How far the steps of a method without error control are off.
    fn errors(&self, subject: &Subject, options: &SolveOptions, watch: &Watcher) -> Result<Value> {
        let Some(system) = subject.simulator.system() else {
            return Ok(json!({}));
        };
        let mut few = Vec::new();
        if options.method == Method::RushLarsen {
            let mut reader = Reader::open(self.table, system.spec(), self.base)?;
            while few.len() < HALVED
                && let Some(experiment) = reader.read()?
            {
                few.push(experiment);
            }
        }
        let errors: Option<StepErrors> =
            watch.unless_stopped(step_errors(system, &few, options))?;
        // The table was read once more for that.
        if errors.is_some() && artifact::fingerprint(self.table)? != self.hash {
            return Err(changed(self.table));
        }
        told_errors(subject, errors, few.len(), watch)
    }
}

fn interrupted(error: Error, output: &Path) -> Error {
    let path = output.display();
    match error {
        Error::Dynamics(DynamicsError::Interrupted)
            if output.extension().is_some_and(|e| e == "zarr") =>
        {
            Error::Failed(format!(
                "interrupted; the chunks that are written are kept, and --resume goes on with {path}"
            ))
        }
        Error::Dynamics(DynamicsError::Interrupted) => Error::Failed(format!(
            "interrupted; nothing of {path} was kept; a .zarr can be resumed"
        )),
        error => error,
    }
}

/// The answer, with what the batch says against itself.
fn complaining(document: Value, summary: &Summary) -> Answer {
    let mut answer = Answer::new(document);
    let all = summary.experiments;
    let (failed, reasons) = summary.failures();
    if failed > 0 {
        answer.warnings.push(format!(
            "{failed} of {all} experiments stopped early ({reasons}); their states from there on are NaN"
        ));
    }
    if summary.extrapolated > 0 {
        answer.warnings.push(format!(
            "{} of {all} experiments went outside the training range (of state, parameters or stimulus)",
            summary.extrapolated
        ));
    }
    answer
}

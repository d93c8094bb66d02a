//! `ionoscope simulate --experiments`: one trajectory for each row of a table, into one file of arrays.

use std::path::{Path, PathBuf};

use ionoscope_dynamics::{
    Error as DynamicsError,
    system::DynamicalSystem,
    trajectory::{Experiment, Method, SolveOptions},
};
use serde_json::{Value, json};

use super::{Arguments, check_format, ends_with, extend};
use crate::{
    Error, Result,
    arrays::zarr::{self, Existing},
    artifact,
    batch::{Job, Output, Summary, changed, chunk_for, layout},
    cli::{Shared, print_json},
    experiments::{Reader, survey},
    shard::Shard,
};

/// Experiments of a table from which the error of a method without error control is judged.
const HALVED: usize = 16;

/// What only a table of experiments needs.
#[derive(clap::Args, Debug)]
pub struct BatchArguments {
    /// Table with one row an experiment; its columns replace --x0, --param and --stimulus
    #[arg(long, value_name = "FILE.csv", requires = "output")]
    pub experiments: Option<PathBuf>,
    /// Go on with an unfinished .zarr, which holds what was written before an interruption
    #[arg(long, requires = "experiments")]
    pub(super) resume: bool,
    /// Do the chunks k with k mod N = K of a .zarr, beside others that do the rest: K/N, or `rank` for what a scheduler says; the same command with
    /// --resume in its place then completes the file
    #[arg(
        long,
        value_name = "K/N|rank",
        requires = "experiments",
        conflicts_with = "resume"
    )]
    pub(super) shard: Option<String>,
    /// Experiments a chunk of a .zarr or a group of rows of a .parquet [default: about 32 MiB of states]
    #[arg(long, value_name = "N", requires = "experiments", value_parser = clap::value_parser!(u64).range(1..=1 << 24), allow_negative_numbers = true)]
    pub(super) chunk: Option<u64>,
}

impl Arguments {
    pub(super) fn run_batch(&self, table: &Path, shared: &Shared) -> Result<()> {
        self.no_bands()?;
        let Some(path) = &self.output else {
            return Err(Error::Input(
                "--experiments needs a file to write, -o FILE".into(),
            ));
        };
        check_format(path, &Output::FORMATS, "; .csv is for one trajectory")?;
        let is_zarr = ends_with(path, "zarr");
        let shard = self.batch.shard.as_deref().map(Shard::parse).transpose()?;
        if shard.is_some() && !is_zarr {
            return Err(Error::Input(
                "--shard is for .zarr; other files are written by one process".into(),
            ));
        }
        let existing = match (self.batch.resume, is_zarr) {
            _ if shard.is_some() => Existing::Share,
            (true, false) => {
                return Err(Error::Input(
                    "--resume is for .zarr; other files are written whole or not at all".into(),
                ));
            }
            (true, true) => Existing::Resume,
            (false, _) => Existing::Refuse,
        };
        if !is_zarr {
            artifact::check_destination(path)?;
        } else if let Some(folder) = path.parent() {
            artifact::check_folder(folder)?;
        }
        let source = Path::new(&self.system.system);
        let (opened, system_hash) = if source.is_file() {
            artifact::with_fingerprint(source, || self.system.open(shared))
                .map(|(opened, hash)| (opened, Some(hash)))?
        } else {
            (self.system.open(shared)?, None)
        };
        let (system, spec) = (&*opened.system, &opened.spec);
        let (base, mut options) = self.experiment(&opened)?;
        let survey = survey(table, system, &base, &options)?;
        let layout = layout(system, &base, &survey, self.precision);
        let chunk = self
            .batch
            .chunk
            .map_or_else(|| chunk_for(&layout), |n| (n as usize).min(survey.rows));
        let mut configuration = self.configuration(spec, system.time(), &base, &options);
        let more = json!({
            "system_hash": system_hash,
            "experiments": {"file": table, "hash": survey.hash, "rows": survey.rows, "columns": survey.columns},
            "chunk": chunk,
        });
        extend(&mut configuration, more);
        if is_zarr && existing != Existing::Refuse && zarr::is_complete(path, &configuration)? {
            shared.tell(&format!("{} is complete", path.display()));
            return if shared.json {
                print_json(&configuration)
            } else {
                Ok(())
            };
        }
        let output = Output::create(path, &layout, chunk, &configuration, existing)?;
        options.watch = shared.watch.clone();
        let job = Job {
            system,
            base: &base,
            table,
            survey: &survey,
            options: &options,
            layout: &layout,
            chunk,
            shard,
        };
        let ran = job.run(output);
        let (output, summary) = ran.map_err(|e| match e {
            Error::Dynamics(DynamicsError::Interrupted) if is_zarr => Error::Failed(format!(
                "interrupted; the chunks that are written are kept, and --resume goes on with {}",
                path.display()
            )),
            Error::Dynamics(DynamicsError::Interrupted) => Error::Failed(format!(
                "interrupted; nothing of {} was kept; a .zarr can be resumed",
                path.display()
            )),
            e => e,
        })?;
        let mut meta = described(&configuration, &summary);
        if let Some(Shard { index, of }) = shard {
            tell(&summary, shared);
            shared.tell(&format!(
                "shard {index} of {of} is done; when all are, the same command with --resume in place of --shard completes the file"
            ));
            extend(&mut meta, json!({"shard": [index, of]}));
            return if shared.json {
                print_json(&meta)
            } else {
                Ok(())
            };
        }
        options.watch = shared.watch.silent();
        let error = self.error_of_some(system, table, &base, &options, shared)?;
        // It was read once more for that.
        if options.method == Method::RushLarsen && artifact::fingerprint(table)? != survey.hash {
            return Err(changed(table));
        }
        extend(&mut meta, error);
        if let Some(file) = output.finish(&configuration, &summary)? {
            let beside = artifact::describe(&file, &meta)?;
            file.commit()?;
            beside.commit()?;
        }
        tell(&summary, shared);
        if shared.json {
            print_json(&meta)
        } else {
            Ok(())
        }
    }
}

impl Arguments {
    /// [`Arguments::error_of_steps`] over the first experiments of a table: all of them would make a batch many times as long.
    fn error_of_some(
        &self,
        system: &dyn DynamicalSystem,
        table: &Path,
        base: &Experiment,
        options: &SolveOptions,
        shared: &Shared,
    ) -> Result<Value> {
        if options.method != Method::RushLarsen {
            return Ok(json!({"change_by_half_the_step": null}));
        }
        let mut reader = Reader::open(table, system.spec(), base)?;
        let mut few = Vec::new();
        while few.len() < HALVED
            && let Some(experiment) = reader.read()?
        {
            few.push(experiment);
        }
        self.error_of_steps(system, &few, options, shared)
    }
}

fn described(configuration: &Value, summary: &Summary) -> Value {
    let mut meta = configuration.clone();
    extend(&mut meta, json!({"result": summary}));
    meta
}

fn tell(summary: &Summary, shared: &Shared) {
    let all = summary.experiments;
    let (failed, reasons) = summary.failures();
    if failed > 0 {
        shared.warn(&format!("{failed} of {all} experiments stopped early ({reasons}); their states from there on are NaN"));
    }
    if summary.extrapolated > 0 {
        shared.warn(&format!(
            "{} of {all} experiments went outside the training range (of state or parameters)",
            summary.extrapolated
        ));
    }
}

//! `ionoscope simulate`: one trajectory of a model or a surrogate, or one for each row of a table.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    arguments::SystemArguments,
    shared::{Shared, print, print_json},
};
use ionoscope::{
    Error, Result,
    answer::{Answer, Course},
    arrays::{Layout, Precision, npz, parquet},
    artifact::{self, Staged},
    batch::Output,
    questions::{Question, Simulate, simulate::table::Files},
    report::svg,
    shard::Shard,
};

/// Files of one trajectory.
const FORMATS: [&str; 3] = ["csv", "npz", "parquet"];

/// Integrates a model, or asks a surrogate, from one start or for each row of a table
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  ionoscope simulate sherman-1988 --t-end 60 --dt 0.005 -o cell.csv --plot cell.svg\n  \
                        ionoscope simulate sherman-1988 --t-end 60 --stimulus 50:10:0.5 -o cell.parquet\n  \
                        ionoscope simulate sherman-1988 --experiments table.csv --t-end 50 --dt 0.005 -o many.npz\n  \
                        ionoscope simulate sherman-1988 --experiments table.csv --t-end 50 --dt 0.005 -o many.zarr --resume\n  \
                        ionoscope simulate pretrained/hh-fno.safetensors --experiments table.csv --bands -o many.npz\n\n\
                        A table has one row an experiment, and the columns stim_start,stim_duration,stim_amplitude (all or none), and any\n\
                        param:NAME and x0:NAME."
)]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    #[command(flatten)]
    question: Simulate,
    /// File to write (.csv, .npz, .parquet; for a table .npz, .zarr, .parquet), with units and configuration beside it in FILE.meta.json;
    /// the data go to standard output when no file is given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Width of the states in the file; for .npz, .zarr and .parquet
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Figure to draw (.svg): the variables over time
    #[arg(long, value_name = "FILE", conflicts_with = "experiments")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    batch: BatchArguments,
}

/// What only a table of experiments needs.
#[derive(clap::Args, Debug)]
struct BatchArguments {
    /// Table with one row an experiment; its columns replace --x0, --param and --stimulus
    #[arg(long, value_name = "FILE.csv", requires = "output")]
    experiments: Option<PathBuf>,
    /// Go on with an unfinished .zarr, which holds what was written before an interruption
    #[arg(long, requires = "experiments")]
    resume: bool,
    /// Do the chunks k with k mod N = K of a .zarr, beside others that do the rest: K/N, or `rank` for what a scheduler says; the same command with
    /// --resume in its place then completes the file
    #[arg(
        long,
        value_name = "K/N|rank",
        requires = "experiments",
        conflicts_with = "resume"
    )]
    shard: Option<String>,
    /// Experiments a chunk of a .zarr or a group of rows of a .parquet [default: about 32 MiB of states]
    #[arg(long, value_name = "N", requires = "experiments", value_parser = clap::value_parser!(u64).range(1..=1 << 24), allow_negative_numbers = true)]
    chunk: Option<u64>,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        match &self.batch.experiments {
            Some(table) => self.run_table(table, shared),
            None => self.run_one(shared),
        }
    }

    fn run_table(&self, table: &Path, shared: &Shared) -> Result<()> {
        let Some(output) = &self.output else {
            return Err(Error::Input(
                "--experiments needs a file to write, -o FILE".into(),
            ));
        };
        check_format(output, &Output::FORMATS, "; .csv is for one trajectory")?;
        let files = Files {
            table,
            output,
            precision: self.precision,
            resume: self.batch.resume,
            shard: self.batch.shard.as_deref().map(Shard::parse).transpose()?,
            chunk: self.batch.chunk.map(|n| n as usize),
        };
        let subject = self.system.open(shared)?;
        let answer = self.question.run_table(&subject, &files, &shared.watch)?;
        answer.warnings.iter().for_each(|w| shared.warn(w));
        if shared.json {
            print_json(&answer.document)
        } else {
            Ok(())
        }
    }

    fn run_one(&self, shared: &Shared) -> Result<()> {
        self.check_files()?;
        let subject = self.system.open(shared)?;
        let mut answer = self.question.ask(&subject, &shared.watch)?;
        answer.document["precision"] = json!(self.precision);
        answer.warnings.iter().for_each(|w| shared.warn(w));
        self.deliver(&answer, shared)
    }

    /// Checks, before any work, that the files of one trajectory can be made.
    fn check_files(&self) -> Result<()> {
        for (path, formats) in [(&self.output, &FORMATS[..]), (&self.plot, &["svg"])] {
            if let Some(path) = path {
                let hint = if ends_with(path, "zarr") {
                    "; .zarr is for --experiments"
                } else {
                    ""
                };
                check_format(path, formats, hint)?;
                artifact::check_destination(path)?;
            }
        }
        let text = self
            .output
            .as_ref()
            .is_none_or(|path| ends_with(path, "csv"));
        if self.precision == Precision::Single && text {
            return Err(Error::Input(
                "--precision single is for .npz and .parquet; a CSV holds every digit".into(),
            ));
        }
        Ok(())
    }

    /// Writes, draws or prints one trajectory, whatever was asked for.
    fn deliver(&self, answer: &Answer, shared: &Shared) -> Result<()> {
        let (Some(course), meta) = (&answer.course, &answer.document) else {
            return Err(Error::Failed("the answer has no trajectory".into()));
        };
        // All files are complete before the first of them gets its name.
        let mut files = Vec::new();
        if let Some(path) = &self.output {
            files.push(self.write(path, course, meta)?);
            files.push(artifact::describe(&files[0], meta)?);
        }
        if let (Some(path), Some(figure)) = (&self.plot, answer.figures.first()) {
            let drawing = svg::draw(figure);
            files.push(Staged::new(path, |w| w.write_all(drawing.as_bytes()))?);
        }
        let only_print = files.is_empty();
        files.into_iter().try_for_each(Staged::commit)?;
        match (shared.json, only_print) {
            (true, true) => print_json(&course.in_document(meta.clone())),
            (true, false) => print_json(meta),
            (false, true) => print(|w| write_csv(w, course)),
            (false, false) => Ok(()),
        }
    }

    fn write(&self, path: &Path, course: &Course, meta: &Value) -> Result<Staged> {
        let Course { spec, trajectory } = course;
        let layout = || Layout::new(spec, trajectory.times, 1, self.precision);
        if ends_with(path, "npz") {
            npz::write_trajectory(path, &layout(), trajectory)
        } else if ends_with(path, "parquet") {
            parquet::write_trajectory(path, &layout(), trajectory, &meta.to_string())
        } else {
            Ok(Staged::new(path, |w| write_csv(w, course))?)
        }
    }
}

fn ends_with(path: &Path, format: &str) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case(format))
}

fn check_format(path: &Path, formats: &[&str], hint: &str) -> Result<()> {
    if formats.iter().any(|format| ends_with(path, format)) {
        return Ok(());
    }
    let supported: Vec<String> = formats.iter().map(|f| format!(".{f}")).collect();
    Err(Error::Input(format!(
        "{}: cannot write this kind of file; supported: {}{hint}",
        path.display(),
        supported.join(", ")
    )))
}

/// Writes `time,v,n,s` and one row an output time; numbers read back to the same bits.
fn write_csv(w: &mut dyn io::Write, Course { spec, trajectory }: &Course) -> io::Result<()> {
    write!(w, "time")?;
    for q in &spec.variables {
        write!(w, ",{}", q.name)?;
    }
    writeln!(w)?;
    for k in 0..trajectory.len() {
        write!(w, "{:?}", trajectory.times.time(k))?;
        for x in trajectory.state(k) {
            write!(w, ",{x:?}")?;
        }
        writeln!(w)?;
    }
    Ok(())
}

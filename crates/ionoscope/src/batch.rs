//! Many experiments into one file, in chunks: while one part is computed, the one before is written.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ionoscope_dynamics::{
    simulator::{Simulated, Simulator},
    trajectory::{Experiment, SolveOptions, Trajectory},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Error, Result,
    arrays::{
        Block, Column, Layout, Values, columns,
        npz::Npz,
        parquet::{Parquet, Rows},
        zarr::{self, Existing, Zarr},
    },
    artifact::Staged,
    experiments::{Reader, Survey, at, marks},
    shard::Shard,
};

/// Experiments and their states, as doubles, that are computed at once, in bytes; as much again is being written meanwhile.
const PART_BYTES: usize = 256 << 20;
/// The same for each thread, where that is more.
const PART_BYTES_OF_THREAD: usize = 32 << 20;
/// What an experiment takes beside its states: its start and parameters, its statistics, and what the allocator adds.
const BYTES_OF_EXPERIMENT: usize = 1 << 10;
/// Experiments a thread in the first part: twice as many as fill its lanes.
const FIRST_PART: usize = 32;
/// What an interruption may lose.
const LONGEST_PART: Duration = Duration::from_secs(20);

/// A file to write, by its kind.
pub enum Output {
    /// See [`Npz`].
    Npz(Box<Npz>),
    /// See [`Zarr`].
    Zarr(Box<Zarr>),
    /// See [`Parquet`].
    Parquet(Box<Parquet>),
}

impl Output {
    /// Kinds of file that hold many experiments.
    pub const FORMATS: [&str; 3] = ["npz", "zarr", "parquet"];

    /// Begins the file that the end of `path` asks for.
    ///
    /// # Errors
    /// As the kind's own: it cannot be written, is too large, or is there already.
    pub fn create(
        path: &Path,
        layout: &Layout,
        chunk: usize,
        configuration: &Value,
        existing: Existing,
    ) -> Result<Self> {
        let layout = layout.clone();
        let ending = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default()
            .to_ascii_lowercase();
        Ok(match ending.as_str() {
            "zarr" => Output::Zarr(Box::new(Zarr::create(
                path,
                layout,
                chunk,
                configuration,
                existing,
            )?)),
            "parquet" => Output::Parquet(Box::new(Parquet::create(
                path,
                layout,
                Rows::Experiments,
                &configuration.to_string(),
            )?)),
            _ => Output::Npz(Box::new(Npz::create(path, layout)?)),
        })
    }

    /// Adds the experiments from the `first` on, in order, and counts them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(
        &mut self,
        first: usize,
        trajectories: Vec<Trajectory>,
        extrapolated: &[bool],
        summary: &mut Summary,
    ) -> Result<()> {
        let block = Block {
            first,
            trajectories,
            extrapolated: extrapolated.to_vec(),
        };
        self.put(&block)?;
        summary.add(&columns(&block));
        Ok(())
    }

    fn put(&mut self, block: &Block) -> Result<()> {
        match self {
            Output::Npz(o) => o.put(block),
            Output::Zarr(o) => o.put(block),
            Output::Parquet(o) => o.put(block),
        }
    }

    /// Ends the file. What is given back waits for its name; a Zarr store has it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self, configuration: &Value, summary: &Summary) -> Result<Option<Staged>> {
        match self {
            Output::Npz(o) => o.finish().map(Some),
            Output::Parquet(o) => o.finish().map(Some),
            Output::Zarr(o) => {
                let summary = serde_json::to_value(summary)
                    .map_err(|e| Error::Failed(format!("the summary cannot be written: {e}")))?;
                o.finish(configuration, &summary).map(|()| None)
            }
        }
    }
}

/// What a batch gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Number of experiments.
    pub experiments: u64,
    /// Number of experiments by how they ended.
    pub status: BTreeMap<String, u64>,
    /// Experiments that went outside what a surrogate was trained on.
    pub extrapolated: u64,
    /// Experiments that went on with the stiff method.
    pub stiff: u64,
    /// Work of all, by the names of its columns.
    pub work: BTreeMap<&'static str, u64>,
}

impl Summary {
    fn add(&mut self, columns: &[Column]) {
        for column in columns {
            match &column.values {
                Values::Text(v) => {
                    self.experiments += v.len() as u64;
                    v.iter()
                        .for_each(|s| *self.status.entry(s.clone()).or_default() += 1);
                }
                Values::Count(v) => {
                    *self.work.entry(column.name).or_default() += v.iter().sum::<u64>()
                }
                Values::Number(v) => self.stiff += v.iter().filter(|t| !t.is_nan()).count() as u64,
                Values::Flag(v) => self.extrapolated += v.iter().filter(|f| **f).count() as u64,
            }
        }
    }

    /// Experiments that stopped early, and a text that counts them by reason.
    pub fn failures(&self) -> (u64, String) {
        let failed = || self.status.iter().filter(|(s, _)| *s != "ok");
        (
            failed().map(|(_, n)| n).sum(),
            failed()
                .map(|(s, n)| format!("{n} {s}"))
                .collect::<Vec<_>>()
                .join(", "),
        )
    }
}

/// What a batch runs.
pub struct Job<'a> {
    /// What answers experiments.
    pub simulator: &'a dyn Simulator,
    /// What the table does not replace.
    pub base: &'a Experiment,
    /// The table.
    pub table: &'a Path,
    /// What it holds.
    pub survey: &'a Survey,
    /// Numerical knobs, and who watches.
    pub options: &'a SolveOptions,
    /// What is the same for all.
    pub layout: &'a Layout,
    /// Experiments a chunk of the file.
    pub chunk: usize,
    /// The chunks to do; all that are left where none is given.
    pub shard: Option<Shard>,
}

/// Experiments of chunks that stand beside each other.
#[derive(Default)]
struct Part {
    first: usize,
    experiments: Vec<Experiment>,
}

impl Job<'_> {
    /// Runs all experiments that `output` does not hold yet. The bytes depend neither on threads nor on how long anything takes.
    /// Memory is bounded, whatever the number of experiments.
    ///
    /// # Errors
    /// An interruption; a file that cannot be written; a table that is no longer what it was.
    pub fn run(&self, mut output: Output) -> Result<(Output, Summary)> {
        let mut summary = Summary::default();
        let chunks = self.survey.rows.div_ceil(self.chunk);
        let mut finished: Vec<bool> = (0..chunks)
            .map(|k| self.shard.is_some_and(|s| !s.has(k)))
            .collect();
        if let Output::Zarr(zarr) = &output {
            for (k, done) in finished.iter_mut().enumerate() {
                if let Some(columns) = zarr.finished(k) {
                    *done = true;
                    summary.add(&columns);
                }
            }
        }
        thread::scope(|scope| {
            // A rendezvous: one part is computed while one is written, and no more are held.
            let (send, receive) = mpsc::sync_channel::<(usize, Vec<Trajectory>, Vec<bool>)>(0);
            let (chunk, summary, output) = (self.chunk, &mut summary, &mut output);
            let writer = scope.spawn(move || -> Result<()> {
                for (mut first, trajectories, extrapolated) in receive {
                    let mut trajectories = trajectories.into_iter();
                    for extrapolated in extrapolated.chunks(chunk) {
                        let trajectories: Vec<Trajectory> =
                            trajectories.by_ref().take(extrapolated.len()).collect();
                        output.add(first, trajectories, extrapolated, summary)?;
                        first += extrapolated.len();
                    }
                }
                Ok(())
            });
            let computed = self.compute(&finished, |part| send.send(part).is_ok());
            drop(send);
            // When writing fails, computing only stops; the reason is the writer's.
            writer.join().map_err(|_| {
                Error::Failed("the thread that writes ended without a word".into())
            })??;
            computed
        })?;
        Ok((output, summary))
    }

    /// Computes part after part, until `take` wants no more.
    fn compute(
        &self,
        finished: &[bool],
        take: impl Fn((usize, Vec<Trajectory>, Vec<bool>)) -> bool,
    ) -> Result<()> {
        let changed = || changed(self.table);
        // Every row is compared with what was looked at before its experiment is run, so that nothing stands under a hash of other rows.
        let (marks, all) = marks(self.table, self.chunk)?;
        if all.to_string() != self.survey.hash {
            return Err(changed());
        }
        let mut reader = Reader::open(self.table, self.simulator.spec(), self.base)?;
        let (threads, size) = (
            rayon::current_num_threads(),
            self.chunk * (8 * self.layout.values() + BYTES_OF_EXPERIMENT),
        );
        let most = (PART_BYTES.max(threads * PART_BYTES_OF_THREAD) / size).max(1);
        let mut wanted = (FIRST_PART * threads).div_ceil(self.chunk).min(most);
        let mut part = Part::default();
        for (k, finished) in finished.iter().enumerate() {
            let first = k * self.chunk;
            let count = self.chunk.min(self.survey.rows - first);
            if part.experiments.is_empty() {
                part.first = first;
            }
            for _ in 0..count {
                let experiment = reader
                    .read()
                    .map_err(|e| at(self.table, e))?
                    .ok_or_else(changed)?;
                if !finished {
                    part.experiments.push(experiment);
                }
            }
            if marks
                .get(k)
                .is_some_and(|mark| count == self.chunk && *mark != reader.read_so_far())
            {
                return Err(changed());
            }
            if k + 1 == self.survey.rows.div_ceil(self.chunk)
                && (reader.read().map_err(|e| at(self.table, e))?.is_some()
                    || reader.read_so_far() != all)
            {
                return Err(changed());
            }
            let full = part.experiments.len() >= wanted * self.chunk
                || k + 1 == self.survey.rows.div_ceil(self.chunk);
            if part.experiments.is_empty() || !(full || *finished) {
                continue;
            }
            let begun = Instant::now();
            if !take(self.solve(std::mem::take(&mut part))?) {
                return Ok(());
            }
            let share = LONGEST_PART.as_secs_f64() / begun.elapsed().as_secs_f64().max(1e-3);
            wanted = ((wanted as f64 * share.min(8.0)) as usize).clamp(1, most);
        }
        Ok(())
    }

    fn solve(&self, part: Part) -> Result<(usize, Vec<Trajectory>, Vec<bool>)> {
        self.options.watch.check()?;
        let watch = self
            .options
            .watch
            .part(part.first, self.survey.rows, "experiments");
        let options = SolveOptions {
            watch,
            ..self.options.clone()
        };
        let ran = self.simulator.run(&part.experiments, &options)?;
        let one = |s: Simulated| (s.trajectory, s.extrapolated > 0);
        let (trajectories, extrapolated) = ran.into_iter().map(one).unzip();
        Ok((part.first, trajectories, extrapolated))
    }
}

/// A table that is no longer what it was.
pub fn changed(table: &Path) -> Error {
    at(
        table,
        Error::Input("the table was changed while it was read; run the command again".into()),
    )
}

/// Experiments a chunk of a file where nothing else is asked for.
pub fn chunk_for(layout: &Layout) -> usize {
    zarr::chunk_for(layout)
}

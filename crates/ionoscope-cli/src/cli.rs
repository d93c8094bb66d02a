//! The command line: one verb, one file.
//!
//! Data go to standard output, everything else to standard error. Exit codes: 0 done, 1 the work failed, 2 the input was wrong.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use ionoscope_dynamics::watch::Watcher;

use ionoscope::{Error, Result};

mod arguments;
mod basins;
mod compare;
mod continuation;
mod coupled;
mod dataset;
mod delivery;
mod diagram;
mod evaluate;
mod fixed_points;
mod lyapunov;
mod models;
mod report;
mod reproduce;
mod simulate;
mod spikes;
mod terminal;
mod train;
mod training;
mod tune;

/// Learns the dynamics of excitable cells with neural networks, proves what it learned against the original equations, and runs the
/// result at scale.
#[derive(Parser)]
#[command(
    name = "ionoscope",
    version,
    arg_required_else_help = true,
    infer_subcommands = false
)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Models(models::Arguments),
    Simulate(simulate::Arguments),
    FixedPoints(fixed_points::Arguments),
    Basins(basins::Arguments),
    Compare(compare::Arguments),
    Continue(continuation::Arguments),
    Diagram(diagram::Arguments),
    Lyapunov(lyapunov::Arguments),
    #[command(alias = "network")]
    Coupled(coupled::Arguments),
    Spikes(spikes::Arguments),
    Dataset(dataset::Arguments),
    Train(train::Arguments),
    Tune(tune::Arguments),
    Evaluate(evaluate::Arguments),
    Report(report::Arguments),
    Reproduce(reproduce::Arguments),
}

impl Verb {
    fn run(self, shared: &Shared) -> Result<()> {
        match self {
            Verb::Models(a) => a.run(shared),
            Verb::Simulate(a) => a.run(shared),
            Verb::FixedPoints(a) => a.run(shared),
            Verb::Basins(a) => a.run(shared),
            Verb::Compare(a) => a.run(shared),
            Verb::Continue(a) => a.run(shared),
            Verb::Diagram(a) => a.run(shared),
            Verb::Lyapunov(a) => a.run(shared),
            Verb::Coupled(a) => a.run(shared),
            Verb::Spikes(a) => a.run(shared),
            Verb::Dataset(a) => a.run(shared),
            Verb::Train(a) => a.run(shared),
            Verb::Tune(a) => a.run(shared),
            Verb::Evaluate(a) => a.run(shared),
            Verb::Report(a) => a.run(shared),
            Verb::Reproduce(a) => a.run(shared),
        }
    }
}

/// What all verbs share.
#[derive(Args, Clone, Debug)]
pub struct Shared {
    /// One JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Number of threads; all cores when not given
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), allow_negative_numbers = true)]
    pub threads: Option<u16>,
    /// Errors only on standard error: no warnings, no progress
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Who is told how far the work is, and may stop it: the terminal.
    #[arg(skip)]
    pub watch: Watcher,
}

impl Shared {
    /// Tells the user how far the work is.
    pub fn tell(&self, message: &str) {
        self.watch.tell(message);
    }

    /// Tells the user something that does not stop the work.
    pub fn warn(&self, message: &str) {
        self.watch.tell(&format!("warning: {message}"));
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are no errors and go to standard output; a reader that went away is none either.
            let _ = e.print();
            return if e.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let done = terminal::watch("at work", cli.shared.quiet).and_then(|watch| {
        cli.shared.watch = watch;
        if std::env::args()
            .skip(1)
            .find(|a| !a.starts_with('-'))
            .is_some_and(|verb| verb == "network")
        {
            cli.shared
                .tell("`network` is called `coupled` now; the old name still works");
        }
        set_threads(&cli.shared)?;
        cli.verb.run(&cli.shared)
    });
    terminal::clear();
    match done {
        Err(e) if !e.is_broken_pipe() => {
            let _ = writeln!(io::stderr(), "error: {e}");
            ExitCode::from(e.exit_code())
        }
        _ => ExitCode::SUCCESS,
    }
}

fn set_threads(shared: &Shared) -> Result<()> {
    let Some(threads) = shared.threads else {
        return Ok(());
    };
    let built = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.into())
        .build_global();
    built.map_err(|e| Error::Failed(format!("cannot start {threads} threads: {e}")))
}

/// Writes data to standard output, buffered.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    terminal::clear();
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    write(&mut out)
        .and_then(|()| out.flush())
        .map_err(Error::Stdout)
}

/// Writes a JSON document to standard output.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(|w| ionoscope::artifact::json_to(w, value))
}

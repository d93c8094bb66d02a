//! The command line: one verb, one file.
//!
//! Data go to standard output, everything else to standard error. Exit codes: 0 done, 1 the work failed, 2 the input was wrong.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use ionoscope::{Error, Result};
use shared::Shared;

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
mod shared;
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

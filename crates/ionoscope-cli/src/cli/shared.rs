//! What all verbs share: global options, and writing to standard output.

use std::io::{self, Write};

use clap::Args;
use ionoscope::{Error, Result, artifact};
use ionoscope_dynamics::watch::Watcher;

use super::terminal;

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

/// Writes data to standard output, buffered.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    terminal::clear();
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    write(&mut out)
        .and_then(|()| out.flush())
        .map_err(Error::Stdout)
}

/// Writes a JSON document to standard output.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(|w| artifact::json_to(w, value))
}

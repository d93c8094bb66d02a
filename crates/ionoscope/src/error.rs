//! What can be wrong with the input of a command, or fail in it, and the exit code that says so.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Result with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An input that is wrong, or work that failed.
#[derive(Debug, Error)]
pub enum Error {
    /// From models and integrators.
    #[error(transparent)]
    Dynamics(#[from] ionoscope_dynamics::Error),
    /// From an analysis.
    #[error(transparent)]
    Analysis(#[from] ionoscope_analysis::Error),
    /// From a dataset, a surrogate or a training run.
    #[error(transparent)]
    Learn(#[from] ionoscope_learn::Error),
    /// Any other wrong input: what, what was expected, what to do.
    #[error("{0}")]
    Input(String),
    /// Any other failure of the work itself.
    #[error("{0}")]
    Failed(String),
    /// A file that cannot be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {path}: {source}", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Standard output that cannot be written.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
}

impl Error {
    /// A file that cannot be written.
    pub fn write(path: &Path, source: io::Error) -> Self {
        Error::Write {
            path: path.to_owned(),
            source,
        }
    }

    /// Whether the input was wrong rather than the work failed.
    pub fn is_input(&self) -> bool {
        match self {
            Error::Dynamics(e) => e.is_input(),
            Error::Analysis(e) => e.is_input(),
            Error::Learn(e) => e.is_input(),
            Error::Input(_) => true,
            Error::Read { source, .. } => !ionoscope_learn::error::is_of_machine(source),
            Error::Failed(_) | Error::Write { .. } | Error::Stdout(_) => false,
        }
    }

    /// Whether files are the matter, their content or the reading and writing of them.
    pub fn is_of_files(&self) -> bool {
        matches!(self, Error::Read { .. } | Error::Write { .. })
            || matches!(self, Error::Learn(e) if e.is_of_files())
    }

    /// Exit code of a command that ended with this error: 2 for wrong input, 1 for failed work.
    pub fn exit_code(&self) -> u8 {
        if self.is_input() { 2 } else { 1 }
    }

    /// Whether the reader of standard output went away, as `head` does: not worth a message.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Error::Stdout(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }
}

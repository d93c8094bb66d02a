//! What can be wrong with a dataset, a surrogate or a training run.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Result with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An input that is wrong, or work that failed.
#[derive(Debug, Error)]
pub enum Error {
    /// Wrong input or a failed solve of the dynamics.
    #[error(transparent)]
    Dynamics(#[from] ionoscope_dynamics::Error),
    /// A configuration or argument that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A file whose content is not what it should be.
    #[error("{path}: {message}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found, what to do.
        message: String,
    },
    /// A file that cannot be opened or read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {path}: {source}", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Work that was started with good input and failed.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// A file whose content is wrong.
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Error::File { path: path.to_owned(), message: message.into() }
    }

    /// Whether the input was wrong (exit code 2) rather than the work failed (exit code 1).
    pub fn is_input(&self) -> bool {
        match self {
            Error::Dynamics(e) => e.is_input(),
            Error::Invalid(_) | Error::File { .. } | Error::Read { .. } => true,
            Error::Write { .. } | Error::Failed(_) => false,
        }
    }
}

//! What can be wrong with a dataset, a surrogate or a training run.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

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
    /// A setting of a configuration that makes no sense: the file that it comes from can then be searched for it.
    #[error("{key}{problem}")]
    Setting {
        /// Its key within the section that was checked, such as `adam.batch`.
        key: String,
        /// What is wrong, as it follows the key: ` = 0; expected at least 1`.
        problem: String,
    },
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
        Error::File {
            path: path.to_owned(),
            message: message.into(),
        }
    }

    /// A setting with another value than was expected.
    pub fn setting(key: &str, got: impl Display, expected: impl Display) -> Self {
        Error::Setting {
            key: key.to_owned(),
            problem: format!(" = {got}; expected {expected}"),
        }
    }

    /// A setting about which something else complains.
    pub fn of_setting(key: &str, problem: impl Display) -> Self {
        Error::Setting {
            key: key.to_owned(),
            problem: format!(": {problem}"),
        }
    }

    /// The error with the section in which the setting stands before its key.
    #[must_use]
    pub fn within(self, section: &str) -> Self {
        match self {
            Error::Setting { key, problem } => Error::Setting {
                key: format!("{section}.{key}"),
                problem,
            },
            other => other,
        }
    }

    /// Whether the input was wrong (exit code 2) rather than the work failed (exit code 1).
    pub fn is_input(&self) -> bool {
        match self {
            Error::Dynamics(e) => e.is_input(),
            Error::Invalid(_) | Error::Setting { .. } | Error::File { .. } => true,
            Error::Read { source, .. } => !is_of_machine(source),
            Error::Write { .. } | Error::Failed(_) => false,
        }
    }

    /// Whether files are the matter, their content or the reading and writing of them.
    pub fn is_of_files(&self) -> bool {
        matches!(
            self,
            Error::File { .. } | Error::Read { .. } | Error::Write { .. }
        )
    }
}

/// Whether the machine could not do what was asked of it, such as opening one more file or reading a bad disk, rather than that it was asked for
/// the wrong file.
pub fn is_of_machine(error: &std::io::Error) -> bool {
    // Unix's numbers of: input or output that failed, no memory, too many open files in the system and in the process.
    const NUMBERS: [i32; 4] = [5, 12, 23, 24];
    cfg!(unix) && error.raw_os_error().is_some_and(|n| NUMBERS.contains(&n))
}

//! Papers, end to end: data, training, analyses and a report in one folder.

pub mod kuptsov_2023;
pub mod pellegrini_2025;

use ionoscope_dynamics::watch::Watcher;

use crate::{Error, Result};

/// What a run gave, or, where it was stopped, how to go on: each stage keeps what is done.
fn unless_stopped<T>(done: Result<T>, watch: &Watcher) -> Result<T> {
    match done {
        Err(_) if watch.stopped() => Err(Error::Failed(
            "interrupted; the same command with --resume goes on from here".into(),
        )),
        done => done,
    }
}

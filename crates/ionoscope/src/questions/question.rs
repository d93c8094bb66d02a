//! What can be asked, and what can be done.

use ionoscope_dynamics::watch::Watcher;

use crate::{Result, answer::Answer, subject::Subject};

/// Something that can be asked about a system.
pub trait Question {
    /// The answer; `watch` hears how far it is, and may stop it.
    ///
    /// # Errors
    /// Options that make no sense of this subject; an analysis that fails; being stopped.
    fn ask(&self, subject: &Subject, watch: &Watcher) -> Result<Answer>;
}

/// Work that says itself what it is about: files, two systems, a paper.
pub trait Task {
    /// Does it; `watch` hears how far it is, and may stop it.
    ///
    /// # Errors
    /// Options that make no sense; work that fails; being stopped.
    fn run(&self, watch: &Watcher) -> Result<Answer>;
}

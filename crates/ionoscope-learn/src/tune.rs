//! Automatic hyperparameter search: spaces, samplers, pruning, and studies kept in a journal that Optuna reads and writes too.
//!
//! What a trial is and what it costs stands in closures; nothing here knows a network. Values are made small.

pub mod front;
pub mod journal;
mod pruner;
mod sampler;
mod space;
mod study;

pub use pruner::Pruner;
pub use sampler::Sampler;
pub use space::{Domain, Parameter, Space, key_of};
pub use study::{
    Fit, Objective, Reporter, StudyConfig, StudyEvent, Suggestion, TrialOutcome, Work, run, seed_of,
};

//! Datasets of pairs (p, u(t), u(t + dt)) on the attractors of a system, by the recipe of Kuptsov et al. (2023), section 5: chunks of
//! trajectories at random control parameters and starts, after a transient, never at the fixed point.

mod config;
mod file;
mod sampler;
mod set;
#[cfg(test)]
mod tests;

pub use config::DatasetConfig;
pub use sampler::{FixedPoints, sample};
pub use set::{Dataset, Design, Redrawn};

pub use crate::pairs::Pairs;

//! Datasets of responses: what a model does under random protocols, on one grid of times, from its default start.
//!
//! Time i of a grid of N is `i T / N`. The input of cell i is the mean of the current over [t_i, t_(i+1)), so that a switch between two times is
//! seen to its digit. Validation members are drawn from the training family under another seed, in the same proportions; test members under a third one
//! where both families are the same, so that no set holds a sample of another.

mod config;
mod family;
mod file;
mod make;
mod parts;
mod set;
#[cfg(test)]
mod tests;

pub use config::ResponseConfig;
pub(crate) use config::set_parameters;
pub use family::FamilySource;
pub(crate) use family::member;
pub use make::{respond, respond_in_parts, respond_shard};
pub use parts::Parts;
pub use set::{Condition, ResponseData, Responses, cell_means};

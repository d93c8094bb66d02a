//! Surrogates of excitable cells: datasets, architectures and their training.
//!
//! The path of the data: a system of `ionoscope-dynamics` is [sampled](dataset::sample) into a [`Dataset`](dataset::Dataset), an architecture is
//! trained on it, and the result is again a [`DynamicalSystem`](ionoscope_dynamics::system::DynamicalSystem).

pub mod adam;
pub mod architectures;
pub mod checkpoint;
pub mod dataset;
pub mod error;
pub mod events;
pub mod files;
mod hash;
pub mod kernels;
pub mod normalizer;
mod pairs;
pub mod responses;
pub mod second_order;
mod tagged;
mod tensors;
pub mod train;
pub mod tune;

pub use error::{Error, Result};

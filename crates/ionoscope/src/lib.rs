//! The library that users call: subjects, questions and their answers, files, learning runs, papers.
//!
//! The command line (`ionoscope-cli`) and the Python package ask the same questions; see [`questions`].

pub mod branch_ends;
pub mod error;
pub mod memory;
pub mod named;
pub mod provenance;
pub mod shard;

pub mod artifact;
pub mod document;

pub mod config;

pub mod arrays;
pub mod experiments;

pub mod batch;
pub mod pipeline;
pub mod protocol_file;
pub mod report;

pub mod by_name;
pub mod text;

pub mod answer;
pub mod options;
pub mod questions;
pub mod subject;

pub mod compare;
pub mod evaluation;
pub mod reproduce;
pub mod tuning;

pub use error::{Error, Result};

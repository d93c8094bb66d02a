//! Runs, artefacts and reports: what the command line and other front ends share.

pub mod report;

//! Integrators.

pub mod oracle;

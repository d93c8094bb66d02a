//! Spikes, bursts and action potentials in a membrane potential over time. The definitions, for readers: `docs/biomarkers.md`.
//!
//! [`biomarkers`] counts in a [`Potential`], under a stimulus that is known ([`Drive`]) or none; [`observe`] runs a system long enough, and looks at the
//! integrator's own polynomials.
//! Times are in the unit of the system, potentials in that of its membrane potential.

mod action_potentials;
mod counting;
mod drive;
mod observe;
mod options;
mod potential;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod verdicts;
mod watch;

pub use action_potentials::{ActionPotential, Afterdepolarization, Response};
pub use counting::{
    Alternans, Biomarkers, Burst, Capture, Intervals, Regime, biomarkers, biomarkers_under,
};
pub use drive::{Drive, OWN_SHARE};
pub use observe::{Observation, ObserveOptions, Stopped, Swing, observe};
pub use options::{BiomarkerOptions, Upstroke};
pub use potential::Potential;

//! Analyses of dynamical systems, for equations and surrogates alike: they see only the traits of `ionoscope-dynamics`.
//!
//! ```
//! use ionoscope_analysis::fixed_points::{FixedPointOptions, fixed_points};
//! use ionoscope_dynamics::models;
//!
//! let cell = models::find("stankevich-2017")?;
//! let p = cell.spec().parameters_with([("v_s", -36.0)])?;
//! let found = fixed_points(&*cell, 0.0, &p, &FixedPointOptions::default())?;
//! assert_eq!(found.len(), 1);
//! assert!(found[0].stable);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// In layers: a module uses those above its own layer.
pub mod error;

mod matrix;
pub mod metrics;
pub mod pacing;
mod residual;
mod returns;
pub mod step_errors;
pub mod synchrony;
#[cfg(test)]
mod testing;

pub mod conserved;
mod tangent;

mod newton;
pub mod spectrum;

mod relax;

pub mod fixed_points;

pub mod continuation;
pub mod time_scales;

pub mod biomarkers;
pub mod lyapunov;
pub mod settling;

pub mod basins;
pub mod diagram;

pub mod compare;

pub use error::{Error, Result};

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

pub mod basins;
pub mod biomarkers;
pub mod compare;
pub mod conserved;
pub mod continuation;
pub mod diagram;
pub mod error;
pub mod fixed_points;
pub mod lyapunov;
mod matrix;
pub mod metrics;
mod newton;
pub mod pacing;
mod relax;
mod residual;
mod returns;
pub mod settling;
pub mod spectrum;
pub mod step_errors;
pub mod synchrony;
mod tangent;
#[cfg(test)]
mod testing;
pub mod time_scales;

pub use error::{Error, Result};

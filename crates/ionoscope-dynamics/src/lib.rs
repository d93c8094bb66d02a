//! Models of excitable cells as dynamical systems, and what integrates them.
//!
//! A [`Model`](system::Model) states its equations once, generic over [`Real`](real::Real). Everything else sees a
//! [`DynamicalSystem`](system::DynamicalSystem): an object-safe rule on plain `f64` slices, either a flow dx/dt = f(x, i_stim, p)
//! or a map x(t + dt) = F(x, i_stim, p), which answers a batch of [`Experiment`](trajectory::Experiment)s with
//! [`Trajectory`](trajectory::Trajectory)s.
//!
//! ```
//! use ionoscope_dynamics::{models, trajectory::{Experiment, SolveOptions, TimeGrid}};
//!
//! let cell = models::find("sherman-1988")?;
//! let experiment = Experiment::from_defaults(cell.spec(), TimeGrid::new(0.0, 0.005, 201)?);
//! let trajectory = cell.simulate(&experiment, &SolveOptions::default())?;
//! assert_eq!(trajectory.state(0), [-60.0, 0.01, 0.18]);
//! # Ok::<(), ionoscope_dynamics::Error>(())
//! ```

// In layers: a module uses those above its own layer.
pub mod error;

pub mod curve;
pub mod real;
pub mod sampling;
pub mod spec;
pub mod watch;

pub mod protocol;

pub mod trajectory;

pub mod system;

pub mod simulator;

pub mod program;

pub mod solve;

pub mod ode;

pub mod models;

pub mod coupled;
pub mod watched;

pub use error::{Error, Result};

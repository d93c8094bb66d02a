//! Diagrams of what a system does over a parameter, by simulation.
//!
//! A **sweep** goes from value to value; where it inherits, a column starts from the state in which its neighbor ended, so that a branch of
//! attractors is followed as long as it lasts. Of each column a transient is dropped and a window is kept. The **raster diagram** of
//! Kuptsov et al. (Chaos, Solitons & Fractals 167 (2023) 113027, figures 3, 5 and 9) shows the membrane potential over time as shade, a
//! column for every value; of a window twice as long as is shown, the part is taken that is nearest (by Euclidean distance) to the column
//! before, so that bursts stand in line. The **orbit diagram** shows the local maxima, the intervals between spikes or a Poincare
//! section.
//!
//! Times that are not given follow from the time scales of the system at some of the values ([`crate::time_scales`]): a transient of several
//! periods or decays at most, a window of some periods, a step that resolves the fastest motion. The transient of a column ends where its
//! motion is seen to rest or to repeat itself, so that one slow value does not make all of them slow. A column whose window neither rests,
//! nor repeats itself, nor looks the same in both halves says that it has not settled.

mod orbit;
mod raster;
mod sweep;
#[cfg(test)]
mod tests;

pub use orbit::{Mark, Section, orbit_marks};
pub use raster::{Raster, raster};
pub use sweep::{Column, Inherit, Sweep, SweepOptions, SweepTimes, sweep, sweep_times};

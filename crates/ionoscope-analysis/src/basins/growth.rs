//! Whether small disturbances of a motion grow: the sign of its first Lyapunov exponent, from two neighbouring trajectories.
//!
//! Two states a small distance apart are followed side by side, and brought back to that distance after each of many pieces (Benettin, Galgani,
//! Strelcyn, Phys. Rev. A 14 (1976) 2338, doi 10.1103/PhysRevA.14.2338). The sum of ln(distance / first distance) over a half of the time is the
//! growth of that half. The numerical error of both trajectories is much smaller than their distance.

use ionoscope_dynamics::{
    sampling::{normal, stream},
    system::{DynamicalSystem, Time},
    trajectory::{Outcome, SolveOptions, TimeGrid},
};

use super::follow::experiment;
use crate::Result;

/// Distance of both trajectories, in units of the extent of the motion.
const APART: f64 = 1e-7;
/// Pieces before anything is counted, in which the distance turns into the direction that grows, and in each half.
const ALIGN: usize = 16;
const HALF: usize = 24;
/// Growth of a disturbance in each half, as a natural logarithm, from which it grows exponentially; and up to which it does not: along a flow
/// it stays, and across a torus it grows with time at most, which is ln(2) from half to half.
const GROWS: f64 = 8.0;
const STAYS: f64 = 3.0;

/// What small disturbances do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Grow exponentially, in both halves at a similar rate.
    Positive,
    /// Neither grow nor decay.
    Zero,
    /// Anything else: decay, or what cannot be told yet.
    Unclear,
}

/// The growth along the motion from `x` over `length`; `width` measures the variables.
pub fn growth(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    x: &[f64],
    length: f64,
    width: &[f64],
    solve: &SolveOptions,
) -> Result<Growth> {
    let pieces = ALIGN + 2 * HALF;
    let piece = match system.time() {
        Time::Continuous => length / pieces as f64,
        Time::Discrete { dt } => (length / pieces as f64 / dt).round().max(1.0) * dt,
    };
    let options = SolveOptions { rtol: 1e-11, atol: 1e-13, ..solve.clone() };
    let mut random = stream(1, "growth", 0);
    let mut pair = [x.to_vec(), x.iter().zip(width).map(|(x, w)| x + APART * w * normal(&mut random)).collect()];
    let (mut grown, mut all) = (0.0, Vec::with_capacity(2 * HALF));
    let times = TimeGrid::new(piece, piece, 1)?;
    for k in 0..pieces {
        let batch = pair.each_ref().map(|x| experiment(x, i_stim, p, times));
        let ends = system.solve_ensemble(&batch, &options)?;
        let [Some(a), Some(b)] = [ends[0].last(), ends[1].last()] else { return Ok(Growth::Unclear) };
        if ends.iter().any(|t| t.outcome != Outcome::Completed) {
            return Ok(Growth::Unclear);
        }
        let distance = a.iter().zip(b).zip(width).map(|((a, b), w)| ((b - a) / w).powi(2)).sum::<f64>().sqrt();
        if !distance.is_finite() {
            return Ok(Growth::Unclear);
        }
        // Two that became one: as near as they can be told apart.
        grown += (distance / APART).max(1e-6).ln();
        if k >= ALIGN {
            all.push(grown);
        }
        let next =
            a.iter().zip(b).zip(width).map(|((a, b), w)| if distance > 0.0 { a + (b - a) * APART / distance } else { a + APART * w });
        pair = [a.to_vec(), next.collect()];
    }
    let [early, late] = [slope(&all[..HALF]), slope(&all[HALF..])].map(|s| s * HALF as f64);
    Ok(match () {
        () if early > GROWS && late > GROWS && early < 3.0 * late && late < 3.0 * early => Growth::Positive,
        () if early.abs() < STAYS && late.abs() < STAYS => Growth::Zero,
        () => Growth::Unclear,
    })
}

/// Slope of the line through equidistant values, by least squares: where the speed along a motion varies, so does a distance along it, and ends
/// alone would mislead.
fn slope(y: &[f64]) -> f64 {
    let n = y.len() as f64;
    let (middle, mean) = (0.5 * (n - 1.0), y.iter().sum::<f64>() / n);
    let [mut up, mut down] = [0.0; 2];
    for (k, y) in y.iter().enumerate() {
        let x = k as f64 - middle;
        up += x * (y - mean);
        down += x * x;
    }
    up / down
}

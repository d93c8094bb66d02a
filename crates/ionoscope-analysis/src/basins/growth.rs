//! Whether small disturbances of a motion grow: the sign of its first Lyapunov exponent, from two neighboring trajectories.
//!
//! Two states a small distance apart are followed side by side, and brought back to that distance after each of many pieces (Benettin, Galgani,
//! Strelcyn, Phys. Rev. A 14 (1976) 2338, doi 10.1103/PhysRevA.14.2338). The sum of ln(distance / first distance) over a half of the time is the
//! growth of that half. The numerical error of both trajectories is much smaller than their distance.

use ionoscope_dynamics::{
    sampling::{normal, stream},
    system::{DynamicalSystem, Time},
    trajectory::{Outcome, SolveOptions, TimeGrid},
};

use super::run::{experiment, whole};
use crate::{Result, returns::extent};

/// Distance of both trajectories, in units of the extent of the motion.
const APART: f64 = 1e-7;
/// Pieces before anything is counted, in which the distance turns into the direction that grows, and in each half.
const ALIGN: usize = 16;
const HALF: usize = 24;
/// Growth of a disturbance in each half, as a natural logarithm, from which it grows exponentially; and up to which it does not: along a flow
/// it stays, and across a torus it grows with time at most, which is ln(2) from half to half.
const GROWS: f64 = 8.0;
const STAYS: f64 = 3.0;
/// How much longer it is followed then, in which it may grow by less: the largest exponent that is not seen is 1 / 90 of a mean interval.
const LONGER: f64 = 8.0;
const STAYS_LONG: f64 = 1.0;
/// Parts of that time whose extents are compared, looks at it, and the share of the extent by which they may drift.
const PARTS: usize = 8;
const LOOKS: usize = 1 << 16;
const DRIFT: f64 = 1e-4;

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

/// A motion whose disturbances are looked at: from `x`, under a constant stimulus; `width` measures the variables.
pub struct Disturbed<'a> {
    pub system: &'a dyn DynamicalSystem,
    pub i_stim: f64,
    pub p: &'a [f64],
    pub x: &'a [f64],
    pub width: &'a [f64],
    pub solve: &'a SolveOptions,
}

impl Disturbed<'_> {
    /// The growth over `length`. That there is none is believed only of a time so many times longer: a small exponent shows late.
    pub fn growth(&self, length: f64) -> Result<Growth> {
        match self.growth_over(length, STAYS)? {
            // Plane flows have no tori (Poincare, Bendixson).
            Growth::Zero if self.system.time() == Time::Continuous && self.x.len() < 3 => {
                Ok(Growth::Unclear)
            }
            Growth::Zero if self.drifts(LONGER * length)? => Ok(Growth::Unclear),
            Growth::Zero => self.growth_over(LONGER * length, STAYS_LONG),
            found => Ok(found),
        }
    }

    /// Whether the extent of the motion shrinks or grows from piece to piece of the time `length`, as on the way to a cycle.
    fn drifts(&self, length: f64) -> Result<bool> {
        let count =
            (length / LOOKS as f64).max(if let Time::Discrete { dt } = self.system.time() {
                dt
            } else {
                0.0
            });
        let dt = whole(self.system, count);
        let options = SolveOptions {
            rtol: self.solve.rtol.min(1e-9),
            atol: self.solve.atol.min(1e-11),
            ..self.solve.clone()
        };
        let times = TimeGrid::new(0.0, dt, (length / dt).round().max(PARTS as f64) as usize)?;
        let all = self
            .system
            .solve_ensemble(&[experiment(self.x, self.i_stim, self.p, times)], &options)?;
        let Some(t) = all.first().filter(|t| t.outcome == Outcome::Completed) else {
            return Ok(true);
        };
        let parts: Vec<Vec<[f64; 2]>> = (0..PARTS)
            .map(|k| {
                extent(
                    &t.x[k * t.len() / PARTS * t.dimension
                        ..(k + 1) * t.len() / PARTS * t.dimension],
                    t.dimension,
                )
            })
            .collect();
        Ok((0..t.dimension).any(|i| {
            (0..2).any(|side| {
                let steps: Vec<f64> = parts
                    .windows(2)
                    .map(|w| (w[1][i][side] - w[0][i][side]) / self.width[i])
                    .collect();
                let one_way = steps.iter().all(|s| *s > 0.0) || steps.iter().all(|s| *s < 0.0);
                one_way && steps.iter().sum::<f64>().abs() > DRIFT
            })
        }))
    }

    /// The growth over `length`, none of it where both halves grow or decay by less than `stays`.
    fn growth_over(&self, length: f64, stays: f64) -> Result<Growth> {
        let Disturbed {
            system,
            i_stim,
            p,
            x,
            width,
            solve,
        } = *self;
        let pieces = ALIGN + 2 * HALF;
        let piece = whole(system, length / pieces as f64);
        let options = SolveOptions {
            rtol: 1e-11,
            atol: 1e-13,
            ..solve.clone()
        };
        let mut random = stream(1, "growth", 0);
        let mut pair = [
            x.to_vec(),
            x.iter()
                .zip(width)
                .map(|(x, w)| x + APART * w * normal(&mut random))
                .collect(),
        ];
        let (mut grown, mut all) = (0.0, Vec::with_capacity(2 * HALF));
        let times = TimeGrid::new(piece, piece, 1)?;
        for k in 0..pieces {
            let batch = pair.each_ref().map(|x| experiment(x, i_stim, p, times));
            let ends = system.solve_ensemble(&batch, &options)?;
            let [Some(a), Some(b)] = [ends[0].last(), ends[1].last()] else {
                return Ok(Growth::Unclear);
            };
            if ends.iter().any(|t| t.outcome != Outcome::Completed) {
                return Ok(Growth::Unclear);
            }
            let distance = a
                .iter()
                .zip(b)
                .zip(width)
                .map(|((a, b), w)| ((b - a) / w).powi(2))
                .sum::<f64>()
                .sqrt();
            if !distance.is_finite() {
                return Ok(Growth::Unclear);
            }
            // Two that became one: as near as they can be told apart.
            grown += (distance / APART).max(1e-6).ln();
            if k >= ALIGN {
                all.push(grown);
            }
            let next = a.iter().zip(b).zip(width).map(|((a, b), w)| {
                if distance > 0.0 {
                    a + (b - a) * APART / distance
                } else {
                    a + APART * w
                }
            });
            pair = [a.to_vec(), next.collect()];
        }
        let [early, late] = [slope(&all[..HALF]), slope(&all[HALF..])].map(|s| s * HALF as f64);
        Ok(match () {
            () if early > GROWS && late > GROWS && early < 3.0 * late && late < 3.0 * early => {
                Growth::Positive
            }
            () if early.abs() < stays && late.abs() < stays => Growth::Zero,
            () => Growth::Unclear,
        })
    }
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

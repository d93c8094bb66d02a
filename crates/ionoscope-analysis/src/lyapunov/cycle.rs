//! The exponents of a cycle: ln |Floquet multiplier| / period.
//!
//! The multipliers are those of the product of the tangent flow's propagators once around, by orthogonal iteration, so that each keeps its
//! digits and complex and nearly equal ones are solved for together: nothing is left of how a frame would turn into its directions.

use ionoscope_dynamics::system::Time;

use super::run::{MOST_STEPS, Run};
use crate::{
    Error, Result, continuation::cycles::floquet::logarithms, matrix::multiply, tangent::Frame,
};

/// Steps of the tangent flow over a period, at first.
const FIRST_STEPS: usize = 512;
/// Work after which the step is halved no more: steps times variables cubed.
const MOST_WORK: usize = 200_000_000;
/// Halving ends where the exponents change by this share of themselves, or of the rate of one turn.
const RESOLVED: f64 = 1e-7;
/// Times around the cycle.
const ROUNDS: usize = 40;

/// What is known of a cycle.
pub struct CycleSpectrum {
    pub exponents: Vec<f64>,
    /// How far half the step shifts them.
    pub step_errors: Vec<f64>,
    /// The exponent of the phase, as the tangent flow carries the rule around the cycle: it is zero but for errors. None for a map.
    pub phase: f64,
    pub divergence: f64,
    pub step: f64,
}

impl CycleSpectrum {
    /// Whether small disturbances do not grow. Of a flow the exponent of the phase, the one nearest to zero, does not count.
    pub fn stable(&self, time: Time, period: f64) -> bool {
        let phase = if time == Time::Continuous {
            self.phase()
        } else {
            None
        };
        let grows = |k: usize| {
            self.exponents[k] > 3.0 * (self.step_errors[k] + self.phase.abs()) + RESOLVED / period
        };
        (0..self.exponents.len()).all(|k| Some(k) == phase || !grows(k))
    }

    /// The exponent of the phase.
    pub fn phase(&self) -> Option<usize> {
        let off = |k: &usize| (self.exponents[*k] - self.phase).abs();
        (0..self.exponents.len()).min_by(|a, b| off(a).total_cmp(&off(b)))
    }
}

impl Run<'_> {
    /// The exponents of the cycle through `x`.
    pub fn exponents_of_cycle(&self, x: &[f64], period: f64) -> Result<CycleSpectrum> {
        let n = x.len();
        let lost = || Error::Failed("the Jacobian along the cycle is not finite".into());
        if let Time::Discrete { dt } = self.system.time() {
            let count = (period / dt).round() as usize;
            let states = self.states(x, dt, count)?;
            let factors: Vec<Vec<f64>> = (0..count)
                .map(|k| {
                    let mut jacobian = vec![0.0; n * n];
                    self.scaled_jacobian(states.state(k), &mut jacobian);
                    jacobian
                })
                .collect();
            let exponents: Vec<f64> = logarithms(&factors, n, ROUNDS)
                .ok_or_else(lost)?
                .iter()
                .map(|l| l / period)
                .collect();
            let divergence = exponents.iter().sum();
            let step_errors = exponents.iter().map(|e| 1e-12 * e.abs()).collect();
            return Ok(CycleSpectrum {
                exponents,
                step_errors,
                phase: 0.0,
                divergence,
                step: dt,
            });
        }
        let mut before: Option<Vec<f64>> = None;
        let mut steps = FIRST_STEPS;
        loop {
            let states = self.states(x, period / (2 * steps) as f64, 2 * steps + 1)?;
            let factors = Frame::new(n, n).factors(
                |k, out| self.scaled_jacobian(states.state(k), out),
                period / steps as f64,
                steps,
            );
            let now = factors.and_then(|(factors, divergence)| {
                let phase = self.growth_of_the_rule(x, &factors) / period;
                Some((logarithms(&factors, n, ROUNDS)?, divergence, phase))
            });
            let last = 2 * steps > MOST_STEPS || 2 * steps * n * n * n > MOST_WORK;
            if let Some((logarithms, divergence, phase)) = &now {
                let exponents: Vec<f64> = logarithms.iter().map(|l| l / period).collect();
                if let Some(before) = &before {
                    let changes: Vec<f64> = exponents
                        .iter()
                        .zip(before)
                        .map(|(a, b): (&f64, &f64)| (a - b).abs())
                        .collect();
                    let small = |(c, e): (&f64, &f64)| *c <= RESOLVED * (e.abs() + 1.0 / period);
                    if last || changes.iter().zip(&exponents).all(small) {
                        let (phase, divergence, step) =
                            (*phase, divergence / period, period / steps as f64);
                        return Ok(CycleSpectrum {
                            exponents,
                            step_errors: changes,
                            phase,
                            divergence,
                            step,
                        });
                    }
                }
                before = Some(exponents);
            }
            if last {
                return Err(lost());
            }
            steps *= 2;
        }
    }

    /// ln of the factor by which the rule at `x`, scaled by the ranges, is longer after it was carried around.
    fn growth_of_the_rule(&self, x: &[f64], factors: &[Vec<f64>]) -> f64 {
        let n = x.len();
        let (mut f, mut next) = (vec![0.0; n], vec![0.0; n]);
        self.system.rule(x, self.i_stim, self.p, &mut f);
        f.iter_mut().zip(&self.widths).for_each(|(f, w)| *f /= w);
        let mut grown = 0.0;
        let normalize = |f: &mut Vec<f64>| {
            let length = f.iter().map(|v| v * v).sum::<f64>().sqrt();
            f.iter_mut().for_each(|v| *v /= length);
            length.ln()
        };
        normalize(&mut f);
        for factor in factors {
            multiply(factor, &f, &mut next, n, 1);
            std::mem::swap(&mut f, &mut next);
            grown += normalize(&mut f);
        }
        grown
    }
}

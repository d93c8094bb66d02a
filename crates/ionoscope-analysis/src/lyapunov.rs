//! Lyapunov spectra of flows and maps.
//!
//! Small disturbances of a trajectory obey Q' = J(x(t)) Q (a flow) or Q(t + dt) = J(x(t)) Q(t) (a map). The exponents are their mean rates of
//! growth in the limit of long times (Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980) 9, doi 10.1007/BF02128236). Jacobians are
//! exact. How the limit is found depends on where the trajectory goes:
//!
//! - **A rest:** the real parts of the eigenvalues there (of a map ln |multiplier| / dt).
//! - **A cycle:** ln |Floquet multiplier| / period (see `cycle.rs`).
//! - **Anything else**, as chaos or a torus: the columns of an orthonormal Q are orthonormalized again after every step, and lambda_k is the
//!   mean of ln r_kk per unit of time, Q R being the decomposition after the step (see `average.rs`). Along a flow the states come from the
//!   integrator at tight tolerance, and Q is carried by Magnus' expansion of order 4 (see `tangent.rs`), which takes a stiff decay as it is.
//!
//! The error of an average has four parts, all measured on the run itself: the spread between several trajectories, how far frames that
//! began with other directions differ, how far twice the step differs, and a difference between the halves of the time that is no accident,
//! as where the trajectory has not settled. It is within the accuracy only if their sum is.
//!
//! Times follow from the system's own time scales (see [`crate::time_scales`]).

use ionoscope_dynamics::system::{DynamicalSystem, Time};

use crate::{Error, Result, conserved::Laws, fixed_points::refine_within};

mod answer;
mod average;
mod cycle;
mod dimension;
mod run;
mod settle;
#[cfg(test)]
mod tests;

pub use answer::{ErrorParts, INTERVAL, LyapunovOptions, LyapunovSpectrum, Motion};
use average::{Average, Means};
use dimension::kaplan_yorke;
use run::{LEAST_BLOCKS, MOST_WORK, Run};
use settle::Settled;

/// Turns of the motion between two looks, by default. A block is one.
const TURNS: f64 = 4.0;
/// Steps of a map in a block at least.
const MAP_STEPS: f64 = 64.0;
/// Blocks after which to stop by default, if the work does not end before.
const LONGEST: f64 = 8000.0;
/// A frame has turned when it was followed for so many times 1 / (distance to the next exponent): what is left is exp of minus that.
const TURNED: f64 = 12.0;

/// The spectrum along the trajectory that begins at `x0`, under a constant stimulus.
///
/// # Errors
/// Options that make no sense; a trajectory that fails or escapes, with the time; a Jacobian that is not finite.
pub fn lyapunov(
    system: &dyn DynamicalSystem,
    x0: &[f64],
    i_stim: f64,
    p: &[f64],
    options: &LyapunovOptions,
) -> Result<LyapunovSpectrum> {
    options.check(system)?;
    let widths = system
        .spec()
        .variables
        .iter()
        .map(|q| q.range[1] - q.range[0]);
    let widths = widths.map(|w| if w > 0.0 { w } else { 1.0 }).collect();
    let ranges: Vec<[f64; 2]> = system.spec().variables.iter().map(|q| q.range).collect();
    let laws = Laws::find(system, &[(i_stim, p.to_vec())], &ranges);
    let run = Run {
        system,
        i_stim,
        p,
        options,
        count: options.count.unwrap_or(system.dimension()),
        widths,
        laws,
    };
    let settled = run.settle(x0, options.transient.unwrap_or(0.0))?;
    match run.closed_form(&settled)? {
        Some(found) => Ok(found),
        None => run.average(settled),
    }
}

impl Run<'_> {
    /// The spectrum of a rest or a cycle.
    fn closed_form(&self, settled: &Settled) -> Result<Option<LyapunovSpectrum>> {
        let n = self.system.dimension();
        let zeros = vec![0.0; n];
        let (exponents, step, settling, divergence, period, tangent_step, time) =
            match &settled.motion {
                Motion::Other => return Ok(None),
                Motion::Rest { x, stable, neutral } => {
                    // Where the rest is not isolated, the state is one on the way to it.
                    let before = if *neutral == 0 || !*stable {
                        x
                    } else {
                        &settled.x
                    };
                    let (exponents, rounding, divergence) = self.exponents_of_rest(x, before)?;
                    let step = if self.system.time() == Time::Continuous {
                        None
                    } else {
                        Some(self.own_step())
                    };
                    (
                        exponents,
                        rounding,
                        zeros.clone(),
                        divergence,
                        None,
                        step,
                        0.0,
                    )
                }
                Motion::Cycle { x, period, .. } => {
                    let found = self.exponents_of_cycle(x, *period)?;
                    if !found.stable(self.system.time(), *period) {
                        return Ok(None);
                    }
                    let closing = vec![found.phase.abs(); n];
                    (
                        found.exponents,
                        found.step_errors,
                        closing,
                        found.divergence,
                        Some(*period),
                        Some(found.step),
                        *period,
                    )
                }
            };
        let parts = ErrorParts {
            spread: zeros.clone(),
            alignment: zeros,
            step,
            settling,
        };
        let means = Means {
            exponents,
            parts,
            divergence,
        };
        let scale = period.unwrap_or(settled.scales.slowest);
        let accuracy = self.accuracy(scale);
        let mut found = self.answer(means, settled, accuracy, n);
        (found.period, found.step, found.time) = (period, tangent_step, time);
        let x = match &settled.motion {
            Motion::Rest { x, .. } | Motion::Cycle { x, .. } => x,
            Motion::Other => &settled.x,
        };
        found.extrapolated = match period {
            None => self.extrapolates(x),
            Some(period) => {
                let dt = if self.own_step() > 0.0 {
                    self.own_step()
                } else {
                    period / 1024.0
                };
                let states = self.states(x, dt, (period / dt).round() as usize + 1)?;
                (0..states.len()).any(|k| self.extrapolates(states.state(k)))
            }
        };
        let total = Some(found.exponents.iter().sum());
        found.exponents.truncate(self.count);
        found.errors.truncate(self.count);
        let order: Vec<usize> = (0..self.count).collect();
        found.error_parts = found.error_parts.reordered(&order);
        found.judge(|e| self.within(accuracy, e));
        found.check_sum(total);
        Ok(Some(found))
    }

    /// Averages along the trajectory until the errors are within the accuracy, or the longest time is over.
    fn average(&self, mut settled: Settled) -> Result<LyapunovSpectrum> {
        let scales = &settled.scales;
        let turn = scales
            .period
            .unwrap_or(scales.slowest / LEAST_BLOCKS as f64);
        if !(turn.is_finite() && turn > 0.0) {
            return Err(Error::Failed(
                "the trajectory comes to a state at which nothing happens in some direction, and is neither a rest nor a motion whose exponents \
                 can be averaged; choose another start or parameter"
                    .into(),
            ));
        }
        let block = self.whole_steps(turn.max(MAP_STEPS * self.own_step()));
        let longest = self.options.longest.unwrap_or(LONGEST * block);
        // Even a short run has two halves.
        let block = self.whole_steps(block.min(longest / 2.0));
        let accuracy = self.accuracy(turn);
        // However rare they are asked for, a decision is not put off to the very end.
        let segment = self
            .options
            .segment
            .unwrap_or(TURNS * block)
            .min(longest / LEAST_BLOCKS as f64);
        // The quotient may round up.
        let looks = (segment / block - 1e-9).ceil().max(1.0) as usize;
        settled.motion = Motion::Other;

        let mut average = Average::new(self, &settled.x, block, accuracy)?;
        let mut convergence = Vec::new();
        let mut next_check = LEAST_BLOCKS;
        let mut refined = 0.0;
        loop {
            average.advance()?;
            let spent = self.options.longest.is_none() && average.work > MOST_WORK;
            let over = spent || refined + average.followed() + 0.5 * block > longest;
            if !average.blocks().is_multiple_of(looks) && !over {
                continue;
            }
            let means = average.means();
            convergence.push(means.exponents.clone());
            if average.blocks() >= next_check || over {
                next_check = 2 * average.blocks();
                // What looked irregular may have come to rest, or to a cycle, since then.
                let first = average
                    .states()
                    .next()
                    .map(<[f64]>::to_vec)
                    .unwrap_or_default();
                let resting = average.states().filter(|x| self.at_stable_rest(x)).count();
                if resting > 0 || over {
                    let mut now = self.settle(&first, 0.0)?;
                    now.transient += settled.transient + average.followed();
                    if let Some(found) = self.closed_form(&now)? {
                        return Ok(found);
                    }
                }
                if !over
                    && average.too_coarse(&means, accuracy)
                    && average.refine_from(&mut refined)
                {
                    (convergence, next_check) = (Vec::new(), LEAST_BLOCKS);
                    continue;
                }
                if !over
                    && means
                        .parts
                        .settling
                        .iter()
                        .zip(&means.parts.spread)
                        .any(|(d, s)| *d > accuracy && d > s)
                {
                    average.forget_older_half();
                    continue;
                }
            }
            let turned = self.turned(&means, &average, accuracy);
            let within = (0..self.count)
                .all(|k| means.parts.sum(k) <= self.within(accuracy, means.exponents[k]));
            if (within && turned && average.blocks() >= LEAST_BLOCKS) || over {
                let mut found = self.answer(means, &settled, accuracy, self.count);
                found.segment = looks as f64 * block;
                found.time = average.time() * self.options.trajectories as f64;
                found.transient += average.followed() - average.time();
                found.period = settled.scales.period;
                found.step = Some(average.step());
                found.extrapolated = average.extrapolated();
                found.convergence = convergence;
                found.judge(|e| self.within(accuracy, e));
                if !turned {
                    found.object(
                        "two exponents are so near each other that the frames have not turned into their directions; raise --t-end".into(),
                    );
                }
                if average.blocks() < LEAST_BLOCKS {
                    let least = LEAST_BLOCKS as f64 * turn;
                    found.object(format!("the time is too short to judge the errors; raise --t-end to {least:.3e} or more"));
                }
                let resting = average.states().filter(|x| self.at_stable_rest(x)).count();
                if resting > 0 {
                    let all = self.options.trajectories;
                    found.object(format!(
                        "{resting} of {all} trajectories have come to rest: irregular motion that ends; raise --transient"
                    ));
                }
                if !settled.scales.settled {
                    found.object("the trajectory was not seen to settle; raise --transient".into());
                }
                let complete = self.count == self.system.dimension();
                found.check_phase(self.system.time(), complete);
                found.check_sum(complete.then(|| found.exponents.iter().sum()));
                return Ok(found);
            }
        }
    }

    /// Whether the frames were followed for long enough to tell neighbors apart. What differs by less than the accuracy need not be.
    fn turned(&self, means: &Means, average: &Average, accuracy: f64) -> bool {
        let mut sorted = means.exponents.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        sorted
            .windows(2)
            .map(|pair| pair[0] - pair[1])
            .all(|gap| gap <= accuracy || gap * average.followed() >= TURNED)
    }

    fn at_stable_rest(&self, x: &[f64]) -> bool {
        let point = refine_within(Some(&self.laws), self.system, x, self.i_stim, self.p)
            .ok()
            .flatten();
        point.is_some_and(|point| point.stable && self.distance(x, &point.x) <= 1e-6)
    }

    /// An answer from means, in descending order.
    fn answer(
        &self,
        means: Means,
        settled: &Settled,
        accuracy: f64,
        computed: usize,
    ) -> LyapunovSpectrum {
        let mut order: Vec<usize> = (0..computed).collect();
        order.sort_by(|a, b| means.exponents[*b].total_cmp(&means.exponents[*a]));
        let exponents: Vec<f64> = order.iter().map(|k| means.exponents[*k]).collect();
        let error_parts = means.parts.reordered(&order);
        let errors = error_parts.sums();
        let complete = computed == self.system.dimension();
        let turn = settled.scales.period.unwrap_or(settled.scales.slowest);
        let dimension = kaplan_yorke(&exponents, &errors, complete, &settled.motion, turn);
        LyapunovSpectrum {
            exponents,
            errors,
            error_parts,
            reached: false,
            not_reached_because: Vec::new(),
            motion: settled.motion.clone(),
            divergence: means.divergence,
            kaplan_yorke_dimension: dimension.as_ref().ok().copied(),
            dimension_undecided_because: dimension.err(),
            accuracy,
            time: 0.0,
            transient: settled.transient,
            segment: 0.0,
            period: None,
            step: None,
            convergence: Vec::new(),
            extrapolated: false,
        }
    }
}

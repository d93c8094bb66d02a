//! Lyapunov spectra of flows and maps.
//!
//! Small disturbances of a trajectory obey Q' = J(x(t)) Q (a flow) or Q(t + dt) = J(x(t)) Q(t) (a map). The exponents are their mean rates of
//! growth in the limit of long times (Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980) 9, doi 10.1007/BF02128236). Jacobians are
//! exact. How the limit is found depends on where the trajectory goes:
//!
//! - **A rest:** the real parts of the eigenvalues there (of a map ln |multiplier| / dt).
//! - **A cycle:** ln |Floquet multiplier| / period (see `cycle.rs`).
//! - **Anything else**, as chaos or a torus: the columns of an orthonormal Q are orthonormalised again after every step, and lambda_k is the
//!   mean of ln r_kk per unit of time, Q R being the decomposition after the step (see `average.rs`). Along a flow the states come from the
//!   integrator at tight tolerance, and Q is carried by Magnus' expansion of order 4 (see `tangent.rs`), which takes a stiff decay as it is.
//!
//! The error of an average has four parts, all measured on the run itself: the spread between several trajectories, how far frames that
//! began with other directions differ, how far twice the step differs, and a difference between the halves of the time that is no accident,
//! as where the trajectory has not settled. It is within the accuracy only if their sum is.
//!
//! Times follow from the system's own time scales (see [`crate::time_scales`]).

use ionoscope_dynamics::{
    protocol::Protocol,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, conserved::Laws, fixed_points::refine_within};

mod average;
mod cycle;
mod dimension;
mod settle;
#[cfg(test)]
mod tests;

use average::{Average, Means};
use dimension::kaplan_yorke;
use settle::Settled;

/// Steps of the tangent flow in a block, or a period, at most: with more, the states no longer fit in memory beside each other.
const MOST_STEPS: usize = 1 << 20;
/// Turns of the motion between two looks, by default. A block is one.
const TURNS: f64 = 4.0;
/// Steps of a map in a block at least.
const MAP_STEPS: f64 = 64.0;
/// Blocks before the first decision: the spread of fewer is itself uncertain.
const LEAST_BLOCKS: usize = 16;
/// Error that is asked for by default: in 1 / time of a turn (at a rest in 1 / slowest decay time), or relative to the exponent.
const ACCURACY: f64 = 5e-3;
const RELATIVE: f64 = 1e-5;
/// Blocks after which to stop by default, or work, if that is less: steps of all trajectories times the variables' third power.
const LONGEST: f64 = 8000.0;
const MOST_WORK: f64 = 2e9;
/// What a step costs beside the third power: of a flow, and of a map, which may be a network.
const STEP_WORK: f64 = 100.0;
const MAP_WORK: f64 = 1000.0;
/// A frame has turned when it was followed for so many times 1 / (distance to the next exponent): what is left is exp of minus that.
const TURNED: f64 = 12.0;
/// Standard errors on either side of an exponent that make its interval.
pub const INTERVAL: f64 = 3.0;

/// Numerical knobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LyapunovOptions {
    /// Number of exponents, the largest first; all when `None`.
    pub count: Option<usize>,
    /// Time before anything is counted, at least. `None`: until the trajectory has settled, as far as its time scales show.
    pub transient: Option<f64>,
    /// Time between two looks at the errors, rounded up to whole turns of the motion, at most a sixteenth of the longest time. `None`: four
    /// turns.
    pub segment: Option<f64>,
    /// Trajectories side by side.
    pub trajectories: usize,
    /// Error, per unit of time, at which to stop. `None`: 0.005 / time of a turn (at a rest, / time of the slowest decay), or 1e-5 of the
    /// exponent where that is more.
    pub accuracy: Option<f64>,
    /// Time of each trajectory after which to stop in any case. `None`: 8000 turns, or some minutes' work.
    pub longest: Option<f64>,
    /// Tolerances of a flow's trajectories.
    pub solve: SolveOptions,
}

impl Default for LyapunovOptions {
    fn default() -> Self {
        let solve = SolveOptions {
            rtol: 1e-9,
            atol: 1e-11,
            ..SolveOptions::default()
        };
        LyapunovOptions {
            count: None,
            transient: None,
            segment: None,
            trajectories: 16,
            accuracy: None,
            longest: None,
            solve,
        }
    }
}

impl LyapunovOptions {
    fn check(&self, system: &dyn DynamicalSystem) -> Result<()> {
        let n = system.dimension();
        let positive = [
            ("segment", self.segment),
            ("accuracy", self.accuracy),
            ("longest time", self.longest),
        ];
        if let Some((name, value)) = positive
            .iter()
            .find_map(|(n, v)| Some((n, v.filter(|v| !(*v > 0.0 && v.is_finite()))?)))
        {
            return Err(Error::Invalid(format!(
                "the {name} is {value}; expected a finite number larger than 0"
            )));
        }
        if let Some(transient) = self.transient.filter(|t| !(*t >= 0.0 && t.is_finite())) {
            return Err(Error::Invalid(format!(
                "the transient is {transient}; expected a finite number, 0 or larger"
            )));
        }
        if !(2..=1024).contains(&self.trajectories) {
            return Err(Error::Invalid(format!(
                "{} trajectories; expected 2 to 1024, from whose spread the errors follow",
                self.trajectories
            )));
        }
        if let Some(count) = self.count.filter(|c| !(1..=n).contains(c)) {
            return Err(Error::Invalid(format!(
                "{count} exponents of {}; expected 1 to {n}, the number of its variables",
                system.spec().id
            )));
        }
        Ok(())
    }
}

/// Where the trajectory went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Motion {
    /// To a fixed point.
    Rest {
        /// The state there.
        x: Vec<f64>,
        /// Whether small disturbances decay. Where not, the start is on the point, and the exponents are not those of an attractor.
        stable: bool,
        /// How many eigenvalues are zero: as many as quantities are conserved, or one more at a bifurcation.
        neutral: usize,
    },
    /// To a cycle.
    Cycle {
        /// A state on it.
        x: Vec<f64>,
        /// Its period.
        period: f64,
        /// Whether small disturbances decay.
        stable: bool,
    },
    /// To neither: averages over time.
    Other,
}

/// What an error consists of: for each exponent, per unit of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorParts {
    /// Standard error from the spread between the trajectories.
    pub spread: Vec<f64>,
    /// What frames that began with other directions differ by.
    pub alignment: Vec<f64>,
    /// What twice the step makes different; at a rest what rounding does.
    pub step: Vec<f64>,
    /// What the halves of the time differ by beyond accident; on a cycle how far its phase's exponent is from zero.
    pub settling: Vec<f64>,
}

impl ErrorParts {
    fn all(&self) -> [(&'static str, &Vec<f64>); 4] {
        [
            ("the spread between the trajectories", &self.spread),
            ("the alignment of the frames", &self.alignment),
            ("the step of the tangent flow", &self.step),
            (
                "the way to the attractor, which is not over",
                &self.settling,
            ),
        ]
    }

    fn sum(&self, k: usize) -> f64 {
        self.all().iter().map(|(_, part)| part[k]).sum()
    }

    fn sums(&self) -> Vec<f64> {
        (0..self.spread.len()).map(|k| self.sum(k)).collect()
    }

    /// Applies an order of the exponents.
    fn reordered(&self, order: &[usize]) -> Self {
        let of = |part: &Vec<f64>| order.iter().map(|k| part[*k]).collect();
        ErrorParts {
            spread: of(&self.spread),
            alignment: of(&self.alignment),
            step: of(&self.step),
            settling: of(&self.settling),
        }
    }
}

/// A spectrum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LyapunovSpectrum {
    /// Exponents per unit of time, descending.
    pub exponents: Vec<f64>,
    /// Their errors: the sums of the parts.
    pub errors: Vec<f64>,
    /// Parts of the errors.
    pub error_parts: ErrorParts,
    /// Whether all errors are within the accuracy and nothing speaks against the answer.
    pub reached: bool,
    /// What is too large or speaks against the answer, and what to do; empty where it is reached.
    pub not_reached_because: Vec<String>,
    /// Where the trajectory went.
    pub motion: Motion,
    /// Mean divergence per unit of time: what all exponents sum up to.
    pub divergence: f64,
    /// Dimension of the attractor after Kaplan and Yorke; an exponent whose interval of three errors holds zero counts as zero. `None` where
    /// it is not decided.
    pub kaplan_yorke_dimension: Option<f64>,
    /// Why the dimension is not decided.
    pub dimension_undecided_because: Option<String>,
    /// Error that was asked for.
    pub accuracy: f64,
    /// Time that was averaged over, all trajectories together; 0 at a rest and, on a cycle, its period.
    pub time: f64,
    /// Time before anything was counted.
    pub transient: f64,
    /// Time between two looks at the errors.
    pub segment: f64,
    /// The period of the motion, or the mean time of its turns; none at a rest.
    pub period: Option<f64>,
    /// Step of the tangent flow, or of the map; none at a flow's rest.
    pub step: Option<f64>,
    /// Exponents after each segment.
    pub convergence: Vec<Vec<f64>>,
    /// Whether a surrogate left what it was trained on; never for equations.
    pub extrapolated: bool,
}

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

struct Run<'a> {
    system: &'a dyn DynamicalSystem,
    i_stim: f64,
    p: &'a [f64],
    options: &'a LyapunovOptions,
    count: usize,
    /// Widths of the variables' ranges.
    widths: Vec<f64>,
    /// What is conserved.
    laws: Laws<'a>,
}

impl Run<'_> {
    /// Step of a map; 0 of a flow.
    fn own_step(&self) -> f64 {
        if let Time::Discrete { dt } = self.system.time() {
            dt
        } else {
            0.0
        }
    }

    /// A time as a whole number of the map's steps, no fewer than one unless it is zero.
    fn whole_steps(&self, time: f64) -> f64 {
        match self.system.time() {
            Time::Discrete { dt } if time > 0.0 => (time / dt).round().max(1.0) * dt,
            _ => time,
        }
    }

    fn experiment(&self, x: &[f64], times: TimeGrid) -> Experiment {
        Experiment {
            x0: x.to_vec(),
            p: self.p.to_vec(),
            protocol: Protocol::constant(self.i_stim),
            times,
        }
    }

    /// States from `x` on, `dt` apart.
    fn states(&self, x: &[f64], dt: f64, count: usize) -> Result<Trajectory> {
        Ok(self.system.simulate(
            &self.experiment(x, TimeGrid::new(0.0, dt, count)?),
            &self.options.solve,
        )?)
    }

    /// The state a time later.
    fn advance(&self, x: &[f64], time: f64) -> Result<Vec<f64>> {
        if time <= 0.0 {
            return Ok(x.to_vec());
        }
        let times = TimeGrid::new(time, time, 1)?;
        let end = self
            .system
            .simulate(&self.experiment(x, times), &self.options.solve)?;
        Ok(end.state(0).to_vec())
    }

    /// What a step of a frame costs.
    fn step_work(&self) -> f64 {
        let own = if self.own_step() > 0.0 {
            MAP_WORK
        } else {
            STEP_WORK
        };
        (self.count * self.widths.len().pow(2)) as f64 + own
    }

    /// The accuracy that is asked for, where a turn takes the time `scale`.
    fn accuracy(&self, scale: f64) -> f64 {
        self.options.accuracy.unwrap_or(if scale.is_finite() {
            ACCURACY / scale
        } else {
            ACCURACY
        })
    }

    /// The error that an exponent may have.
    fn within(&self, accuracy: f64, exponent: f64) -> f64 {
        if self.options.accuracy.is_some() {
            accuracy
        } else {
            accuracy.max(RELATIVE * exponent.abs())
        }
    }

    fn extrapolates(&self, x: &[f64]) -> bool {
        self.system.spec().extrapolates(x, self.p)
    }

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

    /// Whether the frames were followed for long enough to tell neighbours apart. What differs by less than the accuracy need not be.
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

impl LyapunovSpectrum {
    /// Judges the errors.
    fn judge(&mut self, within: impl Fn(f64) -> f64) {
        self.reached = self
            .exponents
            .iter()
            .zip(&self.errors)
            .all(|(exponent, error)| *error <= within(*exponent));
        if self.reached {
            return;
        }
        // Of the exponent that is farthest from it.
        let excess = |k: &usize| self.errors[*k] / within(self.exponents[*k]);
        let Some(worst) = (0..self.errors.len()).max_by(|a, b| excess(a).total_cmp(&excess(b)))
        else {
            return;
        };
        let mut parts: Vec<(&str, f64)> = self
            .error_parts
            .all()
            .iter()
            .map(|(name, part)| (*name, part[worst]))
            .collect();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1));
        let advice = match (&self.motion, parts[0].0) {
            (Motion::Rest { .. } | Motion::Cycle { .. }, _) => "lower --rtol, or accept the error",
            (Motion::Other, "the step of the tangent flow") => {
                "no shorter step is worth its time; accept the error"
            }
            (Motion::Other, "the way to the attractor, which is not over") => "raise --transient",
            (Motion::Other, _) => "raise --t-end",
        };
        let (part, size, asked, worst) = (
            parts[0].0,
            parts[0].1,
            within(self.exponents[worst]),
            worst + 1,
        );
        let because = format!(
            "{part} makes an error of {size:.1e} in exponent {worst}, {asked:.1e} was asked for; {advice}"
        );
        self.not_reached_because.push(because);
    }

    fn object(&mut self, because: String) {
        self.reached = false;
        self.not_reached_because.push(because);
    }

    /// All exponents together make the mean divergence, which is found without them.
    fn check_sum(&mut self, total: Option<f64>) {
        let Some(total) = total else { return };
        let allowed = self.errors.iter().sum::<f64>()
            + 1e-9 * total.abs()
            + self.accuracy.max(RELATIVE * total.abs());
        let agree = (total - self.divergence).abs() <= allowed;
        if !agree {
            self.object(format!(
                "the exponents sum up to {total:.6}, the mean divergence is {:.6}; lower --rtol",
                self.divergence
            ));
        }
    }

    /// A flow that does not rest has an exponent of zero, that of its phase.
    fn check_phase(&mut self, time: Time, complete: bool) {
        if time != Time::Continuous || !complete {
            return;
        }
        let zero = |(e, error): (&f64, &f64)| e.abs() <= INTERVAL * error.max(self.accuracy);
        if !self.exponents.iter().zip(&self.errors).any(zero) {
            self.object("no exponent is zero, although the flow does not rest: it has not settled; raise --transient".into());
        }
    }
}

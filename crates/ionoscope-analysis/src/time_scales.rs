//! The time scales of a system, measured on its own motion from a start, whatever its unit of time.
//!
//! The system is followed in windows, each as long as all before, until it is seen to rest, to repeat itself or to go on irregularly in the
//! same way, or until a stated amount of work is spent. The first window is a share of the fastest time of the linearized rule at the start,
//! so that no time is taken for granted:
//!
//! - **Rest**: within a thousandth of the ranges of a stable fixed point and coming nearer, or moving less than a millionth of them over half
//!   of all the time (where rest is not isolated). Slowest is the slowest decay of the linearization there; directions in which nothing happens
//!   at all, as along a conserved quantity, do not count.
//! - **Periodic**: returns to a section repeat, the section being in the variable that passes least often: of a burst the period is that of
//!   the burst, not of its spikes. Slowest is the period, or the time in which returns approach each other where that is longer.
//! - **Irregular**: no returns repeat, but both halves of the window have the same extents and the same mean time between passages; that
//!   time, of the slowest variable, is the period.

use ionoscope_dynamics::{
    protocol::Protocol,
    spec::Quantity,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, FailureReason, Outcome, SolveOptions, TimeGrid, Trajectory},
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    conserved::Laws,
    fixed_points::refine_within,
    residual::residual,
    returns::{self, SAME_RETURN, extent},
    spectrum::{Complex, spectrum},
};

/// States looked at in a window.
const SAMPLES: usize = 4096;
/// Work after which following ends: steps times variables.
const MOST_WORK: f64 = 2e6;
/// Doublings after which following ends in any case.
const MOST_WINDOWS: usize = 64;
/// The first window, in fastest times.
const FIRST: f64 = 16.0;
/// Shares of the ranges: near a fixed point, and no motion at all.
pub(crate) const NEAR: f64 = 1e-3;
pub(crate) const STILL: f64 = 1e-6;
/// A state so many ranges away has escaped.
const ESCAPED: f64 = 1e3;
/// An eigenvalue below this share of the largest is that of a direction in which nothing happens.
const NEUTRAL: f64 = 1e-12;
/// Passages in each half of an irregular motion, and by how much the halves may differ.
pub(crate) const PASSAGES: usize = 10;
pub(crate) const HALVES_AGREE: f64 = 0.1;

/// What a system was seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Motion {
    /// It rests, or is about to.
    Rest,
    /// It repeats itself, or is about to.
    Periodic,
    /// It goes on in the same way without repeating itself.
    Irregular,
    /// None of these within the work that was spent.
    NotSettled,
    /// It left all that is finite.
    Escaped,
}

/// Time scales, in the system's unit of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeScales {
    /// What the system was seen to do.
    pub motion: Motion,
    /// Of a motion the shortest time in which a variable would cross its extent; at rest that of the fastest decay. Of a map at least its step.
    pub fastest: f64,
    /// At rest the time of the slowest decay; of a motion its period, or the time in which it comes to repeat itself where that is longer. Where
    /// it has not settled, the time for which it was followed: the slowest time is longer.
    pub slowest: f64,
    /// The period; of an irregular motion the mean time between passages of its slowest variable.
    pub period: Option<f64>,
    /// Whether rest, a cycle or an irregular motion was recognized. Where not, `slowest` is only a lower bound.
    pub settled: bool,
    /// Time after which it was recognized, or given up.
    pub followed: f64,
    /// The state at that time.
    pub state: Vec<f64>,
}

/// Measures the time scales from `x0` under a constant stimulus. A start on an unstable fixed point is moved off it by a thousandth of the
/// ranges. The work is bounded: where it does not suffice, `settled` says so.
///
/// # Errors
/// A start, parameters or a stimulus that are wrong or not finite; whatever the solver refuses. A trajectory that fails is no error.
pub fn time_scales(
    system: &dyn DynamicalSystem,
    x0: &[f64],
    i_stim: f64,
    p: &[f64],
    solve: &SolveOptions,
) -> Result<TimeScales> {
    if !i_stim.is_finite() {
        return Err(Error::Invalid(format!(
            "the stimulus is {i_stim}; expected a finite number"
        )));
    }
    let own = if let Time::Discrete { dt } = system.time() {
        Some(dt)
    } else {
        None
    };
    let ranges: Vec<[f64; 2]> = system.spec().variables.iter().map(|q| q.range).collect();
    let laws = Laws::find(system, &[(i_stim, p.to_vec())], &ranges);
    let run = Run {
        system,
        i_stim,
        p,
        solve,
        widths: widths(system),
        laws,
    };
    let mut x = x0.to_vec();
    let (mut followed, mut work) = (0.0, 0.0);
    let mut window = match own {
        Some(dt) => dt * SAMPLES as f64,
        None => FIRST * run.guess(&x),
    };
    for _ in 0..MOST_WINDOWS {
        let dt = own.map_or(window / SAMPLES as f64, |dt| {
            (window / SAMPLES as f64 / dt).round().max(1.0) * dt
        });
        let (trajectory, failed) = run.follow(&x, dt)?;
        let steps = trajectory.statistics.accepted + trajectory.statistics.rejected;
        work += (steps * system.dimension() as u64) as f64;
        if let Some(failed) = failed {
            return Ok(run.gave_up(
                failed,
                followed + trajectory.len() as f64 * dt,
                &trajectory,
                x,
            ));
        }
        followed += dt * SAMPLES as f64;
        window = followed;
        let end = trajectory.state(trajectory.len() - 1).to_vec();
        match run.rest(&trajectory)? {
            Rests::Stable { fastest, slowest } => {
                let floor = own.unwrap_or(0.0);
                let (fastest, slowest) = (fastest.max(floor), slowest.max(floor));
                return Ok(TimeScales {
                    motion: Motion::Rest,
                    fastest,
                    slowest,
                    period: None,
                    settled: true,
                    followed,
                    state: end,
                });
            }
            Rests::Unstable => {
                x = run.beside(&end);
                continue;
            }
            Rests::Moves => {}
        }
        if let Some(mut found) = run.iterates(&end, dt)?.or_else(|| run.goes_on(&trajectory)) {
            (found.followed, found.state) = (followed, end);
            if found.motion == Motion::Periodic {
                found.fastest = run.fastest_of_cycle(&found)?;
            }
            return Ok(found);
        }
        x = end;
        if work > MOST_WORK {
            return Ok(run.gave_up(Motion::NotSettled, followed, &trajectory, x));
        }
    }
    let (trajectory, _) = run.follow(&x, own.unwrap_or(window / SAMPLES as f64))?;
    Ok(run.gave_up(Motion::NotSettled, followed, &trajectory, x))
}

/// Decay times at a fixed point, fastest and slowest, from its eigenvalues; directions in which nothing happens do not count. Infinite where
/// there are no others.
pub fn decay_times(eigenvalues: &[Complex]) -> [f64; 2] {
    let largest = eigenvalues
        .iter()
        .map(|mu| mu.modulus())
        .fold(0.0, f64::max);
    let counts = eigenvalues
        .iter()
        .filter(|mu| mu.modulus() > NEUTRAL * largest);
    let slowest = counts.map(|mu| mu.re.abs()).fold(f64::INFINITY, f64::min);
    [
        1.0 / largest,
        if slowest.is_finite() {
            1.0 / slowest
        } else {
            f64::INFINITY
        },
    ]
}

/// Whether a state is beyond all that makes sense: so many ranges away.
pub(crate) fn escaped(system: &dyn DynamicalSystem, x: &[f64]) -> bool {
    let far = |(x, q): (&f64, &Quantity)| {
        let [low, high] = q.range;
        !((low - ESCAPED * (high - low))..=(high + ESCAPED * (high - low))).contains(x)
    };
    x.iter().zip(&system.spec().variables).any(far)
}

/// Whether a state of a map is where its image is, in units of `widths`: a window of longer steps than the map's own does not show it. A flow's window
/// does.
pub(crate) fn stays(
    system: &dyn DynamicalSystem,
    x: &[f64],
    i_stim: f64,
    p: &[f64],
    widths: &[f64],
) -> bool {
    let mut moves = vec![0.0; x.len()];
    residual(system, x, i_stim, p, &mut moves);
    system.time() == Time::Continuous || moves.iter().zip(widths).all(|(m, w)| m.abs() <= STILL * w)
}

fn widths(system: &dyn DynamicalSystem) -> Vec<f64> {
    system
        .spec()
        .variables
        .iter()
        .map(|q| (q.range[1] - q.range[0]).max(f64::MIN_POSITIVE))
        .collect()
}

enum Rests {
    Stable { fastest: f64, slowest: f64 },
    Unstable,
    Moves,
}

struct Run<'a> {
    system: &'a dyn DynamicalSystem,
    i_stim: f64,
    p: &'a [f64],
    solve: &'a SolveOptions,
    widths: Vec<f64>,
    laws: Laws<'a>,
}

impl Run<'_> {
    /// A time in which little happens at a state of a flow: from the linearized rule and from the rule itself, in units of the ranges.
    fn guess(&self, x: &[f64]) -> f64 {
        let n = x.len();
        let (mut dx, mut jacobian) = (vec![0.0; n], vec![0.0; n * n]);
        self.system.rule(x, self.i_stim, self.p, &mut dx);
        self.system.jacobian(x, self.i_stim, self.p, &mut jacobian);
        let row = |i: usize| {
            (0..n)
                .map(|j| (jacobian[i * n + j] * self.widths[j] / self.widths[i]).abs())
                .sum::<f64>()
        };
        let rates = (0..n)
            .flat_map(|i| [row(i), (dx[i] / self.widths[i]).abs()])
            .filter(|r| r.is_finite());
        let fastest = rates.fold(0.0, f64::max);
        // Nothing happens: any time is as good.
        if fastest > 0.0 {
            (1.0 / fastest).clamp(1e-100, 1e100)
        } else {
            1.0
        }
    }

    /// A window in steps of `dt`, its start included, and as what it counts where it failed.
    fn follow(&self, x: &[f64], dt: f64) -> Result<(Trajectory, Option<Motion>)> {
        let experiment = Experiment {
            x0: x.to_vec(),
            p: self.p.to_vec(),
            protocol: Protocol::constant(self.i_stim),
            times: TimeGrid::new(0.0, dt, SAMPLES + 1)?,
        };
        let mut options = self.solve.clone();
        options.max_steps = options
            .max_steps
            .min((MOST_WORK / x.len() as f64) as u64 * 4);
        let mut all = self.system.solve_ensemble(&[experiment], &options)?;
        let trajectory = all
            .pop()
            .ok_or_else(|| Error::Invalid("an ensemble of one came back empty".into()))?;
        let finite = trajectory.x.iter().all(|x| x.is_finite());
        let failed = match &trajectory.outcome {
            // Whether it would have gone anywhere is not known, unless it has.
            Outcome::Failed {
                reason: FailureReason::TooManySteps { .. },
                ..
            } => {
                let away = trajectory.last().is_some_and(|x| escaped(self.system, x));
                Some(if away {
                    Motion::Escaped
                } else {
                    Motion::NotSettled
                })
            }
            Outcome::Failed { .. } => Some(Motion::Escaped),
            Outcome::Completed => {
                let away = trajectory.last().is_none_or(|x| escaped(self.system, x));
                (!finite || trajectory.len() < 2 || away).then_some(Motion::Escaped)
            }
        };
        Ok((trajectory, failed))
    }

    /// A state beside an unstable one: a little nearer to the middle of the ranges, and on the level of what is conserved.
    fn beside(&self, x: &[f64]) -> Vec<f64> {
        let ranges: Vec<[f64; 2]> = self
            .system
            .spec()
            .variables
            .iter()
            .map(|q| q.range)
            .collect();
        let step = |k: usize| if x[k] > 0.5 * (ranges[k][0] + ranges[k][1]) { -NEAR } else { NEAR } * self.widths[k];
        let aside: Vec<f64> = (0..x.len()).map(|k| x[k] + step(k)).collect();
        if self.laws.is_empty() {
            return aside;
        }
        self.laws
            .move_to(&aside, self.p, &self.laws.values(x, self.p), &ranges)
            .unwrap_or(aside)
    }

    /// The cycle of a map whose window was looked at in longer steps than its own, `dt`: states that come back exactly may look like a rest there, or
    /// like a longer cycle.
    fn iterates(&self, x: &[f64], dt: f64) -> Result<Option<TimeScales>> {
        let Time::Discrete { dt: own } = self.system.time() else {
            return Ok(None);
        };
        if dt < 1.5 * own {
            return Ok(None);
        }
        let (trajectory, failed) = self.follow(x, own)?;
        if failed.is_some() {
            return Ok(None);
        }
        let found = returns::Motion::of(self.system, self.i_stim, self.p, &trajectory)
            .iterates(SAME_RETURN);
        Ok(
            found
                .map(|cycle| self.found(Motion::Periodic, &trajectory, cycle.period, cycle.period)),
        )
    }

    fn found(&self, motion: Motion, t: &Trajectory, period: f64, slowest: f64) -> TimeScales {
        let fastest = self.fastest(t);
        TimeScales {
            motion,
            fastest,
            slowest,
            period: Some(period),
            settled: true,
            followed: 0.0,
            state: Vec::new(),
        }
    }

    /// The distance of two states in units of the ranges.
    fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        a.iter()
            .zip(b)
            .zip(&self.widths)
            .map(|((a, b), w)| (a - b).abs() / w)
            .fold(0.0, f64::max)
    }

    fn rest(&self, t: &Trajectory) -> Result<Rests> {
        let (first, last) = (t.state(0), t.state(t.len() - 1));
        let moved = |from: usize| {
            (from..t.len())
                .map(|k| self.distance(t.state(k), last))
                .fold(0.0, f64::max)
        };
        if moved(t.len() / 2) > NEAR {
            return Ok(Rests::Moves);
        }
        let at = |eigenvalues: &[Complex]| {
            let [fastest, slowest] = decay_times(eigenvalues);
            Rests::Stable { fastest, slowest }
        };
        if let Some(point) = refine_within(Some(&self.laws), self.system, last, self.i_stim, self.p)
            .ok()
            .flatten()
        {
            let [before, after] = [first, last].map(|x| self.distance(x, &point.x));
            let comes = after <= 0.5 * before || after <= 1e-9;
            if after <= NEAR && comes && point.stable {
                return Ok(at(&point.eigenvalues));
            }
            if after <= 1e-9
                && !point.stable
                && point.eigenvalues[0].re
                    > NEUTRAL
                        * point
                            .eigenvalues
                            .iter()
                            .map(|m| m.modulus())
                            .fold(0.0, f64::max)
            {
                return Ok(Rests::Unstable);
            }
        }
        if moved(0) > STILL || !stays(self.system, last, self.i_stim, self.p, &self.widths) {
            return Ok(Rests::Moves);
        }
        // Almost no motion over half of all the time, and no isolated point: a rest among others, unless something grows.
        let found = spectrum(self.system, last, self.i_stim, self.p)?;
        let largest = found
            .eigenvalues
            .iter()
            .map(|m| m.modulus())
            .fold(0.0, f64::max);
        let grows = found.eigenvalues[0].re > 1e-9 * largest;
        let decays = decay_times(&found.eigenvalues)[1];
        let long = (t.times.end() >= decays) || !decays.is_finite();
        Ok(if !grows && long {
            at(&found.eigenvalues)
        } else {
            Rests::Moves
        })
    }

    /// A cycle or an irregular motion that both halves of a window show.
    fn goes_on(&self, t: &Trajectory) -> Option<TimeScales> {
        let motion = returns::Motion::of(self.system, self.i_stim, self.p, t);
        let found = |motion, period: f64, slowest: f64| self.found(motion, t, period, slowest);
        if let Some(cycle) = motion.cycle(SAME_RETURN) {
            let approach = cycle.shrinks.map_or(0.0, |q| -cycle.period / q.ln());
            return Some(found(
                Motion::Periodic,
                cycle.period,
                cycle.period.max(approach),
            ));
        }
        // Every variable that moves passes often enough: none drifts, and none is slower than what was seen.
        let (passages, all) = motion.passages(2 * PASSAGES);
        let slowest = passages.first().filter(|_| all)?;
        let n = t.dimension;
        let whole = extent(&t.x, n);
        let halves = [
            extent(&t.x[..t.len() / 2 * n], n),
            extent(&t.x[t.len() / 2 * n..], n),
        ];
        let agree = (0..n).all(|i| {
            let allowed = HALVES_AGREE * (whole[i][1] - whole[i][0]);
            (0..2).all(|side| (halves[0][i][side] - halves[1][i][side]).abs() <= allowed)
        });
        let early = slowest.at.iter().filter(|k| **k < t.len() / 2).count() as f64;
        let late = slowest.at.len() as f64 - early;
        let even = (early - late).abs() <= 0.25 * (early + late);
        let period = slowest.interval()? * t.times.dt;
        (agree && even).then(|| found(Motion::Irregular, period, period))
    }

    /// The shortest time in which a variable would cross its extent.
    fn fastest(&self, t: &Trajectory) -> f64 {
        let n = t.dimension;
        let range = extent(&t.x, n);
        let mut dx = vec![0.0; n];
        let mut rate = 0.0f64;
        for k in 0..t.len() - 1 {
            match self.system.time() {
                Time::Continuous => self.system.rule(t.state(k), self.i_stim, self.p, &mut dx),
                Time::Discrete { .. } => {
                    (0..n).for_each(|i| dx[i] = (t.state(k + 1)[i] - t.state(k)[i]) / t.times.dt)
                }
            }
            for (d, [low, high]) in dx.iter().zip(&range) {
                if high > low && d.is_finite() {
                    rate = rate.max(d.abs() / (high - low));
                }
            }
        }
        let own = if let Time::Discrete { dt } = self.system.time() {
            dt
        } else {
            0.0
        };
        if rate > 0.0 {
            (1.0 / rate).max(own)
        } else {
            t.times.end().max(own)
        }
    }

    /// As [`Run::fastest`], of one period looked at closely: a spike may hide between the looks of a long window.
    fn fastest_of_cycle(&self, found: &TimeScales) -> Result<f64> {
        let period = found.period.unwrap_or(found.slowest);
        let dt = match self.system.time() {
            Time::Continuous => period / SAMPLES as f64,
            Time::Discrete { dt } => dt,
        };
        let (trajectory, failed) = self.follow(&found.state, dt)?;
        Ok(if failed.is_some() {
            found.fastest
        } else {
            self.fastest(&trajectory).min(found.fastest)
        })
    }

    fn gave_up(
        &self,
        motion: Motion,
        followed: f64,
        t: &Trajectory,
        state: Vec<f64>,
    ) -> TimeScales {
        let fastest = if t.len() > 1 {
            self.fastest(t)
        } else {
            followed
        };
        TimeScales {
            motion,
            fastest,
            slowest: followed,
            period: None,
            settled: false,
            followed,
            state,
        }
    }
}

#[cfg(test)]
mod tests;

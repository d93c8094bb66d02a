//! What the trajectory settles to: a rest, a cycle, or neither.
//!
//! At a rest and on a cycle the exponents have closed forms, and an average along the trajectory only approaches them, slowly where two are
//! near each other. So the trajectory is first followed until its time scales are known (see [`crate::time_scales`]), and then either moved
//! on to the rest, or closed to the cycle by Newton's method (shooting), or averaged along.

use faer::Mat;
use ionoscope_dynamics::{
    system::Time,
    trajectory::{SolveOptions, TimeGrid},
};

use super::{answer::Motion, run::Run};
use crate::{
    Error, Result,
    fixed_points::refine_within,
    residual::residual_jacobian,
    spectrum::{Complex, spectrum},
    tangent::Frame,
    time_scales::{self, TimeScales, time_scales},
};

/// Distance from a rest, in units of the ranges, at which the trajectory has come to it.
const AT_REST: f64 = 1e-7;
/// Distance from a rest below which the linearization there describes the motion.
const NEAR_REST: f64 = 1e-3;
/// Relative size of what rounding leaves open of a rest.
const ROUNDING: f64 = 1e-12;
/// Slowest decay times that are waited for at most, so that even the first is over: e^-30 = 1e-13.
const DECAYS: f64 = 30.0;
/// And in much more than the time in which the time scales were found.
const PATIENCE: f64 = 100.0;
/// An eigenvalue below this share of the largest is zero.
const NEUTRAL: f64 = 1e-11;
/// Growth, as a power of e, after which what a start on an unstable rest is off would have shown; steps that may take.
const GROWN: f64 = 60.0;
const MOST_FLOW_STEPS: u64 = 100_000;
const MOST_MAP_STEPS: f64 = 1e6;
/// Distance from a cycle, in units of its height, at which the trajectory has come to it, and at which it is near.
const ON_CYCLE: f64 = 1e-4;
const NEAR_CYCLE: f64 = 0.05;
/// Times that more of the way is waited for.
const MOST_WAITS: usize = 6;
/// Newton steps of the shooting; the mismatch after a period, in units of the height, that counts as closed.
const SHOTS: usize = 12;
const CLOSED: f64 = 1e-8;
const NEARLY_CLOSED: f64 = 1e-6;
/// Times that a cycle may have been gone round in what looked like its period.
const MOST_ROUNDS: usize = 6;
/// Steps of the tangent flow over a period that Newton's method gets.
const SHOOTING_STEPS: usize = 1024;
/// Singular values below this share of the largest count as zero: along a conserved quantity.
const SINGULAR: f64 = 1e-12;
/// Longest cycle of a map, in steps.
const LONGEST_MAP_CYCLE: usize = 4096;

/// Where a trajectory went.
pub struct Settled {
    pub motion: Motion,
    /// State from which to average.
    pub x: Vec<f64>,
    /// Time that has passed.
    pub transient: f64,
    pub scales: TimeScales,
}

impl Run<'_> {
    /// Follows the trajectory from `x0` until it rests, repeats itself or goes on irregularly, for at least the time `at_least`.
    pub fn settle(&self, x0: &[f64], at_least: f64) -> Result<Settled> {
        let mut transient = self.whole_steps(at_least);
        let mut x = if transient > 0.0 {
            self.advance(x0, transient)?
        } else {
            x0.to_vec()
        };
        if let Some(motion) = self.unstable_rest(&x) {
            // Time scales of the linearization: the start does not move.
            let scales = self.scales_of_rest(&x, &motion);
            return Ok(Settled {
                motion,
                x,
                transient,
                scales,
            });
        }
        let scales = time_scales(self.system, &x, self.i_stim, self.p, &self.options.solve)?;
        if scales.motion == time_scales::Motion::Escaped {
            let time = transient + scales.followed;
            return Err(Error::Failed(format!(
                "the trajectory escapes: by t = {time:.6} it is far beyond the ranges of the variables, or no longer finite; choose another start \
                 or parameter"
            )));
        }
        x.clone_from(&scales.state);
        transient += scales.followed;
        let settled = |motion, x, transient| {
            Ok(Settled {
                motion,
                x,
                transient,
                scales: scales.clone(),
            })
        };
        for wait in 0..MOST_WAITS {
            let found = match scales.motion {
                time_scales::Motion::Rest => self.rest(&x, &scales)?,
                time_scales::Motion::Periodic => match self.system.time() {
                    Time::Continuous => self.cycle(&x, scales.period.unwrap_or(scales.slowest))?,
                    Time::Discrete { .. } => {
                        self.map_cycle(&x, scales.period.unwrap_or(scales.slowest))?
                    }
                },
                // A map's cycle has few states; none of them looks like a return.
                _ if self.system.time() != Time::Continuous => self.map_cycle(&x, 0.0)?,
                _ => Found::Nothing,
            };
            match found {
                Found::Here(motion) => return settled(motion, x, transient),
                Found::Near if wait + 1 < MOST_WAITS => {
                    let more = self.waiting(&scales);
                    x = self.advance(&x, more)?;
                    transient += more;
                }
                _ => break,
            }
        }
        settled(Motion::Other, x, transient)
    }

    /// A rest to which the trajectory has come.
    fn rest(&self, x: &[f64], scales: &TimeScales) -> Result<Found> {
        let point = refine_within(Some(&self.laws), self.system, x, self.i_stim, self.p)
            .ok()
            .flatten();
        // Isolated, or so on the level of what is conserved.
        if let Some(point) = point.filter(|p| neutral(&p.eigenvalues) <= p.neutral) {
            let away = self.distance(x, &point.x);
            if away <= AT_REST && point.stable {
                return Ok(Found::Here(Motion::Rest {
                    x: point.x,
                    stable: true,
                    neutral: point.neutral,
                }));
            }
            if away <= NEAR_REST && point.stable {
                return Ok(Found::Near);
            }
        }
        // Not isolated: what moves no more over many of the slowest times.
        let later = self.advance(x, self.waiting(scales))?;
        if self.distance(x, &later) > AT_REST {
            return Ok(Found::Near);
        }
        let found = spectrum(self.system, &later, self.i_stim, self.p)?.eigenvalues;
        let growth = found.iter().map(|m| m.re).fold(f64::NEG_INFINITY, f64::max);
        let stable = growth <= NEUTRAL * largest(&found);
        Ok(Found::Here(Motion::Rest {
            x: later,
            stable,
            neutral: neutral(&found),
        }))
    }

    /// An unstable rest to which the start leads, as on a saddle's stable manifold, and at which the trajectory stays, although what it is off
    /// would grow beyond all bounds if it were anything.
    fn unstable_rest(&self, x: &[f64]) -> Option<Motion> {
        let point = refine_within(Some(&self.laws), self.system, x, self.i_stim, self.p)
            .ok()
            .flatten()?;
        let rates = || point.eigenvalues.iter().map(|m| m.re);
        let growth = rates().fold(f64::NEG_INFINITY, f64::max);
        if point.stable || growth <= NEUTRAL * largest(&point.eigenvalues) {
            return None;
        }
        let decay = rates()
            .filter(|r| *r < -NEUTRAL * largest(&point.eigenvalues))
            .fold(f64::NEG_INFINITY, f64::max);
        let at_rest = |x: &[f64]| self.distance(x, &point.x) <= AT_REST;
        let there = if at_rest(x) {
            x.to_vec()
        } else {
            self.advance_shortly(x, -DECAYS / decay)?
        };
        let stays = at_rest(&there) && at_rest(&self.advance_shortly(&there, GROWN / growth)?);
        stays.then(|| Motion::Rest {
            neutral: neutral(&point.eigenvalues),
            x: point.x.clone(),
            stable: false,
        })
    }

    /// The state a time later, where that takes few steps, as near a rest.
    fn advance_shortly(&self, x: &[f64], time: f64) -> Option<Vec<f64>> {
        let time = self.whole_steps(time);
        if !(time > 0.0 && time.is_finite())
            || (self.own_step() > 0.0 && time > MOST_MAP_STEPS * self.own_step())
        {
            return None;
        }
        let solve = SolveOptions {
            max_steps: MOST_FLOW_STEPS,
            ..self.options.solve.clone()
        };
        let end = self
            .system
            .simulate(
                &self.experiment(x, TimeGrid::new(time, time, 1).ok()?),
                &solve,
            )
            .ok()?;
        Some(end.state(0).to_vec())
    }

    /// A time in which all that decays is over, or much more than it took to know the time scales.
    fn waiting(&self, scales: &TimeScales) -> f64 {
        self.whole_steps((DECAYS * scales.slowest).min(PATIENCE * scales.followed))
    }

    fn scales_of_rest(&self, x: &[f64], motion: &Motion) -> TimeScales {
        let at = if let Motion::Rest { x, .. } = motion {
            x
        } else {
            x
        };
        let found = spectrum(self.system, at, self.i_stim, self.p)
            .map(|s| s.eigenvalues)
            .unwrap_or_default();
        let [fastest, slowest] = time_scales::decay_times(&found);
        TimeScales {
            motion: time_scales::Motion::Rest,
            fastest,
            slowest,
            period: None,
            settled: true,
            followed: 0.0,
            state: x.to_vec(),
        }
    }

    /// The cycle of a flow through or near `x`.
    fn cycle(&self, x: &[f64], guess: f64) -> Result<Found> {
        let Some((orbit, period, height)) = self.shoot(x, guess)? else {
            return Ok(Found::Nothing);
        };
        let period = self.shortest_period(&orbit, period, height)?;
        let away = self.distance(x, &orbit) / height;
        if away <= ON_CYCLE {
            return Ok(Found::Here(Motion::Cycle {
                x: orbit,
                period,
                stable: true,
            }));
        }
        Ok(if away <= NEAR_CYCLE {
            Found::Near
        } else {
            Found::Nothing
        })
    }

    /// The period of a cycle that may have been gone round several times.
    fn shortest_period(&self, x: &[f64], period: f64, height: f64) -> Result<f64> {
        let back = |m: usize| -> Result<bool> {
            Ok(self.distance(&self.advance(x, period / m as f64)?, x)
                <= NEARLY_CLOSED.sqrt() * height)
        };
        for m in (2..=MOST_ROUNDS).rev() {
            if back(m)? {
                return Ok(period / m as f64);
            }
        }
        Ok(period)
    }

    /// Newton's method for a state that comes back after a period: (M - 1) dx + f dT = -(phi - x), f . dx = 0. Gives state, period and
    /// the height of the cycle in units of the ranges.
    fn shoot(&self, x: &[f64], guess: f64) -> Result<Option<(Vec<f64>, f64, f64)>> {
        let n = x.len();
        let (mut x, mut period) = (x.to_vec(), guess);
        let mut best: Option<(f64, Vec<f64>, f64, f64)> = None;
        let mut frame = Frame::new(n, n);
        for _ in 0..SHOTS {
            let Ok(states) = self.states(
                &x,
                period / (2 * SHOOTING_STEPS) as f64,
                2 * SHOOTING_STEPS + 1,
            ) else {
                break;
            };
            let end = states.state(states.len() - 1);
            let height = (0..states.len())
                .map(|k| self.distance(states.state(k), &x))
                .fold(0.0, f64::max);
            let off = self.distance(end, &x) / height;
            if !(off.is_finite() && height > 0.0) || best.as_ref().is_some_and(|b| off > 10.0 * b.0)
            {
                break;
            }
            if best.as_ref().is_none_or(|b| off < b.0) {
                best = Some((off, x.clone(), period, height));
            }
            if off <= CLOSED {
                break;
            }
            let Some((factors, _)) = frame.factors(
                |k, out| self.scaled_jacobian(states.state(k), out),
                period / SHOOTING_STEPS as f64,
                SHOOTING_STEPS,
            ) else {
                break;
            };
            let monodromy = factors
                .iter()
                .skip(1)
                .fold(factors[0].clone(), |m, f| crate::matrix::product(f, &m, n));
            let mut f = vec![0.0; n];
            self.system.rule(end, self.i_stim, self.p, &mut f);
            f.iter_mut()
                .zip(&self.widths)
                .for_each(|(f, w)| *f *= period / w);
            let matrix = Mat::from_fn(n + 1, n + 1, |i, j| match (i < n, j < n) {
                (true, true) => monodromy[i * n + j] - f64::from(u8::from(i == j)),
                (true, false) => f[i],
                (false, true) => f[j],
                (false, false) => 0.0,
            });
            let right: Vec<f64> = (0..=n)
                .map(|i| {
                    if i < n {
                        (x[i] - end[i]) / self.widths[i]
                    } else {
                        0.0
                    }
                })
                .collect();
            let Some(step) = least_squares(&matrix, &right) else {
                break;
            };
            let length = step[..n].iter().map(|v| v.abs()).fold(0.0, f64::max);
            let share = (0.2 * height / length).min(0.2 / step[n].abs()).min(1.0);
            (0..n).for_each(|i| x[i] += share * step[i] * self.widths[i]);
            period *= 1.0 + share * step[n];
        }
        Ok(best
            .filter(|b| b.0 <= NEARLY_CLOSED)
            .map(|(_, x, period, height)| (x, period, height)))
    }

    /// A cycle of a map: states that come back exactly.
    fn map_cycle(&self, x: &[f64], guess: f64) -> Result<Found> {
        let dt = self.own_step();
        let count =
            LONGEST_MAP_CYCLE.max(((2.0 * guess / dt) as usize).min(16 * LONGEST_MAP_CYCLE));
        let states = self.states(x, dt, count + 1)?;
        let height = (0..=count)
            .map(|k| self.distance(states.state(k), x))
            .fold(0.0, f64::max);
        // Off by rounding alone: a closed curve passes its start at a distance of a share of its step.
        let Some(m) =
            (1..=count).find(|k| self.distance(states.state(*k), x) <= 1e-11 * height.max(1e-3))
        else {
            return Ok(Found::Nothing);
        };
        Ok(Found::Here(Motion::Cycle {
            x: x.to_vec(),
            period: m as f64 * dt,
            stable: true,
        }))
    }

    /// The largest difference in units of the ranges.
    pub fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        a.iter()
            .zip(b)
            .zip(&self.widths)
            .map(|((a, b), w)| (a - b).abs() / w)
            .fold(0.0, f64::max)
    }

    /// Jacobian of the rule in variables scaled by their ranges: similar to the plain one, without its units.
    pub fn scaled_jacobian(&self, x: &[f64], out: &mut [f64]) {
        let n = x.len();
        self.system.jacobian(x, self.i_stim, self.p, out);
        for (i, row) in out.chunks_exact_mut(n).enumerate() {
            row.iter_mut()
                .zip(&self.widths)
                .for_each(|(v, w)| *v *= w / self.widths[i]);
        }
    }

    /// The eigenvalues' real parts at a rest, how far rounding and what is left of the way there, as from `before`, may shift them, and the
    /// divergence.
    pub fn exponents_of_rest(
        &self,
        x: &[f64],
        before: &[f64],
    ) -> Result<(Vec<f64>, Vec<f64>, f64)> {
        let n = x.len();
        let real = |x: &[f64]| -> Result<Vec<f64>> {
            Ok(spectrum(self.system, x, self.i_stim, self.p)?
                .eigenvalues
                .iter()
                .map(|m| m.re)
                .collect())
        };
        let exponents = real(x)?;
        let mut errors: Vec<f64> = real(before)?
            .iter()
            .zip(&exponents)
            .map(|(a, b)| (a - b).abs())
            .collect();
        // States beside it, as far as rounding and Newton's method leave open.
        for shift in 0..4 {
            let beside = |i: usize| {
                let size = ROUNDING * self.widths[i].min(x[i].abs().max(1e-3 * self.widths[i]));
                if (7 * i + 5 * shift) % 4 < 2 {
                    x[i] + size
                } else {
                    x[i] - size
                }
            };
            let shifted = real(&(0..n).map(beside).collect::<Vec<f64>>())?;
            errors
                .iter_mut()
                .zip(exponents.iter().zip(&shifted))
                .for_each(|(e, (a, b))| *e = e.max((a - b).abs()));
        }
        // The QR iteration is exact for a matrix that differs by rounding, after balancing; its trace knows the sum.
        let largest = exponents.iter().map(|e| e.abs()).fold(0.0, f64::max);
        errors
            .iter_mut()
            .for_each(|e| *e += 1e-15 * n as f64 * largest);
        let mut jacobian = vec![0.0; n * n];
        residual_jacobian(self.system, x, self.i_stim, self.p, &mut jacobian);
        let trace = if self.system.time() == Time::Continuous {
            jacobian.iter().step_by(n + 1).sum::<f64>()
        } else {
            exponents.iter().sum()
        };
        Ok((exponents, errors, trace))
    }
}

fn largest(eigenvalues: &[Complex]) -> f64 {
    eigenvalues.iter().map(|m| m.modulus()).fold(0.0, f64::max)
}

/// How many eigenvalues are zero.
fn neutral(eigenvalues: &[Complex]) -> usize {
    eigenvalues
        .iter()
        .filter(|m| m.modulus() <= NEUTRAL * largest(eigenvalues))
        .count()
}

enum Found {
    Here(Motion),
    Near,
    Nothing,
}

/// The shortest solution of least squares, singular directions left out.
fn least_squares(matrix: &Mat<f64>, right: &[f64]) -> Option<Vec<f64>> {
    let svd = matrix.svd().ok()?;
    let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
    let n = right.len();
    let mut out = vec![0.0; n];
    for k in 0..n {
        if s[k] > SINGULAR * s[0] {
            let along: f64 = (0..n).map(|i| u[(i, k)] * right[i]).sum::<f64>() / s[k];
            (0..n).for_each(|j| out[j] += along * v[(j, k)]);
        }
    }
    out.iter().all(|v| v.is_finite()).then_some(out)
}

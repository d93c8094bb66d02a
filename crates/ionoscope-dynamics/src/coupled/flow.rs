//! Coupled equations: one system of all cells, integrated with one step for all.
//!
//! The integrators of `solve` go through many small systems side by side, a lane for each with a time and a step of its own, and their
//! dimension is known to the compiler. Coupled cells are one system whose dimension is a run-time number up to some 10^9: its states and stages
//! are too large for one core's caches, so each stage is made by all threads, in pieces of cells, and the step is the same for all. The method,
//! its error and the bounds on its steps are those of `solve`; the control of steps is the plain one of `dop853`, since the memory of
//! [`Control`](crate::solve::clock::Control) was measured to pay for single cells only.

use rayon::prelude::*;

use super::cells::{CoupledCells, PIECE};
use crate::{
    Error, Result,
    solve::{
        clock::{DOWN, GROW, SHRINK},
        dop853::{ERROR_5, ORDER_3, Row, STAGES, error_of_step},
        limits::{self, Progress},
    },
    system::Input,
    trajectory::{FailureReason, Outcome, SolveOptions, Statistics, TimeGrid},
};

/// Safety of a step, as of `dop853`.
const SAFETY: f64 = 0.9;

impl CoupledCells<'_> {
    /// The method of Dormand and Prince of order 8 over all cells at once, with steps that end at the times of the grid.
    pub(super) fn integrate(
        &self,
        x: &mut Vec<f64>,
        times: TimeGrid,
        options: &SolveOptions,
        observe: &mut dyn FnMut(usize, f64, &[f64]) -> bool,
    ) -> Result<(Outcome, Statistics)> {
        let size = x.len();
        let mut k: Vec<Vec<f64>> = vec![vec![0.0; size]; 13];
        let (mut y, mut currents) = (x.clone(), vec![0.0; self.graph.cells()]);
        let mut statistics = Statistics {
            evaluations: 1,
            ..Statistics::default()
        };
        self.rule(x, &mut currents, &mut k[0]);
        let (mut t, mut h, mut fresh) = (0.0, first_step(x, &k[0], options), true);
        let mut progress = Progress::default();
        for index in 0..times.count {
            let end = times.time(index);
            while t < end {
                options.watch.check()?;
                let last = t + 1.01 * h >= end;
                let step = if last { end - t } else { h };
                for stage in 1..=12 {
                    combine(&mut y, x, step, STAGES[stage], &k);
                    let (_, rest) = k.split_at_mut(stage);
                    self.rule(&y, &mut currents, &mut rest[0]);
                }
                statistics.evaluations += 12;
                let error = self.error(x, &y, step, &k, options);
                let factor = if error.is_finite() {
                    (SAFETY * error.max(1e-16).powf(-1.0 / 8.0)).clamp(SHRINK, GROW)
                } else {
                    SHRINK
                };
                if error <= 1.0 {
                    statistics.accepted += 1;
                    t = if last { end } else { t + step };
                    std::mem::swap(x, &mut y);
                    k.swap(0, 12);
                    // A step cut short by the grid says little about the next.
                    let grown = step * if fresh { factor } else { factor.min(1.0) };
                    h = if last { h.max(grown) } else { grown };
                    fresh = true;
                } else {
                    statistics.rejected += 1;
                    h = step * factor.min(1.0);
                    fresh = false;
                }
                let steps = statistics.accepted + statistics.rejected;
                let vanished = h <= 4.0 * t * f64::EPSILON || h < 1e-290;
                if vanished
                    || steps >= options.max_steps
                    || progress.is_hopeless(steps, t, times.end(), options.max_steps)
                {
                    self.rule(x, &mut currents, &mut k[0]);
                    let reason = match () {
                        () if vanished && !error.is_finite() => {
                            self.not_finite(x, Some((&k[0], options.atol)))
                        }
                        () if vanished => FailureReason::StepTooSmall {
                            fastest: self.fastest(x, &k[0], &currents, options),
                        },
                        () => FailureReason::TooManySteps {
                            steps,
                            limit: options.max_steps,
                            fastest: self.fastest(x, &k[0], &currents, options),
                        },
                    };
                    return Ok((Outcome::Failed { time: t, reason }, statistics));
                }
            }
            if !observe(index, end, x) {
                return Err(Error::Interrupted);
            }
        }
        Ok((Outcome::Completed, statistics))
    }

    /// The derivatives of all cells of a flow.
    fn rule(&self, x: &[f64], currents: &mut [f64], out: &mut [f64]) {
        let n = self.system.dimension();
        self.currents(x, currents);
        if self.i_stim != 0.0 {
            currents.par_iter_mut().for_each(|i| *i += self.i_stim);
        }
        out.par_chunks_mut(PIECE * n)
            .zip(x.par_chunks(PIECE * n))
            .zip(currents.par_chunks(PIECE))
            .for_each(|((out, x), i)| {
                self.system.rules(x, i, self.p, out);
            });
    }

    /// The fastest time scale of the cell that changes most beside its size, its coupling included.
    fn fastest(
        &self,
        x: &[f64],
        f: &[f64],
        currents: &[f64],
        options: &SolveOptions,
    ) -> Option<f64> {
        let n = self.system.dimension();
        let rate = |k: usize| f[k].abs() / (options.atol + x[k].abs());
        let cell = (0..x.len()).max_by(|a, b| rate(*a).total_cmp(&rate(*b)))? / n;
        let (state, i_stim) = (&x[cell * n..(cell + 1) * n], currents[cell]);
        let (mut jacobian, mut by) = (vec![0.0; n * n], vec![0.0; n]);
        self.system.jacobian(state, i_stim, self.p, &mut jacobian);
        self.system
            .derivative_by(Input::Stimulus, state, i_stim, self.p, &mut by);
        let pull = self.coupling * self.graph.neighbors(cell).len() as f64;
        for (row, by) in jacobian.chunks_exact_mut(n).zip(&by) {
            row[self.variable] -= pull * by;
        }
        limits::fastest(&jacobian, n)
    }

    /// The largest error of a cell, of `dop853`'s kind.
    fn error(&self, x: &[f64], y: &[f64], h: f64, k: &[Vec<f64>], options: &SolveOptions) -> f64 {
        let n = self.system.dimension();
        let weighted = |row: Row, i: usize| row.iter().map(|&(j, a)| a * k[j][i]).sum::<f64>();
        let pieces: Vec<f64> = (0..self.graph.cells().div_ceil(PIECE))
            .into_par_iter()
            .map(|piece| {
                let cells = piece * PIECE..((piece + 1) * PIECE).min(self.graph.cells());
                let mut most: f64 = 0.0;
                for cell in cells {
                    let sums = |shrink: f64| {
                        let (mut error_5, mut error_3, mut sound) = (0.0, 0.0, 0.0);
                        for i in cell * n..(cell + 1) * n {
                            let scale = options.atol + options.rtol * x[i].abs().max(y[i].abs());
                            error_5 += (weighted(ERROR_5, i) * shrink / scale).powi(2);
                            error_3 += ((weighted(STAGES[12], i) - weighted(ORDER_3, i)) * shrink
                                / scale)
                                .powi(2);
                            sound += (y[i] + k[12][i]) * 0.0;
                        }
                        (error_5, error_3, sound)
                    };
                    let (mut error_5, mut error_3, sound) = sums(1.0);
                    let mut shrink = 1.0;
                    if error_5 + error_3 == f64::INFINITY {
                        // Squares beyond all numbers: the same with numbers made smaller.
                        shrink = DOWN;
                        (error_5, error_3, _) = sums(shrink);
                    }
                    let error = error_of_step(h, error_5, error_3, n) / shrink;
                    most = if sound == 0.0 && !error.is_nan() {
                        most.max(error)
                    } else {
                        f64::INFINITY
                    };
                }
                most
            })
            .collect();
        pieces.into_iter().fold(0.0, f64::max)
    }
}

/// y = x + h times the weighted sum of the stages.
fn combine(y: &mut [f64], x: &[f64], h: f64, row: Row, k: &[Vec<f64>]) {
    y.par_chunks_mut(PIECE).enumerate().for_each(|(piece, y)| {
        let range = piece * PIECE..piece * PIECE + y.len();
        y.fill(0.0);
        for &(j, a) in row {
            for (y, k) in y.iter_mut().zip(&k[j][range.clone()]) {
                *y += a * k;
            }
        }
        for (y, x) in y.iter_mut().zip(&x[range]) {
            *y = x + h * *y;
        }
    });
}

/// A first step that is safe: a hundredth of the time in which the fastest cell would move by its own size, or, of a cell without any, by the
/// geometric mean of 1 and the absolute tolerance.
fn first_step(x: &[f64], f: &[f64], options: &SolveOptions) -> f64 {
    let rate = x
        .iter()
        .zip(f)
        .map(|(x, f)| f.abs() / (options.atol + x.abs()).max(options.atol.sqrt()))
        .fold(0.0, f64::max);
    if rate > 0.0 {
        (0.01 / rate).max(1e-250)
    } else {
        1e-6
    }
}

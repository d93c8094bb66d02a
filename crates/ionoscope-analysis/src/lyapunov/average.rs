//! Averages along a trajectory that neither rests nor repeats itself.
//!
//! Several trajectories, taken one after another from a long one so that all of them are on the same attractor, run side by side in blocks of
//! a turn. Each carries a frame. Some carry two more: one that began with other directions, which tells how far the frames are from
//! aligned, and one with twice the step, which tells the error of the step. All of this is measured on the run itself.

use ionoscope_dynamics::{
    sampling::{normal, stream},
    system::Time,
    trajectory::{Experiment, TimeGrid, Trajectory},
};
use rayon::prelude::*;

use super::{
    answer::ErrorParts,
    run::{LEAST_BLOCKS, MOST_STEPS, MOST_WORK, Run},
};
use crate::{Error, Result, tangent::Frame};

/// The share of a turn whose multiples spread most evenly.
const GOLDEN: f64 = 0.618_033_988_749_895;
/// Trajectories that carry the frames that measure.
const MEASURED: usize = 4;
/// Blocks in which the frames turn, at least and at most, before anything is counted.
const ALIGNING: [usize; 2] = [8, 64];
/// The frames have turned where the exponents of a block differ by this share of the accuracy.
const ALIGNED: f64 = 0.1;
/// Share of the accuracy that the step's error gets.
const STEP_SHARE: f64 = 0.25;
/// An error of the step below this share of the rate of a block is small for every accuracy: the spread is never below it.
const FINEST: f64 = 1e-5;
/// Blocks from the start of one trajectory to that of the next.
const APART: f64 = 3.0 * LEAST_BLOCKS as f64 + GOLDEN;
/// Standard errors above which a difference of the two halves is no accident.
const NO_ACCIDENT: f64 = 3.0;

/// A frame and, after each block that counts, the sums of ln r_kk so far, behind them the integral of the divergence.
#[derive(Clone)]
struct Carried {
    frame: Vec<f64>,
    growth: Vec<f64>,
    divergence: f64,
    after: Vec<Vec<f64>>,
}

impl Carried {
    fn new(frame: Vec<f64>, count: usize) -> Self {
        Carried {
            frame,
            growth: vec![0.0; count],
            divergence: 0.0,
            after: vec![vec![0.0; count + 1]],
        }
    }

    fn forget(&mut self) {
        (self.growth, self.divergence) = (vec![0.0; self.growth.len()], 0.0);
        self.after = vec![vec![0.0; self.growth.len() + 1]];
    }

    /// Growth of column `k`, or for the next the divergence, from the end of block `from` to that of block `to`.
    fn between(&self, k: usize, from: usize, to: usize) -> f64 {
        self.after[to][k] - self.after[from][k]
    }
}

/// One of the trajectories.
#[derive(Clone)]
struct Thread {
    x: Vec<f64>,
    main: Carried,
    /// With other directions at the beginning; with twice the step.
    other: Option<Carried>,
    coarse: Option<Carried>,
    extrapolated: bool,
}

/// The state of the averages.
pub struct Average<'a> {
    run: &'a Run<'a>,
    threads: Vec<Thread>,
    /// Time of a block and steps of the tangent flow in it.
    pub block: f64,
    steps: usize,
    /// Blocks that have been counted, and the first of those that count now.
    blocks: usize,
    from: usize,
    /// Steps of all frames times the variables' third power.
    pub work: f64,
}

/// What the averages say.
pub struct Means {
    pub exponents: Vec<f64>,
    pub parts: ErrorParts,
    pub divergence: f64,
}

impl<'a> Average<'a> {
    /// Trajectories that follow each other along the one from `x`, their frames turned.
    pub fn new(run: &'a Run<'a>, x: &[f64], block: f64, accuracy: f64) -> Result<Self> {
        // Farther apart than a short run is long, or they would follow each other over the same states, and at different phases of a motion
        // that returns, or all would err alike.
        let times = TimeGrid::new(
            0.0,
            run.whole_steps(APART * block),
            run.options.trajectories,
        )?;
        let all = run
            .system
            .simulate(&run.experiment(x, times), &run.options.solve)?;
        let (n, count) = (x.len(), run.count);
        let flow = run.system.time() == Time::Continuous;
        let threads = (0..all.len())
            .map(|k| {
                // Any directions: those of the variables may stay among themselves for ever, where some of them do not see the others.
                let directions = |name: &str| -> Vec<f64> {
                    let mut random = stream(1, name, k as u64);
                    (0..n * count).map(|_| normal(&mut random)).collect()
                };
                let main = Carried::new(directions("first directions"), count);
                let other = (k < MEASURED).then(|| Carried::new(directions("directions"), count));
                let coarse = (k < MEASURED && flow).then(|| main.clone());
                Thread {
                    x: all.state(k).to_vec(),
                    main,
                    other,
                    coarse,
                    extrapolated: false,
                }
            })
            .collect();
        let mut average = Average {
            run,
            threads,
            block,
            steps: 64,
            blocks: 0,
            from: 0,
            work: 0.0,
        };
        if flow {
            average.resolve(accuracy)?;
        } else {
            average.steps = (block / run.own_step()).round() as usize;
        }
        for k in 1..=ALIGNING[1] {
            average.forget();
            average.advance()?;
            let apart = average
                .means()
                .parts
                .alignment
                .iter()
                .copied()
                .fold(0.0, f64::max);
            if average.work > MOST_WORK / 4.0 || (k >= ALIGNING[0] && apart <= ALIGNED * accuracy) {
                break;
            }
        }
        average.forget();
        Ok(average)
    }

    fn forget(&mut self) {
        for t in &mut self.threads {
            std::iter::once(&mut t.main)
                .chain(&mut t.other)
                .chain(&mut t.coarse)
                .for_each(Carried::forget);
        }
        (self.blocks, self.from) = (0, 0);
    }

    /// Time that counts, of each trajectory.
    pub fn time(&self) -> f64 {
        (self.blocks - self.from) as f64 * self.block
    }

    /// Time since counting began.
    pub fn followed(&self) -> f64 {
        self.blocks as f64 * self.block
    }

    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Step of the tangent flow, or of the map.
    pub fn step(&self) -> f64 {
        self.block / self.steps as f64
    }

    pub fn extrapolated(&self) -> bool {
        self.threads.iter().any(|t| t.extrapolated)
    }

    pub fn states(&self) -> impl Iterator<Item = &[f64]> {
        self.threads.iter().map(|t| t.x.as_slice())
    }

    /// Leaves out the older half of what counts: it belongs to the way to the attractor.
    pub fn forget_older_half(&mut self) {
        self.from += (self.blocks - self.from) / 2;
    }

    /// Halves the step from now on and counts anew; whether that is possible. Adds the time that is lost.
    pub fn refine_from(&mut self, lost: &mut f64) -> bool {
        let dear = (2 * self.steps * self.threads.len()) as f64
            * self.run.step_work()
            * LEAST_BLOCKS as f64
            > MOST_WORK;
        if self.run.system.time() != Time::Continuous || 2 * self.steps > MOST_STEPS || dear {
            return false;
        }
        *lost += self.followed();
        self.steps *= 2;
        self.forget();
        true
    }

    /// Whether the error of the step is too large for the accuracy.
    pub fn too_coarse(&self, means: &Means, accuracy: f64) -> bool {
        means
            .parts
            .step
            .iter()
            .any(|e| *e > self.step_share(accuracy))
    }

    fn step_share(&self, accuracy: f64) -> f64 {
        STEP_SHARE * accuracy.max(FINEST / self.block)
    }

    /// Moves all trajectories and frames on by a block.
    pub fn advance(&mut self) -> Result<()> {
        let states = self.block_states(&self.threads)?;
        let (run, block, steps) = (self.run, self.block, self.steps);
        self.threads
            .par_iter_mut()
            .zip(states)
            .try_for_each(|(thread, states)| {
                carry(run, &mut thread.main, &states, block, steps, 1)?;
                thread
                    .other
                    .iter_mut()
                    .try_for_each(|c| carry(run, c, &states, block, steps, 1))?;
                thread
                    .coarse
                    .iter_mut()
                    .try_for_each(|c| carry(run, c, &states, block, steps, 2))?;
                let last = states.len() - 1;
                thread.x.copy_from_slice(states.state(last));
                thread.extrapolated |=
                    (0..=last).any(|k| run.system.spec().extrapolates(states.state(k), run.p));
                Ok::<(), Error>(())
            })?;
        self.blocks += 1;
        self.work += (self.steps * self.threads.len()) as f64 * run.step_work();
        Ok(())
    }

    /// States of all trajectories over a block: of a flow at both ends and in the middle of every step, of a map at every step.
    fn block_states(&self, threads: &[Thread]) -> Result<Vec<Trajectory>> {
        let times = match self.run.system.time() {
            Time::Continuous => TimeGrid::new(
                0.0,
                self.block / (2 * self.steps) as f64,
                2 * self.steps + 1,
            )?,
            Time::Discrete { dt } => TimeGrid::new(0.0, dt, self.steps + 1)?,
        };
        let batch: Vec<Experiment> = threads
            .iter()
            .map(|t| self.run.experiment(&t.x, times))
            .collect();
        let all = self
            .run
            .system
            .solve_ensemble(&batch, &self.run.options.solve)?;
        Ok(all
            .into_iter()
            .map(Trajectory::completed)
            .collect::<ionoscope_dynamics::Result<_>>()?)
    }

    /// Halves the step until a block's exponents with it and with twice the step differ by what the step may.
    fn resolve(&mut self, accuracy: f64) -> Result<()> {
        let few = self.threads[..self.threads.len().min(MEASURED)].to_vec();
        loop {
            let states = self.block_states(&few)?;
            let (run, block, steps) = (self.run, self.block, self.steps);
            let differ = few.par_iter().zip(&states).map(|(thread, states)| {
                let trial = |stride: usize| {
                    let mut c = thread.main.clone();
                    // With too long a step the matrices may overflow.
                    carry(run, &mut c, states, block, steps, stride)
                        .is_ok()
                        .then_some(c.growth)
                };
                let (fine, coarse) = (trial(1), trial(2));
                let Some((fine, coarse)) = fine.zip(coarse) else {
                    return f64::INFINITY;
                };
                fine.iter()
                    .zip(&coarse)
                    .map(|(a, b)| (a - b).abs() / block)
                    .fold(0.0, f64::max)
            });
            let worst = differ.reduce(|| 0.0, f64::max);
            if worst <= self.step_share(accuracy) {
                return Ok(());
            }
            let finite = worst.is_finite();
            if finite
                && (2 * self.steps * few.len()) as f64 * self.run.step_work() > MOST_WORK / 8.0
            {
                // What is left is measured along the way, and said.
                return Ok(());
            }
            if 2 * self.steps > MOST_STEPS {
                let message = format!(
                    "the tangent flow is not resolved by {} steps in a time of {}; the motion is too stiff for averages",
                    self.steps, self.block
                );
                return Err(Error::Failed(message));
            }
            self.steps *= 2;
        }
    }

    /// Factor by which the spread between trajectories is too small, because one that was followed to the start of the next goes over the same states
    /// until the error of the integration has grown at the rate of the first exponent, `rate`: 1 + 2 sum (1 - j / K) o_j / T, under a root, for K
    /// trajectories over the time T, of which those j apart have the time o_j in common.
    fn repeated(&self, rate: f64) -> f64 {
        let count = self.threads.len() as f64;
        let error = if self.run.system.time() == Time::Continuous {
            self.run.options.solve.rtol
        } else {
            f64::EPSILON
        };
        let alike = if rate > 0.0 {
            -error.ln() / rate
        } else {
            f64::INFINITY
        };
        let (time, apart) = (self.followed(), APART * self.block);
        let common =
            |j: usize| (1.0 - j as f64 / count) * (time - j as f64 * apart).max(0.0).min(alike);
        (1.0 + 2.0 / time * (1..self.threads.len()).map(common).sum::<f64>()).sqrt()
    }

    /// Means over the blocks that count, and the parts of their errors.
    pub fn means(&self) -> Means {
        let (from, to) = (self.from, self.blocks);
        let time = self.time();
        let count = self.run.count;
        let measured = |k: usize, pick: &dyn Fn(&Thread) -> Option<&Carried>| {
            let apart = |t: &Thread| {
                pick(t).map(|c| (c.between(k, from, to) - t.main.between(k, from, to)).abs() / time)
            };
            self.threads.iter().filter_map(apart).fold(0.0, f64::max)
        };
        let repeated = self.repeated(
            (0..count)
                .map(|k| measured_rate(&self.threads, k, from, to, time))
                .fold(f64::NEG_INFINITY, f64::max),
        );
        let mut means = Means {
            exponents: Vec::new(),
            parts: ErrorParts::default(),
            divergence: 0.0,
        };
        for k in 0..count {
            let rate = |a: usize, b: usize| -> Vec<f64> {
                self.threads
                    .iter()
                    .map(|t| t.main.between(k, a, b) / ((b - a) as f64 * self.block))
                    .collect()
            };
            let (mean, spread) = mean_and_error(&rate(from, to));
            let middle = (from + to) / 2;
            let settling = if middle > from && middle < to {
                let (early, late) = (rate(from, middle), rate(middle, to));
                let change: Vec<f64> = late.iter().zip(&early).map(|(l, e)| l - e).collect();
                let (change, error) = mean_and_error(&change);
                if change.abs() > NO_ACCIDENT * error {
                    change.abs()
                } else {
                    0.0
                }
            } else {
                0.0
            };
            means.exponents.push(mean);
            means.parts.spread.push(spread * repeated);
            means
                .parts
                .alignment
                .push(measured(k, &|t| t.other.as_ref()));
            // And what rounding does in every step.
            means
                .parts
                .step
                .push(measured(k, &|t| t.coarse.as_ref()) + f64::EPSILON / self.step());
            means.parts.settling.push(settling);
        }
        let divergences = self.threads.iter().map(|t| t.main.between(count, from, to));
        means.divergence = divergences.sum::<f64>() / (time * self.threads.len() as f64);
        means
    }
}

/// Carries a frame along the states of a block, in every `stride`-th step.
fn carry(
    run: &Run,
    carried: &mut Carried,
    states: &Trajectory,
    block: f64,
    steps: usize,
    stride: usize,
) -> Result<()> {
    let mut frame = Frame::new(run.system.dimension(), run.count);
    let jacobian = |k: usize, out: &mut [f64]| run.scaled_jacobian(states.state(k * stride), out);
    let Carried {
        frame: q,
        growth,
        divergence,
        after,
    } = carried;
    let sound = match run.system.time() {
        Time::Continuous => {
            let steps = steps / stride;
            frame.flow(q, growth, divergence, jacobian, block / steps as f64, steps)
        }
        Time::Discrete { .. } => frame.map(q, growth, divergence, jacobian, steps),
    };
    if !sound {
        return Err(Error::Failed("the Jacobian along the trajectory is not finite, or a direction of the tangent space was lost".into()));
    }
    after.push(growth.iter().chain([&*divergence]).copied().collect());
    Ok(())
}

/// Mean growth of column `k` over all trajectories.
fn measured_rate(threads: &[Thread], k: usize, from: usize, to: usize, time: f64) -> f64 {
    threads
        .iter()
        .map(|t| t.main.between(k, from, to))
        .sum::<f64>()
        / (time * threads.len() as f64)
}

/// Mean, and its standard error from the spread.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    (mean, (square / ((n - 1.0) * n)).sqrt())
}

//! A batch of experiments over lanes and threads.
//!
//! Workers take experiments one by one from the batch; a lane that has finished takes the next. Since no lane depends on its neighbours,
//! it does not matter who computes what beside what, and every trajectory has the same bits for any number of threads and lanes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;

use super::{
    LOCAL_SHARE, SMALLEST_RTOL,
    dispatch::{self, InstructionSet},
    group::{Group, interpolate},
    stimulus::Stimulated,
};
use crate::{
    Error, Result,
    real::Lane,
    system::Model,
    trajectory::{Experiment, FailureReason, Outcome, SolveOptions, Statistics, Trajectory},
};

/// Lanes of a group in an ensemble: two registers of AVX-512, so that one hides the latency of the other.
const WIDTH: usize = 16;
/// Steps between two looks at whether to go on.
const LOOK_EVERY: u32 = 256;

/// How to share a batch out; the numbers do not depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Instruction set of the vector code.
    pub instructions: InstructionSet,
    /// Number of workers.
    pub workers: usize,
    /// One experiment at a time, without vectors.
    pub scalar: bool,
}

impl Layout {
    /// The fastest for a batch of this size in the current pool.
    pub fn for_batch(size: usize) -> Self {
        let workers = rayon::current_num_threads().min(size).max(1);
        let instructions = InstructionSet::available().pop().unwrap_or(InstructionSet::Baseline);
        Layout { instructions, workers, scalar: size <= workers }
    }
}

/// An experiment in a lane.
struct Seat {
    index: usize,
    trajectory: Trajectory,
    /// Index of the next output time.
    next: usize,
    unstable_steps: u64,
    stimulus: Stimulated,
}

/// What follows a step.
enum Next {
    Step,
    /// The stimulus has switched: derivative and step must be found anew.
    Restart,
    End(Outcome),
}

struct Work<'a, M> {
    model: &'a M,
    batch: &'a [Experiment],
    options: &'a SolveOptions,
    instructions: InstructionSet,
    queue: AtomicUsize,
    stop: AtomicBool,
}

/// Solves a batch that has been checked.
pub(crate) fn solve<M: Model, const D: usize, const P: usize>(
    model: &M,
    batch: &[Experiment],
    options: &SolveOptions,
    layout: Layout,
) -> Result<Vec<Trajectory>> {
    let work = Work { model, batch, options, instructions: layout.instructions, queue: AtomicUsize::new(0), stop: AtomicBool::new(false) };
    let seats = batch.len().div_ceil(layout.workers);
    let done: Vec<Vec<(usize, Trajectory)>> = (0..layout.workers)
        .into_par_iter()
        .with_max_len(1)
        .map(|_| if layout.scalar { work.run::<D, P, 1>(1) } else { work.run::<D, P, WIDTH>(seats.min(WIDTH)) })
        .collect();
    if work.stop.into_inner() {
        return Err(Error::Interrupted);
    }
    let mut ordered: Vec<Option<Trajectory>> = (0..batch.len()).map(|_| None).collect();
    for (index, trajectory) in done.into_iter().flatten() {
        ordered[index] = Some(trajectory);
    }
    Ok(ordered.into_iter().flatten().collect())
}

impl<M: Model> Work<'_, M> {
    fn run<const D: usize, const P: usize, const W: usize>(&self, seats: usize) -> Vec<(usize, Trajectory)> {
        let mut group = Box::new(Group::<D, P, W>::at_rest());
        let mut lanes: [Option<Seat>; W] = std::array::from_fn(|_| None);
        let mut done = Vec::new();
        let mut steps = 0u32;
        let mut fresh = Lane([0.0; W]);
        loop {
            for i in 0..seats {
                if lanes[i].is_none() {
                    lanes[i] = self.seat(&mut group, i, &mut done);
                    if lanes[i].is_some() {
                        fresh.0[i] = 1.0;
                    }
                }
            }
            if lanes.iter().all(Option::is_none) {
                return done;
            }
            if fresh.0.contains(&1.0) {
                dispatch::begin(self.instructions, &mut group, self.model, &fresh);
                fresh = Lane([0.0; W]);
            }
            // Until a lane is free or must begin anew.
            while !fresh.0.contains(&1.0)
                && (lanes[..seats].iter().all(Option::is_some)
                    || (self.queue.load(Ordering::Relaxed) >= self.batch.len() && lanes.iter().any(Option::is_some)))
            {
                steps = steps.wrapping_add(1);
                if steps.is_multiple_of(LOOK_EVERY) && self.interrupted() {
                    return done;
                }
                dispatch::advance(self.instructions, &mut group, self.model);
                for i in 0..seats {
                    let Some(seat) = &mut lanes[i] else { continue };
                    let outcome = match self.settle(&mut group, i, seat) {
                        Next::Step => continue,
                        Next::Restart => {
                            fresh.0[i] = 1.0;
                            continue;
                        }
                        Next::End(outcome) => outcome,
                    };
                    if let Some(mut seat) = lanes[i].take() {
                        seat.trajectory.outcome = outcome;
                        let statistics = &mut seat.trajectory.statistics;
                        statistics.stiff = seat.unstable_steps >= 15 && 2 * seat.unstable_steps > statistics.accepted;
                        self.finish(seat.index, seat.trajectory, &mut done);
                        rest(&mut group, i);
                    }
                }
            }
        }
    }

    /// Puts the next experiment that has anything to integrate into lane `i`.
    fn seat<const D: usize, const P: usize, const W: usize>(
        &self,
        group: &mut Group<D, P, W>,
        i: usize,
        done: &mut Vec<(usize, Trajectory)>,
    ) -> Option<Seat> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            let index = self.queue.fetch_add(1, Ordering::Relaxed);
            let e = self.batch.get(index)?;
            let mut x = Vec::with_capacity(D * e.times.count);
            let mut next = 0;
            if e.times.start == 0.0 {
                x.extend_from_slice(&e.x0);
                next = 1;
            }
            let statistics = Statistics { evaluations: 2, ..Statistics::default() };
            let mut trajectory = Trajectory { times: e.times, dimension: D, x, outcome: Outcome::Completed, statistics };
            if next == e.times.count {
                trajectory.statistics = Statistics::default();
                self.finish(index, trajectory, done);
                continue;
            }
            for d in 0..D {
                group.x[d].0[i] = e.x0[d];
            }
            for k in 0..P {
                group.p[k].0[i] = e.p[k];
            }
            group.rtol.0[i] = (self.options.rtol * LOCAL_SHARE).max(SMALLEST_RTOL);
            group.atol.0[i] = self.options.atol * LOCAL_SHARE;
            group.t.0[i] = 0.0;
            let mut stimulus = Stimulated::new(&e.protocol, e.times.end());
            group.t_end.0[i] = stimulus.switch_to(0.0, &mut group.stimulus, i);
            group.next_output.0[i] = e.times.time(next);
            return Some(Seat { index, trajectory, next, unstable_steps: 0, stimulus });
        }
    }

    /// Books the step that lane `i` has just tried.
    fn settle<const D: usize, const P: usize, const W: usize>(&self, group: &mut Group<D, P, W>, i: usize, seat: &mut Seat) -> Next {
        let statistics = &mut seat.trajectory.statistics;
        let t = group.t.0[i];
        if group.error.0[i] <= 1.0 {
            statistics.accepted += 1;
            statistics.evaluations += 12;
            seat.unstable_steps += group.unstable.0[i] as u64;
            if group.next_output.0[i] <= t {
                let times = seat.trajectory.times;
                if group.next_output.0[i] < t {
                    statistics.evaluations += 3;
                }
                let mut c = [[0.0; D]; 8];
                for j in 0..8 {
                    for d in 0..D {
                        c[j][d] = group.extension[j][d].0[i];
                    }
                }
                let (before, h) = (group.t_before.0[i], group.h_tried.0[i]);
                while seat.next < times.count && times.time(seat.next) <= t {
                    let time = times.time(seat.next);
                    let mut x = [0.0; D];
                    for d in 0..D {
                        x[d] = if time == t { group.x[d].0[i] } else { interpolate(&c, (time - before) / h, d) };
                    }
                    seat.trajectory.x.extend_from_slice(&x);
                    seat.next += 1;
                }
                if seat.next == times.count {
                    return Next::End(Outcome::Completed);
                }
                group.next_output.0[i] = times.time(seat.next);
            }
            if t >= group.t_end.0[i] {
                statistics.evaluations += 2;
                group.t_end.0[i] = seat.stimulus.switch_to(t, &mut group.stimulus, i);
                return Next::Restart;
            }
        } else {
            statistics.rejected += 1;
            statistics.evaluations += 12;
        }
        let h = group.h.0[i];
        let reason = if 0.1 * h <= t * f64::EPSILON || h < 1e-290 || h.is_nan() {
            if group.error.0[i].is_finite() { FailureReason::StepTooSmall } else { FailureReason::NotFinite }
        } else if statistics.accepted + statistics.rejected >= self.options.max_steps {
            FailureReason::TooManySteps
        } else {
            return Next::Step;
        };
        Next::End(Outcome::Failed { time: t, reason })
    }

    fn finish(&self, index: usize, trajectory: Trajectory, done: &mut Vec<(usize, Trajectory)>) {
        done.push((index, trajectory));
        if let Some(watch) = self.options.watch.get() {
            watch.finished(1);
        }
    }

    /// Whether to give up, here or because another worker saw it.
    fn interrupted(&self) -> bool {
        if self.options.watch.get().is_some_and(|w| w.interrupted()) {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.stop.load(Ordering::Relaxed)
    }
}

/// Leaves lane `i` where its numbers stay harmless until it is used again.
fn rest<const D: usize, const P: usize, const W: usize>(group: &mut Group<D, P, W>, i: usize) {
    for d in 0..D {
        group.x[d].0[i] = 0.0;
    }
    group.h.0[i] = 0.0;
    group.t.0[i] = 0.0;
    group.t_end.0[i] = 0.0;
    group.next_output.0[i] = f64::INFINITY;
}

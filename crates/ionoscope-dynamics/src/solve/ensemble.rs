//! A batch of experiments over lanes and threads.
//!
//! Workers take experiments one by one from the batch; a lane that has finished takes the next. Since no lane depends on its neighbors,
//! it does not matter who computes what beside what, and every trajectory has the same bits for any number of threads and lanes.
//! A trajectory whose steps the stability of the explicit method limits, not its accuracy, goes on with the stiff method.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rayon::prelude::*;

use super::{
    LOCAL_SHARE, SMALLEST_RTOL, STIFF_LOCAL_SHARE,
    lanes::{Explicit, Lanes, Relaxing, Stiff},
    limits::{self, Progress},
    rosenbrock::Plan,
    stimulus::Stimulated,
};
use crate::{
    Error, Result,
    curve::{Curve, CurvePiece},
    real::{InstructionSet, Lane},
    system::Model,
    trajectory::{
        Experiment, FailureReason, Method, Outcome, SolveOptions, Statistics, Trajectory,
    },
};

/// Lanes of a group of the stiff method.
const STIFF_WIDTH: usize = 16;
/// Steps between two looks at whether to go on.
const LOOK_EVERY: u32 = 256;
/// Unstable steps after which the stiff method takes over, and stable steps in a row after which they are forgotten. Hairer, Norsett,
/// Wanner (IV.2) count to 15 to say that a problem is stiff; but a few hundred explicit steps through the silent phase of a burst cost less
/// than the stiff method over the spikes behind it (a beta-cell at rtol 1e-3: 0.70 against 0.93 ms), and a problem that is stiff throughout
/// goes on for many thousands.
const UNSTABLE_STEPS: u32 = 1000;
/// Unstable steps that make the remark that a problem is stiff, where they are most of all steps.
const REMARKABLE_STEPS: u64 = 15;
const STABLE_STEPS: u32 = 6;
/// Most steps over which a variable is followed; beyond, they would fill the memory.
const MOST_PIECES: usize = 1 << 22;

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
        let instructions = InstructionSet::best();
        Layout {
            instructions,
            workers,
            scalar: size <= workers,
        }
    }
}

/// A trajectory on its way.
struct Seat {
    index: usize,
    trajectory: Trajectory,
    /// The variable that is followed, where one is.
    curve: Curve,
    /// Index of the next output time.
    next: usize,
    stimulus: Stimulated,
    /// Time and state where it stands, while it is in no lane.
    t: f64,
    x: Vec<f64>,
    /// Steps that were unstable since the last stable stretch, stable ones since the last unstable one, and all unstable ones.
    unstable: u32,
    stable: u32,
    unstable_in_all: u64,
    progress: Progress,
}

/// What follows a step.
enum Next {
    Step,
    /// The stimulus has switched: derivative and step must be found anew.
    Restart,
    /// Stability limits the step: the stiff method takes over.
    Stiff,
    End(Outcome),
}

/// Where a method takes its trajectories from.
enum Queue {
    Batch,
    Stiff,
}

struct Work<'a, M> {
    model: &'a M,
    plan: &'a Plan,
    batch: &'a [Experiment],
    options: &'a SolveOptions,
    /// The method, where it is automatic as far as the model decides it.
    method: Method,
    instructions: InstructionSet,
    /// The variable that is followed, and by [`Work::finish`] its curve: only where the batch is one experiment.
    follow: Option<usize>,
    curve: Mutex<Curve>,
    next: AtomicUsize,
    ended: AtomicUsize,
    stiff: Mutex<VecDeque<Seat>>,
    stop: AtomicBool,
}

/// Solves a batch that has been checked.
pub(crate) fn solve<M: Model, const D: usize, const P: usize, const W: usize>(
    model: &M,
    plan: &Plan,
    batch: &[Experiment],
    options: &SolveOptions,
    layout: Layout,
) -> Result<Vec<Trajectory>> {
    Ok(work::<M, D, P, W>(model, plan, batch, options, layout, None)?.0)
}

/// Solves one experiment that has been checked, and follows a variable from the first output time to the last.
pub(crate) fn follow<M: Model, const D: usize, const P: usize, const W: usize>(
    model: &M,
    plan: &Plan,
    experiment: &Experiment,
    variable: usize,
    options: &SolveOptions,
) -> Result<(Trajectory, Curve)> {
    let (mut all, curve) = work::<M, D, P, W>(
        model,
        plan,
        std::slice::from_ref(experiment),
        options,
        Layout::for_batch(1),
        Some(variable),
    )?;
    Ok((all.pop().ok_or(Error::Interrupted)?, curve))
}

fn work<M: Model, const D: usize, const P: usize, const W: usize>(
    model: &M,
    plan: &Plan,
    batch: &[Experiment],
    options: &SolveOptions,
    layout: Layout,
    follow: Option<usize>,
) -> Result<(Vec<Trajectory>, Curve)> {
    let work = Work {
        model,
        plan,
        batch,
        options,
        // Models whose explicit method runs one lane are large, and better off with the stiff one, of which many lanes run at once.
        method: if W == 1 && options.method == Method::Auto {
            Method::Stiff
        } else {
            options.method
        },
        instructions: layout.instructions,
        follow,
        curve: Mutex::default(),
        next: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
        stiff: Mutex::default(),
        stop: AtomicBool::new(false),
    };
    let seats = batch.len().div_ceil(layout.workers);
    let done: Vec<Vec<(usize, Trajectory)>> = (0..layout.workers)
        .into_par_iter()
        .with_max_len(1)
        .map(|_| {
            if layout.scalar {
                work.run::<D, P, 1, 1>(1)
            } else {
                work.run::<D, P, W, STIFF_WIDTH>(seats)
            }
        })
        .collect();
    if work.stop.into_inner() {
        return Err(Error::Interrupted);
    }
    let mut ordered: Vec<Option<Trajectory>> = (0..batch.len()).map(|_| None).collect();
    for (index, trajectory) in done.into_iter().flatten() {
        ordered[index] = Some(trajectory);
    }
    Ok((
        ordered.into_iter().flatten().collect(),
        work.curve
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner),
    ))
}

impl<M: Model> Work<'_, M> {
    fn run<const D: usize, const P: usize, const W: usize, const V: usize>(
        &self,
        seats: usize,
    ) -> Vec<(usize, Trajectory)> {
        let mut done = Vec::new();
        if let (Method::RushLarsen, Some(step)) = (self.method, self.options.step) {
            self.drive(
                Relaxing::<V>::new(self.plan, step, self.options.halved, self.instructions),
                Queue::Batch,
                seats.min(V),
                &mut done,
            );
            return done;
        }
        if self.method != Method::Stiff {
            self.drive(
                Explicit::<M, D, P, W>::new(self.model, self.instructions),
                Queue::Batch,
                seats.min(W),
                &mut done,
            );
        }
        if self.method != Method::Explicit {
            let queue = if self.method == Method::Stiff {
                Queue::Batch
            } else {
                Queue::Stiff
            };
            let compiled = |x: &[f64], i_stim: f64, q: &[f64], dx: &mut [f64]| {
                self.model.rhs(x, i_stim, q, dx)
            };
            self.drive(
                Stiff::<V>::new(self.plan, &compiled, self.instructions),
                queue,
                seats.min(V),
                &mut done,
            );
        }
        done
    }

    /// Runs trajectories of a queue with a method until the queue is empty.
    fn drive<L: Lanes<W>, const W: usize>(
        &self,
        mut lanes: L,
        queue: Queue,
        seats: usize,
        done: &mut Vec<(usize, Trajectory)>,
    ) {
        let mut taken: [Option<Seat>; W] = std::array::from_fn(|_| None);
        let mut steps = 0u32;
        let mut fresh = Lane([0.0; W]);
        loop {
            let mut empty = false;
            for i in 0..seats {
                if taken[i].is_none() && !empty {
                    taken[i] = self.seat(&mut lanes, &queue, i, done);
                    empty = taken[i].is_none();
                    if !empty {
                        fresh.0[i] = 1.0;
                    }
                }
            }
            if taken.iter().all(Option::is_none) {
                return;
            }
            if fresh.0.contains(&1.0) {
                lanes.begin(&fresh);
                fresh = Lane([0.0; W]);
            }
            // Until a lane is free that somebody could take, or must begin anew.
            let mut freed = false;
            while !fresh.0.contains(&1.0) && (empty || !freed) && taken.iter().any(Option::is_some)
            {
                steps = steps.wrapping_add(1);
                if steps.is_multiple_of(LOOK_EVERY) && self.interrupted() {
                    return;
                }
                lanes.advance();
                for i in 0..seats {
                    let Some(seat) = &mut taken[i] else { continue };
                    let next = self.settle(&mut lanes, i, seat);
                    match next {
                        Next::Step => continue,
                        Next::Restart => {
                            fresh.0[i] = 1.0;
                            continue;
                        }
                        Next::Stiff | Next::End(_) => {}
                    }
                    let Some(mut seat) = taken[i].take() else {
                        continue;
                    };
                    freed = true;
                    if let Next::End(outcome) = next {
                        seat.trajectory.outcome = outcome;
                        let statistics = &mut seat.trajectory.statistics;
                        if self.follow.is_some() {
                            *self.curve.lock().unwrap_or_else(PoisonError::into_inner) =
                                std::mem::take(&mut seat.curve);
                        }
                        statistics.stiff |= seat.unstable_in_all >= REMARKABLE_STEPS
                            && 2 * seat.unstable_in_all > statistics.accepted;
                        self.finish(seat.index, seat.trajectory, done);
                    } else {
                        seat.t = lanes.clock().t.0[i];
                        seat.x.clear();
                        seat.x.extend(lanes.state(i));
                        seat.trajectory.statistics.stiff_from = Some(seat.t);
                        seat.trajectory.statistics.stiff = true;
                        self.stiff
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push_back(seat);
                    }
                    lanes.rest(i);
                }
            }
        }
    }

    /// The next trajectory that has anything to integrate.
    fn next(&self, queue: &Queue, done: &mut Vec<(usize, Trajectory)>) -> Option<Seat> {
        if let Queue::Stiff = queue {
            return self
                .stiff
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
        }
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let e = self.batch.get(index)?;
            let dimension = e.x0.len();
            let mut x = Vec::with_capacity(dimension * e.times.count);
            let mut next = 0;
            if e.times.start == 0.0 {
                x.extend_from_slice(&e.x0);
                next = 1;
            }
            let trajectory = Trajectory {
                times: e.times,
                dimension,
                x,
                outcome: Outcome::Completed,
                statistics: Statistics::default(),
            };
            if next == e.times.count {
                self.finish(index, trajectory, done);
                continue;
            }
            let stimulus = Stimulated::new(&e.protocol, e.times.end());
            let stiff_from = (self.method == Method::Stiff).then_some(0.0);
            let mut seat = Seat {
                index,
                trajectory,
                next,
                stimulus,
                t: 0.0,
                x: e.x0.clone(),
                unstable: 0,
                stable: 0,
                unstable_in_all: 0,
                progress: Progress::default(),
                curve: Curve::default(),
            };
            seat.trajectory.statistics.stiff_from = stiff_from;
            return Some(seat);
        }
    }

    /// Puts the next trajectory into lane `i`.
    fn seat<L: Lanes<W>, const W: usize>(
        &self,
        lanes: &mut L,
        queue: &Queue,
        i: usize,
        done: &mut Vec<(usize, Trajectory)>,
    ) -> Option<Seat> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let mut seat = self.next(queue, done)?;
        let e = &self.batch[seat.index];
        lanes.enter(i, &seat.x, &e.p);
        let share = if L::WORK.jacobians == 0 {
            LOCAL_SHARE
        } else {
            STIFF_LOCAL_SHARE
        };
        let clock = lanes.clock();
        clock.rtol.0[i] = (self.options.rtol * share).max(SMALLEST_RTOL);
        clock.atol.0[i] = self.options.atol * share;
        clock.t.0[i] = seat.t;
        clock.t_end.0[i] = seat.stimulus.switch_to(seat.t, &mut clock.stimulus, i);
        clock.want(i, seat.trajectory.times, seat.next);
        let statistics = &mut seat.trajectory.statistics;
        statistics.evaluations += L::WORK.begin;
        seat.progress = Progress::from(statistics.accepted + statistics.rejected, seat.t);
        lanes.clock().follow = self.follow.is_some();
        Some(seat)
    }

    /// Books the step that lane `i` has just tried.
    fn settle<L: Lanes<W>, const W: usize>(
        &self,
        lanes: &mut L,
        i: usize,
        seat: &mut Seat,
    ) -> Next {
        let statistics = &mut seat.trajectory.statistics;
        let clock = lanes.clock();
        let (t, error) = (clock.t.0[i], clock.error.0[i]);
        statistics.evaluations += L::WORK.step;
        statistics.jacobians += L::WORK.jacobians;
        let mut stiff = false;
        if error <= 1.0 {
            statistics.accepted += 1;
            if clock.unstable.0[i] == 1.0 {
                (seat.unstable, seat.stable) = (seat.unstable + 1, 0);
                seat.unstable_in_all += 1;
            } else {
                seat.stable += 1;
                if seat.stable == STABLE_STEPS {
                    seat.unstable = 0;
                }
            }
            stiff = seat.unstable >= UNSTABLE_STEPS
                && self.method == Method::Auto
                && L::WORK.jacobians == 0;
            let (times, out) = (seat.trajectory.times, &mut seat.trajectory.x);
            if let Some(variable) = self.follow {
                statistics.evaluations += L::WORK.extension;
                let start = clock.t_before.0[i];
                // Right after a switch a step may be shorter than the spacing of the times.
                if t > times.start && t > start {
                    let (value, terms) = lanes.followed(i, variable);
                    let end = [t, lanes.state(i).nth(variable).unwrap_or(f64::NAN)];
                    seat.curve.push_from(
                        times.start,
                        CurvePiece {
                            start,
                            length: t - start,
                            value,
                            terms,
                        },
                        end,
                    );
                }
            }
            if times.time(seat.next) <= t {
                let inside = |k: usize| k < times.count && times.time(k) < t;
                statistics.evaluations += if inside(seat.next) && self.follow.is_none() {
                    L::WORK.extension
                } else {
                    0
                };
                let mut slot = 0;
                while slot < L::SLOTS && inside(seat.next) {
                    lanes.inside(i, slot, out);
                    (slot, seat.next) = (slot + 1, seat.next + 1);
                }
                if inside(seat.next) {
                    let until = times.reached(t);
                    let until = until - usize::from(times.time(until - 1) == t);
                    lanes.between(i, times, seat.next..until, out);
                    seat.next = until;
                }
                if seat.next < times.count && times.time(seat.next) == t {
                    out.extend(lanes.state(i));
                    seat.next += 1;
                }
                if seat.next == times.count {
                    return Next::End(Outcome::Completed);
                }
                lanes.clock().want(i, times, seat.next);
            }
            if self.follow.is_some() && t >= times.start && t >= lanes.clock().t_end.0[i] {
                seat.curve.switch(t, lanes.state(i));
            }
            let clock = lanes.clock();
            if t >= clock.t_end.0[i] {
                seat.trajectory.statistics.evaluations += L::WORK.begin;
                clock.t_end.0[i] = seat.stimulus.switch_to(t, &mut clock.stimulus, i);
                let statistics = &seat.trajectory.statistics;
                seat.progress = Progress::from(statistics.accepted + statistics.rejected, t);
                return if stiff { Next::Stiff } else { Next::Restart };
            }
        } else {
            statistics.rejected += 1;
        }
        let statistics = &seat.trajectory.statistics;
        let (steps, limit) = (
            statistics.accepted + statistics.rejected,
            self.options.max_steps,
        );
        let full = seat.curve.pieces().len() >= MOST_PIECES;
        let clock = lanes.clock();
        if full
            || clock.vanished(i)
            || steps >= limit
            || seat.progress.is_hopeless(steps, t, clock.t_end.0[i], limit)
        {
            let (vanished, i_stim) = (clock.vanished(i), clock.stimulus.at(clock.t).0[i]);
            let x: Vec<f64> = lanes.state(i).collect();
            let reason = match () {
                () if vanished && !error.is_finite() => FailureReason::NotFinite {
                    quantity: Some(self.blame(&x, i_stim, seat.index)),
                },
                () if vanished => FailureReason::StepTooSmall {
                    fastest: self.fastest(&x, i_stim, seat.index),
                },
                () => FailureReason::TooManySteps {
                    steps,
                    limit: if full { MOST_PIECES as u64 } else { limit },
                    fastest: self.fastest(&x, i_stim, seat.index),
                },
            };
            return Next::End(Outcome::Failed { time: t, reason });
        }
        if stiff { Next::Stiff } else { Next::Step }
    }

    /// Derivatives and Jacobian, `[row][column]`, at a state of an experiment.
    fn linearized(&self, x: &[f64], i_stim: f64, experiment: usize) -> (Vec<f64>, Vec<f64>) {
        let (r, d) = (&self.plan.recording, x.len());
        let q = r.terms.evaluate([&self.batch[experiment].p, &[], &[]]);
        let mut f = r.linearized.evaluate([x, &[i_stim], &q]);
        let mut jacobian = vec![0.0; d * d];
        for ((row, column), entry) in r.entries.iter().zip(&f[d..]) {
            jacobian[usize::from(*row) * d + usize::from(*column)] = *entry;
        }
        f.truncate(d);
        (f, jacobian)
    }

    /// The fastest time scale at a state.
    #[cold]
    fn fastest(&self, x: &[f64], i_stim: f64, experiment: usize) -> Option<f64> {
        limits::fastest(&self.linearized(x, i_stim, experiment).1, x.len())
    }

    /// What is the first to leave the finite numbers from a state on: a derivative, or the variable that changes most beside its size.
    #[cold]
    fn blame(&self, x: &[f64], i_stim: f64, experiment: usize) -> String {
        let f = self.linearized(x, i_stim, experiment).0;
        let variables = self.model.definition().variables;
        if let Some(k) = x.iter().position(|x| !x.is_finite()) {
            return variables[k].name.clone();
        }
        if let Some(k) = f.iter().position(|f| !f.is_finite()) {
            return format!("the derivative of {}", variables[k].name);
        }
        let rate = |k: usize| f[k].abs() / (self.options.atol + x[k].abs());
        let most = (0..x.len())
            .max_by(|a, b| rate(*a).total_cmp(&rate(*b)))
            .unwrap_or(0);
        variables[most].name.clone()
    }

    fn finish(&self, index: usize, trajectory: Trajectory, done: &mut Vec<(usize, Trajectory)>) {
        done.push((index, trajectory));
        let ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        self.options
            .watch
            .progress(ended, self.batch.len(), "trajectories");
    }

    /// Whether to give up, here or because another worker saw it.
    fn interrupted(&self) -> bool {
        if self.options.watch.stopped() {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.stop.load(Ordering::Relaxed)
    }
}

//! What every method keeps of its lanes: times, steps, tolerances, stimulus, and how the next step follows from the error of the last.

use super::stimulus::LaneStimulus;
use crate::{
    real::{Lane, LaneMask, Real},
    trajectory::TimeGrid,
};

/// Bounds on the factor by which a step may differ from the one before.
const SHRINK: f64 = 0.333;
const GROW: f64 = 6.0;

/// Safety, and weight of the past, of a proportional-integral controller (Hairer, Norsett, Wanner IV.2).
#[derive(Clone, Copy)]
pub struct Control {
    /// Factor on the step that the error asks for.
    pub safety: f64,
    /// Exponent of the last error.
    pub alpha: f64,
    /// Exponent of the one before.
    pub beta: f64,
}

/// Times, steps and errors of `W` integrations side by side.
pub struct Clock<const W: usize> {
    /// The stimulus: its present piece.
    pub stimulus: LaneStimulus<W>,
    /// Tolerances of one step.
    pub rtol: Lane<W>,
    pub atol: Lane<W>,
    /// Time, and where to stop next: the end, or a switch of the stimulus.
    pub t: Lane<W>,
    pub t_end: Lane<W>,
    /// Times at which the state is wanted: first, spacing, and index of the next; see [`Clock::output`].
    outputs: [Lane<W>; 3],
    /// Step to be tried next, and the one tried last.
    pub h: Lane<W>,
    pub h_tried: Lane<W>,
    /// Time before the last step.
    pub t_before: Lane<W>,
    /// Error of the last step tried, 1 where it just meets the tolerance; infinite where the step left the finite numbers.
    pub error: Lane<W>,
    error_before: Lane<W>,
    rejected_before: Lane<W>,
    /// 1 where h |lambda| was beyond the stability of an explicit method in the last step.
    pub unstable: Lane<W>,
}

/// A step about to be tried.
pub struct Attempt<const W: usize> {
    pub h: Lane<W>,
    pub t_new: Lane<W>,
}

impl<const W: usize> Clock<W> {
    /// Lanes at rest: no step, no end.
    pub fn at_rest() -> Self {
        let zero = Lane([0.0; W]);
        let one = Lane([1.0; W]);
        Clock {
            stimulus: LaneStimulus::none(),
            rtol: one,
            atol: one,
            t: zero,
            t_end: zero,
            outputs: [Lane([f64::INFINITY; W]), zero, zero],
            h: zero,
            h_tried: zero,
            t_before: zero,
            error: zero,
            error_before: one,
            rejected_before: zero,
            unstable: zero,
        }
    }

    /// Leaves lane `i` where its numbers stay harmless until it is used again.
    pub fn rest(&mut self, i: usize) {
        for lane in [&mut self.h, &mut self.t, &mut self.t_end] {
            lane.0[i] = 0.0;
        }
        for (lane, value) in self.outputs.iter_mut().zip([f64::INFINITY, 0.0, 0.0]) {
            lane.0[i] = value;
        }
    }

    /// Says when the state of lane `i` is wanted next: at the time with index `next`, and those after it.
    pub fn want(&mut self, i: usize, times: TimeGrid, next: usize) {
        for (lane, value) in self.outputs.iter_mut().zip([times.start, times.dt, next as f64]) {
            lane.0[i] = value;
        }
    }

    /// The wanted time that comes so many after the next one: [`TimeGrid::time`] in every lane.
    #[inline(always)]
    pub fn output(&self, after: usize) -> Lane<W> {
        let [start, dt, next] = self.outputs;
        start + (next + Lane([after as f64; W])) * dt
    }

    /// Starts the lanes in `fresh` with step `h`.
    #[inline(always)]
    pub fn begin(&mut self, fresh: LaneMask<W>, h: Lane<W>) {
        self.h = Lane::select(fresh, h, self.h);
        self.error_before = Lane::select(fresh, Lane([1e-4; W]), self.error_before);
        self.rejected_before = Lane::select(fresh, Lane([0.0; W]), self.rejected_before);
    }

    /// The step to try: it ends exactly at `t_end` where it comes near.
    #[inline(always)]
    pub fn attempt(&self) -> Attempt<W> {
        let last = self.t_end.lt(self.t + self.h * 1.01);
        let h = Lane::select(last, self.t_end - self.t, self.h);
        Attempt { h, t_new: Lane::select(last, self.t_end, self.t + h) }
    }

    /// Books a step of a method with a fixed step: accepted where the state is `sound`, the end elsewhere.
    #[inline(always)]
    pub fn hold(&mut self, tried: Attempt<W>, sound: LaneMask<W>, step: f64) {
        let zero = Lane([0.0; W]);
        self.h_tried = tried.h;
        self.t_before = self.t;
        self.t = Lane::select(sound, tried.t_new, self.t);
        self.h = Lane::select(sound, Lane([step; W]), zero);
        self.error = Lane::select(sound, zero, Lane([f64::INFINITY; W]));
    }

    /// What a state may err by.
    #[inline(always)]
    pub fn scale(&self, size: Lane<W>) -> Lane<W> {
        self.atol + self.rtol * size
    }

    /// Books a step with this error: time and next step. Where the error is at most 1 the step is accepted.
    #[inline(always)]
    pub fn book(&mut self, tried: Attempt<W>, error: Lane<W>, control: Control) {
        let zero = Lane([0.0; W]);
        let one = Lane([1.0; W]);
        let accept = error.le(one);
        let plain = (error.max(Lane([1e-300; W])).ln() * control.alpha).exp();
        let with_memory = if control.beta == 0.0 { plain } else { plain / (self.error_before.ln() * control.beta).exp() };
        // After a rejection the step does not grow at once.
        let floor = Lane::select(zero.lt(self.rejected_before), one, zero);
        let bounded_plain = bounded(plain, control.safety).max(one);
        self.h_tried = tried.h;
        self.h = tried.h / Lane::select(accept, bounded(with_memory, control.safety).max(floor), bounded_plain);
        self.t_before = self.t;
        self.t = Lane::select(accept, tried.t_new, self.t);
        self.error_before = Lane::select(accept, error.max(Lane([1e-4; W])), self.error_before);
        self.rejected_before = Lane::select(accept, zero, one);
        self.error = error;
    }
}

/// The factor by which the step shrinks, made safe and kept within bounds.
#[inline(always)]
fn bounded<const W: usize>(shrinkage: Lane<W>, safety: f64) -> Lane<W> {
    (shrinkage * (1.0 / safety)).min(Lane([1.0 / SHRINK; W])).max(Lane([1.0 / GROW; W]))
}

/// Whether a mask holds anywhere.
#[inline(always)]
pub fn any<const W: usize>(mask: LaneMask<W>) -> bool {
    let mut bits = 0;
    for i in 0..W {
        bits |= mask.0[i];
    }
    bits != 0
}

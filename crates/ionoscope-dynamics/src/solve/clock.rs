//! What every method keeps of its lanes: times, steps, tolerances, stimulus, and how the next step follows from the error of the last.

use super::stimulus::LaneStimulus;
use crate::{
    real::{Lane, LaneMask, Real},
    trajectory::TimeGrid,
};

/// Bounds on the factor by which a step may differ from the one before.
pub const SHRINK: f64 = 0.333;
pub const GROW: f64 = 6.0;

/// Of a first step: movement, in tolerances, below which a rate is none; and the step where there is none, for want of any scale.
const TINY: f64 = 1e-5;
const STEP_AT_REST: f64 = 1e-6;
/// The shortest first step: far above where a step counts as none, [`Clock::vanished`].
const SHORTEST_FIRST: f64 = 1e-250;
const SHORTEST: f64 = 1e-290;
/// Steps shorter than this share of the time are summed up with what rounding takes from the time.
const SHARE_OF_TIME: f64 = 1.0 / (1u64 << 26) as f64;
/// What shrinks numbers whose squares would be infinite.
pub const DOWN: f64 = 1e-160;

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
    /// Time since the last start, switch or restart: a step may be as short there as it may at t = 0, however large t is.
    elapsed: Lane<W>,
    /// What `t` lacks by rounding while steps are short beside it.
    carry: Lane<W>,
    /// Error of the last step tried, 1 where it just meets the tolerance; infinite where the step left the finite numbers.
    pub error: Lane<W>,
    /// Whether the continuous extension is wanted over every step.
    pub follow: bool,
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
            elapsed: zero,
            carry: zero,
            error: zero,
            follow: false,
            error_before: one,
            rejected_before: zero,
            unstable: zero,
        }
    }

    /// Leaves lane `i` where its numbers stay harmless until it is used again.
    pub fn rest(&mut self, i: usize) {
        for lane in [
            &mut self.h,
            &mut self.t,
            &mut self.t_end,
            &mut self.elapsed,
            &mut self.carry,
        ] {
            lane.0[i] = 0.0;
        }
        for (lane, value) in self.outputs.iter_mut().zip([f64::INFINITY, 0.0, 0.0]) {
            lane.0[i] = value;
        }
    }

    /// Says when the state of lane `i` is wanted next: at the time with index `next`, and those after it.
    pub fn want(&mut self, i: usize, times: TimeGrid, next: usize) {
        for (lane, value) in self
            .outputs
            .iter_mut()
            .zip([times.start, times.dt, next as f64])
        {
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
        self.elapsed = Lane::select(fresh, Lane([0.0; W]), self.elapsed);
        self.carry = Lane::select(fresh, Lane([0.0; W]), self.carry);
    }

    /// How far to look along the derivative before the first step, from the sizes of the state and of its rate, in tolerances (Hairer,
    /// Norsett, Wanner II.4): a hundredth of the time in which the state would move by its own size. A state that is nearly zero has no
    /// size that says anything; it is moved by the geometric mean of what a state of size 1 would be moved by and of its tolerance.
    #[inline(always)]
    pub fn probe(&self, size: Lane<W>, rate: Lane<W>) -> Lane<W> {
        let room = (Lane([0.01; W]) / self.rtol).sqrt();
        let h = (size / rate * 0.01)
            .max(room / rate)
            .max(Lane([SHORTEST_FIRST; W]));
        Lane::select(rate.le(Lane([TINY; W])), Lane([STEP_AT_REST; W]), h).min(self.t_end - self.t)
    }

    /// The first step, from the probing one, the rate, and how fast the rate changes, for a method whose error grows with this power of the
    /// step. Where that is not known, since the probing step left the finite numbers, it is the probing one: a step may shrink.
    #[inline(always)]
    pub fn first(&self, probe: Lane<W>, rate: Lane<W>, bend: Lane<W>, power: f64) -> Lane<W> {
        let most = bend.max(rate);
        let by_order = (Lane([0.01; W]) / most).powf(1.0 / power);
        let second = Lane::select(
            most.le(Lane([1e-15; W])),
            (probe * 1e-3).max(Lane([STEP_AT_REST; W])),
            by_order,
        );
        let h = (probe * 100.0).min(Lane::select(
            most.lt(Lane([f64::INFINITY; W])),
            second,
            probe,
        ));
        h.max(Lane([SHORTEST_FIRST; W])).min(self.t_end - self.t)
    }

    /// The step to try: it ends exactly at `t_end` where it comes near.
    #[inline(always)]
    pub fn attempt(&self) -> Attempt<W> {
        let last = self.t_end.lt(self.t + self.h * 1.01);
        let h = Lane::select(last, self.t_end - self.t - self.carry, self.h);
        Attempt {
            h,
            t_new: Lane::select(last, self.t_end, self.t + (h + self.carry)),
        }
    }

    /// Moves the time where the step is accepted. A sum of steps that are short beside the time would lose much of each by rounding, or
    /// stand still.
    #[inline(always)]
    fn pass(&mut self, tried: &Attempt<W>, accept: LaneMask<W>) {
        let lost = (self.t - tried.t_new) + (tried.h + self.carry);
        let short = tried.h.lt(self.t * SHARE_OF_TIME);
        self.carry = Lane::select(
            accept,
            Lane::select(short, lost, Lane([0.0; W])),
            self.carry,
        );
        self.elapsed = Lane::select(accept, self.elapsed + tried.h, self.elapsed);
        self.t_before = self.t;
        self.t = Lane::select(accept, tried.t_new, self.t);
    }

    /// Whether the step of lane `i` is too short to go on. Beside the time since the last start or switch, not beside the time itself: what
    /// happens at a switch may be far shorter than the spacing of numbers around its time.
    pub fn vanished(&self, i: usize) -> bool {
        let h = self.h.0[i];
        0.1 * h <= self.elapsed.0[i] * f64::EPSILON || h < SHORTEST || h.is_nan()
    }

    /// Books a step of a method with a fixed step: accepted where the state is `sound`, the end elsewhere.
    #[inline(always)]
    pub fn hold(&mut self, tried: Attempt<W>, sound: LaneMask<W>, step: f64) {
        let zero = Lane([0.0; W]);
        self.h_tried = tried.h;
        self.pass(&tried, sound);
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
        let with_memory = if control.beta == 0.0 {
            plain
        } else {
            plain / (self.error_before.ln() * control.beta).exp()
        };
        // After a rejection the step does not grow at once.
        let floor = Lane::select(zero.lt(self.rejected_before), one, zero);
        let bounded_plain = bounded(plain, control.safety).max(one);
        self.h_tried = tried.h;
        self.h = tried.h
            / Lane::select(
                accept,
                bounded(with_memory, control.safety).max(floor),
                bounded_plain,
            );
        self.pass(&tried, accept);
        self.error_before = Lane::select(accept, error.max(Lane([1e-4; W])), self.error_before);
        self.rejected_before = Lane::select(accept, zero, one);
        self.error = error;
    }
}

/// The factor by which the step shrinks, made safe and kept within bounds.
#[inline(always)]
fn bounded<const W: usize>(shrinkage: Lane<W>, safety: f64) -> Lane<W> {
    (shrinkage * (1.0 / safety))
        .min(Lane([1.0 / SHRINK; W]))
        .max(Lane([1.0 / GROW; W]))
}

/// Root of the sum over the variables of (a / scale)^2; also where a square is beyond all numbers.
#[inline(always)]
pub fn norm<const W: usize>(a: &[Lane<W>], scale: &[Lane<W>]) -> Lane<W> {
    let mut sum = Lane([0.0; W]);
    for d in 0..a.len() {
        let share = a[d] / scale[d];
        sum = sum + share * share;
    }
    let finite = sum.lt(Lane([f64::INFINITY; W]));
    if !any(!finite) {
        return sum.sqrt();
    }
    let mut small = Lane([0.0; W]);
    for d in 0..a.len() {
        let share = a[d] * DOWN / scale[d];
        small = small + share * share;
    }
    Lane::select(finite, sum.sqrt(), small.sqrt() * (1.0 / DOWN))
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

//! One step of the method, for all lanes of a group at once.
//!
//! Each lane has its own time, step, tolerance test and end; a lane that rejects its step keeps its state under a mask. Everything here
//! works component by component, so a lane's numbers never depend on its neighbours.

use super::dop853::{ERROR_5, EXTENSION, NODES, ORDER_3, Row, STAGES};
use crate::{
    real::{Lane, Real},
    solve::stimulus::LaneStimulus,
    system::Model,
};

/// Bounds on the factor by which a step may differ from the one before.
const SHRINK: f64 = 0.333;
const GROW: f64 = 6.0;
/// Safety of the step and weight of the past in the proportional-integral controller (Hairer, Norsett, Wanner IV.2). On 61 beta-cells
/// over the control range these reject 2 to 17 % of the steps (0.9 and 0, the defaults of `dop853`: 15 to 27 %) and reach the same error
/// with 11 to 24 % fewer.
const SAFETY: f64 = 0.85;
const BETA: f64 = 0.04;
const ALPHA: f64 = 1.0 / 8.0 - 0.2 * BETA;
/// h |lambda| beyond which the step is limited by stability (`dop853`).
const STABILITY: f64 = 6.1;

/// The state of `W` integrations side by side: `D` variables, `P` parameters.
pub struct Group<const D: usize, const P: usize, const W: usize> {
    /// Parameters as given.
    pub p: [Lane<W>; P],
    /// Terms of the parameters, see [`Model::derive`].
    q: [Lane<W>; P],
    /// The stimulus: its present piece.
    pub stimulus: LaneStimulus<W>,
    /// Tolerances of one step.
    pub rtol: Lane<W>,
    pub atol: Lane<W>,
    /// Time, where to stop next (the end, or a switch of the stimulus), and the next time at which the state is wanted.
    pub t: Lane<W>,
    pub t_end: Lane<W>,
    pub next_output: Lane<W>,
    /// Step to be tried next, and the one tried last.
    pub h: Lane<W>,
    pub h_tried: Lane<W>,
    /// Time before the last step.
    pub t_before: Lane<W>,
    /// State.
    pub x: [Lane<W>; D],
    k: [[Lane<W>; D]; 16],
    /// Error of the last step tried, 1 where it just meets the tolerance; infinite where the step left the finite numbers.
    pub error: Lane<W>,
    error_before: Lane<W>,
    rejected_before: Lane<W>,
    /// 1 where h |lambda| was beyond the stability of the method in the last step.
    pub unstable: Lane<W>,
    /// Coefficients of the continuous extension over the last step.
    pub extension: [[Lane<W>; D]; 8],
}

#[inline(always)]
fn weighted<const D: usize, const W: usize>(row: Row, k: &[[Lane<W>; D]; 16]) -> [Lane<W>; D] {
    let mut sum = [Lane([0.0; W]); D];
    for &(j, a) in row {
        for d in 0..D {
            sum[d] = sum[d] + k[j][d] * a;
        }
    }
    sum
}

/// Sum over the variables of (a / scale)^2. No closures here nor below: one that is not inlined is compiled for the baseline.
#[inline(always)]
fn square_sum<const D: usize, const W: usize>(a: &[Lane<W>; D], scale: &[Lane<W>; D]) -> Lane<W> {
    let mut sum = Lane([0.0; W]);
    for d in 0..D {
        let share = a[d] / scale[d];
        sum = sum + share * share;
    }
    sum
}

/// The factor by which the step shrinks, made safe and kept within bounds.
#[inline(always)]
fn bounded<const W: usize>(shrinkage: Lane<W>) -> Lane<W> {
    (shrinkage * (1.0 / SAFETY)).min(Lane([1.0 / SHRINK; W])).max(Lane([1.0 / GROW; W]))
}

/// x + h s, variable by variable.
#[inline(always)]
fn moved<const D: usize, const W: usize>(x: &[Lane<W>; D], h: Lane<W>, s: &[Lane<W>; D]) -> [Lane<W>; D] {
    let mut y = *x;
    for d in 0..D {
        y[d] = x[d] + h * s[d];
    }
    y
}

#[inline(always)]
fn difference<const D: usize, const W: usize>(a: &[Lane<W>; D], b: &[Lane<W>; D]) -> [Lane<W>; D] {
    let mut y = *a;
    for d in 0..D {
        y[d] = a[d] - b[d];
    }
    y
}

#[inline(always)]
fn any<const W: usize>(mask: crate::real::LaneMask<W>) -> bool {
    let mut bits = 0;
    for i in 0..W {
        bits |= mask.0[i];
    }
    bits != 0
}

impl<const D: usize, const P: usize, const W: usize> Group<D, P, W> {
    /// Lanes at rest: no step, no end.
    pub fn at_rest() -> Self {
        let zero = Lane([0.0; W]);
        let one = Lane([1.0; W]);
        Group {
            p: [one; P],
            q: [one; P],
            stimulus: LaneStimulus::none(),
            rtol: one,
            atol: one,
            t: zero,
            t_end: zero,
            next_output: Lane([f64::INFINITY; W]),
            h: zero,
            h_tried: zero,
            t_before: zero,
            x: [zero; D],
            k: [[zero; D]; 16],
            error: zero,
            error_before: one,
            rejected_before: zero,
            unstable: zero,
            extension: [[zero; D]; 8],
        }
    }

    /// Derivative and first step of the lanes where `fresh` is 1 (Hairer, Norsett, Wanner II.4). Two evaluations.
    #[inline(always)]
    pub fn begin<M: Model>(&mut self, model: &M, fresh: &Lane<W>) {
        let fresh = Lane([0.5; W]).lt(*fresh);
        self.q = self.p;
        model.derive(&mut self.q);
        let mut f = [Lane([0.0; W]); D];
        let i_stim = self.stimulus.at(self.t);
        model.rhs(&self.x, i_stim, &self.q, &mut f);
        let mut scale = self.x;
        for d in 0..D {
            scale[d] = self.atol + self.rtol * self.x[d].abs();
        }
        let size = square_sum(&self.x, &scale).sqrt();
        let slope = square_sum(&f, &scale).sqrt();
        let tiny = Lane([1e-5; W]);
        let left = self.t_end - self.t;
        let h = Lane::select(slope.le(tiny) | size.le(tiny), Lane([1e-6; W]), size / slope * 0.01).min(left);
        let y = moved(&self.x, h, &f);
        let mut f_after = [Lane([0.0; W]); D];
        let i_stim = self.stimulus.at(self.t + h);
        model.rhs(&y, i_stim, &self.q, &mut f_after);
        let bend = square_sum(&difference(&f_after, &f), &scale).sqrt() / h;
        let most = bend.max(slope);
        let by_order = (Lane([0.01; W]) / most).powf(1.0 / 8.0);
        let second = Lane::select(most.le(Lane([1e-15; W])), (h * 1e-3).max(Lane([1e-6; W])), by_order);
        let h = (h * 100.0).min(second).min(left);
        self.h = Lane::select(fresh, h, self.h);
        for d in 0..D {
            self.k[0][d] = Lane::select(fresh, f[d], self.k[0][d]);
        }
        self.error_before = Lane::select(fresh, Lane([1e-4; W]), self.error_before);
        self.rejected_before = Lane::select(fresh, Lane([0.0; W]), self.rejected_before);
    }

    /// Tries one step in every lane; where `error` is at most 1 it was accepted, and state, time and, where a wanted time lies inside,
    /// `extension` are those of the step. 12 evaluations, and 3 with the extension.
    #[inline(always)]
    pub fn advance<M: Model>(&mut self, model: &M) {
        let zero = Lane([0.0; W]);
        let one = Lane([1.0; W]);
        let last = self.t_end.lt(self.t + self.h * 1.01);
        let h = Lane::select(last, self.t_end - self.t, self.h);
        let mut y = [zero; D];
        for stage in 1..12 {
            y = moved(&self.x, h, &weighted(STAGES[stage], &self.k));
            let i_stim = self.stimulus.at(self.t + h * NODES[stage]);
            model.rhs(&y, i_stim, &self.q, &mut self.k[stage]);
        }
        let high = weighted(STAGES[12], &self.k);
        let x_new = moved(&self.x, h, &high);
        let i_stim = self.stimulus.at(self.t + h);
        model.rhs(&x_new, i_stim, &self.q, &mut self.k[12]);

        let mut scale = x_new;
        for d in 0..D {
            scale[d] = self.atol + self.rtol * self.x[d].abs().max(x_new[d].abs());
        }
        let error_5 = square_sum(&weighted(ERROR_5, &self.k), &scale);
        let error_3 = square_sum(&difference(&high, &weighted(ORDER_3, &self.k)), &scale);
        let both = error_5 + error_3 * 0.01;
        let error = h.abs() * error_5 / (Lane::select(both.le(zero), one, both) * D as f64).sqrt();
        // Times 0, infinities and NaN become NaN.
        let mut sound = error * 0.0;
        for d in 0..D {
            sound = sound + (x_new[d] + self.k[12][d]) * 0.0;
        }
        let error = Lane::select(sound.le(zero), error, Lane([f64::INFINITY; W]));
        let accept = error.le(one);

        let unit = [one; D];
        let distance = square_sum(&difference(&x_new, &y), &unit);
        let change = square_sum(&difference(&self.k[12], &self.k[11]), &unit);
        self.unstable = Lane::select((distance * (STABILITY * STABILITY)).lt(h * h * change), one, zero);

        let plain = (error.max(Lane([1e-300; W])).ln() * ALPHA).exp();
        let with_memory = if BETA == 0.0 { plain } else { plain / (self.error_before.ln() * BETA).exp() };
        // After a rejection the step does not grow at once.
        let floor = Lane::select(zero.lt(self.rejected_before), one, zero);
        let h_next = h / Lane::select(accept, bounded(with_memory).max(floor), bounded(plain).max(one));

        let t_new = Lane::select(last, self.t_end, self.t + h);
        if any(accept & self.next_output.lt(t_new)) {
            for stage in 13..16 {
                y = moved(&self.x, h, &weighted(STAGES[stage], &self.k));
                let i_stim = self.stimulus.at(self.t + h * NODES[stage]);
                model.rhs(&y, i_stim, &self.q, &mut self.k[stage]);
            }
            for d in 0..D {
                let change = x_new[d] - self.x[d];
                let start = h * self.k[0][d] - change;
                self.extension[0][d] = self.x[d];
                self.extension[1][d] = change;
                self.extension[2][d] = start;
                self.extension[3][d] = change - h * self.k[12][d] - start;
            }
            for term in 0..4 {
                let sum = weighted(EXTENSION[term], &self.k);
                for d in 0..D {
                    self.extension[4 + term][d] = h * sum[d];
                }
            }
        }

        for d in 0..D {
            self.x[d] = Lane::select(accept, x_new[d], self.x[d]);
            self.k[0][d] = Lane::select(accept, self.k[12][d], self.k[0][d]);
        }
        self.t_before = self.t;
        self.t = Lane::select(accept, t_new, self.t);
        self.h_tried = h;
        self.h = h_next;
        self.error_before = Lane::select(accept, error.max(Lane([1e-4; W])), self.error_before);
        self.rejected_before = Lane::select(accept, zero, one);
        self.error = error;
    }
}

/// State of variable `d` at a share `theta` of the last step.
#[inline(always)]
pub fn interpolate<const D: usize>(c: &[[f64; D]; 8], theta: f64, d: usize) -> f64 {
    let rest = 1.0 - theta;
    let inner = c[4][d] + theta * (c[5][d] + rest * (c[6][d] + theta * c[7][d]));
    c[0][d] + theta * (c[1][d] + rest * (c[2][d] + theta * (c[3][d] + rest * inner)))
}

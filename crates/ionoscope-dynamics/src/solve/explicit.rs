//! One step of the method, for all lanes of a group at once.
//!
//! Each lane has its own time, step, tolerance test and end; a lane that rejects its step keeps its state under a mask. Everything here
//! works component by component, so a lane's numbers never depend on its neighbors.

use super::dop853::{ERROR_5, EXTENSION, NODES, ORDER_3, Row, STAGES, error_of_step};
use crate::{
    curve::{Factor, TERMS, nest},
    real::{Lane, Real, optimization_barrier},
    solve::clock::{Clock, Control, DOWN, any, norm},
    system::Model,
};

/// Safety of the step and weight of the past in the proportional-integral controller (Hairer, Norsett, Wanner IV.2). On 61 beta-cells
/// over the control range these reject 2 to 17 % of the steps (0.9 and 0, the defaults of `dop853`: 15 to 27 %) and reach the same error
/// with 11 to 24 % fewer.
const CONTROL: Control = Control {
    safety: 0.85,
    alpha: 1.0 / 8.0 - 0.2 * 0.04,
    beta: 0.04,
};
/// h |lambda| beyond which the step is limited by stability (`dop853`).
const STABILITY: f64 = 6.1;

/// Wanted states that a step evaluates itself.
pub const SLOTS: usize = 4;

/// The state of `W` integrations side by side: `D` variables, `P` parameters.
pub struct Group<const D: usize, const P: usize, const W: usize> {
    /// Parameters as given.
    pub p: [Lane<W>; P],
    /// Terms of the parameters, see [`Model::derive`].
    q: [Lane<W>; P],
    /// Times, steps and errors.
    pub clock: Clock<W>,
    /// State.
    pub x: [Lane<W>; D],
    k: [[Lane<W>; D]; 16],
    /// Terms of the continuous extension over the last step.
    pub extension: [[Lane<W>; D]; 8],
    /// States at the next wanted times, as far as they lie inside the last step: there are often as many of them as steps, and side by
    /// side they cost little.
    pub inside: [[Lane<W>; D]; SLOTS],
}

/// [`optimization_barrier`], where it pays: up to three variables stay in registers.
#[inline(always)]
fn variable<const D: usize, const W: usize>(d: usize) -> usize {
    if D < 4 {
        d
    } else {
        optimization_barrier::<W>(d)
    }
}

/// The weighted sum of the stages for one variable.
#[inline(always)]
fn sum<const D: usize, const W: usize>(row: Row, k: &[[Lane<W>; D]; 16], d: usize) -> Lane<W> {
    let mut sum = Lane([0.0; W]);
    for &(j, a) in row {
        sum = sum + k[j][d] * a;
    }
    sum
}

#[inline(always)]
fn weighted<const D: usize, const W: usize>(row: Row, k: &[[Lane<W>; D]; 16]) -> [Lane<W>; D] {
    let mut y = [Lane([0.0; W]); D];
    for d in 0..D {
        let d = variable::<D, W>(d);
        y[d] = sum(row, k, d);
    }
    y
}

/// The state of a stage: x + h times the weighted sum of the stages before.
#[inline(always)]
fn stage<const D: usize, const W: usize>(
    x: &[Lane<W>; D],
    h: Lane<W>,
    row: Row,
    k: &[[Lane<W>; D]; 16],
) -> [Lane<W>; D] {
    let mut y = *x;
    for d in 0..D {
        let d = variable::<D, W>(d);
        y[d] = x[d] + h * sum(row, k, d);
    }
    y
}

/// Sum over the variables of (a / scale)^2. No closures here nor below: one that is not inlined is compiled for the baseline.
#[inline(always)]
fn square_sum<const D: usize, const W: usize>(a: &[Lane<W>; D], scale: &[Lane<W>; D]) -> Lane<W> {
    let mut sum = Lane([0.0; W]);
    for d in 0..D {
        let d = variable::<D, W>(d);
        let share = a[d] / scale[d];
        sum = sum + share * share;
    }
    sum
}

#[inline(always)]
fn smaller<const D: usize, const W: usize>(a: &[Lane<W>; D]) -> [Lane<W>; D] {
    let mut y = *a;
    for d in 0..D {
        y[d] = a[d] * DOWN;
    }
    y
}

/// x + h s, variable by variable.
#[inline(always)]
fn moved<const D: usize, const W: usize>(
    x: &[Lane<W>; D],
    h: Lane<W>,
    s: &[Lane<W>; D],
) -> [Lane<W>; D] {
    let mut y = *x;
    for d in 0..D {
        let d = variable::<D, W>(d);
        y[d] = x[d] + h * s[d];
    }
    y
}

#[inline(always)]
fn difference<const D: usize, const W: usize>(a: &[Lane<W>; D], b: &[Lane<W>; D]) -> [Lane<W>; D] {
    let mut y = *a;
    for d in 0..D {
        let d = variable::<D, W>(d);
        y[d] = a[d] - b[d];
    }
    y
}

impl<const D: usize, const P: usize, const W: usize> Group<D, P, W> {
    /// Lanes at rest: no step, no end.
    pub fn at_rest() -> Self {
        let zero = Lane([0.0; W]);
        let one = Lane([1.0; W]);
        Group {
            p: [one; P],
            q: [one; P],
            clock: Clock::at_rest(),
            x: [zero; D],
            k: [[zero; D]; 16],
            extension: [[zero; D]; 8],
            inside: [[zero; D]; SLOTS],
        }
    }

    /// Derivative and first step of the lanes where `fresh` is 1 (Hairer, Norsett, Wanner II.4). Two evaluations.
    #[inline(always)]
    pub fn begin<M: Model>(&mut self, model: &M, fresh: &Lane<W>) {
        let fresh = Lane([0.5; W]).lt(*fresh);
        self.q = self.p;
        model.derive(&mut self.q);
        let mut f = [Lane([0.0; W]); D];
        let i_stim = self.clock.stimulus.at(self.clock.t);
        model.rhs(&self.x, i_stim, &self.q, &mut f);
        let mut scale = self.x;
        for d in 0..D {
            scale[d] = self.clock.scale(self.x[d].abs());
        }
        let rate = norm(&f, &scale);
        let probe = self.clock.probe(norm(&self.x, &scale), rate);
        let y = moved(&self.x, probe, &f);
        let mut f_after = [Lane([0.0; W]); D];
        let i_stim = self.clock.stimulus.at(self.clock.t + probe);
        model.rhs(&y, i_stim, &self.q, &mut f_after);
        let bend = norm(&difference(&f_after, &f), &scale) / probe;
        let h = self.clock.first(probe, rate, bend, 8.0);
        self.clock.begin(fresh, h);
        for d in 0..D {
            self.k[0][d] = Lane::select(fresh, f[d], self.k[0][d]);
        }
    }

    /// Tries one step in every lane; where `error` is at most 1 it was accepted, and state, time and, where a wanted time lies inside,
    /// `extension` are those of the step. 12 evaluations, and 3 with the extension.
    #[inline(always)]
    pub fn advance<M: Model>(&mut self, model: &M) {
        let zero = Lane([0.0; W]);
        let one = Lane([1.0; W]);
        let tried = self.clock.attempt();
        let h = tried.h;
        let mut y = [zero; D];
        for s in 1..12 {
            y = stage(&self.x, h, STAGES[s], &self.k);
            let i_stim = self.clock.stimulus.at(self.clock.t + h * NODES[s]);
            model.rhs(&y, i_stim, &self.q, &mut self.k[s]);
        }
        let high = weighted(STAGES[12], &self.k);
        let x_new = moved(&self.x, h, &high);
        let i_stim = self.clock.stimulus.at(self.clock.t + h);
        model.rhs(&x_new, i_stim, &self.q, &mut self.k[12]);

        let mut scale = x_new;
        for d in 0..D {
            let d = variable::<D, W>(d);
            scale[d] = self.clock.scale(self.x[d].abs().max(x_new[d].abs()));
        }
        let error_5 = square_sum(&weighted(ERROR_5, &self.k), &scale);
        let error_3 = square_sum(&difference(&high, &weighted(ORDER_3, &self.k)), &scale);
        let mut error = error_of_step(h, error_5, error_3, D);
        let huge = Lane([f64::INFINITY; W]).le(error_5 + error_3);
        if any(huge) {
            // Squares beyond all numbers: the same with numbers made smaller.
            let error_5 = square_sum(&smaller(&weighted(ERROR_5, &self.k)), &scale);
            let error_3 = square_sum(
                &smaller(&difference(&high, &weighted(ORDER_3, &self.k))),
                &scale,
            );
            error = Lane::select(
                huge,
                error_of_step(h, error_5, error_3, D) * (1.0 / DOWN),
                error,
            );
        }
        // Times 0, infinities and NaN become NaN.
        let mut sound = error * 0.0;
        for d in 0..D {
            let d = variable::<D, W>(d);
            sound = sound + (x_new[d] + self.k[12][d]) * 0.0;
        }
        let error = Lane::select(sound.le(zero), error, Lane([f64::INFINITY; W]));
        let accept = error.le(one);

        let unit = [one; D];
        let distance = square_sum(&difference(&x_new, &y), &unit);
        let change = square_sum(&difference(&self.k[12], &self.k[11]), &unit);
        self.clock.unstable = Lane::select(
            (distance * (STABILITY * STABILITY)).lt(h * h * change),
            one,
            zero,
        );

        if self.clock.follow || any(accept & self.clock.output(0).lt(tried.t_new)) {
            for s in 13..16 {
                y = stage(&self.x, h, STAGES[s], &self.k);
                let i_stim = self.clock.stimulus.at(self.clock.t + h * NODES[s]);
                model.rhs(&y, i_stim, &self.q, &mut self.k[s]);
            }
            for d in 0..D {
                let d = variable::<D, W>(d);
                let change = x_new[d] - self.x[d];
                let start = h * self.k[0][d] - change;
                self.extension[0][d] = self.x[d];
                self.extension[1][d] = change;
                self.extension[2][d] = start;
                self.extension[3][d] = change - h * self.k[12][d] - start;
            }
            for term in 0..4 {
                for d in 0..D {
                    let d = variable::<D, W>(d);
                    self.extension[4 + term][d] = h * sum(EXTENSION[term], &self.k, d);
                }
            }
            for slot in 0..SLOTS {
                let time = self.clock.output(slot);
                if slot > 0 && !any(accept & time.lt(tried.t_new)) {
                    break;
                }
                let theta = (time - self.clock.t) / h;
                for d in 0..D {
                    let d = optimization_barrier::<W>(d);
                    self.inside[slot][d] = extension(|term| self.extension[term][d], theta);
                }
            }
        }

        for d in 0..D {
            let d = variable::<D, W>(d);
            self.x[d] = Lane::select(accept, x_new[d], self.x[d]);
            self.k[0][d] = Lane::select(accept, self.k[12][d], self.k[0][d]);
        }
        self.clock.book(tried, error, CONTROL);
    }
}

/// The continuous extension from its eight terms, at a share `theta` of the step.
#[inline(always)]
pub fn extension<R: Real>(term: impl Fn(usize) -> R, theta: R) -> R {
    let rest = R::constant(1.0) - theta;
    let mut y = term(7);
    for k in (0..7).rev() {
        y = term(k) + if k % 2 == 0 { theta } else { rest } * y;
    }
    y
}

/// The terms of a [`CurvePiece`](crate::curve::CurvePiece) from the eight of [`extension`].
pub fn curve_terms(term: impl Fn(usize) -> f64) -> [f64; TERMS] {
    let mut all = [0.0; TERMS];
    all[0] = term(7);
    for k in (0..7).rev() {
        let factor = if k % 2 == 0 {
            Factor::Share
        } else {
            Factor::Rest
        };
        nest(&mut all, 7 - k, &factor, if k == 0 { 0.0 } else { term(k) });
    }
    all
}

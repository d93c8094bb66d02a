//! Wanted states inside a step: a method's continuous extension at many times at once.

use std::ops::Range;

use super::clock::Clock;
use crate::{
    real::{Lane, Real},
    trajectory::TimeGrid,
};

/// Times evaluated side by side.
const SIDE_BY_SIDE: usize = 8;

/// The continuous extension of a lane over its last step, and wanted times inside.
pub struct Inside<'a> {
    /// Terms of the extension, `[term][variable]`.
    terms: &'a [f64],
    dimension: usize,
    times: TimeGrid,
    range: Range<usize>,
    /// Time before the step, and the step.
    before: f64,
    step: f64,
}

impl<'a> Inside<'a> {
    /// The `range` of `times`, inside the last step of lane `i` with these terms.
    pub fn of<const W: usize>(
        clock: &Clock<W>,
        i: usize,
        times: TimeGrid,
        range: Range<usize>,
        terms: &'a [f64],
        dimension: usize,
    ) -> Self {
        Inside {
            terms,
            dimension,
            times,
            range,
            before: clock.t_before.0[i],
            step: clock.h_tried.0[i],
        }
    }

    /// States at these times, `[time][variable]`, behind those in `out`. `formula` takes the terms of a variable and the share of the step.
    #[inline(always)]
    pub fn push(
        &self,
        out: &mut Vec<f64>,
        formula: impl Fn(&[Lane<SIDE_BY_SIDE>], Lane<SIDE_BY_SIDE>) -> Lane<SIDE_BY_SIDE>,
    ) {
        let d = self.dimension;
        let mut k = self.range.start as f64;
        let from = out.len();
        out.resize(from + self.range.len() * d, 0.0);
        let mut own = [Lane([0.0; SIDE_BY_SIDE]); 8];
        for x in out[from..].chunks_mut(d * SIDE_BY_SIDE) {
            let mut theta = Lane([0.0; SIDE_BY_SIDE]);
            for j in 0..SIDE_BY_SIDE {
                // `TimeGrid::time`, past the range too where it ends within the eight: those values are not used.
                theta.0[j] =
                    (self.times.start + (k + j as f64) * self.times.dt - self.before) / self.step;
            }
            for variable in 0..d {
                for (own, terms) in own.iter_mut().zip(self.terms.chunks_exact(d)) {
                    *own = Lane([terms[variable]; SIDE_BY_SIDE]);
                }
                let values = formula(&own, theta);
                for (x, value) in x.chunks_exact_mut(d).zip(values.0) {
                    x[variable] = value;
                }
            }
            k += SIDE_BY_SIDE as f64;
        }
    }
}

/// From the state before to the state after on a line, which is as good as a method of order 1.
#[inline(always)]
pub fn line<R: Real>(term: impl Fn(usize) -> R, theta: R) -> R {
    term(0) + theta * (term(1) - term(0))
}

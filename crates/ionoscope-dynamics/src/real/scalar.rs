//! `f64` as a [`Real`]: one number at a time, to the bit what a lane computes.

use super::{elementary, operations::Real};

/// Below this, the derivative of x / (exp(x) - 1) is taken from its series.
pub(super) const SERIES_BELOW: f64 = 1e-2;

impl Real for f64 {
    type Mask = bool;

    #[inline(always)]
    fn constant(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn exp(self) -> Self {
        elementary::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        elementary::ln(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn powi(self, n: i32) -> Self {
        elementary::powi(1.0, self, n, |y| 1.0 / y)
    }
    #[inline(always)]
    fn powf(self, e: f64) -> Self {
        elementary::powf(self, e)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        elementary::tanh(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if other < self { other } else { self }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }
    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self < other
    }
    #[inline(always)]
    fn le(self, other: Self) -> bool {
        self <= other
    }
    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    #[inline(always)]
    fn x_over_exp_m1(self) -> Self {
        elementary::x_over_exp_m1(self)
    }
}

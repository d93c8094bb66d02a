//! `f64` as a [`Real`]: one number at a time, with the standard library's functions.

use super::Real;

/// Below this, x / (exp(x) - 1) is taken from its series.
pub(super) const SERIES_BELOW: f64 = 1e-2;

impl Real for f64 {
    type Mask = bool;

    #[inline(always)]
    fn constant(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn powi(self, n: i32) -> Self {
        f64::powi(self, n)
    }
    #[inline(always)]
    fn powf(self, e: f64) -> Self {
        f64::powf(self, e)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        f64::min(self, other)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        f64::max(self, other)
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
        if self.abs() < SERIES_BELOW {
            // Bernoulli numbers: 1 - x/2 + x^2/12 - x^4/720 + x^6/30240.
            let y = self * self;
            1.0 - 0.5 * self + y * (1.0 / 12.0 - y * (1.0 / 720.0 - y / 30240.0))
        } else {
            self / self.exp_m1()
        }
    }
}

//! Dual numbers: a value and its exact derivatives in N directions.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{operations::Real, scalar::SERIES_BELOW};

/// A value with its derivatives in `N` directions, over any [`Real`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dual<S, const N: usize> {
    /// The value.
    pub value: S,
    /// Its derivatives.
    pub derivative: [S; N],
}

impl<S: Real, const N: usize> Dual<S, N> {
    /// The variable of the given direction, with derivative one.
    #[inline(always)]
    pub fn variable(value: S, direction: usize) -> Self {
        let mut d = Self {
            value,
            derivative: [S::constant(0.0); N],
        };
        d.derivative[direction] = S::constant(1.0);
        d
    }

    /// A value that depends on no direction.
    #[inline(always)]
    pub fn fixed(value: S) -> Self {
        Self {
            value,
            derivative: [S::constant(0.0); N],
        }
    }

    /// f(self) by the chain rule, given f and f' at the value.
    #[inline(always)]
    fn chain(self, f: S, slope: S) -> Self {
        Self {
            value: f,
            derivative: self.derivative.map(|d| d * slope),
        }
    }

    #[inline(always)]
    fn zip(self, other: Self, value: S, f: impl Fn(S, S) -> S) -> Self {
        let mut derivative = self.derivative;
        for (a, b) in derivative.iter_mut().zip(other.derivative) {
            *a = f(*a, b);
        }
        Self { value, derivative }
    }
}

impl<S: Real, const N: usize> Add for Dual<S, N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        self.zip(o, self.value + o.value, |a, b| a + b)
    }
}
impl<S: Real, const N: usize> Sub for Dual<S, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        self.zip(o, self.value - o.value, |a, b| a - b)
    }
}
#[allow(clippy::suspicious_arithmetic_impl)] // the product rule
impl<S: Real, const N: usize> Mul for Dual<S, N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        self.zip(o, self.value * o.value, |a, b| a * o.value + self.value * b)
    }
}
#[allow(clippy::suspicious_arithmetic_impl)] // the quotient rule
impl<S: Real, const N: usize> Div for Dual<S, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        let quotient = self.value / o.value;
        self.zip(o, quotient, |a, b| (a - quotient * b) / o.value)
    }
}
impl<S: Real, const N: usize> Neg for Dual<S, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self {
            value: -self.value,
            derivative: self.derivative.map(|d| -d),
        }
    }
}
impl<S: Real, const N: usize> Add<f64> for Dual<S, N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: f64) -> Self {
        Self {
            value: self.value + o,
            ..self
        }
    }
}
impl<S: Real, const N: usize> Sub<f64> for Dual<S, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: f64) -> Self {
        Self {
            value: self.value - o,
            ..self
        }
    }
}
impl<S: Real, const N: usize> Mul<f64> for Dual<S, N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, o: f64) -> Self {
        self.chain(self.value * o, S::constant(o))
    }
}
impl<S: Real, const N: usize> Div<f64> for Dual<S, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, o: f64) -> Self {
        self.chain(self.value / o, S::constant(1.0 / o))
    }
}

impl<S: Real, const N: usize> Real for Dual<S, N> {
    type Mask = S::Mask;

    #[inline(always)]
    fn constant(value: f64) -> Self {
        Self::fixed(S::constant(value))
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let e = self.value.exp();
        self.chain(e, e)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        self.chain(self.value.ln(), S::constant(1.0) / self.value)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let r = self.value.sqrt();
        self.chain(r, S::constant(0.5) / r)
    }
    #[inline(always)]
    fn powi(self, n: i32) -> Self {
        // No power -1 of a value that may be 0.
        let slope = if n == 0 {
            S::constant(0.0)
        } else {
            self.value.powi(n - 1) * f64::from(n)
        };
        self.chain(self.value.powi(n), slope)
    }
    #[inline(always)]
    fn powf(self, e: f64) -> Self {
        self.chain(self.value.powf(e), self.value.powf(e - 1.0) * e)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        let t = self.value.tanh();
        self.chain(t, S::constant(1.0) - t * t)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self::select(self.value.lt(S::constant(0.0)), -self, self)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self::select(other.value.lt(self.value), other, self)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self::select(self.value.lt(other.value), other, self)
    }
    #[inline(always)]
    fn lt(self, other: Self) -> S::Mask {
        self.value.lt(other.value)
    }
    #[inline(always)]
    fn le(self, other: Self) -> S::Mask {
        self.value.le(other.value)
    }
    #[inline(always)]
    fn select(mask: S::Mask, yes: Self, no: Self) -> Self {
        yes.zip(no, S::select(mask, yes.value, no.value), |y, n| {
            S::select(mask, y, n)
        })
    }
    #[inline(always)]
    fn x_over_exp_m1(self) -> Self {
        // g = x/(e^x - 1) has g' = (g (1 - x) - g^2) / x; near 0 its series -1/2 + x/6 - x^3/180 + x^5/5040.
        let x = self.value;
        let g = x.x_over_exp_m1();
        let y = x * x;
        let series = x * ((y * (1.0 / 5040.0) - 1.0 / 180.0) * y + 1.0 / 6.0) - 0.5;
        let closed = (g * (S::constant(1.0) - x) - g * g) / x;
        self.chain(
            g,
            S::select(x.abs().lt(S::constant(SERIES_BELOW)), series, closed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::Lane;

    /// The derivative at x by dual numbers and by Richardson's extrapolation of central differences.
    fn both(f: fn(Dual<f64, 1>) -> Dual<f64, 1>, x: f64) -> (f64, f64) {
        let value = |x: f64| f(Dual::fixed(x)).value;
        let difference = |h: f64| (value(x + h) - value(x - h)) / (2.0 * h);
        (
            f(Dual::variable(x, 0)).derivative[0],
            (4.0 * difference(1e-4) - difference(2e-4)) / 3.0,
        )
    }

    #[test]
    fn derivatives_of_all_functions_match_differences() {
        type D = Dual<f64, 1>;
        type Case = (&'static str, fn(D) -> D);
        let functions: [Case; 14] = [
            ("exp", |x| x.exp()),
            ("ln", |x| x.ln()),
            ("sqrt", |x| x.sqrt()),
            ("powi", |x| x.powi(-3) + x.powi(4)),
            ("powf", |x| x.powf(1.7)),
            ("tanh", |x| x.tanh()),
            ("abs", |x| (x - 5.0).abs()),
            ("min", |x| (x * x).min(x)),
            ("max", |x| (x * x).max(x)),
            ("x_over_exp_m1", |x| x.x_over_exp_m1()),
            ("logistic", |x| x.logistic()),
            ("quotient", |x| (x + 1.0) / (x * x + 2.0)),
            ("chosen", |x| {
                D::select(x.lt(D::constant(0.9)), x * 3.0, (-x) * x)
            }),
            ("constants", |x| (x - 3.0) * 2.0 / 5.0 - x),
        ];
        for (name, f) in functions {
            for x in [0.3, 0.7, 1.3, 2.9, 7.0] {
                let (got, want) = both(f, x);
                assert!(
                    (got - want).abs() < 1e-9 * want.abs().max(1.0),
                    "{name} at {x}: {got}, differences {want}"
                );
            }
        }
    }

    #[test]
    fn x_over_exp_m1_is_smooth_through_zero() {
        for k in -400..=400 {
            let x = f64::from(k) * 1e-4;
            let (got, want) = both(|x| x.x_over_exp_m1(), x);
            assert!((got - want).abs() < 1e-10, "{x}: {got}, differences {want}");
        }
        assert_eq!(
            Dual::<f64, 1>::variable(0.0, 0).x_over_exp_m1(),
            Dual {
                value: 1.0,
                derivative: [-0.5]
            }
        );
        assert_eq!(Dual::<f64, 1>::variable(0.0, 0).powi(0).derivative, [0.0]);
    }

    #[test]
    fn dual_lanes_are_the_dual_numbers_of_each_lane() {
        let x = [-2.0, 0.0, 0.4, 30.0];
        let many = Dual::<Lane<4>, 1>::variable(Lane(x), 0)
            .x_over_exp_m1()
            .tanh();
        for i in 0..4 {
            let one = Dual::<f64, 1>::variable(x[i], 0).x_over_exp_m1().tanh();
            assert_eq!(
                (many.value.0[i], many.derivative[0].0[i]),
                (one.value, one.derivative[0])
            );
        }
    }
}

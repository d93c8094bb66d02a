//! Several numbers side by side, as the instruction set holds them in one or two registers.
//!
//! Plain arrays and plain loops: inside a function compiled for AVX-512 or AVX2 (see [`crate::solve::dispatch`]) they become that
//! instruction set's vector code, elsewhere the baseline's. No result depends on which, since nothing is fused or reordered.

use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use super::{elementary, operations::Real};

/// `N` numbers side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(transparent)]
pub struct Lane<const N: usize>(pub [f64; N]);

/// `N` outcomes of a comparison: all bits set, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct LaneMask<const N: usize>(pub [u64; N]);

impl<const N: usize> Lane<N> {
    #[inline(always)]
    fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        for i in 0..N {
            self.0[i] = f(self.0[i]);
        }
        self
    }

    #[inline(always)]
    fn zip(mut self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        for i in 0..N {
            self.0[i] = f(self.0[i], other.0[i]);
        }
        self
    }

    #[inline(always)]
    fn compare(self, other: Self, f: impl Fn(f64, f64) -> bool) -> LaneMask<N> {
        let mut mask = [0; N];
        for i in 0..N {
            mask[i] = u64::from(f(self.0[i], other.0[i])).wrapping_neg();
        }
        LaneMask(mask)
    }
}

impl<const N: usize> LaneMask<N> {
    #[inline(always)]
    fn zip(mut self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        for i in 0..N {
            self.0[i] = f(self.0[i], other.0[i]);
        }
        self
    }
}

impl<const N: usize> BitAnd for LaneMask<N> {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, o: Self) -> Self {
        self.zip(o, |a, b| a & b)
    }
}
impl<const N: usize> BitOr for LaneMask<N> {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, o: Self) -> Self {
        self.zip(o, |a, b| a | b)
    }
}
impl<const N: usize> Not for LaneMask<N> {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        self.zip(self, |a, _| !a)
    }
}

/// An index of a lane in a list that the vectorizer cannot look through. It shall put the numbers of a lane side by side, which lie
/// together; in a short loop over several lanes it may take those instead and gather them from memory, which costs up to half of the speed.
#[inline(always)]
pub(crate) fn optimization_barrier<const N: usize>(k: usize) -> usize {
    if N == 1 { k } else { std::hint::black_box(k) }
}

macro_rules! operator {
    ($($name:ident $method:ident $symbol:tt),*) => {$(
        impl<const N: usize> $name for Lane<N> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, o: Self) -> Self {
                self.zip(o, |a, b| a $symbol b)
            }
        }
        impl<const N: usize> $name<f64> for Lane<N> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, o: f64) -> Self {
                self.map(|a| a $symbol o)
            }
        }
    )*};
}
operator!(Add add +, Sub sub -, Mul mul *, Div div /);

impl<const N: usize> Neg for Lane<N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.map(|a| -a)
    }
}

impl<const N: usize> Real for Lane<N> {
    type Mask = LaneMask<N>;

    #[inline(always)]
    fn constant(value: f64) -> Self {
        Lane([value; N])
    }
    #[inline(always)]
    fn exp(self) -> Self {
        self.map(elementary::exp)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        self.map(elementary::ln)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.map(f64::sqrt)
    }
    #[inline(always)]
    fn powi(self, n: i32) -> Self {
        elementary::powi(Self::constant(1.0), self, n, |y| Self::constant(1.0) / y)
    }
    #[inline(always)]
    fn powf(mut self, e: f64) -> Self {
        // No closure: this one would not be inlined, and so compiled for the baseline.
        for i in 0..N {
            self.0[i] = elementary::powf(self.0[i], e);
        }
        self
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        self.map(elementary::tanh)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.map(f64::abs)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if b < a { b } else { a })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { b } else { a })
    }
    #[inline(always)]
    fn lt(self, other: Self) -> LaneMask<N> {
        self.compare(other, |a, b| a < b)
    }
    #[inline(always)]
    fn le(self, other: Self) -> LaneMask<N> {
        self.compare(other, |a, b| a <= b)
    }
    #[inline(always)]
    fn select(mask: LaneMask<N>, yes: Self, mut no: Self) -> Self {
        for i in 0..N {
            no.0[i] =
                f64::from_bits((yes.0[i].to_bits() & mask.0[i]) | (no.0[i].to_bits() & !mask.0[i]));
        }
        no
    }
    #[inline(always)]
    fn x_over_exp_m1(self) -> Self {
        self.map(elementary::x_over_exp_m1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units of the last place of `want`.
    fn ulps(got: f64, want: f64) -> f64 {
        if got == want || (got.is_nan() && want.is_nan()) {
            return 0.0;
        }
        let spacing =
            (f64::from_bits(want.abs().to_bits() + 1) - want.abs()).max(f64::from_bits(1));
        (got - want).abs() / spacing
    }

    /// The largest distance over arguments; also that a lane and `f64` agree to the bit at any place.
    fn worst(
        args: &[f64],
        lane: impl Fn(Lane<8>) -> Lane<8>,
        scalar: impl Fn(f64) -> f64,
        reference: impl Fn(f64) -> f64,
    ) -> f64 {
        let mut worst = (0.0, f64::NAN);
        for eight in args.chunks_exact(8) {
            let got = lane(Lane(std::array::from_fn(|i| eight[i])));
            for (x, y) in eight.iter().zip(got.0) {
                assert!(
                    y.to_bits() == scalar(*x).to_bits() || y.is_nan() && scalar(*x).is_nan(),
                    "lane {y}, scalar {} at {x}",
                    scalar(*x)
                );
                let far = ulps(y, reference(*x));
                assert!(!far.is_nan(), "{y} instead of {} at {x:e}", reference(*x));
                if far > worst.0 {
                    worst = (far, *x);
                }
            }
        }
        worst.0
    }

    /// Numbers spread evenly in [-1, 1], by the golden ratio.
    fn spread(count: usize) -> impl Iterator<Item = f64> {
        (0..count).map(|i| (i as f64 * 0.618_033_988_749_894_9).fract() * 2.0 - 1.0)
    }

    fn edges() -> Vec<f64> {
        let mut all = vec![
            0.0,
            1e-320,
            5e-324,
            f64::MIN_POSITIVE,
            1e-300,
            1e-17,
            1e-9,
            0.5,
            1.0,
            20.0,
            40.0,
            709.78,
            709.79,
            1e300,
            f64::MAX,
        ];
        all.extend([
            700.0,
            708.4,
            710.0,
            744.4,
            745.13,
            745.14,
            746.0,
            751.0,
            752.0,
            760.0,
            800.0,
            1e4,
            f64::INFINITY,
            f64::NAN,
        ]);
        all.extend(all.clone().iter().map(|x| -x));
        all.resize(all.len().next_multiple_of(8), 1.5);
        all
    }

    fn wide(factor: f64) -> Vec<f64> {
        let mut all = edges();
        all.extend(spread(200_000).map(|x| x * factor));
        // All orders of magnitude.
        all.extend(spread(40_000).map(|x| x.signum() * 10f64.powf(x.abs() * 600.0 - 300.0)));
        all.extend(spread(40_000).map(|x| x * 1e-3));
        all
    }

    #[test]
    fn exp_is_near() {
        assert!(worst(&wide(750.0), Lane::exp, Real::exp, f64::exp) <= 1.0);
    }

    #[test]
    fn ln_is_near() {
        assert!(worst(&wide(3.0), Lane::ln, Real::ln, f64::ln) <= 1.0);
    }

    #[test]
    fn tanh_is_near() {
        assert!(worst(&wide(22.0), Lane::tanh, Real::tanh, f64::tanh) <= 3.0);
        assert!(Lane([-0.0; 4]).tanh().0[0].is_sign_negative());
    }

    #[test]
    fn x_over_exp_m1_is_near() {
        // For large x the difference to exp(x) is far below rounding, and expm1 would overflow.
        let reference = |x: f64| match x {
            0.0 => 1.0,
            x if x > 700.0 => {
                if x > 760.0 {
                    0.0
                } else {
                    x * (-x / 2.0).exp() * (-x / 2.0).exp()
                }
            }
            x if x == f64::NEG_INFINITY => f64::INFINITY,
            x => x / x.exp_m1(),
        };
        let args: Vec<f64> = wide(740.0);
        let far: Vec<f64> = args
            .iter()
            .copied()
            .filter(|x| *x > 700.0)
            .chain(std::iter::repeat_n(1.0, 7))
            .collect();
        let near: Vec<f64> = args
            .into_iter()
            .filter(|x| *x <= 700.0 || x.is_nan())
            .chain(std::iter::repeat_n(1.0, 7))
            .collect();
        assert!(worst(&near, Lane::x_over_exp_m1, Real::x_over_exp_m1, reference) <= 2.0);
        assert!(worst(&far, Lane::x_over_exp_m1, Real::x_over_exp_m1, reference) <= 4.0);
    }

    #[test]
    fn powers_are_near() {
        let positive: Vec<f64> = wide(10.0).into_iter().map(f64::abs).collect();
        for e in [0.5, 1.5, -0.3, 0.125, 3.0, 0.0, 1.0] {
            assert!(
                worst(
                    &positive,
                    |x| x.powf(e),
                    |x| Real::powf(x, e),
                    |x| x.powf(e)
                ) <= 1.0,
                "{e}"
            );
        }
        let moderate: Vec<f64> = spread(80_000).map(|x| 1.0 + 0.99 * x).collect();
        for e in [0.5, 0.8, -1.3, 2.5] {
            assert!(
                worst(
                    &moderate,
                    |x| x.powf(e),
                    |x| Real::powf(x, e),
                    |x| x.powf(e)
                ) <= 1.0,
                "{e}"
            );
        }
        for n in [0, 1, 2, 3, 4, 7, -1, -2, -5] {
            assert!(
                worst(
                    &moderate,
                    |x| x.powi(n),
                    |x| Real::powi(x, n),
                    |x| x.powi(n)
                ) <= 4.0,
                "{n}"
            );
        }
    }

    #[test]
    fn choice_takes_one_side() {
        let x = Lane([-1.0, 0.0, 2.0, f64::NAN]);
        let zero = Lane([0.0; 4]);
        let safe = Lane::select(zero.lt(x), x.ln(), Lane([7.0; 4]));
        assert_eq!(safe.0, [7.0, 7.0, 2f64.ln(), 7.0]);
        assert_eq!((zero.le(x) & !zero.lt(x)).0, [0, u64::MAX, 0, 0]);
        assert_eq!(x.max(zero).0[..3], [0.0, 0.0, 2.0]);
        assert_eq!(x.min(zero).0[..3], [-1.0, 0.0, 0.0]);
    }
}

//! Numbers that a network computes with: single precision in use, double precision in the tests of gradients.

use std::ops::{Add, AddAssign, Mul, Neg, Sub};

use faer::traits::RealField;
use ionoscope_dynamics::real::Real;

use super::config::Activation;

/// A number of one of the two precisions.
pub(crate) trait Scalar:
    RealField
    + Copy
    + Default
    + Send
    + Sync
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + std::iter::Sum
{
    fn of(value: f64) -> Self;
    /// 1 / (1 + exp(-x))
    fn sigmoid(self) -> Self;
}

impl Scalar for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        0.5 + 0.5 * Real::tanh(0.5 * self)
    }
}

impl Scalar for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    /// Without branches, so that loops over it vectorize: exp by 2^k and a polynomial of degree 6, within 1e-7 of the exact value.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let y = (-self * std::f32::consts::LOG2_E).clamp(-125.0, 125.0);
        // Adding and subtracting 1.5 2^23 rounds to the nearest whole number.
        const ROUND: f32 = 12_582_912.0;
        let k = (y + ROUND) - ROUND;
        let f = y - k;
        let c = [
            1.0,
            std::f32::consts::LN_2,
            0.240_226_5,
            0.055_504_11,
            0.009_618_13,
            0.001_333_36,
            0.000_154_03,
        ];
        let p = c[0] + f * (c[1] + f * (c[2] + f * (c[3] + f * (c[4] + f * (c[5] + f * c[6])))));
        let scale = f32::from_bits(((k as i32 + 127) as u32) << 23);
        1.0 / (1.0 + p * scale)
    }
}

/// Of [`Activation::Gelu`].
pub(crate) const ROOT: f64 = 0.797_884_560_802_865_4;
pub(crate) const CUBIC: f64 = 0.044_715;
pub(crate) const LEAK: f64 = 0.01;

impl Activation {
    /// The activation at `x`, and its derivative.
    #[inline(always)]
    pub(crate) fn at<T: Scalar>(self, x: T) -> [T; 2] {
        let (zero, one, two) = (T::default(), T::of(1.0), T::of(2.0));
        match self {
            Activation::Tanh => {
                let s = (two * x).sigmoid();
                [two * s - one, T::of(4.0) * s * (one - s)]
            }
            Activation::Relu => [
                if x > zero { x } else { zero },
                if x > zero { one } else { zero },
            ],
            Activation::LeakyRelu => [
                if x > zero { x } else { T::of(LEAK) * x },
                if x > zero { one } else { T::of(LEAK) },
            ],
            Activation::Gelu => {
                let square = x * x;
                let s = (T::of(2.0 * ROOT) * x * (one + T::of(CUBIC) * square)).sigmoid();
                let value = x * s;
                [
                    value,
                    s + value * (one - s) * T::of(2.0 * ROOT) * (one + T::of(3.0 * CUBIC) * square),
                ]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sigmoid_in_single_precision_is_within_2e_7() {
        for k in -40_000..=40_000 {
            let x = k as f32 * 0.005;
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!(
                (f64::from(x.sigmoid()) - exact).abs() < 2e-7,
                "{x}: {} {exact}",
                x.sigmoid()
            );
        }
    }

    #[test]
    fn slopes_agree_with_differences() {
        for activation in [
            Activation::Tanh,
            Activation::Relu,
            Activation::Gelu,
            Activation::LeakyRelu,
        ] {
            for x in [-3.1, -0.7, 0.4, 2.2] {
                let difference = (activation.at(x + 1e-6)[0] - activation.at(x - 1e-6)[0]) / 2e-6;
                assert!(
                    (activation.at(x)[1] - difference).abs() < 1e-8,
                    "{activation:?} at {x}"
                );
            }
        }
    }
}

//! Elementary functions of one number without a branch, a table or a fused multiply-add.
//!
//! A loop of any of them over the numbers of a lane becomes vector code, and `f64` uses the very same ones: scalar and lanes agree to
//! the bit, on every instruction set. Zeros, infinities, NaN, overflow and gradual underflow are as in the standard library; how near
//! the rest is stands in the tests of [`super::lane`].

/// 1.5 * 2^52: a number of moderate size added to it is rounded to an integer, which then stands in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts; the first ends in 20 zero bits, so that its product with an exponent is exact (fdlibm).
const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
/// 2^52.
const TWO_52: f64 = 4_503_599_627_370_496.0;
/// 2^-64.
const TWO_M64: f64 = 5.421_010_862_427_522e-20;
/// Largest x for which e^x is treated by its own value: beyond, it has long been infinite.
const OVERFLOW: f64 = 800.0;

#[inline(always)]
fn pick(mask: bool, yes: f64, no: f64) -> f64 {
    if mask { yes } else { no }
}

/// x = k ln 2 + r with |r| <= ln(2)/2 and the integer k as the low bits of the second; |x| at most 1e3.
#[inline(always)]
fn reduce(x: f64) -> (f64, u64) {
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    (
        (x - k * LN2[0]) - k * LN2[1],
        shifted.to_bits().wrapping_sub(ROUND.to_bits()),
    )
}

/// e^r - 1 for |r| <= ln(2)/2: r + r^2 q(r), q of degree 9 interpolated at Chebyshev nodes (error 2^-55 of e^r).
#[inline(always)]
fn reduced_exp_m1(r: f64) -> f64 {
    let r2 = r * r;
    let r4 = r2 * r2;
    let a = (0.5 + r * 0.166_666_666_666_666_69)
        + r2 * (0.041_666_666_666_623_99 + r * 0.008_333_333_333_330_051);
    let b = (0.001_388_888_891_728_179_4 + r * 0.000_198_412_698_631_059_68)
        + r2 * (2.480_152_119_021_773e-5 + r * 2.755_726_837_868_419_2e-6);
    let c = 2.762_013_871_973_399_4e-7 + r * 2.510_042_415_700_506_7e-8;
    r + r2 * (a + r4 * (b + r4 * c))
}

/// e^x.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    exp_of_sum(x, 0.0)
}

/// e^(x + small), `small` below an ulp or so of x.
#[inline(always)]
fn exp_of_sum(x: f64, small: f64) -> f64 {
    let x = pick(x > OVERFLOW, OVERFLOW, x);
    let x = pick(x < -OVERFLOW, -OVERFLOW, x);
    let (r, k) = reduce(x);
    // 2^k as a product of two normal numbers, so that overflow and gradual underflow happen in the last multiplication.
    let biased = k.wrapping_add(2046);
    let half = biased >> 1;
    let rest = biased.wrapping_sub(half);
    (1.0 + reduced_exp_m1(r + small)) * f64::from_bits(half << 52) * f64::from_bits(rest << 52)
}

/// A double with the exponent `k`, which is given as an integer's bits; -1022 <= k <= 1023.
#[inline(always)]
fn power_of_two(k: u64) -> f64 {
    f64::from_bits(k.wrapping_add(1023) << 52)
}

/// x / (e^x - 1), 1 at x = 0.
#[inline(always)]
pub(super) fn x_over_exp_m1(x: f64) -> f64 {
    let y = pick(x > 752.0, 752.0, x);
    let y = pick(y < -64.0, -64.0, y);
    let (r, k) = reduce(y);
    // Numerator and denominator times 2^-64, an exact change that keeps the denominator finite up to x = 752, where the result is 0.
    let scale = power_of_two(k.wrapping_sub(64));
    let denominator = (scale - TWO_M64) + scale * reduced_exp_m1(r);
    let quotient = x * TWO_M64 / denominator;
    let quotient = pick(x >= 752.0, 0.0, quotient);
    pick(x.abs() < 1e-17, 1.0, quotient)
}

/// tanh x.
#[inline(always)]
pub(super) fn tanh(x: f64) -> f64 {
    let y = 2.0 * x.abs();
    let y = pick(y > 44.0, 44.0, y);
    let (r, k) = reduce(y);
    let scale = power_of_two(k);
    let m1 = (scale - 1.0) + scale * reduced_exp_m1(r);
    (m1 / (m1 + 2.0)).copysign(x)
}

/// x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)): k and f, for finite positive x.
#[inline(always)]
fn split(x: f64) -> (f64, f64) {
    let subnormal = x < f64::MIN_POSITIVE;
    let x = pick(subnormal, x * 18_014_398_509_481_984.0, x);
    const SQRT_HALF: u64 = 0x3fe6_a09e_0000_0000;
    let bits = x.to_bits().wrapping_add((1.0f64).to_bits() - SQRT_HALF);
    let biased = f64::from_bits((bits >> 52) | TWO_52.to_bits()) - TWO_52;
    let k = biased - pick(subnormal, 1023.0 + 54.0, 1023.0);
    (
        k,
        f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF)) - 1.0,
    )
}

/// The part of ln(1 + f) beyond 2 s, over s: 2 s^2/3 + 2 s^4/5 + .., with s = f/(2 + f) (coefficients of fdlibm's `e_log.c`).
#[inline(always)]
fn log_tail(z: f64) -> f64 {
    let w = z * z;
    let even = w
        * (0.399_999_999_994_094_2 + w * (0.222_221_984_321_497_84 + w * 0.153_138_376_992_093_73));
    let odd = z
        * (0.666_666_666_666_673_5
            + w * (0.285_714_287_436_623_9
                + w * (0.181_835_721_616_180_5 + w * 0.147_981_986_051_165_86)));
    even + odd
}

/// ln where `regular` does not hold for a finite positive x.
#[inline(always)]
fn log_edges(x: f64, regular: f64) -> f64 {
    let y = pick(x == f64::INFINITY, f64::INFINITY, regular);
    let y = pick(x == 0.0, f64::NEG_INFINITY, y);
    // False for NaN, too.
    pick(x >= 0.0, y, f64::NAN)
}

/// Natural logarithm.
#[inline(always)]
pub(super) fn ln(x: f64) -> f64 {
    let (k, f) = split(x);
    let s = f / (2.0 + f);
    let half_square = 0.5 * f * f;
    let tail = s * (half_square + log_tail(s * s)) + k * LN2[1];
    log_edges(x, k * LN2[0] - ((half_square - tail) - f))
}

/// a * b as a rounded product and its error (Dekker), for moderate numbers.
#[inline(always)]
fn product(a: f64, b: f64) -> (f64, f64) {
    let halves = |x: f64| {
        let c = x * 134_217_729.0;
        let high = c - (c - x);
        (high, x - high)
    };
    let (p, (ah, al), (bh, bl)) = (a * b, halves(a), halves(b));
    (p, ((ah * bh - p) + ah * bl + al * bh) + al * bl)
}

/// x^e for x >= 0; e moderate (below 1e150).
#[inline(always)]
pub(super) fn powf(x: f64, e: f64) -> f64 {
    // ln x in two doubles, so that the exponential does not multiply its rounding.
    let (k, f) = split(x);
    let sum = 2.0 + f;
    let sum_error = f - (sum - 2.0);
    let s = f / sum;
    let (p, p_error) = product(s, sum);
    let s_low = ((f - p) - p_error - s * sum_error) / sum;
    let tail = s * log_tail(s * s) + 2.0 * s_low + k * LN2[1];
    let exact = k * LN2[0];
    let a = exact + 2.0 * s;
    let a_error = (2.0 * s - (a - exact)) + (exact - (a - (a - exact)));
    let high = a + (tail + a_error);
    let low = (tail + a_error) - (high - a);
    let (y, y_error) = product(high, e);
    let small = y_error + low * e;
    let regular = exp_of_sum(y, pick(y.abs() < OVERFLOW, small, 0.0));
    let edge = exp(log_edges(x, 0.0) * e);
    let y = pick((x > 0.0) & (x < f64::INFINITY), regular, edge);
    pick(e == 0.0, 1.0, y)
}

/// x^n by squaring.
#[inline(always)]
pub(super) fn powi<S: Copy + std::ops::Mul<Output = S>>(
    one: S,
    x: S,
    n: i32,
    reciprocal: impl Fn(S) -> S,
) -> S {
    let (mut result, mut square, mut left) = (one, x, n.unsigned_abs());
    loop {
        if left & 1 == 1 {
            result = result * square;
        }
        left >>= 1;
        if left == 0 {
            break;
        }
        square = square * square;
    }
    if n < 0 { reciprocal(result) } else { result }
}

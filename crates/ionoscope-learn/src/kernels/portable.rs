//! Plain Rust for any processor: eight lanes that the compiler turns into whatever vectors there are.

use super::{shape::Line, sweep};

#[derive(Clone, Copy)]
struct Lanes([f32; 8]);

#[inline(always)]
fn map2(a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    Lanes(std::array::from_fn(|i| f(a.0[i], b.0[i])))
}

// No fused multiply-add: without the instruction it is a slow library call.
// SAFETY (of `load` and `store`): the trait asks the caller for pointers that are valid for eight numbers.
#[allow(clippy::undocumented_unsafe_blocks)]
impl sweep::Lanes for Lanes {
    const WIDTH: usize = 8;
    type Constants = ();

    #[inline(always)]
    unsafe fn constants() {}

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Lanes([value; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Lanes(unsafe { *from.cast::<[f32; 8]>() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { *to.cast::<[f32; 8]>() = self.0 }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        map2(self, other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        map2(self, other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        map2(map2(self, factor, |a, b| a * b), term, |p, t| p + t)
    }

    #[inline(always)]
    unsafe fn neg_mul_add(self, factor: Self, term: Self) -> Self {
        map2(map2(self, factor, |a, b| a * b), term, |p, t| t - p)
    }

    #[inline(always)]
    unsafe fn add_sums(vectors: &[Self; 8], to: &mut [f64; 8]) {
        for (to, v) in to.iter_mut().zip(vectors) {
            *to += f64::from(
                ((v.0[0] + v.0[4]) + (v.0[2] + v.0[6])) + ((v.0[1] + v.0[5]) + (v.0[3] + v.0[7])),
            );
        }
    }

    #[inline(always)]
    unsafe fn gates<const N: usize>(k: &mut [Self; N], _: &()) {
        for lane in k.iter_mut().flat_map(|v| &mut v.0) {
            let k = *lane;
            const ROUND: f32 = 1.5 * 8_388_608.0;
            let k = k.clamp(-32.0, 32.0);
            let rounded = k + ROUND;
            let f = k - (rounded - ROUND);
            // 2^f, |f| <= 1/2, minimax with a relative error of 7.7e-8.
            let p = 0.001_327_79_f32;
            let p = p * f + 0.009_675_76;
            let p = p * f + 0.055_507_1;
            let p = p * f + 0.240_221_14;
            let p = p * f + std::f32::consts::LN_2;
            let p = p * f + 1.000_000_1;
            let scaled = f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23));
            *lane = 1.0 / (1.0 + scaled);
        }
    }
}

/// Work for any processor.
pub(super) fn run(kernel: impl sweep::Kernel) {
    // SAFETY: plain Rust runs everywhere.
    unsafe { kernel.run::<Lanes, 1>() }
}

/// Both passes over a block.
pub(super) fn sweep(task: sweep::Task) {
    // SAFETY: plain Rust runs everywhere.
    unsafe { sweep::sweep::<Lanes, 1, 2>(task) }
}

/// tanh of a line.
pub(super) fn tanh(line: &mut Line) {
    // SAFETY: plain Rust runs everywhere.
    unsafe { sweep::tanh::<Lanes>(line) }
}

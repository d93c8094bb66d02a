//! AVX2 with FMA: eight lanes, 2^k from a table of eight numbers in one register.

use std::arch::x86_64::*;

use super::{
    descent::{self, AdamStep},
    shape::Line,
    sweep,
};

#[derive(Clone, Copy)]
struct Ymm(__m256);

#[derive(Clone, Copy)]
struct Constants {
    bound: __m256,
    round: __m256,
    one: __m256,
    p1: __m256,
    p2: __m256,
    p3: __m256,
    /// Bits of 2^(i/8) less i << 20, as in the AVX-512 kernel.
    table: __m256,
}

// SAFETY (of every function): each is one or a few AVX2/FMA instructions; the trait asks the caller for a processor that has them and for
// valid, aligned pointers.
#[allow(clippy::undocumented_unsafe_blocks)]
impl sweep::Lanes for Ymm {
    const WIDTH: usize = 8;
    type Constants = Constants;

    #[inline(always)]
    unsafe fn constants() -> Constants {
        let table: [f32; 8] = std::array::from_fn(|i| {
            f32::from_bits(
                ((i as f64 / 8.0).exp2() as f32)
                    .to_bits()
                    .wrapping_sub((i as u32) << 20),
            )
        });
        unsafe {
            Constants {
                bound: _mm256_set1_ps(32.0),
                // Adding 1.5 * 2^20 leaves multiples of 1/8.
                round: _mm256_set1_ps(1.5 * 1_048_576.0),
                one: _mm256_set1_ps(1.0),
                // 2^f, |f| <= 1/16, minimax with a relative error of 1.8e-8 (the constant term rounds to 1).
                p1: _mm256_set1_ps(std::f32::consts::LN_2),
                p2: _mm256_set1_ps(0.240_264_08),
                p3: _mm256_set1_ps(0.055_498_9),
                table: _mm256_loadu_ps(table.as_ptr()),
            }
        }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        unsafe { Ymm(_mm256_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Ymm(_mm256_load_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm256_store_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Ymm(_mm256_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Ymm(_mm256_mul_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        unsafe { Ymm(_mm256_fmadd_ps(self.0, factor.0, term.0)) }
    }

    #[inline(always)]
    unsafe fn neg_mul_add(self, factor: Self, term: Self) -> Self {
        unsafe { Ymm(_mm256_fnmadd_ps(self.0, factor.0, term.0)) }
    }

    #[inline(always)]
    unsafe fn add_sums(v: &[Self; 8], to: &mut [f64; 8]) {
        unsafe {
            let four = _mm256_hadd_ps(
                _mm256_hadd_ps(v[0].0, v[1].0),
                _mm256_hadd_ps(v[2].0, v[3].0),
            );
            let other = _mm256_hadd_ps(
                _mm256_hadd_ps(v[4].0, v[5].0),
                _mm256_hadd_ps(v[6].0, v[7].0),
            );
            let low = _mm256_permute2f128_ps::<0x20>(four, other);
            let all = _mm256_add_ps(low, _mm256_permute2f128_ps::<0x31>(four, other));
            let halves = [
                _mm256_cvtps_pd(_mm256_castps256_ps128(all)),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(all)),
            ];
            let (first, second) = (to.as_mut_ptr(), to.as_mut_ptr().add(4));
            _mm256_storeu_pd(first, _mm256_add_pd(_mm256_loadu_pd(first), halves[0]));
            _mm256_storeu_pd(second, _mm256_add_pd(_mm256_loadu_pd(second), halves[1]));
        }
    }

    #[inline(always)]
    unsafe fn gates<const N: usize>(k: &mut [Self; N], c: &Constants) {
        for v in k {
            unsafe {
                let k = _mm256_max_ps(
                    _mm256_sub_ps(_mm256_setzero_ps(), c.bound),
                    _mm256_min_ps(c.bound, v.0),
                );
                let rounded = _mm256_add_ps(k, c.round);
                let f = _mm256_sub_ps(k, _mm256_sub_ps(rounded, c.round));
                let power = _mm256_fmadd_ps(
                    f,
                    _mm256_fmadd_ps(f, _mm256_fmadd_ps(f, c.p3, c.p2), c.p1),
                    c.one,
                );
                let bits = _mm256_castps_si256(rounded);
                let base = _mm256_castps_si256(_mm256_permutevar8x32_ps(c.table, bits));
                let scale =
                    _mm256_castsi256_ps(_mm256_add_epi32(base, _mm256_slli_epi32::<20>(bits)));
                v.0 = _mm256_div_ps(c.one, _mm256_fmadd_ps(scale, power, c.one));
            }
        }
    }
}

/// Work for the instruction set: one vector by eight rows of sums fills half of the registers.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(kernel: impl sweep::Kernel) {
    // SAFETY: this function is compiled for the instruction set of `Ymm`.
    unsafe { kernel.run::<Ymm, 1>() }
}

/// Both passes over a block.
#[target_feature(enable = "avx2,fma")]
pub(super) fn sweep(task: sweep::Task) {
    // SAFETY: this function is compiled for the instruction set of `Ymm`.
    unsafe { sweep::sweep::<Ymm, 1, 2>(task) }
}

/// tanh of a line.
#[target_feature(enable = "avx2,fma")]
pub(super) fn tanh(line: &mut Line) {
    // SAFETY: this function is compiled for the instruction set of `Ymm`.
    unsafe { sweep::tanh::<Ymm>(line) }
}

/// See [`descent::adam`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn adam(
    step: &AdamStep,
    weights: &mut [f64],
    first: &mut [f64],
    second: &mut [f64],
    gradient: &[f64],
) {
    descent::adam(step, weights, first, second, gradient);
}

//! AVX-512: sixteen lanes, 2^k from a table of 32 numbers in two registers.

use std::arch::x86_64::*;

use super::{
    descent::{self, AdamStep},
    shape::Line,
    sweep,
};

#[derive(Clone, Copy)]
struct Zmm(__m512);

#[derive(Clone, Copy)]
struct Constants {
    round: __m512,
    one: __m512,
    p1: __m512,
    p2: __m512,
    /// 2^(i/32).
    table: [__m512; 2],
}

// SAFETY (of every function): each is one or a few AVX-512 F/DQ instructions; the trait asks the caller for a processor that has them and for
// valid, aligned pointers.
#[allow(clippy::undocumented_unsafe_blocks)]
impl sweep::Lanes for Zmm {
    const WIDTH: usize = 16;
    type Constants = Constants;

    #[inline(always)]
    unsafe fn constants() -> Constants {
        let table: [f32; 32] = std::array::from_fn(|i| (i as f64 / 32.0).exp2() as f32);
        unsafe {
            Constants {
                // Adding 1.5 * 2^18 leaves multiples of 1/32.
                round: _mm512_set1_ps(1.5 * 262_144.0),
                one: _mm512_set1_ps(1.0),
                // 2^f, |f| <= 1/64, minimax with a relative error of 5.3e-8.
                p1: _mm512_set1_ps(0.693_157_3),
                p2: _mm512_set1_ps(0.240_224_75),
                table: [
                    _mm512_loadu_ps(table.as_ptr()),
                    _mm512_loadu_ps(table.as_ptr().add(16)),
                ],
            }
        }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        unsafe { Zmm(_mm512_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Zmm(_mm512_load_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_store_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Zmm(_mm512_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Zmm(_mm512_mul_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        unsafe { Zmm(_mm512_fmadd_ps(self.0, factor.0, term.0)) }
    }

    #[inline(always)]
    unsafe fn neg_mul_add(self, factor: Self, term: Self) -> Self {
        unsafe { Zmm(_mm512_fnmadd_ps(self.0, factor.0, term.0)) }
    }

    #[inline(always)]
    unsafe fn add_sums(v: &[Self; 8], to: &mut [f64; 8]) {
        unsafe {
            // Of two vectors a, b: a and b alternate in each quarter, then of four, then quarters are joined.
            let two = [
                _mm512_add_ps(
                    _mm512_unpacklo_ps(v[0].0, v[1].0),
                    _mm512_unpackhi_ps(v[0].0, v[1].0),
                ),
                _mm512_add_ps(
                    _mm512_unpacklo_ps(v[2].0, v[3].0),
                    _mm512_unpackhi_ps(v[2].0, v[3].0),
                ),
                _mm512_add_ps(
                    _mm512_unpacklo_ps(v[4].0, v[5].0),
                    _mm512_unpackhi_ps(v[4].0, v[5].0),
                ),
                _mm512_add_ps(
                    _mm512_unpacklo_ps(v[6].0, v[7].0),
                    _mm512_unpackhi_ps(v[6].0, v[7].0),
                ),
            ];
            let two = [
                _mm512_castps_pd(two[0]),
                _mm512_castps_pd(two[1]),
                _mm512_castps_pd(two[2]),
                _mm512_castps_pd(two[3]),
            ];
            let low = _mm512_castpd_ps(_mm512_unpacklo_pd(two[0], two[1]));
            let four = _mm512_add_ps(low, _mm512_castpd_ps(_mm512_unpackhi_pd(two[0], two[1])));
            let low = _mm512_castpd_ps(_mm512_unpacklo_pd(two[2], two[3]));
            let other = _mm512_add_ps(low, _mm512_castpd_ps(_mm512_unpackhi_pd(two[2], two[3])));
            let half = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0x88>(four, other),
                _mm512_shuffle_f32x4::<0xdd>(four, other),
            );
            let all = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0x88>(half, half),
                _mm512_shuffle_f32x4::<0xdd>(half, half),
            );
            let all = _mm512_cvtps_pd(_mm512_castps512_ps256(all));
            _mm512_storeu_pd(
                to.as_mut_ptr(),
                _mm512_add_pd(_mm512_loadu_pd(to.as_ptr()), all),
            );
        }
    }

    #[inline(always)]
    unsafe fn gates<const N: usize>(k: &mut [Self; N], c: &Constants) {
        // Rounded to multiples of 1/32; the lowest bits of `index` choose from the table.
        let (mut rounded, mut scale, mut f) = (*k, *k, *k);
        unsafe {
            for i in 0..N {
                let index = _mm512_add_ps(k[i].0, c.round);
                scale[i].0 =
                    _mm512_permutex2var_ps(c.table[0], _mm512_castps_si512(index), c.table[1]);
                rounded[i].0 = _mm512_sub_ps(index, c.round);
            }
            for i in 0..N {
                f[i].0 = _mm512_sub_ps(k[i].0, rounded[i].0);
            }
            for i in 0..N {
                k[i].0 = _mm512_fmadd_ps(f[i].0, c.p2, c.p1);
                // times 2^floor(rounded); saturates at 0 and infinity, which is what the gate needs.
                scale[i].0 = _mm512_scalef_ps(scale[i].0, rounded[i].0);
            }
            for i in 0..N {
                k[i].0 = _mm512_fmadd_ps(f[i].0, k[i].0, c.one);
            }
            for i in 0..N {
                k[i].0 = _mm512_fmadd_ps(scale[i].0, k[i].0, c.one);
            }
            for i in 0..N {
                k[i].0 = _mm512_div_ps(c.one, k[i].0);
            }
        }
    }
}

/// Work for the instruction set: two vectors by eight rows of sums fill the registers.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn run(kernel: impl sweep::Kernel) {
    // SAFETY: this function is compiled for the instruction set of `Zmm`.
    unsafe { kernel.run::<Zmm, 2>() }
}

/// Both passes over a block.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn sweep(task: sweep::Task) {
    // SAFETY: this function is compiled for the instruction set of `Zmm`.
    unsafe { sweep::sweep::<Zmm, 4, 8>(task) }
}

/// tanh of a line.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn tanh(line: &mut Line) {
    // SAFETY: this function is compiled for the instruction set of `Zmm`.
    unsafe { sweep::tanh::<Zmm>(line) }
}

/// See [`descent::adam`].
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn adam(
    step: &AdamStep,
    weights: &mut [f64],
    first: &mut [f64],
    second: &mut [f64],
    gradient: &[f64],
) {
    descent::adam(step, weights, first, second, gradient);
}

//! AVX-512: sixteen lanes, 2^k from a table of 32 numbers in two registers.

use std::arch::x86_64::*;

use super::{
    Line,
    descent::{self, AdamStep},
    sweep,
};

#[derive(Clone, Copy)]
struct Zmm(__m512);

#[derive(Clone, Copy)]
struct Constants {
    bound: __m512,
    round: __m512,
    one: __m512,
    p1: __m512,
    p2: __m512,
    /// Bits of 2^(i/32) less i << 18, so that adding the rounded exponent's bits << 18 gives 2^(i/32) 2^floor.
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
        let table: [f32; 32] =
            std::array::from_fn(|i| f32::from_bits(((i as f64 / 32.0).exp2() as f32).to_bits().wrapping_sub((i as u32) << 18)));
        unsafe {
            Constants {
                // Beyond 2^32 the 1 is lost in 1 + 2^k, and tanh is 1 to the last bit.
                bound: _mm512_set1_ps(32.0),
                // Adding 1.5 * 2^18 leaves multiples of 1/32.
                round: _mm512_set1_ps(1.5 * 262_144.0),
                one: _mm512_set1_ps(1.0),
                // 2^f, |f| <= 1/64, minimax with a relative error of 5.3e-8.
                p1: _mm512_set1_ps(0.693_157_3),
                p2: _mm512_set1_ps(0.240_224_75),
                table: [_mm512_loadu_ps(table.as_ptr()), _mm512_loadu_ps(table.as_ptr().add(16))],
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
    unsafe fn gate(self, c: &Constants) -> Self {
        unsafe {
            // The smaller magnitude with the sign of k: one instruction for both bounds.
            let k = _mm512_range_ps::<0b0010>(self.0, c.bound);
            let rounded = _mm512_add_ps(k, c.round);
            let f = _mm512_sub_ps(k, _mm512_sub_ps(rounded, c.round));
            let power = _mm512_fmadd_ps(f, _mm512_fmadd_ps(f, c.p2, c.p1), c.one);
            // The lowest five bits choose from the table; those above are the exponent.
            let bits = _mm512_castps_si512(rounded);
            let base = _mm512_castps_si512(_mm512_permutex2var_ps(c.table[0], bits, c.table[1]));
            let scale = _mm512_castsi512_ps(_mm512_add_epi32(base, _mm512_slli_epi32::<18>(bits)));
            Zmm(_mm512_div_ps(c.one, _mm512_fmadd_ps(scale, power, c.one)))
        }
    }
}

/// Both passes over a block.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn sweep(task: sweep::Task) {
    // SAFETY: this function is compiled for the instruction set of `Zmm`.
    unsafe { sweep::sweep::<Zmm>(task) }
}

/// See [`sweep::add_lines`].
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn add_lines(parts: &[&[Line]], out: &mut [f32]) {
    sweep::add_lines(parts, out);
}

/// tanh of a line.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn tanh(line: &mut Line) {
    // SAFETY: this function is compiled for the instruction set of `Zmm`.
    unsafe { sweep::tanh::<Zmm>(line) }
}

/// See [`descent::adam`].
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn adam(step: &AdamStep, weights: &mut [f64], first: &mut [f64], second: &mut [f64], gradient: &[f64]) {
    descent::adam(step, weights, first, second, gradient);
}

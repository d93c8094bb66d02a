//! The highest rate of multiply-adds that one core reaches: a loop of independent ones in registers. Shares of peak refer to it.

use std::time::Instant;

use super::Backend;

/// Floating-point operations a second of one core (two per multiply-add), single precision: the best of several runs.
pub fn measure(backend: Backend) -> f64 {
    const ROUNDS: u32 = 1_000_000;
    let mut best = 0.0f64;
    for _ in 0..9 {
        let start = Instant::now();
        let per_round = match backend {
            // SAFETY: `available` was asked for the instruction set.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 if Backend::available().contains(&backend) => unsafe { avx512(ROUNDS) },
            // SAFETY: `available` was asked for the instruction set.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 if Backend::available().contains(&backend) => unsafe { avx2(ROUNDS) },
            _ => portable(ROUNDS),
        };
        best = best.max(f64::from(ROUNDS) * per_round / start.elapsed().as_secs_f64());
    }
    best
}

/// Twelve chains hide a latency of four to five cycles on two units.
#[cfg(target_arch = "x86_64")]
macro_rules! registers {
    ($name:ident, $features:literal, $lanes:literal, $set:ident, $fma:ident, $class:ident) => {
        #[target_feature(enable = $features)]
        fn $name(rounds: u32) -> f64 {
            use std::arch::x86_64::*;
            let (factor, term) = ($set(0.999), $set(1e-3));
            let mut chains = [$set(1.1); 12];
            for _ in 0..rounds {
                for c in &mut chains {
                    *c = $fma(*c, factor, term);
                }
                for c in &mut chains {
                    // SAFETY: no instruction at all; it only makes the compiler keep every chain in a register.
                    unsafe {
                        std::arch::asm!(
                            "/* {0} */",
                            inout($class) * c,
                            options(nomem, nostack, preserves_flags)
                        )
                    };
                }
            }
            std::hint::black_box(chains);
            f64::from(2 * 12 * $lanes)
        }
    };
}
#[cfg(target_arch = "x86_64")]
registers!(
    avx512,
    "avx512f",
    16,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    zmm_reg
);
#[cfg(target_arch = "x86_64")]
registers!(
    avx2,
    "avx2,fma",
    8,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    ymm_reg
);

fn portable(rounds: u32) -> f64 {
    let mut chains = [[1.1f32; 8]; 6];
    for _ in 0..rounds {
        for c in chains.iter_mut().flatten() {
            *c = *c * 0.999 + 1e-3;
        }
        std::hint::black_box(&mut chains);
    }
    f64::from(2 * 8 * 6)
}

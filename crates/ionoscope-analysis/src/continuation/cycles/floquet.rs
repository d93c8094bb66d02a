//! Floquet multipliers: the eigenvalues of a product of many matrices, each to its own relative precision.
//!
//! Of the monodromy matrix of a bursting or canard cycle the largest multiplier may be 1e30 and the smallest 1e-15: the product itself, and
//! any pencil that stands for it, holds no digit of the one next to 1. Orthogonal iteration around the cycle (the periodic form of the QR
//! method; Bojanczyk, Golub, Van Dooren 1992) leaves triangular factors, whose diagonals multiply without mixing.

use faer::Mat;

use crate::{matrix::multiply, spectrum::Complex};

/// Times around the cycle, where the spectrum's groups may be large.
const ROUNDS: usize = 6;
/// What is left beside the diagonal of multipliers that are told apart; others are solved for together.
const APART: f64 = 1e-11;

/// Eigenvalues of `factors[last] .. factors[0]`, each n x n and row-major, by descending absolute value; 0 below the smallest number of double
/// precision.
pub fn multipliers(factors: &[Vec<f64>], n: usize) -> Option<Vec<Complex>> {
    let mut all: Vec<Complex> = scaled_multipliers(factors, n, ROUNDS)?
        .into_iter()
        .map(|(scale, z)| {
            let factor = scale.min(700.0).exp();
            Complex {
                re: z.re * factor,
                im: z.im * factor + 0.0,
            }
        })
        .collect();
    all.sort_by(|a, b| {
        b.modulus()
            .total_cmp(&a.modulus())
            .then(b.im.total_cmp(&a.im))
    });
    Some(all)
}

/// Logarithms of the absolute values of the same, descending, after `rounds` times around the cycle. They are not bounded by the range of
/// double precision; a multiplier of zero counts as the smallest positive number.
pub fn logarithms(factors: &[Vec<f64>], n: usize, rounds: usize) -> Option<Vec<f64>> {
    let found = scaled_multipliers(factors, n, rounds)?;
    let mut all: Vec<f64> = found
        .into_iter()
        .map(|(scale, z)| scale + z.modulus().max(f64::MIN_POSITIVE).ln())
        .collect();
    all.sort_by(|a, b| b.total_cmp(a));
    Some(all)
}

/// Each eigenvalue as (s, z), standing for z exp(s).
fn scaled_multipliers(
    factors: &[Vec<f64>],
    n: usize,
    rounds: usize,
) -> Option<Vec<(f64, Complex)>> {
    let mut q = vec![0.0; n * n];
    (0..n).for_each(|i| q[i * n + i] = 1.0);
    let mut start = q.clone();
    let mut triangles = vec![Vec::new(); factors.len()];
    let mut next = vec![0.0; n * n];
    for _ in 0..rounds {
        start.copy_from_slice(&q);
        for (factor, triangle) in factors.iter().zip(&mut triangles) {
            multiply(factor, &q, &mut next, n, n);
            *triangle = orthonormalize(&mut next, n)?;
            q.copy_from_slice(&next);
        }
    }
    // factors .. start = q triangles: in the basis `start` the product is turn * triangles.
    let turn = |i: usize, j: usize| (0..n).map(|k| start[k * n + i] * q[k * n + j]).sum::<f64>();
    let mut all = Vec::with_capacity(n);
    let mut from = 0;
    while from < n {
        let to = (from + 1..n)
            .find(|&k| (k..n).all(|i| (from..k).all(|j| turn(i, j).abs() < APART)))
            .unwrap_or(n);
        let m = to - from;
        // The group's part of the product, its scale apart.
        let mut product = vec![0.0; m * m];
        (0..m).for_each(|i| product[i * m + i] = 1.0);
        let (mut scale, mut out) = (0.0, vec![0.0; m * m]);
        for triangle in &triangles {
            let part: Vec<f64> = (0..m * m)
                .map(|k| triangle[(from + k / m) * n + from + k % m])
                .collect();
            multiply(&part, &product, &mut out, m, m);
            let largest = out.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            if !(largest > 0.0 && largest.is_finite()) {
                return None;
            }
            scale += largest.ln();
            product
                .iter_mut()
                .zip(&out)
                .for_each(|(p, o)| *p = o / largest);
        }
        let matrix = Mat::from_fn(m, m, |i, j| {
            (0..m)
                .map(|k| turn(from + i, from + k) * product[k * m + j])
                .sum::<f64>()
        });
        all.extend(
            matrix
                .eigenvalues()
                .ok()?
                .into_iter()
                .map(|z| (scale, Complex { re: z.re, im: z.im })),
        );
        from = to;
    }
    Some(all)
}

/// Gram and Schmidt's orthonormalization of the columns of `a`, repeated until rounding is gone; gives the triangular factor.
fn orthonormalize(a: &mut [f64], n: usize) -> Option<Vec<f64>> {
    let mut r = vec![0.0; n * n];
    for k in 0..n {
        let mut length = 1.0;
        for _ in 0..3 {
            for j in 0..k {
                let along: f64 = (0..n).map(|i| a[i * n + j] * a[i * n + k]).sum();
                r[j * n + k] += along * length;
                (0..n).for_each(|i| a[i * n + k] -= along * a[i * n + j]);
            }
            let rest = (0..n).map(|i| a[i * n + k].powi(2)).sum::<f64>().sqrt();
            if !rest.is_finite() {
                return None;
            }
            if rest == 0.0 {
                // A direction that vanishes: any other across goes on with it.
                length = f64::MIN_POSITIVE;
                (0..n).for_each(|i| a[i * n + k] = ((i * n + k + 1) as f64).sin());
                continue;
            }
            (0..n).for_each(|i| a[i * n + k] /= rest);
            length *= rest;
        }
        r[k * n + k] = length.max(f64::MIN_POSITIVE);
    }
    Some(r)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M_k diag(scales) M_{k+1}^-1 with rotations M, closed: the product is similar to the diagonal's powers.
    fn factors(scales: [f64; 3], count: usize) -> Vec<Vec<f64>> {
        let rotation = |k: usize| {
            let (s, c) = (0.7 * (k % count) as f64).sin_cos();
            vec![c, -s, 0.0, s * c, c * c, -s, s * s, c * s, c]
        };
        let transposed = |a: &[f64]| (0..9).map(|k| a[k % 3 * 3 + k / 3]).collect::<Vec<f64>>();
        (0..count)
            .map(|k| {
                let mut middle = vec![0.0; 9];
                (0..3).for_each(|i| middle[i * 3 + i] = scales[i]);
                let left = crate::matrix::product(&rotation(k + 1), &middle, 3);
                crate::matrix::product(&left, &transposed(&rotation(k)), 3)
            })
            .collect()
    }

    #[test]
    fn multipliers_of_every_size_keep_their_digits() {
        // 1e40, -1 of which one factor has the sign, 1e-30.
        let mut all = factors([10.0, 1.0, 1e-30f64.powf(1.0 / 40.0)], 40);
        let flip = [1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0];
        all[0] = crate::matrix::product(&all[0], &flip, 3);
        let got = multipliers(&all, 3).unwrap();
        for (m, want) in got.iter().zip([1e40, -1.0, 1e-30]) {
            assert!((m.re / want - 1.0).abs() < 1e-12 && m.im == 0.0, "{got:?}");
        }
        // A pair and one next to it, solved for together.
        let (s, c) = 0.3f64.sin_cos();
        let turned = vec![vec![c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 0.99]; 7];
        let got = multipliers(&turned, 3).unwrap();
        assert!(
            (got[0].re - 2.1f64.cos()).abs() < 1e-12 && (got[0].im - 2.1f64.sin()).abs() < 1e-12,
            "{got:?}"
        );
        assert!((got[2].re - 0.99f64.powi(7)).abs() < 1e-12, "{got:?}");
    }
}

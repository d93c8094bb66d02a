//! Steps along orthogonalized gradients (Muon, Jordan et al. 2024) for the matrices of an operator: the mean gradient `M = U S V'` of a matrix moves
//! it along `U V'`, so that all directions of its image are learned at the same pace. All else is moved by Adam.

use std::ops::Range;

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

use crate::{
    adam::{Adam, AdamConfig},
    architectures::fno::Layout,
    kernels::Backend,
};

/// Decay of the sum of gradients.
pub(super) const MOMENTUM: f64 = 0.95;
/// Root mean square of a step relative to the learning rate: about that of Adam's steps, so that both share one learning rate.
const SIZE: f64 = 0.2;
/// Coefficients of the iteration x -> a x + b x^3 + c x^5 on singular values, which takes all of (0, 1] to about 1 in five rounds.
pub(super) const QUINTIC: [f32; 3] = [3.4445, -4.7750, 2.0315];
pub(super) const ROUNDS: usize = 5;

/// A matrix in the flat list of weights.
#[derive(Debug, Clone)]
struct Matrix {
    at: Range<usize>,
    rows: usize,
}

/// Which weights are moved how.
#[derive(Debug, Clone)]
pub(super) struct Muon {
    matrices: Vec<Matrix>,
    /// What Adam moves.
    rest: Vec<Range<usize>>,
}

impl Muon {
    /// The matrices between the hidden channels; real and imaginary part of a mode's matrix stand one above the other.
    pub fn new(layout: &Layout) -> Self {
        let mut matrices = vec![Matrix::whole(
            &layout.lifting[2].shape,
            layout.lifting[2].start,
        )];
        for layer in &layout.layers {
            let spectral = &layer.spectral;
            let (modes, w) = (spectral.shape[0], spectral.shape[3]);
            matrices.extend(
                (0..modes).map(|m| Matrix::whole(&[2 * w, w], spectral.start + m * 2 * w * w)),
            );
            for block in [&layer.skip[0]]
                .into_iter()
                .chain(layer.mlp.iter().flat_map(|m| [&m[0], &m[2]]))
            {
                matrices.push(Matrix::whole(&block.shape, block.start));
            }
        }
        matrices.push(Matrix::whole(
            &layout.projection[0].shape,
            layout.projection[0].start,
        ));
        let mut rest = Vec::new();
        let mut next = 0;
        for matrix in &matrices {
            if next < matrix.at.start {
                rest.push(next..matrix.at.start);
            }
            next = matrix.at.end;
        }
        rest.push(next..layout.count);
        Muon { matrices, rest }
    }

    /// The matrices: where they stand, and their rows.
    #[cfg(feature = "cuda")]
    pub fn matrices(&self) -> impl Iterator<Item = (Range<usize>, usize)> {
        self.matrices.iter().map(|m| (m.at.clone(), m.rows))
    }

    /// What Adam moves.
    #[cfg(feature = "cuda")]
    pub fn rest(&self) -> &[Range<usize>] {
        &self.rest
    }

    /// Moves `weights` by one step against `gradient`. The sums of gradients are kept in Adam's first moments.
    pub fn step(
        &self,
        adam: &mut Adam,
        config: &AdamConfig,
        per_epoch: u64,
        weights: &mut [f64],
        gradient: &[f64],
    ) {
        let rate = config.rate(adam.steps, per_epoch);
        let moves: Vec<Vec<f32>> = self
            .matrices
            .par_iter()
            .map(|matrix| {
                let sums = &adam.first[matrix.at.clone()];
                let ahead = |(m, g): (&f64, &f64)| (g + MOMENTUM * (MOMENTUM * m + g)) as f32;
                orthogonal(
                    sums.iter()
                        .zip(&gradient[matrix.at.clone()])
                        .map(ahead)
                        .collect(),
                    matrix.rows,
                )
            })
            .collect();
        for (matrix, step) in self.matrices.iter().zip(&moves) {
            let (sums, weights) = (
                &mut adam.first[matrix.at.clone()],
                &mut weights[matrix.at.clone()],
            );
            let size = size(matrix.rows, matrix.at.len() / matrix.rows);
            for (((m, w), g), u) in sums
                .iter_mut()
                .zip(weights)
                .zip(&gradient[matrix.at.clone()])
                .zip(step)
            {
                *m = MOMENTUM * *m + g;
                *w -= rate * (size * f64::from(*u) + config.weight_decay * *w);
            }
        }
        adam.step_parts(
            Backend::detect(),
            config,
            per_epoch,
            weights,
            gradient,
            &self.rest,
        );
    }
}

/// What a step along an orthogonal matrix is multiplied by, beside the learning rate.
pub(super) fn size(rows: usize, columns: usize) -> f64 {
    SIZE * (rows.max(columns) as f64).sqrt()
}

impl Matrix {
    fn whole(shape: &[usize], start: usize) -> Self {
        Matrix {
            at: start..start + shape.iter().product::<usize>(),
            rows: shape[0],
        }
    }
}

/// U V' of the matrix U S V' with `rows` rows, row-major, with singular values between about .7 and 1.2. Zero stays zero.
fn orthogonal(mut x: Vec<f32>, rows: usize) -> Vec<f32> {
    let columns = x.len() / rows;
    let norm = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32;
    if !(norm > 0.0 && norm.is_finite()) {
        return vec![0.0; x.len()];
    }
    x.iter_mut().for_each(|v| *v /= norm);
    let n = rows.min(columns);
    let wide = rows <= columns;
    let [a, b, c] = QUINTIC;
    let (mut gram, mut square, mut next) = (
        vec![0.0f32; n * n],
        vec![0.0f32; n * n],
        vec![0.0f32; x.len()],
    );
    for _ in 0..ROUNDS {
        let m = MatRef::from_row_major_slice(&x, rows, columns);
        let [left, right] = if wide {
            [m, m.transpose()]
        } else {
            [m.transpose(), m]
        };
        matmul(
            MatMut::from_row_major_slice_mut(&mut gram, n, n),
            Accum::Replace,
            left,
            right,
            1.0,
            Par::Seq,
        );
        let g = MatRef::from_row_major_slice(&gram, n, n);
        matmul(
            MatMut::from_row_major_slice_mut(&mut square, n, n),
            Accum::Replace,
            g,
            g,
            c,
            Par::Seq,
        );
        square.iter_mut().zip(&gram).for_each(|(s, g)| *s += b * g);
        let s = MatRef::from_row_major_slice(&square, n, n);
        let to = MatMut::from_row_major_slice_mut(&mut next, rows, columns);
        let [left, right] = if wide { [s, m] } else { [m, s] };
        matmul(to, Accum::Replace, left, right, 1.0, Par::Seq);
        next.iter_mut().zip(&x).for_each(|(y, x)| *y += a * x);
        std::mem::swap(&mut x, &mut next);
    }
    x
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::sampling::{normal, stream};

    use super::*;
    use crate::architectures::fno::FnoConfig;

    #[test]
    fn steps_are_nearly_orthogonal_and_point_along_the_gradient() {
        let mut rng = stream(1, "matrix", 0);
        for (rows, columns) in [(6, 6), (12, 6), (6, 20)] {
            let g: Vec<f32> = (0..rows * columns)
                .map(|_| normal(&mut rng) as f32)
                .collect();
            let x = orthogonal(g.clone(), rows);
            let svd = MatRef::from_row_major_slice(&x, rows, columns)
                .to_owned()
                .singular_values()
                .unwrap();
            assert!(svd.iter().all(|s| (0.6..1.3).contains(s)), "{svd:?}");
            let along: f32 = g.iter().zip(&x).map(|(g, x)| g * x).sum();
            let nuclear: f32 = MatRef::from_row_major_slice(&g, rows, columns)
                .to_owned()
                .singular_values()
                .unwrap()
                .iter()
                .sum();
            assert!(along > 0.7 * nuclear, "{along} {nuclear}");
        }
        assert_eq!(orthogonal(vec![0.0; 4], 2), [0.0; 4]);
    }

    #[test]
    fn every_weight_is_moved_once() {
        let layout = FnoConfig {
            width: 5,
            modes: 3,
            layers: 2,
            ..FnoConfig::default()
        }
        .layout(2, 3);
        let muon = Muon::new(&layout);
        let mut moved = vec![0; layout.count];
        muon.matrices
            .iter()
            .map(|m| &m.at)
            .chain(&muon.rest)
            .for_each(|r| moved[r.clone()].iter_mut().for_each(|n| *n += 1));
        assert!(moved.iter().all(|n| *n == 1));
    }
}

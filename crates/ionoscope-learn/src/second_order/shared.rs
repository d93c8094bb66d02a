//! Residuals of a two-layer network over a dataset, their normal equations and second directional derivatives, in double precision.
//!
//! With h_j the hidden units and e_j = 1 - h_j^2, residual i of a pair is `sum_j c_ij h_j + gamma_i - y_i`, and its derivative by an inner weight
//! is `c_ij e_j x_g`. So one Gram matrix of the columns `e_j x_g`, `e_j`, `h_j`, `1` and of the residuals, the same for all outputs, holds all
//! sums over the pairs, and the output weights multiply its entries afterwards: J'J costs as much as for one output.

use std::ops::Range;

use faer::{Mat, MatRef};
use ionoscope_dynamics::real::Real;
use pulp::WithSimd;
use rayon::prelude::*;

use super::{
    linear_algebra::add_gram,
    normal_equations::{NormalEquations, chunks, tiles},
};
use crate::dataset::Design;

/// Pairs whose columns are held at once.
const BLOCK: usize = 256;

/// Where the weights of a two-layer network stand in a flat list: the order of `TwoLayerNetwork::groups_mut`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SharedLayout {
    /// D_u + D_p.
    pub inputs: usize,
    /// N_h.
    pub hidden: usize,
    /// D_u.
    pub outputs: usize,
}

impl SharedLayout {
    /// Number of weights.
    pub fn count(&self) -> usize {
        self.hidden * (self.inputs + 1 + self.outputs) + self.outputs
    }

    /// Number of weights of the inner layer, beta included.
    fn inner(&self) -> usize {
        self.hidden * (self.inputs + 1)
    }

    /// Weight of hidden unit `j` for output `i`.
    fn output(&self, i: usize, j: usize) -> usize {
        self.inner() + i * self.hidden + j
    }

    /// Offset of output `i`.
    fn gamma(&self, i: usize) -> usize {
        self.inner() + self.outputs * self.hidden + i
    }
}

/// r'r at the weights `w`.
pub(super) fn squared_error(layout: &SharedLayout, w: &[f64], design: &Design) -> f64 {
    let sum = |range| {
        let mut tile = Tile::new(layout);
        tiles(range, BLOCK)
            .map(|rows| {
                tile.forward(w, design, rows);
                tile.residuals.iter().flatten().map(|r| r * r).sum::<f64>()
            })
            .sum()
    };
    let sums: Vec<f64> = chunks(design).map(sum).collect();
    sums.iter().sum()
}

/// The normal equations at the weights `w`.
pub(super) fn normal_equations(
    layout: &SharedLayout,
    w: &[f64],
    design: &Design,
) -> NormalEquations {
    let (hidden, inner, outputs) = (layout.hidden, layout.inner(), layout.outputs);
    // Columns: e_j x_g and e_j as the inner weights stand, h_j, 1, one residual an output.
    let columns = inner + hidden + 1 + outputs;
    let sum = |range| {
        let mut tile = Tile::new(layout);
        let mut sum = Mat::zeros(columns, columns);
        let mut block = vec![0.0; BLOCK * columns];
        for rows in tiles(range, BLOCK) {
            let n = rows.len();
            tile.forward(w, design, rows.clone());
            let mut parts = block[..n * columns].chunks_exact_mut(n);
            for g in 0..=layout.inputs {
                for (j, column) in parts.by_ref().take(hidden).enumerate() {
                    let e = tile.h[j].iter().map(|h| 1.0 - h * h);
                    match design.inputs.get(g) {
                        Some(x) => column
                            .iter_mut()
                            .zip(e)
                            .zip(&x[rows.clone()])
                            .for_each(|((c, e), x)| *c = e * x),
                        None => column.iter_mut().zip(e).for_each(|(c, e)| *c = e),
                    }
                }
            }
            parts
                .by_ref()
                .zip(&tile.h)
                .take(hidden)
                .for_each(|(column, h)| column.copy_from_slice(&h[..n]));
            for (i, column) in parts.enumerate() {
                match i {
                    0 => column.fill(1.0),
                    i => column.copy_from_slice(&tile.residuals[i - 1][..n]),
                }
            }
            add_gram(
                sum.as_mut(),
                MatRef::from_column_major_slice(&block[..n * columns], n, columns),
            );
        }
        sum
    };
    let sums: Vec<Mat<f64>> = chunks(design).map(sum).collect();
    let mut gram = Mat::<f64>::zeros(columns, columns);
    sums.iter().for_each(|sum| gram += sum);
    let c = |i: usize, j: usize| w[layout.output(i, j)];
    let product = |j: usize, l: usize| (0..outputs).map(|i| c(i, j) * c(i, l)).sum::<f64>();
    let products = Mat::from_fn(hidden, hidden, product);
    let (h, one, r) = (inner, inner + hidden, inner + hidden + 1);
    let count = layout.count();
    let mut jtj = Mat::zeros(count, count);
    let mut gradient = vec![0.0; count];
    for a in 0..inner {
        let j = a % hidden;
        for b in a..inner {
            jtj[(b, a)] = gram[(b, a)] * products[(b % hidden, j)];
        }
        for i in 0..outputs {
            (0..hidden).for_each(|l| jtj[(layout.output(i, l), a)] = c(i, j) * gram[(h + l, a)]);
            jtj[(layout.gamma(i), a)] = c(i, j) * gram[(one, a)];
            gradient[a] += c(i, j) * gram[(r + i, a)];
        }
    }
    for i in 0..outputs {
        for l in 0..hidden {
            (l..hidden).for_each(|m| {
                jtj[(layout.output(i, m), layout.output(i, l))] = gram[(h + m, h + l)]
            });
            jtj[(layout.gamma(i), layout.output(i, l))] = gram[(one, h + l)];
            gradient[layout.output(i, l)] = gram[(r + i, h + l)];
        }
        jtj[(layout.gamma(i), layout.gamma(i))] = gram[(one, one)];
        gradient[layout.gamma(i)] = gram[(r + i, one)];
    }
    NormalEquations {
        jtj,
        gradient,
        squared_error: (0..outputs).map(|i| gram[(r + i, r + i)]).sum(),
    }
}

/// J' r_vv, with r_vv the second derivative of the residuals along `v`.
pub(super) fn acceleration(
    layout: &SharedLayout,
    w: &[f64],
    v: &[f64],
    design: &Design,
) -> Vec<f64> {
    let sum = |range| {
        let mut tile = Tile::new(layout);
        let mut sum = vec![0.0; layout.count()];
        for rows in tiles(range, BLOCK) {
            tile.forward(w, design, rows.clone());
            tile.accelerate(w, v, design, rows, &mut sum);
        }
        sum
    };
    let sums: Vec<Vec<f64>> = chunks(design).map(sum).collect();
    let mut total = vec![0.0; layout.count()];
    sums.iter()
        .for_each(|sum| total.iter_mut().zip(sum).for_each(|(t, s)| *t += s));
    total
}

/// Hidden units and residuals over some pairs.
struct Tile<'a> {
    layout: &'a SharedLayout,
    /// `[N_h][pair]`
    h: Vec<Vec<f64>>,
    /// `[D_u][pair]`
    residuals: Vec<Vec<f64>>,
}

impl<'a> Tile<'a> {
    fn new(layout: &'a SharedLayout) -> Self {
        Tile {
            layout,
            h: vec![Vec::with_capacity(BLOCK); layout.hidden],
            residuals: vec![Vec::with_capacity(BLOCK); layout.outputs],
        }
    }

    /// Computes both for the pairs `rows`.
    fn forward(&mut self, w: &[f64], design: &Design, rows: Range<usize>) {
        pulp::Arch::new().dispatch(Forward {
            tile: self,
            w,
            design,
            rows,
        });
    }

    /// Adds what the pairs `rows`, for which [`forward`](Self::forward) was called, give to J' r_vv.
    fn accelerate(
        &self,
        w: &[f64],
        v: &[f64],
        design: &Design,
        rows: Range<usize>,
        sum: &mut [f64],
    ) {
        let (l, n) = (self.layout, rows.len());
        let mut second = vec![vec![0.0; n]; l.outputs];
        for (j, h) in self.h.iter().enumerate() {
            // Derivative of the unit's argument along v.
            let mut slope = vec![v[l.inputs * l.hidden + j]; n];
            for (g, x) in design.inputs.iter().enumerate() {
                let weight = v[g * l.hidden + j];
                slope
                    .iter_mut()
                    .zip(&x[rows.clone()])
                    .for_each(|(s, x)| *s += weight * x);
            }
            for (i, second) in second.iter_mut().enumerate() {
                let (c, v_c) = (w[l.output(i, j)], v[l.output(i, j)]);
                for ((second, h), s) in second.iter_mut().zip(h).zip(&slope) {
                    *second += 2.0 * (1.0 - h * h) * s * (v_c - c * h * s);
                }
            }
        }
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for (j, h) in self.h.iter().enumerate() {
            let mut weighted = vec![0.0; n];
            for (i, second) in second.iter().enumerate() {
                let c = w[l.output(i, j)];
                weighted
                    .iter_mut()
                    .zip(second)
                    .zip(h)
                    .for_each(|((t, s), h)| *t += c * s * (1.0 - h * h));
                sum[l.output(i, j)] += dot(second, h);
            }
            for (g, x) in design.inputs.iter().enumerate() {
                sum[g * l.hidden + j] += dot(&weighted, &x[rows.clone()]);
            }
            sum[l.inputs * l.hidden + j] += weighted.iter().sum::<f64>();
        }
        for (i, second) in second.iter().enumerate() {
            sum[l.gamma(i)] += second.iter().sum::<f64>();
        }
    }
}

struct Forward<'t, 'a> {
    tile: &'t mut Tile<'a>,
    w: &'t [f64],
    design: &'t Design,
    rows: Range<usize>,
}

impl WithSimd for Forward<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let Forward {
            tile,
            w,
            design,
            rows,
        } = self;
        let l = tile.layout;
        for (i, (r, target)) in tile.residuals.iter_mut().zip(&design.targets).enumerate() {
            r.clear();
            r.extend(target[rows.clone()].iter().map(|y| w[l.gamma(i)] - y));
        }
        for (j, h) in tile.h.iter_mut().enumerate() {
            h.clear();
            h.resize(rows.len(), w[l.inputs * l.hidden + j]);
            for (g, x) in design.inputs.iter().enumerate() {
                let weight = w[g * l.hidden + j];
                h.iter_mut()
                    .zip(&x[rows.clone()])
                    .for_each(|(y, x)| *y += weight * x);
            }
            h.iter_mut().for_each(|y| *y = Real::tanh(*y));
            for (i, r) in tile.residuals.iter_mut().enumerate() {
                let c = w[l.output(i, j)];
                r.iter_mut().zip(h.iter()).for_each(|(r, h)| *r += c * h);
            }
        }
    }
}

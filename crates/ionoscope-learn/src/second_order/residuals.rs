//! Residuals of a sub-network over a dataset, their normal equations and second directional derivatives, in double precision, by fixed chunks
//! of pairs over all cores.

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

/// Pairs whose Jacobian is held at once.
const BLOCK: usize = 512;
/// Pairs worked on at once: five columns of these stay in the first-level cache.
const TILE: usize = 128;

/// Where the weights of a sub-network stand in a flat list: the order of `SubNetwork::groups_mut`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OwnLayout {
    /// Index of the network's own variable among the inputs.
    pub own: usize,
    /// D_u + D_p.
    pub inputs: usize,
    /// N_h.
    pub hidden: usize,
}

impl OwnLayout {
    /// Number of weights.
    pub fn count(&self) -> usize {
        self.hidden * (self.inputs + 3) + 1
    }

    /// The inputs of the inner layer: all but the own variable.
    pub fn inner(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.own;
        (0..self.inputs).filter(move |k| *k != own)
    }
}

/// The weights of one hidden unit.
struct Unit<'a> {
    w: &'a [f64],
    hidden: usize,
    j: usize,
}

impl Unit<'_> {
    /// Weight of the g-th inner input.
    #[inline(always)]
    fn inner(&self, g: usize) -> f64 {
        self.w[g * self.hidden + self.j]
    }
    /// (beta, a, alpha, b), which follow the `inner` rows.
    #[inline(always)]
    fn rest(&self, inner: usize) -> [f64; 4] {
        std::array::from_fn(|i| self.w[(inner + i) * self.hidden + self.j])
    }
}

/// r'r at the weights `w`.
pub(super) fn squared_error(layout: &OwnLayout, w: &[f64], design: &Design) -> f64 {
    let chunks: Vec<f64> = chunks(design)
        .map(|range| {
            let mut r = [0.0; TILE];
            tiles(range, TILE)
                .map(|t| {
                    let n = t.len();
                    pulp::Arch::new().dispatch(Residual {
                        layout,
                        w,
                        design,
                        tile: t,
                        r: &mut r[..n],
                    });
                    r[..n].iter().map(|r| r * r).sum::<f64>()
                })
                .sum()
        })
        .collect();
    chunks.iter().sum()
}

/// The normal equations at the weights `w`.
pub(super) fn normal_equations(layout: &OwnLayout, w: &[f64], design: &Design) -> NormalEquations {
    // The residual is one more column of the Jacobian: its products with the others are J'r and r'r.
    let n = layout.count();
    let sums: Vec<Mat<f64>> = chunks(design)
        .map(|range| {
            let mut sum = Mat::zeros(n + 1, n + 1);
            let mut block = vec![0.0; BLOCK * (n + 1)];
            for rows in tiles(range, BLOCK) {
                let height = rows.len();
                for tile in tiles(rows.clone(), TILE) {
                    let from = tile.start - rows.start;
                    pulp::Arch::new().dispatch(Jacobian {
                        layout,
                        w,
                        design,
                        tile,
                        block: &mut block[..height * (n + 1)],
                        from,
                        height,
                    });
                }
                add_gram(
                    sum.as_mut(),
                    MatRef::from_column_major_slice(&block[..height * (n + 1)], height, n + 1),
                );
            }
            sum
        })
        .collect();
    let mut total = Mat::zeros(n + 1, n + 1);
    for sum in &sums {
        total += sum;
    }
    NormalEquations {
        gradient: (0..n).map(|j| total[(n, j)]).collect(),
        squared_error: total[(n, n)],
        jtj: total,
    }
}

/// J' r_vv, with r_vv the second derivative of the residuals along `v`: the right-hand side of geodesic acceleration.
pub(super) fn acceleration(layout: &OwnLayout, w: &[f64], v: &[f64], design: &Design) -> Vec<f64> {
    let n = layout.count();
    let sums: Vec<Vec<f64>> = chunks(design)
        .map(|range| {
            let mut sum = vec![0.0; n];
            let mut store = vec![0.0; 2 * layout.hidden * TILE];
            for tile in tiles(range, TILE) {
                pulp::Arch::new().dispatch(Acceleration {
                    layout,
                    w,
                    v,
                    design,
                    tile,
                    store: &mut store,
                    sum: &mut sum,
                });
            }
            sum
        })
        .collect();
    let mut total = vec![0.0; n];
    for sum in &sums {
        total.iter_mut().zip(sum).for_each(|(t, s)| *t += s);
    }
    total
}

/// The hidden layers of one unit over a tile: h = tanh(y), f = tanh(z).
#[inline(always)]
fn hidden(
    layout: &OwnLayout,
    unit: &Unit,
    design: &Design,
    tile: &Range<usize>,
    h: &mut [f64],
    f: &mut [f64],
) {
    let inner = layout.inputs - 1;
    let [beta, a, alpha, _] = unit.rest(inner);
    h.fill(beta);
    for (g, k) in layout.inner().enumerate() {
        let weight = unit.inner(g);
        for (y, x) in h.iter_mut().zip(&design.inputs[k][tile.clone()]) {
            *y += weight * x;
        }
    }
    for ((h, f), x) in h
        .iter_mut()
        .zip(f.iter_mut())
        .zip(&design.inputs[layout.own][tile.clone()])
    {
        *h = Real::tanh(*h);
        *f = Real::tanh(x * a + alpha + *h);
    }
}

struct Residual<'a> {
    layout: &'a OwnLayout,
    w: &'a [f64],
    design: &'a Design,
    tile: Range<usize>,
    r: &'a mut [f64],
}

impl WithSimd for Residual<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let Residual {
            layout,
            w,
            design,
            tile,
            r,
        } = self;
        let (mut h, mut f) = ([0.0; TILE], [0.0; TILE]);
        let (h, f) = (&mut h[..tile.len()], &mut f[..tile.len()]);
        for (r, y) in r.iter_mut().zip(&design.targets[0][tile.clone()]) {
            *r = w[layout.count() - 1] - y;
        }
        for j in 0..layout.hidden {
            let unit = Unit {
                w,
                hidden: layout.hidden,
                j,
            };
            hidden(layout, &unit, design, &tile, h, f);
            let b = unit.rest(layout.inputs - 1)[3];
            for (r, f) in r.iter_mut().zip(f.iter()) {
                *r += f * b;
            }
        }
    }
}

/// Fills rows `from ..` of a column-major block of `height` rows: the Jacobian's columns in the order of the weights, then the residual.
struct Jacobian<'a> {
    layout: &'a OwnLayout,
    w: &'a [f64],
    design: &'a Design,
    tile: Range<usize>,
    block: &'a mut [f64],
    from: usize,
    height: usize,
}

impl WithSimd for Jacobian<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let Jacobian {
            layout,
            w,
            design,
            tile,
            block,
            from,
            height,
        } = self;
        let (n, units, inner) = (tile.len(), layout.hidden, layout.inputs - 1);
        let (mut h, mut f) = ([0.0; TILE], [0.0; TILE]);
        let (mut d, mut e) = ([0.0; TILE], [0.0; TILE]);
        let mut r = [0.0; TILE];
        for (r, y) in r.iter_mut().zip(&design.targets[0][tile.clone()]) {
            *r = w[layout.count() - 1] - y;
        }
        let mut column = |c: usize, value: &mut dyn FnMut(&mut [f64])| {
            value(&mut block[c * height + from..][..n])
        };
        for j in 0..units {
            let unit = Unit {
                w,
                hidden: units,
                j,
            };
            hidden(layout, &unit, design, &tile, &mut h[..n], &mut f[..n]);
            let b = unit.rest(inner)[3];
            for k in 0..n {
                r[k] += f[k] * b;
                d[k] = b * (1.0 - f[k] * f[k]);
                e[k] = d[k] * (1.0 - h[k] * h[k]);
            }
            for (g, k) in layout.inner().enumerate() {
                let x = &design.inputs[k][tile.clone()];
                column(g * units + j, &mut |c| {
                    c.iter_mut()
                        .zip(&e)
                        .zip(x)
                        .for_each(|((c, e), x)| *c = e * x)
                });
            }
            let x = &design.inputs[layout.own][tile.clone()];
            column(inner * units + j, &mut |c| c.copy_from_slice(&e[..n]));
            column((inner + 1) * units + j, &mut |c| {
                c.iter_mut()
                    .zip(&d)
                    .zip(x)
                    .for_each(|((c, d), x)| *c = d * x)
            });
            column((inner + 2) * units + j, &mut |c| c.copy_from_slice(&d[..n]));
            column((inner + 3) * units + j, &mut |c| c.copy_from_slice(&f[..n]));
        }
        column((inner + 4) * units, &mut |c| c.fill(1.0));
        column((inner + 4) * units + 1, &mut |c| c.copy_from_slice(&r[..n]));
    }
}

struct Acceleration<'a> {
    layout: &'a OwnLayout,
    w: &'a [f64],
    v: &'a [f64],
    design: &'a Design,
    tile: Range<usize>,
    /// h and f of all units over the tile.
    store: &'a mut [f64],
    sum: &'a mut [f64],
}

impl WithSimd for Acceleration<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let Acceleration {
            layout,
            w,
            v,
            design,
            tile,
            store,
            sum,
        } = self;
        let (n, units, inner) = (tile.len(), layout.hidden, layout.inputs - 1);
        let own = &design.inputs[layout.own][tile.clone()];
        let mut second = [0.0; TILE];
        let mut slope = [0.0; TILE];
        for j in 0..units {
            let unit = Unit {
                w,
                hidden: units,
                j,
            };
            let direction = Unit {
                w: v,
                hidden: units,
                j,
            };
            let (h, f) = store[2 * j * TILE..][..2 * TILE].split_at_mut(TILE);
            hidden(layout, &unit, design, &tile, &mut h[..n], &mut f[..n]);
            let b = unit.rest(inner)[3];
            let [v_beta, v_a, v_alpha, v_b] = direction.rest(inner);
            // Derivative of y along v.
            slope[..n].fill(v_beta);
            for (g, k) in layout.inner().enumerate() {
                let weight = direction.inner(g);
                slope
                    .iter_mut()
                    .zip(&design.inputs[k][tile.clone()])
                    .for_each(|(s, x)| *s += weight * x);
            }
            for k in 0..n {
                let (h, f) = (h[k], f[k]);
                let (h1, f1) = (1.0 - h * h, 1.0 - f * f);
                let z1 = own[k] * v_a + v_alpha + h1 * slope[k];
                let z2 = -2.0 * h * h1 * slope[k] * slope[k];
                second[k] += b * (f1 * z2 - 2.0 * f * f1 * z1 * z1) + 2.0 * v_b * f1 * z1;
            }
        }
        let dot = |a: &[f64], b: &[f64]| {
            // Eight partial sums, so that the loop vectorizes with a fixed order of additions.
            let mut parts = [0.0; 8];
            let (a8, a_rest) = a.as_chunks::<8>();
            let (b8, b_rest) = b.as_chunks::<8>();
            for (a, b) in a8.iter().zip(b8) {
                for i in 0..8 {
                    parts[i] += a[i] * b[i];
                }
            }
            parts.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
        };
        let second = &second[..n];
        let (mut d, mut e) = ([0.0; TILE], [0.0; TILE]);
        let ones = [1.0; TILE];
        for j in 0..units {
            let b = Unit {
                w,
                hidden: units,
                j,
            }
            .rest(inner)[3];
            let (h, f) = store[2 * j * TILE..][..2 * TILE].split_at(TILE);
            for k in 0..n {
                d[k] = second[k] * b * (1.0 - f[k] * f[k]);
                e[k] = d[k] * (1.0 - h[k] * h[k]);
            }
            let (d, e) = (&d[..n], &e[..n]);
            for (g, k) in layout.inner().enumerate() {
                sum[g * units + j] += dot(e, &design.inputs[k][tile.clone()]);
            }
            sum[inner * units + j] += dot(e, &ones[..n]);
            sum[(inner + 1) * units + j] += dot(d, own);
            sum[(inner + 2) * units + j] += dot(d, &ones[..n]);
            sum[(inner + 3) * units + j] += dot(second, &f[..n]);
        }
        sum[(inner + 4) * units] += dot(second, &ones[..n]);
    }
}

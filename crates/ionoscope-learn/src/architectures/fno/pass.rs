//! The network and its gradient for one sample at a time; samples are independent, and what a sample keeps for the way back fits the caches.
//!
//! Channels are rows, times are columns, row-major.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use pulp::WithSimd;

use super::{
    config::{Activation, FnoConfig, HIDDEN, LayerKind},
    grid::Grid,
    layout::{Block, Layout},
    scalar::Scalar,
};

/// A network on a grid.
pub(crate) struct Pass<'a, T> {
    pub config: &'a FnoConfig,
    pub layout: &'a Layout,
    pub grid: &'a Grid<T>,
    pub weights: &'a [T],
}

/// What a layer keeps for the way back.
struct Kept<T> {
    /// Modes of the layer's input, `[re then im, by mode][channel]`.
    modes: Vec<T>,
    /// K v.
    u: Vec<T>,
    /// Inside the Zongyi layer's M: slopes of the activation, and what follows it.
    p: Vec<T>,
    q: Vec<T>,
    /// Slopes of the layer's activation; of the last layer its output.
    h: Vec<T>,
}

/// Working memory of one thread.
pub(crate) struct Work<T> {
    /// Lifting and projection: slopes of the activation, and what follows it, `[HIDDEN][points]`.
    lift: [Vec<T>; 2],
    project: [Vec<T>; 2],
    /// Input of each layer and output of the last, `[width][padded]`.
    v: Vec<Vec<T>>,
    layers: Vec<Kept<T>>,
    /// Modes after their matrices, and gradients of modes.
    modes: [Vec<T>; 2],
    /// Gradients on the way back: `[width][padded]` three times, `[HIDDEN][points]`.
    back: [Vec<T>; 3],
    hidden: Vec<T>,
    /// The output, `[outputs][points]`.
    pub y: Vec<T>,
}

fn rows<T>(data: &[T], count: usize) -> MatRef<'_, T> {
    MatRef::from_row_major_slice(data, count, data.len() / count)
}

fn rows_mut<T>(data: &mut [T], count: usize) -> MatMut<'_, T> {
    let columns = data.len() / count;
    MatMut::from_row_major_slice_mut(data, count, columns)
}

fn product<T: Scalar>(to: MatMut<T>, accum: Accum, a: MatRef<T>, b: MatRef<T>) {
    matmul(to, accum, a, b, T::of(1.0), Par::Seq);
}

/// out = f(out, x), elementwise, with the processor's best instructions.
struct Each<'a, T, F> {
    out: &'a mut [T],
    x: &'a [T],
    f: F,
}

impl<T: Copy, F: Fn(T, T) -> T> WithSimd for Each<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        for (out, x) in self.out.iter_mut().zip(self.x) {
            *out = (self.f)(*out, *x);
        }
    }
}

fn each<T: Copy>(out: &mut [T], x: &[T], f: impl Fn(T, T) -> T) {
    dispatch(Each { out, x, f });
}

/// out = act(x), x = act'(x), elementwise.
struct Activate<'a, T, F> {
    out: &'a mut [T],
    x: &'a mut [T],
    f: F,
}

impl<T: Copy, F: Fn(T) -> [T; 2]> WithSimd for Activate<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        for (out, x) in self.out.iter_mut().zip(self.x) {
            [*out, *x] = (self.f)(*x);
        }
    }
}

/// Runs elementwise work with the widest instructions of the processor: `pulp` would need a feature for 512 bits that also changes the bits of
/// matrix products.
fn dispatch(task: impl WithSimd<Output = ()>) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
    {
        // SAFETY: the processor has the instructions that the function is compiled for.
        return unsafe { dispatch_avx512(task) };
    }
    pulp::Arch::new().dispatch(task);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
fn dispatch_avx512<W: WithSimd<Output = ()>>(task: W) {
    task.with_simd(pulp::Scalar::new());
}

/// out = act(x); x keeps the slopes there.
fn activate<T: Scalar>(activation: Activation, x: &mut [T], out: &mut [T]) {
    match activation {
        Activation::Tanh => dispatch(Activate {
            out,
            x,
            f: |x| Activation::Tanh.at(x),
        }),
        Activation::Relu => dispatch(Activate {
            out,
            x,
            f: |x| Activation::Relu.at(x),
        }),
        Activation::Gelu => dispatch(Activate {
            out,
            x,
            f: |x| Activation::Gelu.at(x),
        }),
        Activation::LeakyRelu => dispatch(Activate {
            out,
            x,
            f: |x| Activation::LeakyRelu.at(x),
        }),
    }
}

/// d *= slopes
fn descend<T: Scalar>(slopes: &[T], d: &mut [T]) {
    each(d, slopes, |d, slope| d * slope);
}

/// out = W x + b for all columns.
fn dense<T: Scalar>(weights: &[T], [w, b]: [&Block; 2], x: MatRef<T>, mut out: MatMut<T>) {
    for (i, b) in b.of(weights).iter().enumerate() {
        out.as_mut().row_mut(i).fill(*b);
    }
    product(out, Accum::Add, rows(w.of(weights), w.shape[0]), x);
}

/// Gradients of W and b from that of the output, `d`.
fn dense_gradient<T: Scalar>(gradient: &mut [T], [w, b]: [&Block; 2], x: MatRef<T>, d: MatRef<T>) {
    product(
        rows_mut(w.of_mut(gradient), w.shape[0]),
        Accum::Add,
        d,
        x.transpose(),
    );
    for (i, g) in b.of_mut(gradient).iter_mut().enumerate() {
        *g += sum(d.row(i).try_as_row_major().map_or(&[], |r| r.as_slice()));
    }
}

/// Sum in eight parts, so that the loop vectorizes with a fixed order of additions.
fn sum<T: Scalar>(x: &[T]) -> T {
    let (whole, rest) = x.as_chunks::<8>();
    let mut parts = [T::default(); 8];
    for x in whole {
        (0..8).for_each(|i| parts[i] += x[i]);
    }
    parts.into_iter().sum::<T>() + rest.iter().copied().sum::<T>()
}

fn dot<T: Scalar>(a: &[T], b: &[T]) -> T {
    let ((a8, a_rest), (b8, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut parts = [T::default(); 8];
    for (a, b) in a8.iter().zip(b8) {
        (0..8).for_each(|i| parts[i] += a[i] * b[i]);
    }
    parts.into_iter().sum::<T>() + a_rest.iter().zip(b_rest).map(|(a, b)| *a * *b).sum::<T>()
}

/// The matrices of all modes applied: `to` = R `from`, both `[re then im, by mode][channel]`.
struct Mix<'a, T> {
    spectral: &'a [T],
    modes: usize,
    from: &'a [T],
    to: &'a mut [T],
}

impl<T: Scalar> WithSimd for Mix<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let Mix {
            spectral,
            modes,
            from,
            to,
        } = self;
        let w = from.len() / (2 * modes);
        let (x_re, x_im) = from.split_at(modes * w);
        let (y_re, y_im) = to.split_at_mut(modes * w);
        for m in 0..modes {
            let at = m * w..(m + 1) * w;
            let (y_re, y_im) = (&mut y_re[at.clone()], &mut y_im[at.clone()]);
            y_re.fill(T::default());
            y_im.fill(T::default());
            let (r_re, r_im) = spectral[m * 2 * w * w..(m + 1) * 2 * w * w].split_at(w * w);
            for (j, (a, b)) in x_re[at.clone()].iter().zip(&x_im[at]).enumerate() {
                let (re, im) = (&r_re[j * w..(j + 1) * w], &r_im[j * w..(j + 1) * w]);
                for i in 0..w {
                    y_re[i] += re[i] * *a - im[i] * *b;
                    y_im[i] += re[i] * *b + im[i] * *a;
                }
            }
        }
    }
}

/// From the gradient `d` of [`Mix`]'s result: that of the matrices is added to `spectral_gradient`, that of `from` goes to `back`.
struct Unmix<'a, T> {
    spectral: &'a [T],
    spectral_gradient: &'a mut [T],
    modes: usize,
    from: &'a [T],
    d: &'a [T],
    back: &'a mut [T],
}

impl<T: Scalar> WithSimd for Unmix<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let Unmix {
            spectral,
            spectral_gradient,
            modes,
            from,
            d,
            back,
        } = self;
        let w = from.len() / (2 * modes);
        let half = modes * w;
        for m in 0..modes {
            let at = m * w..(m + 1) * w;
            let (d_re, d_im) = (&d[at.clone()], &d[half..][at.clone()]);
            let (r_re, r_im) = spectral[m * 2 * w * w..(m + 1) * 2 * w * w].split_at(w * w);
            let (g_re, g_im) =
                spectral_gradient[m * 2 * w * w..(m + 1) * 2 * w * w].split_at_mut(w * w);
            for j in 0..w {
                let (a, b) = (from[m * w + j], from[half + m * w + j]);
                let row = j * w..(j + 1) * w;
                let (g_re, g_im) = (&mut g_re[row.clone()], &mut g_im[row.clone()]);
                for i in 0..w {
                    g_re[i] += d_re[i] * a + d_im[i] * b;
                    g_im[i] += d_im[i] * a - d_re[i] * b;
                }
                let (re, im) = (&r_re[row.clone()], &r_im[row]);
                back[m * w + j] = dot(re, d_re) + dot(im, d_im);
                back[half + m * w + j] = dot(re, d_im) - dot(im, d_re);
            }
        }
    }
}

impl<T: Scalar> Work<T> {
    pub fn new(config: &FnoConfig, layout: &Layout, grid: &Grid<T>) -> Self {
        let z = |n: usize| vec![T::default(); n];
        let (w, k) = (config.width, config.modes);
        let (full, hidden) = (w * grid.padded, HIDDEN * grid.points);
        let inside = if config.kind == LayerKind::Zongyi {
            full
        } else {
            0
        };
        let kept = || Kept {
            modes: z(2 * k * w),
            u: z(full),
            p: z(inside),
            q: z(inside),
            h: z(full),
        };
        Work {
            lift: [z(hidden), z(hidden)],
            project: [z(hidden), z(hidden)],
            v: (0..=config.layers).map(|_| z(full)).collect(),
            layers: (0..config.layers).map(|_| kept()).collect(),
            modes: [z(2 * k * w), z(2 * k * w)],
            back: [z(full), z(full), z(full)],
            hidden: z(hidden),
            y: z(layout.outputs * grid.points),
        }
    }
}

impl<T: Scalar> Pass<'_, T> {
    /// The output for `x`, `[inputs][points]`, into `work.y`.
    pub fn forward(&self, x: &[T], work: &mut Work<T>) {
        let Pass {
            config,
            layout,
            grid,
            weights,
        } = self;
        let (w, n) = (config.width, grid.points);
        let [w1, b1, w2, b2] = &layout.lifting;
        let [a, z] = &mut work.lift;
        dense(
            weights,
            [w1, b1],
            rows(x, layout.inputs),
            rows_mut(a, HIDDEN),
        );
        activate(config.activation, a, z);
        work.v[0].fill(T::default());
        dense(
            weights,
            [w2, b2],
            rows(z, HIDDEN),
            rows_mut(&mut work.v[0], w).subcols_mut(0, n),
        );
        for (l, blocks) in layout.layers.iter().enumerate() {
            let (before, after) = work.v.split_at_mut(l + 1);
            let (v, out, kept) = (&before[l], &mut after[0], &mut work.layers[l]);
            let forward = rows(&grid.forward, grid.padded);
            product(
                rows_mut(&mut kept.modes, 2 * grid.modes).transpose_mut(),
                Accum::Replace,
                rows(v, w),
                forward,
            );
            let mixed = &mut work.modes[0];
            dispatch(Mix {
                spectral: blocks.spectral.of(weights),
                modes: grid.modes,
                from: &kept.modes,
                to: mixed,
            });
            product(
                rows_mut(&mut kept.u, w),
                Accum::Replace,
                rows(mixed, 2 * grid.modes).transpose(),
                rows(&grid.back, 2 * grid.modes),
            );
            dense(
                weights,
                [&blocks.skip[0], &blocks.skip[1]],
                rows(v, w),
                rows_mut(&mut kept.h, w),
            );
            match &blocks.mlp {
                None => each(&mut kept.h, &kept.u, |h, u| h + u),
                Some([m1, c1, m2, c2]) => {
                    dense(
                        weights,
                        [m1, c1],
                        rows(&kept.u, w),
                        rows_mut(&mut kept.p, w),
                    );
                    activate(config.activation, &mut kept.p, &mut kept.q);
                    let mut h = rows_mut(&mut kept.h, w);
                    for (i, c) in c2.of(weights).iter().enumerate() {
                        h.as_mut().row_mut(i).iter_mut().for_each(|h| *h += *c);
                    }
                    product(h, Accum::Add, rows(m2.of(weights), w), rows(&kept.q, w));
                }
            }
            if l + 1 == config.layers {
                out.copy_from_slice(&kept.h);
            } else {
                activate(config.activation, &mut kept.h, out);
            }
            if config.kind == LayerKind::Residual {
                each(out, v, |out, v| out + v);
            }
        }
        let [p1, b1, p2, b2] = &layout.projection;
        let [a, z] = &mut work.project;
        dense(
            weights,
            [p1, b1],
            rows(&work.v[config.layers], w).subcols(0, n),
            rows_mut(a, HIDDEN),
        );
        activate(config.activation, a, z);
        dense(
            weights,
            [p2, b2],
            rows(z, HIDDEN),
            rows_mut(&mut work.y, layout.outputs),
        );
    }

    /// Adds to `gradient` that of the weights, for the gradient `d` of the output `[outputs][points]`; `work` is as [`forward`](Self::forward) left
    /// it for `x`.
    pub fn backward(&self, x: &[T], d: &[T], work: &mut Work<T>, gradient: &mut [T]) {
        let Pass {
            config,
            layout,
            grid,
            weights,
        } = self;
        let (w, n, k) = (config.width, grid.points, grid.modes);
        let [p1, b1, p2, b2] = &layout.projection;
        let d = rows(d, layout.outputs);
        dense_gradient(gradient, [p2, b2], rows(&work.project[1], HIDDEN), d);
        product(
            rows_mut(&mut work.hidden, HIDDEN),
            Accum::Replace,
            rows(p2.of(weights), layout.outputs).transpose(),
            d,
        );
        descend(&work.project[0], &mut work.hidden);
        let last = rows(&work.v[config.layers], w).subcols(0, n);
        dense_gradient(gradient, [p1, b1], last, rows(&work.hidden, HIDDEN));
        let [dv, below, inside] = &mut work.back;
        dv.fill(T::default());
        let hidden = rows(&work.hidden, HIDDEN);
        product(
            rows_mut(dv, w).subcols_mut(0, n),
            Accum::Replace,
            rows(p1.of(weights), HIDDEN).transpose(),
            hidden,
        );
        for (l, blocks) in layout.layers.iter().enumerate().rev() {
            let (v, kept) = (&work.v[l], &work.layers[l]);
            if config.kind == LayerKind::Residual {
                below.copy_from_slice(dv);
            } else {
                below.fill(T::default());
            }
            if l + 1 < config.layers {
                descend(&kept.h, dv);
            }
            let dh = rows(dv, w);
            dense_gradient(gradient, [&blocks.skip[0], &blocks.skip[1]], rows(v, w), dh);
            product(
                rows_mut(below, w),
                Accum::Add,
                rows(blocks.skip[0].of(weights), w).transpose(),
                dh,
            );
            if let Some([m1, c1, m2, c2]) = &blocks.mlp {
                dense_gradient(gradient, [m2, c2], rows(&kept.q, w), dh);
                product(
                    rows_mut(inside, w),
                    Accum::Replace,
                    rows(m2.of(weights), w).transpose(),
                    dh,
                );
                descend(&kept.p, inside);
                dense_gradient(gradient, [m1, c1], rows(&kept.u, w), rows(inside, w));
                product(
                    rows_mut(dv, w),
                    Accum::Replace,
                    rows(m1.of(weights), w).transpose(),
                    rows(inside, w),
                );
            }
            let [modes, modes_back] = &mut work.modes;
            product(
                rows_mut(modes, 2 * k).transpose_mut(),
                Accum::Replace,
                rows(dv, w),
                rows(&grid.back, 2 * k).transpose(),
            );
            dispatch(Unmix {
                spectral: blocks.spectral.of(weights),
                spectral_gradient: blocks.spectral.of_mut(gradient),
                modes: k,
                from: &kept.modes,
                d: modes,
                back: modes_back,
            });
            product(
                rows_mut(below, w),
                Accum::Add,
                rows(modes_back, 2 * k).transpose(),
                rows(&grid.forward, grid.padded).transpose(),
            );
            std::mem::swap(dv, below);
        }
        let [w1, b1, w2, b2] = &layout.lifting;
        // The padding is no output of the lifting.
        let inner: Vec<T> = dv
            .chunks_exact(grid.padded)
            .flat_map(|row| row[..n].iter().copied())
            .collect();
        let dv = rows(&inner, w);
        dense_gradient(gradient, [w2, b2], rows(&work.lift[1], HIDDEN), dv);
        product(
            rows_mut(&mut work.hidden, HIDDEN),
            Accum::Replace,
            rows(w2.of(weights), w).transpose(),
            dv,
        );
        descend(&work.lift[0], &mut work.hidden);
        dense_gradient(
            gradient,
            [w1, b1],
            rows(x, layout.inputs),
            rows(&work.hidden, HIDDEN),
        );
    }
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::sampling::{normal, stream};

    use super::*;

    /// The network by its formulas, one time and one mode after the other.
    fn naive(
        config: &FnoConfig,
        layout: &Layout,
        weights: &[f64],
        x: &[f64],
        points: usize,
    ) -> Vec<f64> {
        let apply = |[w, b]: [&Block; 2], x: &[Vec<f64>]| -> Vec<Vec<f64>> {
            let (w, b, from) = (w.of(weights), b.of(weights), x.len());
            let value = |i: usize, t: usize| {
                b[i] + (0..from).map(|j| w[i * from + j] * x[j][t]).sum::<f64>()
            };
            (0..b.len())
                .map(|i| (0..x[0].len()).map(|t| value(i, t)).collect())
                .collect()
        };
        let act = |x: Vec<Vec<f64>>| -> Vec<Vec<f64>> {
            x.into_iter()
                .map(|r| r.into_iter().map(|v| config.activation.at(v)[0]).collect())
                .collect()
        };
        let add = |a: Vec<Vec<f64>>, b: &[Vec<f64>]| -> Vec<Vec<f64>> {
            a.iter()
                .zip(b)
                .map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect())
                .collect()
        };
        let [w1, b1, w2, b2] = &layout.lifting;
        let input: Vec<Vec<f64>> = x.chunks(points).map(<[f64]>::to_vec).collect();
        let mut v = apply([w2, b2], &act(apply([w1, b1], &input)));
        let padded = points + (config.padding * points as f64).round() as usize;
        v.iter_mut().for_each(|row| row.resize(padded, 0.0));
        let w = config.width;
        for (l, blocks) in layout.layers.iter().enumerate() {
            let r = blocks.spectral.of(weights);
            let mut u = vec![vec![0.0; padded]; w];
            for m in 0..config.modes {
                let angle = |t: usize| std::f64::consts::TAU * (m * t) as f64 / padded as f64;
                let x: Vec<[f64; 2]> = v
                    .iter()
                    .map(|row| {
                        let part = |f: fn(f64) -> f64, sign: f64| {
                            row.iter()
                                .enumerate()
                                .map(|(t, v)| sign * v * f(angle(t)))
                                .sum::<f64>()
                        };
                        [part(f64::cos, 1.0), part(f64::sin, -1.0)]
                    })
                    .collect();
                for (i, u) in u.iter_mut().enumerate() {
                    let at = |part: usize, j: usize| r[((m * 2 + part) * w + j) * w + i];
                    let re: f64 = (0..w)
                        .map(|j| at(0, j) * x[j][0] - at(1, j) * x[j][1])
                        .sum();
                    let im: f64 = (0..w)
                        .map(|j| at(0, j) * x[j][1] + at(1, j) * x[j][0])
                        .sum();
                    let weight = if m == 0 || 2 * m == padded { 1.0 } else { 2.0 } / padded as f64;
                    u.iter_mut().enumerate().for_each(|(t, u)| {
                        *u += weight * (re * angle(t).cos() - im * angle(t).sin())
                    });
                }
            }
            let s = match &blocks.mlp {
                Some([m1, c1, m2, c2]) => apply([m2, c2], &act(apply([m1, c1], &u))),
                None => u,
            };
            let mut h = add(apply([&blocks.skip[0], &blocks.skip[1]], &v), &s);
            if l + 1 < config.layers {
                h = act(h);
            }
            v = if config.kind == LayerKind::Residual {
                add(h, &v)
            } else {
                h
            };
        }
        v.iter_mut().for_each(|row| row.truncate(points));
        let [p1, b1, p2, b2] = &layout.projection;
        apply([p2, b2], &act(apply([p1, b1], &v))).concat()
    }

    fn cases() -> Vec<FnoConfig> {
        let of = |kind, activation, padding| FnoConfig {
            width: 5,
            modes: 4,
            layers: 3,
            kind,
            activation,
            padding,
        };
        vec![
            of(LayerKind::Zongyi, Activation::Gelu, 0.1),
            of(LayerKind::Classic, Activation::Tanh, 0.0),
            of(LayerKind::Residual, Activation::Gelu, 0.25),
            of(LayerKind::Zongyi, Activation::LeakyRelu, 0.0),
            of(LayerKind::Classic, Activation::Relu, 0.1),
        ]
    }

    fn sample(n: usize) -> Vec<f64> {
        let mut rng = stream(3, "sample", 0);
        (0..n).map(|_| normal(&mut rng)).collect()
    }

    #[test]
    fn the_network_agrees_with_its_formulas_in_both_precisions() {
        for config in cases() {
            let layout = config.layout(2, 3);
            let weights = config.initial_weights(2, 3, 7);
            let x = sample(2 * 20);
            let want = naive(&config, &layout, &weights, &x, 20);
            let grid = Grid::new(20, config.padding, config.modes).unwrap();
            let mut work = Work::new(&config, &layout, &grid);
            Pass {
                config: &config,
                layout: &layout,
                grid: &grid,
                weights: &weights,
            }
            .forward(&x, &mut work);
            assert!(
                work.y.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-12),
                "{config:?}"
            );
            let single = |v: &[f64]| v.iter().map(|v| *v as f32).collect::<Vec<f32>>();
            let grid = Grid::new(20, config.padding, config.modes).unwrap();
            let mut work = Work::new(&config, &layout, &grid);
            Pass {
                config: &config,
                layout: &layout,
                grid: &grid,
                weights: &single(&weights),
            }
            .forward(&single(&x), &mut work);
            assert!(
                work.y
                    .iter()
                    .zip(&want)
                    .all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5),
                "{config:?}"
            );
        }
    }

    #[test]
    fn gradients_agree_with_differences() {
        for config in cases() {
            let layout = config.layout(2, 3);
            let mut weights = config.initial_weights(2, 3, 7);
            // Offsets too.
            let mut rng = stream(4, "offsets", 0);
            weights
                .iter_mut()
                .filter(|w| **w == 0.0)
                .for_each(|w| *w = 0.1 * normal(&mut rng));
            let (x, d) = (sample(2 * 20), sample(3 * 20));
            let grid = Grid::new(20, config.padding, config.modes).unwrap();
            let mut work = Work::new(&config, &layout, &grid);
            let mut gradient = vec![0.0; layout.count];
            let pass = Pass {
                config: &config,
                layout: &layout,
                grid: &grid,
                weights: &weights,
            };
            pass.forward(&x, &mut work);
            pass.backward(&x, &d, &mut work, &mut gradient);
            let mut value = |weights: &[f64]| -> f64 {
                Pass {
                    config: &config,
                    layout: &layout,
                    grid: &grid,
                    weights,
                }
                .forward(&x, &mut work);
                work.y.iter().zip(&d).map(|(y, d)| y * d).sum()
            };
            for k in (0..layout.count).step_by(7) {
                let mut moved = weights.clone();
                moved[k] += 1e-6;
                let up = value(&moved);
                moved[k] -= 2e-6;
                let difference = (up - value(&moved)) / 2e-6;
                let size = difference.abs().max(1.0);
                assert!(
                    (gradient[k] - difference).abs() < 1e-5 * size,
                    "{config:?} weight {k}: {} {difference}",
                    gradient[k]
                );
            }
        }
    }

    /// What PyTorch gives; the file is written by `benches/peers/fno.py oracle`.
    #[test]
    fn outputs_and_gradients_agree_with_pytorch() {
        #[derive(serde::Deserialize)]
        struct Case {
            config: FnoConfig,
            /// In units of 1/128.
            weights: Vec<f64>,
            x: Vec<f64>,
            d: Vec<f64>,
            y: Vec<f64>,
            /// Of every seventh weight, and the sum over all.
            gradient: Vec<f64>,
            sum: f64,
        }
        #[derive(serde::Deserialize)]
        struct File {
            cases: Vec<Case>,
        }
        let file: File =
            serde_json::from_str(include_str!("../../../tests/data/fno_pytorch.json")).unwrap();
        assert_eq!(file.cases.len(), 5);
        for Case {
            config,
            weights,
            x,
            d,
            y,
            gradient,
            sum,
        } in file.cases
        {
            let layout = config.layout(2, 3);
            let weights: Vec<f64> = weights.iter().map(|w| w / 128.0).collect();
            let grid = Grid::new(12, config.padding, config.modes).unwrap();
            let mut work = Work::new(&config, &layout, &grid);
            let mut ours = vec![0.0; layout.count];
            let pass = Pass {
                config: &config,
                layout: &layout,
                grid: &grid,
                weights: &weights,
            };
            pass.forward(&x, &mut work);
            pass.backward(&x, &d, &mut work, &mut ours);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-9 * b.abs().max(1.0);
            assert!(
                work.y.iter().zip(&y).all(|(a, b)| close(*a, *b)),
                "{config:?}"
            );
            assert_eq!(gradient.len(), layout.count.div_ceil(7));
            assert!(
                ours.iter()
                    .step_by(7)
                    .zip(&gradient)
                    .all(|(a, b)| close(*a, *b)),
                "{config:?}"
            );
            assert!(
                close(ours.iter().sum(), sum),
                "{config:?}: {} {sum}",
                ours.iter().sum::<f64>()
            );
        }
    }
}

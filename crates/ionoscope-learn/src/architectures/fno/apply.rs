//! The network in use: block after block of times, each of which stays in the first cache from a layer's input to its output. Only the modes need
//! all times of a layer, so a layer is one sweep over the blocks, which also gathers the modes for the next.
//!
//! Blocks are grouped into chunks whose number does not depend on the threads, and sums over chunks are taken in order: the same bits on any
//! number of threads. [`pass`](super::pass) computes the same for training, where everything is kept for the way back, and is the oracle here.

use rayon::prelude::*;

use super::{
    config::{Activation, FnoConfig, HIDDEN, LayerKind},
    grid::Grid,
    layout::{Block, LayerBlocks, Layout},
    scalar::{CUBIC, LEAK, ROOT},
};
use crate::{
    Result,
    kernels::{Backend, Kernel, LINE, LOG2_E_TWICE, Lanes, Line},
};

/// Times of a block.
const TIMES: usize = 32;
/// Rows of a matrix that are computed at once.
const ROWS: usize = 8;
/// Largest number of chunks, and so of threads that a single sample can use.
const CHUNKS: usize = 16;

/// A channel over the times of a block.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Row([f32; TIMES]);

const ZERO: Row = Row([0.0; TIMES]);
const NO_LINE: Line = Line([0.0; LINE]);

/// A matrix, `[group of rows][column][row in the group]`, the last group filled up with zeros.
#[derive(Debug, Clone, Default)]
struct Packed {
    columns: usize,
    values: Vec<[f32; ROWS]>,
}

impl Packed {
    /// From a matrix with `columns` columns whose elements `at` gives.
    fn set(&mut self, rows: usize, columns: usize, at: impl Fn(usize, usize) -> f32) {
        let value = |i: usize, j: usize| if i < rows { at(i, j) } else { 0.0 };
        self.columns = columns;
        self.values.clear();
        for group in 0..rows.div_ceil(ROWS) {
            self.values
                .extend((0..columns).map(|j| std::array::from_fn(|r| value(group * ROWS + r, j))));
        }
    }

    fn of(rows: usize, columns: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let mut packed = Packed::default();
        packed.set(rows, columns, at);
        packed
    }
}

/// W x + b.
struct Dense {
    weights: Packed,
    offsets: Packed,
}

impl Dense {
    fn of([w, b]: [&Block; 2], weights: &[f32]) -> Self {
        let (to, from) = (w.shape[0], w.shape[1]);
        let (w, b) = (w.of(weights), b.of(weights));
        Dense {
            weights: Packed::of(to, from, |i, j| w[i * from + j]),
            offsets: Packed::of(to, 1, |i, _| b[i]),
        }
    }
}

struct Layer<'a> {
    /// `[k][re, im][from][to]`
    spectral: &'a [f32],
    skip: Dense,
    mlp: Option<[Dense; 2]>,
}

/// A network made ready for a grid.
pub(crate) struct Apply<'a> {
    config: &'a FnoConfig,
    inputs: usize,
    outputs: usize,
    points: usize,
    blocks: usize,
    lifting: [Dense; 2],
    layers: Vec<Layer<'a>>,
    projection: [Dense; 2],
    /// `[block][time][2 k, in whole lines]`, zero beyond the padded grid.
    forward: Vec<Line>,
    /// `[block][2 k]`
    back: Vec<Row>,
    backend: Backend,
}

/// Some neighboring blocks, and what they need.
struct Chunk {
    first: usize,
    /// Channels of each block, `[block][width, in whole groups]`.
    v: Vec<Row>,
    /// Their modes, `[width, in whole groups][2 k, in whole lines]`.
    modes: Vec<Line>,
    /// The output, `[block][outputs, in whole groups]`.
    y: Vec<Row>,
    /// Between two layers of lifting, of projection, or of M.
    between: Vec<Row>,
    u: Vec<Row>,
    h: Vec<Row>,
}

/// Working memory for a sample.
pub(crate) struct Memory {
    chunks: Vec<Chunk>,
    /// Modes before and after their matrices, `[re then im, by mode][channel]`, and packed.
    modes: [Vec<f32>; 2],
    mixed: Packed,
}

fn groups(rows: usize) -> usize {
    rows.div_ceil(ROWS) * ROWS
}

impl<'a> Apply<'a> {
    pub fn new(
        config: &'a FnoConfig,
        layout: &Layout,
        weights: &'a [f32],
        points: usize,
    ) -> Result<Self> {
        let grid = Grid::<f32>::new(points, config.padding, config.modes)?;
        let (blocks, both) = (grid.padded.div_ceil(TIMES), 2 * config.modes);
        let wide = both.div_ceil(LINE);
        let mut forward = vec![NO_LINE; blocks * TIMES * wide];
        for (to, from) in forward
            .chunks_exact_mut(wide)
            .zip(grid.forward.chunks_exact(both))
        {
            to.iter_mut()
                .zip(from.chunks(LINE))
                .for_each(|(to, from)| to.0[..from.len()].copy_from_slice(from));
        }
        let mut back = vec![ZERO; blocks * both];
        for (c, row) in grid.back.chunks_exact(grid.padded).enumerate() {
            for (block, times) in row.chunks(TIMES).enumerate() {
                back[block * both + c].0[..times.len()].copy_from_slice(times);
            }
        }
        let two = |[w1, b1, w2, b2]: &[Block; 4]| {
            [Dense::of([w1, b1], weights), Dense::of([w2, b2], weights)]
        };
        let layer = |l: &LayerBlocks| Layer {
            spectral: l.spectral.of(weights),
            skip: Dense::of([&l.skip[0], &l.skip[1]], weights),
            mlp: l.mlp.as_ref().map(two),
        };
        Ok(Apply {
            config,
            inputs: layout.inputs,
            outputs: layout.outputs,
            points,
            blocks,
            lifting: two(&layout.lifting),
            layers: layout.layers.iter().map(layer).collect(),
            projection: two(&layout.projection),
            forward,
            back,
            backend: Backend::detect(),
        })
    }

    pub fn memory(&self) -> Memory {
        let count = self.blocks.min(CHUNKS);
        let (w, both) = (self.config.width, 2 * self.config.modes);
        let rows = groups(w);
        let of = |c: usize| {
            let [first, end] = [c, c + 1].map(|c| c * self.blocks / count);
            let blocks = end - first;
            Chunk {
                first,
                v: vec![ZERO; blocks * rows],
                modes: vec![NO_LINE; rows * both.div_ceil(LINE)],
                y: vec![ZERO; blocks * groups(self.outputs)],
                between: vec![ZERO; rows.max(groups(HIDDEN))],
                u: vec![ZERO; rows.max(self.inputs)],
                h: vec![ZERO; rows],
            }
        };
        Memory {
            chunks: (0..count).map(of).collect(),
            modes: [vec![0.0; both * w], vec![0.0; both * w]],
            mixed: Packed::default(),
        }
    }

    /// The output for `x`, `[inputs][points]`, handed to `put` as variable, first time, values; `parallel` spreads the sample over the current
    /// rayon pool.
    pub fn run(
        &self,
        x: &[f32],
        memory: &mut Memory,
        parallel: bool,
        mut put: impl FnMut(usize, usize, &[f32]),
    ) {
        let Memory {
            chunks,
            modes: [before, after],
            mixed,
        } = memory;
        let w = self.config.width;
        let both = 2 * self.config.modes;
        let wide = both.div_ceil(LINE);
        let each = |chunks: &mut [Chunk], layer: Option<usize>, mixed: &Packed| {
            let sweep = |chunk: &mut Chunk| {
                self.backend.run(Sweep {
                    apply: self,
                    x,
                    chunk,
                    layer,
                    mixed,
                })
            };
            if parallel {
                chunks.par_iter_mut().for_each(sweep)
            } else {
                chunks.iter_mut().for_each(sweep)
            }
        };
        each(chunks, None, mixed);
        for (l, layer) in self.layers.iter().enumerate() {
            for c in 0..both {
                for i in 0..w {
                    before[c * w + i] = chunks
                        .iter()
                        .map(|chunk| chunk.modes[i * wide + c / LINE].0[c % LINE])
                        .sum();
                }
            }
            self.mix(layer, before, after, parallel);
            mixed.set(w, both, |i, c| after[c * w + i]);
            each(chunks, Some(l), mixed);
        }
        let rows = groups(self.outputs);
        for chunk in chunks.iter() {
            for (b, block) in chunk.y.chunks_exact(rows).enumerate() {
                let first = ((chunk.first + b) * TIMES).min(self.points);
                let count = TIMES.min(self.points - first);
                block[..self.outputs]
                    .iter()
                    .enumerate()
                    .for_each(|(c, row)| put(c, first, &row.0[..count]));
            }
        }
    }

    /// The matrices of all modes applied, both sides `[re then im, by mode][channel]`.
    fn mix(&self, layer: &Layer, from: &[f32], to: &mut [f32], parallel: bool) {
        let (w, modes) = (self.config.width, self.config.modes);
        let (x_re, x_im) = from.split_at(modes * w);
        let (y_re, y_im) = to.split_at_mut(modes * w);
        let one = |(m, (y_re, y_im)): (usize, (&mut [f32], &mut [f32]))| {
            let matrix = &layer.spectral[m * 2 * w * w..(m + 1) * 2 * w * w];
            let at = m * w..(m + 1) * w;
            self.backend.run(Mix {
                matrix,
                x: [&x_re[at.clone()], &x_im[at]],
                y: [y_re, y_im],
            });
        };
        if parallel {
            y_re.par_chunks_exact_mut(w)
                .zip(y_im.par_chunks_exact_mut(w))
                .enumerate()
                .with_min_len(4)
                .for_each(one);
        } else {
            y_re.chunks_exact_mut(w)
                .zip(y_im.chunks_exact_mut(w))
                .enumerate()
                .for_each(one);
        }
    }
}

/// out = offsets + sum of a x over all `terms`, for whole groups of rows.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn products<L: Lanes, const V: usize>(
    offsets: &[&Packed],
    terms: &[(&Packed, &[Row])],
    out: &mut [Row],
) {
    let step = V * L::WIDTH;
    for (g, out) in out.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
        for from in (0..TIMES).step_by(step) {
            // SAFETY: rows hold TIMES numbers, a multiple of V vectors, and are aligned to a line.
            unsafe {
                let mut sums = [[L::splat(0.0); V]; ROWS];
                for b in offsets {
                    for r in 0..ROWS {
                        for c in 0..V {
                            sums[r][c] = sums[r][c].add(L::splat(b.values[g][r]));
                        }
                    }
                }
                for (a, x) in terms {
                    for (a, x) in a.values[g * a.columns..(g + 1) * a.columns]
                        .iter()
                        .zip(&x[..a.columns])
                    {
                        let mut vectors = [L::splat(0.0); V];
                        for c in 0..V {
                            vectors[c] = L::load(x.0.as_ptr().add(from + c * L::WIDTH));
                        }
                        for r in 0..ROWS {
                            let a = L::splat(a[r]);
                            for c in 0..V {
                                sums[r][c] = a.mul_add(vectors[c], sums[r][c]);
                            }
                        }
                    }
                }
                for r in 0..ROWS {
                    for c in 0..V {
                        sums[r][c].store(out[r].0.as_mut_ptr().add(from + c * L::WIDTH));
                    }
                }
            }
        }
    }
}

/// modes += v F for a group of channels of a block, `N` vectors of columns from `from` on.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn gather<L: Lanes, const N: usize>(
    v: &[Row; ROWS],
    forward: &[Line],
    from: usize,
    modes: &mut [Line],
) {
    let wide = modes.len() / ROWS;
    assert!(forward.len() == TIMES * wide && from + N * L::WIDTH <= wide * LINE);
    // SAFETY: the lengths were just checked; lines are aligned, and `from` is a multiple of the vectors' width.
    unsafe {
        let modes = modes.as_mut_ptr().cast::<f32>().add(from);
        let forward = forward.as_ptr().cast::<f32>().add(from);
        let mut sums = [[L::splat(0.0); N]; ROWS];
        for r in 0..ROWS {
            for c in 0..N {
                sums[r][c] = L::load(modes.add(r * wide * LINE + c * L::WIDTH));
            }
        }
        for t in 0..TIMES {
            let mut vectors = [L::splat(0.0); N];
            for c in 0..N {
                vectors[c] = L::load(forward.add(t * wide * LINE + c * L::WIDTH));
            }
            for r in 0..ROWS {
                let a = L::splat(v[r].0[t]);
                for c in 0..N {
                    sums[r][c] = a.mul_add(vectors[c], sums[r][c]);
                }
            }
        }
        for r in 0..ROWS {
            for c in 0..N {
                sums[r][c].store(modes.add(r * wide * LINE + c * L::WIDTH));
            }
        }
    }
}

/// x = act(x)
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn activate<L: Lanes>(activation: Activation, rows: &mut [Row]) {
    /// Vectors that go through the gates side by side.
    const N: usize = 4;
    let vectors = rows.len() * TIMES / L::WIDTH;
    assert!(vectors.is_multiple_of(N));
    let x = rows.as_mut_ptr().cast::<f32>();
    // SAFETY: all vectors lie within the rows, which are aligned.
    unsafe {
        let constants = L::constants();
        let (one, two) = (L::splat(1.0), L::splat(2.0));
        let slope = -LOG2_E_TWICE * ROOT;
        let (slope, cubic) = (L::splat(slope as f32), L::splat((slope * CUBIC) as f32));
        for i in (0..vectors).step_by(N) {
            let mut z = [one; N];
            for k in 0..N {
                z[k] = L::load(x.add((i + k) * L::WIDTH));
            }
            let mut gates = z;
            match activation {
                Activation::Tanh => {
                    for k in 0..N {
                        gates[k] = z[k].mul(L::splat(LOG2_E_TWICE as f32));
                    }
                    L::gates(&mut gates, &constants);
                    for k in 0..N {
                        gates[k] = gates[k].neg_mul_add(two, one);
                    }
                }
                Activation::Gelu => {
                    for k in 0..N {
                        gates[k] = z[k].mul(z[k].mul(z[k]).mul_add(cubic, slope));
                    }
                    L::gates(&mut gates, &constants);
                    for k in 0..N {
                        gates[k] = gates[k].mul(z[k]);
                    }
                }
                Activation::Relu | Activation::LeakyRelu => break,
            }
            for k in 0..N {
                gates[k].store(x.add((i + k) * L::WIDTH));
            }
        }
    }
    if let Activation::Relu | Activation::LeakyRelu = activation {
        let slope = if activation == Activation::Relu {
            0.0
        } else {
            LEAK as f32
        };
        rows.iter_mut()
            .flat_map(|row| &mut row.0)
            .for_each(|x| *x = if *x > 0.0 { *x } else { slope * *x });
    }
}

/// One sweep over a chunk: the lifting, or a layer; after the last layer the projection.
struct Sweep<'a> {
    apply: &'a Apply<'a>,
    x: &'a [f32],
    chunk: &'a mut Chunk,
    layer: Option<usize>,
    mixed: &'a Packed,
}

impl Kernel for Sweep<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes, const V: usize>(self) {
        let Sweep {
            apply,
            x,
            chunk,
            layer,
            mixed,
        } = self;
        let Apply { config, points, .. } = apply;
        let Chunk {
            first,
            v,
            modes,
            y,
            between,
            u,
            h,
        } = chunk;
        let (rows, both) = (groups(config.width), 2 * config.modes);
        let (wide, out_rows) = (both.div_ceil(LINE), groups(apply.outputs));
        let last = layer.is_some_and(|l| l + 1 == config.layers);
        // SAFETY: the caller answers for the instruction set.
        unsafe {
            modes.fill(NO_LINE);
            for (b, v) in v.chunks_exact_mut(rows).enumerate() {
                let block = *first + b;
                match layer {
                    None => {
                        let begin = (block * TIMES).min(*points);
                        let count = TIMES.min(points - begin);
                        for (i, row) in u[..apply.inputs].iter_mut().enumerate() {
                            row.0.fill(0.0);
                            row.0[..count].copy_from_slice(&x[i * points + begin..][..count]);
                        }
                        let [one, two] = &apply.lifting;
                        let between = &mut between[..groups(HIDDEN)];
                        products::<L, V>(&[&one.offsets], &[(&one.weights, u)], between);
                        activate::<L>(config.activation, between);
                        products::<L, V>(&[&two.offsets], &[(&two.weights, between)], v);
                        // The padding is zero.
                        v.iter_mut().for_each(|row| row.0[count..].fill(0.0));
                    }
                    Some(l) => {
                        let (layer, back) = (
                            &apply.layers[l],
                            &apply.back[block * both..(block + 1) * both],
                        );
                        match &layer.mlp {
                            None => products::<L, V>(
                                &[&layer.skip.offsets],
                                &[(&layer.skip.weights, v), (mixed, back)],
                                h,
                            ),
                            Some([one, two]) => {
                                let between = &mut between[..rows];
                                products::<L, V>(&[], &[(mixed, back)], &mut u[..rows]);
                                products::<L, V>(&[&one.offsets], &[(&one.weights, u)], between);
                                activate::<L>(config.activation, between);
                                let terms =
                                    &[(&layer.skip.weights, &*v), (&two.weights, &*between)];
                                products::<L, V>(&[&layer.skip.offsets, &two.offsets], terms, h);
                            }
                        }
                        if !last {
                            activate::<L>(config.activation, h);
                        }
                        if config.kind == LayerKind::Residual {
                            v.iter_mut()
                                .zip(&*h)
                                .for_each(|(v, h)| (0..TIMES).for_each(|t| v.0[t] += h.0[t]));
                        } else {
                            v.copy_from_slice(h);
                        }
                    }
                }
                if last {
                    let [one, two] = &apply.projection;
                    let between = &mut between[..groups(HIDDEN)];
                    products::<L, V>(&[&one.offsets], &[(&one.weights, v)], between);
                    activate::<L>(config.activation, between);
                    products::<L, V>(
                        &[&two.offsets],
                        &[(&two.weights, between)],
                        &mut y[b * out_rows..(b + 1) * out_rows],
                    );
                } else {
                    let forward = &apply.forward[block * TIMES * wide..(block + 1) * TIMES * wide];
                    for (v, modes) in v
                        .as_chunks::<ROWS>()
                        .0
                        .iter()
                        .zip(modes.chunks_exact_mut(ROWS * wide))
                    {
                        let (mut from, end) = (0, wide * LINE);
                        while from + V * L::WIDTH <= end {
                            gather::<L, V>(v, forward, from, modes);
                            from += V * L::WIDTH;
                        }
                        // With two vectors to a step, one may be left.
                        if from < end {
                            gather::<L, 1>(v, forward, from, modes);
                        }
                    }
                }
            }
        }
    }
}

/// y = R x for a mode.
struct Mix<'a> {
    /// `[re, im][from][to]`
    matrix: &'a [f32],
    x: [&'a [f32]; 2],
    y: [&'a mut [f32]; 2],
}

impl Kernel for Mix<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes, const V: usize>(self) {
        let Mix {
            matrix,
            x: [x_re, x_im],
            y: [y_re, y_im],
        } = self;
        let w = x_re.len();
        let (re, im) = matrix.split_at(w * w);
        y_re.fill(0.0);
        y_im.fill(0.0);
        for (((a, b), re), im) in x_re
            .iter()
            .zip(x_im)
            .zip(re.chunks_exact(w))
            .zip(im.chunks_exact(w))
        {
            for (((y_re, y_im), re), im) in y_re.iter_mut().zip(y_im.iter_mut()).zip(re).zip(im) {
                *y_re += re * a - im * b;
                *y_im += re * b + im * a;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::sampling::{normal, stream};

    use super::{
        super::pass::{Pass, Work},
        *,
    };

    /// All layers, activations and instruction sets; widths, modes and grids that fill their groups and blocks and that do not.
    #[test]
    fn the_network_in_use_is_the_one_that_was_trained_on_any_number_of_threads() {
        let of = |kind, activation, padding, width, modes| FnoConfig {
            width,
            modes,
            layers: 3,
            kind,
            activation,
            padding,
        };
        let configs = [
            of(LayerKind::Zongyi, Activation::Gelu, 0.01, 64, 12),
            of(LayerKind::Classic, Activation::Tanh, 0.0, 5, 4),
            of(LayerKind::Residual, Activation::Gelu, 0.25, 19, 20),
            of(LayerKind::Zongyi, Activation::LeakyRelu, 0.1, 9, 1),
            of(LayerKind::Classic, Activation::Relu, 0.1, 32, 48),
        ];
        for config in configs {
            for (points, inputs, outputs) in [(100, 2, 3), (64, 3, 9), (700, 46, 41)] {
                if 2 * config.modes > points {
                    continue;
                }
                let layout = config.layout(inputs, outputs);
                let weights = config.initial_weights(inputs, outputs, 7);
                let mut rng = stream(3, "sample", 0);
                let x: Vec<f64> = (0..inputs * points).map(|_| normal(&mut rng)).collect();
                let grid = Grid::new(points, config.padding, config.modes).unwrap();
                let mut work = Work::new(&config, &layout, &grid);
                Pass {
                    config: &config,
                    layout: &layout,
                    grid: &grid,
                    weights: &weights,
                }
                .forward(&x, &mut work);
                let single = |v: &[f64]| v.iter().map(|v| *v as f32).collect::<Vec<f32>>();
                let (weights, x) = (single(&weights), single(&x));
                for backend in Backend::available() {
                    let apply = Apply {
                        backend,
                        ..Apply::new(&config, &layout, &weights, points).unwrap()
                    };
                    let mut memory = apply.memory();
                    let mut run = |parallel: bool| {
                        let mut y = vec![f32::NAN; outputs * points];
                        apply.run(&x, &mut memory, parallel, |c, t, values| {
                            y[c * points + t..][..values.len()].copy_from_slice(values)
                        });
                        y
                    };
                    let (alone, spread) = (run(false), run(true));
                    assert_eq!(alone, spread);
                    let worst = alone
                        .iter()
                        .zip(&work.y)
                        .map(|(a, b)| (f64::from(*a) - b).abs())
                        .fold(0.0, f64::max);
                    assert!(
                        worst < 2e-5,
                        "{config:?} {points} {} {worst}",
                        backend.name()
                    );
                }
            }
        }
    }
}

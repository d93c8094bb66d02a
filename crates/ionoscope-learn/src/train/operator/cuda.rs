//! Training on a GPU: the same passes, loss and steps as on the CPU, with single precision where it has single precision, all samples of a batch
//! at once. Weights, moments and data stay on the GPU during an epoch.
//!
//! What a layer of the network keeps for the way back is `[sample][channel][time]`, modes are `[sample][re then im, by mode][channel]`.

use launch::{Buffer, Finish, Gpu, Matrix, NULL, Pointer};
use memory::{Group, Samples, Tables, Weights, Work, bytes, groups};

use super::{
    config::{OperatorConfig, Optimizer},
    engine::{self, Engine, Epoch, Moving, batch, batch_behind, batches},
    loss::{Problem, Set},
};
use crate::{
    Error, Result,
    architectures::fno::{Activation, Block, HIDDEN, LayerKind},
    train::muon::{self, Muon},
};

mod launch;
mod memory;

/// Times that a block sums over when it makes a gradient; longer rows are cut, so that small batches fill a GPU too.
const CHUNK: usize = 256;
/// Most chunks of a row.
const MOST_SPLITS: usize = 8;
/// Most samples of a batch: what the third axis of a grid of blocks can hold.
const MOST_BATCH: usize = 65_535 / MOST_SPLITS;

/// Whether there is a GPU.
pub(super) fn check() -> Result<()> {
    launch::context().map(|_| ())
}

/// A GPU that trains one network.
pub(super) struct Cuda<'a> {
    gpu: Gpu,
    problem: &'a Problem,
    config: &'a OperatorConfig,
    training: Samples,
    validation: Samples,
    tables: Tables,
    work: Work,
    weights: Weights,
    groups: Vec<Group>,
    /// What Adam moves beside them.
    rest: Vec<std::ops::Range<usize>>,
    /// Ranges of weights that are not spectral, and where they begin among these.
    plain: Vec<(std::ops::Range<usize>, usize)>,
    /// Their number.
    plain_count: usize,
    /// Chunks of a row.
    splits: usize,
}

impl<'a> Cuda<'a> {
    /// Opens the GPU and takes the data there.
    ///
    /// # Errors
    /// No GPU, or one with too little memory.
    pub fn new(
        problem: &'a Problem,
        config: &'a OperatorConfig,
        training: &Set,
        validation: &Set,
    ) -> Result<Self> {
        let gpu = Gpu::open()?;
        let (layout, grid) = (&problem.layout, &problem.grid);
        let largest = training
            .inputs
            .len()
            .div_ceil(batches(training.inputs.len(), config));
        if largest > MOST_BATCH {
            return Err(Error::Invalid(format!(
                "adam.batch = {largest}; on a GPU at most {MOST_BATCH}"
            )));
        }
        let mut plain = Vec::new();
        let (mut next, mut plain_count) = (0, 0);
        for start in layout
            .layers
            .iter()
            .map(|l| l.spectral.start)
            .chain([layout.count])
        {
            plain.push((next..start, plain_count));
            plain_count += start - next;
            next = start + layout.layers.first().map_or(0, |l| l.spectral.len());
        }
        let splits = (grid.points / CHUNK).clamp(1, MOST_SPLITS);
        let (needed, free) = (
            bytes(
                problem,
                config,
                [training, validation],
                largest,
                plain_count,
                splits,
            ),
            gpu.free()?,
        );
        if needed > free {
            return Err(Error::Invalid(format!(
                "this training takes {:.3} GiB of the GPU's memory, of which {:.3} are free; take a smaller adam.batch, fewer samples or points, or a \
                 smaller network",
                needed as f64 / f64::from(1 << 30),
                free as f64 / f64::from(1 << 30)
            )));
        }
        let work = Work::new(&gpu, problem, config, largest, splits * plain_count)?;
        let muon = (config.optimizer == Optimizer::Muon).then(|| Muon::new(layout));
        let groups = muon
            .as_ref()
            .map_or(Ok(Vec::new()), |muon| groups(&gpu, muon))?;
        let rest = muon.map_or_else(
            || std::iter::once(0..layout.count).collect(),
            |muon| muon.rest().to_vec(),
        );
        let (tables, weights) = (
            Tables::new(&gpu, problem)?,
            Weights::new(&gpu, layout.count)?,
        );
        let (training, validation) = (
            Samples::new(&gpu, training, layout)?,
            Samples::new(&gpu, validation, layout)?,
        );
        Ok(Cuda {
            gpu,
            problem,
            config,
            training,
            validation,
            tables,
            work,
            weights,
            groups,
            rest,
            plain,
            plain_count,
            splits,
        })
    }

    /// A matrix of weights.
    fn matrix(&self, block: &Block) -> Matrix {
        Matrix::rows(
            self.weights.single.from(block.start),
            block.len() / block.shape[0],
        )
    }

    /// out = W x + b of `members` samples, and what [`Finish`] says.
    fn dense(
        &self,
        [w, b]: [&Block; 2],
        x: Matrix,
        out: Matrix,
        columns: usize,
        members: usize,
        finish: Finish,
    ) -> Result<()> {
        let [to, from] = [w.shape[0], w.shape[1]];
        let finish = Finish {
            bias: self.weights.single.from(b.start),
            ..finish
        };
        self.gpu
            .product(out, self.matrix(w), x, [to, columns, from], members, finish)
    }

    /// out = W' d, and what [`Finish`] says.
    fn down(
        &self,
        w: &Block,
        d: Matrix,
        out: Matrix,
        columns: usize,
        members: usize,
        finish: Finish,
    ) -> Result<()> {
        let [to, from] = [w.shape[0], w.shape[1]];
        self.gpu.product(
            out,
            self.matrix(w).transposed(),
            d,
            [from, columns, to],
            members,
            finish,
        )
    }

    /// Gradients of W and b from that of the output, `d`, into the parts.
    fn dense_gradient(
        &self,
        [w, b]: [&Block; 2],
        x: Matrix,
        d: Matrix,
        columns: usize,
        members: usize,
    ) -> Result<()> {
        let [to, from] = [w.shape[0], w.shape[1]];
        let (splits, plain) = (self.splits, self.plain_count);
        let at = |block: &Block| {
            let range = self
                .plain
                .iter()
                .rfind(|p| p.0.start <= block.start)
                .map_or(0, |p| p.1 + block.start - p.0.start);
            self.work.parts.from(range)
        };
        let out = Matrix::rows(at(w), from).every(plain);
        self.gpu.product(
            out,
            d,
            x.transposed(),
            [to, from, columns],
            members,
            Finish {
                splits,
                ..Finish::default()
            },
        )?;
        // The other chunks of a sample stay zero there.
        let to_batch = (splits * plain) as i64;
        let sums = launch::RowSums {
            d: d.at,
            to: at(b),
            row: d.row as i64,
            batch: d.batch as i64,
            to_batch,
            columns: columns as i32,
        };
        self.gpu.row_sums(sums, to, members)
    }

    fn mix_of(
        &self,
        l: usize,
        from: &Buffer<f32>,
        d: Pointer,
        to: Pointer,
        members: usize,
    ) -> launch::Mix {
        let spectral = self
            .weights
            .single
            .from(self.problem.layout.layers[l].spectral.start);
        let network = &self.config.network;
        launch::Mix {
            spectral,
            from: from.at,
            d,
            to,
            width: network.width as i32,
            modes: network.modes as i32,
            samples: members as i32,
        }
    }

    /// The output for samples of a set, into `work.y`; `order` holds their numbers.
    fn forward(&self, set: &Samples, order: Pointer, members: usize) -> Result<()> {
        let (layout, grid, network, work) = (
            &self.problem.layout,
            &self.problem.grid,
            &self.config.network,
            &self.work,
        );
        let (w, n, full, k) = (network.width, grid.points, grid.padded, grid.modes);
        let rows = |b: &Buffer<f32>, rows: usize, columns: usize| {
            Matrix::rows(b.at, columns).every(rows * columns)
        };
        let wide = |b: &Buffer<f32>| rows(b, w, full);
        let activation = match network.activation {
            Activation::Tanh => 1,
            Activation::Relu => 2,
            Activation::Gelu => 3,
            Activation::LeakyRelu => 4,
        };
        let active = |slope: &Buffer<f32>| Finish {
            activation,
            slope: slope.at,
            ..Finish::default()
        };
        let plain = Finish::default();
        let inputs = launch::Gather {
            inputs: set.inputs.at,
            order,
            x: work.x.at,
            length: (layout.inputs * n) as i64,
        };
        self.gpu.gather(inputs, members)?;
        let [w1, b1, w2, b2] = &layout.lifting;
        let [slope, z] = &work.lift;
        self.dense(
            [w1, b1],
            rows(&work.x, layout.inputs, n),
            rows(z, HIDDEN, n),
            n,
            members,
            active(slope),
        )?;
        // The padding of the first layer's input is never written, and zero.
        self.dense(
            [w2, b2],
            rows(z, HIDDEN, n),
            wide(&work.v[0]),
            n,
            members,
            plain,
        )?;
        for (l, blocks) in layout.layers.iter().enumerate() {
            let (v, out, kept) = (&work.v[l], &work.v[l + 1], &work.layers[l]);
            let modes = |b: &Buffer<f32>| Matrix {
                at: b.at,
                row: 1,
                column: w,
                batch: 2 * k * w,
            };
            self.gpu.product(
                modes(&kept.modes),
                wide(v),
                Matrix::rows(self.tables.forward.at, 2 * k),
                [w, 2 * k, full],
                members,
                plain,
            )?;
            self.gpu
                .mix(self.mix_of(l, &kept.modes, NULL, work.modes[0].at, members))?;
            let back = Matrix::rows(self.tables.back.at, full);
            self.gpu.product(
                wide(&kept.u),
                modes(&work.modes[0]),
                back,
                [w, full, 2 * k],
                members,
                plain,
            )?;
            let last = l + 1 == network.layers;
            let mut finish = if last { plain } else { active(&kept.h) };
            if network.kind == LayerKind::Residual {
                finish.after = v.at;
            }
            let skip = [&blocks.skip[0], &blocks.skip[1]];
            match &blocks.mlp {
                None => self.dense(
                    skip,
                    wide(v),
                    wide(out),
                    full,
                    members,
                    Finish {
                        add: kept.u.at,
                        ..finish
                    },
                )?,
                Some([m1, c1, m2, c2]) => {
                    self.dense(skip, wide(v), wide(&kept.h), full, members, plain)?;
                    self.dense(
                        [m1, c1],
                        wide(&kept.u),
                        wide(&kept.q),
                        full,
                        members,
                        active(&kept.p),
                    )?;
                    self.dense(
                        [m2, c2],
                        wide(&kept.q),
                        wide(out),
                        full,
                        members,
                        Finish {
                            add: kept.h.at,
                            ..finish
                        },
                    )?;
                }
            }
        }
        let [p1, b1, p2, b2] = &layout.projection;
        let [slope, z] = &work.project;
        self.dense(
            [p1, b1],
            wide(&work.v[network.layers]),
            rows(z, HIDDEN, n),
            n,
            members,
            active(slope),
        )?;
        self.dense(
            [p2, b2],
            rows(z, HIDDEN, n),
            rows(&work.y, layout.outputs, n),
            n,
            members,
            plain,
        )
    }

    /// Losses of the samples, to `losses`, and for a step the gradient by the output.
    fn loss(
        &self,
        set: &Samples,
        [order, losses]: [Pointer; 2],
        d: Pointer,
        members: usize,
    ) -> Result<()> {
        let (problem, tables) = (self.problem, &self.tables);
        let part = &problem.weights;
        let loss = launch::Loss {
            y: self.work.y.at,
            x: set.x.at,
            base: tables.base.as_ref().map_or(NULL, |b| b.at),
            gain: tables.gain.at,
            scale: tables.scale.at,
            size: set.size.at,
            order,
            d,
            losses,
            points: problem.grid.points as i32,
            variables: problem.layout.outputs as i32,
            normalized: part.normalized as f32,
            physical: part.physical as f32,
            slope: part.slope as f32,
        };
        self.gpu.loss(loss, members)
    }

    /// The mean gradient of the weights over the samples that [`forward`](Self::forward) left in the work, from the gradients `work.d` of the output.
    fn backward(&mut self, members: usize) -> Result<()> {
        self.gpu.clear(&mut self.work.back[0])?;
        let (layout, grid, network, work) = (
            &self.problem.layout,
            &self.problem.grid,
            &self.config.network,
            &self.work,
        );
        let (w, n, full, k) = (network.width, grid.points, grid.padded, grid.modes);
        let rows = |b: &Buffer<f32>, rows: usize, columns: usize| {
            Matrix::rows(b.at, columns).every(rows * columns)
        };
        let wide = |b: &Buffer<f32>| rows(b, w, full);
        let times = |slope: &Buffer<f32>| Finish {
            times: slope.at,
            ..Finish::default()
        };
        let plain = Finish::default();
        let [p1, b1, p2, b2] = &layout.projection;
        let (d, hidden) = (
            rows(&work.d, layout.outputs, n),
            rows(&work.hidden, HIDDEN, n),
        );
        self.dense_gradient([p2, b2], rows(&work.project[1], HIDDEN, n), d, n, members)?;
        self.down(p2, d, hidden, n, members, times(&work.project[0]))?;
        self.dense_gradient([p1, b1], wide(&work.v[network.layers]), hidden, n, members)?;
        let [dv, below, dh, inside] = &work.back;
        let (mut dv, mut below) = (dv, below);
        self.down(p1, hidden, wide(dv), n, members, plain)?;
        for (l, blocks) in layout.layers.iter().enumerate().rev() {
            let (v, kept) = (&work.v[l], &work.layers[l]);
            let mut by_h = dv;
            if l + 1 < network.layers {
                by_h = dh;
                self.gpu.multiply(launch::Multiply {
                    a: dv.at,
                    b: kept.h.at,
                    c: dh.at,
                    length: (members * w * full) as i64,
                })?;
            }
            self.dense_gradient(
                [&blocks.skip[0], &blocks.skip[1]],
                wide(v),
                wide(by_h),
                full,
                members,
            )?;
            let add = if network.kind == LayerKind::Residual {
                dv.at
            } else {
                NULL
            };
            self.down(
                &blocks.skip[0],
                wide(by_h),
                wide(below),
                full,
                members,
                Finish { add, ..plain },
            )?;
            let mut by_u = by_h;
            if let Some([m1, c1, m2, c2]) = &blocks.mlp {
                self.dense_gradient([m2, c2], wide(&kept.q), wide(by_h), full, members)?;
                self.down(m2, wide(by_h), wide(inside), full, members, times(&kept.p))?;
                self.dense_gradient([m1, c1], wide(&kept.u), wide(inside), full, members)?;
                by_u = dv;
                self.down(m1, wide(inside), wide(by_u), full, members, plain)?;
            }
            let modes = |b: &Buffer<f32>| Matrix {
                at: b.at,
                row: 1,
                column: w,
                batch: 2 * k * w,
            };
            let [d_modes, back_modes] = &work.modes;
            let back = Matrix::rows(self.tables.back.at, full).transposed();
            self.gpu.product(
                modes(d_modes),
                wide(by_u),
                back,
                [w, 2 * k, full],
                members,
                plain,
            )?;
            let spectral = work.spectral.from(blocks.spectral.start);
            self.gpu
                .unmix_matrices(self.mix_of(l, &kept.modes, d_modes.at, spectral, members))?;
            self.gpu
                .unmix(self.mix_of(l, &kept.modes, d_modes.at, back_modes.at, members))?;
            let forward = Matrix::rows(self.tables.forward.at, 2 * k).transposed();
            let add = Finish {
                add: below.at,
                ..plain
            };
            self.gpu.product(
                wide(below),
                modes(back_modes),
                forward,
                [w, full, 2 * k],
                members,
                add,
            )?;
            std::mem::swap(&mut dv, &mut below);
        }
        let [w1, b1, w2, b2] = &layout.lifting;
        // The padding is no output of the lifting.
        self.dense_gradient(
            [w2, b2],
            rows(&work.lift[1], HIDDEN, n),
            wide(dv),
            n,
            members,
        )?;
        self.down(w2, wide(dv), hidden, n, members, times(&work.lift[0]))?;
        self.dense_gradient(
            [w1, b1],
            rows(&work.x, layout.inputs, n),
            hidden,
            n,
            members,
        )?;
        let (share, gradient) = (1.0 / members as f64, &self.weights.gradient);
        let reduce = |parts: Pointer, start: usize, length: usize, [count, stride]: [usize; 2]| {
            let (stride, length) = (stride as i64, length as i64);
            self.gpu.reduce(launch::Reduce {
                parts,
                gradient: gradient.from(start),
                stride,
                length,
                count: count as i32,
                share,
            })
        };
        for (range, at) in &self.plain {
            reduce(
                work.parts.from(*at),
                range.start,
                range.len(),
                [members * self.splits, self.plain_count],
            )?;
        }
        for spectral in layout.layers.iter().map(|l| &l.spectral) {
            reduce(
                work.spectral.from(spectral.start),
                spectral.start,
                spectral.len(),
                [1, 0],
            )?;
        }
        Ok(())
    }

    /// Moves the weights against the gradient; `step` steps were made before, `batch` counts those of this epoch from 1.
    fn step(&mut self, step: u64, per_epoch: u64, batch: usize) -> Result<()> {
        let (config, weights, gpu) = (&self.config.adam, &self.weights, &self.gpu);
        let count = self.problem.layout.count;
        let (gradient, status) = (weights.gradient.at, weights.status.at);
        let (partial, clip) = (weights.partial.at, self.config.clip);
        gpu.clip(launch::Clip {
            gradient,
            partial,
            status,
            length: count as i64,
            batch: batch as i64,
            clip,
        })?;
        let parts = config.step(step, per_epoch);
        for group in &mut self.groups {
            let [rows, columns] = [group.rows, group.columns];
            let arguments = |x: Pointer| launch::Muon {
                weights: weights.weights.at,
                first: weights.first.at,
                gradient,
                status,
                starts: group.starts.at,
                x,
                length: (rows * columns) as i64,
                momentum: muon::MOMENTUM,
                size: muon::size(rows, columns),
                rate: parts.rate,
                weight_decay: parts.weight_decay,
            };
            gpu.muon_ahead(arguments(group.x.at), group.count)?;
            let (n, long, wide) = (rows.min(columns), rows.max(columns), rows <= columns);
            let [a, b, c] = muon::QUINTIC;
            let (mut x, mut next) = (group.x.at, group.next.at);
            for _ in 0..muon::ROUNDS {
                let m = |at: Pointer| Matrix::rows(at, columns).every(rows * columns);
                let [gram, square] =
                    [&group.gram, &group.square].map(|b| Matrix::rows(b.at, n).every(n * n));
                let [left, right] = if wide {
                    [m(x), m(x).transposed()]
                } else {
                    [m(x).transposed(), m(x)]
                };
                gpu.product(
                    gram,
                    left,
                    right,
                    [n, n, long],
                    group.count,
                    Finish::default(),
                )?;
                let finish = Finish {
                    scale: c,
                    gain: b,
                    add: gram.at,
                    ..Finish::default()
                };
                gpu.product(square, gram, gram, [n, n, n], group.count, finish)?;
                let [left, right] = if wide { [square, m(x)] } else { [m(x), square] };
                let finish = Finish {
                    gain: a,
                    add: x,
                    ..Finish::default()
                };
                gpu.product(
                    m(next),
                    left,
                    right,
                    [rows, columns, n],
                    group.count,
                    finish,
                )?;
                std::mem::swap(&mut x, &mut next);
            }
            gpu.muon_step(arguments(x), group.count)?;
        }
        for range in &self.rest {
            let at = range.start;
            gpu.adam(launch::Adam {
                weights: weights.weights.from(at),
                first: weights.first.from(at),
                second: weights.second.from(at),
                gradient: weights.gradient.from(at),
                status,
                length: range.len() as i64,
                rate: parts.rate,
                beta1: parts.beta1,
                beta2: parts.beta2,
                epsilon: parts.epsilon,
                weight_decay: parts.weight_decay,
                correction1: parts.correction1,
                correction2: parts.correction2,
            })?;
        }
        let kept = engine::kept(self.config, step + 1);
        let (average, single) = (weights.average.at, weights.single.at);
        gpu.average(launch::Average {
            weights: weights.weights.at,
            average,
            single,
            status,
            length: count as i64,
            kept,
        })
    }

    /// The losses `[sample][variable]`, in the order in which the samples came.
    fn losses(&self, set: &Samples) -> Result<Vec<f64>> {
        self.gpu
            .read(&set.losses, set.count * self.problem.layout.outputs)
    }

    fn use_weights(&mut self, weights: &[f64]) -> Result<()> {
        let single: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
        self.gpu.write(&single, &mut self.weights.single)
    }
}

impl Engine for Cuda<'_> {
    fn name(&self) -> String {
        format!("CUDA on {}", self.gpu.name())
    }

    fn epoch(
        &mut self,
        moving: &mut Moving,
        order: &[u32],
        losses: &mut Vec<f64>,
        _stop: &dyn Fn() -> bool,
    ) -> Result<Epoch> {
        let (batches, variables) = (
            batches(order.len(), self.config),
            self.problem.layout.outputs,
        );
        let begin = batch_behind(losses.len() / variables, batches, order.len());
        self.use_weights(&moving.weights)?;
        self.gpu.write(order, &mut self.training.order)?;
        let Weights {
            weights,
            first,
            second,
            average,
            status,
            ..
        } = &mut self.weights;
        for (numbers, buffer) in [
            (&moving.weights, weights),
            (&moving.adam.first, first),
            (&moving.adam.second, second),
            (&moving.average, average),
        ] {
            self.gpu.write(numbers, buffer)?;
        }
        self.gpu.clear(status)?;
        for b in begin..batches {
            let at = batch(b, batches, order.len());
            let (members, set) = (at.len(), &self.training);
            let places = [
                set.order.from(at.start),
                set.losses.from(at.start * variables),
            ];
            self.forward(set, places[0], members)?;
            self.loss(set, places, self.work.d.at, members)?;
            self.backward(members)?;
            self.step(
                moving.adam.steps + (b - begin) as u64,
                batches as u64,
                b + 1,
            )?;
        }
        let all = self.losses(&self.training)?;
        losses.extend_from_slice(&all[losses.len()..]);
        let status = self.gpu.read(&self.weights.status, 1)?;
        if let [launch::Status { bad: 1.., .. }] = status[..] {
            return Ok(Epoch::Diverged(status[0].bad as usize));
        }
        let count = self.problem.layout.count;
        let Weights {
            weights,
            first,
            second,
            average,
            ..
        } = &self.weights;
        moving.weights = self.gpu.read(weights, count)?;
        moving.adam.first = self.gpu.read(first, count)?;
        moving.adam.second = self.gpu.read(second, count)?;
        moving.average = self.gpu.read(average, count)?;
        moving.adam.steps += (batches - begin) as u64;
        Ok(Epoch::Done)
    }

    fn evaluate(&mut self, weights: &[f64]) -> Result<Vec<f64>> {
        self.use_weights(weights)?;
        let (set, variables) = (&self.validation, self.problem.layout.outputs);
        let largest = self
            .training
            .count
            .div_ceil(batches(self.training.count, self.config));
        for start in (0..set.count).step_by(largest) {
            let members = largest.min(set.count - start);
            let places = [set.order.from(start), set.losses.from(start * variables)];
            self.forward(set, places[0], members)?;
            self.loss(set, places, NULL, members)?;
        }
        Ok(engine::means(&self.losses(set)?, variables))
    }
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::{
        models,
        sampling::{normal, stream},
        watch::Watcher,
    };

    use super::*;
    use crate::{
        adam::AdamConfig,
        architectures::fno::FnoConfig,
        responses::{ResponseConfig, ResponseData, respond},
        train::{
            Device, Run,
            operator::{LossConfig, Normalization, engine::Cpu, train_operator},
        },
    };

    fn data(points: usize, windows: usize) -> ResponseData {
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        let config = ResponseConfig {
            samples: [11, 7, 0],
            points,
            windows,
            ..ResponseConfig::default()
        };
        respond(&*model, &config, &Watcher::default()).unwrap()
    }

    fn configs() -> Vec<OperatorConfig> {
        let network = |width, modes, layers, kind, activation, padding| FnoConfig {
            width,
            modes,
            layers,
            kind,
            activation,
            padding,
        };
        let adam = AdamConfig {
            epochs: 3,
            batch: 4,
            learning_rate: 5e-3,
            ..OperatorConfig::default().adam
        };
        let of = |network, optimizer| OperatorConfig {
            network,
            optimizer,
            adam: adam.clone(),
            average: 0.9,
            ..OperatorConfig::default()
        };
        vec![
            of(
                network(8, 6, 2, LayerKind::Zongyi, Activation::Gelu, 0.05),
                Optimizer::Muon,
            ),
            OperatorConfig {
                loss: LossConfig {
                    normalized: 0.5,
                    physical: 2.0,
                    slope: 0.3,
                },
                clip: 1e-2,
                ..of(
                    network(7, 5, 2, LayerKind::Classic, Activation::Tanh, 0.0),
                    Optimizer::Adam,
                )
            },
            OperatorConfig {
                normalization: Normalization::PerPoint,
                average: 0.0,
                ..of(
                    network(40, 4, 2, LayerKind::Residual, Activation::LeakyRelu, 0.1),
                    Optimizer::Muon,
                )
            },
            of(
                network(6, 3, 1, LayerKind::Zongyi, Activation::Relu, 0.2),
                Optimizer::Adam,
            ),
        ]
    }

    fn close(ours: &[f64], theirs: &[f64], tolerance: f64, what: &str) {
        assert_eq!(ours.len(), theirs.len());
        let size = theirs.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let apart = ours
            .iter()
            .zip(theirs)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(
            size > 0.0 && apart <= tolerance * size,
            "{what}: {apart:.1e} apart, of {size:.1e}"
        );
    }

    #[test]
    #[ignore = "needs a GPU, or scripts/test-cuda --stand-in"]
    fn losses_and_gradients_are_those_of_the_cpu() {
        for config in configs() {
            // More than one chunk of a row, and an odd length.
            let data = data(541, 0);
            let problem = Problem::new(&data, &config, None).unwrap();
            let mut weights = config.network.initial_weights(problem.layout.inputs, 2, 7);
            let mut rng = stream(4, "offsets", 0);
            weights
                .iter_mut()
                .filter(|w| **w == 0.0)
                .for_each(|w| *w = 0.1 * normal(&mut rng));
            let (training, validation) =
                (problem.set(&data.training), problem.set(&data.validation));
            let mut gpu = Cuda::new(&problem, &config, &training, &validation).unwrap();
            let mut cpu = Cpu::new(&problem, &config, training, validation);
            close(
                &gpu.evaluate(&weights).unwrap(),
                &cpu.evaluate(&weights).unwrap(),
                1e-5,
                "losses",
            );
            let order = [9u32, 2, 5, 10];
            let losses: Vec<f64> = cpu.gradient(&weights, &order).concat();
            gpu.gpu.write(&order, &mut gpu.training.order).unwrap();
            let places = [gpu.training.order.at, gpu.training.losses.at];
            gpu.forward(&gpu.training, places[0], 4).unwrap();
            gpu.loss(&gpu.training, places, gpu.work.d.at, 4).unwrap();
            gpu.backward(4).unwrap();
            close(
                &gpu.gpu.read(&gpu.training.losses, 8).unwrap(),
                &losses,
                1e-5,
                "losses of a batch",
            );
            let gradient = gpu.gpu.read(&gpu.weights.gradient, weights.len()).unwrap();
            for block in problem.layout.blocks() {
                close(
                    block.of(&gradient),
                    block.of(cpu.mean_gradient()),
                    1e-4,
                    &format!("{:?} {}", config.network.kind, block.name),
                );
            }
        }
    }

    #[test]
    #[ignore = "needs a GPU, or scripts/test-cuda --stand-in"]
    fn trainings_are_those_of_the_cpu_and_the_same_each_time() {
        for (k, config) in configs().into_iter().enumerate() {
            let data = data(60, if k == 0 { 2 } else { 0 });
            let run = |device| {
                train_operator(
                    &data,
                    &config,
                    &mut Run {
                        device,
                        ..Run::default()
                    },
                )
                .unwrap()
            };
            let (gpu, cpu) = (run(Device::Cuda), run(Device::Cpu));
            let wide = |w: &[f32]| w.iter().map(|w| f64::from(*w)).collect::<Vec<f64>>();
            close(
                &wide(&gpu.fno.weights),
                &wide(&cpu.fno.weights),
                1e-3,
                "weights",
            );
            let errors = |t: &crate::train::operator::TrainedOperator| {
                t.history
                    .iter()
                    .filter_map(|r| {
                        if let crate::train::Record::Adam(r) = r {
                            Some(r.training.clone())
                        } else {
                            None
                        }
                    })
                    .collect::<Vec<_>>()
            };
            close(
                &errors(&gpu).concat(),
                &errors(&cpu).concat(),
                1e-4,
                "training errors",
            );
            assert_eq!(run(Device::Cuda).fno.weights, gpu.fno.weights);
            assert!(
                gpu.fno.provenance["instructions"]
                    .as_str()
                    .unwrap()
                    .starts_with("CUDA on ")
            );
        }
    }

    #[test]
    #[ignore = "needs a GPU, or scripts/test-cuda --stand-in"]
    fn a_training_that_diverges_says_where() {
        let (data, config) = (data(60, 0), configs().remove(3));
        let adam = AdamConfig {
            learning_rate: 1e30,
            ..config.adam.clone()
        };
        let run = |device| {
            train_operator(
                &data,
                &OperatorConfig {
                    adam: adam.clone(),
                    ..config.clone()
                },
                &mut Run {
                    device,
                    ..Run::default()
                },
            )
        };
        let [gpu, cpu] = [Device::Cuda, Device::Cpu].map(|d| run(d).unwrap_err().to_string());
        assert!(gpu.contains("diverged in epoch 1, batch"), "{gpu}");
        assert_eq!(gpu, cpu);
    }
}

//! What a training keeps in the memory of a GPU.

use std::collections::BTreeMap;

use super::{
    super::{
        config::OperatorConfig,
        loss::{Problem, Set},
    },
    launch::{self, Buffer, Gpu, PARTIAL},
};
use crate::{
    Result,
    architectures::fno::{HIDDEN, LayerKind, Layout},
    train::muon::Muon,
};

/// A set of samples on the GPU.
pub(super) struct Samples {
    pub(super) count: usize,
    pub(super) inputs: Buffer<f32>,
    pub(super) x: Buffer<f32>,
    /// What the parts of the loss are relative to.
    pub(super) size: Buffer<f32>,
    /// Losses of one pass over the set, `[sample in order][variable]`.
    pub(super) losses: Buffer<f64>,
    /// The samples in the order of the pass.
    pub(super) order: Buffer<u32>,
}

impl Samples {
    pub(super) fn new(gpu: &Gpu, set: &Set, layout: &Layout) -> Result<Self> {
        let size: Vec<f32> = set.size.iter().flatten().map(|s| *s as f32).collect();
        let count = set.inputs.len();
        Ok(Samples {
            count,
            inputs: gpu.upload(&set.inputs.concat())?,
            x: gpu.upload(&set.data.x)?,
            size: gpu.upload(&size)?,
            losses: gpu.zeros(count * layout.outputs)?,
            order: gpu.upload(&(0..count as u32).collect::<Vec<_>>())?,
        })
    }
}

/// What a layer keeps for the way back, see `pass.rs`.
pub(super) struct Kept {
    pub(super) modes: Buffer<f32>,
    pub(super) u: Buffer<f32>,
    pub(super) p: Buffer<f32>,
    pub(super) q: Buffer<f32>,
    pub(super) h: Buffer<f32>,
}

/// Room for the passes of a batch; the names are those of `pass.rs`.
pub(super) struct Work {
    pub(super) x: Buffer<f32>,
    pub(super) lift: [Buffer<f32>; 2],
    pub(super) project: [Buffer<f32>; 2],
    pub(super) v: Vec<Buffer<f32>>,
    pub(super) layers: Vec<Kept>,
    pub(super) modes: [Buffer<f32>; 2],
    pub(super) back: [Buffer<f32>; 4],
    pub(super) hidden: Buffer<f32>,
    pub(super) y: Buffer<f32>,
    pub(super) d: Buffer<f32>,
    /// Gradients of matrices and offsets, `[sample, chunk][weights that are not spectral]`.
    pub(super) parts: Buffer<f32>,
    /// Gradients of spectral weights, where they stand among all.
    pub(super) spectral: Buffer<f32>,
}

impl Work {
    /// For batches of `largest` samples, whose gradients have `parts` numbers each.
    pub(super) fn new(
        gpu: &Gpu,
        problem: &Problem,
        config: &OperatorConfig,
        largest: usize,
        parts: usize,
    ) -> Result<Self> {
        let (layout, grid, network) = (&problem.layout, &problem.grid, &config.network);
        let zeros = |length: usize| gpu.zeros::<f32>(length * largest);
        let (full, hidden, modes) = (
            network.width * grid.padded,
            HIDDEN * grid.points,
            2 * grid.modes * network.width,
        );
        let inside = if network.kind == LayerKind::Zongyi {
            full
        } else {
            0
        };
        let kept = || {
            Ok(Kept {
                modes: zeros(modes)?,
                u: zeros(full)?,
                p: zeros(inside)?,
                q: zeros(inside)?,
                h: zeros(full)?,
            })
        };
        Ok(Work {
            x: zeros(layout.inputs * grid.points)?,
            lift: [zeros(hidden)?, zeros(hidden)?],
            project: [zeros(hidden)?, zeros(hidden)?],
            v: (0..=network.layers)
                .map(|_| zeros(full))
                .collect::<Result<_>>()?,
            layers: (0..network.layers).map(|_| kept()).collect::<Result<_>>()?,
            modes: [zeros(modes)?, zeros(modes)?],
            back: [zeros(full)?, zeros(full)?, zeros(full)?, zeros(inside)?],
            hidden: zeros(hidden)?,
            y: zeros(layout.outputs * grid.points)?,
            d: zeros(layout.outputs * grid.points)?,
            parts: zeros(parts)?,
            spectral: gpu.zeros(layout.count)?,
        })
    }
}

/// Weights and what moves with them.
pub(super) struct Weights {
    pub(super) single: Buffer<f32>,
    pub(super) weights: Buffer<f64>,
    pub(super) first: Buffer<f64>,
    pub(super) second: Buffer<f64>,
    pub(super) average: Buffer<f64>,
    pub(super) gradient: Buffer<f64>,
    pub(super) partial: Buffer<f64>,
    pub(super) status: Buffer<launch::Status>,
}

impl Weights {
    pub(super) fn new(gpu: &Gpu, count: usize) -> Result<Self> {
        Ok(Weights {
            single: gpu.zeros(count)?,
            weights: gpu.zeros(count)?,
            first: gpu.zeros(count)?,
            second: gpu.zeros(count)?,
            average: gpu.zeros(count)?,
            gradient: gpu.zeros(count)?,
            partial: gpu.zeros(PARTIAL)?,
            status: gpu.zeros(1)?,
        })
    }
}

/// Matrices of one shape that move along orthogonalized gradients.
pub(super) struct Group {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) count: usize,
    pub(super) starts: Buffer<i64>,
    pub(super) x: Buffer<f32>,
    pub(super) next: Buffer<f32>,
    pub(super) gram: Buffer<f32>,
    pub(super) square: Buffer<f32>,
}

/// The matrices that move along orthogonalized gradients, by shape.
pub(super) fn groups(gpu: &Gpu, muon: &Muon) -> Result<Vec<Group>> {
    let mut shapes: BTreeMap<[usize; 2], Vec<i64>> = BTreeMap::new();
    for (at, rows) in muon.matrices() {
        shapes
            .entry([rows, at.len() / rows])
            .or_default()
            .push(at.start as i64);
    }
    let group = |([rows, columns], starts): ([usize; 2], Vec<i64>)| {
        let (count, gram) = (starts.len(), rows.min(columns).pow(2));
        let zeros = |length: usize| gpu.zeros(length * count);
        let (x, next, square) = (zeros(rows * columns)?, zeros(rows * columns)?, zeros(gram)?);
        Ok(Group {
            rows,
            columns,
            count,
            starts: gpu.upload(&starts)?,
            x,
            next,
            gram: zeros(gram)?,
            square,
        })
    };
    shapes.into_iter().map(group).collect()
}

/// What all passes use.
pub(super) struct Tables {
    pub(super) forward: Buffer<f32>,
    pub(super) back: Buffer<f32>,
    pub(super) base: Option<Buffer<f32>>,
    pub(super) gain: Buffer<f32>,
    pub(super) scale: Buffer<f32>,
}

impl Tables {
    pub(super) fn new(gpu: &Gpu, problem: &Problem) -> Result<Self> {
        let scale: Vec<f32> = problem.scale.iter().map(|s| *s as f32).collect();
        Ok(Tables {
            forward: gpu.upload(&problem.grid.forward)?,
            back: gpu.upload(&problem.grid.back)?,
            base: problem
                .frame
                .base
                .as_ref()
                .map(|b| gpu.upload(b))
                .transpose()?,
            gain: gpu.upload(&problem.frame.gain)?,
            scale: gpu.upload(&scale)?,
        })
    }
}

/// Bytes on the GPU of a training.
pub(super) fn bytes(
    problem: &Problem,
    config: &OperatorConfig,
    sets: [&Set; 2],
    largest: usize,
    plain: usize,
    splits: usize,
) -> u64 {
    let (layout, grid, network) = (&problem.layout, &problem.grid, &config.network);
    let (full, hidden) = (network.width * grid.padded, HIDDEN * grid.points);
    let layers = network.layers
        * (if network.kind == LayerKind::Zongyi {
            5
        } else {
            3
        });
    let sample = full * (layers + 5)
        + 5 * hidden
        + (layout.inputs + 2 * layout.outputs) * grid.points
        + splits * plain;
    let set: usize = sets
        .iter()
        .map(|s| s.inputs.len() * (layout.inputs + layout.outputs) * grid.points)
        .sum();
    4 * (sample * largest + set) as u64 + layout.count as u64 * (5 * 8 + 4 * 6)
}

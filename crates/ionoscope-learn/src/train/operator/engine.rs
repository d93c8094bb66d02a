//! What moves the weights: a pass over the samples, on the CPU or a GPU.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::{
    config::{CHUNKS, OperatorConfig, Optimizer},
    loss::{Problem, Set},
};
use crate::{
    Result,
    adam::Adam,
    architectures::fno::pass::{Pass, Work},
    kernels::Backend,
    train::muon::Muon,
};

/// What a step changes.
#[derive(Debug, Clone)]
pub(super) struct Moving {
    pub weights: Vec<f64>,
    pub adam: Adam,
    /// Running mean of the weights.
    pub average: Vec<f64>,
}

impl Moving {
    pub fn new(weights: Vec<f64>) -> Self {
        Moving {
            adam: Adam::new(weights.len()),
            average: weights.clone(),
            weights,
        }
    }
}

/// How far a pass over the samples came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Epoch {
    /// To the end.
    Done,
    /// To a batch (from 1) with a gradient that was not finite.
    Diverged(usize),
    /// To the end of a batch behind which it was to stop.
    Stopped,
}

/// A device that trains.
pub(super) trait Engine {
    /// What it computes with, for the record.
    fn name(&self) -> String;
    /// One step a batch through the training samples in `order`. `losses` are those, `[sample][variable]` in that order, of the batches that are done; it goes
    /// on behind them, and adds its own. `stop` is asked behind each batch, by a device on which a batch takes long.
    fn epoch(
        &mut self,
        moving: &mut Moving,
        order: &[u32],
        losses: &mut Vec<f64>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Epoch>;
    /// Mean loss of each variable over the validation set.
    fn evaluate(&mut self, weights: &[f64]) -> Result<Vec<f64>>;
}

/// Number of batches of so many samples, which are equally large but for one sample.
pub(super) fn batches(samples: usize, config: &OperatorConfig) -> usize {
    samples.div_ceil(config.adam.batch)
}

/// The samples of batch `b`.
pub(super) fn batch(b: usize, batches: usize, samples: usize) -> std::ops::Range<usize> {
    b * samples / batches..(b + 1) * samples / batches
}

/// The batch behind so many samples.
pub(super) fn batch_behind(done: usize, batches: usize, samples: usize) -> usize {
    (0..batches)
        .find(|b| batch(*b, batches, samples).start >= done)
        .unwrap_or(batches)
}

/// Mean loss of each variable of losses `[sample][variable]`, added in order.
pub(super) fn means(losses: &[f64], variables: usize) -> Vec<f64> {
    let mut sums = vec![0.0; variables];
    losses
        .chunks_exact(variables)
        .for_each(|l| sums.iter_mut().zip(l).for_each(|(s, l)| *s += l));
    let count = (losses.len() / variables) as f64;
    sums.into_iter().map(|s| s / count).collect()
}

/// Share of the running mean that a step keeps: at first the mean is over about the last tenth of all steps so far, so that the initial weights are soon
/// forgotten; at a decay of .999 for the first 9990 steps.
pub(super) fn kept(config: &OperatorConfig, steps: u64) -> f64 {
    if config.average > 0.0 {
        config.average.min(1.0 - 1.0 / (steps as f64 * 0.1 + 1.0))
    } else {
        0.0
    }
}

/// All cores, a sample at a time.
pub(super) struct Cpu<'a> {
    problem: &'a Problem,
    config: &'a OperatorConfig,
    training: Set<'a>,
    validation: Set<'a>,
    /// Memory of the threads.
    work: Vec<Mutex<Work<f32>>>,
    /// Gradients of the chunks of a batch.
    parts: Vec<Mutex<Vec<f32>>>,
    gradient: Vec<f64>,
    muon: Muon,
}

impl<'a> Cpu<'a> {
    pub fn new(
        problem: &'a Problem,
        config: &'a OperatorConfig,
        training: Set<'a>,
        validation: Set<'a>,
    ) -> Self {
        let count = problem.layout.count;
        let work = || Mutex::new(Work::new(&config.network, &problem.layout, &problem.grid));
        Cpu {
            problem,
            config,
            training,
            validation,
            work: (0..rayon::current_num_threads()).map(|_| work()).collect(),
            parts: (0..CHUNKS).map(|_| Mutex::new(vec![0.0; count])).collect(),
            gradient: vec![0.0; count],
            muon: Muon::new(&problem.layout),
        }
    }

    /// With the memory of this thread.
    fn with<R>(&self, f: impl FnOnce(&mut Work<f32>) -> R) -> R {
        let mine = rayon::current_thread_index().unwrap_or(0) % self.work.len();
        f(&mut self.work[mine]
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    fn pass<'b>(&'b self, weights: &'b [f32]) -> Pass<'b, f32> {
        Pass {
            config: &self.config.network,
            layout: &self.problem.layout,
            grid: &self.problem.grid,
            weights,
        }
    }

    /// Of the last batch.
    #[cfg(all(test, feature = "cuda"))]
    pub fn mean_gradient(&self) -> &[f64] {
        &self.gradient
    }

    /// The losses of the samples of a batch, one after the other; their mean gradient is in `gradient` then.
    pub fn gradient(&mut self, weights: &[f64], batch: &[u32]) -> Vec<Vec<f64>> {
        let single: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
        let this = &*self;
        let (pass, training) = (this.pass(&single), &this.training);
        let losses = this
            .parts
            .par_iter()
            .enumerate()
            .flat_map_iter(|(c, part)| {
                let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
                part.fill(0.0);
                let chunk = &batch[c * batch.len() / CHUNKS..(c + 1) * batch.len() / CHUNKS];
                let mut d = vec![0.0; training.data.variables * training.data.points];
                let one = |k: &u32| {
                    let k = *k as usize;
                    this.with(|work| {
                        pass.forward(&training.inputs[k], work);
                        let loss = this.problem.loss(training, k, work, Some(&mut d));
                        pass.backward(&training.inputs[k], &d, work, &mut part);
                        loss
                    })
                };
                chunk.iter().map(one).collect::<Vec<_>>()
            })
            .collect();
        self.gradient.fill(0.0);
        let share = 1.0 / batch.len() as f64;
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            self.gradient
                .iter_mut()
                .zip(part.iter())
                .for_each(|(g, p)| *g += share * f64::from(*p));
        }
        losses
    }
}

impl Engine for Cpu<'_> {
    fn name(&self) -> String {
        Backend::detect().name().into()
    }

    fn epoch(
        &mut self,
        moving: &mut Moving,
        order: &[u32],
        losses: &mut Vec<f64>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Epoch> {
        let (config, samples) = (self.config, order.len());
        let batches = batches(samples, config);
        let first = batch_behind(
            losses.len() / self.training.data.variables,
            batches,
            samples,
        );
        for b in first..batches {
            if b > first && stop() {
                return Ok(Epoch::Stopped);
            }
            let of_batch = self.gradient(&moving.weights, &order[batch(b, batches, samples)]);
            of_batch.iter().for_each(|l| losses.extend_from_slice(l));
            let length = self.gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            if !length.is_finite() {
                return Ok(Epoch::Diverged(b + 1));
            }
            if config.clip > 0.0 && length > config.clip {
                self.gradient
                    .iter_mut()
                    .for_each(|g| *g *= config.clip / length);
            }
            let Moving {
                weights,
                adam,
                average,
            } = moving;
            match config.optimizer {
                Optimizer::Adam => adam.step(
                    Backend::detect(),
                    &config.adam,
                    batches as u64,
                    weights,
                    &self.gradient,
                ),
                Optimizer::Muon => {
                    self.muon
                        .step(adam, &config.adam, batches as u64, weights, &self.gradient)
                }
            }
            let kept = kept(config, adam.steps);
            average
                .iter_mut()
                .zip(weights)
                .for_each(|(a, w)| *a = kept * *a + (1.0 - kept) * *w);
        }
        Ok(Epoch::Done)
    }

    fn evaluate(&mut self, weights: &[f64]) -> Result<Vec<f64>> {
        let single: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
        let (pass, set) = (self.pass(&single), &self.validation);
        let one = |k: usize| {
            self.with(|work| {
                pass.forward(&set.inputs[k], work);
                self.problem.loss(set, k, work, None)
            })
        };
        let all: Vec<Vec<f64>> = (0..set.inputs.len()).into_par_iter().map(one).collect();
        Ok((0..set.data.variables)
            .map(|i| all.iter().map(|l| l[i]).sum::<f64>() / all.len() as f64)
            .collect())
    }
}

//! One epoch of Adam for all sub-networks at once, on all cores.
//!
//! The sub-networks are independent, and a batch of one is cut into fixed chunks. Any thread takes any chunk that is ready; whoever finishes the
//! last chunk of a batch adds up the chunks' sums in their order, makes the step and so makes the next batch ready. There is no barrier: while
//! one sub-network waits for its last chunk, the others go on. The weights do not depend on who did what.

use std::sync::{
    Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use ionoscope_dynamics::watch::Watcher;

use super::pairs::{Batches, Rows};
use crate::{
    Result,
    adam::{Adam, AdamConfig},
    kernels::{Backend, Packed, Scratch, Shape, Sums, squared_error},
};

/// What a sub-network learns with: weights in double precision and their moments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Learner {
    pub weights: Vec<f64>,
    pub adam: Adam,
}

/// One sub-network in training.
struct Network {
    own: usize,
    shape: Shape,
    /// Batch of the epoch in the upper half, next chunk to take in the lower.
    ticket: AtomicU64,
    /// Chunks of the batch that are finished.
    finished: AtomicUsize,
    packed: RwLock<Packed>,
    /// Sums of each chunk of the batch.
    parts: Vec<Mutex<Sums>>,
    state: Mutex<State>,
}

struct State {
    learner: Learner,
    gradient: Vec<f64>,
    /// Sum of squared errors over the epoch so far, before each step.
    squares: f64,
    /// Mean squared error of each batch of the epoch, before its step.
    by_batch: Vec<f64>,
}

/// What a thread finds when it asks a sub-network for work.
enum Claim {
    Chunk { batch: usize, chunk: usize },
    Wait,
    Done,
}

/// All sub-networks in training.
pub(crate) struct Trainees {
    backend: Backend,
    config: AdamConfig,
    batches: Batches,
    networks: Vec<Network>,
    scratch: Vec<Mutex<Scratch>>,
}

/// A poisoned lock means that another thread panicked, which rayon hands on; what it guards is not used after that.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trainees {
    /// Sub-networks of these sizes, in the order of the variables, with their learners.
    pub fn new(
        backend: Backend,
        config: &AdamConfig,
        batches: Batches,
        learners: Vec<(Shape, Learner)>,
    ) -> Self {
        let networks = learners
            .into_iter()
            .enumerate()
            .map(|(own, (shape, learner))| {
                let mut packed = Packed::new(shape);
                packed.set(&learner.weights);
                let most = (0..batches.count)
                    .map(|k| batches.chunks(k))
                    .max()
                    .unwrap_or(1);
                Network {
                    own,
                    shape,
                    ticket: AtomicU64::new(0),
                    finished: AtomicUsize::new(0),
                    packed: RwLock::new(packed),
                    parts: (0..most).map(|_| Mutex::new(Sums::new(shape))).collect(),
                    state: Mutex::new(State {
                        gradient: vec![0.0; shape.weights()],
                        squares: 0.0,
                        by_batch: Vec::new(),
                        learner,
                    }),
                }
            });
        let networks: Vec<Network> = networks.collect();
        let threads = rayon::current_num_threads();
        let scratch = (0..threads)
            .map(|_| Mutex::new(Scratch::new(networks[0].shape)))
            .collect();
        Trainees {
            backend,
            config: config.clone(),
            batches,
            networks,
            scratch,
        }
    }

    /// The learners as they are now.
    pub fn learners(&self) -> Vec<Learner> {
        self.networks
            .iter()
            .map(|n| lock(&n.state).learner.clone())
            .collect()
    }

    /// Batches in an epoch.
    pub fn batches(&self) -> usize {
        self.batches.count
    }

    /// Samples of each batch of the last epoch and their mean squared error before its step, of sub-network `i`.
    pub fn by_batch(&self, i: usize) -> Vec<(usize, f64)> {
        let length = |b: usize| self.batches.range(b).1 - self.batches.range(b).0;
        lock(&self.networks[i].state)
            .by_batch
            .iter()
            .enumerate()
            .map(|(b, mse)| (length(b), *mse))
            .collect()
    }

    /// One pass over `rows`. Returns the mean squared error of each sub-network on the way (before the step of each batch); none where `watch` stopped it,
    /// which leaves the sub-networks at batches of their own.
    ///
    /// # Errors
    /// Rows that do not fit.
    pub fn epoch(&mut self, rows: &Rows, watch: &Watcher) -> Result<Option<Vec<f64>>> {
        for n in &mut self.networks {
            *n.ticket.get_mut() = 0;
            *n.finished.get_mut() = 0;
            let state = n.state.get_mut().unwrap_or_else(PoisonError::into_inner);
            state.squares = 0.0;
            state.by_batch.clear();
        }
        let failure = Mutex::new(None);
        let stop = AtomicBool::new(false);
        let this = &*self;
        rayon::scope(|scope| {
            for t in 0..this.scratch.len() {
                let (failure, stop) = (&failure, &stop);
                scope.spawn(move |_| {
                    if let Err(e) = this.work(t, rows, stop, watch) {
                        stop.store(true, Ordering::Relaxed);
                        *lock(failure) = Some(e);
                    }
                });
            }
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(e) => Err(e),
            None if watch.stopped()
                && self.networks.iter().any(|n| {
                    (n.ticket.load(Ordering::Acquire) >> 32) as usize != self.batches.count
                }) =>
            {
                Ok(None)
            }
            None => Ok(Some(
                self.networks
                    .iter()
                    .map(|n| lock(&n.state).squares / rows.len() as f64)
                    .collect(),
            )),
        }
    }

    /// What one thread does until the epoch is over.
    fn work(&self, thread: usize, rows: &Rows, stop: &AtomicBool, watch: &Watcher) -> Result<()> {
        let count = self.networks.len();
        let mut scratch = lock(&self.scratch[thread]);
        let mut current = thread % count;
        let mut idle = 0u32;
        while !stop.load(Ordering::Relaxed) && !watch.stopped() {
            let mut done = 0;
            let mut found = false;
            // The sub-network of the last chunk first: its weights are in this core's cache.
            for k in (current..current + count).map(|k| k % count) {
                match self.claim(&self.networks[k]) {
                    Claim::Chunk { batch, chunk } => {
                        self.chunk(&self.networks[k], batch, chunk, rows, &mut scratch)?;
                        (current, found) = (k, true);
                        break;
                    }
                    Claim::Wait => {}
                    Claim::Done => done += 1,
                }
            }
            if done == count {
                break;
            }
            // All that is left is in other hands: spin for about as long as a chunk takes, then let others have the core.
            idle = if found { 0 } else { idle + 1 };
            if idle > 0 && idle < 500 {
                std::hint::spin_loop();
            } else if idle > 0 {
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    fn claim(&self, network: &Network) -> Claim {
        let mut ticket = network.ticket.load(Ordering::Acquire);
        loop {
            let (batch, chunk) = ((ticket >> 32) as usize, (ticket & 0xffff_ffff) as usize);
            if batch == self.batches.count {
                return Claim::Done;
            }
            if chunk == self.batches.chunks(batch) {
                return Claim::Wait;
            }
            match network.ticket.compare_exchange_weak(
                ticket,
                ticket + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Claim::Chunk { batch, chunk },
                Err(now) => ticket = now,
            }
        }
    }

    /// The sums of one chunk; the last of a batch makes the step.
    fn chunk(
        &self,
        network: &Network,
        batch: usize,
        chunk: usize,
        rows: &Rows,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let (from, to) = self.batches.chunk_range(batch, chunk);
        let packed = network
            .packed
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        lock(&network.parts[chunk]).set(
            self.backend,
            &packed,
            &rows.samples(network.own, from, to),
            scratch,
        )?;
        drop(packed);
        let chunks = self.batches.chunks(batch);
        if network.finished.fetch_add(1, Ordering::AcqRel) + 1 == chunks {
            network.finished.store(0, Ordering::Relaxed);
            self.step(network, batch, chunks);
            network
                .ticket
                .store((batch as u64 + 1) << 32, Ordering::Release);
        }
        Ok(())
    }

    fn step(&self, network: &Network, batch: usize, chunks: usize) {
        let (from, to) = self.batches.range(batch);
        let mut packed = network
            .packed
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let State {
            learner,
            gradient,
            squares,
            by_batch,
        } = &mut *lock(&network.state);
        let parts: Vec<_> = network.parts[..chunks].iter().map(lock).collect();
        let parts: Vec<&Sums> = parts.iter().map(|p| &**p).collect();
        let sum = Sums::gradient(&packed, &parts, gradient);
        *squares += sum;
        let mean = 1.0 / (to - from) as f64;
        by_batch.push(sum * mean);
        gradient.iter_mut().for_each(|g| *g *= mean);
        learner.adam.step(
            self.backend,
            &self.config,
            self.batches.count as u64,
            &mut learner.weights,
            gradient,
        );
        packed.set(&learner.weights);
    }

    /// Mean squared error of each sub-network on `rows`, in units of the increment's variance, in single precision.
    ///
    /// # Errors
    /// Rows that do not fit.
    pub fn evaluate(&self, rows: &Rows) -> Result<Vec<f64>> {
        use rayon::prelude::*;
        const PART: usize = 2048;
        let n = rows.len();
        self.networks
            .iter()
            .map(|network| {
                let packed = network
                    .packed
                    .read()
                    .unwrap_or_else(PoisonError::into_inner);
                let parts: Vec<usize> = (0..n).step_by(PART).collect();
                let sums = parts.par_iter().map_init(
                    || Scratch::new(network.shape),
                    |scratch, &from| {
                        squared_error(
                            self.backend,
                            &packed,
                            &rows.samples(network.own, from, n.min(from + PART)),
                            scratch,
                        )
                    },
                );
                let sums = sums.collect::<Result<Vec<f64>>>()?;
                Ok(sums.iter().sum::<f64>() / n as f64)
            })
            .collect()
    }
}

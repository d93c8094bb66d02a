//! Training pairs in single precision, as the kernels read them, and their order in an epoch.

use ionoscope_dynamics::sampling::{permutation, stream};
use rand::RngExt;
use rayon::prelude::*;

use crate::{
    Result,
    dataset::{Dataset, Pairs},
    kernels::{Samples, Shape},
};

/// Standardized pairs: D_u + D_p rows of inputs, then D_u rows of targets, `[row][pair]`.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    rows: Vec<Vec<f32>>,
    states: usize,
}

impl Rows {
    /// The pairs of a dataset, standardized by its normalizer.
    pub fn new(dataset: &Dataset, pairs: &Pairs) -> Self {
        let single = |row: &Vec<f64>| row.iter().map(|v| *v as f32).collect::<Vec<f32>>();
        let design = dataset.design(0..pairs.dimension, pairs);
        let rows = design
            .inputs
            .iter()
            .chain(&design.targets)
            .map(single)
            .collect();
        Rows {
            rows,
            states: pairs.dimension,
        }
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.rows[0].len()
    }

    /// What sub-network `own` sees of the pairs `from..to`.
    pub fn samples(&self, own: usize, from: usize, to: usize) -> Samples<'_> {
        let inputs = self.rows.len() - self.states;
        Samples {
            inner: (0..inputs)
                .filter(|k| *k != own)
                .map(|k| &self.rows[k][from..to])
                .collect(),
            own: &self.rows[own][from..to],
            target: &self.rows[inputs + own][from..to],
        }
    }

    /// The sizes of the sub-networks for these numbers of hidden units.
    pub fn shapes(&self, hidden: &[usize]) -> Vec<Shape> {
        let inner = self.rows.len() - self.states - 1;
        hidden
            .iter()
            .map(|&hidden| Shape { inner, hidden })
            .collect()
    }
}

/// Epochs for which one thorough permutation serves, where there are many pairs.
const PER_PERMUTATION: u64 = 16;

/// Pairs that stay together for these epochs.
const RUN: usize = 8;

/// Up to this number of pairs, which the fast caches hold, every epoch has a thorough permutation.
const FEW: usize = 8192;

/// A part of a pair's numbers that is copied at once.
type Piece = [f32; 8];

/// The training pairs in the order of the current epoch.
///
/// A thorough shuffle of 10^5 pairs, and visiting them one by one all over the memory, would cost a tenth of an epoch each. So the former is
/// done every [`PER_PERMUTATION`] epochs, and within these epoch e visits run c + a r mod R (of the R runs of [`RUN`] pairs in the permuted
/// order) as its r-th, a coprime to R, with a and c drawn anew for each epoch: every pair comes once, and a batch is another random subset each
/// time. All is derived from (seed, epoch), so that resuming needs no state of a generator.
pub(crate) struct Shuffled {
    seed: u64,
    /// One pair after the other, padded to whole [`Piece`]s, so that a random pair is one or two cache lines.
    records: Vec<Piece>,
    /// `records` in the order of the permutation of this group of epochs.
    group: Option<u64>,
    permuted: Vec<Piece>,
    /// The pairs in the order of the epoch.
    pub rows: Rows,
}

impl Shuffled {
    pub fn new(rows: Rows, seed: u64) -> Self {
        let pieces = rows.rows.len().div_ceil(8);
        let value = |pair: usize, r: usize| rows.rows.get(r).map_or(0.0, |row| row[pair]);
        let records = (0..rows.len() * pieces)
            .map(|k| std::array::from_fn(|i| value(k / pieces, k % pieces * 8 + i)));
        let records: Vec<Piece> = records.collect();
        Shuffled {
            seed,
            permuted: records.clone(),
            records,
            group: None,
            rows,
        }
    }

    /// Brings the pairs into the order of `epoch`.
    pub fn arrange(&mut self, epoch: u64) {
        const PART: usize = 4096;
        let n = self.rows.len();
        let pieces = self.rows.rows.len().div_ceil(8);
        let group = if n > FEW {
            epoch / PER_PERMUTATION
        } else {
            epoch
        };
        if self.group != Some(group) {
            let order = permutation(&mut stream(self.seed, "permutation", group), n);
            let records = &self.records;
            self.permuted
                .par_chunks_mut(pieces)
                .zip(order.par_iter())
                .with_min_len(PART)
                .for_each(|(to, from)| {
                    to.copy_from_slice(&records[*from as usize * pieces..][..pieces]);
                });
            self.group = Some(group);
        }
        // What is left of the last run comes last.
        let runs = n / RUN;
        let (a, c) = if n > FEW {
            stride(self.seed, epoch, runs)
        } else {
            (1, 0)
        };
        let permuted = &self.permuted;
        let mut parts: Vec<Vec<&mut [f32]>> = (0..n.div_ceil(PART)).map(|_| Vec::new()).collect();
        for row in &mut self.rows.rows {
            for (part, slice) in parts.iter_mut().zip(row.chunks_mut(PART)) {
                part.push(slice);
            }
        }
        parts.par_iter_mut().enumerate().for_each(|(k, part)| {
            let first_run = k * PART / RUN;
            let start = if runs > 0 {
                ((c as u128 + a as u128 * first_run as u128) % runs as u128) as usize
            } else {
                0
            };
            let mut tile = [[0.0; 8]; TILE];
            for piece in 0..pieces {
                let (mut run, mut place) = (first_run, start);
                for first in (0..part[0].len()).step_by(TILE) {
                    // First the random reads, with little between them that would keep the next from starting; then from the cache to the rows.
                    let count = TILE.min(part[0].len() - first);
                    for pairs in tile[..count].chunks_mut(RUN) {
                        let from = RUN * if run < runs { place } else { run };
                        for (k, pair) in pairs.iter_mut().enumerate() {
                            *pair = permuted[(from + k) * pieces + piece];
                        }
                        // place + a mod runs without a branch, which no predictor could guess.
                        place = (place + a).min((place + a).wrapping_sub(runs));
                        run += 1;
                    }
                    for (i, row) in part.iter_mut().skip(piece * 8).take(8).enumerate() {
                        for (to, pair) in row[first..first + count].iter_mut().zip(&tile) {
                            *to = pair[i];
                        }
                    }
                }
            }
        });
    }
}

/// Pairs that are read before they are spread over the rows.
const TILE: usize = 64;

/// Stride (coprime to n) and offset of an epoch.
fn stride(seed: u64, epoch: u64, n: usize) -> (usize, usize) {
    let mut rng = stream(seed, "stride", epoch);
    let c = rng.random_range(0..n);
    if n == 1 {
        return (0, c);
    }
    loop {
        let a = rng.random_range(1..n);
        if gcd(a, n) == 1 {
            return (a, c);
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// How an epoch is cut into batches, and a batch into the fixed chunks whose sums are added in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batches {
    pairs: usize,
    /// Number of batches in an epoch.
    pub count: usize,
}

impl Batches {
    /// Equally large batches of at most `batch` pairs.
    pub fn new(pairs: usize, batch: usize) -> Result<Self> {
        if pairs == 0 {
            return Err(crate::Error::Invalid(
                "the dataset has no training pairs".into(),
            ));
        }
        Ok(Batches {
            pairs,
            count: pairs.div_ceil(batch),
        })
    }

    /// First pair of batch `k`, and of the one after.
    pub fn range(&self, k: usize) -> (usize, usize) {
        let at = |k: usize| (k as u128 * self.pairs as u128 / self.count as u128) as usize;
        (at(k), at(k + 1))
    }

    /// Pairs of a chunk of batch `k`: whole blocks of the kernel, at most [`MOST_CHUNKS`](Self::MOST_CHUNKS) a batch.
    fn chunk(&self, k: usize) -> usize {
        let (from, to) = self.range(k);
        (to - from)
            .div_ceil(Self::MOST_CHUNKS)
            .next_multiple_of(crate::kernels::BLOCK)
    }

    /// Number of chunks of batch `k`.
    pub fn chunks(&self, k: usize) -> usize {
        let (from, to) = self.range(k);
        (to - from).div_ceil(self.chunk(k))
    }

    /// Pairs of chunk `c` of batch `k`.
    pub fn chunk_range(&self, k: usize, c: usize) -> (usize, usize) {
        let (from, to) = self.range(k);
        let size = self.chunk(k);
        (from + c * size, (from + (c + 1) * size).min(to))
    }

    /// Chunks of the largest batch.
    pub const MOST_CHUNKS: usize = 16;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize) -> Rows {
        // Two states and a parameter: rows of distinct numbers.
        Rows {
            rows: (0..5)
                .map(|r| (0..n).map(|s| (r * 100_000 + s) as f32).collect())
                .collect(),
            states: 2,
        }
    }

    #[test]
    fn an_epoch_holds_every_pair_once_in_its_own_order() {
        for n in [1, 2, 7, 5000, FEW + 3, 20_000] {
            let mut s = Shuffled::new(rows(n), 3);
            let mut orders = Vec::new();
            for epoch in [0, 1, 15, 16, 200] {
                s.arrange(epoch);
                let order: Vec<usize> = s.rows.rows[0].iter().map(|v| *v as usize).collect();
                for (r, row) in s.rows.rows.iter().enumerate() {
                    assert!(
                        row.iter()
                            .zip(&order)
                            .all(|(v, o)| *v == (r * 100_000 + o) as f32)
                    );
                }
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert!(sorted.into_iter().eq(0..n));
                orders.push(order);
            }
            // Another epoch first, then the same again.
            s.arrange(1);
            assert!(
                s.rows.rows[0]
                    .iter()
                    .zip(&orders[1])
                    .all(|(v, o)| *v as usize == *o)
            );
            if n > 100 {
                orders.sort();
                orders.dedup();
                assert_eq!(orders.len(), 5);
            }
        }
    }

    #[test]
    fn batches_and_chunks_cover_all_pairs_in_order() {
        for (pairs, batch) in [
            (1, 1000),
            (1000, 1000),
            (1499, 1000),
            (135_000, 1000),
            (40_000, 10_000),
            (700, 64),
            (100_001, 50_000),
        ] {
            let b = Batches::new(pairs, batch).unwrap();
            let mut at = 0;
            for k in 0..b.count {
                let (from, to) = b.range(k);
                assert!(from == at && to > from && b.chunks(k) <= Batches::MOST_CHUNKS);
                for c in 0..b.chunks(k) {
                    let (f, t) = b.chunk_range(k, c);
                    assert!(f == at && t > f);
                    at = t;
                }
                assert_eq!(at, to);
            }
            assert_eq!(at, pairs);
        }
    }

    #[test]
    fn a_sub_network_sees_its_own_variable_apart() {
        let r = rows(10);
        let s = r.samples(1, 2, 4);
        assert_eq!(
            (s.own, s.target),
            (&[100_002.0, 100_003.0][..], &[400_002.0, 400_003.0][..])
        );
        assert_eq!(s.inner, [&[2.0, 3.0][..], &[200_002.0, 200_003.0]]);
        assert_eq!(
            r.shapes(&[5])[0],
            Shape {
                inner: 2,
                hidden: 5
            }
        );
    }
}

//! Fused forward and backward passes of one sub-network of the [neural map](crate::architectures::neural_map), in single precision.
//!
//! With tanh t = 1 - 2m, m = 1 / (1 + 2^k), k = 2 log2(e) z, a unit j costs, for K = D_u - 1 + D_p inner inputs,
//!
//! ```text
//! forward   y = beta + sum_k x_k A_k    m1 = m(y)    z = u a + alpha + 1 - 2 m1    m2 = m(z)    out -= 2 b m2
//! backward  p = e m2    w = p - p m2    d = w m1 - w m1^2    sums of  p, w u, w, d x_k, d          (e = out - target)
//! ```
//! with every factor that does not depend on the sample (2 log2(e), -2 b, 16 b) taken out of the loops: [`Packed`] scales the weights before,
//! [`Sums::gradient`] the sums after. So the counted work is K + 2 multiply-adds forward and as many backward (A, a, b), plus two tanh; offsets
//! only add. For the paper's map (K = 3) and [`Shape::flops`] that is 100 (2 * 10 + 2 * 25) = 7000 flops a sample.
//!
//! Samples lie along the SIMD lanes, so that any number of units is as good as another. A block of [`BLOCK`] samples is swept forward unit by
//! unit, then backward; what is kept between the two (m1, m2) stays in the cache.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod descent;
pub mod oracle;
pub mod peak;
mod portable;
mod shape;
mod sweep;

use crate::{Error, Result};

pub use descent::AdamStep;
pub(crate) use shape::LOG2_E_TWICE;
use shape::ZERO;
pub use shape::{BLOCK, LINE, Line, Shape};
pub(crate) use sweep::{Kernel, Lanes};

/// An instruction set for which there is a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// 16 lanes, with AVX-512 F and DQ.
    Avx512,
    /// 8 lanes, with AVX2 and FMA.
    Avx2,
    /// Plain Rust, 8 lanes, for any processor.
    Portable,
}

impl Backend {
    /// The kernels that this processor can run, the fastest first.
    pub fn available() -> Vec<Backend> {
        [Backend::Avx512, Backend::Avx2, Backend::Portable]
            .into_iter()
            .filter(|b| b.is_available())
            .collect()
    }

    /// The fastest kernel that this processor can run.
    pub fn detect() -> Backend {
        Backend::available()[0]
    }

    /// Whether this processor can run it.
    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => {
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Backend::Portable => true,
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// A kernel without its instructions would be undefined behavior; asking costs nothing beside a block.
    fn require(self) {
        assert!(self.is_available(), "this processor has no {}", self.name());
    }

    /// Name for logs.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Avx512 => "avx-512",
            Backend::Avx2 => "avx2",
            Backend::Portable => "portable",
        }
    }

    /// Runs work with these instructions.
    pub(crate) fn run(self, kernel: impl Kernel) {
        self.require();
        match self {
            // SAFETY: the processor has the instructions, as was just checked.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => unsafe { avx512::run(kernel) },
            // SAFETY: the processor has the instructions, as was just checked.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => unsafe { avx2::run(kernel) },
            _ => portable::run(kernel),
        }
    }

    fn sweep(self, task: sweep::Task) {
        self.require();
        match self {
            // SAFETY: the processor has the instructions, as was just checked.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => unsafe { avx512::sweep(task) },
            // SAFETY: the processor has the instructions, as was just checked.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => unsafe { avx2::sweep(task) },
            _ => portable::sweep(task),
        }
    }

    /// One step of Adam: the weights and both moments move, `[weights]` each.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn adam(
        self,
        step: &AdamStep,
        weights: &mut [f64],
        first: &mut [f64],
        second: &mut [f64],
        gradient: &[f64],
    ) {
        self.require();
        match self {
            // SAFETY: the processor has the instructions, as was just checked.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => unsafe { avx512::adam(step, weights, first, second, gradient) },
            // SAFETY: the processor has the instructions, as was just checked.
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => unsafe { avx2::adam(step, weights, first, second, gradient) },
            _ => descent::adam(step, weights, first, second, gradient),
        }
    }

    /// tanh as the kernels compute it, in place, for measuring its error.
    pub fn tanh(self, values: &mut [f32]) {
        for chunk in values.chunks_mut(LINE) {
            let mut line = ZERO;
            line.0[..chunk.len()].copy_from_slice(chunk);
            self.require();
            match self {
                // SAFETY: the processor has the instructions, as was just checked.
                #[cfg(target_arch = "x86_64")]
                Backend::Avx512 => unsafe { avx512::tanh(&mut line) },
                // SAFETY: the processor has the instructions, as was just checked.
                #[cfg(target_arch = "x86_64")]
                Backend::Avx2 => unsafe { avx2::tanh(&mut line) },
                _ => portable::tanh(&mut line),
            }
            chunk.copy_from_slice(&line.0[..chunk.len()]);
        }
    }
}

/// The weights of a sub-network in single precision, scaled as the kernels want them.
#[derive(Debug, Clone)]
pub struct Packed {
    shape: Shape,
    /// Rows of N_h: A and B, beta, a, alpha, b, scaled; then the output's constant.
    scaled: Vec<f32>,
}

impl Packed {
    /// Room for a sub-network, with zero weights.
    pub fn new(shape: Shape) -> Self {
        let mut packed = Packed {
            shape,
            scaled: vec![0.0; shape.weights()],
        };
        packed.set(&vec![0.0; shape.weights()]);
        packed
    }

    /// Takes over weights in the order of
    /// [`SubNetwork::groups_mut`](crate::architectures::sub_network::SubNetwork::groups_mut): rows of A and B, beta, a, alpha, b, gamma.
    ///
    /// # Panics
    /// If there are not [`Shape::weights`].
    pub fn set(&mut self, weights: &[f64]) {
        assert_eq!(weights.len(), self.shape.weights());
        let n = self.shape.hidden;
        let (plain, rest) = weights.split_at((self.shape.inner + 2) * n);
        let (alpha, b) = (&rest[..n], &rest[n..2 * n]);
        let (scaled_plain, scaled) = self.scaled.split_at_mut(plain.len());
        for (s, w) in scaled_plain.iter_mut().zip(plain) {
            *s = (w * LOG2_E_TWICE) as f32;
        }
        let mut constant = rest[2 * n];
        for j in 0..n {
            // tanh(y) = 1 - 2 m1: its 1 joins alpha, and the 1 of the outer tanh joins gamma.
            scaled[j] = ((alpha[j] + 1.0) * LOG2_E_TWICE) as f32;
            scaled[n + j] = (-2.0 * b[j]) as f32;
            constant += b[j];
        }
        scaled[2 * n] = constant as f32;
    }

    /// Size of the sub-network.
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

/// The samples of one sub-network: rows of equal length, single precision, standardized.
#[derive(Debug, Clone)]
pub struct Samples<'a> {
    /// The inner layer's inputs, in the order of the weights.
    pub inner: Vec<&'a [f32]>,
    /// The sub-network's own variable.
    pub own: &'a [f32],
    /// What it should give.
    pub target: &'a [f32],
}

impl Samples<'_> {
    fn check(&self, shape: Shape) -> Result<()> {
        let n = self.target.len();
        if self.inner.len() != shape.inner
            || self.own.len() != n
            || self.inner.iter().any(|r| r.len() != n)
        {
            let (rows, inner) = (self.inner.len(), shape.inner);
            return Err(Error::Invalid(format!(
                "{rows} inner rows of unequal length; expected {inner} rows of {n} samples"
            )));
        }
        Ok(())
    }

    /// The rows as the kernels take them: inner, own, target.
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.inner.iter().copied().chain([self.own, self.target])
    }
}

/// Working memory of one thread.
#[derive(Debug, Clone)]
pub struct Scratch {
    /// Inputs, target, error and one row between passes, `[inner + 4][BLOCK]`.
    rows: Vec<Line>,
    /// m1 and m2 of a block, interleaved vector by vector, `[N_h][2 BLOCK]`.
    kept: Vec<Line>,
}

impl Scratch {
    /// Working memory for a sub-network.
    pub fn new(shape: Shape) -> Self {
        Scratch {
            rows: vec![ZERO; Scratch::rows_for(shape)],
            kept: vec![ZERO; Scratch::kept_for(shape)],
        }
    }

    /// Grows it for another sub-network where needed.
    pub fn fit(&mut self, shape: Shape) {
        self.rows
            .resize(self.rows.len().max(Scratch::rows_for(shape)), ZERO);
        self.kept
            .resize(self.kept.len().max(Scratch::kept_for(shape)), ZERO);
    }

    fn parts(&mut self, shape: Shape) -> (&mut [Line], &mut [Line]) {
        self.fit(shape);
        (
            &mut self.rows[..Scratch::rows_for(shape)],
            &mut self.kept[..Scratch::kept_for(shape)],
        )
    }

    fn rows_for(shape: Shape) -> usize {
        (shape.inner + 4) * (BLOCK / LINE)
    }

    fn kept_for(shape: Shape) -> usize {
        2 * shape.hidden * (BLOCK / LINE)
    }
}

/// Sums over samples, one for each weight and those of the error and of its square. Single precision within a block.
#[derive(Debug, Clone)]
pub struct Sums {
    shape: Shape,
    /// As [`sweep::Task`] has them.
    values: Vec<[f64; 8]>,
}

impl Sums {
    /// Sums of no samples.
    pub fn new(shape: Shape) -> Self {
        Sums {
            shape,
            values: vec![[0.0; 8]; shape.hidden * sweep::pieces(shape) + 1],
        }
    }

    /// The sums over `samples`, forward and backward, in place of what was here.
    ///
    /// # Errors
    /// Rows that do not fit the sub-network.
    pub fn set(
        &mut self,
        backend: Backend,
        weights: &Packed,
        samples: &Samples,
        scratch: &mut Scratch,
    ) -> Result<()> {
        check(self.shape, weights, samples)?;
        self.values.fill([0.0; 8]);
        let (memory, kept) = scratch.parts(self.shape);
        in_blocks(samples, memory, |rows, count| {
            let (kept, sums) = (&mut *kept, &mut self.values[..]);
            backend.sweep(sweep::Task {
                shape: self.shape,
                weights: &weights.scaled,
                rows,
                count,
                kept,
                sums,
                backward: true,
            });
        });
        Ok(())
    }

    /// The sum of squared errors of all `parts` together, and its gradient by the weights (in the order of [`Packed::set`]).
    ///
    /// # Panics
    /// If there is no part, one is of another shape, or `gradient` of another length.
    pub fn gradient(weights: &Packed, parts: &[&Sums], gradient: &mut [f64]) -> f64 {
        let shape = weights.shape;
        let (n, k) = (shape.hidden, shape.inner);
        assert!(
            !parts.is_empty()
                && parts.iter().all(|p| p.shape == shape)
                && gradient.len() == shape.weights()
        );
        let added = (parts.len() > 1).then(|| {
            let mut sums = parts[0].values.clone();
            for part in &parts[1..] {
                sums.as_flattened_mut()
                    .iter_mut()
                    .zip(part.values.as_flattened())
                    .for_each(|(s, v)| *s += v);
            }
            sums
        });
        let sums = added.as_ref().unwrap_or(&parts[0].values);
        let [error, squares, ..] = sums[n * sweep::pieces(shape)];
        // The packed weight is -2 b. tanh' is 4 m (1 - m), and d(error^2) brings another 2.
        let slope: Vec<f64> = weights.scaled[(k + 3) * n..(k + 4) * n]
            .iter()
            .map(|b| -4.0 * f64::from(*b))
            .collect();
        let of_units = sums.as_flattened()[..8 * n * sweep::pieces(shape)]
            .chunks_exact(8 * sweep::pieces(shape));
        for (row, gradient) in gradient.chunks_exact_mut(n).take(k + 3).enumerate() {
            let (slot, factor) = (sweep::slot(shape, row), if row <= k { 4.0 } else { 1.0 });
            for ((g, sums), slope) in gradient.iter_mut().zip(of_units.clone()).zip(&slope) {
                *g = factor * slope * sums[slot];
            }
        }
        let slot = sweep::slot(shape, k + 3);
        for (g, sums) in gradient[(k + 3) * n..].iter_mut().zip(of_units) {
            *g = 2.0 * (error - 2.0 * sums[slot]);
        }
        gradient[shape.weights() - 1] = 2.0 * error;
        squares
    }
}

/// The sum of squared errors over `samples`, forward only.
///
/// # Errors
/// Rows that do not fit the sub-network.
pub fn squared_error(
    backend: Backend,
    weights: &Packed,
    samples: &Samples,
    scratch: &mut Scratch,
) -> Result<f64> {
    let shape = weights.shape;
    check(shape, weights, samples)?;
    let mut total = 0.0;
    let (memory, kept) = scratch.parts(shape);
    in_blocks(samples, memory, |rows, count| {
        let mut sums = [[0.0; 8]];
        let kept = &mut *kept;
        backend.sweep(sweep::Task {
            shape,
            weights: &weights.scaled,
            rows,
            count,
            kept,
            sums: &mut sums,
            backward: false,
        });
        total += sums[0][1];
    });
    Ok(total)
}

/// What the sub-network gives for each of `samples`, whose targets must be zero, into `out`.
///
/// # Panics
/// On rows that do not fit the sub-network or `out`.
pub fn outputs(
    backend: Backend,
    weights: &Packed,
    samples: &Samples,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let shape = weights.shape;
    assert!(
        samples.check(shape).is_ok() && out.len() == samples.target.len(),
        "rows of equal length that fit the sub-network"
    );
    let (memory, kept) = scratch.parts(shape);
    let mut done = 0;
    in_blocks(samples, memory, |rows, count| {
        let (kept, mut sums) = (&mut *kept, [[0.0; 8]]);
        let task = sweep::Task {
            shape,
            weights: &weights.scaled,
            rows: &mut *rows,
            count,
            kept,
            sums: &mut sums,
            backward: false,
        };
        backend.sweep(task);
        // The row after the target holds the output less the target.
        let given = rows[(shape.inner + 2) * (BLOCK / LINE)..]
            .iter()
            .flat_map(|line| line.0);
        out[done..done + count]
            .iter_mut()
            .zip(given)
            .for_each(|(to, from)| *to = from);
        done += count;
    });
}

fn check(shape: Shape, weights: &Packed, samples: &Samples) -> Result<()> {
    if weights.shape != shape {
        return Err(Error::Invalid(format!(
            "weights of {:?} where {shape:?} was expected",
            weights.shape
        )));
    }
    samples.check(shape)
}

/// Copies the samples block by block into aligned memory, zeros behind the last one.
fn in_blocks(samples: &Samples, memory: &mut [Line], mut f: impl FnMut(&mut [Line], usize)) {
    let lines = BLOCK / LINE;
    for first in (0..samples.target.len()).step_by(BLOCK) {
        let count = BLOCK.min(samples.target.len() - first);
        for (r, row) in samples.rows().enumerate() {
            let (whole, rest) = row[first..first + count].as_chunks::<LINE>();
            let (full, empty) = memory[r * lines..(r + 1) * lines].split_at_mut(whole.len());
            full.iter_mut()
                .zip(whole)
                .for_each(|(line, values)| line.0 = *values);
            empty.fill(ZERO);
            if !rest.is_empty() {
                empty[0].0[..rest.len()].copy_from_slice(rest);
            }
        }
        f(memory, count);
    }
}

#[cfg(test)]
mod tests;

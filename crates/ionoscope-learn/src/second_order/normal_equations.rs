//! Normal equations, and the chunks of pairs over which they are summed.

use std::ops::Range;

use faer::Mat;
use rayon::prelude::*;

use crate::dataset::Design;

/// Pairs whose contributions one task sums; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 4096;

/// J'J (lower triangle), J'r and r'r.
pub(super) struct NormalEquations {
    /// J'J, lower triangle.
    pub jtj: Mat<f64>,
    /// J'r.
    pub gradient: Vec<f64>,
    /// r'r.
    pub squared_error: f64,
}

/// The pairs in chunks of fixed size, over all cores.
pub(super) fn chunks(design: &Design) -> impl IndexedParallelIterator<Item = Range<usize>> + use<> {
    let n = design.len();
    (0..n.div_ceil(CHUNK))
        .into_par_iter()
        .map(move |c| c * CHUNK..((c + 1) * CHUNK).min(n))
}

/// A range in pieces of at most `size`.
pub(super) fn tiles(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(size)
        .map(move |from| from..(from + size).min(end))
}

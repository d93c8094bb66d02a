//! Cholesky factors of symmetric positive definite matrices of some hundred rows, one thread each, so that the bits do not depend on the
//! number of threads.

use faer::{
    Accum, Mat, MatMut, MatRef, Par,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{
        cholesky::llt,
        matmul::triangular::{self, BlockStructure},
        triangular_inverse::invert_lower_triangular,
        triangular_solve,
    },
};

/// The lower Cholesky factor L of `scale * A + diag(d)`.
pub(super) struct Factor {
    lower: Mat<f64>,
}

impl Factor {
    /// Factors `scale * a + diag(diagonal)`, of which the lower triangle of `a` is read; `None` where it is not positive definite.
    pub fn new(a: &Mat<f64>, scale: f64, diagonal: &[f64]) -> Option<Self> {
        let n = diagonal.len();
        let mut lower = Mat::zeros(n, n);
        for j in 0..n {
            for i in j..n {
                lower[(i, j)] = scale * a[(i, j)];
            }
            lower[(j, j)] += diagonal[j];
        }
        let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(
            n,
            Par::Seq,
            Default::default(),
        ));
        let stack = MemStack::new(&mut memory);
        llt::factor::cholesky_in_place(
            lower.as_mut(),
            Default::default(),
            Par::Seq,
            stack,
            Default::default(),
        )
        .ok()?;
        (0..n)
            .all(|i| lower[(i, i)].is_finite())
            .then_some(Factor { lower })
    }

    /// The solution of (scale A + diag(d)) x = b.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        let mut column = MatMut::from_column_major_slice_mut(&mut x, b.len(), 1);
        triangular_solve::solve_lower_triangular_in_place(
            self.lower.as_ref(),
            column.as_mut(),
            Par::Seq,
        );
        triangular_solve::solve_upper_triangular_in_place(
            self.lower.transpose(),
            column.as_mut(),
            Par::Seq,
        );
        x
    }

    /// The diagonal of the inverse: column sums of squares of L^-1.
    pub fn inverse_diagonal(&self) -> Vec<f64> {
        let n = self.lower.nrows();
        let mut inverse = Mat::zeros(n, n);
        invert_lower_triangular(inverse.as_mut(), self.lower.as_ref(), Par::Seq);
        (0..n)
            .map(|j| (j..n).map(|i| inverse[(i, j)] * inverse[(i, j)]).sum())
            .collect()
    }
}

/// Adds J'J of a column-major block to the lower triangle of `to`.
pub(super) fn add_gram(mut to: MatMut<f64>, block: MatRef<f64>) {
    triangular::matmul(
        to.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Add,
        block.transpose(),
        BlockStructure::Rectangular,
        block,
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
}

//! The sizes of a sub-network, and the memory that kernels see.

/// Samples that are swept forward and then backward at once.
pub const BLOCK: usize = 256;

/// Sixteen single-precision numbers of one cache line: the unit of all memory that kernels see.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line(pub [f32; LINE]);

/// Numbers in a [`Line`].
pub const LINE: usize = 16;
pub(super) const ZERO: Line = Line([0.0; LINE]);

/// Size of a sub-network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Inputs of the inner layer: D_u - 1 + D_p.
    pub inner: usize,
    /// Hidden units N_h.
    pub hidden: usize,
}

impl Shape {
    /// Rows of N_h weights: A and B, beta, a, alpha, b.
    pub fn rows(self) -> usize {
        self.inner + 4
    }

    /// Number of weights, with gamma.
    pub fn weights(self) -> usize {
        self.rows() * self.hidden + 1
    }

    /// Floating-point operations counted for one sample, forward and backward: two per multiply-add of the products with A, B, a and b, and
    /// 25 per tanh.
    pub fn flops(self) -> f64 {
        (self.hidden * (2 * 2 * (self.inner + 2) + 2 * 25)) as f64
    }
}

pub(crate) const LOG2_E_TWICE: f64 = 2.0 * std::f64::consts::LOG2_E;

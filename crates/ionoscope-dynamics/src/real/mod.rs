//! Numbers over which equations are written: `f64`, SIMD lanes and dual numbers.

mod dual;
mod elementary;
mod instructions;
mod lane;
mod operations;
mod recorder;
mod scalar;

pub use dual::Dual;
pub(crate) use instructions::InstructionSet;
pub(crate) use lane::optimization_barrier;
pub use lane::{Lane, LaneMask};
pub use operations::Real;
pub(crate) use recorder::{Binary, Logic, Node, Recorder, Unary, record};

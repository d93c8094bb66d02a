//! The Fourier neural operator of Pellegrini, Ghiotto, Centofanti, Pavarino (2025), arXiv 2505.14039, after Li et al. (2021), arXiv 2010.08895: from a
//! function of time, the stimulus, to all variables over time.
//!
//! ```text
//! lifting      v = W2 act(W1 x + b1) + b2                 D_in -> 128 -> d_v channels, at every time; then padding with zeros
//! Fourier      Classic   v = act(K v + W v + b)           K v: the lowest k Fourier modes of all channels, each mode times a complex
//! layers       Zongyi    v = act(M(K v) + W v + b)        d_v x d_v matrix, transformed back; M(u) = M2 act(M1 u + c1) + c2;
//!              Residual  v = v + act(K v + W v + b)       no activation in the last layer
//! projection   y = P2 act(P1 v + b1) + b2                 d_v -> 128 -> D_out, the padding cropped
//! ```
//! The padding is a fraction of the grid, so that the weights of a network go with any grid over the same time, up to a shift of the first order in its
//! step; a trained one keeps to its own grid ([`OnGrid`]). With `cos(2 pi m t / N)` the transforms
//! are those of `rfft` and `irfft`: unscaled forward, 1/N back, the imaginary part of mode 0 unused.

mod apply;
mod bands;
mod calibrate;
mod config;
mod file;
pub(crate) mod grid;
mod layout;
mod on_grid;
mod operator;
pub(crate) mod pass;
pub(crate) mod scalar;
mod scaling;
mod seen;
mod surrogate;
#[cfg(test)]
mod tests;

pub use bands::Bands;
pub use config::{Activation, FnoConfig, HIDDEN, LayerKind};
pub(crate) use layout::{Block, Layout};
pub use on_grid::OnGrid;
pub use operator::Operator;
pub(crate) use scaling::{Frame, charges};
pub use scaling::{PerPoint, Scaling};
pub use seen::{Seen, Steps};
pub use surrogate::Fno;

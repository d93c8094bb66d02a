//! What can be wrong with the input of an analysis, or fail in it.

use thiserror::Error;

/// Result with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An input that is wrong, or an analysis that failed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Error {
    /// From the system itself.
    #[error(transparent)]
    Dynamics(#[from] ionoscope_dynamics::Error),
    /// An option, a box or a list of numbers that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Work that failed, and what may help.
    #[error("{0}")]
    Failed(String),
    /// The Jacobian at a point has no eigenvalues in double precision.
    #[error(
        "no eigenvalues at x = {x:?}: the Jacobian is not finite or the QR iteration did not converge; check start and parameters"
    )]
    Eigenvalues {
        /// The point, in the order of the variables.
        x: Vec<f64>,
    },
}

impl Error {
    /// Whether the input was wrong (exit code 2) rather than the work failed (exit code 1).
    pub fn is_input(&self) -> bool {
        match self {
            Error::Dynamics(e) => e.is_input(),
            Error::Invalid(_) => true,
            Error::Failed(_) | Error::Eigenvalues { .. } => false,
        }
    }
}

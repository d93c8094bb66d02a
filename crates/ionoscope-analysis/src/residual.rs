//! What is zero at a fixed point: f(x) of a flow, F(x) - x of a map. With `spectrum.rs`, which says when that is stable, the one place that knows the
//! difference.

use ionoscope_dynamics::system::{DynamicalSystem, Time};

/// What is zero at a fixed point, into `out`: f(x) for a flow, F(x) - x for a map.
pub fn residual(system: &dyn DynamicalSystem, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
    system.rule(x, i_stim, p, out);
    if let Time::Discrete { .. } = system.time() {
        for (o, x) in out.iter_mut().zip(x) {
            *o -= x;
        }
    }
}

/// Exact derivative of [`residual`] by the state, row-major, into `out` (n * n).
pub fn residual_jacobian(
    system: &dyn DynamicalSystem,
    x: &[f64],
    i_stim: f64,
    p: &[f64],
    out: &mut [f64],
) {
    system.jacobian(x, i_stim, p, out);
    if let Time::Discrete { .. } = system.time() {
        for d in out.iter_mut().step_by(x.len() + 1) {
            *d -= 1.0;
        }
    }
}

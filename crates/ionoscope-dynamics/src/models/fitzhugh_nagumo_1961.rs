//! Excitable membrane, reduced to two variables without units: a fast potential and a slow recovery.
//!
//! FitzHugh, Biophys. J. 1 (1961) 445, doi 10.1016/S0006-3495(61)86902-6; Nagumo, Arimoto, Yoshizawa, Proc. IRE 50 (1962) 2061,
//! doi 10.1109/JRPROC.1962.288235. Form, constants and start of Pellegrini, Ghiotto, Centofanti, Pavarino, arXiv:2505.14039 (2025): rest at
//! 0, spike near 1.
//!
//! ```text
//! v' = b v (v - beta) (delta - v) - c w + i_stim     w' = e (v - gamma w)
//! ```
//! The polynomials were checked against exact rational arithmetic, trajectories against scipy.

use crate::{
    real::Real,
    spec::{Quantity, Spec},
    system::Model,
};

/// The model.
pub struct FitzHughNagumo;

impl Model for FitzHughNagumo {
    fn definition(&self) -> Spec {
        let q = Quantity::new;
        Spec {
            id: "fitzhugh-nagumo-1961".into(),
            title: "excitable membrane, two variables".into(),
            citation: "FitzHugh (1961) Biophys. J. 1:445-466, doi:10.1016/S0006-3495(61)86902-6"
                .into(),
            time_unit: "1".into(),
            stimulus_unit: "1".into(),
            variables: vec![
                q("v", "1", "membrane potential", 0.0, [-2.0, 3.0]),
                q("w", "1", "recovery", 0.0, [-4.0, 6.0]),
            ],
            parameters: vec![
                q("b", "1", "strength of the cubic current", 5.0, [0.0, 1e3]),
                q(
                    "beta",
                    "1",
                    "threshold of the cubic current",
                    0.1,
                    [-2.0, 2.0],
                ),
                q(
                    "delta",
                    "1",
                    "upper zero of the cubic current",
                    1.0,
                    [-2.0, 5.0],
                ),
                q("c", "1", "strength of recovery", 1.0, [0.0, 1e3]),
                q("gamma", "1", "decay of recovery", 0.25, [0.0, 1e3]),
                q("e", "1", "speed of recovery", 0.1, [0.0, 1e3]),
            ],
            membrane_potential: Some("v".into()),
            spike_threshold: Some(0.5),
            presets: Vec::new(),
            trained_on: None,
        }
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        let &[v, w] = x else {
            unreachable!("two variables")
        };
        let &[b, beta, delta, c, gamma, e] = q else {
            unreachable!("six parameters")
        };
        dx[0] = b * v * (v - beta) * (delta - v) - c * w + i_stim;
        dx[1] = e * (v - gamma * w);
    }
}

//! A chaotic flow with one quadratic term. Not a cell; here to test analyses.
//!
//! Rossler, Phys. Lett. A 57 (1976) 397, doi 10.1016/0375-9601(76)90101-8.
//!
//! ```text
//! x' = -y - z + i_stim     y' = x + a y     z' = b + z (x - c)
//! ```
//! The stimulus is ours: it adds to x'. The polynomials were checked against exact rational arithmetic.

use crate::{
    real::Real,
    spec::{Quantity, Spec},
    system::Model,
};

/// The model.
pub struct Rossler;

impl Model for Rossler {
    fn definition(&self) -> Spec {
        let q = Quantity::new;
        Spec {
            id: "rossler-1976".into(),
            title: "chaotic flow with one quadratic term".into(),
            citation: "Rossler (1976) Phys. Lett. A 57:397-398, doi:10.1016/0375-9601(76)90101-8"
                .into(),
            time_unit: "1".into(),
            stimulus_unit: "1".into(),
            variables: vec![
                q("x", "1", "first variable of the spiral", 1.0, [-30.0, 30.0]),
                q(
                    "y",
                    "1",
                    "second variable of the spiral",
                    1.0,
                    [-40.0, 30.0],
                ),
                q("z", "1", "height of the fold", 1.0, [-5.0, 100.0]),
            ],
            parameters: vec![
                q("a", "1", "growth of the spiral", 0.2, [-1.0, 1.0]),
                q("b", "1", "lift of the fold", 0.2, [0.0, 10.0]),
                q(
                    "c",
                    "1",
                    "where the fold begins: the control parameter",
                    5.7,
                    [0.0, 50.0],
                ),
            ],
            membrane_potential: None,
            spike_threshold: None,
            presets: Vec::new(),
            trained_on: None,
        }
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        let &[x, y, z] = x else {
            unreachable!("three variables")
        };
        let &[a, b, c] = q else {
            unreachable!("three parameters")
        };
        dx[0] = i_stim - y - z;
        dx[1] = x + a * y;
        dx[2] = b + z * (x - c);
    }
}

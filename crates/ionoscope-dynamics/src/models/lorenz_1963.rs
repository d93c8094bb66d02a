//! Convection between two plates, reduced to three modes: the classical chaotic flow. Not a cell; here to test analyses.
//!
//! Lorenz, J. Atmos. Sci. 20 (1963) 130, doi 10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2.
//!
//! ```text
//! x' = sigma (y - x) + i_stim     y' = x (rho - z) - y     z' = x y - beta z
//! ```
//! The stimulus is ours: it adds to x'. The polynomials were checked against exact rational arithmetic.

use crate::{
    real::Real,
    spec::{Quantity, Spec},
    system::Model,
};

/// The model.
pub struct Lorenz;

impl Model for Lorenz {
    fn definition(&self) -> Spec {
        let q = Quantity::new;
        Spec {
            id: "lorenz-1963".into(),
            title: "convection in three modes, chaotic".into(),
            citation: "Lorenz (1963) J. Atmos. Sci. 20:130-141, doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2".into(),
            time_unit: "1".into(),
            stimulus_unit: "1".into(),
            variables: vec![
                q("x", "1", "intensity of the convection", 1.0, [-50.0, 50.0]),
                q("y", "1", "temperature difference of the currents", 1.0, [-60.0, 60.0]),
                q("z", "1", "distortion of the temperature profile", 1.0, [-10.0, 100.0]),
            ],
            parameters: vec![
                q("sigma", "1", "Prandtl number", 10.0, [0.0, 1e3]),
                q("rho", "1", "Rayleigh number relative to onset: the control parameter", 28.0, [0.0, 1e3]),
                q("beta", "1", "aspect of the cells", 8.0 / 3.0, [0.0, 1e3]),
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
        let &[sigma, rho, beta] = q else {
            unreachable!("three parameters")
        };
        dx[0] = sigma * (y - x) + i_stim;
        dx[1] = x * (rho - z) - y;
        dx[2] = x * y - beta * z;
    }
}

//! Bursting neuron, three variables without units: potential, spiking and adaptation.
//!
//! Hindmarsh, Rose, Proc. R. Soc. B 221 (1984) 87, doi 10.1098/rspb.1984.0024. Default of `r`: 0.006, the value most studied since; preset
//! `slow` has the paper's 0.001. Silent without a stimulus; bursts in regular groups near i_stim = 2, chaotic near 3.25.
//!
//! ```text
//! x' = y - a x^3 + b x^2 - z + i_stim     y' = c - d x^2 - y     z' = r (s (x - x_r) - z)
//! ```
//! The polynomials were checked against exact rational arithmetic.

use crate::{
    real::Real,
    spec::{Preset, Quantity, Spec},
    system::Model,
};

/// The model.
pub struct HindmarshRose;

impl Model for HindmarshRose {
    fn definition(&self) -> Spec {
        let q = Quantity::new;
        Spec {
            id: "hindmarsh-rose-1984".into(),
            title: "bursting neuron, three variables".into(),
            citation:
                "Hindmarsh, Rose (1984) Proc. R. Soc. B 221:87-102, doi:10.1098/rspb.1984.0024"
                    .into(),
            time_unit: "1".into(),
            stimulus_unit: "1".into(),
            variables: vec![
                q("x", "1", "membrane potential", -1.6, [-3.0, 3.0]),
                q("y", "1", "spiking: fast currents", -11.8, [-30.0, 2.0]),
                q("z", "1", "adaptation: slow current", 0.0, [-5.0, 10.0]),
            ],
            parameters: vec![
                q("a", "1", "cubic term of the potential", 1.0, [0.0, 100.0]),
                q(
                    "b",
                    "1",
                    "quadratic term of the potential",
                    3.0,
                    [-100.0, 100.0],
                ),
                q("c", "1", "constant of spiking", 1.0, [-100.0, 100.0]),
                q("d", "1", "quadratic term of spiking", 5.0, [0.0, 100.0]),
                q("r", "1", "speed of adaptation", 0.006, [0.0, 10.0]),
                q("s", "1", "strength of adaptation", 4.0, [0.0, 100.0]),
                q(
                    "x_r",
                    "1",
                    "potential at which there is no adaptation",
                    -1.6,
                    [-10.0, 10.0],
                ),
            ],
            membrane_potential: Some("x".into()),
            spike_threshold: Some(0.0),
            presets: vec![Preset {
                name: "slow".into(),
                description: "adaptation as slow as in the paper".into(),
                x0: Vec::new(),
                parameters: vec![("r".into(), 0.001)],
                spike_threshold: None,
            }],
            trained_on: None,
        }
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        let &[x, y, z] = x else {
            unreachable!("three variables")
        };
        let &[a, b, c, d, r, s, x_r] = q else {
            unreachable!("seven parameters")
        };
        let square = x * x;
        dx[0] = y + square * (b - a * x) - z + i_stim;
        dx[1] = c - d * square - y;
        dx[2] = r * (s * (x - x_r) - z);
    }
}

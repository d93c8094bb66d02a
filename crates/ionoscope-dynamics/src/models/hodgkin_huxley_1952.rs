//! Giant axon of the squid.
//!
//! Hodgkin, Huxley, J. Physiol. 117 (1952) 500, doi 10.1113/jphysiol.1952.sp004764, with today's sign of the potential (inside minus
//! outside). Rates, constants and start as in Pellegrini, Ghiotto, Centofanti, Pavarino, arXiv:2505.14039 (2025): rest at 0 mV.
//!
//! ```text
//! c_m v' = -g_na m^3 h (u - v_na) - g_k n^4 (u - v_k) - g_l (u - v_l) + i_stim     u = v - v_rest     x' = alpha_x (1 - x) - beta_x x
//! alpha_m = 0.1 (25 - u) / (e^((25-u)/10) - 1)     beta_m = 4 e^(-u/18)
//! alpha_h = 0.07 e^(-u/20)                         beta_h = 1 / (e^((30-u)/10) + 1)
//! alpha_n = 0.01 (10 - u) / (e^((10-u)/10) - 1)    beta_n = 0.125 e^(-u/80)
//! ```
//! Everything depends on the potential relative to `v_rest`, reversal potentials included, so that `v_rest = -65` (preset `rest-65`) shifts
//! the whole model. Time in ms, currents in uA/cm^2. Derivatives checked against mpmath on these equations, trajectories against scipy.

use crate::{
    real::Real,
    spec::{Preset, Quantity, Spec},
    system::Model,
};

/// The model.
pub struct HodgkinHuxley;

/// Start of the potential, relative to rest.
const V_START: f64 = 2.757e-4;

impl Model for HodgkinHuxley {
    fn definition(&self) -> Spec {
        let q = Quantity::new;
        let conductance = |name: &str, description: &str, default: f64| {
            q(name, "mS/cm^2", description, default, [0.0, 1e4])
        };
        let potential = |name: &str, description: &str, default: f64| {
            q(name, "mV", description, default, [-200.0, 200.0])
        };
        Spec {
            id: "hodgkin-huxley-1952".into(),
            title: "squid giant axon".into(),
            citation:
                "Hodgkin, Huxley (1952) J. Physiol. 117:500-544, doi:10.1113/jphysiol.1952.sp004764"
                    .into(),
            time_unit: "ms".into(),
            stimulus_unit: "uA/cm^2".into(),
            variables: vec![
                q("v", "mV", "membrane potential", V_START, [-120.0, 130.0]),
                q("m", "1", "activation of sodium", 5.2934e-2, [0.0, 1.0]),
                q("h", "1", "inactivation of sodium", 0.59611, [0.0, 1.0]),
                q("n", "1", "activation of potassium", 0.31768, [0.0, 1.0]),
            ],
            parameters: vec![
                q("c_m", "uF/cm^2", "membrane capacitance", 1.0, [1e-3, 1e3]),
                conductance("g_na", "sodium conductance", 120.0),
                conductance("g_k", "potassium conductance", 36.0),
                conductance("g_l", "leak conductance", 0.3),
                potential("v_na", "reversal potential of sodium, from rest", 115.0),
                potential("v_k", "reversal potential of potassium, from rest", -12.0),
                potential("v_l", "reversal potential of the leak, from rest", 10.6),
                potential(
                    "v_rest",
                    "potential called rest: shifts the whole model",
                    0.0,
                ),
            ],
            membrane_potential: Some("v".into()),
            spike_threshold: Some(40.0),
            presets: vec![Preset {
                name: "rest-65".into(),
                description: "rest at -65 mV".into(),
                x0: vec![("v".into(), V_START - 65.0)],
                parameters: vec![("v_rest".into(), -65.0)],
                spike_threshold: Some(-25.0),
            }],
            trained_on: None,
        }
    }

    #[inline(always)]
    fn derive<S: Real>(&self, q: &mut [S]) {
        q[0] = S::constant(1.0) / q[0];
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        let &[v, m, h, n] = x else {
            unreachable!("four variables")
        };
        let &[per_c_m, g_na, g_k, g_l, v_na, v_k, v_l, v_rest] = q else {
            unreachable!("eight parameters")
        };
        let u = v - v_rest;
        // e^(-u/80), of which e^(-u/20) and e^(-u/10) are powers.
        let e80 = (u * (-1.0 / 80.0)).exp();
        let e20 = e80.powi(4);
        let e10 = e20 * e20;
        let alpha_m = ((-u + 25.0) * 0.1).x_over_exp_m1();
        let beta_m = (u * (-1.0 / 18.0)).exp() * 4.0;
        let alpha_h = e20 * 0.07;
        let beta_h = S::constant(1.0) / (e10 * EXP_3 + 1.0);
        let alpha_n = ((-u + 10.0) * 0.1).x_over_exp_m1() * 0.1;
        let beta_n = e80 * 0.125;
        let i_na = g_na * m.powi(3) * h * (u - v_na);
        let i_k = g_k * n.powi(4) * (u - v_k);
        let i_l = g_l * (u - v_l);
        dx[0] = (i_stim - i_na - i_k - i_l) * per_c_m;
        for (i, x, alpha, beta) in [
            (1, m, alpha_m, beta_m),
            (2, h, alpha_h, beta_h),
            (3, n, alpha_n, beta_n),
        ] {
            dx[i] = alpha - (alpha + beta) * x;
        }
    }
}

/// e^3.
const EXP_3: f64 = 20.085_536_923_187_668;

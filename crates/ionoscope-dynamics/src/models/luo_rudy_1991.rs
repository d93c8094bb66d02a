//! Ventricular cell of the guinea pig, phase 1: the membrane's currents, with calcium as the only concentration that changes.
//!
//! Luo, Rudy, Circ. Res. 68 (1991) 1501, doi 10.1161/01.res.68.6.1501. As printed; the rates of h and j change their form at -40 mV and I_K
//! its rectification at -100 mV, with a jump. Time in ms, currents in uA/cm^2 at 1 uF/cm^2, concentrations in mM.
//!
//! ```text
//! c_m v' = -(I_Na + I_si + I_K + I_K1 + I_Kp + I_b) + i_stim     x' = alpha_x (1 - x) - beta_x x for m, h, j, d, f, x
//! ca_i' = -1e-4 I_si + 0.07 (1e-4 - ca_i)
//! ```
//! Derivatives checked against the package finitewave 0.9.3, evaluated with mpmath; preset `updated` (g_na 16, na_i 10) takes the values of
//! Myokit's copy of the code of the authors' web site, whose calcium reversal potential is another and is not taken.

use crate::{
    real::Real,
    spec::{Preset, Quantity, Spec},
    system::Model,
};

/// The model.
pub struct LuoRudy;

/// R/F in mV/K, with the paper's digits.
const GAS_OVER_FARADAY: f64 = 8.314 / 96.5;

impl Model for LuoRudy {
    fn definition(&self) -> Spec {
        let q = Quantity::new;
        let gate = |name: &str, description: &str, default: f64| {
            q(name, "1", description, default, [0.0, 1.0])
        };
        let conductance = |name: &str, description: &str, default: f64| {
            q(name, "mS/cm^2", description, default, [0.0, 1e3])
        };
        let concentration = |name: &str, description: &str, default: f64| {
            q(name, "mM", description, default, [0.1, 500.0])
        };
        Spec {
            id: "luo-rudy-1991".into(),
            title: "guinea pig ventricular cell, phase 1".into(),
            citation: "Luo, Rudy (1991) Circ. Res. 68:1501-1526, doi:10.1161/01.res.68.6.1501"
                .into(),
            time_unit: "ms".into(),
            stimulus_unit: "uA/cm^2".into(),
            variables: vec![
                q("v", "mV", "membrane potential", -84.5286, [-120.0, 80.0]),
                gate("m", "activation of sodium", 0.0017),
                gate("h", "fast inactivation of sodium", 0.9832),
                gate("j", "slow inactivation of sodium", 0.995484),
                gate("d", "activation of the slow inward current", 3e-6),
                gate("f", "inactivation of the slow inward current", 1.0),
                gate("x", "activation of the delayed potassium current", 0.0057),
                q("ca_i", "mM", "intracellular calcium", 2e-4, [1e-6, 0.05]),
            ],
            parameters: vec![
                q("c_m", "uF/cm^2", "membrane capacitance", 1.0, [1e-3, 1e3]),
                conductance("g_na", "sodium conductance", 23.0),
                conductance("g_si", "conductance of the slow inward current", 0.09),
                conductance(
                    "g_k",
                    "conductance of the delayed potassium current at k_o = 5.4",
                    0.282,
                ),
                conductance(
                    "g_k1",
                    "conductance of the inward rectifier at k_o = 5.4",
                    0.6047,
                ),
                conductance(
                    "g_kp",
                    "conductance of the plateau potassium current",
                    0.0183,
                ),
                conductance("g_b", "background conductance", 0.03921),
                q(
                    "v_b",
                    "mV",
                    "reversal potential of the background current",
                    -59.87,
                    [-200.0, 200.0],
                ),
                concentration("na_o", "extracellular sodium", 140.0),
                concentration("na_i", "intracellular sodium", 18.0),
                concentration("k_o", "extracellular potassium", 5.4),
                concentration("k_i", "intracellular potassium", 145.0),
                q(
                    "p_na_k",
                    "1",
                    "permeability of the delayed potassium channel to sodium relative to potassium",
                    0.01833,
                    [0.0, 1.0],
                ),
                q("temperature", "K", "temperature", 310.0, [270.0, 320.0]),
            ],
            membrane_potential: Some("v".into()),
            spike_threshold: Some(0.0),
            presets: vec![Preset {
                name: "updated".into(),
                description: "sodium conductance and concentration of the authors' later code"
                    .into(),
                x0: Vec::new(),
                parameters: vec![("g_na".into(), 16.0), ("na_i".into(), 10.0)],
                spike_threshold: None,
            }],
            trained_on: None,
        }
    }

    /// Reciprocal of c_m, conductances at k_o, reversal potentials in the place of concentrations: `q[9]` of sodium, `q[10]` of the delayed, `q[11]`
    /// of the inwardly rectifying potassium current.
    #[inline(always)]
    fn derive<S: Real>(&self, q: &mut [S]) {
        let &mut [
            c_m,
            _,
            _,
            g_k,
            g_k1,
            _,
            _,
            _,
            na_o,
            na_i,
            k_o,
            k_i,
            p_na_k,
            temperature,
        ] = q
        else {
            unreachable!("fourteen parameters")
        };
        let thermal = temperature * GAS_OVER_FARADAY;
        let by_k_o = (k_o * (1.0 / 5.4)).sqrt();
        q[0] = S::constant(1.0) / c_m;
        q[3] = g_k * by_k_o;
        q[4] = g_k1 * by_k_o;
        q[9] = thermal * (na_o / na_i).ln();
        q[10] = thermal * ((k_o + p_na_k * na_o) / (k_i + p_na_k * na_i)).ln();
        q[11] = thermal * (k_o / k_i).ln();
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        let &[v, m, h, j, d, f, x, ca_i] = x else {
            unreachable!("eight variables")
        };
        let &[
            per_c_m,
            g_na,
            g_si,
            g_k,
            g_k1,
            g_kp,
            g_b,
            v_b,
            _,
            v_na,
            v_k,
            v_k1,
            ..,
        ] = q
        else {
            unreachable!("fourteen parameters")
        };
        let one = S::constant(1.0);
        // exp((v + shift) * slope)
        let exp = |shift: f64, slope: f64| ((v + shift) * slope).exp();
        let polarized = v.lt(S::constant(-40.0));
        let choose = |below: S, above: S| S::select(polarized, below, above);

        let alpha_m = ((v + 47.13) * -0.1).x_over_exp_m1() * 3.2;
        let beta_m = (v * (-1.0 / 11.0)).exp() * 0.08;
        let alpha_h = choose(exp(80.0, -1.0 / 6.8) * 0.135, S::constant(0.0));
        let beta_h = choose(
            exp(0.0, 0.079) * 3.56 + exp(0.0, 0.35) * 3.1e5,
            one / ((exp(10.66, -1.0 / 11.1) + 1.0) * 0.13),
        );
        let alpha_j = (exp(0.0, 0.2444) * -127_140.0 - exp(0.0, -0.04391) * 3.474e-5) * (v + 37.78)
            / (exp(79.23, 0.311) + 1.0);
        let alpha_j = choose(alpha_j, S::constant(0.0));
        let beta_j = choose(
            exp(0.0, -0.01052) * 0.1212 / (exp(40.14, -0.1378) + 1.0),
            exp(0.0, -2.535e-7) * 0.3 / (exp(32.0, -0.1) + 1.0),
        );
        let alpha_d = exp(-5.0, -0.01) * 0.095 / (exp(-5.0, -0.072) + 1.0);
        let beta_d = exp(44.0, -0.017) * 0.07 / (exp(44.0, 0.05) + 1.0);
        let alpha_f = exp(28.0, -0.008) * 0.012 / (exp(28.0, 0.15) + 1.0);
        let beta_f = exp(30.0, -0.02) * 0.0065 / (exp(30.0, -0.2) + 1.0);
        let alpha_x = exp(50.0, 0.083) * 0.0005 / (exp(50.0, 0.057) + 1.0);
        let beta_x = exp(20.0, -0.06) * 0.0013 / (exp(20.0, -0.04) + 1.0);

        let i_na = g_na * m.powi(3) * h * j * (v - v_na);
        let v_si = -ca_i.ln() * 13.0287 + 7.7;
        let i_si = g_si * d * f * (v - v_si);
        // 2.837 (e^y - 1) / ((v + 77) e^(0.04 (v + 35))), y = 0.04 (v + 77), is finite at -77 mV.
        let rectified = one / ((v + 77.0) * -0.04).x_over_exp_m1() * (2.837 * 0.04 * EXP_1_68);
        let x_i = S::select(v.le(S::constant(-100.0)), one, rectified);
        let i_k = g_k * x * x_i * (v - v_k);
        let u = v - v_k1;
        let alpha_k1 = one / (((u - 59.215) * 0.2385).exp() + 1.0) * 1.02;
        let beta_k1 = (((u + 5.476) * 0.08032).exp() * 0.49124 + ((u - 594.31) * 0.06175).exp())
            / (((u + 4.753) * -0.5143).exp() + 1.0);
        let i_k1 = g_k1 * alpha_k1 / (alpha_k1 + beta_k1) * u;
        let i_kp = g_kp / (exp(-7.488, -1.0 / 5.98) + 1.0) * u;
        let i_b = g_b * (v - v_b);

        dx[0] = (i_stim - (i_na + i_si + i_k + i_k1 + i_kp + i_b)) * per_c_m;
        let rates = [
            (m, alpha_m, beta_m),
            (h, alpha_h, beta_h),
            (j, alpha_j, beta_j),
            (d, alpha_d, beta_d),
            (f, alpha_f, beta_f),
            (x, alpha_x, beta_x),
        ];
        for (i, (gate, alpha, beta)) in rates.into_iter().enumerate() {
            dx[i + 1] = alpha - (alpha + beta) * gate;
        }
        dx[7] = (-ca_i + 1e-4) * 0.07 - i_si * 1e-4;
    }
}

/// e^1.68.
const EXP_1_68: f64 = 5.365_555_971_121_974;

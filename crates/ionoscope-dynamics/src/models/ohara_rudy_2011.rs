//! Human ventricular cell, endocardial by default; `epi` and `mid` as presets.
//!
//! O'Hara, Virag, Varro, Rudy, PLoS Comput. Biol. 7 (2011) e1002061, doi 10.1371/journal.pcbi.1002061, with I_Na and the pump as published.
//! Default start that of Pellegrini, Ghiotto, Centofanti, Pavarino, arXiv:2505.14039 (2025), digit by digit (its `j_rel_np` is probably a
//! hundredfold too large, and soon forgotten). The stimulus is carried by potassium.
//!
//! Time in ms, currents in A/F, concentrations in mM, fluxes in mM/ms. Names: `fast`, `slow` are the two populations of a gate, `camk` is the
//! share that CaMK has phosphorylated, `ss` the subspace, `nsr` and `jsr` network and junction of the sarcoplasmic reticulum.
//! The units of `g_na_ca` and `p_na_k` are those of the CellML file.
//!
//! ```text
//! v' = -(sum of the currents) + i_stim        x' = (x_inf(v) - x) / tau_x(v) for the gates
//! I = (1 - phi) I_np + phi I_camk, phi = camk / (camk + 0.15) for what CaMK phosphorylates
//! ```
//! Every ion that crosses the membrane is accounted for, so one quantity is conserved (Hund, Kucera, Otani, Rudy, Biophys. J. 81 (2001)
//! 3324): the charge inside less that on the membrane. With shares of the volume, and total calcium Ca, buffers included,
//! ```text
//! Q = MYO (na_i + k_i + 2 Ca_i) + SS (na_ss + k_ss + 2 Ca_ss) + 2 (NSR ca_nsr + JSR Ca_jsr) - v A / (V F)
//! ```
//! A time constant c + 1/s enters as the rate s / (c s + 1), and quotients with a potential in them by x / (e^x - 1), so that nothing is
//! singular. Derivatives checked against an independent implementation of the CellML file (endocardial, 7 digits) and against mpmath on
//! the equations (all cell types, all parameters changed).

use crate::{
    real::Real,
    spec::{Conserved, Preset, Quantity, Spec},
    system::Model,
};

/// The model.
pub struct OHaraRudy;

/// Gas constant in mJ/(mol K).
const GAS: f64 = 8314.0;
/// Faraday's constant in C/mol.
const FARADAY: f64 = 96_485.0;
/// Length and radius of the cell in cm.
const LENGTH: f64 = 0.01;
const RADIUS: f64 = 0.0011;
/// Capacitive area over volume: both ends and the side, twice, over 1000 pi r^2 L (area in cm^2, volume in ul).
const AREA_PER_VOLUME: f64 = 4.0 * (RADIUS + LENGTH) / (1000.0 * RADIUS * LENGTH);
/// Shares of the volume.
const MYO: f64 = 0.68;
const NSR: f64 = 0.0552;
const JSR: f64 = 0.0048;
const SS: f64 = 0.02;
/// Concentration (mM) that 1 A/F of a univalent ion moves in 1 ms, in cytosol and subspace.
const PER_CURRENT_MYO: f64 = AREA_PER_VOLUME / (FARADAY * MYO);
const PER_CURRENT_SS: f64 = AREA_PER_VOLUME / (FARADAY * SS);

/// Name, unit, description, lowest and highest sensible value; start of Pellegrini et al. (2025), at rest and never paced, after 100 beats.
type Variable = (&'static str, &'static str, &'static str, [f64; 2], [f64; 3]);
const GATE: [f64; 2] = [0.0, 1.0];
#[rustfmt::skip]
const VARIABLES: [Variable; 41] = [
    ("v", "mV", "membrane potential", [-120.0, 80.0], [-87.84, -87.0, -87.999]),
    ("na_i", "mM", "sodium of the cytosol", [0.5, 40.0], [7.23, 7.0, 7.0961]),
    ("na_ss", "mM", "sodium of the subspace", [0.5, 40.0], [7.23, 7.0, 7.0962]),
    ("k_i", "mM", "potassium of the cytosol", [50.0, 200.0], [143.79, 145.0, 144.831]),
    ("k_ss", "mM", "potassium of the subspace", [50.0, 200.0], [143.79, 145.0, 144.831]),
    ("ca_i", "mM", "calcium of the cytosol", [1e-6, 0.02], [8.54e-5, 1e-4, 8.517e-5]),
    ("ca_ss", "mM", "calcium of the subspace", [1e-6, 0.2], [8.43e-5, 1e-4, 8.407e-5]),
    ("ca_nsr", "mM", "calcium of the network reticulum", [0.01, 10.0], [1.61, 1.2, 1.6034]),
    ("ca_jsr", "mM", "calcium of the junctional reticulum", [0.01, 10.0], [1.56, 1.2, 1.5575]),
    ("m", "1", "activation of I_Na", GATE, [0.0074621, 0.0, 0.0073463]),
    ("h_fast", "1", "fast inactivation of I_Na", GATE, [0.692591, 1.0, 0.698005]),
    ("h_slow", "1", "slow inactivation of I_Na", GATE, [0.692574, 1.0, 0.697988]),
    ("j", "1", "recovery of I_Na from inactivation", GATE, [0.692477, 1.0, 0.697895]),
    ("h_camk_slow", "1", "h_slow, phosphorylated", GATE, [0.448501, 1.0, 0.454832]),
    ("j_camk", "1", "j, phosphorylated", GATE, [0.692413, 1.0, 0.697832]),
    ("m_l", "1", "activation of late I_Na", GATE, [0.000194015, 0.0, 0.000188367]),
    ("h_l", "1", "inactivation of late I_Na", GATE, [0.496116, 1.0, 0.501152]),
    ("h_l_camk", "1", "h_l, phosphorylated", GATE, [0.265885, 1.0, 0.269474]),
    ("a", "1", "activation of I_to", GATE, [0.00101185, 0.0, 0.0010013]),
    ("i_fast", "1", "fast inactivation of I_to", GATE, [0.999542, 1.0, 0.999554]),
    ("i_slow", "1", "slow inactivation of I_to", GATE, [0.589579, 1.0, 0.59002]),
    ("a_camk", "1", "a, phosphorylated", GATE, [0.000515567, 0.0, 0.000510187]),
    ("i_camk_fast", "1", "i_fast, phosphorylated", GATE, [0.999542, 1.0, 0.999554]),
    ("i_camk_slow", "1", "i_slow, phosphorylated", GATE, [0.641861, 1.0, 0.642504]),
    ("d", "1", "activation of I_CaL", GATE, [2.43015e-9, 0.0, 2.34242e-9]),
    ("f_fast", "1", "fast inactivation of I_CaL by potential", GATE, [1.0, 1.0, 1.0]),
    ("f_slow", "1", "slow inactivation of I_CaL by potential", GATE, [0.910671, 1.0, 0.909374]),
    ("f_ca_fast", "1", "fast inactivation of I_CaL by calcium", GATE, [1.0, 1.0, 1.0]),
    ("f_ca_slow", "1", "slow inactivation of I_CaL by calcium", GATE, [0.99982, 1.0, 0.999816]),
    ("j_ca", "1", "recovery of I_CaL from inactivation by calcium", GATE, [0.999977, 1.0, 0.999976]),
    ("n", "1", "share of I_CaL in the calcium-dependent mode", GATE, [0.00267171, 0.0, 0.00264392]),
    ("f_camk_fast", "1", "f_fast, phosphorylated", GATE, [1.0, 1.0, 1.0]),
    ("f_ca_camk_fast", "1", "f_ca_fast, phosphorylated", GATE, [1.0, 1.0, 1.0]),
    ("x_r_fast", "1", "fast activation of I_Kr", GATE, [8.26608e-6, 0.0, 8.07617e-6]),
    ("x_r_slow", "1", "slow activation of I_Kr", GATE, [0.453268, 0.0, 0.451824]),
    ("x_s1", "1", "activation of I_Ks", GATE, [0.270492, 0.0, 0.272764]),
    ("x_s2", "1", "second activation of I_Ks", GATE, [0.0001963, 0.0, 0.00019291]),
    ("x_k1", "1", "inactivation of I_K1", GATE, [0.996801, 1.0, 0.996761]),
    ("j_rel_np", "mM/ms", "release of calcium, not phosphorylated", [0.0, 50.0], [2.53943e-5, 0.0, 2.42472e-7]),
    ("j_rel_camk", "mM/ms", "release of calcium, phosphorylated", [0.0, 50.0], [3.17262e-7, 0.0, 3.02932e-7]),
    ("camk_trap", "1", "share of CaMK that is trapped", GATE, [0.0124065, 0.0, 0.0122479]),
];

fn preset(
    name: &str,
    description: &str,
    start: Option<usize>,
    parameters: &[(&str, f64)],
) -> Preset {
    let x0 = start
        .map(|k| VARIABLES.iter().map(|v| (v.0.to_owned(), v.4[k])).collect())
        .unwrap_or_default();
    let parameters = parameters
        .iter()
        .map(|(n, v)| ((*n).to_owned(), *v))
        .collect();
    Preset {
        name: name.into(),
        description: description.into(),
        x0,
        parameters,
        spike_threshold: None,
    }
}

impl Model for OHaraRudy {
    fn definition(&self) -> Spec {
        let q = Quantity::new;
        let conductance = |name: &str, description: &str, default: f64| {
            q(name, "mS/uF", description, default, [0.0, 1e3])
        };
        let permeability = |name: &str, description: &str, default: f64| {
            q(name, "cm/s", description, default, [0.0, 1.0])
        };
        let concentration = |name: &str, description: &str, default: f64| {
            q(name, "mM", description, default, [0.1, 500.0])
        };
        let buffer = |name: &str, description: &str, default: f64| {
            q(name, "mM", description, default, [0.0, 1e3])
        };
        let factor = |name: &str, description: &str, default: f64| {
            q(name, "1", description, default, [0.0, 100.0])
        };
        Spec {
            id: "ohara-rudy-2011".into(),
            title: "human ventricular cell".into(),
            citation: "O'Hara, Virag, Varro, Rudy (2011) PLoS Comput. Biol. 7:e1002061, doi:10.1371/journal.pcbi.1002061".into(),
            time_unit: "ms".into(),
            stimulus_unit: "A/F".into(),
            variables: VARIABLES.iter().map(|(name, unit, description, range, x0)| q(name, unit, description, x0[0], *range)).collect(),
            parameters: vec![
                conductance("g_na", "conductance of I_Na", 75.0),
                conductance("g_na_l", "conductance of late I_Na", 0.0075),
                conductance("g_to", "conductance of I_to", 0.02),
                permeability("p_ca", "permeability of I_CaL to calcium", 1e-4),
                conductance("g_kr", "conductance of I_Kr at k_o = 5.4", 0.046),
                conductance("g_ks", "conductance of I_Ks", 0.0034),
                conductance("g_k1", "conductance of I_K1 at k_o = 1", 0.1908),
                conductance("g_kb", "conductance of the background potassium current", 0.003),
                conductance("g_na_ca", "strength of the sodium-calcium exchanger", 0.0008),
                conductance("p_na_k", "strength of the sodium-potassium pump", 30.0),
                permeability("p_na_b", "permeability of the background sodium current", 3.75e-10),
                permeability("p_ca_b", "permeability of the background calcium current", 2.5e-8),
                conductance("g_p_ca", "strength of the sarcolemmal calcium pump", 0.0005),
                q("p_k_na", "1", "permeability of I_Ks to sodium relative to potassium", 0.01833, [0.0, 1.0]),
                concentration("na_o", "extracellular sodium", 140.0),
                concentration("k_o", "extracellular potassium", 5.4),
                concentration("ca_o", "extracellular calcium", 1.8),
                q("temperature", "K", "temperature", 310.0, [270.0, 320.0]),
                q("delta_epi", "1", "slowing of I_to's inactivation below -70 mV", 0.0, [0.0, 0.99]),
                factor("f_rel", "release of calcium relative to the endocardial cell", 1.0),
                factor("f_up", "uptake of calcium relative to the endocardial cell", 1.0),
                buffer("cmdn_max", "calmodulin", 0.05),
                buffer("trpn_max", "troponin", 0.07),
                buffer("csqn_max", "calsequestrin", 10.0),
                q("camk_o", "1", "share of CaMK that calmodulin can bind at rest", 0.05, [0.0, 1.0]),
                q("beta_tau", "ms", "time constant of release", 4.75, [0.01, 1e3]),
                q("tau_tr", "ms", "transfer from network to junctional reticulum", 100.0, [0.1, 1e5]),
                q("tau_h_l", "ms", "inactivation of late I_Na", 200.0, [0.1, 1e5]),
            ],
            membrane_potential: Some("v".into()),
            spike_threshold: Some(0.0),
            presets: vec![
                preset(
                    "epi",
                    "epicardial cell",
                    None,
                    &[
                        ("g_na_l", 0.0045),
                        ("g_to", 0.08),
                        ("p_ca", 1.2e-4),
                        ("g_kr", 0.0598),
                        ("g_ks", 0.00476),
                        ("g_k1", 0.22896),
                        ("g_kb", 0.0018),
                        ("g_na_ca", 0.00088),
                        ("p_na_k", 27.0),
                        ("delta_epi", 0.95),
                        ("f_up", 1.3),
                        ("cmdn_max", 0.065),
                    ],
                ),
                preset(
                    "mid",
                    "mid-myocardial cell",
                    None,
                    &[
                        ("g_to", 0.08),
                        ("p_ca", 2.5e-4),
                        ("g_kr", 0.0368),
                        ("g_k1", 0.24804),
                        ("g_na_ca", 0.00112),
                        ("p_na_k", 21.0),
                        ("f_rel", 1.7),
                    ],
                ),
                preset("quiet", "start of the authors' code, never paced", Some(1), &[]),
                preset("paced", "after 100 beats at 1 Hz (80 A/F for 0.5 ms), endocardial", Some(2), &[]),
            ],
            trained_on: None,
        }
    }

    /// Conductances at k_o; R T / F in mV in the place of the temperature; reciprocals of the last two.
    #[inline(always)]
    fn derive<S: Real>(&self, q: &mut [S]) {
        let k_o = q[15];
        q[4] = q[4] * (k_o * (1.0 / 5.4)).sqrt();
        q[6] = q[6] * k_o.sqrt();
        q[17] = q[17] * (GAS / FARADAY);
        q[26] = S::constant(1.0) / q[26];
        q[27] = S::constant(1.0) / q[27];
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        #[rustfmt::skip]
        let &[
            v, na_i, na_ss, k_i, k_ss, ca_i, ca_ss, ca_nsr, ca_jsr,
            m, h_fast, h_slow, j, h_camk_slow, j_camk, m_l, h_l, h_l_camk,
            a, i_fast, i_slow, a_camk, i_camk_fast, i_camk_slow,
            d, f_fast, f_slow, f_ca_fast, f_ca_slow, j_ca, n, f_camk_fast, f_ca_camk_fast,
            x_r_fast, x_r_slow, x_s1, x_s2, x_k1, j_rel_np, j_rel_camk, camk_trap,
        ] = x else { unreachable!("41 variables") };
        #[rustfmt::skip]
        let &[
            g_na, g_na_l, g_to, p_ca, g_kr, g_ks, g_k1, g_kb, g_na_ca, p_na_k, p_na_b, p_ca_b, g_p_ca, p_k_na,
            na_o, k_o, ca_o, thermal, delta_epi, f_rel, f_up, cmdn_max, trpn_max, csqn_max, camk_o, beta_tau, per_tau_tr, per_tau_h_l,
        ] = q else { unreachable!("28 parameters") };
        let one = S::constant(1.0);
        let constant = S::constant;
        let square = |y: S| y * y;
        // exp((v + shift) / width)
        let exp = |shift: f64, width: f64| ((v + shift) * (1.0 / width)).exp();
        // 1 / (1 + exp((v + shift) / width)): falls with v where the width is positive.
        let falling = |shift: f64, width: f64| one / (exp(shift, width) + 1.0);
        let rising = |shift: f64, width: f64| falling(shift, -width);
        // The rate 1 / (c + 1/s).
        let after = |c: f64, s: S| s / (s * c + 1.0);

        let phi = v / thermal;
        let v_na = thermal * (na_o / na_i).ln();
        let v_k = thermal * (k_o / k_i).ln();
        let v_ks = thermal * ((k_o + p_k_na * na_o) / (k_i + p_k_na * na_i)).ln();
        let camk_bound = camk_o * (one - camk_trap) * ca_ss / (ca_ss + 0.0015);
        let camk = camk_bound + camk_trap;
        let phosphorylated = camk / (camk + 0.15);
        let mix = |np: S, camk: S| np + phosphorylated * (camk - np);

        // I_Na, fast and late.
        let rate_m = exp(11.64, 34.77) * 6.765 + exp(77.42, -5.955) * 8.552;
        let e_h = exp(82.9, 6.086);
        let h_inf = one / (e_h + 1.0);
        let rate_h_slow = exp(17.95, -28.05) * 0.009794 + exp(5.73, 56.66) * 0.3343;
        let rate_j = after(
            2.038,
            exp(100.6, -8.281) * 0.02136 + exp(0.9941, 38.45) * 0.3052,
        );
        let e_h_l = exp(87.61, 7.488);
        let i_na = g_na
            * (v - v_na)
            * m.powi(3)
            * mix(
                (h_fast * 0.99 + h_slow * 0.01) * j,
                (h_fast * 0.99 + h_camk_slow * 0.01) * j_camk,
            );
        let i_na_l = g_na_l * (v - v_na) * m_l * mix(h_l, h_l_camk);

        // I_to.
        let e_a = exp(-14.34, -14.82);
        let e29 = exp(0.0, 29.3814);
        let rate_a = (e29 / ((e29 + Real::exp(18.4099 / 29.3814)) * 1.2089)
            + constant(3.5) / (e29 * Real::exp(100.0 / 29.3814) + 1.0))
            * (1.0 / 1.0515);
        let i_inf = falling(43.94, 5.711);
        let e20 = exp(70.0, 20.0);
        let epi = one / (one - delta_epi / (e20.powi(4) + 1.0));
        let rate_i_fast = after(
            4.562,
            exp(100.0, -100.0) * 0.3933 + exp(50.0, 16.59) * 0.08004,
        ) * epi;
        let rate_i_slow = after(
            23.62,
            exp(96.52, -59.05) * 0.001416 + exp(114.1, 8.079) * 1.78e-8,
        ) * epi;
        // 1e-4 / (exp((v - 167.4) / 15.89) + exp((12.23 - v) / 0.2154)) without overflow on either side.
        let step = ((v - 12.23) * (1.0 / 0.2154)).min(constant(600.0)).exp();
        let develop = step * 1e-4 / (exp(-167.4, 15.89) * step + 1.0) + 1.354;
        let recover = one - constant(0.5) / (e20 + 1.0);
        let faster = one / (develop * recover);
        let w_i = falling(-213.6, 151.2);
        let inactivated = |fast: S, slow: S| slow + w_i * (fast - slow);
        let i_to = g_to
            * (v - v_k)
            * mix(
                a * inactivated(i_fast, i_slow),
                a_camk * inactivated(i_camk_fast, i_camk_slow),
            );

        // I_CaL. Time constants c + 1/(s (exp(-y) + exp(y))) with both exponentials from one.
        let rate_d = after(0.6, exp(6.0, -20.0) + exp(14.0, 1.0 / 0.09));
        let f_inf = falling(19.58, 3.696);
        let e10 = exp(20.0, 10.0);
        let both = square(e10) + 1.0;
        let rate_f_fast = both * 0.0045 / (both * (7.0 * 0.0045) + e10);
        let e12 = exp(5.0, 12.0);
        let both = e12.powi(5) + 1.0;
        let rate_f_slow = both * 3.5e-5 / (both * (1000.0 * 3.5e-5) + e12.powi(3));
        let e7 = exp(-4.0, 7.0);
        let both = square(e7) + 1.0;
        let rate_f_ca_fast = both * 0.04 / (both * (7.0 * 0.04) + e7);
        let rate_f_ca_slow = after(100.0, (exp(0.0, -3.0) + e7 * Real::exp(4.0 / 7.0)) * 1.2e-4);
        let w_c = constant(0.6) / (e10 * Real::exp(-3.0) + 1.0) + 0.3;
        let by_voltage = |fast: S| fast * 0.6 + f_slow * 0.4;
        let by_calcium = |fast: S| f_ca_slow + w_c * (fast - f_ca_slow);
        let open = |f: S, f_ca: S| f + n * (j_ca * f_ca - f);
        let open_ca_l = d * mix(
            open(by_voltage(f_fast), by_calcium(f_ca_fast)),
            open(by_voltage(f_camk_fast), by_calcium(f_ca_camk_fast)) * 1.1,
        );
        // y / (e^y - 1) for y = phi and y = 2 phi, from one exponential.
        let driven = phi.x_over_exp_m1();
        let driven_twice = square(driven) * 2.0 / (phi + driven * 2.0);
        // Goldman's z^2 F phi (c_in exp(z phi) - c_out) / (exp(z phi) - 1)
        let univalent = |c_in: S, c_out: S| ((c_in - c_out) * driven + c_in * phi) * FARADAY;
        let divalent = |c_in: S, c_out: S| {
            ((c_in - c_out) * driven_twice + c_in * phi * 2.0) * (2.0 * FARADAY)
        };
        let p_open = p_ca * open_ca_l;
        let i_ca_l = p_open * divalent(ca_ss, ca_o * 0.341);
        let i_ca_na = p_open * 0.00125 * univalent(na_ss * 0.75, na_o * 0.75);
        let i_ca_k = p_open * 3.574e-4 * univalent(k_ss * 0.75, k_o * 0.75);

        // Other potassium currents.
        let x_r_inf = rising(8.337, 6.789);
        let rate_x_r_fast = after(
            12.98,
            exp(-31.66, 3.869) * 0.3652 + exp(-47.78, -20.38) * 4.123e-5,
        );
        let rate_x_r_slow = after(
            1.865,
            exp(-34.7, 7.355) * 0.06629 + exp(-29.74, -25.94) * 1.128e-5,
        );
        let w_r = falling(54.81, 38.21);
        let i_kr = g_kr * (x_r_slow + w_r * (x_r_fast - x_r_slow)) * (v - v_k)
            / ((exp(55.0, 75.0) + 1.0) * (exp(-10.0, 30.0) + 1.0));
        let x_s_inf = rising(11.6, 8.932);
        let rate_x_s1 = after(
            817.3,
            exp(48.28, 17.8) * 2.326e-4 + exp(210.0, -230.0) * 0.001292,
        );
        let rate_x_s2 = exp(-50.0, 20.0) * 0.01 + exp(66.54, -31.0) * 0.0193;
        let by_calcium_s = constant(0.6) / ((constant(3.8e-5) / ca_i).powf(1.4) + 1.0) + 1.0;
        let i_ks = g_ks * by_calcium_s * x_s1 * x_s2 * (v - v_ks);
        let x_k1_inf = ((v + k_o * 2.5538 + 144.59) / (k_o * 1.5692 + 3.8115)).logistic();
        let rate_x_k1 = (exp(127.2, -20.36) + exp(236.8, 69.33)) * (1.0 / 122.2);
        let i_k1 =
            g_k1 * x_k1 * (v - v_k) / (((v + 105.8 - k_o * 2.6) * (1.0 / 9.493)).exp() + 1.0);
        let i_kb = g_kb * rising(-14.48, 18.34) * (v - v_k);

        // Exchanger, pumps and background.
        let exchanger = Exchanger::new(phi, na_o, ca_o);
        let i_na_ca_i = g_na_ca * 0.8 * exchanger.current(na_i, ca_i);
        let i_na_ca_ss = g_na_ca * 0.2 * exchanger.current(na_ss, ca_ss);
        let i_na_k = p_na_k * pump(phi, na_i, k_i, na_o, k_o);
        let i_na_b = p_na_b * univalent(na_i, na_o);
        let i_ca_b = p_ca_b * divalent(ca_i, ca_o * 0.341);
        let i_p_ca = g_p_ca * ca_i / (ca_i + 0.0005);

        // Fluxes inside.
        let j_diff_na = (na_ss - na_i) * 0.5;
        let j_diff_k = (k_ss - k_i) * 0.5;
        let j_diff_ca = (ca_ss - ca_i) * 5.0;
        let tau_rel = beta_tau * ca_jsr / (ca_jsr + 0.0123);
        let ca_jsr_8 = ca_jsr.powi(8);
        let rel_inf = f_rel * beta_tau * -0.5 * i_ca_l * ca_jsr_8 / (ca_jsr_8 + 25.628_906_25);
        let shortest = constant(0.001);
        let j_rel = mix(j_rel_np, j_rel_camk);
        let j_up =
            f_up * 0.004375 * ca_i * mix(one / (ca_i + 0.00092), constant(2.75) / (ca_i + 0.00075))
                - ca_nsr * (0.0039375 / 15.0);
        let j_tr = (ca_nsr - ca_jsr) * per_tau_tr;
        // 1 / (1 + b1 k1 / (k1 + c)^2 + b2 k2 / (k2 + c)^2)
        let unbuffered = |c: S, b1: S, k1: f64, b2: S, k2: f64| {
            let (s1, s2) = (square(c + k1), square(c + k2));
            let product = s1 * s2;
            product / (product + b1 * k1 * s2 + b2 * k2 * s1)
        };

        let i_sodium = i_na + i_na_l + i_na_b;
        let i_potassium = i_to + i_kr + i_ks + i_k1 + i_kb - i_stim;
        dx[0] = -(i_sodium
            + i_potassium
            + i_ca_l
            + i_ca_na
            + i_ca_k
            + i_na_ca_i
            + i_na_ca_ss
            + i_na_k
            + i_p_ca
            + i_ca_b);
        dx[1] = j_diff_na * (SS / MYO) - (i_sodium + (i_na_ca_i + i_na_k) * 3.0) * PER_CURRENT_MYO;
        dx[2] = -(i_ca_na + i_na_ca_ss * 3.0) * PER_CURRENT_SS - j_diff_na;
        dx[3] = j_diff_k * (SS / MYO) - (i_potassium - i_na_k * 2.0) * PER_CURRENT_MYO;
        dx[4] = -i_ca_k * PER_CURRENT_SS - j_diff_k;
        dx[5] = unbuffered(ca_i, cmdn_max, 0.00238, trpn_max, 0.0005)
            * (j_diff_ca * (SS / MYO)
                - j_up * (NSR / MYO)
                - (i_p_ca + i_ca_b - i_na_ca_i * 2.0) * (0.5 * PER_CURRENT_MYO));
        dx[6] = unbuffered(ca_ss, constant(0.047), 0.00087, constant(1.124), 0.0087)
            * (j_rel * (JSR / SS)
                - j_diff_ca
                - (i_ca_l - i_na_ca_ss * 2.0) * (0.5 * PER_CURRENT_SS));
        dx[7] = j_up - j_tr * (JSR / NSR);
        dx[8] = (j_tr - j_rel) * square(ca_jsr + 0.8) / (square(ca_jsr + 0.8) + csqn_max * 0.8);

        let rate_f_phosphorylated = 1.0 / 2.5;
        let gates = [
            (m, rising(39.57, 9.871), rate_m),
            (
                h_fast,
                h_inf,
                exp(1.196, -6.285) * 1.432e-5 + exp(0.5096, 20.27) * 6.149,
            ),
            (h_slow, h_inf, rate_h_slow),
            (j, h_inf, rate_j),
            (
                h_camk_slow,
                one / (e_h * Real::exp(6.2 / 6.086) + 1.0),
                rate_h_slow * (1.0 / 3.0),
            ),
            (j_camk, h_inf, rate_j * (1.0 / 1.46)),
            (m_l, rising(42.85, 5.264), rate_m),
            (h_l, one / (e_h_l + 1.0), per_tau_h_l),
            (
                h_l_camk,
                one / (e_h_l * Real::exp(6.2 / 7.488) + 1.0),
                per_tau_h_l * (1.0 / 3.0),
            ),
            (a, one / (e_a + 1.0), rate_a),
            (i_fast, i_inf, rate_i_fast),
            (i_slow, i_inf, rate_i_slow),
            (a_camk, one / (e_a * Real::exp(10.0 / 14.82) + 1.0), rate_a),
            (i_camk_fast, i_inf, rate_i_fast * faster),
            (i_camk_slow, i_inf, rate_i_slow * faster),
            (d, rising(3.94, 4.23), rate_d),
            (f_fast, f_inf, rate_f_fast),
            (f_slow, f_inf, rate_f_slow),
            (f_ca_fast, f_inf, rate_f_ca_fast),
            (f_ca_slow, f_inf, rate_f_ca_slow),
            (j_ca, f_inf, constant(1.0 / 75.0)),
        ];
        for (i, (x, x_inf, rate)) in gates.into_iter().enumerate() {
            dx[9 + i] = (x_inf - x) * rate;
        }
        // 1000 / (1000 / j_ca + (1 + 0.002 / ca_ss)^4) - n j_ca
        dx[30] =
            j_ca * (constant(1000.0) / (j_ca * ((ca_ss + 0.002) / ca_ss).powi(4) + 1000.0) - n);
        let gates = [
            (f_camk_fast, f_inf, rate_f_fast * rate_f_phosphorylated),
            (
                f_ca_camk_fast,
                f_inf,
                rate_f_ca_fast * rate_f_phosphorylated,
            ),
            (x_r_fast, x_r_inf, rate_x_r_fast),
            (x_r_slow, x_r_inf, rate_x_r_slow),
            (x_s1, x_s_inf, rate_x_s1),
            (x_s2, x_s_inf, rate_x_s2),
            (x_k1, x_k1_inf, rate_x_k1),
        ];
        for (i, (x, x_inf, rate)) in gates.into_iter().enumerate() {
            dx[31 + i] = (x_inf - x) * rate;
        }
        dx[38] = (rel_inf - j_rel_np) / tau_rel.max(shortest);
        dx[39] = (rel_inf * 1.25 - j_rel_camk) / (tau_rel * 1.25).max(shortest);
        dx[40] = camk_bound * camk * 0.05 - camk_trap * 0.00068;
    }

    fn conserved(&self) -> Vec<Conserved> {
        vec![Conserved::new(
            "charge",
            "mM",
            "charge of sodium, potassium and all calcium less that on the membrane, per volume of the cell",
        )]
    }

    fn conserved_values<S: Real>(&self, x: &[S], q: &[S], out: &mut [S]) {
        let &[v, na_i, na_ss, k_i, k_ss, ca_i, ca_ss, ca_nsr, ca_jsr, ..] = x else {
            unreachable!("41 variables")
        };
        let [cmdn_max, trpn_max, csqn_max] = [q[21], q[22], q[23]];
        // Of a buffer with the constant k.
        let bound = |c: S, buffer: S, k: f64| buffer * c / (c + k);
        let total_i = ca_i + bound(ca_i, cmdn_max, 0.00238) + bound(ca_i, trpn_max, 0.0005);
        let total_ss = ca_ss
            + bound(ca_ss, S::constant(0.047), 0.00087)
            + bound(ca_ss, S::constant(1.124), 0.0087);
        let total_jsr = ca_jsr + bound(ca_jsr, csqn_max, 0.8);
        let calcium = total_i * MYO + total_ss * SS + ca_nsr * NSR + total_jsr * JSR;
        out[0] = (na_i + k_i) * MYO + (na_ss + k_ss) * SS + calcium * 2.0
            - v * (AREA_PER_VOLUME / FARADAY);
    }
}

/// The sodium-calcium exchanger's six-state cycle: what its two places, cytosol and subspace, share.
struct Exchanger<S> {
    h_ca: S,
    h_na: S,
    k1: S,
    k3: S,
    k8: S,
    /// Share of the outward-facing states with three sodium ions.
    outside: S,
}

impl<S: Real> Exchanger<S> {
    const NA_1: f64 = 15.0;
    const NA_2: f64 = 5.0;
    const NA_3: f64 = 88.12;
    /// Translocation with sodium or calcium, with both.
    const W: f64 = 6e4;
    const W_BOTH: f64 = 5e3;
    const CA_ON: f64 = 1.5e6;
    const CA_OFF: f64 = 5e3;

    #[inline(always)]
    fn new(phi: S, na_o: S, ca_o: S) -> Self {
        let h_ca = (phi * 0.167).exp();
        let h_na = (phi * 0.5224).exp();
        let places = na_o * (h_na + 1.0) + h_na * Self::NA_3;
        let h10 = na_o * (1.0 / Self::NA_1) * (na_o * (1.0 / Self::NA_2) + 1.0) + 13.5;
        let outside = na_o / places;
        Exchanger {
            h_ca,
            h_na,
            k1: ca_o * Self::CA_ON / h10,
            k3: (h_na * (Self::W * Self::NA_3) + na_o * Self::W_BOTH) / places,
            k8: outside * na_o * na_o * (Self::W / (Self::NA_1 * Self::NA_2)) / h10,
            outside,
        }
    }

    /// Current per unit of strength, from the side with these concentrations.
    #[inline(always)]
    fn current(&self, na: S, ca: S) -> S {
        let Exchanger {
            h_ca,
            h_na,
            k1,
            k3,
            k8,
            outside,
        } = *self;
        let (k2, k5) = (Self::CA_OFF, Self::CA_OFF);
        let per_place = S::constant(1.0) / (na * (h_na + 1.0) + Self::NA_3);
        let inside = na * h_na * per_place;
        let per_h4 =
            S::constant(1.0) / (na * (1.0 / Self::NA_1) * (na * (1.0 / Self::NA_2) + 1.0) + 1.0);
        let k4 = per_place * (Self::W * Self::NA_3) / h_ca + inside * Self::W_BOTH;
        let k6 = ca * Self::CA_ON * per_h4;
        let k7 = inside * na * na * (Self::W / (Self::NA_1 * Self::NA_2)) * per_h4;
        let x1 = k4 * (k7 + k6) * k2 + k7 * (k3 + k2) * k5;
        let x2 = k1 * k7 * (k4 + k5) + k4 * k6 * (k1 + k8);
        let x3 = k1 * k3 * (k7 + k6) + k8 * k6 * (k3 + k2);
        let x4 = k8 * (k4 + k5) * k2 + k3 * (k1 + k8) * k5;
        let j_na = (x4 * k7 - x1 * k8) * 3.0 + (x3 * inside - x2 * outside) * Self::W_BOTH;
        let j_ca = x2 * k2 - x1 * k1;
        let activated = ca * ca / (ca * ca + 1.5e-4 * 1.5e-4);
        activated * (j_na + j_ca * 2.0) / (x1 + x2 + x3 + x4)
    }
}

/// Current of the sodium-potassium pump's four-state cycle, per unit of strength.
#[inline(always)]
fn pump<S: Real>(phi: S, na: S, k: S, na_o: S, k_o: S) -> S {
    const MG_ATP: f64 = 9.8 / 1.698e-7;
    const H: f64 = 1e-7;
    const A2: f64 = 687.2;
    const A4: f64 = 639.0 * MG_ATP / (1.0 + MG_ATP);
    const B1: f64 = 182.4 * 0.05;
    let square = |y: S| y * y;
    let na_in = na * (phi * (0.155 / 3.0)).exp() * (1.0 / 9.073);
    let na_out = na_o * (phi * (-1.155 / 3.0)).exp() * (1.0 / 27.78);
    let (k_in, k_out) = (k * 2.0, k_o * (1.0 / 0.3582));
    let per_inside = S::constant(1.0) / ((na_in + 1.0).powi(3) + square(k_in + 1.0) - 1.0);
    let per_outside = S::constant(1.0) / ((na_out + 1.0).powi(3) + square(k_out + 1.0) - 1.0);
    let a1 = na_in.powi(3) * per_inside * 949.5;
    let a3 = square(k_out) * per_outside * 1899.0;
    let b2 = na_out.powi(3) * per_outside * 39.4;
    let b3 = S::constant(79_300.0 * H * 4.2 / (1.0 + MG_ATP))
        / (na * (1.0 / 224.0) + k * (1.0 / 292.0) + (1.0 + H / 1.698e-7));
    let b4 = square(k_in) * per_inside * 40.0;
    let x1 = a1 * (A4 * A2) + b2 * b4 * b3 + b4 * b3 * A2 + b3 * a1 * A2;
    let x2 = b2 * b4 * B1 + a1 * a3 * A2 + a3 * b4 * B1 + a3 * b4 * A2;
    let x3 = a3 * (A2 * A4) + b3 * b2 * B1 + b2 * (B1 * A4) + a3 * (A4 * B1);
    let x4 = b4 * b3 * b2 + a3 * a1 * A4 + b2 * a1 * A4 + b3 * b2 * a1;
    ((x1 * a3 - x2 * b3) * 3.0 + (x4 * B1 - x3 * a1) * 2.0) / (x1 + x2 + x3 + x4)
}

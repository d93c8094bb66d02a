//! Human ventricular cell with subspace calcium; epicardial by default, `endo` and `mid` as presets.
//!
//! ten Tusscher, Panfilov, Am. J. Physiol. Heart Circ. Physiol. 291 (2006) H1088, doi 10.1152/ajpheart.00109.2006. The steady state and time
//! constant of f2 are those of the authors' code, which the public CellML files share (562 exp(-(v + 27)^2 / 240) + 31 / .. + 80 / .. and a
//! slope of 7 mV), not the printed ones; R and F have that code's digits. The stimulus is carried by potassium. The rates of h and j change
//! their form at -40 mV. Time in ms, currents in A/F (pA/pF), concentrations in mM.
//!
//! ```text
//! v' = -(I_Na + I_bNa + I_K1 + I_to + I_Kr + I_Ks + I_pK + I_CaL + I_bCa + I_pCa + I_NaK + I_NaCa) + i_stim
//! x' = (x_inf - x) / tau_x for the gates
//! ```
//! Every ion that crosses the membrane is accounted for, so one quantity is conserved (Hund, Kucera, Otani, Rudy, Biophys. J. 81 (2001)
//! 3324): the charge inside less that on the membrane, with total calcium Ca = c + c buf / (c + k) in each volume,
//! ```text
//! Q = na_i + k_i + 2 (Ca_i + V_sr / V_c Ca_sr + V_ss / V_c Ca_ss) - v C / (V_c F)
//! ```
//! Derivatives checked against two packages, evaluated with mpmath: pySDC 5.9 (`tentusscher.h`, epicardial, by way of CellML) in all of
//! them, finitewave 0.9.3 in all but those of v, k_i and f2: its I_K1 has its parentheses elsewhere, its f2 other constants. Endocardial and
//! mid-myocardial cells only against mpmath on the equations.

use crate::{
    real::Real,
    spec::{Conserved, Preset, Quantity, Spec},
    system::Model,
};

/// The model.
pub struct TenTusscherPanfilov;

/// Gas constant in mJ/(mol K).
const GAS: f64 = 8314.472;
/// Faraday's constant in C/mol.
const FARADAY: f64 = 96_485.341_5;
/// Capacitance in uF.
const CAPACITANCE: f64 = 0.185;
/// Volumes of cytosol, sarcoplasmic reticulum and subspace, in nl.
const VOLUME_C: f64 = 0.016404;
const VOLUME_SR: f64 = 0.001094;
const VOLUME_SS: f64 = 5.468e-5;
/// Concentration in the cytosol (mM) that 1 A/F of a univalent ion moves in 1 ms.
const PER_CURRENT: f64 = CAPACITANCE / (VOLUME_C * FARADAY);

impl Model for TenTusscherPanfilov {
    fn definition(&self) -> Spec {
        let q = Quantity::new;
        let gate = |name: &str, description: &str, default: f64| {
            q(name, "1", description, default, [0.0, 1.0])
        };
        let conductance = |name: &str, description: &str, default: f64| {
            q(name, "nS/pF", description, default, [0.0, 1e3])
        };
        let concentration = |name: &str, description: &str, default: f64| {
            q(name, "mM", description, default, [0.1, 500.0])
        };
        let values =
            |list: &[(&str, f64)]| list.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        Spec {
            id: "ten-tusscher-panfilov-2006".into(),
            title: "human ventricular cell with subspace calcium".into(),
            citation: "ten Tusscher, Panfilov (2006) Am. J. Physiol. Heart Circ. Physiol. 291:H1088-H1100, doi:10.1152/ajpheart.00109.2006"
                .into(),
            time_unit: "ms".into(),
            stimulus_unit: "A/F".into(),
            variables: vec![
                q("v", "mV", "membrane potential", -85.23, [-120.0, 80.0]),
                q("na_i", "mM", "intracellular sodium", 8.604, [0.5, 40.0]),
                q("k_i", "mM", "intracellular potassium", 136.89, [50.0, 200.0]),
                q("ca_i", "mM", "calcium of the cytosol", 1.26e-4, [1e-6, 0.02]),
                q("ca_sr", "mM", "calcium of the sarcoplasmic reticulum", 3.64, [0.01, 10.0]),
                q("ca_ss", "mM", "calcium of the subspace", 3.6e-4, [1e-6, 2.0]),
                gate("m", "activation of I_Na", 0.00172),
                gate("h", "fast inactivation of I_Na", 0.7444),
                gate("j", "slow inactivation of I_Na", 0.7045),
                gate("d", "activation of I_CaL", 3.373e-5),
                gate("f", "slow inactivation of I_CaL by potential", 0.7888),
                gate("f2", "fast inactivation of I_CaL by potential", 0.9755),
                gate("f_ca_ss", "inactivation of I_CaL by subspace calcium", 0.9953),
                gate("r", "activation of I_to", 2.42e-8),
                gate("s", "inactivation of I_to", 0.999998),
                gate("x_r1", "activation of I_Kr", 0.00621),
                gate("x_r2", "inactivation of I_Kr", 0.4712),
                gate("x_s", "activation of I_Ks", 0.0095),
                gate("r_prime", "fraction of release channels that are not inactivated", 0.9073),
            ],
            parameters: vec![
                conductance("g_na", "conductance of I_Na", 14.838),
                conductance("g_k1", "conductance of I_K1 at k_o = 5.4", 5.405),
                conductance("g_to", "conductance of I_to", 0.294),
                conductance("g_kr", "conductance of I_Kr at k_o = 5.4", 0.153),
                conductance("g_ks", "conductance of I_Ks", 0.392),
                q("g_ca_l", "cm^3/(ms uF)", "permeability of I_CaL", 3.98e-5, [0.0, 1.0]),
                conductance("g_p_k", "conductance of I_pK", 0.0146),
                q("g_p_ca", "A/F", "largest I_pCa", 0.1238, [0.0, 1e3]),
                conductance("g_b_na", "conductance of I_bNa", 0.00029),
                conductance("g_b_ca", "conductance of I_bCa", 0.000592),
                q("p_na_k", "A/F", "largest I_NaK", 2.724, [0.0, 1e3]),
                q("k_na_ca", "A/F", "largest I_NaCa", 1000.0, [0.0, 1e6]),
                q("p_k_na", "1", "permeability of I_Ks to sodium relative to potassium", 0.03, [0.0, 1.0]),
                concentration("na_o", "extracellular sodium", 140.0),
                concentration("k_o", "extracellular potassium", 5.4),
                concentration("ca_o", "extracellular calcium", 2.0),
                q("temperature", "K", "temperature", 310.0, [270.0, 320.0]),
                q("v_max_up", "mM/ms", "largest uptake of calcium", 0.006375, [0.0, 10.0]),
                q("v_leak", "1/ms", "leak of the reticulum", 0.00036, [0.0, 10.0]),
                q("v_rel", "1/ms", "largest release of calcium", 0.102, [0.0, 1e3]),
                q("v_xfer", "1/ms", "diffusion from subspace to cytosol", 0.0038, [0.0, 10.0]),
                q("buf_c", "mM", "buffer of the cytosol", 0.2, [0.0, 100.0]),
                q("buf_sr", "mM", "buffer of the reticulum", 10.0, [0.0, 1e3]),
                q("buf_ss", "mM", "buffer of the subspace", 0.4, [0.0, 100.0]),
                q("v_s", "mV", "half inactivation of s", -20.0, [-100.0, 100.0]),
                q("tau_s_peak", "ms", "time constant of s: height of the bell", 85.0, [0.0, 1e4]),
                q("tau_s_centre", "mV", "time constant of s: center of the bell", -45.0, [-200.0, 200.0]),
                q("tau_s_width", "mV^2", "time constant of s: squared width of the bell", 320.0, [1.0, 1e5]),
                q("tau_s_step", "ms", "time constant of s: step at 20 mV", 5.0, [0.0, 1e4]),
                q("tau_s_floor", "ms", "time constant of s: smallest", 3.0, [0.1, 1e4]),
            ],
            membrane_potential: Some("v".into()),
            spike_threshold: Some(0.0),
            presets: vec![
                Preset {
                    name: "endo".into(),
                    description: "endocardial cell".into(),
                    x0: Vec::new(),
                    parameters: values(&[
                        ("g_to", 0.073),
                        ("v_s", -28.0),
                        ("tau_s_peak", 1000.0),
                        ("tau_s_centre", -67.0),
                        ("tau_s_width", 1000.0),
                        ("tau_s_step", 0.0),
                        ("tau_s_floor", 8.0),
                    ]),
                    spike_threshold: None,
                },
                Preset {
                    name: "mid".into(),
                    description: "mid-myocardial cell".into(),
                    x0: Vec::new(),
                    parameters: values(&[("g_ks", 0.098)]),
                    spike_threshold: None,
                },
                Preset {
                    name: "quiet".into(),
                    description: "start of the authors' code, never paced".into(),
                    x0: values(&[
                        ("v", -86.2),
                        ("na_i", 7.67),
                        ("k_i", 138.3),
                        ("ca_i", 7e-5),
                        ("ca_sr", 1.3),
                        ("ca_ss", 7e-5),
                        ("m", 0.0),
                        ("h", 0.75),
                        ("j", 0.75),
                        ("d", 0.0),
                        ("f", 1.0),
                        ("f2", 1.0),
                        ("f_ca_ss", 1.0),
                        ("r", 0.0),
                        ("s", 1.0),
                        ("x_r1", 0.0),
                        ("x_r2", 1.0),
                        ("x_s", 0.0),
                        ("r_prime", 1.0),
                    ]),
                    parameters: Vec::new(),
                    spike_threshold: None,
                },
            ],
            trained_on: None,
        }
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        let &[
            v,
            na_i,
            k_i,
            ca_i,
            ca_sr,
            ca_ss,
            m,
            h,
            j,
            d,
            f,
            f2,
            f_ca_ss,
            r,
            s,
            x_r1,
            x_r2,
            x_s,
            r_prime,
        ] = x
        else {
            unreachable!("nineteen variables")
        };
        let &[
            g_na,
            g_k1,
            g_to,
            g_kr,
            g_ks,
            g_ca_l,
            g_p_k,
            g_p_ca,
            g_b_na,
            g_b_ca,
            p_na_k,
            k_na_ca,
            p_k_na,
            na_o,
            k_o,
            ca_o,
            temperature,
            v_max_up,
            v_leak,
            v_rel,
            v_xfer,
            buf_c,
            buf_sr,
            buf_ss,
            v_s,
            tau_s_peak,
            tau_s_centre,
            tau_s_width,
            tau_s_step,
            tau_s_floor,
        ] = q
        else {
            unreachable!("thirty parameters")
        };
        let one = S::constant(1.0);
        let constant = S::constant;
        let square = |y: S| y * y;
        // exp((v + shift) * slope)
        let exp = |shift: f64, slope: f64| ((v + shift) * slope).exp();
        // exp((v + shift) / width) for three widths, from one exponential.
        let [base20, base10, base5] = {
            let e = exp(0.0, 1.0 / 20.0);
            [e, e * e, square(e * e)]
        };
        let e20 = |shift: f64| base20 * Real::exp(shift / 20.0);
        let e10 = |shift: f64| base10 * Real::exp(shift / 10.0);
        let e5 = |shift: f64| base5 * Real::exp(shift / 5.0);

        // Potentials.
        let thermal = temperature * (GAS / FARADAY);
        let phi = v / thermal;
        let v_na = thermal * (na_o / na_i).ln();
        let v_k = thermal * (k_o / k_i).ln();
        let v_ks = thermal * ((k_o + p_k_na * na_o) / (k_i + p_k_na * na_i)).ln();
        let v_ca = thermal * 0.5 * (ca_o / ca_i).ln();
        let by_k_o = (k_o * (1.0 / 5.4)).sqrt();

        // Sodium.
        let m_inf = one / square(exp(56.86, -1.0 / 9.03) + 1.0);
        let (m_a, m_b, m_c) = (
            one + one / e5(60.0),
            e5(35.0) + 1.0,
            exp(-50.0, 1.0 / 200.0) + 1.0,
        );
        let rate_m = m_a * m_b * m_c * 10.0 / (m_b + m_c);
        let hj_inf = one / square(exp(71.55, 1.0 / 7.43) + 1.0);
        let polarized = v.lt(constant(-40.0));
        let rate_h = S::select(
            polarized,
            exp(80.0, -1.0 / 6.8) * 0.057 + exp(0.0, 0.079) * 2.7 + exp(0.0, 0.3485) * 3.1e5,
            constant(0.77 / 0.13) / (exp(10.66, -1.0 / 11.1) + 1.0),
        );
        let alpha_j = (exp(0.0, 0.2444) * -2.5428e4 - exp(0.0, -0.04391) * 6.948e-6) * (v + 37.78)
            / (exp(79.23, 0.311) + 1.0);
        let beta_j = exp(0.0, -0.01052) * 0.02424 / (exp(40.14, -0.1378) + 1.0);
        let rate_j = S::select(
            polarized,
            alpha_j + beta_j,
            exp(0.0, 0.057) * 0.6 / (one + one / e10(32.0)),
        );
        let i_na = g_na * m.powi(3) * h * j * (v - v_na);
        let i_b_na = g_b_na * (v - v_na);

        // Calcium through the membrane.
        let d_inf = one / (exp(8.0, -1.0 / 7.5) + 1.0);
        let (d_a, d_b, d_c) = (
            exp(35.0, -1.0 / 13.0) + 1.0,
            e5(5.0) + 1.0,
            one + one / e20(-50.0),
        );
        let rate_d = d_a * d_b * d_c / ((d_a * 0.25 + 1.4) * d_c * 1.4 + d_a * d_b);
        let f_inf = one / (exp(20.0, 1.0 / 7.0) + 1.0);
        let after_30 = one / (e10(30.0) + 1.0);
        let bell = |center: f64, width: f64| (square(v - center) * (-1.0 / width)).exp();
        let tau_f = bell(-27.0, 225.0) * 1102.5
            + base10 * 200.0 / (base10 + Real::exp(1.3))
            + after_30 * 180.0
            + 20.0;
        let f2_inf = constant(0.67) / (exp(35.0, 1.0 / 7.0) + 1.0) + 0.33;
        let tau_f2 = bell(-27.0, 240.0) * 562.0
            + base10 * 31.0 / (base10 + Real::exp(2.5))
            + after_30 * 80.0;
        let free = one / (square(ca_ss * 20.0) + 1.0);
        // The limit at 15 mV: y / (e^y - 1) and y e^y / (e^y - 1), y = 2 (v - 15) F / (R T).
        let y = (v - 15.0) * 2.0 / thermal;
        let driven = y.x_over_exp_m1();
        let i_ca_l = g_ca_l
            * d
            * f
            * f2
            * f_ca_ss
            * (ca_ss * 0.25 * (driven + y) - ca_o * driven)
            * (2.0 * FARADAY);
        let i_b_ca = g_b_ca * (v - v_ca);
        let i_p_ca = g_p_ca * ca_i / (ca_i + 0.0005);

        // Potassium.
        let r_inf = one / (exp(-20.0, -1.0 / 6.0) + 1.0);
        let tau_r = bell(-40.0, 1800.0) * 9.5 + 0.8;
        let s_inf = one / (((v - v_s) * 0.2).exp() + 1.0);
        let tau_s = tau_s_peak * (-square(v - tau_s_centre) / tau_s_width).exp()
            + tau_s_step / (e5(-20.0) + 1.0)
            + tau_s_floor;
        let i_to = g_to * r * s * (v - v_k);
        let x_r1_inf = one / (exp(26.0, -1.0 / 7.0) + 1.0);
        let rate_x_r1 =
            (one + one / e10(45.0)) * (exp(30.0, 1.0 / 11.5) + 1.0) * (1.0 / (450.0 * 6.0));
        let x_r2_inf = one / (exp(88.0, 1.0 / 24.0) + 1.0);
        let rate_x_r2 = (one + one / e20(60.0)) * (e20(-60.0) + 1.0) * (1.0 / (3.0 * 1.12));
        let i_kr = g_kr * by_k_o * x_r1 * x_r2 * (v - v_k);
        let x_s_inf = one / (exp(5.0, -1.0 / 14.0) + 1.0);
        let tau_x_s = constant(1400.0)
            / ((exp(-5.0, -1.0 / 6.0) + 1.0).sqrt() * (exp(-35.0, 1.0 / 15.0) + 1.0))
            + 80.0;
        let i_ks = g_ks * square(x_s) * (v - v_ks);
        let u = v - v_k;
        let alpha_k1 = constant(0.1) / (((u - 200.0) * 0.06).exp() + 1.0);
        let beta_k1 = (((u + 100.0) * 0.0002).exp() * 3.0 + ((u - 10.0) * 0.1).exp())
            / ((u * -0.5).exp() + 1.0);
        let i_k1 = g_k1 * by_k_o * alpha_k1 / (alpha_k1 + beta_k1) * u;
        let i_p_k = g_p_k / (exp(-25.0, -1.0 / 5.98) + 1.0) * u;

        // Pump and exchanger, gamma = 0.35.
        let minus = (-phi).exp();
        let into = (phi * 0.35).exp();
        let out = into * minus;
        let i_na_k = p_na_k * k_o / (k_o + 1.0) * na_i
            / ((na_i + 40.0) * ((phi * -0.1).exp() * 0.1245 + minus * 0.0353 + 1.0));
        let na_o3 = na_o.powi(3);
        let i_na_ca = k_na_ca * (into * na_i.powi(3) * ca_o - out * na_o3 * ca_i * 2.5)
            / ((na_o3 + 87.5 * 87.5 * 87.5) * (ca_o + 1.38) * (out * 0.1 + 1.0));

        // Calcium inside.
        let kcasr = constant(2.5) - constant(1.5) * square(ca_sr) / (square(ca_sr) + 1.5 * 1.5);
        let bound = square(ca_ss) * 0.15;
        let open = bound * r_prime / (kcasr * 0.06 + bound);
        let j_rel = v_rel * open * (ca_sr - ca_ss);
        let j_up = v_max_up * square(ca_i) / (square(ca_i) + 0.00025 * 0.00025);
        let j_leak = v_leak * (ca_sr - ca_i);
        let j_xfer = v_xfer * (ca_ss - ca_i);
        let unbuffered = |ca: S, buffer: S, k: f64| square(ca + k) / (square(ca + k) + buffer * k);

        let i_potassium = i_k1 + i_to + i_kr + i_ks + i_p_k - i_stim;
        dx[0] = -(i_potassium + i_na + i_b_na + i_ca_l + i_b_ca + i_p_ca + i_na_k + i_na_ca);
        dx[1] = (i_na + i_b_na + (i_na_k + i_na_ca) * 3.0) * -PER_CURRENT;
        dx[2] = (i_potassium - i_na_k * 2.0) * -PER_CURRENT;
        dx[3] = unbuffered(ca_i, buf_c, 0.001)
            * ((j_leak - j_up) * (VOLUME_SR / VOLUME_C) + j_xfer
                - (i_b_ca + i_p_ca - i_na_ca * 2.0) * (0.5 * PER_CURRENT));
        dx[4] = unbuffered(ca_sr, buf_sr, 0.3) * (j_up - j_rel - j_leak);
        dx[5] = unbuffered(ca_ss, buf_ss, 0.00025)
            * (j_rel * (VOLUME_SR / VOLUME_SS)
                - j_xfer * (VOLUME_C / VOLUME_SS)
                - i_ca_l * (0.5 * PER_CURRENT * VOLUME_C / VOLUME_SS));
        dx[6] = (m_inf - m) * rate_m;
        dx[7] = (hj_inf - h) * rate_h;
        dx[8] = (hj_inf - j) * rate_j;
        dx[9] = (d_inf - d) * rate_d;
        dx[10] = (f_inf - f) / tau_f;
        dx[11] = (f2_inf - f2) / tau_f2;
        dx[12] = (free * 0.6 + 0.4 - f_ca_ss) / (free * 80.0 + 2.0);
        dx[13] = (r_inf - r) / tau_r;
        dx[14] = (s_inf - s) / tau_s;
        dx[15] = (x_r1_inf - x_r1) * rate_x_r1;
        dx[16] = (x_r2_inf - x_r2) * rate_x_r2;
        dx[17] = (x_s_inf - x_s) / tau_x_s;
        dx[18] = (one - r_prime) * 0.005 - kcasr * 0.045 * ca_ss * r_prime;
    }

    fn conserved(&self) -> Vec<Conserved> {
        vec![Conserved::new(
            "charge",
            "mM",
            "charge of sodium, potassium and all calcium less that on the membrane, per volume of the cytosol",
        )]
    }

    fn conserved_values<S: Real>(&self, x: &[S], q: &[S], out: &mut [S]) {
        let &[v, na_i, k_i, ca_i, ca_sr, ca_ss, ..] = x else {
            unreachable!("nineteen variables")
        };
        let [buf_c, buf_sr, buf_ss] = [q[21], q[22], q[23]];
        let total = |ca: S, buffer: S, k: f64| ca + buffer * ca / (ca + k);
        let calcium = total(ca_i, buf_c, 0.001)
            + total(ca_sr, buf_sr, 0.3) * (VOLUME_SR / VOLUME_C)
            + total(ca_ss, buf_ss, 0.00025) * (VOLUME_SS / VOLUME_C);
        out[0] = na_i + k_i + calcium * 2.0 - v * PER_CURRENT;
    }
}

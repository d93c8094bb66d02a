//! Pancreatic beta-cell, simplified: two fast variables (potential and potassium activation), one slow.
//!
//! Original: Sherman, Rinzel, Keizer, Biophys. J. 54 (1988) 411, doi 10.1016/S0006-3495(88)82975-8, in the dimensionless-conductance form
//! used by Kuptsov, Stankevich, Bagautdinova, Chaos, Solitons & Fractals 167 (2023) 113027, doi 10.1016/j.chaos.2022.113027.
//! Modified: Stankevich, Mosekilde, Chaos 27 (2017) 123101, doi 10.1063/1.4986401, which adds a potassium-like current I_K2, bell-shaped in
//! the potential, that stabilizes the fixed point without touching the bursting attractor.
//!
//! ```text
//! tau v' = -(I_Ca + I_K + I_K2 + I_S) + i_stim     tau n' = sigma (n_inf(v) - n)     tau_s s' = s_inf(v) - s
//! I_Ca = g_ca m_inf(v) (v - v_ca)    I_K = g_k n (v - v_k)    I_S = g_s s (v - v_k)    I_K2 = g_k2 p_inf(v) (v - v_k)
//! w_inf(v) = 1 / (1 + exp((v_w - v) / theta_w)), w = m, n, s      p_inf(v) = 1 / (exp((v - v_p)/theta_p) + exp((v_p - v)/theta_p))
//! ```
//! Time in seconds, potentials in mV, conductances relative to the membrane's (so that a current, and the stimulus, is in mV).

use crate::{
    real::Real,
    spec::{Quantity, Spec},
    system::Model,
};

/// Both forms of the cell: the same equations, with another default of `g_k2`.
pub struct BetaCell {
    id: &'static str,
    title: &'static str,
    citation: &'static str,
    g_k2: f64,
}

impl BetaCell {
    /// Without the current I_K2: the fixed point is unstable for every `v_s` in [-40, -30].
    pub const ORIGINAL: BetaCell = BetaCell {
        id: "sherman-1988",
        title: "pancreatic beta-cell, simplified, original form",
        citation: "Sherman, Rinzel, Keizer (1988) Biophys. J. 54:411-425, doi:10.1016/S0006-3495(88)82975-8",
        g_k2: 0.0,
    };
    /// With I_K2: bursting and a stable fixed point side by side.
    pub const MODIFIED: BetaCell = BetaCell {
        id: "stankevich-2017",
        title: "pancreatic beta-cell, simplified, modified to be bistable",
        citation: "Stankevich, Mosekilde (2017) Chaos 27:123101, doi:10.1063/1.4986401",
        g_k2: 0.12,
    };
}

/// Any positive number.
const POSITIVE: [f64; 2] = [1e-6, 1e6];
/// Any conductance.
const CONDUCTANCE: [f64; 2] = [0.0, 1e4];
/// Any potential, in mV.
const POTENTIAL: [f64; 2] = [-200.0, 200.0];

impl Model for BetaCell {
    fn definition(&self) -> Spec {
        let q = Quantity::new;
        Spec {
            id: self.id.into(),
            title: self.title.into(),
            citation: self.citation.into(),
            time_unit: "s".into(),
            stimulus_unit: "mV".into(),
            variables: vec![
                q("v", "mV", "membrane potential", -60.0, [-75.0, 25.0]),
                q(
                    "n",
                    "1",
                    "activation of the potassium current",
                    0.01,
                    [0.0, 1.0],
                ),
                q("s", "1", "activation of the slow current", 0.18, [0.0, 1.0]),
            ],
            parameters: vec![
                q("tau", "s", "time constant of the potential", 0.02, POSITIVE),
                q(
                    "tau_s",
                    "s",
                    "time constant of the slow current",
                    35.0,
                    POSITIVE,
                ),
                q("sigma", "1", "speed of n relative to 1/tau", 0.93, POSITIVE),
                q("g_ca", "1", "calcium conductance", 3.6, CONDUCTANCE),
                q("g_k", "1", "potassium conductance", 10.0, CONDUCTANCE),
                q("g_s", "1", "slow conductance", 4.0, CONDUCTANCE),
                q(
                    "g_k2",
                    "1",
                    "conductance of the added potassium-like current",
                    self.g_k2,
                    CONDUCTANCE,
                ),
                q(
                    "v_ca",
                    "mV",
                    "reversal potential of calcium",
                    25.0,
                    POTENTIAL,
                ),
                q(
                    "v_k",
                    "mV",
                    "reversal potential of potassium",
                    -75.0,
                    POTENTIAL,
                ),
                q("v_m", "mV", "half activation of calcium", -20.0, POTENTIAL),
                q("v_n", "mV", "half activation of n", -16.0, POTENTIAL),
                q(
                    "v_s",
                    "mV",
                    "half activation of s: the control parameter",
                    -36.0,
                    POTENTIAL,
                ),
                q("v_p", "mV", "center of the added current", -49.5, POTENTIAL),
                q(
                    "theta_m",
                    "mV",
                    "slope of calcium's activation",
                    12.0,
                    POSITIVE,
                ),
                q("theta_n", "mV", "slope of n's activation", 5.6, POSITIVE),
                q("theta_s", "mV", "slope of s's activation", 10.0, POSITIVE),
                q("theta_p", "mV", "width of the added current", 1.0, POSITIVE),
            ],
            membrane_potential: Some("v".into()),
            spike_threshold: Some(-40.0),
            presets: Vec::new(),
            trained_on: None,
        }
    }

    #[inline(always)]
    fn derive<S: Real>(&self, q: &mut [S]) {
        for i in [0, 1, 13, 14, 15, 16] {
            q[i] = S::constant(1.0) / q[i];
        }
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        let &[v, n, s] = x else {
            unreachable!("three variables")
        };
        let &[
            rate,
            rate_s,
            sigma,
            g_ca,
            g_k,
            g_s,
            g_k2,
            v_ca,
            v_k,
            v_m,
            v_n,
            v_s,
            v_p,
            slope_m,
            slope_n,
            slope_s,
            slope_p,
        ] = q
        else {
            unreachable!("seventeen parameters")
        };
        let m_inf = ((v - v_m) * slope_m).logistic();
        let n_inf = ((v - v_n) * slope_n).logistic();
        let s_inf = ((v - v_s) * slope_s).logistic();
        // With e = exp(-|v - v_p|/theta_p), p_inf = e / (1 + e^2) cannot overflow.
        let e = (-((v - v_p) * slope_p).abs()).exp();
        let p_inf = e / (e * e + 1.0);
        let i_ca = g_ca * m_inf * (v - v_ca);
        let i_potassium = (g_k * n + g_s * s + g_k2 * p_inf) * (v - v_k);
        dx[0] = (i_stim - i_ca - i_potassium) * rate;
        dx[1] = sigma * (n_inf - n) * rate;
        dx[2] = (s_inf - s) * rate_s;
    }
}

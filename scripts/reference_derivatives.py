#!/usr/bin/env python3
"""Derivatives of the models at many states from sources that share nothing with the Rust code, to 20 digits.

    pip install mpmath finitewave==0.9.3 finitewave-model-luo-rudy-91==0.6.0 finitewave-model-ten-tusscher-panfilov-2006==0.6.0
    pip download --no-deps pySDC==5.9 && unzip pysdc-5.9*.whl -d pysdc
    python scripts/reference_derivatives.py pysdc > crates/ionoscope-dynamics/tests/reference_derivatives.txt

Equations stand here as their papers print them, with no regard to singular points (a state on one is moved by 1e-25 and evaluated with 60
digits) or to speed. Luo-Rudy comes from finitewave's own functions, run with mpmath in place of math; ten Tusscher-Panfilov from pySDC's
C++ header, translated line by line, with capacitance and constants of the authors, and for other cell types from the same lines with the
constants of I_to's inactivation replaced. There, finitewave is compared on the way, in all but what it has differently (v, k_i, f2).
"""
import re
import sys
import types

import mpmath as mp
from mpmath import mpf

mp.mp.dps = 60
exp, log, sqrt = mp.exp, mp.log, mp.sqrt


def numbers(**values):
    return {name: mpf(str(value)) for name, value in values.items()}


# Each model: names of the variables in order, parameters with their defaults, presets, potentials with a singular term, and the equations.


def fitzhugh_nagumo(x, i, p):
    v, w = x
    return [p.b * v * (v - p.beta) * (p.delta - v) - p.c * w + i, p.e * (v - p.gamma * w)]


def hodgkin_huxley(x, i, p):
    v, m, h, n = x
    u = v - p.v_rest
    a_m, b_m = (25 - u) / (exp((25 - u) / 10) - 1) / 10, 4 * exp(-u / 18)
    a_h, b_h = mpf("0.07") * exp(-u / 20), 1 / (exp((30 - u) / 10) + 1)
    a_n, b_n = (10 - u) / (exp((10 - u) / 10) - 1) / 100, exp(-u / 80) / 8
    current = p.g_na * m**3 * h * (u - p.v_na) + p.g_k * n**4 * (u - p.v_k) + p.g_l * (u - p.v_l)
    return [(i - current) / p.c_m, a_m * (1 - m) - b_m * m, a_h * (1 - h) - b_h * h, a_n * (1 - n) - b_n * n]


def hindmarsh_rose(x, i, p):
    x, y, z = x
    return [y - p.a * x**3 + p.b * x**2 - z + i, p.c - p.d * x**2 - y, p.r * (p.s * (x - p.x_r) - z)]


def lorenz(x, i, p):
    x, y, z = x
    return [p.sigma * (y - x) + i, x * (p.rho - z) - y, x * y - p.beta * z]


def rossler(x, i, p):
    x, y, z = x
    return [-y - z + i, x + p.a * y, p.b + z * (x - p.c)]


def with_mpmath(module):
    """A module's functions, with mpmath instead of math."""
    source = open(module.__file__).read().replace("from math import", "from mpmath import")
    # Decimal constants in full.
    source = re.sub(r"(?<![\w.\"'])(\d+\.\d*(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)", r"mpf('\1')", source)
    space = types.ModuleType("exact")
    exec("from mpmath import mpf\n" + re.sub(r'"""[\s\S]*?"""', '""', source), space.__dict__)
    return space


def luo_rudy(x, i, p):
    from luo_rudy_91 import ops

    ops = with_mpmath(ops)
    v, m, h, j, d, f, gate, ca = x
    r, faraday = mpf("8.314"), mpf("96.5")
    thermal = r * p.temperature / faraday
    currents = [
        ops.calc_ina(v, m, h, j, thermal * log(p.na_o / p.na_i), p.g_na),
        ops.calc_isk(v, d, f, ca, p.g_si),
        ops.calc_ik(v, gate, p.k_o, p.k_i, p.na_o, p.na_i, p.p_na_k, r, p.temperature, faraday, p.g_k),
        ops.calc_ik1(v, p.k_o, thermal * log(p.k_o / p.k_i), p.g_k1),
        ops.calc_ikp(v, thermal * log(p.k_o / p.k_i), p.g_kp),
        # Its background current has a fixed reversal potential, -59.87 mV.
        ops.calc_ib(v - p.v_b - mpf("59.87"), p.g_b),
    ]
    gates = [ops.calc_dm(v, m), ops.calc_dh(v, h), ops.calc_dj(v, j), ops.calc_dd(v, d), ops.calc_df(v, f), ops.calc_dx(v, gate)]
    return [(ops.calc_rhs(*currents) + i) / p.c_m, *gates, ops.calc_dcai(ca, currents[1])]


HEADER = "pySDC/projects/Monodomain/problem_classes/ionicmodels/cpp/tentusscher.h"
ORDER = ["v", "x_r1", "x_r2", "x_s", "m", "h", "j", "d", "f", "f2", "f_ca_ss", "s", "r", "ca_i", "ca_sr", "ca_ss", "r_prime", "na_i", "k_i"]


def ten_tusscher_lines(folder):
    text = open(f"{folder}/{HEADER}").read()
    body = text[text.index("::f(py") :]
    body = body[: body.index("void TenTusscher2006_epi::f_expl")]
    constants = re.findall(r"(AC_\w+) = (\(?[-\d.e]+\)?);", text)
    lines = []
    for name, value in re.findall(r"^\s*((?:AV_\w+|fy_ptrs\[\d+\]\[j\])) = (.*);", body, re.M):
        name, value = (re.sub(r"NV_Ith_S\(y, (\d+)\)", r"y[\1]", s).replace("[j]", "") for s in (name, value))
        value = re.sub(r"^(.*?) \? (.*) : (.*)$", r"(\2) if \1 else (\3)", value)
        lines.append((name, re.sub(r"(?<![\w.\[])(\d+\.\d*(?:e[-+]?\d+)?)", r"mpf('\1')", value)))
    return constants, lines


def ten_tusscher(x, i, p):
    constants, lines = ten_tusscher_lines(sys.argv[1])
    state = dict(zip(MODELS["ten-tusscher-panfilov-2006"]["variables"], x))
    space = {name: mpf(value.strip("()")) for name, value in constants}
    # Capacitance and constants in the authors' digits; the header computes with 1, 8.314 and 96.485.
    space |= dict(AC_Cm=mpf(185), AC_R=mpf("8.314472"), AC_F=mpf("96.4853415"), AC_T=p.temperature, scale=1)
    space |= dict(AC_g_Na=p.g_na, AC_g_K1=p.g_k1, AC_g_to=p.g_to, AC_g_Kr=p.g_kr, AC_g_Ks=p.g_ks, AC_g_CaL=p.g_ca_l * 1000, AC_g_pK=p.g_p_k)
    space |= dict(AC_g_pCa=p.g_p_ca, AC_g_bna=p.g_b_na, AC_g_bca=p.g_b_ca, AC_P_NaK=p.p_na_k, AC_K_NaCa=p.k_na_ca, AC_P_kna=p.p_k_na)
    space |= dict(AC_Na_o=p.na_o, AC_K_o=p.k_o, AC_Ca_o=p.ca_o, AC_Vmax_up=p.v_max_up, AC_V_leak=p.v_leak, AC_V_rel=p.v_rel)
    space |= dict(AC_V_xfer=p.v_xfer, AC_Buf_c=p.buf_c, AC_Buf_sr=p.buf_sr, AC_Buf_ss=p.buf_ss)
    space |= dict(y=[state[name] for name in ORDER], fy_ptrs=[None] * 19, exp=exp, log=log, sqrt=sqrt, pow=lambda a, b: a**b, mpf=mpf)
    v = state["v"]
    for name, value in lines:
        if name == "AV_s_inf":
            value = repr_of(1 / (1 + exp((v - p.v_s) / 5)))
        if name == "AV_tau_s":
            bell = p.tau_s_peak * exp(-((v - p.tau_s_centre) ** 2) / p.tau_s_width)
            value = repr_of(bell + p.tau_s_step / (1 + exp((v - 20) / 5)) + p.tau_s_floor)
        exec(f"{name} = {value}", space)
    d = dict(zip(ORDER, space["fy_ptrs"]))
    d["v"] += i
    d["k_i"] += i * space["AC_Cm"] / (space["AC_V_c"] * space["AC_F"])
    compare_with_finitewave(state, p, d, i)
    return [d[name] for name in MODELS["ten-tusscher-panfilov-2006"]["variables"]]


def repr_of(x):
    return f"mpf('{mp.nstr(x, 55)}')"


def compare_with_finitewave(state, p, d, i):
    """Stops unless finitewave has the same numbers, where its equations are the same."""
    from ten_tusscher_panfilov_2006 import ops

    exact, q = with_mpmath(ops), {k: mpf(str(v)) for k, v in ops.get_parameters().items()}
    names = dict(g_na="gNa", g_k1="gK1", g_to="gto", g_kr="gKr", g_ks="gKs", g_p_k="gpK", g_p_ca="gpCa", g_b_na="gbNa", g_b_ca="gbCa")
    names |= dict(p_na_k="pNaK", k_na_ca="kNaCa", p_k_na="pKNa", na_o="Nao", k_o="Ko", ca_o="Cao", temperature="T", v_max_up="Vmaxup")
    names |= dict(v_leak="Vleak", v_rel="Vrel", v_xfer="Vxfer", buf_c="Bufc", buf_sr="Bufsr", buf_ss="Bufss")
    q |= {theirs: getattr(p, ours) for ours, theirs in names.items()} | {"gCaL": p.g_ca_l * 1000}
    order = ["v", "ca_i", "ca_sr", "ca_ss", "na_i", "k_i", "m", "h", "j", "x_r1", "x_r2", "x_s", "r", "s", "d", "f", "f2", "f_ca_ss", "r_prime"]
    # One step so small that its difference quotient is the derivative to 20 digits and more.
    dt = mpf("1e-25")
    arguments = {k: q[k] for k in exact.ionic_step.__code__.co_varnames[: exact.ionic_step.__code__.co_argcount] if k in q}
    mp.mp.dps = 90
    new = exact.ionic_step(dt, *[state[name] for name in order], **arguments)
    mp.mp.dps = 60
    epicardial = (p.v_s, p.tau_s_peak) == (-20, 85)
    for name, value in zip(order[1:], new[1:]):
        if name in ("k_i", "f2") or (name == "s" and not epicardial):
            continue
        theirs = (value - state[name]) / dt
        if abs(theirs - d[name]) > mpf("1e-15") * (abs(d[name]) + mpf("1e-20")):
            sys.exit(f"finitewave differs in {name} at v = {mp.nstr(state['v'], 6)}: {mp.nstr(theirs, 15)}, pySDC {mp.nstr(d[name], 15)}")


def ohara_rudy(x, i, p):
    (v, nai, nass, ki, kss, cai, cass, cansr, cajsr, m, hf, hs, j, hsp, jp, ml, hl, hlp, a, i_f, i_s, ap, i_fp, i_sp, d, ff, fs, fcaf, fcas,
     jca, nca, ffp, fcafp, xrf, xrs, xs1, xs2, xk1, jrn, jrp, kt) = x  # fmt: skip
    n = mpf

    def sg(y):
        return 1 / (1 + exp(y))

    def e(shift, width):
        return exp((v + n(shift)) / n(width))

    r, f = n(8314), n(96485)
    phi = v * f / (r * p.temperature)

    def ghk(z, inside, outside):
        return z**2 * f * phi * (inside * exp(z * phi) - outside) / (exp(z * phi) - 1)

    e_na = r * p.temperature / f * log(p.na_o / nai)
    e_k = r * p.temperature / f * log(p.k_o / ki)
    e_ks = r * p.temperature / f * log((p.k_o + p.p_k_na * p.na_o) / (ki + p.p_k_na * nai))
    k_bound = p.camk_o * (1 - kt) / (1 + n("0.0015") / cass)
    k_active = k_bound + kt
    ph = 1 / (1 + n("0.15") / k_active)
    tau_m = 1 / (n("6.765") * e("11.64", "34.77") + n("8.552") * e("77.42", "-5.955"))
    h_inf = sg((v + n("82.9")) / n("6.086"))
    tau_hs = 1 / (n("0.009794") * e("17.95", "-28.05") + n("0.3343") * e("5.73", "56.66"))
    tau_j = n("2.038") + 1 / (n("0.02136") * e("100.6", "-8.281") + n("0.3052") * e("0.9941", "38.45"))
    share = n("0.99")
    i_na = p.g_na * (v - e_na) * m**3 * ((1 - ph) * (share * hf + (1 - share) * hs) * j + ph * (share * hf + (1 - share) * hsp) * jp)
    i_nal = p.g_na_l * (v - e_na) * ml * ((1 - ph) * hl + ph * hlp)
    i_inf = sg((v + n("43.94")) / n("5.711"))
    w29 = n("29.3814")
    tau_a = n("1.0515") / (sg(-(v - n("18.4099")) / w29) / n("1.2089") + n("3.5") * sg((v + 100) / w29))
    epi = 1 - p.delta_epi * sg((v + 70) / 5)
    tau_if = epi * (n("4.562") + 1 / (n("0.3933") * e("100", "-100") + n("0.08004") * e("50", "16.59")))
    tau_is = epi * (n("23.62") + 1 / (n("0.001416") * e("96.52", "-59.05") + n("1.78e-8") * e("114.1", "8.079")))
    w_i = sg((v - n("213.6")) / n("151.2"))
    slow_p = (n("1.354") + n("1e-4") / (e("-167.4", "15.89") + e("-12.23", "-0.2154"))) * (1 - sg((v + 70) / 20) / 2)
    i_to = p.g_to * (v - e_k) * ((1 - ph) * a * (w_i * i_f + (1 - w_i) * i_s) + ph * ap * (w_i * i_fp + (1 - w_i) * i_sp))
    f_inf = sg((v + n("19.58")) / n("3.696"))
    tau_ff = 7 + 1 / (n("0.0045") * (e("20", "-10") + e("20", "10")))
    tau_cf = 7 + 1 / (n("0.04") * (e("-4", "-7") + e("-4", "7")))
    w_c = n("0.3") + n("0.6") * sg((v - 10) / 10)
    f_np, f_ph = n("0.6") * ff + n("0.4") * fs, n("0.6") * ffp + n("0.4") * fs
    fc_np, fc_ph = w_c * fcaf + (1 - w_c) * fcas, w_c * fcafp + (1 - w_c) * fcas
    g_cal = d * ((1 - ph) * (f_np * (1 - nca) + jca * fc_np * nca) + n("1.1") * ph * (f_ph * (1 - nca) + jca * fc_ph * nca))
    i_cal = p.p_ca * g_cal * ghk(2, cass, n("0.341") * p.ca_o)
    i_cana = p.p_ca * n("0.00125") * g_cal * ghk(1, n("0.75") * nass, n("0.75") * p.na_o)
    i_cak = p.p_ca * n("3.574e-4") * g_cal * ghk(1, n("0.75") * kss, n("0.75") * p.k_o)
    w_r = sg((v + n("54.81")) / n("38.21"))
    i_kr = p.g_kr * sqrt(p.k_o / n("5.4")) * (w_r * xrf + (1 - w_r) * xrs) * sg((v + 55) / 75) * sg((v - 10) / 30) * (v - e_k)
    xs_inf = sg(-(v + n("11.6")) / n("8.932"))
    i_ks = p.g_ks * (1 + n("0.6") / (1 + (n("3.8e-5") / cai) ** n("1.4"))) * xs1 * xs2 * (v - e_ks)
    i_k1 = p.g_k1 * sqrt(p.k_o) * sg((v + n("105.8") - n("2.6") * p.k_o) / n("9.493")) * xk1 * (v - e_k)

    def ncx(na, ca):
        h_c, h_n = exp(n("0.167") * phi), exp(n("0.5224") * phi)
        k3_na = n("88.12")
        q1 = 1 + na / k3_na * (1 + h_n)
        q2 = na * h_n / (k3_na * q1)
        q4 = 1 + na / 15 * (1 + na / 5)
        q7 = 1 + p.na_o / k3_na * (1 + 1 / h_n)
        q8 = p.na_o / (k3_na * h_n * q7)
        q10 = n("13.5") + p.na_o / 15 * (1 + p.na_o / 5)
        k1, k2, k3 = n("1.5e6") * p.ca_o / q10, n(5000), 60000 / q7 + 5000 * q8
        k4, k5, k6 = 60000 / (q1 * h_c) + 5000 * q2, n(5000), n("1.5e6") * ca / q4
        k7, k8 = 60000 * q2 * na**2 / (q4 * 75), 60000 * q8 * p.na_o**2 / (q10 * 75)
        x1, x2 = k2 * k4 * (k7 + k6) + k5 * k7 * (k2 + k3), k1 * k7 * (k4 + k5) + k4 * k6 * (k1 + k8)
        x3, x4 = k1 * k3 * (k7 + k6) + k8 * k6 * (k2 + k3), k2 * k8 * (k4 + k5) + k3 * k5 * (k1 + k8)
        s = x1 + x2 + x3 + x4
        j_na = (3 * (x4 * k7 - x1 * k8) + x3 * 5000 * q2 - x2 * 5000 * q8) / s
        return (j_na + 2 * (x2 * k2 - x1 * k1) / s) / (1 + (n("1.5e-4") / ca) ** 2)

    i_naca, i_naca_ss = n("0.8") * p.g_na_ca * ncx(nai, cai), n("0.2") * p.g_na_ca * ncx(nass, cass)
    k_nai, k_nao = n("9.073") * exp(n("-0.155") * phi / 3), n("27.78") * exp(n("1.155") * phi / 3)
    d_i = (1 + nai / k_nai) ** 3 + (1 + ki / n("0.5")) ** 2 - 1
    d_o = (1 + p.na_o / k_nao) ** 3 + (1 + p.k_o / n("0.3582")) ** 2 - 1
    atp = n("9.8") / n("1.698e-7")
    hp = n("4.2") / (1 + n("1e-7") / n("1.698e-7") + nai / 224 + ki / 292)
    a1, a2, a3, a4 = n("949.5") * (nai / k_nai) ** 3 / d_i, n("687.2"), 1899 * (p.k_o / n("0.3582")) ** 2 / d_o, 639 * atp / (1 + atp)
    b1, b2 = n("182.4") * n("0.05"), n("39.4") * (p.na_o / k_nao) ** 3 / d_o
    b3, b4 = 79300 * hp * n("1e-7") / (1 + atp), 40 * (ki / n("0.5")) ** 2 / d_i
    x1, x2 = a4 * a1 * a2 + b2 * b4 * b3 + a2 * b4 * b3 + b3 * a1 * a2, b2 * b1 * b4 + a1 * a2 * a3 + a3 * b1 * b4 + a2 * a3 * b4
    x3, x4 = a2 * a3 * a4 + b3 * b2 * b1 + b2 * b1 * a4 + a3 * a4 * b1, b4 * b3 * b2 + a3 * a4 * a1 + b2 * a4 * a1 + b3 * b2 * a1
    i_nak = p.p_na_k * (3 * (x1 * a3 - x2 * b3) + 2 * (x4 * b1 - x3 * a1)) / (x1 + x2 + x3 + x4)
    i_kb = p.g_kb * sg(-(v - n("14.48")) / n("18.34")) * (v - e_k)
    i_nab, i_cab = p.p_na_b * ghk(1, nai, p.na_o), p.p_ca_b * ghk(2, cai, n("0.341") * p.ca_o)
    i_pca = p.g_p_ca * cai / (n("0.0005") + cai)
    jd_na, jd_k, jd_ca = (nass - nai) / 2, (kss - ki) / 2, (cass - cai) / n("0.2")
    tau_r = max(n("0.001"), p.beta_tau / (1 + n("0.0123") / cajsr))
    tau_rp = max(n("0.001"), n("1.25") * p.beta_tau / (1 + n("0.0123") / cajsr))
    rel = -i_cal / (1 + (n("1.5") / cajsr) ** 8) * p.f_rel
    j_rel = (1 - ph) * jrn + ph * jrp
    up = n("0.004375") * p.f_up
    j_up = (1 - ph) * up * cai / (cai + n("0.00092")) + ph * n("2.75") * up * cai / (cai + n("0.00075")) - n("0.0039375") * cansr / 15
    j_tr = (cansr - cajsr) / p.tau_tr
    length, radius = n("0.01"), n("0.0011")
    v_cell, a_cap = 1000 * mp.pi * radius**2 * length, 2 * (2 * mp.pi * radius**2 + 2 * mp.pi * radius * length)
    v_myo, v_nsr, v_jsr, v_ss = n("0.68") * v_cell, n("0.0552") * v_cell, n("0.0048") * v_cell, n("0.02") * v_cell
    af = a_cap / f
    b_i = 1 / (1 + p.cmdn_max * n("0.00238") / (n("0.00238") + cai) ** 2 + p.trpn_max * n("0.0005") / (n("0.0005") + cai) ** 2)
    b_ss = 1 / (1 + n("0.047") * n("0.00087") / (n("0.00087") + cass) ** 2 + n("1.124") * n("0.0087") / (n("0.0087") + cass) ** 2)
    b_j = 1 / (1 + p.csqn_max * n("0.8") / (n("0.8") + cajsr) ** 2)
    total = i_na + i_nal + i_to + i_cal + i_cana + i_cak + i_kr + i_ks + i_k1 + i_naca + i_naca_ss + i_nak + i_nab + i_kb + i_pca + i_cab
    xr_inf = sg(-(v + n("8.337")) / n("6.789"))
    k1_inf = sg(-(v + n("2.5538") * p.k_o + n("144.59")) / (n("1.5692") * p.k_o + n("3.8115")))
    return [
        -total + i,
        -(i_na + i_nal + 3 * i_naca + 3 * i_nak + i_nab) * af / v_myo + jd_na * v_ss / v_myo,
        -(i_cana + 3 * i_naca_ss) * af / v_ss - jd_na,
        -(i_to + i_kr + i_ks + i_k1 + i_kb - i - 2 * i_nak) * af / v_myo + jd_k * v_ss / v_myo,
        -i_cak * af / v_ss - jd_k,
        b_i * (-(i_pca + i_cab - 2 * i_naca) * af / (2 * v_myo) - j_up * v_nsr / v_myo + jd_ca * v_ss / v_myo),
        b_ss * (-(i_cal - 2 * i_naca_ss) * af / (2 * v_ss) + j_rel * v_jsr / v_ss - jd_ca),
        j_up - j_tr * v_jsr / v_nsr,
        b_j * (j_tr - j_rel),
        (sg(-(v + n("39.57")) / n("9.871")) - m) / tau_m,
        (h_inf - hf) * (n("1.432e-5") * e("1.196", "-6.285") + n("6.149") * e("0.5096", "20.27")),
        (h_inf - hs) / tau_hs,
        (h_inf - j) / tau_j,
        (sg((v + n("89.1")) / n("6.086")) - hsp) / (3 * tau_hs),
        (h_inf - jp) / (n("1.46") * tau_j),
        (sg(-(v + n("42.85")) / n("5.264")) - ml) / tau_m,
        (sg((v + n("87.61")) / n("7.488")) - hl) / p.tau_h_l,
        (sg((v + n("93.81")) / n("7.488")) - hlp) / (3 * p.tau_h_l),
        (sg(-(v - n("14.34")) / n("14.82")) - a) / tau_a,
        (i_inf - i_f) / tau_if,
        (i_inf - i_s) / tau_is,
        (sg(-(v - n("24.34")) / n("14.82")) - ap) / tau_a,
        (i_inf - i_fp) / (tau_if * slow_p),
        (i_inf - i_sp) / (tau_is * slow_p),
        (sg(-(v + n("3.94")) / n("4.23")) - d) / (n("0.6") + 1 / (exp(n("-0.05") * (v + 6)) + exp(n("0.09") * (v + 14)))),
        (f_inf - ff) / tau_ff,
        (f_inf - fs) / (1000 + 1 / (n("3.5e-5") * (e("5", "-4") + e("5", "6")))),
        (f_inf - fcaf) / tau_cf,
        (f_inf - fcas) / (100 + 1 / (n("1.2e-4") * (exp(-v / 3) + exp(v / 7)))),
        (f_inf - jca) / 75,
        1000 / (1000 / jca + (1 + n("0.002") / cass) ** 4) - nca * jca,
        (f_inf - ffp) / (n("2.5") * tau_ff),
        (f_inf - fcafp) / (n("2.5") * tau_cf),
        (xr_inf - xrf) / (n("12.98") + 1 / (n("0.3652") * e("-31.66", "3.869") + n("4.123e-5") * e("-47.78", "-20.38"))),
        (xr_inf - xrs) / (n("1.865") + 1 / (n("0.06629") * e("-34.7", "7.355") + n("1.128e-5") * e("-29.74", "-25.94"))),
        (xs_inf - xs1) / (n("817.3") + 1 / (n("2.326e-4") * e("48.28", "17.8") + n("0.001292") * e("210", "-230"))),
        (xs_inf - xs2) * (n("0.01") * e("-50", "20") + n("0.0193") * e("66.54", "-31")),
        (k1_inf - xk1) * (e("127.2", "-20.36") + e("236.8", "69.33")) / n("122.2"),
        (p.beta_tau / 2 * rel - jrn) / tau_r,
        (n("1.25") * p.beta_tau / 2 * rel - jrp) / tau_rp,
        n("0.05") * k_bound * k_active - n("0.00068") * kt,
    ]


# Every case is a state: default potentials, others across the range, and the points where a term is 0/0.
MODELS = {
    "fitzhugh-nagumo-1961": dict(
        rhs=fitzhugh_nagumo, variables=["v", "w"], spread=dict(v=(-1, 2), w=(-1, 3)),
        parameters=numbers(b=5, beta=0.1, delta=1, c=1, gamma=0.25, e=0.1), presets={}, potentials=["-0.4", "0.3", "1.1"]),
    "hodgkin-huxley-1952": dict(
        rhs=hodgkin_huxley, variables=["v", "m", "h", "n"], spread={},
        parameters=numbers(c_m=1, g_na=120, g_k=36, g_l=0.3, v_na=115, v_k=-12, v_l=10.6, v_rest=0),
        presets={"rest-65": numbers(v_rest=-65)}, potentials=["2.757e-4", "25", "10", "-12.5", "60", "100", "-40", "-55"]),
    "hindmarsh-rose-1984": dict(
        rhs=hindmarsh_rose, variables=["x", "y", "z"], spread=dict(y=(-12, 1), z=(0, 4)),
        parameters=numbers(a=1, b=3, c=1, d=5, r=0.006, s=4, x_r=-1.6), presets={"slow": numbers(r=0.001)}, potentials=["-1.6", "0.2", "1.4"]),
    "luo-rudy-1991": dict(
        rhs=luo_rudy, variables=["v", "m", "h", "j", "d", "f", "x", "ca_i"], spread=dict(ca_i=(5e-5, 5e-3)),
        parameters=numbers(c_m=1, g_na=23, g_si=0.09, g_k=0.282, g_k1=0.6047, g_kp=0.0183, g_b=0.03921, v_b=-59.87, na_o=140, na_i=18, k_o=5.4,
                           k_i=145, p_na_k=0.01833, temperature=310),
        presets={"updated": numbers(g_na=16, na_i=10)},
        potentials=["-84.5286", "-47.13", "-77", "-110", "-100", "-60", "-40", "-15", "10", "45"]),
    "ten-tusscher-panfilov-2006": dict(
        rhs=ten_tusscher,
        variables=["v", "na_i", "k_i", "ca_i", "ca_sr", "ca_ss", "m", "h", "j", "d", "f", "f2", "f_ca_ss", "r", "s", "x_r1", "x_r2", "x_s", "r_prime"],
        spread=dict(na_i=(5, 12), k_i=(120, 145), ca_i=(5e-5, 2e-3), ca_sr=(0.5, 4), ca_ss=(5e-5, 0.5)),
        parameters=numbers(g_na=14.838, g_k1=5.405, g_to=0.294, g_kr=0.153, g_ks=0.392, g_ca_l=3.98e-5, g_p_k=0.0146, g_p_ca=0.1238,
                           g_b_na=0.00029, g_b_ca=0.000592, p_na_k=2.724, k_na_ca=1000, p_k_na=0.03, na_o=140, k_o=5.4, ca_o=2, temperature=310,
                           v_max_up=0.006375, v_leak=0.00036, v_rel=0.102, v_xfer=0.0038, buf_c=0.2, buf_sr=10, buf_ss=0.4, v_s=-20,
                           tau_s_peak=85, tau_s_centre=-45, tau_s_width=320, tau_s_step=5, tau_s_floor=3),
        presets={"endo": numbers(g_to=0.073, v_s=-28, tau_s_peak=1000, tau_s_centre=-67, tau_s_width=1000, tau_s_step=0, tau_s_floor=8),
                 "mid": numbers(g_ks=0.098)},
        potentials=["-85.23", "15", "-110", "-60", "-40", "-15", "0", "40"]),
    "ohara-rudy-2011": dict(
        rhs=ohara_rudy,
        variables="""v na_i na_ss k_i k_ss ca_i ca_ss ca_nsr ca_jsr m h_fast h_slow j h_camk_slow j_camk m_l h_l h_l_camk a i_fast i_slow a_camk
            i_camk_fast i_camk_slow d f_fast f_slow f_ca_fast f_ca_slow j_ca n f_camk_fast f_ca_camk_fast x_r_fast x_r_slow x_s1 x_s2 x_k1
            j_rel_np j_rel_camk camk_trap""".split(),
        spread=dict(na_i=(5, 12), na_ss=(5, 12), k_i=(120, 150), k_ss=(120, 150), ca_i=(5e-5, 2e-3), ca_ss=(5e-5, 0.05), ca_nsr=(0.5, 3),
                    ca_jsr=(0.2, 3), j_rel_np=(0, 2), j_rel_camk=(0, 2)),
        parameters=numbers(g_na=75, g_na_l=0.0075, g_to=0.02, p_ca=1e-4, g_kr=0.046, g_ks=0.0034, g_k1=0.1908, g_kb=0.003, g_na_ca=0.0008,
                           p_na_k=30, p_na_b=3.75e-10, p_ca_b=2.5e-8, g_p_ca=0.0005, p_k_na=0.01833, na_o=140, k_o=5.4, ca_o=1.8,
                           temperature=310, delta_epi=0, f_rel=1, f_up=1, cmdn_max=0.05, trpn_max=0.07, csqn_max=10, camk_o=0.05, beta_tau=4.75,
                           tau_tr=100, tau_h_l=200),
        presets={"epi": numbers(g_na_l=0.0045, g_to=0.08, p_ca=1.2e-4, g_kr=0.0598, g_ks=0.00476, g_k1=0.22896, g_kb=0.0018, g_na_ca=0.00088,
                                p_na_k=27, delta_epi=0.95, f_up=1.3, cmdn_max=0.065),
                 "mid": numbers(g_to=0.08, p_ca=2.5e-4, g_kr=0.0368, g_k1=0.24804, g_na_ca=0.00112, p_na_k=21, f_rel=1.7)},
        potentials=["-87.84", "0", "-118", "-95", "-70", "-40", "-15", "12.23", "45", "78"]),
    "lorenz-1963": dict(
        rhs=lorenz, variables=["x", "y", "z"], spread=dict(y=(-20, 20), z=(0, 40)),
        parameters=numbers(sigma=10, rho=28, beta=8 / 3), presets={}, potentials=["-8", "0.3", "15"]),
    "rossler-1976": dict(
        rhs=rossler, variables=["x", "y", "z"], spread=dict(y=(-10, 10), z=(0, 20)),
        parameters=numbers(a=0.2, b=0.2, c=5.7), presets={}, potentials=["-8", "0.3", "9"]),
}  # fmt: skip


def main():
    for name, model in MODELS.items():
        for k, potential in enumerate(model["potentials"]):
            presets = list(model["presets"].items())
            # By turns the defaults, each preset, and all parameters changed, each by another percentage.
            which = (["default", *presets, "changed"])[k % (len(presets) + 2)]
            p, preset = dict(model["parameters"]), "-"
            if which == "changed":
                p = {q: mp.nstr(value * (100 + (37 * n) % 17 - 8) / 100, 12) for n, (q, value) in enumerate(p.items())}
                p = {q: mpf(float(value)) for q, value in p.items()}
                p |= {q: mpf(value) for q, value in [("temperature", 305), ("delta_epi", 0.4)] if q in p}
            elif which != "default":
                preset, changes = which
                p |= changes
            shares = [mpf(str(round(float(((n + 1) * mpf("0.618034") + (k + 1) * mpf("0.754878")) % 1), 3))) for n in range(len(model["variables"]))]
            x = []
            for share, variable in zip(shares, model["variables"]):
                low, high = model["spread"].get(variable, (0, 1))
                x.append(float(low + share * (mpf(high) - low)) if variable != model["variables"][0] else float(potential))
            i = 0.0 if k % 3 == 0 else 0.75 * k
            # The parameters that the Rust code has are doubles.
            space = types.SimpleNamespace(**{q: mpf(float(value)) for q, value in p.items()})
            exact = [mpf(value) for value in x]
            # -40 and -100 mV themselves, where published rates jump, belong to one side.
            exact[0] += mpf("1e-25") * (-1 if x[0] == -100 else 1)
            dx = model["rhs"](exact, mpf(i), space)
            print("model", name)
            print("preset", preset)
            print("parameters", *[f"{q}={float(value)!r}" for q, value in p.items()] if which == "changed" else [])
            print("i_stim", i)
            print("x", *map(repr, x))
            print("dx", *[mp.nstr(value, 20) for value in dx])
            print()


main()

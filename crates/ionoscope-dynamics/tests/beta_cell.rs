//! The beta-cell models against independent numbers.

#![allow(clippy::excessive_precision)] // all digits of the sources

use ionoscope_dynamics::{
    models,
    solve::oracle,
    system::DynamicalSystem,
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};

const IDS: [&str; 2] = ["sherman-1988", "stankevich-2017"];

fn experiment(system: &dyn DynamicalSystem, v_s: f64, times: TimeGrid) -> Experiment {
    let mut e = Experiment::from_defaults(system.spec(), times);
    e.p = system.spec().parameters_with([("v_s", v_s)]).unwrap();
    e
}

fn options(rtol: f64, atol: f64) -> SolveOptions {
    SolveOptions {
        rtol,
        atol,
        ..SolveOptions::default()
    }
}

/// Largest error over the variables in units of atol + rtol |x|.
fn in_tolerances(got: &[f64], want: &[f64], o: &SolveOptions) -> f64 {
    got.iter()
        .zip(want)
        .map(|(g, w)| (g - w).abs() / (o.atol + o.rtol * w.abs()))
        .fold(0.0, f64::max)
}

#[test]
fn derivatives_have_every_digit() {
    // mpmath 1.3 with 40 digits, from the published equations with p_inf and w_inf as printed (not as coded here):
    // x, [v_s, g_k2, i_stim], dx/dt.
    #[rustfmt::skip]
    let cases = [
        ([-60.0, 0.01, 0.18], [-36.0, 0.0, 0.0], [-87.988506306969051604, -0.44701248634512390402, -0.0027664943858879322668]),
        ([-49.5, 0.003, 0.19], [-36.0, 0.12, 0.0], [-26.622529441270782727, -0.02245663587078544874, 0.00045343919431278082741]),
        ([-22.6, 0.11, 0.172], [-30.0, 0.12, 0.0], [-862.85290643824618151, 5.8268756793711568293, 0.014428453035386371353]),
        ([-75.0, 0.0, 0.5], [-40.0, 0.12, 1.5], [257.11253354956136551, 0.0012354888674644696429, -0.013448221978532676604]),
        ([20.0, 0.9, 0.01], [-33.0, 0.0, -3.0], [-42221.000676099590056, 4.5750348971935273381, 0.028143805667141229706]),
        ([-48.25, 0.0021, 0.1879], [-38.5, 0.12, 0.25], [80.254735417358851664, 0.048572508958847606561, 0.0024567148211205960423]),
    ];
    for id in IDS {
        let cell = models::find(id).unwrap();
        for (x, [v_s, g_k2, i_stim], want) in cases {
            let p = cell
                .spec()
                .parameters_with([("v_s", v_s), ("g_k2", g_k2)])
                .unwrap();
            let mut dx = [0.0; 3];
            cell.rule(&x, i_stim, &p, &mut dx);
            // Rounding of the currents, which nearly cancel, is all that is left.
            let scale = [
                1000.0 * (1.0 + (x[0] - 25.0f64).abs()),
                50.0 * (1.0 + x[1]),
                0.03,
            ];
            for i in 0..3 {
                assert!(
                    (dx[i] - want[i]).abs() < 4e-16 * scale[i],
                    "{id}, x = {x:?}: {dx:?} instead of {want:?}"
                );
            }
        }
    }
}

#[test]
fn published_fixed_points_and_eigenvalues() {
    // Kuptsov, Stankevich, Bagautdinova (2023): all printed digits at v_s = -36.
    let cases = [
        (
            "sherman-1988",
            [-49.897f64, 2.3452e-3, 0.19946],
            [20.772f64, 0.090834, -42.884],
        ),
        (
            "stankevich-2017",
            [-50.636, 2.0560e-3, 0.18792],
            [-0.15927, -19.521, -38.785],
        ),
    ];
    for (id, printed, eigenvalues) in cases {
        let cell = models::find(id).unwrap();
        let p = cell.spec().parameters_with([("v_s", -36.0)]).unwrap();
        let mut x = printed;
        let (mut f, mut j) = ([0.0; 3], [0.0; 9]);
        for _ in 0..6 {
            cell.rule(&x, 0.0, &p, &mut f);
            cell.jacobian(&x, 0.0, &p, &mut j);
            let step = cramer(&j, &f);
            for i in 0..3 {
                x[i] -= step[i];
            }
        }
        for i in 0..3 {
            let last_digit = 10f64.powi(printed[i].abs().log10().floor() as i32 - 4);
            assert!(
                (x[i] - printed[i]).abs() <= 0.5001 * last_digit,
                "{id}: {x:?}"
            );
        }
        // The characteristic polynomial changes sign within half of the last printed digit.
        cell.jacobian(&x, 0.0, &p, &mut j);
        for mu in eigenvalues {
            let half = 0.5001 * 10f64.powi(mu.abs().log10().floor() as i32 - 4);
            let at = |mu: f64| {
                determinant(&std::array::from_fn(|k| {
                    if k % 4 == 0 { j[k] - mu } else { j[k] }
                }))
            };
            assert!(
                at(mu - half) * at(mu + half) < 0.0,
                "{id}: no eigenvalue rounds to {mu}"
            );
        }
    }
}

fn determinant(a: &[f64; 9]) -> f64 {
    a[0] * (a[4] * a[8] - a[5] * a[7]) - a[1] * (a[3] * a[8] - a[5] * a[6])
        + a[2] * (a[3] * a[7] - a[4] * a[6])
}

fn cramer(a: &[f64; 9], b: &[f64; 3]) -> [f64; 3] {
    std::array::from_fn(|column| {
        let replaced = std::array::from_fn(|k| if k % 3 == column { b[k / 3] } else { a[k] });
        determinant(&replaced) / determinant(a)
    })
}

/// States at t = 10 from the default start: scipy 1.17 `solve_ivp(method="DOP853", rtol=2.3e-14, atol=1e-16)` on the published equations.
const STATES_AT_10: [(&str, f64, [f64; 3]); 4] = [
    (
        "sherman-1988",
        -36.0,
        [
            -62.787793511604825,
            0.00023399472228548328,
            0.17679567094117637,
        ],
    ),
    (
        "sherman-1988",
        -33.0,
        [
            -52.52030899017471,
            0.005912780756232279,
            0.18713921212678206,
        ],
    ),
    (
        "stankevich-2017",
        -36.0,
        [
            -62.08290847925244,
            0.0002649663276153578,
            0.17532836489471773,
        ],
    ),
    (
        "stankevich-2017",
        -33.0,
        [
            -53.067106738374555,
            0.0012782279628096172,
            0.18185790804498814,
        ],
    ),
];

#[test]
fn the_tolerance_is_met_bursting_and_spiking() {
    for (id, v_s, want) in STATES_AT_10 {
        let cell = models::find(id).unwrap();
        let e = experiment(&*cell, v_s, TimeGrid::until(10.0, 0.005).unwrap());
        for (rtol, atol) in [
            (1e-4, 1e-6),
            (1e-5, 1e-7),
            (1e-6, 1e-8),
            (1e-7, 1e-9),
            (1e-8, 1e-10),
            (1e-9, 1e-11),
            (1e-10, 1e-12),
        ] {
            let o = options(rtol, atol);
            let got = cell.simulate(&e, &o).unwrap();
            let error = in_tolerances(got.last().unwrap(), &want, &o);
            assert!(
                error <= 10.0,
                "{id}, v_s = {v_s}, rtol = {rtol:e}: {error} tolerances off"
            );
        }
    }
}

#[test]
fn the_fast_integrator_agrees_with_the_oracle() {
    for (id, v_s, want) in STATES_AT_10 {
        let cell = models::find(id).unwrap();
        let e = experiment(&*cell, v_s, TimeGrid::until(10.0, 0.25).unwrap());
        let fast = cell.simulate(&e, &options(1e-12, 1e-14)).unwrap();
        let slow = oracle::runge_kutta_4(&*cell, &e, 1e-4);
        // Order 4: the spiking oracle is right to 1e-7 at this step.
        for k in 0..fast.len() {
            let error = in_tolerances(fast.state(k), slow.state(k), &options(1e-8, 1e-8));
            assert!(
                error < 1000.0,
                "{id}, v_s = {v_s}, t = {}: {error}",
                e.times.time(k)
            );
        }
        assert!(
            in_tolerances(fast.last().unwrap(), &want, &options(1e-12, 1e-14)) < 100.0,
            "{id}, {v_s}: {:?}",
            fast.last()
        );
    }
}

#[test]
fn the_tolerance_is_met_over_the_whole_control_range() {
    // At all output times up to 10, not only the last. The irregular columns near -33.5 (original) and -31.2 (modified) amplify most.
    for id in IDS {
        let cell = models::find(id).unwrap();
        let batch: Vec<Experiment> = (0..=50)
            .map(|k| {
                experiment(
                    &*cell,
                    -40.0 + 0.2 * f64::from(k),
                    TimeGrid::until(10.0, 0.1).unwrap(),
                )
            })
            .collect();
        let reference = cell.solve_ensemble(&batch, &options(1e-12, 1e-15)).unwrap();
        for rtol in [1e-4, 1e-6, 1e-8, 1e-10] {
            let o = options(rtol, rtol * 1e-2);
            let all = cell.solve_ensemble(&batch, &o).unwrap();
            let mut errors = Vec::new();
            for ((e, got), want) in batch.iter().zip(&all).zip(&reference) {
                let end = in_tolerances(got.last().unwrap(), want.last().unwrap(), &o);
                assert!(
                    end <= 10.0,
                    "{id}, v_s = {}, rtol = {rtol:e}: {end} tolerances off",
                    e.p[11]
                );
                errors
                    .extend((1..got.len()).map(|k| in_tolerances(got.state(k), want.state(k), &o)));
            }
            errors.sort_by(f64::total_cmp);
            let p99 = errors[errors.len() * 99 / 100];
            assert!(
                p99 <= 10.0,
                "{id}, rtol = {rtol:e}: one in a hundred output times is {p99} tolerances off or more"
            );
        }
    }
}

/// Times at which v rises through -35 mV, by linear interpolation.
fn spikes(t: &Trajectory) -> Vec<f64> {
    (1..t.len())
        .filter(|&k| t.state(k - 1)[0] < -35.0 && t.state(k)[0] >= -35.0)
        .map(|k| {
            let (a, b) = (t.state(k - 1)[0], t.state(k)[0]);
            t.times.time(k - 1) + t.times.dt * (-35.0 - a) / (b - a)
        })
        .collect()
}

#[test]
fn burst_period_and_interspike_intervals() {
    // Reference (original model, tight tolerance): period and spikes a burst.
    let cell = models::find("sherman-1988").unwrap();
    let times = TimeGrid::new(100.0, 0.005, 20_001).unwrap();
    for (v_s, period, count) in [(-36.0, 9.026, 20), (-38.0, 8.419, 15)] {
        let t = cell
            .simulate(&experiment(&*cell, v_s, times), &SolveOptions::default())
            .unwrap();
        let spikes = spikes(&t);
        let firsts: Vec<usize> = (1..spikes.len())
            .filter(|&i| spikes[i] - spikes[i - 1] > 1.0)
            .collect();
        for pair in firsts.windows(2) {
            assert_eq!(pair[1] - pair[0], count, "v_s = {v_s}");
            assert!(
                (spikes[pair[1]] - spikes[pair[0]] - period).abs() < 1e-3,
                "v_s = {v_s}: {}",
                spikes[pair[1]] - spikes[pair[0]]
            );
        }
        assert!(firsts.len() > 8);
    }
    let t = cell
        .simulate(&experiment(&*cell, -33.0, times), &SolveOptions::default())
        .unwrap();
    let intervals: Vec<f64> = spikes(&t).windows(2).map(|s| s[1] - s[0]).collect();
    assert!(intervals.len() > 200);
    assert!(
        intervals.iter().all(|i| (0.4445..0.4505).contains(i)),
        "{intervals:?}"
    );
}

#[test]
fn work_is_pinned() {
    // Accepted, rejected, evaluations up to t = 10: a change that works harder shows here.
    let pinned = [
        ("sherman-1988", -36.0, 1e-8),
        ("sherman-1988", -33.0, 1e-8),
        ("stankevich-2017", -36.0, 1e-4),
        ("stankevich-2017", -36.0, 1e-10),
    ]
    .map(|(id, v_s, rtol)| {
        let cell = models::find(id).unwrap();
        let e = experiment(&*cell, v_s, TimeGrid::until(10.0, 0.005).unwrap());
        let s = cell
            .simulate(&e, &options(rtol, rtol * 1e-2))
            .unwrap()
            .statistics;
        assert!(!s.stiff);
        (s.accepted, s.rejected, s.evaluations)
    });
    assert_eq!(
        pinned,
        [
            (1648, 36, 23321),
            (2552, 66, 35882),
            (579, 98, 9713),
            (3069, 103, 42233)
        ]
    );
}

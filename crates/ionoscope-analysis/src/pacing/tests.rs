use std::f64::consts::{PI, TAU};

use ionoscope_dynamics::{
    models,
    ode::Ode,
    protocol::Protocol,
    real::Real,
    spec::Spec,
    system::{Model, Time},
    trajectory::{Experiment, TimeGrid},
};

use super::*;
use crate::testing::TestSystem;

/// Flows with known orbits, all in two variables and with one parameter `a`.
enum Flow {
    /// x' = -x + i_stim, y' = -a y: from any start to the periodic answer, at two rates.
    Relaxation,
    /// x' = -x + i_stim, y' = a: the one repeats, the other drifts for ever.
    Drift,
    /// Van der Pol with mu = a; i_stim added to the second equation.
    VanDerPol,
    /// x' = -0.1 x - y, y' = x - 0.1 y: a focus.
    Focus,
}

impl Model for Flow {
    fn definition(&self) -> Spec {
        let dummy: crate::testing::Rule = Box::new(|_, _, _| {});
        TestSystem::new(
            &[[-2.0, 2.0]; 2],
            1,
            Time::Continuous,
            dummy,
            Box::new(|_, _, _| {}),
        )
        .spec
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        let (x, y, a) = (x[0], x[1], q[0]);
        [dx[0], dx[1]] = match self {
            Flow::Relaxation => [i_stim - x, -(a * y)],
            Flow::Drift => [i_stim - x, a],
            Flow::VanDerPol => [y, a * (S::constant(1.0) - x * x) * y - x + i_stim],
            Flow::Focus => [x * -0.1 - y, x - y * 0.1],
        };
    }
}

fn flow(
    f: Flow,
    a: f64,
    x0: [f64; 2],
    protocol: Protocol,
    times: TimeGrid,
) -> (Ode<Flow, 2, 1>, Experiment) {
    (
        Ode::new(f),
        Experiment {
            x0: x0.to_vec(),
            p: vec![a],
            protocol,
            times,
        },
    )
}

#[test]
fn a_linear_cell_reaches_the_periodic_answer_known_in_closed_form() {
    // x' = -x + i, i = 1 on [0, 1) of each period of 2: x* = e^-2 x* + e^-1 (1 - e^-1).
    let want = (-1f64).exp() * (1.0 - (-1f64).exp()) / (1.0 - (-2f64).exp());
    for a in [0.5, 0.01] {
        let (cell, e) = flow(
            Flow::Relaxation,
            a,
            [3.0, 1.0],
            Protocol::step(0.0, 1.0, 1.0),
            TimeGrid::until(2.0, 0.05).unwrap(),
        );
        let paced = pace(&cell, &e, &PacingOptions::default()).unwrap();
        assert_eq!(
            (
                paced.converged,
                paced.multiplicity,
                paced.period,
                paced.steady
            ),
            (true, Some(1), Some(2.0), false),
            "{paced:?}"
        );
        assert!((paced.state[0] - want).abs() < 2e-6, "{paced:?}");
        // The slow variable's unit is a thousandth of its range of 4: what is left of it is below the tolerance in that unit, and was
        // estimated to within a factor, though its last change was 50 times smaller where a is 0.01.
        let left = paced.state[1] / 4e-3;
        assert!(
            left <= 1e-6 && paced.remaining.unwrap() >= 0.5 * left,
            "{paced:?}: {left}"
        );
    }
}

#[test]
fn a_slow_decay_is_not_taken_for_an_end_and_a_drift_never_is() {
    let protocol = Protocol::step(0.0, 1.0, 1.0);
    let times = TimeGrid::until(2.0, 0.05).unwrap();
    // y changes by 2e-9 of its unit a period: far below the tolerance, and below the solver's own; and yet it goes on.
    for a in [1e-5, -1e-8, 4e-12] {
        let (cell, e) = flow(Flow::Drift, a, [0.0, 0.0], protocol.clone(), times);
        let options = PacingOptions {
            most_periods: 400,
            ..PacingOptions::default()
        };
        let paced = pace(&cell, &e, &options).unwrap();
        assert_eq!(
            (
                paced.converged,
                paced.periods,
                paced.multiplicity,
                paced.period
            ),
            (false, 400, None, None),
            "a = {a}: {paced:?}"
        );
    }
}

fn map(n: usize, rule: impl Fn(&[f64], &mut [f64]) + Send + Sync + 'static) -> TestSystem {
    TestSystem::new(
        &vec![[-1.0, 1.0]; n],
        0,
        Time::Discrete { dt: 1.0 },
        Box::new(move |x, _, out| rule(x, out)),
        Box::new(|_, _, _| unreachable!()),
    )
}

/// A map needs at least two steps a period here: each is a step of `rule` and one that changes nothing but a counter.
fn paced_map(
    rule: impl Fn(f64) -> f64 + Send + Sync + 'static,
    x0: f64,
    options: &PacingOptions,
) -> Paced {
    let system = map(2, move |x, out| {
        out[1] = 1.0 - x[1];
        out[0] = if x[1] == 0.0 { rule(x[0]) } else { x[0] };
    });
    let times = TimeGrid::new(0.0, 1.0, 3).unwrap();
    pace(
        &system,
        &Experiment {
            x0: vec![x0, 0.0],
            p: vec![],
            protocol: Protocol::none(),
            times,
        },
        options,
    )
    .unwrap()
}

#[test]
fn alternans_and_longer_cycles_are_recognized() {
    // The logistic map r x (1 - x): period 1 below 3, 2 below 3.449, 4 below 3.544, 3 in the window at 3.83; chaos at 3.7.
    let logistic = |r: f64| {
        paced_map(
            move |x| r * x * (1.0 - x),
            0.4,
            &PacingOptions {
                most_periods: 5000,
                ..PacingOptions::default()
            },
        )
    };
    for (r, multiplicity) in [
        (2.5, Some(1)),
        (2.99, Some(1)),
        (3.01, Some(2)),
        (3.2, Some(2)),
        (3.5, Some(4)),
        (3.83, Some(3)),
        (3.7, None),
    ] {
        let paced = logistic(r);
        assert_eq!(
            (paced.multiplicity, paced.converged),
            (multiplicity, multiplicity.is_some()),
            "r = {r}: {paced:?}"
        );
        assert_eq!(paced.period, multiplicity.map(|m| 2.0 * m as f64));
    }
    // Closed form of the two points of r = 3.2.
    let (r, x) = (3.2f64, logistic(3.2).state[0]);
    let root = ((r - 3.0) * (r + 1.0)).sqrt();
    assert!(
        [1.0, -1.0]
            .iter()
            .any(|s| (x - (r + 1.0 + s * root) / (2.0 * r)).abs() < 1e-6),
        "{x}"
    );
}

#[test]
fn a_slow_contraction_behind_a_fast_one_is_waited_for() {
    // x' = 0.9995 x beside a part that decays by 0.3: the last change passes below 1e-6 long before 2000 of them are left.
    let system = map(3, |x, out| {
        out[0] = 0.3 * x[0];
        out[1] = 0.9995 * x[1];
        out[2] = 1.0 + 0.0 * x[2];
    });
    let times = TimeGrid::new(0.0, 1.0, 3).unwrap();
    let e = Experiment {
        x0: vec![1.0, 1e-5, 1.0],
        p: vec![],
        protocol: Protocol::none(),
        times,
    };
    let paced = pace(
        &system,
        &e,
        &PacingOptions {
            tolerance: 1e-4,
            ..PacingOptions::default()
        },
    )
    .unwrap();
    // Units are 2e-3 for a range of 2.
    assert!(
        paced.converged && paced.steady && paced.state[1] / 2e-3 <= 1e-4 * 1.001,
        "{paced:?}"
    );
    assert!(
        paced.remaining.unwrap() >= 0.9 * paced.state[1] / 2e-3,
        "{paced:?}"
    );
}

#[test]
fn a_limit_cycle_is_no_fixed_point_whatever_the_window() {
    // Van der Pol with mu = 1: period 6.6632868593231 (a published value), amplitude 2.00861986.
    for window in [3.0, 6.66, 20.0] {
        let (cell, e) = flow(
            Flow::VanDerPol,
            1.0,
            [0.1, 0.0],
            Protocol::none(),
            TimeGrid::until(window, window / 200.0).unwrap(),
        );
        let options = PacingOptions {
            solve: ionoscope_dynamics::trajectory::SolveOptions::with_rtol(1e-10),
            ..PacingOptions::default()
        };
        let settled = settle(&cell, &e, &options).unwrap();
        assert_eq!(
            (settled.converged, settled.steady, settled.multiplicity),
            (true, false, Some(1)),
            "{settled:?}"
        );
        assert!(
            (settled.period.unwrap() - 6.663_286_859_323_1).abs() < 1e-7,
            "window {window}: {settled:?}"
        );
    }
    // Strobed with a period of its own, another one, it does not converge; with its own period the strobe stands still, and is not steady.
    for (period, converged) in [(5.0, false), (6.663_286_859_323_1, true)] {
        let (cell, e) = flow(
            Flow::VanDerPol,
            1.0,
            [0.1, 0.0],
            Protocol::none(),
            TimeGrid::until(period, period / 100.0).unwrap(),
        );
        let paced = pace(
            &cell,
            &e,
            &PacingOptions {
                most_periods: 200,
                ..PacingOptions::default()
            },
        )
        .unwrap();
        assert_eq!(
            (paced.converged, paced.steady),
            (converged, false),
            "{paced:?}"
        );
    }
}

#[test]
fn a_focus_settles_to_its_steady_state() {
    let (cell, e) = flow(
        Flow::Focus,
        0.0,
        [1.0, 0.0],
        Protocol::constant(0.0),
        TimeGrid::until(TAU, PI / 50.0).unwrap(),
    );
    let settled = settle(&cell, &e, &PacingOptions::default()).unwrap();
    assert!(
        settled.converged && settled.steady && settled.period.is_none(),
        "{settled:?}"
    );
    assert!(settled.state.iter().all(|x| x.abs() < 1e-6), "{settled:?}");
}

#[test]
fn bursting_settles_to_a_cycle_with_a_crossing_a_spike() {
    let cell = models::find("sherman-1988").unwrap();
    let mut e = Experiment::from_defaults(cell.spec(), TimeGrid::until(10.0, 0.005).unwrap());
    e.p = cell.spec().parameters_with([("v_s", -38.0)]).unwrap();
    let settled = settle(
        &*cell,
        &e,
        &PacingOptions {
            most_periods: 60,
            ..PacingOptions::default()
        },
    )
    .unwrap();
    assert_eq!(
        (settled.converged, settled.multiplicity),
        (true, Some(15)),
        "{settled:?}"
    );
    assert!(
        (settled.period.unwrap() - 8.419).abs() < 1e-3,
        "{settled:?}"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let times = TimeGrid::until(2.0, 0.05).unwrap();
    let said = |protocol: Protocol, times: TimeGrid, options: PacingOptions| {
        let (cell, e) = flow(Flow::Relaxation, 1.0, [0.0, 0.0], protocol, times);
        pace(&cell, &e, &options).unwrap_err()
    };
    let default = PacingOptions::default;
    let cases = [
        (
            said(Protocol::step(1.5, 1.0, 1.0), times, default()),
            "goes on after the period of 2",
        ),
        (
            said(
                Protocol::none(),
                TimeGrid::new(0.0, 1.0, 2).unwrap(),
                default(),
            ),
            "at least 3",
        ),
        (
            said(
                Protocol::none(),
                times,
                PacingOptions {
                    tolerance: 0.0,
                    ..default()
                },
            ),
            "tolerance is 0",
        ),
        (
            said(
                Protocol::none(),
                times,
                PacingOptions {
                    most_periods: 0,
                    ..default()
                },
            ),
            "periods is 0",
        ),
    ];
    for (error, part) in cases {
        assert!(
            error.is_input() && error.to_string().contains(part),
            "{error}"
        );
    }
    // A stimulus that is always on has every period.
    let (cell, e) = flow(
        Flow::Relaxation,
        1.0,
        [0.0, 0.0],
        Protocol::constant(0.5),
        times,
    );
    let paced = pace(&cell, &e, &default()).unwrap();
    assert!(
        paced.converged && paced.steady && (paced.state[0] - 0.5).abs() < 1e-6,
        "{paced:?}"
    );
    let (cell, e) = flow(
        Flow::Relaxation,
        1.0,
        [0.0, 0.0],
        Protocol::step(0.0, 1.0, 1.0),
        times,
    );
    assert!(
        settle(&cell, &e, &default())
            .unwrap_err()
            .to_string()
            .contains("give the period")
    );
}

#[test]
fn ohara_rudy_after_a_hundred_beats() {
    let cell = models::find("ohara-rudy-2011").unwrap();
    let spec = cell.spec().with_preset("quiet").unwrap();
    let mut e = Experiment::from_defaults(&spec, TimeGrid::until(1000.0, 1.0).unwrap());
    e.protocol = Protocol::step(0.0, 0.5, 80.0);
    let paced = pace(
        &*cell,
        &e,
        &PacingOptions {
            most_periods: 100,
            ..PacingOptions::default()
        },
    )
    .unwrap();
    assert!(!paced.converged, "100 beats are no steady state: {paced:?}");
    // In the order of the model.
    for (i, want) in [
        (0, -87.999),
        (1, 7.0961),
        (3, 144.831),
        (7, 1.6034),
        (40, 0.0122479),
    ] {
        assert!(
            (paced.state[i] / want - 1.0).abs() < 1e-4,
            "{}: {} for {want}",
            spec.variables[i].name,
            paced.state[i]
        );
    }
}

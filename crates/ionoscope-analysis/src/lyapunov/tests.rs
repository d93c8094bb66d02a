use ionoscope_dynamics::{models, ode::Ode, system::Time};

use super::*;
use crate::{
    continuation::{
        ContinuationOptions, branches,
        cycles::{CycleOptions, cycles},
    },
    fixed_points::fixed_points,
    testing::{Oscillators, TestSystem},
};

fn from(
    id: &str,
    x0: &[(&str, f64)],
    i_stim: f64,
    changes: &[(&str, f64)],
    options: &LyapunovOptions,
) -> LyapunovSpectrum {
    let system = models::find(id).unwrap();
    let p = system
        .spec()
        .parameters_with(changes.iter().copied())
        .unwrap();
    let x0 = system.spec().state_with(x0.iter().copied()).unwrap();
    lyapunov(&*system, &x0, i_stim, &p, options).unwrap()
}

fn of(
    id: &str,
    i_stim: f64,
    changes: &[(&str, f64)],
    options: &LyapunovOptions,
) -> LyapunovSpectrum {
    from(id, &[], i_stim, changes, options)
}

fn sorted(found: &LyapunovSpectrum) -> bool {
    found.exponents.windows(2).all(|pair| pair[0] >= pair[1])
}

/// Three errors, and the digits of the reference.
fn near(found: &LyapunovSpectrum, want: &[f64], digits: f64) -> bool {
    found
        .exponents
        .iter()
        .zip(want)
        .zip(&found.errors)
        .all(|((got, want), error)| (got - want).abs() <= 3.0 * error + digits)
}

#[test]
fn known_spectra() {
    // Lorenz: Sprott, Chaos and Time-Series Analysis (2003): .906, 0, -14.572. Roessler: .0714, 0, -5.394.
    for (id, want, dimension, accuracy) in [
        ("lorenz-1963", [0.9056, 0.0, -14.5723], 2.062, 0.01),
        ("rossler-1976", [0.0714, 0.0, -5.3943], 2.0132, 0.002),
    ] {
        let got = of(
            id,
            0.0,
            &[],
            &LyapunovOptions {
                accuracy: Some(accuracy),
                ..LyapunovOptions::default()
            },
        );
        assert!(
            got.reached && got.motion == Motion::Other && sorted(&got),
            "{id}: {got:?}"
        );
        assert!(
            near(&got, &want, 2e-4) && got.errors.iter().all(|e| *e <= accuracy),
            "{id}: {:?} +- {:?}",
            got.exponents,
            got.errors
        );
        let sum: f64 = got.exponents.iter().sum();
        assert!(
            (sum - got.divergence).abs() < 1e-4,
            "{id}: {sum} and {}",
            got.divergence
        );
        assert!((got.kaplan_yorke_dimension.unwrap() - dimension).abs() < 0.01);
    }
}

#[test]
fn the_segment_changes_when_not_what() {
    let run = |segment| {
        of(
            "lorenz-1963",
            0.0,
            &[],
            &LyapunovOptions {
                segment,
                accuracy: Some(0.03),
                ..LyapunovOptions::default()
            },
        )
    };
    for segment in [None, Some(1e-3), Some(37.0), Some(1e12)] {
        let options = LyapunovOptions {
            segment,
            accuracy: Some(0.03),
            longest: Some(300.0),
            ..LyapunovOptions::default()
        };
        let got = of("lorenz-1963", 0.0, &[], &options);
        assert!(
            got.reached && near(&got, &[0.9056, 0.0, -14.5723], 2e-4),
            "{segment:?}: {:?} +- {:?}",
            got.exponents,
            got.errors
        );
    }
    assert_eq!(run(None).exponents, run(Some(1e-3)).exponents);
}

#[test]
fn at_a_rest_the_exponents_are_the_real_parts() {
    // A node, foci (of equal real parts), and cells whose slow directions are hardly apart.
    for (id, changes) in [
        ("stankevich-2017", vec![("v_s", -45.0)]),
        ("fitzhugh-nagumo-1961", vec![]),
        ("hodgkin-huxley-1952", vec![]),
        ("luo-rudy-1991", vec![]),
        ("lorenz-1963", vec![("rho", 20.0)]),
        ("lorenz-1963", vec![("rho", 0.5)]),
    ] {
        let cell = models::find(id).unwrap();
        let p = cell
            .spec()
            .parameters_with(changes.iter().copied())
            .unwrap();
        let points = fixed_points(&*cell, 0.0, &p, &Default::default()).unwrap();
        let point = points.iter().find(|f| f.stable).unwrap();
        let got = of(id, 0.0, &changes, &LyapunovOptions::default());
        assert!(
            matches!(
                got.motion,
                Motion::Rest {
                    stable: true,
                    neutral: 0,
                    ..
                }
            ),
            "{id}: {:?}",
            got.motion
        );
        for ((exponent, error), mu) in got
            .exponents
            .iter()
            .zip(&got.errors)
            .zip(&point.eigenvalues)
        {
            assert!(
                (exponent - mu.re).abs() <= error + 1e-9 * mu.re.abs(),
                "{id}: {:?} +- {:?}",
                got.exponents,
                got.errors
            );
        }
        assert!(
            got.reached && got.kaplan_yorke_dimension == Some(0.0) && sorted(&got),
            "{id}: {got:?}"
        );
        let sum: f64 = got.exponents.iter().sum();
        assert!(
            (sum - got.divergence).abs() <= 1e-9 * got.divergence.abs(),
            "{id}"
        );
    }
}

#[test]
fn parts_of_a_spectrum_are_its_first_exponents() {
    let whole = of("luo-rudy-1991", 0.0, &[], &LyapunovOptions::default());
    for count in [1, 2, 5] {
        let got = of(
            "luo-rudy-1991",
            0.0,
            &[],
            &LyapunovOptions {
                count: Some(count),
                ..LyapunovOptions::default()
            },
        );
        assert_eq!(got.exponents, whole.exponents[..count]);
        assert_eq!(got.error_parts.step.len(), count);
    }
    let got = of(
        "lorenz-1963",
        0.0,
        &[],
        &LyapunovOptions {
            count: Some(1),
            accuracy: Some(0.02),
            ..LyapunovOptions::default()
        },
    );
    assert!(
        got.reached && near(&got, &[0.9056], 1e-4) && got.kaplan_yorke_dimension.is_none(),
        "{got:?}"
    );
    assert!(got.dimension_undecided_because.unwrap().contains("--count"));
}

#[test]
fn a_start_on_a_saddle_is_told() {
    // The origin's eigenvalues: -8/3 and (-11 +- sqrt(1201)) / 2.
    let got = from(
        "lorenz-1963",
        &[("x", 0.0), ("y", 0.0), ("z", 0.0)],
        0.0,
        &[],
        &LyapunovOptions::default(),
    );
    assert!(
        matches!(got.motion, Motion::Rest { stable: false, .. })
            && got.kaplan_yorke_dimension.is_none(),
        "{got:?}"
    );
    let root = 1201f64.sqrt();
    assert!(
        near(
            &got,
            &[0.5 * (root - 11.0), -8.0 / 3.0, -0.5 * (root + 11.0)],
            1e-9
        ),
        "{got:?}"
    );
    // On its stable manifold, too, the trajectory ends there.
    let got = from(
        "lorenz-1963",
        &[("x", 0.0), ("y", 0.0), ("z", 5.0)],
        0.0,
        &[],
        &LyapunovOptions::default(),
    );
    assert!(
        matches!(got.motion, Motion::Rest { stable: false, .. }),
        "{got:?}"
    );
    // Beside it the trajectory leaves.
    let options = LyapunovOptions {
        accuracy: Some(0.05),
        ..LyapunovOptions::default()
    };
    let got = from(
        "lorenz-1963",
        &[("x", 1e-9), ("y", 0.0), ("z", 0.0)],
        0.0,
        &[],
        &options,
    );
    assert!(
        got.motion == Motion::Other && near(&got, &[0.9056, 0.0, -14.5723], 2e-4),
        "{got:?}"
    );
}

#[test]
fn a_cycle_has_a_zero_exponent_and_dimension_one() {
    for (id, i_stim, changes) in [
        ("fitzhugh-nagumo-1961", 0.5, vec![]),
        ("hodgkin-huxley-1952", 10.0, vec![]),
        ("sherman-1988", 0.0, vec![("v_s", -32.0)]),
        ("lorenz-1963", 0.0, vec![("rho", 160.0)]),
    ] {
        let got = of(id, i_stim, &changes, &LyapunovOptions::default());
        assert!(
            matches!(got.motion, Motion::Cycle { stable: true, .. }),
            "{id}: {:?}",
            got.motion
        );
        assert!(
            got.exponents[0].abs() <= got.errors[0] && got.exponents[1] < -1e-4,
            "{id}: {:?}",
            got.exponents
        );
        assert!(
            got.reached && got.kaplan_yorke_dimension == Some(1.0) && sorted(&got),
            "{id}: {got:?}"
        );
        let sum: f64 = got.exponents.iter().sum();
        assert!(
            (sum - got.divergence).abs() <= 1e-5 * got.divergence.abs(),
            "{id}: {sum} {}",
            got.divergence
        );
    }
}

#[test]
fn an_average_along_a_cycle_agrees_with_its_multipliers() {
    // Van der Pol's divergence is the second exponent; here the general way, without knowing the period.
    let cell = models::find("fitzhugh-nagumo-1961").unwrap();
    let (x, p) = (
        cell.spec().default_state(),
        cell.spec().default_parameters(),
    );
    let exact = of(
        "fitzhugh-nagumo-1961",
        0.5,
        &[],
        &LyapunovOptions::default(),
    );
    let options = LyapunovOptions {
        accuracy: Some(2e-4),
        longest: Some(1e5),
        ..LyapunovOptions::default()
    };
    let run = Run {
        system: &*cell,
        i_stim: 0.5,
        p: &p,
        options: &options,
        count: 2,
        widths: vec![1.0; 2],
        laws: Laws::stated(&*cell),
    };
    let settled = run.settle(&x, 0.0).unwrap();
    let block = 4.0 * exact.period.unwrap() * 1.1;
    let mut average = Average::new(&run, &settled.x, block, 2e-4).unwrap();
    (0..100).for_each(|_| average.advance().unwrap());
    let means = average.means();
    for (k, error) in means.parts.sums().iter().enumerate() {
        assert!(
            (means.exponents[k] - exact.exponents[k]).abs() <= 3.0 * error,
            "{:?} {:?}",
            means.exponents,
            means.parts
        );
    }
}

type MapRule = Box<dyn Fn(&[f64], &[f64], &mut [f64]) + Send + Sync>;

fn logistic(r: f64, dt: f64) -> TestSystem {
    let rule: MapRule =
        Box::new(move |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = r * x[0] * (1.0 - x[0]));
    let jacobian: MapRule =
        Box::new(move |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = r * (1.0 - 2.0 * x[0]));
    TestSystem::new(&[[0.0, 1.0]], 0, Time::Discrete { dt }, rule, jacobian)
}

#[test]
fn a_map_counts_per_unit_of_time() {
    // Henon (1.4, .3): .4192 and ln .3 - .4192 a step (Sprott 2003); here a step is half a unit of time.
    let rule = |x: &[f64], _: &[f64], out: &mut [f64]| {
        out.copy_from_slice(&[1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]])
    };
    let jacobian =
        |x: &[f64], _: &[f64], out: &mut [f64]| out.copy_from_slice(&[-2.8 * x[0], 1.0, 0.3, 0.0]);
    let henon = TestSystem::new(
        &[[-2.0, 2.0]; 2],
        0,
        Time::Discrete { dt: 0.5 },
        Box::new(rule),
        Box::new(jacobian),
    );
    let got = lyapunov(
        &henon,
        &[0.1, 0.1],
        0.0,
        &[],
        &LyapunovOptions {
            accuracy: Some(0.005),
            ..LyapunovOptions::default()
        },
    )
    .unwrap();
    assert!(
        got.reached && near(&got, &[0.8384, 2.0 * 0.3f64.ln() - 0.8384], 2e-4),
        "{got:?}"
    );
    assert!((got.exponents[0] + got.exponents[1] - 2.0 * 0.3f64.ln()).abs() < 1e-9);
    assert_eq!(got.step, Some(0.5));
}

#[test]
fn rests_cycles_and_chaos_of_a_map() {
    let of = |r: f64, dt: f64| {
        lyapunov(
            &logistic(r, dt),
            &[0.3],
            0.0,
            &[],
            &LyapunovOptions::default(),
        )
        .unwrap()
    };
    // At rest the multiplier is 2 - r; on the cycle of two steps 4 + 2 r - r^2; at r = 4 the exponent is ln 2.
    let rest = of(2.8, 1e-3);
    assert!(
        matches!(rest.motion, Motion::Rest { stable: true, .. })
            && (rest.exponents[0] - 1e3 * 0.8f64.ln()).abs() < 1e-6,
        "{rest:?}"
    );
    let cycle = of(3.2, 250.0);
    assert!(
        matches!(cycle.motion, Motion::Cycle { period: 500.0, .. }),
        "{cycle:?}"
    );
    assert!(
        (cycle.exponents[0] - 0.16f64.ln() / 500.0).abs() < 1e-9
            && cycle.kaplan_yorke_dimension == Some(0.0),
        "{cycle:?}"
    );
    let chaos = of(4.0, 1.0);
    assert!(
        chaos.motion == Motion::Other
            && near(&chaos, &[2f64.ln()], 1e-4)
            && chaos.kaplan_yorke_dimension == Some(1.0),
        "{chaos:?}"
    );
    // A rotation: a closed curve through every point, both exponents zero.
    let (s, c) = 1f64.sin_cos();
    let rule: MapRule = Box::new(move |x: &[f64], _: &[f64], out: &mut [f64]| {
        out.copy_from_slice(&[c * x[0] - s * x[1], s * x[0] + c * x[1]])
    });
    let jacobian: MapRule =
        Box::new(move |_: &[f64], _: &[f64], out: &mut [f64]| out.copy_from_slice(&[c, -s, s, c]));
    let turn = TestSystem::new(
        &[[-1.0, 1.0]; 2],
        0,
        Time::Discrete { dt: 1.0 },
        rule,
        jacobian,
    );
    let got = lyapunov(&turn, &[0.5, 0.0], 0.0, &[], &LyapunovOptions::default()).unwrap();
    assert!(
        got.reached
            && got.exponents.iter().all(|e| e.abs() < 1e-3)
            && got.kaplan_yorke_dimension == Some(2.0),
        "{got:?}"
    );
}

#[test]
fn a_torus_has_two_zeros_whatever_the_unit_of_time() {
    // Each oscillator has its phase and a decay of -2.
    let two = Ode::<_, 4, 2, 1>::new(Oscillators);
    for rate in [1.0, 1e-6, 1e9] {
        let p = [rate, 0.5 * (5f64.sqrt() + 1.0)];
        let options = LyapunovOptions {
            trajectories: 4,
            accuracy: Some(0.01 * rate),
            ..LyapunovOptions::default()
        };
        let got = lyapunov(&two, &[0.3, 0.1, 0.2, 0.4], 0.0, &p, &options).unwrap();
        assert!(
            got.reached && near(&got, &[0.0, 0.0, -2.0 * rate, -2.0 * rate], 0.0),
            "{got:?}"
        );
        assert!(got.kaplan_yorke_dimension == Some(2.0), "{got:?}");
        // Where the frequencies agree, it is a cycle of a family: the other phase is another zero.
        let got = lyapunov(&two, &[0.3, 0.1, 0.2, 0.4], 0.0, &[rate, 1.0], &options).unwrap();
        assert!(
            matches!(got.motion, Motion::Cycle { .. }) && got.reached,
            "{got:?}"
        );
        assert!(
            near(&got, &[0.0, 0.0, -2.0 * rate, -2.0 * rate], 1e-6 * rate),
            "{got:?}"
        );
    }
}

#[test]
fn what_is_not_reached_says_why() {
    let short = LyapunovOptions {
        longest: Some(3.0),
        ..LyapunovOptions::default()
    };
    let got = of("lorenz-1963", 0.0, &[], &short);
    assert!(
        !got.reached
            && got
                .not_reached_because
                .iter()
                .any(|b| b.contains("--t-end")),
        "{got:?}"
    );
    let strict = LyapunovOptions {
        accuracy: Some(1e-5),
        longest: Some(100.0),
        ..LyapunovOptions::default()
    };
    let got = of("lorenz-1963", 0.0, &[], &strict);
    assert!(
        !got.reached && got.not_reached_because[0].contains("spread"),
        "{:?}",
        got.not_reached_because
    );
    assert!(
        got.errors[0] > 1e-3 && near(&got, &[0.9056, 0.0, -14.5723], 2e-4),
        "{got:?}"
    );
}

#[test]
fn a_dimension_needs_exponents_that_are_told_from_zero() {
    let other = |exponents: &[f64], errors: &[f64]| {
        dimension::kaplan_yorke(exponents, errors, true, &Motion::Other, 5.0)
    };
    // A second zero has to be told well: a cycle that is reached slowly looks like a torus.
    assert_eq!(other(&[1e-5, -2e-5, -3.0], &[5e-5; 3]), Ok(2.0));
    assert!(
        other(&[1e-4, -2e-4, -3.0], &[1e-3; 3])
            .unwrap_err()
            .contains("zero")
    );
    assert_eq!(other(&[-2e-7, -0.5, -3.0], &[1e-6; 3]), Ok(1.0));
    assert_eq!(other(&[0.5, 1e-4, -1.0], &[1e-3; 3]), Ok(2.5));
    assert!(
        other(&[0.05, -0.03, -1.0], &[0.02; 3])
            .unwrap_err()
            .contains("zero")
    );
    assert!(other(&[0.01, -0.01], &[0.1; 2]).is_err());
    assert!(
        other(&[0.54, -0.48, -13.7], &[0.25; 3])
            .unwrap_err()
            .contains("zero")
    );
}

#[test]
fn wrong_options_are_named() {
    let lorenz = models::find("lorenz-1963").unwrap();
    let (x, p) = (
        lorenz.spec().default_state(),
        lorenz.spec().default_parameters(),
    );
    let wrong = |o: LyapunovOptions| lyapunov(&*lorenz, &x, 0.0, &p, &o).unwrap_err().to_string();
    let default = LyapunovOptions::default;
    assert!(
        wrong(LyapunovOptions {
            count: Some(4),
            ..default()
        })
        .contains("1 to 3")
    );
    assert!(
        wrong(LyapunovOptions {
            segment: Some(0.0),
            ..default()
        })
        .contains("segment")
    );
    assert!(
        wrong(LyapunovOptions {
            accuracy: Some(f64::NAN),
            ..default()
        })
        .contains("accuracy")
    );
    assert!(
        wrong(LyapunovOptions {
            transient: Some(-1.0),
            ..default()
        })
        .contains("transient")
    );
    assert!(
        wrong(LyapunovOptions {
            trajectories: 1,
            ..default()
        })
        .contains("2 to 1024")
    );
}

/// A stable rest or a stable cycle of a model: identifier, stimulus, parameters.
type Case = (&'static str, f64, &'static [(&'static str, f64)]);

/// See [`Case`].
const CASES: &[Case] = &[
    ("fitzhugh-nagumo-1961", 0.0, &[]),
    ("fitzhugh-nagumo-1961", 0.5, &[]),
    ("hodgkin-huxley-1952", 0.0, &[]),
    ("hodgkin-huxley-1952", 10.0, &[]),
    ("hodgkin-huxley-1952", 200.0, &[]),
    ("hindmarsh-rose-1984", 0.0, &[]),
    ("hindmarsh-rose-1984", 1.0, &[]),
    ("hindmarsh-rose-1984", 2.0, &[]),
    ("hindmarsh-rose-1984", 4.0, &[]),
    ("lorenz-1963", 0.0, &[("rho", 0.5)]),
    ("lorenz-1963", 0.0, &[("rho", 20.0)]),
    ("lorenz-1963", 0.0, &[("rho", 160.0)]),
    ("lorenz-1963", 0.0, &[("rho", 350.0)]),
    ("rossler-1976", 0.0, &[("c", 2.0)]),
    ("rossler-1976", 0.0, &[("c", 4.0)]),
    ("sherman-1988", 0.0, &[("v_s", -45.0)]),
    ("sherman-1988", 0.0, &[("v_s", -32.0)]),
    ("sherman-1988", 0.0, &[]),
    ("stankevich-2017", 0.0, &[("v_s", -45.0)]),
    ("stankevich-2017", 0.0, &[("v_s", -36.0)]),
    ("stankevich-2017", 0.0, &[]),
    ("luo-rudy-1991", 0.0, &[]),
    ("luo-rudy-1991", 5.0, &[]),
    ("ten-tusscher-panfilov-2006", 0.0, &[]),
    ("ohara-rudy-2011", 0.0, &[]),
];

#[test]
#[ignore = "prints a table of all models' exponents beside eigenvalues and Floquet multipliers: some minutes"]
#[allow(clippy::print_stdout)]
fn exponents_beside_eigenvalues_and_multipliers() {
    for (id, i_stim, changes) in CASES {
        let begin = std::time::Instant::now();
        let system = models::find(id).unwrap();
        let p = system
            .spec()
            .parameters_with(changes.iter().copied())
            .unwrap();
        let got = lyapunov(
            &*system,
            &system.spec().default_state(),
            *i_stim,
            &p,
            &LyapunovOptions::default(),
        )
        .unwrap();
        let seconds = begin.elapsed().as_secs_f64();
        let (kind, reference): (String, Option<Vec<f64>>) = match &got.motion {
            Motion::Rest { x, .. } => {
                let found = crate::spectrum::spectrum(&*system, x, *i_stim, &p).unwrap();
                (
                    "rest".into(),
                    Some(found.eigenvalues.iter().map(|m| m.re).collect()),
                )
            }
            Motion::Cycle { period, .. } => (
                format!("cycle of {period:.6}"),
                multipliers(&*system, *i_stim, &p, *period),
            ),
            Motion::Other => ("other".into(), None),
        };
        let differ = reference.as_ref().map(|r| {
            r.iter()
                .zip(&got.exponents)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max)
        });
        let reached = if got.reached {
            "reached"
        } else {
            "not reached"
        };
        println!(
            "{id} i_stim={i_stim} {changes:?}: {kind}, {reached}, dimension {:?}, {seconds:.1} s",
            got.kaplan_yorke_dimension
        );
        let list = |values: &[f64]| {
            values
                .iter()
                .map(|v| format!("{v:.9}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let small = |values: &[f64]| {
            values
                .iter()
                .map(|v| format!("{v:.0e}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        println!(
            "  exponents {}\n  errors    {}",
            list(&got.exponents),
            small(&got.errors)
        );
        println!(
            "  reference {}",
            reference.as_ref().map_or("none".into(), |r| list(r))
        );
        println!(
            "  largest difference {}",
            differ.map_or("none".into(), |d| format!("{d:.1e}"))
        );
        println!("  {:?}", got.not_reached_because);
    }
}

/// ln |multiplier| / period of the cycle of this period, by collocation, the one along the cycle included.
fn multipliers(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    period: f64,
) -> Option<Vec<f64>> {
    use ionoscope_dynamics::system::Input;
    let interval = [
        i_stim - 0.01 * i_stim.abs().max(0.1),
        i_stim + 0.01 * i_stim.abs().max(0.1),
    ];
    let fixed = branches(
        system,
        i_stim,
        p,
        Input::Stimulus,
        interval,
        &ContinuationOptions::default(),
    )
    .ok()?;
    let options = CycleOptions {
        at: vec![i_stim],
        ..CycleOptions::default()
    };
    let all = cycles(
        system,
        i_stim,
        p,
        Input::Stimulus,
        interval,
        &fixed,
        &options,
    )
    .ok()?;
    let found = all.iter().flat_map(|b| &b.at).min_by(|a, b| {
        let off = |c: &&crate::continuation::cycles::Profile| (c.cycle.period - period).abs();
        off(a).total_cmp(&off(b))
    })?;
    if (found.cycle.period - period).abs() > 1e-3 * period {
        return None;
    }
    let mut rates: Vec<f64> = found
        .cycle
        .multipliers
        .iter()
        .map(|m| m.modulus().ln() / found.cycle.period)
        .collect();
    rates.push(0.0);
    rates.sort_by(|a, b| b.total_cmp(a));
    Some(rates)
}

#[test]
fn the_period_of_a_cycle_is_its_shortest() {
    // So slow that it is recognized only after averages: few and short ones, as nothing is asked of them here.
    let options = LyapunovOptions {
        trajectories: 2,
        longest: Some(3000.0),
        ..LyapunovOptions::default()
    };
    let got = of("hindmarsh-rose-1984", 3.5, &[], &options);
    assert!(
        matches!(got.motion, Motion::Cycle { period, .. } if (period - 31.743).abs() < 0.01),
        "{:?}",
        got.motion
    );
}

#[test]
fn a_cycle_that_is_reached_slowly_is_no_torus() {
    // A plane flow: its second exponent is -.000184, by an own Runge-Kutta method.
    let got = of(
        "fitzhugh-nagumo-1961",
        0.2172,
        &[],
        &LyapunovOptions::default(),
    );
    assert!(
        got.kaplan_yorke_dimension
            .is_none_or(|d| (d - 1.0).abs() < 0.1),
        "{got:?}"
    );
    assert!(
        (got.exponents[1] + 0.000184).abs() <= 3.0 * got.errors[1] + 1e-6,
        "{got:?}"
    );
}

#[test]
fn an_escape_is_told() {
    let rossler = models::find("rossler-1976").unwrap();
    let p = rossler.spec().parameters_with([("c", 0.5)]).unwrap();
    let error = lyapunov(
        &*rossler,
        &rossler.spec().default_state(),
        0.0,
        &p,
        &LyapunovOptions::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("escapes"), "{error}");
}

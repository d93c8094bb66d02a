use ionoscope_dynamics::{models, system::Time};

use super::*;
use crate::testing::TestSystem;

fn of(id: &str, changes: &[(&str, f64)], options: &LyapunovOptions) -> LyapunovSpectrum {
    let system = models::find(id).unwrap();
    let p = system.spec().parameters_with(changes.iter().copied()).unwrap();
    lyapunov(&*system, &system.spec().default_state(), 0.0, &p, options).unwrap()
}

#[test]
fn known_spectra() {
    // Lorenz: Sprott, Chaos and Time-Series Analysis (2003): .906, 0, -14.572. Roessler: .0714, 0, -5.394. A short run; five standard errors.
    let options = LyapunovOptions { longest: 800.0, accuracy: 1e-6, ..LyapunovOptions::default() };
    for (id, want) in [("lorenz-1963", [0.9056, 0.0, -14.5723]), ("rossler-1976", [0.0714, 0.0, -5.3943])] {
        let got = of(id, &[], &options);
        for k in 0..3 {
            let (far, error) = ((got.exponents[k] - want[k]).abs(), got.errors[k]);
            assert!(error < 0.02 && far < 5.0 * error + 1e-4, "{id}: {:?} +- {:?}", got.exponents, got.errors);
        }
        let sum: f64 = got.exponents.iter().sum();
        assert!((sum - got.divergence).abs() < 1e-4, "{id}: {sum} and {}", got.divergence);
    }
    // The divergence of Lorenz' flow is the same everywhere: -(sigma + 1 + beta).
    let lorenz = of("lorenz-1963", &[], &LyapunovOptions { longest: 400.0, accuracy: 1e-6, ..LyapunovOptions::default() });
    assert!((lorenz.divergence + 41.0 / 3.0).abs() < 1e-9 && (lorenz.kaplan_yorke_dimension.unwrap() - 2.062).abs() < 0.01);
}

#[test]
fn at_a_fixed_point_the_exponents_are_the_real_parts() {
    let cell = models::find("stankevich-2017").unwrap();
    let p = cell.spec().parameters_with([("v_s", -36.0)]).unwrap();
    let point = &crate::fixed_points::fixed_points(&*cell, 0.0, &p, &Default::default()).unwrap()[0];
    let options = LyapunovOptions { transient: 0.0, segment: 20.0, longest: 80.0, ..LyapunovOptions::default() };
    let got = lyapunov(&*cell, &point.x, 0.0, &p, &options).unwrap();
    for (exponent, mu) in got.exponents.iter().zip(&point.eigenvalues) {
        assert!((exponent - mu.re).abs() < 1e-4 * mu.re.abs(), "{:?}", got.exponents);
    }
    assert!(got.reached && got.kaplan_yorke_dimension == Some(0.0));
}

#[test]
fn a_map_counts_per_unit_of_time() {
    // Henon (1.4, .3): .4192 and ln .3 - .4192 a step (Sprott 2003); here a step is half a unit of time.
    let rule = |x: &[f64], _: &[f64], out: &mut [f64]| out.copy_from_slice(&[1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]]);
    let jacobian = |x: &[f64], _: &[f64], out: &mut [f64]| out.copy_from_slice(&[-2.8 * x[0], 1.0, 0.3, 0.0]);
    let henon = TestSystem::new(&[[-2.0, 2.0]; 2], 0, Time::Discrete { dt: 0.5 }, Box::new(rule), Box::new(jacobian));
    let options = LyapunovOptions { segment: 500.0, longest: 5000.0, accuracy: 1e-6, ..LyapunovOptions::default() };
    let got = lyapunov(&henon, &[0.1, 0.1], 0.0, &[], &options).unwrap();
    assert!((got.exponents[0] - 0.8384).abs() < 5.0 * got.errors[0] + 2e-4 && got.errors[0] < 0.01, "{got:?}");
    assert!((got.exponents[0] + got.exponents[1] - 2.0 * 0.3f64.ln()).abs() < 1e-9);
    assert_eq!(got.step, 0.5);
}

#[test]
fn a_cycle_has_a_zero_exponent_and_a_stiff_decay() {
    // Spiking beta-cell: the exponents sum up to the mean divergence, and one of them is that of the phase.
    let options = LyapunovOptions { longest: 40.0, segment: 5.0, trajectories: 4, accuracy: 0.01, ..LyapunovOptions::default() };
    let got = of("sherman-1988", &[("v_s", -32.0)], &options);
    assert!(got.exponents[0].abs() < 5.0 * got.errors[0].max(2e-3) && got.exponents[1] < -0.5 && got.exponents[2] < -10.0, "{got:?}");
    assert!((got.exponents.iter().sum::<f64>() - got.divergence).abs() < 1e-3 * got.divergence.abs());
}

#[test]
fn wrong_options_are_named() {
    let lorenz = models::find("lorenz-1963").unwrap();
    let (x, p) = (lorenz.spec().default_state(), lorenz.spec().default_parameters());
    let wrong = |o: LyapunovOptions| lyapunov(&*lorenz, &x, 0.0, &p, &o).unwrap_err().to_string();
    let default = LyapunovOptions::default;
    assert!(wrong(LyapunovOptions { count: Some(4), ..default() }).contains("1 to 3"));
    assert!(wrong(LyapunovOptions { segment: 0.0, ..default() }).contains("segment"));
    assert!(wrong(LyapunovOptions { trajectories: 1, ..default() }).contains("2 to 1024"));
}

//! Cases with known answers.

use ionoscope_dynamics::{models, models::sherman_1988::BetaCell, spec::TrainingRange, system::Time};

use super::*;
use crate::{spectrum::eigenvalue_error, testing::TestSystem};

/// x' = -(x - r_1) .. (x - r_k) beside y' = x - y, or the Euler map of it with a step `dt`.
fn polynomial(roots: &'static [f64], dt: Option<f64>) -> TestSystem {
    let f = |x: f64| -roots.iter().map(|r| x - r).product::<f64>();
    let slope =
        |x: f64| -(0..roots.len()).map(|i| (0..roots.len()).filter(|&j| j != i).map(|j| x - roots[j]).product::<f64>()).sum::<f64>();
    let (time, keep, h) = dt.map_or((Time::Continuous, 0.0, 1.0), |dt| (Time::Discrete { dt }, 1.0, dt));
    TestSystem::new(
        &[[-10.0, 10.0], [-10.0, 10.0]],
        0,
        time,
        Box::new(move |x, _, out| {
            out[0] = keep * x[0] + h * f(x[0]);
            out[1] = keep * x[1] + h * (x[0] - x[1]);
        }),
        Box::new(move |x, _, out| out.copy_from_slice(&[keep + h * slope(x[0]), 0.0, h, keep - h])),
    )
}

#[test]
fn all_zeros_of_a_polynomial_as_flow_and_as_map() {
    const ROOTS: &[f64] = &[-7.0, -0.2, 0.0, 0.1, 3.0, 9.5];
    // A map with a step so small that rounding of F(x) - x alone moves a zero by 1e-9.
    for (system, error) in [(polynomial(ROOTS, None), 1e-12), (polynomial(ROOTS, Some(1e-6)), 2e-9)] {
        let found = fixed_points(&system, 0.0, &[], &FixedPointOptions::default()).unwrap();
        let x: Vec<f64> = found.iter().map(|f| f.x[0]).collect();
        assert_eq!(x.len(), ROOTS.len(), "{x:?}");
        for (k, (f, root)) in found.iter().zip(ROOTS).enumerate() {
            assert!((f.x[0] - root).abs() < error && (f.x[1] - root).abs() < error, "{:?} {root}", f.x);
            // An even number of roots: the slope at the smallest is positive, then alternates.
            assert_eq!(f.stable, k % 2 == 1, "{root}");
        }
    }
}

#[test]
fn none_where_there_is_none_and_only_those_in_the_box() {
    let nowhere = TestSystem::new(
        &[[-5.0, 5.0]],
        0,
        Time::Continuous,
        Box::new(|x, _, out| out[0] = x[0] * x[0] + 0.1),
        Box::new(|x, _, out| out[0] = 2.0 * x[0]),
    );
    assert_eq!(fixed_points(&nowhere, 0.0, &[], &FixedPointOptions::default()).unwrap(), []);
    let options = FixedPointOptions { bounds: Some(vec![[-1.0, 3.0], [-1.0, 3.0]]), ..Default::default() };
    let found = fixed_points(&polynomial(&[-7.0, 0.5, 3.0], None), 0.0, &[], &options).unwrap();
    assert_eq!(found.iter().map(|f| f.x[0]).collect::<Vec<_>>(), [0.5, 3.0]);
}

#[test]
fn van_der_pol_has_one_focus() {
    // x' = y, y' = p (1 - x^2) y - x: eigenvalues (p +- sqrt(p^2 - 4)) / 2 at the origin.
    let system = TestSystem::new(
        &[[-3.0, 4.0], [-9.0, 11.0]],
        1,
        Time::Continuous,
        Box::new(|x, p, out| {
            out[0] = x[1];
            out[1] = p[0] * (1.0 - x[0] * x[0]) * x[1] - x[0];
        }),
        Box::new(|x, p, out| out.copy_from_slice(&[0.0, 1.0, -2.0 * p[0] * x[0] * x[1] - 1.0, p[0] * (1.0 - x[0] * x[0])])),
    );
    for p in [-1.0, 1.0] {
        let found = fixed_points(&system, 0.0, &[p], &FixedPointOptions::default()).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].x.iter().all(|x| x.abs() < 1e-12));
        assert_eq!(found[0].stable, p < 0.0);
        let im = 3f64.sqrt() / 2.0;
        for (e, im) in found[0].eigenvalues.iter().zip([im, -im]) {
            assert!((e.re - p / 2.0).abs() < 1e-14 && (e.im - im).abs() < 1e-14, "{e:?}");
        }
    }
}

fn close(value: f64, printed: f64, half_digit: f64) {
    assert!((value - printed).abs() <= half_digit, "{value} against the printed {printed}");
}

/// The check numbers of Kuptsov, Stankevich, Bagautdinova (2023), section 3, to every digit printed.
#[test]
fn the_beta_cells_published_fixed_points_and_eigenvalues() {
    let at = |id: &str| {
        let cell = models::find(id).unwrap();
        let p = cell.spec().parameters_with([("v_s", -36.0)]).unwrap();
        let mut found = fixed_points(&*cell, 0.0, &p, &FixedPointOptions::default()).unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    };
    let original = at("sherman-1988");
    for (value, printed, half) in [(0, -49.897, 5e-4), (1, 2.3452e-3, 5e-8), (2, 0.19946, 5e-6)] {
        close(original.x[value], printed, half);
    }
    for (k, printed, half) in [(0, 20.772, 5e-4), (1, 0.090834, 5e-7), (2, -42.884, 5e-4)] {
        close(original.eigenvalues[k].re, printed, half);
        assert_eq!(original.eigenvalues[k].im, 0.0);
    }
    assert!(!original.stable && !original.extrapolated && original.multipliers.is_none());
    let modified = at("stankevich-2017");
    for (value, printed, half) in [(0, -50.636, 5e-4), (1, 2.0560e-3, 5e-8), (2, 0.18792, 5e-6)] {
        close(modified.x[value], printed, half);
    }
    for (k, printed, half) in [(0, -0.15927, 5e-6), (1, -19.521, 5e-4), (2, -38.785, 5e-4)] {
        close(modified.eigenvalues[k].re, printed, half);
    }
    assert!(modified.stable);
}

#[test]
fn the_beta_cells_fixed_point_is_unique_over_the_control_range() {
    for id in ["sherman-1988", "stankevich-2017"] {
        let cell = models::find(id).unwrap();
        let values: Vec<f64> = (0..=40).map(|k| -40.0 + 0.25 * k as f64).collect();
        let p: Vec<_> = values.iter().map(|v| cell.spec().parameters_with([("v_s", *v)]).unwrap()).collect();
        let all = fixed_points_over(&*cell, 0.0, &p, &FixedPointOptions::default()).unwrap();
        for (found, v_s) in all.iter().zip(values) {
            assert_eq!(found.len(), 1, "{id} at {v_s}");
        }
    }
}

#[test]
fn the_exact_flow_map_of_the_beta_cell_has_its_fixed_point_and_spectrum() {
    for (cell, dt) in [(BetaCell::ORIGINAL, 0.005), (BetaCell::ORIGINAL, 0.001), (BetaCell::MODIFIED, 0.005)] {
        let map = TestSystem::beta_cell_map(cell, dt);
        let flow = models::find(&map.spec.id).unwrap();
        for v_s in [-40.0, -36.0, -30.0] {
            let p = flow.spec().parameters_with([("v_s", v_s)]).unwrap();
            let of_flow = fixed_points(&*flow, 0.0, &p, &FixedPointOptions::default()).unwrap();
            let of_map = fixed_points(&map, 0.0, &p, &FixedPointOptions { starts: 16, ..Default::default() }).unwrap();
            assert_eq!((of_flow.len(), of_map.len()), (1, 1));
            for (a, b) in of_flow[0].x.iter().zip(&of_map[0].x) {
                assert!((a - b).abs() < 1e-9, "{a} {b}");
            }
            let error = eigenvalue_error(&of_flow[0].eigenvalues, &of_map[0].eigenvalues).unwrap();
            assert!(error < 1e-7, "{error}");
            assert_eq!(of_flow[0].stable, of_map[0].stable);
        }
    }
}

#[test]
fn the_same_for_any_number_of_threads() {
    let system = polynomial(&[-7.0, -0.2, 0.0, 0.1, 3.0, 9.5], Some(0.01));
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fixed_points(&system, 0.0, &[], &FixedPointOptions::default()).unwrap())
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn refine_follows_a_guess_and_marks_extrapolation() {
    let mut system = polynomial(&[-7.0, 0.5, 3.0], None);
    let state = vec![[-8.0, 1.0], [-8.0, 1.0]];
    system.spec.trained_on = Some(TrainingRange { model: "test".into(), fixed: vec![], state, parameters: vec![], stimulus: None });
    let at = |guess: f64| refine(&system, &[guess, guess], 0.0, &[]).unwrap().unwrap();
    assert_eq!((at(0.6).x[0], at(0.6).extrapolated), (0.5, false));
    assert_eq!((at(3.1).x[0], at(3.1).extrapolated), (3.0, true));
}

#[test]
fn wrong_input_is_named() {
    let system = polynomial(&[0.0], None);
    let message = |bounds: Option<Vec<[f64; 2]>>, starts, p: &[f64]| {
        let e = fixed_points(&system, 0.0, p, &FixedPointOptions { bounds, starts, ..Default::default() }).unwrap_err();
        assert!(e.is_input());
        e.to_string()
    };
    assert!(message(Some(vec![[0.0, 1.0], [1.0, 1.0]]), 4, &[]).contains("[1, 1] of x1 is empty"));
    assert!(message(Some(vec![[0.0, 1.0]]), 4, &[]).contains("1 sides"));
    assert!(message(None, 0, &[]).contains("0 starts"));
    assert!(message(None, 4, &[f64::NAN]).contains("NaN"));
    assert!(refine(&system, &[1.0], 0.0, &[]).unwrap_err().to_string().contains("guess"));
}

#[test]
fn forty_nine_fixed_points_of_a_lattice() {
    use std::f64::consts::PI;
    let lattice = TestSystem::new(
        &[[-3.5, 3.5], [-3.5, 3.5]],
        0,
        Time::Continuous,
        Box::new(|x, _, out| out.copy_from_slice(&[(PI * x[0]).sin(), (PI * x[1]).sin()])),
        Box::new(|x, _, out| out.copy_from_slice(&[PI * (PI * x[0]).cos(), 0.0, 0.0, PI * (PI * x[1]).cos()])),
    );
    let found = fixed_points(&lattice, 0.0, &[], &FixedPointOptions::default()).unwrap();
    assert_eq!(found.len(), 49);
    assert_eq!(found.iter().filter(|f| f.stable).count(), 16);
}

//! Cases with known answers.

use ionoscope_dynamics::{
    models, models::sherman_1988::BetaCell, spec::TrainingRange, system::Time,
};

use super::*;
use crate::{spectrum::eigenvalue_error, testing::TestSystem};

/// x' = -(x - r_1) .. (x - r_k) beside y' = x - y, or the Euler map of it with a step `dt`.
fn polynomial(roots: &'static [f64], dt: Option<f64>) -> TestSystem {
    let f = |x: f64| -roots.iter().map(|r| x - r).product::<f64>();
    let slope = |x: f64| {
        -(0..roots.len())
            .map(|i| {
                (0..roots.len())
                    .filter(|&j| j != i)
                    .map(|j| x - roots[j])
                    .product::<f64>()
            })
            .sum::<f64>()
    };
    let (time, keep, h) = dt.map_or((Time::Continuous, 0.0, 1.0), |dt| {
        (Time::Discrete { dt }, 1.0, dt)
    });
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
    for (system, error) in [
        (polynomial(ROOTS, None), 1e-12),
        (polynomial(ROOTS, Some(1e-6)), 2e-9),
    ] {
        let found = fixed_points(&system, 0.0, &[], &FixedPointOptions::default()).unwrap();
        let x: Vec<f64> = found.iter().map(|f| f.x[0]).collect();
        assert_eq!(x.len(), ROOTS.len(), "{x:?}");
        for (k, (f, root)) in found.iter().zip(ROOTS).enumerate() {
            assert!(
                (f.x[0] - root).abs() < error && (f.x[1] - root).abs() < error,
                "{:?} {root}",
                f.x
            );
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
    assert_eq!(
        fixed_points(&nowhere, 0.0, &[], &FixedPointOptions::default()).unwrap(),
        []
    );
    let options = FixedPointOptions {
        bounds: Some(vec![[-1.0, 3.0], [-1.0, 3.0]]),
        ..Default::default()
    };
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
        Box::new(|x, p, out| {
            out.copy_from_slice(&[
                0.0,
                1.0,
                -2.0 * p[0] * x[0] * x[1] - 1.0,
                p[0] * (1.0 - x[0] * x[0]),
            ])
        }),
    );
    for p in [-1.0, 1.0] {
        let found = fixed_points(&system, 0.0, &[p], &FixedPointOptions::default()).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].x.iter().all(|x| x.abs() < 1e-12));
        assert_eq!(found[0].stable, p < 0.0);
        let im = 3f64.sqrt() / 2.0;
        for (e, im) in found[0].eigenvalues.iter().zip([im, -im]) {
            assert!(
                (e.re - p / 2.0).abs() < 1e-14 && (e.im - im).abs() < 1e-14,
                "{e:?}"
            );
        }
    }
}

fn close(value: f64, printed: f64, half_digit: f64) {
    assert!(
        (value - printed).abs() <= half_digit,
        "{value} against the printed {printed}"
    );
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
        let p: Vec<_> = values
            .iter()
            .map(|v| cell.spec().parameters_with([("v_s", *v)]).unwrap())
            .collect();
        let all = fixed_points_over(&*cell, 0.0, &p, &FixedPointOptions::default()).unwrap();
        for (found, v_s) in all.iter().zip(values) {
            assert_eq!(found.len(), 1, "{id} at {v_s}");
        }
    }
}

#[test]
fn the_exact_flow_map_of_the_beta_cell_has_its_fixed_point_and_spectrum() {
    for (cell, dt) in [
        (BetaCell::ORIGINAL, 0.005),
        (BetaCell::ORIGINAL, 0.001),
        (BetaCell::MODIFIED, 0.005),
    ] {
        let map = TestSystem::beta_cell_map(cell, dt);
        let flow = models::find(&map.spec.id).unwrap();
        for v_s in [-40.0, -36.0, -30.0] {
            let p = flow.spec().parameters_with([("v_s", v_s)]).unwrap();
            let of_flow = fixed_points(&*flow, 0.0, &p, &FixedPointOptions::default()).unwrap();
            let of_map = fixed_points(
                &map,
                0.0,
                &p,
                &FixedPointOptions {
                    starts: 16,
                    ..Default::default()
                },
            )
            .unwrap();
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
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| fixed_points(&system, 0.0, &[], &FixedPointOptions::default()).unwrap())
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn refine_follows_a_guess_and_marks_extrapolation() {
    let mut system = polynomial(&[-7.0, 0.5, 3.0], None);
    let state = vec![[-8.0, 1.0], [-8.0, 1.0]];
    system.spec.trained_on = Some(TrainingRange {
        model: "test".into(),
        fixed: vec![],
        state,
        parameters: vec![],
        stimulus: None,
    });
    let at = |guess: f64| refine(&system, &[guess, guess], 0.0, &[]).unwrap().unwrap();
    assert_eq!((at(0.6).x[0], at(0.6).extrapolated), (0.5, false));
    assert_eq!((at(3.1).x[0], at(3.1).extrapolated), (3.0, true));
}

#[test]
fn wrong_input_is_named() {
    let system = polynomial(&[0.0], None);
    let message = |bounds: Option<Vec<[f64; 2]>>, starts, p: &[f64]| {
        let e = fixed_points(
            &system,
            0.0,
            p,
            &FixedPointOptions {
                bounds,
                starts,
                ..Default::default()
            },
        )
        .unwrap_err();
        assert!(e.is_input());
        e.to_string()
    };
    assert!(message(Some(vec![[0.0, 1.0], [1.0, 1.0]]), 4, &[]).contains("[1, 1] of x1 is empty"));
    assert!(message(Some(vec![[0.0, 1.0]]), 4, &[]).contains("1 sides"));
    assert!(message(None, 0, &[]).contains("0 starts"));
    assert!(message(None, 4, &[f64::NAN]).contains("NaN"));
    assert!(
        refine(&system, &[1.0], 0.0, &[])
            .unwrap_err()
            .to_string()
            .contains("guess")
    );
}

#[test]
fn forty_nine_fixed_points_of_a_lattice() {
    use std::f64::consts::PI;
    let lattice = TestSystem::new(
        &[[-3.5, 3.5], [-3.5, 3.5]],
        0,
        Time::Continuous,
        Box::new(|x, _, out| out.copy_from_slice(&[(PI * x[0]).sin(), (PI * x[1]).sin()])),
        Box::new(|x, _, out| {
            out.copy_from_slice(&[PI * (PI * x[0]).cos(), 0.0, 0.0, PI * (PI * x[1]).cos()])
        }),
    );
    let found = fixed_points(&lattice, 0.0, &[], &FixedPointOptions::default()).unwrap();
    assert_eq!(found.len(), 49);
    assert_eq!(found.iter().filter(|f| f.stable).count(), 16);
}

/// A system that does not say what it conserves.
struct Silent(std::sync::Arc<dyn DynamicalSystem>);

impl DynamicalSystem for Silent {
    fn spec(&self) -> &ionoscope_dynamics::spec::Spec {
        self.0.spec()
    }
    fn time(&self) -> Time {
        self.0.time()
    }
    fn rule(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        self.0.rule(x, i_stim, p, out);
    }
    fn jacobian(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        self.0.jacobian(x, i_stim, p, out);
    }
    fn derivative_by(
        &self,
        by: ionoscope_dynamics::system::Input,
        x: &[f64],
        i_stim: f64,
        p: &[f64],
        out: &mut [f64],
    ) {
        self.0.derivative_by(by, x, i_stim, p, out);
    }
    fn solve_ensemble(
        &self,
        batch: &[ionoscope_dynamics::trajectory::Experiment],
        options: &ionoscope_dynamics::trajectory::SolveOptions,
    ) -> ionoscope_dynamics::Result<Vec<ionoscope_dynamics::trajectory::Trajectory>> {
        self.0.solve_ensemble(batch, options)
    }
}

/// Where the motion from a start is after a time that is long beside everything.
fn long_after(
    system: &dyn DynamicalSystem,
    x0: &[f64],
    i_stim: f64,
    p: &[f64],
    t: f64,
) -> Vec<f64> {
    use ionoscope_dynamics::{
        protocol::Protocol,
        trajectory::{Experiment, SolveOptions, TimeGrid},
    };
    let protocol = Protocol::constant(i_stim);
    let e = Experiment {
        x0: x0.to_vec(),
        p: p.to_vec(),
        protocol,
        times: TimeGrid::new(t, t, 1).unwrap(),
    };
    let options = SolveOptions {
        rtol: 1e-9,
        atol: 1e-12,
        ..SolveOptions::default()
    };
    system
        .simulate(&e, &options)
        .unwrap()
        .last()
        .unwrap()
        .to_vec()
}

/// The one stable fixed point on the level of a start is where the motion from there comes to rest.
fn rests_where_it_goes(
    id: &str,
    preset: Option<&str>,
    x0: &[(&str, f64)],
    parameters: &[(&str, f64)],
    i_stim: f64,
) -> FixedPoint {
    let cell = models::find(id).unwrap();
    let spec = preset.map_or_else(
        || cell.spec().clone(),
        |name| cell.spec().with_preset(name).unwrap(),
    );
    let (start, p) = (
        spec.state_with(x0.iter().copied()).unwrap(),
        spec.parameters_with(parameters.iter().copied()).unwrap(),
    );
    let options = FixedPointOptions {
        start: Some(start.clone()),
        starts: 32,
        ..Default::default()
    };
    let found = search(&*cell, i_stim, &p, &options).unwrap();
    let what = format!("{id} {preset:?} {x0:?} {parameters:?} {i_stim}");
    assert_eq!((found.conserved.len(), found.unexplained), (1, 0), "{what}");
    // Unstable rest, depolarized, may lie on the level too.
    let stable: Vec<_> = found.fixed_points.iter().filter(|f| f.stable).collect();
    assert_eq!(stable.len(), 1, "{what}");
    let f = stable[0];
    // Long beside the slowest rate, some 1e-5 a ms; what is left is the solver's drift of the charge.
    let end = long_after(&*cell, &start, i_stim, &p, 1e8);
    for ((a, b), q) in f.x.iter().zip(&end).zip(&spec.variables) {
        assert!(
            (a - b).abs() < 2e-6 * (q.range[1] - q.range[0]),
            "{what}: {} = {a}, long after {b}",
            q.name
        );
    }
    let n = f.x.len();
    assert!(
        f.neutral == 1
            && f.stable
            && f.eigenvalues[n - 1].modulus() == 0.0
            && f.eigenvalues[n - 2].re < f.eigenvalues[0].re,
        "{what}"
    );
    assert!(
        f.eigenvalues[0].re < 0.0 && f.eigenvalues[0].re > -1e-3,
        "{what}: {:?}",
        f.eigenvalues[0]
    );
    let mut charge = [0.0; 2];
    cell.conserved_values(&f.x, &p, &mut charge[..1]);
    cell.conserved_values(&start, &p, &mut charge[1..]);
    assert!(
        (charge[0] - charge[1]).abs() < 1e-11 * charge[1],
        "{what}: {charge:?}"
    );
    f.clone()
}

#[test]
fn ventricular_cells_rest_where_long_simulations_end() {
    let tp = "ten-tusscher-panfilov-2006";
    let plain = rests_where_it_goes(tp, None, &[], &[], 0.0);
    for preset in ["endo", "mid", "quiet"] {
        rests_where_it_goes(tp, Some(preset), &[], &[], 0.0);
    }
    // Rest depends on the start's potassium, and on nothing else than the charge.
    let low = rests_where_it_goes(tp, None, &[("k_i", 120.0)], &[], 0.0);
    assert!(
        (low.x[0] - plain.x[0]).abs() > 0.1,
        "{} {}",
        low.x[0],
        plain.x[0]
    );
    rests_where_it_goes(tp, None, &[], &[("g_k1", 4.0), ("g_kr", 0.3)], 0.0);
    rests_where_it_goes(tp, None, &[], &[("buf_sr", 5.0)], 0.0);
    let ord = "ohara-rudy-2011";
    let endo = rests_where_it_goes(ord, None, &[], &[], 0.0);
    for preset in ["epi", "mid", "quiet", "paced"] {
        rests_where_it_goes(ord, Some(preset), &[], &[], 0.0);
    }
    assert!((endo.x[0] + 88.0).abs() < 2.0, "{:?}", endo.x[0]);
    rests_where_it_goes(
        ord,
        None,
        &[("k_i", 135.0), ("k_ss", 135.0)],
        &[("g_k1", 0.25)],
        0.0,
    );
}

#[test]
fn the_same_charge_in_other_places_is_the_same_rest() {
    let cell = models::find("ten-tusscher-panfilov-2006").unwrap();
    let (spec, p) = (cell.spec(), cell.spec().default_parameters());
    let rest = |start: Vec<f64>| {
        let options = FixedPointOptions {
            start: Some(start),
            starts: 16,
            ..Default::default()
        };
        fixed_points(&*cell, 0.0, &p, &options).unwrap().remove(0)
    };
    // One more mM of sodium for one less of potassium, and gates elsewhere.
    let moved = spec
        .state_with([("na_i", 9.604), ("k_i", 135.89), ("m", 0.9), ("x_s", 0.5)])
        .unwrap();
    let (a, b) = (rest(spec.default_state()), rest(moved));
    assert!(
        a.x.iter()
            .zip(&b.x)
            .all(|(a, b)| (a - b).abs() < 1e-9 * a.abs().max(1e-3)),
        "{:?} {:?}",
        a.x,
        b.x
    );
    // The other eigenvalues are those of the whole Jacobian without the one next to zero.
    let mut whole = crate::spectrum::spectrum(&Silent(cell.clone()), &a.x, 0.0, &p)
        .unwrap()
        .eigenvalues;
    let zero = (0..19)
        .min_by(|i, j| whole[*i].modulus().total_cmp(&whole[*j].modulus()))
        .unwrap();
    assert!(whole.remove(zero).modulus() < 1e-12);
    for (w, e) in whole.iter().zip(&a.eigenvalues) {
        assert!(
            (w.re - e.re).abs() < 1e-9 * e.re.abs().max(1e-4) && (w.im - e.im).abs() < 1e-9,
            "{w:?} {e:?}"
        );
    }
    // A guess is refined on its own level.
    let refined = refine(&*cell, &b.x, 0.0, &p).unwrap().unwrap();
    assert!(
        refined
            .x
            .iter()
            .zip(&b.x)
            .all(|(a, b)| (a - b).abs() < 1e-9 * b.abs().max(1e-3))
    );
}

#[test]
fn what_a_system_does_not_state_is_noticed() {
    let cell = models::find("ten-tusscher-panfilov-2006").unwrap();
    let p = cell.spec().default_parameters();
    let options = FixedPointOptions {
        starts: 32,
        ..Default::default()
    };
    let known = search(&*cell, 0.0, &p, &options).unwrap();
    let silent = search(&Silent(cell.clone()), 0.0, &p, &options).unwrap();
    assert_eq!(
        (
            silent.conserved.len(),
            silent.unexplained,
            silent.fixed_points.len()
        ),
        (0, 1, 1)
    );
    let (a, b) = (&known.fixed_points[0], &silent.fixed_points[0]);
    for ((a, b), q) in a.x.iter().zip(&b.x).zip(&cell.spec().variables) {
        assert!(
            (a - b).abs() < 1e-5 * (q.range[1] - q.range[0]),
            "{}: {a} {b}",
            q.name
        );
    }
    assert!(
        b.neutral == 1
            && b.stable
            && (a.eigenvalues[0].re / b.eigenvalues[0].re - 1.0).abs() < 1e-3
    );

    // A circle of fixed points, r' = r (1 - r^2), and the origin: a family of one direction beside an isolated point.
    let ring = TestSystem::new(
        &[[-2.0, 2.1], [-2.0, 2.2]],
        0,
        Time::Continuous,
        Box::new(|x, _, out| {
            let r = 1.0 - x[0] * x[0] - x[1] * x[1];
            out.copy_from_slice(&[x[0] * r, x[1] * r]);
        }),
        Box::new(|x, _, out| {
            let r = 1.0 - x[0] * x[0] - x[1] * x[1];
            out.copy_from_slice(&[
                r - 2.0 * x[0] * x[0],
                -2.0 * x[0] * x[1],
                -2.0 * x[0] * x[1],
                r - 2.0 * x[1] * x[1],
            ]);
        }),
    );
    let options = FixedPointOptions {
        start: Some(vec![0.3, 0.4]),
        ..Default::default()
    };
    let found = search(&ring, 0.0, &[], &options).unwrap();
    assert_eq!((found.unexplained, found.fixed_points.len()), (1, 2));
    let origin = &found.fixed_points[0];
    assert!(origin.x.iter().all(|x| x.abs() < 1e-12) && origin.neutral == 0 && !origin.stable);
    // The motion from (.3, .4) is straight outwards.
    let on = &found.fixed_points[1];
    assert!(
        (on.x[0] - 0.6).abs() < 1e-9
            && (on.x[1] - 0.8).abs() < 1e-9
            && on.stable
            && on.neutral == 1,
        "{on:?}"
    );
    assert!((on.eigenvalues[0].re + 2.0).abs() < 1e-9, "{on:?}");

    // A degenerate point is no family.
    let saddle_node = TestSystem::new(
        &[[-1.0, 1.3], [-1.0, 1.1]],
        0,
        Time::Continuous,
        Box::new(|x, _, out| out.copy_from_slice(&[x[0] * x[0], -x[1]])),
        Box::new(|x, _, out| out.copy_from_slice(&[2.0 * x[0], 0.0, 0.0, -1.0])),
    );
    assert_eq!(
        search(&saddle_node, 0.0, &[], &FixedPointOptions::default())
            .unwrap()
            .unexplained,
        0
    );
}

/// A + B <-> C with rates k, 1, and beside it a closed ring D -> E -> F -> D of first order: three conserved sums.
fn reactions(dt: Option<f64>) -> TestSystem {
    let (time, keep, h) = dt.map_or((Time::Continuous, 0.0, 1.0), |dt| {
        (Time::Discrete { dt }, 1.0, dt)
    });
    TestSystem::new(
        &[
            [0.0, 3.0],
            [0.0, 3.0],
            [0.0, 3.0],
            [0.0, 10.0],
            [0.0, 10.0],
            [0.0, 10.0],
        ],
        1,
        time,
        Box::new(move |x, p, out| {
            let bind = p[0] * x[0] * x[1] - x[2];
            let f = [
                -bind,
                -bind,
                bind,
                4.0 * x[5] - x[3],
                x[3] - 2.0 * x[4],
                2.0 * x[4] - 4.0 * x[5],
            ];
            (0..6).for_each(|i| out[i] = keep * x[i] + h * f[i]);
        }),
        Box::new(move |x, p, out| {
            let bind = [p[0] * x[1], p[0] * x[0], -1.0, 0.0, 0.0, 0.0];
            let rows = [
                bind.map(|b| -b),
                bind.map(|b| -b),
                bind,
                [0.0, 0.0, 0.0, -1.0, 0.0, 4.0],
                [0.0, 0.0, 0.0, 1.0, -2.0, 0.0],
                [0.0, 0.0, 0.0, 0.0, 2.0, -4.0],
            ];
            (0..36).for_each(|e| {
                out[e] = h * rows[e / 6][e % 6] + if e % 7 == 0 { keep } else { 0.0 }
            });
        }),
    )
}

#[test]
fn reactions_rest_where_the_law_of_mass_action_says() {
    for dt in [None, Some(0.01)] {
        let system = reactions(dt);
        for (k, start) in [
            (2.0, [1.0, 2.0, 0.0, 7.0, 0.0, 0.0]),
            (0.5, [0.2, 0.3, 1.1, 1.0, 2.0, 4.0]),
        ] {
            let options = FixedPointOptions {
                start: Some(start.to_vec()),
                ..Default::default()
            };
            let found = search(&system, 0.0, &[k], &options).unwrap();
            assert_eq!(
                (
                    found.fixed_points.len(),
                    found.conserved.len(),
                    found.unexplained
                ),
                (1, 3, 0),
                "{found:?}"
            );
            // k (a - c) (b - c) = c with the sums a = A + C, b = B + C; the ring holds its sum in the ratio 4 : 2 : 1.
            let (a, b) = (start[0] + start[2], start[1] + start[2]);
            let m = a + b + 1.0 / k;
            let c = 0.5 * (m - (m * m - 4.0 * a * b).sqrt());
            let ring: f64 = start[3..].iter().sum::<f64>() / 7.0;
            let want = [a - c, b - c, c, 4.0 * ring, 2.0 * ring, ring];
            let f = &found.fixed_points[0];
            assert!(
                f.x.iter().zip(want).all(|(x, w)| (x - w).abs() < 1e-11),
                "{:?} {want:?}",
                f.x
            );
            assert!(
                f.neutral == 3 && f.stable && f.eigenvalues[3..].iter().all(|m| m.modulus() == 0.0),
                "{f:?}"
            );
            // On the level: -(k A + k B + 1), and the ring's -7/2 +- i sqrt(7)/2.
            if dt.is_none() {
                let bind = -(k * (want[0] + want[1]) + 1.0);
                let mut real: Vec<f64> = f.eigenvalues[..3].iter().map(|m| m.re).collect();
                let mut want = [bind, -3.5, -3.5];
                real.sort_by(f64::total_cmp);
                want.sort_by(f64::total_cmp);
                assert!(
                    real.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-10),
                    "{real:?} {want:?}"
                );
            } else {
                assert!(
                    f.multipliers.as_ref().unwrap()[3..]
                        .iter()
                        .all(|m| m.re == 1.0 && m.im == 0.0)
                );
            }
        }
    }
}

#[test]
fn a_search_says_how_it_went() {
    let found = search(
        &polynomial(&[-7.0, 0.5, 3.0], None),
        0.0,
        &[],
        &FixedPointOptions::default(),
    )
    .unwrap();
    assert!(
        found.tried >= 256
            && found.outside == 0
            && found.conserved.is_empty()
            && found.unexplained == 0
    );
    let options = FixedPointOptions {
        bounds: Some(vec![[2.0, 2.5], [2.0, 2.5]]),
        ..Default::default()
    };
    let found = search(&polynomial(&[-7.0, 0.5, 3.0], None), 0.0, &[], &options).unwrap();
    assert!(found.fixed_points.is_empty(), "{found:?}");
    let wrong = FixedPointOptions {
        start: Some(vec![0.0]),
        ..Default::default()
    };
    assert!(
        search(&polynomial(&[0.0], None), 0.0, &[], &wrong)
            .unwrap_err()
            .to_string()
            .contains("start")
    );
}

#[test]
fn all_rests_of_a_cell_that_conserves_its_charge() {
    // With three times as much rectifying current there are three rests, as a branch over g_k1 shows.
    let cell = models::find("ten-tusscher-panfilov-2006").unwrap();
    let p = cell.spec().parameters_with([("g_k1", 3.0)]).unwrap();
    for v in [None, Some(-44.0)] {
        let start = cell.spec().state_with(v.map(|v| ("v", v))).unwrap();
        let found = fixed_points(
            &*cell,
            0.0,
            &p,
            &FixedPointOptions {
                start: Some(start),
                ..FixedPointOptions::default()
            },
        )
        .unwrap();
        let v: Vec<f64> = found
            .iter()
            .map(|f| f.x[cell.spec().variable_index("v").unwrap()])
            .collect();
        assert!(
            v.len() == 3
                && (v[0] + 86.19).abs() < 0.02
                && (v[1] + 43.97).abs() < 0.05
                && (v[2] + 29.33).abs() < 0.05,
            "{v:?}"
        );
        assert!(found[0].stable);
    }
}

#[test]
fn a_line_of_fixed_points_is_no_single_one() {
    // With beta = 0 every (0, 0, z) of Lorenz' equations is one; from z = -5 the motion leads to the line.
    let lorenz = models::find("lorenz-1963").unwrap();
    let p = lorenz.spec().parameters_with([("beta", 0.0)]).unwrap();
    let start = lorenz.spec().state_with([("z", -5.0)]).unwrap();
    let found = search(
        &*lorenz,
        0.0,
        &p,
        &FixedPointOptions {
            start: Some(start),
            ..FixedPointOptions::default()
        },
    )
    .unwrap();
    assert_eq!(
        (found.unexplained, found.fixed_points.len()),
        (1, 1),
        "{found:?}"
    );
    assert!(
        found.fixed_points[0].x[..2].iter().all(|x| x.abs() < 1e-6),
        "{found:?}"
    );
}

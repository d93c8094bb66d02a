use ionoscope_dynamics::{models, system::Time};

use super::*;
use crate::testing::TestSystem;

/// A system of one parameter over [low, high], with its Jacobian by central differences of the rule, which are exact for cubics.
pub fn system(ranges: &[[f64; 2]], time: Time, rule: fn(&[f64], f64, &mut [f64])) -> TestSystem {
    let jacobian = move |x: &[f64], p: &[f64], out: &mut [f64]| {
        let n = x.len();
        for j in 0..n {
            // Order 4.
            let mut column = vec![0.0; n];
            for (k, weight) in [(-2.0, 1.0), (-1.0, -8.0), (1.0, 8.0), (2.0, -1.0)] {
                let mut y = x.to_vec();
                y[j] += k * 1e-3;
                let mut f = vec![0.0; n];
                rule(&y, p[0], &mut f);
                column
                    .iter_mut()
                    .zip(&f)
                    .for_each(|(c, f)| *c += weight * f / 12e-3);
            }
            (0..n).for_each(|i| out[i * n + j] = column[i]);
        }
    };
    TestSystem::new(
        ranges,
        1,
        time,
        Box::new(move |x: &[f64], p: &[f64], out: &mut [f64]| rule(x, p[0], out)),
        Box::new(jacobian),
    )
}

fn special(
    system: &dyn DynamicalSystem,
    interval: [f64; 2],
) -> Vec<(Bifurcation, f64, Option<f64>)> {
    let all = branches(
        system,
        0.0,
        &[0.0],
        Input::Parameter(0),
        interval,
        &ContinuationOptions::default(),
    )
    .unwrap();
    all.iter()
        .flat_map(|b| &b.special_points)
        .map(|s| (s.kind, s.parameter, s.first_lyapunov_coefficient))
        .collect()
}

#[test]
fn normal_forms_of_flows() {
    let fold = system(&[[-2.0, 2.0]], Time::Continuous, |x, a, out| {
        out[0] = a - x[0] * x[0]
    });
    let found = branches(
        &fold,
        0.0,
        &[0.0],
        Input::Parameter(0),
        [-1.0, 1.5],
        &ContinuationOptions::default(),
    )
    .unwrap();
    assert_eq!(found.len(), 1, "one parabola");
    assert_eq!(found[0].stopped, [Stop::EndOfRange, Stop::EndOfRange]);
    let s = &found[0].special_points;
    assert!(
        s.len() == 1 && s[0].kind == Bifurcation::SaddleNode && s[0].parameter.abs() < 1e-8,
        "{s:?}"
    );
    assert!(
        found[0]
            .points
            .iter()
            .all(|q| (q.parameter - q.x[0] * q.x[0]).abs() < 1e-9 && q.stable == (q.x[0] > 0.0))
    );

    // z' = (a + i) z - 1/2 z |z|^2 has l_1 = -1 with an eigenvector of length 1; the opposite sign, +1.
    let below = system(&[[-2.0, 2.0]; 2], Time::Continuous, |x, a, out| {
        let r = x[0] * x[0] + x[1] * x[1];
        out.copy_from_slice(&[
            a * x[0] - x[1] - 0.5 * r * x[0],
            x[0] + a * x[1] - 0.5 * r * x[1],
        ]);
    });
    let above = system(&[[-2.0, 2.0]; 2], Time::Continuous, |x, a, out| {
        let r = x[0] * x[0] + x[1] * x[1];
        out.copy_from_slice(&[
            a * x[0] - x[1] + 0.5 * r * x[0],
            x[0] + a * x[1] + 0.5 * r * x[1],
        ]);
    });
    for (system, sign) in [(&below, -1.0), (&above, 1.0)] {
        let found = special(system, [-0.7, 1.0]);
        assert!(
            found.len() == 1 && found[0].0 == Bifurcation::Hopf && found[0].1.abs() < 1e-8,
            "{found:?}"
        );
        assert!((found[0].2.unwrap() - sign).abs() < 1e-6, "{found:?}");
    }

    let pitchfork = system(&[[-2.0, 2.0]], Time::Continuous, |x, a, out| {
        out[0] = a * x[0] - x[0].powi(3)
    });
    let found = branches(
        &pitchfork,
        0.0,
        &[0.0],
        Input::Parameter(0),
        [-0.9, 1.0],
        &ContinuationOptions::default(),
    )
    .unwrap();
    let all: Vec<_> = found
        .iter()
        .flat_map(|b| &b.special_points)
        .map(|s| s.kind)
        .collect();
    assert_eq!(
        (found.len(), &all[..]),
        (2, &[Bifurcation::BranchPoint][..]),
        "{all:?}"
    );
}

#[test]
fn the_brusselator_and_a_neutral_saddle() {
    // A = 1.2: x = A, y = B / A; Hopf at B = 1 + A^2, with negative l_1 (Kuznetsov, exercise 3.5: supercritical).
    let brusselator = system(&[[0.0, 5.0], [0.0, 10.0]], Time::Continuous, |x, b, out| {
        out.copy_from_slice(&[
            1.2 - (b + 1.0) * x[0] + x[0] * x[0] * x[1],
            b * x[0] - x[0] * x[0] * x[1],
        ]);
    });
    let found = special(&brusselator, [0.5, 4.0]);
    assert!(
        found.len() == 1 && found[0].0 == Bifurcation::Hopf && (found[0].1 - 2.44).abs() < 1e-8,
        "{found:?}"
    );
    assert!(found[0].2.unwrap() < 0.0);
    // Eigenvalues 1 + a and -1: their sum is zero at a = 0, and nothing bifurcates.
    let neutral = system(&[[-1.0, 1.0]; 2], Time::Continuous, |x, a, out| {
        out.copy_from_slice(&[(1.0 + a) * x[0], -x[1]])
    });
    assert!(special(&neutral, [-0.5, 0.5]).is_empty());
}

#[test]
fn maps_of_henon_and_the_delayed_logistic_map() {
    let henon = system(
        &[[-3.0, 3.0]; 2],
        Time::Discrete { dt: 0.1 },
        |x, a, out| out.copy_from_slice(&[1.0 - a * x[0] * x[0] + x[1], 0.3 * x[0]]),
    );
    let found = special(&henon, [-0.2, 1.0]);
    let of = |kind| {
        found
            .iter()
            .filter(|s| s.0 == kind)
            .map(|s| s.1)
            .collect::<Vec<f64>>()
    };
    let (folds, flips) = (of(Bifurcation::SaddleNode), of(Bifurcation::PeriodDoubling));
    assert!(
        folds.len() == 1 && (folds[0] + 0.1225).abs() < 1e-8,
        "{found:?}"
    );
    assert!(
        flips.len() == 1 && (flips[0] - 0.3675).abs() < 1e-8,
        "{found:?}"
    );
    let delayed = system(
        &[[0.05, 1.0]; 2],
        Time::Discrete { dt: 1.0 },
        |x, a, out| out.copy_from_slice(&[a * x[0] * (1.0 - x[1]), x[0]]),
    );
    let found = special(&delayed, [1.3, 2.5]);
    assert!(
        found.len() == 1
            && found[0].0 == Bifurcation::NeimarkSacker
            && (found[0].1 - 2.0).abs() < 1e-8,
        "{found:?}"
    );
}

#[test]
fn lorenz_and_the_modified_cell() {
    // rho = sigma (sigma + beta + 3) / (sigma - beta - 1), at both of the outer points; subcritical.
    let lorenz = models::find("lorenz-1963").unwrap();
    let p = lorenz.spec().default_parameters();
    let rho = lorenz.spec().parameter_index("rho").unwrap();
    let all = branches(
        &*lorenz,
        0.0,
        &p,
        Input::Parameter(rho),
        [2.0, 30.0],
        &ContinuationOptions::default(),
    )
    .unwrap();
    let hopf: Vec<_> = all
        .iter()
        .flat_map(|b| &b.special_points)
        .filter(|s| s.kind == Bifurcation::Hopf)
        .collect();
    let want = 10.0 * (10.0 + 8.0 / 3.0 + 3.0) / (10.0 - 8.0 / 3.0 - 1.0);
    assert!(
        hopf.len() == 2
            && hopf.iter().all(|s| (s.parameter - want).abs() < 1e-8
                && s.first_lyapunov_coefficient.unwrap() > 0.0),
        "{hopf:?}"
    );

    let cell = models::find("stankevich-2017").unwrap();
    let p = cell.spec().default_parameters();
    let v_s = cell.spec().parameter_index("v_s").unwrap();
    let all = branches(
        &*cell,
        0.0,
        &p,
        Input::Parameter(v_s),
        [-40.0, -30.0],
        &ContinuationOptions::default(),
    )
    .unwrap();
    assert_eq!(
        (all.len(), &all[0].stopped),
        (1, &[Stop::EndOfRange, Stop::EndOfRange])
    );
    let kinds: Vec<_> = all[0].special_points.iter().map(|s| s.kind).collect();
    assert_eq!(kinds, [Bifurcation::Hopf, Bifurcation::Hopf]);
    assert_eq!(
        [
            all[0].points[0].parameter,
            all[0].points[all[0].points.len() - 1].parameter
        ],
        [-40.0, -30.0]
    );
}

#[test]
fn an_empty_box_is_named() {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().default_parameters();
    let options = ContinuationOptions {
        bounds: Some(vec![[0.0, 10.0], [0.0, 1.0], [0.0, 1.0]]),
        ..ContinuationOptions::default()
    };
    let error = branches(&*cell, 0.0, &p, Input::Parameter(0), [1.0, 2.0], &options)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no fixed point") && error.contains("box"),
        "{error}"
    );
}

#[test]
fn curves_over_two_parameters() {
    // Brusselator: Hopf at B = 1 + A^2, over A in [.5, 2].
    let rule = |x: &[f64], p: &[f64], out: &mut [f64]| {
        out.copy_from_slice(&[
            p[1] - (p[0] + 1.0) * x[0] + x[0] * x[0] * x[1],
            p[0] * x[0] - x[0] * x[0] * x[1],
        ])
    };
    let jacobian = |x: &[f64], p: &[f64], out: &mut [f64]| {
        out.copy_from_slice(&[
            2.0 * x[0] * x[1] - p[0] - 1.0,
            x[0] * x[0],
            p[0] - 2.0 * x[0] * x[1],
            -x[0] * x[0],
        ])
    };
    let system = TestSystem::new(
        &[[0.0, 5.0], [0.0, 10.0]],
        2,
        Time::Continuous,
        Box::new(rule),
        Box::new(jacobian),
    );
    let p = [0.0, 1.2];
    let found = branches(
        &system,
        0.0,
        &p,
        Input::Parameter(0),
        [0.5, 4.0],
        &ContinuationOptions::default(),
    )
    .unwrap();
    let over = [Input::Parameter(0), Input::Parameter(1)];
    let plane = curves::Plane::new(
        &system,
        0.0,
        &p,
        over,
        [[0.5, 4.0], [0.5, 2.0]],
        vec![[0.0, 5.0], [0.0, 10.0]],
        vec![0.0; 2],
    );
    let curve = plane.curve(&found[0].special_points[0], 1.2);
    assert_eq!(
        curve.stopped,
        [curves::CurveStop::EndOfRange, curves::CurveStop::EndOfRange]
    );
    let [first, last] = [&curve.points[0], &curve.points[curve.points.len() - 1]];
    // From A = .5 to where B = 4.
    assert!(
        (first.parameters[1] - 0.5).abs() < 1e-9 && (last.parameters[0] - 4.0).abs() < 1e-9,
        "{first:?} {last:?}"
    );
    assert!(
        curve.points.iter().all(
            |q| (q.parameters[0] - 1.0 - q.parameters[1].powi(2)).abs() < 1e-7
                && (q.frequency.unwrap() - q.parameters[1]).abs() < 1e-7
        )
    );
    assert!(plane.passes(&curve, &found[0].special_points[0], 1.2));

    // The cusp x' = b + a x - x^3: saddle-nodes at 27 b^2 = 4 a^3, one curve through the cusp at the origin.
    let rule = |x: &[f64], p: &[f64], out: &mut [f64]| out[0] = p[0] + p[1] * x[0] - x[0].powi(3);
    let jacobian = |x: &[f64], p: &[f64], out: &mut [f64]| out[0] = p[1] - 3.0 * x[0] * x[0];
    let system = TestSystem::new(
        &[[-2.0, 2.0]],
        2,
        Time::Continuous,
        Box::new(rule),
        Box::new(jacobian),
    );
    let p = [0.0, 1.0];
    let found = branches(
        &system,
        0.0,
        &p,
        Input::Parameter(0),
        [-1.0, 1.0],
        &ContinuationOptions::default(),
    )
    .unwrap();
    let plane = curves::Plane::new(
        &system,
        0.0,
        &p,
        over,
        [[-1.0, 1.0], [-1.0, 1.5]],
        vec![[-2.0, 2.0]],
        vec![0.0],
    );
    let curve = plane.curve(&found[0].special_points[0], 1.0);
    assert!(
        curve
            .points
            .iter()
            .all(|q| (27.0 * q.parameters[0].powi(2) - 4.0 * q.parameters[1].powi(3)).abs() < 1e-6),
        "{:?}",
        curve.points
    );
    // Both saddle-nodes lie on it.
    assert!(
        found[0]
            .special_points
            .iter()
            .all(|s| plane.passes(&curve, s, 1.0))
    );
}

/// The curves through the bifurcations at a value of the second parameter, with what lies on them.
fn curves_of(
    system: &TestSystem,
    ranges: &[[f64; 2]],
    p: [f64; 2],
    intervals: [[f64; 2]; 2],
) -> Vec<curves::Curve> {
    let found = branches(
        system,
        0.0,
        &p,
        Input::Parameter(0),
        intervals[0],
        &ContinuationOptions::default(),
    )
    .unwrap();
    let over = [Input::Parameter(0), Input::Parameter(1)];
    let plane = curves::Plane::new(
        system,
        0.0,
        &p,
        over,
        intervals,
        ranges.to_vec(),
        vec![0.0; ranges.len()],
    );
    let special = found.iter().flat_map(|b| &b.special_points);
    let mut all: Vec<curves::Curve> = Vec::new();
    for s in special {
        if !all.iter().any(|c| plane.passes(c, s, p[1])) {
            all.push(plane.curve(s, p[1]));
        }
    }
    all
}

#[test]
fn points_of_codimension_two_of_normal_forms() {
    use curves::Codimension2::*;
    let near = |s: &curves::CurveSpecialPoint, at: [f64; 2], by: f64| {
        (0..2).all(|k| (s.parameters[k] - at[k]).abs() < by)
    };

    // x' = b + a x - x^3 has its cusp at the origin.
    let rule = |x: &[f64], p: &[f64], out: &mut [f64]| out[0] = p[0] + p[1] * x[0] - x[0].powi(3);
    let jacobian = |x: &[f64], p: &[f64], out: &mut [f64]| out[0] = p[1] - 3.0 * x[0] * x[0];
    let cusp = TestSystem::new(
        &[[-2.0, 2.0]],
        2,
        Time::Continuous,
        Box::new(rule),
        Box::new(jacobian),
    );
    let all = curves_of(
        &cusp,
        &[[-2.0, 2.0]],
        [0.0, 1.0],
        [[-1.0, 1.0], [-1.0, 1.5]],
    );
    assert!(
        all.len() == 1 && all[0].special_points.len() == 1,
        "{:?}",
        all[0].special_points
    );
    assert!(
        all[0].special_points[0].kind == Cusp && near(&all[0].special_points[0], [0.0, 0.0], 1e-7),
        "{:?}",
        all[0].special_points
    );

    // Bautin's z' = (a + i) z + b z |z|^2 - z |z|^4: l_1 changes its sign at b = 0 on the line a = 0.
    let rule = |x: &[f64], p: &[f64], out: &mut [f64]| {
        let r = x[0] * x[0] + x[1] * x[1];
        let g = p[0] + p[1] * r - r * r;
        out.copy_from_slice(&[g * x[0] - x[1], x[0] + g * x[1]]);
    };
    let jacobian = |x: &[f64], p: &[f64], out: &mut [f64]| {
        let r = x[0] * x[0] + x[1] * x[1];
        let (g, slope) = (p[0] + p[1] * r - r * r, 2.0 * (p[1] - 2.0 * r));
        out.copy_from_slice(&[
            g + slope * x[0] * x[0],
            slope * x[0] * x[1] - 1.0,
            1.0 + slope * x[0] * x[1],
            g + slope * x[1] * x[1],
        ]);
    };
    let bautin = TestSystem::new(
        &[[-2.0, 2.0]; 2],
        2,
        Time::Continuous,
        Box::new(rule),
        Box::new(jacobian),
    );
    let all = curves_of(
        &bautin,
        &[[-2.0, 2.0]; 2],
        [0.0, 0.6],
        [[-0.7, 1.0], [-1.0, 0.9]],
    );
    assert!(
        all.len() == 1 && all[0].special_points.len() == 1,
        "{:?}",
        all[0].special_points
    );
    let s = &all[0].special_points[0];
    assert!(
        s.kind == GeneralizedHopf && near(s, [0.0, 0.0], 1e-6),
        "{s:?}"
    );

    // Bogdanov's x' = y, y' = a + b x + x^2 - x y: saddle-nodes at 4 a = b^2, Hopf points at a = 0, b < 0; both end or touch at the origin.
    let rule = |x: &[f64], p: &[f64], out: &mut [f64]| {
        out.copy_from_slice(&[x[1], p[0] + p[1] * x[0] + x[0] * x[0] - x[0] * x[1]])
    };
    let jacobian = |x: &[f64], p: &[f64], out: &mut [f64]| {
        out.copy_from_slice(&[0.0, 1.0, p[1] + 2.0 * x[0] - x[1], -x[0]])
    };
    let bogdanov = TestSystem::new(
        &[[-3.0, 3.0]; 2],
        2,
        Time::Continuous,
        Box::new(rule),
        Box::new(jacobian),
    );
    let all = curves_of(
        &bogdanov,
        &[[-3.0, 3.0]; 2],
        [0.0, -1.0],
        [[-1.0, 1.1], [-1.5, 1.5]],
    );
    let of = |kind| all.iter().find(|c| c.kind == kind).unwrap();
    let (hopf, fold) = (of(Bifurcation::Hopf), of(Bifurcation::SaddleNode));
    assert!(
        hopf.special_points.len() == 1 && fold.special_points.len() == 1,
        "{:?} {:?}",
        hopf.special_points,
        fold.special_points
    );
    assert!(
        hopf.special_points[0].kind == BogdanovTakens
            && near(&hopf.special_points[0], [0.0, 0.0], 1e-3),
        "{:?}",
        hopf.special_points
    );
    assert!(
        fold.special_points[0].kind == BogdanovTakens
            && near(&fold.special_points[0], [0.0, 0.0], 1e-5),
        "{:?}",
        fold.special_points
    );
}

/// z' = (a + (s - 3/4) + i) z - z |z|^2 / 2 with z = u + i v, beside w such that s = u + v + w + w^2 is conserved: a Hopf point at a = 0 on the
/// level 3/4, on which the term with s is nothing.
struct Wheel;

impl ionoscope_dynamics::system::Model for Wheel {
    fn definition(&self) -> ionoscope_dynamics::spec::Spec {
        let mut spec = TestSystem::new(
            &[[-2.0, 2.0], [-2.1, 2.2], [-0.4, 2.0]],
            2,
            Time::Continuous,
            Box::new(|_, _, _| {}),
            Box::new(|_, _, _| {}),
        )
        .spec;
        spec.variables[2].default = 0.5;
        spec
    }

    fn rhs<S: ionoscope_dynamics::real::Real>(&self, x: &[S], _: S, q: &[S], dx: &mut [S]) {
        let mut s = [S::constant(0.0)];
        self.conserved_values(x, &[q[0], S::constant(0.0)], &mut s);
        let growth = q[0] + s[0] - 0.75 - (x[0] * x[0] + x[1] * x[1]) * 0.5;
        dx[0] = growth * x[0] - x[1];
        dx[1] = x[0] + growth * x[1];
        dx[2] = -(dx[0] + dx[1]) / (x[2] * 2.0 + 1.0);
    }

    fn conserved(&self) -> Vec<ionoscope_dynamics::spec::Conserved> {
        vec![ionoscope_dynamics::spec::Conserved::new(
            "sum",
            "1",
            "u + v + w + w^2 + b",
        )]
    }

    fn conserved_values<S: ionoscope_dynamics::real::Real>(&self, x: &[S], q: &[S], out: &mut [S]) {
        out[0] = x[0] + x[1] + x[2] + x[2] * x[2] + q[1] * x[2];
    }
}

#[test]
fn a_hopf_point_on_a_level_has_its_normal_form() {
    let wheel = ionoscope_dynamics::ode::Ode::<_, 3, 2, 1>::new(Wheel);
    let found = branches(
        &wheel,
        0.0,
        &[0.0; 2],
        Input::Parameter(0),
        [-0.7, 1.0],
        &ContinuationOptions::default(),
    )
    .unwrap();
    assert_eq!(
        (found.len(), found[0].special_points.len()),
        (1, 1),
        "{:?}",
        found[0].special_points
    );
    let s = &found[0].special_points[0];
    // An eigenvector of length 1 has the share 4/5 of its square in u and v, since w moves by -(u + v) / 2.
    assert!(
        s.kind == Bifurcation::Hopf
            && s.parameter.abs() < 1e-8
            && (s.frequency.unwrap() - 1.0).abs() < 1e-8,
        "{s:?}"
    );
    assert!(
        (s.first_lyapunov_coefficient.unwrap() + 0.8).abs() < 1e-6,
        "{s:?}"
    );
    for q in &found[0].points {
        assert!(
            (q.x[2] - 0.5).abs() < 1e-10
                && q.eigenvalues[2].modulus() == 0.0
                && q.stable == (q.parameter < 0.0),
            "{q:?}"
        );
    }
    // The curve of Hopf points over a second parameter, on the level of the start.
    let plane = curves::Plane::new(
        &wheel,
        0.0,
        &[0.0; 2],
        [Input::Parameter(0), Input::Stimulus],
        [[-0.7, 1.0], [-1.0, 1.0]],
        vec![[-2.0, 2.0], [-2.1, 2.2], [-0.4, 2.0]],
        vec![0.0, 0.0, 0.5],
    );
    let curve = plane.curve(s, 0.0);
    assert_eq!(
        curve.stopped,
        [curves::CurveStop::EndOfRange, curves::CurveStop::EndOfRange]
    );
    assert!(curve.points.iter().all(|q| q.parameters[0].abs() < 1e-8
        && (q.first_lyapunov_coefficient.unwrap() + 0.8).abs() < 1e-5));
    let options = cycles::CycleOptions::default();
    let refused = cycles::cycles(
        &wheel,
        0.0,
        &[0.0; 2],
        Input::Parameter(0),
        [-0.7, 1.0],
        &found,
        &options,
    )
    .unwrap_err()
    .to_string();
    assert!(refused.contains("conserves sum"), "{refused}");
}

#[test]
fn a_saddle_node_on_a_level_and_its_curve() {
    // x' = b + a x - x^3 beside y' = -x': x + y stays, and the cusp's curve 27 b^2 = 4 a^3 with it.
    let rule = |x: &[f64], p: &[f64], out: &mut [f64]| {
        out[0] = p[0] + p[1] * x[0] - x[0].powi(3);
        out[1] = -out[0];
    };
    let jacobian = |x: &[f64], p: &[f64], out: &mut [f64]| {
        let d = p[1] - 3.0 * x[0] * x[0];
        out.copy_from_slice(&[d, 0.0, -d, 0.0]);
    };
    let ranges = [[-2.0, 2.0], [-4.0, 4.5]];
    let system = TestSystem::new(
        &ranges,
        2,
        Time::Continuous,
        Box::new(rule),
        Box::new(jacobian),
    );
    let p = [0.0, 1.0];
    let options = ContinuationOptions {
        start: Some(vec![0.5, 0.75]),
        ..ContinuationOptions::default()
    };
    let found = branches(&system, 0.0, &p, Input::Parameter(0), [-1.0, 1.0], &options).unwrap();
    let special: Vec<_> = found.iter().flat_map(|b| &b.special_points).collect();
    let at = 2.0 / 27f64.sqrt();
    assert_eq!((found.len(), special.len()), (1, 2), "{special:?}");
    assert!(
        special
            .iter()
            .all(|s| s.kind == Bifurcation::SaddleNode && (s.parameter.abs() - at).abs() < 1e-9),
        "{special:?}"
    );
    assert!(found[0].points.iter().all(
        |q| (q.x[0] + q.x[1] - 1.25).abs() < 1e-11 && q.stable == (3.0 * q.x[0] * q.x[0] > 1.0)
    ));
    let over = [Input::Parameter(0), Input::Parameter(1)];
    let plane = curves::Plane::new(
        &system,
        0.0,
        &p,
        over,
        [[-1.0, 1.0], [-1.0, 1.5]],
        ranges.to_vec(),
        vec![0.5, 0.75],
    );
    let curve = plane.curve(special[0], 1.0);
    assert!(
        curve
            .points
            .iter()
            .all(|q| (27.0 * q.parameters[0].powi(2) - 4.0 * q.parameters[1].powi(3)).abs() < 1e-6)
    );
    assert!(
        curve
            .points
            .iter()
            .all(|q| (q.x[0] + q.x[1] - 1.25).abs() < 1e-9)
    );
    assert!(curve.special_points.iter().any(
        |s| s.kind == curves::Codimension2::Cusp && s.parameters.iter().all(|p| p.abs() < 1e-4)
    ));
    let [from, to] = held(&system, 0.0, &p, Input::Parameter(0), [-1.0, 1.0], &options).unwrap();
    assert!(
        from == to
            && from[0].value == 1.25
            && !from[0].stated
            && from[0].quantity.name == "x0 + x1",
        "{from:?}"
    );
}

#[test]
fn a_ventricular_cell_is_followed_on_the_level_of_its_start() {
    let cell = models::find("ten-tusscher-panfilov-2006").unwrap();
    let spec = cell.spec();
    // A conductance, and the amount of a buffer, which enters the charge: at each value the rest of a cell that begins at the start.
    for (name, interval) in [("g_k1", [4.5, 6.5]), ("buf_sr", [8.0, 11.0])] {
        let (k, p) = (
            spec.parameter_index(name).unwrap(),
            spec.default_parameters(),
        );
        let start = spec.state_with([("k_i", 130.0)]).unwrap();
        let options = ContinuationOptions {
            start: Some(start.clone()),
            searches: 2,
            starts: 8,
            longest_step: 0.1,
            ..Default::default()
        };
        let found = branches(&*cell, 0.0, &p, Input::Parameter(k), interval, &options).unwrap();
        assert_eq!(
            (found.len(), found[0].special_points.len()),
            (1, 0),
            "{name}"
        );
        assert_eq!(found[0].stopped, [Stop::EndOfRange, Stop::EndOfRange]);
        let count = found[0].points.len();
        for q in [
            &found[0].points[0],
            &found[0].points[count / 2],
            &found[0].points[count - 1],
        ] {
            let p = spec.parameters_with([(name, q.parameter)]).unwrap();
            let search = FixedPointOptions {
                start: Some(start.clone()),
                starts: 4,
                ..Default::default()
            };
            let alone = fixed_points::fixed_points(&*cell, 0.0, &p, &search).unwrap();
            assert_eq!(alone.len(), 1);
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-8 * a.abs().max(1e-3);
            assert!(
                q.stable && alone[0].x.iter().zip(&q.x).all(near),
                "{name} = {}",
                q.parameter
            );
        }
        let [from, to] = held(&*cell, 0.0, &p, Input::Parameter(k), interval, &options).unwrap();
        assert_eq!(from[0].value == to[0].value, name == "g_k1");
    }
}

#[test]
fn a_branch_point_is_located_wherever_the_interval_ends() {
    // (v - beta)(v - 1) = -c / (b gamma) crosses v = 0 at beta = -.8.
    let cell = models::find("fitzhugh-nagumo-1961").unwrap();
    let p = cell.spec().default_parameters();
    let beta = Input::Parameter(cell.spec().parameter_index("beta").unwrap());
    for interval in [[-1.0, 0.0], [-1.0, 1.0], [-0.9, -0.7], [-2.0, 2.0]] {
        let found = branches(
            &*cell,
            0.0,
            &p,
            beta,
            interval,
            &ContinuationOptions::default(),
        )
        .unwrap();
        let at: Vec<f64> = found
            .iter()
            .flat_map(|b| &b.special_points)
            .filter(|s| s.kind == Bifurcation::BranchPoint)
            .map(|s| s.parameter)
            .collect();
        assert!(
            !at.is_empty() && at.iter().all(|b| (b + 0.8).abs() < 1e-6),
            "{interval:?}: {at:?}"
        );
    }
}

#[test]
fn a_fold_is_no_hopf_point() {
    // The eigenvalue that passes zero at the fold meets another just beyond: the pair passes at .54290609.
    let cell = models::find("ten-tusscher-panfilov-2006").unwrap();
    let p = cell.spec().default_parameters();
    let g = Input::Parameter(cell.spec().parameter_index("g_k1").unwrap());
    let found = branches(
        &*cell,
        0.0,
        &p,
        g,
        [0.0, 6.0],
        &ContinuationOptions::default(),
    )
    .unwrap();
    let special: Vec<(Bifurcation, f64)> = found
        .iter()
        .flat_map(|b| &b.special_points)
        .map(|s| (s.kind, s.parameter))
        .collect();
    let near = |kind, at: f64| {
        special
            .iter()
            .filter(|s| s.0 == kind && (s.1 - at).abs() < 1e-5)
            .count()
    };
    assert_eq!(
        (
            near(Bifurcation::SaddleNode, 0.54278395),
            near(Bifurcation::Hopf, 0.54278395)
        ),
        (1, 0),
        "{special:?}"
    );
}

use std::f64::consts::{SQRT_2, TAU};

use ionoscope_dynamics::{
    models::{self, sherman_1988::BetaCell},
    protocol::Protocol,
    system::Time,
    trajectory::{Experiment, SolveOptions, TimeGrid},
};

use super::*;
use crate::{
    continuation::{ContinuationOptions, Stop, branches, tests::system},
    lyapunov::{LyapunovOptions, lyapunov},
    testing::TestSystem,
};

/// Cycles over the first parameter, 0 where it stands.
fn over_first(
    system: &dyn DynamicalSystem,
    interval: [f64; 2],
    options: &CycleOptions,
) -> Vec<CycleBranch> {
    let fixed = branches(
        system,
        0.0,
        &[0.0],
        Input::Parameter(0),
        interval,
        &ContinuationOptions::default(),
    )
    .unwrap();
    cycles(
        system,
        0.0,
        &[0.0],
        Input::Parameter(0),
        interval,
        &fixed,
        options,
    )
    .unwrap()
}

fn kinds(branch: &CycleBranch) -> Vec<(Bifurcation, f64)> {
    branch
        .special_points
        .iter()
        .map(|s| (s.kind, s.cycle.parameter))
        .collect()
}

#[test]
fn the_cycle_of_the_hopf_normal_form() {
    // r' = a r - r^3, angular velocity 1: r = sqrt a, T = 2 pi, multiplier exp(-2 a T).
    let hopf = system(&[[-2.0, 2.0]; 2], Time::Continuous, |x, a, out| {
        let r = x[0] * x[0] + x[1] * x[1];
        out.copy_from_slice(&[a * x[0] - x[1] - r * x[0], x[0] + a * x[1] - r * x[1]]);
    });
    let found = over_first(
        &hopf,
        [-0.7, 1.0],
        &CycleOptions {
            at: vec![0.25],
            ..CycleOptions::default()
        },
    );
    assert_eq!(found.len(), 1);
    let branch = &found[0];
    assert_eq!(branch.stopped, [Stop::FixedPoint, Stop::EndOfRange]);
    assert!(kinds(branch).is_empty(), "{:?}", kinds(branch));
    for q in &branch.points {
        let r = q.parameter.sqrt();
        assert!(q.stable && (q.period - TAU).abs() < 1e-8, "{q:?}");
        for i in 0..2 {
            assert!(
                (q.max[i] - r).abs() < 1e-6 && (q.min[i] + r).abs() < 1e-6,
                "{q:?}, r = {r}"
            );
        }
        assert!(
            (q.multipliers[0].re - (-2.0 * q.parameter * TAU).exp()).abs() < 1e-7
                && q.trivial_error < 1e-7,
            "{q:?}"
        );
    }
    let whole = &branch.at[0];
    assert_eq!((branch.at.len(), whole.cycle.parameter), (1, 0.25));
    assert!(
        whole
            .x
            .iter()
            .all(|x| (x[0].hypot(x[1]) - 0.5).abs() < 1e-6)
            && (whole.t[whole.t.len() - 1] - TAU).abs() < 1e-8
    );
}

#[test]
fn a_saddle_node_of_cycles() {
    // r' = a r + r^3 - r^5: unstable cycles from a = 0 down to the saddle-node at a = -1/4, r^2 = 1/2; then stable ones.
    let bautin = system(&[[-2.0, 2.0]; 2], Time::Continuous, |x, a, out| {
        let r = x[0] * x[0] + x[1] * x[1];
        let rate = a + r - r * r;
        out.copy_from_slice(&[rate * x[0] - 2.0 * x[1], 2.0 * x[0] + rate * x[1]]);
    });
    let found = over_first(&bautin, [-0.7, 1.0], &CycleOptions::default());
    assert_eq!(found.len(), 1);
    let special = kinds(&found[0]);
    assert!(
        special.len() == 1
            && special[0].0 == Bifurcation::SaddleNode
            && (special[0].1 + 0.25).abs() < 1e-8,
        "{special:?}"
    );
    for q in &found[0].points {
        let r = q.max[0];
        assert!(
            (q.parameter + r * r - r.powi(4)).abs() < 1e-5 && (q.stable == (r * r > 0.5)),
            "{q:?}"
        );
    }
}

#[test]
fn a_torus_and_a_period_doubling() {
    // Beside the cycle r = sqrt a of z: w' = (a - 1/2 + i sqrt 2) w, which grows from a = 1/2.
    let torus = system(&[[-2.0, 2.0]; 4], Time::Continuous, |x, a, out| {
        let r = x[0] * x[0] + x[1] * x[1];
        let b = a - 0.5;
        out.copy_from_slice(&[
            a * x[0] - x[1] - r * x[0],
            x[0] + a * x[1] - r * x[1],
            b * x[2] - SQRT_2 * x[3],
            SQRT_2 * x[2] + b * x[3],
        ]);
    });
    let found = over_first(&torus, [-0.7, 1.0], &CycleOptions::default());
    let special = kinds(&found[0]);
    assert!(
        special.len() == 1
            && special[0].0 == Bifurcation::NeimarkSacker
            && (special[0].1 - 0.5).abs() < 1e-8,
        "{special:?}"
    );

    // w' = [R diag(r - 1/2, -r - 1/2) R^-1 + 1/2 J] w, R the rotation by half the phase of z: multipliers -exp((+-r - 1/2) T).
    let flip = system(&[[-2.0, 2.0]; 4], Time::Continuous, |x, a, out| {
        let r = x[0] * x[0] + x[1] * x[1];
        out.copy_from_slice(&[
            a * x[0] - x[1] - r * x[0],
            x[0] + a * x[1] - r * x[1],
            -0.5 * x[2] + x[0] * x[2] + x[1] * x[3] - 0.5 * x[3],
            -0.5 * x[3] + x[1] * x[2] - x[0] * x[3] + 0.5 * x[2],
        ]);
    });
    let found = over_first(&flip, [-0.7, 1.0], &CycleOptions::default());
    let special = kinds(&found[0]);
    assert!(
        special.len() == 1
            && special[0].0 == Bifurcation::PeriodDoubling
            && (special[0].1 - 0.25).abs() < 1e-8,
        "{special:?}"
    );
    for q in &found[0].points {
        let want = -((q.parameter.sqrt() - 0.5) * TAU).exp();
        assert!(
            q.multipliers
                .iter()
                .any(|m| (m.re / want - 1.0).abs() < 1e-6),
            "{q:?}, {want}"
        );
    }
}

#[test]
fn multipliers_of_what_decays_fast() {
    // Beside the cycle r = sqrt a of z: w' = -k (1 + x / 2) w, of which once around leaves exp(-2 pi k).
    fn damped<const K: u32>(x: &[f64], a: f64, out: &mut [f64]) {
        let r = x[0] * x[0] + x[1] * x[1];
        out.copy_from_slice(&[
            a * x[0] - x[1] - r * x[0],
            x[0] + a * x[1] - r * x[1],
            -f64::from(K) * (1.0 + 0.5 * x[0]) * x[2],
        ]);
    }
    type Rule = fn(&[f64], f64, &mut [f64]);
    let rules: [(f64, Rule, f64); 3] = [
        (1.0, damped::<1>, 1e-7),
        (10.0, damped::<10>, 2e-5),
        (100.0, damped::<100>, 1e-3),
    ];
    for (k, rule, accuracy) in rules {
        let damped = system(&[[-2.0, 2.0]; 3], Time::Continuous, rule);
        for q in over_first(&damped, [-0.7, 1.0], &CycleOptions::default())
            .iter()
            .flat_map(|b| &b.points)
        {
            let mut rates: Vec<f64> = q
                .multipliers
                .iter()
                .map(|m| -m.modulus().ln() / TAU)
                .collect();
            rates.sort_by(f64::total_cmp);
            let mut want = [2.0 * q.parameter, k];
            want.sort_by(f64::total_cmp);
            let off = rates
                .iter()
                .zip(want)
                .map(|(r, w)| (r - w).abs() / w.max(1.0))
                .fold(0.0, f64::max);
            assert!(
                off < accuracy && q.trivial_error < 1e-7,
                "{rates:?} {want:?} {q:?}"
            );
        }
    }
}

#[test]
fn multipliers_agree_with_lyapunov_exponents() {
    for (id, i_stim, interval, accuracy) in [
        ("fitzhugh-nagumo-1961", 0.5, [0.48, 0.52], 1e-4),
        ("hindmarsh-rose-1984", 2.0, [1.99, 2.01], 1e-2),
        ("hodgkin-huxley-1952", 20.0, [19.0, 21.0], 1e-3),
    ] {
        let model = models::find(id).unwrap();
        let p = model.spec().default_parameters();
        let options = CycleOptions {
            at: vec![i_stim],
            searches: 1,
            ..CycleOptions::default()
        };
        let found = cycles(&*model, 0.0, &p, Input::Stimulus, interval, &[], &options).unwrap();
        let cycle = &found
            .iter()
            .flat_map(|b| &b.at)
            .find(|c| c.cycle.stable)
            .unwrap()
            .cycle;
        let exponents = lyapunov(
            &*model,
            &model.spec().default_state(),
            i_stim,
            &p,
            &LyapunovOptions::default(),
        )
        .unwrap()
        .exponents;
        for (m, e) in cycle.multipliers.iter().zip(&exponents[1..]) {
            // Of exp(-700) nothing is left in double precision.
            if e * cycle.period < -700.0 {
                assert_eq!(m.modulus(), 0.0, "{id} {cycle:?} {exponents:?}");
            } else {
                assert!(
                    (m.modulus().ln() / cycle.period / e - 1.0).abs() < accuracy,
                    "{id} {cycle:?} {exponents:?}"
                );
            }
        }
    }
}

#[test]
fn cycles_of_hodgkin_and_huxley() {
    // Published for E_L = 10.599 mV: saddle-nodes 6.26490, 7.84654752, 7.921985, period doubling 7.92197768, with the Hopf point at 9.77963
    // (Guckenheimer, Labouriau, Bull. Math. Biol. 55 (1993) 937); with 10.613 mV all lie lower, the upper ones by 3e-4 as the Hopf point.
    let cell = models::find("hodgkin-huxley-1952").unwrap();
    let p = cell.spec().default_parameters();
    let interval = [5.0, 160.0];
    let fixed = branches(
        &*cell,
        0.0,
        &p,
        Input::Stimulus,
        interval,
        &ContinuationOptions::default(),
    )
    .unwrap();
    let found = cycles(
        &*cell,
        0.0,
        &p,
        Input::Stimulus,
        interval,
        &fixed,
        &CycleOptions::default(),
    )
    .unwrap();
    assert_eq!(
        (found.len(), &found[0].stopped),
        (1, &[Stop::FixedPoint, Stop::FixedPoint])
    );
    let special = kinds(&found[0]);
    let of = |kind| {
        special
            .iter()
            .filter(|s| s.0 == kind)
            .map(|s| s.1)
            .collect::<Vec<f64>>()
    };
    for (got, want) in of(Bifurcation::SaddleNode)
        .iter()
        .zip([7.84654752, 7.92198549, 6.26490316])
    {
        assert!((got - want).abs() < 7e-4, "{special:?}");
    }
    let doublings = of(Bifurcation::PeriodDoubling);
    assert_eq!(
        (of(Bifurcation::SaddleNode).len(), special.len()),
        (3, 5),
        "{special:?}"
    );
    assert!((doublings[1] - 7.92197768).abs() < 4e-4, "{special:?}");
}

#[test]
fn spikes_of_the_cell_repeat_after_the_period() {
    let cell = models::find("stankevich-2017").unwrap();
    let spec = cell.spec();
    let p = spec.default_parameters();
    let v_s = Input::Parameter(spec.parameter_index("v_s").unwrap());
    let options = CycleOptions {
        searches: 1,
        at: vec![-33.0],
        ..CycleOptions::default()
    };
    let found = cycles(&*cell, 0.0, &p, v_s, [-33.3, -32.6], &[], &options).unwrap();
    let whole = &found[0].at[0];
    assert!(
        whole.cycle.stable && whole.cycle.trivial_error < 1e-7,
        "{:?}",
        whole.cycle
    );
    let mut p = p;
    p[spec.parameter_index("v_s").unwrap()] = -33.0;
    // From where it is slowest, so that only the period's error shows beside what a stable cycle forgets.
    let (mut solve, period) = (SolveOptions::default(), whole.cycle.period);
    (solve.rtol, solve.atol) = (1e-11, 1e-12);
    let mut f = vec![0.0; 3];
    let mut worst = 0.0f64;
    for x0 in whole.x.iter().step_by(whole.x.len() / 7) {
        let times = TimeGrid::new(0.0, period, 2).unwrap();
        let experiment = Experiment {
            x0: x0.clone(),
            p: p.clone(),
            protocol: Protocol::none(),
            times,
        };
        let end = cell.simulate(&experiment, &solve).unwrap();
        cell.rule(x0, 0.0, &p, &mut f);
        // Time by which the end is late, in periods.
        let speed: f64 = f[0].abs();
        worst = worst.max((end.x[3] - x0[0]).abs() / speed / period);
    }
    assert!(worst < 1e-5, "{worst:e} of a period");
}

#[test]
fn the_unstable_cycles_of_the_modified_cell_join_its_hopf_points() {
    let cell = models::find("stankevich-2017").unwrap();
    let spec = cell.spec();
    let p = spec.default_parameters();
    let (k, interval) = (spec.parameter_index("v_s").unwrap(), [-37.5, -34.5]);
    let fixed = branches(
        &*cell,
        0.0,
        &p,
        Input::Parameter(k),
        interval,
        &ContinuationOptions::default(),
    )
    .unwrap();
    let options = CycleOptions {
        searches: 0,
        at: vec![-36.0],
        ..CycleOptions::default()
    };
    let found = cycles(
        &*cell,
        0.0,
        &p,
        Input::Parameter(k),
        interval,
        &fixed,
        &options,
    )
    .unwrap();
    let ends: Vec<_> = found
        .iter()
        .map(|b| (b.started_from, b.points.len(), &b.stopped))
        .collect();
    assert_eq!(
        (found.len(), &found[0].stopped),
        (1, &[Stop::FixedPoint, Stop::FixedPoint]),
        "{ends:?}"
    );
    let wall = &found[0].at[0];
    assert!(
        !wall.cycle.stable && wall.cycle.trivial_error < 1e-6,
        "{:?}",
        wall.cycle
    );
    // It bounds the basin: started a little inside, the cell comes to rest; a little outside, it spikes.
    let rest = &fixed[0]
        .points
        .iter()
        .min_by(|a, b| {
            (a.parameter + 36.0)
                .abs()
                .total_cmp(&(b.parameter + 36.0).abs())
        })
        .unwrap()
        .x;
    let mut p = p;
    p[k] = -36.0;
    let highest = |scale: f64| {
        let x0 = wall.x[0]
            .iter()
            .zip(rest)
            .map(|(x, r)| r + scale * (x - r))
            .collect();
        let times = TimeGrid::new(0.0, 0.01, 20_000).unwrap();
        let run = cell
            .simulate(
                &Experiment {
                    x0,
                    p: p.clone(),
                    protocol: Protocol::none(),
                    times,
                },
                &SolveOptions::default(),
            )
            .unwrap();
        run.x
            .chunks_exact(3)
            .map(|x| x[0])
            .fold(f64::NEG_INFINITY, f64::max)
    };
    assert!(
        highest(0.97) < -45.0 && highest(1.03) > -30.0,
        "{} {}",
        highest(0.97),
        highest(1.03)
    );
}

#[test]
fn an_exact_flow_map_has_the_cycle_of_its_flow() {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().default_parameters();
    let v_s = cell.spec().parameter_index("v_s").unwrap();
    let options = CycleOptions {
        searches: 1,
        at: vec![-33.0],
        accuracy: Some(1e-4),
        most_steps: 12,
        ..CycleOptions::default()
    };
    let of = |system: &dyn DynamicalSystem| {
        cycles(
            system,
            0.0,
            &p,
            Input::Parameter(v_s),
            [-33.05, -32.95],
            &[],
            &options,
        )
        .unwrap()
    };
    let flow = of(&*cell);
    let map = of(&TestSystem::beta_cell_map(BetaCell::ORIGINAL, 0.001));
    let [a, b] = [&flow[0].at[0].cycle, &map[0].at[0].cycle];
    assert!((a.period / b.period - 1.0).abs() < 1e-4, "{a:?} {b:?}");
    assert!(
        a.stable && b.stable && (a.multipliers[0].re - b.multipliers[0].re).abs() < 1e-3,
        "{a:?} {b:?}"
    );
}

#[test]
fn a_value_outside_the_interval_is_named() {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().default_parameters();
    let options = CycleOptions {
        at: vec![-50.0],
        ..CycleOptions::default()
    };
    let error = cycles(
        &*cell,
        0.0,
        &p,
        Input::Parameter(0),
        [-40.0, -30.0],
        &[],
        &options,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("-50") && error.contains("-40:-30"),
        "{error}"
    );
}

#[test]
fn a_doubled_cycle_begins_where_the_single_one_doubles() {
    let rossler = models::find("rossler-1976").unwrap();
    let p = rossler.spec().default_parameters();
    let c = Input::Parameter(rossler.spec().parameter_index("c").unwrap());
    let found = cycles(
        &*rossler,
        0.0,
        &p,
        c,
        [2.5, 3.3],
        &[],
        &CycleOptions::default(),
    )
    .unwrap();
    let special: Vec<(Bifurcation, f64)> = found.iter().flat_map(kinds).collect();
    assert!(
        special.iter().all(|s| s.0 == Bifurcation::PeriodDoubling),
        "{special:?}"
    );
    assert!(
        special.len() == 1 && (special[0].1 - 2.83244503).abs() < 1e-6,
        "{special:?}"
    );
    assert!(
        found
            .iter()
            .any(|b| b.stopped.contains(&Stop::SmallerPeriod)),
        "{:?}",
        found.iter().map(|b| &b.stopped).collect::<Vec<_>>()
    );
}

use ionoscope_dynamics::{
    models::{self, sherman_1988::BetaCell},
    ode::Ode,
    system::Time,
    trajectory::SolveOptions,
};

use super::*;
use crate::testing::{BlowUp, Oscillators, TestSystem, TwoPoints};

/// Basins of a model at a stimulus and some parameters, from random starts in its ranges.
fn of(id: &str, i_stim: f64, changes: &[(&str, f64)], starts: usize) -> Basins {
    let model = models::find(id).unwrap();
    let p = model
        .spec()
        .parameters_with(changes.iter().copied())
        .unwrap();
    let bounds = model.spec().variables.iter().map(|q| q.range).collect();
    basins(
        &*model,
        i_stim,
        &p,
        &BasinOptions::new(
            bounds,
            Starts::Random {
                count: starts,
                seed: 1,
            },
        ),
        &Watcher::default(),
    )
    .unwrap()
}

fn kinds(found: &Basins) -> Vec<AttractorKind> {
    found.attractors.iter().map(|a| a.kind).collect()
}

fn cell_options(starts: usize) -> BasinOptions {
    BasinOptions::new(
        vec![[-70.0, -10.0], [0.0, 0.12], [0.17, 0.2]],
        Starts::Random {
            count: starts,
            seed: 1,
        },
    )
}

#[test]
fn a_bistable_map_has_basins_of_known_size() {
    // x -> x / 2 + 1/2 sign(x): fixed points at -1 and 1, basins the half-lines; beyond 1e3 ranges nothing is reached.
    let rule = |x: &[f64], _: &[f64], out: &mut [f64]| {
        out[0] = if x[0].abs() > 9.0 {
            4.0 * x[0]
        } else {
            0.5 * x[0] + 0.5 * x[0].signum()
        }
    };
    let jacobian =
        |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = if x[0].abs() > 9.0 { 4.0 } else { 0.5 };
    let map = TestSystem::new(
        &[[-2.0, 2.0]],
        0,
        Time::Discrete { dt: 1.0 },
        Box::new(rule),
        Box::new(jacobian),
    );
    let options = BasinOptions::new(
        vec![[-1.0, 10.0]],
        Starts::Random {
            count: 2000,
            seed: 3,
        },
    );
    let found = basins(&map, 0.0, &[], &options, &Watcher::default()).unwrap();
    let kinds: Vec<AttractorKind> = found.attractors.iter().map(|a| a.kind).collect();
    assert_eq!(
        kinds,
        [
            AttractorKind::FixedPoint,
            AttractorKind::FixedPoint,
            AttractorKind::Escaped
        ]
    );
    for (attractor, share) in found
        .attractors
        .iter()
        .zip([1.0 / 11.0, 9.0 / 11.0, 1.0 / 11.0])
    {
        assert!((attractor.share - share).abs() < 0.03, "{attractor:?}");
        assert!(attractor.interval[0] < attractor.share && attractor.share < attractor.interval[1]);
    }
    for (k, label) in found.of_start.iter().enumerate() {
        let x = options.starts.state(k, &options.bounds)[0];
        let want = if x > 9.0 { 2 } else { u16::from(x > 0.0) };
        assert_eq!(*label, want, "{x}");
    }
}

#[test]
fn the_modified_cell_is_bistable_and_stopping_early_changes_nothing() {
    let cell = models::find("stankevich-2017").unwrap();
    let p = cell.spec().parameters_with([("v_s", -36.0)]).unwrap();
    let run = |o: &BasinOptions| basins(&*cell, 0.0, &p, o, &Watcher::default()).unwrap();
    let all = run(&cell_options(600));
    assert_eq!(all.attractors.len(), 2, "{:?}", all.attractors);
    let point = &all.attractors[0];
    assert!(
        point.kind == AttractorKind::FixedPoint && point.share > 0.005 && point.share < 0.04,
        "{point:?}"
    );
    // Where both basins meet: a quarter of these starts come to rest.
    let early = BasinOptions {
        bounds: vec![[-54.0, -47.0], [0.0, 0.006], [0.184, 0.192]],
        ..cell_options(60)
    };
    let full = BasinOptions {
        early: false,
        ..early.clone()
    };
    let [early, full] = [early, full].map(|o| run(&o));
    assert_eq!(early.of_start, full.of_start);
    let share = early.attractors[0].share;
    assert!((0.15..0.4).contains(&share), "{share}");
    assert!(
        all.mean_time < 0.2 * full.mean_time,
        "{} of {}",
        all.mean_time,
        full.mean_time
    );
}

#[test]
fn what_comes_to_rest_slowly_comes_to_rest() {
    use AttractorKind::{FixedPoint, Periodic};
    // A slow variable, of which windows that are too short make an attractor each.
    let found = of("hindmarsh-rose-1984", 1.0, &[], 200);
    assert_eq!(
        (kinds(&found), found.attractors[0].count),
        (vec![FixedPoint], 200),
        "{found:?}"
    );
    assert!(found.not_settled == 0.0 && found.advice.is_none());
    // At rest, and around it: the fixed point of the equations at 8 uA/cm^2 is stable beside the cycle.
    let found = of("hodgkin-huxley-1952", 8.0, &[], 100);
    assert_eq!(kinds(&found), [FixedPoint, Periodic], "{found:?}");
    assert!(
        (found.attractors[1].period.unwrap() - 16.011).abs() < 0.02,
        "{found:?}"
    );
    let found = of("fitzhugh-nagumo-1961", 0.5, &[], 100);
    assert_eq!(
        (kinds(&found), found.attractors[0].count),
        (vec![Periodic], 100),
        "{found:?}"
    );
    assert!(
        (found.attractors[0].period.unwrap() - 41.6285).abs() < 0.05,
        "{found:?}"
    );
}

#[test]
fn what_has_not_settled_is_no_attractor_and_every_interval_allows_for_it() {
    let model = models::find("hindmarsh-rose-1984").unwrap();
    let p = model.spec().default_parameters();
    let bounds = model.spec().variables.iter().map(|q| q.range).collect();
    let options = BasinOptions {
        longest: Some(150.0),
        early: false,
        ..BasinOptions::new(bounds, Starts::Random { count: 60, seed: 1 })
    };
    let found = basins(&*model, 1.0, &p, &options, &Watcher::default()).unwrap();
    let open = found
        .attractors
        .iter()
        .find(|a| a.kind == AttractorKind::NotSettled)
        .expect("some have not settled");
    assert!(
        open.count > 0
            && found.not_settled == open.share
            && found.advice.as_ref().unwrap().contains("longest time"),
        "{found:?}"
    );
    let point = found
        .attractors
        .iter()
        .find(|a| a.kind == AttractorKind::FixedPoint)
        .unwrap();
    assert_eq!(
        point.interval[1],
        wilson_interval(point.count + open.count, 60)[1]
    );
    assert!(
        found.attractors.iter().all(|a| matches!(
            a.kind,
            AttractorKind::NotSettled | AttractorKind::FixedPoint
        )),
        "{found:?}"
    );
}

#[test]
fn lorenz_has_two_points_chaos_or_a_cycle_and_its_saddle_is_no_attractor() {
    use AttractorKind::{Aperiodic, FixedPoint, Periodic, Unstable};
    let lorenz = models::find("lorenz-1963").unwrap();
    let grid = |rho: f64| {
        let p = lorenz.spec().parameters_with([("rho", rho)]).unwrap();
        let starts = Starts::Grid {
            axes: vec![(0, 5), (1, 5)],
            at: vec![0.0; 3],
        };
        let options = BasinOptions::new(vec![[-20.0, 20.0], [-20.0, 20.0], [0.0, 1.0]], starts);
        basins(&*lorenz, 0.0, &p, &options, &Watcher::default()).unwrap()
    };
    // The middle of the grid is the origin, and starts exactly on it stay; their share is no basin.
    let found = grid(20.0);
    assert_eq!(
        kinds(&found),
        [FixedPoint, FixedPoint, Unstable],
        "{found:?}"
    );
    assert_eq!(found.attractors[2].count, 1);
    assert_eq!(found.attractors[0].count, found.attractors[1].count);
    assert_eq!(found.of_start[12], 2);
    let found = grid(28.0);
    assert_eq!(kinds(&found), [Aperiodic, Unstable], "{found:?}");
    let found = of("lorenz-1963", 0.0, &[("rho", 160.0)], 40);
    assert_eq!(
        (kinds(&found), found.attractors[0].count),
        (vec![Periodic], 40),
        "{found:?}"
    );
    assert!(
        (found.attractors[0].period.unwrap() - 1.153).abs() < 2e-3,
        "{found:?}"
    );
}

#[test]
fn rossler_doubles_its_period_before_it_is_aperiodic() {
    use AttractorKind::{Aperiodic, Escaped, NotSettled, Periodic};
    for (c, kind, period) in [
        (2.5, Periodic, Some(5.749)),
        (3.5, Periodic, Some(11.545)),
        (4.0, Periodic, Some(23.177)),
        (5.7, Aperiodic, None),
    ] {
        let model = models::find("rossler-1976").unwrap();
        let p = model.spec().parameters_with([("c", c)]).unwrap();
        let options = BasinOptions::new(
            vec![[-4.0, 4.0], [-4.0, 4.0], [0.0, 1.0]],
            Starts::Random { count: 40, seed: 1 },
        );
        let found = basins(&*model, 0.0, &p, &options, &Watcher::default()).unwrap();
        let all: Vec<&Attractor> = found
            .attractors
            .iter()
            .filter(|a| !matches!(a.kind, Escaped | NotSettled))
            .collect();
        assert_eq!(
            (all.len(), all[0].kind, found.not_settled),
            (1, kind, 0.0),
            "{c}: {found:?}"
        );
        if let (Some(want), got) = (period, all[0].period) {
            assert!((got.unwrap() / want - 1.0).abs() < 0.01, "{c}: {found:?}");
        }
    }
}

#[test]
fn a_torus_is_neither_periodic_nor_aperiodic() {
    use AttractorKind::{Periodic, Quasiperiodic};
    let system = Ode::<_, 4, 2, 1>::new(Oscillators);
    for (rate, ratio, kind) in [
        (1.0, 0.5f64.sqrt(), Quasiperiodic),
        (1e6, 0.5f64.sqrt(), Quasiperiodic),
        (1e-3, 2.0, Periodic),
    ] {
        let options =
            BasinOptions::new(vec![[-2.0, 2.0]; 4], Starts::Random { count: 10, seed: 1 });
        let found = basins(&system, 0.0, &[rate, ratio], &options, &Watcher::default()).unwrap();
        assert_eq!(
            (kinds(&found), found.attractors[0].count),
            (vec![kind], 10),
            "{ratio}: {found:?}"
        );
    }
}

#[test]
fn starts_on_an_unstable_point_and_escapes_are_classes_of_their_own() {
    use AttractorKind::{Escaped, FixedPoint, Unstable};
    let starts = Starts::Grid {
        axes: vec![(0, 17)],
        at: vec![0.0, 1.0],
    };
    let options = BasinOptions::new(vec![[-2.0, 2.0], [-2.0, 2.0]], starts);
    let found = basins(
        &Ode::<_, 2, 1, 1>::new(TwoPoints),
        0.0,
        &[0.25],
        &options,
        &Watcher::default(),
    )
    .unwrap();
    // From -2 in steps of a quarter: nine below 1/4, one on it, seven above.
    assert_eq!(
        kinds(&found),
        [FixedPoint, FixedPoint, Unstable],
        "{found:?}"
    );
    assert_eq!(
        found.attractors.iter().map(|a| a.count).collect::<Vec<_>>(),
        [9, 7, 1]
    );
    let random = BasinOptions::new(
        vec![[0.1, 2.0], [-2.0, 2.0]],
        Starts::Random { count: 20, seed: 1 },
    );
    let found = basins(
        &Ode::<_, 2, 0, 1>::new(BlowUp),
        0.0,
        &[],
        &random,
        &Watcher::default(),
    )
    .unwrap();
    assert_eq!(
        (kinds(&found), found.attractors[0].count),
        (vec![Escaped], 20),
        "{found:?}"
    );
}

#[test]
#[ignore = "minutes: each step of the map is a run of the flow; expected: the same attractor from each start"]
fn a_map_of_a_flow_has_the_attractors_of_the_flow() {
    let flow = models::find("stankevich-2017").unwrap();
    let map = TestSystem::beta_cell_map(BetaCell::MODIFIED, 0.02);
    let p = flow.spec().parameters_with([("v_s", -36.0)]).unwrap();
    let [a, b] = [&*flow as &dyn DynamicalSystem, &map]
        .map(|s| basins(s, 0.0, &p, &cell_options(60), &Watcher::default()).unwrap());
    assert_eq!(
        kinds(&a),
        [AttractorKind::FixedPoint, AttractorKind::Periodic],
        "{a:?}"
    );
    assert_eq!((kinds(&a), &a.of_start), (kinds(&b), &b.of_start), "{b:?}");
    assert!(
        (a.attractors[1].period.unwrap() / b.attractors[1].period.unwrap() - 1.0).abs() < 0.01,
        "{a:?} {b:?}"
    );
}

#[test]
fn where_charge_is_conserved_starts_are_moved_to_one_level() {
    let found = of("ten-tusscher-panfilov-2006", 0.0, &[], 8);
    assert_eq!(
        (kinds(&found), found.attractors[0].count),
        (vec![AttractorKind::FixedPoint], 8),
        "{found:?}"
    );
    assert_eq!(found.conserved.len(), 1);
}

/// Every model at its defaults, and the same starts to ten times the longest time (minutes).
#[test]
#[ignore = "minutes; prints the table, expected: no start ends elsewhere when it is followed ten times as long"]
#[allow(clippy::print_stdout)]
fn every_model_at_defaults_and_ten_times_as_long() {
    for model in models::all() {
        let count = if model.dimension() > 4 { 20 } else { 100 };
        let found = of(&model.spec().id, 0.0, &[], count);
        // Of the first time, after which most are decided.
        let longest = 10.0 * found.times.first;
        let bounds = model.spec().variables.iter().map(|q| q.range).collect();
        let long = BasinOptions {
            longest: Some(longest),
            early: false,
            ..BasinOptions::new(bounds, Starts::Random { count, seed: 1 })
        };
        let p = model.spec().default_parameters();
        let long = basins(&*model, 0.0, &p, &long, &Watcher::default()).unwrap();
        println!(
            "{} ({count} starts, up to {:.4} {}):",
            model.spec().id,
            longest,
            model.spec().time_unit
        );
        for (name, found) in [("default", &found), ("long", &long)] {
            for a in &found.attractors {
                println!(
                    "  {name}: {:?} {} period {:?} x {:?}",
                    a.kind,
                    a.count,
                    a.period,
                    a.x.as_ref().map(|x| &x[..x.len().min(3)])
                );
            }
        }
        let kind = |b: &Basins, k: usize| b.attractors[usize::from(b.of_start[k])].kind;
        let other = (0..count)
            .filter(|k| {
                kind(&found, *k) != AttractorKind::NotSettled && kind(&found, *k) != kind(&long, *k)
            })
            .count();
        assert_eq!(other, 0, "{}", model.spec().id);
    }
}

#[test]
fn intervals_are_wilsons() {
    // 10 of 100: [.0552, .1744] (statsmodels, proportion_confint, method wilson).
    let [low, high] = wilson_interval(10, 100);
    assert!(
        (low - 0.055_229).abs() < 1e-6 && (high - 0.174_366).abs() < 1e-6,
        "{low} {high}"
    );
    assert_eq!(wilson_interval(0, 50)[0], 0.0);
}

#[test]
fn a_grid_has_its_ends_and_wrong_options_are_named() {
    let grid = Starts::Grid {
        axes: vec![(0, 3), (2, 2)],
        at: vec![9.0, 8.0, 7.0],
    };
    let bounds = [[0.0, 1.0], [0.0, 1.0], [5.0, 6.0]];
    let all: Vec<Vec<f64>> = (0..grid.count()).map(|k| grid.state(k, &bounds)).collect();
    assert_eq!(
        (all[0].clone(), all[1].clone(), all[5].clone()),
        (
            vec![0.0, 8.0, 5.0],
            vec![0.0, 8.0, 6.0],
            vec![1.0, 8.0, 6.0]
        )
    );
    let cell = models::find("stankevich-2017").unwrap();
    let p = cell.spec().default_parameters();
    let wrong = |o: BasinOptions| {
        basins(&*cell, 0.0, &p, &o, &Watcher::default())
            .unwrap_err()
            .to_string()
    };
    assert!(wrong(cell_options(0)).contains("0 starts"));
    let mut reversed = cell_options(10);
    reversed.bounds[1] = [0.2, 0.1];
    assert!(wrong(reversed).contains("of n"));
}

/// The early stop against full runs on 10^4 starts: none ended elsewhere (a minute and a half).
#[test]
#[ignore = "a minute and a half; expected: 0 of 10 000 differ at each of three values of v_s"]
fn stopping_early_changes_nothing_on_ten_thousand_starts() {
    let cell = models::find("stankevich-2017").unwrap();
    for v_s in [-36.75, -36.0, -35.0] {
        let p = cell.spec().parameters_with([("v_s", v_s)]).unwrap();
        let early = cell_options(10_000);
        let full = BasinOptions {
            early: false,
            ..early.clone()
        };
        let [early, full] =
            [early, full].map(|o| basins(&*cell, 0.0, &p, &o, &Watcher::default()).unwrap());
        let fixed = |b: &Basins, k: usize| {
            b.attractors[usize::from(b.of_start[k])].kind == AttractorKind::FixedPoint
        };
        let different = (0..10_000)
            .filter(|k| fixed(&early, *k) != fixed(&full, *k))
            .count();
        assert_eq!(
            different, 0,
            "at v_s = {v_s}: {:?} {:?}",
            early.attractors, full.attractors
        );
    }
}

#[test]
fn a_trap_holds_no_other_fixed_point() {
    // Next to the pitchfork of Lorenz' equations the two points are near each other, and equations and box are symmetric.
    for rho in [1.0001, 1.02, 1.2] {
        let found = of("lorenz-1963", 0.0, &[("rho", rho)], 100);
        let shares: Vec<f64> = found.attractors.iter().map(|a| a.share).collect();
        assert!(
            kinds(&found) == [AttractorKind::FixedPoint; 2]
                && (shares[0] - 0.5).abs() < 0.2
                && shares[0] + shares[1] == 1.0,
            "{rho}: {found:?}"
        );
    }
}

#[test]
fn a_cycle_that_starts_come_to_slowly_is_neither_unstable_nor_a_torus() {
    // Periods of runs to t = 1e5 (of plane flows by an own Runge-Kutta method); some are so slow that they do not settle.
    for (id, i_stim, changes, period) in [
        ("hindmarsh-rose-1984", 3.5, vec![], 31.743),
        ("fitzhugh-nagumo-1961", 0.218, vec![], 22.056),
        ("fitzhugh-nagumo-1961", 0.2172, vec![], 20.0787),
        ("stankevich-2017", 0.0, vec![("v_s", -34.8)], 1.3367),
        ("hodgkin-huxley-1952", 6.3, vec![], 19.131),
        ("hodgkin-huxley-1952", 154.5, vec![], 5.9115),
        ("hindmarsh-rose-1984", 3.496, vec![], 31.876),
    ] {
        let found = of(id, i_stim, &changes, 4);
        let wrong = |a: &&Attractor| match a.kind {
            AttractorKind::Periodic => (a.period.unwrap() / period - 1.0).abs() > 0.01,
            AttractorKind::FixedPoint | AttractorKind::NotSettled => false,
            _ => true,
        };
        assert!(
            !found.attractors.iter().any(|a| wrong(&a)),
            "{id} {i_stim}: {found:?}"
        );
    }
}

#[test]
fn weak_chaos_is_no_torus() {
    // First exponent .00078 per ms, by an own Runge-Kutta method over 1e6 ms.
    let found = of("hindmarsh-rose-1984", 3.4, &[], 4);
    assert!(
        found
            .attractors
            .iter()
            .all(|a| matches!(a.kind, AttractorKind::Aperiodic | AttractorKind::NotSettled)),
        "{found:?}"
    );
    // The logistic map at 3.578: .087 a step.
    let rule = |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = 3.578 * x[0] * (1.0 - x[0]);
    let jacobian = |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = 3.578 * (1.0 - 2.0 * x[0]);
    let map = TestSystem::new(
        &[[0.0, 1.0]],
        0,
        Time::Discrete { dt: 1.0 },
        Box::new(rule),
        Box::new(jacobian),
    );
    for start in 1..40 {
        let x = [f64::from(start) / 40.0];
        let disturbed = growth::Disturbed {
            system: &map,
            i_stim: 0.0,
            p: &[],
            x: &x,
            width: &[0.6],
            solve: &SolveOptions::default(),
        };
        let found = disturbed.growth(60.0).unwrap();
        assert_ne!(found, growth::Growth::Zero, "{x:?}");
    }
}

#[test]
fn a_map_whose_window_is_strobed_shows_its_cycle() {
    let rule = |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = 3.2 * x[0] * (1.0 - x[0]);
    let jacobian = |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = 3.2 * (1.0 - 2.0 * x[0]);
    let map = TestSystem::new(
        &[[0.01, 0.99]],
        0,
        Time::Discrete { dt: 1.0 },
        Box::new(rule),
        Box::new(jacobian),
    );
    for longest in [None, Some(20_000.0)] {
        let options = BasinOptions {
            longest,
            ..BasinOptions::new(vec![[0.01, 0.99]], Starts::Random { count: 50, seed: 1 })
        };
        let found = basins(&map, 0.0, &[], &options, &Watcher::default()).unwrap();
        assert_eq!(
            (kinds(&found), found.attractors[0].period),
            (vec![AttractorKind::Periodic], Some(2.0)),
            "{found:?}"
        );
    }
    let scales = time_scales(&map, &[0.3], 0.0, &[], &SolveOptions::default()).unwrap();
    assert_eq!(scales.period, Some(2.0), "{scales:?}");
}

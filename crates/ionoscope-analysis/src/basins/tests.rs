use ionoscope_dynamics::{models, system::Time};

use super::*;
use crate::testing::TestSystem;

fn cell_options(starts: usize) -> BasinOptions {
    BasinOptions::new(vec![[-70.0, -10.0], [0.0, 0.12], [0.17, 0.2]], Starts::Random { count: starts, seed: 1 })
}

#[test]
fn a_bistable_map_has_basins_of_known_size() {
    // x -> x / 2 + 1/2 sign(x): fixed points at -1 and 1, basins the half-lines; beyond 1e3 ranges nothing is reached.
    let rule =
        |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = if x[0].abs() > 9.0 { 4.0 * x[0] } else { 0.5 * x[0] + 0.5 * x[0].signum() };
    let jacobian = |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = if x[0].abs() > 9.0 { 4.0 } else { 0.5 };
    let map = TestSystem::new(&[[-2.0, 2.0]], 0, Time::Discrete { dt: 1.0 }, Box::new(rule), Box::new(jacobian));
    let mut options = BasinOptions::new(vec![[-1.0, 10.0]], Starts::Random { count: 2000, seed: 3 });
    (options.sample, options.window) = (1.0, 10.0);
    let found = basins(&map, 0.0, &[], &options, &|_| ()).unwrap();
    let kinds: Vec<AttractorKind> = found.attractors.iter().map(|a| a.kind).collect();
    assert_eq!(kinds, [AttractorKind::FixedPoint, AttractorKind::FixedPoint, AttractorKind::Escaped]);
    for (attractor, share) in found.attractors.iter().zip([1.0 / 11.0, 9.0 / 11.0, 1.0 / 11.0]) {
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
    let early = cell_options(600);
    let full = BasinOptions { settle: None, ..early.clone() };
    let [early, full] = [early, full].map(|o| basins(&*cell, 0.0, &p, &o, &|_| ()).unwrap());
    assert_eq!(early.attractors.len(), 2, "{:?}", early.attractors);
    let different = early.of_start.iter().zip(&full.of_start).filter(|(a, b)| a != b).count();
    assert_eq!(different, 0);
    let point = &early.attractors[0];
    assert!(point.kind == AttractorKind::FixedPoint && point.share > 0.005 && point.share < 0.04, "{point:?}");
    assert!(early.mean_time < 0.2 * full.mean_time, "{} of {}", early.mean_time, full.mean_time);
}

#[test]
fn intervals_are_wilsons() {
    // 10 of 100: [.0552, .1744] (statsmodels, proportion_confint, method wilson).
    let [low, high] = wilson_interval(10, 100);
    assert!((low - 0.055_229).abs() < 1e-6 && (high - 0.174_366).abs() < 1e-6, "{low} {high}");
    assert_eq!(wilson_interval(0, 50)[0], 0.0);
}

#[test]
fn a_grid_has_its_ends_and_wrong_options_are_named() {
    let grid = Starts::Grid { axes: vec![(0, 3), (2, 2)], at: vec![9.0, 8.0, 7.0] };
    let bounds = [[0.0, 1.0], [0.0, 1.0], [5.0, 6.0]];
    let all: Vec<Vec<f64>> = (0..grid.count()).map(|k| grid.state(k, &bounds)).collect();
    assert_eq!((all[0].clone(), all[1].clone(), all[5].clone()), (vec![0.0, 8.0, 5.0], vec![0.0, 8.0, 6.0], vec![1.0, 8.0, 6.0]));
    let cell = models::find("stankevich-2017").unwrap();
    let p = cell.spec().default_parameters();
    let wrong = |o: BasinOptions| basins(&*cell, 0.0, &p, &o, &|_| ()).unwrap_err().to_string();
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
        let full = BasinOptions { settle: None, ..early.clone() };
        let [early, full] = [early, full].map(|o| basins(&*cell, 0.0, &p, &o, &|_| ()).unwrap());
        let fixed = |b: &Basins, k: usize| b.attractors[usize::from(b.of_start[k])].kind == AttractorKind::FixedPoint;
        let different = (0..10_000).filter(|k| fixed(&early, *k) != fixed(&full, *k)).count();
        assert_eq!(different, 0, "at v_s = {v_s}: {:?} {:?}", early.attractors, full.attractors);
    }
}

use ionoscope_dynamics::{
    models::{self, sherman_1988::BetaCell},
    ode::Ode,
};

use super::*;
use crate::testing::{BlowUp, Oscillators, TestSystem, TwoPoints};

fn quick() -> SolveOptions {
    SolveOptions::with_rtol(1e-6)
}

fn of(id: &str, i_stim: f64, changes: &[(&str, f64)]) -> TimeScales {
    let model = models::find(id).unwrap();
    let p = model
        .spec()
        .parameters_with(changes.iter().copied())
        .unwrap();
    time_scales(&*model, &model.spec().default_state(), i_stim, &p, &quick()).unwrap()
}

#[test]
fn at_rest_the_slowest_eigenvalue_counts_whatever_the_unit_of_time() {
    // Slowest eigenvalues at rest, in the models' own units; those of the last two cells have one that is zero: charge is conserved.
    for (id, i_stim, changes, rate) in [
        ("fitzhugh-nagumo-1961", 0.0, vec![], 0.2625),
        ("hodgkin-huxley-1952", 0.0, vec![], 0.120_659),
        ("hindmarsh-rose-1984", 1.0, vec![], 0.012_149),
        ("luo-rudy-1991", 0.0, vec![], 0.004_406_8),
        ("lorenz-1963", 0.0, vec![("rho", 20.0)], 0.154_792),
        ("ten-tusscher-panfilov-2006", 0.0, vec![], 8.2443e-6),
        ("ohara-rudy-2011", 0.0, vec![], 2.1998e-6),
    ] {
        let found = of(id, i_stim, &changes);
        assert!(
            found.motion == Motion::Rest && found.settled && found.period.is_none(),
            "{id}: {found:?}"
        );
        assert!(
            (found.slowest * rate - 1.0).abs() < 1e-3,
            "{id}: {} against {}",
            found.slowest,
            1.0 / rate
        );
        assert!(found.fastest <= found.slowest, "{found:?}");
    }
}

#[test]
fn of_a_cycle_the_period_counts_and_of_a_burst_the_burst() {
    for (id, i_stim, changes, period) in [
        ("fitzhugh-nagumo-1961", 0.5, vec![], 41.6285),
        ("hodgkin-huxley-1952", 20.0, vec![], 11.5655),
        ("hindmarsh-rose-1984", 2.0, vec![], 128.505),
        ("rossler-1976", 0.0, vec![("c", 3.0)], 11.531),
        ("rossler-1976", 0.0, vec![("c", 4.0)], 23.177),
        ("lorenz-1963", 0.0, vec![("rho", 160.0)], 1.1530),
        ("sherman-1988", 0.0, vec![("v_s", -37.0)], 8.5626),
        ("stankevich-2017", 0.0, vec![("v_s", -36.0)], 8.5581),
    ] {
        let found = of(id, i_stim, &changes);
        assert!(
            found.motion == Motion::Periodic && found.settled,
            "{id}: {found:?}"
        );
        let got = found.period.unwrap();
        assert!(
            (got / period - 1.0).abs() < 1e-3,
            "{id}: {got} against {period}"
        );
        assert!(found.slowest >= got && found.fastest < got, "{found:?}");
    }
}

#[test]
fn irregular_motion_has_the_mean_time_of_its_slowest_variable() {
    for (id, i_stim, between) in [
        ("lorenz-1963", 0.0, [0.5, 5.0]),
        ("hindmarsh-rose-1984", 3.25, [30.0, 400.0]),
    ] {
        let found = of(id, i_stim, &[]);
        assert_eq!(found.motion, Motion::Irregular, "{found:?}");
        assert!(
            (between[0]..between[1]).contains(&found.slowest),
            "{found:?}"
        );
    }
    let torus = Ode::<_, 4, 2, 1>::new(Oscillators);
    let found = time_scales(
        &torus,
        &[0.3, 0.0, 0.0, 0.5],
        0.0,
        &[1.0, 0.5f64.sqrt()],
        &quick(),
    )
    .unwrap();
    assert_eq!(found.motion, Motion::Irregular, "{found:?}");
    assert!(
        (found.slowest / (std::f64::consts::TAU * 2f64.sqrt()) - 1.0).abs() < 0.1,
        "{found:?}"
    );
}

#[test]
fn the_unit_of_time_does_not_matter() {
    let system = Ode::<_, 4, 2, 1>::new(Oscillators);
    for rate in [1.0, 1e-12, 1e9] {
        let found =
            time_scales(&system, &[0.3, 0.0, 0.0, 0.5], 0.0, &[rate, 2.0], &quick()).unwrap();
        assert_eq!(found.motion, Motion::Periodic, "{found:?}");
        assert!(
            (found.period.unwrap() * rate / std::f64::consts::TAU - 1.0).abs() < 1e-4,
            "{rate}: {found:?}"
        );
        assert!(
            (found.fastest * rate - 1.0).abs() < 0.1,
            "{rate}: {found:?}"
        );
    }
}

#[test]
fn a_map_of_a_burster_has_its_period_and_its_own_step_as_a_floor() {
    let flow = models::find("sherman-1988").unwrap();
    let p = flow.spec().parameters_with([("v_s", -37.0)]).unwrap();
    let x0 = flow.spec().default_state();
    let map = TestSystem::beta_cell_map(BetaCell::ORIGINAL, 0.005);
    let [a, b] = [&*flow as &dyn DynamicalSystem, &map]
        .map(|s| time_scales(s, &x0, 0.0, &p, &quick()).unwrap());
    assert!(
        (a.period.unwrap() / b.period.unwrap() - 1.0).abs() < 1e-2,
        "{a:?} {b:?}"
    );
    assert!(b.fastest >= 0.005);
    // A step longer than any constant that could be taken for granted.
    let decay = TestSystem::linear(&[[-0.01]], Some(5.0));
    let found = time_scales(&decay, &[0.7], 0.0, &[], &quick()).unwrap();
    assert!(
        found.motion == Motion::Rest
            && (found.slowest - 100.0).abs() < 1e-6
            && found.fastest >= 5.0,
        "{found:?}"
    );
    // x -> 3.2 x (1 - x) hops between two states.
    let rule = |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = 3.2 * x[0] * (1.0 - x[0]);
    let slope = |x: &[f64], _: &[f64], out: &mut [f64]| out[0] = 3.2 * (1.0 - 2.0 * x[0]);
    let logistic = TestSystem::new(
        &[[0.0, 1.0]],
        0,
        Time::Discrete { dt: 0.5 },
        Box::new(rule),
        Box::new(slope),
    );
    let found = time_scales(&logistic, &[0.3], 0.0, &[], &quick()).unwrap();
    assert!(
        found.motion == Motion::Periodic && found.period == Some(1.0),
        "{found:?}"
    );
}

#[test]
fn a_start_on_a_saddle_is_moved_off_it_and_an_escape_is_named() {
    let lorenz = models::find("lorenz-1963").unwrap();
    let p = lorenz.spec().parameters_with([("rho", 20.0)]).unwrap();
    let found = time_scales(&*lorenz, &[0.0; 3], 0.0, &p, &quick()).unwrap();
    assert!(
        found.motion == Motion::Rest && found.state[0].abs() > 1.0,
        "{found:?}"
    );
    let found = time_scales(
        &Ode::<_, 2, 1, 1>::new(TwoPoints),
        &[0.25, 0.0],
        0.0,
        &[0.25],
        &quick(),
    )
    .unwrap();
    assert!(
        found.motion == Motion::Rest && (found.state[0] - 0.25).abs() > 0.2,
        "{found:?}"
    );
    let found = time_scales(
        &Ode::<_, 2, 0, 1>::new(BlowUp),
        &[0.5, 1.0],
        0.0,
        &[],
        &quick(),
    )
    .unwrap();
    assert!(
        found.motion == Motion::Escaped && !found.settled && found.followed <= 2.1,
        "{found:?}"
    );
}

#[test]
fn wrong_input_is_named() {
    let lorenz = models::find("lorenz-1963").unwrap();
    let p = lorenz.spec().default_parameters();
    for (x0, i_stim) in [(vec![f64::NAN; 3], 0.0), (vec![0.1; 3], f64::INFINITY)] {
        assert!(
            time_scales(&*lorenz, &x0, i_stim, &p, &quick())
                .unwrap_err()
                .is_input()
        );
    }
}

use ionoscope_dynamics::{
    models,
    system::{Input, Time},
    watch::Watcher,
};

use super::*;
use crate::testing::TestSystem;

#[test]
fn the_logistic_map_doubles_its_period_and_remembers() {
    let rule = |x: &[f64], p: &[f64], out: &mut [f64]| out[0] = p[0] * x[0] * (1.0 - x[0]);
    let jacobian = |x: &[f64], p: &[f64], out: &mut [f64]| out[0] = p[0] * (1.0 - 2.0 * x[0]);
    let map = TestSystem::new(
        &[[0.0, 1.0]],
        1,
        Time::Discrete { dt: 1.0 },
        Box::new(rule),
        Box::new(jacobian),
    );
    let values = [2.8, 3.2, 3.5];
    let task = Sweep {
        system: &map,
        over: Input::Parameter(0),
        values: &values,
        x0: &[0.3],
        i_stim: 0.0,
        p: &[0.0],
    };
    let options = SweepOptions {
        transient: Some(2000.0),
        window: Some(40.0),
        dt: Some(1.0),
        ..SweepOptions::default()
    };
    let columns = sweep(task, &options, &Watcher::default()).unwrap();
    // The number of different states: 1, 2, 4.
    for (column, want) in columns.iter().zip([1, 2, 4]) {
        let mut seen: Vec<i64> = column
            .window
            .x
            .iter()
            .map(|x| (x * 1e6).round() as i64)
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), want, "{}", column.parameter);
    }
    // At 3.2: (r + 1 +- sqrt((r - 3)(r + 1))) / (2 r); the larger one is every maximum.
    let maxima = orbit_marks(&task, &columns[1], 0, Mark::Maxima);
    let want = (4.2 + (0.2f64 * 4.2).sqrt()) / 6.4;
    assert!(
        maxima.len() >= 19 && maxima.iter().all(|m| (m - want).abs() < 0.2),
        "{maxima:?}"
    );
    // Another start, no transient: what is inherited shows.
    let short = SweepOptions {
        transient: Some(0.0),
        ..options
    };
    let inherited = sweep(task, &short, &Watcher::default()).unwrap();
    assert_eq!(
        inherited[1].window.state(0),
        inherited[0].window.last().unwrap()
    );
    let outwards = sweep(
        task,
        &SweepOptions {
            inherit: Inherit::Outwards(3.2),
            ..short.clone()
        },
        &Watcher::default(),
    )
    .unwrap();
    assert_eq!(
        (outwards[1].window.state(0), outwards[2].window.state(0)),
        (&[0.3][..], outwards[1].window.last().unwrap())
    );
    assert_eq!(
        outwards[0].window.state(0),
        outwards[1].window.last().unwrap()
    );
    let none = sweep(
        task,
        &SweepOptions {
            inherit: Inherit::None,
            ..short
        },
        &Watcher::default(),
    )
    .unwrap();
    assert!(none.iter().all(|c| c.window.state(0) == [0.3]));
}

#[test]
fn windows_of_a_burst_are_put_in_line() {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().default_parameters();
    let v_s = cell.spec().parameter_index("v_s").unwrap();
    let values = [-37.0, -36.9, -36.8];
    let x0 = cell.spec().default_state();
    let task = Sweep {
        system: &*cell,
        over: Input::Parameter(v_s),
        values: &values,
        x0: &x0,
        i_stim: 0.0,
        p: &p,
    };
    let columns = sweep(
        task,
        &SweepOptions {
            transient: Some(20.0),
            window: Some(30.0),
            dt: Some(0.02),
            ..SweepOptions::default()
        },
        &Watcher::default(),
    )
    .unwrap();
    let found = raster(&columns, 0, 0);
    assert_eq!((found.time.len(), found.values[2].len()), (751, 751));
    let distance = |a: &[f64], b: &[f64]| {
        (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
    };
    for k in 1..3 {
        let aligned = distance(&found.values[k], &found.values[k - 1]);
        let all: Vec<f64> = columns[k].window.variable(0).collect();
        let least = (0..=750)
            .map(|s| distance(&all[s..s + 751], &found.values[k - 1]))
            .fold(f64::INFINITY, f64::min);
        assert!(aligned == least && aligned < 12.0, "{aligned} {least}");
    }
    // Crossings of -40 upwards: the intervals of spikes in a burst.
    let intervals = orbit_marks(&task, &columns[0], 0, Mark::Intervals(-40.0));
    assert!(
        intervals.len() > 20 && intervals.iter().all(|t| (0.1..8.0).contains(t)),
        "{intervals:?}"
    );
}

#[test]
fn wrong_options_are_named() {
    let cell = models::find("sherman-1988").unwrap();
    let (p, x0) = (
        cell.spec().default_parameters(),
        cell.spec().default_state(),
    );
    let task = Sweep {
        system: &*cell,
        over: Input::Parameter(0),
        values: &[1.0],
        x0: &x0,
        i_stim: 0.0,
        p: &p,
    };
    let wrong = |o: SweepOptions| {
        sweep(task, &o, &Watcher::default())
            .unwrap_err()
            .to_string()
    };
    assert!(
        wrong(SweepOptions {
            window: Some(0.0),
            ..SweepOptions::default()
        })
        .contains("window")
    );
    assert!(
        wrong(SweepOptions {
            dt: Some(0.0),
            ..SweepOptions::default()
        })
        .contains("dt")
    );
    assert!(
        sweep(
            Sweep {
                values: &[],
                ..task
            },
            &SweepOptions::default(),
            &Watcher::default()
        )
        .unwrap_err()
        .to_string()
        .contains("no value")
    );
}

#[test]
fn maxima_are_as_exact_as_the_motion_and_a_rest_is_one_point() {
    // Spiking of period one: all maxima are 1.64732, by a run with a step of .01.
    let cell = models::find("hindmarsh-rose-1984").unwrap();
    let (p, x0) = (
        cell.spec().default_parameters(),
        cell.spec().default_state(),
    );
    let values = [3.55, 3.6];
    let task = Sweep {
        system: &*cell,
        over: Input::Stimulus,
        values: &values,
        x0: &x0,
        i_stim: 0.0,
        p: &p,
    };
    let times = sweep_times(task, &SweepOptions::default()).unwrap();
    let options = SweepOptions {
        dt: Some(times.dt / 4.0),
        ..SweepOptions::default()
    };
    let columns = sweep(task, &options, &Watcher::default()).unwrap();
    let maxima = orbit_marks(&task, &columns[0], 0, Mark::Maxima);
    assert!(
        maxima.len() >= 3 && maxima.iter().all(|m| (m - 1.64732).abs() < 2e-4),
        "{maxima:?}"
    );

    let lorenz = models::find("lorenz-1963").unwrap();
    let (p, x0) = (
        lorenz.spec().default_parameters(),
        lorenz.spec().default_state(),
    );
    let rho = Input::Parameter(lorenz.spec().parameter_index("rho").unwrap());
    let values = [0.5, 5.0, 10.0];
    let task = Sweep {
        system: &*lorenz,
        over: rho,
        values: &values,
        x0: &x0,
        i_stim: 0.0,
        p: &p,
    };
    for column in sweep(task, &SweepOptions::default(), &Watcher::default()).unwrap() {
        let marks = orbit_marks(&task, &column, 0, Mark::Maxima);
        let want = (8.0 / 3.0 * (column.parameter - 1.0).max(0.0)).sqrt();
        assert!(
            column.settled && marks.len() == 1 && (marks[0].abs() - want).abs() < 1e-3,
            "{}: {marks:?} {want}",
            column.parameter
        );
    }
}

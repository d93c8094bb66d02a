//! The integrator on problems with known answers: convergence, singularities, stiffness, interruption.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ionoscope_dynamics::{
    Error,
    ode::Ode,
    protocol::Protocol,
    real::Real,
    spec::{Quantity, Spec},
    system::{DynamicalSystem, Model},
    trajectory::{Experiment, FailureReason, Method, Outcome, SolveOptions, TimeGrid, Trajectory},
    watch::{Watch, Watcher},
};

/// Two variables, one parameter `a`.
enum Problem {
    /// x' = y, y' = -a^2 x.
    Oscillator,
    /// x' = x^2: infinite at t = 1/x0. y' = 0.
    Explosion,
    /// x' = -1 / (2 sqrt(x)): x^(3/2) = x0^(3/2) - 3 t/4, and no number afterwards. y' = 1.
    EndOfNumbers,
    /// x' = -a (x - 1/(1 + y^2)), y' = 1.
    Relaxation,
    /// Van der Pol with mu = a.
    VanDerPol,
}

impl Model for Problem {
    fn definition(&self) -> Spec {
        let q = |name: &str| Quantity::new(name, "1", "test", 1.0, [-1e9, 1e9]);
        Spec {
            id: "test".into(),
            title: "test".into(),
            citation: "none".into(),
            time_unit: "1".into(),
            stimulus_unit: "1".into(),
            variables: vec![q("x"), q("y")],
            parameters: vec![q("a")],
            membrane_potential: None,
            spike_threshold: None,
            presets: Vec::new(),
            trained_on: None,
        }
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], _: S, q: &[S], dx: &mut [S]) {
        let (one, (x, y), a) = (S::constant(1.0), (x[0], x[1]), q[0]);
        [dx[0], dx[1]] = match self {
            Problem::Oscillator => [y, -(a * a * x)],
            Problem::Explosion => [x * x, S::constant(0.0)],
            Problem::EndOfNumbers => [S::constant(-0.5) / x.sqrt(), one],
            Problem::Relaxation => [(one / (y * y + 1.0) - x) * a, one],
            Problem::VanDerPol => [y, a * (one - x * x) * y - x],
        };
    }
}

fn solve(
    problem: Problem,
    x0: [f64; 2],
    a: f64,
    times: TimeGrid,
    options: &SolveOptions,
) -> Trajectory {
    let e = Experiment {
        x0: x0.to_vec(),
        p: vec![a],
        protocol: Protocol::none(),
        times,
    };
    Ode::<_, 2, 1>::new(problem)
        .solve_ensemble(&[e], options)
        .unwrap()
        .remove(0)
}

#[test]
fn convergence_is_of_order_eight_at_the_steps_and_seven_or_more_between() {
    let work_and_error = |rtol: f64, dt: f64| {
        let times = TimeGrid::until(20.0, dt).unwrap();
        let t = solve(
            Problem::Oscillator,
            [1.0, 0.0],
            2.0,
            times,
            &SolveOptions {
                rtol,
                atol: rtol,
                ..SolveOptions::default()
            },
        );
        let error = (0..t.len())
            .map(|k| (t.state(k)[0] - (2.0 * times.time(k)).cos()).abs())
            .fold(0.0, f64::max);
        (t.statistics.accepted as f64, error)
    };
    for (dt, order) in [(20.0, 7.5), (0.01, 7.0)] {
        let (few, coarse) = work_and_error(1e-2, dt);
        let (many, fine) = work_and_error(1e-6, dt);
        let seen = (coarse / fine).ln() / (many / few).ln();
        assert!(
            seen > order,
            "order {seen} from {few} steps, error {coarse:e}, and {many} steps, error {fine:e}"
        );
    }
    // As a whole: 1e-13 is in reach.
    assert!(work_and_error(1e-11, 0.01).1 < 1e-12);
}

#[test]
fn an_explosion_is_found_where_it_is_and_keeps_what_came_before() {
    let times = TimeGrid::until(1.95, 0.13).unwrap();
    let t = solve(
        Problem::Explosion,
        [1.0, 0.0],
        0.0,
        times,
        &SolveOptions::default(),
    );
    let Outcome::Failed { time, .. } = t.outcome else {
        panic!("{:?}", t.outcome)
    };
    assert!((time - 1.0).abs() < 1e-9, "{time}");
    assert_eq!(t.len(), 8);
    for k in 0..8 {
        let want = 1.0 / (1.0 - times.time(k));
        assert!((t.state(k)[0] - want).abs() < 1e-7 * want);
    }
    let error = t.completed().unwrap_err();
    assert!(
        !error.is_input() && error.to_string().contains("the integration failed at t = "),
        "{error}"
    );
}

#[test]
fn leaving_the_numbers_is_a_reason() {
    let t = solve(
        Problem::EndOfNumbers,
        [1.0, 0.0],
        0.0,
        TimeGrid::until(3.0, 0.1).unwrap(),
        &SolveOptions::default(),
    );
    let Outcome::Failed { time, reason } = &t.outcome else {
        panic!("{:?}", t.outcome)
    };
    assert!((*time - 4.0 / 3.0).abs() < 1e-6, "{time}");
    assert!(matches!(
        reason,
        FailureReason::NotFinite { .. } | FailureReason::StepTooSmall { .. }
    ));
    assert_eq!(t.len(), 14);
    // From the first moment.
    let t = solve(
        Problem::EndOfNumbers,
        [-1.0, 0.0],
        0.0,
        TimeGrid::until(3.0, 0.1).unwrap(),
        &SolveOptions::default(),
    );
    let quantity = Some("the derivative of x".to_owned());
    assert_eq!(
        t.outcome,
        Outcome::Failed {
            time: 0.0,
            reason: FailureReason::NotFinite { quantity }
        }
    );
    assert_eq!(t.x, [-1.0, 0.0]);
}

#[test]
fn stiffness_is_told_from_accuracy() {
    let options = SolveOptions {
        rtol: 1e-4,
        atol: 1e-6,
        ..SolveOptions::default()
    };
    let end = TimeGrid::new(10.0, 1.0, 1).unwrap();
    let stiff = solve(Problem::Relaxation, [0.0, 0.0], 1e4, end, &options);
    assert!(stiff.statistics.stiff, "{:?}", stiff.statistics);
    assert!((stiff.x[0] - 1.0 / 101.0).abs() < 1e-4);
    assert!(
        !solve(Problem::Relaxation, [0.0, 0.0], 1.0, end, &options)
            .statistics
            .stiff
    );
    assert!(
        !solve(Problem::Oscillator, [1.0, 0.0], 30.0, end, &options)
            .statistics
            .stiff
    );
    assert!(
        solve(Problem::VanDerPol, [2.0, 0.0], 1000.0, end, &options)
            .statistics
            .stiff
    );
}

#[test]
fn van_der_pol_against_radau() {
    // Van der Pol, mu = 5, from (2, 0) at t = 20: scipy 1.17, Radau and DOP853 at rtol = 1e-13 agree in these digits.
    let times = TimeGrid::new(20.0, 1.0, 1).unwrap();
    let t = solve(
        Problem::VanDerPol,
        [2.0, 0.0],
        5.0,
        times,
        &SolveOptions {
            rtol: 1e-11,
            atol: 1e-12,
            ..SolveOptions::default()
        },
    );
    assert!(
        (t.x[0] - VDP[0]).abs() < 1e-9 && (t.x[1] - VDP[1]).abs() < 1e-9,
        "{:?}",
        t.x
    );
}

const VDP: [f64; 2] = [-1.6012968795428, 0.1983266763386];

#[test]
fn ends_and_single_times() {
    let solve = |times| {
        solve(
            Problem::Oscillator,
            [1.0, 0.0],
            1.0,
            times,
            &SolveOptions::default(),
        )
    };
    // Only the start: nothing to do.
    let t = solve(TimeGrid::new(0.0, 1.0, 1).unwrap());
    assert_eq!(
        (t.x.as_slice(), t.statistics.evaluations),
        ([1.0, 0.0].as_slice(), 0)
    );
    // A first time later, spacing far larger and far smaller than a step.
    for times in [
        TimeGrid::new(3.0, 50.0, 2).unwrap(),
        TimeGrid::new(0.3, 1e-5, 1000).unwrap(),
    ] {
        let t = solve(times);
        assert_eq!(t.len(), times.count);
        for k in 0..t.len() {
            assert!((t.state(k)[0] - times.time(k).cos()).abs() < 1e-8);
        }
    }
}

#[derive(Default)]
struct Count {
    finished: AtomicUsize,
    stop_after: usize,
}

impl Watch for Count {
    fn progress(&self, _done: usize, of: usize, what: &str) {
        assert_eq!((of, what), (100, "trajectories"));
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.finished.load(Ordering::Relaxed) >= self.stop_after
    }
}

#[test]
fn a_watcher_sees_progress_and_may_stop() {
    let system = Ode::<_, 2, 1>::new(Problem::Oscillator);
    let e = Experiment::from_defaults(system.spec(), TimeGrid::new(1e3, 1.0, 1).unwrap());
    let batch = vec![e; 100];
    for (stop_after, whole) in [(usize::MAX, true), (3, false)] {
        let count = Arc::new(Count {
            stop_after,
            ..Count::default()
        });
        let options = SolveOptions {
            watch: Watcher::new(count.clone()),
            ..SolveOptions::default()
        };
        let result = system.solve_ensemble(&batch, &options);
        let finished = count.finished.load(Ordering::Relaxed);
        if whole {
            assert_eq!((result.unwrap().len(), finished), (100, 100));
        } else {
            assert_eq!(result.unwrap_err(), Error::Interrupted);
            assert!((3..100).contains(&finished), "{finished}");
        }
    }
}

fn end(
    problem: Problem,
    x0: [f64; 2],
    a: f64,
    t_end: f64,
    rtol: f64,
    method: Method,
) -> Trajectory {
    let options = SolveOptions {
        rtol,
        atol: rtol * 1e-2,
        method,
        ..SolveOptions::default()
    };
    solve(
        problem,
        x0,
        a,
        TimeGrid::new(t_end, 1.0, 1).unwrap(),
        &options,
    )
}

#[test]
fn the_stiff_method_converges_with_order_five_at_the_steps_and_four_or_more_between() {
    let work_and_error = |rtol: f64, dt: f64| {
        let times = TimeGrid::until(20.0, dt).unwrap();
        let options = SolveOptions {
            rtol,
            atol: rtol,
            method: Method::Stiff,
            ..SolveOptions::default()
        };
        let t = solve(Problem::Oscillator, [1.0, 0.0], 2.0, times, &options);
        let error = (0..t.len())
            .map(|k| (t.state(k)[0] - (2.0 * times.time(k)).cos()).abs())
            .fold(0.0, f64::max);
        (t.statistics.accepted as f64, error)
    };
    for (dt, order) in [(20.0, 4.8), (0.01, 4.0)] {
        let (few, coarse) = work_and_error(1e-4, dt);
        let (many, fine) = work_and_error(1e-8, dt);
        let seen = (coarse / fine).ln() / (many / few).ln();
        assert!(
            seen > order,
            "order {seen} from {few} steps, error {coarse:e}, and {many} steps, error {fine:e}"
        );
    }
}

#[test]
fn stiff_problems_are_handed_over_and_solved() {
    // Van der Pol, mu = 1000, from (2, 0) at t = 2000: 1.706167732170469 (Test Set for IVP Solvers, where time is scaled by mu).
    // A thousand explicit steps of some 6 / 3000 come first.
    let t = end(
        Problem::VanDerPol,
        [2.0, 0.0],
        1000.0,
        2000.0,
        1e-8,
        Method::Auto,
    );
    assert!(
        t.statistics.stiff_from.is_some_and(|t| t < 3.0),
        "{:?}",
        t.statistics
    );
    assert!(t.statistics.accepted < 5000, "{:?}", t.statistics);
    assert!((t.x[0] - 1.706_167_732_170_469).abs() < 1e-7, "{:?}", t.x);
    // Against what nothing but stability limits, a step is free to grow.
    let t = end(
        Problem::Relaxation,
        [0.0, 0.0],
        1e6,
        10.0,
        1e-6,
        Method::Auto,
    );
    assert!(
        (t.x[0] - 1.0 / 101.0).abs() < 1e-8 && t.statistics.accepted < 1300,
        "{:?} {:?}",
        t.x,
        t.statistics
    );
    // Where accuracy limits it, nothing is handed over.
    assert_eq!(
        end(
            Problem::Oscillator,
            [1.0, 0.0],
            30.0,
            10.0,
            1e-6,
            Method::Auto
        )
        .statistics
        .stiff_from,
        None
    );
}

#[test]
fn rush_and_larsens_method_is_exact_for_a_gate_and_of_order_one_otherwise() {
    let run = |problem, x0, a, t_end: f64, step: f64| {
        let options = SolveOptions {
            method: Method::RushLarsen,
            step: Some(step),
            ..SolveOptions::default()
        };
        solve(
            problem,
            x0,
            a,
            TimeGrid::new(t_end, 1.0, 1).unwrap(),
            &options,
        )
    };
    // x' = a (1/(1 + y^2) - x), y' = 1: x relaxes at a rate far beyond Euler's reach. At y = 100 it lags by 2e-6 / a at most.
    let t = run(Problem::Relaxation, [0.0, 0.0], 1e6, 100.0, 0.1);
    assert!((t.x[0] - 1.0 / 10001.0).abs() < 1e-6, "{:?}", t.x);
    assert_eq!(
        (t.statistics.accepted, t.statistics.evaluations),
        (1000, 1000)
    );
    let error =
        |step: f64| (run(Problem::VanDerPol, [2.0, 0.0], 5.0, 20.0, step).x[0] - VDP[0]).abs();
    let ratio = error(2e-5) / error(1e-5);
    assert!(
        (1.9..2.1).contains(&ratio),
        "half the step divides the error by {ratio}"
    );
    // A fixed step where none belongs, and none where one belongs.
    let e = Experiment {
        x0: vec![1.0, 0.0],
        p: vec![1.0],
        protocol: Protocol::none(),
        times: TimeGrid::new(1.0, 1.0, 1).unwrap(),
    };
    let system = Ode::<_, 2, 1>::new(Problem::Oscillator);
    for options in [
        SolveOptions {
            method: Method::RushLarsen,
            ..SolveOptions::default()
        },
        SolveOptions {
            step: Some(0.1),
            ..SolveOptions::default()
        },
    ] {
        let error = system
            .solve_ensemble(std::slice::from_ref(&e), &options)
            .unwrap_err();
        assert!(
            error.is_input() && error.to_string().contains("fixed step"),
            "{error}"
        );
    }
}

//! Every end has its true reason, and no bifurcation is stepped over, however wide the interval.

use ionoscope_dynamics::{models, system::Time};

use super::{tests::system, *};

type Found = Vec<(Bifurcation, f64)>;

fn kinds(all: &[Branch]) -> Found {
    let mut found: Found = all
        .iter()
        .flat_map(|b| &b.special_points)
        .map(|s| (s.kind, s.parameter))
        .collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    found
}

/// Branches of a model over a parameter, or over the stimulus.
fn over(model: &str, name: &str, interval: [f64; 2], i_stim: f64) -> Vec<Branch> {
    let cell = models::find(model).unwrap();
    let p = cell.spec().default_parameters();
    let input = if name == "i_stim" {
        Input::Stimulus
    } else {
        Input::Parameter(cell.spec().parameter_index(name).unwrap())
    };
    branches(
        &*cell,
        i_stim,
        &p,
        input,
        interval,
        &ContinuationOptions::default(),
    )
    .unwrap()
}

fn first(system: &dyn DynamicalSystem, interval: [f64; 2]) -> Vec<Branch> {
    first_with(system, 0.0, interval)
}

/// Over the first parameter, which has the value `own` where it is not varied.
fn first_with(system: &dyn DynamicalSystem, own: f64, interval: [f64; 2]) -> Vec<Branch> {
    branches(
        system,
        0.0,
        &[own],
        Input::Parameter(0),
        interval,
        &ContinuationOptions::default(),
    )
    .unwrap()
}

fn ends(branch: &Branch) -> [f64; 2] {
    [
        branch.points[0].parameter,
        branch.points[branch.points.len() - 1].parameter,
    ]
}

/// Hopf points of FitzHugh and Nagumo's membrane where its slope b (-3 v^2 + 2 (beta + delta) v - beta delta) is e gamma.
fn hopf_of_fitzhugh(i_stim: f64) -> f64 {
    let [b, beta, delta, c, gamma] = [5.0, 0.1, 1.0, 1.0, 0.25];
    let f = |v: f64| b * v * (v - beta) * (delta - v) - c * v / gamma + i_stim;
    // One fixed point: f falls over all of [0, 1].
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..200 {
        let v = 0.5 * (low + high);
        if f(v) > 0.0 { low = v } else { high = v }
    }
    b * (-3.0 * low * low + 2.0 * (beta + delta) * low - beta * delta) / gamma
}

#[test]
fn a_branch_reaches_an_end_at_which_the_jacobian_is_singular() {
    // With e = 0 recovery stands still: every state on a curve is at rest.
    let want = hopf_of_fitzhugh(0.5);
    for interval in [[0.0, 1000.0], [1000.0, 0.0], [0.0, 3.0], [1e-9, 1000.0]] {
        let all = over("fitzhugh-nagumo-1961", "e", interval, 0.5);
        let found = kinds(&all);
        assert!(
            all.len() == 1 && found.len() == 1 && found[0].0 == Bifurcation::Hopf,
            "{interval:?} {found:?}"
        );
        assert!((found[0].1 - want).abs() < 1e-8, "{found:?}, {want}");
        assert_eq!(ends(&all[0]), interval);
        assert!(all[0].complete(), "{:?}", all[0].stopped);
        for (end, stop) in interval.iter().zip(&all[0].stopped) {
            match stop {
                Stop::SingularEnd { within } => {
                    assert!(*end == 0.0 && *within <= 1e-9, "{end} {within:e}")
                }
                stop => assert!(*stop == Stop::EndOfRange && *end != 0.0, "{end} {stop:?}"),
            }
        }
    }
    // At 0 every state of x' = a (1 - x) is at rest.
    let double = system(&[[-3.0, 3.0]], Time::Continuous, |x, a, out| {
        out[0] = a * (1.0 - x[0])
    });
    for interval in [[0.0, 1.0], [-1.0, 0.0], [1.0, 0.0]] {
        let all = first(&double, interval);
        assert!(
            all.len() == 1 && ends(&all[0]) == interval,
            "{interval:?} {:?}",
            all.iter().map(ends).collect::<Vec<_>>()
        );
        let singular = usize::from(interval[1] == 0.0);
        assert!(
            matches!(all[0].stopped[singular], Stop::SingularEnd { .. })
                && all[0].stopped[1 - singular] == Stop::EndOfRange
        );
        let at_zero = &all[0].points[if singular == 0 {
            0
        } else {
            all[0].points.len() - 1
        }];
        assert!((at_zero.x[0] - 1.0).abs() < 1e-9, "{at_zero:?}");
    }
}

#[test]
fn a_bifurcation_at_the_end_of_the_interval_belongs_to_it() {
    let fold = system(&[[-2.0, 2.0]], Time::Continuous, |x, a, out| {
        out[0] = a - x[0] * x[0]
    });
    let all = first(&fold, [0.0, 1.5]);
    let found = kinds(&all);
    assert!(
        all.len() == 1
            && found.len() == 1
            && found[0].0 == Bifurcation::SaddleNode
            && found[0].1.abs() < 1e-9,
        "{found:?}"
    );
    assert_eq!(
        (ends(&all[0]), &all[0].stopped),
        ([1.5, 1.5], &[Stop::EndOfRange, Stop::EndOfRange])
    );

    let hopf = system(&[[-2.0, 2.0]; 2], Time::Continuous, |x, a, out| {
        let r = x[0] * x[0] + x[1] * x[1];
        out.copy_from_slice(&[
            (a - 0.7) * x[0] - x[1] - r * x[0],
            x[0] + (a - 0.7) * x[1] - r * x[1],
        ]);
    });
    for interval in [[0.7, 1.0], [0.0, 0.7], [0.7, -3.0]] {
        let found = kinds(&first(&hopf, interval));
        assert!(
            found.len() == 1 && found[0].0 == Bifurcation::Hopf && (found[0].1 - 0.7).abs() < 1e-9,
            "{interval:?} {found:?}"
        );
    }
    // The pitchfork of Lorenz' equations, where two branches leave the one on which the Jacobian is singular.
    for interval in [[1.0, 30.0], [0.0, 1.0], [1.0, 1000.0]] {
        let all = over("lorenz-1963", "rho", interval, 0.0);
        let points = kinds(&all)
            .into_iter()
            .filter(|f| f.0 == Bifurcation::BranchPoint)
            .collect::<Found>();
        assert!(
            points.len() == 1 && (points[0].1 - 1.0).abs() < 1e-7,
            "{interval:?} {points:?}"
        );
        assert!(all.iter().all(Branch::complete));
    }
    // Of a map: the fixed point of Henon's map doubles at .3675.
    let henon = system(
        &[[-3.0, 3.0]; 2],
        Time::Discrete { dt: 0.1 },
        |x, a, out| out.copy_from_slice(&[1.0 - a * x[0] * x[0] + x[1], 0.3 * x[0]]),
    );
    for interval in [[0.3675, 1.0], [0.1, 0.3675]] {
        let found = kinds(&first(&henon, interval));
        assert!(
            found
                .iter()
                .any(|f| f.0 == Bifurcation::PeriodDoubling && (f.1 - 0.3675).abs() < 1e-8),
            "{interval:?} {found:?}"
        );
    }
}

#[test]
fn a_branch_that_breaks_off_says_so() {
    let of = |system: &dyn DynamicalSystem, interval| {
        let all = first(system, interval);
        assert_eq!(all.len(), 1);
        let s = &all[0].stopped;
        (ends(&all[0]), s.clone(), all[0].complete())
    };
    // Not finite below .3: the root of a negative number.
    let root = system(&[[-2.0, 2.0]], Time::Continuous, |x, a, out| {
        out[0] = (a - 0.3).sqrt() - x[0]
    });
    let (at, stopped, complete) = of(&root, [0.0, 1.0]);
    // The test system's derivative by the parameter is a difference over 1e-5.
    assert!(
        !complete && (at[0] - 0.3).abs() < 2e-5 && at[1] == 1.0,
        "{at:?}"
    );
    assert!(
        matches!(stopped[0], Stop::NotFinite) && stopped[1] == Stop::EndOfRange,
        "{stopped:?}"
    );
    // A step that no fixed point passes.
    let jump = system(&[[-2.0, 2.0]], Time::Continuous, |_, a, out| {
        out[0] = if a > 0.4 { 1.0 } else { f64::NAN }
    });
    assert!(first_error(&jump).contains("no fixed point"));
    let gap = system(&[[-2.0, 2.0]], Time::Continuous, |x, a, out| {
        out[0] = if x[0] > 0.4 { 1.0 } else { a - x[0] }
    });
    let (at, stopped, complete) = of(&gap, [0.0, 1.0]);
    assert!(
        !complete && (at[1] - 0.4).abs() < 2e-3,
        "{at:?} {stopped:?}"
    );
    assert!(
        stopped[0] == Stop::EndOfRange && !stopped[1].complete(),
        "{stopped:?}"
    );
    // A corner is gone round: x = 2 a below 0, a / 2 above.
    let corner = system(&[[-3.0, 2.0]], Time::Continuous, |x, a, out| {
        out[0] = if a < 0.0 { 2.0 * a } else { 0.5 * a } - x[0]
    });
    let (at, stopped, _) = of(&corner, [-1.0, 1.0]);
    assert_eq!(
        (at, stopped),
        ([-1.0, 1.0], [Stop::EndOfRange, Stop::EndOfRange])
    );
    // And a limit of steps is no end either.
    let line = system(&[[-2.0, 2.0]], Time::Continuous, |x, a, out| {
        out[0] = a - x[0]
    });
    let options = ContinuationOptions {
        most_steps: 5,
        ..ContinuationOptions::default()
    };
    let all = branches(
        &line,
        0.0,
        &[0.0],
        Input::Parameter(0),
        [0.0, 1.0],
        &options,
    )
    .unwrap();
    assert!(
        all.iter().any(|b| b.stopped.contains(&Stop::TooManySteps))
            && all.iter().all(|b| !b.complete())
    );
    for stop in [
        Stop::NoConvergence,
        Stop::NotSmooth,
        Stop::NotFinite,
        Stop::TooManySteps,
        Stop::TooManyIntervals,
        Stop::PeriodLimit,
    ] {
        assert!(
            !stop.complete() && !stop.to_string().contains("interval's end"),
            "{stop}"
        );
    }
}

fn first_error(system: &dyn DynamicalSystem) -> String {
    match branches(
        system,
        0.0,
        &[0.0],
        Input::Parameter(0),
        [0.0, 0.3],
        &ContinuationOptions::default(),
    ) {
        Ok(all) => format!("{} branches", all.len()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn bifurcations_close_together_in_a_wide_interval() {
    // The growth rate (a - 2)(2.5 - a) is positive over a two-thousandth of the interval, (a - 2)(2.01 - a) over a hundred-thousandth.
    let near = system(&[[-2.0, 2.0]; 2], Time::Continuous, |x, a, out| {
        let g = (a - 2.0) * (2.5 - a);
        out.copy_from_slice(&[g * x[0] - x[1], x[0] + g * x[1]]);
    });
    let nearer = system(&[[-2.0, 2.0]; 2], Time::Continuous, |x, a, out| {
        let g = (a - 2.0) * (2.01 - a);
        out.copy_from_slice(&[g * x[0] - x[1], x[0] + g * x[1]]);
    });
    let decays = system(&[[-2.0, 2.0]; 2], Time::Continuous, |x, a, out| {
        // Two folds of one branch within a hundredth: a = 5 + 1e-2 (x^3 - 3 x) / 2.
        out.copy_from_slice(&[5.0 + 5e-3 * (x[0].powi(3) - 3.0 * x[0]) - a, -x[1]]);
    });
    for (system, own, kind, want) in [
        (&near, 0.0, Bifurcation::Hopf, [2.0, 2.5]),
        (&nearer, 1.0, Bifurcation::Hopf, [2.0, 2.01]),
        // Fixed points lie in the box over a fifty-thousandth of the interval: they are found because the parameter's own value is there.
        (&decays, 5.0, Bifurcation::SaddleNode, [4.99, 5.01]),
    ] {
        for interval in [[0.0, 1000.0], [-1000.0, 1000.0], [1000.0, 1.0], [1.0, 10.0]] {
            let found = kinds(&first_with(system, own, interval));
            let right = found.len() == 2
                && found
                    .iter()
                    .zip(want)
                    .all(|(f, want)| f.0 == kind && (f.1 - want).abs() < 1e-7);
            assert!(right, "{interval:?} {found:?}, expected {want:?}");
        }
    }
}

#[test]
fn a_branch_leaves_the_box_at_its_face() {
    // w = 6 is v = 1.5, where the stimulus is w - 5 v (v - .1) (1 - v) = 11.25.
    let all = over("fitzhugh-nagumo-1961", "i_stim", [0.0, 1000.0], 0.0);
    assert_eq!(
        all[0].stopped,
        [Stop::EndOfRange, Stop::LeftBox("w".into())]
    );
    assert!(
        (ends(&all[0])[1] - 11.25).abs() < 1e-3,
        "{:?}",
        ends(&all[0])
    );
}

#[test]
fn curves_say_how_they_end() {
    // FitzHugh and Nagumo's Hopf points go to a vanishing frequency as recovery stops, at the border e = 0 of the plane.
    let cell = models::find("fitzhugh-nagumo-1961").unwrap();
    let p = cell.spec().default_parameters();
    let index = |name: &str| Input::Parameter(cell.spec().parameter_index(name).unwrap());
    let found = over("fitzhugh-nagumo-1961", "e", [0.0, 10.0], 0.5);
    let (over, intervals) = ([index("e"), index("gamma")], [[0.0, 10.0], [0.0, 10.0]]);
    let bounds = cell.spec().variables.iter().map(|q| q.range).collect();
    let plane = curves::Plane::new(
        &*cell,
        0.5,
        &p,
        over,
        intervals,
        bounds,
        cell.spec().default_state(),
    );
    let hopf = found[0]
        .special_points
        .iter()
        .find(|s| s.kind == Bifurcation::Hopf)
        .unwrap();
    let curve = plane.curve(hopf, 0.25);
    assert!(curve.complete(), "{:?}", curve.stopped);
    assert_eq!(
        curve.stopped,
        [
            curves::CurveStop::SingularEnd,
            curves::CurveStop::SingularEnd
        ]
    );
    // Trace 0: b (-3 v^2 + 2.2 v - .1) = e gamma.
    for q in &curve.points {
        let v = q.x[0];
        let slope = 5.0 * (-3.0 * v * v + 2.2 * v - 0.1);
        assert!(
            (slope - q.parameters[0] * q.parameters[1]).abs() < 1e-6,
            "{q:?}"
        );
    }
    let ends = [&curve.points[0], &curve.points[curve.points.len() - 1]];
    assert!(ends.iter().all(|q| q.parameters[0] < 1e-7), "{ends:?}");
    // From where there is no such point nothing is followed, and that is said.
    let nowhere = SpecialPoint {
        x: vec![2.5, -3.0],
        parameter: 5.0,
        frequency: None,
        ..hopf.clone()
    };
    let curve = plane.curve(&nowhere, 0.25);
    assert!(
        !curve.complete() && curve.points.len() == 1,
        "{:?}",
        curve.stopped
    );
}

#[test]
fn cycles_say_how_they_end() {
    use cycles::{CycleOptions, cycles};
    let of = |model: &str, name: &str, interval: [f64; 2], i_stim: f64| {
        let cell = models::find(model).unwrap();
        let p = cell.spec().default_parameters();
        let input = if name == "i_stim" {
            Input::Stimulus
        } else {
            Input::Parameter(cell.spec().parameter_index(name).unwrap())
        };
        let fixed = over(model, name, interval, i_stim);
        cycles(
            &*cell,
            i_stim,
            &p,
            input,
            interval,
            &fixed,
            &CycleOptions {
                searches: 0,
                ..CycleOptions::default()
            },
        )
        .unwrap()
    };
    // Cycles of relaxation: the period goes like 1 / e as e goes to 0. That is a limit of the method and no homoclinic orbit.
    let all = of("fitzhugh-nagumo-1961", "e", [0.0, 10.0], 0.5);
    assert_eq!(
        (all.len(), &all[0].stopped),
        (1, &[Stop::FixedPoint, Stop::PeriodLimit])
    );
    assert!(!all[0].complete());
    // Both Hopf points of one branch.
    let all = of("fitzhugh-nagumo-1961", "i_stim", [0.0, 3.0], 0.0);
    assert_eq!(
        (all.len(), &all[0].stopped),
        (1, &[Stop::FixedPoint, Stop::FixedPoint])
    );
    // Lorenz' unstable cycles end in the homoclinic orbits of the origin, at rho = 13.926 (Sparrow 1982), one on each side.
    let all = of("lorenz-1963", "rho", [10.0, 30.0], 0.0);
    assert_eq!(all.len(), 2);
    for branch in &all {
        assert_eq!(branch.stopped, [Stop::FixedPoint, Stop::LongPeriod]);
        assert!(
            (branch.points[branch.points.len() - 1].parameter - 13.926).abs() < 2e-3
                && branch.complete()
        );
    }
}

#[test]
fn what_a_wide_interval_finds_is_what_its_parts_find() {
    for (model, name, i_stim, cuts) in [
        (
            "fitzhugh-nagumo-1961",
            "e",
            0.5,
            &[0.0, 0.1, 2.0, 5.0, 1000.0][..],
        ),
        (
            "fitzhugh-nagumo-1961",
            "b",
            0.5,
            &[0.0, 0.5, 16.0, 18.0, 60.0, 1000.0],
        ),
        (
            "fitzhugh-nagumo-1961",
            "gamma",
            0.5,
            &[0.0, 0.2, 1.0, 30.0, 1000.0],
        ),
        (
            "fitzhugh-nagumo-1961",
            "i_stim",
            0.0,
            &[-1e4, 0.0, 1.0, 10.0, 1e5],
        ),
        ("hodgkin-huxley-1952", "g_k", 0.0, &[0.0, 5.0, 36.0, 1000.0]),
        (
            "hodgkin-huxley-1952",
            "i_stim",
            0.0,
            &[0.0, 50.0, 300.0, 1e5],
        ),
        (
            "stankevich-2017",
            "v_s",
            0.0,
            &[-100.0, -40.0, -36.0, -30.0, 100.0],
        ),
        (
            "hindmarsh-rose-1984",
            "i_stim",
            0.0,
            &[-100.0, 0.0, 3.0, 1000.0],
        ),
        ("lorenz-1963", "rho", 0.0, &[0.0, 0.5, 10.0, 30.0, 1000.0]),
    ] {
        let whole = over(model, name, [cuts[0], cuts[cuts.len() - 1]], i_stim);
        assert!(
            whole.iter().all(Branch::complete),
            "{model} {name}: {:?}",
            whole.iter().map(|b| &b.stopped).collect::<Vec<_>>()
        );
        let parts: Vec<Branch> = cuts
            .windows(2)
            .flat_map(|w| attempt(model, name, [w[0], w[1]], i_stim))
            .collect();
        let [whole, mut parts] = [&whole, &parts].map(|all| kinds(all));
        // Hopf points of mirror images, and what lies on a cut, come twice.
        parts.dedup_by(|a, b| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6 * b.1.abs().max(1.0));
        let mut once = whole.clone();
        once.dedup_by(|a, b| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6 * b.1.abs().max(1.0));
        let same = once.len() == parts.len()
            && once
                .iter()
                .zip(&parts)
                .all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6 * b.1.abs().max(1.0));
        assert!(
            same && !once.is_empty(),
            "{model} over {name}:\nwhole {once:?}\nparts {parts:?}"
        );
    }
}

/// Branches over a part of an interval, in which there may be no fixed point.
fn attempt(model: &str, name: &str, interval: [f64; 2], i_stim: f64) -> Vec<Branch> {
    let cell = models::find(model).unwrap();
    let p = cell.spec().default_parameters();
    let input = if name == "i_stim" {
        Input::Stimulus
    } else {
        Input::Parameter(cell.spec().parameter_index(name).unwrap())
    };
    branches(
        &*cell,
        i_stim,
        &p,
        input,
        interval,
        &ContinuationOptions::default(),
    )
    .unwrap_or_default()
}

#[test]
fn tiny_and_reversed_intervals() {
    let want = hopf_of_fitzhugh(0.5);
    for interval in [
        [want - 1e-9, want + 1e-9],
        [want + 3e-9, want - 1e-9],
        [want - 1e-4, want + 1e-3],
    ] {
        let all = over("fitzhugh-nagumo-1961", "e", interval, 0.5);
        let found = kinds(&all);
        assert!(
            found.len() == 1 && (found[0].1 - want).abs() < 1e-10 * 3.0,
            "{interval:?} {found:?} {want}"
        );
        assert_eq!(ends(&all[0]), interval);
        assert_eq!(all[0].stopped, [Stop::EndOfRange, Stop::EndOfRange]);
    }
    // Across zero, over twelve orders of magnitude.
    let line = system(&[[-2.0, 2.0]], Time::Continuous, |x, a, out| {
        out[0] = a * (1.0 - x[0]) + (1.0 - x[0]).powi(3) - 1e-3 * x[0]
    });
    let all = first(&line, [-1e-6, 1e6]);
    assert!(
        all.iter().all(Branch::complete),
        "{:?}",
        all.iter().map(|b| &b.stopped).collect::<Vec<_>>()
    );
}

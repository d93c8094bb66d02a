//! Starts, switches and restarts at which a state, a rate or a time says nothing about the size of a step.

use ionoscope_dynamics::{
    coupled::{CoupledCells, Graph},
    models,
    ode::Ode,
    protocol::{Overlap, Protocol, PulseTrain, Step, Stimulus},
    real::Real,
    spec::{Quantity, Spec},
    system::{DynamicalSystem, Model},
    trajectory::{Experiment, FailureReason, Method, Outcome, SolveOptions, TimeGrid, Trajectory},
};

const MODELS: [&str; 10] = [
    "fitzhugh-nagumo-1961",
    "hodgkin-huxley-1952",
    "sherman-1988",
    "stankevich-2017",
    "lorenz-1963",
    "rossler-1976",
    "hindmarsh-rose-1984",
    "luo-rudy-1991",
    "ten-tusscher-panfilov-2006",
    "ohara-rudy-2011",
];
const METHODS: [Method; 4] = [
    Method::Auto,
    Method::Explicit,
    Method::Stiff,
    Method::RushLarsen,
];
/// Those that choose their steps.
const ADAPTIVE: [Method; 3] = [Method::Auto, Method::Explicit, Method::Stiff];

fn options(method: Method) -> SolveOptions {
    SolveOptions {
        method,
        step: (method == Method::RushLarsen).then_some(0.01),
        ..SolveOptions::default()
    }
}

fn pulse(start: f64, duration: f64, amplitude: f64) -> Stimulus {
    Stimulus::Step(Step {
        start,
        duration: Some(duration),
        amplitude,
    })
}

fn pulses(all: &[[f64; 3]]) -> Protocol {
    Protocol {
        overlap: Overlap::Add,
        stimuli: all.iter().map(|[s, d, a]| pulse(*s, *d, *a)).collect(),
        ..Protocol::none()
    }
}

fn fhn(protocol: Protocol, times: TimeGrid, method: Method) -> Trajectory {
    let cell = models::find("fitzhugh-nagumo-1961").unwrap();
    let e = Experiment {
        protocol,
        ..Experiment::from_defaults(cell.spec(), times)
    };
    cell.solve_ensemble(&[e], &options(method))
        .unwrap()
        .remove(0)
}

#[test]
fn a_cell_answers_again_after_any_rest() {
    // From rest at zero an action potential of 85; it has the same shape after 300 and after 10^6, where a pulse of 1e-3 of 5000 gives the
    // same charge.
    for method in ADAPTIVE {
        let t = fhn(
            pulses(&[[0.0, 5.0, 1.0], [300.0, 5.0, 1.0]]),
            TimeGrid::until(400.0, 1.0).unwrap(),
            method,
        );
        assert_eq!(t.outcome, Outcome::Completed, "{method:?}");
        let v: Vec<f64> = t.variable(0).collect();
        let (first, second) = (&v[..100], &v[300..400]);
        assert!(
            first.iter().zip(second).all(|(a, b)| (a - b).abs() < 1e-6),
            "{method:?}"
        );
        assert!(
            (v[400] / 3.05e-8 - 1.0).abs() < 0.01,
            "{method:?} {}",
            v[400]
        );
        let late = fhn(
            pulses(&[[1e6, 1e-3, 5000.0]]),
            TimeGrid::new(1e6 + 2.0, 1.0, 40).unwrap(),
            method,
        );
        let early = fhn(
            pulses(&[[0.0, 1e-3, 5000.0]]),
            TimeGrid::new(2.0, 1.0, 40).unwrap(),
            method,
        );
        assert_eq!(
            (&late.outcome, &early.outcome),
            (&Outcome::Completed, &Outcome::Completed),
            "{method:?}"
        );
        // A time of 10^6 has a spacing of 1e-10, of which the pulse is 10^7.
        let far = late
            .x
            .iter()
            .zip(&early.x)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(
            far < 1e-6 && early.variable(0).fold(0.0, f64::max) > 0.8,
            "{method:?} {far}"
        );
    }
}

#[test]
fn trains_with_long_gaps_and_short_pieces_are_followed() {
    let t0 = 250.0;
    for method in METHODS {
        // Twenty pulses at intervals of 1000, each from rest.
        let train = Stimulus::PulseTrain(PulseTrain {
            start: 10.0,
            period: 1000.0,
            width: 2.0,
            amplitude: 1.0,
            count: None,
            until: None,
        });
        let t = fhn(
            train.into(),
            TimeGrid::new(0.0, 1.0, 20_000).unwrap(),
            method,
        );
        assert_eq!(t.outcome, Outcome::Completed, "{method:?}");
        let peaks: Vec<f64> =
            t.x.chunks_exact(2 * 1000)
                .map(|beat| beat.iter().step_by(2).fold(0.0, |a, b| f64::max(a, *b)))
                .collect();
        assert!(
            peaks
                .iter()
                .all(|p| (p - peaks[0]).abs() < 1e-4 && *p > 0.5),
            "{method:?} {peaks:?}"
        );
        // Pieces of a few spacings of the time, of any strength: charge is what counts.
        for (duration, amplitude) in [(1e-10, 1e10), (3e-13, 1.0), (6e-14, 1e3)] {
            let t = fhn(
                pulses(&[[t0, duration, amplitude], [t0 + 1.0, 1e-9, 1.0]]),
                TimeGrid::until(300.0, 1.0).unwrap(),
                method,
            );
            assert_eq!(t.outcome, Outcome::Completed, "{method:?} {duration}");
            if duration == 1e-10 && method != Method::RushLarsen {
                assert!(
                    (t.state(250)[0] - 0.0).abs() < 1e-12
                        && t.variable(0).fold(0.0, f64::max) > 0.5
                );
            }
        }
    }
}

#[test]
fn no_strength_of_a_stimulus_makes_a_switch_a_failure_of_the_step() {
    for (k, amplitude) in [1e-300, 1e-30, 1e6, 1e12, 1e30, 1e100, 1e300]
        .into_iter()
        .enumerate()
    {
        for method in METHODS {
            let t = fhn(
                pulses(&[[300.0, 5.0, amplitude]]),
                TimeGrid::new(310.0, 1.0, 1).unwrap(),
                method,
            );
            sensible(&t, &format!("{method:?} {amplitude:e}"));
            if k < 3 && method != Method::RushLarsen {
                assert_eq!(t.outcome, Outcome::Completed, "{method:?} {amplitude:e}");
            }
        }
    }
}

/// The end is reached, or its failure is one that names what it should.
fn sensible(t: &Trajectory, what: &str) {
    match &t.outcome {
        Outcome::Completed => {}
        Outcome::Failed {
            time,
            reason: FailureReason::NotFinite { quantity: Some(_) },
        } => assert!(time.is_finite(), "{what}"),
        Outcome::Failed {
            time,
            reason:
                FailureReason::TooManySteps {
                    fastest: Some(fastest),
                    ..
                },
        } => {
            assert!(
                time.is_finite() && *fastest > 0.0,
                "{what}: {time} {fastest}"
            );
        }
        Outcome::Failed { time, reason } => panic!("{what}: at {time}: {reason}"),
    }
}

/// Runs a model from its default state times a factor, or from exactly zero, for a time of `t_end`, with a pulse on the way.
fn from_scaled(id: &str, factor: f64, t_end: f64, options: &SolveOptions) {
    let cell = models::find(id).unwrap();
    let mut e = Experiment::from_defaults(cell.spec(), TimeGrid::new(t_end, 1.0, 1).unwrap());
    e.x0.iter_mut()
        .for_each(|x| *x = if factor == 0.0 { 0.0 } else { *x * factor });
    e.protocol = pulses(&[[0.5 * t_end, 0.1 * t_end, 10.0]]);
    let t = cell.solve_ensemble(&[e], options).unwrap().remove(0);
    sensible(&t, &format!("{id} {:?} x {factor:e}", options.method));
}

#[test]
fn every_model_starts_from_every_scale() {
    for id in MODELS {
        // Explicit steps of large models are dear.
        let large = models::find(id).unwrap().dimension() > 8;
        for method in METHODS {
            let few: &[f64] = if large && method == Method::Explicit {
                &[0.0, 1e-300, 1e12]
            } else {
                &[0.0, 1e-300, 1e-12, 1e-3, 1e3, 1e12]
            };
            for factor in few {
                from_scaled(
                    id,
                    *factor,
                    2.0,
                    &SolveOptions {
                        max_steps: 20_000,
                        ..options(method)
                    },
                );
            }
        }
    }
}

#[test]
#[ignore = "ten models from 30 scales with all methods and the limit on steps that is the default; some ten minutes"]
#[allow(clippy::print_stdout)]
fn every_model_starts_from_every_scale_with_default_options() {
    for id in MODELS {
        for method in METHODS {
            let mut slowest = (0.0, 0.0);
            let small = [
                0.0, 1e-300, 1e-250, 1e-200, 1e-150, 1e-100, 1e-50, 1e-30, 1e-20, 1e-16, 1e-12,
                1e-8, 1e-4, 1e-2,
            ];
            for factor in small
                .into_iter()
                .chain((0..=12).map(|k| 10f64.powi(k)))
                .chain([-1.0, -1e3, -1e12])
            {
                let begun = std::time::Instant::now();
                from_scaled(id, factor, 100.0, &options(method));
                let seconds = begun.elapsed().as_secs_f64();
                slowest = if seconds > slowest.0 {
                    (seconds, factor)
                } else {
                    slowest
                };
            }
            println!(
                "{id} {method:?}: the slowest took {:.1} s, from x {:e}",
                slowest.0, slowest.1
            );
        }
    }
}

/// x' = r (1 - x) x under a stimulus, with a rate r of any unit of time; y' = s x^2, infinite soon where s is positive.
struct Timed;

impl Model for Timed {
    fn definition(&self) -> Spec {
        let q = |name: &str, value: f64| Quantity::new(name, "1", "test", value, [-1e300, 1e300]);
        Spec {
            id: "test".into(),
            title: "test".into(),
            citation: "none".into(),
            time_unit: "1".into(),
            stimulus_unit: "1".into(),
            variables: vec![q("x", 0.0), q("y", 0.0)],
            parameters: vec![q("r", 1.0), q("s", 0.0)],
            membrane_potential: None,
            spike_threshold: None,
            presets: Vec::new(),
            trained_on: None,
        }
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        dx[0] = q[0] * ((S::constant(1.0) - x[0]) * x[0] + i_stim);
        dx[1] = q[0] * q[1] * x[1] * x[1];
    }
}

#[test]
fn no_unit_of_time_matters() {
    // From rest at 0, a push at 10/r; then x is on the logistic curve. The same in every unit.
    let system = Ode::<_, 2, 2>::new(Timed);
    let run = |r: f64, method: Method| {
        let times = TimeGrid::new(0.0, 1.0 / r, 41).unwrap();
        let e = Experiment {
            x0: vec![0.0, 0.0],
            p: vec![r, 0.0],
            protocol: Protocol::step(10.0 / r, 1.0 / r, 1e-3),
            times,
        };
        let t = system
            .solve_ensemble(&[e], &options(method))
            .unwrap()
            .remove(0);
        assert_eq!(t.outcome, Outcome::Completed, "{r:e} {method:?}");
        t.variable(0).collect::<Vec<f64>>()
    };
    for method in ADAPTIVE {
        let want = run(1.0, method);
        assert!(want[9] == 0.0 && (want[40] - 1.0).abs() < 1e-6);
        for r in [1e-12, 1e-6, 1e6, 1e12, 1e25] {
            let far = run(r, method)
                .iter()
                .zip(&want)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            assert!(far < 1e-6, "{r:e} {method:?}: {far:e}");
        }
    }
}

#[test]
fn a_true_singularity_names_its_time_and_the_time_scale_there() {
    let system = Ode::<_, 2, 2>::new(Timed);
    for method in ADAPTIVE {
        // y' = y^2 from 1/50, and a switch at 20 that is none of its business: infinite at t = 50.
        let times = TimeGrid::new(0.5, 1.0, 100).unwrap();
        let e = Experiment {
            x0: vec![0.0, 0.02],
            p: vec![1.0, 1.0],
            protocol: Protocol::step(20.0, 1.0, 1e-3),
            times,
        };
        let t = system
            .solve_ensemble(&[e], &options(method))
            .unwrap()
            .remove(0);
        match &t.outcome {
            Outcome::Failed {
                time,
                reason:
                    FailureReason::StepTooSmall {
                        fastest: Some(fastest),
                    },
            } => {
                assert!(
                    (time - 50.0).abs() < 1e-6 && *fastest < 1e-6,
                    "{method:?} {time} {fastest}"
                );
            }
            Outcome::Failed {
                time,
                reason: FailureReason::NotFinite { quantity },
            } => {
                assert!(
                    (time - 50.0).abs() < 1e-6 && quantity.as_deref() == Some("y"),
                    "{method:?} {time} {quantity:?}"
                );
            }
            other => panic!("{method:?} {other:?}"),
        }
        assert_eq!(t.len(), 50);
    }
}

#[test]
fn what_would_take_for_ever_is_given_up_soon_and_says_why() {
    // Gates of a cell at -10^5 mV relax within 10^-12 ms, which an explicit method has to follow for 100 ms.
    let cell = models::find("hodgkin-huxley-1952").unwrap();
    let mut e = Experiment::from_defaults(cell.spec(), TimeGrid::new(100.0, 1.0, 1).unwrap());
    e.x0.iter_mut().for_each(|x| *x *= 1e3);
    let t = cell
        .solve_ensemble(&[e.clone()], &options(Method::Explicit))
        .unwrap()
        .remove(0);
    let Outcome::Failed {
        reason:
            FailureReason::TooManySteps {
                steps,
                limit,
                fastest: Some(fastest),
            },
        ..
    } = &t.outcome
    else {
        panic!("{:?}", t.outcome)
    };
    assert!(
        *steps < 200_000 && *limit == 100_000_000 && *fastest < 1e-9,
        "{:?}",
        t.outcome
    );
    let said = t.completed().unwrap_err().to_string();
    assert!(
        said.contains("the fastest time scale is")
            && said.contains("method for stiff equations")
            && said.contains("raise the limit"),
        "{said}"
    );
    assert_eq!(
        cell.solve_ensemble(&[e], &options(Method::Auto))
            .unwrap()
            .remove(0)
            .outcome,
        Outcome::Completed
    );
}

#[test]
fn what_is_no_number_from_the_first_moment_is_named() {
    let cell = models::find("hodgkin-huxley-1952").unwrap();
    let mut e = Experiment::from_defaults(cell.spec(), TimeGrid::new(1.0, 1.0, 1).unwrap());
    e.x0[0] = 1e300;
    e.x0[1] = 1e20;
    for method in METHODS {
        let t = cell
            .solve_ensemble(&[e.clone()], &options(method))
            .unwrap()
            .remove(0);
        let said = t.completed().unwrap_err().to_string();
        assert!(
            said.contains("t = 0: ") && said.contains("v is no longer finite"),
            "{method:?} {said}"
        );
    }
}

#[test]
fn coupled_cells_start_from_every_scale() {
    let options = SolveOptions {
        rtol: 1e-6,
        atol: 1e-8,
        max_steps: 5000,
        ..SolveOptions::default()
    };
    let graph = Graph::ring(3).unwrap();
    for id in [
        "fitzhugh-nagumo-1961",
        "hodgkin-huxley-1952",
        "sherman-1988",
        "luo-rudy-1991",
    ] {
        let cell = models::find(id).unwrap();
        let p = cell.spec().default_parameters();
        for factor in [0.0, 1e-300, 1e-20, 1e-6, 1.0, 1e3, 1e6, 1e12, 1e60] {
            let mut x: Vec<f64> = (0..3).flat_map(|_| cell.spec().default_state()).collect();
            x.iter_mut()
                .for_each(|x| *x = if factor == 0.0 { 0.0 } else { *x * factor });
            x[0] += 1e-3 * factor;
            let network = CoupledCells::new(&*cell, &graph, 0.1, &p).unwrap();
            let (outcome, _) = network
                .run(
                    x,
                    TimeGrid::new(0.0, 0.1, 5).unwrap(),
                    &options,
                    &mut |_, _, _| true,
                )
                .unwrap();
            match &outcome {
                Outcome::Completed => {}
                Outcome::Failed {
                    reason: FailureReason::NotFinite { quantity: Some(q) },
                    ..
                } => assert!(q.contains("of cell"), "{q}"),
                Outcome::Failed {
                    reason:
                        FailureReason::TooManySteps {
                            fastest: Some(_), ..
                        },
                    ..
                } => {}
                other => panic!("{id} x {factor:e}: {other:?}"),
            }
            // Luo and Rudy take a logarithm of the calcium.
            if factor <= 1.0 && (factor > 1e-20 || id != "luo-rudy-1991") {
                assert_eq!(outcome, Outcome::Completed, "{id} x {factor:e}");
            }
        }
    }
}

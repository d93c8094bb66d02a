//! Stimulus protocols: the current at every switching time, its means, what is refused, and the integrator under each shape.

use ionoscope_dynamics::{
    models,
    protocol::{
        Interpolation, MOST_PIECES, Noise, Overlap, Protocol, PulseTrain, Ramp, S1S2, Sampled,
        Signal, Sine, Step, Stimulus,
    },
    solve::oracle::runge_kutta_4,
    system::Input,
    trajectory::{Experiment, Method, SolveOptions, TimeGrid, Trajectory},
};

const TRAIN: PulseTrain = PulseTrain {
    start: 1.0,
    amplitude: 2.0,
    width: 0.5,
    period: 3.0,
    count: None,
    until: None,
};
const S1_S2: S1S2 = S1S2 {
    start: 1.0,
    amplitude: 2.0,
    width: 0.5,
    period: 3.0,
    count: 2,
    coupling: 1.25,
    s2_amplitude: Some(5.0),
    s2_width: None,
};
const SINE: Sine = Sine {
    start: 0.5,
    duration: Some(4.0),
    amplitude: 3.0,
    period: 2.0,
    phase: 0.25,
    offset: 1.0,
};
const NOISE: Noise = Noise {
    start: 0.5,
    duration: None,
    mean: 1.0,
    sd: 2.0,
    correlation_time: 0.3,
    dt: 0.1,
    seed: 7,
};

fn sampled(interpolation: Interpolation) -> Sampled {
    Sampled {
        start: 0.0,
        duration: None,
        interpolation,
        times: vec![1.0, 2.0, 4.0],
        values: vec![3.0, 5.0, -1.0],
    }
}

fn step(start: f64, duration: f64, amplitude: f64) -> Stimulus {
    Stimulus::Step(Step {
        start,
        duration: Some(duration),
        amplitude,
    })
}

fn adding(stimuli: Vec<Stimulus>) -> Protocol {
    Protocol {
        overlap: Overlap::Add,
        stimuli,
        ..Protocol::default()
    }
}

/// One of each shape, on times of the order of one.
fn every_shape() -> Vec<Protocol> {
    vec![
        Protocol::step(0.31, 1.7, 5.0),
        Stimulus::PulseTrain(PulseTrain {
            count: Some(3),
            period: 1.1,
            ..TRAIN
        })
        .into(),
        Stimulus::S1S2(S1S2 {
            period: 1.2,
            coupling: 0.7,
            ..S1_S2
        })
        .into(),
        Stimulus::Ramp(Ramp {
            start: 0.7,
            duration: 2.0,
            from: -1.0,
            to: 8.0,
        })
        .into(),
        Stimulus::Sine(SINE).into(),
        Stimulus::Noise(NOISE).into(),
        Stimulus::Sampled(sampled(Interpolation::Hold)).into(),
        Stimulus::Sampled(sampled(Interpolation::Linear)).into(),
        adding(vec![
            Stimulus::Sine(SINE),
            step(0.2, 3.0, 2.0),
            Stimulus::Noise(NOISE),
            Stimulus::PulseTrain(TRAIN),
        ]),
    ]
}

/// The double just below.
fn before(t: f64) -> f64 {
    t.next_down()
}

fn starts(signal: &Signal) -> Vec<f64> {
    signal.pieces.iter().map(|p| p.start).collect()
}

#[test]
fn intervals_are_half_open_at_every_switching_time() {
    let at = |stimulus: Stimulus, cases: &[(f64, f64)]| {
        let signal = Protocol::from(stimulus.clone()).signal(20.0);
        for (t, value) in cases {
            assert_eq!(signal.value(*t), *value, "{stimulus:?} at {t}");
        }
    };
    at(
        step(1.0, 2.0, 4.0),
        &[
            (0.0, 0.0),
            (before(1.0), 0.0),
            (1.0, 4.0),
            (before(3.0), 4.0),
            (3.0, 0.0),
            (20.0, 0.0),
        ],
    );
    at(
        Stimulus::Step(Step {
            start: 2.0,
            duration: None,
            amplitude: -1.0,
        }),
        &[(before(2.0), 0.0), (2.0, -1.0), (20.0, -1.0)],
    );
    let pulses = [
        (before(1.0), 0.0),
        (1.0, 2.0),
        (before(1.5), 2.0),
        (1.5, 0.0),
        (4.0, 2.0),
        (4.5, 0.0),
        (19.0, 2.0),
        (19.5, 0.0),
    ];
    at(Stimulus::PulseTrain(TRAIN), &pulses);
    at(
        Stimulus::PulseTrain(PulseTrain {
            count: Some(2),
            ..TRAIN
        }),
        &[(4.0, 2.0), (4.5, 0.0), (7.0, 0.0)],
    );
    at(
        Stimulus::PulseTrain(PulseTrain {
            until: Some(4.25),
            ..TRAIN
        }),
        &[(4.0, 2.0), (before(4.25), 2.0), (4.25, 0.0), (7.0, 0.0)],
    );
    at(
        Stimulus::PulseTrain(PulseTrain {
            until: Some(4.0),
            ..TRAIN
        }),
        &[(1.0, 2.0), (4.0, 0.0), (7.0, 0.0)],
    );
    let beats = [
        (1.0, 2.0),
        (4.0, 2.0),
        (4.5, 0.0),
        (before(5.25), 0.0),
        (5.25, 5.0),
        (before(5.75), 5.0),
        (5.75, 0.0),
        (7.0, 0.0),
    ];
    at(Stimulus::S1S2(S1_S2), &beats);
    let ramp = Stimulus::Ramp(Ramp {
        start: 1.0,
        duration: 4.0,
        from: 1.0,
        to: 9.0,
    });
    at(
        ramp,
        &[(before(1.0), 0.0), (1.0, 1.0), (3.0, 5.0), (5.0, 0.0)],
    );
    at(
        Stimulus::Sampled(sampled(Interpolation::Hold)),
        &[
            (before(1.0), 0.0),
            (1.0, 3.0),
            (before(2.0), 3.0),
            (2.0, 5.0),
            (4.0, -1.0),
            (20.0, -1.0),
        ],
    );
    at(
        Stimulus::Sampled(sampled(Interpolation::Linear)),
        &[
            (before(1.0), 0.0),
            (1.0, 3.0),
            (1.5, 4.0),
            (2.0, 5.0),
            (3.0, 2.0),
            (4.0, -1.0),
            (20.0, -1.0),
        ],
    );
    let cut = Sampled {
        start: 0.5,
        duration: Some(2.0),
        ..sampled(Interpolation::Linear)
    };
    at(
        Stimulus::Sampled(cut),
        &[
            (before(1.5), 0.0),
            (1.5, 3.0),
            (3.0, 3.5),
            (3.5, 0.0),
            (20.0, 0.0),
        ],
    );
    // Only the phase of a sine is rounded.
    let sine = Protocol::from(Stimulus::Sine(SINE)).signal(20.0);
    assert_eq!([sine.value(before(0.5)), sine.value(4.5)], [0.0, 0.0]);
    for t in [0.5, 1.3, before(4.5)] {
        let want = 1.0 + 3.0 * (std::f64::consts::PI * (t - 0.5) + 0.25).sin();
        assert!((sine.value(t) - want).abs() < 1e-14, "{t}");
    }
}

#[test]
fn a_switch_at_the_end_of_the_run_has_happened_there_and_later_ones_are_cut() {
    assert_eq!(
        starts(&Protocol::step(1.0, 4.0, 3.0).signal(5.0)),
        [0.0, 1.0, 5.0]
    );
    assert_eq!(Protocol::step(1.0, 4.0, 3.0).signal(5.0).value(5.0), 0.0);
    assert_eq!(Protocol::step(5.0, 4.0, 3.0).signal(5.0).value(5.0), 3.0);
    for (protocol, want) in [
        (Protocol::step(1.0, 1e300, 3.0), &[0.0, 1.0][..]),
        (Protocol::step(6.0, 1.0, 3.0), &[0.0]),
        (
            Stimulus::PulseTrain(PulseTrain {
                count: Some(u64::MAX),
                ..TRAIN
            })
            .into(),
            &[0.0, 1.0, 1.5, 4.0, 4.5],
        ),
    ] {
        protocol.check_until(5.0).unwrap();
        assert_eq!(starts(&protocol.signal(5.0)), want, "{protocol:?}");
    }
    // Noise is held over the end.
    let noise = |t_end: f64| Protocol::from(Stimulus::Noise(NOISE)).signal(t_end);
    assert_eq!(noise(2.5).value(2.5), noise(9.0).value(2.5));
    assert_ne!(noise(2.5).value(2.5), 0.0);
}

#[test]
fn nothing_is_given_by_no_duration_no_width_and_no_stimulus() {
    for protocol in [
        Protocol::none(),
        Protocol::step(1.0, 0.0, 3.0),
        Stimulus::PulseTrain(PulseTrain {
            width: 0.0,
            ..TRAIN
        })
        .into(),
        Stimulus::Ramp(Ramp {
            start: 1.0,
            duration: 0.0,
            from: 2.0,
            to: 3.0,
        })
        .into(),
        Stimulus::Noise(Noise {
            duration: Some(0.0),
            ..NOISE
        })
        .into(),
        // Inside another stimulus it overlaps nothing.
        Protocol {
            stimuli: vec![step(0.0, 0.0, 1.0), step(3.0, 0.0, 1.0)],
            ..Protocol::default()
        },
    ] {
        protocol.check_until(10.0).unwrap();
        let signal = protocol.signal(10.0);
        assert_eq!(starts(&signal), [0.0], "{protocol:?}");
        assert_eq!(signal.value(1.0), 0.0);
    }
}

#[test]
fn times_that_differ_by_rounding_are_one() {
    let late = 0.1 + 0.2;
    assert!(late > 0.3);
    let touching = |a: Stimulus, b: Stimulus| Protocol {
        stimuli: vec![a, b],
        ..Protocol::default()
    };
    // One ends a rounding after the next begins, and the other way round: neither an overlap nor a gap.
    for (protocol, switch) in [
        (touching(step(0.1, 0.2, 1.0), step(0.3, 1.0, 2.0)), 0.3),
        (touching(step(0.1, 0.2, 1.0), step(late, 1.0, 2.0)), late),
        (touching(step(0.0, 0.3, 1.0), step(late, 1.0, 2.0)), 0.3),
    ] {
        protocol.check().unwrap();
        let signal = protocol.signal(5.0);
        assert_eq!(
            signal
                .pieces
                .iter()
                .filter(|p| (p.start - 0.3).abs() < 1e-6)
                .map(|p| p.start)
                .collect::<Vec<_>>(),
            [switch]
        );
        assert_eq!(
            [signal.value(before(switch)), signal.value(switch)],
            [1.0, 2.0]
        );
    }
    // A hundred thousand touching steps of 0.1, whose starts are summed up: each switch once, and no zero between.
    let mut at = 0.0;
    let stimuli = (0..100_000).map(|k| {
        let start = at;
        at += 0.1;
        step(start, 0.1, 1.0 + f64::from(k % 2))
    });
    let protocol = Protocol {
        stimuli: stimuli.collect(),
        ..Protocol::default()
    };
    protocol.check().unwrap();
    let signal = protocol.signal(9000.0);
    assert!(signal.pieces.iter().all(|p| p.offset > 0.0));
    assert!(
        signal
            .pieces
            .windows(2)
            .all(|w| w[1].start - w[0].start > 0.09)
    );
    // A train's count and its end by `until` agree although 0.1 + 7 * 0.1 is not 0.8.
    let train = PulseTrain {
        start: 0.1,
        amplitude: 1.0,
        width: 0.05,
        period: 0.1,
        count: None,
        until: None,
    };
    let by_count = Protocol::from(Stimulus::PulseTrain(PulseTrain {
        count: Some(7),
        ..train.clone()
    }))
    .signal(2.0);
    let by_until = Protocol::from(Stimulus::PulseTrain(PulseTrain {
        until: Some(0.8),
        ..train
    }))
    .signal(2.0);
    assert_eq!(by_count, by_until);
    // A switch that is the end of the run but for rounding happens there.
    assert_eq!(
        starts(&Protocol::step(0.0, 0.3, 1.0).signal(late)),
        [0.0, late]
    );
    // Far apart on the scale of the times themselves: kept, however small.
    assert_eq!(
        starts(&Protocol::step(1e-12, 1e-12, 1.0).signal(1.0)),
        [0.0, 1e-12, 2e-12]
    );
}

#[test]
fn overlap_needs_a_word_and_then_currents_add() {
    let both = vec![
        step(1.0, 4.0, 3.0),
        step(8.0, 1.0, 1.0),
        Stimulus::Step(Step {
            start: 3.0,
            duration: Some(3.0),
            amplitude: -1.0,
        }),
    ];
    let message = Protocol {
        stimuli: both.clone(),
        ..Protocol::default()
    }
    .check()
    .unwrap_err()
    .to_string();
    for part in [
        "stimulus 1 (step), active on [1, 5)",
        "stimulus 3 (step), active on [3, 6)",
        "overlap = \"add\"",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let signal = adding(both).signal(10.0);
    adding(Vec::new()).check().unwrap();
    let values: Vec<(f64, f64)> = signal.pieces.iter().map(|p| (p.start, p.offset)).collect();
    assert_eq!(
        values,
        [
            (0.0, 0.0),
            (1.0, 3.0),
            (3.0, 2.0),
            (5.0, -1.0),
            (6.0, 0.0),
            (8.0, 1.0),
            (9.0, 0.0)
        ]
    );
    // Touching is no overlap, whatever the order; a train without end overlaps what comes after its start, and a long first stimulus also
    // one that is not the next.
    let refused = |stimuli: Vec<Stimulus>| {
        Protocol {
            stimuli,
            ..Protocol::default()
        }
        .check()
        .is_err()
    };
    assert!(!refused(vec![step(3.0, 1.0, 1.0), step(1.0, 2.0, 1.0)]));
    assert!(refused(vec![
        Stimulus::PulseTrain(TRAIN),
        step(1000.0, 1.0, 1.0)
    ]));
    assert!(refused(vec![
        step(0.0, 10.0, 1.0),
        step(10.0, 1.0, 1.0),
        step(9.0, 0.5, 1.0)
    ]));
    // A sampled current that ends with 0 has ended.
    let with_last = |last: f64| {
        Stimulus::Sampled(Sampled {
            values: vec![3.0, 5.0, last],
            ..sampled(Interpolation::Hold)
        })
    };
    assert!(!refused(vec![with_last(0.0), step(4.0, 1.0, 1.0)]));
    assert!(refused(vec![with_last(-1.0), step(4.0, 1.0, 1.0)]));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let train = |change: fn(&mut PulseTrain)| {
        let mut s = TRAIN;
        change(&mut s);
        Stimulus::PulseTrain(s)
    };
    let s1_s2 = |change: fn(&mut S1S2)| {
        let mut s = S1_S2;
        change(&mut s);
        Stimulus::S1S2(s)
    };
    let noise = |change: fn(&mut Noise)| {
        let mut s = NOISE;
        change(&mut s);
        Stimulus::Noise(s)
    };
    let values = |change: fn(&mut Sampled)| {
        let mut s = sampled(Interpolation::Linear);
        change(&mut s);
        Stimulus::Sampled(s)
    };
    for (stimulus, part) in [
        (
            step(-1.0, 1.0, 1.0),
            "stimulus 1 (step): its start is -1; expected a finite number, 0 or larger",
        ),
        (step(1.0, -1.0, 1.0), "its duration is -1"),
        (step(1.0, f64::NAN, 1.0), "its duration is NaN"),
        (step(1.0, 1.0, f64::INFINITY), "its amplitude is inf"),
        (
            train(|s| s.width = 4.0),
            "(pulse-train): its width 4 is longer than its period 3",
        ),
        (
            train(|s| s.period = 0.0),
            "its period is 0; expected a finite number larger than 0",
        ),
        (train(|s| s.count = Some(0)), "its count is 0"),
        (
            train(|s| s.until = Some(0.5)),
            "until = 0.5 before its start 1",
        ),
        (
            train(|s| (s.count, s.until) = (Some(1), Some(9.0))),
            "both count and until",
        ),
        (
            s1_s2(|s| s.coupling = 0.1),
            "(s1-s2): its coupling 0.1 is shorter than its width 0.5",
        ),
        (s1_s2(|s| s.s2_width = Some(-1.0)), "its s2_width is -1"),
        (
            s1_s2(|s| s.s2_amplitude = Some(f64::NAN)),
            "its s2_amplitude is NaN",
        ),
        (
            Stimulus::Ramp(Ramp {
                start: 0.0,
                duration: 1.0,
                from: f64::NAN,
                to: 0.0,
            }),
            "(ramp): its from is NaN",
        ),
        (
            Stimulus::Ramp(Ramp {
                start: 0.0,
                duration: 1.0,
                from: -1e308,
                to: 1e308,
            }),
            "its slope (to - from) / duration is inf",
        ),
        (
            Stimulus::Sine(Sine {
                period: -1.0,
                ..SINE
            }),
            "(sine): its period is -1",
        ),
        (
            Stimulus::Sine(Sine {
                period: 1e-320,
                ..SINE
            }),
            "is too short",
        ),
        (noise(|s| s.sd = -1.0), "(noise): its sd is -1"),
        (
            noise(|s| s.correlation_time = f64::NAN),
            "its correlation_time is NaN",
        ),
        (noise(|s| s.dt = 0.0), "its dt is 0"),
        (
            noise(|s| s.seed = u64::MAX),
            "its seed is 18446744073709551615; expected at most 9223372036854775807",
        ),
        (values(|s| s.times.clear()), "(sampled): it has no times"),
        (values(|s| s.values.truncate(2)), "3 times and 2 values"),
        (
            values(|s| s.times[1] = 4.0),
            "time 3 is 4 after 4; expected times that increase",
        ),
        (values(|s| s.times[1] = f64::NAN), "time 2 is NaN"),
        (values(|s| s.values[2] = f64::INFINITY), "value 3 is inf"),
        (values(|s| s.start = -1.5), "its first time is -0.5"),
    ] {
        let message = Protocol::from(stimulus).check().unwrap_err().to_string();
        assert!(message.contains(part), "expected '{part}': {message}");
    }
    let endless = Protocol::from(train(|s| (s.width, s.period) = (1e-9, 2e-9)));
    endless.check().unwrap();
    assert!(
        endless
            .check_until(100.0)
            .unwrap_err()
            .to_string()
            .contains(&format!("at most {MOST_PIECES}"))
    );
    let spec = models::find("sherman-1988").unwrap().spec().clone();
    let with_units = |unit: &str, time_unit: &str| {
        let mut p = Protocol::step(0.0, 1.0, 1.0);
        (p.unit, p.time_unit) = (Some(unit.into()), Some(time_unit.into()));
        p.check_units(&spec)
    };
    with_units("mV", "s").unwrap();
    for (unit, time_unit, part) in [
        ("A/F", "s", "unit = \"A/F\", but sherman-1988 takes mV"),
        ("mV", "ms", "time_unit = \"ms\", but sherman-1988 takes s"),
    ] {
        let message = with_units(unit, time_unit).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn means_are_those_of_a_fine_sum() {
    for protocol in every_shape() {
        let signal = protocol.signal(6.0);
        for [t0, t1] in [
            [0.0, 6.0],
            [0.33, 0.34],
            [0.2, 1.25],
            [1.0, 1.5],
            [1.49, 4.51],
            [5.9, 6.0],
        ] {
            // By the midpoint rule within each piece.
            let mut edges: Vec<f64> = starts(&signal)
                .into_iter()
                .filter(|t| (t0..t1).contains(t))
                .chain([t0, t1])
                .collect();
            edges.sort_by(f64::total_cmp);
            let n = 4000;
            let integral = edges.windows(2).map(|w| {
                (0..n)
                    .map(|k| signal.value(w[0] + (w[1] - w[0]) * (k as f64 + 0.5) / n as f64))
                    .sum::<f64>()
                    * (w[1] - w[0])
                    / n as f64
            });
            let want = integral.sum::<f64>() / (t1 - t0);
            // The midpoint rule errs by (omega h)^2 / 24 of the amplitude: pi * 6 / 4000 squared, by 24, times 3.
            assert!(
                (signal.mean(t0, t1) - want).abs() < 3e-6,
                "{protocol:?} on [{t0}, {t1}]: {} instead of {want}",
                signal.mean(t0, t1)
            );
        }
    }
    // Exactly: an integer number of oscillations, part of a step, nothing at all.
    let sine = Stimulus::Sine(Sine {
        start: 0.0,
        duration: None,
        offset: 0.0,
        ..SINE
    });
    assert!(Protocol::from(sine).signal(9.0).mean(0.3, 4.3).abs() < 1e-15);
    let one = Protocol::step(1.0, 2.0, 4.0).signal(9.0);
    assert_eq!(
        [
            one.mean(0.0, 8.0),
            one.mean(1.0, 1.7),
            one.mean(0.5, 1.5),
            one.mean(3.0, 3.0),
            one.mean(2.0, 2.0)
        ],
        [1.0, 4.0, 2.0, 0.0, 4.0]
    );
}

#[test]
fn noise_has_its_mean_deviation_and_correlation() {
    let noise = Noise {
        start: 0.0,
        duration: None,
        mean: 1.5,
        sd: 2.0,
        correlation_time: 0.8,
        dt: 0.1,
        seed: 3,
    };
    let n = 200_000;
    let signal = Protocol::from(Stimulus::Noise(noise.clone())).signal(n as f64 * 0.1);
    let z: Vec<f64> = signal.pieces.iter().map(|p| p.offset - 1.5).collect();
    assert!(z.len() >= n);
    // 200 000 samples with a correlation time of 8 count as 12 500: four standard errors.
    let mean = z.iter().sum::<f64>() / z.len() as f64;
    assert!(mean.abs() < 4.0 * 2.0 / 12_500f64.sqrt(), "{mean}");
    let covariance = |lag: usize| {
        z.iter().zip(&z[lag..]).map(|(a, b)| a * b).sum::<f64>() / (z.len() - lag) as f64
    };
    for lag in [0, 1, 5, 16] {
        let want = 4.0 * (-0.1 * lag as f64 / 0.8f64).exp();
        assert!(
            (covariance(lag) - want).abs() < 4.0 * 4.0 * (2.0 / 12_500f64).sqrt(),
            "{lag}: {} instead of {want}",
            covariance(lag)
        );
    }
    let of = |change: fn(&mut Noise)| {
        let mut s = noise.clone();
        change(&mut s);
        Protocol::from(Stimulus::Noise(s)).signal(10.0)
    };
    // A shorter run has the same samples; another seed has others; without correlation neighbors do not depend on each other.
    assert_eq!(of(|_| ()).pieces[..100], signal.pieces[..100]);
    assert_ne!(of(|s| s.seed = 4), of(|_| ()));
    let white = Protocol::from(Stimulus::Noise(Noise {
        correlation_time: 0.0,
        ..noise.clone()
    }))
    .signal(1000.0);
    let product: f64 = white
        .pieces
        .windows(2)
        .map(|w| (w[0].offset - 1.5) * (w[1].offset - 1.5))
        .sum::<f64>()
        / 1e4;
    assert!(product.abs() < 4.0 * 4.0 / 100.0, "{product}");
}

#[test]
fn a_hundred_thousand_pulses_or_samples_take_no_square_of_that_time() {
    let start = std::time::Instant::now();
    let n = 100_000;
    let period = 1e-3;
    let train = Stimulus::PulseTrain(PulseTrain {
        start: 0.0,
        amplitude: 1.0,
        width: 4e-4,
        period,
        count: Some(n),
        until: None,
    });
    let noise = Stimulus::Noise(Noise {
        dt: 1e-3,
        start: 0.0,
        ..NOISE
    });
    let times: Vec<f64> = (0..n).map(|k| k as f64 * period).collect();
    let held = Stimulus::Sampled(Sampled {
        values: times.iter().map(|t| t.sin()).collect(),
        times,
        ..sampled(Interpolation::Hold)
    });
    for (stimuli, pieces) in [
        (vec![train.clone()], 2 * n),
        (vec![noise.clone()], n),
        (vec![held.clone()], n),
        (vec![train, noise, held], 2 * n),
    ] {
        let protocol = adding(stimuli);
        protocol.check_until(100.0).unwrap();
        let signal = protocol.signal(100.0);
        assert!(
            (pieces..pieces + pieces / 100).contains(&(signal.pieces.len() as u64)),
            "{} pieces",
            signal.pieces.len()
        );
        let cells: f64 = (0..n)
            .map(|k| signal.mean(k as f64 * period, (k + 1) as f64 * period))
            .sum::<f64>()
            / n as f64;
        assert!((cells - signal.mean(0.0, 100.0)).abs() < 1e-9);
    }
    // Some 0.1 s; 10^10 operations would take several seconds.
    assert!(start.elapsed().as_secs_f64() < 3.0, "{:?}", start.elapsed());
}

fn experiment(protocol: Protocol, times: TimeGrid) -> Experiment {
    let cell = models::find("sherman-1988").unwrap();
    Experiment {
        protocol,
        ..Experiment::from_defaults(cell.spec(), times)
    }
}

fn solve(protocol: Protocol, times: TimeGrid, rtol: f64) -> Trajectory {
    let options = SolveOptions::with_rtol(rtol);
    models::find("sherman-1988")
        .unwrap()
        .simulate(&experiment(protocol, times), &options)
        .unwrap()
}

#[test]
fn both_integrators_agree_with_the_oracle_under_every_shape() {
    let cell = models::find("sherman-1988").unwrap();
    let batch: Vec<Experiment> = every_shape()
        .into_iter()
        .map(|p| experiment(p, TimeGrid::until(4.0, 0.25).unwrap()))
        .collect();
    let oracle: Vec<Trajectory> = batch
        .iter()
        .map(|e| runge_kutta_4(&*cell, e, 2e-5))
        .collect();
    // The oracle's own error, by halving its step, is up to 8e-10; the stiff method, of order 5, was seen to err by up to 3e-7 where the
    // stimulus makes the cell amplify errors.
    for (method, bound) in [(Method::Explicit, 2e-9), (Method::Stiff, 1e-6)] {
        let options = SolveOptions {
            rtol: 1e-9,
            atol: 1e-11,
            method,
            ..SolveOptions::default()
        };
        let got = cell.solve_ensemble(&batch, &options).unwrap();
        for ((e, got), want) in batch.iter().zip(got).zip(&oracle) {
            let got = got.completed().unwrap();
            for (k, (g, w)) in got.x.iter().zip(&want.x).enumerate() {
                let near = (g - w).abs() < bound * (1.0 + w.abs());
                assert!(
                    near,
                    "{method:?}, {:?} at output {}: {g} instead of {w}",
                    e.protocol,
                    k / 3
                );
            }
        }
    }
}

#[test]
fn switches_do_not_spoil_convergence() {
    let train = PulseTrain {
        start: 0.013,
        amplitude: 6.0,
        width: 0.021,
        period: 0.047,
        count: None,
        until: None,
    };
    // Until the forced spikes begin to amplify whatever a step errs by (a thousandfold in one more unit of time).
    let times = TimeGrid::until(0.7, 0.05).unwrap();
    for protocol in [
        Protocol::from(Stimulus::PulseTrain(train)),
        Stimulus::Noise(Noise {
            start: 0.0,
            dt: 0.01,
            ..NOISE
        })
        .into(),
    ] {
        let switches = protocol.signal(0.7).pieces.len() as u64 - 1;
        assert!(switches > 25);
        let reference = solve(protocol.clone(), times, 1e-13);
        for rtol in [1e-4, 1e-6, 1e-8, 1e-10] {
            let t = solve(protocol.clone(), times, rtol);
            let error =
                t.x.iter()
                    .zip(&reference.x)
                    .map(|(g, w)| (g - w).abs() / (rtol * (0.01 + w.abs())))
                    .fold(0.0, f64::max);
            // As without a stimulus: within 10 tolerances (decision 0002).
            assert!(
                error < 10.0,
                "{protocol:?}, rtol {rtol:e}: {error} tolerances"
            );
            // To step over a jump at rtol 1e-10 takes some ten rejections, each of which shrinks the step threefold at most.
            assert!(
                t.statistics.rejected < 3 * switches,
                "{protocol:?}, rtol {rtol:e}: {:?} for {switches} switches",
                t.statistics
            );
        }
    }
}

#[test]
fn a_switch_on_an_output_time_is_two_runs_one_after_the_other() {
    let times = |n: usize| TimeGrid::new(0.0, 0.25, n).unwrap();
    let whole = solve(Protocol::step(0.0, 1.0, 5.0), times(9), 1e-10);
    let first = solve(Protocol::constant(5.0), times(5), 1e-10);
    assert_eq!(whole.x[..first.x.len()], first.x);
    let cell = models::find("sherman-1988").unwrap();
    let e = Experiment {
        x0: first.last().unwrap().to_vec(),
        ..experiment(Protocol::none(), times(5))
    };
    let second = cell.simulate(&e, &SolveOptions::with_rtol(1e-10)).unwrap();
    for (g, w) in whole.x[first.x.len() - 3..].iter().zip(&second.x) {
        // Only times are rounded differently.
        assert!(
            (g - w).abs() < 1e-9 * (0.01 + w.abs()),
            "{g} instead of {w}"
        );
    }
}

#[test]
fn what_gives_no_current_within_the_run_changes_no_bit() {
    let times = TimeGrid::until(2.0, 0.1).unwrap();
    let none = solve(Protocol::none(), times, 1e-8);
    for protocol in [
        Protocol::step(1.0, 0.0, 3.0),
        Protocol::step(3.0, 1.0, 3.0),
        Protocol::step(2.0, 1.0, 3.0),
    ] {
        assert_eq!(
            solve(protocol.clone(), times, 1e-8).x,
            none.x,
            "{protocol:?}"
        );
    }
    let cut = |duration: f64| solve(Protocol::step(0.5, duration, 3.0), times, 1e-8).x;
    assert_eq!(cut(1e6), cut(1.5));
    assert_eq!(cut(1e6), cut(f64::MAX));
    assert_ne!(cut(1e6), none.x);
    // The end of the run and the end of the step differ by rounding: no step too small, and the same numbers.
    let late = TimeGrid::new(0.0, 0.1 + 0.2, 2).unwrap();
    assert_eq!(
        solve(Protocol::step(0.0, 0.3, 3.0), late, 1e-8).x,
        solve(Protocol::constant(3.0), late, 1e-8).x
    );
}

#[test]
fn a_positive_current_depolarizes_every_model() {
    for cell in models::all() {
        let spec = cell.spec();
        let Some(v) = &spec.membrane_potential else {
            continue;
        };
        let mut by = vec![0.0; spec.variables.len()];
        cell.derivative_by(
            Input::Stimulus,
            &spec.default_state(),
            0.0,
            &spec.default_parameters(),
            &mut by,
        );
        assert!(
            by[spec.variable_index(v).unwrap()] > 0.0,
            "{}: {by:?}",
            spec.id
        );
    }
    let last = |amplitude: f64| {
        solve(
            Protocol::step(0.0, 0.05, amplitude),
            TimeGrid::until(0.05, 0.01).unwrap(),
            1e-8,
        )
        .last()
        .unwrap()[0]
    };
    assert!(last(-5.0) < last(0.0) && last(0.0) < last(5.0));
}

use std::f64::consts::{PI, TAU};

use ionoscope_dynamics::{
    models,
    protocol::{Noise, Protocol, PulseTrain, Sine, Stimulus},
};

use super::*;
use crate::testing::TestSystem;

fn sampled(f: impl Fn(f64) -> f64, start: f64, end: f64, dt: f64) -> Potential {
    let count = ((end - start) / dt).round() as usize + 1;
    Potential::from_samples(
        start,
        dt,
        (0..count).map(|k| f(start + k as f64 * dt)).collect(),
    )
    .unwrap()
}

#[test]
fn crossings_peaks_and_slopes_of_a_sine_converge_at_their_orders() {
    // sin(t) rises through 0.3 at asin(0.3) + 2 pi k; from 1 to 20 that is for k = 1, 2, 3.
    let errors = |dt: f64| {
        let v = sampled(f64::sin, 1.0, 20.0, dt);
        let found = v.upward_crossings(0.3);
        let want: Vec<f64> = (1..4)
            .map(|k| 0.3f64.asin() + TAU * f64::from(k))
            .filter(|t| *t < 20.0)
            .collect();
        assert_eq!(found.len(), want.len());
        let crossing = found
            .iter()
            .zip(&want)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        let [t, peak] = v.highest(TAU, TAU + PI);
        let [_, slope] = v.steepest(TAU - 1.0, TAU + 1.0);
        let down = v.next_downward(TAU, 0.3).unwrap();
        [
            crossing,
            (peak - 1.0).abs(),
            (t - TAU - PI / 2.0).abs(),
            (slope - 1.0).abs(),
            (down - (3.0 * PI - 0.3f64.asin())).abs(),
        ]
    };
    let (coarse, fine) = (errors(0.0953), errors(0.00953));
    // Linear interpolation errs by 1.4e-4 here at the coarse step.
    assert!(coarse[0] < 5e-7 && coarse[4] < 5e-7, "{coarse:?}");
    for (i, order) in [(0, 4.0), (1, 4.0), (2, 3.0), (3, 3.0), (4, 4.0)] {
        let floor = 1e-13;
        assert!(
            fine[i] < coarse[i] * 10f64.powf(1.0 - order) + floor,
            "{i}: {coarse:?} {fine:?}"
        );
    }
}

/// Three groups of spikes: narrow bumps on a rest of -60, the highest point of each at 20 at the given times.
fn bumps(times: &[f64]) -> Potential {
    let times = times.to_vec();
    sampled(
        move |t| {
            -60.0
                + 80.0
                    * times
                        .iter()
                        .map(|c| (-((t - c) / 0.05).powi(2)).exp())
                        .sum::<f64>()
        },
        0.0,
        20.0,
        0.001,
    )
}

/// A bump passes -20, half of its height, this long before its peak.
fn half_width() -> f64 {
    0.05 * 2f64.ln().sqrt()
}

#[test]
fn bursts_of_a_made_up_train_are_counted_by_hand() {
    // Groups of 2, 3, 4, 3 spikes one apart, pauses of four: the first and the last are not complete.
    let times = [1.0, 2.0, 6.0, 7.0, 8.0, 12.0, 13.0, 14.0, 15.0, 19.0];
    let b = biomarkers(&bumps(&times), &BiomarkerOptions::at(-20.0)).unwrap();
    assert_eq!(
        (
            b.regime,
            b.spikes.len(),
            b.complete_bursts,
            b.incomplete_bursts
        ),
        (Regime::Bursting, 10, 2, 2)
    );
    let close = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-6, "{a:?}, not {b}");
    close(b.burst_period, 6.5);
    close(b.spikes_per_burst, 3.5);
    close(b.duty_cycle, 2.5 / 6.5);
    let isi = b.isi.unwrap();
    for (got, want) in [
        (isi.mean, 2.0),
        (isi.min, 1.0),
        (isi.max, 4.0),
        (isi.median, 1.0),
        (isi.cv, 2f64.sqrt() / 2.0),
    ] {
        close(Some(got), want);
    }
    close(Some(b.spikes[0]), 1.0 - half_width());
    let groups: Vec<(usize, bool)> = b.bursts.iter().map(|b| (b.spikes, b.complete)).collect();
    assert_eq!(groups, [(2, false), (3, true), (4, true), (1, false)]);
    // A pause of 4 median intervals is not exceeded: it spikes.
    let b = biomarkers(
        &bumps(&times),
        &BiomarkerOptions {
            pause: 4.0001,
            ..BiomarkerOptions::at(-20.0)
        },
    )
    .unwrap();
    assert_eq!(
        (b.regime, b.burst_period, b.bursts.len()),
        (Regime::Spiking, None, 0)
    );
}

#[test]
fn a_bump_is_measured_as_its_formula_says() {
    let (v, times) = (bumps(&[3.0, 9.0]), [3.0, 9.0]);
    for upstroke in [Upstroke::Crossing, Upstroke::SteepestRise] {
        let b = biomarkers(
            &v,
            &BiomarkerOptions {
                upstroke,
                ..BiomarkerOptions::at(-20.0)
            },
        )
        .unwrap();
        // exp(-u^2) is steepest at u = 1/sqrt(2), where its slope is sqrt(2/e); it is at 1 - x of its height at u = sqrt(-ln(1 - x)).
        let begin = if upstroke == Upstroke::Crossing {
            half_width()
        } else {
            0.05 / 2f64.sqrt()
        };
        for (a, t) in b.action_potentials.iter().zip(times) {
            // The time of the steepest rise is of second order: 1e-6 at this step of a fiftieth of the width, 1e-4 at ten times that.
            let wanted = [
                (a.upstroke, t - begin, 2e-6),
                (a.peak_time, t, 1e-6),
                (a.peak, 20.0, 1e-6),
                (a.rest, -60.0, 1e-6),
                (a.amplitude, 80.0, 1e-6),
                (a.apd50.unwrap(), begin + half_width(), 2e-6),
                (a.apd90.unwrap(), begin + 0.05 * 10f64.ln().sqrt(), 2e-6),
                (a.dvdt_max, 80.0 / 0.05 * (2.0 / 1f64.exp()).sqrt(), 0.01),
            ];
            for (k, (got, want, tolerance)) in wanted.into_iter().enumerate() {
                assert!(
                    (got - want).abs() < tolerance,
                    "{upstroke:?} {k}: {got}, not {want}"
                );
            }
            assert!(a.complete);
        }
    }
}

#[test]
fn what_was_not_seen_is_said() {
    // Cut in the second bump after its peak and before its end; begun within the first.
    let whole = bumps(&[3.0, 9.0]);
    let samples = (3000..=9030)
        .map(|k| whole.at(f64::from(k) * 0.001))
        .collect();
    let cut = Potential::from_samples(3.0, 0.001, samples).unwrap();
    let b = biomarkers(&cut, &BiomarkerOptions::at(-20.0)).unwrap();
    assert!(b.begins_within_an_action_potential);
    assert_eq!((b.spikes.len(), b.incomplete_action_potentials()), (1, 1));
    let a = &b.action_potentials[0];
    assert!(
        (a.peak - 20.0).abs() < 1e-6 && a.apd50.is_none() && a.apd90.is_none() && !a.complete,
        "{a:?}"
    );
    // A spike of one sample, a level that is only touched, no samples, too few.
    let narrow =
        Potential::from_samples(0.0, 1.0, vec![-60.0, -60.0, 20.0, -60.0, -60.0, -60.0]).unwrap();
    assert_eq!(
        biomarkers(&narrow, &BiomarkerOptions::at(0.0))
            .unwrap()
            .spikes
            .len(),
        1
    );
    for v in [vec![], vec![5.0], vec![-60.0; 100]] {
        let b = biomarkers(
            &Potential::from_samples(0.0, 1.0, v).unwrap(),
            &BiomarkerOptions::at(0.0),
        )
        .unwrap();
        assert_eq!(
            (b.regime, b.isi, b.action_potentials.len()),
            (Regime::Silent, None, 0)
        );
    }
    assert!(
        Potential::from_samples(0.0, 1.0, vec![1.0, f64::NAN])
            .unwrap_err()
            .to_string()
            .contains("sample 1")
    );
    assert!(
        biomarkers(
            &narrow,
            &BiomarkerOptions {
                pause: 0.5,
                ..BiomarkerOptions::at(0.0)
            }
        )
        .is_err()
    );
}

fn beta_cell(v_s: f64, change: impl Fn(&mut ObserveOptions)) -> Observation {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().parameters_with([("v_s", v_s)]).unwrap();
    let mut options = ObserveOptions::new(BiomarkerOptions::at(-40.0));
    change(&mut options);
    observe(
        &*cell,
        0,
        &cell.spec().default_state(),
        &p,
        &Protocol::none(),
        &options,
    )
    .unwrap()
}

#[test]
fn the_beta_cell_bursts_and_spikes_as_the_reference_says() {
    // A tight integration by others: period and spikes a burst; interspike intervals.
    for (v_s, period, spikes) in [(-36.0, 9.026, 20.0), (-38.0, 8.419, 15.0)] {
        let o = beta_cell(v_s, |_| {});
        let b = &o.biomarkers;
        assert_eq!(
            (b.regime, b.spikes_per_burst, o.stopped, o.potential.dt()),
            (Regime::Bursting, Some(spikes), Stopped::EnoughBursts, None)
        );
        assert!(
            (b.burst_period.unwrap() - period).abs() < 1e-3 && b.complete_bursts >= 10,
            "{b:?}"
        );
    }
    let o = beta_cell(-33.0, |_| {});
    let isi = o.biomarkers.isi.unwrap();
    assert_eq!(
        (o.biomarkers.regime, o.biomarkers.burst_period, o.stopped),
        (Regime::Spiking, None, Stopped::EnoughSpikes)
    );
    assert!(isi.min > 0.4445 && isi.max < 0.4505, "{isi:?}");
}

#[test]
fn hodgkin_huxley_fires_as_an_independent_integration_says() {
    // scipy 1.17 `solve_ivp(method="DOP853", rtol=1e-12, atol=1e-13)` on the published equations: interval, peak, rest, and by samples 1e-4 ms
    // apart dV/dt max and APD90.
    let reference = [
        (7.0, 17.150608184, [95.67489, -10.25513, 221.5619, 2.1847]),
        (10.0, 14.638324789, [95.43245, -9.89674, 219.5025, 2.1812]),
        (50.0, 8.544604633, [72.50658, -4.36243, 99.1640, 1.9594]),
    ];
    let cell = models::find("hodgkin-huxley-1952").unwrap();
    let spec = cell.spec();
    let options = ObserveOptions::new(BiomarkerOptions::at(spec.spike_threshold.unwrap()));
    for (i_stim, interval, wanted) in reference {
        let protocol = Protocol::constant(i_stim);
        let o = observe(
            &*cell,
            0,
            &spec.default_state(),
            &spec.default_parameters(),
            &protocol,
            &options,
        )
        .unwrap();
        let isi = o.biomarkers.isi.unwrap();
        assert!(
            (isi.mean - interval).abs() < 1e-8 && isi.cv < 1e-7,
            "{i_stim}: {isi:?}"
        );
        let a = o.biomarkers.action_potentials[100];
        for ((got, want), tolerance) in [a.peak, a.rest, a.dvdt_max, a.apd90.unwrap()]
            .into_iter()
            .zip(wanted)
            .zip([2e-3, 2e-4, 0.1, 1e-3])
        {
            assert!(
                (got - want).abs() < tolerance,
                "{i_stim}: {got}, not {want}"
            );
        }
    }
}

#[test]
fn ohara_rudy_at_one_hertz_has_its_action_potential() {
    // 100 beats, endocardial: APD90 about 270 ms, peak about 40 mV, rest about -88 mV.
    let cell = models::find("ohara-rudy-2011").unwrap();
    let spec = cell.spec().with_preset("paced").unwrap();
    let options = until(0.0, 0.0, 1000.0);
    let beat = Protocol::step(0.0, 0.5, 80.0);
    let o = observe(
        &*cell,
        0,
        &spec.default_state(),
        &spec.default_parameters(),
        &beat,
        &options,
    )
    .unwrap();
    let run = |dt: f64| {
        observe(
            &*cell,
            0,
            &spec.default_state(),
            &spec.default_parameters(),
            &beat,
            &ObserveOptions {
                dt: Some(dt),
                ..options.clone()
            },
        )
    };
    let fine = run(0.002).unwrap().biomarkers.action_potentials[0];
    let a = o.biomarkers.action_potentials[0];
    assert!(
        (a.apd90.unwrap() - 270.6).abs() < 0.5
            && (a.peak - 40.2).abs() < 0.1
            && (a.rest + 88.0).abs() < 0.01,
        "{a:?}"
    );
    assert!(
        (a.apd90.unwrap() - fine.apd90.unwrap()).abs() < 0.02
            && (a.dvdt_max / fine.dvdt_max - 1.0).abs() < 1e-2,
        "{a:?} {fine:?}"
    );
}

#[test]
fn a_map_is_watched_like_a_flow() {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().parameters_with([("v_s", -38.0)]).unwrap();
    let map = TestSystem::beta_cell_map(
        ionoscope_dynamics::models::sherman_1988::BetaCell::ORIGINAL,
        0.005,
    );
    let mut options = ObserveOptions::new(BiomarkerOptions::at(-40.0));
    (
        options.t_transient,
        options.window,
        options.t_end,
        options.bursts,
    ) = (Some(20.0), Some(30.0), Some(1e4), 2);
    let o = observe(
        &map,
        0,
        &cell.spec().default_state(),
        &p,
        &Protocol::none(),
        &options,
    )
    .unwrap();
    assert_eq!(
        (o.biomarkers.spikes_per_burst, o.potential.dt()),
        (Some(15.0), Some(0.005))
    );
    assert!(
        (o.biomarkers.burst_period.unwrap() - 8.419).abs() < 1e-3,
        "{:?}",
        o.biomarkers
    );
    options.dt = Some(0.012);
    let error = observe(
        &map,
        0,
        &cell.spec().default_state(),
        &p,
        &Protocol::none(),
        &options,
    )
    .unwrap_err();
    assert!(
        error.is_input() && error.to_string().contains("multiple"),
        "{error}"
    );
}

#[test]
fn watching_ends_for_the_reason_it_gives() {
    let silent = beta_cell(-45.0, |_| {});
    assert_eq!(
        (silent.biomarkers.regime, silent.stopped),
        (Regime::Silent, Stopped::AtRest)
    );
    let short = beta_cell(-36.0, |o| {
        (o.t_transient, o.t_end) = (Some(100.0), Some(125.0))
    });
    assert_eq!(short.stopped, Stopped::TimeLimit);
    assert!(short.biomarkers.complete_bursts < 10 && (short.potential.end() - 125.0).abs() < 1e-9);
    let fixed = beta_cell(-36.0, |o| {
        (o.t_transient, o.t_end, o.fixed) = (Some(100.0), Some(300.0), true)
    });
    assert_eq!(
        (fixed.stopped, fixed.biomarkers.complete_bursts > 15),
        (Stopped::AsAsked, true)
    );
}

#[test]
fn a_pulse_after_the_transient_needs_an_end_and_slopes_stop_at_its_switches() {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().parameters_with([("v_s", -45.0)]).unwrap();
    let mut options = ObserveOptions {
        t_transient: Some(0.0),
        t_end: Some(4.0),
        ..ObserveOptions::new(BiomarkerOptions::at(-50.0))
    };
    let run = |protocol: &Protocol, o: &ObserveOptions| {
        observe(&*cell, 0, &cell.spec().default_state(), &p, protocol, o)
    };
    let pulse = Protocol::step(1.0, 0.1, 1000.0);
    assert!(
        run(&pulse, &options)
            .unwrap_err()
            .to_string()
            .contains("still changes")
    );
    options.fixed = true;
    let o = run(&pulse, &options).unwrap();
    assert_eq!(
        (o.biomarkers.spikes.len(), o.potential.dt()),
        (1, None),
        "{:?}",
        o.biomarkers
    );
    let fine = run(
        &pulse,
        &ObserveOptions {
            dt: Some(1e-4),
            ..options.clone()
        },
    )
    .unwrap();
    assert!(
        (o.biomarkers.spikes[0] - fine.biomarkers.spikes[0]).abs() < 1e-7,
        "{:?}",
        o.biomarkers.spikes
    );
    assert!(fine.biomarkers.spikes[0] > 1.0 && fine.biomarkers.spikes[0] < 1.1);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let cell = models::find("sherman-1988").unwrap();
    let (x0, p) = (
        cell.spec().default_state(),
        cell.spec().default_parameters(),
    );
    type Change = fn(&mut ObserveOptions);
    let cases: [(Change, &str); 6] = [
        (|o| o.definitions.threshold = f64::NAN, "threshold"),
        (
            |o| (o.t_transient, o.t_end) = (Some(100.0), Some(50.0)),
            "later end",
        ),
        (|o| o.window = Some(0.0), "window"),
        (|o| o.fixed = true, "no end"),
        (|o| o.bursts = 0, "0 bursts"),
        (|o| o.dt = Some(-1.0), "sampling step"),
    ];
    for (change, part) in cases {
        let mut options = ObserveOptions::new(BiomarkerOptions::at(-40.0));
        change(&mut options);
        let error = observe(&*cell, 0, &x0, &p, &Protocol::none(), &options).unwrap_err();
        assert!(
            error.is_input() && error.to_string().contains(part),
            "{error}"
        );
    }
}

/// A recording from `t_transient` to `t_end`.
pub(super) fn until(threshold: f64, t_transient: f64, t_end: f64) -> ObserveOptions {
    ObserveOptions {
        t_transient: Some(t_transient),
        t_end: Some(t_end),
        fixed: true,
        ..ObserveOptions::new(BiomarkerOptions::at(threshold))
    }
}

pub(super) fn train(amplitude: f64, width: f64, period: f64, start: f64) -> Protocol {
    Stimulus::PulseTrain(PulseTrain {
        start,
        period,
        width,
        amplitude,
        count: None,
        until: None,
    })
    .into()
}

/// A model at its defaults under a protocol; `rtol` other than the default, with an atol of a hundredth.
pub(super) fn watched(
    id: &str,
    protocol: &Protocol,
    options: &ObserveOptions,
    rtol: f64,
) -> Observation {
    let cell = models::find(id).unwrap();
    let (x0, p) = (
        cell.spec().default_state(),
        cell.spec().default_parameters(),
    );
    let variable = cell.spec().membrane_potential_index().unwrap();
    let solve = ionoscope_dynamics::trajectory::SolveOptions {
        rtol,
        atol: 1e-2 * rtol,
        ..Default::default()
    };
    observe(
        &*cell,
        variable,
        &x0,
        &p,
        protocol,
        &ObserveOptions {
            solve,
            ..options.clone()
        },
    )
    .unwrap()
}

/// Cells under all kinds of stimuli, thresholds and times.
fn runs() -> Vec<(&'static str, Protocol, ObserveOptions)> {
    let noise = Stimulus::Noise(Noise {
        start: 0.0,
        duration: None,
        mean: 3.0,
        sd: 8.0,
        correlation_time: 5.0,
        dt: 0.5,
        seed: 1,
    });
    let sine = Stimulus::Sine(Sine {
        start: 0.0,
        duration: None,
        amplitude: 8.0,
        period: 17.0,
        phase: 0.0,
        offset: 0.0,
    });
    vec![
        (
            "ten-tusscher-panfilov-2006",
            train(100.0, 1.0, 500.0, 10.0),
            until(0.0, 0.0, 600.0),
        ),
        (
            "luo-rudy-1991",
            train(80.0, 0.5, 250.0, 10.0),
            until(0.0, 0.0, 700.0),
        ),
        (
            "hodgkin-huxley-1952",
            train(30.0, 1.0, 23.0, 3.0),
            until(40.0, 0.0, 100.0),
        ),
        ("hodgkin-huxley-1952", noise.into(), until(40.0, 0.0, 100.0)),
        ("hodgkin-huxley-1952", sine.into(), until(40.0, 5.3, 100.0)),
        (
            "fitzhugh-nagumo-1961",
            train(1.0, 5.0, 100.0, 0.0),
            until(0.5, 0.0, 300.0),
        ),
        ("sherman-1988", Protocol::none(), until(-40.0, 10.0, 20.0)),
        (
            "hindmarsh-rose-1984",
            Protocol::constant(2.0),
            until(0.0, 100.0, 300.0),
        ),
    ]
}

#[test]
fn what_is_found_is_what_a_dense_search_on_the_same_solution_finds() {
    for (id, protocol, options) in runs() {
        let o = watched(id, &protocol, &options, 1e-8);
        let (v, b) = (&o.potential, &o.biomarkers);
        let dt = (v.end() - v.start()) / 2e5;
        let dense: Vec<f64> = (0..=200_000)
            .map(|k| v.at((v.start() + f64::from(k) * dt).min(v.end())))
            .collect();
        let time = |k: usize| v.start() + k as f64 * dt;
        let index = |t: f64| ((t - v.start()) / dt) as usize;
        let level = options.definitions.threshold;
        let all: Vec<ActionPotential> = b
            .action_potentials
            .iter()
            .chain(&b.failed_captures)
            .copied()
            .collect();
        assert!(!all.is_empty(), "{id}");
        let crossings: Vec<f64> = (1..dense.len())
            .filter(|k| dense[k - 1] < level && dense[*k] >= level)
            .map(time)
            .collect();
        let found = v.upward_crossings(level);
        assert_eq!(
            found.len(),
            crossings.len(),
            "{id}: {found:?} {crossings:?}"
        );
        for (a, b) in found.iter().zip(&crossings) {
            assert!(
                *a <= *b + 1e-9
                    && *a > b - 1.0001 * dt
                    && (v.at(*a) - level).abs() < 1e-10 * (1.0 + level.abs()),
                "{id}: {a} {b}"
            );
        }
        for a in &all {
            let from = index(a.peak_time).saturating_sub(2);
            let near = &dense[from..(from + 5).min(dense.len())];
            let top = near.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // No sample is higher, and near the peak one is as high but for what the potential does in a step.
            assert!(
                top <= a.peak + 1e-9 && a.peak - top <= a.dvdt_max.max(5.0 * a.amplitude) * dt,
                "{id}: {top} {a:?}"
            );
            assert!(
                (v.at(a.peak_time) - a.peak).abs() < 1e-10 * a.amplitude,
                "{id}: {a:?}"
            );
            let steepest = (index(a.upstroke)..index(a.peak_time))
                .map(|k| (dense[k + 1] - dense[k]) / dt)
                .fold(0.0, f64::max);
            assert!(
                steepest <= a.dvdt_max * (1.0 + 1e-6) + 1e-9,
                "{id}: {steepest} {a:?}"
            );
            for (share, duration) in [(0.5, a.apd50), (0.9, a.apd90)] {
                let level = a.peak - share * a.amplitude;
                let Some(duration) = duration else { continue };
                let end = a.upstroke + duration;
                assert!(
                    (v.at(end) - level).abs() < 1e-10 * a.amplitude,
                    "{id}: {a:?}"
                );
                let first = (index(a.peak_time) + 1..dense.len())
                    .find(|k| dense[*k] < level)
                    .unwrap();
                assert!(
                    (time(first) - end).abs() <= 1.0001 * dt,
                    "{id}: {} {a:?}",
                    time(first)
                );
            }
        }
    }
}

#[test]
fn what_is_found_errs_by_no_more_than_the_trajectory() {
    // Against a tolerance a thousand times smaller: what is found on the polynomials errs by at most ten tolerances more than the state itself.
    for (id, protocol, options) in runs() {
        let rtol = 1e-7;
        let (o, tight) = (
            watched(id, &protocol, &options, rtol),
            watched(id, &protocol, &options, 1e-10),
        );
        let (a, b) = (&o.potential, &tight.potential);
        // The states at the ends of its steps are the trajectory itself.
        let (times, values) = a.line(a.start(), a.end(), 0.0);
        let own = times
            .iter()
            .zip(&values)
            .map(|(t, v)| (v - b.at(*t)).abs())
            .fold(0.0, f64::max);
        let size = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let allowed = own + 10.0 * rtol * size;
        assert_eq!(
            o.biomarkers.spikes.len(),
            tight.biomarkers.spikes.len(),
            "{id}"
        );
        for (a, b) in o
            .biomarkers
            .action_potentials
            .iter()
            .zip(&tight.biomarkers.action_potentials)
        {
            assert!(
                (a.peak - b.peak).abs() <= allowed && (a.rest - b.rest).abs() <= allowed,
                "{id}: {allowed} {a:?} {b:?}"
            );
            // Times err by the potential's error over its slope there; the level itself moves with peak and rest.
            for (share, x, y) in [(0.5, a.apd50, b.apd50), (0.9, a.apd90, b.apd90)] {
                let (Some(x), Some(y)) = (x, y) else { continue };
                let t = b.upstroke + y;
                let slope = (tight.potential.at(t + 1e-6 * y) - tight.potential.at(t - 1e-6 * y))
                    .abs()
                    / (2e-6 * y);
                let late = (a.upstroke - b.upstroke).abs();
                assert!(
                    (x - y).abs() <= 3.0 * allowed / slope + late,
                    "{id} {share}: {x} {y}, slope {slope}, {allowed}"
                );
            }
        }
        for (x, y) in o.biomarkers.spikes.iter().zip(&tight.biomarkers.spikes) {
            let slope = (tight.potential.at(y + 1e-6) - tight.potential.at(y - 1e-6)).abs() / 2e-6;
            assert!((x - y).abs() <= 1.1 * allowed / slope, "{id}: {x} {y}");
        }
    }
}

#[test]
fn the_peak_at_the_end_of_a_stimulus_is_the_state_there() {
    let (width, rate) = (1.0, 100.0);
    let protocol = train(rate, width, 500.0, 10.0);
    let o = watched(
        "ten-tusscher-panfilov-2006",
        &protocol,
        &until(0.0, 0.0, 1600.0),
        1e-8,
    );
    let cell = models::find("ten-tusscher-panfilov-2006").unwrap();
    for (k, a) in o.biomarkers.action_potentials.iter().enumerate() {
        let t = 500.0f64.mul_add(k as f64, 10.0 + width);
        let times = ionoscope_dynamics::trajectory::TimeGrid::new(t, 1.0, 1).unwrap();
        let e = ionoscope_dynamics::trajectory::Experiment {
            protocol: protocol.clone(),
            ..ionoscope_dynamics::trajectory::Experiment::from_defaults(cell.spec(), times)
        };
        let state = cell.simulate(&e, &Default::default()).unwrap();
        assert_eq!(a.peak_time, t, "{a:?}");
        assert!(
            (a.peak - state.x[0]).abs() < 1e-7 * a.amplitude && a.kind != Response::FailedCapture,
            "{} {a:?}",
            state.x[0]
        );
        // A corner: it rises by the stimulus and more before, and falls after.
        assert!(
            o.potential.at(t - 1e-3) < a.peak - 0.05 && o.potential.at(t + 1e-3) < a.peak - 0.01
        );
    }
    let capture = o.biomarkers.capture.unwrap();
    assert_eq!(
        (capture.stimuli, capture.captured, capture.failed),
        (4, 4, 0)
    );
}

fn captured(o: &Observation) -> (usize, usize, usize) {
    let c = o.biomarkers.capture.unwrap();
    (c.stimuli, c.captured, c.failed)
}

#[test]
fn a_block_of_two_to_one_is_half_captured() {
    // Every second stimulus meets a cell that cannot be excited, and lifts it over the threshold all the same.
    for (id, protocol, from, to, apd90) in [
        (
            "luo-rudy-1991",
            train(80.0, 0.5, 250.0, 10.0),
            1505.0,
            2505.0,
            [330.0, 350.0],
        ),
        (
            "ten-tusscher-panfilov-2006",
            train(52.0, 1.0, 260.0, 10.0),
            2605.0,
            3645.0,
            [280.0, 400.0],
        ),
    ] {
        let o = watched(id, &protocol, &until(0.0, from, to), 1e-8);
        let b = &o.biomarkers;
        assert_eq!(
            (captured(&o), b.capture.unwrap().ratio),
            ((4, 2, 2), Some(0.5)),
            "{id} {b:?}"
        );
        assert_eq!(
            (
                b.spikes.len(),
                b.failed_captures.len(),
                b.afterdepolarizations.len()
            ),
            (2, 2, 0),
            "{id} {b:?}"
        );
        for a in &b.action_potentials {
            assert!(
                a.kind == Response::ActionPotential && a.disturbed == 1 && a.own_share > 0.3,
                "{id} {a:?}"
            );
            assert!(
                a.apd90.is_some_and(|d| (apd90[0]..apd90[1]).contains(&d)),
                "{id} {a:?}"
            );
        }
        assert!(
            b.failed_captures
                .iter()
                .all(|a| a.kind == Response::FailedCapture && a.own_share < 0.01),
            "{id} {b:?}"
        );
        assert!(
            (b.isi.unwrap().mean - 2.0 * protocol_period(&protocol)).abs() < 0.1
                && b.alternans.is_none(),
            "{id} {b:?}"
        );
    }
}

fn protocol_period(protocol: &Protocol) -> f64 {
    let Stimulus::PulseTrain(train) = &protocol.stimuli[0] else {
        panic!("a train")
    };
    train.period
}

#[test]
fn a_stimulus_that_hides_what_the_cell_does_is_told_by_a_weaker_one() {
    // From rest all of these capture, however strong and long; without its inward currents the same cell never does.
    // The last number: how often the stimulus alone brings it over the threshold. The long one does not: potassium holds against it.
    for (id, amplitude, width, threshold, without, over) in [
        ("luo-rudy-1991", 600.0, 0.5, 0.0, ["g_na", "g_si"], 1),
        (
            "ten-tusscher-panfilov-2006",
            500.0,
            1.0,
            0.0,
            ["g_na", "g_ca_l"],
            1,
        ),
        ("ohara-rudy-2011", 400.0, 0.5, 0.0, ["g_na", "p_ca"], 1),
        ("hodgkin-huxley-1952", 300.0, 1.0, 40.0, ["g_na", "g_na"], 1),
        ("hodgkin-huxley-1952", 60.0, 8.0, 40.0, ["g_na", "g_na"], 0),
    ] {
        let cell = models::find(id).unwrap();
        let (x0, p) = (
            cell.spec().default_state(),
            cell.spec().default_parameters(),
        );
        let end = if threshold == 0.0 { 500.0 } else { 60.0 };
        let options = until(threshold, 0.0, end);
        let pulse = Protocol::step(5.0, width, amplitude);
        let o = observe(&*cell, 0, &x0, &p, &pulse, &options).unwrap();
        assert_eq!(
            (captured(&o), o.biomarkers.failed_captures.len()),
            ((1, 1, 0), 0),
            "{id} {:?}",
            o.biomarkers
        );
        let mut passive = p.clone();
        for name in without {
            passive[cell.spec().parameter_index(name).unwrap()] = 0.0;
        }
        let o = observe(&*cell, 0, &x0, &passive, &pulse, &options).unwrap();
        let b = &o.biomarkers;
        assert_eq!(
            (captured(&o), b.regime),
            ((1, 0, 1), Regime::Silent),
            "{id} {b:?}"
        );
        assert!(
            b.failed_captures.len() == over
                && b.failed_captures.iter().all(|f| f.own_share < OWN_SHARE),
            "{id} {b:?}"
        );
    }
}

#[test]
fn what_spikes_by_itself_is_not_taken_for_the_work_of_a_stimulus() {
    // Spontaneous spikes, a constant current, an anode break: nothing pushes.
    let beats = watched(
        "sherman-1988",
        &Protocol::none(),
        &until(-40.0, 10.0, 20.0),
        1e-8,
    );
    let constant = watched(
        "hodgkin-huxley-1952",
        &Protocol::constant(10.0),
        &until(40.0, 50.0, 150.0),
        1e-8,
    );
    let released = watched(
        "hodgkin-huxley-1952",
        &Protocol::step(5.0, 20.0, -10.0),
        &until(40.0, 0.0, 60.0),
        1e-8,
    );
    for o in [&beats, &constant, &released] {
        let b = &o.biomarkers;
        assert!(
            !b.spikes.is_empty() && b.failed_captures.is_empty() && b.capture.is_none(),
            "{b:?}"
        );
        assert!(
            b.action_potentials.iter().all(|a| a.own_share == 1.0),
            "{b:?}"
        );
    }
    assert_eq!(released.biomarkers.spikes.len(), 1);
    // A long step in which a cell fires again and again: the first spike has the step, the others nothing but themselves.
    let step = watched(
        "hodgkin-huxley-1952",
        &Protocol::step(5.0, 200.0, 15.0),
        &until(40.0, 0.0, 100.0),
        1e-8,
    );
    let shares: Vec<f64> = step
        .biomarkers
        .action_potentials
        .iter()
        .map(|a| a.own_share)
        .collect();
    assert!(
        shares.len() > 5
            && shares[0] > 0.5
            && shares[0] < 1.0
            && shares[1..].iter().all(|s| *s == 1.0),
        "{shares:?}"
    );
}

#[test]
fn alternating_durations_are_action_potentials_all() {
    // Bumps of two widths in turn; and of widths that come together.
    let bumps = |widths: [f64; 6]| {
        let f = move |t: f64| {
            let one = |(k, w): (usize, &f64)| (-((t - 2.0 - 4.0 * k as f64) / w).powi(2)).exp();
            -80.0 + 120.0 * widths.iter().enumerate().map(one).sum::<f64>()
        };
        biomarkers(&sampled(f, 0.0, 26.0, 0.001), &BiomarkerOptions::at(0.0)).unwrap()
    };
    let b = bumps([0.5, 0.4, 0.5, 0.4, 0.5, 0.4]);
    let found = b.alternans.unwrap();
    // From the steepest rise at w/sqrt(2) before the peak to w sqrt(ln 10) after it.
    let duration = |w: f64| w * (0.5f64.sqrt() + 10f64.ln().sqrt());
    assert!(
        (found.long - duration(0.5)).abs() < 1e-4
            && (found.short - duration(0.4)).abs() < 1e-4
            && found.lasting,
        "{found:?}"
    );
    assert_eq!(
        (
            found.action_potentials,
            b.complete_action_potentials().count()
        ),
        (6, 6)
    );
    assert!(
        !bumps([0.5, 0.4, 0.46, 0.42, 0.44, 0.43])
            .alternans
            .unwrap()
            .lasting
    );
    assert_eq!(bumps([0.5, 0.49, 0.48, 0.47, 0.46, 0.45]).alternans, None);
    assert_eq!(bumps([0.5, 0.5, 0.5, 0.5, 0.5, 0.5]).alternans, None);
}

#[test]
fn early_afterdepolarizations_belong_to_their_action_potential() {
    let cell = models::find("ohara-rudy-2011").unwrap();
    let spec = cell.spec();
    let run = |g_kr: f64, p_ca: f64| {
        let p = spec
            .parameters_with([("g_kr", g_kr), ("p_ca", p_ca)])
            .unwrap();
        observe(
            &*cell,
            0,
            &spec.default_state(),
            &p,
            &Protocol::step(10.0, 0.5, 80.0),
            &until(0.0, 0.0, 1500.0),
        )
        .unwrap()
        .biomarkers
    };
    // With a tenth of I_Kr and twice I_CaL it does not repolarize: three rises, all of them over the threshold.
    let b = run(0.0046, 2e-4);
    assert_eq!(
        (
            b.spikes.len(),
            b.action_potentials[0].afterdepolarizations,
            b.afterdepolarizations.len()
        ),
        (1, 3, 3),
        "{b:?}"
    );
    let times: Vec<f64> = b
        .afterdepolarizations
        .iter()
        .flat_map(|a| [a.time, a.peak_time])
        .collect();
    for (got, want) in times
        .iter()
        .zip([528.0, 686.0, 915.0, 1054.0, 1328.0, 1446.0])
    {
        assert!((got - want).abs() < 1.0, "{times:?}");
    }
    assert!(
        (b.afterdepolarizations[0].from + 19.8).abs() < 0.1
            && (b.afterdepolarizations[0].peak - 6.2).abs() < 0.1
    );
    // Neither a long action potential nor the dome of phase 2 is one.
    for (g_kr, p_ca) in [(0.046, 2e-4), (0.0092, 1e-4)] {
        let b = run(g_kr, p_ca);
        assert_eq!(
            (b.spikes.len(), b.afterdepolarizations.len()),
            (1, 0),
            "{b:?}"
        );
    }
    // Luo-Rudy at 360 ms: its dome crosses the threshold again.
    let o = watched(
        "luo-rudy-1991",
        &train(80.0, 0.5, 360.0, 10.0),
        &until(0.0, 7200.0, 7915.0),
        1e-8,
    );
    assert_eq!(
        (
            o.biomarkers.spikes.len(),
            o.biomarkers.complete_action_potentials().count()
        ),
        (2, 2),
        "{:?}",
        o.biomarkers
    );
    assert!(
        o.potential.upward_crossings(0.0).len() > 2 && o.biomarkers.afterdepolarizations.is_empty(),
        "{:?}",
        o.biomarkers
    );
}

#[test]
fn a_silent_cell_that_swings_is_said_to() {
    let silent = |id: &str, protocol: Protocol, options: &ObserveOptions| {
        watched(id, &protocol, options, 1e-8)
    };
    let at = |threshold: f64| ObserveOptions::new(BiomarkerOptions::at(threshold));
    for (id, current, threshold) in [
        ("hodgkin-huxley-1952", 120.0, 40.0),
        ("hodgkin-huxley-1952", 10.0, 120.0),
        ("hindmarsh-rose-1984", 2.0, 3.0),
        ("sherman-1988", 0.0, -10.0),
        ("fitzhugh-nagumo-1961", 0.5, 2.0),
    ] {
        let protocol = Protocol::constant(current);
        let o = silent(id, protocol.clone(), &at(threshold));
        let swing = o
            .swing
            .unwrap_or_else(|| panic!("{id}: {:?}", o.biomarkers));
        assert_eq!(
            (o.biomarkers.regime, o.stopped),
            (Regime::Silent, Stopped::NoSpikes),
            "{id}"
        );
        // The threshold that it names shows it.
        let shown = silent(id, protocol, &at(swing.threshold));
        assert!(
            shown.biomarkers.regime != Regime::Silent && shown.biomarkers.spikes.len() > 20,
            "{id} {swing:?} {:?}",
            shown.biomarkers
        );
    }
    let block = silent("hodgkin-huxley-1952", Protocol::constant(120.0), &at(40.0))
        .swing
        .unwrap();
    assert!((block.high - block.low - 28.0).abs() < 1.0, "{block:?}");
    // Rest is none.
    for (id, threshold) in [
        ("hodgkin-huxley-1952", 40.0),
        ("luo-rudy-1991", 0.0),
        ("fitzhugh-nagumo-1961", 0.5),
    ] {
        let o = silent(id, Protocol::none(), &at(threshold));
        assert_eq!((o.swing, o.stopped), (None, Stopped::AtRest), "{id}");
    }
}

//! Every excursion is told what it is, and a stronger stimulus brings about what a weaker one does.

use ionoscope_dynamics::{
    models,
    protocol::{Overlap, Protocol, PulseTrain, Ramp, S1S2, Sine, Stimulus},
};

use super::{
    counting::{bursts, usual},
    tests::{train, until, watched},
    *,
};

fn run(
    id: &str,
    parameters: &[(&str, f64)],
    preset: Option<&str>,
    protocol: &Protocol,
    t_end: f64,
) -> Observation {
    tried(id, parameters, preset, protocol, t_end).unwrap()
}

/// An error where the equations leave the numbers.
fn tried(
    id: &str,
    parameters: &[(&str, f64)],
    preset: Option<&str>,
    protocol: &Protocol,
    t_end: f64,
) -> crate::Result<Observation> {
    let cell = models::find(id).unwrap();
    let spec = preset.map_or_else(
        || cell.spec().clone(),
        |name| cell.spec().with_preset(name).unwrap(),
    );
    let p = spec.parameters_with(parameters.iter().copied()).unwrap();
    let v = spec.membrane_potential_index().unwrap();
    observe(
        &*cell,
        v,
        &spec.default_state(),
        &p,
        protocol,
        &until(spec.spike_threshold.unwrap(), 0.0, t_end),
    )
}

fn pulses(amplitude: f64, width: f64, period: f64, start: f64, count: u64) -> Protocol {
    Stimulus::PulseTrain(PulseTrain {
        start,
        period,
        width,
        amplitude,
        count: Some(count),
        until: None,
    })
    .into()
}

fn ramp(duration: f64, to: f64) -> Protocol {
    Stimulus::Ramp(Ramp {
        start: 0.0,
        duration,
        from: 0.0,
        to,
    })
    .into()
}

fn sine(amplitude: f64, offset: f64, period: f64) -> Protocol {
    Stimulus::Sine(Sine {
        start: 0.0,
        duration: None,
        amplitude,
        period,
        phase: 0.0,
        offset,
    })
    .into()
}

/// Spikes, failed captures, crossings; after a check that each crossing is in one list.
fn counted(id: &str, protocol: &Protocol, t_end: f64) -> [usize; 3] {
    let o = run(id, &[], None, protocol, t_end);
    let (b, level) = (
        &o.biomarkers,
        models::find(id).unwrap().spec().spike_threshold.unwrap(),
    );
    let crossings = o.potential.upward_crossings(level).len();
    let listed = b
        .action_potentials
        .iter()
        .map(|a| a.excursions)
        .sum::<usize>()
        + b.failed_captures.len();
    assert_eq!(listed, crossings, "{id} {protocol:?}: {b:?}");
    [b.spikes.len(), b.failed_captures.len(), crossings]
}

#[test]
fn each_excursion_is_in_one_list() {
    // A ramp under which a cell fires three equal spikes, and a sine under which one fires 51.
    assert_eq!(
        counted("fitzhugh-nagumo-1961", &ramp(200.0, 3.0), 400.0),
        [3, 0, 3]
    );
    assert_eq!(
        counted("hindmarsh-rose-1984", &sine(2.0, 1.0, 100.0), 800.0),
        [51, 0, 51]
    );
    let [long, strong] = [
        pulses(15.0, 100.0, 120.0, 0.0, 20),
        pulses(240.0, 2.0, 350.0, 50.0, 20),
    ];
    let both = Protocol {
        overlap: Overlap::Add,
        stimuli: [long.stimuli, strong.stimuli].concat(),
        ..Protocol::none()
    };
    assert_eq!(counted("ten-tusscher-panfilov-2006", &both, 1500.0)[2], 13);
    for (id, amplitude, width, times) in [
        ("hodgkin-huxley-1952", 30.0, 1.0, [7.0, 12.0, 60.0]),
        ("fitzhugh-nagumo-1961", 1.0, 5.0, [17.0, 40.0, 200.0]),
        ("hindmarsh-rose-1984", 4.0, 2.5, [9.0, 40.0, 200.0]),
        ("luo-rudy-1991", 80.0, 0.5, [150.0, 300.0, 1200.0]),
        (
            "ten-tusscher-panfilov-2006",
            52.0,
            1.0,
            [200.0, 300.0, 1200.0],
        ),
        ("ohara-rudy-2011", 80.0, 0.5, [200.0, 260.0, 1200.0]),
        ("sherman-1988", 400.0, 0.02, [0.3, 1.0, 5.0]),
    ] {
        for period in &times[..2] {
            for strength in [1.0, 4.0] {
                counted(
                    id,
                    &train(strength * amplitude, width, *period, 0.1 * period),
                    times[2],
                );
            }
            counted(id, &sine(0.1 * amplitude, 0.0, *period), times[2]);
        }
        counted(id, &ramp(0.5 * times[2], 0.2 * amplitude), times[2]);
    }
}

#[test]
fn spikes_under_slow_currents_are_the_cells_own() {
    for (id, protocol, t_end) in [
        ("hodgkin-huxley-1952", sine(10.0, 5.0, 200.0), 600.0),
        ("hodgkin-huxley-1952", ramp(300.0, 40.0), 300.0),
        ("fitzhugh-nagumo-1961", ramp(1000.0, 2.0), 1000.0),
        ("fitzhugh-nagumo-1961", sine(0.5, 0.5, 300.0), 900.0),
        ("luo-rudy-1991", sine(4.0, 0.0, 1000.0), 3000.0),
        ("sherman-1988", sine(5.0, 0.0, 10.0), 40.0),
        ("hindmarsh-rose-1984", ramp(800.0, 4.0), 800.0),
    ] {
        let [spikes, failed, _] = counted(id, &protocol, t_end);
        assert!(spikes > 0 && failed == 0, "{id} {protocol:?}");
    }
}

#[test]
fn what_a_weaker_stimulus_brings_about_a_stronger_one_does() {
    let mut wrong = Vec::new();
    for (id, widths, amplitudes, t_end, start) in [
        (
            "hodgkin-huxley-1952",
            &[0.1, 1.0, 5.0, 20.0][..],
            &[2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0][..],
            60.0,
            5.0,
        ),
        (
            "fitzhugh-nagumo-1961",
            &[0.25, 1.0, 3.0, 10.0, 30.0],
            &[0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8],
            100.0,
            5.0,
        ),
        (
            "hindmarsh-rose-1984",
            &[0.25, 1.0, 2.5, 5.0],
            &[
                1.0, 2.0, 2.25, 2.5, 2.75, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0,
            ],
            80.0,
            5.0,
        ),
        (
            "luo-rudy-1991",
            &[0.25, 1.0, 5.0, 20.0],
            &[2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0],
            500.0,
            5.0,
        ),
        (
            "ten-tusscher-panfilov-2006",
            &[0.25, 1.0, 5.0, 20.0],
            &[4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0],
            500.0,
            5.0,
        ),
        (
            "ohara-rudy-2011",
            &[0.25, 2.0, 20.0],
            &[4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0],
            500.0,
            5.0,
        ),
        (
            "sherman-1988",
            &[0.002, 0.02, 0.05],
            &[20.0, 50.0, 100.0, 200.0, 400.0, 800.0, 3200.0],
            3.0,
            0.3,
        ),
    ] {
        for width in widths {
            let captures = |a: &f64| {
                let o = tried(id, &[], None, &pulses(*a, *width, t_end, start, 1), t_end);
                o.ok().map(|o| !o.biomarkers.spikes.is_empty())
            };
            let all: Vec<bool> = amplitudes.iter().map_while(captures).collect();
            if !all.is_sorted() {
                wrong.push((id, *width, all));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    // A second stimulus in the relative refractory time.
    let mut all = Vec::new();
    for s2 in [
        50.0, 80.0, 110.0, 140.0, 170.0, 190.0, 220.0, 260.0, 300.0, 400.0,
    ] {
        let protocol: Protocol = Stimulus::S1S2(S1S2 {
            start: 10.0,
            period: 1000.0,
            count: 1,
            coupling: 250.0,
            width: 0.5,
            amplitude: 200.0,
            s2_amplitude: Some(s2),
            s2_width: None,
        })
        .into();
        let o = run("ohara-rudy-2011", &[], None, &protocol, 1200.0);
        all.push((
            s2,
            o.biomarkers.spikes.len(),
            o.biomarkers
                .action_potentials
                .last()
                .map(|a| (a.own_share, a.stimulus_share)),
            o.biomarkers.failed_captures.len(),
        ));
    }
    assert!(all.is_sorted_by_key(|a| a.1), "{all:?}");
}

#[test]
fn what_the_end_of_a_recording_hides_is_not_told() {
    let beats = pulses(80.0, 0.5, 150.0, 10.0, 14);
    let known = |t_end: f64| {
        let b = run("luo-rudy-1991", &[], None, &beats, t_end).biomarkers;
        (b.spikes.len(), b.capture.unwrap())
    };
    let (before, c) = known(1810.0);
    for t_end in [1810.3, 1810.4, 1810.45, 1810.49, 1810.5] {
        let (spikes, at) = known(t_end);
        assert_eq!(
            (spikes, at.captured, at.failed, at.open),
            (before, c.captured, c.failed, 1),
            "{t_end}"
        );
    }
    for t_end in [1810.6, 1812.0] {
        let (spikes, at) = known(t_end);
        assert_eq!(
            (spikes, at.captured, at.failed, at.open),
            (before, c.captured, c.failed + 1, 0),
            "{t_end}"
        );
    }
    // The dome is no afterdepolarization, wherever the recording ends.
    for (id, amplitude, width) in [
        ("luo-rudy-1991", 80.0, 0.5),
        ("ten-tusscher-panfilov-2006", 52.0, 1.0),
        ("ohara-rudy-2011", 80.0, 0.5),
    ] {
        for t_end in [
            30.0, 50.0, 60.0, 80.0, 100.0, 120.0, 150.0, 200.0, 250.0, 320.0, 380.0, 450.0, 600.0,
        ] {
            let b = run(
                id,
                &[],
                None,
                &pulses(amplitude, width, 2000.0, 10.0, 1),
                t_end,
            )
            .biomarkers;
            assert!(
                b.afterdepolarizations.is_empty() && b.spikes.len() == 1,
                "{id} {t_end} {b:?}"
            );
        }
    }
    let b = run(
        "luo-rudy-1991",
        &[],
        None,
        &train(80.0, 0.5, 400.0, 10.0),
        1300.0,
    )
    .biomarkers;
    assert!(
        b.afterdepolarizations.is_empty() && b.spikes.len() == 4,
        "{b:?}"
    );
}

#[test]
fn early_afterdepolarizations_end_with_the_next_stimulus() {
    // Neither cell repolarizes any more: all rises belong to the first action potential, and the stimuli on its plateau fail.
    let cells = [
        (
            "ohara-rudy-2011",
            [("g_kr", 0.005), ("g_na_l", 0.03)],
            Some("mid"),
            train(52.0, 1.0, 2000.0, 10.0),
            8000.0,
            3,
            [[700.0, 865.0], [1041.0, 1205.0], [2255.0, 2408.0]],
        ),
        (
            "luo-rudy-1991",
            [("g_si", 0.2), ("g_k", 0.15)],
            None,
            train(80.0, 0.5, 1500.0, 10.0),
            4500.0,
            2,
            [[681.0, 830.0], [1629.0, 1775.0], [3128.0, 3274.0]],
        ),
    ];
    for (id, parameters, preset, protocol, t_end, disturbed, wanted) in cells {
        let o = run(id, &parameters, preset, &protocol, t_end);
        let b = &o.biomarkers;
        assert_eq!(
            (b.spikes.len(), b.action_potentials[0].disturbed),
            (1, disturbed),
            "{b:?}"
        );
        let found: Vec<[f64; 2]> = b
            .afterdepolarizations
            .iter()
            .map(|a| [a.time.round(), a.peak_time.round()])
            .collect();
        assert_eq!(found[..3], wanted, "{b:?}");
        for a in &b.afterdepolarizations {
            // A low point and a high one, but for the rise that a stimulus ends.
            let (v, d) = (&o.potential, 1.0);
            assert!(
                v.at(a.time - d) > a.from
                    && v.at(a.time + d) > a.from
                    && v.at(a.peak_time - d) < a.peak,
                "{a:?}"
            );
        }
    }
}

#[test]
fn a_stimulus_on_the_plateau_is_no_peak() {
    let one = run(
        "ten-tusscher-panfilov-2006",
        &[],
        None,
        &pulses(52.0, 1.0, 200.0, 0.0, 1),
        600.0,
    )
    .biomarkers
    .action_potentials[0];
    let b = run(
        "ten-tusscher-panfilov-2006",
        &[],
        None,
        &pulses(52.0, 1.0, 200.0, 0.0, 2),
        600.0,
    )
    .biomarkers;
    let a = b.action_potentials[0];
    assert!(
        (a.peak - one.peak).abs() < 1e-3
            && a.disturbed == 1
            && one.disturbed == 0
            && b.spikes.len() == 1,
        "{b:?}"
    );
    assert_eq!(
        (b.capture.unwrap().captured, b.capture.unwrap().failed),
        (1, 1)
    );
}

#[test]
fn means_are_over_what_was_seen_from_its_beginning() {
    // On a limit cycle all action potentials are alike: the first begins before the recording.
    for (id, protocol) in [
        ("hodgkin-huxley-1952", Protocol::constant(10.0)),
        ("sherman-1988", Protocol::none()),
    ] {
        let cell = models::find(id).unwrap();
        let options =
            ObserveOptions::new(BiomarkerOptions::at(cell.spec().spike_threshold.unwrap()));
        let b = watched(id, &protocol, &options, 1e-6).biomarkers;
        let rest: Vec<f64> = b.complete_action_potentials().map(|a| a.rest).collect();
        if id == "hodgkin-huxley-1952" {
            assert!(rest.iter().all(|r| (r - rest[0]).abs() < 0.01), "{rest:?}");
        }
    }
}

#[test]
fn stimuli_that_begin_anywhere_can_be_made_weaker() {
    // A strong sine pushes from the last peak on, where no state was kept. With its inward currents the cell answers the first wave; without, never.
    let wave = sine(20.0, 20.0, 20.0);
    let b = run("luo-rudy-1991", &[], None, &wave, 100.0).biomarkers;
    assert!(b.spikes.first().is_some_and(|t| *t < 5.0), "{b:?}");
    let b = run(
        "luo-rudy-1991",
        &[("g_na", 0.0), ("g_si", 0.0)],
        None,
        &wave,
        100.0,
    )
    .biomarkers;
    assert!(
        b.spikes.is_empty() && b.failed_captures.len() == 1 && b.action_potentials.is_empty(),
        "{b:?}"
    );
}

#[test]
fn samples_that_hide_what_the_cell_does_are_taken_for_action_potentials() {
    let threshold = BiomarkerOptions::at(0.0);
    // With and without its inward currents. In steps of 2 all of the stimulus, held over the first, is over before anything is known.
    for (parameters, amplitude, dt, spikes) in [
        (&[][..], 80.0, 0.1, 1),
        (&[], 80.0, 2.0, 1),
        (&[], 300.0, 2.0, 1),
        (&[("g_na", 0.0), ("g_si", 0.0)], 300.0, 0.1, 0),
    ] {
        let curve = run(
            "luo-rudy-1991",
            parameters,
            None,
            &pulses(amplitude, 0.5, 1000.0, 0.0, 1),
            500.0,
        )
        .potential;
        let v = (0..=(400.0 / dt) as usize)
            .map(|k| curve.at(f64::from(k as u32) * dt))
            .collect();
        let v = Potential::from_samples(0.0, dt, v).unwrap();
        let width = f64::max(dt, 0.5);
        let signal = Protocol::step(0.0, width, amplitude * 0.5 / width).signal(400.0);
        let b = biomarkers_under(
            &v,
            Some(&Drive {
                signal,
                gain: 1.0,
                before: 0.0,
            }),
            &threshold,
        )
        .unwrap();
        assert_eq!(
            (b.spikes.len(), b.failed_captures.len()),
            (spikes, 1 - spikes),
            "{dt} {amplitude} {b:?}"
        );
    }
}

#[test]
fn samples_of_a_map_meet_the_end() {
    let original = ionoscope_dynamics::models::sherman_1988::BetaCell::ORIGINAL;
    let map = crate::testing::TestSystem::beta_cell_map(original, 0.005);
    let cell = models::find("sherman-1988").unwrap();
    let (x0, p) = (
        cell.spec().default_state(),
        cell.spec().default_parameters(),
    );
    let seen = |dt: Option<f64>, t_end: f64| {
        let options = ObserveOptions {
            dt,
            ..until(-40.0, 6.0, t_end)
        };
        observe(&map, 0, &x0, &p, &Protocol::none(), &options)
    };
    assert!((seen(Some(0.015), 10.005).unwrap().potential.end() - 10.005).abs() < 1e-9);
    assert!((seen(None, 10.0).unwrap().potential.end() - 10.0).abs() < 1e-9);
    for (dt, t_end) in [(Some(0.015), 10.0), (None, 10.0012)] {
        let error = seen(dt, t_end).unwrap_err();
        assert!(
            error.is_input() && error.to_string().contains("dt"),
            "{error}"
        );
    }
}

#[test]
fn a_transient_fits_into_the_time_that_is_given() {
    for (id, protocol, t_end) in [
        ("hindmarsh-rose-1984", Protocol::constant(2.0), 800.0),
        ("sherman-1988", Protocol::none(), 20.0),
    ] {
        let cell = models::find(id).unwrap();
        for fixed in [true, false] {
            let definitions = BiomarkerOptions::at(cell.spec().spike_threshold.unwrap());
            let o = watched(
                id,
                &protocol,
                &ObserveOptions {
                    t_end: Some(t_end),
                    fixed,
                    ..ObserveOptions::new(definitions)
                },
                1e-6,
            );
            let v = &o.potential;
            assert!(
                (v.end() - t_end).abs() < 1e-6 * t_end || !fixed,
                "{}",
                v.end()
            );
            assert!(v.start() <= 0.9 * t_end && !o.biomarkers.spikes.is_empty());
        }
    }
}

#[test]
fn bursts_of_two_are_found_whatever_their_number() {
    for count in 4..12 {
        for first in 0..2 {
            // Intervals of 1 and 5 in turn.
            let times: Vec<f64> = (0..count)
                .map(|k| {
                    let j = k + first;
                    (j / 2) as f64 * 6.0 + (j % 2) as f64
                })
                .collect();
            let b = bursts(&times, 3.0 * usual(&times).unwrap());
            assert!(
                b.len() > 1 && b.iter().filter(|b| b.complete).all(|b| b.spikes == 2),
                "{times:?} {b:?}"
            );
        }
    }
}

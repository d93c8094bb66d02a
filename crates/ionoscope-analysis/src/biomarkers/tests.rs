use std::f64::consts::{PI, TAU};

use ionoscope_dynamics::{models, protocol::Protocol};

use super::*;
use crate::testing::TestSystem;

fn sampled(f: impl Fn(f64) -> f64, start: f64, end: f64, dt: f64) -> Potential {
    let count = ((end - start) / dt).round() as usize + 1;
    Potential::from_samples(start, dt, (0..count).map(|k| f(start + k as f64 * dt)).collect()).unwrap()
}

#[test]
fn crossings_peaks_and_slopes_of_a_sine_converge_at_their_orders() {
    // sin(t) rises through 0.3 at asin(0.3) + 2 pi k; from 1 to 20 that is for k = 1, 2, 3.
    let errors = |dt: f64| {
        let v = sampled(f64::sin, 1.0, 20.0, dt);
        let found = v.upward_crossings(0.3);
        let want: Vec<f64> = (1..4).map(|k| 0.3f64.asin() + TAU * f64::from(k)).filter(|t| *t < 20.0).collect();
        assert_eq!(found.len(), want.len());
        let crossing = found.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let [t, peak] = v.highest(TAU, TAU + PI);
        let [_, slope] = v.steepest(TAU - 1.0, TAU + 1.0);
        let down = v.next_downward(TAU, 0.3).unwrap();
        [crossing, (peak - 1.0).abs(), (t - TAU - PI / 2.0).abs(), (slope - 1.0).abs(), (down - (3.0 * PI - 0.3f64.asin())).abs()]
    };
    let (coarse, fine) = (errors(0.0953), errors(0.00953));
    // Linear interpolation errs by 1.4e-4 here at the coarse step.
    assert!(coarse[0] < 5e-7 && coarse[4] < 5e-7, "{coarse:?}");
    for (i, order) in [(0, 4.0), (1, 4.0), (2, 3.0), (3, 3.0), (4, 4.0)] {
        let floor = 1e-13;
        assert!(fine[i] < coarse[i] * 10f64.powf(1.0 - order) + floor, "{i}: {coarse:?} {fine:?}");
    }
}

/// Three groups of spikes: narrow bumps on a rest of -60, the highest point of each at 20 at the given times.
fn bumps(times: &[f64]) -> Potential {
    let times = times.to_vec();
    sampled(move |t| -60.0 + 80.0 * times.iter().map(|c| (-((t - c) / 0.05).powi(2)).exp()).sum::<f64>(), 0.0, 20.0, 0.001)
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
    assert_eq!((b.regime, b.spikes.len(), b.complete_bursts, b.incomplete_bursts), (Regime::Bursting, 10, 2, 2));
    let close = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-6, "{a:?}, not {b}");
    close(b.burst_period, 6.5);
    close(b.spikes_per_burst, 3.5);
    close(b.duty_cycle, 2.5 / 6.5);
    let isi = b.isi.unwrap();
    for (got, want) in [(isi.mean, 2.0), (isi.min, 1.0), (isi.max, 4.0), (isi.median, 1.0), (isi.cv, 2f64.sqrt() / 2.0)] {
        close(Some(got), want);
    }
    close(Some(b.spikes[0]), 1.0 - half_width());
    let groups: Vec<(usize, bool)> = b.bursts.iter().map(|b| (b.spikes, b.complete)).collect();
    assert_eq!(groups, [(2, false), (3, true), (4, true), (1, false)]);
    // A pause of 4 median intervals is not exceeded: it spikes.
    let b = biomarkers(&bumps(&times), &BiomarkerOptions { pause: 4.0001, ..BiomarkerOptions::at(-20.0) }).unwrap();
    assert_eq!((b.regime, b.burst_period, b.bursts.len()), (Regime::Spiking, None, 0));
}

#[test]
fn a_bump_is_measured_as_its_formula_says() {
    let (v, times) = (bumps(&[3.0, 9.0]), [3.0, 9.0]);
    for upstroke in [Upstroke::Crossing, Upstroke::SteepestRise] {
        let b = biomarkers(&v, &BiomarkerOptions { upstroke, ..BiomarkerOptions::at(-20.0) }).unwrap();
        // exp(-u^2) is steepest at u = 1/sqrt(2), where its slope is sqrt(2/e); it is at 1 - x of its height at u = sqrt(-ln(1 - x)).
        let begin = if upstroke == Upstroke::Crossing { half_width() } else { 0.05 / 2f64.sqrt() };
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
                assert!((got - want).abs() < tolerance, "{upstroke:?} {k}: {got}, not {want}");
            }
            assert!(a.complete);
        }
    }
}

#[test]
fn what_was_not_seen_is_said() {
    // Cut in the second bump after its peak and before its end; begun within the first.
    let whole = bumps(&[3.0, 9.0]);
    let cut = Potential::from_samples(3.0, 0.001, whole.samples()[3000..=9030].to_vec()).unwrap();
    let b = biomarkers(&cut, &BiomarkerOptions::at(-20.0)).unwrap();
    assert!(b.begins_within_an_action_potential);
    assert_eq!((b.spikes.len(), b.incomplete_action_potentials()), (1, 1));
    let a = &b.action_potentials[0];
    assert!((a.peak - 20.0).abs() < 1e-6 && a.apd50.is_none() && a.apd90.is_none() && !a.complete, "{a:?}");
    // A spike of one sample, a level that is only touched, no samples, too few.
    let narrow = Potential::from_samples(0.0, 1.0, vec![-60.0, -60.0, 20.0, -60.0, -60.0, -60.0]).unwrap();
    assert_eq!(biomarkers(&narrow, &BiomarkerOptions::at(0.0)).unwrap().spikes.len(), 1);
    for v in [vec![], vec![5.0], vec![-60.0; 100]] {
        let b = biomarkers(&Potential::from_samples(0.0, 1.0, v).unwrap(), &BiomarkerOptions::at(0.0)).unwrap();
        assert_eq!((b.regime, b.isi, b.action_potentials.len()), (Regime::Silent, None, 0));
    }
    assert!(Potential::from_samples(0.0, 1.0, vec![1.0, f64::NAN]).unwrap_err().to_string().contains("sample 1"));
    assert!(biomarkers(&narrow, &BiomarkerOptions { pause: 0.5, ..BiomarkerOptions::at(0.0) }).is_err());
}

fn beta_cell(v_s: f64, change: impl Fn(&mut ObserveOptions)) -> Observation {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().parameters_with([("v_s", v_s)]).unwrap();
    let mut options = ObserveOptions::new(BiomarkerOptions::at(-40.0));
    change(&mut options);
    observe(&*cell, 0, &cell.spec().default_state(), &p, &Protocol::none(), &options).unwrap()
}

#[test]
fn the_beta_cell_bursts_and_spikes_as_the_reference_says() {
    // A tight integration by others: period and spikes a burst; interspike intervals.
    for (v_s, period, spikes) in [(-36.0, 9.026, 20.0), (-38.0, 8.419, 15.0)] {
        let o = beta_cell(v_s, |_| {});
        let b = &o.biomarkers;
        assert_eq!(
            (b.regime, b.spikes_per_burst, o.stopped, o.resolved),
            (Regime::Bursting, Some(spikes), Stopped::EnoughBursts, Some(true))
        );
        assert!((b.burst_period.unwrap() - period).abs() < 1e-3 && b.complete_bursts >= 10, "{b:?}");
    }
    let o = beta_cell(-33.0, |_| {});
    let isi = o.biomarkers.isi.unwrap();
    assert_eq!((o.biomarkers.regime, o.biomarkers.burst_period, o.stopped), (Regime::Spiking, None, Stopped::EnoughSpikes));
    assert!(isi.min > 0.4445 && isi.max < 0.4505, "{isi:?}");
}

#[test]
fn the_step_that_is_found_is_as_good_as_a_sixteenth_of_it() {
    let found = beta_cell(-36.0, |_| {});
    let fine = beta_cell(-36.0, |o| o.dt = Some(found.potential.dt() / 16.0));
    let (a, b) = (&found.biomarkers, &fine.biomarkers);
    let pairs = a.spikes.iter().zip(&b.spikes);
    let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    // A share of 1e-4 of the median interval, 0.26, was asked for.
    assert!(worst < 2.6e-5, "spikes differ by {worst} at dt = {}", found.potential.dt());
    for (a, b) in a.action_potentials.iter().zip(&b.action_potentials) {
        assert!((a.peak - b.peak).abs() < 1e-2 && (a.rest - b.rest).abs() < 1e-2, "{a:?} {b:?}");
        // Where the slope is largest is found less well than a crossing.
        assert!((a.upstroke - b.upstroke).abs() < 1e-3 && (a.dvdt_max / b.dvdt_max - 1.0).abs() < 1e-2, "{a:?} {b:?}");
    }
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
        let o = observe(&*cell, 0, &spec.default_state(), &spec.default_parameters(), &protocol, &options).unwrap();
        let isi = o.biomarkers.isi.unwrap();
        assert!((isi.mean - interval).abs() < 1e-8 && isi.cv < 1e-7, "{i_stim}: {isi:?}");
        let a = o.biomarkers.action_potentials[100];
        for ((got, want), tolerance) in [a.peak, a.rest, a.dvdt_max, a.apd90.unwrap()].into_iter().zip(wanted).zip([2e-3, 2e-4, 0.1, 1e-3])
        {
            assert!((got - want).abs() < tolerance, "{i_stim}: {got}, not {want}");
        }
    }
}

#[test]
fn ohara_rudy_at_one_hertz_has_its_action_potential() {
    // 100 beats, endocardial: APD90 about 270 ms, peak about 40 mV, rest about -88 mV.
    let cell = models::find("ohara-rudy-2011").unwrap();
    let spec = cell.spec().with_preset("paced").unwrap();
    let options = ObserveOptions { t_transient: 0.0, t_end: 1000.0, fixed: true, ..ObserveOptions::new(BiomarkerOptions::at(0.0)) };
    let beat = Protocol::step(0.0, 0.5, 80.0);
    let o = observe(&*cell, 0, &spec.default_state(), &spec.default_parameters(), &beat, &options).unwrap();
    let run = |dt: f64| {
        observe(&*cell, 0, &spec.default_state(), &spec.default_parameters(), &beat, &ObserveOptions { dt: Some(dt), ..options.clone() })
    };
    let fine = run(0.002).unwrap().biomarkers.action_potentials[0];
    let a = o.biomarkers.action_potentials[0];
    assert!((a.apd90.unwrap() - 270.6).abs() < 0.5 && (a.peak - 40.2).abs() < 0.1 && (a.rest + 88.0).abs() < 0.01, "{a:?}");
    assert!((a.apd90.unwrap() - fine.apd90.unwrap()).abs() < 0.02 && (a.dvdt_max / fine.dvdt_max - 1.0).abs() < 1e-2, "{a:?} {fine:?}");
}

#[test]
fn a_map_is_watched_like_a_flow() {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().parameters_with([("v_s", -38.0)]).unwrap();
    let map = TestSystem::beta_cell_map(ionoscope_dynamics::models::sherman_1988::BetaCell::ORIGINAL, 0.005);
    let mut options = ObserveOptions::new(BiomarkerOptions::at(-40.0));
    (options.t_transient, options.window, options.bursts) = (20.0, 30.0, 2);
    let o = observe(&map, 0, &cell.spec().default_state(), &p, &Protocol::none(), &options).unwrap();
    assert_eq!((o.biomarkers.spikes_per_burst, o.potential.dt(), o.resolved), (Some(15.0), 0.005, None));
    assert!((o.biomarkers.burst_period.unwrap() - 8.419).abs() < 1e-3, "{:?}", o.biomarkers);
    options.dt = Some(0.012);
    let error = observe(&map, 0, &cell.spec().default_state(), &p, &Protocol::none(), &options).unwrap_err();
    assert!(error.is_input() && error.to_string().contains("multiple"), "{error}");
}

#[test]
fn watching_ends_for_the_reason_it_gives() {
    let silent = beta_cell(-45.0, |_| {});
    assert_eq!((silent.biomarkers.regime, silent.stopped), (Regime::Silent, Stopped::AtRest));
    let short = beta_cell(-36.0, |o| o.t_end = 125.0);
    assert_eq!(short.stopped, Stopped::TimeLimit);
    assert!(short.biomarkers.complete_bursts < 10 && short.potential.time(short.potential.len() - 1) >= 125.0 - 1e-9);
    let fixed = beta_cell(-36.0, |o| (o.t_end, o.fixed) = (300.0, true));
    assert_eq!((fixed.stopped, fixed.biomarkers.complete_bursts > 15), (Stopped::AsAsked, true));
}

#[test]
fn a_pulse_after_the_transient_needs_an_end_and_slopes_stop_at_its_switches() {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().parameters_with([("v_s", -45.0)]).unwrap();
    let mut options = ObserveOptions { t_transient: 0.0, t_end: 4.0, ..ObserveOptions::new(BiomarkerOptions::at(-50.0)) };
    let run = |protocol: &Protocol, o: &ObserveOptions| observe(&*cell, 0, &cell.spec().default_state(), &p, protocol, o);
    let pulse = Protocol::step(1.0, 0.1, 1000.0);
    assert!(run(&pulse, &options).unwrap_err().to_string().contains("still changes"));
    options.fixed = true;
    let o = run(&pulse, &options).unwrap();
    assert_eq!((o.biomarkers.spikes.len(), o.resolved), (1, Some(true)), "{:?}", o.biomarkers);
    let fine = run(&pulse, &ObserveOptions { dt: Some(o.potential.dt() / 64.0), ..options.clone() }).unwrap();
    assert!((o.biomarkers.spikes[0] - fine.biomarkers.spikes[0]).abs() < 1e-4, "{:?}", o.biomarkers.spikes);
    assert!(fine.biomarkers.spikes[0] > 1.0 && fine.biomarkers.spikes[0] < 1.1);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let cell = models::find("sherman-1988").unwrap();
    let (x0, p) = (cell.spec().default_state(), cell.spec().default_parameters());
    type Change = fn(&mut ObserveOptions);
    let cases: [(Change, &str); 5] = [
        (|o| o.definitions.threshold = f64::NAN, "threshold"),
        (|o| o.t_end = 50.0, "later end"),
        (|o| o.window = 0.0, "window"),
        (|o| o.bursts = 0, "0 bursts"),
        (|o| o.dt = Some(-1.0), "sampling step"),
    ];
    for (change, part) in cases {
        let mut options = ObserveOptions::new(BiomarkerOptions::at(-40.0));
        change(&mut options);
        let error = observe(&*cell, 0, &x0, &p, &Protocol::none(), &options).unwrap_err();
        assert!(error.is_input() && error.to_string().contains(part), "{error}");
    }
}

use std::collections::BTreeMap;

use ionoscope_dynamics::{
    models,
    protocol::Protocol,
    trajectory::{Experiment, TimeGrid},
    watch::Watcher,
};

use super::{
    on_grid::{interpolated, means_over},
    scaling::CHANNELS,
    *,
};
use crate::responses::{Condition, cell_means};

fn random() -> Fno {
    let config = FnoConfig {
        width: 6,
        modes: 5,
        layers: 2,
        padding: 0.05,
        ..FnoConfig::default()
    };
    let weights = config
        .initial_weights(CHANNELS, 2, 3)
        .iter()
        .map(|w| *w as f32)
        .collect();
    Fno {
        spec: models::find("fitzhugh-nagumo-1961").unwrap().spec().clone(),
        config,
        t_end: 100.0,
        points: 200,
        scaling: Scaling {
            input: 0.7,
            charge: None,
            state: vec![0.5, 0.4],
            ramp: 0.01,
            start: None,
            per_point: None,
            parameters: BTreeMap::new(),
        },
        seen: Seen {
            input: [0.0, 2.0],
            steps_from_zero: true,
            steps: Vec::new(),
            start: None,
            parameters: BTreeMap::new(),
        },
        bands: None,
        weights,
        provenance: serde_json::Value::Null,
    }
}

fn experiment(fno: &Fno, protocol: Protocol) -> Experiment {
    Experiment {
        protocol,
        ..Experiment::from_defaults(&fno.spec, TimeGrid::new(0.0, 1.0, 1).unwrap())
    }
}

#[test]
fn a_file_holds_every_bit_and_damage_is_noticed() {
    let fno = random();
    let bytes = fno.to_bytes().unwrap();
    assert_eq!(Fno::from_bytes(&bytes).unwrap(), fno);
    for cut in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(Fno::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn another_grid_gives_the_same_function_and_the_start_is_exact() {
    let fno = random();
    let e = [experiment(&fno, Protocol::step(0.0, 25.0, 1.2))];
    let own = fno.predict(&e, 200).unwrap().remove(0);
    for points in [1000, 40, 7] {
        let other = fno.predict(&e, points).unwrap().remove(0);
        for c in 0..2 {
            assert_eq!(other[c * points], fno.spec.default_state()[c]);
            // Every shared time has the same value.
            let shared = (0..points).filter(|t| (t * 200).is_multiple_of(points));
            assert!(
                shared
                    .into_iter()
                    .all(
                        |t| (other[c * points + t] - own[c * 200 + t * 200 / points]).abs() < 1e-12
                    ),
                "{points}"
            );
        }
    }
    // The stimulus may come on any grid that tells when it ends.
    let finer = Condition {
        current: cell_means(&e[0].protocol, 100.0, 1000),
        start: e[0].x0.clone(),
        p: e[0].p.clone(),
    };
    let same = fno.respond(&[finer], 200).unwrap().remove(0);
    assert!(same.iter().zip(&own).all(|(a, b)| (a - b).abs() < 1e-6));
    assert!(fno.predict(&e, 0).is_err());
}

#[test]
fn between_its_times_a_cubic_is_what_it_is() {
    let cubic = |t: f64| ((2.0 * t - 1.5) * t + 0.3) * t + 1.0;
    let row: Vec<f64> = (0..50).map(|i| cubic(f64::from(i) / 50.0)).collect();
    let fine: Vec<f64> = interpolated(&row, 170).collect();
    for (i, x) in fine.iter().enumerate() {
        let t = i as f64 / 170.0;
        // Behind the last time it is a line.
        assert!(
            (x - cubic(t)).abs() < if t <= 0.98 { 1e-12 } else { 4e-3 },
            "{t}"
        );
    }
    assert_eq!(
        means_over(&[1.0, 3.0, 0.0], 6),
        [1.0, 1.0, 3.0, 3.0, 0.0, 0.0]
    );
    assert!(
        means_over(&[1.0, 3.0, 0.0], 2)
            .iter()
            .zip([5.0 / 3.0, 1.0])
            .all(|(a, b)| (a - b).abs() < 1e-12)
    );
}

#[test]
fn stimuli_of_another_kind_are_refused() {
    let fno = random();
    assert!(
        fno.check_protocol(&Protocol::step(0.0, 33.3, 1.9), 100.0)
            .is_ok()
    );
    assert!(fno.check_protocol(&Protocol::none(), 100.0).is_ok());
    assert!(fno.check_protocol(&Protocol::constant(1.0), 100.0).is_ok());
    assert!(
        fno.check_protocol(&Protocol::step(0.0, 33.3, 2.1), 100.0)
            .unwrap_err()
            .to_string()
            .contains("trained on 0 to 2")
    );
    assert!(
        fno.check_protocol(&Protocol::step(5.0, 33.3, 1.0), 100.0)
            .unwrap_err()
            .to_string()
            .contains("one step")
    );
    // What comes after the times that are wanted counts too: the network looks at all of it.
    assert!(
        fno.check_protocol(&Protocol::step(60.0, 20.0, 1.0), 50.0)
            .is_err()
    );
    // A strong current that was seen for a short time only.
    let steps = vec![
        Steps {
            amplitude: [0.0, 0.5],
            duration: [0.0, 100.0],
        },
        Steps {
            amplitude: [0.5, 2.0],
            duration: [1.0, 10.0],
        },
    ];
    let fno = Fno {
        seen: Seen {
            steps,
            ..fno.seen.clone()
        },
        ..fno
    };
    for (duration, amplitude, fine) in [
        (50.0, 0.4, true),
        (7.7, 1.9, true),
        (50.0, 1.9, false),
        (0.6, 1.0, false),
        (0.0, 1.0, true),
    ] {
        let checked = fno.check_protocol(&Protocol::step(0.0, duration, amplitude), 100.0);
        assert_eq!(checked.is_ok(), fine, "{duration} {amplitude} {checked:?}");
    }
    let refused = fno
        .check_protocol(&Protocol::step(0.0, 50.0, 1.9), 100.0)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("1.9 for 50") && refused.contains("of 0.5 to 2 for 1 to 10"),
        "{refused}"
    );
}

#[test]
fn with_the_start_as_an_input_windows_follow_one_another() {
    let plain = random();
    let scaling = Scaling {
        charge: Some(20.0),
        start: Some(vec![[0.1, 0.5], [0.0, 0.4]]),
        ..plain.scaling.clone()
    };
    let condition = Condition {
        current: vec![1.0, 1.0, 0.5, 0.0],
        start: vec![0.6, 0.4],
        p: plain.spec.default_parameters(),
    };
    let channels = scaling.channels(&plain.spec, &condition, 8.0);
    assert_eq!(
        channels[8..],
        [0.0, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    );
    let weights = plain
        .config
        .initial_weights(scaling.inputs(), 2, 3)
        .iter()
        .map(|w| *w as f32)
        .collect();
    let seen = Seen {
        start: Some(vec![[-0.5, 1.0], [-0.1, 1.0]]),
        ..plain.seen.clone()
    };
    let fno = Fno {
        scaling,
        weights,
        seen,
        ..plain.clone()
    };
    fno.check().unwrap();
    assert_eq!(Fno::from_bytes(&fno.to_bytes().unwrap()).unwrap(), fno);
    assert!(
        Fno {
            seen: plain.seen.clone(),
            ..fno.clone()
        }
        .check()
        .is_err()
    );
    let protocol = Protocol::step(30.0, 120.0, 0.8);
    let e = Experiment {
        x0: vec![0.2, 0.1],
        ..experiment(&fno, protocol.clone())
    };
    let (x, outside) = fno
        .advance(std::slice::from_ref(&e), 500)
        .unwrap()
        .remove(0);
    // A window that begins where none did in training is told.
    let began = |window: usize| fno.check_start(&x[398 * window..][..2]).is_err();
    assert_eq!(outside, (0..3).any(began));
    let narrow = Seen {
        start: Some(vec![[0.19, 0.21], [0.09, 0.11]]),
        ..fno.seen.clone()
    };
    assert!(
        Fno {
            seen: narrow,
            ..fno.clone()
        }
        .advance(std::slice::from_ref(&e), 500)
        .unwrap()[0]
            .1
    );
    assert_eq!((x.len(), &x[..2]), (1000, &e.x0[..]));
    // The second window by hand, from time 199.
    let means: Vec<f64> = (0..200)
        .map(|i| {
            protocol
                .signal(500.0)
                .mean((199 + i) as f64 * 0.5, (200 + i) as f64 * 0.5)
        })
        .collect();
    let condition = Condition {
        current: means,
        start: x[398..400].to_vec(),
        p: e.p.clone(),
    };
    let second = fno.respond(&[condition], 200).unwrap().remove(0);
    assert!(
        (0..200).all(|t| x[(199 + t) * 2] == second[t] && x[(199 + t) * 2 + 1] == second[200 + t])
    );
    assert!(
        fno.check_start(&[0.2, 0.1]).is_ok()
            && fno
                .check_start(&[1.2, 0.1])
                .unwrap_err()
                .to_string()
                .contains("v = 1.2")
    );
    assert!(
        plain
            .advance(&[e], 500)
            .unwrap_err()
            .to_string()
            .contains("one start")
    );
}

#[test]
fn shifted_stimuli_are_told_from_those_of_the_family() {
    use crate::responses::{ResponseConfig, respond};
    use ionoscope_dynamics::protocol::ProtocolFamily;
    let model = models::find("fitzhugh-nagumo-1961").unwrap();
    let config = ResponseConfig {
        samples: [600, 0, 0],
        points: 200,
        rtol: 1e-4,
        atol: 1e-6,
        ..ResponseConfig::default()
    };
    let data = respond(&*model, &config, &Watcher::default()).unwrap();
    let fno = Fno {
        seen: Seen::of(&data.training, &data.config),
        ..random()
    };
    let refused = |family: &str| {
        let family = ProtocolFamily::find(family).unwrap();
        let count = family.len().unwrap();
        let outside = |k: &u64| {
            let m = family.member(7, *k).unwrap();
            // What goes on beyond T is refused by its length.
            m.t_end > fno.t_end || fno.check_protocol(&m.protocol, fno.t_end).is_err()
        };
        (0..count).filter(outside).count() as f64 / count as f64
    };
    let (inside, shifted) = (
        refused("fitzhugh-nagumo-test"),
        refused("fitzhugh-nagumo-shifted"),
    );
    assert!(inside <= 0.05 && shifted >= 0.95, "{inside} {shifted}");
}

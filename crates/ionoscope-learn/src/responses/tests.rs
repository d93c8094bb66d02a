use std::sync::{Arc, Mutex};

use ionoscope_dynamics::{
    models,
    protocol::Protocol,
    trajectory::{Experiment, SolveOptions, TimeGrid},
    watch::{StopFlag, Watch, Watcher},
};

use super::*;

fn small() -> ResponseConfig {
    ResponseConfig {
        samples: [30, 10, 10],
        points: 120,
        ..ResponseConfig::default()
    }
}

#[test]
fn inputs_are_means_over_cells_and_states_those_of_single_runs() {
    let means = cell_means(&Protocol::step(0.0, 2.5, 3.0), 10.0, 10);
    assert_eq!(means, [3.0, 3.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let model = models::find("fitzhugh-nagumo-1961").unwrap();
    let data = respond(&*model, &small(), &Watcher::default()).unwrap();
    assert_eq!(
        (data.training.len(), data.validation.len(), data.test.len()),
        (30, 10, 10)
    );
    // The published trajectory at I = 1 for 50 of 100, by the same path.
    let reference = Protocol::step(0.0, 50.0, 1.0);
    let e = Experiment {
        protocol: reference,
        ..Experiment::from_defaults(model.spec(), TimeGrid::new(10.0, 1.0, 1).unwrap())
    };
    let x = model
        .simulate(
            &e,
            &SolveOptions {
                rtol: 1e-10,
                atol: 1e-12,
                ..SolveOptions::default()
            },
        )
        .unwrap();
    assert!((x.state(0)[0] - 1.019835).abs() < 1e-6 && (x.state(0)[1] - 0.923067).abs() < 1e-6);
    assert!(data.training.x(0)[0] == 0.0 && data.training.x.iter().all(|v| v.is_finite()));
    // All classes occur, in order, in training and validation.
    assert!(data.training.class.is_sorted() && data.training.class.contains(&1));
    assert!(data.validation.input != data.training.input[..data.validation.input.len()]);
}

#[test]
fn no_set_holds_a_sample_of_another() {
    let model = models::find("fitzhugh-nagumo-1961").unwrap();
    let name = model.spec().parameters[0].name.clone();
    let family = FamilySource::Named("fitzhugh-nagumo-train".into());
    for test_family in [family.clone(), ResponseConfig::default().test_family] {
        let vary = [(name.clone(), [0.5, 0.9])].into();
        let config = ResponseConfig {
            samples: [40; 3],
            points: 20,
            vary,
            training_family: family.clone(),
            test_family,
            ..small()
        };
        let data = respond(&*model, &config, &Watcher::default()).unwrap();
        let sets = [&data.training, &data.validation, &data.test];
        for (a, b) in [(0, 1), (0, 2), (1, 2)].map(|(a, b)| (sets[a], sets[b])) {
            let stimulated = |s: &Responses, k: usize| s.input(k).iter().any(|v| *v != 0.0);
            for (i, j) in (0..40).flat_map(|i| (0..40).map(move |j| (i, j))) {
                assert!(a.input(i) != b.input(j) || !stimulated(a, i), "{i} {j}");
                assert!(a.condition(i).p != b.condition(j).p, "{i} {j}");
            }
        }
    }
}

#[test]
fn what_no_reader_takes_is_not_written() {
    let model = models::find("fitzhugh-nagumo-1961").unwrap();
    let vary = [(model.spec().parameters[0].name.clone(), [0.5, 0.9])].into();
    let data = respond(
        &*model,
        &ResponseConfig {
            points: 20,
            vary,
            ..small()
        },
        &Watcher::default(),
    )
    .unwrap();
    let bytes = data.to_bytes().unwrap();
    assert_eq!(ResponseData::from_bytes(&bytes).unwrap(), data);
    let message = |spoil: &dyn Fn(&mut ResponseData)| {
        let mut data = data.clone();
        spoil(&mut data);
        data.to_bytes().unwrap_err().to_string()
    };
    assert!(message(&|d| d.training.input[3] = f32::NAN).contains("the set 'training' holds NaN"));
    assert!(
        message(&|d| d.validation.x[5] = f32::NEG_INFINITY)
            .contains("the set 'validation' holds -inf")
    );
    assert!(message(&|d| d.test.p[0] = f64::INFINITY).contains("the set 'test' holds inf"));
    // What is refused in writing is refused in reading: parameters, in double precision, come first after the header.
    let at = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for bad in [f64::NAN, f64::INFINITY] {
        let damaged = [&bytes[..at], &bad.to_le_bytes(), &bytes[at + 8..]].concat();
        let message = ResponseData::from_bytes(&damaged).unwrap_err();
        assert!(message.contains(&format!("holds {bad}")), "{message}");
    }
}

/// Notes what is done, and stops where that is so much.
#[derive(Default)]
struct Notes {
    told: Mutex<Vec<usize>>,
    stop_at: usize,
}

impl Watch for Notes {
    fn stopped(&self) -> bool {
        self.told
            .lock()
            .unwrap()
            .last()
            .is_some_and(|done| *done >= self.stop_at)
    }

    fn progress(&self, done: usize, _of: usize, _what: &str) {
        self.told.lock().unwrap().push(done);
    }
}

#[test]
fn what_was_made_before_an_interruption_is_not_made_again() {
    let model = models::find("fitzhugh-nagumo-1961").unwrap();
    let config = ResponseConfig {
        samples: [600, 10, 10],
        points: 20,
        windows: 2,
        t_end: 20.0,
        ..ResponseConfig::default()
    };
    let whole = respond(&*model, &config, &Watcher::default()).unwrap();
    let dir = std::env::temp_dir().join(format!("ionoscope-parts-{}", std::process::id()));
    let parts = Parts::open(&dir, &config).unwrap();
    let stopped = respond_in_parts(
        &*model,
        &config,
        Some(&parts),
        &Watcher::new(Notes {
            stop_at: 500,
            ..Notes::default()
        }),
    )
    .unwrap_err();
    assert!(stopped.to_string().contains("goes on from here"));
    // One of the parts was cut short: it is made again.
    std::fs::write(dir.join("training-0"), [0; 7]).unwrap();
    let notes = Arc::new(Notes {
        stop_at: usize::MAX,
        ..Notes::default()
    });
    let (told, note) = (&notes.told, Watcher::new(notes.clone()));
    let parts = Parts::open(&dir, &config).unwrap();
    assert_eq!(
        respond_in_parts(&*model, &config, Some(&parts), &note).unwrap(),
        whole
    );
    assert_eq!(*told.lock().unwrap(), [512, 600, 610, 620]);
    // So is one in which a bit changed.
    told.lock().unwrap().clear();
    let mut bytes = std::fs::read(dir.join("training-256")).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(dir.join("training-256"), bytes).unwrap();
    assert_eq!(
        respond_in_parts(&*model, &config, Some(&parts), &note).unwrap(),
        whole
    );
    assert_eq!(*told.lock().unwrap(), [600]);
    // Everything is there now; another configuration is refused.
    told.lock().unwrap().clear();
    assert_eq!(
        respond_in_parts(&*model, &config, Some(&parts), &note).unwrap(),
        whole
    );
    assert!(told.lock().unwrap().is_empty());
    let other = ResponseConfig { seed: 2, ..config };
    assert!(
        Parts::open(&dir, &other)
            .err()
            .unwrap()
            .to_string()
            .contains("other responses")
    );
    parts.remove().unwrap();
    assert!(!dir.exists());
}

#[test]
fn windows_are_pieces_of_runs() {
    let model = models::find("fitzhugh-nagumo-1961").unwrap();
    let config = ResponseConfig {
        samples: [50, 10, 10],
        t_end: 20.0,
        points: 40,
        windows: 3,
        ..ResponseConfig::default()
    };
    let data = respond(&*model, &config, &Watcher::default()).unwrap();
    assert_eq!(
        (data.training.len(), data.validation.len(), data.test.len()),
        (50, 10, 10)
    );
    assert_eq!(
        ResponseData::from_bytes(&data.to_bytes().unwrap()).unwrap(),
        data
    );
    let mut moved = 0;
    for k in 0..50 {
        let x0 = data.training.start(k);
        moved += usize::from(x0[0].abs() > 0.01);
        // The current is constant over the window: from its start the equations give it again.
        let input = data.training.input(k);
        if input.iter().any(|v| *v != input[0]) {
            continue;
        }
        let times = TimeGrid::new(0.0, 0.5, 40).unwrap();
        let e = Experiment {
            x0,
            protocol: Protocol::constant(f64::from(input[0])),
            ..Experiment::from_defaults(model.spec(), times)
        };
        let run = model.simulate(&e, &SolveOptions::default()).unwrap();
        assert!(
            run.variable(0)
                .zip(data.training.x(k))
                .all(|(a, b)| (a - f64::from(*b)).abs() < 1e-3),
            "{k}"
        );
    }
    assert!(moved > 10, "{moved}");
}

#[test]
fn a_file_holds_every_bit_and_wrong_configurations_are_refused() {
    let model = models::find("fitzhugh-nagumo-1961").unwrap();
    let data = respond(&*model, &small(), &Watcher::default()).unwrap();
    let bytes = data.to_bytes().unwrap();
    assert_eq!(ResponseData::from_bytes(&bytes).unwrap(), data);
    for cut in [0, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(ResponseData::from_bytes(&bytes[..cut]).is_err());
    }
    let refuse = |change: &dyn Fn(&mut ResponseConfig)| {
        let mut c = small();
        change(&mut c);
        respond(&*model, &c, &Watcher::default())
            .unwrap_err()
            .to_string()
    };
    let stopped = StopFlag::default();
    stopped.raise();
    assert!(refuse(&|c| c.t_end = 200.0).contains("ends at 100"));
    assert!(
        refuse(&|c| c.training_family = FamilySource::Named("fitzhugh-nagumo-trian".into()))
            .contains("did you mean")
    );
    assert!(refuse(&|c| c.points = 1).contains("points = 1; expected at least 2"));
    assert!(
        respond(&*model, &small(), &Watcher::new(stopped))
            .unwrap_err()
            .to_string()
            .contains("interrupted")
    );
}

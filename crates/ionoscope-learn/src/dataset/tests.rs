use std::collections::BTreeMap;

use ionoscope_dynamics::{
    protocol::Protocol,
    trajectory::{Experiment, SolveOptions, TimeGrid},
};

use super::*;
use crate::responses::FamilySource;
use ionoscope_dynamics::models;

fn small() -> DatasetConfig {
    DatasetConfig {
        chunks: 6,
        pairs_per_chunk: 20,
        transient: 2.0,
        new_chunks: 2,
        validation_share: 0.25,
        rtol: 1e-8,
        atol: 1e-10,
        ..DatasetConfig::default()
    }
}

#[test]
fn pairs_are_one_step_apart_and_split_without_loss() {
    let system = models::find("sherman-1988").unwrap();
    let data = sample(&*system, &small(), &|_, _| vec![]).unwrap();
    assert_eq!(
        (
            data.training.len(),
            data.validation.len(),
            data.new_chunks.len()
        ),
        (90, 30, 40)
    );
    let e = |k: usize| {
        let p = system
            .spec()
            .parameters_with([("v_s", data.training.p(k)[0])])
            .unwrap();
        Experiment {
            x0: data.training.u(k).to_vec(),
            p,
            protocol: Protocol::none(),
            times: TimeGrid::new(0.005, 0.005, 1).unwrap(),
        }
    };
    for k in [0, 41, 89] {
        let again = system
            .simulate(
                &e(k),
                &SolveOptions {
                    rtol: 1e-10,
                    atol: 1e-12,
                    ..SolveOptions::default()
                },
            )
            .unwrap();
        for (a, b) in again.state(0).iter().zip(data.training.next(k)) {
            assert!((a - b).abs() < 1e-5 * (1.0 + a.abs()), "{a} {b}");
        }
    }
    let trained = data.spec.trained_on.as_ref().unwrap();
    assert_eq!(
        (trained.parameters.as_slice(), data.spec.parameters.len()),
        ([[-40.0, -30.0]].as_slice(), 1)
    );
}

#[test]
fn pairs_under_a_stimulus_are_steps_of_the_system_with_it() {
    let system = models::find("hodgkin-huxley-1952").unwrap();
    let config = DatasetConfig {
        model: "hodgkin-huxley-1952".into(),
        control: BTreeMap::new(),
        start: BTreeMap::new(),
        stimulus: Some(FamilySource::Named("hodgkin-huxley-train".into())),
        dt: 0.1,
        transient: 0.0,
        chunks: 30,
        ..small()
    };
    let data = sample(&*system, &config, &|_, _| vec![]).unwrap();
    assert_eq!(
        (
            data.training.len(),
            data.validation.len(),
            data.new_chunks.len()
        ),
        (450, 150, 40)
    );
    assert_eq!(
        (data.spec.parameters.len(), data.training.parameters),
        (0, 1)
    );
    let [low, high] = data.spec.trained_stimulus().unwrap();
    assert!(low == 0.0 && high > 2.0);
    let again = Dataset::from_bytes(&data.to_bytes().unwrap()).unwrap();
    assert!(
        again.training.u == data.training.u
            && again.training.p == data.training.p
            && again.spec == data.spec
    );
    for k in 0..450 {
        let e = Experiment {
            x0: data.training.u(k).to_vec(),
            p: system.spec().default_parameters(),
            protocol: Protocol::constant(data.training.p(k)[0]),
            times: TimeGrid::new(0.1, 0.1, 1).unwrap(),
        };
        // Where the stimulus ends within the step, its mean is not all there is to say.
        let x = system
            .simulate(
                &e,
                &SolveOptions {
                    rtol: 1e-10,
                    atol: 1e-12,
                    ..SolveOptions::default()
                },
            )
            .unwrap();
        let off = x
            .state(0)
            .iter()
            .zip(data.training.next(k))
            .map(|(a, b)| (a - b).abs() / (1.0 + b.abs()))
            .fold(0.0, f64::max);
        assert!(
            off < 1e-5 || (data.training.p(k)[0] != 0.0 && off < 1e-2),
            "{k}: {off}"
        );
    }
}

#[test]
fn starts_keep_their_distance_and_resting_chunks_are_counted() {
    let system = models::find("stankevich-2017").unwrap();
    // At v_s = -36 the fixed point is stable; these starts lie in its basin, those above do not.
    let near = DatasetConfig {
        model: "stankevich-2017".into(),
        control: BTreeMap::from([("v_s".into(), [-36.0, -36.0])]),
        start: BTreeMap::from([
            ("v".into(), [-70.0, -50.6]),
            ("n".into(), [0.002, 0.0021]),
            ("s".into(), [0.187, 0.188]),
        ]),
        transient: 150.0,
        distance_of_start: 0.0,
        ..small()
    };
    let data = sample(&*system, &near, &|_, _| {
        vec![vec![-50.636, 2.056e-3, 0.18792]]
    })
    .unwrap();
    assert!(data.redrawn.on_fixed_point > 0, "{:?}", data.redrawn);
    assert!(data.training.distance.iter().all(|d| *d > 0.1));
}

#[test]
fn wrong_configurations_are_refused_by_name() {
    let system = models::find("sherman-1988").unwrap();
    let refuse = |change: &dyn Fn(&mut DatasetConfig)| {
        let mut c = small();
        change(&mut c);
        sample(&*system, &c, &|_, _| vec![])
            .unwrap_err()
            .to_string()
    };
    assert!(refuse(&|c| c.model = "stankevich-2017".into()).contains("stankevich-2017"));
    assert!(
        refuse(&|c| c.control = BTreeMap::from([("vs".into(), [0.0, 1.0])]))
            .contains("did you mean 'v_s'")
    );
    assert!(
        refuse(&|c| c.control = BTreeMap::from([("v_s".into(), [-30.0, -40.0])]))
            .contains("smaller first")
    );
    assert!(refuse(&|c| c.dt = f64::NAN).contains("dt is NaN"));
    assert!(refuse(&|c| c.chunks = 0).contains("chunks"));
}

use super::*;
use crate::{
    adam::Schedule,
    dataset::{DatasetConfig, sample},
};
use ionoscope_dynamics::models;

fn data() -> Dataset {
    let system = models::find("sherman-1988").unwrap();
    let config = DatasetConfig {
        chunks: 8,
        pairs_per_chunk: 150,
        transient: 2.0,
        new_chunks: 2,
        validation_share: 0.1,
        rtol: 1e-8,
        atol: 1e-10,
        ..DatasetConfig::default()
    };
    sample(&*system, &config, &|_| vec![]).unwrap()
}

fn quick(epochs: u64) -> TrainConfig {
    TrainConfig {
        hidden: 12,
        adam: AdamConfig { epochs, batch: 300, learning_rate: 1e-2, ..AdamConfig::default() },
        validate_every: 5,
        ..TrainConfig::default()
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let data = data();
    // Several chunks a batch, sub-networks of different sizes.
    let mut config = quick(7);
    config.hidden_of = BTreeMap::from([("n".to_owned(), 9)]);
    config.adam.batch = 900;
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let trained = pool.install(|| train(&data, &config, &mut Run::default()).unwrap());
        let losses: Vec<_> = trained.history.into_iter().map(|r| (r.training, r.validation)).collect();
        (trained.map.networks().to_vec(), losses)
    };
    let one = with(1);
    assert_eq!(one.0[1].hidden(), 9);
    assert!(one == with(2) && one == with(3) && one == with(5));
}

#[test]
fn a_tiny_set_is_overfitted() {
    let mut data = data();
    data.training.u.truncate(3 * 8);
    data.training.next.truncate(3 * 8);
    data.training.p.truncate(8);
    data.training.distance.truncate(8);
    let mut config = quick(4000);
    config.adam.schedule = Schedule::Cosine { warm_up: 0.05, end: 0.0 };
    let trained = train(&data, &config, &mut Run::default()).unwrap();
    let first = &trained.history[0].training;
    let last = &trained.history.last().unwrap().training;
    assert!(last.iter().zip(first).all(|(l, f)| *l < 1e-5 && *l < 1e-5 * f), "{first:?} {last:?}");
}

#[test]
fn training_lowers_the_error_and_goes_on_from_weights() {
    let data = data();
    let mut seen = Vec::new();
    let mut progress = |r: &Record| seen.push(r.epoch);
    let trained = train(&data, &quick(40), &mut Run { progress: Some(&mut progress), ..Run::default() }).unwrap();
    assert_eq!(seen, (1..=40).collect::<Vec<u64>>());
    assert_eq!(trained.ending, Ending::Completed);
    let validation: Vec<&Vec<f64>> = trained.history.iter().filter_map(|r| r.validation.as_ref()).collect();
    assert_eq!(validation.len(), 8);
    let errors = trained.validation.as_ref().unwrap();
    assert!(validation[7].iter().zip(validation[0]).all(|(l, f)| l < f));
    // The single-precision kernel and the map in double precision see the same error.
    for (a, b) in validation[7].iter().zip(&errors.increment_mse) {
        assert!((a - b).abs() < 1e-4 * b, "{a} {b}");
    }
    let mut small = quick(3);
    small.adam.learning_rate = 1e-4;
    let further = train(&data, &small, &mut Run { from: Some(&trained.map), ..Run::default() }).unwrap();
    assert!(further.history[0].training.iter().zip(&errors.increment_mse).all(|(a, b)| *a < 2.0 * b));
    small.hidden = 5;
    let refused = train(&data, &small, &mut Run { from: Some(&trained.map), ..Run::default() }).unwrap_err();
    assert!(refused.is_input() && refused.to_string().contains("hidden units"), "{refused}");
}

#[test]
fn an_interrupt_and_a_time_limit_stop_with_a_map() {
    let data = data();
    let flag = Arc::new(AtomicBool::new(false));
    let raise = flag.clone();
    let mut progress = move |r: &Record| raise.store(r.epoch == 3, Ordering::Relaxed);
    let mut run = Run { interrupt: Some(flag), progress: Some(&mut progress), ..Run::default() };
    let stopped = train(&data, &quick(1000), &mut run).unwrap();
    assert_eq!((stopped.ending, stopped.history.len()), (Ending::Interrupted, 3));
    let limit = Some(Duration::ZERO);
    assert_eq!(train(&data, &quick(1000), &mut Run { time_limit: limit, ..Run::default() }).unwrap().ending, Ending::TimeLimit);
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let data = data();
    let refuse = |change: &dyn Fn(&mut TrainConfig)| {
        let mut c = quick(1);
        change(&mut c);
        let e = train(&data, &c, &mut Run::default()).unwrap_err();
        assert!(e.is_input());
        e.to_string()
    };
    assert!(refuse(&|c| c.hidden = 0).contains("hidden"));
    assert!(refuse(&|c| c.hidden_of = BTreeMap::from([("w".to_owned(), 3)])).contains("unknown variable 'w'"));
    assert!(refuse(&|c| c.initial.alpha = -1.0).contains("initial.alpha"));
    assert!(refuse(&|c| c.adam.batch = 0).contains("adam.batch"));
    let mut wild = quick(50);
    wild.adam.learning_rate = 1e30;
    let e = train(&data, &wild, &mut Run::default()).unwrap_err();
    assert!(!e.is_input() && e.to_string().contains("diverged"), "{e}");
}

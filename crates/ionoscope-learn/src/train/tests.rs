use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::{
    adam::{AdamConfig, Schedule},
    dataset::{DatasetConfig, sample},
    second_order::SecondOrderConfig,
};
use ionoscope_dynamics::{
    models,
    watch::{StopFlag, Watch},
};

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
    sample(&*system, &config, &|_, _| vec![]).unwrap()
}

fn quick(epochs: u64) -> TrainConfig {
    TrainConfig {
        hidden: 12,
        adam: AdamConfig {
            epochs,
            batch: 300,
            learning_rate: 1e-2,
            ..AdamConfig::default()
        },
        second_order: SecondOrderConfig {
            iterations: 0,
            ..SecondOrderConfig::default()
        },
        validate_every: 5,
        ..TrainConfig::default()
    }
}

/// The error records of Adam: training, validation.
fn errors(trained: &Trained) -> Vec<(Vec<f64>, Option<Vec<f64>>)> {
    let adam = |r: &Record| match r {
        Record::Adam(r) => Some((r.training.clone(), r.validation.clone())),
        _ => None,
    };
    trained.history.iter().filter_map(adam).collect()
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("ionoscope-train-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
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
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let trained = pool.install(|| train(&data, &config, &mut Run::default()).unwrap());
        (trained.map.networks().to_vec(), errors(&trained))
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
    config.adam.schedule = Schedule::Cosine {
        warm_up: 0.05,
        end: 0.0,
    };
    let trained = train(&data, &config, &mut Run::default()).unwrap();
    let errors = errors(&trained);
    let (first, last) = (&errors[0].0, &errors[errors.len() - 1].0);
    assert!(
        last.iter()
            .zip(first)
            .all(|(l, f)| *l < 1e-5 && *l < 1e-5 * f),
        "{first:?} {last:?}"
    );
}

#[test]
fn training_lowers_the_error_and_goes_on_from_weights() {
    let data = data();
    let mut seen = Vec::new();
    let mut progress = |r: &Record| seen.push(matches!(r, Record::Adam(r) if r.epoch > 0));
    let trained = train(
        &data,
        &quick(40),
        &mut Run {
            progress: Some(&mut progress),
            ..Run::default()
        },
    )
    .unwrap();
    assert_eq!(seen, [true; 40]);
    assert_eq!(trained.ending, Ending::Completed);
    let validation: Vec<Vec<f64>> = errors(&trained).into_iter().filter_map(|e| e.1).collect();
    assert_eq!(validation.len(), 8);
    let last = trained.validation.as_ref().unwrap();
    assert!(validation[7].iter().zip(&validation[0]).all(|(l, f)| l < f));
    // The single-precision kernel and the map in double precision see the same error.
    for (a, b) in validation[7].iter().zip(&last.increment_mse) {
        assert!((a - b).abs() < 1e-4 * b, "{a} {b}");
    }
    let mut small = quick(3);
    small.adam.learning_rate = 1e-4;
    let further = train(
        &data,
        &small,
        &mut Run {
            from: Some(&trained.map),
            ..Run::default()
        },
    )
    .unwrap();
    assert!(
        errors(&further)[0]
            .0
            .iter()
            .zip(&last.increment_mse)
            .all(|(a, b)| *a < 2.0 * b)
    );
    small.hidden = 5;
    let refused = train(
        &data,
        &small,
        &mut Run {
            from: Some(&trained.map),
            ..Run::default()
        },
    )
    .unwrap_err();
    assert!(
        refused.is_input() && refused.to_string().contains("hidden units"),
        "{refused}"
    );
}

/// Runs with a flag that is raised when the given number of records has been made.
fn stopped_after(
    data: &Dataset,
    config: &TrainConfig,
    folder: Option<&Path>,
    existing: Existing,
    records: usize,
) -> Trained {
    let flag = StopFlag::default();
    let raise = flag.clone();
    let mut count = 0;
    let mut progress = move |_: &Record| {
        count += 1;
        if count == records {
            raise.raise();
        }
    };
    let mut run = Run {
        directory: folder,
        existing,
        watch: Watcher::new(flag),
        progress: Some(&mut progress),
        ..Run::default()
    };
    train(data, config, &mut run).unwrap()
}

#[test]
fn an_interrupt_and_a_time_limit_stop_with_a_map() {
    let data = data();
    let stopped = stopped_after(&data, &quick(1000), None, Existing::Refuse, 3);
    assert_eq!(
        (stopped.ending, stopped.history.len()),
        (Ending::Interrupted, 3)
    );
    let limit = Some(Duration::ZERO);
    assert_eq!(
        train(
            &data,
            &quick(1000),
            &mut Run {
                time_limit: limit,
                ..Run::default()
            }
        )
        .unwrap()
        .ending,
        Ending::TimeLimit
    );
}

/// Twenty epochs (the permutation changes within), then six second-order steps for each variable.
fn both_stages() -> TrainConfig {
    let mut config = quick(20);
    config.second_order.iterations = 6;
    config.second_order.evidence_from = 2;
    config
}

#[test]
fn interrupted_and_resumed_gives_the_same_bits() {
    let data = data();
    let config = both_stages();
    let through = train(&data, &config, &mut Run::default()).unwrap();
    assert_eq!(through.history.len(), 20 + 18);
    // Stops in the first stage, at its end, and in the second stage of the first and of the last variable.
    for stops in [vec![7], vec![17, 3, 1, 12], vec![25, 11], vec![37]] {
        let folder = Folder::new(&format!("resume-{}", stops[0]));
        for n in &stops {
            assert_eq!(
                stopped_after(&data, &config, Some(&folder.0), Existing::Resume, *n).ending,
                Ending::Interrupted
            );
        }
        let resumed = train(
            &data,
            &config,
            &mut Run {
                directory: Some(&folder.0),
                existing: Existing::Resume,
                ..Run::default()
            },
        )
        .unwrap();
        assert!(
            resumed.map.networks() == through.map.networks()
                && errors(&resumed) == errors(&through),
            "{stops:?}"
        );
        assert_eq!(resumed.history.len(), through.history.len());
        let lines = fs::read_to_string(folder.0.join("progress.jsonl"))
            .unwrap()
            .lines()
            .count();
        assert_eq!(lines, through.history.len());
        // Once more: all is there already.
        let again = train(
            &data,
            &config,
            &mut Run {
                directory: Some(&folder.0),
                existing: Existing::Resume,
                ..Run::default()
            },
        )
        .unwrap();
        assert!(again.map.networks() == through.map.networks() && again.history == resumed.history);
    }
}

/// Stops when it was asked so often.
struct AfterAsks(AtomicUsize);

impl Watch for AfterAsks {
    fn stopped(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(1))
            })
            == Ok(0)
    }
}

#[test]
fn stopped_in_the_midst_of_an_epoch_it_goes_on_to_the_same_bits() {
    let data = data();
    let config = quick(3);
    let through = train(&data, &config, &mut Run::default()).unwrap();
    // An epoch asks at every chunk, so often that these lie inside the first, the second and the third.
    for asks in [[3, 40], [25, 60], [50, 5]] {
        let folder = Folder::new(&format!("midst-{}", asks[0]));
        for asks in asks {
            let watch = Watcher::new(AfterAsks(AtomicUsize::new(asks)));
            let mut run = Run {
                directory: Some(&folder.0),
                existing: Existing::Resume,
                watch,
                ..Run::default()
            };
            train(&data, &config, &mut run).unwrap();
        }
        let resumed = train(
            &data,
            &config,
            &mut Run {
                directory: Some(&folder.0),
                existing: Existing::Resume,
                ..Run::default()
            },
        )
        .unwrap();
        assert!(
            resumed.map.networks() == through.map.networks()
                && errors(&resumed) == errors(&through),
            "{asks:?}"
        );
        assert_eq!(resumed.history.len(), through.history.len());
    }
}

#[test]
fn killed_between_checkpoints_the_logs_are_cut_back() {
    let data = data();
    let config = both_stages();
    let through = train(&data, &config, &mut Run::default()).unwrap();
    let folder = Folder::new("kill");
    stopped_after(&data, &config, Some(&folder.0), Existing::Refuse, 9);
    // What a killed process leaves: later records, the last of them torn, and a temporary file.
    let checkpoint = fs::read(folder.0.join("checkpoint.safetensors")).unwrap();
    stopped_after(&data, &config, Some(&folder.0), Existing::Resume, 6);
    fs::write(folder.0.join("checkpoint.safetensors"), checkpoint).unwrap();
    let progress = folder.0.join("progress.jsonl");
    let torn = [&fs::read(&progress).unwrap()[..], b"{\"stage\":\"ad"].concat();
    fs::write(&progress, torn).unwrap();
    fs::write(folder.0.join("checkpoint.safetensors.1.tmp"), b"half").unwrap();
    let resumed = train(
        &data,
        &config,
        &mut Run {
            directory: Some(&folder.0),
            existing: Existing::Resume,
            ..Run::default()
        },
    )
    .unwrap();
    assert!(
        resumed.map.networks() == through.map.networks() && errors(&resumed) == errors(&through)
    );
    let epochs = |text: String| text.lines().filter(|l| l.contains("\"adam\"")).count();
    assert_eq!(epochs(fs::read_to_string(progress).unwrap()), 20);
}

#[test]
fn a_folder_is_neither_overwritten_nor_resumed_by_another_training() {
    let data = data();
    let folder = Folder::new("other");
    let with = |config: &TrainConfig, existing: Existing| {
        train(
            &data,
            config,
            &mut Run {
                directory: Some(&folder.0),
                existing,
                ..Run::default()
            },
        )
    };
    with(&quick(2), Existing::Refuse).unwrap();
    let e = with(&quick(2), Existing::Refuse).unwrap_err();
    assert!(
        e.is_input() && e.to_string().contains("already holds a training"),
        "{e}"
    );
    let e = with(&quick(3), Existing::Resume).unwrap_err();
    assert!(
        e.is_input() && e.to_string().contains("adam.epochs was 2 and is 3"),
        "{e}"
    );
    let replaced = with(&quick(3), Existing::Replace).unwrap();
    assert_eq!(replaced.history.len(), 3);
    fs::write(folder.0.join("checkpoint.safetensors"), b"").unwrap();
    let e = with(&quick(3), Existing::Resume).unwrap_err();
    assert!(
        e.is_input() && e.to_string().contains("not a readable checkpoint"),
        "{e}"
    );
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
    assert!(
        refuse(&|c| c.hidden_of = BTreeMap::from([("w".to_owned(), 3)]))
            .contains("unknown variable 'w'")
    );
    assert!(refuse(&|c| c.initial.alpha = -1.0).contains("initial.alpha"));
    assert!(refuse(&|c| c.adam.batch = 0).contains("adam.batch"));
    let mut wild = quick(50);
    wild.adam.learning_rate = 1e30;
    let e = train(&data, &wild, &mut Run::default()).unwrap_err();
    assert!(!e.is_input() && e.to_string().contains("diverged"), "{e}");
}

/// A map that has learned something.
fn learned(data: &Dataset) -> NeuralMap {
    let mut config = quick(60);
    config.second_order.iterations = 25;
    train(data, &config, &mut Run::default()).unwrap().map
}

#[test]
fn a_map_to_start_from_is_never_made_worse_and_the_rate_is_warned_of() {
    let data = data();
    let map = learned(&data);
    let with = |config: &TrainConfig| {
        train(
            &data,
            config,
            &mut Run {
                from: Some(&map),
                ..Run::default()
            },
        )
        .unwrap()
    };
    let mut wild = quick(2);
    wild.adam.learning_rate = 0.1;
    let spoilt = with(&wild);
    let start = spoilt.start.unwrap();
    assert_eq!(
        (
            spoilt.map.networks(),
            spoilt.validation.as_ref(),
            spoilt.kept.len()
        ),
        (map.networks(), Some(&start), 3)
    );
    assert_eq!(
        spoilt.map.provenance()["kept_from_the_start"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(spoilt.warnings.len(), 1);
    assert!(
        spoilt.warnings[0].contains("adam.learning_rate = 0.1 is too high"),
        "{:?}",
        spoilt.warnings
    );
    assert!(matches!(&spoilt.history[0], Record::Start(r) if r.validation == start.increment_mse));
    // The second stage alone, whose prior may draw it away from the data.
    let mut second = quick(0);
    second.second_order.iterations = 2;
    let again = with(&second);
    assert!(again.validation.unwrap().mse <= start.mse && again.warnings.is_empty());
    // A rate that suits.
    let mut fine = quick(10);
    fine.adam.learning_rate = 1e-6;
    assert!(with(&fine).warnings.is_empty());
    // One network for all variables is kept, or not, as a whole.
    let mut two = quick(0);
    (two.architecture, two.second_order.iterations) =
        (crate::architectures::Architecture::TwoLayerMap, 12);
    let first = train(&data, &two, &mut Run::default()).unwrap();
    assert!(first.start.is_none() && first.kept.is_empty());
    two.second_order = SecondOrderConfig {
        iterations: 1,
        beta_sd: 1e-3,
        inner_sd: 1e-3,
        ..two.second_order
    };
    let further = train(
        &data,
        &two,
        &mut Run {
            from: Some(&first.map),
            ..Run::default()
        },
    )
    .unwrap();
    assert!(
        further.validation.as_ref().unwrap().mse <= further.start.unwrap().mse
            && [0, 3].contains(&further.kept.len())
    );
}

#[test]
fn interrupted_with_a_map_to_start_from_it_gives_the_same_bits_scores_and_warnings() {
    let data = data();
    let map = learned(&data);
    let mut config = quick(4);
    (config.adam.learning_rate, config.second_order.iterations) = (0.1, 3);
    let through = train(
        &data,
        &config,
        &mut Run {
            from: Some(&map),
            ..Run::default()
        },
    )
    .unwrap();
    assert_eq!(through.warnings.len(), 1);
    let kinds = |t: &Trained| {
        t.history
            .iter()
            .map(std::mem::discriminant)
            .collect::<Vec<_>>()
    };
    for stop in [1, 2, 3, 5, 8] {
        let folder = Folder::new(&format!("from-{stop}"));
        let flag = StopFlag::default();
        let (raise, mut count) = (flag.clone(), 0);
        let mut progress = |_: &Record| {
            count += 1;
            if count == stop {
                raise.raise();
            }
        };
        let (directory, existing, from) = (Some(&*folder.0), Existing::Resume, Some(&map));
        let mut run = Run {
            directory,
            existing,
            from,
            watch: Watcher::new(flag),
            progress: Some(&mut progress),
            ..Run::default()
        };
        assert_eq!(
            train(&data, &config, &mut run).unwrap().ending,
            Ending::Interrupted
        );
        let resumed = train(
            &data,
            &config,
            &mut Run {
                directory,
                existing,
                from,
                ..Run::default()
            },
        )
        .unwrap();
        assert_eq!(
            (resumed.map.networks(), &resumed.kept, &resumed.warnings),
            (through.map.networks(), &through.kept, &through.warnings),
            "{stop}"
        );
        assert!(errors(&resumed) == errors(&through) && kinds(&resumed) == kinds(&through));
    }
}

#[test]
fn what_no_reader_takes_is_not_written() {
    let mut data = data();
    let mut map = train(&data, &quick(1), &mut Run::default())
        .unwrap()
        .map
        .networks()
        .to_vec();
    let mut weights = map[1].weights();
    weights[2] = f64::NAN;
    map[1].set_weights(&weights);
    let refused = NeuralMap::new(
        data.spec.clone(),
        0.1,
        data.normalizer.clone(),
        map,
        serde_json::Value::Null,
    )
    .and_then(|m| m.to_bytes());
    assert!(refused.unwrap_err().to_string().contains("finite"));
    // There is no fixed point to be at a distance from, and that comes back.
    let bytes = data.to_bytes().unwrap();
    assert!(
        data.training.distance.iter().all(|d| d.is_nan())
            && Dataset::from_bytes(&bytes).unwrap().to_bytes().unwrap() == bytes
    );
    data.validation.u[3] = f64::INFINITY;
    assert!(
        data.to_bytes()
            .unwrap_err()
            .to_string()
            .contains("the set 'validation' holds inf")
    );
    let identity = Identity {
        configuration: serde_json::json!(null),
        dataset: String::new(),
        from: None,
    };
    let state = NetworkState {
        weights: vec![1.0],
        first: vec![f64::NAN],
        second: vec![0.0],
        steps: 1,
        second_order: None,
    };
    let checkpoint = Checkpoint {
        identity,
        epoch: 1,
        seconds: 1.0,
        progress_bytes: 0,
        event_bytes: 0,
        networks: vec![state],
    };
    let e = checkpoint.to_bytes().unwrap_err();
    assert!(!e.is_input() && e.to_string().contains("not finite"), "{e}");
    // A line of the progress file that a resumption could not read.
    let folder = Folder::new("line");
    let identity = checkpoint.identity;
    let (mut directory, _) = Directory::open(&folder.0, Existing::Refuse, &identity).unwrap();
    let line = |v: f64| {
        Record::Start(StartRecord {
            epoch: 0,
            validation: vec![v],
        })
    };
    directory.record(&line(0.5), &["v".to_owned()]).unwrap();
    assert!(
        directory
            .record(&line(f64::NAN), &["v".to_owned()])
            .unwrap_err()
            .to_string()
            .contains("progress.jsonl")
    );
    assert_eq!(
        fs::read_to_string(folder.0.join("progress.jsonl"))
            .unwrap()
            .lines()
            .count(),
        1
    );
}

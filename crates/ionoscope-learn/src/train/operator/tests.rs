use std::sync::atomic::{AtomicUsize, Ordering};

use ionoscope_dynamics::{
    models,
    protocol::Protocol,
    trajectory::{Experiment, SolveOptions, TimeGrid},
    watch::{StopFlag, Watch, Watcher},
};

use super::{
    super::{Existing, Listener},
    *,
};
use crate::{
    adam::AdamConfig,
    architectures::fno::FnoConfig,
    responses::{Condition, ResponseConfig, respond},
};

fn data() -> ResponseData {
    let model = models::find("fitzhugh-nagumo-1961").unwrap();
    respond(
        &*model,
        &ResponseConfig {
            samples: [40, 10, 10],
            points: 100,
            ..ResponseConfig::default()
        },
        &Watcher::default(),
    )
    .unwrap()
}

fn config(epochs: u64) -> OperatorConfig {
    let network = FnoConfig {
        width: 8,
        modes: 8,
        layers: 2,
        padding: 0.05,
        ..FnoConfig::default()
    };
    let adam = AdamConfig {
        epochs,
        batch: 8,
        learning_rate: 5e-3,
        ..OperatorConfig::default().adam
    };
    OperatorConfig {
        network,
        adam,
        average: 0.9,
        ..OperatorConfig::default()
    }
}

#[test]
fn outputs_may_be_scaled_time_by_time() {
    let data = data();
    let config = OperatorConfig {
        normalization: Normalization::PerPoint,
        ..config(100)
    };
    let trained = train_operator(&data, &config, &mut Run::default()).unwrap();
    let fno = Fno::from_bytes(&trained.fno.to_bytes().unwrap()).unwrap();
    assert_eq!(fno, trained.fno);
    // The surrogate gives what was judged, in the published form, by a straightforward loop.
    let predicted = fno.respond(&data.validation.conditions(), 100).unwrap();
    let rows = |set: &crate::responses::Responses, k: usize, at: usize| f64::from(set.x(k)[at]);
    let mut sum = 0.0;
    for k in 0..data.validation.len() {
        for i in 0..2 {
            let (mut error, mut size) = (0.0, 0.0);
            for at in i * 100..(i + 1) * 100 {
                let n = data.training.len() as f64;
                let mean = (0..data.training.len())
                    .map(|j| rows(&data.training, j, at))
                    .sum::<f64>()
                    / n;
                let sd = ((0..data.training.len())
                    .map(|j| (rows(&data.training, j, at) - mean).powi(2))
                    .sum::<f64>()
                    / n)
                    .sqrt()
                    + 1e-5;
                error += ((predicted[k][at] - rows(&data.validation, k, at)) / sd).powi(2);
                size += ((rows(&data.validation, k, at) - mean) / sd).powi(2);
            }
            sum += (error / size).sqrt();
        }
    }
    let (judged, epoch) = trained.validation.unwrap();
    assert!(
        (sum / 20.0 / judged - 1.0).abs() < 1e-4 && epoch > 0,
        "{} {judged}",
        sum / 20.0
    );
    // On a finer grid the scales lie in between.
    let fine = fno
        .respond(
            &[Condition {
                current: vec![0.5; 200],
                start: vec![0.0; 2],
                p: fno.spec.default_parameters(),
            }],
            200,
        )
        .unwrap();
    assert!(fine[0].iter().all(|v| v.is_finite()) && (fine[0][0] - predicted[0][0]).abs() < 1e-3);
}

#[test]
fn a_parameter_that_varies_is_an_input() {
    let model = models::find("fitzhugh-nagumo-1961").unwrap();
    let name = model.spec().parameters[0].name.clone();
    let default = model.spec().parameters[0].default;
    let range = [0.5 * default, 1.5 * default];
    let varied = ResponseConfig {
        vary: [(name.clone(), range)].into(),
        samples: [200, 40, 0],
        ..data().config
    };
    let set = respond(&*model, &varied, &Watcher::default()).unwrap();
    assert_eq!(
        ResponseData::from_bytes(&set.to_bytes().unwrap()).unwrap(),
        set
    );
    // Each run is one of the equations at its own value.
    let Condition { current, p, start } = set.training.condition(3);
    assert!(
        p[0] != default
            && (range[0]..range[1]).contains(&p[0])
            && p[1..] == model.spec().default_parameters()[1..]
    );
    let times = TimeGrid::new(0.0, 1.0, 100).unwrap();
    let on = current.iter().filter(|v| **v == current[0]).count() as f64;
    let protocol = Protocol::step(0.0, on + current[on as usize] / current[0], current[0]);
    let e = Experiment {
        x0: start,
        p: p.clone(),
        protocol,
        times,
    };
    let run = model.simulate(&e, &SolveOptions::default()).unwrap();
    assert!(
        run.variable(0)
            .zip(set.training.x(3))
            .all(|(a, b)| (a - f64::from(*b)).abs() < 1e-5)
    );
    let config = config(60);
    let trained = train_operator(&set, &config, &mut Run::default()).unwrap();
    let fno = Fno::from_bytes(&trained.fno.to_bytes().unwrap()).unwrap();
    assert_eq!(fno, trained.fno);
    assert_eq!(fno.weights.len(), config.weight_count(2, &varied));
    // It takes the value that it is given, within the range, and tells the others.
    let (low, high) = (
        Experiment {
            p: vec![range[0]].into_iter().chain(p[1..].to_vec()).collect(),
            ..e.clone()
        },
        e,
    );
    let x = fno.predict(&[low.clone(), high], 100).unwrap();
    assert!(x[0][50] != x[1][50]);
    assert!(fno.check_parameters(&low.p).is_ok() && fno.foreign_parameter(&low.p).is_none());
    assert!(
        fno.check_parameters(&[2.0 * default])
            .unwrap_err()
            .to_string()
            .contains(&name)
    );
    let mut other = model.spec().default_parameters();
    other[1] += 1.0;
    assert_eq!(
        fno.foreign_parameter(&other),
        Some(model.spec().parameters[1].name.as_str())
    );
    // A network without the parameter is worse on such data, for it cannot know.
    let mut blind = set.clone();
    blind.config.vary.clear();
    let blind = train_operator(&blind, &config, &mut Run::default()).unwrap();
    let (with, without) = (trained.validation.unwrap().0, blind.validation.unwrap().0);
    assert!(with < 0.8 * without, "{with} {without}");
    for (vary, wrong) in [("nothing", [0.0, 1.0]), (name.as_str(), [1.0, 1.0])] {
        let config = ResponseConfig {
            vary: [(vary.to_owned(), wrong)].into(),
            ..data().config
        };
        assert!(
            respond(&*model, &config, &Watcher::default())
                .unwrap_err()
                .to_string()
                .contains(vary)
        );
    }
}

#[test]
fn a_few_samples_are_learned() {
    let data = data();
    let trained = train_operator(&data, &config(500), &mut Run::default()).unwrap();
    let Record::Adam(last) = &trained.history[499] else {
        panic!("an epoch")
    };
    let mean = last.training.iter().sum::<f64>() / 2.0;
    assert!(mean < 0.1, "{mean}");
    assert!(
        trained.validation.unwrap().0 < 0.4,
        "{:?}",
        trained.validation
    );
    // Of a set that it was not calibrated on, nine in ten values lie within the band, variable by variable, and class by class.
    let model = models::find("fitzhugh-nagumo-1961").unwrap();
    let family = data.config.training_family.clone();
    let others = ResponseConfig {
        samples: [1, 600, 600],
        seed: 5,
        test_family: family,
        ..data.config.clone()
    };
    let others = respond(&*model, &others, &Watcher::default()).unwrap();
    let bands = Bands::calibrate(&trained.fno, &others.validation, BAND)
        .unwrap()
        .unwrap();
    let (test, conditions) = (&others.test, others.test.conditions());
    let p = trained.fno.respond(&conditions, 100).unwrap();
    let covered = |i: usize, of: &dyn Fn(u32) -> bool| {
        let inside = |k: usize| {
            let widths = bands.half_widths(&trained.fno, &conditions[k], &p[k], 100);
            (i * 100..(i + 1) * 100)
                .filter(|t| (p[k][*t] - f64::from(test.x(k)[*t])).abs() <= widths[*t])
                .count()
        };
        let samples: Vec<usize> = (0..test.len()).filter(|k| of(test.class[*k])).collect();
        samples.iter().map(|k| inside(*k)).sum::<usize>() as f64 / (100 * samples.len()) as f64
    };
    for i in 0..2 {
        let all = covered(i, &|_| true);
        assert!((0.88..0.93).contains(&all), "{all}");
        // General and sub-threshold: about 460 and 130 samples.
        let shares = [1, 2].map(|c| covered(i, &|class| class == c));
        assert!(
            shares.iter().all(|s| (0.85..0.95).contains(s)),
            "{shares:?}"
        );
    }
    // The surrogate gives what was judged.
    let problem = Problem::new(&data, &config(1), None).unwrap();
    let set = problem.set(&data.validation);
    let x = trained
        .fno
        .respond(&data.validation.conditions(), 100)
        .unwrap();
    let error = (0..10)
        .map(|k| {
            (0..2)
                .map(|i| {
                    let norm = (0..100)
                        .map(|t| {
                            ((x[k][i * 100 + t] - f64::from(data.validation.x(k)[i * 100 + t]))
                                / problem.scale[i * 100 + t])
                                .powi(2)
                        })
                        .sum::<f64>();
                    norm.sqrt() / set.size[k * 2 + i][0]
                })
                .sum::<f64>()
                / 2.0
        })
        .sum::<f64>()
        / 10.0;
    assert!(
        (error - trained.validation.unwrap().0).abs() < 1e-5,
        "{error} {:?}",
        trained.validation
    );
}

#[test]
fn interrupted_and_resumed_it_gives_the_same_bits_with_any_number_of_threads() {
    let data = data();
    let config = config(12);
    let through = train_operator(&data, &config, &mut Run::default()).unwrap();
    let folder = std::env::temp_dir().join(format!("ionoscope-operator-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    pool.install(|| {
        let interrupt = StopFlag::default();
        let raised = interrupt.clone();
        let mut stop = |r: &Record| {
            if matches!(r, Record::Adam(r) if r.epoch == 5) {
                raised.raise();
            }
        };
        let mut run = Run {
            directory: Some(&folder),
            watch: Watcher::new(interrupt),
            progress: Some(&mut stop),
            ..Run::default()
        };
        assert_eq!(
            train_operator(&data, &config, &mut run).unwrap().ending,
            Ending::Interrupted
        );
    });
    let mut run = Run {
        directory: Some(&folder),
        existing: Existing::Resume,
        ..Run::default()
    };
    let resumed = train_operator(&data, &config, &mut run).unwrap();
    assert_eq!(resumed.history.len(), 12);
    assert!(resumed.fno.weights == through.fno.weights && resumed.validation == through.validation);
    assert!(
        train_operator(
            &data,
            &config,
            &mut Run {
                directory: Some(&folder),
                ..Run::default()
            }
        )
        .is_err()
    );
    std::fs::remove_dir_all(&folder).unwrap();
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
fn stopped_behind_any_batch_it_goes_on_to_the_same_bits() {
    let data = data();
    let config = config(3);
    let through = train_operator(&data, &config, &mut Run::default()).unwrap();
    let folder =
        std::env::temp_dir().join(format!("ionoscope-operator-batch-{}", std::process::id()));
    let mut within = 0;
    // Five batches an epoch: after one more ask of each run it gets a batch or two further.
    for asks in 1..9 {
        let _ = std::fs::remove_dir_all(&folder);
        let mut runs = 0;
        let resumed = loop {
            let watch = Watcher::new(AfterAsks(AtomicUsize::new(asks)));
            let mut run = Run {
                directory: Some(&folder),
                existing: Existing::Resume,
                watch,
                ..Run::default()
            };
            let trained = train_operator(&data, &config, &mut run).unwrap();
            runs += 1;
            if trained.ending == Ending::Completed {
                break trained;
            }
            // The network, its mean, perhaps the best one; and of an epoch that was begun its losses, of two variables of at most 32 samples.
            let networks = Checkpoint::load(&folder.join("checkpoint.safetensors"))
                .unwrap()
                .networks;
            within += usize::from(networks.last().is_some_and(|n| n.weights.len() <= 64));
            assert!(runs < 20, "{asks} asks");
        };
        assert!(
            resumed.fno.weights == through.fno.weights && resumed.validation == through.validation,
            "{asks} asks"
        );
        let errors = |t: &TrainedOperator| {
            t.history
                .iter()
                .filter_map(|r| {
                    if let Record::Adam(r) = r {
                        Some(r.training.clone())
                    } else {
                        None
                    }
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(errors(&resumed), errors(&through));
    }
    assert!(within > 0);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_training_goes_on_from_a_network_on_a_finer_grid() {
    let coarse = data();
    let first = train_operator(&coarse, &config(60), &mut Run::default()).unwrap();
    let fine = {
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        respond(
            &*model,
            &ResponseConfig {
                points: 200,
                ..coarse.config.clone()
            },
            &Watcher::default(),
        )
        .unwrap()
    };
    // No step at all: it is the network that it came from.
    let still = OperatorConfig {
        adam: AdamConfig {
            learning_rate: 1e-300,
            ..config(1).adam
        },
        ..config(1)
    };
    let run = |config: &OperatorConfig, from| {
        train_operator(
            &fine,
            config,
            &mut Run {
                from,
                ..Run::default()
            },
        )
    };
    let same = run(&still, Some(&first.fno)).unwrap();
    assert_eq!(
        (same.fno.weights, same.fno.scaling, same.fno.points),
        (first.fno.weights.clone(), first.fno.scaling.clone(), 200)
    );
    let other = OperatorConfig {
        network: FnoConfig {
            width: 9,
            ..config(1).network
        },
        ..config(1)
    };
    assert!(
        run(&other, Some(&first.fno))
            .unwrap_err()
            .to_string()
            .contains("width: 9")
    );
}
/// A network that has learned something, and data like those it learned from.
fn learned() -> (ResponseData, Fno) {
    let data = data();
    let fno = train_operator(&data, &config(120), &mut Run::default())
        .unwrap()
        .fno;
    (data, fno)
}

/// A rate that spoils a good network.
fn wild(optimizer: Optimizer, epochs: u64) -> OperatorConfig {
    let adam = AdamConfig {
        learning_rate: 0.3,
        ..config(epochs).adam
    };
    OperatorConfig {
        optimizer,
        adam,
        validate_every: 1,
        ..config(epochs)
    }
}

/// All that does not depend on the clock.
fn plain(history: &[Record]) -> Vec<Record> {
    let still = |r: &Record| match r.clone() {
        Record::Adam(r) => Record::Adam(AdamRecord {
            samples_per_second: 0.0,
            seconds: 0.0,
            seconds_left: 0.0,
            ..r
        }),
        other => other,
    };
    history.iter().map(still).collect()
}

#[test]
fn a_network_to_start_from_is_never_made_worse_and_the_rate_is_warned_of() {
    let (data, fno) = learned();
    for optimizer in [Optimizer::Muon, Optimizer::Adam] {
        let spoilt = train_operator(
            &data,
            &wild(optimizer, 3),
            &mut Run {
                from: Some(&fno),
                ..Run::default()
            },
        )
        .unwrap();
        let start = spoilt.start.unwrap();
        assert_eq!(
            (spoilt.validation, &spoilt.fno.weights, spoilt.epochs),
            (Some((start, 0)), &fno.weights, 3)
        );
        assert_eq!(
            (
                spoilt.fno.provenance["start"].as_f64(),
                spoilt.fno.provenance["validation_epoch"].as_u64()
            ),
            (Some(start), Some(0))
        );
        assert_eq!(
            spoilt.warnings.len(),
            1,
            "{optimizer:?}: {:?}",
            spoilt.history
        );
        assert!(
            spoilt.warnings[0].contains("adam.learning_rate = 0.3")
                && spoilt.warnings[0].contains("3.0e-2 or less"),
            "{:?}",
            spoilt.warnings
        );
        assert!(
            matches!(&spoilt.history[..2], [Record::Start(_), Record::Adam(r)] if r.first_batch.is_some())
        );
        // It is scored as the epochs are.
        let band = spoilt.fno.bands.unwrap();
        assert_eq!(Some(band), fno.bands);
    }
    // However heavy the parts of the loss are.
    for weight in [0.01, 100.0] {
        let loss = LossConfig {
            normalized: 0.0,
            physical: weight,
            slope: 0.0,
        };
        let config = OperatorConfig {
            loss,
            ..wild(Optimizer::Muon, 3)
        };
        assert_eq!(
            train_operator(
                &data,
                &config,
                &mut Run {
                    from: Some(&fno),
                    ..Run::default()
                }
            )
            .unwrap()
            .warnings
            .len(),
            1,
            "{weight}"
        );
    }
    // A rate that suits makes it better, and says nothing.
    let fine = OperatorConfig {
        adam: AdamConfig {
            learning_rate: 1e-3,
            ..config(20).adam
        },
        ..config(20)
    };
    let better = train_operator(
        &data,
        &fine,
        &mut Run {
            from: Some(&fno),
            ..Run::default()
        },
    )
    .unwrap();
    let (error, epoch) = better.validation.unwrap();
    assert!(
        error < better.start.unwrap() && epoch > 0 && better.warnings.is_empty(),
        "{error} {:?}",
        better.start
    );
    // From random weights there is no start to keep.
    let own = train_operator(&data, &config(2), &mut Run::default()).unwrap();
    assert!(own.start.is_none() && own.warnings.is_empty() && own.validation.unwrap().1 > 0);
}

#[test]
fn whatever_the_loss_it_is_the_normalized_error_whose_rise_is_warned_of() {
    let data = data();
    let first = |normalized: f64, physical: f64, slope: f64| {
        let config = OperatorConfig {
            loss: LossConfig {
                normalized,
                physical,
                slope,
            },
            ..config(10)
        };
        let trained = train_operator(&data, &config, &mut Run::default()).unwrap();
        assert_eq!(trained.warnings, [""; 0]);
        let Record::Adam(r) = &trained.history[0] else {
            panic!("an epoch")
        };
        r.first_batch.clone().unwrap()
    };
    let usual = first(1.0, 0.0, 0.0);
    assert_eq!(
        (first(0.0, 0.01, 0.0), first(100.0, 10.0, 10.0)),
        (usual.clone(), usual)
    );
}

#[test]
fn interrupted_with_a_network_to_start_from_it_gives_the_same_bits_scores_and_warnings() {
    let (data, fno) = learned();
    let config = wild(Optimizer::Muon, 5);
    let through = train_operator(
        &data,
        &config,
        &mut Run {
            from: Some(&fno),
            ..Run::default()
        },
    )
    .unwrap();
    let folder =
        std::env::temp_dir().join(format!("ionoscope-operator-from-{}", std::process::id()));
    // After so many records: of the start alone, of an epoch, of the warning; the last of them twice.
    for stops in [vec![1], vec![2, 3], vec![3, 3]] {
        let _ = std::fs::remove_dir_all(&folder);
        for (k, stop) in stops.iter().enumerate() {
            let interrupt = StopFlag::default();
            let (raised, mut count, mut told) = (interrupt.clone(), 0, 0);
            let mut progress = |_: &Record| {
                count += 1;
                if count == *stop {
                    raised.raise();
                }
            };
            let mut before = |records: &[Record]| told = records.len();
            let (existing, watch) = (Existing::Resume, Watcher::new(interrupt));
            let (before, progress): (Option<Listener>, _) =
                (Some(&mut before), Some(&mut progress as _));
            let mut run = Run {
                directory: Some(&folder),
                existing,
                from: Some(&fno),
                watch,
                before,
                progress,
                ..Run::default()
            };
            assert_eq!(
                train_operator(&data, &config, &mut run).unwrap().ending,
                Ending::Interrupted
            );
            assert_eq!(told > 0, k > 0);
        }
        let mut run = Run {
            directory: Some(&folder),
            existing: Existing::Resume,
            from: Some(&fno),
            ..Run::default()
        };
        let resumed = train_operator(&data, &config, &mut run).unwrap();
        assert_eq!(
            plain(&resumed.history),
            plain(&through.history),
            "{stops:?}"
        );
        assert_eq!(
            (resumed.validation, resumed.start, &resumed.warnings),
            (through.validation, through.start, &through.warnings)
        );
        assert_eq!(resumed.fno, through.fno);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_not_finite_is_no_network_and_whatever_is_kept_is_read_again() {
    let data = data();
    let (mut kept, mut lost) = (0, 0);
    for (k, learning_rate) in [0.1, 10.0, 50.0, 1e3, 1e6, 1e20].into_iter().enumerate() {
        for optimizer in [Optimizer::Muon, Optimizer::Adam] {
            let adam = AdamConfig {
                learning_rate,
                batch: 40,
                ..config(1 + k as u64 % 2).adam
            };
            match train_operator(
                &data,
                &OperatorConfig {
                    optimizer,
                    adam,
                    ..config(1)
                },
                &mut Run::default(),
            ) {
                Ok(trained) => {
                    kept += 1;
                    assert_eq!(
                        Fno::from_bytes(&trained.fno.to_bytes().unwrap()).unwrap(),
                        trained.fno
                    );
                    assert!(
                        learning_rate < 1.0 || trained.warnings.len() == 1,
                        "{learning_rate}"
                    );
                }
                Err(e) => {
                    lost += 1;
                    assert!(
                        !e.is_input() && e.to_string().contains("lower adam.learning_rate"),
                        "{e}"
                    );
                }
            }
        }
    }
    assert!(kept > 0 && lost > 0, "{kept} {lost}");
    // Without a validation set there is no band, and yet the output is looked at.
    let blind = ResponseData {
        validation: data.validation.clone(),
        ..data.clone()
    };
    let blind = ResponseData {
        validation: crate::responses::Responses {
            input: vec![],
            x: vec![],
            class: vec![],
            p: vec![],
            ..blind.validation
        },
        ..blind
    };
    let adam = AdamConfig {
        learning_rate: 1e6,
        batch: 40,
        ..config(1).adam
    };
    let e = train_operator(
        &blind,
        &OperatorConfig {
            optimizer: Optimizer::Adam,
            adam,
            ..config(1)
        },
        &mut Run::default(),
    )
    .unwrap_err();
    assert!(e.to_string().contains("lower adam.learning_rate"), "{e}");
    // Nor is anything written that the reader would refuse.
    let trained = train_operator(&data, &config(1), &mut Run::default())
        .unwrap()
        .fno;
    let band = |v: f64| {
        let mut bands = trained.bands.clone().unwrap();
        bands.factor[1][3] = v;
        Fno {
            bands: Some(bands),
            ..trained.clone()
        }
    };
    let t_end = Fno {
        t_end: f64::NAN,
        ..trained.clone()
    };
    let mut weight = trained.clone();
    weight.weights[7] = f32::INFINITY;
    for wrong in [band(f64::NAN), band(f64::INFINITY), t_end, weight] {
        let e = wrong.to_bytes().unwrap_err();
        assert!(
            !e.is_input() && e.to_string().contains("could not be read again"),
            "{e}"
        );
    }
}

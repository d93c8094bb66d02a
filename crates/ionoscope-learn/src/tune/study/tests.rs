use std::{path::PathBuf, sync::atomic::AtomicUsize};

use ionoscope_dynamics::watch::StopFlag;

use super::{super::journal::attribute::ABANDONED, *};

fn config(trials: usize) -> StudyConfig {
    let space =
        serde_json::from_str(r#"{"x": {"real": [-5, 5]}, "n": {"integer": [1, 9]}}"#).unwrap();
    StudyConfig {
        trials,
        pruner: Pruner::Asha {
            first: 1,
            factor: 2,
        },
        space,
        ..StudyConfig::default()
    }
}

fn file(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ionoscope-study-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir.join("journal.log")
}

fn cost(values: &BTreeMap<String, Value>) -> f64 {
    (values["x"].as_f64().unwrap() - 1.0).powi(2) + values["n"].as_f64().unwrap()
}

fn quadratic(s: &Suggestion, report: Reporter) -> Result<TrialOutcome> {
    for step in 1..=4 {
        if !report(step, cost(s.values) + 1.0 / step as f64)? {
            return Ok(TrialOutcome::Pruned);
        }
    }
    Ok(TrialOutcome::Complete(vec![cost(s.values)]))
}

fn work<'a>(objective: &'a Objective<'a>) -> Work<'a> {
    let defaults = BTreeMap::from([("x".to_owned(), json!(0.5)), ("n".to_owned(), json!(3))]);
    Work {
        defaults,
        fit: &|_| Some(BTreeMap::new()),
        objective,
        tell: &|_| (),
        alone: false,
    }
}

#[test]
fn a_study_is_done_once_and_repeats() {
    let go = |name: &str| {
        run(
            Some(&file(name)),
            &config(30),
            &BTreeMap::new(),
            1,
            &Watcher::default(),
            &work(&quadratic),
        )
        .unwrap()
    };
    let (a, b) = (go("once"), go("again"));
    let plain = |t: &Trial| (t.number, t.state, t.values.clone(), t.value);
    assert_eq!(
        a.iter().map(plain).collect::<Vec<_>>(),
        b.iter().map(plain).collect::<Vec<_>>()
    );
    assert_eq!(
        (
            a.len(),
            a[0].values["n"].as_i64(),
            a[0].values["x"].as_f64()
        ),
        (30, Some(3), Some(0.5))
    );
    assert!(
        a.iter().any(|t| t.state == State::Pruned) && a.iter().any(|t| t.state == State::Complete)
    );
    let best = a
        .iter()
        .filter_map(|t| t.value)
        .fold(f64::INFINITY, f64::min);
    assert!(best < 2.0, "{best}");
}

#[test]
fn in_memory_it_is_the_same_study() {
    let go = |path: Option<&Path>| {
        run(
            path,
            &config(30),
            &BTreeMap::new(),
            1,
            &Watcher::default(),
            &work(&quadratic),
        )
        .unwrap()
    };
    let plain = |trials: Vec<Trial>| {
        trials
            .into_iter()
            .map(|t| (t.number, t.state, t.values, t.value))
            .collect::<Vec<_>>()
    };
    assert_eq!(plain(go(None)), plain(go(Some(&file("memory")))));
    assert!(
        run(
            None,
            &config(3),
            &BTreeMap::new(),
            2,
            &Watcher::default(),
            &work(&quadratic)
        )
        .is_err()
    );
}

#[test]
fn several_objectives_give_a_front() {
    let both = |s: &Suggestion, report: Reporter| {
        // Hopeless at first, and yet not given up.
        assert!(report(1, 1e9)?);
        let (x, n) = (
            s.values["x"].as_f64().unwrap(),
            s.values["n"].as_f64().unwrap(),
        );
        Ok(TrialOutcome::Complete(vec![
            (x - 1.0).powi(2) + n,
            (x + 1.0).powi(2) + n,
        ]))
    };
    let two = StudyConfig {
        objectives: vec!["a".into(), "b".into()],
        ..config(60)
    };
    let about = BTreeMap::from([("objectives".to_owned(), json!(two.objectives))]);
    let trials = run(
        Some(&file("front")),
        &two,
        &about,
        1,
        &Watcher::default(),
        &work(&both),
    )
    .unwrap();
    let points: Vec<Vec<f64>> = trials.iter().map(Trial::objectives).collect();
    let front = super::super::front::fronts(&points);
    let best: Vec<&Trial> = trials
        .iter()
        .zip(&front)
        .filter(|(_, f)| **f == 0)
        .map(|(t, _)| t)
        .collect();
    // On the front n is 1 and x between -1 and 1, and TPE has come near.
    assert!(best.len() >= 3, "{}", best.len());
    assert!(
        best.iter()
            .filter(|t| t.values["n"] == 1 && t.values["x"].as_f64().unwrap().abs() < 1.5)
            .count()
            >= 3
    );
    let wrong = |_: &Suggestion, _: Reporter| Ok(TrialOutcome::Complete(vec![1.0]));
    let message = run(
        Some(&file("short")),
        &two,
        &about,
        1,
        &Watcher::default(),
        &work(&wrong),
    )
    .unwrap_err()
    .to_string();
    assert!(message.contains("2 objectives"), "{message}");
}

#[test]
fn trials_of_the_random_sampler_do_not_depend_on_the_workers() {
    let config = StudyConfig {
        sampler: Sampler::Random,
        pruner: Pruner::None,
        ..config(12)
    };
    let go = |name: &str, workers| {
        run(
            Some(&file(name)),
            &config,
            &BTreeMap::new(),
            workers,
            &Watcher::default(),
            &work(&quadratic),
        )
        .unwrap()
    };
    let values = |trials: Vec<Trial>| {
        trials
            .into_iter()
            .map(|t| (t.number, t.values, t.value))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(go("one", 1)), values(go("three", 3)));
}

#[test]
fn what_is_interrupted_or_left_behind_is_begun_again_with_its_seed() {
    let path = file("left");
    let (stop, calls) = (StopFlag::default(), AtomicUsize::new(0));
    let interrupted = |s: &Suggestion, report: Reporter| {
        if calls.fetch_add(1, Ordering::Relaxed) == 2 {
            stop.raise();
            return Ok(TrialOutcome::Interrupted);
        }
        quadratic(s, report)
    };
    let trials = run(
        Some(&path),
        &config(5),
        &BTreeMap::new(),
        1,
        &Watcher::new(stop.clone()),
        &work(&interrupted),
    )
    .unwrap();
    assert_eq!((trials.len(), trials[2].state), (3, State::Waiting));
    // A worker that was killed in a trial.
    let mut dead = Journal::open(&path, "study", &BTreeMap::new()).unwrap();
    let values = BTreeMap::from([("x".to_owned(), json!(1.0)), ("n".to_owned(), json!(2))]);
    let worker = json!({"host": host(), "pid": 4_000_000, "began": 1});
    let attributes = BTreeMap::from([(WORKER.to_owned(), worker)]);
    dead.start(&config(5).space, |_, _| {
        Ok(Some(Begin::New(NewTrial {
            values: values.clone(),
            attributes,
        })))
    })
    .unwrap();
    let seeds = Mutex::new(Vec::new());
    let note = |s: &Suggestion, report: Reporter| {
        seeds
            .lock()
            .unwrap()
            .push((s.origin, s.seed, s.values.clone()));
        quadratic(s, report)
    };
    let trials = run(
        Some(&path),
        &config(5),
        &BTreeMap::new(),
        1,
        &Watcher::default(),
        &work(&note),
    )
    .unwrap();
    let seeds = seeds.into_inner().unwrap();
    assert_eq!(
        (seeds[0].0, seeds[0].1, &seeds[0].2),
        (2, seed_of(1, 2), &trials[2].values)
    );
    assert_eq!((seeds[1].0, &seeds[1].2), (3, &values));
    assert_eq!(trials.len(), 5);
    assert!(trials.iter().all(|t| t.state.finished()));
}

/// The attributes of a trial whose worker is of this machine and no more.
fn dead() -> BTreeMap<String, Value> {
    BTreeMap::from([(
        WORKER.to_owned(),
        json!({"host": host(), "pid": 4_000_000, "began": 1}),
    )])
}

#[test]
fn what_was_left_behind_is_let_go_of_once() {
    let path = file("once");
    let open = || Journal::open(&path, "study", &BTreeMap::new()).unwrap();
    let values = BTreeMap::from([("x".to_owned(), json!(0.25)), ("n".to_owned(), json!(7))]);
    open()
        .start(&config(5).space, |_, _| {
            Ok(Some(Begin::New(NewTrial {
                values,
                attributes: dead(),
            })))
        })
        .unwrap();
    // Two that go on at the same time, and both have seen what is left behind.
    let (mut first, mut second) = (open(), open());
    abandon(&mut first, &config(5)).unwrap();
    assert_eq!(first.trials()[0].state, State::Waiting);
    let (me, work) = (Me::new(), work(&quadratic));
    let begun = first
        .start(&config(5).space, |number, known| {
            next(&config(5), number, known, &me, &work)
        })
        .unwrap();
    assert_eq!((begun, second.trials()[0].state), (Some(0), State::Running));
    abandon(&mut second, &config(5)).unwrap();
    assert!(me.has(&open().trials()[0]), "{:?}", open().trials()[0]);
    // Of one that ends while another has its trial, too.
    let other = Me::new();
    second.release(|t| other.has(t)).unwrap();
    assert!(me.has(&open().trials()[0]));
    first.release(|t| me.has(t)).unwrap();
    assert_eq!(open().trials()[0].state, State::Waiting);
}

#[test]
fn a_worker_whose_trial_is_in_other_hands_does_not_let_go_of_it() {
    let path = file("hands");
    let other = json!({"host": "another", "pid": 1, "began": 1});
    // Its own error is what ends it: it has not looked at the journal since.
    let taken = |s: &Suggestion, _: Reporter| {
        let mut journal = Journal::open(&path, "study", &BTreeMap::new())?;
        journal.attribute(s.number, WORKER, &other)?;
        Err(Error::Failed("no disk".into()))
    };
    let message = run(
        Some(&path),
        &config(5),
        &BTreeMap::new(),
        1,
        &Watcher::default(),
        &work(&taken),
    )
    .unwrap_err()
    .to_string();
    assert!(message.contains("no disk"), "{message}");
    let journal = Journal::open(&path, "study", &BTreeMap::new()).unwrap();
    assert_eq!(
        (
            journal.trials()[0].state,
            journal.trials()[0].attributes.get(WORKER)
        ),
        (State::Running, Some(&other))
    );
}

/// Samplers, pruners and numbers of objectives, each at least once.
fn kinds() -> Vec<StudyConfig> {
    let pruners = [
        Pruner::Asha {
            first: 1,
            factor: 2,
        },
        Pruner::Hyperband {
            first: 1,
            factor: 2,
            last: 4,
        },
        Pruner::Median,
        Pruner::None,
    ];
    let samplers = [Sampler::Random, Sampler::Tpe, Sampler::Sobol, Sampler::Tpe];
    let of = |(k, sampler): (usize, Sampler)| StudyConfig {
        sampler,
        pruner: pruners[k],
        ..config(14)
    };
    let mut all: Vec<StudyConfig> = samplers.into_iter().enumerate().map(of).collect();
    all[3].objectives = vec!["a".into(), "b".into()];
    all
}

/// As [`quadratic`], for any number of objectives; some trials cannot be done.
fn several(s: &Suggestion, report: Reporter, objectives: usize) -> Result<TrialOutcome> {
    if s.number % 5 == 3 {
        return Ok(TrialOutcome::Failed("too wide".into()));
    }
    Ok(match quadratic(s, report)? {
        TrialOutcome::Complete(v) => TrialOutcome::Complete(
            (0..objectives)
                .map(|k| v[0] * (k as f64 - 0.3).abs())
                .collect(),
        ),
        other => other,
    })
}

/// What a trial tried and found: number, state, values, objectives, reports.
type Found = (
    usize,
    State,
    BTreeMap<String, Value>,
    Vec<f64>,
    BTreeMap<u64, f64>,
);

fn found(trials: &[Trial]) -> Vec<Found> {
    trials
        .iter()
        .map(|t| {
            (
                t.number,
                t.state,
                t.values.clone(),
                t.objectives(),
                t.reported.clone(),
            )
        })
        .collect()
}

#[test]
fn killed_after_any_record_a_study_tries_and_finds_the_same() {
    for (k, config) in kinds().into_iter().enumerate() {
        let (path, about) = (
            file(&format!("any-{k}")),
            BTreeMap::from([("objectives".to_owned(), json!(config.objectives))]),
        );
        let objective =
            |s: &Suggestion, report: Reporter| several(s, report, config.objectives.len());
        let go = || {
            run(
                Some(&path),
                &config,
                &about,
                1,
                &Watcher::default(),
                &work(&objective),
            )
            .unwrap()
        };
        let whole = go();
        assert!(
            whole.iter().any(|t| t.state == State::Failed)
                && whole.iter().any(|t| t.state == State::Complete)
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let ends: Vec<usize> = text.match_indices('\n').map(|m| m.0 + 1).collect();
        for (j, end) in ends.iter().enumerate().skip(3 + k).step_by(7) {
            // Whole records, or the last of them torn.
            std::fs::write(&path, &text[..end - 9 * (j % 2)]).unwrap();
            assert_eq!(
                found(&go()),
                found(&whole),
                "{:?}, {j} records",
                config.sampler
            );
        }
    }
}

#[test]
fn interrupted_again_and_again_a_study_tries_and_finds_the_same() {
    for (k, config) in kinds().into_iter().enumerate() {
        let about = BTreeMap::from([("objectives".to_owned(), json!(config.objectives))]);
        let plain = |s: &Suggestion, report: Reporter| several(s, report, config.objectives.len());
        let go = |path: &Path, stop: &Watcher, objective: &Objective| {
            run(Some(path), &config, &about, 1, stop, &work(objective))
        };
        let whole = go(&file(&format!("whole-{k}")), &Watcher::default(), &plain).unwrap();
        let path = file(&format!("again-{k}"));
        // Before its first report, after some, and at its end; by Ctrl-C, and by a disk that is full.
        for n in 0.. {
            let (stop, calls) = (StopFlag::default(), AtomicUsize::new(0));
            let stopped = |s: &Suggestion, report: Reporter| {
                if calls.fetch_add(1, Ordering::Relaxed) < n % 2 {
                    return plain(s, report);
                }
                // Whatever the reporter says: it may not be heard any more.
                for step in 1..=(n as u64 % 5) {
                    report(step, cost(s.values) + 1.0 / step as f64)?;
                }
                if n % 3 == 0 {
                    return Err(Error::Failed("no space left".into()));
                }
                stop.raise();
                Ok(TrialOutcome::Interrupted)
            };
            let ended = go(&path, &Watcher::new(stop.clone()), &stopped);
            if n == 30 {
                break;
            }
            assert!(n % 3 == 0 || ended.is_ok());
        }
        assert_eq!(
            found(&go(&path, &Watcher::default(), &plain).unwrap()),
            found(&whole),
            "{:?}",
            config.sampler
        );
    }
}

#[test]
fn what_an_older_version_left_behind_is_begun_again_and_counts_once() {
    let path = file("older");
    let config = StudyConfig {
        pruner: Pruner::Asha {
            first: 1,
            factor: 2,
        },
        ..config(4)
    };
    let mut older = Journal::open(&path, "study", &BTreeMap::new()).unwrap();
    let values = BTreeMap::from([("x".to_owned(), json!(1.0)), ("n".to_owned(), json!(2))]);
    let new = NewTrial {
        values: values.clone(),
        attributes: BTreeMap::from([(
            WORKER.to_owned(),
            json!({"host": host(), "pid": 4_000_000}),
        )]),
    };
    older
        .start(&config.space, |_, _| Ok(Some(Begin::New(new))))
        .unwrap();
    older.report(0, 1, -1e9).unwrap();
    older.attribute(0, ABANDONED, &json!(true)).unwrap();
    older.finish(0, State::Failed, &[]).unwrap();
    let trials = run(
        Some(&path),
        &config,
        &BTreeMap::new(),
        1,
        &Watcher::default(),
        &work(&quadratic),
    )
    .unwrap();
    assert_eq!(
        (trials[1].origin(), &trials[1].values, trials.len()),
        (0, &values, 5)
    );
    // Its half-done report, which nothing could beat, ends nobody.
    assert_eq!(trials[1].state, State::Complete);
}

#[test]
fn budgets_are_met_or_refused_and_errors_end_the_study() {
    let even = |values: &BTreeMap<String, Value>| {
        let n = values["n"].as_i64().unwrap();
        (n % 2 == 0).then(|| BTreeMap::from([("m".to_owned(), json!(10 - n))]))
    };
    let sums = |s: &Suggestion, _: Reporter| {
        Ok(TrialOutcome::Complete(vec![
            s.values["n"].as_f64().unwrap() + s.fitted["m"].as_f64().unwrap(),
        ]))
    };
    let with = Work {
        fit: &even,
        ..work(&sums)
    };
    let trials = run(
        Some(&file("budget")),
        &config(8),
        &BTreeMap::new(),
        1,
        &Watcher::default(),
        &with,
    )
    .unwrap();
    assert!(trials.iter().all(|t| t.value == Some(10.0)));
    let never = Work {
        fit: &|_| None,
        ..work(&quadratic)
    };
    let message = run(
        Some(&file("never")),
        &config(8),
        &BTreeMap::new(),
        1,
        &Watcher::default(),
        &never,
    )
    .unwrap_err()
    .to_string();
    assert!(message.contains("budget"), "{message}");
    let broken = |_: &Suggestion, _: Reporter| Err(Error::Failed("no disk".into()));
    let message = run(
        Some(&file("broken")),
        &config(8),
        &BTreeMap::new(),
        2,
        &Watcher::default(),
        &work(&broken),
    )
    .unwrap_err()
    .to_string();
    assert!(message.contains("no disk"));
    let hopeless = |_: &Suggestion, _: Reporter| Ok(TrialOutcome::Failed("too wide".into()));
    let message = run(
        Some(&file("hopeless")),
        &config(2),
        &BTreeMap::new(),
        1,
        &Watcher::default(),
        &work(&hopeless),
    )
    .unwrap_err()
    .to_string();
    assert!(message.contains("trials failed"), "{message}");
}

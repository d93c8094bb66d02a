use super::*;

fn folder(name: &str) -> PathBuf {
    let path =
        std::env::temp_dir().join(format!("ionoscope-journal-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn space() -> Space {
    serde_json::from_str(
        r#"{"n": {"integer": [1, 9]}, "c": {"choice": ["a", "b"]}, "r": {"log": [1e-4, 1]}}"#,
    )
    .unwrap()
}

fn new(n: i64) -> Result<Option<Begin>> {
    let values = BTreeMap::from([
        ("n".to_owned(), json!(n)),
        ("c".to_owned(), json!("b")),
        ("r".to_owned(), json!(0.01)),
    ]);
    Ok(Some(Begin::New(NewTrial {
        values,
        attributes: BTreeMap::from([("seed".to_owned(), json!(7))]),
    })))
}

#[test]
fn what_is_written_is_read_by_another_worker_also_after_a_cut() {
    let dir = folder("cut");
    let path = dir.join("journal.log");
    let about = BTreeMap::from([("space".to_owned(), json!({"n": 1}))]);
    let mut a = Journal::open(&path, "study", &about).unwrap();
    let mut b = Journal::open(&path, "study", &about).unwrap();
    assert_eq!(a.start(&space(), |_, _| new(3)).unwrap(), Some(0));
    a.report(0, 1, 0.5).unwrap();
    a.report(0, 2, f64::NAN).unwrap();
    assert_eq!(
        b.start(&space(), |n, known| {
            assert_eq!((n, known[0].last()), (1, Some((1, 0.5))));
            new(4)
        })
        .unwrap(),
        Some(1)
    );
    a.finish(0, State::Complete, &[0.25]).unwrap();
    b.sync().unwrap();
    let first = &b.trials()[0];
    assert_eq!(
        (
            first.state,
            first.value,
            first.values["n"].as_i64(),
            &first.values["c"]
        ),
        (State::Complete, Some(0.25), Some(3), &json!("b"))
    );
    assert_eq!(first.attributes["seed"], 7);
    // The last line is cut short: what it said did not happen, and the next writer goes on.
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let mut c = Journal::open(&path, "study", &about).unwrap();
    assert_eq!(c.trials()[0].state, State::Running);
    c.finish(0, State::Pruned, &[]).unwrap();
    let d = Journal::open(&path, "study", &about).unwrap();
    assert_eq!((d.trials()[0].state, d.trials().len()), (State::Pruned, 2));
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .lines()
            .all(|l| serde_json::from_str::<Value>(l).is_ok())
    );
    // A finished trial stays as it is; another study of the file has trials of its own.
    c.finish(0, State::Complete, &[1.0]).unwrap();
    assert_eq!(c.trials()[0].state, State::Pruned);
    let mut other = Journal::open(&path, "other", &about).unwrap();
    assert_eq!(other.start(&space(), |_, _| new(1)).unwrap(), Some(0));
    c.sync().unwrap();
    assert_eq!((c.trials().len(), other.trials().len()), (2, 1));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn other_studies_newer_files_and_no_journals_are_refused() {
    let dir = folder("refused");
    let path = dir.join("journal.log");
    Journal::open(
        &path,
        "study",
        &BTreeMap::from([("space".to_owned(), json!(1))]),
    )
    .unwrap();
    let message = |name: &str| {
        Journal::open(
            &path,
            name,
            &BTreeMap::from([("space".to_owned(), json!(2))]),
        )
        .err()
        .map(|e| e.to_string())
    };
    assert!(message("study").unwrap().contains("space was 1 and is"));
    assert!(message("new").is_none());
    fs::write(&path, "{\"op_code\": 11}\n").unwrap();
    assert!(message("study").unwrap().contains("newer version"));
    fs::write(&path, "hello\nyou\n").unwrap();
    assert!(message("study").unwrap().contains("no record"));
    fs::remove_dir_all(&dir).unwrap();
}

/// Written by Optuna 4.5: a study of two trials, one pruned, one with a value that is no number.
#[test]
fn what_optuna_writes_is_read() {
    let dir = folder("optuna");
    let path = dir.join("journal.log");
    fs::write(
        &path,
        include_bytes!("../../../tests/data/optuna-journal.log"),
    )
    .unwrap();
    let journal = Journal::open(&path, "from-optuna", &BTreeMap::new()).unwrap();
    let states: Vec<State> = journal.trials().iter().map(|t| t.state).collect();
    assert_eq!(states, [State::Complete, State::Pruned, State::Failed]);
    let first = &journal.trials()[0];
    assert_eq!(
        (
            first.values["n"].as_i64(),
            &first.values["kind"],
            first.value
        ),
        (Some(5), &json!("zongyi"), Some(0.5))
    );
    assert_eq!(
        (
            first.values["rate"].as_f64(),
            first.reported[&1],
            &first.attributes["note"]
        ),
        (Some(0.01), 0.75, &json!("hello"))
    );
    assert_eq!(journal.trials()[1].last(), Some((1, 2.0)));
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn without_locks_one_may_write_and_several_objectives_are_kept() {
    let dir = folder("alone");
    let path = dir.join("journal.log");
    let about = BTreeMap::from([("objectives".to_owned(), json!(["error", "weights"]))]);
    // Where the lock would stand there is a folder that nobody removes: with locks this would wait.
    fs::create_dir_all(dir.join("journal.log.lock")).unwrap();
    let mut alone = Journal::open_as(&path, "study", &about, true).unwrap();
    assert_eq!(alone.start(&space(), |_, _| new(3)).unwrap(), Some(0));
    alone.finish(0, State::Complete, &[0.5, 7.0]).unwrap();
    let again = Journal::open_as(&path, "study", &about, true).unwrap();
    assert_eq!(
        (again.trials()[0].value, again.trials()[0].objectives()),
        (Some(0.5), vec![0.5, 7.0])
    );
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .contains(r#""directions":[1,1]"#)
    );
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_lock_whose_holder_was_killed_is_taken_away() {
    let dir = folder("stale");
    let path = dir.join("journal.log");
    let mut journal = Journal::open(&path, "study", &BTreeMap::new()).unwrap();
    fs::write(dir.join("journal.log.lock"), "").unwrap();
    journal.stale = Duration::from_millis(20);
    assert_eq!(journal.start(&space(), |_, _| new(3)).unwrap(), Some(0));
    assert_eq!(
        Journal::open(&path, "study", &BTreeMap::new())
            .unwrap()
            .trials()
            .len(),
        1
    );
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn many_writers_lose_nothing() {
    let dir = folder("many");
    let path = dir.join("journal.log");
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let mut journal = Journal::open(&path, "study", &BTreeMap::new()).unwrap();
                for _ in 0..25 {
                    let number = journal
                        .start(&space(), |n, _| new(1 + n as i64 % 9))
                        .unwrap()
                        .unwrap();
                    journal
                        .finish(number, State::Complete, &[number as f64])
                        .unwrap();
                }
            });
        }
    });
    let journal = Journal::open(&path, "study", &BTreeMap::new()).unwrap();
    assert!(
        journal.trials().len() == 100
            && journal
                .trials()
                .iter()
                .all(|t| t.value == Some(t.number as f64))
    );
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn times_are_those_of_the_calendar() {
    let text = now();
    assert_eq!(
        (text.len(), &text[4..5], &text[10..11], &text[26..]),
        (32, "-", "T", "+00:00")
    );
    assert!(text.as_str() > "2026-01-01");
}

#[test]
fn what_differs_is_named_and_nothing_else() {
    let dir = folder("differs");
    let path = dir.join("journal.log");
    let about = |hidden: u32| {
        BTreeMap::from([(
            "base".to_owned(),
            json!({"train": {"hidden": hidden, "rate": 0.1}, "seed": 1}),
        )])
    };
    drop(Journal::open(&path, "study", &about(20)).unwrap());
    let message = Journal::open(&path, "study", &about(50))
        .err()
        .unwrap()
        .to_string();
    assert!(
        message.contains("base.train.hidden was 20 and is 50") && !message.contains("rate"),
        "{message}"
    );
    Journal::open(&path, "study", &about(20)).unwrap();
    fs::remove_dir_all(&dir).unwrap();
}

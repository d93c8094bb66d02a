//! `ionoscope tune`: a study from the command line, killed, resumed, rerun, under a budget; and what is refused.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use ionoscope_learn::architectures::{
    fno::{Fno, FnoConfig},
    neural_map::NeuralMap,
};
use serde_json::Value;

mod command;

use command::{Folder, command, json, out, refused};

const STUDY: &str = r#"
trials = 5

[pruner]
kind = "none"

[space]
"operator.network.width" = { integer = [4, 12], step = 4 }
"operator.network.kind" = { choice = ["classic", "zongyi"] }
"operator.adam.learning_rate" = { log = [1e-3, 1e-1] }

[responses]
samples = [16, 6, 4]
points = 100
rtol = 1e-6
atol = 1e-8

[operator]
validate_every = 1

[operator.network]
width = 8
modes = 6
layers = 2

[operator.adam]
epochs = 4
batch = 8
"#;

fn tune<'a>(study: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["tune", study, "-o", output, "--quiet"], more].concat()
}

fn states(dir: &str) -> Vec<i64> {
    let text = fs::read_to_string(format!("{dir}/journal.log")).unwrap_or_default();
    let records = text
        .lines()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok());
    records
        .filter(|r| r["op_code"] == 6)
        .filter_map(|r| r["state"].as_i64())
        .collect()
}

/// Kills a process when it does not hold the lock of the journal, for which the next would wait for half a minute, as Optuna's do.
fn kill(child: &mut Child, dir: &str) {
    let send = |signal: &str| {
        Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap()
    };
    send("-STOP");
    while fs::symlink_metadata(format!("{dir}/journal.log.lock")).is_ok() {
        send("-CONT");
        std::thread::sleep(Duration::from_millis(1));
        send("-STOP");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_study_is_made_and_a_trial_comes_out_the_same_again() {
    let folder = Folder::new("tune");
    let study = folder.path("study.toml");
    fs::write(&study, STUDY).unwrap();
    let dir = folder.path("run");
    let answer = json(&tune(&study, &dir, &["--json"]));
    let trials = answer["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 5);
    assert_eq!(
        (
            trials[0]["values"]["operator.network.width"].as_u64(),
            trials[0]["values"]["operator.network.kind"].as_str()
        ),
        (Some(8), Some("zongyi"))
    );
    let best = trials
        .iter()
        .filter_map(|t| t["value"].as_f64())
        .fold(f64::INFINITY, f64::min);
    assert_eq!(answer["best"]["value"].as_f64(), Some(best));
    let names: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        names.iter().filter(|n| n.contains("journal")).count(),
        1,
        "{names:?}"
    );
    // The best configuration is one that `train` takes, and gives the best value.
    let trained = json(&[
        "train",
        &format!("{dir}/best.toml"),
        "-o",
        &folder.path("best"),
        "--quiet",
        "--json",
    ]);
    assert_eq!(trained["validation"].as_f64(), Some(best));
    for number in ["0", "3"] {
        let again = json(&tune(&study, &dir, &["--rerun", number, "--json"]));
        assert_eq!(again["same"], true);
    }
    // The same study with two workers: TPE has not begun to look, so its trials are the same.
    let two = json(&tune(
        &study,
        &folder.path("two"),
        &["--workers", "2", "--json"],
    ));
    let values = |a: &Value| {
        a["trials"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| (t["values"].clone(), t["value"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&two), values(&answer));
    refused(2, &tune(&study, &dir, &[]), &["--resume"]);
    refused(2, &tune(&study, &dir, &["--rerun", "9"]), &["no trial 9"]);
    refused(
        2,
        &tune(&study, &dir, &["--resume", "--seed", "2"]),
        &["seed was 1 and is 2", "another folder"],
    );
}

#[test]
fn a_study_that_is_killed_loses_nothing() {
    let folder = Folder::new("tune-kill");
    let study = folder.path("study.toml");
    fs::write(
        &study,
        STUDY
            .replace("epochs = 4", "epochs = 20")
            .replace("trials = 5", "trials = 4"),
    )
    .unwrap();
    let (through, killed) = (folder.path("through"), folder.path("killed"));
    let whole = json(&tune(&study, &through, &["--json"]));
    let mut child = command(&tune(&study, &killed, &[])).spawn().unwrap();
    let begun = Instant::now();
    while states(&killed).len() < 2 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(&mut child, &killed);
    // A record that was being written.
    let path = format!("{killed}/journal.log");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"op_code\":7,\"tri");
    fs::write(&path, text).unwrap();
    let rest = json(&tune(&study, &killed, &["--resume", "--json"]));
    // Nothing that is tried or found depends on it, and numbers are the same.
    assert_eq!(rest["trials"], whole["trials"]);
    assert_eq!(said(&killed), said(&through));
}

/// What a study says of itself.
fn said(dir: &str) -> [String; 2] {
    ["best.toml", "trials.csv"].map(|name| fs::read_to_string(format!("{dir}/{name}")).unwrap())
}

/// Some of whose trials are given up; TPE begins to look at what it found after ten.
fn long(sampler: &str) -> String {
    let asha = STUDY.replace("kind = \"none\"", "kind = \"asha\"\nfirst = 2\nfactor = 2");
    let trials = if sampler == "tpe" {
        "trials = 12"
    } else {
        "trials = 8"
    };
    format!(
        "sampler = \"{sampler}\"\n{}",
        asha.replace("epochs = 4", "epochs = 8")
            .replace("trials = 5", trials)
    )
}

#[test]
fn interrupted_and_killed_at_any_time_a_study_tries_and_finds_the_same() {
    for sampler in ["random", "tpe", "sobol"] {
        let folder = Folder::new(&format!("tune-any-{sampler}"));
        let study = folder.path("study.toml");
        fs::write(&study, long(sampler)).unwrap();
        let (through, broken) = (folder.path("through"), folder.path("broken"));
        let begun = Instant::now();
        let whole = json(&tune(&study, &through, &["--json"]));
        let took = begun.elapsed();
        assert!(
            whole["trials"]
                .as_array()
                .unwrap()
                .iter()
                .any(|t| t["state"] == "pruned")
        );
        // In the first trial, between them, and anywhere.
        for k in 0..4 {
            let more: &[&str] = if fs::exists(format!("{broken}/journal.log")).unwrap() {
                &["--resume"]
            } else {
                &[]
            };
            let mut child = command(&tune(&study, &broken, more))
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(took.mul_f64([0.15, 0.05, 0.3, 0.25][k]));
            if k % 2 == 0 {
                kill(&mut child, &broken);
            } else {
                let sent = Command::new("kill")
                    .args(["-INT", &child.id().to_string()])
                    .status()
                    .unwrap();
                assert!(sent.success() || child.try_wait().unwrap().is_some());
            }
            child.wait().unwrap();
        }
        let more: &[&str] = if fs::exists(format!("{broken}/journal.log")).unwrap() {
            &["--json", "--resume"]
        } else {
            &["--json"]
        };
        let rest = json(&tune(&study, &broken, more));
        assert_eq!(rest["trials"], whole["trials"], "{sampler}");
        assert_eq!(said(&broken), said(&through), "{sampler}");
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_written_stops_a_study_which_then_goes_on() {
    let folder = Folder::new("tune-full");
    let study = folder.path("study.toml");
    fs::write(&study, STUDY.replace("trials = 5", "trials = 3")).unwrap();
    let through = folder.path("through");
    let whole = json(&tune(&study, &through, &["--json"]));
    // Files that may have no more than so many kilobytes, too few that may be open, and a file where a trial's folder is to be.
    let limits = [
        "trap '' XFSZ; ulimit -f 64",
        "trap '' XFSZ; ulimit -f 2",
        "ulimit -n 9",
        "ulimit -n 12",
        "mkdir -p \"$DIR/trials\"; touch \"$DIR/trials/0002\"",
    ];
    let mut stopped = 0;
    for (k, limit) in limits.into_iter().enumerate() {
        let dir = folder.path(&format!("limit-{k}"));
        let line = format!("{limit}; exec \"$0\" \"$@\"");
        let limited = |more: &[&str]| {
            let mut command = Command::new("bash");
            command
                .args(["-c", &line, env!("CARGO_BIN_EXE_ionoscope")])
                .args(tune(&study, &dir, more))
                .env("DIR", &dir);
            command.output().unwrap()
        };
        let output = limited(&[]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            continue;
        }
        stopped += 1;
        assert_eq!(output.status.code(), Some(1), "{limit}: {message}");
        assert!(
            message.contains("cannot write") || message.contains("cannot read"),
            "{limit}: {message}"
        );
        let journal = fs::exists(format!("{dir}/journal.log")).unwrap_or(false);
        if journal {
            // No trial is to blame, however often it is tried.
            assert_eq!(limited(&["--resume"]).status.code(), Some(1));
            assert!(!states(&dir).contains(&3), "{limit}: {:?}", states(&dir));
        }
        let _ = fs::remove_file(format!("{dir}/trials/0002"));
        let rest = json(&tune(
            &study,
            &dir,
            if journal {
                &["--json", "--resume"]
            } else {
                &["--json"]
            },
        ));
        assert_eq!(rest["trials"], whole["trials"], "{limit}");
        assert_eq!(said(&dir), said(&through), "{limit}");
    }
    assert!(stopped >= 3, "{stopped}");
}

#[test]
fn budgets_are_used_up_and_impossible_ones_refused() {
    let folder = Folder::new("tune-budget");
    let study = folder.path("study.toml");
    fs::write(
        &study,
        format!("{STUDY}\n[budget]\nweights = 12000\nsolve = \"operator.network.modes\"\n"),
    )
    .unwrap();
    let dir = folder.path("run");
    // Widths of 4 cannot use up so many weights with the modes of the grid.
    out(&tune(&study, &dir, &["--set", "operator.adam.epochs=1"]));
    let csv = fs::read_to_string(format!("{dir}/trials.csv")).unwrap();
    assert!(
        csv.lines()
            .next()
            .unwrap()
            .ends_with("operator.network.modes")
    );
    for number in 0..5 {
        let bytes = fs::read(format!("{dir}/trials/{number:04}/surrogate.safetensors")).unwrap();
        let weights = ionoscope_learn::architectures::fno::Fno::from_bytes(&bytes)
            .unwrap()
            .weights
            .len();
        assert!((11_640..=12_000).contains(&weights), "{weights}");
    }
    refused(
        2,
        &tune(
            &study,
            &folder.path("none"),
            &["--set", "budget.weights=100"],
        ),
        &["budget"],
    );
    let wrong = folder.path("wrong.toml");
    fs::write(&wrong, STUDY.replace("network.width\"", "network.wdith\"")).unwrap();
    refused(
        2,
        &tune(&wrong, &folder.path("wrong"), &[]),
        &["did you mean `width`"],
    );
}

#[test]
fn maps_are_tuned_too() {
    let folder = Folder::new("tune-map");
    let study = folder.path("map.toml");
    let text = r#"
trials = 3
[space]
"train.hidden" = { integer = [4, 8] }
"train.second_order.iterations" = { choice = [2, 4] }
[dataset]
chunks = 12
transient = 5
new_chunks = 2
rtol = 1e-8
atol = 1e-10
"#;
    fs::write(&study, text).unwrap();
    let dir = folder.path("run");
    let answer = json(&tune(
        &study,
        &dir,
        &["--json", "--set", "default_first=false"],
    ));
    let best = answer["best"]["value"].as_f64().unwrap();
    let trained = json(&[
        "train",
        &format!("{dir}/best.toml"),
        "-o",
        &folder.path("best"),
        "--quiet",
        "--json",
    ]);
    assert_eq!(trained["validation"]["mse"].as_f64(), Some(best));
    assert_eq!(
        json(&tune(
            &study,
            &dir,
            &["--rerun", "1", "--json", "--set", "default_first=false"]
        ))["same"],
        true
    );
    assert!(
        fs::read_to_string(format!("{dir}/report.html"))
            .unwrap()
            .contains("train.hidden")
    );
    // A budget leaves as many hidden units as it allows: 4 (3 + 1 + 3) + 1 weights each of 3 networks at 4.
    let budget = format!(
        "{}\n[budget]\nweights = 195\nsolve = \"train.hidden\"\n",
        text.replace("\"train.hidden\" = { integer = [4, 8] }", "")
    );
    fs::write(&study, budget).unwrap();
    let answer = json(&tune(
        &study,
        &folder.path("budget"),
        &["--json", "--set", "trials=2"],
    ));
    for t in answer["trials"].as_array().unwrap() {
        assert_eq!(t["fitted"]["train.hidden"], 9);
    }
    let map = NeuralMap::load(Path::new(
        &folder.path("budget/trials/0000/surrogate.safetensors"),
    ))
    .unwrap();
    assert!(
        (190..=195).contains(&map.weight_count()),
        "{}",
        map.weight_count()
    );
    let flops = ["--set", "budget={ flops = 9 }"];
    refused(
        2,
        &tune(&study, &folder.path("flops"), &flops),
        &["budget.flops: it is for operators"],
    );
}

#[test]
fn several_objectives_give_a_front() {
    let folder = Folder::new("tune-front");
    let study = folder.path("study.toml");
    let two = format!("objectives = [\"normalized\", \"weights\", \"wrong_spikes\"]\n{STUDY}");
    fs::write(&study, two.replace("trials = 5", "trials = 6")).unwrap();
    let dir = folder.path("run");
    let answer = json(&tune(&study, &dir, &["--json", "--single-writer"]));
    let trials = answer["trials"].as_array().unwrap();
    let of = |t: &Value| {
        t["objectives"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    assert!(
        trials
            .iter()
            .all(|t| t["state"] == "complete" && of(t).len() == 3)
    );
    let front: Vec<usize> = answer["front"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap() as usize)
        .collect();
    for (k, t) in trials.iter().enumerate() {
        let better = |u: &Value| of(u).iter().zip(of(t)).all(|(a, b)| *a <= b) && of(u) != of(t);
        assert_eq!(front.contains(&k), !trials.iter().any(better), "{k}");
        assert_eq!(
            fs::exists(format!("{dir}/front/{k:04}.toml")).unwrap(),
            front.contains(&k)
        );
        let fno = Fno::load(Path::new(&format!(
            "{dir}/trials/{k:04}/surrogate.safetensors"
        )))
        .unwrap();
        assert_eq!(of(t)[1], fno.weights.len() as f64);
    }
    // What `evaluate` says of the first is what the study says.
    let first = format!("{dir}/trials/0000");
    out(&[
        "dataset",
        &format!("{first}/config.toml"),
        "-o",
        &folder.path("data"),
        "--quiet",
    ]);
    let said = json(&[
        "evaluate",
        &format!("{first}/surrogate.safetensors"),
        &folder.path("data/responses.safetensors"),
        "--set",
        "validation",
        "--json",
    ]);
    let mean = said["normalized"]["mean"].as_f64().unwrap();
    assert!(
        (mean / of(&trials[0])[0] - 1.0).abs() < 1e-12,
        "{mean} {:?}",
        of(&trials[0])
    );
    assert!(
        fs::read_to_string(format!("{dir}/report.html"))
            .unwrap()
            .contains("The front")
    );
    let wrong = |objective: &str| format!("objectives=[\"{objective}\"]");
    refused(
        2,
        &tune(&study, &folder.path("a"), &["--set", &wrong("normal")]),
        &["did you mean 'normalized'"],
    );
    refused(
        2,
        &tune(&study, &folder.path("b"), &["--set", &wrong("fixed_point")]),
        &["needs a map"],
    );
    refused(
        2,
        &tune(
            &study,
            &folder.path("c"),
            &["--single-writer", "--workers", "2"],
        ),
        &["--workers"],
    );
    refused(
        2,
        &tune(&study, &dir, &["--resume", "--set", &wrong("weights")]),
        &["objectives"],
    );
}

#[test]
fn budgets_of_operations_and_of_time_are_met() {
    let folder = Folder::new("tune-costs");
    let study = folder.path("study.toml");
    for (budget, least) in [
        ("flops = 1.2e6", 0.5),
        ("bytes = 40000", 0.9),
        ("latency = 0.0005", 0.0),
    ] {
        fs::write(
            &study,
            format!(
                "{STUDY}\n[budget]\n{budget}\nleast = {least}\nsolve = \"operator.network.modes\"\n"
            ),
        )
        .unwrap();
        let dir = folder.path(budget.split(' ').next().unwrap());
        let more = [
            "--json",
            "--set",
            "trials=2",
            "--set",
            "operator.adam.epochs=1",
            "--set",
            "default_first=false",
        ];
        let answer = json(&tune(&study, &dir, &more));
        for (k, t) in answer["trials"].as_array().unwrap().iter().enumerate() {
            let fno = Fno::load(Path::new(&format!(
                "{dir}/trials/{k:04}/surrogate.safetensors"
            )))
            .unwrap();
            let modes = fno.config.modes;
            assert_eq!(t["fitted"]["operator.network.modes"], modes);
            let flops = |modes| {
                FnoConfig {
                    modes,
                    ..fno.config.clone()
                }
                .flops(3, 2, 100)
            };
            if budget.starts_with("flops") {
                assert!(
                    flops(modes) <= 1.2e6 && (flops(modes + 1) > 1.2e6 || modes == 51),
                    "{modes}"
                );
            }
            assert!(
                !budget.starts_with("bytes")
                    || (36_000..=40_000).contains(&(4 * fno.weights.len()))
            );
        }
    }
    refused(
        2,
        &tune(&study, &folder.path("two"), &["--set", "budget.weights=9"]),
        &["one of weights, flops, bytes, latency"],
    );
}

#[test]
fn workers_of_a_scheduler_share_a_study_and_one_that_is_killed_loses_nothing() {
    let folder = Folder::new("tune-ranks");
    let study = folder.path("study.toml");
    fs::write(
        &study,
        STUDY
            .replace("epochs = 4", "epochs = 16")
            .replace("trials = 5", "trials = 6"),
    )
    .unwrap();
    let dir = folder.path("run");
    let rank = |k: usize| {
        let arguments = tune(&study, &dir, &["--threads", "1"]);
        command(&arguments)
            .env("SLURM_PROCID", k.to_string())
            .env("SLURM_NTASKS", "3")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut ranks: Vec<_> = (0..3).map(rank).collect();
    let begun = Instant::now();
    while states(&dir).is_empty() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(&mut ranks[1], &dir);
    let ended: Vec<bool> = ranks
        .iter_mut()
        .map(|r| r.wait().unwrap().success())
        .collect();
    assert_eq!(ended, [true, false, true]);
    // What the killed one was at is begun again by whoever comes next.
    out(&tune(&study, &dir, &["--resume"]));
    let answer = json(&tune(&study, &dir, &["--resume", "--json"]));
    let trials = answer["trials"].as_array().unwrap();
    assert_eq!(
        trials.iter().filter(|t| t["state"] == "complete").count(),
        6
    );
    assert!(trials.iter().all(|t| t["state"] != "running"));
    assert!(fs::exists(format!("{dir}/best.toml")).unwrap());
}

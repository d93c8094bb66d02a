//! Fourier neural operators and maps with a stimulus from the command line: trained, killed, resumed, judged and used; and what is refused.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use ionoscope_learn::architectures::fno::Fno;

mod command;

use command::{Folder, command, json, out, refused, run};

/// A training of a second or two.
const TINY: &str = r#"
[responses]
samples = [40, 10, 10]
points = 100
t_end = 100
rtol = 1e-6
atol = 1e-8

[operator]
validate_every = 1

[operator.network]
width = 8
modes = 8
layers = 2
padding = 0.05

[operator.adam]
epochs = 12
batch = 8
"#;

fn train<'a>(config: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", config, "-o", output, "--quiet"], more].concat()
}

#[test]
fn shards_of_a_dataset_make_the_same_file_together() {
    let folder = Folder::new("dataset-shards");
    let config = folder.path("tiny.toml");
    // Five batches, in three shards.
    fs::write(
        &config,
        TINY.replace("samples = [40, 10, 10]", "samples = [600, 10, 10]"),
    )
    .unwrap();
    let (whole, shared) = (folder.path("whole"), folder.path("shared"));
    let to = |path| ["dataset", &config, "-o", path, "--quiet"];
    out(&to(&whole));
    let rank = |k: usize| {
        let mut command = command(&[&to(&shared)[..], &["--shard", "rank"]].concat());
        command
            .env("OMPI_COMM_WORLD_RANK", k.to_string())
            .env("OMPI_COMM_WORLD_SIZE", "3")
            .spawn()
            .unwrap()
    };
    let mut ranks: Vec<_> = (0..3).map(rank).collect();
    assert!(ranks.iter_mut().all(|r| r.wait().unwrap().success()));
    assert_eq!(
        fs::read_dir(format!("{shared}/responses.parts"))
            .unwrap()
            .count(),
        6
    );
    assert!(!fs::exists(format!("{shared}/responses.safetensors")).unwrap());
    out(&to(&shared));
    let bytes = |folder: &str| fs::read(format!("{folder}/responses.safetensors")).unwrap();
    assert!(bytes(&whole) == bytes(&shared));
    assert!(!fs::exists(format!("{shared}/responses.parts")).unwrap());
    let map = folder.path("map.toml");
    fs::write(&map, "[dataset]\nchunks = 10\n").unwrap();
    refused(
        2,
        &["dataset", &map, "-o", &folder.path("map"), "--shard", "0/2"],
        &["--shard is for responses"],
    );
}

#[test]
fn a_training_that_is_killed_goes_on_to_the_same_bits() {
    let folder = Folder::new("operator-kill");
    let config = folder.path("tiny.toml");
    fs::write(&config, TINY).unwrap();
    let (through, killed) = (folder.path("through"), folder.path("killed"));
    let epochs = ["--set", "operator.adam.epochs=300"];
    out(&train(&config, &through, &epochs));
    let mut child = command(&train(
        &config,
        &killed,
        &[&epochs[..], &["--checkpoint-every", "0.01"]].concat(),
    ))
    .spawn()
    .unwrap();
    let records =
        || fs::read_to_string(format!("{killed}/progress.jsonl")).map_or(0, |t| t.lines().count());
    let begun = Instant::now();
    while records() < 20 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!((20..300).contains(&records()), "{}", records());
    assert!(!fs::exists(format!("{killed}/surrogate.safetensors")).unwrap());
    out(&train(
        &config,
        &killed,
        &[&epochs[..], &["--resume"]].concat(),
    ));
    let bytes = |folder: &str| fs::read(format!("{folder}/surrogate.safetensors")).unwrap();
    assert!(bytes(&through) == bytes(&killed));
    // Without --resume what is there stays.
    refused(
        2,
        &train(&config, &killed, &epochs),
        &["already holds a training"],
    );
    assert!(bytes(&through) == bytes(&killed));
}

#[test]
fn an_operator_is_judged_and_used() {
    let folder = Folder::new("operator-use");
    let config = folder.path("tiny.toml");
    fs::write(&config, TINY).unwrap();
    let dir = folder.path("run");
    out(&train(&config, &dir, &[]));
    let (surrogate, data) = (
        format!("{dir}/surrogate.safetensors"),
        format!("{dir}/responses.safetensors"),
    );
    let answer = json(&["evaluate", &surrogate, &data, "--json"]);
    assert_eq!(
        (
            answer["samples"].as_u64(),
            answer["worst"].as_array().unwrap().len()
        ),
        (Some(10), 10)
    );
    assert!(answer["normalized"]["p25"].as_f64() <= answer["normalized"]["p75"].as_f64());
    assert_eq!(answer["unlike_training"]["samples"].as_u64(), Some(0));
    // Stimuli that begin later or come twice are recognized; a third of this family is longer than the network's time, in which it is a step as any.
    let shifted = folder.path("shifted");
    let family = "responses.test_family=fitzhugh-nagumo-shifted";
    out(&[
        "dataset",
        &config,
        "-o",
        &shifted,
        "--set",
        family,
        "--set",
        "responses.samples=[2,2,30]",
        "--quiet",
    ]);
    let shifted = format!("{shifted}/responses.safetensors");
    assert_eq!(
        json(&["evaluate", &surrogate, &shifted, "--json"])["unlike_training"]["samples"].as_u64(),
        Some(20)
    );
    assert!(
        out(&["evaluate", &surrogate, &shifted])
            .contains("20 of 30 stimuli are unlike those of the training")
    );
    let csv = folder.path("x.csv");
    out(&["simulate", &surrogate, "--stimulus", "1:0:50", "-o", &csv]);
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 101);
    // With the band around it, and the picture with both.
    let (banded, svg) = (folder.path("band.csv"), folder.path("band.svg"));
    out(&[
        "simulate",
        &surrogate,
        "--stimulus",
        "1:0:50",
        "--bands",
        "-o",
        &banded,
        "--plot",
        &svg,
    ]);
    let text = fs::read_to_string(&banded).unwrap();
    assert_eq!(text.lines().next(), Some("time,v,w,v_band,w_band"));
    let widths = text
        .lines()
        .skip(2)
        .map(|l| l.split(',').nth(3).unwrap().parse::<f64>().unwrap());
    assert!(widths.clone().count() == 99 && widths.into_iter().all(|w| w > 0.0));
    let share = answer["band"]["within"].as_f64().unwrap();
    assert!((0.5..=1.0).contains(&share), "{share}");
    // Calibrated on stimuli of one draw, it holds what it says of another, on another grid too.
    let own = folder.path("calibrated.safetensors");
    let draw = |seed: &str, points: &str| {
        let dir = folder.path(seed);
        let points = format!("responses.points={points}");
        out(&[
            "dataset",
            &config,
            "-o",
            &dir,
            "--seed",
            seed,
            "--set",
            "responses.samples=[2,2,80]",
            "--set",
            &points,
            "--quiet",
        ]);
        format!("{dir}/responses.safetensors")
    };
    out(&[
        "evaluate",
        &surrogate,
        &draw("5", "100"),
        "--calibrate",
        &own,
        "--quiet",
    ]);
    let fine = json(&["evaluate", &own, &draw("6", "300"), "--json"]);
    let share = fine["band"]["within"].as_f64().unwrap();
    assert!((0.84..0.96).contains(&share), "{share}");
    assert!(
        fine["classes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|c| c["samples"] == 0 || c["within_band"].as_f64().is_some())
    );
    refused(
        2,
        &["evaluate", &surrogate, &data, "--calibrate", &data],
        &["another kind"],
    );
    // The times that two grids share have the same values.
    let finer = folder.path("finer.csv");
    out(&[
        "simulate",
        &surrogate,
        "--stimulus",
        "1:0:50",
        "--dt",
        "0.2",
        "-o",
        &finer,
    ]);
    let read = |path: &str| {
        fs::read_to_string(path)
            .unwrap()
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let v = |line: &String| line.split(',').nth(1).unwrap().parse::<f64>().unwrap();
    assert!(
        read(&csv)
            .iter()
            .zip(read(&finer).iter().step_by(5))
            .all(|(a, b)| (v(a) - v(b)).abs() < 1e-9)
    );
    assert!(out(&["models", &surrogate]).contains("a step from t = 0 of"));
    // No step is listed that the range of currents would refuse; a refusal names the file.
    let shown = out(&["models", "../../pretrained/fhn-fno.safetensors"]);
    assert!(
        shown.contains("  no current\n")
            && shown.contains("of 0.29789 to 1.9997 for")
            && !shown.contains("2.0"),
        "{shown}"
    );
    refused(
        2,
        &[
            "simulate",
            "../../pretrained/fhn-fno.safetensors",
            "--stimulus",
            "2.01:0:50",
        ],
        &["fhn-fno.safetensors: a stimulus of 2.01"],
    );
    refused(
        2,
        &[
            "simulate",
            &surrogate,
            "--stimulus",
            "1:0:50",
            "--dt",
            "1e-9",
            "-o",
            &csv,
        ],
        &["larger --dt"],
    );
    refused(
        2,
        &[
            "simulate",
            &surrogate,
            "--stimulus",
            "1:0:50",
            "--max-steps",
            "9",
            "-o",
            &csv,
        ],
        &["--max-steps"],
    );
    refused(
        2,
        &["simulate", "fitzhugh-nagumo-1961", "--bands", "-o", &csv],
        &["--bands", "has no calibrated band"],
    );
    // What it was not trained on.
    let simulate = |more: &[&'static str]| {
        [&["simulate", surrogate.as_str(), "-o", csv.as_str()], more].concat()
    };
    refused(
        2,
        &simulate(&["--stimulus", "1:10:50"]),
        &["one step from t = 0", "--extrapolate"],
    );
    refused(
        2,
        &simulate(&["--stimulus", "5:0:50"]),
        &["a stimulus of 5", "--extrapolate"],
    );
    // Currents between two classes of its training.
    let squid = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../pretrained/hh-fno.safetensors"
    );
    refused(
        2,
        &["simulate", squid, "--stimulus", "15:0:50", "-o", &csv],
        &["a step of 15 for 50", "of 2 to 10 for", "--extrapolate"],
    );
    out(&["simulate", squid, "--stimulus", "9:0:50", "-o", &csv]);
    refused(
        2,
        &simulate(&["--stimulus", "1:80:10", "--t-end", "50"]),
        &["one step from t = 0", "--extrapolate"],
    );
    refused(2, &simulate(&["--x0", "v=0.5"]), &["one start"]);
    refused(2, &simulate(&["--t-end", "200"]), &["up to 100"]);
    let marked = run(&simulate(&[
        "--stimulus",
        "1:10:50",
        "--extrapolate",
        "--bands",
    ]));
    assert!(
        marked.status.success()
            && String::from_utf8_lossy(&marked.stderr).contains("outside the training range")
    );
    assert!(
        fs::read_to_string(&csv)
            .unwrap()
            .lines()
            .nth(7)
            .unwrap()
            .ends_with("NaN,NaN")
    );
    // Data of another model, and a network for another grid than there is.
    let other = folder.path("hh");
    let hh = [
        "responses.model=hodgkin-huxley-1952",
        "responses.training_family=hodgkin-huxley-train",
        "responses.test_family=hodgkin-huxley-test",
    ];
    let changes: Vec<&str> = hh.iter().flat_map(|c| ["--set", *c]).collect();
    out(&[
        &["dataset", config.as_str(), "-o", &other, "--quiet"],
        &changes[..],
    ]
    .concat());
    refused(
        2,
        &[
            "evaluate",
            &surrogate,
            &format!("{other}/responses.safetensors"),
        ],
        &["fitzhugh-nagumo-1961", "hodgkin-huxley-1952"],
    );
    refused(
        2,
        &train(
            &config,
            &folder.path("modes"),
            &["--set", "operator.network.modes=80"],
        ),
        &["80", "finer grid"],
    );
    refused(
        2,
        &train(
            &config,
            &folder.path("wider"),
            &["--set", "operator.network.width=9", "--from", &surrogate],
        ),
        &["width: 9"],
    );
    let many = ["--set", "responses.samples=[40000000,10,10]"];
    refused(
        2,
        &train(&config, &folder.path("memory"), &many),
        &["responses.samples", "expected at most"],
    );
    let much = [
        "--set",
        "operator.network.width=4096",
        "--set",
        "operator.network.layers=64",
    ];
    if cfg!(target_os = "linux") {
        refused(
            2,
            &train(&config, &folder.path("memory"), &much),
            &["GiB of memory", "a smaller network"],
        );
    }
    refused(
        2,
        &train(&config, &folder.path("cuda"), &["--device", "cuda"]),
        &["--device cuda", "or train on the CPU"],
    );
}

#[test]
fn a_parameter_that_varies_is_taken_within_its_range() {
    let folder = Folder::new("operator-vary");
    let config = folder.path("tiny.toml");
    fs::write(&config, format!("{TINY}\n[responses.vary]\nb = [4, 6]\n")).unwrap();
    let dir = folder.path("run");
    out(&train(&config, &dir, &[]));
    let (surrogate, csv) = (format!("{dir}/surrogate.safetensors"), folder.path("x.csv"));
    let with = |b: &str| {
        out(&[
            "simulate",
            &surrogate,
            "--stimulus",
            "1:0:50",
            "--param",
            b,
            "-o",
            &csv,
        ]);
        fs::read_to_string(&csv).unwrap()
    };
    assert!(with("b=4.1") != with("b=5.9"));
    assert!(
        json(&[
            "evaluate",
            &surrogate,
            &format!("{dir}/responses.safetensors"),
            "--json"
        ])["normalized"]["mean"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    let simulate = |more: &[&'static str]| {
        [&["simulate", surrogate.as_str(), "-o", csv.as_str()], more].concat()
    };
    refused(
        2,
        &simulate(&["--param", "b=7"]),
        &["b = 7", "4 to 6", "--extrapolate"],
    );
    refused(2, &simulate(&["--param", "c=2"]), &["one value of c"]);
    out(&simulate(&["--param", "b=7", "--extrapolate", "--quiet"]));
    // Where the parameter varies, a network without it cannot be judged.
    let fixed = folder.path("fixed.toml");
    fs::write(&fixed, TINY).unwrap();
    out(&train(&fixed, &folder.path("fixed"), &[]));
    let blind = folder.path("fixed/surrogate.safetensors");
    refused(
        2,
        &["evaluate", &blind, &format!("{dir}/responses.safetensors")],
        &["b varies"],
    );
    refused(
        2,
        &train(&config, &folder.path("from"), &["--from", &blind]),
        &["no parameters as inputs", "the parameters b as inputs"],
    );
    refused(
        2,
        &train(
            &config,
            &folder.path("no"),
            &["--set", "responses.vary={ bb = [1, 2] }"],
        ),
        &["bb", "did you mean"],
    );
}

#[test]
fn with_windows_it_runs_from_any_start_for_as_long_as_wanted() {
    let folder = Folder::new("operator-windows");
    let config = folder.path("tiny.toml");
    fs::write(&config, TINY).unwrap();
    let dir = folder.path("run");
    out(&train(
        &config,
        &dir,
        &[
            "--set",
            "responses.windows=2",
            "--set",
            "responses.t_end=20",
        ],
    ));
    let (surrogate, data) = (
        format!("{dir}/surrogate.safetensors"),
        format!("{dir}/responses.safetensors"),
    );
    assert_eq!(
        json(&["evaluate", &surrogate, &data, "--json"])["samples"].as_u64(),
        Some(10)
    );
    let csv = folder.path("x.csv");
    out(&[
        "simulate",
        &surrogate,
        "--stimulus",
        "1:5:50",
        "--x0",
        "v=0.1",
        "--t-end",
        "130",
        "--dt",
        "0.4",
        "-o",
        &csv,
    ]);
    let text = fs::read_to_string(&csv).unwrap();
    assert_eq!(text.lines().count(), 327);
    assert!(text.lines().nth(1).unwrap().contains("0.1"), "{text}");
    let table = folder.path("table.csv");
    fs::write(
        &table,
        "stim_start,stim_duration,stim_amplitude,x0:v\n0,50,1,0\n5,50,1,0.1\n",
    )
    .unwrap();
    let many = folder.path("many.npz");
    out(&[
        "simulate",
        &surrogate,
        "--experiments",
        &table,
        "--t-end",
        "130",
        "-o",
        &many,
    ]);
    refused(
        2,
        &["simulate", &surrogate, "--x0", "v=2.5", "-o", &csv],
        &["a start of v = 2.5", "--extrapolate"],
    );
    refused(
        2,
        &["simulate", &surrogate, "--dt", "0.3", "-o", &csv],
        &["multiple of the network's step, 0.2"],
    );
    // A network that knows one start cannot be judged by windows.
    let fixed = folder.path("fixed");
    out(&train(&config, &fixed, &["--set", "responses.t_end=20"]));
    refused(
        2,
        &["evaluate", &format!("{fixed}/surrogate.safetensors"), &data],
        &["windows"],
    );
}

#[test]
fn a_map_takes_a_stimulus() {
    let folder = Folder::new("map-stimulus");
    let config = folder.path("map.toml");
    let text = r#"
[dataset]
model = "fitzhugh-nagumo-1961"
control = {}
start = {}
stimulus = "fitzhugh-nagumo-train"
dt = 0.5
chunks = 300
pairs_per_chunk = 10
transient = 0
new_chunks = 20

[train]
hidden = 12
second_order = { iterations = 60 }
"#;
    fs::write(&config, text).unwrap();
    let dir = folder.path("run");
    out(&train(&config, &dir, &[]));
    let surrogate = format!("{dir}/surrogate.safetensors");
    let trace = |system: &str| {
        let csv = folder.path("x.csv");
        out(&[
            "simulate",
            system,
            "--stimulus",
            "1:10:50",
            "--t-end",
            "150",
            "--dt",
            "0.5",
            "-o",
            &csv,
        ]);
        let text = fs::read_to_string(&csv).unwrap();
        text.lines()
            .skip(1)
            .map(|l| l.split(',').nth(1).unwrap().parse::<f64>().unwrap())
            .collect::<Vec<f64>>()
    };
    // A stimulus at another time than any in training, for longer than any run.
    let (map, equations) = (trace(&surrogate), trace("fitzhugh-nagumo-1961"));
    assert_eq!(map.len(), 301);
    let error = map
        .iter()
        .zip(&equations)
        .map(|(a, b)| (a - b).powi(2))
        .sum::<f64>()
        .sqrt()
        / equations.iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!(error < 0.3, "{error}");
    // Judged on the same terms as operators, on a grid of its own step.
    let data = folder.path("data.toml");
    fs::write(&data, TINY).unwrap();
    let (own, other) = (folder.path("own"), folder.path("other"));
    out(&[
        "dataset",
        &data,
        "--set",
        "responses.points=200",
        "-o",
        &own,
        "--quiet",
    ]);
    let answer = json(&[
        "evaluate",
        &surrogate,
        &format!("{own}/responses.safetensors"),
        "--json",
    ]);
    assert!(
        answer["normalized"]["median"].as_f64().unwrap() < 0.5,
        "{answer}"
    );
    out(&["dataset", &data, "-o", &other, "--quiet"]);
    refused(
        2,
        &[
            "evaluate",
            &surrogate,
            &format!("{other}/responses.safetensors"),
        ],
        &["responses.points = 200"],
    );
    let beyond = run(&[
        "simulate",
        &surrogate,
        "--stimulus",
        "9:10:50",
        "--t-end",
        "150",
        "-o",
        &folder.path("y.csv"),
    ]);
    assert!(
        String::from_utf8_lossy(&beyond.stderr).contains("outside the training range"),
        "{beyond:?}"
    );
}

#[test]
fn a_training_that_comes_to_nothing_leaves_no_surrogate_that_cannot_be_read() {
    let folder = Folder::new("nothing");
    let config = "../../examples/fhn-fno.toml";
    let mut refused = 0;
    for (k, change) in [
        "learning_rate=10",
        "learning_rate=1e6",
        "learning_rate=1e30",
    ]
    .into_iter()
    .enumerate()
    {
        let dir = folder.path(&k.to_string());
        let rate = format!("operator.adam.{change}");
        let sets = [
            "responses.samples=[16,4,4]",
            "responses.points=63",
            "operator.adam.epochs=1",
            "operator.network.width=12",
            &rate,
        ];
        let sets: Vec<&str> = sets.into_iter().flat_map(|s| ["--set", s]).collect();
        let output = run(&[&["train", config, "-o", &dir], &sets[..]].concat());
        let (path, message) = (
            format!("{dir}/surrogate.safetensors"),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        if output.status.success() {
            // Finite, if useless: it says so, and is read.
            assert!(
                message.contains("warning: ") && message.contains("begin anew with"),
                "{message}"
            );
            Fno::load(Path::new(&path)).unwrap();
        } else {
            refused += 1;
            assert_eq!(output.status.code(), Some(1));
            assert!(
                message.contains("lower adam.learning_rate") && !fs::exists(&path).unwrap(),
                "{message}"
            );
        }
    }
    assert!(refused > 0);
}

#[test]
fn the_network_to_start_from_is_a_candidate() {
    let folder = Folder::new("from");
    let dir = folder.path("run");
    let sets = [
        "responses.samples=[64,16,4]",
        "responses.points=126",
        "operator.adam.epochs=2",
    ]
    .into_iter()
    .flat_map(|s| ["--set", s]);
    let sets: Vec<&str> = sets.collect();
    let from = "../../pretrained/fhn-fno.safetensors";
    let config = "../../examples/fhn-fno.toml";
    let answer = json(
        &[
            &[
                "train",
                config,
                "--from",
                from,
                "-o",
                &dir,
                "--quiet",
                "--json",
                "--set",
                "operator.adam.learning_rate=0.2",
            ],
            &sets[..],
        ]
        .concat(),
    );
    assert_eq!(
        (
            answer["validation"].as_f64(),
            answer["validation_epoch"].as_u64(),
            answer["epochs"].as_u64()
        ),
        (answer["start"].as_f64(), Some(0), Some(2))
    );
    let warning = answer["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("adam.learning_rate = 0.2 is too high")
            && warning.contains("2.0e-2 or less"),
        "{warning}"
    );
    let [given, made] =
        [from, &format!("{dir}/surrogate.safetensors")].map(|p| Fno::load(Path::new(p)).unwrap());
    assert_eq!(given.weights, made.weights);
    let progress = fs::read_to_string(format!("{dir}/progress.jsonl")).unwrap();
    assert!(
        progress.starts_with("{\"stage\":\"start\"") && progress.contains("\"stage\":\"warning\""),
        "{progress}"
    );
}

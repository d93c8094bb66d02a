//! The command as its users meet it: the real binary, its formats, its exit codes and what it says when something is wrong.

use std::{fs, path::Path, process::Stdio};

use serde_json::Value;

mod command;

use command::{Folder, command, json, out, refused, run, surrogate};

#[test]
fn fixed_points_of_equations_as_json() {
    let answer = json(&[
        "fixed-points",
        "sherman-1988",
        "--param",
        "v_s=-36",
        "--json",
    ]);
    assert_eq!(
        answer.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["fixed_points", "conserved", "search", "units"]
    );
    assert_eq!(
        (&answer["conserved"], &answer["search"]["proof"]),
        (&serde_json::json!([]), &Value::from(false))
    );
    assert!(
        answer["search"]["starts"].as_u64().unwrap() >= 256
            && answer["search"]["box"]["n"] == serde_json::json!([0.0, 1.0])
    );
    let points = answer["fixed_points"].as_array().unwrap();
    assert_eq!(points.len(), 1);
    assert_eq!(
        points[0].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["x", "eigenvalues", "stable", "extrapolated"]
    );
    assert_eq!(
        points[0]["x"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["v", "n", "s"]
    );
    assert!((points[0]["x"]["v"].as_f64().unwrap() + 49.897).abs() < 5e-4);
    assert!((points[0]["eigenvalues"][1]["re"].as_f64().unwrap() - 0.090834).abs() < 5e-7);
    assert_eq!(points[0]["eigenvalues"][1]["im"], 0.0);
    assert_eq!(
        (&points[0]["stable"], &points[0]["extrapolated"]),
        (&Value::from(false), &Value::from(false))
    );
    assert_eq!(
        answer["units"],
        serde_json::json!({"time": "s", "v": "mV", "n": "1", "s": "1", "eigenvalues": "1/s"})
    );
    let text = out(&["fixed-points", "sherman-1988", "--param", "v_s=-36"]);
    for part in [
        "1 found: searched by ",
        " runs of Newton's method",
        "does not prove that there is no other",
        "--starts 1024 looks harder",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn fixed_points_of_a_surrogate_have_multipliers() {
    let folder = Folder::new("surrogate");
    let file = surrogate(&folder);
    let answer = json(&["fixed-points", &file, "--param", "v_s=-36", "--json"]);
    let points = answer["fixed_points"].as_array().unwrap();
    assert_eq!(points.len(), 1);
    assert!((points[0]["x"]["v"].as_f64().unwrap() + 50.0).abs() < 1e-9);
    for k in 0..3 {
        assert!((points[0]["multipliers"][k]["re"].as_f64().unwrap() - 0.9).abs() < 1e-12);
        assert!(
            (points[0]["eigenvalues"][k]["re"].as_f64().unwrap() - 0.9f64.ln() / 0.005).abs()
                < 1e-9
        );
    }
    assert_eq!(
        (&points[0]["stable"], &points[0]["extrapolated"]),
        (&Value::from(true), &Value::from(false))
    );

    let output = run(&["fixed-points", &file, "--param", "v_s=-45", "--json"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("outside the training range"));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["fixed_points"][0]["extrapolated"], true);
    // What was not found is no answer: the text says how it was sought.
    let none = out(&["fixed-points", &file, "--box", "v=-40:20,n=0:1", "--quiet"]);
    assert!(
        none.starts_with("no fixed point found in the box: ")
            && none.contains("runs of Newton's method")
            && none.contains("does not prove"),
        "{none}"
    );
}

#[test]
fn rest_on_the_level_of_the_start() {
    let answer = json(&[
        "fixed-points",
        "ten-tusscher-panfilov-2006",
        "--x0",
        "k_i=130",
        "--starts",
        "16",
        "--json",
    ]);
    let (points, held) = (
        answer["fixed_points"].as_array().unwrap(),
        &answer["conserved"][0],
    );
    assert_eq!(
        (&points[0]["neutral"], &points[0]["stable"]),
        (&Value::from(1), &Value::from(true))
    );
    assert_eq!(
        (&held["name"], &held["unit"], &held["held"]),
        (
            &"charge".into(),
            &"mM".into(),
            &"at the value of the start".into()
        )
    );
    assert_eq!(
        (&answer["start"]["k_i"], &answer["units"]["charge"]),
        (&Value::from(130.0), &Value::from("mM"))
    );
    let zero = &points[0]["eigenvalues"][18];
    assert_eq!(
        (&zero["re"], &zero["im"]),
        (&Value::from(0.0), &Value::from(0.0))
    );
    let text = out(&[
        "fixed-points",
        "ten-tusscher-panfilov-2006",
        "--x0",
        "k_i=130",
        "--starts",
        "16",
    ]);
    assert!(
        text.contains("  0 (conserved)")
            && text.contains("conserved: charge = ")
            && text.contains("held at the value of the start"),
        "{text}"
    );
    // Another stimulus, another rest; a start that the box does not hold is refused.
    let more = json(&[
        "fixed-points",
        "ten-tusscher-panfilov-2006",
        "--x0",
        "k_i=130",
        "--i-stim",
        "0.01",
        "--starts",
        "16",
        "--json",
    ]);
    let [there, here] =
        [&more["fixed_points"], &answer["fixed_points"]].map(|f| f[0]["x"]["v"].as_f64().unwrap());
    assert!((there - here).abs() > 1e-4, "{there} {here}");
    refused(
        2,
        &[
            "fixed-points",
            "ten-tusscher-panfilov-2006",
            "--x0",
            "k_i=1e9",
        ],
        &["k_i"],
    );

    let branch = [
        "continue",
        "ten-tusscher-panfilov-2006",
        "--over",
        "g_k1=5:6",
        "--searches",
        "1",
        "--starts",
        "4",
    ];
    let text = out(&branch);
    assert!(
        text.contains("conserved: charge = ")
            && text.contains("the end of the parameter's interval"),
        "{text}"
    );
    let answer = json(&[&branch[..], &["--json"]].concat());
    assert_eq!(
        (
            &answer["conserved"][0]["name"],
            &answer["branches"].as_array().unwrap().len()
        ),
        (&"charge".into(), &1)
    );
    let models = out(&["models", "ohara-rudy-2011"]);
    assert!(
        models.contains("conserved under every stimulus and for all parameters: charge (mM)"),
        "{models}"
    );
}

#[test]
fn simulate_writes_a_csv_and_its_description() {
    let folder = Folder::new("simulate");
    let (csv, svg) = (folder.path("t.csv"), folder.path("t.svg"));
    let arguments = [
        "simulate",
        "sherman-1988",
        "--param",
        "v_s=-36",
        "--x0",
        "v=-55",
        "--t-end",
        "2",
        "--dt",
        "0.005",
    ];
    let with = |more: &[&str]| out(&[&arguments, more].concat());
    assert_eq!(
        with(&[
            "--rtol", "1e-10", "--atol", "1e-12", "-o", &csv, "--plot", &svg
        ]),
        ""
    );
    assert_eq!(folder.names(), ["t.csv", "t.csv.meta.json", "t.svg"]);
    let text = fs::read_to_string(&csv).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        (lines[0], lines[1], lines.len()),
        ("time,v,n,s", "0.0,-55.0,0.01,0.18", 402)
    );
    let meta: Value =
        serde_json::from_str(&fs::read_to_string(folder.path("t.csv.meta.json")).unwrap()).unwrap();
    assert_eq!(
        meta["units"],
        serde_json::json!({"time": "s", "v": "mV", "n": "1", "s": "1"})
    );
    for (key, value) in [
        ("t_end", 2.0),
        ("dt", 0.005),
        ("rtol", 1e-10),
        ("atol", 1e-12),
    ] {
        assert_eq!(meta[key], value, "{key}");
    }
    assert_eq!(
        (
            &meta["parameters"]["v_s"],
            &meta["x0"]["v"],
            &meta["system"]
        ),
        (&(-36.0).into(), &(-55.0).into(), &"sherman-1988".into())
    );
    assert!(meta["statistics"]["accepted"].as_u64().unwrap() > 100);
    assert!(fs::read_to_string(svg).unwrap().starts_with("<svg"));
    // The work is told of the method that did it.
    let by = |method: &str| {
        json(&[
            "simulate",
            "sherman-1988",
            "--t-end",
            "1",
            "--dt",
            "0.5",
            "--method",
            method,
            "--json",
        ])["statistics"]
            .clone()
    };
    let (stiff, explicit) = (by("stiff"), by("explicit"));
    assert_eq!(
        (
            &stiff["ran"],
            &stiff["stiff_from"],
            &stiff["stability_limited_the_step"]
        ),
        (&"stiff".into(), &0.0.into(), &Value::Null)
    );
    assert!(
        stiff.get("stiff").is_none()
            && explicit["ran"] == "explicit"
            && explicit["stability_limited_the_step"] == false,
        "{explicit}"
    );
    // The same numbers on standard output, and as JSON.
    assert_eq!(with(&["--rtol", "1e-10", "--atol", "1e-12"]), text);
    let document: Value =
        serde_json::from_str(&with(&["--rtol", "1e-10", "--atol", "1e-12", "--json"])).unwrap();
    let last: Vec<f64> = lines[401].split(',').map(|n| n.parse().unwrap()).collect();
    assert_eq!(
        (
            document["time"][400].as_f64(),
            document["x"]["s"][400].as_f64()
        ),
        (Some(last[0]), Some(last[3]))
    );
}

#[test]
fn simulate_iterates_a_surrogate() {
    let folder = Folder::new("iterate");
    let file = surrogate(&folder);
    let own = out(&["simulate", &file, "--t-end", "0.05"]);
    assert_eq!(own.lines().count(), 12);
    let every_second = out(&["simulate", &file, "--t-end", "0.05", "--dt", "0.01"]);
    assert_eq!(
        every_second.lines().skip(1).collect::<Vec<_>>(),
        own.lines().skip(1).step_by(2).collect::<Vec<_>>()
    );

    let output = run(&[
        "simulate", &file, "--t-end", "0.05", "--x0", "s=0.2", "--json",
    ]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("outside the training range"));
    let meta: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&meta["extrapolated"], &meta["rtol"], &meta["dt"]),
        (&true.into(), &Value::Null, &0.005.into())
    );

    let simulate = |more: &[&'static str], parts: &[&str]| {
        refused(
            2,
            &[&["simulate", &file, "--t-end", "1"], more].concat(),
            parts,
        )
    };
    simulate(&["--rtol", "1e-6"], &["is a map and has no tolerances"]);
    simulate(
        &["--dt", "0.007"],
        &["--dt 0.007", "step of 0.005", "multiple"],
    );
    simulate(
        &["--param", "g_k=9"],
        &["unknown parameter 'g_k'", "known: v_s"],
    );
}

#[test]
fn every_verb_takes_the_same_start_and_stimulus() {
    let folder = Folder::new("same-options");
    let protocol = folder.path("constant.toml");
    fs::write(
        &protocol,
        "[[stimulus]]\nshape = \"step\"\nstart = 0\namplitude = 0.5\n",
    )
    .unwrap();
    let fhn = "fitzhugh-nagumo-1961";
    let graph = [
        "--graph",
        "ring:3",
        "--coupling",
        "0.1",
        "--t-end",
        "4",
        "--scatter",
        "0",
    ];
    let verbs: [(&str, &[&str]); 8] = [
        ("simulate", &["--t-end", "4", "--dt", "1"]),
        ("spikes", &["--t-end", "100"]),
        ("fixed-points", &[]),
        ("continue", &["--over", "e=0.1:5"]),
        ("diagram", &["--over", "e=0.1:0.2:2"]),
        ("basins", &["--starts", "10"]),
        ("lyapunov", &[]),
        ("coupled", &graph),
    ];
    for (verb, more) in verbs {
        let ask = |stimulus: &[&str]| {
            let mut answer = json(
                &[
                    &[verb, fhn, "--x0", "v=0.3", "--json", "--quiet"],
                    more,
                    stimulus,
                ]
                .concat(),
            );
            // How it was given is recorded as it was given.
            answer.as_object_mut().unwrap().remove("protocol");
            answer
        };
        let wanted = ask(&["--i-stim", "0.5"]);
        assert_ne!(wanted, ask(&[]), "{verb}");
        assert_eq!(wanted, ask(&["--stimulus", "0.5"]), "{verb}");
        assert_eq!(wanted, ask(&["--protocol", &protocol]), "{verb}");
        if !["simulate", "spikes"].contains(&verb) {
            refused(
                2,
                &[&[verb, fhn, "--stimulus", "0.5:3:1", "--quiet"], more].concat(),
                &["the stimulus changes over time", "--i-stim"],
            );
        }
    }
    // A cell of a ring in which all start alike does as a single one.
    let single = json(&[
        "simulate", fhn, "--t-end", "4", "--dt", "4", "--i-stim", "0.5", "--rtol", "1e-10",
        "--json",
    ]);
    let csv = folder.path("no/such/folder/ring.csv");
    out(&[
        &[
            "coupled", fhn, "--i-stim", "0.5", "--rtol", "1e-10", "-o", &csv, "--quiet",
        ],
        &graph[..],
    ]
    .concat());
    let text = fs::read_to_string(&csv).unwrap();
    let last: f64 = text
        .lines()
        .last()
        .unwrap()
        .split(',')
        .next_back()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        (single["x"]["v"][1].as_f64().unwrap() - last).abs() < 1e-6,
        "{last}"
    );
    let map = "pretrained/sherman-1988-dt0.005.safetensors";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(map);
    refused(
        2,
        &[
            &["coupled", root.to_str().unwrap(), "--i-stim", "1"],
            &graph[..],
        ]
        .concat(),
        &["without a stimulus"],
    );
}

#[test]
fn wrong_input_is_named_and_ends_with_2() {
    let folder = Folder::new("wrong");
    let simulate = |more: &[&str], parts: &[&str]| {
        refused(
            2,
            &[&["simulate", "sherman-1988", "--t-end", "1"], more].concat(),
            parts,
        )
    };
    refused(
        2,
        &["fixed-points", "shermann-1988"],
        &[
            "unknown model 'shermann-1988'",
            "did you mean 'sherman-1988'?",
        ],
    );
    simulate(
        &["--param", "vs=-36"],
        &["unknown parameter 'vs'", "did you mean 'v_s'?"],
    );
    simulate(&["--x0", "w=1"], &["unknown variable 'w'"]);
    simulate(
        &["--param", "tau=-1"],
        &["tau = -1 is outside [0.000001, 1000000]"],
    );
    simulate(&["--param", "v_s=nan"], &["NaN is not a finite number"]);
    simulate(&["--param", "v_s"], &["expected NAME=VALUE"]);
    simulate(&["--dt", "0"], &["--dt", "0 is not larger than 0"]);
    simulate(&["--dt", "1e-12"], &["larger --dt"]);
    simulate(&["--rtol", "NaN"], &["--rtol", "finite"]);
    simulate(&["--rtol", "1e-20"], &["rtol", "outside"]);
    simulate(&["--threads", "0"], &["--threads"]);
    simulate(&["--threads", "60000"], &["--threads", "1024"]);
    simulate(&["--dt", "-1"], &["-1 is not larger than 0"]);
    simulate(&["--max-steps", "0"], &["--max-steps"]);
    simulate(&["--x0", "v=1e300"], &["v = 1e300 is outside [-75, 25]"]);
    simulate(
        &["-o", &folder.path("t.xlsx")],
        &["t.xlsx", "supported: .csv"],
    );
    let file = folder.path("a-file");
    fs::write(&file, "").unwrap();
    simulate(
        &["-o", &format!("{file}/such/t.csv")],
        &["cannot make the folder", "a-file is a file"],
    );
    fs::remove_file(&file).unwrap();
    simulate(
        &["--i-stim", "3", "--stimulus", "3"],
        &["cannot be used with"],
    );
    simulate(&["--method", "rush-larsen"], &["give --step H, in s"]);
    refused(
        2,
        &["simulate", "lorenz-1963", "--t-end", "1", "--preset", "foo"],
        &["lorenz-1963 has no presets"],
    );
    refused(2, &["simulate", "sherman-1988"], &["--t-end"]);
    refused(
        2,
        &["fixed-points", "sherman-1988", "--box", "v=3:1"],
        &["v=3:1 is empty"],
    );
    refused(
        2,
        &["fixed-points", "sherman-1988", "--starts", "0"],
        &["0 starts"],
    );
    refused(
        2,
        &["fixed-points", "sherman-1988", "--starts", "99999999999999"],
        &["99999999999999 starts", "at most"],
    );
    refused(2, &["no-such-verb"], &["no-such-verb"]);
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn surrogate_files_that_are_none_end_with_2() {
    let folder = Folder::new("files");
    let whole = fs::read(surrogate(&folder)).unwrap();
    for (name, content) in [
        ("empty", &b""[..]),
        ("text", b"not a surrogate"),
        ("truncated", &whole[..whole.len() / 2]),
    ] {
        let path = folder.path(&format!("{name}.safetensors"));
        fs::write(&path, content).unwrap();
        refused(2, &["fixed-points", &path], &[&path]);
    }
    let missing = folder.path("missing.safetensors");
    refused(2, &["models", &missing], &["cannot read", &missing]);
    refused(2, &["models", &folder.path("")], &[&folder.path("")]);
}

#[test]
fn help_is_no_error_and_neither_is_a_reader_that_went_away() {
    assert!(out(&["--help"]).contains("fixed-points"));
    assert!(out(&["simulate", "--help"]).contains("--t-end"));
    assert!(out(&["models"]).contains("stankevich-2017"));
    assert!(out(&["models", "sherman-1988"]).contains("half activation of s"));
    let shown = out(&["models", "hodgkin-huxley-1952"]);
    assert!(
        shown.contains("rest-65  v_rest=-65, v=-64.9997243, spike threshold -25")
            && shown.contains("v = 40 mV"),
        "{shown}"
    );
    refused(
        2,
        &[
            "simulate",
            "ohara-rudy-2011",
            "--t-end",
            "1",
            "--preset",
            "endo",
        ],
        &["preset 'endo'", "epi, mid, quiet, paced"],
    );
    let shifted = json(&[
        "simulate",
        "hodgkin-huxley-1952",
        "--preset",
        "rest-65",
        "--param",
        "g_k=30",
        "--t-end",
        "1",
        "--dt",
        "1",
        "--json",
    ]);
    assert_eq!(shifted["parameters"]["v_rest"], -65.0);
    assert_eq!(shifted["parameters"]["g_k"], 30.0);
    assert_eq!(shifted["x"]["v"][0], -64.9997243);
    assert_eq!(
        json(&["models", "--json"])["models"][0]["parameters"][11]["name"],
        "v_s"
    );

    let mut child = command(&["simulate", "sherman-1988", "--t-end", "20", "--dt", "1e-4"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).as_ref()
        ),
        (Some(0), "")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_with_1() {
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = command(&["simulate", "sherman-1988", "--t-end", "20"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[test]
fn a_failed_solve_ends_with_1_and_leaves_no_file() {
    let folder = Folder::new("failed");
    let wild = [
        "--param",
        "theta_m=1e-6",
        "--param",
        "g_ca=10000",
        "--param",
        "tau=1e-6",
        "--t-end",
        "1e6",
        "--max-steps",
        "1000",
    ];
    refused(
        1,
        &[
            &["simulate", "sherman-1988", "-o", &folder.path("t.csv")],
            &wild[..],
        ]
        .concat(),
        &["the integration failed at t = "],
    );
    assert_eq!(folder.names(), [""; 0]);
}

/// A configuration of a training that takes a second or so.
fn configuration(folder: &Folder) -> String {
    let path = folder.path("small.toml");
    let text = "[dataset]\nchunks = 12\npairs_per_chunk = 20\ntransient = 5\nnew_chunks = 2\nrtol = 1e-7\natol = 1e-9\n\
                [train]\nhidden = 6\n[train.second_order]\niterations = 4\n";
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn wrong_configurations_and_folders_end_with_2() {
    let folder = Folder::new("configurations");
    let (file, out) = (configuration(&folder), folder.path("out"));
    let set = |change: &str, parts: &[&str]| {
        refused(
            2,
            &["train", &file, "-o", &out, "--quiet", "--set", change],
            parts,
        )
    };
    set(
        "dataset.chunkss=3",
        &[
            "small.toml",
            "unknown field `chunkss`",
            "did you mean `chunks`?",
        ],
    );
    set(
        "train.hidden=-1",
        &["train.hidden", "expected a whole number, 0 or larger"],
    );
    set(
        "dataset.model=shermann",
        &["unknown model 'shermann'", "did you mean 'sherman-1988'?"],
    );
    set("dataset.dt=nan", &["dt is NaN"]);
    set("dataset.chunks=99999999999999", &["do not fit in memory"]);
    set(
        "dataset.distance_of_start=nan",
        &["distance_of_start = NaN"],
    );
    set("train.hidden=0", &["train.hidden = 0; expected at least 1"]);
    set(
        "train.hidden_of.v=0",
        &["train.hidden_of.v = 0; expected at least 1"],
    );
    set("train.hidden_of.w=3", &["unknown variable 'w'"]);
    set(
        "train.validate_every=0",
        &["train.validate_every = 0; expected at least 1"],
    );
    set("train.second_order.pairs=0", &["second_order.pairs = 0"]);
    // Nor are data made for what cannot be started from.
    let pretrained = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pretrained");
    let operator = format!("{pretrained}/fhn-fno.safetensors");
    let from = |surrogate: &str, changes: &[&str], parts: &[&str]| {
        let changes: Vec<&str> = changes.iter().flat_map(|c| ["--set", *c]).collect();
        refused(
            2,
            &[
                &["train", &file, "-o", &out, "--quiet", "--from", surrogate],
                &changes[..],
            ]
            .concat(),
            parts,
        );
    };
    from(&operator, &[], &["an operator's; expected a neural map's"]);
    let map = format!("{pretrained}/sherman-1988-dt0.005.safetensors");
    from(
        &map,
        &["dataset.model=stankevich-2017"],
        &["the model sherman-1988", "the model stankevich-2017"],
    );
    from(
        &map,
        &["dataset.control={ g_k = [8, 10] }"],
        &["the control parameters v_s", "the control parameters g_k"],
    );
    from(
        &map,
        &["dataset.dt=0.001"],
        &["a step of 0.005", "a step of 0.001"],
    );
    from(&map, &["train.hidden=6"], &["[100, 100, 100] hidden units"]);
    from(
        &map,
        &["train.hidden=100"],
        &["trained on other data", "dataset.chunks was 2000 and is 12"],
    );
    refused(2, &["train", &file, "-o", &file], &["small.toml is a file"]);
    refused(
        2,
        &["reproduce", "kuptsov-2023", "--quick", "-o", &file],
        &["small.toml is a file"],
    );
    refused(2, &["report", &folder.path("")], &["report.json"]);
    set(
        "train.hidden=999999999999",
        &["train.hidden = 999999999999", "at most"],
    );
    set("train.hidden=50000", &["second stage", "at most"]);
    // Nothing of the above has left anything.
    assert_eq!(folder.names(), ["small.toml"]);

    // These need the data.
    command::out(&["dataset", &file, "-o", &out, "--quiet"]);
    set(
        "dataset.model=stankevich-2017",
        &[
            "dataset.safetensors",
            "dataset.model was \"sherman-1988\" and is \"stankevich-2017\"",
        ],
    );
    fs::write(folder.path("out/dataset.safetensors"), b"rubbish").unwrap();
    set("train.hidden=6", &["dataset.safetensors", "truncated"]);
}

#[test]
fn a_training_in_a_folder_is_not_disturbed_by_another() {
    let folder = Folder::new("folders");
    let (file, out) = (configuration(&folder), folder.path("out"));
    let train = |more: &[&str]| run(&[&["train", &file, "-o", &out, "--quiet"], more].concat());
    assert_eq!(train(&[]).status.code(), Some(0));
    let content = || {
        let read = |e: fs::DirEntry| (e.file_name(), fs::read(e.path()).unwrap());
        let mut files: Vec<_> = fs::read_dir(&out)
            .unwrap()
            .map(|e| read(e.unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = content();
    let refused = |more: &[&str], parts: &[&str]| {
        refused(
            2,
            &[&["train", &file, "-o", &out, "--quiet"], more].concat(),
            parts,
        )
    };
    refused(
        &[],
        &[
            "checkpoint.safetensors",
            "already holds a training",
            "resume",
        ],
    );
    refused(
        &["--resume", "--set", "train.hidden=7"],
        &["another training", "hidden was 6 and is 7"],
    );
    refused(
        &["--resume", "--set", "dataset.chunks=13"],
        &["dataset.chunks was 12 and is 13"],
    );
    let surrogate = folder.path("out/surrogate.safetensors");
    let elsewhere = folder.path("elsewhere");
    let from = [
        "train",
        &file,
        "-o",
        &elsewhere,
        "--quiet",
        "--from",
        &surrogate,
        "--set",
        "train.hidden=5",
    ];
    self::refused(2, &from, &["hidden units", "[6, 6, 6]", "[5, 5, 5]"]);
    assert!(content() == before);

    let locked = fs::OpenOptions::new()
        .write(true)
        .open(folder.path("out/progress.jsonl"))
        .unwrap();
    locked.lock().unwrap();
    refused(&["--resume"], &["another training is at work"]);
    drop(locked);
    assert!(content() == before);

    let checkpoint = folder.path("out/checkpoint.safetensors");
    let whole = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &whole[..whole.len() / 2]).unwrap();
    refused(&["--resume"], &["checkpoint.safetensors", "truncated"]);
    fs::write(&checkpoint, &whole).unwrap();
    assert_eq!(train(&["--resume"]).status.code(), Some(0));
    assert!(!folder.names().iter().any(|n| n.ends_with(".tmp")));
}

/// Killed with no chance to tidy up, and gone on with, a training gives the same bits: once in each of its stages.
#[cfg(unix)]
#[test]
fn a_training_that_was_killed_goes_on_to_the_same_bits() {
    let folder = Folder::new("killed");
    let file = configuration(&folder);
    let train = |out: &str| {
        let stages = [
            "--set",
            "train.adam.epochs=3000",
            "--set",
            "train.second_order.iterations=200",
            "--set",
            "train.hidden=20",
        ];
        let mut c = command(&[
            "train",
            &file,
            "-o",
            out,
            "--quiet",
            "--threads",
            "1",
            "--resume",
            "--checkpoint-every",
            "0.02",
            "--set",
            "train.second_order.target_mse=0",
        ]);
        c.args(stages).stdout(Stdio::null());
        c
    };
    let (through, killed) = (folder.path("through"), folder.path("killed"));
    assert!(train(&through).status().unwrap().success());
    for stage in ["epoch", "variable"] {
        let mut child = train(&killed).spawn().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
        let checkpoint = folder.path("killed/checkpoint.safetensors");
        let progress = folder.path("killed/progress.jsonl");
        let reached = || {
            // A checkpoint, and records of this stage after it.
            let text = fs::read_to_string(&progress).unwrap_or_default();
            Path::new(&checkpoint).exists()
                && text
                    .lines()
                    .last()
                    .is_some_and(|l| l.contains(&format!("\"{stage}\"")))
        };
        while !reached() {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the training was over before it was killed"
            );
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!Path::new(&folder.path("killed/surrogate.safetensors")).exists());
    }
    assert!(train(&killed).status().unwrap().success());
    let surrogate = |out: &str| fs::read(Path::new(out).join("surrogate.safetensors")).unwrap();
    assert!(surrogate(&through) == surrogate(&killed));
    let tensors = |out: &str| {
        ionoscope_learn::checkpoint::Checkpoint::load(
            &Path::new(out).join("checkpoint.safetensors"),
        )
        .unwrap()
        .networks
    };
    assert!(tensors(&through) == tensors(&killed));
}

#[test]
fn spikes_of_a_model_and_of_a_surrogate() {
    let folder = Folder::new("spikes");
    let figure = folder.path("burst.svg");
    let cell = json(&[
        "spikes",
        "sherman-1988",
        "--param",
        "v_s=-36",
        "--json",
        "--plot",
        &figure,
    ]);
    assert_eq!(
        (cell["regime"].as_str(), cell["spikes_per_burst"].as_f64()),
        (Some("Bursting"), Some(20.0)),
        "{cell}"
    );
    assert!(
        (cell["burst_period"].as_f64().unwrap() - 9.026).abs() < 1e-3
            && cell["complete_bursts"].as_u64().unwrap() >= 10
    );
    assert_eq!(
        (
            &cell["units"]["time"],
            &cell["units"]["v"],
            &cell["recording"]["stopped"]
        ),
        (&"s".into(), &"mV".into(), &"EnoughBursts".into())
    );
    assert!(
        ["mean", "min", "max", "median", "cv"]
            .iter()
            .all(|key| cell["isi"][key].is_f64())
    );
    assert_eq!(
        cell["spikes"].as_array().unwrap().len(),
        cell["action_potentials"].as_array().unwrap().len()
    );
    roxmltree::Document::parse(&fs::read_to_string(&figure).unwrap()).unwrap();
    let table = out(&["spikes", "sherman-1988", "--param", "v_s=-33"]);
    assert!(
        table.contains("regime             spiking") && table.contains("burst period       -"),
        "{table}"
    );
    // The surrogate, which only relaxes, has the threshold of its model.
    let silent = json(&["spikes", &surrogate(&folder), "--json", "--quiet"]);
    assert_eq!(
        (
            silent["regime"].as_str(),
            &silent["burst_period"],
            &silent["isi"]
        ),
        (Some("Silent"), &Value::Null, &Value::Null)
    );
    assert_eq!(silent["definitions"]["threshold"].as_f64(), Some(-40.0));
    let pulse = folder.path("pulse.toml");
    fs::write(
        &pulse,
        "[[stimulus]]\nshape = \"step\"\nstart = 5\nduration = 1\namplitude = 20\n",
    )
    .unwrap();
    let stimulated = out(&[
        "spikes",
        "hodgkin-huxley-1952",
        "--protocol",
        &pulse,
        "--t-end",
        "40",
    ]);
    assert!(
        stimulated.contains("APD90 (ms)") && stimulated.contains("1 complete, 0 not"),
        "{stimulated}"
    );
    refused(
        2,
        &["spikes", "hodgkin-huxley-1952", "--protocol", &pulse],
        &["changes over time", "--t-end"],
    );
    refused(
        2,
        &["spikes", "lorenz-1963"],
        &["no membrane potential", "--variable", "x, y, z"],
    );
    refused(
        2,
        &["spikes", "lorenz-1963", "--variable", "x"],
        &["--threshold"],
    );
    refused(
        2,
        &[
            "spikes",
            "sherman-1988",
            "--t-transient",
            "100",
            "--t-end",
            "50",
        ],
        &["a transient of 100", "later end"],
    );
    refused(
        2,
        &[
            "spikes",
            "sherman-1988",
            "--dt",
            "1e-9",
            "--t-transient",
            "0",
            "--t-end",
            "100",
        ],
        &["1.000e11 steps", "take another step"],
    );
    refused(
        2,
        &["spikes", "sherman-1988", "--plot", "figure.png"],
        &["figure.png", ".svg"],
    );
    refused(
        2,
        &["spikes", "hodgkin-huxley-1952", "--preset", "rest-60"],
        &["rest-60", "rest-65"],
    );
}

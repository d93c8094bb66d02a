//! The verbs that analyze a system, on the real binary: their JSON, their files, and what they say when something is wrong.

use std::fs;

use serde_json::Value;

mod command;

use command::{Folder, json, out, refused, run};

const MAP: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../pretrained/stankevich-2017-dt0.005.safetensors"
);

fn kinds(answer: &Value) -> Vec<(String, f64)> {
    let branches = answer["branches"].as_array().unwrap();
    let special = branches
        .iter()
        .flat_map(|b| b["special_points"].as_array().unwrap());
    special
        .map(|s| {
            (
                s["kind"].as_str().unwrap().to_owned(),
                s["parameter"].as_f64().unwrap(),
            )
        })
        .collect()
}

#[test]
fn the_map_has_the_hopf_points_of_its_equations() {
    let equations = kinds(&json(&[
        "continue",
        "stankevich-2017",
        "--over",
        "v_s=-40:-30",
        "--json",
    ]));
    let map = kinds(&json(&[
        "continue",
        MAP,
        "--over",
        "v_s=-40:-30",
        "--json",
        "--quiet",
    ]));
    assert_eq!(
        (equations.len(), map.len()),
        (2, 2),
        "{equations:?} {map:?}"
    );
    for ((a, p), (b, q)) in equations.iter().zip(&map) {
        assert_eq!((a.as_str(), b.as_str()), ("Hopf", "NeimarkSacker"));
        // Within .02 in v_s is the goal; .0011 was seen.
        assert!((p - q).abs() < 0.02, "{p} {q}");
    }
}

#[test]
fn branches_as_json_table_and_figure() {
    let folder = Folder::new("continue");
    let (csv, svg) = (folder.path("b.csv"), folder.path("b.svg"));
    let answer = json(&[
        "continue",
        "hodgkin-huxley-1952",
        "--over",
        "i_stim=0:200",
        "-o",
        &csv,
        "--plot",
        &svg,
        "--json",
    ]);
    // Hassard (1978): 9.78 and 154.5, the first subcritical, the second supercritical.
    let special = answer["branches"][0]["special_points"].as_array().unwrap();
    let near =
        |k: usize, value: f64| (special[k]["parameter"].as_f64().unwrap() - value).abs() < 0.05;
    assert!(near(0, 9.78) && near(1, 154.5), "{special:?}");
    assert!(
        special[0]["first_lyapunov_coefficient"].as_f64().unwrap() > 0.0
            && special[1]["first_lyapunov_coefficient"].as_f64().unwrap() < 0.0
    );
    assert_eq!(
        special[0]["x"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["v", "m", "h", "n"]
    );
    assert!(
        answer["branches"][0]["stopped"]
            .as_str()
            .unwrap()
            .contains("end of the parameter's interval")
    );
    // A frequency is the imaginary part of the pair, in radians per unit of time.
    assert_eq!(
        (&answer["units"]["parameter"], &answer["units"]["frequency"]),
        (&"uA/cm^2".into(), &"rad/ms".into())
    );
    let pair = special[0]["eigenvalues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["im"].as_f64().unwrap())
        .fold(0.0, f64::max);
    assert!((special[0]["frequency"].as_f64().unwrap() - pair).abs() < 1e-6 * pair);
    let text = fs::read_to_string(&csv).unwrap();
    assert!(
        text.starts_with("branch,kind,i_stim,v,m,h,n,mu1_re,mu1_im,") && text.contains(",Hopf,")
    );
    assert!(fs::read_to_string(&svg).unwrap().contains("Hopf"));
    assert_eq!(folder.names(), ["b.csv", "b.csv.meta.json", "b.svg"]);
    // No bifurcation is an empty list.
    let none = json(&[
        "continue",
        "sherman-1988",
        "--over",
        "v_s=-40:-30",
        "--json",
    ]);
    assert_eq!(none["branches"][0]["special_points"], serde_json::json!([]));
}

#[test]
fn a_branch_says_how_it_ends() {
    // At e = 0 the Jacobian is singular: the branch is followed to it, over the Hopf point at 2.68.
    let answer = json(&[
        "continue",
        "fitzhugh-nagumo-1961",
        "--i-stim",
        "0.5",
        "--over",
        "e=0:1000",
        "--json",
    ]);
    let branch = &answer["branches"][0];
    assert_eq!(
        (&answer["complete"], &branch["complete"]),
        (&true.into(), &true.into())
    );
    let special = branch["special_points"].as_array().unwrap();
    assert!(
        special.len() == 1 && special[0]["kind"] == "Hopf",
        "{special:?}"
    );
    assert!(
        (special[0]["parameter"].as_f64().unwrap() - 2.68004064).abs() < 1e-7,
        "{special:?}"
    );
    let ends = branch["ends"].as_array().unwrap();
    assert_eq!(
        [&ends[0]["parameter"], &ends[1]["parameter"]],
        [0.0, 1000.0]
    );
    assert!(
        ends[0]["reason"]["singular_end"]["within"]
            .as_f64()
            .unwrap()
            <= 1e-9,
        "{ends:?}"
    );
    assert_eq!(ends[1]["reason"], "end_of_range");
    assert!(
        branch["stopped"]
            .as_str()
            .unwrap()
            .starts_with("at e = 0: the end of the parameter's interval, where")
    );
    let text = out(&[
        "continue",
        "fitzhugh-nagumo-1961",
        "--i-stim",
        "0.5",
        "--over",
        "e=0:1000",
    ]);
    assert!(text.contains("angular frequency (rad), l1"), "{text}");
}

#[test]
fn basins_lyapunov_and_network_as_json() {
    let folder = Folder::new("basins");
    let csv = folder.path("starts.csv");
    let answer = json(&[
        "basins",
        "stankevich-2017",
        "--param",
        "v_s=-36",
        "--starts",
        "500",
        "--box",
        "v=-70:-10,n=0:0.12,s=0.17:0.2",
        "-o",
        &csv,
        "--json",
    ]);
    let attractors = answer["attractors"].as_array().unwrap();
    assert_eq!(
        (&attractors[0]["kind"], &attractors[1]["kind"]),
        (&Value::from("FixedPoint"), &Value::from("Periodic"))
    );
    let [low, high] = [0, 1].map(|k| attractors[0]["interval"][k].as_f64().unwrap());
    assert!(low < attractors[0]["share"].as_f64().unwrap() && high < 0.05);
    assert!((attractors[0]["x"]["v"].as_f64().unwrap() + 50.636).abs() < 1e-3);
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 501);

    let answer = json(&["lyapunov", "lorenz-1963", "--accuracy", "0.01", "--json"]);
    for (k, want) in [0.906, 0.0, -14.572].into_iter().enumerate() {
        assert!((answer["exponents"][k].as_f64().unwrap() - want).abs() < 0.05);
        assert!(answer["errors"][k].as_f64().unwrap() <= 0.01);
    }

    // What has not settled comes with the option to change.
    let open = run(&["basins", "sherman-1988", "--starts", "20", "--t-end", "0.5"]);
    let message = String::from_utf8_lossy(&open.stderr);
    assert!(
        message.contains("20 of 20 starts had not settled")
            && message.contains("such as 5.0000, with --t-end"),
        "{message}"
    );

    let text = out(&["lyapunov", "lorenz-1963", "--accuracy", "0.01"]);
    assert!(
        text.contains("mean return time of the slowest variable ")
            && text.contains(": means over 16 trajectories of "),
        "{text}"
    );

    let answer = json(&[
        "coupled",
        "sherman-1988",
        "--graph",
        "ring:4",
        "--coupling",
        "0.5",
        "--t-end",
        "2",
        "--json",
    ]);
    assert_eq!(
        (&answer["cells"], &answer["couplings"]),
        (&Value::from(4), &Value::from(4))
    );
    // Cells that start alike stay alike, whatever their coupling.
    let alike = json(&[
        "coupled",
        MAP,
        "--graph",
        "lattice:2x2",
        "--coupling",
        "0.1",
        "--t-end",
        "1",
        "--scatter",
        "0",
        "--json",
    ]);
    assert_eq!(alike["spread_at_the_end"], 0.0);
}

#[test]
fn diagrams_as_table_and_figure() {
    let folder = Folder::new("diagram");
    let (csv, svg) = (folder.path("r.csv"), folder.path("r.svg"));
    let raster = [
        "diagram",
        "sherman-1988",
        "--over",
        "v_s=-36:-35:3",
        "--transient",
        "10",
        "--window",
        "5",
        "--dt",
        "0.05",
    ];
    let answer = json(&[&raster[..], &["-o", &csv, "--plot", &svg, "--json"]].concat());
    assert_eq!(answer["columns"].as_array().unwrap().len(), 3);
    let text = fs::read_to_string(&csv).unwrap();
    assert!(text.starts_with("v_s,0,0.05,0.1") && text.lines().count() == 4);
    assert!(
        fs::read_to_string(&svg)
            .unwrap()
            .contains("data:image/png;base64,")
    );
    let orbit = json(&[
        "diagram",
        "sherman-1988",
        "--kind",
        "orbit",
        "--of",
        "isi",
        "--both",
        "--over",
        "v_s=-33:-32:2",
        // After 10 s the slow variable still moves, which is said on standard error.
        "--transient",
        "30",
        "--window",
        "5",
        "--json",
    ]);
    let sweeps = orbit["sweeps"].as_array().unwrap();
    assert_eq!(
        (&sweeps[0]["direction"], &sweeps[1]["direction"]),
        (&Value::from("forward"), &Value::from("backward"))
    );
    // Spiking at -33: an interval of .445 to .450.
    assert!(
        sweeps[0]["columns"][0]["values"]
            .as_array()
            .unwrap()
            .iter()
            .all(|v| (0.44..0.455).contains(&v.as_f64().unwrap()))
    );
}

#[test]
fn what_is_wrong_is_named() {
    let lorenz = ["lyapunov", "lorenz-1963"];
    for (arguments, words) in [
        (
            vec!["continue", "sherman-1988", "--over", "vs=-40:-30"],
            "did you mean 'v_s'",
        ),
        (
            vec!["continue", "sherman-1988", "--over", "v_s=-40"],
            "expected NAME=FROM:TO",
        ),
        (
            vec!["continue", "sherman-1988", "--over", "v_s=-40:-30:5"],
            "not at a number of values; write v_s=-40:-30",
        ),
        (
            vec![
                "continue",
                "sherman-1988",
                "--over",
                "i_stim=0:1",
                "--i-stim",
                "5",
            ],
            "--over varies i_stim, and --i-stim 5",
        ),
        (
            vec![
                "continue",
                "sherman-1988",
                "--over",
                "v_s=-40:-30",
                "--param",
                "v_s=-36",
            ],
            "--param v_s=-36 gives it one value",
        ),
        (
            vec![
                "diagram",
                "sherman-1988",
                "--over",
                "v_s=-40:-30:3",
                "--param",
                "v_s=-36",
            ],
            "--param v_s=-36 gives it one value",
        ),
        (
            vec![
                "basins",
                "sherman-1988",
                "--over",
                "i_stim=0:1:3",
                "--i-stim",
                "0",
            ],
            "--i-stim 0 gives it one value",
        ),
        (
            vec!["basins", "sherman-1988", "--grid", "v:10,v:10"],
            "--grid has v twice",
        ),
        (
            vec!["continue", "sherman-1988", "--over", "v_s=-400:-30"],
            "outside",
        ),
        (
            vec![
                "continue",
                "sherman-1988",
                "--over",
                "v_s=-40:-30",
                "--box",
                "v=10:20",
            ],
            "no fixed point",
        ),
        (vec!["basins", "sherman-1988", "--starts", "0"], "0 starts"),
        (vec!["basins", "sherman-1988", "--box", "v=1:1"], "empty"),
        (vec!["basins", "sherman-1988", "--plot", "x.svg"], "--grid"),
        (
            vec![
                "diagram",
                "sherman-1988",
                "--kind",
                "orbit",
                "--of",
                "section",
                "--over",
                "v_s=-40:-30:2",
            ],
            "--section",
        ),
        (
            vec![
                "diagram",
                "lorenz-1963",
                "--kind",
                "orbit",
                "--of",
                "isi",
                "--over",
                "rho=20:30:2",
            ],
            "spike threshold",
        ),
        (
            vec![
                "diagram",
                "sherman-1988",
                "--over",
                "v_s=-40:-30:400",
                "--dt",
                "1e-6",
            ],
            "GB",
        ),
        (
            vec![
                "coupled",
                "lorenz-1963",
                "--graph",
                "ring:3",
                "--coupling",
                "1",
                "--t-end",
                "1",
            ],
            "no membrane potential",
        ),
        (
            vec![
                "coupled",
                "sherman-1988",
                "--graph",
                "rang:3",
                "--coupling",
                "1",
                "--t-end",
                "1",
            ],
            "rang:3",
        ),
        (
            vec![
                "coupled",
                "sherman-1988",
                "--graph",
                "star:5",
                "--coupling",
                "1",
                "--t-end",
                "1",
            ],
            "expected ring:N, chain:N, lattice:NxM",
        ),
        (
            vec![
                "coupled",
                "sherman-1988",
                "--graph",
                "lattice:3",
                "--coupling",
                "1",
                "--t-end",
                "1",
            ],
            "lattice:NxM",
        ),
        (
            vec!["compare", "sherman-1988", "stankevich-2017", "-o", "never"],
            "--over",
        ),
        (
            vec![
                "compare",
                "sherman-1988",
                "lorenz-1963",
                "--over",
                "v_s=-40:-30",
                "-o",
                "never",
            ],
            "different variables: sherman-1988 has v, n, s, and lorenz-1963 has x, y, z",
        ),
        ([&lorenz[..], &["--count", "4"]].concat(), "1 to 3"),
        (
            [&lorenz[..], &["--trajectories", "1"]].concat(),
            "2 to 1024",
        ),
    ] {
        refused(2, &arguments, &[words]);
    }
    assert!(out(&["continue", "--help"]).contains("Examples:"));
}

//! `ionoscope simulate --experiments`: what stands in the files, that nothing depends on how they were made, and what is refused.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use ionoscope_dynamics::{
    models,
    protocol::Protocol,
    trajectory::{Experiment, SolveOptions, TimeGrid},
    watch::{Watch, Watcher},
};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};
use serde_json::{Value, json};

mod command;

use command::{Folder, command, json, out, refused, run, surrogate};

/// An array of an npz: its type, shape and bytes.
#[derive(Debug, PartialEq)]
struct Array {
    dtype: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    fn doubles(&self) -> Vec<f64> {
        assert_eq!(self.dtype, "<f8");
        self.bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b))
            .collect()
    }

    fn texts(&self) -> Vec<String> {
        let width: usize = self.dtype.strip_prefix("<U").unwrap().parse().unwrap();
        let letter = |b: &[u8; 4]| char::from_u32(u32::from_le_bytes(*b)).filter(|c| *c != '\0');
        self.bytes
            .chunks_exact(4 * width)
            .map(|t| t.as_chunks().0.iter().filter_map(letter).collect())
            .collect()
    }
}

/// Reads an npz by the rules of its format, independently of what wrote it.
fn npz(path: &str) -> BTreeMap<String, Array> {
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    (0..archive.len())
        .map(|k| {
            let mut entry = archive.by_index(k).unwrap();
            let mut all = Vec::new();
            entry.read_to_end(&mut all).unwrap();
            assert_eq!(&all[..8], b"\x93NUMPY\x01\x00");
            let size = 10 + usize::from(u16::from_le_bytes([all[8], all[9]]));
            let header = std::str::from_utf8(&all[10..size]).unwrap();
            assert!(
                header.contains("'fortran_order': False")
                    && header.ends_with('\n')
                    && size % 64 == 0,
                "{header}"
            );
            let after = |key: &str| header.split_once(key).unwrap().1;
            let dtype = after("'descr': '").split('\'').next().unwrap().to_owned();
            let shape = after("'shape': (").split(')').next().unwrap();
            let shape = shape
                .split(',')
                .filter(|n| !n.trim().is_empty())
                .map(|n| n.trim().parse().unwrap())
                .collect();
            (
                entry
                    .name()
                    .unwrap()
                    .strip_suffix(".npy")
                    .unwrap()
                    .to_owned(),
                Array {
                    dtype,
                    shape,
                    bytes: all[size..].to_vec(),
                },
            )
        })
        .collect()
}

/// All files below a folder with their bytes.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            files.extend(
                tree(&entry.path())
                    .into_iter()
                    .map(|(n, b)| (format!("{name}/{n}"), b)),
            );
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// A table of beta-cells: short, long and absent stimuli, and one cell (number 5) that takes too many steps.
fn table(folder: &Folder, rows: usize) -> (String, Vec<Experiment>) {
    let cell = models::find("sherman-1988").unwrap();
    let times = TimeGrid::until(2.0, 0.01).unwrap();
    let mut text = String::from(
        "# cells\nx0:v, param:v_s,stim_amplitude,stim_start,stim_duration,\"param:tau\",param:g_ca,param:theta_m\n\n",
    );
    let mut experiments = Vec::new();
    for k in 0..rows {
        let (v, v_s) = (-60.0 + (k % 17) as f64, -40.0 + 0.37 * (k % 23) as f64);
        let (amplitude, start, duration) = (
            0.5 * (k % 5) as f64,
            0.1 * (k % 4) as f64,
            [0.0, 0.25, 1e6][k % 3],
        );
        let [tau, g_ca, theta_m] = if k == 5 {
            [1e-6, 1e4, 1e-6]
        } else {
            [0.02, 3.6, 12.0]
        };
        text.push_str(&format!(
            "{v},{v_s},{amplitude},{start},{duration},{tau},{g_ca},{theta_m}\n"
        ));
        let mut e = Experiment::from_defaults(cell.spec(), times);
        e.x0[0] = v;
        for (name, value) in [
            ("v_s", v_s),
            ("tau", tau),
            ("g_ca", g_ca),
            ("theta_m", theta_m),
        ] {
            e.p[cell.spec().parameter_index(name).unwrap()] = value;
        }
        e.protocol = if duration == 0.0 {
            Protocol::none()
        } else {
            Protocol::step(start, duration, amplitude)
        };
        experiments.push(e);
    }
    let path = folder.path("table.csv");
    fs::write(&path, text).unwrap();
    (path, experiments)
}

const RUN: [&str; 11] = [
    "simulate",
    "sherman-1988",
    "--t-end",
    "2",
    "--dt",
    "0.01",
    "--rtol",
    "1e-7",
    "--max-steps",
    "20000",
    "--experiments",
];

#[test]
fn an_npz_holds_what_the_ensemble_gives() {
    let folder = Folder::new("npz");
    let (table, experiments) = table(&folder, 40);
    let (path, single) = (folder.path("a.npz"), folder.path("b.npz"));
    let output = run(&[&RUN[..], &[&table, "-o", &path]].concat());
    assert_eq!(output.status.code(), Some(0));
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        message,
        "warning: 1 of 40 experiments stopped early (1 too many steps); their states from there on are NaN\n"
    );

    let cell = models::find("sherman-1988").unwrap();
    let options = SolveOptions {
        rtol: 1e-7,
        max_steps: 20_000,
        ..SolveOptions::default()
    };
    let wanted = cell.solve_ensemble(&experiments, &options).unwrap();
    let arrays = npz(&path);
    let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
    let all = [
        "evaluations",
        "extrapolated",
        "jacobians",
        "rejections",
        "status",
        "steps",
        "stiff_from",
        "time",
        "units",
        "variables",
        "x",
    ];
    assert_eq!(names, all);
    assert_eq!(arrays["x"].shape, [40, 201, 3]);
    for (k, (got, t)) in arrays["x"]
        .doubles()
        .chunks_exact(603)
        .zip(&wanted)
        .enumerate()
    {
        let bits = |x: &[f64]| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&got[..t.x.len()]), bits(&t.x), "experiment {k}");
        assert!(
            got[t.x.len()..].iter().all(|v| v.is_nan()),
            "experiment {k}"
        );
        assert_eq!(t.x.len() == 603, k != 5);
    }
    let time: Vec<f64> = (0..201).map(|k| f64::from(k) * 0.01).collect();
    assert_eq!(arrays["time"].doubles(), time);
    assert_eq!(
        (arrays["variables"].texts(), arrays["units"].texts()),
        (
            vec!["v".into(), "n".into(), "s".into()],
            vec!["mV".into(), "1".into(), "1".into()]
        )
    );
    let status = arrays["status"].texts();
    assert_eq!(
        (&*status[4], &*status[5], status.len()),
        ("ok", "too many steps", 40)
    );
    assert_eq!(
        (&*arrays["steps"].dtype, &arrays["steps"].shape),
        ("<u8", &vec![40])
    );
    let steps: Vec<u64> = arrays["steps"]
        .bytes
        .as_chunks()
        .0
        .iter()
        .map(|b| u64::from_le_bytes(*b))
        .collect();
    assert_eq!(
        steps,
        wanted
            .iter()
            .map(|t| t.statistics.accepted)
            .collect::<Vec<_>>()
    );

    let meta: Value =
        serde_json::from_slice(&fs::read(folder.path("a.npz.meta.json")).unwrap()).unwrap();
    assert_eq!(
        meta["result"]["status"],
        json!({"ok": 39, "too many steps": 1})
    );
    assert_eq!(meta["result"]["work"]["steps"], steps.iter().sum::<u64>());
    assert_eq!(
        (
            &meta["experiments"]["rows"],
            &meta["experiments"]["columns"][1],
            &meta["rtol"]
        ),
        (&json!(40), &json!("param:v_s"), &json!(1e-7))
    );
    assert_eq!(
        meta["units"],
        json!({"time": "s", "v": "mV", "n": "1", "s": "1"})
    );

    let document = json(
        &[
            &RUN[..],
            &[
                &table,
                "-o",
                &single,
                "--precision",
                "single",
                "--quiet",
                "--json",
            ],
        ]
        .concat(),
    );
    assert_eq!(document["precision"], "single");
    let narrow = &npz(&single)["x"];
    assert_eq!((&*narrow.dtype, &narrow.shape), ("<f4", &arrays["x"].shape));
    let expected: Vec<u8> = arrays["x"]
        .doubles()
        .iter()
        .flat_map(|v| (*v as f32).to_le_bytes())
        .collect();
    assert!(narrow.bytes == expected);
    assert_eq!(
        folder.names(),
        [
            "a.npz",
            "a.npz.meta.json",
            "b.npz",
            "b.npz.meta.json",
            "table.csv"
        ]
    );
}

#[test]
fn a_zarr_store_holds_the_same_in_chunks_for_any_number_of_threads() {
    let folder = Folder::new("zarr");
    let (table, _) = table(&folder, 40);
    let run = |more: &[&str]| out(&[&RUN[..], &[&table, "--quiet"], more].concat());
    let (array, store, again) = (
        folder.path("a.npz"),
        folder.path("a.zarr"),
        folder.path("b.zarr"),
    );
    run(&["-o", &array]);
    run(&["-o", &store, "--chunk", "7", "--threads", "1"]);
    run(&["-o", &again, "--chunk", "7", "--threads", "3"]);
    let files = tree(Path::new(&store));
    assert!(files == tree(Path::new(&again)));
    assert_eq!(
        folder.names(),
        ["a.npz", "a.npz.meta.json", "a.zarr", "b.zarr", "table.csv"]
    );

    let document = |name: &str| serde_json::from_slice::<Value>(&files[name]).unwrap();
    let (x, consolidated) = (document("x/.zarray"), document(".zmetadata"));
    assert_eq!(
        (&x["shape"], &x["chunks"], &x["dtype"]),
        (&json!([40, 201, 3]), &json!([7, 201, 3]), &json!("<f8"))
    );
    assert_eq!(
        document("x/.zattrs")["_ARRAY_DIMENSIONS"],
        json!(["experiment", "time", "variable"])
    );
    assert_eq!(document("x/.zattrs")["units"], json!(["mV", "1", "1"]));
    assert_eq!(
        document("time/.zattrs"),
        json!({"units": "s", "_ARRAY_DIMENSIONS": ["time"]})
    );
    for name in files
        .keys()
        .filter(|name| name.contains(".z") && *name != ".zmetadata")
    {
        assert_eq!(consolidated["metadata"][name], document(name), "{name}");
    }
    assert_eq!(document(".zattrs")["result"]["status"]["ok"], 39);
    // Chunks end to end are the arrays of the npz; the last one is filled up.
    for (name, array) in &npz(&array) {
        let (name, suffix) = match name.as_str() {
            "units" => ("unit", ""),
            "variables" => ("variable", ""),
            "x" => ("x", ".0.0"),
            other => (other, ""),
        };
        let chunks = files
            .keys()
            .filter(|f| f.starts_with(&format!("{name}/")) && !f.contains(".z"))
            .count();
        let bytes: Vec<u8> = (0..chunks)
            .flat_map(|k| files[&format!("{name}/{k}{suffix}")].clone())
            .collect();
        assert_eq!(
            chunks,
            if ["time", "unit", "variable"].contains(&name) {
                1
            } else {
                6
            },
            "{name}"
        );
        assert!(bytes[..array.bytes.len()] == array.bytes, "{name}");
    }
}

#[test]
fn shards_of_a_table_make_the_same_store_together() {
    let folder = Folder::new("shards");
    // Longer than what a reader takes up at once.
    let (table, _) = table(&folder, 4000);
    let (whole, shared) = (folder.path("whole.zarr"), folder.path("shared.zarr"));
    let to = |path| [&RUN[..], &[&table, "-o", path, "--chunk", "20", "--quiet"]].concat();
    out(&to(&whole));
    let started = to(&shared);
    let shard = |text: &'static str| [&started[..], &["--shard", text]].concat();
    // All at once, the third as a scheduler would say it.
    let mut ranks: Vec<_> = ["0/3", "1/3"]
        .map(|s| command(&shard(s)).stdout(Stdio::null()).spawn().unwrap())
        .into();
    let third = &mut command(&shard("rank"));
    ranks.push(
        third
            .env("SLURM_PROCID", "2")
            .env("SLURM_NTASKS", "3")
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    assert!(ranks.iter_mut().all(|r| r.wait().unwrap().success()));
    assert!(!Path::new(&shared).exists());
    let kept = |k: usize| {
        fs::metadata(Path::new(&folder.path(".shared.zarr.partial")).join(format!("x/{k}.0.0")))
            .unwrap()
            .modified()
            .unwrap()
    };
    let times: Vec<_> = (0..20).map(kept).collect();
    out(&[&started[..], &["--resume"]].concat());
    assert!(tree(Path::new(&whole)) == tree(Path::new(&shared)));
    // The last command only put together.
    assert!((0..20).all(|k| {
        fs::metadata(Path::new(&shared).join(format!("x/{k}.0.0")))
            .unwrap()
            .modified()
            .unwrap()
            == times[k]
    }));
    let (store, array) = (folder.path("a.zarr"), folder.path("a.npz"));
    refused(
        2,
        &[&to(&store)[..], &["--shard", "3/3"]].concat(),
        &["0 to 2"],
    );
    refused(
        2,
        &[&to(&array)[..], &["--shard", "0/3"]].concat(),
        &[".zarr"],
    );
    refused(
        2,
        &[&to(&store)[..], &["--shard", "rank"]].concat(),
        &["SLURM_PROCID"],
    );
}

#[test]
fn a_killed_run_is_resumed_to_the_same_bytes() {
    let folder = Folder::new("killed");
    let (table, _) = table(&folder, 4000);
    let (whole, killed) = (folder.path("whole.zarr"), folder.path("killed.zarr"));
    let partial = folder.path(".killed.zarr.partial");
    let to = |path| [&RUN[..], &[&table, "-o", path, "--chunk", "20", "--quiet"]].concat();
    let started = to(&killed);
    let resume = [&started[..], &["--resume"]].concat();
    let other: Vec<&str> = resume
        .iter()
        .map(|a| if *a == "1e-7" { "1e-6" } else { a })
        .collect();
    out(&to(&whole));

    let mut child = command(&started)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !Path::new(&partial).join("x/3.0.0").exists() && begun.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(Path::new(&partial).join("x/3.0.0").exists() && !Path::new(&killed).exists());
    // What a kill in the middle of a write leaves, and a chunk that lost its end.
    fs::write(Path::new(&partial).join("x/9.0.0.tmp"), b"half").unwrap();
    let cut = fs::read(Path::new(&partial).join("x/1.0.0")).unwrap();
    fs::write(Path::new(&partial).join("x/1.0.0"), &cut[..100]).unwrap();
    let kept = fs::metadata(Path::new(&partial).join("x/0.0.0"))
        .unwrap()
        .modified()
        .unwrap();

    refused(2, &started, &["unfinished run", "--resume"]);
    refused(2, &other, &["another configuration", "rtol"]);
    out(&resume);
    assert!(tree(Path::new(&whole)) == tree(Path::new(&killed)));
    assert_eq!(
        fs::metadata(Path::new(&killed).join("x/0.0.0"))
            .unwrap()
            .modified()
            .unwrap(),
        kept
    );
    assert!(!Path::new(&partial).exists());
    // Complete: nothing to do, and nothing is overwritten.
    out(&resume);
    refused(2, &other, &["another configuration", "rtol"]);
    refused(2, &started, &["is there already"]);
}

#[test]
fn a_parquet_table_is_long_and_has_units() {
    let folder = Folder::new("parquet");
    let (table, experiments) = table(&folder, 10);
    let (many, one) = (folder.path("many.parquet"), folder.path("one.parquet"));
    out(&[&RUN[..], &[&table, "-o", &many, "--quiet", "--chunk", "4"]].concat());
    let wanted = models::find("sherman-1988").unwrap();
    let options = SolveOptions {
        rtol: 1e-7,
        max_steps: 20_000,
        ..SolveOptions::default()
    };
    let wanted = wanted.solve_ensemble(&experiments, &options).unwrap();
    let reader = SerializedFileReader::new(File::open(&many).unwrap()).unwrap();
    let file = reader.metadata().file_metadata();
    let names: Vec<&str> = file
        .schema()
        .get_fields()
        .iter()
        .map(|f| f.name())
        .collect();
    assert_eq!(
        (names, reader.num_row_groups(), file.num_rows()),
        (vec!["experiment", "time", "v", "n", "s", "status"], 3, 2010)
    );
    let pairs = file.key_value_metadata().unwrap();
    let value = |key: &str| {
        pairs
            .iter()
            .find(|p| p.key == key)
            .and_then(|p| p.value.clone())
            .unwrap()
    };
    assert_eq!((&*value("unit:v"), &*value("unit:time")), ("mV", "s"));
    assert_eq!(
        serde_json::from_str::<Value>(&value("ionoscope")).unwrap()["id"],
        "sherman-1988"
    );
    for (k, row) in reader.get_row_iter(None).unwrap().enumerate() {
        let row = row.unwrap();
        let (i, t) = (k / 201, k % 201);
        assert_eq!(
            (row.get_long(0).unwrap(), row.get_double(1).unwrap()),
            (i as i64, t as f64 * 0.01)
        );
        let got: Vec<f64> = (2..5).map(|c| row.get_double(c).unwrap()).collect();
        if t < wanted[i].len() {
            assert_eq!(got, wanted[i].state(t), "row {k}");
        } else {
            assert!(got.iter().all(|v| v.is_nan()), "row {k}");
        }
        assert_eq!(
            row.get_string(5).unwrap(),
            if i == 5 { "too many steps" } else { "ok" }
        );
    }
    // A single trajectory, with a stimulus.
    let run = [
        "simulate",
        "sherman-1988",
        "--t-end",
        "1",
        "--dt",
        "0.01",
        "--stimulus",
        "2:0.1:0.25",
        "--stimulus=-1:0.5",
        "-o",
    ];
    let (npz_path, csv) = (folder.path("one.npz"), folder.path("one.csv"));
    [&one, &npz_path, &csv]
        .iter()
        .for_each(|path| drop(out(&[&run[..], &[path]].concat())));
    let text = fs::read_to_string(csv).unwrap();
    let numbers: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').map(|n| n.parse().unwrap()).collect())
        .collect();
    let reader = SerializedFileReader::new(File::open(&one).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 101);
    for (row, numbers) in reader.get_row_iter(None).unwrap().zip(&numbers) {
        let row = row.unwrap();
        assert_eq!(
            &(0..4)
                .map(|c| row.get_double(c).unwrap())
                .collect::<Vec<_>>(),
            numbers
        );
    }
    let arrays = npz(&npz_path);
    assert_eq!(arrays["x"].shape, [101, 3]);
    assert_eq!(
        arrays["x"].doubles(),
        numbers
            .iter()
            .flat_map(|n| n[1..].to_vec())
            .collect::<Vec<_>>()
    );
    let meta: Value =
        serde_json::from_slice(&fs::read(folder.path("one.csv.meta.json")).unwrap()).unwrap();
    assert_eq!(meta["protocol"]["stimulus"][0]["amplitude"], 2.0);
    assert!(
        numbers[30] != numbers[29]
            && out(&["simulate", "sherman-1988", "--t-end", "1", "--dt", "0.01"]) != text
    );
}

#[test]
fn the_papers_grid_has_1260_points() {
    let folder = Folder::new("grid");
    let (table, path) = (folder.path("t.csv"), folder.path("t.npz"));
    fs::write(&table, "param:v_s\n-36\n-40\n").unwrap();
    let grid = [
        "--t-end",
        "99.92063492063491",
        "--dt",
        "0.07936507936507936",
    ];
    out(&[
        &[
            "simulate",
            "sherman-1988",
            "--rtol",
            "1e-4",
            "--experiments",
            &table,
            "-o",
            &path,
        ],
        &grid[..],
    ]
    .concat());
    let arrays = npz(&path);
    assert_eq!(
        (&arrays["time"].shape, &arrays["x"].shape),
        (&vec![1260], &vec![2, 1260, 3])
    );
    assert_eq!(arrays["time"].doubles()[1259], 1259.0 * 0.07936507936507936);
}

#[test]
fn a_surrogate_takes_a_table_without_stimuli_and_marks_what_it_did_not_learn() {
    let folder = Folder::new("surrogate-batch");
    let file = surrogate(&folder);
    let (table, path) = (folder.path("t.csv"), folder.path("t.npz"));
    let run_it = [
        "simulate",
        &file,
        "--t-end",
        "0.1",
        "--experiments",
        &table,
        "-o",
        &path,
    ];
    let header = "stim_start,stim_duration,stim_amplitude,param:v_s,x0:v\n";
    fs::write(&table, format!("{header}0,0,5,-36,-50\n1,0,5,-29,-50\n")).unwrap();
    let output = run(&run_it);
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("1 of 2 experiments went outside the training range")
    );
    assert_eq!(npz(&path)["extrapolated"].bytes, [0, 1]);
    fs::write(&table, format!("{header}0,0,5,-36,-50\n0,1,5,-36,-50\n")).unwrap();
    refused(
        2,
        &run_it,
        &["t.csv: line 3", "relaxation", "without a stimulus"],
    );
}

#[test]
fn a_table_that_makes_no_sense_is_refused_by_its_line() {
    let folder = Folder::new("tables");
    let (table, path) = (folder.path("t.csv"), folder.path("t.npz"));
    let refuse = |text: &str, more: &[&str], parts: &[&str]| {
        fs::write(&table, text).unwrap();
        let arguments = [
            "simulate",
            "sherman-1988",
            "--t-end",
            "1",
            "--experiments",
            &table,
            "-o",
            &path,
        ];
        refused(
            2,
            &[&arguments[..], more].concat(),
            &[&[table.as_str()], parts].concat(),
        );
    };
    refuse("", &[], &["it is empty"]);
    refuse("param:v_s\n", &[], &["a header and no row"]);
    refuse("-36\n-37\n", &[], &["line 1", "header is missing"]);
    refuse(
        "param:vs\n-36\n",
        &[],
        &["line 1", "unknown parameter 'vs'", "did you mean 'v_s'?"],
    );
    refuse("x0:w\n1\n", &[], &["line 1", "unknown variable 'w'"]);
    refuse(
        "stim_strat,stim_duration,stim_amplitude\n1,1,1\n",
        &[],
        &[
            "line 1",
            "unknown column 'stim_strat'",
            "did you mean 'stim_start'?",
        ],
    );
    refuse(
        "v_s\n-36\n",
        &[],
        &["unknown column 'v_s'", "did you mean 'param:v_s'?"],
    );
    refuse(
        "param:v_s;x0:v\n-36;2\n",
        &[],
        &["unknown parameter 'v_s;x0:v'"],
    );
    refuse(
        "param:v_s,x0:v,param:v_s\n-36,-50,-36\n",
        &[],
        &["line 1", "column 3", "again"],
    );
    refuse(
        "stim_start,stim_amplitude\n1,1\n",
        &[],
        &["there is no column stim_duration"],
    );
    refuse(
        "param:v_s\n-36\n\nnan\n",
        &[],
        &["line 4", "param:v_s is 'nan'", "finite"],
    );
    refuse("param:v_s\r\n-36\r\n1e999\r\n", &[], &["line 3", "'1e999'"]);
    refuse("param:v_s,x0:v\n-36,\n", &[], &["line 2", "x0:v is ''"]);
    refuse(
        "param:v_s,x0:v\n-36,-50\n# a remark\n-36\n",
        &[],
        &["line 4", "1 entry", "expected 2"],
    );
    refuse("param:v_s,x0:v\n-36,-50,1\n", &[], &["line 2", "3 entries"]);
    refuse(
        "param:tau\n-1\n",
        &[],
        &["line 2", "param:tau = -1 is outside"],
    );
    refuse(
        "x0:v\n-60\n500\n",
        &[],
        &["line 3", "x0:v = 500 is outside [-75, 25]"],
    );
    let stimulus = "stim_start,stim_duration,stim_amplitude\n";
    refuse(
        &format!("{stimulus}1,-1,2\n"),
        &[],
        &["line 2", "stim_duration is -1"],
    );
    refuse(
        &format!("{stimulus}-1,1,2\n"),
        &[],
        &["line 2", "stim_start is -1"],
    );
    refuse(
        &format!("{stimulus}1,1,2\n"),
        &["--stimulus", "3"],
        &["leave one of them out"],
    );
    fs::write(&table, b"param:v_s\n\xff\xfe\n").unwrap();
    let base = [
        "simulate",
        "sherman-1988",
        "--t-end",
        "1",
        "--experiments",
        &table,
    ];
    let with = |more: &[&str], parts: &[&str]| refused(2, &[&base[..], more].concat(), parts);
    with(&["-o", &path], &["line 2", "UTF-8"]);
    fs::write(&table, "param:v_s\n-36\n-37\n-38\n-39\n-40\n").unwrap();
    with(&[], &["--output"]);
    with(&["-o", &folder.path("t.csv")], &[".npz, .zarr, .parquet"]);
    with(
        &["-o", &format!("{table}/t.zarr")],
        &["cannot make the folder"],
    );
    with(&["-o", &path, "--resume"], &["--resume is for .zarr"]);
    // 5 x 160 000 001 x 3 states and as many times, of 8 bytes each.
    with(
        &["-o", &path, "--dt", "6.25e-9"],
        &["would have 20.5 GB", ".zarr"],
    );
    with(&["-o", &path, "--plot", &folder.path("t.svg")], &["--plot"]);
    refused(
        2,
        &[
            "simulate",
            "sherman-1988",
            "--t-end",
            "1",
            "--experiments",
            &folder.path("no.csv"),
            "-o",
            &path,
        ],
        &["cannot read", "no.csv"],
    );
    refused(
        2,
        &[
            "simulate",
            "sherman-1988",
            "--t-end",
            "1",
            "--stimulus",
            "1:2:3:4",
        ],
        &["I[:START[:DURATION]]"],
    );
    refused(
        2,
        &[
            "simulate",
            "sherman-1988",
            "--t-end",
            "1",
            "--stimulus",
            "1:0:-2",
        ],
        &["duration is -2"],
    );
    refused(
        2,
        &[
            "simulate",
            "sherman-1988",
            "--t-end",
            "1",
            "--method",
            "rush-larsen",
        ],
        &["rush-larsen has a fixed step"],
    );
    refused(
        2,
        &[
            "simulate",
            "sherman-1988",
            "--t-end",
            "1",
            "--method",
            "rush-larsen",
            "--rtol",
            "1e-6",
        ],
        &["leave out --rtol"],
    );
    refused(
        2,
        &["simulate", "sherman-1988", "--t-end", "1", "--step", "0.1"],
        &["fixed step of 0.1"],
    );
    refused(
        2,
        &[
            "simulate",
            "sherman-1988",
            "--t-end",
            "1",
            "--precision",
            "single",
        ],
        &["--precision single is for"],
    );
    assert_eq!(folder.names(), ["t.csv"]);
}

#[test]
fn a_figure_shows_what_is_asked_for_and_the_stimulus() {
    let folder = Folder::new("figure");
    let path = folder.path("t.svg");
    let run_it = ["simulate", "sherman-1988", "--t-end", "2", "--plot", &path];
    let panels = |more: &[&str]| {
        out(&[&run_it[..], more].concat());
        let text = fs::read_to_string(&path).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        (
            document
                .descendants()
                .filter(|n| n.has_tag_name("svg"))
                .count()
                - 1,
            text,
        )
    };
    assert_eq!(panels(&[]).0, 3);
    let (count, text) = panels(&["--show", "s,n", "--stimulus", "2:0.5:1"]);
    assert_eq!(count, 3);
    assert!(text.contains("stim"));
    refused(
        2,
        &[&run_it[..], &["--show", "w"]].concat(),
        &["unknown variable 'w'"],
    );
}

#[test]
fn a_paced_cell_starts_on_its_orbit() {
    let folder = Folder::new("paced");
    let path = folder.path("t.csv");
    let run_it = [
        "simulate",
        "sherman-1988",
        "--param",
        "v_s=-45",
        "--stimulus",
        "10:0:0.05",
        "--pace",
        "0.5",
        "--t-end",
        "0.5",
        "--dt",
        "0.01",
    ];
    let document = json(&[&run_it[..], &["-o", &path, "--json"]].concat());
    assert_eq!(
        (
            &document["pacing"]["converged"],
            document["pacing"].get("state")
        ),
        (&json!(true), None)
    );
    let period = document["pacing"]["multiplicity"].as_u64().unwrap();
    assert_eq!(period, 1);
    let text = fs::read_to_string(&path).unwrap();
    let state = |line: &str| {
        line.split(',')
            .skip(1)
            .map(|n| n.parse().unwrap())
            .collect::<Vec<f64>>()
    };
    let (first, last) = (
        state(text.lines().nth(1).unwrap()),
        state(text.lines().last().unwrap()),
    );
    assert_eq!(document["x0"]["v"], first[0]);
    for (a, b) in first.iter().zip(&last) {
        assert!((a - b).abs() < 1e-5 * a.abs(), "{first:?} {last:?}");
    }
    refused(
        2,
        &[
            "simulate",
            "sherman-1988",
            "--t-end",
            "1",
            "--pace",
            "often",
        ],
        &["--pace", "'often' is not a number"],
    );
    refused(
        2,
        &[
            "simulate",
            "sherman-1988",
            "--t-end",
            "1",
            "--pace",
            "free",
            "--stimulus",
            "1:0.5:0.1",
        ],
        &["the stimulus changes over time"],
    );
}

/// Edits a table as soon as the first experiments are done.
struct Editor {
    table: String,
    text: String,
    done: std::sync::atomic::AtomicBool,
}

impl Watch for Editor {
    fn progress(&self, _: usize, _: usize, _: &str) {
        if !self.done.swap(true, std::sync::atomic::Ordering::Relaxed) {
            fs::write(&self.table, &self.text).unwrap();
        }
    }
}

#[test]
fn a_table_that_is_edited_meanwhile_is_refused_before_its_new_rows_are_run() {
    use ionoscope::{
        arrays::{Layout, Precision, zarr::Existing},
        batch::{Job, Output},
        experiments::survey,
        subject::{Settings, Subject},
    };
    let folder = Folder::new("edited");
    // Longer than what a reader takes up at once.
    let (table, _) = table(&folder, 4000);
    let text = fs::read_to_string(&table).unwrap();
    let nothing = Settings::default();
    let cell = Subject::open("sherman-1988", &nothing, &Watcher::default()).unwrap();
    let cell = cell.simulator;
    let base = Experiment::from_defaults(cell.spec(), TimeGrid::until(0.1, 0.01).unwrap());
    let go = |name: &str, edited: Option<String>, existing: Existing| {
        let mut options = SolveOptions {
            max_steps: 20_000,
            ..SolveOptions::default()
        };
        let survey = survey(Path::new(&table), &*cell, &base, &options, false)?;
        if let Some(text) = edited {
            let editor = Editor {
                table: table.clone(),
                text,
                done: Default::default(),
            };
            options.watch = Watcher::new(editor);
        }
        let layout = Layout::new(cell.spec(), base.times, survey.rows, Precision::Double);
        let configuration = json!({"hash": survey.hash});
        let output = Output::create(
            Path::new(&folder.path(name)),
            &layout,
            8,
            &configuration,
            existing,
        )?;
        let job = Job {
            simulator: &*cell,
            base: &base,
            table: Path::new(&table),
            survey: &survey,
            options: &options,
            layout: &layout,
            chunk: 8,
            shard: None,
        };
        let (output, summary) = job.run(output)?;
        output.finish(&configuration, &summary).map(|_| survey.hash)
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    pool.install(|| {
        let hash = go("whole.zarr", None, Existing::Refuse).unwrap();
        assert_eq!(
            hash,
            ionoscope::artifact::fingerprint(Path::new(&table)).unwrap()
        );
        // Another value in the last row but ten, a row more, a row less, a comment at the end.
        let row = text.lines().rev().nth(10).unwrap();
        let other = text.replace(row, &format!("-64{}", &row[row.find(',').unwrap()..]));
        let shorter = text.trim_end().rsplit_once('\n').unwrap().0.to_owned();
        for (k, edited) in [
            other,
            format!("{text}{row}\n"),
            shorter,
            format!("{text}# so\n"),
        ]
        .into_iter()
        .enumerate()
        {
            assert_ne!(edited, text);
            let name = format!("{k}.zarr");
            let message = go(&name, Some(edited), Existing::Refuse)
                .unwrap_err()
                .to_string();
            assert!(
                message.contains("table.csv")
                    && (message.contains("was changed") || message.contains("line ")),
                "{message}"
            );
            assert!(!fs::exists(folder.path(&name)).unwrap());
            // What was kept is of the table that stands in its configuration.
            fs::write(&table, &text).unwrap();
            go(&name, None, Existing::Resume).unwrap();
            assert_eq!(
                tree(Path::new(&folder.path(&name))),
                tree(Path::new(&folder.path("whole.zarr"))),
                "{k}"
            );
            assert!(
                go(
                    &format!("{k}.npz"),
                    Some(format!("{text}{row}\n")),
                    Existing::Refuse
                )
                .is_err()
            );
            assert!(
                !folder.names().iter().any(|n| n.contains("npz")),
                "{:?}",
                folder.names()
            );
            fs::write(&table, &text).unwrap();
        }
    });
}

#[test]
fn a_description_says_which_file_it_is_of() {
    let folder = Folder::new("describes");
    let (table, _) = table(&folder, 6);
    let map = surrogate(&folder);
    let of = |name: &str| folder.path(name);
    let cell = "sherman-1988";
    let runs: Vec<Vec<&str>> = vec![
        vec![
            "simulate", cell, "--t-end", "1", "--dt", "0.1", "-o", "a.csv",
        ],
        vec![
            "simulate", cell, "--t-end", "1", "--dt", "0.1", "-o", "a.npz",
        ],
        vec!["simulate", &map, "--t-end", "1", "-o", "a.parquet"],
        vec![
            "simulate",
            cell,
            "--t-end",
            "1",
            "--dt",
            "0.1",
            "--experiments",
            &table,
            "-o",
            "b.npz",
        ],
        vec![
            "simulate",
            &map,
            "--t-end",
            "1",
            "--experiments",
            "few.csv",
            "-o",
            "b.parquet",
        ],
        vec![
            "simulate",
            "../../pretrained/fhn-fno.safetensors",
            "--stimulus",
            "1",
            "-o",
            "c.csv",
        ],
        vec!["continue", cell, "--over", "v_s=-40:-39", "-o", "d.csv"],
    ];
    fs::write(of("few.csv"), "x0:v\n-50\n-40\n").unwrap();
    for run in runs {
        let name = run[run.len() - 1];
        let path = of(name);
        // Of an earlier run.
        fs::write(format!("{path}.meta.json"), "{}").unwrap();
        let (file, few) = (of(name), of("few.csv"));
        let arguments: Vec<&str> = run
            .iter()
            .map(|a| match *a {
                a if a == name => file.as_str(),
                "few.csv" => few.as_str(),
                a => a,
            })
            .collect();
        out(&[&arguments[..], &["--quiet"]].concat());
        let meta: Value =
            serde_json::from_str(&fs::read_to_string(format!("{path}.meta.json")).unwrap())
                .unwrap();
        assert_eq!(
            meta["describes"]["bytes"].as_u64(),
            Some(fs::metadata(&path).unwrap().len()),
            "{name}"
        );
        assert_eq!(
            meta["describes"]["hash"].as_str(),
            ionoscope::artifact::fingerprint(Path::new(&path))
                .ok()
                .as_deref(),
            "{name}"
        );
        // Where the new description cannot be made, nothing is touched.
        let before = fs::read(&path).unwrap();
        fs::remove_file(format!("{path}.meta.json")).unwrap();
        fs::create_dir(format!("{path}.meta.json")).unwrap();
        assert!(!run_quiet(&arguments));
        assert_eq!(fs::read(&path).unwrap(), before, "{name}");
    }
}

fn run_quiet(arguments: &[&str]) -> bool {
    run(&[arguments, &["--quiet"]].concat()).status.success()
}

#[test]
fn hashes_are_of_what_was_read() {
    let folder = Folder::new("hashes");
    let path = folder.path("file");
    fs::write(&path, "one").unwrap();
    let with = |work: &dyn Fn()| {
        ionoscope::artifact::with_fingerprint(Path::new(&path), || {
            work();
            Ok(fs::read(&path).unwrap())
        })
    };
    let (read, hash) = with(&|| ()).unwrap();
    // FNV-1a of "one", by another program.
    assert_eq!(
        (&read[..], hash.as_str()),
        (&b"one"[..], "1a08aa1921ca5caf")
    );
    let message = with(&|| fs::write(&path, "two").unwrap()).unwrap_err();
    assert!(
        message.is_input()
            && message
                .to_string()
                .contains("was changed while it was read"),
        "{message}"
    );
}

/// The last time of a CSV on standard output.
fn last_time(arguments: &[&str]) -> f64 {
    out(arguments)
        .lines()
        .last()
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn an_end_between_two_output_times_is_refused_and_the_nearest_are_named() {
    let folder = Folder::new("ends");
    let map = surrogate(&folder);
    let fhn = |end: &str, dt: &str, parts: &[&str]| {
        refused(
            2,
            &[
                "simulate",
                "fitzhugh-nagumo-1961",
                "--t-end",
                end,
                "--dt",
                dt,
            ],
            parts,
        )
    };
    fhn(
        "1",
        "3",
        &[
            "t_end = 1 is no multiple",
            "dt = 3",
            "the first end is t_end = 3",
            "take dt = 1",
        ],
    );
    fhn("1", "0.3", &["t_end = 0.9 and 1.2", "take dt = 0.25"]);
    fhn("100", "0.7", &["t_end = 99.4 and 100.1", "take dt = 0.625"]);
    fhn("7.05", "0.1", &["t_end = 7 and 7.1", "take dt = "]);
    fhn("1e9", "7e-1", &["t_end = 999999999.6 and 1000000000.3"]);
    let of_map =
        |more: &[&str], parts: &[&str]| refused(2, &[&["simulate", &map], more].concat(), parts);
    of_map(
        &["--t-end", "0.0525"],
        &["0.0525", "t_end = 0.05 and 0.055", "steps of 0.005"],
    );
    of_map(
        &["--t-end", "0.05", "--dt", "0.02"],
        &["dt = 0.02;", "t_end = 0.04 and 0.06", "take dt = 0.01"],
    );
    of_map(
        &["--t-end", "0.05", "--dt", "0.0125"],
        &["dt = 0.0125", "take 0.01 or 0.015"],
    );
    of_map(&["--t-end", "0.001"], &["the first end is t_end = 0.005"]);
    of_map(
        &["--t-end", "0.05", "--pace", "0.0123"],
        &["--pace 0.0123", "t_end = 0.01 and 0.015"],
    );
    for system in ["sherman-1988", &map] {
        let ring = [
            "coupled",
            system,
            "--graph",
            "ring:3",
            "--coupling",
            "0.1",
            "--scatter",
            "0",
        ];
        refused(
            2,
            &[&ring[..], &["--t-end", "1", "--dt", "0.3"]].concat(),
            &["t_end = 0.9 and 1.2"],
        );
        let file = folder.path("ring.csv");
        // 1003 = 17 x 59 steps of the map.
        out(&[&ring[..], &["--t-end", "5.015", "-o", &file]].concat());
        let text = fs::read_to_string(&file).unwrap();
        let last: f64 = text
            .lines()
            .last()
            .unwrap()
            .split(',')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!((last - 5.015).abs() < 1e-9, "{last}");
    }
    let table = folder.path("t.csv");
    fs::write(&table, "param:v_s\n-36\n").unwrap();
    let many = [
        "simulate",
        "sherman-1988",
        "--experiments",
        &table,
        "--t-end",
        "1",
        "--dt",
        "0.4",
        "-o",
        &folder.path("t.npz"),
    ];
    refused(2, &many, &["t_end = 0.8 and 1.2"]);
    // Whole to what rounding leaves, and a default that fits whatever the end is.
    assert_eq!(
        last_time(&[
            "simulate",
            "fitzhugh-nagumo-1961",
            "--t-end",
            "0.3",
            "--dt",
            "0.1"
        ]),
        3.0 * 0.1
    );
    assert_eq!(
        last_time(&[
            "simulate",
            "fitzhugh-nagumo-1961",
            "--t-end",
            "1",
            "--dt",
            "0.3333333333"
        ]),
        3.0 * 0.3333333333
    );
    for end in ["0.7", "3.14159", "1e-7"] {
        let (last, end) = (
            last_time(&["simulate", "fitzhugh-nagumo-1961", "--t-end", end]),
            end.parse::<f64>().unwrap(),
        );
        assert!((last / end - 1.0).abs() < 1e-15, "{last} {end}");
    }
}

/// What is said of the error of v, and what it is against a run with error control at the same times.
fn said_and_true(more: &[&str]) -> (Value, f64, f64) {
    let steps = [
        &[
            "simulate",
            "sherman-1988",
            "--method",
            "rush-larsen",
            "--json",
        ],
        more,
    ]
    .concat();
    let kept: Vec<&str> = more
        .iter()
        .copied()
        .take_while(|a| *a != "--step")
        .collect();
    // What it says of the error goes to standard error.
    let steps: Value = serde_json::from_slice(&run(&steps).stdout).unwrap();
    let (steps, tight) = (
        steps,
        json(&[&["simulate", "sherman-1988", "--json"], &kept[..]].concat()),
    );
    let v = |d: &Value| {
        d["x"]["v"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect::<Vec<f64>>()
    };
    let error = v(&steps)
        .iter()
        .zip(v(&tight))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    let said = steps["error_of_the_steps"]["v"].as_f64().unwrap();
    (steps, said, error)
}

#[test]
fn the_error_of_a_fixed_step_is_that_of_the_steps_that_were_made() {
    // A step longer than the run; one just longer than the output step, with a single output; pulses shorter than the step.
    for more in [
        &["--t-end", "10", "--dt", "10", "--step", "100"][..],
        &["--t-end", "10", "--dt", "0.5", "--step", "0.6"],
        &[
            "--t-end",
            "1",
            "--dt",
            "1",
            "--stimulus",
            "50:0.2:0.01",
            "--stimulus",
            "50:0.6:0.01",
            "--step",
            "0.1",
        ],
        &["--t-end", "0.5", "--dt", "0.005", "--step", "0.001"],
    ] {
        let (document, said, error) = said_and_true(more);
        assert!(
            said >= error * (1.0 - 1e-9) && said > 0.0,
            "{more:?}: {said} {error}"
        );
        assert!(
            document["change_by_half_the_step"]["v"].as_f64().unwrap() > 0.1 * said.min(1.0),
            "{document:?}"
        );
    }
    // Where it is small, it is of order one: half of each step leaves half of it.
    let (document, said, error) =
        said_and_true(&["--t-end", "0.5", "--dt", "0.005", "--step", "0.0001"]);
    let change = document["change_by_half_the_step"]["v"].as_f64().unwrap();
    assert!(
        (0.4..0.6).contains(&(change / said)) && error <= said,
        "{change} {said} {error}"
    );
    // And of a table.
    let folder = Folder::new("error-of-steps");
    let (table, path) = (folder.path("t.csv"), folder.path("t.npz"));
    fs::write(&table, "param:v_s\n-36\n-40\n").unwrap();
    let many = [
        "simulate",
        "sherman-1988",
        "--experiments",
        &table,
        "--t-end",
        "10",
        "--dt",
        "10",
        "--method",
        "rush-larsen",
        "--step",
        "100",
    ];
    let output = run(&[&many[..], &["-o", &path]].concat());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success()
            && text.contains("v is off by up to 8.")
            && text.contains("first 2 experiments"),
        "{text}"
    );
}

//! Long verbs and signals: each of them stops soon, says so, writes nothing by halves and keeps what it says that it keeps.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

mod command;

use command::{Folder, command, out};

/// Two seconds are the goal, and are measured elsewhere; machines that run tests are busy, and what does not stop goes on for minutes.
const SOON: Duration = Duration::from_secs(20);

/// Begins a command in the root of the repository, and gives it time to be at work.
fn begin(arguments: &[&str]) -> Child {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let child = command(arguments)
        .current_dir(root)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1000));
    child
}

/// HUP, unless these tests were begun so that it is ignored, as by nohup: the program then ignores it, too.
fn hang_up() -> &'static str {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|l| l.strip_prefix("SigIgn:"))
        .and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    if ignored.is_some_and(|mask| mask & 1 == 1) {
        "TERM"
    } else {
        "HUP"
    }
}

fn signal(child: &Child, name: &str) {
    assert!(
        Command::new("kill")
            .args([&format!("-{name}"), &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// What a process says until it ends, which must be soon and with exit code 1.
fn stopped(mut child: Child, what: &[&str]) -> String {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > SOON {
            child.kill().unwrap();
            panic!("{what:?} went on for more than {SOON:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        (output.status.code(), output.stdout.len()),
        (Some(1), 0),
        "{what:?}: {message}"
    );
    assert!(
        message.contains("error: interrupted"),
        "{what:?}: {message}"
    );
    message
}

#[test]
fn every_long_verb_stops_soon_at_every_signal_and_says_so() {
    let folder = Folder::new("signals");
    let (csv, dir) = (folder.path("out.csv"), folder.path("out"));
    let table = folder.path("table.csv");
    fs::write(&table, format!("x0:v\n{}", "-60\n".repeat(20_000))).unwrap();
    let (npz, zarr) = (folder.path("many.npz"), folder.path("many.zarr"));
    let all: [&[&str]; 16] = [
        &[
            "simulate",
            "hodgkin-huxley-1952",
            "--stimulus",
            "10",
            "--t-end",
            "1e7",
            "--dt",
            "1e5",
            "-o",
            &csv,
        ],
        &[
            "simulate",
            "sherman-1988",
            "--t-end",
            "60",
            "--dt",
            "30",
            "--experiments",
            &table,
            "-o",
            &npz,
        ],
        &[
            "simulate",
            "sherman-1988",
            "--t-end",
            "60",
            "--dt",
            "30",
            "--experiments",
            &table,
            "-o",
            &zarr,
        ],
        &[
            "simulate",
            "ohara-rudy-2011",
            "--t-end",
            "1000",
            "--pace",
            "1000",
            "--stimulus",
            "-80:10:0.5",
        ],
        &["fixed-points", "ohara-rudy-2011", "--starts", "100000"],
        &[
            "spikes",
            "ten-tusscher-panfilov-2006",
            "--protocol",
            "examples/protocols/pulses.toml",
            "--t-end",
            "1e7",
        ],
        &[
            "continue",
            "stankevich-2017",
            "--over",
            "v_s=-40:-30",
            "--cycles",
            "--searches",
            "400",
            "-o",
            &csv,
        ],
        &[
            "continue",
            "luo-rudy-1991",
            "--over",
            "g_k1=0:2",
            "--starts",
            "100000",
        ],
        &[
            "diagram",
            "sherman-1988",
            "--over",
            "v_s=-40:-30:4000",
            "-o",
            &csv,
        ],
        &["basins", "sherman-1988", "--starts", "100000", "-o", &csv],
        &[
            "basins",
            "pretrained/sherman-1988-dt0.005.safetensors",
            "--param",
            "v_s=-36",
            "--starts",
            "20000",
        ],
        &["lyapunov", "lorenz-1963", "--accuracy", "1e-7"],
        &[
            "lyapunov",
            "pretrained/sherman-1988-dt0.005.safetensors",
            "--param",
            "v_s=-36",
        ],
        &[
            "coupled",
            "sherman-1988",
            "--graph",
            "lattice:200x200",
            "--coupling",
            "0.1",
            "--t-end",
            "1000",
            "-o",
            &csv,
            "--dt",
            "500",
        ],
        &[
            "compare",
            "sherman-1988",
            "stankevich-2017",
            "--over",
            "v_s=-40:-30",
            "-o",
            &dir,
        ],
        &["dataset", "examples/hh-fno.toml", "-o", &dir],
    ];
    for (k, arguments) in all.into_iter().enumerate() {
        let child = begin(arguments);
        signal(&child, ["TERM", "INT", hang_up(), "USR1"][k % 4]);
        let message = stopped(child, arguments);
        assert!(message.contains("stopping"), "{message}");
        assert!(
            !fs::exists(&csv).unwrap() && !fs::exists(&npz).unwrap() && !fs::exists(&zarr).unwrap(),
            "{arguments:?}"
        );
    }
    // Of a batch in chunks and of a dataset the parts that were done are kept, and it is said how to go on.
    assert!(
        folder.names().iter().all(
            |n| [".many.zarr.partial", "many.zarr.lock", "out", "table.csv"].contains(&n.as_str())
        ),
        "{:?}",
        folder.names()
    );
}

#[test]
fn a_training_keeps_what_it_has_learned_behind_the_last_batch() {
    let folder = Folder::new("signals-train");
    let config = folder.path("tiny.toml");
    // An epoch takes far longer than a batch.
    let text = "[responses]\nsamples = [800, 4, 4]\npoints = 400\nt_end = 100\nrtol = 1e-6\natol = 1e-8\n\
                [operator]\nvalidate_every = 1\n[operator.network]\nwidth = 24\nmodes = 32\nlayers = 3\n[operator.adam]\nepochs = 2\nbatch = 8\n";
    fs::write(&config, text).unwrap();
    let (through, stopped_at) = (folder.path("through"), folder.path("stopped"));
    out(&["train", &config, "-o", &through, "--quiet"]);
    out(&["dataset", &config, "-o", &stopped_at, "--quiet"]);
    let mut arguments = vec!["train", &config, "-o", &stopped_at];
    for name in ["TERM", hang_up()] {
        let child = begin(&arguments);
        signal(&child, name);
        let begun = Instant::now();
        let output = child.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        // On a fast machine it may be over before.
        if !output.status.success() {
            assert!(
                begun.elapsed() < SOON && output.status.code() == Some(1),
                "{:?}: {message}",
                begun.elapsed()
            );
            assert!(message.contains("--resume goes on from here"), "{message}");
        }
        arguments = vec!["train", &config, "-o", &stopped_at, "--resume"];
    }
    assert!(
        Path::new(&stopped_at)
            .join("checkpoint.safetensors")
            .exists()
    );
    out(&["train", &config, "-o", &stopped_at, "--resume", "--quiet"]);
    let bytes = |folder: &str| fs::read(format!("{folder}/surrogate.safetensors")).unwrap();
    assert!(bytes(&through) == bytes(&stopped_at));
}

//! The real binary, run by tests.
// Each test binary uses a part of it.
#![allow(dead_code)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ionoscope_dynamics::{models, spec::TrainingRange};
use ionoscope_learn::{
    architectures::{SubNetwork, neural_map::NeuralMap},
    normalizer::Normalizer,
};
use serde_json::Value;

/// A folder of its own for a test, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("ionoscope-cli-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Path of a file in it.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// What is in it, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The real binary with these arguments.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ionoscope"));
    // Tests are the same on all machines.
    command.args(arguments).env("CUDA_VISIBLE_DEVICES", "");
    command
}

/// Runs it to its end.
pub fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Standard output of a run that must succeed without saying anything else.
pub fn out(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// As [`out`], of a run that prints one document.
pub fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&out(arguments)).unwrap()
}

/// Runs what must fail, with this exit code, nothing on standard output and one message that holds all of `parts`.
pub fn refused(code: i32, arguments: &[&str], parts: &[&str]) {
    let output = run(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), output.stdout.len()),
        (Some(code), 0),
        "{arguments:?}: {message}"
    );
    assert_eq!(message.matches("error: ").count(), 1, "{message}");
    for part in parts {
        assert!(message.contains(part), "{arguments:?} says: {message}");
    }
}

/// A surrogate whose variables relax by a tenth of tanh of their distance from (-50, 0.02, 0.18), which is its only fixed point.
pub fn surrogate(folder: &Folder) -> String {
    let mut spec = models::find("sherman-1988").unwrap().spec().clone();
    spec.id = "relaxation".into();
    spec.parameters.retain(|q| q.name == "v_s");
    spec.trained_on = Some(TrainingRange {
        model: "sherman-1988".into(),
        fixed: vec![("g_k2".into(), 0.0)],
        state: vec![[-65.0, -22.0], [0.0, 0.12], [0.17, 0.19]],
        parameters: vec![[-40.0, -30.0]],
        stimulus: None,
    });
    let networks = (0..3).map(|own| {
        let mut net = SubNetwork::zeros(own, 4, 1);
        (net.a[0], net.b[0]) = (1.0, -1.0);
        net
    });
    let sd = vec![12.0, 0.02, 0.004];
    let normalizer = Normalizer {
        state_mean: vec![-50.0, 0.02, 0.18],
        increment_sd: sd.iter().map(|s| 0.1 * s).collect(),
        state_sd: sd,
        parameter_mean: vec![-35.0],
        parameter_sd: vec![2.9],
    };
    let path = folder.path("relaxation.safetensors");
    NeuralMap::new(spec, 0.005, normalizer, networks, Value::Null)
        .unwrap()
        .save(Path::new(&path))
        .unwrap();
    path
}

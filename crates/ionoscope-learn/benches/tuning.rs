//! What a study costs besides its trials: one JSON line.
//!
//! ```text
//! cargo bench -p ionoscope-learn --bench tuning -- FOLDER TRIALS SAMPLER [SEED]
//! ```
//! The trials are those of a known function of four parameters, so that nothing but drawing, writing and reading takes time; the best value is
//! printed too. `benches/tuning.sh` runs it in turn with Optuna.
#![allow(clippy::print_stdout, missing_docs)]

use std::{collections::BTreeMap, path::Path, time::Instant};

use ionoscope_dynamics::watch::Watcher;
use ionoscope_learn::tune::{
    Pruner, Reporter, Sampler, StudyConfig, Suggestion, TrialOutcome, Work, run,
};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let [folder, trials, sampler, rest @ ..] = &arguments[..] else {
        panic!("FOLDER TRIALS SAMPLER [SEED]")
    };
    let space = r#"{"x": {"real": [-5, 5]}, "y": {"log": [1e-3, 10]}, "n": {"integer": [1, 9]}, "c": {"choice": ["a", "b", "c"]}}"#;
    let config = StudyConfig {
        trials: trials.parse().expect("a number"),
        sampler: serde_json::from_value(sampler.as_str().into()).unwrap_or(Sampler::Tpe),
        seed: rest.first().map_or(1, |s| s.parse().expect("a number")),
        pruner: Pruner::None,
        default_first: false,
        space: serde_json::from_str(space).expect("a space"),
        ..StudyConfig::default()
    };
    // The same function as in benches/tuning.py.
    let objective = |s: &Suggestion, _: Reporter| {
        let f = |k: &str| s.values[k].as_f64().unwrap_or(0.0);
        let c = if s.values["c"] == "b" { 0.0 } else { 1.0 };
        let value = (f("x") - 2.0).powi(2)
            + (f("y").ln() - 0.1f64.ln()).powi(2) / 4.0
            + (f("n") - 5.0).powi(2) / 4.0
            + c;
        Ok(TrialOutcome::Complete(vec![value]))
    };
    // "-": nothing is kept.
    let path = (folder != "-").then(|| Path::new(folder).join("journal.log"));
    if let Some(path) = &path {
        let _ = std::fs::remove_file(path);
    }
    let work = Work {
        defaults: BTreeMap::new(),
        fit: &|_| Some(BTreeMap::new()),
        objective: &objective,
        tell: &|_| (),
        alone: false,
    };
    let begin = Instant::now();
    let trials = run(
        path.as_deref(),
        &config,
        &BTreeMap::new(),
        1,
        &Watcher::default(),
        &work,
    )
    .expect("a study");
    let seconds = begin.elapsed().as_secs_f64();
    let best = trials
        .iter()
        .filter_map(|t| t.value)
        .fold(f64::INFINITY, f64::min);
    println!(
        "{}",
        serde_json::json!({"seconds": seconds, "best": best, "trials": trials.len()})
    );
}

//! Our side of `benches/map_iteration.sh`.
//!
//! ```text
//! map_iteration make=FILE                                    trains a small map (N_h = 100) in seconds and saves it
//! map_iteration describe=FILE                                its time step and number of weights
//! map_iteration map=FILE t_end=T threads=N repeats=K batch=FILE ends=FILE
//! ```
//! A line of `batch` holds `v n s v_s`; a line of `ends` the state at `t_end`, `nan` where a trajectory failed. One JSON object on stdout.
#![allow(clippy::print_stdout)]

use std::{collections::HashMap, error::Error, fmt::Write, fs, path::Path, time::Instant};

use ionoscope_dynamics::{
    models,
    protocol::Protocol,
    system::DynamicalSystem,
    trajectory::{Experiment, SolveOptions, TimeGrid},
};
use ionoscope_learn::{
    architectures::neural_map::NeuralMap,
    dataset::{self, DatasetConfig},
    train::{self, Run, TrainConfig},
};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|w| w != "--bench")
        .collect();
    let task: HashMap<&str, &str> = words.iter().filter_map(|w| w.split_once('=')).collect();
    // `cargo bench` over the workspace passes no task: there is nothing to measure then.
    if task.is_empty() {
        println!("map_iteration: run benches/map_iteration.sh");
        return Ok(());
    }
    if let Some(file) = task.get("make") {
        return make(Path::new(file));
    }
    if let Some(file) = task.get("describe") {
        let map = NeuralMap::load(Path::new(file))?;
        println!(
            "{{\"dt\": {}, \"weights\": {}}}",
            map.dt(),
            map.weight_count()
        );
        return Ok(());
    }
    let text = |key: &str| {
        task.get(key)
            .copied()
            .ok_or_else(|| format!("expected {key}=VALUE"))
    };
    let count = |key: &str| {
        text(key)?
            .parse::<usize>()
            .map_err(|e| format!("{key}: {e}"))
    };

    let map = NeuralMap::load(Path::new(text("map")?))?;
    let steps = (text("t_end")?.parse::<f64>()? / map.dt()).round();
    let times = TimeGrid::new(steps * map.dt(), map.dt(), 1)?;
    let mut batch = Vec::new();
    for line in fs::read_to_string(text("batch")?)?.lines() {
        let values = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<f64>, _>>()?;
        batch.push(Experiment {
            x0: values[..3].to_vec(),
            p: vec![values[3]],
            protocol: Protocol::none(),
            times,
        });
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(count("threads")?)
        .build()?;
    let mut seconds = Vec::new();
    let mut solved = Vec::new();
    for _ in 0..count("repeats")? {
        let begin = Instant::now();
        solved = pool.install(|| map.solve_ensemble(&batch, &SolveOptions::default()))?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let mut ends = String::new();
    for t in &solved {
        match t.last() {
            Some(x) => writeln!(ends, "{:e} {:e} {:e}", x[0], x[1], x[2])?,
            None => writeln!(ends, "nan nan nan")?,
        }
    }
    fs::write(text("ends")?, ends)?;
    println!(
        "{{\"seconds\": {seconds:?}, \"steps\": {}}}",
        steps as u64 * batch.len() as u64
    );
    Ok(())
}

/// Good enough to spike and burst; the number of weights, on which the time depends, is the paper's.
fn make(file: &Path) -> Result<(), Box<dyn Error>> {
    let system = models::find("sherman-1988")?;
    let config = DatasetConfig {
        chunks: 120,
        pairs_per_chunk: 50,
        transient: 20.0,
        new_chunks: 0,
        ..DatasetConfig::default()
    };
    let data = dataset::sample(&*system, &config, &|_, _| Vec::new())?;
    let mut config = TrainConfig::default();
    config.adam.epochs = 0;
    config.second_order.iterations = 40;
    let trained = train::train(&data, &config, &mut Run::default())?;
    trained.map.save(file)?;
    println!(
        "{{\"seconds\": {}, \"validation_mse\": {:e}}}",
        trained.seconds,
        trained.validation.map_or(f64::NAN, |v| v.mse)
    );
    Ok(())
}

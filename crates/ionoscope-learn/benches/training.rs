//! Speed of training the paper's map (three sub-networks of 100 units): one JSON line a case.
//!
//! ```text
//! cargo bench -p ionoscope-learn --bench training [-- --threads 1,2 --batch 1024,10000 --seconds 3]
//! ```
//! A sample is forward, backward and its share of the step (Adam, double-precision weights) of *one* sub-network; the time also holds the
//! shuffling. `share_of_peak` = flops a sample (`Shape::flops`: 2 per multiply-add, 25 per tanh) x samples/s over the multiply-adds of the same
//! number of threads in registers, measured in the same run. `benches/training.sh` runs it in turn with PyTorch and JAX.
#![allow(clippy::print_stdout, missing_docs)]

use std::{collections::BTreeMap, time::Duration};

use ionoscope_dynamics::{
    models,
    sampling::{normal, stream},
};
use ionoscope_learn::{
    adam::{AdamConfig, Schedule},
    dataset::{Dataset, DatasetConfig, Pairs},
    kernels::{Backend, Shape, peak},
    normalizer::Normalizer,
    second_order::SecondOrderConfig,
    train::{Record, Run, TrainConfig, train},
};

/// Normal inputs and a smooth rule; the peers draw theirs in the same way.
fn synthetic(pairs: usize) -> Dataset {
    let mut rng = stream(1, "benchmark", 0);
    let mut training = Pairs {
        dimension: 3,
        parameters: 1,
        ..Pairs::default()
    };
    for _ in 0..pairs {
        let x: [f64; 4] = std::array::from_fn(|_| normal(&mut rng));
        let next = (0..3).map(|i| {
            x[i] + 0.1 * (x[0] - 0.5 * x[1] + 0.3 * x[2] + 0.2 * x[3] + i as f64 - 1.0).sin()
        });
        training.next.extend(next);
        training.u.extend(&x[..3]);
        training.p.push(x[3]);
        training.distance.push(f64::NAN);
    }
    let mut spec = models::find("sherman-1988")
        .expect("a model of this library")
        .spec()
        .clone();
    spec.parameters.retain(|q| q.name == "v_s");
    let none = Pairs {
        dimension: 3,
        parameters: 1,
        ..Pairs::default()
    };
    let normalizer = Normalizer::fit(&training).expect("numbers that vary");
    Dataset {
        config: DatasetConfig::default(),
        spec,
        normalizer,
        training,
        validation: none.clone(),
        new_chunks: none,
        redrawn: Default::default(),
    }
}

/// The peak of `threads` cores at work together.
fn peak_of(threads: usize) -> f64 {
    std::thread::scope(|s| {
        let all: Vec<_> = (0..threads)
            .map(|_| s.spawn(|| peak::measure(Backend::detect())))
            .collect();
        all.into_iter().map(|t| t.join().expect("no panic")).sum()
    })
}

fn tanh_error(backend: Backend) -> f64 {
    let x: Vec<f32> = (-10 * 65536..=10 * 65536)
        .map(|i| i as f32 / 65536.0)
        .collect();
    let mut t = x.clone();
    backend.tanh(&mut t);
    x.iter()
        .zip(t)
        .map(|(x, t)| (f64::from(t) - f64::from(*x).tanh()).abs())
        .fold(0.0, f64::max)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let list = |name: &str, default: &str| -> Vec<f64> {
        let at = arguments
            .iter()
            .position(|a| a == name)
            .and_then(|i| arguments.get(i + 1))
            .map_or(default, |a| a.as_str());
        at.split(',')
            .map(|v| v.parse().expect("numbers, separated by commas"))
            .collect()
    };
    let options: BTreeMap<&str, Vec<f64>> = BTreeMap::from([
        ("threads", list("--threads", "1,2")),
        ("batch", list("--batch", "1024,10000")),
    ]);
    let seconds = list("--seconds", "3")[0];
    let backend = Backend::detect();
    for &threads in &options["threads"] {
        let threads = threads as usize;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        for &batch in &options["batch"] {
            let batch = batch as usize;
            let data = synthetic(120_000 / batch * batch);
            let config = TrainConfig {
                adam: AdamConfig {
                    epochs: 1_000_000,
                    batch,
                    learning_rate: 3e-3,
                    schedule: Schedule::Constant,
                    ..AdamConfig::default()
                },
                second_order: SecondOrderConfig {
                    iterations: 0,
                    ..SecondOrderConfig::default()
                },
                ..TrainConfig::default()
            };
            let mut run = Run {
                time_limit: Some(Duration::from_secs_f64(seconds)),
                ..Run::default()
            };
            let trained = pool
                .install(|| train(&data, &config, &mut run))
                .expect("a training");
            let speed = |r: &Record| {
                if let Record::Adam(r) = r {
                    Some((r.samples_per_second, r.training.clone()))
                } else {
                    None
                }
            };
            let epochs: Vec<_> = trained.history.iter().filter_map(speed).collect();
            let mut speeds: Vec<f64> = epochs.iter().map(|e| e.0).collect();
            speeds.sort_by(f64::total_cmp);
            let median = speeds[speeds.len() / 2];
            let peak = peak_of(threads);
            // The mean error on the way through the epoch that ends nearest to 1000 steps, comparable with the peers'.
            let epoch = (1000 / (data.training.len() / batch)).clamp(1, epochs.len());
            let line = serde_json::json!({
                "implementation": "ionoscope",
                "instructions": backend.name(),
                "threads": threads,
                "batch": batch,
                "samples_per_second": median,
                "loss_after_1000_steps": epochs[epoch - 1].1.iter().sum::<f64>() / 3.0,
                "peak_flops": peak,
                "share_of_peak": median * Shape { inner: 3, hidden: 100 }.flops() / peak,
                "tanh_error": tanh_error(backend),
            });
            println!("{line}");
        }
    }
}

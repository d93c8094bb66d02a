//! Speed of a Fourier neural operator: reads tasks as lines of JSON, answers each with the median seconds of a training step of a batch, or of the
//! use of the network on a batch.
//!
//! ```text
//! echo '{"what": "train", "batch": 32, "config": {"width": 64, "modes": 12, "layers": 5}, "variables": 2, "points": 1260, "seconds": 3}' |
//!     cargo bench -p ionoscope-learn --bench operator
//! ```
//! A training step is all that training does: shuffling, forward, loss, backward, clipping, the step itself and the average of the weights.
//! `benches/operator.sh` runs it in turn with PyTorch.
#![allow(clippy::print_stdout, missing_docs)]

use std::time::Instant;

use ionoscope_dynamics::{
    models,
    sampling::{normal, stream},
    spec::Spec,
};
use ionoscope_learn::{
    adam::AdamConfig,
    architectures::fno::{Fno, FnoConfig, Scaling, Seen},
    responses::{Condition, ResponseConfig, ResponseData, Responses},
    train::{
        Device, Record, Run,
        operator::{OperatorConfig, Optimizer, train_operator},
    },
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Task {
    what: What,
    batch: usize,
    config: FnoConfig,
    variables: usize,
    points: usize,
    seconds: f64,
    /// Train on a GPU.
    #[serde(default)]
    cuda: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Train,
    Infer,
}

/// A model with so many variables.
fn spec(variables: usize) -> Spec {
    let of = |model: &dyn ionoscope_dynamics::system::DynamicalSystem| model.spec().clone();
    models::all()
        .iter()
        .map(|m| of(&**m))
        .find(|s| s.variables.len() == variables)
        .expect("a model with so many variables")
}

/// Normal numbers: the speed does not depend on them.
fn synthetic(samples: usize, variables: usize, points: usize) -> Responses {
    let mut rng = stream(1, "benchmark", 0);
    let mut draw = |n: usize| {
        (0..n)
            .map(|_| normal(&mut rng) as f32)
            .collect::<Vec<f32>>()
    };
    let (input, x) = (draw(samples * points), draw(samples * variables * points));
    Responses {
        points,
        variables,
        input,
        x,
        class: vec![0; samples],
        ..Responses::default()
    }
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn train(task: &Task) -> f64 {
    let spec = spec(task.variables);
    let data = ResponseData {
        config: ResponseConfig {
            model: spec.id.clone(),
            points: task.points,
            ..ResponseConfig::default()
        },
        spec,
        classes: [vec!["normal".into()], vec!["normal".into()]],
        // Two batches an epoch; on a GPU more, since weights travel once an epoch.
        training: synthetic(
            if task.cuda { 50 } else { 2 } * task.batch,
            task.variables,
            task.points,
        ),
        validation: Responses::default(),
        test: Responses::default(),
    };
    let mut seconds = Vec::new();
    let begun = Instant::now();
    while begun.elapsed().as_secs_f64() < task.seconds || seconds.len() < 3 {
        let adam = AdamConfig {
            epochs: 4,
            batch: task.batch,
            learning_rate: 1e-4,
            ..OperatorConfig::default().adam
        };
        let config = OperatorConfig {
            network: task.config.clone(),
            optimizer: Optimizer::Adam,
            adam,
            ..OperatorConfig::default()
        };
        let device = if task.cuda { Device::Cuda } else { Device::Cpu };
        let trained = train_operator(
            &data,
            &config,
            &mut Run {
                device,
                ..Run::default()
            },
        )
        .expect("a training");
        // The first epoch warms up.
        seconds.extend(trained.history[1..].iter().filter_map(|r| match r {
            Record::Adam(r) => Some(task.batch as f64 / r.samples_per_second),
            _ => None,
        }));
    }
    median(seconds)
}

fn infer(task: &Task) -> f64 {
    let weights = task
        .config
        .initial_weights(2, task.variables, 1)
        .iter()
        .map(|w| *w as f32)
        .collect();
    let fno = Fno {
        spec: spec(task.variables),
        config: task.config.clone(),
        t_end: 100.0,
        points: task.points,
        scaling: Scaling {
            input: 1.0,
            charge: None,
            state: vec![1.0; task.variables],
            ramp: 0.005,
            start: None,
            per_point: None,
            parameters: Default::default(),
        },
        seen: Seen {
            input: [-10.0, 10.0],
            steps_from_zero: false,
            steps: Vec::new(),
            start: None,
            parameters: Default::default(),
        },
        bands: None,
        weights,
        provenance: serde_json::Value::Null,
    };
    let (start, p) = (fno.spec.default_state(), fno.spec.default_parameters());
    let current = |k: usize| {
        (0..task.points)
            .map(|t| ((t + k) as f64 * 0.01).sin())
            .collect()
    };
    let conditions: Vec<_> = (0..task.batch)
        .map(|k| Condition {
            current: current(k),
            start: start.clone(),
            p: p.clone(),
        })
        .collect();
    let ready = fno.on_grid(task.points).expect("a grid fine enough");
    let mut seconds = Vec::new();
    let begun = Instant::now();
    while begun.elapsed().as_secs_f64() < task.seconds || seconds.len() < 4 {
        let begin = Instant::now();
        let x = ready.respond(&conditions);
        assert_eq!(x.len(), task.batch);
        seconds.push(begin.elapsed().as_secs_f64());
    }
    median(seconds[1..].to_vec())
}

fn main() {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let task: Task = serde_json::from_str(&line).expect("a task");
        let seconds = match task.what {
            What::Train => train(&task),
            What::Infer => infer(&task),
        };
        println!(
            "{}",
            serde_json::json!({ "seconds": seconds, "version": env!("CARGO_PKG_VERSION") })
        );
    }
}

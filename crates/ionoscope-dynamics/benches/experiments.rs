//! Our side of the comparisons in `benches/`: experiments from a file, the seconds that each repetition took, and the states.
//!
//! ```text
//! experiments model=ID method=auto|explicit|stiff[-scalar] rtol=R atol=A t_end=T dt=DT precision=single|double threads=N repeats=K
//!             batch=FILE states=FILE|- [vary=NAME]
//! ```
//! A line of `batch` holds the start, the parameter named by `vary`, amplitude and duration of a stimulus that begins at 0. Output times are
//! 0, dt, .. and t_end, or t_end alone where dt is not smaller; `states` receives them as plain numbers, [experiment][time][variable], `nan`
//! where a trajectory failed. A batch that is no larger than the number of threads is solved one trajectory at a time, a larger one in
//! lanes: this is what a user gets. `-scalar` takes one at a time for any batch, on one thread. One JSON object on stdout.
#![allow(clippy::print_stdout)]

use std::{collections::HashMap, error::Error, fs, time::Instant};

use ionoscope_dynamics::{
    models,
    protocol::Protocol,
    trajectory::{Experiment, Method, Outcome, SolveOptions, TimeGrid, Trajectory},
};
use rayon::prelude::*;

/// States in memory at once before they are narrowed.
const CHUNK: usize = 1 << 25;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|w| w != "--bench")
        .collect();
    let task: HashMap<&str, &str> = words.iter().filter_map(|w| w.split_once('=')).collect();
    // `cargo bench` over the workspace passes no task: there is nothing to measure then.
    if task.is_empty() {
        println!("experiments: run benches/work_precision.sh, ensembles.sh or scaling.sh");
        return Ok(());
    }
    let text = |key: &str| {
        task.get(key)
            .copied()
            .ok_or_else(|| format!("expected {key}=VALUE"))
    };
    let number = |key: &str| text(key)?.parse::<f64>().map_err(|e| format!("{key}: {e}"));
    let count = |key: &str| {
        text(key)?
            .parse::<usize>()
            .map_err(|e| format!("{key}: {e}"))
    };

    let system = models::find(text("model")?)?;
    let (spec, n) = (system.spec(), system.dimension());
    let (t_end, dt) = (number("t_end")?, number("dt")?);
    let times = if dt < t_end {
        TimeGrid::until(t_end, dt)?
    } else {
        TimeGrid::new(t_end, 1.0, 1)?
    };
    let mut batch = Vec::new();
    for line in fs::read_to_string(text("batch")?)?.lines() {
        let values = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<f64>, _>>()?;
        let [.., amplitude, duration] = values[..] else {
            return Err("a line of the batch is too short".into());
        };
        let mut e = Experiment::from_defaults(spec, times);
        e.x0 = values[..n].to_vec();
        if let Some(name) = task.get("vary") {
            e.p = spec.parameters_with([(*name, values[n])])?;
        }
        if amplitude != 0.0 && duration > 0.0 {
            e.protocol = Protocol::step(0.0, duration, amplitude);
        }
        batch.push(e);
    }
    let (method, scalar) = text("method")?
        .strip_suffix("-scalar")
        .map_or((text("method")?, false), |m| (m, true));
    let method = match method {
        "auto" => Method::Auto,
        "explicit" => Method::Explicit,
        "stiff" => Method::Stiff,
        other => return Err(format!("no method {other}").into()),
    };
    let options = SolveOptions {
        rtol: number("rtol")?,
        atol: number("atol")?,
        method,
        ..SolveOptions::default()
    };
    let single = text("precision")? == "single";
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(count("threads")?)
        .build()?;

    let size = times.count * n;
    let mut narrow = vec![0f32; if single { batch.len() * size } else { 0 }];
    let (mut seconds, mut solved) = (Vec::new(), Vec::new());
    for _ in 0..count("repeats")? {
        solved.clear();
        let begin = Instant::now();
        for (k, part) in batch
            .chunks(if single {
                (CHUNK / size).max(256)
            } else {
                batch.len()
            })
            .enumerate()
        {
            let mut all = pool.install(|| {
                if scalar {
                    part.iter()
                        .map(|e| {
                            system
                                .solve_ensemble(std::slice::from_ref(e), &options)
                                .map(|mut t| t.remove(0))
                        })
                        .collect()
                } else {
                    system.solve_ensemble(part, &options)
                }
            })?;
            if single {
                let out = &mut narrow[k * (CHUNK / size).max(256) * size..][..part.len() * size];
                pool.install(|| {
                    out.par_chunks_mut(size)
                        .zip(&mut all)
                        .for_each(|(out, t)| narrow_into(out, t))
                });
            }
            solved.append(&mut all);
        }
        seconds.push(begin.elapsed().as_secs_f64());
    }
    if text("states")? != "-" && !single {
        let filled = solved.iter().flat_map(|t| {
            t.x.iter()
                .copied()
                .chain(std::iter::repeat(f64::NAN))
                .take(size)
        });
        fs::write(
            text("states")?,
            filled.flat_map(f64::to_le_bytes).collect::<Vec<u8>>(),
        )?;
    }
    let sum = |f: &dyn Fn(&Trajectory) -> u64| solved.iter().map(f).sum::<u64>();
    println!(
        "{{\"version\": \"{}\", \"seconds\": {seconds:?}, \"steps\": {}, \"evaluations\": {}, \"jacobians\": {}, \"stiff\": {}, \"failed\": {}}}",
        env!("CARGO_PKG_VERSION"),
        sum(&|t| t.statistics.accepted + t.statistics.rejected),
        sum(&|t| t.statistics.evaluations),
        sum(&|t| t.statistics.jacobians),
        sum(&|t| u64::from(t.statistics.stiff_from.is_some())),
        sum(&|t| u64::from(t.outcome != Outcome::Completed)),
    );
    Ok(())
}

/// Single precision, and the memory of the states given back.
fn narrow_into(out: &mut [f32], t: &mut Trajectory) {
    let states = std::mem::take(&mut t.x);
    out.fill(f32::NAN);
    out.iter_mut()
        .zip(&states)
        .for_each(|(to, from)| *to = *from as f32);
}

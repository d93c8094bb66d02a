//! Our side of `benches/integration.sh`: beta-cells from a file of starts to one time, with the seconds that each repetition took.
//!
//! ```text
//! integration rtol=R atol=A t_end=T threads=N repeats=K batch=FILE ends=FILE
//! ```
//! A line of `batch` holds `v n s v_s`; a line of `ends` the state at `t_end`, `nan` where a trajectory failed. One JSON object on stdout.
//! A batch that is no larger than the number of threads is solved one trajectory at a time, a larger one in lanes: this is what a user gets.
#![allow(clippy::print_stdout)]

use std::{collections::HashMap, error::Error, fmt::Write, fs, time::Instant};

use ionoscope_dynamics::{
    models,
    trajectory::{Experiment, SolveOptions, TimeGrid},
};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|w| w != "--bench").collect();
    let task: HashMap<&str, &str> = words.iter().filter_map(|w| w.split_once('=')).collect();
    // `cargo bench` over the workspace passes no task: there is nothing to measure then.
    if task.is_empty() {
        println!("integration: run benches/integration.sh");
        return Ok(());
    }
    let text = |key: &str| task.get(key).copied().ok_or_else(|| format!("expected {key}=VALUE"));
    let number = |key: &str| text(key)?.parse::<f64>().map_err(|e| format!("{key}: {e}"));
    let count = |key: &str| text(key)?.parse::<usize>().map_err(|e| format!("{key}: {e}"));

    let system = models::find("sherman-1988")?;
    let times = TimeGrid::new(number("t_end")?, 1.0, 1)?;
    let mut batch = Vec::new();
    for line in fs::read_to_string(text("batch")?)?.lines() {
        let values = line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        let mut e = Experiment::from_defaults(system.spec(), times);
        e.x0 = values[..3].to_vec();
        e.p = system.spec().parameters_with([("v_s", values[3])])?;
        batch.push(e);
    }
    let options = SolveOptions { rtol: number("rtol")?, atol: number("atol")?, ..SolveOptions::default() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count("threads")?).build()?;

    let mut seconds = Vec::new();
    let mut solved = Vec::new();
    for _ in 0..count("repeats")? {
        let begin = Instant::now();
        solved = pool.install(|| system.solve_ensemble(&batch, &options))?;
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
    let steps: u64 = solved.iter().map(|t| t.statistics.accepted + t.statistics.rejected).sum();
    let evaluations: u64 = solved.iter().map(|t| t.statistics.evaluations).sum();
    println!("{{\"seconds\": {seconds:?}, \"steps\": {steps}, \"evaluations\": {evaluations}}}");
    Ok(())
}

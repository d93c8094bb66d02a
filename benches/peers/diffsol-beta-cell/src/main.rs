//! diffsol's side of `benches/integration.sh`: the same files, the same answer as `crates/ionoscope-dynamics/benches/integration.rs`.
//!
//! ```text
//! diffsol-beta-cell method=bdf|tsit45 rtol=R atol=A t_end=T threads=N repeats=K batch=FILE ends=FILE
//! ```
//! Equations and Jacobian are compiled closures, matrices nalgebra's. Trajectories one after another, shared out over threads. The current
//! I_K2, zero in the original form of the cell, is left out here.

use std::{collections::HashMap, error::Error, fmt::Write, fs, time::Instant};

use diffsol::{NalgebraLU, NalgebraMat, OdeBuilder, OdeEquations, OdeSolverMethod, OdeSolverStopReason};
use rayon::prelude::*;

const RATE: f64 = 1.0 / 0.02;
const RATE_S: f64 = 1.0 / 35.0;
const SIGMA: f64 = 0.93;
const G_CA: f64 = 3.6;
const G_K: f64 = 10.0;
const G_S: f64 = 4.0;
const V_CA: f64 = 25.0;
const V_K: f64 = -75.0;

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn rhs(x: &[f64], p: &[f64], _t: f64, d: &mut [f64]) {
    let (v, n, s) = (x[0], x[1], x[2]);
    let (m_inf, n_inf, s_inf) = (logistic((v + 20.0) / 12.0), logistic((v + 16.0) / 5.6), logistic((v - p[0]) / 10.0));
    d[0] = -(G_CA * m_inf * (v - V_CA) + (G_K * n + G_S * s) * (v - V_K)) * RATE;
    d[1] = SIGMA * (n_inf - n) * RATE;
    d[2] = (s_inf - s) * RATE_S;
}

fn jacobian_times(x: &[f64], p: &[f64], _t: f64, w: &[f64], d: &mut [f64]) {
    let (v, n, s) = (x[0], x[1], x[2]);
    let (m_inf, n_inf, s_inf) = (logistic((v + 20.0) / 12.0), logistic((v + 16.0) / 5.6), logistic((v - p[0]) / 10.0));
    let dm = m_inf * (1.0 - m_inf) / 12.0;
    d[0] = -((G_CA * (dm * (v - V_CA) + m_inf) + G_K * n + G_S * s) * w[0] + (G_K * w[1] + G_S * w[2]) * (v - V_K)) * RATE;
    d[1] = SIGMA * (n_inf * (1.0 - n_inf) / 5.6 * w[0] - w[1]) * RATE;
    d[2] = (s_inf * (1.0 - s_inf) / 10.0 * w[0] - w[2]) * RATE_S;
}

/// To the stop time; the state there and the number of steps.
fn run<'a, E: OdeEquations<T = f64> + 'a>(mut solver: impl OdeSolverMethod<'a, E>, t_end: f64) -> Option<([f64; 3], u64)>
where
    E::V: std::ops::Index<usize, Output = f64>,
{
    solver.set_stop_time(t_end).ok()?;
    let mut steps = 0;
    loop {
        steps += 1;
        if let OdeSolverStopReason::TstopReached = solver.step().ok()? {
            let y = solver.state().y;
            return Some(([y[0], y[1], y[2]], steps));
        }
    }
}

fn solve(bdf: bool, rtol: f64, atol: f64, t_end: f64, start: &[f64; 4]) -> Option<([f64; 3], u64)> {
    let x0 = [start[0], start[1], start[2]];
    let problem = OdeBuilder::<NalgebraMat<f64>>::new()
        .rtol(rtol)
        .atol([atol; 3])
        .p([start[3]])
        .rhs_implicit(rhs, jacobian_times)
        .init(move |_p: &[f64], _t: f64, y: &mut [f64]| y.copy_from_slice(&x0), 3)
        .build()
        .ok()?;
    if bdf { run(problem.bdf::<NalgebraLU<f64>>().ok()?, t_end) } else { run(problem.tsit45().ok()?, t_end) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let task: HashMap<&str, &str> = words.iter().filter_map(|w| w.split_once('=')).collect();
    let text = |key: &str| task.get(key).copied().ok_or_else(|| format!("expected {key}=VALUE"));
    let number = |key: &str| text(key)?.parse::<f64>().map_err(|e| format!("{key}: {e}"));
    let bdf = text("method")? == "bdf";
    let (rtol, atol, t_end) = (number("rtol")?, number("atol")?, number("t_end")?);
    let mut batch: Vec<[f64; 4]> = Vec::new();
    for line in fs::read_to_string(text("batch")?)?.lines() {
        let values = line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        batch.push(values.try_into().map_err(|_| "a line of the batch does not hold four numbers")?);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(text("threads")?.parse()?).build()?;

    let mut seconds = Vec::new();
    let mut solved = Vec::new();
    for _ in 0..text("repeats")?.parse::<usize>()? {
        let begin = Instant::now();
        solved = pool.install(|| batch.par_iter().with_max_len(1).map(|s| solve(bdf, rtol, atol, t_end, s)).collect::<Vec<_>>());
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let mut ends = String::new();
    for x in &solved {
        let [v, n, s] = x.map_or([f64::NAN; 3], |(x, _)| x);
        writeln!(ends, "{v:e} {n:e} {s:e}")?;
    }
    fs::write(text("ends")?, ends.replace("NaN", "nan"))?;
    let steps: u64 = solved.iter().flatten().map(|(_, steps)| steps).sum();
    println!("{{\"seconds\": {seconds:?}, \"steps\": {steps}, \"evaluations\": null}}");
    Ok(())
}

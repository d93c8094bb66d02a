//! diffsol's side of `benches/work_precision.sh` and `benches/ensembles.sh`; the arguments are those of every program there
//! (benches/README.md).
//!
//! ```text
//! diffsol-peer model=ID method=M rtol=R atol=A t_end=T dt=DT precision=single|double threads=N repeats=K batch=FILE states=FILE|-
//! ```
//! Methods: `bdf`, `tr_bdf2`, `esdirk34` with nalgebra's dense LU, the same with `-sparse` behind the name on a sparse Jacobian with faer's
//! LU (KLU, which needs clang to build, was 4 % faster for O'Hara-Rudy), and `tsit45` (explicit). Equations and exact Jacobian are the C
//! functions of `cells.c`. Trajectories one after another, shared out over threads; where the stimulus ends a new solver starts from the
//! state.

mod cell;

use std::{collections::HashMap, error::Error, fs, time::Instant};

use diffsol::{
    FaerSparseLU, FaerSparseMat, LinearSolver, Matrix, NalgebraLU, NalgebraMat, OdeBuilder, OdeSolverMethod, OdeSolverStopReason, Vector,
};
use rayon::prelude::*;

use cell::{Cell, Equations};

struct Task {
    method: String,
    rtol: f64,
    atol: f64,
    t_end: f64,
    dt: f64,
    times: usize,
}

/// Output, in the precision asked for.
trait Number: Copy + Send + Default {
    fn of(x: f64) -> Self;
    fn bytes(all: &[Self]) -> Vec<u8>;
}
impl Number for f32 {
    fn of(x: f64) -> f32 {
        x as f32
    }
    fn bytes(all: &[f32]) -> Vec<u8> {
        all.iter().flat_map(|x| x.to_le_bytes()).collect()
    }
}
impl Number for f64 {
    fn of(x: f64) -> f64 {
        x
    }
    fn bytes(all: &[f64]) -> Vec<u8> {
        all.iter().flat_map(|x| x.to_le_bytes()).collect()
    }
}

/// Follows one piece under a constant stimulus to `end`, which becomes the start of the next one; counts the steps.
fn run<'a, N: Number, M: Matrix<T = f64> + 'a>(
    mut solver: impl OdeSolverMethod<'a, Equations<M>>,
    task: &Task,
    end: f64,
    out: &mut [N],
    next: &mut usize,
    x: &mut [f64],
) -> Result<u64, Box<dyn Error>> {
    solver.set_stop_time(end)?;
    let mut steps = 0;
    let mut at = solver.state().y.clone();
    loop {
        steps += 1;
        let done = matches!(solver.step()?, OdeSolverStopReason::TstopReached);
        let t = if done { end * (1.0 + 1e-14) } else { solver.state().t };
        while *next < task.times {
            let wanted = if *next + 1 == task.times { task.t_end } else { *next as f64 * task.dt };
            if wanted > t {
                break;
            }
            solver.interpolate_inplace(wanted.min(solver.state().t), &mut at)?;
            at.for_each_batch_host([], |at, [], _| {
                for (to, from) in out[*next * x.len()..].iter_mut().zip(&*at) {
                    *to = N::of(*from);
                }
            });
            *next += 1;
        }
        if done {
            x.copy_from_slice(&solver.state().y.clone_as_vec());
            return Ok(steps);
        }
    }
}

fn piece<N: Number, M: Matrix<T = f64>, LS: LinearSolver<M>>(
    task: &Task,
    equations: Equations<M>,
    begin: f64,
    end: f64,
    out: &mut [N],
    next: &mut usize,
    x: &mut [f64],
) -> Result<u64, Box<dyn Error>>
where
    M::V: diffsol::DefaultDenseMatrix<T = f64, C = M::C>,
    for<'b> &'b M::V: diffsol::VectorRef<M::V>,
    for<'b> &'b M: diffsol::matrix::MatrixRef<M>,
{
    let mut problem = OdeBuilder::<M>::new().t0(begin).rtol(task.rtol).atol(vec![task.atol; x.len()]).build_from_eqn(equations)?;
    // its limit of 50 is on a whole run: a cell that bursts for long exceeds it at loose tolerances
    problem.ode_options.max_nonlinear_solver_failures = usize::MAX;
    match task.method.trim_end_matches("-sparse") {
        "bdf" => run(problem.bdf::<LS>()?, task, end, out, next, x),
        "tr_bdf2" => run(problem.tr_bdf2::<LS>()?, task, end, out, next, x),
        "esdirk34" => run(problem.esdirk34::<LS>()?, task, end, out, next, x),
        "tsit45" => run(problem.tsit45()?, task, end, out, next, x),
        other => Err(format!("no method {other}").into()),
    }
}

/// A line of the batch holds the start, the parameter where one varies, amplitude and duration of the stimulus. Fills `out[time][variable]`.
fn solve<N: Number>(task: &Task, cell: Cell, line: &[f64], out: &mut [N]) -> Result<u64, Box<dyn Error>> {
    let n = cell.variables();
    let (mut x, p) = (line[..n].to_vec(), if cell.parameters() > 0 { line[n] } else { 0.0 });
    let (amplitude, duration) = (line[line.len() - 2], line[line.len() - 1].min(task.t_end));
    let mut next = 0;
    if task.times > 1 {
        out.iter_mut().zip(&x).for_each(|(to, from)| *to = N::of(*from));
        next = 1;
    }
    let mut steps = 0;
    for (begin, end, i_stim) in [(0.0, duration, amplitude), (duration, task.t_end, 0.0)] {
        if end <= begin {
            continue;
        }
        steps += if task.method.ends_with("-sparse") {
            let equations = Equations::<FaerSparseMat<f64>>::new(cell, p, i_stim, x.clone());
            piece::<N, _, FaerSparseLU<f64>>(task, equations, begin, end, out, &mut next, &mut x)?
        } else {
            let equations = Equations::<NalgebraMat<f64>>::new(cell, p, i_stim, x.clone());
            piece::<N, _, NalgebraLU<f64>>(task, equations, begin, end, out, &mut next, &mut x)?
        };
    }
    Ok(steps)
}

fn all<N: Number>(task: &Task, cell: Cell, batch: &[f64], repeats: usize, threads: usize, states: &str) -> Result<(), Box<dyn Error>> {
    let (width, size) = (cell.variables() + cell.parameters() + 2, task.times * cell.variables());
    if batch.len() % width != 0 {
        return Err(format!("the batch holds {} numbers, {width} a line", batch.len()).into());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let mut out = vec![N::default(); batch.len() / width * size];
    let (mut seconds, mut counts) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        let begin = Instant::now();
        counts = pool.install(|| {
            let lines = batch.par_chunks(width).with_max_len(1).zip(out.par_chunks_mut(size));
            lines
                .map(|(line, out)| {
                    solve(task, cell, line, out)
                        .inspect_err(|e| {
                            eprintln!("{e}");
                            out.fill(N::of(f64::NAN));
                        })
                        .ok()
                })
                .collect::<Vec<_>>()
        });
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let (steps, failed) = (counts.iter().flatten().sum::<u64>(), counts.iter().filter(|c| c.is_none()).count());
    println!(
        "{{\"version\": \"0.18.0\", \"seconds\": {seconds:?}, \"steps\": {steps}, \"evaluations\": null, \"jacobians\": null, \"failed\": {failed}}}"
    );
    if states != "-" {
        fs::write(states, N::bytes(&out))?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given: HashMap<&str, &str> = words.iter().filter_map(|w| w.split_once('=')).collect();
    let text = |key: &str| given.get(key).copied().ok_or_else(|| format!("expected {key}=VALUE"));
    let number = |key: &str| text(key)?.parse::<f64>().map_err(|e| format!("{key}: {e}"));
    let cell = Cell::find(text("model")?).ok_or_else(|| format!("no cell {}", text("model").unwrap_or("")))?;
    let (t_end, dt) = (number("t_end")?, number("dt")?);
    let times = if dt < t_end { (t_end / dt).round() as usize + 1 } else { 1 };
    let task = Task { method: text("method")?.into(), rtol: number("rtol")?, atol: number("atol")?, t_end, dt, times };
    let batch = fs::read_to_string(text("batch")?)?.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let (repeats, threads, states) = (text("repeats")?.parse()?, text("threads")?.parse()?, text("states")?);
    match text("precision")? {
        "single" => all::<f32>(&task, cell, &batch, repeats, threads, states),
        _ => all::<f64>(&task, cell, &batch, repeats, threads, states),
    }
}

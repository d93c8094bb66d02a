//! Time and error of ensembles of beta-cells, as one JSON object a line.
//!
//! ```text
//! cargo bench -p ionoscope-dynamics --bench ensemble -- [--model ID] [--trajectories N] [--t-end T] [--dt DT | --last] [--rtol R,R,..]
//! ```
//! `lanes` solves the batch at once, `scalar` the same experiments one by one on one thread. Errors are at the last output time against a
//! run at rtol 1e-12, in units of atol + rtol |x|, and plain (largest over the variables, relative to 0.01 + |x|).
#![allow(clippy::print_stdout)]

use std::time::Instant;

use ionoscope_dynamics::{
    Result, models,
    system::DynamicalSystem,
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};

struct Task {
    model: String,
    trajectories: usize,
    t_end: f64,
    dt: Option<f64>,
    rtol: Vec<f64>,
}

fn task() -> Task {
    let mut task = Task { model: "sherman-1988".into(), trajectories: 256, t_end: 50.0, dt: Some(0.005), rtol: vec![1e-6, 1e-8, 1e-10] };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--model" => task.model = value(),
            "--trajectories" => task.trajectories = value().parse().expect("a number of trajectories"),
            "--t-end" => task.t_end = value().parse().expect("a time"),
            "--dt" => task.dt = Some(value().parse().expect("a time step")),
            "--last" => task.dt = None,
            "--rtol" => task.rtol = value().split(',').map(|r| r.parse().expect("a tolerance")).collect(),
            "--bench" => {}
            other => panic!("unknown argument {other}"),
        }
    }
    task
}

/// The k-th of `n` experiments: v_s even over [-40, -30], start from the dataset's box by the golden ratio.
fn experiment(system: &dyn DynamicalSystem, task: &Task, k: usize) -> Result<Experiment> {
    let share = |salt: f64| (k as f64 * 0.618_033_988_749_894_9 * salt + 0.5 * salt).fract();
    let times = match task.dt {
        Some(dt) => TimeGrid::until(task.t_end, dt)?,
        None => TimeGrid::new(task.t_end, 1.0, 1)?,
    };
    let mut e = Experiment::from_defaults(system.spec(), times);
    e.p = system.spec().parameters_with([("v_s", -40.0 + 10.0 * (k as f64 + 0.5) / task.trajectories as f64)])?;
    e.x0 = vec![-70.0 + 60.0 * share(1.0), 0.12 * share(2.0), 0.17 + 0.03 * share(3.0)];
    Ok(e)
}

fn main() -> Result<()> {
    let task = task();
    let system = models::find(&task.model)?;
    let batch: Vec<Experiment> = (0..task.trajectories).map(|k| experiment(&*system, &task, k)).collect::<Result<_>>()?;
    // The end alone, at t = 10 at most: later the irregular columns know no matching reference.
    let short: Vec<Experiment> =
        batch.iter().map(|e| Ok(Experiment { times: TimeGrid::new(task.t_end.min(10.0), 1.0, 1)?, ..e.clone() })).collect::<Result<_>>()?;
    let reference = system.solve_ensemble(&short, &SolveOptions { rtol: 1e-12, atol: 1e-15, ..SolveOptions::default() })?;
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    for &rtol in &task.rtol {
        let options = SolveOptions { rtol, atol: rtol * 1e-2, ..SolveOptions::default() };
        let ends = system.solve_ensemble(&short, &options)?;
        let mut in_tolerances: Vec<f64> = errors(&ends, &reference, options.atol, rtol);
        let mut plain: Vec<f64> = errors(&ends, &reference, 1e-2, 1.0);
        in_tolerances.sort_by(f64::total_cmp);
        plain.sort_by(f64::total_cmp);
        let report = |method: &str, threads: usize, count: usize, run: &dyn Fn() -> Result<Vec<Trajectory>>| -> Result<()> {
            let begin = Instant::now();
            let all = run()?;
            let seconds = begin.elapsed().as_secs_f64();
            let steps: u64 = all.iter().map(|t| t.statistics.accepted + t.statistics.rejected).sum();
            let evaluations: u64 = all.iter().map(|t| t.statistics.evaluations).sum();
            let outputs: usize = all.iter().map(Trajectory::len).sum();
            println!(
                "{{\"model\": \"{}\", \"method\": \"{method}\", \"threads\": {threads}, \"rtol\": {rtol:e}, \"atol\": {:e}, \"trajectories\": {count}, \
                 \"t_end\": {}, \"outputs\": {outputs}, \"seconds\": {seconds:.4}, \"ms_per_trajectory\": {:.4}, \"ns_per_step\": {:.1}, \
                 \"steps\": {steps}, \"evaluations\": {evaluations}, \"error_at_10_in_tolerances\": {{\"median\": {:.2e}, \"max\": {:.2e}}}, \
                 \"error_at_10_relative\": {{\"median\": {:.2e}, \"max\": {:.2e}}}}}",
                task.model,
                options.atol,
                task.t_end,
                seconds * 1e3 / count as f64,
                seconds * 1e9 / steps as f64,
                in_tolerances[in_tolerances.len() / 2],
                in_tolerances[in_tolerances.len() - 1],
                plain[plain.len() / 2],
                plain[plain.len() - 1],
            );
            Ok(())
        };
        report("lanes", rayon::current_num_threads(), batch.len(), &|| system.solve_ensemble(&batch, &options))?;
        report("lanes", 1, batch.len(), &|| one.install(|| system.solve_ensemble(&batch, &options)))?;
        let some: Vec<&Experiment> = batch.iter().step_by(8).collect();
        report("scalar", 1, some.len(), &|| one.install(|| some.iter().map(|e| system.simulate(e, &options)).collect()))?;
    }
    Ok(())
}

/// Largest error over the variables in units of atol + rtol |x|, per trajectory.
fn errors(got: &[Trajectory], want: &[Trajectory], atol: f64, rtol: f64) -> Vec<f64> {
    got.iter()
        .zip(want)
        .map(|(g, w)| g.x.iter().zip(&w.x).map(|(a, b)| (a - b).abs() / (atol + rtol * b.abs())).fold(0.0, f64::max))
        .collect()
}

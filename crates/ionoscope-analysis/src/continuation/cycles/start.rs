//! Where branches of cycles start.

use faer::c64;
use ionoscope_dynamics::{
    protocol::Protocol,
    system::Time,
    trajectory::{Experiment, Outcome, SolveOptions, TimeGrid},
};

use super::{
    super::{answer::SpecialPoint, normal_form::eigenvector, problem::Problem},
    answer::CycleOptions,
    collocation::Orbit,
};
use crate::{Result, residual::residual_jacobian, spectrum::spectrum};

/// Half the height, in scaled variables, of the first cycle at a Hopf point.
pub const FIRST_AMPLITUDE: f64 = 2e-3;
/// Intervals of a first mesh.
const FIRST_INTERVALS: usize = 20;
/// Samples of a piece of a simulation.
const SAMPLES: usize = 16_384;
/// Pieces of a simulation, each twice as long as the one before.
const PIECES: usize = 12;
/// Times 1 over the fastest rate at the start, the length of the first piece.
const FIRST_PIECE: f64 = 30.0;
/// Least height of what counts as motion, and distance at which it repeats, in scaled variables and in heights.
const MOTION: f64 = 1e-4;
const REPEATS: f64 = 1e-3;
/// Steps of the solver in a piece.
const MOST_STEPS: u64 = 1_000_000;
/// Share of the height that a return must come near and, before it, leave.
const NEIGHBOURHOOD: f64 = 0.1;

/// A cycle with half the height `amplitude` about a Hopf (Neimark-Sacker) point and the direction in which it grows.
pub fn at_hopf(problem: &Problem, point: &SpecialPoint, amplitude: f64) -> Option<(Orbit, Orbit)> {
    let n = point.x.len();
    let near = |m: &f64| m.abs();
    let mu = point
        .eigenvalues
        .iter()
        .filter(|m| m.im > 0.0)
        .min_by(|a, b| near(&a.re).total_cmp(&near(&b.re)))?;
    let y = problem.scaled(
        &point.x,
        (point.parameter - problem.value(0.0)) / problem.span(),
    );
    let (i_stim, p) = problem.inputs(y[n]);
    let mut jacobian = vec![0.0; n * n];
    residual_jacobian(problem.system, &point.x, i_stim, &p, &mut jacobian);
    for i in 0..n {
        (0..n).for_each(|j| jacobian[i * n + j] *= problem.width[j] / problem.width[i]);
    }
    // The residual's eigenvalue: mu of a flow, exp(mu dt) - 1 of a map.
    let shift = match problem.system.time() {
        Time::Continuous => c64::new(0.0, mu.im),
        Time::Discrete { dt } => c64::new((mu.im * dt).cos() - 1.0, (mu.im * dt).sin()),
    };
    let q = eigenvector(&jacobian, shift, n)?;
    let largest = q.iter().map(|z| z.re.hypot(z.im)).fold(0.0, f64::max);
    let mesh: Vec<f64> = (0..=FIRST_INTERVALS)
        .map(|k| k as f64 / FIRST_INTERVALS as f64)
        .collect();
    let log_period = (std::f64::consts::TAU / mu.im).ln();
    let wave = |tau: f64| {
        let (sin, cos) = (std::f64::consts::TAU * tau).sin_cos();
        q.iter()
            .map(|z| (z.re * cos - z.im * sin) / largest)
            .collect::<Vec<f64>>()
    };
    let orbit = Orbit::through(mesh.clone(), log_period, y[n], |t| {
        wave(t)
            .iter()
            .zip(&y)
            .map(|(w, y)| y + amplitude * w)
            .collect()
    });
    let mut along = Orbit::through(mesh, 0.0, 0.0, wave);
    let length = along.norm();
    along = along.times(1.0 / length);
    Some((orbit, along))
}

/// Curves that nearly close, from simulations at the scaled parameter `s`.
pub fn by_simulation(problem: &Problem, s: f64, options: &CycleOptions) -> Result<Vec<Orbit>> {
    let spec = problem.system.spec();
    let n = spec.variables.len();
    let (i_stim, p) = problem.inputs(s);
    let middle = |share: f64| {
        (0..n)
            .map(|i| problem.state(&vec![share; n])[i])
            .collect::<Vec<f64>>()
    };
    let mut found: Vec<Orbit> = Vec::new();
    for x0 in [spec.default_state(), middle(0.3), middle(0.6)] {
        let Some(orbit) = repetition(problem, x0, i_stim, &p, s, options)? else {
            continue;
        };
        let [low, high] = orbit.extent();
        let same = |o: &Orbit| {
            let [a, b] = o.extent();
            let close = |x: &[f64], y: &[f64]| x.iter().zip(y).all(|(x, y)| (x - y).abs() < 0.01);
            close(&a, &low) && close(&b, &high)
        };
        if !found.iter().any(same) {
            found.push(orbit);
        }
    }
    Ok(found)
}

fn repetition(
    problem: &Problem,
    mut x: Vec<f64>,
    i_stim: f64,
    p: &[f64],
    s: f64,
    options: &CycleOptions,
) -> Result<Option<Orbit>> {
    let system = problem.system;
    let n = x.len();
    let Ok(here) = spectrum(system, &x, i_stim, p) else {
        return Ok(None);
    };
    let fastest = here
        .eigenvalues
        .iter()
        .map(|m| m.modulus())
        .fold(0.0, f64::max);
    if !(fastest > 0.0 && fastest.is_finite()) {
        return Ok(None);
    }
    // Times on the map's grid.
    let round = |dt: f64| match system.time() {
        Time::Continuous => dt,
        Time::Discrete { dt: step } => (dt / step).round().max(1.0) * step,
    };
    let protocol = Protocol::constant(i_stim);
    // One that runs away takes ever smaller steps; it is not worth its time.
    let solve = SolveOptions {
        max_steps: options.solve.max_steps.min(MOST_STEPS),
        ..options.solve.clone()
    };
    let run = |x0: &[f64], dt: f64, count: usize| -> Result<Option<Vec<f64>>> {
        let experiment = Experiment {
            x0: x0.to_vec(),
            p: p.to_vec(),
            protocol: protocol.clone(),
            times: TimeGrid::new(0.0, dt, count)?,
        };
        let mut all = system.solve_ensemble(&[experiment], &solve)?;
        let done = all.pop().filter(|t| t.outcome == Outcome::Completed);
        Ok(done.map(|t| {
            t.x.chunks_exact(n)
                .flat_map(|x| problem.scaled(x, s)[..n].to_vec())
                .collect()
        }))
    };
    let mut length = FIRST_PIECE / fastest;
    for _ in 0..PIECES {
        let dt = round(length / SAMPLES as f64);
        let Some(samples) = run(&x, dt, SAMPLES)? else {
            return Ok(None);
        };
        let last = &samples[(SAMPLES - 1) * n..];
        x = problem.state(last);
        let distance = |k: usize| {
            (0..n)
                .map(|i| (samples[k * n + i] - last[i]).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        let height = (0..SAMPLES).map(distance).fold(0.0, f64::max);
        if height < MOTION {
            return Ok(None);
        }
        if let Some(lag) = lag(&samples, n, height) {
            // Once more, finely.
            let fine = round(lag * dt / (4 * options.most_intervals) as f64);
            let count = (lag * dt / fine).ceil() as usize + 3;
            let Some(samples) = run(&x, fine, count)? else {
                return Ok(None);
            };
            return Ok(Some(closed(
                &samples,
                n,
                fine,
                lag * dt,
                s,
                options.accuracy(system.time()),
                options.most_intervals,
            )));
        }
        length *= 2.0;
    }
    Ok(None)
}

/// The cubic through four neighboring samples, at `t` samples from the first.
fn between(samples: &[f64], n: usize, t: f64) -> Vec<f64> {
    let k = (t as usize).clamp(1, samples.len() / n - 3);
    let c = t - k as f64;
    let weights = [
        -c * (c - 1.0) * (c - 2.0) / 6.0,
        (c + 1.0) * (c - 1.0) * (c - 2.0) / 2.0,
        -(c + 1.0) * c * (c - 2.0) / 2.0,
        (c + 1.0) * c * (c - 1.0) / 6.0,
    ];
    (0..n)
        .map(|i| {
            (0..4)
                .map(|j| weights[j] * samples[(k + j - 1) * n + i])
                .sum()
        })
        .collect()
}

/// After how many samples the last state came before, the shortest of the best; none where it did not.
fn lag(samples: &[f64], n: usize, height: f64) -> Option<f64> {
    let count = samples.len() / n;
    let last = &samples[(count - 1) * n..];
    let off = |x: &[f64]| {
        x.iter()
            .zip(last)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    // Nearest samples of all returns, and between samples the nearest time.
    let refined = |k: usize| {
        let (mut a, mut b) = (k as f64 - 1.0, k as f64 + 1.0);
        for _ in 0..50 {
            let (l, r) = (a + (b - a) / 3.0, b - (b - a) / 3.0);
            if off(&between(samples, n, l)) < off(&between(samples, n, r)) {
                b = r
            } else {
                a = l
            }
        }
        let t = 0.5 * (a + b);
        (off(&between(samples, n, t)), (count - 1) as f64 - t)
    };
    let mut candidates: Vec<(f64, f64)> = Vec::new();
    let (mut left, mut nearest): (bool, Option<(f64, usize)>) = (false, None);
    for k in (1..count - 2).rev() {
        let d = off(&samples[k * n..(k + 1) * n]);
        if d > NEIGHBOURHOOD * height {
            left = true;
            candidates.extend(nearest.take().map(|(_, k)| refined(k)));
        } else if left && nearest.is_none_or(|(best, _)| d < best) {
            nearest = Some((d, k));
        }
    }
    let best = candidates.iter().map(|c| c.0).fold(f64::INFINITY, f64::min);
    if best > REPEATS * height {
        return None;
    }
    // Among equals the first: the others go round several times.
    candidates
        .into_iter()
        .find(|c| c.0 < 3.0 * best + 1e-4 * height)
        .map(|c| c.1)
}

/// The closed curve through samples `dt` apart that repeat after `period`, on a mesh fit to it.
fn closed(
    samples: &[f64],
    n: usize,
    dt: f64,
    period: f64,
    s: f64,
    accuracy: f64,
    many: usize,
) -> Orbit {
    let at = |t: f64| between(samples, n, t / dt);
    let (first, end) = (at(0.0), at(period));
    let curve = |tau: f64| -> Vec<f64> {
        at(tau * period)
            .iter()
            .zip(&first)
            .zip(&end)
            .map(|((x, a), b)| x - tau * (b - a))
            .collect()
    };
    let mesh = (0..=many).map(|k| k as f64 / many as f64).collect();
    let fine = Orbit::through(mesh, period.ln(), s, curve);
    // Samples carry the solver's error, which high differences show: the mesh follows the curve's length and its bends, no finer.
    let fitted = fine.fitted_mesh((fine.wanted(accuracy)).min(many / 2));
    fine.on(&fitted)
}

//! The slow, obvious integrator against which the fast ones are checked: classical Runge-Kutta with a fixed, small step.

use crate::{
    system::DynamicalSystem,
    trajectory::{Experiment, Outcome, Statistics, Trajectory},
};

/// Integrates with the classical fourth-order Runge-Kutta method, in equal steps of at most `step` between output times and switches of
/// the stimulus.
pub fn runge_kutta_4(system: &dyn DynamicalSystem, e: &Experiment, step: f64) -> Trajectory {
    let n = system.dimension();
    let mut x = e.x0.clone();
    let mut out = Vec::with_capacity(n * e.times.count);
    let mut t = 0.0;
    let mut evaluations = 0;
    let mut k = vec![vec![0.0; n]; 4];
    let mut y = vec![0.0; n];
    let signal = e.protocol.signal(e.times.end());
    let mut stops: Vec<(f64, bool)> = (0..e.times.count)
        .map(|k| (e.times.time(k), true))
        .collect();
    stops.extend(
        signal
            .pieces
            .iter()
            .map(|p| (p.start, false))
            .filter(|(t, _)| *t < e.times.end()),
    );
    stops.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (target, wanted) in stops {
        let piece = &signal.pieces[signal.pieces.partition_point(|p| p.start <= t).max(1) - 1];
        let steps = ((target - t) / step).ceil().max(0.0) as u64;
        let h = (target - t) / steps.max(1) as f64;
        for s in 0..steps {
            let begin = t + s as f64 * h;
            system.rule(&x, piece.value(begin), &e.p, &mut k[0]);
            for (stage, share) in [(1, 0.5), (2, 0.5), (3, 1.0)] {
                for i in 0..n {
                    y[i] = x[i] + share * h * k[stage - 1][i];
                }
                system.rule(&y, piece.value(begin + share * h), &e.p, &mut k[stage]);
            }
            for i in 0..n {
                x[i] += h / 6.0 * (k[0][i] + 2.0 * k[1][i] + 2.0 * k[2][i] + k[3][i]);
            }
            evaluations += 4;
        }
        t = target;
        if wanted {
            out.extend_from_slice(&x);
        }
    }
    let statistics = Statistics {
        accepted: evaluations / 4,
        evaluations,
        ..Statistics::default()
    };
    Trajectory {
        times: e.times,
        dimension: n,
        x: out,
        outcome: Outcome::Completed,
        statistics,
    }
}

//! Floquet multipliers of what grows or decays fast beside the steps of the mesh.
//!
//! Collocation at Gauss points is best for the curve and for the multipliers that pass the unit circle, but turns a decay by exp(-z) over an
//! interval into one by almost 1 where z is large. Where the linearized motion is so stiff, it is carried along the curve in short steps by
//! Magnus' expansion (see `tangent.rs`), and decides what the multipliers are; collocation gives the digits of those that both know. A map
//! carries it itself, step by step along its closed curve.

use ionoscope_dynamics::system::Time;

use super::{collocation::Orbit, field::Field, floquet};
use crate::{spectrum::Complex, tangent::Frame};

/// Norm of the Jacobian times an interval's length up to which collocation resolves all that grows or decays.
const STIFF: f64 = 1.0;
/// The same of a step by which the motion is carried, and steps around a cycle at most.
const STEP: f64 = 0.5;
const MOST_STEPS: f64 = 20_000.0;
/// Relative distance within which two numbers stand for one multiplier, at least and at most; between, so many times the accuracy of the curve: between
/// the points of collocation it is known less well.
const SAME: [f64; 2] = [1e-3, 0.5];
/// A multiplier above this is one of the slow motion, which collocation knows better: it is the same within ten times as much.
const SLOW: f64 = 1e-6;
const ACCURACIES: f64 = 5e3;

/// The multipliers of a cycle known to `accuracy` but for the one along it, by descending absolute value; `collocated` are those of its
/// collocation equations.
pub fn multipliers(
    field: &Field,
    orbit: &Orbit,
    collocated: &[Complex],
    accuracy: f64,
) -> Vec<Complex> {
    let same = (ACCURACIES * accuracy).clamp(SAME[0], SAME[1]);
    let Some(mut all) = carried(field, orbit) else {
        return collocated.to_vec();
    };
    let distance = |a: Complex, b: Complex| (a.re - b.re).hypot(a.im - b.im);
    let one = Complex { re: 1.0, im: 0.0 };
    let Some(along) =
        (0..all.len()).min_by(|a, b| distance(all[*a], one).total_cmp(&distance(all[*b], one)))
    else {
        return all;
    };
    all.remove(along);
    for m in &mut all {
        let nearest = collocated
            .iter()
            .min_by(|a, b| distance(**a, *m).total_cmp(&distance(**b, *m)));
        if let Some(nearest) = nearest.filter(|c| {
            let same = if m.modulus() > SLOW {
                10.0 * same
            } else {
                same
            };
            distance(**c, *m) <= same.min(SAME[1]) * m.modulus()
        }) {
            *m = *nearest;
        }
    }
    all
}

/// All multipliers by the linearized motion in short steps; none where collocation resolves it, or where it is not finite.
fn carried(field: &Field, orbit: &Orbit) -> Option<Vec<Complex>> {
    match field.problem.system.time() {
        Time::Continuous => carried_by_flow(field, orbit),
        Time::Discrete { dt } => carried_by_map(field, orbit, dt),
    }
}

/// Whole steps of the map around its curve, and what is left of a step by the flow that embeds it.
fn carried_by_map(field: &Field, orbit: &Orbit, dt: f64) -> Option<Vec<Complex>> {
    let (n, steps) = (orbit.dimension(), orbit.log_period.exp() / dt);
    let mut factors = Vec::new();
    for k in 0..steps as usize {
        factors.push(field.step(&orbit.at(k as f64 / steps), orbit.s));
    }
    let (from, left) = (steps.floor() / steps, steps.fract());
    let jacobian = |k: usize, out: &mut [f64]| {
        out.copy_from_slice(
            &field
                .at(
                    &orbit.at((from + 0.5 * k as f64 * left / steps).min(1.0)),
                    orbit.s,
                )
                .jacobian,
        );
    };
    factors.append(&mut Frame::new(n, n).factors(jacobian, left * dt, 1)?.0);
    floquet::multipliers(&factors, n)
}

fn carried_by_flow(field: &Field, orbit: &Orbit) -> Option<Vec<Complex>> {
    let (n, period) = (orbit.dimension(), orbit.log_period.exp());
    let stiffness: Vec<f64> = orbit
        .mesh
        .windows(2)
        .map(|w| {
            let norm = |tau: f64| {
                let jacobian = field.at(&orbit.at(tau), orbit.s).jacobian;
                jacobian
                    .chunks_exact(n)
                    .map(|row| row.iter().map(|j| j.abs()).sum::<f64>())
                    .fold(0.0, f64::max)
            };
            (w[1] - w[0]) * period * norm(w[0]).max(norm(0.5 * (w[0] + w[1])))
        })
        .collect();
    if stiffness.iter().all(|z| *z <= STIFF) {
        return None;
    }
    let share = (MOST_STEPS * STEP / stiffness.iter().sum::<f64>()).min(1.0);
    let (mut frame, mut factors) = (Frame::new(n, n), Vec::new());
    for (w, z) in orbit.mesh.windows(2).zip(&stiffness) {
        let steps = (share * z / STEP).ceil().max(1.0) as usize;
        let h = (w[1] - w[0]) / steps as f64;
        let jacobian = |k: usize, out: &mut [f64]| {
            let tau = (w[0] + 0.5 * h * k as f64).min(w[1]);
            out.copy_from_slice(&field.at(&orbit.at(tau), orbit.s).jacobian);
        };
        let (mut some, _) = frame.factors(jacobian, h * period, steps)?;
        factors.append(&mut some);
    }
    floquet::multipliers(&factors, n)
}

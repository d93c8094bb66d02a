//! The neighborhood of a stable fixed point from which everything comes to it.
//!
//! An ellipsoid around the point, a level of z' P z in units of the ranges, with P = sum_k (M')^k M^k and M the linearized map over one look, so that
//! the level falls from look to look near the point. The largest level from whose surface test trajectories all came well inside is
//! taken, and none with another fixed point inside. Where quantities are conserved, all this is on the level of the point.

use ionoscope_dynamics::sampling::{normal, stream};

use super::run::{MOST_VARIABLES, Run, whole};
use crate::{
    Result, fixed_points::FixedPoint, matrix::product, spectrum::step_matrix,
    time_scales::decay_times,
};

/// Test trajectories of a trap: of a system with few variables, and with many; the share of its level below which all of them must come, and
/// after how many times of the slowest decay.
const TESTS: [usize; 2] = [64, 16];
const WELL_INSIDE: f64 = 1e-2;
const DECAYS: f64 = 4.0;

/// A stable fixed point and the ellipsoid from which all states come to it.
pub struct Trap {
    pub point: FixedPoint,
    width: Vec<f64>,
    p: Vec<f64>,
    pub level: f64,
}

impl Trap {
    /// The level of a state.
    pub fn level_at(&self, x: &[f64]) -> f64 {
        let n = x.len();
        let z = |i: usize| (x[i] - self.point.x[i]) / self.width[i];
        (0..n)
            .map(|i| z(i) * (0..n).map(|j| self.p[i * n + j] * z(j)).sum::<f64>())
            .sum()
    }
}

/// The trap of a stable fixed point, which has none of `others` inside.
pub fn trap(run: &Run, point: FixedPoint, others: &[&[f64]]) -> Result<Trap> {
    let n = point.x.len();
    let width = run.widths.clone();
    let [_, slowest] = decay_times(&point.eigenvalues);
    let look = whole(run.system, run.times.sample);
    let step = step_matrix(run.system, &point.x, run.i_stim, run.p, look);
    let m: Vec<f64> = (0..n * n)
        .map(|k| step[k] * width[k % n] / width[k / n])
        .collect();
    let plane = run.plane(&point.x);
    let mut trap = Trap {
        p: within(&plane, &m, n),
        point,
        width,
        level: 0.0,
    };
    if !slowest.is_finite() || trap.p.iter().any(|v| !v.is_finite()) {
        return Ok(trap);
    }

    // Points on the level 1, from which those on any other follow.
    let mut random = stream(1, "trap", 0);
    let tests = TESTS[usize::from(n > MOST_VARIABLES)];
    let directions: Vec<Vec<f64>> = (0..tests)
        .map(|_| {
            let z: Vec<f64> = (0..n).map(|_| normal(&mut random)).collect();
            let z = project(&plane, &z);
            let x: Vec<f64> = (0..n)
                .map(|i| trap.point.x[i] + z[i] * trap.width[i])
                .collect();
            let level = trap.level_at(&x).sqrt();
            (0..n).map(|i| (x[i] - trap.point.x[i]) / level).collect()
        })
        .collect();
    let time = (DECAYS * slowest).max(look);
    let count = ((time / look).round() as usize).clamp(1, 64);
    let dt = whole(run.system, time / count as f64);
    // From a tenth of the ranges down: P is at least 1.
    let mut level = 0.01f64;
    for _ in 0..16 {
        if others.iter().any(|x| trap.level_at(x) <= level) {
            level /= 4.0;
            continue;
        }
        let starts: Vec<Vec<f64>> = directions
            .iter()
            .map(|d| {
                let x: Vec<f64> = (0..n)
                    .map(|i| trap.point.x[i] + level.sqrt() * d[i])
                    .collect();
                run.on_level(&x).unwrap_or(x)
            })
            .collect();
        let trajectories =
            run.trajectories(starts.iter().map(|x| &x[..]), dt, count, &run.options.solve)?;
        let holds = trajectories.iter().all(|t| {
            t.last()
                .is_some_and(|x| trap.level_at(x) < WELL_INSIDE * level)
                && t.len() == count + 1
        });
        if holds {
            trap.level = level;
            break;
        }
        level /= 4.0;
    }
    Ok(trap)
}

/// The part of a vector, in units of the ranges, that is in the plane orthogonal to unit vectors.
fn project(normals: &[Vec<f64>], z: &[f64]) -> Vec<f64> {
    let mut z = z.to_vec();
    for w in normals {
        let along: f64 = z.iter().zip(w).map(|(z, w)| z * w).sum();
        z.iter_mut().zip(w).for_each(|(z, w)| *z -= along * w);
    }
    z
}

/// The quadratic form of a linear map that keeps a plane, in that plane; beside it that of the identity.
fn within(normals: &[Vec<f64>], m: &[f64], n: usize) -> Vec<f64> {
    if normals.is_empty() {
        return quadratic_form(m.to_vec(), n);
    }
    // The projection S is symmetric; of S m S the form is that of m on the plane.
    let mut s: Vec<f64> = (0..n * n)
        .map(|k| f64::from(u8::from(k % (n + 1) == 0)))
        .collect();
    for w in normals {
        (0..n * n).for_each(|k| s[k] -= w[k / n] * w[k % n]);
    }
    quadratic_form(product(&s, &product(m, &s, n), n), n)
}

/// sum_k (M')^k M^k, by doubling (Smith 1968); where it does not converge in 2^40 terms, what it has become.
fn quadratic_form(mut m: Vec<f64>, n: usize) -> Vec<f64> {
    let mut p: Vec<f64> = (0..n * n)
        .map(|k| f64::from(u8::from(k % (n + 1) == 0)))
        .collect();
    for _ in 0..40 {
        // p += m' p m, m = m^2.
        let pm = product(&p, &m, n);
        let more: Vec<f64> = (0..n * n)
            .map(|k| (0..n).map(|i| m[i * n + k / n] * pm[i * n + k % n]).sum())
            .collect();
        let size: f64 = more.iter().map(|v| v.abs()).fold(0.0, f64::max);
        p.iter_mut().zip(&more).for_each(|(p, v)| *p += v);
        m = product(&m, &m, n);
        if size < 1e-12 || !size.is_finite() {
            break;
        }
    }
    p
}

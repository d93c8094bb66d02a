//! What trajectories can end on, and how to tell.
//!
//! A **fixed point** has a trap: an ellipsoid around it, a level of z' P z in units of the box, with P = sum_k (M')^k M^k and M the
//! linearised map over one look, so that the level falls from look to look near the point. The largest level from whose surface test
//! trajectories all came well inside is taken.
//!
//! A **motion** is told by its extent, the smallest and largest value of every variable over a window, and recognised on the way by the
//! cells that it visits: the box of its extent cut into equal cells, and those beside them.

use std::collections::HashSet;

use ionoscope_dynamics::sampling::{normal, stream};

use super::{Attractor, AttractorKind, Run, wilson_interval};
use crate::{
    Result,
    fixed_points::{FixedPoint, FixedPointOptions, fixed_points},
    matrix::product,
    spectrum::step_matrix,
};

/// Labels beside the indices of attractors.
pub const UNDECIDED: u16 = u16::MAX;
pub const ESCAPED: u16 = u16::MAX - 1;

/// Two motions are one if their extents differ by less than this share of the larger.
const SAME_EXTENT: f64 = 0.1;
/// A motion whose extent is below this share of the variables' ranges, around a fixed point, is on its way to the point.
const AT_REST: f64 = 1e-3;
/// Cells along each side of a motion's extent.
const CELLS: f64 = 100.0;
/// Variables up to which cells are used: beside each cell lie 3^n - 1 others.
const MOST_VARIABLES: usize = 4;
/// Motions whose states make the cells, of each attractor.
const LEARNED: usize = 16;
/// Test trajectories of a trap, and the share of its level below which all of them must come.
const TESTS: usize = 64;
const WELL_INSIDE: f64 = 0.5;

/// The last window of a trajectory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extent {
    pub range: Vec<[f64; 2]>,
    pub last: Vec<f64>,
}

impl Extent {
    pub fn add(&mut self, x: &[f64]) {
        if self.range.is_empty() {
            self.range = x.iter().map(|x| [*x, *x]).collect();
        }
        for ([low, high], x) in self.range.iter_mut().zip(x) {
            (*low, *high) = (low.min(*x), high.max(*x));
        }
    }

    fn near(&self, other: &Self) -> bool {
        self.range.iter().zip(&other.range).all(|([a, b], [c, d])| {
            let allowed = SAME_EXTENT * (b - a).max(d - c);
            (a - c).abs() <= allowed && (b - d).abs() <= allowed
        })
    }
}

struct Trap {
    point: FixedPoint,
    width: Vec<f64>,
    p: Vec<f64>,
    level: f64,
}

impl Trap {
    fn level_at(&self, x: &[f64]) -> f64 {
        let n = x.len();
        let z = |i: usize| (x[i] - self.point.x[i]) / self.width[i];
        (0..n).map(|i| z(i) * (0..n).map(|j| self.p[i * n + j] * z(j)).sum::<f64>()).sum()
    }
}

struct Motion {
    extent: Extent,
    /// Extents over shorter windows that turned out to be of this motion: an irregular one shows itself bit by bit.
    parts: Vec<Extent>,
    period: Option<f64>,
    cells: HashSet<u64>,
}

impl Motion {
    /// The cell of a state; none outside the extent and the cells beside it.
    fn cell(&self, x: &[f64]) -> Option<[i64; MOST_VARIABLES]> {
        let mut cell = [0; MOST_VARIABLES];
        for ((c, x), [low, high]) in cell.iter_mut().zip(x).zip(&self.extent.range) {
            let at = (x - low) / (high - low) * CELLS;
            if !(-1.0..=CELLS + 1.0).contains(&at) {
                return None;
            }
            *c = at.floor() as i64;
        }
        Some(cell)
    }

    fn has(&self, extent: &Extent) -> bool {
        self.extent.near(extent) || self.parts.iter().any(|p| p.near(extent))
    }

    fn add(&mut self, x: &[f64]) {
        let Some(cell) = self.cell(x) else { return };
        for beside in 0..3usize.pow(x.len() as u32) {
            let mut other = cell;
            let mut rest = beside;
            for c in &mut other[..x.len()] {
                *c += (rest % 3) as i64 - 1;
                rest /= 3;
            }
            self.cells.insert(key(other));
        }
    }
}

fn key(cell: [i64; MOST_VARIABLES]) -> u64 {
    cell.iter().fold(0, |key, c| (key << 16) | (*c as u64 & 0xffff))
}

/// The attractors that are known.
pub struct Known {
    traps: Vec<Trap>,
    motions: Vec<Motion>,
}

impl Known {
    /// The stable fixed points and their traps.
    pub fn fixed_points(run: &Run) -> Result<Known> {
        let mut known = Known { traps: Vec::new(), motions: Vec::new() };
        let found = fixed_points(run.system, run.i_stim, run.p, &FixedPointOptions::default())?;
        for point in found.into_iter().filter(|f| f.stable) {
            known.traps.push(trap(run, point)?);
        }
        Ok(known)
    }

    /// The fixed point in whose trap a state is.
    pub fn trapped(&self, x: &[f64]) -> Option<u16> {
        self.traps.iter().position(|t| t.level_at(x) < t.level).map(|k| k as u16)
    }

    /// The motion among whose cells a state is, `first` being asked first.
    pub fn visited(&self, x: &[f64], first: u16) -> Option<u16> {
        let is_there = |label: u16| {
            let motion = usize::from(label).checked_sub(self.traps.len()).and_then(|k| self.motions.get(k));
            motion.is_some_and(|m| m.cell(x).is_some_and(|c| m.cells.contains(&key(c))))
        };
        if is_there(first) {
            return Some(first);
        }
        (0..self.motions.len()).map(|k| (self.traps.len() + k) as u16).find(|label| is_there(*label))
    }

    /// What a trajectory that was run to the end is on.
    pub fn label(&self, run: &Run, extent: &Extent) -> Option<u16> {
        let rests = |t: &Trap| {
            t.level_at(&extent.last) < t.level
                || extent.range.iter().zip(&t.point.x).zip(&run.system.spec().variables).all(|(([low, high], x), q)| {
                    let width = AT_REST * (q.range[1] - q.range[0]);
                    (low - x).abs() < width && (high - x).abs() < width
                })
        };
        let point = self.traps.iter().position(rests);
        point.or_else(|| self.motions.iter().position(|m| m.has(extent)).map(|k| self.traps.len() + k)).map(|k| k as u16)
    }

    /// [`Known::label`], of a new motion where it is like none that is known.
    pub fn label_or_learn(&mut self, run: &Run, extent: &Extent) -> Result<u16> {
        if let Some(label) = self.label(run, extent) {
            return Ok(label);
        }
        self.learn(run, std::slice::from_ref(extent))?;
        Ok(self.label(run, extent).unwrap_or(UNDECIDED))
    }

    /// Learns the motions of trajectories that were run to the end and are on no fixed point.
    pub fn learn(&mut self, run: &Run, extents: &[Extent]) -> Result<()> {
        let mut groups: Vec<Vec<&Extent>> = Vec::new();
        for extent in extents {
            match groups.iter_mut().find(|g| g[0].near(extent)) {
                Some(group) => group.push(extent),
                None => groups.push(vec![extent]),
            }
        }
        for group in groups {
            let mut motion = Motion { extent: group[0].clone(), parts: vec![group[0].clone()], period: None, cells: HashSet::new() };
            let n = motion.extent.range.len();
            let few = &group[..group.len().min(LEARNED)];
            let looks = (run.options.window / run.fine).round().max(1.0) as usize;
            let trajectories = run.trajectories(few.iter().map(|e| &e.last[..]), run.fine, looks)?;
            for trajectory in &trajectories {
                (0..trajectory.len()).for_each(|k| motion.extent.add(trajectory.state(k)));
            }
            for trajectory in &trajectories {
                motion.period = motion.period.or_else(|| period(&motion.extent, &few[0].last, trajectory.x.chunks_exact(n), run.fine));
                if n <= MOST_VARIABLES {
                    (0..trajectory.len()).for_each(|k| motion.add(trajectory.state(k)));
                }
            }
            match self.motions.iter_mut().find(|m| m.extent.near(&motion.extent)) {
                Some(known) => known.parts.append(&mut motion.parts),
                None => self.motions.push(motion),
            }
        }
        Ok(())
    }

    /// The attractors with their shares; labels become indices into them.
    pub fn described(self, labels: &mut [u16]) -> Vec<Attractor> {
        let (points, motions) = (self.traps.len(), self.motions.len());
        let escaped = (points + motions) as u16;
        let mut counts = vec![0u64; points + motions + 1];
        for label in labels.iter_mut() {
            *label = (*label).min(escaped);
            counts[usize::from(*label)] += 1;
        }
        let all = labels.len() as u64;
        let attractor = |kind, count: u64, x: Option<Vec<f64>>, extent, period| Attractor {
            kind,
            count,
            share: count as f64 / all as f64,
            interval: wilson_interval(count, all),
            x,
            extent,
            period,
        };
        let mut described = Vec::new();
        for (trap, count) in self.traps.into_iter().zip(&counts) {
            let extent = trap.point.x.iter().map(|x| [*x, *x]).collect();
            described.push(attractor(AttractorKind::FixedPoint, *count, Some(trap.point.x), extent, None));
        }
        for (motion, count) in self.motions.into_iter().zip(&counts[points..]) {
            let kind = if motion.period.is_some() { AttractorKind::Periodic } else { AttractorKind::Aperiodic };
            described.push(attractor(kind, *count, Some(motion.extent.last), motion.extent.range, motion.period));
        }
        if counts[points + motions] > 0 {
            described.push(attractor(AttractorKind::Escaped, counts[points + motions], None, Vec::new(), None));
        }
        described
    }
}

/// The first time at which a trajectory is back where it began, after having been away, to 1 % of the extent; and is so again, to 2 %, after
/// each multiple of that time that was seen, at least one: an irregular motion passes near its past by chance, but does not repeat what followed.
fn period<'a>(extent: &Extent, begin: &[f64], states: impl Iterator<Item = &'a [f64]>, dt: f64) -> Option<f64> {
    let away = |x: &[f64]| {
        let share = |((x, b), [low, high]): ((&f64, &f64), &[f64; 2])| (x - b).abs() / (high - low).max(f64::MIN_POSITIVE);
        x.iter().zip(begin).zip(&extent.range).map(share).fold(0.0, f64::max)
    };
    let distances: Vec<f64> = states.map(away).collect();
    let left = distances.iter().position(|d| *d > 0.1)?;
    // Between two looks the state passes nearer than at either.
    let back = (left + 1..distances.len().saturating_sub(1)).find(|&k| {
        let [before, here, after] = [distances[k - 1], distances[k], distances[k + 1]];
        here <= before && here <= after && here < 0.01
    })?;
    let again = |k: usize| distances[k.saturating_sub(2)..(k + 3).min(distances.len())].iter().any(|d| *d < 0.02);
    let multiples: Vec<usize> = (2..=8).map(|m| m * (back + 1) - 1).take_while(|k| *k < distances.len()).collect();
    (!multiples.is_empty() && multiples.into_iter().all(again)).then_some((back + 1) as f64 * dt)
}

fn trap(run: &Run, point: FixedPoint) -> Result<Trap> {
    let n = point.x.len();
    let width: Vec<f64> = run.system.spec().variables.iter().map(|q| q.range[1] - q.range[0]).collect();
    let step = step_matrix(run.system, &point.x, run.i_stim, run.p, run.sample);
    let m: Vec<f64> = (0..n * n).map(|k| step[k] * width[k % n] / width[k / n]).collect();
    let mut trap = Trap { p: quadratic_form(m, n), point, width, level: 0.0 };

    // Points on the level 1, from which those on any other follow.
    let mut random = stream(1, "trap", 0);
    let directions: Vec<Vec<f64>> = (0..TESTS)
        .map(|_| {
            let z: Vec<f64> = (0..n).map(|_| normal(&mut random)).collect();
            let x: Vec<f64> = (0..n).map(|i| trap.point.x[i] + z[i] * trap.width[i]).collect();
            let level = trap.level_at(&x).sqrt();
            (0..n).map(|i| (x[i] - trap.point.x[i]) / level).collect()
        })
        .collect();
    // From a tenth of the ranges down: P is at least 1.
    let mut level = 0.01f64;
    for _ in 0..16 {
        let starts: Vec<Vec<f64>> = directions.iter().map(|d| (0..n).map(|i| trap.point.x[i] + level.sqrt() * d[i]).collect()).collect();
        let trajectories = run.trajectories(starts.iter().map(|x| &x[..]), run.sample, run.looks * 20)?;
        let holds =
            trajectories.iter().all(|t| t.last().is_some_and(|x| trap.level_at(x) < WELL_INSIDE * level) && t.len() == run.looks * 20);
        if holds {
            trap.level = level;
            break;
        }
        level /= 4.0;
    }
    Ok(trap)
}

/// sum_k (M')^k M^k, by doubling (Smith 1968); where it does not converge in 2^40 terms, what it has become.
fn quadratic_form(mut m: Vec<f64>, n: usize) -> Vec<f64> {
    let mut p: Vec<f64> = (0..n * n).map(|k| f64::from(u8::from(k % (n + 1) == 0))).collect();
    for _ in 0..40 {
        // p += m' p m, m = m^2.
        let pm = product(&p, &m, n);
        let more: Vec<f64> = (0..n * n).map(|k| (0..n).map(|i| m[i * n + k / n] * pm[i * n + k % n]).sum()).collect();
        let size: f64 = more.iter().map(|v| v.abs()).fold(0.0, f64::max);
        p.iter_mut().zip(&more).for_each(|(p, v)| *p += v);
        m = product(&m, &m, n);
        if size < 1e-12 || !size.is_finite() {
            break;
        }
    }
    p
}

//! What trajectories can end on, and how to tell.
//!
//! A **fixed point** has a trap around it (see `trap.rs`).
//!
//! A **motion** is told by its extent, the smallest and largest value of every variable, and by its period where it has one. It is
//! recognized on the way by the cells that it visits: the box of its extent cut into equal cells along the variables that move most, and
//! those beside them. Before it counts as an attractor, states a little beside it are followed: most of them must be seen to come back, and none
//! to go elsewhere.

use std::collections::HashSet;

use ionoscope_dynamics::{
    sampling::{normal, stream},
    system::Time,
    trajectory::{FailureReason, Outcome, Trajectory},
};
use rayon::prelude::*;

use super::{
    answer::{Attractor, AttractorKind, Basins, Starts, interval_with},
    run::{MOST_VARIABLES, Run, Seen, Verdict, whole},
    trap::{Trap, trap},
};
use crate::{
    Result,
    fixed_points::{FixedPoint, FixedPointOptions, fixed_points},
    returns::extent,
};

/// Labels beside the indices of attractors.
pub const NOT_SETTLED: u16 = u16::MAX;
pub const ESCAPED: u16 = u16::MAX - 1;
/// Attractors beyond which what is new counts as not settled: a family, not attractors.
const MOST_ATTRACTORS: usize = 512;

/// Two cycles are one if their periods differ by less than this share, and their extents by less than the next of a flow, the last of a map.
const SAME_PERIOD: f64 = 0.01;
const SAME_EXTENT: [f64; 2] = [0.02, 0.06];
/// Two irregular motions are one if their extents differ by less than this share, or if this share of the states of one lies among the cells
/// of the other.
const ALIKE: f64 = 0.1;
const AMONG: f64 = 0.9;
/// Two fixed points are one within this share of the ranges; where rest is not isolated, within the next.
const SAME_POINT: f64 = 1e-6;
const SAME_REST: f64 = 1e-4;
/// Cells along each side of a motion's extent.
const CELLS: f64 = 100.0;
/// How far, in shares of its extent, a state may be outside a motion's extent in the other variables.
const MARGIN: f64 = 0.05;
/// States of a cell's side that a trajectory is looked at, at its fastest; and states of a motion at most.
const STEPS_A_CELL: f64 = 2.0;
const MOST_STATES: usize = 1 << 18;
/// Trajectories beside a cycle, and beside an irregular motion, that must come back; how far beside, in shares of the extent; and windows
/// in which they may.
const BESIDE: [usize; 2] = [4, 8];
const APART: f64 = 1e-3;
/// How much nearer those that leave are tried again, and how often a motion may turn out to have been on its way to another.
const NEARER: f64 = 1e-2;
const MOST_CHANGES: usize = 6;
/// A motion that goes on.
pub struct Lasting {
    kind: AttractorKind,
    seen: Seen,
    /// Extents over windows that turned out to be of this motion: an irregular one shows itself bit by bit.
    parts: Vec<Vec<[f64; 2]>>,
    /// The variables along which there are cells.
    axes: Vec<usize>,
    /// The extent with a least width, and with a margin.
    box_: Vec<[f64; 2]>,
    cells: HashSet<u64>,
}

/// What becomes of states beside a motion.
enum Beside {
    /// They come back, to these states.
    Back(Vec<Vec<f64>>),
    /// Some go elsewhere, and the motion itself goes on.
    Leaves,
    /// The motion itself becomes something else.
    Changes(Verdict),
    /// None of these in the time in which they were followed.
    Undecided,
}

/// What a label stands for.
enum What {
    Point(Trap),
    Motion(Box<Lasting>),
    /// A state of rest among others.
    Still(Vec<f64>),
    /// An unstable fixed point on which trajectories were seen to stay.
    Saddle(FixedPoint),
}

impl Lasting {
    fn new(run: &Run, kind: AttractorKind, seen: Seen) -> Self {
        let width = run.least_extents(&seen.range);
        let relative: Vec<f64> = width.iter().zip(&run.widths).map(|(a, b)| a / b).collect();
        let mut axes: Vec<usize> = (0..width.len()).collect();
        axes.sort_by(|a, b| relative[*b].total_cmp(&relative[*a]));
        axes.truncate(MOST_VARIABLES);
        let mut motion = Lasting {
            kind,
            parts: vec![seen.range.clone()],
            seen,
            axes,
            box_: Vec::new(),
            cells: HashSet::new(),
        };
        motion.frame(run);
        motion
    }

    /// Takes the extent as the frame of the cells.
    fn frame(&mut self, run: &Run) {
        let width = run.least_extents(&self.seen.range);
        self.box_ = self
            .seen
            .range
            .iter()
            .zip(width)
            .map(|([low, high], w)| {
                let middle = 0.5 * (low + high);
                [middle - 0.5 * w, middle + 0.5 * w]
            })
            .collect();
    }

    /// The cell of a state; none outside the extent and the cells beside it.
    fn cell(&self, x: &[f64]) -> Option<[i64; MOST_VARIABLES]> {
        for (x, [low, high]) in x.iter().zip(&self.box_) {
            let margin = MARGIN * (high - low);
            if !((low - margin)..=(high + margin)).contains(x) {
                return None;
            }
        }
        let mut cell = [0; MOST_VARIABLES];
        for (c, i) in cell.iter_mut().zip(&self.axes) {
            let [low, high] = self.box_[*i];
            let at = (x[*i] - low) / (high - low) * CELLS;
            if !(-1.0..=CELLS + 1.0).contains(&at) {
                return None;
            }
            *c = at.floor() as i64;
        }
        Some(cell)
    }

    fn visits(&self, x: &[f64]) -> bool {
        self.cell(x).is_some_and(|c| self.cells.contains(&key(c)))
    }

    /// Adds the cells of states, and those beside them.
    fn add(&mut self, states: &[f64]) {
        let mut before = None;
        for x in states.chunks_exact(self.box_.len()) {
            let Some(cell) = self.cell(x) else { continue };
            if before == Some(cell) {
                continue;
            }
            before = Some(cell);
            for beside in 0..3usize.pow(self.axes.len() as u32) {
                let mut other = cell;
                let mut rest = beside;
                for c in &mut other[..self.axes.len()] {
                    *c += (rest % 3) as i64 - 1;
                    rest /= 3;
                }
                self.cells.insert(key(other));
            }
        }
    }

    /// Whether disturbances of it grow.
    pub fn grows(&self) -> bool {
        self.seen.grows
    }

    /// Whether what was seen is this motion.
    pub fn is(&self, run: &Run, seen: &Seen) -> bool {
        match (self.seen.period, seen.period) {
            (Some(a), Some(b)) => {
                let share = SAME_EXTENT[usize::from(run.system.time() != Time::Continuous)];
                (a - b).abs() <= SAME_PERIOD * a.max(b)
                    && run.near(&self.seen.range, &seen.range, share)
            }
            (None, None) => {
                let among = || {
                    let n = seen.range.len();
                    let all = seen.states.len() / n;
                    let inside = seen
                        .states
                        .chunks_exact(n)
                        .filter(|x| self.visits(x))
                        .count();
                    inside as f64 >= AMONG * all as f64
                };
                self.seen.grows == seen.grows
                    && (self
                        .parts
                        .iter()
                        .chain([&self.seen.range])
                        .any(|p| run.near(p, &seen.range, ALIKE))
                        || among())
            }
            _ => false,
        }
    }
}

fn key(cell: [i64; MOST_VARIABLES]) -> u64 {
    cell.iter()
        .fold(0, |key, c| (key << 16) | (*c as u64 & 0xffff))
}

/// The attractors that are known.
pub struct Known {
    all: Vec<What>,
}

impl Known {
    /// The stable fixed points and their traps.
    pub fn fixed_points(run: &Run) -> Result<Known> {
        let mut known = Known { all: Vec::new() };
        let search = FixedPointOptions {
            start: run.options.level.clone(),
            ..FixedPointOptions::default()
        };
        let found = fixed_points(run.system, run.i_stim, run.p, &search)?;
        for point in found.iter().filter(|f| f.stable) {
            let others: Vec<&[f64]> = found
                .iter()
                .filter(|f| f.x != point.x)
                .map(|f| &f.x[..])
                .collect();
            known
                .all
                .push(What::Point(trap(run, point.clone(), &others)?));
        }
        Ok(known)
    }

    /// The fixed point in whose trap a state is.
    pub fn trapped(&self, x: &[f64]) -> Option<u16> {
        let inside = |what: &What| matches!(what, What::Point(t) if t.level_at(x) < t.level);
        self.all.iter().position(inside).map(|k| k as u16)
    }

    /// The motion among whose cells a state is, `first` being asked first.
    pub fn visited(&self, x: &[f64], first: u16) -> Option<u16> {
        let is_there = |k: usize| matches!(self.all.get(k), Some(What::Motion(m)) if m.kind != AttractorKind::Unstable && m.visits(x));
        if is_there(usize::from(first)) {
            return Some(first);
        }
        (0..self.all.len()).find(|k| is_there(*k)).map(|k| k as u16)
    }

    /// The label of a motion that is known.
    pub fn motion(&self, run: &Run, seen: &Seen) -> Option<u16> {
        self.all
            .iter()
            .position(|what| matches!(what, What::Motion(m) if m.is(run, seen)))
            .map(|k| k as u16)
    }

    /// The label of what a verdict found; something new is learned.
    pub fn label(&mut self, run: &Run, verdict: Verdict) -> Result<u16> {
        let full = self.all.len() >= MOST_ATTRACTORS;
        let same = |a: &[f64], b: &[f64]| {
            a.iter()
                .zip(b)
                .zip(&run.widths)
                .all(|((a, b), w)| (a - b).abs() < SAME_POINT * w)
        };
        match verdict {
            Verdict::Known(label) => Ok(label),
            Verdict::Escaped => Ok(ESCAPED),
            Verdict::NotSettled => Ok(NOT_SETTLED),
            Verdict::Point(point) => {
                let known = self
                    .all
                    .iter()
                    .position(|what| matches!(what, What::Point(t) if same(&t.point.x, &point.x)));
                if known.is_none() && full {
                    return Ok(NOT_SETTLED);
                }
                Ok(match known {
                    Some(k) => k as u16,
                    None => {
                        let trap = trap(run, point, &[])?;
                        self.push(What::Point(trap))
                    }
                })
            }
            Verdict::Still(x) => {
                let near = |other: &Vec<f64>| {
                    other
                        .iter()
                        .zip(&x)
                        .zip(&run.widths)
                        .all(|((a, b), w)| (a - b).abs() < SAME_REST * w)
                };
                let known = self
                    .all
                    .iter()
                    .position(|what| matches!(what, What::Still(other) if near(other)));
                if known.is_none() && full {
                    return Ok(NOT_SETTLED);
                }
                Ok(known.map_or_else(|| self.push(What::Still(x.clone())), |k| k as u16))
            }
            Verdict::Saddle(point) => {
                let known = self
                    .all
                    .iter()
                    .position(|what| matches!(what, What::Saddle(f) if same(&f.x, &point.x)));
                if known.is_none() && full {
                    return Ok(NOT_SETTLED);
                }
                Ok(known.map_or_else(|| self.push(What::Saddle(point)), |k| k as u16))
            }
            Verdict::Motion(seen) => {
                if let Some(label) = self.motion(run, &seen) {
                    return Ok(label);
                }
                if full {
                    return Ok(NOT_SETTLED);
                }
                self.learn(run, seen)
            }
        }
    }

    fn push(&mut self, what: What) -> u16 {
        self.all.push(what);
        (self.all.len() - 1) as u16
    }

    /// Learns a new motion: whether what is beside it comes back, and its cells. A trajectory beside it by nothing is followed too: where that one
    /// goes elsewhere, the motion was on its way, and what it came to is what the start reaches.
    fn learn(&mut self, run: &Run, seen: Seen) -> Result<u16> {
        let mut seen = seen;
        for _ in 0..MOST_CHANGES {
            let kind = match (seen.period, seen.grows) {
                (Some(_), _) => AttractorKind::Periodic,
                (None, true) => AttractorKind::Aperiodic,
                (None, false) => AttractorKind::Quasiperiodic,
            };
            let mut motion = Lasting::new(run, kind, seen);
            // What leaves from a little beside may come back from less: another basin may begin there.
            let mut ends = self.beside(run, &mut motion, APART)?;
            if matches!(ends, Beside::Leaves) {
                ends = self.beside(run, &mut motion, NEARER * APART)?;
            }
            match ends {
                Beside::Back(x) => return self.keep(run, motion, &x),
                Beside::Leaves => {
                    motion.kind = AttractorKind::Unstable;
                    return Ok(self.push(What::Motion(Box::new(motion))));
                }
                Beside::Undecided => return Ok(NOT_SETTLED),
                Beside::Changes(Verdict::Motion(next)) => match self.motion(run, &next) {
                    Some(label) => return Ok(label),
                    None => seen = next,
                },
                Beside::Changes(verdict) => return self.label(run, verdict),
            }
        }
        Ok(NOT_SETTLED)
    }

    /// Follows states beside a motion by the share `apart` of its extent, and one on it.
    fn beside(&self, run: &Run, motion: &mut Lasting, apart: f64) -> Result<Beside> {
        let (kind, n) = (motion.kind, motion.seen.range.len());
        let width = run.least_extents(&motion.seen.range);
        let copies = BESIDE[usize::from(kind != AttractorKind::Periodic)];
        let mut random = stream(1, "beside a motion", 0);
        let states = motion.seen.states.len() / n;
        // Along the last half of what was seen; the last one is on it.
        let mut x: Vec<Vec<f64>> = (0..copies)
            .map(|k| {
                let at = states - 1 - k * states / (2 * copies);
                let x = &motion.seen.states[at * n..(at + 1) * n];
                let beside: Vec<f64> = x
                    .iter()
                    .zip(&width)
                    .map(|(x, w)| x + apart * w * normal(&mut random))
                    .collect();
                run.on_level(&beside).unwrap_or(beside)
            })
            .chain([motion.seen.last().to_vec()])
            .collect();
        let mut back = vec![false; copies + 1];
        let mut elsewhere = false;
        // Each as long as it was watched before; longer ones, for those that are on their way.
        for round in 0..3 {
            let window =
                (states as f64 * motion.seen.dt).max(run.times.windows[0]) * f64::from(1 << round);
            let count = states.max(1024);
            let dt = whole(run.system, window / count as f64);
            let going: Vec<usize> = (0..=copies).filter(|k| !back[*k]).collect();
            let trajectories =
                run.trajectories(going.iter().map(|k| &x[*k][..]), dt, count, &run.tight())?;
            type Followed = (bool, Option<Verdict>, Vec<f64>);
            let ends: Vec<Result<Followed>> = trajectories
                .par_iter()
                .map(|t| {
                    let last = t.last().unwrap_or(motion.seen.last()).to_vec();
                    if t.outcome != Outcome::Completed {
                        // One that went on for too many steps has not gone elsewhere.
                        let unknown = matches!(t.outcome, Outcome::Failed { reason: FailureReason::TooManySteps { .. }, .. });
                        return Ok((false, (!unknown).then_some(Verdict::Escaped), last));
                    }
                    let verdict = run.judge(t, self, Some(motion))?;
                    let is = matches!(&verdict, Some(Verdict::Motion(seen)) if motion.is(run, seen));
                    // What is seen of an irregular motion differs from window to window.
                    let alike = is
                        || (kind != AttractorKind::Periodic
                            && matches!(&verdict, Some(Verdict::Motion(s)) if s.period.is_none() && s.grows == motion.seen.grows));
                    Ok((alike, verdict.filter(|_| !alike), last))
                })
                .collect();
            for ((k, end), t) in going.into_iter().zip(ends).zip(&trajectories) {
                let (is, other, last) = end?;
                match other {
                    Some(verdict) if k == copies => return Ok(Beside::Changes(verdict)),
                    other => elsewhere |= other.is_some(),
                }
                back[k] = is;
                if is {
                    motion.parts.push(extent(&t.x, n));
                }
                x[k] = last;
            }
            if back[copies] && (elsewhere || back.iter().all(|b| *b)) {
                break;
            }
        }
        Ok(if !back[copies] {
            Beside::Undecided
        } else if elsewhere {
            Beside::Leaves
        } else if 2 * back[..copies].iter().filter(|b| **b).count() < copies {
            // Most neither came back nor went elsewhere: no answer.
            Beside::Undecided
        } else {
            Beside::Back(
                x.into_iter()
                    .zip(&back)
                    .filter(|(_, back)| **back)
                    .map(|(x, _)| x)
                    .collect(),
            )
        })
    }

    /// Adds a motion to which what is beside it came back, ending at the states `x`; or what it turns out to be a part of.
    fn keep(&mut self, run: &Run, mut motion: Lasting, x: &[Vec<f64>]) -> Result<u16> {
        if motion.kind != AttractorKind::Periodic {
            for part in &motion.parts {
                for ([low, high], [a, b]) in motion.seen.range.iter_mut().zip(part) {
                    (*low, *high) = (low.min(*a), high.max(*b));
                }
            }
            motion.frame(run);
            // It may be one that is known, seen as a whole.
            if let Some(k) = self.motion(run, &motion.seen)
                && let What::Motion(known) = &mut self.all[usize::from(k)]
            {
                known.parts.append(&mut motion.parts);
                return Ok(k);
            }
        }
        for t in self.closely(run, &motion.seen, x)? {
            motion.add(&t.x);
        }
        Ok(self.push(What::Motion(Box::new(motion))))
    }

    /// Trajectories along a motion that pass from cell to cell, over a period, or over what was watched of an irregular one.
    fn closely(&self, run: &Run, seen: &Seen, starts: &[Vec<f64>]) -> Result<Vec<Trajectory>> {
        let n = seen.range.len();
        let watched = seen.states.len() as f64 / n as f64 * seen.dt;
        let length = seen.period.map_or(watched, |period| 1.2 * period);
        let width = run.least_extents(&seen.range);
        let dt = match run.system.time() {
            Time::Discrete { dt } => dt,
            Time::Continuous => {
                let mut dx = vec![0.0; n];
                let mut rate = 0.0f64;
                for x in seen.states.chunks_exact(n) {
                    run.system.rule(x, run.i_stim, run.p, &mut dx);
                    rate = dx
                        .iter()
                        .zip(&width)
                        .map(|(d, w)| d.abs() / w)
                        .filter(|r| r.is_finite())
                        .fold(rate, f64::max);
                }
                (1.0 / (rate.max(f64::MIN_POSITIVE) * CELLS * STEPS_A_CELL))
                    .clamp(length / MOST_STATES as f64, length)
            }
        };
        // A map's cycle, or torus, is filled bit by bit.
        let periods = if matches!(run.system.time(), Time::Discrete { .. }) {
            8.0
        } else {
            1.0
        };
        let count = ((periods * length / dt).ceil() as usize).clamp(2, MOST_STATES);
        run.trajectories(starts.iter().map(|x| &x[..]), dt, count, &run.options.solve)
    }

    /// The answer. Labels become indices into the attractors: fixed points, motions, what is unstable, escapes, what has not settled.
    pub fn described(
        self,
        mut labels: Vec<u16>,
        time: f64,
        extrapolated: bool,
        run: &Run,
    ) -> Basins {
        let all = labels.len() as u64;
        // No random start is exactly on what is unstable: it was seen there, and will leave.
        if matches!(run.options.starts, Starts::Random { .. }) {
            let unstable = |what: &What| match what {
                What::Saddle(_) => true,
                What::Motion(m) => m.kind == AttractorKind::Unstable,
                What::Point(_) | What::Still(_) => false,
            };
            for label in &mut labels {
                if self.all.get(usize::from(*label)).is_some_and(unstable) {
                    *label = NOT_SETTLED;
                }
            }
        }
        let count =
            |label: u16, labels: &[u16]| labels.iter().filter(|l| **l == label).count() as u64;
        let open = count(NOT_SETTLED, &labels);
        let order = |kind: AttractorKind| match kind {
            AttractorKind::FixedPoint => 0,
            AttractorKind::Periodic | AttractorKind::Quasiperiodic | AttractorKind::Aperiodic => 1,
            AttractorKind::Unstable => 2,
            AttractorKind::Escaped => 3,
            AttractorKind::NotSettled => 4,
        };
        let blank = |kind, count: u64| Attractor {
            kind,
            count,
            share: count as f64 / all as f64,
            interval: interval_with(
                count,
                if kind == AttractorKind::NotSettled {
                    0
                } else {
                    open
                },
                all,
            ),
            x: None,
            extent: Vec::new(),
            period: None,
        };
        let mut described: Vec<(u16, Attractor)> = Vec::new();
        for (k, what) in self.all.into_iter().enumerate() {
            let (label, n) = (k as u16, count(k as u16, &labels));
            let at = |point: FixedPoint, kind| Attractor {
                extent: point.x.iter().map(|x| [*x, *x]).collect(),
                x: Some(point.x),
                ..blank(kind, n)
            };
            described.push((
                label,
                match what {
                    What::Point(trap) => at(trap.point, AttractorKind::FixedPoint),
                    What::Saddle(point) => at(point, AttractorKind::Unstable),
                    What::Still(x) => Attractor {
                        extent: x.iter().map(|x| [*x, *x]).collect(),
                        x: Some(x),
                        ..blank(AttractorKind::FixedPoint, n)
                    },
                    What::Motion(m) => {
                        let blank = blank(m.kind, n);
                        Attractor {
                            x: Some(m.seen.last().to_vec()),
                            period: m.seen.period,
                            extent: m.seen.range,
                            ..blank
                        }
                    }
                },
            ));
        }
        for (label, kind) in [
            (ESCAPED, AttractorKind::Escaped),
            (NOT_SETTLED, AttractorKind::NotSettled),
        ] {
            let n = count(label, &labels);
            if n > 0 {
                described.push((label, blank(kind, n)));
            }
        }
        // An unstable one that was met only by the trajectories that went before is no answer to anything.
        described.retain(|(_, a)| a.kind != AttractorKind::Unstable || a.count > 0);
        described.sort_by_key(|(_, a)| order(a.kind));
        for label in &mut labels {
            *label = described.iter().position(|(l, _)| l == label).unwrap_or(0) as u16;
        }
        Basins {
            attractors: described.into_iter().map(|(_, a)| a).collect(),
            of_start: labels,
            not_settled: open as f64 / all as f64,
            advice: None,
            times: run.times.clone(),
            conserved: Vec::new(),
            mean_time: time / all as f64,
            extrapolated,
        }
    }
}

//! What the stimulus does to a potential, apart from what the cell does.
//!
//! ```text
//! dV/dt = own(t) + gain (i(t) - b),    push(t) = gain max(0, i(t) - b)
//! ```
//! with b the lowest current since the last peak, or 0 where that is negative: a current that was there all the time, or that is switched off, pushes nothing.
//! What remains of dV/dt without the push is the work of the cell's own currents. Where these lift the potential, they are net inward: the response
//! regenerates itself.

use ionoscope_dynamics::protocol::{Overlap, Protocol, Signal, Step, Stimulus};

use super::Potential;

/// Parts of a piece over which a push is summed up.
const PARTS: usize = 8;

/// A stimulus, and by how much it moves a potential.
#[derive(Debug, Clone, PartialEq)]
pub struct Drive {
    /// The current over time.
    pub signal: Signal,
    /// Rate of change of the potential by the current.
    pub gain: f64,
}

/// A stretch of time in which the stimulus pushes, around an upward crossing.
#[derive(Clone, Copy)]
pub(super) struct Push<'a> {
    drive: &'a Drive,
    base: f64,
    /// Where it begins, and its first piece of the current.
    start: f64,
    first: usize,
}

impl Drive {
    /// The last push that begins in [since, crossing] and ends after `rest`.
    pub(super) fn push(&self, since: f64, rest: f64, crossing: f64) -> Option<Push<'_>> {
        if self.gain <= 0.0 {
            return None;
        }
        let pieces = &self.signal.pieces;
        let index = |t: f64| pieces.partition_point(|p| p.start <= t).max(1) - 1;
        let end_of = |k: usize| pieces.get(k + 1).map_or(f64::INFINITY, |p| p.start);
        let (first, last) = (index(since), index(crossing));
        // Of a piece between two times: extremes of a line are at its ends; of waves, at none in particular.
        let range = |k: usize| {
            let (from, to) = (pieces[k].start.max(since), end_of(k).min(crossing));
            let at = |s: f64| self.gain * pieces[k].value(from + s * (to - from));
            let points = if pieces[k].waves.is_empty() { 1 } else { 16 };
            (0..=points)
                .map(|j| at(f64::from(j) / f64::from(points)))
                .fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], v| [a.min(v), b.max(v)])
        };
        // The piece that ends where the stretch begins counts: a stimulus may begin with it.
        let lowest = (first..=last).map(|k| range(k)[0]).fold(f64::INFINITY, f64::min);
        let before = match first {
            _ if pieces[first].start < since => f64::INFINITY,
            // Before the beginning of time there is no current.
            0 => 0.0,
            _ => self.gain * pieces[first - 1].value(since),
        };
        let base = lowest.min(before).max(0.0);
        let pushes = |k: usize| range(k)[1] > base + 1e-12 * base.abs();
        let mut k = (first..=last).rev().find(|k| pushes(*k))?;
        if end_of(k) <= rest {
            return None;
        }
        while k > first && pushes(k - 1) {
            k -= 1;
        }
        Some(Push { drive: self, base, start: pieces[k].start.max(since), first: k })
    }

    /// Stretches in which a current stands above the level that it has for at least half of [from, to], by their begin and end; of a current without such a
    /// level, none. A stretch that begins before `from` is left out.
    pub(super) fn pulses(&self, from: f64, to: f64) -> Vec<[f64; 2]> {
        let pieces = &self.signal.pieces;
        let end_of = |k: usize| pieces.get(k + 1).map_or(f64::INFINITY, |p| p.start);
        let constant = |k: usize| pieces[k].slope == 0.0 && pieces[k].waves.is_empty();
        let within: Vec<usize> = (0..pieces.len()).filter(|k| end_of(*k) > from && pieces[*k].start < to).collect();
        let length = |k: usize| end_of(k).min(to) - pieces[k].start.max(from);
        let mut levels: Vec<(f64, f64)> = within.iter().filter(|k| constant(**k)).map(|k| (pieces[*k].offset, length(*k))).collect();
        levels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = |group: &[(f64, f64)]| (group[0].0, group.iter().map(|g| g.1).sum::<f64>());
        let base = levels.chunk_by(|a, b| a.0 == b.0).map(total).max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((base, _)) = base.filter(|b| b.1 >= 0.5 * (to - from)) else { return Vec::new() };
        let on = |k: usize| {
            let end = end_of(k).min(to);
            let middle = pieces[k].start + 0.5 * (end - pieces[k].start);
            self.gain * (pieces[k].value(middle) - base) > 0.0
        };
        let mut pulses: Vec<[f64; 2]> = Vec::new();
        let mut open = within.first().is_some_and(|k| *k > 0 && on(*k - 1));
        for k in within {
            match (on(k), open) {
                (true, false) if pieces[k].start >= from => pulses.push([pieces[k].start, end_of(k)]),
                (true, true) => {
                    if let Some(last) = pulses.last_mut().filter(|p| p[1] == pieces[k].start) {
                        last[1] = end_of(k);
                    }
                }
                _ => {}
            }
            open = on(k);
        }
        pulses
    }
}

impl Push<'_> {
    /// Where it begins.
    pub(super) fn start(&self) -> f64 {
        self.start
    }

    /// The same push at a share of its strength, without anything after it, as a protocol whose time begins with it and ends at `until`. What is no step is one
    /// in parts.
    pub(super) fn weaker(&self, share: f64, until: f64) -> Protocol {
        let Drive { signal, gain } = self.drive;
        let base = self.base / gain;
        let mut stimuli = vec![Stimulus::Step(Step { start: 0.0, duration: None, amplitude: base })];
        for (k, piece) in signal.pieces.iter().enumerate().skip(self.first) {
            let from = piece.start.max(self.start);
            let to = signal.pieces.get(k + 1).map_or(until, |p| p.start.min(until));
            if to <= from {
                break;
            }
            let parts = if piece.slope == 0.0 && piece.waves.is_empty() { 1 } else { 2 * PARTS };
            let at = |j: usize| from + (to - from) * j as f64 / parts as f64;
            let mut pushes = false;
            for j in 0..parts {
                let more = (signal.mean(at(j), at(j + 1)) - base).max(0.0);
                pushes |= more > 1e-12 * base.abs();
                let start = at(j) - self.start;
                stimuli.push(Stimulus::Step(Step { start, duration: Some(at(j + 1) - at(j)), amplitude: share * more }));
            }
            if !pushes {
                break;
            }
        }
        Protocol { overlap: Overlap::Add, stimuli, ..Protocol::none() }
    }

    /// The share of the rise to a peak that the cell's own currents do: the sum of what they lift, over the rise from the lowest point since the push began.
    pub(super) fn own_share(&self, v: &Potential, crossing: f64, [peak_time, peak]: [f64; 2]) -> f64 {
        let rise = peak - v.lowest(self.start, crossing)[1];
        if rise <= 0.0 {
            return 0.0;
        }
        // Of samples, nothing is known within a step.
        let parts = if v.dt().is_some() { 1 } else { PARTS };
        let mut own = 0.0;
        for k in v.interval(self.start)..=v.interval(peak_time) {
            let piece = v.piece(k);
            let (from, to) = (piece.start.max(self.start), (piece.start + piece.length).min(peak_time));
            if to <= from {
                continue;
            }
            let at = |j: usize| from + (to - from) * j as f64 / parts as f64;
            let value = |t: f64| piece.at(((t - piece.start) / piece.length).clamp(0.0, 1.0));
            for j in 0..parts {
                let (a, b) = (at(j), at(j + 1));
                let push = (self.drive.gain * self.drive.signal.mean(a, b) - self.base).max(0.0) * (b - a);
                own += (value(b) - value(a) - push).max(0.0);
            }
        }
        own / rise
    }
}

//! What the stimulus does to a potential, apart from what the cell does.
//!
//! ```text
//! dV/dt = own(t) + gain (i(t) - b(t)),    push(t) = gain max(0, i(t) - b(t))
//! ```
//! with b the lowest current since the last peak, but no longer ago than [`UPSTROKES`] upstrokes, or 0 where that is negative: a current that was there all the
//! time, that is switched off, or that changes little over an upstroke pushes nothing. An upstroke is the time that the rise would take at dV/dt max.
//! What remains of dV/dt without the push is the work of the cell's own currents. Where these lift the potential, they are net inward: the response
//! regenerates itself.

use ionoscope_dynamics::protocol::{Overlap, Protocol, Ramp, Signal, Sine, Step, Stimulus};

use super::potential::Potential;

/// An action potential is a rise of which at least this share is the work of the cell's own currents, under the stimulus as it is or a weaker one.
pub const OWN_SHARE: f64 = 0.1;

/// Parts of a piece over which a push is summed up.
const PARTS: usize = 8;
/// A current is a push while it is higher than it was within so many upstrokes before. A passive membrane under a step has made all but exp(-5) of its rise by then.
const UPSTROKES: f64 = 5.0;
/// Steps that a wave or a ramp is cut into where it is made weaker, until the response to it has ended.
const STEPS: f64 = 32.0;

/// A stimulus, and by how much it moves a potential.
#[derive(Debug, Clone, PartialEq)]
pub struct Drive {
    /// The current over time.
    pub signal: Signal,
    /// Rate of change of the potential by the current.
    pub gain: f64,
    /// The current before the first piece; 0 where there was none.
    pub before: f64,
}

/// A stretch of time in which the stimulus pushes, around an upward crossing.
#[derive(Clone, Copy)]
pub(super) struct Push<'a> {
    drive: &'a Drive,
    /// The lowest rate by the current since the last peak, and that or 0 where it is negative.
    lowest: f64,
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
        let range = |k: usize| self.range(k, since, crossing);
        // The piece that ends where the stretch begins counts: a stimulus may begin with it.
        let lowest = (first..=last)
            .map(|k| range(k)[0])
            .fold(f64::INFINITY, f64::min);
        let before = match first {
            _ if pieces[first].start < since => f64::INFINITY,
            0 => self.gain * self.before,
            _ => self.gain * pieces[first - 1].value(since),
        };
        let lowest = lowest.min(before);
        let base = lowest.max(0.0);
        let pushes = |k: usize| range(k)[1] > base + 1e-12 * base.abs();
        let mut k = (first..=last).rev().find(|k| pushes(*k))?;
        if end_of(k) <= rest {
            return None;
        }
        while k > first && pushes(k - 1) {
            k -= 1;
        }
        Some(Push {
            drive: self,
            lowest,
            base,
            start: pieces[k].start.max(since),
            first: k,
        })
    }

    /// Lowest and highest rate by piece k of the current between two times: extremes of a line are at its ends; of waves, at none in particular.
    fn range(&self, k: usize, from: f64, to: f64) -> [f64; 2] {
        let pieces = &self.signal.pieces;
        let (from, to) = (
            pieces[k].start.max(from),
            pieces.get(k + 1).map_or(to, |p| p.start.min(to)),
        );
        let at = |s: f64| self.gain * pieces[k].value(from + s * (to - from));
        let points = if pieces[k].waves.is_empty() { 1 } else { 16 };
        (0..=points)
            .map(|j| at(f64::from(j) / f64::from(points)))
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], v| {
                [a.min(v), b.max(v)]
            })
    }

    /// Lowest rate by the current between two times.
    fn lowest(&self, from: f64, to: f64) -> f64 {
        let index = |t: f64| self.signal.pieces.partition_point(|p| p.start <= t).max(1) - 1;
        (index(from)..=index(to))
            .map(|k| self.range(k, from, to)[0])
            .fold(f64::INFINITY, f64::min)
    }

    /// The current between two times as a protocol whose time begins with the first of them.
    pub(super) fn between(&self, from: f64, to: f64) -> Protocol {
        let pieces = &self.signal.pieces;
        let mut stimuli = Vec::new();
        let first = pieces.partition_point(|p| p.start <= from).max(1) - 1;
        for (k, piece) in pieces
            .iter()
            .enumerate()
            .skip(first)
            .take_while(|(_, p)| p.start < to)
        {
            let (a, b) = (
                piece.start.max(from),
                pieces.get(k + 1).map_or(to, |p| p.start.min(to)),
            );
            let (start, duration) = (a - from, b - a);
            let line = |t: f64| piece.offset + piece.slope * (t - piece.start);
            stimuli.push(Stimulus::Ramp(Ramp {
                start,
                duration,
                from: line(a),
                to: line(b),
            }));
            for w in &piece.waves {
                let (period, phase) = (std::f64::consts::TAU / w.omega, w.omega * a + w.phase);
                stimuli.push(Stimulus::Sine(Sine {
                    start,
                    duration: Some(duration),
                    amplitude: w.amplitude,
                    period,
                    phase,
                    offset: 0.0,
                }));
            }
        }
        Protocol {
            overlap: Overlap::Add,
            stimuli,
            ..Protocol::none()
        }
    }

    /// Stretches in which a current stands above the level that it has for at least half of [from, to], by their begin and end; of a current without such a
    /// level, none. A stretch that begins before `from` is left out.
    pub(super) fn pulses(&self, from: f64, to: f64) -> Vec<[f64; 2]> {
        let pieces = &self.signal.pieces;
        let end_of = |k: usize| pieces.get(k + 1).map_or(f64::INFINITY, |p| p.start);
        let constant = |k: usize| pieces[k].slope == 0.0 && pieces[k].waves.is_empty();
        let within: Vec<usize> = (0..pieces.len())
            .filter(|k| end_of(*k) > from && pieces[*k].start < to)
            .collect();
        let length = |k: usize| end_of(k).min(to) - pieces[k].start.max(from);
        let mut levels: Vec<(f64, f64)> = within
            .iter()
            .filter(|k| constant(**k))
            .map(|k| (pieces[*k].offset, length(*k)))
            .collect();
        levels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = |group: &[(f64, f64)]| (group[0].0, group.iter().map(|g| g.1).sum::<f64>());
        let base = levels
            .chunk_by(|a, b| a.0 == b.0)
            .map(total)
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((base, _)) = base.filter(|b| b.1 >= 0.5 * (to - from)) else {
            return Vec::new();
        };
        let on = |k: usize| {
            let end = end_of(k).min(to);
            let middle = pieces[k].start + 0.5 * (end - pieces[k].start);
            self.gain * (pieces[k].value(middle) - base) > 0.0
        };
        let mut pulses: Vec<[f64; 2]> = Vec::new();
        let mut open = within.first().is_some_and(|k| *k > 0 && on(*k - 1));
        for k in within {
            match (on(k), open) {
                (true, false) if pieces[k].start >= from => {
                    pulses.push([pieces[k].start, end_of(k)])
                }
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

    /// Where it ends; never where the current stays up.
    pub(super) fn end(&self) -> f64 {
        let pieces = &self.drive.signal.pieces;
        let end_of = |k: usize| pieces.get(k + 1).map_or(f64::INFINITY, |p| p.start);
        let on = |k: &usize| {
            self.drive
                .range(*k, pieces[*k].start.max(self.start), end_of(*k).min(1e300))[1]
                > self.base + 1e-12 * self.base.abs()
        };
        (self.first..pieces.len())
            .take_while(on)
            .last()
            .map_or(self.start, end_of)
    }

    /// Whether it was seen to begin: it was not there already at the beginning of the recording.
    pub(super) fn begins_after(&self, start: f64) -> bool {
        self.drive.signal.pieces[self.first].start >= start
    }

    /// Whether the current stands above what it was, at a time.
    pub(super) fn on(&self, t: f64) -> bool {
        self.drive.gain * self.drive.signal.value(t) > self.base + 1e-12 * self.base.abs()
    }

    /// The lowest current since the last peak.
    pub(super) fn level(&self) -> f64 {
        self.lowest / self.drive.gain
    }

    /// The same push at a share of its strength, without anything after it, as a protocol whose time begins with it and lasts for `length`. A wave or a ramp is
    /// one of steps, until `until`, where the response to it has ended.
    pub(super) fn weaker(&self, share: f64, length: f64, until: f64) -> Protocol {
        let signal = &self.drive.signal;
        let (level, base) = (self.level(), self.base / self.drive.gain);
        let mut stimuli = vec![Stimulus::Step(Step {
            start: 0.0,
            duration: None,
            amplitude: level,
        })];
        for (k, piece) in signal.pieces.iter().enumerate().skip(self.first) {
            let steady = piece.slope == 0.0 && piece.waves.is_empty();
            let from = piece.start.max(self.start);
            let to = signal
                .pieces
                .get(k + 1)
                .map_or(f64::INFINITY, |p| p.start)
                .min(if steady { self.start + length } else { until });
            if to <= from {
                break;
            }
            let parts = if steady {
                1
            } else {
                (STEPS * (to - from) / (until - self.start)).ceil().max(2.0) as usize
            };
            let at = |j: usize| from + (to - from) * j as f64 / parts as f64;
            let mut pushes = false;
            for j in 0..parts {
                let mean = signal.mean(at(j), at(j + 1));
                let more = (mean - base).max(0.0);
                pushes |= more > 1e-12 * base.abs();
                let (start, amplitude) =
                    (at(j) - self.start, mean.min(base) - level + share * more);
                stimuli.push(Stimulus::Step(Step {
                    start,
                    duration: Some(at(j + 1) - at(j)),
                    amplitude,
                }));
            }
            if !pushes {
                break;
            }
        }
        Protocol {
            overlap: Overlap::Add,
            stimuli,
            ..Protocol::none()
        }
    }

    /// The share of the rise to a peak that the cell's own currents do: the sum of what they lift, over the rise from the lowest point since the push began.
    /// None of samples of which a single step hides that: the push over it exceeds half of the rise, and nothing is known within a step.
    pub(super) fn own_share(
        &self,
        v: &Potential,
        crossing: f64,
        [peak_time, peak]: [f64; 2],
        upstroke: f64,
    ) -> Option<f64> {
        let rise = peak - v.lowest(self.start, crossing)[1];
        if rise <= 0.0 {
            return Some(0.0);
        }
        let parts = if v.dt().is_some() { 1 } else { PARTS };
        let (mut own, mut most) = (0.0, 0.0f64);
        for k in v.interval(self.start)..=v.interval(peak_time) {
            let piece = v.piece(k);
            let (from, to) = (
                piece.start.max(self.start),
                (piece.start + piece.length).min(peak_time),
            );
            if to <= from {
                continue;
            }
            let at = |j: usize| from + (to - from) * j as f64 / parts as f64;
            let value = |t: f64| piece.at(((t - piece.start) / piece.length).clamp(0.0, 1.0));
            for j in 0..parts {
                let (a, b) = (at(j), at(j + 1));
                let since = a - UPSTROKES * upstroke;
                let base = if since > self.start {
                    self.drive.lowest(since, b).max(self.base)
                } else {
                    self.base
                };
                let push =
                    (self.drive.gain * self.drive.signal.mean(a, b) - base).max(0.0) * (b - a);
                own += (value(b) - value(a) - push).max(0.0);
                most = most.max(push);
            }
        }
        let hidden = v.dt().is_some() && most > 0.5 * rise && own < OWN_SHARE * rise;
        (!hidden).then_some(own / rise)
    }
}

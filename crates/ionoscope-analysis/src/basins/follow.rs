//! Trajectories on their way: looked at until they are on an attractor that is known, then judged by what they do over a whole window.

use ionoscope_dynamics::{
    system::Time,
    trajectory::{FailureReason, Outcome, Trajectory},
};
use rayon::prelude::*;

use super::{
    attractors::{Known, Lasting},
    growth::{Disturbed, Growth},
    run::{LEAST_EXTENT, Run, SAMPLES, Seen, Verdict, whole},
};
use crate::{
    Result,
    fixed_points::refine_within,
    residual::residual,
    returns::{Motion, extent},
    spectrum::spectrum,
    time_scales::{HALVES_AGREE, NEAR, PASSAGES, STILL, decay_times, escaped, stays},
};

/// Share of the ranges: on a fixed point.
const ON: f64 = 1e-7;
/// By how much returns of a cycle may differ, as a share of its extent: of a flow, and of a map, whose returns lie between its steps.
const SAME: [f64; 2] = [1e-3, 1e-2];
/// States of an oscillation at least, in the shortest time in which it would cross its extent, for its returns to be seen.
const RESOLVED: f64 = 4.0;
/// States of what is looked at closely: at first, and values of it at most.
const CLOSELY: usize = 4 * SAMPLES;
const MOST_CLOSELY: usize = 1 << 21;
/// How a trajectory ended.
pub struct End {
    pub verdict: Verdict,
    pub time: f64,
    /// Steps that it took, where windows were judged.
    pub steps: u64,
    pub extrapolated: bool,
}

/// A trajectory on its way.
struct Traveler {
    x: Vec<f64>,
    /// Motion among whose cells it is, and for how many looks.
    streak: (u16, usize),
    verdict: Option<Verdict>,
    end: End,
}

impl Run<'_> {
    /// Follows trajectories until they are known to be on an attractor, or have been judged.
    pub fn follow(&self, starts: &[Vec<f64>], known: &Known) -> Result<Vec<End>> {
        let mut all = Self::travelers(starts);
        if self.options.early {
            self.look_at_all(&mut all, known)?;
        } else {
            self.run_ahead(&mut all)?;
        }
        self.judge_all(&mut all, known)?;
        Ok(all.into_iter().map(Traveler::end).collect())
    }

    /// As [`Run::follow`], judging none.
    pub fn look_only(&self, starts: &[Vec<f64>], known: &Known) -> Result<Vec<End>> {
        let mut all = Self::travelers(starts);
        self.look_at_all(&mut all, known)?;
        Ok(all.into_iter().map(Traveler::end).collect())
    }

    fn travelers(starts: &[Vec<f64>]) -> Vec<Traveler> {
        let end = || End {
            verdict: Verdict::NotSettled,
            time: 0.0,
            steps: 0,
            extrapolated: false,
        };
        starts
            .iter()
            .map(|x| Traveler {
                x: x.clone(),
                streak: (0, 0),
                verdict: None,
                end: end(),
            })
            .collect()
    }

    /// Looks at trajectories from time to time up to the first window.
    fn look_at_all(&self, all: &mut [Traveler], known: &Known) -> Result<()> {
        let enough = (self.times.settle / self.times.sample).ceil().max(1.0) as usize;
        let segments = (self.times.first / (self.looks as f64 * self.times.sample))
            .ceil()
            .max(0.0) as usize;
        for _ in 0..segments {
            let mut going: Vec<&mut Traveler> =
                all.iter_mut().filter(|t| t.verdict.is_none()).collect();
            if going.is_empty() {
                break;
            }
            let trajectories = self.trajectories(
                going.iter().map(|t| &t.x[..]),
                self.times.sample,
                self.looks,
                &self.options.solve,
            )?;
            going
                .par_iter_mut()
                .zip(trajectories)
                .for_each(|(t, trajectory)| t.look(self, known, &trajectory, enough));
        }
        Ok(())
    }

    /// Moves trajectories on by the time before the first window, without looking.
    fn run_ahead(&self, all: &mut [Traveler]) -> Result<()> {
        if self.times.first <= 0.0 {
            return Ok(());
        }
        let first = whole(self.system, self.times.first);
        let ends =
            self.trajectories(all.iter().map(|t| &t.x[..]), first, 1, &self.options.solve)?;
        all.par_iter_mut().zip(ends).for_each(|(t, trajectory)| {
            t.end.time += first;
            t.arrive(self, &trajectory, 2);
        });
        Ok(())
    }

    /// Judges those that are still going by windows, each longer than the one before.
    fn judge_all(&self, all: &mut [Traveler], known: &Known) -> Result<()> {
        for window in &self.times.windows {
            let mut going: Vec<&mut Traveler> =
                all.iter_mut().filter(|t| t.verdict.is_none()).collect();
            // Their windows in memory at once.
            let part = ((1 << 24) / (SAMPLES * self.system.dimension())).max(1);
            for going in going.chunks_mut(part) {
                let dt = self.window_step(*window);
                let count = (window / dt).round().max(2.0) as usize;
                let trajectories =
                    self.trajectories(going.iter().map(|t| &t.x[..]), dt, count, &self.tight())?;
                let judged: Vec<Result<()>> = going
                    .par_iter_mut()
                    .zip(trajectories)
                    .map(|(t, trajectory)| {
                        t.end.time += window;
                        t.end.steps +=
                            trajectory.statistics.accepted + trajectory.statistics.rejected;
                        t.end.extrapolated |= (0..trajectory.len())
                            .any(|k| self.system.spec().extrapolates(trajectory.state(k), self.p));
                        t.arrive(self, &trajectory, count + 1);
                        if t.verdict.is_none() {
                            t.verdict = self.judge(&trajectory, known, None)?;
                        }
                        Ok(())
                    })
                    .collect();
                judged.into_iter().collect::<Result<()>>()?;
            }
        }
        Ok(())
    }

    fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        a.iter()
            .zip(b)
            .zip(&self.widths)
            .map(|((a, b), w)| (a - b).abs() / w)
            .fold(0.0, f64::max)
    }

    /// What a window shows; `None` where it has not settled.
    /// `candidate` is a motion that is about to be learned: what is alike needs no further proof.
    pub fn judge(
        &self,
        t: &Trajectory,
        known: &Known,
        candidate: Option<&Lasting>,
    ) -> Result<Option<Verdict>> {
        let last = t.state(t.len() - 1);
        if let Some(label) = known.trapped(last) {
            return Ok(Some(Verdict::Known(label)));
        }
        if let Some(verdict) = self.rest(t) {
            return Ok(Some(verdict));
        }
        self.motion(t, known, candidate)
    }

    /// The fixed point at which a window ends, where it does.
    fn rest(&self, t: &Trajectory) -> Option<Verdict> {
        let (first, last) = (t.state(0), t.state(t.len() - 1));
        let moved = |from: usize| {
            (from..t.len())
                .map(|k| self.distance(t.state(k), last))
                .fold(0.0, f64::max)
        };
        if moved(t.len() / 2) > NEAR {
            return None;
        }
        if let Some(point) = refine_within(Some(&self.laws), self.system, last, self.i_stim, self.p)
            .ok()
            .flatten()
        {
            let [before, after] = [first, last].map(|x| self.distance(x, &point.x));
            if point.stable && after <= NEAR && (after <= 0.5 * before || after <= STILL) {
                return Some(Verdict::Point(point));
            }
            // There from the beginning; or on its way along the stable manifold, where what it is off would have grown in the half of a window for
            // which it has been near.
            let grown = point.eigenvalues[0].re * 0.5 * t.times.end();
            let stays = after <= ON || (after <= NEAR && grown > -ON.ln());
            if !point.stable && stays {
                return Some(Verdict::Saddle(point));
            }
        }
        if moved(0) > STILL || !self.stays(last) {
            return None;
        }
        // Almost no motion in a window that is long beside every decay, and nothing that grows: a rest among others.
        let eigenvalues = spectrum(self.system, last, self.i_stim, self.p)
            .ok()?
            .eigenvalues;
        let [fastest, slowest] = decay_times(&eigenvalues);
        let grows = eigenvalues[0].re * fastest > 1e-9;
        (!grows && (t.times.end() >= slowest || !slowest.is_finite()))
            .then(|| Verdict::Still(last.to_vec()))
    }

    fn stays(&self, x: &[f64]) -> bool {
        stays(self.system, x, self.i_stim, self.p, &self.widths)
    }

    /// What goes on in the same way in a window.
    fn motion(
        &self,
        t: &Trajectory,
        known: &Known,
        candidate: Option<&Lasting>,
    ) -> Result<Option<Verdict>> {
        let n = t.dimension;
        let range = extent(&t.x, n);
        // What moves no more than this is on its way to rest, or errs.
        if range
            .iter()
            .zip(&self.widths)
            .all(|([low, high], width)| high - low <= LEAST_EXTENT * width)
            && self.stays(t.state(t.len() - 1))
        {
            return Ok(None);
        }
        let fastest = self.fastest(t, &range);
        let own = if let Time::Discrete { dt } = self.system.time() {
            dt
        } else {
            0.0
        };
        // A window that is long beside the oscillation is looked at again, closely, from its end on; longer where that shows too little.
        let dt = whole(self.system, fastest / (2.0 * RESOLVED));
        if !(t.times.dt * RESOLVED > fastest && t.times.dt > 1.5 * own && dt < t.times.dt) {
            return self.look_at(t, t, known, candidate);
        }
        let (mut x, mut states) = (t.state(t.len() - 1).to_vec(), CLOSELY);
        loop {
            let closer = self
                .trajectories([&x[..]].into_iter(), dt, states, &self.tight())?
                .remove(0);
            if closer.outcome != Outcome::Completed {
                return Ok(None);
            }
            let verdict = self.look_at(t, &closer, known, candidate)?;
            let longer = (8 * states)
                .min(MOST_CLOSELY / n)
                .min((t.times.end() / dt) as usize);
            if verdict.is_some() || longer <= states {
                return Ok(verdict);
            }
            x = closer.state(closer.len() - 1).to_vec();
            states = longer;
        }
    }

    /// What goes on in the same way in a window `t`, as seen in `looked_at`, which is the window, or what follows it, in smaller steps.
    fn look_at(
        &self,
        t: &Trajectory,
        looked_at: &Trajectory,
        known: &Known,
        candidate: Option<&Lasting>,
    ) -> Result<Option<Verdict>> {
        let n = t.dimension;
        let close = !std::ptr::eq(t, looked_at);
        // What is looked at closely may drift slowly: then the end of the window is wider.
        let later = extent(&t.x[t.len() / 2 * n..], n);
        let drifts = |range: &[[f64; 2]], share: f64| {
            close
                && if self.system.time() == Time::Continuous {
                    !self.near(range, &later, share)
                } else {
                    !self.within(&later, range, share)
                }
        };
        let of = |period, grows, range| Seen {
            period,
            grows,
            range,
            states: looked_at.x.clone(),
            dt: looked_at.times.dt,
        };
        let motion = Motion::of(self.system, self.i_stim, self.p, looked_at);
        if let Some(cycle) = motion.cycle(SAME[usize::from(self.system.time() != Time::Continuous)])
        {
            let range = self.cycle_range(looked_at, cycle.period)?;
            if drifts(&range, HALVES_AGREE) {
                return Ok(None);
            }
            let seen = of(Some(cycle.period), false, range);
            return Ok(Some(
                known
                    .motion(self, &seen)
                    .map_or(Verdict::Motion(seen), Verdict::Known),
            ));
        }
        let whole_range = extent(&looked_at.x, n);
        if !self.halves_agree(&motion, looked_at, &whole_range)
            || drifts(&whole_range, 1.5 * HALVES_AGREE)
        {
            return Ok(None);
        }
        let range: Vec<[f64; 2]> = whole_range
            .iter()
            .zip(&extent(&t.x[t.len() / 2 * n..], n))
            .map(|(a, b)| [a[0].min(b[0]), a[1].max(b[1])])
            .collect();
        if let Some(candidate) = candidate {
            let seen = of(None, candidate.grows(), range.clone());
            if candidate.is(self, &seen) {
                return Ok(Some(Verdict::Motion(seen)));
            }
        }
        for grows in [true, false] {
            if let Some(label) = known.motion(self, &of(None, grows, range.clone())) {
                return Ok(Some(Verdict::Known(label)));
            }
        }
        let width: Vec<f64> = self.least_extents(&range);
        let end = t.state(t.len() - 1);
        let disturbed = Disturbed {
            system: self.system,
            i_stim: self.i_stim,
            p: self.p,
            x: end,
            width: &width,
            solve: &self.options.solve,
        };
        Ok(match disturbed.growth(t.times.end())? {
            Growth::Positive => Some(Verdict::Motion(of(None, true, range))),
            Growth::Zero => Some(Verdict::Motion(of(None, false, range))),
            Growth::Unclear => None,
        })
    }

    /// The shortest time in which a variable would cross its extent.
    fn fastest(&self, t: &Trajectory, range: &[[f64; 2]]) -> f64 {
        let width = self.least_extents(range);
        let mut dx = vec![0.0; t.dimension];
        let mut rate = 0.0f64;
        for k in t.len() / 2..t.len() {
            residual(self.system, t.state(k), self.i_stim, self.p, &mut dx);
            rate = dx
                .iter()
                .zip(&width)
                .map(|(d, w)| d.abs() / w)
                .filter(|r| r.is_finite())
                .fold(rate, f64::max);
        }
        let unit = if let Time::Discrete { dt } = self.system.time() {
            dt
        } else {
            1.0
        };
        if rate > 0.0 {
            unit / rate
        } else {
            f64::INFINITY
        }
    }

    /// Extent of a cycle: of a flow from one period looked at closely, of a map from all its states.
    fn cycle_range(&self, t: &Trajectory, period: f64) -> Result<Vec<[f64; 2]>> {
        if self.system.time() != Time::Continuous {
            return Ok(extent(&t.x, t.dimension));
        }
        let one = self
            .trajectories(
                [t.state(t.len() - 1)].into_iter(),
                period / SAMPLES as f64,
                SAMPLES,
                &self.tight(),
            )?
            .remove(0);
        Ok(if one.outcome == Outcome::Completed {
            extent(&one.x, t.dimension)
        } else {
            extent(&t.x, t.dimension)
        })
    }

    /// Whether both halves of a window have the same extents and as many passages of every variable that passes.
    fn halves_agree(&self, motion: &Motion, t: &Trajectory, range: &[[f64; 2]]) -> bool {
        let (n, half) = (t.dimension, t.len() / 2);
        let (passages, all) = motion.passages(2 * PASSAGES);
        let even = |at: &[usize]| {
            let early = at.iter().filter(|k| **k < half).count() as f64;
            let late = at.len() as f64 - early;
            (early - late).abs() <= 0.25 * (early + late)
        };
        let [one, other] = [extent(&t.x[..half * n], n), extent(&t.x[half * n..], n)];
        let width = self.least_extents(range);
        let agree = (0..n).all(|i| {
            (0..2).all(|side| (one[i][side] - other[i][side]).abs() <= HALVES_AGREE * width[i])
        });
        agree && all && passages.iter().all(|p| even(&p.at))
    }
}

impl Traveler {
    fn end(self) -> End {
        End {
            verdict: self.verdict.unwrap_or(Verdict::NotSettled),
            ..self.end
        }
    }

    /// Looks at the states of a segment.
    fn look(&mut self, run: &Run, known: &Known, trajectory: &Trajectory, enough: usize) {
        for k in 1..trajectory.len() {
            let x = trajectory.state(k);
            self.end.time += run.times.sample;
            self.end.extrapolated |= run.system.spec().extrapolates(x, run.p);
            if let Some(label) = known.trapped(x) {
                self.verdict = Some(Verdict::Known(label));
                return;
            }
            self.streak = match known.visited(x, self.streak.0) {
                Some(motion) if motion == self.streak.0 => (motion, self.streak.1 + 1),
                Some(motion) => (motion, 1),
                None => (0, 0),
            };
            if self.streak.1 >= enough {
                self.verdict = Some(Verdict::Known(self.streak.0));
                return;
            }
        }
        self.arrive(run, trajectory, run.looks + 1);
    }

    /// Goes on from the end of a trajectory, unless it failed or escaped.
    fn arrive(&mut self, run: &Run, trajectory: &Trajectory, expected: usize) {
        if let Some(last) = trajectory.last() {
            self.x.copy_from_slice(last);
        }
        let finite = self.x.iter().all(|x| x.is_finite());
        match trajectory.outcome {
            Outcome::Failed {
                reason: FailureReason::TooManySteps { .. },
                ..
            } => self.verdict = Some(Verdict::NotSettled),
            Outcome::Failed { .. } => self.verdict = Some(Verdict::Escaped),
            Outcome::Completed
                if trajectory.len() < expected || !finite || escaped(run.system, &self.x) =>
            {
                self.verdict = Some(Verdict::Escaped)
            }
            Outcome::Completed => {}
        }
    }
}

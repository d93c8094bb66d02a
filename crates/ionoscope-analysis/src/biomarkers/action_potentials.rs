//! One response after the other: what it is, and what is measured from its rest to its repolarization.

use serde::{Deserialize, Serialize};

use super::{
    drive::{Drive, OWN_SHARE, Push},
    options::{BiomarkerOptions, Upstroke},
    potential::Potential,
};

/// An early afterdepolarization rises by more than this share of the amplitude of its action potential.
const NOTICED: f64 = 0.01;
/// It rises less steeply than this share of dV/dt max: what rises as steeply is a spike.
const GENTLE: f64 = 0.1;
/// The dome of phase 2 begins within this share of the time from the upstroke to 50 % repolarization.
const DOME: f64 = 0.2;
/// Where that is not seen, within this share of the time until the potential has come back to where the rise began, or rises again.
const EARLY: f64 = 0.5;
/// What a stimulus lifts before so much of the repolarization is no action potential of its own.
const PLATEAU: f64 = 0.5;
/// A rise that ends while the stimulus still pushes is known to be the cell's work from this share on: what follows may be the stimulus alone.
const CERTAIN: f64 = 0.5;
/// The foot of a spike that nothing pushes lies within so many upstrokes before it.
const FOOT: f64 = 10.0;
/// A strength between one that does not reach the threshold and one that does is looked for until they differ by less than this share, and no lower than it.
const STRENGTH: f64 = 1e-3;
/// Where the share is below a hundredth, by less than this.
const NOTHING: f64 = 0.01;
const COARSE: f64 = 0.06;
/// The response to a weaker stimulus has ended when so much of its largest distance from the run without any is left.
const OVER: f64 = 0.1;
/// How often the time for which it is followed is doubled until then, and points at which the two are compared.
const DOUBLINGS: usize = 5;
const POINTS: usize = 400;
/// Where a weaker stimulus comes near to the share that is asked for, so many more strengths around the best are tried.
const PROMISING: f64 = 0.25;
const MORE: usize = 8;

/// What a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The cell's own currents made it, and it was seen to its end.
    ActionPotential,
    /// As before, but the next one or the end of the recording came before 90 % repolarization, or the lowest potential before it was not seen; or it could not be
    /// told what it is, because the recording ends on its rise: then it is no spike.
    Incomplete,
    /// The stimulus alone lifted the potential over the threshold.
    FailedCapture,
}

/// What is measured of one action potential.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ActionPotential {
    /// What it is.
    pub kind: Response,
    /// From when durations are counted; which time that is stands in the options.
    pub upstroke: f64,
    /// Largest rate of rise between rest and peak, stimulus included.
    pub dvdt_max: f64,
    /// Time of the peak.
    pub peak_time: f64,
    /// Highest potential after the spike and before the next crossing downward of the threshold, or the next single stimulus after it has turned downward.
    pub peak: f64,
    /// Lowest potential between the peak before (or the beginning of the recording) and the spike.
    pub rest: f64,
    /// Peak minus rest.
    pub amplitude: f64,
    /// Time from the upstroke to 50 % repolarization from peak to rest; none when that was not reached before the next spike or the end.
    pub apd50: Option<f64>,
    /// As `apd50`, to 90 %.
    pub apd90: Option<f64>,
    /// Whether 90 % repolarization was reached, from a peak and a rest that were seen.
    pub complete: bool,
    /// Share of the rise that the cell's own currents did; 1 where no stimulus pushed.
    pub own_share: f64,
    /// The stimulus under which that was seen, as a share of the one there was: 1, or less where a weaker one was tried, too.
    pub stimulus_share: f64,
    /// Stimuli that failed to capture and came before 90 % repolarization, whether over the threshold or not: durations include what they did.
    pub disturbed: usize,
    /// Excursions over the threshold that it consists of: its own, and each dome or early afterdepolarization that crosses the threshold again.
    pub excursions: usize,
    /// Early afterdepolarizations.
    pub afterdepolarizations: usize,
}

/// A rise of the potential during repolarization.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Afterdepolarization {
    /// Index of its action potential.
    pub action_potential: usize,
    /// Time at which the rise begins.
    pub time: f64,
    /// Potential there.
    pub from: f64,
    /// Time of its peak.
    pub peak_time: f64,
    /// Potential there.
    pub peak: f64,
}

/// All responses of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Responses {
    /// Times of the spikes: the upward crossings that begin an action potential.
    pub spikes: Vec<f64>,
    /// One a spike; and what could not be told.
    pub action_potentials: Vec<ActionPotential>,
    /// Crossings of which it could not be told what they are.
    pub undecided: Vec<f64>,
    /// Crossings that are failed captures, and what is measured of these.
    pub failed: Vec<(f64, ActionPotential)>,
    /// In the order of time.
    pub afterdepolarizations: Vec<Afterdepolarization>,
}

/// One excursion over the threshold.
#[derive(Clone, Copy)]
struct Excursion {
    crossing: f64,
    rest: [f64; 2],
    peak: [f64; 2],
    steepest: [f64; 2],
    own_share: f64,
    stimulus_share: f64,
    /// Where the stimulus that pushed began.
    push: Option<f64>,
    /// Whether that is a single one.
    single: bool,
    /// Whether it is, or did a good part of the rise.
    pushed: bool,
    failed: bool,
    /// Whether it cannot be told what it is.
    undecided: bool,
    /// Whether the recording ends on its rise.
    cut: bool,
    /// Whether the lowest potential before it lies before the recording.
    unseen: bool,
    /// Of one that a weaker stimulus told: its share of the stimulus' work as it was, and when the action potential under the weaker one has ended.
    weaker: Option<[f64; 2]>,
}

/// Tries a weaker stimulus: a push at a share of its strength, the potential over a length of time that begins with it, and until when it is pushed by waves and
/// ramps. None where that cannot be run.
pub type Weaker<'a> = dyn Fn(&Push<'_>, f64, f64, f64) -> Option<(Potential, Drive)> + 'a;

/// What came of a weaker stimulus.
enum Classification {
    /// An action potential: its own share, and its end after the beginning of the stimulus.
    Own(f64, f64),
    /// It came over the threshold; the largest own share of that.
    Crossed(f64),
    Below,
}

/// Weaker stimuli from one state.
struct Trial<'a> {
    weaker: &'a Weaker<'a>,
    push: &'a Push<'a>,
    until: f64,
    options: &'a BiomarkerOptions,
    length: f64,
    longest: f64,
    /// The run without a stimulus, over that length.
    none: Potential,
}

impl<'a> Trial<'a> {
    fn new(
        weaker: &'a Weaker<'a>,
        push: &'a Push<'a>,
        until: f64,
        options: &'a BiomarkerOptions,
    ) -> Option<Self> {
        let length = 2.0 * (until - push.start());
        let (none, _) = weaker(push, 0.0, length, until)?;
        let longest = length * (1u32 << DOUBLINGS) as f64;
        Some(Trial {
            weaker,
            push,
            until,
            options,
            length,
            longest,
            none,
        })
    }

    /// At a share of the strength, followed until the response to it has ended: the potential is back at what it does without a stimulus.
    fn outcome(&mut self, share: f64) -> Option<Classification> {
        loop {
            let (v, drive) = (self.weaker)(self.push, share, self.length, self.until)?;
            // What comes without any stimulus is none of its work.
            let alone = self
                .none
                .upward_crossings(self.options.threshold)
                .first()
                .copied();
            let end = alone.unwrap_or(f64::INFINITY);
            let mut best: Option<f64> = None;
            for e in excursions(&v, Some(&drive), &[], None, self.options)
                .into_iter()
                .filter(|e| e.crossing < end && !e.cut)
            {
                let back = v.next_downward(e.peak[0], e.peak[1] - 0.9 * (e.peak[1] - e.rest[1]));
                if e.own_share >= OWN_SHARE && back.unwrap_or(v.end()) <= end {
                    return Some(Classification::Own(e.own_share, back.unwrap_or(v.end())));
                }
                best = Some(best.map_or(e.own_share, |b| b.max(e.own_share)));
            }
            let pushes = self.push.end().min(self.push.start() + self.longest) - self.push.start();
            let t = |k: usize| self.length * k as f64 / POINTS as f64;
            let apart: Vec<f64> = (0..=POINTS)
                .map(|k| v.at(t(k)) - self.none.at(t(k)))
                .collect();
            let most = (0..=POINTS)
                .max_by(|a, b| apart[*a].total_cmp(&apart[*b]))
                .unwrap_or(0);
            let over = (most..=POINTS).any(|k| t(k) >= pushes && apart[k] <= OVER * apart[most]);
            if over || alone.is_some() || 2.0 * self.length > self.longest {
                return Some(best.map_or(Classification::Below, Classification::Crossed));
            }
            self.length *= 2.0;
            self.none = (self.weaker)(self.push, 0.0, self.length, self.until)?.0;
        }
    }
}

/// Whether a weaker stimulus brought about an action potential.
enum Tried {
    /// With this share of the stimulus, and of the rise, which was over at that time.
    Own([f64; 3]),
    Nothing,
    /// It could not be run.
    Unknown,
}

/// Whether the cell could be excited when a push began. A strong stimulus hides what the cell's own currents do; as an action potential is all or none, what a
/// weaker one brings about a stronger one does. The own share is largest near the weakest stimulus that reaches the threshold, which bisection finds.
fn excitable(
    weaker: &Weaker<'_>,
    push: &Push<'_>,
    until: f64,
    options: &BiomarkerOptions,
) -> Tried {
    let try_all = || -> Option<Tried> {
        let mut trial = Trial::new(weaker, push, until, options)?;
        let own =
            |share: f64, own: f64, end: f64| Some(Tried::Own([share, own, push.start() + end]));
        let (mut low, mut high) = (0.0, 1.0);
        let mut tried: Vec<[f64; 2]> = Vec::new();
        // Where the cell does next to nothing near the weakest that reaches the threshold, it does no more nearer to that.
        let near = |tried: &[[f64; 2]]| {
            if tried.last().is_some_and(|t| t[1] < NOTHING) {
                COARSE
            } else {
                STRENGTH
            }
        };
        while high - low > near(&tried) * high && high > STRENGTH {
            let middle = 0.5 * (low + high);
            match trial.outcome(middle)? {
                Classification::Own(share, end) => return own(middle, share, end),
                Classification::Crossed(share) => {
                    tried.push([middle, share]);
                    high = middle;
                }
                Classification::Below => low = middle,
            }
        }
        // The largest share may lie between two that were tried.
        for _ in 0..MORE {
            tried.sort_by(|a, b| a[0].total_cmp(&b[0]));
            let Some(best) = (0..tried.len()).max_by(|a, b| tried[*a][1].total_cmp(&tried[*b][1]))
            else {
                break;
            };
            if tried[best][1] < PROMISING * OWN_SHARE {
                break;
            }
            let at = tried[best][0];
            let left = if best > 0 { tried[best - 1][0] } else { low };
            let right = tried.get(best + 1).map_or(1.0, |t| t[0]);
            let next = if right - at > at - left {
                0.5 * (at + right)
            } else {
                0.5 * (left + at)
            };
            match trial.outcome(next)? {
                Classification::Own(share, end) => return own(next, share, end),
                Classification::Crossed(share) => tried.push([next, share]),
                Classification::Below => low = low.max(next),
            }
        }
        Some(Tried::Nothing)
    };
    try_all().unwrap_or(Tried::Unknown)
}

/// The peak of an excursion: its highest point before a single stimulus that comes after it has turned downward.
fn peak(v: &Potential, pulses: &[[f64; 2]], crossing: f64, below: f64, rest: f64) -> [f64; 2] {
    let first = pulses.partition_point(|p| p[0] <= crossing);
    for [begin, _] in pulses[first..].iter().take_while(|p| p[0] < below) {
        let high = v.highest(crossing, *begin);
        if v.at(*begin) < high[1] - NOTICED * (high[1] - rest) {
            return high;
        }
    }
    v.highest(crossing, below)
}

/// The excursions over the threshold, one a crossing.
fn excursions(
    v: &Potential,
    drive: Option<&Drive>,
    pulses: &[[f64; 2]],
    weaker: Option<&Weaker<'_>>,
    options: &BiomarkerOptions,
) -> Vec<Excursion> {
    let crossings = v.upward_crossings(options.threshold);
    let (start, end) = (v.start(), v.end());
    let mut all: Vec<Excursion> = Vec::with_capacity(crossings.len());
    let mut before = start;
    // The last action potential: its rest and its peak.
    let mut last: Option<[f64; 2]> = None;
    for (k, crossing) in crossings.iter().enumerate() {
        let next = crossings.get(k + 1).copied().unwrap_or(end);
        let rest = v.lowest(before, *crossing);
        let below = v.next_downward(*crossing, options.threshold).unwrap_or(end);
        let peak = peak(v, pulses, *crossing, below.min(next), rest[1]);
        let steepest = v.steepest(rest[0], peak[0]);
        let upstroke = (peak[1] - rest[1]) / steepest[1].max(f64::MIN_POSITIVE);
        let push = drive.and_then(|d| d.push(before, rest[0], *crossing));
        let single = push.is_some_and(|p| {
            pulses
                .binary_search_by(|q| q[0].total_cmp(&p.start()))
                .is_ok()
        });
        // Of samples that hide it, and where nothing else can be tried, an excursion is taken for an action potential.
        let known = push.map_or(Some(1.0), |p| p.own_share(v, *crossing, peak, upstroke));
        let hidden = known.is_none();
        let own_share = known.unwrap_or(0.0);
        let cut = peak[0] >= end;
        let mut e = Excursion {
            crossing: *crossing,
            rest,
            peak,
            steepest,
            own_share,
            stimulus_share: 1.0,
            push: push.map(|p| p.start()),
            single,
            pushed: push.is_some() && (single || own_share < 1.0 - OWN_SHARE),
            failed: false,
            undecided: cut
                && own_share
                    < if push.is_some_and(|p| p.on(end)) {
                        CERTAIN
                    } else {
                        OWN_SHARE
                    },
            cut,
            unseen: start > 0.0
                && rest[0] <= start
                && unseen(
                    v,
                    push.as_ref(),
                    *crossing,
                    rest[1],
                    peak[1] - rest[1],
                    upstroke,
                ),
            weaker: None,
        };
        // A stimulus on the plateau has failed, whatever follows: where that is the cell's work, it is an early afterdepolarization.
        let plateau = last.is_some_and(|[low, high]| rest[1] > high - PLATEAU * (high - low));
        if plateau && e.pushed && !cut {
            e.failed = true;
        } else if let Some(push) = push.filter(|_| own_share < OWN_SHARE && !cut) {
            let until = v
                .next_downward(peak[0], peak[1] - 0.9 * (peak[1] - rest[1]))
                .unwrap_or(end);
            match weaker.map(|weaker| excitable(weaker, &push, until, options)) {
                Some(Tried::Own([share, own, end])) => {
                    e.weaker = Some([own_share, end]);
                    (e.stimulus_share, e.own_share) = (share, own);
                }
                Some(Tried::Unknown) => e.undecided = true,
                Some(Tried::Nothing) => e.failed = true,
                None => e.failed = !hidden,
            }
        }
        let goes_on = plateau && push.is_none();
        if !(e.failed || e.undecided || goes_on) {
            last = Some([rest[1], peak[1]]);
        }
        all.push(e);
        before = peak[0];
    }
    // Where the action potential comes in a later excursion, the one before it was the stimulus alone.
    for k in 1..all.len() {
        let n = all[k];
        let e = &mut all[k - 1];
        let itself = n.weaker.is_none()
            && !n.failed
            && !n.undecided
            && n.push.is_none_or(|begin| Some(begin) == e.push);
        if let Some([own_share, _]) = e.weaker.filter(|w| itself && n.crossing < w[1]) {
            (e.failed, e.own_share, e.stimulus_share) = (true, own_share, 1.0);
        }
    }
    all
}

/// Whether the lowest potential before an excursion, which is at the beginning of the recording, may lie before that: the potential rises there already. Up to the
/// foot of the spike it may have risen by no more than what is noticed; where it begins within the foot, within an upstroke by no more than a tenth of that.
/// Before time 0 there is none.
fn unseen(
    v: &Potential,
    push: Option<&Push<'_>>,
    crossing: f64,
    rest: f64,
    amplitude: f64,
    upstroke: f64,
) -> bool {
    let start = v.start();
    match push.filter(|p| p.begins_after(start)) {
        Some(push) => v.at(push.start()) - rest > NOTICED * amplitude,
        None if crossing - FOOT * upstroke > start => {
            v.at(crossing - FOOT * upstroke) - rest > NOTICED * amplitude
        }
        None => v.at((start + upstroke).min(crossing)) - rest > 0.1 * NOTICED * amplitude,
    }
}

/// Follows the recording from crossing to crossing.
pub fn measure(
    v: &Potential,
    drive: Option<&Drive>,
    pulses: &[[f64; 2]],
    weaker: Option<&Weaker<'_>>,
    options: &BiomarkerOptions,
) -> Responses {
    let excursions = excursions(v, drive, pulses, weaker, options);
    let recording = Recording {
        v,
        drive,
        pulses,
        options,
        all: &excursions,
    };
    let mut out = Responses::default();
    let mut k = 0;
    while k < excursions.len() {
        k = recording.one(k, &mut out);
    }
    out
}

/// What is looked at.
struct Recording<'a> {
    v: &'a Potential,
    drive: Option<&'a Drive>,
    pulses: &'a [[f64; 2]],
    options: &'a BiomarkerOptions,
    all: &'a [Excursion],
}

impl Recording<'_> {
    /// Measures excursion k, with all that belongs to it; the index of the next one that does not.
    fn one(&self, k: usize, out: &mut Responses) -> usize {
        let Recording { v, pulses, all, .. } = *self;
        let e = all[k];
        let ([_, rest], [peak_time, peak]) = (e.rest, e.peak);
        let amplitude = peak - rest;
        let level = |share: f64| v.next_downward(peak_time, peak - share * amplitude);
        let [half, most] = [0.5, 0.9].map(level);
        // Up to the next spike: what is crossed by then by a failed capture or gently, before 90 % repolarization, belongs to this one.
        let end = v.end();
        let mut next = k + 1;
        let mut failed = Vec::new();
        let mut again = 0;
        if !e.failed {
            while let Some(n) = all.get(next).filter(|n| n.crossing < most.unwrap_or(end)) {
                if n.failed {
                    failed.push(next);
                } else if n.pushed
                    || n.cut
                    || n.undecided
                    || n.steepest[1] >= GENTLE * e.steepest[1]
                {
                    break;
                } else {
                    again += 1;
                }
                next += 1;
            }
        }
        let until = all.get(next);
        let seen = |t: Option<f64>| t.filter(|t| until.is_none_or(|n| *t < n.crossing));
        let upstroke = match self.options.upstroke {
            Upstroke::SteepestRise => e.steepest[0],
            Upstroke::Crossing => e.crossing,
        };
        let [apd50, apd90] =
            [half, most].map(|t| seen(t).filter(|_| !e.unseen).map(|t| t - upstroke));
        let kind = match (e.failed, apd90) {
            (true, _) => Response::FailedCapture,
            (false, Some(_)) if !e.cut && !e.undecided => Response::ActionPotential,
            _ => Response::Incomplete,
        };
        let mut measured = ActionPotential {
            kind,
            upstroke,
            dvdt_max: e.steepest[1],
            peak_time,
            peak,
            rest,
            amplitude,
            apd50,
            apd90,
            complete: apd90.is_some() && !e.undecided,
            own_share: e.own_share,
            stimulus_share: e.stimulus_share,
            disturbed: 0,
            excursions: 1 + again,
            afterdepolarizations: 0,
        };
        if e.failed {
            out.failed.push((e.crossing, measured));
            return next;
        }
        // What the next one begins with is its own: its stimulus, or the lowest point before it.
        let begin = until.map_or(end, |n| {
            n.push
                .filter(|_| n.single)
                .map_or(n.rest[0], |p| p.max(n.rest[0]))
        });
        let last = seen(most).unwrap_or(begin).min(begin);
        let between = |p: &&[f64; 2]| e.crossing < p[0] && p[0] < last && p[1] < end;
        measured.disturbed = pulses.iter().filter(between).count().max(failed.len());
        let index = out.action_potentials.len();
        let found = self.afterdepolarizations(&e, upstroke, seen(half), last);
        measured.afterdepolarizations = found.len();
        let found = found.into_iter().map(|[from, to]| Afterdepolarization {
            action_potential: index,
            time: from[0],
            from: from[1],
            peak_time: to[0],
            peak: to[1],
        });
        out.afterdepolarizations.extend(found);
        if e.undecided {
            out.undecided.push(e.crossing)
        } else {
            out.spikes.push(e.crossing)
        }
        out.action_potentials.push(measured);
        for k in failed {
            let mut none = Responses::default();
            self.one(k, &mut none);
            out.failed.extend(none.failed);
        }
        next
    }

    /// Early afterdepolarizations of an excursion up to `last`, by their begin and end.
    fn afterdepolarizations(
        &self,
        e: &Excursion,
        upstroke: f64,
        half: Option<f64>,
        last: f64,
    ) -> Vec<[[f64; 2]; 2]> {
        let v = self.v;
        let least = NOTICED * (e.peak[1] - e.rest[1]);
        let rises = self.rises(e.peak[0], last, least);
        // The first may be the dome. Without APD50 it is told by when the potential has come back to where it began, or turns upward again.
        let dome = |[from, to]: [[f64; 2]; 2]| {
            let back = v.next_downward(to[0], from[1]).filter(|t| *t < last);
            let again = rises.get(1).map(|second| second[0][0]);
            let known = match half {
                Some(half) => Some(DOME * (half - upstroke)),
                None => back
                    .into_iter()
                    .chain(again)
                    .reduce(f64::min)
                    .map(|t| EARLY * (t - upstroke)),
            };
            known.is_none_or(|known| from[0] - upstroke <= known)
        };
        let skip = usize::from(rises.first().is_some_and(|first| dome(*first)));
        let early = |rise: &[[f64; 2]; 2]| {
            let [from, to] = *rise;
            let pushed = self
                .drive
                .is_some_and(|d| d.push(from[0], from[0], to[0].next_down()).is_some());
            !pushed && v.steepest(from[0], to[0])[1] < GENTLE * e.steepest[1]
        };
        rises[skip..].iter().filter(|r| early(r)).copied().collect()
    }

    /// Rises of at least `least` between two times, the potential falling at the first of them. Single stimuli end them, and what these lift is none.
    fn rises(&self, from: f64, to: f64, least: f64) -> Vec<[[f64; 2]; 2]> {
        let v = self.v;
        let mut found = Vec::new();
        let mut begin = from;
        let first = self.pulses.partition_point(|p| p[0] <= from);
        let inside: Vec<[f64; 2]> = self.pulses[first..]
            .iter()
            .take_while(|p| p[0] < to)
            .copied()
            .collect();
        for [end, after] in inside.into_iter().chain([[to, to]]) {
            if begin < end {
                let turns = v.turns(begin, end);
                // After a stimulus the potential may still rise: up to there that is its work.
                let rising =
                    begin > from && turns.first().map_or(v.at(end), |t| t[1]) > v.at(begin);
                let closing = (end < v.end()).then(|| [end, v.at(end)]);
                rises(
                    turns.into_iter().skip(usize::from(rising)).chain(closing),
                    least,
                    &mut found,
                );
            }
            begin = after.max(begin);
        }
        found
    }
}

/// Rises among turning points, of which the first is a low one. Ripples smaller than `least` are none: a rise ends where as much has been lost again.
fn rises(turns: impl Iterator<Item = [f64; 2]>, least: f64, found: &mut Vec<[[f64; 2]; 2]>) {
    let mut from: Option<[f64; 2]> = None;
    let mut highest: Option<[f64; 2]> = None;
    let mut close = |from: Option<[f64; 2]>, to: Option<[f64; 2]>| {
        found.extend(
            from.zip(to)
                .filter(|(from, to)| to[1] - from[1] >= least)
                .map(|(from, to)| [from, to]),
        );
    };
    for turn in turns {
        match (from, highest) {
            (Some(low), Some(high)) if high[1] - low[1] >= least && turn[1] <= high[1] - least => {
                close(from, highest);
                (from, highest) = (Some(turn), None);
            }
            (Some(low), _) if turn[1] < low[1] => (from, highest) = (Some(turn), None),
            (None, _) => from = Some(turn),
            (Some(_), high) if high.is_none_or(|high| turn[1] > high[1]) => highest = Some(turn),
            _ => {}
        }
    }
    close(from, highest);
}

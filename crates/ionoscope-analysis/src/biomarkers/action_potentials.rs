//! One response after the other: what it is, and what is measured from its rest to its repolarisation.

use serde::{Deserialize, Serialize};

use super::{
    BiomarkerOptions, Potential, Upstroke,
    drive::{Drive, Push},
};

/// An action potential is a rise of which at least this share is the work of the cell's own currents, under the stimulus as it is or a weaker one.
pub const OWN_SHARE: f64 = 0.1;
/// An early afterdepolarisation rises by more than this share of the amplitude of its action potential.
const NOTICED: f64 = 0.01;
/// It rises less steeply than this share of dV/dt max: what rises as steeply is a spike.
const GENTLE: f64 = 0.1;
/// The dome of phase 2 begins within this share of the time from the upstroke to 50 % repolarisation.
const DOME: f64 = 0.2;

/// What a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The cell's own currents made it, and it was seen to its end.
    ActionPotential,
    /// As before, but the next one or the end of the recording came before 90 % repolarisation; or the recording ended before it could be told what it is.
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
    /// Highest potential after the spike and before the next crossing downward of the threshold.
    pub peak: f64,
    /// Lowest potential between the peak before (or the beginning of the recording) and the spike.
    pub rest: f64,
    /// Peak minus rest.
    pub amplitude: f64,
    /// Time from the upstroke to 50 % repolarisation from peak to rest; none when that was not reached before the next spike or the end.
    pub apd50: Option<f64>,
    /// As `apd50`, to 90 %.
    pub apd90: Option<f64>,
    /// Whether 90 % repolarisation was reached.
    pub complete: bool,
    /// Share of the rise that the cell's own currents did; 1 where no stimulus pushed.
    pub own_share: f64,
    /// The stimulus under which that was seen, as a share of the one there was: 1, or less where a weaker one was tried, too.
    pub stimulus_share: f64,
    /// Stimuli that failed to capture and came before 90 % repolarisation: durations include what they did.
    pub disturbed: usize,
    /// Early afterdepolarisations.
    pub afterdepolarisations: usize,
}

/// A rise of the potential during repolarisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Afterdepolarisation {
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
    /// One a spike.
    pub action_potentials: Vec<ActionPotential>,
    /// Crossings that are failed captures, and what is measured of these.
    pub failed: Vec<(f64, ActionPotential)>,
    /// In the order of time.
    pub afterdepolarisations: Vec<Afterdepolarisation>,
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
    /// Whether a stimulus pushed between rest and crossing.
    pushed: bool,
    failed: bool,
    /// Whether the recording ends on its rise.
    cut: bool,
}

/// Tries a weaker stimulus: from where a push begins, at a share of its strength, the potential until a time; its time begins with the push. None where that is
/// not known.
pub type Weaker<'a> = dyn Fn(&Push<'_>, f64, f64) -> Option<(Potential, Drive)> + 'a;

/// Shares of a stimulus that are tried where the cell seems to have done nothing.
const WEAKER: [f64; 4] = [0.5, 0.25, 0.125, 0.0625];

/// Whether the cell could be excited when a push began: the share of the stimulus, and of the rise, with which its own currents made an action potential. A strong
/// stimulus hides what these do; as an action potential is all or none, what a weaker one brings about a stronger one does.
fn excitable(weaker: &Weaker<'_>, push: &Push<'_>, until: f64, options: &BiomarkerOptions) -> Option<[f64; 2]> {
    let own = |share: f64| -> Option<f64> {
        let (v, drive) = weaker(push, share, until)?;
        let found = measure(&v, Some(&drive), &|_, _, _| None, options);
        found.action_potentials.first().map(|a| a.own_share).filter(|own| *own >= OWN_SHARE)
    };
    let found = WEAKER.into_iter().find_map(|share| Some([share, own(share)?]))?;
    // What comes without a stimulus is none of its work.
    own(0.0).is_none().then_some(found)
}

/// Follows the recording from crossing to crossing.
pub fn measure(v: &Potential, drive: Option<&Drive>, weaker: &Weaker<'_>, options: &BiomarkerOptions) -> Responses {
    let crossings = v.upward_crossings(options.threshold);
    let end = v.end();
    let mut excursions: Vec<Excursion> = Vec::with_capacity(crossings.len());
    let mut before = v.start();
    for (k, crossing) in crossings.iter().enumerate() {
        let next = crossings.get(k + 1).copied().unwrap_or(end);
        let rest = v.lowest(before, *crossing);
        let below = v.next_downward(*crossing, options.threshold).unwrap_or(end);
        let peak = v.highest(*crossing, below.min(next));
        let push = drive.and_then(|d| d.push(before, rest[0], *crossing));
        let mut own_share = push.map_or(1.0, |p| p.own_share(v, *crossing, peak));
        let mut stimulus_share = 1.0;
        let cut = peak[0] >= end;
        if let Some(push) = push.filter(|_| own_share < OWN_SHARE && !cut) {
            let until = v.next_downward(peak[0], peak[1] - 0.9 * (peak[1] - rest[1])).unwrap_or(end);
            if let Some(found) = excitable(weaker, &push, until, options) {
                [stimulus_share, own_share] = found;
            }
        }
        excursions.push(Excursion {
            crossing: *crossing,
            rest,
            peak,
            steepest: v.steepest(rest[0], peak[0]),
            own_share,
            stimulus_share,
            pushed: push.is_some(),
            failed: own_share < OWN_SHARE && !cut,
            cut,
        });
        before = peak[0];
    }
    let mut all = Responses::default();
    let mut k = 0;
    while k < excursions.len() {
        k = one(v, drive, options, &excursions, k, &mut all);
    }
    all
}

/// Measures excursion k, with all that belongs to it; the index of the next one that does not.
fn one(v: &Potential, drive: Option<&Drive>, options: &BiomarkerOptions, all: &[Excursion], k: usize, out: &mut Responses) -> usize {
    let e = all[k];
    let ([_, rest], [peak_time, peak]) = (e.rest, e.peak);
    let amplitude = peak - rest;
    let level = |share: f64| v.next_downward(peak_time, peak - share * amplitude);
    let [half, most] = [0.5, 0.9].map(level);
    // Up to the next spike: what is crossed by then by a failed capture or gently, before 90 % repolarisation, belongs to this one.
    let end = v.end();
    let mut next = k + 1;
    let mut disturbed = Vec::new();
    if !e.failed {
        while let Some(n) = all.get(next).filter(|n| n.crossing < most.unwrap_or(end)) {
            if n.failed {
                disturbed.push(next);
            } else if n.pushed || n.cut || n.steepest[1] >= GENTLE * e.steepest[1] {
                break;
            }
            next += 1;
        }
    }
    let until = all.get(next);
    let seen = |t: Option<f64>| t.filter(|t| until.is_none_or(|n| *t < n.crossing));
    let upstroke = match options.upstroke {
        Upstroke::SteepestRise => e.steepest[0],
        Upstroke::Crossing => e.crossing,
    };
    let [apd50, apd90] = [half, most].map(|t| seen(t).map(|t| t - upstroke));
    let kind = match (e.failed, apd90) {
        (true, _) => Response::FailedCapture,
        (false, Some(_)) if !e.cut => Response::ActionPotential,
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
        complete: apd90.is_some(),
        own_share: e.own_share,
        stimulus_share: e.stimulus_share,
        disturbed: disturbed.len(),
        afterdepolarisations: 0,
    };
    if e.failed {
        out.failed.push((e.crossing, measured));
        return next;
    }
    let last = seen(most).unwrap_or_else(|| until.map_or(end, |n| n.rest[0]));
    let middle = half.map_or(last, |t| t.min(last));
    let index = out.action_potentials.len();
    let before = out.afterdepolarisations.len();
    // The potential falls from its peak: a turn upward comes first.
    let turns = v.turns(peak_time, last);
    let mut from: Option<[f64; 2]> = None;
    let mut highest: Option<[f64; 2]> = None;
    let mut close = |from: Option<[f64; 2]>, to: Option<[f64; 2]>, first: &mut bool| {
        let (Some(from), Some(to)) = (from, to) else { return };
        if to[1] - from[1] < NOTICED * amplitude {
            return;
        }
        let dome = std::mem::take(first) && from[0] - upstroke <= DOME * (middle - upstroke);
        let pushed = drive.is_some_and(|d| d.push(from[0], from[0], to[0]).is_some());
        if !dome && !pushed && v.steepest(from[0], to[0])[1] < GENTLE * e.steepest[1] {
            let [time, from] = from;
            out.afterdepolarisations.push(Afterdepolarisation { action_potential: index, time, from, peak_time: to[0], peak: to[1] });
        }
    };
    let mut first = true;
    // Ripples smaller than what is noticed are none: a rise ends where as much has been lost again.
    for turn in turns {
        match (from, highest) {
            (Some(low), Some(high)) if high[1] - low[1] >= NOTICED * amplitude && turn[1] <= high[1] - NOTICED * amplitude => {
                close(from, highest, &mut first);
                (from, highest) = (Some(turn), None);
            }
            (Some(low), _) if turn[1] < low[1] => (from, highest) = (Some(turn), None),
            (None, _) => from = Some(turn),
            (Some(_), high) if high.is_none_or(|high| turn[1] > high[1]) => highest = Some(turn),
            _ => {}
        }
    }
    close(from, highest, &mut first);
    measured.afterdepolarisations = out.afterdepolarisations.len() - before;
    out.spikes.push(e.crossing);
    out.action_potentials.push(measured);
    for k in disturbed {
        let mut none = Responses::default();
        one(v, drive, options, all, k, &mut none);
        out.failed.extend(none.failed);
    }
    next
}

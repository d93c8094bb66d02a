//! What is counted and measured in a potential: spikes, bursts, and action potentials one after the other.

use serde::{Deserialize, Serialize};

use super::{
    action_potentials::{self, ActionPotential, Afterdepolarization, Responses, Weaker},
    drive::Drive,
    options::BiomarkerOptions,
    potential::Potential,
};
use crate::Result;

/// How a cell behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Regime {
    /// At least one complete burst.
    Bursting,
    /// Spikes, and no complete burst.
    Spiking,
    /// No spike.
    Silent,
}

/// Intervals between spikes, pauses included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Mean.
    pub mean: f64,
    /// Shortest.
    pub min: f64,
    /// Longest.
    pub max: f64,
    /// Median: the middle one, or the mean of the two in the middle.
    pub median: f64,
    /// Coefficient of variation: standard deviation (of the population) over mean.
    pub cv: f64,
}

/// A group of spikes without a pause between them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Burst {
    /// Time of its first spike.
    pub start: f64,
    /// Time of its last spike.
    pub end: f64,
    /// Number of its spikes.
    pub spikes: usize,
    /// Whether a pause was seen on both sides; the first and the last burst of a recording are not complete.
    pub complete: bool,
}

/// What can be counted and measured in a potential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Biomarkers {
    /// Bursting, spiking or silent.
    pub regime: Regime,
    /// Mean time from the first spike of a complete burst to that of the next burst; none when it does not burst.
    pub burst_period: Option<f64>,
    /// Mean number of spikes of a complete burst; none when it does not burst.
    pub spikes_per_burst: Option<f64>,
    /// Mean share of the period from the first to the last spike of a complete burst; none when it does not burst.
    pub duty_cycle: Option<f64>,
    /// Number of complete bursts.
    pub complete_bursts: usize,
    /// Number of bursts of which the beginning or the end was not seen; 0 when there is no pause at all.
    pub incomplete_bursts: usize,
    /// Intervals between spikes; none with fewer than two spikes.
    pub isi: Option<Intervals>,
    /// Times of the spikes: what the stimulus alone lifts over the threshold is none, nor is an early afterdepolarization.
    pub spikes: Vec<f64>,
    /// The bursts, incomplete ones too; none when there is no pause at all.
    pub bursts: Vec<Burst>,
    /// One a spike, in order; and, incomplete, what could not be told because the recording ends on its rise. Their excursions and the failed captures add up to
    /// the crossings of the threshold.
    pub action_potentials: Vec<ActionPotential>,
    /// What the stimulus lifted over the threshold without an action potential, measured as if it were one.
    pub failed_captures: Vec<ActionPotential>,
    /// Rises during repolarization, in the order of time.
    pub afterdepolarizations: Vec<Afterdepolarization>,
    /// How many stimuli capture; none where there are no single stimuli.
    pub capture: Option<Capture>,
    /// Whether short and long action potentials alternate; none where they do not, or where fewer than four complete ones follow each other.
    pub alternans: Option<Alternans>,
    /// Whether the recording begins above the threshold: the end of an action potential whose upstroke was not seen, and which is not in the list.
    pub begins_within_an_action_potential: bool,
}

/// What single stimuli did: the stretches in which the current stands above the level that it has most of the time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// Number of stimuli that begin in the recording.
    pub stimuli: usize,
    /// Those followed by an action potential before the next stimulus.
    pub captured: usize,
    /// Those that are not.
    pub failed: usize,
    /// Those of which this is not known: at the end of the recording.
    pub open: usize,
    /// Captured over captured and failed: 0.5 for a 2:1 block; none where neither is known.
    pub ratio: Option<f64>,
}

/// Durations that alternate: in the last stretch of complete action potentials, each is longer or shorter than the one before, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Alternans {
    /// Number of action potentials in that stretch.
    pub action_potentials: usize,
    /// Mean APD90 of the long ones.
    pub long: f64,
    /// Mean APD90 of the short ones.
    pub short: f64,
    /// Difference between the last two.
    pub last: f64,
    /// Whether the last difference is at least half of the first: what is smaller dies away.
    pub lasting: bool,
}

impl Biomarkers {
    /// Those that means are over: of which beginning and end were seen, and that no stimulus disturbed. Where all are disturbed, as in a block, these.
    pub fn complete_action_potentials(&self) -> impl Iterator<Item = &ActionPotential> {
        let alone = self
            .action_potentials
            .iter()
            .any(|a| a.complete && a.disturbed == 0);
        self.action_potentials
            .iter()
            .filter(move |a| a.complete && !(alone && a.disturbed > 0))
    }

    /// Number of action potentials whose peak or repolarization was not seen.
    pub fn incomplete_action_potentials(&self) -> usize {
        self.action_potentials
            .iter()
            .filter(|a| !a.complete)
            .count()
    }
}

/// Counts and measures in a potential, of which it is not known what a stimulus did: every excursion over the threshold is taken for an action potential.
///
/// # Errors
/// Options that make no sense.
pub fn biomarkers(v: &Potential, options: &BiomarkerOptions) -> Result<Biomarkers> {
    biomarkers_under(v, None, options)
}

/// As [`biomarkers`], under a stimulus, so that an action potential is told from what the stimulus does alone.
///
/// # Errors
/// Options that make no sense.
pub fn biomarkers_under(
    v: &Potential,
    drive: Option<&Drive>,
    options: &BiomarkerOptions,
) -> Result<Biomarkers> {
    count(v, drive, None, options)
}

/// As [`biomarkers_under`], where weaker stimuli can be tried.
pub(super) fn count(
    v: &Potential,
    drive: Option<&Drive>,
    weaker: Option<&Weaker<'_>>,
    options: &BiomarkerOptions,
) -> Result<Biomarkers> {
    options.check()?;
    let pulses = drive.map_or(Vec::new(), |d| d.pulses(v.start(), v.end()));
    let responses = action_potentials::measure(v, drive, &pulses, weaker, options);
    let capture = capture(v, &pulses, &responses);
    let Responses {
        spikes,
        action_potentials,
        failed,
        afterdepolarizations,
        ..
    } = responses;
    let failed = failed.into_iter().map(|f| f.1).collect();
    let isi = intervals(&spikes);
    let pause = options.pause * usual(&spikes).unwrap_or(f64::INFINITY);
    let bursts = bursts(&spikes, pause);
    let complete: Vec<&Burst> = bursts.iter().filter(|b| b.complete).collect();
    // Complete bursts are neighbors, and each is followed by one more.
    let over = |total: f64| (!complete.is_empty()).then(|| total / complete.len() as f64);
    let next = bursts.len().saturating_sub(1);
    let span = if complete.is_empty() {
        0.0
    } else {
        bursts[next].start - complete[0].start
    };
    let burst_period = over(span);
    let active = over(complete.iter().map(|b| b.end - b.start).sum());
    Ok(Biomarkers {
        regime: match (spikes.is_empty(), complete.is_empty()) {
            (true, _) => Regime::Silent,
            (false, true) => Regime::Spiking,
            (false, false) => Regime::Bursting,
        },
        burst_period,
        spikes_per_burst: over(complete.iter().map(|b| b.spikes as f64).sum()),
        duty_cycle: active.zip(burst_period).map(|(a, p)| a / p),
        complete_bursts: complete.len(),
        incomplete_bursts: bursts.len() - complete.len(),
        isi,
        alternans: alternans(&action_potentials),
        action_potentials,
        failed_captures: failed,
        afterdepolarizations,
        capture,
        begins_within_an_action_potential: v.first().is_some_and(|v| v >= options.threshold),
        bursts,
        spikes,
    })
}

/// What the stimuli did.
fn capture(v: &Potential, pulses: &[[f64; 2]], responses: &Responses) -> Option<Capture> {
    let [begin, end] = *pulses.last()?;
    let window = |k: usize| {
        [
            pulses[k][0],
            pulses.get(k + 1).map_or(f64::INFINITY, |p| p[0]),
        ]
    };
    let within = |times: &[f64], [from, to]: [f64; 2]| {
        let first = times.partition_point(|t| *t < from);
        times.get(first).is_some_and(|t| *t < to)
    };
    let captured: Vec<bool> = (0..pulses.len())
        .map(|k| within(&responses.spikes, window(k)))
        .collect();
    // What could not be told leaves its stimulus open.
    let told = |k: usize| !within(&responses.undecided, window(k));
    // A stimulus at the end may still be followed by something, until its response has been told, the potential has come back, or as long as the shortest time
    // between two has passed.
    let pause = pulses
        .windows(2)
        .map(|w| w[1][0] - w[0][0])
        .fold(f64::INFINITY, f64::min);
    let failed = || responses.failed.last().is_some_and(|f| f.0 >= begin);
    let over = v.end() > end
        && (failed() || back(v, begin, end) || v.end() - begin >= pause * (1.0 - 1e-9));
    let last = pulses.len() - 1;
    let open = (0..=last)
        .filter(|k| !captured[*k] && (!told(*k) || *k == last && !over))
        .count();
    let hits = captured.iter().filter(|c| **c).count();
    let known = pulses.len() - open;
    let ratio = (known > 0).then(|| hits as f64 / known as f64);
    Some(Capture {
        stimuli: pulses.len(),
        captured: hits,
        failed: known - hits,
        open,
        ratio,
    })
}

/// Whether the potential has lost again nine tenths of what it rose from the begin of a stimulus, after its end.
fn back(v: &Potential, begin: f64, end: f64) -> bool {
    let (from, [time, high]) = (v.at(begin), v.highest(begin, v.end()));
    v.lowest(time.max(end), v.end())[1] <= from + 0.1 * (high - from)
}

/// Shortest stretch in which durations are said to alternate, and smallest difference, as a share of the mean.
const ALTERNATING: usize = 4;
const ALTERNATE: f64 = 5e-3;

fn alternans(all: &[ActionPotential]) -> Option<Alternans> {
    // The last stretch of complete ones; the one that the recording cuts is left out.
    let whole = all.iter().rposition(|a| a.complete)?;
    let durations: Vec<f64> = all[..=whole].iter().rev().map_while(|a| a.apd90).collect();
    let change = |w: &[f64]| w[1] - w[0];
    let turns = durations
        .windows(3)
        .take_while(|w| change(&w[..2]) * change(&w[1..]) < 0.0)
        .count();
    let count = turns + 2;
    if turns == 0 || count < ALTERNATING {
        return None;
    }
    let stretch = &durations[..count];
    let mean = |first: usize| {
        let half: Vec<f64> = stretch.iter().skip(first).step_by(2).copied().collect();
        half.iter().sum::<f64>() / half.len() as f64
    };
    let (a, b) = (mean(0), mean(1));
    let (last, first) = (
        change(&stretch[..2]).abs(),
        change(&stretch[count - 2..]).abs(),
    );
    let noticed = last > ALTERNATE * 0.5 * (a + b);
    noticed.then_some(Alternans {
        action_potentials: count,
        long: a.max(b),
        short: a.min(b),
        last,
        lasting: last >= 0.5 * first,
    })
}

fn intervals(spikes: &[f64]) -> Option<Intervals> {
    let mut sorted: Vec<f64> = spikes.windows(2).map(|w| w[1] - w[0]).collect();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let variance = sorted.iter().map(|i| (i - mean).powi(2)).sum::<f64>() / n;
    let median = 0.5 * (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]);
    Some(Intervals {
        mean,
        min,
        max,
        median,
        cv: variance.sqrt() / mean,
    })
}

/// The interval that pauses are measured by: the longest of the shorter half. Of bursts of two, half of the intervals or one more are pauses.
pub(super) fn usual(spikes: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = spikes.windows(2).map(|w| w[1] - w[0]).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() / 2).max(1) - 1).copied()
}

pub(super) fn bursts(spikes: &[f64], pause: f64) -> Vec<Burst> {
    let groups: Vec<&[f64]> = spikes.chunk_by(|a, b| b - a <= pause).collect();
    if groups.len() < 2 {
        return Vec::new();
    }
    let last = groups.len() - 1;
    let burst = |(k, g): (usize, &&[f64])| Burst {
        start: g[0],
        end: g[g.len() - 1],
        spikes: g.len(),
        complete: k != 0 && k != last,
    };
    groups.iter().enumerate().map(burst).collect()
}

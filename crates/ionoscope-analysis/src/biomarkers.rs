//! Spikes, bursts and action potentials in a membrane potential over time. The definitions, for readers: `docs/biomarkers.md`.
//!
//! [`biomarkers`] counts in a [`Potential`] that was sampled before; [`observe`] runs a system long enough and at a step that resolves its spikes.
//! Times are in the unit of the system, potentials in that of its membrane potential.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod action_potentials;
mod observe;
mod potential;
#[cfg(test)]
mod tests;

pub use action_potentials::ActionPotential;
pub use observe::{Observation, ObserveOptions, Stopped, observe};
pub use potential::Potential;

/// From when an action potential's duration is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upstroke {
    /// The time of the steepest rise between rest and peak.
    SteepestRise,
    /// The spike: the upward crossing of the threshold.
    Crossing,
}

/// Definitions that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BiomarkerOptions {
    /// A spike is an upward crossing of this potential.
    pub threshold: f64,
    /// A burst ends where an interval exceeds so many median intervals.
    pub pause: f64,
    /// From when durations of action potentials are counted.
    pub upstroke: Upstroke,
}

impl BiomarkerOptions {
    /// The defaults at a threshold: a pause of three median intervals, durations from the steepest rise.
    pub fn at(threshold: f64) -> Self {
        BiomarkerOptions { threshold, pause: 3.0, upstroke: Upstroke::SteepestRise }
    }

    fn check(&self) -> Result<()> {
        if !self.threshold.is_finite() {
            return Err(Error::Invalid(format!("the threshold of a spike is {}; expected a finite number", self.threshold)));
        }
        if !(self.pause >= 1.0 && self.pause.is_finite()) {
            return Err(Error::Invalid(format!("a pause of {} median intervals; expected a finite number, 1 or larger", self.pause)));
        }
        Ok(())
    }
}

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
    /// Times of the spikes.
    pub spikes: Vec<f64>,
    /// The bursts, incomplete ones too; none when there is no pause at all.
    pub bursts: Vec<Burst>,
    /// One a spike.
    pub action_potentials: Vec<ActionPotential>,
    /// Whether the recording begins above the threshold: the end of an action potential whose upstroke was not seen, and which is not in the list.
    pub begins_within_an_action_potential: bool,
}

impl Biomarkers {
    /// Number of action potentials whose peak or repolarisation was not seen.
    pub fn incomplete_action_potentials(&self) -> usize {
        self.action_potentials.iter().filter(|a| !a.complete).count()
    }
}

/// Counts and measures.
///
/// # Errors
/// Options that make no sense.
pub fn biomarkers(v: &Potential, options: &BiomarkerOptions) -> Result<Biomarkers> {
    options.check()?;
    let spikes = v.upward_crossings(options.threshold);
    let isi = intervals(&spikes);
    let pause = options.pause * isi.map_or(f64::INFINITY, |i| i.median);
    let bursts = bursts(&spikes, pause);
    let complete: Vec<&Burst> = bursts.iter().filter(|b| b.complete).collect();
    // Complete bursts are neighbours, and each is followed by one more.
    let over = |total: f64| (!complete.is_empty()).then(|| total / complete.len() as f64);
    let next = bursts.len().saturating_sub(1);
    let span = if complete.is_empty() { 0.0 } else { bursts[next].start - complete[0].start };
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
        action_potentials: action_potentials::measure(v, &spikes, options),
        begins_within_an_action_potential: v.first().is_some_and(|v| v >= options.threshold),
        bursts,
        spikes,
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
    Some(Intervals { mean, min, max, median, cv: variance.sqrt() / mean })
}

fn bursts(spikes: &[f64], pause: f64) -> Vec<Burst> {
    let groups: Vec<&[f64]> = spikes.chunk_by(|a, b| b - a <= pause).collect();
    if groups.len() < 2 {
        return Vec::new();
    }
    let last = groups.len() - 1;
    let burst = |(k, g): (usize, &&[f64])| Burst { start: g[0], end: g[g.len() - 1], spikes: g.len(), complete: k != 0 && k != last };
    groups.iter().enumerate().map(burst).collect()
}

//! One action potential: what is measured from its rest to its repolarisation.

use serde::{Deserialize, Serialize};

use super::{BiomarkerOptions, Potential, Upstroke};

/// What is measured of one action potential.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ActionPotential {
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
}

/// One for each spike.
pub fn measure(v: &Potential, spikes: &[f64], options: &BiomarkerOptions) -> Vec<ActionPotential> {
    let end = v.time(v.len().saturating_sub(1));
    let mut before = v.time(0);
    let mut all = Vec::with_capacity(spikes.len());
    for (k, spike) in spikes.iter().enumerate() {
        let next = spikes.get(k + 1).copied();
        let [rest_time, rest] = v.lowest(before, *spike);
        let below = v.next_downward(*spike, options.threshold).unwrap_or(end);
        let [peak_time, peak] = v.highest(*spike, below.min(next.unwrap_or(end)));
        let [steepest, dvdt_max] = v.steepest(rest_time, peak_time);
        let upstroke = match options.upstroke {
            Upstroke::SteepestRise => steepest,
            Upstroke::Crossing => *spike,
        };
        let duration = |share: f64| {
            let reached = v.next_downward(peak_time, peak - share * (peak - rest));
            reached.filter(|t| next.is_none_or(|next| *t < next)).map(|t| t - upstroke)
        };
        let (apd50, apd90) = (duration(0.5), duration(0.9));
        all.push(ActionPotential {
            upstroke,
            dvdt_max,
            peak_time,
            peak,
            rest,
            amplitude: peak - rest,
            apd50,
            apd90,
            complete: apd90.is_some(),
        });
        before = peak_time;
    }
    all
}

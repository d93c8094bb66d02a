//! What a network was trained on, and whether something else is like it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    responses::{ResponseConfig, Responses},
};

/// Ranges of the steps from t = 0 of a class of the training, amplitudes and durations in the model's units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Steps {
    /// Smallest and largest current.
    pub amplitude: [f64; 2],
    /// Shortest and longest duration.
    pub duration: [f64; 2],
}

/// Which stimuli, starts and parameters a network has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Smallest and largest mean current of a cell.
    pub input: [f64; 2],
    /// Whether every stimulus was one step from t = 0.
    pub steps_from_zero: bool,
    /// Then the ranges of the steps, class by class: a strong current may have been seen for a short time only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Steps>,
    /// Smallest and largest start of each variable, where the start is an input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Vec<[f64; 2]>>,
    /// Ranges of the parameters that are inputs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, [f64; 2]>,
}

const NOTHING: [f64; 2] = [f64::INFINITY, f64::NEG_INFINITY];

fn wider([low, high]: [f64; 2], v: f64) -> [f64; 2] {
    [low.min(v), high.max(v)]
}

impl Seen {
    /// What a set of responses, made by `config`, shows; of windows also their starts.
    pub fn of(set: &Responses, config: &ResponseConfig) -> Self {
        let windows = config.windows > 0;
        let dt = config.t_end / set.points.max(1) as f64;
        let input = set
            .input
            .iter()
            .fold([0.0f64; 2], |range, v| wider(range, f64::from(*v)));
        let mut classes: BTreeMap<u32, (f64, Steps)> = BTreeMap::new();
        let mut steps_from_zero = !windows;
        for k in (0..set.len()).take_while(|_| !windows) {
            let means: Vec<f64> = set.input(k).iter().map(|v| f64::from(*v)).collect();
            let Some([amplitude, cells]) = step_from_zero(&means) else {
                steps_from_zero = false;
                break;
            };
            let (count, steps) = classes.entry(set.class[k]).or_insert((
                0.0,
                Steps {
                    amplitude: NOTHING,
                    duration: NOTHING,
                },
            ));
            *count += 1.0;
            steps.amplitude = wider(steps.amplitude, amplitude);
            steps.duration = wider(steps.duration, cells * dt);
        }
        // The extremes of a class lie about that much beyond those of its samples, on the same side of zero.
        let beyond = |[low, high]: [f64; 2], count: f64| {
            let [below, above] = [
                low - 2.0 * (high - low) / count,
                high + 2.0 * (high - low) / count,
            ];
            [
                if low >= 0.0 { below.max(0.0) } else { below },
                if high <= 0.0 { above.min(0.0) } else { above },
            ]
        };
        let classes = classes.into_values().map(|(count, s)| {
            let [shortest, longest] = beyond(s.duration, count);
            Steps {
                amplitude: beyond(s.amplitude, count),
                duration: [shortest, longest.min(config.t_end)],
            }
        });
        let steps = if steps_from_zero {
            classes.collect()
        } else {
            Vec::new()
        };
        let of = |i: usize| (0..set.len()).map(|k| set.start(k)[i]).fold(NOTHING, wider);
        let start = windows.then(|| (0..set.variables).map(of).collect());
        Seen {
            input,
            steps_from_zero,
            steps,
            start,
            parameters: config.vary.clone(),
        }
    }

    /// The narrowest in duration of the classes that hold a stimulus, given by its means over cells of length `dt`, where it is one step from t = 0.
    pub(super) fn class(&self, means: &[f64], dt: f64) -> Option<usize> {
        let [amplitude, cells] = step_from_zero(means)?;
        let holding = self
            .steps
            .iter()
            .enumerate()
            .filter(|(_, s)| s.hold(amplitude, cells * dt));
        let length = |s: &Steps| s.duration[1] - s.duration[0];
        holding
            .min_by(|a, b| length(a.1).total_cmp(&length(b.1)))
            .map(|(k, _)| k)
    }

    /// Whether a stimulus, by its means over cells of length `dt`, is like those seen by the network called `name`; otherwise what is new about it.
    ///
    /// # Errors
    /// The difference, as wrong input.
    pub(super) fn check_current(&self, means: &[f64], dt: f64, name: &str) -> Result<()> {
        let [low, high] = self.input;
        let slack = 1e-6 * (high - low);
        if let Some(v) = means
            .iter()
            .find(|v| !(low - slack..=high + slack).contains(*v))
        {
            return Err(Error::Invalid(format!(
                "a stimulus of {}; the network of {name} was trained on {}",
                outside(*v, self.input),
                shown_range(self.input)
            )));
        }
        if !self.steps_from_zero {
            return Ok(());
        }
        let Some([amplitude, cells]) = step_from_zero(means) else {
            return Err(Error::Invalid(format!(
                "a stimulus that is not one step from t = 0; the network of {name} was trained on those alone"
            )));
        };
        if self.steps.is_empty() || self.class(means, dt).is_some() {
            return Ok(());
        }
        let duration = cells * dt;
        let known: Vec<String> = self
            .steps
            .iter()
            .map(|s| {
                format!(
                    "{} for {}",
                    shown_range(s.amplitude),
                    shown_range(s.duration)
                )
            })
            .collect();
        Err(Error::Invalid(format!(
            "a step of {} for {}; the network of {name} was trained on steps of {}",
            shown(amplitude),
            shown(duration),
            known.join(", of ")
        )))
    }
}

/// A number with three digits.
fn shown(v: f64) -> f64 {
    format!("{v:.2e}").parse().unwrap_or(v)
}

/// A range, its ends with three digits.
pub(super) fn shown_range([low, high]: [f64; 2]) -> String {
    if low == high {
        shown(low).to_string()
    } else {
        format!("{} to {}", shown(low), shown(high))
    }
}

/// A number outside a range: with three digits, or with all where these would be those of an end.
pub(super) fn outside(v: f64, range: [f64; 2]) -> f64 {
    if range.iter().any(|end| shown(*end) == shown(v)) {
        v
    } else {
        shown(v)
    }
}

impl Steps {
    fn hold(&self, amplitude: f64, duration: f64) -> bool {
        let within = |[low, high]: [f64; 2], v: f64| {
            let slack = 1e-6 * low.abs().max(high.abs());
            (low - slack..=high + slack).contains(&v)
        };
        within(self.amplitude, amplitude) && within(self.duration, duration)
    }
}

/// Height and length in cells of a stimulus that is one step from t = 0: one value, then at most one cell between it and zero, then zero.
fn step_from_zero(means: &[f64]) -> Option<[f64; 2]> {
    let level = *means.first()?;
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * level.abs();
    let on = means.iter().take_while(|v| near(**v, level)).count();
    let rest = &means[on..];
    let between = rest.first().is_none_or(|v| (v - level) * v <= 0.0);
    let is_one = between && rest.iter().skip(1).all(|v| near(*v, 0.0));
    // What a cell holds in part, it tells by its mean.
    let part = rest
        .first()
        .filter(|_| level != 0.0)
        .map_or(0.0, |v| v / level);
    is_one.then_some([level, if level == 0.0 { 0.0 } else { on as f64 + part }])
}

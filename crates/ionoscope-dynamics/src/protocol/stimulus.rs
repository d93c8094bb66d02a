//! The shapes of a stimulus: their fields, when they are active and what current they give.

use serde::{Deserialize, Serialize};

use super::signal::{Stretch, Wave};
use crate::Result;

mod fields;
mod pulses;
mod series;

use fields::{end, fail, finite, not_negative, positive, steps_in};
use pulses::pulses;
pub use pulses::{PulseTrain, S1S2, Step};
pub use series::{Interpolation, Noise, Sampled};

/// One stimulus. In files the shape's fields stand beside its name: `shape = "step"`, `start = 1`, ..
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case")]
pub enum Stimulus {
    /// A constant current.
    Step(Step),
    /// Equal pulses, one a period.
    PulseTrain(PulseTrain),
    /// A train of pulses and one premature or late pulse after it.
    #[serde(rename = "s1-s2")]
    S1S2(S1S2),
    /// A current that changes linearly.
    Ramp(Ramp),
    /// A sine wave.
    Sine(Sine),
    /// Colored noise.
    Noise(Noise),
    /// A current given by its values at some times.
    Sampled(Sampled),
}

/// From `from` at the start linearly to `to` at start + duration; 0 from then on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// When it begins.
    #[serde(default)]
    pub start: f64,
    /// How long it lasts.
    pub duration: f64,
    /// The current at the start.
    pub from: f64,
    /// The current that is reached at the end.
    pub to: f64,
}

/// `offset + amplitude sin(2 pi (t - start) / period + phase)` on [start, start + duration).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sine {
    /// When it begins.
    #[serde(default)]
    pub start: f64,
    /// How long it lasts; for ever where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Half the distance of the extremes.
    pub amplitude: f64,
    /// Time of one oscillation.
    pub period: f64,
    /// Phase at the start, in radians.
    #[serde(default)]
    pub phase: f64,
    /// Current in the middle of the extremes.
    #[serde(default)]
    pub offset: f64,
}

impl Stimulus {
    /// The names of the shapes in files.
    pub const SHAPES: [&str; 7] = [
        "step",
        "pulse-train",
        "s1-s2",
        "ramp",
        "sine",
        "noise",
        "sampled",
    ];

    /// The name of its shape in files.
    pub fn shape(&self) -> &'static str {
        let index = match self {
            Stimulus::Step(_) => 0,
            Stimulus::PulseTrain(_) => 1,
            Stimulus::S1S2(_) => 2,
            Stimulus::Ramp(_) => 3,
            Stimulus::Sine(_) => 4,
            Stimulus::Noise(_) => 5,
            Stimulus::Sampled(_) => 6,
        };
        Self::SHAPES[index]
    }

    /// Checks its numbers.
    ///
    /// # Errors
    /// The first field that makes no sense, and what was expected.
    pub fn check(&self) -> Result<()> {
        match self {
            Stimulus::Step(s) => {
                not_negative("start", s.start)?;
                not_negative("duration", s.duration.unwrap_or(0.0))?;
                finite("amplitude", s.amplitude)
            }
            Stimulus::PulseTrain(s) => s.check(),
            Stimulus::S1S2(s) => s.check(),
            Stimulus::Ramp(s) => {
                not_negative("start", s.start)?;
                not_negative("duration", s.duration)?;
                finite("from", s.from)?;
                finite("to", s.to)?;
                let slope = (s.to - s.from) / s.duration;
                if s.duration > 0.0 && !slope.is_finite() {
                    finite("slope (to - from) / duration", slope)
                } else {
                    Ok(())
                }
            }
            Stimulus::Sine(s) => {
                not_negative("start", s.start)?;
                not_negative("duration", s.duration.unwrap_or(0.0))?;
                finite("amplitude", s.amplitude)?;
                positive("period", s.period)?;
                finite("phase", s.phase)?;
                finite("offset", s.offset)?;
                let Wave { omega, phase, .. } = s.wave();
                if omega.is_finite() && phase.is_finite() {
                    Ok(())
                } else {
                    fail(format!("its period {} is too short", s.period))
                }
            }
            Stimulus::Noise(s) => s.check(),
            Stimulus::Sampled(s) => s.check(),
        }
    }

    /// When it is active: [start, end), the end infinite where it never ends; empty where there is no stimulus. A train is active from its
    /// first pulse to the end of its last.
    pub fn span(&self) -> [f64; 2] {
        match self {
            Stimulus::Step(s) => [s.start, end(s.start, s.duration)],
            Stimulus::PulseTrain(s) => s.span(),
            Stimulus::S1S2(s) => s.span(),
            Stimulus::Ramp(s) => [s.start, s.start + s.duration],
            Stimulus::Sine(s) => [s.start, end(s.start, s.duration)],
            Stimulus::Noise(s) => [s.start, end(s.start, s.duration)],
            Stimulus::Sampled(s) => s.span(),
        }
    }

    /// At least as many as the stretches up to `t_end`, times two: each has a start and an end.
    pub(super) fn most_pieces(&self, t_end: f64) -> f64 {
        let [start, end] = self.span();
        let length = end.min(t_end) - start;
        2.0 * match self {
            Stimulus::PulseTrain(s) => steps_in(length, s.period),
            Stimulus::S1S2(s) => steps_in(length, s.period).min(s.count as f64) + 1.0,
            Stimulus::Noise(s) => steps_in(length, s.dt),
            Stimulus::Sampled(s) => s.times.len() as f64,
            Stimulus::Step(_) | Stimulus::Ramp(_) | Stimulus::Sine(_) => 1.0,
        }
    }

    /// Its current up to `t_end`, in the order of time.
    pub(super) fn stretches(&self, t_end: f64) -> Vec<Stretch> {
        let [start, end] = self.span();
        if !(start < end && start <= t_end) {
            return Vec::new();
        }
        match self {
            Stimulus::Step(s) => vec![Stretch::constant(start, end, s.amplitude)],
            Stimulus::PulseTrain(s) => pulses(s, end, t_end),
            Stimulus::S1S2(s) => {
                let mut all = pulses(&s.s1(), end, t_end);
                let s2 = s.s2();
                all.push(Stretch::constant(s2.start, end, s2.amplitude));
                all
            }
            Stimulus::Ramp(s) => {
                vec![Stretch {
                    start,
                    end,
                    offset: s.from,
                    slope: (s.to - s.from) / s.duration,
                    wave: None,
                }]
            }
            Stimulus::Sine(s) => vec![Stretch {
                wave: Some(s.wave()),
                ..Stretch::constant(start, end, s.offset)
            }],
            Stimulus::Noise(s) => s.stretches(end, t_end),
            Stimulus::Sampled(s) => s.stretches(end, t_end),
        }
    }
}

impl Sine {
    fn wave(&self) -> Wave {
        let omega = std::f64::consts::TAU / self.period;
        Wave {
            amplitude: self.amplitude,
            omega,
            phase: self.phase - omega * self.start,
        }
    }
}

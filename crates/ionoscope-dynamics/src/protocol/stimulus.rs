//! The shapes of a stimulus: their fields, when they are active and what current they give.

use serde::{Deserialize, Serialize};

use super::signal::{Stretch, Wave};
use crate::{
    Error, Result,
    sampling::{normal, stream},
};

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
    /// Coloured noise.
    Noise(Noise),
    /// A current given by its values at some times.
    Sampled(Sampled),
}

/// A constant current on [start, start + duration).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When it begins.
    #[serde(default)]
    pub start: f64,
    /// How long it lasts; for ever where left out. 0 is no stimulus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// The current.
    pub amplitude: f64,
}

/// Pulse k = 0, 1, .. is on [start + k period, start + k period + width). Without `count` and `until` the train never ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulseTrain {
    /// When the first pulse begins.
    #[serde(default)]
    pub start: f64,
    /// The current of a pulse.
    pub amplitude: f64,
    /// How long a pulse lasts, at most a period.
    pub width: f64,
    /// From the start of a pulse to the start of the next.
    pub period: f64,
    /// Number of pulses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// When the train ends; a pulse under way is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
}

/// `count` S1 pulses, one a `period`, then one S2 pulse that begins `coupling` after the start of the last S1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S1S2 {
    /// When the first S1 begins.
    #[serde(default)]
    pub start: f64,
    /// The current of an S1.
    pub amplitude: f64,
    /// How long an S1 lasts.
    pub width: f64,
    /// From the start of an S1 to the start of the next.
    pub period: f64,
    /// Number of S1 pulses.
    pub count: u64,
    /// From the start of the last S1 to the start of the S2.
    pub coupling: f64,
    /// The current of the S2; that of an S1 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s2_amplitude: Option<f64>,
    /// How long the S2 lasts; as an S1 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s2_width: Option<f64>,
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

/// Ornstein-Uhlenbeck noise, sampled every `dt` and held between.
///
/// Sample k holds on [start + k dt, start + (k + 1) dt): mean + z_k with z_0 = sd xi_0 and the exact transition
/// z_(k+1) = a z_k + sd sqrt(1 - a^2) xi_(k+1), a = exp(-dt / correlation_time) (Gillespie 1996, doi 10.1103/PhysRevE.54.2084), so that every
/// sample has standard deviation sd and two that are t apart have correlation exp(-t / correlation_time). A longer run has the same samples
/// and more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// When it begins.
    #[serde(default)]
    pub start: f64,
    /// How long it lasts; for ever where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Mean current.
    #[serde(default)]
    pub mean: f64,
    /// Standard deviation of the current.
    pub sd: f64,
    /// Correlation time; 0 for samples that do not depend on each other.
    pub correlation_time: f64,
    /// Sampling step.
    pub dt: f64,
    /// Seed; the same one gives the same noise. At most 2^63 - 1, the largest whole number in TOML.
    pub seed: u64,
}

/// What a sampled current does between its times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// It keeps the last value.
    #[default]
    Hold,
    /// It runs straight from value to value.
    Linear,
}

/// A current given by its values at some times; 0 before the first time. The last value is kept for ever, unless `duration` ends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// Added to all times.
    #[serde(default)]
    pub start: f64,
    /// How long after its first time it ends; never where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// What it does between the times.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Times, each after the one before.
    pub times: Vec<f64>,
    /// The current at each time.
    pub values: Vec<f64>,
}

fn fail<T>(message: String) -> Result<T> {
    Err(Error::Invalid(message))
}

fn finite(name: &str, value: f64) -> Result<()> {
    if value.is_finite() { Ok(()) } else { fail(format!("its {name} is {value}; expected a finite number")) }
}

fn not_negative(name: &str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() { Ok(()) } else { fail(format!("its {name} is {value}; expected a finite number, 0 or larger")) }
}

fn positive(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() { Ok(()) } else { fail(format!("its {name} is {value}; expected a finite number larger than 0")) }
}

/// The end of an interval that may never end.
fn end(start: f64, duration: Option<f64>) -> f64 {
    duration.map_or(f64::INFINITY, |d| start + d)
}

/// How many steps of `dt` begin in a closed interval, as a floating-point number since it may be huge; never less, perhaps one more.
fn steps_in(length: f64, dt: f64) -> f64 {
    if length >= 0.0 { (length / dt).ceil() + 1.0 } else { 0.0 }
}

fn constant(start: f64, end: f64, offset: f64) -> Stretch {
    Stretch { start, end, offset, slope: 0.0, wave: None }
}

impl Stimulus {
    /// The names of the shapes in files.
    pub const SHAPES: [&str; 7] = ["step", "pulse-train", "s1-s2", "ramp", "sine", "noise", "sampled"];

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
                if s.duration > 0.0 && !slope.is_finite() { finite("slope (to - from) / duration", slope) } else { Ok(()) }
            }
            Stimulus::Sine(s) => {
                not_negative("start", s.start)?;
                not_negative("duration", s.duration.unwrap_or(0.0))?;
                finite("amplitude", s.amplitude)?;
                positive("period", s.period)?;
                finite("phase", s.phase)?;
                finite("offset", s.offset)?;
                let Wave { omega, phase, .. } = s.wave();
                if omega.is_finite() && phase.is_finite() { Ok(()) } else { fail(format!("its period {} is too short", s.period)) }
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
            Stimulus::Step(s) => vec![constant(start, end, s.amplitude)],
            Stimulus::PulseTrain(s) => pulses(s, end, t_end),
            Stimulus::S1S2(s) => {
                let mut all = pulses(&s.s1(), end, t_end);
                let s2 = s.s2();
                all.push(constant(s2.start, end, s2.amplitude));
                all
            }
            Stimulus::Ramp(s) => {
                vec![Stretch { start, end, offset: s.from, slope: (s.to - s.from) / s.duration, wave: None }]
            }
            Stimulus::Sine(s) => vec![Stretch { wave: Some(s.wave()), ..constant(start, end, s.offset) }],
            Stimulus::Noise(s) => s.stretches(end, t_end),
            Stimulus::Sampled(s) => s.stretches(end, t_end),
        }
    }
}

/// The pulses of a train that begin before `end` and not after `t_end`.
fn pulses(s: &PulseTrain, end: f64, t_end: f64) -> Vec<Stretch> {
    // A period may be too small to change the time.
    let most = steps_in(end.min(t_end) - s.start, s.period) as u64;
    (0..s.count.unwrap_or(u64::MAX).min(most))
        .map(|k| s.start + k as f64 * s.period)
        .take_while(|&start| start < end && start <= t_end)
        .map(|start| constant(start, (start + s.width).min(end), s.amplitude))
        .collect()
}

impl PulseTrain {
    fn check(&self) -> Result<()> {
        not_negative("start", self.start)?;
        finite("amplitude", self.amplitude)?;
        not_negative("width", self.width)?;
        positive("period", self.period)?;
        not_negative("until", self.until.unwrap_or(0.0))?;
        if self.width > self.period {
            return fail(format!("its width {} is longer than its period {}; its pulses would overlap", self.width, self.period));
        }
        match (self.count, self.until) {
            (Some(_), Some(_)) => fail("it has both count and until; give one of them".into()),
            (Some(0), _) => fail("its count is 0; expected 1 or more pulses".into()),
            (_, Some(until)) if until < self.start => fail(format!("it has until = {until} before its start {}", self.start)),
            _ => Ok(()),
        }
    }

    fn span(&self) -> [f64; 2] {
        let end = match (self.count, self.until) {
            _ if self.width == 0.0 => self.start,
            (Some(count), _) => self.start + count.saturating_sub(1) as f64 * self.period + self.width,
            (None, Some(until)) => until,
            (None, None) => f64::INFINITY,
        };
        [self.start, end]
    }
}

impl S1S2 {
    fn check(&self) -> Result<()> {
        self.s1().check()?;
        positive("coupling", self.coupling)?;
        finite("s2_amplitude", self.s2().amplitude)?;
        not_negative("s2_width", self.s2().duration.unwrap_or(0.0))?;
        if self.coupling < self.width {
            return fail(format!("its coupling {} is shorter than its width {}; the S2 would overlap the S1", self.coupling, self.width));
        }
        Ok(())
    }

    fn s1(&self) -> PulseTrain {
        let S1S2 { start, amplitude, width, period, count, .. } = *self;
        PulseTrain { start, amplitude, width, period, count: Some(count), until: None }
    }

    fn s2(&self) -> Step {
        let last = self.start + self.count.saturating_sub(1) as f64 * self.period;
        Step {
            start: last + self.coupling,
            duration: Some(self.s2_width.unwrap_or(self.width)),
            amplitude: self.s2_amplitude.unwrap_or(self.amplitude),
        }
    }

    fn span(&self) -> [f64; 2] {
        let s2 = self.s2();
        [self.start, end(s2.start, s2.duration)]
    }
}

impl Sine {
    fn wave(&self) -> Wave {
        let omega = std::f64::consts::TAU / self.period;
        Wave { amplitude: self.amplitude, omega, phase: self.phase - omega * self.start }
    }
}

impl Noise {
    fn check(&self) -> Result<()> {
        not_negative("start", self.start)?;
        not_negative("duration", self.duration.unwrap_or(0.0))?;
        finite("mean", self.mean)?;
        not_negative("sd", self.sd)?;
        not_negative("correlation_time", self.correlation_time)?;
        positive("dt", self.dt)?;
        if self.seed > i64::MAX as u64 {
            return fail(format!("its seed is {}; expected at most {}", self.seed, i64::MAX));
        }
        Ok(())
    }

    fn stretches(&self, end: f64, t_end: f64) -> Vec<Stretch> {
        let mut rng = stream(self.seed, "noise", 0);
        let decay = (-self.dt / self.correlation_time).exp();
        // sqrt(1 - decay^2) without losing its digits for steps far below the correlation time.
        let kick = self.sd * (-(-2.0 * self.dt / self.correlation_time).exp_m1()).sqrt();
        let mut z = self.sd * normal(&mut rng);
        let mut all = Vec::new();
        for k in 0..steps_in(end.min(t_end) - self.start, self.dt) as u64 {
            let [from, to] = [k, k + 1].map(|k| self.start + k as f64 * self.dt);
            if !(from < end && from <= t_end) {
                break;
            }
            all.push(constant(from, to.min(end), self.mean + z));
            z = decay * z + kick * normal(&mut rng);
        }
        all
    }
}

impl Sampled {
    fn check(&self) -> Result<()> {
        let (times, values) = (&self.times, &self.values);
        finite("start", self.start)?;
        not_negative("duration", self.duration.unwrap_or(0.0))?;
        if times.is_empty() {
            return fail("it has no times; expected at least one, with its value".into());
        }
        if times.len() != values.len() {
            return fail(format!("it has {} times and {} values; expected as many of one as of the other", times.len(), values.len()));
        }
        for (what, list) in [("time", times), ("value", values)] {
            if let Some((k, bad)) = list.iter().enumerate().find(|(_, v)| !v.is_finite()) {
                return fail(format!("{what} {} is {bad}; expected a finite number", k + 1));
            }
        }
        not_negative("first time", self.time(0))?;
        for k in 1..times.len() {
            let [before, after] = [self.time(k - 1), self.time(k)];
            if before >= after {
                return fail(format!("time {} is {} after {}; expected times that increase", k + 1, times[k], times[k - 1]));
            }
            let slope = (values[k] - values[k - 1]) / (after - before);
            if self.interpolation == Interpolation::Linear && !slope.is_finite() {
                return fail(format!("value {} is too far from the one before for a straight line", k + 1));
            }
        }
        finite("last time", self.time(times.len() - 1))
    }

    fn time(&self, k: usize) -> f64 {
        self.start + self.times[k]
    }

    fn span(&self) -> [f64; 2] {
        let Some(last) = self.times.len().checked_sub(1) else { return [0.0; 2] };
        let stop = end(self.time(0), self.duration);
        // A last value of 0 is no current and may overlap anything.
        [self.time(0), if self.values.get(last) == Some(&0.0) { stop.min(self.time(last)) } else { stop }]
    }

    fn stretches(&self, end: f64, t_end: f64) -> Vec<Stretch> {
        let n = self.times.len();
        let all = (0..n).map(|k| {
            let (from, offset) = (self.time(k), self.values[k]);
            let to = if k + 1 < n { self.time(k + 1) } else { f64::INFINITY };
            let slope = match self.interpolation {
                Interpolation::Linear if k + 1 < n => (self.values[k + 1] - offset) / (to - from),
                _ => 0.0,
            };
            Stretch { slope, ..constant(from, to.min(end), offset) }
        });
        all.take_while(|s| s.start < end && s.start <= t_end).collect()
    }
}

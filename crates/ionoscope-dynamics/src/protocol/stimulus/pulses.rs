//! Steps, and pulses: regular trains, and S1-S2.

use serde::{Deserialize, Serialize};

use super::fields::{end, fail, finite, not_negative, positive, steps_in};
use crate::{Result, protocol::signal::Stretch};

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

/// The pulses of a train that begin before `end` and not after `t_end`.
pub(super) fn pulses(s: &PulseTrain, end: f64, t_end: f64) -> Vec<Stretch> {
    // A period may be too small to change the time.
    let most = steps_in(end.min(t_end) - s.start, s.period) as u64;
    (0..s.count.unwrap_or(u64::MAX).min(most))
        .map(|k| s.start + k as f64 * s.period)
        .take_while(|&start| start < end && start <= t_end)
        .map(|start| Stretch::constant(start, (start + s.width).min(end), s.amplitude))
        .collect()
}

impl PulseTrain {
    pub(super) fn check(&self) -> Result<()> {
        not_negative("start", self.start)?;
        finite("amplitude", self.amplitude)?;
        not_negative("width", self.width)?;
        positive("period", self.period)?;
        not_negative("until", self.until.unwrap_or(0.0))?;
        if self.width > self.period {
            return fail(format!(
                "its width {} is longer than its period {}; its pulses would overlap",
                self.width, self.period
            ));
        }
        match (self.count, self.until) {
            (Some(_), Some(_)) => fail("it has both count and until; give one of them".into()),
            (Some(0), _) => fail("its count is 0; expected 1 or more pulses".into()),
            (_, Some(until)) if until < self.start => fail(format!(
                "it has until = {until} before its start {}",
                self.start
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn span(&self) -> [f64; 2] {
        let end = match (self.count, self.until) {
            _ if self.width == 0.0 => self.start,
            (Some(count), _) => {
                self.start + count.saturating_sub(1) as f64 * self.period + self.width
            }
            (None, Some(until)) => until,
            (None, None) => f64::INFINITY,
        };
        [self.start, end]
    }
}

impl S1S2 {
    pub(super) fn check(&self) -> Result<()> {
        self.s1().check()?;
        positive("coupling", self.coupling)?;
        finite("s2_amplitude", self.s2().amplitude)?;
        not_negative("s2_width", self.s2().duration.unwrap_or(0.0))?;
        if self.coupling < self.width {
            return fail(format!(
                "its coupling {} is shorter than its width {}; the S2 would overlap the S1",
                self.coupling, self.width
            ));
        }
        Ok(())
    }

    pub(super) fn s1(&self) -> PulseTrain {
        let S1S2 {
            start,
            amplitude,
            width,
            period,
            count,
            ..
        } = *self;
        PulseTrain {
            start,
            amplitude,
            width,
            period,
            count: Some(count),
            until: None,
        }
    }

    pub(super) fn s2(&self) -> Step {
        let last = self.start + self.count.saturating_sub(1) as f64 * self.period;
        Step {
            start: last + self.coupling,
            duration: Some(self.s2_width.unwrap_or(self.width)),
            amplitude: self.s2_amplitude.unwrap_or(self.amplitude),
        }
    }

    pub(super) fn span(&self) -> [f64; 2] {
        let s2 = self.s2();
        [self.start, end(s2.start, s2.duration)]
    }
}

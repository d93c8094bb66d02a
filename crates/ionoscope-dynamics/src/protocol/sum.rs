//! A protocol: a sum of stimuli, its checks, and its current over time.

use serde::{Deserialize, Serialize};

use super::{
    signal::{Signal, tolerance},
    stimulus::{Step, Stimulus},
};
use crate::{Error, Result, spec::Spec};

/// Most pieces that a signal may have; beyond, it would fill the memory.
pub const MOST_PIECES: usize = 1 << 22;

/// Whether stimuli may be active at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// No: stimuli that overlap are an error.
    #[default]
    Refuse,
    /// Yes, and their currents add.
    Add,
}

impl Overlap {
    pub(super) fn is_default(&self) -> bool {
        *self == Overlap::default()
    }
}

/// A sum of stimuli.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Whether the stimuli may overlap.
    #[serde(default, skip_serializing_if = "Overlap::is_default")]
    pub overlap: Overlap,
    /// Unit of the currents, where it is to be checked against that of a system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Unit of the times, where it is to be checked against that of a system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<String>,
    /// The stimuli.
    #[serde(default, rename = "stimulus")]
    pub stimuli: Vec<Stimulus>,
}

impl From<Stimulus> for Protocol {
    fn from(stimulus: Stimulus) -> Self {
        Protocol {
            stimuli: vec![stimulus],
            ..Protocol::default()
        }
    }
}

impl Protocol {
    /// No stimulus.
    pub fn none() -> Self {
        Protocol::default()
    }

    /// The same current for ever; of 0, no stimulus at all, which is what systems without one take.
    pub fn constant(amplitude: f64) -> Self {
        if amplitude == 0.0 {
            return Protocol::none();
        }
        Stimulus::Step(Step {
            start: 0.0,
            duration: None,
            amplitude,
        })
        .into()
    }

    /// A constant current on [start, start + duration).
    pub fn step(start: f64, duration: f64, amplitude: f64) -> Self {
        Stimulus::Step(Step {
            start,
            duration: Some(duration),
            amplitude,
        })
        .into()
    }

    /// From when on the current no longer changes; none where it changes for ever.
    pub fn constant_from(&self) -> Option<f64> {
        let last = |s: &Stimulus| match s.span() {
            [start, end] if start >= end => 0.0,
            [start, end] if matches!(s, Stimulus::Step(_)) && end == f64::INFINITY => start,
            [_, end] => end,
        };
        let from = self.stimuli.iter().map(last).fold(0.0, f64::max);
        from.is_finite().then_some(from)
    }

    /// Whether there is no stimulus at all.
    pub fn is_none(&self) -> bool {
        self.stimuli.is_empty()
    }

    /// Checks what was given.
    ///
    /// # Errors
    /// A stimulus, counted from 1, with a number that makes no sense; two that overlap although the protocol does not say that they may.
    pub fn check(&self) -> Result<()> {
        for (k, stimulus) in self.stimuli.iter().enumerate() {
            stimulus
                .check()
                .map_err(|e| Error::Invalid(format!("{}: {e}", self.label(k))))?;
        }
        if self.overlap == Overlap::Add {
            return Ok(());
        }
        let mut spans: Vec<([f64; 2], usize)> = self
            .stimuli
            .iter()
            .enumerate()
            .map(|(k, s)| (s.span(), k))
            .collect();
        spans.retain(|([start, end], _)| start < end);
        spans.sort_by(|a, b| a.0[0].total_cmp(&b.0[0]));
        for pair in spans.windows(2) {
            // Of sorted intervals, two overlap only if two neighbors do.
            let [([_, end], a), ([start, _], b)] = [pair[0], pair[1]];
            if start < end - tolerance(start) {
                let described = |k: usize| {
                    let [from, to] = self.stimuli[k].span();
                    format!("{}, active on [{from}, {to})", self.label(k))
                };
                let (first, second) = (described(a.min(b)), described(a.max(b)));
                return Err(Error::Invalid(format!(
                    "{first}, and {second}, overlap; move one of them, or write overlap = \"add\" above the stimuli if their currents are to \
                     add"
                )));
            }
        }
        Ok(())
    }

    /// [`Protocol::check`], and that the signal up to `t_end` has no more than [`MOST_PIECES`] pieces.
    ///
    /// # Errors
    /// As [`Protocol::check`]; too many pulses or samples.
    pub fn check_until(&self, t_end: f64) -> Result<()> {
        self.check()?;
        let pieces: f64 = self.stimuli.iter().map(|s| s.most_pieces(t_end)).sum();
        if pieces > MOST_PIECES as f64 {
            return Err(Error::Invalid(format!(
                "the stimulus switches {pieces:.3e} times until t = {t_end}; at most {MOST_PIECES} are kept in memory: shorten the run, or \
                 lengthen the periods and sampling steps"
            )));
        }
        Ok(())
    }

    /// Checks the units, where the protocol names them, against those of a system.
    ///
    /// # Errors
    /// A unit that is not the system's.
    pub fn check_units(&self, spec: &Spec) -> Result<()> {
        for (what, given, wanted) in [
            ("unit", &self.unit, &spec.stimulus_unit),
            ("time_unit", &self.time_unit, &spec.time_unit),
        ] {
            if let Some(given) = given.as_ref().filter(|given| given.trim() != wanted.trim()) {
                return Err(Error::Invalid(format!(
                    "the protocol has {what} = \"{given}\", but {} takes {wanted}; convert its numbers and write {what} = \"{wanted}\"",
                    spec.id
                )));
            }
        }
        Ok(())
    }

    /// The current as the integrators see it, for 0 <= t <= `t_end`. Takes n ln n time in the number of pieces.
    ///
    /// What lies beyond `t_end` is cut. [`Protocol::check_until`] tells whether this makes sense.
    pub fn signal(&self, t_end: f64) -> Signal {
        Signal::from_stretches(
            self.stimuli
                .iter()
                .flat_map(|s| s.stretches(t_end))
                .collect(),
            t_end,
        )
    }

    fn label(&self, k: usize) -> String {
        format!("stimulus {} ({})", k + 1, self.stimuli[k].shape())
    }
}

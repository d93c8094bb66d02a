//! Stimulus protocols: what current a cell is given over time.
//!
//! A [`Protocol`] is a sum of [`Stimulus`]es, each active on the half-open interval [start, start + duration). A positive current
//! depolarises in every model; its unit is [`Spec::stimulus_unit`](crate::spec::Spec). Integrators see a [`Signal`], cut into pieces at
//! every time where the current jumps or bends, and stop there exactly.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What one stimulus does while it is active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A constant current.
    Step {
        /// The current.
        amplitude: f64,
    },
}

/// One stimulus, active on [start, start + duration).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stimulus {
    /// When it begins, in the system's unit of time.
    pub start: f64,
    /// How long it lasts; none for ever. 0 is no stimulus.
    pub duration: Option<f64>,
    /// What it does meanwhile.
    pub shape: Shape,
}

/// A sum of stimuli.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// The stimuli; where several are active, their currents add.
    pub stimuli: Vec<Stimulus>,
}

/// `amplitude * sin(omega * t + phase)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wave {
    /// Amplitude, in the unit of the current.
    pub amplitude: f64,
    /// Angular frequency.
    pub omega: f64,
    /// Phase at t = 0, in radians.
    pub phase: f64,
}

/// A stretch of time on which the current is smooth: `offset + slope (t - start) + sum of waves`.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Where it begins; it ends where the next one begins.
    pub start: f64,
    /// The current at the start, waves apart.
    pub offset: f64,
    /// Change of the current per unit of time.
    pub slope: f64,
    /// Oscillations that are added.
    pub waves: Vec<Wave>,
}

/// A current over time, piece by piece; the first piece begins at 0, the last never ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The pieces, in the order of their starts.
    pub pieces: Vec<Piece>,
}

impl Piece {
    /// The current at `t` by this piece's formula.
    #[inline]
    pub fn value(&self, t: f64) -> f64 {
        self.waves.iter().fold(self.offset + self.slope * (t - self.start), |sum, w| sum + w.value(t))
    }

    /// The rate of change of the current at `t` by this piece's formula.
    #[inline]
    pub fn rate(&self, t: f64) -> f64 {
        self.waves.iter().fold(self.slope, |sum, w| sum + w.rate(t))
    }
}

impl Wave {
    /// The current at `t`.
    #[inline]
    pub fn value(&self, t: f64) -> f64 {
        self.amplitude * (self.omega * t + self.phase).sin()
    }

    /// Its rate of change at `t`.
    #[inline]
    pub fn rate(&self, t: f64) -> f64 {
        self.amplitude * self.omega * (self.omega * t + self.phase).cos()
    }
}

impl Protocol {
    /// No stimulus.
    pub fn none() -> Self {
        Protocol::default()
    }

    /// The same current for ever.
    pub fn constant(amplitude: f64) -> Self {
        Protocol { stimuli: vec![Stimulus { start: 0.0, duration: None, shape: Shape::Step { amplitude } }] }
    }

    /// A constant current on [start, start + duration).
    pub fn step(start: f64, duration: f64, amplitude: f64) -> Self {
        Protocol { stimuli: vec![Stimulus { start, duration: Some(duration), shape: Shape::Step { amplitude } }] }
    }

    /// Whether there is no stimulus at all.
    pub fn is_none(&self) -> bool {
        self.stimuli.is_empty()
    }

    /// Checks what was given.
    ///
    /// # Errors
    /// A start, duration or amplitude that makes no sense, by the stimulus' index.
    pub fn check(&self) -> Result<()> {
        for (k, s) in self.stimuli.iter().enumerate() {
            let Shape::Step { amplitude } = s.shape;
            for (what, value, low) in
                [("start", s.start, 0.0), ("duration", s.duration.unwrap_or(0.0), 0.0), ("amplitude", amplitude, f64::MIN)]
            {
                if !(value >= low && value.is_finite()) {
                    let bound = if low == 0.0 { ", 0 or larger" } else { "" };
                    return Err(Error::Invalid(format!("stimulus {k}: its {what} is {value}; expected a finite number{bound}")));
                }
            }
        }
        Ok(())
    }

    /// The current as the integrators see it, for 0 <= t <= `t_end`.
    pub fn signal(&self, t_end: f64) -> Signal {
        let active = |s: &Stimulus, t: f64| s.start <= t && s.duration.is_none_or(|d| t < s.start + d);
        let mut starts = vec![0.0];
        for s in &self.stimuli {
            starts.extend([Some(s.start), s.duration.map(|d| s.start + d)].into_iter().flatten().filter(|t| *t < t_end));
        }
        starts.sort_by(f64::total_cmp);
        starts.dedup();
        let pieces = starts.into_iter().map(|start| {
            let offset = self.stimuli.iter().filter(|s| active(s, start)).map(|s| match s.shape {
                Shape::Step { amplitude } => amplitude,
            });
            Piece { start, offset: offset.sum(), slope: 0.0, waves: Vec::new() }
        });
        Signal { pieces: pieces.collect() }
    }
}

impl Signal {
    /// The current at `t`: at a switching time that of the piece which begins.
    pub fn value(&self, t: f64) -> f64 {
        let k = self.pieces.partition_point(|p| p.start <= t).max(1) - 1;
        self.pieces[k].value(t)
    }
}

//! Stimulus protocols: what current a cell is given over time.
//!
//! A [`Protocol`] is a sum of [`Stimulus`]es, each active on a half-open interval [start, end). A positive current depolarizes in every
//! model; its unit is [`Spec::stimulus_unit`](crate::spec::Spec::stimulus_unit). Integrators see a [`Signal`], cut into pieces at every time where the current jumps or
//! bends, and stop there exactly.
//!
//! Times nearer to each other than rounding can put them (a relative 1e-13) are one: 0.1 + 0.2 and 0.3 are the same switching time, so
//! stimuli that are meant to touch neither overlap nor leave a gap.

mod families;
mod family;
mod pellegrini_2025;
mod signal;
mod stimulus;
mod sum;

pub use family::{Class, Draw, Field, Member, ProtocolFamily, Range, Scale};
pub use signal::{Piece, Signal, Wave};
pub use stimulus::{Interpolation, Noise, PulseTrain, Ramp, S1S2, Sampled, Sine, Step, Stimulus};
pub use sum::{MOST_PIECES, Overlap, Protocol};

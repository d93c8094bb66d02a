//! The stimulus of a group of lanes: each lane is on a piece of its own, and stops where the next one begins.

use crate::{
    protocol::{Piece, Protocol, Signal},
    real::Lane,
};

/// The present piece of every lane: `offset + slope (t - start)`, and the waves of those that have any.
pub struct LaneStimulus<const W: usize> {
    offset: Lane<W>,
    slope: Lane<W>,
    start: Lane<W>,
    /// The pieces of the lanes with waves, by lane; these are evaluated one by one.
    waves: Vec<(usize, Piece)>,
}

impl<const W: usize> LaneStimulus<W> {
    /// No stimulus in any lane.
    pub fn none() -> Self {
        let zero = Lane([0.0; W]);
        LaneStimulus {
            offset: zero,
            slope: zero,
            start: zero,
            waves: Vec::new(),
        }
    }

    /// The current of every lane at its time.
    #[inline(always)]
    pub fn at(&self, t: Lane<W>) -> Lane<W> {
        let mut i_stim = self.offset + self.slope * (t - self.start);
        for (lane, piece) in &self.waves {
            i_stim.0[*lane] = piece.value(t.0[*lane]);
        }
        i_stim
    }

    /// The rate of change of the current of every lane at its time.
    #[inline(always)]
    pub fn rate(&self, t: Lane<W>) -> Lane<W> {
        let mut rate = self.slope;
        for (lane, piece) in &self.waves {
            rate.0[*lane] = piece.rate(t.0[*lane]);
        }
        rate
    }

    fn set(&mut self, i: usize, piece: &Piece) {
        self.offset.0[i] = piece.offset;
        self.slope.0[i] = piece.slope;
        self.start.0[i] = piece.start;
        self.waves.retain(|(lane, _)| *lane != i);
        if !piece.waves.is_empty() {
            self.waves.push((i, piece.clone()));
        }
    }
}

/// Where one trajectory is in its stimulus.
pub struct Stimulated {
    signal: Signal,
    next: usize,
    t_end: f64,
}

impl Stimulated {
    /// At the beginning of a run that ends at `t_end`.
    pub fn new(protocol: &Protocol, t_end: f64) -> Self {
        Stimulated {
            signal: protocol.signal(t_end),
            next: 0,
            t_end,
        }
    }

    /// Puts lane `i` on the piece that holds at `t`; the time at which to stop next.
    pub fn switch_to<const W: usize>(
        &mut self,
        t: f64,
        lanes: &mut LaneStimulus<W>,
        i: usize,
    ) -> f64 {
        while self
            .signal
            .pieces
            .get(self.next)
            .is_some_and(|p| p.start <= t)
        {
            self.next += 1;
        }
        if let Some(piece) = self
            .next
            .checked_sub(1)
            .and_then(|k| self.signal.pieces.get(k))
        {
            lanes.set(i, piece);
        }
        self.signal
            .pieces
            .get(self.next)
            .map_or(self.t_end, |p| p.start.min(self.t_end))
    }
}

//! The current over time as integrators, maps and operators take it: smooth pieces and the exact times between them.

/// Times closer than this share of themselves are one. Start + k period errs by three units in the last place (7e-16), a time that was
/// summed up from 10^4 steps by 1e-14.
const SAME_TIME: f64 = 1e-13;
/// Below this, times are 0.
const SMALLEST_TIME: f64 = 1e-30;

/// How far from `t` another time may be to be the same.
pub(super) fn tolerance(t: f64) -> f64 {
    (SAME_TIME * t).max(SMALLEST_TIME)
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

/// What one stimulus gives on [start, end): `offset + slope (t - start)` and perhaps a wave. The stretches of one stimulus are disjoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub start: f64,
    pub end: f64,
    pub offset: f64,
    pub slope: f64,
    pub wave: Option<Wave>,
}

impl Stretch {
    /// A constant current.
    pub fn constant(start: f64, end: f64, offset: f64) -> Self {
        Stretch {
            start,
            end,
            offset,
            slope: 0.0,
            wave: None,
        }
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

    /// Its mean over [t0, t1]: the value in the middle, times sin(a)/a with a = omega (t1 - t0) / 2.
    fn mean(&self, t0: f64, t1: f64) -> f64 {
        let half = 0.5 * self.omega * (t1 - t0);
        self.value(t0 + 0.5 * (t1 - t0)) * if half == 0.0 { 1.0 } else { half.sin() / half }
    }
}

impl Piece {
    /// The current at `t` by this piece's formula.
    #[inline]
    pub fn value(&self, t: f64) -> f64 {
        self.waves
            .iter()
            .fold(self.offset + self.slope * (t - self.start), |sum, w| {
                sum + w.value(t)
            })
    }

    /// The rate of change of the current at `t` by this piece's formula.
    #[inline]
    pub fn rate(&self, t: f64) -> f64 {
        self.waves.iter().fold(self.slope, |sum, w| sum + w.rate(t))
    }

    fn mean(&self, t0: f64, t1: f64) -> f64 {
        let middle = t0 + 0.5 * (t1 - t0);
        self.waves.iter().fold(
            self.offset + self.slope * (middle - self.start),
            |sum, w| sum + w.mean(t0, t1),
        )
    }

    fn is_constant(&self) -> bool {
        self.slope == 0.0 && self.waves.is_empty()
    }
}

impl Signal {
    /// The current at `t`: at a switching time that of the piece which begins.
    pub fn value(&self, t: f64) -> f64 {
        self.pieces[self.index(t)].value(t)
    }

    /// The mean current over [t0, t1], exact but for rounding; the value at `t0` where the interval is empty. What maps and operators that
    /// advance by t1 - t0 take as their input.
    pub fn mean(&self, t0: f64, t1: f64) -> f64 {
        let first = self.index(t0);
        let end_of = |k: usize| {
            self.pieces
                .get(k + 1)
                .map_or(f64::INFINITY, |next| next.start)
        };
        if t1 <= t0 {
            return self.pieces[first].value(t0);
        }
        if t1 <= end_of(first) {
            return self.pieces[first].mean(t0, t1);
        }
        let (mut k, mut from, mut integral) = (first, t0, 0.0);
        while from < t1 {
            let to = end_of(k).min(t1);
            integral += self.pieces[k].mean(from, to) * (to - from);
            (k, from) = (k + 1, to);
        }
        integral / (t1 - t0)
    }

    fn index(&self, t: f64) -> usize {
        self.pieces.partition_point(|p| p.start <= t).max(1) - 1
    }

    /// The sum of stretches up to `t_end`.
    ///
    /// Starts and ends that are the same but for rounding become one switching time, the earliest of them, at which both have happened: a
    /// start or an end that was given is never late, and no piece is too short for a step. For the same reason a switch that is the same as
    /// `t_end` happens there.
    pub(super) fn from_stretches(mut stretches: Vec<Stretch>, t_end: f64) -> Signal {
        let last = t_end - tolerance(t_end);
        let at = |t: f64| if t > last && t < t_end { t_end } else { t };
        let mut marks: Vec<f64> = stretches
            .iter()
            .flat_map(|s| [at(s.start), at(s.end)])
            .filter(|t| *t <= t_end)
            .collect();
        marks.push(0.0);
        marks.sort_by(f64::total_cmp);
        let mut switches: Vec<f64> = Vec::with_capacity(marks.len());
        for t in marks {
            if switches
                .last()
                .is_none_or(|before| t - before > tolerance(t))
            {
                switches.push(t);
            }
        }
        // The last switching time that is not after t; those behind t_end are never reached.
        let index = |t: f64| {
            if t > t_end {
                usize::MAX
            } else {
                switches.partition_point(|s| *s <= at(t)).max(1) - 1
            }
        };
        stretches.sort_by(|a, b| a.start.total_cmp(&b.start));
        let mut coming = stretches
            .iter()
            .map(|s| (index(s.start), index(s.end), s))
            .filter(|(from, to, _)| from < to)
            .peekable();
        let mut active: Vec<(usize, &Stretch)> = Vec::new();
        let mut pieces: Vec<Piece> = Vec::with_capacity(switches.len());
        for (k, &start) in switches.iter().enumerate() {
            active.retain(|(to, _)| k < *to);
            while let Some((_, to, s)) = coming.next_if(|(from, ..)| *from <= k) {
                active.push((to, s));
            }
            let mut piece = Piece {
                start,
                offset: 0.0,
                slope: 0.0,
                waves: Vec::new(),
            };
            for (_, s) in &active {
                piece.offset += s.offset + s.slope * (start - s.start);
                piece.slope += s.slope;
                piece.waves.extend(s.wave);
            }
            // A constant that goes on is no switch.
            if !pieces
                .last()
                .is_some_and(|p| p.is_constant() && piece.is_constant() && p.offset == piece.offset)
            {
                pieces.push(piece);
            }
        }
        Signal { pieces }
    }
}

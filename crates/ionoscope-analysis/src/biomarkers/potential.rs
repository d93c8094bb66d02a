//! A potential between its samples: one cubic on each sampling interval, from the values and slopes at its ends (Hermite), so that crossings and
//! peaks err by the fourth power of the step, slopes by the third.

use ionoscope_dynamics::{
    protocol::Signal,
    system::{DynamicalSystem, Time},
};

use crate::{Error, Result};

/// A potential over time, sampled in equal steps, with its slopes.
#[derive(Debug, Clone, PartialEq)]
pub struct Potential {
    start: f64,
    dt: f64,
    v: Vec<f64>,
    /// Slope at the left and at the right end of the interval that begins with each sample; a switch of the stimulus parts them.
    slope: Vec<[f64; 2]>,
}

impl Potential {
    /// From samples alone: slopes are differences of five neighbours (of fourth order).
    ///
    /// # Errors
    /// A sample that is not finite, a step that is not positive, a start that is not finite.
    pub fn from_samples(start: f64, dt: f64, v: Vec<f64>) -> Result<Self> {
        if !(start.is_finite() && dt > 0.0 && dt.is_finite()) {
            return Err(Error::Invalid(format!("samples from {start} in steps of {dt}; expected a finite start and a step larger than 0")));
        }
        if let Some(k) = v.iter().position(|v| !v.is_finite()) {
            return Err(Error::Invalid(format!("sample {k} of the potential is {}; expected finite numbers", v[k])));
        }
        let at: Vec<f64> = (0..v.len()).map(|k| difference(&v, k) / dt).collect();
        let slope = at.windows(2).map(|w| [w[0], w[1]]).collect();
        Ok(Potential { start, dt, v, slope })
    }

    /// Of variable `i` along states `[time][variable]` of a system from time `start` under parameters `p` and the current `signal` (in the same
    /// time). A flow's slopes are its own rule; a map has none and is taken by its samples.
    ///
    /// # Errors
    /// As [`Potential::from_samples`].
    pub fn of(system: &dyn DynamicalSystem, i: usize, p: &[f64], signal: &Signal, start: f64, dt: f64, states: &[f64]) -> Result<Self> {
        let n = system.dimension();
        let v = states.iter().skip(i).step_by(n).copied().collect();
        let mut potential = Potential::from_samples(start, dt, v)?;
        if system.time() != Time::Continuous {
            return Ok(potential);
        }
        let mut dx = vec![0.0; n];
        let mut slope = |k: usize, i_stim: f64| {
            system.rule(&states[k * n..(k + 1) * n], i_stim, p, &mut dx);
            dx[i]
        };
        for k in 0..potential.slope.len() {
            // A switch that meets a sample to rounding belongs to the interval that it begins.
            let (a, b) = (start + k as f64 * dt, start + (k + 1) as f64 * dt);
            let piece = &signal.pieces[signal.pieces.partition_point(|piece| piece.start <= a + 1e-9 * dt).max(1) - 1];
            let last = &signal.pieces[signal.pieces.partition_point(|piece| piece.start < b - 1e-9 * dt).max(1) - 1];
            potential.slope[k] = [slope(k, piece.value(a)), slope(k + 1, last.value(b))];
        }
        Ok(potential)
    }

    /// Adds what follows: its first sample is this one's last.
    pub(super) fn append(&mut self, next: Potential) {
        self.v.extend_from_slice(&next.v[1..]);
        self.slope.extend(next.slope);
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.v.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.v.is_empty()
    }

    /// The samples.
    pub fn samples(&self) -> &[f64] {
        &self.v
    }

    /// Time of a sample.
    pub fn time(&self, k: usize) -> f64 {
        self.start + k as f64 * self.dt
    }

    /// Spacing of the samples.
    pub fn dt(&self) -> f64 {
        self.dt
    }

    /// The first sample.
    pub fn first(&self) -> Option<f64> {
        self.v.first().copied()
    }

    /// Times of all upward crossings of a level, two within one interval included.
    pub fn upward_crossings(&self, level: f64) -> Vec<f64> {
        (0..self.slope.len()).filter_map(|k| self.crossing(k, level, Sign::Up)).collect()
    }

    /// The first downward crossing of a level after a time.
    pub(super) fn next_downward(&self, after: f64, level: f64) -> Option<f64> {
        (self.interval(after)..self.slope.len()).find_map(|k| self.crossing(k, level, Sign::Down).filter(|t| *t > after))
    }

    /// Time and value of the highest point of [from, to].
    pub(super) fn highest(&self, from: f64, to: f64) -> [f64; 2] {
        self.extreme(from, to, |cubic, s| cubic.value(s), Cubic::flat)
    }

    /// Time and value of the lowest point of [from, to].
    pub(super) fn lowest(&self, from: f64, to: f64) -> [f64; 2] {
        let [t, v] = self.extreme(from, to, |cubic, s| -cubic.value(s), Cubic::flat);
        [t, -v]
    }

    /// Time and slope of the steepest rise in [from, to].
    pub(super) fn steepest(&self, from: f64, to: f64) -> [f64; 2] {
        let [t, slope] = self.extreme(from, to, |cubic, s| cubic.slope(s), |cubic| [cubic.inflection(), None]);
        [t, slope / self.dt]
    }

    fn extreme(&self, from: f64, to: f64, f: impl Fn(&Cubic, f64) -> f64, inner: impl Fn(&Cubic) -> [Option<f64>; 2]) -> [f64; 2] {
        let mut best = [from, f64::NEG_INFINITY];
        for k in self.interval(from)..=self.interval(to) {
            let (cubic, begin) = (self.cubic(k), self.time(k));
            let (low, high) = (((from - begin) / self.dt).max(0.0), ((to - begin) / self.dt).min(1.0));
            let inner = inner(&cubic).into_iter().flatten().filter(|s| low < *s && *s < high);
            for s in [low, high].into_iter().chain(inner) {
                let value = f(&cubic, s);
                if value > best[1] {
                    best = [begin + s * self.dt, value];
                }
            }
        }
        best
    }

    /// The interval in which a time lies.
    fn interval(&self, t: f64) -> usize {
        (((t - self.start) / self.dt).floor().max(0.0) as usize).min(self.slope.len() - 1)
    }

    fn cubic(&self, k: usize) -> Cubic {
        let (a, b, [p, q]) = (self.v[k], self.v[k + 1], self.slope[k].map(|s| s * self.dt));
        Cubic([a, p, 3.0 * (b - a) - 2.0 * p - q, p + q - 2.0 * (b - a)])
    }

    /// The first crossing within an interval. One at a sample belongs to the interval that it begins when upward, to the one it ends when downward.
    fn crossing(&self, k: usize, level: f64, sign: Sign) -> Option<f64> {
        let cubic = self.cubic(k);
        let below = |s: f64| (cubic.value(s) < level) == (sign == Sign::Up);
        // The cubic is monotone between these.
        let mut stops = vec![0.0];
        let mut inner: Vec<f64> = cubic.flat().into_iter().flatten().filter(|s| 0.0 < *s && *s < 1.0).collect();
        inner.sort_by(f64::total_cmp);
        stops.extend(inner);
        stops.push(1.0);
        // The ends are samples, not what rounding makes of them.
        let is_below = |s: f64| match s {
            0.0 => (self.v[k] < level) == (sign == Sign::Up),
            1.0 => (self.v[k + 1] < level) == (sign == Sign::Up),
            _ => below(s),
        };
        let (mut low, mut high) = stops.windows(2).map(|w| (w[0], w[1])).find(|(a, b)| is_below(*a) && !is_below(*b))?;
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if below(middle) { low = middle } else { high = middle }
        }
        Some(self.time(k) + 0.5 * (low + high) * self.dt)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Up,
    Down,
}

/// a + b s + c s^2 + d s^3 on [0, 1].
struct Cubic([f64; 4]);

impl Cubic {
    fn value(&self, s: f64) -> f64 {
        let [a, b, c, d] = self.0;
        a + s * (b + s * (c + s * d))
    }

    fn slope(&self, s: f64) -> f64 {
        let [_, b, c, d] = self.0;
        b + s * (2.0 * c + s * 3.0 * d)
    }

    /// Where the slope is 0.
    fn flat(&self) -> [Option<f64>; 2] {
        let [_, b, c, d] = self.0;
        let root = (c * c - 3.0 * b * d).sqrt();
        // The form that does not cancel; NaN where there is none.
        let q = -(c + root.copysign(c));
        [q / (3.0 * d), b / q].map(|s| s.is_finite().then_some(s))
    }

    /// Where the slope has its extreme.
    fn inflection(&self) -> Option<f64> {
        let s = -self.0[2] / (3.0 * self.0[3]);
        s.is_finite().then_some(s)
    }
}

/// The derivative by the index at sample k, of fourth order (of lower order with fewer than five samples).
fn difference(v: &[f64], k: usize) -> f64 {
    let n = v.len();
    if n < 5 {
        let (a, b) = (k.saturating_sub(1), (k + 1).min(n - 1));
        return if a == b { 0.0 } else { (v[b] - v[a]) / (b - a) as f64 };
    }
    // Weights of the five nearest samples by the position among them.
    const WEIGHTS: [[f64; 5]; 5] = [
        [-25.0, 48.0, -36.0, 16.0, -3.0],
        [-3.0, -10.0, 18.0, -6.0, 1.0],
        [1.0, -8.0, 0.0, 8.0, -1.0],
        [-1.0, 6.0, -18.0, 10.0, 3.0],
        [3.0, -16.0, 36.0, -48.0, 25.0],
    ];
    let first = k.saturating_sub(2).min(n - 5);
    v[first..first + 5].iter().zip(WEIGHTS[k - first]).map(|(v, w)| v * w).sum::<f64>() / 12.0
}

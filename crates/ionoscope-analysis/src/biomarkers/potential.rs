//! A potential over time as a chain of polynomials: a flow's are the integrator's own, step by step; of samples there is one cubic on each interval,
//! from the values and slopes at its ends (Hermite), so that crossings and peaks err by the fourth power of the sampling step, slopes by the third.
//!
//! What is looked for (crossings, extremes) is found on these polynomials to rounding: the form of Bernstein bounds a polynomial by its terms, and has
//! as many real roots in an interval as its terms change sign, or fewer by an even number.

use ionoscope_dynamics::curve::{Curve, CurvePiece, TERMS};

use crate::{Error, Result};

/// Bisections of a bracket: more than halve it to rounding.
const HALVINGS: usize = 56;
/// Roots nearer to each other than this share of a piece are one.
const SAME_ROOT: f64 = 1e-9;

/// A potential over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Potential {
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// The integrator's own polynomials.
    Curve(Curve),
    /// Equal steps, with the slope at both ends of the interval that begins with each sample.
    Even {
        start: f64,
        dt: f64,
        v: Vec<f64>,
        slope: Vec<[f64; 2]>,
    },
    /// As before, at any times: equal steps and the corners between them.
    Given {
        dt: f64,
        times: Vec<f64>,
        v: Vec<f64>,
        slope: Vec<[f64; 2]>,
    },
}

/// What an extreme is looked for of.
#[derive(Clone, Copy)]
enum Of {
    Value,
    Negative,
    Slope,
}

impl Potential {
    /// From samples alone: slopes are differences of five neighbors (of fourth order).
    ///
    /// # Errors
    /// A sample that is not finite, a step that is not positive, a start that is not finite.
    pub fn from_samples(start: f64, dt: f64, v: Vec<f64>) -> Result<Self> {
        if !(start.is_finite() && dt > 0.0 && dt.is_finite()) {
            return Err(Error::Invalid(format!(
                "samples from {start} in steps of {dt}; expected a finite start and a step larger than 0"
            )));
        }
        if let Some(k) = v.iter().position(|v| !v.is_finite()) {
            return Err(Error::Invalid(format!(
                "sample {k} of the potential is {}; expected finite numbers",
                v[k]
            )));
        }
        let at: Vec<f64> = (0..v.len()).map(|k| difference(&v, k) / dt).collect();
        let slope = at.windows(2).map(|w| [w[0], w[1]]).collect();
        Ok(Potential {
            shape: Shape::Even {
                start,
                dt,
                v,
                slope,
            },
        })
    }

    /// The integrator's own polynomials.
    pub fn from_curve(curve: Curve) -> Self {
        Potential {
            shape: Shape::Curve(curve),
        }
    }

    /// Cubics of a curve: between the times that are multiples of `dt` from its start, and the given corners.
    pub fn sampled(curve: &Curve, dt: f64, corners: &[f64]) -> Self {
        let whole = Potential {
            shape: Shape::Curve(curve.clone()),
        };
        let (start, end) = (whole.start(), whole.end());
        let steps = ((end - start) / dt - 1e-6).ceil().max(1.0) as usize;
        let even = (0..=steps).map(|k| {
            if k == steps {
                end
            } else {
                start + k as f64 * dt
            }
        });
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9 * dt;
        let mut times: Vec<f64> = even
            .chain(corners.iter().copied().filter(|t| start < *t && *t < end))
            .collect();
        times.sort_by(f64::total_cmp);
        // A corner that meets a sample to rounding takes its place.
        times.dedup_by(|b, a| {
            let same = near(*a, *b);
            if same && corners.contains(b) {
                *a = *b;
            }
            same
        });
        let v = times.iter().map(|t| whole.at(*t)).collect();
        let slope = times
            .windows(2)
            .map(|w| [whole.slope_after(w[0]), whole.slope_before(w[1])])
            .collect();
        Potential {
            shape: Shape::Given {
                dt,
                times,
                v,
                slope,
            },
        }
    }

    /// Adds what follows, of the same kind: it begins where this one ends, by its own time at `next.start() + shift`.
    pub(super) fn append(&mut self, next: &Potential, shift: f64) {
        match (&mut self.shape, &next.shape) {
            (Shape::Curve(curve), Shape::Curve(next)) => curve.append(next, shift),
            (
                Shape::Even { v, slope, .. },
                Shape::Even {
                    v: next,
                    slope: slopes,
                    ..
                },
            ) => {
                v.extend_from_slice(&next[1..]);
                slope.extend_from_slice(slopes);
            }
            (
                Shape::Given {
                    times, v, slope, ..
                },
                Shape::Given {
                    times: at,
                    v: next,
                    slope: slopes,
                    ..
                },
            ) => {
                times.extend(at[1..].iter().map(|t| t + shift));
                v.extend_from_slice(&next[1..]);
                slope.extend_from_slice(slopes);
            }
            _ => unreachable!("one recording is of one kind"),
        }
    }

    /// Moves it in time.
    pub(super) fn moved(mut self, by: f64) -> Self {
        match &mut self.shape {
            Shape::Curve(curve) => {
                let mut moved = Curve::default();
                moved.append(curve, by);
                *curve = moved;
            }
            Shape::Even { start, .. } => *start += by,
            Shape::Given { times, .. } => times.iter_mut().for_each(|t| *t += by),
        }
        self
    }

    /// Number of pieces.
    pub fn pieces(&self) -> usize {
        match &self.shape {
            Shape::Curve(curve) => curve.pieces().len(),
            Shape::Even { slope, .. } | Shape::Given { slope, .. } => slope.len(),
        }
    }

    /// Spacing of the samples, where it was sampled.
    pub fn dt(&self) -> Option<f64> {
        match &self.shape {
            Shape::Curve(_) => None,
            Shape::Even { dt, .. } | Shape::Given { dt, .. } => Some(*dt),
        }
    }

    /// Time of its beginning; 0 where there is nothing.
    pub fn start(&self) -> f64 {
        if let Shape::Even { start, .. } = &self.shape {
            *start
        } else {
            self.knot(0).map_or(0.0, |k| k[0])
        }
    }

    /// Time of its end.
    pub fn end(&self) -> f64 {
        self.knot(self.pieces()).map_or(self.start(), |k| k[0])
    }

    /// The first value.
    pub fn first(&self) -> Option<f64> {
        self.knot(0).map(|k| k[1])
    }

    /// The value at a time, between its beginning and its end.
    pub fn at(&self, t: f64) -> f64 {
        if self.pieces() == 0 {
            return self.first().unwrap_or(f64::NAN);
        }
        let piece = self.piece(self.interval(t));
        piece.at(share(&piece, t))
    }

    /// Times and values for a line through it: the ends of its pieces, and where these are longer than a share of [from, to], points inside.
    pub fn line(&self, from: f64, to: f64, shares: f64) -> (Vec<f64>, Vec<f64>) {
        let mut points: (Vec<f64>, Vec<f64>) = Default::default();
        let mut push = |t: f64, v: f64| {
            if (from..=to).contains(&t) {
                points.0.push(t);
                points.1.push(v);
            }
        };
        for k in 0..self.pieces() {
            let piece = self.piece(k);
            let inside = (piece.length / (to - from) * shares)
                .ceil()
                .clamp(1.0, shares.max(1.0)) as usize;
            for j in 0..inside {
                let s = j as f64 / inside as f64;
                push(piece.start + s * piece.length, piece.at(s));
            }
        }
        if let Some([t, v]) = self.knot(self.pieces()) {
            push(t, v);
        }
        points
    }

    /// Times of all upward crossings of a level.
    pub fn upward_crossings(&self, level: f64) -> Vec<f64> {
        (0..self.pieces())
            .flat_map(|k| self.crossings(k, level, true))
            .collect()
    }

    /// The first downward crossing of a level after a time.
    pub(super) fn next_downward(&self, after: f64, level: f64) -> Option<f64> {
        let first = self.interval(after);
        (first..self.pieces()).find_map(|k| {
            self.crossings(k, level, false)
                .into_iter()
                .find(|t| *t > after)
        })
    }

    /// Time and value of the highest point of [from, to].
    pub(super) fn highest(&self, from: f64, to: f64) -> [f64; 2] {
        self.extreme(from, to, Of::Value)
    }

    /// Time and value of the lowest point of [from, to].
    pub(super) fn lowest(&self, from: f64, to: f64) -> [f64; 2] {
        let [t, v] = self.extreme(from, to, Of::Negative);
        [t, -v]
    }

    /// Time and slope of the steepest rise in [from, to]; at a corner that of its steeper side.
    pub(super) fn steepest(&self, from: f64, to: f64) -> [f64; 2] {
        self.extreme(from, to, Of::Slope)
    }

    /// Local extremes inside (from, to), time and value, in order: those of the pieces, and the ends of these.
    pub(super) fn turns(&self, from: f64, to: f64) -> Vec<[f64; 2]> {
        let mut points = vec![[from, self.at(from)]];
        for k in self.interval(from)..=self.interval(to) {
            let piece = self.piece(k);
            let inner = roots(&steps(&piece.terms)).into_iter().chain([1.0]);
            points.extend(
                inner
                    .map(|s| [piece.start + s * piece.length, piece.at(s)])
                    .filter(|[t, _]| from < *t && *t < to),
            );
        }
        points.push([to, self.at(to)]);
        let turns = |w: &&[[f64; 2]]| (w[1][1] - w[0][1]) * (w[2][1] - w[1][1]) < 0.0;
        points.windows(3).filter(turns).map(|w| w[1]).collect()
    }

    fn extreme(&self, from: f64, to: f64, of: Of) -> [f64; 2] {
        let mut best = [from, f64::NEG_INFINITY];
        for k in self.interval(from)..=self.interval(to) {
            let piece = self.piece(k);
            let [low, high] = [share(&piece, from).max(0.0), share(&piece, to).min(1.0)];
            // A piece that is only touched tells nothing of the side that is looked at.
            if from < to && (high <= 0.0 || low >= 1.0) {
                continue;
            }
            let bound = |all: &[f64]| all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let rates = || {
                steps(&piece.terms)
                    .into_iter()
                    .map(|d| d * (TERMS - 1) as f64 / piece.length)
                    .collect::<Vec<f64>>()
            };
            let most = match of {
                Of::Value => piece.value + bound(&piece.terms),
                Of::Negative => bound(&piece.terms.map(|t| -t)) - piece.value,
                Of::Slope => bound(&rates()),
            };
            if most <= best[1] {
                continue;
            }
            let inner = match of {
                Of::Value | Of::Negative => roots(&steps(&piece.terms)),
                Of::Slope => roots(&steps(&rates())),
            };
            for s in [low, high]
                .into_iter()
                .chain(inner.into_iter().filter(|s| low < *s && *s < high))
            {
                let value = match of {
                    Of::Value => piece.at(s),
                    Of::Negative => -piece.at(s),
                    Of::Slope => piece.slope(s),
                };
                if value > best[1] {
                    best = [time(&piece, s), value];
                }
            }
        }
        best
    }

    fn slope_after(&self, t: f64) -> f64 {
        let piece = self.piece(self.interval(t));
        piece.slope(share(&piece, t).clamp(0.0, 1.0))
    }

    fn slope_before(&self, t: f64) -> f64 {
        let k = self.interval(t);
        let k = if k > 0 && self.knot(k).is_some_and(|knot| knot[0] >= t) {
            k - 1
        } else {
            k
        };
        let piece = self.piece(k);
        piece.slope(share(&piece, t).clamp(0.0, 1.0))
    }

    /// The interval in which a time lies; a time at which two meet belongs to the second.
    pub(super) fn interval(&self, t: f64) -> usize {
        let last = self.pieces().saturating_sub(1);
        match &self.shape {
            Shape::Curve(curve) => curve.pieces().partition_point(|p| p.start <= t).max(1) - 1,
            Shape::Even { start, dt, .. } => ((t - start) / dt).floor().max(0.0) as usize,
            Shape::Given { times, .. } => times.partition_point(|p| *p <= t).max(1) - 1,
        }
        .min(last)
    }

    /// Time and value where piece k begins, or the last one ends.
    fn knot(&self, k: usize) -> Option<[f64; 2]> {
        match &self.shape {
            Shape::Curve(curve) => match curve.pieces().get(k) {
                Some(piece) => Some([piece.start, piece.value]),
                None => (k > 0 && k == curve.pieces().len()).then(|| curve.end()),
            },
            Shape::Even { start, dt, v, .. } => v.get(k).map(|v| [start + k as f64 * dt, *v]),
            Shape::Given { times, v, .. } => v.get(k).map(|v| [times[k], *v]),
        }
    }

    pub(super) fn piece(&self, k: usize) -> CurvePiece {
        match &self.shape {
            Shape::Curve(curve) => curve.pieces()[k],
            Shape::Even {
                start,
                dt,
                v,
                slope,
            } => CurvePiece::cubic(start + k as f64 * dt, *dt, [v[k], v[k + 1]], slope[k]),
            Shape::Given {
                times, v, slope, ..
            } => CurvePiece::cubic(
                times[k],
                times[k + 1] - times[k],
                [v[k], v[k + 1]],
                slope[k],
            ),
        }
    }

    /// The crossings within a piece, upward or downward. One where two pieces meet belongs to the one that it begins when upward, to the one it
    /// ends when downward.
    fn crossings(&self, k: usize, level: f64, upward: bool) -> Vec<f64> {
        let piece = self.piece(k);
        let end = self.knot(k + 1).map_or(f64::NAN, |knot| knot[1]);
        let below = |v: f64| (v < level) == upward;
        let (first, last) = (below(piece.value), below(end));
        let one_side = |v: &f64| (piece.value + v < level) == (piece.value < level);
        if first == last && piece.terms.iter().all(one_side) {
            return Vec::new();
        }
        // The piece is monotone between these. Its ends are what the integrator or the samples say, not what rounding makes of them.
        let inner: Vec<f64> = roots(&steps(&piece.terms));
        let stops: Vec<(f64, bool)> = std::iter::once((0.0, first))
            .chain(inner.into_iter().map(|s| (s, below(piece.at(s)))))
            .chain(std::iter::once((1.0, last)))
            .collect();
        let crossed = stops.windows(2).filter(|w| w[0].1 && !w[1].1);
        crossed
            .map(|w| time(&piece, bisect(w[0].0, w[1].0, |s| below(piece.at(s)))))
            .collect()
    }
}

fn share(piece: &CurvePiece, t: f64) -> f64 {
    (t - piece.start) / piece.length
}

fn time(piece: &CurvePiece, s: f64) -> f64 {
    piece.start + s * piece.length
}

/// Differences of neighbors: the terms of the derivative, but for a factor.
fn steps(terms: &[f64]) -> Vec<f64> {
    terms.windows(2).map(|w| w[1] - w[0]).collect()
}

/// Where `holds` ends in [low, high], at whose beginning it does and at whose end it does not.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if holds(middle) {
            low = middle
        } else {
            high = middle
        }
    }
    0.5 * (low + high)
}

/// The roots inside (0, 1) of a polynomial with these terms of Bernstein, in order, at which it changes sign.
fn roots(terms: &[f64]) -> Vec<f64> {
    let mut found = Vec::new();
    within(terms, 0.0, 1.0, &mut found);
    found
}

fn within(terms: &[f64], low: f64, high: f64, found: &mut Vec<f64>) {
    let mut signs = terms.iter().filter(|t| **t != 0.0).map(|t| *t > 0.0);
    let Some(first) = signs.next() else { return };
    let mut before = first;
    let mut changes = 0;
    for sign in signs {
        changes += usize::from(sign != before);
        before = sign;
    }
    if changes == 0 {
        return;
    }
    if changes == 1 {
        let root = bisect(0.0, 1.0, |s| (value(terms, s) > 0.0) == first);
        return found.push(low + root * (high - low));
    }
    let middle = 0.5 * (low + high);
    if high - low < SAME_ROOT {
        if changes % 2 == 1 {
            found.push(middle);
        }
        return;
    }
    // Both halves of de Casteljau's triangle.
    let (mut right, mut left) = (terms.to_vec(), Vec::with_capacity(terms.len()));
    let n = right.len();
    for round in 0..n {
        left.push(right[0]);
        for k in 0..n - 1 - round {
            right[k] = 0.5 * (right[k] + right[k + 1]);
        }
    }
    within(&left, low, middle, found);
    if right[0] == 0.0 && value(terms, 0.5 - 1e-6) * value(terms, 0.5 + 1e-6) < 0.0 {
        found.push(middle);
    }
    within(&right, middle, high, found);
}

/// A polynomial with these terms of Bernstein at s.
fn value(terms: &[f64], s: f64) -> f64 {
    let mut own = [0.0; TERMS];
    own[..terms.len()].copy_from_slice(terms);
    for round in 1..terms.len() {
        for k in 0..terms.len() - round {
            own[k] += s * (own[k + 1] - own[k]);
        }
    }
    own[0]
}

/// The derivative by the index at sample k, of fourth order (of lower order with fewer than five samples).
fn difference(v: &[f64], k: usize) -> f64 {
    let n = v.len();
    if n < 5 {
        let (a, b) = (k.saturating_sub(1), (k + 1).min(n - 1));
        return if a == b {
            0.0
        } else {
            (v[b] - v[a]) / (b - a) as f64
        };
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
    v[first..first + 5]
        .iter()
        .zip(WEIGHTS[k - first])
        .map(|(v, w)| v * w)
        .sum::<f64>()
        / 12.0
}

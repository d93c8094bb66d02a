//! When a sequence of periods has converged to one that repeats; the rule stands in the parent module.

use std::collections::VecDeque;

use ionoscope_dynamics::spec::Spec;

/// Changes are followed over so many multiples of m periods.
pub const LAG: usize = 8;
/// A variable's unit is at least this share of its range.
const SMALLEST_SHARE: f64 = 1e-3;
/// Changes that are no more than this are rounding.
const ROUNDING: f64 = 1e-13;
/// Orbits further apart than so many tolerances differ, whatever distance is left.
const APART: f64 = 3.0;

/// The unit of each variable in differences.
#[derive(Debug, Clone)]
pub struct Scale(Vec<f64>);

impl Scale {
    /// From states `[time][variable]`.
    pub fn of(spec: &Spec, x: &[f64]) -> Self {
        let floor =
            |k: usize| SMALLEST_SHARE * (spec.variables[k].range[1] - spec.variables[k].range[0]);
        let mut scale: Vec<f64> = (0..spec.variables.len()).map(floor).collect();
        for state in x.chunks_exact(scale.len()) {
            scale
                .iter_mut()
                .zip(state)
                .for_each(|(s, x)| *s = s.max(x.abs()));
        }
        Scale(scale)
    }

    /// With one more quantity after the variables, in units of this.
    pub fn with(mut self, unit: f64) -> Self {
        self.0.push(unit);
        self
    }

    /// The unit of an entry.
    pub fn unit(&self, i: usize) -> f64 {
        self.0[i]
    }

    /// The largest difference of each entry over two lists of states.
    fn distances(&self, a: &[f64], b: &[f64]) -> Vec<f64> {
        let mut largest = vec![0.0f64; self.0.len()];
        for (a, b) in a
            .chunks_exact(self.0.len())
            .zip(b.chunks_exact(self.0.len()))
        {
            for i in (0..a.len()).filter(|&i| a[i] != b[i]) {
                largest[i] = largest[i].max((a[i] - b[i]).abs() / self.0[i]);
            }
        }
        largest
    }

    /// The largest of all.
    pub fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        self.distances(a, b).into_iter().fold(0.0, f64::max)
    }
}

/// What is known of a multiplicity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The multiplicity m.
    pub multiplicity: usize,
    /// Change over the last m periods.
    pub residual: f64,
    /// Change over the [`LAG`] m periods that lie [`LAG`] m back.
    earlier: f64,
    /// Distance that is left; none where it cannot be told.
    pub remaining: Option<f64>,
}

impl Verdict {
    /// What must be within the tolerance. The earlier change is in it because its ratio to the last says nothing before a fast decay is over.
    fn distance(&self) -> f64 {
        self.residual
            .max(self.earlier)
            .max(self.remaining.unwrap_or(f64::INFINITY))
    }
}

/// Periods seen so far, as far as they are needed.
pub struct Convergence {
    tolerance: f64,
    largest: usize,
    /// The newest first.
    past: VecDeque<Vec<f64>>,
    /// For each multiplicity, for how many periods in a row the tolerance was met.
    held: Vec<usize>,
}

impl Convergence {
    /// Up to this multiplicity.
    pub fn new(tolerance: f64, largest: usize) -> Self {
        Convergence {
            tolerance,
            largest,
            past: VecDeque::new(),
            held: vec![0; largest + 1],
        }
    }

    /// Forgets everything.
    pub fn restart(&mut self) {
        *self = Convergence::new(self.tolerance, self.largest);
    }

    /// Adds a period; the smallest multiplicity that has now converged.
    pub fn push(&mut self, period: Vec<f64>, scale: &Scale) -> Option<Verdict> {
        self.past.push_front(period);
        self.past.truncate(2 * LAG * self.largest + 1);
        let mut first = None;
        for m in 1..=self.largest {
            let verdict = self.judge(m, scale);
            let met = verdict.distance() <= self.tolerance && self.differ(m, scale);
            self.held[m] = if met { self.held[m] + 1 } else { 0 };
            if self.held[m] > LAG * m {
                first = first.or(Some(verdict));
            }
        }
        first
    }

    /// What the last periods say of a multiplicity.
    pub fn judge(&self, m: usize, scale: &Scale) -> Verdict {
        let largest = |d: &[f64]| d.iter().copied().fold(0.0, f64::max);
        let residual = self
            .past
            .get(m)
            .map_or(f64::INFINITY, |old| scale.distance(&self.past[0], old));
        let at: Vec<&Vec<f64>> = self.past.iter().step_by(m).take(2 * LAG + 1).collect();
        if residual > self.tolerance || at.len() <= 2 * LAG {
            return Verdict {
                multiplicity: m,
                residual,
                earlier: f64::INFINITY,
                remaining: None,
            };
        }
        let new = scale.distances(at[0], at[LAG]);
        let old = scale.distances(at[LAG], at[2 * LAG]);
        let steps: Vec<Vec<f64>> = at.windows(2).map(|w| scale.distances(w[0], w[1])).collect();
        let left = |i: usize| {
            // Followed where this variable has changed most.
            let entry = (i..at[0].len()).step_by(new.len());
            let change = |k: &usize| (at[0][*k] - at[2 * LAG][*k]).abs();
            let k = entry
                .max_by(|a, b| change(a).total_cmp(&change(b)))
                .unwrap_or(i);
            let moves = |up: bool| {
                at.windows(2)
                    .all(|w| w[0][k] != w[1][k] && (w[0][k] > w[1][k]) == up)
            };
            let step = steps.iter().map(|s| s[i]).fold(0.0, f64::max);
            let q = new[i] / old[i];
            match () {
                () if step <= ROUNDING || !(moves(true) || moves(false)) => Some(step),
                () if q < 1.0 => Some(new[i] * q / (1.0 - q)),
                () => None,
            }
        };
        let remaining = (0..new.len()).try_fold(0.0, |most, i| Some(f64::max(most, left(i)?)));
        Verdict {
            multiplicity: m,
            residual,
            earlier: largest(&old),
            remaining,
        }
    }

    /// Whether the last period differs from those that a divisor of m would make equal to it.
    fn differ(&self, m: usize, scale: &Scale) -> bool {
        (1..m)
            .filter(|d| m.is_multiple_of(*d))
            .all(|d| scale.distance(&self.past[0], &self.past[d]) > APART * self.tolerance)
    }
}

//! When a sequence of periods has converged to one that repeats; the rule stands in the parent module.

use std::collections::VecDeque;

use ionoscope_dynamics::spec::Spec;

/// Changes are followed over so many multiples of m periods.
pub const LAG: usize = 4;
/// A variable's unit is at least this share of its range.
const SMALLEST_SHARE: f64 = 1e-3;
/// Orbits further apart than so many tolerances differ, whatever distance is left.
const APART: f64 = 3.0;

/// The unit of each variable in differences.
#[derive(Debug, Clone)]
pub struct Scale(Vec<f64>);

impl Scale {
    /// From states `[time][variable]`.
    pub fn of(spec: &Spec, x: &[f64]) -> Self {
        let floor = |k: usize| SMALLEST_SHARE * (spec.variables[k].range[1] - spec.variables[k].range[0]);
        let mut scale: Vec<f64> = (0..spec.variables.len()).map(floor).collect();
        for state in x.chunks_exact(scale.len()) {
            scale.iter_mut().zip(state).for_each(|(s, x)| *s = s.max(x.abs()));
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

    /// The largest difference over all entries of two lists of states; 0/0 (a variable that is always 0, with a range of no width) is 0.
    pub fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        let one = |((a, b), s): ((&f64, &f64), &f64)| if a == b { 0.0 } else { (a - b).abs() / s };
        a.iter().zip(b).zip(self.0.iter().cycle()).map(one).fold(0.0, f64::max)
    }
}

/// What is known of a multiplicity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The multiplicity m.
    pub multiplicity: usize,
    /// Change over the last m periods.
    pub residual: f64,
    /// Distance that is left; none where it cannot be told.
    pub remaining: Option<f64>,
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
        Convergence { tolerance, largest, past: VecDeque::new(), held: vec![0; largest + 1] }
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
            let met = verdict.residual.max(verdict.remaining.unwrap_or(f64::INFINITY)) <= self.tolerance;
            self.held[m] = if met && self.differ(m, scale) { self.held[m] + 1 } else { 0 };
            if self.held[m] > LAG * m {
                first = first.or(Some(verdict));
            }
        }
        first
    }

    /// What the last periods say of a multiplicity.
    pub fn judge(&self, m: usize, scale: &Scale) -> Verdict {
        let between = |j: usize, i: usize| Some(scale.distance(self.past.get(j)?, self.past.get(i)?));
        let residual = between(0, m).unwrap_or(f64::INFINITY);
        let remaining = between(0, LAG * m).zip(between(LAG * m, 2 * LAG * m)).and_then(|(new, old)| {
            let steps: Vec<f64> = (0..LAG).filter_map(|j| between(j * m, (j + 1) * m)).collect();
            if new == 0.0 || 2.0 * new < steps.iter().sum() {
                return Some(steps.into_iter().fold(new, f64::max));
            }
            let q = new / old;
            (q < 1.0).then(|| new * q / (1.0 - q))
        });
        Verdict { multiplicity: m, residual, remaining }
    }

    /// Whether the last period differs from those that a divisor of m would make equal to it.
    fn differ(&self, m: usize, scale: &Scale) -> bool {
        (1..m).filter(|d| m % d == 0).all(|d| scale.distance(&self.past[0], &self.past[d]) > APART * self.tolerance)
    }
}

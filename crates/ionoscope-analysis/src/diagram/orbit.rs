//! Points of an orbit diagram.
//!
//! Between two states of a flow the curve is the cubic with the slopes that the rule gives there; between iterates of a map, a parabola or a line.

use ionoscope_dynamics::{system::Time, trajectory::Trajectory};
use serde::{Deserialize, Serialize};

use super::sweep::{Column, Sweep};

/// What marks a point of an orbit diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Local maxima of the variable.
    Maxima,
    /// Intervals between upward crossings of this value by the variable.
    Intervals(f64),
    /// The variable where another one crosses a value upwards.
    Section(Section),
}

/// A Poincare section.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Index of the variable that crosses.
    pub variable: usize,
    /// The value.
    pub value: f64,
}

/// The marks of variable `i` in a column of a sweep. At rest its value is the only maximum.
pub fn orbit_marks(task: &Sweep, column: &Column, i: usize, mark: Mark) -> Vec<f64> {
    let window = &column.window;
    let curve = Curve::of(task, column, i);
    match mark {
        Mark::Maxima => match window.last().filter(|x| task.rests(column.parameter, x)) {
            Some(x) => vec![x[i]],
            None => curve.maxima(),
        },
        Mark::Intervals(value) => {
            let at: Vec<f64> = curve
                .crossings(value)
                .map(|(k, share)| (k as f64 + share) * window.times.dt)
                .collect();
            at.windows(2).map(|w| w[1] - w[0]).collect()
        }
        Mark::Section(section) => Curve::of(task, column, section.variable)
            .crossings(section.value)
            .map(|(k, share)| curve.at(k, share))
            .collect(),
    }
}

/// One variable over a window.
struct Curve {
    x: Vec<f64>,
    /// Slopes at the states, per step; none of a map.
    slopes: Option<Vec<f64>>,
}

impl Curve {
    fn of(task: &Sweep, column: &Column, i: usize) -> Self {
        let window: &Trajectory = &column.window;
        let (p, i_stim) = task.inputs(column.parameter);
        let mut dx = vec![0.0; window.dimension];
        let mut slope = |k: usize| {
            task.system.rule(window.state(k), i_stim, &p, &mut dx);
            dx[i] * window.times.dt
        };
        let slopes = (task.system.time() == Time::Continuous)
            .then(|| (0..window.len()).map(&mut slope).collect());
        Curve {
            x: window.variable(i).collect(),
            slopes,
        }
    }

    /// The value at a share of the step after state `k`.
    fn at(&self, k: usize, share: f64) -> f64 {
        let (a, b) = (self.x[k], self.x[k + 1]);
        let Some(slopes) = &self.slopes else {
            return a + share * (b - a);
        };
        let (r, s2) = (1.0 - share, share * share);
        a * r * r * (1.0 + 2.0 * share) + b * s2 * (3.0 - 2.0 * share) + slopes[k] * share * r * r
            - slopes[k + 1] * s2 * r
    }

    fn maxima(&self) -> Vec<f64> {
        let Some(slopes) = &self.slopes else {
            let top = |w: &[f64]| {
                let (slope, bend) = ((w[2] - w[0]) / 2.0, w[2] - 2.0 * w[1] + w[0]);
                if bend < 0.0 {
                    w[1] - slope * slope / (2.0 * bend)
                } else {
                    w[1]
                }
            };
            return self
                .x
                .windows(3)
                .filter(|w| w[0] < w[1] && w[1] >= w[2])
                .map(top)
                .collect();
        };
        let falls = |k: &usize| slopes[*k] > 0.0 && slopes[k + 1] <= 0.0;
        (0..self.x.len().saturating_sub(1))
            .filter(falls)
            .map(|k| {
                // Where the cubic's slope passes zero.
                let (d, m, e) = (slopes[k], self.x[k + 1] - self.x[k], slopes[k + 1]);
                let slope = |s: f64| {
                    d + s * (6.0 * m - 4.0 * d - 2.0 * e) + s * s * 3.0 * (d + e - 2.0 * m)
                };
                self.at(k, bisect(|s| slope(s) <= 0.0))
            })
            .collect()
    }

    /// Upward crossings: the state before, and the share of the step.
    fn crossings(&self, value: f64) -> impl Iterator<Item = (usize, f64)> + '_ {
        let crosses = move |k: &usize| self.x[*k] < value && self.x[k + 1] >= value;
        (0..self.x.len().saturating_sub(1))
            .filter(crosses)
            .map(move |k| (k, bisect(|s| self.at(k, s) >= value)))
    }
}

/// Where in [0, 1] something becomes true that is so at 1.
fn bisect(becomes: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..52 {
        let middle = 0.5 * (low + high);
        if becomes(middle) {
            high = middle
        } else {
            low = middle
        }
    }
    high
}
